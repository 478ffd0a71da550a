#!/usr/bin/env bash
# What a redirect of the shortener costs beside nginx that has the same links in a `map`.
#
#   test/bench/shortener.sh BIN [--only clicks,off,latency,size] [--links 10000,1000000] [--conns 1,16,64,256]
#                           [--rounds 5] [--seconds 3] [--out bench-results] [--quick]
#
#   clicks   with analytics: each redirect is recorded, and the kernel has it before it is answered; added up meanwhile
#   off      without
#   latency  p50 and p99 of redirects at a fixed rate, from when each was due, while 100 links a second are created
#   size     bytes of the database a link, memory, and the time to start
#
# Codes are chosen by chance among all links; nginx has each as a line of its map and answers `return 301`. One thread each,
# server on CPU 0, generator on CPU 1; CPU time a request, in turns, as in run.sh; the server's is that of all its threads: the
# control loop, which adds clicks up, and the database's too. Links are at hand after they were followed once, which a
# round before those that count does. Links are written into the database's file by sqlite3, which is not what is measured.

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
only=clicks,off,latency,size
links=10000,1000000
conns=1,16,64,256
rounds=${BENCH_ROUNDS:-5}
seconds=${BENCH_SECONDS:-3}
out=bench-results
while [ $# -gt 0 ]; do
  option=$1
  if [ "$option" = --quick ]; then
    rounds=1 seconds=1 conns=16 links=10000
    shift
    continue
  fi
  [ $# -ge 2 ] || usage
  case $option in
  --only) only=$2 ;;
  --links) links=$2 ;;
  --conns) conns=$2 ;;
  --rounds) rounds=$2 ;;
  --seconds) seconds=$2 ;;
  --out) out=$2 ;;
  *) usage ;;
  esac
  shift 2
done

sdlab_test "$bin"
ulimit -n "$(ulimit -Hn)"
conns=${conns//,/ } links=${links//,/ }
# shellcheck disable=SC2034 # for heading
body_bytes=0
for need in wrk nginx sqlite3; do
  command -v "$need" >/dev/null 2>&1 || {
    echo "bench: needs packages wrk, nginx-light and sqlite3 (make deps-all installs them): no $need"
    exit 0
  }
done
server_cpu=(taskset -c 0) load_cpu=(taskset -c 1)
if [ "$(nproc)" -lt 2 ]; then
  echo 'bench: one CPU only: nothing is pinned, so the figures spread more'
  server_cpu=() load_cpu=()
fi

# ---- links: number n has the code of seven digits n ----

start_sdlab() { # LINKS clicks|off: PORT
  local more=()
  [ "$2" != off ] || more=(--no-analytics)
  start sdlab "${server_cpu[@]}" "$SDLAB" shortener --port 0 --bind 127.0.0.1 --threads 1 --data-dir "$TMP/data-$1" \
    --cache-size 2GiB --base-url http://s.example --admin 127.0.0.1:0 --create-limit none "${more[@]}"
  PORT=$(port_of sdlab) || exit 1
}

# A database that the service made, and rows as it would have made them.
make_links() { # LINKS
  [ ! -d "$TMP/data-$1" ] || return 0
  start_sdlab "$1" off
  stop sdlab
  nice -n 19 sqlite3 "$TMP/data-$1/links.db" >"$TMP/sqlite.out" 2>&1 <<END || fail "sqlite3: $(cat "$TMP/sqlite.out")"
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $1)
INSERT INTO links (id, code, url, url_hash, tags, status, disabled, forward_query, alias, created_ms, changed_ms, valid_from_ms,
    valid_until_ms, max_visits, clicks, uses)
  SELECT i, printf('%07d', i), printf('https://www.example.com/articles/%07d', i), i * 7919 % 2147483647 * 65537, '', 0, 0, 0, 0,
    1700000000000 + i, 1700000000000 + i, 0, 0, 0, 0, 0 FROM n;
UPDATE counters SET next = $1 + 1 WHERE name = 'links';
PRAGMA journal_mode = WAL;
END
}

