#include <check.h>

#include "core/budget.h"
#include "core/rng.h"

#define SECOND SD_BUDGET_SLOT_NS

static unsigned take_all(struct sd_budget *b, const struct sd_budget_rules *r, int64_t now)
{
	unsigned n = 0;
	while (n < 100000 && sd_budget_take(b, r, now))
		n++;
	return n;
}

START_TEST(a_share_of_the_requests)
{
	static const struct sd_budget_rules r = {.share = 0.2};
	struct sd_budget b = {0};
	int64_t now = 77 * SECOND;
	ck_assert_uint_eq(take_all(&b, &r, now), 0);
	for (int i = 0; i < 100; i++)
		sd_budget_asked(&b, now);
	ck_assert_uint_eq(take_all(&b, &r, now), 20);
	ck_assert_uint_eq(take_all(&b, &r, now + 5 * SECOND), 0); /* spent */
	for (int i = 0; i < 100; i++)
		sd_budget_asked(&b, now + 5 * SECOND);
	ck_assert_uint_eq(take_all(&b, &r, now + 5 * SECOND), 20);
	/* the first hundred and their retries are over */
	ck_assert_uint_eq(take_all(&b, &r, now + 10 * SECOND), 0);
	ck_assert_uint_eq(b.nrequests, 100);
	ck_assert_uint_eq(b.nretries, 20);
	ck_assert_uint_eq(take_all(&b, &r, now + 100 * SECOND), 0);
	ck_assert_uint_eq(b.nrequests, 0);
}
END_TEST

START_TEST(a_minimum)
{
	static const struct sd_budget_rules r = {.share = 0.2, .min_per_second = 3};
	struct sd_budget b = {0};
	ck_assert_uint_eq(take_all(&b, &r, 0), 30); /* of a window */
	ck_assert_uint_eq(take_all(&b, &r, 9 * SECOND), 0);
	ck_assert_uint_eq(take_all(&b, &r, 10 * SECOND), 30);
	for (int i = 0; i < 1000; i++)
		sd_budget_asked(&b, 11 * SECOND);
	ck_assert_uint_eq(take_all(&b, &r, 11 * SECOND), 170); /* the larger of the two, not their sum */
}
END_TEST

START_TEST(a_whole_share_allows_one_for_each)
{
	static const struct sd_budget_rules r = {.share = 1};
	struct sd_budget b = {0};
	for (int i = 0; i < 1000; i++) {
		sd_budget_asked(&b, i * SECOND / 7);
		ck_assert(sd_budget_take(&b, &r, i * SECOND / 7));
	}
}
END_TEST

/* Whatever comes when: in no ten seconds, by the slots, more than the share. */
START_TEST(never_more_than_the_share)
{
	static const struct sd_budget_rules r = {.share = 0.2};
	struct sd_budget b = {0};
	struct sd_rng rng;
	unsigned asked[200] = {0}, taken[200] = {0};
	sd_rng_seed(&rng, (uint64_t)_i);
	for (int64_t now = 0; now < 200 * SECOND; now += (int64_t)(sd_rng_unit(&rng) * (double)SECOND / 10)) {
		sd_budget_asked(&b, now);
		asked[now / SECOND]++;
		for (uint32_t k = sd_rng_below(&rng, 3); k > 0; k--)
			taken[now / SECOND] += sd_budget_take(&b, &r, now);
		unsigned a = 0, t = 0;
		for (int64_t s = now / SECOND; s >= 0 && s > now / SECOND - SD_BUDGET_SLOTS; s--)
			a += asked[s], t += taken[s];
		ck_assert_uint_eq(b.nrequests, a);
		ck_assert_uint_eq(b.nretries, t);
	}
	unsigned a = 0, t = 0;
	for (int s = 0; s < 200; s++)
		a += asked[s], t += taken[s];
	ck_assert_msg(t > a / 6 && t * 5 <= a + 10, "%u of %u", t, a);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("budget");
	TCase *t = tcase_create("budget");
	tcase_add_test(t, a_share_of_the_requests);
	tcase_add_test(t, a_minimum);
	tcase_add_test(t, a_whole_share_allows_one_for_each);
	tcase_add_loop_test(t, never_more_than_the_share, 1, 6);
	suite_add_tcase(s, t);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
