#!/usr/bin/env bash
# A broker in hard times, the real binary: a full queue holds its own publishers and nobody else's, a publisher much faster than its consumer
# costs no more memory, a consumer that never acknowledges keeps nothing, a full disk refuses and loses nothing, a damaged log is not started with.
# plain build only
# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
sdlab_test "$@"
/usr/bin/python3 -c 'import pika' 2>/dev/null || skip python3-pika
cd "$TMP" || exit 1
DEADLINE=60

hard() { # WANT SCENE [FILE]
  local want=$1 scene=$2
  shift 2
  run /usr/bin/python3 "$ROOT/test/interop/mq_hard.py" "$scene" "$port" "$@"
  assert_eq "$want" "$OUT" "$scene ($ERR)"
}
peak_kib() { awk '$1 == "VmHWM:" { print $2 }' "/proc/${PID[$1]}/status"; }

# ---- memory ----
start mq "$SDLAB" mq --port 0 --http off --memory-high-water 8MiB
port=$(port_of mq) || exit 1
hard "held True publisher done False
flows 100 blocked []
consumed 400 blocked ['a queue it publishes to is full'] relieved True" pressure
wait_line mq 'Queue full has too much in memory: its publishers wait'
hard 'came 3000' slow
[ "$(peak_kib mq)" -lt 49152 ] || fail "188 MiB went through a broker that may hold 8: it took $(peak_kib mq) KiB"
hard 'first True False
again True True
to another True' unacked
stop mq

# ---- a damaged log ----
start mq "$SDLAB" mq --port 0 --http off --data-dir damaged
port=$(port_of mq) || exit 1
server=amqp://127.0.0.1:$port
seq 1 200 | sed 's/^/message /' | "$SDLAB" mq publish orders --lines -q --server "$server" || fail 'publish'
"$SDLAB" mq publish orders 'message 201' -q --server "$server" || fail 'publish' # proves that what stands before was on the disk
{ kill -s KILL "${PID[mq]}"
wait_exit mq; } 2>/dev/null
segment=$(find damaged -name 'mq-*.log' | sort | head -n 1)
[ -n "$segment" ] || fail "no segment: $(ls -l damaged)"
at=$(grep -abo 'message 100' "$segment" | head -n 1 | cut -d: -f1)
[ -n "$at" ] || fail 'message 100 is not in it'
printf X | dd of="$segment" bs=1 seek=$((at + 3)) conv=notrunc 2>/dev/null
run "$SDLAB" mq --port 0 --http off --data-dir damaged
assert_eq 1 "$STATUS" 'exit status with a damaged log'
assert_match "$ERR" "^sdlab mq: cannot open $segment: record at [0-9]+ has a bad checksum.*\(--salvage starts without it\)\$" 'file and offset'
start mq "$SDLAB" mq --port 0 --http off --data-dir damaged --salvage
port=$(port_of mq) || exit 1
server=amqp://127.0.0.1:$port
"$SDLAB" mq consume orders --count 200 --wait 20s --server "$server" | sed 's/^Received: //' >found
assert_eq "$(seq 1 201 | sed 's/^/message /' | grep -vx 'message 100')" "$(cat found)" 'all but the damaged one'
cmp -s "$segment" "damaged.damaged/${segment##*/}" && fail 'the log is still the damaged one'
grep -qabo 'mesXage 100' "damaged.damaged/${segment##*/}" || fail 'the damaged log is not kept'
"$SDLAB" mq publish orders after -q --server "$server" || fail 'publish after the salvage'
stop mq
start mq "$SDLAB" mq --port 0 --http off --data-dir damaged
port_of mq >/dev/null || exit 1
assert_contains "$(cat mq.log)" '1 pending message' 'a start without --salvage afterwards'
stop mq

# ---- a full disk ----
if ! unshare -rm true 2>/dev/null; then
  echo 'note: this system lets nobody mount: a full disk is not tried here'
  exit 0
fi
mkdir disk
# small OPTION...: a broker whose folder is a disk of 210 MiB: a segment, the reserve for another, and not quite room for a third once the filler is there; outside it is /proc/PID/root/...
small() {
  # shellcheck disable=SC2016 # for the other shell
  start mq unshare -rm sh -c 'mount -t tmpfs -o size=210m none "$1" && { [ ! -d saved ] || cp -a saved/. "$1"; } && shift && exec "$@"' sh "$TMP/disk" \
    "$SDLAB" mq --port 0 --http off --data-dir "$TMP/disk/log" "$@"
  port=$(port_of mq) || exit 1
  inside=/proc/${PID[mq]}/root$TMP/disk
}
small --disk-free-min 0
head -c 70M /dev/zero >"$inside/filler" || fail 'the filler'
hard 'refused True
consumed 5
transient 1' disk "$TMP/sure"
wait_line mq 'persistent messages are refused until there is room'
rm "$inside/filler"
hard 'goes on' again
wait_line mq 'persistent messages are taken again'
# what was confirmed outlives a kill, the disk with it
mkdir saved
kill -s STOP "${PID[mq]}"
cp -a "$inside/." saved/ || fail 'the disk cannot be read'
{ kill -s KILL "${PID[mq]}"
wait_exit mq; } 2>/dev/null
small --disk-free-min 0
hard 'lost [] and the one after True' left "$TMP/sure"
stop mq

# a low disk: publishers are blocked and told so, consumers go on
rm -rf saved
small --disk-free-min 40MB
"$SDLAB" mq publish kept first -q --server "amqp://127.0.0.1:$port" || fail 'publish'
head -c 60M /dev/zero >"$inside/filler" || fail 'the filler'
wait_line mq 'less room on the disk than disk-free-min: publishers wait'
start scene /usr/bin/python3 "$ROOT/test/interop/mq_hard.py" blocked "$port" "$TMP/room"
: >room.look
wait_for 'the publisher to wait' test -e room
rm "$inside/filler"
wait_line mq 'there is room on the disk again: publishers go on'
wait_exit scene
assert_eq "waits True gets b'first'
went on [(['low on disk'], 1)]" "$(cat scene.log)" 'a low disk'
stop mq
