/* The balancer beyond turns and loads: latency, hash, slow start, backups, panic, and why a target was picked. */
#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/rng.h"
#include "sdlab/balance.h"

#define SECOND 1000000000ll
#define MS     1000000ll
#define MAX    16

static struct sd_balancer *b;
static struct sd_balance_target targets[MAX];
static struct sd_balance_conf conf;
static uint32_t loads[MAX];
static int64_t now;
static size_t n;

static const enum sd_balance_algorithm all[] = {SD_BALANCE_ROUND_ROBIN, SD_BALANCE_LEAST_CONNECTIONS,
						SD_BALANCE_RANDOM_TWO, SD_BALANCE_LEAST_LATENCY, SD_BALANCE_HASH};
#define ALL 5

static void setup(void)
{
	b = sd_balancer_new(42);
	memset(loads, 0, sizeof(loads));
	conf = (struct sd_balance_conf){0};
	now = 1000 * SECOND;
}

static void teardown(void)
{
	sd_balancer_free(b);
	sd_ring_release(conf.ring);
}

static uint32_t load_of(void *arg, size_t i)
{
	(void)arg;
	return loads[i];
}

/* One letter a target: '+' usable, '-' in reach only, '0' weight 0, 'x' not even in reach; B, b: backups, '+' and '-'. */
static void make(enum sd_balance_algorithm how, const char *what)
{
	struct sd_ring_node nodes[MAX];
	n = strlen(what);
	for (size_t i = 0; i < n; i++) {
		char c = what[i];
		targets[i] = (struct sd_balance_target){.id = i + 1,
							.weight = c != '0',
							.usable = c == '+' || c == 'B' || c == '0',
							.in_reach = c != 'x',
							.backup = c == 'B' || c == 'b',
							.since_ns = SD_BALANCE_LONG_AGO};
		nodes[i] = (struct sd_ring_node){.id = i + 1, .weight = targets[i].weight};
	}
	conf.algorithm = how;
	sd_ring_release(conf.ring);
	conf.ring = NULL;
	if (how == SD_BALANCE_HASH)
		ck_assert_int_eq(sd_ring_build(&(struct sd_ring_conf){.vnodes = 1000}, nodes, n, &conf.ring), SD_OK);
	ck_assert_int_eq(sd_balancer_set(b, &conf, targets, n), SD_OK);
}

static void set_again(void)
{
	ck_assert_int_eq(sd_balancer_set(b, &conf, targets, n), SD_OK);
}

static struct sd_balance_ask ask(void)
{
	return (struct sd_balance_ask){.load = load_of, .now_ns = now};
}

static int pick(void)
{
	struct sd_balance_ask a = ask();
	return sd_balancer_pick(b, &a);
}

static int pick_key(uint64_t key)
{
	struct sd_balance_ask a = ask();
	a.key = key * 0x9e3779b97f4a7c15u;
	a.has_key = true;
	return sd_balancer_pick(b, &a);
}

/* Every target whose bit is set is picked at some time, and no other; no bit: none is. */
static void picks_only(unsigned bits)
{
	unsigned got = 0;
	for (int k = 0; k < 400; k++) {
		int i = pick();
		ck_assert_int_eq(i >= 0, bits != 0);
		got |= i < 0 ? 0 : 1u << i;
	}
	ck_assert_msg(got == bits, "picked %x, expected %x", got, bits);
}

/* ---- tiers ---- */

START_TEST(backups_only_when_no_primary_is_usable)
{
	make(all[_i], "++BB");
	picks_only(3);
	make(all[_i], "-+BB");
	picks_only(2);
	make(all[_i], "--BB");
	picks_only(12);
	make(all[_i], "-xbB");
	picks_only(8);
	make(all[_i], "0-BB"); /* a primary that must get nothing keeps nobody waiting */
	picks_only(12);
	make(all[_i], "--bb");
	picks_only(0);
	make(all[_i], "BBb");
	picks_only(3);
}
END_TEST

