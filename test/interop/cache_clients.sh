#!/usr/bin/env bash
# Clients of Redis in their ordinary use, on the cache and on redis-server: redis-cli, redis-benchmark, python3-redis, hiredis,
# ioredis, node-redis; each also when the server is killed and comes back.
# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
sdlab_test "$@"
need redis-tools redis-cli redis-benchmark
need redis-server redis-server
need python3-redis /usr/bin/python3
/usr/bin/python3 -c 'import redis' 2>/dev/null || skip python3-redis
[ -e /usr/include/hiredis/hiredis.h ] || skip libhiredis-dev
need "npm's ioredis and redis" node
modules=$(realpath -m "${NPM_MODULES:-$ROOT/build/npm/node_modules}")
for module in ioredis redis; do
  [ -e "$modules/$module/package.json" ] || skip "npm's ioredis and redis"
done
export NPM_MODULES=$modules
DEADLINE=$((DEADLINE * 3))
cd "$TMP" || exit 1
cc -o hiredis "$ROOT/test/interop/cache_client.c" -lhiredis || fail 'the client of hiredis does not build'

declare -A HOW=([ours]=$(free_port) [theirs]=$(free_port))
serve() { # WHO
  if [ "$1" = ours ]; then
    start ours "$SDLAB" cache --port "${HOW[ours]}"
  else
    start theirs redis-server --dir "$TMP" --port "${HOW[theirs]}" --bind 127.0.0.1 --save '' --appendonly no
  fi
  wait_port "$1" "${HOW[$1]}"
}

# A client until it is READY; its server is killed; once the client is LOST another is there, and the client is BACK.
client() { # WHO NAME COMMAND...
  local who=$1 name=$2
  shift 2
  start "$name.$who" "$@"
  wait_line "$name.$who" READY
  kill -s KILL "${PID[$who]}"
  wait_exit "$who" 2>/dev/null # the shell would say Killed
  wait_line "$name.$who" LOST
  serve "$who"
  wait_line "$name.$who" BACK
  wait_exit "$name.$who"
  assert_eq 0 "$STATUS" "exit status of $name with $who"
}

tools() { # WHO
  local port=${HOW[$1]} out
  cli() { redis-cli -p "$port" "$@"; }
  cli flushall >/dev/null
  assert_eq OK "$(cli set a 1)" "$1: redis-cli"
  assert_eq '1.5' "$(cli -3 zadd z 1.5 m >/dev/null && cli -3 zscore z m)" "$1: redis-cli -3"
  # from a pipe; commands in RESP by the thousand
  assert_eq 'OK 2 2 ' "$(printf 'set b 1\nincr b\nget b\n' | cli | tr '\n' ' ')" "$1: redis-cli from a pipe"
  out=$(awk 'BEGIN { for (i = 0; i < 20000; i++) { k = "key:" i; printf "*3\r\n$3\r\nSET\r\n$%d\r\n%s\r\n$1\r\nv\r\n", length(k), k } }' |
    cli --pipe) || fail "$1: redis-cli --pipe: $out"
  assert_contains "$out" 'errors: 0, replies: 20000' "$1: redis-cli --pipe"
  assert_eq 20000 "$(cli --scan --pattern 'key:*' | sort -u | wc -l)" "$1: redis-cli --scan"
  cli rpush biglist 1 2 3 4 >/dev/null
  out=$(cli --bigkeys) || fail "$1: --bigkeys"
  assert_match "$out" 'Biggest +list found .*biglist.* has 4 items' "$1: --bigkeys"
  assert_match "$out" 'Sampled 20004 keys' "$1: --bigkeys"
  out=$(redis-benchmark -p "$port" -q -n 2000 -c 20 -P 4 2>&1) || fail "$1: redis-benchmark: $out"
  assert_lacks "$out" 'rror' "$1: redis-benchmark"
  # all of its default tests: 20 lines of results
  printf '%s\n' "$out" | tr '\r' '\n' | grep -c 'requests per second' >"benchmark.$1"
  stop_quietly "$1"
  serve "$1"
}

for who in theirs ours; do
  serve "$who"
  tools "$who"
  client "$who" python /usr/bin/python3 "$ROOT/test/interop/cache_client.py" "${HOW[$who]}"
  client "$who" hiredis ./hiredis "${HOW[$who]}"
  client "$who" ioredis node "$ROOT/test/interop/cache_client.js" ioredis "${HOW[$who]}"
  client "$who" node-redis node "$ROOT/test/interop/cache_client.js" redis "${HOW[$who]}"
done
[ "$(cat benchmark.theirs)" -ge 15 ] || fail "redis-benchmark has $(cat benchmark.theirs) results with redis-server"
assert_eq "$(cat benchmark.theirs)" "$(cat benchmark.ours)" 'results of redis-benchmark'
stop ours
stop_quietly theirs
