#!/bin/sh
# Lesson 1: what can one server carry? The same work on one thread, on a pool of threads and with timers, at 1, 10, 50 and
# 100 connections; the table, and what it says.
#   examples/lesson1.sh [--seconds 1] [build/plain/sdlab]
# About 15 seconds. Ports are chosen by the system. Needs nothing but sdlab.
set -u

here=$(dirname "$0")
seconds=1
sdlab=
while [ $# -gt 0 ]; do
  case $1 in
  --seconds)
    [ $# -ge 2 ] || { echo 'lesson1: --seconds: expected a number such as 1' >&2; exit 2; }
    seconds=$2
    shift
    ;;
  -*)
    echo "usage: $0 [--seconds N] [SDLAB]" >&2
    exit 2
    ;;
  *) sdlab=$1 ;;
  esac
  shift
done
if [ -z "$sdlab" ]; then
  sdlab=sdlab
  [ ! -x "$here/../build/plain/sdlab" ] || sdlab=$here/../build/plain/sdlab
fi
command -v "$sdlab" >/dev/null || { echo "lesson1: cannot find $sdlab; run make first" >&2; exit 1; }

work=10     # ms a request
pool=64     # helper threads of --mode threaded
levels='1 10 50 100'
crowd=20    # connections where the work is computing
tmp=$(mktemp -d) || exit 1
server=

stop_server() {
  [ -z "$server" ] || { kill "$server" 2>/dev/null && wait "$server"; }
  server=
}

