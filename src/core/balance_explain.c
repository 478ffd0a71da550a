/* balance_explain.c - why a target would be picked, or not. Changes nothing. */
#include "balance_int.h"

const char *sd_balance_reason_text(enum sd_balance_reason reason)
{
	static const char *const texts[] = {
	    [SD_BALANCE_MAY] = "may be picked",
	    [SD_BALANCE_WARMING] = "may be picked, with a part of its share (slow start)",
	    [SD_BALANCE_SKIPPED] = "was tried already",
	    [SD_BALANCE_NO_WEIGHT] = "has the weight 0",
	    [SD_BALANCE_NOT_USABLE] = "is not usable",
	    [SD_BALANCE_IN_RESERVE] = "is a backup, and a primary is usable",
	    [SD_BALANCE_OUT_OF_TIER] = "is not usable, and the backups serve",
	    [SD_BALANCE_NO_PANIC] = "too few are usable, so none is used",
	    [SD_BALANCE_OVER_BOUND] = "has its part of the requests already",
	};
	return texts[reason];
}

static bool is_open(enum sd_balance_reason r)
{
	return r == SD_BALANCE_MAY || r == SD_BALANCE_WARMING;
}

static enum sd_balance_reason why_not(const struct sd_balancer *b, const struct sd_balance_state *s)
{
	if (s->t.weight == 0)
		return SD_BALANCE_NO_WEIGHT;
	if (s->t.backup && !b->tier.backup && s->t.usable)
		return SD_BALANCE_IN_RESERVE;
	if (s->t.usable)
		return SD_BALANCE_NO_PANIC;
	return b->tier.backup && !s->t.backup && s->t.in_reach ? SD_BALANCE_OUT_OF_TIER : SD_BALANCE_NOT_USABLE;
}

static enum sd_balance_reason reason_of(const struct sd_balancer *b, const struct sd_balance_ask *ask, size_t i,
					bool spill)
{
	if (!sd_balance_may(b, NULL, i, spill))
		return why_not(b, &b->targets[i]);
	if (!sd_balance_may(b, ask->skip, i, spill))
		return SD_BALANCE_SKIPPED;
	return sd_balance_part(b, i, ask->now_ns) < SD_BALANCE_WHOLE ? SD_BALANCE_WARMING : SD_BALANCE_MAY;
}

static bool any_left(const struct sd_balancer *b, const struct sd_balance_ask *ask)
{
	for (size_t i = 0; i < b->n; i++)
		if (sd_balance_may(b, ask->skip, i, false))
			return true;
	return false;
}

/* Backups that stand in for primaries that were tried are picked by load, whatever the algorithm. */
static enum sd_balance_algorithm how(const struct sd_balancer *b, const struct sd_balance_ask *ask, bool spill)
{
	if (spill && ask->load && b->conf.algorithm != SD_BALANCE_HASH)
		return SD_BALANCE_LEAST_CONNECTIONS;
	return b->conf.algorithm;
}

/* ---- scores ---- */

static void score_turns(const struct sd_balancer *b, const struct sd_balance_ask *ask, struct sd_balance_candidate *out)
{
	int64_t richest = INT64_MIN;
	for (int pass = 0; pass < 2; pass++)
		for (size_t i = 0; i < b->n; i++) {
			const struct sd_balance_state *s = &b->targets[i];
			int64_t gain = (int64_t)s->t.weight * sd_balance_part(b, i, ask->now_ns);
			if (!is_open(out[i].reason))
				continue;
			if (pass == 1)
				out[i].score = (double)(richest - s->current - gain) / (double)gain;
			else if (s->current + gain > richest)
				richest = s->current + gain;
		}
}

static void score_loads(const struct sd_balancer *b, const struct sd_balance_ask *ask, struct sd_balance_candidate *out,
			bool latency)
{
	for (size_t i = 0; i < b->n && ask->load; i++) {
		if (b->targets[i].t.weight == 0)
			continue;
		struct sd_balance_fill f = sd_balance_fill(b, ask, i);
		out[i].score = latency ? sd_balance_cost(b, ask, i) / 1e6 : (double)f.a / ((double)f.b * SD_BALANCE_WHOLE);
	}
}

static void score_ranks(const struct sd_balancer *b, const struct sd_balance_ask *ask, struct sd_balance_candidate *out,
			bool spill)
{
	struct sd_ring_walk w;
	bool bound = b->conf.bound > 0 && ask->load;
	struct sd_balance_sums sums = {0};
	int rank = 0, i;
	if (bound)
		sums = sd_balance_sums(b, ask, spill);
	sd_ring_walk_begin(&w, b->conf.ring, ask->key);
	for (; (i = sd_ring_walk_next(&w)) >= 0; rank++) {
		struct sd_balance_candidate *c = &out[i];
		c->score = rank;
		if (is_open(c->reason) && bound && !sd_balance_has_room(b, ask, (size_t)i, &sums))
			c->reason = SD_BALANCE_OVER_BOUND;
	}
}

/* Ties as the algorithm decides them: least-connections begins to look where its turn is. */
static void mark_next(const struct sd_balancer *b, const struct sd_balance_ask *ask, struct sd_balance_candidate *out,
		      bool spill)
{
	struct sd_balance_candidate *best = NULL, *roomy = NULL;
	bool hash = b->conf.algorithm == SD_BALANCE_HASH;
	/* looking at the primaries takes a turn, too */
	size_t turn = b->turn + (spill && b->conf.algorithm == SD_BALANCE_LEAST_CONNECTIONS);
	size_t first = how(b, ask, spill) == SD_BALANCE_LEAST_CONNECTIONS && b->n ? turn % b->n : 0;
	for (size_t k = 0; k < b->n; k++) {
		size_t i = (first + k) % b->n;
		struct sd_balance_candidate *c = &out[i];
		if (!is_open(c->reason))
			continue;
		struct sd_balance_candidate **which =
		    hash && !sd_balance_takes_key(b, ask->key, i, ask->now_ns) ? &roomy : &best;
		if (!*which || c->score < (*which)->score)
			*which = c;
	}
	best = best ? best : roomy;
	if (best)
		best->next = true;
}

size_t sd_balancer_explain(const struct sd_balancer *b, const struct sd_balance_ask *ask,
			   struct sd_balance_candidate *out, size_t room)
{
	if (room < b->n)
		return 0;
	bool spill = !any_left(b, ask) && !ask->stay && !b->tier.backup && !b->tier.panic;
	for (size_t i = 0; i < b->n; i++)
		out[i] = (struct sd_balance_candidate){
		    .reason = reason_of(b, ask, i, spill),
		    .share = (double)sd_balance_part(b, i, ask->now_ns) / SD_BALANCE_WHOLE,
		    .latency_ms = sd_balancer_latency(b, i, ask->now_ns) / 1e6,
		    .load = ask->load ? ask->load(ask->arg, i) : 0,
		};
	enum sd_balance_algorithm by = how(b, ask, spill);
	if (by == SD_BALANCE_HASH)
		score_ranks(b, ask, out, spill);
	else if (by == SD_BALANCE_ROUND_ROBIN)
		score_turns(b, ask, out);
	else
		score_loads(b, ask, out, by == SD_BALANCE_LEAST_LATENCY);
	mark_next(b, ask, out, spill);
	return b->n;
}
