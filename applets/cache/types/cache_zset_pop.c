/* cache_zset_pop.c - taking the lowest or highest members out of sorted sets, waiting for them if need be. */
#include "cache_zset.h"

/* n of them, which are there, are the reply's next items, and gone. pairs: each is an array of its own. */
static void pop(struct cache_call *c, struct cache_item *it, bool back, uint32_t n, bool pairs)
{
	struct cache_zset z = cache_zset_of(c->cache, it);
	struct cache_zset_iter at;
	uint32_t has = cache_zset_count(&z);
	bool more = cache_zset_seek(&z, back ? has - 1 : 0, &at);
	for (uint32_t i = 0; more && i < n; i++) {
		if (pairs)
			sd_resp_array(c->out, 2);
		cache_zset_reply(c, &at, true, true);
		more = i + 1 < n && cache_zset_step(&at, back);
	}
	cache_zset_remove_ranks(&z, back ? has - n : 0, n);
	cache_zset_shrunk(c->db, it, &z);
}

static uint32_t at_most(const struct cache_call *c, const struct cache_item *it, int64_t n)
{
	struct cache_zset z = cache_zset_of(c->cache, it);
	uint32_t has = cache_zset_count(&z);
	return n < has ? (uint32_t)n : has;
}

static void pop_end(struct cache_call *c, bool back)
{
	struct cache_item *it;
	int64_t n = 1;
	bool many = c->argc == 3;
	if (c->argc > 3) {
		sd_resp_error(c->out, sd_redis_syntax);
		return;
	}
	if (many && (!sd_resp_parse_int(c->argv[2], &n) || n < 0)) {
		sd_resp_error(c->out, "ERR value is out of range, must be positive");
		return;
	}
	if (!cache_typed_for_write(c, 1, CACHE_ZSET, &it))
		return;
	uint32_t items = it ? at_most(c, it, n) : 0;
	/* in RESP3 one asked for without a count is a pair, not an array of one */
	bool pairs = c->out->resp3 && many;
	sd_resp_array(c->out, pairs ? items : 2 * (size_t)items);
	if (items)
		pop(c, it, back, items, pairs);
}

static void cmd_zpopmin(struct cache_call *c)
{
	pop_end(c, false);
}

static void cmd_zpopmax(struct cache_call *c)
{
	pop_end(c, true);
}

/* ---- of the first of several keys that has any ---- */

/* The first of argv[from..from + n) that is a sorted set; *it NULL: none is. False: one of another type comes before, which is the
 * reply, unless it waits: then it goes on waiting. */
static bool first_of(struct cache_call *c, size_t from, size_t n, struct cache_item **it, size_t *at)
{
	*it = NULL;
	for (*at = from; *at < from + n; ++*at) {
		struct cache_item *found = cache_find(c->db, c->argv[*at]);
		if (!found || (c->again && found->type != CACHE_ZSET))
			continue;
		return cache_typed_for_write(c, *at, CACHE_ZSET, it);
	}
	return true;
}

static void pop_waiting(struct cache_call *c, bool back)
{
	struct cache_item *it;
	size_t at;
	int64_t deadline_ms;
	if (!cache_arg_timeout(c, c->argc - 1, &deadline_ms) || !first_of(c, 1, c->argc - 2, &it, &at))
		return;
	if (!it) {
		cache_block(c, 1, c->argc - 2, deadline_ms, true);
		return;
	}
	sd_resp_array(c->out, 3);
	sd_resp_bulk(c->out, c->argv[at].p, c->argv[at].n);
	pop(c, it, back, 1, false);
}

static void cmd_bzpopmin(struct cache_call *c)
{
	pop_waiting(c, false);
}

static void cmd_bzpopmax(struct cache_call *c)
{
	pop_waiting(c, true);
}

struct mpop {
	size_t first, nkeys;
	bool back;
	int64_t count;
};

static bool positive(struct cache_call *c, size_t i, const char *error, int64_t *n)
{
	if (sd_resp_parse_int(c->argv[i], n) && *n > 0)
		return true;
	sd_resp_error(c->out, error);
	return false;
}

/* numkeys key ... MIN|MAX [COUNT n], from argv[at] on */
static bool mpop_options(struct cache_call *c, size_t at, struct mpop *m)
{
	int64_t n;
	*m = (struct mpop){.first = at + 1, .count = -1};
	if (!positive(c, at, "ERR numkeys should be greater than 0", &n))
		return false;
	size_t where = at + 1 + (size_t)n;
	bool whole = (uint64_t)n < c->argc - at - 1 && (cache_is(c->argv[where], "min") || cache_is(c->argv[where], "max"));
	m->nkeys = (size_t)n;
	m->back = whole && cache_is(c->argv[where], "max");
	for (size_t i = where + 1; whole && i < c->argc; i += 2) {
		whole = m->count < 0 && i + 1 < c->argc && cache_is(c->argv[i], "count");
		if (whole && !positive(c, i + 1, "ERR count should be greater than 0", &m->count))
			return false;
	}
	if (!whole)
		sd_resp_error(c->out, sd_redis_syntax);
	m->count = m->count < 0 ? 1 : m->count;
	return whole;
}

/* True: it replied. */
static bool mpop(struct cache_call *c, const struct mpop *m)
{
	struct cache_item *it;
	size_t at;
	if (!first_of(c, m->first, m->nkeys, &it, &at))
		return true;
	if (!it)
		return false;
	uint32_t n = at_most(c, it, m->count);
	sd_resp_array(c->out, 2);
	sd_resp_bulk(c->out, c->argv[at].p, c->argv[at].n);
	sd_resp_array(c->out, n);
	pop(c, it, m->back, n, true);
	return true;
}

static void cmd_zmpop(struct cache_call *c)
{
	struct mpop m;
	if (mpop_options(c, 1, &m) && !mpop(c, &m))
		sd_resp_null_array(c->out);
}

static void cmd_bzmpop(struct cache_call *c)
{
	struct mpop m;
	int64_t deadline_ms;
	if (mpop_options(c, 2, &m) && cache_arg_timeout(c, 1, &deadline_ms) && !mpop(c, &m))
		cache_block(c, m.first, m.nkeys, deadline_ms, true);
}

const struct cache_command cache_zset_pop_commands[] = {
    {SD_REDIS(BZMPOP), cmd_bzmpop},
    {SD_REDIS(BZPOPMAX), cmd_bzpopmax},
    {SD_REDIS(BZPOPMIN), cmd_bzpopmin},
    {SD_REDIS(ZMPOP), cmd_zmpop},
    {SD_REDIS(ZPOPMAX), cmd_zpopmax},
    {SD_REDIS(ZPOPMIN), cmd_zpopmin},
    {0},
};
