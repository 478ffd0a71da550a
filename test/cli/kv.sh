#!/usr/bin/env bash
# sdlab kv as a person uses it: import, get, dump, stats, check; bad input, and folders that are damaged.

# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
sdlab_test "$@"
cd "$TMP" || exit 1

import() { # DIR: what comes on standard input
  "$SDLAB" kv import "$1" >"$TMP/said" 2>"$TMP/err"
  STATUS=$? OUT=$(cat "$TMP/said") ERR=$(cat "$TMP/err")
}

# ---- a small store ----
import small < <(printf 'user:2\tBob\nuser:1\tno\nbin\t\\x00\\xff\\n\\t\\\\\nuser:1\tAlice\n\tof an empty key\nzoë\tgrüß\n')
assert_eq "0 5 keys in 1 tables, $(stat -c %s small/000002.ldb) bytes" "$STATUS $OUT" 'import'
run "$SDLAB" kv get small user:1
assert_eq '0 Alice (from L6 000002.ldb)' "$STATUS $OUT" 'get: the last line of a key counts'
run "$SDLAB" kv get small 'zoë'
assert_eq 'grüß (from L6 000002.ldb)' "$OUT" 'get of what is not ASCII'
run "$SDLAB" kv get small user:3
assert_eq '1 (not found; filters spared 000002.ldb)' "$STATUS $OUT" 'get of what is not there'
assert_eq '00 ff 0a 09 5c' "$("$SDLAB" kv get small bin --raw | od -An -tx1 | sed 's/^ *//')" 'get --raw'
run "$SDLAB" kv dump small
assert_eq $'\tof an empty key\nbin\t\\x00\\xff\\n\\t\\\\\nuser:1\tAlice\nuser:2\tBob\nzoë\tgrüß' "$OUT" 'dump'
run "$SDLAB" kv dump small --prefix user: --limit 1
assert_eq $'user:1\tAlice' "$OUT" 'dump --prefix --limit'
run "$SDLAB" kv dump small --from 'user:\x32'
assert_eq $'user:2\tBob\nzoë\tgrüß' "$OUT" 'dump --from'
run "$SDLAB" kv dump small --all --prefix user:2
assert_eq $'4\tset\tuser:2\tBob' "$OUT" 'dump --all'
run "$SDLAB" kv check small
assert_eq '0 ok: 5 entries in 1 blocks of 1 tables, 0 writes in 0 logs' "$STATUS $OUT" 'check'
run "$SDLAB" kv stats small
assert_match "$OUT" '^L6          1      0\.00  #{40}$' 'stats'
run "$SDLAB" kv stats small --json
assert_match "$OUT" '^\{"levels":\[\{"tables":0,"bytes":0\},.*"log_writes":0,"last_sequence":5,"manifest":"MANIFEST-000001"\}$' 'stats --json'
import none </dev/null
assert_eq '0 0 keys in 0 tables, 0 bytes' "$STATUS $OUT" 'import of nothing'
assert_eq '' "$("$SDLAB" kv dump none)" 'dump of nothing'

# ---- several tables; what is dumped makes the same store ----
seq -f 'key%07g' 60000 | awk '{ printf "%s\t%s%s%s%s\n", $1, $1, $1, $1, $1 }' | shuf --random-source=<(yes) >lines
import large <lines
assert_contains "$OUT" '60000 keys in 2 tables' 'import of many'
"$SDLAB" kv dump large >dumped
cmp -s dumped <(sort lines) || fail 'not what was imported, in order'
import again <dumped
for f in 000002.ldb 000003.ldb MANIFEST-000001; do cmp -s "large/$f" "again/$f" || fail "$f is another"; done
run "$SDLAB" kv get large key0059999
assert_contains "$OUT" '(from L6 000003.ldb)' 'get from the second table'
"$SDLAB" kv dump large 2>err | head -n 1 >/dev/null
assert_eq '1 |' "${PIPESTATUS[0]} |$(cat err)" 'a reader that has seen enough'
"$SDLAB" kv dump large >/dev/full 2>err
assert_contains "$? $(cat err)" '1 sdlab kv dump: cannot write to standard output' 'a full disk'