/* A request that failed on every primary may try a backup; one that waits for a primary stays. */
START_TEST(tried_primaries_spill_over)
{
	uint64_t skip[SD_BALANCE_MAX / 64] = {3};
	struct sd_balance_ask a = ask();
	a.skip = skip;
	make(all[_i], "++Bb");
	ck_assert_int_eq(sd_balancer_pick(b, &a), 2);
	a.stay = true;
	ck_assert_int_eq(sd_balancer_pick(b, &a), -1);
	a.stay = false;
	skip[0] = 7;
	ck_assert_int_eq(sd_balancer_pick(b, &a), -1);
	skip[0] = 1;
	ck_assert_int_eq(sd_balancer_pick(b, &a), 1);
}
END_TEST

/* ---- panic ---- */

START_TEST(panic_uses_all_in_reach)
{
	conf.panic_threshold = 0.5;
	make(all[_i], "++--"); /* half is not fewer than half */
	picks_only(3);
	make(all[_i], "+---");
	picks_only(15);
	make(all[_i], "----");
	picks_only(15);
	make(all[_i], "+--x0"); /* what is not in reach or has no weight does not count: one of three */
	picks_only(7);
	make(all[_i], "--BB"); /* the backups are well */
	picks_only(12);
	make(all[_i], "--Bbb");
	picks_only(28);
}
END_TEST

START_TEST(panic_uses_none)
{
	conf.panic_threshold = 0.5;
	conf.panic = SD_BALANCE_PANIC_NONE;
	make(all[_i], "++--");
	picks_only(3);
	make(all[_i], "+---");
	picks_only(0);
	make(all[_i], "+---B");
	picks_only(0);
}
END_TEST

START_TEST(control_without_a_threshold_there_is_no_panic)
{
	make(all[_i], "+---");
	picks_only(1);
	make(all[_i], "----");
	picks_only(0);
}
END_TEST

/* ---- slow start ---- */

/* Its part of so many picks among four, in fair parts. */
static double part_of_last(int rounds)
{
	double got = 0;
	for (int k = 0; k < rounds; k++)
		got += (conf.algorithm == SD_BALANCE_HASH ? pick_key((uint64_t)k) : pick()) == 3;
	return got / rounds * 4;
}

/* It gets about as much of its share as time has passed, a tenth at least. */
START_TEST(a_rising_share)
{
	static const struct {
		double age, low, high;
	} steps[] = {{0, 0.05, 0.18}, {0.25, 0.15, 0.4}, {0.5, 0.35, 0.7}, {0.75, 0.6, 0.95}, {1, 0.85, 1.15}};
	double before = 0;
	for (int k = 0; k < 5; k++) {
		conf.slow_start_ns = 30 * SECOND;
		make(all[_i], "++++");
		targets[3].since_ns = now - (int64_t)(steps[k].age * 30 * (double)SECOND);
		set_again();
		double part = part_of_last(20000);
		ck_assert_msg(part > steps[k].low && part < steps[k].high, "after %.2f: %.2f", steps[k].age, part);
		ck_assert(part > before);
		before = part;
	}
}
END_TEST

/* Least-connections sends all to the one that is empty, unless it is told not to. */
START_TEST(one_that_came_back_empty_is_not_flooded)
{
	for (int warm = 0; warm < 2; warm++) {
		int got = 0;
		conf.slow_start_ns = warm ? 30 * SECOND : 0;
		make(all[_i], "++++");
		targets[3].since_ns = now;
		set_again();
		for (int i = 0; i < 3; i++)
			loads[i] = 50;
		loads[3] = 0;
		for (int k = 0; k < 100; k++) {
			int i = pick();
			loads[i]++;
			got += i == 3;
		}
		ck_assert_msg(warm ? got <= 15 : got >= 50, "%s slow start: %d of 100", warm ? "with" : "without", got);
	}
}
END_TEST

