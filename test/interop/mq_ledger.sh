#!/usr/bin/env bash
# The broker is killed (SIGKILL) a hundred times while somebody publishes: at the end everything that was confirmed is there, once, and in order.
#
#   test/interop/mq_ledger.sh BIN        ROUNDS=n for another number of rounds
# plain build only

# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
sdlab_test "$@"
cd "$TMP" || exit 1
rounds=${ROUNDS:-100}
port=$(free_port)
export SDLAB_MQ_URL=amqp://127.0.0.1:$port
: >confirmed

# numbers ROUND: so many that no round comes to their end.
numbers() { seq "$1"000001 "$1"900000; }
some_confirmed() { [ "$(wc -l <said)" -ge "$want" ]; }

for ((round = 1; round <= rounds; round++)); do
  start mq "$SDLAB" mq --port "$port" --http off --data-dir ./kept
  wait_line mq "Listening on :$port"
  [ "$round" -gt 1 ] || "$SDLAB" mq declare ledger >/dev/null || fail 'declare'
  # Each line that it prints tells of one confirmed message, in the order of the numbers.
  : >said
  numbers "$round" | "$SDLAB" mq publish ledger --lines >said 2>/dev/null &
  publisher=$!
  want=$((RANDOM % 300 + 1))
  wait_for "$want confirms in round $round" some_confirmed
  { kill -s KILL "${PID[mq]}"
  wait_exit mq
  wait "$publisher"; } 2>/dev/null
  numbers "$round" | head -n "$(grep -c '^Published message' said)" >>confirmed
done

start mq "$SDLAB" mq --port "$port" --http off --data-dir ./kept
wait_line mq "Listening on :$port"
left=$("$SDLAB" mq list ledger | awk '$1 == "ledger" { print $2 }')
"$SDLAB" mq consume ledger --count "$left" | sed -n 's/^Received: //p' >there
assert_eq "$left" "$(wc -l <there)" 'messages that were taken'
sort -n -c -u there || fail 'a message is there twice, or out of order'
missing=$(comm -23 <(sort confirmed) <(sort there) | head -n 3 | tr '\n' ' ')
[ -z "$missing" ] || fail "confirmed and lost: $missing ..."
[ "$(wc -l <confirmed)" -ge "$rounds" ] || fail 'hardly anything was confirmed'
stop mq
