#!/usr/bin/env bash
# What the shortener needs is locked, full, read-only or away: redirects and reads go on, what writes is refused with a problem document and the time
# to come again, clicks wait, and all is well afterwards, without a restart.
# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
sdlab_test "$@"
need sqlite3 sqlite3
cd "$TMP" || exit 1

# begin NAME COMMAND...: a shortener with the data in its folder of this name; url and admin are where.
begin() {
  local name=$1
  shift
  start "$name" "$@" "$SDLAB" shortener --port 0 --threads 1 --bind 127.0.0.1 --admin 127.0.0.1:0 --data-dir "$name" --create-limit none
  url=http://127.0.0.1:$(port_of "$name") || exit 1
  admin=$(admin_of "$name") || exit 1
}
new() { run curl -sS -o body -D head -w '%{http_code}' -X POST "$url/api/links" -d "{\"url\": \"https://example.com/$1\", \"alias\": \"$1\"}"; }
is_made() { new "$1" && [ "$OUT" = 201 ]; }
follows() { # CODE [TIMES]
  local i
  for ((i = 0; i < ${2:-1}; i++)); do
    run curl -sS -o body -w '%{http_code} %{redirect_url}' "$url/$1"
    assert_eq "301 https://example.com/$1" "$OUT" "a redirect of $1"
  done
}
# refused STATUS TYPE: creating, changing and deleting, all at once; lists are read, links redirect.
refused() {
  local i pids=() what=('POST /api/links' 'PATCH /api/links/here' 'DELETE /api/links/here')
  for i in 0 1 2; do
    curl -sS -o "body.$i" -D "head.$i" -w '%{http_code} %{content_type}' -X "${what[i]% *}" "$url${what[i]#* }" \
      -d '{"url": "https://example.com/refused"}' >"status.$i" &
    pids+=($!)
  done
  follows here
  run curl -sS "$url/api/links"
  assert_contains "$OUT" '"total": ' 'a list meanwhile'
  for i in 0 1 2; do
    wait "${pids[i]}" || fail "curl ${what[i]}"
    assert_eq "$1 application/problem+json" "$(cat "status.$i")" "${what[i]}: $(cat "body.$i")"
    assert_contains "$(cat "body.$i")" "\"type\": \"/problems/$2\"" "${what[i]}"
    [ "$1" != 503 ] || assert_match "$(tr -d '\r' <"head.$i")" '^Retry-After: [0-9]+$' "the head of ${what[i]}"
  done
  follows here
}
clicks_are() { [ "$(curl -sS "$url/api/links/here" | sed -n 's/.*"clicks": \([0-9]*\).*/\1/p')" = "$1" ]; }
fill_in() { # and ends it
  new here && assert_eq 201 "$OUT" 'a link to look at'
  new fresh && assert_eq 201 "$OUT" 'one that is not at hand'
}

needs() { curl -sS "http://$admin/-/ready" | tr -d ' \t\n'; }
needs_say() { case $(needs) in *"$1"*) ;; *) return 1 ;; esac; }

# ---- locked by somebody else's long transaction ----
begin locked
fill_in
mkfifo to
start holder bash -c 'exec sqlite3 locked/links.db <to'
exec 9>to
printf '%s\n' '.timeout 5000' 'BEGIN IMMEDIATE;' "UPDATE links SET title = 'held';" '.print held' >&9
wait_line holder held
refused 503 database-busy
follows fresh
follows here 5
printf '%s\n' 'ROLLBACK;' '.quit' >&9
exec 9>&-
wait_exit holder
new after
assert_eq 201 "$OUT" 'a link after the lock'
wait_for 'the clicks to be counted' clicks_are 7
stop locked

