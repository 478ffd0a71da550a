#!/usr/bin/env bash
# Two threads of the cache against one, and redis-server with io-threads 1 and 2 beside: commands a second, and processor time a command.
#
#   test/bench/cache_threads.sh BIN [--rounds 5] [--ops 200000] [--size 64] [--pipelines 1,16] [--commands GET,SET]
#                               [--clients 50] [--keys 100000] [--out bench-results] [--quick]
#
# Nothing is pinned: a server with two threads has as many processors as there are, and so has the generator. On a machine with two
# of them that one takes a share of both, so that throughput tells what is left over; processor time a command tells what sharing the
# engine costs. It is user and system time of all threads of the server, divided by the answers counted. Servers take turns in every
# round and the ratio is taken within a round. redis-server with io-threads 2 waits by looking again and again, for which there is no
# processor here: it is asked a tenth as much.
# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=table.sh
. "$(dirname "$0")/table.sh"

usage() {
  sed -n 's/^# \{0,1\}//; 4,5p' "$0" >&2
  exit 2
}
rounds=${BENCH_ROUNDS:-5} ops=200000 size=64 pipelines=1,16 commands=GET,SET clients=50 keys=100000 out=bench-results
take_options 'rounds ops size pipelines commands clients keys out' 'rounds=1 ops=20000 keys=10000' "$@"
sdlab_test "$bin"
mkdir -p "$out" || exit 1

# NAME: the program and its number of threads.
programs=(sdlab-1 sdlab-2)
if command -v redis-server >/dev/null 2>&1; then
  programs+=(redis-1 redis-2)
else
  echo 'bench: redis-server is left out: needs package redis-server (make deps-all installs it)'
fi
declare -A AT
for name in "${programs[@]}"; do
  AT[$name]=$(free_port)
  case $name in
  sdlab-*) start "$name" "$SDLAB" cache --port "${AT[$name]}" --threads "${name#*-}" ;;
  redis-*)
    start "$name" redis-server --dir "$TMP" --port "${AT[$name]}" --bind 127.0.0.1 --save '' --appendonly no --io-threads "${name#*-}" \
      --io-threads-do-reads yes
    ;;
  esac
  wait_port "$name" "${AT[$name]}"
done

cpu_us() { # NAME
  cat "/proc/${PID[$1]}"/task/*/schedstat | awk '{ s += $1 } END { printf "%.0f\n", s / 1000 }'
}
number() { sed -n "s/.*\"$1\":[[:space:]]*\\([0-9.]*\\).*/\\1/p" "$TMP/load.json" | head -n 1; }

ask() { # NAME PIPELINE COUNT COMMAND: says "answers seconds errors"
  "$SDLAB" load "redis://127.0.0.1:${AT[$1]}" -q -c "$clients" --pipeline "$2" -n "$3" --size "$size" --keys "$keys" --command "$4" \
    --json "$TMP/load.json" >"$TMP/load.out" 2>&1 || fail "load: $(cat "$TMP/load.out")"
  echo "$(number answers) $(number elapsed_s) $(number errors)"
}

declare -A TEXT=([GET]='GET key:{{key}}' [SET]='SET key:{{key}} {{value}}')
csv=$out/cache-threads-$(date -u +%Y%m%dT%H%M%SZ).csv
seconds=- body_bytes=$size
{
  heading sdlab | sed "s/^# rounds:.*/# rounds: $rounds of $ops commands, $clients connections, values of $size bytes, $keys keys/"
  echo "# processors: $(nproc), the generator among them"
  ! command -v redis-server >/dev/null 2>&1 || redis-server --version | sed -n 's/.*v=\([^ ]*\).*/# redis-server: \1/p'
  echo what,pipeline,round,program,requests,seconds,requests_per_s,cpu_us,cpu_us_per_request,errors
} >"$csv"
for name in "${programs[@]}"; do ask "$name" 64 "$keys" 'SET key:{{seq}} {{value}}' >"$TMP/filled"; done
for command in ${commands//,/ }; do
  [ -n "${TEXT[$command]:-}" ] || fail "--commands: expected some of ${!TEXT[*]}, found $command"
  for pipeline in ${pipelines//,/ }; do
    for ((round = 1; round <= rounds; round++)); do
      for name in "${programs[@]}"; do
        before=$(cpu_us "$name")
        many=$ops
        [ "$name" != redis-2 ] || many=$((ops / 10))
        said=$(ask "$name" "$pipeline" "$many" "${TEXT[$command]}") || exit 1
        after=$(cpu_us "$name")
        echo "$said" | awk -v what="$command" -v pipeline="$pipeline" -v round="$round" -v program="$name" -v us=$((after - before)) \
          '{ printf "%s,%s,%s,%s,%d,%.3f,%.0f,%d,%.4f,%d\n", what, pipeline, round, program, $1, $2, $1 / $2, us, us / $1, $3 }' >>"$csv"
      done
    done
  done
done
for name in "${programs[@]}"; do stop_quietly "$name"; done

print_cost "$csv" sdlab-2 | sed '1s/request/command/; 2s/connections/   pipeline/'
echo
echo 'Commands a second, median of the rounds; the generator is on the same processors'
awk -F, "$awk_median"'
  /^#/ || $1 == "what" { next }
  {
    key = $1 " " $2
    if (!(key in seen)) { seen[key] = 1; keys[++nkeys] = key }
    if (!($4 in known)) { known[$4] = 1; names[++nnames] = $4 }
    rate[key, $4, ++n[key, $4]] = $7
  }
  END {
    printf "%-14s", "what pipeline"
    for (p = 1; p <= nnames; p++) printf " %10s", names[p]
    print ""
    for (k = 1; k <= nkeys; k++) {
      printf "%-14s", keys[k]
      for (p = 1; p <= nnames; p++) {
        for (i = 1; i <= n[keys[k], names[p]]; i++) list[i] = rate[keys[k], names[p], i]
        printf " %10.0f", median(list, n[keys[k], names[p]])
      }
      print ""
    }
  }' "$csv"
echo "raw figures: $csv"
