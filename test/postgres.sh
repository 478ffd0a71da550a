# shellcheck shell=bash
# Debian's PostgreSQL for tests and measurements. Sourced after lib.sh.

# start_postgres NAME [OPTION=VALUE...]: a server of its own on a free port of loopback, data in TMP, as no service of the system; PG[NAME] is the
# URL of its database `links`, with a user and a password, PID[NAME] the process. It refuses to run as root, so that then it is user postgres.
declare -A PG=()

# Sets `as` of the caller to what runs a command as user postgres, also where only root may use /dev/null.
as_postgres() {
  as=(setpriv --reuid=postgres --regid=postgres --clear-groups)
  [ "$(stat -c %a /dev/null)" = 666 ] || as+=(--inh-caps=+dac_override --ambient-caps=+dac_override)
}

start_postgres() {
  local name=$1 dir=$TMP/$1 bin port as=() set=() o
  shift
  bin=$(find /usr/lib/postgresql -maxdepth 2 -name bin 2>/dev/null | sort -V | tail -n 1)
  [ -x "$bin/initdb" ] || skip postgresql-15
  port=$(free_port)
  mkdir -p "$dir"
  if [ "$(id -u)" -eq 0 ]; then
    as_postgres
    chown postgres "$dir"
    chmod 755 "$TMP"
  fi
  for o; do set+=(-c "$o"); done
  printf 'secret\n' >"$dir.password"
  chmod 644 "$dir.password"
  (cd "$dir" && "${as[@]}" "$bin/initdb" -D "$dir/db" -A scram-sha-256 -U tester --pwfile="$dir.password" --no-sync -E UTF8 \
    --locale=C.UTF-8) >"$TMP/$name.initdb.log" 2>&1 || fail "initdb: $(tail -n 3 "$TMP/$name.initdb.log")"
  PG[$name]=postgres://tester:secret@127.0.0.1:$port/links
  PG[$name.port]=$port
  restart_postgres "$name" "$@"
  PGPASSWORD=secret "$bin/psql" -q -h 127.0.0.1 -p "$port" -U tester -d postgres -c 'CREATE DATABASE links' ||
    fail 'psql could not make a database'
}

# restart_postgres NAME [OPTION=VALUE...]: again, after it was stopped, with what its folder has.
restart_postgres() {
  local name=$1 dir=$TMP/$1 bin port=${PG[$1.port]} as=() set=() o
  shift
  bin=$(find /usr/lib/postgresql -maxdepth 2 -name bin | sort -V | tail -n 1)
  [ "$(id -u)" -ne 0 ] || as_postgres
  for o; do set+=(-c "$o"); done
  start "$name" "${as[@]}" "$bin/postgres" -D "$dir/db" -p "$port" -k '' -c listen_addresses=127.0.0.1 "${set[@]}"
  DEADLINE=$((DEADLINE + 20)) wait_line "$name" 'ready to accept connections'
}
