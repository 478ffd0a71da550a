#!/bin/sh
# The main job, shown: a load balancer in front of three backends, real traffic, a backend killed at half time; a cache, asked as
# often as they are; and a queue of orders, shared by three workers of whom one is killed.
#   examples/demo.sh build/plain/sdlab
# On a terminal it stays up until Ctrl-C; elsewhere it ends with 0 when no request failed, else 1.
set -u

here=$(dirname "$0")
sdlab=${1:-}
if [ -z "$sdlab" ]; then
  sdlab=sdlab
  [ ! -x "$here/../build/plain/sdlab" ] || sdlab=$here/../build/plain/sdlab
fi
command -v "$sdlab" >/dev/null || { echo "demo: cannot find $sdlab; run make first" >&2; exit 1; }
requests=${DEMO_REQUESTS:-3000}
rate=${DEMO_RATE:-2000} # a second
orders=${DEMO_ORDERS:-300}
url=http://127.0.0.1:8080
cache=redis://127.0.0.1:7001
queue=amqp://127.0.0.1:5672
admin=http://127.0.0.1:8079
tmp=$(mktemp -d)
stack=
watcher=
sessions=
workers=
interrupted=

# shellcheck disable=SC2317 # called by the trap
finish() {
  status=$?
  trap - EXIT INT TERM
  [ -z "$watcher" ] || kill "$watcher" 2>/dev/null
  [ -z "$sessions" ] || kill "$sessions" 2>/dev/null
  # shellcheck disable=SC2086 # process ids
  [ -z "$workers" ] || kill $workers 2>/dev/null
  if [ -n "$stack" ]; then
    # Ctrl-C reached the stack as well; a second signal would cut its orderly stop short.
    [ -n "$interrupted" ] || kill -TERM "$stack" 2>/dev/null
    wait "$stack"
  fi
  rm -rf "$tmp"
  exit "$status"
}
trap finish EXIT
trap 'interrupted=1; exit 130' INT
trap 'exit 143' TERM

bold=
plain=
if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then
  bold=$(printf '\033[1m') plain=$(printf '\033[0m')
fi
say() { printf '\n%s%s%s\n' "$bold" "$*" "$plain"; }

# Is it our stack that runs, and not somebody else's behind the same port?
ours() { "$sdlab" up status demo --json 2>/dev/null | grep -q "\"pid\":[[:space:]]*$stack,"; }

# shellcheck disable=SC2317 # called by until_true
ready() { ours && curl -fs "$admin/-/ready" >/dev/null && "$sdlab" cache ping --server "$cache" >/dev/null 2>&1 &&
  "$sdlab" mq declare orders --server "$queue" >/dev/null 2>&1; }

# Until a command succeeds; false when it has not within 10 s.
until_true() {
  tries=0
  until "$@"; do
    tries=$((tries + 1))
    [ "$tries" -le 200 ] || return 1
    sleep 0.05
  done
}

# What the balancer has passed on so far.
passed_on() {
  curl -s "$admin/metrics" | awk '/^sdlab_lb_backend_requests_total/ { n += $2 } END { printf "%d\n", n }'
}

pid_of() {
  "$sdlab" up status demo --json | awk -v want="\"$1\"," '
    $1 == "\"name\":" { here = $2 == want }
    here && $1 == "\"pid\":" { sub(",", "", $2); print $2; exit }'
}

say "1. A load balancer on 8080 in front of three backends, a cache on 7001, a queue on 5672: sdlab up examples/demo.yaml"
"$sdlab" up "$here/demo.yaml" &
stack=$!
if ! until_true ready; then
  echo "demo: the stack did not start; see the lines above" >&2
  stack_gone=$stack stack=
  wait "$stack_gone"
  exit 1
fi

say "2. $requests requests, $rate a second, with sdlab load; Server-B is killed (SIGKILL) when half of them are through"
(
  while [ "$(passed_on)" -lt $((requests / 2)) ]; do
    ours || exit 1
    sleep 0.02
  done
  victim=$(pid_of web-2)
  echo "$victim" >"$tmp/victim"
  kill -9 "$victim"
) &
watcher=$!
# Meanwhile the cache: sessions of 200 users are read, and one time in five written.
"$sdlab" load "$cache" -n "$requests" -r "$rate/s" -c 4 --quiet --keys 200 --command '4 GET session:{{key}}' \
  --command '1 SET session:{{key}} "user {{key}}" EX 60' >"$tmp/sessions" 2>&1 &
