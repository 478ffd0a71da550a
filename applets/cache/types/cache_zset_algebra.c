/* cache_zset_algebra.c - commands about several sorted sets: what is in all of them, in any of them, in the first only, with scores made
 * of theirs. Sets take part too, each member with a score of 1. */
#include <math.h>
#include <stdlib.h>

#include "cache_set.h"
#include "cache_zset.h"

enum op { UNION, INTER, DIFF };
enum aggregate { SUM, MIN, MAX };

/* One that takes part. */
struct source {
	struct cache_set set; /* p NULL: it is none */
	struct cache_zset zset;
	double weight;
	size_t i; /* of the command's keys */
};

struct work {
	struct cache_call *c;
	enum op op;
	enum aggregate aggregate;
	bool scores, counting;
	int64_t limit; /* of what is counted; 0: none */
	struct source *source;
	size_t n;
};

struct source_iter {
	struct cache_set_iter set;
	struct cache_zset_iter zset;
	bool begun, more;
};

static size_t count_of(const struct source *s)
{
	return s->set.p ? cache_set_count(&s->set) : s->zset.p ? cache_zset_count(&s->zset) : 0;
}

static bool find(const struct source *s, struct sd_slice member, double *score)
{
	struct cache_zset_place p;
	*score = 1;
	if (s->set.p)
		return cache_set_has(&s->set, member);
	if (!s->zset.p || !cache_zset_find(&s->zset, member, &p))
		return false;
	*score = p.score;
	return true;
}

static void begin(const struct source *s, struct source_iter *it)
{
	it->begun = false;
	if (s->set.p)
		cache_set_iter_begin(&s->set, &it->set);
}

static bool next(const struct source *s, struct source_iter *it, struct sd_slice *member, double *score)
{
	*score = 1;
	if (s->set.p)
		return cache_set_iter_next(&it->set, member);
	if (!s->zset.p)
		return false;
	it->more = it->begun ? cache_zset_step(&it->zset, false) : cache_zset_seek(&s->zset, 0, &it->zset);
	it->begun = true;
	if (!it->more)
		return false;
	*member = it->zset.member;
	*score = cache_zset_score(&it->zset);
	return true;
}

static void end(const struct source *s, struct source_iter *it)
{
	if (s->set.p)
		cache_set_iter_end(&it->set);
}

/* ---- scores ---- */

/* 0 times infinity is taken for 0, and so is the sum of both infinities. */
static double weighed(const struct source *s, double score)
{
	score *= s->weight;
	return isnan(score) ? 0 : score;
}

static double aggregated(const struct work *w, double a, double b)
{
	if (w->aggregate == MIN)
		return b < a ? b : a;
	if (w->aggregate == MAX)
		return b > a ? b : a;
	return isnan(a + b) ? 0 : a + b;
}

static bool put(struct cache_zset *to, struct sd_slice member, double score)
{
	struct cache_zset_place p;
	if (cache_zset_find(to, member, &p))
		return cache_zset_set_score(to, member, score, &p);
	return cache_zset_add(to, member, score, &p);
}

/* ---- the operations: false when memory ended ---- */

static bool unite_one(const struct work *w, const struct source *s, struct cache_zset *to)
{
	struct source_iter it;
	struct cache_zset_place p;
	struct sd_slice m;
	double score;
	bool whole = true;
	begin(s, &it);
	while (whole && next(s, &it, &m, &score)) {
		score = weighed(s, score);
		if (cache_zset_find(to, m, &p))
			whole = cache_zset_set_score(to, m, aggregated(w, p.score, score), &p);
		else
			whole = cache_zset_add(to, m, score, &p);
	}
	end(s, &it);
	return whole;
}

/* Is it in all of them? *score is that of the first before, and of all afterwards. */
static bool in_all(const struct work *w, struct sd_slice member, double *score)
{
	double other;
	*score = weighed(&w->source[0], *score);
	for (size_t i = 1; i < w->n; i++) {
		if (!find(&w->source[i], member, &other))
			return false;
		*score = aggregated(w, *score, other * w->source[i].weight);
	}
	return true;
}

