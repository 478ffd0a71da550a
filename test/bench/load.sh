#!/usr/bin/env bash
# What a request costs the generator: CPU time (user and system) of sdlab load beside wrk, ab and hey, where installed, against
# the same nginx, which runs on the other core. Each in turn, round by round; the ratio is taken within a round.
#   test/bench/load.sh BIN        BENCH_ROUNDS=5 BENCH_SECONDS=3
. "$(dirname "$0")/../lib.sh"
sdlab_test "$@"

rounds=${BENCH_ROUNDS:-5} seconds=${BENCH_SECONDS:-3}
TIMEFORMAT='%U %S'

if ! command -v nginx >/dev/null 2>&1; then
  echo 'skip: the server of this comparison needs package nginx-light'
  exit 0
fi
port=$(free_port)
body=$(printf '%01024d' 0)
cat >"$TMP/nginx.conf" <<END
daemon off; master_process off; worker_processes 1; pid $TMP/nginx.pid; error_log $TMP/nginx.err;
events { worker_connections 4096; }
http {
  access_log off; keepalive_requests 1000000000;
  server { listen 127.0.0.1:$port; location / { default_type text/plain; return 200 "$body"; } }
}
END
start nginx taskset -c 0 nginx -c "$TMP/nginx.conf"
wait_port nginx "$port"
url=http://127.0.0.1:$port/

# requests_of GENERATOR OUTPUT: how many were answered.
requests_of() {
  case $1 in
  sdlab) sed -n 's/.*"answers":[[:space:]]*\([0-9]*\).*/\1/p' "$2" | head -n 1 ;;
  wrk) sed -n 's/^ *\([0-9]*\) requests in.*/\1/p' "$2" ;;
  ab) sed -n 's/^Complete requests: *\([0-9]*\).*/\1/p' "$2" ;;
  hey) sed -n 's/.*\[200\][[:space:]]*\([0-9]*\) responses.*/\1/p' "$2" ;;
  esac
}

generate() { # GENERATOR CONNECTIONS
  case $1 in
  sdlab) "$SDLAB" load "$url" -c "$2" -d "${seconds}s" --json - ;;
  wrk) wrk -t1 -c "$2" -d "${seconds}s" "$url" ;;
  ab) ab -q -k -c "$2" -t "$seconds" -n 100000000 "$url" ;;
  hey) GOMAXPROCS=1 hey -c "$2" -z "${seconds}s" "$url" ;;
  esac
}

# cost GENERATOR CONNECTIONS: microseconds of CPU a request.
cost() {
  local used n
  used=$({ time taskset -c 1 bash -c "$(declare -f generate); SDLAB='$SDLAB' url='$url' seconds='$seconds'; generate $1 $2" \
    >"$TMP/out" 2>/dev/null; } 2>&1)
  n=$(requests_of "$1" "$TMP/out")
  awk -v u="$used" -v n="${n:-0}" 'BEGIN { split(u, t, " "); if (n > 0) printf "%.3f\n", (t[1] + t[2]) * 1e6 / n; else print "nan" }'
}

median() { sort -n | awk '{ v[NR] = $1 } END { printf "%.2f [%.2f..%.2f]", v[int((NR + 1) / 2)], v[1], v[NR] }'; }

printf '%-6s %11s %18s  %-5s %18s  %s\n' what connections 'sdlab us/request' peer 'peer us/request' 'ratio [min..max]'
for peer in wrk ab hey; do
  if ! command -v "$peer" >/dev/null 2>&1; then
    echo "skip: $peer is not installed"
    continue
  fi
  for conns in 1 16 64 256; do
    : >"$TMP/ours" && : >"$TMP/theirs" && : >"$TMP/ratio"
    for ((round = 0; round < rounds; round++)); do
      a=$(cost sdlab "$conns")
      b=$(cost "$peer" "$conns")
      echo "$a" >>"$TMP/ours" && echo "$b" >>"$TMP/theirs"
      awk -v a="$a" -v b="$b" 'BEGIN { printf "%.4f\n", a / b }' >>"$TMP/ratio"
    done
    printf '%-6s %11d %18s  %-5s %18s  %s\n' load "$conns" "$(median <"$TMP/ours" | cut -d' ' -f1)" "$peer" \
      "$(median <"$TMP/theirs" | cut -d' ' -f1)" "$(median <"$TMP/ratio")"
  done
done
