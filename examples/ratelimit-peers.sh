#!/bin/sh
# Three rate limiters that share their limits among themselves. Each key is counted by one of them, whoever is asked, so of ten
# requests at any of the three five pass. Then one is killed: of its keys each of the others lets its share pass until it is back.
#
#   examples/ratelimit-peers.sh [path/to/sdlab]
set -eu
sdlab=${1:-}
if [ -z "$sdlab" ]; then
  sdlab=sdlab
  [ ! -x "$(dirname "$0")/../build/plain/sdlab" ] || sdlab=$(dirname "$0")/../build/plain/sdlab
fi
command -v "$sdlab" >/dev/null || { echo "ratelimit-peers.sh: cannot find $sdlab; run make first" >&2; exit 1; }
dir=$(mktemp -d)
pids=
trap 'kill $pids 2>/dev/null || :; rm -rf "$dir"' EXIT
base=$((20000 + $$ % 9000)) # one of three ports in a row: a list has to name them before anybody listens
peers="127.0.0.1:$base,127.0.0.1:$((base + 1)),127.0.0.1:$((base + 2))"

listens() { sed -n 's/.*Listening on .*:\([0-9]*\)$/\1/p' "$dir/$1.log"; }
for i in 0 1 2; do
  : >"$dir/$i.log" # it is read before the server may have begun
  "$sdlab" ratelimit --port 0 --bind 127.0.0.1 --rate 5/h --key header:x-key --resp-port $((base + i)) --peer "$peers" \
    --self "127.0.0.1:$((base + i))" --admin 127.0.0.1:0 --store-timeout 1s >"$dir/$i.log" 2>&1 &
  pids="$pids $!"
done
reached() { curl -s "http://$(sed -n 's/.*Admin on //p' "$dir/$1.log")/-/peers" | grep -o '"up":true' | grep -c .; }
for i in 0 1 2; do
  until [ "$(reached $i)" = 3 ]; do
    kill -0 $! 2>/dev/null || { cat "$dir/$i.log"; exit 1; }
    sleep 0.1
  done
done

# ten KEY SERVER...: how many of ten requests pass, at these in turn
ten() {
  key=$1 passed=0 n=0
  shift
  while [ $n -lt 10 ]; do
    n=$((n + 1))
    code=$(curl -s -o /dev/null -w '%{http_code}' -H "X-Key: $key" "http://127.0.0.1:$(listens "$1")/")
    [ "$code" = 200 ] && passed=$((passed + 1))
    at=$1
    shift
    set -- "$@" "$at"
  done
  echo "$passed"
}

echo "Of ten requests for each of five keys, at three servers in turn, there passed:"
for key in a b c d e; do echo "  $key  $(ten $key 0 1 2)"; done
kill -9 $! # the third
wait $! 2>/dev/null || :
echo "Without the third, for five others at the first two; of keys that were the third's each lets a share of one pass:"
for key in f g h i j; do echo "  $key  $(ten $key 0 1)"; done
