#!/usr/bin/env bash
# What a decision costs over RESP: CL.THROTTLE of the rate limiter and of the cache, beside redis-server with the same bucket in
# Lua (EVALSHA), for one key and for many; and how many bytes a key takes.
#
#   test/bench/ratelimit.sh BIN [--rounds 5] [--ops 500000] [--keys 1000000] [--pipelines 1,16] [--out bench-results] [--quick]
#
# One thread each: servers on CPU 0, one at work at a time, redis-benchmark (50 connections) on CPU 1. CPU time is user and system time of
# the server, divided by the decisions. Servers take turns in every round and the ratio is taken within a round. The Lua is as short as
# it can be: one GET, one SET with its end, doubles; it has no limits that change, and no costs.
# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=table.sh
. "$(dirname "$0")/table.sh"

usage() {
  sed -n 's/^# \{0,1\}//; 5p' "$0" >&2
  exit 2
}
rounds=${BENCH_ROUNDS:-5} ops=500000 keys=1000000 pipelines=1,16 out=bench-results
take_options 'rounds ops keys pipelines out' 'rounds=1 ops=10000 keys=20000' "$@"
sdlab_test "$bin"
for tool in redis-server redis-benchmark redis-cli; do
  command -v "$tool" >/dev/null 2>&1 || {
    echo "bench: needs $tool (make deps-all installs it)"
    exit 0
  }
done
pin0=(taskset -c 0) pin1=(taskset -c 1)
[ "$(nproc)" -ge 2 ] || pin0=() pin1=()
mkdir -p "$out" || exit 1
programs=(ratelimit cache redis-server)

lua='local t = redis.call("TIME") local now = t[1] * 1000000 + t[2]
local most, step = ARGV[1] + 1, ARGV[3] * 1000000 / ARGV[2]
local tat = tonumber(redis.call("GET", KEYS[1]) or 0) if tat < now then tat = now end
local new = tat + step local wait = new - most * step - now
if wait > 0 then return {1, most, 0, math.floor(wait / 1000000), math.floor((tat - now) / 1000000)} end
redis.call("SET", KEYS[1], string.format("%.0f", new), "PX", math.ceil((new - now) / 1000))
return {0, most, math.floor(-wait / step), -1, math.floor((new - now) / 1000000)}'

declare -A AT
sha=
serve() { # PROGRAM
  AT[$1]=$(free_port)
  case $1 in
  ratelimit)
    start ratelimit "${pin0[@]}" "$SDLAB" ratelimit --port 0 --resp-port "${AT[$1]}" --threads 1 --memory "$((keys * 448 / 10))"
    ;;
  cache) start cache "${pin0[@]}" "$SDLAB" cache --port "${AT[$1]}" --threads 1 ;;
  redis-server)
    start redis-server "${pin0[@]}" redis-server --dir "$TMP" --port "${AT[$1]}" --bind 127.0.0.1 --save '' --appendonly no --io-threads 1
    ;;
  esac
  wait_port "$1" "${AT[$1]}"
  [ "$1" != redis-server ] || sha=$(redis-cli -p "${AT[$1]}" SCRIPT LOAD "$lua")
}
cpu_us() { # PROGRAM
  cat "/proc/${PID[$1]}"/task/*/schedstat | awk '{ s += $1 } END { printf "%.0f\n", s / 1000 }'
}
rss() { awk '/^VmRSS:/ { print $2 * 1024 }' "/proc/${PID[$1]}/status"; }

# decide PROGRAM PIPELINE COUNT KEY BURST RATE PERIOD
decide() {
  local words=(CL.THROTTLE "$4" "$5" "$6" "$7")
  [ "$1" != redis-server ] || words=(EVALSHA "$sha" 1 "$4" "$5" "$6" "$7")
  # -e would say errors of the server, but ends with the first
  "${pin1[@]}" redis-benchmark -p "${AT[$1]}" -c 50 -P "$2" -n "$3" -r "$keys" -q "${words[@]}" >"$TMP/out" 2>&1 ||
    fail "redis-benchmark: $(cat "$TMP/out")"
}
# Are decisions made at all?
works() { # PROGRAM
  local words=(CL.THROTTLE trial 15 30 60) got
  [ "$1" != redis-server ] || words=(EVALSHA "$sha" 1 trial 15 30 60)
  got=$(redis-cli -p "${AT[$1]}" "${words[@]}" | tr '\n' ' ')
  assert_eq '0 16 15 -1 2 ' "$got" "$1"
}

csv=$out/ratelimit-$(date -u +%Y%m%dT%H%M%SZ).csv
seconds=- body_bytes=-
{
  heading sdlab | sed "s/^# rounds:.*/# rounds: $rounds of $ops decisions, 50 connections, $keys keys/"
  redis-server --version | sed -n 's/.*v=\([^ ]*\).*/# redis-server: \1/p'
  echo what,pipeline,round,program,requests,seconds,requests_per_s,cpu_us,cpu_us_per_request,errors
} >"$csv"

measure() { # WHAT PIPELINE ROUND PROGRAM KEY BURST RATE PERIOD
  local before after begin=$EPOCHREALTIME
  before=$(cpu_us "$4")
  decide "$4" "$2" "$ops" "$5" "$6" "$7" "$8"
  after=$(cpu_us "$4")
  awk -v what="$1" -v pipeline="$2" -v round="$3" -v program="$4" -v us=$((after - before)) -v n="$ops" -v a="$begin" \
    -v b="$EPOCHREALTIME" \
    'BEGIN { s = b - a; printf "%s,%s,%s,%s,%d,%.3f,%.0f,%d,%.4f,0\n", what, pipeline, round, program, n, s, n / s, us, us / n }' >>"$csv"
}

for program in "${programs[@]}"; do
  serve "$program"
  works "$program"
done
for pipeline in ${pipelines//,/ }; do
  for ((round = 1; round <= rounds; round++)); do
    for program in "${programs[@]}"; do
      measure one-key "$pipeline" "$round" "$program" one 1000000 1000000 1
      measure many-keys "$pipeline" "$round" "$program" key:__rand_int__ 15 30 60
    done
  done
done
for program in "${programs[@]}"; do stop_quietly "$program"; done
for ours in ratelimit cache; do
  print_cost "$csv" "$ours" | sed '1s/request/decision/; 2s/connections/   pipeline/'
  echo
done

# So many at random that nearly all keys were named (1 - 1/e^4).
echo "Bytes a key: $keys keys of 16 bytes whose buckets are not full again"
# What connections and the first page of everything take is there before: it is of no key.
for program in "${programs[@]}"; do
  serve "$program"
  decide "$program" 64 20000 warm 1000000 1000000 1
  before=$(rss "$program")
  decide "$program" 64 "$((4 * keys))" key:__rand_int__ 1000 1 3600
  awk -v name="$program" -v b="$(($(rss "$program") - before))" -v n="$keys" -v csv="$csv" 'BEGIN {
    n *= 1 - exp(-4)
    printf "%-14s %6.1f\n", name, b / n
    printf "# bytes a key of %d: %s %.1f\n", n, name, b / n >>csv }'
  stop_quietly "$program"
done
echo "raw figures: $csv"
