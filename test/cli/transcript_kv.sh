#!/usr/bin/env bash
# The store's transcript as it was asked for, line by line: written and read back, a memtable flushed, compacted, and still there after a kill.
# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
sdlab_test "$@"
cd "$TMP" || exit 1
"$SDLAB" install -s "$TMP" >/dev/null || fail 'install'
port=$(free_port)
export SDLAB_KV_URL=redis://127.0.0.1:$port
alice='{"name": "Alice"}'

serve() {
  start lsm ./lsm-kv --data-dir ./kv-data --port "$port"
  wait_line lsm "[LSM] Listening on :$port"
}

serve
assert_match "$(cat lsm.log)" '^\[LSM\] WAL opened: ./kv-data/[0-9]{6}\.log$' 'the first start'
assert_match "$(cat lsm.log)" '^\[LSM\] Memtable: 0 entries \(limit: 4MB\)$' 'the first start'
run ./kv-cli SET user:1 "$alice"
assert_eq 'OK (wrote to memtable, 1 entries)' "$OUT" SET
run ./kv-cli GET user:1
assert_eq "$alice (from memtable)" "$OUT" GET
run ./kv-bench --writes 20000 --key-size 16 --value-size 256
assert_match "$OUT" '^Benchmark: 20000 writes in [0-9.]+s \([0-9]+ writes/sec\)$' bench
wait_line lsm '[LSM] Created SSTable L0_'
assert_match "$(cat lsm.log)" '^\[LSM\] Memtable full \([0-9.]+MB\), flushing to SSTable\.\.\.$' 'a flush'
assert_match "$(cat lsm.log)" '^\[LSM\] Created SSTable L0_[0-9]{6}\.sst \([0-9]+ keys, bloom filter: 0\.01 FP rate\)$' 'a flush'
run ./kv-cli COMPACT
assert_match "$OUT" '^\[LSM\] Compacting L0 \([0-9]+ tables\) \+ L6 \([0-9]+ tables\)\.\.\.$' COMPACT
assert_match "$OUT" '^\[LSM\] Created L6_[0-9]{6}\.sst \(merged 20001 keys\)$' COMPACT
assert_match "$OUT" '^\[LSM\] Deleted [0-9]+ old SSTables$' COMPACT
run ./kv-cli GET user:1
assert_match "$OUT" '^\{"name": "Alice"\} \(from L6_[0-9]{6}\.sst\)$' 'GET out of a table'
run ./kv-cli GET user:2
assert_match "$OUT" '^\(nil\)( \(filters spared L6_[0-9]{6}\.sst\))?$' 'GET of nothing'
assert_eq "$alice" "$(./kv-cli --raw GET user:1)" '--raw'
run "$SDLAB" kv top -c 1 -i 10ms
assert_match "$OUT" '^L6 +1 .*#' top

# What was acknowledged is there after a kill.
run ./kv-cli SET user:3 Bob
{ kill -s KILL "${PID[lsm]}"
wait_exit lsm; } 2>/dev/null
serve
assert_contains "$(cat lsm.log)" '[LSM] Replaying WAL: 1 operations...' 'the second start'
assert_contains "$(cat lsm.log)" '[LSM] Recovery complete' 'the second start'
assert_eq "$alice" "$(./kv-cli --raw GET user:1)" 'after the kill'
assert_eq Bob "$(./kv-cli --raw GET user:3)" 'after the kill'
stop lsm
