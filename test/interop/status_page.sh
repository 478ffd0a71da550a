#!/usr/bin/env bash
# The status page in the hands of a browser's parts: its markup is whole, its script parses and asks only for what the API
# has, and only its own script may run. How it looks is for people to see.

# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
sdlab_test "$@"
need curl curl
need nodejs node

start_backend a A
start_lb lb --health-interval 100ms --backend "address=127.0.0.1:$PORT,name=web-1" \
  --backend 'address=127.0.0.1:1,name=<b>"evil"&co'
wait_line lb 'Removed 1 from pool'
curl -sS -o /dev/null --max-time 20 "http://127.0.0.1:$PORT/" || fail 'GET /'
curl -sS -D "$TMP/head" -o "$TMP/page" --max-time 20 "http://$ADMIN/-/status" || fail 'GET /-/status'
curl -sS -o "$TMP/backends" --max-time 20 "http://$ADMIN/-/backends" || fail 'GET /-/backends'

head=$(tr -d '\r' <"$TMP/head")
assert_match "$head" '^Content-Type: text/html' 'type of the page'
nonce=$(printf '%s\n' "$head" | sed -n "s/^Content-Security-Policy: default-src 'none'; script-src 'nonce-\([0-9a-f]*\)'.*/\1/p")
assert_match "$nonce" '^[0-9a-f]{32}$' 'nonce'
assert_eq 2 "$(grep -c "nonce=\"$nonce\"" "$TMP/page")" 'places with the nonce'
assert_lacks "$(cat "$TMP/page")" '<b>' 'a name in the page'
assert_contains "$(cat "$TMP/page")" '&lt;b&gt;&quot;evil&quot;&amp;co' 'a name in the page'
assert_contains "$(cat "$TMP/page")" 'failed checks in a row: connection refused' 'why, without a script'
other=$(curl -sS -D - -o /dev/null --max-time 20 "http://$ADMIN/-/status" | tr -d '\r' | grep -c "nonce-$nonce")
assert_eq 0 "$other" 'pages with the same nonce'

sed '1,/<script nonce=/d; /<\/script>/,$d' "$TMP/page" >"$TMP/page.js"
node --check "$TMP/page.js" || fail 'the script does not parse'
cat >"$TMP/check.js" <<'END'
const fs = require('fs'), [page, script, api] = process.argv.slice(2).map(f => fs.readFileSync(f, 'utf8'));
const open = [], alone = new Set(['meta', 'link']);
const markup = page.replace(/<(style|script)[^>]*>[^]*?<\/\1>/g, '');
for (const [, close, name] of markup.matchAll(/<(\/?)([a-z0-9]+)(?: [^<>]*)?>/g)) {
  if (alone.has(name)) continue;
  if (!close) open.push(name);
  else if (open.pop() !== name) throw new Error('</' + name + '> closes something else');
}
if (open.length) throw new Error('not closed: ' + open);
const all = JSON.parse(api), used = new Set([...script.matchAll(/\bb\.([a-z0-9_]+)/g)].map(m => m[1]));
if (all.length !== 2 || used.size < 11) throw new Error('expected 2 backends and 11 fields, found ' + all.length + ', ' + used.size);
for (const field of used) for (const b of all) if (!(field in b)) throw new Error('the API has no ' + field);
END
node "$TMP/check.js" "$TMP/page" "$TMP/page.js" "$TMP/backends" || fail 'the page'
stop lb
