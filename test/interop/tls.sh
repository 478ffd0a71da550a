#!/usr/bin/env bash
# TLS as other programs see it: curl and openssl s_client against backend, and lb before a backend that speaks TLS.
# shellcheck source=test/lib.sh
. "$(dirname "$0")/../lib.sh"
sdlab_test "$@"
need curl curl
need openssl openssl

certs=$TMP/certs
"$SDLAB" tls selfsigned --name lb.test --name 127.0.0.1 --out "$certs" >/dev/null || fail 'no certificate'
"$SDLAB" tls selfsigned --name other.test --out "$TMP/other" >/dev/null || fail 'no certificate'
"$SDLAB" tls selfsigned --name reader --out "$TMP/reader" >/dev/null || fail 'no certificate'

# ask PORT PATH [OPTION...]: curl, with the CA
ask() {
  local port=$1 path=$2
  shift 2
  curl -sS --max-time 10 --cacert "$certs/ca.pem" "$@" "https://127.0.0.1:$port$path"
}
# s_client PORT [OPTION...]: what openssl says of a connection
s_client() {
  local port=$1
  shift
  timeout 10 openssl s_client -connect "127.0.0.1:$port" -CAfile "$certs/ca.pem" "$@" </dev/null 2>&1
}

start_backend web A --admin 127.0.0.1:0 --tls-cert "$certs/cert.pem,$TMP/other/cert.pem" \
  --tls-key "$certs/key.pem,$TMP/other/key.pem"
web=$PORT
admin=$(admin_of web) || exit 1
assert_eq 'Response from Server-A' "$(ask "$web" /)" 'answer'
assert_eq 1048576 "$(ask "$web" /bytes/1MiB | wc -c)" 'bytes'

# ---- versions, ciphers, ALPN, SNI ----
for version in 1.2 1.3; do
  assert_contains "$(ask "$web" / --tlsv$version --tls-max $version)" Server-A "TLS $version"
done
for version in 1.0 1.1; do
  run curl -sS -k --ciphers DEFAULT@SECLEVEL=0 --tlsv1.0 --tls-max $version "https://127.0.0.1:$web/"
  assert_eq 35 "$STATUS" "curl with TLS $version"
done
wait_line web 'TLS: the peer speaks only versions that are not allowed here'
for cipher in AES128-SHA AES128-GCM-SHA256 ECDHE-ECDSA-AES128-SHA; do
  assert_contains "$(s_client "$web" -tls1_2 -cipher "$cipher")" 'handshake failure' "$cipher"
done
assert_contains "$(s_client "$web" -alpn h2,http/1.1)" 'ALPN protocol: http/1.1' 'ALPN'
assert_contains "$(s_client "$web" -alpn h2)" 'no application protocol' 'ALPN without one in common'
assert_contains "$(s_client "$web" -servername other.test)" 'subject=CN = other.test' 'SNI'
assert_contains "$(s_client "$web" -servername nobody.test)" 'subject=CN = lb.test' 'SNI of nobody'
assert_contains "$(s_client "$web" -status)" 'Verify return code: 0 (ok)' 'the chain'
assert_contains "$(curl -sS "http://127.0.0.1:$web/" 2>&1)" 'curl:' 'plain HTTP'
wait_line web 'TLS: a plain HTTP request came'

# ---- sessions ----
assert_contains "$(s_client "$web" -tls1_2 -reconnect)" 'Reused, TLSv1.2' 'resumption of 1.2'
before=$(metric "$admin" sdlab_tls_handshakes_total 'resumed')
assert_match "$("$SDLAB" tls show "127.0.0.1:$web" --ca "$certs/ca.pem")" '^resumed +yes' 'resumption of 1.3'
assert_eq "$((before + 1))" "$(metric "$admin" sdlab_tls_handshakes_total 'resumed')" 'resumed handshakes'

# ---- lb before it, both sides TLS ----
start_lb front --tls-cert "$certs/cert.pem" --tls-key "$certs/key.pem" --tls-client-cert required \
  --tls-client-ca "$TMP/reader/ca.pem" --health-interval 50ms --health-fall 1 \
  --backend "address=127.0.0.1:$web,tls=true,tls-ca=$certs/ca.pem,tls-name=lb.test"
front=$PORT
reader=(--cert "$TMP/reader/cert.pem" --key "$TMP/reader/key.pem")
assert_contains "$(ask "$front" /headers "${reader[@]}")" '"X-Forwarded-Proto":	"https"' 'what the backend heard'
run curl -sS --cacert "$certs/ca.pem" "https://127.0.0.1:$front/"
assert_eq 56 "$STATUS" 'curl without a certificate'
wait_line front 'TLS: the client sent no certificate'
run curl -sS --cacert "$certs/ca.pem" --cert "$TMP/other/cert.pem" --key "$TMP/other/key.pem" "https://127.0.0.1:$front/"
assert_eq 56 "$STATUS" 'curl with a certificate of another CA'
wait_line front 'TLS: client certificate is not trusted'
run "$SDLAB" load "https://127.0.0.1:$front/" --ca "$certs/ca.pem" "${reader[@]}" --conns 4 --requests 200 --quiet
assert_eq 0 "$STATUS" 'load'
assert_contains "$OUT" '200 answered, 0 failed' 'load'

