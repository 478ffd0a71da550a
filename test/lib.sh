# shellcheck shell=bash
# What every test script starts with:
#
#   . "$(dirname "$0")/../lib.sh"
#   sdlab_test "$@"                  # $1 is the binary; sets SDLAB, ROOT and TMP
#
# A test waits for a state and never for a time. What it starts with `start` is ended when it ends, however it ends,
# by process id; its folder TMP goes with it.

set -u

# Seconds that waiting for a state may take before the test gives up: only a test that fails waits so long, so that it may be
# more than a busy machine with one core needs.
DEADLINE=${DEADLINE:-30}

# Names of counters, in one place. Each test adds up all series of a name.
# shellcheck disable=SC2034 # used by the tests
{
  M_LB_REQUESTS=sdlab_http_requests_total               # requests that clients sent to lb
  M_BACKEND_REQUESTS=sdlab_http_requests_total          # requests that a backend heard
  M_LB_BACKEND_REQUESTS=sdlab_lb_backend_requests_total # requests that lb sent, by backend
}

declare -A PID=()  # by the name given to `start`
STARTED=           # names in the order of their start
TMP=
STATUS=0           # exit status of what `stop` or `wait_exit` saw last

sdlab_test() {
  local bin=${1:-build/plain/sdlab}
  # shellcheck disable=SC2034 # for the tests: the folder of the sources
  ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
  case $bin in
  /*) SDLAB=$bin ;;
  *) SDLAB=$PWD/$bin ;;
  esac
  TMP=$(mktemp -d "${TMPDIR:-/tmp}/sdlab-test.XXXXXX") || exit 1
  case $SDLAB in
  */address* | */undefined* | */thread*) DEADLINE=$((DEADLINE * 2)) ;;
  esac
  # What a person has set must not change what a test sees.
  local name
  for name in ${!SDLAB_*}; do unset "$name"; done
  # CACHE_THREADS=4 test/interop/cache.sh ...: all caches of a test run on so many threads.
  [ -z "${CACHE_THREADS:-}" ] || export SDLAB_CACHE_THREADS=$CACHE_THREADS
  unset http_proxy HTTP_PROXY https_proxy all_proxy ALL_PROXY
  export LC_ALL=C
  export XDG_RUNTIME_DIR=$TMP # two runs of the tests do not meet
  trap 'test_cleanup' EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM
}

# ---- verdicts ----

fail() {
  local name
  printf 'FAILED: %s\n' "$*" >&2
  printf '  at %s\n' "$(caller_chain)" >&2
  for name in $STARTED; do
    [ -s "$TMP/$name.log" ] || continue
    printf -- '--- last lines of %s\n' "$name" >&2
    tail -n 25 "$TMP/$name.log" >&2
  done
  exit 1
}

