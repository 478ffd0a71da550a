#!/usr/bin/env bash
# PROXY headers as others write and read them: curl and HAProxy in front of lb, HAProxy and nginx behind it.

# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=../peers.sh
. "$(dirname "$0")/../peers.sh"
sdlab_test "$@"
need curl curl
need python3 python3
cd "$TMP" || exit 1

ask() { curl -sS --max-time 10 "$@"; }
hears() { # URL OPTION...: what the backend is told in X-Forwarded-For
  ask "$@" | sed -n 's/.*[Xx]-[Ff]orwarded-[Ff]or"*:[[:space:]]*"*\([^",]*\).*/\1/p' | tr -d '\r' | head -n 1
}

start_backend a A
backend=$PORT
start_lb lb --backend "127.0.0.1:$backend" --proxy-protocol require --proxy-from 127.0.0.1
lb=$PORT lb_admin=$ADMIN

# curl says that it is 127.0.0.1, whether it asks once or twice on a connection.
assert_eq 127.0.0.1 "$(hears "http://127.0.0.1:$lb/headers" --haproxy-protocol)" 'the client, by curl'
assert_eq '200 200 ' "$(ask --haproxy-protocol -o one -o two -w '%{http_code} ' "http://127.0.0.1:$lb/" "http://127.0.0.1:$lb/")" \
  'two requests behind one header'
if curl --help all | grep -q haproxy-clientip; then
  assert_eq 192.0.2.9 "$(hears "http://127.0.0.1:$lb/headers" --haproxy-clientip 192.0.2.9)" 'another client, by curl'
fi
# Without a header there is no answer.
run curl -sS --max-time 10 "http://127.0.0.1:$lb/"
[ "$STATUS" -ne 0 ] || fail 'curl without a header was answered'
wait_line lb 'PROXY header: it began with something else'
assert_eq 1 "$(metric "$lb_admin" sdlab_proxy_refused_total missing)" 'refused'
# The backend, which takes no headers, answers 400; one of ours that does, well.
assert_eq 400 "$(ask --haproxy-protocol -o /dev/null -w '%{http_code}' "http://127.0.0.1:$backend/")" 'a header nobody expects'
start_backend own B --proxy-protocol require --proxy-from 127.0.0.1
own=$PORT
assert_eq 'Response from Server-B' "$(ask --haproxy-protocol "http://127.0.0.1:$own/")" 'a header to a backend'
for version in v1 v2; do
  for mode in http tcp; do
    start_lb "out.$version.$mode" --mode "$mode" --backend "address=127.0.0.1:$own,send-proxy=$version"
    assert_eq 'Response from Server-B' "$(ask "http://127.0.0.1:$PORT/")" "$version from lb in $mode mode to a backend"
    stop "out.$version.$mode"
  done
done

# ---- TLS beside it: the header goes in the open, in front of the ClientHello ----
certs=$TMP/certs
"$SDLAB" tls selfsigned --name back.test --name 127.0.0.1 --out "$certs" >/dev/null || fail 'no certificate'
"$SDLAB" tls selfsigned --name reader --out "$TMP/reader" >/dev/null || fail 'no certificate'
tls_row="tls=true,tls-ca=$certs/ca.pem,tls-name=back.test"
front_tls=(--tls-cert "$certs/cert.pem" --tls-key "$certs/key.pem" --tls-client-cert optional --tls-client-ca "$TMP/reader/ca.pem")

# What another reader makes of a version 2 header, with all that is known of the client's TLS.
for mode in http tcp; do
  for row in "$tls_row" 'tls=false'; do
    start reader python3 "$ROOT/test/interop/pp_read.py"
    at=$(port_of reader) || exit 1
    start_lb known --mode "$mode" --health-type none "${front_tls[@]}" --answer-timeout 1s \
      --backend "address=127.0.0.1:$at,send-proxy=v2,$row"
    curl -sS -o /dev/null --max-time 20 --cacert "$certs/ca.pem" --cert "$TMP/reader/cert.pem" --key "$TMP/reader/key.pem" \
      --connect-to "back.test:443:127.0.0.1:$PORT" --interface 127.0.0.5 https://back.test/ 2>/dev/null
    wait_line reader 'next '
    said=$(cat "$TMP/reader.log")
    for want in 'command PROXY' 'from 127.0.0.5 ' "to 127.0.0.1 $PORT" 'authority back.test' 'ssl_client 7' 'ssl_verify 0' \
      'ssl_version TLSv1.3' 'ssl_cn reader' 'ssl_cipher TLS_' 'crc32c right'; do
      assert_contains "$said" "$want" "the header in $mode mode"
    done
    [ "$row" = tls=false ] || assert_contains "$said" 'next 16' 'what follows the header: a ClientHello'
    if [ "$mode" = http ]; then assert_contains "$said" 'alpn http/1.1'; else assert_lacks "$said" alpn; fi
    wait_exit reader
    stop known
  done
