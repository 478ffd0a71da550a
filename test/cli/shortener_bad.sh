#!/usr/bin/env bash
# What people and programs send that cannot be, and what the shortener says to each: never a crash, never a link.
# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
sdlab_test "$@"
need sqlite3 sqlite3
cd "$TMP" || exit 1

start short "$SDLAB" shortener --port 0 --threads 1 --bind 127.0.0.1 --data-dir data --create-limit none
url=http://127.0.0.1:$(port_of short) || exit 1

# refused STATUS TYPE WHAT CURL-OPTION...: WHAT names the member or says more; "" for nothing.
refused() {
  local want=$1 type=$2 part=$3
  shift 3
  run curl -sS -g -o "$TMP/body" -w '%{http_code} %{content_type}' "$@"
  assert_eq "$want application/problem+json" "$OUT" "status and type of $*"
  OUT=$(cat "$TMP/body")
  assert_contains "$OUT" "\"type\": \"/problems/$type\"" "$*"
  assert_contains "$OUT" "$part" "$*"
}
# body STATUS TYPE MEMBER TEXT: in all ways to make a link.
body() {
  local path
  for path in /api/shorten / /api/links; do
    refused "$1" "$2" "${3:+\"member\": \"$3\"}" -X POST "$url$path" --data-binary "$4"
  done
}

# ---- not JSON, or not an object ----
for text in '' ' ' 'url=https://a.example' '{' '{"url": "https://a.example/"' '[]' '"https://a.example/"' 'null' '17' '{"url": "https://a.example/"}{}' \
  "{'url': 'https://a.example/'}" '{"url": "https://a.example/\u0000.evil.example/"}'; do
  body 400 not-json '' "$text"
done
printf '{"url": "https://a.example/\0"}' >zero
body 400 not-json '' @zero
printf '{"url": "https://a.example/\xff"}' >latin
body 400 bad-member url @latin
awk 'BEGIN { for (i = 0; i < 30000; i++) printf "["; }' >deep
body 400 not-json '' @deep

# ---- no URL, or none that anybody may be sent to ----
body 400 no-url url '{}'
body 400 no-url url '{"alias": "x"}'
for text in null 17 '[]' '{}' true '""'; do body 400 bad-member url "{\"url\": $text}"; done
for text in 'javascript:alert(1)' 'JaVaScRiPt://x/%0aalert(1)' 'data:text/html,x' 'file:///etc/passwd' 'ftp://a.example/' 'example.com' '/path' \
  'https://' 'https://user:secret@a.example/' 'https://a b.example/' 'https://a.example:99999/' 'http://[::1/' "$url/x" "${url/127.0.0.1/LOCALHOST}/x" \
  "${url/127.0.0.1/localhost}/x" "${url/127.0.0.1/[::1]}/x" "${url/127.0.0.1/[::ffff:127.0.0.1]}/x"; do
  case $text in
  *LOCALHOST*) refused 422 bad-url '"member": "url"' -X POST "${url/127.0.0.1/localhost}/api/shorten" --data-binary "{\"url\": \"$text\"}" ;;
  *) body 422 bad-url url "{\"url\": \"$text\"}" ;;
  esac
done
body 400 bad-member url '{"url": "https://a.example/\nx"}'
# secrets are not repeated
assert_lacks "$OUT" secret 'an answer'

# ---- too much ----
awk 'BEGIN { printf "{\"url\": \"https://a.example/"; for (i = 0; i < 65536; i++) printf "a"; printf "\"}" }' >long
body 413 too-large '' @long
for path in /api/shorten /; do
  refused 413 too-large '' -X POST "$url$path" -H 'Transfer-Encoding: chunked' --data-binary @long
done
awk 'BEGIN { printf "{\"url\": \"https://a.example/"; for (i = 0; i < 8192; i++) printf "a"; printf "\"}" }' >longer
body 400 bad-member url @longer
awk 'BEGIN { printf "{\"url\": \"https://a.example/\", \"tags\": ["; for (i = 0; i < 33; i++) printf "\"%d\",", i; printf "\"x\"]}" }' >tags
body 400 bad-member tags @tags
# what breaks a rule of HTTP is told as all else is
broken() { # STATUS TYPE PART CURL-OPTION...
  local want="$1 $2" part=$3
  shift 3
  run curl -sS -g -o "$TMP/body" -w '%{http_code} %{content_type}' "$@"
  assert_eq "$want" "$OUT" "status and type of $want"
  OUT=$(cat "$TMP/body")
  assert_contains "$OUT" "$part" "$want"
}
long=$url/$(printf '%09000d' 0)
broken 414 application/problem+json '"title": "URI Too Long"' "$long"
broken 414 'text/html; charset=utf-8' '<h1>URI Too Long</h1>' -H 'aCCept: text/html, */*;q=0.1' "$long"
broken 414 application/problem+json '"status": 414' -H 'X-Accept: text/html' "$long"
broken 431 application/problem+json '"title": "Request Header Fields Too Large"' -H "X-Long: $(printf '%020000d' 0)" "$url/x"
broken 400 application/problem+json '"type": "about:blank"' -H 'Host: a b' "$url/x"

