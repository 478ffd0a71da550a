#!/usr/bin/env bash
# Three nodes of a cluster and other people's clients: redis-cli with and without -c, redis-benchmark with and without
# --cluster, python3-redis plain and as RedisCluster; ioredis where build/npm has it (more of these: cache_cluster_clients.sh). Then one node is killed, and one leaves.
# one thread
# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
sdlab_test "$@"
need redis-tools redis-cli redis-benchmark
need python3 python3
/usr/bin/python3 -c 'import redis' 2>/dev/null || skip 'python3-redis is not installed'

node() { # NAME OPTIONS...
  local name=$1
  shift
  start "$name" "$SDLAB" cache --port 0 --cluster-port 0 --gossip-interval 500ms --hot-reads 100 "$@"
  port[$name]=$(port_of "$name") || exit 1
}
cli() { # NAME ARGUMENTS...
  local name=$1
  shift
  timeout 20 redis-cli -p "${port[$name]}" "$@" 2>&1
}
bus_of() { cli "$1" CLUSTER NODES | sed -n 's/.*@\([0-9]*\) myself.*/\1/p'; }
knows() { # NAME HOW-MANY
  [ "$(cli "$1" CLUSTER INFO | tr -d '\r' | sed -n 's/^cluster_size://p')" = "$2" ]
}
view_of() { cli "$1" CLUSTER INFO | tr -d '\r' | sed -n 's/^sdlab_view://p'; }
agree() { [ "$(view_of one)" = "$(view_of two)" ] && [ "$(view_of one)" = "$(view_of three)" ]; }
somebody_waits() { for n in one two three; do cli "$n" INFO clients; done | grep -q 'blocked_clients:[1-9]'; }
port_name() { # PORT: the name of the node that has it
  local n
  for n in one two three; do
    [ "${port[$n]:-}" != "$1" ] || echo "$n"
  done
}
# The name of the node that a key is at.
owner_of() { port_name "$(cli one CLUSTER LOCATE "$1" | sed -n 3p)"; }

declare -A port
node one
wait_line one "[CLUSTER] Node ${port[one]} started, ring: [${port[one]}]"
node two --join "localhost:$(bus_of one)"
node three --join "127.0.0.1:$(bus_of one)"
for n in one two three; do wait_for "$n to know three nodes" knows "$n" 3; done
wait_for 'one map of slots' agree
wait_line one "Node ${port[three]} joined, ring: ["

# ---- what clients read of the map ----
assert_eq 12182 "$(cli one CLUSTER KEYSLOT foo)"
assert_eq 3 "$(cli two CLUSTER NODES | wc -l)"
assert_contains "$(cli one INFO cluster)" cluster_enabled:1
assert_contains "$(cli one CLUSTER INFO)" cluster_state:ok
assert_contains "$(cli one HELLO)" cluster
assert_contains "$(cli one SELECT 1)" 'ERR SELECT is not allowed in cluster mode'
assert_contains "$(cli one CLUSTER ADDSLOTS 1)" 'not possible here'
assert_contains "$(cli one CLUSTER NONSENSE)" 'unknown subcommand'

# ---- a client that knows nothing of clusters ----
for k in a b c d e f g h; do assert_eq OK "$(cli one SET "key:$k" "value of $k")"; done
for n in one two three; do
  for k in a b c d e f g h; do assert_eq "value of $k" "$(cli "$n" GET "key:$k")"; done
done
assert_eq "$(printf 'value of %s\n' a b c d)" "$(cli two MGET key:a key:b key:c key:d)"
assert_eq OK "$(cli three MSET m:a 1 m:b 2 m:c 3 m:d 4)"
assert_eq 12 "$(cli one DBSIZE)"
assert_eq 4 "$(cli two EXISTS m:a m:b m:c m:d m:none)"
assert_eq 12 "$(cli three KEYS '*' | sort -u | wc -l)"
assert_eq 12 "$(cli one --scan | sort -u | wc -l)"
assert_eq 4 "$(cli one DEL m:a m:b m:c m:d)"
assert_contains "$(cli one SUNIONSTORE to:a from:b from:c)" CROSSSLOT
held=0
for n in one two three; do
  for s in $(for k in a b c d e f g h; do cli one CLUSTER KEYSLOT "key:$k"; done); do
    held=$((held + $(cli "$n" CLUSTER COUNTKEYSINSLOT "$s")))
  done
done
[ "$held" -ge 8 ] || fail "of 8 keys the nodes count $held in their slots"

# Replies come in the order of the requests, whoever answers them, and what is said before the connection is closed is answered.
/usr/bin/python3 - "${port[one]}" <<'PY' || fail 'a pipeline over several nodes'
import socket, sys
s = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
s.settimeout(20)
want = b""
for i in range(2000):
    s.sendall(b"SET p:%d %d\r\nGET p:%d\r\nECHO %d\r\n" % (i % 300, i, i % 300, i))
    n = b"%d" % i
    want += b"+OK\r\n" + 2 * (b"$%d\r\n%s\r\n" % (len(n), n))
