/* What depends on what a client has: dates, entity tags, preconditions, codings, media types. */
#include <stdlib.h>

#include "core/http1_write.h"
#include "core/http_coding.h"
#include "core/http_cond.h"
#include "core/http_date.h"
#include "core/media_type.h"
#include "core/rng.h"
#include "head_rig.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

#define NOW 1795320000 /* 2026-11-22 */

/* ---- dates ---- */

START_TEST(dates)
{
	static const struct {
		const char *text;
		int64_t want; /* -1: none */
	} t[] = {
	    {"Sun, 06 Nov 1994 08:49:37 GMT", 784111777},
	    {"Sunday, 06-Nov-94 08:49:37 GMT", 784111777},
	    {"Sun Nov  6 08:49:37 1994", 784111777},
	    {"Sun Nov 06 08:49:37 1994", 784111777},
	    {"Thu, 01 Jan 1970 00:00:00 GMT", 0},
	    {"Thu, 29 Feb 2024 23:59:60 GMT", 1709251200},
	    {"Sunday, 22-Nov-26 00:00:00 GMT", 1795305600},
	    {"Sunday, 22-Nov-76 00:00:00 GMT", 3373228800},  /* 50 years ahead: the last that may be */
	    {"Tuesday, 22-Nov-77 00:00:00 GMT", 249004800}, /* 51 would be: so 1977 */
	    {"Sun, 06 Nov 1994 08:49:37 gmt", -1},
	    {"Sun, 06 Nov 1994 08:49:37 UTC", -1},
	    {"Sun, 6 Nov 1994 08:49:37 GMT", -1},
	    {"Mon, 06 Nov 1994 08:49:37 GMT", -1},
	    {"Sun, 06 Nov 1994 24:00:00 GMT", -1},
	    {"Sun, 06 Nov 1994 08:60:37 GMT", -1},
	    {"Sun, 06 Nov 1994 08:49:61 GMT", -1},
	    {"Wed, 30 Feb 2022 00:00:00 GMT", -1},
	    {"Wed, 00 Feb 2022 00:00:00 GMT", -1},
	    {"Sun, 06 nov 1994 08:49:37 GMT", -1},
	    {"Sun, 06 Nov 1994 08:49:37 GMT ", -1},
	    {"Sun, 06 Nov 1994 08:49:37", -1},
	    {"Sun, 06 Nov 94 08:49:37 GMT", -1},
	    {"Sun Nov  6 08:49:37 1994 GMT", -1},
	    {"784111777", -1},
	    {"", -1},
	};
	for (size_t i = 0; i < COUNT(t); i++) {
		int64_t got = -1;
		bool is = sd_http_read_date(sd_slice_of(t[i].text), NOW, &got);
		ck_assert_msg(is == (t[i].want != -1) && got == t[i].want, "%s: %lld", t[i].text, (long long)got);
		for (size_t n = 0; is && n < strlen(t[i].text); n++)
			ck_assert(!sd_http_read_date((struct sd_slice){t[i].text, n}, NOW, &got));
	}
}
END_TEST

START_TEST(dates_written_are_read)
{
	struct sd_rng rng;
	sd_rng_seed(&rng, 3);
	for (int i = 0; i < 10000; i++) {
		int64_t s = (int64_t)(sd_rng_next(&rng) % 9000000000ull), got;
		char text[30];
		sd_http_write_date(text, s * 1000000000);
		ck_assert_msg(sd_http_read_date(sd_slice_of(text), NOW, &got) && got == s, "%s", text);
	}
}
END_TEST

/* ---- entity tags ---- */

START_TEST(etags)
{
	static const struct {
		const char *a, *b;
		bool strong, weak;
	} t[] = {
	    {"\"1\"", "\"1\"", true, true},   {"\"1\"", "\"2\"", false, false}, {"W/\"1\"", "\"1\"", false, true},
	    {"\"1\"", "W/\"1\"", false, true}, {"W/\"1\"", "W/\"1\"", false, true}, {"W/\"1\"", "W/\"2\"", false, false},
	    {"", "", false, false},	      {"\"\"", "\"\"", true, true},
	};
	for (size_t i = 0; i < COUNT(t); i++) {
		struct sd_slice a = sd_slice_of(t[i].a), b = sd_slice_of(t[i].b);
		ck_assert_msg(sd_http_etag_strong(a, b) == t[i].strong, "%s %s", t[i].a, t[i].b);
		ck_assert_msg(sd_http_etag_weak(a, b) == t[i].weak, "%s %s", t[i].a, t[i].b);
	}
}
END_TEST

