#!/usr/bin/env bash
# What COMMAND says of every command here, beside what redis-server says: all is the same but for a list with reasons.
# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
sdlab_test "$@"
need redis-server redis-server
need python3-redis /usr/bin/python3
/usr/bin/python3 -c 'import redis' 2>/dev/null || skip python3-redis
theirs=$(free_port)
start theirs redis-server --dir "$TMP" --port "$theirs" --bind 127.0.0.1 --save '' --appendonly no
wait_port theirs "$theirs"
start ours "$SDLAB" cache --port 0
ours=$(port_of ours) || exit 1
run /usr/bin/python3 "$ROOT/test/interop/cache_commands.py" "$ours" "$theirs"
assert_eq '0 ' "$STATUS $OUT$ERR" 'what COMMAND says'
stop ours
stop_quietly theirs
