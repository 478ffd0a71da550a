#!/usr/bin/env bash
# Clients of Redis Cluster in their ordinary use, on three nodes of the cache: python3-redis, ioredis, node-redis, redis-cli -c,
# redis-benchmark --cluster; each also when a node is killed, whose keys the others have copies of, and when a new one joins.
# plain build only: it is about the clients
# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
sdlab_test "$@"
need redis-tools redis-cli redis-benchmark
need python3-redis /usr/bin/python3
/usr/bin/python3 -c 'import redis.cluster' 2>/dev/null || skip python3-redis
need "npm's ioredis and redis" node
modules=$(realpath -m "${NPM_MODULES:-$ROOT/build/npm/node_modules}")
for module in ioredis redis; do
  [ -e "$modules/$module/package.json" ] || skip "npm's ioredis and redis"
done
export NPM_MODULES=$modules
DEADLINE=$((DEADLINE * 3))

declare -A port
live=() # names of the nodes that are there
made=0
OPTIONS=() # what all are started with
member() { # OPTIONS...: one more
  local name=member$((made += 1))
  start "$name" "$SDLAB" cache --port 0 --cluster-port 0 --gossip-interval 100ms "${OPTIONS[@]}" "$@"
  port[$name]=$(port_of "$name") || exit 1
  live+=("$name")
}
cli() { # NAME ARGUMENTS...
  local name=$1
  shift
  timeout 20 redis-cli -p "${port[$name]}" "$@" 2>&1
}
bus_of() { cli "$1" CLUSTER NODES | sed -n 's/.*@\([0-9]*\) myself.*/\1/p'; }
field() { cli "$1" CLUSTER INFO | tr -d '\r' | sed -n "s/^$2://p"; }
agree() { # all know all, and have one map
  local n
  for n in "${live[@]}"; do
    [ "$(field "$n" cluster_size)" = "${#live[@]}" ] || return 1
    [ "$(field "$n" sdlab_view)" = "$(field "${live[0]}" sdlab_view)" ] || return 1
  done
}
keys_of() { cli "$1" INFO keyspace | tr -d '\r' | sed -n 's/^db0:keys=\([0-9]*\),.*/\1/p'; }
copied() { # each key is at two nodes
  local sum=0 all=0 n
  for n in "${live[@]}"; do
    sum=$((sum + $(keys_of "$n")))
    all=$((all + $(cli "$n" DBSIZE)))
  done
  [ ${#OPTIONS[@]} -gt 0 ] || all=$((all / ${#live[@]})) # each counts for all
  [ "$sum" = $((2 * all)) ]
}
join() {
  member --join "127.0.0.1:$(bus_of "${live[0]}")"
  wait_for 'three nodes to agree' agree
}
lose() { # the last that came
  local name=${live[-1]}
  unset 'live[-1]'
  kill -s KILL "${PID[$name]}"
  wait_exit "$name" 2>/dev/null # the shell would say Killed
}

# It is told of the two nodes that stay.
client() { # NAME COMMAND...
  local name=$1
  shift
  start "$name" "$@" "${port[${live[0]}]}" "${port[${live[1]}]}"
  wait_line "$name" READY
  wait_for 'a copy of each key' copied
  lose
  wait_line "$name" LOST
  wait_line "$name" SURVIVED
  join
  wait_line "$name" BACK
  wait_exit "$name"
  assert_eq 0 "$STATUS" "exit status of $name"
}

node_redis() { # NODES
  run env NODES="$1" node "$ROOT/test/interop/cache_cluster_client.js" redis "${port[${live[0]}]}" "${port[${live[1]}]}"
  assert_eq "0 READY" "$STATUS $OUT" "node-redis with $1 nodes: $ERR"
}

benchmark() { # NODES: so many are named, and nothing is refused
  local out
  out=$(timeout 60 redis-benchmark --cluster -p "${port[${live[0]}]}" -q -n 3000 -r 1000 -c 10 -P 4 2>&1) ||
    fail "redis-benchmark --cluster: $out"
  assert_lacks "$out" rror "redis-benchmark --cluster with $1"
  assert_contains "$out" "Master $(($1 - 1))"
  assert_lacks "$out" "Master $1"
  printf '%s\n' "$out" | tr '\r' '\n' | grep -c 'requests per second'
}

three() {
  member
  member --join "127.0.0.1:$(bus_of "${live[0]}")"
  member --join "127.0.0.1:$(bus_of "${live[0]}")"
  wait_for 'three nodes to agree' agree
}

three
client python /usr/bin/python3 "$ROOT/test/interop/cache_cluster_client.py"
client ioredis node "$ROOT/test/interop/cache_cluster_client.js" ioredis
node_redis 3

# ---- redis-cli, which is told what to do while it runs: a node dies between two of its commands ----
for n in "${live[@]}"; do cli "$n" FLUSHALL >/dev/null; done
mkfifo "$TMP/say"
# shellcheck disable=SC2016 # for the other shell
start redis-cli bash -c 'exec redis-cli -c -p "$1" <"$2"' - "${port[${live[0]}]}" "$TMP/say"
exec 5>"$TMP/say"
for i in 1 2 3 4 5 6 7 8 9 10 11 12; do echo "SET k$i value-$i" >&5; done
echo 'ECHO all-set' >&5
wait_line redis-cli all-set
assert_eq 12 "$(log_count redis-cli OK)"
wait_for 'a copy of each key' copied
lose
wait_for 'two nodes to agree' agree
for i in 1 2 3 4 5 6 7 8 9 10 11 12; do echo "GET k$i" >&5; done
for i in 1 2 3 4 5 6 7 8 9 10 11 12; do wait_line redis-cli "value-$i"; done
exec 5>&-
wait_exit redis-cli
node_redis 2
benchmark 2 >"$TMP/two"
join
benchmark 3 >"$TMP/three"
[ "$(cat "$TMP/three")" -ge 15 ] || fail "redis-benchmark --cluster has $(cat "$TMP/three") results"
assert_eq "$(cat "$TMP/three")" "$(cat "$TMP/two")" 'results of redis-benchmark --cluster'
for n in "${live[@]}"; do stop "$n"; done

# ---- a library that asks every node itself and adds up, where nodes answer for themselves only ----
live=()
OPTIONS=(--cluster-routing moved)
three
/usr/bin/python3 - "${port[${live[0]}]}" <<'PY' || fail 'python3-redis with --cluster-routing moved'
import sys
from redis.cluster import RedisCluster
r = RedisCluster(host="127.0.0.1", port=int(sys.argv[1]), decode_responses=True)
names = sorted(f"k{i}" for i in range(300))
assert all(r.set(k, 1) for k in names)
assert len(r.get_primaries()) == 3, r.get_nodes()
all = r.PRIMARIES
assert r.dbsize(target_nodes=all) == 300 and sorted(r.keys("k*", target_nodes=all)) == names and sorted(r.scan_iter(count=7)) == names
r.flushall(target_nodes=all)
assert r.dbsize(target_nodes=all) == 0
PY
for n in "${live[@]}"; do stop "$n"; done
