#!/usr/bin/env bash
# The kv service when a sync fails, and when the clock is set back, while it runs and across a restart; kv_states.c makes them so.
# plain build only: the sanitizers want to be first
# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
sdlab_test "$@"
need curl curl
need redis-tools redis-cli
need gcc cc
cd "$TMP" || exit 1
cc -shared -fPIC -O1 -o states.so "$ROOT/test/cli/kv_states.c" -ldl || fail 'kv_states.c does not compile'

serve() { # NAME OPTION...
  local name=$1
  shift
  start "$name" env LD_PRELOAD="$TMP/states.so" STATES="$TMP" "$SDLAB" kv --port 0 --admin 127.0.0.1:0 "$@"
  port=$(port_of "$name") && admin=$(admin_of "$name") || exit 1
}
cli() { redis-cli -p "$port" "$@"; }
ready() { curl -sS -w '%{http_code}' "http://$admin/-/ready" | tr -d ' \t\n'; }

# ---- a sync that fails ----
serve sync --data-dir sync
assert_eq OK "$(cli set before there)" 'SET'
assert_eq '{"ready":true,"store":{"up":true}}200' "$(ready)" '/-/ready'
: >fail
cli set lost x >out
assert_match "$(cat out)" '^MISCONF nothing was written: cannot sync sync/[0-9]+\.log: Input/output error$' 'a write whose sync fails'
[ ! -e fail ] || fail 'no sync was asked for'
assert_match "$(ready)" '^\{"ready":false,"store":\{"up":false,"why":"cannotsyncsync/[0-9]+\.log:Input/outputerror"\}\}503$' '/-/ready afterwards'
cli set later x >out
assert_match "$(cat out)" '^MISCONF nothing was written: cannot sync ' 'a write after it, though syncs do not fail any more'
assert_eq 'there,,,' "$(cli mget before lost later | tr '\n' ,)" 'reads go on'
assert_eq err "$(cli info persistence | tr -d '\r' | sed -n 's/^aof_last_write_status://p')" 'INFO'
assert_lines 2 "$(grep 'Input/output error' sync.log)" 'the log, which does not say it at each write'
stop sync
assert_match "$(tail -n 2 sync.log)" 'cannot sync sync/[0-9]+\.log' 'the end says it again'
serve sync --data-dir sync
assert_eq OK "$(cli set later there)" 'SET after a restart'
assert_eq 'there there' "$(cli mget before later | tr '\n' ' ' | sed 's/ $//')" 'what was acknowledged'
stop sync

# ---- the clock is set back ----
echo 0 >clock
is_gone() { [ "$(cli exists "$1")" = 0 ]; }
lives() { # KEY WITHIN WHAT: it is there, and ends in so many seconds at most
  local left
  left=$(cli pttl "$1")
  if [ "$left" -le 0 ] || [ "$left" -gt $(($2 * 1000)) ]; then
    fail "$3: $1 ends in $left ms, expected at most $2 s"
  fi
}
set_some() {
  cli set "short$1" x px 100 >out
  cli set "long$1" x ex 3000 >out
}
serve clock --data-dir clock.d
set_some 0
wait_for 'a key to end' is_gone short0
for back in 3600 7200; do
  echo "-$back" >clock
  is_gone short0 || fail "$back s back: what had ended is there again"
  lives long0 3000 "$back s back"
  set_some "$back"
  lives "long$back" 3000 "$back s back"
  assert_eq x "$(cli get "long$back")" "$back s back: a key that was set just now"
  wait_for 'a key to end that was set after the clock was set back' is_gone "short$back"
  stop clock
  serve clock --data-dir clock.d
done
for back in 0 3600 7200; do
  is_gone "short$back" || fail "after a restart: short$back is there again"
  lives "long$back" 3000 'after a restart'
done
set_some last
wait_for 'a key to end after all that' is_gone shortlast
now=$(date +%s)
told=$(cli time | head -n 1)
[ "$told" -le $((now - 7000)) ] || fail "TIME: $told, expected the wall clock's, two hours behind $now"
stop clock
