/* cache_evict.c - which key goes when memory is full: S3-FIFO, and Redis's ways by chance.
 *
 * Redis's ways look at a few keys by chance (maxmemory-samples), keep the best sixteen of what they saw in a pool, and take the best of
 * these. A pool entry names its key by database and hash, so that a key which went meanwhile is just not found.
 *
 * S3-FIFO has every key in a queue (core/s3fifo.h), by a hash that has the database in it. A key is queued after it
 * was made, when its value is there and its size known: before the next one is, or before one goes.
 */
#include <malloc.h>
#include <string.h>

#include "cache.h"

#define COUNT_FIRST 5  /* of a new key, so that it does not go at once */
#define LOOKS       32
#define PIECES	    16 /* of what waits to be freed, in place of a key */
#define STEPS       8  /* of a table that shrinks, for each key that goes: its memory counts too */
#define TRIES       16 /* for a key that has an end among all keys, before it is sought among the ends */

static const struct policy {
	const char *name;
	enum cache_rank by;
	bool ending_only;
} policies[] = {
    {"noeviction", CACHE_BY_NOTHING, false},	 {"allkeys-s3fifo", CACHE_BY_S3FIFO, false},
    {"volatile-s3fifo", CACHE_BY_S3FIFO, true},	 {"allkeys-lru", CACHE_BY_IDLE, false},
    {"volatile-lru", CACHE_BY_IDLE, true},	 {"allkeys-lfu", CACHE_BY_USE, false},
    {"volatile-lfu", CACHE_BY_USE, true},	 {"allkeys-random", CACHE_BY_CHANCE, false},
    {"volatile-random", CACHE_BY_CHANCE, true}, {"volatile-ttl", CACHE_BY_END, true},
};

/* ---- how often a key is used: Redis's logarithmic count ---- */

static uint32_t minutes(const struct cache *c)
{
	return (uint32_t)(c->now_ms / 60000) & 0xffff;
}

unsigned cache_use_count(const struct cache *c, const struct cache_item *it)
{
	int64_t decay = c->tuning.lfu_decay_time, passed = (minutes(c) - (it->clock >> 8)) & 0xffff;
	int64_t less = decay ? passed / decay : 0, count = it->clock & 0xff;
	return less > count ? 0 : (unsigned)(count - less);
}

void cache_count_use(struct cache *c, struct cache_item *it)
{
	unsigned n = cache_use_count(c, it), above = n > COUNT_FIRST ? n - COUNT_FIRST : 0;
	if (n < 255 && sd_rng_unit(&c->rng) < 1.0 / ((double)above * (double)c->tuning.lfu_log_factor + 1))
		n++;
	it->clock = (minutes(c) << 8 | n) & 0xffffff;
}

/* ---- the queues ---- */

/* The same key in two databases has one hash, and here two. */
static uint32_t print_of(const struct cache_db *db, uint32_t hash)
{
	return hash ^ db->number * 0x9e3779b1u;
}

size_t cache_item_size(const struct cache_item *it)
{
	size_t n = malloc_usable_size((void *)it);
	return it->encoding > CACHE_EMBSTR ? n + malloc_usable_size(cache_value(it)) : n;
}

static bool belongs(const struct cache *c, const struct cache_item *it)
{
	return !c->evict.ending_only || cache_expires_at(it) >= 0;
}

static void queue(struct cache_db *db, struct cache_item *it)
{
	it->freq = 0;
	it->main = sd_s3fifo_insert(&db->cache->evict.queues, print_of(db, it->e.hash), cache_item_size(it));
}

static void queue_fresh(struct cache *c)
{
	struct cache_db *db = c->evict.fresh;
	struct cache_item *it = db ? (struct cache_item *)sd_dict_with_hash(&db->keys, c->evict.fresh_hash, NULL) : NULL;
	c->evict.fresh = NULL;
	if (it && belongs(c, it))
		queue(db, it);
}

static void note_fresh(struct cache_db *db, const struct cache_item *it)
{
	struct cache *c = db->cache;
	if (c->evict.fresh)
		queue_fresh(c);
	c->evict.fresh = db;
	c->evict.fresh_hash = it->e.hash;
}

static bool is_fresh(const struct cache_db *db, const struct cache_item *it)
{
	return db->cache->evict.fresh == db && db->cache->evict.fresh_hash == it->e.hash;
}

static void leave(struct cache_db *db, const struct cache_item *it)
{
	struct cache *c = db->cache;
	if (is_fresh(db, it))
		c->evict.fresh = NULL;
	else if (it != c->evict.victim)
		sd_s3fifo_remove(&c->evict.queues, print_of(db, it->e.hash), it->main);
}

void cache_evict_made(struct cache_db *db, struct cache_item *it)
{
	struct cache *c = db->cache;
	if (c->evict.by == CACHE_BY_USE)
		it->clock = (minutes(c) << 8 | COUNT_FIRST) & 0xffffff;
	else
		it->clock = (uint32_t)(c->now_ms / 1000) & 0xffffff;
	if (c->evict.queued && !c->evict.ending_only)
		note_fresh(db, it);
}

