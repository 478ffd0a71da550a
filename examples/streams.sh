#!/bin/sh
# A stream and groups that read it: three consumers share the partitions, each customer's orders stay in order, one of them is killed
# and the others take over, and another group reads all of it again.
#   examples/streams.sh [build/plain/sdlab]
# About 5 seconds. Ports are chosen by the system. Needs nothing but sdlab.
set -u

here=$(dirname "$0")
sdlab=${1:-}
if [ -z "$sdlab" ]; then
  sdlab=sdlab
  [ ! -x "$here/../build/plain/sdlab" ] || sdlab=$here/../build/plain/sdlab
fi
command -v "$sdlab" >/dev/null || { echo "streams: cannot find $sdlab; run make first" >&2; exit 1; }

tmp=$(mktemp -d) || exit 1
pids=
# shellcheck disable=SC2317 # called by the trap
finish() {
  status=$?
  trap - EXIT INT TERM
  for pid in $pids; do
    kill "$pid" 2>/dev/null
    wait "$pid" 2>/dev/null
  done
  rm -rf "$tmp"
  exit "$status"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

say() { printf '\n%s\n' "$*"; }
die() {
  echo "streams: $*" >&2
  exit 1
}
# until_is WHAT COMMAND...: tries it until it is true.
until_is() {
  what=$1
  shift
  tries=0
  until "$@"; do
    tries=$((tries + 1))
    [ "$tries" -le 400 ] || die "waited in vain for $what"
    sleep 0.05
  done
}

: >"$tmp/log" # it is read before the broker may have begun
"$sdlab" mq --port 0 --http 127.0.0.1:0 --data-dir "$tmp/data" >"$tmp/log" 2>&1 &
pids=$!
listens() { grep -q 'Queues are shown on' "$tmp/log" && grep -q 'Listening on' "$tmp/log"; }
until_is 'the broker' listens
port=$(sed -n 's/.*Listening on .*:\([0-9][0-9]*\).*/\1/p' "$tmp/log" | head -n 1)
http=$(sed -n 's|.*http://127.0.0.1:\([0-9]*\)/.*|\1|p' "$tmp/log")
export SDLAB_MQ_URL="amqp://127.0.0.1:$port"

groups() { "$sdlab" mq groups list orders --http-port "$http"; }
lag_is() { [ "$(groups | awk -v g="$1" '$1 == g { n += $5 } END { print n + 0 }')" = "$2" ]; }
publish() { # FROM TO: orders of each of four customers
  for customer in ann bob eve joe; do
    seq "$1" "$2" | sed "s/^/$customer /" | "$sdlab" mq publish orders --lines --quiet --header customer=$customer || die 'not published'
  done
}

say '1. A stream of six partitions; orders of one customer are in one of them'
"$sdlab" mq declare orders --type stream --partitions 6 --partition-by customer --max-age 7D || die 'not declared'
publish 1 5

say '2. Three consumers are one group: each has two partitions'
members() { groups | awk 'NR > 1 && $7 != "-" { print $7 }' | sort | uniq -c | awk '{ print $1 }' | tr '\n' ' '; }
are_members() { [ "$(members)" = "$1" ]; }
for name in A B C; do
  "$sdlab" mq consume orders --group billing --offset first --prefetch 1 >"$tmp/$name" &
  eval "$name=$!"
  pids="$pids $!"
done
until_is 'three members' are_members '2 2 2 '
until_is 'the end of the stream' lag_is billing 0
groups | sed 's/^/   /'

say '3. One is killed: its partitions go to the others, and what it had not acknowledged too'
# shellcheck disable=SC2154 # set by eval
kill -9 "$A"
wait "$A" 2>/dev/null
until_is 'two members' are_members '3 3 '
publish 6 10
until_is 'the end of the stream' lag_is billing 0
groups | sed 's/^/   /'
cat "$tmp/A" "$tmp/B" "$tmp/C" | sed 's/Received: //' | sort -u >"$tmp/got"
printf '   orders that nobody got: %d\n' "$((40 - $(wc -l <"$tmp/got")))"
# Each consumer writes down what it gets; of a customer the numbers must grow, but for what came again.
late=0
for name in A B C; do
  n=$(sed 's/Received: //' "$tmp/$name" | awk '$2 < last[$1] { n++ } { last[$1] = $2 } END { print n + 0 }')
  late=$((late + n))
done
printf '   orders of a customer out of order: %d\n' "$late"

say '4. Nothing is gone: another group reads it all, from the first'
printf '   a second group read all %d\n' "$("$sdlab" mq consume orders --group audit --offset first --count 40 | wc -l)"

say '5. A mistake in the bill? Send the group back, and it reads from there'
# shellcheck disable=SC2154 # set by eval
kill "$B" "$C"
wait "$B" "$C" 2>/dev/null
"$sdlab" mq groups reset orders billing 20 --http-port "$http" | sed 's/^/   /'
groups | grep -v audit | sed 's/^/   /'

say 'Try next: sdlab mq --data-dir ./queue-data, then http://127.0.0.1:15672/ in a browser while a group is behind'
