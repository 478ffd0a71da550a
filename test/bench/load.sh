#!/usr/bin/env bash
# What a request costs the generator: sdlab load beside wrk, ab, hey, h2load and autocannon, where installed.
#
#   test/bench/load.sh BIN [--conns 1,16,64,256] [--peers wrk,ab,hey,h2load,autocannon] [--rounds 5] [--seconds 3]
#                          [--out bench-results]
#   test/bench/load.sh BIN --memory MINUTES [--out bench-results]
#
# The server (nginx, or backend without it; answers of 1 KiB) has CPU 0 to itself and each generator in turn CPU 1.
# Generators take turns in every round and the ratio is taken within a round. Cost is CPU time, user and system, from
# the start of the process to its end, divided by the answers that it counted. The rate is the most that one core can
# send only where the generator used all of that core; where it did not, the server was the limit.
#
# --memory runs a closed and an open loop for so many minutes and tells how the memory of each went.

# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=../peers.sh
. "$(dirname "$0")/../peers.sh"
# shellcheck source=table.sh
. "$(dirname "$0")/table.sh"

usage() {
  sed -n 's/^# \{0,1\}//; 4,6p' "$0" >&2
  exit 2
}

[ $# -gt 0 ] || usage
bin=$1
shift
conns=1,16,64,256
peers=wrk,ab,hey,h2load,autocannon
rounds=${BENCH_ROUNDS:-5}
seconds=${BENCH_SECONDS:-3}
out=bench-results
minutes=
while [ $# -gt 0 ]; do
  [ $# -ge 2 ] || usage
  case $1 in
  --conns) conns=$2 ;;
  --peers) peers=$2 ;;
  --rounds) rounds=$2 ;;
  --seconds) seconds=$2 ;;
  --out) out=$2 ;;
  --memory) minutes=$2 ;;
  *) usage ;;
  esac
  shift 2
done

sdlab_test "$bin"
body_bytes=1024
NPM_MODULES=$(realpath -m "${NPM_MODULES:-$ROOT/build/npm/node_modules}")
server_cpu=(taskset -c 0) load_cpu=(taskset -c 1)
if [ "$(nproc)" -lt 2 ]; then
  echo 'bench: one CPU only: nothing is pinned, so the figures spread more'
  server_cpu=() load_cpu=()
fi

# ---- the server: sets URL ----

start_the_server() {
  PIN=("${server_cpu[@]}")
  if command -v nginx >/dev/null 2>&1; then
    server=nginx
    start_nginx server static "$body_bytes"
    URL=http://127.0.0.1:$PORT/
  else
    server=sdlab
    start server "${PIN[@]}" "$SDLAB" backend --port 0 --bind 127.0.0.1 --threads 1
    PORT=$(port_of server) || exit 1
    URL=http://127.0.0.1:$PORT/bytes/1KiB
  fi
  PIN=()
}

# ---- the generators ----

installed() {
  case $1 in
  autocannon) command -v node >/dev/null 2>&1 && [ -e "$NPM_MODULES/autocannon/autocannon.js" ] ;;
  *) command -v "$1" >/dev/null 2>&1 ;;
  esac
}

# command_of GENERATOR CONNECTIONS: into COMMAND. One thread each.
command_of() {
  case $1 in
  sdlab) COMMAND=("$SDLAB" load "$URL" -c "$2" -d "${seconds}s" --json -) ;;
  wrk) COMMAND=(wrk -t1 -c "$2" -d "${seconds}s" "$URL") ;;
  ab) COMMAND=(ab -q -k -c "$2" -t "$seconds" -n 100000000 "$URL") ;;
  hey) COMMAND=(env GOMAXPROCS=1 hey -c "$2" -z "${seconds}s" "$URL") ;;
  h2load) COMMAND=(h2load --h1 -t 1 -c "$2" -D "$seconds" "$URL") ;;
  autocannon) COMMAND=(node "$NPM_MODULES/autocannon/autocannon.js" -c "$2" -d "$seconds" --json "$URL") ;;
  esac
}

