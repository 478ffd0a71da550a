#!/usr/bin/env bash
# Routes as curl sees them: pools by path, rewriting, redirects that are followed, fields set and removed, an answer without
# a backend. Then the same through HAProxy with the same rules, so that the script itself is known
# to be fair.

# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=../peers.sh
. "$(dirname "$0")/../peers.sh"
sdlab_test "$@"
need curl curl
cd "$TMP" || exit 1

ask() { curl -sS --max-time 20 "$@"; }

check() { # WHO PORT
  who=$1 url=http://127.0.0.1:$2
  assert_eq 'Response from Server-W' "$(ask "$url/")" "the pool of all through $who"
  assert_eq 'Response from Server-P' "$(ask "$url/api/")" "another pool by path through $who"
  assert_contains "$(ask "$url/json")" Server-W "a path that only begins alike through $who"
  assert_eq 'Response from Server-P' "$(ask -H 'Host: api.test' "$url/")" "another pool by host through $who"
  assert_eq 1024 "$(ask "$url/api/bytes/1KiB" | wc -c | tr -d ' ')" "a rewritten path through $who"
  assert_match "$(ask -o /dev/null -w '%{http_code} %{redirect_url}' "$url/old/bytes/1")" '^30[18] http://127.0.0.1:[0-9]+/bytes/1$' \
    "a redirect through $who"
  assert_eq "$(ask "$url/bytes/1")" "$(ask -L "$url/old/bytes/1")" "a redirect that curl follows through $who"
  assert_eq 403 "$(ask -o /dev/null -w '%{http_code}' "$url/admin")" "an answer without a backend through $who"
  head=$(ask -o /dev/null -D - "$url/" | tr -d '\r')
  assert_match "$head" '^[Xx]-[Ff]rame-[Oo]ptions: DENY$' "a field that is set through $who"
}

start_backend w W
web=$PORT
start_backend p P
api=$PORT
cat >lb.yaml <<END
backends:
  - {address: 127.0.0.1:$web}
  - {address: 127.0.0.1:$api, pool: api}
routes:
  - {path: /api, pool: api, rewrite: /}
  - {path: /js, pool: api}
  - {host: api.test, pool: api}
  - {path: /old, redirect: "http://{host}{rest}"}
  - {path: /admin, status: 403}
answer-headers: {set: ["X-Frame-Options: DENY"]}
END
start_lb lb --config lb.yaml
check lb "$PORT"
run "$SDLAB" lb explain --server "$ADMIN" /api/x
assert_contains "$OUT" 'route /api -> pool api, as /x' 'explain'

if baseline haproxy haproxy; then
  port=$(free_port)
  cat >haproxy.cfg <<END
defaults
  mode http
  timeout client 20s
  timeout server 20s
  timeout connect 5s
frontend f
  bind 127.0.0.1:$port
  http-request redirect code 308 location http://%[req.hdr(host)]%[path,regsub(^/old,)] if { path -m reg ^/old(/|\$) }
  http-request deny deny_status 403 if { path /admin }
  http-response set-header X-Frame-Options DENY
  use_backend api if { path -m reg ^/api(/|\$) }
  use_backend api if { path -m reg ^/js(/|\$) }
  use_backend api if { hdr(host) api.test }
  default_backend web
backend web
  server w 127.0.0.1:$web
backend api
  http-request replace-path ^/api/?(.*) /\1
  server p 127.0.0.1:$api
END
  start haproxy "${PIN[@]}" haproxy -db -f haproxy.cfg
  wait_peer haproxy "$port" || fail "haproxy did not start"
  check haproxy "$port"
fi
stop lb
stop w
stop p
