#!/usr/bin/env bash
# examples/shortlinks.yaml as it stands, but for its ports: a balancer, two shorteners on one database, a cache, a queue and a worker. In one process;
# then one process each, and each of them is killed under load, and then all at once. A redirect fails only while the balancer itself is gone, and
# every one that was answered is counted.
# plain build only: it is about what survives

# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=../shortlinks.sh
. "$(dirname "$0")/../shortlinks.sh"
sdlab_test "$@"
need curl curl
need python3 python3
cd "$TMP" || exit 1

shortlinks_file shortlinks.yaml shortlinks.yaml 7001 5672 15672 8091 8092 8087 8088 8089 8080 8079

# ---- one process ----
start up "$SDLAB" up shortlinks.yaml
wait_line up 'shortlinks is ready: 6 services'
assert_eq '' "$(descendants "${PID[up]}")" 'processes of a stack in one process'
for name in 'Listening on :'"${PORT_OF[8080]}" "Admin on $FRONT_ADMIN" "Admin on $WORKER_ADMIN" "http://127.0.0.1:${PORT_OF[15672]}/"; do
  wait_line up "$name"
done

# Two shorteners write to one file at the same time, and each knows what the other made.
for n in 1 2; do
  for ((i = 0; i < 40; i++)); do
    printf 'url="http://%s/api/shorten"\ndata="{\\"url\\": \\"https://example.com/%s/%s\\"}"\nnext\n' "$(shortener $n)" $n $i
  done | sed '$d' >"make.$n"
  start "make.$n" curl -sS --max-time 10 -f -K "make.$n"
done
for n in 1 2; do
  wait_exit "make.$n"
  assert_eq 0 "$STATUS" "making links at shortener $n"
done
assert_eq 80 "$(cat "$TMP"/make.[12].log | sed -n 's/^ *"short_url": *"\(.*\)".*/\1/p' | sed 's|.*/||' | sort -u | wc -l)" 'codes of 80 links'
knows_all() { curl -sS --max-time 20 "http://$(shortener "$1")/api/stats" | grep -q '"urls": *80,'; }
for n in 1 2; do
  wait_for "shortener $n to know all links" knows_all $n
  code=$(sed -n 's|^ *"short_url": *".*/\(.*\)".*|\1|p' "$TMP/make.$((3 - n)).log" | head -n 1)
  click "http://$(shortener $n)" "$code"
done

# Clicks go by way of the queue to the worker.
for ((i = 0; i < 20; i++)); do click "$FRONT" "$code"; done
wait_for 'clicks to be counted' clicks_are 22
assert_eq 22 "$(metric "$WORKER_ADMIN" sdlab_shortener_clicks_counted_total)" 'clicks that the worker counted'
ready "$WORKER_ADMIN" || fail 'the worker is not ready'
for n in 1 2; do
  [ "$(metric "$(shortener_admin $n)" sdlab_shortener_visits_total 'result="redirected"')" -gt 1 ] || fail "shortener $n has no part of it"
  assert_eq 0 "$(metric "$(shortener_admin $n)" sdlab_shortener_clicks_counted_total)" "clicks that shortener $n counted itself"
done
assert_match "$(curl -sS --max-time 20 -o /dev/null -w '%{http_code}' "$FRONT/dashboard")" '^200$' 'the dashboard'

# A second one says what is in its way.
run "$SDLAB" up shortlinks.yaml
assert_eq 1 "$STATUS" 'exit status of a second stack of this name'
assert_lines 1 "$ERR" 'what a second stack says'
assert_contains "$ERR" 'a stack called shortlinks runs already' 'what a second stack says'
sed 's/^name:.*/name: other/' shortlinks.yaml >other.yaml
run "$SDLAB" up other.yaml
assert_eq 1 "$STATUS" 'exit status of a stack whose ports are taken'
assert_eq "sdlab up: cache: cannot listen on 127.0.0.1:${PORT_OF[7001]}: Address already in use" "$ERR" 'what it says'
stop up INT
assert_contains "$(tail -n 1 "$TMP/up.log")" 'shortlinks is stopped' 'the last line'

# ---- one process each ----
start up "$SDLAB" up shortlinks.yaml --isolate
wait_line up 'shortlinks is ready: 6 services'
clicks_are 22 || fail "expected 22 clicks from before, found $(clicks)"
start_redirects
for name in links-1 links-2 cache clicks; do kill_under_load strict $name; done
# The queue dies with clicks that only it has: the worker is held up meanwhile.
has_some() {
  "$SDLAB" mq list --server "amqp://127.0.0.1:${PORT_OF[5672]}" --http-port "${PORT_OF[15672]}" |
    awk '$1 == "sdlab.clicks" { n = $2 + $3 } END { exit n < 3 }'
}
HELD=$(member clicks pid)
kill -s STOP "$HELD"
go strict 100
wait_for 'clicks to be in the queue' has_some
kill_under_load strict queue
assert_eq 0 "$FAILED" 'redirects that failed while each member but the balancer was killed'
kill_under_load broken front
# The balancer goes first, so that it sends nothing twice of which nobody would know.
kill_under_load any front links-2 links-1 clicks queue cache
end_redirects
check_clicks 22
stop up INT
