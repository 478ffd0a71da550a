/* Seeded simulation of what a pool of servers goes through, in virtual time: the balancer and the retry budget against
 * servers that are half dead, or cold, or slow.
 *
 *	1  a pool of which half of the answers fail gets at most 1.2 times the requests with a budget of 20 %
 *	   (control: without one, up to twice)
 *	2  a server that came back cold, and can take more each second, is never asked for more than it can with slow start
 *	   (control: without, it is)
 *	3  of servers of which one is ten times slower, least-latency keeps the wait of nearly all requests short
 *	   (control: round-robin does not)
 *	4  hot keys (Zipf) never put more than the bound on one server (control: without a bound they do), and every key is
 *	   with its owner as long as that has room
 */
#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/budget.h"
#include "core/rng.h"
#include "sdlab/balance.h"

#define SECOND 1000000000ll
#define MS     1000000ll
#define N      8
#ifdef SD_SANITIZED
#define SEEDS  10
#else
#define SEEDS  40
#endif

/* ---- 1: retries ---- */

/* What came to the pool for each request of a client, while each attempt fails with one half, up to 16 retries. */
static double load_of_half_dead(uint64_t seed, const struct sd_budget_rules *rules)
{
	struct sd_rng rng;
	struct sd_budget budget = {0};
	uint64_t requests = 0, attempts = 0;
	sd_rng_seed(&rng, seed);
	for (int64_t now = 0; now < 120 * SECOND; now += (int64_t)(sd_rng_unit(&rng) * 10 * MS)) {
		requests++;
		sd_budget_asked(&budget, now);
		for (int tries = 0; tries <= 16; tries++) {
			attempts++;
			bool failed = sd_rng_below(&rng, 2) == 0;
			if (!failed || !sd_budget_take(&budget, rules, now))
				break;
		}
	}
	return (double)attempts / (double)requests;
}

START_TEST(a_budget_keeps_a_half_dead_pool_from_twice_the_load)
{
	static const struct sd_budget_rules rules = {.share = 0.2, .min_per_second = 3}, none = {.share = 100};
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		double with = load_of_half_dead(seed, &rules), without = load_of_half_dead(seed, &none);
		ck_assert_msg(with <= 1.2 && with > 1.15, "seed %d: %.3f", (int)seed, with);
		ck_assert_msg(without > 1.9, "seed %d: the control got %.3f", (int)seed, without);
	}
}
END_TEST

/* ---- a world of servers ---- */

struct world {
	struct sd_balancer *balancer;
	struct sd_balance_conf conf;
	struct sd_balance_target targets[N];
	struct sd_rng rng;
	uint32_t load[N];
	int64_t now;
};

static uint32_t load_of(void *arg, size_t i)
{
	return ((struct world *)arg)->load[i];
}

static void begin(struct world *w, uint64_t seed, enum sd_balance_algorithm algorithm)
{
	struct sd_ring_node nodes[N];
	*w = (struct world){.conf.algorithm = algorithm, .now = 1000 * SECOND};
	sd_rng_seed(&w->rng, seed);
	w->balancer = sd_balancer_new(seed);
	for (size_t i = 0; i < N; i++) {
		w->targets[i] = (struct sd_balance_target){.id = i + 1, .weight = 1, .usable = true,
							   .since_ns = SD_BALANCE_LONG_AGO};
		nodes[i] = (struct sd_ring_node){.id = i + 1, .weight = 1};
	}
	sd_ring_build(&(struct sd_ring_conf){.seed = seed}, nodes, N, &w->conf.ring);
}

static void set(struct world *w)
{
	ck_assert_int_eq(sd_balancer_set(w->balancer, &w->conf, w->targets, N), SD_OK);
}

static void end(struct world *w)
{
	sd_balancer_free(w->balancer);
	sd_ring_release(w->conf.ring);
}

static int pick(struct world *w, uint64_t key)
{
	struct sd_balance_ask ask = {.load = load_of, .arg = w, .now_ns = w->now, .key = key, .has_key = true};
	return sd_balancer_pick(w->balancer, &ask);
}

/* ---- 2: slow start ---- */

/* 800 requests a second for eight servers, each done within its second. The first came back and can take a third of its
 * part at once and all after 30 seconds. In how many seconds was it asked for more, by more than a third? */
static int seconds_over(uint64_t seed, enum sd_balance_algorithm algorithm, int64_t slow_start)
{
	struct world w;
	int over = 0;
	begin(&w, seed, algorithm);
	w.conf.slow_start_ns = slow_start;
	w.targets[0].since_ns = w.now;
	set(&w);
	for (int s = 0; s < 40; s++, w.now += SECOND) {
		uint32_t got = 0;
		double can = 100.0 * fmin(1, 0.33 + 0.67 * s / 30);
		memset(w.load, 0, sizeof(w.load));
		for (int k = 0; k < 100 * N; k++) {
			int i = pick(&w, sd_rng_next(&w.rng));
			w.load[i]++;
			got += i == 0;
			sd_balancer_sample(w.balancer, (size_t)i, 10 * MS, true, w.now);
		}
		over += got > can * 4 / 3;
	}
	end(&w);
	return over;
}

