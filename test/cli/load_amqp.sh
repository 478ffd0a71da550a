#!/usr/bin/env bash
# sdlab load amqp://: what the generator counts is what the broker has, ours and rabbitmq-server; errors by their first word.
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../rabbitmq.sh"
sdlab_test "$@"
cd "$TMP" || exit 1

json_number() { sed -n "s/.*\"$2\":[[:space:]]*\\([0-9.]*\\).*/\\1/p" "$1" | head -n 1; }
# depth URL QUEUE: messages ready and consumers.
depth() { "$SDLAB" mq list "$2" --server "$1" | awk 'NR == 2 { print $2, $4 }'; }

try() { # WHO
  local who=$1 url=amqp://guest:guest@127.0.0.1:${AT[$1]}/%2f
  # confirmed publishes, several connections, threads and messages on their way; the queue is declared
  run "$SDLAB" load "$url" -n 5000 -c 4 -t 2 --pipeline 8 -q --size 300 --queue q1 --json "$who.json"
  assert_eq 0 "$STATUS" "$who: exit status ($ERR)"
  assert_match "$OUT" 'Target +amqp://127.0.0.1:[0-9]+/%2f$' "$who: the password is not shown"
  assert_eq 5000 "$(json_number "$who.json" answers)" "$who: answers"
  assert_eq '5000 0' "$(depth "$url" q1)" "$who: messages in the queue"
  assert_eq 300 "$("$SDLAB" mq consume q1 --server "$url" --count 1 --json | python3 -c 'import json,sys; print(len(json.loads(sys.stdin.readline())["body"]))')" \
    "$who: bytes of a message"
  # gets take them out again, and what is asked for beyond is EMPTY
  run "$SDLAB" load "$url" -n 5001 -c 4 -q --queue q1 --measure get --json "$who.json"
  assert_eq 4999 "$(json_number "$who.json" answers)" "$who: messages got"
  assert_eq 2 "$(json_number "$who.json" reply)" "$who: gets of an empty queue"
  assert_match "$OUT" '^  EMPTY +2 +100.00%$' "$who: gets of an empty queue"
  assert_eq '0 0' "$(depth "$url" q1)" "$who: messages left"
  # to its delivery, at a rate, bodies with marks and of several frames; queues of connections are gone with them
  run "$SDLAB" load "$url" -q -r 500/s -d 200ms -c 3 --pipeline 50 --measure delivery --body 'order {{seq}}' --json "$who.json"
  assert_eq "0 100" "$STATUS $(json_number "$who.json" answers)" "$who: delivered at a rate: $ERR"
  assert_contains "$OUT" 'Response' "$who: time counts from when it was due"
  run "$SDLAB" load "$url" -q -n 20 --measure delivery --size 300000 --transient
  assert_eq 0 "$STATUS" "$who: large bodies: $OUT"
  # what is in the body is what was typed
  run "$SDLAB" load "$url" -q -n 2 -c 1 --queue q2 --body 'order {{seq}}!'
  assert_eq "$(printf 'order 0000000001!\norder 0000000002!')" \
    "$("$SDLAB" mq consume q2 --server "$url" --count 2 | sed 's/^Received: //')" "$who: bodies"
  # a queue that is there is taken as it is; one that is full refuses
  "$SDLAB" mq declare full --server "$url" --arg x-max-length=3 --arg x-overflow=reject-publish >/dev/null || fail "$who: declare"
  run "$SDLAB" load "$url" -q -n 10 -c 1 --queue full --fail-if 'errors.reply>6'
  assert_eq 1 "$STATUS" "$who: a full queue"
  assert_match "$OUT" '^  NACK +7 +100.00%$' "$who: a full queue"
  # who is not let in learns why, and the run fails
  run "$SDLAB" load "amqp://guest:wrong@127.0.0.1:${AT[$who]}" -n 2 -c 1 -q
  assert_eq 1 "$STATUS" "$who: exit status with a wrong password"
  assert_match "$OUT" '^  ACCESS_REFUSED +2 +100.00%$' "$who: a wrong password"
  run "$SDLAB" load "amqp://127.0.0.1:${AT[$who]}/nothing" -n 2 -c 1 -q
  assert_match "$OUT" '^  NOT_ALLOWED +2 +100.00%$' "$who: no such vhost"
}

start ours "$SDLAB" mq --port 0 --http off --data-dir "$TMP/ours.data" --retry-limit 0
AT[ours]=$(port_of ours) || exit 1
try ours
# once is enough: with sanitizers only what is ours
if case $SDLAB in *plain*) ;; *) false ;; esac && baseline rabbitmq-server /usr/lib/rabbitmq/bin/rabbitmq-server; then
  start_rabbitmq theirs
  try theirs
  stop_quietly theirs
fi

# A web server is no broker, and nobody at all is one either.
start_backend web W
run "$SDLAB" load "amqp://127.0.0.1:$PORT" -n 3 -c 1 -q
assert_match "$OUT" '^  (garbage|reset) ' 'a web server'
run "$SDLAB" load "amqp://127.0.0.1:1" -n 3 -c 1 -q
assert_match "$OUT" '^  refused +3 ' 'nobody'

refused() { # PATTERN ARGUMENT...
  local pattern=$1
  shift
  run "$SDLAB" load "$@"
  assert_eq 2 "$STATUS" "exit status of $*"
  assert_match "$ERR" "$pattern" "$*"
  assert_lines 1 "$ERR" "$*"
}
url=amqp://127.0.0.1:${AT[ours]}
refused 'header: not for amqp' "$url" -H 'A: b'
refused 'command: not for amqp' "$url" --command 'GET a'
refused 'method: not for amqp' "$url" -m PUT
refused 'keep-alive: a connection of amqp' "$url" --no-keep-alive
refused 'tally: not for amqp' "$url" --tally
refused 'queue: expected a name of 1 to 244 bytes' "$url" --queue 'a{{seq}}'
refused 'expected amqp://HOST.:PORT..*no host' amqp:///x
refused 'at most 7 of' "$url" --measure delivery --body '{{key}}{{key}}{{key}}{{key}}{{key}}{{key}}{{key}}{{key}}{{key}}'
refused 'measure: only for amqp' "http://127.0.0.1:$PORT" --measure get
refused 'only for amqp' "http://127.0.0.1:$PORT" --pipeline 2 -r 5/s
refused 'queue: only for amqp' "redis://127.0.0.1:$PORT" --queue x
printf '{"path":"/"}\n' >log
refused 'expected http://HOST' replay log "$url"
stop ours
stop web
