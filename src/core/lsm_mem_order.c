/* lsm_mem_order.c
 *
 * What keys have in common is learned from those that are ordered first, and at a few sizes it is looked at again: when heads of the
 * list say too little, its steps are made anew in a second list, and that is published. Readers in the first list find what was there
 * when they came, which is all that they may see.
 */
#include "lsm_mem_order.h"

#include <stdlib.h>

#define LEARN_AT  64 /* nodes; then at each 8 times as many */
#define LEARN_END 32768

bool sd_lsm_mem_order_begin(struct sd_lsm_mem_order *o, size_t block_bytes, struct sd_slice common)
{
	o->arena.block_bytes = block_bytes;
	o->learn_at = LEARN_AT;
	o->at.chance = 1;
	struct sd_lsm_list *l = sd_lsm_list_new(&o->arena, common);
	if (!l)
		return false;
	atomic_init(&o->list, l);
	sd_lsm_list_stand(&o->at, l);
	return true;
}

void sd_lsm_mem_order_end(struct sd_lsm_mem_order *o)
{
	sd_lsm_arena_end(&o->arena);
}

/* ---- who waits ---- */

void sd_lsm_mem_order_add(struct sd_lsm_mem_order *o, struct sd_lsm_node *n)
{
	n->waits = atomic_load_explicit(&o->waiting, memory_order_relaxed);
	while (!atomic_compare_exchange_weak_explicit(&o->waiting, &n->waits, n, memory_order_release, memory_order_relaxed))
		;
	atomic_store_explicit(&o->nodes, atomic_load_explicit(&o->nodes, memory_order_relaxed) + 1, memory_order_release);
}

/* What somebody else orders now still waits. */
bool sd_lsm_mem_order_waits(const struct sd_lsm_mem_order *o)
{
	size_t nodes = atomic_load_explicit(&o->nodes, memory_order_acquire);
	return atomic_load_explicit(&o->ordered, memory_order_acquire) < nodes;
}

/* ---- sorting ---- */

struct item {
	uint64_t head;
	struct sd_lsm_node *node;
};

static bool is_before(const struct item *a, const struct item *b)
{
	if (a->head != b->head)
		return a->head < b->head;
	return sd_lsm_bytewise(sd_lsm_node_user(a->node), sd_lsm_node_user(b->node)) < 0;
}

static bool is_sorted(const struct item *v, size_t n)
{
	for (size_t i = 1; i < n; i++)
		if (!is_before(&v[i - 1], &v[i]))
			return false;
	return true;
}

static void merge(const struct item *a, size_t na, const struct item *b, size_t nb, struct item *to)
{
	while (na > 0 && nb > 0) {
		bool second = is_before(b, a);
		*to++ = second ? *b : *a;
		a += !second;
		na -= !second;
		b += second;
		nb -= second;
	}
	memcpy(to, a, na * sizeof(*a));
	memcpy(to + na, b, nb * sizeof(*b));
}

/* There is room for as many behind them. The sorted ones are these or those. */
static struct item *sort(struct item *v, size_t n)
{
	struct item *to = v + n;
	for (size_t width = 1; width < n; width *= 2) {
		for (size_t i = 0; i < n; i += 2 * width) {
			size_t left = n - i, na = left < width ? left : width, nb = left - na < width ? left - na : width;
			merge(v + i, na, v + i + na, nb, to + i);
		}
		struct item *was = v;
		v = to;
		to = was;
	}
	return v;
}

/* ---- what keys have in common ---- */

/* And how many there are. */
static struct sd_slice in_common(const struct sd_lsm_node *all, size_t *count)
{
	struct sd_slice c = all ? sd_lsm_node_user(all) : (struct sd_slice){NULL, 0};
	c.n = c.n < SD_LSM_LIST_COMMON ? c.n : SD_LSM_LIST_COMMON;
	for (*count = 0; all; all = all->waits, ++*count) {
		struct sd_slice user = sd_lsm_node_user(all);
		c.n = c.n < user.n ? c.n : user.n;
		while (c.n > 0 && memcmp(c.p, user.p, c.n) != 0)
			c.n--;
	}
	c.n = sd_lsm_list_granted(c.n);
	return c;
}

