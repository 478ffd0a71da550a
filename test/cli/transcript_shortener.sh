#!/usr/bin/env bash
# What a person types who builds a URL shortener, and sees: both lessons about one, as they stand there.
# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
sdlab_test "$@"
need python3 python3
cd "$TMP" || exit 1

run "$SDLAB" install -s farm
assert_eq 0 "$STATUS" 'exit status of sdlab install'
start short farm/urlshortener --db links.db --data-dir data --port 0 --threads 1
port=$(port_of short) || exit 1
url=http://localhost:$port

# ---- start the service ----
assert_eq '[URL] Database connected, 0 links stored' "$(sed -n 1p short.log)" 'the first line'
assert_eq "[URL] Listening on :$port" "$(sed -n 2p short.log)" 'the second line'

# ---- create a short URL: three members, in this order, and nothing but them ----
run curl -sS -X POST "$url/api/shorten" -d '{"url": "https://example.com/very/long/path?with=params"}'
short=$(printf '%s\n' "$OUT" | sed -n 's/^  "short_url": "\(.*\)",$/\1/p')
assert_match "$short" "^$url/[0-9A-Za-z]{7}\$" 'a short URL of seven characters'
assert_eq "{
  \"short_url\": \"$short\",
  \"original_url\": \"https://example.com/very/long/path?with=params\",
  \"expires_at\": null
}" "$OUT" 'the answer'
code=${short##*/}

# ---- use it: 301, and the place in the line behind it ----
run curl -sSI "$short"
assert_eq 'HTTP/1.1 301 Moved Permanently' "$(printf '%s' "$OUT" | sed -n '1s/\r//p')" 'the first line of the redirect'
assert_eq 'Location: https://example.com/very/long/path?with=params' "$(printf '%s' "$OUT" | sed -n '2s/\r//p')" 'its second line'
# A permanent redirect that a browser may keep would hide every click but the first.
assert_match "$OUT" '^Cache-Control: no-store' 'what caches are told'

# ---- check analytics: four members first ----
counted() { curl -sS "$url/api/stats/$code" | grep -q "\"clicks\": $1,"; }
for ref in https://google.com/search https://google.com/ https://twitter.com/x; do
  run curl -sS -o /dev/null -A 'Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0' -e "$ref" "$short"
done
wait_for 'four redirects to be counted' counted 4
run curl -sS "$url/api/stats/$code"
today=$(date -u +%Y-%m-%d)
assert_eq '  "clicks": 4,' "$(printf '%s\n' "$OUT" | sed -n 2p)" 'statistics, 1'
assert_match "$(printf '%s\n' "$OUT" | sed -n 3p)" '^  "created_at": "20[0-9]{2}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z",$' 'statistics, 2'
assert_eq '  "top_referrers": ["google.com", "twitter.com"],' "$(printf '%s\n' "$OUT" | sed -n 4p)" 'statistics, 3'
assert_match "$(printf '%s\n' "$OUT" | sed -n 5p)" "^  \"clicks_by_day\": \\{\"(20[0-9-]{8}\": [0-9]+, \")?$today\": [0-9]+\\},\$" 'statistics, 4'

# ---- the other lesson: POST to the root, and a redirect to follow ----
run curl -s -X POST "http://127.0.0.1:$port" -H 'Content-Type: application/json' -d '{"url": "https://en.wikipedia.org/wiki/Systems_design"}'
printf '%s' "$OUT" | python3 -m json.tool >pretty || fail "not JSON: $OUT"
assert_contains "$(cat pretty)" "\"short_url\": \"http://127.0.0.1:$port/" 'as python prints it'
code=$(curl -s -X POST "http://127.0.0.1:$port" -H 'Content-Type: application/json' -d '{"url": "https://example.com"}' |
  python3 -c "import sys,json; print(json.load(sys.stdin)['short_url'].split('/')[-1])")
run curl -v "http://127.0.0.1:$port/$code"
assert_match "$ERR" 'Location: https://example.com/?.?$' 'where it leads'
run curl -s "http://127.0.0.1:$port/stats"
assert_eq 3 "$(printf '%s' "$OUT" | python3 -c "import sys,json; print(json.load(sys.stdin)['urls'])")" 'links in /stats'
run curl -s "http://127.0.0.1:$port/stats/$code"
assert_contains "$OUT" '"clicks_by_day"' '/stats/CODE'
run curl -s -o /dev/null -w '%{http_code}' "http://127.0.0.1:$port/nothing"
assert_eq 404 "$OUT" 'a code that is none'
stop short
