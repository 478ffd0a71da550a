#!/usr/bin/env bash
# The cache on four threads: many clients at a time that wait, listen, watch, monitor and are killed; one client after another, on
# whichever thread, beside redis-server; limits that count over all threads; and its end.
# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
sdlab_test "$@"
need redis-server redis-server
need redis-tools redis-cli
need python3 python3

count=20000 rounds=100
case $SDLAB in */address* | */thread/*) count=8000 rounds=40 ;; esac
start ours "$SDLAB" cache --port 0 --threads 4 --admin 127.0.0.1:0
ours=$(port_of ours) || exit 1
admin=$(admin_of ours) || exit 1
theirs=$(free_port)
start theirs redis-server --port "$theirs" --bind 127.0.0.1 --save '' --appendonly no --dir "$TMP"
wait_port theirs "$theirs"

assert_eq 4 "$(redis-cli -p "$ours" CONFIG GET io-threads | tail -n 1)" 'CONFIG GET io-threads'
assert_contains "$(redis-cli -p "$ours" INFO server)" 'io_threads_active:1' 'INFO'
python3 "$ROOT/test/interop/cache_threads.py" "$rounds" "$ours" || fail 'many clients at a time'
alone() { [ "$(redis-cli -p "$ours" INFO clients | tr -d '\r' | sed -n 's/^connected_clients://p')" = 1 ]; }
wait_for 'all clients but the one that asks to be gone' alone
wait_for 'the metrics to know that all clients are gone' eval "[ \"\$(metric $admin sdlab_cache_clients)\" = 0 ]"
redis-cli -p "$ours" FLUSHALL >"$TMP/out" || fail 'FLUSHALL'
python3 "$ROOT/test/interop/cache_peer.py" random "${SEED:-1}" "$count" "$ours" "$theirs" || fail 'random requests'
python3 "$ROOT/test/interop/cache_peer_blocking.py" "${SEED:-1}" $((count / 40)) "$ours" "$theirs" || fail 'clients that wait'
python3 "$ROOT/test/interop/cache_peer_sessions.py" "${SEED:-1}" $((count / 40)) "$ours" "$theirs" || fail 'transactions and subscriptions'
stop ours

# Of 40 that come, 7 may stay, wherever they are; and a SIGTERM ends those, and saves what they wrote.
start few "$SDLAB" cache --port 0 --threads 4 --max-clients 7 --data-dir "$TMP/few"
few=$(port_of few) || exit 1
python3 - "$few" "${PID[few]}" <<'PY' || fail 'max-clients over all threads'
import os, signal, socket, sys
all_of_them = []
for i in range(40):
    s = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
    s.settimeout(60)
    try:
        s.sendall(b"SET key%d v\r\n" % i)
        all_of_them.append((s, s.recv(100)))
    except ConnectionResetError:
        all_of_them.append((s, b"-"))
stay = [s for s, reply in all_of_them if reply == b"+OK\r\n"]
assert len(stay) == 7, len(stay)
os.kill(int(sys.argv[2]), signal.SIGTERM)
for s in stay:
    assert s.recv(100) == b""
PY
wait_exit few
assert_eq 0 "$STATUS" 'exit status after TERM'
start few "$SDLAB" cache --port 0 --threads 4 --data-dir "$TMP/few"
few=$(port_of few) || exit 1
assert_eq 7 "$(redis-cli -p "$few" DBSIZE)" 'keys that were saved'
redis-cli -p "$few" SHUTDOWN 2>"$TMP/err" || fail "SHUTDOWN: $(cat "$TMP/err")"
wait_exit few
assert_eq 0 "$STATUS" 'exit status after SHUTDOWN'

# Two nodes: commands of all threads go to the other node and to the copies there, through the one loop that has the links.
# Gossip knows a node before it is a member: only cluster_size counts.
one_bus() { redis-cli -p "$one" CLUSTER NODES | sed -n 's/.*@\([0-9]*\) .*/\1/p'; }
joined() { [ "$(redis-cli -p "$1" CLUSTER INFO | tr -d '\r' | sed -n 's/^cluster_size://p')" = 2 ]; }
start one "$SDLAB" cache --port 0 --cluster-port 0 --threads 4
one=$(port_of one) || exit 1
start two "$SDLAB" cache --port 0 --cluster-port 0 --threads 3 --join "127.0.0.1:$(one_bus)"
two=$(port_of two) || exit 1
wait_for 'the second node' joined "$one"
wait_for 'the first node' joined "$two"
python3 "$ROOT/test/interop/cache_threads.py" "$rounds" "$one" "$two" || fail 'many clients of two nodes'
stop one
stop two
