#!/usr/bin/env bash
# A backend that answers 500 is ejected, tried, ejected for longer, tried again, and back; as a person reads it.

# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
sdlab_test "$@"

# begin LB COUNT OPTION...: a balancer of two backends, of which the first answers 500 to so many requests.
begin() {
  local lb=$1 count=$2
  shift 2
  start_backend "$lb-a" A --fail-from 1 --fail-count "$count"
  bad=$PORT
  start_backend "$lb-b" B
  start_lb "$lb" --backend "address=127.0.0.1:$bad,name=web-1" --backend "address=127.0.0.1:$PORT,name=web-2" \
    --health-type none --eject-failures 3 --eject-observe layer7 --eject-permits 1 "$@"
}

# ask_until LB TEXT: requests, until the balancer says it.
ask_until() {
  local end=$((SECONDS + DEADLINE))
  until log_has "$1" "$2"; do
    [ "$SECONDS" -lt "$end" ] || fail "waited ${DEADLINE} s for $1 to say '$2'"
    curl -sS -o /dev/null -w '%{http_code}\n' --max-time 20 "http://127.0.0.1:$PORT/" >>"$TMP/$1.answers" || fail 'no answer'
  done
}

begin long 3 --eject-time 1m
ask_until long "Ejected $bad for 1m (3 failed requests in a row)"
run "$SDLAB" lb status --server "$ADMIN"
assert_match "$OUT" '^web-1 +ejected .*3 failed requests in a row \(ejection 1\); back in (1m|[0-9]+s)$' 'lb status'
run "$SDLAB" lb explain --server "$ADMIN" GET /
assert_match "$OUT" '^  web-1 +ejected .*3 failed requests in a row' 'lb explain'
metric_at_least "$ADMIN" sdlab_lb_backend_ejected_seconds 1 web-1 || fail 'sdlab_lb_backend_ejected_seconds is 0'
stop long

# An ejection is remembered for ten times as long: until the next one comes, however slow this machine is.
begin short 4 --eject-time 500ms --eject-successes 2
ask_until short "Ejected $bad for 500ms (3 failed requests in a row)"
wait_line short "Trying $bad with 1 at a time"
run "$SDLAB" lb status --server "$ADMIN"
assert_match "$OUT" '^web-1 +half-open .*its ejection is over: 0 trial requests succeeded in a row, 0 are out' 'lb status, half-open'
assert_eq 1 "$(metric "$ADMIN" sdlab_lb_backend_half_open)" 'sdlab_lb_backend_half_open'
ask_until short "Ejected $bad for 1s (a trial request failed)"
ask_until short "Returned $bad to pool"
assert_eq 2 "$(metric "$ADMIN" sdlab_lb_backend_ejections_total)" 'ejections'
assert_eq 4 "$(grep -c 500 "$TMP/short.answers")" 'answers that failed: three, and one trial'
run "$SDLAB" lb status --server "$ADMIN"
assert_match "$OUT" '^web-1 +up ' 'it is back'
stop short
