#!/usr/bin/env bash
# What else lb costs beside HAProxy and nginx: handshakes, connections, TCP mode, hashing, its log, and the time it adds.
#
#   test/bench/edge.sh BIN [--only tls-full,tls-resumed,connect,tcp,tcp-bulk,hash,log,files,limit,added] [--conns 4,16,64,256]
#                          [--peers haproxy,nginx] [--rounds 5] [--seconds 3] [--out bench-results] [--quick]
#
#   tls-full     a request on a connection of its own, each with a whole handshake (TLS 1.3, ECDSA P-256, X25519)
#   tls-resumed  the same with a session taken up again
#   connect      a request on a connection of its own, without TLS
#   tcp          TCP mode (nginx: its stream module): requests of 1 KiB on connections that stay
#   tcp-bulk     the same with answers of 1 MiB
#   hash         the backend chosen by consistent hashing of a header of 4,096 values
#   log          requests with an access log in a file; log-off beside it is the same without
#   files        a file of 1 KiB, of 128 KiB and of 1 MiB that is in memory (nginx: with sendfile and tcp_nopush)
#   limit        requests under a limit by address that lets all pass (nginx: limit_req, HAProxy: a stick table), beside the same
#                without, and what it adds within a round
#   added        time added at a fixed rate, 70 % of what the slowest can do, with 64 connections
#
# Server on CPU 0, generator and origin on CPU 1; CPU time a request, in turns, as in run.sh. Every comparison is of the
# same work: one thread each, connections to the origin kept, X-Forwarded-For added in HTTP. HAProxy writes its log to
# standard output, a line at a time, since it has no files; nginx and lb gather lines. Of files, both send the head and the
# first bytes in one packet. Without tcp_nopush the head wakes the reader early, and its acknowledgements, on the other
# CPU, do a part of the sending: less for the server's CPU, more for both together.

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
only=tls-full,tls-resumed,connect,tcp,tcp-bulk,hash,log,files,limit,added
conns=4,16,64,256
peers=haproxy,nginx
rounds=${BENCH_ROUNDS:-5}
seconds=${BENCH_SECONDS:-3}
out=bench-results
while [ $# -gt 0 ]; do
  option=$1
  if [ "$option" = --quick ]; then
    rounds=1 seconds=1 conns=16
    shift
    continue
  fi
  [ $# -ge 2 ] || usage
  case $option in
  --only) only=$2 ;;
  --conns) conns=$2 ;;
  --peers) peers=$2 ;;
  --rounds) rounds=$2 ;;
  --seconds) seconds=$2 ;;
  --out) out=$2 ;;
  *) usage ;;
  esac
  shift 2
done

sdlab_test "$bin"
ulimit -n "$(ulimit -Hn)"
conns=${conns//,/ }
body_bytes=1024
if ! command -v wrk >/dev/null 2>&1 || ! command -v nginx >/dev/null 2>&1; then
  echo 'bench: needs packages wrk and nginx-light (make deps-all installs them)'
  exit 0
fi
server_cpu=(taskset -c 0) load_cpu=(taskset -c 1)
if [ "$(nproc)" -lt 2 ]; then
  echo 'bench: one CPU only: nothing is pinned, so the figures spread more'
  server_cpu=() load_cpu=()
fi
servers=(sdlab)
for peer in ${peers//,/ }; do
  if command -v "$peer" >/dev/null 2>&1; then servers+=("$peer"); else echo "bench: $peer is left out: not installed"; fi
done
stream_module=$(find /usr/lib/nginx/modules /usr/share/nginx/modules -name ngx_stream_module.so 2>/dev/null | head -n 1)
certs=$TMP/certs
"$SDLAB" tls selfsigned --name 127.0.0.1 --out "$certs" >/dev/null || fail 'no certificate'
cat "$certs/cert.pem" "$certs/key.pem" >"$TMP/both.pem"

www=$TMP/www
mkdir "$www"
for size in 1 128 1024; do head -c "${size}K" /dev/zero | tr '\0' x >"$www/${size}K"; done

# ---- the servers: config_SERVER WHAT PORT writes TMP/SERVER.conf ----

config_sdlab() { # PORT is 0: the kernel's choice is told
  local origin
  echo 'port: 0'
  printf 'bind: 127.0.0.1\nadmin: 127.0.0.1:0\nthreads: 1\nhealth: {interval: 5s}\n'
  case $1 in
  tls-*) printf 'tls: {cert: %s, key: %s, tickets: %s}\n' "$certs/cert.pem" "$certs/key.pem" \
    "$([ "$1" = tls-full ] && echo false || echo true)" ;;
  tcp*) echo 'mode: tcp' ;;
  limit) echo 'limits: [{name: clients, rate: 1000000, burst: 1000000}]' ;;
  hash) printf 'algorithm: hash\nhash: {on: header, name: X-Key, bound: 0}\n' ;;
  log) printf 'access-log: %s\naccess-log-format: combined\n' "$TMP/sdlab.access" ;;
  files-*) printf 'routes:\n  - {path: /, files: %s}\n' "$www" ;;
  esac
  echo 'backends:'
  for origin in "${origins[@]}"; do echo "  - {address: 127.0.0.1:$origin}"; done
}

