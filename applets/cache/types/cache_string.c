/* cache_string.c - values that are strings: how they are kept, and the commands about them. */
#include <malloc.h>
#include <string.h>

#include "../engine/cache.h"

/* Up to here a value stands behind its key, in the item's own memory; longer ones can grow by themselves. */
#define EMBED 512

/* ---- keeping ---- */

static struct cache_bytes *raw(const struct cache_item *it)
{
	return cache_value(it);
}

struct sd_slice cache_string(const struct cache_item *it, char text[24])
{
	switch (it->encoding) {
	case CACHE_INT:
		return (struct sd_slice){text, sd_resp_int_text(text, cache_int(it))};
	case CACHE_EMBSTR:
		return (struct sd_slice){cache_place(it), it->n};
	default:
		return (struct sd_slice){raw(it)->p, raw(it)->n};
	}
}

static struct cache_bytes *bytes_new(struct cache *c, struct sd_slice value, size_t room)
{
	struct cache_bytes *b = cache_alloc(&c->memory, sizeof(*b) + room);
	if (!b)
		return NULL;
	b->n = value.n;
	b->room = room;
	if (value.n)
		memcpy(b->p, value.p, value.n);
	return b;
}

static void free_bytes(struct cache *c, unsigned encoding, void *value)
{
	(void)encoding;
	cache_free(&c->memory, value);
}

static void *copy_bytes(struct cache *c, unsigned encoding, const void *value)
{
	const struct cache_bytes *b = value;
	(void)encoding;
	return bytes_new(c, (struct sd_slice){b->p, b->n}, b->n);
}

const struct cache_type_ops cache_string_type = {"string", free_bytes, copy_bytes};

/* False: it was made for this value, and has to go since there is no memory for its end. */
static bool end(struct cache_db *db, struct sd_slice key, struct cache_item **it, int64_t at_ms, bool made)
{
	if (at_ms >= 0 && !cache_expire(db, it, at_ms)) {
		cache_delete(db, *it);
		return false;
	}
	if (at_ms == CACHE_NO_END && !made)
		cache_persist(db, *it);
	cache_changed(db, key);
	return true;
}

/* it NULL: there is none yet; its value may be of any type, and is freed. value may not point into the item. NULL: out of memory, and what
 * was there stays. */
static struct cache_item *put(struct cache_db *db, struct sd_slice key, struct cache_item *it, struct sd_slice value, int64_t at_ms)
{
	struct cache *c = db->cache;
	int64_t number;
	bool is_int = value.n <= 20 && sd_resp_parse_int(value, &number);
	struct cache_bytes *bytes = NULL;
	size_t n = is_int || value.n > EMBED ? sizeof(int64_t) : value.n;
	if (!is_int && value.n > EMBED && !(bytes = bytes_new(c, value, value.n)))
		return NULL;
	bool made = !it;
	void *owned = it && it->encoding > CACHE_EMBSTR ? cache_value(it) : NULL;
	if (made ? !(it = cache_make_string(db, key, n)) : !cache_make_fit(db, &it, n, at_ms)) {
		cache_free(&c->memory, bytes);
		return NULL;
	}
	if (owned)
		cache_discard(c, it->type, it->encoding, owned);
	if (!made)
		cache_used_now(c, it);
	it->type = CACHE_STRING;
	it->encoding = is_int ? CACHE_INT : bytes ? CACHE_RAW : CACHE_EMBSTR;
	it->n = bytes || is_int ? 0 : (uint32_t)value.n & 0xfffffff;
	if (is_int)
		memcpy(cache_place(it), &number, sizeof(number));
	else if (bytes)
		memcpy(cache_place(it), &bytes, sizeof(bytes));
	else if (value.n)
		memcpy(cache_place(it), value.p, value.n);
	return end(db, key, &it, at_ms, made) ? it : NULL;
}

struct cache_item *cache_set_string(struct cache_db *db, struct sd_slice key, struct sd_slice value, int64_t at_ms)
{
	return put(db, key, cache_find(db, key), value, at_ms);
}

bool cache_copy_string(const struct cache_item *it, struct cache_db *to_db, struct sd_slice to, int64_t at_ms)
{
	char text[24];
	return cache_set_string(to_db, to, cache_string(it, text), at_ms);
}