# ---- one connection too many is closed before a handshake ----
start_lb one --backend "address=127.0.0.1:$web,tls=true,tls-ca=$certs/ca.pem,tls-name=lb.test" --tls-cert "$certs/cert.pem" \
  --tls-key "$certs/key.pem" --max-connections-per-client 1
assert_eq 200 "$(ask "$PORT" / -o /dev/null -w '%{http_code}')" 'the only connection of a client'
exec 4<>"/dev/tcp/127.0.0.1/$PORT"
held() { [ "$(metric "$ADMIN" sdlab_http_connections)" -eq 1 ] && [ "$(metric "$ADMIN" sdlab_http_connections_total)" -eq 2 ]; }
wait_for 'the first connection' held
run curl -sS --cacert "$certs/ca.pem" "https://127.0.0.1:$PORT/"
assert_match "$STATUS" "^(7|35)\$" "curl with one connection too many ($ERR)"
assert_eq 1 "$(metric "$ADMIN" sdlab_client_limit_refused_total)" 'refused'
assert_eq 1 "$(metric "$ADMIN" sdlab_tls_handshakes_total side=\"client\")" 'handshakes'
exec 4>&-
stop one

# ---- TCP mode: TLS ends here, before a plain backend and before one of TLS ----
start_backend plain P
plain=$PORT
for behind in "127.0.0.1:$plain" "address=127.0.0.1:$web,tls=true,tls-ca=$certs/ca.pem,tls-name=lb.test"; do
  start_lb off --mode tcp --tls-cert "$certs/cert.pem" --tls-key "$certs/key.pem" --backend "$behind"
  assert_match "$(ask "$PORT" / --http1.1 --no-alpn)" 'Response from Server-[AP]' 'TLS taken off'
  assert_eq 1048576 "$(ask "$PORT" /bytes/1MiB --no-alpn | wc -c)" 'bytes, TLS taken off'
  assert_contains "$(s_client "$PORT" -alpn h2)" 'No ALPN negotiated' 'ALPN in TCP mode'
  # It waits for the end, which the backend says first: close_notify.
  answer=$(printf 'GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n' |
    timeout 10 openssl s_client -quiet -connect "127.0.0.1:$PORT" -CAfile "$certs/ca.pem" 2>"$TMP/s_client.err")
  assert_eq 0 "$?" 'exit status of s_client'
  assert_contains "$answer" 'Response from Server-' 's_client, TLS taken off'
  assert_lacks "$(cat "$TMP/s_client.err")" 'unexpected eof' 'the end, TLS taken off'
  run curl -sS --max-time 20 "http://127.0.0.1:$PORT/"
  [ "$STATUS" -ne 0 ] || fail 'plain HTTP was answered where TLS is taken off'
  run "$SDLAB" load "https://127.0.0.1:$PORT/" --ca "$certs/ca.pem" --conns 4 --requests 200 --quiet
  assert_contains "$OUT" '200 answered, 0 failed' 'load, TLS taken off'
  assert_eq 0 "$(metric "$ADMIN" sdlab_tls_truncated_total)" 'connections that were cut'
  stop off
done
stop plain

# ---- TCP mode: TLS passes through ----
start_lb through --mode tcp --backend "127.0.0.1:$web"
assert_eq 'Response from Server-A' "$(ask "$PORT" /)" 'TLS through lb'
stop through

start_lb strict --health-interval 50ms --health-fall 1 \
  --backend "address=127.0.0.1:$web,tls=true,tls-ca=$certs/ca.pem,tls-name=wrong.test"
wait_line strict 'TLS: certificate is not for wrong.test (CN=lb.test)'
wait_line strict 'Removed'
assert_eq 503 "$(curl -s -o /dev/null -w '%{http_code}' "http://127.0.0.1:$PORT/")" 'a backend with a wrong certificate'

# ---- reload: another certificate without a restart; a bad one changes nothing ----
fingerprint() { s_client "$1" | openssl x509 -noout -fingerprint; }
old=$(fingerprint "$web")
cp "$TMP/other/key.pem" "$certs/key.pem"
kill -s HUP "${PID[web]}"
wait_line web 'Reload failed, the old configuration stays'
log_has web 'does not fit the certificate' || fail 'the log does not say why'
assert_eq "$old" "$(fingerprint "$web")" 'certificate after a reload that failed'
cp "$TMP/other/cert.pem" "$certs/cert.pem"
kill -s HUP "${PID[web]}"
wait_line web 'Reloaded'
changed() { [ "$(fingerprint "$web")" != "$old" ]; }
wait_for 'the new certificate' changed
stop strict
stop front
stop web
