#include "cache_ahead.h"

/* Almost all commands have their first key there; for the others it costs nothing but the time. */
#define KEY_AT 1

void cache_ahead_fetch_all(const struct cache_ahead *a, const struct cache_session *s)
{
	const struct cache_db *db = s->db;
	uint32_t hashes[CACHE_AHEAD];
	for (size_t i = 0; i < a->n; i++) {
		const struct sd_resp_reader *r = &a->readers[i];
		hashes[i] = r->argc > KEY_AT ? sd_dict_hash(&db->keys, r->argv[KEY_AT]) : 0;
		sd_dict_fetch_bucket(&db->keys, hashes[i]);
	}
	for (size_t i = 0; i < a->n; i++)
		sd_dict_fetch_entry(&db->keys, hashes[i]);
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
