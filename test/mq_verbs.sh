# shellcheck shell=bash
# shellcheck disable=SC2317 # functions that wait_for calls
# The verbs of mq as a person types them: what is printed, what is refused, and with which words. Sourced after lib.sh; `try WHO` goes
# through them with the broker at AT[WHO], whose management is at AT[WHO.http] and whose process is PID[WHO], which `dies WHO` then ends.
need python3 python3
ln -s "$SDLAB" "$TMP/mq-cli"

m() { run ./mq-cli "$@"; }
is() { # WANT ARGUMENT...
  local want=$1
  shift
  m "$@"
  assert_eq "$want" "$STATUS $OUT" "mq-cli $*: $ERR"
}
refuses() { # STATUS TEXT ARGUMENT...
  local status=$1 want=$2
  shift 2
  m "$@"
  assert_eq "$status" "$STATUS" "exit status of mq-cli $*"
  assert_eq '' "$OUT" "output of mq-cli $*"
  assert_contains "$ERR" "$want" "error of mq-cli $*"
  assert_lines 1 "$ERR" "error of mq-cli $*"
}
# typed KEYS ARGUMENT...: with these keys on standard input.
typed() {
  local keys=$1
  shift
  printf '%s' "$keys" | timeout -k 1 $((DEADLINE * 2)) ./mq-cli "$@" >"$TMP/run.out" 2>"$TMP/run.err"
  STATUS=$?
  OUT=$(cat "$TMP/run.out") ERR=$(cat "$TMP/run.err")
}
# ready QUEUE N: so many messages wait in it; what was given back may take a moment to be there.
ready() {
  ready_now() { [ "$(./mq-cli list "$1" | awk 'NR == 2 { print $2 }')" = "$2" ]; }
  wait_for "$2 messages in $1" ready_now "$@"
}

transcript() {
  local order='{"order_id": 123, "items": ["book", "pen"]}' id keys
  keys="[Press 'a' to ack, 'n' to nack, 'q' to quit]"
  m publish orders "$order"
  assert_match "$STATUS $OUT" "^0 Published message [a-z0-9]{6} to queue 'orders'\$" 'publish'
  id=$(printf '%s\n' "$OUT" | awk '{ print $3 }')
  typed a consume orders --ack-mode manual --count 1
  assert_eq "0 Received: $order
$keys
> a
Message $id acknowledged" "$STATUS $OUT" 'consume with a'
  ready orders 0

  # n gives it back, and it comes again; what is none of the letters is asked again; q and the end of input leave it there.
  m publish orders two --message-id second
  assert_eq "0 Published message second to queue 'orders'" "$STATUS $OUT" 'an id of our own'
  typed $'n\nx A' consume orders --ack-mode manual --count 2
  assert_eq "0 Received: two
$keys
> n
Message second rejected: back to the queue
Received: two
$keys
> x
> a
Message second acknowledged" "$STATUS $OUT" 'consume with n, x and a'
  m publish orders three --message-id third
  typed q consume orders --ack-mode manual
  assert_eq "0 Received: three
$keys
> q" "$STATUS $OUT" 'consume with q'
  ready orders 1
  typed '' consume orders --ack-mode manual
  assert_eq "0 Received: three
$keys
> " "$STATUS $OUT" 'consume without any input'
  ready orders 1

  # On a terminal what is typed is shown by the terminal.
  python3 - ./mq-cli consume orders --ack-mode manual --count 1 >out.txt <<'EOF' || fail 'consume on a terminal'
import os, pty, sys
pid, fd = pty.fork()
if pid == 0:
    os.execv(sys.argv[1], sys.argv[1:])
seen, typed = b"", False
while True:
    try:
        more = os.read(fd, 4096)
    except OSError:
        break
    if not more:
        break
    seen += more
    if seen.endswith(b"> ") and not typed:
        typed = os.write(fd, b"a\n") > 0
print(seen.decode().replace("\r", ""), end="")
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
EOF
  assert_eq "Received: three
$keys
> a
Message third acknowledged" "$(cat out.txt)" 'consume on a terminal'
}

