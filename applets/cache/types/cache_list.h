/* cache_list.h - values that are lists: what the files about them share. The value of CACHE_QUICKLIST is a struct quicklist. */
#ifndef CACHE_LIST_H
#define CACHE_LIST_H

#include "../engine/cache.h"
#include "cache_quicklist.h"

static inline struct quicklist *cache_list(const struct cache_item *it)
{
	return cache_value(it);
}

/* "left" or "right"; false: it is neither, which is the reply. */
bool cache_arg_end(struct cache_call *c, size_t i, bool *front);
/* A number from least on; false: it is none, and why is the reply. */
bool cache_arg_least(struct cache_call *c, size_t i, int64_t least, const char *why, int64_t *out);
/* Puts a value into the list of a key, which is *it, or made when that is NULL. False: out of memory; a key that was made for it is
 * gone again. value may not be inside a list. */
bool cache_list_push(struct cache_call *c, struct sd_slice key, struct cache_item **it, struct sd_slice value, bool front);
/* After values went: the key goes with its last one. */
void cache_list_shrunk(struct cache_call *c, struct sd_slice key, struct cache_item *it);

#endif