static void publish(struct sd_lsm_mem_order *o)
{
	atomic_store_explicit(&o->list, o->at.list, memory_order_release);
}

/* While nothing is in the list another one costs nothing. */
static void learn_first(struct sd_lsm_mem_order *o, struct sd_slice common, size_t n)
{
	struct sd_lsm_list *l = NULL;
	if (n >= LEARN_AT && !sd_lsm_list_first(o->at.list))
		l = sd_lsm_list_new(&o->arena, common);
	if (!l)
		return;
	sd_lsm_list_stand(&o->at, l);
	publish(o);
}

/* The list anew, with other heads. Out of memory: it stays as it is. */
static void make_anew(struct sd_lsm_mem_order *o, struct sd_slice common)
{
	struct sd_lsm_list *old = o->at.list, *l = sd_lsm_list_new(&o->arena, common);
	if (!l)
		return;
	sd_lsm_list_stand(&o->at, l);
	for (struct sd_lsm_step *t = sd_lsm_list_first(old); t; t = sd_lsm_list_next(t))
		if (!sd_lsm_list_put(&o->at, &o->arena, t->node, sd_lsm_list_head(l, sd_lsm_node_user(t->node)))) {
			sd_lsm_list_stand(&o->at, old);
			return;
		}
	publish(o);
}

static void learn_again(struct sd_lsm_mem_order *o, size_t ordered)
{
	struct sd_slice common;
	if (ordered < o->learn_at)
		return;
	while (o->learn_at <= ordered)
		o->learn_at = o->learn_at < LEARN_END ? o->learn_at * 8 : SIZE_MAX;
	if (sd_lsm_list_is_off(o->at.list, &common))
		make_anew(o, common);
}

/* ---- ordering ---- */

/* Those that there was no memory for wait on. */
static void put_back(struct sd_lsm_mem_order *o, struct sd_lsm_node *n)
{
	n->waits = atomic_load_explicit(&o->waiting, memory_order_relaxed);
	while (!atomic_compare_exchange_weak_explicit(&o->waiting, &n->waits, n, memory_order_release, memory_order_relaxed))
		;
}

/* How many of the first were put. */
static size_t put_all(struct sd_lsm_mem_order *o, const struct item *v, size_t n)
{
	size_t i = 0;
	while (i < n && sd_lsm_list_put(&o->at, &o->arena, v[i].node, v[i].head))
		i++;
	return i;
}

/* Who came last is the first of them. */
static void fill(const struct sd_lsm_list *l, struct item *v, size_t n, struct sd_lsm_node *all)
{
	for (; n-- > 0; all = all->waits)
		v[n] = (struct item){sd_lsm_list_head(l, sd_lsm_node_user(all)), all};
}

bool sd_lsm_mem_order_all(struct sd_lsm_mem_order *o)
{
	struct sd_lsm_node *all = atomic_exchange_explicit(&o->waiting, NULL, memory_order_acquire), *after;
	size_t n;
	struct sd_slice common = in_common(all, &n);
	if (n == 0)
		return true;
	struct item *room = malloc(2 * n * sizeof(*room)), *v = room;
	if (!room) {
		for (; all; all = after) {
			after = all->waits;
			put_back(o, all);
		}
		return false;
	}
	learn_first(o, common, n);
	fill(o->at.list, v, n, all);
	if (!is_sorted(v, n))
		v = sort(v, n);
	size_t put = put_all(o, v, n), ordered = atomic_load_explicit(&o->ordered, memory_order_relaxed) + put;
	for (size_t i = put; i < n; i++)
		put_back(o, v[i].node);
	free(room);
	atomic_store_explicit(&o->ordered, ordered, memory_order_release);
	learn_again(o, ordered);
	return put == n;
}