s.shutdown(socket.SHUT_WR)
got = b""
while more := s.recv(65536):
    got += more
at = next((i for i in range(min(len(got), len(want))) if got[i] != want[i]), min(len(got), len(want)))
assert got == want, (at, got[at:at + 60], want[at:at + 60])
PY

# Transactions, watched keys and waits go to the node that has the key.
for tag in a b c d e; do
  out=$(printf '%s\n' MULTI "SET t{$tag} 1" "INCR t{$tag}" EXEC "WATCH t{$tag}" MULTI "INCR t{$tag}" EXEC "WATCH t{$tag}" \
    "SET t{$tag} 9" MULTI "INCR t{$tag}" EXEC "GET t{$tag}" | cli one | tr '\n' ' ')
  assert_eq 'OK QUEUED QUEUED OK 2 OK OK QUEUED 3 OK OK OK QUEUED  9 ' "$out" "transaction with tag $tag"
  (cli two BLPOP "list{$tag}" 15 >"$TMP/popped.$tag") &
  waiting=$!
  wait_for "a wait for list{$tag}" somebody_waits
  cli three RPUSH "list{$tag}" "item of $tag" >"$TMP/pushed"
  wait "$waiting"
  assert_eq "list{$tag} item of $tag" "$(tr '\n' ' ' <"$TMP/popped.$tag" | sed 's/ $//')"
done

# A key that is read all the time is answered by the copy where it is asked, and nowhere that has none.
hits_of() { cli "$1" INFO stats | tr -d '\r' | sed -n 's/^keyspace_hits://p'; }
first=$(owner_of hot)
second=$(port_name "$(cli one CLUSTER LOCATE hot | sed -n 6p)")
third=$(printf '%s\n' one two three | grep -vx -e "$first" -e "$second")
assert_eq OK "$(cli one SET hot value)"
copied() { [ "$(printf 'READONLY\nGET hot\n' | cli "$second" | tail -n 1)" = value ]; }
wait_for 'the copy of a key' copied
read_hot() { # NAME: reads it there; true once that node answered many of these by itself
  redis-benchmark -p "${port[$1]}" -q -n 20000 -P 16 GET hot >"$TMP/bench" 2>&1 || fail "redis-benchmark: $(cat "$TMP/bench")"
  assert_lacks "$(cat "$TMP/bench")" rror
  [ $(($(hits_of "$1") - before)) -gt 1000 ]
}
before=$(hits_of "$second")
wait_for 'the copy of a hot key to answer' read_hot "$second"
before=$(hits_of "$third")
for _ in 1 2 3 4; do read_hot "$third"; done
assert_eq "$before" "$(hits_of "$third")" 'reads where no copy is'

# ---- clients that know clusters ----
for k in a b c d e f g h; do assert_eq "value of $k" "$(cli two -c GET "key:$k")"; done
moved=$(printf '%s\n' 'CLUSTER SLOTS' 'GET key:a' 'GET key:b' 'GET key:c' 'GET key:d' 'GET key:e' 'GET key:f' | cli one | grep -c '^MOVED [0-9]* 127.0.0.1:[0-9]*$')
[ "$moved" -ge 1 ] || fail 'no MOVED for a client that asked for the map'
redis-benchmark -p "${port[one]}" -q -n 3000 -r 1000 -P 8 -t set,get,incr,lpush,sadd,zadd,mset >"$TMP/bench" 2>&1 || fail "redis-benchmark: $(cat "$TMP/bench")"
assert_lacks "$(cat "$TMP/bench")" rror
redis-benchmark --cluster -p "${port[two]}" -q -n 3000 -r 1000 -t set,get,incr >"$TMP/bench" 2>&1 || fail "redis-benchmark --cluster: $(cat "$TMP/bench")"
assert_lacks "$(cat "$TMP/bench")" rror
assert_contains "$(cat "$TMP/bench")" 'Master 2'
/usr/bin/python3 - "${port[one]}" "${port[three]}" <<'PY' || fail 'python3-redis'
import sys, redis
from redis.cluster import RedisCluster
port = int(sys.argv[1])
plain, cluster = redis.Redis(port=port), RedisCluster(host="127.0.0.1", port=port)
plain.flushall()
for i in range(300):
    plain.set(f"k{i}", i)
assert plain.mget([f"k{i}" for i in range(300)]) == [b"%d" % i for i in range(300)]
assert all(cluster.get(f"k{i}") == b"%d" % i for i in range(300))
pipe = plain.pipeline(transaction=False)
for i in range(1000):
    pipe.incr(f"c{i % 50}")
assert pipe.execute()[-1] == 20
assert plain.dbsize() == 350
assert len(set(plain.scan_iter(count=17))) == 350
with plain.pipeline() as t:
    t.multi()
    t.set("{x}a", 1)
    t.incr("{x}a")
    assert t.execute() == [True, 2]
