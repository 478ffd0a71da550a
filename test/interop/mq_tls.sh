#!/usr/bin/env bash
# AMQPS with a user and a password (PLAIN): pika and our client; who does not trust the certificate goes, and who speaks without TLS is told.
# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
sdlab_test "$@"
/usr/bin/python3 -c 'import pika' 2>/dev/null || skip python3-pika
cd "$TMP" || exit 1
"$SDLAB" tls selfsigned --name 127.0.0.1 --out certs >/dev/null || fail 'tls selfsigned'
"$SDLAB" tls selfsigned --name 127.0.0.1 --out other >/dev/null || fail 'tls selfsigned'
start mq "$SDLAB" mq --port 0 --http off --data-dir data --tls-cert certs/cert.pem --tls-key certs/key.pem
wait_line mq ' (TLS)'
port=$(port_of mq) || exit 1

run /usr/bin/python3 "$ROOT/test/interop/mq_tls.py" "$port" certs/ca.pem other/ca.pem
assert_eq 'over TLS 300000
another CA SSLCertVerificationError CERTIFICATE_VERIFY_FAILED
another user ProbableAuthenticationError ACCESS_REFUSED
without TLS IncompatibleProtocolError ' "$OUT" "pika over TLS ($ERR)"

url=amqps://guest:guest@127.0.0.1:$port
m() { # PATTERN ARGUMENT...
  local pattern=$1
  shift
  run "$SDLAB" mq "$@"
  assert_eq 1 "$STATUS" "exit status of mq $*: $OUT"
  assert_match "$ERR" "$pattern" "mq $*"
  assert_lines 1 "$ERR" "mq $*"
}
"$SDLAB" mq publish safe hello -q --server "$url" --ca certs/ca.pem || fail 'publish over TLS'
assert_eq 'Received: hello' "$("$SDLAB" mq consume safe --count 1 --server "$url" --ca certs/ca.pem)" 'consume over TLS'
m 'certificate is not trusted' publish safe x --server "$url" --ca other/ca.pem
m 'certificate is not trusted' publish safe x --server "$url"
m 'ACCESS_REFUSED' publish safe x --server "amqps://guest:wrong@127.0.0.1:$port" --ca certs/ca.pem
m 'before it said anything; does it want TLS' publish safe x --server "amqp://127.0.0.1:$port"
wait_line mq 'TLS: what came is not TLS, client 127.0.0.1'
wait_line mq 'TLS: the peer does not trust our certificate'
run "$SDLAB" load "$url" -q -n 50 -c 2 --ca certs/ca.pem --measure delivery
assert_match "$OUT" '50 answered, 0 failed' 'load over TLS'
run "$SDLAB" load "$url" -q -n 2 -c 1 --ca other/ca.pem
assert_match "$OUT" '^  tls +2 ' 'load with another CA'
stop mq
