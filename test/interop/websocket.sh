#!/usr/bin/env bash
# npm's ws through lb: echoes, large frames, close codes; and fifty sockets that stay open over ten reloads while other
# requests go on.

# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
sdlab_test "$@"
need curl curl
NPM_MODULES=$(realpath -m "${NPM_MODULES:-$ROOT/build/npm/node_modules}")
export NPM_MODULES
need "npm's ws" node
[ -e "$NPM_MODULES/ws/package.json" ] || skip "npm's ws"
metric_is() { [ "$(metric "$1" "$2")" -eq "$3" ]; }
answers_well() { [ "$(curl -sS -o /dev/null -w "%{http_code}" --max-time 2 "$1")" = 200 ]; }
ws=$ROOT/test/interop/ws.js
cd "$TMP" || exit 1

start server node "$ws" server
wait_line server 'port '
server=$(sed -n 's/^port //p' server.log)
start_backend a A
web=$PORT
want='echo true
frame 125 true
frame 126 true
frame 65535 true
frame 65536 true
frame 1048576 true
frame 16777216 true
pong are you there
closed by the server 4001 as you wish
closed by the client 1000'

# The same without anything between, so that the script itself is known to be fair.
run node "$ws" check "ws://127.0.0.1:$server/"
assert_eq "$want" "$OUT" "ws without lb $ERR"

start_lb chat --backend "127.0.0.1:$server" --health-type none
chat=$PORT
run node "$ws" check "ws://127.0.0.1:$chat/"
assert_eq "$want" "$OUT" "ws through lb $ERR"
assert_eq 2 "$(metric "$ADMIN" sdlab_lb_upgrades_total)" 'upgrades'
wait_for 'the tunnels to end' metric_is "$ADMIN" sdlab_lb_tunnels 0
stop chat

# What is not allowed is not passed on: ws sees an answer that is no 101.
start_lb none --backend "127.0.0.1:$server" --health-type none --upgrades other
run node "$ws" check "ws://127.0.0.1:$PORT/"
assert_contains "$ERR" 'Unexpected server response' 'ws through lb that allows none'
stop none

# Both on one lb: sockets on its first backend, keep-alive requests on both.
cat >lb.yaml <<END
port: 0
admin: 127.0.0.1:0
threads: 2
health: {type: none}
backends:
  - {address: "127.0.0.1:$server", name: chat}
END
start lb "$SDLAB" lb --config lb.yaml
PORT=$(port_of lb) ADMIN=$(admin_of lb)
mkfifo stop
start hold sh -c "exec node '$ws' hold 'ws://127.0.0.1:$PORT/' 50 <stop"
exec 5>stop
wait_line hold 'holding 50'
assert_eq 50 "$(metric "$ADMIN" sdlab_lb_tunnels)" 'tunnels'
# The backend of the sockets leaves, and one for requests comes: its sockets stay.
sed -i "s/.*name: chat.*/  - {address: \"127.0.0.1:$web\", name: web}/" lb.yaml
curl -sS --max-time 20 -X POST "http://$ADMIN/-/reload" >/dev/null || fail 'the first reload'
wait_for 'the new backend' answers_well "http://127.0.0.1:$PORT/"
start load "$SDLAB" load --conns 8 --requests 20000 --quiet --json load.json "http://127.0.0.1:$PORT/"
for i in 1 2 3 4 5 6 7 8 9 10; do
  curl -sS --max-time 20 -X POST "http://$ADMIN/-/reload" >/dev/null || fail "reload $i"
done
DEADLINE=$((DEADLINE * 3)) wait_exit load # twenty thousand requests
assert_eq 0 "$STATUS" 'exit status of the load'
assert_match "$(tr -d ' \n\t' <load.json)" '"requests":20000,.*"summary".*"errors":0,' 'requests that failed'
assert_eq 11 "$(metric "$ADMIN" sdlab_reloads_total 'result="ok"')" 'reloads'
assert_eq 50 "$(metric "$ADMIN" sdlab_lb_tunnels)" 'tunnels after the reloads'
echo stop >&5
wait_exit hold
assert_contains "$(cat hold.log)" '50 open, 0 closed, 0 failed, 50 echo' 'the fifty sockets'
wait_for 'the tunnels to end' metric_is "$ADMIN" sdlab_lb_tunnels 0
stop lb
stop a
stop_quietly server
