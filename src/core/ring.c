#include "ring_int.h"

#include <math.h>
#include <stdlib.h>

/* ---- points ---- */

struct point {
	uint64_t at, tie; /* two points at one place stand in the order of their nodes' names, not of the list */
	uint32_t node;
};

static int compare_points(const void *pa, const void *pb)
{
	const struct point *a = pa, *b = pb;
	if (a->at != b->at)
		return a->at < b->at ? -1 : 1;
	return a->tie < b->tie ? -1 : a->tie > b->tie;
}

static void make_points(const struct sd_ring *r, struct point *out)
{
	bool free_choice = sd_ring_way(&r->conf)->free;
	size_t n = 0;
	for (size_t i = 0; i < r->n; i++) {
		struct sd_ring_places p;
		sd_ring_places_begin(&p, &r->conf, &r->nodes[i]);
		/* Others leave it to the list. */
		uint64_t tie = free_choice ? r->ident[i] : i;
		for (uint32_t k = 0; k < r->counts[i]; k++)
			out[n++] = (struct point){sd_ring_places_next(&p), tie, (uint32_t)i};
	}
	qsort(out, n, sizeof(*out), compare_points);
}

static void make_parts(struct sd_ring *r, unsigned bits)
{
	size_t p = 0;
	r->shift = 64 - bits;
	for (size_t part = 0; part < (size_t)1 << bits; part++) {
		while (p < r->npoints && r->at[p] >> r->shift < part)
			p++;
		r->first[part] = (uint32_t)p;
	}
	r->first[(size_t)1 << bits] = (uint32_t)r->npoints;
}

static enum sd_err place_points(struct sd_ring *r)
{
	unsigned bits = 1;
	while (bits < 22 && (size_t)1 << bits < r->npoints)
		bits++;
	struct point *points = calloc(r->npoints + 1, sizeof(*points));
	r->at = calloc(r->npoints + 1, sizeof(*r->at));
	r->first = calloc(((size_t)1 << bits) + 1, sizeof(*r->first));
	if (!points || !r->at || !r->first) {
		free(points);
		return SD_ENOMEM;
	}
	make_points(r, points);
	for (size_t i = 0; i < r->npoints; i++) {
		r->at[i] = points[i].at;
		r->node[i] = points[i].node;
	}
	free(points);
	make_parts(r, bits);
	return SD_OK;
}

/* ---- nodes ---- */

struct sum {
	uint64_t weights, points;
	size_t live;
};

static uint64_t count_of(const struct sd_ring_conf *conf, const struct sd_ring_node *node, const struct sum *sum)
{
	const struct sd_ring_way *way = sd_ring_way(conf);
	if (!node->weight)
		return 0;
	return way->count ? way->count(conf, node->weight, sum->weights, sum->live) : 1;
}

static struct sum sum_up(const struct sd_ring_conf *conf, const struct sd_ring_node *nodes, size_t n)
{
	struct sum s = {0};
	for (size_t i = 0; i < n; i++) {
		s.weights += nodes[i].weight;
		s.live += nodes[i].weight > 0;
	}
	for (size_t i = 0; i < n; i++)
		s.points += count_of(conf, &nodes[i], &s);
	return s;
}

static struct sd_slice keep(struct sd_ring *r, size_t *used, struct sd_slice text)
{
	struct sd_slice kept = {r->names + *used, text.n};
	if (text.n)
		memcpy(r->names + *used, text.p, text.n);
	*used += text.n;
	return kept;
}

static enum sd_err copy_nodes(struct sd_ring *r, const struct sd_ring_node *nodes, size_t n)
{
	size_t bytes = 0, used = 0;
	for (size_t i = 0; i < n; i++)
		bytes += nodes[i].name.n + nodes[i].zone.n;
	r->nodes = calloc(n + 1, sizeof(*r->nodes));
	r->ident = calloc(n + 1, sizeof(*r->ident));
	r->counts = calloc(n + 1, sizeof(*r->counts));
	r->zone = calloc(n + 1, sizeof(*r->zone));
	r->names = malloc(bytes + 1);
	if (!r->nodes || !r->ident || !r->counts || !r->zone || !r->names)
		return SD_ENOMEM;
	for (size_t i = 0; i < n; i++) {
		r->nodes[i] = nodes[i];
		r->nodes[i].name = keep(r, &used, nodes[i].name);
		r->nodes[i].zone = keep(r, &used, nodes[i].zone);
		r->ident[i] = sd_ring_ident(&r->conf, &nodes[i]);
	}
	r->n = n;
	return SD_OK;
}

static bool same_text(struct sd_slice a, struct sd_slice b)
{
	return a.n == b.n && (!a.n || memcmp(a.p, b.p, a.n) == 0);
}