caller_chain() {
  local i
  for ((i = 2; i < ${#BASH_SOURCE[@]}; i++)); do
    printf '%s:%s ' "${BASH_SOURCE[i]##*/}" "${BASH_LINENO[i - 1]}"
  done
}

# skip PACKAGE: the test cannot run without it.
skip() {
  printf 'skip: needs package %s\n' "$1"
  exit 77
}

# need PACKAGE COMMAND...
need() {
  local package=$1 command
  shift
  for command; do
    command -v "$command" >/dev/null 2>&1 || skip "$package"
  done
}

# baseline PACKAGE COMMAND: is this other server here, to go through the same script? A person may be without it; CI not.
baseline() {
  command -v "$2" >/dev/null 2>&1 && return 0
  [ -z "${CI:-}" ] || skip "$1"
  printf 'note: without package %s the same is not tried on %s\n' "$1" "$2"
  return 1
}

assert_eq() { # WANT GOT [WHAT]
  [ "$1" = "$2" ] && return 0
  fail "${3:-value}: expected '$1', found '$2'"
}

assert_contains() { # TEXT PART [WHAT]
  case $1 in
  *"$2"*) return 0 ;;
  esac
  fail "${3:-text}: expected it to contain '$2', found: $1"
}

assert_lacks() { # TEXT PART [WHAT]
  case $1 in
  *"$2"*) fail "${3:-text}: expected it not to contain '$2', found: $1" ;;
  esac
}

assert_match() { # TEXT ERE [WHAT]
  printf '%s\n' "$1" | grep -Eq -- "$2" && return 0
  fail "${3:-text}: expected it to match /$2/, found: $1"
}

assert_lines() { # COUNT TEXT [WHAT]
  local n
  n=$(printf '%s' "$2" | grep -c '' || true)
  assert_eq "$1" "$n" "${3:-text}: number of lines in '$2'"
}

# assert_left WHOLE BEGAN SECONDS [WHAT]: so many seconds are left of WHOLE, of which none were over yet when SECONDS was BEGAN.
assert_left() {
  local least=$(($1 - (SECONDS - $2) - 1))
  if [[ ! $3 =~ ^[0-9]+$ ]] || [ "$3" -gt "$1" ] || [ "$3" -lt "$least" ]; then fail "${4:-time}: expected $least to $1, found '$3'"; fi
}

assert_same() { # FILE FILE [WHAT]
  cmp -s "$1" "$2" && return 0
  fail "${3:-files}: $(cmp "$1" "$2" 2>&1)"
}

# run COMMAND...: a program that ends by itself; its standard output goes to OUT, standard error to ERR, exit status to STATUS.
# shellcheck disable=SC2034 # OUT and ERR are for the tests
run() {
  timeout -k 1 "$((DEADLINE * 2))" "$@" >"$TMP/run.out" 2>"$TMP/run.err" </dev/null
  STATUS=$?
  OUT=$(cat "$TMP/run.out")
  ERR=$(cat "$TMP/run.err")
}

# ---- waiting ----

# wait_for WHAT COMMAND...: until the command succeeds.
wait_for() {
  local what=$1 end=$((SECONDS + DEADLINE + 1))
  shift
  until "$@"; do
    [ "$SECONDS" -lt "$end" ] || fail "waited ${DEADLINE} s for $what"
    sleep 0.02
  done
}

alive() { kill -0 "${PID[$1]}" 2>/dev/null; }

# log_has NAME TEXT: the log of what was started as NAME holds TEXT in a line that is whole: what follows it there can be read.
log_has() { LC_ALL=C grep -qzP -- "\\Q$2\\E[^\\n]*\\n" "$TMP/$1.log"; }

log_count() { grep -cF -- "$2" "$TMP/$1.log"; }

# wait_line NAME TEXT: until the log of what was started as NAME holds TEXT in a line that is whole.
wait_line() {
  local end=$((SECONDS + DEADLINE + 1))
  until log_has "$1" "$2"; do
    alive "$1" || log_has "$1" "$2" || fail "$1 ended before it said '$2'"
    [ "$SECONDS" -lt "$end" ] || fail "waited ${DEADLINE} s for $1 to say '$2'"
    sleep 0.02
  done
}

accepts() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# wait_port NAME PORT: until it accepts connections.
wait_port() {
  local end=$((SECONDS + DEADLINE + 1))
  until accepts "$2"; do
    alive "$1" || fail "$1 ended before it listened on port $2"
    [ "$SECONDS" -lt "$end" ] || fail "waited ${DEADLINE} s for $1 to listen on port $2"
    sleep 0.02
  done
}

# ---- processes ----

# start NAME COMMAND...: in the background; both outputs to TMP/NAME.log; PID[NAME] is its process.
start() {
  local name=$1
  shift
  case " $STARTED " in
  *" $name "*) ;;
  *) STARTED="$STARTED $name" ;;
  esac
  : >"$TMP/$name.log" # here, so that nobody reads what was there before
  "$@" >>"$TMP/$name.log" 2>&1 </dev/null &
  PID[$name]=$!
}

# The port that the kernel chose, from the line that says so.
port_of() {
  wait_line "$1" 'Listening on ' >&2
  sed -n 's/.*Listening on .*:\([0-9][0-9]*\).*/\1/p' "$TMP/$1.log" | head -n 1
}

admin_of() {
  wait_line "$1" 'Admin on ' >&2
  sed -n 's/.*Admin on \([^ ]*:[0-9][0-9]*\).*/\1/p' "$TMP/$1.log" | head -n 1
}

# wait_exit NAME: until it has ended; STATUS is how.
wait_exit() {
  local end=$((SECONDS + DEADLINE + 1))
  while alive "$1"; do
    [ "$SECONDS" -lt "$end" ] || fail "waited ${DEADLINE} s for $1 to end"
    sleep 0.02
  done
  wait "${PID[$1]}"
  STATUS=$?
  unset "PID[$1]"
}

# stop NAME [SIGNAL [STATUS]]: sends the signal (TERM) and checks the exit status (0).
stop() {
  kill -s "${2:-TERM}" "${PID[$1]}" 2>/dev/null || fail "$1 was not running any more"
  wait_exit "$1"
  assert_eq "${3:-0}" "$STATUS" "exit status of $1 after ${2:-TERM}"
}

