#!/usr/bin/env bash
# Limits in the load balancer: whom they refuse and what that says, for routes, fields and addresses, in shadow, over a reload,
# under a flood of keys, for connections in TCP mode, and rows that cannot be.

# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
sdlab_test "$@"
need curl curl

start_backend a A
up=$PORT
lb() { # lb OPTION...: stdin is what its file holds beside the backend
  { printf 'backends: ["127.0.0.1:%s"]\nhealth: {type: none}\n' "$up" && cat; } >"$TMP/lb.yaml"
  start_lb lb --config "$TMP/lb.yaml" "$@"
}
# codes FROM-TO PATH CURL-ARGUMENT...: of so many requests, each of its own, over one connection: "20 200, 5 429". The backend knows few
# paths: its 404 passed as well.
codes() {
  local range=$1 path=$2
  shift 2
  curl -s -o /dev/null --max-time 20 -w '%{http_code}\n' "$@" "http://127.0.0.1:$PORT$path?[$range]" | sed 's/404/200/' | uniq -c |
    awk '{ printf "%s%s %s", (NR > 1 ? ", " : ""), $1, $2 } END { print "" }'
}
fields() { curl -s -i --max-time 20 "$@" | tr -d '\r'; }
decided() { metric "$ADMIN" sdlab_lb_limit_decisions_total "rule=\"$1\",decision=\"$2\""; }

# ---- 25 requests: 20 pass, 5 do not ----
lb --access-log "$TMP/access" --access-log-format json <<'END'
limits:
  - {name: clients, algorithm: token-bucket, rate: 10/h, burst: 20}
END
began=$SECONDS
assert_eq '20 200, 5 429' "$(codes 1-25 /)" '25 requests'
out=$(fields "http://127.0.0.1:$PORT/x")
assert_match "$out" '^HTTP/1.1 429 Too Many Requests$' 'refused'
assert_left 360 "$began" "$(sed -n 's/^Retry-After: //p' <<<"$out")" 'Retry-After: a turn is 360 seconds'
assert_match "$out" '^X-RateLimit-Limit: 10$' 'X-RateLimit-Limit'
assert_match "$out" '^X-RateLimit-Remaining: 0$' 'X-RateLimit-Remaining'
assert_match "$out" '^RateLimit-Policy: "clients";q=20;w=7200$' 'RateLimit-Policy'
assert_left 360 "$began" "$(sed -n 's/^RateLimit: "clients";r=0;t=//p' <<<"$out")" RateLimit
assert_match "$out" '^Cache-Control: no-store$' 'what is refused is not stored'
assert_match "$out" '^Proxy-Status: sdlab; error=http_request_denied; details="limit clients"$' Proxy-Status
assert_match "$out" '^429 Too Many Requests: limit clients$' 'words'
assert_eq '1 429' "$(codes 1-1 /echo -d body)" 'with a body'
assert_eq 20 "$(decided clients allowed)" allowed
assert_eq 7 "$(decided clients refused)" refused
assert_eq 20 "$(metric "$ADMIN" sdlab_lb_backend_requests_total)" 'what the backend got'
run "$SDLAB" lb explain --server "$ADMIN" /
assert_match "$OUT" '^limit clients: Token bucket: 10 tokens/hour, burst 20: refused, again in 3[3-6][0-9] s$' 'explain'
run "$SDLAB" lb explain --server "$ADMIN" --client 192.0.2.1 /
assert_match "$OUT" ': 20 left$' 'explain of another client'
assert_match "$OUT" '^127.0.0.1:[0-9]+ by round-robin$' 'explain says the backend as well'
stop lb
assert_eq 7 "$(grep -c '"status":429,.*limit clients' "$TMP/access")" 'lines of the log'

# ---- routes, fields, several at once, shadow ----
lb <<'END'
routes:
  - {path: /login, name: login, pool: default}
  - {path: /teapot, status: 418, body: tea}
limits:
  - {name: all, rate: 100/h}
  - {name: logins, rate: 2/h, route: login}
  - {name: tea, rate: 1/h, route: /teapot, key: header:X-User}
  - {name: posts, rate: 1/h, method: POST, path: /echo, key: api-key}
  - {name: trial, rate: 1/h, shadow: true}