publishing() {
  is '0 ' publish numbers x -q --count 500
  ready numbers 500
  m purge numbers
  assert_eq "0 Purged queue 'numbers' (messages: 500)" "$STATUS $OUT" purge
  seq 2000 >lines.txt
  ./mq-cli publish numbers --lines <lines.txt >out.txt || fail 'publish --lines'
  assert_lines 2000 "$(grep -E "^Published message [a-z0-9]{6} to queue 'numbers'\$" out.txt)" 'what --lines says'
  assert_eq 2000 "$(awk '{ print $3 }' out.txt | sort -u | wc -l)" 'different ids'
  ./mq-cli consume numbers --count 2000 | sed 's/^Received: //' >back.txt
  assert_same lines.txt back.txt 'lines in their order'
  ready numbers 0
  printf 'one\n\nlast without an end' | ./mq-cli publish numbers --lines -q || fail 'lines that are empty or have no end'
  is $'0 Received: one\nReceived: last without an end' consume numbers --count 2
  head -c 300000 /dev/urandom >bytes
  ./mq-cli publish numbers -q <bytes || fail 'publish of standard input'
  ./mq-cli consume numbers --count 1 --json | python3 -c 'import base64, json, sys
sys.stdout.buffer.write(base64.b64decode(json.load(sys.stdin)["body_base64"]))' >back
  assert_same bytes back 'bytes there and back, in many frames'
  is $'0 Deleted queue \'numbers\' (messages: 0)' delete numbers

  # All that can be said with a message is heard as well.
  m publish props 'a "b"' --message-id i --content-type text/plain --correlation-id c --reply-to r --type t --priority 3 --ttl 1h \
    -H n=5 -H yes=true -H 'text=a b,c' --no-persistent
  m consume props --json --count 1
  python3 - "$OUT" <<'EOF' || fail "properties: $OUT"
import json, sys
m = json.loads(sys.argv[1])
assert abs(m.pop("timestamp") - __import__("time").time()) < 600
assert m == {"delivery_tag": 1, "redelivered": False, "queue": "props", "routing_key": "props", "message_id": "i",
             "content_type": "text/plain", "correlation_id": "c", "reply_to": "r", "expiration": "3600000", "type": "t",
             "persistent": False, "priority": 3, "headers": {"n": 5, "yes": True, "text": "a b,c"}, "body": 'a "b"'}, m
EOF
  m publish props x --delay 1500ms
  m consume props --json --count 1
  assert_contains "$OUT" '"headers":{"x-delay":1500}' 'a delay'
}

exchanges() {
  is "0 Declared exchange 'logs' (topic)" declare logs --exchange topic
  is "0 Declared queue 'errors' (messages: 0, consumers: 0)" declare errors --arg x-max-length=2
  is "0 Bound queue 'errors' to exchange 'logs' with key '*.error'" bind errors logs '*.error'
  m publish a.error boom --exchange logs --message-id e1
  assert_eq "0 Published message e1 to exchange 'logs' with key 'a.error'" "$STATUS $OUT" 'publish to an exchange'
  m publish a.info fine --exchange logs --message-id e2
  assert_eq '1 ' "$STATUS $OUT" 'publish where nothing is bound'
  assert_eq "sdlab mq: message e2 went nowhere: no queue is bound to exchange 'logs' for key 'a.info'" "$ERR" 'publish where nothing is bound'
  is '0 Received: boom' consume errors --count 1
  is '0 ' publish a.error x --exchange logs -q --count 3
  ready errors 2 # x-max-length was heard
  refuses 1 "PRECONDITION_FAILED - inequivalent arg 'x-max-length' for queue 'errors'" declare errors
  is "0 Unbound queue 'errors' from exchange 'logs' with key '*.error'" unbind errors logs '*.error'
  m publish a.error x --exchange logs
  assert_eq 1 "$STATUS" 'publish after unbind'
  is "0 Declared exchange 'more' (fanout)" declare more --exchange fanout
  is "0 Bound exchange 'more' to exchange 'logs' with key '#'" bind more logs '#' --to-exchange
  is "0 Bound queue 'errors' to exchange 'more' with key ''" bind errors more
  is '0 ' publish any x --exchange logs -q
  is "0 Unbound exchange 'more' from exchange 'logs' with key '#'" unbind more logs '#' --to-exchange
  m publish any x --exchange logs
  assert_eq 1 "$STATUS" 'publish after unbind of an exchange'

  # tail sees what passes, and takes nothing away.
  start "tail" ./mq-cli tail logs 'b.*' --count 2
  is "0 Bound queue 'errors' to exchange 'logs' with key 'b.x'" bind errors logs b.x
  is "0 Purged queue 'errors' (messages: 2)" purge errors
  passes() { ./mq-cli publish b.y hidden --exchange logs -q 2>/dev/null; }
  wait_for 'tail to be bound' passes
  is '0 ' publish b.x shown --exchange logs -q
  wait_exit tail
  assert_eq "0 Received: hidden
Received: shown" "$STATUS $(cat "$TMP/tail.log")" tail
  ready errors 1
  refuses 1 "PRECONDITION_FAILED - queue 'errors' in vhost '/' not empty" delete errors --if-empty
  is "0 Deleted queue 'errors' (messages: 1)" delete errors
  is "0 Deleted exchange 'logs'" delete logs --exchange
}

