#!/usr/bin/env bash
# sdlab pool as a person uses it: other sizes, a server to connect to, one that is down, a crowd to watch, JSON; and the example of
# the manual, built and run.

# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
sdlab_test "$@"
cd "$TMP" || exit 1

good() {
  run "$SDLAB" pool test "$@"
  assert_eq 0 "$STATUS" "exit status of pool test $* ($ERR)"
  assert_eq '' "$ERR" "standard error of pool test $*"
}

# refused STATUS PATTERN ARGS...
refused() {
  local status=$1 pattern=$2
  shift 2
  run "$SDLAB" pool test "$@"
  assert_eq "$status" "$STATUS" "exit status of pool test $* ($ERR)"
  assert_lines 1 "$ERR" "pool test $*"
  assert_match "$ERR" "$pattern" "pool test $*"
}

# ---- sizes ----
good --max-conns 4 --concurrent-users 2 --hold 1ms
assert_lacks "$OUT" waiting 'users for whom there is enough'
assert_contains "$OUT" '[POOL] Created: 2, Idle: 0, In-use: 2' 'no more are opened than are wanted'
assert_contains "$OUT" 'Reaped 1 idle connection (idle > 5m)' 'one of two'
good --max-conns 1 --concurrent-users 3 --hold 1ms --idle-timeout 90s --leak-after 5s
assert_contains "$OUT" '[1m30s later]' 'a time that is no whole minute'
assert_contains "$OUT" 'Connection borrowed 5s ago' 'another time for leaks'
assert_contains "$OUT" '(thread 3)' 'the last of three forgets'

# ---- JSON: one object, and what it says adds up ----
good --json --hold 1ms --max-conns 5 --concurrent-users 20
assert_lines 1 "$OUT" JSON
assert_match "$OUT" '"full":\{"created":5,"idle":0,"in_use":5,"waiting":15,"destroyed":0\}' 'full'
assert_match "$OUT" '"reaped":\{"created":5,"idle":4,"in_use":0,"waiting":0,"destroyed":1\}' 'reaped'
assert_match "$OUT" '"leases":21,' leases
assert_match "$OUT" '"leak":\{"file":"pool_users.c","line":[0-9]+,"function":"pool_user_forgets","thread":20,"seconds":60\}' leak

# ---- in earnest ----
start backend "$SDLAB" backend --port 0
port=$(port_of backend)
good --target "127.0.0.1:$port" --hold 1ms --max-conns 3 --concurrent-users 9
assert_contains "$OUT" '[POOL] Created: 3, Idle: 0, In-use: 3' 'connections to a server'
good --real-time --idle-timeout 1s --leak-after 1s --hold 1ms --max-conns 1 --concurrent-users 1
assert_contains "$OUT" 'Reaped 1 idle connection (idle > 1s)' 'real time'
stop backend
refused 1 "nothing free within .*; the last [0-9]+ opens failed: cannot connect to 127.0.0.1:$port: Connection refused" \
  --target "127.0.0.1:$port" --timeout 250ms

# ---- who waits too long is told who has it ----
refused 1 'nothing free within [0-9.]+ms: 2 of 2 in use.*; held longest: pool_users.c:[0-9]+ \(visit\) "visit" thread [0-9]+ for ' \
  --timeout 300ms --max-conns 2 --hold 1s
refused 2 'inproc' --target inproc:nobody
refused 2 'max-conns' --max-conns 0

# ---- to watch ----
good --top --duration 20ms --hold 1ms --concurrent-users 8 --max-conns 2
assert_match "$OUT" '^\[#+ *\] 2 in use, 0 idle of 2$|in use, [0-9] idle of 2$' 'the bar'
assert_contains "$OUT" 'held longest:' 'who has them'
assert_lacks "$OUT" $'\033' 'no colours where there is no terminal'

# ---- the example of the manual ----
build=$(dirname "$SDLAB")
cc=$(cut -d' ' -f1 "$build/flags")
sanitizer=$(sed -n 's/.* -fsanitize=\([a-z,]*\).*/\1/p' "$build/flags")
sed -n '/^\.Sh EXAMPLES/,/^\.Sh /p' "$ROOT/man/sdlab_pool.3" | sed -n '/^\.Bd/,/^\.Ed/p' | sed '/^\.Bd/d; /^\.Ed/d; s/\\e/\\/g; s/\\&//g' >example.c
"$cc" -std=gnu17 -D_GNU_SOURCE -Wall -Werror ${sanitizer:+-fsanitize=$sanitizer} -I"$ROOT/include" -o example example.c "$build/libsdlab.a" -pthread -lm 2>cc.err ||
  fail "the example of sdlab_pool(3) does not build: $(cat cc.err)"
run ./example
assert_eq 0 "$STATUS" "exit status of the example ($ERR)"
assert_match "$OUT" '^lent 7; nothing free: 1 of 1 in use, .*held longest: example.c:[0-9]+ \(main\) "first" thread [0-9]+ for ' 'the example'

# ---- the script in examples ----
run "$ROOT/examples/pool.sh" "$TMP/none/sdlab"
assert_eq 1 "$STATUS" 'examples/pool.sh without sdlab'
assert_match "$ERR" 'run make first$' 'examples/pool.sh without sdlab'
run "$ROOT/examples/pool.sh" "$SDLAB"
assert_eq 0 "$STATUS" "examples/pool.sh ($ERR)"
assert_contains "$OUT" '[POOL] 40 threads waiting...' 'examples/pool.sh: users that wait'
assert_match "$OUT" 'nothing free within [0-9.]+ms: 2 of 2 in use' 'examples/pool.sh: users without patience'
assert_contains "$OUT" 'Connection refused' 'examples/pool.sh: the server gone'
