#!/usr/bin/env bash
# The kv server beside redis-server: the same random requests to both, in both protocols, replies compared byte for byte, also with a
# memtable so small that most of what is read comes from tables, in both formats; then requests that are none. With --long as the second argument
# a hundred times as many; SEED=n for another seed.
# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
sdlab_test "$@"
need redis-server redis-server
need python3 python3

count=8000
case $SDLAB in *address* | *thread*) count=2000 ;; esac
[ "${2:-}" != --long ] || count=800000
theirs=$(free_port)
start theirs redis-server --port "$theirs" --bind 127.0.0.1 --save '' --appendonly yes --appendfsync no --databases 1 \
  --proto-max-bulk-len 64mb --dir "$TMP"
wait_port theirs "$theirs"

compare() { # NAME OPTION...
  local name=$1 port
  shift
  start "$name" "$SDLAB" kv --port 0 --data-dir "$TMP/$name" --sync no "$@"
  port=$(port_of "$name") || exit 1
  python3 "$ROOT/test/interop/kv_peer.py" "${SEED:-1}" "$count" "$port" "$theirs" || fail "random requests: $name"
  [ "$name" != plain ] || python3 "$ROOT/test/interop/cache_peer.py" broken "$port" "$theirs" || fail 'requests that are none'
  stop "$name"
}
compare plain
compare tables --memtable 64KiB --blob-from 100
