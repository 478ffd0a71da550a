#!/usr/bin/env bash
# A rate limiter, typed as a person would, through a link: the lines it says, 20 that pass and 5 that do not, and what the answer
# tells. How fast this machine types is not known, so what comes back meanwhile is reckoned with; an exact 20 is a bucket's that
# fills by the hour.

# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
sdlab_test "$@"
need curl curl

"$SDLAB" --install -s "$TMP/farm" >/dev/null || fail 'sdlab --install -s'
cd "$TMP/farm" || exit 1
for link in ratelimit ratelimiter; do [ -L "$link" ] || fail "no link $link"; done
p=$(free_port)

loop() { for i in {1..25}; do curl -s -w "%{http_code} " "http://localhost:$p/api"; done; }
micros() { local t=${EPOCHREALTIME/[.,]/}; echo "$t"; }

# The lines of the document.
start rl ./ratelimiter --algorithm token-bucket --rate 10 --burst 20 --port "$p"
wait_line rl '[RL] Token bucket: 10 tokens/sec, burst 20'
wait_line rl "[RL] Listening on :$p"
assert_eq 200 "$(curl -s -w '%{http_code}\n' "http://localhost:$p/api/users")" 'one request'
begun=$(micros)
codes=$(loop)
passed=$(grep -o 200 <<<"$codes" | grep -c .)
most=$((20 + ($(micros) - begun) / 100000 + 1))
[ "$passed" -ge 19 ] || fail "of 25, a bucket of 20 lets 19 or more through after one was used: $codes"
[ "$passed" -le "$most" ] || fail "at most $most could pass in that time: $codes"
case $codes in
*[!024\ 9]*) fail "expected 200 and 429 only: $codes" ;;
esac
stop rl

# Nothing comes back in this test's time.
start rl ./ratelimiter --algorithm token-bucket --rate 10/h --burst 20 --port "$p"
wait_line rl '[RL] Token bucket: 10 tokens/hour, burst 20'
wait_line rl "[RL] Listening on :$p"
want=
for i in {1..20}; do want+='200 '; done
for i in {1..5}; do want+='429 '; done
assert_eq "$want" "$(loop)" 'the loop'
now=$(date +%s)
answer=$(curl -s -i "http://localhost:$p/api" | tr -d '\r')
assert_eq 'HTTP/1.1 429 Too Many Requests' "$(head -n 1 <<<"$answer")" 'the status'
assert_contains "$answer" $'\nX-RateLimit-Limit: 10\nX-RateLimit-Remaining: 0\nX-RateLimit-Reset: ' 'the fields'
assert_match "$answer" '^RateLimit-Policy: "default";q=20;w=7200$' 'the IETF policy'
assert_match "$answer" '^RateLimit: "default";r=0;t=3[0-9]+$' 'the IETF fields'
retry=$(sed -n 's/^Retry-After: //p' <<<"$answer")
reset=$(sed -n 's/^X-RateLimit-Reset: //p' <<<"$answer")
[[ $retry -gt 0 && $retry -le 360 ]] || fail "Retry-After: expected up to 360 s, found $retry"
[[ $reset -ge $((now + 7000)) && $reset -le $((now + 7300)) ]] || fail "X-RateLimit-Reset: expected two hours from $now, found $reset"
stop rl
