/* What a rate limiter says to a store, and what it makes of the answers; and what many servers without theirs let pass together. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../applets/ratelimit/ratelimit_ring.h"
#include "app/limit_words.h"
#include "core/rng.h"

#define SECOND 1000000000ll
#define HOUR   (3600 * SECOND)

static struct sd_limit_item rule;
static struct sd_slice key;
static struct sd_limit_words words;
static struct sd_ratelimit_limit share; /* of the rule */

static void setup(void)
{
	rule = (struct sd_limit_item){
	    .name = "login", .cost = 1, .limit = {.kind = SD_RATELIMIT_GCRA, .count = 30, .burst = 16, .period_ns = 60 * SECOND}};
	key = (struct sd_slice){"key", 3};
}

/* The words with spaces between them, but for a script. */
static const char *said(void)
{
	static char text[4096];
	size_t n = 0;
	for (size_t i = 0; i < words.n; i++) {
		struct sd_slice word = words.argv[i];
		bool script = word.n == strlen(sd_limit_script);
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%.*s", i ? " " : "", script ? 6 : (int)word.n, script ? "SCRIPT" : word.p);
	}
	return text;
}

/* ---- what is said ---- */

START_TEST(limits_in_lua)
{
	static const struct {
		struct sd_ratelimit_limit limit;
		uint32_t cost;
		const char *said;
	} cases[] = {
	    {{SD_RATELIMIT_TOKEN_BUCKET, .count = 10, .burst = 20, .period_ns = SECOND}, 1, "b 1 100000 20 1"},
	    {{SD_RATELIMIT_GCRA, .count = 7, .burst = 3, .period_ns = SECOND}, 2, "b 7 1000000 3 2"},
	    {{SD_RATELIMIT_LEAKY_METER, .count = 1, .burst = 1, .period_ns = HOUR}, 1, "b 1 3600000000 1 1"},
	    {{SD_RATELIMIT_LEAKY_QUEUE, .count = 4, .burst = 3, .period_ns = SECOND}, 1, "q 1 250000 3 1"},
	    {{SD_RATELIMIT_FIXED_WINDOW, .count = 10, .period_ns = SECOND}, 1, "f 10 1000000 0 1"},
	    {{SD_RATELIMIT_FIXED_WINDOW, .count = 10, .aligned = true, .period_ns = SECOND}, 1, "f 10 1000000 1 1"},
	    {{SD_RATELIMIT_SLIDING_COUNTER, .count = 10, .period_ns = SECOND}, 1, "s 10 1000000 0 1"},
	    {{SD_RATELIMIT_SLIDING_LOG, .count = 10, .period_ns = SECOND}, 3, "l 10 1000000 0 3"},
	};
	char want[128];
	rule.limit = cases[_i].limit;
	rule.cost = cases[_i].cost;
	sd_limit_evaluate(&words, "0123", SD_LIMIT_TAKE, &rule, &key, 1);
	snprintf(want, sizeof(want), "EVALSHA 0123 1 key %s t", cases[_i].said);
	ck_assert_str_eq(said(), want);
}
END_TEST

START_TEST(several_in_lua)
{
	struct sd_limit_item items[2] = {
	    rule, {.name = "all", .cost = 2, .limit = {.kind = SD_RATELIMIT_SLIDING_LOG, .count = 5, .period_ns = SECOND}}};
	struct sd_slice keys[2] = {key, {"k2", 2}};
	sd_limit_evaluate(&words, NULL, SD_LIMIT_PEEK, items, keys, 2);
	ck_assert_str_eq(said(), "EVAL SCRIPT 2 key k2 b 1 2000000 16 1 l 5 1000000 0 2 p");
	items[0].cost = 4;
	items[1].used = 5;
	sd_limit_evaluate(&words, NULL, SD_LIMIT_SETTLE, items, keys, 2);
	ck_assert_str_eq(said(), "EVAL SCRIPT 2 key k2 b 1 2000000 16 -4 l 5 1000000 0 3 s");
	sd_limit_evaluate(&words, NULL, SD_LIMIT_FORGET, items, keys, 1);
	ck_assert_str_eq(said(), "EVAL SCRIPT 1 key b 1 2000000 16 0 d");
}
END_TEST

