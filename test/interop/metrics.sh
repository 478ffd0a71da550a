#!/usr/bin/env bash
# What /metrics says is Prometheus text, by the word of promtool, and the admin answers are what they should be.

# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
sdlab_test "$@"
need curl curl
need prometheus promtool

start_backend a A --admin 127.0.0.1:0
backend_admin=$(admin_of a) || exit 1
start_lb lb --health-interval 100ms --backend "127.0.0.1:$PORT" --route path=/
for path in / /status/404 /status/503 /bytes/64KiB; do
  curl -sS -o /dev/null --max-time 20 "http://127.0.0.1:$PORT$path" || fail "GET $path"
done

for address in "$ADMIN" "$backend_admin"; do
  curl -sS -D "$TMP/head" -o "$TMP/metrics" --max-time 20 "http://$address/metrics" || fail 'GET /metrics'
  assert_match "$(tr -d '\r' <"$TMP/head")" '^[Cc]ontent-[Tt]ype: text/plain; version=0\.0\.4' 'type of /metrics'
  promtool check metrics <"$TMP/metrics" >"$TMP/promtool" 2>&1 || fail "promtool: $(cat "$TMP/promtool")"
  for path in health ready; do
    assert_eq 200 "$(curl -sS -o /dev/null -w '%{http_code}' --max-time 20 "http://$address/-/$path")" "/-/$path"
  done
done
assert_eq 4 "$(metric "$ADMIN" "$M_LB_REQUESTS")" 'requests that lb counted'
assert_match "$(curl -sS -D - -o /dev/null --max-time 20 "http://$ADMIN/-/backends" | tr -d '\r')" \
  '^[Cc]ontent-[Tt]ype: application/json' 'type of /-/backends'
assert_contains "$(curl -sS --max-time 20 "http://$ADMIN/-/backends")" '127.0.0.1' '/-/backends'

# Each name is in the manual.
for name in $(curl -sS --max-time 20 "http://$ADMIN/metrics" | sed -n 's/^# TYPE sdlab_\([a-z0-9_]*\) .*/\1/p'); do
  grep -q "^\.It Li .*\b$name\b" "$ROOT/man/sdlab-lb.1" || fail "metric sdlab_$name is not in sdlab-lb(1)"
done

# The live stream opens and stays open.
: >"$TMP/events.head"
: >"$TMP/events"
curl -sS -N --max-time 30 -D "$TMP/events.head" -o "$TMP/events" "http://$ADMIN/-/events" 2>/dev/null &
PID[events]=$!
STARTED="$STARTED events"
wait_for 'the stream of events' grep -qi '^content-type: text/event-stream' "$TMP/events.head"
stop a
wait_for 'the loss of a backend to be told' grep -q '^data:' "$TMP/events"
kill "${PID[events]}"
wait "${PID[events]}" 2>/dev/null
stop lb
