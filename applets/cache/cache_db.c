/* cache_db.c - the keyspace: items by key, and when they end. */
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "cache.h"

/* ---- memory ---- */

/* What the allocator keeps for itself, a word for each piece. */
#define OVERHEAD sizeof(size_t)

void *cache_alloc(struct cache_memory *m, size_t n)
{
	void *p = malloc(n);
	if (p)
		m->used += malloc_usable_size(p) + OVERHEAD;
	return p;
}

void *cache_realloc(struct cache_memory *m, void *p, size_t n)
{
	size_t was = p ? malloc_usable_size(p) + OVERHEAD : 0;
	void *q = realloc(p, n);
	if (q)
		m->used += malloc_usable_size(q) + OVERHEAD - was;
	return q;
}

void cache_free(struct cache_memory *m, void *p)
{
	if (!p)
		return;
	m->used -= malloc_usable_size(p) + OVERHEAD;
	free(p);
}

/* ---- items ---- */

/* Its time is over: as if it were not there, though nobody took it away yet. */
static bool is_over(const struct cache_item *it, int64_t now_ms)
{
	return it->expiry && it->expiry->wheel.due_ms <= now_ms;
}

struct cache_item *cache_find(struct cache_db *db, struct sd_slice key)
{
	struct cache_item *it = (struct cache_item *)sd_dict_find(&db->keys, key, sd_dict_hash(&db->keys, key));
	if (!it || !is_over(it, db->cache->now_ms))
		return it;
	db->cache->stats.expired++;
	cache_delete(db, it);
	return NULL;
}

struct cache_item *cache_read(struct cache_call *c, struct sd_slice key)
{
	struct cache_item *it = cache_find(c->db, key);
	if (!it) {
		c->cache->stats.misses++;
		return NULL;
	}
	c->cache->stats.hits++;
	it->read_s = (uint32_t)(c->cache->now_ms / 1000);
	return it;
}

static void free_item(struct cache *c, struct cache_item *it)
{
	if (it->encoding == CACHE_RAW)
		cache_free(&c->memory, it->v.bytes);
	if (it->expiry) {
		sd_wheel_cancel(&c->wheel, &it->expiry->wheel);
		cache_free(&c->memory, it->expiry);
	}
	cache_free(&c->memory, it);
}

void cache_delete(struct cache_db *db, struct cache_item *it)
{
	sd_dict_remove(&db->keys, &it->e);
	db->expires -= it->expiry != NULL;
	free_item(db->cache, it);
}

static void flush_one(void *arg, struct sd_dict_entry *e)
{
	free_item(arg, (struct cache_item *)e);
}

void cache_flush(struct cache_db *db)
{
	sd_dict_each(&db->keys, flush_one, db->cache);
	sd_dict_free(&db->keys);
	db->expires = 0;
}

/* ---- expiry ---- */

bool cache_expire(struct cache_db *db, struct cache_item *it, int64_t at_ms)
{
	struct cache *c = db->cache;
	if (!it->expiry) {
		struct cache_expiry *x = cache_alloc(&c->memory, sizeof(*x));
		if (!x)
			return false;
		*x = (struct cache_expiry){.item = it, .db = db};
		it->expiry = x;
		db->expires++;
	}
	sd_wheel_set(&c->wheel, &it->expiry->wheel, at_ms);
	return true;
}

void cache_persist(struct cache_db *db, struct cache_item *it)
{
	if (!it->expiry)
		return;
	sd_wheel_cancel(&db->cache->wheel, &it->expiry->wheel);
	cache_free(&db->cache->memory, it->expiry);
	it->expiry = NULL;
	db->expires--;
}

int64_t cache_expires_at(const struct cache_item *it)
{
	return it->expiry ? it->expiry->wheel.due_ms : -1;
}

int64_t cache_tick(struct cache *c, int64_t now_ms, unsigned most)
{
	struct sd_wheel_entry *w;
	while (most && (w = sd_wheel_pop(&c->wheel, now_ms))) {
		struct cache_expiry *x = sd_container(w, struct cache_expiry, wheel);
		c->stats.expired++;
		cache_delete(x->db, x->item);
		most--;
	}
	return sd_wheel_next(&c->wheel);
}
