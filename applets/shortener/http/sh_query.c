/* sh_query.c - a target with the query of a request. */
#include "sh_query.h"

#include <stdbool.h>

#define COMPARED 100 /* of the target's parameters: so that nobody makes one that is dear to follow */

/* Takes the first parameter off; false at the end. Empty ones are skipped. */
static bool next(struct sd_slice *rest, struct sd_slice *part)
{
	while (rest->n) {
		const char *end = memchr(rest->p, '&', rest->n);
		*part = (struct sd_slice){rest->p, end ? (size_t)(end - rest->p) : rest->n};
		rest->p += part->n + (end != NULL);
		rest->n -= part->n + (end != NULL);
		if (part->n)
			return true;
	}
	return false;
}

static size_t name_length(struct sd_slice part)
{
	const char *eq = memchr(part.p, '=', part.n);
	return eq ? (size_t)(eq - part.p) : part.n;
}

static bool has(struct sd_slice query, struct sd_slice part)
{
	struct sd_slice other;
	size_t n = name_length(part);
	while (next(&query, &other))
		if (name_length(other) == n && memcmp(other.p, part.p, n) == 0)
			return true;
	return false;
}

struct sink {
	char *out;
	size_t n, room;
	bool full, any;
};

static void add(struct sink *s, const char *p, size_t n)
{
	if (s->full || n > s->room - s->n) {
		s->full = true;
		return;
	}
	if (n)
		memcpy(s->out + s->n, p, n);
	s->n += n;
}

static void add_part(struct sink *s, struct sd_slice part)
{
	add(s, s->any ? "&" : "?", 1);
	add(s, part.p, part.n);
	s->any = true;
}

size_t sh_query_merge(struct sd_slice target, struct sd_slice query, char *out, size_t room)
{
	struct sink s = {.out = out, .room = room};
	struct sd_slice part;
	const char *hash = memchr(target.p, '#', target.n);
	size_t whole = hash ? (size_t)(hash - target.p) : target.n;
	const char *mark = memchr(target.p, '?', whole);
	size_t front = mark ? (size_t)(mark - target.p) : whole;
	struct sd_slice own = {target.p + front + (mark != NULL), whole - front - (mark != NULL)}, more = query;
	add(&s, target.p, front);
	for (size_t i = 0; next(&own, &part); i++)
		if (i >= COMPARED || !has(query, part))
			add_part(&s, part);
	while (next(&more, &part))
		add_part(&s, part);
	add(&s, target.p + whole, target.n - whole);
	return s.full ? 0 : s.n;
}
