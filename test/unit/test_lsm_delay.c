/* Writes wait more the more is owed, without a step, and stop where it is documented only. */
#include <check.h>
#include <stdlib.h>

#include "core/lsm_delay.h"

#define MiB (UINT64_C(1) << 20)

static struct sd_lsm_delay_conf conf;

static uint64_t wait_of(uint64_t l0, uint64_t owed, uint64_t mem)
{
	return sd_lsm_delay_ns(&conf, &(struct sd_lsm_debt){l0, owed, mem}, 1000);
}

START_TEST(nothing_is_felt_before)
{
	ck_assert_uint_eq(wait_of(0, 0, 0), 0);
	ck_assert_uint_eq(wait_of(8, 64 * 4 * MiB, 6 * MiB), 0);
	ck_assert_uint_gt(wait_of(9, 0, 0), 0);
	ck_assert_uint_gt(wait_of(0, 65 * 4 * MiB, 0), 0);
	ck_assert_uint_gt(wait_of(0, 0, 7 * MiB), 0);
}
END_TEST

START_TEST(it_stops_where_documented)
{
	ck_assert_uint_lt(wait_of(23, 0, 0), SD_LSM_DELAY_STOP);
	ck_assert_uint_eq(wait_of(24, 0, 0), SD_LSM_DELAY_STOP);
	ck_assert_uint_lt(wait_of(0, 256 * 4 * MiB - 1, 0), SD_LSM_DELAY_STOP);
	ck_assert_uint_eq(wait_of(0, 256 * 4 * MiB, 0), SD_LSM_DELAY_STOP);
	ck_assert_uint_lt(wait_of(0, 0, 8 * MiB - 1), SD_LSM_DELAY_STOP);
	ck_assert_uint_eq(wait_of(0, 0, 8 * MiB), SD_LSM_DELAY_STOP);
	ck_assert_uint_eq(wait_of(UINT64_MAX, UINT64_MAX, UINT64_MAX), SD_LSM_DELAY_STOP);
}
END_TEST

/* A hundredth of the way more never makes a write wait much longer than it did, until the last tenth. */
START_TEST(without_a_step)
{
	uint64_t from = 64 * 4 * MiB, to = 256 * 4 * MiB, before = 0;
	for (unsigned i = 1; i < 100; i++) {
		uint64_t ns = wait_of(0, from + (to - from) / 100 * i, 0);
		ck_assert_uint_gt(ns, before);
		if (i > 1 && i <= 90)
			ck_assert_uint_le(ns, 3 * before);
		before = ns;
	}
	/* half way: the rate */
	uint64_t half = sd_lsm_delay_ns(&conf, &(struct sd_lsm_debt){.owed = (from + to) / 2}, 32 * MiB);
	ck_assert_uint_ge(half, 999000000);
	ck_assert_uint_le(half, 1000000000);
	ck_assert_uint_le(sd_lsm_delay_ns(&conf, &(struct sd_lsm_debt){.l0 = 23}, UINT64_C(1) << 40), 1000000000); /* a second at most */
}
END_TEST

START_TEST(the_worst_decides)
{
	ck_assert_uint_eq(wait_of(16, 0, 0), wait_of(16, 65 * 4 * MiB, 6 * MiB + 1000));
	ck_assert_uint_gt(wait_of(16, 200 * 4 * MiB, 0), wait_of(16, 0, 0));
	ck_assert_double_eq(sd_lsm_pressure(&conf, &(struct sd_lsm_debt){.l0 = 16}), 0.5);
}
END_TEST

/* Whoever waits as told moves as many bytes as allowed, and a tenth of a second's worth more at most. */
START_TEST(a_rate_is_kept)
{
	struct sd_lsm_rate r = {.bytes_per_s = 10 * MiB};
	int64_t now = 5000000000, begin = now;
	uint64_t moved = 0;
	ck_assert_uint_eq(sd_lsm_rate_take(&(struct sd_lsm_rate){0}, now, UINT64_C(1) << 40), 0);
	for (unsigned i = 0; i < 1000; i++) {
		uint64_t wait = sd_lsm_rate_take(&r, now, 65536);
		moved += 65536;
		now += (int64_t)wait;
		ck_assert_uint_le(moved, (uint64_t)((double)(now - begin) / 1e9 * 10 * MiB) + 10 * MiB / 10 + 65536);
	}
	ck_assert_uint_gt((uint64_t)(now - begin), 5900000000);
	ck_assert_uint_lt((uint64_t)(now - begin), 6300000000);
	now += 60000000000; /* a minute's pause does not allow a minute's bytes */
	sd_lsm_rate_take(&r, now, 2 * MiB);
	ck_assert_uint_gt(sd_lsm_rate_take(&r, now, MiB), 150000000);
	r.bytes_per_s = 0;
	ck_assert_uint_eq(sd_lsm_rate_take(&r, now, MiB), 0);
}
END_TEST

static void setup(void)
{
	sd_lsm_delay_defaults(&conf, 4 * MiB);
}

int main(void)
{
	Suite *s = suite_create("lsm_delay");
	TCase *t = tcase_create("delay");
	tcase_add_checked_fixture(t, setup, NULL);
	tcase_add_test(t, nothing_is_felt_before);
	tcase_add_test(t, it_stops_where_documented);
	tcase_add_test(t, without_a_step);
	tcase_add_test(t, the_worst_decides);
	tcase_add_test(t, a_rate_is_kept);
	suite_add_tcase(s, t);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
