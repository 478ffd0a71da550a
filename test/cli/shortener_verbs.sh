#!/usr/bin/env bash
# The verbs of the shortener: what a person types instead of curl, and what is said when it cannot be done.
# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
sdlab_test "$@"
cd "$TMP" || exit 1

start short "$SDLAB" shortener --port 0 --threads 1 --bind 127.0.0.1 --data-dir data
url=http://127.0.0.1:$(port_of short) || exit 1
export SDLAB_SHORTENER_URL=$url

# does VERB ARGUMENT...: it works. fails STATUS MESSAGE VERB ARGUMENT...: it does not, and says this in one line.
does() {
  run "$SDLAB" shortener "$@"
  assert_eq 0 "$STATUS" "exit status of $*: $ERR"
}
fails() {
  local want=$1 message=$2
  shift 2
  run "$SDLAB" shortener "$@"
  assert_eq "$want" "$STATUS" "exit status of $*"
  assert_contains "$ERR" "$message" "$*"
  assert_lines 1 "$ERR" "what $* says"
  assert_eq '' "$OUT" "standard output of $*"
}

does shorten https://example.com/a --alias one --title 'The one' --tag x --tag y --expires 7d
assert_eq "$url/one" "$OUT" shorten
does shorten https://example.com/b --json
assert_match "$OUT" '"original_url":.*"https://example.com/b"' 'shorten --json'
does shorten https://example.com/a --alias one2 --expires 2060-01-01T00:00:00Z --max-visits 3 --status 302 --forward-query
does shorten https://example.com/b --find-if-exists
found=$OUT
does shorten https://example.com/b --find-if-exists
assert_eq "$found" "$OUT" 'find-if-exists'

does show "$url/one"
assert_match "$OUT" '^original_url +https://example.com/a$' show
assert_match "$OUT" '^tags +\["x","y"\]|^tags +\["y","x"\]' show
# a week from now, give or take the day that this may run into
expires=$(printf '%s\n' "$OUT" | sed -n 's/^expires_at *//p')
week=$(($(date -u +%s) + 7 * 86400))
[ "$(date -u -d "$expires" +%s)" -le "$week" ] || fail "it expires at $expires"
[ "$(date -u -d "$expires" +%s)" -gt $((week - 3600)) ] || fail "it expires at $expires"
does show one2
assert_match "$OUT" '^max_visits +3$' show
assert_match "$OUT" '^status +302$' show
assert_match "$OUT" '^expires_at +2060-01-01T00:00:00Z$' show

does list --tag x
assert_match "$OUT" '^one +0  https://example.com/a$' list
assert_lines 2 "$OUT" 'list --tag'
does list --per-page 1 --order oldest
assert_match "$OUT" '^page 1 of 3, 3 links$' 'a page of three'

does disable one one2
assert_contains "$OUT" "$url/one -> https://example.com/a (disabled)" disable
assert_lines 2 "$OUT" 'disable of two'
does list --search one2
assert_contains "$OUT" '(disabled)' list
run curl -s -o /dev/null -w '%{http_code}' "$url/one"
assert_eq 410 "$OUT" 'a link that is disabled'
does enable one
assert_eq "$url/one -> https://example.com/a" "$OUT" enable
does edit one --url https://example.com/new --expires none --tag ''
assert_eq "$url/one -> https://example.com/new" "$OUT" edit
run curl -s -o /dev/null -w '%{http_code} %{redirect_url}' "$url/one"
assert_eq '301 https://example.com/new' "$OUT" 'a link that was changed'
does show one
assert_match "$OUT" '^tags +\[\]$' 'no tags'
assert_lacks "$OUT" 'expires_at' 'no end'
does stats one
assert_match "$OUT" '^[0-9]+ clicks since 20' stats
does delete one2
assert_eq 'one2 is deleted' "$OUT" delete
fails 1 'No such link' show one2
fails 1 'No such link' delete one2

# ---- QR codes: the terminal's and the SVG's are the same code ----
does qr one
assert_contains "$OUT" "$url/one" 'qr'
assert_contains "$OUT" '█' 'half blocks'
does qr one --svg one.svg
assert_contains "$(cat one.svg)" '<svg xmlns=' 'qr --svg'
does qr one --svg -
assert_same one.svg run.out 'qr --svg -'

# ---- keys ----
key=$("$SDLAB" shortener key add me --data-dir data) || fail 'key add'
fails 1 'An API key is needed' shorten https://example.com/c
SDLAB_SHORTENER_KEY=$key does shorten https://example.com/c
printf '%s\n' "$key" >key
does list --api-key-file key
does key list --data-dir data
assert_match "$OUT" '^me  ' 'key list'
fails 1 'me' key add me --data-dir data
does key remove me --data-dir data
assert_eq 'The key me is removed' "$OUT" 'key remove'
fails 1 'no key me' key remove me --data-dir data
fails 2 'expected add, list or remove' key make me
fails 2 'expected a NAME' key add
fails 2 'db: expected a file of SQLite or postgres://' key list --db mysql://user:secret@host/x

# ---- what is wrong ----
fails 1 'The URL is refused' shorten javascript:alert
fails 1 'The alias is taken' shorten https://example.com/ --alias one
fails 1 'The alias is refused' shorten https://example.com/ --alias api
fails 2 'expected how long from now' shorten https://example.com/ --expires soon
fails 2 'expected something to change' edit one
fails 2 'expected a URL' list --server 'ftp://x'
fails 2 'https is not spoken' list --server https://127.0.0.1
fails 1 'cannot open' list --api-key-file nowhere
stop short
fails 1 "no shortener at ${url#http://}" list