/* Nodes of one zone have the number of its first; who is in none is in a zone of its own. */
static void number_zones(struct sd_ring *r)
{
	for (size_t i = 0; i < r->n; i++) {
		size_t first = i;
		if (r->nodes[i].zone.n) {
			r->zones = true;
			for (first = 0; !same_text(r->nodes[first].zone, r->nodes[i].zone);)
				first++;
		}
		r->zone[i] = (uint32_t)first;
	}
}

static void count_owners(struct sd_ring *r)
{
	uint32_t weight = 0;
	r->even = true;
	for (size_t i = 0; i < r->n; i++) {
		r->owners += r->counts[i] > 0;
		if (!r->nodes[i].weight)
			continue;
		if (weight && r->nodes[i].weight != weight)
			r->even = false;
		weight = r->nodes[i].weight;
	}
}

/* ---- checks ---- */

static int compare_places(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;
	return *x < *y ? -1 : *x > *y;
}

/* Two nodes with one name would stand at the same points. By hash: it is what their places are made from. */
static enum sd_err check_idents(const struct sd_ring_conf *conf, const struct sd_ring_node *nodes, size_t n)
{
	uint64_t idents[SD_RING_MAX_NODES] = {0};
	for (size_t i = 0; i < n; i++)
		idents[i] = sd_ring_ident(conf, &nodes[i]);
	qsort(idents, n, sizeof(idents[0]), compare_places);
	for (size_t i = 1; i < n; i++)
		if (idents[i] == idents[i - 1])
			return SD_EINVAL;
	return SD_OK;
}

static enum sd_err check_nodes(const struct sd_ring_conf *conf, const struct sd_ring_node *nodes, size_t n)
{
	bool named = sd_ring_way(conf)->named;
	for (size_t i = 0; i < n; i++) {
		if ((named && !nodes[i].name.n) || (conf->kind == SD_RING_JUMP && nodes[i].weight > 1))
			return SD_EINVAL;
		if (named && nodes[i].name.n > SD_RING_MAX_NAME)
			return SD_ERANGE;
	}
	return check_idents(conf, nodes, n);
}

static bool is_prime(uint64_t n)
{
	for (uint64_t d = 2; d * d <= n; d++)
		if (n % d == 0)
			return false;
	return n > 1;
}

static enum sd_err check_conf(const struct sd_ring_conf *conf)
{
	bool by_md5 = conf->hash == SD_RING_MD5;
	if (conf->kind > SD_RING_TEXTBOOK || conf->hash > SD_RING_MD5)
		return SD_EINVAL;
	if (by_md5 && (conf->seed || conf->seed_high))
		return SD_EINVAL;
	if (conf->kind != SD_RING_MAGLEV)
		return SD_OK;
	if (conf->slots > SD_RING_MAX_POINTS)
		return SD_ERANGE;
	return is_prime(conf->slots) ? SD_OK : SD_EINVAL;
}

static struct sd_ring_conf full_conf(const struct sd_ring_conf *conf, size_t n)
{
	struct sd_ring_conf c = *conf;
	if (c.vnodes == 0)
		c.vnodes = SD_RING_VNODES_DEFAULT;
	if (c.slots == 0)
		c.slots = n * 100 <= SD_RING_SLOTS_DEFAULT ? SD_RING_SLOTS_DEFAULT : SD_RING_SLOTS_MANY;
	return c;
}

static enum sd_err check_list(const struct sd_ring_conf *conf, const struct sd_ring_node *nodes, size_t n, struct sum *sum)
{
	enum sd_err err = check_conf(conf);
	if (err)
		return err;
	if (n > SD_RING_MAX_NODES)
		return SD_ERANGE;
	*sum = sum_up(conf, nodes, n);
	return sum->points > SD_RING_MAX_POINTS ? SD_ERANGE : check_nodes(conf, nodes, n);
}

/* ---- building ---- */

static enum sd_err place_nodes(struct sd_ring *r, const struct sum *sum)
{
	enum sd_err err = SD_OK;
	r->npoints = r->style == SD_RING_BY_SLOTS ? (sum->live ? r->conf.slots : 0)
		     : r->style == SD_RING_BY_POINTS ? sum->points
						     : 0;
	r->node = calloc(r->npoints + 1, sizeof(*r->node));
	if (!r->node)
		return SD_ENOMEM;
	for (size_t i = 0; r->style != SD_RING_BY_SLOTS && i < r->n; i++)
		r->counts[i] = (uint32_t)count_of(&r->conf, &r->nodes[i], sum);
	if (r->style == SD_RING_BY_POINTS)
		err = place_points(r);
	else if (r->npoints)
		err = sd_ring_fill_slots(r);
	count_owners(r);
	return err;
}