# ---- aliases ----
run curl -sS -o /dev/null -w '%{http_code}' -X POST "$url/api/shorten" -d '{"url": "https://a.example/", "alias": "taken"}'
assert_eq 201 "$OUT" 'an alias'
body 409 alias-taken alias '{"url": "https://b.example/", "alias": "taken"}'
for word in api dashboard stats API Stats - favicon; do body 422 bad-alias alias "{\"url\": \"https://a.example/\", \"alias\": \"$word\"}"; done
for word in 'a b' 'a/b' 'ä' 'a.b' '../x' 'a%20b' '?'; do body 422 bad-alias alias "{\"url\": \"https://a.example/\", \"alias\": \"$word\"}"; done
body 400 bad-member alias "{\"url\": \"https://a.example/\", \"alias\": \"$(printf '%065d' 0)\"}"

# ---- other members ----
while read -r member text; do
  body 400 bad-member "$member" "{\"url\": \"https://a.example/\", \"$member\": $text}"
done <<'END'
expires_at "tomorrow"
expires_at "2001-01-01T00:00:00Z"
expires_at 17
expires_at "2060-02-30T00:00:00Z"
valid_from "2060-13-01T00:00:00Z"
max_visits 0
max_visits -1
max_visits 1.5
max_visits 1e300
max_visits "3"
status 200
status 303
status "301"
tags "x"
tags [1]
tags [""]
tags null
title 17
title "a\u0007b"
forward_query "yes"
enabled null
find_if_exists 1
nonsense 1
code "x"
END
body 400 bad-member url '{"url": "https://a.example/", "url": "https://b.example/"}'
body 400 bad-member expires_at '{"url": "https://a.example/", "valid_from": "2060-01-01T00:00:00Z", "expires_at": "2059-01-01T00:00:00Z"}'
refused 400 bad-member '"member": "status"' -X PATCH "$url/api/links/taken" -d '{"status": 303, "title": "X"}'
refused 422 bad-url '' -X PATCH "$url/api/links/taken" -d '{"url": "javascript:x", "title": "X"}'
refused 400 bad-member '"member": "alias"' -X PATCH "$url/api/links/taken" -d '{"alias": "other"}'

# ---- queries, paths, methods ----
for query in 'page=0' 'page=x' 'page=' 'per_page=201' 'per_page=1e1' 'order=clicks' 'pages=1' 'page' 'page=99999999999999999999' 'search=%ff' 'search=a%00b'; do
  refused 400 bad-query '' "$url/api/links?$query"
done
for query in 'from=yesterday' 'from=2026-02-30' 'to=2026-1-1' 'to=2026-01-01T00:00:00Z'; do
  refused 400 bad-query '' "$url/api/stats/taken?$query"
done
refused 400 bad-query 'from: expected a day that is not after to, 2026-01-31, found 2026-02-01' "$url/api/stats/taken?from=2026-02-01&to=2026-01-31"
run curl -sS -o /dev/null -w '%{http_code}' "$url/api/stats/taken?from=2026-01-31&to=2026-01-31"
assert_eq 200 "$OUT" 'statistics of one day'
refused 404 unknown-path '' "$url/api/nothing"
refused 404 unknown-path '' "$url/api/links/a/b"
refused 404 unknown-path '' "$url/api/links/$(printf '%0100d' 0)"
refused 404 unknown-code '' "$url/api/links/nothing"
refused 404 unknown-code '' "$url/api/stats/nothing"
refused 404 unknown-code '' -X PATCH "$url/api/links/nothing" -d '{"title": "x"}'
refused 405 bad-method '' -X PUT "$url/api/links/taken" -d '{}'
refused 405 bad-method '' -X DELETE "$url/api/shorten"

# ---- nothing of all that made a link, or changed the one that is there ----
run curl -sS "$url/api/links"
assert_contains "$OUT" '"total": 1' 'links afterwards'
assert_contains "$OUT" '"title": null' 'the link afterwards'
assert_contains "$OUT" '"original_url": "https://a.example/"' 'the link afterwards'
stop short

