#!/usr/bin/env bash
# Of what is asked of a cache that holds a tenth of it, how much is there: our policies and redis-server's, on the same
# seeded traces through the same client, by Zipf's law and with scans in between.
#
#   test/bench/cache_hits.sh BIN [SEED...]
set -u
[ $# -ge 1 ] || {
  echo 'usage: test/bench/cache_hits.sh BIN [SEED...]' >&2
  exit 2
}
bin=$(realpath "$1") && shift || exit 1
cd "$(dirname "$0")/../.." || exit 1
dir=$(mktemp -d) || exit 1
pids=()
end() {
  [ ${#pids[@]} = 0 ] || kill "${pids[@]}" 2>/dev/null
  wait
  rm -rf "$dir"
}
trap end EXIT
cc -std=gnu17 -D_GNU_SOURCE -O2 -Iinclude -Isrc -o "$dir/hits" test/bench/cache_hits.c -lm || exit 1

"$bin" cache --port 0 >"$dir/ours" 2>&1 &
pids+=($!)
until ours=$(sed -n 's/.*Listening on.*:\([0-9]*\)$/\1/p' "$dir/ours") && [ -n "$ours" ]; do sleep 0.05; done
servers=("sdlab $ours allkeys-s3fifo" "sdlab $ours allkeys-lru" "sdlab $ours allkeys-lfu" "sdlab $ours allkeys-random")
if command -v redis-server >/dev/null; then
  redis-server --port 0 --unixsocket "$dir/redis" --save '' --appendonly no --dir "$dir" >"$dir/theirs" 2>&1 &
  pids+=($!)
  until [ -S "$dir/redis" ]; do sleep 0.05; done
  servers+=("redis $dir/redis allkeys-lru" "redis $dir/redis allkeys-lfu" "redis $dir/redis allkeys-random")
fi

printf '%-6s %-16s %-6s %-5s %8s %8s\n' server policy trace seed 'hits %' keys
for seed in "${@:-1}"; do
  for trace in zipf scan; do
    for s in "${servers[@]}"; do
      read -r name where policy <<<"$s"
      "$dir/hits" "$where" "$policy" "$trace" "$seed" |
        while read -r hits all keys; do
          printf '%-6s %-16s %-6s %-5s %8s %8s\n' "$name" "$policy" "$trace" "$seed" \
            "$(awk -v h="$hits" -v a="$all" 'BEGIN { printf "%.2f", 100 * h / a }')" "$keys"
        done
    done
  done
done
