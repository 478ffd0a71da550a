/* Leases and hot keys of the cache, under a clock of its own: of many who miss one computes, and nobody sets what is old. */
#include <check.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../applets/cache/engine/cache.h"

#define START 1700000000000

static struct cache cache;
static struct cache_session me;
static int64_t now;

static void setup(void)
{
	now = START;
	cache_init(&cache, 1, now);
	cache_session_begin(&cache, &me);
}

static void teardown(void)
{
	cache_session_end(&me);
	cache_end(&cache);
}

static const char *say(const char *format, ...) __attribute__((format(printf, 1, 2)));
static const char *say(const char *format, ...)
{
	static char reply[8192];
	char text[4096], *save = NULL;
	struct sd_slice argv[32];
	size_t argc = 0, n = 0;
	va_list args;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	for (char *p = strtok_r(text, " ", &save); p; p = strtok_r(NULL, " ", &save))
		argv[argc++] = sd_slice_of(p);
	me.out.n = 0;
	cache_call(&me, argc, argv, now);
	for (size_t i = 0; i < me.out.n && n + 1 < sizeof(reply); i++)
		if (me.out.p[i] != '\n')
			reply[n++] = me.out.p[i] == '\r' ? '|' : me.out.p[i];
	reply[n] = '\0';
	return reply;
}

static void expect(const char *got, const char *want)
{
	ck_assert_msg(strcmp(got, want) == 0, "expected %s, found %s", want, got);
}

/* The token of a lease on the key, which must be given; rest: what follows it in the reply. */
static long long lease(const char *key, int ms, const char *rest)
{
	static const char begin[] = "*3|$5|LEASE|:";
	char *end;
	const char *got = say("getlease %s %d", key, ms);
	ck_assert_msg(strncmp(got, begin, sizeof(begin) - 1) == 0, "expected a lease, found %s", got);
	long long token = strtoll(got + sizeof(begin) - 1, &end, 10);
	ck_assert_msg(strcmp(end + 1, rest) == 0, "expected %s, found %s", rest, end + 1);
	ck_assert_int_gt(token, 0);
	ck_assert_int_lt(token, 1ll << 53);
	return token;
}

/* ---- leases ---- */

/* A hundred callers, of which the one with the lease needs a while. */
START_TEST(one_of_a_hundred)
{
	int computed = 0, waited = 0, hits = 0;
	long long token = 0;
	for (int step = 0; step < 20; step++, now += 10) {
		if (step == 10)
			expect(say("setlease page %lld html ex 60", token), "+OK|");
		for (int i = 0; i < 100; i++) {
			const char *got = say("getlease page 1000");
			computed += strstr(got, "LEASE") != NULL;
			waited += strstr(got, "WAIT") != NULL;
			hits += strcmp(got, "*2|$3|HIT|$4|html|") == 0;
			if (strstr(got, "LEASE"))
				token = strtoll(strstr(got, "|:") + 2, NULL, 10);
		}
	}
	ck_assert_int_eq(computed, 1);
	ck_assert_int_eq(waited, 999);
	ck_assert_int_eq(hits, 1000);
	ck_assert_uint_eq(cache.leases.n, 0);
	expect(say("ttl page"), ":60|");
}
END_TEST

START_TEST(holder_that_dies)
{
	long long first = lease("k", 500, "$-1|");
	now += 200;
	expect(say("getlease k 500"), "*3|$4|WAIT|:300|$-1|");
	now += 299;
	expect(say("getlease k 500"), "*3|$4|WAIT|:1|$-1|");
	now += 1;
	long long second = lease("k", 500, "$-1|");
	ck_assert_int_ne(first, second);
	expect(say("setlease k %lld late", first), "$-1|");
	expect(say("getlease k 500"), "*3|$4|WAIT|:500|$-1|");
	expect(say("setlease k %lld good", second), "+OK|");
	expect(say("get k"), "$4|good|");
	expect(say("setlease k %lld again", second), "$-1|");
	expect(say("get k"), "$4|good|");
}
END_TEST

