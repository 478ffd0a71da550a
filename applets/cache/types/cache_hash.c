/* cache_hash.c - values that are hashes: how they are kept. */
#include "cache_hash.h"

#include <malloc.h>
#include <string.h>

static struct cache_memory *memory(const struct cache_hash *h)
{
	return &h->cache->memory;
}

/* ---- of few: a listpack ---- */

/* Room for n bytes, with an eighth more when it has to move. */
static bool pack_room(struct cache_hash *h, size_t n)
{
	if (malloc_usable_size(h->p) >= n)
		return true;
	void *p = cache_realloc(memory(h), h->p, n + n / 8);
	if (p)
		h->p = p;
	return p != NULL;
}

static size_t pack_find(const unsigned char *lp, struct sd_slice field)
{
	return sd_listpack_find(lp, sd_listpack_first(lp), field, 1);
}

static int pack_set(struct cache_hash *h, struct sd_slice field, struct sd_slice value)
{
	struct sd_listpack_new f, v;
	size_t at = pack_find(h->p, field), bytes = sd_listpack_bytes(h->p);
	if (!sd_listpack_encode(field, &f) || !sd_listpack_encode(value, &v))
		return -1;
	if (at) {
		at = sd_listpack_next(h->p, at);
		if (!pack_room(h, bytes + v.size - sd_listpack_size(h->p, at)))
			return -1;
		sd_listpack_replace(h->p, at, &v);
		return 0;
	}
	if (!pack_room(h, bytes + f.size + v.size))
		return -1;
	sd_listpack_insert(h->p, sd_listpack_end(h->p), &f);
	sd_listpack_insert(h->p, sd_listpack_end(h->p), &v);
	return 1;
}

static bool pack_remove(struct cache_hash *h, struct sd_slice field)
{
	size_t at = pack_find(h->p, field);
	if (!at)
		return false;
	sd_listpack_delete(h->p, at, 2);
	size_t bytes = sd_listpack_bytes(h->p);
	void *less = malloc_usable_size(h->p) > 2 * bytes + 64 ? cache_realloc(memory(h), h->p, bytes) : NULL;
	h->p = less ? less : h->p;
	return true;
}

static void pack_pair(const unsigned char *lp, size_t at, struct cache_pair *pair)
{
	pair->field = sd_listpack_text(lp, at, pair->text[0]);
	pair->value = sd_listpack_text(lp, sd_listpack_next(lp, at), pair->text[1]);
}

/* ---- of many: a table ---- */

static void recount(struct cache *c, struct cache_fields *t)
{
	size_t n = sd_dict_memory(&t->d);
	c->memory.used += n - t->counted;
	t->counted = n;
}

static struct cache_fields *table_new(struct cache *c)
{
	struct cache_fields *t = cache_alloc(&c->memory, sizeof(*t));
	if (!t)
		return NULL;
	t->counted = 0;
	sd_dict_init(&t->d, offsetof(struct cache_field, text), &c->hash_key);
	return t;
}

static bool table_free_some(struct cache *c, void *table, size_t *most)
{
	struct cache_fields *t = table;
	struct sd_dict_entry *e;
	while (*most && (e = sd_dict_take(&t->d, most)))
		cache_free(&c->memory, e);
	if (sd_dict_count(&t->d))
		return false;
	sd_dict_free(&t->d);
	c->memory.used -= t->counted;
	cache_free(&c->memory, t);
	return true;
}

static void table_free(struct cache *c, struct cache_fields *t)
{
	size_t all = SIZE_MAX;
	table_free_some(c, t, &all);
}

static size_t table_pieces(const void *table)
{
	return sd_dict_count(&((const struct cache_fields *)table)->d);
}

static struct sd_slice value_of(const struct cache_field *f)
{
	return (struct sd_slice){f->text + f->e.klen, f->n};
}

static void put_value(struct cache_field *f, struct sd_slice value)
{
	if (value.n)
		memcpy(f->text + f->e.klen, value.p, value.n);
	f->n = (uint32_t)value.n;
}

static struct cache_field *table_find(struct cache_fields *t, struct sd_slice field)
{
	return (struct cache_field *)sd_dict_find(&t->d, field, sd_dict_hash(&t->d, field));
}

