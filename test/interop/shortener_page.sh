#!/usr/bin/env bash
# The dashboard: who gets in, what a browser is told of it, and then a person at work in headless Chromium.

# plain build only: a browser is slow, and what it asks for is asked for elsewhere
# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
sdlab_test "$@"
here=$(cd "$(dirname "$0")" && pwd)
NPM_MODULES=$(realpath -m "${NPM_MODULES:-$ROOT/build/npm/node_modules}")
need curl curl
need chromium chromium
need "npm's playwright-core" node
[ -e "$NPM_MODULES/playwright-core/package.json" ] || skip "npm's playwright-core"

# ask CURL-OPTION... PATH: the status to STATUS, the head to TMP/head, the body to TMP/body.
ask() {
  STATUS=$(curl -sS --max-time 10 -o "$TMP/body" -D "$TMP/head" -w '%{http_code}' "${@:1:$#-1}" "$url${!#}") || fail "curl ${!#}"
}
body() { cat "$TMP/body"; }
field() { tr -d '\r' <"$TMP/head" | sed -n "s/^$1: //Ip"; }
# start_shortener NAME OPTION...: url is where.
start_shortener() {
  start "$1" "$SDLAB" shortener --port 0 --admin 127.0.0.1:0 --data-dir "$TMP/$1" "${@:2}"
  url=http://127.0.0.1:$(port_of "$1") || exit 1
}

# ---- without a password: who sits at this machine, and nobody else ----
start_shortener open --bind 127.0.0.1 --threads 1
ask /dashboard
assert_eq 200 "$STATUS" 'the dashboard from this machine'
assert_contains "$(body)" 'opens on this machine only' 'the page'
assert_lacks "$(body)" '{{' 'values that were not filled in'
assert_match "$(field Set-Cookie)" '^sdlab_session=[0-9a-f.]+; Path=/; HttpOnly; SameSite=Strict; Max-Age=[0-9]+$' 'cookie'
ask -H 'X-Forwarded-For: 127.0.0.1, 192.0.2.7' /dashboard
assert_eq 403 "$STATUS" 'somebody from elsewhere, by a proxy'
assert_eq '' "$(field Set-Cookie)" 'cookie for who may not'
ask -H 'Host: evil.example' /dashboard
assert_eq 403 "$STATUS" 'a name that was made to lead here'
ask -H 'X-Forwarded-For: 127.0.0.1' /dashboard
assert_eq 200 "$STATUS" 'this machine, by a proxy'
for f in page.css page.js theme.js; do
  ask "/dashboard/$f"
  assert_eq 200 "$STATUS" "$f"
  assert_same "$ROOT/applets/shortener/http/page/$f" "$TMP/body" "$f"
done
ask /dashboard/login.html
assert_eq 404 "$STATUS" 'a file that is none of the page'
stop open

# ---- with one ----
printf 'correct horse\n' >"$TMP/password"
start_shortener page --bind 127.0.0.1 --threads 2 --dashboard-password-file "$TMP/password"
jar=$TMP/jar
ask /dashboard
assert_contains "$(body)" 'type="password"' 'the form'
assert_lacks "$(body)" 'meta name="token"' 'the form'
assert_match "$(field Content-Security-Policy)" "^default-src 'none'; script-src 'self'; style-src 'self'; " 'policy'
assert_lacks "$(field Content-Security-Policy)" unsafe 'policy'
for path in /api/links /api/live /api/tags; do
  ask "$path"
  assert_eq 401 "$STATUS" "$path without a login"
done
ask --data-urlencode 'password=wrong' /dashboard/login
assert_eq 403 "$STATUS" 'a wrong password'
assert_eq '' "$(field Set-Cookie)" 'cookie after a wrong password'
ask -H 'Origin: http://evil.example' --data-urlencode 'password=correct horse' /dashboard/login
assert_eq 403 "$STATUS" 'a login from elsewhere'
ask -c "$jar" --data-urlencode 'password=correct horse' /dashboard/login
assert_eq 303 "$STATUS" 'the password'
ask -b "$jar" /dashboard
token=$(sed -n 's/.*name="token" content="\([0-9a-f]*\)".*/\1/p' "$TMP/body")
assert_match "$token" '^[0-9a-f]{64}$' 'token'
ask -b "$jar" /api/links
assert_eq 200 "$STATUS" 'the API with a session'
ask -b "$jar" -d '{"url": "https://example.com/"}' /api/shorten
assert_eq 401 "$STATUS" 'a change without the token'
ask -b "$jar" -H "X-Csrf-Token: ${token%?}x" -d '{"url": "https://example.com/"}' /api/shorten
assert_eq 401 "$STATUS" 'a change with another token'
ask -b "$jar" -H "X-Csrf-Token: $token" -H 'Origin: http://evil.example' -d '{"url": "https://example.com/"}' /api/shorten
assert_eq 403 "$STATUS" 'a change from elsewhere'
cookie=$(awk '$6 == "sdlab_session" { print $7 }' "$jar")
for bad in "${cookie%?}" "f$cookie" "${cookie%.*}.${cookie%%.*}" '' '.' '..' "$(printf '%0200d' 0)"; do
  ask -H "Cookie: sdlab_session=$bad" /api/links
  assert_eq 401 "$STATUS" "the cookie $bad"
