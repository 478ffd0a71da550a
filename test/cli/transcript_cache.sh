#!/usr/bin/env bash
# The distributed cache as its description types it: a node, a value with an end, and the value again; then three nodes,
# of which the one that has it is killed.
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

# Three nodes: whichever is asked says who has it, and each has what the others stored.
bus=$(free_port)
start node2 cache-node --port 0 --cluster-port "$bus"
two=$(port_of node2) || exit 1
start node3 cache-node --port 0 --cluster-port "$(free_port)" --join "localhost:$bus"
three=$(port_of node3) || exit 1
start node4 cache-node --port 0 --cluster-port "$(free_port)" --join "localhost:$bus"
four=$(port_of node4) || exit 1
cli() { cache-cli --host 127.0.0.1 -p "$@"; }
know() { # COUNT PORT...: all of them know so many nodes, and nothing is on its way
  local n=$1 port
  shift
  for port in "$@"; do
    [ "$(cli "$port" cluster info | tr -d '\r' | sed -n 's/^cluster_known_nodes://p')" = "$n" ] || return 1
    [ "$(cli "$port" cluster nodes | grep -c ' connected')" -ge 2 ] || return 1
  done
}
wait_for 'three nodes to know each other' know 3 "$two" "$three" "$four"
# copied: the node that answers is not the only one that has it
copied() {
  cli "$two" SET user:123 '{"name":"Alice"}' --ttl 3600 >"$TMP/said" 2>&1 && [ "$(printf 'SET user:123 {}\nWAIT 1 1000\n' | cli "$two" | tail -n 1)" = 1 ] &&
    cli "$two" SET user:123 '{"name":"Alice"}' --ttl 3600 >"$TMP/said"
}
wait_for 'a SET to be taken and copied' copied
assert_match "$(cat "$TMP/said")" "^OK \\(stored on node ($two|$three|$four)\\)\$" 'SET in a cluster'
at=$(sed 's/[^0-9]//g' "$TMP/said")
run cache-cli --host 127.0.0.1 -p "$three" GET user:123
assert_eq '0 {"name":"Alice"}' "$STATUS $OUT" 'GET from another node'
case $at in
"$two") gone=node2 ask=$three ;;
"$three") gone=node3 ask=$four ;;
*) gone=node4 ask=$two ;;
esac
stop "$gone" KILL 137
served() { run cache-cli --host 127.0.0.1 -p "$ask" GET user:123 && [ "$STATUS" = 0 ] && [[ $OUT == *replica* ]]; }
wait_for 'the copy to be served' served
assert_match "$OUT" '^\{"name":"Alice"\} \(from replica on [0-9]+\)$' 'GET after its node died'
for node in node2 node3 node4; do [ "$node" = "$gone" ] || stop "$node"; done
run cache-cli GET user:123
assert_eq 1 "$STATUS" 'exit status without a node'
assert_contains "$ERR" "no cache at 127.0.0.1:$port: connection refused" 'GET without a node'
