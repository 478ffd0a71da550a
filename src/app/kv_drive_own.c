/* kv_drive_own.c - sdlab/kv.h as what kv_drive.h drives. */
#include "kv_drive_own.h"

#include <stdlib.h>

#include "sdlab/kv.h"

struct own {
	struct sd_kv *kv;
	uint64_t looked; /* so that keys and values are looked at */
};

static enum sd_err own_open(struct sd_world *w, const struct sd_kv_settings *s, void **db, struct sd_error *e)
{
	struct sd_kv_conf conf = {
	    .sync = s->sync ? SD_KV_ALWAYS : SD_KV_NO,
	    .compression = s->compress ? SD_KV_ZSTD : SD_KV_PLAIN,
	    .memtable_bytes = s->memtable_bytes,
	    .cache_bytes = s->cache_bytes,
	    .table_bytes = s->table_bytes,
	    .no_filter = !s->filter,
	    .world = w,
	};
	struct own *o = calloc(1, sizeof(*o));
	if (!o)
		return sd_fail(e, SD_ENOMEM, "out of memory");
	enum sd_err err = sd_kv_open(s->dir, &conf, &o->kv, e);
	if (err)
		free(o);
	else
		*db = o;
	return err;
}

static void own_close(void *db)
{
	struct own *o = db;
	sd_kv_close(o->kv, NULL);
	free(o);
}

static enum sd_err own_put(void *db, struct sd_slice key, struct sd_slice value, struct sd_error *e)
{
	return sd_kv_put(((struct own *)db)->kv, key, value, e);
}

static enum sd_err own_get(void *db, struct sd_slice key, size_t *n, struct sd_error *e)
{
	char small[4096];
	struct own *o = db;
	struct sd_kv_value v = {0};
	enum sd_err err = sd_kv_get_into(o->kv, NULL, key, small, sizeof(small), n, e);
	if (err != SD_ERANGE)
		return err;
	err = sd_kv_get(o->kv, NULL, key, &v, e);
	*n = v.n;
	sd_kv_value_free(&v);
	return err;
}

static void look(struct own *o, struct sd_slice s)
{
	uint64_t v = 0;
	memcpy(&v, s.p, s.n < 8 ? s.n : 8);
	__atomic_store_n(&o->looked, v + s.n, __ATOMIC_RELAXED);
}

static enum sd_err own_scan(void *db, struct sd_slice from, uint32_t most, uint32_t *n, struct sd_error *e)
{
	struct own *o = db;
	struct sd_kv_iter *i;
	enum sd_err err = sd_kv_iter_new(o->kv, NULL, &i, e);
	if (err)
		return err;
	for (bool there = sd_kv_iter_seek(i, from); there && *n < most; there = sd_kv_iter_next(i), ++*n) {
		look(o, sd_kv_iter_key(i));
		look(o, sd_kv_iter_value(i));
	}
	err = sd_kv_iter_err(i, e);
	sd_kv_iter_free(i);
	return err;
}

const struct sd_kv_engine sd_kv_engine_own = {
    .name = "ours",
    .open = own_open,
    .close = own_close,
    .put = own_put,
    .get = own_get,
    .scan = own_scan,
};
