#!/usr/bin/env bash
# Decisions for others that a store keeps, over HTTP and RESP, in Lua and with CL.THROTTLE; a store over TLS; a reload while the store
# is silent; and a client that goes while its body waits.

# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
sdlab_test "$@"
need curl curl
need jq jq
need redis-server redis-server
need redis-tools redis-cli

AT=$(free_port)
at() { redis-cli -p "$AT" "$@"; }
code() { curl -s -o /dev/null --max-time 20 -w '%{http_code}' "$@"; }
declare -A RESP=() API=() URL=() SIDE=()
rl() { # NAME OPTION...
  local name=$1
  shift
  start "$name" "$SDLAB" ratelimit --port 0 --api-port 0 --resp-port 0 --admin 127.0.0.1:0 --store-timeout 2s "$@"
  URL[$name]=http://127.0.0.1:$(port_of "$name")/ || exit 1
  SIDE[$name]=$(admin_of "$name") || exit 1
  API[$name]=$(sed -n 's/.*Decisions over HTTP on \([^ ]*\)$/\1/p' "$TMP/$name.log")
  RESP[$name]=$(sed -n 's/.*CL.THROTTLE on .*:\([0-9]*\)$/\1/p' "$TMP/$name.log")
}
both() { rl one --store "redis://127.0.0.1:$AT" "$@" && rl two --store "redis://127.0.0.1:$AT" "$@"; }
stop_both() { stop one && stop two; }
ask() { # NAME PATH JSON: the status, whether it is allowed, what remains of each
  STATUS=$(curl -s --max-time 20 -o "$TMP/answer" -w '%{http_code}' -d "$3" "http://${API[$1]}$2")
  jq -c '[.allowed,.limits[]?.remaining]' "$TMP/answer" | sed "s/^/$STATUS /"
}
throttle() { redis-cli -p "${RESP[$1]}" CL.THROTTLE "${@:2}" | head -n 3 | paste -sd' '; }

# what a store of either kind does
common() { # KIND
  both --rate 3/h
  ok='"key":"x","rate":"5/h"'
  assert_eq '200 [true,4]' "$(ask one /take "{$ok}")" "$1: take"
  assert_eq '200 [true,2]' "$(ask two /take "{$ok,\"cost\":2}")" "$1: take two at the other"
  assert_eq '200 [true,2]' "$(ask one /peek "{$ok,\"cost\":2}")" "$1: peek"
  assert_eq '429 [false,2]' "$(ask one /peek "{$ok,\"cost\":3}")" "$1: peek, too much"
  assert_eq '429 [false,2]' "$(ask one /take "{$ok,\"cost\":3}")" "$1: take, too much"
  assert_eq '200 [true,4]' "$(ask two /refund "{$ok,\"cost\":2}")" "$1: refund"
  assert_eq '200 [true,5]' "$(ask two /refund "{$ok,\"cost\":200}")" "$1: no more than all"
  assert_eq '200 [true,2]' "$(ask two /take "{$ok,\"cost\":3}")" "$1: reserve"
  assert_eq '200 [true,4]' "$(ask one /settle "{$ok,\"cost\":3,\"used\":1}")" "$1: settle"
  all='{"limits":[{"key":"p","rate":"2/h"},{"key":"q","rate":"1/h"}]}'
  assert_eq '200 [true,1,0]' "$(ask one /take "$all")" "$1: two limits"
  assert_eq '429 [false,1,0]' "$(ask two /take "$all")" "$1: two limits, one of which refuses"
  assert_eq '0 16 15' "$(throttle one user123 15 30 3600)" "$1: CL.THROTTLE"
  assert_eq '0 16 14' "$(throttle two user123 15 30 3600)" "$1: CL.THROTTLE at the other"
  assert_eq '0 16 15' "$(throttle one user123 15 30 3600 -1)" "$1: CL.THROTTLE, given back"
  assert_eq '0 16 15' "$(throttle one user123 15 30 3600 0)" "$1: CL.THROTTLE, asked"
  big=$(printf 'k%.0s' $(seq 3000)) # keys that begin alike are not the same
  assert_eq '200 [true,0]' "$(ask one /take "{\"key\":\"${big}1\",\"rate\":\"1/h\"}")" "$1: a long key"
  assert_eq '200 [true,0]' "$(ask one /take "{\"key\":\"${big}2\",\"rate\":\"1/h\"}")" "$1: another long key"
  assert_eq '429 [false,0]' "$(ask two /take "{\"key\":\"${big}2\",\"rate\":\"1/h\"}")" "$1: the same long key"
  while read -r key; do
    [ "$(at PTTL "$key")" -gt 0 ] || fail "$1: $key has no end"
  done < <(at --scan | grep -a ratelimit)
}

