/* What servers that share limits say to each other, and what many without an owner let pass together. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "../../applets/ratelimit/ratelimit_ring.h"

#define SECOND 1000000000ll

static const struct sd_ratelimit_limit limits[] = {
    {.kind = SD_RATELIMIT_GCRA, .count = 30, .burst = 16, .period_ns = 60 * SECOND},
    {.kind = SD_RATELIMIT_LEAKY_QUEUE, .count = 1, .burst = 1, .period_ns = 1},
    {.kind = SD_RATELIMIT_FIXED_WINDOW, .count = UINT32_MAX, .period_ns = 86400 * SECOND},
    {.kind = SD_RATELIMIT_FIXED_WINDOW, .count = 1, .aligned = true, .period_ns = SECOND},
    {.kind = SD_RATELIMIT_SLIDING_COUNTER, .count = 5, .period_ns = SECOND},
    {.kind = SD_RATELIMIT_SLIDING_LOG, .count = 5, .period_ns = SECOND},
    {.kind = SD_RATELIMIT_SLIDING_LOG, .count = 5, .buckets = 7, .period_ns = SECOND},
};
#define KINDS (sizeof(limits) / sizeof(limits[0]))

static struct sd_limit_item item_of(size_t i)
{
	return (struct sd_limit_item){.name = "n",
				.limit = limits[i % KINDS],
				.scope = UINT64_MAX - i,
				.key = {"a\0key", 5},
				.cost = (uint32_t)i,
				.used = UINT32_MAX - (uint32_t)i,
				.age_ns = (int64_t)i * SECOND};
}

static bool same_limit(const struct sd_ratelimit_limit *a, const struct sd_ratelimit_limit *b)
{
	return a->kind == b->kind && a->count == b->count && a->period_ns == b->period_ns && a->burst == b->burst &&
	       a->buckets == b->buckets && a->aligned == b->aligned;
}

/* ---- questions ---- */

START_TEST(what_is_asked_is_heard)
{
	struct sd_limit_item items[RL_RULES];
	struct rl_ring_words w;
	struct rl_question q;
	uint32_t which = 0;
	size_t heard = 0;
	for (size_t i = 0; i < RL_RULES; i++) {
		items[i] = item_of(i);
		which |= (_i == 0 || i % 3 == (size_t)_i % 3) ? 1u << i : 0;
	}
	rl_ring_write(&w, "b:1", (enum sd_limit_op)_i, items, RL_RULES, which);
	ck_assert_ptr_null(rl_ring_read(w.n, w.argv, &q));
	ck_assert(sd_slice_eq(w.argv[1], "b:1"));
	ck_assert_int_eq(q.op, _i);
	for (size_t i = 0; i < RL_RULES; i++) {
		if (!(which >> i & 1))
			continue;
		const struct sd_limit_item *is = &q.items[heard++];
		ck_assert(same_limit(&is->limit, &items[i].limit));
		ck_assert_uint_eq(is->scope, items[i].scope);
		ck_assert_uint_eq(is->key.n, 5);
		ck_assert_mem_eq(is->key.p, "a\0key", 5);
		ck_assert_uint_eq(is->cost, items[i].cost);
		ck_assert_uint_eq(is->used, items[i].used);
		ck_assert_int_eq(is->age_ns, items[i].age_ns);
	}
	ck_assert_uint_eq(q.n, heard);
}
END_TEST

/* A question with one word changed; word 0 of a limit is its kind. */
static const struct {
	size_t at;
	const char *word;
} wrong[] = {
    {2, "give"}, {2, ""},	 {3, "x"},	{3, "bb"},	     {3, ""},	  {4, "0"},  {4, "4294967296"}, {4, "-1"}, {4, "1x"}, {5, "0"},
    {5, "-1"},	 {5, "9223372036854775807"}, {6, "0"}, {6, "4294967296"}, {7, "-1"}, {8, "x"}, {10, "-1"}, {10, "4294967296"}, {11, "-1"}, {12, "-1"},
};

START_TEST(what_makes_no_sense_is_refused)
{
	struct sd_limit_item item = item_of(0);
	struct rl_ring_words w;
	struct rl_question q;
	rl_ring_write(&w, "b:1", SD_LIMIT_TAKE, &item, 1, 1);
	ck_assert_ptr_null(rl_ring_read(w.n, w.argv, &q));
	w.argv[wrong[_i].at] = sd_slice_of(wrong[_i].word);
	ck_assert_ptr_nonnull(rl_ring_read(w.n, w.argv, &q));
}
END_TEST

