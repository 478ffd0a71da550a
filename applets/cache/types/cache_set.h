/* cache_set.h - a value that is a set: whole numbers in an intset as long as they are few, otherwise a table of members. */
#ifndef CACHE_SET_H
#define CACHE_SET_H

#include "../engine/cache.h"

/* One of a key (cache_set_of), or one that no key has yet. What changes it may give it another encoding and place, which whoever
 * has a key for it keeps (cache_set_keep). */
struct cache_set {
	struct cache *cache;
	unsigned encoding; /* CACHE_INTSET or CACHE_HASHTABLE */
	void *p;
};

/* What CACHE_HASHTABLE's value is. */
struct cache_table {
	struct cache_many many;
	struct sd_dict d;
	size_t counted; /* bytes of the table in cache->memory */
};
struct cache_member {
	struct sd_dict_entry e;
	char text[];
};

/* Empty. False: out of memory. */
bool cache_set_new(struct cache *c, bool numbers, struct cache_set *s);
void cache_set_free(struct cache_set *s);
struct cache_set cache_set_of(struct cache *c, const struct cache_item *it);
static inline void cache_set_keep(struct cache_item *it, const struct cache_set *s)
{
	cache_set_value(it, s->encoding, s->p);
}
/* Gives the set to the key, whatever it held; an empty one leaves no key. False: out of memory, and it is freed. */
bool cache_set_store(struct cache_db *db, struct sd_slice key, struct cache_set *s);

size_t cache_set_count(const struct cache_set *s);
bool cache_set_has(const struct cache_set *s, struct sd_slice member);
/* 1: it was added, 0: it was there, -1: out of memory. */
int cache_set_add(struct cache_set *s, struct sd_slice member);
bool cache_set_remove(struct cache_set *s, struct sd_slice member);
/* One of those in it, which is not empty; a number's digits are written into text. */
struct sd_slice cache_set_random(const struct cache_set *s, char text[24]);

/* How many are asked for by chance; negative: they may come twice. False: it is no such number, and the reply says so. */
bool cache_arg_random_count(struct cache_call *c, size_t i, int64_t *n);

/* The members, in any order; nothing is added or removed until the end. */
struct cache_set_iter {
	const struct cache_set *set;
	struct sd_dict_iter d;
	uint32_t i;
	char text[24];
};
void cache_set_iter_begin(const struct cache_set *s, struct cache_set_iter *it);
/* False: that was all. The member is good until the next call. */
bool cache_set_iter_next(struct cache_set_iter *it, struct sd_slice *member);
void cache_set_iter_end(struct cache_set_iter *it);

#endif
