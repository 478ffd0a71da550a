# shellcheck shell=bash
# Makes kv_bench: kv_build OUT LIBRARY. Sourced after lib.sh. THERE: the engines that it has.
THERE=()
kv_build() {
  local flags=(-DHAVE_OURS) libs=() peer more
  THERE=(ours)
  for peer in leveldb rocksdb; do
    if printf '#include <%s/c.h>\n' "$peer" | cc -E - >/dev/null 2>&1; then
      flags+=("-DHAVE_${peer^^}") libs+=("-l$peer") THERE+=("$peer")
    else
      echo "skip: the comparison with $peer needs package lib$peer-dev"
    fi
  done
  read -r -a more <<<"$(pkg-config --libs libevent_core yaml-0.1 libcjson libzstd libxxhash 2>/dev/null || echo -levent_core -lyaml -lcjson -lzstd -lxxhash)"
  cc -std=gnu17 -D_GNU_SOURCE -O2 -pthread "${flags[@]}" -I"$ROOT/include" -I"$ROOT/src" -o "$1" "$ROOT/test/bench/kv_bench.c" "$2" \
    "${libs[@]}" "${more[@]}" -lm || fail 'kv_bench.c does not compile'
}
