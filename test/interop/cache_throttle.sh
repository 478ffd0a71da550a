#!/usr/bin/env bash
# CL.THROTTLE with an ordinary client, in both protocols: the example of redis-cell's documentation, a key that ends, and a bucket that goes
# to another server with DUMP and RESTORE.
# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
sdlab_test "$@"
need redis-tools redis-cli

start ours "$SDLAB" cache --port 0
start other "$SDLAB" cache --port 0
port=$(port_of ours) || exit 1
there=$(port_of other) || exit 1
ask() { redis-cli -p "$port" "$@" | tr '\n' ' '; }

for protocol in -2 -3; do
  ask DEL user123 >"$TMP/del"
  assert_eq '0 16 15 -1 2 ' "$(ask "$protocol" CL.THROTTLE user123 15 30 60)"
  began=$SECONDS
  assert_eq '0 3 0 -1 2592000 ' "$(ask "$protocol" CL.THROTTLE "slow$protocol" 2 3 2592000 3)"
  read -r -a said < <(ask "$protocol" CL.THROTTLE "slow$protocol" 2 3 2592000)
  assert_eq '5 1 3 0' "${#said[*]} ${said[*]:0:3}" 'a bucket that is empty'
  assert_left 864000 "$began" "${said[3]}" 'until one passes'
  assert_left 2592000 "$began" "${said[4]}" 'until all is there'
done
assert_match "$(ask PTTL user123)" '^[1-9][0-9]* $'

# At once so many as the bucket holds, whoever asks.
for _ in $(seq 60); do echo 'CL.THROTTLE burst 19 1 3600'; done | redis-cli -p "$port" >"$TMP/burst"
assert_eq 20 "$(awk 'NR % 5 == 1 && $1 == 0' "$TMP/burst" | wc -l)" 'taken of 60'

redis-cli -p "$port" -D '' DUMP slow-2 | redis-cli -p "$there" -x RESTORE copy 2591000000 >"$TMP/restored"
assert_eq OK "$(cat "$TMP/restored")"
assert_match "$(redis-cli -p "$there" CL.THROTTLE copy 2 3 2592000 | tr '\n' ' ')" '^1 3 0 [0-9]* [0-9]* $'
stop ours
stop other