START_TEST(all_warming_share_as_ever)
{
	conf.slow_start_ns = 30 * SECOND;
	make(all[_i], "++++");
	for (int i = 0; i < 4; i++)
		targets[i].since_ns = now;
	set_again();
	picks_only(15);
	make(all[_i], "+--");
	targets[0].since_ns = now;
	set_again();
	picks_only(1);
}
END_TEST

START_TEST(exact_turns_while_warming)
{
	int got[2] = {0};
	conf.slow_start_ns = 10 * SECOND;
	make(SD_BALANCE_ROUND_ROBIN, "++");
	targets[1].since_ns = now - 5 * SECOND;
	set_again();
	for (int k = 0; k < 300; k++)
		got[pick()]++;
	ck_assert_int_eq(got[0], 200);
	ck_assert_int_eq(got[1], 100);
}
END_TEST

/* ---- latency ---- */

#define LL SD_BALANCE_LEAST_LATENCY

START_TEST(follows_a_peak_at_once_and_forgets_with_time)
{
	make(LL, "+");
	ck_assert_double_eq(sd_balancer_latency(b, 0, now), 0);
	sd_balancer_sample(b, 0, 10 * MS, true, now);
	ck_assert_double_eq_tol(sd_balancer_latency(b, 0, now), 10e6, 1);
	sd_balancer_sample(b, 0, 200 * MS, true, now);
	ck_assert_double_eq_tol(sd_balancer_latency(b, 0, now), 200e6, 1);
	/* one decay later a faster answer takes over all but 1/e */
	sd_balancer_sample(b, 0, 10 * MS, true, now + SD_BALANCE_DECAY_NS);
	ck_assert_double_eq_tol(sd_balancer_latency(b, 0, now + SD_BALANCE_DECAY_NS), 200e6 / M_E + 10e6 * (1 - 1 / M_E),
				1e3);
	/* unheard of, it falls, and is not known in the end */
	double then = sd_balancer_latency(b, 0, now + 2 * SD_BALANCE_DECAY_NS);
	ck_assert_double_eq_tol(then * M_E, sd_balancer_latency(b, 0, now + SD_BALANCE_DECAY_NS), 1e3);
	ck_assert_double_eq(sd_balancer_latency(b, 0, now + 6 * SD_BALANCE_DECAY_NS), 0);
}
END_TEST

START_TEST(the_faster_gets_the_most)
{
	int got[4] = {0};
	make(LL, "++++");
	for (int k = 0; k < 4000; k++) {
		int i = pick();
		got[i]++;
		sd_balancer_sample(b, (size_t)i, i == 2 ? 100 * MS : 5 * MS, true, now);
		now += MS;
	}
	ck_assert_msg(got[2] < 20, "the slow one got %d of 4000", got[2]);
	ck_assert(got[0] > 1000 && got[1] > 1000 && got[3] > 1000);
}
END_TEST

/* Latency times what waits already: twice as fast means about twice as much at a time, not everything. */
START_TEST(load_counts_beside_latency)
{
	make(LL, "++");
	sd_balancer_sample(b, 0, 10 * MS, true, now);
	sd_balancer_sample(b, 1, 20 * MS, true, now);
	for (int k = 0; k < 300; k++)
		loads[pick()]++;
	ck_assert_int_ge(loads[0], 198);
	ck_assert_int_le(loads[0], 202);
}
END_TEST

/* A new one gets one request at a time until it answered; as a control, one that is known to be fast gets many. */
START_TEST(one_not_known_is_not_flooded)
{
	for (int known = 0; known < 2; known++) {
		memset(loads, 0, sizeof(loads));
		make(LL, "xx");
		targets[0].id = 100 + known; /* nothing is carried over */
		targets[1].id = 200 + known;
		targets[0].usable = targets[1].usable = true;
		set_again();
		sd_balancer_sample(b, 0, 50 * MS, true, now);
		if (known)
			sd_balancer_sample(b, 1, MS, true, now);
		for (int k = 0; k < 100; k++)
			loads[pick()]++;
		if (known)
			ck_assert_uint_gt(loads[1], 90);
		else
			ck_assert_uint_eq(loads[1], 1);
	}
}
END_TEST

