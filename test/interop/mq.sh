#!/usr/bin/env bash
# Other people's clients, and frames that none of them would send, on Debian's rabbitmq-server and on ours: each script prints what it
# sees, and must print the same on both.
# plain build only
# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=../rabbitmq.sh
. "$(dirname "$0")/../rabbitmq.sh"
sdlab_test "$@"
need rabbitmq-server epmd
[ -x /usr/lib/rabbitmq/bin/rabbitmq-server ] || skip rabbitmq-server
need amqp-tools amqp-publish
need ruby-bunny ruby
need "npm's amqplib" node
/usr/bin/python3 -c 'import pika' 2>/dev/null || skip python3-pika
ruby -e 'require "bunny"' 2>/dev/null || skip ruby-bunny
[ -e /usr/include/amqp.h ] || [ -e /usr/include/rabbitmq-c/amqp.h ] || skip librabbitmq-dev
NPM_MODULES=$(realpath -m "${NPM_MODULES:-$ROOT/build/npm/node_modules}")
export NPM_MODULES
[ -e "$NPM_MODULES/amqplib/package.json" ] || skip "npm's amqplib"
cd "$TMP" || exit 1
cc -o librabbitmq "$ROOT/test/interop/mq_rabbitmq.c" -lrabbitmq || fail 'the client of librabbitmq does not build'

RABBITMQ_CONF='max_message_size = 400000' start_rabbitmq theirs
start ours "$SDLAB" mq --port 0 --http off --retry-limit 0 --max-message 400000
AT[ours]=$(port_of ours)

tools() { # PORT
  local url=amqp://guest:guest@127.0.0.1:$1/%2f i
  amqp-declare-queue -u "$url" -q tools -d
  for i in 1 2 3; do printf 'body %s' "$i" | amqp-publish -u "$url" -r tools -p; done
  amqp-get -u "$url" -q tools && echo
  amqp-consume -u "$url" -q tools -c 2 cat && echo
  amqp-get -u "$url" -q tools 2>&1
  echo "empty: $?"
  amqp-publish -u "$url" -e nowhere -r k -b x
  amqp-get -u "$url" -q nowhere 2>&1
  amqp-delete-queue -u "$url" -q tools
  amqp-declare-queue -u "amqp://guest:wrong@127.0.0.1:$1/%2f" -q tools 2>&1
  echo "wrong password: $?"
}

# same WHAT COMMAND...: the port comes last.
same() {
  local what=$1 who
  shift
  for who in theirs ours; do
    timeout 60 "$@" "${AT[$who]}" >"$what.$who" 2>&1 || fail "$what with $who: exit status $?: $(tail -n 20 "$what.$who")"
  done
  cmp -s "$what.theirs" "$what.ours" || fail "$what sees otherwise: $(diff "$what.theirs" "$what.ours" | head -n 40)"
}

export -f tools
same errors /usr/bin/python3 "$ROOT/test/interop/mq_errors.py"
same pika /usr/bin/python3 "$ROOT/test/interop/mq_pika.py"
same streams /usr/bin/python3 "$ROOT/test/interop/mq_streams.py"
same death /usr/bin/python3 "$ROOT/test/interop/mq_death.py"
same async /usr/bin/python3 "$ROOT/test/interop/mq_async.py"
same amqplib node "$ROOT/test/interop/mq_amqplib.js"
same bunny ruby "$ROOT/test/interop/mq_bunny.rb"
same librabbitmq ./librabbitmq
# shellcheck disable=SC2016 # for the other shell
same tools bash -c 'tools "$1"' tools
assert_eq '' "$(grep -E '^ *FAILED' ./*.theirs)" 'what they print with rabbitmq-server'
assert_eq closed "$(tail -n 1 pika.ours)" 'the last line of pika'
assert_eq closed "$(tail -n 1 streams.ours)" 'the last line of streams'
stop ours
stop_quietly theirs
