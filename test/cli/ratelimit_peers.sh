#!/usr/bin/env bash
# Three rate limiters that share their limits among themselves: in sum what one would let pass, whoever is asked and however; one that
# is killed and comes back; what they say of each other; lists that differ; and what is refused at start. Rates are of an hour, so
# that requests are counted and nobody has to wait.

# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
sdlab_test "$@"
need curl curl
need jq jq

code() { curl -s -o /dev/null --max-time 20 -w '%{http_code}' "$@"; }
NAMES=(one two three)
declare -A AT=() URL=() SIDE=() API=()
for name in "${NAMES[@]}"; do AT[$name]=127.0.0.1:$(free_port); done
LIST=${AT[one]},${AT[two]},${AT[three]}

# rl NAME LIST OPTION...: one of them; URL, SIDE and API say where.
rl() {
  local name=$1 list=$2
  shift 2
  start "$name" "$SDLAB" ratelimit --port 0 --admin 127.0.0.1:0 --api-port 0 --resp-port "${AT[$name]##*:}" --peer "$list" \
    --self "${AT[$name]}" --store-timeout 10s --key header:x-key "$@"
  URL[$name]=http://127.0.0.1:$(port_of "$name")/ || exit 1
  SIDE[$name]=$(admin_of "$name") || exit 1
  API[$name]=$(sed -n 's/.*Decisions over HTTP on \([^ ]*\)$/\1/p' "$TMP/$name.log")
}
peers_are() { # NAME COUNT: it reaches so many others
  [ "$(metric "${SIDE[$1]}" sdlab_ratelimit_peer_up)" = "$2" ]
}
all() { # OPTION...: all three, and they reach each other
  for name in "${NAMES[@]}"; do rl "$name" "$LIST" "$@"; done
  for name in "${NAMES[@]}"; do wait_for "$name to reach the others" peers_are "$name" 2; done
}
stop_all() { for name in "${NAMES[@]}"; do stop "$name"; done; }
sum() { # METRIC [PART]: of all three
  local n=0
  for name in "${NAMES[@]}"; do n=$((n + $(metric "${SIDE[$name]}" "$@"))); done
  echo "$n"
}
# passed N KEY NAME...: how many pass of N asked at each of these.
passed() {
  local n=$1 key=$2 out=''
  shift 2
  for name; do
    out+=$(curl -s -Z --parallel-max 4 --max-time 20 -H "X-Key: $key" -o /dev/null -w '%{http_code}\n' "${URL[$name]}?[1-$n]" 2>>"$TMP/curl.err")$'\n'
  done
  grep -c '^200$' <<<"$out"
}
throttle() { # NAME WORDS: the reply in one line
  # shellcheck disable=SC2016 # for the shell that it is given to
  printf 'CL.THROTTLE %s\r\nQUIT\r\n' "$2" | timeout 5 bash -c 'exec 3<>"/dev/tcp/127.0.0.1/$0"; cat >&3; timeout 5 cat <&3' "${AT[$1]##*:}" |
    tr -d '\r' | tr '\n' ' '
}

# ---- what one would let pass ----
# At first a server waits for those it has not tried yet; here they are not there.
rl one "$LIST" --rate 2/h --store-down local
wait_line one "The peer ${AT[two]} is gone, meanwhile each server lets its share pass"
ready() { [ "$(code "http://${SIDE[one]}/-/ready")" = 200 ]; }
wait_for 'one that is ready without the others' ready
stop one

for kind in token-bucket leaky-queue fixed-window sliding-counter sliding-log; do
  all --algorithm "$kind" --rate 12/h
  for key in a b; do
    case $kind in # what is let into a queue waits for its turn there
    leaky-queue) assert_eq 1 "$(passed 1 "$key" one)" "$kind: key $key" ;;
    *) assert_eq 12 "$(passed 8 "$key" one two three)" "$kind: key $key at three servers" ;;
    esac
  done
  assert_eq 0 "$(sum sdlab_ratelimit_peer_decisions_total 'by="itself"')" "$kind: decided without the owner"
  stop_all
done

# ---- who is asked, and for what ----
cat >"$TMP/rules.yaml" <<END
rules:
  - {name: all, rate: 50/h, key: [all]}
  - {name: each, rate: 3/h, key: [header:x-key]}
  - {name: try, rate: 1/h, key: [path], shadow: true}
