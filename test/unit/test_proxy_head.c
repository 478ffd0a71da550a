#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/proxy_head.h"
#include "core/rng.h"

static struct sd_http_head head;
static const struct sd_peer inet = {.ip = {10, 0, 0, 7}, .kind = SD_ADDR_INET};
static const struct sd_peer inet6 = {.ip = {[15] = 1}, .kind = SD_ADDR_INET, .v6 = true};
static const struct sd_peer local = {.kind = SD_ADDR_UNIX};

static struct sd_proxy_hop hop_of(const struct sd_peer *client, bool trusted)
{
	return (struct sd_proxy_hop){client, trusted, {"http", 4}, {"sdlab", 5}, {"nowhere", 7}};
}

static char *rewritten(const char *request, const struct sd_proxy_hop *hop)
{
	ssize_t n = sd_http_parse_request(request, strlen(request), 0, NULL, &head);
	ck_assert_msg(n > 0, "%s", head.error_reason);
	size_t bound = sd_proxy_request_bound(&head, hop);
	char *out = malloc(bound + 1); /* a byte too many is found by the sanitizers */
	size_t wrote = sd_proxy_request_head(out, &head, hop);
	ck_assert_uint_le(wrote, bound);
	out[wrote] = '\0';
	return out;
}

static void becomes(const char *request, const struct sd_peer *client, bool trusted, const char *want)
{
	struct sd_proxy_hop hop = hop_of(client, trusted);
	char *got = rewritten(request, &hop);
	ck_assert_str_eq(got, want);
	free(got);
}

START_TEST(plain)
{
	becomes("GET /p?q HTTP/1.1\r\nHost: h:8080\r\nAccept: */*\r\n\r\n", &inet, false,
		"GET /p?q HTTP/1.1\r\nHost: h:8080\r\nAccept: */*\r\nX-Forwarded-For: 10.0.0.7\r\n"
		"X-Forwarded-Proto: http\r\nX-Forwarded-Host: h:8080\r\nVia: 1.1 sdlab\r\n\r\n");
	becomes("GET / HTTP/1.1\r\nHost: h\r\n\r\n", &inet6, false,
		"GET / HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: ::1\r\nX-Forwarded-Proto: http\r\n"
		"X-Forwarded-Host: h\r\nVia: 1.1 sdlab\r\n\r\n");
}
END_TEST

/* Counted down for the methods that it is for (RFC 9110 section 7.6.2), as a number of any length. */
START_TEST(max_forwards)
{
	static const struct {
		const char *method, *value, *passed;
	} rows[] = {
	    {"OPTIONS", "1", "0"},    {"TRACE", "10", "09"},  {"OPTIONS", "1000", "0999"}, {"GET", "0", "0"},
	    {"GET", "7", "7"},	      {"OPTIONS", "-1", "-1"}, {"OPTIONS", "", ""},	    {"OPTIONS", "1a", "1a"},
	    {"OPTIONS", "0", NULL},   {"TRACE", "000", NULL}, {"OPTIONS", "100000000000000000000", "099999999999999999999"},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char request[128], want[64];
		snprintf(request, sizeof(request), "%s / HTTP/1.1\r\nHost: h\r\nMax-Forwards: %s\r\n\r\n", rows[i].method,
			 rows[i].value);
		struct sd_proxy_hop hop = hop_of(&inet, false);
		char *got = rewritten(request, &hop);
		ck_assert_msg(sd_proxy_is_last_hop(&head) == !rows[i].passed, "row %zu", i);
		snprintf(want, sizeof(want), "\r\nMax-Forwards: %s\r\n", rows[i].passed ? rows[i].passed : "");
		ck_assert_msg(!rows[i].passed || strstr(got, want), "row %zu: %s", i, got);
		free(got);
	}
}
END_TEST

START_TEST(traces)
{
	static const char field[] = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
	static const char request[] = "GET / HTTP/1.1\r\nHost: h\r\nTraceparent: old\r\nTracestate: a=1\r\n\r\n";
	struct sd_proxy_hop hop = hop_of(&local, true);
	char *got = rewritten(request, &hop);
	ck_assert_ptr_nonnull(strstr(got, "Traceparent: old\r\nTracestate: a=1\r\n"));
	free(got);
	hop.traceparent = sd_slice_of(field);
	got = rewritten(request, &hop);
	ck_assert_ptr_null(strstr(got, "old"));
	ck_assert_ptr_nonnull(strstr(got, "Tracestate: a=1\r\n"));
	ck_assert_ptr_nonnull(strstr(got, "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n"));
	free(got);
	hop.trace_begins = true;
	got = rewritten(request, &hop);
	ck_assert_ptr_null(strstr(got, "Tracestate"));
	free(got);
}
END_TEST

