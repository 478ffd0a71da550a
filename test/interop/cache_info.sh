#!/usr/bin/env bash
# INFO of the cache beside redis-server's: the same fields have the same form, and count the same; and redis-cli --stat reads it.
# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
sdlab_test "$@"
need redis-server redis-server
need redis-tools redis-cli
need python3 python3

start ours "$SDLAB" cache --port 0
ours=$(port_of ours) || exit 1
theirs=$(free_port)
start theirs redis-server --port "$theirs" --bind 127.0.0.1 --save '' --appendonly no --dir "$TMP"
wait_port theirs "$theirs"
python3 "$ROOT/test/interop/cache_info.py" "$ours" "$theirs" || fail 'INFO beside redis-server'

# keys, mem, clients, blocked, requests (+since the last line), connections: its one INFO is all that is asked meanwhile.
for i in 1 2 3; do redis-cli -p "$ours" SET "key$i" value >"$TMP/set" || fail 'SET'; done
redis-cli -p "$ours" DEL a e >"$TMP/del" || fail 'DEL'
(timeout 60 stdbuf -oL redis-cli -p "$ours" --stat -i 0.05 || true) | head -n 6 >"$TMP/stat" || true
assert_eq 3 "$(tail -n +4 "$TMP/stat" | grep -cE '^3 +[0-9.]+[KM] +1 +0 +[0-9]+ \(\+1\) +[0-9]+ *$')" "--stat in $(cat "$TMP/stat")"
