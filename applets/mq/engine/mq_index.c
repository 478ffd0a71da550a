#include "mq_index.h"

#include <stdlib.h>

#define BITS	  6
#define WAYS	  (1u << BITS)
#define POOL_MAX  64
#define MAX_LEVEL 11 /* of 6 bits: more than 64 */

struct mq_index_node {
	uint64_t there; /* a bit for each slot that is not NULL */
	void *slot[WAYS];
};

void mq_index_init(struct mq_index *ix, struct mq_index_pool *pool)
{
	*ix = (struct mq_index){.pool = pool};
}

/* Nodes in the pool are all zero but for the first slot, which links them. */
static struct mq_index_node *new_node(struct mq_index_pool *p)
{
	struct mq_index_node *n = p->free;
	if (!n)
		return calloc(1, sizeof(*n));
	p->free = n->slot[0];
	p->n--;
	n->slot[0] = NULL;
	return n;
}

static void free_node(struct mq_index_pool *p, struct mq_index_node *n)
{
	if (p->n == POOL_MAX) {
		free(n);
		return;
	}
	n->slot[0] = p->free;
	p->free = n;
	p->n++;
}

void mq_index_pool_free(struct mq_index_pool *p)
{
	while (p->free) {
		struct mq_index_node *n = p->free;
		p->free = n->slot[0];
		free(n);
	}
	p->n = 0;
}

static unsigned way(uint64_t key, unsigned level)
{
	return (unsigned)(key >> (level * BITS)) % WAYS;
}

static bool reaches(const struct mq_index *ix, uint64_t key)
{
	return ix->levels >= MAX_LEVEL || !(key >> (ix->levels * BITS));
}

/* Levels above the root, until the key fits below. */
static bool raise_root(struct mq_index *ix, uint64_t key)
{
	while (!reaches(ix, key)) {
		if (ix->root) {
			struct mq_index_node *n = new_node(ix->pool);
			if (!n)
				return false;
			n->slot[0] = ix->root;
			n->there = 1;
			ix->root = n;
		}
		ix->levels++;
	}
	if (!ix->levels)
		ix->levels = 1;
	return true;
}

static bool put(struct mq_index_pool *pool, struct mq_index_node **n, unsigned level, uint64_t key, void *value)
{
	bool made = !*n;
	if (made && !(*n = new_node(pool)))
		return false;
	unsigned i = way(key, level);
	if (!level) {
		(*n)->slot[i] = value;
	} else {
		struct mq_index_node *child = (*n)->slot[i];
		if (!put(pool, &child, level - 1, key, value)) {
			if (made) {
				free_node(pool, *n);
				*n = NULL;
			}
			return false;
		}
		(*n)->slot[i] = child;
	}
	(*n)->there |= 1ull << i;
	return true;
}

bool mq_index_put(struct mq_index *ix, uint64_t key, void *value)
{
	if (!raise_root(ix, key) || !put(ix->pool, &ix->root, ix->levels - 1, key, value))
		return false;
	ix->n++;
	return true;
}

static struct mq_index_node *leaf_of(const struct mq_index *ix, uint64_t key)
{
	struct mq_index_node *n = ix->root;
	if (!n || !reaches(ix, key))
		return NULL;
	for (unsigned level = ix->levels - 1; n && level; level--)
		n = n->slot[way(key, level)];
	return n;
}

void *mq_index_get(const struct mq_index *ix, uint64_t key)
{
	const struct mq_index_node *n = leaf_of(ix, key);
	return n ? n->slot[way(key, 0)] : NULL;
}

void mq_index_set(struct mq_index *ix, uint64_t key, void *value)
{
	struct mq_index_node *n = leaf_of(ix, key);
	if (n)
		n->slot[way(key, 0)] = value;
}

static void *take(struct mq_index_pool *pool, struct mq_index_node **n, unsigned level, uint64_t key)
{
	unsigned i = way(key, level);
	if (!*n)
		return NULL;
	void *found = (*n)->slot[i], *left = NULL;
	if (level) {
		struct mq_index_node *child = found;
		found = take(pool, &child, level - 1, key);
		left = child;
	}
	(*n)->slot[i] = left;
	if (!left)
		(*n)->there &= ~(1ull << i);
	if (!(*n)->there) {
		free_node(pool, *n);
		*n = NULL;
	}
	return found;
}

void *mq_index_take(struct mq_index *ix, uint64_t key)
{
	if (!ix->root || !reaches(ix, key))
		return NULL;
	void *found = take(ix->pool, &ix->root, ix->levels - 1, key);
	if (found)
		ix->n--;
	if (!ix->root)
		ix->levels = 0;
	return found;
}

static void *from(const struct mq_index_node *n, unsigned level, uint64_t *key)
{
	unsigned first = way(*key, level);
	for (uint64_t left = n->there & (~0ull << first); left; left &= left - 1) {
		unsigned i = (unsigned)__builtin_ctzll(left);
		if (i != first) /* the first of what is behind it */
			*key = (*key >> (level * BITS) >> BITS << BITS | i) << (level * BITS);
		void *found = level ? from(n->slot[i], level - 1, key) : n->slot[i];
		if (found)
			return found;
	}
	return NULL;
}

void *mq_index_from(const struct mq_index *ix, uint64_t *key)
{
	return ix->root && reaches(ix, *key) ? from(ix->root, ix->levels - 1, key) : NULL;
}

static void free_below(struct mq_index_pool *pool, struct mq_index_node *n, unsigned level)
{
	for (uint64_t left = n->there; left; left &= left - 1) {
		unsigned i = (unsigned)__builtin_ctzll(left);
		if (level)
			free_below(pool, n->slot[i], level - 1);
		n->slot[i] = NULL;
	}
	n->there = 0;
	free_node(pool, n);
}

void mq_index_free(struct mq_index *ix)
{
	if (ix->root)
		free_below(ix->pool, ix->root, ix->levels - 1);
	mq_index_init(ix, ix->pool);
}
