#include "ring_int.h"

#include <math.h>
#include <stdlib.h>

#include "mix.h"

uint64_t sd_ring_hash(const struct sd_ring *r, const void *key, size_t n)
{
	return sd_ring_way(&r->conf)->key(&r->conf, key, n);
}

/* ---- points and slots ---- */

/* The first point at or behind the hash; 0 behind the last. */
static size_t search(const struct sd_ring *r, uint64_t hash)
{
	size_t part = hash >> r->shift, low = r->first[part], high = r->first[part + 1];
	while (low < high) {
		size_t mid = (low + high) / 2;
		if (r->at[mid] < hash)
			low = mid + 1;
		else
			high = mid;
	}
	return low < r->npoints ? low : 0;
}

static size_t slot_of(const struct sd_ring *r, uint64_t hash)
{
	return (size_t)((unsigned __int128)hash * r->npoints >> 64);
}

uint64_t sd_ring_slot_end(uint64_t slot, uint64_t slots)
{
	return (uint64_t)((((unsigned __int128)(slot + 1) << 64) - 1) / slots);
}

/* Where in r->node a hash begins. */
static size_t place(const struct sd_ring *r, uint64_t hash)
{
	return r->style == SD_RING_BY_SLOTS ? slot_of(r, hash) : search(r, hash);
}

/* Eisenbud et al., 2016: each node goes through the slots in an order of its own and takes the next free one when it is its
 * turn; who has less weight than the heaviest misses turns. */
struct turn {
	uint64_t ident, at, skip, credit;
	uint32_t node;
};

static int compare_turns(const void *pa, const void *pb)
{
	const struct turn *a = pa, *b = pb;
	return a->ident < b->ident ? -1 : a->ident > b->ident;
}

static size_t make_turns(const struct sd_ring *r, struct turn *out, uint32_t *heaviest)
{
	size_t n = 0;
	*heaviest = 0;
	for (size_t i = 0; i < r->n; i++) {
		if (!r->nodes[i].weight)
			continue;
		uint64_t ident = r->ident[i], m = r->npoints;
		out[n++] = (struct turn){ident, sd_mix_in(ident, 1) % m, sd_mix_in(ident, 2) % (m - 1) + 1, 0, (uint32_t)i};
		*heaviest = r->nodes[i].weight > *heaviest ? r->nodes[i].weight : *heaviest;
	}
	/* Not in the order of the list, which others may have in another one. */
	qsort(out, n, sizeof(*out), compare_turns);
	return n;
}

static void take_slot(struct sd_ring *r, struct turn *t)
{
	while (r->node[t->at] != UINT32_MAX)
		t->at = (t->at + t->skip) % r->npoints;
	r->node[t->at] = t->node;
	r->counts[t->node]++;
}

enum sd_err sd_ring_fill_slots(struct sd_ring *r)
{
	uint32_t heaviest;
	size_t taken = 0;
	struct turn *turns = calloc(r->n + 1, sizeof(*turns));
	if (!turns)
		return SD_ENOMEM;
	size_t n = make_turns(r, turns, &heaviest);
	for (size_t s = 0; s < r->npoints; s++)
		r->node[s] = UINT32_MAX;
	for (size_t i = 0; n > 0 && taken < r->npoints; i = i + 1 < n ? i + 1 : 0) {
		turns[i].credit += r->nodes[turns[i].node].weight;
		if (turns[i].credit < heaviest)
			continue;
		turns[i].credit -= heaviest;
		take_slot(r, &turns[i]);
		taken++;
	}
	free(turns);
	return SD_OK;
}

/* ---- jump ---- */

/* Lamping and Veach, 2014. */
static size_t jump(uint64_t key, size_t buckets)
{
	int64_t b = -1, j = 0;
	while (j < (int64_t)buckets) {
		b = j;
		key = key * 2862933555777941757u + 1;
		j = (int64_t)((double)(b + 1) * (2147483648.0 / (double)((key >> 33) + 1)));
	}
	return (size_t)b;
}

static bool seen(const struct sd_ring_walk *w, size_t i)
{
	return w->seen[i / 64] >> (i % 64) & 1;
}

/* A bucket that is empty, or was named, sends the key on to another one, so that what an empty one had is spread over all.
 * Whoever is unlucky very often takes what is left in the order of the list. */
static int jump_next(struct sd_ring_walk *w)
{
	const struct sd_ring *r = w->ring;
	while (w->at < 16 * r->n + 64) {
		size_t i = jump(w->at ? sd_mix_in(w->hash, w->at) : w->hash, r->n);
		w->at++;
		if (r->counts[i] && !seen(w, i))
			return (int)i;
	}
	for (size_t i = 0; i < r->n; i++)
		if (r->counts[i] && !seen(w, i))
			return (int)i;
	return -1;
}

static int jump_first(const struct sd_ring *r, uint64_t hash)
{
	struct sd_ring_walk w;
	size_t i = jump(hash, r->n);
	if (r->counts[i])
		return (int)i;
	sd_ring_walk_begin(&w, r, hash);
	return jump_next(&w);
}

/* ---- rendezvous ---- */

/* -weight / ln(u), u in (0, 1) (Schindelhauer and Schomaker, 2005). */
static double score(uint64_t u, uint32_t weight)
{
	return -(double)weight / log(((double)(u >> 11) + 0.5) * 0x1p-53);
}

