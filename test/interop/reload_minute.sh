#!/usr/bin/env bash
# Sixty reloads, each as soon as the one before is in force, while requests on connections that stay open and fifty
# WebSockets go on: no request fails and no socket closes. Every second reload changes something: a weight, the
# certificate, which backends there are.
#
#   test/interop/reload_minute.sh BIN [--minute]     --minute: one reload a second
# plain build only: reload.sh does the same for less time
#
# The same against an lb that is restarted instead must show failures: that this test sees them.

# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
sdlab_test "$@"
need curl curl
NPM_MODULES=$(realpath -m "${NPM_MODULES:-$ROOT/build/npm/node_modules}")
export NPM_MODULES
need "npm's ws" node
[ -e "$NPM_MODULES/ws/package.json" ] || skip "npm's ws"
pace=${2:-}
ws=$ROOT/test/interop/ws.js
cd "$TMP" || exit 1

for name in one two; do
  "$SDLAB" tls selfsigned --name 127.0.0.1 --out "$name" >/dev/null || fail 'no certificate'
done
export NODE_EXTRA_CA_CERTS=$TMP/one/ca.pem
for name in a b; do
  start "$name" node "$ws" server
  wait_line "$name" 'port '
done
a=$(sed -n 's/^port //p' a.log) b=$(sed -n 's/^port //p' b.log)
front=$(free_port)

# config WEIGHT WITH_B CERTIFICATE
config() {
  cat >new.yaml <<END
port: $front
admin: 127.0.0.1:0
tls: {cert: $3/cert.pem, key: $3/key.pem}
health: {type: none}
backends:
  - {address: "127.0.0.1:$a", name: a, weight: $1}
END
  [ "$2" = no ] || echo "  - {address: \"127.0.0.1:$b\", name: b}" >>new.yaml
  mv new.yaml lb.yaml
}

start_front() {
  start lb "$SDLAB" lb --config lb.yaml
  port_of lb >/dev/null || exit 1
  ADMIN=$(admin_of lb) || exit 1
}

# What the worker would weigh for a request now: "a 1 b 1 ".
weighed() {
  curl -sS --max-time 20 -d '{"target": "/"}' "http://$ADMIN/-/explain" | tr -d ' \t\n' |
    grep -o '"name":"[a-z]*"\|"weight":[0-9]*' | sed 's/.*://; s/"//g' | tr '\n' ' '
}
# in_force WEIGHT WITH_B CERTIFICATE: for the next request, and for the next connection.
in_force() {
  local want="a $1 "
  [ "$2" = no ] || want="a $1 b 1 "
  [ "$(weighed)" = "$want" ] && answers_by "$3"
}
answers_by() { curl -sS -o /dev/null --max-time 20 --cacert "$1/ca.pem" "https://127.0.0.1:$front/" 2>/dev/null; }

requests_passed() { [ "$(metric "$ADMIN" "$M_LB_REQUESTS")" -gt "$1" ]; }

begin_load() {
  start load "$SDLAB" load --conns 8 --rate 1000/s --duration 1h --quiet --ca one/ca.pem --json load.json "https://127.0.0.1:$front/"
  wait_for "requests to flow" requests_passed 8
  rm -f stop
  mkfifo stop
  start hold sh -c "exec node '$ws' hold 'wss://127.0.0.1:$front/' 50 <stop"
  exec 5>stop
  wait_line hold 'holding 50'
}

# How often the load had to wait so far: each of its turns sends what is due, a thousand a second.
load_turns() { awk '/^voluntary_ctxt_switches/ { n += $2 } END { print n + 0 }' "/proc/${PID[load]}"/task/*/status; }
load_went_on() { [ "$(load_turns)" -ge "$1" ]; }

# end_load: FAILED is how many requests failed, HELD what became of the sockets.
end_load() {
  kill -s INT "${PID[load]}"
  wait_exit load
  FAILED=$(tr -d ' \n\t' <load.json | sed -n 's/.*"summary".*"errors":\([0-9]*\),.*/\1/p')
  [ -n "$FAILED" ] || fail "no summary: $(cat load.json)"
  echo stop >&5
  wait_exit hold
  exec 5>&-
  HELD=$(grep ' open, ' hold.log)
}

# The six states that it goes through, as arguments of config.
steps=('3 yes one' '3 no one' '3 no two' '1 no two' '1 yes two' '1 yes one')
# shellcheck disable=SC2086 # three words each
reloads() {
  local i next step='1 yes one' code
  for ((i = 0; i < 60; i++)); do
    next=$((SECONDS + 1))
    if [ $((i % 2)) = 1 ]; then
      step=${steps[i / 2 % 6]}
      config $step
    fi
    code=$(curl -sS -o /dev/null -w '%{http_code}' --max-time 10 -X POST "http://$ADMIN/-/reload")
    assert_eq 200 "$code" "status of reload $i"
    wait_for "reload $i, to $step" in_force $step
    alive load || fail "the load ended at reload $i: $(cat load.log)"
    if [ "$pace" = --minute ]; then
      while [ "$SECONDS" -lt "$next" ]; do sleep 0.02; done
    fi
  done
}

config 1 yes one
start_front
begin_load
assert_eq 50 "$(metric "$ADMIN" sdlab_lb_tunnels)" 'tunnels before the reloads'
before=$(metric "$ADMIN" "$M_LB_REQUESTS")
begun=$SECONDS
reloads
after=$(metric "$ADMIN" "$M_LB_REQUESTS")
[ "$((after - before))" -ge 600 ] || fail "only $((after - before)) requests during sixty reloads"
assert_eq 60 "$(metric "$ADMIN" sdlab_reloads_total 'result="ok"')" 'reloads'
assert_eq 50 "$(metric "$ADMIN" sdlab_lb_tunnels)" 'tunnels after the reloads'
end_load
assert_eq 0 "$FAILED" 'requests that failed'
assert_eq '50 open, 0 closed, 0 failed, 50 echo' "$HELD" 'the sockets'
echo "lb: sixty reloads in $((SECONDS - begun)) s during $((after - before)) requests, none lost; fifty sockets stayed"
stop lb

# The control.
config 1 yes one
start_front
begin_load
kill -s TERM "${PID[lb]}"
wait_line lb 'Draining'
kill -s TERM "${PID[lb]}" # the second ends it at once: a drain would wait for the sockets
wait_exit lb
turns=$(load_turns)
wait_for 'the load to meet nobody' load_went_on $((turns + 20))
start_front
wait_for 'requests to flow again' requests_passed 8
end_load
[ "$FAILED" -gt 0 ] || fail 'requests went on over a restart, so this test would not see one that is lost'
assert_lacks "$HELD" ' 0 closed' 'the sockets over a restart'
echo "lb restarted once: $FAILED requests failed; sockets: $HELD"
stop lb
stop_quietly a
stop_quietly b
