#!/usr/bin/env bash
# The kv service as a person meets it: first lines, what is there after kill -9, a password, one folder for one process, keys and values of
# any bytes and lengths, EXPLAIN and COMPACT, a disk that is full and then has room again.
# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
sdlab_test "$@"
need redis-tools redis-cli
dir=$TMP/kv-data

serve() { # NAME OPTION...
  local name=$1
  shift
  start "$name" "$SDLAB" kv --data-dir "$dir" --port 0 "$@"
  port=$(port_of "$name") || exit 1
}
cli() { redis-cli -p "$port" "$@"; }

# ---- lines, and what outlives kill -9 ----
serve first
assert_match "$(cat "$TMP/first.log")" "\\[LSM\\] WAL opened: $dir/[0-9]+\\.log" 'first line'
assert_contains "$(cat "$TMP/first.log")" '[LSM] Loaded 0 SSTables, 0 keys' 'second line'
assert_contains "$(cat "$TMP/first.log")" '[LSM] Memtable: 0 entries (limit: 4MB)' 'third line'
assert_eq OK "$(cli set user:1 Alice)" 'SET'
assert_eq OK "$(cli set gone 1 px 1)" 'SET that ends'
kill -s KILL "${PID[first]}"
wait_exit first 2>/dev/null # the shell would say Killed
serve again
assert_match "$(cat "$TMP/again.log")" 'Replaying WAL: [0-9]+ operations' 'after kill -9'
assert_contains "$(cat "$TMP/again.log")" 'Recovery complete' 'after kill -9'
assert_eq Alice "$(cli get user:1)" 'what was acknowledged before kill -9'
assert_eq '' "$(cli get gone)" 'what has ended'

# ---- two processes on one folder ----
"$SDLAB" kv --data-dir "$dir" --port 0 >"$TMP/two" 2>&1
assert_eq 1 $? 'exit status of a second one'
assert_contains "$(cat "$TMP/two")" "another process has this store open" 'what a second one says'
assert_eq 1 "$(grep -c . "$TMP/two")" 'its lines'

# ---- where answers come from ----
assert_eq 'reply Alice where memtable entries' "$(cli explain get user:1 | head -5 | tr '\n' ' ' | cut -d' ' -f1-5)" 'EXPLAIN from memory'
cli compact >"$TMP/compact"
assert_match "$(cat "$TMP/compact")" 'Created (SSTable )?L[0-9]_[0-9]+\.sst' 'COMPACT'
assert_eq 'Nothing to compact' "$("$SDLAB" kv cli -p "$port" COMPACT)" 'COMPACT again, as a person is told'
assert_match "$(cli explain get user:1 | sed -n 4p)" '^L[0-9]_[0-9]+\.sst$' 'EXPLAIN from a table'
assert_match "$(cli explain get missing | sed -n 4p)" '^$' 'EXPLAIN of what is not there'
assert_contains "$(cli explain ping)" 'expected a command that reads or writes keys' 'EXPLAIN PING'

# ---- any bytes, any length ----
assert_eq OK "$(printf 'set "" empty\n' | cli)" 'SET of the empty key'
assert_eq empty "$(printf 'get ""\n' | cli)" 'GET of the empty key'
# shellcheck disable=SC2028 # the backslashes are redis-cli's
echo 'set "\x00" zero' | cli >"$TMP/zero"
# shellcheck disable=SC2028
assert_eq zero "$(echo 'get "\x00"' | cli)" 'a key that is a zero byte'
head -c 65536 /dev/zero | tr '\0' k >"$TMP/key"
# shellcheck disable=SC2016 # the dollars are of the protocol
{ printf '*3\r\n$3\r\nSET\r\n$65536\r\n' && cat "$TMP/key" && printf '\r\n$1\r\nv\r\n*2\r\n$3\r\nGET\r\n$65536\r\n' && cat "$TMP/key" &&
  printf '\r\n*2\r\n$3\r\nGET\r\n$65537\r\nk' && cat "$TMP/key" && printf '\r\n'; } >"$TMP/wire"
