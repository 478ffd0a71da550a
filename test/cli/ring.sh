#!/usr/bin/env bash
# sdlab ring as a person uses it: other algorithms, weights, zones, keys from files, JSON, the picture, the file and what is
# wrong with it.
# plain build only: the unit tests run under the sanitizers

# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
sdlab_test "$@"
cd "$TMP" || exit 1
seq -f 'user:%.0f' 1 5000 >keys

# good ARGUMENT...: it is done, and says nothing on standard error.
good() {
  run "$SDLAB" ring "$@"
  assert_eq 0 "$STATUS" "exit status of ring $* ($ERR)"
  assert_eq '' "$ERR" "standard error of ring $*"
}
refused() { # STATUS PATTERN ARGUMENT...
  local status=$1 pattern=$2
  shift 2
  run "$SDLAB" ring "$@"
  assert_eq "$status" "$STATUS" "exit status of ring $* ($ERR)"
  assert_lines 1 "$ERR" "ring $*"
  assert_match "$ERR" "$pattern" "ring $*"
  assert_eq '' "$OUT" "standard output of ring $*"
}

# ---- the file: what sdlab-ring(5) says, written whole, for its owner alone ----
good add node-A
good add --weight 2 --zone eu-1 node-B
cat >want <<'END'
# A consistent hashing ring of sdlab; see sdlab-ring(5).
version: 1
algorithm: vnodes
hash: md5
replicas: 3
count: 2
nodes:
  - {name: "node-A", vnodes: 150, weight: 1}
  - {name: "node-B", vnodes: 150, weight: 2, zone: "eu-1"}
END
assert_same want ring.yaml 'ring.yaml'
assert_eq 600 "$(stat -c %a ring.yaml)" 'mode of ring.yaml'
[ ! -e ring.yaml.new ] || fail 'ring.yaml.new is left'
# By hand, with comments and defaults, it is the same ring.
printf '# mine\nversion: 1\nnodes: [{name: node-A}, {name: node-B, weight: 2, zone: eu-1}]\n' >mine.yaml
good diff ring.yaml mine.yaml
assert_contains "$OUT" 'Keys moved: 0.0%' 'a ring written by hand'
good add --state mine.yaml node-C
assert_match "$(cat mine.yaml)" '^count: 3$' 'mine.yaml after add'
good lookup --state mine.yaml a --json
assert_match "$OUT" '^\{"key":"a","node":"node-[ABC]","hash":"0x0CC175B9","replicas":\["node-.","node-.","node-."\]\}$' 'JSON'

# A damaged file is one line, and stays as it is.
damaged() { # PATTERN TEXT
  local verb
  printf '%b' "$2" >bad.yaml
  cp bad.yaml bad.copy
  for verb in 'lookup x' 'balance' 'visualize' 'add y' 'remove y' 'weigh y 1'; do
    # shellcheck disable=SC2086 # a verb and its operands
    refused 1 "$1" $verb --state bad.yaml
  done
  assert_same bad.copy bad.yaml "bad.yaml after '$1'"
}
damaged 'bad.yaml.*version' ''
damaged 'bad.yaml.*version' 'version: 2\n'
damaged 'bad.yaml:2:1: unknown key .*did you mean count' 'version: 1\ncuont: 2\n'
damaged 'bad.yaml: count says 3 nodes, and there are 2; is the file cut off\?$' \
  'version: 1\ncount: 3\nnodes:\n - {name: a}\n - {name: b}\n'
damaged 'bad.yaml: two nodes are called a$' 'version: 1\nnodes: [a, a]\n'
damaged 'bad.yaml: a name has 1 to 255' 'version: 1\nnodes: [{name: "a b"}]\n'
damaged 'bad.yaml: key: siphash needs a key of 32 hexadecimal digits$' 'version: 1\nhash: siphash\nkey: "12"\n'
damaged 'bad.yaml: seed: only xxh3 has a seed$' 'version: 1\nseed: 5\n'
damaged 'bad.yaml: a: jump knows only the weights 0 and 1, found 2$' \
  'version: 1\nalgorithm: jump\nnodes: [{name: a, weight: 2}]\n'
damaged 'bad.yaml: slots: expected a prime, found 100$' 'version: 1\nalgorithm: maglev\nslots: 100\nnodes: [a]\n'
damaged 'bad.yaml: two nodes have names that mean the same to twemproxy$' \
  'version: 1\nalgorithm: twemproxy\nnodes: [a, "a:11211"]\n'
damaged 'bad.yaml: too much for one ring' 'version: 1\nnodes: [{name: a, vnodes: 65536, weight: 65535}]\n'
damaged 'bad.yaml:' 'version: 1\nnodes:\n  - {name: "node-A", vnod'
damaged 'bad.yaml:' '\001\002\377\376'
# Cut off anywhere it is refused, or says less than it should in one line; never a ring with fewer nodes.
for ((n = 0; n < $(stat -c %s want) - 1; n += 29)); do
  head -c "$n" want >cut.yaml
  run "$SDLAB" ring lookup --state cut.yaml x
  assert_eq 1 "$STATUS" "a file cut off at $n"
  assert_lines 1 "$ERR" "a file cut off at $n"
