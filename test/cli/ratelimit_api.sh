#!/usr/bin/env bash
# Decisions for others: over HTTP in its own words and in those of envoy's and gubernator's rate limiters, and CL.THROTTLE over RESP.

# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
sdlab_test "$@"
need curl curl
need jq jq

cat >"$TMP/rl.yaml" <<END
rules:
  - {name: login, rate: 3/h, algorithm: sliding-log}
  - {name: any, domain: shop, descriptor: [kind], rate: 2/m, algorithm: fixed-window}
  - {name: mail, domain: shop, descriptor: [kind=mail], rate: 1/h, algorithm: fixed-window}
  - {name: mails, domain: shop, descriptor: [kind=ma*], rate: 5/h, algorithm: fixed-window}
  - {name: to, domain: shop, descriptor: [kind=mail, to], rate: 2/d, algorithm: fixed-window, shadow: true}
END
start rl "$SDLAB" ratelimit --port 0 --api-port 0 --resp-port 0 --admin 127.0.0.1:0 --config "$TMP/rl.yaml"
ADMIN=$(admin_of rl) || exit 1
API=$(sed -n 's/.*Decisions over HTTP on \(.*\)/\1/p' "$TMP/rl.log")
RESP=$(sed -n 's/.*CL.THROTTLE on .*:\([0-9]*\)$/\1/p' "$TMP/rl.log")

# ask PATH BODY [FILTER]: the answer, through jq; STATUS is its status
ask() {
  STATUS=$(curl -s --max-time 20 -o "$TMP/answer" -w '%{http_code}' -d "$2" "http://$API$1")
  OUT=$(jq -c "${3:-.}" "$TMP/answer")
}
expect() { # STATUS ANSWER PATH BODY FILTER
  ask "$3" "$4" "$5"
  assert_eq "$1" "$STATUS" "status of $3 $4"
  assert_eq "$2" "$OUT" "$3 $4"
}

between() { # LEAST VALUE MOST WHAT
  if [ "$2" -lt "$1" ] || [ "$2" -gt "$3" ]; then fail "$4: expected $1 to $3, found $2"; fi
}

# ---- its own ----
expect 200 '[true,3,1]' /take '{"rule":"login","key":"alice","cost":2}' '[.allowed, .limits[0].limit, .limits[0].remaining]'
taken=$(jq -r .taken "$TMP/answer")
expect 429 '[false,1,true]' /take '{"rule":"login","key":"alice","cost":2}' '[.allowed, .limits[0].remaining, (.limits[0].retry_after > 3500)]'
expect 429 '[false,1]' /peek '{"rule":"login","key":"alice","cost":2}' '[.allowed, .limits[0].remaining]'
expect 200 3 /peek '{"rule":"login","key":"bob"}' .limits[0].remaining
expect 429 '[false,1,10]' /take '{"limits":[{"rule":"login","key":"alice","cost":2},{"key":"x","rate":"10/h"}]}' \
  '[.allowed, .limits[0].remaining, .limits[1].remaining]'
expect 200 2 /refund '{"rule":"login","key":"alice","cost":1,"taken":"'"$taken"'"}' .limits[0].remaining
expect 200 3 /settle '{"rule":"login","key":"alice","cost":1,"used":0,"taken":"'"$taken"'"}' .limits[0].remaining
expect 200 3 /refund '{"rule":"login","key":"alice","cost":3,"taken":"'"$taken"'"}' .limits[0].remaining
expect 200 0 /settle '{"rule":"login","key":"alice","cost":1,"used":9}' .limits[0].remaining
expect 200 3 /forget '{"rule":"login","key":"alice"}' .limits[0].remaining
expect 200 '[7,7]' /take '{"key":"k","rate":"7/10m","algorithm":"gcra","cost":0}' '[.limits[0].limit, .limits[0].remaining]'
for bad in '{}' '[]' 'x' '{"key":"k"}' '{"key":1,"rate":"1"}' '{"rule":"none","key":"k"}' '{"key":"k","rate":"0"}' '{"key":"k","rate":"1","cost":-1}' \
  '{"key":"k","rate":"1","cost":1.5}' '{"key":"k","rate":"1","algorithm":"x"}' '{"key":"k","rate":"1","burst":0}' '{"limits":[]}' '{"limits":[1]}' \
  '{"limits":[{"rule":"login","key":"a"},{"key":"b"}]}' '{"key":"k","rate":"1/d","burst":4000000000}'; do
  ask /take "$bad"
  assert_eq 400 "$STATUS" "$bad"
  assert_match "$OUT" '^\{"error":"' "$bad"