END
all --config "$TMP/rules.yaml"
# Of two rules with different owners: what one refuses costs nothing of the other.
for key in k1 k2 k3 k4 k5 k6; do
  assert_eq 3 "$(passed 3 "$key" one two three)" "two rules: key $key"
done
left() { curl -s -i --max-time 20 -H 'X-Key: new' "${URL[$1]}" | tr -d '\r' | sed -n 's/^RateLimit: "all";r=\([0-9]*\).*/\1/p'; }
assert_eq 31 "$(left one)" 'what is left of the other rule'
assert_eq 30 "$(left three)" 'what is left of the other rule'
assert_eq 56 "$(sum sdlab_ratelimit_decisions_total 'rule="try"')" 'decisions in shadow'
assert_eq 1 "$(sum sdlab_ratelimit_decisions_total 'rule="try",decision="allowed"')" 'in shadow, let through'
[ "$(sum sdlab_ratelimit_peer_asked_total)" -gt 20 ] || fail 'questions of peers'
assert_eq 0 "$(sum sdlab_ratelimit_peer_strays_total)" 'keys of others'

# Decisions for others: all of these come to the owner, whoever is asked.
for i in "one 0 16 15" "two 0 16 14" "three 0 16 13"; do
  read -r name want <<<"$i"
  assert_eq "*5 :${want// / :} :-1" "$(throttle "$name" 'user123 15 30 3600' | cut -d' ' -f1-5)" "CL.THROTTLE at $name"
done
assert_eq '*5 :0 :16 :15' "$(throttle one 'user123 15 30 3600 -2' | cut -d' ' -f1-4)" 'given back'
assert_eq '*5 :0 :16 :15' "$(throttle two 'user123 15 30 3600 0' | cut -d' ' -f1-4)" 'only asked'
# A pipeline comes back in order, those that had to be asked elsewhere too.
lines=''
for i in 1 2 3 4 5 6 7 8; do lines+="CL.THROTTLE k$i 0 1 3600\r\nPING $i\r\n"; done
# shellcheck disable=SC2016
printf '%bQUIT\r\n' "$lines" | timeout 5 bash -c 'exec 3<>"/dev/tcp/127.0.0.1/$0"; cat >&3; timeout 5 cat <&3' "${AT[two]##*:}" |
  tr -d '\r' | grep -v '^\(:\|\$\)' | tr '\n' ' ' >"$TMP/order"
assert_eq '*5 1 *5 2 *5 3 *5 4 *5 5 *5 6 *5 7 *5 8 +OK ' "$(cat "$TMP/order")" 'a pipeline'
ask() { # NAME PATH JSON FILTER
  curl -s --max-time 20 -d "$3" "http://${API[$1]}$2" >"$TMP/answer"
  jq -c "$4" "$TMP/answer"
}
for path in '/take true 4' '/take true 3' '/peek true 3' '/refund true 4' '/settle true 5' '/forget true 5'; do
  for name in "${NAMES[@]}"; do # the second of three takes, the third asks what is left
    case $name in
    one) assert_eq "[${path#* }]" "$(ask "$name" "${path%% *}" '{"key":"x","rate":"5/h"}' '[.allowed,.limits[0].remaining]' | tr , ' ')" "$path" ;;
    *) assert_eq "[${path#* }]" "$(ask "$name" /peek '{"key":"x","rate":"5/h"}' '[.allowed,.limits[0].remaining]' | tr , ' ')" "$path, asked at $name" ;;
    esac
  done
