#!/usr/bin/env bash
# Keys are where others put them: libmemcached, nutcracker, nginx, hashring and jump-gouache of npm, the Python of tutorials;
# thousands of keys, with weights, after nodes came and went.
# plain build only: it compares numbers, which the unit tests do under the sanitizers

# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
sdlab_test "$@"
modules=$(realpath -m "${NPM_MODULES:-$ROOT/build/npm/node_modules}")
need libmemcached-dev cc
[ -e /usr/include/libmemcached/memcached.h ] || skip libmemcached-dev
need nutcracker nutcracker
need nginx-light nginx
need python3 python3
need curl curl
need "npm's hashring and jump-gouache" node
for module in hashring jump-gouache; do
  [ -e "$modules/$module/package.json" ] || skip "npm's hashring and jump-gouache"
done
cd "$TMP" || exit 1
export NPM_MODULES=$modules
{
  seq -f 'user:%.0f' 1 3000
  seq -f 'https://example.org/a/%.0f' 1 1000
} >keys

# ring ALGORITHM NODE:WEIGHT...: where the keys are in a ring of ours, to `ours`.
ring() {
  local algorithm=$1 node
  shift
  {
    printf 'version: 1\nalgorithm: %s\nnodes:\n' "$algorithm"
    for node; do printf '  - {name: "%s", weight: %s}\n' "${node%:*}" "${node##*:}"; done
  } >r.yaml
  "$SDLAB" ring lookup --state r.yaml --keys keys >ours || fail "lookup $algorithm"
}

# same WHAT: `theirs` is `ours`, and is not just one node.
same() {
  [ "$(wc -l <theirs)" -eq 4000 ] || fail "$1: $(wc -l <theirs) of 4000 keys have an answer"
  [ "$(cut -f 2 theirs | sort -u | grep -c '')" -ge 2 ] || fail "$1: all keys are at one node"
  assert_eq '' "$(diff ours theirs | head -n 4)" "$1"
  echo "$1: 4000 keys are where it has them"
}

# ---- libmemcached ----
cc -o ring_memcached "$ROOT/test/interop/ring_memcached.c" -lmemcached || fail 'ring_memcached.c'
memcached() {
  ring twemproxy "$@"
  # A port of 11211 goes without saying on both sides.
  ./ring_memcached "$@" <keys >theirs || fail 'ring_memcached'
  same "libmemcached, $# nodes"
}
memcached 10.0.0.1:11211:1 10.0.0.2:11211:1 10.0.0.3:11212:1
memcached 10.0.0.1:11211:1 10.0.0.2:11211:5 10.0.0.3:11212:2 cache-x:11211:9 a.b.c:1:3 d.e:2:7 f:3:11
memcached 10.0.0.1:11211:1 10.0.0.3:11212:2 cache-x:11211:9 d.e:2:7 f:3:11
# shellcheck disable=SC2046 # a list of names
memcached $(seq -f 'node-%.0f:11211:1' 1 100) # in floats a hundredth of 4,000 is 39
# Lists of chance: what is float and what is double shows only in some.
RANDOM=7
for n in 2 11 41 73 100; do
  list=()
  for ((i = 0; i < n; i++)); do list+=("host-$i:$((RANDOM % 2 ? 11211 : RANDOM + 1)):$((1 + RANDOM % 50))"); done
  memcached "${list[@]}"
done
ring libketama 10.0.0.1:11212:1 10.0.0.2:11212:1 10.0.0.3:11212:3
cp ours one
ring nginx 10.0.0.1:11212:1 10.0.0.2:11212:1 10.0.0.3:11212:3
[ "$(diff one ours | grep -c '^<')" -gt 1000 ] || fail 'two algorithms agree where they should not: the test cannot tell'