# ---- Lua ----
start redis redis-server --port "$AT" --bind 127.0.0.1 --save '' --appendonly no --dir "$TMP"
wait_port redis "$AT"
common Lua
assert_eq '200 [true,1]' "$(ask one /settle '{"key":"x","rate":"5/h","cost":1,"used":4}')" 'more was used than taken'
assert_eq '200 [true,0]' "$(ask one /settle '{"key":"x","rate":"5/h","cost":0,"used":40}')" 'no more than there is'
assert_eq '200 [true,5]' "$(ask two /forget '{"key":"x","rate":"5/h"}')" forget
for kind in fixed-window sliding-counter sliding-log leaky-queue; do
  of="\"key\":\"$kind\",\"algorithm\":\"$kind\",\"rate\":\"5/h\""
  assert_eq '200 [true,2]' "$(ask one /take "{$of,\"cost\":3}")" "$kind: take"
  assert_eq '429 [false,2]' "$(ask two /peek "{$of,\"cost\":3}")" "$kind: peek"
  assert_eq '200 [true,4]' "$(ask two /refund "{$of,\"cost\":2}")" "$kind: refund"
  assert_eq '200 [true,2]' "$(ask one /settle "{$of,\"used\":3}")" "$kind: settle"
  assert_eq '200 [true,0]' "$(ask one /settle "{$of,\"cost\":0,\"used\":9}")" "$kind: settle"
  assert_eq '200 [true,5]' "$(ask one /refund "{$of,\"cost\":9}")" "$kind: refund of all"
  assert_eq '200 [true,4]' "$(ask one /take "{$of}")" "$kind: take again"
  assert_eq '200 [true,5]' "$(ask one /forget "{$of}")" "$kind: forget"
done
one() { printf '{"requests":[{"name":"n","unique_key":"k","duration":"3600000","limit":"3",%s}]}' "$1"; }
gubernator() { curl -s --max-time 20 -d "$(one "$2")" "http://${API[$1]}/v1/GetRateLimits" | jq -c '.responses[0]|[.status,.remaining]'; }
assert_eq '["UNDER_LIMIT","2"]' "$(gubernator one '"hits":"1"')" gubernator
assert_eq '["OVER_LIMIT","0"]' "$(gubernator two '"hits":3,"behavior":"DRAIN_OVER_LIMIT"')" gubernator
assert_eq '["UNDER_LIMIT","1"]' "$(gubernator one '"hits":2,"behavior":8')" gubernator
assert_eq '["UNDER_LIMIT","3"]' "$(gubernator two '"hits":-2')" gubernator
assert_eq 501 "$(ask one /take '{"key":"x","rate":"1/1ns"}' | cut -d' ' -f1)" 'a limit that no store can keep'
assert_match "$(cat "$TMP/answer")" 'whole microseconds' 'what it cannot'
stop_both
printf 'rules:\n  - {name: mail, descriptor: [kind=mail], rate: 2/h}\n' >"$TMP/rules.yaml"
both --config "$TMP/rules.yaml"
envoy() { code -d '{"domain":"d","descriptors":[{"entries":[{"key":"kind","value":"mail"}]}]}' "http://${API[$1]}/json"; }
assert_eq '200 200 429' "$(envoy one) $(envoy two) $(envoy one)" envoy
stop_both

# A reload while the store is silent: what is pending ends by the rules it was asked by, the next by the new ones.
printf 'rate: 1/h\nburst: 1\n' >"$TMP/rate.yaml"
at FLUSHALL >/dev/null
rl one --config "$TMP/rate.yaml" --store "redis://127.0.0.1:$AT" --store-timeout 30s --headers draft7
wait_line one 'Limits are kept in'
kill -STOP "${PID[redis]}"
start pending curl -s -i --max-time 20 "${URL[one]}"
start pending2 curl -s --max-time 20 -d '{"key":"z","rate":"5/h"}' "http://${API[one]}/take"
in_store() { [ "$(metric "${SIDE[one]}" sdlab_http_connections)" -ge "$1" ]; }
wait_for 'a request that is pending' in_store 1
printf 'rate: 7/h\nburst: 7\n' >"$TMP/rate.yaml"
curl -sS -X POST "http://${SIDE[one]}/-/reload" >/dev/null || fail reload
wait_line one '7 tokens/hour'
kill -CONT "${PID[redis]}"
wait_exit pending
wait_exit pending2
assert_match "$(tr -d '\r' <"$TMP/pending.log")" '^RateLimit: limit=1, remaining=0, ' 'decided by the rules it was asked by'
assert_match "$(cat "$TMP/pending2.log")" '"remaining":4' 'another one that was pending'
assert_match "$(curl -s -i "${URL[one]}" | tr -d '\r')" '^RateLimit: limit=7, remaining=5, ' 'the new rules; what was used stays used'