done

# One of ours that takes the header and then TLS, in front and behind.
start_backend tls_own T --proxy-protocol require --proxy-from 127.0.0.1 --tls-cert "$certs/cert.pem" --tls-key "$certs/key.pem"
tls_own=$PORT
for version in v1 v2; do
  for mode in http tcp; do
    start_lb "tls.$version.$mode" --mode "$mode" --backend "address=127.0.0.1:$tls_own,send-proxy=$version,$tls_row" \
      --health-interval 50ms --health-fall 1 --proxy-protocol require --proxy-from 127.0.0.1 "${front_tls[@]}"
    assert_eq 'Response from Server-T' "$(ask --no-alpn --haproxy-protocol --cacert "$certs/ca.pem" "https://127.0.0.1:$PORT/")" \
      "$version before TLS on both sides, in $mode mode"
    stop "tls.$version.$mode"
    log_has "tls.$version.$mode" Removed && fail "a check before TLS failed with $version in $mode mode"
  done
done
stop tls_own

# haproxy_front FILE PORT BACKENDPORT HOW: in TCP mode, so that only the header tells who the client is.
haproxy_front() {
  printf '%s\n' 'global' 'defaults' '  mode tcp' '  timeout connect 5s' '  timeout client 10s' '  timeout server 10s' \
    'frontend front' "  bind 127.0.0.1:$2 $5" '  default_backend pool' 'backend pool' "  server s 127.0.0.1:$3 $4" >"$1"
}

if baseline haproxy haproxy; then
  for how in send-proxy send-proxy-v2 'send-proxy-v2 proxy-v2-options crc32c,unique-id'; do
    for _ in 1 2 3; do
      port=$(free_port)
      haproxy_front front.cfg "$port" "$lb" "$how" ''
      start front haproxy -db -f front.cfg
      wait_peer front "$port" && break
    done
    # HAProxy is told by curl, from another address of this machine, and tells it on.
    assert_eq 127.0.0.7 "$(hears "http://127.0.0.1:$port/headers" --interface 127.0.0.7)" "the client, by haproxy with $how"
    stop_quietly front
  done
  # Behind lb: it takes the header, and says in TCP mode what it heard as a header to a lb again.
  for version in v1 v2; do
    for mode in http tcp; do
      for _ in 1 2 3; do
        port=$(free_port)
        haproxy_front behind.cfg "$port" "$lb" send-proxy accept-proxy
        start behind haproxy -db -f behind.cfg
        wait_peer behind "$port" && break
      done
      start_lb "to.$version.$mode" --mode "$mode" --backend "address=127.0.0.1:$port,send-proxy=$version"
      heard=$(hears "http://127.0.0.1:$PORT/headers" --interface 127.0.0.8)
      assert_eq 127.0.0.8 "$heard" "the client, by lb with $version in $mode mode and haproxy behind it"
      stop "to.$version.$mode"
      stop_quietly behind
    done
  done
  # It takes the header, then TLS, and says what it read of both. Its checks say LOCAL, and it is up.
  cat "$certs/cert.pem" "$certs/key.pem" >both.pem
  for _ in 1 2 3; do
    port=$(free_port)
    printf '%s\n' 'defaults' '  mode http' '  timeout connect 5s' '  timeout client 10s' '  timeout server 10s' \
      'frontend front' "  bind 127.0.0.1:$port accept-proxy ssl crt $TMP/both.pem" \
      '  http-request return status 200 content-type text/plain lf-string "%[src] %[dst_port] %[fc_pp_authority] %[ssl_fc]"' >tls.cfg
    start behind haproxy -db -f tls.cfg
    wait_peer behind "$port" && break
  done
  for version in v1 v2; do
    for mode in http tcp; do
      start_lb "ha.$version.$mode" --mode "$mode" --backend "address=127.0.0.1:$port,send-proxy=$version,$tls_row" \
        --health-interval 50ms --health-fall 1 --health-rise 1 --tls-cert "$certs/cert.pem" --tls-key "$certs/key.pem"
      name=back.test
      [ "$version" = v2 ] || name=''
      assert_eq "127.0.0.8 $PORT $name 1" "$(ask --no-alpn --interface 127.0.0.8 --cacert "$certs/ca.pem" \
        --connect-to "back.test:443:127.0.0.1:$PORT" https://back.test/)" "$version before TLS, by haproxy, from lb in $mode mode"
      stop "ha.$version.$mode"
      log_has "ha.$version.$mode" Removed && fail "haproxy failed a check before TLS with $version in $mode mode"
    done
  done
  stop_quietly behind
  # In front: header, then TLS, both to lb; the name comes from HAProxy's own handshake.
  for mode in http tcp; do
    start_lb "took.$mode" --mode "$mode" --proxy-protocol require --proxy-from 127.0.0.1 "${front_tls[@]}" --backend "127.0.0.1:$backend"
    for _ in 1 2 3; do
      port=$(free_port)
      haproxy_front front.cfg "$port" "$PORT" 'send-proxy-v2 ssl verify none sni str(back.test) check check-send-proxy inter 50ms' ''
      start front haproxy -db -f front.cfg
      wait_peer front "$port" && break
    done
    assert_eq 'Response from Server-A' "$(ask "http://127.0.0.1:$port/")" "header and TLS by haproxy, to lb in $mode mode"
    if [ "$mode" = http ]; then
      assert_eq 127.0.0.7 "$(hears "http://127.0.0.1:$port/headers" --interface 127.0.0.7)" 'the client, by haproxy before TLS'
    fi
    stop_quietly front
    stop "took.$mode"
  done
