#!/usr/bin/env bash
# Limits that two rate limiters share in one store: redis-server, which decides in Lua, and our cache, which has CL.THROTTLE. In sum
# exactly the limit passes; all that is kept ends by itself; and when the store dies, what was chosen happens until it is back.

# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
sdlab_test "$@"
need curl curl
need redis-server redis-server
need redis-tools redis-cli

code() { curl -s -o /dev/null --max-time 20 -w '%{http_code}' "$@"; }
codes() { # N CURL-ARGUMENT...
  local n=$1 i
  shift
  for ((i = 0; i < n; i++)); do printf '%s ' "$(code "$@")"; done
}
fields() { curl -s -i --max-time 20 "$@" | tr -d '\r'; }
answers_with() { [ "$(code "$2")" = "$1" ]; }

start_redis() { # OPTION...
  start redis redis-server --port "$AT" --bind 127.0.0.1 --save '' --appendonly no --dir "$TMP" "$@"
  wait_port redis "$AT"
}
start_cache() { start store "$SDLAB" cache --port "$AT" && wait_port store "$AT"; }
at() { redis-cli -p "$AT" "$@"; }

# rl NAME OPTION...: a rate limiter on this store; URL_NAME and ADMIN_NAME are where.
declare -A URL=() SIDE=()
rl() {
  local name=$1
  shift
  start "$name" "$SDLAB" ratelimit --port 0 --admin 127.0.0.1:0 --key all --store-timeout 10s --store "redis://127.0.0.1:$AT" "$@"
  URL[$name]=http://127.0.0.1:$(port_of "$name")/ || exit 1
  SIDE[$name]=$(admin_of "$name") || exit 1
}
both() { rl one "$@" && rl two "$@"; }
stop_both() { stop one && stop two; }

# How many of so many requests pass, sent to both at once, each on several connections.
passed() {
  local n=$1
  curl -s -Z --parallel-max 4 --max-time 20 -o /dev/null -w '%{http_code}\n' "${URL[one]}?[1-$n]" >"$TMP/one.codes" 2>"$TMP/one.err" &
  local other=$!
  curl -s -Z --parallel-max 4 --max-time 20 -o /dev/null -w '%{http_code}\n' "${URL[two]}?[1-$n]" >"$TMP/two.codes" 2>"$TMP/two.err"
  wait "$other"
  assert_eq "$((2 * n))" "$(cat "$TMP/one.codes" "$TMP/two.codes" | grep -c '^\(200\|429\)$')" 'answers' >&2 || exit 1
  cat "$TMP/one.codes" "$TMP/two.codes" | grep -c '^200$'
}

# All there is has an end, at most so many ms away.
all_end() { # KEYS MOST
  local key ms n=0
  while read -r key; do
    ms=$(at PTTL "$key")
    if [ "$ms" -le 0 ] || [ "$ms" -gt "$2" ]; then fail "$key: expected it to end within $2 ms, found $ms"; fi
    n=$((n + 1))
  done < <(at --scan)
  assert_eq "$1" "$n" 'keys in the store'
}

# ---- in Lua ----
AT=$(free_port)
start_redis
for kind in token-bucket gcra leaky-bucket fixed-window sliding-counter sliding-log; do
  both --algorithm "$kind" --rate 12/h
  assert_eq 12 "$(passed 15)" "$kind: of 30 at two servers"
  # twice the time for a counter, which looks at the window before
  all_end 1 7200001
  assert_match "$(fields "${URL[one]}")" '^Retry-After: [1-9][0-9]*$' "$kind: when to come again"
  assert_eq 31 "$(($(metric "${SIDE[one]}" sdlab_ratelimit_store_decisions_total 'by="store"') + \
    $(metric "${SIDE[two]}" sdlab_ratelimit_store_decisions_total 'by="store"')))" "$kind: decided by the store"
  # What is refused costs nothing.
  case $kind in
  fixed-window) assert_match "$(at GET ratelimit:f:default:)" '^[0-9]+ 12 3600000000$' "$kind: used" ;;
  sliding-log) assert_eq 12 "$(at LLEN ratelimit:l:default:)" "$kind: moments" ;;
  esac
  stop_both
  at FLUSHALL >/dev/null
