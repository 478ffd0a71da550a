#!/usr/bin/env bash
# The verbs of cache: commands as typed, from a pipe and at a prompt; stats, top and monitor; ours and redis-server.
. "$(dirname "$0")/../lib.sh"
sdlab_test "$@"
cd "$TMP" || exit 1

c() { run "$SDLAB" cache "$@"; }
is() { # WANT ARGUMENT...
  local want=$1
  shift
  c "$@"
  assert_eq "$want" "$STATUS $OUT" "cache $*"
}
refuses() { # STATUS TEXT ARGUMENT...
  local status=$1 want=$2
  shift 2
  c "$@"
  assert_eq "$status" "$STATUS" "exit status of cache $*"
  assert_eq '' "$OUT" "output of cache $*"
  assert_contains "$ERR" "$want" "error of cache $*"
  assert_lines 1 "$ERR" "error of cache $*"
}

try() { # WHO URL
  export SDLAB_CACHE_URL=$2
  is '0 OK' SET a 1
  is '0 1' get a
  is '0 (nil)' Get nothing
  is '0 -4' incrby a -5                 # a number, no option
  is '0 -3.5' incrbyfloat a .5
  is '0 OK' set k v --ttl 90s
  c pttl k
  if [ "$OUT" -le 60000 ] || [ "$OUT" -gt 90000 ]; then fail "$1: PTTL is $OUT"; fi
  is '0 OK' set --ttl 3600 k v
  c ttl k
  if [ "$OUT" -le 3500 ] || [ "$OUT" -gt 3600 ]; then fail "$1: TTL is $OUT"; fi
  is '0 --ttl' echo -- --ttl            # behind -- nothing is an option
  is '0 --unknown' echo --unknown       # nor what we do not know
  is $'0 -3.5\n(nil)\nv' mget a nothing k
  is '0 OK' set bytes $'\001x'
  is $'0 \001x' get bytes               # as they are where no terminal is
  refuses 1 "ERR unknown command 'nosuch'" nosuch
  refuses 2 '--ttl: only with SET' get a --ttl 5
  refuses 2 '--ttl: expected seconds such as 3600' set a 1 --ttl soon
  refuses 2 '--ttl: expected seconds such as 3600' set a 1 --ttl 0

  # From a pipe: a line each, with quotes, and the last without an end.
  printf 'set "two words" 1\nget "two words"\n\nincr "two words"\nget "two words"' | "$SDLAB" cache-cli >out.txt 2>err.txt
  assert_eq "0 OK 1 2 2 " "$? $(tr '\n' ' ' <out.txt)" "$1: commands from a pipe"
  printf 'set s text\nincr s\nget s\nget "s\nquit\nget s\n' | "$SDLAB" cache-cli >out.txt 2>err.txt
  assert_eq "1 OK text " "$? $(tr '\n' ' ' <out.txt)" "$1: an error in a pipe"
  assert_contains "$(cat err.txt)" 'ERR value is not an integer or out of range' "$1: an error in a pipe"
  assert_contains "$(cat err.txt)" 'unbalanced quotes' "$1: a line that is none"
  assert_lines 2 "$(cat err.txt)" "$1: errors of a pipe"

  # Hits and misses, as the server has counted them.
  before=$("$SDLAB" cache stats --json) || fail "$1: stats"
  c get a
  c get a
  c get nothing
  after=$("$SDLAB" cache stats --json) || fail "$1: stats"
  for rise in hits:2 misses:1; do
    b=$(number_of "$before" "${rise%:*}") a=$(number_of "$after" "${rise%:*}")
    assert_eq "${rise#*:}" $((a - b)) "$1: ${rise%:*} more"
  done
  c stats
  assert_match "$OUT" "^Hits: $(number_of "$after" hits), Misses: $(number_of "$after" misses)$" "$1: stats"
  assert_match "$OUT" '^Hit rate: [0-9.]+%$' "$1: stats"
  assert_match "$OUT" '^Latency of PING: [0-9.]+(us|ms) at least, ' "$1: stats"
  c top -c 2 -i 10ms
  assert_eq 0 "$STATUS" "$1: top"
  assert_eq 2 "$(printf '%s\n' "$OUT" | grep -c '^Commands .*/s')" "$1: looks of top"

  # What others ask, with quotes as the server has them.
  start "monitor.$1" "$SDLAB" cache monitor
  seen() {
    "$SDLAB" cache set 'a b' 'c"d' >seen.txt && log_has "monitor.$1" '"a b" "c\"d"'
  }
  wait_for "$1: monitor to show a SET" seen "$1"
  # It may begin in the midst of a turn, behind the SET and before what comes with it.
  assert_match "$(grep -m 1 -i '"set"' "$TMP/monitor.$1.log")" '^[0-2][0-9]:[0-5][0-9]:[0-5][0-9]\.[0-9]{3}  127.0.0.1:[0-9]+ +0  "(set|SET)" ' \
    "$1: a line of monitor"
  stop "monitor.$1" TERM 143
}
number_of() { printf '%s\n' "$1" | sed -n "s/.*\"$2\":\\([0-9]*\\).*/\\1/p"; }

