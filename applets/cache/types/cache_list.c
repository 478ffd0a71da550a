/* cache_list.c - values that are lists, and the commands that put something into one and look at what is in it. */
#include "cache_list.h"

/* ---- keeping ---- */

static void free_list(struct cache *c, unsigned encoding, void *value)
{
	(void)encoding;
	quicklist_free(&c->memory, value);
}

static void *copy_list(struct cache *c, unsigned encoding, const void *value)
{
	(void)encoding;
	return quicklist_copy(&c->memory, value);
}

static void fetch_list(const void *value, unsigned step)
{
	quicklist_fetch(value, step);
}

static bool free_some(struct cache *c, void *value, size_t *most)
{
	return quicklist_free_some(&c->memory, value, most);
}

/* Its nodes are not counted; of few values there are few. */
static size_t pieces(const void *value)
{
	return ((const struct quicklist *)value)->count;
}

const struct cache_type_ops cache_list_type = {
    "list", free_list, copy_list, fetch_list, .many = CACHE_QUICKLIST, .pieces = pieces, .free_some = free_some,
};

static struct cache_item *make_list(struct cache_call *c, struct sd_slice key)
{
	struct cache *cache = c->cache;
	struct quicklist *q = quicklist_new(&cache->memory, cache->tuning.list_max_listpack_size);
	struct cache_item *it = q ? cache_make(c->db, key, CACHE_LIST, CACHE_QUICKLIST, q) : NULL;
	if (it)
		cache_ready(c->db, key);
	else if (q)
		quicklist_free(&cache->memory, q);
	return it;
}

bool cache_list_push(struct cache_call *c, struct sd_slice key, struct cache_item **it, struct sd_slice value, bool front)
{
	if (!*it && !(*it = make_list(c, key)))
		return false;
	struct quicklist *q = cache_list(*it);
	if (quicklist_push(&c->cache->memory, q, value, front))
		return true;
	if (q->count == 0) {
		cache_delete(c->db, *it);
		*it = NULL;
	}
	return false;
}

void cache_list_shrunk(struct cache_call *c, struct sd_slice key, struct cache_item *it)
{
	if (cache_list(it)->count)
		cache_changed(c->db, key);
	else
		cache_delete(c->db, it);
}

static void no_memory(struct cache_call *c)
{
	sd_resp_error(c->out, cache_no_memory);
}

/* ---- arguments ---- */

bool cache_arg_end(struct cache_call *c, size_t i, bool *front)
{
	*front = cache_is(c->argv[i], "left");
	if (*front || cache_is(c->argv[i], "right"))
		return true;
	sd_resp_error(c->out, sd_redis_syntax);
	return false;
}

bool cache_arg_least(struct cache_call *c, size_t i, int64_t least, const char *why, int64_t *out)
{
	if (sd_resp_parse_int(c->argv[i], out) && *out >= least)
		return true;
	sd_resp_error(c->out, why);
	return false;
}

/* -INT64_MAX to INT64_MAX. */
static bool arg_symmetric(struct cache_call *c, size_t i, int64_t *out)
{
	if (!cache_arg_int(c, i, out))
		return false;
	if (*out != INT64_MIN)
		return true;
	sd_resp_error(c->out, "ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807");
	return false;
}

/* ---- putting in ---- */

static void push(struct cache_call *c, bool front, bool make)
{
	struct cache_item *it;
	bool fits = true;
	if (!cache_typed_for_write(c, 1, CACHE_LIST, &it))
		return;
	if (!it && !make) {
		sd_resp_int(c->out, 0);
		return;
	}
	for (size_t i = 2; fits && i < c->argc; i++)
		fits = cache_list_push(c, c->argv[1], &it, c->argv[i], front);
	if (it)
		cache_changed(c->db, c->argv[1]);
	if (fits)
		sd_resp_int(c->out, (int64_t)cache_list(it)->count);
	else
		no_memory(c);
}

static void cmd_lpush(struct cache_call *c)
{
	push(c, true, true);
}

static void cmd_rpush(struct cache_call *c)
{
	push(c, false, true);
}

static void cmd_lpushx(struct cache_call *c)
{
	push(c, true, false);
}

static void cmd_rpushx(struct cache_call *c)
{
	push(c, false, false);
}

