#!/usr/bin/env bash
# A transaction of the kv service is one batch, whatever is in it: commands that go over all keys see what it wrote before them and
# write nothing down, and of a log that a power cut ended anywhere within it nothing of it comes back.
# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
sdlab_test "$@"
need redis-tools redis-cli

serve() { # NAME FOLDER OPTION...
  local name=$1 dir=$2
  shift 2
  start "$name" "$SDLAB" kv --data-dir "$dir" --port 0 --memtable 1MiB "$@"
  port=$(port_of "$name") || exit 1
}
cli() { redis-cli -p "$port" "$@"; }
batches() { cli info lsm | tr -d '\r' | sed -n 's/^batches://p'; }

tries() { # FORMAT
  local dir=$TMP/$1 before end
  serve "$1" "$dir" --format "$1"
  cli mset b store d store f store >/dev/null
  cli compact >/dev/null # these are in a table, what follows in memory
  cli set h store >/dev/null
  before=$(batches)
  cli >"$TMP/said" <<'COMMANDS'
multi
set a new
del b
set c new
set d again
keys *
dbsize
scan 0 count 2
scan 0 match [fgh] count 100
info keyspace
set z new
randomkey
dbsize
flushall
keys *
dbsize
randomkey
info keyspace
set e last
set g gone
del g
keys *
dbsize
randomkey
exec
COMMANDS
  assert_eq $((before + 1)) "$(batches)" "$1: batches that a transaction was written in"
  # From the array of EXEC's answer: what each of them saw.
  sed '1,/^QUEUED$/d; /^QUEUED$/d' "$TMP/said" | tr -d '\r' | tr '\n' ' ' >"$TMP/exec"
  end=$(cat "$TMP/exec")
  assert_match "$end" ' OK 1 OK OK a c d f h 5 [0-9]+ a c 0 f h # Keyspace db0:keys=5,expires=0,avg_ttl=0  ?OK [acdfhz] 6 OK  0  ' "$1: what is seen over the store"
  assert_match "$end" ' # Keyspace +OK OK 1 e 1 e $' "$1: what is seen over a store that was emptied"
  assert_eq 'e' "$(cli keys '*')" "$1: what it left"

  # ---- a power cut within it ----
  cli set e last >/dev/null
  cli >/dev/null <<'COMMANDS'
multi
set p 1
keys *
set q 2
scan 0
dbsize
info
randomkey
set r 3
exec
COMMANDS
  kill -s KILL "${PID[$1]}"
  wait_exit "$1" 2>/dev/null # the shell would say Killed
  logs=("$dir"/*.log)
  log=${logs[-1]}
  size=$(stat -c %s "$log")
  for less in 0 1 9 17 25; do
    cp -r "$dir" "$dir.$less"
    truncate -s $((size - less)) "$dir.$less/${log##*/}"
    serve "$1.$less" "$dir.$less" --format "$1"
    [ "$less" = 0 ] && expected='e p q r ' || expected='e '
    assert_eq "$expected" "$(cli keys '*' | tr '\n' ' ')" "$1: what is there when the last $less bytes of the log are not"
    stop_quietly "$1.$less"
  done
}

tries sdlab
tries leveldb

# ---- WATCH, and a turn that many write in: a transaction of one is not split by what another asks ----
serve many "$TMP/many"
before=$(batches)
cli >"$TMP/out" <<'COMMANDS'
watch w
multi
set w 1
keys *
exec
COMMANDS
assert_eq "$((before + 1)) w" "$(batches) $(tail -n 1 "$TMP/out")" 'a transaction that watches'

# ---- one that goes over many keys of its own again and again is told, and holds up nobody ----
awk 'BEGIN {
  print "multi"
  printf "mset"
  for (i = 0; i < 8000; i++) printf " k%d v", i
  print ""
  for (i = 0; i < 600; i++) print "scan 0 count 1"
  print "exec"
  print "multi\nscan 0 count 1\nset k1 w\nscan 0 count 1\nexec\nflushall"
}' | cli >"$TMP/out"
# 525 times 8000 keys are more than 4194304; the next transaction begins anew
assert_eq 75 "$(grep -c 'goes over the keys that it writes too often' "$TMP/out")" 'SCAN in a transaction of many keys: how many are refused'
cli set w 1 >/dev/null

# ---- a cursor that is not known begins anew ----
for ((i = 100; i < 130; i++)); do echo "set key:$i v"; done | cli >/dev/null
cli scan 123456789 count 100 >"$TMP/scan"
assert_eq 0 "$(head -n 1 "$TMP/scan")" 'SCAN of a cursor that nobody gave: where it goes on'
assert_eq 32 "$(grep -c . "$TMP/scan")" 'SCAN of a cursor that nobody gave: what it gives'
assert_contains "$(cli scan x)" 'invalid cursor' 'SCAN of what is no number'
cursor=$(cli scan 0 count 20 | head -n 1)
stop many
serve again "$TMP/many"
assert_eq 32 "$(cli scan "$cursor" count 100 | grep -c .)" 'SCAN of a cursor of another life'

# ---- a flush that was asked for is none of a memtable that is full ----
cli compact >/dev/null
assert_match "$(cat "$TMP/again.log")" '\[LSM\] Flushing memtable \([0-9.]+MB\) to SSTable\.\.\.' 'a flush that was asked for'
assert_lacks "$(cat "$TMP/again.log")" 'Memtable full' 'a flush that was asked for'
stop again