fi

if baseline nginx-light nginx; then
  # nginx complains of a header that it cannot read, and of a connection without one. Of one that ended before it said anything it
  # complains too: `""`; such is a check that was under way when its lb stopped.
  unread() { grep 'broken header' "$1" | grep -v 'broken header: ""'; }
  for _ in 1 2 3; do
    port=$(free_port)
    nginx_head nginx.conf "$TMP/nginx.d"
    printf '%s\n' "server { listen 127.0.0.1:$port proxy_protocol;" \
      "location / { return 200 '\$proxy_protocol_addr \$proxy_protocol_server_port'; } } }" >>nginx.conf
    start nginx nginx -p "$TMP/nginx.d" -c "$TMP/nginx.conf" -e "$TMP/nginx.d/error.log"
    wait_peer nginx "$port" && break
  done
  for version in v1 v2; do
    for mode in http tcp; do
      start_lb "nginx.$version.$mode" --mode "$mode" --backend "address=127.0.0.1:$port,send-proxy=$version" \
        --health-interval 50ms
      assert_eq "127.0.0.9 $PORT" "$(ask --interface 127.0.0.9 "http://127.0.0.1:$PORT/")" "$version in $mode mode to nginx"
      stop "nginx.$version.$mode"
    done
  done
  for _ in 1 2 3; do
    port=$(free_port)
    nginx_head tls.conf "$TMP/nginx.tls"
    printf '%s\n' "server { listen 127.0.0.1:$port proxy_protocol ssl; ssl_certificate $certs/cert.pem;" \
      "ssl_certificate_key $certs/key.pem;" \
      "location / { return 200 '\$proxy_protocol_addr \$proxy_protocol_server_port \$https'; } } }" >>tls.conf
    start nginx_tls nginx -p "$TMP/nginx.tls" -c "$TMP/tls.conf" -e "$TMP/nginx.tls/error.log"
    wait_peer nginx_tls "$port" && break
  done
  for version in v1 v2; do
    for mode in http tcp; do
      start_lb "ntls.$version.$mode" --mode "$mode" --backend "address=127.0.0.1:$port,send-proxy=$version,$tls_row" \
        --health-interval 50ms --health-fall 1
      assert_eq "127.0.0.9 $PORT on" "$(ask --interface 127.0.0.9 "http://127.0.0.1:$PORT/")" "$version before TLS in $mode mode to nginx"
      stop "ntls.$version.$mode"
      log_has "ntls.$version.$mode" Removed && fail "nginx failed a check before TLS with $version in $mode mode"
    done
  done
  assert_eq '' "$(unread "$TMP/nginx.tls/error.log")" 'what nginx says of the headers before TLS'
  stop_quietly nginx_tls
  assert_eq '' "$(unread "$TMP/nginx.d/error.log")" 'what nginx says of the headers'
  stop_quietly nginx
fi
stop lb
stop own
stop a
