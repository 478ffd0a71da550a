#!/usr/bin/env bash
# ab, wrk and hey beside `sdlab ab`, `sdlab wrk` and `sdlab hey`, with the same flags against the same server: they send the
# same request, print the same lines in the same order, and count the same.
# plain build only: it compares what is printed
# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
sdlab_test "$@"
need python3 python3
cd "$TMP" || exit 1

start_backend a A
url=http://127.0.0.1:$PORT
ports=("$PORT")
start_backend long 'with a long name'
ports+=("$PORT")
# Two answers of different length, taking turns.
start_lb lb --health-type tcp --backend "127.0.0.1:${ports[0]}" --backend "127.0.0.1:${ports[1]}"
mixed=http://127.0.0.1:$PORT

# Writes down each request as it came, and says who it is. Every third /drop gets no answer; /close does
# not say how long its answer is.
cat >capture.py <<'END'
import socket
import sys

listener = socket.socket()
listener.bind(("127.0.0.1", 0))
listener.listen(16)
print("Listening on 127.0.0.1:%d" % listener.getsockname()[1], flush=True)
drops = 0
while True:
    conn, _ = listener.accept()
    conn.settimeout(5)
    data = b""
    try:
        while b"\r\n\r\n" not in data:
            piece = conn.recv(65536)
            if not piece:
                break
            data += piece
        head, _, body = data.partition(b"\r\n\r\n")
        length = [int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
        while length and len(body) < length[0]:
            body += conn.recv(65536)
        drops += head.startswith(b"GET /drop")
        if head and not (head.startswith(b"GET /drop") and drops % 3 == 0):
            with open(sys.argv[1], "wb") as out:
                out.write(head + b"\r\n\r\n" + body)
            length = b"" if head.startswith(b"GET /close") else b"Content-Length: 5\r\n"
            conn.sendall(b"HTTP/1.1 200 OK\r\nServer: Capture/1.0\r\n" + length + b"Connection: close\r\n\r\nhello")
    except OSError:
        pass
    conn.close()
END
start capture python3 capture.py request
capture=http://127.0.0.1:$(port_of capture) || exit 1

# ---- requests ----

# Field names in any case and order; who asks, and what says that the connection ends, may differ.
request_text() {
  tr -d '\r' <request | awk '
    NR == 1 { print "0 " $0; next }
    body { print "2 " $0; next }
    $0 == "" { body = 1; next }
    { name = tolower($1); $1 = ""; if (name !~ /^(user-agent|accept-encoding|connection):$/) print "1 " name $0 }' | sort
}

same_request() { # TOOL FLAG...
  local tool=$1 theirs
  shift
  rm -f request
  run "$tool" "$@" "$capture/path?query=1"
  theirs=$(request_text)
  [ -n "$theirs" ] || fail "$tool $*: sent nothing"
  rm -f request
  run "$SDLAB" "$tool" "$@" "$capture/path?query=1"
  assert_eq "$theirs" "$(request_text)" "request of $tool $*"
}

# ---- reports ----

# Amounts become N, with the blanks before them; what a run of chance prints is left out. Percentages of a distribution stay.
shape() {
  grep -oE '^ *[0-9]+%' report
  sed -e '0,/^Benchmarking/ { /^Benchmarking/!d; }' report |
    sed -E -e '/^(WARNING|ERROR): /,/reliable\.$/d' -e 's/\|.*/|/' -e 's/^(  \[[0-9]+\]\t)(Get|GET) .*/\1WHY/' \
      -e 's/ NaN/ 0/g' -e 's/[ \t]*[0-9]+(\.[0-9]+)?(us|ms|s|m|k|M|[KMGT]?B|%)?([^a-zA-Z0-9]|$)/ N\3/g' -e 's/[ \t]+/ /g'
}
shape_plain() { sed '1i Benchmarking' report >report.one && mv report.one report && shape; }

report_of() { # COMMAND...
  run "$@"
  cp "$TMP/run.out" report
  cp "$TMP/run.err" said
}

counts() {
  grep -E '^(Server Software|Document Path|Document Length|Concurrency Level|Complete|Failed|   \(Connect|Non-2xx|Keep-Alive|Total tr|HTML)' report ||
    grep -E 'responses|Total data|Size/request' report
}

same_report() { # SHAPE TOOL FLAG... URL
  local how=$1 tool=$2 theirs counted told status
  shift 2
  report_of "$tool" "$@"
  status=$STATUS
  counted=$(counts)
  told=$(grep -E '^(Completed|Finished)' said)
  theirs=$("$how")
  report_of "$SDLAB" "$tool" "$@"
  assert_eq "$status" "$STATUS" "exit status of $tool $*"
  assert_eq "$counted" "$(counts)" "counts of $tool $*"
  assert_eq "$told" "$(grep -E '^(Completed|Finished)' said)" "progress of $tool $*"
  assert_eq "$theirs" "$("$how")" "lines of $tool $*"
}

# ---- ab ----

printf 'some text' >body.txt
if baseline apache2-utils ab; then
  same_request ab -n 1
  same_request ab -n 1 -i
  same_request ab -n 1 -m DELETE
  same_request ab -n 1 -p body.txt
  same_request ab -n 1 -u body.txt -T application/json
  same_request ab -n 1 -H 'Accept-Language: de, en;q=0.5' -C a=b -A aladdin:opensesame
  for pair in a:b aa:b aa:bb 'aladdin:open sesame>?~'; do same_request ab -n 1 -A "$pair"; done
  for flags in '-n 1' '-n 20' '-n 300 -c 7' '-n 300 -c 7 -k' '-n 300 -q' '-n 20 -d' '-n 20 -S' '-n 20 -l' '-n 20 -i' \
    '-n 20 -r -v 1' '-kn20'; do
    # shellcheck disable=SC2086 # several words
    same_report shape ab $flags "$url/"
  done
  same_report shape ab -n 20 -c 3 "$url/status/404"
  same_report shape ab -n 20 -k "$url/status/302"
  same_report shape ab -n 20 -c 2 "$url/bytes/64KiB"
  same_report shape ab -n 20 -p body.txt -T text/plain "$url/echo"
  same_report shape ab -n 10 "$capture/"
  same_report shape ab -n 10 "$capture/close"
  assert_match "$(cat report)" '^Server Software: +Capture/1.0$' 'ab'
  same_report shape ab -n 10 "$mixed/"
  assert_match "$(cat report)" 'Length: 5, Exceptions: 0' 'ab through two servers'
  same_report shape ab -n 10 -l "$mixed/"
  ab -q -n 30 -e theirs.csv -g theirs.tsv "$url/" >/dev/null
  "$SDLAB" ab -q -n 30 -e ours.csv -g ours.tsv "$url/" >/dev/null 2>&1
  assert_eq "$(cut -d, -f1 theirs.csv)" "$(cut -d, -f1 ours.csv)" 'ab -e'
  assert_eq "$(head -n 1 theirs.tsv; wc -l <theirs.tsv)" "$(head -n 1 ours.tsv; wc -l <ours.tsv)" 'ab -g'
fi

# The first failure ends it, unless -r is given; then it is one of the complete and one of the failed, as with ab.
run "$SDLAB" ab -n 9 "$capture/drop"
assert_eq 1 "$STATUS" 'exit status of ab that lost a request'
assert_contains "$ERR" 'apr_socket_recv: Connection reset by peer (104)' 'ab that lost a request'
assert_contains "$OUT" 'Total of 2 requests completed' 'ab that lost a request'
run "$SDLAB" ab -r -n 9 "$capture/drop"
assert_eq 0 "$STATUS" 'exit status of ab -r that lost requests'
assert_match "$OUT" '^Complete requests: +9$' 'ab -r'
assert_match "$OUT" '^Failed requests: +3$' 'ab -r'
assert_contains "$OUT" '   (Connect: 0, Receive: 3, Length: 0, Exceptions: 0)' 'ab -r'

# ---- wrk ----

if baseline wrk wrk; then
  same_request wrk -t1 -c1 -d1 -H 'Accept-Language: de, en'
  same_shape() { # its counts are of chance
    local theirs
    report_of wrk "$@"
    theirs=$(shape_plain)
    report_of "$SDLAB" wrk "$@"
    assert_eq "$theirs" "$(shape_plain)" "lines of wrk $*"
  }
  same_shape -t2 -c4 -d1s "$url/"
  same_shape "$url/status/404" -t 1 -c 2 --duration 1 --latency --timeout 3s
  same_shape -t1 -c2 -d1 "$url/bytes/64KiB"
fi

# ---- hey ----

if baseline hey hey; then
  same_request hey -n 1 -c 1
  same_request hey -n 1 -c 1 -m PUT -D body.txt -T application/json -A text/plain -host example.test
  same_request hey -n 1 -c 1 -m POST -d 'a=b, c' -H 'X-List: 1, 2'
  same_report shape_plain hey -n 140 -c 30 "$url/"
  same_report shape_plain hey -n 120 -c 3 -disable-keepalive "$url/status/503"
  same_report shape_plain hey -n 120 -c 12 -q 50 "$url/bytes/64KiB"
  same_report shape_plain hey -n 120 -c 2 -disable-redirects -cpus 1 -t 5 "$mixed/"
  stop a
  same_report shape_plain hey -n 10 -c 2 "$url/"
  assert_contains "$(cat report)" 'Error distribution:' 'hey, refused'
fi