config_haproxy() {
  local origin n=0 mode=http bind=''
  case $1 in
  tcp*) mode=tcp ;;
  tls-full) bind="ssl crt $TMP/both.pem no-tls-tickets curves X25519" ;;
  tls-resumed) bind="ssl crt $TMP/both.pem curves X25519" ;;
  esac
  echo 'global'
  printf '  nbthread 1\n  maxconn 12000\n  no strict-limits\n'
  [ "$1" != tls-full ] || echo '  tune.ssl.cachesize 0'
  [ "$1" != log ] || echo '  log stdout format raw local0'
  printf 'defaults\n  mode %s\n' "$mode"
  if [ "$1" = log ]; then printf '  log global\n  option httplog\n'; else echo '  no log'; fi
  [ "$mode" = tcp ] || printf '  option http-keep-alive\n  option forwardfor\n  http-reuse always\n  timeout http-keep-alive 600s\n'
  printf '  backlog 4096\n  timeout connect 5s\n  timeout client 600s\n  timeout server 600s\n'
  printf 'frontend front\n  bind 127.0.0.1:%s %s\n  default_backend pool\n' "$2" "$bind"
  if [ "$1" = limit ]; then
    printf '  stick-table type ip size 100k expire 1m store http_req_rate(1s)\n  http-request track-sc0 src\n'
    printf '  http-request deny deny_status 429 if { sc_http_req_rate(0) gt 1000000 }\n'
  fi
  printf 'backend pool\n'
  if [ "$1" = hash ]; then printf '  balance hdr(X-Key)\n  hash-type consistent\n'; else echo '  balance roundrobin'; fi
  for origin in "${origins[@]}"; do
    n=$((n + 1))
    echo "  server s$n 127.0.0.1:$origin check inter 5s"
  done
}

nginx_upstream() { # WHAT
  local origin
  echo '  upstream pool {'
  # shellcheck disable=SC2016 # nginx's variable
  [ "$1" != hash ] || echo '    hash $http_x_key consistent;'
  for origin in "${origins[@]}"; do echo "    server 127.0.0.1:$origin;"; done
  case $1 in tcp*) ;; *) printf '    keepalive 512;\n    keepalive_requests 1000000000;\n    keepalive_timeout 600s;\n' ;; esac
  echo '  }'
}

config_nginx() {
  local listen="127.0.0.1:$2" head=$TMP/nginx.head
  mkdir -p "$TMP/nginx.d"
  case $1 in
  tcp*)
    printf 'load_module %s;\ndaemon off;\nmaster_process off;\nworker_processes 1;\npid %s/nginx.pid;\nerror_log %s/error.log;\n' \
      "$stream_module" "$TMP/nginx.d" "$TMP/nginx.d"
    printf 'events { worker_connections 12000; }\nstream {\n'
    nginx_upstream "$1"
    printf '  server { listen %s backlog=4096; proxy_pass pool; }\n}\n' "$listen"
    return
    ;;
  esac
  nginx_head "$head" "$TMP/nginx.d"
  if [ "$1" = log ]; then
    sed "s,access_log off;,access_log $TMP/nginx.access combined buffer=64k flush=1s;," "$head"
  else
    cat "$head"
  fi
  nginx_upstream "$1"
  # shellcheck disable=SC2016 # nginx's variable
  [ "$1" != limit ] || echo '  limit_req_zone $binary_remote_addr zone=clients:10m rate=1000000r/s;'
  echo '  server {'
  [ "$1" != limit ] || echo '    limit_req zone=clients burst=1000000 nodelay;'
  case $1 in
  tls-*)
    printf '    listen %s ssl backlog=4096;\n    ssl_certificate %s/cert.pem;\n    ssl_certificate_key %s/key.pem;\n' "$listen" \
      "$certs" "$certs"
    printf '    ssl_protocols TLSv1.2 TLSv1.3;\n    ssl_ecdh_curve X25519;\n'
    [ "$1" != tls-full ] || printf '    ssl_session_tickets off;\n    ssl_session_cache off;\n'
    ;;
  *) echo "    listen $listen backlog=4096;" ;;
  esac
  case $1 in files-*)
    printf '    sendfile on;\n    tcp_nopush on;\n    root %s;\n  }\n}\n' "$www"
    return
    ;;
  esac
  # shellcheck disable=SC2016 # nginx's variables
  printf '    location / {\n      proxy_pass http://pool;\n      proxy_http_version 1.1;\n      proxy_set_header Connection "";\n%s%s    }\n  }\n}\n' \
    '      proxy_set_header Host $http_host;
