#!/bin/sh
# The main job, shown: short links behind a load balancer. Links are made and followed; half way a shortener and the cache are killed. No redirect
# fails, and every click is counted.
#   examples/demo.sh build/plain/sdlab
# On a terminal it stays up until Ctrl-C; elsewhere it ends with 0 when no redirect failed and no click was lost, else 1.
set -u

here=$(dirname "$0")
sdlab=${1:-}
if [ -z "$sdlab" ]; then
  sdlab=sdlab
  [ ! -x "$here/../build/plain/sdlab" ] || sdlab=$here/../build/plain/sdlab
fi
command -v "$sdlab" >/dev/null || { echo "demo: cannot find $sdlab; run make first" >&2; exit 1; }
requests=${DEMO_REQUESTS:-6000}
rate=${DEMO_RATE:-1000} # a second
links=${DEMO_LINKS:-20}
browser='User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0'
tmp=$(mktemp -d)
stack=
load=
interrupted=

# shellcheck disable=SC2317 # called by the trap
finish() {
  status=$?
  trap - EXIT INT TERM
  [ -z "$load" ] || kill "$load" 2>/dev/null
  if [ -n "$stack" ]; then
    # Ctrl-C reached the stack as well; a second signal would cut its orderly stop short.
    [ -n "$interrupted" ] || kill -TERM "$stack" 2>/dev/null
    wait "$stack"
  fi
  rm -rf "$tmp"
  exit "$status"
}
trap finish EXIT
trap 'interrupted=1; exit 130' INT
trap 'exit 143' TERM

bold=
plain=
if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then
  bold=$(printf '\033[1m') plain=$(printf '\033[0m')
fi
say() { printf '\n%s%s%s\n' "$bold" "$*" "$plain"; }

# ---- the stack, on its own ports, or on others where these are taken; what it keeps goes with the demo ----

taken=" $(cat /proc/net/tcp /proc/net/tcp6 2>/dev/null | awk '$4 == "0A" { sub(/.*:/, "", $2); print $2 }' | tr '\n' ' ')"
cp "$here/demo.yaml" "$tmp/demo.yaml" || exit 1
# free_port PORT: sets `port` to it, or to another when somebody listens there. (@: it is not to be replaced again.)
free_port() {
  port=$1
  while case $taken in *" $(printf '%04X' "$port") "*) ;; *) false ;; esac do
    port=$((port < 55536 ? port + 10000 : port - 44535))
  done
  taken="$taken$(printf '%04X' "$port") "
  [ "$port" -eq "$1" ] || echo "demo: port $1 is taken here; $port takes its place"
  sed "s/\([^0-9@]\)$1\([^0-9]\)/\1@$port\2/g; s/\([^0-9@]\)$1\$/\1@$port/" "$tmp/demo.yaml" >"$tmp/changed" &&
    mv "$tmp/changed" "$tmp/demo.yaml"
}
free_port 8080
url=http://127.0.0.1:$port
free_port 8079
admin=http://127.0.0.1:$port
free_port 8089
worker=http://127.0.0.1:$port
free_port 8091
first=http://127.0.0.1:$port
free_port 8092
second=http://127.0.0.1:$port
free_port 7001
cache=redis://127.0.0.1:$port
free_port 5672
free_port 15672
queue=http://127.0.0.1:$port
sed 's/@//g' "$tmp/demo.yaml" >"$tmp/changed" && mv "$tmp/changed" "$tmp/demo.yaml"

# Is it our stack that runs, and not somebody else's of this name?
# shellcheck disable=SC2317 # called by ready
ours() { "$sdlab" up status demo --json 2>/dev/null | grep -q "\"pid\":[[:space:]]*$stack,"; }
# shellcheck disable=SC2317 # called by until_true
ready() { ours && curl -fs -o "$tmp/ready" "$admin/-/ready" && curl -fs -o "$tmp/ready" "$worker/-/ready"; }

# Until a command succeeds; false when it has not within 20 s.
until_true() {
  tries=0
  until "$@"; do
    tries=$((tries + 1))
    [ "$tries" -le 400 ] || return 1
    sleep 0.05
  done
}
die() {
  say "$*"
  exit 1
}

# counter NAME: of the balancer.
counter() { curl -s "$admin/metrics" | awk -v name="$1" '{ n = $1; sub(/{.*/, "", n) } n == name { sum += $2 } END { printf "%d\n", sum }'; }
# clicks [TEXT]: that are counted, of all links (that have this in their code). The sums of /api/stats are kept for a while.
clicks() {
  curl -s "$url/api/links?per_page=200&search=${1:-}" | grep -o '"clicks": *[0-9]*' | awk -F: '{ n += $2 } END { print n + 0 }'
}
pid_of() {
  "$sdlab" up status demo --json | awk -v want="\"$1\"," '
    $1 == "\"name\":" { here = $2 == want }
    here && $1 == "\"pid\":" { sub(",", "", $2); print $2; exit }'
}

say '1. A load balancer, two URL shorteners on one database, a cache, a queue, a worker that counts clicks: sdlab up examples/demo.yaml'
"$sdlab" up "$tmp/demo.yaml" &
stack=$!
if ! until_true ready; then
  echo "demo: the stack did not start; see the lines above" >&2
  exit 1
fi

