/* Ends of keys: how EXPIRE, SETEX, TTL and their kin say them, and which end may take the place of which. */
#include "core/redis_expire.h"
#include "redis_rig.h"

#define NOW 1700000000000

static const struct said {
	enum sd_redis_id id;
	const char *line, *error;
	int64_t at_ms;
} said[] = {
    {SD_REDIS_ID_EXPIRE, "expire k 10", NULL, NOW + 10000},
    {SD_REDIS_ID_PEXPIRE, "pexpire k 10 gt xx", NULL, NOW + 10},
    {SD_REDIS_ID_EXPIREAT, "expireat k 10", NULL, 10000},
    {SD_REDIS_ID_PEXPIREAT, "pexpireat k 10 LT", NULL, 10},
    {SD_REDIS_ID_EXPIRE, "expire k -1", NULL, NOW - 1000},
    {SD_REDIS_ID_PEXPIREAT, "pexpireat k -9223372036854775808", NULL, INT64_MIN},
    {SD_REDIS_ID_PEXPIRE, "pexpire k -9223372036854775808", NULL, INT64_MIN + NOW},
    {SD_REDIS_ID_PEXPIRE, "pexpire k 9223370336854775807", NULL, INT64_MAX},
    {SD_REDIS_ID_PEXPIRE, "pexpire k 9223370336854775808", "-ERR invalid expire time in 'pexpire' command", 0},
    {SD_REDIS_ID_EXPIREAT, "expireat k 9223372036854776", "-ERR invalid expire time in 'expireat' command", 0},
    {SD_REDIS_ID_EXPIRE, "expire k -9223372036854776", "-ERR invalid expire time in 'expire' command", 0},
    {SD_REDIS_ID_EXPIRE, "expire k x", "-ERR value is not an integer or out of range", 0},
    {SD_REDIS_ID_EXPIRE, "expire k x nx xx", "-ERR NX and XX, GT or LT options at the same time are not compatible", 0},
    {SD_REDIS_ID_EXPIRE, "expire k 1 gt nx", "-ERR NX and XX, GT or LT options at the same time are not compatible", 0},
    {SD_REDIS_ID_EXPIRE, "expire k 1 GT LT", "-ERR GT and LT options at the same time are not compatible", 0},
    {SD_REDIS_ID_EXPIRE, "expire k 1 NX what", "-ERR Unsupported option what", 0},
    {SD_REDIS_ID_SETEX, "setex k 10 v", NULL, NOW + 10000},
    {SD_REDIS_ID_PSETEX, "psetex k 10 v", NULL, NOW + 10},
    {SD_REDIS_ID_SETEX, "setex k 0 v", "-ERR invalid expire time in 'setex' command", 0},
    {SD_REDIS_ID_PSETEX, "psetex k -1 v", "-ERR invalid expire time in 'psetex' command", 0},
    {SD_REDIS_ID_SETEX, "setex k 9223372036854775 v", "-ERR invalid expire time in 'setex' command", 0},
};

START_TEST(test_said)
{
	for (size_t i = 0; i < sizeof(said) / sizeof(said[0]); i++) {
		const struct said *t = &said[i];
		struct sd_redis_args a = words(&sd_redis_commands[t->id], t->line);
		struct sd_redis_expire e = {0};
		bool sets = t->id == SD_REDIS_ID_SETEX || t->id == SD_REDIS_ID_PSETEX;
		bool ok = sets ? sd_redis_setex(&a, NOW, &e.at_ms) : sd_redis_expire(&a, NOW, &e);
		ck_assert_str_eq(replied(), t->error ? t->error : "");
		ck_assert_msg(ok == !t->error, "%s", t->line);
		if (ok)
			ck_assert_int_eq(e.at_ms, t->at_ms);
	}
	out_end();
}
END_TEST

/* Against a key that never ends, and those that end before, at and after what is wanted. */
static const struct {
	const char *words;
	bool never, before, at, after;
} fits[] = {
    {"", true, true, true, true},	  {"nx", true, false, false, false},   {"xx", false, true, true, true},
    {"gt", false, true, false, false},	  {"lt", true, false, false, true},    {"xx gt", false, true, false, false},
    {"xx lt", false, false, false, true}, {"NX nx", true, false, false, false},
};

START_TEST(test_fits)
{
	for (size_t i = 0; i < sizeof(fits) / sizeof(fits[0]); i++) {
		char line[40];
		snprintf(line, sizeof(line), "pexpireat k 500 %s", fits[i].words);
		struct sd_redis_args a = words(SD_REDIS(PEXPIREAT), line);
		struct sd_redis_expire e;
		ck_assert(sd_redis_expire(&a, NOW, &e));
		ck_assert_int_eq(sd_redis_expire_fits(&e, false, 0), fits[i].never);
		ck_assert_int_eq(sd_redis_expire_fits(&e, true, 499), fits[i].before);
		ck_assert_int_eq(sd_redis_expire_fits(&e, true, 500), fits[i].at);
		ck_assert_int_eq(sd_redis_expire_fits(&e, true, 501), fits[i].after);
	}
	out_end();
}
END_TEST

static const struct {
	enum sd_redis_id id;
	int64_t at_ms;
	const char *reply;
} told[] = {
    {SD_REDIS_ID_TTL, SD_REDIS_NO_KEY, ":-2"},
    {SD_REDIS_ID_PEXPIRETIME, SD_REDIS_NO_END, ":-1"},
    {SD_REDIS_ID_TTL, NOW + 1499, ":1"},
    {SD_REDIS_ID_TTL, NOW + 1500, ":2"},
    {SD_REDIS_ID_TTL, NOW + 1, ":0"},
    {SD_REDIS_ID_PTTL, NOW + 1499, ":1499"},
    {SD_REDIS_ID_EXPIRETIME, 1499, ":1"},
    {SD_REDIS_ID_EXPIRETIME, 1500, ":2"},
    {SD_REDIS_ID_PEXPIRETIME, 1499, ":1499"},
    {SD_REDIS_ID_EXPIRETIME, INT64_MAX, ":9223372036854776"},
    {SD_REDIS_ID_PEXPIRETIME, INT64_MAX, ":9223372036854775807"},
    {SD_REDIS_ID_TTL, INT64_MAX, ":9223370336854776"},
};

START_TEST(test_told)
{
	for (size_t i = 0; i < sizeof(told) / sizeof(told[0]); i++) {
		struct sd_redis_args a = words(&sd_redis_commands[told[i].id], "name k");
		sd_redis_tell_end(&a, NOW, told[i].at_ms);
		ck_assert_str_eq(replied(), told[i].reply);
	}
	out_end();
}
END_TEST

int main(void)
{
	Suite *s = suite_create("redis_expire");
	TCase *tc = tcase_create("redis_expire");
	tcase_add_test(tc, test_said);
	tcase_add_test(tc, test_fits);
	tcase_add_test(tc, test_told);
	suite_add_tcase(s, tc);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
