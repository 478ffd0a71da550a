/* cache_set_algebra.c - commands about several sets: what is in all of them, in any of them, in the first only. */
#include <stdlib.h>

#include "cache_set.h"

/* The sets of a command's keys; p NULL: no such key. */
struct sets {
	struct cache_call *c;
	struct cache_set *set;
	size_t n;
	bool missing; /* one of them is */
};

static void no_memory(struct cache_call *c)
{
	sd_resp_error(c->out, cache_no_memory);
}

static void close_sets(struct sets *s)
{
	cache_free(&s->c->cache->memory, s->set);
}

/* Those of argv[from] and the following. False: the reply says why not. */
static bool open_sets(struct cache_call *c, size_t from, size_t n, struct sets *s)
{
	struct cache_item *it;
	*s = (struct sets){c, cache_alloc(&c->cache->memory, n * sizeof(s->set[0])), n, false};
	if (!s->set) {
		no_memory(c);
		return false;
	}
	for (size_t i = 0; i < n; i++) {
		if (!cache_typed(c, from + i, CACHE_SET, &it)) {
			close_sets(s);
			return false;
		}
		s->missing |= !it;
		s->set[i] = it ? cache_set_of(c->cache, it) : (struct cache_set){0};
	}
	return true;
}

static size_t count_of(const struct cache_set *s)
{
	return s->p ? cache_set_count(s) : 0;
}

static bool has(const struct cache_set *s, struct sd_slice member)
{
	return s->p && cache_set_has(s, member);
}

/* Which of them, from the second on, has it first; n: none. */
static size_t first_with(const struct sets *s, struct sd_slice member, bool is)
{
	size_t i = 1;
	while (i < s->n && has(&s->set[i], member) != is)
		i++;
	return i;
}

static int smaller_first(const void *a, const void *b)
{
	size_t x = count_of(a), y = count_of(b);
	return (x > y) - (x < y);
}

/* ---- what is in all of them ---- */

/* Calls fn for each, limit (0: all) at most; fn's false ends it. Returns how many there were. */
static size_t intersect(struct sets *s, size_t limit, bool (*fn)(void *arg, struct sd_slice member), void *arg)
{
	struct cache_set_iter it;
	struct sd_slice m;
	size_t n = 0;
	if (s->missing)
		return 0;
	qsort(s->set, s->n, sizeof(s->set[0]), smaller_first);
	cache_set_iter_begin(&s->set[0], &it);
	while (cache_set_iter_next(&it, &m)) {
		if (first_with(s, m, false) < s->n)
			continue;
		n++;
		if ((fn && !fn(arg, m)) || n == limit)
			break;
	}
	cache_set_iter_end(&it);
	return n;
}

static bool say(void *arg, struct sd_slice m)
{
	sd_resp_bulk(arg, m.p, m.n);
	return true;
}

static bool keep(void *arg, struct sd_slice m)
{
	return cache_set_add(arg, m) >= 0;
}

static void cmd_sinter(struct cache_call *c)
{
	struct sets s;
	if (!open_sets(c, 1, c->argc - 1, &s))
		return;
	size_t place = sd_resp_later(c->out);
	sd_resp_now(c->out, place, '~', intersect(&s, 0, say, c->out));
	close_sets(&s);
}

/* The result becomes the value of argv[1], and its size the reply; whole: memory was enough for it. */
static void store(struct cache_call *c, struct cache_set *result, bool whole)
{
	int64_t n = (int64_t)cache_set_count(result);
	if (!whole)
		cache_set_free(result);
	if (whole && cache_set_store(c->db, c->argv[1], result))
		sd_resp_int(c->out, n);
	else
		no_memory(c);
}

static bool begin_result(struct cache_call *c, struct sets *s, struct cache_set *result)
{
	if (cache_set_new(c->cache, true, result))
		return true;
	no_memory(c);
	close_sets(s);
	return false;
}

struct result {
	struct cache_set *to;
	bool whole;
};

static bool fits(void *arg, struct sd_slice m)
{
	struct result *result = arg;
	result->whole = keep(result->to, m);
	return result->whole;
}

static void cmd_sinterstore(struct cache_call *c)
{
	struct sets s;
	struct cache_set to;
	struct result result = {&to, true};
	if (!open_sets(c, 2, c->argc - 2, &s) || !begin_result(c, &s, &to))
		return;
	intersect(&s, 0, fits, &result);
	close_sets(&s);
	store(c, &to, result.whole);
}

static bool arg_limit(struct cache_call *c, size_t from, int64_t *limit)
{
	for (size_t i = from; i < c->argc; i += 2) {
		if (!cache_is(c->argv[i], "limit") || i + 1 == c->argc) {
			sd_resp_error(c->out, sd_redis_syntax);
			return false;
		}
		if (!sd_resp_parse_int(c->argv[i + 1], limit) || *limit < 0) {
			sd_resp_error(c->out, "ERR LIMIT can't be negative");
			return false;
		}
	}
	return true;
}

