#!/usr/bin/env bash
# Runs the tests, each with a deadline, and says in one line what came of each. Programs and scripts run as many at a time as there
# are processors (TEST_JOBS sets it): scripts mostly wait for the servers and clients that they start.
#
#   test/run.sh [--only unit|cli|interop|examples|man|lint|sim] BIN
#
# The last line is `N passed, N failed`, with `, N skipped` when some were: those that need a server or client that is
# not installed. In CI (CI is set) a skip is a failure. Unit tests are counted check by check.
set -u

usage() {
  echo 'usage: test/run.sh [--only unit|cli|interop|examples|man|lint|sim] BIN' >&2
  exit 2
}

only=
bin=
while [ $# -gt 0 ]; do
  case $1 in
  --only)
    [ $# -ge 2 ] || usage
    only=$2
    shift 2
    ;;
  -*) usage ;;
  *)
    [ -z "$bin" ] || usage
    bin=$1
    shift
    ;;
  esac
done
case $only in
'' | unit | cli | interop | examples | man | lint | sim) ;;
*) usage ;;
esac
[ -n "$bin" ] || usage
[ -x "$bin" ] || {
  echo "test/run.sh: $bin is not there; run make first" >&2
  exit 1
}
bin=$(cd "$(dirname "$bin")" && pwd)/$(basename "$bin")
build=$(dirname "$bin")
cd "$(dirname "$0")/.." || exit 1

limit=${TEST_TIMEOUT:-120} # seconds for one test
jobs=${TEST_JOBS:-$(nproc 2>/dev/null || echo 1)}
case $build in
*address* | *undefined* | *thread*)
  limit=$((limit * 2))
  export CK_TIMEOUT_MULTIPLIER=${CK_TIMEOUT_MULTIPLIER:-5}
  ;;
esac
export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_leaks=1:strict_string_checks=1:detect_stack_use_after_return=1}
export UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1}

tmp=$(mktemp -d "${TMPDIR:-/tmp}/sdlab-run.XXXXXX") || exit 1
trap 'rm -rf "$tmp"' EXIT
mkdir "$tmp/ports" || exit 1
export TEST_PORTS=$tmp/ports # which of them are taken, for tests that run side by side
passed=0 failed=0 skipped=0

wanted() { [ -z "$only" ] || [ "$only" = "$1" ]; }

seconds_since() {
  local now=${EPOCHREALTIME/[.,]/}
  local tenths=$(((now - $1 + 50000) / 100000))
  echo "$((tenths / 10)).$((tenths % 10))s"
}

log=$tmp/log
show_log() { sed 's/^/    /' "$log"; }