start_nginx() { # LINKS: PORT
  local try
  for try in 1 2 3; do
    PORT=$(free_port)
    nginx_head "$TMP/nginx.conf" "$TMP/nginx.d"
    [ -f "$TMP/map-$1" ] || awk -v n="$1" 'BEGIN { for (i = 1; i <= n; i++) printf "/%07d https://www.example.com/articles/%07d;\n", i, i }' >"$TMP/map-$1"
    # shellcheck disable=SC2016 # nginx's variables
    printf '  map_hash_max_size %s;\n  map_hash_bucket_size 128;\n  map $uri $target { default ""; include %s; }\n' $(($1 * 2)) "$TMP/map-$1" >>"$TMP/nginx.conf"
    # shellcheck disable=SC2016
    printf '  server {\n    listen 127.0.0.1:%s backlog=4096;\n    if ($target) { return 301 $target; }\n    return 404;\n  }\n}\n' "$PORT" >>"$TMP/nginx.conf"
    start nginx "${server_cpu[@]}" nginx -p "$TMP/nginx.d" -c "$TMP/nginx.conf" -e "$TMP/nginx.d/error.log"
    DEADLINE=$((DEADLINE + $1 / 2000)) wait_peer nginx "$PORT" && return # it sorts its map first
  done
  fail "nginx did not start in $try tries: $(cat "$TMP/nginx.d/error.log")"
}

# ---- load ----

