/* ring_moves.c - what goes from whom to whom when one ring takes the place of another.
 *
 * Where both rings hash keys alike and cut the circle into arcs, each arc between two neighbours of all their ends is
 * looked up once and the answer is exact. Otherwise keys are made up.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/rng.h"
#include "ring.h"

#define SAMPLE 200000

struct list {
	struct ring_flow *p;
	size_t n, room;
	bool full;
};

static int compare_pairs(const void *pa, const void *pb)
{
	const struct ring_flow *a = pa, *b = pb;
	if (a->from != b->from)
		return a->from < b->from ? -1 : 1;
	return a->to < b->to ? -1 : a->to > b->to;
}

static int compare_amounts(const void *pa, const void *pb)
{
	const struct ring_flow *a = pa, *b = pb;
	if (a->amount != b->amount)
		return a->amount > b->amount ? -1 : 1;
	return compare_pairs(pa, pb);
}

/* One entry for each pair. */
static void merge(struct list *l)
{
	size_t n = 0;
	if (!l->n)
		return;
	qsort(l->p, l->n, sizeof(*l->p), compare_pairs);
	for (size_t i = 1; i < l->n; i++)
		if (compare_pairs(&l->p[n], &l->p[i]) == 0)
			l->p[n].amount += l->p[i].amount;
		else
			l->p[++n] = l->p[i];
	l->n = n + 1;
}

static void put(struct list *l, int from, int to, double amount)
{
	if (l->n == l->room && !l->full) {
		merge(l); /* keys by the million, pairs by the hundred */
		if (l->n * 2 >= l->room) {
			size_t room = l->room ? l->room * 2 : 1024;
			struct ring_flow *p = realloc(l->p, room * sizeof(*p));
			if (p) {
				l->p = p;
				l->room = room;
			} else {
				l->full = true;
			}
		}
	}
	if (!l->full)
		l->p[l->n++] = (struct ring_flow){(uint32_t)from, (uint32_t)to, amount};
}

/* ---- three ways to ask ---- */

static bool same_hash(const struct sd_ring *a, const struct sd_ring *b)
{
	static const char *const words[] = {"a", "user:123", "the quick brown fox"};
	for (size_t i = 0; i < 3; i++)
		if (sd_ring_hash(a, words[i], strlen(words[i])) != sd_ring_hash(b, words[i], strlen(words[i])))
			return false;
	return true;
}

static void put_key(struct list *l, const struct sd_ring *a, const struct sd_ring *b, const void *key, size_t n)
{
	put(l, sd_ring_lookup(a, sd_ring_hash(a, key, n)), sd_ring_lookup(b, sd_ring_hash(b, key, n)), 1);
}

static double by_keys(struct list *l, const struct sd_ring *a, const struct sd_ring *b, struct ring_keys *keys)
{
	struct sd_slice key;
	double n = 0;
	for (; ring_keys_next(keys, &key); n++)
		put_key(l, a, b, key.p, key.n);
	return n;
}

static double by_sample(struct list *l, const struct sd_ring *a, const struct sd_ring *b)
{
	struct sd_rng rng;
	sd_rng_seed(&rng, 1);
	for (int i = 0; i < SAMPLE; i++) {
		uint64_t key = sd_rng_next(&rng);
		put_key(l, a, b, &key, sizeof(key));
	}
	return SAMPLE;
}

static int compare_places(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;
	return *x < *y ? -1 : *x > *y;
}

static size_t add_ends(const struct sd_ring *r, uint64_t *out)
{
	size_t n = sd_ring_points(r);
	for (size_t i = 0; i < n; i++)
		out[i] = sd_ring_place(r, i);
	return n;
}