done
log_has one 'Limits are kept in 127.0.0.1:' || fail 'where limits are kept'

# Who keeps asking is let through again, by buckets one by one and by a log when its moments are over.
for kind in gcra sliding-log fixed-window; do
  rl one --algorithm "$kind" --rate 2/500ms
  wait_for "$kind: a refusal" answers_with 429 "${URL[one]}"
  wait_for "$kind: one of many that passes" answers_with 200 "${URL[one]}"
  stop one
done
gone() { [ "$(at DBSIZE)" = 0 ]; }
wait_for 'all to have ended' gone
# Long before a key ends: a bucket gets back what it is given, and of a log the oldest goes alone.
rl one --algorithm gcra --rate 200/s --burst 6000 --cost 100
curl -s -Z --max-time 20 -o /dev/null "${URL[one]}?[1-60]" 2>"$TMP/one.err"
wait_for 'an empty bucket' answers_with 429 "${URL[one]}"
wait_for 'one that came back' answers_with 200 "${URL[one]}"
[ "$(at PTTL ratelimit:b:default:)" -gt 20000 ] || fail 'the bucket should have been almost empty'
stop one
at FLUSHALL >/dev/null
rl one --algorithm sliding-log --rate 2/6s
half_over() { [ "$(at PTTL ratelimit:l:default:)" -lt 3000 ]; }
assert_eq 200 "$(code "${URL[one]}")" 'the first'
wait_for 'half of its time' half_over
assert_eq '200 429 ' "$(codes 2 "${URL[one]}")" 'the second'
wait_for 'the first to be over' answers_with 200 "${URL[one]}"
assert_eq 2 "$(at LLEN ratelimit:l:default:)" 'the second and the third'
assert_eq 0 "$(metric "${SIDE[one]}" sdlab_ratelimit_store_decisions_total 'by="itself"')" 'decided without it'
stop one
at FLUSHALL >/dev/null

# A queue says when; a store that forgot its scripts gets them again.
rl one --algorithm leaky-queue --rate 20/s --burst 3
assert_eq '200 200 ' "$(codes 2 "${URL[one]}")" 'a queue'
stop one
rl one --rate 3/h
assert_eq '200 ' "$(codes 1 "${URL[one]}")" 'before'
at SCRIPT FLUSH >/dev/null
assert_eq '200 200 429 ' "$(codes 3 "${URL[one]}")" 'after its scripts were thrown away'
assert_eq 0 "$(metric "${SIDE[one]}" sdlab_ratelimit_store_decisions_total 'by="itself"')" 'decided without it'
stop one
at FLUSHALL >/dev/null

# Several rules: all or none. What is in shadow counts apart.
cat >"$TMP/rules.yaml" <<END
rules:
  - {name: all, rate: 5/h}
  - {name: login, path: /login, rate: 2/h}
  - {name: try, rate: 1/h, shadow: true}
END
several() {
  both --config "$TMP/rules.yaml"
  assert_eq '200 200 429 429 ' "$(code "${URL[one]}login") $(code "${URL[two]}login") $(codes 2 "${URL[one]}login")" "$1: the smaller"
  assert_match "$(fields "${URL[two]}login")" '^RateLimit: "all";r=3;t=[0-9]+, "login";r=0;t=[0-9]+$' "$1: what is left"
  assert_eq '200 200 200 429 ' "$(codes 4 "${URL[two]}")" "$1: what one refused cost nothing of the other"
  tries() { [ "$(($(metric "${SIDE[one]}" sdlab_ratelimit_decisions_total 'rule="try"') + \
    $(metric "${SIDE[two]}" sdlab_ratelimit_decisions_total 'rule="try"')))" = 9 ]; }
  wait_for "$1: decisions in shadow" tries
  all_end 3 3600001
  stop_both
}
several 'Lua'
stop redis TERM