/* The highest score of those that `w` did not name; NULL: of all. Among equals in weight the hash alone decides. */
static int best(const struct sd_ring *r, uint64_t hash, const struct sd_ring_walk *w)
{
	uint64_t top = 0;
	double top_score = -1;
	int found = -1;
	for (size_t i = 0; i < r->n; i++) {
		if (!r->counts[i] || (w && seen(w, i)))
			continue;
		uint64_t u = sd_mix_in(r->ident[i], hash);
		double s = r->even ? 0 : score(u, r->nodes[i].weight);
		if (found >= 0 && (s < top_score || (s == top_score && u <= top)))
			continue;
		found = (int)i;
		top = u;
		top_score = s;
	}
	return found;
}

/* ---- all kinds ---- */

int sd_ring_lookup(const struct sd_ring *r, uint64_t hash)
{
	if (!r->owners)
		return -1;
	switch (r->style) {
	case SD_RING_BY_POINTS:
		return (int)r->node[search(r, hash)];
	case SD_RING_BY_SLOTS:
		return (int)r->node[slot_of(r, hash)];
	case SD_RING_BY_JUMP:
		return jump_first(r, hash);
	default:
		return best(r, hash, NULL);
	}
}

void sd_ring_walk_begin(struct sd_ring_walk *w, const struct sd_ring *r, uint64_t hash)
{
	w->ring = r;
	w->hash = hash;
	w->named = 0;
	w->at = r->npoints ? place(r, hash) : 0;
	memset(w->seen, 0, (r->n + 63) / 64 * sizeof(w->seen[0]));
}

static int next_along(struct sd_ring_walk *w)
{
	const struct sd_ring *r = w->ring;
	uint32_t i;
	do {
		i = r->node[w->at];
		w->at = w->at + 1 < r->npoints ? w->at + 1 : 0;
	} while (seen(w, i));
	return (int)i;
}

int sd_ring_walk_next(struct sd_ring_walk *w)
{
	const struct sd_ring *r = w->ring;
	if (w->named >= r->owners)
		return -1;
	int i = r->npoints                      ? next_along(w)
		: r->style == SD_RING_BY_JUMP ? jump_next(w)
					      : best(r, w->hash, w);
	if (i < 0)
		return -1;
	w->seen[i / 64] |= 1ull << (i % 64);
	w->named++;
	return i;
}

/* One round: of each zone that has fewer than `level` nodes in out yet, the next. */
static size_t add_level(const struct sd_ring *r, uint64_t hash, uint16_t *in_zone, unsigned level, int *out, size_t n,
			size_t want, uint64_t *taken)
{
	struct sd_ring_walk w;
	int i;
	sd_ring_walk_begin(&w, r, hash);
	while (n < want && (i = sd_ring_walk_next(&w)) >= 0) {
		if (in_zone[r->zone[i]] >= level || taken[i / 64] >> (i % 64) & 1)
			continue;
		in_zone[r->zone[i]]++;
		taken[i / 64] |= 1ull << (i % 64);
		out[n++] = i;
	}
	return n;
}

static size_t spread(const struct sd_ring *r, uint64_t hash, int *out, size_t want)
{
	uint16_t in_zone[SD_RING_MAX_NODES] = {0};
	uint64_t taken[SD_RING_MAX_NODES / 64] = {0};
	size_t n = 0;
	want = want < r->owners ? want : r->owners;
	for (unsigned level = 1; n < want; level++)
		n = add_level(r, hash, in_zone, level, out, n, want, taken);
	return n;
}

size_t sd_ring_lookup_n(const struct sd_ring *r, uint64_t hash, int *out, size_t want)
{
	struct sd_ring_walk w;
	size_t n = 0;
	if (r->zones && want > 1)
		return spread(r, hash, out, want);
	sd_ring_walk_begin(&w, r, hash);
	while (n < want && (out[n] = sd_ring_walk_next(&w)) >= 0)
		n++;
	return n;
}

/* ---- bounded load ---- */

uint64_t sd_ring_cap(double factor, uint64_t total, uint64_t weight, uint64_t weights)
{
	double fair = weights ? (double)(total + 1) * (double)weight / (double)weights : 0;
	/* what a product of doubles is too much must not become one more */
	return (uint64_t)ceil(factor * fair * (1 - 1e-12));
}

int sd_ring_lookup_bounded(const struct sd_ring *r, uint64_t hash, const struct sd_ring_bound *bound)
{
	struct sd_ring_walk w;
	uint64_t total = 0, weights = 0;
	int i;
	for (size_t k = 0; k < r->n; k++) {
		uint32_t load = r->counts[k] ? bound->load(bound->arg, k) : SD_RING_OUT;
		if (load == SD_RING_OUT)
			continue;
		total += load;
		weights += r->nodes[k].weight;
	}
	sd_ring_walk_begin(&w, r, hash);
	while ((i = sd_ring_walk_next(&w)) >= 0) {
		uint32_t load = bound->load(bound->arg, (size_t)i);
		if (load != SD_RING_OUT && load < sd_ring_cap(bound->factor, total, r->nodes[i].weight, weights))
			return i;
	}
	return -1;
}