START_TEST(old_clients)
{
	becomes("GET / HTTP/1.0\r\n\r\n", &inet, false,
		"GET / HTTP/1.1\r\nHost: nowhere\r\nX-Forwarded-For: 10.0.0.7\r\nX-Forwarded-Proto: http\r\n"
		"Via: 1.0 sdlab\r\n\r\n");
}
END_TEST

START_TEST(forms_of_target)
{
	static const struct {
		const char *request, *line;
	} rows[] = {
	    {"GET http://real/p?q HTTP/1.1\r\nHost: other\r\n\r\n", "GET /p?q HTTP/1.1\r\nHost: real\r\n"},
	    {"GET http://real HTTP/1.1\r\nHost: other\r\n\r\n", "GET / HTTP/1.1\r\nHost: real\r\n"},
	    {"GET http://real?q HTTP/1.1\r\nHost: other\r\n\r\n", "GET /?q HTTP/1.1\r\nHost: real\r\n"},
	    {"GET http://real:81/ HTTP/1.0\r\n\r\n", "GET / HTTP/1.1\r\nHost: real:81\r\n"},
	    {"OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n", "OPTIONS * HTTP/1.1\r\nHost: h\r\n"},
	    {"OPTIONS http://real HTTP/1.1\r\nHost: h\r\n\r\n", "OPTIONS * HTTP/1.1\r\nHost: real\r\n"},
	    {"BREW /pot HTTP/1.1\r\nHost: h\r\n\r\n", "BREW /pot HTTP/1.1\r\nHost: h\r\n"},
	};
	struct sd_proxy_hop hop = hop_of(&inet, false);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char *got = rewritten(rows[i].request, &hop);
		ck_assert_msg(strncmp(got, rows[i].line, strlen(rows[i].line)) == 0, "%s", got);
		ck_assert_ptr_null(strstr(got, "other"));
		free(got);
	}
}
END_TEST

START_TEST(hop_by_hop)
{
	becomes("GET / HTTP/1.1\r\nHost: h\r\nConnection: close, X-A,x-b\r\nconnection: X-C\r\nX-A: 1\r\nX-B: 2\r\n"
		"X-C: 3\r\nX-D: 4\r\nKeep-Alive: 5\r\nProxy-Connection: x\r\nTE: trailers\r\nTrailer: T\r\n"
		"Upgrade: u\r\n\r\n",
		&local, false,
		"GET / HTTP/1.1\r\nHost: h\r\nX-D: 4\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: h\r\n"
		"Via: 1.1 sdlab\r\n\r\n");
}
END_TEST

/* What a client could have taken away only to deceive. */
START_TEST(nominated_in_vain)
{
	struct sd_proxy_hop hop = hop_of(&inet, false);
	char *got = rewritten("POST / HTTP/1.1\r\nHost: h\r\n"
			      "Connection: Host, Content-Length, Authorization, Cookie, X-Forwarded-For, Via, X-Gone\r\n"
			      "Content-Length: 3\r\nAuthorization: a\r\nCookie: c\r\nVia: 1.1 before\r\nX-Gone: 1\r\n\r\n",
			      &hop);
	ck_assert_ptr_nonnull(strstr(got, "\r\nContent-Length: 3\r\n"));
	ck_assert_ptr_nonnull(strstr(got, "\r\nAuthorization: a\r\n"));
	ck_assert_ptr_nonnull(strstr(got, "\r\nCookie: c\r\n"));
	ck_assert_ptr_nonnull(strstr(got, "\r\nVia: 1.1 before\r\n"));
	ck_assert_ptr_nonnull(strstr(got, "\r\nX-Forwarded-For: 10.0.0.7\r\n"));
	ck_assert_ptr_null(strstr(got, "X-Gone"));
	free(got);
}
END_TEST

#define CLAIMS                                                                                               \
	"GET / HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: 1.1.1.1\r\nX-Forwarded-For: 2.2.2.2, 3.3.3.3\r\n"         \
	"X-Forwarded-For:\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: outside\r\nForwarded: for=1.1.1.1\r\n\r\n"