/* Between two ends that follow each other no owner changes, so the second one speaks for the arc. */
static double by_arcs(struct list *l, const struct sd_ring *a, const struct sd_ring *b)
{
	uint64_t *ends = malloc((sd_ring_points(a) + sd_ring_points(b) + 1) * sizeof(*ends));
	l->full |= !ends;
	if (!ends)
		return 1;
	size_t n = add_ends(a, ends);
	n += add_ends(b, ends + n);
	qsort(ends, n, sizeof(*ends), compare_places);
	for (size_t i = 0; i < n; i++) {
		double width = ldexp((double)(ends[i] - ends[i ? i - 1 : n - 1]), -64);
		put(l, sd_ring_lookup(a, ends[i]), sd_ring_lookup(b, ends[i]), n == 1 ? 1 : width);
	}
	free(ends);
	return 1;
}

/* ---- what it means ---- */

static uint64_t heft(const struct ring_state *s, size_t i)
{
	return (uint64_t)s->nodes[i].weight * (s->conf.kind == SD_RING_VNODES ? s->nodes[i].vnodes : 1);
}

static double heft_of_all(const struct ring_state *s)
{
	double sum = 0;
	for (size_t i = 0; i < s->n; i++)
		sum += (double)heft(s, i);
	return sum;
}

/* Was it there before, just as it is now? */
static bool stays(const struct ring_state *a, const struct ring_state *b, const uint32_t *twin, uint32_t i)
{
	return i != UINT32_MAX && twin[i] != UINT32_MAX && heft(a, twin[i]) == heft(b, i);
}

/* The most that all nodes of b together gain. got: what each had and has. */
static double gains(const struct ring_state *b, const uint32_t *twin, const double *had, const double *has)
{
	double sum = 0;
	for (size_t i = 0; i < b->n; i++) {
		double before = twin[i] == UINT32_MAX ? 0 : had[twin[i]];
		sum += has[i] > before ? has[i] - before : 0;
	}
	return sum;
}

struct shares {
	double *had, *has, *fair_had, *fair_has;
	uint32_t *twin;  /* of a node of the new ring: in the old one */
	uint32_t *reverse;
};

static bool shares_new(struct shares *x, const struct ring_state *a, const struct ring_state *b)
{
	*x = (struct shares){calloc(a->n + 1, sizeof(double)),   calloc(b->n + 1, sizeof(double)),
			     calloc(a->n + 1, sizeof(double)),   calloc(b->n + 1, sizeof(double)),
			     calloc(b->n + 1, sizeof(uint32_t)), calloc(a->n + 1, sizeof(uint32_t))};
	return x->had && x->has && x->fair_had && x->fair_has && x->twin && x->reverse;
}

static void shares_free(struct shares *x)
{
	free(x->had);
	free(x->has);
	free(x->fair_had);
	free(x->fair_has);
	free(x->twin);
	free(x->reverse);
}

static void fill_shares(struct shares *x, const struct ring_state *a, const struct ring_state *b, const struct list *l)
{
	double sum_a = heft_of_all(a), sum_b = heft_of_all(b);
	memset(x->reverse, 0xff, a->n * sizeof(*x->reverse));
	for (size_t i = 0; i < b->n; i++) {
		size_t k = ring_find(a, b->nodes[i].name);
		x->twin[i] = k == SIZE_MAX ? UINT32_MAX : (uint32_t)k;
		if (k != SIZE_MAX)
			x->reverse[k] = (uint32_t)i;
		x->fair_has[i] = sum_b > 0 ? (double)heft(b, i) / sum_b : 0;
	}
	for (size_t i = 0; i < a->n; i++)
		x->fair_had[i] = sum_a > 0 ? (double)heft(a, i) / sum_a : 0;
	for (size_t i = 0; i < l->n; i++) {
		if (l->p[i].from != UINT32_MAX)
			x->had[l->p[i].from] += l->p[i].amount;
		if (l->p[i].to != UINT32_MAX)
			x->has[l->p[i].to] += l->p[i].amount;
	}
}

