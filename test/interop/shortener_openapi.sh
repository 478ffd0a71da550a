#!/usr/bin/env bash
# /openapi.json is true: requests made out of it, good and bad, are answered as it says. And its QR codes can be read.
# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
sdlab_test "$@"
modules=$(realpath -m "${NPM_MODULES:-$ROOT/build/npm/node_modules}")
need "npm's ajv" node
[ -e "$modules/ajv/package.json" ] || skip "npm's ajv"
[ -e "$modules/jsqr/package.json" ] || skip "npm's jsqr"

start short "$SDLAB" shortener --port 0 --bind 127.0.0.1 --threads 1 --data-dir "$TMP/data" --create-limit none
url=http://127.0.0.1:$(port_of short) || exit 1
run curl -sS -X POST "$url/api/links" -d '{"url": "https://example.com/", "alias": "here"}'
assert_contains "$OUT" '"code": "here"' 'a link to ask for'

run env NPM_MODULES="$modules" node "$ROOT/test/interop/shortener_openapi.js" "$url" here
[ "$STATUS" -eq 0 ] || fail "$OUT $ERR"
# It asked: a document without operations would be true as well.
assert_match "$OUT" '^(2[3-9]|[3-9][0-9]) operations, [2-9][0-9][0-9] requests, 0 complaints$' 'what was asked'
echo "$OUT"
start guarded "$SDLAB" shortener --port 0 --bind 127.0.0.1 --threads 1 --data-dir "$TMP/guarded" --dashboard-password 'open sesame'
run env NPM_MODULES="$modules" node "$ROOT/test/interop/shortener_openapi.js" "http://127.0.0.1:$(port_of guarded)" here 'open sesame'
[ "$STATUS" -eq 0 ] || fail "$OUT $ERR"
assert_match "$OUT" '^[12][0-9] requests, 0 complaints$' 'what was asked of the dashboard'

run "$SDLAB" shortener shorten https://example.com/ --alias to-be-read --server "$url"
run "$SDLAB" shortener qr to-be-read --invert --server "$url"
printf '%s\n' "$OUT" >"$TMP/terminal"
run env NPM_MODULES="$modules" node "$ROOT/test/interop/shortener_qr.js" "$url" to-be-read "$TMP/terminal"
assert_eq '7 QR codes read' "$OUT" "what a reader makes of them $ERR"
stop short
