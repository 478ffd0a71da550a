#!/bin/sh
# A log by hand: append lines, kill the writer with -9, look at what is there, damage it, save what is left.
#   examples/wal.sh [path/to/sdlab]
set -eu
sdlab=${1:-}
if [ -z "$sdlab" ]; then
  sdlab=sdlab
  [ ! -x "$(dirname "$0")/../build/plain/sdlab" ] || sdlab=$(dirname "$0")/../build/plain/sdlab
fi
command -v "$sdlab" >/dev/null || { echo "wal.sh: cannot find $sdlab; run make first" >&2; exit 1; }
dir=$(mktemp -d "${TMPDIR:-/tmp}/sdlab-wal.XXXXXX")
trap 'rm -rf "$dir"' EXIT

echo "--- three lines, each acknowledged when it is on the disk"
printf 'first\nsecond\nthird\n' | "$sdlab" wal append "$dir/log"

echo "--- a writer that is killed while it writes: what it acknowledged is there"
mkfifo "$dir/pipe"
: >"$dir/acks" # it is read before the writer may have begun
"$sdlab" wal append "$dir/log" <"$dir/pipe" >"$dir/acks" 2>/dev/null &
writer=$!
exec 3>"$dir/pipe"
i=0
while [ $i -lt 200 ]; do
  i=$((i + 1))
  echo "line $i" >&3
done
until grep -q . "$dir/acks"; do sleep 0.05; done
kill -9 $writer
exec 3>&-
wait $writer 2>/dev/null || true
echo "last acknowledged: $(tail -n 1 "$dir/acks")"
"$sdlab" wal check "$dir/log"
"$sdlab" wal dump "$dir/log" | tail -n 1

echo "--- one byte of the first record changes"
printf 'X' | dd of="$dir/log/log-00000001.log" bs=1 seek=1050 conv=notrunc 2>/dev/null
"$sdlab" wal check "$dir/log" || true

echo "--- what can be read goes to a new log"
"$sdlab" wal salvage "$dir/log" "$dir/saved"
"$sdlab" wal dump "$dir/saved" | sed -n 1,2p