START_TEST(claims)
{
	becomes(CLAIMS, &inet, false,
		"GET / HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: 10.0.0.7\r\nX-Forwarded-Proto: http\r\n"
		"X-Forwarded-Host: h\r\nVia: 1.1 sdlab\r\n\r\n");
	becomes(CLAIMS, &inet, true,
		"GET / HTTP/1.1\r\nHost: h\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: outside\r\n"
		"Forwarded: for=1.1.1.1\r\nX-Forwarded-For: 1.1.1.1, 2.2.2.2, 3.3.3.3, 10.0.0.7\r\nVia: 1.1 sdlab\r\n\r\n");
	/* a trusted one without an address passes the chain on as it is */
	becomes(CLAIMS, &local, true,
		"GET / HTTP/1.1\r\nHost: h\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: outside\r\n"
		"Forwarded: for=1.1.1.1\r\nX-Forwarded-For: 1.1.1.1, 2.2.2.2, 3.3.3.3\r\nVia: 1.1 sdlab\r\n\r\n");
	becomes("GET / HTTP/1.1\r\nHost: h\r\nX-Forwarded-Proto: https\r\n\r\n", &inet, true,
		"GET / HTTP/1.1\r\nHost: h\r\nX-Forwarded-Proto: https\r\nX-Forwarded-For: 10.0.0.7\r\n"
		"X-Forwarded-Host: h\r\nVia: 1.1 sdlab\r\n\r\n");
}
END_TEST

START_TEST(bodies)
{
	becomes("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n", &local, false,
		"POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nX-Forwarded-Proto: http\r\n"
		"X-Forwarded-Host: h\r\nVia: 1.1 sdlab\r\nTransfer-Encoding: chunked\r\n\r\n");
}
END_TEST

START_TEST(answers)
{
	static const char answer[] = "HTTP/1.0 200 OK\r\nContent-Length: 5\r\nConnection: keep-alive, X-A\r\nX-A: 1\r\n"
				     "Keep-Alive: 3\r\nSet-Cookie: a\r\nSet-Cookie:   b  \r\nVia: 1.1 inner\r\n\r\n";
	struct sd_proxy_hop hop = {.via = {"sdlab", 5}};
	char out[512];
	ck_assert_int_gt(sd_http_parse_response(answer, strlen(answer), 0, NULL, SD_HTTP_GET, &head), 0);
	size_t n = sd_proxy_answer_fields(out, &head, &hop);
	ck_assert_uint_le(n, sd_proxy_answer_bound(&head, &hop));
	out[n] = '\0';
	ck_assert_str_eq(out, "Set-Cookie: a\r\nSet-Cookie: b\r\nVia: 1.1 inner\r\nVia: 1.0 sdlab\r\n");
}
END_TEST

/* ---- the bound holds for whatever parses ---- */

#define REQUEST_MAX 4096

static size_t add(char *o, size_t room, struct sd_rng *rng, const char *const *parts, size_t n)
{
	return (size_t)snprintf(o, room, "%s", parts[sd_rng_below(rng, (uint32_t)n)]);
}

#define ADD(...)                                                                                             \
	do {                                                                                                 \
		static const char *const parts_[] = {__VA_ARGS__};                                           \
		n += add(o + n, REQUEST_MAX - n, rng, parts_, sizeof(parts_) / sizeof(parts_[0]));                            \
	} while (0)

static void random_request(char *o, struct sd_rng *rng)
{
	size_t n = 0;
	ADD("GET ", "POST ", "OPTIONS ", "PURGE ");
	ADD("/", "/a/b?c", "http://h", "http://h:1?x", "http://a.very.long.name.example/with/a/path?and=query", "*");
	ADD(" HTTP/1.1\r\n", " HTTP/1.1\r\n", " HTTP/1.0\r\n");
	ADD("", "Host: h\r\n", "Host: another.long.name.example:65535\r\n", "Host: h\r\n");
	for (uint32_t i = sd_rng_below(rng, 12); i > 0; i--) {
		ADD("X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "Forwarded", "Via", "A", "Connection",
		    "Keep-Alive", "TE", "Expect");
		ADD(":", ": ", ":   ");
		ADD("", "x", "1.2.3.4", "a, b, c", "100-continue", "keep-alive", "a-value-that-is-a-little-longer");
		ADD("\r\n", " \r\n", "\t\r\n");
	}
	ADD("", "Content-Length: 7\r\n", "Transfer-Encoding: chunked\r\n");
	ADD("\r\n");
}

