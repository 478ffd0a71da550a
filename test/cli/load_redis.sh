#!/usr/bin/env bash
# sdlab load redis://: what the generator counts is what the server counted, ours and redis-server; errors by their first word.
. "$(dirname "$0")/../lib.sh"
sdlab_test "$@"
cd "$TMP" || exit 1

json_number() { sed -n "s/.*\"$2\":[[:space:]]*\\([0-9.]*\\).*/\\1/p" "$1" | head -n 1; }

# say PORT WORDS...: one inline command (after AUTH with the password se@cret); its reply.
say() {
  local port=$1
  shift
  exec 3<>"/dev/tcp/127.0.0.1/$port" || fail "port $port"
  printf 'AUTH se@cret\r\n%s\r\nQUIT\r\n' "$*" >&3
  tr -d '\r' <&3
  exec 3>&-
}
stat_of() { say "$1" INFO stats | sed -n "s/^$2://p"; }

count_on() { # PORT WHO
  local before after n=5000
  before=$(stat_of "$1" total_commands_processed)
  # pipelined, on several threads, with a password that needs escaping, in another database
  "$SDLAB" load "redis://:se%40cret@127.0.0.1:$1/3" -n $n -c 4 -t 2 --pipeline 8 -q --keys 50 --command '3 SET key:{{key}} "a {{value}}"' \
    --size 10 --command 'INCRBY key:{{key}} 1{{rand}}' --command 'GET key:{{key}}' --json "$2.json" >"$2.txt" 2>"$2.err"
  assert_eq 0 $? "$2: exit status ($(cat "$2.err"))"
  after=$(stat_of "$1" total_commands_processed)
  # AUTH and SELECT on each of four connections, and what say said: AUTH and QUIT behind the first figure, AUTH and INFO (not
  # counted before it is over) in front of the second
  assert_eq "$((n + 4 * 2 + 3))" "$((after - before))" "$2: commands that the server counted"
  assert_eq "$n" "$(($(json_number "$2.json" answers) + $(json_number "$2.json" reply)))" "$2: answers and errors"
  assert_match "$(cat "$2.txt")" 'Target +redis://127.0.0.1:[0-9]+/3$' "$2: the password is not shown"
  assert_lacks "$(cat "$2.txt")$(cat "$2.json")" 'cret' "$2: the password is not shown"
  assert_contains "$(say "$1" INFO keyspace)" 'db3:keys=50,' "$2: {{key}} is one of 50"
}

start ours "$SDLAB" cache --port 0 --password se@cret
port=$(port_of ours) || exit 1
count_on "$port" ours
if baseline redis-server redis-server; then
  theirs=$(free_port)
  start theirs redis-server --dir "$TMP" --port "$theirs" --bind 127.0.0.1 --save '' --requirepass se@cret
  wait_port theirs "$theirs"
  count_on "$theirs" theirs
  assert_match "$(cat theirs.txt)" '^  ERR +[0-9,]+ +100.00%$' 'errors by their first word'
  assert_match "$(cat theirs.json)" '"text":[[:space:]]*"ERR"' 'errors by their first word, in JSON'
  stop_quietly theirs
fi

# What is sent is what was typed: quotes, and a value of its size.
url=redis://:se%40cret@127.0.0.1:$port
"$SDLAB" load "$url" -n 1 -q --command 'SET "two words" "{{value}}\n"' --size 30 >/dev/null || fail 'SET with quotes'
assert_contains "$(say "$port" GET '"two words"')" 'abcdefghijklmnopqrstuvwxyzabcd' 'a value of 30 bytes'
assert_contains "$(say "$port" STRLEN '"two words"')" ':31' 'a value of 30 bytes and what stands behind it'
# Nine GET to a SET when nobody says otherwise.
out=$("$SDLAB" load "$url" -n 2000 -q --seed 1 --tally) || fail 'the usual mix'
assert_match "$out" '^  OK +(1[5-9][0-9]|2[0-4][0-9]) ' 'SETs of the usual mix'
# Values that come in pieces.
say "$port" SET big "$(head -c 60000 /dev/zero | tr '\0' x)" >/dev/null
for _ in 1 2 3 4 5; do say "$port" APPEND big "$(head -c 60000 /dev/zero | tr '\0' y)" >/dev/null; done
out=$("$SDLAB" load "$url" -n 20 -q --command 'GET big' --json big.json) || fail 'GET of 360,000 bytes'
assert_eq $((20 * (360000 + 11))) "$(json_number big.json bytes_in)" 'bytes of long values'
# At a rate; lines from a file.
printf '# a mix\n2 INCR n\nPING\n' >mix.txt
out=$("$SDLAB" load "$url" -q -r 500/s -d 200ms --requests-file mix.txt --json rate.json) || fail 'at a rate'
assert_eq 100 "$(json_number rate.json answers)" 'answers at a rate'
# Without keep-alive each command has its connection, and says who it is.
before=$(stat_of "$port" total_connections_received)
"$SDLAB" load "$url" -n 30 -c 2 -q --no-keep-alive >/dev/null || fail 'no keep-alive'
assert_eq 31 "$(($(stat_of "$port" total_connections_received) - before))" 'connections without keep-alive'

# Who is not let in learns why, and the run fails.
run "$SDLAB" load "redis://:wrong@127.0.0.1:$port" -n 3 -q
assert_eq 1 "$STATUS" 'exit status with a wrong password'
assert_match "$OUT" '^  WRONGPASS +[0-9]+ +100.00%$' 'a wrong password'
run "$SDLAB" load "redis://127.0.0.1:$port" -n 3 -q
assert_match "$OUT" '^  NOAUTH +3 +100.00%$' 'no password'
run "$SDLAB" load "$url" -n 10 -q --command 'NOSUCH x' --fail-if 'errors.reply>5'
assert_contains "$ERR" 'failed by errors.reply>5: errors.reply is 10' 'a rule about errors of the cache'
# HTTP is no answer of a cache.
start_backend web W
run "$SDLAB" load "redis://127.0.0.1:$PORT" -n 3 -q
assert_match "$OUT" '^  garbage ' 'a web server'

refused() { # PATTERN ARGUMENT...
  local pattern=$1
  shift
  run "$SDLAB" load "$@"
  assert_eq 2 "$STATUS" "exit status of $*"
  assert_match "$ERR" "$pattern" "$*"
  assert_lines 1 "$ERR" "$*"
}
refused 'header: only for http' "$url" -H 'A: b'
refused 'command: only for redis' "http://127.0.0.1:$port" --command PING
refused 'expected a command such as' "$url" --command '"GET'
refused 'expected a command such as' "$url" --command '*1'
refused 'weight from 1 to 1000000' "$url" --command '0 GET a'
refused 'at most 8 of' "$url" --command 'DEL {{key}} {{key}} {{key}} {{key}} {{key}} {{key}} {{key}} {{key}} {{key}}'
refused 'number of a database' "redis://127.0.0.1/one"
refused 'expected redis://HOST.:PORT., found no host' "redis://:secret@/"
printf 'GET a\n1 "b\n' >bad.txt
refused 'bad.txt:2: expected a command' "$url" --requests-file bad.txt
stop ours
stop web
