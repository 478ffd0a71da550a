/* The set of integers against a sorted array of the same operations, its bytes against Redis's, and bytes that are none. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/intset.h"
#include "core/rng.h"
#include "guard.h"

#define MANY 300
static int64_t model[MANY + 1];
static uint32_t count;

static uint32_t place(int64_t v)
{
	uint32_t i = 0;
	while (i < count && model[i] < v)
		i++;
	return i;
}

static bool model_has(int64_t v)
{
	uint32_t i = place(v);
	return i < count && model[i] == v;
}

static void model_add(int64_t v)
{
	uint32_t i = place(v);
	memmove(model + i + 1, model + i, (count - i) * sizeof(model[0]));
	model[i] = v;
	count++;
}

static void model_remove(uint32_t i)
{
	memmove(model + i, model + i + 1, (count - i - 1) * sizeof(model[0]));
	count--;
}

/* Around the ends of each width, so that it widens now and then. */
static int64_t some_value(struct sd_rng *rng, unsigned widest)
{
	static const int64_t near[] = {0, INT16_MIN, INT16_MAX, INT32_MIN, INT32_MAX, INT64_MIN + 400, INT64_MAX - 400};
	return near[sd_rng_below(rng, widest)] + (int64_t)sd_rng_below(rng, 200) - 100;
}

static void compare(const uint8_t *s)
{
	ck_assert_uint_eq(sd_intset_count(s), count);
	ck_assert(sd_intset_valid(s, sd_intset_bytes(s)));
	for (uint32_t i = 0; i < count; i++)
		ck_assert_int_eq(sd_intset_at(s, i), model[i]);
}

START_TEST(as_an_array)
{
	static const unsigned widths[] = {1, 3, 5, 7};
	struct guard g = guard_new(SD_INTSET_EMPTY + (MANY + 1) * 8);
	struct sd_rng rng;
	uint8_t empty[SD_INTSET_EMPTY];
	sd_intset_init(empty);
	uint8_t *s = (uint8_t *)guard_put(&g, empty, sizeof(empty));
	count = 0;
	sd_rng_seed(&rng, (uint64_t)_i);
	for (int k = 0; k < 4000; k++) {
		int64_t v = some_value(&rng, widths[k / 1000]);
		uint32_t at;
		ck_assert_int_eq(sd_intset_find(s, v, &at), model_has(v));
		ck_assert_uint_eq(at, place(v));
		if (!model_has(v) && count < MANY) {
			/* exactly the room that was asked for, in front of the page that nobody may touch */
			size_t had = sd_intset_bytes(s), wants = sd_intset_bytes_with(s, v);
			uint8_t *to = (uint8_t *)g.base + g.size - wants;
			memmove(to, s, had);
			s = to;
			sd_intset_add(s, v);
			model_add(v);
			ck_assert_uint_eq(sd_intset_bytes(s), wants);
		} else if (count && sd_rng_below(&rng, 2)) {
			uint32_t i = sd_rng_below(&rng, count);
			sd_intset_remove_at(s, i);
			model_remove(i);
			size_t n = sd_intset_bytes(s);
			s = memmove(g.base + g.size - n, s, n);
		}
		if (k % 50 == 0)
			compare(s);
	}
	compare(s);
	guard_free(&g);
}
END_TEST

/* As redis-server 7.0.15 writes these in a DUMP. */
START_TEST(bytes)
{
	static const uint8_t two[] = {2, 0, 0, 0, 3, 0, 0, 0, 0xff, 0xff, 1, 0, 0x2c, 1};
	static const uint8_t four[] = {4, 0, 0, 0, 2, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0, 1, 0};
	static const uint8_t eight[] = {8, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0};
	uint8_t s[64];
	sd_intset_init(s);
	sd_intset_add(s, 300);
	sd_intset_add(s, -1);
	sd_intset_add(s, 1);
	ck_assert_uint_eq(sd_intset_bytes(s), sizeof(two));
	ck_assert_mem_eq(s, two, sizeof(two));
	sd_intset_remove_at(s, 2);
	sd_intset_remove_at(s, 1);
	sd_intset_add(s, 65536);
	ck_assert_uint_eq(sd_intset_bytes(s), sizeof(four));
	ck_assert_mem_eq(s, four, sizeof(four));
	sd_intset_init(s);
	sd_intset_add(s, 1ll << 32);
	ck_assert_uint_eq(sd_intset_bytes(s), sizeof(eight));
	ck_assert_mem_eq(s, eight, sizeof(eight));
}
END_TEST

START_TEST(untrusted)
{
	static const struct {
		uint8_t p[16];
		size_t n;
		bool good;
	} t[] = {
	    {{2, 0, 0, 0, 0, 0, 0, 0}, 8, true},
	    {{2, 0, 0, 0, 0, 0, 0, 0}, 7, false},			 /* half a head */
	    {{2, 0, 0, 0, 0, 0, 0, 0}, 10, false},			 /* one that is not counted */
	    {{2, 0, 0, 0, 1, 0, 0, 0, 5, 0}, 10, true},
	    {{2, 0, 0, 0, 1, 0, 0, 0, 5, 0}, 9, false},			 /* half a value */
	    {{2, 0, 0, 0, 1, 0, 0, 0, 5, 0, 0}, 11, false},		 /* and a half too many */
	    {{2, 0, 0, 0, 2, 0, 0, 0, 5, 0}, 10, false},		 /* one that is missing */
	    {{2, 0, 0, 0, 2, 0, 0, 0, 5, 0, 6, 0}, 12, true},
	    {{2, 0, 0, 0, 2, 0, 0, 0, 5, 0, 5, 0}, 12, false},		 /* twice */
	    {{2, 0, 0, 0, 2, 0, 0, 0, 6, 0, 5, 0}, 12, false},		 /* not in order */
	    {{2, 0, 0, 0, 2, 0, 0, 0, 0xff, 0xff, 0, 0}, 12, true},	 /* -1, 0 */
	    {{3, 0, 0, 0, 2, 0, 0, 0, 5, 0, 0, 6, 0, 0}, 14, false},	 /* no such width */
	    {{0, 0, 0, 0, 0, 0, 0, 0}, 8, false},
	    {{4, 0, 0, 0, 2, 0, 0, 0x40, 5, 0, 0, 0, 6, 0, 0, 0}, 16, false}, /* a length that wraps round */
	    {{8, 0, 0, 0, 1, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0x80}, 16, true},
	};
	struct guard g = guard_new(16);
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++)
		ck_assert_msg(sd_intset_valid((const uint8_t *)guard_put(&g, t[i].p, t[i].n), t[i].n) == t[i].good, "row %zu", i);
	guard_free(&g);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("intset");
	TCase *t = tcase_create("intset");
	tcase_set_timeout(t, 60);
	tcase_add_loop_test(t, as_an_array, 0, 10);
	tcase_add_test(t, bytes);
	tcase_add_test(t, untrusted);
	suite_add_tcase(s, t);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