done
assert_eq 404 "$(curl -s -o /dev/null -w '%{http_code}' -d '{}' "http://$API/none")" 'another path'
assert_eq 405 "$(curl -s -o /dev/null -w '%{http_code}' "http://$API/take")" 'GET'
head -c 300000 /dev/zero | tr '\0' ' ' >"$TMP/large"
assert_eq 413 "$(curl -s -o /dev/null -w '%{http_code}' --data-binary @"$TMP/large" "http://$API/take")" 'a body that is too large'

# ---- envoy ----
descriptor() { printf '{"domain":"shop","descriptors":[{"entries":[%s]}]}' "$1"; }
mail='{"key":"kind","value":"mail"}'
state='[.overallCode, .statuses[0].code, .statuses[0].currentLimit.name]'
expect 200 '["OK","OK","mail"]' /json "$(descriptor "$mail")" "$state"
expect 429 '["OVER_LIMIT","OVER_LIMIT","mail"]' /json "$(descriptor "$mail")" "$state"
assert_eq '{"name":"mail","requestsPerUnit":1,"unit":"HOUR"}' "$(jq -c '.statuses[0].currentLimit' "$TMP/answer")" 'the limit'
assert_match "$(jq -r '.statuses[0].durationUntilReset' "$TMP/answer")" '^3[0-9]{3}s$' 'when'
expect 200 '["OK","OK","mails"]' /json "$(descriptor '{"key":"kind","value":"mass"}')" "$state"
expect 200 '["OK","OK","any"]' /json "$(descriptor '{"key":"kind","value":"sms"}')" "$state"
expect 200 '["OK","OK",null]' /json "$(descriptor '{"key":"other","value":"sms"}')" "$state"
expect 200 '["OK","OK",null]' /json "$(descriptor "$mail" | sed s/shop/else/)" "$state"
# a rule in shadow says OK; each value counts for itself
for i in 1 2 3; do expect 200 '["OK","OK","to"]' /json "$(descriptor "$mail,{\"key\":\"to\",\"value\":\"a\"}")" "$state"; done
assert_eq 1 "$(metric "$ADMIN" sdlab_ratelimit_decisions_total 'rule="to",decision="shadowed"')" 'shadow'
expect 200 '["OK",1]' /json "$(descriptor "$mail,{\"key\":\"to\",\"value\":\"b\"}")" '[.overallCode, .statuses[0].limitRemaining]'
# each descriptor for itself, all together over when one is; many at once
expect 429 '["OVER_LIMIT","OK","OVER_LIMIT"]' /json \
  "{\"domain\":\"shop\",\"descriptors\":[{\"entries\":[{\"key\":\"kind\",\"value\":\"new\"}]},{\"entries\":[$mail]}]}" \
  '[.overallCode, .statuses[].code]'
expect 429 '"OVER_LIMIT"' /json '{"domain":"shop","descriptors":[{"entries":[{"key":"kind","value":"much"}]}],"hitsAddend":3}' .overallCode
for bad in '{"domain":"shop"}' '{"domain":"","descriptors":[{"entries":[{"key":"a"}]}]}' '{"domain":"shop","descriptors":[]}' \
  '{"domain":"shop","descriptors":[{}]}' '{"domain":"shop","descriptors":[{"entries":[{"key":"a"}]}],"hitsAddend":-1}'; do
  ask /json "$bad"
  assert_eq 400 "$STATUS" "$bad"
done
assert_eq OK "$(curl -s "http://$API/healthcheck")" healthcheck

