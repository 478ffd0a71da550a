#!/usr/bin/env bash
# Fifty users of ten connections, typed as a person would, through a folder of links: every line in its form, every figure true.

# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
sdlab_test "$@"

"$SDLAB" --install -s "$TMP/farm" >/dev/null || fail 'sdlab --install -s'
cd "$TMP/farm" || exit 1
[ -L pool-test ] || fail 'no link pool-test'

run ./pool-test --max-conns 10 --concurrent-users 50
assert_eq 0 "$STATUS" "exit status ($ERR)"
assert_eq '' "$ERR" 'standard error'
line=$(grep -n '"forgotten"' "$ROOT/applets/pool/pool_users.c" | cut -d: -f1)
want='\[POOL\] Created: 0, Idle: 0, In-use: 0
\[POOL\] Created: 10, Idle: 0, In-use: 10
\[POOL\] 40 threads waiting\.\.\.
\[POOL\] Created: 10, Idle: 3, In-use: 7
\[POOL\] Avg wait time: [0-9]+ms
\[5 minutes later\]
\[POOL\] Reaped 3 idle connections \(idle > 5m\)
\[POOL\] Created: 10, Idle: 7, In-use: 0, Destroyed: 3
\[POOL\] WARNING: Connection borrowed 60s ago, not returned
\[POOL\] Borrowed at: pool_users\.c:[0-9]+ \(thread 23\)

50 users, 10 connections: 51 leases, 10 connections opened, 0 timeouts
waited: [0-9.]+ ms at the median, [0-9.]+ ms at 99 %, [0-9.]+ ms the longest
1 leak, 9 closed as idle'
n=0
while IFS= read -r pattern; do
  n=$((n + 1))
  assert_match "$(sed -n "${n}p" <<<"$OUT")" "^$pattern\$" "line $n"
done <<<"$want"
assert_eq "$n" "$(wc -l <<<"$OUT" | tr -d ' ')" 'number of lines'
# The leak is where the source says: the call is the line below the holder, or the one that names the place.
said=$(sed -n 's/.*Borrowed at: pool_users.c:\([0-9]*\) .*/\1/p' <<<"$OUT")
assert_eq "$line" "$said" 'the line that borrowed'
# Each waits for those before it: forty of fifty, for one to four times 20 ms.
wait_ms=$(sed -n 's/.*Avg wait time: \([0-9]*\)ms/\1/p' <<<"$OUT")
[ "$wait_ms" -ge 40 ] || fail "an average wait of $wait_ms ms is less than two times 20 ms"
