#!/usr/bin/env bash
# A session that stays, as curl keeps it: over TLS the cookie is Secure, and it outlives a restart with the same secret.

# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
sdlab_test "$@"

run "$SDLAB" tls selfsigned --name localhost --out "$TMP/certs"
assert_eq 0 "$STATUS" "selfsigned: $ERR"
echo 'a secret of this test, long enough' >"$TMP/secret"

start_backend a A
one=$PORT
start_backend b B
two=$PORT
options=(--backend "address=127.0.0.1:$one,name=web-1" --backend "address=127.0.0.1:$two,name=web-2"
  --sticky-cookie lb --sticky-secret-file "$TMP/secret")

start_lb plain "${options[@]}"
head=$(curl -sS -c "$TMP/jar" -D - -o "$TMP/first" "http://127.0.0.1:$PORT/") || fail 'no answer'
assert_match "$head" '^Set-Cookie: lb=[0-9a-f]{16}\.[0-9a-f]{16}; Path=/; HttpOnly; SameSite=Lax.?$' 'the cookie'
stop plain
start_lb again "${options[@]}"
for _ in 1 2 3; do
  curl -sS -b "$TMP/jar" -o "$TMP/next" "http://127.0.0.1:$PORT/" || fail 'no answer'
  assert_same "$TMP/first" "$TMP/next" 'who answers after a restart'
done

start_lb tls "${options[@]}" --tls-cert "$TMP/certs/cert.pem" --tls-key "$TMP/certs/key.pem"
head=$(curl -sS --cacert "$TMP/certs/ca.pem" --connect-to "localhost:443:127.0.0.1:$PORT" -D - -o /dev/null https://localhost/) || fail 'no answer over TLS'
assert_match "$head" '^Set-Cookie: lb=.*; HttpOnly; SameSite=Lax; Secure.?$' 'the cookie over TLS'
