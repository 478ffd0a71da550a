/* cache_hash.h - a value that is a hash: fields and values in turn in a listpack as long as they are few and short, otherwise a
 * table with one piece of memory for each field and its value. */
#ifndef CACHE_HASH_H
#define CACHE_HASH_H

#include "../engine/cache.h"
#include "core/listpack.h"

/* One of a key (cache_hash_of), or one that no key has yet. What changes it may give it another encoding and place, which whoever
 * has a key for it keeps (cache_hash_keep). */
struct cache_hash {
	struct cache *cache;
	unsigned encoding; /* CACHE_LISTPACK or CACHE_HASHTABLE */
	void *p;
};

/* A field of a table; its value's bytes are behind it. */
struct cache_field {
	struct sd_dict_entry e;
	uint32_t n; /* bytes of the value */
	char text[];
};
/* What CACHE_HASHTABLE's value is. */
struct cache_fields {
	struct cache_many many;
	struct sd_dict d;
	size_t counted; /* bytes of the table in cache->memory */
};

struct cache_pair {
	struct sd_slice field, value;
	char text[2][SD_LISTPACK_TEXT]; /* digits of those that are numbers */
};

/* Empty. False: out of memory. */
bool cache_hash_new(struct cache *c, struct cache_hash *h);
void cache_hash_free(struct cache_hash *h);
static inline struct cache_hash cache_hash_of(struct cache *c, const struct cache_item *it)
{
	return (struct cache_hash){c, it->encoding, cache_value(it)};
}
static inline void cache_hash_keep(struct cache_item *it, const struct cache_hash *h)
{
	cache_set_value(it, h->encoding, h->p);
}

size_t cache_hash_count(const struct cache_hash *h);
/* text: for the digits of a value that is a number. */
bool cache_hash_get(const struct cache_hash *h, struct sd_slice field, char text[SD_LISTPACK_TEXT], struct sd_slice *value);
/* 1: it was added, 0: it was there, -1: out of memory, and nothing changed. */
int cache_hash_set(struct cache_hash *h, struct sd_slice field, struct sd_slice value);
bool cache_hash_remove(struct cache_hash *h, struct sd_slice field);
/* Makes it a table when one of these fields or values is too long for a listpack. False: out of memory. */
bool cache_hash_expect(struct cache_hash *h, const struct sd_slice *s, size_t n);
/* One of those in it, which is not empty. */
void cache_hash_random(const struct cache_hash *h, struct cache_pair *pair);

/* All, in any order; nothing is added or removed until the end. */
struct cache_hash_iter {
	const struct cache_hash *hash;
	struct sd_dict_iter d;
	size_t at;
};
void cache_hash_iter_begin(const struct cache_hash *h, struct cache_hash_iter *it);
/* False: that was all. The pair is good until the next call. */
bool cache_hash_iter_next(struct cache_hash_iter *it, struct cache_pair *pair);
void cache_hash_iter_end(struct cache_hash_iter *it);

#endif