' '      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
'
}

# start_server WHAT SERVER [NAME]: sets PORT; the process is PID[NAME], else PID[SERVER].
start_server() {
  local try name=${3:-$2}
  for try in 1 2 3; do
    PORT=0
    [ "$2" = sdlab ] || PORT=$(free_port)
    "config_$2" "$1" "$PORT" >"$TMP/$name.conf"
    case $2 in
    sdlab)
      start "$name" "${server_cpu[@]}" "$SDLAB" lb --config "$TMP/$name.conf"
      PORT=$(port_of "$name") || exit 1
      return
      ;;
    haproxy) start "$name" "${server_cpu[@]}" haproxy -db -f "$TMP/$name.conf" ;;
    nginx) start "$name" "${server_cpu[@]}" nginx -p "$TMP/nginx.d" -c "$TMP/$name.conf" -e "$TMP/nginx.d/error.log" ;;
    esac
    wait_peer "$name" "$PORT" && return
  done
  fail "$name did not start in $try tries"
}

start_origins() {
  local i
  origins=()
  for i in 1 2 3; do
    start "origin$i" "${load_cpu[@]}" "$SDLAB" backend --port 0 --bind 127.0.0.1 --threads 1
    origins+=("$(port_of "origin$i")") || exit 1
  done
}

# ---- load: each prints "requests seconds requests/s errors" ----

cpu_us() { cat "/proc/$1"/task/*/schedstat | awk '{ s += $1 } END { printf "%.0f\n", s / 1000 }'; }

# A request on a connection of its own.
load_fresh() { # SCHEME PORT CONNECTIONS SECONDS
  "${load_cpu[@]}" "$SDLAB" load --insecure --no-keep-alive --quiet --conns "$3" --duration "$4s" --json "$TMP/load.json" \
    "$1://127.0.0.1:$2/bytes/1KiB" >/dev/null 2>"$TMP/load.err" || fail "load: $(cat "$TMP/load.err")"
  tr -d ' \n\t' <"$TMP/load.json" |
    sed 's/.*"summary":{"elapsed_s":\([0-9.]*\),"answers":\([0-9]*\),"errors":\([0-9]*\),.*/\2 \1 \3/' |
    awk '{ print $1, $2, $1 / $2, $3 }'
}

load_kept() { # PATH PORT CONNECTIONS SECONDS [SCRIPT]
  "${load_cpu[@]}" wrk -t1 -c"$3" -d"$4s" ${5:+-s "$5"} "http://127.0.0.1:$2$1" >"$TMP/wrk.out" 2>&1 ||
    fail "wrk: $(cat "$TMP/wrk.out")"
  awk '
    / requests in / { n = $1; s = $4; sub(/s,.*/, "", s) }
    /Requests\/sec:/ { rate = $2 }
    /Socket errors:/ { gsub(/,/, ""); bad += $4 + $6 + $8 + $10 }
    /Non-2xx/ { bad += $NF }
    END { print n + 0, s, rate + 0, bad + 0 }' "$TMP/wrk.out"
}

cat >"$TMP/keys.lua" <<'END'
local requests, i = {}, 0
init = function()
  for k = 1, 4096 do requests[k] = wrk.format(nil, nil, {["Host"] = "h", ["X-Key"] = "key-" .. k * 7919 % 65537}) end
end
request = function() i = i % 4096 + 1; return requests[i] end
END

