#!/usr/bin/env bash
# CLIENT PAUSE and UNPAUSE on the cache and on redis-server: the same commands wait, and answer the same afterwards.
# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
sdlab_test "$@"
need redis-server redis-server
need python3 python3
theirs=$(free_port)
start theirs redis-server --dir "$TMP" --port "$theirs" --bind 127.0.0.1 --save '' --appendonly no
wait_port theirs "$theirs"
start ours "$SDLAB" cache --port 0
say() { # WHO PORT
  timeout 60 python3 "$ROOT/test/interop/cache_pause.py" "$2" >"$TMP/$1.said" 2>&1 || fail "$1: $(tail -n 3 "$TMP/$1.said")"
}
say theirs "$theirs"
say ours "$(port_of ours)"
assert_contains "$(cat "$TMP/ours.said")" 'INCR p waits'
assert_eq "$(cat "$TMP/theirs.said")" "$(cat "$TMP/ours.said")" 'CLIENT PAUSE'
stop ours
stop_quietly theirs
