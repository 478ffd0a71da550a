/* cache_hash_commands.c - the commands about hashes. */
#include <math.h>
#include <stdlib.h>

#include "cache_hash.h"
#include "../engine/cache_sample.h"
#include "../engine/cache_scan.h"

static void no_memory(struct cache_call *c)
{
	sd_resp_error(c->out, cache_no_memory);
}

/* The hash of argv[1] for reading; *there: there is one. False: the reply says that it is something else. */
static bool read_hash(struct cache_call *c, struct cache_hash *h, bool *there)
{
	struct cache_item *it;
	if (!cache_typed(c, 1, CACHE_HASH, &it))
		return false;
	*there = it;
	if (it)
		*h = cache_hash_of(c->cache, it);
	return true;
}

/* ---- setting ---- */

/* A hash that a command is about to change: of a key, or one for a key that there is none of yet. */
struct change {
	struct cache_item *it; /* NULL: not yet */
	struct cache_hash h;
};

static bool begin(struct cache_call *c, struct change *w)
{
	if (!cache_typed_for_write(c, 1, CACHE_HASH, &w->it))
		return false;
	if (w->it) {
		w->h = cache_hash_of(c->cache, w->it);
		return true;
	}
	if (cache_hash_new(c->cache, &w->h))
		return true;
	no_memory(c);
	return false;
}

/* The key has what became of it, also of a part. False: out of memory, which is the reply. */
static bool end(struct cache_call *c, struct change *w, bool fits)
{
	if (!w->it && fits)
		w->it = cache_make(c->db, c->argv[1], CACHE_HASH, w->h.encoding, w->h.p);
	if (w->it) {
		cache_hash_keep(w->it, &w->h);
		cache_changed(c->db, c->argv[1]);
	} else {
		cache_hash_free(&w->h);
	}
	if (w->it && fits)
		return true;
	no_memory(c);
	return false;
}

/* How many fields are new; -1: the reply was an error. */
static int64_t set_pairs(struct cache_call *c)
{
	struct change w;
	int64_t added = 0;
	if (c->argc % 2) {
		sd_resp_errorf(c->out, "ERR wrong number of arguments for '%s' command", c->command->is->name);
		return -1;
	}
	if (!begin(c, &w))
		return -1;
	bool fits = cache_hash_expect(&w.h, c->argv + 2, c->argc - 2);
	for (size_t i = 2; fits && i < c->argc; i += 2) {
		int k = cache_hash_set(&w.h, c->argv[i], c->argv[i + 1]);
		fits = k >= 0;
		added += k > 0;
	}
	return end(c, &w, fits) ? added : -1;
}

static void cmd_hset(struct cache_call *c)
{
	int64_t added = set_pairs(c);
	if (added >= 0)
		sd_resp_int(c->out, added);
}

static void cmd_hmset(struct cache_call *c)
{
	if (set_pairs(c) >= 0)
		sd_resp_simple(c->out, "OK");
}

static void cmd_hsetnx(struct cache_call *c)
{
	char text[SD_LISTPACK_TEXT];
	struct sd_slice value;
	struct change w;
	if (!begin(c, &w))
		return;
	if (cache_hash_get(&w.h, c->argv[2], text, &value)) {
		sd_resp_int(c->out, 0);
		return;
	}
	if (end(c, &w, cache_hash_set(&w.h, c->argv[2], c->argv[3]) >= 0))
		sd_resp_int(c->out, 1);
}

/* Sets the field of a hash that was begun; text is its new value. */
static bool set_one(struct cache_call *c, struct change *w, struct sd_slice text)
{
	return end(c, w, cache_hash_set(&w->h, c->argv[2], text) >= 0);
}

/* It stays as it was. */
static void give_up(struct change *w)
{
	if (!w->it)
		cache_hash_free(&w->h);
}

static bool field_is_int(struct cache_call *c, struct change *w, int64_t *v)
{
	char text[SD_LISTPACK_TEXT];
	struct sd_slice has;
	if (!cache_hash_get(&w->h, c->argv[2], text, &has) || sd_resp_parse_int(has, v))
		return true;
	sd_resp_error(c->out, "ERR hash value is not an integer");
	return false;
}

