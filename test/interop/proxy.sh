#!/usr/bin/env bash
# PROXY headers as others write and read them: curl and HAProxy in front of lb, HAProxy and nginx behind it.

# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=../peers.sh
. "$(dirname "$0")/../peers.sh"
sdlab_test "$@"
need curl curl
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

# haproxy_front FILE PORT BACKENDPORT HOW: in TCP mode, so that only the header tells who the client is.
haproxy_front() {
  printf '%s\n' 'global' 'defaults' '  mode tcp' '  timeout connect 5s' '  timeout client 10s' '  timeout server 10s' \
    'frontend front' "  bind 127.0.0.1:$2 $5" '  default_backend pool' 'backend pool' "  server s 127.0.0.1:$3 $4" >"$1"
}

if baseline haproxy haproxy; then
  for how in send-proxy send-proxy-v2 'send-proxy-v2 proxy-v2-options crc32c,unique-id'; do
    for try in 1 2 3; do
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
      for try in 1 2 3; do
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
fi

if baseline nginx-light nginx; then
  for try in 1 2 3; do
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
  # It complains of a header that it cannot read, and of a check without one.
  assert_lacks "$(cat "$TMP/nginx.d/error.log")" 'broken header' 'what nginx says of the headers'
  stop_quietly nginx
fi
stop lb
stop own
stop a
