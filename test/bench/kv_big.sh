#!/usr/bin/env bash
# Many keys in our key-value store: filled in random order with the store's defaults, then read, sought and written at random. Exits with 1
# when more memory was resident, ever, than --bound says.
#
#   test/bench/kv_big.sh BIN [--keys 10000000] [--value 100] [--ops 300000] [--bound 256MiB] [--cache SIZE] [--memtable SIZE] [--limit SIZE] [--engine ours] [--dir DIR] [--quick]
#
# --limit: the same once more with a cgroup that may have so much memory, the kernel's cache of files included: the store has to be read from
# the disk. Operations a second of both stand side by side, and how many bytes the disk gave for each. Without a cgroup that can be made
# here it says so, and goes on without a limit.

# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=table.sh
. "$(dirname "$0")/table.sh"
# shellcheck source=kv_build.sh
. "$(dirname "$0")/kv_build.sh"

usage() {
  sed -n 's/^# \{0,1\}//; 5p' "$0" >&2
  exit 2
}
keys=10000000 value=100 ops=300000 bound=256MiB cache=0 memtable=0 limit=0 engine=ours dir=
take_options 'keys value ops bound cache memtable limit engine dir' 'keys=300000 ops=30000 cache=4MiB memtable=2MiB bound=32MiB' "$@"
sdlab_test "$bin"

bytes() { # SIZE: 64KiB, 256MiB, 1GiB, or a number
  local n=${1%[KMG]iB}
  [[ $n =~ ^[0-9]+$ ]] || usage
  case $1 in
  *KiB) echo $((n << 10)) ;;
  *MiB) echo $((n << 20)) ;;
  *GiB) echo $((n << 30)) ;;
  *) echo "$n" ;;
  esac
}
bound=$(bytes "$bound") && cache=$(bytes "$cache") && memtable=$(bytes "$memtable") && limit=$(bytes "$limit") || exit 2
dir=${dir:-$TMP}/kv_big.$$
workloads=fillrandom,readrandom,readmissing,seekrandom,overwrite,readrandom

# ---- a cgroup with a limit: version 2, or 1 ----

group=
make_group() { # BYTES
  local to
  for to in /sys/fs/cgroup /sys/fs/cgroup/memory; do
    [ -e "$to/cgroup.procs" ] || continue # a folder, but no cgroup
    group=$to/sdlab-kv-big.$$
    if mkdir "$group" 2>/dev/null; then
      { echo "$1" >"$group/memory.max"; } 2>/dev/null && return 0
      { echo "$1" >"$group/memory.limit_in_bytes"; } 2>/dev/null && return 0
      rmdir "$group"
    fi
  done
  group=
  return 1
}
end_all() {
  local status=$?
  rm -rf "$dir"
  [ -z "$group" ] || rmdir "$group" 2>/dev/null # it is empty by now
  (exit "$status")
  test_cleanup
}
trap end_all EXIT

fill() { # NAME: a round; lines of kv_bench go to $TMP/NAME
  rm -rf "$dir"
  mkdir -p "$dir"
  (
    [ "$1" = free ] || echo "$BASHPID" >"$group/cgroup.procs" || exit 1
    exec "$TMP/kv_bench" "$engine" "$workloads" "$dir/store" "keys=$keys" "ops=$ops" "value=$value" "cache=$cache" "memtable=$memtable"
  ) >"$TMP/$1" || fail "$engine: the round '$1' failed"
  rm -rf "$dir"
}

show() { # NAME
  awk -v bound="$bound" -v live="$((keys * (value + 16)))" '
    BEGIN {
      printf "%-12s %9s %9s %8s %9s %9s %9s %9s %6s %6s %9s %9s\n", "workload", "ops", "ops/s", "CPU us", "p50 us", "p99 us", "max ms", "read B/op", "write", "space", "RSS MiB", "peak MiB"
    }
    {
      printf "%-12s %9d %9.0f %8.3f %9.2f %9.2f %9.1f %9.0f %6s %6.2f %9.1f %9.1f%s\n", $2, $4, ($5 > 0 ? $4 / $5 : 0), $6, $7, $8, $9 / 1000, $18 / $4,
        ($13 > 0 ? sprintf("%.2f", $10 / $13) : "-"), $12 / live, $14 / 1048576, $17 / 1048576, ($17 > bound ? "  ABOVE" : "")
    }' "$TMP/$1"
}

kv_build "$TMP/kv_bench" "$(dirname "$SDLAB")/libsdlab.a"
echo "$engine: $keys keys of 16 bytes, values of $value, in random order; cache ${cache/#0/default}, memtable ${memtable/#0/default}; writes not synced"
echo "memory that may be resident: $((bound >> 20)) MiB; write: bytes written for each of the user; space: bytes on the disk for each that is alive; read: from the disk"
fill free
show free
if [ "$limit" -gt 0 ] && make_group "$limit"; then
  echo "with $((limit >> 20)) MiB of memory in all, the cache of files included, for $((keys * (value + 16) >> 20)) MiB of data:"
  fill limited
  show limited
  echo "operations a second, with the limit / without:"
  paste -d ' ' "$TMP/limited" "$TMP/free" | awk '{ printf "  %-12s %.2f\n", $2, ($5 > 0 && $23 > 0 ? ($4 / $5) / ($22 / $23) : 0) }'
elif [ "$limit" -gt 0 ]; then
  echo "no cgroup with a limit of memory can be made here: not measured"
fi
awk -v bound="$bound" 'BEGIN { bad = 0 } $17 > bound { bad = 1; if ($17 > most) most = $17 } END { if (bad) printf "resident: %.1f MiB, more than %.1f MiB\n", most / 1048576, bound / 1048576; exit bad }' "$TMP/free"
