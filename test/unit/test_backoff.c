#include <check.h>

#include "core/backoff.h"
#include "core/rng.h"

START_TEST(growth)
{
	struct sd_backoff b = {.first = 100, .max = 750, .growth = SD_GROW_DOUBLING};
	static const int64_t doubled[] = {100, 200, 400, 750, 750}, added[] = {100, 200, 300, 400, 500, 600, 700, 750, 750};
	for (uint32_t i = 0; i < 5; i++)
		ck_assert_int_eq(sd_backoff(&b, i + 1, 0), doubled[i]);
	b.growth = SD_GROW_LINEAR;
	for (uint32_t i = 0; i < 9; i++)
		ck_assert_int_eq(sd_backoff(&b, i + 1, 0), added[i]);
	b.growth = SD_GROW_NOT;
	ck_assert_int_eq(sd_backoff(&b, 9, 0), 100);
	b.growth = SD_GROW_DOUBLING;
	ck_assert_int_eq(sd_backoff(&b, 0, 0), 100);
}
END_TEST

/* No product or doubling runs over, however late the try. */
START_TEST(far)
{
	static const struct sd_backoff late[] = {
	    {.first = INT64_MAX - 1, .max = INT64_MAX, .growth = SD_GROW_DOUBLING},
	    {.first = INT64_MAX - 1, .max = INT64_MAX, .growth = SD_GROW_LINEAR},
	    {.first = 3, .max = INT64_MAX, .growth = SD_GROW_DOUBLING},
	};
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(sd_backoff(&late[i], UINT32_MAX, 0), INT64_MAX);
	struct sd_backoff none = {.first = 0, .max = 10, .growth = SD_GROW_DOUBLING, .jitter = 1};
	ck_assert_int_eq(sd_backoff(&none, 7, 0.5), 0);
	struct sd_backoff lower = {.first = 60, .max = 30, .growth = SD_GROW_DOUBLING};
	ck_assert_int_eq(sd_backoff(&lower, 5, 0), 60);
}
END_TEST

START_TEST(jitter)
{
	struct sd_backoff b = {.first = 8, .max = 1000, .growth = SD_GROW_DOUBLING, .jitter = 1};
	struct sd_rng rng;
	unsigned seen[9] = {0};
	sd_rng_seed(&rng, 5);
	for (int i = 0; i < 8000; i++) {
		int64_t wait = sd_backoff(&b, 1, sd_rng_unit(&rng));
		ck_assert_int_ge(wait, 1);
		ck_assert_int_le(wait, 8);
		seen[wait]++;
	}
	for (int i = 1; i <= 8; i++) {
		ck_assert_uint_gt(seen[i], 850); /* 1000 each */
		ck_assert_uint_lt(seen[i], 1150);
	}
	b.jitter = 0.25;
	b.first = 1000;
	for (int i = 0; i < 1000; i++) {
		int64_t wait = sd_backoff(&b, 1, sd_rng_unit(&rng));
		ck_assert_int_gt(wait, 750);
		ck_assert_int_le(wait, 1000);
	}
	/* one of doubles that are rounded up to 2^63 */
	struct sd_backoff most = {.first = INT64_MAX, .jitter = 1};
	ck_assert_int_ge(sd_backoff(&most, 1, 0x1.fffffffffffffp-1), 1);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("backoff");
	TCase *t = tcase_create("backoff");
	tcase_add_test(t, growth);
	tcase_add_test(t, far);
	tcase_add_test(t, jitter);
	suite_add_tcase(s, t);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
