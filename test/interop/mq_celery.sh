#!/usr/bin/env bash
# Celery with kombu on Debian's rabbitmq-server and on ours: tasks, retries, countdowns, a worker that is killed in the middle of a task.
# The same script must see the same.
# plain build only
# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=../rabbitmq.sh
. "$(dirname "$0")/../rabbitmq.sh"
sdlab_test "$@"
need rabbitmq-server epmd
[ -x /usr/lib/rabbitmq/bin/rabbitmq-server ] || skip rabbitmq-server
/usr/bin/python3 -c 'import celery, kombu' 2>/dev/null || skip python3-celery
cd "$TMP" || exit 1

start_rabbitmq theirs
start ours "$SDLAB" mq --port 0 --http off --data-dir data
AT[ours]=$(port_of ours) || exit 1
export C_FORCE_ROOT=1 PYTHONDONTWRITEBYTECODE=1
for who in theirs ours; do
  timeout 120 /usr/bin/python3 "$ROOT/test/interop/mq_celery.py" "${AT[$who]}" >"$who.out" 2>"$who.err" ||
    fail "with $who: exit status $?: $(cat "$who.out" "$who.err" ./*/*.log | tail -n 40)"
done
cmp -s theirs.out ours.out || fail "celery sees otherwise: $(diff theirs.out ours.out)"
assert_eq 'done' "$(tail -n 1 ours.out)" 'the last line'
stop ours
stop_quietly theirs
