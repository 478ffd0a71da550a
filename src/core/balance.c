#include <math.h>
#include <stdlib.h>

#include "balance_int.h"
#include "mix.h"

#define WHOLE     SD_BALANCE_WHOLE
#define LONG      (4 * SD_BALANCE_DECAY_NS) /* an average so old is as good as none: 2 % of it are left */
#define NOT_KNOWN 1e12                      /* ns: more than any answer takes */

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
	sd_ring_release(b->conf.ring);
	free(b->targets);
	free(b->sums);
	free(b);
}

/* ---- who is in the running ---- */

static bool counts(const struct sd_balance_target *t)
{
	return t->weight > 0 && (t->usable || t->in_reach);
}

struct sd_balance_tier sd_balance_tier(const struct sd_balance_conf *conf, const struct sd_balance_target *targets,
				       size_t n)
{
	size_t usable[2] = {0}, of[2] = {0};
	for (size_t i = 0; i < n; i++) {
		usable[targets[i].backup] += counts(&targets[i]) && targets[i].usable;
		of[targets[i].backup] += counts(&targets[i]);
	}
	struct sd_balance_tier tier = {.backup = usable[0] == 0 && (usable[1] > 0 || (of[0] == 0 && of[1] > 0))};
	tier.usable = usable[tier.backup];
	tier.of = of[tier.backup];
	tier.panic = tier.of > 0 && (double)tier.usable < conf->panic_threshold * (double)tier.of;
	return tier;
}

static bool in_running(const struct sd_balance_conf *conf, const struct sd_balance_tier *tier,
		       const struct sd_balance_target *t)
{
	if (!counts(t) || t->backup != tier->backup)
		return false;
	return tier->panic ? conf->panic == SD_BALANCE_PANIC_ALL : t->usable;
}

/* ---- setting ---- */

/* What a target had, its savings within the sum of the weights to come: a debt of large weights would keep it out for long
 * once they are small. */
static void carry_over(const struct sd_balancer *b, struct sd_balance_state *s, int64_t most)
{
	for (size_t i = 0; i < b->n; i++) {
		const struct sd_balance_state *was = &b->targets[i];
		if (was->t.id != s->t.id)
			continue;
		s->current = was->current > most ? most : was->current < -most ? -most : was->current;
		s->ewma = was->ewma;
		s->heard_ns = was->heard_ns;
		s->known = was->known;
		return;
	}
}

static enum sd_err check_set(const struct sd_balance_conf *conf, const struct sd_balance_target *targets, size_t n)
{
	if (n > SD_BALANCE_MAX)
		return SD_ERANGE;
	for (size_t i = 0; i < n; i++)
		if (targets[i].weight > SD_BALANCE_MAX_WEIGHT)
			return SD_ERANGE;
	if (conf->algorithm == SD_BALANCE_HASH && (!conf->ring || sd_ring_count(conf->ring) != n))
		return SD_EINVAL;
	return SD_OK;
}

static int64_t warm_from(const struct sd_balance_conf *conf, const struct sd_balance_target *targets, size_t n)
{
	int64_t latest = SD_BALANCE_LONG_AGO;
	for (size_t i = 0; i < n && conf->slow_start_ns > 0; i++)
		if (targets[i].since_ns != SD_BALANCE_LONG_AGO && targets[i].since_ns + conf->slow_start_ns > latest)
			latest = targets[i].since_ns + conf->slow_start_ns;
	return latest;
}

static void take_over(struct sd_balancer *b, const struct sd_balance_conf *conf, struct sd_balance_state *states,
		      uint32_t *sums, size_t n)
{
	struct sd_ring *old = b->conf.ring;
	free(b->targets);
	free(b->sums);
	b->conf = *conf;
	if (b->conf.ring)
		sd_ring_hold(b->conf.ring);
	sd_ring_release(old);
	b->targets = states;
	b->sums = sums;
	b->n = n;
	b->total = n ? sums[n - 1] : 0;
}

enum sd_err sd_balancer_set(struct sd_balancer *b, const struct sd_balance_conf *conf,
			    const struct sd_balance_target *targets, size_t n)
{
	enum sd_err err = check_set(conf, targets, n);
	if (err)
		return err;
	struct sd_balance_state *states = calloc(n ? n : 1, sizeof(*states));
	uint32_t *sums = calloc(n ? n : 1, sizeof(*sums)), sum = 0;
	if (!states || !sums) {
		free(states);
		free(sums);
		return SD_ENOMEM;
	}
	b->tier = sd_balance_tier(conf, targets, n);
	for (size_t i = 0; i < n; i++) {
		states[i].t = targets[i];
		states[i].in = in_running(conf, &b->tier, &targets[i]);
		sums[i] = sum += states[i].in ? targets[i].weight : 0;
	}
	for (size_t i = 0; i < n; i++)
		carry_over(b, &states[i], (int64_t)sum * WHOLE);
	b->warm_ns = warm_from(conf, targets, n);
	take_over(b, conf, states, sums, n);
	return SD_OK;
}

