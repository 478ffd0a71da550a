#!/usr/bin/env bash
# The breaker beside opossum and cockatiel of npm: the same seeded outcomes at the same times, under a clock that is set by hand,
# give the same sequence of calls, rejections and states. What differs on purpose is in sdlab-breaker(1).
# plain build only: it compares lines, which the unit tests do under the sanitizers

# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
sdlab_test "$@"
modules=$(realpath -m "${NPM_MODULES:-$ROOT/build/npm/node_modules}")
need "npm's opossum and cockatiel" node
for module in opossum cockatiel; do
  [ -e "$modules/$module/package.json" ] || skip "npm's opossum and cockatiel"
done
here=$(cd "$(dirname "$0")" && pwd)
cd "$TMP" || exit 1
export NPM_MODULES=$modules

# trace SEED STEP_MS: 1500 calls; times of trouble come and go. Never on the edge of a bucket or of an open time.
trace() {
  awk -v seed="$1" -v step="$2" 'BEGIN {
    srand(seed)
    at = 37
    share = 0.05
    for (i = 0; i < 1500; i++) {
      if (int(rand() * 40) == 0) share = rand() < 0.5 ? 0.05 : rand()
      if (i < 20) share = 0
      at += 2 + 2 * int(rand() * step)
      print at "ms", rand() < share ? "error" : "ok"
    }
  }'
}

# play WHAT THRESHOLD OPTION...: `theirs` and `ours` of the trace.
play() {
  local what=$1 threshold=$2
  shift 2
  node "$here/breaker_npm.js" "$what" calls "$threshold" 5000 >theirs || fail "$what"
  "$SDLAB" breaker replay calls --states --open 5s --successes 1 "$@" >ours || fail 'replay'
  assert_eq 1500 "$(wc -l <theirs)" "lines of $what"
}

equal() {
  cmp -s ours theirs ||
    fail "$1: $(paste -d'|' calls ours theirs | grep -n '' | awk -F'|' '$2 != $3' | head -n 3)"
}

# whole WHAT THRESHOLD OPTION...: all of the trace, opening and closing many times.
whole() {
  local seed step
  for seed in 1 2 3; do
    for step in 40 400; do
      trace "$seed" "$step" >calls
      play "$@"
      equal "$1, seed $seed, step $step"
      [ "$(grep -c 'called OPEN' theirs)" -ge 5 ] || fail "$1: a trace in which little happens"
    done
  done
  echo "$1: the same in all of the trace"
}

# first WHAT THRESHOLD OPTION...: up to the first opening, which they come to by the same window; after it they count differently.
first() {
  local seed step opened=0
  for seed in 1 2 3 4 5 6 7 8; do
    for step in 40 400; do
      trace "$seed" "$step" >calls
      play "$@"
      sed -i '/OPEN/q' ours
      sed -i '/OPEN/q' theirs
      equal "$1, seed $seed, step $step"
      [ "$(wc -l <theirs)" -lt 30 ] || [ "$(wc -l <theirs)" -eq 1500 ] || opened=$((opened + 1))
    done
  done
  [ "$opened" -ge 3 ] || fail "$1: it opened too soon, $opened times later than at call 30"
  echo "$1: the same up to the first opening"
}

whole consecutive 3 --consecutive 3
whole opossum-any 0 --failures 1 --window-time 10s
first count 0.45 --failure-rate 45% --window 10 --minimum 1
first opossum 45.01 --failure-rate 45.01% --window-time 10s --minimum 1
