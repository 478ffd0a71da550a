#!/usr/bin/env bash
# A stack from one file: in one process and in one process each; status, restart after a crash, ordered stop.

# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
sdlab_test "$@"
cd "$TMP" || exit 1

a=$(free_port) b=$(free_port) p=$(free_port)
cat >stack.yaml <<END
services:
  web-1: {applet: backend, port: $a, name: Server-A}
  web-2: {applet: backend, port: $b, name: Server-B}
  front:
    applet: lb
    port: $p
    health: {interval: 100ms, timeout: 1s}
    backends: [{address: web-1}, {address: web-2}]
END
url=http://127.0.0.1:$p/

who() { # TIMES: who answers, each once
  local i
  for ((i = 0; i < $1; i++)); do curl -sS --max-time 20 "$url" || fail 'curl'; done | sort -u
}
both=$'Response from Server-A\nResponse from Server-B'
both_answer() { [ "$(who 4 2>/dev/null)" = "$both" ]; }

status_shows_all() {
  run "$SDLAB" up status stack.yaml
  assert_eq 0 "$STATUS" "exit status of up status: $ERR"
  for name in web-1 web-2 front; do assert_contains "$OUT" "$name" 'up status'; done
}

run "$SDLAB" up stack.yaml --check-config
assert_eq 0 "$STATUS" "exit status of --check-config: $ERR"

# One process.
start up "$SDLAB" up stack.yaml
wait_for 'the stack to answer' answers "$url"
wait_for 'both backends to answer through lb' both_answer
assert_eq '' "$(descendants "${PID[up]}")" 'processes of a stack in one process'
assert_eq 'Response from Server-A' "$(curl -sS --max-time 20 "http://127.0.0.1:$a/")" 'web-1 on its own port'
status_shows_all
run "$SDLAB" up stop stack.yaml
assert_eq 0 "$STATUS" "exit status of up stop: $ERR"
wait_exit up
assert_eq 0 "$STATUS" 'exit status of a stack after up stop'
run "$SDLAB" up status stack.yaml
assert_eq 1 "$STATUS" 'exit status of up status when nothing runs'
run "$SDLAB" up stop stack.yaml
assert_eq 1 "$STATUS" 'exit status of up stop when nothing runs'

# The same, ended as Ctrl-C ends it: what stands in front stops first.
start up "$SDLAB" up stack.yaml
wait_for 'the stack to answer' answers "$url"
stop up INT
accepts "$p" && fail 'the stack listens after its end'

# Only a part of it.
start up "$SDLAB" up stack.yaml --only web-1
wait_for 'web-1 to answer' answers "http://127.0.0.1:$a/"
accepts "$p" && fail '--only web-1 started front'
stop up

# One process each.
start up "$SDLAB" up stack.yaml --isolate
wait_for 'the stack to answer' answers "$url"
wait_for 'both backends to answer through lb' both_answer
status_shows_all
first=$(listener "$a" "${PID[up]}") || fail 'nobody of the stack listens for web-1'
[ "$first" != "${PID[up]}" ] || fail '--isolate runs web-1 in the process of up'
children=$(descendants "${PID[up]}" | wc -l)
[ "$children" -ge 3 ] || fail "--isolate runs $children processes for three services"

kill -s KILL "$first"
restarted() {
  local now
  now=$(listener "$a" "${PID[up]}") && [ "$now" != "$first" ]
}
# While it is away nobody notices.
for ((i = 0; i < 20; i++)); do
  assert_match "$(curl -sS --max-time 20 "$url")" '^Response from Server-[AB]$' 'a request after the kill'
done
wait_for 'web-1 to be started again' restarted
wait_for 'both backends to answer through lb again' both_answer
status_shows_all

run "$SDLAB" up stop stack.yaml
assert_eq 0 "$STATUS" "exit status of up stop: $ERR"
wait_exit up
assert_eq 0 "$STATUS" 'exit status of an isolated stack after up stop'
for port in "$a" "$b" "$p"; do
  accepts "$port" && fail "somebody listens on $port after the stack has ended"
done

# More of one service.
cat >scaled.yaml <<END
services:
  web: {applet: backend, name: Server-A}
  front: {applet: lb, port: $p, backends: [{address: web}]}
END
start up "$SDLAB" up scaled.yaml --scale web=3
wait_for 'the scaled stack to answer' answers "$url"
wait_line up 'Loaded 3 backends'
assert_match "$(who 3)" '^Response from ' 'the scaled stack'
stop up INT
