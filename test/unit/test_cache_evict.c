/* What the cache does when memory is full: which keys go, that it stays below its limit, and that what it counts is true. */
#include <check.h>
#include <malloc.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../applets/cache/engine/cache.h"

#define START 1700000000000
#define LIMIT 1000000
#ifdef SD_SANITIZED
#define ROUNDS 20000
#else
#define ROUNDS 40000
#endif

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

static const char *call(size_t argc, const struct sd_slice *argv)
{
	static char reply[8192];
	size_t n = 0;
	me.out.n = 0;
	cache_call(&me, argc, argv, now);
	for (size_t i = 0; i < me.out.n && n + 1 < sizeof(reply); i++)
		if (me.out.p[i] != '\n')
			reply[n++] = me.out.p[i] == '\r' ? '|' : me.out.p[i];
	reply[n] = '\0';
	return reply;
}

static const char *say(const char *format, ...) __attribute__((format(printf, 1, 2)));
static const char *say(const char *format, ...)
{
	char text[4096];
	struct sd_slice argv[32];
	size_t argc = 0;
	char *save = NULL;
	va_list args;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	for (char *p = strtok_r(text, " ", &save); p; p = strtok_r(NULL, " ", &save))
		argv[argc++] = sd_slice_of(p);
	return call(argc, argv);
}

static void expect(const char *got, const char *want)
{
	ck_assert_msg(strcmp(got, want) == 0, "expected %s, found %s", want, got);
}

static bool exists(const char *prefix, int i)
{
	struct sd_slice key;
	char text[64];
	key = (struct sd_slice){text, (size_t)snprintf(text, sizeof(text), "%s%d", prefix, i)};
	return cache_find(me.db, key);
}

static int count(const char *prefix, int n)
{
	int found = 0;
	for (int i = 0; i < n; i++)
		found += exists(prefix, i);
	return found;
}

static char value[100001];

static void set(const char *prefix, int i, int size, const char *more)
{
	memset(value, 'v', sizeof(value) - 1);
	char key[64];
	struct sd_slice argv[5] = {{"set", 3}, {key, (size_t)snprintf(key, sizeof(key), "%s%d", prefix, i)}, {value, (size_t)size},
				   {"ex", 2}, sd_slice_of(more ? more : "")};
	expect(call(more ? 5 : 3, argv), "+OK|");
}

/* No more than one command may bring. */
static void below_limit(void)
{
	ck_assert_uint_le(cache_used_memory(&cache), LIMIT + LIMIT / 50);
}

static void limit(const char *policy)
{
	expect(say("config set maxmemory-policy %s", policy), "+OK|");
	expect(say("config set maxmemory %d", LIMIT), "+OK|");
}

/* ---- every policy ---- */

static const char *const policies[] = {"allkeys-s3fifo", "allkeys-lru", "allkeys-lfu", "allkeys-random", "volatile-s3fifo",
				       "volatile-lru",   "volatile-lfu", "volatile-random", "volatile-ttl"};

START_TEST(stays_below_its_limit)
{
	char want[64];
	limit(policies[_i]);
	snprintf(want, sizeof(want), "*2|$16|maxmemory-policy|$%zu|%s|", strlen(policies[_i]), policies[_i]);
	expect(say("config get maxmemory-policy"), want);
	for (int i = 0; i < 20000; i++) {
		now += 7;
		set("k", i, i % 150, "100000");
		below_limit();
		if (i % 5 == 0)
			say("get k%d", i / 2);
		if (i % 11 == 0)
			say("del k%d", i - 5);
		if (i % 13 == 0)
			say("persist k%d", i - 3);
		if (i % 17 == 0)
			say("expire k%d 50", i - 9);
	}
	ck_assert_uint_gt(cache_used_memory(&cache), LIMIT * 9 / 10);
	ck_assert_uint_gt(cache.stats.evicted, 5000);
	ck_assert_ptr_nonnull(strstr(say("info stats"), "evicted_keys:"));
	ck_assert_ptr_null(strstr(say("info stats"), "evicted_keys:0|"));
	ck_assert_ptr_nonnull(strstr(say("info memory"), policies[_i]));
}
END_TEST

