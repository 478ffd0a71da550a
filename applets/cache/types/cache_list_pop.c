/* cache_list_pop.c - commands that take values out of lists, move them to others, and wait for them. */
#include "cache_list.h"

/* ---- replies ---- */

static void reply_and_pop(struct cache_call *c, struct quicklist *q, bool front)
{
	char text[SD_LISTPACK_TEXT];
	struct sd_slice v = quicklist_text(quicklist_seek(q, front ? 0 : -1), text);
	sd_resp_bulk(c->out, v.p, v.n);
	quicklist_pop(&c->cache->memory, q, front);
}

static void reply_pop(struct cache_call *c, struct sd_slice key, struct cache_item *it, bool front, size_t n)
{
	struct quicklist *q = cache_list(it);
	n = n < q->count ? n : q->count;
	sd_resp_array(c->out, n);
	for (; n; n--)
		reply_and_pop(c, q, front);
	cache_list_shrunk(c, key, it);
}

static void pop(struct cache_call *c, bool front)
{
	bool counted = c->argc == 3;
	struct cache_item *it;
	int64_t n = 1;
	if (c->argc > 3) {
		sd_resp_errorf(c->out, "ERR wrong number of arguments for '%s' command", c->command->is->name);
		return;
	}
	if ((counted && !cache_arg_least(c, 2, 0, "ERR value is out of range, must be positive", &n)) ||
	    !cache_typed_for_write(c, 1, CACHE_LIST, &it))
		return;
	if (!it && counted) {
		sd_resp_null_array(c->out);
	} else if (!it) {
		sd_resp_null(c->out);
	} else if (n == 0) {
		sd_resp_array(c->out, 0);
	} else if (counted) {
		reply_pop(c, c->argv[1], it, front, (size_t)n);
	} else {
		reply_and_pop(c, cache_list(it), front);
		cache_list_shrunk(c, c->argv[1], it);
	}
}

static void cmd_lpop(struct cache_call *c)
{
	pop(c, true);
}

static void cmd_rpop(struct cache_call *c)
{
	pop(c, false);
}

/* ---- the first of several keys that has something ---- */

enum found { NOTHING, SOMETHING, REPLIED };

/* One that waits looks only at the key that came, and passes over what is no list there. */
static enum found find_list(struct cache_call *c, size_t i, struct cache_item **it)
{
	if (!c->again)
		return !cache_typed_for_write(c, i, CACHE_LIST, it) ? REPLIED : *it ? SOMETHING : NOTHING;
	*it = NULL;
	if (c->argv[i].n != c->ready.n || memcmp(c->argv[i].p, c->ready.p, c->ready.n) != 0)
		return NOTHING;
	return cache_typed_for_write(c, i, CACHE_LIST, it) && *it ? SOMETHING : NOTHING;
}

/* *i: the key of the list that was found. */
static enum found find_first(struct cache_call *c, size_t first, size_t n, size_t *i, struct cache_item **it)
{
	enum found f = NOTHING;
	for (*i = first; *i < first + n; ++*i)
		if ((f = find_list(c, *i, it)) != NOTHING)
			break;
	return f;
}

/* ---- BLPOP and BRPOP ---- */

static void blocking_pop(struct cache_call *c, bool front)
{
	int64_t deadline_ms = 0;
	struct cache_item *it;
	size_t nkeys = c->argc - 2, i;
	if (!c->again && !cache_arg_timeout(c, c->argc - 1, &deadline_ms))
		return;
	switch (find_first(c, 1, nkeys, &i, &it)) {
	case NOTHING:
		cache_block(c, 1, nkeys, deadline_ms, true);
		break;
	case SOMETHING:
		sd_resp_array(c->out, 2);
		sd_resp_bulk(c->out, c->argv[i].p, c->argv[i].n);
		reply_and_pop(c, cache_list(it), front);
		cache_list_shrunk(c, c->argv[i], it);
		break;
	case REPLIED:
		break;
	}
}

static void cmd_blpop(struct cache_call *c)
{
	blocking_pop(c, true);
}

static void cmd_brpop(struct cache_call *c)
{
	blocking_pop(c, false);
}

/* ---- LMPOP and BLMPOP ---- */

struct several {
	size_t first, nkeys;
	bool front;
	int64_t count;
};

/* numkeys key ... LEFT|RIGHT [COUNT n], from argv[at] on. */
static bool several_options(struct cache_call *c, size_t at, struct several *o)
{
	int64_t n;
	*o = (struct several){.first = at + 1, .count = 1};
	if (!cache_arg_least(c, at, 1, "ERR numkeys should be greater than 0", &n))
		return false;
	if ((uint64_t)n >= c->argc - at - 1) {
		sd_resp_error(c->out, sd_redis_syntax);
		return false;
	}
	o->nkeys = (size_t)n;
	size_t end = o->first + o->nkeys;
	if (!cache_arg_end(c, end, &o->front))
		return false;
	if (end + 1 == c->argc)
		return true;
	if (end + 2 < c->argc && cache_is(c->argv[end + 1], "count")) {
		if (!cache_arg_least(c, end + 2, 1, "ERR count should be greater than 0", &o->count))
			return false;
		if (end + 3 == c->argc)
			return true;
	}
	sd_resp_error(c->out, sd_redis_syntax);
	return false;
}

