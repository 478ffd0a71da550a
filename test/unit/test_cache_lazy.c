/* What takes long to free: how much of it goes at once, told by what memory in use becomes, and that all of it does. */
#include "cache_rig.h"

#define MEMBERS 40000
#define PIECE	48   /* bytes of a member of these sets at least, as counted */
#define TABLE	(MEMBERS * 16) /* bytes of a table of them, which goes at once */
#define A_LOT	(64 * 1024) /* more than all a command frees but members, and less than two thousand of these */
#define SPARE	(32 * 1024) /* what counts commands takes more of with time */

static const char *const kinds[] = {"SADD %s", "HSET %s", "ZADD %s", "RPUSH %s"};

/* So many members a call. */
#define BATCH 20

static void fill(const char *command, const char *key, unsigned members)
{
	char text[4096], head[64];
	bool pairs = strncmp(command, "HSET", 4) == 0 || strncmp(command, "ZADD", 4) == 0;
	snprintf(head, sizeof(head), command, key); /* NOLINT(clang-diagnostic-format-nonliteral) */
	for (unsigned i = 0; i < members; i += BATCH) {
		int n = snprintf(text, sizeof(text), "%s", head);
		for (unsigned k = i; k < i + BATCH; k++)
			n += snprintf(text + n, sizeof(text) - (size_t)n, pairs ? " %u member:%u" : " member:%u", k, k);
		rig_say(&sessions[0], text);
	}
}

static size_t used(void)
{
	return cache_used_memory(&cache);
}

static long info(const char *name)
{
	const char *reply = rig_sayf("INFO memory"), *at = strstr(reply, name);
	ck_assert_ptr_nonnull(at);
	return strtol(at + strlen(name) + 1, NULL, 10);
}

/* Steps until nothing waits; how many. What waits is counted until it goes, so a step that gives back more frees more. */
static unsigned drain_by(size_t most)
{
	unsigned steps = 0;
	do {
		size_t before = used();
		cache_tick(&cache, now, 100);
		ck_assert_uint_lt(before, used() + most);
		steps++;
	} while (cache.lazy.objects);
	return steps;
}

static void drain(void)
{
	drain_by(SIZE_MAX / 2);
}

/* Each kind of value, and each way in which it goes. */
static const char *const ways[] = {"DEL big", "UNLINK big", "SET big x", "PEXPIRE big 1", "RENAME small big",
				   "COPY small big REPLACE", "SINTERSTORE big none", "EXPIREAT big 1"};

static void goes_in_steps(const char *command, const char *way)
{
	size_t empty = used();
	fill(command, "big", MEMBERS);
	rig_sayf("SADD small a b c");
	size_t full = used();
	bool list = strncmp(command, "RPUSH", 5) == 0;
	size_t step = CACHE_LAZY_STEP * (list ? 8192 + 512 : 128) + A_LOT + TABLE;
	rig_say(&sessions[0], way);
	if (strncmp(way, "PEX", 3) == 0) {
		now += 2;
		cache_tick(&cache, now, 100);
		ck_assert_msg(full < used() + step, "%s: %s", command, way);
	} else {
		ck_assert_msg(full < used() + A_LOT, "%s: %s", command, way);
	}
	ck_assert_msg(cache.lazy.objects == 1 || list, "%s: %s", command, way);
	unsigned steps = drain_by(step);
	ck_assert_msg(list || steps >= MEMBERS / CACHE_LAZY_STEP, "%s: %s: %u steps", command, way, steps);
	rig_sayf("DEL big small");
	drain();
	ck_assert_uint_lt(used(), empty + SPARE);
}

START_TEST(in_steps)
{
	for (size_t k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++)
		for (size_t w = 0; w < sizeof(ways) / sizeof(ways[0]); w++)
			goes_in_steps(kinds[k], ways[w]);
}
END_TEST

/* It is gone for all who ask, and told of as what waits. */
START_TEST(seen_from_outside)
{
	fill("SADD %s", "big", MEMBERS);
	ck_assert_str_eq(rig_sayf("UNLINK big"), ":1|");
	ck_assert_str_eq(rig_sayf("EXISTS big"), ":0|");
	ck_assert_str_eq(rig_sayf("DBSIZE"), ":0|");
	ck_assert_int_eq(info("lazyfree_pending_objects"), 1);
	ck_assert_int_eq(info("lazyfreed_objects"), 0);
	ck_assert_int_eq(cache_next_tick(&cache), now);
	rig_sayf("SADD big anew"); /* the same key meanwhile */
	drain();
	ck_assert_str_eq(rig_sayf("SMEMBERS big"), "*1|$4|anew|");
	ck_assert_int_eq(info("lazyfree_pending_objects"), 0);
	ck_assert_int_eq(info("lazyfreed_objects"), 1);
	rig_sayf("CONFIG RESETSTAT");
	ck_assert_int_eq(info("lazyfreed_objects"), 0);
}
END_TEST

