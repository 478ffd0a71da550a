#!/usr/bin/env bash
# Clients of others: ioredis and redis-cli speak CL.THROTTLE, two parsers of npm read the fields of every draft.

# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
sdlab_test "$@"
modules=$(realpath -m "${NPM_MODULES:-$ROOT/build/npm/node_modules}")
need "npm's ioredis, ratelimit-header-parser and structured-headers" node
need redis-tools redis-cli
for module in ioredis ratelimit-header-parser structured-headers; do
  [ -e "$modules/$module/package.json" ] || skip "npm's ioredis, ratelimit-header-parser and structured-headers"
done

start resp "$SDLAB" ratelimit --port 0 --resp-port 0
port_of resp >/dev/null
resp=$(sed -n 's/.*CL.THROTTLE on .*:\([0-9]*\)$/\1/p' "$TMP/resp.log")
words=()
for draft in x draft6 draft7 draft8; do
  start "$draft" "$SDLAB" ratelimit --port 0 --rate 5/h --headers "$draft"
  words+=("$draft=http://127.0.0.1:$(port_of "$draft")/")
done
run node "$ROOT/test/interop/ratelimit_clients.js" "$modules" "$resp" "${words[@]}"
assert_eq ok "$OUT" "what node says ($ERR)"

assert_eq '0 3 2 -1' "$(redis-cli -p "$resp" CL.THROTTLE cli 2 1 3600 | head -n 4 | paste -sd' ')" redis-cli
assert_eq '0 3 1 -1' "$(redis-cli -3 -p "$resp" CL.THROTTLE cli 2 1 3600 | head -n 4 | paste -sd' ')" 'redis-cli in RESP3'
assert_match "$(redis-cli -p "$resp" CL.THROTTLE cli 2 1)" 'wrong number of arguments' 'redis-cli, too few words'
echo ok