# stop_quietly NAME: for peers, whose exit status is their own business.
stop_quietly() {
  kill -s TERM "${PID[$1]}" 2>/dev/null
  wait_exit "$1"
}

# The processes that PID started, and theirs, one a line.
descendants() {
  local kids kid
  # by way of cat, which goes on when a process ends before it is read
  kids=$(cat /proc/[0-9]*/stat 2>/dev/null | awk -v p="$1" '{ pid = $1; sub(/^.*\) /, ""); if ($2 == p) print pid }')
  for kid in $kids; do
    echo "$kid"
    descendants "$kid"
  done
}

# listener PORT ROOT: the process among ROOT and its descendants that listens on the port.
listener() {
  local hex inode pid
  hex=$(printf ':%04X' "$1")
  while read -r inode; do
    for pid in $2 $(descendants "$2"); do
      if [ -n "$(find "/proc/$pid/fd" -lname "socket:\\[$inode\\]" 2>/dev/null)" ]; then
        echo "$pid"
        return 0
      fi
    done
  done < <(cat /proc/net/tcp /proc/net/tcp6 2>/dev/null |
    awk -v h="$hex" '$4 == "0A" && substr($2, length($2) - 4) == h { print $10 }')
  return 1
}

# free_port: a port below those that the kernel hands out, on which nobody listens now and that no test of this run named yet.
free_port() {
  local port used named=${TEST_PORTS:-$TMP}
  used=$(cat /proc/net/tcp /proc/net/tcp6 2>/dev/null | awk '{ sub(/.*:/, "", $2); print $2 }')
  while :; do
    port=$((10240 + (RANDOM << 15 | RANDOM) % 22000))
    printf '%s\n' "$used" | grep -qx "$(printf '%04X' "$port")" && continue
    (set -C && : >"$named/port.$port") 2>/dev/null || continue
    echo "$port"
    return 0
  done
}

test_cleanup() {
  local status=$? name pid tree='' end
  trap - EXIT INT TERM
  for name in $STARTED; do
    pid=${PID[$name]:-}
    [ -n "$pid" ] || continue
    tree="$tree $pid $(descendants "$pid" | tr '\n' ' ')"
    kill -s TERM "$pid" 2>/dev/null
  done
  end=$((SECONDS + 4))
  for pid in $tree; do
    while kill -0 "$pid" 2>/dev/null && [ "$SECONDS" -lt "$end" ]; do sleep 0.02; done
    kill -s KILL "$pid" 2>/dev/null
  done
  wait 2>/dev/null
  [ -z "$TMP" ] || rm -rf "$TMP"
  exit "$status"
}

# ---- the parts under test ----

# start_backend NAME LETTER [OPTION...]: a backend called Server-LETTER; PORT is where.
# shellcheck disable=SC2034 # PORT is for the tests
start_backend() {
  local name=$1 letter=$2
  shift 2
  start "$name" "$SDLAB" backend --port 0 --bind 127.0.0.1 --name "Server-$letter" --threads 1 "$@"
  PORT=$(port_of "$name") || exit 1
}

# start_lb NAME OPTION...: a load balancer; PORT and ADMIN are where.
# shellcheck disable=SC2034 # ADMIN is for the tests
start_lb() {
  local name=$1
  shift
  start "$name" "$SDLAB" lb --port 0 --admin 127.0.0.1:0 --threads 1 "$@"
  PORT=$(port_of "$name") || exit 1
  ADMIN=$(admin_of "$name") || exit 1
}

# metric ADDRESS NAME [PART]: the sum of all series of this name (whose line holds PART).
metric() {
  curl -sS --max-time "$DEADLINE" "http://$1/metrics" |
    awk -v name="$2" -v part="${3:-}" '
      /^#/ { next }
      { n = $1; sub(/\{.*/, "", n) }
      n == name && (part == "" || index($0, part)) { sum += $NF; seen = 1 }
      END { if (!seen) sum = 0; printf "%d\n", sum }'
}

metric_at_least() { [ "$(metric "$1" "$2" "${4:-}")" -ge "$3" ]; }

answers() { curl -sS -o /dev/null --max-time 2 "$1" 2>/dev/null; }

# clean_ab FILE REQUESTS: what ab wrote shows them all answered well.
clean_ab() {
  local out
  out=$(cat "$1")
  assert_match "$out" "^Complete requests: +$2\$" 'ab'
  assert_match "$out" '^Failed requests: +0$' 'ab'
  assert_lacks "$out" 'Non-2xx' 'ab'
  assert_lacks "$out" 'apr_' 'ab'
}