# A client that goes while its body waits is noticed long before the store answers.
kill -STOP "${PID[redis]}"
exec 5<>"/dev/tcp/127.0.0.1/${URL[one]//[!0-9]/}" 2>/dev/null || exec 5<>"/dev/tcp/127.0.0.1/$(sed 's/.*:\([0-9]*\)\/$/\1/' <<<"${URL[one]}")"
printf 'POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\nsome of it' >&5
wait_for 'a request whose body waits' in_store 1
exec 5<&-
none() { [ "$(metric "${SIDE[one]}" sdlab_http_connections)" = 0 ]; }
wait_for 'it to be noticed' none
kill -CONT "${PID[redis]}"
stop one
stop redis TERM

# ---- CL.THROTTLE, and TLS ----
"$SDLAB" tls selfsigned --name 127.0.0.1 --out "$TMP/certs" >/dev/null || fail 'tls selfsigned'
start store "$SDLAB" cache --port "$AT"
wait_port store "$AT"
common CL.THROTTLE
assert_eq 501 "$(ask one /settle '{"key":"x","rate":"5/h","cost":1,"used":4}' | cut -d' ' -f1)" 'a charge'
assert_eq 501 "$(ask one /forget '{"key":"x","rate":"5/h"}' | cut -d' ' -f1)" 'forget'
assert_eq 501 "$(ask one /take '{"key":"x","rate":"5/h","algorithm":"sliding-log"}' | cut -d' ' -f1)" 'a kind that needs Lua'
stop_both
# Without it: what was chosen, for others too.
for how in open closed local; do
  rl "$how" --store "redis://127.0.0.1:$AT" --rate 3/h --servers 3 --store-down "$how"
  wait_line "$how" 'Limits are kept in'
done
stop store KILL 137
for how in open closed local; do wait_line "$how" 'is gone'; done
assert_eq '200 [true,3]' "$(ask open /take '{"key":"o","rate":"3/h"}')" 'open'
assert_match "$(cat "$TMP/answer")" '"open":true' 'open'
assert_eq '0 1 1' "$(throttle open o 0 1 3600)" 'open'
assert_eq 503 "$(ask closed /take '{"key":"o","rate":"3/h"}' | cut -d' ' -f1)" 'closed'
assert_match "$(throttle closed o 0 1 3600)" '^TRYAGAIN' 'closed'
assert_eq '200 [true,0]' "$(ask local /take '{"key":"o","rate":"3/h"}')" 'a share of one'
assert_eq '429 [false,0]' "$(ask local /take '{"key":"o","rate":"3/h"}')" 'a share of one'
for how in open closed local; do stop "$how"; done

start store "$SDLAB" cache --port "$AT" --tls-cert "$TMP/certs/cert.pem" --tls-key "$TMP/certs/key.pem"
wait_port store "$AT"
rl one --rate 2/h --store "rediss://127.0.0.1:$AT" --store-ca "$TMP/certs/ca.pem" --store-down closed
rl two --rate 2/h --store "rediss://127.0.0.1:$AT" --store-insecure --store-down closed
wait_line one 'with CL.THROTTLE'
assert_eq '200 200 429' "$(code "${URL[one]}") $(code "${URL[two]}") $(code "${URL[one]}")" 'over TLS'
stop_both
rl one --rate 2/h --store "rediss://127.0.0.1:$AT" --store-down closed
wait_line one 'is gone'
assert_eq 503 "$(code "${URL[one]}")" 'a certificate that nobody vouches for'
stop one
stop store
refused() { # WORDS OPTION...
  run "$SDLAB" ratelimit --port 0 "${@:2}"
  assert_eq 2 "$STATUS" "exit status of ${*:2}"
  assert_contains "$ERR" "$1" "${*:2}"
}
refused 'are for rediss://' --store redis://127.0.0.1:1 --store-insecure
echo ok
