#!/bin/bash
# Two servers on one PostgreSQL, asked for the same URLs by many at once and in different orders: each URL gets one code. And all that the shortener
# keeps: the same tests that `make check` runs on SQLite.
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../postgres.sh"
sdlab_test "$@"
need curl curl
cd "$TMP" || exit 1

build=$(dirname "$SDLAB")
start_postgres pg fsync=off
urls=20 clients=2
serve() { start "$1" "$SDLAB" shortener --port 0 --bind 127.0.0.1 --threads 1 --data-dir "$TMP/$1" --db "${PG[pg]}" --create-limit none; }
serve one
serve two
one=http://127.0.0.1:$(port_of one) two=http://127.0.0.1:$(port_of two)
wait_line one 'Database connected'
wait_line two 'Database connected'
# requests SERVER COMMAND: a configuration of curl, in the order that COMMAND makes; many of them at once, on connections of their own.
requests() {
  local i
  for i in $("$2" "$urls"); do
    printf 'next\nsilent\nshow-error\nmax-time = 30\nurl = "%s/api/links"\ndata = "{\\"url\\": \\"https://example.com/%s\\", \\"find_if_exists\\": true}"\n' "$1" "$i"
  done | tail -n +2
}
up() { seq 1 "$1"; }
down() { seq "$1" -1 1; }
requests "$one" up >one.up && requests "$one" down >one.down && requests "$two" up >two.up && requests "$two" down >two.down
pids=()
for ((i = 0; i < clients; i++)); do
  for file in one.up one.down two.up two.down; do
    curl --parallel --parallel-max 10 -K "$file" >"$file.$i" 2>&1 &
    pids+=($!)
  done
done
for pid in "${pids[@]}"; do wait "$pid" || fail "a request for a link: $(cat ./*.up.* ./*.down.* | grep curl: | head -n 3)"; done
cat one.up.* one.down.* two.up.* two.down.* >answers
assert_eq "$((urls * clients * 4))" "$(grep -c '"code":' answers)" "links that were told of; else: $(grep '"detail"' answers | head -n 3)"
assert_eq "$urls" "$(grep '"code":' answers | sort -u | wc -l)" 'different codes'
for server in "$one" "$two"; do
  run curl -sS "$server/api/links?per_page=1"
  assert_contains "$OUT" "\"total\": $urls" 'links in the database'
done
stop one
stop two

for t in test_sql test_sh_store test_sh_apply; do
  [ -x "$build/unit/$t" ] || fail "$build/unit/$t is not there: make test-bins"
  SQL_TEST_URL=${PG[pg]} "$build/unit/$t" >"$TMP/$t.log" 2>&1 || fail "$t: $(grep -v '^Running' "$TMP/$t.log")"
done
