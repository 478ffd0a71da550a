#!/usr/bin/env bash
# What a person sees of a running balancer in the terminal, and what is said when there is none.

# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
sdlab_test "$@"

start_backend a A
start_lb lb --health-interval 100ms --health-fall 2 --backend "address=127.0.0.1:$PORT,name=web-1,weight=3" \
  --backend address=127.0.0.1:1,name=web-2
wait_line lb 'Removed 1 from pool'
first_admin=$ADMIN

run "$SDLAB" lb status --server "$ADMIN"
assert_eq 0 "$STATUS" "lb status: $ERR"
assert_lines 3 "$OUT" 'lb status'
assert_match "$OUT" '^BACKEND +STATE +INFLIGHT +REQ/S +REQUESTS +ERRORS +P50 MS +P99 MS +WEIGHT +WHY$' 'its head'
assert_match "$OUT" '^web-1 +up +0 +0\.0 +0 +0 +- +- +3 *$' 'a good backend'
assert_match "$OUT" '^web-2 +down .* 1  [0-9]+ failed checks in a row: connection refused$' 'a bad backend'
run env SDLAB_LB_URL="http://$ADMIN/" "$SDLAB" lb status --interval 0
assert_match "$OUT" '^web-1 +up +0 +- +0 ' 'one look, found by SDLAB_LB_URL'
run "$SDLAB" lb status --server "$ADMIN" --json
assert_match "$OUT" '^\[\{"name":"web-1",.*"why":"",.*\}\]$' 'as JSON'

# explain: who would get a request.
run "$SDLAB" lb explain --server "$ADMIN" GET /x -H 'X: y'
assert_eq 0 "$STATUS" "lb explain: $ERR"
assert_match "$OUT" '^web-1 by round-robin$' 'who'
assert_match "$OUT" '^> web-1 +up +3 +0 ' 'the one chosen'
assert_match "$OUT" '^  web-2 +down +1 .*connection refused$' 'the other one, with its reason'
run "$SDLAB" lb explain --server "$ADMIN" /x --json
assert_match "$OUT" '^\{"pool":"default","algorithm":"round-robin",.*"backend":"web-1",' 'explain as JSON'
run "$SDLAB" lb explain --server "$ADMIN" GET 'no path'
assert_eq 1 "$STATUS" 'exit status of a request that is none'
assert_contains "$ERR" 'such a request is refused with 400' 'a request that is none'
run "$SDLAB" lb explain --server "$ADMIN"
assert_eq 2 "$STATUS" 'exit status of explain without a target'

# A listener has its own rules.
cat >"$TMP/doors.yaml" <<END
listeners: [{address: 127.0.0.1:0, name: plain}]
backends: ["127.0.0.1:$PORT"]
routes: [{listener: plain, redirect: "https://{hostname}{uri}"}]
END
start_lb doors --config "$TMP/doors.yaml"
run "$SDLAB" lb explain --server "$ADMIN" /x --listener plain -H 'Host: h.test:81'
assert_contains "$OUT" 'answered here with 308 to https://h.test/x' 'explain at a listener'
run "$SDLAB" lb explain --server "$ADMIN" /x --listener nope
assert_contains "$ERR" 'listener: expected main or the name of one, found "nope"' 'explain at a listener that is none'
stop doors
ADMIN=$first_admin

# --watch goes on until there is nobody to ask.
start watch "$SDLAB" lb status --server "$ADMIN" --watch --interval 20ms --json
wait_for 'three looks' eval "[ \"\$(log_count watch '[{')\" -ge 3 ]"
stop lb
wait_exit watch
assert_eq 1 "$STATUS" 'exit status of --watch after the balancer ended'
assert_contains "$(cat "$TMP/watch.log")" 'no balancer answers at' 'what it said then'

# Bad input.
run "$SDLAB" lb status --server "$ADMIN"
assert_eq 1 "$STATUS" 'exit status without a balancer'
assert_lines 1 "$ERR" 'without a balancer'
assert_contains "$ERR" "sdlab lb status: no balancer answers at $ADMIN: connection refused" 'without a balancer'
run "$SDLAB" lb status --server example.org:80
assert_eq 1 "$STATUS" 'exit status with a name'
assert_contains "$ERR" 'expected an IP address' 'with a name'
start_backend b B
run "$SDLAB" lb status --server "127.0.0.1:$PORT"
assert_eq 1 "$STATUS" 'exit status when it is something else'
assert_contains "$ERR" 'it is not the admin address of sdlab lb' 'when it is something else'
run "$SDLAB" lb status --interval soon
assert_eq 2 "$STATUS" 'exit status of a bad option'
run "$SDLAB" lb status surplus
assert_eq 2 "$STATUS" 'exit status with an operand too many'
