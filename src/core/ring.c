#include "sdlab/ring.h"

#include <math.h>
#include <stdlib.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

/* Points are sorted by place; `first` says for each of the 2^bits equal parts of the circle which point is the first at or
 * behind its start, so that a search looks at the one or two points of a part instead of all. */
struct sd_ring {
	uint32_t refs; /* atomic */
	struct sd_ring_conf conf;
	struct sd_ring_node *nodes;
	size_t n, owners; /* owners: nodes with points */
	char *names;
	uint64_t *at;   /* places, npoints of them */
	uint32_t *node; /* whose they are */
	uint32_t *first;
	size_t npoints;
	unsigned shift; /* place >> shift: its part */
};

/* ---- building ---- */

struct point {
	uint64_t at, name; /* two points at one place stand in the order of their nodes' names, not of the list */
	uint32_t node;
};

static int compare_points(const void *pa, const void *pb)
{
	const struct point *a = pa, *b = pb;
	if (a->at != b->at)
		return a->at < b->at ? -1 : 1;
	return a->name < b->name ? -1 : a->name > b->name;
}

static void put64(unsigned char *out, uint64_t v)
{
	for (int i = 0; i < 8; i++)
		out[i] = (unsigned char)(v >> (8 * i));
}

static uint64_t hash_name(const struct sd_ring_node *node, uint64_t seed)
{
	unsigned char id[8];
	if (node->name.n)
		return XXH3_64bits_withSeed(node->name.p, node->name.n, seed);
	put64(id, node->id);
	return XXH3_64bits_withSeed(id, sizeof(id), seed);
}

static uint64_t place_of(uint64_t name, uint32_t k, uint64_t seed)
{
	unsigned char both[16];
	put64(both, name);
	put64(both + 8, k);
	return XXH3_64bits_withSeed(both, sizeof(both), seed);
}

