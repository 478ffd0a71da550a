/* cache_quicklist.h - a list of any length: a chain of listpacks, so that a value costs little more than its bytes and both ends
 * are near.
 *
 *	head <-> node <-> ... <-> tail          a node's memory:  links | free | listpack | free
 *
 * A node has room on both sides of its listpack: neither end of a list moves what is inside when something is pushed or popped.
 * It holds up to max_bytes or max_count, or one value that is longer. No node is empty.
 */
#ifndef CACHE_QUICKLIST_H
#define CACHE_QUICKLIST_H

#include "../engine/cache.h"
#include "core/listpack.h"

struct quicklist_node {
	struct quicklist_node *prev, *next;
	uint32_t start, room; /* the listpack begins at buf + start; bytes of buf */
	unsigned char buf[];
};

struct quicklist {
	struct cache_many many;
	struct quicklist_node *head, *tail;
	size_t count;
	uint32_t max_bytes, max_count; /* of a node */
};

/* A value in it. */
struct quicklist_at {
	struct quicklist_node *node; /* NULL: there is none */
	size_t at;
};

static inline unsigned char *quicklist_pack(const struct quicklist_node *n)
{
	return (unsigned char *)n->buf + n->start;
}

/* fill: list-max-listpack-size. NULL: out of memory, as with all that follow; nothing changed then. */
struct quicklist *quicklist_new(struct cache_memory *m, int64_t fill);
void quicklist_free(struct cache_memory *m, struct quicklist *q);
/* Some nodes, each counted down from *most. True: that was all of it. */
bool quicklist_free_some(struct cache_memory *m, struct quicklist *q, size_t *most);
struct quicklist *quicklist_copy(struct cache_memory *m, const struct quicklist *q);

bool quicklist_push(struct cache_memory *m, struct quicklist *q, struct sd_slice value, bool front);
/* Appends a node with a copy of this listpack, which is valid and not empty. */
bool quicklist_add_pack(struct cache_memory *m, struct quicklist *q, const unsigned char *lp);

/* ---- looking ---- */

/* Tells the processor that both ends will be looked at: step 0 the nodes, when these are there step 1 what is in them. */
void quicklist_fetch(const struct quicklist *q, unsigned step);

/* index 0: the first, -1: the last. */
struct quicklist_at quicklist_seek(const struct quicklist *q, int64_t index);
struct quicklist_at quicklist_next(struct quicklist_at at);
struct quicklist_at quicklist_prev(struct quicklist_at at);
static inline struct sd_slice quicklist_text(struct quicklist_at at, char text[SD_LISTPACK_TEXT])
{
	return sd_listpack_text(quicklist_pack(at.node), at.at, text);
}
static inline bool quicklist_equals(struct quicklist_at at, struct sd_slice value)
{
	return sd_listpack_equals(quicklist_pack(at.node), at.at, value);
}

/* ---- changing; places are no good afterwards ---- */

bool quicklist_insert(struct cache_memory *m, struct quicklist *q, struct quicklist_at at, struct sd_slice value, bool after);
/* index as in quicklist_seek; it is there. */
bool quicklist_replace(struct cache_memory *m, struct quicklist *q, int64_t index, struct sd_slice value);
/* Takes out the first or the last. */
void quicklist_pop(struct cache_memory *m, struct quicklist *q, bool front);
/* Takes out one; returns the place of the one that comes next, back: of the one in front of it. */
struct quicklist_at quicklist_remove(struct cache_memory *m, struct quicklist *q, struct quicklist_at at, bool back);
/* Takes out n from index (0: the first) on, which are there. */
void quicklist_delete(struct cache_memory *m, struct quicklist *q, size_t index, size_t n);

#endif
