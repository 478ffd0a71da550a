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
	m->pieces++;
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

void cache_free_item(struct cache *c, struct cache_item *it)
{
	struct cache_expiry *x = expiry_of(it);
	if (it->encoding > CACHE_EMBSTR)
		cache_discard(c, it->type, it->encoding, cache_value(it));
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
	cache_free_item(db->cache, it);
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

void cache_flush(struct cache_db *db)
{
	const struct cache_follower *f = db->cache->follower;
	if (db->cache->save)
		cache_save_emptied(db);
	cache_touch_all(db);
	if (f)
		f->flushed(f->arg, db);
	db->cache->dirty += sd_dict_count(&db->keys);
	cache_discard_keys(db);
	db->expires = 0;
	db->ends_ms = 0;
	cache_lease_flush(db);
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

/* All that an end takes but its time: until that is set, only cache_persist may see the item. */
static bool make_expiry(struct cache_db *db, struct cache_item **it)
{
	struct cache *c = db->cache;
	if (!make_place(db, it))
		return false;
	if (expiry_of(*it))
		return true;
	struct cache_expiry *x = cache_alloc(&c->memory, sizeof(*x));
	if (!x)
		return false;
	*x = (struct cache_expiry){.item = *it, .db = db->number, .flushes = db->flushes};
	set_expiry(*it, x);
	db->expires++;
	if (c->evict.queued)
		cache_evict_ends(db, *it);
	return true;
}

bool cache_expire(struct cache_db *db, struct cache_item **it, int64_t at_ms)
{
	if (!make_expiry(db, it))
		return false;
	struct cache_expiry *x = expiry_of(*it);
	db->ends_ms += at_ms - x->wheel.due_ms;
	sd_wheel_set(&db->cache->wheel, &x->wheel, at_ms);
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

/* ---- a value for a key, whatever it held ---- */

/* What may fail comes first, and what is in the item stays until the last of it. */
bool cache_make_fit(struct cache_db *db, struct cache_item **it, size_t n, int64_t at_ms)
{
	bool had = expiry_of(*it);
	if (at_ms >= 0 && !make_expiry(db, it))
		return false;
	if (cache_resize(db, it, n))
		return true;
	if (!had)
		cache_persist(db, *it);
	return false;
}

/* A key that was made just now and cannot be what it was to be. The value is not its own. */
static void unmake(struct cache_db *db, struct cache_item *it)
{
	it->type = CACHE_STRING;
	cache_set_value(it, CACHE_INT, NULL);
	cache_delete(db, it);
}

struct cache_item *cache_put_until(struct cache_db *db, struct sd_slice key, unsigned type, unsigned encoding, void *value, int64_t at_ms)
{
	struct cache_item *it = cache_find(db, key);
	bool made = !it;
	if (made ? !(it = cache_make(db, key, type, encoding, value)) : !cache_make_fit(db, &it, sizeof(value), at_ms))
		return NULL;
	if (at_ms >= 0 && !cache_expire(db, &it, at_ms)) {
		unmake(db, it);
		return NULL;
	}
	if (!made) {
		if (it->encoding > CACHE_EMBSTR)
			cache_discard(db->cache, it->type, it->encoding, cache_value(it));
		if (at_ms == CACHE_NO_END)
			cache_persist(db, it);
		it->type = type & 7;
		cache_set_value(it, encoding, value);
		cache_used_now(db->cache, it);
	}
	cache_changed(db, key);
	cache_ready(db, key);
	return it;
}

struct cache_item *cache_put(struct cache_db *db, struct sd_slice key, unsigned type, unsigned encoding, void *value)
{
	return cache_put_until(db, key, type, encoding, value, CACHE_NO_END);
}

bool cache_copy(const struct cache_item *it, struct cache_db *to_db, struct sd_slice to)
{
	struct cache *c = to_db->cache;
	int64_t at = cache_expires_at(it);
	if (it->encoding <= CACHE_EMBSTR)
		return cache_copy_string(it, to_db, to, at);
	void *value = cache_types[it->type]->copy(c, it->encoding, cache_value(it));
	bool copied = value && cache_put_until(to_db, to, it->type, it->encoding, value, at);
	if (value && !copied)
		cache_types[it->type]->free(c, it->encoding, value);
	return copied;
}

bool cache_move(struct cache_db *db, struct cache_item *it, struct cache_db *to_db, struct sd_slice to)
{
	bool has_value = it->encoding > CACHE_EMBSTR;
	if (!has_value && !cache_copy(it, to_db, to))
		return false;
	if (has_value && !cache_put_until(to_db, to, it->type, it->encoding, cache_value(it), cache_expires_at(it)))
		return false;
	if (has_value) {
		it->type = CACHE_STRING;
		cache_set_value(it, CACHE_INT, NULL);
	}
	cache_delete(db, it);
	return true;
}

struct cache_item *cache_item_of_expiry(struct cache *c, const struct sd_wheel_entry *w, struct cache_db **db)
{
	if (!w)
		return NULL;
	const struct cache_expiry *x = sd_container(w, struct cache_expiry, wheel);
	*db = &c->dbs[x->db];
	return (*db)->flushes == x->flushes ? x->item : NULL;
}

int64_t cache_next_tick(const struct cache *c)
{
	int64_t ends = sd_wheel_next(&c->wheel), waits = sd_wheel_next(&c->deadlines), leases = sd_wheel_next(&c->leases.ends);
	if (c->evict.more || c->lazy.objects)
		return c->now_ms;
	ends = leases < ends ? leases : ends;
	return ends < waits ? ends : waits;
}

int64_t cache_tick(struct cache *c, int64_t now_ms, unsigned most)
{
	struct sd_wheel_entry *w;
	c->now_ms = now_ms;
	cache_count_time(c, &c->counts, now_ms);
	while (most && (w = sd_wheel_pop(&c->wheel, now_ms))) {
		struct cache_db *db;
		struct cache_item *it = cache_item_of_expiry(c, w, &db);
		if (it)
			cache_end_item(db, it);
		most--;
	}
	if (c->lazy.objects) {
		cache_lazy_settle(c);
		cache_lazy_step(c, CACHE_LAZY_STEP);
	}
	if (c->evict.more)
		cache_make_space(c, most);
	cache_tick_waits(c, now_ms);
	cache_lease_tick(c, now_ms);
	return cache_next_tick(c);
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
