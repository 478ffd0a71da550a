#!/usr/bin/env bash
# TLS that goes through lb in TCP mode, to the pool of the name that the client asks for: curl and openssl s_client see the
# certificates of the backends themselves. HAProxy (req.ssl_sni) goes through the same.
# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=../peers.sh
. "$(dirname "$0")/../peers.sh"
sdlab_test "$@"
need curl curl
need openssl openssl
cd "$TMP" || exit 1

declare -A at
for name in api.test x.web.test rest.test; do
  "$SDLAB" tls selfsigned --name "$name" --out "$TMP/$name" >/dev/null || fail 'no certificate'
  start_backend "$name" "$name" --tls-cert "$name/cert.pem" --tls-key "$name/key.pem"
  at[$name]=$PORT
done

# ask PORT NAME [PATH [OPTION...]]: checks the certificate of this very backend
ask() {
  local port=$1 name=$2 path=${3:-/}
  shift 2
  [ $# -eq 0 ] || shift
  curl -sS --max-time 10 --cacert "$name/ca.pem" --resolve "$name:$port:127.0.0.1" "$@" "https://$name:$port$path"
}
s_client() { # PORT OPTION...
  local port=$1
  shift
  timeout 10 openssl s_client -connect "127.0.0.1:$port" "$@" </dev/null 2>&1
}

goes_through() { # WHOSE PORT
  local name
  for name in api.test x.web.test; do
    assert_eq "Response from Server-$name" "$(ask "$2" "$name")" "$1: $name"
    assert_eq "Response from Server-$name" "$(ask "$2" "$name" / --tls-max 1.2)" "$1: $name by TLS 1.2"
    assert_contains "$(s_client "$2" -servername "$name")" "subject=CN = $name" "$1: certificate of $name"
  done
  assert_contains "$(s_client "$2" -servername API.test)" 'subject=CN = api.test' "$1: a name in capitals"
  assert_contains "$(s_client "$2" -servername y.x.web.test)" 'subject=CN = x.web.test' "$1: a name further down"
  for name in web.test api.test.evil none; do
    assert_contains "$(s_client "$2" -servername "$name")" 'subject=CN = rest.test' "$1: $name"
  done
  assert_contains "$(s_client "$2" -noservername)" 'subject=CN = rest.test' "$1: no name"
  assert_contains "$(s_client "$2" -servername api.test -alpn h2,http/1.1)" 'ALPN protocol: http/1.1' "$1: ALPN with the backend"
  assert_contains "$(s_client "$2" -servername api.test -tls1_2 -reconnect)" 'Reused, TLSv1.2' "$1: sessions with the backend"
  assert_eq 4194304 "$(ask "$2" x.web.test /bytes/4MiB | wc -c)" "$1: bytes"
}

pools=(
  --backend "address=127.0.0.1:${at[api.test]},pool=api" --backend "address=127.0.0.1:${at[x.web.test]},pool=web" \
  --backend "127.0.0.1:${at[rest.test]}" --route 'host=api.test,pool=api' --route 'host=*.web.test,pool=web'
)
start_lb lb --mode tcp "${pools[@]}"
lb=$PORT
goes_through lb "$lb"
# A hello of several records, as those with many protocols are where records are small.
many=$(seq -s , -f 'protocol-%03g' 60)
assert_contains "$(s_client "$lb" -servername api.test -max_send_frag 512 -alpn "$many,http/1.1")" 'subject=CN = api.test' \
  'a hello in several records'
# Other protocols go where all names go, and are refused there.
assert_contains "$(curl -sS --max-time 20 "http://127.0.0.1:$lb/" 2>&1)" 'curl:' 'plain HTTP'
wait_line rest.test 'TLS: a plain HTTP request came'
assert_eq 1 "$(metric "$ADMIN" sdlab_lb_hellos_total not_tls)" 'plain HTTP, counted'
stop lb
# Who says nothing gets there too, once the time is over. Only here is it short: those who say something may be slow.
start_lb lb --mode tcp --head-timeout 500ms "${pools[@]}"
lb=$PORT
before=$(metric "$ADMIN" sdlab_lb_hellos_total silent)
exec 3<>"/dev/tcp/127.0.0.1/$lb"
wait_for 'the silent client' metric_at_least "$ADMIN" sdlab_lb_hellos_total $((before + 1)) silent
exec 3>&-
stop lb

# Without a pool for all names the others are closed, and told.
start_lb strict --mode tcp --backend "address=127.0.0.1:${at[api.test]},pool=api" --route 'host=api.test,pool=api'
assert_eq 'Response from Server-api.test' "$(ask "$PORT" api.test)" 'the one that is known'
assert_lacks "$(s_client "$PORT" -servername other.test)" 'subject=' 'a name without a route'
wait_line strict 'there is no route for other.test'
assert_eq 1 "$(metric "$ADMIN" sdlab_lb_hellos_unrouted_total)" 'closed'
run "$SDLAB" lb explain --server "$ADMIN" -H 'Host: api.test' /
assert_contains "$OUT" 'pool api' 'explain knows the name'
run "$SDLAB" lb explain --server "$ADMIN" -H 'Host: other.test' /
assert_contains "$OUT" 'the connection is closed: no route' 'explain of a name without a route'
stop strict

if baseline haproxy haproxy; then
  for _ in 1 2 3; do
    port=$(free_port)
    printf '%s\n' 'defaults' '  mode tcp' '  timeout connect 5s' '  timeout client 10s' '  timeout server 10s' \
      'frontend front' "  bind 127.0.0.1:$port" '  tcp-request inspect-delay 5s' \
      '  tcp-request content accept if { req.ssl_hello_type 1 }' '  use_backend api if { req.ssl_sni -i api.test }' \
      '  use_backend web if { req.ssl_sni -i -m end .web.test }' '  default_backend rest' \
      'backend api' "  server s 127.0.0.1:${at[api.test]}" 'backend web' "  server s 127.0.0.1:${at[x.web.test]}" \
      'backend rest' "  server s 127.0.0.1:${at[rest.test]}" >front.cfg
    start front haproxy -db -f front.cfg
    wait_peer front "$port" && break
  done
  goes_through haproxy "$port"
  stop_quietly front
fi
for name in "${!at[@]}"; do stop "$name"; done