void cache_evict_ends(struct cache_db *db, const struct cache_item *it)
{
	if (db->cache->evict.ending_only)
		note_fresh(db, it);
}

void cache_evict_stays(struct cache_db *db, const struct cache_item *it)
{
	if (db->cache->evict.ending_only)
		leave(db, it);
}

void cache_evict_gone(struct cache_db *db, const struct cache_item *it)
{
	if (belongs(db->cache, it))
		leave(db, it);
}

static void queue_one(void *arg, struct sd_dict_entry *e)
{
	struct cache_db *db = arg;
	if (belongs(db->cache, (struct cache_item *)e))
		queue(db, (struct cache_item *)e);
}

/* Empty ones, where they are needed now. */
static void begin_queues(struct cache *c)
{
	struct cache_evictor *e = &c->evict;
	if (e->queued)
		sd_s3fifo_free(&e->queues);
	e->fresh = NULL;
	e->npool = 0;
	e->rebuilt++;
	e->queued = e->by == CACHE_BY_S3FIFO && c->max_memory;
	if (e->queued)
		sd_s3fifo_init(&e->queues);
}

static void rebuild(struct cache *c)
{
	begin_queues(c);
	for (int i = 0; i < CACHE_DBS && c->evict.queued; i++)
		sd_dict_each(&c->dbs[i].keys, queue_one, &c->dbs[i]);
}

static bool is_only(const struct cache_db *db)
{
	for (int i = 0; i < CACHE_DBS; i++)
		if (&db->cache->dbs[i] != db && sd_dict_count(&db->cache->dbs[i].keys))
			return false;
	return true;
}

/* Where there are other keys, these leave the queues one by one, as they are freed. */
void cache_evict_flushed(struct cache_db *db)
{
	struct cache *c = db->cache;
	if (!c->evict.queued)
		return;
	queue_fresh(c);
	if (is_only(db))
		begin_queues(c);
}

void cache_evict_emptied(const struct cache_db *db, const struct cache_item *it)
{
	if (db->cache->evict.queued && belongs(db->cache, it))
		sd_s3fifo_remove(&db->cache->evict.queues, print_of(db, it->e.hash), it->main);
}

void cache_evict_end(struct cache *c)
{
	if (c->evict.queued)
		sd_s3fifo_free(&c->evict.queues);
	c->evict.queued = false;
}

/* ---- settings ---- */

void cache_set_max_memory(struct cache *c, uint64_t bytes)
{
	bool had = c->max_memory;
	c->max_memory = bytes;
	if (had != (bytes != 0))
		rebuild(c);
	c->evict.more = bytes && cache_used_memory(c) > bytes;
}

bool cache_set_policy(struct cache *c, struct sd_slice name)
{
	const struct policy *p = policies;
	while (p < policies + sizeof(policies) / sizeof(policies[0]) && !cache_is(name, p->name))
		p++;
	if (p == policies + sizeof(policies) / sizeof(policies[0]))
		return false;
	if (c->evict.policy && strcmp(c->evict.policy, p->name) == 0)
		return true;
	c->evict.policy = p->name;
	c->evict.by = p->by;
	c->evict.ending_only = p->ending_only;
	rebuild(c);
	c->evict.more = c->max_memory && cache_used_memory(c) > c->max_memory;
	return true;
}

/* ---- by chance ---- */

static bool has_some(const struct cache *c, const struct cache_db *db)
{
	return c->evict.ending_only ? db->expires != 0 : sd_dict_count(&db->keys) != 0;
}

/* Where few keys have an end, it is sought where ends are; that one may be of another database. */
static struct cache_item *some_key(struct cache *c, struct cache_db **db)
{
	struct cache_item *it;
	for (int i = 0; i < TRIES; i++) {
		it = (struct cache_item *)sd_dict_random(&(*db)->keys, &c->rng);
		if (it && belongs(c, it))
			return it;
	}
	return cache_item_of_expiry(c, sd_wheel_any(&c->wheel, sd_rng_next(&c->rng)), db);
}

static uint64_t rank_of(const struct cache *c, const struct cache_item *it)
{
	return c->evict.by == CACHE_BY_USE ? 255 - cache_use_count(c, it) : cache_idle_s(c, it);
}

/* In order; when the pool is full the lowest falls out. */
static void offer(struct cache_evictor *e, struct cache_candidate x)
{
	size_t at = e->npool;
	while (at && e->pool[at - 1].rank > x.rank)
		at--;
	if (e->npool < CACHE_CANDIDATES) {
		memmove(&e->pool[at + 1], &e->pool[at], (e->npool++ - at) * sizeof(x));
		e->pool[at] = x;
	} else if (at) {
		memmove(&e->pool[0], &e->pool[1], (at - 1) * sizeof(x));
		e->pool[at - 1] = x;
	}
}

