/* lsm_mem_node.h - what a memtable is made of: memory, a node for each user key, and the versions of a key. For lsm_mem*.c.
 *
 *	newest version, the node that came before, first version: key, sequence number and kind, value
 *
 * What is written to a key again is a version behind its node, and nothing has to be looked for. Versions never change. Each knows the one before it and one further back, so that the one of some time is found in
 * few steps however many there are (skew-binary jumps: Myers, An applicative random-access stack, 1983).
 */
#ifndef SD_CORE_LSM_MEM_NODE_H
#define SD_CORE_LSM_MEM_NODE_H

#include <stdatomic.h>
#include <stddef.h>

#include "lsm.h"

/* ---- memory; one thread takes ---- */

struct sd_lsm_block;
struct sd_lsm_arena {
	_Atomic size_t bytes; /* of all blocks */
	struct sd_lsm_block *blocks;
	char *at, *end;
	size_t block_bytes;
};
/* Aligned for a node. NULL: out of memory. */
void *sd_lsm_arena_take(struct sd_lsm_arena *a, size_t n);
void sd_lsm_arena_end(struct sd_lsm_arena *a);

/* ---- nodes ---- */

struct sd_lsm_entry {
	uint32_t value_n;
	uint32_t key_n; /* of the user's key */
	char bytes[];	/* the internal key, then the value */
};

/* Not the first of a key; NULL, where one could be, is the first. */
struct sd_lsm_version {
	struct sd_lsm_version *older, *jump;
	uint32_t depth; /* so many are older */
	struct sd_lsm_entry e;
};

struct sd_lsm_node {
	_Atomic(struct sd_lsm_version *) newest;
	struct sd_lsm_node *waits; /* see lsm_mem.c */
	struct sd_lsm_entry first;
};

static inline struct sd_slice sd_lsm_entry_user(const struct sd_lsm_entry *e)
{
	return (struct sd_slice){e->bytes, e->key_n};
}
static inline uint64_t sd_lsm_entry_tail(const struct sd_lsm_entry *e)
{
	return sd_get_le(e->bytes + e->key_n, SD_LSM_TAIL);
}
static inline struct sd_slice sd_lsm_entry_value(const struct sd_lsm_entry *e)
{
	return (struct sd_slice){e->bytes + e->key_n + SD_LSM_TAIL, e->value_n};
}
static inline struct sd_slice sd_lsm_node_user(const struct sd_lsm_node *n)
{
	return sd_lsm_entry_user(&n->first);
}
static inline struct sd_lsm_version *sd_lsm_node_newest(const struct sd_lsm_node *n)
{
	return atomic_load_explicit(&n->newest, memory_order_acquire);
}

/* With one version. NULL: out of memory, or too large. */
struct sd_lsm_node *sd_lsm_node_new(struct sd_lsm_arena *a, struct sd_slice user, uint64_t tail, struct sd_slice value);
/* A version that is newer than all; one thread adds. False: out of memory, or too large. */
bool sd_lsm_node_put(struct sd_lsm_arena *a, struct sd_lsm_node *n, uint64_t tail, struct sd_slice value);
/* The newest version whose tail is not greater: *v, NULL is the first. False: there is none. */
bool sd_lsm_node_find(const struct sd_lsm_node *n, uint64_t tail, const struct sd_lsm_version **v);
/* The one right behind a version (NULL: the first) in time. NULL: there is none. */
const struct sd_lsm_version *sd_lsm_node_newer(const struct sd_lsm_node *n, const struct sd_lsm_version *v);

#endif
