#!/usr/bin/env bash
# Clicks on Debian's PostgreSQL: added up by the shortener itself, by two servers at once while it breaks off, and then through Debian's RabbitMQ
# by two workers, of which one is killed. Each click counts once, and the statistics say what was sent. Then examples/shortlinks-engines.yaml on these
# two and Debian's Redis, killed under load.
# plain build only: it is about how others take what we send

# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=../postgres.sh
. "$(dirname "$0")/../postgres.sh"
# shellcheck source=../rabbitmq.sh
. "$(dirname "$0")/../rabbitmq.sh"
# shellcheck source=../shortlinks.sh
. "$(dirname "$0")/../shortlinks.sh"
sdlab_test "$@"
need curl curl
need python3 python3
need redis-server redis-server
command -v rabbitmq-server >/dev/null 2>&1 || skip rabbitmq-server
redirects=$(cd "$(dirname "$0")/../cli" && pwd)/shortener_ledger.py

# start_server NAME OPTION...: PORT is where.
start_server() {
  local name=$1
  shift
  start "$name" "$SDLAB" shortener --port 0 --bind 127.0.0.1 --threads 1 --admin 127.0.0.1:0 --data-dir "$TMP/$name" --db "${PG[pg]}" \
    --create-limit none "$@"
  wait_line "$name" 'Database connected'
  PORT=$(port_of "$name") || exit 1
}
start_url() { start_server url "$@"; }
create() {
  run curl -sS --max-time 10 -f -H 'Content-Type: application/json' -d "{\"url\":\"https://example.com/$1\",\"alias\":\"$1\"}" \
    "http://127.0.0.1:$PORT/api/shorten"
  assert_eq 0 "$STATUS" "creating $1: $ERR"
}
load() { run python3 "$redirects" "$PORT" "$1" "$2" 4; assert_eq "0 $2 $2" "$STATUS $OUT" "redirects of $1: $ERR"; }
visit() { curl -sS --max-time 10 -o /dev/null -A "$1" "http://127.0.0.1:$PORT/$2"; }
sql() { psql -At "${PG[pg]}" -c "$1"; }
gives() { [ "$(sql "$1")" = "$2" ]; }
fetched() { curl -fsS -o /dev/null --max-time 20 "$1" 2>/dev/null; }
some_of_both() { [ "$(sql "$clicks 'both'")" -gt 0 ]; }
clicks="SELECT clicks FROM links WHERE code ="

start_postgres pg fsync=off

# ---- by itself ----
start_url
sql 'INSERT INTO click_hours VALUES (0, 1, 1, 0, 0, 0); INSERT INTO click_orphans SELECT $$/old$$ || n, 1, 1 FROM generate_series(1, 10020) n' >/dev/null
create own
load own 300
visit 'Googlebot/2.1 (+http://www.google.com/bot.html)' own
visit 'curl/8.0' not-there
visit 'curl/8.0' not-there
load own 100
wait_for 'clicks to be counted' gives "$clicks 'own'" 400
wait_for 'orphans to be counted' gives "SELECT SUM(n) FROM click_orphans WHERE path LIKE '%not-there'" 2
run curl -sS --max-time 10 "http://127.0.0.1:$PORT/api/stats/own"
assert_match "$OUT" '^ *"clicks": *400,$' 'statistics'
assert_contains "$OUT" 'example.com' 'referrers'
assert_eq "400|1" "$(sql "SELECT SUM(d.clicks), SUM(bots) FROM click_days d JOIN links l ON l.id = d.link WHERE code = 'own'")" 'days'
assert_eq "400|1" "$(sql "SELECT SUM(h.clicks), SUM(bots) FROM click_hours h JOIN links l ON l.id = h.link WHERE code = 'own'")" 'hours'
assert_eq 400 "$(sql "SELECT SUM(s.clicks) FROM click_shares s JOIN links l ON l.id = s.link WHERE code = 'own' AND name = 'example.com'")" 'shares'

