#!/usr/bin/env bash
# The API of the shortener: links made, found, changed, ended; keys; limits; what a redirect makes of a query; QR codes.
# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
sdlab_test "$@"
cd "$TMP" || exit 1

start short "$SDLAB" shortener --port 0 --threads 2 --bind 127.0.0.1 --admin 127.0.0.1:0 --data-dir data
url=http://127.0.0.1:$(port_of short) || exit 1
admin=$(admin_of short)

# api METHOD PATH [BODY [CURL-OPTION...]]: OUT is the body, CODE the status, HEAD the head.
api() {
  local method=$1 path=$2 body=${3:-}
  shift $(($# > 3 ? 3 : $#))
  run curl -sS -g -D "$TMP/head" -o "$TMP/body" -w '%{http_code}' -X "$method" "$url$path" ${body:+-d "$body"} "$@"
  CODE=$OUT
  OUT=$(tr -d '\0' <"$TMP/body")
  HEAD=$(tr -d '\r' <"$TMP/head")
}
# expect STATUS [PART-OF-BODY]: of the last call.
expect() {
  assert_eq "$1" "$CODE" "status (${2:-})"
  [ -z "${2:-}" ] || assert_contains "$OUT" "$2" 'answer'
}
# problem STATUS TYPE: the last call was refused so.
problem() {
  expect "$1" "\"type\": \"/problems/$2\""
  assert_contains "$OUT" "\"status\": $1" "problem $2"
  assert_match "$HEAD" '^Content-Type: application/problem\+json$' "type of problem $2"
}
# goes CODE LOCATION [STATUS]: the redirect.
goes() {
  run curl -sS -o /dev/null -w '%{http_code} %{redirect_url}' "$url/$1"
  assert_eq "${3:-301} $2" "$OUT" "redirect of $1"
}

# ---- made, with everything that can be said ----
api POST /api/links '{"url": "HTTPS://Example.COM", "alias": "all", "title": "All", "tags": ["b", "a"], "max_visits": 2, "status": 307,
  "expires_at": "2060-01-02T03:04:05+01:00", "valid_from": "2020-01-01T00:00:00Z", "forward_query": true}'
expect 201 '"original_url": "https://example.com/"'
for part in '"code": "all"' '"title": "All"' '"max_visits": 2' '"status": 307' '"expires_at": "2060-01-02T02:04:05Z"' \
  '"valid_from": "2020-01-01T00:00:00Z"' '"forward_query": true' '"enabled": true' '"clicks": 0'; do
  expect 201 "$part"
done
assert_match "$HEAD" '^Location: /api/links/all$' 'where the new link is'
goes all https://example.com/ 307
goes all https://example.com/ 307
api GET /all
problem 410 used-up
goes 'all/' '' 410

# ---- found again ----
api POST /api/shorten '{"url": "https://find.example/x"}'
first=$OUT
api POST /api/shorten '{"url": "https://find.example/x", "findIfExists": true}'
expect 200
assert_eq "$first" "$OUT" 'the link that is there'
api POST /api/shorten '{"url": "https://find.example/x"}'
expect 201
[ "$first" != "$OUT" ] || fail 'a second link has the code of the first'

# ---- lists ----
for i in 1 2 3 4 5; do api POST /api/shorten "{\"url\": \"https://list.example/$i\", \"alias\": \"list$i\", \"tags\": [\"five\"]}"; done
api GET '/api/links?tag=five&per_page=2&page=3&order=code'
expect 200 '"total": 5'
expect 200 '"pages": 3'
expect 200 '"code": "list5"'
assert_lacks "$OUT" '"code": "list4"' 'the third page'
api GET '/api/links?search=list.example%2F3'
expect 200 '"total": 1'
api GET '/api/links?search=%25'
expect 200 '"total": 0'
api GET /api/tags
expect 200 '{"tag": "five", "links": 5}'

# ---- changed ----
goes list1 https://list.example/1
api PATCH /api/links/list1 '{"url": "https://else.example/", "status": 302, "title": "T"}'
expect 200 '"original_url": "https://else.example/"'
goes list1 https://else.example/ 302
api PATCH /api/links/list1 '{"status": null, "title": null}'
expect 200 '"title": null'
expect 200 '"original_url": "https://else.example/"'
goes list1 https://else.example/
api PATCH /api/links/list1 '{"enabled": false}'
api GET /list1
problem 410 disabled
api PATCH /api/links/list1 '{"enabled": true}'
goes list1 https://else.example/
api PATCH /api/links/list1 '{"expires_at": "2020-01-01T00:00:00Z"}'
api GET /list1
problem 410 expired
api PATCH /api/links/list1 '{"expires_at": null, "valid_from": "2090-01-01T00:00:00Z"}'
api GET /list1
problem 404 not-yet
api DELETE /api/links/list1
expect 204
api GET /list1
problem 404 unknown-code
api DELETE /api/links/list1
problem 404 unknown-code
api PATCH /api/links/list1 '{}'
problem 404 unknown-code

# ---- a query that goes on ----
api POST /api/shorten '{"url": "https://q.example/p?a=1&b=2#part", "alias": "q", "forward_query": true}'
goes 'q?b=3&c=4%26' 'https://q.example/p?a=1&b=3&c=4%26#part'
goes 'q?' 'https://q.example/p?a=1&b=2#part'
goes 'q?utm' 'https://q.example/p?a=1&b=2&utm#part'
goes 'list2?b=3' https://list.example/2
goes list2/ https://list.example/2
run curl -sSI "$url/list2"
assert_match "$OUT" '^HTTP/1.1 301 ' 'HEAD'

# ---- pages for browsers, JSON for programs ----
api GET /no-such-link '' -H 'Accept: text/html,application/xhtml+xml,*/*;q=0.8'
expect 404 '<h1>No such link</h1>'
assert_match "$HEAD" '^Content-Type: text/html; charset=utf-8$' 'a page'
assert_match "$HEAD" "^Content-Security-Policy: default-src 'none'" 'what the page may do'
api GET /no-such-link '' -H 'Accept: text/html;q=0.1, application/json'
problem 404 unknown-code
api GET '/%3Cscript%3E' '' -H 'Accept: text/html'
problem 404 unknown-path
api GET /problems/used-up
expect 200 '410 used-up'

# ---- where the service is ----
api POST /api/shorten '{"url": "https://host.example/"}' -H 'Host: s.example.com' -H 'X-Forwarded-Proto: https'
expect 201 '"short_url": "https://s.example.com/'
api POST /api/shorten '{"url": "https://s.example.com/x"}' -H 'Host: s.example.com'
problem 422 bad-url

# ---- QR codes ----
api GET '/api/links/list2/qr.svg?size=100&margin=0&color=123456&background=transparent&level=H'
expect 200 '<svg xmlns="http://www.w3.org/2000/svg" width="100" height="100" viewBox="0 0 '
expect 200 'fill="#123456"'
assert_lacks "$OUT" 'fill="#ffffff"' 'without a background'
assert_match "$HEAD" '^Content-Type: image/svg\+xml$' 'type of a QR code'
api GET '/api/links/list2/qr.svg?color=%22onload'
problem 400 bad-query
api GET /api/links/nothing/qr.svg
problem 404 unknown-code

# ---- keys: none, then one ----
api GET /api/links
expect 200
key=$("$SDLAB" shortener key add ours --data-dir data) || fail 'key add'
run "$SDLAB" shortener key add ours --data-dir data
assert_eq 1 "$STATUS" 'a name that is taken'
run "$SDLAB" shortener key list --data-dir data
assert_match "$OUT" '^ours  ' 'key list'
assert_lacks "$OUT" "$key" 'key list'
# Nothing that the database has on its disk is the key.
! grep -aq -- "$key" data/links.db* || fail 'the key stands in the database'
for call in 'POST /api/shorten' 'POST /' 'POST /api/links' 'GET /api/links' 'GET /api/links/list2' 'PATCH /api/links/list2' \
  'DELETE /api/links/list2' 'GET /api/tags'; do
  api "${call% *}" "${call#* }" "$([ "${call%% *}" = GET ] || echo '{"url": "https://key.example/"}')"
  problem 401 no-key
  assert_match "$HEAD" '^WWW-Authenticate: Bearer ' "$call without a key"
  api "${call% *}" "${call#* }" '' -H "X-Api-Key: ${key}x"
  problem 401 no-key
done
goes list2 https://list.example/2
api GET /api/stats/list2
expect 200
api POST /api/shorten '{"url": "https://key.example/"}' -H "X-Api-Key: $key"
expect 201
api POST /api/shorten '{"url": "https://key.example/"}' -H "Authorization: Bearer $key"
expect 201
run "$SDLAB" shortener key remove ours --data-dir data
assert_eq 0 "$STATUS" 'key remove'
run "$SDLAB" shortener key remove ours --data-dir data
assert_eq 1 "$STATUS" 'a key that is none'
api POST /api/shorten '{"url": "https://key.example/"}'
expect 201

# ---- what a page of another site sends ----
api POST /api/shorten '{"url": "https://a.example/"}' -H 'Origin: https://evil.example'
problem 403 cross-origin
api POST /api/shorten '{"url": "https://a.example/"}' -H "Origin: $url"
expect 201

# ---- how it is ----
run curl -sS "http://$admin/-/ready"
assert_match "$(printf '%s' "$OUT" | tr -d ' \t\n')" '^\{"ready":true,"database":\{"up":true\}' '/-/ready'
[ "$(metric "$admin" sdlab_shortener_created_total)" -ge 10 ] || fail 'links made are not counted'
[ "$(metric "$admin" sdlab_shortener_visits_total 'result="redirected"')" -ge 10 ] || fail 'redirects are not counted'
stop short

# ---- set in another way; a reload ----
printf 'port: 0\nbind: 127.0.0.1\nthreads: 2\ndata-dir: data\nredirect-status: 302\nbase-url: https://s.example.com/go\ncreate-limit: 3/h\n' >s.yaml
start short "$SDLAB" shortener --config s.yaml
url=http://127.0.0.1:$(port_of short) || exit 1
assert_match "$(cat short.log)" 'Database connected, [0-9]{2} links stored' 'links are still there'
goes list2 https://list.example/2 302
for i in 1 2 3; do
  api POST /api/shorten "{\"url\": \"https://limit.example/$i\"}"
  expect 201 '"short_url": "https://s.example.com/go/'
done
api POST /api/shorten '{"url": "https://limit.example/4"}'
problem 429 too-many
assert_match "$HEAD" '^Retry-After: 1[0-9]{3}$' 'when to come again'
sed -i 's/302/308/; s/create-limit: 3/create-limit: 300/; s/base-url.*//' s.yaml
kill -HUP "${PID[short]}"
changed() { [ "$(curl -sS -o /dev/null -w '%{http_code}' "$url/list2")" = 308 ]; }
wait_for 'the reload' changed
api POST /api/shorten '{"url": "https://limit.example/5"}'
expect 201 "\"short_url\": \"$url/"
stop short

# ---- keys required before there is one ----
start short "$SDLAB" shortener --port 0 --threads 1 --bind 127.0.0.1 --data-dir data --api-key-required
url=http://127.0.0.1:$(port_of short) || exit 1
api GET /api/stats
problem 401 no-key
api POST /api/shorten '{"url": "https://a.example/"}'
problem 401 no-key
goes list2 https://list.example/2
stop short

# ---- what was expected is said: how much, from where to where, and which ----
start short "$SDLAB" shortener --port 0 --threads 1 --bind 127.0.0.1 --data-dir data --code-method md5-hex
url=http://127.0.0.1:$(port_of short) || exit 1
says() { # TYPE BODY DETAIL
  api POST /api/shorten "$2"
  problem "$([ "$1" = bad-member ] && echo 400 || echo 422)" "$1"
  assert_contains "$OUT" "\"detail\": \"$3" "answer to $2"
}
says bad-member '{"url": "https://a.example/", "max_visits": 1.5}' 'max_visits: expected a whole number from 1 to 1000000000000000"'
says bad-member '{"url": "https://a.example/", "max_visits": "2"}' 'max_visits: expected a whole number from 1 to 1000000000000000"'
says bad-member '{"url": "https://a.example/", "status": 303}' 'status: expected 301, 302, 307 or 308"'
says bad-member "{\"url\": \"https://a.example/$(printf '%09000d' 0)\"}" 'url: expected 1 to 8192 bytes of text, found 9018"'
says bad-member '{"url": "https://a.example/\r"}' 'url: expected UTF-8 without control characters, found byte 0x0d"'
says bad-url '{"url": "javascript:alert(1)"}' 'url: expected a URL of http or https, found javascript:"'
says bad-alias '{"url": "https://a.example/", "alias": "Api"}' 'alias: expected a word that is not reserved, found Api"'
says bad-alias '{"url": "https://a.example/", "alias": "a b"}' 'alias: expected letters of ASCII, digits, - and _, found \"a b\"'
for query in 'order=up|order: expected newest, oldest, most-clicks, fewest-clicks, code, title or changed' 'per_page=0|per_page: expected a whole number from 1 to 200' \
  'page=x|page: expected a whole number from 1 to 1000000'; do
  api GET "/api/links?${query%%|*}"
  problem 400 bad-query
  assert_contains "$OUT" "\"detail\": \"${query#*|}\"" "$query"
done

# ---- codes of the URL's hash; totals at two servers ----
of_hash() { printf '%s' "$1" | md5sum | cut -c1-7; }
api POST /api/shorten '{"url": "https://hash.example/1"}'
expect 201 "\"short_url\": \"$url/$(of_hash https://hash.example/1)\""
api POST /api/shorten '{"url": "https://hash.example/1"}'
expect 200 "\"short_url\": \"$url/$(of_hash https://hash.example/1)\""
api GET /api/stats
links=$(sed -n 's/.*"urls": \([0-9]*\),.*/\1/p' "$TMP/body") clicks=$(sed -n 's/.*"clicks": \([0-9]*\).*/\1/p' "$TMP/body")
start other "$SDLAB" shortener --port 0 --threads 1 --bind 127.0.0.1 --data-dir other --db data/links.db
there=http://127.0.0.1:$(port_of other) || exit 1
has() { curl -sS "$1/api/stats" | tr -d ' \n' | grep -qx "{\"urls\":$2,\"clicks\":$3}"; }
wait_for 'the other to know them' has "$there" "$links" "$clicks"
api POST /api/shorten '{"url": "https://hash.example/2"}'
expect 201
curl -sS -o /dev/null -A 'Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0' "$there/$(of_hash https://hash.example/1)"
for server in "$url" "$there"; do wait_for "$server to have the totals of both" has "$server" $((links + 1)) $((clicks + 1)); done
api DELETE "/api/links/$(of_hash https://hash.example/1)"
expect 204
for server in "$url" "$there"; do wait_for "$server to keep its click" has "$server" "$links" $((clicks + 1)); done
stop short
stop other
