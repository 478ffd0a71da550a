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

static void run(struct cache_session *s, const char *line)
{
	struct cache *c = s->cache;
	struct sd_resp_reader r = {0};
	ck_assert_int_eq(sd_resp_read(&r, line, strlen(line), &c->limits), (ssize_t)strlen(line));
	cache_call(s, r.argc, r.argv, 1);
	ck_assert_uint_gt(s->out.n, 0);
	ck_assert_int_ne(s->out.p[0], '-');
	s->out.n = 0;
	sd_resp_reader_free(&r);
}

/* What is behind a key is looked at before its turn, whatever it is. */
START_TEST(keys_of_all_kinds)
{
	static const char *const make[] = {"SET number 1\r\n", "SET text hello\r\n", "RPUSH list a b c\r\n", "SADD ints 1 2\r\n",
					   "SADD set a b\r\n", "ZADD zset 1 a\r\n", "HSET hash a 1\r\n"};
	static const char asks[] = "GET number\r\nGET text\r\nLPUSH list d\r\nSADD ints 3\r\nSADD set c\r\nZADD zset 2 b\r\n"
				   "HSET hash b 1\r\nGET none\r\nPING\r\n";
	static struct cache cache;
	struct cache_session s;
	struct cache_ahead a = {0};
	cache_init(&cache, 1, 1);
	cache_session_begin(&cache, &s);
	for (size_t i = 0; i < sizeof(make) / sizeof(make[0]); i++)
		run(&s, make[i]);
	for (int i = 0; i < 1000; i++) /* a second node of the list */
		run(&s, "RPUSH list 0123456789012345678901234567890123456789\r\n");
	ck_assert_uint_eq(cache_ahead_fill(&a, asks, sizeof(asks) - 1, &cache.limits), 9);
	cache_ahead_fetch_all(&a, &s);
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
	tcase_add_test(t, keys_of_all_kinds);
	suite_add_tcase(s, t);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