# ---- two servers at once, and the database breaks off in the middle ----
first=$PORT
start_server other
create both
for PORT in "$first" "$PORT"; do
  load both 1 # so that it is at hand
  python3 "$redirects" "$PORT" both 5000 4 >"$TMP/both.$PORT" 2>&1 &
  loads="${loads:-} $!"
done
wait_for 'some to be counted' some_of_both
kill -s QUIT "${PID[pg]}"
wait_exit pg
for pid in $loads; do wait "$pid" || fail "redirects of both: $(cat "$TMP"/both.*)"; done
restart_postgres pg fsync=off
wait_for 'clicks at two servers to be counted' gives "$clicks 'both'" 10002
stop other
PORT=$first
wait_for 'the first to have the database again' fetched "http://127.0.0.1:$PORT/api/stats/own"
create after
load after 1
wait_for 'clicks behind them to be counted' gives "$clicks 'after'" 1
assert_eq 10002 "$(sql "$clicks 'both'")" 'clicks at two servers'

# ---- through RabbitMQ; meanwhile what is old goes ----
start_rabbitmq rabbit
events=amqp://guest:guest@127.0.0.1:${AT[rabbit]}
wait_for 'old hours to go' gives 'SELECT COUNT(*) FROM click_hours WHERE hour = 1' 0
assert_eq 0 "$(sql 'SELECT COUNT(*) FROM click_orphans WHERE last_ms = 1')" 'old orphans'
stop url
start_url --events "$events"
wait_line url 'Clicks go to the queue'
start_worker() {
  start "$1" "$SDLAB" shortener worker --db "${PG[pg]}" --events "$events"
  wait_line "$1" 'Clicks come from the queue'
}
start_worker one
start_worker two
create queue
load queue 300
wait_for 'clicks to come through the queue' gives "$clicks 'queue'" 300
{
  kill -s KILL "${PID[one]}"
  load queue 400
  wait_exit one
} 2>/dev/null
wait_for 'the other worker to go on' gives "$clicks 'queue'" 700
create end
load end 1
wait_for 'all to be counted' gives "$clicks 'end'" 1
assert_eq 700 "$(sql "$clicks 'queue'")" 'clicks in the end'
assert_eq 400 "$(sql "$clicks 'own'")" 'clicks that came a second time through the queue'
stop two
stop url

# ---- the stack of the example ----
shortlinks_file shortlinks-engines.yaml "$TMP/stack.yaml" 8091 8092 8087 8088 8089 8080 8079
redis=$(free_port)
start redis redis-server --port "$redis" --bind 127.0.0.1 --save '' --dir "$TMP"
wait_port redis "$redis"
sed "s|postgres://shortlinks:secret@127.0.0.1:5432/shortlinks|${PG[pg]}|; s|127.0.0.1:6379|127.0.0.1:$redis|; s|guest@127.0.0.1:5672|guest@127.0.0.1:${AT[rabbit]}|" \
  "$TMP/stack.yaml" >"$TMP/shortlinks.yaml"
start up "$SDLAB" up "$TMP/shortlinks.yaml" --isolate
wait_line up 'shortlinks is ready: 4 services'
before=$(clicks)
start_redirects
wait_for 'all to be connected' counts
for name in links-1 links-2 clicks; do kill_under_load strict $name; done
# Redis goes and comes back.
kill -s KILL "${PID[redis]}"
{ wait_exit redis; } 2>/dev/null
go strict 100
start redis redis-server --port "$redis" --bind 127.0.0.1 --save '' --dir "$TMP"
wait_port redis "$redis"
wait_for 'the cache to be back' counts
go strict 100
kill_under_load any front links-1 links-2 clicks
end_redirects
check_clicks "$before"
[ "$(redis-cli -p "$redis" DBSIZE)" -gt 0 ] || fail 'Redis has no link'
stop up INT
