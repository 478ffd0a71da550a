/* cache_zset_commands.c - commands about the members of one sorted set. */
#include <math.h>

#include "../engine/cache_sample.h"
#include "../engine/cache_scan.h"
#include "cache_set.h"
#include "cache_zset.h"

static void no_memory(struct cache_call *c)
{
	sd_resp_error(c->out, cache_no_memory);
}

/* The sorted set of argv[1], z->p NULL when there is none. False: it is of another type, and the reply says so. */
static bool read_zset(struct cache_call *c, struct cache_zset *z)
{
	struct cache_item *it;
	*z = (struct cache_zset){0};
	if (!cache_typed(c, 1, CACHE_ZSET, &it))
		return false;
	if (it)
		*z = cache_zset_of(c->cache, it);
	return true;
}

/* ---- ZADD, ZINCRBY ---- */

enum { NX = 1, XX = 2, GT = 4, LT = 8, CH = 16, INCR = 32 };

static unsigned add_option(struct sd_slice arg)
{
	static const struct {
		const char *word;
		unsigned flag;
	} words[] = {{"nx", NX}, {"xx", XX}, {"ch", CH}, {"incr", INCR}, {"gt", GT}, {"lt", LT}};
	if (arg.n < 2 || arg.n > 4)
		return 0;
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (cache_is(arg, words[i].word))
			return words[i].flag;
	return 0;
}

/* What goes with what; *from is the first score afterwards. */
static bool add_options(struct cache_call *c, unsigned *flags, size_t *from)
{
	unsigned f;
	for (*from = 2; *from < c->argc && (f = add_option(c->argv[*from])); ++*from)
		*flags |= f;
	size_t n = c->argc - *from;
	const char *error = NULL;
	if (n == 0 || n % 2)
		error = sd_redis_syntax;
	else if (*flags & NX && *flags & XX)
		error = "ERR XX and NX options at the same time are not compatible";
	else if ((*flags & NX && *flags & (GT | LT)) || (*flags & GT && *flags & LT))
		error = "ERR GT, LT, and/or NX options at the same time are not compatible";
	else if (*flags & INCR && n > 2)
		error = "ERR INCR option supports a single increment-element pair";
	if (error)
		sd_resp_error(c->out, error);
	return !error;
}

/* All are looked at before the first is added. */
static bool scores_are_good(struct cache_call *c, size_t from)
{
	double score;
	for (size_t i = from; i < c->argc; i += 2)
		if (!cache_zset_parse_score(c->argv[i], &score)) {
			sd_resp_error(c->out, sd_redis_not_float);
			return false;
		}
	return true;
}

enum outcome { UNTOUCHED, SAME, ADDED, CHANGED, NOT_A_NUMBER, NO_MEMORY };

/* *score: what was asked for, and what it became. */
static enum outcome add_one(struct cache_zset *z, struct sd_slice member, unsigned flags, double *score)
{
	struct cache_zset_place p;
	if (!cache_zset_find(z, member, &p)) {
		if (flags & XX)
			return UNTOUCHED;
		return cache_zset_add(z, member, *score, &p) ? ADDED : NO_MEMORY;
	}
	if (flags & NX)
		return UNTOUCHED;
	if (flags & INCR)
		*score += p.score;
	if (isnan(*score))
		return NOT_A_NUMBER;
	if ((flags & LT && *score >= p.score) || (flags & GT && *score <= p.score))
		return UNTOUCHED;
	if (*score == p.score)
		return SAME;
	return cache_zset_set_score(z, member, *score, &p) ? CHANGED : NO_MEMORY;
}

struct added {
	int64_t n[NO_MEMORY + 1]; /* by enum outcome */
	double score;		  /* of the last one */
};

static void add_pairs(struct cache_call *c, struct cache_zset *z, unsigned flags, size_t from, struct added *a)
{
	for (size_t i = from; i + 1 < c->argc && !a->n[NOT_A_NUMBER] && !a->n[NO_MEMORY]; i += 2) {
		cache_zset_parse_score(c->argv[i], &a->score);
		a->n[add_one(z, c->argv[i + 1], flags, &a->score)]++;
	}
}

static void reply_added(struct cache_call *c, unsigned flags, const struct added *a)
{
	if (a->n[NOT_A_NUMBER])
		sd_resp_error(c->out, "ERR resulting score is not a number (NaN)");
	else if (a->n[NO_MEMORY])
		no_memory(c);
	else if (!(flags & INCR))
		sd_resp_int(c->out, a->n[ADDED] + (flags & CH ? a->n[CHANGED] : 0));
	else if (a->n[UNTOUCHED] || !(a->n[ADDED] + a->n[CHANGED] + a->n[SAME]))
		sd_resp_null(c->out);
	else
		sd_resp_double(c->out, a->score);
}

