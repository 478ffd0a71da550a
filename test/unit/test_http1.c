/* Request heads: what is read from good ones, and with which status each bad one is refused. Every row is run
 * whole, byte by byte and cut at every byte, always in front of an unreadable page. */
#include "http1_rig.h"

#define GET  "GET / HTTP/1.1\r\n"
#define HOST "Host: a\r\n"
#define TOP  GET HOST
#define END  "\r\n"
#define POST "POST /p HTTP/1.1\r\nHost: a\r\n"
#define OLD  "POST /p HTTP/1.0\r\n"
#define SEEN "GET /? @a 1.1 none keep"

/* ---- good ones ---- */

static const struct row start_lines[] = {
    ROW(TOP END, 0, SEEN),
    ROW(TOP END "|GET /next", 0, SEEN),
    ROW("\r\n" TOP END, 0, SEEN),
    ROW("\r\n\r\n" TOP END, 0, SEEN),
    ROW("HEAD / HTTP/1.1\r\n" HOST END, 0, "HEAD /? @a 1.1 none keep"),
    ROW("POST / HTTP/1.1\r\n" HOST END, 0, "POST /? @a 1.1 none keep"),
    ROW("PUT / HTTP/1.1\r\n" HOST END, 0, "PUT /? @a 1.1 none keep"),
    ROW("DELETE / HTTP/1.1\r\n" HOST END, 0, "DELETE /? @a 1.1 none keep"),
    ROW("OPTIONS / HTTP/1.1\r\n" HOST END, 0, "OPTIONS /? @a 1.1 none keep"),
    ROW("TRACE / HTTP/1.1\r\n" HOST END, 0, "TRACE /? @a 1.1 none keep"),
    ROW("PATCH / HTTP/1.1\r\n" HOST END, 0, "PATCH /? @a 1.1 none keep"),
    ROW("get / HTTP/1.1\r\n" HOST END, 0, "other:get /? @a 1.1 none keep"),
    ROW("M-SEARCH / HTTP/1.1\r\n" HOST END, 0, "other:M-SEARCH /? @a 1.1 none keep"),
    ROW("GETS / HTTP/1.1\r\n" HOST END, 0, "other:GETS /? @a 1.1 none keep"),
    ROW("GET / HTTP/1.0\r\n\r\n", 0, "GET /? @ 1.0 none close"),
    ROW("GET / HTTP/1.0\r\nHost: a\r\n\r\n", 0, "GET /? @a 1.0 none close"),
};

static const struct row targets[] = {
    ROW("GET /a/b.c?x=1&y=/?z HTTP/1.1\r\n" HOST END, 0, "GET /a/b.c?x=1&y=/?z @a 1.1 none keep"),
    ROW("GET /a? HTTP/1.1\r\n" HOST END, 0, "GET /a? @a 1.1 none keep"),
    ROW("GET //b/c HTTP/1.1\r\n" HOST END, 0, "GET //b/c? @a 1.1 none keep"),
    ROW("GET /%2e%2E/;p=1,\"<>[]\\^`{}@: HTTP/1.1\r\n" HOST END, 0,
	"GET /%2e%2E/;p=1,\"<>[]\\^`{}@:? @a 1.1 none keep"),
    ROW("GET http://b/c?d HTTP/1.1\r\n" HOST END, 0, "GET /c?d @b 1.1 none keep"),
    ROW("GET HTTPS://b:81/c HTTP/1.1\r\n" HOST END, 0, "GET /c? @b:81 1.1 none keep"),
    ROW("GET hTTp://b HTTP/1.1\r\n" HOST END, 0, "GET /? @b 1.1 none keep"),
    ROW("GET http://b?d HTTP/1.1\r\n" HOST END, 0, "GET /?d @b 1.1 none keep"),
    ROW("GET http://b?d/e HTTP/1.1\r\n" HOST END, 0, "GET /?d/e @b 1.1 none keep"),
    ROW("GET http://[::1]:80/c HTTP/1.1\r\n" HOST END, 0, "GET /c? @[::1]:80 1.1 none keep"),
    ROW("GET http://b/c HTTP/1.0\r\n\r\n", 0, "GET /c? @b 1.0 none close"),
    ROW("OPTIONS * HTTP/1.1\r\n" HOST END, 0, "OPTIONS *? @a 1.1 none keep"),
    ROW("OPTIONS http://b HTTP/1.1\r\n" HOST END, 0, "OPTIONS *? @b 1.1 none keep"),
    ROW("OPTIONS http://b/ HTTP/1.1\r\n" HOST END, 0, "OPTIONS /? @b 1.1 none keep"),
    ROW("OPTIONS http://b?c HTTP/1.1\r\n" HOST END, 0, "OPTIONS /?c @b 1.1 none keep"),
    ROW("CONNECT b:443 HTTP/1.1\r\nHost: b:443\r\n\r\n", 0, "CONNECT ? @b:443 1.1 none keep"),
    ROW("CONNECT [::1]:1 HTTP/1.1\r\n" HOST END, 0, "CONNECT ? @[::1]:1 1.1 none keep"),
    ROW("CONNECT b:65535 HTTP/1.1\r\n" HOST "Content-Length: 0\r\n\r\n", 0,
	"CONNECT ? @b:65535 1.1 length:0 keep"),
};

static const struct row values[] = {
    ROW(TOP "A:\r\n" END, 0, SEEN),
    ROW(TOP "A: \t \r\n" END, 0, SEEN),
    ROW(TOP "A:b\r\n" END, 0, SEEN),
    ROW(TOP "A: b\tc \x80\xff d\r\n" END, 0, SEEN),
    ROW(TOP "!#$%&'*+-.^_`|~09azAZ: b\r\n" END, 0, SEEN),
    ROW(GET "hOsT:\t a \t\r\n" END, 0, SEEN),
    ROW(TOP "Content-Length-X: 5\r\nXHost: b\r\nTransfer_Encoding: chunked\r\n" END, 0, SEEN),
};

