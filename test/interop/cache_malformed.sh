#!/usr/bin/env bash
# Malformed requests, to the cache and to redis-server, before and after AUTH: the answers are the same, byte for byte.
# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
sdlab_test "$@"
need redis-server redis-server
need python3 python3

compare() { # WHAT OURS-OPTIONS... -- THEIRS-OPTIONS... -- ARGUMENTS...
  local what=$1 ours=() theirs=() port
  shift
  while [ "$1" != -- ]; do
    ours+=("$1")
    shift
  done
  shift
  while [ "$1" != -- ]; do
    theirs+=("$1")
    shift
  done
  shift
  port=$(free_port)
  start theirs redis-server --dir "$TMP" --port "$port" --bind 127.0.0.1 --save '' --appendonly no "${theirs[@]}"
  wait_port theirs "$port"
  start ours "$SDLAB" cache --port 0 "${ours[@]}"
  run python3 "$ROOT/test/interop/cache_malformed.py" "$(port_of ours)" "$port" "$@"
  assert_eq '0 ' "$STATUS $OUT$ERR" "$what"
  stop ours
  stop_quietly theirs
}

compare 'without a password' -- --
compare 'with a password' --password secret -- --requirepass secret -- secret