static enum found pop_several(struct cache_call *c, const struct several *o)
{
	struct cache_item *it;
	size_t i;
	enum found f = find_first(c, o->first, o->nkeys, &i, &it);
	if (f != SOMETHING)
		return f;
	sd_resp_array(c->out, 2);
	sd_resp_bulk(c->out, c->argv[i].p, c->argv[i].n);
	reply_pop(c, c->argv[i], it, o->front, (size_t)o->count);
	return f;
}

static void cmd_lmpop(struct cache_call *c)
{
	struct several o;
	if (several_options(c, 1, &o) && pop_several(c, &o) == NOTHING)
		sd_resp_null_array(c->out);
}

static void cmd_blmpop(struct cache_call *c)
{
	struct several o;
	int64_t deadline_ms = 0;
	if (!several_options(c, 2, &o) || (!c->again && !cache_arg_timeout(c, 1, &deadline_ms)))
		return;
	if (pop_several(c, &o) == NOTHING)
		cache_block(c, o.first, o.nkeys, deadline_ms, true);
}

/* ---- moving from argv[1] to argv[2] ---- */

/* The reply holds the value meanwhile: its place in the list may move. */
static void move(struct cache_call *c, struct cache_item *from, bool from_front, bool to_front)
{
	char text[SD_LISTPACK_TEXT];
	struct quicklist *q = cache_list(from);
	struct cache_item *to = cache_find(c->db, c->argv[2]);
	if (to && to->type != CACHE_LIST) { /* this ends a wait too */
		sd_resp_error(c->out, cache_wrong_type);
		return;
	}
	size_t begun = c->out->n;
	struct sd_slice v = quicklist_text(quicklist_seek(q, from_front ? 0 : -1), text);
	sd_resp_bulk(c->out, v.p, v.n);
	if (c->out->full)
		return;
	v.p = c->out->p + c->out->n - 2 - v.n;
	if (to == from && from_front == to_front) { /* it stays where it is, and counts as a change */
		cache_changed(c->db, c->argv[1]);
		return;
	}
	if (!cache_list_push(c, c->argv[2], &to, v, to_front)) {
		c->out->n = begun;
		sd_resp_error(c->out, cache_no_memory);
		return;
	}
	cache_changed(c->db, c->argv[2]);
	quicklist_pop(&c->cache->memory, q, from_front);
	cache_list_shrunk(c, c->argv[1], from);
}

static void move_now(struct cache_call *c, bool from_front, bool to_front)
{
	struct cache_item *from;
	if (!cache_typed_for_write(c, 1, CACHE_LIST, &from))
		return;
	if (from)
		move(c, from, from_front, to_front);
	else
		sd_resp_null(c->out);
}

static void move_or_wait(struct cache_call *c, bool from_front, bool to_front, size_t timeout_at)
{
	struct cache_item *from;
	int64_t deadline_ms = 0;
	if (!c->again && !cache_arg_timeout(c, timeout_at, &deadline_ms))
		return;
	enum found f = find_list(c, 1, &from);
	if (f == SOMETHING)
		move(c, from, from_front, to_front);
	else if (f == NOTHING)
		cache_block(c, 1, 1, deadline_ms, false);
}

static void cmd_lmove(struct cache_call *c)
{
	bool from_front, to_front;
	if (cache_arg_end(c, 3, &from_front) && cache_arg_end(c, 4, &to_front))
		move_now(c, from_front, to_front);
}

static void cmd_rpoplpush(struct cache_call *c)
{
	move_now(c, false, true);
}

static void cmd_blmove(struct cache_call *c)
{
	bool from_front, to_front;
	if (cache_arg_end(c, 3, &from_front) && cache_arg_end(c, 4, &to_front))
		move_or_wait(c, from_front, to_front, 5);
}

static void cmd_brpoplpush(struct cache_call *c)
{
	move_or_wait(c, false, true, 3);
}

const struct cache_command cache_list_pop_commands[] = {
    {SD_REDIS(BLMOVE), cmd_blmove},
    {SD_REDIS(BLMPOP), cmd_blmpop},
    {SD_REDIS(BLPOP), cmd_blpop},
    {SD_REDIS(BRPOP), cmd_brpop},
    {SD_REDIS(BRPOPLPUSH), cmd_brpoplpush},
    {SD_REDIS(LMOVE), cmd_lmove},
    {SD_REDIS(LMPOP), cmd_lmpop},
    {SD_REDIS(LPOP), cmd_lpop},
    {SD_REDIS(RPOP), cmd_rpop},
    {SD_REDIS(RPOPLPUSH), cmd_rpoplpush},
    {0},
};
