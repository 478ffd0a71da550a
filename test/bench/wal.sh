#!/usr/bin/env bash
# Appends that wait for their sync: the log beside SQLite (WAL, synchronous=FULL) and plain write with fdatasync, on the same disk,
# in turns, round by round; ratios are taken within a round.
#   test/bench/wal.sh BIN        BENCH_ROUNDS=5 BENCH_SECONDS=1 BENCH_DIR=/tmp
. "$(dirname "$0")/../lib.sh"
sdlab_test "$@"

rounds=${BENCH_ROUNDS:-5} seconds=${BENCH_SECONDS:-1}
library=$(dirname "$SDLAB")/libsdlab.a
with_sqlite=()
if pkg-config --exists sqlite3 2>/dev/null; then
  with_sqlite=(-DHAVE_SQLITE -lsqlite3)
else
  echo 'skip: the comparison with SQLite needs package libsqlite3-dev'
fi
cc -std=gnu17 -D_GNU_SOURCE -O2 -pthread -I"$ROOT/include" -I"$ROOT/src" -o "$TMP/wal" "$ROOT/test/bench/wal.c" "$library" \
  "${with_sqlite[@]}" -levent_core -lyaml -lcjson -lm || fail 'wal.c does not compile'

one() { # KIND SIZE WRITERS: "appends/s CPU-us/append appends/sync"
  local dir
  dir=$(mktemp -d "${BENCH_DIR:-$TMP}/wal.XXXXXX") || return 1
  "$TMP/wal" "$1" "$2" "$3" "$seconds" "$dir" | awk '{ printf "%.0f %.3f %.1f\n", $1 / $3, $4 * 1e6 / $1, $2 ? $1 / $2 : 0 }'
  rm -rf "$dir"
}

median() { sort -n | awk '{ v[NR] = $1 } END { printf "%.2f [%.2f..%.2f]", v[int((NR + 1) / 2)], v[1], v[NR] }'; }
middle() { sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }

for size in 100 4096; do
  : >"$TMP/mem"
  for ((round = 0; round < rounds; round++)); do one memory "$size" 1 | cut -d' ' -f2 >>"$TMP/mem"; done
  echo "an append of $size bytes costs $(middle <"$TMP/mem") us of CPU before the sync"
done
kinds=(ours plain)
[ ${#with_sqlite[@]} -eq 0 ] || kinds+=(sqlite)
printf '%-6s %7s %7s %11s %11s %13s %s\n' what bytes writers appends/s CPU-us/app appends/sync 'appends/s against ours [min..max]'
for size in 100 4096; do
  for writers in 1 4 16 256; do
    rm -f "$TMP"/r.*
    for ((round = 0; round < rounds; round++)); do
      for kind in "${kinds[@]}"; do one "$kind" "$size" "$writers" >>"$TMP/r.$kind"; done
    done
    for kind in "${kinds[@]}"; do
      printf '%-6s %7d %7d %11s %11s %13s %s\n' "$kind" "$size" "$writers" "$(cut -d' ' -f1 "$TMP/r.$kind" | middle)" \
        "$(cut -d' ' -f2 "$TMP/r.$kind" | middle)" "$(cut -d' ' -f3 "$TMP/r.$kind" | middle)" \
        "$(paste -d' ' "$TMP/r.ours" "$TMP/r.$kind" | awk '{ printf "%.4f\n", $4 / $1 }' | median)"
    done
  done
done
