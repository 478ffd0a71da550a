#!/usr/bin/env bash
# sdlab sim machine: what it says of this machine is what other tools say, it leaves nothing behind, and what cannot be
# measured is unknown and no error.

# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
sdlab_test "$@"
mkdir "$TMP/work" && cd "$TMP/work" || exit 1

# ---- for people ----
run "$SDLAB" sim machine --quick
assert_eq 0 "$STATUS" "exit status; it said: $ERR"
assert_eq '' "$ERR" 'standard error without a terminal'
assert_match "$OUT" '^limit +here +what it means' 'head of the table'
assert_match "$OUT" '^disk sync +p50 [0-9.]+ [mun]?s, p99 [0-9.]+ [mun]?s +[0-9,]+ commits a second' 'disk'
assert_match "$OUT" '^loopback connect +[0-9,]+/s' 'loopback'
assert_match "$OUT" '^loopback round trip +[0-9,]+/s +p50 ' 'loopback'
assert_match "$OUT" '^loopback stream +[0-9.]+ [KMG]iB/s' 'loopback'
assert_contains "$OUT" 'sdlab load sweep http://127.0.0.1:8081/' 'the next command'
assert_eq '' "$(ls -A)" 'what it left behind'
long=$(printf '%s\n' "$OUT" | awk 'length($0) > 132' | head -n 1)
assert_eq '' "$long" 'a line that is too long'

# ---- for programs ----
# fact FILE GROUP KEY: "" as the group is the top.
fact() {
  awk -v group="$2" -v key="$3" '
    { line = $0; gsub(/[",]/, ""); sub(/:$/, "", $1) }
    line ~ /[{]$/ { now = NF > 1 ? $1 : ""; next }
    line ~ /[}]/ { now = ""; next }
    now == group && $1 == key { sub(/^[^ ]* /, ""); print; exit }' "$1"
}
machine() { # [COMMAND...]: runs it by this command, into machine.json
  "$@" "$SDLAB" sim machine --quick --json >"$TMP/machine.json" 2>"$TMP/machine.err" ||
    fail "sim machine --json: $(cat "$TMP/machine.err")"
}

(ulimit -S -n 123 && machine env) || exit 1
assert_eq sdlab-machine "$(fact "$TMP/machine.json" '' format)" 'format'
assert_eq 1 "$(fact "$TMP/machine.json" '' version)" 'version'
assert_eq 123 "$(fact "$TMP/machine.json" files soft)" 'soft limit of files'
hard=$(ulimit -H -n)
assert_eq "$hard" "$(fact "$TMP/machine.json" files hard)" 'hard limit of files'
assert_eq "$(nproc)" "$(fact "$TMP/machine.json" cores allowed)" 'cores by affinity'
assert_eq "$(cat /proc/sys/net/core/somaxconn)" "$(fact "$TMP/machine.json" '' backlog)" 'backlog'
read -r low high </proc/sys/net/ipv4/ip_local_port_range
assert_eq "$((high - low + 1))" "$(fact "$TMP/machine.json" ports count)" 'ports'
assert_eq "$(((high - low + 1) / 60))" "$(fact "$TMP/machine.json" ports connections_per_s)" 'new connections a second'
assert_eq "$(awk '/^MemTotal/ { printf "%.0f", $2 * 1024 }' /proc/meminfo)" "$(fact "$TMP/machine.json" memory total)" 'memory'
assert_eq "$(stat -f -c %T . | sed 's,^ext2/ext3$,ext4,')" "$(fact "$TMP/machine.json" disk filesystem | sed 's,^ext[23]$,ext4,')" \
  'filesystem'
for measured in 'memory copy_per_s' 'disk commits_per_s' 'disk write_per_s' 'loopback connects_per_s' \
  'loopback round_trips_per_s' 'loopback stream_per_s'; do
  # shellcheck disable=SC2086 # two words
  assert_match "$(fact "$TMP/machine.json" $measured)" '^[1-9][0-9]*$' "$measured"
done
assert_eq null "$(fact "$TMP/machine.json" '' unknown_because)" 'why something is unknown'

# Fewer cores by affinity.
if command -v taskset >/dev/null 2>&1; then
  first=$(taskset -cp $$ | sed 's/.*: //; s/[-,].*//')
  machine taskset -c "$first"
  assert_eq 1 "$(fact "$TMP/machine.json" cores allowed)" 'cores by affinity'
  assert_match "$(fact "$TMP/machine.json" cores usable_milli)" '^([1-9][0-9]{0,2}|1000)$' 'usable cores'
fi

# ---- what cannot be measured ----
# Of a folder that was asked for, it is an error.
run "$SDLAB" sim machine --quick --dir "$TMP/nowhere"
assert_eq 1 "$STATUS" 'exit status for a folder that is not there'
assert_eq "sdlab sim machine: cannot write in $TMP/nowhere: No such file or directory" "$ERR" 'message'
assert_eq '' "$OUT" 'standard output'
# Of the current one it is not: $TMPDIR takes its place, or it is unknown.
gone=$TMP/gone
mkdir "$gone" "$TMP/tmpdir"
(cd "$gone" && rmdir "$gone" && machine env TMPDIR="$TMP/tmpdir") || exit 1
assert_eq "$TMP/tmpdir" "$(fact "$TMP/machine.json" disk dir)" 'the folder that was tried'
assert_match "$(fact "$TMP/machine.json" disk commits_per_s)" '^[1-9]' "commits in TMPDIR"
assert_eq '' "$(ls -A "$TMP/tmpdir")" 'what it left behind'
mkdir "$gone"
(cd "$gone" && rmdir "$gone" && machine env -u TMPDIR) || exit 1
assert_eq null "$(fact "$TMP/machine.json" disk commits_per_s)" 'commits nowhere'
assert_eq null "$(fact "$TMP/machine.json" disk filesystem)" 'filesystem nowhere'
assert_contains "$(fact "$TMP/machine.json" '' unknown_because)" 'cannot write in .' 'why'
assert_match "$(fact "$TMP/machine.json" loopback stream_per_s)" '^[1-9]' 'loopback all the same'
# Where the loopback is down.
if unshare -r -n true 2>/dev/null; then
  machine unshare -r -n
  assert_eq null "$(fact "$TMP/machine.json" loopback connects_per_s)" 'loopback that is down'
  assert_contains "$(fact "$TMP/machine.json" '' unknown_because)" 'cannot connect' 'why'
  assert_match "$(fact "$TMP/machine.json" disk commits_per_s)" '^[1-9]' 'disk all the same'
fi

# ---- bad input ----
run "$SDLAB" sim machine now
assert_eq 2 "$STATUS" 'exit status with an operand'
run "$SDLAB" sim machin
assert_eq 2 "$STATUS" 'exit status of a misspelt verb'
run "$SDLAB" sim
assert_eq 2 "$STATUS" 'exit status without a verb'
# Standard output that takes nothing.
if [ -w /dev/full ]; then
  "$SDLAB" sim machine --quick >/dev/full 2>/dev/null && fail 'a full disk went unnoticed'
fi
exit 0
