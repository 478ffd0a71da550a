/* cache_scan.c - SCAN, SSCAN, HSCAN and ZSCAN: cursor, options, reply. */
#include "cache_scan.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool cache_scan_begin(struct cache_call *c, size_t cursor_at, struct cache_scan *s)
{
	*s = (struct cache_scan){.c = c, .count = 10, .place = sd_resp_later(c->out)};
	if (sd_redis_parse_cursor(c->argv[cursor_at], &s->cursor))
		return true;
	sd_resp_error(c->out, "ERR invalid cursor");
	return false;
}

static bool option(struct cache_scan *s, size_t i)
{
	const struct cache_call *c = s->c;
	if (i + 1 == c->argc)
		return false;
	struct sd_slice value = c->argv[i + 1];
	if (cache_is(c->argv[i], "match"))
		s->pattern = sd_slice_eq(value, "*") ? (struct sd_slice){NULL, 0} : value;
	else if (s->keys && cache_is(c->argv[i], "type"))
		s->type = c->argv[i + 1];
	else
		return false;
	return true;
}

bool cache_scan_options(struct cache_scan *s, size_t from)
{
	struct cache_call *c = s->c;
	for (size_t i = from; i < c->argc; i += 2) {
		bool is_count = i + 1 < c->argc && cache_is(c->argv[i], "count");
		if (is_count && !cache_arg_int(c, i + 1, &s->count))
			return false;
		if (is_count ? s->count < 1 : !option(s, i)) {
			sd_resp_error(c->out, sd_redis_syntax);
			return false;
		}
	}
	return true;
}

/* All, also the empty one. */
static bool is_star(struct sd_slice pattern)
{
	return pattern.n == 1 && pattern.p[0] == '*';
}

void cache_scan_give(struct cache_scan *s, struct sd_slice name, const struct sd_slice *value)
{
	if (s->pattern.p && !is_star(s->pattern) && !sd_redis_matches(s->pattern, name))
		return;
	sd_resp_bulk(s->c->out, name.p, name.n);
	if (value)
		sd_resp_bulk(s->c->out, value->p, value->n);
	s->n++;
	s->items += value ? 2 : 1;
}

/* The cursor comes first and is known last, so it is put in front of what was given. */
static void finish(struct cache_scan *s, uint64_t cursor)
{
	struct sd_resp_out *o = s->c->out;
	char text[24], front[64];
	sd_resp_now(o, s->place, '*', s->items);
	size_t body = o->n - s->place;
	size_t digits = (size_t)snprintf(text, sizeof(text), "%llu", (unsigned long long)cursor);
	sd_resp_array(o, 2);
	sd_resp_bulk(o, text, digits);
	if (o->full)
		return;
	size_t head = o->n - s->place - body;
	memcpy(front, o->p + s->place + body, head);
	memmove(o->p + s->place + head, o->p + s->place, body);
	memcpy(o->p + s->place, front, head);
}

void cache_scan_table(struct cache_scan *s, struct sd_dict *d, void (*fn)(void *arg, struct sd_dict_entry *e))
{
	uint64_t cursor = s->cursor;
	int64_t rounds = s->count > INT64_MAX / 10 ? INT64_MAX : s->count * 10; /* an almost empty table does not hold others up */
	do
		cursor = sd_dict_scan(d, cursor, fn, s);
	while (cursor && --rounds && (int64_t)s->n < s->count);
	finish(s, cursor);
}

void cache_scan_end(struct cache_scan *s)
{
	finish(s, 0);
}
