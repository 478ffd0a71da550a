#!/usr/bin/env bash
# curl through lb: keep-alive, HEAD, uploads of every kind, HTTP/1.0, large answers. Then the same through HAProxy and
# nginx where these are installed, so that the script itself is known to be fair.

# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=../peers.sh
. "$(dirname "$0")/../peers.sh"
sdlab_test "$@"
need curl curl
cd "$TMP" || exit 1

ask() { curl -sS --max-time 20 "$@"; }

same_as_direct() { # PATH
  ask -o direct "$direct$1" || fail "GET $1 from the backend"
  ask -o through "$url$1" || fail "GET $1 through $who"
  assert_same direct through "GET $1 through $who"
}

head -c 1048576 /dev/urandom >one_mib
head -c 5000000 /dev/urandom >five_mb
printf 'name=value' >small

# check WHO PORT [CHUNKED]: all that must hold for whatever listens there; CHUNKED is the file of the chunked upload.
check() {
  who=$1 url=http://127.0.0.1:$2 chunked=${3-five_mb}
  assert_eq 'Response from Server-A' "$(ask "$url/")" "GET through $who"

  # One connection for several requests.
  assert_eq '1 0 0 ' "$(ask -o /dev/null -o /dev/null -o /dev/null -w '%{num_connects} ' "$url/" "$url/health" "$url/")" \
    "connections that three requests needed through $who"

  # HEAD: the head of GET and nothing behind it; the connection stays good.
  assert_match "$(ask -I "$url/bytes/1KiB" | tr -d '\r')" '^[Cc]ontent-[Ll]ength: 1024$' "HEAD through $who"
  assert_eq '200 0 1 200 23 0 ' "$(ask -I -o /dev/null -w '%{http_code} %{size_download} %{num_connects} ' "$url/" \
    --next -sS -o /dev/null -w '%{http_code} %{size_download} %{num_connects} ' "$url/")" "GET after HEAD through $who"

  # Bodies up: with a length, with Expect, chunked; small and large; each comes back as it was.
  ask --data-binary @small -o back "$url/echo" || fail "POST through $who"
  assert_same small back "POST through $who"
  ask --data-binary @one_mib -H 'Expect: 100-continue' -D head.txt -o back "$url/echo" || fail "100-continue through $who"
  assert_same one_mib back "POST with 100-continue through $who"
  assert_match "$(tr -d '\r' <head.txt)" '^HTTP/1.1 100' "first answer to 100-continue through $who"
  ask --data-binary @one_mib -H 'Expect:' -o back "$url/echo" || fail "POST of 1 MiB through $who"
  assert_same one_mib back "POST of 1 MiB through $who"
  ask -X POST -T - -o back "$url/echo" <"$chunked" || fail "chunked upload through $who"
  assert_same "$chunked" back "chunked upload through $who"
  ask --data-binary @small -H 'Transfer-Encoding: chunked' -o back "$url/echo" || fail "small chunked upload through $who"
  assert_same small back "small chunked upload through $who"
  ask -X PUT --data-binary '' -o back -w '%{http_code}' "$url/echo" >code.txt || fail "empty PUT through $who"
  assert_eq 200 "$(cat code.txt)" "empty PUT through $who"

  # HTTP/1.0: no chunks in the answer, and an end.
  assert_eq 'Response from Server-A' "$(ask -0 "$url/")" "HTTP/1.0 through $who"
  ask -0 -o through "$url/bytes/1MiB" || fail "HTTP/1.0, 1 MiB through $who"
  assert_eq 1048576 "$(wc -c <through | tr -d ' ')" "HTTP/1.0, 1 MiB through $who"

  # Answers of every size come as they are.
  same_as_direct /bytes/1
  same_as_direct /bytes/64KiB
  same_as_direct /bytes/16MiB

  # What the backend says is what the client hears.
  for status in 201 204 304 404 500 503; do
    assert_eq "$status" "$(ask -o /dev/null -w '%{http_code}' "$url/status/$status")" "status through $who"
  done

  # Eight at once.
  for i in 1 2 3 4 5 6 7 8; do
    ask -o "part.$i" "$url/bytes/256KiB" &
    parts[i]=$!
  done
  for i in 1 2 3 4 5 6 7 8; do
    wait "${parts[i]}" || fail "one of eight downloads through $who"
    assert_eq 262144 "$(wc -c <"part.$i" | tr -d ' ')" "one of eight downloads through $who"
  done

}

# What a proxy tells the backend about the client.
check_forwarded() {
  assert_match "$(ask "$url/headers")" '[Xx]-[Ff]orwarded-[Ff]or"?:[[:space:]]*"?127\.0\.0\.1' "what the backend hears through $who"
}

start_backend a A
direct=http://127.0.0.1:$PORT
backend_port=$PORT
check 'the backend itself' "$backend_port"

start_lb lb --backend "127.0.0.1:$backend_port"
check lb "$PORT"
check_forwarded
assert_match "$(ask "$url/headers")" '[Vv]ia"?:[[:space:]]*"?1\.1 ' 'what the backend hears through lb'
# Hop-by-hop fields stay on their hop.
heard=$(ask -H 'Connection: X-Private' -H 'X-Private: 1' -H 'X-Public: 2' "$url/headers")
assert_lacks "$heard" 'rivate' 'what the backend hears through lb'
assert_match "$heard" '[Xx]-[Pp]ublic' 'what the backend hears through lb'
# What is no HTTP is refused, and the connection closed.
printf 'GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n' >smuggle
assert_match "$(exec 3<>"/dev/tcp/127.0.0.1/$PORT" && cat smuggle >&3 && timeout 5 cat <&3)" '^HTTP/1\.1 400 ' \
  'Content-Length with Transfer-Encoding'
# A TCP balancer passes the same bytes.
start_lb tcp --mode tcp --backend "127.0.0.1:$backend_port"
check 'lb in TCP mode' "$PORT"

if baseline haproxy haproxy; then
  start_haproxy haproxy "$backend_port"
  check haproxy "$PORT"
  check_forwarded
fi
if baseline nginx-light nginx; then
  start_nginx nginx proxy "$backend_port"
  # It stops sending a request once the answer to it has begun, and an echo begins at once.
  check nginx "$PORT" small
  check_forwarded
fi
stop lb
stop tcp
stop a
