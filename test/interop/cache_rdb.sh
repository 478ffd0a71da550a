#!/usr/bin/env bash
# The cache's file and redis-server's: each loads the other's, and DUMP and RESTORE carry every value both ways; what is damaged is
# refused, and what goes wrong while saving leaves the file that was there.
# one thread
# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
sdlab_test "$@"
need redis-server redis-server
need redis-tools redis-cli redis-check-rdb
need python3 python3

peer() {
  python3 "$ROOT/test/interop/cache_rdb.py" "$@" || fail "$*"
}
ours() { # starts the cache on $TMP/$1; its port is in $ours afterwards
  mkdir -p "$TMP/$1"
  start "$1" "$SDLAB" cache --port 0 --data-dir "$TMP/$1"
  ours=$(port_of "$1") || exit 1
}
theirs() {
  mkdir -p "$TMP/$1"
  theirs=$(free_port)
  start "$1" redis-server --port "$theirs" --bind 127.0.0.1 --save '' --appendonly no --dir "$TMP/$1"
  wait_port "$1" "$theirs"
}
ask() { # PORT WORD...
  redis-cli -p "$@"
}
status_is() { # PORT LINE of INFO persistence
  ask "$1" INFO persistence | tr -d '\r' | grep -qx "$2"
}
saved() { # PORT: BGSAVE has ended well
  wait_for "a snapshot" status_is "$1" rdb_bgsave_in_progress:0
  status_is "$1" rdb_last_bgsave_status:ok || fail 'the snapshot failed'
}

# ---- our file, loaded by redis-server ----
ours a
peer fill "${SEED:-1}" 2000 "$ours"
assert_eq 'Background saving started' "$(ask "$ours" BGSAVE)" BGSAVE
saved "$ours"
redis-check-rdb "$TMP/a/dump.rdb" >"$TMP/check" || fail "redis-check-rdb: $(cat "$TMP/check")"
mkdir "$TMP/b"
cp "$TMP/a/dump.rdb" "$TMP/b/dump.rdb"
theirs b
peer same "$ours" "$theirs"

# ---- values, one at a time ----
theirs c
peer carry "$ours" "$theirs"
ask "$theirs" CONFIG SET rdbcompression no >/dev/null
peer dumps "$ours" "$theirs"
ask "$theirs" CONFIG SET rdbcompression yes >/dev/null
peer errors "${SEED:-1}" "$ours" "$theirs"

# ---- their file, loaded by us ----
ask "$theirs" FLUSHALL >/dev/null
peer fill "$((${SEED:-1} + 1000))" 2000 "$theirs"
peer carry "$theirs" "$ours"
ask "$theirs" SAVE >/dev/null
mkdir "$TMP/d"
cp "$TMP/c/dump.rdb" "$TMP/d/dump.rdb"
ours d
peer same "$ours" "$theirs"

# ---- the end: what changed is saved, unless somebody says no ----
ask "$ours" SET last word >/dev/null
stop d
ours d
assert_eq word "$(ask "$ours" GET last)" 'after SIGTERM'
ask "$ours" SET last other >/dev/null
ask "$ours" SHUTDOWN NOSAVE >/dev/null 2>&1
wait_exit d
assert_eq 0 "$STATUS" 'exit status of SHUTDOWN NOSAVE'
ours d
assert_eq word "$(ask "$ours" GET last)" 'after SHUTDOWN NOSAVE'
ask "$ours" SET last third >/dev/null
ask "$ours" SHUTDOWN >/dev/null 2>&1
wait_exit d
ours d
assert_eq third "$(ask "$ours" GET last)" 'after SHUTDOWN'

# ---- save points ----
before=$(ask "$ours" INFO persistence | grep rdb_saves)
ask "$ours" CONFIG SET save '1 1' >/dev/null
ask "$ours" SET last fourth >/dev/null
saved_again() {
  [ "$before" != "$(ask "$ours" INFO persistence | grep rdb_saves)" ]
}
wait_for 'a snapshot by save point' saved_again
ask "$ours" CONFIG SET save '3600 1' >/dev/null
assert_eq fourth "$(strings -n 5 "$TMP/d/dump.rdb" | grep -o fourth | head -n 1)" 'the file of the save point'