START_TEST(late_though_nobody_came)
{
	long long token = lease("k", 500, "$-1|");
	now += 500;
	expect(say("setlease k %lld late", token), "$-1|");
	expect(say("exists k"), ":0|");
	token = lease("k", 500, "$-1|");
	expect(say("setlease k %lld wrong", token + 1), "$-1|");
	expect(say("setlease k 0 wrong"), "$-1|");
	expect(say("setlease other %lld wrong", token), "$-1|");
	expect(say("select 1"), "+OK|");
	expect(say("setlease k %lld wrong", token), "$-1|");
	expect(say("select 0"), "+OK|");
	cache_tick(&cache, now, 100);
	ck_assert_uint_eq(cache.leases.n, 1);
	now += 600;
	ck_assert_int_eq(cache_tick(&cache, now, 100), INT64_MAX);
	ck_assert_uint_eq(cache.leases.n, 0);
	ck_assert_uint_eq(cache.watching, 0);
}
END_TEST

/* What the holder computes may be older than what another hand did meanwhile. */
START_TEST(others_change_the_key)
{
	static const char *const changes[] = {"del k",	      "unlink k",     "set k new", "append k new", "incr k",
					      "mset a 1 k 2", "hset k f v", "flushall",	"setex k 5 v",	"rename from k"};
	say("set from x");
	long long token = lease("k", 500, "$-1|");
	say("%s", changes[_i]);
	expect(say("setlease k %lld ancient", token), "$-1|");
	ck_assert_ptr_null(strstr(say("get k"), "ancient"));
	say("del k");
	lease("k", 500, "$-1|");
	/* a DEL of another key is none of this one */
	token = lease("l", 500, "$-1|");
	say("del k m");
	expect(say("setlease l %lld new", token), "+OK|");
}
END_TEST

START_TEST(stale_value)
{
	long long token = lease("k", 500, "$-1|");
	expect(say("setlease k %lld old px 1000 stale 5000", token), "+OK|");
	expect(say("pttl k"), ":1000|");
	now += 1000;
	/* to all others it is gone */
	if (_i)
		cache_tick(&cache, now, 100);
	expect(say("exists k"), ":0|");
	expect(say("get k"), "$-1|");
	expect(say("dbsize"), ":0|");
	token = lease("k", 500, "$3|old|");
	now += 100;
	expect(say("getlease k 500"), "*3|$4|WAIT|:400|$3|old|");
	expect(say("setlease k %lld new px 1000 stale 2000", token), "+OK|");
	expect(say("getlease k 500"), "*2|$3|HIT|$3|new|");
	now += 1000 + 1999;
	token = lease("k", 500, "$3|new|");
	now += 1;
	expect(say("getlease k 500"), "*3|$4|WAIT|:499|$-1|");
	now += 499;
	ck_assert_int_eq(cache_tick(&cache, now, 100), INT64_MAX);
	ck_assert_uint_eq(cache.leases.n, 0);
	expect(say("setlease k %lld late", token), "$-1|");
}
END_TEST

START_TEST(stale_ends_by_itself)
{
	char big[3001] = {0};
	memset(big, 'b', 3000);
	size_t before = cache_used_memory(&cache);
	long long token = lease("k", 500, "$-1|");
	expect(say("setlease k %lld %s ex 1 stale 5000", token, _i ? big : "12345"), "+OK|");
	now += 1000;
	cache_tick(&cache, now, 100);
	ck_assert_uint_eq(sd_dict_count(&me.db->keys), 0);
	ck_assert_uint_eq(cache.leases.n, 1);
	now += 4999;
	cache_tick(&cache, now, 100);
	ck_assert_uint_eq(cache.leases.n, 1);
	now += 1;
	ck_assert_int_eq(cache_tick(&cache, now, 100), INT64_MAX);
	ck_assert_uint_eq(cache.leases.n, 0);
	ck_assert_uint_le(cache_used_memory(&cache), before + 200);
}
END_TEST

