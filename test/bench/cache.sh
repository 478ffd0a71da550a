#!/usr/bin/env bash
# What a command costs the cache beside redis-server and memcached (GET and SET), and how many bytes a key takes.
#
#   test/bench/cache.sh BIN [--rounds 5] [--ops 200000] [--sizes 64,1024] [--pipelines 1,16] [--commands GET,SET,...]
#                           [--keys 100000] [--fill 1000000] [--out bench-results] [--quick]
#
# One core each: servers on CPU 0, one at work at a time, the generator (50 connections) on CPU 1. CPU time is user and system time
# of all threads of the server, divided by the answers counted. Servers take turns in every round and the ratio is taken within a
# round. sdlab load asks ours and redis-server; memcached has a generator of its own (memcache.c) that asks the same, so with it
# the size of batches that come in at once may differ a little.
# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=table.sh
. "$(dirname "$0")/table.sh"

usage() {
  sed -n 's/^# \{0,1\}//; 4,5p' "$0" >&2
  exit 2
}
rounds=${BENCH_ROUNDS:-5} ops=200000 sizes=64,1024 pipelines=1,16 keys=100000 fill=1000000 out=bench-results
commands=GET,SET,INCR,LPUSH,LPOP,HSET,ZADD
take_options 'rounds ops sizes pipelines commands keys fill out' 'rounds=1 ops=20000 keys=10000 fill=100000' "$@"
sdlab_test "$bin"
command -v redis-server >/dev/null 2>&1 || {
  echo 'bench: needs package redis-server (make deps-all installs it)'
  exit 0
}
pin0=(taskset -c 0) pin1=(taskset -c 1)
[ "$(nproc)" -ge 2 ] || pin0=() pin1=()
conns=50
mkdir -p "$out" || exit 1

programs=(sdlab redis-server)
if command -v memcached >/dev/null 2>&1 && cc -O2 -o "$TMP/memcache" "$ROOT/test/bench/memcache.c"; then
  programs+=(memcached)
else
  echo 'bench: memcached is left out: needs package memcached'
fi

declare -A AT
serve() { # PROGRAM
  AT[$1]=$(free_port)
  case $1 in
  sdlab) start sdlab "${pin0[@]}" "$SDLAB" cache --port "${AT[$1]}" --threads 1 ;;
  redis-server)
    start redis-server "${pin0[@]}" redis-server --dir "$TMP" --port "${AT[$1]}" --bind 127.0.0.1 --save '' --appendonly no --io-threads 1
    ;;
  memcached) start memcached "${pin0[@]}" memcached -u nobody -l 127.0.0.1 -p "${AT[$1]}" -U 0 -t 1 -m 4096 -c 1000 ;;
  esac
  wait_port "$1" "${AT[$1]}"
}

