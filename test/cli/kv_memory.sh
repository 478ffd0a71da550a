#!/usr/bin/env bash
# Memory does not grow with the store: 35 MB of it, written and read in random order with a cache and memtables of 1 MiB, take no more than
# 16 MiB above what a fifteenth of it takes: when merging is behind, 24 tables of level 0 are read at a time, 256 KiB of each. With a cache that
# all of it fits into they do, so the measure sees what is kept.
. "$(dirname "$0")/../lib.sh"
sdlab_test "$@"
cd "$TMP" || exit 1
case $SDLAB in
*/address* | */undefined* | */thread*)
  echo 'skip: sanitizers take memory of their own'
  exit 0
  ;;
esac

fill() { # KEYS CACHE: PEAK, what was resident at most, in KiB
  rm -rf a
  run "$SDLAB" kv bench --dir a --sync no -n "$1" --ops 20000 --memtable 1MiB --cache "$2" --json -w fillrandom,readrandom,readseq,seekrandom,overwrite,readrandom
  assert_eq '0 ' "$STATUS $ERR" "$1 keys"
  PEAK=$(printf '%s\n' "$OUT" | sed -n 's/.*"peak":\([0-9]*\).*/\1/p' | sort -n | tail -n 1)
  PEAK=$((PEAK / 1024))
}

ROOM=16384
fill 20000 1MiB
small=$PEAK
fill 300000 1MiB
[ "$PEAK" -le $((small + ROOM)) ] || fail "$PEAK KiB were resident with 300000 keys, and $small with 20000"
fill 300000 64MiB
[ "$PEAK" -gt $((small + ROOM)) ] || fail "control: a cache of 64 MiB does not show: $PEAK KiB, and $small"
