#!/usr/bin/env bash
# The kv service as whoever runs it meets it: what it counts, beside what INFO says; whether it is ready; a folder that cannot be
# written to, a store that another process has open, a file that may not grow; TLS.
# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
sdlab_test "$@"
need curl curl
need redis-tools redis-cli
cd "$TMP" || exit 1

cli() { redis-cli -p "$port" "$@"; }
ready() { curl -sS -o /dev/null -w '%{http_code}' "http://$admin/-/ready"; }
is() { # NAME VALUE
  run curl -sS "http://$admin/metrics"
  assert_contains "$OUT" "sdlab_kv_$1{service=\"kv\"$3} $2
" "sdlab_kv_$1"
}
info() { cli info "$1" | tr -d '\r' | sed -n "s/^$2://p"; }

# ---- what it counts ----
start kv "$SDLAB" kv --data-dir data --port 0 --admin 127.0.0.1:0
port=$(port_of kv) || exit 1
admin=$(admin_of kv) || exit 1
assert_eq 200 "$(ready)" 'ready'
cli mset a 1 b 2 c 3 >out
cli get a >out
cli get nothing >out
cli incr a >out
cli nonsense >out
is commands_total 4 ''
is errors_total 1 ''
is hits_total 1 ''
is misses_total 1 ''
is refused_total 0 ''
is keys 4 ''
is syncs_total 2 ''
is user_bytes_total 8 ''
is level_tables 0 ',level="0"'
assert_eq '2 4' "$(info lsm syncs) $(info lsm memtable_entries)" 'the same from INFO'
cli compact >out
is flushes_total 1 ''
is compactions_total 1 ''
is level_tables 1 ',level="6"'
is keys 3 ''
cli set d 4 >out
rm -r data
cli compact >out
assert_contains "$(cat out)" 'data/LOCK was removed or replaced while the store was open' 'COMPACT without a folder'
is errors_total 2 ''
stop_quietly kv

# ---- a store that another process has open ----
start one "$SDLAB" kv --data-dir shared --port 0
port=$(port_of one) || exit 1
assert_eq OK "$(cli set a 1)" 'SET'
run "$SDLAB" kv --data-dir shared --port 0
assert_eq '1 sdlab kv: shared: another process has this store open' "$STATUS $ERR" 'a second process'
assert_eq OK "$(cli set b 2)" 'SET after a second one came'
{
  kill -s KILL "${PID[one]}"
  wait_exit one # the shell would say Killed
} 2>/dev/null
start two "$SDLAB" kv --data-dir shared --port 0
port=$(port_of two) || exit 1
assert_eq '1 2' "$(cli mget a b | tr '\n' ' ' | sed 's/ $//')" 'once the first was killed'
stop two

# ---- a folder that is somebody else's: nothing is left in it ----
mkdir foreign && echo hello >foreign/letter
run "$SDLAB" kv --data-dir foreign --port 0
assert_eq '1 sdlab kv: foreign has letter in it and no CURRENT: it is no store, or a damaged one; expected a new folder' "$STATUS $ERR" \
  'a folder of something else'
assert_eq letter "$(ls -A foreign)" 'what is in it afterwards'

# ---- files that may not grow: writes are refused, the rest goes on ----
# shellcheck disable=SC2016 # for the other shell
start small bash -c 'trap "" XFSZ; ulimit -f 100; exec "$@"' sh "$SDLAB" kv --data-dir small --port 0 --admin 127.0.0.1:0
port=$(port_of small) || exit 1
admin=$(admin_of small) || exit 1
assert_eq OK "$(cli set before there)" 'SET'
head -c 200000 /dev/zero | tr '\0' x >big
cli --no-raw setrange before 150000 x >out
assert_match "$(cat out)" 'MISCONF nothing was written: cannot write small/.*: File too large' 'a write that does not fit'
assert_eq there "$(cli get before)" 'GET after it'
assert_eq OK "$(cli set after fits)" 'SET that fits, after it'
assert_eq 'there fits' "$(cli mget before after | tr '\n' ' ' | sed 's/ $//')" 'both'
is refused_total 1 ''
assert_eq 200 "$(ready)" 'ready, since what fits is written'
stop_quietly small

# ---- a folder on a disk that cannot be written to ----
if unshare -rm true 2>/dev/null; then
  mkdir ro
  # shellcheck disable=SC2016 # for the other shell
  run unshare -rm sh -c 'mount -t tmpfs none ro && mkdir ro/kv && mount -o remount,ro ro && exec "$1" kv --data-dir ro/kv --port 0' sh "$SDLAB"
  assert_eq '1 sdlab kv: cannot open ro/kv/LOCK: Read-only file system' "$STATUS $ERR" 'a folder that is read only'
fi

# ---- TLS ----
"$SDLAB" tls selfsigned --name 127.0.0.1 --out certs >out || fail 'tls selfsigned'
start safe "$SDLAB" kv --data-dir safe --port 0 --tls-cert certs/cert.pem --tls-key certs/key.pem
port=$(port_of safe) || exit 1
tls() { redis-cli -h 127.0.0.1 -p "$port" --tls --cacert certs/ca.pem "$@"; }
assert_eq OK "$(tls set a over-tls)" 'SET over TLS'
assert_eq over-tls "$(tls get a)" 'GET over TLS'
head -c 300000 /dev/urandom >value
tls -x set large <value >out
tls --raw get large | head -c 300000 >back
assert_same value back 'a value of 300 kB over TLS'
assert_eq over-tls "$("$SDLAB" kv cli --raw --tls --ca certs/ca.pem --port "$port" get a)" 'kv cli over TLS'
assert_eq over-tls "$("$SDLAB" kv cli --raw --ca certs/ca.pem --server "rediss://127.0.0.1:$port" get a)" 'kv cli with rediss://'
run "$SDLAB" kv cli --tls --port "$port" get a
assert_eq 1 "$STATUS" 'kv cli that does not trust the certificate'
assert_lines 1 "$ERR" 'kv cli that does not trust the certificate'
cli get a >out 2>&1
assert_lacks "$(cat out)" over-tls 'GET without TLS'
stop safe