# ---- bad input ----
refused() { # WHAT WANT WORD...
  local what=$1 want=$2
  shift 2
  run "$SDLAB" kv "$@"
  [ "$STATUS" -ne 0 ] || fail "$what: exit status 0"
  assert_contains "$ERR" "$want" "$what"
  assert_lines 1 "$ERR" "$what"
}
mkdir other && touch other/file
refused 'a folder that is none' 'other is no folder of a store: it has no file CURRENT' dump other
refused 'no folder' 'nowhere is no folder of a store' get nowhere k
refused 'a folder that is in use' 'small is not empty; expected a new folder' import small
refused 'a key that is not well written' 'KEY: expected \t, \n, \r, \\ or \xHH behind a backslash' get small '\q'
refused 'a prefix that is not well written' '--prefix: expected' dump small --prefix '\x0'
import bad < <(printf 'one\ttwo\nthree\n')
assert_eq '1 sdlab kv import: line 2: expected a key, a tab and a value' "$STATUS $ERR" 'a line without a tab'
[ ! -e bad/CURRENT ] || fail 'an import that failed made a store'
rmdir bad

# ---- damage: each kind of file ----
spoil() { # FILE OFFSET
  printf '\377' | dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}
damaged() { # WHAT WANT: check says so and fails; nothing is changed
  local before
  before=$(cat hurt/* | md5sum)
  run "$SDLAB" kv check hurt
  assert_eq 1 "$STATUS" "$1: exit status"
  assert_contains "$ERR" "$2" "$1"
  assert_eq "$before" "$(cat hurt/* | md5sum)" "$1: the folder"
}
fresh() { rm -rf hurt && cp -r large hurt; }
fresh && spoil hurt/000002.ldb 5000
damaged 'a table' 'damage: 000002.ldb: block at 4137 has a bad checksum'
assert_eq 'damaged: 1 of 2 tables' "$OUT" 'a table'
run "$SDLAB" kv get hurt key0059999
assert_eq 0 "$STATUS" 'the other table can be read'
fresh && rm hurt/000003.ldb
damaged 'a table that is gone' 'damage: 000003.ldb is missing'
fresh && truncate -s -1 hurt/000003.ldb
damaged 'a table that is shorter' 'damage: 000003.ldb has '
fresh && mv hurt/000002.ldb x && mv hurt/000003.ldb hurt/000002.ldb && mv x hurt/000003.ldb
damaged 'tables in place of each other' 'bytes, and should have'
fresh && spoil hurt/MANIFEST-000001 20
damaged 'the manifest' 'sdlab kv check: MANIFEST-000001: record at 0 is damaged'
start level "$SDLAB" kv --port 0 --data-dir level --format leveldb --memtable 64KiB --sync no
port=$(port_of level) || exit 1
"$SDLAB" kv bench -p "$port" --writes 900 >bench.out || fail "bench: $(cat bench.out)"
wait_line level 'Created SSTable L0_000006.ldb'
wait_for 'the log of the second table to go' test ! -e level/000003.log
stop level
rm -rf hurt && cp -r level hurt && truncate -s -5 hurt/MANIFEST-000001
damaged 'a manifest without its last edit' 'damage: hurt/MANIFEST-000001: record at'
assert_contains "$ERR" 'which those before it speak of, is gone' 'a manifest without its last edit'
assert_match "$OUT" '^damaged, but for the [0-9]+ tables?$' 'a manifest without its last edit'
run "$SDLAB" kv dump hurt
assert_eq '1 ' "$STATUS $OUT" 'dump of a manifest without its last edit'
rm -rf hurt && cp -r level hurt && truncate -s -5 hurt/*.log
run "$SDLAB" kv check hurt
assert_match "$STATUS $ERR" '^0 [0-9]*\.log: torn tail at [0-9]+$' 'a torn log is told once'
fresh && printf 'MANIFEST-000001' >hurt/CURRENT
damaged 'CURRENT without its end' 'CURRENT does not name a manifest'
fresh && printf '../x\n' >hurt/CURRENT
damaged 'CURRENT that leads elsewhere' 'CURRENT does not name a manifest'