/* An ordinary change ends that the value is kept, too: what somebody deleted is not given out. */
START_TEST(no_stale_value_after_a_change)
{
	static const char *const changes[] = {"del k", "set k other px 1000", "append k more", "persist k"};
	long long token = lease("k", 500, "$-1|");
	expect(say("setlease k %lld old px 1000 stale 5000", token), "+OK|");
	say("%s", changes[_i]);
	say("pexpire k 1000");
	now += 1000;
	lease("k", 500, "$-1|");
	expect(say("del k"), ":0|");
	lease("k", 500, "$-1|");
}
END_TEST

START_TEST(bad_arguments)
{
	static const struct {
		const char *request, *reply;
	} t[] = {
	    {"getlease k", "-ERR wrong number of arguments for 'getlease' command|"},
	    {"getlease k 0", "-ERR invalid time in 'getlease' command, must be from 1 to 3600000 milliseconds|"},
	    {"getlease k 3600001", "-ERR invalid time in 'getlease' command, must be from 1 to 3600000 milliseconds|"},
	    {"getlease k x", "-ERR value is not an integer or out of range|"},
	    {"getlease hash 10", "-WRONGTYPE Operation against a key holding the wrong kind of value|"},
	    {"setlease k 1", "-ERR wrong number of arguments for 'setlease' command|"},
	    {"setlease k x v", "-ERR value is not an integer or out of range|"},
	    {"setlease k 1 v ex", "-ERR syntax error|"},
	    {"setlease k 1 v nx 1", "-ERR syntax error|"},
	    {"setlease k 1 v ex 1 px 1", "-ERR syntax error|"},
	    {"setlease k 1 v stale 100", "-ERR syntax error|"},
	    {"setlease k 1 v stale 100 ex 1", "$-1|"},
	    {"setlease k 1 v ex 0", "-ERR invalid expire time in 'setlease' command|"},
	    {"setlease k 1 v ex 1 stale 0", "-ERR invalid time in 'setlease' command, must be from 1 to 2592000000 milliseconds|"},
	};
	say("hset hash f v");
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++)
		expect(say("%s", t[i].request), t[i].reply);
	ck_assert_uint_eq(cache.leases.n, 0);
}
END_TEST

/* Stale values are the first to go when memory is full, and no lease takes what is not there. */
START_TEST(memory_is_full)
{
	for (int i = 0; i < 500; i++) {
		char key[16];
		snprintf(key, sizeof(key), "k%d", i);
		say("setlease %s %lld %0500d px 1000 stale 100000", key, lease(key, 500, "$-1|"), i);
	}
	say("set stays %0500d", 1);
	now += 1000;
	cache_tick(&cache, now, 1000);
	ck_assert_uint_eq(cache.leases.n, 500);
	say("config set maxmemory %zu", cache_used_memory(&cache) - 100000);
	say("set new v");
	while (cache.evict.more)
		cache_tick(&cache, now, 100);
	expect(say("exists stays new"), ":2|");
	ck_assert_uint_lt(cache.leases.n, 450);
	ck_assert_uint_gt(cache.leases.n, 100);
	char last[600];
	snprintf(last, sizeof(last), "$500|%0500d|", 499);
	lease("k499", 10, last);
	say("config set maxmemory 1");
	say("set a b");
	while (cache.evict.more)
		cache_tick(&cache, now, 100);
	ck_assert_ptr_nonnull(strstr(say("getlease another 100"), "-OOM"));
	ck_assert_ptr_nonnull(strstr(say("getlease stays 100"), "HIT"));
}
END_TEST

/* ---- hot keys ---- */

