#!/usr/bin/env bash
# sdlab wal as a person uses it: append, dump, check, salvage, bad input, and a writer that is killed again and again.

# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
sdlab_test "$@"
cd "$TMP" || exit 1

# append ARGUMENT...: what comes on standard input, as `run` does it.
append() {
  cat >"$TMP/input"
  # shellcheck disable=SC2016 # for the inner shell
  run sh -c 'input=$1; shift; exec "$@" <"$input"' - "$TMP/input" "$SDLAB" wal append "$@"
}

# ---- append and dump ----
append long < <(seq 20000)
"$SDLAB" wal dump long 2>head.err | head -n 1 >head.out
assert_eq '1 |' "${PIPESTATUS[0]} |$(cat head.err)" 'a reader that has seen enough'
assert_match "$(cat head.out)" '^1  segment 1 ' 'what it saw'
for format in '' --json; do
  # shellcheck disable=SC2086 # nothing, or one word
  "$SDLAB" wal dump long $format >/dev/full 2>head.err
  assert_contains "$? $(cat head.err)" 'cannot write to standard output' 'a full disk'
done
append log < <(printf 'one\ntwo\nwithout a line feed')
assert_eq 0 "$STATUS" "append ($ERR)"
assert_eq $'ok 1\nok 2\nok 3' "$OUT" 'acknowledged'
assert_eq 'sync: always, group commit up to 1MiB' "$ERR" 'what append says of its policy'
append log --type 7 < <(printf 'a\001b\n\n"quoted"\n')
assert_eq $'ok 4\nok 5\nok 6' "$OUT" 'a log goes on'
run "$SDLAB" wal dump log
assert_eq 0 "$STATUS" 'dump'
assert_match "$OUT" '^1  segment 1 at 1024  type 0  3 bytes  one$' 'dump'
assert_match "$OUT" '^3  .*  without a line feed$' 'dump'
assert_match "$OUT" '^4  .*type 7  3 bytes$' 'dump'
assert_match "$OUT" '^    000000  61 01 62 .*  a\.b$' 'dump of what is not printable'
run "$SDLAB" wal dump log --json
assert_match "$OUT" '^\{"seq":1,"segment":1,"offset":1024,"type":0,"length":3,"text":"one"\}$' 'JSON'
assert_match "$OUT" '"seq":4,.*"hex":"610162"\}$' 'JSON of what is not printable'
assert_match "$OUT" '"seq":6,.*"text":"\\"quoted\\""\}$' 'JSON'
assert_lines 6 "$OUT" 'JSON'
run "$SDLAB" wal dump log --from 5
assert_lines 2 "$OUT" 'dump --from'
run "$SDLAB" wal dump log --type 0
assert_lines 3 "$OUT" 'dump --type'
run "$SDLAB" wal dump log/log-00000001.log
assert_match "$OUT" '^6  ' 'dump of a file'
run "$SDLAB" wal check log
assert_eq 0 "$STATUS" 'check'
assert_eq 'ok: log: records 1 to 6 in 1 segment' "$OUT" 'check'

# Long records and many segments; all comes back.
seq 1 3000 >lines
head -c 100000 /dev/zero | tr '\0' x >>lines
"$SDLAB" wal append many --segment-size 16KiB <lines >acks 2>/dev/null || fail 'append to many segments'
assert_eq 3001 "$(wc -l <acks)" 'acknowledged lines'
"$SDLAB" wal dump many --json --full | sed -n 's/.*"text":"\(.*\)"}$/\1/p' >back
cmp -s back <(cat lines; echo) || fail 'what was appended does not come back'
run "$SDLAB" wal check many
assert_match "$OUT" '^ok: many: records 1 to 3001 in [0-9]+ segments$' 'check of many segments'

