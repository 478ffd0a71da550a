#!/usr/bin/env bash
# sdlab load as a person uses it: the summary, files, rules that fail a run, Ctrl-C half way, and bad input.
. "$(dirname "$0")/../lib.sh"
sdlab_test "$@"
cd "$TMP" || exit 1

start_backend a A
url=http://127.0.0.1:$PORT

# A run of a number of requests is answered just so often, and says so.
out=$("$SDLAB" load "$url/" -n 500 -c 5) || fail "load -n 500: exit status $?"
assert_match "$out" '500' 'summary'
assert_match "$out" '200' 'summary'
assert_match "$out" 'p99' 'summary'
assert_match "$out" '--rate' 'summary of a closed loop'
out=$("$SDLAB" load "$url/" -r 1000/s -d 200ms -c 5) || fail "load -r: exit status $?"
assert_match "$out" '200' 'summary of an open loop'

# A header line is one, commas and all; bytes sent on connections that ended are counted too.
"$SDLAB" load "$url/" -n 20 -c 2 --no-keep-alive -H 'Accept: text/html, */*' --json header.json >/dev/null ||
  fail "load -H with a comma: exit status $?"
[ "$(sed -n 's/.*"bytes_out":[[:space:]]*\([0-9]*\).*/\1/p' header.json)" -gt 1000 ] || fail 'bytes of closed connections are not counted'

# The server counts the same.
"$SDLAB" load "$url/" -n 300 -c 3 -t 2 --json result.json >/dev/null || fail "load --json: exit status $?"
assert_match "$(cat result.json)" '"answers":[[:space:]]*300' 'JSON'
"$SDLAB" load "$url/" -n 100 -c 3 --csv result.csv --html result.html --hdr result.hlog >/dev/null || fail 'load with files'
assert_match "$(cat result.hlog)" 'HISTFAAA' 'histogram log'
assert_match "$(head -c 200 result.html)" '<!doctype html>|<!DOCTYPE html>' 'HTML'
[ -s result.csv ] || fail 'CSV is empty'
"$SDLAB" load "$url/" -n 300 -c 3 --json other.json >/dev/null || fail 'second result'
"$SDLAB" load compare result.json other.json >/dev/null || fail "compare: exit status $?"

# Weighted requests from a file.
out=$("$SDLAB" load "$url/" -n 200 -c 2 --requests-file "$ROOT/examples/load-requests.txt") || fail 'requests-file'

# Curves.
out=$("$SDLAB" load sweep "$url/" --conns 1,4 -n 200 --json sweep.json --html sweep.html) || fail 'sweep'
assert_match "$out" 'knee' 'sweep'
for conns in 1 4; do
  assert_match "$out" "^ +$conns .*\\|[#.][# ]{15}\\|[#.][# ]{15}\\|" 'sweep: bars of throughput and latency'
done
assert_match "$(cat sweep.json)" '"x":[[:space:]]*4,' 'JSON of a sweep'
assert_eq 2 "$(grep -c '"answers":[[:space:]]*200,' sweep.json)" 'points of a sweep with all their answers'
assert_eq 2 "$(grep -c '<svg' sweep.html)" 'plots of a sweep'
out=$("$SDLAB" load ramp "$url/" --from 100/s --to 400/s --points 2 -d 200ms --json -) || fail 'ramp'
assert_match "$out" '"verb":[[:space:]]*"ramp"' 'JSON of a ramp'
assert_match "$out" '"x":[[:space:]]*400,' 'JSON of a ramp'
assert_lacks "$out" 'knee (' 'JSON of a ramp'
out=$("$SDLAB" load ramp "$url/" --from 100/s --to 400/s --points 2 -d 200ms) || fail 'ramp'
assert_match "$out" 'knee' 'ramp'

# Nobody listens: no knee is made up, what was due is what failed, and the status is 1.
gone=http://127.0.0.1:$(free_port)
for verb in 'sweep -c 1,2 -n 10' 'ramp --from 100/s --to 200/s --points 2 -d 100ms'; do
  # shellcheck disable=SC2086 # words
  run "$SDLAB" load $verb -q "$gone"
  assert_eq 1 "$STATUS" "$verb where nobody listens"
  assert_match "$OUT" '^no knee: nothing was answered$' "$verb where nobody listens"
done
assert_match "$OUT" '^ +100 +0\.0 +[0-9.]+ +[0-9.]+ +10 ' 'requests of a ramp that failed'
run "$SDLAB" load "$gone" -n 1 -q
assert_lacks "$OUT" 'Latency at saturation' 'advice where nobody listens'
run "$SDLAB" load --unix "$TMP/nosuch" --requests 1 http://h/
assert_eq "1 sdlab load: --unix: there is no $TMP/nosuch" "$STATUS $ERR" 'a socket that is not there'

# Who answered?
out=$("$SDLAB" load "$url/" -n 300 -c 3 -t 2 --tally --json tally.json) || fail '--tally'
assert_match "$out" '^  Response from Server-A +300 +100.00%$' 'tally'
assert_match "$(cat tally.json)" '"text":[[:space:]]*"Response from Server-A"' 'tally as JSON'
"$SDLAB" load "$url/" -n 30 -c 3 --json plain.json --html tally.html >/dev/null || fail 'no tally'
assert_match "$(cat plain.json)" '"tally":[[:space:]]*null' 'JSON without a tally'