done

# Somebody else changes it right now.
exec 9>ring.yaml.lock
if command -v flock >/dev/null 2>&1 && flock -n 9; then
  refused 1 'ring.yaml.lock is in use by another process' add node-C
fi
exec 9>&-
good lookup x # to read it nobody needs the lock
# A folder that cannot be written to.
refused 1 'cannot open none/ring.yaml.lock: No such file' add --state none/ring.yaml x

# ---- other algorithms: the same verbs ----
for algorithm in vnodes jump rendezvous maglev libketama twemproxy nginx textbook; do
  good init --state "$algorithm.yaml" --algorithm "$algorithm"
  assert_eq '[RING] Initial ring with 0 nodes' "$OUT" "init $algorithm"
  good add --state "$algorithm.yaml" 10.0.0.1:80 10.0.0.2:80 10.0.0.3:80 10.0.0.4:80
  good lookup --state "$algorithm.yaml" user:1 user:2
  assert_lines 4 "$OUT" "lookup $algorithm"
  assert_match "$OUT" '\(RF=3\)$' "lookup $algorithm"
  good lookup --state "$algorithm.yaml" --keys keys
  assert_eq 4 "$(cut -f 2 <<<"$OUT" | sort -u | grep -c '')" "nodes that have keys, $algorithm"
  good balance --state "$algorithm.yaml" --keys keys --json
  assert_match "$OUT" '"keys":5000' "balance $algorithm"
  good visualize --state "$algorithm.yaml" user:1
  cp "$algorithm.yaml" old.yaml
  good remove --state "$algorithm.yaml" 10.0.0.2:80
  case $algorithm in
  jump | maglev) assert_match "$OUT" 'Keys moved: .*% between nodes that stay; .*% had to move\)' "remove $algorithm" ;;
  *) assert_match "$OUT" "Keys moved: .* \\(only 10.0.0.2:80's keys\\)" "remove $algorithm" ;;
  esac
  good diff old.yaml "$algorithm.yaml" --keys keys
  assert_match "$OUT" '^Keys: 5000$' "diff $algorithm"
done
refused 1 'ring.yaml is there already' init
refused 2 'hash: nginx has its own' init --state x.yaml --algorithm nginx --hash md5
refused 2 'only --hash siphash has a key' init --state x.yaml --key 00112233445566778899aabbccddeeff
refused 2 'expected 32 hexadecimal digits' init --state x.yaml --hash siphash --key 0011
refused 2 'only --hash xxh3 has a seed' init --state x.yaml --seed 3
refused 2 'only maglev has slots' init --state x.yaml --slots 7
refused 1 'expected a prime, found 8' init --state x.yaml --algorithm maglev --slots 8
[ ! -e x.yaml ] || fail 'a ring that was refused is there'
refused 2 'vnodes: nginx has its own' add --state nginx.yaml --vnodes 3 x:1

# A key that is drawn is another each time; the same key is the same ring; its bytes are in order.
good init --state s1.yaml --hash siphash
good init --state s2.yaml --hash siphash
[ "$(grep key s1.yaml)" != "$(grep key s2.yaml)" ] || fail 'two rings with one key'
good init --state s3.yaml --hash siphash --key 000102030405060708090a0b0c0d0e0f
assert_match "$(cat s3.yaml)" '^key: "000102030405060708090a0b0c0d0e0f"$' 'the key'
good add --state s3.yaml a b
good lookup --state s3.yaml --json x
assert_match "$OUT" '"hash":"0x[0-9A-F]{16}"' 'a place of 64 bits'

# ---- weights ----
good weigh node-B 4
assert_match "$OUT" '^\[RING\] node-B has weight 4, had 2$' 'weigh'
assert_match "$OUT" '^\[RING\] Keys moved: [0-9.]+% \(all to node-B\)$' 'weigh'
good weigh node-B 0
assert_match "$OUT" '^\[RING\] node-A owns 100.0% of ring$' 'weight 0'
assert_match "$OUT" '\(all from node-B\)$' 'weight 0'
good weigh node-B 2 --json
assert_match "$OUT" '"between_unchanged":0,"exact":true' 'JSON of weigh'
assert_same want ring.yaml 'ring.yaml after all weights'
refused 2 'WEIGHT: expected a number from 0 to 65535' weigh node-B -1
refused 2 'WEIGHT: expected a number from 0 to 65535' weigh node-B 65536
refused 2 'WEIGHT: expected a number from 0 to 65535' weigh node-B 1x
refused 1 'nobody is not in ring.yaml' weigh nobody 1
refused 1 'nobody is not in ring.yaml' remove nobody
refused 1 'node-A is there already; sdlab ring weigh' add node-C node-A
assert_same want ring.yaml 'ring.yaml after what was refused'
# In ketama a weight moves others too, and that is told.
good weigh --state libketama.yaml 10.0.0.1:80 5
assert_match "$OUT" '% between nodes that stay; [0-9.]+% had to move\)$' 'a weight in libketama'
refused 1 '10.0.0.1:80: jump knows only the weights 0 and 1, found 2' weigh --state jump.yaml 10.0.0.1:80 2

