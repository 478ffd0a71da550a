#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "core/rng.h"
#include "sdlab/balance.h"

static struct sd_balancer *b;
static uint32_t loads[SD_BALANCE_MAX];

static void setup(void)
{
	b = sd_balancer_new(42);
	ck_assert_ptr_nonnull(b);
	memset(loads, 0, sizeof(loads));
}

static void teardown(void)
{
	sd_balancer_free(b);
}

static uint32_t load_of(void *arg, size_t i)
{
	const uint32_t *l = arg;
	return l[i];
}

static int pick_from(struct sd_balancer *from, const uint64_t *skip)
{
	return sd_balancer_pick(from, &(struct sd_balance_ask){.skip = skip, .load = load_of, .arg = loads});
}

static enum sd_err set_all(enum sd_balance_algorithm how, const struct sd_balance_target *t, size_t n)
{
	return sd_balancer_set(b, &(struct sd_balance_conf){.algorithm = how}, t, n);
}

/* ids are 1, 2, 3 ...; a weight below 0: not usable, with that weight */
static void set(enum sd_balance_algorithm how, const int *weights, size_t n)
{
	struct sd_balance_target t[16];
	for (size_t i = 0; i < n; i++)
		t[i] = (struct sd_balance_target){i + 1, (uint32_t)abs(weights[i]), weights[i] >= 0};
	ck_assert_int_eq(set_all(how, t, n), SD_OK);
}

#define SET(how, ...)                                                                                        \
	do {                                                                                                 \
		static const int w_[] = {__VA_ARGS__};                                                       \
		set(how, w_, sizeof(w_) / sizeof(w_[0]));                                                    \
	} while (0)

#define RR    SD_BALANCE_ROUND_ROBIN
#define LEAST SD_BALANCE_LEAST_CONNECTIONS
#define TWO   SD_BALANCE_RANDOM_TWO

static int pick(void)
{
	return pick_from(b, NULL);
}

static void picks(const char *want)
{
	for (const char *p = want; *p; p++) {
		int i = pick();
		ck_assert_msg(i == *p - 'a', "pick %d of \"%s\" was %c", (int)(p - want), want, i < 0 ? '-' : 'a' + i);
	}
}

START_TEST(smooth_sequence)
{
	SET(RR, 5, 1, 1);
	picks("aabacaaaabacaa");
	SET(RR, 5, 1, 1);
	picks("aabacaa");
}
END_TEST

START_TEST(equal_weights_go_round)
{
	SET(RR, 1, 1, 1);
	picks("abcabcabc");
}
END_TEST

/* Over one sum of the weights each gets exactly its weight, and never runs far ahead. */
START_TEST(exact_over_a_period)
{
	SET(RR, 7, 3, 0, 256, 1);
	static const int weights[] = {7, 3, 0, 256, 1};
	for (int round = 0; round < 3; round++) {
		int got[5] = {0};
		for (int k = 1; k <= 267; k++) {
			got[pick()]++;
			for (int i = 0; i < 5; i++) {
				double due = weights[i] * k / 267.0;
				ck_assert_msg(got[i] > due - 2 && got[i] < due + 2, "%d after %d picks: %d", i, k, got[i]);
			}
		}
		for (int i = 0; i < 5; i++)
			ck_assert_int_eq(got[i], weights[i]);
	}
}
END_TEST

START_TEST(unusable_are_passed_over)
{
	static const enum sd_balance_algorithm all[] = {RR, LEAST, TWO};
	SET(all[_i], -5, 1, 0, 1);
	for (int k = 0; k < 200; k++) {
		int i = pick();
		ck_assert(i == 1 || i == 3);
	}
	SET(all[_i], -1, 0);
	ck_assert_int_eq(pick(), -1);
	set(all[_i], NULL, 0);
	ck_assert_int_eq(pick(), -1);
	SET(all[_i], 3);
	for (int k = 0; k < 10; k++)
		ck_assert_int_eq(pick(), 0);
}
END_TEST

