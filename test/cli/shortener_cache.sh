#!/usr/bin/env bash
# Links at hand and in a cache that two servers share: what is changed on one shows on both, at once where it was changed; a cache that is away,
# slow or has something else under a key fails no redirect; a crowd at one cold code asks once.

# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
sdlab_test "$@"
need curl curl

# ---- what cannot be ----
refuses() { # PART OPTION...
  local part=$1
  shift
  run "$SDLAB" shortener --check-config "$@"
  assert_eq 2 "$STATUS" "exit status with $*"
  assert_contains "$ERR" "$part" "$*"
  assert_lines 1 "$ERR" "$*"
}
refuses 'cache: expected' --cache http://127.0.0.1
refuses 'rediss://' --cache rediss://127.0.0.1
refuses 'cache-life: expected a time from 1s to 24h' --cache-life 0
refuses 'lookup-timeout: expected a time from 10ms to 10s' --lookup-timeout 1m
refuses 'cache-prefix: expected' --cache-prefix 'a b'
refuses 'cache-size' --cache-size 1
refuses 'cache: ' --cache redis://:secret@127.0.0.1:99999
assert_lacks "$ERR" secret 'a password in an error'

# ---- helpers ----
start_shortener() { # NAME OPTION...: PORT[NAME], ADMINS[NAME]
  local name=$1
  shift
  start "$name" "$SDLAB" shortener --port 0 --bind 127.0.0.1 --threads 2 --admin 127.0.0.1:0 --data-dir "$TMP/$name" --create-limit none --cache-timeout 10s "$@"
  PORTS[$name]=$(port_of "$name") || exit 1
  ADMINS[$name]=$(admin_of "$name") || exit 1
}
declare -A PORTS ADMINS
target() { curl -sS -o /dev/null --max-time 10 -w '%{http_code} %{redirect_url}' "http://127.0.0.1:${PORTS[$1]}/$2"; }
is_target() { [ "$(target "$1" "$2")" = "$3" ]; }
create() { # NAME ALIAS URL
  curl -sS --max-time 10 -o "$TMP/answer" -w '%{http_code}' -H 'Content-Type: application/json' -d "{\"url\":\"$3\",\"alias\":\"$2\"}" \
    "http://127.0.0.1:${PORTS[$1]}/api/shorten" >"$TMP/status"
  assert_eq 201 "$(cat "$TMP/status")" "creating $2: $(cat "$TMP/answer")"
}
change() { # NAME CODE JSON
  curl -sS --max-time 10 -X PATCH -o "$TMP/answer" -w '%{http_code}' -H 'Content-Type: application/json' -d "$3" \
    "http://127.0.0.1:${PORTS[$1]}/api/links/$2" >"$TMP/status"
  assert_eq 200 "$(cat "$TMP/status")" "changing $2: $(cat "$TMP/answer")"
}
remove() { curl -sS --max-time 10 -X DELETE -o /dev/null "http://127.0.0.1:${PORTS[$1]}/api/links/$2"; }
counts() { metric "${ADMINS[$1]}" "sdlab_shortener_$2" "${3:-}"; }