/* One that refuses at once would seem the fastest. */
START_TEST(failing_fast_is_no_merit)
{
	make(LL, "++");
	sd_balancer_sample(b, 0, 100 * MS, true, now);
	sd_balancer_sample(b, 1, 1000, false, now);
	picks_only(1);
	ck_assert_double_eq_tol(sd_balancer_latency(b, 1, now), (double)SD_BALANCE_FAILURE_NS, 1);
	sd_balancer_sample(b, 1, 5 * SECOND, false, now); /* one that took long to fail counts for as long as it took */
	ck_assert_double_eq_tol(sd_balancer_latency(b, 1, now), 5e9, 1);
}
END_TEST

START_TEST(latency_is_kept_over_a_set)
{
	make(LL, "++");
	sd_balancer_sample(b, 0, 100 * MS, true, now);
	struct sd_balance_target swapped[] = {targets[1], targets[0]};
	sd_balancer_set(b, &conf, swapped, 2);
	ck_assert_double_eq_tol(sd_balancer_latency(b, 1, now), 100e6, 1);
	ck_assert_double_eq(sd_balancer_latency(b, 0, now), 0);
}
END_TEST

START_TEST(heavier_ones_get_more)
{
	make(LL, "++");
	targets[0].weight = 3;
	set_again();
	sd_balancer_sample(b, 0, 10 * MS, true, now);
	sd_balancer_sample(b, 1, 10 * MS, true, now);
	for (int k = 0; k < 400; k++)
		loads[pick()]++;
	ck_assert(loads[0] >= 298 && loads[0] <= 302);
}
END_TEST

/* ---- hash ---- */

#define HASH SD_BALANCE_HASH

START_TEST(a_key_stays_where_it_is)
{
	make(HASH, "+++++");
	for (uint64_t k = 0; k < 200; k++) {
		int i = pick_key(k);
		for (int again = 0; again < 3; again++)
			ck_assert_int_eq(pick_key(k), i);
	}
}
END_TEST

/* One out: only its keys move. It is back: they are, too. */
START_TEST(only_keys_of_one_that_is_out_move)
{
	int was[1000], moved = 0;
	make(HASH, "+++++");
	for (uint64_t k = 0; k < 1000; k++)
		was[k] = pick_key(k);
	targets[2].usable = false;
	set_again();
	for (uint64_t k = 0; k < 1000; k++) {
		int i = pick_key(k);
		ck_assert_int_ne(i, 2);
		ck_assert(was[k] == 2 || i == was[k]);
		moved += was[k] == 2;
	}
	ck_assert(moved > 120 && moved < 280);
	targets[2].usable = true;
	set_again();
	for (uint64_t k = 0; k < 1000; k++)
		ck_assert_int_eq(pick_key(k), was[k]);
}
END_TEST

/* While one warms up keys come to it, and none goes away again. */
START_TEST(keys_come_back_one_by_one)
{
	bool there[1000] = {0};
	conf.slow_start_ns = 10 * SECOND;
	make(HASH, "+++");
	targets[1].since_ns = now;
	set_again();
	for (int step = 0; step <= 20; step++, now += SECOND / 2)
		for (uint64_t k = 0; k < 1000; k++) {
			bool here = pick_key(k) == 1;
			ck_assert(here || !there[k]);
			there[k] = here;
		}
}
END_TEST

/* One key for all: as many as the bound lets it have, and never more; without a bound, all. */
START_TEST(a_hot_key_is_bounded)
{
	for (int bounded = 0; bounded < 2; bounded++) {
		uint32_t most = 0;
		memset(loads, 0, sizeof(loads));
		conf.bound = bounded ? 1.25 : 0;
		make(HASH, "+++++-");
		for (int m = 1; m <= 1000; m++) {
			int i = pick_key(bounded && m % 3 == 0 ? (uint64_t)m : 7);
			loads[i]++;
			most = loads[i] > most ? loads[i] : most;
			if (bounded)
				ck_assert_uint_le(loads[i], (uint32_t)ceil(1.25 * m / 5));
		}
		ck_assert_uint_eq(most, bounded ? 250 : 1000);
	}
}
END_TEST

