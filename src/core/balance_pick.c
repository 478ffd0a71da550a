/* balance_pick.c - one function an algorithm. */
#include "balance_int.h"

/* One that warms up takes part in so many picks as its share says. Among those who take part its load counts as more than
 * it is (sd_balance_fill), so that it is not filled up at once because it is empty. */
static bool takes_part(struct sd_balancer *b, size_t i, int64_t now_ns)
{
	uint32_t part = sd_balance_part(b, i, now_ns);
	return part == SD_BALANCE_WHOLE || sd_rng_below(&b->rng, SD_BALANCE_WHOLE) < part;
}

/* Those passed over neither gain nor pay: they come back with what they had. */
static int pick_round_robin(struct sd_balancer *b, const struct sd_balance_ask *ask, bool spill)
{
	int best = -1;
	int64_t total = 0;
	for (size_t i = 0; i < b->n; i++) {
		if (!sd_balance_may(b, ask->skip, i, spill))
			continue;
		struct sd_balance_state *s = &b->targets[i];
		int64_t gain = (int64_t)s->t.weight * sd_balance_part(b, i, ask->now_ns);
		s->current += gain;
		total += gain;
		if (best < 0 || s->current > b->targets[best].current)
			best = (int)i;
	}
	if (best >= 0)
		b->targets[best].current -= total;
	return best;
}

static bool lighter(struct sd_balance_fill x, struct sd_balance_fill y)
{
	return x.a * y.b < y.a * x.b;
}

static int pick_least(struct sd_balancer *b, const struct sd_balance_ask *ask, bool spill)
{
	int best[2] = {-1, -1}; /* [1]: of those that do not take part, for when nobody else is left */
	struct sd_balance_fill least[2] = {0};
	size_t first = b->n ? b->turn++ % b->n : 0;
	for (size_t k = 0; k < b->n; k++) {
		size_t i = first + k < b->n ? first + k : first + k - b->n;
		if (!sd_balance_may(b, ask->skip, i, spill))
			continue;
		struct sd_balance_fill f = sd_balance_fill(b, ask, i);
		int out = !takes_part(b, i, ask->now_ns);
		if (best[out] < 0 || lighter(f, least[out])) {
			best[out] = (int)i;
			least[out] = f;
		}
	}
	return best[0] >= 0 ? best[0] : best[1];
}

/* ---- two choices ---- */

/* One in the running by weight; it may be one to skip. */
static size_t draw(struct sd_balancer *b)
{
	uint32_t at = sd_rng_below(&b->rng, b->total);
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
		if ((int)i != other && sd_balance_may(b, skip, i, false))
			return (int)i;
	}
	size_t first = sd_rng_below(&b->rng, (uint32_t)b->n);
	for (size_t k = 0; k < b->n; k++) {
		size_t i = (first + k) % b->n;
		if ((int)i != other && sd_balance_may(b, skip, i, false))
			return (int)i;
	}
	return -1;
}

static bool is_better(const struct sd_balancer *b, const struct sd_balance_ask *ask, size_t i, size_t than)
{
	if (b->conf.algorithm == SD_BALANCE_LEAST_LATENCY)
		return sd_balance_cost(b, ask, i) < sd_balance_cost(b, ask, than);
	return lighter(sd_balance_fill(b, ask, i), sd_balance_fill(b, ask, than));
}

static int pick_two(struct sd_balancer *b, const struct sd_balance_ask *ask)
{
	if (b->total == 0)
		return -1;
	int one = draw_other(b, ask->skip, -1);
	int two = one < 0 ? -1 : draw_other(b, ask->skip, one);
	if (two < 0)
		return one;
	bool in_one = takes_part(b, (size_t)one, ask->now_ns), in_two = takes_part(b, (size_t)two, ask->now_ns);
	if (in_one != in_two)
		return in_one ? one : two;
	return is_better(b, ask, (size_t)two, (size_t)one) ? two : one;
}

/* ---- hash ---- */

/* One with room is always found: the rooms of all are more than what is with all. When it is one that does not take this
 * key yet, that is still better than one that is full. */
static int pick_hash(struct sd_balancer *b, const struct sd_balance_ask *ask, bool spill)
{
	struct sd_ring_walk w;
	struct sd_balance_sums sums = {0};
	uint64_t key = ask->has_key ? ask->key : sd_rng_next(&b->rng);
	bool bound = b->conf.bound > 0 && ask->load, summed = false;
	int i, first = -1, roomy = -1;
	sd_ring_walk_begin(&w, b->conf.ring, key);
	while ((i = sd_ring_walk_next(&w)) >= 0) {
		if (!sd_balance_may(b, ask->skip, (size_t)i, spill))
			continue;
		if (first < 0)
			first = i;
		if (bound && ask->load(ask->arg, (size_t)i) > 0) {
			if (!summed)
				sums = sd_balance_sums(b, ask, spill);
			summed = true;
			if (!sd_balance_has_room(b, ask, (size_t)i, &sums))
				continue;
		}
		if (sd_balance_takes_key(b, key, (size_t)i, ask->now_ns))
			return i;
		if (roomy < 0)
			roomy = i;
	}
	return roomy >= 0 ? roomy : first;
}

/* ---- all ---- */

static int pick(struct sd_balancer *b, const struct sd_balance_ask *ask)
{
	switch (b->conf.algorithm) {
	case SD_BALANCE_LEAST_CONNECTIONS:
		return pick_least(b, ask, false);
	case SD_BALANCE_RANDOM_TWO:
	case SD_BALANCE_LEAST_LATENCY:
		return pick_two(b, ask);
	case SD_BALANCE_HASH:
		return pick_hash(b, ask, false);
	default:
		return pick_round_robin(b, ask, false);
	}
}

int sd_balancer_pick(struct sd_balancer *b, const struct sd_balance_ask *ask)
{
	int i = pick(b, ask);
	if (i >= 0 || ask->stay || b->tier.backup || b->tier.panic)
		return i;
	/* every primary was tried: now the backups */
	if (b->conf.algorithm == SD_BALANCE_HASH)
		return pick_hash(b, ask, true);
	return ask->load ? pick_least(b, ask, true) : pick_round_robin(b, ask, true);
}
