#!/usr/bin/env bash
# kill -9, again and again, while clients write and tables are merged: what was acknowledged is there after each start. Each client has keys
# of its own and a ledger of the answers it got; of its last writes, which got none, either value may be there. Four keys of each are only
# set together, in a transaction: they are alike at any time. Some values are large enough to be kept apart.
# ROUNDS=n: so many rounds (2).
# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
sdlab_test "$@"
need python3 python3
rounds=${ROUNDS:-2}

cat >"$TMP/client.py" <<'PY'
"""client.py write|check|merge PORT LEDGER SEED: SETs of 40 keys until the server is gone, or what they are now; or only merges."""
import random, socket, sys

verb, port, path, seed = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]
KEYS = 40
GROUP = 4  # the last ones


def command(*words):
    out = b"*%d\r\n" % len(words)
    for w in words:
        out += b"$%d\r\n%s\r\n" % (len(w), w)
    return out


def name(k):
    return b"c%s:%d" % (seed.encode(), k)


def value(n):
    return b"%d:" % n + b"v" * (n * 7919 % (150000 if n % 61 == 0 else 6000 if n % 9 == 0 else 200))


def load():
    acked, doubt, last = {}, {}, 0
    try:
        lines = open(path).read().splitlines()
    except FileNotFoundError:
        lines = []
    for line in lines:
        what, k, n = line.split()
        last = max(last, int(n))
        if what == "sent":
            doubt.setdefault(k, []).append(int(n))
        else:  # what was sent later is still open, unless that is what was found
            acked[k] = int(n)
            doubt[k] = [d for d in doubt.get(k, []) if what == "acked" and d > int(n)]
    return acked, doubt, last


s = socket.create_connection(("127.0.0.1", port))
f = s.makefile("rb")
acked, doubt, n = load()
ledger = open(path, "a", buffering=1)
if verb == "write":
    rng = random.Random("%s %d" % (seed, n))
    try:
        while True:
            n += 1
            together = rng.randrange(5) == 0
            if together:
                some = [(KEYS - GROUP + i, n) for i in range(GROUP)]
            else:
                some = [(rng.randrange(KEYS - GROUP), n + i) for i in range(1 + rng.randrange(4))]
            n = some[-1][1]
            for k, v in some:
                ledger.write("sent %d %d\n" % (k, v))
            sets = b"".join(command(b"SET", name(k), value(v)) for k, v in some)
            s.sendall(command(b"MULTI") + sets + command(b"EXEC") if together else sets)
            for i in range(GROUP + 2 if together else 0):
                if not f.readline().endswith(b"\r\n"):
                    sys.exit(0)
            for k, v in some:
                if f.readline() != b"+OK\r\n":
                    sys.exit(0)
                ledger.write("acked %d %d\n" % (k, v))
    except OSError:
        sys.exit(0)
if verb == "merge":
    try:
        while s.send(command(b"COMPACT")) and f.readline():
            pass
    except OSError:
        pass
    sys.exit(0)
wrong = 0
group = set()
for k in range(KEYS):
    s.sendall(command(b"GET", name(k)))
    size = int(f.readline()[1:])
    got = 0 if size < 0 else int(f.read(size + 2).split(b":")[0])
    if k >= KEYS - GROUP:
        group.add(got)
    due = [acked.get(str(k), 0)] + doubt.get(str(k), [])
    if got not in due:
        print("client %s, key %d: got %d, expected one of %s" % (seed, k, got, due))
        wrong += 1
    elif got:
        ledger.write("found %d %d\n" % (k, got))
if len(group) > 1:
    print("client %s: a transaction is there in part: %s" % (seed, sorted(group)))
    wrong += 1
print("%d" % len(acked))
sys.exit(wrong > 0)
PY

serve() { # NAME
  local sync=no # kill -9 takes nothing that the kernel has
  [ "$1" != r2 ] || sync=always
  start "$1" "$SDLAB" kv --data-dir "$TMP/kv-data" --port 0 --memtable 64KiB --sync "$sync"
  port=$(port_of "$1") || exit 1
}
check() { # ROUND
  local c
  for c in 1 2 3; do
    python3 "$TMP/client.py" check "$port" "$TMP/ledger$c" "$c" >"$TMP/said" 2>&1 || fail "round $1: $(cat "$TMP/said")"
  done
}
lines() { cat "$TMP"/ledger? 2>/dev/null | grep -c '^acked'; }

enough() { [ "$(lines)" -ge "$more" ]; }

for ((round = 1; round <= rounds; round++)); do
  serve "r$round"
  [ "$round" = 1 ] || check "$round"
  before=$(lines)
  writers=()
  for c in 1 2 3; do
    python3 "$TMP/client.py" write "$port" "$TMP/ledger$c" "$c" 2>"$TMP/client$c.err" &
    writers+=($!)
  done
  if [ $((round % 2)) = 0 ]; then
    python3 "$TMP/client.py" merge "$port" "$TMP/merges" 0 2>"$TMP/merges.err" &
    writers+=($!)
  fi
  more=$((before + 40 + round * 37 % 200)) # not always at the same place of the log
  wait_for "$more acknowledged writes" enough
  kill -s KILL "${PID[r$round]}"
  wait_exit "r$round" 2>/dev/null # the shell would say Killed
  wait "${writers[@]}"
done
serve last
check last
echo 'acked 0 999999999' >>"$TMP/ledger1" # the control: a ledger that knows of more
python3 "$TMP/client.py" check "$port" "$TMP/ledger1" 1 >"$TMP/said" && fail 'what is missing is not missed'
assert_contains "$(cat "$TMP/said")" 'expected one of [999999999]' 'the control'
stop last
[ "$(lines)" -ge $((rounds * 40)) ] || fail "only $(lines) writes were acknowledged"
printf '%s rounds, %s writes acknowledged\n' "$rounds" "$(lines)"
