/* lsm_ranges.c - a segment tree over the ends of the ranges.
 *
 * Between two neighbouring ends all keys are in the same ranges: these gaps are the leaves. A range is noted at the few nodes
 * whose leaves together are it, so that the ranges of a key are those noted between its leaf and the root. Noting every range at
 * every leaf would be simpler, and quadratic when ranges lie in one another.
 */
#include "lsm_ranges.h"

#include <stdatomic.h>
#include <stdlib.h>

struct sd_lsm_ranges {
	atomic_uint refs;
	struct sd_lsm_range *list;
	size_t n;
	char *keys;
	struct sd_slice *edges; /* in order, each once: each begins a leaf, and the last one's goes to the end */
	size_t leaves;
	size_t *begins; /* of the notes of node i (root 1, leaves from `leaves` on); they end where those of i + 1 begin */
	uint64_t *seqs; /* the notes; of a node downwards */
	size_t bytes;
};

struct sd_lsm_ranges *sd_lsm_ranges_ref(struct sd_lsm_ranges *s)
{
	if (s)
		atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
	return s;
}

void sd_lsm_ranges_unref(struct sd_lsm_ranges *s)
{
	if (!s || atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) != 1)
		return;
	free(s->list);
	free(s->keys);
	free(s->edges);
	free(s->begins);
	free(s->seqs);
	free(s);
}

/* ---- making ---- */

static void *take(struct sd_lsm_ranges *s, size_t n, size_t each)
{
	s->bytes += n * each;
	return calloc(n ? n : 1, each);
}

static bool holds_something(const struct sd_lsm_range *r)
{
	return r->to.n == 0 || sd_lsm_bytewise(r->from, r->to) < 0;
}

static int by_from(const void *a, const void *b)
{
	const struct sd_lsm_range *x = a, *y = b;
	int c = sd_lsm_bytewise(x->from, y->from);
	return c ? c : (x->seq < y->seq) - (x->seq > y->seq);
}

static int newest_first(const void *a, const void *b)
{
	const struct sd_lsm_range *x = *(const struct sd_lsm_range *const *)a, *y = *(const struct sd_lsm_range *const *)b;
	return (x->seq < y->seq) - (x->seq > y->seq);
}

static int by_bytes(const void *a, const void *b)
{
	return sd_lsm_bytewise(*(const struct sd_slice *)a, *(const struct sd_slice *)b);
}

static struct sd_slice keep(char **at, struct sd_slice key)
{
	struct sd_slice kept = {*at, key.n};
	if (key.n > 0)
		memcpy(*at, key.p, key.n);
	*at += key.n;
	return kept;
}

static bool copy(struct sd_lsm_ranges *s, const struct sd_lsm_range *list, size_t n)
{
	size_t bytes = 0;
	for (size_t i = 0; i < n; i++)
		bytes += holds_something(&list[i]) ? list[i].from.n + list[i].to.n : 0;
	if (!(s->list = take(s, s->n, sizeof(*s->list))) || !(s->keys = take(s, bytes, 1)))
		return false;
	char *at = s->keys;
	struct sd_lsm_range *to = s->list;
	for (size_t i = 0; i < n; i++) {
		if (!holds_something(&list[i]))
			continue;
		*to = (struct sd_lsm_range){.from = keep(&at, list[i].from), .seq = list[i].seq};
		to->to = keep(&at, list[i].to);
		to++;
	}
	qsort(s->list, s->n, sizeof(*s->list), by_from);
	return true;
}

static bool make_edges(struct sd_lsm_ranges *s)
{
	if (!(s->edges = take(s, 2 * s->n, sizeof(*s->edges))))
		return false;
	size_t n = 0, kept = 0;
	for (size_t i = 0; i < s->n; i++) {
		s->edges[n++] = s->list[i].from;
		if (s->list[i].to.n > 0)
			s->edges[n++] = s->list[i].to;
	}
	qsort(s->edges, n, sizeof(*s->edges), by_bytes);
	for (size_t i = 0; i < n; i++)
		if (kept == 0 || sd_lsm_bytewise(s->edges[kept - 1], s->edges[i]) != 0)
			s->edges[kept++] = s->edges[i];
	s->leaves = kept;
	return true;
}

