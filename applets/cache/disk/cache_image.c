/* cache_image.c - values as bytes and back; DUMP and RESTORE. */
#include "cache_image.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- writing ---- */

void cache_image_put_item(struct sd_text *t, const struct cache *c, const struct cache_item *it)
{
	const struct cache_image_writer *w = cache_image_writers[it->type];
	int64_t at = cache_expires_at(it);
	if (at >= 0)
		sd_rdb_put_expiry(t, at);
	if (c->evict.by == CACHE_BY_USE)
		sd_rdb_put_freq(t, (uint8_t)cache_use_count(c, it));
	else if (cache_idle_s(c, it))
		sd_rdb_put_idle(t, cache_idle_s(c, it));
	sd_rdb_put_type(t, w->type(it));
	sd_rdb_put_string(t, cache_key(it));
	w->put(t, it);
}

void cache_image_put_dump(struct sd_text *t, const struct cache_item *it)
{
	const struct cache_image_writer *w = cache_image_writers[it->type];
	sd_rdb_put_type(t, w->type(it));
	w->put(t, it);
	sd_rdb_put_seal(t);
}

/* ---- reading ---- */

static enum sd_rdb_step bad(struct cache_image *im, const char *why)
{
	snprintf(im->reader.error, sizeof(im->reader.error), "%s", why);
	return SD_RDB_BAD;
}

static void drop_value(struct cache_image *im)
{
	if (im->value)
		cache_types[im->type]->free(im->cache, im->encoding, im->value);
	im->value = NULL;
}

static const char *begin(struct cache_image *im, const struct sd_rdb_token *t)
{
	drop_value(im);
	im->how = cache_image_reader(t->type);
	if (!im->how)
		return "a type of value that is not supported";
	im->key.n = im->text.n = 0;
	sd_text_add(&im->key, t->a.p ? t->a.p : "", t->a.n);
	im->expires_ms = t->expires_ms;
	im->idle_s = t->idle_s;
	im->freq = t->freq;
	im->type = im->how->type;
	im->empty = false;
	if (im->key.full)
		return "out of memory";
	return im->how->begin ? im->how->begin(im) : NULL;
}

/* What one token means for the value; *whole: the caller is to see it. */
static const char *take(struct cache_image *im, const struct sd_rdb_token *t, bool *whole)
{
	*whole = t->kind != SD_RDB_KEY && t->kind != SD_RDB_PART;
	switch (t->kind) {
	case SD_RDB_KEY:
		return begin(im, t);
	case SD_RDB_PART:
		return im->how->part(im, t);
	case SD_RDB_DONE:
		return im->how->end ? im->how->end(im) : NULL;
	default:
		return NULL;
	}
}

enum sd_rdb_step cache_image_read(struct cache_image *im, const char *p, size_t n, size_t *took, struct sd_rdb_token *t)
{
	size_t at = 0, one;
	bool whole = false;
	enum sd_rdb_step step = SD_RDB_TOKEN;
	while (!whole && step == SD_RDB_TOKEN) {
		step = sd_rdb_read(&im->reader, p + at, n - at, &one, t);
		const char *wrong = step == SD_RDB_TOKEN ? take(im, t, &whole) : NULL;
		if (wrong)
			step = bad(im, wrong);
		at += one;
	}
	*took = at;
	return step;
}

bool cache_image_store(struct cache_image *im, struct cache_db *db, struct sd_slice key)
{
	int64_t end = im->expires_ms < 0 ? CACHE_NO_END : im->expires_ms;
	struct cache_item *it;
	if (im->type == CACHE_STRING)
		it = cache_set_string(db, key, (struct sd_slice){im->text.p, im->text.n}, end);
	else
		it = cache_put_until(db, key, im->type, im->encoding, im->value, end);
	if (!it)
		return false;
	im->value = NULL;
	bool by_use = db->cache->evict.by == CACHE_BY_USE;
	int64_t now_ms = db->cache->now_ms;
	if (by_use && im->freq >= 0)
		it->clock = ((uint32_t)(now_ms / 60000) << 8 | (uint32_t)im->freq) & 0xffffff;
	else if (!by_use && im->idle_s > 0)
		it->clock = (uint32_t)(now_ms / 1000 - im->idle_s) & 0xffffff;
	return true;
}

void cache_image_free(struct cache_image *im)
{
	drop_value(im);
	sd_rdb_reader_free(&im->reader);
	free(im->key.p);
	free(im->text.p);
}

/* ---- DUMP and RESTORE ---- */