done
many='{"limits":[{"key":"a1","rate":"2/h"},{"key":"a2","rate":"2/h"},{"key":"a3","rate":"2/h"},{"key":"a4","rate":"1/h"}]}'
left='[.allowed,.limits[].remaining]'
assert_eq '[true,1,1,1,0]' "$(ask one /take "$many" "$left")" 'four limits of three owners'
assert_eq '[false,1,1,1,0]' "$(ask two /take "$many" "$left")" 'one of them refuses'
assert_eq '[false,1,1,1,0]' "$(ask three /peek "$many" "$left")" 'and nothing was taken of the others'
assert_eq '[true,1,1,1,1]' "$(ask three /refund '{"limits":[{"key":"a4","rate":"1/h"}]}' '[.allowed,1,1,1,.limits[0].remaining]')" 'given back'
gubernator='{"requests":[{"name":"n","unique_key":"k","duration":"3600000","limit":"3","hits":2},{"name":"n","unique_key":"k","duration":"3600000","limit":"3","hits":"2","behavior":"DRAIN_OVER_LIMIT"}]}'
ask one /v1/GetRateLimits "$gubernator" . >/dev/null
assert_eq '["UNDER_LIMIT","1"]' "$(jq -c '.responses[0]|[.status,.remaining]' "$TMP/answer")" gubernator
assert_eq '["OVER_LIMIT","0"]' "$(jq -c '.responses[1]|[.status,.remaining]' "$TMP/answer")" gubernator
curl -s "http://${SIDE[two]}/-/peers" >"$TMP/peers"
assert_eq "[\"${AT[two]}\"]" "$(jq -c '[.[]|select(.self)|.name]' "$TMP/peers")" '/-/peers: which one this is'
assert_eq '[true,true,true]' "$(jq -c '[.[].up]' "$TMP/peers")" '/-/peers: who is there'
assert_eq 1000 "$(jq '[.[].keys]|add*1000|round' "$TMP/peers")" '/-/peers: the parts of all keys'
# Another one's question: who is meant is said, and nobody else decides.
say() {
  # shellcheck disable=SC2016
  printf '%s\r\nQUIT\r\n' "$2" | timeout 5 bash -c 'exec 3<>"/dev/tcp/127.0.0.1/$0"; cat >&3; timeout 5 cat <&3' "${AT[$1]##*:}" | head -n 1 | tr -d '\r'
}
limit='b 1 3600000000000 1 0 7 key 1 0 0'
assert_eq "-ERR this is ${AT[two]}" "$(say two "RATELIMIT.DECIDE ${AT[one]} take $limit")" 'a question for another'
assert_eq '*6' "$(say two "RATELIMIT.DECIDE ${AT[two]} take $limit")" 'a question'
assert_eq '-ERR expected take, peek, settle or forget' "$(say two "RATELIMIT.DECIDE ${AT[two]} give $limit")" 'an unknown question'
assert_eq '-ERR expected 1 to 16 limits of 10 words' "$(say two "RATELIMIT.DECIDE ${AT[two]} take $limit 1")" 'too many words'
stop_all

# ---- one is killed, and comes back ----
# KEYS: four that the third has, and four of the others. Whose a key is depends on the ports of this run; who has it is asked.
choose_keys() {
  local n=0 before third=0 others=0
  all --rate 1000/h
  KEYS=()
  while [ "$third" -lt 4 ] || [ "$others" -lt 4 ]; do
    [ $((n += 1)) -le 1000 ] || fail "of 1000 keys the third has $third and the others $others"
    before=$(metric "${SIDE[three]}" sdlab_ratelimit_peer_asked_total)
    passed 1 "key-$n" one >/dev/null
    if [ "$(metric "${SIDE[three]}" sdlab_ratelimit_peer_asked_total)" -gt "$before" ]; then
      [ "$third" -lt 4 ] && third=$((third + 1)) KEYS+=("$n")
    else
      [ "$others" -lt 4 ] && others=$((others + 1)) KEYS+=("$n")
    fi
  done
  stop_all
}
# Whose keys they are: one that only its owner counts. 12 an hour, in shares of 4.
kill_one() { # CHOICE
  local how=$1 key n=0 keys=() owned=()
  all --rate 12/h --store-down "$how"
  for key in "${KEYS[@]}"; do assert_eq 1 "$(passed 1 "key-$key" one)" "$how: key $key"; done
  declare -A told=()
  for name in one two; do told[$name]=$(log_count "$name" 'is gone'); done
  stop three KILL 137
  for name in one two; do wait_for "$name to miss the third" peers_are "$name" 1; done
  for key in "${KEYS[@]}"; do
    n=$(passed 6 "key-$key" one two)
    case $how-$n in
    *-11) keys+=("$key") ;; # kept by one of those that live: what is left of 12
    closed-0 | local-8 | open-12) owned+=("$key") ;;
    *) fail "$how: $n of 12 passed of key $key" ;;
    esac
  done
  assert_eq '4 4' "${#keys[@]} ${#owned[@]}" "$how: keys of those that live, and of the other"
  rl three "$LIST" --rate 12/h --store-down "$how"
  for name in one two; do wait_for "$name to reach the third again" peers_are "$name" 2; done
  # It begins anew: in all at most twice the limit, and the shares of two.
  for key in "${owned[@]}"; do assert_eq 12 "$(passed 8 "key-$key" one two)" "$how: key $key, whose owner is back"; done
  for key in "${keys[@]}"; do assert_eq 0 "$(passed 1 "key-$key" one two)" "$how: key $key, whose owner never went"; done
  for name in one two; do assert_eq "$((told[$name] + 1))" "$(log_count "$name" 'is gone')" "$how: told once"; done
  stop_all
}
choose_keys
for how in local closed open; do kill_one "$how"; done

