/* CL.THROTTLE of the cache: the replies of redis-cell, keys that end, limits that change, and the same decisions as the limiter. */
#include "cache_rig.h"

#include "core/rng.h"
#include "sdlab/ratelimit.h"

/* The first is the example of redis-cell's documentation. */
START_TEST(as_documented)
{
	static const struct rig_turn turns[] = {
	    {"CL.THROTTLE user123 15 30 60", "*5|:0|:16|:15|:-1|:2|"},
	    {"cl.throttle user123 15 30 60 15", "*5|:0|:16|:0|:-1|:32|"},
	    {"CL.THROTTLE user123 15 30 60", "*5|:1|:16|:0|:2|:32|"},
	    {"CL.THROTTLE user123 15 30 60 0", "*5|:0|:16|:0|:-1|:32|"},
	    {"CL.THROTTLE user123 15 30 60 17", "*5|:1|:16|:0|:-1|:32|"},
	    {"CL.THROTTLE user123 15 30 60 -16", "*5|:0|:16|:16|:-1|:0|"},
	    {"EXISTS user123", ":0|"},
	    {"CL.THROTTLE one 0 1 1", "*5|:0|:1|:0|:-1|:1|"},
	    {"CL.THROTTLE one 0 1 1", "*5|:1|:1|:0|:1|:1|"},
	    {"CL.THROTTLE fast 999999 4294967295 1 1000000", "*5|:0|:1000000|:0|:-1|:0|"},
	    {"CL.THROTTLE fast 999999 4294967295 1", "*5|:1|:1000000|:0|:0|:0|"},
	    {"CL.THROTTLE peek 15 30 60 0", "*5|:0|:16|:16|:-1|:0|"},
	    {"EXISTS peek", ":0|"},
	};
	RIG_PLAY(turns);
}
END_TEST

/* However long somebody keeps asking, what was refused does not count; and the key is gone with its last unit. */
START_TEST(it_ends)
{
	ck_assert_str_eq(rig_sayf("CL.THROTTLE k 1 1 10 2"), "*5|:0|:2|:0|:-1|:20|");
	ck_assert_str_eq(rig_sayf("PTTL k"), ":20000|");
	for (now += 500; now < RIG_START + 9999; now += 500)
		ck_assert_int_eq(strncmp(rig_sayf("CL.THROTTLE k 1 1 10"), "*5|:1|:2|:0|", 12), 0);
	now = RIG_START + 9999;
	ck_assert_str_eq(rig_sayf("CL.THROTTLE k 1 1 10"), "*5|:1|:2|:0|:0|:10|");
	now++;
	ck_assert_str_eq(rig_sayf("CL.THROTTLE k 1 1 10"), "*5|:0|:2|:0|:-1|:20|");
	ck_assert_str_eq(rig_sayf("PTTL k"), ":20000|");
	now += 20000;
	ck_assert_str_eq(rig_sayf("EXISTS k"), ":0|");
	cache_tick(&cache, now, 100);
	ck_assert_str_eq(rig_sayf("DBSIZE"), ":0|");
}
END_TEST

/* What was used stays used under another limit (brandur/redis-cell#54: a key waited by the time of the old one). */
START_TEST(limits_change)
{
	ck_assert_str_eq(rig_sayf("CL.THROTTLE k 9 10 3600 4"), "*5|:0|:10|:6|:-1|:1440|");
	ck_assert_str_eq(rig_sayf("CL.THROTTLE k 9 10 1 0"), "*5|:0|:10|:6|:-1|:0|");
	ck_assert_str_eq(rig_sayf("PTTL k"), ":400|");
	ck_assert_str_eq(rig_sayf("CL.THROTTLE k 1 10 1"), "*5|:1|:2|:0|:0|:0|");
	now += 200;
	ck_assert_str_eq(rig_sayf("EXISTS k"), ":0|");
	/* the clock goes back by a day: a bucket's time is the most that it costs */
	ck_assert_str_eq(rig_sayf("CL.THROTTLE k 9 10 10"), "*5|:0|:10|:9|:-1|:1|");
	now -= 86400000;
	ck_assert_str_eq(rig_sayf("CL.THROTTLE k 9 10 10"), "*5|:1|:10|:0|:1|:10|");
	now += 1000;
	ck_assert_str_eq(rig_sayf("CL.THROTTLE k 9 10 10"), "*5|:0|:10|:0|:-1|:10|");
}
END_TEST

