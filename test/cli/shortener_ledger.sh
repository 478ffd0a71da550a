#!/usr/bin/env bash
# Nothing that was answered goes uncounted, and nothing is counted twice: the shortener is killed (SIGKILL) under load again and again, with clicks
# added up by itself, then with a queue between, whose worker is killed too and which is away for a while.
#
#   test/cli/shortener_ledger.sh BIN        ROUNDS=n for another number of kills than 3
# plain build only: it is about what survives; the same code runs under the sanitizers in the unit tests

# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
sdlab_test "$@"
need curl curl
need python3 python3
rounds=${ROUNDS:-3}
here=$(cd "$(dirname "$0")" && pwd)
declare -A SENT=() ANSWERED=() MADE=()

# start_url DIR THREADS OPTION...: PORT and ADMIN are where.
start_url() {
  local dir=$1 threads=$2
  shift 2
  start url "$SDLAB" shortener --port 0 --bind 127.0.0.1 --threads "$threads" --admin 127.0.0.1:0 --data-dir "$dir" --create-limit none "$@"
  wait_line url 'Database connected'
  PORT=$(port_of url) || exit 1
  ADMIN=$(admin_of url) || exit 1
}
create() {
  run curl -sS --max-time 10 -f -H 'Content-Type: application/json' -d "{\"url\":\"https://example.com/$1\",\"alias\":\"$1\"}" \
    "http://127.0.0.1:$PORT/api/shorten"
  assert_eq 0 "$STATUS" "creating $1: $ERR"
  MADE[$1]=1
}
clicks() { curl -sS --max-time 10 "http://127.0.0.1:$PORT/api/stats/$1" | sed -n 's/^ *"clicks": *\([0-9]*\),*$/\1/p' | head -n 1; }
counted() { [ "$(clicks "$1")" -ge "$2" ]; }
click() { python3 "$here/shortener_ledger.py" "$PORT" "$1" "$2" 1 >/dev/null || fail "redirects of $1"; }

# load CODE WANT [NAME]: redirects; the process NAME is killed in the middle of them.
load() {
  local numbers
  [ -n "${MADE[$1]:-}" ] || create "$1"
  { # the shell tells of who was killed
    numbers=$(python3 "$here/shortener_ledger.py" "$PORT" "$1" "$2" 6 ${3:+"${PID[$3]}"} 2>"$TMP/load.err")
    [ -z "$numbers" ] || [ -z "${3:-}" ] || wait_exit "$3"
  } 2>/dev/null
  [ -n "$numbers" ] || fail "redirects of $1: $(cat "$TMP/load.err")"
  SENT[$1]=${numbers% *}
  ANSWERED[$1]=${numbers#* }
}
kill_it() {
  {
    kill -s KILL "${PID[$1]}"
    wait_exit "$1"
  } 2>/dev/null
}

# Batches are read of the first journal before the others, so that a click that is counted says that of the others at least a batch is, and that of
# its own all before it is: as many of them as there can be batches.
all_counted() {
  local n=1 code
  create "end$1"
  for code in "${!ANSWERED[@]}"; do n=$((n + SENT[$code])); done
  n=$((n / 8192 + 2))
  for ((i = 1; i <= n; i++)); do
    click "end$1" 1
    wait_for "click $i of $n at the end to be counted" counted "end$1" "$i"
  done
  assert_eq "$n" "$(clicks "end$1")" 'clicks at the end'
}

check_ledger() { # WHAT
  local code n
  for code in "${!ANSWERED[@]}"; do
    n=$(clicks "$code")
    [ "$n" -ge "${ANSWERED[$code]}" ] || fail "$1: $code was answered ${ANSWERED[$code]} times and counted $n"
    [ "$n" -le "${SENT[$code]}" ] || fail "$1: $code was asked for ${SENT[$code]} times and counted $n"
  done
  SENT=() ANSWERED=()
}

# ---- added up by itself ----
for ((round = 1; round <= rounds; round++)); do
  start_url "$TMP/own" 2
  load "own$round" $((RANDOM % 3000 + 200)) url
done
start_url "$TMP/own" 1
all_counted 1
check_ledger 'by itself'
assert_eq 0 "$(metric "$ADMIN" sdlab_shortener_clicks_lost_total)" 'clicks that were lost'
stop url

# ---- with a queue between ----
port=$(free_port)
db=$TMP/queue/links.db
start_mq() {
  start mq "$SDLAB" mq --port "$port" --http off --data-dir "$TMP/mq"
  wait_line mq "Listening on :$port"
}
start_worker() {
  start worker "$SDLAB" shortener worker --db "$db" --events "amqp://127.0.0.1:$port"
  wait_line worker 'Clicks come from the queue'
}
start_queue_url() { start_url "$TMP/queue" 2 --events "amqp://127.0.0.1:$port"; }
more_than() { [ "$(metric "$ADMIN" "sdlab_shortener_events_$1_total")" -gt "$2" ]; }
all_taken() { "$SDLAB" mq list sdlab.clicks --server "amqp://127.0.0.1:$port" | awk '$1 == "sdlab.clicks" { n = $2 } END { exit n != "0" }'; }

start_mq
start_queue_url
start_worker
for ((round = 1; round <= rounds; round++)); do
  load "queue$round" $((RANDOM % 3000 + 200)) url
  start_queue_url
done

# The worker is killed while it has messages that it cannot add up, since somebody else writes to the database.
load before 500
wait_for 'what was before to be counted' counted before 500
create worker
start lock python3 -c 'import signal, sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=20)
db.execute("BEGIN IMMEDIATE")
print("locked", flush=True)
signal.pause()' "$db"
wait_line lock locked
published=$(metric "$ADMIN" sdlab_shortener_events_published_total)
load worker 1000
wait_for 'clicks to be in the queue' more_than confirmed "$published"
wait_for 'the worker to have taken them' all_taken
kill_it worker
kill_it lock
load between 500
start_worker
wait_for 'what came meanwhile to be counted' counted between 500

# The queue is away, and clicks wait in the journal.
kill_it mq
wait_line url 'The queue of clicks is away'
load spool 2000
load spoolkill 500 url
start_queue_url
load away 500
assert_eq 0 "$(clicks spool)" 'clicks while the queue was away'
start_mq
wait_for 'what was kept to be counted' counted away 500

# The queue is killed while it has messages that it did not confirm. Nobody starts the shortener again behind this: it would send all it has.
create broker
kill -s STOP "${PID[mq]}"
published=$(metric "$ADMIN" sdlab_shortener_events_published_total)
load broker 1000
wait_for 'clicks to be on their way' more_than published "$published"
kill_it mq
start_mq
all_counted 2
check_ledger 'with a queue'
assert_eq 0 "$(metric "$ADMIN" sdlab_shortener_clicks_lost_total)" 'clicks that were lost'
stop worker
stop url
stop mq
