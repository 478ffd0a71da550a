#!/usr/bin/env bash
# The kv service in bad states: its port is taken, its folder is nothing it can use, or is removed or replaced while it runs; no descriptors
# are left; the largest keys and values. What it does when a sync fails or the clock is set back is in kv_states_shim.sh.
# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
sdlab_test "$@"
need curl curl
need redis-tools redis-cli
need python3 python3
cd "$TMP" || exit 1

serve() { # NAME OPTION...
  local name=$1
  shift
  start "$name" "$SDLAB" kv --port 0 --admin 127.0.0.1:0 "$@"
  port=$(port_of "$name") && admin=$(admin_of "$name") || exit 1
}
cli() { redis-cli -p "$port" "$@"; }
ready() { curl -sS -w '%{http_code}' "http://$admin/-/ready" | tr -d ' \t\n'; }
refused() { # WHAT WANT OPTION...: one line, status 1
  local what=$1 want=$2
  shift 2
  run "$SDLAB" kv --port 0 "$@"
  assert_eq 1 "$STATUS" "$what: exit status"
  assert_match "$ERR" "^sdlab kv: $want\$" "$what"
  assert_lines 1 "$ERR" "$what"
  assert_eq '' "$OUT" "$what: standard output"
}

# ---- the port, or the admin's, is taken: nothing was made ----
serve first --data-dir first
assert_eq OK "$(cli set here 1)" 'SET'
refused 'a port that is taken' "cannot listen on 127\\.0\\.0\\.1:$port: Address already in use" --data-dir new/folder --port "$port"
[ ! -e new ] || fail 'a folder was made, though the port is taken'
refused 'an admin address that is taken' "admin: cannot listen on $admin: Address already in use" --data-dir new/folder --admin "$admin"
[ ! -e new ] || fail 'a folder was made, though the admin address is taken'
refused 'a store that is open' 'first: another process has this store open' --data-dir first
stop first

