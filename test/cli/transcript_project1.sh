#!/usr/bin/env bash
# A load balancer in front of three backends, typed as a person would, through a folder of links; the lines it must say.

# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
sdlab_test "$@"

"$SDLAB" --install -s "$TMP/farm" >/dev/null || fail 'sdlab --install -s'
cd "$TMP/farm" || exit 1
for link in backend loadbalancer; do [ -L "$link" ] || fail "no link $link"; done
a=$(free_port) b=$(free_port) c=$(free_port) p=$(free_port)

cat >lb.yaml <<END
algorithm: round-robin
health: {interval: 5s}
backends:
  - {name: Server-A, address: 127.0.0.1:$a}
  - {name: Server-B, address: 127.0.0.1:$b}
  - {name: Server-C, address: 127.0.0.1:$c}
END

ask() { # TIMES: who answers
  local i
  for ((i = 0; i < $1; i++)); do curl -sS --max-time 20 "http://127.0.0.1:$p/" || fail 'curl'; done
}

answer() { printf 'Response from Server-%s\n' "$@"; }

start a ./backend --port "$a" --name "Server-A"
start b ./backend --port "$b" --name "Server-B"
start c ./backend --port "$c" --name "Server-C"
wait_line a "[BACKEND] Listening on :$a"
wait_line b "[BACKEND] Listening on :$b"
wait_line c "[BACKEND] Listening on :$c"

# The lines of the start, with the interval a person would use.
start lb ./loadbalancer --config lb.yaml --port "$p"
wait_line lb "[LB] Loaded 3 backends: $a, $b, $c"
wait_line lb '[LB] Health checker started (interval: 5s)'
wait_line lb "[LB] Listening on :$p"
first=$(grep -nF '[LB] Loaded' "$TMP/lb.log" | cut -d: -f1)
last=$(grep -nF '[LB] Listening on' "$TMP/lb.log" | cut -d: -f1)
[ "$first" -lt "$last" ] || fail 'it listened before it had loaded its backends'
assert_eq "$(answer A B C A B C)" "$(ask 6)" 'six requests'
stop lb

# Again with a short interval, so that the failure is seen soon.
sed -i 's/interval: 5s/interval: 100ms, timeout: 1s/' lb.yaml
start lb ./loadbalancer --config lb.yaml --port "$p"
wait_line lb '[LB] Health checker started (interval: 100ms)'
wait_line lb "[LB] Listening on :$p"
assert_eq "$(answer A B C A B C)" "$(ask 6)" 'six requests'
kill "${PID[b]}"
wait_line lb "[LB] Backend $b failed health check (3 consecutive failures)"
wait_line lb "[LB] Removed $b from pool"
four=$(ask 4)
# Whose turn it is depends on how far the ring had come; the order A C A C does not.
case $four in
"$(answer A C A C)" | "$(answer C A C A)") ;;
*) fail "after Server-B is gone: expected A C A C, found: $four" ;;
esac

# Back it comes by itself.
wait_exit b
start b ./backend --port "$b" --name "Server-B"
wait_line b "[BACKEND] Listening on :$b"
b_is_back() { [ "$(ask 3 | sort -u | grep -c '')" = 3 ]; }
wait_for 'Server-B to be back in the pool' b_is_back

# All gone: a clear answer, and an exit in order.
for name in a b c; do kill "${PID[$name]}"; done
for name in a b c; do
  wait_exit "$name"
  assert_eq 0 "$STATUS" "exit status of backend $name after TERM"
done
unavailable() { [ "$(curl -sS -o /dev/null -w '%{http_code}' --max-time 20 "http://127.0.0.1:$p/")" = 503 ]; }
wait_for '503 when no backend is left' unavailable
assert_match "$(curl -sS -o /dev/null -D - --max-time 20 "http://127.0.0.1:$p/")" '^[Rr]etry-[Aa]fter: [0-9]+' '503'
stop lb
