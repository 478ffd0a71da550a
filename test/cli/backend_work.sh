#!/usr/bin/env bash
# backend --work-kind: computing uses the processor for as long as --work says, in every mode, and waiting does not.

# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
sdlab_test "$@"

requests=6
work=50 # ms

# cpu_ms NAME: processor time that it has used.
cpu_ms() {
  awk -v hz="$(getconf CLK_TCK)" '{ sub(/^.*\) /, ""); print ($12 + $13) * 1000 / hz }' "/proc/${PID[$1]}/stat"
}

# used NAME: processor time of the requests, in ms.
used() {
  local before i
  before=$(cpu_ms "$1")
  for ((i = 0; i < requests; i++)); do
    assert_eq 'Response from Server-A' "$(curl -sS --max-time "$DEADLINE" "http://127.0.0.1:$PORT/")" "answer of $1"
  done
  awk -v a="$before" -v b="$(cpu_ms "$1")" 'BEGIN { printf "%d\n", b - a }'
}

for mode in single threaded event; do
  start_backend "$mode" A --mode "$mode" --work "${work}ms"
  spent=$(used "$mode")
  [ "$spent" -lt $((requests * work / 2)) ] || fail "$mode, waiting: used $spent ms of the processor"
  stop "$mode"
  start_backend "$mode" A --mode "$mode" --work "${work}ms" --work-kind compute
  spent=$(used "$mode")
  # the kernel counts in ticks
  [ "$spent" -ge $((requests * work - 20)) ] || fail "$mode, computing: used only $spent ms of the processor"
  stop "$mode"
done

# A delay besides is waited for and not computed; and a reload changes the kind.
printf 'mode: threaded\nname: Server-A\nwork: %dms\ndelay: %dms\nwork-kind: wait\n' "$work" "$work" >"$TMP/a.yaml"
start a "$SDLAB" backend --port 0 --config "$TMP/a.yaml"
PORT=$(port_of a) || exit 1
spent=$(used a)
[ "$spent" -lt $((requests * work / 2)) ] || fail "threaded, before the reload: used $spent ms of the processor"
sed -i 's/work-kind: wait/work-kind: compute/' "$TMP/a.yaml"
kill -HUP "${PID[a]}"
wait_line a 'eloaded'
spent=$(used a)
[ "$spent" -ge $((requests * work - 20)) ] || fail "threaded, after the reload: used only $spent ms of the processor"
[ "$spent" -lt $((requests * work * 3 / 2)) ] || fail "threaded: computed its delay as well: $spent ms of the processor"
stop a

run "$SDLAB" backend --port 0 --work-kind think
assert_eq 2 "$STATUS" 'exit status of a kind that is not there'
assert_match "$ERR" '--work-kind.*wait.*compute' 'message'
