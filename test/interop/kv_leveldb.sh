#!/usr/bin/env bash
# Stores that LevelDB wrote and sdlab reads, and the other way; a table of both is the same, byte for byte.

# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
sdlab_test "$@"
need python3-plyvel python3
/usr/bin/python3 -c 'import plyvel' 2>/dev/null || skip 'needs package python3-plyvel'
cd "$TMP" || exit 1
run /usr/bin/python3 "$ROOT/test/interop/kv_leveldb.py" "$SDLAB"
assert_eq 0 "$STATUS" "both agree ($OUT $ERR)"
assert_contains "$OUT" 'all the same' 'both agree'

# ---- a log as the service leaves it when it stops, whatever it was synced by: LevelDB reads all of it ----
for sync in always no; do
  start "serve-$sync" "$SDLAB" kv --data-dir "served-$sync" --format leveldb --sync "$sync" --port 0
  port=$(port_of "serve-$sync") || exit 1
  exec 3<>"/dev/tcp/127.0.0.1/$port"
  for key in one two three; do
    printf 'SET %s value-of-%s\r\n' "$key" "$key" >&3
    read -r -t 20 answer <&3 || fail "no answer to SET $key"
    assert_eq $'+OK\r' "$answer" "SET $key"
  done
  exec 3>&-
  stop "serve-$sync"
  run /usr/bin/python3 -c 'import plyvel, sys
print([k + b"=" + v for k, v in plyvel.DB(sys.argv[1], paranoid_checks=True)])' "served-$sync"
  assert_eq "[b'one=value-of-one', b'three=value-of-three', b'two=value-of-two']" "$OUT$ERR" "what LevelDB reads of a log, --sync $sync"
done

if command -v ldb >/dev/null 2>&1; then
  printf 'a\t1\nb\t2\n' | "$SDLAB" kv import for_rocksdb >/dev/null || fail import
  run ldb --db=for_rocksdb scan
  assert_eq $'a : 1\nb : 2' "$OUT" 'what ldb of RocksDB reads'
fi
