/* cache_db.c - the keyspace: items by key, and when they end. */
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "cache.h"

/* ---- memory ---- */

/* What the allocator keeps for itself, a word for each piece. */
#define OVERHEAD sizeof(size_t)

/* Below the sizes that malloc maps by themselves and gives back at once, which are 128 KiB. */
#define STEP ((size_t)120 * 1024)

/* On every thread but the first, glibc lets memory grow by what one piece needs: a system call for each page. A large piece that
 * comes and goes leaves room for many. */
static void step_ahead(struct cache_memory *m)
{
	if (m->used - m->stepped_at + STEP < 2 * STEP)
		return;
	void *volatile unseen = malloc(STEP); /* or the compiler drops both */
	free(unseen);
	m->stepped_at = m->used;
}

void *cache_alloc(struct cache_memory *m, size_t n)
{
	step_ahead(m);
	void *p = malloc(n);
	if (p)
		m->used += malloc_usable_size(p) + OVERHEAD;
	return p;
}

void *cache_realloc(struct cache_memory *m, void *p, size_t n)
{
	step_ahead(m);
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

/* ---- what is behind an item's key ---- */

void *cache_value(const struct cache_item *it)
{
	void *p;
	memcpy(&p, cache_place(it), sizeof(p));
	return p;
}

int64_t cache_int(const struct cache_item *it)
{
	int64_t v;
	memcpy(&v, cache_place(it), sizeof(v));
	return v;
}

void cache_set_value(struct cache_item *it, unsigned encoding, void *value)
{
	it->encoding = encoding & 15;
	memcpy(cache_place(it), &value, sizeof(value));
}

static struct cache_expiry *expiry_of(const struct cache_item *it)
{
	struct cache_expiry *x = NULL;
	if (it->has_end)
		memcpy(&x, it->key + it->e.klen, sizeof(struct cache_expiry *));
	return x;
}

static void set_expiry(struct cache_item *it, struct cache_expiry *x)
{
	memcpy(it->key + it->e.klen, &x, sizeof(struct cache_expiry *));
}

static size_t value_size(const struct cache_item *it)
{
	return it->encoding == CACHE_EMBSTR ? it->n : sizeof(int64_t);
}

static size_t size_for(const struct cache_item *it, size_t n)
{
	return (size_t)(cache_place(it) - (const char *)it) + n;
}

static bool reallocate(struct cache_db *db, struct cache_item **it, size_t size)
{
	uintptr_t was = (uintptr_t)&(*it)->e;
	struct cache_item *now = cache_realloc(&db->cache->memory, *it, size);
	if (!now)
		return false;
	*it = now;
	sd_dict_moved(&db->keys, was, &now->e);
	struct cache_expiry *x = expiry_of(now);
	if (x)
		x->item = now;
	return true;
}

bool cache_resize(struct cache_db *db, struct cache_item **it, size_t n)
{
	size_t size = size_for(*it, n), has = malloc_usable_size(*it);
	return (has >= size && has <= 2 * size + 64) || reallocate(db, it, size);
}

/* ---- items ---- */

static struct cache_item *new_item(struct cache_db *db, struct sd_slice key, size_t n)
{
	struct cache *c = db->cache;
	bool stamped = c->follower;
	struct cache_item *it =
	    cache_alloc(&c->memory, offsetof(struct cache_item, key) + key.n + (stamped ? sizeof(uint64_t) : 0) + n);
	if (!it)
		return NULL;
	*it = (struct cache_item){.e = {.hash = sd_dict_hash(&db->keys, key), .klen = (uint32_t)key.n}, .stamped = stamped};
	if (c->save)
		cache_save_first(db, it->e.hash);
	if (key.n)
		memcpy(it->key, key.p, key.n);
	cache_set_stamp(it, 0);
	if (sd_dict_add(&db->keys, &it->e)) {
		cache_evict_made(db, it);
		return it;
	}
	cache_free(&c->memory, it);
	return NULL;
}

struct cache_item *cache_make(struct cache_db *db, struct sd_slice key, unsigned type, unsigned encoding, void *value)
{
	struct cache_item *it = new_item(db, key, sizeof(value));
	if (!it)
		return NULL;
	it->type = type & 7;
	cache_set_value(it, encoding, value);
	return it;
}

struct cache_item *cache_make_string(struct cache_db *db, struct sd_slice key, size_t n)
{
	return new_item(db, key, n);
}

/* Its time is over: as if it were not there, though nobody took it away yet. */
bool cache_is_over(const struct cache_item *it, int64_t now_ms)
{
	if (!it->has_end)
		return false;
	const struct cache_expiry *x = expiry_of(it);
	return x && x->wheel.due_ms <= now_ms;
}

struct cache_item *cache_find(struct cache_db *db, struct sd_slice key)
{
	uint32_t hash = sd_dict_hash(&db->keys, key);
	if (db->cache->save_first)
		cache_save_first(db, hash);
	struct cache_item *it = (struct cache_item *)sd_dict_find(&db->keys, key, hash);
	if (!it || !cache_is_over(it, db->cache->now_ms))
		return it;
	cache_end_item(db, it);
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
	cache_used_now(c->cache, it);
	return it;
}

static bool is_of(struct cache_call *c, const struct cache_item *it, unsigned type)
{
	if (!it || it->type == type)
		return true;
	if (c->again) /* it waits for another value */
		return false;
	sd_resp_error(c->out, cache_wrong_type);
	return false;
}

bool cache_typed(struct cache_call *c, size_t i, unsigned type, struct cache_item **it)
{
	*it = cache_read(c, c->argv[i]);
	return is_of(c, *it, type);
}

bool cache_typed_for_write(struct cache_call *c, size_t i, unsigned type, struct cache_item **it)
{
	*it = cache_find(c->db, c->argv[i]);
	if (*it)
		cache_used_now(c->cache, *it);
	return is_of(c, *it, type);
}

uint32_t cache_idle_s(const struct cache *c, const struct cache_item *it)
{
	return ((uint32_t)(c->now_ms / 1000) - it->clock) & 0xffffff;
}

static void free_value(struct cache *c, const struct cache_item *it)
{
	if (it->encoding != CACHE_INT && it->encoding != CACHE_EMBSTR)
		cache_types[it->type]->free(c, it->encoding, cache_value(it));
}

static void free_item(struct cache *c, struct cache_item *it)
{
	struct cache_expiry *x = expiry_of(it);
	free_value(c, it);
	if (x) {
		sd_wheel_cancel(&c->wheel, &x->wheel);
		cache_free(&c->memory, x);
	}
	cache_free(&c->memory, it);
}

void cache_delete(struct cache_db *db, struct cache_item *it)
{
	const struct cache_follower *f = db->cache->follower;
	if (db->cache->save)
		cache_save_first(db, it->e.hash);
	if (db->cache->evict.queued)
		cache_evict_gone(db, it);
	if (f)
		f->gone(f->arg, db, it, db->cache->why);
	sd_dict_remove(&db->keys, &it->e);
	if (expiry_of(it)) {
		db->expires--;
		db->ends_ms -= cache_expires_at(it);
	}
	cache_changed(db, cache_key(it));
	free_item(db->cache, it);
}

void cache_end_item(struct cache_db *db, struct cache_item *it)
{
	db->cache->stats.expired++;
	db->cache->why = CACHE_ENDED;
	if (db->cache->leases.n)
		cache_lease_expire(db, it);
	else
		cache_delete(db, it);
	db->cache->why = CACHE_DELETED;
}

static void flush_one(void *arg, struct sd_dict_entry *e)
{
	free_item(arg, (struct cache_item *)e);
}

void cache_flush(struct cache_db *db)
{
	const struct cache_follower *f = db->cache->follower;
	if (db->cache->save)
		cache_save_emptied(db);
	cache_touch_all(db);
	if (f)
		f->flushed(f->arg, db);
	db->cache->dirty += sd_dict_count(&db->keys);
	sd_dict_each(&db->keys, flush_one, db->cache);
	sd_dict_free(&db->keys);
	db->expires = 0;
	db->ends_ms = 0;
	cache_evict_flushed(db);
	cache_lease_flush(db);
}

struct cache_item *cache_put(struct cache_db *db, struct sd_slice key, unsigned type, unsigned encoding, void *value)
{
	struct cache_item *it = cache_find(db, key);
	if (it) {
		struct cache_item old = *it;
		void *owned = old.encoding > CACHE_EMBSTR ? cache_value(it) : NULL;
		if (!cache_resize(db, &it, sizeof(value)))
			return NULL;
		if (owned)
			cache_types[old.type]->free(db->cache, old.encoding, owned);
		cache_persist(db, it);
		it->type = type & 7;
		cache_set_value(it, encoding, value);
		cache_used_now(db->cache, it);
	} else if (!(it = cache_make(db, key, type, encoding, value))) {
		return NULL;
	}
	cache_changed(db, key);
	cache_ready(db, key);
	return it;
}

static struct cache_item *copy_value(struct cache_item *it, struct cache_db *to_db, struct sd_slice to)
{
	struct cache *c = to_db->cache;
	void *value = cache_types[it->type]->copy(c, it->encoding, cache_value(it));
	struct cache_item *made = value ? cache_put(to_db, to, it->type, it->encoding, value) : NULL;
	if (value && !made)
		cache_types[it->type]->free(c, it->encoding, value);
	return made;
}

bool cache_copy(struct cache_item *it, struct cache_db *to_db, struct sd_slice to)
{
	int64_t at = cache_expires_at(it);
	struct cache_item *made = it->encoding <= CACHE_EMBSTR ? cache_copy_string(it, to_db, to) : copy_value(it, to_db, to);
	return made && (at < 0 || cache_expire(to_db, &made, at));
}

/* ---- expiry ---- */

/* A place for it behind the key, in front of the value. */
static bool make_place(struct cache_db *db, struct cache_item **it)
{
	size_t n = value_size(*it), behind_key, moves = n + ((*it)->stamped ? sizeof(uint64_t) : 0);
	if ((*it)->has_end)
		return true;
	if (malloc_usable_size(*it) < size_for(*it, n) + sizeof(void *) &&
	    !reallocate(db, it, size_for(*it, n) + sizeof(void *)))
		return false;
	behind_key = (*it)->e.klen;
	memmove((*it)->key + behind_key + sizeof(void *), (*it)->key + behind_key, moves);
	(*it)->has_end = 1;
	set_expiry(*it, NULL);
	return true;
}

bool cache_expire(struct cache_db *db, struct cache_item **it, int64_t at_ms)
{
	struct cache *c = db->cache;
	if (!make_place(db, it))
		return false;
	struct cache_expiry *x = expiry_of(*it);
	if (!x) {
		x = cache_alloc(&c->memory, sizeof(*x));
		if (!x)
			return false;
		*x = (struct cache_expiry){.item = *it, .db = db};
		set_expiry(*it, x);
		db->expires++;
		if (c->evict.queued)
			cache_evict_ends(db, *it);
	} else {
		db->ends_ms -= x->wheel.due_ms;
	}
	db->ends_ms += at_ms;
	sd_wheel_set(&c->wheel, &x->wheel, at_ms);
	return true;
}

void cache_persist(struct cache_db *db, struct cache_item *it)
{
	struct cache_expiry *x = expiry_of(it);
	if (!x)
		return;
	if (db->cache->evict.queued)
		cache_evict_stays(db, it);
	db->ends_ms -= x->wheel.due_ms;
	sd_wheel_cancel(&db->cache->wheel, &x->wheel);
	cache_free(&db->cache->memory, x);
	set_expiry(it, NULL);
	db->expires--;
}

int64_t cache_expires_at(const struct cache_item *it)
{
	const struct cache_expiry *x = expiry_of(it);
	return x ? x->wheel.due_ms : -1;
}

struct cache_item *cache_item_of_expiry(const struct sd_wheel_entry *w, struct cache_db **db)
{
	if (!w)
		return NULL;
	const struct cache_expiry *x = sd_container(w, struct cache_expiry, wheel);
	*db = x->db;
	return x->item;
}

int64_t cache_tick(struct cache *c, int64_t now_ms, unsigned most)
{
	struct sd_wheel_entry *w;
	c->now_ms = now_ms;
	cache_count_time(c, &c->counts, now_ms);
	while (most && (w = sd_wheel_pop(&c->wheel, now_ms))) {
		struct cache_expiry *x = sd_container(w, struct cache_expiry, wheel);
		cache_end_item(x->db, x->item);
		most--;
	}
	if (c->evict.more)
		cache_make_space(c, most);
	int64_t ends = sd_wheel_next(&c->wheel), waits = cache_tick_waits(c, now_ms), leases = cache_lease_tick(c, now_ms);
	if (leases < ends)
		ends = leases;
	if (c->evict.more)
		return now_ms;
	return ends < waits ? ends : waits;
}

/* ---- what follows a change ---- */

void cache_note_change(struct cache_db *db, struct sd_slice key)
{
	cache_touch_watched(db, key);
	if (db->cache->leases.n)
		cache_lease_changed(db, key);
	const struct cache_follower *f = db->cache->follower;
	if (f)
		f->changed(f->arg, db, key);
}

void cache_follow(struct cache *c, const struct cache_follower *f)
{
	c->watching += (f != NULL);
	c->watching -= (c->follower != NULL);
	c->follower = f;
}
