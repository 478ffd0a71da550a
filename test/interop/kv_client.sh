#!/usr/bin/env bash
# kv's client verbs on redis-server, which knows nothing of where a value came from.
. "$(dirname "$0")/../lib.sh"
sdlab_test "$@"
need redis-server redis-server redis-cli
cd "$TMP" || exit 1

start redis redis-server --port 0 --unixsocket "$TMP/redis.sock" --save '' --appendonly no
answers() { [ "$(redis-cli -s "$TMP/redis.sock" ping 2>/dev/null)" = PONG ]; }
wait_for 'redis-server' answers
kv() { run "$SDLAB" kv "$@" --host "unix:$TMP/redis.sock"; }

kv cli SET user:1 '{"name": "Alice"}'
assert_eq '0 OK' "$STATUS $OUT" SET
kv cli GET user:1
assert_eq '0 {"name": "Alice"}' "$STATUS $OUT" GET
kv cli get nothing
assert_eq '0 (nil)' "$STATUS $OUT" 'GET of nothing'
kv cli incrby n -5
assert_eq '0 -5' "$STATUS $OUT" 'a number, no option'
kv cli set k v --ttl 90s
assert_eq '0 OK' "$STATUS $OUT" '--ttl'
kv cli pttl k
if [ "$OUT" -le 60000 ] || [ "$OUT" -gt 90000 ]; then fail "--ttl 90s: PTTL is $OUT"; fi
kv cli COMPACT
assert_eq '1 ' "$STATUS $OUT" COMPACT
assert_contains "$ERR" "sdlab kv: ERR unknown command 'COMPACT'" COMPACT
assert_eq $'OK\nb' "$(printf 'set a b\nget a\n' | "$SDLAB" kv cli --host "unix:$TMP/redis.sock")" 'commands from a pipe'

# What the benchmark says it wrote is there, of the size that was asked for.
redis-cli -s "$TMP/redis.sock" flushall >/dev/null
kv bench --writes 2000 --key-size 16 --value-size 256
assert_match "$OUT" '^Benchmark: 2000 writes in [0-9]+\.[0-9]s \([0-9]+ writes/sec\)$' bench
assert_eq 2000 "$(redis-cli -s "$TMP/redis.sock" dbsize)" 'keys after the benchmark'
assert_eq 256 "$(redis-cli -s "$TMP/redis.sock" strlen 0000000000001999)" 'bytes of a value'
kv bench -n 2000 --value-size 10 -w overwrite,readrandom,readmissing --pipeline 3 --json
assert_lines 3 "$OUT" '--json'
assert_match "$OUT" '"workload":"readrandom","operations":2000,.*"found":2000,' readrandom
assert_match "$OUT" '"workload":"readmissing","operations":2000,.*"found":0,' readmissing
assert_eq 2000 "$(redis-cli -s "$TMP/redis.sock" dbsize)" 'keys after reading'
kv bench -n 1000 -w ycsb-load,ycsb-f --pipeline 1
assert_match "$OUT" '^ycsb-f: .*, 1000 found$' 'each read before it is written back'

refused() { # STATUS TEXT ARGUMENT...
  local status=$1 text=$2
  shift 2
  kv "$@"
  assert_eq "$status" "$STATUS" "exit status of kv $*"
  assert_contains "$ERR" "$text" "kv $*"
}
refused 2 'expected --dir with seekrandom' bench -w seekrandom
refused 2 'expected one of fillseq, fillrandom' bench -w fill
refused 2 '100000001 keys have no room in 8 digits' bench -n 100000001 --key-size 8
refused 1 'this server tells of no levels' top -c 1
stop_quietly redis
run "$SDLAB" kv cli --host "unix:$TMP/redis.sock" PING
assert_eq 1 "$STATUS" 'no server'
assert_contains "$ERR" 'sdlab kv: no store at unix:' 'no server'