static void add(struct cache_call *c, unsigned flags)
{
	struct cache_item *it;
	struct cache_zset z;
	struct added a = {0};
	size_t from;
	if (!add_options(c, &flags, &from) || !scores_are_good(c, from) || !cache_typed_for_write(c, 1, CACHE_ZSET, &it))
		return;
	if (it) {
		z = cache_zset_of(c->cache, it);
		add_pairs(c, &z, flags, from, &a);
		cache_zset_keep(it, &z);
		if (a.n[ADDED] + a.n[CHANGED])
			cache_changed(c->db, c->argv[1]);
	} else if (!(flags & XX)) {
		if (!cache_zset_new(c->cache, &z)) {
			no_memory(c);
			return;
		}
		add_pairs(c, &z, flags, from, &a);
		if (!cache_zset_store(c->db, c->argv[1], &z))
			a.n[NO_MEMORY]++;
	}
	reply_added(c, flags, &a);
}

static void cmd_zadd(struct cache_call *c)
{
	add(c, 0);
}

static void cmd_zincrby(struct cache_call *c)
{
	add(c, INCR);
}

static void cmd_zrem(struct cache_call *c)
{
	struct cache_item *it;
	struct cache_zset_place p;
	int64_t n = 0;
	if (!cache_typed_for_write(c, 1, CACHE_ZSET, &it))
		return;
	if (it) {
		struct cache_zset z = cache_zset_of(c->cache, it);
		for (size_t i = 2; i < c->argc; i++)
			if (cache_zset_find(&z, c->argv[i], &p)) {
				cache_zset_remove(&z, &p);
				n++;
			}
		if (n)
			cache_zset_shrunk(c->db, it, &z);
	}
	sd_resp_int(c->out, n);
}

/* ---- asking ---- */

static void reply_score(struct cache_call *c, const struct cache_zset *z, struct sd_slice member)
{
	struct cache_zset_place p;
	if (z->p && cache_zset_find(z, member, &p))
		sd_resp_double(c->out, p.score);
	else
		sd_resp_null(c->out);
}

static void cmd_zscore(struct cache_call *c)
{
	struct cache_zset z;
	if (read_zset(c, &z))
		reply_score(c, &z, c->argv[2]);
}

static void cmd_zmscore(struct cache_call *c)
{
	struct cache_zset z;
	if (!read_zset(c, &z))
		return;
	sd_resp_array(c->out, c->argc - 2);
	for (size_t i = 2; i < c->argc; i++)
		reply_score(c, &z, c->argv[i]);
}

static void cmd_zcard(struct cache_call *c)
{
	struct cache_zset z;
	if (read_zset(c, &z))
		sd_resp_int(c->out, z.p ? cache_zset_count(&z) : 0);
}

static void count(struct cache_call *c, bool lex)
{
	struct cache_zset z;
	struct sd_skip_bound bounds[2];
	if (!cache_zset_arg_bounds(c, 2, 3, lex, bounds) || !read_zset(c, &z))
		return;
	uint32_t from = z.p ? cache_zset_below(&z, &bounds[0]) : 0, to = z.p ? cache_zset_up_to(&z, &bounds[1]) : 0;
	sd_resp_int(c->out, to > from ? to - from : 0);
}

static void cmd_zcount(struct cache_call *c)
{
	count(c, false);
}

static void cmd_zlexcount(struct cache_call *c)
{
	count(c, true);
}

static void rank(struct cache_call *c, bool back)
{
	struct cache_zset z;
	struct cache_zset_place p;
	if (!read_zset(c, &z))
		return;
	if (!z.p || !cache_zset_find(&z, c->argv[2], &p)) {
		sd_resp_null(c->out);
		return;
	}
	uint32_t n = cache_zset_rank(&z, &p);
	sd_resp_int(c->out, back ? cache_zset_count(&z) - 1 - n : n);
}

static void cmd_zrank(struct cache_call *c)
{
	rank(c, false);
}

static void cmd_zrevrank(struct cache_call *c)
{
	rank(c, true);
}

/* ---- by chance ---- */

static void seek_any(struct cache_call *c, const struct cache_zset *z, struct cache_zset_iter *it)
{
	cache_zset_seek(z, sd_rng_below(&c->cache->rng, cache_zset_count(z)), it);
}

static void reply_sample(struct cache_call *c, const struct cache_zset *z, uint32_t n, bool scores)
{
	struct cache_sample sample = {&c->cache->rng, n, cache_zset_count(z)};
	struct cache_zset_iter it;
	for (bool more = cache_zset_seek(z, 0, &it); more && sample.wanted; more = cache_zset_step(&it, false))
		if (cache_sample_takes(&sample))
			cache_zset_reply(c, &it, scores, false);
}