# ---- nutcracker, with memcached servers that answer where they are asked ----
start peer python3 "$ROOT/test/interop/ring_peer.py" serve
port=$(port_of peer)
connects() { python3 -c 'import socket, sys; socket.socket(socket.AF_UNIX).connect(sys.argv[1])' "$1" 2>"$TMP/connect.err"; }
twemproxy() { # NODE:WEIGHT..., by addresses
  local node
  ring twemproxy "$@"
  {
    printf 'pool:\n  listen: %s/nut.sock 0600\n  hash: md5\n  distribution: ketama\n  servers:\n' "$TMP"
    for node; do echo "   - $node"; done
  } >nut.yaml
  start nut nutcracker -c nut.yaml -s "$(free_port)" -a 127.0.0.1 -m 16384
  wait_for 'nutcracker' connects nut.sock # it has its name before it listens
  python3 "$ROOT/test/interop/ring_peer.py" ask nut.sock <keys >answers || fail 'the client of nutcracker'
  stop_quietly nut
  rm -f nut.sock
  sed "s/\$/:$port/" answers >theirs
  same "nutcracker, $# nodes"
}
twemproxy "127.0.0.1:$port:1" "127.0.0.2:$port:1" "127.0.0.3:$port:1"
twemproxy "127.0.0.1:$port:1" "127.0.0.2:$port:4" "127.0.0.3:$port:2" "127.0.0.4:$port:10" "127.0.0.5:$port:3"
twemproxy "127.0.0.1:$port:1" "127.0.0.2:$port:4" "127.0.0.4:$port:10" "127.0.0.5:$port:3"

# ---- nginx ----
# shellcheck source=../peers.sh
. "$ROOT/test/peers.sh"
nginx_ring() { # NODE:WEIGHT..., by addresses
  local node front
  ring nginx "$@"
  front=$(free_port)
  nginx_head nginx.conf "$TMP/nginx.d"
  {
    # shellcheck disable=SC2016 # for nginx
    echo '  upstream pool { hash $arg_k consistent; keepalive 64;'
    for node; do echo "    server ${node%:*} weight=${node##*:};"; done
    cat <<END
  }
  server { listen $back; location / { return 200 "\$arg_k\t\$server_addr:\$server_port\n"; } }
  server {
    listen 127.0.0.1:$front;
    location / { proxy_pass http://pool; proxy_http_version 1.1; proxy_set_header Connection ""; }
  }
}
END
  } >>nginx.conf
  start nginx nginx -p "$TMP/nginx.d" -c "$TMP/nginx.conf" -e "$TMP/nginx.d/error.log"
  wait_port nginx "$front"
  sed "s|.*|url = \"http://127.0.0.1:$front/?k=&\"|" keys >urls
  curl -sS --max-time 60 -K urls >theirs || fail 'curl through nginx'
  stop_quietly nginx
  same "nginx, $# nodes"
}
back=$(free_port)
nginx_ring "127.0.0.1:$back:1" "127.0.0.2:$back:1" "127.0.0.3:$back:1"
nginx_ring "127.0.0.1:$back:1" "127.0.0.2:$back:7" "127.0.0.3:$back:2" "127.0.0.4:$back:1" "127.0.0.9:$back:3"
nginx_ring "127.0.0.1:$back:1" "127.0.0.3:$back:2" "127.0.0.4:$back:1" "127.0.0.9:$back:3" "127.0.0.20:$back:5"

# ---- hashring of npm: the way of libketama; its points are cut from doubles, so weights are such that nothing is near a whole ----
hashring() {
  ring libketama "$@"
  node "$ROOT/test/interop/ring_npm.js" ketama "$@" <keys >theirs || fail 'ring_npm.js ketama'
  same "hashring, $# nodes"
}
hashring 10.0.1.1:11211:600 10.0.1.2:11211:300 10.0.1.3:11211:200 10.0.1.4:11211:350 10.0.1.5:11211:1000
hashring 10.0.1.1:11211:600 10.0.1.2:11211:300 10.0.1.4:11211:350 10.0.1.5:11211:1000
hashring 10.0.1.1:11212:7 10.0.1.2:11212:7 10.0.1.3:11212:7

# ---- jump: the bucket of each place ----
for n in 3 17 200; do
  {
    printf 'version: 1\nalgorithm: jump\nhash: xxh3\nnodes:\n'
    seq -f '  - {name: "%.0f"}' 0 $((n - 1))
  } >j.yaml
  "$SDLAB" ring lookup --state j.yaml --keys keys --json >looked || fail 'lookup'
  sed 's/.*"node":"\([0-9]*\)".*/\1/' looked >ours
  sed 's/.*"hash":"\(0x[0-9A-F]*\)".*/\1/' looked | node "$ROOT/test/interop/ring_npm.js" jump "$n" >theirs ||
    fail 'ring_npm.js jump'
  same "jump-gouache with $n buckets"
done

# ---- the few lines of Python ----
ring textbook server-1:1 server-2:1 server-3:1
python3 "$ROOT/test/interop/ring_peer.py" textbook server-1 server-2 server-3 <keys >theirs || fail 'ring_peer.py textbook'
same 'the textbook'
