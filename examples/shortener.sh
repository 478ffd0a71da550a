#!/bin/sh
# A URL shortener: links made, followed, counted and ended. Run it with the binary as argument, or with sdlab in the PATH.
set -eu
sdlab=${1:-sdlab}
dir=$(mktemp -d)
: >"$dir/log" # it is read before the server may have begun
"$sdlab" shortener --port 0 --threads 1 --bind 127.0.0.1 --data-dir "$dir" >"$dir/log" 2>&1 &
server=$!
trap 'kill "$server" 2>/dev/null; wait "$server" 2>/dev/null; rm -rf "$dir"' EXIT
until grep -q 'Listening on' "$dir/log"; do
  kill -0 "$server" || { cat "$dir/log"; exit 1; }
  sleep 0.05
done
SDLAB_SHORTENER_URL=http://127.0.0.1:$(sed -n 's/.*Listening on .*:\([0-9]*\).*/\1/p' "$dir/log")
export SDLAB_SHORTENER_URL

echo '# a link with a code of its own, for a week'
"$sdlab" shortener shorten https://example.com/very/long/path --alias sale --expires 7d --tag spring
echo '# where it leads'
curl -sI "$SDLAB_SHORTENER_URL/sale" | head -n 2
echo '# somebody takes the same code'
"$sdlab" shortener shorten https://example.org/ --alias sale || :
echo '# all there are'
"$sdlab" shortener shorten https://example.org/other >"$dir/short"
"$sdlab" shortener list
echo '# it leads elsewhere from now on'
"$sdlab" shortener edit sale --url https://example.com/new
echo '# and then nowhere'
"$sdlab" shortener disable sale
curl -s "$SDLAB_SHORTENER_URL/sale"