assert cluster.mset_nonatomic({"k1": "a", "k2": "b", "k3": "c"}) and cluster.mget_nonatomic("k1", "k2", "k3") == [b"a", b"b", b"c"]
assert len(cluster.get_nodes()) == 3
hear = redis.Redis(port=port).pubsub()
hear.subscribe("news")
assert hear.get_message(timeout=10)["type"] == "subscribe"
far = redis.Redis(port=int(sys.argv[2]))
assert far.publish("news", "hello") == 0 and far.pubsub_numsub("news") == [(b"news", 0)] and far.pubsub_channels() == []
assert hear.get_message(timeout=10)["data"] == b"hello"
assert plain.publish("news", "again") == 1 and plain.pubsub_numsub("news") == [(b"news", 1)] and plain.pubsub_channels() == [b"news"]
assert hear.get_message(timeout=10)["data"] == b"again"
PY
if [ -d "$ROOT/build/npm/node_modules/ioredis" ] && command -v node >/dev/null; then
  NODE_PATH=$ROOT/build/npm/node_modules timeout 60 node -e '
    const Redis = require("ioredis");
    const c = new Redis.Cluster([{host: "127.0.0.1", port: +process.argv[1]}]);
    (async () => {
      for (let i = 0; i < 200; i++) await c.set("io" + i, i);
      for (let i = 0; i < 200; i++) if (await c.get("io" + i) !== String(i)) throw new Error("io" + i);
      if (c.nodes().length !== 3) throw new Error(c.nodes().length + " nodes");
      c.disconnect();
    })().catch((e) => { console.error(e); process.exit(1); });' "${port[one]}" || fail ioredis
fi

# ---- garbage, and a node of another cluster ----
/usr/bin/python3 - "$(bus_of one)" <<'PY' || fail 'garbage for the cluster port'
import random, socket, sys
port, rng = int(sys.argv[1]), random.Random(1)
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for i in range(3000):
    head = b"SDG1" if i % 2 else b""
    u.sendto(head + rng.randbytes(rng.randrange(1500)), ("127.0.0.1", port))
for i in range(60):
    t = socket.create_connection(("127.0.0.1", port))
    t.settimeout(20)
    if i % 3 == 0:  # a frame that comes before anybody said who it is
        t.sendall(bytes([5, 0, 0, 0, 4, 0, 0, 0]) + bytes(16) + b"PING\n")
    elif i % 3 == 1:  # a hello of another cluster
        t.sendall(bytes([48, 0, 0, 0, 1, 0, 0, 0]) + bytes(16) + b"SDB1" + rng.randbytes(44))
    else:
        t.sendall(rng.randbytes(2000))
    try:
        assert t.recv(100) == b"", "an answer to garbage"
    except ConnectionResetError:
        pass
PY
assert_match "$(cli one CLUSTER INFO | tr -d '\r')" 'sdlab_datagrams_bad:[1-9]'
node stranger --cluster-name another --join "127.0.0.1:$(bus_of one)"
wait_line stranger 'is of another cluster than another'
wait_line one 'is of another cluster than cache'
assert_contains "$(cli stranger GET k)" CLUSTERDOWN
assert_eq 3 "$(cli one CLUSTER NODES | wc -l)"
stop stranger
run "$SDLAB" cache --port 0 --join 127.0.0.1:17001
assert_eq 1 "$STATUS"
assert_contains "$ERR" 'join: expected cluster-port as well'
run "$SDLAB" cache --port 0 --bind 0.0.0.0 --password x --cluster-port 0
assert_eq 1 "$STATUS"
assert_contains "$ERR" 'expected a key to listen beyond this machine'
echo nonsense >"$TMP/id"
run "$SDLAB" cache --port 0 --cluster-port 0 --node-id-file "$TMP/id"
assert_eq 1 "$STATUS"
assert_contains "$ERR" 'expected the id of a node, 40 digits in hexadecimal'

# A node that keeps data is the same one the next time.
for time in first second; do
  node "kept$time" --data-dir "$TMP/kept" --cluster-name alone
  cli "kept$time" CLUSTER MYID >"$TMP/id.$time"
  stop "kept$time"
done
assert_same "$TMP/id.first" "$TMP/id.second" 'id of a node'
assert_match "$(cat "$TMP/id.first")" '^[0-9a-f]{40}$'

# ---- one dies ----
cli one SET still there >"$TMP/set"
victim=$(owner_of gone)
[ "$victim" != one ] || victim=two
stop "$victim" KILL 137
unset "port[$victim]"
left=two
[ "$victim" = three ] || left=three
# Nobody waits for ever, and soon every key has a node again.
for n in one "$left"; do wait_for "$n to know two nodes" knows "$n" 2; done
for i in 1 2 3 4 5 6 7 8 9 10 11 12; do
  assert_eq OK "$(cli one SET "after:$i" "$i")"
  assert_eq "$i" "$(cli "$left" GET "after:$i")"
done
wait_line one ' unreachable, redistributing '
wait_line one 'Redistribution complete, ring: ['

# ---- one leaves ----
stop "$left"
wait_for 'one to be alone' knows one 1
wait_line one "Node ${port[$left]} left, redistributing "
assert_eq OK "$(cli one SET alone yes)"
stop one