static bool table_replace(struct cache *c, struct cache_fields *t, struct cache_field *f, struct sd_slice value)
{
	size_t size = sizeof(*f) + f->e.klen + value.n, has = malloc_usable_size(f);
	if (has < size || has > 2 * size + 64) {
		uintptr_t was = (uintptr_t)f;
		if (!(f = cache_realloc(&c->memory, f, size)))
			return false;
		sd_dict_moved(&t->d, was, &f->e);
	}
	put_value(f, value);
	return true;
}

/* There must be none of this name. */
static bool table_add(struct cache *c, struct cache_fields *t, struct sd_slice field, struct sd_slice value)
{
	struct cache_field *f = cache_alloc(&c->memory, sizeof(*f) + field.n + value.n);
	if (!f)
		return false;
	f->e = (struct sd_dict_entry){.hash = sd_dict_hash(&t->d, field), .klen = (uint32_t)field.n};
	if (field.n)
		memcpy(f->text, field.p, field.n);
	put_value(f, value);
	bool added = sd_dict_add(&t->d, &f->e);
	if (!added)
		cache_free(&c->memory, f);
	recount(c, t);
	return added;
}

static int table_set(struct cache *c, struct cache_fields *t, struct sd_slice field, struct sd_slice value)
{
	struct cache_field *f = table_find(t, field);
	if (f)
		return table_replace(c, t, f, value) ? 0 : -1;
	return table_add(c, t, field, value) ? 1 : -1;
}

static bool table_remove(struct cache *c, struct cache_fields *t, struct sd_slice field)
{
	struct cache_field *f = table_find(t, field);
	if (!f)
		return false;
	sd_dict_remove(&t->d, &f->e);
	cache_free(&c->memory, f);
	recount(c, t);
	return true;
}

static void *table_copy(struct cache *c, const struct cache_fields *t)
{
	struct cache_fields *copy = table_new(c);
	struct cache_fields *from = (struct cache_fields *)(uintptr_t)t; /* going through it changes nothing in it */
	struct sd_dict_iter it;
	const struct cache_field *f;
	bool whole = copy != NULL;
	sd_dict_iter_begin(&from->d, &it);
	while (whole && (f = (struct cache_field *)sd_dict_iter_next(&from->d, &it)))
		whole = table_add(c, copy, sd_dict_key(&from->d, &f->e), value_of(f));
	sd_dict_iter_end(&from->d);
	if (copy && !whole)
		table_free(c, copy);
	return whole ? copy : NULL;
}

/* ---- one or the other ---- */

static bool to_table(struct cache_hash *h)
{
	struct cache_fields *t = table_new(h->cache);
	const unsigned char *lp = h->p;
	struct cache_pair pair;
	if (!t)
		return false;
	for (size_t at = sd_listpack_first(lp); at; at = sd_listpack_next(lp, sd_listpack_next(lp, at))) {
		pack_pair(lp, at, &pair);
		if (!table_add(h->cache, t, pair.field, pair.value)) {
			table_free(h->cache, t);
			return false;
		}
	}
	cache_free(memory(h), h->p);
	h->p = t;
	h->encoding = CACHE_HASHTABLE;
	return true;
}

bool cache_hash_expect(struct cache_hash *h, const struct sd_slice *s, size_t n)
{
	if (h->encoding != CACHE_LISTPACK)
		return true;
	for (size_t i = 0; i < n; i++)
		if (s[i].n > (uint64_t)h->cache->tuning.hash_max_listpack_value)
			return to_table(h);
	return true;
}

bool cache_hash_new(struct cache *c, struct cache_hash *h)
{
	*h = (struct cache_hash){c, CACHE_LISTPACK, cache_alloc(&c->memory, SD_LISTPACK_EMPTY)};
	if (h->p)
		sd_listpack_init(h->p);
	return h->p != NULL;
}

static void free_hash(struct cache *c, unsigned encoding, void *p)
{
	if (encoding == CACHE_LISTPACK)
		cache_free(&c->memory, p);
	else
		table_free(c, p);
}

void cache_hash_free(struct cache_hash *h)
{
	free_hash(h->cache, h->encoding, h->p);
}