# One that is there but silent: nobody waits for it longer than was said, and what it says then is for nobody.
all --rate 1/h --store-down open --store-timeout 50ms
kill -STOP "${PID[three]}"
alone() { # one more, until it is one that the silent one has
  n=$((n + 1))
  assert_eq 200 "$(code -H "X-Key: s$n" "${URL[one]}")" 'one of three is silent'
  [ "$n" -ge 12 ] && metric_at_least "${SIDE[one]}" sdlab_ratelimit_peer_decisions_total 1 'by="itself"'
}
n=0
wait_for 'decisions without the owner' alone
kill -CONT "${PID[three]}"
for name in one two; do wait_for "$name to reach the others again" peers_are "$name" 2; done
stop_all

# ---- lists that differ ----
# The third is new, and the others do not know it: at most one limit for each that somebody takes for the owner.
rl one "${AT[one]},${AT[two]}" --rate 4/h
rl two "${AT[two]},${AT[one]}" --rate 4/h
rl three "$LIST" --rate 4/h
for name in one two; do wait_for "$name to reach the other" peers_are "$name" 1; done
wait_for 'the third to reach the others' peers_are three 2
for key in $(seq 10); do
  n=$(passed 6 "d$key" one two three)
  [ "$n" = 4 ] || [ "$n" = 8 ] || fail "lists differ: $n of key $key"
done
[ "$(sum sdlab_ratelimit_peer_strays_total)" -ge 0 ] || fail 'keys of others'
stop_all
# Who is asked though it has another list of owners says so, once.
rl one "${AT[one]},${AT[two]}" --rate 4/h
rl two "$LIST" --rate 4/h
stray() { # whose a key is depends on the ports: one more, until it is one that the second takes for the third's
  passed 1 "e$((n += 1))" one >/dev/null
  metric_at_least "${SIDE[two]}" sdlab_ratelimit_peer_strays_total 1
}
n=0
wait_for 'keys that are of the third' stray
assert_eq 1 "$(log_count two 'its list of peers differs from this one')" 'told once'
stop one
stop two

# ---- the example ----
run "$ROOT/examples/ratelimit-peers.sh" "$TMP/none/sdlab"
assert_match "$ERR" 'run make first$' 'the example without sdlab'
run "$ROOT/examples/ratelimit-peers.sh" "$SDLAB"
assert_eq 0 "$STATUS" "the example ($ERR)"
assert_eq '5 5 5 5 5' "$(sed -n 's/^  [a-e]  //p' <<<"$OUT" | paste -sd' ')" 'the example: all three'
assert_match "$(sed -n 's/^  [f-j]  //p' <<<"$OUT" | paste -sd' ')" '^([25] ?){5}$' 'the example: two of them'

# ---- what is refused at start ----
refused() { # WORDS OPTION...
  local words=$1
  shift
  run "$SDLAB" ratelimit --port 0 "$@"
  assert_eq 2 "$STATUS" "exit status of $*"
  assert_contains "$ERR" "$words" "$*"
}
refused 'self: expected the one of the peers that is this server' --resp-port 0 --peer a:1,b:1
refused 'self: expected the one of the peers that is this server' --resp-port 0 --peer a:1,b:1 --self c:1
refused 'self: expected peers as well' --self c:1
refused 'a:1 is there twice' --resp-port 0 --peer a:1,a:1 --self a:1
refused 'expected resp-port as well' --peer a:1,b:1 --self a:1
refused 'expected a store or peers, not both' --resp-port 0 --peer a:1,b:1 --self a:1 --store redis://127.0.0.1
refused 'expected at most 64' --resp-port 0 --peer "$(seq -s, -f a%g:1 65)" --self a1:1
echo ok
