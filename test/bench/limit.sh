#!/usr/bin/env bash
# Instructions that a request costs a proxy, with and without a limit by address that lets it pass: lb beside nginx with limit_req.
# Counted by callgrind, so a busy machine changes nothing; what the kernel does is not in it, and is the same with and without.
#
#   test/bench/limit.sh BIN [--requests 5000]
#
# Each is asked 1,000 times, and 1,000 and so many times, over four connections that stay; the difference is divided by them.

# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=../peers.sh
. "$(dirname "$0")/../peers.sh"

usage() {
  sed -n 's/^# \{0,1\}//; 5p' "$0" >&2
  exit 2
}
[ $# -gt 0 ] || usage
bin=$1 requests=5000
shift
while [ $# -gt 0 ]; do
  [ "$1" = --requests ] || usage
  [ $# -ge 2 ] || usage
  requests=$2
  shift 2
done
sdlab_test "$bin"
# shellcheck disable=SC2034 # lib.sh waits by it
DEADLINE=120 # callgrind is slow, and the machine may be busy
for tool in valgrind nginx ab; do
  command -v "$tool" >/dev/null 2>&1 || {
    echo "bench: needs $tool (make deps-all installs nginx and ab)"
    exit 0
  }
done
start origin "$SDLAB" backend --port 0 --bind 127.0.0.1 --threads 1
origin=$(port_of origin) || exit 1

# The keys' table is small, so that looking it through, which is done by time and not by requests, weighs nothing.
config_sdlab() { # LIMIT
  printf 'port: 0\nadmin: 127.0.0.1:0\nthreads: 1\nhealth: {type: none}\nbackends: ["127.0.0.1:%s"]\n' "$origin"
  [ "$1" = without ] || printf 'limit-memory: 64KiB\nlimits: [{name: clients, rate: 1000000, burst: 1000000}]\n'
}
config_nginx() { # LIMIT
  nginx_head "$TMP/head" "$TMP/nginx.d"
  cat "$TMP/head"
  printf '  upstream pool { server 127.0.0.1:%s; keepalive 512; keepalive_requests 1000000000; }\n' "$origin"
  # shellcheck disable=SC2016 # nginx's variables
  [ "$1" = without ] || echo '  limit_req_zone $binary_remote_addr zone=clients:10m rate=1000000r/s;'
  printf '  server {\n    listen 127.0.0.1:%s;\n' "$PORT"
  [ "$1" = without ] || echo '    limit_req zone=clients burst=1000000 nodelay;'
  # shellcheck disable=SC2016 # nginx's variables
  printf '    location / {\n      proxy_pass http://pool;\n      proxy_http_version 1.1;\n      proxy_set_header Connection "";\n%s%s    }\n  }\n}\n' \
    '      proxy_set_header Host $http_host;
' '      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
'
}

# count SERVER LIMIT REQUESTS: the instructions of a whole life in which it answers so many; into COUNTED
count() {
  local under=(valgrind --tool=callgrind --callgrind-out-file="$TMP/counts")
  PORT=$(free_port)
  "config_$1" "$2" >"$TMP/$1.conf"
  case $1 in
  sdlab) start sdlab "${under[@]}" "$SDLAB" lb --config "$TMP/sdlab.conf" && PORT=$(port_of sdlab) ;;
  nginx) start nginx "${under[@]}" nginx -p "$TMP/nginx.d" -c "$TMP/nginx.conf" -e "$TMP/nginx.d/error.log" ;;
  esac || exit 1
  wait_for "$1 to answer" answers "http://127.0.0.1:$PORT/"
  ab -k -q -n "$3" -c 4 "http://127.0.0.1:$PORT/bytes/1KiB" >"$TMP/ab" 2>&1 || fail "ab: $(cat "$TMP/ab")"
  ! grep -q 'Non-2xx' "$TMP/ab" || fail "$1: $(cat "$TMP/ab")"
  stop_quietly "$1"
  COUNTED=$(awk '/^totals:|^summary:/ { n = $2 } END { print n }' "$TMP/counts")
  [ -n "$COUNTED" ] || fail "callgrind counted nothing of $1"
}

echo "Instructions a request of 1 KiB, without the kernel's, of $requests requests"
printf '%-8s %10s %10s %10s\n' server without with added
for server in sdlab nginx; do
  declare -A each=()
  for limit in without with; do
    count "$server" "$limit" 1000
    few=$COUNTED
    count "$server" "$limit" $((1000 + requests))
    each[$limit]=$(((COUNTED - few) / requests))
  done
  printf '%-8s %10d %10d %10d\n' "$server" "${each[without]}" "${each[with]}" $((each[with] - each[without]))
done
