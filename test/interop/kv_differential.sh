#!/usr/bin/env bash
# The same operations on our store in LevelDB's format and on LevelDB: gets, snapshots, iterators and scans compared, each opening the other's
# folder on the way. Then the same with our store in its own format.
#
#   [OPS=20000] [SEED=2] test/interop/kv_differential.sh BIN

# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
sdlab_test "$@"
printf '#include <leveldb/c.h>\n' | cc -E - >/dev/null 2>&1 || skip libleveldb-dev
library=$(dirname "$SDLAB")/libsdlab.a
sanitize=()
case $SDLAB in
*/address,undefined/*) sanitize=("-fsanitize=address,undefined") ;;
*/address/* | */undefined/* | */thread/*) sanitize=("-fsanitize=$(basename "$(dirname "$SDLAB")")") ;;
esac
read -r -a more <<<"$(pkg-config --libs libevent_core yaml-0.1 libcjson libzstd libxxhash 2>/dev/null || echo -levent_core -lyaml -lcjson -lzstd -lxxhash)"
cc -std=gnu17 -D_GNU_SOURCE -O1 -pthread "${sanitize[@]}" -I"$ROOT/include" -I"$ROOT/src" -o "$TMP/kv_differential" \
  "$ROOT/test/interop/kv_differential.c" "$library" -lleveldb "${more[@]}" -lm || fail 'kv_differential.c does not compile'
for format in leveldb own; do
  mkdir "$TMP/$format"
  run "$TMP/kv_differential" "$TMP/$format" "${OPS:-20000}" "${SEED:-2}" "$format"
  assert_eq 0 "$STATUS" "both say the same, $format ($ERR)"
  assert_contains "$OUT" 'all the same' "both say the same, $format"
  printf '%s: %s\n' "$format" "$OUT"
  for folder in a b; do # what is left says so itself, and the folder is whole
    "$SDLAB" kv check "$TMP/$format/$folder" >/dev/null || fail "kv check of folder $folder, $format"
  done
done
