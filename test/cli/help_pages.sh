#!/usr/bin/env bash
# Every applet and alias answers to its name through a folder of links, and says what it is.

# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
sdlab_test "$@"

run "$SDLAB" --install -s "$TMP/farm"
assert_eq 0 "$STATUS" "exit status of sdlab --install -s: $ERR"
names=$("$SDLAB" list --names) || fail 'sdlab list --names'
[ -n "$names" ] || fail 'sdlab list --names names nothing'
for name in backend lb loadbalancer up; do
  printf '%s\n' "$names" | grep -qx "$name" || fail "sdlab list --names lacks $name"
done

for name in $names; do
  [ -L "$TMP/farm/$name" ] || fail "no link for $name"
  run "$TMP/farm/$name" --help
  assert_eq 0 "$STATUS" "exit status of $name --help"
  assert_eq '' "$ERR" "standard error of $name --help"
  assert_contains "$OUT" "$name" "$name --help"
  assert_contains "$OUT" '--help' "$name --help"
  through_link=$OUT
  run "$SDLAB" "$name" --help
  assert_eq 0 "$STATUS" "exit status of sdlab $name --help"
  assert_eq "$(printf '%s\n' "$through_link" | wc -l)" "$(printf '%s\n' "$OUT" | wc -l)" \
    "length of the help of $name, by link and by subcommand"
  run "$SDLAB" help "$name"
  assert_eq 0 "$STATUS" "exit status of sdlab help $name"
  [ -n "$OUT" ] || fail "sdlab help $name says nothing"
  # No line that a terminal would break badly.
  long=$(printf '%s\n' "$through_link" | awk 'length($0) > 120' | head -n 1)
  assert_eq '' "$long" "a long line in the help of $name"
done

# The program itself.
run "$SDLAB"
assert_contains "$OUT$ERR" 'lb' 'sdlab without arguments'
run "$SDLAB" --help
assert_eq 0 "$STATUS" 'exit status of sdlab --help'
assert_contains "$OUT" 'sdlab' 'sdlab --help'
run "$SDLAB" list
assert_eq 0 "$STATUS" 'exit status of sdlab list'
assert_match "$OUT" '^ *backend +[^ ]' 'sdlab list'
run "$SDLAB" --list
assert_eq 0 "$STATUS" 'exit status of sdlab --list'
run "$SDLAB" version
assert_eq 0 "$STATUS" 'exit status of sdlab version'
assert_match "$OUT" '^sdlab [0-9]+\.[0-9]+\.[0-9]+' 'sdlab version'
run "$SDLAB" version --short
assert_match "$OUT" '^[0-9]+\.[0-9]+\.[0-9]+$' 'sdlab version --short'
run "$SDLAB" completion bash
assert_eq 0 "$STATUS" 'exit status of sdlab completion bash'
printf '%s\n' "$OUT" | bash -n || fail 'sdlab completion bash is not a script'

# What a person mistypes.
run "$SDLAB" nosuchthing
assert_eq 127 "$STATUS" 'exit status of an unknown applet'
assert_eq '' "$OUT" 'standard output of an unknown applet'
assert_contains "$ERR" 'nosuchthing' 'message about an unknown applet'
run "$SDLAB" bakend
assert_eq 127 "$STATUS" 'exit status of a misspelt applet'
assert_match "$ERR" 'did you mean.*backend' 'message about a misspelt applet'
run "$SDLAB" help ab
assert_match "$OUT" '^usage: ab ' 'help about another program'
for word in list install help version completion; do
  run "$SDLAB" help "$word"
  assert_eq 0 "$STATUS" "help $word"
  assert_match "$OUT" "^ +sdlab $word" "help $word"
done
run "$SDLAB" help nosuchthing
assert_eq 127 "$STATUS" 'exit status of help about an unknown applet'
ln -s "$SDLAB" "$TMP/farm/nosuchthing"
run "$TMP/farm/nosuchthing" lb --help
assert_eq 0 "$STATUS" 'a link of another name is sdlab itself'
run "$SDLAB" backend --prot 8081
assert_eq 2 "$STATUS" 'exit status of a misspelt option'
assert_match "$ERR" 'did you mean.*--port' 'message about a misspelt option'
run "$TMP/farm/loadbalancer" --bakend 127.0.0.1:1
assert_eq 2 "$STATUS" 'exit status of a misspelt option'
assert_match "$ERR" 'did you mean.*--backend' 'message about a misspelt option'
run "$SDLAB" backend --port
assert_eq 2 "$STATUS" 'exit status of an option without its value'
assert_contains "$ERR" '--port' 'message about an option without its value'
run "$SDLAB" backend --port eighty
assert_eq 2 "$STATUS" 'exit status of a bad value'
assert_contains "$ERR" '--port' 'message about a bad value'

# What goes to a closed pipe or a full disk is not an endless loop or a crash.
"$SDLAB" list | head -n 1 >/dev/null
if [ -w /dev/full ]; then
  "$SDLAB" list >/dev/full 2>"$TMP/full.err"
  [ $? -lt 126 ] || fail 'sdlab list to a full disk ended by a signal'
fi
exit 0