dead_letters() {
  is "0 Declared queue 'tasks.dlq' (messages: 0, consumers: 0)" declare tasks.dlq
  is "0 Declared queue 'tasks' (messages: 0, consumers: 0)" declare tasks --arg x-dead-letter-exchange= \
    --arg x-dead-letter-routing-key=tasks.dlq
  is '0 ' dlq list tasks
  seq 5 | ./mq-cli publish tasks --lines -q -H kept=yes
  m consume tasks --auto-nack --no-requeue --count 5
  assert_eq 0 "$STATUS" 'consume --auto-nack'
  assert_lines 5 "$(printf '%s\n' "$OUT" | grep -E '^Message [a-z0-9]{6} rejected$')" 'what --auto-nack says'
  ready tasks.dlq 5
  m dlq list tasks -c 2
  assert_match "$(printf '%s\n' "$OUT" | tail -n 1)" '^[a-z0-9]{6} +rejected +x1 +2$' 'dlq list'
  assert_lines 2 "$OUT" 'dlq list -c 2'
  m dlq list tasks.dlq --json
  assert_contains "$OUT" '"reason":"rejected"' 'dlq list --json'
  ready tasks.dlq 5
  is "0 Replayed from 'tasks.dlq' to 'tasks' (messages: 2)" dlq replay tasks -c 2
  is "0 Replayed from 'tasks.dlq' to 'tasks' (messages: 3)" dlq replay tasks
  ready tasks.dlq 0
  m consume tasks --json --count 5
  assert_lacks "$OUT" death 'a replayed message begins anew'
  assert_lines 5 "$(printf '%s\n' "$OUT" | grep -F '"headers":{"kept":"yes"}')" 'headers of replayed messages'
  assert_eq '"1""2""3""4""5"' "$(printf '%s\n' "$OUT" | sed 's/.*"body"://; s/}$//' | tr -d '\n')" 'the order of replayed messages'
  refuses 1 "no dead letters of 'orders': there is no queue 'orders.dlq'" dlq list orders
  refuses 2 'dlq: expected list or replay, found "drop"' dlq drop tasks

  # Rejected again and again, without an end of its own.
  is '0 ' publish tasks again -q --message-id a1
  m consume tasks --auto-nack --count 3
  assert_eq "0 Message a1 rejected: back to the queue" "$STATUS $(printf '%s\n' "$OUT" | tail -n 1)" 'consume --auto-nack'
  ready tasks 1
  # What waits too long ends, and what is shown is acknowledged.
  is '0 Received: again' consume tasks --count 1 --wait 20s
  is '0 ' consume tasks --wait 50ms
}

benching() {
  m bench -n 2000 -k 64 -s 1KiB --consume
  assert_eq 0 "$STATUS" "bench: $ERR"
  assert_match "$OUT" '^2000 persistent messages of 1024 bytes, 64 in flight: [0-9.]+ s, [0-9]+ messages a second$' bench
  assert_match "$OUT" '^confirm    p50 [0-9.]+ ms   p99 [0-9.]+ ms   max [0-9.]+ ms$' bench
  assert_match "$OUT" '^delivery   p50 [0-9.]+ ms   p99 ' bench
  m bench -n 500 -k 1 --no-persistent --json --server-pid "${PID[$1]}"
  python3 - "$OUT" <<'EOF' || fail "bench --json: $OUT"
import json, sys
m = json.loads(sys.argv[1])
assert m["messages"] == 500 and m["in_flight"] == 1 and m["persistent"] is False and m["refused"] == 0
assert 0 < m["confirm_ms"]["p50"] <= m["confirm_ms"]["p99"] <= m["confirm_ms"]["max"] and m["server_cpu_us"] >= 0
EOF
  refuses 1 "no queue 'sdlab-bench'" consume sdlab-bench
  m publish kept x -q
  m bench kept -n 10
  ready kept 11 # one that was there stays
}