# ---- damage ----
flip() { # FILE OFFSET: changes a byte
  local old
  old=$(dd if="$1" bs=1 skip="$2" count=1 2>/dev/null | od -An -tu1)
  # shellcheck disable=SC2059 # an octal escape
  printf "\\$(printf '%03o' $((old ^ 1)))" | dd of="$1" bs=1 seek="$2" conv=notrunc 2>/dev/null
}
cp -r log bad
flip bad/log-00000001.log 1050
run "$SDLAB" wal check bad
assert_eq 1 "$STATUS" 'check of a damaged log'
assert_match "$OUT" '^damage: bad/log-00000001.log: record at 1024 has a bad checksum \(expected [0-9a-f]{8}, found [0-9a-f]{8}\) and valid records follow$' 'check'
append bad <<<more
assert_eq 1 "$STATUS" 'append to a damaged log'
assert_match "$ERR" '^sdlab wal append: cannot open bad/log-00000001.log: record at 1024 has a bad checksum .* and valid records follow$' 'append'
run "$SDLAB" wal dump bad
assert_eq 1 "$STATUS" 'dump of a damaged log'
assert_match "$OUT" '^2  .*  two$' 'dump goes on behind damage'
sum=$(cat bad/*.log | cksum)
run "$SDLAB" wal salvage bad saved
assert_eq 0 "$STATUS" "salvage ($ERR)"
assert_match "$OUT" '^5 records, 2 to 6, are in saved; missing: 1 before them, 0 between them$' 'salvage'
assert_eq "$sum" "$(cat bad/*.log | cksum)" 'the damaged log after salvage'
run "$SDLAB" wal check saved
assert_eq 'ok: saved: records 2 to 6 in 1 segment' "$OUT" 'the new log'
cp -r log gap
flip gap/log-00000001.log 1055
run "$SDLAB" wal salvage gap filled
assert_match "$OUT" '^5 records, 1 to 6, are in filled; missing: 0 before them, 1 between them$' 'salvage with a gap'
run "$SDLAB" wal check filled
assert_match "$OUT" '^ok: filled: records 1 to 6 in 2 segments, with 1 gap that salvage left$' 'a gap'
append filled <<<more
assert_eq 'ok 7' "$OUT" 'a salvaged log goes on'
run "$SDLAB" wal salvage bad saved
assert_eq 1 "$STATUS" 'salvage into a log'
assert_match "$ERR" 'saved already holds a log' 'salvage into a log'
cp -r many hole
rm hole/many-00000002.log 2>/dev/null || rm hole/log-00000002.log
run "$SDLAB" wal check hole
assert_eq 1 "$STATUS" 'a missing segment'
assert_match "$OUT" '^damage: hole/log-00000003.log: segment 2 is missing before it$' 'a missing segment'
cp -r log header
flip header/log-00000001.log 600
run "$SDLAB" wal check header
assert_match "$OUT" '^damage: header/log-00000001.log: has a bad copy of its header at 512$' 'a damaged header'
"$SDLAB" wal salvage header whole >/dev/null || fail 'salvage with one header'
run "$SDLAB" wal check whole
assert_eq 'ok: whole: records 1 to 6 in 1 segment' "$OUT" 'one header is enough for salvage'

printf 'only\n' | "$SDLAB" wal append single >/dev/null 2>&1
flip single/log-00000001.log 1050
run "$SDLAB" wal salvage single none
assert_match "$OUT" '^no record could be read; none is empty$' 'salvage of nothing'

# The example does what it says, and says when there is no sdlab.
run "$ROOT/examples/wal.sh" "$TMP/none/sdlab"
assert_eq 1 "$STATUS" 'examples/wal.sh without sdlab'
assert_match "$ERR" 'run make first$' 'examples/wal.sh without sdlab'
run "$ROOT/examples/wal.sh" "$SDLAB"
assert_eq 0 "$STATUS" "examples/wal.sh ($ERR)"
assert_match "$OUT" '^damage: ' 'examples/wal.sh'
assert_match "$OUT" 'are in .*/saved; missing: 1 before them' 'examples/wal.sh'

# ---- bad input: one line, and 1 or 2 ----
refused() { # STATUS PATTERN ARGUMENT...
  local status=$1 pattern=$2
  shift 2
  run "$SDLAB" wal "$@"
  assert_eq "$status" "$STATUS" "exit status of wal $* ($ERR)"
  assert_lines 1 "$ERR" "wal $*"
  assert_match "$ERR" "$pattern" "wal $*"
}
mkdir empty
echo 'no log' >text.log
refused 1 'cannot open missing: No such file' dump missing
refused 1 'cannot open missing: No such file' check missing
refused 1 'empty holds no log' check empty
run "$SDLAB" wal check text.log
assert_eq 1 "$STATUS" 'check of something else'
assert_match "$OUT" '^damage: text.log: does not begin as a log does' 'check of something else'
mkfifo hold
start holder "$SDLAB" wal append locked
wait_exit holder
"$SDLAB" wal append locked <hold >held 2>/dev/null &
PID[writer]=$!
STARTED="$STARTED writer"
exec 3>hold
echo line >&3
wait_for 'the first line' grep -q 'ok 1' held
refused 1 'locked/LOCK is in use by another process' append locked
exec 3>&-
wait_exit writer
refused 1 'a log cannot be called "no/good"' append other --name no/good
refused 1 'it holds the log log \(expected only queue\)' append log --name queue
refused 2 'type' dump log --type 256
refused 2 'sync' append log --sync sometimes
refused 2 '' dump

# ---- kill -9, again and again: every line that was acknowledged is there, and none that was not sent ----
: >ledger
sent=0
for ((round = 1; round <= 8; round++)); do
  rm -f feed && mkfifo feed
  "$SDLAB" wal append killed --segment-size 8KiB <feed >acks 2>/dev/null &
  PID[victim]=$!
  STARTED="$STARTED victim"
  exec 3>feed
  target=$((round * 7))
  for ((i = 0; i < target + 20; i++)); do
    sent=$((sent + 1))
    printf 'line %d\n' "$sent" >&3
    [ "$i" -ne "$target" ] || wait_for 'an acknowledged line' grep -q ok acks
  done
  kill -KILL "${PID[victim]}"
  exec 3>&-
  wait_exit victim
  sed -n 's/^ok \([0-9]*\)$/\1/p' acks >>ledger
  last=$(tail -n 1 ledger)
  "$SDLAB" wal dump killed --json >records || fail "dump after kill $round"
  have=$(tail -n 1 records | sed 's/{"seq":\([0-9]*\),.*/\1/')
  [ "$have" -ge "$last" ] || fail "kill $round: $last was acknowledged, the log ends with $have"
  awk -F'"seq":' '{ split($2, n, ","); if (n[1] + 0 != NR) { print "record " n[1] " at place " NR; exit 1 } }' records >order ||
    fail "kill $round: $(cat order)"
  # What is there was sent, in that order. Lines that were not taken any more are not sent again.
  sed -n 's/.*"text":"line \([0-9]*\)"}$/\1/p' records >numbers
  assert_eq "$have" "$(wc -l <numbers)" "kill $round: lines in the log"
  sort -n -u -c numbers 2>/dev/null || fail "kill $round: lines are not in order"
done
