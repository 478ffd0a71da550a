/* The heap of timers against a table that is searched from end to end. */
#include <check.h>
#include <stdlib.h>

#include "core/list.h"
#include "core/rng.h"
#include "core/timers.h"

enum { N = 200 };

struct item {
	struct sd_timer timer;
	bool armed;
	int64_t due;
};

static int64_t earliest(const struct item *items)
{
	int64_t best = SD_NEVER;
	for (int i = 0; i < N; i++)
		if (items[i].armed && items[i].due < best)
			best = items[i].due;
	return best;
}

static uint32_t count(const struct item *items)
{
	uint32_t n = 0;
	for (int i = 0; i < N; i++)
		n += items[i].armed;
	return n;
}

/* Takes out all that are due, in order, as the table has them. */
static void advance(struct sd_timers *ts, struct item *items, int64_t now)
{
	struct sd_timer *t;
	while ((t = sd_timers_pop(ts, now))) {
		struct item *it = sd_container(t, struct item, timer);
		ck_assert(it->armed);
		ck_assert_int_le(it->due, now);
		ck_assert_int_eq(it->due, earliest(items));
		ck_assert_int_eq(t->due_ns, it->due);
		ck_assert_uint_eq(t->slot, 0);
		it->armed = false;
	}
	ck_assert_int_gt(earliest(items), now);
}

START_TEST(like_a_table)
{
	struct sd_timers ts = {0};
	struct item items[N] = {0};
	struct sd_rng rng;
	int64_t now = 0;
	sd_rng_seed(&rng, (uint64_t)_i + 1);
	for (int step = 0; step < 5000; step++) {
		struct item *it = &items[sd_rng_below(&rng, N)];
		uint32_t what = sd_rng_below(&rng, 10);
		if (what < 6) {
			it->due = now + sd_rng_below(&rng, 50); /* many at the same time, some already due */
			it->armed = true;
			ck_assert(sd_timers_set(&ts, &it->timer, it->due));
			ck_assert_uint_ne(it->timer.slot, 0);
		} else if (what < 9) {
			sd_timers_cancel(&ts, &it->timer);
			ck_assert_uint_eq(it->timer.slot, 0);
			it->armed = false;
		} else {
			now += sd_rng_below(&rng, 20);
			advance(&ts, items, now);
		}
		ck_assert_int_eq(sd_timers_next(&ts), earliest(items));
		ck_assert_uint_eq(ts.n, count(items));
	}
	advance(&ts, items, SD_NEVER - 1);
	ck_assert_uint_eq(ts.n, 0);
	sd_timers_free(&ts);
}
END_TEST

START_TEST(none)
{
	struct sd_timers ts = {0};
	struct sd_timer t = {0};
	ck_assert_int_eq(sd_timers_next(&ts), SD_NEVER);
	ck_assert_ptr_null(sd_timers_pop(&ts, SD_NEVER));
	sd_timers_cancel(&ts, &t); /* not armed: nothing */
	ck_assert(sd_timers_set(&ts, &t, 5));
	ck_assert_ptr_null(sd_timers_pop(&ts, 4));
	ck_assert_ptr_eq(sd_timers_pop(&ts, 5), &t);
	sd_timers_cancel(&ts, &t);
	ck_assert_int_eq(sd_timers_next(&ts), SD_NEVER);
	sd_timers_free(&ts);
	sd_timers_free(&ts);
}
END_TEST

/* Moving one keeps the place of the others. */
START_TEST(moved)
{
	struct sd_timers ts = {0};
	struct sd_timer t[3] = {0};
	for (int i = 0; i < 3; i++)
		sd_timers_set(&ts, &t[i], 10 * (i + 1));
	sd_timers_set(&ts, &t[0], 25);
	sd_timers_set(&ts, &t[2], 5);
	ck_assert_ptr_eq(sd_timers_pop(&ts, 100), &t[2]);
	ck_assert_ptr_eq(sd_timers_pop(&ts, 100), &t[1]);
	ck_assert_ptr_eq(sd_timers_pop(&ts, 100), &t[0]);
	sd_timers_free(&ts);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("timers");
	TCase *t = tcase_create("timers");
	tcase_add_test(t, none);
	tcase_add_test(t, moved);
	tcase_add_loop_test(t, like_a_table, 0, 5);
	suite_add_tcase(s, t);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
