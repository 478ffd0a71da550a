/* lsm_cache.c - shards of hash tables with open addressing; the queues of S3-FIFO say who goes next.
 *
 * Looking costs two misses of the processor's cache, the slot and the block's head: the hash in the slot keeps it from looking at others.
 */
#include "lsm_cache.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "core/mix.h"
#include "core/s3fifo.h"
#include "world/lock.h"

#define SHARDS	    16 /* a power of two */
#define SHARD_MIN   (512u << 10) /* bytes: of fewer blocks the queues of S3-FIFO make no good choice */
#define SLOTS_MIN   64
#define KEY_LINES   10 /* of a block of 4 KiB with values of 100 bytes */
#define USUAL_BLOCK 4096
#define EVICT_MAX   64 /* thrown out in one go */

struct slot {
	struct sd_lsm_cached *b; /* NULL: free */
	uint32_t hash;
};

struct shard {
	struct sd_lock *lock;
	struct slot *slots;
	size_t nslots, n; /* the first is a power of two, and at least twice the other */
	uint64_t bytes, limit;
	struct sd_s3fifo queue;
	uint64_t hits, misses, evicted;
} __attribute__((aligned(64)));

struct sd_lsm_cache {
	struct shard shards[SHARDS];
	unsigned n; /* of them in use, a power of two */
};

static void free_shard(struct shard *s)
{
	for (size_t i = 0; i < s->nslots; i++)
		if (s->slots[i].b)
			sd_lsm_cached_release(s->slots[i].b);
	free(s->slots);
	sd_s3fifo_free(&s->queue);
	sd_lock_free(s->lock);
}

void sd_lsm_cache_free(struct sd_lsm_cache *c)
{
	for (int i = 0; c && i < SHARDS; i++)
		free_shard(&c->shards[i]);
	free(c);
}

struct sd_lsm_cache *sd_lsm_cache_new(uint64_t bytes)
{
	struct sd_lsm_cache *c = aligned_alloc(64, sizeof(*c));
	if (!c)
		return NULL;
	memset(c, 0, sizeof(*c));
	bool good = true;
	c->n = SHARDS;
	while (c->n > 1 && bytes / c->n < SHARD_MIN)
		c->n /= 2;
	for (unsigned i = 0; i < SHARDS; i++) {
		struct shard *s = &c->shards[i];
		sd_s3fifo_init(&s->queue);
		s->limit = i < c->n ? bytes / c->n : 0;
		s->lock = sd_lock_new();
		s->slots = calloc(SLOTS_MIN, sizeof(*s->slots));
		s->nslots = s->slots ? SLOTS_MIN : 0;
		good = good && s->lock && s->slots;
	}
	if (good)
		return c;
	sd_lsm_cache_free(c);
	return NULL;
}

void sd_lsm_cached_release(struct sd_lsm_cached *b)
{
	if (atomic_fetch_sub_explicit(&b->refs, 1, memory_order_acq_rel) == 1)
		free(b);
}

/* ---- looking ---- */

static uint64_t place_of(uint64_t file, uint64_t at)
{
	return sd_mix(file * 0x9e3779b97f4a7c15u + at);
}

static struct shard *shard_of(struct sd_lsm_cache *c, uint64_t place)
{
	return &c->shards[place >> 60 & (c->n - 1)];
}

/* Its slot, or the free one where it would be. */
static inline struct slot *find(struct shard *s, uint32_t hash, uint64_t file, uint64_t at)
{
	size_t mask = s->nslots - 1, i = hash & mask;
	while (s->slots[i].b && (s->slots[i].hash != hash || s->slots[i].b->at != at || s->slots[i].b->file != file))
		i = (i + 1) & mask;
	return &s->slots[i];
}

/* What is read next, while the head is on its way: the keys are at the beginning, where values are apart from them. */
static inline void fetch_keys(const struct sd_lsm_cached *b)
{
	for (int i = 1; i <= KEY_LINES; i++)
		__builtin_prefetch((const char *)b + (size_t)i * 64);
}

static inline struct sd_lsm_cached *look(struct shard *s, uint32_t hash, uint64_t file, uint64_t at)
{
	size_t mask = s->nslots - 1;
	for (size_t i = hash & mask; s->slots[i].b; i = (i + 1) & mask) {
		struct sd_lsm_cached *b = s->slots[i].b;
		if (s->slots[i].hash != hash)
			continue;
		fetch_keys(b);
		if (b->at == at && b->file == file)
			return b;
	}
	return NULL;
}

struct sd_lsm_cached *sd_lsm_cache_get(struct sd_lsm_cache *c, uint64_t file, uint64_t at, bool touch)
{
	uint64_t place = place_of(file, at);
	struct shard *s = shard_of(c, place);
	sd_lock_enter(s->lock);
	struct sd_lsm_cached *b = look(s, (uint32_t)place, file, at);
	if (b) {
		atomic_fetch_add_explicit(&b->refs, 1, memory_order_relaxed);
		if (touch)
			b->freq = (uint8_t)sd_s3fifo_read(b->freq);
	}
	s->hits += touch && b;
	s->misses += touch && !b;
	sd_lock_leave(s->lock);
	return b;
}

/* ---- keeping ---- */

/* False: no memory, and no place for another. */
static bool grow(struct shard *s)
{
	size_t n = 2 * s->nslots;
	struct slot *more = calloc(n, sizeof(*more));
	if (!more)
		return false;
	for (size_t i = 0; i < s->nslots; i++) {
		if (!s->slots[i].b)
			continue;
		size_t to = s->slots[i].hash & (n - 1);
		while (more[to].b)
			to = (to + 1) & (n - 1);
		more[to] = s->slots[i];
	}
	free(s->slots);
	s->slots = more;
	s->nslots = n;
	return true;
}