START_TEST(bound_holds_while_one_warms_up)
{
	conf.bound = 1.25;
	conf.slow_start_ns = 10 * SECOND;
	make(HASH, "++");
	targets[1].since_ns = now - SECOND; /* a tenth */
	set_again();
	for (uint64_t m = 1; m <= 500; m++) {
		loads[pick_key(m)]++;
		ck_assert_uint_le(loads[0], (uint32_t)ceil(1.25 * (double)m / 1.1 * 1.001));
		ck_assert_uint_le(loads[1], (uint32_t)ceil(1.25 * (double)m * 0.1 / 1.1 * 1.001) + 1);
	}
}
END_TEST

START_TEST(without_a_key_it_is_spread)
{
	make(HASH, "++++");
	picks_only(15);
}
END_TEST

START_TEST(a_ring_must_fit)
{
	make(HASH, "++");
	ck_assert_int_eq(sd_balancer_set(b, &conf, targets, 1), SD_EINVAL);
	struct sd_balance_conf none = {.algorithm = HASH};
	ck_assert_int_eq(sd_balancer_set(b, &none, targets, 2), SD_EINVAL);
	picks_only(3); /* the old ones stay */
}
END_TEST

/* ---- why ---- */

static struct sd_balance_candidate why[MAX];

static int explained(const struct sd_balance_ask *a)
{
	int next = -1;
	ck_assert_uint_eq(sd_balancer_explain(b, a, why, MAX), n);
	for (size_t i = 0; i < n; i++)
		if (why[i].next) {
			ck_assert_int_eq(next, -1);
			next = (int)i;
		}
	return next;
}

/* What explain says comes next is what is picked; it looks twice and nothing changes. */
START_TEST(explain_tells_the_pick)
{
	static const enum sd_balance_algorithm sure[] = {SD_BALANCE_ROUND_ROBIN, SD_BALANCE_LEAST_CONNECTIONS, HASH};
	struct sd_rng rng;
	uint64_t skip[SD_BALANCE_MAX / 64] = {0};
	sd_rng_seed(&rng, 5);
	conf.bound = 1.25;
	make(sure[_i], "++-+0+BB");
	targets[1].weight = 3;
	set_again();
	for (int k = 0; k < 500; k++) {
		struct sd_balance_ask a = ask();
		skip[0] = sd_rng_next(&rng) & sd_rng_next(&rng);
		a.skip = skip;
		a.key = sd_rng_next(&rng);
		a.has_key = true;
		int first = explained(&a), again = explained(&a), i = sd_balancer_pick(b, &a);
		ck_assert_int_eq(first, again);
		ck_assert_int_eq(first, i);
		if (i >= 0)
			loads[i] = (loads[i] + 1) % 5;
	}
}
END_TEST