END
assert_eq '2 200, 2 429' "$(codes 1-4 /login)" 'of a route'
assert_eq '1 429' "$(codes 1-1 /x/../%6cogin --path-as-is)" 'the same path, written otherwise'
assert_eq '3 200' "$(codes 1-3 /loginx)" 'another path'
assert_eq '1 418, 1 429' "$(codes 1-2 /teapot -H 'X-User: a')" 'what is answered here'
assert_eq '1 418, 1 429' "$(codes 1-2 /teapot -H 'X-User: b')" 'another user'
assert_eq '1 200, 1 429' "$(codes 1-2 /echo -H 'X-API-Key: k' -d x)" 'of a method'
assert_eq '2 200' "$(codes 1-2 /echo -H 'X-API-Key: k')" 'another method'
# What one limit refused costs nothing of the others.
assert_eq 10 "$(decided all allowed)" 'all or none'
assert_eq 3 "$(decided logins refused)" 'refused by the route'
assert_eq 1 "$(decided trial allowed)" 'in shadow: allowed'
assert_eq 15 "$(decided trial shadowed)" 'in shadow: counted, not refused'
stop lb

# ---- whose address ----
lb --trusted-proxies 127.0.0.0/8 <<'END'
limits: [{name: a, rate: 1/h}]
END
assert_eq '1 200, 1 429' "$(codes 1-2 / -H 'X-Forwarded-For: 203.0.113.7')" 'a client behind a proxy'
assert_eq '1 429' "$(codes 1-1 / -H 'X-Forwarded-For: 198.51.100.9, 203.0.113.7')" 'what the client says of itself'
assert_eq '1 200' "$(codes 1-1 / -H 'X-Forwarded-For: 2001:db8::1')" IPv6
assert_eq '1 429' "$(codes 1-1 / -H 'X-Forwarded-For: 2001:db8::ffff:2')" 'another of its network'
stop lb
lb <<'END'
limits: [{name: a, rate: 1/h}]
END
assert_eq '1 200, 1 429' "$(codes 1-2 / -H 'X-Forwarded-For: 203.0.113.7')" 'one that may not tell'
assert_eq '1 429' "$(codes 1-1 / -H 'X-Forwarded-For: 203.0.113.8')" 'one that may not tell'
stop lb
lb --proxy-protocol require --proxy-from 127.0.0.0/8 <<'END'
limits: [{name: a, rate: 1/h}]
END
assert_eq '1 200, 1 429' "$(codes 1-2 / --haproxy-protocol)" 'behind a PROXY header'
stop lb

# ---- paths without routes; a reload ----
lb <<'END'
limits: [{name: one, rate: 2/h, path: /a}]
END
assert_eq '1 200' "$(codes 1-1 /a)" 'a path'
assert_eq '1 400' "$(codes 1-1 /../a --path-as-is)" 'a path above the root'
reload() { # SED-SCRIPT
  sed -i "$1" "$TMP/lb.yaml"
  curl -sS --max-time 20 -X POST "http://$ADMIN/-/reload"
}
reload 's,rate: 2/h,rate: 3/h,; s,path: /a,path: /a/,' >/dev/null
allows() { assert_eq "$1" "$(codes 1-"$2" /a/)" "$3"; }
told() { grep -q "\"remaining\":	*$1[,}]" <<<"$(curl -s -d '{"target":"/a/"}' "http://$ADMIN/-/explain" | tr -d '\n')"; }
wait_for 'the new limit at the worker' told 2
allows '2 200, 1 429' 3 'what was used stays used'
out=$(reload 's,rate: 3/h,rate: many,')
assert_contains "$out" "$TMP/lb.yaml:3:28: rate: expected a count such as 10, 100/min or 1000/10m, found " 'a reload that is refused'
allows '1 429' 1 'the limits stay'
reload '/^limits/d' >/dev/null
passes() { [ "$(codes 1-1 /a/)" = '1 200' ]; }
wait_for 'no limits at the worker' passes
printf 'limits: [{name: one, rate: 3/h, path: /a/}, {name: two, rate: 1/h, path: /b}]\n' >>"$TMP/lb.yaml"
reload '' >/dev/null
wait_for 'limits again' told 0
allows '1 429' 1 'what was used before is still'
assert_eq '1 200, 1 429' "$(codes 1-2 /b)" 'and another one'
assert_eq 3 "$(decided one allowed)" 'a counter goes on'
stop lb

# ---- memory is bounded, and who uses most stays known ----
lb --limit-memory 64KiB <<'END'
limits:
  - {name: paths, rate: 50/h, key: path}
END
assert_eq '50 200, 1 429' "$(codes 1-51 /busy)" 'a busy key'
places=$(metric "$ADMIN" sdlab_lb_limit_keys_max)
[ "$places" -le 2048 ] || fail "64 KiB have $places places"
assert_eq '4000 200' "$(curl -s -o /dev/null --max-time 60 -w '%{http_code}\n' "http://127.0.0.1:$PORT/k[1-4000]" | sed s/404/200/ | uniq -c |
  awk '{ print $1, $2 }')" 'a flood of keys'
