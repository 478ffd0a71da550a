#!/usr/bin/env bash
# Clients of Redis in their ordinary use on the kv server: redis-cli, redis-benchmark, python3-redis, ioredis; what they wrote is there after
# the server was killed, out of its log and out of its tables.
# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
sdlab_test "$@"
need redis-tools redis-cli redis-benchmark
need python3-redis /usr/bin/python3
/usr/bin/python3 -c 'import redis' 2>/dev/null || skip python3-redis
need "npm's ioredis" node
NPM_MODULES=$(realpath -m "${NPM_MODULES:-$ROOT/build/npm/node_modules}")
[ -e "$NPM_MODULES/ioredis/package.json" ] || skip "npm's ioredis"
export NPM_MODULES
cd "$TMP" || exit 1

serve() { # NAME OPTION...
  local name=$1
  shift
  start "$name" "$SDLAB" kv --port 0 --data-dir data "$@"
  port=$(port_of "$name") || exit 1
}
killed() { # NAME
  kill -s KILL "${PID[$1]}"
  wait_exit "$1" 2>/dev/null # the shell would say Killed
}
round=0
for client in "/usr/bin/python3 $ROOT/test/interop/kv_client.py" "node $ROOT/test/interop/kv_client.js"; do
  for memtable in 64MiB 64KiB; do
    round=$((round + 1))
    serve "w$round" --memtable "$memtable"
    $client "$port" write || fail "$client writes with --memtable $memtable"
    killed "w$round"
    serve "r$round"
    $client "$port" read || fail "$client reads after kill -9, --memtable $memtable"
    stop "r$round"
  done
done

serve tools --sync no
cli() { redis-cli -p "$port" "$@"; }
cli flushall >/dev/null
assert_eq 'OK 2 2 ' "$(printf 'set b 1\nincr b\nget b\n' | cli | tr '\n' ' ')" 'redis-cli from a pipe'
assert_eq '{"a":1}' "$(cli -3 set j '{"a":1}' >/dev/null && cli -3 get j)" 'redis-cli -3'
out=$(awk 'BEGIN { for (i = 0; i < 5000; i++) { k = "key:" i; printf "*3\r\n$3\r\nSET\r\n$%d\r\n%s\r\n$1\r\nv\r\n", length(k), k } }' |
  cli --pipe) || fail "redis-cli --pipe: $out"
assert_contains "$out" 'errors: 0, replies: 5000' 'redis-cli --pipe'
assert_eq 5000 "$(cli --scan --pattern 'key:*' | sort -u | wc -l)" 'redis-cli --scan'
out=$(cli --bigkeys) || fail 'redis-cli --bigkeys'
assert_match "$out" 'Sampled 5002 keys' 'redis-cli --bigkeys'
out=$(redis-benchmark -p "$port" -q -t ping,set,get,incr,mset -n 2000 -c 20 -P 4 2>&1) || fail "redis-benchmark: $out"
assert_lacks "$out" 'rror' 'redis-benchmark'
assert_eq 6 "$(printf '%s\n' "$out" | tr '\r' '\n' | grep -c 'requests per second')" 'results of redis-benchmark'