/* ---- preconditions ---- */

#define MODIFIED "Sun, 06 Nov 1994 08:49:37 GMT"
#define BEFORE	 "Sun, 06 Nov 1994 08:49:36 GMT"
#define AFTER	 "Sun, 06 Nov 1994 08:49:38 GMT"

static const struct sd_http_validators strong = {{"\"abc\"", 5}, 784111777}, weak = {{"W/\"abc\"", 7}, 784111777};

START_TEST(preconditions)
{
	static const struct {
		const char *method, *fields;
		const struct sd_http_validators *v;
		int want;
	} t[] = {
	    {"GET", "", &strong, 200},
	    {"GET", "If-None-Match: \"abc\"\r\n", &strong, 304},
	    {"HEAD", "If-None-Match: \"abc\"\r\n", &strong, 304},
	    {"PUT", "If-None-Match: \"abc\"\r\n", &strong, 412},
	    {"GET", "If-None-Match: W/\"abc\"\r\n", &strong, 304},
	    {"GET", "If-None-Match: \"abc\"\r\n", &weak, 304},
	    {"GET", "If-None-Match: *\r\n", &strong, 304},
	    {"PUT", "If-None-Match: *\r\n", &strong, 412},
	    {"GET", "If-None-Match: \"x\", \"a,b\" ,W/\"abc\"\r\n", &strong, 304},
	    {"GET", "If-None-Match: \"x\"\r\nIf-None-Match: \"abc\"\r\n", &strong, 304},
	    {"GET", "If-None-Match: \"x\"\r\n", &strong, 200},
	    {"GET", "If-None-Match: abc\r\n", &strong, 200},
	    {"GET", "If-None-Match: \"abc\r\n", &strong, 200},
	    {"GET", "If-None-Match: \"\\\", \"abc\"\r\n", &strong, 304}, /* a backslash escapes nothing */
	    {"GET", "If-None-Match: w/\"abc\"\r\n", &strong, 200},
	    /* the tag wins over the date */
	    {"GET", "If-None-Match: \"x\"\r\nIf-Modified-Since: " MODIFIED "\r\n", &strong, 200},
	    {"GET", "If-None-Match: \"abc\"\r\nIf-Modified-Since: " BEFORE "\r\n", &strong, 304},
	    {"GET", "If-Modified-Since: " MODIFIED "\r\n", &strong, 304},
	    {"GET", "If-Modified-Since: " AFTER "\r\n", &strong, 304},
	    {"GET", "If-Modified-Since: " BEFORE "\r\n", &strong, 200},
	    {"PUT", "If-Modified-Since: " AFTER "\r\n", &strong, 200},
	    {"GET", "If-Modified-Since: soon\r\n", &strong, 200},
	    {"GET", "If-Modified-Since: " AFTER "\r\nIf-Modified-Since: " AFTER "\r\n", &strong, 200},
	    {"GET", "If-Match: \"abc\"\r\n", &strong, 200},
	    {"GET", "If-Match: \"x\", \"abc\"\r\n", &strong, 200},
	    {"GET", "If-Match: *\r\n", &weak, 200},
	    {"GET", "If-Match: \"abc\"\r\n", &weak, 412},
	    {"GET", "If-Match: W/\"abc\"\r\n", &strong, 412},
	    {"GET", "If-Match: \"x\"\r\n", &strong, 412},
	    {"GET", "If-Match: abc\r\n", &strong, 412},
	    {"GET", "If-Match: \"abc\"\r\nIf-None-Match: \"abc\"\r\n", &strong, 304},
	    {"GET", "If-Match: \"x\"\r\nIf-None-Match: \"abc\"\r\n", &strong, 412},
	    {"GET", "If-Unmodified-Since: " BEFORE "\r\n", &strong, 412},
	    {"GET", "If-Unmodified-Since: " MODIFIED "\r\n", &strong, 200},
	    {"GET", "If-Unmodified-Since: soon\r\n", &strong, 200},
	    {"GET", "If-Match: \"abc\"\r\nIf-Unmodified-Since: " BEFORE "\r\n", &strong, 200},
	    {"GET", "If-Unmodified-Since: " BEFORE "\r\nIf-None-Match: \"abc\"\r\n", &strong, 412},
	};
	for (size_t i = 0; i < COUNT(t); i++) {
		int got = sd_http_precondition(head_of(t[i].method, t[i].fields), t[i].v, NOW);
		ck_assert_msg(got == t[i].want, "%s %s: %d", t[i].method, t[i].fields, got);
	}
	struct sd_http_validators nothing = {{"", 0}, SD_HTTP_NO_DATE};
	ck_assert_int_eq(sd_http_precondition(head_of("GET", "If-Modified-Since: " AFTER "\r\n"), &nothing, NOW), 200);
	ck_assert_int_eq(sd_http_precondition(head_of("GET", "If-None-Match: \"\"\r\n"), &nothing, NOW), 200);
}
END_TEST

