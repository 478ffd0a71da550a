#!/usr/bin/env bash
# What sdlab costs beside HAProxy and nginx doing the same work: CPU time a request, and memory a connection.
#
#   test/bench/run.sh BIN [--only proxy,bare,idle] [--conns 1,16,64,512] [--peers haproxy,nginx] [--rounds 5]
#                         [--seconds 3] [--idle 10000] [--ours sdlab] [--out bench-results] [--quick]
#
#   proxy  lb, HAProxy and nginx with one thread each, in front of the same origin (nginx, 1 KiB answers)
#   bare   backend with one thread against nginx `return 200`, 1 KiB answers
#   idle   memory with many connections that sent one request each and stay open
#
# The server under test runs alone on CPU 0, generator and origin on CPU 1. CPU time is user and system time of all
# its threads, divided by the answers that the generator counted. Servers take turns in every round and the ratio is
# taken within a round, so a slow minute hits both. --ours haproxy compares the peers with each other.
# One table comes out, and raw figures as CSV. A missing peer is left out with a line.

# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=../peers.sh
. "$(dirname "$0")/../peers.sh"
# shellcheck source=table.sh
. "$(dirname "$0")/table.sh"

usage() {
  sed -n 's/^# \{0,1\}//; 4,5p' "$0" >&2
  exit 2
}

[ $# -gt 0 ] || usage
bin=$1
shift
only=proxy,bare,idle
conns=1,16,64,512
peers=haproxy,nginx
ours=sdlab
rounds=${BENCH_ROUNDS:-5}
seconds=${BENCH_SECONDS:-3}
idle=10000
out=bench-results
while [ $# -gt 0 ]; do
  option=$1
  case $option in
  --quick)
    rounds=1 seconds=1 conns=1,64 idle=1000
    shift
    continue
    ;;
  esac
  [ $# -ge 2 ] || usage
  case $option in
  --only) only=$2 ;;
  --conns) conns=$2 ;;
  --peers) peers=$2 ;;
  --rounds) rounds=$2 ;;
  --seconds) seconds=$2 ;;
  --idle) idle=$2 ;;
  --ours) ours=$2 ;;
  --out) out=$2 ;;
  *) usage ;;
  esac
  shift 2
done

sdlab_test "$bin"
ulimit -n "$(ulimit -Hn)"
conns=${conns//,/ }
body_bytes=1024
# shellcheck disable=SC2034 # peers.sh reads it
HAPROXY_INTER=5s # as ours

if ! command -v wrk >/dev/null 2>&1 || ! command -v nginx >/dev/null 2>&1; then
  echo 'bench: needs packages wrk and nginx-light (make deps-all installs them)'
  exit 0
fi
server_cpu=(taskset -c 0) load_cpu=(taskset -c 1)
if [ "$(nproc)" -lt 2 ]; then
  echo 'bench: one CPU only: nothing is pinned, so the figures spread more'
  server_cpu=() load_cpu=()
fi

servers=("$ours")
for peer in ${peers//,/ }; do
  [ "$peer" = "$ours" ] && continue
  if command -v "$peer" >/dev/null 2>&1; then
    servers+=("$peer")
  else
    echo "bench: $peer is left out: needs package $peer"
  fi
done

# ---- what is measured ----

# All threads: nanoseconds on a CPU where the kernel counts them, else clock ticks.
cpu_us() {
  if [ -r "/proc/$1/schedstat" ]; then
    cat "/proc/$1"/task/*/schedstat 2>/dev/null | awk '{ s += $1 } END { printf "%.0f\n", s / 1000 }'
  else
    awk -v hz="$(getconf CLK_TCK)" '{ sub(/^.*\) /, ""); printf "%.0f\n", ($12 + $13) * 1e6 / hz }' "/proc/$1/stat"
  fi
}

rss_kib() { awk '/^VmRSS:/ { print $2 }' "/proc/$1/status"; }

# load URL CONNECTIONS SECONDS: prints "requests seconds requests/s errors".
load() {
  "${load_cpu[@]}" wrk -t1 -c"$2" -d"$3s" "$1" >"$TMP/wrk.out" 2>&1 || fail "wrk: $(cat "$TMP/wrk.out")"
  awk '
    / requests in / { n = $1; s = $4; sub(/s,.*/, "", s) }
    /Requests\/sec:/ { rate = $2 }
    /Socket errors:/ { gsub(/,/, ""); bad += $4 + $6 + $8 + $10 }
    /Non-2xx/ { bad += $NF }
    END { print n + 0, s, rate + 0, bad + 0 }' "$TMP/wrk.out"
}

start_origin() {
  local p1 p2 p3
  p1=$(free_port) p2=$(free_port) p3=$(free_port)
  mkdir -p "$TMP/origin.d"
  nginx_static "$TMP/origin.conf" "$TMP/origin.d" "$body_bytes" "$p1" "$p2" "$p3"
  start origin "${load_cpu[@]}" nginx -p "$TMP/origin.d" -c "$TMP/origin.conf" -e "$TMP/origin.d/error.log"
  wait_port origin "$p1"
  origins=("$p1" "$p2" "$p3")
}