static void cmd_sintercard(struct cache_call *c)
{
	int64_t n, limit = 0;
	struct sets s;
	if (!sd_resp_parse_int(c->argv[1], &n) || n < 1) {
		sd_resp_error(c->out, "ERR numkeys should be greater than 0");
		return;
	}
	if ((uint64_t)n > c->argc - 2) {
		sd_resp_error(c->out, "ERR Number of keys can't be greater than number of args");
		return;
	}
	if (!arg_limit(c, 2 + (size_t)n, &limit) || !open_sets(c, 2, (size_t)n, &s))
		return;
	sd_resp_int(c->out, (int64_t)intersect(&s, (size_t)limit, NULL, NULL));
	close_sets(&s);
}

/* ---- in any of them, in the first only: false when memory ended ---- */

static bool add_all(const struct cache_set *from, struct cache_set *to)
{
	struct cache_set_iter it;
	struct sd_slice m;
	bool whole = true;
	if (!from->p)
		return true;
	cache_set_iter_begin(from, &it);
	while (whole && cache_set_iter_next(&it, &m))
		whole = keep(to, m);
	cache_set_iter_end(&it);
	return whole;
}

static bool unite(struct sets *s, struct cache_set *to)
{
	bool whole = true;
	for (size_t i = 0; i < s->n && whole; i++)
		whole = add_all(&s->set[i], to);
	return whole;
}

static bool add_those_only_in_first(const struct sets *s, struct cache_set *to)
{
	struct cache_set_iter it;
	struct sd_slice m;
	bool whole = true;
	cache_set_iter_begin(&s->set[0], &it);
	while (whole && cache_set_iter_next(&it, &m))
		if (first_with(s, m, true) == s->n)
			whole = keep(to, m);
	cache_set_iter_end(&it);
	return whole;
}

static void remove_all(const struct cache_set *from, struct cache_set *to)
{
	struct cache_set_iter it;
	struct sd_slice m;
	if (!from->p)
		return;
	cache_set_iter_begin(from, &it);
	while (cache_set_count(to) && cache_set_iter_next(&it, &m))
		cache_set_remove(to, m);
	cache_set_iter_end(&it);
}

/* Asks the others for each member of the first, or takes the others' members out of a copy of it, whichever looks at less: as Redis
 * decides, since it can be seen in the encoding of what is stored. */
static bool subtract(struct sets *s, struct cache_set *to)
{
	size_t asking = 0, taking = 0;
	if (!s->set[0].p)
		return true;
	for (size_t i = 0; i < s->n; i++) {
		asking += s->set[i].p ? count_of(&s->set[0]) : 0;
		taking += count_of(&s->set[i]);
	}
	if (asking / 2 <= taking)
		return add_those_only_in_first(s, to);
	if (!add_all(&s->set[0], to))
		return false;
	for (size_t i = 1; i < s->n; i++)
		remove_all(&s->set[i], to);
	return true;
}

static void reply_result(struct cache_call *c, bool (*make)(struct sets *s, struct cache_set *to))
{
	struct sets s;
	struct cache_set to;
	struct cache_set_iter it;
	struct sd_slice m;
	if (!open_sets(c, 1, c->argc - 1, &s) || !begin_result(c, &s, &to))
		return;
	if (make(&s, &to)) {
		sd_resp_set(c->out, cache_set_count(&to));
		cache_set_iter_begin(&to, &it);
		while (cache_set_iter_next(&it, &m))
			sd_resp_bulk(c->out, m.p, m.n);
		cache_set_iter_end(&it);
	} else {
		no_memory(c);
	}
	cache_set_free(&to);
	close_sets(&s);
}

static void store_result(struct cache_call *c, bool (*make)(struct sets *s, struct cache_set *to))
{
	struct sets s;
	struct cache_set to;
	if (!open_sets(c, 2, c->argc - 2, &s) || !begin_result(c, &s, &to))
		return;
	bool whole = make(&s, &to);
	close_sets(&s);
	store(c, &to, whole);
}

static void cmd_sunion(struct cache_call *c)
{
	reply_result(c, unite);
}

static void cmd_sunionstore(struct cache_call *c)
{
	store_result(c, unite);
}

static void cmd_sdiff(struct cache_call *c)
{
	reply_result(c, subtract);
}

static void cmd_sdiffstore(struct cache_call *c)
{
	store_result(c, subtract);
}

const struct cache_command cache_set_algebra_commands[] = {
    {SD_REDIS(SDIFF), cmd_sdiff},
    {SD_REDIS(SDIFFSTORE), cmd_sdiffstore},
    {SD_REDIS(SINTER), cmd_sinter},
    {SD_REDIS(SINTERCARD), cmd_sintercard},
    {SD_REDIS(SINTERSTORE), cmd_sinterstore},
    {SD_REDIS(SUNION), cmd_sunion},
    {SD_REDIS(SUNIONSTORE), cmd_sunionstore},
    {0},
};
