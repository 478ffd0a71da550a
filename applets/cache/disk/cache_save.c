#include "cache_save.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cache_image.h"
#include "sdlab/version.h"

#define WALK_EMPTY 1024 /* places of a table looked at in one step, when they hold little */

/* ---- hashes kept aside ---- */

/* Tables, each four times the one before and at most half full, so that none is ever filled anew: that would be a pause. */
#define FIRST_TABLE 4096

static size_t table_size(unsigned i)
{
	return (size_t)FIRST_TABLE << (2 * i);
}

static uint64_t name_of(const struct cache_db *db, uint32_t hash)
{
	return (uint64_t)(db->number + 1) << 32 | hash;
}

/* Where it is, or the free place where it would go. */
static uint64_t *place_in(uint64_t *table, size_t size, uint64_t name)
{
	size_t at = (size_t)(name * 0x9e3779b97f4a7c15u >> 20) & (size - 1);
	while (table[at] && table[at] != name)
		at = (at + 1) & (size - 1);
	return &table[at];
}

static bool is_aside(const struct cache_hashes *h, uint64_t name)
{
	for (unsigned i = h->n; i-- > 0;)
		if (*place_in(h->tables[i], table_size(i), name))
			return true;
	return false;
}

static bool put_aside(struct cache_hashes *h, uint64_t name)
{
	if (h->n == 0 || h->used >= table_size(h->n - 1) / 2) {
		uint64_t *table = h->n < 8 ? calloc(table_size(h->n), sizeof(*table)) : NULL;
		if (!table)
			return false;
		h->tables[h->n++] = table;
		h->used = 0;
	}
	*place_in(h->tables[h->n - 1], table_size(h->n - 1), name) = name;
	h->used++;
	return true;
}

static void free_hashes(struct cache_hashes *h)
{
	for (unsigned i = 0; i < h->n; i++)
		free(h->tables[i]);
	*h = (struct cache_hashes){0};
}

/* ---- writing ---- */

static void put_head(struct cache_save *s)
{
	char number[24];
	const struct cache *c = s->cache;
	sd_rdb_put_head(&s->out);
	sd_rdb_put_aux(&s->out, "redis-ver", "sdlab-" SDLAB_VERSION);
	sd_rdb_put_aux(&s->out, "redis-bits", "64");
	snprintf(number, sizeof(number), "%lld", (long long)(c->now_ms / 1000));
	sd_rdb_put_aux(&s->out, "ctime", number);
	snprintf(number, sizeof(number), "%zu", cache_used_memory(c));
	sd_rdb_put_aux(&s->out, "used-mem", number);
}

static void put_item(struct cache_save *s, const struct cache_db *db, const struct cache_item *it)
{
	if (s->out_db != (int)db->number) {
		sd_rdb_put_db(&s->out, db->number);
		s->out_db = (int)db->number;
	}
	cache_image_put_item(&s->out, s->cache, it);
	s->keys++;
}

/* ---- the walk ---- */

static bool is_behind(const struct cache_save *s, const struct cache_db *db, uint32_t hash)
{
	if (db->number != s->db)
		return db->number < s->db;
	return s->in_db && sd_dict_scanned(s->cursor, hash);
}

/* A table that shrank between two steps gives some again. */
static void visit(void *arg, struct sd_dict_entry *e)
{
	struct cache_save *s = arg;
	const struct cache_db *db = &s->cache->dbs[s->db];
	if (!is_behind(s, db, e->hash) && !is_aside(&s->aside, name_of(db, e->hash)))
		put_item(s, db, (const struct cache_item *)e);
}

static void begin_db(struct cache_save *s, struct cache_db *db)
{
	sd_rdb_put_db(&s->out, db->number);
	sd_rdb_put_sizes(&s->out, sd_dict_count(&db->keys), db->expires);
	s->out_db = (int)db->number;
	s->in_db = true;
	s->cursor = 0;
}

static void walk_db(struct cache_save *s, size_t bytes, unsigned *places)
{
	struct cache_db *db = &s->cache->dbs[s->db];
	bool more = sd_dict_count(&db->keys) > 0;
	if (more && !s->in_db)
		begin_db(s, db);
	while (more && s->out.n < bytes && --*places) {
		if (*places % SD_DICT_FETCH == 0)
			sd_dict_fetch_scan(&db->keys, s->cursor);
		s->cursor = sd_dict_scan(&db->keys, s->cursor, visit, s);
		more = s->cursor != 0;
	}
	if (!more) {
		s->in_db = false;
		s->db++;
	}
}

enum cache_save_state cache_save_step(struct cache_save *s, size_t bytes)
{
	unsigned places = WALK_EMPTY;
	while (s->state == CACHE_SAVE_MORE && s->db < CACHE_DBS && s->out.n < bytes && places)
		walk_db(s, bytes, &places);
	if (s->state == CACHE_SAVE_MORE && s->db == CACHE_DBS) {
		sd_rdb_put_end(&s->out);
		s->state = CACHE_SAVE_DONE;
	}
	if (s->out.full)
		s->state = CACHE_SAVE_FAILED;
	return s->state;
}

/* ---- what commands are about to change ---- */

struct early {
	struct cache_save *save;
	const struct cache_db *db;
};

static void put_early(void *arg, struct sd_dict_entry *e)
{
	struct early *early = arg;
	put_item(early->save, early->db, (const struct cache_item *)e);
	early->save->early++;
}

void cache_save_first(struct cache_db *db, uint32_t hash)
{
	struct cache_save *s = db->cache->save;
	struct early early = {s, db};
	if (s->state != CACHE_SAVE_MORE || is_behind(s, db, hash) || is_aside(&s->aside, name_of(db, hash)))
		return;
	sd_dict_each_of(&db->keys, hash, put_early, &early);
	if (!put_aside(&s->aside, name_of(db, hash)) || s->out.full)
		s->state = CACHE_SAVE_FAILED;
}

void cache_save_emptied(struct cache_db *db)
{
	struct cache_save *s = db->cache->save;
	if (s->state == CACHE_SAVE_MORE && db->number >= s->db && sd_dict_count(&db->keys))
		s->state = CACHE_SAVE_ANEW;
}

/* ---- life ---- */

struct cache_save *cache_save_begin(struct cache *c)
{
	struct cache_save *s = calloc(1, sizeof(*s));
	if (!s)
		return NULL;
	*s = (struct cache_save){.cache = c, .out_db = -1, .dirty = c->dirty};
	put_head(s);
	c->save = s;
	c->save_first = true;
	return s;
}

void cache_save_end(struct cache_save *s)
{
	if (!s)
		return;
	s->cache->save = NULL;
	s->cache->save_first = false;
	free_hashes(&s->aside);
	free(s->out.p);
	free(s);
}
