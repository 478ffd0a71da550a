/* Response heads: framing by status and by the request, and what is refused; every refusal is a 502. */
#include "http1_rig.h"

#define OK   "HTTP/1.1 200 OK\r\n"
#define OLD  "HTTP/1.0 200 OK\r\n"
#define END  "\r\n"
#define CL   "Content-Length: 5\r\n"
#define TE   "Transfer-Encoding: chunked\r\n"
#define HEAD .asked = SD_HTTP_HEAD
#define CONN .asked = SD_HTTP_CONNECT

static const struct row good[] = {
    ROW(OK CL END "|hello", 0, "200 'OK' 1.1 length:5 keep"),
    ROW(OK "Content-Length: 0\r\n" END, 0, "200 'OK' 1.1 length:0 keep"),
    ROW(OK TE END, 0, "200 'OK' 1.1 chunked keep"),
    ROW(OK END, 0, "200 'OK' 1.1 close-ends close"),
    ROW(OK "Connection: keep-alive\r\n" END, 0, "200 'OK' 1.1 close-ends close"),
    ROW(OK "Connection: close\r\n" CL END, 0, "200 'OK' 1.1 length:5 close"),
    ROW(OLD CL END, 0, "200 'OK' 1.0 length:5 close"),
    ROW(OLD "Connection: keep-alive\r\n" CL END, 0, "200 'OK' 1.0 length:5 keep"),
    ROW(OLD END, 0, "200 'OK' 1.0 close-ends close"),
    ROW("HTTP/1.1 100 Continue\r\n" END, 0, "100 'Continue' 1.1 none keep"),
    ROW("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n" CL END, 0, "103 'Early Hints' 1.1 none:5 keep"),
    ROW("HTTP/1.1 199 x\r\n" TE END, 0, "199 'x' 1.1 none keep"),
    ROW("HTTP/1.1 204 No Content\r\n" TE END, 0, "204 'No Content' 1.1 none keep"),
    ROW("HTTP/1.1 304 Not Modified\r\n" CL END, 0, "304 'Not Modified' 1.1 none:5 keep"),
    ROW("HTTP/1.1 205 x\r\n" CL END, 0, "205 'x' 1.1 length:5 keep"),
    ROW(OK CL END, 0, "200 'OK' 1.1 none:5 keep", HEAD),
    ROW(OK TE END, 0, "200 'OK' 1.1 none keep", HEAD),
    ROW(OK END, 0, "200 'OK' 1.1 none keep", HEAD),
    ROW(OK CL END, 0, "200 'OK' 1.1 none:5 keep", CONN),
    ROW("HTTP/1.1 299 x\r\n" TE END, 0, "299 'x' 1.1 none keep", CONN),
    ROW("HTTP/1.1 300 x\r\n" CL END, 0, "300 'x' 1.1 length:5 keep", CONN),
    ROW("HTTP/1.1 407 x\r\n" CL END, 0, "407 'x' 1.1 length:5 keep", CONN),
    ROW("HTTP/1.1 101 x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n" END, 0,
	"101 'x' 1.1 none keep upgrade:websocket"),
    ROW(OK CL "Connection: X-Private\r\n" END, 0, "200 'OK' 1.1 length:5 keep nominates"),
    /* fields that mean something in requests only */
    ROW(OK CL "Host: a b\r\nHost:\r\nExpect: x\r\nTE: trailers\r\n" END, 0, "200 'OK' 1.1 length:5 keep"),
    ROW("HTTP/1.1 404 Not  Found\t\xe4!\r\n" CL END, 0, "404 'Not  Found\t\xe4!' 1.1 length:5 keep"),
    ROW("HTTP/1.1 599 \r\n" CL END, 0, "599 '' 1.1 length:5 keep"),
    ROW("HTTP/1.1 500\r\n" CL END, 0, "500 '' 1.1 length:5 keep"),
};

