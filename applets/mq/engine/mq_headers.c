/* mq_headers.c - the headers exchange: bindings whose arguments a message's headers must have, all of them or any. */
#include <stdio.h>

#include "mq_int.h"

struct match {
	const char *name;
	bool any, with_x; /* with_x: arguments that begin with x- count like others */
};
static const struct match matches[] = {{"all", false, false}, {"any", true, false}, {"all-with-x", false, true}, {"any-with-x", true, true}};

static const struct match *match_of(struct sd_slice arguments)
{
	struct sd_amqp_field f;
	if (!sd_amqp_find(arguments, "x-match", &f))
		return &matches[0];
	for (size_t i = 0; f.kind == 'S' && i < sizeof(matches) / sizeof(matches[0]); i++)
		if (sd_slice_eq(f.s, matches[i].name))
			return &matches[i];
	return NULL;
}

const char *mq_headers_check(struct sd_slice arguments, char *room, size_t n)
{
	struct sd_amqp_field f;
	if (match_of(arguments) || !sd_amqp_find(arguments, "x-match", &f))
		return NULL;
	if (f.kind == 'S')
		snprintf(room, n, "Invalid x-match field value <<\"%.*s\">>; expected all, any, all-with-x, or any-with-x",
			 (int)(f.s.n < 64 ? f.s.n : 64), f.s.p);
	else
		snprintf(room, n, "Invalid x-match field type %s (value %lld); expected longstr", mq_kind_name(f.kind), (long long)f.n);
	return room;
}

/* Looks for a header of this name; an argument without a value asks only whether there is one. */
static bool has(struct sd_slice headers, const struct sd_amqp_field *want)
{
	struct sd_amqp_field f;
	while (headers.n && sd_amqp_next_field(&headers, &f))
		if (mq_same(f.name, want->name))
			return want->kind == 'V' || sd_amqp_field_eq(&f, want);
	return false;
}

static bool fits(const struct mq_binding *bi, struct sd_slice headers)
{
	const struct match *how = match_of(bi->arguments);
	struct sd_slice rest = bi->arguments;
	struct sd_amqp_field want;
	if (!how)
		return false;
	while (rest.n && sd_amqp_next_field(&rest, &want)) {
		if (sd_slice_eq(want.name, "x-match") || (!how->with_x && sd_slice_starts(want.name, "x-")))
			continue;
		if (has(headers, &want) == how->any)
			return how->any;
	}
	return !how->any;
}

void mq_headers_route(struct mq_exchange *x, const struct mq_routing *m, struct mq_route *r)
{
	for (struct sd_link *l = x->bindings.next; l != &x->bindings; l = l->next) {
		const struct mq_binding *bi = sd_container(l, struct mq_binding, of_source);
		if (fits(bi, m->headers))
			mq_route_to(r, bi);
	}
}