static void cmd_hincrby(struct cache_call *c)
{
	char text[24];
	struct change w;
	int64_t v = 0, by;
	if (!cache_arg_int(c, 3, &by) || !begin(c, &w))
		return;
	if (!field_is_int(c, &w, &v) || !sd_redis_add_int(c->out, &v, by)) {
		give_up(&w);
		return;
	}
	size_t n = sd_resp_int_text(text, v);
	if (set_one(c, &w, (struct sd_slice){text, n}))
		sd_resp_int(c->out, v);
}

static bool field_is_float(struct cache_call *c, struct change *w, long double *v)
{
	char text[SD_LISTPACK_TEXT];
	struct sd_slice has;
	if (!cache_hash_get(&w->h, c->argv[2], text, &has) || sd_redis_parse_double(has, v))
		return true;
	sd_resp_error(c->out, "ERR hash value is not a float");
	return false;
}

static void cmd_hincrbyfloat(struct cache_call *c)
{
	struct sd_redis_float sum;
	struct change w;
	long double v = 0, by;
	if (!sd_redis_parse_double(c->argv[3], &by)) {
		sd_resp_error(c->out, sd_redis_not_float);
		return;
	}
	if (isnan(by) || isinf(by)) {
		sd_resp_error(c->out, "ERR value is NaN or Infinity");
		return;
	}
	if (!begin(c, &w))
		return;
	if (!field_is_float(c, &w, &v) || !sd_redis_add_float(c->out, v, by, &sum))
		give_up(&w);
	else if (set_one(c, &w, (struct sd_slice){sum.text, sum.n}))
		sd_resp_bulk(c->out, sum.text, sum.n);
}

static void cmd_hdel(struct cache_call *c)
{
	struct cache_item *it;
	int64_t n = 0;
	if (!cache_typed_for_write(c, 1, CACHE_HASH, &it))
		return;
	struct cache_hash h = it ? cache_hash_of(c->cache, it) : (struct cache_hash){0};
	for (size_t i = 2; it && i < c->argc; i++)
		if (cache_hash_count(&h))
			n += cache_hash_remove(&h, c->argv[i]);
	if (it)
		cache_hash_keep(it, &h);
	if (n && cache_hash_count(&h) == 0)
		cache_delete(c->db, it);
	else if (n)
		cache_changed(c->db, c->argv[1]);
	sd_resp_int(c->out, n);
}

/* ---- getting ---- */

static void reply_field(struct cache_call *c, const struct cache_hash *h, struct sd_slice field)
{
	char text[SD_LISTPACK_TEXT];
	struct sd_slice value;
	if (h->p && cache_hash_get(h, field, text, &value))
		sd_resp_bulk(c->out, value.p, value.n);
	else
		sd_resp_null(c->out);
}

static void cmd_hget(struct cache_call *c)
{
	struct cache_hash h = {0};
	bool there;
	if (read_hash(c, &h, &there))
		reply_field(c, &h, c->argv[2]);
}

static void cmd_hmget(struct cache_call *c)
{
	struct cache_hash h = {0};
	bool there;
	if (!read_hash(c, &h, &there))
		return;
	sd_resp_array(c->out, c->argc - 2);
	for (size_t i = 2; i < c->argc; i++)
		reply_field(c, &h, c->argv[i]);
}

static void cmd_hlen(struct cache_call *c)
{
	struct cache_hash h;
	bool there;
	if (read_hash(c, &h, &there))
		sd_resp_int(c->out, there ? (int64_t)cache_hash_count(&h) : 0);
}

static void cmd_hstrlen(struct cache_call *c)
{
	char text[SD_LISTPACK_TEXT];
	struct sd_slice value;
	struct cache_hash h;
	bool there;
	if (read_hash(c, &h, &there))
		sd_resp_int(c->out, there && cache_hash_get(&h, c->argv[2], text, &value) ? (int64_t)value.n : 0);
}

