#!/usr/bin/env bash
# A simulation that does not exist is an error, and the names of those that do are told.

# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
sdlab_test "$@"

ONLY=nosuch run "$ROOT/test/run.sh" --only sim "$SDLAB"
assert_eq 2 "$STATUS" 'exit status'
assert_match "$ERR" 'no scenario has nosuch in its name; there are: wal .*front-anything' 'what there is'
