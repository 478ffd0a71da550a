#!/bin/sh
# What moves when a node goes: on a ring, and by hash modulo nodes. Then a ring of nginx, and a picture.
#   examples/ring.sh [path/to/sdlab] [FOLDER]     the picture goes to FOLDER, else nowhere
set -eu
sdlab=${1:-}
if [ -z "$sdlab" ]; then
  sdlab=sdlab
  [ ! -x "$(dirname "$0")/../build/plain/sdlab" ] || sdlab=$(dirname "$0")/../build/plain/sdlab
fi
command -v "$sdlab" >/dev/null || { echo "ring.sh: cannot find $sdlab; run make first" >&2; exit 1; }
dir=$(mktemp -d "${TMPDIR:-/tmp}/sdlab-ring.XXXXXX")
trap 'rm -rf "$dir"' EXIT
seq -f 'user:%.0f' 1 20000 >"$dir/keys"

echo '--- 20,000 keys on four nodes, as they lie'
"$sdlab" ring add --state "$dir/four.yaml" node-A node-B node-C node-D >/dev/null
"$sdlab" ring balance --state "$dir/four.yaml" --keys "$dir/keys"

echo
echo '--- node-D goes: what moves'
cp "$dir/four.yaml" "$dir/three.yaml"
"$sdlab" ring remove --state "$dir/three.yaml" node-D >/dev/null
"$sdlab" ring diff "$dir/four.yaml" "$dir/three.yaml" --keys "$dir/keys"

echo
echo '--- the same by hash modulo nodes'
"$sdlab" ring lookup --state "$dir/four.yaml" --keys "$dir/keys" --json |
  awk -F'"hash":"0x' '{ h = 0; for (i = 1; i <= 8; i++) h = h * 16 + index("123456789ABCDEF", substr($2, i, 1))
    if (h % 4 != h % 3) moved++ } END { printf "Keys moved: %.1f%% (%d keys)\n", 100 * moved / NR, moved }'

echo
echo '--- three replicas, each in another zone'
"$sdlab" ring add --state "$dir/zones.yaml" --zone north n1 n2 n3 n4 >/dev/null
"$sdlab" ring add --state "$dir/zones.yaml" --zone south s1 >/dev/null
"$sdlab" ring add --state "$dir/zones.yaml" --zone east e1 >/dev/null
"$sdlab" ring lookup --state "$dir/zones.yaml" user:1 user:2

echo
echo '--- where nginx sends keys with: hash KEY consistent'
"$sdlab" ring init --state "$dir/nginx.yaml" --algorithm nginx >/dev/null
"$sdlab" ring add --state "$dir/nginx.yaml" 10.0.0.1:8080 10.0.0.2:8080 >/dev/null
"$sdlab" ring add --state "$dir/nginx.yaml" --weight 2 10.0.0.3:8080 >/dev/null
"$sdlab" ring lookup --state "$dir/nginx.yaml" user:1 user:2 --replicas 1

[ $# -lt 2 ] || "$sdlab" ring visualize --state "$dir/four.yaml" --svg "$2/ring.svg" user:1
