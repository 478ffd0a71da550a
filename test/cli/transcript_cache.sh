#!/usr/bin/env bash
# The distributed cache as its description types it: a node, a value with an end, and the value again; then two nodes.
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

# Two nodes: whichever is asked says who has it, and each has what the other stored.
bus=$(free_port)
start node2 cache-node --port 0 --cluster-port "$bus"
one=$(port_of node2) || exit 1
start node3 cache-node --port 0 --cluster-port "$(free_port)" --join "127.0.0.1:$bus"
two=$(port_of node3) || exit 1
both() { [ "$(cache-cli -p "$one" --host 127.0.0.1 cluster info | tr -d '\r' | sed -n 's/^cluster_known_nodes://p')" = 2 ]; }
wait_for 'two nodes to know each other' both
settled() { cache-cli -p "$two" SET user:123 '{"name":"Alice"}' --ttl 3600 >"$TMP/said" 2>&1; }
wait_for 'a SET to be taken' settled
assert_match "$(cat "$TMP/said")" "^OK \\(stored on node ($one|$two)\\)\$" 'SET in a cluster'
run cache-cli -p "$one" GET user:123
assert_eq '0 {"name":"Alice"}' "$STATUS $OUT" 'GET from the other node'
stop node3
stop node2
run cache-cli GET user:123
assert_eq 1 "$STATUS" 'exit status without a node'
assert_contains "$ERR" "no cache at 127.0.0.1:$port: connection refused" 'GET without a node'