# A log again: the backend hears what is in it, from whatever thread.
start_backend r R --admin 127.0.0.1:0
replay_url=http://127.0.0.1:$PORT admin=$(admin_of r)
out=$("$SDLAB" load replay "$ROOT/examples/access.json" "$replay_url" --speed 10 -t 2 --tally --fail-if 'errors>0' \
  --fail-if 'status.4xx>0' --json replay.json --csv replay.csv --html replay.html --hdr replay.hlog) || fail "replay: $out"
assert_match "$out" 'Replayed +60 requests of .*access.json at 10x' 'summary of a replay'
assert_match "$out" 'open: as recorded' 'summary of a replay'
assert_match "$(cat replay.json)" '"answers":[[:space:]]*60,' 'JSON of a replay'
assert_match "$(cat replay.json)" '"span_s":[[:space:]]*0.5,' 'JSON of a replay'
assert_match "$(cat replay.html)" 'requests as recorded, at 10x' 'page of a replay'
assert_eq 60 "$(metric "$admin" "$M_BACKEND_REQUESTS")" 'requests that the backend heard'
stop r
printf '[{"ts":5,"request":"GET /b HTTP/1.1"},\n{"ts":4.9,"request":"GET /a HTTP/1.1"}]' >array.json
out=$("$SDLAB" load replay array.json "$url" </dev/null) || fail 'replay of an array'
assert_match "$out" 'Replayed +2 requests of array.json at 1x, 2 different' 'replay of an array'

# Rules decide the exit status.
"$SDLAB" load "$url/status/503" -n 20 -c 2 --fail-if 'status.5xx>0' >/dev/null 2>err.txt
assert_eq 1 $? 'exit status of a failed rule'
assert_match "$(cat err.txt)" 'status.5xx>0' 'failed rule'
"$SDLAB" load "$url/" -n 20 -c 2 --fail-if 'errors>0' >/dev/null || fail 'a rule that does not hold failed the run'

# Ctrl-C half way: the partial report, marked, and a status that tells.
"$SDLAB" load "$url/delay/20ms" -d 60s -c 2 >partial.txt 2>&1 &
pid=$!
# It runs when its second thread is there.
threads() { set -- "/proc/$pid/task/"*; [ $# -ge 2 ]; }
wait_for 'the threads of load' threads
kill -INT "$pid"
wait "$pid"
assert_eq 1 $? 'exit status after Ctrl-C'
assert_match "$(cat partial.txt)" 'interrupted' 'report after Ctrl-C'

# The same in the warm-up: nothing is counted, and nothing is made of it.
"$SDLAB" load "$url/" --warmup 60s -c 2 >partial.txt 2>&1 &
pid=$!
wait_for 'the threads of load' threads
kill -INT "$pid"
wait "$pid"
assert_eq 1 $? 'exit status after Ctrl-C in the warm-up'
assert_match "$(cat partial.txt)" 'interrupted: in the warm-up, so that nothing is counted' 'report after Ctrl-C in the warm-up'
assert_match "$(cat partial.txt)" 'Rate +0.00/s' 'rate after Ctrl-C in the warm-up'
assert_match "$(cat partial.txt)" 'Bytes +0B/s in, 0B/s out \(0B and 0B in all\)' 'bytes after Ctrl-C in the warm-up'

# Bad input: one line, and 1 or 2.
refused() { # STATUS PATTERN ARGUMENT...
  local want=$1 pattern=$2 said status
  shift 2
  said=$("$SDLAB" "$@" 2>&1 >/dev/null)
  status=$?
  assert_eq "$want" "$status" "exit status of sdlab $*"
  assert_match "$said" "$pattern" "sdlab $*"
  assert_eq 1 "$(printf '%s\n' "$said" | wc -l | tr -d ' ')" "lines said by sdlab $*"
}
refused 2 'URL' load
refused 2 'rate' load "$url" --rate fast
refused 2 'fail-if' load "$url" --fail-if 'p99 is bad'
refused 2 'http://' load "ftp://127.0.0.1/"
refused 1 'cannot open /nowhere/ca.pem' load "https://127.0.0.1/" --ca /nowhere/ca.pem
refused 1 'resolve' load http://no-such-host.invalid/
refused 2 'pipeline' load "$url" --pipeline 4 --no-keep-alive
printf '{"ts":1,"path":"/"}\n{"ts":2}\n' >bad.json
refused 1 'bad.json:2: expected a path' load replay bad.json "$url"
refused 1 'cannot open none.json' load replay none.json "$url"
refused 2 'URL' load replay bad.json
refused 2 'HOST' load replay bad.json "$url/base"
refused 2 'speed' load replay bad.json "$url" --speed 0
refused 2 'speed' load replay bad.json "$url" --speed fast
refused 2 'rate' load replay bad.json "$url" --rate 100/s
refused 2 'conns: expected numbers' load sweep "$url" --conns 1,many
refused 2 'conns: expected 1 to 50' load sweep "$url" --conns "$(seq -s, 51)"
refused 2 'conns: expected rising numbers' load sweep "$url" --conns 4,1
refused 2 'unknown option --rate' load sweep "$url" --rate 100/s
refused 2 'unknown option --rate' load ramp "$url" --rate 100/s
refused 2 'URL: expected a port' load http://127.0.0.1:99999/
refused 2 'did you mean sweep' load sweeep "$url"
refused 1 'json: cannot write in ./none: No such file' load "$url" -n 1 --json ./none/a.json
refused 1 'html: cannot write in ./none: No such file' load sweep "$url" -n 1 --html ./none/a.html
refused 2 'from' load ramp "$url" --from 100/s --to 100/s
refused 1 'nothing.txt' load "$url" --requests-file nothing.txt
stop a