START_TEST(words_are_counted)
{
	struct sd_limit_item items[RL_RULES];
	struct rl_ring_words w;
	struct rl_question q;
	for (size_t i = 0; i < RL_RULES; i++)
		items[i] = item_of(i);
	rl_ring_write(&w, "b:1", SD_LIMIT_TAKE, items, RL_RULES, 0xffff);
	ck_assert_uint_eq(w.n, RL_RING_ARGS);
	for (size_t n = 0; n <= w.n + 1; n++)
		ck_assert_int_eq(!rl_ring_read(n, w.argv, &q), n > 3 && n <= w.n && (n - 3) % RL_RING_WORDS == 0);
}
END_TEST

/* ---- answers ---- */

static struct sd_resp_tree tree;

static const struct sd_resp_value *reply(const char *wire, size_t n)
{
	struct sd_resp_replies r = {0};
	bool whole = false;
	sd_resp_tree_reset(&tree);
	ck_assert_int_eq(sd_resp_tree_read(&tree, &r, wire, n, &sd_resp_reply_usual, &whole), (ssize_t)n);
	ck_assert(whole);
	return tree.values;
}

START_TEST(what_is_answered_is_heard)
{
	struct sd_limit_item items[3] = {item_of(0), item_of(1), item_of(2)};
	struct sd_ratelimit_answer a[2] = {{.allowed = true, .most = 16, .remaining = 7, .next_ns = 1, .reset_ns = INT64_MAX, .delay_ns = 3},
					   {.most = UINT32_MAX, .remaining = UINT32_MAX, .retry_ns = -1}},
				   b[3];
	struct sd_resp_out out = {0};
	rl_ring_reply(&out, a, 2);
	memset(b, 0xff, sizeof(b));
	ck_assert(rl_ring_answers(reply(out.p, out.n), items, 3, 5, b)); /* the first and the third */
	ck_assert(b[0].allowed && b[0].most == 16 && b[0].remaining == 7 && b[0].retry_ns == 0 && b[0].next_ns == 1);
	ck_assert(b[0].reset_ns == INT64_MAX && b[0].delay_ns == 3);
	ck_assert(!b[2].allowed && b[2].most == UINT32_MAX && b[2].remaining == UINT32_MAX && b[2].retry_ns == -1);
	ck_assert(!rl_ring_answers(reply(out.p, out.n), items, 3, 7, b));
	ck_assert(!rl_ring_answers(reply(out.p, out.n), items, 3, 3, b)); /* more remains than there can be */
	sd_resp_tree_free(&tree);
	free(out.p);
}
END_TEST

static const char *const no_answers[] = {
    "-ERR this is b:1\r\n",
    "+OK\r\n",
    "*-1\r\n",
    "*0\r\n",
    "*5\r\n:1\r\n:7\r\n:0\r\n:5\r\n:9\r\n",
    "*6\r\n:2\r\n:7\r\n:0\r\n:5\r\n:9\r\n:0\r\n",
    "*6\r\n:1\r\n:17\r\n:0\r\n:5\r\n:9\r\n:0\r\n",
    "*6\r\n:1\r\n:-1\r\n:0\r\n:5\r\n:9\r\n:0\r\n",
    "*6\r\n:0\r\n:0\r\n:-2\r\n:5\r\n:9\r\n:0\r\n",
    "*6\r\n:0\r\n:0\r\n:0\r\n:-5\r\n:9\r\n:0\r\n",
    "*6\r\n$1\r\n0\r\n:0\r\n:0\r\n:5\r\n:9\r\n:0\r\n",
};

START_TEST(what_is_no_answer)
{
	struct sd_ratelimit_answer a;
	struct sd_limit_item item = item_of(0);
	ck_assert(rl_ring_answers(reply("*6\r\n:1\r\n:7\r\n:0\r\n:5\r\n:9\r\n:0\r\n", 28), &item, 1, 1, &a));
	ck_assert(!rl_ring_answers(reply(no_answers[_i], strlen(no_answers[_i])), &item, 1, 1, &a));
	sd_resp_tree_free(&tree);
}
END_TEST

#define COUNT(a) (int)(sizeof(a) / sizeof((a)[0]))

int main(void)
{
	Suite *s = suite_create("ratelimit_ring");
	TCase *t = tcase_create("ratelimit_ring");
	tcase_add_loop_test(t, what_is_asked_is_heard, 0, 4);
	tcase_add_loop_test(t, what_makes_no_sense_is_refused, 0, COUNT(wrong));
	tcase_add_test(t, words_are_counted);
	tcase_add_test(t, what_is_answered_is_heard);
	tcase_add_loop_test(t, what_is_no_answer, 0, COUNT(no_answers));
	suite_add_tcase(s, t);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed > 0;
}
