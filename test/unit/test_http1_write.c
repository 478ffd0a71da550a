/* What is written into messages, and which fields a proxy takes out. */
#include <inttypes.h>
#include <time.h>

#include "core/http1_write.h"
#include "http1_rig.h"

#define S ((int64_t)1000000000)

static void try_date(int64_t ns, const char *want)
{
	char out[31];
	memset(out, '#', sizeof out);
	ck_assert_uint_eq(sd_http_write_date(out, ns), 29);
	ck_assert_str_eq(out, want);
	ck_assert_int_eq(out[30], '#');
}

START_TEST(dates)
{
	try_date(0, "Thu, 01 Jan 1970 00:00:00 GMT");
	try_date(784111777 * S, "Sun, 06 Nov 1994 08:49:37 GMT");
	try_date(951782400 * S, "Tue, 29 Feb 2000 00:00:00 GMT");
	try_date(951868799 * S + 999999999, "Tue, 29 Feb 2000 23:59:59 GMT");
	try_date(4107542400 * S, "Mon, 01 Mar 2100 00:00:00 GMT");
	try_date(-1, "Wed, 31 Dec 1969 23:59:59 GMT");
	try_date(-S, "Wed, 31 Dec 1969 23:59:59 GMT");
	try_date(-86400 * S, "Wed, 31 Dec 1969 00:00:00 GMT");
	try_date(INT64_MAX, "Fri, 11 Apr 2262 23:47:16 GMT");
	try_date(INT64_MIN, "Tue, 21 Sep 1677 00:12:43 GMT");
}
END_TEST

/* Each day of the range, at an odd time of day, against libc. */
START_TEST(every_day)
{
	for (int64_t day = -106000; day < 106000; day++) {
		char got[30], want[64];
		time_t s = day * 86400 + (day * 7919 % 86400 + 86400) % 86400;
		struct tm tm;
		strftime(want, sizeof want, "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&s, &tm));
		sd_http_write_date(got, s * S + 5);
		ck_assert_str_eq(got, want);
	}
}
END_TEST

static void try_number(uint64_t v)
{
	char want[32], got[32];
	memset(got, '#', sizeof got);
	size_t n = (size_t)snprintf(want, sizeof want, "%" PRIu64, v);
	ck_assert_uint_eq(sd_u64_dec(got, v), n);
	ck_assert_mem_eq(got, want, n);
	ck_assert_int_eq(got[n], '#');
	n = (size_t)snprintf(want, sizeof want, "%" PRIx64 "\r\n", v);
	memset(got, '#', sizeof got);
	ck_assert_uint_eq(sd_http_chunk_head(got, v), n);
	ck_assert_mem_eq(got, want, n);
	ck_assert_int_eq(got[n], '#');
}

START_TEST(numbers)
{
	for (uint64_t p = 1, last = 0; p > last; last = p, p *= 10) {
		try_number(p - 1);
		try_number(p);
		try_number(p + 1);
	}
	for (int bit = 0; bit < 64; bit++) {
		try_number(UINT64_C(1) << bit);
		try_number((UINT64_C(1) << bit) - 1);
	}
	for (uint64_t v = 0; v < 20000; v++)
		try_number(v);
	try_number(UINT64_MAX);
}
END_TEST

/* ---- fields that stop at a proxy ---- */

/* The names that are left of a request with these fields, each followed by a space. */
static const char *passed_on(const char *fields)
{
	static struct sd_http_head head;
	static char text[1024], left[1024];
	int n = snprintf(text, sizeof text, "GET / HTTP/1.1\r\nHost: a\r\n%s\r\n", fields);
	ck_assert_int_eq(sd_http_parse_request(text, (size_t)n, 0, NULL, &head), n);
	left[0] = '\0';
	for (size_t i = 0; i < head.nfields; i++)
		if (!sd_http_hop_by_hop(&head, &head.fields[i]))
			snprintf(left + strlen(left), sizeof left - strlen(left), "%.*s ",
				 SLICE(head.fields[i].name));
	return left;
}

START_TEST(always_dropped)
{
	ck_assert_str_eq(passed_on("X: 1\r\n"), "Host X ");
	ck_assert_str_eq(passed_on("Connection: close\r\nX: 1\r\n"), "Host X ");
	ck_assert_str_eq(passed_on("keep-alive: 1\r\nPROXY-CONNECTION: x\r\nTE: trailers\r\nTrailer: x\r\n"
				   "Transfer-Encoding: chunked\r\nUpgrade: x\r\n"),
			 "Host ");
	ck_assert_str_eq(passed_on("Proxy-Authorization: x\r\nMax-Forwards: 1\r\nVia: 1.1 x\r\nKeep: 1\r\n"),
			 "Host Proxy-Authorization Max-Forwards Via Keep ");
}
END_TEST

START_TEST(nominated)
{
	ck_assert_str_eq(passed_on("Connection: X-A\r\nX-a: 1\r\nX-AB: 1\r\n"), "Host X-AB ");
	ck_assert_str_eq(passed_on("X-A: 1\r\nConnection: close, x-a\r\nServer: 1\r\nConnection: server\r\n"),
			 "Host ");
	ck_assert_str_eq(passed_on("Connection: close, keep-alive, upgrade\r\nClose: 1\r\n"), "Host Close ");
	ck_assert_str_eq(passed_on("Connection: authorizatio, cookie2, x-forwarded\r\nAuthorizatio: 1\r\n"
				   "Cookie2: 1\r\nX-Forwarded: 1\r\n"),
			 "Host ");
}
END_TEST

START_TEST(protected_from_nomination)
{
	static const char *const names[] = {
	    "Host",
	    "Authorization",
	    "Cookie",
	    "X-Forwarded-For",
	    "X-Forwarded-Host",
	    "X-Forwarded-Proto",
	    "X-Forwarded-Port",
	    "Forwarded",
	    "Via",
	    "Content-Length",
	    "Content-Type",
	    "Content-Encoding",
	    "Cache-Control",
	    "Date",
	    "Expect",
	};
	for (size_t i = 1; i < sizeof names / sizeof *names; i++) {
		char fields[128], want[128];
		const char *value = strcmp(names[i], "Expect") == 0 ? "100-continue" : "1";
		snprintf(fields, sizeof fields, "Connection: x, %s, host\r\n%s: %s\r\n", names[i], names[i],
			 value);
		snprintf(want, sizeof want, "Host %s ", names[i]);
		ck_assert_str_eq(passed_on(fields), want);
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("http1 writing");
	rig_add(s, "dates", dates);
	rig_add(s, "every day", every_day);
	rig_add(s, "numbers", numbers);
	rig_add(s, "always dropped", always_dropped);
	rig_add(s, "nominated", nominated);
	rig_add(s, "protected from nomination", protected_from_nomination);
	return rig_main(s);
}
