#!/usr/bin/env bash
# sdlab load as a person uses it: the summary, files, rules that fail a run, Ctrl-C half way, and bad input.
. "$(dirname "$0")/../lib.sh"
sdlab_test "$@"
cd "$TMP" || exit 1

start_backend a A
url=http://127.0.0.1:$PORT

# A run of a number of requests is answered just so often, and says so.
out=$("$SDLAB" load "$url/" -n 500 -c 5) || fail "load -n 500: exit status $?"
assert_match "$out" '500' 'summary'
assert_match "$out" '200' 'summary'
assert_match "$out" 'p99' 'summary'
assert_match "$out" '--rate' 'summary of a closed loop'
out=$("$SDLAB" load "$url/" -r 1000/s -d 200ms -c 5) || fail "load -r: exit status $?"
assert_match "$out" '200' 'summary of an open loop'

# A header line is one, commas and all; bytes sent on connections that ended are counted too.
"$SDLAB" load "$url/" -n 20 -c 2 --no-keep-alive -H 'Accept: text/html, */*' --json header.json >/dev/null ||
  fail "load -H with a comma: exit status $?"
[ "$(sed -n 's/.*"bytes_out":[[:space:]]*\([0-9]*\).*/\1/p' header.json)" -gt 1000 ] || fail 'bytes of closed connections are not counted'

# The server counts the same.
"$SDLAB" load "$url/" -n 300 -c 3 -t 2 --json result.json >/dev/null || fail "load --json: exit status $?"
assert_match "$(cat result.json)" '"answers":[[:space:]]*300' 'JSON'
"$SDLAB" load "$url/" -n 100 -c 3 --csv result.csv --html result.html --hdr result.hlog >/dev/null || fail 'load with files'
assert_match "$(cat result.hlog)" 'HISTFAAA' 'histogram log'
assert_match "$(head -c 200 result.html)" '<!doctype html>|<!DOCTYPE html>' 'HTML'
[ -s result.csv ] || fail 'CSV is empty'
"$SDLAB" load "$url/" -n 300 -c 3 --json other.json >/dev/null || fail 'second result'
"$SDLAB" load compare result.json other.json >/dev/null || fail "compare: exit status $?"

# Weighted requests from a file.
out=$("$SDLAB" load "$url/" -n 200 -c 2 --requests-file "$ROOT/examples/load-requests.txt") || fail 'requests-file'

# Curves.
out=$("$SDLAB" load sweep "$url/" --steps 1,4 -n 200) || fail 'sweep'
assert_match "$out" 'knee' 'sweep'
out=$("$SDLAB" load ramp "$url/" --from 100/s --to 400/s --points 2 -d 200ms) || fail 'ramp'
assert_match "$out" 'knee' 'ramp'

# Rules decide the exit status.
"$SDLAB" load "$url/status/503" -n 20 -c 2 --fail-if 'status.5xx>0' >/dev/null 2>err.txt
assert_eq 1 $? 'exit status of a failed rule'
assert_match "$(cat err.txt)" 'status.5xx>0' 'failed rule'
"$SDLAB" load "$url/" -n 20 -c 2 --fail-if 'errors>0' >/dev/null || fail 'a rule that does not hold failed the run'

# Ctrl-C half way: the partial report, marked, and a status that tells.
"$SDLAB" load "$url/delay/20ms" -d 60s -c 2 >partial.txt 2>&1 &
pid=$!
# It runs when its second thread is there.
threads() { set -- "/proc/$pid/task/"*; [ $# -ge 2 ]; }
wait_for 'the threads of load' threads
kill -INT "$pid"
wait "$pid"
assert_eq 1 $? 'exit status after Ctrl-C'
assert_match "$(cat partial.txt)" 'interrupted' 'report after Ctrl-C'

# Bad input: one line, and 1 or 2.
refused() { # STATUS PATTERN ARGUMENT...
  local want=$1 pattern=$2 said status
  shift 2
  said=$("$SDLAB" "$@" 2>&1 >/dev/null)
  status=$?
  assert_eq "$want" "$status" "exit status of sdlab $*"
  assert_match "$said" "$pattern" "sdlab $*"
  assert_eq 1 "$(printf '%s\n' "$said" | wc -l | tr -d ' ')" "lines said by sdlab $*"
}
refused 2 'URL' load
refused 2 'rate' load "$url" --rate fast
refused 2 'fail-if' load "$url" --fail-if 'p99 is bad'
refused 2 'http://' load "ftp://127.0.0.1/"
refused 1 'TLS' load "https://127.0.0.1/"
refused 1 'resolve' load http://no-such-host.invalid/
refused 2 'pipeline' load "$url" --pipeline 4 --no-keep-alive
refused 1 'nothing.txt' load "$url" --requests-file nothing.txt
stop a