START_TEST(skip_mask)
{
	static const enum sd_balance_algorithm all[] = {RR, LEAST, TWO};
	uint64_t skip[SD_BALANCE_MAX / 64];
	struct sd_rng rng;
	sd_rng_seed(&rng, 7);
	SET(all[_i], 1, 9, 2, 0, -3, 4);
	for (int k = 0; k < 500; k++) {
		memset(skip, 0xff, sizeof(skip)); /* what lies behind the targets must not matter */
		skip[0] = sd_rng_next(&rng) | ~0x3full;
		int i = pick_from(b, skip);
		bool any = (~skip[0] & 0x27) != 0; /* 0, 1, 2 and 5 may be used */
		ck_assert_int_eq(i >= 0, any);
		if (any)
			ck_assert(!(skip[0] >> i & 1) && i != 3 && i != 4);
	}
}
END_TEST

/* Those passed over come back with what they had. */
START_TEST(skipped_neither_gain_nor_pay)
{
	uint64_t skip[SD_BALANCE_MAX / 64] = {1};
	SET(RR, 1, 1, 1);
	picks("a");
	for (int k = 0; k < 10; k++)
		ck_assert_int_eq(sd_balancer_pick(b, &(struct sd_balance_ask){.skip = skip}), 1 + k % 2);
	picks("bcabc");
}
END_TEST

START_TEST(place_is_kept_over_a_set)
{
	SET(RR, 1, 1, 1);
	picks("ab");
	SET(RR, 1, 1, 1);
	picks("cab");
	/* in another order, with one more: by id, not by index */
	struct sd_balance_target t[] = {{3, 1, true}, {1, 1, true}, {2, 1, true}, {9, 1, true}};
	ck_assert_int_eq(set_all(RR, t, 4), SD_OK);
	ck_assert_int_eq(pick(), 0); /* it was the turn of id 3 */
}
END_TEST

/* What was saved up under large weights must not flood one target under small ones. */
START_TEST(old_debts_do_not_last)
{
	SET(RR, 256, 256, 256);
	picks("ab");
	SET(RR, 1, 1, 1);
	int got[3] = {0};
	for (int k = 0; k < 30; k++)
		got[pick()]++;
	for (int i = 0; i < 3; i++)
		ck_assert_msg(got[i] >= 7 && got[i] <= 13, "%c got %d of 30", 'a' + i, got[i]);
}
END_TEST

START_TEST(least_loaded)
{
	SET(LEAST, 1, 1, 1);
	loads[0] = 3, loads[1] = 1, loads[2] = 2;
	picks("bb");
	loads[1] = 9;
	picks("cc");
	loads[2] = 9;
	picks("a");
}
END_TEST

/* (load + 1) / weight: one with twice the weight gets two of three. */
START_TEST(least_loaded_by_weight)
{
	int got[2] = {0};
	SET(LEAST, 2, 1);
	for (int k = 0; k < 300; k++) {
		int i = pick();
		got[i]++;
		loads[i]++;
	}
	ck_assert_int_eq(got[0], 200);
	ck_assert_int_eq(got[1], 100);
	loads[0] = UINT32_MAX, loads[1] = UINT32_MAX; /* no overflow */
	ck_assert_int_eq(pick(), 0);
}
END_TEST

START_TEST(ties_go_round)
{
	int got[4] = {0};
	SET(LEAST, 1, 1, 1, 1);
	for (int k = 0; k < 40; k++)
		got[pick()]++;
	for (int i = 0; i < 4; i++)
		ck_assert_int_eq(got[i], 10);
}
END_TEST

START_TEST(two_choices_spread)
{
	int got[8] = {0};
	SET(TWO, 1, 1, 1, 1, 1, 1, 1, 1);
	for (int k = 0; k < 8000; k++) {
		int i = pick();
		got[i]++;
		loads[i]++;
	}
	/* with loads to look at it is all but even; blind chance would differ by a hundred */
	for (int i = 0; i < 8; i++)
		ck_assert_msg(got[i] > 990 && got[i] < 1010, "%d got %d of 8000", i, got[i]);
}
END_TEST

