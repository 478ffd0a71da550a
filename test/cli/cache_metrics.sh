#!/usr/bin/env bash
# What the cache counts, where Prometheus looks for it, beside what INFO says.
. "$(dirname "$0")/../lib.sh"
sdlab_test "$@"
need curl curl
cd "$TMP" || exit 1

start cache "$SDLAB" cache --port 0 --admin 127.0.0.1:0 --max-memory 10MiB
port=$(port_of cache) || exit 1
admin=$(admin_of cache) || exit 1
export SDLAB_CACHE_URL=redis://127.0.0.1:$port

say() { run "$SDLAB" cache "$@"; assert_eq 0 "$STATUS" "cache $*"; }
is() { # NAME VALUE
  run curl -sS "http://$admin/metrics"
  assert_contains "$OUT" "sdlab_cache_$1{service=\"cache\"} $2
" "sdlab_cache_$1"
}

say MSET a 1 b 2 c 3
say EXPIRE a 1000
say GET a
say GET nothing
run "$SDLAB" cache nonsense
is keys 3
is expiring_keys 1
is hits_total 1
is misses_total 1
is errors_total 1
is memory_limit_bytes 10485760
memory=$(sed -n 's/^sdlab_cache_memory_bytes{.*} \([0-9]*\)$/\1/p' <<<"$OUT")
# three keys and a table are some hundred bytes; the counts of hot keys take 64 KiB from the beginning
if [ "${memory:-0}" -lt 150 ] || [ "$memory" -gt 80000 ]; then fail "memory_bytes is $memory"; fi
stop cache