static void judge(struct ring_moves *m, struct list *l, const struct shares *x, const struct ring_state *a,
		  const struct ring_state *b)
{
	size_t n = 0;
	for (size_t i = 0; i < l->n; i++) {
		struct ring_flow f = l->p[i];
		if (f.from == UINT32_MAX ? f.to == UINT32_MAX : x->reverse[f.from] == f.to && f.to != UINT32_MAX)
			continue;
		m->moved += f.amount;
		if (f.from != UINT32_MAX && stays(a, b, x->twin, x->reverse[f.from]) && stays(a, b, x->twin, f.to))
			m->needless += f.amount;
		l->p[n++] = f;
	}
	l->n = n;
	m->least = gains(b, x->twin, x->had, x->has);
	m->fair = gains(b, x->twin, x->fair_had, x->fair_has);
}

enum sd_err ring_compare(const struct ring_state *a, const struct sd_ring *ra, const struct ring_state *b,
			 const struct sd_ring *rb, struct ring_keys *keys, struct ring_moves *out, struct sd_error *e)
{
	struct list l = {0};
	struct shares x;
	bool arcs = sd_ring_points(ra) + sd_ring_points(rb) > 0 && same_hash(ra, rb);
	arcs = arcs && (sd_ring_points(ra) || !a->n) && (sd_ring_points(rb) || !b->n);
	*out = (struct ring_moves){.exact = keys || arcs};
	out->total = keys ? by_keys(&l, ra, rb, keys) : arcs ? by_arcs(&l, ra, rb) : by_sample(&l, ra, rb);
	merge(&l);
	bool good = shares_new(&x, a, b) && !l.full;
	if (good) {
		fill_shares(&x, a, b, &l);
		judge(out, &l, &x, a, b);
		if (l.n)
			qsort(l.p, l.n, sizeof(*l.p), compare_amounts);
		out->flows = l.p;
		out->n = l.n;
	} else {
		free(l.p);
	}
	shares_free(&x);
	return good ? SD_OK : sd_fail(e, SD_ENOMEM, "out of memory");
}

void ring_moves_free(struct ring_moves *m)
{
	free(m->flows);
	m->flows = NULL;
}

/* ---- diff ---- */

#define ROWS 20

static const char *name_of(const struct ring_state *s, uint32_t i)
{
	return i == UINT32_MAX ? "(nobody)" : s->nodes[i].name;
}

/* A part of all, or that and how many keys. */
static const char *amount(const struct ring_moves *m, double v, bool keys, char out[64])
{
	double part = m->total > 0 ? v / m->total : 0;
	if (keys)
		snprintf(out, 64, "%.1f%% (%.0f keys)", 100 * part, v);
	else
		snprintf(out, 64, "%s%.1f%%", m->exact ? "" : "about ", 100 * part);
	return out;
}

static void print_flows(FILE *out, const struct ring_state *a, const struct ring_state *b, const struct ring_moves *m, bool keys,
			bool color)
{
	int width = 4;
	for (size_t i = 0; i < m->n && i < ROWS; i++) {
		int from = (int)strlen(name_of(a, m->flows[i].from)), to = (int)strlen(name_of(b, m->flows[i].to));
		width = from > width ? from : width;
		width = to > width ? to : width;
	}
	if (m->n)
		fprintf(out, "\n%-*s  %-*s  %*s\n", width, "from", width, "to", keys ? 10 : 7, keys ? "keys" : "part");
	for (size_t i = 0; i < m->n && i < ROWS; i++) {
		const struct ring_flow *f = &m->flows[i];
		fprintf(out, "%-*s  %-*s  ", width, name_of(a, f->from), width, name_of(b, f->to));
		fprintf(out, keys ? "%10.0f  " : "%6.2f%%  ", keys ? f->amount : 100 * f->amount / m->total);
		ring_bar(out, f->amount / m->flows[0].amount, 30, color && f->to != UINT32_MAX ? ring_color(f->to) : -1);
		fputc('\n', out);
	}
	if (m->n > ROWS)
		fprintf(out, "... and %zu smaller flows (--json has all)\n", m->n - ROWS);
}

