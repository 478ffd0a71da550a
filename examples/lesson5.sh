#!/bin/sh
# Lesson 5: work that waits in a queue. Twenty tasks shared by three workers, none done twice; what fails too often ends among
# the dead letters and is sent back from there; retries that wait longer each time; and the same work by one and by ten workers.
#   examples/lesson5.sh [--time 50ms] [build/plain/sdlab]
# About 15 seconds; --time is how long a task takes at most. Ports are chosen by the system. Needs nothing but sdlab.
set -u

here=$(dirname "$0")
time=50ms
sdlab=
while [ $# -gt 0 ]; do
  case $1 in
  --time)
    [ $# -ge 2 ] || { echo 'lesson5: --time: expected a time such as 50ms' >&2; exit 2; }
    time=$2
    shift
    ;;
  -*)
    echo "usage: $0 [--time TIME] [SDLAB]" >&2
    exit 2
    ;;
  *) sdlab=$1 ;;
  esac
  shift
done
if [ -z "$sdlab" ]; then
  sdlab=sdlab
  [ ! -x "$here/../build/plain/sdlab" ] || sdlab=$here/../build/plain/sdlab
fi
command -v "$sdlab" >/dev/null || { echo "lesson5: cannot find $sdlab; run make first" >&2; exit 1; }

tmp=$(mktemp -d) || exit 1
broker=
# shellcheck disable=SC2317 # called by the trap
finish() {
  status=$?
  trap - EXIT INT TERM
  [ -z "$broker" ] || { kill "$broker" 2>/dev/null && wait "$broker"; }
  rm -rf "$tmp"
  exit "$status"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

bold=
plain=
if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then
  bold=$(printf '\033[1m') plain=$(printf '\033[0m')
fi
say() { printf '\n%s%s%s\n' "$bold" "$*" "$plain"; }
die() {
  echo "lesson5: $*" >&2
  exit 1
}

: >"$tmp/log" # it is read before the broker may have begun
"$sdlab" mq --port 0 --http off --data-dir "$tmp/data" >"$tmp/log" 2>&1 &
broker=$!
tries=0
until port=$(sed -n 's/.*Listening on .*:\([0-9][0-9]*\).*/\1/p' "$tmp/log" | head -n 1) && [ -n "$port" ]; do
  kill -0 "$broker" 2>/dev/null || die "the broker did not start: $(cat "$tmp/log")"
  tries=$((tries + 1))
  [ "$tries" -le 400 ] || die 'the broker does not listen'
  sleep 0.05
done
export SDLAB_MQ_URL="amqp://127.0.0.1:$port"

# workers QUEUE "NAMES" OPTION...: each of these names is a worker; all end when nothing comes any more. What they say is in $tmp/said.
workers() {
  queue=$1 names=$2
  shift 2
  : >"$tmp/said"
  pids=
  for name in $names; do
    "$sdlab" mq work "$queue" --name "$name" --wait 500ms "$@" >>"$tmp/said" &
    pids="$pids $!"
  done
  for pid in $pids; do wait "$pid" || die "a worker ended with an error"; done
}

say '1. A producer puts 20 tasks into a queue and does not wait for anybody'
seq 1 20 | sed 's/^/task_/' >"$tmp/tasks"
"$sdlab" mq publish tasks --lines --quiet <"$tmp/tasks" || die 'the tasks were not taken'
"$sdlab" mq list tasks

say '2. Three workers share them: each takes one at a time, and one in ten fails'
workers tasks 'A B C' --time 1ms --time-max "$time" --fail 10% --seed 7
sort -t ']' -k 2,2V "$tmp/said" | grep ' after ' | sed 's/^/   /'
echo
grep -v ' after ' "$tmp/said" | sed 's/^/   /'
twice=$(grep ' done after' "$tmp/said" | awk '{ print $2 }' | sort | uniq -d | wc -l)
printf '   done by two workers: %d\n' "$twice"
echo '   A message is with one worker until that one answers; what failed came back, and was somebody else'"'"'s then.'

say '3. A task that nobody can do: after three more tries it is a dead letter, and does not stand in the way of the others'
"$sdlab" mq publish tasks poison --quiet
workers tasks A --time 1ms --fail 100%
sed 's/^/   /' "$tmp/said"
echo "   sdlab mq dlq list tasks:"
"$sdlab" mq dlq list tasks | sed 's/^/   /'
echo '   The fault is mended, and what is dead goes back: sdlab mq dlq replay tasks'
"$sdlab" mq dlq replay tasks | sed 's/^/   /'
workers tasks A --time 1ms
sed 's/^/   /' "$tmp/said"

say '4. Retries with backoff: each failure makes the next try wait up to twice as long (x-delayed-retry-min, -max), at a random moment'
"$sdlab" mq declare retries --arg x-delayed-retry-min=50 --arg x-delayed-retry-max=400 --arg x-delivery-limit=5 >/dev/null
"$sdlab" mq publish retries transient --quiet
workers retries A --time 1ms --fail 70% --seed 3 --wait 2s # longer than any pause between two tries, on a busy machine too
sed 's/^/   /' "$tmp/said"

say '5. The same 30 tasks by one worker and by ten'
for names in 'one' 'a b c d e f g h i j'; do
  seq 1 30 >"$tmp/tasks"
  "$sdlab" mq publish many --lines --quiet <"$tmp/tasks"
  # shellcheck disable=SC2086 # a list of names
  set -- $names
  began=$(date +%s%N)
  workers many "$names" --time "$time"
  ended=$(date +%s%N)
  count=$(grep -c ' done after' "$tmp/said")
  # All wait half a second at the end, to see that nothing comes any more.
  ms=$((((ended - began) / 1000000) - 500))
  printf '   %2d worker(s): %3d tasks in %5d ms\n' $# "$count" "$ms"
done
echo '   The producer waited for none of them.'

say 'Try next: sdlab mq --data-dir ./queue-data, then http://127.0.0.1:15672/ in a browser, and kill it while somebody publishes'
