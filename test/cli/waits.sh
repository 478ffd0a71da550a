#!/usr/bin/env bash
# What the scripts wait for: a line of a log counts when it is whole, not when a part of it was written.
# plain build only: nothing of the binary is run
# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
sdlab_test "$@"

mkfifo "$TMP/go"
# shellcheck disable=SC2016 # for the shell that is started
start slow bash -c 'printf "ports 1 "; read -r _ <"$0"; printf "2 \\Q[3].*\n"; printf last' "$TMP/go"
in_part() { grep -q 'ports 1' "$TMP/slow.log"; }
wait_for 'a part of the line' in_part
! log_has slow 'ports ' || fail 'a part of a line is taken for all of it'
echo >"$TMP/go"
wait_line slow 'ports '
assert_eq 'ports 1 2 \Q[3].*' "$(head -n 1 "$TMP/slow.log")" 'the line'
log_has slow '\Q[3].' || fail 'text is not taken as it is written'
! log_has slow '3.*2' || fail 'text is taken for a pattern'
wait_exit slow
! log_has slow 'last' || fail 'the end of a log is taken for a line'
