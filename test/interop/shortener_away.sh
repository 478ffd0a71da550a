#!/usr/bin/env bash
# The database goes away: links that are at hand go on to redirect, also when their time is over; what is not known is 503 with Retry-After and not
# 404; and when it is back all is as before.

# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=../postgres.sh
. "$(dirname "$0")/../postgres.sh"
sdlab_test "$@"
need curl curl

start_postgres pg fsync=off
start url "$SDLAB" shortener --port 0 --bind 127.0.0.1 --threads 1 --data-dir "$TMP/data" --db "${PG[pg]}" --cache-life 1s \
  --admin 127.0.0.1:0
PORT=$(port_of url) || exit 1
ADMIN=$(admin_of url) || exit 1
wait_line url 'Database connected'
ask() { curl -sS --max-time 10 -D "$TMP/head" -o /dev/null -w '%{http_code} %{redirect_url}' "http://127.0.0.1:$PORT/$1"; }
says() { [ "$(ask "$1")" = "$2" ]; }
curl -sS --max-time 10 -o /dev/null -H 'Content-Type: application/json' -d '{"url":"https://example.com/a","alias":"hand"}' "http://127.0.0.1:$PORT/api/shorten"
assert_eq '301 https://example.com/a' "$(ask hand)" 'before'
assert_eq '404 ' "$(ask none)" 'unknown, before'

kill -s INT "${PID[pg]}"
wait_exit pg
wait_for 'a code that is not known to be 503' says other '503 '
assert_match "$(tr -d '\r' <"$TMP/head")" '^Retry-After: [0-9]+$' 'the head of a 503'
is_stale() {
  assert_eq '301 https://example.com/a' "$(ask hand)" 'while it is away'
  metric_at_least "$ADMIN" sdlab_shortener_lookup_stale_total 1
}
wait_for 'the life of the link at hand to be over' is_stale
for i in 1 2 3; do assert_eq '301 https://example.com/a' "$(ask hand)" "while it is away, $i"; done

restart_postgres pg fsync=off
wait_for 'unknown codes to be unknown' says other3 '404 '
assert_eq '301 https://example.com/a' "$(ask hand)" 'afterwards'