/* The value as bytes that can grow to n; zeros between what is there and n. NULL: out of memory. */
static struct cache_bytes *growable(struct cache_call *c, struct sd_slice key, struct cache_item **it, size_t n)
{
	char text[24];
	struct sd_slice value = *it ? cache_string(*it, text) : (struct sd_slice){"", 0};
	struct cache_bytes *b = *it && (*it)->encoding == CACHE_RAW ? raw(*it) : NULL;
	size_t room = n < 1024 * 1024 ? n * 2 : n + 1024 * 1024;
	if (!b) {
		b = bytes_new(c->cache, value, room);
		bool ok = b && (*it ? cache_resize(c->db, it, sizeof(b)) : (*it = cache_make_string(c->db, key, sizeof(b))) != NULL);
		if (!ok) {
			cache_free(&c->cache->memory, b);
			return NULL;
		}
	} else if (b->room < n) {
		b = cache_realloc(&c->cache->memory, b, sizeof(*b) + room);
		if (!b)
			return NULL;
		b->room = room;
	}
	cache_set_value(*it, CACHE_RAW, b);
	cache_changed(c->db, key);
	if (n > b->n) {
		memset(b->p + b->n, 0, n - b->n);
		b->n = n;
	}
	return b;
}

/* ---- replies ---- */

static void reply_value(struct cache_call *c, const struct cache_item *it)
{
	char text[24];
	if (!it) {
		sd_resp_null(c->out);
		return;
	}
	struct sd_slice v = cache_string(it, text);
	sd_resp_bulk(c->out, v.p, v.n);
}

static void no_memory(struct cache_call *c)
{
	sd_resp_error(c->out, cache_no_memory);
}

/* A value may have n bytes behind those that are there. */
static bool fits(struct cache_call *c, size_t had, size_t n)
{
	return sd_redis_fits(c->out, had, n, (uint64_t)c->cache->limits.max_bulk);
}

/* ---- GET and SET ---- */

static void cmd_get(struct cache_call *c)
{
	struct cache_item *it;
	if (cache_typed(c, 1, CACHE_STRING, &it))
		reply_value(c, it);
}

static void cmd_set(struct cache_call *c)
{
	struct sd_redis_args a = cache_args(c);
	struct sd_redis_set o;
	size_t begun = c->out->n;
	int64_t at_ms = CACHE_NO_END;
	if (!sd_redis_set_options(&a, &o) || !sd_redis_set_time(&a, &o, c->cache->now_ms, &at_ms))
		return;
	if (o.flags & SD_SET_KEEPTTL)
		at_ms = CACHE_SAME_END;
	struct cache_item *it;
	if (!(o.flags & SD_SET_GET))
		it = cache_find(c->db, c->argv[1]);
	else if (cache_typed(c, 1, CACHE_STRING, &it))
		reply_value(c, it);
	else
		return;
	if (!sd_redis_set_fits(&o, it)) {
		if (!(o.flags & SD_SET_GET))
			sd_resp_null(c->out);
		return;
	}
	if (!put(c->db, c->argv[1], it, c->argv[2], at_ms)) {
		c->out->n = begun;
		no_memory(c);
	} else if (!(o.flags & SD_SET_GET)) {
		sd_resp_simple(c->out, "OK");
	}
}

static void cmd_setnx(struct cache_call *c)
{
	bool there = cache_find(c->db, c->argv[1]);
	if (!there && !cache_set_string(c->db, c->argv[1], c->argv[2], CACHE_NO_END))
		no_memory(c);
	else
		sd_resp_int(c->out, !there);
}

static void cmd_setex(struct cache_call *c)
{
	struct sd_redis_args a = cache_args(c);
	int64_t at_ms;
	if (!sd_redis_setex(&a, c->cache->now_ms, &at_ms))
		return;
	if (cache_set_string(c->db, c->argv[1], c->argv[3], at_ms))
		sd_resp_simple(c->out, "OK");
	else
		no_memory(c);
}

static void cmd_getset(struct cache_call *c)
{
	struct cache_item *it;
	size_t begun = c->out->n;
	if (!cache_typed(c, 1, CACHE_STRING, &it))
		return;
	reply_value(c, it);
	if (cache_set_string(c->db, c->argv[1], c->argv[2], CACHE_NO_END))
		return;
	c->out->n = begun;
	no_memory(c);
}

