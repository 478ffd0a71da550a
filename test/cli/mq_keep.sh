#!/usr/bin/env bash
# What a broker keeps in its folder: through kill -9 and a restart, dead letters too; and what it says of it, as in Project 4's transcript.
# plain build only

# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
sdlab_test "$@"
cd "$TMP" || exit 1
"$SDLAB" install -s "$TMP/bin" >/dev/null || fail 'sdlab install'
PATH=$TMP/bin:$PATH

serve() {
  start mq messageq --data-dir ./queue-data --port 0 --http off
  port=$(port_of mq)
}

serve
assert_eq '[MQ] WAL initialized at ./queue-data
[MQ] Recovered 0 queues, 0 pending messages
[MQ] Listening on :'"$port" "$(cat mq.log)" 'the first start'

out=$(mq-cli publish orders '{"order_id": 123, "items": ["book", "pen"]}' -p "$port") || fail 'publish'
assert_match "$out" "^Published message [a-z0-9]{6} to queue 'orders'\$" 'publish'
id=$(printf '%s' "$out" | awk '{ print $3 }')
for i in 1 2 3; do mq-cli publish orders "another $i" -p "$port" -q || fail 'publish'; done
mq-cli publish invoices 'one' -p "$port" -q || fail 'publish'

# Nobody took anything: all of it is there after a kill.
{ kill -s KILL "${PID[mq]}"
wait_exit mq; } 2>/dev/null
serve
assert_contains "$(cat mq.log)" '[MQ] Recovered 2 queues, 5 pending messages' 'after kill -9'

out=$(printf a | mq-cli consume orders --ack-mode manual --count 1 -p "$port") || fail 'consume'
assert_contains "$out" 'Received: {"order_id": 123, "items": ["book", "pen"]}' 'consume'
assert_contains "$out" "[Press 'a' to ack, 'n' to nack, 'q' to quit]" 'consume'
assert_contains "$out" "Message $id acknowledged" 'consume'

# The acknowledged one is gone, and nothing else.
stop mq
serve
assert_eq '[MQ] WAL initialized at ./queue-data
[MQ] Recovered 2 queues, 4 pending messages
[MQ] Listening on :'"$port" "$(cat mq.log)" 'the second start'

# What is rejected again and again ends in orders.dlq, and can be sent back.
ids=$(mq-cli publish poisoned 'never right' -p "$port" | awk '{ print $3 }')
mq-cli consume poisoned --auto-nack --count 4 --wait 20s -p "$port" >rejected || fail "consume --auto-nack: $(cat rejected)"
wait_line mq "[MQ] Message $ids exceeded retry limit (3), moved to poisoned.dlq"
assert_eq 4 "$(grep -c '^Received: never right$' rejected)" 'deliveries: one, and three more tries'
assert_contains "$(mq-cli dlq list poisoned -p "$port")" "$ids" 'dlq list'
mq-cli dlq replay poisoned -p "$port" >/dev/null || fail 'dlq replay'
assert_contains "$(mq-cli consume poisoned --count 1 -p "$port")" 'Received: never right' 'after the replay'

# A second broker on the same folder refuses, and says why.
run messageq --data-dir ./queue-data --port 0 --http off
assert_eq 1 "$STATUS" 'exit status of the second broker'
assert_match "$ERR" 'queue-data' 'what the second broker says'
stop mq

# Without a folder nothing is kept, and it says so.
start mq messageq --port 0 --http off
port=$(port_of mq)
assert_contains "$(cat mq.log)" 'Without --data-dir nothing is kept' 'without a folder'
stop mq
