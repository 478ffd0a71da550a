#!/usr/bin/env bash
# The lesson of the circuit breaker, typed as a person would, through a folder of links. That request 47 is the probe is checked
# in virtual time, by test/unit/test_breaker_tool.c; here time is real, and shorter.

# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
sdlab_test "$@"

"$SDLAB" --install -s "$TMP/farm" >/dev/null || fail 'sdlab --install -s'
cd "$TMP/farm" || exit 1
start_backend flaky F --fail-from 3
flaky=http://127.0.0.1:$PORT

export SDLAB_BREAKER_OPEN=1s SDLAB_BREAKER_INTERVAL=20ms
run ./circuit-test --url "$flaky" --requests 100
assert_eq 0 "$STATUS" "exit status ($ERR)"
probe=$(printf '%s\n' "$OUT" | sed -n 's/^Request \([0-9]*\): TRYING.*/\1/p')
if [ "${probe:-0}" -le 9 ] || [ "$probe" -ge 98 ]; then fail "no probe: $OUT"; fi
assert_eq "Request 1: OK (circuit: CLOSED)
Request 2: OK (circuit: CLOSED)
Request 3: FAIL (circuit: CLOSED, failures: 1/5)
Request 4: FAIL (circuit: CLOSED, failures: 2/5)
Request 5: FAIL (circuit: CLOSED, failures: 3/5)
Request 6: FAIL (circuit: CLOSED, failures: 4/5)
Request 7: FAIL (circuit: CLOSED, failures: 5/5)
Request 8: REJECTED (circuit: OPEN) ← Fast fail, didn't even try
Request 9: REJECTED (circuit: OPEN)
...
[1 second later]
Request $probe: TRYING (circuit: HALF-OPEN)
Request $probe: OK (circuit: HALF-OPEN, successes: 1/2)
Request $((probe + 1)): OK (circuit: HALF-OPEN, successes: 2/2)
Request $((probe + 2)): OK (circuit: CLOSED) ← Recovered!" "$(printf '%s\n' "$OUT" | head -n 15)" 'the lesson'
assert_match "$OUT" "^100 requests in [0-9.]+ s: $((103 - probe)) ok, 5 failed, $((probe - 8)) rejected without a try\$"
assert_contains "$OUT" 'The circuit opened 1 time and was not closed for 1.'
assert_contains "$OUT" 'Last failures: 500, 500, 500, 500, 500'
assert_eq $((108 - probe)) "$(printf '%s\n' "$OUT" | grep -Ec '^Request [0-9]+: (OK|FAIL)')" 'lines of requests that were made'
unset SDLAB_BREAKER_OPEN SDLAB_BREAKER_INTERVAL
stop flaky

# Nobody there: it opens, says why, and ends with 1.
run ./circuit-test --url "$flaky" --requests 6 --interval 0 --verbose
assert_eq 1 "$STATUS" 'exit status'
assert_match "$OUT" '^Request 6: REJECTED \(circuit: OPEN\): opened [0-9]+ ms ago: 5 of 5 could not connect, next probe in 30 s$'

# The same of a server that fails, as JSON, interrupted by a person: once it has its five failures, and was between two requests since.
start_backend down D --admin 127.0.0.1:0 --fail-from 1 --fail-count 1000
admin=$(admin_of down) || exit 1
start quiet ./circuit-test --url "http://127.0.0.1:$PORT" --requests 100000 --interval 20ms --json
wait_for 'five failures' metric_at_least "$admin" "$M_BACKEND_REQUESTS" 5
turns() { awk '/^voluntary_ctxt_switches/ { n += $2 } END { print n + 0 }' "/proc/${PID[quiet]}/task/"*/status; }
went_on() { [ "$(turns)" -ge "$1" ]; }
wait_for 'requests that are rejected' went_on $(($(turns) + 5))
stop quiet INT 1
stop down
assert_match "$(cat "$TMP/quiet.log")" '"state":"OPEN".*"interrupted":true'

# ---- what a file says ----
cat >calls <<'END'
# when  how  how long
0s ok
1s 503
1s timeout 5s
2s 404
7s 500
8s connect
10s ok
18s cancel
18s ok
20s ok
END
run ./breaker replay calls --failures 4 --window 5 --open 10s --successes 1 --states
assert_eq "called CLOSED
called CLOSED
called CLOSED
called CLOSED
called CLOSED
called OPEN
rejected OPEN
called HALF-OPEN
called CLOSED
called CLOSED" "$OUT" 'replay --states'
run ./breaker replay calls --failures 4 --window 5 --open 10s --successes 1
assert_eq 0 "$STATUS" 'replay'
assert_contains "$OUT" 'Request 6: FAIL (circuit: CLOSED, failures: 4/4)'
assert_contains "$OUT" '10 requests in 20.0 s: 4 ok, 4 failed, 1 rejected without a try, 1 ignored'

run "$ROOT/examples/breaker.sh" "$TMP/none/sdlab"
assert_match "$ERR" 'run make first$' 'examples/breaker.sh without sdlab'
run "$ROOT/examples/breaker.sh" "$SDLAB"
assert_eq 0 "$STATUS" "examples/breaker.sh ($ERR)"
assert_contains "$OUT" 'Recovered!' 'examples/breaker.sh'
assert_contains "$OUT" '600 requests in 59.9 s: 500 ok, 100 failed, 0 rejected' 'examples/breaker.sh: in a row it sees nothing'

# ---- what makes no sense ----
bad() {
  local want=$1
  shift
  run ./circuit-test --url "$flaky" "$@"
  assert_eq 2 "$STATUS" "exit status of $*"
  assert_lines 1 "$ERR" "what $* says"
  assert_contains "$ERR" "$want"
}
bad 'minimum: 12 calls never fit into a window of 10: it would never open' --failure-rate 50% --minimum 12
bad 'failures: 5 never fit into a window of 3' --window 3
bad 'no rule: it would never open' --failures 0
bad 'permits: 3 probes at a time are more than the 2 successes that close it' --permits 3
bad 'slow_ns and slow_rate: one means nothing without the other' --slow 1s
bad 'expected http://HOST[:PORT]/PATH, found "redis://x"' --url redis://x
echo '1s what' >calls
run ./breaker replay calls
assert_eq 1 "$STATUS" 'a line that is wrong'
assert_contains "$ERR" 'calls:1: expected ok, a status, connect, timeout, broken, error or cancel, found "what"'
