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

if command -v ldb >/dev/null 2>&1; then
  printf 'a\t1\nb\t2\n' | "$SDLAB" kv import for_rocksdb >/dev/null || fail import
  run ldb --db=for_rocksdb scan
  assert_eq $'a : 1\nb : 2' "$OUT" 'what ldb of RocksDB reads'
fi