START_TEST(hot_keys_are_told)
{
	struct sd_rng rng;
	char key[32];
	long long rate, error;
	sd_rng_seed(&rng, 9);
	for (int i = 0; i < 200000; i++) {
		if (i % 10 == 0)
			now++; /* 10,000 a second */
		if (sd_rng_below(&rng, 5) == 0)
			say(i % 2 ? "get hot" : "set hot %d", i);
		else if (sd_rng_below(&rng, 20) == 0)
			say("mget a warm b");
		else
			say("get cold%u", sd_rng_below(&rng, 100000));
	}
	const char *got = say("hotkeys count 1");
	ck_assert_msg(sscanf(got, "*1|*4|$3|%3[^|]|:%lld|:%lld|:0|", key, &rate, &error) == 3, "%s", got);
	ck_assert_str_eq(key, "hot");
	ck_assert_int_ge(rate, 1700);
	ck_assert_int_le(rate - error, 2300);
	ck_assert_int_le(error, 400);
	got = say("hotkeys count 4");
	ck_assert_ptr_nonnull(strstr(got, "|$4|warm|"));
	/* and not for ever */
	say("select 3");
	for (int i = 0; i < 100000; i++) {
		now += 1;
		say("get now");
	}
	got = say("hotkeys");
	ck_assert_msg(sscanf(got, "*%*d|*4|$3|%3[^|]|:%lld|:%lld|:3|", key, &rate, &error) == 3, "%s", got);
	ck_assert_str_eq(key, "now");
	ck_assert_int_ge(rate, 900);
	ck_assert_int_le(rate, 1100);
	now += 1000000;
	expect(say("hotkeys"), "*0|");
}
END_TEST

/* What is asked here and answered elsewhere counts too; a key is hot while it is asked for often enough, and not for long after. */
START_TEST(hot_is_what_is_asked_now)
{
	struct sd_slice hot = sd_slice_of("hot"), other = sd_slice_of("other");
	ck_assert(!cache_is_hot(&cache, hot, 1000, now));
	for (int i = 0; i < 100000; i++) {
		now = START + i / 20;
		cache_hot_elsewhere(&cache, hot, now); /* 20,000 a second */
		if (i % 100 == 0)
			cache_hot_elsewhere(&cache, other, now); /* 200 */
	}
	now += 200;
	ck_assert(cache_is_hot(&cache, hot, 10000, now));
	ck_assert(!cache_is_hot(&cache, other, 1000, now));
	ck_assert(cache_is_hot(&cache, hot, 10000, now + 50)); /* looked up only now and then */
	now += 60000;
	ck_assert(!cache_is_hot(&cache, hot, 1000, now));
}
END_TEST

START_TEST(hotkeys_arguments)
{
	expect(say("hotkeys"), "*0|");
	expect(say("hotkeys count"), "-ERR syntax error|");
	expect(say("hotkeys top 3"), "-ERR syntax error|");
	expect(say("hotkeys count x"), "-ERR value is not an integer or out of range|");
	expect(say("hotkeys count 0"), "-ERR COUNT must be from 1 to 128|");
	expect(say("hotkeys count 129"), "-ERR COUNT must be from 1 to 128|");
}
END_TEST

int main(void)
{
	Suite *s = suite_create("cache_lease");
	TCase *t = tcase_create("cache_lease");
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, one_of_a_hundred);
	tcase_add_test(t, holder_that_dies);
	tcase_add_test(t, late_though_nobody_came);
	tcase_add_loop_test(t, others_change_the_key, 0, 10);
	tcase_add_loop_test(t, stale_value, 0, 2);
	tcase_add_loop_test(t, stale_ends_by_itself, 0, 2);
	tcase_add_loop_test(t, no_stale_value_after_a_change, 0, 4);
	tcase_add_test(t, bad_arguments);
	tcase_add_test(t, memory_is_full);
	tcase_add_test(t, hot_keys_are_told);
	tcase_add_test(t, hot_is_what_is_asked_now);
	tcase_add_test(t, hotkeys_arguments);
	suite_add_tcase(s, t);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed > 0;
}
