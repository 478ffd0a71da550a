#!/usr/bin/env bash
# The rate limiter as a service: every kind, whose limit it is, several rules, an upstream, reloads, and what is refused at start.

# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
sdlab_test "$@"
need curl curl

rl() { # OPTION...: PORT and ADMIN are where
  start rl "$SDLAB" ratelimit --port 0 --admin 127.0.0.1:0 "$@"
  PORT=$(port_of rl) || exit 1
  ADMIN=$(admin_of rl) || exit 1
}
code() { curl -s -o /dev/null --max-time 20 -w '%{http_code}' "$@"; }
now_answers() { [ "$(code "http://127.0.0.1:$PORT/")" = "$1" ]; }
# codes N CURL-ARGUMENT...: of so many requests
codes() {
  local n=$1 i
  shift
  for ((i = 0; i < n; i++)); do printf '%s ' "$(code "$@")"; done
}
fields() { curl -s -i --max-time 20 "$@" | tr -d '\r'; }

# ---- kinds ----
for kind in token-bucket gcra leaky-bucket fixed-window sliding-counter sliding-log; do
  rl --algorithm "$kind" --rate 3/h
  assert_eq '200 200 200 429 429 ' "$(codes 5 "http://127.0.0.1:$PORT/")" "$kind"
  assert_eq 3 "$(metric "$ADMIN" sdlab_ratelimit_decisions_total 'decision="allowed"')" "$kind: allowed"
  assert_eq 2 "$(metric "$ADMIN" sdlab_ratelimit_decisions_total 'decision="refused"')" "$kind: refused"
  stop rl
done
# A queue answers later: the second waits for its turn.
rl --algorithm leaky-queue --rate 4/s --burst 3
assert_eq '200 200 ' "$(codes 2 "http://127.0.0.1:$PORT/")" 'a queue'
stop rl

# ---- fields ----
rl --rate 3/h --headers draft6
out=$(fields "http://127.0.0.1:$PORT/")
assert_match "$out" '^RateLimit-Policy: 3;w=3600$' draft6
assert_match "$out" '^RateLimit-Limit: 3$' draft6
assert_match "$out" '^RateLimit-Remaining: 2$' draft6
assert_match "$out" '^RateLimit-Reset: 1(200|199)$' draft6 # when this answer was made
assert_lacks "$out" X-RateLimit draft6
stop rl
rl --rate 3/h --headers draft7
assert_match "$(fields "http://127.0.0.1:$PORT/")" '^RateLimit: limit=3, remaining=2, reset=1(200|199)$' draft7
stop rl
rl --rate 1/h --headers none
began=$SECONDS
assert_lacks "$(fields "http://127.0.0.1:$PORT/")" RateLimit 'no fields'
out=$(fields "http://127.0.0.1:$PORT/")
assert_left 3600 "$began" "$(sed -n 's/^Retry-After: //p' <<<"$out")" 'Retry-After comes always'
assert_match "$out" '^Cache-Control: no-store$' 'what is refused is not stored'
stop rl

# A third of a second, and what is left of it, is told as a whole one.
refuses() {
  OUT=$(fields "http://127.0.0.1:$PORT/" "http://127.0.0.1:$PORT/")
  grep -q '^HTTP/1.1 429 ' <<<"$OUT"
}
rl --rate 3/s --burst 1
wait_for 'a refusal' refuses
assert_match "$OUT" '^Retry-After: 1$' 'Retry-After is rounded up'
stop rl

# ---- whose it is ----
rl --rate 1/h --key header:X-User --key path
for user in a b; do
  assert_eq '200 429 ' "$(codes 2 -H "X-User: $user" "http://127.0.0.1:$PORT/x")" "user $user"
done
assert_eq 200 "$(code -H 'X-User: a' "http://127.0.0.1:$PORT/y")" 'another path'
assert_eq 429 "$(code -H 'X-User: a' --path-as-is "http://127.0.0.1:$PORT/z/../%78")" 'the same path, written otherwise'
assert_eq '200 429 ' "$(codes 2 "http://127.0.0.1:$PORT/x")" 'without the field it is the address'
assert_eq 400 "$(code --path-as-is "http://127.0.0.1:$PORT/../x")" 'a path above the root'
stop rl
rl --rate 1/h --key api-key
assert_eq '200 429 ' "$(codes 2 -H 'X-API-Key: k1' "http://127.0.0.1:$PORT/")" 'an API key'
assert_eq '200 429 ' "$(codes 2 -H 'Authorization: Bearer k2' "http://127.0.0.1:$PORT/")" 'a bearer token'
stop rl
# Addresses that others tell count only when they may tell; of IPv6 the network does.
rl --rate 1/h --trusted-proxies 127.0.0.0/8
assert_eq '200 429 ' "$(codes 2 -H 'X-Forwarded-For: 203.0.113.7' "http://127.0.0.1:$PORT/")" 'a client behind a proxy'
assert_eq 429 "$(code -H 'X-Forwarded-For: 198.51.100.9, 203.0.113.7' "http://127.0.0.1:$PORT/")" 'what the client says of itself'
assert_eq 429 "$(code -H 'X-Forwarded-For: ::ffff:203.0.113.7' "http://127.0.0.1:$PORT/")" 'IPv4 written as IPv6'
assert_eq 200 "$(code -H 'X-Forwarded-For: 2001:db8::1' "http://127.0.0.1:$PORT/")" 'IPv6'
assert_eq 429 "$(code -H 'X-Forwarded-For: 2001:db8::ffff:2' "http://127.0.0.1:$PORT/")" 'another of its network'
assert_eq 200 "$(code -H 'X-Forwarded-For: 2001:db8:0:1::1' "http://127.0.0.1:$PORT/")" 'another network'
stop rl
rl --rate 1/h
assert_eq '200 429 ' "$(codes 2 -H 'X-Forwarded-For: 203.0.113.7' "http://127.0.0.1:$PORT/")" 'one that may not tell'
assert_eq 429 "$(code -H 'X-Forwarded-For: 203.0.113.8' "http://127.0.0.1:$PORT/")" 'one that may not tell'
stop rl

# ---- rules, an upstream, reloads ----
start_backend up A
up=$PORT
cat >"$TMP/rl.yaml" <<END
upstream: http://127.0.0.1:$up
rules:
  - {name: all, rate: 6/h}
  - {name: login, path: /json, method: GET, rate: 2/h, algorithm: sliding-log}
  - {name: try, path: /json, rate: 1/h, shadow: true}
END
rl --config "$TMP/rl.yaml"
wait_line rl '[RL] login: Sliding log: 2 requests/hour'
out=$(fields "http://127.0.0.1:$PORT/json")
assert_contains "$out" '"server":	"Server-A"' 'the upstream answers'
assert_match "$out" '^RateLimit: "all";r=5;t=[0-9]+, "login";r=1;t=[0-9]+$' 'both limits'
assert_match "$out" '^Via: 1.1 sdlab$' 'Via'
assert_eq '200 429 429 429 ' "$(codes 4 "http://127.0.0.1:$PORT/json")" 'the smaller limit'
# What one rule refused cost nothing of the other.
assert_match "$(fields "http://127.0.0.1:$PORT/")" '^RateLimit: "all";r=3;' 'all or none'
assert_eq 200 "$(code "http://127.0.0.1:$PORT/jsonx" -o /dev/null | sed s/404/200/)" 'a path that only begins alike'
assert_eq 3 "$(metric "$ADMIN" sdlab_ratelimit_decisions_total 'rule="login",decision="refused"')" 'refused by login'
assert_eq 4 "$(metric "$ADMIN" sdlab_ratelimit_decisions_total 'rule="try",decision="shadowed"')" 'shadow'
assert_eq body "$(curl -s --max-time 20 -d body "http://127.0.0.1:$PORT/echo")" 'a body'
assert_eq body "$(curl -s --max-time 20 -d body -H 'Transfer-Encoding: chunked' "http://127.0.0.1:$PORT/echo")" 'a chunked body'
# More, while it runs: what was used stays used.
sed -i 's,6/h,8/h,' "$TMP/rl.yaml"
curl -sS -X POST "http://$ADMIN/-/reload" >/dev/null || fail 'reload'
wait_for 'the new rule' log_has rl '[RL] all: Token bucket: 8 tokens/hour, burst 8'
wait_for 'the new limit at the worker' now_answers 200
assert_eq '200 429 ' "$(codes 2 "http://127.0.0.1:$PORT/")" 'two more, and one was used for waiting'
sed -i 's,8/h,none,' "$TMP/rl.yaml"
out=$(curl -s -X POST "http://$ADMIN/-/reload")
assert_contains "$out" 'rate: expected a count such as 10, 100/min or 1000/10m' 'a reload that is refused'
assert_eq 429 "$(code "http://127.0.0.1:$PORT/")" 'the old rules stay'
stop up
sed -i 's,none,1000/s,' "$TMP/rl.yaml"
curl -sS -X POST "http://$ADMIN/-/reload" >/dev/null
wait_for 'the new limit at the worker' now_answers 502
stop rl

# ---- two threads count together ----
rl --rate 5/h --threads 2
passed=0
for i in {1..12}; do [ "$(code "http://127.0.0.1:$PORT/")" = 200 ] && passed=$((passed + 1)); done
assert_eq 5 "$passed" 'of two threads'
stop rl

# ---- what cannot be ----
refused() { # TEXT OPTION...
  local want=$1
  shift
  run "$SDLAB" ratelimit --port 0 "$@"
  [ "$STATUS" -ne 0 ] || fail "$* was taken"
  assert_contains "$ERR" "$want" "$*"
  assert_lines 1 "$ERR" "$*"
}
refused 'rate: expected a count such as 10, 100/min or 1000/10m, found "fast"' --rate fast
refused 'rate: expected a count' --rate 0
refused 'rate: expected a count' --rate 10/fortnight
refused 'key: expected address, api-key, header:NAME, path, method, host or all, found "ip"' --key ip
refused 'headers: expected x, draft6, draft7, draft8 or none, found "y"' --headers y
refused 'headers: expected one draft' --headers draft6,draft8
refused 'upstream: expected a URL such as http://127.0.0.1:8081' --upstream http://127.0.0.1:1/path
refused 'upstream: expected http://' --upstream https://127.0.0.1
refused 'cost: expected at most 10' --rate 10 --cost 11
refused 'an empty bucket would take more than 36 years' --rate 1/d --burst 100000
refused 'trusted-proxies' --trusted-proxies 300.0.0.1
