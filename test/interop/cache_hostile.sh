#!/usr/bin/env bash
# The cache and clients that mean harm: lengths with nothing behind them, a million commands at once, a subscriber that does not
# read, CLIENT KILL, no descriptors left, too many clients. Its memory is watched meanwhile.
# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
sdlab_test "$@"
need python3 python3

try() { # WHAT SERVER-WORD...
  local what=$1
  shift
  start "$what" "$@"
  PORT=$(port_of "$what") || exit 1
  timeout 120 python3 "$ROOT/test/interop/cache_hostile.py" "$PORT" "${PID[$what]}" "$what" >"$TMP/$what.out" 2>&1 ||
    fail "$what: $(tail -n 1 "$TMP/$what.out")"
  stop "$what"
}

case $SDLAB in
*/address* | */undefined* | */thread*) ;; # they have memory of their own
*)
  try claims "$SDLAB" cache --port 0
  try million "$SDLAB" cache --port 0
  try deaf "$SDLAB" cache --port 0
  ;;
esac
try kill "$SDLAB" cache --port 0
try crowd "$SDLAB" cache --port 0 --max-clients 3
try full bash -c 'ulimit -n 40; exec "$@"' - "$SDLAB" cache --port 0
