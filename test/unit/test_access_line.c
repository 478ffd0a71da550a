#include <cjson/cJSON.h>
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "core/access_line.h"
#include "core/proxy_status.h"
#include "core/rng.h"

#define S(text) ((struct sd_slice){text, sizeof(text) - 1})

static char out[SD_ACCESS_LINE_MAX];

static struct sd_access_line sample(void)
{
	return (struct sd_access_line){
	    .wall_ns = 1795315078123000000, .client = S("192.0.2.7"), .method = S("GET"), .target = S("/cart?n=2"),
	    .host = S("shop.test"), .referer = S("http://a/"), .user_agent = S("curl/8"), .backend = S("web-1"),
	    .trace = S("4bf92f3577b34da6a3ce929d0e0e4736"), .minor = 1, .status = 200, .bytes_in = 3, .bytes_out = 512,
	    .queue_ns = 0, .connect_ns = 200000, .first_byte_ns = 11900000, .total_ns = 12345678, .retries = 1};
}

static const char *line(enum sd_access_format format, const struct sd_access_line *l)
{
	size_t n = sd_access_line_write(out, format, l);
	ck_assert_uint_le(n, sizeof(out));
	ck_assert_int_eq(out[n - 1], '\n');
	out[n - 1] = '\0';
	ck_assert_uint_eq(strlen(out), n - 1);
	return out;
}

START_TEST(formats)
{
	struct sd_access_line l = sample();
	ck_assert_str_eq(line(SD_ACCESS_HUMAN, &l),
			 "2026-11-22T02:37:58.123Z 192.0.2.7 GET /cart?n=2 200 512B web-1 12.345ms (queue 0.000, connect 0.200, "
			 "first byte 11.900) retries 1 trace 4bf92f3577b34da6a3ce929d0e0e4736");
	ck_assert_str_eq(line(SD_ACCESS_JSON, &l),
			 "{\"time\":\"2026-11-22T02:37:58.123Z\",\"client\":\"192.0.2.7\",\"method\":\"GET\",\"target\":"
			 "\"/cart?n=2\",\"host\":\"shop.test\",\"protocol\":\"HTTP/1.1\",\"status\":200,\"bytes_in\":3,"
			 "\"bytes_out\":512,\"queue_ms\":0.000,\"connect_ms\":0.200,\"first_byte_ms\":11.900,\"total_ms\":12.345,"
			 "\"backend\":\"web-1\",\"retries\":1,\"end\":\"done\",\"trace\":\"4bf92f3577b34da6a3ce929d0e0e4736\","
			 "\"referer\":\"http://a/\",\"user_agent\":\"curl/8\"}");
	ck_assert_str_eq(line(SD_ACCESS_COMMON, &l),
			 "192.0.2.7 - - [22/Nov/2026:02:37:58 +0000] \"GET /cart?n=2 HTTP/1.1\" 200 512");
	ck_assert_str_eq(line(SD_ACCESS_COMBINED, &l),
			 "192.0.2.7 - - [22/Nov/2026:02:37:58 +0000] \"GET /cart?n=2 HTTP/1.1\" 200 512 \"http://a/\" \"curl/8\"");
}
END_TEST

START_TEST(what_is_missing)
{
	struct sd_access_line l = {.status = 400, .client = S("::1"), .queue_ns = SD_ACCESS_NONE, .connect_ns = SD_ACCESS_NONE,
				   .first_byte_ns = SD_ACCESS_NONE, .end = SD_ACCESS_REFUSED, .why = S("bare LF (RFC 9112 2.2)")};
	ck_assert_str_eq(line(SD_ACCESS_HUMAN, &l),
			 "1970-01-01T00:00:00.000Z ::1 - - 400 0B - 0.000ms (refused: bare LF (RFC 9112 2.2))");
	ck_assert_str_eq(line(SD_ACCESS_COMMON, &l), "::1 - - [01/Jan/1970:00:00:00 +0000] \"-\" 400 -");
	ck_assert_str_eq(line(SD_ACCESS_JSON, &l),
			 "{\"time\":\"1970-01-01T00:00:00.000Z\",\"client\":\"::1\",\"protocol\":\"HTTP/1.0\",\"status\":400,"
			 "\"bytes_in\":0,\"bytes_out\":0,\"total_ms\":0.000,\"retries\":0,\"end\":\"refused\","
			 "\"why\":\"bare LF (RFC 9112 2.2)\"}");
}
END_TEST

START_TEST(escapes)
{
	struct sd_access_line l = {.method = S("G"), .target = S("/\"\\\n\x1b[31m\x7f\xff\xc3\xa4"), .minor = 1};
	line(SD_ACCESS_JSON, &l);
	ck_assert_ptr_nonnull(strstr(out, "\"target\":\"/\\\"\\\\\\u000a\\u001b[31m\\u007f\\ufffd\xc3\xa4\""));
	line(SD_ACCESS_COMMON, &l);
	ck_assert_ptr_nonnull(strstr(out, "\"G /\\\"\\\\\\x0a\\x1b[31m\\x7f\\xff\\xc3\\xa4 HTTP/1.1\""));
	l.client = S("a b");
	line(SD_ACCESS_HUMAN, &l);
	ck_assert_ptr_nonnull(strstr(out, "Z a_b G /"));
}
END_TEST

