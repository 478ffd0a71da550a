/* cache_zset_range.c - commands about a range of a sorted set: by rank, by score, by bytes; either way round. */
#include "cache_zset.h"

enum by { RANK, SCORE, LEX, ANY };

struct range {
	enum by by;
	bool back, scores;
	int64_t offset, limit;		/* limit negative: all */
	int64_t first, last;		/* by rank, as they were given */
	struct sd_skip_bound bounds[2]; /* min, max */
};

/* What the name of the command says already. */
struct face {
	enum by by; /* ANY: an option says */
	bool back, back_is_option, store;
};

static bool syntax(struct cache_call *c)
{
	sd_resp_error(c->out, sd_redis_syntax);
	return false;
}

static bool range_options(struct cache_call *c, size_t from, const struct face *f, struct range *r)
{
	for (size_t i = from; i < c->argc; i++) {
		if (!f->store && cache_is(c->argv[i], "withscores")) {
			r->scores = true;
		} else if (cache_is(c->argv[i], "limit") && i + 2 < c->argc) {
			if (!cache_arg_int(c, i + 1, &r->offset) || !cache_arg_int(c, i + 2, &r->limit))
				return false;
			i += 2;
		} else if (f->back_is_option && !r->back && cache_is(c->argv[i], "rev")) {
			r->back = true;
		} else if (f->by == ANY && r->by == RANK && cache_is(c->argv[i], "bylex")) {
			r->by = LEX;
		} else if (f->by == ANY && r->by == RANK && cache_is(c->argv[i], "byscore")) {
			r->by = SCORE;
		} else {
			return syntax(c);
		}
	}
	return true;
}

static bool range_fits(struct cache_call *c, const struct range *r)
{
	if (r->limit != -1 && r->by == RANK)
		sd_resp_error(c->out, "ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX");
	else if (r->scores && r->by == LEX)
		sd_resp_error(c->out, "ERR syntax error, WITHSCORES not supported in combination with BYLEX");
	else
		return true;
	return false;
}

/* argv[at] and the next are its ends, options follow. */
static bool read_range(struct cache_call *c, size_t at, const struct face *f, struct range *r)
{
	*r = (struct range){.by = f->by == ANY ? RANK : f->by, .back = f->back, .limit = -1};
	if (!range_options(c, at + 2, f, r) || !range_fits(c, r))
		return false;
	if (r->by == RANK)
		return cache_arg_int(c, at, &r->first) && cache_arg_int(c, at + 1, &r->last);
	return cache_zset_arg_bounds(c, at + r->back, at + !r->back, r->by == LEX, r->bounds);
}

/* Ranks counted from the end the reading begins at; negative ones from the other. */
static struct cache_zset_span by_rank(const struct range *r, int64_t has)
{
	int64_t first = r->first < 0 ? r->first + has : r->first, last = r->last < 0 ? r->last + has : r->last;
	first = first < 0 ? 0 : first;
	last = last >= has ? has - 1 : last;
	if (first > last)
		return (struct cache_zset_span){0};
	return (struct cache_zset_span){(uint32_t)(r->back ? has - 1 - first : first), (uint32_t)(last - first + 1), r->back};
}

static struct cache_zset_span span_of(const struct cache_zset *z, const struct range *r)
{
	if (r->by == RANK)
		return by_rank(r, cache_zset_count(z));
	uint32_t from = cache_zset_below(z, &r->bounds[0]), to = cache_zset_up_to(z, &r->bounds[1]);
	int64_t n = (int64_t)to - from;
	if (n <= 0 || r->offset < 0 || r->offset >= n)
		return (struct cache_zset_span){0};
	n -= r->offset;
	n = r->limit >= 0 && r->limit < n ? r->limit : n;
	return (struct cache_zset_span){(uint32_t)(r->back ? to - 1 - r->offset : from + r->offset), (uint32_t)n, r->back};
}

/* ---- replying ---- */

static void reply_span(struct cache_call *c, const struct cache_zset *z, struct cache_zset_span s, bool scores)
{
	struct cache_zset_iter it;
	sd_resp_array(c->out, scores && !c->out->resp3 ? 2 * (size_t)s.n : s.n);
	for (bool more = s.n && cache_zset_seek(z, s.from, &it); more && s.n; s.n--) {
		cache_zset_reply(c, &it, scores, false);
		more = s.n > 1 && cache_zset_step(&it, s.back);
	}
}

static void range(struct cache_call *c, struct face f)
{
	struct range r;
	struct cache_item *it;
	if (!read_range(c, 2, &f, &r) || !cache_typed(c, 1, CACHE_ZSET, &it))
		return;
	struct cache_zset z = it ? cache_zset_of(c->cache, it) : (struct cache_zset){0};
	reply_span(c, &z, it ? span_of(&z, &r) : (struct cache_zset_span){0}, r.scores);
}