/* What has few pieces is not worth a step. */
START_TEST(few_at_once)
{
	fill("SADD %s", "few", 60);
	size_t full = used();
	rig_sayf("DEL few");
	ck_assert_uint_eq(cache.lazy.objects, 0);
	ck_assert_uint_lt(used() + 40 * (size_t)PIECE, full);
}
END_TEST

static void fill_keys(unsigned n, const char *end)
{
	for (unsigned i = 0; i < n; i++)
		rig_sayf("SET key:%u a-value-of-some-length%s", i, end);
}

#define KEYS 20000

START_TEST(all_keys)
{
	size_t empty = used();
	fill_keys(KEYS, "");
	fill("SADD %s", "big", MEMBERS);
	size_t full = used();
	ck_assert_str_eq(rig_sayf("FLUSHALL ASYNC"), "+OK|");
	ck_assert_uint_lt(full, used() + A_LOT);
	ck_assert_str_eq(rig_sayf("DBSIZE"), ":0|");
	ck_assert_int_eq(info("lazyfree_pending_objects"), KEYS + 1);
	ck_assert_uint_ge(drain_by(CACHE_LAZY_STEP * 128 + TABLE + KEYS * 16), (KEYS + MEMBERS) / CACHE_LAZY_STEP);
	ck_assert_int_eq(info("lazyfreed_objects"), KEYS + 2); /* the set counts as a key, and then as a value */
	ck_assert_uint_lt(used(), empty + SPARE);
}
END_TEST

START_TEST(all_keys_now)
{
	size_t empty = used();
	fill_keys(KEYS, "");
	ck_assert_str_eq(rig_sayf("FLUSHALL SYNC"), "+OK|");
	ck_assert_uint_eq(cache.lazy.objects, 0);
	ck_assert_uint_lt(used(), empty + SPARE);
	fill("ZADD %s", "big", MEMBERS);
	ck_assert_str_eq(rig_sayf("FLUSHDB SYNC"), "+OK|");
	ck_assert_uint_eq(cache.lazy.objects, 0);
	ck_assert_uint_lt(used(), empty + SPARE);
}
END_TEST

/* Ends of keys that were flushed do nothing to keys of the same names, nor to what INFO says of ends. */
START_TEST(ends_of_flushed_keys)
{
	fill_keys(KEYS, " PX 1000");
	rig_sayf("FLUSHDB");
	rig_sayf("SET key:7 stays");
	rig_sayf("SET key:8 ends PX 5000");
	now += 2000;
	cache_tick(&cache, now, KEYS + 1); /* all that were due */
	ck_assert_str_eq(rig_sayf("GET key:7"), "$5|stays|");
	ck_assert_str_eq(rig_sayf("PTTL key:8"), ":3000|");
	ck_assert_ptr_nonnull(strstr(rig_sayf("INFO keyspace"), "db0:keys=2,expires=1,avg_ttl=3000|"));
	ck_assert_ptr_nonnull(strstr(rig_sayf("INFO stats"), "expired_keys:0|"));
	drain();
	now += 4000;
	cache_tick(&cache, now, 100);
	ck_assert_str_eq(rig_sayf("DBSIZE"), ":1|");
}
END_TEST

/* Whoever makes more pays for what waits: what is in use does not become more and more. */
START_TEST(less_however_much_is_made)
{
	fill("SADD %s", "a", MEMBERS);
	rig_sayf("SUNIONSTORE b a");
	size_t peak = used();
	for (int i = 0; i < 20; i++) {
		rig_sayf("SUNIONSTORE b a");
		ck_assert_uint_lt(used(), peak + peak / 2 + A_LOT);
	}
	rig_sayf("SUNIONSTORE b a");
	cache_lazy_step(&cache, SIZE_MAX);
	ck_assert_uint_lt(used(), peak + 4096);
}
END_TEST

/* ---- with a limit ---- */

/* What waits goes first, and no key for the memory that it has. */
START_TEST(before_any_key)
{
	rig_sayf("CONFIG SET maxmemory-policy allkeys-lru");
	fill_keys(2000, "");
	fill("SADD %s", "big", MEMBERS);
	rig_sayf("UNLINK big");
	ck_assert_uint_eq(cache.lazy.objects, 1);
	rig_sayf("CONFIG SET maxmemory %zu", used() - 1000000);
	for (int i = 0; i < 1000; i++) {
		size_t before = used();
		ck_assert_str_eq(rig_sayf("SET new:%d v", i), "+OK|");
		ck_assert_int_lt((long)(before - used()), 64 * 16 * 128 + A_LOT); /* a command's share */
	}
	ck_assert_uint_le(used(), cache.max_memory);
	ck_assert_uint_eq(cache.stats.evicted, 0);
	ck_assert_str_eq(rig_sayf("DBSIZE"), ":3000|");
}
END_TEST