[ "$(metric "$ADMIN" sdlab_lb_limit_evicted_total)" -ge 1900 ] || fail 'no key was forgotten'
assert_eq '1 429' "$(codes 1-1 /busy)" 'the busy key'
stop lb

# ---- two threads count together ----
start_lb lb --backend "127.0.0.1:$up" --threads 2 --limit name=few,rate=5/h
passed=0
for _ in {1..12}; do [ "$(codes 1-1 /)" != '1 200' ] || passed=$((passed + 1)); done
assert_eq 5 "$passed" 'of two threads'
stop lb

# ---- connections ----
lb --mode tcp <<'END'
limits: [{name: conns, rate: 2/h}]
END
passed=0
for _ in 1 2 3 4; do [ "$(codes 1-1 /)" != '1 200' ] || passed=$((passed + 1)); done
assert_eq 2 "$passed" connections
assert_eq 2 "$(decided conns refused)" 'connections refused'
stop lb

# ---- rows that cannot be ----
refused() { # TEXT ROWS [MODE]
  printf 'mode: %s\nbackends: ["127.0.0.1:1"]\nroutes: [{host: a.test}]\nlimits:\n%s\n' "${3:-http}" "$2" >"$TMP/bad.yaml"
  run "$SDLAB" lb --config "$TMP/bad.yaml" --check-config
  assert_eq 1 "$STATUS" "exit status of $2"
  assert_contains "$ERR" "bad.yaml:$1" "$2"
  assert_lines 1 "$ERR" "$2"
}
refused '5:21: rate: expected a count such as 10, 100/min or 1000/10m, found "fast"' '  - {name: a, rate: fast}'
refused '5:5: rate: required' '  - {name: a}'
refused '5:5: name: required' '  - {rate: 1}'
refused '6:12: name: there is a rule a already' $'  - {name: a, rate: 1}\n  - {name: a, rate: 2}'
refused '5:29: key: expected address, api-key, header:NAME' '  - {name: a, rate: 1, key: ip}'
refused '5:31: route: no route is called "b"' '  - {name: a, rate: 1, route: b}'
refused '5:30: path: expected it to begin with /, found "x"' '  - {name: a, rate: 1, path: x}'
refused '5:35: algorithm: expected one by which nobody waits' '  - {name: a, rate: 1, algorithm: leaky-queue}'
refused '5:21: cost: expected at most 1' '  - {name: a, rate: 1, cost: 2}'
refused '5:32: method: expected mode: http' '  - {name: a, rate: 1, method: GET}' tcp
refused '5:29: key: expected address or all in TCP mode' '  - {name: a, rate: 1, key: path}' tcp
refused '21:12: name: expected at most 16 limits for one request' "$(for i in {1..17}; do echo "  - {name: a$i, rate: 1}"; done)"
run "$SDLAB" lb --backend 127.0.0.1:1 --limit name=a,rate=1 --limit-headers y
assert_contains "$ERR" '--limit-headers: expected x, draft6, draft7, draft8 or none, found "y"' 'fields'