say "2. $links links are made"
n=0
while [ "$n" -lt "$links" ]; do
  n=$((n + 1))
  "$sdlab" shortener shorten "https://example.com/a/long/way/to/page-$n" --title "Page $n" --server "$url" >>"$tmp/links" || die 'A link was not made.'
  [ "$n" -gt 3 ] || printf '   %s leads to https://example.com/a/long/way/to/page-%d\n' "$(tail -n 1 "$tmp/links")" "$n"
done
sed 's|.*/|1 GET /|' "$tmp/links" >"$tmp/requests"
code=$(sed -n '1s|.*/||p' "$tmp/links")

say "3. $requests redirects, $rate a second; links-2 and the cache are killed (SIGKILL) when half of them are through"
printf '   Numbers that move: %s/dashboard\n' "$url"
"$sdlab" load "$url" -n "$requests" -r "$rate/s" -c 20 --quiet --requests-file "$tmp/requests" -H "$browser" --json "$tmp/result.json" \
  --csv "$tmp/result.csv" >"$tmp/summary" 2>&1 &
load=$!
killed=
told=0
while kill -0 "$load" 2>/dev/null; do
  through=$(counter sdlab_http_requests_total)
  through=$((through - links))
  if [ -z "$killed" ] && [ "$through" -ge $((requests / 2)) ]; then
    killed="$(pid_of links-2) $(pid_of cache)"
    # shellcheck disable=SC2086 # process ids
    kill -9 $killed || die 'Nobody was there to be killed.'
  fi
  if [ "$through" -ge $((told + requests / 6)) ]; then
    told=$((through / (requests / 6) * (requests / 6)))
    printf '   %5d redirected, %5d clicks counted\n' "$through" "$(clicks)"
  fi
  sleep 0.1
done
wait "$load"
load=

# What is in the journal of a shortener, and in the queue, stays in its order: a click behind all others is counted behind them.
# shellcheck disable=SC2317 # called by until_true
last_is_counted() { [ "$(clicks "last-$1")" = 1 ]; }
# shellcheck disable=SC2317 # called by until_true
last_click() {
  curl -fs -o "$tmp/answer" -H 'Content-Type: application/json' -d "{\"url\": \"https://example.com/\", \"alias\": \"last-$1\"}" "$2/api/shorten" &&
    curl -fs -o "$tmp/answer" -H "$browser" "$2/last-$1"
}
echo '   what links-2 had written down when it died is counted, too'
for n in 1 2; do
  [ "$n" -eq 2 ] || at=$first
  [ "$n" -eq 1 ] || at=$second
  until_true last_click "$n" "$at" || die "Shortener $n does not redirect any more."
  until_true last_is_counted "$n" || die "The clicks of shortener $n are not counted any more."
done
counted=$(($(clicks) - 2))
twice=$(($(counter sdlab_lb_retries_total) + $(counter sdlab_lb_stale_connections_total)))

say '4. What came of it'
good=$(awk '$1 == "\"301\":" { n = $2 + 0 } END { print n + 0 }' "$tmp/result.json")
printf '   redirects asked for %9d\n   not given %19d\n' "$requests" $((requests - good))
awk -F, '$1 == "p50" || $1 == "p99" { printf "   %s %25.1f ms\n", $1, $2 }' "$tmp/result.csv"
printf '   clicks counted %14d\n' "$counted"
[ "$counted" -le "$requests" ] ||
  printf '   (links-2 died with %d of them counted and not answered; links-1 was asked, and these count twice)\n' $((counted - requests))

status=1
if [ "$good" -ne "$requests" ]; then
  cat "$tmp/summary"
  say "Only $good of $requests redirects were given."
elif [ -z "$killed" ]; then
  say 'Nobody was killed in the middle.'
elif [ "$counted" -lt "$requests" ]; then
  say "$((requests - counted)) clicks are lost."
elif [ "$counted" -gt $((requests + twice)) ]; then
  say "$((counted - requests)) clicks are counted that nobody made."
else
  say "A shortener and the cache were killed in the middle (pids $killed). No redirect failed, and no click is lost."
  status=0
fi
printf '   The dashboard: %s/dashboard\n' "$url"

if [ -t 0 ] && [ -t 1 ]; then
  hint() { printf '     %-66s %s\n' "$1" "$2"; }
  to='' at=''
  [ "$url" = http://127.0.0.1:8080 ] || to=" --server $url"
  [ "$cache" = redis://127.0.0.1:7001 ] || at=" --server $cache"
  printf '\n   Try next, in another terminal:\n'
  hint "$url/dashboard" 'in a browser: links, and who followed them'
  hint "$sdlab shortener shorten https://example.com/$to" 'one more link'
  hint "curl -i $url/$code" 'a redirect'
  hint "$sdlab shortener stats $code$to" 'who followed it'
  hint "$sdlab up status" 'the parts and their processes: kill one'
  hint "curl $admin/-/backends" 'what the balancer thinks of the two'
  hint "$queue/" 'the queue, moving (guest, guest)'
  hint "$sdlab cache top$at" 'what the cache does'
  hint "curl -N $admin/-/events" 'what happens, as it happens'
  hint "curl $admin/metrics" 'the numbers, for Prometheus'
  printf '   Ctrl-C stops everything.\n\n'
  wait "$stack"
  stack=
fi
exit "$status"