START_TEST(most_in_lua)
{
	struct sd_limit_item items[SD_RATELIMIT_TOGETHER];
	struct sd_slice keys[SD_RATELIMIT_TOGETHER];
	for (size_t i = 0; i < SD_RATELIMIT_TOGETHER; i++) {
		items[i] = rule;
		keys[i] = key;
	}
	sd_limit_evaluate(&words, "s", SD_LIMIT_TAKE, items, keys, SD_RATELIMIT_TOGETHER);
	ck_assert_uint_eq(words.n, 4 + SD_RATELIMIT_TOGETHER * 6);
	ck_assert_uint_le(words.n, sizeof(words.argv) / sizeof(words.argv[0]));
}
END_TEST

START_TEST(throttle_words)
{
	ck_assert(sd_limit_throttle(&words, SD_LIMIT_TAKE, &rule, key));
	ck_assert_str_eq(said(), "CL.THROTTLE key 15 30 60 1");
	rule.cost = 5;
	ck_assert(sd_limit_throttle(&words, SD_LIMIT_SETTLE, &rule, key));
	ck_assert_str_eq(said(), "CL.THROTTLE key 15 30 60 -5");
	ck_assert(sd_limit_throttle(&words, SD_LIMIT_PEEK, &rule, key));
	ck_assert_str_eq(said(), "CL.THROTTLE key 15 30 60 0");
	rule.used = 6; /* to charge one more is not to take it */
	ck_assert(!sd_limit_throttle(&words, SD_LIMIT_SETTLE, &rule, key));
	ck_assert(!sd_limit_throttle(&words, SD_LIMIT_FORGET, &rule, key));
	/* a tenth of a second is told as a whole one: the rate is the same */
	rule.limit.period_ns = SECOND / 10;
	sd_limit_throttle(&words, SD_LIMIT_TAKE, &rule, key);
	ck_assert_str_eq(said(), "CL.THROTTLE key 15 300 1 5");
	rule.limit.period_ns = 3 * SECOND / 2;
	sd_limit_throttle(&words, SD_LIMIT_TAKE, &rule, key);
	ck_assert_str_eq(said(), "CL.THROTTLE key 15 60 3 5");
}
END_TEST

START_TEST(keys)
{
	char out[SD_LIMIT_STORE_KEY], big[2000];
	memset(big, 'x', sizeof(big));
	size_t n = sd_limit_store_key(&rule, (struct sd_slice){"a\0b", 3}, out);
	ck_assert_mem_eq(out, "ratelimit:b:login:a\0b", n);
	ck_assert_uint_eq(n, 21);
	rule.limit.kind = SD_RATELIMIT_SLIDING_LOG; /* whose value is of another form */
	ck_assert_uint_eq(sd_limit_store_key(&rule, (struct sd_slice){"", 0}, out), 18);
	ck_assert_mem_eq(out, "ratelimit:l:login:", 18);
	memset(rule.name, 'n', SD_LIMIT_NAME - 1);
	ck_assert_uint_eq(sd_limit_store_key(&rule, (struct sd_slice){big, 1024}, out), 12 + SD_LIMIT_NAME - 1 + 1 + 1024);
	ck_assert_uint_le(sd_limit_store_key(&rule, (struct sd_slice){big, sizeof(big)}, out), SD_LIMIT_STORE_KEY);
}
END_TEST

/* ---- which limits there may be ---- */

static const struct {
	struct sd_ratelimit_limit limit;
	bool lua, throttle;
} fits[] = {
    {{SD_RATELIMIT_GCRA, .count = 30, .burst = 16, .period_ns = 60 * SECOND}, true, true},
    {{SD_RATELIMIT_TOKEN_BUCKET, .count = 100, .burst = 5, .period_ns = SECOND / 8}, true, true},
    {{SD_RATELIMIT_LEAKY_METER, .count = 1000000, .burst = 1000000, .period_ns = 24 * HOUR}, true, true},
    {{SD_RATELIMIT_LEAKY_QUEUE, .count = 1, .burst = 1, .period_ns = SECOND}, true, false},
    {{SD_RATELIMIT_FIXED_WINDOW, .count = UINT32_MAX, .period_ns = 24 * HOUR}, true, false},
    {{SD_RATELIMIT_SLIDING_COUNTER, .count = 1000, .period_ns = HOUR}, true, false},
    {{SD_RATELIMIT_SLIDING_LOG, .count = SD_LIMIT_STORE_LOG, .period_ns = HOUR}, true, false},
    {{SD_RATELIMIT_SLIDING_LOG, .count = SD_LIMIT_STORE_LOG + 1, .period_ns = HOUR}, false, false},
    {{SD_RATELIMIT_SLIDING_LOG, .count = 5, .buckets = 5, .period_ns = HOUR}, false, false},
    {{SD_RATELIMIT_GCRA, .count = 1, .burst = 1, .period_ns = 1500}, false, false},
    {{SD_RATELIMIT_GCRA, .count = UINT32_MAX, .burst = 1, .period_ns = SECOND / 2}, true, false},
    {{SD_RATELIMIT_GCRA, .count = 4294967291u, .burst = 4294967291u, .period_ns = 24 * HOUR}, false, true},
    {{SD_RATELIMIT_SLIDING_COUNTER, .count = UINT32_MAX, .period_ns = HOUR}, false, false},
};

