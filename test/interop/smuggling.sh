#!/usr/bin/env bash
# Hostile requests and responses through lb, HAProxy and nginx, to an origin that records what comes: nothing ambiguous
# ever leaves lb. The table of the three is printed; the others are shown, not judged.

# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=../peers.sh
. "$(dirname "$0")/../peers.sh"
sdlab_test "$@"
need python3 python3
cd "$TMP" || exit 1

names=(lb)
if baseline haproxy haproxy; then names+=(haproxy); fi
if baseline nginx-light nginx; then names+=(nginx); fi

mkfifo fifo
start table python3 "$ROOT/test/interop/smuggling.py" fifo "${names[@]}"
wait_line table 'origins '
read -r _ lb_origin haproxy_origin nginx_origin < <(grep '^origins ' table.log)
case " ${names[*]} " in *' haproxy '*) ;; *) nginx_origin=$haproxy_origin ;; esac

start_lb lb --backend "127.0.0.1:$lb_origin" --health-type none --eject-failures 0 --head-timeout 3s --body-timeout 3s \
  --answer-timeout 3s
ports="lb=$PORT"
# nginx with the host of the target, where that has one; $http_host would be the field, whatever the target says.
for name in "${names[@]:1}"; do
  case $name in
  haproxy) start_haproxy haproxy "$haproxy_origin" ;;
  nginx) NGINX_HOST="\$host" start_nginx nginx proxy "$nginx_origin" ;;
  esac
  ports="$ports $name=$PORT"
done
echo "$ports" >fifo
wait_exit table
cat table.log
[ "$STATUS" -eq 0 ] || fail 'what lb forwarded is ambiguous, or not what was expected'
assert_contains "$(cat table.log)" 'ambiguous: lb 0' 'the table'
stop lb
