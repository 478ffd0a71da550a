#!/bin/sh
# A load balancer that speaks TLS to its clients and to its backend, with certificates made on the spot.
#
#   examples/tls.sh [SDLAB]
set -eu
sdlab=${1:-build/plain/sdlab}
dir=$(mktemp -d)
backend='' front=''
# shellcheck disable=SC2317 # called by the trap
end() {
  for pid in $front $backend; do
    if kill "$pid" 2>/dev/null; then wait "$pid" 2>/dev/null || true; fi
  done
  rm -rf "$dir"
}
trap end EXIT

# port LOG: where a service listens, once it says so
port() {
  until grep -qs 'Listening on' "$1"; do sleep 0.1; done
  sed -n 's/.*Listening on .*:\([0-9]*\).*/\1/p' "$1"
}

"$sdlab" tls selfsigned --name lb.test --name 127.0.0.1 --out "$dir/certs"
"$sdlab" backend --port 0 --name Server-A --tls-cert "$dir/certs/cert.pem" --tls-key "$dir/certs/key.pem" \
  >"$dir/backend.log" 2>&1 &
backend=$!
behind=$(port "$dir/backend.log")
"$sdlab" lb --port 0 --admin 127.0.0.1:0 --tls-cert "$dir/certs/cert.pem" --tls-key "$dir/certs/key.pem" \
  --backend "address=127.0.0.1:$behind,tls=true,tls-ca=$dir/certs/ca.pem,tls-name=lb.test" >"$dir/lb.log" 2>&1 &
front=$!
at=$(port "$dir/lb.log")

echo
echo "\$ curl --cacert ca.pem https://127.0.0.1:$at/"
curl -sS --cacert "$dir/certs/ca.pem" "https://127.0.0.1:$at/"
echo
echo "\$ sdlab tls show 127.0.0.1:$at --ca ca.pem --name lb.test"
"$sdlab" tls show "127.0.0.1:$at" --ca "$dir/certs/ca.pem" --name lb.test
