#!/usr/bin/env bash
# Feeds each fuzz target for a while from its corpus, with address and undefined-behaviour checks.
#
#   test/fuzz/run.sh [FUZZ_SRC...]      FUZZ_SECONDS=60 for each; without names, test/fuzz/fuzz_*.c
#
# fuzz_NAME.c starts from test/fuzz/corpus/NAME, which is only read; test/fuzz/NAME.dict is used when there is one. What
# breaks a target is kept in build/fuzz. One line a target; exit status 1 when one of them broke.
set -u
cd "$(dirname "$0")/../.." || exit 1

seconds=${FUZZ_SECONDS:-60}
out=build/fuzz
if ! command -v clang >/dev/null 2>&1; then
  echo 'skip: needs package clang'
  [ -z "${CI:-}" ]
  exit
fi
[ $# -gt 0 ] || set -- test/fuzz/fuzz_*.c
[ -e "$1" ] || {
  echo 'fuzz: no targets'
  exit 0
}
mkdir -p "$out/obj" "$out/crashes" || exit 1
tmp=$(mktemp -d "${TMPDIR:-/tmp}/sdlab-fuzz.XXXXXX") || exit 1
trap 'rm -rf "$tmp"' EXIT

read -r -a packages < <(sed -n 's/^PKGS *:= *//p' Makefile)
read -r -a cflags < <(pkg-config --cflags "${packages[@]}")
read -r -a libs < <(pkg-config --libs "${packages[@]}")
flags=(-std=gnu17 -D_GNU_SOURCE -DSD_SANITIZED=1 -DSD_FUZZING=1 -Iinclude -Isrc -gline-tables-only -O1 -fno-omit-frame-pointer -pthread
  -fno-sanitize-recover=all "${cflags[@]}")

# The parts become a library, so that a target takes only what it needs. An empty list of applets stands in for the one
# that the build makes.
printf '#include "app/applet.h"\nconst struct sd_applet *const sd_applets[] = {0};\n' >"$tmp/applets.c"
build_one() {
  local object=$1
  shift
  "$@" -o "$object" || echo "$object" >>"$tmp/broken"
}
objects=()
running=0
cmp -s "$tmp/applets.c" "$out/applets.c" || cp "$tmp/applets.c" "$out/applets.c"
parts=$out/libparts.a
fresh= # not empty: nothing has changed since the parts were built
[ ! -e "$parts" ] || [ -n "$(find src applets include Makefile "$out/applets.c" -newer "$parts" | head -n 1)" ] || fresh=1
for source in src/*/*.c applets/*/*.c applets/*/*/*.c "$out/applets.c"; do
  [ -z "$fresh" ] || break
  object=$out/obj/$(printf '%s' "${source#"$out/"}" | tr / _).o
  objects+=("$object")
  [ -e "$object" ] && [ -z "$(find src applets include Makefile "$source" -newer "$object" | head -n 1)" ] && continue
  build_one "$object" clang "${flags[@]}" -fsanitize=fuzzer-no-link,address,undefined -c "$source" &
  running=$((running + 1))
  if [ "$running" -ge "$(nproc)" ]; then
    wait -n
    running=$((running - 1))
  fi
done
wait
if [ -e "$tmp/broken" ]; then
  echo 'fuzz: the sources do not compile' >&2
  exit 1
fi
if [ -z "$fresh" ]; then
  rm -f "$parts"
  ar rcs "$parts" "${objects[@]}" || exit 1
fi

export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_leaks=1}
status=0
for source; do
  target=$(basename "$source" .c)
  name=${target#fuzz_}
  if ! clang "${flags[@]}" -fsanitize=fuzzer,address,undefined -o "$out/$target" "$source" "$parts" "${libs[@]}"; then
    echo "FAIL $target: does not build"
    status=1
    continue
  fi
  # What is found new goes to a folder of its own; the corpus is read.
  mkdir -p "$tmp/$name.new"
  seeds=()
  [ ! -d "test/fuzz/corpus/$name" ] || seeds=("test/fuzz/corpus/$name")
  dict=()
  [ ! -e "test/fuzz/$name.dict" ] || dict=(-dict="test/fuzz/$name.dict")
  if "$out/$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 "${dict[@]}" \
    -artifact_prefix="$out/crashes/$name-" "$tmp/$name.new" "${seeds[@]}" >"$out/$target.log" 2>&1 </dev/null; then
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$out/$target.log")
    cover=$(sed -n 's/.* cov: \([0-9]*\) .*/\1/p' "$out/$target.log" | tail -n 1)
    echo "ok $target: ${runs:-?} inputs in $seconds s, ${cover:-?} places reached, nothing broke"
  else
    echo "FAIL $target: $(grep -m 1 -E 'SUMMARY|ERROR:|runtime error|Test unit written' "$out/$target.log" || echo 'see the log')"
    sed -n 's/.*Test unit written to /  input kept in /p' "$out/$target.log"
    echo "  log kept in $out/$target.log"
    status=1
  fi
done
exit "$status"
