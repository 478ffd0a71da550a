/* cache_sort.c - SORT and SORT_RO: what is in a list, a set or a sorted set, by number or by bytes, by itself or by what other keys hold.
 *
 *	collect: the elements' bytes ---> weigh: a number or bytes for each (BY) ---> sort ---> give: elements, or what GET names
 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cache_hash.h"
#include "cache_list.h"
#include "cache_set.h"
#include "cache_zset.h"

/* Bytes in the arena. */
struct part {
	size_t at, n;
};

struct element {
	struct part text;
	double score;	/* by number */
	struct part by; /* by bytes of another key */
	bool has_by;
	size_t i;	/* where it was: what is equal stays in order */
};

struct sorting {
	struct cache_call *c;
	bool alpha, desc, unsorted, full; /* full: memory ended */
	int64_t offset, limit;		  /* limit negative: all */
	const struct sd_slice *by;	  /* NULL: itself */
	size_t store;			  /* the argument, 0: none */
	size_t ngets;
	char *arena;
	size_t used, room;
	struct element *elements;
	size_t n;
};

/* ---- the arena: moves as it grows, so that everything in it is named by its place ---- */

static char *make_room(struct sorting *s, size_t n)
{
	if (s->room - s->used < n || !s->arena) {
		size_t room = s->room * 2 + n + 1024;
		char *p = cache_realloc(&s->c->cache->memory, s->arena, room);
		if (!p) {
			s->full = true;
			return NULL;
		}
		s->arena = p;
		s->room = room;
	}
	return s->arena + s->used;
}

static struct part keep(struct sorting *s, struct sd_slice v)
{
	struct part p = {s->used, v.n};
	char *to = make_room(s, v.n);
	if (to && v.n)
		memcpy(to, v.p, v.n);
	s->used += to ? v.n : 0;
	return p;
}

static struct sd_slice text_of(const struct sorting *s, struct part p)
{
	return (struct sd_slice){s->arena + p.at, p.n};
}

/* ---- options ---- */

static bool bad_option(struct cache_call *c)
{
	sd_resp_error(c->out, sd_redis_syntax);
	return false;
}

static bool options(struct sorting *s, bool may_store)
{
	struct cache_call *c = s->c;
	for (size_t i = 2; i < c->argc; i++) {
		struct sd_slice arg = c->argv[i];
		size_t left = c->argc - i - 1;
		if (cache_is(arg, "asc") || cache_is(arg, "desc")) {
			s->desc = cache_is(arg, "desc");
		} else if (cache_is(arg, "alpha")) {
			s->alpha = true;
		} else if (cache_is(arg, "limit") && left >= 2) {
			if (!cache_arg_int(c, i + 1, &s->offset) || !cache_arg_int(c, i + 2, &s->limit))
				return false;
			i += 2;
		} else if (may_store && cache_is(arg, "store") && left) {
			s->store = ++i;
		} else if (cache_is(arg, "by") && left) {
			s->by = &c->argv[++i];
			/* without a star all would have the same weight, so nobody wants an order */
			s->unsorted |= !memchr(s->by->p, '*', s->by->n);
		} else if (cache_is(arg, "get") && left) {
			s->ngets++;
			i++;
		} else {
			return bad_option(c);
		}
	}
	return true;
}

/* ---- collecting ---- */

static void add(struct sorting *s, struct sd_slice text)
{
	s->elements[s->n] = (struct element){.text = keep(s, text), .i = s->n};
	s->n++;
}

static void collect_list(struct sorting *s, const struct cache_item *it, size_t from, size_t n, bool back)
{
	char text[SD_LISTPACK_TEXT];
	struct quicklist_at at = quicklist_seek(cache_list(it), (int64_t)from);
	for (; n && at.node; n--, at = back ? quicklist_prev(at) : quicklist_next(at))
		add(s, quicklist_text(at, text));
}

static void collect_zset(struct sorting *s, const struct cache_item *it, size_t from, size_t n, bool back)
{
	struct cache_zset z = cache_zset_of(s->c->cache, it);
	struct cache_zset_iter at;
	for (bool more = n && cache_zset_seek(&z, (uint32_t)from, &at); more && n; n--) {
		add(s, at.member);
		more = n > 1 && cache_zset_step(&at, back);
	}
}

static void collect_set(struct sorting *s, const struct cache_item *it, size_t from, size_t n)
{
	struct cache_set set = cache_set_of(s->c->cache, it);
	struct cache_set_iter at;
	struct sd_slice m;
	cache_set_iter_begin(&set, &at);
	while (n && cache_set_iter_next(&at, &m)) {
		if (from) {
			from--;
			continue;
		}
		add(s, m);
		n--;
	}
	cache_set_iter_end(&at);
}