cli --pipe <"$TMP/wire" >"$TMP/pipe" 2>&1
assert_contains "$(cat "$TMP/pipe")" 'key of 65537 bytes: expected at most 65536' 'a key that is too long'
assert_contains "$(cat "$TMP/pipe")" 'errors: 1, replies: 3' 'a key of 64 KiB'
head -c 3000000 /dev/urandom >"$TMP/value"
cli -x set large <"$TMP/value" >"$TMP/out"
cli --raw get large | head -c 3000000 >"$TMP/back"
assert_same "$TMP/value" "$TMP/back" 'a value of 3 MB'
assert_eq 5 "$(cli dbsize)" 'DBSIZE'

# ---- orderly end, metrics, settings ----
assert_eq 'appendfsync always' "$(cli config get appendfsync | tr '\n' ' ' | sed 's/ $//')" 'CONFIG GET'
assert_eq OK "$(cli config set appendfsync everysec)" 'CONFIG SET'
assert_contains "$(cli info lsm)" 'write_amplification:' 'INFO lsm'
stop again

# ---- the last line is the last one, also when tables were under way at the end ----
for ((i = 0; i < 20000; i++)); do
  echo "SET filler:$i xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
done >"$TMP/filler"
for try in 1 2 3 4 5; do
  serve "ends$try" --memtable 64KiB --sync no
  cli --pipe <"$TMP/filler" >"$TMP/out" 2>&1
  stop "ends$try"
  assert_eq '[LSM] Stopped' "$(tail -n 1 "$TMP/ends$try.log")" "the last line (try $try)"
done

serve locked --password secret --memtable 256KiB
assert_contains "$(cat "$TMP/locked.log")" '(limit: 256KB)' 'a memtable of less than a megabyte'
assert_contains "$(cli get user:1)" 'NOAUTH' 'without the password'
assert_eq Alice "$(redis-cli -p "$port" -a secret --no-auth-warning get user:1)" 'with it'
stop locked
"$SDLAB" kv --data-dir "$dir" --port 0 --bind 0.0.0.0 >"$TMP/bind" 2>&1
assert_eq 1 $? 'exit status: beyond this machine without a password'
assert_contains "$(cat "$TMP/bind")" 'expected a password to listen beyond this machine' 'beyond this machine without a password'
"$SDLAB" kv --data-dir "$dir" --port 0 --threads 2 >"$TMP/threads" 2>&1
assert_eq 'sdlab kv: --threads: expected 1: one thread runs all commands' "$(cat "$TMP/threads")" 'threads'

# ---- a full disk: writes are refused, reads go on; room again, and so are writes, without a restart ----
if ! unshare -rm true 2>/dev/null; then
  echo 'note: this system lets nobody mount: a full disk is not tried here'
  exit 0
fi
mkdir "$TMP/full"
# shellcheck disable=SC2016 # for the other shell
start full unshare -rm sh -c 'mount -t tmpfs -o size=24m none "$1" && shift && exec "$@"' sh "$TMP/full" "$SDLAB" kv --data-dir "$TMP/full/kv" --port 0
port=$(port_of full) || exit 1
inside=/proc/${PID[full]}/root$TMP/full
assert_eq OK "$(cli set before there)" 'SET while there is room'
cat /dev/zero >"$inside/filler" 2>/dev/null
head -c 200000 /dev/zero | tr '\0' x >"$TMP/big"
is_refused() { cli -x set big <"$TMP/big" >"$TMP/refused" && grep -q '^MISCONF nothing was written: ' "$TMP/refused"; }
wait_for 'the disk to be full' is_refused
assert_eq there "$(cli get before)" 'GET with a full disk'
assert_eq '' "$(cli get big)" 'what was refused'
wait_line full 'Writes are refused'
rm "$inside/filler"
is_written() { [ "$(cli -x set big <"$TMP/big")" = OK ]; }
wait_for 'writes to go on' is_written
assert_eq 200000 "$(cli strlen big)" 'what was written when there was room again'
wait_line full 'Writes go on'
stop full
