#!/usr/bin/env bash
# Consistent hashing, all kinds: lookups a second (with hashing the key), build time, memory, spread, and what moves when one
# node goes, at 3 to 1,000 nodes; beside libmemcached where it is installed. nginx and twemproxy look up between reading a
# request and sending it on, which is many times dearer: there is nothing of theirs to measure apart.
#
#   test/bench/ring.sh [SECONDS]      for each figure
set -u
cd "$(dirname "$0")/../.." || exit 1
make --no-print-directory build/plain/libsdlab.a >/dev/null || exit 1
program=$(mktemp) || exit 1
trap 'rm -f "$program"' EXIT
peer=()
[ ! -e /usr/include/libmemcached/memcached.h ] || peer=(-DWITH_LIBMEMCACHED -lmemcached)
cc -std=gnu17 -D_GNU_SOURCE -O2 -Iinclude -Isrc -o "$program" test/bench/ring.c build/plain/libsdlab.a "${peer[@]}" -lm || exit 1
echo 'Consistent hashing (160 points a node, keys of 15 bytes, one core)'
"$program" "${1:-1}"