START_TEST(keys_without_an_end_stay)
{
	bool all = strncmp(policies[_i], "allkeys", 7) == 0;
	for (int i = 0; i < 3000; i++)
		set("stays", i, 100, NULL);
	limit(policies[_i]);
	for (int i = 0; i < 10000; i++) {
		now += 3;
		set("ends", i, 100, "1000");
		below_limit();
	}
	if (all)
		ck_assert_int_lt(count("stays", 3000), 3000);
	else
		ck_assert_int_eq(count("stays", 3000), 3000);
	ck_assert_int_gt(count("ends", 10000), 1000);
}
END_TEST

/* Once no key with an end is left, what needs memory is refused, and what does not is served. */
START_TEST(full_of_what_must_stay)
{
	static const char oom[] = "-OOM command not allowed when used memory > 'maxmemory'.|";
	for (int i = 0; i < 12000; i++)
		set("stays", i, 100, NULL);
	set("ends", 1, 100, "1000");
	limit(_i ? policies[3 + _i] : "noeviction");
	expect(say("set a b"), oom);
	expect(say("incr a"), oom);
	ck_assert_ptr_eq(strstr(say("get stays1"), "$100|vvvv"), say("get stays1"));
	expect(say("del stays1"), ":1|");
	expect(say("exists ends1"), _i ? ":0|" : ":1|");
	expect(say("config set maxmemory 0"), "+OK|");
	expect(say("set a b"), "+OK|");
}
END_TEST

/* What watches a key hears of its eviction. */
START_TEST(watchers_are_told)
{
	struct cache_session other;
	limit(policies[_i]);
	set("first", 0, 100, "500");
	for (int i = 0; i < 3000; i++)
		set("other", i, 100, "1000");
	cache_session_begin(&cache, &other);
	for (int i = 0; i < 100; i++) {
		char key[32];
		struct sd_slice argv[2] = {{"watch", 5}, {key, (size_t)snprintf(key, sizeof(key), "other%d", i)}};
		cache_call(&other, 2, argv, now);
	}
	ck_assert(!(other.flags & CACHE_TOUCHED));
	for (int i = 0; i < 9000; i++)
		set("more", i, 100, "1000");
	ck_assert(other.flags & CACHE_TOUCHED);
	cache_session_end(&other);
}
END_TEST

/* ---- which go ---- */

/* Hot keys are read again and again while others come and go. */
static int survivors(const char *policy, bool end)
{
	limit(policy);
	for (int i = 0; i < 200; i++)
		set("hot", i, 100, end ? "10000" : NULL);
	for (int i = 0; i < ROUNDS; i++) {
		now += 10;
		set("cold", i, 100, end ? "10000" : NULL);
		say("get hot%d", i % 200);
		if (i % 3 == 0)
			say("get hot%d", i % 200);
	}
	return count("hot", 200);
}

START_TEST(what_is_used_stays)
{
	static const struct {
		const char *policy;
		int least, most;
	} t[] = {{"allkeys-s3fifo", 195, 200}, {"allkeys-lru", 190, 200}, {"allkeys-lfu", 195, 200}, {"allkeys-random", 0, 60},
		 {"volatile-s3fifo", 195, 200}, {"volatile-lru", 190, 200}, {"volatile-lfu", 195, 200}};
	int n = survivors(t[_i].policy, t[_i].policy[0] == 'v');
	ck_assert_msg(n >= t[_i].least && n <= t[_i].most, "%s: %d of 200", t[_i].policy, n);
}
END_TEST

/* Also when few keys have an end, and all others stay. */
START_TEST(few_that_end)
{
	for (int i = 0; i < 4000; i++)
		set("stays", i, 120, NULL);
	limit(_i ? "volatile-lru" : "volatile-lfu");
	for (int i = 0; i < 20; i++)
		set("hot", i, 100, "10000");
	for (int i = 0; i < 20000; i++) {
		now += 100;
		set("cold", i, 100, "10000");
		say("get hot%d", i % 20);
	}
	ck_assert_int_eq(count("stays", 4000), 4000);
	ck_assert_int_ge(count("hot", 20), 18);
}
END_TEST

