#!/usr/bin/env bash
# Leases and hot keys through an ordinary client, in both protocols; a hundred clients that miss one key at the same time.
# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
sdlab_test "$@"
need redis-tools redis-cli

start ours "$SDLAB" cache --port 0
port=$(port_of ours) || exit 1
ask() { redis-cli -p "$port" "$@"; }

for protocol in -2 -3; do
  ask DEL page >"$TMP/del"
  mapfile -t got < <(ask "$protocol" GETLEASE page 60000)
  assert_eq LEASE "${got[0]}"
  assert_match "${got[1]}" '^[1-9][0-9]*$'
  assert_eq '' "${got[2]}" 'stale value'
  mapfile -t other < <(ask "$protocol" GETLEASE page 60000)
  assert_eq WAIT "${other[0]}"
  assert_match "${other[1]}" '^[1-9][0-9]*$'
  assert_eq '' "$(ask "$protocol" SETLEASE page 1 wrong)" 'with a wrong token'
  assert_eq OK "$(ask "$protocol" SETLEASE page "${got[1]}" '<html>' EX 60 STALE 60000)"
  assert_eq $'HIT\n<html>' "$(ask "$protocol" GETLEASE page 1000)"
  assert_eq '<html>' "$(ask "$protocol" GET page)"
done

# All ask before one of them has set it: one lease, and 99 that are told to wait.
ask DEL page >"$TMP/del"
for _ in $(seq 100); do echo 'GETLEASE page 60000'; done | ask >"$TMP/asked"
assert_eq 1 "$(grep -c '^LEASE' "$TMP/asked")" leases
assert_eq 99 "$(grep -c '^WAIT' "$TMP/asked")" 'told to wait'

# About one command in sixteen is counted, so that of 20,000 the key that half of them name is first.
for i in $(seq 10000); do
  echo 'GET hot'
  echo "GET cold:$i"
done | ask >"$TMP/asked"
mapfile -t hot < <(ask HOTKEYS COUNT 1)
assert_eq hot "${hot[0]}"
[ "${hot[1]}" -gt 100 ] || fail "expected many accesses a second, found ${hot[1]}"
stop ours
