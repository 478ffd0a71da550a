/* Seeded simulation of what decides in a load balancer: the balancer and the health rules, in virtual time.
 *
 * Backends die and come back at random moments; checks see it when they come round, requests when they fail. For each
 * seed and algorithm an hour passes, and after every step these must hold:
 *
 *	1  nobody picks a backend that is out of the pool
 *	2  no more than half of the backends are ejected at a time
 *	3  one that died is out of the pool after fall checks; one that came back is in it after rise checks
 *	4  a request fails only while no backend of the pool is alive, or when two in a row died unnoticed
 *	5  while nothing changes, round-robin gives each its share to within one
 *	6  the same seed gives the same hour
 *
 * Controls: without checks and ejection, 3 breaks; without a retry, 4 breaks. Each must be seen to break.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/health.h"
#include "core/rng.h"
#include "sdlab/balance.h"

#define N        7
#define SECOND   1000000000ll
#define INTERVAL (5 * SECOND)
#define HOUR     (3600 * SECOND)
#define SEEDS    60

struct backend {
	bool alive;
	struct sd_health health;
	int64_t next_check, since; /* since: it last died or came back */
	uint32_t failed, load, period;
};

struct world {
	struct sd_rng rng;
	struct sd_balancer *balancer;
	struct sd_ring *ring;
	struct backend b[N];
	struct sd_health_rules rules;
	uint32_t eject_after; /* failed requests in a row; 0: never */
	enum sd_balance_algorithm algorithm;
	bool checks, retry;
	int64_t now;
	uint64_t digest, picks_since_change;
	/* what was seen */
	unsigned late, lost, unfair, wrong_pick, over_cap, changes;
};

static void note(struct world *w, uint64_t what)
{
	w->digest = (w->digest ^ what) * 1099511628211u;
}

static void publish(struct world *w)
{
	struct sd_balance_target t[N];
	for (size_t i = 0; i < N; i++) {
		t[i] = (struct sd_balance_target){.id = i + 1, .weight = 1, .usable = sd_health_usable(&w->b[i].health)};
		w->b[i].period = 0;
	}
	sd_balancer_set(w->balancer, &(struct sd_balance_conf){.algorithm = w->algorithm, .ring = w->ring, .bound = 1.25}, t, N);
	w->picks_since_change = 0;
	w->changes++;
}

static void changed(struct world *w, size_t i, enum sd_health_change change)
{
	if (change == SD_HEALTH_SAME)
		return;
	note(w, i * 16 + change);
	publish(w);
}

static unsigned count_ejected(const struct world *w)
{
	unsigned n = 0;
	for (size_t i = 0; i < N; i++)
		n += w->b[i].health.ejected_until_ns != 0;
	return n;
}

static uint32_t load_of(void *arg, size_t i)
{
	return ((struct world *)arg)->b[i].load;
}

/* Picks one and asks it; true when it answered. */
static bool ask(struct world *w, uint64_t *tried)
{
	struct sd_balance_ask how = {.skip = tried, .load = load_of, .arg = w, .now_ns = w->now,
				     .key = sd_rng_next(&w->rng), .has_key = true};
	int i = sd_balancer_pick(w->balancer, &how);
	if (i < 0)
		return false;
	struct backend *b = &w->b[i];
	sd_balancer_sample(w->balancer, (size_t)i, SECOND / 100 * (1 + i), b->alive, w->now);
	w->wrong_pick += !sd_health_usable(&b->health);
	note(w, (uint64_t)i);
	b->period++;
	w->picks_since_change++;
	b->load = (uint32_t)sd_rng_below(&w->rng, 20);
	if (b->alive) {
		b->failed = 0;
		return true;
	}
	*tried |= 1ull << i;
	if (w->eject_after && ++b->failed >= w->eject_after && (count_ejected(w) + 1) * 2 <= N)
		changed(w, (size_t)i, sd_health_eject(&b->health, &w->rules, &(struct sd_health_eject){0}, w->now));
	return false;
}

static unsigned alive_in_pool(const struct world *w)
{
	unsigned n = 0;
	for (size_t i = 0; i < N; i++)
		n += w->b[i].alive && sd_health_usable(&w->b[i].health);
	return n;
}

static void request(struct world *w)
{
	uint64_t tried[SD_BALANCE_MAX / 64] = {0};
	unsigned hidden = 0;
	for (size_t i = 0; i < N; i++)
		hidden += !w->b[i].alive && sd_health_usable(&w->b[i].health);
	bool hopeless = alive_in_pool(w) == 0;
	bool ok = ask(w, tried) || (w->retry && ask(w, tried));
	if (!ok && !hopeless && hidden < 2)
		w->lost++;
}

static void check_one(struct world *w, size_t i)
{
	struct backend *b = &w->b[i];
	b->next_check = w->now + INTERVAL * 9 / 10 + (int64_t)(sd_rng_unit(&w->rng) * (double)INTERVAL / 5);
	if (w->checks)
		changed(w, i, sd_health_checked(&b->health, &w->rules, b->alive, w->now));
}