# shellcheck disable=SC2317 # called by the trap
finish() {
  status=$?
  trap - EXIT INT TERM
  stop_server
  rm -rf "$tmp"
  exit "$status"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

bold=
plain=
if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then
  bold=$(printf '\033[1m') plain=$(printf '\033[0m')
fi
say() { printf '\n%s%s%s\n' "$bold" "$*" "$plain"; }

die() {
  echo "lesson1: $*" >&2
  exit 1
}

# start_server MODE KIND: on a port of the system's choice, told in $url once it listens.
start_server() {
  : >"$tmp/log"
  "$sdlab" backend --port 0 --mode "$1" --work "${work}ms" --work-kind "$2" --pool "$pool" >"$tmp/log" 2>&1 &
  server=$!
  tries=0
  until grep -q 'Listening on' "$tmp/log"; do
    tries=$((tries + 1))
    if [ "$tries" -gt 200 ] || ! kill -0 "$server" 2>/dev/null; then
      cat "$tmp/log" >&2
      die "the server did not start"
    fi
    sleep 0.05
  done
  url=http://127.0.0.1:$(sed -n 's/.*Listening on .*:\([0-9]*\).*/\1/p' "$tmp/log")/
}

# measure KIND MODE CONNECTIONS: a line "kind mode connections rate mean p50" for the table, times in ms.
measure() {
  "$sdlab" load "$url" -c "$3" -d "${seconds}s" --quiet --json - >"$tmp/json" || die "sdlab load failed"
  awk -v who="$1 $2 $3" '
    /"summary":/ { in_summary = 1 }
    /"latency":/ { in_summary = 0; in_latency = 1 }
    { gsub(/[",:]/, " ") }
    in_summary && $1 == "rate" { rate = $2 }
    in_latency && $1 == "mean" && mean == "" { mean = $2 }
    in_latency && $1 == "p50" && p50 == "" { p50 = $2 }
    END { print who, rate, mean, p50; exit rate == "" || mean == "" || p50 == "" }' "$tmp/json" >>"$tmp/results" ||
    die "cannot read what sdlab load wrote"
}

say "1. What this machine can carry: sdlab sim machine --quick"
"$sdlab" sim machine --quick >"$tmp/machine" || exit 1
sed '/^Try next/,$d' "$tmp/machine"
cores=$(awk '$1 == "cores" { print $2 }' "$tmp/machine")

say "2. Three servers, $work ms of work a request: sdlab backend --work ${work}ms --mode single|threaded|event"
for mode in single threaded event; do
  start_server "$mode" wait
  for n in $levels; do
    [ ! -t 2 ] || printf '\r\033[K%s, %s connections ...' "$mode" "$n" >&2
    measure wait "$mode" "$n"
  done
  stop_server
done
[ ! -t 2 ] || printf '\r\033[K' >&2
awk '
  $1 == "wait" { rate[$2, $3] = $4; mean[$2, $3] = $5; p50[$2, $3] = $6; if (!seen[$3]++) level[++n] = $3 }
  END {
    split("single threaded event", mode)
    printf "%11s", ""
    for (m = 1; m <= 3; m++) printf "  |%16s%9s", mode[m], ""
    printf "\nconnections"
    for (m = 1; m <= 3; m++) printf "  |%9s%8s%8s", "requests", "mean", "p50"
    printf "\n%11s", ""
    for (m = 1; m <= 3; m++) printf "  |%9s%8s%8s", "/s", "ms", "ms"
    print ""
    for (i = 1; i <= n; i++) {
      printf "%11d", level[i]
      for (m = 1; m <= 3; m++) {
        at = mode[m] SUBSEP level[i]
        printf "  |%9.0f%8.1f%8.1f", rate[at], mean[at], p50[at]
      }
      print ""
    }
  }' "$tmp/results"

say "3. What the table says"
awk -v work="$work" -v pool="$pool" '
  # The rule of `sdlab load sweep`: the last level from which on more connections bring half of their share at least.
  function knee(m,   i) {
    for (i = 2; i <= n; i++)
      if (rate[m, level[i]] / rate[m, level[i - 1]] - 1 < (level[i] / level[i - 1] - 1) / 2) return level[i - 1]
    return 0
  }
  function bends(m,   k) {
    k = knee(m)
    if (k) printf "   Its inflection point is at %d connection%s: beyond, more of them wait, and hardly more is done.\n", k, (k > 1 ? "s" : "")
    else printf "   It has no inflection point up to %d connections.\n", last
  }
  $1 == "wait" {
    rate[$2, $3] = $4; p50[$2, $3] = $6
    if (!seen[$3]++) level[++n] = $3
    if ($4 > most[$2]) most[$2] = $4
  }
  END {
    last = level[n]
    printf "   single: each request keeps the only thread for %d ms, so no more than 1 / %d ms = %d requests/s\n", work, work, 1000 / work
    printf "   can be answered, whoever asks; the most here was %.0f/s. So the others queue: by Little'\''s law (connections =\n", most["single"]
    printf "   rate x time) %d connections at %.0f/s take %.0f ms each. Measured: %.0f ms (p50). The mean of a short run is\n", last, rate["single", last], 1000 * last / rate["single", last], p50["single", last]
    print  "   less, for those that came first found no queue."
    bends("single")
    printf "   threaded: %d helper threads, so at most %d / %d ms = %d/s. Up to %d connections everyone finds a thread; of\n", pool, pool, work, pool * 1000 / work, pool
    printf "   %d, %d wait for one: %.1f ms (p50), and %.0f/s.\n", last, last - pool, p50["threaded", last], rate["threaded", last]
    bends("threaded")
    printf "   event: a timer waits, and no thread does. %d connections may get %d / %d ms = %d/s; here it was %.0f/s,\n", last, last, work, last * 1000 / work, rate["event", last]
    print  "   for the timers come late by a little, and a processor answers and asks: the next limit."
    bends("event")
    printf "   Beyond %d requests/s single falls behind: event did %.0f times as much.\n", 1000 / work, most["event"] / most["single"]
    print  "   But mark what this work is: waiting, as for a disk or another server. Nothing is computed."
  }' "$tmp/results"

say "4. The same $work ms, spent on computing, with $crowd connections: --work-kind compute"
for mode in single threaded event; do
  start_server "$mode" compute
  measure compute "$mode" "$crowd"
  stop_server
done
awk -v work="$work" -v cores="$cores" '
  $1 == "compute" {
    printf "   %-9s %6.0f requests/s   mean %6.1f ms   p50 %6.1f ms\n", $2, $4, $5, $6
    rate[$2] = $4
  }
  END {
    printf "\n   A timer cannot compute: event (%.0f/s) is as single (%.0f/s), and everyone waits for the one who computes.\n", rate["event"], rate["single"]
    if (cores + 0 > 0) {
      printf "   Threads bring what there are cores for, and no more: %s core%s x %d/s = %.0f/s at the most, less what the\n", cores, (cores == 1 ? "" : "s"), 1000 / work, cores * 1000 / work
      printf "   client and the kernel take; here threaded did %.0f/s.\n", rate["threaded"]
    }
    print "   So first ask what the work of your server is: waiting wants connections, computing wants cores."
  }' "$tmp/results"

printf '\n   Try next:\n'
hint() { printf '     %-52s %s\n' "$1" "$2"; }
hint "sdlab up $here/lesson1.yaml" 'the three servers, on ports 8081 to 8083'
hint 'sdlab load sweep http://127.0.0.1:8082/' 'the same curve, drawn, with its knee'
hint 'sdlab load http://127.0.0.1:8081/ -r 90/s -d 10s' 'what users see at 90% of what single can do'
