#!/usr/bin/env bash
# What a breaker costs a call that goes well, on one thread and on two at a time; beside a mutex around the same counting, and
# opossum and cockatiel of npm where these are installed. CPU nanoseconds of a thread for a call, median of the rounds.
#
#   test/bench/breaker.sh [ROUNDS [SECONDS]]      seconds for each figure of a round
set -u
cd "$(dirname "$0")/../.." || exit 1
rounds=${1:-7} seconds=${2:-0.2}
make --no-print-directory build/plain/libsdlab.a >/dev/null || exit 1
program=$(mktemp) raw=$(mktemp) || exit 1
trap 'rm -f "$program" "$raw"' EXIT
cc -std=gnu17 -D_GNU_SOURCE -O2 -Iinclude -Isrc -o "$program" test/bench/breaker.c build/plain/libsdlab.a -lm -lpthread || exit 1
export NPM_MODULES=${NPM_MODULES:-$PWD/build/npm/node_modules}
for ((round = 0; round < rounds; round++)); do
  "$program" "$seconds" >>"$raw" || exit 1
  if [ -e "$NPM_MODULES/cockatiel/package.json" ] && [ -e "$NPM_MODULES/opossum/package.json" ]; then
    node test/bench/breaker.js "$seconds" >>"$raw" || exit 1
  fi
done
echo "A call through a breaker, CPU ns, median [smallest..largest] of $rounds rounds"
sort -t, -k1,1 -k2,2n -k3,3n "$raw" | awk -F, '
  function say() { if (n) printf "%-28s %d thread%s %9.1f [%.1f..%.1f]\n", what, threads, (threads > 1 ? "s" : " "), v[int((n + 1) / 2)], v[1], v[n] }
  ($1 "," $2) != key { say(); n = 0; key = $1 "," $2; what = $1; threads = $2 }
  { v[++n] = $3 }
  END { say() }'