/* The number of edges that are not behind the key. */
static size_t edges_before(const struct sd_lsm_ranges *s, struct sd_slice user)
{
	size_t low = 0, high = s->leaves;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (sd_lsm_bytewise(s->edges[middle], user) <= 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* The nodes of a range: adds one to at[node] for each and, unless seqs is NULL, writes its number where at[node] was. */
static void note(const struct sd_lsm_ranges *s, const struct sd_lsm_range *r, size_t *at, uint64_t *seqs)
{
	size_t low = edges_before(s, r->from) - 1 + s->leaves;
	size_t high = r->to.n == 0 ? 2 * s->leaves : edges_before(s, r->to) - 1 + s->leaves;
	for (; low < high; low /= 2, high /= 2) {
		size_t nodes[2], n = 0;
		if (low % 2)
			nodes[n++] = low++;
		if (high % 2)
			nodes[n++] = --high;
		while (n-- > 0) {
			if (seqs)
				seqs[at[nodes[n]]] = r->seq;
			at[nodes[n]]++;
		}
	}
}

/* Counts the notes of each node, and turns counts to where they begin. */
static size_t lay_out(struct sd_lsm_ranges *s)
{
	size_t sum = 0;
	for (size_t i = 0; i < s->n; i++)
		note(s, &s->list[i], s->begins, NULL);
	for (size_t i = 0; i <= 2 * s->leaves; i++) {
		size_t count = s->begins[i];
		s->begins[i] = sum;
		sum += count;
	}
	return sum;
}

static bool make_tree(struct sd_lsm_ranges *s)
{
	size_t nodes = 2 * s->leaves + 1;
	const struct sd_lsm_range **order = calloc(s->n, sizeof(struct sd_lsm_range *));
	size_t *at = calloc(nodes, sizeof(*at));
	bool good = order && at && (s->begins = take(s, nodes, sizeof(*s->begins))) != NULL &&
		    (s->seqs = take(s, lay_out(s), sizeof(*s->seqs))) != NULL;
	if (good) {
		for (size_t i = 0; i < s->n; i++)
			order[i] = &s->list[i];
		qsort(order, s->n, sizeof(struct sd_lsm_range *), newest_first);
		memcpy(at, s->begins, nodes * sizeof(*at));
		for (size_t i = 0; i < s->n; i++)
			note(s, order[i], at, s->seqs);
	}
	free(order);
	free(at);
	return good;
}

bool sd_lsm_ranges_new(const struct sd_lsm_range *list, size_t n, struct sd_lsm_ranges **out)
{
	size_t some = 0;
	*out = NULL;
	for (size_t i = 0; i < n; i++)
		some += holds_something(&list[i]);
	if (some == 0)
		return true;
	struct sd_lsm_ranges *s = calloc(1, sizeof(*s));
	if (!s)
		return false;
	atomic_init(&s->refs, 1);
	s->n = some;
	s->bytes = sizeof(*s);
	if (!copy(s, list, n) || !make_edges(s) || !make_tree(s)) {
		sd_lsm_ranges_unref(s);
		return false;
	}
	*out = s;
	return true;
}

bool sd_lsm_ranges_join(struct sd_lsm_ranges *const *sets, size_t n, struct sd_lsm_ranges **out)
{
	size_t sum = 0, last = 0, full = 0;
	for (size_t i = 0; i < n; i++) {
		sum += sd_lsm_ranges_count(sets[i]);
		full += sets[i] != NULL;
		last = sets[i] ? i : last;
	}
	*out = full == 1 ? sd_lsm_ranges_ref(sets[last]) : NULL;
	if (full <= 1)
		return true;
	struct sd_lsm_range *all = calloc(sum, sizeof(*all));
	if (!all)
		return false;
	for (size_t i = 0, at = 0; i < n; i++)
		for (size_t k = 0; k < sd_lsm_ranges_count(sets[i]); k++)
			all[at++] = sets[i]->list[k];
	bool good = sd_lsm_ranges_new(all, sum, out);
	free(all);
	return good;
}

/* ---- looking ---- */

/* The highest up to `snapshot` of numbers that go down; 0: none. */
static uint64_t highest(const uint64_t *seqs, size_t n, uint64_t snapshot)
{
	size_t low = 0, high = n;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (seqs[middle] > snapshot)
			low = middle + 1;
		else
			high = middle;
	}
	return low < n ? seqs[low] : 0;
}

uint64_t sd_lsm_ranges_hides(const struct sd_lsm_ranges *s, struct sd_slice user, uint64_t snapshot)
{
	size_t before = s ? edges_before(s, user) : 0;
	uint64_t best = 0;
	if (before == 0)
		return 0;
	for (size_t node = before - 1 + s->leaves; node > 0; node /= 2) {
		uint64_t seq = highest(s->seqs + s->begins[node], s->begins[node + 1] - s->begins[node], snapshot);
		best = seq > best ? seq : best;
	}
	return best;
}

size_t sd_lsm_ranges_count(const struct sd_lsm_ranges *s)
{
	return s ? s->n : 0;
}

struct sd_lsm_range sd_lsm_ranges_at(const struct sd_lsm_ranges *s, size_t i)
{
	return s->list[i];
}

size_t sd_lsm_ranges_bytes(const struct sd_lsm_ranges *s)
{
	return s ? s->bytes : 0;
}