/* What a backend is told by Forwarded; `trusted` is whether the client is believed. */
static void becomes_forwarded(const char *fields, const struct sd_peer *client, bool trusted, enum sd_proxy_style style,
			      const char *want)
{
	struct sd_proxy_hop hop = hop_of(client, trusted);
	char request[1024];
	hop.style = style;
	snprintf(request, sizeof(request), "GET / HTTP/1.1\r\nHost: h\r\n%s\r\n", fields);
	char *got = rewritten(request, &hop), *from = strchr(got, '\n') + 10; /* behind Host: h */
	*strstr(from, "Via:") = '\0';
	ck_assert_str_eq(from, want);
	free(got);
}

START_TEST(forwarded)
{
	const struct sd_peer port = {.ip = {10, 0, 0, 7}, .kind = SD_ADDR_INET, .port = 4711};
	const struct sd_peer port6 = {.ip = {[15] = 1}, .kind = SD_ADDR_INET, .v6 = true, .port = 4711};
	static const char both[] = "X-Forwarded-For: 1.1.1.1\r\nForwarded: for=2.2.2.2;proto=https\r\n";
	enum sd_proxy_style only = SD_PROXY_FORWARDED;
	becomes_forwarded("", &inet, false, only, "Forwarded: for=10.0.0.7;proto=http;host=h;by=_sdlab\r\n");
	becomes_forwarded("", &port, false, only, "Forwarded: for=\"10.0.0.7:4711\";proto=http;host=h;by=_sdlab\r\n");
	becomes_forwarded("", &inet6, false, only, "Forwarded: for=\"[::1]\";proto=http;host=h;by=_sdlab\r\n");
	becomes_forwarded("", &port6, false, only, "Forwarded: for=\"[::1]:4711\";proto=http;host=h;by=_sdlab\r\n");
	becomes_forwarded("", &local, true, only, "Forwarded: for=unknown;proto=http;host=h;by=_sdlab\r\n");
	becomes_forwarded(both, &inet, false, only, "Forwarded: for=10.0.0.7;proto=http;host=h;by=_sdlab\r\n");
	becomes_forwarded(both, &inet, true, only,
			  "X-Forwarded-For: 1.1.1.1\r\n"
			  "Forwarded: for=2.2.2.2;proto=https, for=10.0.0.7;proto=http;host=h;by=_sdlab\r\n");
	becomes_forwarded(both, &inet, true, SD_PROXY_BOTH,
			  "X-Forwarded-For: 1.1.1.1, 10.0.0.7\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: h\r\n"
			  "Forwarded: for=2.2.2.2;proto=https, for=10.0.0.7;proto=http;host=h;by=_sdlab\r\n");
	/* a chain in the older words only is told in the newer ones */
	becomes_forwarded("X-Forwarded-For: 1.1.1.1, ::2,x\r\nX-Forwarded-For: [::3]:80\r\n", &inet, true, only,
			  "X-Forwarded-For: 1.1.1.1, ::2,x\r\nX-Forwarded-For: [::3]:80\r\n"
			  "Forwarded: for=1.1.1.1, for=\"[::2]\", for=unknown, for=\"[::3]\", "
			  "for=10.0.0.7;proto=http;host=h;by=_sdlab\r\n");
}
END_TEST

static void client_is(const char *fields, const struct sd_peer *peer, const char *want)
{
	struct sd_cidr trusted[2];
	char request[1024], ip[46];
	ck_assert_int_eq(sd_cidr_parse("10.0.0.0/8", &trusted[0], NULL), SD_OK);
	ck_assert_int_eq(sd_cidr_parse("::1", &trusted[1], NULL), SD_OK);
	snprintf(request, sizeof(request), "GET / HTTP/1.1\r\nHost: h\r\n%s\r\n", fields);
	ck_assert_int_gt(sd_http_parse_request(request, strlen(request), 0, NULL, &head), 0);
	struct sd_peer p = sd_proxy_client(&head, peer, trusted, 2);
	sd_peer_format(&p, ip);
	ck_assert_msg(strcmp(ip, want) == 0, "%s: expected %s, found %s", fields, want, ip);
}