START_TEST(explain_gives_reasons)
{
	uint64_t skip[SD_BALANCE_MAX / 64] = {1};
	struct sd_balance_ask a = ask();
	conf.slow_start_ns = 10 * SECOND;
	a.skip = skip;
	make(LL, "+++0-xBb");
	targets[2].since_ns = now - 5 * SECOND;
	set_again();
	sd_balancer_sample(b, 1, 20 * MS, true, now);
	loads[1] = 2;
	ck_assert_int_eq(explained(&a), 2);
	ck_assert_int_eq(why[0].reason, SD_BALANCE_SKIPPED);
	ck_assert_int_eq(why[1].reason, SD_BALANCE_MAY);
	ck_assert_double_eq_tol(why[1].score, 60, 1e-6);
	ck_assert_double_eq_tol(why[1].latency_ms, 20, 1e-6);
	ck_assert_uint_eq(why[1].load, 2);
	ck_assert_int_eq(why[2].reason, SD_BALANCE_WARMING);
	ck_assert_double_eq_tol(why[2].share, 0.5, 0.01);
	ck_assert_int_eq(why[3].reason, SD_BALANCE_NO_WEIGHT);
	ck_assert_int_eq(why[4].reason, SD_BALANCE_NOT_USABLE);
	ck_assert_int_eq(why[5].reason, SD_BALANCE_NOT_USABLE);
	ck_assert_int_eq(why[6].reason, SD_BALANCE_IN_RESERVE);
	ck_assert_int_eq(why[7].reason, SD_BALANCE_NOT_USABLE);
	make(LL, "-B");
	ck_assert_int_eq(explained(&(struct sd_balance_ask){.load = load_of, .now_ns = now}), 1);
	ck_assert_int_eq(why[0].reason, SD_BALANCE_OUT_OF_TIER);
	conf.panic_threshold = 1;
	conf.panic = SD_BALANCE_PANIC_NONE;
	make(LL, "+-");
	ck_assert_int_eq(explained(&(struct sd_balance_ask){.load = load_of, .now_ns = now}), -1);
	ck_assert_int_eq(why[0].reason, SD_BALANCE_NO_PANIC);
	ck_assert_uint_eq(sd_balancer_explain(b, &a, why, 1), 0);
	for (int r = SD_BALANCE_MAY; r <= SD_BALANCE_OVER_BOUND; r++)
		ck_assert_ptr_nonnull(sd_balance_reason_text((enum sd_balance_reason)r));
}
END_TEST

START_TEST(explain_ranks_the_ring)
{
	int order[MAX];
	conf.bound = 1.25;
	make(HASH, "++++");
	struct sd_balance_ask a = ask();
	a.key = 99;
	a.has_key = true;
	sd_ring_lookup_n(conf.ring, 99, order, 4);
	loads[order[0]] = 10;
	ck_assert_int_eq(explained(&a), order[1]);
	ck_assert_int_eq(why[order[0]].reason, SD_BALANCE_OVER_BOUND);
	for (int k = 0; k < 4; k++)
		ck_assert_double_eq(why[order[k]].score, k);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("balance tiers");
	TCase *t = tcase_create("balance tiers");
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_loop_test(t, backups_only_when_no_primary_is_usable, 0, ALL);
	tcase_add_loop_test(t, tried_primaries_spill_over, 0, ALL);
	tcase_add_loop_test(t, panic_uses_all_in_reach, 0, ALL);
	tcase_add_loop_test(t, panic_uses_none, 0, ALL);
	tcase_add_loop_test(t, control_without_a_threshold_there_is_no_panic, 0, ALL);
	tcase_add_loop_test(t, a_rising_share, 0, ALL);
	tcase_add_loop_test(t, one_that_came_back_empty_is_not_flooded, 1, 3);
	tcase_add_loop_test(t, all_warming_share_as_ever, 0, ALL);
	tcase_add_test(t, exact_turns_while_warming);
	tcase_add_test(t, follows_a_peak_at_once_and_forgets_with_time);
	tcase_add_test(t, the_faster_gets_the_most);
	tcase_add_test(t, load_counts_beside_latency);
	tcase_add_test(t, one_not_known_is_not_flooded);
	tcase_add_test(t, failing_fast_is_no_merit);
	tcase_add_test(t, latency_is_kept_over_a_set);
	tcase_add_test(t, heavier_ones_get_more);
	tcase_add_test(t, a_key_stays_where_it_is);
	tcase_add_test(t, only_keys_of_one_that_is_out_move);
	tcase_add_test(t, keys_come_back_one_by_one);
	tcase_add_test(t, a_hot_key_is_bounded);
	tcase_add_test(t, bound_holds_while_one_warms_up);
	tcase_add_test(t, without_a_key_it_is_spread);
	tcase_add_test(t, a_ring_must_fit);
	tcase_add_loop_test(t, explain_tells_the_pick, 0, 3);
	tcase_add_test(t, explain_gives_reasons);
	tcase_add_test(t, explain_ranks_the_ring);
	suite_add_tcase(s, t);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