static void cmd_linsert(struct cache_call *c)
{
	struct cache_item *it;
	bool after = cache_is(c->argv[2], "after");
	if (!after && !cache_is(c->argv[2], "before")) {
		sd_resp_error(c->out, sd_redis_syntax);
		return;
	}
	if (!cache_typed_for_write(c, 1, CACHE_LIST, &it))
		return;
	struct quicklist *q = it ? cache_list(it) : NULL;
	struct quicklist_at at = q ? quicklist_seek(q, 0) : (struct quicklist_at){0};
	while (at.node && !quicklist_equals(at, c->argv[3]))
		at = quicklist_next(at);
	if (!at.node) {
		sd_resp_int(c->out, it ? -1 : 0);
	} else if (quicklist_insert(&c->cache->memory, q, at, c->argv[4], after)) {
		cache_changed(c->db, c->argv[1]);
		sd_resp_int(c->out, (int64_t)q->count);
	} else {
		no_memory(c);
	}
}

static bool has_index(const struct quicklist *q, int64_t index)
{
	int64_t n = (int64_t)q->count;
	return index < n && index >= -n;
}

static void cmd_lset(struct cache_call *c)
{
	struct cache_item *it;
	int64_t index;
	if (!cache_typed_for_write(c, 1, CACHE_LIST, &it))
		return;
	if (!it) {
		sd_resp_error(c->out, sd_redis_no_key);
	} else if (!cache_arg_int(c, 2, &index)) {
		return;
	} else if (!has_index(cache_list(it), index)) {
		sd_resp_error(c->out, "ERR index out of range");
	} else if (quicklist_replace(&c->cache->memory, cache_list(it), index, c->argv[3])) {
		cache_changed(c->db, c->argv[1]);
		sd_resp_simple(c->out, "OK");
	} else {
		no_memory(c);
	}
}

/* ---- looking ---- */

static void cmd_llen(struct cache_call *c)
{
	struct cache_item *it;
	if (cache_typed(c, 1, CACHE_LIST, &it))
		sd_resp_int(c->out, it ? (int64_t)cache_list(it)->count : 0);
}

static void reply_at(struct cache_call *c, struct quicklist_at at)
{
	char text[SD_LISTPACK_TEXT];
	struct sd_slice v = quicklist_text(at, text);
	sd_resp_bulk(c->out, v.p, v.n);
}

static void cmd_lindex(struct cache_call *c)
{
	struct cache_item *it;
	int64_t index = 0;
	if (!cache_typed(c, 1, CACHE_LIST, &it) || (it && !cache_arg_int(c, 2, &index)))
		return;
	if (it && has_index(cache_list(it), index))
		reply_at(c, quicklist_seek(cache_list(it), index));
	else
		sd_resp_null(c->out);
}

/* Two indexes as LRANGE takes them: *first to *first + *n, within what is there. */
static bool range(struct cache_call *c, int64_t *first, int64_t *last)
{
	return cache_arg_int(c, 2, first) && cache_arg_int(c, 3, last);
}

static size_t clip(const struct quicklist *q, int64_t *first, int64_t last)
{
	int64_t n = (int64_t)q->count;
	*first += *first < 0 ? n : 0;
	last += last < 0 ? n : 0;
	*first = *first < 0 ? 0 : *first;
	last = last >= n ? n - 1 : last;
	return *first > last || *first >= n ? 0 : (size_t)(last - *first) + 1;
}

static void cmd_lrange(struct cache_call *c)
{
	struct cache_item *it;
	int64_t first, last;
	if (!range(c, &first, &last) || !cache_typed(c, 1, CACHE_LIST, &it))
		return;
	size_t n = it ? clip(cache_list(it), &first, last) : 0;
	sd_resp_array(c->out, n);
	struct quicklist_at at = n ? quicklist_seek(cache_list(it), first) : (struct quicklist_at){0};
	for (; n; n--, at = quicklist_next(at))
		reply_at(c, at);
}

struct position_options {
	int64_t rank, count, most; /* count -1: one, and not as an array; most 0: all are compared */
};

static bool position_option(struct cache_call *c, size_t i, struct position_options *o)
{
	if (i + 1 == c->argc) {
		sd_resp_error(c->out, sd_redis_syntax);
		return false;
	}
	if (cache_is(c->argv[i], "count"))
		return cache_arg_least(c, i + 1, 0, "ERR COUNT can't be negative", &o->count);
	if (cache_is(c->argv[i], "maxlen"))
		return cache_arg_least(c, i + 1, 0, "ERR MAXLEN can't be negative", &o->most);
	if (!cache_is(c->argv[i], "rank")) {
		sd_resp_error(c->out, sd_redis_syntax);
		return false;
	}
	if (!arg_symmetric(c, i + 1, &o->rank))
		return false;
	if (o->rank == 0)
		sd_resp_error(c->out, "ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... or use "
				      "negative to start from the end of the list");
	return o->rank != 0;
}

