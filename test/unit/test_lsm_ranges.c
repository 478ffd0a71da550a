/* Ranges that were removed: a set says the same as looking at each of them. */
#include "core/lsm_ranges.h"
#include "lsm_rig.h"

#define RANGES 60

static char bytes[2 * RANGES][KEY_ROOM];
static struct sd_lsm_range list[RANGES];

/* The obvious way. */
static uint64_t hides(const struct sd_lsm_range *l, size_t n, struct sd_slice user, uint64_t snapshot)
{
	uint64_t best = 0;
	for (size_t i = 0; i < n; i++)
		if (sd_lsm_bytewise(l[i].from, user) <= 0 && (l[i].to.n == 0 || sd_lsm_bytewise(user, l[i].to) < 0) &&
		    l[i].seq <= snapshot && l[i].seq > best)
			best = l[i].seq;
	return best;
}

static void some_ranges(struct sd_rng *rng, size_t n, unsigned shape, unsigned keys)
{
	for (size_t i = 0; i < n; i++)
		list[i] = (struct sd_lsm_range){shaped_key(bytes[2 * i], shape, sd_rng_below(rng, keys)),
						shaped_key(bytes[2 * i + 1], shape, sd_rng_below(rng, keys)), i + 1};
	for (size_t i = 0; i < n; i++) {
		size_t k = sd_rng_below(rng, (uint32_t)n);
		uint64_t seq = list[i].seq;
		list[i].seq = list[k].seq;
		list[k].seq = seq;
		if (sd_rng_below(rng, 10) == 0)
			list[i].to = (struct sd_slice){NULL, 0}; /* to the end */
	}
}

static void same_answers(const struct sd_lsm_ranges *s, size_t n, unsigned shape, unsigned keys)
{
	char key[KEY_ROOM];
	for (unsigned k = 0; k <= keys; k++)
		for (uint64_t snapshot = 0; snapshot <= n + 1; snapshot++) {
			struct sd_slice user = shaped_key(key, shape, k);
			must(sd_lsm_ranges_hides(s, user, snapshot) == hides(list, n, user, snapshot));
		}
}

static void try_says_what_each_says(unsigned seed)
{
	struct sd_rng rng;
	sd_rng_seed(&rng, seed + 1);
	unsigned shape = seed % KEY_SHAPES, keys = 1 + sd_rng_below(&rng, 40);
	size_t n = 1 + sd_rng_below(&rng, RANGES);
	some_ranges(&rng, n, shape, keys);
	struct sd_lsm_ranges *s;
	ck_assert(sd_lsm_ranges_new(list, n, &s));
	same_answers(s, n, shape, keys);
	size_t some = 0;
	for (size_t i = 0; i < n; i++)
		some += list[i].to.n == 0 || sd_lsm_bytewise(list[i].from, list[i].to) < 0;
	ck_assert_uint_eq(sd_lsm_ranges_count(s), some);
	for (size_t i = 1; i < some; i++) {
		struct sd_lsm_range a = sd_lsm_ranges_at(s, i - 1), b = sd_lsm_ranges_at(s, i);
		int c = sd_lsm_bytewise(a.from, b.from);
		ck_assert(c < 0 || (c == 0 && a.seq > b.seq));
	}
	sd_lsm_ranges_unref(s);
}

START_TEST(says_what_each_says)
{
	for (unsigned seed = 0; seed < 70; seed++)
		try_says_what_each_says(seed);
}
END_TEST

static void try_many_sets_in_one(unsigned seed)
{
	struct sd_rng rng;
	sd_rng_seed(&rng, seed + 1);
	some_ranges(&rng, RANGES, 2, 50);
	struct sd_lsm_ranges *sets[5], *all;
	for (size_t i = 0; i < 4; i++)
		ck_assert(sd_lsm_ranges_new(list + i * RANGES / 4, RANGES / 4, &sets[i]));
	sets[4] = NULL;
	ck_assert(sd_lsm_ranges_join(sets, 5, &all));
	for (size_t i = 0; i < 4; i++)
		sd_lsm_ranges_unref(sets[i]); /* it has its own keys */
	same_answers(all, RANGES, 2, 50);
	sets[0] = NULL;
	sets[1] = all;
	struct sd_lsm_ranges *one;
	ck_assert(sd_lsm_ranges_join(sets, 2, &one));
	ck_assert_ptr_eq(one, all);
	sd_lsm_ranges_unref(one);
	sd_lsm_ranges_unref(all);
}