START_TEST(what_fits)
{
	struct sd_error e = {0};
	rule.limit = fits[_i].limit;
	ck_assert_int_eq(sd_limit_fits(rule.name, &rule.limit, SD_LIMIT_LUA, &e), fits[_i].lua ? SD_OK : SD_EUSAGE);
	ck_assert(fits[_i].lua == !strstr(e.text, "rule login: "));
	if (fits[_i].lua)
		ck_assert_int_eq(sd_limit_fits(rule.name, &rule.limit, SD_LIMIT_THROTTLE, &e), fits[_i].throttle ? SD_OK : SD_EUSAGE);
}
END_TEST

/* ---- what is answered ---- */

static struct sd_resp_tree tree;

static const struct sd_resp_value *reply(const char *wire)
{
	struct sd_resp_replies r = {0};
	bool whole = false;
	sd_resp_tree_reset(&tree);
	ck_assert_int_eq(sd_resp_tree_read(&tree, &r, wire, strlen(wire), &sd_resp_reply_usual, &whole), (ssize_t)strlen(wire));
	ck_assert(whole);
	return tree.values;
}

START_TEST(answers_of_lua)
{
	struct sd_ratelimit_answer a[2];
	struct sd_limit_item asks[2] = {rule, rule};
	ck_assert(sd_limit_evaluated(reply("*12\r\n:1\r\n:7\r\n:0\r\n:5\r\n:9\r\n:3\r\n:0\r\n:0\r\n:-1\r\n:2\r\n:4\r\n:0\r\n"), asks, 2, a));
	ck_assert(a[0].allowed && !a[1].allowed);
	ck_assert_uint_eq(a[0].most, 16);
	ck_assert_uint_eq(a[0].remaining, 7);
	ck_assert_int_eq(a[0].next_ns, 5000);
	ck_assert_int_eq(a[0].reset_ns, 9000);
	ck_assert_int_eq(a[0].delay_ns, 3000);
	ck_assert_int_eq(a[1].retry_ns, -1);
	ck_assert_int_eq(a[1].next_ns, 2000);
	sd_resp_tree_free(&tree);
}
END_TEST

START_TEST(no_answers_of_lua)
{
	static const char *const wires[] = {
	    "-ERR user_script:1: oops\r\n",
	    "+OK\r\n",
	    "*-1\r\n",
	    "*0\r\n",
	    "*5\r\n:1\r\n:7\r\n:0\r\n:5\r\n:9\r\n",
	    "*6\r\n:1\r\n:7\r\n:0\r\n:5\r\n:9\r\n$1\r\n0\r\n",
	    "*6\r\n:2\r\n:7\r\n:0\r\n:5\r\n:9\r\n:0\r\n",     /* neither yes nor no */
	    "*6\r\n:1\r\n:17\r\n:0\r\n:5\r\n:9\r\n:0\r\n",    /* more than there can be */
	    "*6\r\n:1\r\n:-1\r\n:0\r\n:5\r\n:9\r\n:0\r\n",
	    "*6\r\n:0\r\n:0\r\n:-2\r\n:5\r\n:9\r\n:0\r\n",
	    "*6\r\n*1\r\n:1\r\n:7\r\n:0\r\n:5\r\n:9\r\n:0\r\n",
	};
	struct sd_ratelimit_answer a;
	ck_assert(!sd_limit_evaluated(reply(wires[_i]), &rule, 1, &a));
	sd_resp_tree_free(&tree);
}
END_TEST