load() { # WHAT PORT CONNECTIONS SECONDS
  case $1 in
  tls-*) load_fresh https "$2" "$3" "$4" ;;
  connect) load_fresh http "$2" "$3" "$4" ;;
  files-*) load_kept "/${1#files-}" "$2" "$3" "$4" ;;
  tcp-bulk) load_kept /bytes/1MiB "$2" "$3" "$4" ;;
  hash) load_kept /bytes/1KiB "$2" "$3" "$4" "$TMP/keys.lua" ;;
  *) load_kept /bytes/1KiB "$2" "$3" "$4" ;;
  esac
}

able() { # WHAT SERVER
  case $1-$2 in
  files-*-haproxy) return 1 ;;
  tcp*-nginx) [ -n "$stream_module" ] ;;
  esac
}

# cost WHAT: a row for each run, as table.sh wants them
cost() {
  local what=$1 server count round before after n s rate bad scheme=http
  local -A port=()
  local -a here=() turns
  case $what in tls-*) scheme=https ;; esac
  for server in "${servers[@]}"; do
    able "$what" "$server" || {
      case $what in tcp*) echo "bench: $what: $server is left out: needs package libnginx-mod-stream" ;; esac
      continue
    }
    start_server "$what" "$server"
    here+=("$server")
    port[$server]=$PORT
    wait_for "$server to answer" curl -sSk -o /dev/null --max-time 2 "$scheme://127.0.0.1:$PORT/" 2>/dev/null
  done
  for count in $conns; do
    for server in "${here[@]}"; do load "$what" "${port[$server]}" "$count" 1 >/dev/null; done
    for ((round = 1; round <= rounds; round++)); do
      # Forth and back, so that the place in the order favours nobody.
      turns=("${here[@]}")
      if [ $((round % 2)) = 0 ]; then
        turns=()
        for server in "${here[@]}"; do turns=("$server" "${turns[@]}"); done
      fi
      for server in "${turns[@]}"; do
        before=$(cpu_us "${PID[$server]}")
        read -r n s rate bad < <(load "$what" "${port[$server]}" "$count" "$seconds")
        after=$(cpu_us "${PID[$server]}")
        [ "${n:-0}" -gt 0 ] || fail "$what: $server answered nothing"
        echo "$what,$count,$round,$server,$n,$s,$rate,$((after - before)),$(awk -v u=$((after - before)) -v n="$n" \
          'BEGIN { printf "%.3f", u / n }'),$bad" >>"$csv"
      done
      [ ! -t 2 ] || printf '\r\033[K%s, %s connections, round %s of %s\r' "$what" "$count" "$round" "$rounds" >&2
    done
  done
  for server in "${here[@]}"; do stop_quietly "$server"; done
}

# What a limit adds: in every round each server without and with one, in turns.
limit() {
  local count round server name what n s rate bad before after
  local -A port=()
  local -a names=() turns
  for server in "${servers[@]}"; do
    for what in limit-off limit; do
      start_server "$what" "$server" "$server-$what"
      port[$server-$what]=$PORT
      names+=("$server-$what")
      wait_for "$server-$what to answer" answers "http://127.0.0.1:$PORT/"
    done
  done
  for count in $conns; do
    for name in "${names[@]}"; do load limit "${port[$name]}" "$count" 1 >/dev/null; done
    for ((round = 1; round <= rounds; round++)); do
      turns=("${names[@]}")
      if [ $((round % 2)) = 0 ]; then
        turns=()
        for name in "${names[@]}"; do turns=("$name" "${turns[@]}"); done
      fi
      for name in "${turns[@]}"; do
        before=$(cpu_us "${PID[$name]}")
        read -r n s rate bad < <(load limit "${port[$name]}" "$count" "$seconds")
        after=$(cpu_us "${PID[$name]}")
        [ "${n:-0}" -gt 0 ] || fail "$name answered nothing"
        echo "${name#*-},$count,$round,${name%%-*},$n,$s,$rate,$((after - before)),$(awk -v u=$((after - before)) -v n="$n" \
          'BEGIN { printf "%.3f", u / n }'),$bad" >>"$csv"
      done
    done
  done
  for name in "${names[@]}"; do stop_quietly "$name"; done
  awk -F, "$awk_median"'
    $1 != "limit" && $1 != "limit-off" { next }
    { us[$1, $2, $4, $3] = $9; if (!($2 in c)) { c[$2]; counts[++nc] = $2 } if (!($4 in k)) { k[$4]; names[++n] = $4 } if ($3 > rounds) rounds = $3 }
    END {
      print "CPU microseconds a request that a limit adds, median of the rounds [min..max]"
      printf "%11s  %-10s %8s %8s %8s\n", "connections", "server", "without", "with", "added"
      for (i = 1; i <= nc; i++) for (p = 1; p <= n; p++) {
        for (r = 1; r <= rounds; r++) {
          a[r] = us["limit-off", counts[i], names[p], r]; b[r] = us["limit", counts[i], names[p], r]; d[r] = b[r] - a[r]
        }
        ma = median(a, rounds); mb = median(b, rounds); md = median(d, rounds)
        printf "%11d  %-10s %8.2f %8.2f %8.2f [%.2f..%.2f]\n", counts[i], names[p], ma, mb, md, d[1], d[rounds]
      }
    }' "$csv"
}

