#!/usr/bin/env bash
# curl asks lb for files: ranges, conditions, compressed answers, and every way out of the folder that is known. Then the
# same of nginx where it is installed, so that the script itself is known to be fair.

# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=../peers.sh
. "$(dirname "$0")/../peers.sh"
sdlab_test "$@"
need curl curl
cd "$TMP" || exit 1

ask() { curl -sS --max-time 20 "$@"; }
code() { ask -o /dev/null -w '%{http_code}' "$@"; }
head_of() { ask -o /dev/null -D - "$@" | tr -d '\r'; }

mkdir -p www/docs www/.git www/.well-known
head -c 3000000 /dev/urandom >www/big.bin
for i in 1 2 3 4 5 6 7 8 9; do printf 'line %s of a text that becomes smaller\n%.0s' "$i" {1..200}; done >www/long.txt
printf '0123456789' >www/ten.txt
printf '<p>index' >www/docs/index.html
printf 'secret' >secret.txt
printf 'secret' >www/.git/config
printf 'known' >www/.well-known/x
ln -s "$TMP/secret.txt" www/out.txt
ln -s .. www/up
ln -s ten.txt www/in.txt

# check WHO PORT: all that must hold for whatever serves www there.
check() {
  who=$1 url=http://127.0.0.1:$2

  for f in big.bin long.txt ten.txt; do
    ask -o got "$url/$f" || fail "GET $f from $who"
    assert_same "www/$f" got "GET $f from $who"
  done
  assert_eq '<p>index' "$(ask "$url/docs/")" "the index of a folder from $who"
  assert_eq '<p>index' "$(ask -L "$url/docs")" "a folder without its slash from $who"
  assert_match "$(head_of "$url/docs")" '^Location: (http://[^/]*)?/docs/$' "where the folder is, says $who"
  assert_match "$(head_of -I "$url/ten.txt")" '^Content-Length: 10$' "HEAD from $who"
  assert_match "$(head_of "$url/ten.txt")" '^Content-Type: text/plain' "the type of a text from $who"
  assert_eq 405 "$(code -X DELETE "$url/ten.txt")" "DELETE at $who"
  assert_eq 404 "$(code "$url/nowhere")" "what is not there, at $who"

  # Ranges: one, the end, several, none of it; and what was begun goes on.
  assert_eq 234 "$(ask -r 2-4 "$url/ten.txt")" "bytes 2 to 4 from $who"
  assert_eq 789 "$(ask -r -3 "$url/ten.txt")" "the last three bytes from $who"
  assert_match "$(head_of -r 5- "$url/ten.txt")" '^Content-Range: bytes 5-9/10$' "Content-Range from $who"
  parts=$(ask -r 0-1,5-6 "$url/ten.txt" | tr -d '\r')
  assert_contains "$parts" $'Content-Range: bytes 0-1/10\n\n01' "the first of two parts from $who"
  assert_contains "$parts" $'Content-Range: bytes 5-6/10\n\n56' "the second of two parts from $who"
  assert_eq 416 "$(code -r 10- "$url/ten.txt")" "bytes beyond the end from $who"
  head -c 1000000 www/big.bin >got
  ask -C - -o got "$url/big.bin" || fail "going on with a download from $who"
  assert_same www/big.bin got "a download that was resumed from $who"

  # What a client has already.
  etag=$(head_of "$url/ten.txt" | sed -n 's/^ETag: //p')
  date=$(head_of "$url/ten.txt" | sed -n 's/^Last-Modified: //p')
  assert_eq 304 "$(code -H "If-None-Match: $etag" "$url/ten.txt")" "the tag that $who gave"
  assert_eq 304 "$(code -H "If-None-Match: \"x\", W/$etag" "$url/ten.txt")" "the same among others, weak, at $who"
  assert_eq 200 "$(code -H 'If-None-Match: "x"' "$url/ten.txt")" "another tag at $who"
  assert_eq 304 "$(code -H "If-Modified-Since: $date" "$url/ten.txt")" "the date that $who gave"
  assert_eq 412 "$(code -H 'If-Match: "x"' "$url/ten.txt")" "If-Match at $who"
  assert_eq 206 "$(code -r 0-1 -H "If-Range: $etag" "$url/ten.txt")" "a part of what did not change, from $who"
  assert_eq 200 "$(code -r 0-1 -H 'If-Range: "x"' "$url/ten.txt")" "no part of what changed, from $who"

  # Compressed on the way: smaller, the same in the end, and caches are told.
  ask --compressed -o got "$url/long.txt" || fail "--compressed from $who"
  assert_same www/long.txt got "--compressed from $who"
  assert_eq 1 "$(($(ask -H 'Accept-Encoding: gzip' -o zipped -w '%{size_download}' "$url/long.txt") < 3000))" "is it smaller, from $who"
  gzip -dc <zipped >got || fail "what $who sent is no gzip"
  assert_same www/long.txt got "gzip from $who"
  assert_match "$(head_of -H 'Accept-Encoding: gzip' "$url/long.txt")" '^Vary: Accept-Encoding$' "Vary from $who"
  assert_match "$(head_of -H 'Accept-Encoding: gzip' "$url/long.txt")" '^ETag: W/' "the tag of what is compressed from $who"
  for refused in 'gzip;q=0' identity; do
    assert_lacks "$(head_of -H "Accept-Encoding: $refused" "$url/long.txt")" 'Content-Encoding' "$refused at $who"
  done
  assert_lacks "$(head_of --compressed "$url/ten.txt")" 'Content-Encoding' "ten bytes from $who"
  assert_lacks "$(head_of --compressed "$url/big.bin")" 'Content-Encoding' "noise from $who"

  # No way out.
  for path in /../secret.txt /docs/../../secret.txt /%2e%2e/secret.txt /docs/%2e%2e/%2e%2e/secret.txt /..%2fsecret.txt \
    /docs/..%2f..%2fsecret.txt '/..\secret.txt' /..%5csecret.txt /%2e%2e%2fsecret.txt /.%2e/secret.txt /out.txt /up/secret.txt \
    /.git/config /%2egit/config /docs/../.git/config /ten.txt%00.html //etc/passwd; do
    ask --path-as-is -o got -w '%{http_code}' "$url$path" >status || fail "GET $path from $who"
    assert_match "$(cat status)" '^(400|403|404)$' "GET $path from $who"
    assert_lacks "$(cat got)" secret "GET $path from $who"
  done
  assert_eq known "$(ask "$url/.well-known/x")" "what is known from $who"
  assert_eq 0123456789 "$(ask "$url/in.txt")" "a link that stays inside from $who"
  assert_eq 0123456789 "$(ask --path-as-is "$url/docs/../%74en.txt")" "a path in another form from $who"
}