# counts_of GENERATOR FILE: answers with status 200, and what went wrong.
counts_of() {
  case $1 in
  sdlab) awk '/"200":/ { n = $2 + 0 } /"errors":/ && !seen++ { bad = $2 + 0 } END { print n + 0, bad + 0 }' "$2" ;;
  wrk)
    awk '/ requests in / { n = $1 } /Non-2xx/ { bad += $NF }
      /Socket errors:/ { gsub(/,/, ""); bad += $4 + $6 + $8 + $10 } END { print n - bad, bad + 0 }' "$2"
    ;;
  ab) awk '/^Complete requests:/ { n = $3 } /^Failed requests:|^Non-2xx/ { bad += $3 } END { print n - bad, bad + 0 }' "$2" ;;
  hey) awk '/\[200\]/ { n = $2 } /\[[0-9]+\].*(dial|EOF|reset|refused|timeout)/ { bad++ } END { print n + 0, bad + 0 }' "$2" ;;
  h2load) awk '/^requests:/ { bad = $10 + $12 + $14 } /^status codes:/ { n = $3 } END { print n + 0, bad + 0 }' "$2" ;;
  autocannon) sed -n 's/.*"errors":\([0-9]*\).*"non2xx":\([0-9]*\).*"2xx":\([0-9]*\).*/\3 \1 \2/p' "$2" |
    awk '{ print $1, $2 + $3 }' ;;
  esac
}

# measure GENERATOR CONNECTIONS ROUND: a row of the raw figures.
measure() {
  local n bad cpu passed peak
  command_of "$1" "$2"
  "${load_cpu[@]}" "$TMP/spent" "$TMP/spent.out" "${COMMAND[@]}" >"$TMP/said" 2>"$TMP/complained" </dev/null
  read -r cpu passed peak <"$TMP/spent.out" || fail "$1 did not run: $(cat "$TMP/complained")"
  read -r n bad < <(counts_of "$1" "$TMP/said")
  [ "${n:-0}" -gt 0 ] || fail "$1 counted no answer: $(cat "$TMP/said" "$TMP/complained")"
  awk -v c="$2" -v r="$3" -v who="$1" -v n="$n" -v s="$seconds" -v cpu="$cpu" -v bad="$bad" -v peak="$peak" \
    -v used="$(awk -v c="$cpu" -v p="$passed" 'BEGIN { printf "%.3f", c / p }')" \
    'BEGIN { printf "load,%d,%d,%s,%d,%s,%.0f,%d,%.3f,%d,%d,%s\n", c, r, who, n, s, n / s, cpu, cpu / n, bad, peak, used }' \
    >>"$csv"
}

