# shellcheck shell=bash
# The stacks of examples/shortlinks*.yaml in tests: on free ports, under load, with members killed, and the sum of all clicks. Sourced after lib.sh.

declare -A PORT_OF=()
FRONT='' FRONT_ADMIN='' WORKER_ADMIN=''
SENT=0 ANSWERED=0 FAILED=0 # redirects: asked for, given, not given
REPEATED=0 # requests that the balancer may have sent twice: each may be a click more than was asked for

# shortlinks_file EXAMPLE TO PORT...: the example with a free port for each of these (PORT_OF), and short waits.
shortlinks_file() {
  local from=$ROOT/examples/$1 to=$2 text changed old
  shift 2
  text=$(sed 's/^name:.*/&\nrestart-delay: 100ms/; s/interval: 500ms/interval: 100ms/' "$from")
  for old; do
    PORT_OF[$old]=$(free_port)
    changed=$(printf '%s\n' "$text" | sed -E "s/^([^#]*[^0-9])$old($|[^0-9])/\1${PORT_OF[$old]}\2/")
    [ "$changed" != "$text" ] || fail "$from has no port $old"
    text=$changed
  done
  printf '%s\n' "$text" >"$to"
  FRONT=http://127.0.0.1:${PORT_OF[8080]} FRONT_ADMIN=127.0.0.1:${PORT_OF[8079]} WORKER_ADMIN=127.0.0.1:${PORT_OF[8089]}
}
shortener() { echo "127.0.0.1:${PORT_OF[$((8090 + $1))]}"; }
shortener_admin() { echo "127.0.0.1:${PORT_OF[$((8086 + $1))]}"; }

# All clicks that are counted, of up to 200 links. (The sums of /api/stats are kept for a while.)
clicks() { curl -sS --max-time 20 "$FRONT/api/links?per_page=200" | grep -o '"clicks": *[0-9]*' | awk -F: '{ n += $2 } END { print n + 0 }'; }
clicks_are() { [ "$(clicks)" = "$1" ]; }
click() { # BASE CODE
  local agent='Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0'
  assert_eq 301 "$(curl -sS --max-time 20 -o /dev/null -w '%{http_code}' -A "$agent" "$1/$2")" "status of $2"
}
ready() { [ "$(curl -s -o /dev/null -w '%{http_code}' --max-time 20 "http://$1/-/ready")" = 200 ]; }

# ---- load ----

# start_redirects: makes 60 links and follows them until end_redirects.
start_redirects() {
  mkfifo "$TMP/ask" "$TMP/said"
  # shellcheck disable=SC2016 # for the inner shell
  start load bash -c 'cd "$1" && shift && exec python3 "$@" <ask >said' - "$TMP" "$ROOT/test/cli/shortlinks_load.py" "${PORT_OF[8080]}" 60 6
  exec 9>"$TMP/ask" 8<"$TMP/said"
}
# go MODE N: until N more redirects were given; see shortlinks_load.py.
go() {
  printf '%s %s\n' "$1" "$2" >&9
  read -r -t "$((DEADLINE * 3))" SENT ANSWERED FAILED <&8 || fail "redirects: $(cat "$TMP/load.log")"
}
end_redirects() {
  echo 'end 0' >&9
  wait_exit load
  assert_eq 0 "$STATUS" "exit status of the load: $(cat "$TMP/load.log")"
  read -r SENT ANSWERED FAILED <&8 || fail 'the load did not say its sum'
  REPEATED=$((REPEATED + $(sent_twice)))
}
sent_twice() { echo $(($(metric "$FRONT_ADMIN" sdlab_lb_retries_total) + $(metric "$FRONT_ADMIN" sdlab_lb_stale_connections_total))); }

# ---- members ----

# member NAME KEY: from the status of the stack.
member() {
  "$SDLAB" up status shortlinks --json | awk -v want="\"$1\"," -v key="\"$2\":" '
    $1 == "\"name\":" { here = $2 == want }
    here && $1 == key { gsub(/[",]/, "", $2); print $2; exit }'
}
is_back() { [ "$(member "$1" state)" = ready ] && [ "$(member "$1" restarts)" -gt "$2" ]; }
takes_requests() {
  [ "$(metric "$FRONT_ADMIN" sdlab_lb_backend_up "backend=\"$1\"")" = 1 ] &&
    [ "$(metric "$FRONT_ADMIN" sdlab_lb_backend_ejected_seconds "backend=\"$1\"")" = 0 ]
}
counts() { ready "$WORKER_ADMIN" && ready "$(shortener_admin 1)" && ready "$(shortener_admin 2)"; }

# kill_under_load MODE NAME...: while redirects go on; until all are back and do their work. HELD: a process that is stopped goes on then.
HELD=
kill_under_load() {
  local mode=$1 name pids='' was=''
  shift
  go "$mode" 100
  for name; do
    pids="$pids $(member "$name" pid)"
    was="$was $(member "$name" restarts)"
  done
  case " $* " in *' front '*) REPEATED=$((REPEATED + $(sent_twice))) ;; esac
  # shellcheck disable=SC2086 # process ids
  kill -s KILL $pids
  [ -z "$HELD" ] || kill -s CONT "$HELD"
  HELD=
  for name; do
    # shellcheck disable=SC2086 # numbers
    set -- $was
    wait_for "$name to be back" is_back "$name" "$1"
    was=${was# "$1"}
  done
  for name in links-1 links-2; do wait_for "$name to get requests" takes_requests "$name"; done
  wait_for 'the worker to be ready' counts
  go "$mode" 100
  go strict 50
}

# check_clicks BEFORE: each redirect that was given is counted, and none that was not asked for. BEFORE: clicks before the load. Each shortener has one
# journal, and the queue keeps its order: a click behind all others is counted behind them.
counted_at_end() { curl -sS --max-time 20 "$FRONT/api/stats/end-$1" | grep -q '"clicks": 1,'; }
check_clicks() {
  local n counted
  for n in 1 2; do
    run curl -sS --max-time 10 -f -d "{\"url\": \"https://example.com/\", \"alias\": \"end-$n\"}" "http://$(shortener "$n")/api/shorten"
    assert_eq 0 "$STATUS" "making end-$n: $ERR"
    click "http://$(shortener "$n")" "end-$n"
    wait_for "the last click at shortener $n to be counted" counted_at_end "$n"
  done
  counted=$(($(clicks) - $1 - 2))
  echo "sent $SENT, redirected $ANSWERED, not $FAILED, sent twice $REPEATED, counted $counted"
  [ "$counted" -ge "$ANSWERED" ] || fail "$ANSWERED redirects were given, and $counted counted"
  [ "$counted" -le $((SENT + REPEATED)) ] || fail "$SENT redirects were asked for, $REPEATED of them twice at most, and $counted counted"
}
