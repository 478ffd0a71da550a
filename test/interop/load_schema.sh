#!/usr/bin/env bash
# What `sdlab load --json` writes is valid by its schema, as ajv understands it, whatever came of the run: in both loops,
# with errors, cut short, with a warm-up, with several statuses, from a log, with a tally; and so is what sweep and ramp
# write. The schemas and the manual page name the same fields.
# one thread: what is looked at is JSON, and a run that is cut short did not always hear of it under the thread sanitizer

# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
sdlab_test "$@"
modules=$(realpath -m "${NPM_MODULES:-$ROOT/build/npm/node_modules}")
need "npm's ajv" node
[ -e "$modules/ajv/package.json" ] || skip "npm's ajv"
cd "$TMP" || exit 1

results=()

# verb [WORD ARGUMENT...]: of the runs that follow.
VERB=()
verb() { VERB=("$@"); }

# result NAME EXPECTED-IN-IT ARGUMENT...: a run that ends by itself; its exit status is to be WANT.
WANT=0
result() {
  local name=$1 holds=$2
  shift 2
  run "$SDLAB" load "${VERB[@]}" "$@" --quiet --json "$name.json"
  assert_eq "$WANT" "$STATUS" "exit status of load, $name: $ERR"
  is_about "$name" "$holds"
}

# The run was what it is here for.
is_about() {
  assert_match "$(tr -d ' \t\n' <"$1.json")" "$2" "$1.json"
  results+=("$1.json")
}

# cut_short NAME EXPECTED-IN-IT ARGUMENT...: interrupted as soon as it can be, which is when the thread that sends is there.
cut_short() {
  local name=$1 holds=$2
  shift 2
  start cut "$SDLAB" load --quiet --json "$name.json" -d 60s "$@"
  wait_for 'the threads of load' threads
  stop cut INT 1
  is_about "$name" "$holds"
}

# Not any thread: a sanitizer has one of its own from the start, and SIGINT is ignored until load asks for it.
threads() { grep -qs '^sdlab-load' "/proc/${PID[cut]}/task/"*/comm; }

start_backend a A
url=http://127.0.0.1:$PORT
result closed '"loop":"closed"' "$url/" -n 200 -c 4 -t 2
result timed '"requests":null' "$url/" -d 100ms -c 2 --pipeline 3
result open '"arrivals":"constant"' "$url/" -r 500/s -d 200ms -c 4
result poisson '"arrivals":"poisson"' "$url/" -r 500/s -n 100 -d 10s -c 4 --arrivals poisson --seed 9223372036854775807
result warmup '"warmup_s":0.1,' "$url/" -d 200ms --warmup 100ms -c 2
result new_connections '"keep_alive":false' "$url/" -n 20 -c 2 --no-keep-alive
result bytes '�' "$url/"$'caf\xe9' -n 10 -c 1

printf '%s\n' '3 GET /' '2 GET /status/404' '1 POST /status/503 text' >mix.txt
result statuses '"200":[0-9]+,"404":[0-9]+,"503":' "$url/" -n 200 -c 2 --requests-file mix.txt --seed 1

result tally '"tally":{"answers":\[{"text":"[^"]+","count":200}\],"other":0}' "$url/" -n 200 -c 4 --tally
result tally_empty '"text":"","count":10}' "$url/bytes/0" -n 10 -c 2 --tally
verb replay "$ROOT/examples/access.json"
result replay '"arrivals":"recorded".*"replay":{"file":".*access.json","speed":100,' "$url" --speed 100 --tally
verb sweep
result sweep '"verb":"sweep".*"x":1,.*"x":20,' "$url/" --conns 1,5,20 -n 100
verb ramp
result ramp '"verb":"ramp".*"points":\[{"x":100,' "$url/" --from 100/s --to 400/s --points 3 -d 100ms
verb

# Nobody answers: no latency at all.
WANT=1
result timeout '"timeout":4,' "$url/delay/60s" -n 4 -c 4 --timeout 20ms
result refused '"refused":5,' "http://127.0.0.1:$(free_port)/" -n 5 -c 1
result refused_open '"response":null' "http://127.0.0.1:$(free_port)/" -n 5 -r 1000/s -c 1
WANT=0

# The generator is the limit: it has fewer descriptors than connections to open.
limit_descriptors() {
  (ulimit -n 32 && exec "$SDLAB" load --quiet --json limited.json "$url/delay/20ms" -n 200 -c 100)
}
limit_descriptors >limited.out 2>&1 || fail "load with few descriptors: $(cat limited.out)"
is_about limited '"limited":"local'

cut_short interrupted '"interrupted":true' "$url/delay/5ms" -c 2
cut_short interrupted_open '"interrupted":true' "$url/delay/5ms" -c 2 -r 100/s
cut_short interrupted_warmup '"window_s":0,"window_answers":0,"rate":0,' "$url/" -c 1 --warmup 50s
stop a

run env NPM_MODULES="$modules" node "$ROOT/test/interop/load_schema.js" \
  "$ROOT/man/sdlab-load.json.5" "$ROOT"/applets/load/load{,-curve}.schema.json "${results[@]}"
[ "$STATUS" -eq 0 ] || fail "$OUT $ERR"
echo "$OUT"