START_TEST(who_the_client_is)
{
	static const struct sd_peer stranger = {.ip = {9, 9, 9, 9}, .kind = SD_ADDR_INET};
	client_is("", &inet, "10.0.0.7");
	client_is("X-Forwarded-For: 1.1.1.1\r\n", &stranger, "9.9.9.9");
	client_is("X-Forwarded-For: 1.1.1.1\r\n", &inet, "1.1.1.1");
	client_is("X-Forwarded-For: 1.1.1.1\r\n", &local, "1.1.1.1");
	/* what stands left of the right-most stranger is that stranger's tale */
	client_is("X-Forwarded-For: 6.6.6.6, 1.1.1.1, 10.1.1.1\r\n", &inet, "1.1.1.1");
	client_is("X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-For: 1.1.1.1:99\r\nX-Forwarded-For: 10.1.1.1,::1\r\n", &inet,
		  "1.1.1.1");
	client_is("X-Forwarded-For: 10.2.2.2, 10.1.1.1\r\n", &inet, "10.2.2.2");
	client_is("X-Forwarded-For: 6.6.6.6, nonsense, 10.1.1.1, 10.3.3.3\r\n", &inet, "10.1.1.1");
	client_is("X-Forwarded-For: nonsense\r\n", &inet, "10.0.0.7");
	client_is("X-Forwarded-For: [2001:db8::1]:80\r\nForwarded: for=6.6.6.6\r\n", &inet, "2001:db8::1");
	client_is("Forwarded: for=6.6.6.6;by=_a, FOR=\"[2001:db8::1]:47\";proto=https, proto=http;For=10.1.1.1\r\n", &inet,
		  "2001:db8::1");
	client_is("Forwarded: for=6.6.6.6, for=unknown, for=10.1.1.1\r\n", &inet, "10.1.1.1");
	client_is("Forwarded: for=_hidden\r\n", &inet, "10.0.0.7");
}
END_TEST

START_TEST(upgrade_is_passed_on)
{
	struct sd_proxy_hop hop = hop_of(&inet, false);
	hop.upgrade = sd_slice_of("websocket");
	char *got = rewritten("GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade, X-Hop\r\nX-Hop: 1\r\n"
			      "Upgrade: websocket, h2c\r\n\r\n",
			      &hop);
	ck_assert_str_eq(got, "GET / HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: 10.0.0.7\r\nX-Forwarded-Proto: http\r\n"
			      "X-Forwarded-Host: h\r\nVia: 1.1 sdlab\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
	free(got);
}
END_TEST

START_TEST(never_beyond_the_bound)
{
	static const struct sd_peer longest = {
	    .ip = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
	    .kind = SD_ADDR_INET,
	    .v6 = true,
	    .port = 65535};
	static const struct sd_peer *const clients[] = {&inet, &inet6, &local, &longest};
	struct sd_rng rng;
	char request[REQUEST_MAX];
	int parsed = 0;
	sd_rng_seed(&rng, 2026);
	for (int i = 0; i < 20000; i++) {
		random_request(request, &rng);
		if (sd_http_parse_request(request, strlen(request), 0, NULL, &head) <= 0)
			continue;
		struct sd_proxy_hop hop = hop_of(clients[sd_rng_below(&rng, 4)], sd_rng_below(&rng, 2));
		hop.style = (enum sd_proxy_style)sd_rng_below(&rng, 3);
		char *got = rewritten(request, &hop);
		struct sd_http_head again;
		/* and what comes out is a good request itself */
		ck_assert_msg(sd_http_parse_request(got, strlen(got), 0, NULL, &again) == (ssize_t)strlen(got), "%s\n%s",
			      again.error_reason, got);
		ck_assert_int_eq(again.framing, head.framing);
		ck_assert(!again.connection_nominates && !again.connection_upgrade);
		parsed++;
		free(got);
	}
	ck_assert_int_gt(parsed, 2000);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("proxy_head");
	TCase *t = tcase_create("proxy_head");
	tcase_add_test(t, plain);
	tcase_add_test(t, old_clients);
	tcase_add_test(t, traces);
	tcase_add_test(t, max_forwards);
	tcase_add_test(t, forms_of_target);
	tcase_add_test(t, hop_by_hop);
	tcase_add_test(t, nominated_in_vain);
	tcase_add_test(t, claims);
	tcase_add_test(t, bodies);
	tcase_add_test(t, answers);
	tcase_add_test(t, forwarded);
	tcase_add_test(t, who_the_client_is);
	tcase_add_test(t, upgrade_is_passed_on);
	tcase_add_test(t, never_beyond_the_bound);
	suite_add_tcase(s, t);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