START_TEST(many_sets_in_one)
{
	for (unsigned seed = 0; seed < 5; seed++)
		try_many_sets_in_one(seed);
}
END_TEST

START_TEST(none)
{
	struct sd_lsm_ranges *s = (struct sd_lsm_ranges *)1;
	ck_assert(sd_lsm_ranges_new(NULL, 0, &s));
	ck_assert_ptr_null(s);
	struct sd_lsm_range nothing[] = {{sd_slice_of("b"), sd_slice_of("a"), 5}, {sd_slice_of("c"), sd_slice_of("c"), 6}};
	ck_assert(sd_lsm_ranges_new(nothing, 2, &s));
	ck_assert_ptr_null(s);
	ck_assert_uint_eq(sd_lsm_ranges_hides(NULL, sd_slice_of("a"), SD_LSM_SEQ_MAX), 0);
	ck_assert_uint_eq(sd_lsm_ranges_count(NULL), 0);
	ck_assert(sd_lsm_ranges_join(NULL, 0, &s));
	ck_assert_ptr_null(s);
	sd_lsm_ranges_unref(sd_lsm_ranges_ref(NULL));
}
END_TEST

START_TEST(everything_is_a_range_too)
{
	struct sd_lsm_range all = {{NULL, 0}, {NULL, 0}, 7};
	struct sd_lsm_ranges *s;
	ck_assert(sd_lsm_ranges_new(&all, 1, &s));
	ck_assert_uint_eq(sd_lsm_ranges_hides(s, sd_slice_of(""), 7), 7);
	ck_assert_uint_eq(sd_lsm_ranges_hides(s, sd_slice_of("\xff\xff"), 8), 7);
	ck_assert_uint_eq(sd_lsm_ranges_hides(s, sd_slice_of("a"), 6), 0);
	sd_lsm_ranges_unref(s);
}
END_TEST

/* Ranges in one another: noting each at every gap that it covers would take 20,000 times 20,000 notes. */
START_TEST(nested_ranges_take_little)
{
	enum { MANY = 20000 };
	struct sd_lsm_range *l = calloc(MANY, sizeof(*l));
	char(*keys)[2][8] = calloc(MANY, sizeof(*keys));
	ck_assert(l && keys);
	for (unsigned i = 0; i < MANY; i++) {
		sd_put_be(keys[i][0], i, 8);
		sd_put_be(keys[i][1], 2 * MANY - i, 8);
		l[i] = (struct sd_lsm_range){{keys[i][0], 8}, {keys[i][1], 8}, i + 1};
	}
	struct sd_lsm_ranges *s;
	ck_assert(sd_lsm_ranges_new(l, MANY, &s));
	ck_assert_uint_lt(sd_lsm_ranges_bytes(s), MANY * 600);
	char key[8];
	for (unsigned i = 0; i < MANY; i += 97) {
		sd_put_be(key, i, 8);
		ck_assert_uint_eq(sd_lsm_ranges_hides(s, (struct sd_slice){key, 8}, SD_LSM_SEQ_MAX), i + 1);
		ck_assert_uint_eq(sd_lsm_ranges_hides(s, (struct sd_slice){key, 8}, i / 2), i / 2);
	}
	sd_lsm_ranges_unref(s);
	free(l);
	free(keys);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("lsm_ranges");
	TCase *t = tcase_create("lsm_ranges");
	tcase_set_timeout(t, 60);
	tcase_add_test(t, says_what_each_says);
	tcase_add_test(t, many_sets_in_one);
	tcase_add_test(t, none);
	tcase_add_test(t, everything_is_a_range_too);
	tcase_add_test(t, nested_ranges_take_little);
	suite_add_tcase(s, t);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
