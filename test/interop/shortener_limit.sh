#!/usr/bin/env bash
# --create-limit of two shorteners, kept in one store: redis-server, which decides in Lua, and our cache, which has CL.THROTTLE. In sum exactly
# the limit is made; while the store is away each server limits by itself; and neither keys nor addresses are told to the store.

# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
sdlab_test "$@"
need curl curl
need redis-server redis-server
need redis-tools redis-cli

declare -A URL=() SIDE=()
WHO=() # options of curl: an API key, or none
short() { # NAME OPTION...
  local name=$1
  shift
  start "$name" "$SDLAB" shortener --port 0 --bind 127.0.0.1 --threads 1 --admin 127.0.0.1:0 --data-dir "$TMP/$name" --cache-timeout 10s \
    --db "$TMP/links.db" --create-limit 6/h "$@"
  URL[$name]=http://127.0.0.1:$(port_of "$name")/api/shorten || exit 1
  SIDE[$name]=$(admin_of "$name") || exit 1
}
# made N NAME: how many of so many links are made, the others being answered 429; several at a time.
made() {
  local n=$1 name=$2
  curl -s -Z --parallel-max 3 --max-time 20 -o /dev/null -w '%{http_code}\n' -H 'Content-Type: application/json' \
    -d '{"url":"https://example.com/"}' "${WHO[@]}" "${URL[$name]}?[1-$n]" >"$TMP/$name.codes" 2>"$TMP/$name.err"
  assert_eq "$n" "$(grep -c '^\(201\|429\)$' "$TMP/$name.codes")" "answers: $(sort "$TMP/$name.codes" | uniq -c)" >&2 || exit 1
  grep -c '^201$' "$TMP/$name.codes" || true # none is fine
}
both_made() { # N: the same at both servers at once
  local n=$1 one two
  made "$n" two >"$TMP/two.made" &
  local other=$!
  one=$(made "$n" one) || exit 1
  wait "$other" || exit 1
  two=$(cat "$TMP/two.made")
  echo $((one + two))
}
decided() { echo $(($(metric "${SIDE[one]}" sdlab_shortener_limit_decisions_total "by=\"$1\"") + \
  $(metric "${SIDE[two]}" sdlab_shortener_limit_decisions_total "by=\"$1\""))); }
ready() { curl -s --max-time 20 "http://${SIDE[$1]}/-/ready" | tr -d ' \n\t'; }

start_redis() {
  start store redis-server --port "$AT" --bind 127.0.0.1 --save '' --appendonly no --dir "$TMP" --requirepass hush
  wait_port store "$AT"
}
start_cache() { start store "$SDLAB" cache --port "$AT" --bind 127.0.0.1 --password hush && wait_port store "$AT"; }
at() { REDISCLI_AUTH=hush redis-cli -p "$AT" "$@"; }

# sharing KIND HOW KEYS OPTION...: start_KIND starts it; each of KEYS has a limit for itself
sharing() {
  local kind=$1 how=$2 keys=$3 key name n=1 began
  shift 3
  AT=$(free_port)
  "start_$kind"
  set -- "${@//PORT/$AT}"
  short one "$@" && short two "$@"
  for name in one two; do wait_line "$name" "--create-limit is shared in 127.0.0.1:$AT, $how"; done

  for key in $keys; do
    began=$SECONDS
    WHO=(-H "X-Api-Key: $key")
    assert_eq 6 "$(both_made 6)" "$kind: of 12 at two servers"
    n=$((n + 12))
  done
  assert_left 600 "$began" "$(curl -s -i -d '{"url":"https://example.com/"}' "${WHO[@]}" -H 'Content-Type: application/json' "${URL[two]}" | tr -d '\r' |
    sed -n 's/^Retry-After: //p')" "$kind: when to come again"
  assert_eq "$n 0" "$(decided store) $(decided itself)" "$kind: who decided"
  assert_eq "$((n / 12))" "$(at --scan --pattern 'short:create-limit:*' | grep -cE '^short:create-limit:[ak]:[0-9a-f]{32}$')" "$kind: keys in the store"
  for name in one two; do assert_contains "$(ready "$name")" '"create_limit":{"up":true}' "$kind: ready"; done

  stop store KILL 137
  for name in one two; do
    wait_line "$name" "The store of --create-limit 127.0.0.1:$AT is gone, meanwhile each server limits by itself"
    assert_eq 6 "$(made 8 "$name")" "$kind: $name without it"
    assert_eq 0 "$(metric "${SIDE[$name]}" sdlab_shortener_limit_store_up)" "$kind: up"
    assert_contains "$(ready "$name")" '"create_limit":{"up":false,"why":"thestore127.0.0.1' "$kind: ready without it"
  done
  assert_eq "$n 16" "$(decided store) $(decided itself)" "$kind: who decided without it"

  "start_$kind"
  for name in one two; do wait_line "$name" "The store of --create-limit 127.0.0.1:$AT is back, $how"; done
  assert_eq 6 "$(both_made 4)" "$kind: with it again"
  for name in one two; do
    assert_eq '1 1' "$(log_count "$name" 'limits by itself') $(log_count "$name" 'is back')" "$kind: told once"
    assert_eq 1 "$(metric "${SIDE[$name]}" sdlab_shortener_limit_store_up)" "$kind: up again"
    assert_lacks "$(cat "$TMP/$name.log")" hush "$kind: the log"
  done
  stop one && stop two
}