static void cmd_getdel(struct cache_call *c)
{
	struct cache_item *it;
	if (!cache_typed(c, 1, CACHE_STRING, &it))
		return;
	reply_value(c, it);
	if (it)
		cache_delete(c->db, it);
}

static void cmd_getex(struct cache_call *c)
{
	struct sd_redis_args a = cache_args(c);
	struct sd_redis_set o;
	int64_t at_ms = 0;
	size_t begun = c->out->n;
	if (!sd_redis_set_options(&a, &o))
		return;
	struct cache_item *it;
	if (!cache_typed(c, 1, CACHE_STRING, &it))
		return;
	if (!it) {
		sd_resp_null(c->out);
		return;
	}
	if (!sd_redis_set_time(&a, &o, c->cache->now_ms, &at_ms))
		return;
	reply_value(c, it);
	if (o.flags & SD_SET_EXPIRES && at_ms <= c->cache->now_ms) {
		cache_delete(c->db, it);
		return;
	}
	bool stays = o.flags & SD_SET_PERSIST && cache_expires_at(it) >= 0;
	if (stays)
		cache_persist(c->db, it);
	if (o.flags & SD_SET_EXPIRES && !cache_expire(c->db, &it, at_ms)) {
		c->out->n = begun;
		no_memory(c);
		return;
	}
	if (stays || o.flags & SD_SET_EXPIRES)
		cache_changed(c->db, c->argv[1]);
}

static void cmd_mget(struct cache_call *c)
{
	sd_resp_array(c->out, c->argc - 1);
	for (size_t i = 1; i < c->argc; i++) {
		struct cache_item *it = cache_read(c, c->argv[i]);
		reply_value(c, it && it->type == CACHE_STRING ? it : NULL);
	}
}

/* *i: the first that there was no memory for. */
static bool set_pairs(struct cache_call *c, size_t *i)
{
	for (*i = 1; *i < c->argc; *i += 2)
		if (!cache_set_string(c->db, c->argv[*i], c->argv[*i + 1], CACHE_NO_END)) {
			no_memory(c);
			return false;
		}
	return true;
}

static void cmd_mset(struct cache_call *c)
{
	struct sd_redis_args a = cache_args(c);
	size_t n;
	if (sd_redis_pairs(&a) && set_pairs(c, &n))
		sd_resp_simple(c->out, "OK");
}

static void cmd_msetnx(struct cache_call *c)
{
	struct sd_redis_args a = cache_args(c);
	if (!sd_redis_pairs(&a))
		return;
	for (size_t i = 1; i < c->argc; i += 2)
		if (cache_find(c->db, c->argv[i])) {
			sd_resp_int(c->out, 0);
			return;
		}
	size_t n;
	if (set_pairs(c, &n)) {
		sd_resp_int(c->out, 1);
		return;
	}
	while ((n -= 2) < c->argc) { /* all or none */
		struct cache_item *it = cache_find(c->db, c->argv[n]);
		if (it)
			cache_delete(c->db, it);
	}
}

/* ---- numbers ---- */

static void cmd_incr(struct cache_call *c)
{
	struct sd_redis_args a = cache_args(c);
	char text[24];
	struct cache_item *it;
	int64_t v = 0, by;
	if (!sd_redis_arg_incr(&a, &by) || !cache_typed_for_write(c, 1, CACHE_STRING, &it))
		return;
	bool is_int = it && it->encoding == CACHE_INT;
	if (is_int)
		v = cache_int(it);
	else if (it && !sd_redis_value_int(c->out, cache_string(it, text), &v))
		return;
	if (!sd_redis_add_int(c->out, &v, by))
		return;
	if (is_int) {
		memcpy(cache_place(it), &v, sizeof(v));
		cache_changed(c->db, c->argv[1]);
	} else if (!put(c->db, c->argv[1], it, (struct sd_slice){text, sd_resp_int_text(text, v)}, CACHE_SAME_END)) {
		no_memory(c);
		return;
	}
	sd_resp_int(c->out, v);
}