static size_t make_points(const struct sd_ring *r, struct point *out)
{
	size_t n = 0;
	for (size_t i = 0; i < r->n; i++) {
		uint64_t name = hash_name(&r->nodes[i], r->conf.seed);
		for (uint32_t k = 0; k < r->nodes[i].weight * r->conf.vnodes; k++)
			out[n++] = (struct point){place_of(name, k, r->conf.seed), name, (uint32_t)i};
	}
	qsort(out, n, sizeof(*out), compare_points);
	return n;
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
	r->node = calloc(r->npoints + 1, sizeof(*r->node));
	r->first = calloc(((size_t)1 << bits) + 1, sizeof(*r->first));
	if (!points || !r->at || !r->node || !r->first) {
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

static enum sd_err copy_nodes(struct sd_ring *r, const struct sd_ring_node *nodes, size_t n)
{
	size_t bytes = 0;
	for (size_t i = 0; i < n; i++)
		bytes += nodes[i].name.n;
	r->nodes = calloc(n + 1, sizeof(*r->nodes));
	r->names = malloc(bytes + 1);
	if (!r->nodes || !r->names)
		return SD_ENOMEM;
	bytes = 0;
	for (size_t i = 0; i < n; i++) {
		r->nodes[i] = nodes[i];
		r->nodes[i].name.p = r->names + bytes;
		if (nodes[i].name.n)
			memcpy(r->names + bytes, nodes[i].name.p, nodes[i].name.n);
		bytes += nodes[i].name.n;
		r->owners += nodes[i].weight > 0;
	}
	r->n = n;
	return SD_OK;
}

static int compare_places(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;
	return *x < *y ? -1 : *x > *y;
}

/* Two nodes with one name would stand at the same points. By hash: it is what their places are made from. */
static enum sd_err check_names(const struct sd_ring_node *nodes, size_t n, uint64_t seed)
{
	uint64_t names[SD_RING_MAX_NODES] = {0};
	for (size_t i = 0; i < n; i++)
		names[i] = hash_name(&nodes[i], seed);
	qsort(names, n, sizeof(names[0]), compare_places);
	for (size_t i = 1; i < n; i++)
		if (names[i] == names[i - 1])
			return SD_EINVAL;
	return SD_OK;
}

static struct sd_ring_conf full_conf(const struct sd_ring_conf *conf)
{
	struct sd_ring_conf c = *conf;
	if (c.vnodes == 0)
		c.vnodes = SD_RING_VNODES_DEFAULT;
	return c;
}

static enum sd_err check_list(const struct sd_ring_conf *conf, const struct sd_ring_node *nodes, size_t n,
			      uint64_t *points)
{
	if (conf->kind != SD_RING_VNODES)
		return SD_EINVAL;
	if (n > SD_RING_MAX_NODES)
		return SD_ERANGE;
	*points = 0;
	for (size_t i = 0; i < n; i++)
		*points += (uint64_t)nodes[i].weight * conf->vnodes;
	return *points > SD_RING_MAX_POINTS ? SD_ERANGE : check_names(nodes, n, conf->seed);
}

enum sd_err sd_ring_build(const struct sd_ring_conf *conf, const struct sd_ring_node *nodes, size_t n,
			  struct sd_ring **out)
{
	struct sd_ring_conf c = full_conf(conf);
	uint64_t points;
	enum sd_err err = check_list(&c, nodes, n, &points);
	*out = NULL;
	if (err)
		return err;
	struct sd_ring *r = calloc(1, sizeof(*r));
	if (!r)
		return SD_ENOMEM;
	r->refs = 1;
	r->conf = c;
	r->npoints = points;
	err = copy_nodes(r, nodes, n);
	if (!err)
		err = place_points(r);
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

bool sd_ring_is(const struct sd_ring *r, const struct sd_ring_conf *conf, const struct sd_ring_node *nodes, size_t n)
{
	struct sd_ring_conf c = full_conf(conf);
	if (c.kind != r->conf.kind || c.vnodes != r->conf.vnodes || c.seed != r->conf.seed || n != r->n)
		return false;
	for (size_t i = 0; i < n; i++) {
		const struct sd_ring_node *a = &nodes[i], *b = &r->nodes[i];
		if (a->id != b->id || a->weight != b->weight || a->name.n != b->name.n)
			return false;
		if (a->name.n && memcmp(a->name.p, b->name.p, a->name.n) != 0)
			return false;
	}
	return true;
}

/* A point owns what lies between the point before it and itself. */
double sd_ring_share(const struct sd_ring *r, size_t index)
{
	double sum = 0;
	if (r->owners == 1)
		return r->nodes[index].weight > 0;
	for (size_t i = 0; i < r->npoints; i++)
		if (r->node[i] == index)
			sum += (double)(r->at[i] - r->at[i ? i - 1 : r->npoints - 1]);
	return ldexp(sum, -64);
}

/* ---- looking up ---- */

uint64_t sd_ring_hash(const struct sd_ring *r, const void *key, size_t n)
{
	return XXH3_64bits_withSeed(key, n, r->conf.seed);
}

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

int sd_ring_lookup(const struct sd_ring *r, uint64_t hash)
{
	return r->npoints ? (int)r->node[search(r, hash)] : -1;
}

void sd_ring_walk_begin(struct sd_ring_walk *w, const struct sd_ring *r, uint64_t hash)
{
	w->ring = r;
	w->hash = hash;
	w->named = 0;
	w->at = r->npoints ? search(r, hash) : 0;
	memset(w->seen, 0, (r->n + 63) / 64 * sizeof(w->seen[0]));
}

int sd_ring_walk_next(struct sd_ring_walk *w)
{
	const struct sd_ring *r = w->ring;
	while (w->named < r->owners) {
		uint32_t i = r->node[w->at];
		w->at = w->at + 1 < r->npoints ? w->at + 1 : 0;
		if (w->seen[i / 64] >> (i % 64) & 1)
			continue;
		w->seen[i / 64] |= 1ull << (i % 64);
		w->named++;
		return (int)i;
	}
	return -1;
}

size_t sd_ring_lookup_n(const struct sd_ring *r, uint64_t hash, int *out, size_t want)
{
	struct sd_ring_walk w;
	size_t n = 0;
	sd_ring_walk_begin(&w, r, hash);
	while (n < want && (out[n] = sd_ring_walk_next(&w)) >= 0)
		n++;
	return n;
}

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
		uint32_t load = r->nodes[k].weight ? bound->load(bound->arg, k) : SD_RING_OUT;
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
