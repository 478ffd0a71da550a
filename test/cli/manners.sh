#!/usr/bin/env bash
# load in the manner of ab, wrk and hey: how it is called, what it refuses, how it ends. What the tools themselves print is
# compared in test/interop/manners.sh.
# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
sdlab_test "$@"
cd "$TMP" || exit 1

start_backend a A
url=http://127.0.0.1:$PORT

# ---- names: by a link and by a word, but never installed ----

mkdir links
for name in ab wrk hey; do
  ln -s "$SDLAB" "links/$name"
  run "links/$name" --help
  assert_eq 0 "$STATUS" "exit status of $name --help"
  assert_contains "$OUT" "usage: $name " "$name --help through a link"
  run "$SDLAB" "$name" --help
  assert_contains "$OUT" "usage: $name " "sdlab $name --help"
  run "$SDLAB" help "$name"
  assert_contains "$OUT" 'sdlab load' "sdlab help $name"
  run "$SDLAB" list
  assert_match "$OUT" "^ *$name +load: " 'sdlab list'
  run "$SDLAB" list --names
  assert_eq 0 "$(printf '%s\n' "$OUT" | grep -cx "$name")" "$name in sdlab list --names"
done
run "$SDLAB" list --json
assert_match "$OUT" '"manners":[[:space:]]*\["ab", "wrk", "hey"\]' 'sdlab list --json'
run "$SDLAB" install -s farm
assert_eq 0 "$STATUS" 'exit status of sdlab install'
[ -L farm/load ] || fail 'sdlab install made no link for load'
for name in ab wrk hey; do
  [ ! -e "farm/$name" ] || fail "sdlab install made a link that hides $name"
done
run "$SDLAB" wrkk
assert_eq 127 "$STATUS" 'exit status of sdlab wrkk'
assert_contains "$ERR" 'did you mean wrk?' 'sdlab wrkk'
assert_eq wrk "$("$SDLAB" complete sdlab wr)" 'completion'

# ---- a run of each: reports on standard output, what we say about them elsewhere ----

run links/ab -n 40 -c 4 -e times.csv -g times.tsv "$url/"
assert_eq 0 "$STATUS" 'exit status of ab'
assert_match "$OUT" '^Complete requests: +40$' 'ab'
assert_match "$OUT" '^Failed requests: +0$' 'ab'
assert_match "$OUT" '^Document Length: +23 bytes$' 'ab'
assert_lacks "$OUT" 'note:' 'the report of ab'
assert_match "$ERR" '^ab: note: closed loop' 'ab'
assert_eq 102 "$(wc -l <times.csv)" 'lines of ab -e'
assert_eq 41 "$(wc -l <times.tsv)" 'lines of ab -g'
assert_eq 6 "$(awk -F'\t' 'NR == 7 { print NF }' times.tsv)" 'fields of ab -g'

run links/ab -kn40 -c4 "$url/"
assert_match "$OUT" '^Keep-Alive requests: +40$' 'ab -kn40'
run links/ab -t 60 -n 30 "$url/"
assert_match "$OUT" '^Complete requests: +30$' 'ab -t 60 -n 30'
run links/ab -n 30 -t 60 -n 10 "$url/status/503"
assert_match "$OUT" '^Non-2xx responses: +10$' 'ab of 503'
assert_eq 0 "$STATUS" 'exit status of ab after 503'

# -t alone ends by time, long before its 50000 requests.
run links/ab -t 1 -c 2 "$url/delay/5ms"
assert_eq 0 "$STATUS" 'exit status of ab -t 1'
done_in_time=$(printf '%s\n' "$OUT" | sed -n 's/^Complete requests: *//p')
[ "$done_in_time" -lt 1000 ] || fail "ab -t 1 made $done_in_time requests of 5 ms on 2 connections"

run links/wrk -c 4 -t2 -d1 --latency "$url/status/404"
assert_eq 0 "$STATUS" 'exit status of wrk'
assert_match "$OUT" '^Running 1s test @ http' 'wrk'
assert_match "$OUT" '^  2 threads and 4 connections$' 'wrk'
assert_eq "$(printf '%s\n' "$OUT" | sed -n 's/^ *\([0-9]*\) requests in .*/\1/p')" \
  "$(printf '%s\n' "$OUT" | sed -n 's/^  Non-2xx or 3xx responses: //p')" 'answers that wrk took for bad'
run links/wrk "$url/" --rate=200 -d 500ms -t 1
assert_match "$OUT" '^  100 requests in ' 'wrk --rate'
assert_match "$ERR" 'moment a request was due' 'wrk --rate'
run links/wrk "$url/" -R1k -d 100ms -t 1
assert_match "$OUT" '^  100 requests in ' 'wrk -R1k'