static void *copy_hash(struct cache *c, unsigned encoding, const void *p)
{
	if (encoding == CACHE_HASHTABLE)
		return table_copy(c, p);
	size_t n = sd_listpack_bytes(p);
	void *copy = cache_alloc(&c->memory, n);
	return copy ? memcpy(copy, p, n) : NULL;
}

const struct cache_type_ops cache_hash_type = {
    "hash", free_hash, copy_hash, .many = CACHE_HASHTABLE, .pieces = table_pieces, .free_some = table_free_some,
};

size_t cache_hash_count(const struct cache_hash *h)
{
	return h->encoding == CACHE_LISTPACK ? sd_listpack_count(h->p) / 2 : sd_dict_count(&((struct cache_fields *)h->p)->d);
}

bool cache_hash_get(const struct cache_hash *h, struct sd_slice field, char text[SD_LISTPACK_TEXT], struct sd_slice *value)
{
	if (h->encoding == CACHE_LISTPACK) {
		size_t at = pack_find(h->p, field);
		if (at)
			*value = sd_listpack_text(h->p, sd_listpack_next(h->p, at), text);
		return at;
	}
	const struct cache_field *f = table_find(h->p, field);
	if (f)
		*value = value_of(f);
	return f;
}

int cache_hash_set(struct cache_hash *h, struct sd_slice field, struct sd_slice value)
{
	const struct sd_slice both[] = {field, value};
	if (!cache_hash_expect(h, both, 2))
		return -1;
	if (h->encoding == CACHE_HASHTABLE)
		return table_set(h->cache, h->p, field, value);
	int done = pack_set(h, field, value);
	/* where there is no memory for a table it stays as it is, which is no fault */
	if (done == 1 && cache_hash_count(h) > (uint64_t)h->cache->tuning.hash_max_listpack_entries)
		to_table(h);
	return done;
}

bool cache_hash_remove(struct cache_hash *h, struct sd_slice field)
{
	return h->encoding == CACHE_LISTPACK ? pack_remove(h, field) : table_remove(h->cache, h->p, field);
}

static void field_pair(const struct cache_field *f, struct cache_pair *pair)
{
	pair->field = (struct sd_slice){f->text, f->e.klen};
	pair->value = value_of(f);
}

void cache_hash_random(const struct cache_hash *h, struct cache_pair *pair)
{
	if (h->encoding == CACHE_LISTPACK) {
		uint32_t i = sd_rng_below(&h->cache->rng, (uint32_t)cache_hash_count(h));
		pack_pair(h->p, sd_listpack_seek(h->p, 2 * (int64_t)i), pair);
	} else {
		struct cache_fields *t = h->p;
		field_pair((struct cache_field *)sd_dict_random(&t->d, &h->cache->rng), pair);
	}
}

void cache_hash_iter_begin(const struct cache_hash *h, struct cache_hash_iter *it)
{
	*it = (struct cache_hash_iter){.hash = h};
	if (h->encoding == CACHE_LISTPACK)
		it->at = sd_listpack_first(h->p);
	else
		sd_dict_iter_begin(&((struct cache_fields *)h->p)->d, &it->d);
}

bool cache_hash_iter_next(struct cache_hash_iter *it, struct cache_pair *pair)
{
	const struct cache_hash *h = it->hash;
	if (h->encoding == CACHE_HASHTABLE) {
		const struct cache_field *f = (struct cache_field *)sd_dict_iter_next(&((struct cache_fields *)h->p)->d, &it->d);
		if (f)
			field_pair(f, pair);
		return f;
	}
	if (!it->at)
		return false;
	size_t value_at = sd_listpack_next(h->p, it->at);
	pair->field = sd_listpack_text(h->p, it->at, pair->text[0]);
	pair->value = sd_listpack_text(h->p, value_at, pair->text[1]);
	it->at = sd_listpack_next(h->p, value_at);
	return true;
}

void cache_hash_iter_end(struct cache_hash_iter *it)
{
	if (it->hash->encoding == CACHE_HASHTABLE)
		sd_dict_iter_end(&((struct cache_fields *)it->hash->p)->d);
}