static void cmd_incrbyfloat(struct cache_call *c)
{
	struct sd_redis_args a = cache_args(c);
	struct sd_redis_float sum;
	char text[24];
	struct cache_item *it;
	if (!cache_typed_for_write(c, 1, CACHE_STRING, &it))
		return;
	if (!sd_redis_incr_float(&a, it ? cache_string(it, text) : (struct sd_slice){0}, &sum))
		return;
	if (put(c->db, c->argv[1], it, (struct sd_slice){sum.text, sum.n}, CACHE_SAME_END))
		sd_resp_bulk(c->out, sum.text, sum.n);
	else
		no_memory(c);
}

/* ---- parts ---- */

static void cmd_strlen(struct cache_call *c)
{
	char text[24];
	struct cache_item *it;
	if (cache_typed(c, 1, CACHE_STRING, &it))
		sd_resp_int(c->out, it ? (int64_t)cache_string(it, text).n : 0);
}

static void cmd_append(struct cache_call *c)
{
	char text[24];
	struct cache_item *it;
	if (!cache_typed_for_write(c, 1, CACHE_STRING, &it))
		return;
	size_t had = it ? cache_string(it, text).n : 0, n = c->argv[2].n;
	if (!it) {
		if (cache_set_string(c->db, c->argv[1], c->argv[2], CACHE_NO_END))
			sd_resp_int(c->out, (int64_t)n);
		else
			no_memory(c);
		return;
	}
	if (!fits(c, had, n))
		return;
	struct cache_bytes *b = growable(c, c->argv[1], &it, had + n);
	if (!b) {
		no_memory(c);
		return;
	}
	if (n)
		memcpy(b->p + had, c->argv[2].p, n);
	sd_resp_int(c->out, (int64_t)(had + n));
}

static void cmd_getrange(struct cache_call *c)
{
	struct sd_redis_args a = cache_args(c);
	char text[24];
	struct sd_redis_range r;
	struct cache_item *it;
	if (!sd_redis_arg_range(&a, &r) || !cache_typed(c, 1, CACHE_STRING, &it))
		return;
	struct sd_slice part = sd_redis_part(it ? cache_string(it, text) : (struct sd_slice){"", 0}, r);
	sd_resp_bulk(c->out, part.p, part.n);
}

static void cmd_setrange(struct cache_call *c)
{
	struct sd_redis_args a = cache_args(c);
	char text[24];
	size_t at;
	struct cache_item *it;
	if (!sd_redis_arg_offset(&a, &at) || !cache_typed_for_write(c, 1, CACHE_STRING, &it))
		return;
	size_t had = it ? cache_string(it, text).n : 0, n = c->argv[3].n;
	if (n == 0) {
		sd_resp_int(c->out, (int64_t)had);
		return;
	}
	if (!fits(c, at, n))
		return;
	size_t whole = at + n > had ? at + n : had;
	struct cache_bytes *b = growable(c, c->argv[1], &it, whole);
	if (!b) {
		no_memory(c);
		return;
	}
	memcpy(b->p + at, c->argv[3].p, n);
	sd_resp_int(c->out, (int64_t)b->n);
}

const struct cache_command cache_string_commands[] = {
    {SD_REDIS(APPEND), cmd_append},
    {SD_REDIS(DECR), cmd_incr},
    {SD_REDIS(DECRBY), cmd_incr},
    {SD_REDIS(GET), cmd_get},
    {SD_REDIS(GETDEL), cmd_getdel},
    {SD_REDIS(GETEX), cmd_getex},
    {SD_REDIS(GETRANGE), cmd_getrange},
    {SD_REDIS(GETSET), cmd_getset},
    {SD_REDIS(INCR), cmd_incr},
    {SD_REDIS(INCRBY), cmd_incr},
    {SD_REDIS(INCRBYFLOAT), cmd_incrbyfloat},
    {SD_REDIS(MGET), cmd_mget},
    {SD_REDIS(MSET), cmd_mset},
    {SD_REDIS(MSETNX), cmd_msetnx},
    {SD_REDIS(PSETEX), cmd_setex},
    {SD_REDIS(SET), cmd_set},
    {SD_REDIS(SETEX), cmd_setex},
    {SD_REDIS(SETNX), cmd_setnx},
    {SD_REDIS(SETRANGE), cmd_setrange},
    {SD_REDIS(STRLEN), cmd_strlen},
    {SD_REDIS(SUBSTR), cmd_getrange},
    {0},
};
