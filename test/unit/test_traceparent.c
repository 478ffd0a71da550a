#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "core/traceparent.h"

#define TRACE  "4bf92f3577b34da6a3ce929d0e0e4736"
#define PARENT "00f067aa0ba902b7"

static bool parse(const char *text, struct sd_traceparent *t)
{
	/* exactly as many bytes as there are, so that the sanitizers see one read too many */
	size_t n = strlen(text);
	char *copy = malloc(n ? n : 1);
	memcpy(copy, text, n);
	bool ok = sd_traceparent_parse((struct sd_slice){copy, n}, t);
	free(copy);
	return ok;
}

START_TEST(valid)
{
	struct sd_traceparent t;
	char id[33], out[SD_TRACEPARENT];
	ck_assert(parse("00-" TRACE "-" PARENT "-01", &t));
	sd_traceparent_id(id, &t);
	ck_assert_str_eq(id, TRACE);
	sd_traceparent_write(out, &t);
	ck_assert_mem_eq(out, "00-" TRACE "-" PARENT "-01", SD_TRACEPARENT);
	ck_assert(parse("00-" TRACE "-" PARENT "-00", &t) && t.flags == 0);
	ck_assert(parse("00-" TRACE "-" PARENT "-ff", &t) && t.flags == 0xff);
	sd_traceparent_write(out, &t);
	ck_assert_mem_eq(out, "00-" TRACE "-" PARENT "-01", SD_TRACEPARENT);
}
END_TEST

START_TEST(later_versions)
{
	static const char *const good[] = {"01-" TRACE "-" PARENT "-01", "cc-" TRACE "-" PARENT "-01-what-comes",
					   "fe-" TRACE "-" PARENT "-01-"};
	struct sd_traceparent t;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		ck_assert_msg(parse(good[i], &t), "%s", good[i]);
	ck_assert(!parse("01-" TRACE "-" PARENT "-01x", &t));
	ck_assert(!parse("01-" TRACE "-" PARENT "-01.x", &t));
}
END_TEST

START_TEST(invalid)
{
	static const char *const bad[] = {
	    "", "00", "ff-" TRACE "-" PARENT "-01", "00-" TRACE "-" PARENT "-0", "00-" TRACE "-" PARENT "-01-",
	    "00-" TRACE "-" PARENT "-01 ", "00-00000000000000000000000000000000-" PARENT "-01",
	    "00-" TRACE "-0000000000000000-01", "00-4BF92f3577b34da6a3ce929d0e0e4736-" PARENT "-01",
	    "00-" TRACE "-00F067aa0ba902b7-01", "00-" TRACE "-" PARENT "-0A", "0X-" TRACE "-" PARENT "-01",
	    "00_" TRACE "-" PARENT "-01", "00-" TRACE "_" PARENT "-01", "00-" TRACE "-" PARENT "_01",
	    "00-4bf92f3577b34da6a3ce929d0e0e473g-" PARENT "-01", " 00-" TRACE "-" PARENT "-01",
	};
	struct sd_traceparent t;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ck_assert_msg(!parse(bad[i], &t), "%s", bad[i]);
}
END_TEST

START_TEST(found)
{
	static struct sd_http_head head;
	struct sd_traceparent t;
	static const char one[] = "GET / HTTP/1.1\r\nHost: h\r\nTraceParent: 00-" TRACE "-" PARENT "-01\r\n\r\n";
	static const char two[] = "GET / HTTP/1.1\r\nHost: h\r\ntraceparent: 00-" TRACE "-" PARENT
				  "-01\r\ntraceparent: 00-" TRACE "-" PARENT "-01\r\n\r\n";
	static const char none[] = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
	ck_assert(sd_http_parse_request(one, sizeof(one) - 1, 0, NULL, &head) > 0 && sd_traceparent_find(&head, &t));
	ck_assert(sd_http_parse_request(two, sizeof(two) - 1, 0, NULL, &head) > 0 && !sd_traceparent_find(&head, &t));
	ck_assert(sd_http_parse_request(none, sizeof(none) - 1, 0, NULL, &head) > 0 && !sd_traceparent_find(&head, &t));
}
END_TEST

START_TEST(begun_and_continued)
{
	struct sd_rng rng;
	struct sd_traceparent t, next, again;
	char out[SD_TRACEPARENT];
	sd_rng_seed(&rng, 7);
	sd_traceparent_begin(&t, &rng);
	ck_assert_uint_eq(t.flags, 1);
	next = t;
	sd_traceparent_next(&next, &rng);
	ck_assert_mem_eq(next.trace, t.trace, 16);
	ck_assert_mem_ne(next.parent, t.parent, 8);
	sd_traceparent_write(out, &next);
	ck_assert(sd_traceparent_parse((struct sd_slice){out, sizeof(out)}, &again));
	ck_assert_mem_eq(again.parent, next.parent, 8);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("traceparent");
	TCase *t = tcase_create("traceparent");
	tcase_add_test(t, valid);
	tcase_add_test(t, later_versions);
	tcase_add_test(t, invalid);
	tcase_add_test(t, found);
	tcase_add_test(t, begun_and_continued);
	suite_add_tcase(s, t);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