/* Frees a slot, and moves up those behind it that would not be found over it. */
static void clear_slot(struct shard *s, size_t i)
{
	size_t mask = s->nslots - 1;
	for (size_t k = (i + 1) & mask; s->slots[k].b; k = (k + 1) & mask) {
		size_t home = s->slots[k].hash & mask;
		if (((k - home) & mask) < ((k - i) & mask))
			continue;
		s->slots[i] = s->slots[k];
		i = k;
	}
	s->slots[i] = (struct slot){0};
}

/* The block that an entry of the queue means: one with its hash that is where it was. nslots: none. */
static size_t find_queued(const struct shard *s, const struct sd_s3fifo_entry *e)
{
	size_t mask = s->nslots - 1;
	for (size_t i = e->hash & mask; s->slots[i].b; i = (i + 1) & mask)
		if (s->slots[i].hash == e->hash && s->slots[i].b->main == e->main)
			return i;
	return s->nslots;
}

/* Takes out what goes until the shard is within its limit, at most EVICT_MAX blocks; the caller releases them without the lock. */
static size_t evict(struct shard *s, struct sd_lsm_cached *out[EVICT_MAX])
{
	struct sd_s3fifo_entry e;
	size_t n = 0;
	while (s->bytes > s->limit && n < EVICT_MAX && sd_s3fifo_next(&s->queue, &e)) {
		size_t i = find_queued(s, &e);
		if (i == s->nslots)
			continue;
		struct sd_lsm_cached *b = s->slots[i].b;
		unsigned freq = b->freq;
		bool stays = sd_s3fifo_keep(&s->queue, &e, &freq, b->bytes);
		b->freq = (uint8_t)freq;
		b->main = true;
		if (stays)
			continue;
		clear_slot(s, i);
		out[n++] = b;
		s->n--;
		s->bytes -= b->bytes;
		s->evicted++;
	}
	return n;
}

static void release_all(struct sd_lsm_cached *const *list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		sd_lsm_cached_release(list[i]);
}

/* With the lock; false: it is not kept. */
static bool insert(struct shard *s, struct slot *to, struct sd_lsm_cached *b)
{
	if (b->bytes > s->limit)
		return false;
	if (2 * (s->n + 1) > s->nslots) {
		if (!grow(s))
			return false;
		to = find(s, b->hash, b->file, b->at);
	}
	atomic_store_explicit(&b->refs, 2, memory_order_relaxed);
	*to = (struct slot){b, b->hash};
	b->main = sd_s3fifo_insert(&s->queue, b->hash, b->bytes);
	s->bytes += b->bytes;
	s->n++;
	return true;
}

struct sd_lsm_cached *sd_lsm_cache_put(struct sd_lsm_cache *c, uint64_t file, uint64_t at, struct sd_lsm_cached *b, size_t bytes, bool keep)
{
	uint64_t place = place_of(file, at);
	struct shard *s = shard_of(c, place);
	struct sd_lsm_cached *out[EVICT_MAX];
	size_t n = 0;
	b->file = file;
	b->at = at;
	b->bytes = (uint32_t)bytes;
	b->hash = (uint32_t)place;
	b->freq = 0;
	atomic_init(&b->refs, 1);
	if (!keep)
		return b;
	sd_lock_enter(s->lock);
	struct slot *slot = find(s, b->hash, file, at);
	struct sd_lsm_cached *was = slot->b;
	if (was)
		atomic_fetch_add_explicit(&was->refs, 1, memory_order_relaxed);
	else if (insert(s, slot, b))
		n = evict(s, out);
	sd_lock_leave(s->lock);
	release_all(out, n);
	if (was)
		sd_lsm_cached_release(b);
	return was ? was : b;
}

/* The ghost knows what was thrown out, and what could have been. What it says yes to it knows again, so that it goes into main at once. */
bool sd_lsm_cache_passed(struct sd_lsm_cache *c, uint64_t file, uint64_t at)
{
	uint64_t place = place_of(file, at);
	struct shard *s = shard_of(c, place);
	sd_lock_enter(s->lock);
	bool known = sd_ghost_take(&s->queue.ghost, (uint32_t)place);
	sd_ghost_insert(&s->queue.ghost, (uint32_t)place, (size_t)(s->limit / USUAL_BLOCK));
	sd_lock_leave(s->lock);
	return known;
}

void sd_lsm_cache_resize(struct sd_lsm_cache *c, uint64_t bytes)
{
	struct sd_lsm_cached *out[EVICT_MAX];
	for (unsigned i = 0; i < c->n; i++) {
		struct shard *s = &c->shards[i];
		size_t n;
		do {
			sd_lock_enter(s->lock);
			s->limit = bytes / c->n;
			n = evict(s, out);
			sd_lock_leave(s->lock);
			release_all(out, n);
		} while (n == EVICT_MAX);
	}
}

void sd_lsm_cache_stats(struct sd_lsm_cache *c, struct sd_lsm_cache_stats *out)
{
	*out = (struct sd_lsm_cache_stats){0};
	for (int i = 0; i < SHARDS; i++) {
		struct shard *s = &c->shards[i];
		sd_lock_enter(s->lock);
		out->hits += s->hits;
		out->misses += s->misses;
		out->evicted += s->evicted;
		out->bytes += s->bytes;
		out->limit += s->limit;
		out->blocks += s->n;
		sd_lock_leave(s->lock);
	}
}