/* A scan is long over before anything of it is read twice; what was hot before is there after. */
START_TEST(a_scan_passes)
{
	limit("allkeys-s3fifo");
	for (int round = 0; round < 4; round++)
		for (int i = 0; i < 2000; i++)
			if (say("get hot%d", i)[1] == '-')
				set("hot", i, 100, NULL);
	for (int i = 0; i < 50000; i++)
		set("scan", i, 100, NULL);
	ck_assert_int_ge(count("hot", 2000), 1900);
}
END_TEST

START_TEST(soonest_to_end_goes_first)
{
	char end[24];
	limit("volatile-ttl");
	for (int i = 0; i < 20000; i++) {
		snprintf(end, sizeof(end), "%d", 100 + (i * 7919) % 20000);
		set("k", i, 100, end);
	}
	int late = 0, early = 0;
	for (int i = 0; i < 20000; i++)
		if (exists("k", i))
			*((i * 7919) % 20000 > 15000 ? &late : &early) += 1;
	ck_assert_int_gt(late, 3500);
	ck_assert_int_lt(early, 2500);
}
END_TEST

/* ---- what Redis says of use ---- */

START_TEST(counts_of_use)
{
	say("set k v");
	ck_assert_ptr_nonnull(strstr(say("object freq k"), "An LFU maxmemory policy is not selected"));
	expect(say("object idletime k"), ":0|");
	expect(say("config set maxmemory-policy allkeys-lfu"), "+OK|");
	ck_assert_ptr_nonnull(strstr(say("object idletime k"), "-ERR An LFU maxmemory policy is selected, idle time not tracked."));
	say("set fresh v");
	expect(say("object freq fresh"), ":5|");
	say("get fresh");
	expect(say("object freq fresh"), ":6|");
	for (int i = 0; i < 1000; i++)
		say("get fresh");
	int n = (int)strtol(say("object freq fresh") + 1, NULL, 10);
	ck_assert_int_gt(n, 12);
	ck_assert_int_lt(n, 40);
	now += 3 * 60000;
	ck_assert_int_eq((int)strtol(say("object freq fresh") + 1, NULL, 10), n - 3);
	expect(say("config set lfu-decay-time 0"), "+OK|");
	ck_assert_int_eq((int)strtol(say("object freq fresh") + 1, NULL, 10), n);
	expect(say("config set lfu-log-factor 0"), "+OK|");
	say("get fresh");
	ck_assert_int_eq((int)strtol(say("object freq fresh") + 1, NULL, 10), n + 1);
	for (int i = 0; i < 300; i++)
		say("get fresh");
	expect(say("object freq fresh"), ":255|");
}
END_TEST

/* ---- the queues follow ---- */

/* One key in sixteen databases, deleted, flushed, moved: all that is there is in the queues, and can go. */
START_TEST(queues_follow_what_happens)
{
	struct sd_rng rng;
	sd_rng_seed(&rng, (uint64_t)_i);
	limit(_i % 2 ? "volatile-s3fifo" : "allkeys-s3fifo");
	for (int i = 0; i < 60000; i++) {
		int k = (int)sd_rng_below(&rng, 3000);
		switch (sd_rng_below(&rng, 12)) {
		case 0:
			say("del k%d", k);
			break;
		case 1:
			say("rename k%d k%u", k, sd_rng_below(&rng, 3000));
			break;
		case 2:
			say("select %u", sd_rng_below(&rng, 4));
			break;
		case 3:
			say("persist k%d", k);
			break;
		case 4:
			say("pexpire k%d %u", k, sd_rng_below(&rng, 20000));
			break;
		case 5:
			if (sd_rng_below(&rng, 400) == 0)
				say(sd_rng_below(&rng, 4) ? "flushdb" : "flushall");
			else if (sd_rng_below(&rng, 100) == 0)
				limit(policies[sd_rng_below(&rng, 9)]);
			break;
		case 6:
			say("move k%d %u", k, sd_rng_below(&rng, 4));
			break;
		case 7:
			say("append k%d 0123456789012345678901234567890123456789012345678901234567890123456789", k);
			break;
		default:
			set("k", k, (int)sd_rng_below(&rng, 900), sd_rng_below(&rng, 3) ? "20" : NULL);
		}
		now += 2;
		cache_tick(&cache, now, 100);
		if (i % 100 == 0 && cache.evict.queued) {
			size_t keys = 0, ends = 0;
			for (int d = 0; d < CACHE_DBS; d++) {
				keys += sd_dict_count(&cache.dbs[d].keys);
				ends += cache.dbs[d].expires;
			}
			size_t there = cache.evict.ending_only ? ends : keys, gone = 0;
			for (int g = 0; g < 2; g++)
				gone += cache.evict.queues.gone[g].n;
			ck_assert_uint_eq(sd_s3fifo_count(&cache.evict.queues) - gone + (cache.evict.fresh != NULL), there);
		}
	}
	limit("allkeys-s3fifo");
	say("config set maxmemory 1");
	for (int i = 0; i < 5000 && cache.evict.more; i++)
		cache_tick(&cache, now, 100);
	for (int d = 0; d < CACHE_DBS; d++)
		ck_assert_uint_eq(sd_dict_count(&cache.dbs[d].keys), 0);
}
END_TEST