compare() { # GENERATOR...
  local count round generator turns
  for count in ${conns//,/ }; do
    for ((round = 1; round <= rounds; round++)); do
      turns=("$@")
      if [ $((round % 2)) = 0 ]; then
        turns=()
        for generator; do turns=("$generator" "${turns[@]}"); done
      fi
      for generator in "${turns[@]}"; do measure "$generator" "$count" "$round"; done
    done
  done
}

print_rates() {
  awk -F, "$awk_median"'
    /^#/ || $1 == "what" { next }
    {
      key = sprintf("%-8s %11d  %-10s", $1, $2, $4)
      if (!(key in n)) keys[++nkeys] = key
      i = ++n[key]
      rate[key, i] = $7; peak[key, i] = $11; used[key, i] = $12
    }
    function middle(of, key,   i, list) {
      for (i = 1; i <= n[key]; i++) list[i] = of[key, i] + 0
      return median(list, n[key])
    }
    END {
      print "\nWhat one core sent, how much of the core that took, and memory (resident, peak); medians"
      printf "%-8s %11s  %-10s %10s %6s %10s\n", "what", "connections", "generator", "requests/s", "core", "peak KiB"
      for (k = 1; k <= nkeys; k++)
        printf "%s %10.0f %6.2f %10.0f\n", keys[k], middle(rate, keys[k]), middle(used, keys[k]), middle(peak, keys[k])
    }' "$csv"
}

run_comparison() {
  local generators=(sdlab) peer
  for peer in ${peers//,/ }; do
    if installed "$peer"; then generators+=("$peer"); else echo "bench: $peer is left out: it is not installed"; fi
  done
  cc -D_GNU_SOURCE -O2 -o "$TMP/spent" "$ROOT/test/bench/spent.c" || fail 'spent.c does not compile'
  csv=$out/$stamp-load.csv
  start_the_server
  {
    heading "${generators[@]}"
    echo "# server: $server $(version_of "$server")"
  } | tee "$csv"
  echo 'what,connections,round,generator,requests,seconds,requests_per_s,cpu_us,cpu_us_per_request,errors,peak_kib,core' \
    >>"$csv"
  compare "${generators[@]}"
  print_cost "$csv" sdlab
  print_rates
}

# ---- memory over time ----

# sample NAME SECOND: a row, and the figure into RSS.
sample() {
  RSS=$(awk '/^VmRSS:/ { print $2 }' "/proc/${PID[$1]}/status" 2>/dev/null)
  [ -z "$RSS" ] || echo "$1,$2,$RSS" >>"$csv"
}

# Both run at once: this is about memory, not about time.
run_memory() {
  local total every at
  total=$(awk -v m="$minutes" 'BEGIN { printf "%.0f", m * 60 }')
  [ "$total" -gt 0 ] || usage
  every=$((total / 120 > 0 ? total / 120 : 1))
  csv=$out/$stamp-load-memory.csv
  start_the_server
  start closed "${load_cpu[@]}" "$SDLAB" load "$URL" -c 64 -d "${total}s" --quiet --json "$TMP/closed.json"
  start open "${load_cpu[@]}" "$SDLAB" load "$URL" -c 64 -r 2000/s -d "${total}s" --quiet --json "$TMP/open.json"
  {
    echo "# sdlab: $(version_of sdlab)"
    echo "# minutes: $minutes; 64 connections; open loop at 2000 requests a second"
    echo 'loop,second,rss_kib'
  } >"$csv"
  SECONDS=0
  for ((at = every; at < total; at += every)); do
    while [ "$SECONDS" -lt "$at" ]; do sleep 0.2; done
    sample closed "$at"
    sample open "$at"
  done
  wait_exit closed
  assert_eq 0 "$STATUS" 'exit status of the closed loop'
  wait_exit open
  assert_eq 0 "$STATUS" 'exit status of the open loop'
  print_memory
}

# The history of the run, 24 bytes a second, is the part that may grow.
print_memory() {
  local loop
  echo "Resident memory of sdlab load over $minutes minutes, KiB; 24 bytes a second of it may grow: the history of the run"
  printf '%-8s %12s %8s %8s %8s %8s %8s\n' loop answers samples first last least most
  for loop in closed open; do
    awk -F, -v loop="$loop" -v answers="$(awk '/"answers":/ { print $2 + 0; exit }' "$TMP/$loop.json")" '
      $1 != loop { next }
      !n++ { first = least = most = $3 }
      { last = $3; if ($3 < least) least = $3; if ($3 > most) most = $3 }
      END { printf "%-8s %12d %8d %8d %8d %8d %8d\n", loop, answers, n, first, last, least, most }' "$csv"
  done
}

mkdir -p "$out" || exit 1
stamp=$(date -u +%Y%m%dT%H%M%SZ)
if [ -n "$minutes" ]; then run_memory; else run_comparison; fi
echo "raw figures: $(cd "$out" && pwd)/$(basename "$csv")"