# ---- two servers, one database, one cache ----
two_servers() { # CACHE-PORT KIND
  local i
  start_shortener a --db "$TMP/$2.db" --cache "redis://127.0.0.1:$1"
  start_shortener b --db "$TMP/$2.db" --cache "redis://127.0.0.1:$1"
  wait_both
  assert_eq '404 ' "$(target b new)" "unknown code, $2"
  create a new https://example.com/1
  for i in 1 2 3 4; do assert_eq '301 https://example.com/1' "$(target a new)" "made here, $2"; done
  wait_for "$2: b to hear of a new link" is_target b new '301 https://example.com/1'
  for i in 2 3 4; do
    change a new "{\"url\":\"https://example.com/$i\"}"
    assert_eq "301 https://example.com/$i" "$(target a new)" "changed here, $2"
    wait_for "$2: b to hear of change $i" is_target b new "301 https://example.com/$i"
  done
  change b new '{"enabled":false}'
  assert_eq '410 ' "$(target b new)" "disabled here, $2"
  wait_for "$2: a to hear of a disabled link" is_target a new '410 '
  remove a new
  assert_eq '404 ' "$(target a new)" "deleted here, $2"
  wait_for "$2: b to hear of a deleted link" is_target b new '404 '
  [ "$(counts b changes_total 'from="elsewhere"')" -ge 5 ] || fail "$2: b heard of $(counts b changes_total 'from="elsewhere"') changes, expected 5"

  # what one asked the database for, the other has from the cache
  create a shared https://example.com/shared
  restart_both "$1" "$2"
  target a shared >/dev/null
  wait_for "$2: the cache to be filled" filled
  assert_eq '301 https://example.com/shared' "$(target b shared)" "out of the cache, $2"
  assert_eq 1 "$(counts b cache_lookups_total 'result="hit"')" "hits in the cache, $2"
}
filled() { [ "$(counts a cache_fills_total)" -ge 1 ]; }
restart_both() {
  stop a
  stop b
  cache_cli FLUSHALL >/dev/null || fail "FLUSHALL"
  start_shortener a --db "$TMP/$2.db" --cache "redis://127.0.0.1:$1"
  start_shortener b --db "$TMP/$2.db" --cache "redis://127.0.0.1:$1"
  wait_both
}
# wait_both: both have the cache, and hear what the other changes.
wait_both() {
  wait_line a 'answers'
  wait_line b 'answers'
  wait_for 'both to listen' both_hear
}
both_hear() { # that a link to the cache is there says nothing of the other one, which listens
  local channel
  channel=$(cache_cli PUBSUB CHANNELS) && [ -n "$channel" ] && [ "$(cache_cli PUBSUB NUMSUB "$channel" | tail -n 1)" = 2 ]
}
cache_cli() { SDLAB_CACHE_URL=redis://127.0.0.1:$CACHE "$SDLAB" cache "$@"; }

start cache "$SDLAB" cache --port 0 --bind 127.0.0.1
CACHE=$(port_of cache) || exit 1
two_servers "$CACHE" ours

# ---- something else under a key ----
create a odd https://example.com/odd
cache_cli DEL short:odd >/dev/null || fail DEL
cache_cli RPUSH short:odd x >/dev/null || fail RPUSH
assert_eq '301 https://example.com/odd' "$(target b odd)" 'a list under its key'
[ "$(counts b cache_lookups_total 'result="error"')" -ge 1 ] || fail 'a value of the wrong type was not counted'

# ---- a crowd at a cold code ----
create a crowd https://example.com/crowd
wait_for 'b to hear of both new links' metric_at_least "${ADMINS[b]}" sdlab_shortener_changes_total 2 'from="elsewhere"'
before=$(counts b flights_total)
run "$SDLAB" load --quiet --conns 50 --requests 500 "http://127.0.0.1:${PORTS[b]}/crowd"
assert_eq 0 "$STATUS" "load: $ERR"
asked=$(($(counts b flights_total) - before))
if [ "$asked" -lt 1 ] || [ "$asked" -gt 2 ]; then fail "500 requests on 2 threads asked $asked times: expected each thread to ask once at most"; fi

# ---- the cache goes ----
stop cache
wait_line a 'is gone'
create a gone https://example.com/gone
assert_eq '301 https://example.com/gone' "$(target a gone)" 'without the cache'
assert_eq '301 https://example.com/gone' "$(target b gone)" 'without the cache, elsewhere'
change a gone '{"url":"https://example.com/back"}'
assert_eq '301 https://example.com/back' "$(target a gone)" 'changed without the cache'
assert_eq '404 ' "$(target a none)" 'unknown without the cache'
start cache "$SDLAB" cache --port "$CACHE" --bind 127.0.0.1
wait_for 'what was changed meanwhile to be told' is_target b gone '301 https://example.com/back'
stop a
stop b

# ---- a wrong password, and a cache that says nothing ----
start_shortener wrong --db "$TMP/ours.db" --cache "redis://:not-it@127.0.0.1:$CACHE"
wait_line wrong 'is gone'
assert_eq '301 https://example.com/back' "$(target wrong gone)" 'with a wrong password'
assert_lacks "$(cat "$TMP/wrong.log")" not-it 'the log'
stop wrong
kill -s STOP "${PID[cache]}"
start_shortener slow --db "$TMP/ours.db" --cache "redis://127.0.0.1:$CACHE" --cache-timeout 50ms
assert_eq '301 https://example.com/back' "$(target slow gone)" 'with a cache that says nothing'
kill -s CONT "${PID[cache]}"
stop slow
stop cache

# ---- the same with Redis ----
if baseline redis-server redis-server; then
  CACHE=$(free_port)
  start redis redis-server --port "$CACHE" --bind 127.0.0.1 --save '' --appendonly no --dir "$TMP"
  wait_port redis "$CACHE"
  two_servers "$CACHE" redis
  stop a
  stop b
  stop_quietly redis
fi
