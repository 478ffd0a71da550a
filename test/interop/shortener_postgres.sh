#!/bin/bash
# What the shortener keeps, on Debian's PostgreSQL: the same tests that `make check` runs on SQLite.
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../postgres.sh"
sdlab_test "$@"

build=$(dirname "$SDLAB")
start_postgres pg fsync=off
for t in test_sql test_sh_store; do
  [ -x "$build/unit/$t" ] || fail "$build/unit/$t is not there: make test-bins"
  SQL_TEST_URL=${PG[pg]} "$build/unit/$t" >"$TMP/$t.log" 2>&1 || fail "$t: $(grep -v '^Running' "$TMP/$t.log")"
done