START_TEST(answers_of_throttle)
{
	struct sd_ratelimit_answer a;
	ck_assert(sd_limit_throttled(reply("*5\r\n:0\r\n:16\r\n:15\r\n:-1\r\n:2\r\n"), SD_LIMIT_TAKE, &rule, &a));
	ck_assert(a.allowed && a.remaining == 15 && a.most == 16);
	ck_assert_int_eq(a.retry_ns, 0);
	ck_assert_int_eq(a.next_ns, 2 * SECOND);
	ck_assert_int_eq(a.reset_ns, 3 * SECOND); /* two and something: never too early */
	ck_assert(sd_limit_throttled(reply("*5\r\n:1\r\n:16\r\n:0\r\n:0\r\n:31\r\n"), SD_LIMIT_TAKE, &rule, &a));
	ck_assert(!a.allowed);
	ck_assert_int_eq(a.retry_ns, SECOND);
	ck_assert(sd_limit_throttled(reply("*5\r\n:1\r\n:16\r\n:3\r\n:-1\r\n:31\r\n"), SD_LIMIT_TAKE, &rule, &a));
	ck_assert_int_eq(a.retry_ns, -1);
	ck_assert(!sd_limit_throttled(reply("*5\r\n:0\r\n:16\r\n:17\r\n:-1\r\n:2\r\n"), SD_LIMIT_TAKE, &rule, &a));
	ck_assert(!sd_limit_throttled(reply("*4\r\n:0\r\n:16\r\n:15\r\n:-1\r\n"), SD_LIMIT_TAKE, &rule, &a));
	/* what would be, of what is left */
	rule.cost = 4;
	ck_assert(sd_limit_throttled(reply("*5\r\n:0\r\n:16\r\n:3\r\n:-1\r\n:2\r\n"), SD_LIMIT_PEEK, &rule, &a));
	ck_assert(!a.allowed);
	ck_assert_int_eq(a.retry_ns, 2 * SECOND);
	rule.cost = 3;
	ck_assert(sd_limit_throttled(reply("*5\r\n:0\r\n:16\r\n:3\r\n:-1\r\n:2\r\n"), SD_LIMIT_PEEK, &rule, &a));
	ck_assert(a.allowed && a.retry_ns == 0);
	rule.cost = 17;
	ck_assert(sd_limit_throttled(reply("*5\r\n:0\r\n:16\r\n:3\r\n:-1\r\n:2\r\n"), SD_LIMIT_PEEK, &rule, &a));
	ck_assert_int_eq(a.retry_ns, -1);
	ck_assert(!sd_limit_throttled(reply("-ERR no\r\n"), SD_LIMIT_TAKE, &rule, &a));
	sd_resp_tree_free(&tree);
}
END_TEST

START_TEST(who_has_throttle)
{
	ck_assert(sd_limit_has_throttle(reply("*1\r\n*2\r\n$11\r\ncl.throttle\r\n:-5\r\n")));
	ck_assert(!sd_limit_has_throttle(reply("*1\r\n*-1\r\n")));
	ck_assert(!sd_limit_has_throttle(reply("*1\r\n$-1\r\n")));
	ck_assert(!sd_limit_has_throttle(reply("*0\r\n")));
	ck_assert(!sd_limit_has_throttle(reply("-ERR unknown command\r\n")));
	sd_resp_tree_free(&tree);
}
END_TEST

/* ---- shares ---- */

#define SERVERS 64
#define CALLS   20000

/* The most that may pass in any period of the rule, as the manual states it. */
static uint64_t bound(uint32_t servers)
{
	const struct sd_ratelimit_limit *l = &rule.limit;
	bool bucket = l->kind <= SD_RATELIMIT_LEAKY_QUEUE;
	uint64_t most = sd_ratelimit_most(l), least = (uint64_t)servers * rule.cost;
	if (most < least)
		most = least;
	if (bucket)
		return most + l->count;
	return l->kind == SD_RATELIMIT_SLIDING_LOG ? most : 2 * most;
}

/* Hits of random servers at random times, now and then all at once; the most that passed in any period. */
static uint64_t most_passed(uint32_t servers, struct sd_rng *rng)
{
	static int64_t at[CALLS];
	static struct sd_ratelimit *tables[SERVERS];
	const struct sd_ratelimit_conf conf = {.max_keys = 16, .log_bytes = 1 << 20};
	struct sd_ratelimit_answer a;
	int64_t now = HOUR, step = rule.limit.period_ns / (8 * (int64_t)servers) + 1;
	size_t n = 0, from = 0, most = 0;
	for (uint32_t i = 0; i < servers; i++)
		ck_assert_int_eq(sd_ratelimit_new(&conf, &tables[i]), SD_OK);
	for (int i = 0; i < CALLS; i++) {
		struct sd_ratelimit_ask one = {&share, 1, {"k", 1}, rule.cost};
		if (sd_ratelimit_take(tables[sd_rng_below(rng, servers)], &one, 1, now, &a) == SD_OK)
			at[n++] = now;
		now += sd_rng_below(rng, 4) ? 0 : (int64_t)sd_rng_below(rng, (uint32_t)step);
		now += sd_rng_below(rng, 5000) ? 0 : 3 * rule.limit.period_ns;
	}
	for (size_t i = 0; i < n; i++) {
		while (at[i] - at[from] >= rule.limit.period_ns)
			from++;
		most = most > i - from + 1 ? most : i - from + 1;
	}
	for (uint32_t i = 0; i < servers; i++)
		sd_ratelimit_free(tables[i]);
	return most * rule.cost;
}

