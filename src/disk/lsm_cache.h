/* lsm_cache.h - blocks of tables in memory, for all threads: bounded in bytes, and so that a long scan does not empty it (S3-FIFO,
 * core/s3fifo.h).
 *
 * It is made of shards with a lock each, held for a look into a hash table. A block is counted by those who use it: it may be thrown
 * out while somebody reads it, and goes when nobody does any more.
 */
#ifndef SD_DISK_LSM_CACHE_H
#define SD_DISK_LSM_CACHE_H

#include "core/lsm_block.h"

/* A block and what the cache keeps with it, in one piece of memory: the block's bytes follow this head, which is as long as a line of
 * the processor's cache. */
struct sd_lsm_cached {
	struct sd_lsm_block block;
	/* the cache's own */
	uint64_t file, at;
	uint32_t bytes; /* of the whole piece */
	uint32_t hash;
	_Atomic uint32_t refs; /* one of these is the cache's as long as it is in */
	uint8_t freq;
	bool main;
};

struct sd_lsm_cache;

/* bytes 0: nothing is kept. NULL: out of memory. */
struct sd_lsm_cache *sd_lsm_cache_new(uint64_t bytes);
void sd_lsm_cache_free(struct sd_lsm_cache *c); /* nobody uses a block of it; NULL is fine */
void sd_lsm_cache_resize(struct sd_lsm_cache *c, uint64_t bytes);

/* The block at this offset of this file, which is the caller's until sd_lsm_cached_release; NULL: it is not there.
 * touch: it counts as read, so that it stays longer; those who read everything once do not touch. */
struct sd_lsm_cached *sd_lsm_cache_get(struct sd_lsm_cache *c, uint64_t file, uint64_t at, bool touch);
/* b is a head with its block, made with malloc; it becomes the cache's, and the caller uses what comes back: b, or what another thread
 * put there first. keep false: it is not kept, and goes when it is released. */
struct sd_lsm_cached *sd_lsm_cache_put(struct sd_lsm_cache *c, uint64_t file, uint64_t at, struct sd_lsm_cached *b, size_t bytes, bool keep);
/* A scan that goes on and on passes by a block that is not there: is it to be kept? Only when one did so lately: what is read once goes by. */
bool sd_lsm_cache_passed(struct sd_lsm_cache *c, uint64_t file, uint64_t at);
void sd_lsm_cached_release(struct sd_lsm_cached *b);

struct sd_lsm_cache_stats {
	uint64_t hits, misses, evicted; /* of those that touch */
	uint64_t bytes, limit, blocks;	/* with their heads */
};
void sd_lsm_cache_stats(struct sd_lsm_cache *c, struct sd_lsm_cache_stats *out);

#endif
