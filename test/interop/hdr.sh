#!/usr/bin/env bash
# What `sdlab load` writes as histograms is read by hdr-histogram-js, which finds the figures that load gives itself.

# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
sdlab_test "$@"
modules=$(realpath -m "${NPM_MODULES:-$ROOT/build/npm/node_modules}")
need "npm's hdr-histogram-js" node
[ -e "$modules/hdr-histogram-js/package.json" ] || skip "npm's hdr-histogram-js"
cd "$TMP" || exit 1

# read_back NAME: NAME.hdr and NAME.json, written by one run.
read_back() {
  local lines
  assert_eq '#[Histogram log format version 1.3]' "$(head -n 1 "$1.hdr")" "first line of the log, $1"
  assert_contains "$(cat "$1.hdr")" '"StartTimestamp","Interval_Length","Interval_Max","Interval_Compressed_Histogram"' \
    "the log, $1"
  lines=$(grep -v '^[#"]' "$1.hdr")
  assert_eq '' "$(grep -Ev '^(Tag=[a-z]+,)?[0-9.]+,[0-9.]+,[0-9.]+,HISTFA[A-Za-z0-9+/]+=*$' <<<"$lines")" \
    "intervals of another form, $1"
  run env NPM_MODULES="$modules" node "$ROOT/test/interop/hdr_read.js" "$1.hdr" "$1.json"
  [ "$STATUS" -eq 0 ] || fail "$1: $OUT $ERR"
  assert_match "$OUT" '^[1-9][0-9]+ figures compared$' "$1"
  echo "$1: $OUT"
}

# Answers take from 0 to 20 ms, so that there is something to tell apart.
start_backend A A --jitter 20ms --seed 1
url=http://127.0.0.1:$PORT/

# Closed loop: one interval.
run "$SDLAB" load --requests 1500 --conns 20 --quiet --hdr closed.hdr --json closed.json "$url"
assert_eq 0 "$STATUS" "exit status of load: $ERR"
read_back closed

# Open loop, more than four connections can do: the response time grows, and the service time has an interval of its own.
run "$SDLAB" load --duration 2s --rate 500/s --conns 4 --quiet --hdr open.hdr --json open.json "$url"
assert_eq 0 "$STATUS" "exit status of load: $ERR"
assert_lines 1 "$(grep '^Tag=service,' open.hdr)" 'intervals of the service time'
read_back open
stop A