# ---- a disk that fails: what is there stays, writes are refused, and all goes on when it works again ----
sum=$(cksum <"$TMP/d/dump.rdb")
mkdir "$TMP/d/dump.rdb.tmp"
ask "$ours" SET last fifth >/dev/null
ask "$ours" BGSAVE >/dev/null
wait_for 'the failure' status_is "$ours" rdb_last_bgsave_status:err
assert_match "$(ask "$ours" SET last sixth)" '^MISCONF ' 'a write after a snapshot that failed'
assert_eq fifth "$(ask "$ours" GET last)" 'a read after it'
assert_eq ERR "$(ask "$ours" SAVE | head -n 1 | tr -d ' ')" SAVE
assert_eq "$sum" "$(cksum <"$TMP/d/dump.rdb")" 'the file after it'
ask "$ours" CONFIG SET stop-writes-on-bgsave-error no >/dev/null
assert_eq OK "$(ask "$ours" SET last sixth)" 'a write that was allowed'
ask "$ours" CONFIG SET stop-writes-on-bgsave-error yes >/dev/null
rmdir "$TMP/d/dump.rdb.tmp"
assert_eq OK "$(ask "$ours" SAVE)" 'SAVE when the disk works again'
assert_eq OK "$(ask "$ours" SET last seventh)" 'a write then'

# ---- while clients write: keys that were there once each, and no others ----
python3 -c 'for i in range(200000): print("SET big:%010d %s" % (i, "v" * 300), end="\r\n")' | redis-cli -p "$ours" --pipe >/dev/null
assert_eq OK "$(ask "$ours" SAVE)" 'SAVE before writers'
keys=$(redis-check-rdb "$TMP/d/dump.rdb" | grep 'keys read')
start writers "$SDLAB" load "redis://127.0.0.1:$ours" -q -n 100000000 --keys 200000 --command 'SET big:{{key}} {{rand}}'
wait_for 'writers' status_is "$ours" 'rdb_changes_since_last_save:[0-9]\{4,\}'
ask "$ours" BGSAVE >/dev/null
saved "$ours"
wait_for 'writes after it' status_is "$ours" 'rdb_changes_since_last_save:[0-9]\{4,\}'
stop_quietly writers
assert_eq "$keys" "$(redis-check-rdb "$TMP/d/dump.rdb" | grep 'keys read')" 'keys in the file'

# ---- killed while it saves ----
python3 -c 'for i in range(200000): print("SET big:%d %s" % (i, "v" * 300), end="\r\n")' | redis-cli -p "$ours" --pipe >/dev/null
assert_eq OK "$(ask "$ours" SAVE)" 'SAVE of much'
sum=$(cksum <"$TMP/d/dump.rdb")
ask "$ours" SET last eighth >/dev/null
peer die "$ours" "${PID[d]}"
wait_exit d
assert_eq "$sum" "$(cksum <"$TMP/d/dump.rdb")" 'the file after kill -9 while saving'
ours d
assert_eq seventh "$(ask "$ours" GET last)" 'what is loaded after that'
stop d

# ---- damaged files ----
damage() { # OFFSET TEXT: the byte there changes its lowest bits; the one line that comes
  cp "$TMP/b/dump.rdb" "$TMP/d/dump.rdb"
  python3 -c 'import sys
f = open(sys.argv[1], "r+b"); f.seek(int(sys.argv[2])); b = f.read(1)[0]; f.seek(int(sys.argv[2])); f.write(bytes([b ^ 3]))' "$TMP/d/dump.rdb" "$1"
  refused "$2"
}
refused() {
  "$SDLAB" cache --port 0 --data-dir "$TMP/d" >"$TMP/out" 2>"$TMP/err"
  assert_eq 1 $? "exit status with a damaged file ($1)"
  assert_lines 1 "$(cat "$TMP/err")" 'what it says'
  assert_match "$(cat "$TMP/err")" "^sdlab cache: cannot load $TMP/d/dump.rdb: $1" 'the line'
}
size=$(wc -c <"$TMP/b/dump.rdb")
damage 0 'byte 0: no RDB file'
damage 8 'byte 0: RDB version 13; expected 10 or an older one'
damage $((size - 1)) "byte [0-9]*: checksum [0-9a-f]{16}; expected [0-9a-f]{16}"
head -c $((size - 100)) "$TMP/b/dump.rdb" >"$TMP/d/dump.rdb"
refused 'the file is cut off at byte'
