#!/usr/bin/env bash
# The distributed cache as its description types it: a node, a value with an end, and the value again.
. "$(dirname "$0")/../lib.sh"
sdlab_test "$@"

"$SDLAB" install -s "$TMP/bin" >/dev/null || fail 'install -s'
PATH=$TMP/bin:$PATH
start node1 cache-node --port 0
# Nodes have other ports here, since those of the text may be taken.
port=$(port_of node1) || exit 1
export SDLAB_CACHE_URL=redis://127.0.0.1:$port

run cache-cli SET user:123 '{"name":"Alice"}' --ttl 3600
assert_eq "0 OK" "$STATUS $OUT" 'SET'
run cache-cli GET user:123
assert_eq '0 {"name":"Alice"}' "$STATUS $OUT" 'GET'
run cache-cli TTL user:123
assert_match "$OUT" '^(3600|359[0-9])$' 'the end of the value'
stop node1
run cache-cli GET user:123
assert_eq 1 "$STATUS" 'exit status without a node'
assert_contains "$ERR" "no cache at 127.0.0.1:$port: connection refused" 'GET without a node'
