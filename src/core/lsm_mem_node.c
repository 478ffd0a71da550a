/* lsm_mem_node.c */
#include "lsm_mem_node.h"

#include <stdlib.h>

/* ---- memory ---- */

#define ADDRESS_BITS 48 /* that nodes have; the others are free for lsm_mem_hash.c. Linux gives no others to who does not ask for them */

struct sd_lsm_block {
	struct sd_lsm_block *next;
	max_align_t bytes[];
};

static char *new_block(struct sd_lsm_arena *a, size_t n)
{
	struct sd_lsm_block *b = malloc(sizeof(*b) + n);
	if (b && ((uint64_t)(uintptr_t)b + sizeof(*b) + n) >> ADDRESS_BITS) {
		free(b);
		return NULL;
	}
	if (!b)
		return NULL;
	b->next = a->blocks;
	a->blocks = b;
	atomic_fetch_add_explicit(&a->bytes, sizeof(*b) + n, memory_order_relaxed);
	return (char *)b->bytes;
}

/* What is large has a block of its own, and the one in use stays. */
void *sd_lsm_arena_take(struct sd_lsm_arena *a, size_t n)
{
	n = (n + 7) & ~(size_t)7;
	if (n <= (size_t)(a->end - a->at)) {
		a->at += n;
		return a->at - n;
	}
	if (n > a->block_bytes / 4)
		return new_block(a, n);
	char *p = new_block(a, a->block_bytes);
	if (p) {
		a->at = p + n;
		a->end = p + a->block_bytes;
	}
	return p;
}

void sd_lsm_arena_end(struct sd_lsm_arena *a)
{
	for (struct sd_lsm_block *b = a->blocks, *next; b; b = next) {
		next = b->next;
		free(b);
	}
}

/* ---- nodes ---- */

static bool fits(size_t key_n, size_t value_n)
{
	return key_n <= UINT32_MAX && value_n <= UINT32_MAX;
}

static void fill(struct sd_lsm_entry *e, struct sd_slice user, uint64_t tail, struct sd_slice value)
{
	e->value_n = (uint32_t)value.n;
	e->key_n = (uint32_t)user.n;
	if (user.n > 0)
		memcpy(e->bytes, user.p, user.n);
	sd_put_le(e->bytes + user.n, tail, SD_LSM_TAIL);
	if (value.n > 0)
		memcpy(e->bytes + user.n + SD_LSM_TAIL, value.p, value.n);
}

struct sd_lsm_node *sd_lsm_node_new(struct sd_lsm_arena *a, struct sd_slice user, uint64_t tail, struct sd_slice value)
{
	struct sd_lsm_node *n = fits(user.n, value.n) ? sd_lsm_arena_take(a, sizeof(*n) + user.n + SD_LSM_TAIL + value.n) : NULL;
	if (!n)
		return NULL;
	atomic_init(&n->newest, NULL);
	fill(&n->first, user, tail, value);
	return n;
}

static uint32_t depth_of(const struct sd_lsm_version *v)
{
	return v ? v->depth : 0;
}

static struct sd_lsm_version *jump_of(const struct sd_lsm_version *v)
{
	return v ? v->jump : NULL;
}

bool sd_lsm_node_put(struct sd_lsm_arena *a, struct sd_lsm_node *n, uint64_t tail, struct sd_slice value)
{
	struct sd_slice user = sd_lsm_node_user(n);
	struct sd_lsm_version *older = atomic_load_explicit(&n->newest, memory_order_relaxed), *far = jump_of(older);
	struct sd_lsm_version *v = fits(user.n, value.n) ? sd_lsm_arena_take(a, sizeof(*v) + user.n + SD_LSM_TAIL + value.n) : NULL;
	if (!v)
		return false;
	v->older = older;
	v->depth = depth_of(older) + 1;
	v->jump = depth_of(older) - depth_of(far) == depth_of(far) - depth_of(jump_of(far)) ? jump_of(far) : older;
	fill(&v->e, user, tail, value);
	atomic_store_explicit(&n->newest, v, memory_order_release);
	return true;
}

bool sd_lsm_node_find(const struct sd_lsm_node *n, uint64_t tail, const struct sd_lsm_version **out)
{
	const struct sd_lsm_version *v = sd_lsm_node_newest(n);
	while (v && sd_lsm_entry_tail(&v->e) > tail)
		v = v->jump && sd_lsm_entry_tail(&v->jump->e) > tail ? v->jump : v->older;
	*out = v;
	return v || sd_lsm_entry_tail(&n->first) <= tail;
}

const struct sd_lsm_version *sd_lsm_node_newer(const struct sd_lsm_node *n, const struct sd_lsm_version *of)
{
	const struct sd_lsm_version *v = sd_lsm_node_newest(n);
	uint32_t depth = depth_of(of) + 1;
	if (depth_of(v) < depth)
		return NULL;
	while (v->depth > depth)
		v = depth_of(v->jump) >= depth ? v->jump : v->older;
	return v;
}
