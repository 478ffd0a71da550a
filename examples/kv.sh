#!/bin/sh
# A key-value store by hand: make one of lines, ask it, look at its levels, break a table, and see that it is told.
#   examples/kv.sh [path/to/sdlab]
set -eu
sdlab=${1:-}
if [ -z "$sdlab" ]; then
  sdlab=sdlab
  [ ! -x "$(dirname "$0")/../build/plain/sdlab" ] || sdlab=$(dirname "$0")/../build/plain/sdlab
fi
command -v "$sdlab" >/dev/null || { echo "kv.sh: cannot find $sdlab; run make first" >&2; exit 1; }
dir=$(mktemp -d "${TMPDIR:-/tmp}/sdlab-kv.XXXXXX")
trap 'rm -rf "$dir"' EXIT

echo "--- 50000 keys in any order become tables in order"
awk 'BEGIN { for (i = 0; i < 50000; i++) printf "user:%05d\t{\"name\": \"No. %d\", \"group\": %d}\n", i * 7919 % 50000, i, i % 10 }' |
  "$sdlab" kv import "$dir/store"
"$sdlab" kv stats "$dir/store"

echo "--- a key, and where it was; one that is not there costs no look at a table"
"$sdlab" kv get "$dir/store" user:00042
"$sdlab" kv get "$dir/store" user:00042x || true

echo "--- a few in order"
"$sdlab" kv dump "$dir/store" --from user:49998

echo "--- one byte of a table changes"
printf 'X' | dd of="$dir/store/000002.ldb" bs=1 seek=50000 conv=notrunc 2>/dev/null
"$sdlab" kv check "$dir/store" || true