/* One collection after another has to go, each in steps, and no more of them than have to. */
static void evict_large(const char *policy, const char *command)
{
	char key[32];
	rig_sayf("FLUSHALL SYNC");
	rig_sayf("CONFIG SET maxmemory 0");
	rig_sayf("CONFIG SET maxmemory-policy %s", policy);
	size_t empty = used();
	fill(command, "one", MEMBERS / 4);
	size_t one = used() - empty;
	rig_sayf("CONFIG SET maxmemory %zu", empty + one * 5 / 2);
	uint64_t before = cache.stats.evicted;
	for (int i = 0; i < 8; i++) {
		snprintf(key, sizeof(key), "big:%d", i);
		fill(command, key, MEMBERS / 4);
		for (int k = 0; k < 10000 && (cache.evict.more || cache.lazy.objects); k++)
			cache_tick(&cache, now, 100);
		ck_assert_uint_le(used(), cache.max_memory + one / 100);
	}
	unsigned n = (unsigned)(cache.stats.evicted - before);
	ck_assert_msg(n >= 7 && n <= 16, "%s, %s: %u", policy, command, n); /* parts of what is being filled go as well */
	ck_assert_uint_gt(used(), empty + one / 2);
}

START_TEST(large_values_are_evicted)
{
	static const char *const policies[] = {"allkeys-s3fifo", "allkeys-lru", "allkeys-random"};
	for (size_t p = 0; p < sizeof(policies) / sizeof(policies[0]); p++)
		for (size_t k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++)
			evict_large(policies[p], kinds[k]);
}
END_TEST

/* The queues of eviction know of the keys of one database when another one is flushed, before and after it is freed. */
START_TEST(queues_after_a_flush)
{
	rig_sayf("CONFIG SET maxmemory 100mb");
	rig_sayf("CONFIG SET maxmemory-policy allkeys-s3fifo");
	fill_keys(5000, "");
	rig_sayf("SELECT 1");
	fill_keys(5000, "");
	rig_sayf("FLUSHDB");
	rig_sayf("SET key:1 anew");
	rig_sayf("SELECT 0");
	drain();
	ck_assert_uint_eq(sd_s3fifo_count(&cache.evict.queues) - cache.evict.queues.gone[0].n - cache.evict.queues.gone[1].n +
			      (cache.evict.fresh != NULL), 5001);
	rig_sayf("CONFIG SET maxmemory 1");
	while (cache.evict.more)
		cache_tick(&cache, now, 100);
	ck_assert_str_eq(rig_sayf("DBSIZE"), ":0|");
	rig_sayf("SELECT 1");
	ck_assert_str_eq(rig_sayf("DBSIZE"), ":0|");
	ck_assert_uint_eq(cache.stats.evicted, 5001);
}
END_TEST

/* ---- values that change hands ---- */

START_TEST(renamed_without_a_copy)
{
	fill("SADD %s", "big", MEMBERS);
	size_t full = used();
	rig_sayf("PEXPIRE big 5000");
	ck_assert_str_eq(rig_sayf("RENAME big other"), "+OK|");
	ck_assert_uint_lt(used(), full + 1024);
	ck_assert_uint_eq(cache.lazy.objects, 0);
	ck_assert_str_eq(rig_sayf("PTTL other"), ":5000|");
	ck_assert_str_eq(rig_sayf("MOVE other 3"), ":1|");
	ck_assert_str_eq(rig_sayf("EXISTS big other"), ":0|");
	rig_sayf("SELECT 3");
	ck_assert_str_eq(rig_sayf("SCARD other"), ":40000|");
	ck_assert_str_eq(rig_sayf("PTTL other"), ":5000|");
	ck_assert_uint_lt(used(), full + 1024);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("cache_lazy");
	TCase *t = tcase_create("cache_lazy");
	tcase_add_checked_fixture(t, rig_setup, rig_teardown);
	tcase_set_timeout(t, 120);
	tcase_add_test(t, in_steps);
	tcase_add_test(t, seen_from_outside);
	tcase_add_test(t, few_at_once);
	tcase_add_test(t, all_keys);
	tcase_add_test(t, all_keys_now);
	tcase_add_test(t, ends_of_flushed_keys);
	tcase_add_test(t, less_however_much_is_made);
	tcase_add_test(t, before_any_key);
	tcase_add_test(t, large_values_are_evicted);
	tcase_add_test(t, queues_after_a_flush);
	tcase_add_test(t, renamed_without_a_copy);
	suite_add_tcase(s, t);
	return rig_run(s);
}
