/* cache_zset.h - a value that is a sorted set: short ones in a listpack, member and score in turns, in order; longer ones as nodes of a
 * skip list that are entries of a table as well.
 *
 * Whatever is asked for comes down to ranks: a range of scores or of bytes is the ranks from cache_zset_below to cache_zset_up_to. */
#ifndef CACHE_ZSET_H
#define CACHE_ZSET_H

#include "../engine/cache.h"
#include "core/listpack.h"
#include "core/skiplist.h"

/* One of a key (cache_zset_of), or one that no key has yet. What changes it may give it another encoding and place, which whoever
 * has a key for it keeps (cache_zset_keep). */
struct cache_zset {
	struct cache *cache;
	unsigned encoding; /* CACHE_LISTPACK or CACHE_SKIPLIST */
	void *p;
};

/* What CACHE_SKIPLIST's value is. */
struct cache_sorted {
	struct cache_many many;
	struct sd_dict d;
	size_t counted; /* bytes of the table in cache->memory */
	struct sd_skiplist list;
};

/* Empty. False: out of memory. */
bool cache_zset_new(struct cache *c, struct cache_zset *z);
/* One that will not be a listpack before the next function makes it one. */
bool cache_zset_new_long(struct cache *c, struct cache_zset *z);
/* Makes it a listpack when it fits into one. False: out of memory, and it stays what it is. */
bool cache_zset_shorten(struct cache_zset *z);
void cache_zset_free(struct cache_zset *z);
struct cache_zset cache_zset_of(struct cache *c, const struct cache_item *it);
static inline void cache_zset_keep(struct cache_item *it, const struct cache_zset *z)
{
	cache_set_value(it, z->encoding, z->p);
}
/* Gives it to the key, whatever that held; an empty one leaves no key. False: out of memory, and it is freed. */
bool cache_zset_store(struct cache_db *db, struct sd_slice key, struct cache_zset *z);
/* After something was taken out of a key's one: keeps it, and an empty one goes with its key. */
void cache_zset_shrunk(struct cache_db *db, struct cache_item *it, const struct cache_zset *z);

uint32_t cache_zset_count(const struct cache_zset *z);

/* Where a member is, until something changes. */
struct cache_zset_place {
	double score;
	struct sd_skip_node *node;
	size_t at;
	uint32_t hash;
};
bool cache_zset_find(const struct cache_zset *z, struct sd_slice member, struct cache_zset_place *p);
/* The member is not in it: p is from the search that found nothing. False: out of memory. */
bool cache_zset_add(struct cache_zset *z, struct sd_slice member, double score, const struct cache_zset_place *p);
/* False: out of memory, and nothing changed. */
bool cache_zset_set_score(struct cache_zset *z, struct sd_slice member, double score, const struct cache_zset_place *p);
void cache_zset_remove(struct cache_zset *z, const struct cache_zset_place *p);
/* Ranks from..from + n - 1, which are all there. */
void cache_zset_remove_ranks(struct cache_zset *z, uint32_t from, uint32_t n);

uint32_t cache_zset_rank(const struct cache_zset *z, const struct cache_zset_place *p);
uint32_t cache_zset_below(const struct cache_zset *z, const struct sd_skip_bound *min);
uint32_t cache_zset_up_to(const struct cache_zset *z, const struct sd_skip_bound *max);

/* A member and its neighbours; nothing is added or removed meanwhile. */
struct cache_zset_iter {
	const struct cache_zset *z;
	const struct sd_skip_node *node;
	size_t at;
	struct sd_slice member;
	char text[SD_LISTPACK_TEXT];
};
/* False: there is none. */
bool cache_zset_seek(const struct cache_zset *z, uint32_t rank, struct cache_zset_iter *it);
bool cache_zset_step(struct cache_zset_iter *it, bool back);
double cache_zset_score(const struct cache_zset_iter *it);

/* Which ranks a command means, the first of them first. */
struct cache_zset_span {
	uint32_t from, n;
	bool back; /* from there downwards */
};
/* argv[i] and argv[i + 1] as the two ends; lex: of bytes, otherwise of scores. False: they are none, and the reply says so. */
bool cache_zset_arg_bounds(struct cache_call *c, size_t min, size_t max, bool lex, struct sd_skip_bound bounds[2]);
/* What redis takes for a score: not NaN. */
bool cache_zset_parse_score(struct sd_slice arg, double *score);
/* Score and member, as RESP2 and RESP3 have them; an array of their own in RESP3 unless flat. */
void cache_zset_reply(struct cache_call *c, const struct cache_zset_iter *it, bool scores, bool flat);

#endif
