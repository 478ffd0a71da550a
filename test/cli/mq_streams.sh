#!/usr/bin/env bash
# Streams by hand: a group goes on where it was, after kill -9 too; how far it is, over the verbs and the HTTP API; the example runs.
# plain build only

# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
sdlab_test "$@"
cd "$TMP" || exit 1
ln -s "$SDLAB" mq-cli

serve() {
  start mq "$SDLAB" mq --data-dir ./queue-data --port 0 --http 127.0.0.1:0
  port=$(port_of mq)
  wait_line mq 'Queues are shown on '
  http=$(sed -n 's|.*http://127.0.0.1:\([0-9]*\)/.*|\1|p' mq.log)
  export SDLAB_MQ_URL=amqp://127.0.0.1:$port
}
m() { run ./mq-cli "$@"; }
ok() {
  m "$@"
  assert_eq 0 "$STATUS" "mq-cli $*: $ERR"
}
refused() { # STATUS TEXT ARGUMENT...
  local status=$1 text=$2
  shift 2
  m "$@"
  assert_eq "$status $text" "$STATUS $ERR" "mq-cli $*"
}
groups() { ok groups list "$1" --http-port "$http"; }

serve
ok declare events --type stream --partitions 4 --partition-by customer --max-age 7D --max-bytes 1MB
for customer in ann bob eve; do
  seq 1 5 | sed "s/^/$customer /" | ./mq-cli publish events --lines --quiet --header customer=$customer || fail 'publish'
done
ok list events
assert_match "$OUT" '^events +15 +- +0$' 'the stream in the list'

# Who reads alone gets all of it, in the order in which it came, as often as wanted.
for i in 1 2; do
  ok consume events --offset first --count 15
  assert_eq "$(for c in ann bob eve; do seq 1 5 | sed "s/^/Received: $c /"; done)" "$OUT" "all of it, time $i"
done
ok consume events --offset 13 --count 2 --json
assert_eq '13 14' "$(printf '%s\n' "$OUT" | sed -n 's/.*"x-stream-offset":\([0-9]*\).*/\1/p' | tr '\n' ' ' | sed 's/ $//')" 'offsets'

# A group goes on where it was. What was acknowledged comes twice only when it is flagged.
ok consume events --group billing --offset first --count 6 --prefetch 1 --json
printf '%s\n' "$OUT" >seen
{ kill -s KILL "${PID[mq]}"
wait_exit mq; } 2>/dev/null
serve
assert_contains "$(cat mq.log)" '[MQ] Recovered 1 queue, 15 pending messages' 'after kill -9'
# How many come is not known: those whose acknowledgement was not on the disk come again. So until the group has all.
start rest ./mq-cli consume events --group billing --offset next --json
has_all() { ./mq-cli groups list events --http-port "$http" | awk 'NR > 1 { n += $5 + $6 } END { exit NR < 5 || n != 0 }'; }
wait_for 'the group to have all' has_all
stop_quietly rest 2>/dev/null
has_nobody() { ./mq-cli groups list events --http-port "$http" | awk 'NR > 1 && $7 != "-" { n++ } END { exit n > 0 }'; }
wait_for 'its consumer to be gone' has_nobody
cat rest.log >>seen
assert_eq 15 "$(sed -n 's/.*"body":"\([^"]*\)".*/\1/p' seen | sort -u | wc -l)" 'messages that the group was given'
assert_eq 3 "$(sed -n 's/.*"customer":"\([a-z]*\)".*"x-stream-partition":\([0-3]\).*/\1 \2/p' seen | sort -u | wc -l)" 'partitions of three keys'
assert_eq '' "$(grep '"redelivered":false' seen | sed -n 's/.*"body":"\([^"]*\)".*/\1/p' | sort | uniq -d)" 'what came twice without a flag'
for customer in ann bob eve; do
  assert_eq "$(seq 1 5 | sed "s/^/$customer /")" "$(sed -n "s/.*\"body\":\"\($customer [0-9]\)\".*/\1/p" seen | awk '!n[$0]++')" 'order by key'
done

groups events
assert_eq "$(printf 'GROUP PARTITION OFFSET END LAG UNACKED CONSUMER\n'; for i in 0 1 2 3; do echo "billing $i 15 15 0 0 -"; done)" \
  "$(printf '%s\n' "$OUT" | tr -s ' ')" 'a group that is at the end'
ok groups reset events billing 10 --http-port "$http"
assert_eq "Reset group 'billing' of 'events'" "$OUT" 'groups reset'
groups events
assert_eq 5 "$(printf '%s\n' "$OUT" | awk 'NR > 1 { n += $5 } END { print n }')" 'lag after the reset'
ok groups reset events billing first --http-port "$http"
groups events
assert_eq 15 "$(printf '%s\n' "$OUT" | awk 'NR > 1 { n += $5 } END { print n }')" 'lag after another one'
api=http://127.0.0.1:$http/api/queues/%2f/events
assert_contains "$(curl -sS -u guest:guest "$api")" '"groups":[{"name":"billing","members":0,"lag":15}]' 'the queue over HTTP'
assert_contains "$(curl -sS -u guest:guest "$api")" '"partitions":4,"first_offset":0,"next_offset":15' 'the stream over HTTP'
assert_eq 400 "$(curl -sS -o /dev/null -w '%{http_code}' -u guest:guest -X PUT -d '{"offset":"never"}' "$api/groups/billing")" 'a bad offset'
ok groups delete events billing --http-port "$http"
groups events
assert_lines 1 "$OUT" 'groups after the last one is gone'

refused 1 "sdlab mq: no group 'billing' of queue 'events' in vhost '/'" groups delete events billing --http-port "$http"
refused 1 "sdlab mq: Not Found" groups list nowhere --http-port "$http"
refused 2 'sdlab mq: groups: expected list, reset or delete, found "show"' groups show events
refused 2 'sdlab mq: groups: expected groups reset STREAM GROUP OFFSET' groups reset events g
refused 1 "sdlab mq: PRECONDITION_FAILED - invalid arg 'x-max-age' for queue 'other' in vhost '/': invalid_max_age" declare other --type stream --max-age 7d
ok declare plain
refused 1 'sdlab mq: the queue is no stream' groups list plain --http-port "$http"
refused 1 "sdlab mq: PRECONDITION_FAILED - invalid arg 'x-stream-group' for queue 'plain' in vhost '/' of queue type rabbit_classic_queue" \
  consume plain --group g
stop mq

# The example, as it stands.
timeout 100 "$ROOT/examples/streams.sh" "$SDLAB" >out 2>err </dev/null
STATUS=$?
assert_eq 0 "$STATUS" "exit status of streams.sh; it said: $(cat err)"
assert_eq '' "$(cat err)" 'standard error of streams.sh'
assert_contains "$(cat out)" 'orders of a customer out of order: 0' 'what the example says of the order'
assert_contains "$(cat out)" 'orders that nobody got: 0' 'what the example says of what is missing'
assert_match "$(cat out)" 'a second group read all 40' 'another group'