/* The places of those that equal what is looked for, from the first or the last on; with count -1 only one, which is returned, or
 * -1. Returns how many there were otherwise. */
static int64_t positions(struct cache_call *c, const struct quicklist *q, const struct position_options *o)
{
	bool back = o->rank < 0;
	int64_t skip = (back ? -o->rank : o->rank) - 1, given = 0, n = (int64_t)q->count;
	int64_t most = o->most && o->most < n ? o->most : n;
	struct quicklist_at at = quicklist_seek(q, back ? -1 : 0);
	for (int64_t i = 0; i < most; i++, at = back ? quicklist_prev(at) : quicklist_next(at)) {
		if (!quicklist_equals(at, c->argv[2]) || skip-- > 0)
			continue;
		int64_t index = back ? n - 1 - i : i;
		if (o->count < 0)
			return index;
		sd_resp_int(c->out, index);
		if (++given == o->count)
			break;
	}
	return o->count < 0 ? -1 : given;
}

static void cmd_lpos(struct cache_call *c)
{
	struct position_options o = {.rank = 1, .count = -1};
	struct cache_item *it;
	for (size_t i = 3; i < c->argc; i += 2)
		if (!position_option(c, i, &o))
			return;
	if (!cache_typed(c, 1, CACHE_LIST, &it))
		return;
	size_t place = sd_resp_later(c->out);
	int64_t n = it ? positions(c, cache_list(it), &o) : o.count < 0 ? -1 : 0;
	if (o.count >= 0)
		sd_resp_now(c->out, place, '*', (size_t)n);
	else if (n < 0)
		sd_resp_null(c->out);
	else
		sd_resp_int(c->out, n);
}

/* ---- taking out what is not given back ---- */

static void cmd_ltrim(struct cache_call *c)
{
	struct cache_item *it;
	int64_t first, last;
	if (!range(c, &first, &last) || !cache_typed_for_write(c, 1, CACHE_LIST, &it))
		return;
	if (it) {
		struct quicklist *q = cache_list(it);
		size_t n = clip(q, &first, last), before = n ? (size_t)first : q->count;
		quicklist_delete(&c->cache->memory, q, before + n, q->count - before - n);
		quicklist_delete(&c->cache->memory, q, 0, before);
		cache_list_shrunk(c, c->argv[1], it);
	}
	sd_resp_simple(c->out, "OK");
}

static void cmd_lrem(struct cache_call *c)
{
	struct cache_item *it;
	int64_t wanted, n = 0;
	if (!cache_arg_int(c, 2, &wanted) || !cache_typed_for_write(c, 1, CACHE_LIST, &it))
		return;
	bool back = wanted < 0;
	int64_t most = wanted == 0 || wanted == INT64_MIN ? INT64_MAX : back ? -wanted : wanted;
	struct quicklist *q = it ? cache_list(it) : NULL;
	struct quicklist_at at = it ? quicklist_seek(q, back ? -1 : 0) : (struct quicklist_at){0};
	while (at.node && n < most) {
		if (quicklist_equals(at, c->argv[3])) {
			at = quicklist_remove(&c->cache->memory, q, at, back);
			n++;
		} else {
			at = back ? quicklist_prev(at) : quicklist_next(at);
		}
	}
	if (n)
		cache_list_shrunk(c, c->argv[1], it);
	sd_resp_int(c->out, n);
}

const struct cache_command cache_list_commands[] = {
    {SD_REDIS(LINDEX), cmd_lindex},
    {SD_REDIS(LINSERT), cmd_linsert},
    {SD_REDIS(LLEN), cmd_llen},
    {SD_REDIS(LPOS), cmd_lpos},
    {SD_REDIS(LPUSH), cmd_lpush},
    {SD_REDIS(LPUSHX), cmd_lpushx},
    {SD_REDIS(LRANGE), cmd_lrange},
    {SD_REDIS(LREM), cmd_lrem},
    {SD_REDIS(LSET), cmd_lset},
    {SD_REDIS(LTRIM), cmd_ltrim},
    {SD_REDIS(RPUSH), cmd_rpush},
    {SD_REDIS(RPUSHX), cmd_rpushx},
    {0},
};