run links/hey -n 100 -c 30 -disable-redirects -disable-compression=true "$url/"
assert_eq 0 "$STATUS" 'exit status of hey'
assert_match "$OUT" '\[200\].90 responses' 'hey: whole rounds of its workers'
run links/hey -n 6 -c 2 -o csv "$url/"
assert_lines 7 "$OUT" 'hey -o csv'
assert_eq 6 "$(printf '%s\n' "$OUT" | awk -F, '$7 == 200' | wc -l | tr -d ' ')" 'rows of hey -o csv'
run links/hey -z 500ms -q 100 -c 2 "$url/"
assert_match "$OUT" '\[200\].100 responses' 'hey -z -q'

# ---- nobody listens ----

start_backend gone G
closed=http://127.0.0.1:$PORT/
stop gone
run links/ab -n 100000 -c 2 "$closed"
assert_eq 1 "$STATUS" 'exit status of ab, refused'
assert_contains "$ERR" 'Connection refused (111)' 'ab, refused'
assert_lacks "$OUT" 'Complete requests' 'ab, refused'
run links/ab -r -n 100000 -c 2 "$closed"
assert_eq 1 "$STATUS" 'exit status of ab -r, refused'
run links/wrk -d 10m "$closed"
assert_eq 1 "$STATUS" 'exit status of wrk, refused'
assert_contains "$ERR" 'unable to connect' 'wrk, refused'
run links/hey -n 4 -c 2 "$closed"
assert_eq 0 "$STATUS" 'exit status of hey, refused'
assert_match "$OUT" '\[4\].*connection refused' 'hey, refused'

# ab gives up when an answer is late; with -r it goes on and counts.
run links/ab -n 100000 -s 1 "$url/delay/60s"
assert_eq 1 "$STATUS" 'exit status of ab without an answer'
assert_contains "$ERR" 'timeout specified has expired (70007)' 'ab without an answer'

# ---- Ctrl-C: the report of what there was, and the status of the tool ----

interrupt() { # STATUS PATTERN TOOL FLAG...
  local want=$1 pattern=$2 tool=$3
  shift 3
  start "$tool" "links/$tool" "$@" "$url/delay/20ms"
  threads() { set -- "/proc/${PID[$tool]}/task/"*; [ $# -ge 2 ]; }
  wait_for "the threads of $tool" threads
  stop "$tool" INT "$want"
  assert_match "$(cat "$TMP/$tool.log")" "$pattern" "report of $tool after Ctrl-C"
}
interrupt 1 '^Complete requests:' ab -t 600 -c 2
interrupt 0 '^Requests/sec:' wrk -d 10m -c 2
interrupt 0 '^Status code distribution:' hey -z 10m -c 2

# ---- what is refused: one line, and 2 ----

refused() { # PATTERN COMMAND...
  local pattern=$1
  shift
  run "links/$1" "${@:2}"
  assert_eq 2 "$STATUS" "exit status of $*"
  assert_match "$ERR" "^$1: .*$pattern" "$*"
  assert_lines 1 "$ERR" "$*"
}
refused 'URL' ab
refused 'one URL' ab "$url/" -n 5
refused 'greater than' ab -n 1 -c 4 "$url/"
refused 'whole number' ab -n x "$url/"
refused '-n: expected' ab -n
refused '-s: expected' ab -s 0 "$url/"
refused 'USER:PASSWORD' ab -A user "$url/"
refused '-w .*--html' ab -w "$url/"
refused '-X ' ab -X proxy:80 "$url/"
refused 'TLS' ab -Z ALL "$url/"
refused 'flag -Q' ab -kQ "$url/"
refused 'Name: value' ab -H nonsense "$url/"
refused 'Lua.*--requests-file' wrk -s x.lua "$url/"
refused 'connections must be >= threads' wrk -c 1 -t 2 "$url/"
refused 'flag --foo' wrk --foo=1 "$url/"
refused '--latency: expected no value' wrk --latency=1 "$url/"
refused 'number of seconds' wrk -d soon "$url/"
refused 'less than -c' hey -n 10 -c 50 "$url/"
refused 'HTTP/2' hey -h2 "$url/"
refused '-x ' hey -x proxy:80 "$url/"
refused 'csv' hey -o json "$url/"
refused '-D FILE' hey -d @file "$url/"
refused 'flag -foo' hey -foo "$url/"
refused 'true or false' hey -disable-keepalive=maybe "$url/"

run links/ab -p nothing.txt "$url/"
assert_eq 1 "$STATUS" 'exit status of ab with a file that is not there'
assert_contains "$ERR" 'nothing.txt' 'ab with a file that is not there'
run links/ab -n 1 https://127.0.0.1/
assert_eq 1 "$STATUS" 'exit status of ab with https'
assert_contains "$ERR" 'TLS' 'ab with https'

# What a person has set for load is not meant for these.
SDLAB_LOAD_REQUESTS=7 run links/ab -n 3 "$url/"
assert_match "$OUT" '^Complete requests: +3$' 'ab beside SDLAB_LOAD_REQUESTS'
stop a