sessions=$!
# And the queue: orders are put into it, and three workers share them. One is killed with an order in its hands.
seq 1 "$orders" | sed 's/^/order-/' | "$sdlab" mq publish orders --lines --quiet --server "$queue"
for name in A B C; do
  "$sdlab" mq work orders --server "$queue" --name "$name" --time 3ms --time-max 9ms --wait 1s >"$tmp/work.$name" 2>/dev/null &
  workers="$workers $!"
  [ "$name" != B ] || worker=$!
done
# shellcheck disable=SC2317 # called by until_true
at_work() { [ "$(grep -c ' done ' "$tmp/work.B")" -ge 10 ]; }
until_true at_work && kill -9 "$worker"
"$sdlab" load "$url/?request={{seq}}" -n "$requests" -r "$rate/s" -c 20 --quiet --tally \
  --json "$tmp/result.json" --csv "$tmp/result.csv" >"$tmp/summary"
wait "$watcher"
watcher=
wait "$sessions"
cached=$?
sessions=
# shellcheck disable=SC2086 # process ids; the killed one has said so
wait $workers 2>/dev/null
workers=

say "3. What came of it"
# The tally has a line with the text of an answer, then one with how often it came.
awk '
  $1 == "\"text\":" { who = $4; gsub(/[",]/, "", who) }
  $1 == "\"count\":" && who != "" { printf "   %-10s answered %5d\n", who, $2; who = "" }' "$tmp/result.json"
good=$(awk '$1 == "\"200\":" { n = $2 + 0 } END { print n + 0 }' "$tmp/result.json")
printf '   requests %15d\n   failures %15d\n' "$requests" $((requests - good))
awk -F, '$1 == "p50" || $1 == "p99" { printf "   %s %17.1f ms\n", $1, $2 }' "$tmp/result.csv"

"$sdlab" cache stats --server "$cache" >"$tmp/cache" || cached=1
awk '/^Hits:/ { hits = $2 + 0; misses = $4 + 0 }
  END { printf "   cache hits %13d of %d reads\n", hits, hits + misses }' "$tmp/cache"

# What is not in the queue any more was acknowledged. (A worker may be killed after that and before it says so.)
left=$("$sdlab" mq list orders --server "$queue" | awk '$1 == "orders" { print $2 + $3 }')
done_orders=$((orders - ${left:-$orders}))
again=$(cat "$tmp"/work.* | grep -c ' not for the first time')
printf '   orders done %12d of %d, %d of them again by another worker\n' "$done_orders" "$orders" "$again"

killed=$(cat "$tmp/victim" 2>/dev/null || echo)
if [ "$cached" -ne 0 ]; then
  cat "$tmp/sessions"
  say 'The cache did not answer.'
  status=1
elif [ "$done_orders" -ne "$orders" ]; then
  say "Only $done_orders of $orders orders were done."
  status=1
elif [ "$good" -eq "$requests" ] && [ -n "$killed" ]; then
  say "Server-B (pid $killed) was killed in the middle, and no request failed; worker B (pid $worker) too, and no order was lost."
  status=0
else
  cat "$tmp/summary"
  say "Only $good of $requests requests were answered."
  status=1
fi

if [ -t 0 ] && [ -t 1 ]; then
  hint() { printf '     %-56s %s\n' "$1" "$2"; }
  printf '\n   Try next, in another terminal:\n'
  hint "curl $url/" 'who answers?'
  hint "curl $admin/-/backends" 'what the balancer thinks of its backends'
  hint "curl -X POST $admin/-/backends/web-1/drain" 'no more requests for one of them'
  hint "curl $admin/metrics" 'the numbers, for Prometheus'
  hint "curl -N $admin/-/events" 'what happens, as it happens'
  hint "$sdlab cache top" 'what the cache does'
  hint "$sdlab cache get session:0000000007" 'what is in it'
  hint "http://127.0.0.1:15672/" 'the queue, moving (guest, guest)'
  hint "$sdlab mq publish orders hello" 'one more order'
  hint "$sdlab up status" 'the services and their processes'
  printf '   Ctrl-C stops everything.\n\n'
  wait "$stack"
  stack=
fi
exit "$status"