# ---- gubernator ----
one() { # FIELDS: one request
  printf '{"requests":[{"name":"n","unique_key":"k","duration":"3600000","limit":"3",%s}]}' "$1"
}
state='.responses[0] | [.status, .limit, .remaining]'
expect 200 '["UNDER_LIMIT","3","2"]' /v1/GetRateLimits "$(one '"hits":"1"')" "$state"
expect 200 '["UNDER_LIMIT","3","2"]' /v1/GetRateLimits "$(one '"hits":"0"')" "$state"
expect 200 '["OVER_LIMIT","3","2"]' /v1/GetRateLimits "$(one '"hits":3')" "$state"
expect 200 '["OVER_LIMIT","3","0"]' /v1/GetRateLimits "$(one '"hits":3,"behavior":"DRAIN_OVER_LIMIT"')" "$state"
expect 200 '["UNDER_LIMIT","3","1"]' /v1/GetRateLimits "$(one '"hits":2,"behavior":8')" "$state"
expect 200 '["UNDER_LIMIT","3","3"]' /v1/GetRateLimits "$(one '"hits":-2')" "$state"
expect 200 '["UNDER_LIMIT","3","2"]' /v1/GetRateLimits "$(one '"hits":1,"algorithm":"LEAKY_BUCKET"')" "$state"
now=$(date +%s)
reset=$(jq -r '.responses[0].reset_time' "$TMP/answer")
between "${now}000" "$reset" "$((now + 3700))000" 'reset_time'
expect 200 "\"field 'unique_key' cannot be empty\"" /v1/GetRateLimits '{"requests":[{"name":"n"}]}' '.responses[0].error'
expect 200 '[null,"limit: expected 1 to 4294967295"]' /v1/GetRateLimits "$(one '"hits":1' | sed 's/"limit":"3"/"limit":"0"/')" \
  '.responses[0] | [.limit, .error]'
ask /v1/GetRateLimits '{"requests":1}'
assert_eq 400 "$STATUS" 'requests that are none'
assert_eq healthy "$(curl -s "http://$API/v1/HealthCheck" | jq -r .status)" HealthCheck

# ---- CL.THROTTLE, as any client writes it ----
# shellcheck disable=SC2016 # for the shell that it is given to
say() { printf '%b' "$1" | timeout 5 bash -c 'exec 3<>"/dev/tcp/127.0.0.1/$0"; cat >&3; timeout 5 cat <&3' "$RESP" | tr -d '\r' | tr '\n' ' '; }
quit='QUIT\r\n'
# throttle WORDS: the five integers to N
throttle() {
  read -r -a N <<<"$(say "CL.THROTTLE $1\r\n$quit" | tr -d :)"
  assert_eq '*5 +OK' "${N[0]} ${N[6]:-}" "CL.THROTTLE $1: ${N[*]}"
  N=("${N[@]:1:5}")
}
# answered FIRST-THREE WORDS: those that time does not change
answered() {
  throttle "$2"
  assert_eq "$1" "${N[0]} ${N[1]} ${N[2]}" "CL.THROTTLE $2"
}
assert_eq '*5 :0 :16 :15 :-1 :2 +OK ' "$(say "CL.THROTTLE user123 15 30 60\r\n$quit")" 'the documented example'
assert_eq '*5 :0 :16 :15 :-1 :2 +OK ' "$(say "*5\r\n\$11\r\ncl.throttle\r\n\$1\r\nk\r\n\$2\r\n15\r\n\$2\r\n30\r\n\$2\r\n60\r\n$quit")" 'an array'
answered '0 1 0' 'one 0 1 3600'
between 3590 "${N[4]}" 3600 'all is there'
answered '1 1 0' 'one 0 1 3600'
between 3590 "${N[3]}" 3599 'it would pass'
answered '1 16 16' 'much 15 1 3600 17'
assert_eq -1 "${N[3]}" 'more than there can be never passes'
# counts at which others gave up, and a limit that changes when it is used up
answered '0 8001 8000' 'fast 8000 8000 1'
answered '0 1000000000 999999999' 'faster 999999999 1000000000 1'
answered '0 1 0' 'changing 0 1 3600'
answered '0 11 9' 'changing 10 1 60'
answered '0 3 3' 'back 2 1 3600 0'
answered '0 3 0' 'back 2 1 3600 3'
answered '0 3 2' 'back 2 1 3600 -2'
int='-ERR value is not an integer or out of range '
for bad in 'k -1 1 1' 'k x 1 1' 'k 1 0 1' 'k 1 1 0' 'k 4294967295 1 1' 'k 1 1 1 x' 'k 1 4294967296 1'; do
  assert_eq "$int+OK " "$(say "CL.THROTTLE $bad\r\n$quit")" "$bad"
done
assert_match "$(say "CL.THROTTLE k 4000000000 1 86400\r\n$quit")" '^-ERR an empty bucket would take more than 36 years' 'a bucket that never fills'
assert_eq "-ERR wrong number of arguments for 'CL.THROTTLE' command +OK " "$(say "CL.THROTTLE k 1 1\r\n$quit")" 'too few words'
assert_eq "-ERR unknown command 'GET' +PONG +OK " "$(say "GET k\r\nPING\r\n$quit")" 'another command'
assert_match "$(say "*1\r\n\$x\r\n")" '^-ERR Protocol error' 'what is no RESP'
stop rl