static const struct row hosts[] = {
    ROW(GET "Host: a.example:8080\r\n" END, 0, "GET /? @a.example:8080 1.1 none keep"),
    ROW(GET "Host: a:\r\n" END, 0, "GET /? @a: 1.1 none keep"),
    ROW(GET "Host: a:65535\r\n" END, 0, "GET /? @a:65535 1.1 none keep"),
    ROW(GET "Host: a_b-c.~!$&'()*+,;=%41%aF\r\n" END, 0, "GET /? @a_b-c.~!$&'()*+,;=%41%aF 1.1 none keep"),
    ROW(GET "Host: 127.0.0.1:1\r\n" END, 0, "GET /? @127.0.0.1:1 1.1 none keep"),
    ROW(GET "Host: [::]\r\n" END, 0, "GET /? @[::] 1.1 none keep"),
    ROW(GET "Host: [1::]:9\r\n" END, 0, "GET /? @[1::]:9 1.1 none keep"),
    ROW(GET "Host: [fe80::a:b]\r\n" END, 0, "GET /? @[fe80::a:b] 1.1 none keep"),
    ROW(GET "Host: [1:2:3:4:5:6:7:abCD]\r\n" END, 0, "GET /? @[1:2:3:4:5:6:7:abCD] 1.1 none keep"),
    ROW(GET "Host: [1:2:3:4:5:6:7::]\r\n" END, 0, "GET /? @[1:2:3:4:5:6:7::] 1.1 none keep"),
    ROW(GET "Host: [1:2:3:4:5:6:255.0.10.99]\r\n" END, 0, "GET /? @[1:2:3:4:5:6:255.0.10.99] 1.1 none keep"),
    ROW(GET "Host: [::ffff:1.2.3.4]\r\n" END, 0, "GET /? @[::ffff:1.2.3.4] 1.1 none keep"),
};

static const struct row framings[] = {
    ROW(POST "Content-Length: 5\r\n" END "|hello", 0, "POST /p? @a 1.1 length:5 keep"),
    ROW(POST "Content-Length: 0\r\n" END, 0, "POST /p? @a 1.1 length:0 keep"),
    ROW(POST "Content-Length: 0000000000000000000000012\r\n" END, 0, "POST /p? @a 1.1 length:12 keep"),
    ROW(POST "content-length:\t9223372036854775807 \r\n" END, 0,
	"POST /p? @a 1.1 length:9223372036854775807 keep"),
    ROW(TOP "Content-Length: 5\r\n" END, 0, "GET /? @a 1.1 length:5 keep"),
    ROW(OLD "Content-Length: 5\r\n" END, 0, "POST /p? @ 1.0 length:5 close"),
    ROW(POST "Transfer-Encoding: chunked\r\n" END, 0, "POST /p? @a 1.1 chunked keep"),
    ROW(POST "TRANSFER-ENCODING:\tCHUNKed\t\r\n" END, 0, "POST /p? @a 1.1 chunked keep"),
    ROW("CONNECT b:1 HTTP/1.1\r\n" HOST END, 0, "CONNECT ? @b:1 1.1 none keep"),
};

static const struct row connections[] = {
    ROW(TOP "Connection: close\r\n" END, 0, "GET /? @a 1.1 none close"),
    ROW(TOP "Connection: keep-alive\r\n" END, 0, SEEN),
    ROW(TOP "Connection: , Foo,cLOSE ,\r\n" END, 0, "GET /? @a 1.1 none close nominates"),
    ROW(TOP "Connection: keep-alive\r\nConnection: close\r\n" END, 0, "GET /? @a 1.1 none close"),
    ROW(TOP "Connection: \"a, close\"\r\n" END, 0, SEEN " nominates"),
    ROW(TOP "Connection: closed\r\n" END, 0, SEEN " nominates"),
    ROW(TOP "Connection:\r\n" END, 0, SEEN),
    ROW(TOP "Proxy-Connection: close\r\nKeep-Alive: timeout=5\r\n" END, 0, SEEN),
    ROW(OLD "Connection: Keep-Alive\r\n" END, 0, "POST /p? @ 1.0 none keep"),
    ROW(OLD "Connection: close, keep-alive\r\n" END, 0, "POST /p? @ 1.0 none close"),
    ROW(TOP "Connection: Upgrade\r\nUpgrade: websocket\r\n" END, 0, SEEN " upgrade:websocket"),
    ROW(TOP "Upgrade: a/1, b\r\nUpgrade: c\r\nConnection: keep-alive, upgrade\r\n" END, 0,
	SEEN " upgrade:a/1, b"),
    ROW(TOP "Upgrade: websocket\r\n" END, 0, SEEN),
    ROW(TOP "Connection: upgrade\r\n" END, 0, SEEN),
    ROW(TOP "Connection: upgrade\r\nUpgrade:\r\n" END, 0, SEEN),
    ROW(OLD "Connection: upgrade\r\nUpgrade: websocket\r\n" END, 0, "POST /p? @ 1.0 none close"),
};

static const struct row expectations[] = {
    ROW(POST "Expect: 100-Continue\r\nContent-Length: 1\r\n" END, 0, "POST /p? @a 1.1 length:1 keep expect"),
    ROW(POST "Expect: 100-continue\r\nExpect: 100-continue\r\n" END, 0, "POST /p? @a 1.1 none keep expect"),
    ROW(OLD "Expect: 100-continue\r\n" END, 0, "POST /p? @ 1.0 none close"),
    ROW(TOP "TE: trailers\r\n" END, 0, SEEN " trailers"),
    ROW(TOP "TE: deflate;q=0.5, Trailers\r\n" END, 0, SEEN " trailers"),
    ROW(TOP "TE: deflate\r\n" END, 0, SEEN),
    ROW(TOP "TE:\r\n" END, 0, SEEN),
    ROW(TOP "Connection: TE\r\nTE: trailers\r\n" END, 0, SEEN " trailers nominates"),
};

