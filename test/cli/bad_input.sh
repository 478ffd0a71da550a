#!/usr/bin/env bash
# What is wrong in a file or on the command line is said once, clearly, with the place; the exit status tells its kind.

# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
sdlab_test "$@"
cd "$TMP" || exit 1

# refused STATUS PATTERN COMMAND...: one line on standard error that matches, nothing on standard output.
refused() {
  fails "$@"
  shift 2
  assert_eq '' "$OUT" "standard output of sdlab $*"
}

# fails STATUS PATTERN COMMAND...: the same for what may already have said something.
fails() {
  local status=$1 pattern=$2 what
  shift 2
  what="sdlab $*"
  run "$SDLAB" "$@"
  assert_eq "$status" "$STATUS" "exit status of $what (it said: $ERR)"
  assert_lines 1 "$ERR" "$what"
  assert_match "$ERR" "$pattern" "$what"
}

good() {
  cat <<'END'
port: 0
algorithm: round-robin
health: {interval: 5s}
backends:
  - {name: Server-A, address: 127.0.0.1:8081}
END
}

# A port that somebody has.
start_backend a A
taken=$PORT
fails 1 "$taken.*in use" backend --port "$taken" --bind 127.0.0.1
fails 1 "$taken.*in use" lb --port "$taken" --bind 127.0.0.1 --backend 127.0.0.1:1
fails 1 "$taken.*in use" lb --port 0 --admin "127.0.0.1:$taken" --backend 127.0.0.1:1

# Files that are not there, are something else, or are not for us to read.
refused 1 'missing\.yaml.*No such file' lb --config missing.yaml
mkdir folder
refused 1 'folder.*[Dd]irectory' lb --config folder
refused 1 'missing\.yaml.*No such file' up missing.yaml
if [ "$(id -u)" -ne 0 ]; then
  good >secret.yaml
  chmod 000 secret.yaml
  refused 1 'secret\.yaml.*Permission denied' lb --config secret.yaml
fi

# Files with a fault: file, line and column.
good | sed 's/interval: 5s/interval: soon/' >lb.yaml
refused 1 'lb\.yaml:3:20: .*interval.*expected a duration.*soon' lb --config lb.yaml
good | sed 's/^algorithm:/algorithmus:/' >lb.yaml
refused 1 'lb\.yaml:2:1: .*algorithmus.*did you mean.*algorithm' lb --config lb.yaml
good | sed 's/round-robin/round-about/' >lb.yaml
refused 1 'lb\.yaml:2:12: .*algorithm.*round-robin' lb --config lb.yaml
good | sed 's/^port: 0/port: 70000/' >lb.yaml
refused 1 'lb\.yaml:1:7: .*port' lb --config lb.yaml
good | sed 's/address:/adress:/' >lb.yaml
refused 1 'lb\.yaml:5:22: .*adress.*did you mean.*address' lb --config lb.yaml
good | sed 's/127.0.0.1:8081/127.0.0.1:eighty/' >lb.yaml
refused 1 'lb\.yaml:5:31: .*address' lb --config lb.yaml
printf 'port: 0\nbackends: [\n' >lb.yaml
refused 1 'lb\.yaml:[0-9]+:[0-9]+: ' lb --config lb.yaml
printf 'port: 1\nport: 2\n' >lb.yaml
refused 1 'lb\.yaml:2:1: .*port' lb --config lb.yaml
printf 'port: \001\377\376\000\n' >lb.yaml
refused 1 'lb\.yaml' lb --config lb.yaml
printf 'port: 0\nbackends: []\n' >lb.yaml
refused 1 'lb\.yaml:2:11: .*backends' lb --config lb.yaml
refused 2 'backend' lb --port 0
printf 'services:\n  web: {applet: bakend}\n' >stack.yaml
refused 1 'stack\.yaml:2:17: .*bakend.*did you mean.*backend' up stack.yaml
printf 'services:\n  front: {applet: lb, port: 0, backends: [{address: web}]}\n' >stack.yaml
refused 1 'stack\.yaml:2:53: .*web' up stack.yaml

# --check-config finds the same and starts nothing.
good | sed 's/interval: 5s/interval: soon/' >lb.yaml
refused 1 'lb\.yaml:3:20: ' lb --config lb.yaml --check-config
good >lb.yaml
run "$SDLAB" lb --config lb.yaml --check-config
assert_eq 0 "$STATUS" "exit status of --check-config of a good file: $ERR"
# So does it what the file names: folders and files that are not there.
{ good; printf 'routes: [{path: /s, files: nowhere}]\n'; } >lb.yaml
refused 1 'lb\.yaml:[0-9]+:[0-9]+: files: .*nowhere' lb --config lb.yaml --check-config
{ good; printf 'sticky: {cookie: s, secret-file: nowhere}\n'; } >lb.yaml
refused 1 'lb\.yaml:[0-9]+:[0-9]+: sticky secret-file: .*nowhere' lb --config lb.yaml --check-config
good | sed 's/address: 127.0.0.1:8081/&, tls: true, tls-ca: nowhere/' >lb.yaml
refused 1 'lb\.yaml:5:[0-9]+: tls: .*nowhere' lb --config lb.yaml --check-config
good >lb.yaml

# Values on the command line.
refused 2 '--port' backend --port 70000
refused 2 '--delay.*duration' backend --port 0 --delay soon
refused 2 '--mode.*single.*threaded.*event' backend --port 0 --mode several
refused 2 'nonsense' backend --port 0 nonsense
refused 2 'expected get before its options: sdlab cache get \.\.\. --tls$' cache --tls get k
refused 2 'expected stats before its options: sdlab cache stats \.\.\. --port$' cache --port=7001 --ca file stats
refused 2 'unknown option --prot.*--port' cache --prot get k
refused 2 'max-memory.*size.*50mbb' cache --max-memory 50mbb
run "$SDLAB" cache --cluster-name get --max-memory 50mb --print-config
assert_match "$OUT" 'max-memory: 50MiB' 'a size as Redis writes it'
assert_match "$OUT" 'cluster-name: get' 'a value that is the name of a verb'

# A bad file at a reload leaves the old configuration at work and says why.
sed "s/127.0.0.1:8081/127.0.0.1:$taken/" lb.yaml >good.yaml
cp good.yaml live.yaml
start lb "$SDLAB" lb --config live.yaml --port 0 --admin 127.0.0.1:0 --threads 1
port=$(port_of lb) || exit 1
admin=$(admin_of lb) || exit 1
assert_eq 'Response from Server-A' "$(curl -sS --max-time 20 "http://127.0.0.1:$port/")" 'before the reload'
sed 's/round-robin/round-about/' good.yaml >live.yaml
kill -s HUP "${PID[lb]}"
wait_line lb 'live.yaml:2:12: '
assert_eq 'Response from Server-A' "$(curl -sS --max-time 20 "http://127.0.0.1:$port/")" 'after the bad reload'
code=$(curl -sS -o reply -w '%{http_code}' -X POST --max-time 20 "http://$admin/-/reload")
assert_match "$code" '^[45]..$' 'status of a reload of a bad file'
assert_contains "$(cat reply)" 'live.yaml:2:12: ' 'answer to a reload of a bad file'
cp good.yaml live.yaml
code=$(curl -sS -o reply -w '%{http_code}' -X POST --max-time 20 "http://$admin/-/reload")
assert_match "$code" '^2..$' "status of a reload of a good file ($(cat reply))"
stop lb
stop a