# ---- read-only: the file, then the folder; root would not notice ----
as=()
[ "$(id -u)" -ne 0 ] || as=(setpriv --bounding-set '-dac_override,-dac_read_search' --inh-caps -all)
begin data
fill_in
stop data
said_twice() { [ "$(log_count data 'Database connected')" -ge 2 ]; }
read_only() { # NAME PATH...
  local name=$1
  shift
  chmod -R a-w "$@"
  begin data "${as[@]}"
  wait_line data 'Database is read-only: links redirect, none can be made or changed'
  follows here
  follows fresh
  refused 503 database-read-only
  assert_match "$(needs)" '"database":\{"up":true,"read_only":true\}' '/-/ready'
  assert_eq 1 "$(metric "$admin" sdlab_shortener_database_read_only)" 'the gauge'
  chmod -R u+w "$@"
  wait_for 'links to be made again' is_made "$name"
  follows "$name"
  wait_for '/-/ready to say so' needs_say '"database":{"up":true}'
  wait_for 'the log to say so' said_twice
  assert_eq 2 "$(log_count data 'Database connected')" 'how often it was said to be there'
}
read_only file data/links.db
stop data
# nothing can be written there, not the clicks either
read_only folder data
wait_line data 'Clicks are not recorded, redirects go on: '
wait_line data 'Clicks are recorded again'
stop data
# a database that cannot be brought up to date is refused in one line
sqlite3 data/links.db 'UPDATE sdlab_schema SET version = 1; DROP TABLE click_orphans;'
chmod 0444 data/links.db
run "${as[@]}" "$SDLAB" shortener --port 0 --data-dir data
assert_eq 1 "$STATUS" 'an old schema that cannot be changed'
assert_match "$OUT$ERR" 'Database cannot be used: data/links.db: read-only' 'an old schema that cannot be changed'
chmod 0644 data/links.db

# ---- the queue is away: clicks stay here, and go when it is there ----
port=$(free_port)
start spool "$SDLAB" shortener --port 0 --threads 1 --bind 127.0.0.1 --admin 127.0.0.1:0 --data-dir spool --events "amqp://127.0.0.1:$port"
url=http://127.0.0.1:$(port_of spool) && admin=$(admin_of spool) || exit 1
fill_in
follows here 20
wait_for '/-/ready to tell of the queue' needs_say '"queue":{"up":false,'
assert_eq 200 "$(curl -sS -o ready -w '%{http_code}' "http://$admin/-/ready")" '/-/ready while the queue is away'
start mq "$SDLAB" mq --port "$port" --bind 127.0.0.1 --http off --data-dir mq
start worker "$SDLAB" shortener worker --events "amqp://127.0.0.1:$port" --db spool/links.db
wait_for 'the clicks to be counted' clicks_are 20
follows here 3
wait_for 'those afterwards too' clicks_are 23
stop spool
stop worker
stop mq

# ---- a full disk ----
if ! unshare -rm true 2>/dev/null; then
  echo 'note: this system lets nobody mount: a full disk is not tried here'
  exit 0
fi
mkdir full
# shellcheck disable=SC2016 # for the other shell
begin full unshare -rm sh -c 'mount -t tmpfs -o size=24m none full && exec "$@"' sh
inside=/proc/${PID[full]}/root$TMP/full
fill_in
cat /dev/zero >"$inside/filler" 2>/dev/null
long=$(printf '%08000d' 0)
is_full() { # what was set aside before goes first
  run curl -sS -o body -w '%{http_code}' -X POST "$url/api/links" -d "{\"url\": \"https://example.com/$RANDOM$long\"}"
  [ "$OUT" = 507 ]
}
wait_for 'the disk to be full' is_full
assert_contains "$(cat body)" '"type": "/problems/database-full"' 'a full disk'
follows fresh
follows here 30 # the journal has its room already
rm "$inside/filler"
wait_for 'links to be made again' is_made again
wait_for 'the clicks to be counted' clicks_are 30
assert_eq 0 "$(metric "$admin" sdlab_shortener_clicks_lost_total)" 'clicks that were lost'
stop full