# With a password, which nobody sees.
start_redis --requirepass hush
start one "$SDLAB" ratelimit --port 0 --rate 1/h --store "redis://:hush@127.0.0.1:$AT" --store-down closed
assert_eq '200 429 ' "$(codes 2 "http://127.0.0.1:$(port_of one)/")" 'with a password'
assert_lacks "$(cat "$TMP/one.log")" hush 'the log'
stop one
stop redis TERM

# ---- without it ----
# down CHOICE: it goes, what was chosen happens; it comes back, empty, and decides again.
down() {
  local how=$1
  start_redis
  both --rate 6/h --servers 2 --store-down "$how"
  assert_eq '200 200 200 200 200 200 429 ' "$(codes 6 "${URL[one]}")$(codes 1 "${URL[two]}")" "$how: with the store"
  stop redis KILL 137
  for name in one two; do
    wait_line "$name" "The store 127.0.0.1:$AT is gone"
    assert_eq 0 "$(metric "${SIDE[$name]}" sdlab_ratelimit_store_up)" "$how: up"
    case $how in
    open) assert_eq '200 200 200 200 200 200 200 200 ' "$(codes 8 "${URL[$name]}")" 'open' ;;
    closed)
      assert_eq '503 503 ' "$(codes 2 "${URL[$name]}")" 'closed'
      assert_match "$(fields "${URL[$name]}")" '^Retry-After: 1$' 'closed'
      ;;
    local) assert_eq '200 200 200 429 429 ' "$(codes 5 "${URL[$name]}")" 'half of 6 each' ;;
    esac
  done
  start_redis
  for name in one two; do wait_line "$name" "The store 127.0.0.1:$AT is back"; done
  assert_eq 1 "$(metric "${SIDE[one]}" sdlab_ratelimit_store_up)" "$how: up again"
  assert_eq 6 "$(passed 5)" "$how: with the store again"
  for name in one two; do
    assert_eq 1 "$(log_count "$name" 'is gone')" "$how: told once"
    assert_eq 1 "$(log_count "$name" 'is back')" "$how: told once"
  done
  stop_both
  stop redis TERM
}
for how in open closed local; do down "$how"; done

# One that never was there, and one that is there but silent.
rl one --rate 1/h --servers 3 --store-down local
assert_eq '200 429 ' "$(codes 2 "${URL[one]}")" 'no store from the beginning'
stop one
start_redis
rl one --rate 1/h --store-down open --store-timeout 50ms
wait_line one 'Limits are kept in'
kill -STOP "${PID[redis]}"
assert_eq '200 200 ' "$(codes 2 "${URL[one]}")" 'a silent store'
kill -CONT "${PID[redis]}"
stop one
# A client that does not wait for the store: what it is told then is for nobody.
rl one --rate 1/h
wait_line one 'Limits are kept in'
kill -STOP "${PID[redis]}"
assert_eq 000 "$(code --max-time 2 "${URL[one]}")" 'a client that went'
kill -CONT "${PID[redis]}"
wait_for 'its decision' metric_at_least "${SIDE[one]}" sdlab_ratelimit_store_decisions_total 1 'by="store"'
assert_eq 429 "$(code "${URL[one]}")" 'the next one'
stop one
# It ends while a request waits for the store.
rl one --rate 1/h --store-timeout 30s --drain-timeout 50ms
wait_line one 'Limits are kept in'
kill -STOP "${PID[redis]}"
assert_eq 000 "$(code --max-time 2 "${URL[one]}")" 'a request without an answer'
stop one
kill -CONT "${PID[redis]}"
at FLUSHALL >/dev/null
# One that is silent from the beginning: who came meanwhile is answered too. Then bodies, on their way to an upstream.
kill -STOP "${PID[redis]}"
rl one --rate 2/h --store-down open --store-timeout 1s
assert_eq 200 "$(code "${URL[one]}")" 'a store silent from the beginning'
kill -CONT "${PID[redis]}"
wait_line one 'is back'
stop one
start_backend up A
rl one --rate 2/h --upstream "http://127.0.0.1:$PORT"
printf 'x%.0s' $(seq 5000) >"$TMP/body"
for how in 'Transfer-Encoding: chunked' 'Expect:'; do
  curl -s --max-time 20 -H "$how" --data-binary "@$TMP/body" "${URL[one]}echo" >"$TMP/echoed"
  assert_same "$TMP/body" "$TMP/echoed" "a body, $how"