static bool in_none_but_first(const struct work *w, struct sd_slice member)
{
	double score;
	for (size_t i = 1; i < w->n; i++)
		if (find(&w->source[i], member, &score))
			return false;
	return true;
}

/* Those of the first that are in all, or in no other one; *n of them. to NULL: they are only counted. */
static bool from_first(const struct work *w, struct cache_zset *to, int64_t *n)
{
	struct source_iter it;
	struct sd_slice m;
	double score;
	bool whole = true;
	const struct source *first = &w->source[0];
	begin(first, &it);
	while (whole && !(w->limit && *n == w->limit) && next(first, &it, &m, &score)) {
		if (w->op == INTER ? !in_all(w, m, &score) : !in_none_but_first(w, m))
			continue;
		++*n;
		whole = !to || put(to, m, score);
	}
	end(first, &it);
	return whole;
}

static bool run(const struct work *w, struct cache_zset *to, int64_t *n)
{
	*n = 0;
	if (w->op != UNION)
		return from_first(w, to, n);
	bool whole = true;
	for (size_t i = 0; i < w->n && whole; i++)
		whole = unite_one(w, &w->source[i], to);
	return whole;
}

/* ---- arguments ---- */

static bool open_source(struct cache_call *c, size_t i, bool write, struct source *s)
{
	struct cache_item *it = write ? cache_find(c->db, c->argv[i]) : cache_read(c, c->argv[i]);
	*s = (struct source){.weight = 1, .i = i};
	if (it && it->type == CACHE_ZSET)
		s->zset = cache_zset_of(c->cache, it);
	else if (it && it->type == CACHE_SET)
		s->set = cache_set_of(c->cache, it);
	else if (it)
		sd_resp_error(c->out, cache_wrong_type);
	return !it || it->type == CACHE_ZSET || it->type == CACHE_SET;
}

static bool read_weights(struct work *w, size_t at)
{
	for (size_t i = 0; i < w->n; i++)
		if (!cache_zset_parse_score(w->c->argv[at + i], &w->source[i].weight)) {
			sd_resp_error(w->c->out, "ERR weight value is not a float");
			return false;
		}
	return true;
}

static bool read_aggregate(struct work *w, struct sd_slice arg)
{
	static const char *const words[] = {[SUM] = "sum", [MIN] = "min", [MAX] = "max"};
	for (int i = 0; i < 3; i++)
		if (cache_is(arg, words[i])) {
			w->aggregate = (enum aggregate)i;
			return true;
		}
	sd_resp_error(w->c->out, sd_redis_syntax);
	return false;
}

static bool read_limit(struct work *w, struct sd_slice arg)
{
	if (sd_resp_parse_int(arg, &w->limit) && w->limit >= 0)
		return true;
	sd_resp_error(w->c->out, "ERR LIMIT can't be negative");
	return false;
}

static bool read_options(struct work *w, size_t i, bool store)
{
	const struct cache_call *c = w->c;
	bool weighs = w->op != DIFF && !w->counting;
	while (i < c->argc) {
		size_t left = c->argc - i - 1;
		if (weighs && left >= w->n && cache_is(c->argv[i], "weights")) {
			if (!read_weights(w, i + 1))
				return false;
			i += 1 + w->n;
		} else if (weighs && left && cache_is(c->argv[i], "aggregate")) {
			if (!read_aggregate(w, c->argv[i + 1]))
				return false;
			i += 2;
		} else if (!store && !w->counting && cache_is(c->argv[i], "withscores")) {
			w->scores = true;
			i++;
		} else if (w->counting && left && cache_is(c->argv[i], "limit")) {
			if (!read_limit(w, c->argv[i + 1]))
				return false;
			i += 2;
		} else {
			sd_resp_error(c->out, sd_redis_syntax);
			return false;
		}
	}
	return true;
}

