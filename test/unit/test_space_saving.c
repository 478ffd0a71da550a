/* Space-Saving beside a counter for every key: the bounds that it promises, on streams of several kinds. */
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/mix.h"
#include "core/rng.h"
#include "core/space_saving.h"

#define KEYS 5000

static struct sd_space_saving *s;
static double truth[KEYS]; /* sightings, halved as they were */
static double total;
static char name[1024];

static struct sd_slice name_of(uint32_t key)
{
	return (struct sd_slice){name, (size_t)snprintf(name, sizeof(name), "key:%u", key)};
}

static void see(uint32_t key)
{
	sd_space_saving_add(s, name_of(key), key % 3, (uint32_t)sd_mix(key / 3));
	truth[key]++;
	total++;
}

static void halve(void)
{
	sd_space_saving_halve(s);
	for (int i = 0; i < KEYS; i++)
		truth[i] /= 2;
	total /= 2;
}

static uint32_t number_of(const struct sd_space_saving_top *t)
{
	char text[32];
	unsigned key;
	ck_assert_uint_lt(t->key.n, sizeof(text));
	memcpy(text, t->key.p, t->key.n);
	text[t->key.n] = '\0';
	ck_assert_int_eq(sscanf(text, "key:%u", &key), 1);
	ck_assert_uint_eq(key % 3, t->group);
	return key;
}

/* slack: what rounding may have added. */
static void check_bounds(size_t k, double slack)
{
	struct sd_space_saving_top *top = calloc(k, sizeof(*top));
	static bool shown[KEYS];
	memset(shown, 0, sizeof(shown));
	size_t n = sd_space_saving_top(s, top, k);
	for (size_t i = 0; i < n; i++) {
		uint32_t key = number_of(&top[i]);
		ck_assert(!shown[key]);
		shown[key] = true;
		ck_assert(i == 0 || top[i].count <= top[i - 1].count);
		ck_assert_msg((double)top[i].count >= truth[key], "%u: %llu below %f", key, (unsigned long long)top[i].count, truth[key]);
		ck_assert_msg((double)top[i].count - (double)top[i].error <= truth[key], "%u: %llu - %llu above %f", key,
			      (unsigned long long)top[i].count, (unsigned long long)top[i].error, truth[key]);
		ck_assert_msg((double)top[i].error <= total / (double)k + slack, "error %llu of %f", (unsigned long long)top[i].error, total);
	}
	for (uint32_t key = 0; key < KEYS; key++)
		ck_assert_msg(shown[key] || truth[key] <= total / (double)k + slack, "%u was seen %f times", key, truth[key]);
	free(top);
}

static uint32_t zipf(struct sd_rng *rng)
{
	return (uint32_t)pow(KEYS, sd_rng_unit(rng)) - 1;
}

static uint32_t any(struct sd_rng *rng)
{
	return sd_rng_below(rng, KEYS);
}

/* Each new one comes as often as is hard for it: in turn. */
static uint32_t in_turn(struct sd_rng *rng)
{
	return (uint32_t)(rng->s[0]++ % 150);
}

START_TEST(bounds_hold)
{
	static const size_t sizes[] = {1, 2, 10, 100, 1000};
	static uint32_t (*const streams[])(struct sd_rng *) = {zipf, any, in_turn};
	size_t k = sizes[_i % 5];
	struct sd_rng rng;
	sd_rng_seed(&rng, (uint64_t)_i);
	s = sd_space_saving_new(k);
	total = 0;
	memset(truth, 0, sizeof(truth));
	for (int round = 0; round < 8; round++) {
		for (int i = 0; i < 10000; i++)
			see(streams[_i / 5](&rng));
		check_bounds(k, 2.0 * round);
		if (round % 2)
			halve();
		check_bounds(k, 2.0 * (round + 1));
	}
	sd_space_saving_free(s);
}
END_TEST

START_TEST(few_keys_are_exact)
{
	struct sd_space_saving_top top[4];
	s = sd_space_saving_new(4);
	for (int i = 0; i < 5; i++)
		see(7);
	for (int i = 0; i < 9; i++)
		see(8);
	see(9);
	ck_assert_uint_eq(sd_space_saving_top(s, top, 4), 3);
	ck_assert_uint_eq(number_of(&top[0]), 8);
	ck_assert_uint_eq(top[0].count, 9);
	ck_assert_uint_eq(number_of(&top[1]), 7);
	ck_assert_uint_eq(top[1].count, 5);
	ck_assert_uint_eq(top[1].error, 0);
	ck_assert_uint_eq(sd_space_saving_total(s), 15);
	ck_assert_uint_eq(sd_space_saving_top(s, top, 1), 1);
	ck_assert_uint_eq(number_of(&top[0]), 8);
	sd_space_saving_clear(s);
	ck_assert_uint_eq(sd_space_saving_top(s, top, 4), 0);
	see(9);
	ck_assert_uint_eq(sd_space_saving_top(s, top, 4), 1);
	ck_assert_uint_eq(top[0].count, 1);
	sd_space_saving_free(s);
}
END_TEST

/* What was hot, and is not now, makes room for what is. */
START_TEST(shows_what_is_hot_now)
{
	struct sd_space_saving_top top[1];
	s = sd_space_saving_new(20);
	for (int i = 0; i < 100000; i++)
		see(1);
	for (int second = 0; second < 10; second++) {
		for (int i = 0; i < 1000; i++)
			see(2);
		halve();
	}
	ck_assert_uint_eq(sd_space_saving_top(s, top, 1), 1);
	ck_assert_uint_eq(number_of(&top[0]), 2);
	sd_space_saving_free(s);
}
END_TEST

START_TEST(keys_of_any_length)
{
	struct sd_space_saving_top top[3];
	char big[2000] = {0};
	s = sd_space_saving_new(3);
	for (int i = 0; i < 3; i++)
		sd_space_saving_add(s, (struct sd_slice){big, sizeof(big)}, 0, 1);
	sd_space_saving_add(s, (struct sd_slice){big, 0}, 0, 1);
	sd_space_saving_add(s, (struct sd_slice){big, 0}, 0, 1);
	sd_space_saving_add(s, (struct sd_slice){big, 1}, 0, 1);
	sd_space_saving_add(s, (struct sd_slice){"y", 1}, 0, 1);
	ck_assert_uint_eq(sd_space_saving_top(s, top, 3), 3);
	ck_assert_uint_eq(top[0].key.n, SD_SPACE_SAVING_KEY);
	ck_assert_uint_eq(top[0].count, 3);
	/* of two with the same count the older comes first */
	ck_assert_uint_eq(top[1].key.n, 0);
	ck_assert_uint_eq(top[1].count, 2);
	ck_assert_uint_eq(top[2].key.p[0], 'y');
	ck_assert_uint_eq(top[2].error, 1);
	ck_assert_uint_lt(sd_space_saving_memory(s), 3000);
	sd_space_saving_free(s);
	ck_assert_ptr_null(sd_space_saving_new(0));
	ck_assert_ptr_null(sd_space_saving_new(65536));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("space_saving");
	TCase *t = tcase_create("space_saving");
	tcase_set_timeout(t, 60);
	tcase_add_loop_test(t, bounds_hold, 0, 15);
	tcase_add_test(t, few_keys_are_exact);
	tcase_add_test(t, shows_what_is_hot_now);
	tcase_add_test(t, keys_of_any_length);
	suite_add_tcase(suite, t);
	SRunner *r = srunner_create(suite);
	srunner_run_all(r, CK_ENV);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed > 0;
}