static void cmd_zrange(struct cache_call *c)
{
	range(c, (struct face){.by = ANY, .back_is_option = true});
}

static void cmd_zrevrange(struct cache_call *c)
{
	range(c, (struct face){.by = RANK, .back = true});
}

static void cmd_zrangebyscore(struct cache_call *c)
{
	range(c, (struct face){.by = SCORE});
}

static void cmd_zrevrangebyscore(struct cache_call *c)
{
	range(c, (struct face){.by = SCORE, .back = true});
}

static void cmd_zrangebylex(struct cache_call *c)
{
	range(c, (struct face){.by = LEX});
}

static void cmd_zrevrangebylex(struct cache_call *c)
{
	range(c, (struct face){.by = LEX, .back = true});
}

/* ---- keeping ---- */

/* False: out of memory. */
static bool copy_span(const struct cache_zset *z, struct cache_zset_span s, struct cache_zset *to)
{
	struct cache_zset_iter it;
	struct cache_zset_place p;
	bool whole = true;
	for (bool more = s.n && cache_zset_seek(z, s.from, &it); more && s.n && whole; s.n--) {
		cache_zset_find(to, it.member, &p);
		whole = cache_zset_add(to, it.member, cache_zset_score(&it), &p);
		more = s.n > 1 && cache_zset_step(&it, s.back);
	}
	return whole;
}

static void cmd_zrangestore(struct cache_call *c)
{
	static const struct face f = {.by = ANY, .back_is_option = true, .store = true};
	struct range r;
	struct cache_item *it;
	struct cache_zset to;
	if (!read_range(c, 3, &f, &r) || !cache_typed(c, 2, CACHE_ZSET, &it))
		return;
	struct cache_zset z = it ? cache_zset_of(c->cache, it) : (struct cache_zset){0};
	struct cache_zset_span s = it ? span_of(&z, &r) : (struct cache_zset_span){0};
	/* how it begins shows in the end in a score of -0; as Redis does, only ranks tell beforehand how many there will be */
	bool is_long = r.by == RANK && s.n > c->cache->tuning.zset_max_listpack_entries;
	bool whole = is_long ? cache_zset_new_long(c->cache, &to) : cache_zset_new(c->cache, &to);
	if (whole && !(whole = copy_span(&z, s, &to)))
		cache_zset_free(&to);
	if (whole && cache_zset_store(c->db, c->argv[1], &to))
		sd_resp_int(c->out, s.n);
	else
		sd_resp_error(c->out, cache_no_memory);
}

/* ---- removing ---- */

static void remove_range(struct cache_call *c, enum by by)
{
	const struct face f = {.by = by};
	struct range r;
	struct cache_item *it;
	if (!read_range(c, 2, &f, &r) || !cache_typed_for_write(c, 1, CACHE_ZSET, &it))
		return;
	struct cache_zset z = it ? cache_zset_of(c->cache, it) : (struct cache_zset){0};
	struct cache_zset_span s = it ? span_of(&z, &r) : (struct cache_zset_span){0};
	if (s.n) {
		cache_zset_remove_ranks(&z, s.from, s.n);
		cache_zset_shrunk(c->db, it, &z);
	}
	sd_resp_int(c->out, s.n);
}

static void cmd_zremrangebyrank(struct cache_call *c)
{
	remove_range(c, RANK);
}

static void cmd_zremrangebyscore(struct cache_call *c)
{
	remove_range(c, SCORE);
}

static void cmd_zremrangebylex(struct cache_call *c)
{
	remove_range(c, LEX);
}

const struct cache_command cache_zset_range_commands[] = {
    {SD_REDIS(ZRANGE), cmd_zrange},
    {SD_REDIS(ZRANGEBYLEX), cmd_zrangebylex},
    {SD_REDIS(ZRANGEBYSCORE), cmd_zrangebyscore},
    {SD_REDIS(ZRANGESTORE), cmd_zrangestore},
    {SD_REDIS(ZREMRANGEBYLEX), cmd_zremrangebylex},
    {SD_REDIS(ZREMRANGEBYRANK), cmd_zremrangebyrank},
    {SD_REDIS(ZREMRANGEBYSCORE), cmd_zremrangebyscore},
    {SD_REDIS(ZREVRANGE), cmd_zrevrange},
    {SD_REDIS(ZREVRANGEBYLEX), cmd_zrevrangebylex},
    {SD_REDIS(ZREVRANGEBYSCORE), cmd_zrevrangebyscore},
    {0},
};
