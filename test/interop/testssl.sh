#!/usr/bin/env bash
# testssl.sh against lb with TLS: protocols, forward secrecy, the certificate, and the known attacks. It may find
# nothing above LOW. A server that takes what nobody should is shown to it too, so that its silence means something.
# plain build only: it looks at what goes over the wire

# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
sdlab_test "$@"
need openssl openssl
need python3 python3
need testssl.sh testssl
cd "$TMP" || exit 1

# look FILE URL CHECK...: every finding as JSON
look() {
  local file=$1 url=$2
  shift 2
  rm -f "$file"
  timeout 100 testssl --quiet --color 0 --nodns none --ip 127.0.0.1 --fast --add-ca certs/ca.pem --jsonfile "$file" "$@" "$url" \
    >"$file.log" 2>&1 </dev/null
  [ -s "$file" ] || fail "testssl wrote nothing: $(tail -n 5 "$file.log")"
}

# Prints what is above LOW, or could not be looked at, but for what is no matter of the server; then how much was fine.
cat >judge.py <<'E2'
import json, sys

# The certificate is made for the test, by a CA that revokes nothing; GOST is a matter of the local OpenSSL; and testssl
# hangs up, now and then, before it has the ticket that it would resume with (tls.sh looks at that).
others = {"cert_revocation", "engine_problem", "sessionresumption_ticket"}
with open(sys.argv[1]) as file:
    findings = json.load(file)
for f in findings:
    if f["severity"] not in ("OK", "INFO", "LOW", "DEBUG") and f["id"] not in others:
        print(f["severity"], f["id"] + ":", f["finding"])
missing = set(sys.argv[2:]) - {f["id"] for f in findings}
if missing:
    print("not looked at:", " ".join(sorted(missing)))
print(sum(f["severity"] == "OK" for f in findings), "fine")
E2

"$SDLAB" tls selfsigned --name lb.test --name 127.0.0.1 --out certs >/dev/null || fail 'no certificate'
start_backend a A
start_lb lb --backend "127.0.0.1:$PORT" --tls-cert certs/cert.pem --tls-key certs/key.pem
look lb.json "https://lb.test:$PORT" -p -S -f -H -I -BB -R -C -O -Z -A -L
verdict=$(python3 judge.py lb.json SSLv2 SSLv3 TLS1 TLS1_1 TLS1_2 TLS1_3 PFS cert_trust cert_chain_of_trust heartbleed \
  CCS ROBOT secure_renego secure_client_renego CRIME_TLS POODLE_SSL fallback_SCSV BEAST LUCKY13)
[[ $verdict =~ ^[2-9][0-9]\ fine$ ]] || fail "testssl: $verdict; $(cat lb.json.log)"
assert_eq 200 "$(curl -sS -o /dev/null -w '%{http_code}' --max-time 20 --cacert certs/ca.pem "https://127.0.0.1:$PORT/")" \
  'an ordinary request afterwards'
echo "lb: $verdict, nothing above LOW"
stop lb
stop a

port=$(free_port)
start weak openssl s_server -accept "127.0.0.1:$port" -cert certs/cert.pem -key certs/key.pem -quiet -www -tls1_2 \
  -client_renegotiation
wait_port weak "$port"
look weak.json "https://lb.test:$port" -R
assert_contains "$(python3 judge.py weak.json)" 'secure_client_renego: VULNERABLE' 'what testssl finds in a weak server'
stop_quietly weak