/* What must hold now. */
static void judge(struct world *w)
{
	int64_t slack = INTERVAL * 11 / 10;
	w->over_cap += count_ejected(w) * 2 > N;
	for (size_t i = 0; i < N; i++) {
		const struct backend *b = &w->b[i];
		int64_t limit = slack * (b->alive ? w->rules.rise : w->rules.fall);
		if (w->now - b->since > limit && sd_health_usable(&b->health) != b->alive)
			w->late++;
	}
	if (w->algorithm != SD_BALANCE_ROUND_ROBIN || w->picks_since_change == 0)
		return;
	/* Whole rounds only: within one the order is the rotation's. Retries shift it, so only while all in it live. */
	unsigned usable = 0, least = UINT32_MAX, most = 0;
	for (size_t i = 0; i < N; i++) {
		const struct backend *b = &w->b[i];
		if (!sd_health_usable(&b->health))
			continue;
		if (!b->alive)
			return;
		usable++;
		least = b->period < least ? b->period : least;
		most = b->period > most ? b->period : most;
	}
	w->unfair += usable > 0 && most - least > 2;
}

static void step(struct world *w)
{
	for (size_t i = 0; i < N; i++) {
		struct backend *b = &w->b[i];
		/* about every ten minutes each */
		if (sd_rng_below(&w->rng, 3000) == 0) {
			b->alive = !b->alive;
			b->since = w->now;
			publish(w); /* begins a new period for fairness */
		}
		if (w->now >= b->next_check)
			check_one(w, i);
		changed(w, i, sd_health_tick(&b->health, w->now));
	}
	request(w);
	judge(w);
}

static struct world hour(uint64_t seed, enum sd_balance_algorithm algorithm, bool checks, bool retry)
{
	struct world w = {.algorithm = algorithm, .checks = checks, .retry = retry, .digest = 14695981039346656037u};
	w.rules = (struct sd_health_rules){.fall = 3, .rise = 2, .eject_ns = 10 * SECOND};
	w.eject_after = checks ? 5 : 0;
	sd_rng_seed(&w.rng, seed);
	w.balancer = sd_balancer_new(seed);
	struct sd_ring_node nodes[N];
	for (size_t i = 0; i < N; i++)
		nodes[i] = (struct sd_ring_node){.id = i + 1, .weight = 1};
	sd_ring_build(&(struct sd_ring_conf){.seed = seed}, nodes, N, &w.ring);
	for (size_t i = 0; i < N; i++)
		w.b[i] = (struct backend){.alive = true, .next_check = (int64_t)sd_rng_below(&w.rng, 5) * SECOND};
	publish(&w);
	for (; w.now < HOUR; w.now += SECOND / 5)
		step(&w);
	sd_balancer_free(w.balancer);
	sd_ring_release(w.ring);
	return w;
}

START_TEST(holds_for_every_seed)
{
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		struct world w = hour(seed, (enum sd_balance_algorithm)_i, true, true);
		ck_assert_msg(w.changes > 20, "seed %d: nothing happened", (int)seed);
		ck_assert_msg(w.wrong_pick == 0, "seed %d: picked one that was out of the pool", (int)seed);
		ck_assert_msg(w.over_cap == 0, "seed %d: too many ejected", (int)seed);
		ck_assert_msg(w.late == 0, "seed %d: noticed too late %u times", (int)seed, w.late);
		ck_assert_msg(w.lost == 0, "seed %d: %u requests lost", (int)seed, w.lost);
		ck_assert_msg(w.unfair == 0, "seed %d: unfair %u times", (int)seed, w.unfair);
	}
}
END_TEST

START_TEST(same_seed_same_hour)
{
	for (uint64_t seed = 1; seed <= 5; seed++) {
		struct world a = hour(seed, (enum sd_balance_algorithm)_i, true, true);
		struct world b = hour(seed, (enum sd_balance_algorithm)_i, true, true);
		struct world c = hour(seed + 1000, (enum sd_balance_algorithm)_i, true, true);
		ck_assert_uint_eq(a.digest, b.digest);
		ck_assert_uint_ne(a.digest, c.digest);
	}
}
END_TEST

START_TEST(control_without_checks_it_is_noticed_too_late)
{
	ck_assert_uint_gt(hour(1, (enum sd_balance_algorithm)_i, false, true).late, 0);
}
END_TEST

START_TEST(control_without_retry_requests_are_lost)
{
	ck_assert_uint_gt(hour(1, (enum sd_balance_algorithm)_i, true, false).lost, 0);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("sim lb");
	TCase *t = tcase_create("an hour");
	tcase_set_timeout(t, 120);
	tcase_add_loop_test(t, holds_for_every_seed, 0, 5);
	tcase_add_loop_test(t, same_seed_same_hour, 0, 5);
	tcase_add_loop_test(t, control_without_checks_it_is_noticed_too_late, 0, 5);
	tcase_add_loop_test(t, control_without_retry_requests_are_lost, 0, 5);
	suite_add_tcase(s, t);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? 1 : 0;
}