cpu_us() { # PROGRAM
  cat "/proc/${PID[$1]}"/task/*/schedstat | awk '{ s += $1 } END { printf "%.0f\n", s / 1000 }'
}
rss() { awk '/^VmRSS:/ { print $2 * 1024 }' "/proc/${PID[$1]}/status"; }

number() { sed -n "s/.*\"$1\":[[:space:]]*\\([0-9.]*\\).*/\\1/p" "$TMP/load.json" | head -n 1; }

# ask PROGRAM PIPELINE SIZE COUNT COMMAND...: says "answers seconds errors".
ask() {
  local program=$1 pipeline=$2 size=$3 count=$4 verb
  shift 4
  if [ "$program" = memcached ]; then
    verb=$(printf '%s\n' "${1%% *}" | tr '[:upper:]' '[:lower:]')
    [[ $1 != *seq* ]] || verb=fill
    local begin=$EPOCHREALTIME got
    got=$("${pin1[@]}" "$TMP/memcache" "${AT[$program]}" "$conns" "$pipeline" "$verb" "$count" "$size" "$keys") || fail 'memcache.c'
    echo "$got" | awk -v a="$begin" -v b="$EPOCHREALTIME" '{ print $1, b - a, $1 - $2 }'
    return
  fi
  "${pin1[@]}" "$SDLAB" load "redis://127.0.0.1:${AT[$program]}" -q -c "$conns" --pipeline "$pipeline" -n "$count" --size "$size" \
    --keys "$keys" --command "$1" --json "$TMP/load.json" >"$TMP/load.out" 2>&1 || fail "load: $(cat "$TMP/load.out")"
  echo "$(number answers) $(number elapsed_s) $(number errors)"
}

# What is asked, and what has to be there before.
declare -A TEXT=([GET]='GET key:{{key}}' [SET]='SET key:{{key}} {{value}}' [INCR]='INCR n:{{key}}' [LPUSH]='LPUSH l:{{key}} {{value}}'
  [LPOP]='LPOP l:{{key}}' [HSET]='HSET h:{{key}} field {{value}}' [ZADD]='ZADD z:{{key}} {{rand}} member')
declare -A BEFORE=([GET]='SET key:{{seq}} {{value}}' [SET]='SET key:{{seq}} {{value}}' [LPOP]='LPUSH l:{{key}} {{value}}')

csv=$out/cache-$(date -u +%Y%m%dT%H%M%SZ).csv
seconds=- body_bytes=$sizes
version_text() {
  redis-server --version | sed -n 's/.*v=\([^ ]*\).*/# redis-server: \1/p'
  memcached -V 2>/dev/null | sed 's/^memcached /# memcached: /'
}
{
  heading sdlab | sed "s/^# rounds:.*/# rounds: $rounds of $ops commands, $conns connections, values of $sizes bytes, $keys keys/"
  version_text
  echo what,pipeline,round,program,requests,seconds,requests_per_s,cpu_us,cpu_us_per_request,errors
} >"$csv"

measure() { # WHAT COMMAND SIZE PIPELINE ROUND PROGRAM
  local before after said
  [ -z "${BEFORE[$2]:-}" ] || [ "$2" = LPOP ] || [ "$5" -gt 1 ] || ask "$6" 64 "$3" "$keys" "${BEFORE[$2]}" >/dev/null
  [ "$2" != LPOP ] || ask "$6" 64 "$3" "$((2 * ops))" "${BEFORE[LPOP]}" >/dev/null
  before=$(cpu_us "$6")
  said=$(ask "$6" "$4" "$3" "$ops" "${TEXT[$2]}") || exit 1
  after=$(cpu_us "$6")
  echo "$said" | awk -v what="$1" -v pipeline="$4" -v round="$5" -v program="$6" -v us=$((after - before)) \
    '{ printf "%s,%s,%s,%s,%d,%.3f,%.0f,%d,%.4f,%d\n", what, pipeline, round, program, $1, $2, $1 / $2, us, us / $1, $3 }' >>"$csv"
}

for command in ${commands//,/ }; do
  [ -n "${TEXT[$command]:-}" ] || fail "--commands: expected some of ${!TEXT[*]}, found $command"
  for size in ${sizes//,/ }; do
    case $command-$size in
    INCR-* | ZADD-*) [ "$size" = "${sizes%%,*}" ] || continue ;; # they have no value
    esac
    for program in "${programs[@]}"; do serve "$program"; done
    for pipeline in ${pipelines//,/ }; do
      for ((round = 1; round <= rounds; round++)); do
        for program in "${programs[@]}"; do
          case $program-$command in
          memcached-GET | memcached-SET) ;;
          memcached-*) continue ;;
          esac
          measure "$command/$size" "$command" "$size" "$pipeline" "$round" "$program"
        done
      done
    done
    for program in "${programs[@]}"; do stop_quietly "$program"; done
  done
done
print_cost "$csv" sdlab | sed '1s/request/command/; 2s/connections/   pipeline/'

echo
echo "Bytes a key: $fill keys of 14 bytes with values of ${sizes%%,*}"
for program in "${programs[@]}"; do
  serve "$program"
  before=$(rss "$program")
  ask "$program" 64 "${sizes%%,*}" "$fill" 'SET key:{{seq}} {{value}}' >/dev/null
  bytes=$((($(rss "$program") - before) / fill))
  [ "$program" != sdlab ] || ours=$bytes
  awk -v name="$program" -v b="$bytes" -v o="$ours" -v n="$fill" -v csv="$csv" 'BEGIN {
    printf "%-14s %6d   ratio %.2f\n", name, b, o / b
    printf "# bytes a key of %d: %s %d\n", n, name, b >>csv }'
  stop_quietly "$program"
done
echo "raw figures: $csv"
