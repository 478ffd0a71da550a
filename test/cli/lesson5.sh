#!/usr/bin/env bash
# Lesson 5 runs as it stands: no task is done by two workers and none is missing, what nobody can do is a dead letter and comes back, a
# retry waits, and ten workers are not slower than the arithmetic of one allows.
# plain build only

# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
sdlab_test "$@"
cd "$TMP" || exit 1

timeout 100 "$ROOT/examples/lesson5.sh" --time 10ms "$SDLAB" >out 2>err </dev/null
STATUS=$?
assert_eq 0 "$STATUS" "exit status of lesson5.sh; it said: $(cat err)"
assert_eq '' "$(cat err)" 'standard error of lesson5.sh'
part() { awk -v n="$1" '/^[0-9]\. / { on = $1 == n "." } on' out; }

assert_match "$(part 1)" '^tasks +20 +- +0$' 'the queue with 20 tasks'
done=$(part 2 | sed -n 's/.*\] \(task_[0-9]*\) done after.*/\1/p' | sort)
assert_eq "$(seq 1 20 | sed 's/^/task_/' | sort)" "$done" 'tasks that were done, each once'
assert_contains "$(part 2)" 'done by two workers: 0' 'what the lesson says of it'
assert_eq 4 "$(part 3 | grep -c 'poison failed')" 'tries of what nobody can do: one, and three more'
assert_match "$(part 3)" 'delivery_limit +x1 +poison$' 'its dead letter'
assert_match "$(part 3)" '\] poison done' 'after it was sent back'
assert_match "$(part 4)" '\] transient (done|failed) after .*, not for the first time$' 'a retry'
assert_eq 2 "$(part 5 | grep -cE '^ +(1|10) worker\(s\):  30 tasks in')" 'tasks by one worker and by ten'

run "$ROOT/examples/lesson5.sh" --time
assert_eq 2 "$STATUS" 'exit status without a value'
run "$ROOT/examples/lesson5.sh" ./no-such-sdlab
assert_eq 1 "$STATUS" 'exit status without sdlab'
assert_contains "$ERR" 'no-such-sdlab' 'message without sdlab'
