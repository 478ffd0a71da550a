#include "sdlab/balance.h"

#include <stdlib.h>

#include "rng.h"

struct target {
	struct sd_balance_target t;
	int64_t current; /* smooth round-robin: what it has saved up */
};

struct sd_balancer {
	enum sd_balance_algorithm algorithm;
	struct sd_rng rng;
	size_t n, turn; /* turn: where ties begin to be looked at */
	uint64_t total; /* sum of the weights that may be picked */
	struct target *targets;
	/* random-two-choices: running sums of the weights of usable targets, for a search */
	uint32_t *sums;
};

struct sd_balancer *sd_balancer_new(uint64_t seed)
{
	struct sd_balancer *b = calloc(1, sizeof(*b));
	if (b)
		sd_rng_seed(&b->rng, seed);
	return b;
}

void sd_balancer_free(struct sd_balancer *b)
{
	if (!b)
		return;
	free(b->targets);
	free(b->sums);
	free(b);
}

/* What a target saved up, within the sum of the weights to come: a debt of large weights would keep it out for long once
 * they are small. */
static int64_t current_of(const struct sd_balancer *b, uint64_t id, int64_t most)
{
	for (size_t i = 0; i < b->n; i++) {
		int64_t now = b->targets[i].current;
		if (b->targets[i].t.id == id)
			return now > most ? most : now < -most ? -most : now;
	}
	return 0;
}

enum sd_err sd_balancer_set(struct sd_balancer *b, enum sd_balance_algorithm algorithm,
			    const struct sd_balance_target *targets, size_t n)
{
	if (n > SD_BALANCE_MAX)
		return SD_ERANGE;
	for (size_t i = 0; i < n; i++)
		if (targets[i].weight > SD_BALANCE_MAX_WEIGHT)
			return SD_ERANGE;
	struct target *ts = calloc(n ? n : 1, sizeof(*ts));
	uint32_t *sums = calloc(n ? n : 1, sizeof(*sums));
	if (!ts || !sums) {
		free(ts);
		free(sums);
		return SD_ENOMEM;
	}
	uint32_t sum = 0;
	for (size_t i = 0; i < n; i++) {
		sum += targets[i].usable ? targets[i].weight : 0;
		sums[i] = sum;
	}
	for (size_t i = 0; i < n; i++)
		ts[i] = (struct target){targets[i], current_of(b, targets[i].id, sum)};
	free(b->targets);
	free(b->sums);
	b->algorithm = algorithm;
	b->targets = ts;
	b->sums = sums;
	b->n = n;
	b->total = sum;
	return SD_OK;
}

static bool may(const struct sd_balancer *b, const uint64_t *skip, size_t i)
{
	const struct sd_balance_target *t = &b->targets[i].t;
	return t->usable && t->weight > 0 && !(skip && (skip[i / 64] >> (i % 64) & 1));
}

/* Those passed over neither gain nor pay: they come back with what they had. */
static int pick_round_robin(struct sd_balancer *b, const uint64_t *skip)
{
	int best = -1;
	int64_t total = 0;
	for (size_t i = 0; i < b->n; i++) {
		if (!may(b, skip, i))
			continue;
		struct target *t = &b->targets[i];
		t->current += t->t.weight;
		total += t->t.weight;
		if (best < 0 || t->current > b->targets[best].current)
			best = (int)i;
	}
	if (best >= 0)
		b->targets[best].current -= total;
	return best;
}

/* Is (la + 1) / wa below (lb + 1) / wb? */
static bool lighter(uint32_t la, uint32_t wa, uint32_t lb, uint32_t wb)
{
	return ((uint64_t)la + 1) * wb < ((uint64_t)lb + 1) * wa;
}

static int pick_least(struct sd_balancer *b, const uint64_t *skip, sd_balance_load load, void *arg)
{
	int best = -1;
	uint32_t best_load = 0;
	size_t first = b->n ? b->turn++ % b->n : 0;
	for (size_t k = 0; k < b->n; k++) {
		size_t i = first + k < b->n ? first + k : first + k - b->n;
		if (!may(b, skip, i))
			continue;
		uint32_t l = load(arg, i);
		if (best < 0 || lighter(l, b->targets[i].t.weight, best_load, b->targets[best].t.weight)) {
			best = (int)i;
			best_load = l;
		}
	}
	return best;
}

/* A usable target by weight; it may be one to skip. */
static size_t draw(struct sd_balancer *b)
{
	uint32_t at = sd_rng_below(&b->rng, (uint32_t)b->total);
	size_t low = 0, high = b->n - 1;
	while (low < high) {
		size_t mid = (low + high) / 2;
		if (b->sums[mid] > at)
			high = mid;
		else
			low = mid + 1;
	}
	return low;
}

/* One that may be picked and is not `other`; after a few draws the first such from a random place on. */
static int draw_other(struct sd_balancer *b, const uint64_t *skip, int other)
{
	for (int tries = 0; tries < 4; tries++) {
		size_t i = draw(b);
		if ((int)i != other && may(b, skip, i))
			return (int)i;
	}
	size_t first = sd_rng_below(&b->rng, (uint32_t)b->n);
	for (size_t k = 0; k < b->n; k++) {
		size_t i = (first + k) % b->n;
		if ((int)i != other && may(b, skip, i))
			return (int)i;
	}
	return -1;
}

static int pick_two(struct sd_balancer *b, const uint64_t *skip, sd_balance_load load, void *arg)
{
	if (b->total == 0)
		return -1;
	int one = draw_other(b, skip, -1);
	int two = one < 0 ? -1 : draw_other(b, skip, one);
	if (two < 0)
		return one;
	bool second = lighter(load(arg, (size_t)two), b->targets[two].t.weight, load(arg, (size_t)one),
			      b->targets[one].t.weight);
	return second ? two : one;
}

int sd_balancer_pick(struct sd_balancer *b, const uint64_t *skip, sd_balance_load load, void *arg)
{
	switch (b->algorithm) {
	case SD_BALANCE_LEAST_CONNECTIONS:
		return pick_least(b, skip, load, arg);
	case SD_BALANCE_RANDOM_TWO:
		return pick_two(b, skip, load, arg);
	default:
		return pick_round_robin(b, skip);
	}
}