done
assert_eq 429 "$(code --data-binary "@$TMP/body" "${URL[one]}echo")" 'a body that nobody wants'
stop one
stop up
stop redis TERM

# ---- with CL.THROTTLE ----
AT=$(free_port)
start_cache
both --rate 12/h
began=$SECONDS
assert_eq 12 "$(passed 15)" 'CL.THROTTLE: of 30 at two servers'
all_end 1 3600001
log_has one 'with CL.THROTTLE' || fail 'how limits are kept'
assert_left 300 "$began" "$(fields "${URL[two]}" | sed -n 's/^Retry-After: //p')" 'CL.THROTTLE: when to come again'
stop_both
at FLUSHALL >/dev/null
several 'CL.THROTTLE'
# A kind that needs Lua, however often it tries; then another one, by a reload.
printf 'rate: 2/h\nalgorithm: sliding-log\n' >"$TMP/kind.yaml"
tried() { [ "$(at INFO commandstats | tr -d '\r' | sed -n 's/^cmdstat_command|info:calls=\([0-9]*\),.*/\1/p')" -ge 3 ]; }
at CONFIG RESETSTAT >/dev/null
rl one --config "$TMP/kind.yaml" --store-down closed
wait_line one 'rule default: a store without Lua keeps token-bucket, gcra and leaky-bucket only'
assert_eq 503 "$(code "${URL[one]}")" 'a kind that needs Lua'
wait_for 'three tries' tried
sed -i s/sliding-log/gcra/ "$TMP/kind.yaml"
curl -sS -X POST "http://${SIDE[one]}/-/reload" >/dev/null || fail 'reload'
wait_line one 'is back, with CL.THROTTLE'
assert_eq 1 "$(log_count one 'is gone')" 'told once'
assert_eq '200 200 429 ' "$(codes 3 "${URL[one]}")" 'another kind'
stop one
at FLUSHALL >/dev/null
rl one --rate 2/h --store-down closed
assert_eq 200 "$(code "${URL[one]}")" 'with the cache'
stop store KILL 137
wait_line one 'is gone'
assert_eq 503 "$(code "${URL[one]}")" 'without it'
start_cache
wait_line one 'is back'
assert_eq '200 200 429 ' "$(codes 3 "${URL[one]}")" 'with it again'
stop one
stop store

# ---- what is refused at start ----
refused() { # WORDS OPTION...
  local words=$1
  shift
  run "$SDLAB" ratelimit --port 0 "$@"
  assert_eq 2 "$STATUS" "exit status of $*"
  assert_contains "$ERR" "$words" "$*"
}
here=redis://127.0.0.1:1
refused 'expected redis://' --store http://127.0.0.1
refused 'at most 10000 moments' --store $here --algorithm sliding-log --rate 10001/h
refused 'no resolution' --store $here --algorithm sliding-log --rate 10/h --resolution 5
refused 'whole microseconds' --store $here --rate 1/1ns
refused 'count exactly' --store $here --rate 4294967291/365d
refused 'store-timeout: expected at least 1ms' --store $here --store-timeout 0
echo ok
