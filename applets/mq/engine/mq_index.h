/* mq_index.h - things by a number that grows: delivery tags, ids. A radix tree of 64 ways, so that finding, adding and taking cost
 * a few steps whatever their number, and going through them in order costs nothing more.
 *
 * Nodes that became empty wait in a pool that many indexes share: one that is empty most of the time allocates nothing. */
#ifndef MQ_INDEX_H
#define MQ_INDEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mq_index_node;
struct mq_index_pool {
	struct mq_index_node *free;
	unsigned n;
};
struct mq_index {
	struct mq_index_node *root;
	unsigned levels;
	size_t n;
	struct mq_index_pool *pool;
};

void mq_index_init(struct mq_index *ix, struct mq_index_pool *pool);
/* The key is not there yet; value is not NULL. False: out of memory, and nothing changed. */
bool mq_index_put(struct mq_index *ix, uint64_t key, void *value);
void *mq_index_get(const struct mq_index *ix, uint64_t key);
/* Another value for a key that is there. */
void mq_index_set(struct mq_index *ix, uint64_t key, void *value);
/* Takes it out; NULL: it was not there. */
void *mq_index_take(struct mq_index *ix, uint64_t key);
/* The first at *key or behind it, and its key. NULL: there is none. */
void *mq_index_from(const struct mq_index *ix, uint64_t *key);
/* The values are the caller's. */
void mq_index_free(struct mq_index *ix);
void mq_index_pool_free(struct mq_index_pool *p);

#endif
