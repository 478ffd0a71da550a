#!/usr/bin/env bash
# The cache beside redis-server: the same random requests to both, in both protocols, replies compared byte for byte; then
# requests that are none. With --long as the second argument a hundred times as many; SEED=n for another seed.
# one thread
# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
sdlab_test "$@"
need redis-server redis-server
need redis-tools redis-cli
need python3 python3

count=200000
case $SDLAB in *address*) count=40000 ;; esac
[ "${2:-}" != --long ] || count=20000000
start ours "$SDLAB" cache --port 0
ours=$(port_of ours) || exit 1
theirs=$(free_port)
start theirs redis-server --port "$theirs" --bind 127.0.0.1 --save '' --appendonly no --dir "$TMP"
wait_port theirs "$theirs"

python3 "$ROOT/test/interop/cache_peer.py" broken "$ours" "$theirs" || fail 'requests that are none'
python3 "$ROOT/test/interop/cache_peer.py" random "${SEED:-1}" "$count" "$ours" "$theirs" || fail 'random requests'
for family in hash list; do
  python3 "$ROOT/test/interop/cache_peer.py" random "${SEED:-1}" $((count / 2)) "$ours" "$theirs" "$family" || fail "random requests: $family"
done
python3 "$ROOT/test/interop/cache_peer_sets.py" "${SEED:-1}" $((count / 2)) "$ours" "$theirs" || fail 'sets and sorted sets'
python3 "$ROOT/test/interop/cache_peer_blocking.py" "${SEED:-1}" $((count / 200)) "$ours" "$theirs" || fail 'clients that wait'
python3 "$ROOT/test/interop/cache_peer_sessions.py" "${SEED:-1}" $((count / 40)) "$ours" "$theirs" || fail 'transactions and subscriptions'

# Words about clients; what is told of how keys are used, under each policy; and the words of a full memory.
while read -r line; do
  for port in "$ours" "$theirs"; do
    # shellcheck disable=SC2086 # words
    redis-cli -p "$port" $line >"$TMP/reply.$port"
  done
  assert_same "$TMP/reply.$ours" "$TMP/reply.$theirs" "reply to $line"
done <<'END'
CLIENT LIST TYPE normal x
CLIENT LIST foo
CLIENT LIST TYPE foo
CLIENT LIST TYPE pubsub
CLIENT LIST ID x
CLIENT LIST ID 99999
CLIENT KILL ID 0
CLIENT KILL ID x
CLIENT KILL USER nobody
CLIENT KILL USER default
CLIENT KILL TYPE foo
CLIENT KILL TYPE pubsub
CLIENT KILL TYPE normal
CLIENT KILL ADDR 1.2.3.4:5
CLIENT KILL 1.2.3.4:5
CLIENT KILL LADDR 1.2.3.4:5
CLIENT KILL SKIPME maybe
CLIENT KILL ID
CLIENT KILL foo bar
CLIENT UNBLOCK 99999
CLIENT UNBLOCK x
CLIENT UNBLOCK 1 foo
CLIENT UNBLOCK 1 error x
FLUSHALL
SET before v
OBJECT FREQ before
OBJECT FREQ none
CONFIG SET maxmemory-policy allkeys-lfu
SET k v
OBJECT FREQ k
OBJECT FREQ k
GET k
OBJECT FREQ k
SET k w
EXISTS k
TTL k
TYPE k
OBJECT IDLETIME k
OBJECT IDLETIME none
CONFIG SET lfu-log-factor 0
SET l v
GET l
GET l
APPEND l x
STRLEN l
EXISTS l
TOUCH l l
SETRANGE l 1 a
GETRANGE l 0 1
OBJECT FREQ l
CONFIG GET maxmemory-policy
CONFIG SET maxmemory-policy volatile-lru
OBJECT FREQ l
CONFIG SET maxmemory 1
SET a b
MSET a b
INCR a
GET k
MULTI
DEL k l before
CONFIG SET maxmemory 0 maxmemory-policy noeviction lfu-log-factor 10
SET a b
END

# Before AUTH only little may be announced.
start locked "$SDLAB" cache --port 0 --password secret
locked=$(port_of locked) || exit 1
redis-cli -p "$theirs" CONFIG SET requirepass secret >"$TMP/set" || fail 'CONFIG SET requirepass'
# shellcheck disable=SC2016 # the dollar is of the protocol
for wire in '*11\r\n' '*1\r\n$16385\r\n' 'GET a\r\n' 'AUTH wrong\r\n' 'HELLO 3\r\n' 'PING\r\nAUTH secret\r\nPING\r\n' 'QUIT\r\n'; do
  for port in "$locked" "$theirs"; do
    python3 - "$port" "$wire" >"$TMP/reply.$port" <<'PY' || fail "$wire to port $port"
import socket, sys
s = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
s.settimeout(20)
s.sendall(sys.argv[2].encode().decode("unicode_escape").encode("latin-1"))
s.shutdown(socket.SHUT_WR)
while got := s.recv(65536):
    sys.stdout.write(repr(got))
PY
  done
  assert_same "$TMP/reply.$locked" "$TMP/reply.$theirs" "reply to $wire before AUTH"
  [ -s "$TMP/reply.$locked" ] || fail "no reply to $wire before AUTH"
done
stop ours
stop locked