# ---- folders that are none ----
: >file
refused 'a file' 'cannot make folder file: Not a directory' --data-dir file
refused 'a folder below a file' 'cannot make folder file/below: Not a directory' --data-dir file/below
cp -r first newer
echo 'sdlab-kv 2' >newer/SDLAB
refused 'a newer format' 'newer/SDLAB says "sdlab-kv 2": a newer format than this program knows \(1\)' --data-dir newer
as=()
[ "$(id -u)" -ne 0 ] || as=(setpriv --bounding-set '-dac_override,-dac_read_search' --inh-caps -all)
not_ours() { # MODE WANT
  chmod "$1" closed closed/*
  run "${as[@]}" "$SDLAB" kv --port 0 --data-dir closed
  chmod u+rwX closed closed/*
  assert_eq 1 "$STATUS" "a folder with mode $1: exit status"
  assert_match "$ERR" "^sdlab kv: $2\$" "a folder with mode $1"
  assert_lines 1 "$ERR" "a folder with mode $1"
}
cp -r first closed
not_ours a-w 'cannot open closed/LOCK: Permission denied'
not_ours a-rwx 'cannot open closed: no such folder, or it cannot be read'
if [ "$(id -u)" -eq 0 ]; then
  mkdir other && chown 65534 other && chmod 700 other
  run "${as[@]}" "$SDLAB" kv --port 0 --data-dir other
  assert_match "$STATUS $ERR" '^1 sdlab kv: cannot open other: no such folder, or it cannot be read$' "somebody else's folder"
fi

# ---- the folder goes while it runs ----
gone() { # NAME WHAT
  assert_match "$(cat out)" "^MISCONF nothing was written: $1/(LOCK|[0-9]+\\.log) was removed or replaced while the store was open\$" "$2: a write"
  assert_eq there "$(cli get before)" "$2: a read"
  assert_match "$(ready)" '^\{"ready":false,"store":\{"up":false,"why":".*wasremovedorreplaced.*"\}\}503$' "$2: /-/ready"
  wait_line "$1" 'was removed or replaced while the store was open'
  wait_line "$1" 'Writes are refused: '
}
is_not_ready() { [ "$(curl -sS -o /dev/null -w '%{http_code}' "http://$admin/-/ready")" = 503 ]; }
serve removed --data-dir removed
assert_eq OK "$(cli set before there)" 'SET'
rm -r removed
cli set after lost >out
gone removed 'a folder that was removed'
[ ! -e removed ] || fail 'a folder that was removed is there again'
stop removed
serve moved --data-dir moved
assert_eq OK "$(cli set before there)" 'SET'
mv moved elsewhere
cp -r first moved
sums=$(cat moved/* | md5sum)
cli set after lost >out
gone moved 'a folder that was replaced'
cli compact >out
assert_eq "$sums" "$(cat moved/* | md5sum)" 'the folder that it was replaced by'
stop moved
rm -r moved && mv elsewhere moved
serve moved --data-dir moved
assert_eq 'there,,' "$(cli mget before after | tr '\n' ,)" 'the folder in its place, and a restart'
stop moved
serve idle --data-dir idle --sync no
rm -r idle
wait_for 'the upkeep to see that the folder is gone' is_not_ready
stop idle

# ---- no descriptors ----
# shellcheck disable=SC2016 # for the other shell
start few bash -c 'ulimit -n 60; exec "$@"' sh "$SDLAB" kv --data-dir few --port 0 --admin 127.0.0.1:0 --memtable 64KiB --max-clients 500
port=$(port_of few) && admin=$(admin_of few) || exit 1
assert_match "$(cat few.log)" 'At most [0-9]+ clients at a time, not 500: 60 files may be open \(ulimit -n\)' 'few descriptors'
timeout 60 python3 "$ROOT/test/cli/kv_states.py" crowd "$port" "${admin##*:}" ledger "${PID[few]}" >said 2>&1 || fail "no descriptors: $(tail -n 1 said)"
told=$(sed -n 's/.* refused, \([0-9]*\) clients told.*/\1/p' said)
[ "$told" -gt 0 ] || fail "no client was told: $(cat said)"
assert_eq "$told" "$(metric "$admin" sdlab_kv_rejected_connections_total)" 'clients that were refused'
[ "$(metric "$admin" sdlab_kv_flushes_total)" -gt 3 ] || fail 'no tables were made'
assert_match "$(cli config set maxclients 10000)" 'no so many files may be open' 'CONFIG SET maxclients'
{
  kill -s KILL "${PID[few]}"
  wait_exit few # the shell would say Killed
} 2>/dev/null
serve few --data-dir few
python3 "$ROOT/test/cli/kv_states.py" check "$port" ledger >said 2>&1 || fail "after kill -9: $(tail -n 1 said)"
stop few
serve quiet --data-dir quiet
fds=(/proc/"${PID[quiet]}"/fd/*)
stop quiet
# shellcheck disable=SC2016 # for the other shell
start fewer bash -c 'ulimit -n "$1" && shift && exec "$@"' sh $((${#fds[@]} + 4)) "$SDLAB" kv --data-dir quiet --port 0 --admin 127.0.0.1:0
port=$(port_of fewer) && admin=$(admin_of fewer) || exit 1
timeout 60 python3 "$ROOT/test/cli/kv_states.py" queue "$port" >said 2>&1 || fail "too few descriptors: $(tail -n 1 said)"
[ "$(metric "$admin" sdlab_kv_accept_pauses_total)" -gt 0 ] || fail 'nobody had to wait for a descriptor'
stop fewer

# ---- the largest keys and values, and the smallest; also after kill -9, and out of tables ----
bytes=$((64 << 20))
case $SDLAB in
*/address* | */undefined* | */thread*) bytes=$((1 << 20)) ;;
esac
serve large --data-dir large
python3 "$ROOT/test/cli/kv_states.py" large "$port" write "$bytes" >said 2>&1 || fail "large: $(tail -n 1 said)"
{
  kill -s KILL "${PID[large]}"
  wait_exit large # the shell would say Killed
} 2>/dev/null
serve large --data-dir large
cli compact >out
python3 "$ROOT/test/cli/kv_states.py" large "$port" read "$bytes" >said 2>&1 || fail "large, after kill -9: $(tail -n 1 said)"
stop large