START_TEST(if_range)
{
	static const struct {
		const char *fields;
		const struct sd_http_validators *v;
		bool want;
	} t[] = {
	    {"", &strong, true},
	    {"If-Range: \"abc\"\r\n", &strong, true},
	    {"If-Range: \"x\"\r\n", &strong, false},
	    {"If-Range: W/\"abc\"\r\n", &strong, false},
	    {"If-Range: \"abc\"\r\n", &weak, false},
	    {"If-Range: W/\"abc\"\r\n", &weak, false},
	    {"If-Range: " MODIFIED "\r\n", &strong, true},
	    {"If-Range: " BEFORE "\r\n", &strong, false},
	    {"If-Range: " AFTER "\r\n", &strong, false},
	    {"If-Range: *\r\n", &strong, false},
	    {"If-Range: \"abc\", \"abc\"\r\n", &strong, false},
	    {"If-Range: \"abc\"\r\nIf-Range: \"abc\"\r\n", &strong, false},
	};
	for (size_t i = 0; i < COUNT(t); i++)
		ck_assert_msg(sd_http_if_range(head_of("GET", t[i].fields), t[i].v, NOW) == t[i].want, "%s", t[i].fields);
	/* within the second of the change the date says nothing */
	const struct sd_http_head *head = head_of("GET", "If-Range: " MODIFIED "\r\n");
	ck_assert(!sd_http_if_range(head, &strong, strong.modified_s));
	ck_assert(sd_http_if_range(head, &strong, strong.modified_s + 1));
}
END_TEST

/* ---- codings ---- */

START_TEST(codings)
{
	enum { ALL = SD_CODING_BIT(SD_CODING_ZSTD) | SD_CODING_BIT(SD_CODING_GZIP), GZIP = SD_CODING_BIT(SD_CODING_GZIP) };
	static const struct {
		const char *fields;
		unsigned available;
		enum sd_http_coding want;
	} t[] = {
	    {"", ALL, SD_CODING_IDENTITY},
	    {"Accept-Encoding:\r\n", ALL, SD_CODING_IDENTITY},
	    {"Accept-Encoding: gzip\r\n", ALL, SD_CODING_GZIP},
	    {"Accept-Encoding: x-gzip\r\n", ALL, SD_CODING_GZIP},
	    {"Accept-Encoding: GZip\r\n", ALL, SD_CODING_GZIP},
	    {"Accept-Encoding: gzip\r\n", 0, SD_CODING_IDENTITY},
	    {"Accept-Encoding: gzip, deflate, br, zstd\r\n", ALL, SD_CODING_ZSTD},
	    {"Accept-Encoding: gzip, deflate, br, zstd\r\n", GZIP, SD_CODING_GZIP},
	    {"Accept-Encoding: gzip\r\nAccept-Encoding: zstd\r\n", ALL, SD_CODING_ZSTD},
	    {"Accept-Encoding: zstd;q=0.5, gzip;q=0.6\r\n", ALL, SD_CODING_GZIP},
	    {"Accept-Encoding: zstd ; q=0.500 ,gzip ;Q=0.499\r\n", ALL, SD_CODING_ZSTD},
	    {"Accept-Encoding: gzip;q=0\r\n", ALL, SD_CODING_IDENTITY},
	    {"Accept-Encoding: gzip;q=0.000, *\r\n", ALL, SD_CODING_ZSTD},
	    {"Accept-Encoding: gzip;q=0, *\r\n", GZIP, SD_CODING_IDENTITY},
	    {"Accept-Encoding: *\r\n", ALL, SD_CODING_ZSTD},
	    {"Accept-Encoding: *;q=0\r\n", ALL, SD_CODING_IDENTITY},
	    {"Accept-Encoding: *;q=0, gzip\r\n", ALL, SD_CODING_GZIP},
	    {"Accept-Encoding: identity;q=0, *;q=0.1\r\n", ALL, SD_CODING_ZSTD},
	    {"Accept-Encoding: identity;q=0\r\n", ALL, SD_CODING_IDENTITY},
	    {"Accept-Encoding: identity, gzip;q=0.5\r\n", ALL, SD_CODING_IDENTITY},
	    {"Accept-Encoding: identity;q=0.4, gzip;q=0.5\r\n", ALL, SD_CODING_GZIP},
	    {"Accept-Encoding: gzip;q=0.001\r\n", ALL, SD_CODING_GZIP},
	    {"Accept-Encoding: br, deflate\r\n", ALL, SD_CODING_IDENTITY},
	    {"Accept-Encoding: gzipx, xgzip\r\n", ALL, SD_CODING_IDENTITY},
	    {"Accept-Encoding: gzip;q=2\r\n", ALL, SD_CODING_IDENTITY},
	    {"Accept-Encoding: gzip;q=1.001\r\n", ALL, SD_CODING_IDENTITY},
	    {"Accept-Encoding: gzip;q=0.0001\r\n", ALL, SD_CODING_IDENTITY},
	    {"Accept-Encoding: gzip;q=-1\r\n", ALL, SD_CODING_IDENTITY},
	    {"Accept-Encoding: gzip;q=\r\n", ALL, SD_CODING_IDENTITY},
	    {"Accept-Encoding: gzip;level=9\r\n", ALL, SD_CODING_IDENTITY},
	    {"Accept-Encoding: gzip;\r\n", ALL, SD_CODING_IDENTITY},
	};
	for (size_t i = 0; i < COUNT(t); i++) {
		enum sd_http_coding got = sd_http_choose_coding(head_of("GET", t[i].fields), t[i].available);
		ck_assert_msg(got == t[i].want, "%s: %s", t[i].fields, sd_http_coding_name(got));
	}
}
END_TEST