/* ---- bad ones ---- */

static const struct row bad_start_lines[] = {
    ROW("\r\n\r\n\r\n" TOP END, 400, "does not begin with a method"),
    ROW("\r" TOP END, 400, "bare CR"),
    ROW("\r\n\r" TOP END, 400, "bare CR"),
    ROW("\n" TOP END, 400, "bare LF"),
    ROW(" " TOP END, 400, "does not begin with a method"),
    ROW("G\tT / HTTP/1.1\r\n" HOST END, 400, "does not begin with a method"),
    ROW("G@T / HTTP/1.1\r\n" HOST END, 400, "does not begin with a method"),
    ROW("GET\r\n" HOST END, 400, "does not begin with a method"),
    ROW("\x16\x03\x01\x02", 400, "control byte"),
    ROW("G\0T / HTTP/1.1\r\n" HOST END, 400, "NUL"),
    ROW("GET  / HTTP/1.1\r\n" HOST END, 400, "empty request target"),
    ROW("GET  HTTP/1.1\r\n" HOST END, 400, "empty request target"),
    ROW("GET /  HTTP/1.1\r\n" HOST END, 400, "malformed HTTP version"),
    ROW("GET /\r\n" HOST END, 400, "without an HTTP version"),
    ROW("GET /\n" HOST END, 400, "bare LF"),
    ROW("GET / \r\n" HOST END, 400, "malformed HTTP version"),
    ROW("GET / HTTP/1.1 \r\n" HOST END, 400, "malformed HTTP version"),
    ROW("GET / HTTP/1.1x\r\n" HOST END, 400, "malformed HTTP version"),
    ROW("GET / HTTP/1.10\r\n" HOST END, 400, "malformed HTTP version"),
    ROW("GET / HTTP/11\r\n" HOST END, 400, "malformed HTTP version"),
    ROW("GET / HTTP/1,1\r\n" HOST END, 400, "malformed HTTP version"),
    ROW("GET / HTTP/1.x\r\n" HOST END, 400, "malformed HTTP version"),
    ROW("GET / HTTP/x.1\r\n" HOST END, 400, "malformed HTTP version"),
    ROW("GET / http/1.1\r\n" HOST END, 400, "malformed HTTP version"),
    ROW("GET / HTTPS/1.1\r\n" HOST END, 400, "malformed HTTP version"),
    ROW("GET / ICE/1.1\r\n" HOST END, 400, "malformed HTTP version"),
    ROW("GET / HTTP/\0.1\r\n" HOST END, 400, "NUL"),
    ROW("GET / HTTP/1.1\n" HOST END, 400, "bare LF"),
    ROW("GET / HTTP/1.1\rHost: a\r\n\r\n", 400, "bare CR"),
    ROW("GET / HTTP/2.0\n" HOST END, 400, "bare LF"),
    ROW("GET / HTTP/1.2\r\n" HOST END, 505, "not HTTP/1.0"),
    ROW("GET / HTTP/0.9\r\n" HOST END, 505, "not HTTP/1.0"),
    ROW("GET / HTTP/2.0\r\n" HOST END, 505, "not HTTP/1.0"),
    ROW("GET / HTTP/3.1\r\n" HOST END, 505, "not HTTP/1.0"),
    ROW("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, "not HTTP/1.0"),
};

static const struct row bad_targets[] = {
    ROW("GET /a#b HTTP/1.1\r\n" HOST END, 400, "may not hold"),
    ROW("GET /a\tb HTTP/1.1\r\n" HOST END, 400, "may not hold"),
    ROW("GET /\xc3\xa4 HTTP/1.1\r\n" HOST END, 400, "may not hold"),
    ROW("GET /a\x7f HTTP/1.1\r\n" HOST END, 400, "control byte"),
    ROW("GET /a\x01 HTTP/1.1\r\n" HOST END, 400, "control byte"),
    ROW("GET /a\0 HTTP/1.1\r\n" HOST END, 400, "NUL"),
    ROW("GET /a b HTTP/1.1\r\n" HOST END, 400, "malformed HTTP version"),
    ROW("GET a HTTP/1.1\r\n" HOST END, 400, "no known form"),
    ROW("GET ?a HTTP/1.1\r\n" HOST END, 400, "no known form"),
    ROW("GET a:80 HTTP/1.1\r\n" HOST END, 400, "no known form"),
    ROW("GET ftp://a/ HTTP/1.1\r\n" HOST END, 400, "no known form"),
    ROW("GET http:/a/ HTTP/1.1\r\n" HOST END, 400, "no known form"),
    ROW("GET httpss://a/ HTTP/1.1\r\n" HOST END, 400, "no known form"),
    ROW("GET * HTTP/1.1\r\n" HOST END, 400, "without OPTIONS"),
    ROW("OPTIONS ** HTTP/1.1\r\n" HOST END, 400, "no known form"),
    ROW("GET http:// HTTP/1.1\r\n" HOST END, 400, "empty or invalid host"),
    ROW("GET https:// HTTP/1.1\r\n" HOST END, 400, "empty or invalid host"),
    ROW("GET http:///a HTTP/1.1\r\n" HOST END, 400, "empty or invalid host"),
    ROW("GET http://:80/a HTTP/1.1\r\n" HOST END, 400, "empty or invalid host"),
    ROW("GET https://?a HTTP/1.1\r\n" HOST END, 400, "empty or invalid host"),
    ROW("GET http://u@a/ HTTP/1.1\r\n" HOST END, 400, "empty or invalid host"),
    ROW("GET http://u:p@a/ HTTP/1.1\r\n" HOST END, 400, "empty or invalid host"),
    ROW("GET http://a:b/ HTTP/1.1\r\n" HOST END, 400, "empty or invalid host"),
    ROW("GET http://a\\b/ HTTP/1.1\r\n" HOST END, 400, "empty or invalid host"),
    ROW("CONNECT / HTTP/1.1\r\n" HOST END, 400, "CONNECT to something"),
    ROW("CONNECT b HTTP/1.1\r\n" HOST END, 400, "CONNECT to something"),
    ROW("CONNECT b: HTTP/1.1\r\n" HOST END, 400, "CONNECT to something"),
    ROW("CONNECT b:0 HTTP/1.1\r\n" HOST END, 400, "CONNECT to something"),
    ROW("CONNECT b:65536 HTTP/1.1\r\n" HOST END, 400, "CONNECT to something"),
    ROW("CONNECT :1 HTTP/1.1\r\n" HOST END, 400, "CONNECT to something"),
    ROW("CONNECT http://b:1/ HTTP/1.1\r\n" HOST END, 400, "CONNECT to something"),
    ROW("CONNECT b:1 HTTP/1.1\r\n" HOST "Content-Length: 1\r\n" END, 400, "CONNECT with content"),
    ROW("CONNECT b:1 HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n" END, 400, "CONNECT with content"),
};

static const struct row bad_fields[] = {
    ROW(TOP "A: b\rc\r\n" END, 400, "bare CR"),
    ROW(TOP "A: b\r\r\n" END, 400, "bare CR"),
    ROW(TOP "A: b\nB: c\r\n" END, 400, "bare LF"),
    ROW(TOP "A: b\n\n", 400, "bare LF"),
    ROW(TOP "A: b\r\n\n", 400, "bare LF"),
    ROW(TOP "A: b\r\n\rX", 400, "bare CR"),
    ROW(TOP "A: b\0c\r\n" END, 400, "NUL"),
    ROW(TOP "A: b\0", 400, "NUL"),
    ROW(TOP "A: 12345678\x0b\r\n" END, 400, "control byte"),
    ROW(TOP "A: 1234567\x7f\r\n" END, 400, "control byte"),
    ROW(TOP "A: \t\t\t1234567\x1f 1234567\r\n" END, 400, "control byte"),
    ROW(TOP " A: b\r\n" END, 400, "obs-fold"),
    ROW(GET " " HOST END, 400, "obs-fold"),
    ROW(TOP "A: b\r\n c\r\n" END, 400, "obs-fold"),
    ROW(TOP "A: b\r\n\tc\r\n" END, 400, "obs-fold"),
    ROW(TOP "A: b\r\n \r\n" END, 400, "obs-fold"),
    ROW(TOP "A : b\r\n" END, 400, "white space in or after"),
    ROW(TOP "A\t: b\r\n" END, 400, "white space in or after"),
    ROW(TOP "A B: c\r\n" END, 400, "white space in or after"),
    ROW(TOP ": b\r\n" END, 400, "empty field name"),
    ROW(TOP "A\r\n" END, 400, "without a colon"),
    ROW(TOP "A\n: b\r\n" END, 400, "bare LF"),
    ROW(TOP "A\0: b\r\n" END, 400, "NUL"),
    ROW(TOP "A@: b\r\n" END, 400, "not a token"),
    ROW(TOP "A\x80: b\r\n" END, 400, "not a token"),
    ROW(TOP "\"A\": b\r\n" END, 400, "not a token"),
    ROW(TOP "A(b): c\r\n" END, 400, "not a token"),
};

static const struct row bad_hosts[] = {
    ROW(GET END, 400, "no Host"),
    ROW(GET "X-Host: a\r\n" END, 400, "no Host"),
    ROW("GET http://b/ HTTP/1.1\r\n\r\n", 400, "no Host"),
    ROW("CONNECT b:1 HTTP/1.1\r\n\r\n", 400, "no Host"),
    ROW(GET HOST HOST END, 400, "Host repeated"),
    ROW(GET HOST "hOST: b\r\n" END, 400, "Host repeated"),
    ROW("GET http://b/ HTTP/1.1\r\n" HOST HOST END, 400, "Host repeated"),
    ROW("GET / HTTP/1.0\r\n" HOST HOST END, 400, "Host repeated"),
    ROW(GET "Host:\r\n" END, 400, "invalid Host"),
    ROW("GET / HTTP/1.0\r\nHost:\r\n" END, 400, "invalid Host"),
    ROW("OPTIONS * HTTP/1.1\r\nHost: \r\n" END, 400, "invalid Host"),
    ROW("GET http://b/ HTTP/1.1\r\nHost:\r\n" END, 400, "invalid Host"),
    ROW("GET http://b/ HTTP/1.1\r\nHost: a/\r\n" END, 400, "invalid Host"),
    ROW(GET "Host: a b\r\n" END, 400, "invalid Host"),
    ROW(GET "Host: a, b\r\n" END, 400, "invalid Host"),
    ROW(GET "Host: a/b\r\n" END, 400, "invalid Host"),
    ROW(GET "Host: a?b\r\n" END, 400, "invalid Host"),
    ROW(GET "Host: a#b\r\n" END, 400, "invalid Host"),
    ROW(GET "Host: u@a\r\n" END, 400, "invalid Host"),
    ROW(GET "Host: a\\b\r\n" END, 400, "invalid Host"),
    ROW(GET "Host: a\"b\r\n" END, 400, "invalid Host"),
    ROW(GET "Host: a\xff\r\n" END, 400, "invalid Host"),
    ROW(GET "Host: http://a\r\n" END, 400, "invalid Host"),
    ROW(GET "Host: a%4\r\n" END, 400, "invalid Host"),
    ROW(GET "Host: a%4g\r\n" END, 400, "invalid Host"),
    ROW(GET "Host: a%g4\r\n" END, 400, "invalid Host"),
    ROW(GET "Host: a%\r\n" END, 400, "invalid Host"),
    ROW(GET "Host: :80\r\n" END, 400, "invalid Host"),
    ROW(GET "Host: a:b\r\n" END, 400, "invalid Host"),
    ROW(GET "Host: a:80:80\r\n" END, 400, "invalid Host"),
    ROW(GET "Host: a:-1\r\n" END, 400, "invalid Host"),
    ROW(GET "Host: a:65536\r\n" END, 400, "invalid Host"),
    ROW(GET "Host: a:4294967297\r\n" END, 400, "invalid Host"),
    ROW(GET "Host: a:65536x\r\n" END, 400, "invalid Host"),
    ROW(GET "Host: a:65535x\r\n" END, 400, "invalid Host"),
};

static const struct row bad_addresses[] = {
    ROW(GET "Host: ::1\r\n" END, 400, "invalid Host"),
    ROW(GET "Host: []\r\n" END, 400, "invalid Host"),
    ROW(GET "Host: [\r\n" END, 400, "invalid Host"),
    ROW(GET "Host: ]\r\n" END, 400, "invalid Host"),
    ROW(GET "Host: [::1\r\n" END, 400, "invalid Host"),
    ROW(GET "Host: [::1]x\r\n" END, 400, "invalid Host"),
    ROW(GET "Host: [::1]80\r\n" END, 400, "invalid Host"),
    ROW(GET "Host: [:]\r\n" END, 400, "invalid Host"),
    ROW(GET "Host: [:::]\r\n" END, 400, "invalid Host"),
    ROW(GET "Host: [:1::]\r\n" END, 400, "invalid Host"),
    ROW(GET "Host: [1:]\r\n" END, 400, "invalid Host"),
    ROW(GET "Host: [::1:]\r\n" END, 400, "invalid Host"),
    ROW(GET "Host: [1::2::3]\r\n" END, 400, "invalid Host"),
    ROW(GET "Host: [12345::]\r\n" END, 400, "invalid Host"),
    ROW(GET "Host: [::g]\r\n" END, 400, "invalid Host"),
    ROW(GET "Host: [1:2:3:4:5:6:7]\r\n" END, 400, "invalid Host"),
    ROW(GET "Host: [1:2:3:4:5:6:7:8:9]\r\n" END, 400, "invalid Host"),
    ROW(GET "Host: [1:2:3:4:5:6:7:8::]\r\n" END, 400, "invalid Host"),
    ROW(GET "Host: [::1:2:3:4:5:6:7:8]\r\n" END, 400, "invalid Host"),
    ROW(GET "Host: [1.2.3.4]\r\n" END, 400, "invalid Host"),
    ROW(GET "Host: [1:2:3:4:5:6:7:1.2.3.4]\r\n" END, 400, "invalid Host"),
    ROW(GET "Host: [::1.2.3]\r\n" END, 400, "invalid Host"),
    ROW(GET "Host: [::1.2.3.4.5]\r\n" END, 400, "invalid Host"),
    ROW(GET "Host: [::1.2.3.]\r\n" END, 400, "invalid Host"),
    ROW(GET "Host: [::1.2.3.256]\r\n" END, 400, "invalid Host"),
    ROW(GET "Host: [::1.2.3.04]\r\n" END, 400, "invalid Host"),
    ROW(GET "Host: [::1.2.3.4:5]\r\n" END, 400, "invalid Host"),
    ROW(GET "Host: [fe80::1%25eth0]\r\n" END, 400, "invalid Host"),
    ROW(GET "Host: [v1.a]\r\n" END, 400, "invalid Host"),
};

#define TE(value) POST "Transfer-Encoding: " value "\r\n" END
#define CL(value) POST "Content-Length: " value "\r\n" END

static const struct row bad_framings[] = {
    ROW(CL(""), 400, "decimal"),
    ROW(CL("+5"), 400, "decimal"),
    ROW(CL("-5"), 400, "decimal"),
    ROW(CL("0x5"), 400, "decimal"),
    ROW(CL("5 5"), 400, "decimal"),
    ROW(CL("5,5"), 400, "decimal"),
    ROW(CL("5, 5"), 400, "decimal"),
    ROW(CL("5_0"), 400, "decimal"),
    ROW(CL("5;"), 400, "decimal"),
    ROW(CL("\"5\""), 400, "decimal"),
    ROW(CL("5a"), 400, "decimal"),
    ROW(CL("99999999999999999999x"), 400, "decimal"),
    ROW(CL("9223372036854775808"), 413, "2^63"),
    ROW(CL("18446744073709551617"), 413, "2^63"),
    ROW(CL("99999999999999999999999999"), 413, "2^63"),
    ROW(POST "Content-Length: 5\r\nContent-Length: 5\r\n" END, 400, "repeated"),
    ROW(POST "Content-Length: 0\r\ncontent-length: 5\r\n" END, 400, "repeated"),
    ROW(POST "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n" END, 400, "with Transfer-Encoding"),
    ROW(POST "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n" END, 400, "with Transfer-Encoding"),
    ROW(POST "Transfer-Encoding: gzip, chunked\r\nContent-Length: 0\r\n" END, 400, "with Transfer-Encoding"),
    ROW(OLD "Transfer-Encoding: chunked\r\n" END, 400, "in HTTP/1.0"),
    ROW(OLD "Content-Length: 1\r\nTransfer-Encoding: x\r\n" END, 400, "in HTTP/1.0"),
    ROW(TE("gzip"), 400, "does not end in chunked"),
    ROW(TE("identity"), 400, "does not end in chunked"),
    ROW(TE("chunked, gzip"), 400, "does not end in chunked"),
    ROW(TE("chunked, identity"), 400, "does not end in chunked"),
    ROW(TE("xchunked"), 400, "does not end in chunked"),
    ROW(TE("chunkedx"), 400, "does not end in chunked"),
    ROW(TE("chunke"), 400, "does not end in chunked"),
    ROW(TE("x;chunked"), 400, "does not end in chunked"),
    ROW(TE("chunked, chunked"), 400, "twice"),
    ROW(TE("chunked,chunked"), 400, "twice"),
    ROW(TE("chunked, gzip, chunked"), 400, "twice"),
    ROW(POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: Chunked\r\n" END, 400, "twice"),
    ROW(POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n" END, 400, "does not end in chunked"),
    ROW(TE(""), 400, "malformed"),
    ROW(TE(","), 400, "malformed"),
    ROW(TE(", chunked"), 400, "malformed"),
    ROW(TE("chunked,"), 400, "malformed"),
    ROW(TE("gzip,, chunked"), 400, "malformed"),
    ROW(TE("chunked;a=b"), 400, "malformed"),
    ROW(TE("chunked ;a=b"), 400, "malformed"),
    ROW(TE("chunked x"), 400, "malformed"),
    ROW(TE("\"chunked\""), 400, "malformed"),
    ROW(TE("x\"y, chunked"), 400, "malformed"),
    ROW(TE("(a) chunked"), 400, "malformed"),
    ROW(TE("chunked\x80"), 400, "malformed"),
    ROW(TE("\x0b"
	   "chunked"),
	400, "control byte"),
    ROW(TE("chunked\0"), 400, "NUL"),
    ROW(TE("gzip, chunked"), 501, "other than chunked"),
    ROW(TE("identity, chunked"), 501, "other than chunked"),
    ROW(TE("gzip;q=1 , chunked"), 501, "other than chunked"),
    ROW(POST "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n" END, 501, "other than chunked"),
};

static const struct row bad_expectations[] = {
    ROW(POST "Expect:\r\n" END, 417, "Expect"),
    ROW(POST "Expect: 200-ok\r\n" END, 417, "Expect"),
    ROW(POST "Expect: 100-continue, x\r\n" END, 417, "Expect"),
    ROW(POST "Expect: 100-continue\r\nExpect: x\r\n" END, 417, "Expect"),
    ROW(OLD "Expect: x\r\n" END, 417, "Expect"),
};

/* The first fault in the order of bytes counts, however the bytes arrive. */
static const struct row two_faults[] = {
    ROW("GET / HTTP/2.0\r\nA\0", 505, "not HTTP/1.0"),
    ROW(TOP "Expect: x\r\nA: \0", 417, "Expect"),
    ROW(TOP "Content-Length: 99999999999999999999\r\nA: b\n", 413, "2^63"),
    ROW("GET /#\0", 400, "may not hold"),
    ROW(POST "Transfer-Encoding: gzip, chunked\r\nA: \x01", 400, "control byte"),
};

static const struct row limits[] = {
    ROW("GET /234 HTTP/1.1\r\n" HOST END, 0, "GET /234? @a 1.1 none keep", .limits.max_target = 4),
    ROW("GET /2345 HTTP/1.1\r\n" HOST END, 414, "target too long", .limits.max_target = 4),
    ROW(TOP END, 0, SEEN, .limits.max_head = 27),
    ROW(TOP END "|x", 0, SEEN, .limits.max_head = 27),
    ROW(TOP END, 431, "head too long", .limits.max_head = 26),
    ROW(TOP, 431, "head too long", .limits.max_head = 25),
    ROW("GET /2345", 431, "head too long", .limits.max_head = 9),
    ROW(TOP "A:\r\n" END, 0, SEEN, .limits.max_fields = 2),
    ROW(TOP "A:\r\nB:\r\n" END, 431, "too many fields", .limits.max_fields = 2),
};

/* Not complete, and refused all the same when they come in one piece. */
static const struct row early[] = {
    ROW("GET /2345", 414, "target too long", .limits.max_target = 4),
    ROW(TOP "A:\r\nB", 431, "too many fields", .limits.max_fields = 2),
    ROW("G@", 400, "does not begin with a method"),
    ROW("GET / HTTP/1.1\r\nA ", 400, "white space in or after"),
};

START_TEST(refused_early)
{
	struct rig *rig = rig_new(false);
	for (size_t i = 0; i < sizeof early / sizeof *early; i++)
		rig_verdict(rig, &early[i], rig_parse(rig, &early[i], early[i].n, 0), 0, "whole");
	rig_free(rig);
}
END_TEST

START_TEST(good_requests)
{
	RUN_ALL(false, start_lines);
	RUN_ALL(false, targets);
	RUN_ALL(false, values);
	RUN_ALL(false, hosts);
	RUN_ALL(false, framings);
	RUN_ALL(false, connections);
	RUN_ALL(false, expectations);
}
END_TEST

START_TEST(bad_requests)
{
	RUN_ALL(false, bad_start_lines);
	RUN_ALL(false, bad_targets);
	RUN_ALL(false, bad_fields);
	RUN_ALL(false, bad_hosts);
	RUN_ALL(false, bad_addresses);
	RUN_ALL(false, bad_framings);
	RUN_ALL(false, bad_expectations);
	RUN_ALL(false, two_faults);
}
END_TEST

START_TEST(limits_given)
{
	RUN_ALL(false, limits);
}
END_TEST

/* ---- every byte, against sets written down here a second time ---- */

static bool in_set(int b, const char *punctuation)
{
	bool alnum = (b >= '0' && b <= '9') || (b >= 'A' && b <= 'Z') || (b >= 'a' && b <= 'z');
	return alnum || (b > 0 && b < 128 && strchr(punctuation, b) != NULL);
}

/* Puts each byte at the '@' of a request; it must be let pass just when it is in the set. */
static void try_bytes(struct rig *rig, const char *around, bool (*good)(int b))
{
	char text[128];
	struct row row = {.bytes = text, .n = strlen(around)};
	memcpy(text, around, row.n);
	char *at = strchr(text, '@');
	for (int b = 0; b < 256; b++) {
		*at = (char)b;
		ssize_t r = rig_parse(rig, &row, row.n, 0);
		ck_assert_msg((r > 0) == good(b), "%s: byte %d: %zd", around, b, r);
		if (r > 0)
			continue;
		ck_assert_int_eq(r, SD_HTTP_BAD);
		ck_assert_int_eq(rig->head.error_status, 400);
	}
}

static bool is_token_byte(int b)
{
	return in_set(b, "!#$%&'*+-.^_`|~");
}

static bool is_name_byte(int b)
{
	return is_token_byte(b) || b == ':'; /* which ends the name there */
}

static bool is_target_byte(int b)
{
	return b > 0x20 && b < 0x7f && b != '#';
}

static bool is_value_byte(int b)
{
	return b == '\t' || (b >= 0x20 && b != 0x7f);
}

static bool is_host_byte(int b)
{
	return in_set(b, "-._~!$&'()*+,;=");
}

START_TEST(every_byte)
{
	struct rig *rig = rig_new(false);
	try_bytes(rig, "G@T / HTTP/1.1\r\nHost: a\r\n\r\n", is_token_byte);
	try_bytes(rig, "GET /@ HTTP/1.1\r\nHost: a\r\n\r\n", is_target_byte);
	try_bytes(rig, "GET / HTTP/1.1\r\nHost: a\r\nX@Y: b\r\n\r\n", is_name_byte);
	try_bytes(rig, "GET / HTTP/1.1\r\nHost: a\r\nX: b@c\r\n\r\n", is_value_byte);
	try_bytes(rig, "GET / HTTP/1.1\r\nHost: a\r\nX: 1234@6789\r\n\r\n", is_value_byte);
	try_bytes(rig, "GET / HTTP/1.1\r\nHost: a\r\nX: 12345678901234@\r\n\r\n", is_value_byte);
	try_bytes(rig, "GET / HTTP/1.1\r\nHost: a@b\r\n\r\n", is_host_byte);
	rig_free(rig);
}
END_TEST

/* ---- what a caller gets ---- */

START_TEST(slices_and_fields)
{
	static const char text[] =
	    "GET /a?b HTTP/1.1\r\nHost: h\r\nX-One:  1 \r\nx-one: 2\r\nDate: now\r\n\r\n";
	struct rig *rig = rig_new(false);
	struct sd_http_head *h = &rig->head;
	ck_assert_int_eq(sd_http_parse_request(text, sizeof text - 1, 0, NULL, h), sizeof text - 1);
	ck_assert(sd_slice_eq(h->target, "/a?b"));
	ck_assert_uint_eq(h->nfields, 4);
	ck_assert(sd_slice_eq(h->fields[1].name, "X-One"));
	ck_assert(sd_slice_eq(h->fields[1].value, "1"));
	ck_assert_int_eq(h->fields[1].id, SD_HTTP_F_OTHER);
	ck_assert_ptr_eq(h->fields[1].name.p, text + 28);
	ck_assert_ptr_eq(sd_http_find_name(h, "X-ONE"), &h->fields[1]);
	ck_assert_ptr_eq(sd_http_find(h, SD_HTTP_F_DATE), &h->fields[3]);
	ck_assert_ptr_null(sd_http_find(h, SD_HTTP_F_VIA));
	ck_assert_ptr_null(sd_http_find_name(h, "x-on"));
	ck_assert_int_eq(h->error_status, 0);
	ck_assert_ptr_null(h->error_reason);
	/* a shorter head in the same place: what is left of the longer one does not show */
	ck_assert_int_gt(sd_http_parse_request(TOP END, 27, 0, NULL, h), 0);
	ck_assert_ptr_null(sd_http_find_name(h, "x-one"));
	h->fields[1].id = SD_HTTP_F_CONNECTION;
	ck_assert_ptr_null(sd_http_find(h, SD_HTTP_F_CONNECTION));
	ck_assert(!sd_http_connection_names(h, sd_slice_of("1")));
	rig_free(rig);
}
END_TEST

/* Every name of the list, in both cases, and near misses of it. */
static void try_name(struct rig *rig, enum sd_http_field_id id, const char *name)
{
	char text[128];
	size_t n = strlen(name);
	for (int form = 0; form < 5; form++) {
		char field[32];
		memcpy(field, name, n + 1);
		for (size_t i = 0; form == 1 && i < n; i++)
			field[i] = (char)(name[i] == '-' ? '-' : name[i] - 'a' + 'A');
		if (form == 2)
			field[n - 1] = '9';
		if (form == 3)
			field[n / 2] = '.';
		if (form == 4)
			snprintf(field + n, sizeof field - n, "s");
		int len = snprintf(text, sizeof text, "HTTP/1.1 204 x\r\n%s: 1\r\n\r\n", field);
		sd_http_parse_response(text, (size_t)len, 0, NULL, SD_HTTP_GET, &rig->head);
		ck_assert_msg(rig->head.fields[0].id == (form < 2 ? id : SD_HTTP_F_OTHER), "%s", field);
	}
}

START_TEST(known_names)
{
	struct rig *rig = rig_new(true);
#define X(id, name) try_name(rig, id, name);
	SD_HTTP_FIELD_LIST(X)
#undef X
	rig_free(rig);
}
END_TEST

START_TEST(idempotent_methods)
{
	static const bool want[] = {
	    [SD_HTTP_GET] = true,    [SD_HTTP_HEAD] = true,    [SD_HTTP_PUT] = true,
	    [SD_HTTP_DELETE] = true, [SD_HTTP_OPTIONS] = true, [SD_HTTP_TRACE] = true,
	    [SD_HTTP_PATCH] = false,
	};
	for (int m = SD_HTTP_OTHER; m <= SD_HTTP_PATCH; m++)
		ck_assert_int_eq(sd_http_method_idempotent((enum sd_http_method)m), want[m]);
}
END_TEST

static void try_list(const char *text, const char *want)
{
	struct guard guard = guard_new(128);
	struct sd_slice list = {guard_put(&guard, text, strlen(text)), strlen(text)}, item;
	char got[128] = "";
	while (sd_http_list_next(&list, &item))
		snprintf(got + strlen(got), sizeof got - strlen(got), "<%.*s>", SLICE(item));
	ck_assert_str_eq(got, want);
	guard_free(&guard);
}

START_TEST(lists)
{
	try_list("", "");
	try_list(" ,\t, ", "");
	try_list("a", "<a>");
	try_list(" a , b,c\t,,", "<a><b><c>");
	try_list("a;x=\"1,2\", b", "<a;x=\"1,2\"><b>");
	try_list("\"a\\\",b\", c", "<\"a\\\",b\"><c>");
	try_list("\"a, b", "<\"a, b>");
	try_list("a\\,b", "<a\\><b>");
	try_list("\"a\\", "<\"a\\>");
}
END_TEST

START_TEST(connection_names)
{
	static const char text[] = TOP "Connection: close, X-A\r\nConnection: x-b\r\nVia: x-c\r\n\r\n";
	struct rig *rig = rig_new(false);
	ck_assert_int_gt(sd_http_parse_request(text, sizeof text - 1, 0, NULL, &rig->head), 0);
	ck_assert(sd_http_connection_names(&rig->head, sd_slice_of("x-a")));
	ck_assert(sd_http_connection_names(&rig->head, sd_slice_of("X-B")));
	ck_assert(sd_http_connection_names(&rig->head, sd_slice_of("close")));
	ck_assert(!sd_http_connection_names(&rig->head, sd_slice_of("x-c")));
	ck_assert(!sd_http_connection_names(&rig->head, sd_slice_of("x-")));
	rig_free(rig);
}
END_TEST

/* ---- sizes ---- */

/* prefix, n times the filler, suffix. */
static struct row big(const char *prefix, const char *filler, size_t n, const char *suffix)
{
	size_t size = strlen(prefix) + n * strlen(filler) + strlen(suffix);
	char *p = malloc(size + 1);
	ck_assert_ptr_nonnull(p);
	char *end = stpcpy(p, prefix);
	for (size_t i = 0; i < n; i++)
		end = stpcpy(end, filler);
	memcpy(end, suffix, strlen(suffix) + 1);
	return (struct row){.bytes = p, .n = size};
}

static void try_big(struct rig *rig, struct row row, int status)
{
	ssize_t whole = rig_parse(rig, &row, row.n, 0);
	int got = whole == SD_HTTP_BAD ? rig->head.error_status : 0;
	ck_assert_int_eq(got, status);
	ck_assert(status || whole == (ssize_t)row.n);
	rig_parse(rig, &row, row.n, row.n / 2);
	ck_assert_int_eq(rig->head.error_status, status);
	free((char *)row.bytes);
}

START_TEST(default_limits)
{
	struct rig *rig = rig_new(false);
	try_big(rig, big("GET /", "a", 8191, " HTTP/1.1\r\n" HOST END), 0);
	try_big(rig, big("GET /", "a", 8192, " HTTP/1.1\r\n" HOST END), 414);
	try_big(rig, big(TOP, "A: b\r\n", 99, END), 0);
	try_big(rig, big(TOP, "A: b\r\n", 100, END), 431);
	try_big(rig, big(TOP "A:", "b", 32768 - 31, "\r\n" END), 0);
	try_big(rig, big(TOP "A:", "b", 32768 - 30, "\r\n" END), 431);
	try_big(rig, big("", "A", 40000, ""), 431);
	struct row more = big(TOP, "A: b\r\n", 100, END);
	more.limits.max_fields = 200;
	try_big(rig, more, 431);
	rig_free(rig);
}
END_TEST

/* A slow client must not make the parser start over at each byte. */
START_TEST(slow_is_linear)
{
	struct row row = big(TOP "A: ", "b", 30000, "");
	struct rig *rig = rig_new(false);
	memset(&rig->head, 0, sizeof rig->head);
	rig->head.status = -7; /* stays, as long as the head is not walked */
	for (size_t n = 2; n <= row.n; n++)
		ck_assert_int_eq(sd_http_parse_request(row.bytes, n, n - 1, NULL, &rig->head),
				 SD_HTTP_INCOMPLETE);
	ck_assert_int_eq(rig->head.status, -7);
	ck_assert_int_eq(sd_http_parse_request(NULL, 0, 0, NULL, &rig->head), SD_HTTP_INCOMPLETE);
	free((char *)row.bytes);
	rig_free(rig);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("http1 requests");
	rig_add(s, "good requests", good_requests);
	rig_add(s, "bad requests", bad_requests);
	rig_add(s, "limits", limits_given);
	rig_add(s, "refused early", refused_early);
	rig_add(s, "every byte", every_byte);
	rig_add(s, "slices and fields", slices_and_fields);
	rig_add(s, "known names", known_names);
	rig_add(s, "idempotent methods", idempotent_methods);
	rig_add(s, "lists", lists);
	rig_add(s, "connection names", connection_names);
	rig_add(s, "default limits", default_limits);
	rig_add(s, "slow is linear", slow_is_linear);
	return rig_main(s);
}