START_TEST(two_choices_by_weight)
{
	int got[3] = {0};
	SET(TWO, 6, 3, 1);
	for (int k = 0; k < 10000; k++) {
		int i = pick();
		got[i]++;
		loads[i]++;
	}
	ck_assert_int_gt(got[0], 5000);
	ck_assert_int_gt(got[1], 2000);
	ck_assert_int_gt(got[2], 500);
	ck_assert(got[0] > got[1] && got[1] > got[2]);
}
END_TEST

/* The loaded one of two is not taken as long as there is another. */
START_TEST(two_choices_avoid_the_loaded)
{
	SET(TWO, 1, 1);
	loads[0] = 5;
	picks("bbbbbbbbbb");
}
END_TEST

START_TEST(same_seed_same_picks)
{
	struct sd_balancer *other = sd_balancer_new(42);
	struct sd_balance_target t[5];
	for (size_t i = 0; i < 5; i++)
		t[i] = (struct sd_balance_target){i + 1, (uint32_t)i + 1, true};
	set_all(TWO, t, 5);
	sd_balancer_set(other, &(struct sd_balance_conf){.algorithm = TWO}, t, 5);
	for (int k = 0; k < 100; k++)
		ck_assert_int_eq(pick(), pick_from(other, NULL));
	sd_balancer_free(other);
}
END_TEST

START_TEST(limits)
{
	static struct sd_balance_target t[SD_BALANCE_MAX + 1];
	for (size_t i = 0; i <= SD_BALANCE_MAX; i++)
		t[i] = (struct sd_balance_target){i + 1, 1, true};
	SET(RR, 1, 1);
	ck_assert_int_eq(set_all(RR, t, SD_BALANCE_MAX + 1), SD_ERANGE);
	t[0].weight = SD_BALANCE_MAX_WEIGHT + 1;
	ck_assert_int_eq(set_all(RR, t, 1), SD_ERANGE);
	picks("ab"); /* the old ones stay */
	for (size_t i = 0; i < SD_BALANCE_MAX; i++)
		t[i].weight = SD_BALANCE_MAX_WEIGHT;
	ck_assert_int_eq(set_all(RR, t, SD_BALANCE_MAX), SD_OK);
	uint64_t seen[SD_BALANCE_MAX / 64] = {0};
	for (int k = 0; k < SD_BALANCE_MAX; k++) {
		int i = pick();
		ck_assert(!(seen[i / 64] >> (i % 64) & 1));
		seen[i / 64] |= 1ull << (i % 64);
	}
	ck_assert_int_eq(sd_balancer_pick(b, &(struct sd_balance_ask){.skip = seen}), -1);
	ck_assert_int_eq(set_all(TWO, t, SD_BALANCE_MAX), SD_OK);
	ck_assert_int_eq(pick_from(b, seen), -1);
	seen[15] &= ~(1ull << 63);
	ck_assert_int_eq(pick_from(b, seen), SD_BALANCE_MAX - 1);
	sd_balancer_free(NULL);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("balance");
	TCase *t = tcase_create("balance");
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, smooth_sequence);
	tcase_add_test(t, equal_weights_go_round);
	tcase_add_test(t, exact_over_a_period);
	tcase_add_loop_test(t, unusable_are_passed_over, 0, 3);
	tcase_add_loop_test(t, skip_mask, 0, 3);
	tcase_add_test(t, skipped_neither_gain_nor_pay);
	tcase_add_test(t, place_is_kept_over_a_set);
	tcase_add_test(t, old_debts_do_not_last);
	tcase_add_test(t, least_loaded);
	tcase_add_test(t, least_loaded_by_weight);
	tcase_add_test(t, ties_go_round);
	tcase_add_test(t, two_choices_spread);
	tcase_add_test(t, two_choices_by_weight);
	tcase_add_test(t, two_choices_avoid_the_loaded);
	tcase_add_test(t, same_seed_same_picks);
	tcase_add_test(t, limits);
	suite_add_tcase(s, t);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
