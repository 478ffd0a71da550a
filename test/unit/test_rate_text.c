/* How often, as people write it. */
#include <check.h>

#include "core/rate_text.h"

#define SECOND INT64_C(1000000000)

static const struct {
	const char *text;
	uint32_t count;
	int64_t period_ns;
} good[] = {
    {"10", 10, SECOND},          {"10/s", 10, SECOND},          {"1/sec", 1, SECOND},           {"7/second", 7, SECOND},
    {"100/min", 100, 60 * SECOND}, {"3/m", 3, 60 * SECOND},     {"2/minute", 2, 60 * SECOND},   {"5/h", 5, 3600 * SECOND},
    {"5/hour", 5, 3600 * SECOND}, {"1000/10m", 1000, 600 * SECOND}, {"1/d", 1, 86400 * SECOND}, {"4/day", 4, 86400 * SECOND},
    {"1/1h30m", 1, 5400 * SECOND}, {"1/1ns", 1, 1},             {"4294967295/s", UINT32_MAX, SECOND},
};

static const struct {
	const char *text;
	enum sd_err err;
} bad[] = {
    {"", SD_EINVAL},       {"/s", SD_EINVAL},    {"x", SD_EINVAL},     {"10/", SD_EINVAL},  {"10/fortnight", SD_EINVAL},
    {"1.5/s", SD_EINVAL},  {" 10", SD_EINVAL},   {"10 /s", SD_EINVAL}, {"010", SD_EINVAL},  {"10/s/s", SD_EINVAL},
    {"0", SD_ERANGE},      {"-1", SD_ERANGE},    {"10/0s", SD_ERANGE}, {"10/0", SD_ERANGE}, {"4294967296", SD_ERANGE},
    {"123456789012345678901234567890", SD_ERANGE},
};

START_TEST(what_is_read)
{
	uint32_t count = 0;
	int64_t period = 0;
	ck_assert_int_eq(sd_parse_quota(good[_i].text, &count, &period), SD_OK);
	ck_assert_uint_eq(count, good[_i].count);
	ck_assert_int_eq(period, good[_i].period_ns);
}
END_TEST

START_TEST(what_is_refused)
{
	uint32_t count = 42;
	int64_t period = 43;
	ck_assert_msg(sd_parse_quota(bad[_i].text, &count, &period) == bad[_i].err, "%s", bad[_i].text);
	ck_assert_uint_eq(count, 42);
	ck_assert_int_eq(period, 43);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("rate_text");
	TCase *t = tcase_create("all");
	tcase_add_loop_test(t, what_is_read, 0, sizeof(good) / sizeof(good[0]));
	tcase_add_loop_test(t, what_is_refused, 0, sizeof(bad) / sizeof(bad[0]));
	suite_add_tcase(s, t);
	SRunner *runner = srunner_create(s);
	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
