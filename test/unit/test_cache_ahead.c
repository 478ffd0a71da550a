/* Requests understood ahead of their turn: the same ones, whatever part of the pipeline is there, and none that is not whole. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "../../applets/cache/server/cache_ahead.h"

static const char pipeline[] = "*2\r\n$3\r\nGET\r\n$1\r\na\r\n*1\r\n$4\r\nPING\r\nSET 'b c' 1\r\n\r\n*2\r\n$3\r\nGET\r\n$3\r\nxyz\r\n";

START_TEST(any_part)
{
	static const char *const first[] = {"GET", "PING", "SET", NULL, "GET"};
	static const size_t argc[] = {2, 1, 3, 0, 2};
	static struct cache cache;
	struct cache_session s;
	struct cache_ahead a = {0};
	size_t whole = 0;
	cache_init(&cache, 1, 1);
	cache_session_begin(&cache, &s);
	for (size_t n = 0; n < sizeof(pipeline); n++) {
		size_t got = cache_ahead_fill(&a, pipeline, n, &cache.limits), at = 0, length;
		ck_assert_uint_ge(got, whole);
		whole = got;
		for (size_t i = 0; i < got; i++) {
			const struct sd_resp_reader *r = cache_ahead_next(&a, &length);
			ck_assert_uint_eq(r->argc, argc[i]);
			if (first[i])
				ck_assert(cache_is(r->argv[0], first[i]));
			at += length;
		}
		ck_assert_uint_le(at, n);
		ck_assert_ptr_null(cache_ahead_next(&a, &length));
	}
	ck_assert_uint_eq(whole, 5);
	cache_ahead_free(&a);
	cache_session_end(&s);
	cache_end(&cache);
}
END_TEST

START_TEST(what_is_none)
{
	static struct cache cache;
	struct cache_session s;
	struct cache_ahead a = {0};
	static const char bad[] = "PING\r\n*1\r\n$x\r\nPING\r\n";
	size_t length;
	cache_init(&cache, 1, 1);
	cache_session_begin(&cache, &s);
	/* what is wrong is left to whose turn it will be */
	ck_assert_uint_eq(cache_ahead_fill(&a, bad, sizeof(bad) - 1, &cache.limits), 1);
	ck_assert_ptr_nonnull(cache_ahead_next(&a, &length));
	ck_assert_uint_eq(length, 6);
	ck_assert_uint_eq(cache_ahead_fill(&a, bad + 6, sizeof(bad) - 7, &cache.limits), 0);
	cache_ahead_free(&a);
	cache_session_end(&s);
	cache_end(&cache);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("cache_ahead");
	TCase *t = tcase_create("requests");
	tcase_add_test(t, any_part);
	tcase_add_test(t, what_is_none);
	suite_add_tcase(s, t);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