static size_t count_of(const struct sorting *s, const struct cache_item *it)
{
	struct cache *c = s->c->cache;
	if (!it)
		return 0;
	if (it->type == CACHE_LIST)
		return cache_list(it)->count;
	struct cache_set set = {c, it->encoding, cache_value(it)};
	struct cache_zset zset = {c, it->encoding, cache_value(it)};
	return it->type == CACHE_SET ? cache_set_count(&set) : cache_zset_count(&zset);
}

/* What LIMIT asks for, of so many. */
static void limits(const struct sorting *s, size_t count, size_t *from, size_t *n)
{
	*from = s->offset < 0 ? 0 : (uint64_t)s->offset < count ? (size_t)s->offset : count;
	*n = count - *from;
	if (s->limit >= 0 && (uint64_t)s->limit < *n)
		*n = (size_t)s->limit;
}

/* Without an order only those that are asked for. */
static bool collect(struct sorting *s, const struct cache_item *it)
{
	size_t count = count_of(s, it), from = 0, n = count;
	if (s->unsorted)
		limits(s, count, &from, &n);
	s->elements = cache_alloc(&s->c->cache->memory, n * sizeof(s->elements[0]));
	if (!s->elements)
		return false;
	bool back = s->unsorted && s->desc;
	size_t first = back ? count - 1 - from : from;
	if (n && it->type == CACHE_LIST)
		collect_list(s, it, first, n, back);
	else if (n && it->type == CACHE_ZSET)
		collect_zset(s, it, first, n, back);
	else if (n)
		collect_set(s, it, from, n);
	return !s->full;
}

/* ---- other keys ---- */

/* What a pattern means for an element: the element ("#"), a string, or a field of a hash ("name_*->field"). False: nothing. */
static bool look_up(struct sorting *s, struct sd_slice pattern, struct part element, char text[SD_LISTPACK_TEXT], struct sd_slice *value)
{
	size_t mark = s->used;
	const char *end = pattern.p + pattern.n, *star, *arrow = NULL;
	*value = text_of(s, element);
	if (pattern.n == 1 && pattern.p[0] == '#')
		return true;
	if (!(star = memchr(pattern.p, '*', pattern.n)))
		return false;
	arrow = memmem(star + 1, (size_t)(end - star - 1), "->", 2);
	if (arrow && arrow + 2 == end)
		arrow = NULL;
	size_t behind = (size_t)((arrow ? arrow : end) - star - 1), before = (size_t)(star - pattern.p);
	char *key = make_room(s, before + element.n + behind);
	if (!key)
		return false;
	memcpy(key, pattern.p, before);
	memcpy(key + before, s->arena + element.at, element.n);
	memcpy(key + before + element.n, star + 1, behind);
	s->used = mark;
	const struct cache_item *it = cache_read(s->c, (struct sd_slice){key, before + element.n + behind});
	if (!it || it->type != (arrow ? CACHE_HASH : CACHE_STRING))
		return false;
	if (!arrow) {
		*value = cache_string(it, text);
		return true;
	}
	struct cache_hash h = cache_hash_of(s->c->cache, it);
	return cache_hash_get(&h, (struct sd_slice){arrow + 2, (size_t)(end - arrow - 2)}, text, value);
}

/* ---- order ---- */

/* What strtod takes up to a zero byte, which is nothing as well. */
static bool number(struct sd_slice v, double *out)
{
	char text[512], *end;
	if (v.n >= sizeof(text))
		return false;
	memcpy(text, v.p, v.n);
	text[v.n] = '\0';
	errno = 0;
	*out = strtod(text, &end);
	return !*end && errno != ERANGE && !isnan(*out);
}

static bool weigh(struct sorting *s, struct element *e)
{
	char text[SD_LISTPACK_TEXT];
	struct sd_slice v = text_of(s, e->text);
	e->has_by = !s->by || look_up(s, *s->by, e->text, text, &v);
	if (!e->has_by)
		return true;
	if (!s->alpha)
		return number(v, &e->score);
	e->by = s->by ? keep(s, v) : e->text;
	return true;
}

static int compare_bytes(struct sd_slice a, struct sd_slice b)
{
	size_t n = a.n < b.n ? a.n : b.n;
	int c = n ? memcmp(a.p, b.p, n) : 0;
	return c ? c : (a.n > b.n) - (a.n < b.n);
}

static int compare(const void *a, const void *b, void *arg)
{
	const struct sorting *s = arg;
	const struct element *x = a, *y = b;
	int c;
	if (!s->alpha) {
		c = (x->score > y->score) - (x->score < y->score);
		c = c ? c : compare_bytes(text_of(s, x->text), text_of(s, y->text));
	} else if (x->has_by && y->has_by) {
		c = compare_bytes(text_of(s, x->by), text_of(s, y->by));
	} else {
		c = x->has_by - y->has_by;
	}
	c = s->desc ? -c : c;
	return c ? c : (x->i > y->i) - (x->i < y->i);
}

