#!/usr/bin/env bash
# wrk through lb without one error, and the counters of lb and of the backends agree to the last request. The same load
# goes through HAProxy and nginx where these are installed.

# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=../peers.sh
. "$(dirname "$0")/../peers.sh"
sdlab_test "$@"
need curl curl
need wrk wrk

connections=64

ports=() admins=()
for letter in A B C; do
  start_backend "$letter" "$letter" --admin 127.0.0.1:0
  ports+=("$PORT")
  admins+=("$(admin_of "$letter")")
done

backends_total() {
  local admin sum=0
  for admin in "${admins[@]}"; do sum=$((sum + $(metric "$admin" "$M_BACKEND_REQUESTS"))); done
  echo "$sum"
}

# clean_wrk WHO PORT: REQUESTS is how many wrk counted.
clean_wrk() {
  local out
  out=$(wrk -t1 -c"$connections" -d2s "http://127.0.0.1:$2/") || fail "wrk through $1: $out"
  assert_lacks "$out" 'Socket errors' "wrk through $1"
  assert_lacks "$out" 'Non-2xx' "wrk through $1"
  REQUESTS=$(printf '%s\n' "$out" | sed -n 's/^ *\([0-9]*\) requests in .*/\1/p')
  [ "${REQUESTS:-0}" -gt 100 ] || fail "wrk through $1 got only ${REQUESTS:-0} answers: $out"
  echo "$1: $REQUESTS requests, no error"
}

# Checks by connection, so that only what a client sends is counted by the backends.
start_lb lb --health-type tcp --backend "127.0.0.1:${ports[0]}" --backend "127.0.0.1:${ports[1]}" \
  --backend "127.0.0.1:${ports[2]}"
clean_wrk lb "$PORT"
# wrk hangs up on the last answers, one a connection at most; the counters come to rest after it.
counted=$(metric "$ADMIN" "$M_LB_REQUESTS")
[ "$counted" -ge "$REQUESTS" ] || fail "lb counted $counted of the $REQUESTS requests that wrk made"
agree() {
  counted=$(metric "$ADMIN" "$M_LB_REQUESTS")
  sent=$(metric "$ADMIN" "$M_LB_BACKEND_REQUESTS")
  answered=$(backends_total)
  [ $((counted - REQUESTS)) -le "$connections" ] && [ $((sent - counted)) -le "$connections" ] &&
    [ "$sent" -ge "$counted" ] && [ $((sent - answered)) -le "$connections" ] && [ "$answered" -ge "$REQUESTS" ]
}
wait_for 'the counters to agree' agree
echo "counted by wrk $REQUESTS, by lb $counted, sent to backends $sent, answered by them $answered"

# Without hanging up they agree exactly.
if command -v ab >/dev/null 2>&1; then
  counted=$(metric "$ADMIN" "$M_LB_REQUESTS")
  sent=$(metric "$ADMIN" "$M_LB_BACKEND_REQUESTS")
  answered=$(backends_total)
  ab -q -k -n 3000 -c 30 "http://127.0.0.1:$PORT/" >"$TMP/ab.log" 2>&1 || fail "ab: $(cat "$TMP/ab.log")"
  clean_ab "$TMP/ab.log" 3000
  assert_eq 3000 $(($(metric "$ADMIN" "$M_LB_REQUESTS") - counted)) 'requests that lb counted'
  assert_eq 3000 $(($(metric "$ADMIN" "$M_LB_BACKEND_REQUESTS") - sent)) 'requests that lb sent to backends'
  assert_eq 3000 $(($(backends_total) - answered)) 'requests that the backends counted'
fi
stop lb

if baseline haproxy haproxy; then
  start_haproxy haproxy "${ports[@]}"
  wait_for 'haproxy to answer' answers "http://127.0.0.1:$PORT/"
  clean_wrk haproxy "$PORT"
  stop_quietly haproxy
fi
if baseline nginx-light nginx; then
  start_nginx nginx proxy "${ports[@]}"
  clean_wrk nginx "$PORT"
  stop_quietly nginx
fi
for letter in A B C; do stop "$letter"; done