# start_server WHAT SERVER: sets PORT; the process is PID[WHAT-SERVER].
start_server() {
  local port
  PIN=("${server_cpu[@]}")
  case $1-$2 in
  proxy-sdlab)
    {
      printf 'port: 0\nbind: 127.0.0.1\nthreads: 1\nalgorithm: round-robin\nhealth: {interval: 5s}\nbackends:\n'
      for port in "${origins[@]}"; do echo "  - {address: 127.0.0.1:$port}"; done
    } >"$TMP/lb.yaml"
    start proxy-sdlab "${PIN[@]}" "$SDLAB" lb --config "$TMP/lb.yaml" --admin 127.0.0.1:0
    PORT=$(port_of proxy-sdlab)
    ;;
  bare-sdlab)
    start bare-sdlab "${PIN[@]}" "$SDLAB" backend --port 0 --bind 127.0.0.1 --threads 1
    PORT=$(port_of bare-sdlab)
    ;;
  proxy-nginx) start_nginx proxy-nginx proxy "${origins[@]}" ;;
  proxy-haproxy) start_haproxy proxy-haproxy "${origins[@]}" ;;
  bare-nginx) start_nginx bare-nginx static "$body_bytes" ;;
  esac
  PIN=()
  [ -n "$PORT" ] || exit 1
}

# cost WHAT PATH SERVER...: the first is ours.
cost() {
  local what=$1 path=$2 server count round before after n s rate bad
  local -A port=()
  local -a turns
  shift 2
  for server; do
    start_server "$what" "$server"
    port[$server]=$PORT
    case $what-$server in
    bare-nginx) port[$server]=$PORT/ ;;
    *) port[$server]=$PORT$path ;;
    esac
    wait_for "$what-$server to answer" answers "http://127.0.0.1:${port[$server]}"
  done
  for count in $conns; do
    for server; do load "http://127.0.0.1:${port[$server]}" "$count" 1 >/dev/null; done
    for ((round = 1; round <= rounds; round++)); do
      # Forth and back, so that the place in the order favours nobody.
      turns=("$@")
      if [ $((round % 2)) = 0 ]; then
        turns=()
        for server; do turns=("$server" "${turns[@]}"); done
      fi
      for server in "${turns[@]}"; do
        before=$(cpu_us "${PID[$what-$server]}")
        read -r n s rate bad < <(load "http://127.0.0.1:${port[$server]}" "$count" "$seconds")
        after=$(cpu_us "${PID[$what-$server]}")
        [ "$n" -gt 0 ] || fail "$server answered nothing: $(cat "$TMP/wrk.out")"
        awk -v what="$what" -v c="$count" -v r="$round" -v srv="$server" -v n="$n" -v s="$s" -v rate="$rate" \
          -v us=$((after - before)) -v bad="$bad" \
          'BEGIN { printf "%s,%d,%d,%s,%d,%s,%.0f,%d,%.3f,%d\n", what, c, r, srv, n, s, rate, us, us / n, bad }' \
          >>"$cost_csv"
      done
      progress "$what, $count connections, round $round of $rounds"
    done
  done
  for server; do stop_quietly "$what-$server"; done
}

# memory SERVER...
memory() {
  local server before after opened kept
  cc -D_GNU_SOURCE -O2 -o "$TMP/idle" "$ROOT/test/bench/idle.c" || fail 'idle.c does not compile'
  for server; do
    start_server proxy "$server"
    wait_for "$server to answer" answers "http://127.0.0.1:$PORT/"
    before=$(rss_kib "${PID[proxy-$server]}")
    mkfifo "$TMP/hold.$server"
    : >"$TMP/idle.log"
    "${load_cpu[@]}" "$TMP/idle" "$PORT" "$idle" <"$TMP/hold.$server" >>"$TMP/idle.log" 2>&1 &
    PID[idle]=$!
    STARTED="$STARTED idle"
    exec 9>"$TMP/hold.$server"
    wait_line idle 'ready '
    after=$(rss_kib "${PID[proxy-$server]}")
    exec 9>&-
    wait_exit idle
    opened=$(sed -n 's/^ready //p' "$TMP/idle.log")
    kept=$(sed -n 's/^open //p' "$TMP/idle.log")
    echo "$server,$opened,$kept,$before,$after,$(((after - before) * 1024 / opened))" >>"$memory_csv"
    stop_quietly "proxy-$server"
    progress "idle connections, $server"
  done
}

progress() { [ ! -t 2 ] || printf '\r\033[K%s\r' "$1" >&2; }

# ---- what is printed ----

print_memory() {
  awk -F, -v ours="$ours" '
    /^#/ || $1 == "server" { next }
    !head++ {
      printf "memory with idle connections (resident)\n"
      printf "%-10s %11s %10s %12s %12s %18s\n", "server", "connections", "kept open", "before KiB", "after KiB", "bytes a connection"
    }
    { printf "%-10s %11d %10d %12d %12d %18d\n", $1, $2, $3, $4, $5, $6 }' "$memory_csv"
}

mkdir -p "$out" || exit 1
stamp=$(date -u +%Y%m%dT%H%M%SZ)
cost_csv=$out/$stamp-cost.csv memory_csv=$out/$stamp-memory.csv
start_origin
case ,$only, in
*,proxy,* | *,bare,*)
  heading "${servers[@]}" >"$cost_csv"
  echo 'what,connections,round,server,requests,seconds,requests_per_s,cpu_us,cpu_us_per_request,errors' >>"$cost_csv"
  ;;
esac
heading "${servers[@]}"
case ,$only, in
*,proxy,*) cost proxy / "${servers[@]}" ;;
esac
case ,$only, in
*,bare,*)
  if [ "$ours" = sdlab ] && [[ " ${servers[*]} " = *' nginx '* ]]; then
    cost bare /bytes/1KiB sdlab nginx
  else
    echo 'bench: bare is left out: it compares sdlab with nginx'
  fi
  ;;
esac
[ ! -e "$cost_csv" ] || print_cost "$cost_csv" "$ours"
case ,$only, in
*,idle,*)
  heading "${servers[@]}" >"$memory_csv"
  echo 'server,connections,kept_open,rss_before_kib,rss_after_kib,bytes_a_connection' >>"$memory_csv"
  memory "${servers[@]}"
  print_memory
  ;;
esac
echo "raw figures: $(cd "$out" && pwd)/$stamp-*.csv"