static void cmd_hexists(struct cache_call *c)
{
	char text[SD_LISTPACK_TEXT];
	struct sd_slice value;
	struct cache_hash h;
	bool there;
	if (read_hash(c, &h, &there))
		sd_resp_int(c->out, there && cache_hash_get(&h, c->argv[2], text, &value));
}

/* ---- all of it ---- */

enum { FIELDS = 1, VALUES = 2 };

static void reply_pair(struct cache_call *c, const struct cache_pair *pair, unsigned what)
{
	if (what & FIELDS)
		sd_resp_bulk(c->out, pair->field.p, pair->field.n);
	if (what & VALUES)
		sd_resp_bulk(c->out, pair->value.p, pair->value.n);
}

static void get_all(struct cache_call *c, unsigned what)
{
	struct cache_hash_iter it;
	struct cache_pair pair;
	struct cache_hash h;
	bool there;
	if (!read_hash(c, &h, &there))
		return;
	size_t n = there ? cache_hash_count(&h) : 0;
	if (what == (FIELDS | VALUES))
		sd_resp_map(c->out, n);
	else
		sd_resp_array(c->out, n);
	if (!there)
		return;
	cache_hash_iter_begin(&h, &it);
	while (cache_hash_iter_next(&it, &pair))
		reply_pair(c, &pair, what);
	cache_hash_iter_end(&it);
}

static void cmd_hgetall(struct cache_call *c)
{
	get_all(c, FIELDS | VALUES);
}

static void cmd_hkeys(struct cache_call *c)
{
	get_all(c, FIELDS);
}

static void cmd_hvals(struct cache_call *c)
{
	get_all(c, VALUES);
}

static void scan_field(void *arg, struct sd_dict_entry *e)
{
	const struct cache_field *f = (struct cache_field *)e;
	const struct sd_slice value = {f->text + e->klen, f->n};
	cache_scan_give(arg, (struct sd_slice){f->text, e->klen}, &value);
}

static void cmd_hscan(struct cache_call *c)
{
	struct cache_hash_iter it;
	struct cache_pair pair;
	struct cache_scan scan;
	struct cache_hash h;
	bool there;
	if (!cache_scan_begin(c, 2, &scan) || !read_hash(c, &h, &there))
		return;
	if (!there) { /* before what is wrong with the options, as Redis has it */
		cache_scan_end(&scan);
		return;
	}
	if (!cache_scan_options(&scan, 3))
		return;
	if (h.encoding == CACHE_HASHTABLE) {
		cache_scan_table(&scan, &((struct cache_fields *)h.p)->d, scan_field);
		return;
	}
	cache_hash_iter_begin(&h, &it);
	while (cache_hash_iter_next(&it, &pair))
		cache_scan_give(&scan, pair.field, &pair.value);
	cache_hash_iter_end(&it);
	cache_scan_end(&scan);
}

/* ---- HRANDFIELD ---- */

static void reply_random(struct cache_call *c, const struct cache_pair *pair, bool values)
{
	if (values && c->out->resp3)
		sd_resp_array(c->out, 2);
	reply_pair(c, pair, values ? FIELDS | VALUES : FIELDS);
}

static void reply_header(struct cache_call *c, uint64_t n, bool values)
{
	sd_resp_array(c->out, values && !c->out->resp3 ? n * 2 : n);
}

/* The same one may come again. */
static void any_fields(struct cache_call *c, const struct cache_hash *h, uint64_t n, bool values)
{
	struct cache_pair pair;
	size_t most = c->out->n + CACHE_SAMPLE_LONGEST;
	reply_header(c, n, values);
	for (; n && !c->out->full; n--) {
		cache_hash_random(h, &pair);
		reply_random(c, &pair, values);
		c->out->full |= c->out->n > most;
	}
}

static void sampled_fields(struct cache_call *c, const struct cache_hash *h, size_t n, bool values)
{
	struct cache_sample sample = {&c->cache->rng, (uint32_t)n, (uint32_t)cache_hash_count(h)};
	struct cache_hash_iter it;
	struct cache_pair pair;
	cache_hash_iter_begin(h, &it);
	while (sample.wanted && cache_hash_iter_next(&it, &pair))
		if (cache_sample_takes(&sample))
			reply_random(c, &pair, values);
	cache_hash_iter_end(&it);
}

