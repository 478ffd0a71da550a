#!/usr/bin/env bash
# What it costs to borrow from a pool and give back: the engine alone (time handed in), the pool for threads with one and with two of
# them, beside two locks with two looks at the clock, and beside generic-pool of npm where it is installed (one thread, its
# promises awaited). Rounds take turns; medians, and of the pairs the whole range.
#
#   test/bench/pool.sh [SECONDS] [ROUNDS]      for each figure
set -u
cd "$(dirname "$0")/../.." || exit 1
make --no-print-directory build/plain/libsdlab.a >/dev/null || exit 1
program=$(mktemp) || exit 1
raw=$(mktemp) || exit 1
trap 'rm -f "$program" "$raw"' EXIT
cc -std=gnu17 -D_GNU_SOURCE -O2 -Iinclude -o "$program" test/bench/pool.c build/plain/libsdlab.a -pthread -lm || exit 1
NPM_MODULES=$(realpath -m "${NPM_MODULES:-build/npm/node_modules}")
export NPM_MODULES
for _ in $(seq "${2:-5}"); do
  "$program" "${1:-0.3}" >>"$raw" || exit 1
  if [ -e "$NPM_MODULES/generic-pool/package.json" ] && command -v node >/dev/null 2>&1; then
    echo "generic-pool,10,$(node test/interop/pool_npm.js bench 200000)" >>"$raw"
  fi
done
echo 'Borrow and return, nanoseconds of processor time: median [min..max]'
sort -t, -k1,1 -k2,2n -k3,3n "$raw" | awk -F, '
  function out() { if (n) printf "%-14s %6s %10.0f [%.0f..%.0f]\n", what, size == 0 ? "" : size, v[int((n + 1) / 2)], v[1], v[n] }
  $1 != what || $2 != size { out(); what = $1; size = $2; n = 0 }
  { v[++n] = $3 }
  END { out() }'