errors() { # PORT
  refuses 1 "NOT_FOUND - no queue 'nothing' in vhost '/'" consume nothing
  refuses 1 "NOT_FOUND - no exchange 'nothing' in vhost '/'" tail nothing
  refuses 1 "NOT_FOUND - no queue 'nothing' in vhost '/'" bind nothing amq.topic
  refuses 1 "ACCESS_REFUSED" publish orders x --user nobody
  refuses 1 'vhost nothing not found' publish orders x --vhost nothing
  refuses 1 'vhost a/b not found' list orders --server "amqp://127.0.0.1:$1/a%2fb"
  refuses 1 'no broker at 127.0.0.1:1: connection refused (--port' list orders -p 1
  refuses 2 '--server: expected amqp://HOST' list orders --server http://x
  refuses 2 '--server: expected a port from 1 to 65535, found "99999"' list orders --server amqp://h:99999
  refuses 2 '--arg: expected NAME=VALUE, found "x"' declare q --arg x
  refuses 2 '--header: expected NAME=VALUE, found "=x"' publish q m -H =x
  refuses 2 '--lines: reads standard input' publish q m --lines
  refuses 2 'a name has at most 255 bytes' publish "$(printf 'x%.0s' {1..256})" m
  refuses 2 'expected auto or manual' consume q --ack-mode none
}

# Behind TLS, in front of which nobody listens here but us.
secure() { # PORT
  "$SDLAB" tls selfsigned --name 127.0.0.1 --out certs >/dev/null || fail 'tls selfsigned'
  start_lb tls --mode tcp --bind 127.0.0.1 --tls-cert certs/cert.pem --tls-key certs/key.pem --backend "127.0.0.1:$1"
  printf 'guest\n' >password
  chmod 600 password
  local url="amqps://127.0.0.1:$PORT"
  m publish safe x -q --server "$url" --ca certs/ca.pem
  assert_eq '0 ' "$STATUS $OUT$ERR" 'publish over TLS'
  is '0 Received: x' consume safe --count 1 --server "amqps://guest:gu%65st@127.0.0.1:$PORT/%2f" --insecure
  is '0 ' publish safe x -q --host 127.0.0.1 -p "$PORT" --tls --ca certs/ca.pem --user guest --password-file password
  refuses 1 'certificate' publish safe x --server "$url"
  stop tls
  start_backend web W
  refuses 1 'what answers does not speak AMQP' list safe --server "amqp://127.0.0.1:$PORT"
}

# Its queue is deleted, and its broker ends, while somebody waits.
endings() {
  is "0 Declared queue 'gone' (messages: 0, consumers: 0)" declare gone
  start waits ./mq-cli consume gone
  consumes() { [ "$(./mq-cli list gone | awk 'NR == 2 { print $4 }')" = 1 ]; }
  wait_for 'a consumer' consumes
  refuses 1 "PRECONDITION_FAILED - queue 'gone' in vhost '/' in use" delete gone --if-unused
  is "0 Deleted queue 'gone' (messages: 0)" delete gone
  wait_exit waits
  assert_eq "1 sdlab mq: the broker ended the consumer: queue 'gone' is gone" "$STATUS $(cat "$TMP/waits.log")" 'a consumer whose queue went'
}

try() { # WHO
  export SDLAB_MQ_URL=amqp://127.0.0.1:${AT[$1]}
  transcript
  publishing
  exchanges
  dead_letters
  benching "$1"
  errors "${AT[$1]}"
  secure "${AT[$1]}"
  endings
  refuses 1 'no management API at 127.0.0.1:1: connection refused (--http-port' list --http-port 1
  m list --http-port "${AT[$1.http]}"
  assert_match "$OUT" '^QUEUE +READY +UNACKED +CONSUMERS$' 'list of all'
  assert_match "$OUT" '^orders +0 +0 +0$' 'list of all'
}

# Its broker ends while somebody waits.
dies() { # WHO
  start waits ./mq-cli consume orders
  consumes() { [ "$(./mq-cli list orders | awk 'NR == 2 { print $4 }')" = 1 ]; }
  wait_for 'a consumer' consumes
  stop_quietly "$1"
  wait_exit waits
  assert_eq 1 "$STATUS" 'a consumer whose broker ended'
  assert_match "$(cat "$TMP/waits.log")" '^sdlab mq: (CONNECTION_FORCED|the broker closed|connection reset)' 'a consumer whose broker ended'
  refuses 1 'connection refused' publish orders x
}