add_key() { "$SDLAB" shortener key add "$1" --db "$TMP/links.db" | grep -o '^sd_.*'; }

# By address: without a key in the database nobody needs one, and one that is unknown counts for nothing.
sharing cache 'with CL.THROTTLE' none --cache redis://:hush@127.0.0.1:PORT --create-limit-store cache
stop store
KEYS="$(add_key website) $(add_key mail)" || fail 'no API keys'
sharing redis 'in Lua' "$KEYS" --create-limit-store redis://:hush@127.0.0.1:PORT

# ---- a store that says nothing ----
at FLUSHALL >/dev/null
kill -STOP "${PID[store]}"
short one --create-limit-store "redis://:hush@127.0.0.1:$AT" --cache-timeout 50ms
assert_eq 6 "$(made 8 one)" 'a store that was silent from the beginning'
stop one
kill -CONT "${PID[store]}"
# the server ends while somebody waits for it
short one --create-limit-store "redis://:hush@127.0.0.1:$AT" --cache-timeout 10s --drain-timeout 50ms
wait_line one 'is shared in'
kill -STOP "${PID[store]}"
curl -s --max-time 0.3 -o /dev/null -H 'Content-Type: application/json' -d '{"url":"https://example.com/"}' "${WHO[@]}" "${URL[one]}"
stop one
kill -CONT "${PID[store]}"
stop_quietly store

# ---- over TLS: whom the CA vouches for, and nobody else ----
AT=$(free_port)
"$SDLAB" tls selfsigned --name 127.0.0.1 --out "$TMP/certs" >/dev/null || fail 'tls selfsigned'
start store "$SDLAB" cache --port "$AT" --bind 127.0.0.1 --password hush --tls-cert "$TMP/certs/cert.pem" --tls-key "$TMP/certs/key.pem"
wait_port store "$AT"
for name in one two; do short "$name" --create-limit-store "rediss://:hush@127.0.0.1:$AT" --create-limit-store-ca "$TMP/certs/ca.pem"; done
for name in one two; do wait_line "$name" "--create-limit is shared in 127.0.0.1:$AT, with CL.THROTTLE"; done
assert_eq 6 "$(both_made 6)" 'over TLS: of 12 at two servers'
assert_eq "12 0" "$(decided store) $(decided itself)" 'over TLS: who decided'
for name in one two; do assert_contains "$(ready "$name")" '"create_limit":{"up":true}' 'over TLS: ready'; done
stop one && stop two
short one --create-limit-store "rediss://:hush@127.0.0.1:$AT"
wait_line one "The store of --create-limit 127.0.0.1:$AT is gone, meanwhile each server limits by itself: "
assert_eq 6 "$(made 8 one)" 'a certificate that nobody vouches for'
assert_contains "$(ready one)" '"create_limit":{"up":false' 'a certificate that nobody vouches for: ready'
assert_lacks "$(cat "$TMP/one.log")" hush 'the log of TLS'
stop one
stop store

# ---- what cannot be ----
refused() { # PART OPTION...
  local part=$1
  shift
  run "$SDLAB" shortener --check-config "$@"
  assert_eq 2 "$STATUS" "exit status with $*"
  assert_contains "$ERR" "$part" "$*"
  assert_lines 1 "$ERR" "$*"
}
refused 'create-limit-store: expected redis://' --create-limit-store http://127.0.0.1
refused 'create-limit-store: expected --cache' --create-limit-store cache
refused 'create-limit-store-ca: expected --create-limit-store rediss://' --create-limit-store-ca "$TMP/certs/ca.pem"
refused 'create-limit-store-ca: expected --create-limit-store rediss://' --create-limit-store redis://127.0.0.1 --create-limit-store-ca "$TMP/certs/ca.pem"
refused 'create-limit-store: ' --create-limit-store redis://:secret@127.0.0.1:99999
assert_lacks "$ERR" secret 'a password in an error'
echo ok