# test NAME COMMAND...: 0 is ok, 77 a skip, anything else a failure. Programs that report checks are counted by these.
test_one() {
  local name=$1 begin=${EPOCHREALTIME/[.,]/} status checks bad why
  shift
  timeout -k 5 "$limit" "$@" >"$log" 2>&1 </dev/null
  status=$?
  if [ "$status" -eq 77 ]; then
    why=$(sed -n 's/^skip: *//p' "$log" | tail -n 1)
    if [ -n "${CI:-}" ]; then
      failed=$((failed + 1))
      echo "FAIL $name: skipped in CI: ${why:-no reason given}"
    else
      skipped=$((skipped + 1))
      echo "skip $name: ${why:-no reason given}"
    fi
    return
  fi
  read -r checks bad < <(awk '
    match($0, /^[0-9]+%: Checks: [0-9]+, Failures: [0-9]+, Errors: [0-9]+$/) {
      gsub(/[^0-9 ]/, ""); checks += $2; bad += $3 + $4
    }
    END { print checks + 0, bad + 0 }' "$log")
  if [ "$status" -eq 0 ] && [ "$bad" -eq 0 ]; then
    [ "$checks" -gt 0 ] || checks=1
    passed=$((passed + checks))
    echo "ok $name ($(seconds_since "$begin"))"
    return
  fi
  [ "$bad" -gt 0 ] || {
    bad=1
    checks=$((checks + 1))
  }
  passed=$((passed + checks - bad))
  failed=$((failed + bad))
  if [ "$status" -eq 124 ] || [ "$status" -eq 137 ]; then
    echo "FAIL $name: not done after $limit s"
  else
    echo "FAIL $name (exit status $status)"
  fi
  show_log
}

# In a process of its own: what it says comes in one piece, its counts go to a file.
run_apart() { # NUMBER NAME COMMAND...
  local number=$1
  shift
  passed=0 failed=0 skipped=0 log=$tmp/log.$number
  if [ -x "$2" ]; then
    test_one "$@"
  else
    failed=1
    echo "FAIL $1: $2 cannot be run"
  fi >"$tmp/said.$number"
  echo "$passed $failed $skipped" >"$tmp/counts.$number"
  flock "$tmp" cat "$tmp/said.$number"
}

# Begins one as soon as fewer than `jobs` are running; `gather` waits for all and adds up.
begun=0 running=0
begin() { # NAME COMMAND...
  if [ "$running" -ge "$jobs" ]; then
    wait -n
    running=$((running - 1))
  fi
  run_apart "$begun" "$@" &
  begun=$((begun + 1)) running=$((running + 1))
}
gather() {
  local i p f s
  wait
  for ((i = 0; i < begun; i++)); do
    read -r p f s <"$tmp/counts.$i" || { p=0 f=1 s=0; }
    passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
    rm -f "$tmp/counts.$i"
  done
  begun=0 running=0
}

# Has the program more than one thread, or may it? What only calls pure code, or lives in the simulated world, has not.
may_have_threads() { # SOURCE
  ! { grep -q 'world/sim\.h' "$1" && ! grep -qE 'world/real\.h|pthread|sd_world_real' "$1"; } || return 1
  grep -v '"disk/wal_scan\.h"' "$1" | grep -qE '"(world|net|app|disk)/|pthread|applets/(backend|lb|load|up)'
}

# Only programs whose source is still there: a build folder may hold older ones. Under the thread sanitizer what has one thread
# would only be slow.
run_programs() { # FOLDER PREFIX
  local source name
  for source in test/"$1"/"$2"*.c; do
    [ -e "$source" ] || continue
    [ -z "$threads" ] || may_have_threads "$source" || continue
    name=$1/$(basename "$source" .c)
    begin "$name" "$build/$name"
  done
  gather
}

# Scripts that say `# plain build only` add nothing but time under a sanitizer, unless they were asked for; those that say
# `# one thread` nothing under the thread sanitizer.
run_scripts() { # FOLDER
  local script
  for script in test/"$1"/*.sh; do
    [ -e "$script" ] || continue
    [ -n "$linted" ] || ! grep -q '^# plain build only' "$script" || continue
    [ -z "$threads" ] || ! grep -q '^# one thread' "$script" || continue
    begin "$1/$(basename "$script" .sh)" "$script" "$bin"
  done
  gather
}

# check_example FILE: a file with services is a stack; any other begins with the name of its applet. Certificates and
# folders that it names are made as its first lines say.
check_example() {
  local file=$1 name base best='' words
  mkdir -p "$tmp/examples" && cp "$1" "$tmp/examples/" && cd "$tmp" || return 1
  while read -r -a words; do
    "$bin" "${words[@]}" >/dev/null || return 1
  done < <(sed -n 's/^# *sdlab \(tls selfsigned .*\)/\1/p' "$file")
  while read -r words; do
    mkdir -p "$words"
  done < <(sed -n 's|^# *mkdir -p \([a-z/]*\) .*|\1|p' "$file")
  if grep -q '^services:' "$file"; then
    "$bin" up "$file" --check-config
    return
  fi
  base=$(basename "$file" .yaml)
  for name in $("$bin" list --names); do
    case $base in
    "$name" | "$name"[-._]*) [ "${#name}" -gt "${#best}" ] && best=$name ;;
    esac
  done
  if [ -z "$best" ]; then
    echo "$file: neither a stack nor named after an applet"
    return 1
  fi
  "$bin" "$best" --config "$file" --check-config
}

# check_man APPLET: its page is there, lists the options that the program has, and is well formed.
check_man() {
  local page=man/sdlab-$1.1
  [ -e "$page" ] || {
    echo "$page is missing"
    return 1
  }
  sed -n '/^\.\\" options begin/,/^\.\\" options end/p' "$page" | sed '1d;$d' >"$tmp/man.page"
  "$bin" man-options "$1" >"$tmp/man.program" || return 1
  diff -u --label "$page" --label "sdlab man-options $1" "$tmp/man.page" "$tmp/man.program"
}

# check_common PAGE: lists the options that every service has, all of them and no others.
check_common() {
  "$bin" man-options | sed -n 's/^\.It.* Fl -\([a-z-]*\).*/\1/p' | grep -vx help | sort >"$tmp/common.program"
  sed -n '/Options of every service/,/^\.Ss Signals/s/^\.It.* Fl -\([a-z-]*\).*/\1/p' "$1" | sort >"$tmp/common.page"
  diff -u --label "$1" --label 'sdlab man-options' "$tmp/common.page" "$tmp/common.program"
}

# check_keys NAME: the page of a part's file has every key that may stand at its top.
check_keys() {
  local key='' missing='' page=man/sdlab-$1.yaml.5
  for key in $("$bin" "$1" --backend 127.0.0.1:1 --print-config | sed -n 's/^\([a-z-]*\):.*/\1/p'); do
    grep -Eq "^\.(It|Ss|Cm).*[ .]$key( |\$)" "$page" || missing="$missing $key"
  done
  if [ -z "$key" ] || [ -n "$missing" ]; then
    echo "$page says nothing of:${missing:- anything}"
    return 1
  fi
}

check_page() {
  local found
  grep -q '^\.Dd\|^\.TH' "$1" || {
    echo "$1 is not a manual page"
    return 1
  }
  command -v mandoc >/dev/null 2>&1 || return 0
  found=$(mandoc -Tlint -W warning "$1" 2>&1 | grep -E ': (WARNING|ERROR|UNSUPP): ')
  [ -z "$found" ] || {
    printf '%s\n' "$found"
    return 1
  }
}

# A function of this script as a test.
test_function() { # NAME FUNCTION ARGUMENT
  export -f "${2?}"
  export bin tmp
  test_one "$1" bash -c "$2 \"\$1\"" - "$3"
}

# What ONLY must fit for a simulation to run at all.
if [ "$only" = sim ] && [ -n "${ONLY:-}" ]; then
  scenarios="wal kv $(sed -n '/struct scenario .* = {/,/^};/s/.*\.name = "\(.*\)",/\1/p' test/sim/sim_*.c | sort | tr '\n' ' ')"
  case $scenarios in
  *"$ONLY"*) ;;
  *)
    echo "test/run.sh: no scenario has $ONLY in its name; there are: $scenarios" >&2
    exit 2
    ;;
  esac