/* A few of many: drawn until they are different, which the table of what was drawn decides. */
static bool reply_drawn(struct cache_call *c, const struct cache_zset *z, uint32_t n, bool scores)
{
	struct cache_set drawn;
	struct cache_zset_iter it;
	if (!cache_set_new(c->cache, false, &drawn))
		return false;
	int added = 0;
	for (uint32_t i = 0; i < n && added >= 0; i += (uint32_t)added) {
		seek_any(c, z, &it);
		added = cache_set_add(&drawn, it.member);
		if (added == 1)
			cache_zset_reply(c, &it, scores, false);
		else if (added < 0)
			break;
	}
	cache_set_free(&drawn);
	return added >= 0;
}

static void reply_random(struct cache_call *c, const struct cache_zset *z, int64_t n, bool scores)
{
	struct cache_zset_iter it;
	uint32_t has = cache_zset_count(z);
	size_t place = c->out->n;
	n = n > has ? has : n;
	size_t items = (size_t)(n < 0 ? -n : n);
	sd_resp_array(c->out, scores && !c->out->resp3 ? 2 * items : items);
	if (n > 0 && n >= has / 3) {
		reply_sample(c, z, (uint32_t)n, scores);
	} else if (n > 0 && !reply_drawn(c, z, (uint32_t)n, scores)) {
		c->out->n = place;
		no_memory(c);
	}
	for (; n < 0 && !c->out->full; n++) {
		seek_any(c, z, &it);
		cache_zset_reply(c, &it, scores, false);
		c->out->full |= c->out->n - place > CACHE_SAMPLE_LONGEST;
	}
}

static void cmd_zrandmember(struct cache_call *c)
{
	struct cache_zset z;
	struct cache_zset_iter it;
	int64_t n = 1;
	bool scores = c->argc == 4;
	if (c->argc > 2 && !cache_arg_random_count(c, 2, &n))
		return;
	if (c->argc > 4 || (scores && !cache_is(c->argv[3], "withscores"))) {
		sd_resp_error(c->out, sd_redis_syntax);
		return;
	}
	if (scores && (n < -(INT64_MAX / 2) || n > INT64_MAX / 2)) {
		sd_resp_error(c->out, "ERR value is out of range");
		return;
	}
	if (!read_zset(c, &z))
		return;
	if (c->argc > 2) {
		if (z.p)
			reply_random(c, &z, n, scores);
		else
			sd_resp_array(c->out, 0);
	} else if (z.p) {
		seek_any(c, &z, &it);
		cache_zset_reply(c, &it, false, false);
	} else {
		sd_resp_null(c->out);
	}
}

/* ---- scanning ---- */

static void scan_node(void *arg, struct sd_dict_entry *e)
{
	const struct sd_skip_node *n = (struct sd_skip_node *)e;
	char text[40];
	struct sd_slice value = {text, sd_resp_double_text(text, n->score)};
	cache_scan_give(arg, sd_skip_member(n), &value);
}

/* The score as it is kept. */
static void give_pair(struct cache_scan *scan, const struct cache_zset_iter *it)
{
	char text[SD_LISTPACK_TEXT];
	const unsigned char *lp = it->z->p;
	struct sd_slice value = sd_listpack_text(lp, sd_listpack_next(lp, it->at), text);
	cache_scan_give(scan, it->member, &value);
}

static void cmd_zscan(struct cache_call *c)
{
	struct cache_scan scan;
	struct cache_zset z;
	struct cache_zset_iter it;
	if (!cache_scan_begin(c, 2, &scan) || !read_zset(c, &z))
		return;
	if (!z.p) {
		cache_scan_end(&scan);
		return;
	}
	if (!cache_scan_options(&scan, 3))
		return;
	if (z.encoding == CACHE_SKIPLIST) {
		cache_scan_table(&scan, &((struct cache_sorted *)z.p)->d, scan_node);
		return;
	}
	for (bool more = cache_zset_seek(&z, 0, &it); more; more = cache_zset_step(&it, false))
		give_pair(&scan, &it);
	cache_scan_end(&scan);
}

const struct cache_command cache_zset_commands[] = {
    {SD_REDIS(ZADD), cmd_zadd},
    {SD_REDIS(ZCARD), cmd_zcard},
    {SD_REDIS(ZCOUNT), cmd_zcount},
    {SD_REDIS(ZINCRBY), cmd_zincrby},
    {SD_REDIS(ZLEXCOUNT), cmd_zlexcount},
    {SD_REDIS(ZMSCORE), cmd_zmscore},
    {SD_REDIS(ZRANDMEMBER), cmd_zrandmember},
    {SD_REDIS(ZRANK), cmd_zrank},
    {SD_REDIS(ZREM), cmd_zrem},
    {SD_REDIS(ZREVRANK), cmd_zrevrank},
    {SD_REDIS(ZSCAN), cmd_zscan},
    {SD_REDIS(ZSCORE), cmd_zscore},
    {0},
};