START_TEST(wrong)
{
	static const struct rig_turn turns[] = {
	    {"CL.THROTTLE k 1 1", "-ERR wrong number of arguments for 'cl.throttle' command|"},
	    {"CL.THROTTLE k 1 1 1 1 1", "-ERR syntax error|"},
	    {"CL.THROTTLE k -1 1 1", "-ERR value is not an integer or out of range|"},
	    {"CL.THROTTLE k 1 0 1", "-ERR value is not an integer or out of range|"},
	    {"CL.THROTTLE k 1 1 0", "-ERR value is not an integer or out of range|"},
	    {"CL.THROTTLE k 1 1 x", "-ERR value is not an integer or out of range|"},
	    {"CL.THROTTLE k 4294967295 1 1", "-ERR value is not an integer or out of range|"},
	    {"CL.THROTTLE k 4294967294 1 1152921504", "-ERR an empty bucket would take more than 36 years to fill|"},
	    {"SET s text", "+OK|"},
	    {"CL.THROTTLE s 1 1 1", "-WRONGTYPE Operation against a key holding the wrong kind of value|"},
	    {"SET s ''", "+OK|"},
	    {"CL.THROTTLE s 1 1 1", "-WRONGTYPE Operation against a key holding the wrong kind of value|"},
	    {"SET s B1xxxxxxxxxxxxxxxxxxxxxxxx", "+OK|"},
	    {"CL.THROTTLE s 1 1 1", "-WRONGTYPE Operation against a key holding the wrong kind of value|"},
	    {"RPUSH l a", ":1|"},
	    {"CL.THROTTLE l 1 1 1", "-WRONGTYPE Operation against a key holding the wrong kind of value|"},
	    {"GET s", "$26|B1xxxxxxxxxxxxxxxxxxxxxxxx|"},
	};
	RIG_PLAY(turns);
}
END_TEST

/* Whatever comes when, it says what the limiter in memory says, and every key has an end. */
START_TEST(as_the_limiter)
{
	struct sd_ratelimit_conf conf = {.max_keys = 100, .secret = {1, 2}};
	struct sd_ratelimit *r;
	struct sd_rng rng;
	char want[128];
	sd_rng_seed(&rng, (uint64_t)_i + 1);
	ck_assert_int_eq(sd_ratelimit_new(&conf, &r), SD_OK);
	for (int step = 0; step < 3000; step++) {
		uint32_t burst = sd_rng_below(&rng, 20), count = 1 + sd_rng_below(&rng, 7), key = sd_rng_below(&rng, 5);
		uint32_t units = sd_rng_below(&rng, 4);
		if (step % 50)
			burst = 5 + key, count = 3 + key;
		struct sd_ratelimit_limit limit = {
		    .kind = SD_RATELIMIT_GCRA, .count = count, .burst = burst + 1, .period_ns = 1000000000};
		struct sd_ratelimit_ask ask = {&limit, 0, {(const char *)&key, sizeof(key)}, units};
		struct sd_ratelimit_answer a;
		sd_ratelimit_take(r, &ask, 1, (now - RIG_START) * 1000000, &a);
		snprintf(want, sizeof(want), "*5|:%d|:%u|:%u|:%lld|:%lld|", !a.allowed, a.most, a.remaining,
			 a.allowed || a.retry_ns < 0 ? -1ll : (long long)(a.retry_ns / 1000000000), (long long)(a.reset_ns / 1000000000));
		ck_assert_str_eq(rig_sayf("CL.THROTTLE k%u %u %u 1 %u", key, burst, count, units), want);
		ck_assert_str_ne(rig_sayf("PTTL k%u", key), ":-1|");
		now += sd_rng_below(&rng, 150);
	}
	sd_ratelimit_free(r);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("cache_throttle");
	TCase *t = tcase_create("throttle");
	tcase_add_checked_fixture(t, rig_setup, rig_teardown);
	tcase_add_test(t, as_documented);
	tcase_add_test(t, it_ends);
	tcase_add_test(t, limits_change);
	tcase_add_test(t, wrong);
	tcase_add_loop_test(t, as_the_limiter, 0, 5);
	suite_add_tcase(s, t);
	return rig_run(s);
}
