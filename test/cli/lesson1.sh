#!/usr/bin/env bash
# Lesson 1 runs as it stands, and its figures obey arithmetic: a thread that each request keeps for 10 ms answers no more
# than 100 a second, on any machine. A rate has no lower bound here, for a machine may be slow.
# plain build only

# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
sdlab_test "$@"
cd "$TMP" || exit 1

run "$ROOT/examples/lesson1.sh" --seconds 0.5 "$SDLAB"
assert_eq 0 "$STATUS" "exit status of lesson1.sh; it said: $ERR"
assert_eq '' "$ERR" 'standard error of lesson1.sh'
[ -z "$(find . -name '.sdlab*')" ] || fail 'it left a file'

# The table: connections | rate mean p50 of single | threaded | event.
table=$(printf '%s\n' "$OUT" | grep -E '^ +[0-9]+  \|' | tr -d '|')
assert_eq '1 10 50 100' "$(printf '%s\n' "$table" | awk '{ printf "%s%s", (NR > 1 ? " " : ""), $1 }')" 'levels of the table'
assert_eq 12 "$(printf '%s\n' "$table" | awk '{ n += ($2 > 0) + ($5 > 0) + ($8 > 0) } END { print n }')" 'rates in the table'

# at LEVEL COLUMN
at() { printf '%s\n' "$table" | awk -v l="$1" -v c="$2" '$1 == l { print $c }'; }
holds() { awk "BEGIN { exit !($1) }" || fail "$2: expected $1"; }
for level in 1 10 50 100; do
  holds "$(at $level 2) < 110" "single at $level connections"
  # Nobody answers faster than all connections can ask.
  holds "$(at $level 5) < $level * 110" "threaded at $level connections"
  holds "$(at $level 8) < $level * 110" "event at $level connections"
  for column in 3 6 9; do holds "$(at $level $column) >= 10" "mean at $level connections, column $column"; done
done
holds "$(at 100 5) < 7040" 'threaded at 100 connections: 64 threads'
holds "$(at 100 5) > $(at 100 2)" 'threaded beside single at 100 connections'
holds "$(at 100 8) > $(at 100 2)" 'event beside single at 100 connections'
# The last of 100 in the queue has 99 before it.
holds "$(at 100 3) > 300" 'mean of single at 100 connections'

assert_contains "$OUT" 'limit                here' 'limits of the machine'
assert_contains "$OUT" 'Its inflection point is at 1 connection:' 'the knee of single'

# Computing: one at a time on one thread, as many as there are cores on several.
rate() { printf '%s\n' "$OUT" | awk -v m="$1" '$1 == m && $3 == "requests/s" { print $2 }'; }
# 64 threads share the cores, so that their first answers come late: on a slow machine not in the time that counts.
cores=$(nproc)
holds "$(rate single) > 0 && $(rate single) < 110" 'single, computing'
holds "$(rate event) > 0 && $(rate event) < 110" 'event, computing'
holds "$(rate threaded) >= 0 && $(rate threaded) < $cores * 110" 'threaded, computing'

# Bad input.
run "$ROOT/examples/lesson1.sh" --seconds
assert_eq 2 "$STATUS" 'exit status without a value'
run "$ROOT/examples/lesson1.sh" ./no-such-sdlab
assert_eq 1 "$STATUS" 'exit status without sdlab'
assert_contains "$ERR" 'no-such-sdlab' 'message without sdlab'