enum sd_err sd_ring_build(const struct sd_ring_conf *conf, const struct sd_ring_node *nodes, size_t n,
			  struct sd_ring **out)
{
	struct sd_ring_conf c = full_conf(conf, n);
	struct sum sum;
	enum sd_err err = check_list(&c, nodes, n, &sum);
	*out = NULL;
	if (err)
		return err;
	struct sd_ring *r = calloc(1, sizeof(*r));
	if (!r)
		return SD_ENOMEM;
	r->refs = 1;
	r->conf = c;
	r->style = sd_ring_way(&c)->style;
	err = copy_nodes(r, nodes, n);
	if (!err) {
		number_zones(r);
		err = place_nodes(r, &sum);
	}
	if (err)
		sd_ring_release(r);
	else
		*out = r;
	return err;
}

struct sd_ring *sd_ring_hold(struct sd_ring *r)
{
	__atomic_add_fetch(&r->refs, 1, __ATOMIC_RELAXED);
	return r;
}

void sd_ring_release(struct sd_ring *r)
{
	if (!r || __atomic_sub_fetch(&r->refs, 1, __ATOMIC_ACQ_REL) > 0)
		return;
	free(r->nodes);
	free(r->names);
	free(r->ident);
	free(r->counts);
	free(r->zone);
	free(r->at);
	free(r->node);
	free(r->first);
	free(r);
}

/* ---- what it is ---- */

size_t sd_ring_count(const struct sd_ring *r)
{
	return r->n;
}

const struct sd_ring_node *sd_ring_node(const struct sd_ring *r, size_t index)
{
	return &r->nodes[index];
}

size_t sd_ring_points(const struct sd_ring *r)
{
	return r->npoints;
}

size_t sd_ring_points_of(const struct sd_ring *r, size_t index)
{
	return r->npoints ? r->counts[index] : 0;
}

unsigned sd_ring_bits(const struct sd_ring *r)
{
	return sd_ring_way(&r->conf)->bits;
}

struct sd_ring_point sd_ring_point(const struct sd_ring *r, size_t i)
{
	struct sd_ring_places p;
	if (r->style == SD_RING_BY_SLOTS)
		return (struct sd_ring_point){sd_ring_slot_end(i, r->npoints), r->node[i], (uint32_t)i + 1};
	sd_ring_places_begin(&p, &r->conf, &r->nodes[r->node[i]]);
	for (uint32_t k = 1; k <= r->counts[r->node[i]]; k++)
		if (sd_ring_places_next(&p) == r->at[i])
			return (struct sd_ring_point){r->at[i], r->node[i], k};
	return (struct sd_ring_point){r->at[i], r->node[i], 0};
}

uint64_t sd_ring_place(const struct sd_ring *r, size_t i)
{
	return r->style == SD_RING_BY_SLOTS ? sd_ring_slot_end(i, r->npoints) : r->at[i];
}

bool sd_ring_is(const struct sd_ring *r, const struct sd_ring_conf *conf, const struct sd_ring_node *nodes, size_t n)
{
	struct sd_ring_conf a = full_conf(conf, n), b = r->conf;
	if (a.kind != b.kind || a.hash != b.hash || a.vnodes != b.vnodes || a.slots != b.slots || a.seed != b.seed ||
	    a.seed_high != b.seed_high || n != r->n)
		return false;
	for (size_t i = 0; i < n; i++) {
		const struct sd_ring_node *x = &nodes[i], *y = &r->nodes[i];
		if (x->id != y->id || x->weight != y->weight || !same_text(x->name, y->name) || !same_text(x->zone, y->zone))
			return false;
	}
	return true;
}

/* A point owns what lies between the point before it and itself. */
static double share_by_points(const struct sd_ring *r, size_t index)
{
	double sum = 0;
	for (size_t i = 0; i < r->npoints; i++)
		if (r->node[i] == index)
			sum += (double)(r->at[i] - r->at[i ? i - 1 : r->npoints - 1]);
	return ldexp(sum, -64);
}

static double share_by_weight(const struct sd_ring *r, size_t index)
{
	double sum = 0;
	for (size_t i = 0; i < r->n; i++)
		sum += r->nodes[i].weight;
	return r->nodes[index].weight / sum;
}

double sd_ring_share(const struct sd_ring *r, size_t index)
{
	if (r->owners <= 1)
		return r->counts[index] > 0;
	switch (r->style) {
	case SD_RING_BY_POINTS:
		return share_by_points(r, index);
	case SD_RING_BY_SLOTS:
		return (double)r->counts[index] / (double)r->npoints;
	default: /* a jump has no weights but 0 and 1 */
		return share_by_weight(r, index);
	}
}
