#!/usr/bin/env bash
# A ring of three nodes, typed as a person would, through a folder of links: every line in its form, every figure true.

# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
sdlab_test "$@"
need python3 python3

"$SDLAB" --install -s "$TMP/farm" >/dev/null || fail 'sdlab --install -s'
cd "$TMP/farm" || exit 1
for link in hash-ring-cli hash-ring-viz; do [ -L "$link" ] || fail "no link $link"; done

# The figures, worked out by other means: shares NODE... as the lines say them; lookup KEY NODE...: the order of its replicas.
cat >figures.py <<'END'
import hashlib, sys
def place(text): return int(hashlib.md5(text.encode()).hexdigest()[:8], 16)
def points(nodes): return sorted((place("%s-%d" % (n, i)), n) for n in nodes for i in range(1, 151))
def shares(nodes):
    ring, part = points(nodes), dict.fromkeys(nodes, 0)
    for k, (at, node) in enumerate(ring):
        part[node] += (at - ring[k - 1][0]) % 2**32 or (2**32 if len(ring) == 1 else 0)
    return {n: part[n] / 2**32 * 100 for n in nodes}
what, *rest = sys.argv[1:]
if what == "shares":
    for node, share in shares(rest).items(): print("[RING] %s owns %.1f%% of ring" % (node, share))
elif what == "share": print("%.1f%%" % shares(rest[1:])[rest[0]])
else:
    ring, h = points(rest[1:]), place(rest[0])
    seen = [n for at, n in ring if at >= h] + [n for at, n in ring if at < h]
    order = list(dict.fromkeys(seen))
    print("Key '%s' → %s (hash: 0x%08X)\nReplicas: [%s] (RF=%d)" % (rest[0], order[0], h, ", ".join(order), len(order)))
END
figures() { PYTHONIOENCODING=utf-8 python3 figures.py "$@"; }

# expect LINES COMMAND...
expect() {
  local want=$1
  shift
  run "$@"
  assert_eq 0 "$STATUS" "exit status of $* ($ERR)"
  assert_eq "$want" "$OUT" "$*"
}

expect '[RING] Initial ring with 0 nodes' ./hash-ring-viz
expect "[RING] Added node-A with 150 virtual nodes
[RING] node-A owns 100.0% of ring" ./hash-ring-cli add node-A --vnodes 150
expect "[RING] Added node-B with 150 virtual nodes
$(figures shares node-A node-B)" ./hash-ring-cli add node-B --vnodes 150
expect "[RING] Added node-C with 150 virtual nodes
$(figures shares node-A node-B node-C)" ./hash-ring-cli add node-C --vnodes 150
expect "$(figures lookup user:123 node-A node-B node-C)" ./hash-ring-cli lookup user:123
run ./hash-ring-cli LOOKUP user:123
assert_contains "$OUT" "Key 'user:123' → " 'a verb in capitals'
# What moves is what the node had, to a digit.
gone=$(figures share node-B node-A node-B node-C)
expect "[RING] Removed node-B
[RING] Keys moved: $gone (only node-B's keys)
$(figures shares node-A node-C)" ./hash-ring-cli remove node-B

run ./hash-ring-cli visualize user:123
assert_eq 0 "$STATUS" 'visualize'
assert_eq 'Ring (0 to 2^32):' "$(head -n 1 <<<"$OUT")" 'the heading'
assert_match "$OUT" '^ +node-[AC]-v[0-9]+$' 'the point at the top'
assert_match "$OUT" '^ +╭(─)+╮$' 'the frame'
assert_match "$OUT" '^ +[AC]-v[0-9]+ ┤ .*├ [AC]-v[0-9]+$' 'points at the sides'
assert_contains "$OUT" '[user:123]' 'the key'
assert_match "$OUT" '^ +╰(─)+╯$' 'the frame'
assert_lacks "$OUT" $'\033' 'no colours where there is no terminal'
assert_lacks "$OUT" node-B 'a node that is gone'
# The first point at or behind the top is the lowest of all.
top=$(python3 -c 'import sys; sys.argv = ["", "none"]; exec(open("figures.py").read().split("what,")[0])
at, node = points(["node-A", "node-C"])[0]
print("%s-v%d" % (node, next(i for i in range(1, 151) if place("%s-%d" % (node, i)) == at)))')
assert_eq "$top" "$(sed -n '2s/^ *//p' <<<"$OUT")" 'the point at the top'
run ./hash-ring-viz
assert_contains "$OUT" 'Ring (0 to 2^32):' 'hash-ring-viz'