# ---- zones ----
good add --state zones.yaml --zone north n1 n2 n3 n4 n5
good add --state zones.yaml --zone south s1
good lookup --state zones.yaml --keys keys --json --replicas 2
assert_eq 0 "$(grep -c '"replicas":\["n.","n."\]' <<<"$OUT")" 'keys with both replicas in the north'
good lookup --state ring.yaml --replicas 9 x
assert_match "$OUT" '\(RF=2\)$' 'more replicas than nodes'

# ---- keys ----
run sh -c 'printf "a\r\n\nb" | "$1" ring lookup --keys -' - "$SDLAB"
assert_match "$OUT" '^a	node-[AB]$' 'keys of standard input'
assert_lines 2 "$OUT" 'keys of standard input'
good lookup "$(printf 'k\033[31m')"
assert_lacks "$OUT" $'\033' 'a key with control bytes'
refused 1 'cannot open missing' lookup --keys missing
refused 2 'expected KEY, or --keys FILE' lookup
refused 1 'nowhere.yaml is not there; make a ring with: sdlab ring add NAME' lookup --state nowhere.yaml x
good init --state empty.yaml
refused 1 'the ring has no nodes' lookup --state empty.yaml x

# ---- balance ----
good balance
assert_match "$OUT" '^node-B +2 +300 +[0-9.]+% +66.67% ' 'balance'
assert_match "$OUT" 'theory says [0-9.]+% for so many virtual nodes$' 'balance'
awk 'BEGIN { for (i = 0; i < 3000; i++) print (i % 2 ? "hot" : "user:" i) }' >hot
good balance --keys hot --bound 1.25 --json
assert_match "$OUT" '"max_over_mean":1\.2[0-9]*[,}]' 'bounded load'
good balance --keys hot --json
assert_lacks "$OUT" '"max_over_mean":1.2' 'without a bound'
refused 2 'bound: expected more than 1' balance --keys hot --bound 1
refused 2 'expected --keys FILE too' balance --bound 1.5

# ---- the picture ----
good visualize --svg ring.svg '<&"user">'
assert_eq 'Wrote ring.svg' "$OUT" 'visualize --svg'
if command -v python3 >/dev/null 2>&1; then
  python3 -c 'import sys, xml.dom.minidom; d = xml.dom.minidom.parse(sys.argv[1])
arcs = [p for p in d.getElementsByTagName("path") if p.getAttribute("fill")]
assert 100 < len(arcs) <= 450, len(arcs)
texts = "".join(t.firstChild.data for t in d.getElementsByTagName("text") if t.firstChild)
assert "<&\"user\">" in texts and "450 virtual nodes" in texts, texts' ring.svg 2>err || fail "ring.svg: $(cat err)"
fi
refused 1 'cannot .*none/x.svg' visualize --svg none/x.svg
# An empty ring has no picture.
run "$SDLAB" ring visualize --state empty.yaml --svg x.svg
assert_eq 1 "$STATUS" 'a picture of nothing'

# ---- diff ----
good diff ring.yaml mine.yaml --json
assert_match "$OUT" '"between_unchanged":0,' 'JSON of diff'
assert_match "$OUT" '"from":"node-[AB]","to":"node-C"' 'JSON of diff'
good diff vnodes.yaml rendezvous.yaml
assert_match "$OUT" '^Keys moved: about ' 'two that cannot be compared place by place'
refused 1 'cannot open|is not there' diff ring.yaml nowhere.yaml

# ---- words and names ----
refused 2 'a name has 1 to 255 printable' add 'a b'
refused 2 'a name has 1 to 255 printable' add ''
refused 2 'algorithm' init --state x.yaml --algorithm ring
refused 2 '' remove
run "$SDLAB" ring ad
assert_eq 2 "$STATUS" 'a misspelt verb'
assert_match "$ERR" 'did you mean' 'a misspelt verb'
run "$SDLAB" complete ring l
assert_eq lookup "$OUT" 'completion of a verb'
run "$SDLAB" complete ring init --algorithm tw
assert_eq twemproxy "$OUT" 'completion of an algorithm'
run "$SDLAB" complete hash-ring-cli vi
assert_eq visualize "$OUT" 'completion under an alias'

# ---- the example does what it says ----
run "$ROOT/examples/ring.sh" "$TMP/none/sdlab"
assert_match "$ERR" 'run make first$' 'examples/ring.sh without sdlab'
run "$ROOT/examples/ring.sh" "$SDLAB" "$TMP"
assert_eq 0 "$STATUS" "examples/ring.sh ($ERR)"
assert_match "$OUT" '^Keys moved: 2[0-9]\.[0-9]% ' 'examples/ring.sh: on the ring'
assert_match "$OUT" '^Keys moved: 7[0-9]\.[0-9]% ' 'examples/ring.sh: modulo'