make_script() { # LINKS: 4096 whole requests, another choice for each round
  cat >"$TMP/codes.lua" <<END
local requests, i, n = {}, 0, $1
init = function(args)
  math.randomseed(tonumber(args[1]))
  for k = 1, 4096 do
    requests[k] = wrk.format("GET", string.format("/%07d", math.random(n)), {["Host"] = "s.example",
      ["User-Agent"] = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0", ["Referer"] = "https://www.example.org/a"})
  end
end
request = function() i = i % 4096 + 1; return requests[i] end
END
}

load() { # PORT CONNECTIONS SECONDS SEED: "requests seconds requests/s errors"
  "${load_cpu[@]}" wrk -t1 -c"$2" -d"$3s" -s "$TMP/codes.lua" "http://127.0.0.1:$1" -- "$4" >"$TMP/wrk.out" 2>&1 ||
    fail "wrk: $(cat "$TMP/wrk.out")"
  awk '
    / requests in / { n = $1; s = $4; sub(/s,.*/, "", s) }
    /Requests\/sec:/ { rate = $2 }
    /Socket errors:/ { gsub(/,/, ""); bad += $4 + $6 + $8 + $10 }
    /Non-2xx or 3xx/ { bad += $NF }
    END { print n + 0, s, rate + 0, bad + 0 }' "$TMP/wrk.out"
}

cpu_us() { cat "/proc/$1"/task/*/schedstat | awk '{ s += $1 } END { printf "%.0f\n", s / 1000 }'; }
rss_kib() { awk '/^VmRSS/ { print $2 }' "/proc/$1/status"; }

both_up() { # LINKS clicks|off
  make_links "$1"
  start_sdlab "$1" "$2"
  port[sdlab]=$PORT
  start_nginx "$1"
  port[nginx]=$PORT
  make_script "$1"
  for server in sdlab nginx; do
    wait_for "$server to redirect" redirects "${port[$server]}"
  done
}

redirects() { curl -sS -o /dev/null --max-time 5 -w '%{redirect_url}' "http://127.0.0.1:$1/0000007" 2>/dev/null | grep -qx 'https://www.example.com/articles/0000007'; }

cost() { # clicks|off LINKS
  local what=$1-$2 server count round before after n s rate bad turns
  local -A port=()
  both_up "$2" "$1"
  for count in $conns; do
    for ((round = 0; round <= rounds; round++)); do
      # Forth and back, so that the place in the order favours nobody.
      turns='sdlab nginx'
      [ $((round % 2)) = 0 ] || turns='nginx sdlab'
      for server in $turns; do
        load "${port[$server]}" "$count" 1 "$round$count" >/dev/null # so that what is asked for is at hand
        before=$(cpu_us "${PID[$server]}")
        read -r n s rate bad < <(load "${port[$server]}" "$count" "$seconds" "$round$count")
        after=$(cpu_us "${PID[$server]}")
        [ "${n:-0}" -gt 0 ] || fail "$what: $server answered nothing: $(cat "$TMP/wrk.out")"
        [ "$round" = 0 ] || echo "$what,$count,$round,$server,$n,$s,$rate,$((after - before)),$(awk -v u=$((after - before)) -v n="$n" \
          'BEGIN { printf "%.3f", u / n }'),$bad" >>"$csv"
      done
      [ ! -t 2 ] || printf '\r\033[K%s, %s connections, round %s of %s\r' "$what" "$count" "$round" "$rounds" >&2
    done
  done
  echo "# rss KiB, $what: sdlab $(rss_kib "${PID[sdlab]}"), nginx $(rss_kib "${PID[nginx]}")" | tee -a "$csv"
  stop_quietly nginx
  stop sdlab
}

# Links are created all the while.
latency() { # LINKS
  local round server p50 p99 rate=1000
  local -A port=()
  both_up "$1" clicks
  echo "# latency: $rate redirects/s, 100 links/s created, $1 links" >>"$csv"
  for ((round = 1; round <= rounds; round++)); do
    for server in nginx sdlab; do
      if [ "$server" = sdlab ]; then
        printf '{"url":"https://www.example.com/new"}' >"$TMP/new.json"
        start creator "${load_cpu[@]}" "$SDLAB" load --quiet --conns 4 --rate 100/s --duration "$((seconds + 2))s" --method POST \
          --header 'Content-Type: application/json' --body "@$TMP/new.json" "http://127.0.0.1:${port[sdlab]}/api/shorten"
      fi
      "${load_cpu[@]}" "$SDLAB" load --quiet --conns 64 --rate "$rate/s" --warmup 500ms --duration "${seconds}s" --json "$TMP/load.json" \
        "http://127.0.0.1:${port[$server]}/0000007" >/dev/null 2>"$TMP/load.err" || fail "load: $(cat "$TMP/load.err")"
      read -r p50 p99 < <(tr -d ' \n\t' <"$TMP/load.json" |
        sed 's/.*"response":{[^{]*{[^}]*"p50":\([0-9.]*\),[^}]*"p99":\([0-9.]*\),.*/\1 \2/')
      echo "$1,$round,$server,$p50,$p99" >>"$TMP/latency.csv"
      echo "# latency,$1,$round,$server,$p50,$p99" >>"$csv"
      [ "$server" != sdlab ] || wait_exit creator
    done
  done
  stop_quietly nginx
  stop sdlab
}

size() { # LINKS
  make_links "$1"
  local began ended bytes
  bytes=$(stat -c %s "$TMP/data-$1/links.db")
  began=$(date +%s%N)
  start_sdlab "$1" off
  wait_for 'the first redirect' redirects "$PORT"
  ended=$(date +%s%N)
  awk -v n="$1" -v b="$bytes" -v ms=$(((ended - began) / 1000000)) -v rss="$(rss_kib "${PID[sdlab]}")" 'BEGIN {
    printf "%d links: %.1f bytes of database a link, first redirect after %d ms, %d KiB of memory then\n", n, b / n, ms, rss }' | tee -a "$TMP/size.txt"
  sed 's/^/# /' "$TMP/size.txt" | tail -n 1 >>"$csv"
  stop sdlab
}

mkdir -p "$out" || exit 1
csv=$out/$(date -u +%Y%m%dT%H%M%SZ)-shortener.csv
heading sdlab nginx wrk | tee "$csv"
echo 'what,connections,round,server,requests,seconds,requests_per_s,cpu_us,cpu_us_per_request,errors' >>"$csv"
for count in $links; do
  for what in ${only//,/ }; do
    case $what in
    clicks | off) cost "$what" "$count" ;;
    *) "$what" "$count" ;;
    esac
  done
done
grep -q '^[a-z].*,sdlab,' "$csv" && print_cost "$csv" sdlab
[ ! -s "$TMP/latency.csv" ] || awk -F, "$awk_median"'
  { k = $1 SUBSEP $3; if (!(k in n)) names[++m] = k; a[k, ++n[k]] = $4; b[k, n[k]] = $5 }
  END {
    printf "milliseconds from when a redirect was due, 1000 a second, while 100 links a second are created: median of the rounds\n"
    for (i = 1; i <= m; i++) {
      k = names[i]; split(k, part, SUBSEP)
      for (r = 1; r <= n[k]; r++) { x[r] = a[k, r]; y[r] = b[k, r] }
      printf "%10d links  %-8s p50 %8.3f  p99 %8.3f\n", part[1], part[2], median(x, n[k]), median(y, n[k])
    }
  }' "$TMP/latency.csv"
echo "raw figures: $(realpath "$csv")"