done
ask -b "$jar" -c "$jar" -d 'token=0' /dashboard/logout
ask -b "$jar" /api/links
assert_eq 200 "$STATUS" 'after a logout without the token'

# Another password ends all sessions; a start alone does not.
stop page
start_shortener page --bind 127.0.0.1 --threads 2 --dashboard-password-file "$TMP/password"
ask -b "$jar" /api/links
assert_eq 200 "$STATUS" 'the session after a start'
stop page
printf 'battery staple\n' >"$TMP/password"
start_shortener page --bind 127.0.0.1 --threads 2 --dashboard-password-file "$TMP/password"
ask -b "$jar" /api/links
assert_eq 401 "$STATUS" 'the session after another password was set'

# Ten tries, then a while of nothing, also with the right one.
for ((i = 0; i < 10; i++)); do
  ask -d 'password=wrong' /dashboard/login
  assert_eq 403 "$STATUS" "try $i"
done
ask -d 'password=battery+staple' /dashboard/login
assert_eq 429 "$STATUS" 'one try too many'
assert_match "$(field Retry-After)" '^[1-6]$' 'Retry-After'
ask -H 'X-Forwarded-For: 192.0.2.9' -d 'password=battery+staple' /dashboard/login
assert_eq 429 "$STATUS" 'who says of himself to be another'
stop page

# Behind a trusted proxy each client has tries of its own.
start_shortener page --bind 127.0.0.1 --threads 2 --dashboard-password-file "$TMP/password" --trusted-proxies 127.0.0.1
for ((i = 0; i < 10; i++)); do ask -H 'X-Forwarded-For: 192.0.2.1' -d 'password=wrong' /dashboard/login; done
ask -H 'X-Forwarded-For: 192.0.2.1' -d 'password=battery+staple' /dashboard/login
assert_eq 429 "$STATUS" 'the client that the proxy told of'
ask -H "X-Forwarded-For: 192.0.2.2, 192.0.2.1" -d 'password=battery+staple' /dashboard/login
assert_eq 429 "$STATUS" 'the same client, which wrote another address in front'
ask -H 'X-Forwarded-For: 192.0.2.2' -d 'password=battery+staple' /dashboard/login
assert_eq 303 "$STATUS" 'another client of the proxy'
stop page

# Out everywhere: of two sessions both end, with what listens to them; a new login is good at once.
start_shortener page --bind 127.0.0.1 --threads 2 --dashboard-password-file "$TMP/password"
ask -c "$TMP/jar2" -d 'password=battery+staple' /dashboard/login
ask -c "$jar" -d 'password=battery+staple' /dashboard/login
ask -b "$jar" /dashboard
token=$(sed -n 's/.*name="token" content="\([0-9a-f]*\)".*/\1/p' "$TMP/body")
start early curl -sSN --max-time 30 -b "$TMP/jar2" "$url/api/live"
wait_for 'the totals' log_has early '"links":'
ask -b "$jar" -d 'token=0' /dashboard/logout-everywhere
ask -b "$TMP/jar2" -d "token=$token" /dashboard/logout-everywhere
for j in "$jar" "$TMP/jar2"; do
  ask -b "$j" /api/links
  assert_eq 200 "$STATUS" 'after a logout everywhere without the token of that session'
done
ask -b "$jar" -d "token=$token" /dashboard/logout-everywhere
assert_eq '303 /dashboard' "$STATUS $(field Location)" 'out everywhere'
assert_contains "$(field Set-Cookie)" 'Max-Age=0' 'the cookie'
for j in "$jar" "$TMP/jar2"; do
  ask -b "$j" /api/links
  assert_eq 401 "$STATUS" 'a session that was ended everywhere'
done
wait_exit early
ask -c "$jar" -d 'password=battery+staple' /dashboard/login
ask -b "$jar" /api/links
assert_eq 200 "$STATUS" 'a login afterwards'

# ---- a person at work ----
shots=${SHOTS:-$TMP/shots}
mkdir -p "$shots"
NODE_PATH=$NPM_MODULES HOME=$TMP timeout 100 node "$here/shortener_page.js" "$url" 'battery staple' "$shots" || fail 'the page'
for f in list form link qr; do
  for t in light dark narrow; do [ -s "$shots/$f-$t.png" ] || fail "no picture $f-$t.png"; done
done
# Who listens does not hold the service back.
ask -c "$jar" -d 'password=battery+staple' /dashboard/login
start listener curl -sSN --max-time 30 -b "$jar" "$url/api/live"
wait_for 'the totals' log_has listener '"links":25'
stop page
wait_exit listener
