#!/usr/bin/env bash
# repair, checkpoint and compact, on folders of both formats: what is whole is there afterwards, what is lost is told, the original stays.
. "$(dirname "$0")/../lib.sh"
sdlab_test "$@"
cd "$TMP" || exit 1

kv() { run "$SDLAB" kv "$@"; }
all() { cat "$1"/* | cksum; }
hurt() { printf '\377\376\375\374' | dd of="$1" bs=1 seek="$2" conv=notrunc 2>/dev/null; } # FILE OFFSET
repaired() { # DIR WANT [LOST]: repairs DIR into new.DIR, whose dump is a part of WANT; LOST lines are missing at most, one at least (0: none)
  local before missing
  before=$(all "$1")
  rm -rf "new.$1"
  kv repair "$1" "new.$1"
  assert_eq 0 "$STATUS" "repair $1: $ERR"
  assert_eq "$before" "$(all "$1")" "the original of $1"
  "$SDLAB" kv check "new.$1" >/dev/null || fail "what was made of $1 is damaged"
  "$SDLAB" kv dump "new.$1" | sort >"$TMP/got"
  assert_eq '' "$(comm -13 "$2" "$TMP/got" | head -c 300)" "$1: what is in the new store and was not in the old one"
  missing=$(comm -23 "$2" "$TMP/got" | grep -c '')
  if [ "${3:-0}" -eq 0 ]; then
    assert_eq 0 "$missing" "$1: keys that are missing"
  elif [ "$missing" -lt 1 ] || [ "$missing" -gt "$3" ]; then
    fail "$1: $missing keys are missing, expected 1 to $3"
  else
    assert_contains "$ERR" 'lost: ' "$1: what is lost is told"
  fi
}

"$SDLAB" kv bench --dir own -n 3000 --sync no --value-size 300 --memtable 64KiB -w fillrandom,overwrite >"$TMP/bench.log" || fail 'making own'
"$SDLAB" kv bench --dir blobs -n 60 --sync no --value-size 6000 --memtable 64KiB -w fillseq >>"$TMP/bench.log" || fail 'making blobs'
seq -f 'user:%05g' 20000 | sed 's/$/\tvalue & of a user/' | "$SDLAB" kv import level >/dev/null || fail import
for d in own blobs level; do
  "$SDLAB" kv check "$d" >/dev/null || fail "$d is damaged"
  "$SDLAB" kv dump "$d" | sort >"$d.want"
done
assert_eq '3000 60 20000' "$(grep -c '' own.want) $(grep -c '' blobs.want) $(grep -c '' level.want)" 'keys of the stores'

# A store that is whole is the same again, of the same format.
for d in own blobs level; do repaired "$d" "$d.want"; done
if [ ! -e new.own/SDLAB ] || [ -e new.level/SDLAB ]; then fail 'a repaired store has another format'; fi
kv repair own new.own
assert_eq 1 "$STATUS" 'into a folder that has a store'
assert_contains "$ERR" 'sdlab kv repair: ' 'into a folder that has a store'
kv repair nothing new.nothing
assert_eq 1 "$STATUS" 'no folder'
mkdir empty
kv repair empty new.empty
assert_contains "$ERR" 'empty has no table and no log of a store' 'an empty folder'
[ ! -e new.empty ] || fail 'a store was made of nothing'

# A block of a table: its keys and no more are lost. And without a manifest nothing more. Each key is in one table only, since of one
# that was written twice the value before comes back.
kv compact own
assert_eq 0 "$STATUS" "compact own: $ERR"
for d in own level; do
  table=$(find "$d" -name '*.sst' -o -name '*.ldb' | sort | head -n 1)
  hurt "$table" 5000
  "$SDLAB" kv check "$d" >/dev/null 2>&1 && fail "check does not see the damage of $d"
  repaired "$d" "$d.want" 200
  assert_contains "$ERR" "lost: ${table##*/}: block at " "$d: the block is named"
done
rm own/CURRENT level/MANIFEST-000001
for d in own level; do
  repaired "$d" "$d.want" 200
  assert_contains "$ERR" 'lost: the manifest cannot be read' "$d without a manifest"
done

# A record of a log with good ones behind it, and a torn tail.
"$SDLAB" kv bench --dir log -n 1000 --sync always --value-size 300 -w fillseq >/dev/null || fail 'making log'
"$SDLAB" kv dump log | sort >log.want
log=$(find log -name '*.log' -size +100k)
hurt "$log" 100000
kv get log 0000000000000001
assert_eq 1 "$STATUS" 'a log that is damaged is refused'
repaired log log.want 100
assert_contains "$ERR" "lost: ${log##*/}: damaged record at " 'the record is named'
truncate -s 200000 "$log"
repaired log log.want 450
assert_contains "$ERR" 'torn tail at ' 'a torn tail'

# A table that is not there, a file of values that is not there.
rm "$(find blobs -name '*.blob' | sort | head -n 1)"
"$SDLAB" kv check blobs >/dev/null 2>&1 && fail 'check does not miss a file of values'
repaired blobs blobs.want 20
rm level/*.ldb
kv repair level new.gone
assert_eq 1 "$STATUS" 'nothing left'

# checkpoint and compact.
"$SDLAB" kv bench --dir live -n 2000 --sync no --value-size 100 --memtable 64KiB -w fillrandom >/dev/null
"$SDLAB" kv dump live >live.want
kv checkpoint live copy
assert_eq '0 ' "$STATUS $ERR" checkpoint
kv compact live
assert_eq 0 "$STATUS" compact
assert_match "$OUT" '^\[LSM\] Compacting L[0-9]' compact
assert_match "$OUT" '^\[LSM\] Created L6_[0-9]{6}\.sst \(merged [0-9]+ keys\)$' compact
assert_match "$OUT" '^\[LSM\] Deleted [0-9]+ old SSTables$' compact
for d in live copy; do "$SDLAB" kv dump "$d" | cmp -s - live.want || fail "$d has other keys"; done
kv checkpoint live copy
assert_eq 1 "$STATUS" 'a folder that is there'
kv compact nothing
assert_eq 1 "$STATUS" 'no folder to compact'