/* ---- nobody waits ---- */

START_TEST(much_to_evict_is_done_in_parts)
{
	for (int i = 0; i < 10000; i++)
		set("k", i, 100, NULL);
	limit(policies[_i % 4]);
	expect(say("config set maxmemory 200000"), "+OK|");
	uint64_t begun = cache.stats.evicted;
	expect(say("set a b"), "+OK|");
	ck_assert_uint_le(cache.stats.evicted - begun, 64);
	ck_assert(cache.evict.more);
	int turns = 0;
	while (cache_tick(&cache, now, 100) == now)
		turns++;
	ck_assert_int_ge(turns, 80);
	ck_assert_uint_le(cache_used_memory(&cache), 200000);
	ck_assert_uint_gt(sd_dict_count(&me.db->keys), 200);
}
END_TEST

/* ---- what is counted ---- */

#ifndef SD_SANITIZED /* whose allocator tells nothing */
static size_t allocated(void)
{
	struct mallinfo2 m = mallinfo2();
	return m.uordblks + m.hblkhd;
}

START_TEST(used_memory_is_true)
{
	static const struct {
		int keys, size;
		const char *policy;
		const char *end;
	} t[] = {{400000, 64, NULL, NULL}, {300000, 0, NULL, NULL},	       {100000, 900, NULL, NULL},
		 {200000, 30, NULL, "90000"}, {300000, 64, "allkeys-s3fifo", NULL}, {300000, 64, "volatile-s3fifo", "5000"}};
	size_t before = allocated(), counted = cache_used_memory(&cache);
	if (t[_i].policy)
		limit(t[_i].policy);
	if (t[_i].policy)
		say("config set maxmemory %d", 30000000);
	for (int i = 0; i < t[_i].keys; i++)
		set("key:", i, t[_i].size, t[_i].end);
	for (int i = 0; t[_i].policy && i < t[_i].keys; i += 3)
		say("del key:%d", i);
	double real = (double)(allocated() - before), told = (double)(cache_used_memory(&cache) - counted);
	ck_assert_msg(told > 0.95 * real && told < 1.05 * real, "told %.0f, in truth %.0f", told, real);
}
END_TEST
#endif

int main(void)
{
	Suite *s = suite_create("cache_evict");
	TCase *t = tcase_create("cache_evict");
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 120);
	tcase_add_loop_test(t, stays_below_its_limit, 0, 9);
	tcase_add_loop_test(t, keys_without_an_end_stay, 0, 9);
	tcase_add_loop_test(t, full_of_what_must_stay, 0, 6);
	tcase_add_loop_test(t, watchers_are_told, 0, 9);
	tcase_add_loop_test(t, what_is_used_stays, 0, 7);
	tcase_add_loop_test(t, few_that_end, 0, 2);
	tcase_add_test(t, a_scan_passes);
	tcase_add_test(t, soonest_to_end_goes_first);
	tcase_add_test(t, counts_of_use);
	tcase_add_loop_test(t, queues_follow_what_happens, 0, 4);
	tcase_add_loop_test(t, much_to_evict_is_done_in_parts, 0, 4);
#ifndef SD_SANITIZED
	tcase_add_loop_test(t, used_memory_is_true, 0, 6);
#endif
	suite_add_tcase(s, t);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed > 0;
}