static void cmd_dump(struct cache_call *c)
{
	struct sd_text t = {0};
	const struct cache_item *it = cache_find(c->db, c->argv[1]);
	if (!it) {
		sd_resp_null(c->out);
		return;
	}
	cache_image_put_dump(&t, it);
	if (t.full)
		sd_resp_error(c->out, cache_no_memory);
	else
		sd_resp_bulk(c->out, t.p, t.n);
	free(t.p);
}

struct restore {
	bool replace, absolute;
	int64_t idle_s, freq, at_ms; /* -1: not said */
};

/* Another argument is its value. */
static bool restore_number(struct cache_call *c, size_t i, int64_t *out)
{
	bool freq = cache_is(c->argv[i], "freq");
	if (!cache_arg_int(c, i + 1, out))
		return false;
	if (freq && (*out < 0 || *out > 255))
		sd_resp_error(c->out, "ERR Invalid FREQ value, must be >= 0 and <= 255");
	else if (!freq && *out < 0)
		sd_resp_error(c->out, "ERR Invalid IDLETIME value, must be >= 0");
	else
		return true;
	return false;
}

static bool restore_options(struct cache_call *c, struct restore *r)
{
	for (size_t i = 4; i < c->argc; i++) {
		bool more = i + 1 < c->argc;
		if (cache_is(c->argv[i], "replace")) {
			r->replace = true;
		} else if (cache_is(c->argv[i], "absttl")) {
			r->absolute = true;
		} else if (more && ((cache_is(c->argv[i], "idletime") && r->freq < 0) || (cache_is(c->argv[i], "freq") && r->idle_s < 0))) {
			if (!restore_number(c, i, cache_is(c->argv[i], "freq") ? &r->freq : &r->idle_s))
				return false;
			i++;
		} else {
			sd_resp_error(c->out, sd_redis_syntax);
			return false;
		}
	}
	return true;
}

static bool restore_ttl(struct cache_call *c, struct restore *r)
{
	int64_t ttl;
	if (!cache_arg_int(c, 2, &ttl))
		return false;
	if (ttl < 0) {
		sd_resp_error(c->out, "ERR Invalid TTL value, must be >= 0");
		return false;
	}
	r->at_ms = ttl ? ttl : -1;
	if (ttl && !r->absolute && __builtin_add_overflow(ttl, c->cache->now_ms, &r->at_ms))
		r->at_ms = INT64_MAX;
	return true;
}

/* The whole value at once; false: it is none, and the reply says so. */
static bool restore_value(struct cache_call *c, struct cache_image *im)
{
	struct sd_slice value;
	struct sd_rdb_token t;
	size_t took;
	if (!sd_rdb_check_seal(c->argv[3], &value)) {
		sd_resp_error(c->out, "ERR DUMP payload version or checksum are wrong");
		return false;
	}
	sd_rdb_reader_value(&im->reader);
	bool good = cache_image_read(im, value.p, value.n, &took, &t) == SD_RDB_TOKEN && !im->empty && took == value.n;
	if (!good)
		sd_resp_error(c->out, "ERR Bad data format");
	return good;
}

static void restore_key(struct cache_call *c, struct cache_image *im, const struct restore *r)
{
	if (r->at_ms >= 0 && r->at_ms <= c->cache->now_ms) {
		struct cache_item *it = cache_find(c->db, c->argv[1]);
		if (it)
			cache_delete(c->db, it);
		sd_resp_simple(c->out, "OK");
		return;
	}
	im->expires_ms = r->at_ms;
	im->idle_s = r->idle_s;
	im->freq = r->freq;
	if (cache_image_store(im, c->db, c->argv[1]))
		sd_resp_simple(c->out, "OK");
	else
		sd_resp_error(c->out, cache_no_memory);
}

static void cmd_restore(struct cache_call *c)
{
	struct restore r = {.idle_s = -1, .freq = -1, .at_ms = -1};
	struct cache_image im = {.cache = c->cache};
	if (!restore_options(c, &r))
		return;
	if (!r.replace && cache_find(c->db, c->argv[1])) {
		sd_resp_error(c->out, "BUSYKEY Target key name already exists.");
		return;
	}
	if (restore_ttl(c, &r) && restore_value(c, &im))
		restore_key(c, &im, &r);
	cache_image_free(&im);
}

const struct cache_command cache_image_commands[] = {
    {SD_REDIS(DUMP), cmd_dump},
    {SD_REDIS(RESTORE), cmd_restore},
    {0},
};