static const struct {
	enum sd_ratelimit_kind kind;
	uint32_t count, burst, cost, servers;
} shares[] = {
    {SD_RATELIMIT_TOKEN_BUCKET, 10, 20, 1, 2}, {SD_RATELIMIT_GCRA, 10, 20, 1, 3},   {SD_RATELIMIT_GCRA, 3, 5, 2, 4},
    {SD_RATELIMIT_LEAKY_METER, 100, 1, 1, 5},  {SD_RATELIMIT_GCRA, 50, 100, 1, 64}, {SD_RATELIMIT_FIXED_WINDOW, 100, 0, 1, 3},
    {SD_RATELIMIT_FIXED_WINDOW, 3, 0, 1, 5},   {SD_RATELIMIT_SLIDING_LOG, 100, 0, 1, 7}, {SD_RATELIMIT_SLIDING_LOG, 5, 0, 2, 4},
    {SD_RATELIMIT_SLIDING_COUNTER, 60, 0, 1, 4}, {SD_RATELIMIT_TOKEN_BUCKET, 10, 20, 1, 1},
};

START_TEST(shares_stay_within_the_bound)
{
	struct sd_rng rng;
	sd_rng_seed(&rng, 7 + (uint64_t)_i);
	rule.cost = shares[_i].cost;
	rule.limit = (struct sd_ratelimit_limit){
	    .kind = shares[_i].kind, .count = shares[_i].count, .burst = shares[_i].burst, .period_ns = 10 * SECOND};
	share = rl_ask_share(&rule.limit, rule.cost, shares[_i].servers);
	ck_assert_int_eq(sd_ratelimit_check(&share, NULL), SD_OK);
	uint64_t passed = most_passed(shares[_i].servers, &rng);
	ck_assert_uint_le(passed, bound(shares[_i].servers));
	ck_assert_uint_ge(passed * 3, bound(shares[_i].servers)); /* and they are no smaller than they have to be */
}
END_TEST

START_TEST(share_of_one_is_all)
{
	share = rl_ask_share(&rule.limit, rule.cost, 1);
	ck_assert_mem_eq(&share, &rule.limit, sizeof(rule.limit));
	share = rl_ask_share(&rule.limit, rule.cost, 4);
	ck_assert_uint_eq(share.burst, 4);
	ck_assert_int_eq(share.period_ns, 240 * SECOND);
	rule.limit = (struct sd_ratelimit_limit){.kind = SD_RATELIMIT_FIXED_WINDOW, .count = 3, .period_ns = HOUR};
	share = rl_ask_share(&rule.limit, rule.cost, 5);
	ck_assert_uint_eq(share.count, 1);
	ck_assert_int_eq(share.period_ns, HOUR / 3 * 5);
	share = rl_ask_share(&rule.limit, rule.cost, 2);
	ck_assert_uint_eq(share.count, 1);
	ck_assert_int_eq(share.period_ns, HOUR);
}
END_TEST

#define COUNT(a) (int)(sizeof(a) / sizeof((a)[0]))

int main(void)
{
	Suite *s = suite_create("ratelimit_store");
	TCase *t = tcase_create("ratelimit_store");
	tcase_add_checked_fixture(t, setup, NULL);
	tcase_set_timeout(t, 60);
	tcase_add_loop_test(t, limits_in_lua, 0, 8);
	tcase_add_test(t, several_in_lua);
	tcase_add_test(t, most_in_lua);
	tcase_add_test(t, throttle_words);
	tcase_add_test(t, keys);
	tcase_add_loop_test(t, what_fits, 0, COUNT(fits));
	tcase_add_test(t, answers_of_lua);
	tcase_add_loop_test(t, no_answers_of_lua, 0, 11);
	tcase_add_test(t, answers_of_throttle);
	tcase_add_test(t, who_has_throttle);
	tcase_add_loop_test(t, shares_stay_within_the_bound, 0, COUNT(shares));
	tcase_add_test(t, share_of_one_is_all);
	suite_add_tcase(s, t);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed > 0;
}