/* Puts it into a table of power of two places, of which at most half are used; false: it is there. */
static bool note(uintptr_t *seen, size_t places, uintptr_t what)
{
	size_t at = (size_t)(what >> 4) * 0x9e3779b97f4a7c15u >> 20 & (places - 1);
	for (; seen[at] && seen[at] != what; at = (at + 1) & (places - 1))
		;
	bool is_new = !seen[at];
	seen[at] = what;
	return is_new;
}

/* Few of many: by chance, until there are enough that differ. */
static bool few_fields(struct cache_call *c, const struct cache_hash *h, size_t n, bool values)
{
	size_t places = 16;
	while (places < 2 * n)
		places *= 2;
	uintptr_t *seen = calloc(places, sizeof(*seen));
	struct cache_pair pair;
	if (!seen)
		return false;
	while (n) {
		cache_hash_random(h, &pair);
		if (!note(seen, places, (uintptr_t)pair.field.p))
			continue;
		reply_random(c, &pair, values);
		n--;
	}
	free(seen);
	return true;
}

static void different_fields(struct cache_call *c, const struct cache_hash *h, uint64_t wanted, bool values)
{
	size_t count = cache_hash_count(h), n = wanted < count ? wanted : count;
	reply_header(c, n, values);
	bool few = h->encoding == CACHE_HASHTABLE && n < count / 8;
	if (!few || !few_fields(c, h, n, values))
		sampled_fields(c, h, n, values);
}

static bool random_options(struct cache_call *c, int64_t *count, bool *values)
{
	if (!cache_arg_int(c, 2, count))
		return false;
	*values = c->argc == 4 && cache_is(c->argv[3], "withvalues");
	if (*count == INT64_MIN)
		sd_resp_error(c->out, "ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807");
	else if (c->argc > 4 || (c->argc == 4 && !*values))
		sd_resp_error(c->out, sd_redis_syntax);
	else if (*values && (*count < -INT64_MAX / 2 || *count > INT64_MAX / 2))
		sd_resp_error(c->out, "ERR value is out of range");
	else
		return true;
	return false;
}

static void cmd_hrandfield(struct cache_call *c)
{
	struct cache_pair pair;
	struct cache_hash h;
	int64_t count = 1;
	bool there, values = false;
	if ((c->argc > 2 && !random_options(c, &count, &values)) || !read_hash(c, &h, &there))
		return;
	if (c->argc == 2 && there) {
		cache_hash_random(&h, &pair);
		reply_pair(c, &pair, FIELDS);
	} else if (c->argc == 2) {
		sd_resp_null(c->out);
	} else if (!there || count == 0) {
		sd_resp_array(c->out, 0);
	} else if (count < 0) {
		any_fields(c, &h, (uint64_t)-count, values);
	} else {
		different_fields(c, &h, (uint64_t)count, values);
	}
}

const struct cache_command cache_hash_commands[] = {
    {SD_REDIS(HDEL), cmd_hdel},
    {SD_REDIS(HEXISTS), cmd_hexists},
    {SD_REDIS(HGET), cmd_hget},
    {SD_REDIS(HGETALL), cmd_hgetall},
    {SD_REDIS(HINCRBY), cmd_hincrby},
    {SD_REDIS(HINCRBYFLOAT), cmd_hincrbyfloat},
    {SD_REDIS(HKEYS), cmd_hkeys},
    {SD_REDIS(HLEN), cmd_hlen},
    {SD_REDIS(HMGET), cmd_hmget},
    {SD_REDIS(HMSET), cmd_hmset},
    {SD_REDIS(HRANDFIELD), cmd_hrandfield},
    {SD_REDIS(HSCAN), cmd_hscan},
    {SD_REDIS(HSET), cmd_hset},
    {SD_REDIS(HSETNX), cmd_hsetnx},
    {SD_REDIS(HSTRLEN), cmd_hstrlen},
    {SD_REDIS(HVALS), cmd_hvals},
    {0},
};
