#!/usr/bin/env bash
# What the cache says it uses is what it takes from the machine; a limit holds; a connection that does not read counts too.
# plain build only
# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
sdlab_test "$@"
need redis-tools redis-cli

ask() { redis-cli -p "$port" "$@"; }
used() { ask INFO memory | tr -d '\r' | sed -n 's/^used_memory://p'; }
rss() { awk '/^VmRSS/ { print $2 * 1024 }' "/proc/${PID[$1]}/status"; }

# fill FROM TO: a key each, with 64 bytes.
fill() {
  awk -v from="$1" -v to="$2" 'BEGIN {
    v = sprintf("%064d", 0)
    for (i = from; i < to; i++) {
      k = "key:" i
      printf "*3\r\n$3\r\nSET\r\n$%d\r\n%s\r\n$64\r\n%s\r\n", length(k), k, v
    }
  }' | ask --pipe >"$TMP/pipe" || fail 'redis-cli --pipe'
}

start free "$SDLAB" cache --port 0
port=$(port_of free) || exit 1
fill 0 1000
rss0=$(rss free) used0=$(used)
fill 0 1000000
rss1=$(rss free) used1=$(used)
assert_eq 1000000 "$(ask DBSIZE)"
awk -v real=$((rss1 - rss0)) -v told=$((used1 - used0)) 'BEGIN { exit !(told > 0.95 * real && told < 1.05 * real) }' ||
  fail "a million keys: used_memory grew by $((used1 - used0)) bytes, the process by $((rss1 - rss0))"

# A client that asks for much and does not read: what is kept for it counts while it is there.
ask SET big "$(head -c 100000 /dev/zero | tr '\0' x)" >"$TMP/set"
before=$(used)
exec 9<>"/dev/tcp/127.0.0.1/$port"
for _ in $(seq 200); do printf 'GET big\r\n' >&9; done
more() { [ "$(used)" -ge $((before + 60000)) ]; }
wait_for 'the replies that nobody reads to count' more
exec 9>&- 9<&-
less() { [ "$(used)" -lt $((before + 20000)) ]; }
wait_for 'their memory to be given back' less
stop free

# A limit, with the policy of the command line.
start full "$SDLAB" cache --port 0 --max-memory 20MiB
port=$(port_of full) || exit 1
assert_contains "$(ask CONFIG GET maxmemory-policy)" allkeys-s3fifo
rss0=$(rss full) used0=$(used)
fill 0 1000000
below() { [ "$(used)" -le $((20 * 1024 * 1024 + 100000)) ]; }
wait_for 'memory to be below its limit' below
grown=$(($(rss full) - rss0))
[ "$grown" -lt $((23 * 1024 * 1024)) ] || fail "with 20 MiB the process grew by $grown bytes"
assert_match "$(ask INFO stats)" 'evicted_keys:[1-9][0-9]{4}'
assert_eq OK "$(ask CONFIG SET maxmemory 5mb)"
lower() { [ "$(used)" -le $((5 * 1024 * 1024)) ]; }
wait_for 'memory to come below a lower limit, though nobody asks for anything' lower
assert_eq OK "$(ask CONFIG SET maxmemory-policy noeviction maxmemory 1000)"
assert_eq "OOM command not allowed when used memory > 'maxmemory'." "$(ask SET a b)"
stop full

run "$SDLAB" cache --max-memory 1MB --max-memory-policy lru --check-config
assert_eq 2 "$STATUS"
assert_contains "$ERR" max-memory-policy

start plain "$SDLAB" cache --port 0
port=$(port_of plain) || exit 1
assert_contains "$(ask CONFIG GET maxmemory-policy)" noeviction
stop plain
