#!/usr/bin/env bash
# slowhttptest against lb: heads that come a field at a time, bodies that come a byte at a time, answers that nobody reads.
# Three hundred connections each, all of which end as the manual says and are counted; others are served all the while.
# plain build only: it takes the clock

# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
sdlab_test "$@"
need slowhttptest slowhttptest
need curl curl
cd "$TMP" || exit 1

start_backend a A
start_lb lb --backend "127.0.0.1:$PORT" --head-timeout 2s --body-timeout 2s --send-timeout 2s --access-log access.log \
  --access-log-format json
port=$PORT
timed_out() { metric "$ADMIN" sdlab_http_timeouts_total; }
taken() { metric "$ADMIN" sdlab_http_connections_total; }
taken_at_least() { [ "$(taken)" -ge "$1" ]; } # on a slow machine the first of them end before the last begin
open_at_most() { [ "$(metric "$ADMIN" sdlab_http_connections)" -le "$1" ]; }
logged() { [ "$(grep -c "$1" access.log)" -eq "$2" ]; }

# attack NAME CONNECTIONS SAID OPTION...: slowhttptest until all its connections have ended (it does not see a reset while it
# still has bytes to read). An ordinary client is served meanwhile. SAID is in the line that each of them leaves.
attack() {
  local name=$1 conns=$2 said=$3 code asked=0 before first
  shift 3
  before=$(timed_out) first=$(taken)
  start "$name" slowhttptest -c "$conns" -r 1000 -p 5 -l 20 -v 1 "$@"
  wait_for "$name to open its connections" taken_at_least $((first + conns))
  all_ended() { [ "$(($(timed_out) - before))" -ge "$conns" ]; }
  while ! all_ended; do
    alive "$name" || all_ended || fail "$name ended before its connections did" # it ends with the last of them
    code=$(curl -sS -o /dev/null -w '%{http_code} ' --max-time "$DEADLINE" "http://127.0.0.1:$port/?[1-5]" 2>&1)
    assert_eq '200 200 200 200 200 ' "$code" "ordinary requests during $name"
    asked=$((asked + 5))
  done
  wait_for "the connections of $name to end" open_at_most 1 # its probe
  kill -s INT "${PID[$name]}" 2>/dev/null
  wait_exit "$name"
  assert_eq "$conns" "$(($(timed_out) - before))" "connections of $name that took too long"
  [ "$asked" -ge 10 ] || fail "only $asked ordinary requests during $name"
  wait_for "$conns lines with $said" logged "$said" "$conns"
  echo "$name: $conns connections closed, $asked ordinary requests served"
}

attack head 300 '"status":408,.*(head-timeout)' -H -i 1 -u "http://127.0.0.1:$port/"
attack body 300 '"status":408,.*(body-timeout)' -B -i 5 -s 8192 -u "http://127.0.0.1:$port/"
# More than the kernel takes on behalf of a client.
attack read 100 '/bytes/4MiB.*"total_ms":\([2-9][0-9]\{3\}\|[1-9][0-9]\{4,\}\)[.].*"end":"client gone"' \
  -X -i 1 -w 10 -y 20 -n 1 -z 32 -u "http://127.0.0.1:$port/bytes/4MiB"
stop lb
stop a
