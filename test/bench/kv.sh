#!/usr/bin/env bash
# Our key-value store beside LevelDB and RocksDB, each asked the same by one program (kv_bench.c): same sync, cache, filters, memtable and
# compression, on the same disk, in turns, round by round; ratios are taken within a round. Everything runs on one processor, what the
# engines do behind too, and is in the CPU time.
#   test/bench/kv.sh BIN [--out FOLDER]
#     BENCH_ROUNDS=3 BENCH_KEYS="1000000" BENCH_OPS=300000 BENCH_VALUE=100 BENCH_ENGINES="ours leveldb rocksdb" BENCH_DIR=/tmp BENCH_CPU=1
#     BENCH_WITH="memtable=16777216 cache=67108864 filter=1 compress=0 sync=0"   (NAME=NUMBER of kv_bench)
#     BENCH_LISTS="fillseq,readseq fillrandom,overwrite,readrandom,..."          (each list has a store of its own)
# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=kv_build.sh
. "$(dirname "$0")/kv_build.sh"
sdlab_test "$@"

out=
[ "${2:-}" = --out ] && out=$3
rounds=${BENCH_ROUNDS:-3} ops=${BENCH_OPS:-300000} value=${BENCH_VALUE:-100}
read -r -a engines <<<"${BENCH_ENGINES:-ours leveldb rocksdb}"
read -r -a sizes <<<"${BENCH_KEYS:-1000000}"
read -r -a with <<<"${BENCH_WITH:-memtable=16777216 cache=67108864}"
read -r -a lists <<<"${BENCH_LISTS:-fillseq,readseq fillrandom,readrandom,readmissing,seekrandom,readwhilewriting,overwrite ycsb-load,ycsb-a,ycsb-b,ycsb-c,ycsb-d,ycsb-e,ycsb-f}"

kv_build "$TMP/kv_bench" "$(dirname "$SDLAB")/libsdlab.a"
pin=()
command -v taskset >/dev/null 2>&1 && pin=(taskset -c "${BENCH_CPU:-1}")

one() { # ROUND ENGINE KEYS LIST: lines of kv_bench, the round in front
  local dir
  dir=$(mktemp -d "${BENCH_DIR:-$TMP}/kv.XXXXXX") || return 1
  "${pin[@]}" "$TMP/kv_bench" "$2" "$4" "$dir/store" "keys=$3" "ops=$ops" "value=$value" "${with[@]}" | sed "s/^/$1 /" || echo "$2: $4 failed" >&2
  rm -rf "$dir"
}

raw=$TMP/raw
: >"$raw"
for keys in "${sizes[@]}"; do
  for list in "${lists[@]}"; do
    for ((round = 1; round <= rounds; round++)); do
      for engine in "${engines[@]}"; do
        case " ${THERE[*]} " in *" $engine "*) one "$round" "$engine" "$keys" "$list" >>"$raw" ;; esac
      done
    done
  done
done
if [ -n "$out" ]; then
  mkdir -p "$out"
  { echo "round engine workload keys ops seconds cpu_us p50_us p99_us max_us written read on_disk user_bytes resident found entries peak fetched"; cat "$raw"; } |
    tr ' ' ',' >"$out/kv.csv"
fi

echo "keys of 16 bytes, values of $value, ${with[*]}; one processor; median of $rounds rounds"
echo 'CPU of all threads in us an operation; of the first engine = its CPU time / that of this one, round by round; write: bytes written for each of the user'
awk -v order="${engines[*]}" '
  function median(a, n,   i, j, t) {
    for (i = 2; i <= n; i++) for (j = i; j > 1 && a[j - 1] > a[j]; j--) { t = a[j]; a[j] = a[j - 1]; a[j - 1] = t }
    return a[int((n + 1) / 2)]
  }
  function col(key, engine, field,   r, n, a) {
    for (r = 1; r <= last; r++) if ((key, engine, r, field) in v) a[++n] = v[key, engine, r, field]
    return n ? median(a, n) : -1
  }
  {
    key = $4 SUBSEP $3
    if (!(key in known)) { known[key] = 1; keys[++nkeys] = key }
    if ($1 > last) last = $1
    v[key, $2, $1, "rate"] = $6 > 0 ? $5 / $6 : 0
    v[key, $2, $1, "cpu"] = $7
    v[key, $2, $1, "p99"] = $9
    v[key, $2, $1, "amp"] = $14 > 0 ? $11 / $14 : 0
    v[key, $2, $1, "space"] = $13 / ($4 * '"$((16 + value))"')
    v[key, $2, $1, "mem"] = $15 / 1048576
  }
  END {
    n = split(order, engine, " ")
    printf "%-17s %9s %-8s %10s %8s %9s %6s %6s %8s  %s\n", "workload", "keys", "engine", "ops/s", "CPU us", "p99 us", "write", "space", "RSS MiB", engine[1] " / this [min..max]"
    for (k = 1; k <= nkeys; k++) {
      split(keys[k], part, SUBSEP)
      for (i = 1; i <= n; i++) {
        if (col(keys[k], engine[i], "cpu") < 0) continue
        m = 0
        for (r = 1; r <= last; r++)
          if ((keys[k], engine[i], r, "cpu") in v && (keys[k], engine[1], r, "cpu") in v && v[keys[k], engine[i], r, "cpu"] > 0)
            q[++m] = v[keys[k], engine[1], r, "cpu"] / v[keys[k], engine[i], r, "cpu"]
        mid = m ? median(q, m) : 0
        printf "%-17s %9d %-8s %10.0f %8.3f %9.2f %6.2f %6.2f %8.1f  ", part[2], part[1], engine[i], col(keys[k], engine[i], "rate"), col(keys[k], engine[i], "cpu"),
          col(keys[k], engine[i], "p99"), col(keys[k], engine[i], "amp"), col(keys[k], engine[i], "space"), col(keys[k], engine[i], "mem")
        if (m && i > 1) printf "%.2f [%.2f..%.2f]", mid, q[1], q[m]
        printf "\n"
      }
    }
  }' "$raw"
