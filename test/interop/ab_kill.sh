#!/usr/bin/env bash
# A thousand requests by ab, twenty at once, with and without keep-alive, and one of three backends killed half way: no
# request fails. The same through HAProxy and nginx where these are installed.

# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=../peers.sh
. "$(dirname "$0")/../peers.sh"
sdlab_test "$@"
need curl curl
need apache2-utils ab

requests=1000

# Three backends that take 10 ms for an answer, so that some are always on their way. B tells how far it is.
start_three() {
  local letter
  ports=()
  for letter in A B C; do
    start_backend "$letter" "$letter" --delay 10ms --admin 127.0.0.1:0
    ports+=("$PORT")
  done
  b_admin=$(admin_of B) || exit 1
}

# kill_half_way WHO PORT AB_OPTION...: the kill comes when B has answered half of its third. ab may have finished before we saw that,
# for others use this machine as well: then again. SENT is how many requests there were.
kill_half_way() {
  local who=$1 port=$2 base tries=0
  shift 2
  SENT=0
  while :; do
    base=$(metric "$b_admin" "$M_BACKEND_REQUESTS")
    SENT=$((SENT + requests))
    start ab ab -n "$requests" -c 20 "$@" "http://127.0.0.1:$port/"
    wait_for "B to answer its half behind $who" metric_at_least "$b_admin" "$M_BACKEND_REQUESTS" $((base + requests / 6))
    kill -s STOP "${PID[ab]}"
    in_the_midst && break
    kill -s CONT "${PID[ab]}"
    wait_exit ab
    clean_ab "$TMP/ab.log" "$requests"
    [ $((tries += 1)) -lt 20 ] || fail "ab had finished before Server-B was to be killed behind $who, $tries times"
  done
  kill -s KILL "${PID[B]}" || fail 'Server-B was gone before it was killed'
  kill -s CONT "${PID[ab]}"
  wait_exit ab
  assert_eq 0 "$STATUS" "exit status of ab through $who"
  clean_ab "$TMP/ab.log" "$requests"
  echo "$who, ab $*: $(grep -F 'Failed requests' "$TMP/ab.log" | tr -s ' ')"
  wait_exit B
}

# ab is stopped, and has not ended: it says at the end that it is finished.
in_the_midst() { alive ab && ! grep -q '^Complete requests' "$TMP/ab.log" && ! grep -q '^State:.*Z' "/proc/${PID[ab]}/status"; }

end_three() {
  stop A
  stop C
}

for keep in '' -k; do
  start_three
  start_lb lb --health-interval 200ms --backend "127.0.0.1:${ports[0]}" --backend "127.0.0.1:${ports[1]}" \
    --backend "127.0.0.1:${ports[2]}"
  kill_half_way lb "$PORT" ${keep:+"$keep"}
  # Every answer that ab got is one that lb counted.
  assert_eq "$SENT" "$(metric "$ADMIN" "$M_LB_REQUESTS")" 'requests that lb counted'
  stop lb
  end_three

  if baseline haproxy haproxy; then
    start_three
    start_haproxy haproxy "${ports[@]}"
    wait_for 'haproxy to answer' answers "http://127.0.0.1:$PORT/"
    kill_half_way haproxy "$PORT" ${keep:+"$keep"}
    stop_quietly haproxy
    end_three
  fi
  if baseline nginx-light nginx; then
    start_three
    start_nginx nginx proxy "${ports[@]}"
    kill_half_way nginx "$PORT" ${keep:+"$keep"}
    stop_quietly nginx
    end_three
  fi
done
