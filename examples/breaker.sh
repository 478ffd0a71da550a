#!/bin/sh
# A service that fails for a while, and the same minute of it under three settings of a circuit breaker.
#   examples/breaker.sh [path/to/sdlab]
set -eu
sdlab=${1:-}
if [ -z "$sdlab" ]; then
  sdlab=sdlab
  [ ! -x "$(dirname "$0")/../build/plain/sdlab" ] || sdlab=$(dirname "$0")/../build/plain/sdlab
fi
command -v "$sdlab" >/dev/null || { echo "breaker.sh: cannot find $sdlab; run make first" >&2; exit 1; }
dir=$(mktemp -d "${TMPDIR:-/tmp}/sdlab-breaker.XXXXXX")
server=
trap '[ -z "$server" ] || kill "$server"; rm -rf "$dir"' EXIT

echo '--- requests 3 to 7 fail; it is left alone for a second'
: >"$dir/log" # it is read before the server may have begun
"$sdlab" backend --port 0 --bind 127.0.0.1 --threads 1 --fail-from 3 >"$dir/log" &
server=$!
until grep -q 'Listening on' "$dir/log"; do sleep 0.05; done
port=$(sed -n 's/.*Listening on .*:\([0-9]*\).*/\1/p' "$dir/log")
"$sdlab" breaker --url "http://127.0.0.1:$port" --open 1s --interval 20ms | grep -v '^Request [0-9]*: OK (circuit: CLOSED)$'

# Ten calls a second for a minute: all is well, half of it fails from the 20th second to the 40th, all is well.
awk 'BEGIN { for (i = 0; i < 600; i++) print i / 10 "s", (i >= 200 && i < 400 && i % 2 ? "503" : "ok") }' >"$dir/minute"
for rule in '--consecutive 5' '--failures 5' '--failure-rate 40% --window-time 10s --minimum 20'; do
  echo
  echo "--- a minute in which half of the calls fail for 20 s: $rule"
  # shellcheck disable=SC2086 # options
  "$sdlab" breaker replay "$dir/minute" $rule --open 5s --growth doubling --calm 5s | sed '1,/^$/d'
done
