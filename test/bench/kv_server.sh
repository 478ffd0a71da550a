#!/usr/bin/env bash
# What a command costs the kv server beside redis-server, when both have what they said OK to on the disk: appendfsync always.
#
#   test/bench/kv_server.sh BIN [--rounds 5] [--ops 20000] [--sizes 64,1024] [--connections 50] [--pipelines 1,16] [--commands SET,GET,INCR]
#                           [--keys 100000] [--out bench-results] [--quick]
#
# One core each: servers on CPU 0, one at work at a time, the generator on CPU 1. CPU time is that of all threads of the server, those that
# flush and compact too, divided by the answers counted. Servers take turns in every round and the ratio is taken within a round.
# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=table.sh
. "$(dirname "$0")/table.sh"

usage() {
  sed -n 's/^# \{0,1\}//; 4,5p' "$0" >&2
  exit 2
}
rounds=${BENCH_ROUNDS:-5} ops=20000 sizes=64,1024 connections=50 pipelines=1,16 commands=SET,GET,INCR keys=100000 out=bench-results
take_options 'rounds ops sizes connections pipelines commands keys out' 'rounds=1 ops=2000 keys=10000' "$@"
sdlab_test "$bin"
command -v redis-server >/dev/null 2>&1 || {
  echo 'bench: needs package redis-server (make deps-all installs it)'
  exit 0
}
pin0=(taskset -c 0) pin1=(taskset -c 1)
[ "$(nproc)" -ge 2 ] || pin0=() pin1=()
mkdir -p "$out" || exit 1

declare -A AT
serve() { # PROGRAM
  AT[$1]=$(free_port)
  case $1 in
  sdlab) start sdlab "${pin0[@]}" "$SDLAB" kv --port "${AT[$1]}" --data-dir "$TMP/kv" --memtable 64MiB ;;
  *)
    start redis-server "${pin0[@]}" redis-server --dir "$TMP" --port "${AT[$1]}" --bind 127.0.0.1 --save '' --appendonly yes \
      --appendfsync always --io-threads 1
    ;;
  esac
  wait_port "$1" "${AT[$1]}"
}

cpu_us() { # PROGRAM
  cat "/proc/${PID[$1]}"/task/*/schedstat | awk '{ s += $1 } END { printf "%.0f\n", s / 1000 }'
}

number() { sed -n "s/.*\"$1\":[[:space:]]*\\([0-9.]*\\).*/\\1/p" "$TMP/load.json" | head -n 1; }

# ask PROGRAM PIPELINE SIZE COUNT COMMAND: says "answers seconds errors".
ask() {
  "${pin1[@]}" "$SDLAB" load "redis://127.0.0.1:${AT[$1]}" -q -c "$connections" --pipeline "$2" -n "$4" --size "$3" --keys "$keys" --command "$5" \
    --json "$TMP/load.json" >"$TMP/load.out" 2>&1 || fail "load: $(cat "$TMP/load.out")"
  echo "$(number answers) $(number elapsed_s) $(number errors)"
}

declare -A TEXT=([GET]='GET key:{{key}}' [SET]='SET key:{{key}} {{value}}' [INCR]='INCR n:{{key}}')
csv=$out/kv-server-$(date -u +%Y%m%dT%H%M%SZ).csv
seconds=- body_bytes=$sizes
{
  heading sdlab | sed "s/^# rounds:.*/# rounds: $rounds of $ops commands, $connections connections, values of $sizes bytes, $keys keys, synced/"
  redis-server --version | sed -n 's/.*v=\([^ ]*\).*/# redis-server: \1/p'
  echo what,pipeline,round,program,requests,seconds,requests_per_s,cpu_us,cpu_us_per_request,errors
} >"$csv"

measure() { # COMMAND SIZE PIPELINE ROUND PROGRAM
  local before after said
  before=$(cpu_us "$5")
  said=$(ask "$5" "$3" "$2" "$ops" "${TEXT[$1]}") || exit 1
  after=$(cpu_us "$5")
  echo "$said" | awk -v what="$1/$2" -v pipeline="$3" -v round="$4" -v program="$5" -v us=$((after - before)) \
    '{ printf "%s,%s,%s,%s,%d,%.3f,%.0f,%d,%.4f,%d\n", what, pipeline, round, program, $1, $2, $1 / $2, us, us / $1, $3 }' >>"$csv"
}

for program in sdlab redis-server; do serve "$program"; done
for size in ${sizes//,/ }; do
  for program in sdlab redis-server; do ask "$program" 256 "$size" "$keys" 'SET key:{{seq}} {{value}}' >/dev/null; done
  for command in ${commands//,/ }; do
    [ -n "${TEXT[$command]:-}" ] || fail "--commands: expected some of ${!TEXT[*]}, found $command"
    [ "$command-$size" = "$command-${sizes%%,*}" ] || [ "$command" != INCR ] || continue
    for pipeline in ${pipelines//,/ }; do
      for ((round = 1; round <= rounds; round++)); do
        for program in sdlab redis-server; do measure "$command" "$size" "$pipeline" "$round" "$program"; done
      done
    done
  done
done
for program in sdlab redis-server; do stop_quietly "$program"; done
print_cost "$csv" sdlab | sed '1s/request/command/; 2s/connections/   pipeline/'
echo "raw figures: $csv"