start_backend a A
cat >lb.yaml <<END
port: 0
admin: 127.0.0.1:0
backends: [{name: a, address: 127.0.0.1:$PORT}]
routes:
  - {path: /, files: $TMP/www, compress: true, answer-headers: {add: ['X-Own: kept']}}
  - {path: /static, files: $TMP/www, precompressed: true, index: ''}
  - {path: /api, rewrite: /, compress: true}
END
start_lb lb --config lb.yaml
check lb "$PORT"

# What only lb has: zstd, fields of a route, several folders, answers of a backend, a log.
assert_match "$(head_of -H 'Accept-Encoding: zstd' "$url/long.txt")" '^Content-Encoding: zstd$' 'zstd from lb'
for path in /ten.txt /nowhere; do
  assert_match "$(head_of "$url$path")" '^X-Own: kept$' "the field of the route with $path"
done
assert_eq 0123456789 "$(ask "$url/static/ten.txt")" 'a file below the path of the rule'
assert_eq 404 "$(code "$url/static/docs/")" 'a folder without an index'
assert_match "$(head_of "$url/static/docs?x=1")" '^Location: /static/docs/\?x=1$' 'a folder below the path of the rule'
gzip -kc www/long.txt >www/long.txt.gz
ask -H 'Accept-Encoding: gzip' -o zipped "$url/static/long.txt" || fail 'precompressed'
assert_same www/long.txt.gz zipped 'what was compressed beforehand'
ask --compressed -H 'Content-Type: text/plain' --data-binary @www/long.txt -D head.txt -o got "$url/api/echo" || fail 'echo'
assert_same www/long.txt got 'an answer of the backend, compressed by lb'
assert_match "$(tr -d '\r' <head.txt)" '^Content-Encoding: zstd$' 'an answer of the backend'
assert_lacks "$(head_of --compressed "$url/api/bytes/64KiB")" 'Content-Encoding' 'bytes of a backend'
run "$SDLAB" lb explain /ten.txt --server "127.0.0.1:$(admin_of lb | sed 's/.*://')"
assert_eq "route /: files below $TMP/www" "$OUT" 'what explain says'
stop lb

run "$SDLAB" lb --backend 127.0.0.1:1 --route 'path=/,files=/nowhere' --port 0 --admin 127.0.0.1:0
assert_eq 1 "$STATUS" 'exit status for a folder that is not there'
assert_match "$ERR" 'files: cannot open folder /nowhere: No such file or directory' 'the reason'
for bad in 'files=/tmp,pool=x' 'files=/tmp,rewrite=/x' 'index=x' 'files=/tmp,index=a/b' 'files=/tmp,status=404'; do
  run "$SDLAB" lb --backend 127.0.0.1:1 --route "path=/,$bad" --check-config
  assert_eq 1 "$STATUS" "exit status for --route path=/,$bad"
  assert_lines 1 "$ERR" "what is said of --route path=/,$bad"
done

if baseline nginx-light nginx; then
  start_nginx nginx files "$TMP/www"
  check nginx "$PORT"
fi