/* ---- weights, loads, latencies ---- */

uint32_t sd_balance_part(const struct sd_balancer *b, size_t i, int64_t now_ns)
{
	int64_t since = b->targets[i].t.since_ns, slow = b->conf.slow_start_ns;
	if (now_ns >= b->warm_ns || since == SD_BALANCE_LONG_AGO || now_ns - since >= slow)
		return WHOLE;
	/* it may have come back on another thread, whose clock is a little ahead */
	double age = now_ns > since ? (double)(now_ns - since) : 0;
	uint32_t part = (uint32_t)((double)WHOLE * age / (double)slow);
	return part < WHOLE / 10 ? WHOLE / 10 : part;
}

bool sd_balance_may(const struct sd_balancer *b, const uint64_t *skip, size_t i, bool spill)
{
	const struct sd_balance_state *s = &b->targets[i];
	bool in = s->in || (spill && s->t.usable && s->t.weight > 0);
	return in && !(skip && (skip[i / 64] >> (i % 64) & 1));
}

struct sd_balance_fill sd_balance_fill(const struct sd_balancer *b, const struct sd_balance_ask *ask, size_t i)
{
	uint64_t load = (uint64_t)ask->load(ask->arg, i) * WHOLE;
	uint32_t part = sd_balance_part(b, i, ask->now_ns);
	if (part < WHOLE)
		load = load * WHOLE / part;
	return (struct sd_balance_fill){load + WHOLE, b->targets[i].t.weight};
}

double sd_balancer_latency(const struct sd_balancer *b, size_t index, int64_t now_ns)
{
	const struct sd_balance_state *s = &b->targets[index];
	int64_t age = now_ns - s->heard_ns;
	if (!s->known || age > LONG)
		return 0;
	return s->ewma * exp(-(double)(age > 0 ? age : 0) / (double)SD_BALANCE_DECAY_NS);
}

double sd_balance_cost(const struct sd_balancer *b, const struct sd_balance_ask *ask, size_t i)
{
	struct sd_balance_fill f = sd_balance_fill(b, ask, i);
	double latency = sd_balancer_latency(b, i, ask->now_ns);
	if (latency <= 0)
		latency = f.a > WHOLE ? NOT_KNOWN : 0; /* one request finds out; the others wait for what it says */
	return latency * (double)f.a / ((double)f.b * WHOLE);
}

void sd_balancer_sample(struct sd_balancer *b, size_t index, int64_t took_ns, bool ok, int64_t now_ns)
{
	struct sd_balance_state *s = &b->targets[index];
	double took = (double)(took_ns > 1 ? took_ns : 1);
	if (!ok && took < (double)SD_BALANCE_FAILURE_NS)
		took = (double)SD_BALANCE_FAILURE_NS;
	int64_t age = now_ns > s->heard_ns ? now_ns - s->heard_ns : 0;
	double keep = s->known ? exp(-(double)age / (double)SD_BALANCE_DECAY_NS) : 0;
	s->ewma = took > s->ewma || !s->known ? took : s->ewma * keep + took * (1 - keep);
	s->heard_ns = now_ns;
	s->known = true;
}

/* ---- the ring ---- */

static uint64_t weight_of(const struct sd_balancer *b, size_t i, int64_t now_ns)
{
	return (uint64_t)b->targets[i].t.weight * sd_balance_part(b, i, now_ns);
}

struct sd_balance_sums sd_balance_sums(const struct sd_balancer *b, const struct sd_balance_ask *ask, bool spill)
{
	struct sd_balance_sums s = {0};
	for (size_t i = 0; i < b->n; i++) {
		if (!sd_balance_may(b, ask->skip, i, spill))
			continue;
		s.load += ask->load(ask->arg, i);
		s.weight += weight_of(b, i, ask->now_ns);
	}
	return s;
}

bool sd_balance_has_room(const struct sd_balancer *b, const struct sd_balance_ask *ask, size_t i,
			 const struct sd_balance_sums *sums)
{
	uint64_t cap = sd_ring_cap(b->conf.bound, sums->load, weight_of(b, i, ask->now_ns), sums->weight);
	return ask->load(ask->arg, i) < cap;
}

/* The same keys stay with it while its share rises: no key goes there and back. */
bool sd_balance_takes_key(const struct sd_balancer *b, uint64_t key, size_t i, int64_t now_ns)
{
	uint32_t part = sd_balance_part(b, i, now_ns);
	return part == WHOLE || sd_mix_in(key, b->targets[i].t.id) % WHOLE < part;
}
