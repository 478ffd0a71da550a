#!/usr/bin/env bash
# Consistent hashing: lookups a second (with hashing the key), build time, memory and spread, at 3 to 1,000 nodes.
#
#   test/bench/ring.sh [SECONDS]      for each figure
set -u
cd "$(dirname "$0")/../.." || exit 1
make --no-print-directory build/plain/libsdlab.a >/dev/null || exit 1
program=$(mktemp) || exit 1
trap 'rm -f "$program"' EXIT
cc -std=gnu17 -D_GNU_SOURCE -O2 -Iinclude -Isrc -o "$program" test/bench/ring.c build/plain/libsdlab.a -lm || exit 1
echo 'Consistent hashing (160 points a node, keys of 16 bytes, one core)'
"$program" "${1:-1}"