/* numkeys is argv[at]. */
static bool read_work(struct work *w, size_t at, bool store)
{
	struct cache_call *c = w->c;
	int64_t n;
	if (!cache_arg_int(c, at, &n))
		return false;
	if (n < 1) {
		sd_resp_errorf(c->out, "ERR at least 1 input key is needed for '%s' command", c->command->is->name);
		return false;
	}
	if ((uint64_t)n > c->argc - at - 1) {
		sd_resp_error(c->out, sd_redis_syntax);
		return false;
	}
	w->n = (size_t)n;
	w->source = cache_alloc(&c->cache->memory, w->n * sizeof(w->source[0]));
	if (!w->source) {
		sd_resp_error(c->out, cache_no_memory);
		return false;
	}
	for (size_t i = 0; i < w->n; i++)
		if (!open_source(c, at + 1 + i, store, &w->source[i]))
			return false;
	return read_options(w, at + 1 + w->n, store);
}

/* What has the same number stays in order, as sums of doubles depend on it. */
static int smaller_first(const void *a, const void *b)
{
	const struct source *s = a, *t = b;
	size_t x = count_of(s), y = count_of(t);
	return x != y ? (x > y) - (x < y) : (s->i > t->i) - (s->i < t->i);
}

static void sort_sources(struct work *w)
{
	qsort(w->source, w->n, sizeof(w->source[0]), smaller_first);
}

/* ---- replies ---- */

static void reply_all(const struct work *w, const struct cache_zset *z)
{
	struct cache_call *c = w->c;
	struct cache_zset_iter it;
	size_t n = cache_zset_count(z);
	sd_resp_array(c->out, w->scores && !c->out->resp3 ? 2 * n : n);
	for (bool more = cache_zset_seek(z, 0, &it); more; more = cache_zset_step(&it, false))
		cache_zset_reply(c, &it, w->scores, false);
}

static void finish(const struct work *w, struct cache_zset *to, bool store, bool whole)
{
	struct cache_call *c = w->c;
	int64_t n = cache_zset_count(to);
	if (whole && store) {
		cache_zset_shorten(to);
		whole = cache_zset_store(c->db, c->argv[1], to);
		if (whole)
			sd_resp_int(c->out, n);
	} else if (whole) {
		reply_all(w, to);
	}
	if (!whole)
		sd_resp_error(c->out, cache_no_memory);
	if (to->p && !(whole && store))
		cache_zset_free(to);
}

static void algebra(struct cache_call *c, enum op op, bool store)
{
	struct work w = {.c = c, .op = op};
	struct cache_zset to;
	int64_t n;
	if (read_work(&w, store ? 2 : 1, store)) {
		if (op != DIFF)
			sort_sources(&w);
		if (cache_zset_new_long(c->cache, &to))
			finish(&w, &to, store, run(&w, &to, &n));
		else
			sd_resp_error(c->out, cache_no_memory);
	}
	cache_free(&c->cache->memory, w.source);
}

static void cmd_zunion(struct cache_call *c)
{
	algebra(c, UNION, false);
}

static void cmd_zunionstore(struct cache_call *c)
{
	algebra(c, UNION, true);
}

static void cmd_zinter(struct cache_call *c)
{
	algebra(c, INTER, false);
}

static void cmd_zinterstore(struct cache_call *c)
{
	algebra(c, INTER, true);
}

static void cmd_zdiff(struct cache_call *c)
{
	algebra(c, DIFF, false);
}

static void cmd_zdiffstore(struct cache_call *c)
{
	algebra(c, DIFF, true);
}

static void cmd_zintercard(struct cache_call *c)
{
	struct work w = {.c = c, .op = INTER, .counting = true};
	int64_t n;
	if (read_work(&w, 1, false)) {
		sort_sources(&w);
		run(&w, NULL, &n);
		sd_resp_int(c->out, n);
	}
	cache_free(&c->cache->memory, w.source);
}

const struct cache_command cache_zset_algebra_commands[] = {
    {SD_REDIS(ZDIFF), cmd_zdiff},
    {SD_REDIS(ZDIFFSTORE), cmd_zdiffstore},
    {SD_REDIS(ZINTER), cmd_zinter},
    {SD_REDIS(ZINTERCARD), cmd_zintercard},
    {SD_REDIS(ZINTERSTORE), cmd_zinterstore},
    {SD_REDIS(ZUNION), cmd_zunion},
    {SD_REDIS(ZUNIONSTORE), cmd_zunionstore},
    {0},
};