start ours "$SDLAB" cache --port 0
port=$(port_of ours) || exit 1
try ours "redis://127.0.0.1:$port"
if baseline redis-server redis-server; then
  theirs=$(free_port)
  start theirs redis-server --dir "$TMP" --port "$theirs" --bind 127.0.0.1 --save ''
  wait_port theirs "$theirs"
  try theirs "redis://127.0.0.1:$theirs"
  stop_quietly theirs
fi

# Keys that are asked for most.
"$SDLAB" load "redis://127.0.0.1:$port" -n 5000 --pipeline 8 -q --command '20 GET hot' --command '1 GET cold:{{rand}}' >/dev/null || fail 'load'
c hotkeys -p "$port"
assert_match "$(printf '%s\n' "$OUT" | sed -n 2p)" '^ +[0-9]+ +[0-9]+ +0  hot$' 'the hottest key'
c top -p "$port" -c 1 -i 10ms
assert_match "$OUT" '^ +[0-9]+ +[0-9]+ +0  hot$' 'the hottest key in top'

# The command line counts more than the variable; databases are apart.
export SDLAB_CACHE_URL=redis://127.0.0.1:1/
is '0 OK' set db x -p "$port" -n 3
is '0 (nil)' get db --port "$port"
is '0 x' get db --server "redis://127.0.0.1:$port/3"
run "$SDLAB" cache-cli -p "$port" -n 3 get db
assert_eq '0 x' "$STATUS $OUT" 'options in front of the command'
refuses 1 'no cache at 127.0.0.1:1: connection refused' get a
refuses 2 '--server: expected redis://HOST' get a --server http://x
refuses 2 'expected a port from 1 to 65535' get a --server redis://h:99999

# A password from a file or in the URL, over TLS, at a UNIX socket's place.
"$SDLAB" tls selfsigned --name 127.0.0.1 --out certs >/dev/null || fail 'tls selfsigned'
printf 'se@cret\n' >password
chmod 600 password
start locked "$SDLAB" cache --port 0 --password-file password --tls-cert certs/cert.pem --tls-key certs/key.pem
port=$(port_of locked) || exit 1
is '0 PONG' ping -p "$port" --host 127.0.0.1 --tls --ca certs/ca.pem --password-file password
is '0 PONG' ping --server "rediss://:se%40cret@127.0.0.1:$port" --ca certs/ca.pem
is '0 PONG' ping --server "rediss://default:se%40cret@127.0.0.1:$port" --insecure
refuses 1 'NOAUTH' ping -p "$port" --host 127.0.0.1 --tls --ca certs/ca.pem
refuses 1 'WRONGPASS' ping --server "rediss://:se%40cred@127.0.0.1:$port" --insecure
refuses 1 'certificate' ping --server "rediss://:se%40cret@127.0.0.1:$port"
c ping --server "redis://:se%40cret@127.0.0.1:$port" --timeout 2s
assert_eq 1 "$STATUS" 'plain text to TLS'
stop locked
start_backend web W
refuses 1 'expected a reply, found byte 0x48' ping -p "$PORT" --host 127.0.0.1