/* Any bytes, any length: one line, no control byte, and JSON that a parser takes. */
START_TEST(any_bytes)
{
	static char bytes[9000];
	struct sd_rng rng;
	sd_rng_seed(&rng, 11);
	for (int round = 0; round < 90; round++) {
		for (size_t i = 0; i < sizeof(bytes); i++)
			bytes[i] = (char)(round % 3 == 0 ? 1 : round % 3 == 1 ? 0xff : sd_rng_next(&rng));
		struct sd_slice s[9];
		for (int i = 0; i < 9; i++)
			s[i] = (struct sd_slice){bytes + i, sd_rng_below(&rng, sizeof(bytes) - 9)};
		struct sd_access_line l = {.wall_ns = 1795315078123000000, .client = s[0], .method = s[1], .target = s[2],
					   .host = s[3], .referer = s[4], .user_agent = s[5], .backend = s[6], .trace = s[7],
					   .why = s[8], .status = 599, .bytes_in = UINT64_MAX, .bytes_out = UINT64_MAX,
					   .queue_ns = INT64_MAX, .connect_ns = INT64_MAX, .first_byte_ns = INT64_MAX,
					   .total_ns = INT64_MAX, .retries = UINT32_MAX, .end = SD_ACCESS_CLIENT_GONE};
		for (int f = SD_ACCESS_HUMAN; f <= SD_ACCESS_COMBINED; f++) {
			const char *p = line((enum sd_access_format)f, &l);
			while ((unsigned char)*p >= ' ' && *p != 127)
				p++;
			ck_assert_msg(*p == '\0', "format %d: byte %d", f, *p);
			if (f != SD_ACCESS_JSON)
				continue;
			cJSON *o = cJSON_Parse(out);
			ck_assert_ptr_nonnull(o);
			ck_assert_int_eq(cJSON_IsTrue(cJSON_GetObjectItem(o, "cut")), strstr(out, "\"cut\":true") != NULL);
			cJSON_Delete(o);
		}
	}
}
END_TEST

START_TEST(cut_targets_say_so)
{
	static char longer[6000];
	memset(longer, 'a', sizeof(longer));
	struct sd_access_line l = {.target = {longer, sizeof(longer)}};
	ck_assert_ptr_nonnull(strstr(line(SD_ACCESS_JSON, &l), ",\"cut\":true}"));
	l.target.n = 4096;
	ck_assert_ptr_null(strstr(line(SD_ACCESS_JSON, &l), "cut"));
}
END_TEST

/* ---- Proxy-Status, which says the same to the client ---- */

START_TEST(proxy_status)
{
	char field[SD_PROXY_STATUS], longer[2000];
	ck_assert_uint_eq(sd_proxy_status_write(field, SD_PROXY_OK, "x"), 0);
	ck_assert_str_eq(field, "");
	sd_proxy_status_write(field, SD_PROXY_CONNECTION_REFUSED, "the \"backend\"\r\n\\ said \xff");
	ck_assert_str_eq(field, "Proxy-Status: sdlab; error=connection_refused; details=\"the \\\"backend\\\"??\\\\ said ?\"\r\n");
	sd_proxy_status_write(field, SD_PROXY_LOOP_DETECTED, NULL);
	ck_assert_str_eq(field, "Proxy-Status: sdlab; error=proxy_loop_detected\r\n");
	for (int round = 0; round < 2; round++) {
		memset(longer, round ? '"' : 'x', sizeof(longer) - 1);
		longer[sizeof(longer) - 1] = '\0';
		size_t n = sd_proxy_status_write(field, SD_PROXY_HTTP_PROTOCOL_ERROR, longer);
		ck_assert_uint_eq(n, strlen(field));
		ck_assert_uint_lt(n, sizeof(field));
		ck_assert_str_eq(field + n - 3, "\"\r\n");
	}
	ck_assert_int_eq(sd_proxy_error_of(SD_EREFUSED, true), SD_PROXY_CONNECTION_REFUSED);
	ck_assert_int_eq(sd_proxy_error_of(SD_ETIMEOUT, true), SD_PROXY_CONNECTION_TIMEOUT);
	ck_assert_int_eq(sd_proxy_error_of(SD_ETIMEOUT, false), SD_PROXY_HTTP_RESPONSE_TIMEOUT);
	ck_assert_int_eq(sd_proxy_error_of(SD_EPROTO, false), SD_PROXY_HTTP_PROTOCOL_ERROR);
	ck_assert_int_eq(sd_proxy_error_of(SD_ERESET, false), SD_PROXY_CONNECTION_TERMINATED);
	ck_assert_int_eq(sd_proxy_error_of(SD_EIO, true), SD_PROXY_DESTINATION_UNAVAILABLE);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("access_line");
	TCase *t = tcase_create("access_line");
	tcase_add_test(t, formats);
	tcase_add_test(t, what_is_missing);
	tcase_add_test(t, escapes);
	tcase_add_test(t, any_bytes);
	tcase_add_test(t, cut_targets_say_so);
	tcase_add_test(t, proxy_status);
	suite_add_tcase(s, t);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
