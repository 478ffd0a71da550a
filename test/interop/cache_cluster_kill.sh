#!/usr/bin/env bash
# Three nodes, writes through all of them, and one is killed: nothing is missing that was acknowledged, but what was on its way at
# that moment, and with a write quorum nothing at all; then each key has two copies again. One that joins gets its share.
# one thread
# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
sdlab_test "$@"
need redis-tools redis-cli
need python3 python3

declare -A port
node() { # NAME OPTIONS...
  local name=$1
  shift
  start "$name" "$SDLAB" cache --port 0 --cluster-port 0 --gossip-interval 200ms --replicas 1 "$@"
  port[$name]=$(port_of "$name") || exit 1
}
cli() { # NAME ARGUMENTS...
  local name=$1
  shift
  timeout 20 redis-cli -p "${port[$name]}" "$@" 2>&1
}
bus_of() { cli "$1" CLUSTER NODES | sed -n 's/.*@\([0-9]*\) myself.*/\1/p'; }
knows() { # NAME HOW-MANY
  [ "$(cli "$1" CLUSTER INFO | tr -d '\r' | sed -n 's/^cluster_size://p')" = "$2" ]
}
# Keys that nodes have of their own and as copies: all together, so many for each key.
copies_are() { # KEYS-AND-COPIES NODES...
  local want=$1 sum=0 n
  shift
  for n; do sum=$((sum + $(cli "$n" INFO keyspace | tr -d '\r' | sed -n 's/^db0:keys=\([0-9]*\),.*/\1/p'))); done
  [ "$sum" = "$want" ]
}
moment() { python3 -c 'import time; print(time.monotonic())'; }
wrote() { [ -e "$TMP/acked.$1" ] && [ "$(wc -l <"$TMP/acked.$1")" -gt "$2" ]; }
two_of_each() { copies_are $((2 * $(cli one DBSIZE))) one three; }

# Writes keys one after another at the ports given, until a file is there; what was acknowledged, and when, goes to another.
cat >"$TMP/write.py" <<'PY'
import os, socket, sys, time
stop, out, tag, ports = sys.argv[1], sys.argv[2], sys.argv[3], [int(p) for p in sys.argv[4:]]
links, n = {}, 0
with open(out, "w") as log:
    while not os.path.exists(stop):
        port = ports[n % len(ports)]
        key = "%s:%d" % (tag, n)
        n += 1
        try:
            if port not in links:
                links[port] = socket.create_connection(("127.0.0.1", port), 5)
                links[port].settimeout(5)
            sent = time.monotonic()
            links[port].sendall(b"SET %s %d\r\n" % (key.encode(), n))
            reply = b""
            while not reply.endswith(b"\r\n"):
                more = links[port].recv(100)
                if not more:
                    raise OSError("closed")
                reply += more
            if reply.startswith(b"+OK"):
                log.write("%s %d %.6f %.6f\n" % (key, n, sent, time.monotonic()))
                log.flush()
        except OSError:
            links.pop(port, None)
PY
# Which of them are not there, or other than written; but for those that were on their way at a moment: sent before it, and answered not
# longer before it than so many ms. (The writer may see an answer late, so that nothing is said of how long after it.)
cat >"$TMP/missing.py" <<'PY'
import socket, sys
port, since, until, grace = int(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3]), float(sys.argv[4]) / 1000
s = socket.create_connection(("127.0.0.1", port), 20)
s.settimeout(20)
f = s.makefile("rb")
missing = late = total = 0
for name in sys.argv[5:]:
    for line in open(name):
        key, value, sent, at = line.split()
        s.sendall(b"GET %s\r\n" % key.encode())
        head = f.readline()
        got = f.readline().strip().decode() if head[:1] == b"$" and head != b"$-1\r\n" else None
        total += 1
        if got != value:
            late += 1
            if not grace or not (float(sent) <= until and since - grace <= float(at)):
                missing += 1
                print(key, value, got, "%.3f s after" % (float(at) - until), file=sys.stderr)
print(total, missing, late)
PY

kill_one() { # QUORUM GRACE-MS
  local quorum=$1 grace=$2 n since until total missing lost writers=()
  rm -f "$TMP/stop" "$TMP"/acked.*
  for n in one two three; do wait_for "$n to know three nodes" knows "$n" 3; done
  for n in 1 2 3; do
    python3 "$TMP/write.py" "$TMP/stop" "$TMP/acked.$n" "w$quorum$n" "${port[one]}" "${port[two]}" "${port[three]}" &
    writers+=($!)
  done
  for n in 1 2 3; do wait_for "writer $n" wrote "$n" 300; done
  since=$(moment)
  kill -KILL "${PID[two]}"
  until=$(moment)
  wait_for 'one to miss it' knows one 2
  wait_for 'three to miss it' knows three 2
  wait_for 'writes to go on' wrote 1 $(($(wc -l <"$TMP/acked.1") + 50))
  touch "$TMP/stop"
  wait "${writers[@]}"
  read -r total missing lost < <(python3 "$TMP/missing.py" "${port[one]}" "$since" "$until" "$grace" "$TMP"/acked.[123])
  [ "$total" -gt 900 ] || fail "only $total writes"
  assert_eq 0 "$missing" "quorum $quorum: of $total acknowledged writes are missing; with those on their way $lost"
  wait_line one 'Redistribution complete'
  wait_for 'two copies of each key' two_of_each
}

node one
for n in two three; do node "$n" --join "127.0.0.1:$(bus_of one)"; done
kill_one 1 50

# A new node gets its share, and every key has two copies still.
keys=$(cli one DBSIZE)
node four --join "127.0.0.1:$(bus_of one)"
wait_for 'four to know three nodes' knows four 3
wait_for 'copies of each key on three nodes' copies_are $((2 * keys)) one three four
assert_eq "$keys" "$(cli four DBSIZE)"
share=$(cli four INFO keyspace | sed -n 's/^db0:keys=\([0-9]*\),.*/\1/p')
if [ "$share" -le $((keys / 5)) ] || [ "$share" -ge $((2 * keys)) ]; then fail "the new node has $share of $keys keys"; fi

for n in one three four; do stop "$n"; done
node one --write-quorum 2
for n in two three; do node "$n" --write-quorum 2 --join "127.0.0.1:$(bus_of one)"; done
for n in one two three; do wait_for "$n to know three nodes" knows "$n" 3; done
assert_eq OK "$(cli one SET a 1)"
copies=$(printf 'SET a 2\nWAIT 1 2000\n' | cli two | tail -n 1)
[ "$copies" -ge 1 ] || fail "WAIT says $copies" # 2 while the last one that came in gets its share
kill_one 2 0
