/* cache_ahead.h - several requests of a pipeline understood before the first is run, so that the memory of their keys is on
 * its way to the processor meanwhile. Pure.
 *
 * In a keyspace larger than the processor's cache a look-up costs two or three waits for memory, most of a command's time. All
 * of a batch wait at the same time here: first for the places in the table, then for the items, then for their values. What a
 * request means is not decided ahead: one that cannot be read yet, or not at all, ends the batch, and is read again when its turn
 * has come.
 */
#ifndef CACHE_AHEAD_H
#define CACHE_AHEAD_H

#include "../engine/cache.h"

#define CACHE_AHEAD 16

struct cache_ahead {
	struct sd_resp_reader readers[CACHE_AHEAD];
	size_t lengths[CACHE_AHEAD];
	size_t n, next;
};

/* Reads up to CACHE_AHEAD whole requests of p[0..n): how many. Touches nothing of the engine. */
size_t cache_ahead_fill(struct cache_ahead *a, const char *p, size_t n, const struct sd_resp_limits *limits);
void cache_ahead_fetch_all(const struct cache_ahead *a, const struct cache_session *s);
/* Before one of them is run: with the first the memory of all is fetched. */
static inline void cache_ahead_fetch(const struct cache_ahead *a, const struct cache_session *s)
{
	if (a->n > 1 && a->next == 1)
		cache_ahead_fetch_all(a, s);
}
/* The next of them, and its length; NULL: there is none. Its arguments are good until the next call. */
struct sd_resp_reader *cache_ahead_next(struct cache_ahead *a, size_t *length);
/* Drops what was not taken: it will be read again. */
void cache_ahead_drop(struct cache_ahead *a);
void cache_ahead_free(struct cache_ahead *a);

#endif
