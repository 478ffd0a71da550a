#!/usr/bin/env bash
# The broker's transcript as it was asked for, line by line: published, consumed with a key, still there after a kill, and dead letters.
# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
sdlab_test "$@"
cd "$TMP" || exit 1
"$SDLAB" install -s "$TMP" >/dev/null || fail 'install'
port=$(free_port)
export SDLAB_MQ_URL=amqp://127.0.0.1:$port
order='{"order_id": 123, "items": ["book", "pen"]}'

serve() {
  start messageq ./messageq --data-dir ./queue-data --port "$port" --http off
  wait_line messageq "Listening on :$port"
}

serve
assert_eq "[MQ] WAL initialized at ./queue-data
[MQ] Recovered 0 queues, 0 pending messages
[MQ] Listening on :$port" "$(grep -E 'WAL|Recovered|Listening' "$TMP/messageq.log")" 'the first start'

run ./mq-cli publish orders "$order"
assert_match "$OUT" "^Published message [a-z0-9]{6} to queue 'orders'\$" publish
id=$(printf '%s\n' "$OUT" | awk '{ print $3 }')

out=$(printf 'a\n' | timeout 20 ./mq-cli consume orders --ack-mode manual --count 1)
assert_eq "Received: $order
[Press 'a' to ack, 'n' to nack, 'q' to quit]
> a
Message $id acknowledged" "$out" consume
# Nobody is told that an acknowledgement is on the disk. The message behind it is, once it is confirmed.
taken() { ./mq-cli list orders | grep -qE '^orders +0 +- +0$'; } # its consumer is gone, and nothing came back
wait_for 'the acknowledgement to be taken' taken
run ./mq-cli publish orders second --message-id xyz789
assert_eq "Published message xyz789 to queue 'orders'" "$OUT" publish

# What was acknowledged is gone after a kill, what was not is there.
{ kill -s KILL "${PID[messageq]}"
wait_exit messageq; } 2>/dev/null
serve
assert_eq "[MQ] WAL initialized at ./queue-data
[MQ] Recovered 1 queue, 1 pending message
[MQ] Listening on :$port" "$(grep -E 'WAL|Recovered|Listening' "$TMP/messageq.log")" 'the second start'

# Rejected until it is dead.
start nack ./mq-cli consume orders --auto-nack
wait_line messageq '[MQ] Message xyz789 exceeded retry limit (3), moved to orders.dlq'
kill -s TERM "${PID[nack]}"
wait_exit nack 2>/dev/null
assert_match "$(cat "$TMP/nack.log")" '^Message xyz789 rejected: back to the queue$' '--auto-nack'
run ./mq-cli dlq list orders
assert_match "$OUT" '^xyz789 +delivery_limit +x1 +second$' 'dlq list'
run ./mq-cli dlq replay orders
assert_eq "Replayed from 'orders.dlq' to 'orders' (messages: 1)" "$OUT" 'dlq replay'
run ./mq-cli consume orders --count 1
assert_eq 'Received: second' "$OUT" 'what was replayed'
stop messageq
