#!/usr/bin/env bash
# Nodes that were started with different write quorums, or without one, promise different things: none takes another in, each says why, and
# nodes that promise the same become one cluster all the same.
. "$(dirname "$0")/../lib.sh"
sdlab_test "$@"

declare -A port
node() { # NAME OPTIONS...
  local name=$1
  shift
  start "$name" "$SDLAB" cache --port 0 --cluster-port 0 --gossip-interval 100ms --replicas 2 "$@"
  port[$name]=$(port_of "$name") || exit 1
}
ask() { # NAME COMMAND...
  local name=$1
  shift
  SDLAB_CACHE_URL=resp://127.0.0.1:${port[$name]} timeout 20 "$SDLAB" cache "$@" 2>&1
}
bus_of() { ask "$1" CLUSTER NODES | sed -n "s/.*@\([0-9]*\) myself.*/\1/p"; }
knows() { # NAME HOW-MANY
  [ "$(ask "$1" CLUSTER INFO | tr -d '\r' | sed -n 's/^cluster_size://p')" = "$2" ]
}
answers() { ask "$1" SET k v | grep -q '^OK'; }

node one --write-quorum 2
seed="127.0.0.1:$(bus_of one)"
node two --write-quorum 2 --join "$seed"
for n in one two; do wait_for "$n to know two nodes" knows "$n" 2; done
wait_for 'an answer' answers one

node three --write-quorum 3 --join "$seed"
wait_line one "Node ${port[three]} has --write-quorum 3 and this one --write-quorum 2: the two do not become one cluster"
wait_line three "Node ${port[one]} has --write-quorum 2 and this one --write-quorum 3: the two do not become one cluster"
node four --join "$seed"
wait_line one "Node ${port[four]} has no --write-quorum and this one --write-quorum 2: the two do not become one cluster"
wait_line four "Node ${port[two]} has --write-quorum 2 and this one no --write-quorum: the two do not become one cluster"

# One that does promise the same is taken in after all that, and nobody else is.
node five --write-quorum 2 --join "$seed"
for n in one two five; do wait_for "$n to know three nodes" knows "$n" 3; done
wait_for 'an answer' answers five
assert_contains "$(ask three SET k v)" 'CLUSTERDOWN'
knows four 1 || fail "one without a quorum is in a cluster: $(ask four CLUSTER INFO)"
knows one 3 || fail "there are others in the cluster: $(ask one CLUSTER INFO)"
assert_eq 1 "$(grep -c "Node ${port[three]} has" "$TMP/one.log")" 'it is said once'
