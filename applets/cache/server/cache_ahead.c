#include "cache_ahead.h"

/* Almost all commands have their first key there; for the others it costs nothing but the time. */
#define KEY_AT 1

/* What is behind a key: its value, when that is elsewhere in memory. */
struct behind {
	const struct cache_type_ops *ops; /* NULL: nothing is */
	const void *value;
};

static struct behind look_behind(const struct cache_db *db, uint32_t hash)
{
	const struct cache_item *it = (const struct cache_item *)sd_dict_with_hash(&db->keys, hash, NULL);
	if (!it || it->encoding <= CACHE_EMBSTR)
		return (struct behind){0};
	return (struct behind){cache_types[it->type], cache_value(it)};
}

static void fetch_values(const struct behind *behind, size_t n)
{
	for (unsigned step = 0; step < CACHE_FETCH_STEPS; step++)
		for (size_t i = 0; i < n; i++)
			if (behind[i].ops && behind[i].ops->fetch)
				behind[i].ops->fetch(behind[i].value, step);
}

void cache_ahead_fetch_all(const struct cache_ahead *a, const struct cache_session *s)
{
	const struct cache_db *db = s->db;
	uint32_t hashes[CACHE_AHEAD];
	struct behind behind[CACHE_AHEAD];
	for (size_t i = 0; i < a->n; i++) {
		const struct sd_resp_reader *r = &a->readers[i];
		hashes[i] = r->argc > KEY_AT ? sd_dict_hash(&db->keys, r->argv[KEY_AT]) : 0;
		sd_dict_fetch_bucket(&db->keys, hashes[i]);
	}
	for (size_t i = 0; i < a->n; i++)
		sd_dict_fetch_entry(&db->keys, hashes[i]);
	for (size_t i = 0; i < a->n; i++) {
		behind[i] = look_behind(db, hashes[i]);
		__builtin_prefetch(behind[i].value);
	}
	fetch_values(behind, a->n);
}

size_t cache_ahead_fill(struct cache_ahead *a, const char *p, size_t n, const struct sd_resp_limits *limits)
{
	size_t at = 0;
	cache_ahead_drop(a);
	while (a->n < CACHE_AHEAD && at < n) {
		struct sd_resp_reader *r = &a->readers[a->n];
		ssize_t k = sd_resp_read(r, p + at, n - at, limits);
		if (k <= 0) {
			sd_resp_reader_reset(r);
			break;
		}
		a->lengths[a->n++] = (size_t)k;
		at += (size_t)k;
	}
	return a->n;
}

struct sd_resp_reader *cache_ahead_next(struct cache_ahead *a, size_t *length)
{
	if (a->next == a->n)
		return NULL;
	*length = a->lengths[a->next];
	return &a->readers[a->next++];
}

void cache_ahead_drop(struct cache_ahead *a)
{
	for (size_t i = 0; i < a->n; i++)
		sd_resp_reader_reset(&a->readers[i]);
	a->n = a->next = 0;
}

void cache_ahead_free(struct cache_ahead *a)
{
	for (size_t i = 0; i < CACHE_AHEAD; i++)
		sd_resp_reader_free(&a->readers[i]);
	a->n = a->next = 0;
}
