#!/usr/bin/env bash
# Random traces of borrowing and returning, through our pool and through generic-pool of npm: who gets which resource when, what is
# opened, checked and closed, and who is refused, must be the same after every step. sdlab_pool(3) names what is not.

# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
sdlab_test "$@"
modules=$(realpath -m "${NPM_MODULES:-$ROOT/build/npm/node_modules}")
export NPM_MODULES=$modules
need "npm's generic-pool" node
[ -e "$modules/generic-pool/package.json" ] || skip "npm's generic-pool"

build=$(dirname "$SDLAB")
cc=$(cut -d' ' -f1 "$build/flags")
sanitizer=$(sed -n 's/.* -fsanitize=\([a-z,]*\).*/\1/p' "$build/flags")
"$cc" -std=gnu17 -D_GNU_SOURCE -O1 ${sanitizer:+-fsanitize=$sanitizer} -I"$ROOT/include" -o "$TMP/ours" "$ROOT/test/interop/pool_trace.c" \
  "$build/libsdlab.a" -pthread -lm || fail 'pool_trace.c'

# trace SEED MAX FIFO CHECK MAXWAIT OPS: so many steps, from these letters. With a limit of waiters all opens end at once, because
# generic-pool counts those who are being served as waiting; and so do checks, because it keeps what comes meanwhile idle.
trace() {
  awk -v seed="$1" -v max="$2" -v fifo="$3" -v check="$4" -v wait="$5" -v ops="$6" 'BEGIN {
    srand(seed)
    printf "conf %d %d %d %d\n", max, fifo, check, wait
    for (i = 0; i < 400; i++) {
      op = substr(ops, 1 + int(rand() * length(ops)), 1)
      if (op == "r" || op == "d") print op, int(rand() * 100)
      else print op
      for (j = 0; wait >= 0 && j < max; j++) print "o"
      for (j = 0; check && j < max; j++) print rand() < 0.7 ? "y" : "n"
    }
  }'
}

# some MAX FIFO CHECK MAXWAIT OPS
n=0
some() {
  for _ in 1 2 3; do
    trace $((++n)) "$@"
  done
}

{
  some 4 0 0 -1 bbrrod  # lends what was used last
  some 4 1 0 -1 bbrrod  # lends what was used first
  some 20 0 0 -1 bbbrrood
  some 1 0 0 -1 bbrod
  some 1 1 0 -1 bbrodf  # opens fail
  some 4 0 1 -1 bbrrod  # each is checked
  some 3 1 1 -1 bbrrood
  some 3 0 0 2 bbbrrd   # two may wait
  some 3 1 0 0 bbbrrd   # nobody may
} >"$TMP/trace"
"$TMP/ours" <"$TMP/trace" >"$TMP/mine" || fail 'pool_trace'
node "$ROOT/test/interop/pool_npm.js" trace <"$TMP/trace" >"$TMP/theirs" || fail 'pool_npm.js'
for what in open grant refuse check close; do
  [ "$(grep -c $what "$TMP/theirs")" -gt 50 ] || fail "hardly any $what in the traces"
done
cmp -s "$TMP/mine" "$TMP/theirs" || fail "step, ours, theirs:
$(paste -d'|' "$TMP/trace" "$TMP/mine" "$TMP/theirs" | awk -F'|' '/^conf/ { conf = $1 } $2 != $3 { print conf ", line " NR ": " $0; if (++n == 3) exit }')"
