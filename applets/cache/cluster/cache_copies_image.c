/* cache_copies_image.c - values as bytes between nodes: what DUMP has, without its seal. */
#include "cache_copies_int.h"
#include "../disk/cache_image.h"

void copies_put_image(struct sd_text *t, const struct cache_item *it)
{
	const struct cache_image_writer *w = cache_image_writers[it->type];
	sd_rdb_put_type(t, w->type(it));
	w->put(t, it);
}

bool copies_store_image(struct cache *c, struct cache_db *db, const struct copies_state *s)
{
	struct cache_image im = {.cache = c};
	struct sd_rdb_token t;
	size_t took;
	sd_rdb_reader_value(&im.reader);
	bool ok = cache_image_read(&im, s->image.p, s->image.n, &took, &t) == SD_RDB_TOKEN && t.kind == SD_RDB_DONE && !im.empty &&
		  took == s->image.n;
	im.expires_ms = s->ends_ms;
	im.idle_s = im.freq = -1;
	ok = ok && cache_image_store(&im, db, s->key);
	cache_image_free(&im);
	return ok;
}