static const struct row bad[] = {
    ROW("\r\n" OK END, 502, "malformed HTTP version"),
    ROW(" " OK END, 502, "malformed HTTP version"),
    ROW("HTTP/1.1  200 OK\r\n" END, 502, "malformed status line"),
    ROW("HTTP/1.1\t200 OK\r\n" END, 502, "malformed status line"),
    ROW("HTTP/1.1\r\n" END, 502, "malformed status line"),
    ROW("HTTP/1.1 \r\n" END, 502, "malformed status line"),
    ROW("HTTP/1.1 20 OK\r\n" END, 502, "malformed status line"),
    ROW("HTTP/1.1 2000 OK\r\n" END, 502, "malformed status line"),
    ROW("HTTP/1.1 20x OK\r\n" END, 502, "malformed status line"),
    ROW("HTTP/1.1 -20 OK\r\n" END, 502, "malformed status line"),
    ROW("HTTP/1.1 200\tOK\r\n" END, 502, "malformed status line"),
    ROW("HTTP/1.1 200OK\r\n" END, 502, "malformed status line"),
    ROW("HTTP/1.1 099 x\r\n" END, 502, "outside 100 to 599"),
    ROW("HTTP/1.1 600 x\r\n" END, 502, "outside 100 to 599"),
    ROW("HTTP/1.1 999 x\r\n" END, 502, "outside 100 to 599"),
    ROW("HTTP/1.1 200 O\rK\r\n" END, 502, "bare CR"),
    ROW("HTTP/1.1 200 OK\n\n", 502, "bare LF"),
    ROW("HTTP/1.1 200\n\n", 502, "bare LF"),
    ROW("HTTP/1.1 200 O\0K\r\n" END, 502, "NUL"),
    ROW("HTTP/1.1 200 O\x7fK\r\n" END, 502, "control byte"),
    ROW("ICY 200 OK\r\n" END, 502, "malformed HTTP version"),
    ROW("http/1.1 200 OK\r\n" END, 502, "malformed HTTP version"),
    ROW("HTTP/1.1x200 OK\r\n" END, 502, "malformed status line"),
    ROW("HTTP/2.0 200 OK\r\n" END, 502, "not HTTP/1.0"),
    ROW("HTTP/1.2 200 OK\r\n" END, 502, "not HTTP/1.0"),
    ROW("HTTP/0.9 200 OK\r\n" END, 502, "not HTTP/1.0"),
    ROW(OK "A : b\r\n" END, 502, "white space in or after"),
    ROW(OK "A: b\r\n c\r\n" END, 502, "obs-fold"),
    ROW(OK " A: b\r\n" END, 502, "obs-fold"),
    ROW(OK ": b\r\n" END, 502, "empty field name"),
    ROW(OK "A\r\n" END, 502, "without a colon"),
    ROW(OK "A(: b\r\n" END, 502, "not a token"),
    ROW(OK "A: b\0\r\n" END, 502, "NUL"),
    ROW(OK "A: b\rc\r\n" END, 502, "bare CR"),
    ROW(OK "A: b\n\r\n", 502, "bare LF"),
    ROW(OK CL CL END, 502, "repeated"),
    ROW(OK "Content-Length: 5, 5\r\n" END, 502, "decimal"),
    ROW(OK "Content-Length:\r\n" END, 502, "decimal"),
    ROW(OK "Content-Length: 9223372036854775808\r\n" END, 502, "2^63"),
    ROW(OK CL TE END, 502, "with Transfer-Encoding"),
    ROW(OK TE CL END, 502, "with Transfer-Encoding", HEAD),
    ROW(OK TE TE END, 502, "twice"),
    ROW(OK "Transfer-Encoding: gzip\r\n" END, 502, "does not end in chunked"),
    ROW(OK "Transfer-Encoding: chunked, gzip\r\n" END, 502, "does not end in chunked"),
    ROW(OK "Transfer-Encoding: gzip, chunked\r\n" END, 502, "other than chunked"),
    ROW(OK "Transfer-Encoding: , chunked\r\n" END, 502, "malformed"),
    ROW(OLD TE END, 502, "in HTTP/1.0"),
    ROW(OK CL "A: b\r\n" END, 502, "too many fields", .limits.max_fields = 1),
    ROW(OK CL END, 502, "head too long", .limits.max_head = 37),
};

START_TEST(good_responses)
{
	RUN_ALL(true, good);
}
END_TEST

START_TEST(bad_responses)
{
	RUN_ALL(true, bad);
}
END_TEST

START_TEST(status_texts)
{
	ck_assert_str_eq(sd_http_status_text(200), "OK");
	ck_assert_str_eq(sd_http_status_text(404), "Not Found");
	ck_assert_str_eq(sd_http_status_text(431), "Request Header Fields Too Large");
	ck_assert_str_eq(sd_http_status_text(511), "Network Authentication Required");
	ck_assert_str_eq(sd_http_status_text(0), "Unknown");
	ck_assert_str_eq(sd_http_status_text(299), "Unknown");
	ck_assert_str_eq(sd_http_status_text(512), "Unknown");
	ck_assert_str_eq(sd_http_status_text(-1), "Unknown");
}
END_TEST

int main(void)
{
	Suite *s = suite_create("http1 responses");
	rig_add(s, "good responses", good_responses);
	rig_add(s, "bad responses", bad_responses);
	rig_add(s, "status texts", status_texts);
	return rig_main(s);
}