fi

# Once is enough for what reads sources and symbols, unless it was asked for. `linted`: not in this run when empty.
case $build:$only in
*address*: | *undefined*: | *thread*:) linted= ;;
*) linted=1 ;;
esac
export TSAN_OPTIONS="${TSAN_OPTIONS:-} suppressions=$PWD/test/thread.supp"
# Not empty: built with the thread sanitizer, and everything is to be run.
case $build:$only in
*thread*:) threads=1 ;;
*) threads= ;;
esac
if [ -n "$linted" ] && wanted lint; then
  test_one lint test/lint.sh --quick
  test_one symbols test/symbols.sh "$build"
fi
if wanted unit; then run_programs unit test_; fi
if [ -z "$threads" ] && wanted sim; then run_programs sim sim_; fi # a simulation has one thread
if wanted examples; then
  for file in examples/*.yaml; do
    [ ! -e "$file" ] || test_function "$file" check_example "$file"
  done
fi
if wanted man; then
  for name in $("$bin" list --names); do
    [ ! -d "applets/$name" ] || test_function "man/sdlab-$name.1 options" check_man "$name"
  done
  test_function 'man/sdlab.1 common options' check_common man/sdlab.1
  test_function 'man/sdlab-lb.yaml.5 keys' check_keys lb
  for file in man/*.[1-8]; do
    [ ! -e "$file" ] || test_function "$file" check_page "$file"
  done
  if ! command -v mandoc >/dev/null 2>&1; then
    if [ -n "${CI:-}" ]; then failed=$((failed + 1)); else skipped=$((skipped + 1)); fi
    echo 'skip man/lint: needs package mandoc'
  fi
fi
if wanted cli; then run_scripts cli; fi
if wanted interop; then run_scripts interop; fi

printf '%d passed, %d failed' "$passed" "$failed"
[ "$skipped" -eq 0 ] || printf ', %d skipped' "$skipped"
printf '\n'
[ "$failed" -eq 0 ]
