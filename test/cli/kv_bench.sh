#!/usr/bin/env bash
# kv bench --dir: the engine in process. What a workload says it found is what must be there, and the store is whole afterwards.
. "$(dirname "$0")/../lib.sh"
sdlab_test "$@"
cd "$TMP" || exit 1

run "$SDLAB" kv bench --dir a --sync no -n 3000 --value-size 200 --memtable 64KiB --cache 64KiB --json \
  -w fillrandom,readrandom,readmissing,seekrandom,readseq,readwhilewriting,overwrite,ycsb-load,ycsb-d,ycsb-e,ycsb-f
assert_eq '0 ' "$STATUS $ERR" 'all workloads'
assert_lines 11 "$OUT" 'a line each'
assert_match "$OUT" '"workload":"readrandom","operations":3000,.*"found":3000,' readrandom
assert_match "$OUT" '"workload":"readmissing","operations":3000,.*"found":0,' readmissing
assert_match "$OUT" '"workload":"readwhilewriting","operations":3000,.*"found":3000,' readwhilewriting
assert_match "$OUT" '"workload":"fillrandom",.*"cpu_us":.*"write_amplification":[1-9].*"space_amplification":[1-9]' figures
assert_match "$OUT" '"workload":"readseq","operations":3,"entries":3000,' readseq
run "$SDLAB" kv check a
assert_match "$OUT" '^ok: ' 'the store afterwards'
run "$SDLAB" kv bench --dir b --sync always -n 20 -w fillseq --compression
assert_match "$OUT" '^Benchmark: 20 writes in [0-9.]+s \([0-9]+ writes/sec\)$' 'each write synced'
assert_eq 0 "$STATUS" 'each write synced'
run "$SDLAB" kv bench --dir c --sync no -n 500 -w fillseq,readseq,seekrandom
assert_match "$OUT" '^readseq: 1 scan, p50 ' 'what each is of a workload that scans'
assert_match "$OUT" '^Benchmark: 500 entries in [0-9.]+s \([0-9]+ entries/sec\)$' 'entries, not scans'
assert_match "$OUT" '^Benchmark: 100 scans in ' 'scans from a random place'

run "$SDLAB" kv bench --dir /dev/null/store -n 10
assert_eq 1 "$STATUS" 'a folder that cannot be'
assert_contains "$ERR" 'sdlab kv bench: ' 'a folder that cannot be'
run "$SDLAB" kv bench --dir a --value-size 2MiB
assert_eq 2 "$STATUS" 'values that are too large'