# The time added: p50 and p99 from when a request was due, beside those without anything between.
added() {
  local server round peak=0 rate least="" p50 p99 origin=${origins[0]}
  local -A port=()
  for server in "${servers[@]}"; do
    start_server added "$server"
    port[$server]=$PORT
    wait_for "$server to answer" answers "http://127.0.0.1:$PORT/"
    read -r _ _ peak _ < <(load_kept /bytes/1KiB "$PORT" 64 "$seconds")
    peak=${peak%.*}
    if [ -z "$least" ] || [ "$peak" -lt "$least" ]; then least=$peak; fi
  done
  rate=$((least * 7 / 10))
  port[none]=$origin
  echo "# added: $rate requests/s, 70 % of $least" >>"$csv"
  for ((round = 1; round <= rounds; round++)); do
    for server in none "${servers[@]}"; do
      "${load_cpu[@]}" "$SDLAB" load --quiet --conns 64 --rate "$rate/s" --warmup 500ms --duration "${seconds}s" \
        --json "$TMP/load.json" "http://127.0.0.1:${port[$server]}/bytes/1KiB" >/dev/null 2>"$TMP/load.err" ||
        fail "load: $(cat "$TMP/load.err")"
      read -r p50 p99 < <(tr -d ' \n\t' <"$TMP/load.json" |
        sed 's/.*"response":{[^{]*{[^}]*"p50":\([0-9.]*\),[^}]*"p99":\([0-9.]*\),.*/\1 \2/')
      echo "$round,$server,$p50,$p99" >>"$TMP/added.csv"
      echo "# added,$round,$server,$p50,$p99" >>"$csv"
    done
  done
  for server in "${servers[@]}"; do stop_quietly "$server"; done
  awk -F, -v rate="$rate" "$awk_median"'
    { p50[$2, $1] = $3; p99[$2, $1] = $4; if (!seen[$2]++) names[++n] = $2; if ($1 > rounds) rounds = $1 }
    END {
      printf "milliseconds from when a request was due, at %d requests/s, median of the rounds [min..max]; none: no proxy\n", rate
      printf "%-10s %8s %8s %22s\n", "server", "p50", "p99", "p99 added"
      for (k = 1; k <= n; k++) {
        for (r = 1; r <= rounds; r++) { a[r] = p50[names[k], r]; b[r] = p99[names[k], r]; d[r] = b[r] - p99["none", r] }
        ma = median(a, rounds); mb = median(b, rounds); md = median(d, rounds)
        printf "%-10s %8.3f %8.3f %8.3f [%.3f..%.3f]\n", names[k], ma, mb, md, d[1], d[rounds]
      }
    }' "$TMP/added.csv"
}

mkdir -p "$out" || exit 1
csv=$out/$(date -u +%Y%m%dT%H%M%SZ)-edge.csv
heading "${servers[@]}" | tee "$csv"
echo 'what,connections,round,server,requests,seconds,requests_per_s,cpu_us,cpu_us_per_request,errors' >>"$csv"
start_origins
for what in ${only//,/ }; do
  case $what in
  added | limit) ;;
  log) cost log-off && cost log ;;
  files) cost files-1K && cost files-128K && cost files-1024K ;;
  *) cost "$what" ;;
  esac
done
grep -q '^[a-z].*,sdlab,' "$csv" && print_cost "$csv" sdlab
case ,$only, in *,limit,*) limit ;; esac
case ,$only, in *,added,*) added ;; esac
echo "raw figures: $(realpath "$csv")"
