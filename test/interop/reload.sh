#!/usr/bin/env bash
# Ten reloads while ab sends ten thousand requests and more: none is lost. Each reload takes a backend out or puts it back
# and changes weights and the algorithm, and is waited for. What nginx does on ten reloads is shown for comparison.

# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=../peers.sh
. "$(dirname "$0")/../peers.sh"
sdlab_test "$@"
need curl curl
need apache2-utils ab

per_run=2500
at_least=10000

ports=()
for letter in A B C; do
  start_backend "$letter" "$letter"
  ports+=("$PORT")
done

config() { # WEIGHT ALGORITHM WITH_C
  printf 'port: 0\nthreads: 1\nalgorithm: %s\nhealth: {interval: 1s}\nbackends:\n' "$2"
  printf '  - {name: Server-A, address: 127.0.0.1:%s, weight: %s}\n' "${ports[0]}" "$1"
  printf '  - {name: Server-B, address: 127.0.0.1:%s}\n' "${ports[1]}"
  [ "$3" = no ] || printf '  - {name: Server-C, address: 127.0.0.1:%s}\n' "${ports[2]}"
}

# Runs ab again and again, until the file says it is enough. A run that is not clean ends it.
keep_asking() { # PORT OPTION...
  local port=$1 done=0
  shift
  while [ ! -e "$TMP/enough" ] || [ "$done" -lt "$at_least" ]; do
    ab -q -n "$per_run" -c 20 "$@" "http://127.0.0.1:$port/" >"$TMP/ab.$done.out" 2>&1 || return 1
    done=$((done + per_run))
    echo "$done" >"$TMP/done"
  done
}

progressed() { [ "$(metric "$ADMIN" "$M_LB_REQUESTS")" -gt "$1" ]; }
c_is() { # there | gone
  curl -sS --max-time 20 "http://$ADMIN/-/backends" >"$TMP/backends" || return 1
  if grep -q 'Server-C' "$TMP/backends"; then [ "$1" = there ]; else [ "$1" = gone ]; fi
}

for keep in '' -k; do
  rm -f "$TMP"/ab.*.out "$TMP/enough"
  config 1 round-robin yes >"$TMP/lb.yaml"
  start lb "$SDLAB" lb --config "$TMP/lb.yaml" --admin 127.0.0.1:0
  port=$(port_of lb) || exit 1
  ADMIN=$(admin_of lb) || exit 1
  keep_asking "$port" ${keep:+"$keep"} &
  PID[asking]=$!
  STARTED="$STARTED asking"
  for ((i = 1; i <= 10; i++)); do
    seen=$(metric "$ADMIN" "$M_LB_REQUESTS")
    wait_for 'requests to flow' progressed "$seen"
    if [ $((i % 2)) = 1 ]; then
      config 3 least-connections no >"$TMP/lb.yaml"
      want=gone
    else
      config 1 round-robin yes >"$TMP/lb.yaml"
      want=there
    fi
    kill -s HUP "${PID[lb]}" || fail 'lb is gone'
    wait_for "reload $i: Server-C to be $want" c_is "$want"
    alive asking || fail "requests failed during reload $i: $(cat "$TMP"/ab.*.out)"
  done
  : >"$TMP/enough"
  DEADLINE=60 wait_exit asking
  assert_eq 0 "$STATUS" "exit status of ab: $(cat "$TMP"/ab.*.out)"
  for file in "$TMP"/ab.*.out; do clean_ab "$file" "$per_run"; done
  # Counters survive reloads.
  assert_eq "$(cat "$TMP/done")" "$(metric "$ADMIN" "$M_LB_REQUESTS")" 'requests that lb counted'
  echo "lb, ab $keep: ten reloads during $(cat "$TMP/done") requests, none lost"
  stop lb
done

# A connection that is open stays open over a reload.
config 1 round-robin yes >"$TMP/lb.yaml"
start lb "$SDLAB" lb --config "$TMP/lb.yaml" --admin 127.0.0.1:0
port=$(port_of lb) || exit 1
ADMIN=$(admin_of lb) || exit 1
exec 3<>"/dev/tcp/127.0.0.1/$port"
ask_on_3() {
  local line
  printf 'GET / HTTP/1.1\r\nHost: test\r\n\r\n' >&3
  while read -r -t "$DEADLINE" line <&3; do
    case $line in
    'Response from '*) return 0 ;;
    esac
  done
  return 1
}
ask_on_3 || fail 'a request before the reload'
config 3 least-connections no >"$TMP/lb.yaml"
code=$(curl -sS -o /dev/null -w '%{http_code}' -X POST --max-time 20 "http://$ADMIN/-/reload")
assert_match "$code" '^2..$' 'status of POST /-/reload'
wait_for 'Server-C to be gone' c_is gone
ask_on_3 || fail 'a request on the same connection after the reload'
exec 3>&-
stop lb

if command -v nginx >/dev/null 2>&1; then
  rm -f "$TMP"/ab.*.out "$TMP/enough"
  PORT=$(free_port)
  nginx_proxy "$TMP/nginx.conf" "$TMP/nginx.d" "$PORT" "${ports[@]}"
  sed -i 's/^master_process off;/master_process on; user root;/' "$TMP/nginx.conf"
  [ "$(id -u)" -eq 0 ] || sed -i 's/ user root;//' "$TMP/nginx.conf"
  start nginx nginx -p "$TMP/nginx.d" -c "$TMP/nginx.conf" -e "$TMP/nginx.d/error.log"
  wait_port nginx "$PORT"
  at_least=5000
  keep_asking "$PORT" -k &
  PID[asking]=$!
  STARTED="$STARTED asking"
  worker() { descendants "${PID[nginx]}" | sort -n | tail -n 1; }
  is_new() { [ -n "$(worker)" ] && [ "$(worker)" != "$old" ]; }
  old=''
  wait_for 'nginx to have a worker' is_new # it listens before it knows what HUP means
  for ((i = 1; i <= 10; i++)); do
    old=$(worker)
    kill -s HUP "${PID[nginx]}"
    wait_for 'nginx to have a new worker' is_new
  done
  : >"$TMP/enough"
  DEADLINE=60 wait_exit asking
  lost=$(sed -n 's/^Failed requests: *//p' "$TMP"/ab.*.out | awk '{ s += $1 } END { print s + 0 }')
  echo "nginx, ab -k: ten reloads, $lost requests failed$([ "$STATUS" = 0 ] || echo ', and ab gave up once')"
  stop_quietly nginx
fi
for letter in A B C; do stop "$letter"; done
