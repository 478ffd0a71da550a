/* cache_lazy.c - what takes long to free is freed in steps, so that nobody waits for it.
 *
 *	a value of many pieces --cache_discard--> values[type] --.
 *	keys of a database --cache_discard_keys--> emptied ------+--cache_lazy_step--> the allocator
 *
 * What waits counts in used_memory until it is gone, and goes before any key is evicted. Values are linked by memory of their own, so that
 * giving them up needs none. Keys of an emptied database stay in the wheel, where their number of flushes tells them apart
 * (cache_expiry), and in the queues of eviction, unless these were made anew since.
 *
 * Steps come with the clock (cache_tick) and with what is made: for each piece of memory asked for two are freed, so that what waits
 * becomes less however fast it is added to.
 */
#include "cache.h"

#define FEW  64 /* pieces that are freed at once, as in Redis */
#define OWED 2

struct cache_emptied {
	struct cache_emptied *next;
	struct sd_dict keys; /* cache_item */
	unsigned db;
	uint64_t rebuilt; /* evict.rebuilt of then */
};

static size_t pieces_of(unsigned type, unsigned encoding, const void *value)
{
	const struct cache_type_ops *ops = cache_types[type];
	return ops->pieces && encoding == ops->many ? ops->pieces(value) : 1;
}

static void begin_waiting(struct cache *c, size_t objects)
{
	if (!c->lazy.objects)
		c->lazy.settled = c->memory.pieces;
	c->lazy.objects += objects;
}

static void note_freed(struct cache *c)
{
	c->lazy.objects--;
	c->stats.lazily_freed++;
}

void cache_discard(struct cache *c, unsigned type, unsigned encoding, void *value)
{
	struct cache_many *many = value;
	if (encoding <= CACHE_EMBSTR)
		return;
	if (pieces_of(type, encoding, value) <= FEW) {
		cache_types[type]->free(c, encoding, value);
		return;
	}
	begin_waiting(c, 1);
	many->next = c->lazy.values[type];
	c->lazy.values[type] = many;
}

/* ---- emptied databases ---- */

/* Frees an item of those, and what of its value is not left for later; how many pieces. */
static size_t free_item_of(struct cache *c, const struct cache_emptied *x, struct cache_item *it)
{
	size_t n = it->encoding > CACHE_EMBSTR ? pieces_of(it->type, it->encoding, cache_value(it)) : 0;
	if (x->rebuilt == c->evict.rebuilt)
		cache_evict_emptied(&c->dbs[x->db], it);
	cache_free_item(c, it);
	return n > FEW ? 0 : n;
}

static void free_emptied(struct cache *c, struct cache_emptied *x, size_t *most)
{
	struct sd_dict_entry *e;
	while (*most && (e = sd_dict_take(&x->keys, most))) {
		size_t n = free_item_of(c, x, (struct cache_item *)e);
		*most -= n < *most ? n : *most;
		note_freed(c);
	}
	if (!sd_dict_count(&x->keys))
		sd_dict_free(&x->keys);
}

void cache_discard_keys(struct cache_db *db)
{
	struct cache *c = db->cache;
	struct cache_emptied here = {c->lazy.emptied, db->keys, db->number, c->evict.rebuilt};
	struct cache_emptied *x = sd_dict_count(&db->keys) > FEW ? cache_alloc(&c->memory, sizeof(*x)) : NULL;
	db->flushes++;
	cache_evict_flushed(db);
	sd_dict_init(&db->keys, offsetof(struct cache_item, key), &c->hash_key);
	sd_dict_count_in(&db->keys, &c->memory.used);
	begin_waiting(c, sd_dict_count(&here.keys));
	if (x) {
		*x = here;
		c->lazy.emptied = x;
	} else { /* few, or no memory to remember them by */
		uint64_t before = c->stats.lazily_freed;
		for (size_t most = SIZE_MAX; sd_dict_count(&here.keys); most = SIZE_MAX)
			free_emptied(c, &here, &most);
		sd_dict_free(&here.keys);
		c->stats.lazily_freed = before;
	}
}

/* ---- steps ---- */

static void free_values(struct cache *c, unsigned type, size_t *most)
{
	struct cache_many **first = &c->lazy.values[type];
	while (*most && *first) {
		struct cache_many *next = (*first)->next;
		if (!cache_types[type]->free_some(c, *first, most))
			return;
		*first = next;
		note_freed(c);
	}
}

static void free_keys(struct cache *c, size_t *most)
{
	struct cache_emptied *x = c->lazy.emptied;
	free_emptied(c, x, most);
	if (sd_dict_count(&x->keys))
		return;
	c->lazy.emptied = x->next;
	cache_free(&c->memory, x);
}

void cache_lazy_step(struct cache *c, size_t pieces)
{
	while (pieces && c->lazy.objects) {
		for (unsigned type = 0; type < CACHE_TYPES; type++)
			free_values(c, type, &pieces);
		if (pieces && c->lazy.emptied)
			free_keys(c, &pieces);
	}
}

void cache_lazy_settle(struct cache *c)
{
	uint64_t made = c->memory.pieces - c->lazy.settled;
	c->lazy.settled = c->memory.pieces;
	cache_lazy_step(c, (size_t)made * OWED);
}
