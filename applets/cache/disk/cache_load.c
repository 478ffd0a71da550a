#include "cache_load.h"

#include <stdarg.h>
#include <stdio.h>

__attribute__((format(printf, 2, 3))) static bool bad(struct cache_loader *l, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	vsnprintf(l->im.reader.error, sizeof(l->im.reader.error), format, args);
	va_end(args);
	return false;
}

static bool take_value(struct cache_loader *l)
{
	struct cache_db *db = &l->im.cache->dbs[l->db];
	struct sd_slice key = {l->im.key.p, l->im.key.n};
	if (l->im.empty)
		return true;
	if (l->im.expires_ms >= 0 && l->im.expires_ms <= l->im.cache->now_ms) {
		l->expired++;
		return true;
	}
	if (cache_find(db, key))
		return bad(l, "a key that was there before, in database %u", l->db);
	if (!cache_image_store(&l->im, db, key))
		return bad(l, "out of memory after %llu keys", (unsigned long long)l->keys);
	l->keys++;
	return true;
}

static bool take(struct cache_loader *l, const struct sd_rdb_token *t)
{
	switch (t->kind) {
	case SD_RDB_DB:
		if (t->n >= CACHE_DBS)
			return bad(l, "database %llu; expected 0 to %d", (unsigned long long)t->n, CACHE_DBS - 1);
		l->db = (unsigned)t->n;
		return true;
	case SD_RDB_DONE:
		return take_value(l);
	case SD_RDB_END:
		l->ended = true;
		return true;
	default:
		return true;
	}
}

bool cache_load(struct cache_loader *l, const char *p, size_t n, size_t *took)
{
	struct sd_rdb_token t;
	size_t one;
	enum sd_rdb_step step = SD_RDB_TOKEN;
	*took = 0;
	while (step == SD_RDB_TOKEN && !l->ended) {
		step = cache_image_read(&l->im, p + *took, n - *took, &one, &t);
		*took += one;
		if (step == SD_RDB_BAD || (step == SD_RDB_TOKEN && !take(l, &t)))
			return false;
	}
	return !l->ended || *took == n || bad(l, "%zu bytes behind the end", n - *took);
}
