#!/bin/sh
# A pool of connections to a real server: users that wait for ten, users without patience, and the server gone.
#   examples/pool.sh [path/to/sdlab]
set -eu
sdlab=${1:-}
if [ -z "$sdlab" ]; then
  sdlab=sdlab
  [ ! -x "$(dirname "$0")/../build/plain/sdlab" ] || sdlab=$(dirname "$0")/../build/plain/sdlab
fi
command -v "$sdlab" >/dev/null || { echo "pool.sh: cannot find $sdlab; run make first" >&2; exit 1; }
log=$(mktemp "${TMPDIR:-/tmp}/sdlab-pool.XXXXXX")
"$sdlab" backend --port 0 >"$log" 2>&1 &
server=$!
trap 'kill "$server" 2>/dev/null || true; rm -f "$log"' EXIT
port=
while [ -z "$port" ] && kill -0 "$server" 2>/dev/null; do
  port=$(sed -n 's/.*Listening on .*:\([0-9]*\)$/\1/p' "$log")
  sleep 0.1
done

echo '--- fifty users of ten connections'
"$sdlab" pool test --target "127.0.0.1:$port" --max-conns 10 --concurrent-users 50

echo
echo '--- who waits 200 ms only is told who has them'
"$sdlab" pool test --target "127.0.0.1:$port" --max-conns 2 --hold 100ms --timeout 200ms 2>&1 || true

echo
echo '--- the server is gone'
kill "$server"
wait "$server" 2>/dev/null || true
"$sdlab" pool test --target "127.0.0.1:$port" --timeout 300ms 2>&1 || true