/* The wheel knows about where those are that end soonest. */
static void fill_by_end(struct cache *c)
{
	struct sd_wheel_entry *soon[CACHE_CANDIDATES];
	struct cache_db *db;
	size_t n = sd_wheel_soon(&c->wheel, soon, CACHE_CANDIDATES);
	for (size_t i = 0; i < n; i++) {
		const struct cache_item *it = cache_item_of_expiry(c, soon[i], &db);
		offer(&c->evict, (struct cache_candidate){UINT64_MAX - (uint64_t)soon[i]->due_ms, db, it->e.hash});
	}
}

static void fill_by_chance(struct cache *c)
{
	for (int i = 0; i < CACHE_DBS; i++) {
		if (!has_some(c, &c->dbs[i]))
			continue;
		for (int64_t k = 0; k < c->tuning.maxmemory_samples && k < CACHE_CANDIDATES * 4; k++) {
			struct cache_db *db = &c->dbs[i];
			const struct cache_item *it = some_key(c, &db);
			if (it)
				offer(&c->evict, (struct cache_candidate){rank_of(c, it), db, it->e.hash});
		}
	}
}

static struct cache_item *from_pool(struct cache *c, struct cache_db **db)
{
	struct cache_evictor *e = &c->evict;
	if (e->by == CACHE_BY_END)
		fill_by_end(c);
	else
		fill_by_chance(c);
	while (e->npool) {
		const struct cache_candidate *x = &e->pool[--e->npool];
		struct cache_item *it = (struct cache_item *)sd_dict_with_hash(&x->db->keys, x->hash, NULL);
		if (!it || !belongs(c, it))
			continue;
		*db = x->db;
		return it;
	}
	return NULL;
}

/* One database after the other. */
static struct cache_item *by_chance(struct cache *c, struct cache_db **db)
{
	for (int i = 0; i < CACHE_DBS; i++) {
		*db = &c->dbs[c->evict.next_db++ % CACHE_DBS];
		if (has_some(c, *db))
			return some_key(c, db);
	}
	return NULL;
}

/* ---- by the queues ---- */

static struct cache_item *item_of(struct cache *c, const struct sd_s3fifo_entry *x, struct cache_db **db)
{
	for (int i = 0; i < CACHE_DBS; i++) {
		struct sd_dict_entry *e = NULL;
		*db = &c->dbs[i];
		while (sd_dict_count(&(*db)->keys) && (e = sd_dict_with_hash(&(*db)->keys, print_of(*db, x->hash), e))) {
			struct cache_item *it = (struct cache_item *)e;
			if (it->main == x->main && belongs(c, it))
				return it;
		}
	}
	return NULL;
}

static struct cache_item *from_queues(struct cache *c, struct cache_db **db)
{
	struct sd_s3fifo_entry x;
	queue_fresh(c);
	while (sd_s3fifo_next(&c->evict.queues, &x)) {
		struct cache_item *it = item_of(c, &x, db);
		if (!it)
			continue;
		unsigned freq = it->freq;
		bool stays = sd_s3fifo_keep(&c->evict.queues, &x, &freq, cache_item_size(it));
		it->freq = freq & 3;
		if (!stays)
			return it;
		it->main = 1;
	}
	return by_chance(c, db); /* those that there was no memory to queue */
}

/* ---- eviction ---- */

static struct cache_item *(*const ways[])(struct cache *c, struct cache_db **db) = {
    [CACHE_BY_IDLE] = from_pool, [CACHE_BY_USE] = from_pool, [CACHE_BY_CHANCE] = by_chance,
    [CACHE_BY_END] = from_pool,	 [CACHE_BY_S3FIFO] = from_queues,
};

static bool evict_one(struct cache *c)
{
	struct cache_db *db;
	if (cache_lease_shed(c)) /* what is beyond its end goes before what is not */
		return true;
	struct cache_item *it = c->evict.by == CACHE_BY_NOTHING ? NULL : ways[c->evict.by](c, &db);
	if (!it)
		return false;
	c->stats.evicted++;
	c->evict.victim = c->evict.by == CACHE_BY_S3FIFO ? it : NULL;
	db->cache->why = CACHE_EVICTED;
	cache_delete(db, it);
	db->cache->why = CACHE_DELETED;
	c->evict.victim = NULL;
	sd_dict_step(&db->keys, STEPS);
	return true;
}

/* Tables seldom change their size, so they are counted seldom. */
static bool is_below(struct cache *c)
{
	struct cache_evictor *e = &c->evict;
	if (e->looked++ % LOOKS && c->memory.used + e->tables <= c->max_memory)
		return true;
	e->tables = cache_used_memory(c) - c->memory.used;
	return c->memory.used + e->tables <= c->max_memory;
}

bool cache_make_space(struct cache *c, unsigned most)
{
	c->evict.more = c->evict.full = false;
	while (c->max_memory && !is_below(c)) {
		if (!most--) {
			c->evict.more = true;
			return true;
		}
		if (c->lazy.objects) {
			cache_lazy_step(c, PIECES);
		} else if (!evict_one(c)) {
			c->evict.full = true;
			return false;
		}
	}
	return true;
}