/* ---- media types ---- */

START_TEST(media_types)
{
	static const struct {
		const char *name, *want;
		bool compressible;
	} t[] = {
	    {"index.html", "text/html; charset=utf-8", true},
	    {"INDEX.HTM", "text/html; charset=utf-8", true},
	    {"/a.b/app.min.js", "text/javascript; charset=utf-8", true},
	    {"data.json", "application/json", true},
	    {"a.7z", "application/x-7z-compressed", false},
	    {"a.zst", "application/zstd", false},
	    {"a.avi", "video/x-msvideo", false},
	    {"a.avif", "image/avif", false},
	    {"a.svg", "image/svg+xml", true},
	    {"a.wasm", "application/wasm", true},
	    {"a.webmanifest", "application/manifest+json", true},
	    {"a.woff2", "font/woff2", false},
	    {"a.xml", "application/xml", true},
	    {"a.png", "image/png", false},
	    {"a.htmlx", "application/octet-stream", false},
	    {"a.ht", "application/octet-stream", false},
	    {"a.", "application/octet-stream", false},
	    {"html", "application/octet-stream", false},
	    {"a.html/x", "application/octet-stream", false},
	    {"", "application/octet-stream", false},
	};
	for (size_t i = 0; i < COUNT(t); i++) {
		const char *got = sd_media_type(sd_slice_of(t[i].name));
		ck_assert_msg(strcmp(got, t[i].want) == 0, "%s: %s", t[i].name, got);
		ck_assert_msg(sd_media_compressible(sd_slice_of(got)) == t[i].compressible, "%s", got);
	}
	ck_assert(sd_media_compressible(sd_slice_of("TEXT/Plain")));
	ck_assert(sd_media_compressible(sd_slice_of("application/problem+json; charset=utf-8")));
	ck_assert(!sd_media_compressible(sd_slice_of("text/event-stream; x=y")));
	ck_assert(!sd_media_compressible(sd_slice_of("")));
	ck_assert(!sd_media_compressible(sd_slice_of("text/")));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("http_cond");
	TCase *t = tcase_create("http_cond");

	tcase_add_test(t, dates);
	tcase_add_test(t, dates_written_are_read);
	tcase_add_test(t, etags);
	tcase_add_test(t, preconditions);
	tcase_add_test(t, if_range);
	tcase_add_test(t, codings);
	tcase_add_test(t, media_types);
	tcase_set_timeout(t, 60);
	suite_add_tcase(s, t);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