/* False: something is no number. */
static bool put_in_order(struct sorting *s)
{
	for (size_t i = 0; i < s->n && !s->full; i++)
		if (!weigh(s, &s->elements[i]))
			return false;
	if (!s->full)
		qsort_r(s->elements, s->n, sizeof(s->elements[0]), compare, s);
	return true;
}

/* ---- giving ---- */

/* Calls fn for each item of the result; value NULL: nothing is there. */
static bool give(struct sorting *s, size_t from, size_t n, bool (*fn)(void *arg, const struct sd_slice *value), void *arg)
{
	const struct cache_call *c = s->c;
	char text[SD_LISTPACK_TEXT];
	struct sd_slice v;
	for (size_t k = from; k < from + n; k++) {
		struct part element = s->elements[k].text;
		v = text_of(s, element);
		if (!s->ngets && !fn(arg, &v))
			return false;
		for (size_t i = 2; s->ngets && i < c->argc; i++) {
			if (cache_is(c->argv[i], "limit"))
				i += 2;
			else if (cache_is(c->argv[i], "by") || cache_is(c->argv[i], "store"))
				i++;
			else if (cache_is(c->argv[i], "get") && !fn(arg, look_up(s, c->argv[++i], element, text, &v) ? &v : NULL))
				return false;
		}
	}
	return true;
}

static bool say(void *arg, const struct sd_slice *v)
{
	if (v)
		sd_resp_bulk(arg, v->p, v->n);
	else
		sd_resp_null(arg);
	return true;
}

struct result {
	struct cache_memory *memory;
	struct quicklist *list;
};

static bool push(void *arg, const struct sd_slice *v)
{
	struct result *r = arg;
	return quicklist_push(r->memory, r->list, v ? *v : (struct sd_slice){"", 0}, false);
}

/* The list of argv[store]; without anything in it there is no key. False: out of memory. */
static bool store(struct sorting *s, size_t from, size_t n)
{
	struct cache_call *c = s->c;
	struct sd_slice key = c->argv[s->store];
	struct result r = {&c->cache->memory, NULL};
	if (n == 0) {
		struct cache_item *it = cache_find(c->db, key);
		if (it)
			cache_delete(c->db, it);
		return true;
	}
	r.list = quicklist_new(r.memory, c->cache->tuning.list_max_listpack_size);
	if (!r.list)
		return false;
	if (give(s, from, n, push, &r) && cache_put(c->db, key, CACHE_LIST, CACHE_QUICKLIST, r.list))
		return true;
	quicklist_free(r.memory, r.list);
	return false;
}

static void reply(struct sorting *s)
{
	struct sd_resp_out *o = s->c->out;
	size_t from = 0, n = s->n, each = s->ngets ? s->ngets : 1;
	if (!s->unsorted)
		limits(s, s->n, &from, &n);
	if (!s->store) {
		sd_resp_array(o, n * each);
		give(s, from, n, say, o);
	} else if (store(s, from, n)) {
		sd_resp_int(o, (int64_t)(n * each));
	} else {
		sd_resp_error(o, cache_no_memory);
	}
}

static void sort(struct cache_call *c, bool may_store)
{
	struct sorting s = {.c = c, .limit = -1};
	if (!options(&s, may_store))
		return;
	const struct cache_item *it = cache_read(c, c->argv[1]);
	if (it && it->type != CACHE_LIST && it->type != CACHE_SET && it->type != CACHE_ZSET) {
		sd_resp_error(c->out, cache_wrong_type);
		return;
	}
	/* what is stored has an order that does not depend on a table's */
	if (s.unsorted && s.store && it && it->type == CACHE_SET) {
		s.unsorted = false;
		s.alpha = true;
		s.by = NULL;
	}
	bool whole = collect(&s, it), fits = !whole || s.unsorted || put_in_order(&s);
	if (!whole || s.full)
		sd_resp_error(c->out, cache_no_memory);
	else if (!fits)
		sd_resp_error(c->out, "ERR One or more scores can't be converted into double");
	else
		reply(&s);
	cache_free(&c->cache->memory, s.elements);
	cache_free(&c->cache->memory, s.arena);
}

static void cmd_sort(struct cache_call *c)
{
	sort(c, true);
}

static void cmd_sort_ro(struct cache_call *c)
{
	sort(c, false);
}

const struct cache_command cache_sort_commands[] = {
    {SD_REDIS(SORT), cmd_sort},
    {SD_REDIS(SORT_RO), cmd_sort_ro},
    {0},
};