# ---- a database that cannot be reached, and one that is none ----
if ldconfig -p 2>/dev/null | grep -q 'libpq\.so\.5'; then
  start away "$SDLAB" shortener --port 0 --threads 1 --bind 127.0.0.1 --admin 127.0.0.1:0 --data-dir away --db "postgres://user:secret@127.0.0.1:$(free_port)/urls"
  url=http://127.0.0.1:$(port_of away) || exit 1
  wait_line away 'Database away: '
  refused 503 database-away '' -X POST "$url/api/shorten" -d '{"url": "https://a.example/"}'
  refused 503 database-away '' "$url/api/links"
  refused 503 database-away '' "$url/abc1234"
  run curl -sS -o "$TMP/ready" -w '%{http_code}' "http://$(admin_of away)/-/ready"
  assert_eq 503 "$OUT" '/-/ready before the database was reached'
  assert_match "$(tr -d ' \t\n' <"$TMP/ready")" '"database":\{"up":false,"why":"' '/-/ready'
  assert_lacks "$(cat away.log ready)" secret 'what is said of it'
  stop away
fi
# Until it is known how the database is, nobody is answered: it could only be that a link is not known now. One that listens and says nothing.
if ldconfig -p 2>/dev/null | grep -q 'libpq\.so\.5'; then
  cat >"$TMP/mute.py" <<'PY'
import socket
door = socket.create_server(("127.0.0.1", 0))
print("Listening on :%d" % door.getsockname()[1], flush=True)
asked = [door.accept()[0]]
print("asked", flush=True)
open("mute.end").read()  # a fifo
PY
  mkfifo "$TMP/mute.end"
  start mute python3 "$TMP/mute.py"
  url=http://127.0.0.1:$(free_port)
  start early "$SDLAB" shortener --port "${url##*:}" --bind 127.0.0.1 --threads 2 --admin 127.0.0.1:0 --data-dir early \
    --db "postgres://user:secret@127.0.0.1:$(port_of mute)/urls"
  wait_line mute asked
  wait_port early "${url##*:}"
  run curl -sS --max-time 0.5 "$url/abc1234"
  assert_eq 28 "$STATUS" "a request before it is known how the database is: $OUT"
  echo >"$TMP/mute.end"
  wait_exit mute
  refused 503 database-away '' "$url/abc1234"
  stop early
fi

mkdir none && printf 'this is not a database, whatever its name says %s\n' "$(seq 200)" >none/links.db
run "$SDLAB" shortener --port 0 --data-dir none
assert_eq 1 "$STATUS" 'a file that is no database'
assert_contains "$ERR" 'links.db' 'a file that is no database'

# One of a newer program: both roles end, and their status says that they failed.
cp -r data newer
sqlite3 newer/links.db 'UPDATE sdlab_schema SET version = 99' || fail 'sqlite3'
for role in server worker; do
  options=(--port 0)
  [ "$role" = server ] || options=(--role worker --events "amqp://127.0.0.1:$(free_port)")
  run "$SDLAB" shortener --data-dir newer "${options[@]}"
  assert_eq 1 "$STATUS" "a $role on the database of a newer program"
  assert_contains "$ERR$OUT" 'Database cannot be used: newer/links.db has version 99' "a $role on the database of a newer program"
done

# ---- options ----
bad_option() { # MESSAGE OPTION...
  local message=$1
  shift
  run "$SDLAB" shortener --port 0 --data-dir data "$@"
  assert_eq 2 "$STATUS" "exit status of $*"
  assert_lines 1 "$ERR" "what is said of $*"
  assert_contains "$ERR" "$message" "$*"
}
bad_option 'create-limit: expected COUNT/TIME' --create-limit often
bad_option 'create-limit: expected COUNT/TIME' --create-limit 5
bad_option 'base-url: expected a URL' --base-url s.example.com
bad_option 'trusted-proxies: expected an address or network' --trusted-proxies somewhere
bad_option 'db: expected a file of SQLite or postgres://[USER:PASSWORD@]HOST[:PORT]/NAME, found mysql://' --db mysql://user:secret@host/urls
assert_lacks "$ERR" secret 'what is said of a database'
bad_option '--events: expected amqp://' --events redis://user:secret@host
assert_lacks "$ERR" secret 'what is said of a queue'
bad_option '--events: expected' --events amqp://user:secret@host:99999/
assert_lacks "$ERR" secret 'what is said of a queue'
bad_option 'click-queue: expected a name' --click-queue ''
run "$SDLAB" shortener --role worker --data-dir data
assert_eq 2 "$STATUS" 'exit status of a worker without a queue'
assert_contains "$ERR" 'role: a worker needs events' 'a worker without a queue'
run "$SDLAB" shortener --port 0 --data-dir data --geo nowhere.mmdb
assert_eq 1 "$STATUS" 'exit status without the file of countries'
assert_contains "$ERR" '--geo: cannot open nowhere.mmdb' 'no file of countries'
bad_option 'redirect-status' --redirect-status 303
echo 'open sesame' >password
for check in '' --check-config; do
  bad_option 'dashboard-password: expected it or dashboard-password-file, found both' --dashboard-password x --dashboard-password-file password $check
  bad_option 'dashboard-password: expected a password, found an empty one' --dashboard-password '' $check
done