static int print_diff(struct sd_verb_call *call, const struct ring_state *a, const struct ring_state *b,
		      const struct ring_moves *m, bool keys)
{
	char moved[64], least[64], needless[64];
	FILE *out = call->out;
	if (keys)
		fprintf(out, "Keys: %.0f\n", m->total);
	fprintf(out, "Keys moved: %s\n", amount(m, m->moved, keys, moved));
	fprintf(out, "The least for these shares: %s; by weights alone: %.1f%%\n", amount(m, m->least, keys, least), 100 * m->fair);
	fprintf(out, "Between nodes that stay as they were: %s\n", amount(m, m->needless, keys, needless));
	if (!m->exact)
		fprintf(out, "(of %d keys made up: the two have no places in common to compare)\n", SAMPLE);
	print_flows(out, a, b, m, keys, ring_colored(call));
	return 0;
}

static cJSON *json_name(const struct ring_state *s, uint32_t i)
{
	return i == UINT32_MAX ? cJSON_CreateNull() : cJSON_CreateString(s->nodes[i].name);
}

static int json_diff(struct sd_verb_call *call, const struct ring_state *a, const struct ring_state *b,
		     const struct ring_moves *m, bool keys)
{
	cJSON *o = cJSON_CreateObject();
	double total = m->total > 0 ? m->total : 1;
	if (keys)
		cJSON_AddNumberToObject(o, "keys", m->total);
	cJSON_AddBoolToObject(o, "exact", m->exact);
	cJSON_AddNumberToObject(o, "moved", m->moved / total);
	cJSON_AddNumberToObject(o, "least", m->least / total);
	cJSON_AddNumberToObject(o, "least_by_weights", m->fair);
	cJSON_AddNumberToObject(o, "between_unchanged", m->needless / total);
	cJSON *flows = cJSON_AddArrayToObject(o, "flows");
	for (size_t i = 0; i < m->n; i++) {
		cJSON *f = cJSON_CreateObject();
		cJSON_AddItemToArray(flows, f);
		cJSON_AddItemToObject(f, "from", json_name(a, m->flows[i].from));
		cJSON_AddItemToObject(f, "to", json_name(b, m->flows[i].to));
		cJSON_AddNumberToObject(f, "part", m->flows[i].amount / total);
		if (keys)
			cJSON_AddNumberToObject(f, "keys", m->flows[i].amount);
	}
	return ring_print_json(call, o);
}

struct sides {
	struct ring_state a, b;
	struct sd_ring *ra, *rb;
	struct ring_keys keys;
	struct ring_moves moves;
};

static enum sd_err open_sides(struct sd_verb_call *call, struct sides *x, const char *keys, struct sd_error *e)
{
	enum sd_err err = ring_open(call->world, call->args[0], &x->a, &x->ra, e);
	if (!err)
		err = ring_open(call->world, call->args[1], &x->b, &x->rb, e);
	if (!err && keys)
		err = ring_keys_open(call->world, keys, &x->keys, e);
	if (!err)
		err = ring_compare(&x->a, x->ra, &x->b, x->rb, keys ? &x->keys : NULL, &x->moves, e);
	return err;
}

int ring_diff(struct sd_verb_call *call)
{
	struct sides x = {0};
	struct sd_error e = {0};
	const char *keys = sd_conf_string(call->conf, "keys");
	int status;
	if (open_sides(call, &x, keys, &e))
		status = ring_fail(call, "diff", &e);
	else if (sd_conf_bool(call->conf, "json"))
		status = json_diff(call, &x.a, &x.b, &x.moves, keys);
	else
		status = print_diff(call, &x.a, &x.b, &x.moves, keys);
	ring_moves_free(&x.moves);
	ring_keys_close(&x.keys);
	sd_ring_release(x.ra);
	sd_ring_release(x.rb);
	ring_free(&x.a);
	ring_free(&x.b);
	return status;
}