START_TEST(slow_start_does_not_ask_too_much_of_a_cold_server)
{
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		enum sd_balance_algorithm algorithm = (enum sd_balance_algorithm)_i;
		int with = seconds_over(seed, algorithm, 30 * SECOND), without = seconds_over(seed, algorithm, 0);
		ck_assert_msg(with == 0, "seed %d: for %d s too much", (int)seed, with);
		ck_assert_msg(without > 3, "seed %d: the control was fine", (int)seed);
	}
}
END_TEST

/* ---- 3: latency ---- */

struct flight {
	int64_t done_ns, took_ns;
	int server;
};

/* A request a millisecond for eight servers that take 5 ms each, one of them 100 ms; the share that waited for longer
 * than 50 ms. */
static double share_slow(uint64_t seed, enum sd_balance_algorithm algorithm)
{
	struct world w;
	struct flight flights[512] = {0};
	int slow = 0, all = 20000;
	begin(&w, seed, algorithm);
	set(&w);
	for (int k = 0; k < all; k++, w.now += MS) {
		size_t place = 512;
		for (size_t f = 0; f < 512; f++) {
			if (flights[f].done_ns && flights[f].done_ns <= w.now) {
				w.load[flights[f].server]--;
				sd_balancer_sample(w.balancer, (size_t)flights[f].server, flights[f].took_ns, true, w.now);
				flights[f].done_ns = 0;
			}
			if (!flights[f].done_ns)
				place = f;
		}
		ck_assert_uint_lt(place, 512);
		int i = pick(&w, sd_rng_next(&w.rng));
		int64_t took = (int64_t)((i == 3 ? 100 : 5) * (0.5 + sd_rng_unit(&w.rng)) * (double)MS);
		w.load[i]++;
		flights[place] = (struct flight){w.now + took, took, i};
		slow += i == 3;
	}
	end(&w);
	return (double)slow / all;
}

START_TEST(least_latency_avoids_the_slow_server)
{
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		double with = share_slow(seed, SD_BALANCE_LEAST_LATENCY), without = share_slow(seed, SD_BALANCE_ROUND_ROBIN);
		ck_assert_msg(with < 0.01 && with > 0, "seed %d: %.4f of the requests", (int)seed, with);
		ck_assert_msg(without > 0.12, "seed %d: the control sent %.4f", (int)seed, without);
	}
}
END_TEST

/* ---- 4: hot keys ---- */

/* The largest part that any server had of what was in flight, times the number of servers. */
static double hottest(uint64_t seed, double bound)
{
	struct world w;
	int at[400] = {0}; /* who has each of the 400 in flight */
	double most = 0;
	begin(&w, seed, SD_BALANCE_HASH);
	w.conf.bound = bound;
	set(&w);
	for (int k = 0; k < 20000; k++) {
		int slot = k % 400;
		if (k >= 400)
			w.load[at[slot]]--;
		/* about Zipf: rank r with 1 / r among 1000 */
		uint64_t key = (uint64_t)exp(sd_rng_unit(&w.rng) * log(1000)) * 0x9e3779b97f4a7c15u;
		at[slot] = pick(&w, key);
		w.load[at[slot]]++;
		ck_assert(bound == 0 || w.load[at[slot]] <= (uint32_t)ceil(bound * (k < 400 ? k + 1 : 400) / N));
		if (w.load[at[slot]] > 1 && k >= 400)
			most = fmax(most, w.load[at[slot]] * N / 400.0);
	}
	end(&w);
	return most;
}

START_TEST(hot_keys_stay_within_the_bound)
{
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		double with = hottest(seed, 1.25), without = hottest(seed, 0);
		ck_assert_msg(with <= 1.2601, "seed %d: %.3f", (int)seed, with);
		ck_assert_msg(without > 1.6, "seed %d: the control had %.3f", (int)seed, without);
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("sim balance");
	TCase *t = tcase_create("pools");
	tcase_set_timeout(t, 120);
	tcase_add_test(t, a_budget_keeps_a_half_dead_pool_from_twice_the_load);
	tcase_add_loop_test(t, slow_start_does_not_ask_too_much_of_a_cold_server, SD_BALANCE_ROUND_ROBIN,
			    SD_BALANCE_HASH + 1);
	tcase_add_test(t, least_latency_avoids_the_slow_server);
	tcase_add_test(t, hot_keys_stay_within_the_bound);
	suite_add_tcase(s, t);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? 1 : 0;
}
