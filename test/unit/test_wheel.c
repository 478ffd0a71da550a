/* The wheel against a plain array: everything comes when it is due, not before, in whatever steps time goes. */
#include <check.h>
#include <stdlib.h>

#include "core/rng.h"
#include "core/wheel.h"

#ifdef SD_SANITIZED /* memory and rules of C are looked at; what comes out of many more steps is looked at in the plain build */
#define RUNS 3
#else
#define RUNS 12
#endif

#define MANY 400

struct thing {
	struct sd_wheel_entry e;
	int64_t due; /* -1: not set */
};

static struct sd_wheel w;
static struct thing things[MANY];
static struct sd_rng rng;

static int64_t some_time(int64_t now)
{
	uint64_t far = 1ull << sd_rng_below(&rng, 52);
	return now - 5 + (int64_t)(sd_rng_next(&rng) % (far + 10));
}

static void check_next(void)
{
	int64_t next = sd_wheel_next(&w), first = INT64_MAX;
	for (int i = 0; i < MANY; i++)
		if (things[i].due >= 0 && things[i].due < first)
			first = things[i].due;
	ck_assert_msg(next <= first || next <= w.now_ms, "next %lld after %lld", (long long)next, (long long)first);
}

static void pop_all(int64_t now)
{
	struct sd_wheel_entry *e;
	while ((e = sd_wheel_pop(&w, now))) {
		struct thing *t = (struct thing *)e;
		ck_assert_int_ge(t->due, 0);
		ck_assert_int_le(t->due, now);
		ck_assert(!sd_wheel_is_set(e));
		t->due = -1;
	}
	for (int i = 0; i < MANY; i++)
		ck_assert_msg(things[i].due < 0 || things[i].due > now, "%lld did not come by %lld", (long long)things[i].due,
			      (long long)now);
}

START_TEST(as_an_array)
{
	int64_t now = _i % 2 ? 1700000000000 : 10;
	sd_rng_seed(&rng, (uint64_t)_i);
	sd_wheel_init(&w, now);
	for (int i = 0; i < MANY; i++)
		things[i] = (struct thing){.due = -1};
	for (int k = 0; k < 1500; k++) {
		struct thing *t = &things[sd_rng_below(&rng, MANY)];
		if (sd_rng_below(&rng, 4) == 0) {
			sd_wheel_cancel(&w, &t->e);
			t->due = -1;
		} else {
			t->due = some_time(now);
			t->due = t->due < 0 ? 0 : t->due;
			sd_wheel_set(&w, &t->e, t->due);
		}
		check_next();
		if (sd_rng_below(&rng, 3) == 0) {
			now += (int64_t)(sd_rng_next(&rng) % (1ull << sd_rng_below(&rng, 40)));
			pop_all(now);
		}
	}
	now += 1ll << 53;
	pop_all(now);
	ck_assert_uint_eq(w.n, 0);
	ck_assert_int_eq(sd_wheel_next(&w), INT64_MAX);
}
END_TEST

/* What is looked at stays, comes in time to all, and those of the next slot are no later than the others. */
START_TEST(looking_changes_nothing)
{
	struct sd_wheel_entry *soon[8];
	bool seen[MANY] = {0};
	sd_rng_seed(&rng, 5);
	sd_wheel_init(&w, 1700000000000);
	ck_assert_ptr_null(sd_wheel_any(&w, 7));
	ck_assert_uint_eq(sd_wheel_soon(&w, soon, 8), 0);
	for (int i = 0; i < MANY; i++) {
		things[i] = (struct thing){.due = 1700000000000 + (_i ? 1ll << sd_rng_below(&rng, 51) : 0)};
		sd_wheel_set(&w, &things[i].e, things[i].due);
	}
	for (int i = 0; i < 100 * MANY; i++) {
		struct sd_wheel_entry *e = sd_wheel_any(&w, sd_rng_next(&rng));
		ck_assert(sd_wheel_is_set(e));
		seen[(struct thing *)e - things] = true;
	}
	for (int i = 0; i < MANY; i++)
		ck_assert(seen[i]);
	while (w.n) {
		size_t n = sd_wheel_soon(&w, soon, 8);
		ck_assert_uint_ge(n, 1);
		int64_t next = INT64_MAX;
		for (int i = 0; i < MANY; i++)
			if (things[i].due >= 0 && things[i].due < next)
				next = things[i].due;
		for (size_t i = 0; i < n; i++) {
			int64_t off = ((struct thing *)soon[i])->due - 1700000000000;
			ck_assert_int_le(off / 64, 64 * (next - 1700000000000 + 64));
			for (size_t j = 0; j < i; j++)
				ck_assert_ptr_ne(soon[i], soon[j]);
		}
		((struct thing *)soon[0])->due = -1;
		sd_wheel_cancel(&w, soon[0]);
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("wheel");
	TCase *t = tcase_create("wheel");
	tcase_set_timeout(t, 60);
	tcase_add_loop_test(t, as_an_array, 0, RUNS);
	tcase_add_loop_test(t, looking_changes_nothing, 0, 2);
	suite_add_tcase(s, t);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
