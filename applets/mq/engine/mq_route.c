/* mq_route.c - where a message goes: from exchange to exchange, each once, until there are queues, each once. */
#include <stdlib.h>

#include "mq_int.h"

#define FIRST_ROOM 16

struct mq_route *mq_route_new(void)
{
	return calloc(1, sizeof(struct mq_route));
}

void mq_route_free(struct mq_route *r)
{
	if (!r)
		return;
	free(r->queues);
	free(r->entries);
	free(r->todo);
	free(r);
}

void mq_route_begin(struct mq *b)
{
	struct mq_route *r = b->route;
	r->n = r->ntodo = 0;
	r->full = r->rejected = r->pressed = false;
	r->record = 0;
	r->mark = ++b->mark;
}

static bool grow(struct mq_route *r)
{
	size_t room = r->room ? 2 * r->room : FIRST_ROOM;
	struct mq_queue **queues = reallocarray(r->queues, room, sizeof(*queues));
	if (queues)
		r->queues = queues;
	struct mq_entry **entries = queues ? reallocarray(r->entries, room, sizeof(struct mq_entry *)) : NULL;
	if (!entries)
		return false;
	r->entries = entries;
	r->room = room;
	return true;
}

void mq_route_queue(struct mq_route *r, struct mq_queue *q)
{
	r->hits++;
	if (q->mark == r->mark)
		return;
	if (r->n == r->room && !grow(r)) {
		r->full = true;
		return;
	}
	q->mark = r->mark;
	r->queues[r->n++] = q;
}

static void add_exchange(struct mq_route *r, struct mq_exchange *x)
{
	if (x->mark == r->pass)
		return;
	if (r->ntodo == r->todo_room) {
		size_t room = r->todo_room ? 2 * r->todo_room : FIRST_ROOM;
		struct mq_exchange **todo = reallocarray(r->todo, room, sizeof(struct mq_exchange *));
		if (!todo) {
			r->full = true;
			return;
		}
		r->todo = todo;
		r->todo_room = room;
	}
	x->mark = r->pass;
	r->todo[r->ntodo++] = x;
}

void mq_route_to(struct mq_route *r, const struct mq_binding *bi)
{
	if (bi->to_queue) {
		mq_route_queue(r, bi->to_queue);
		return;
	}
	r->hits++;
	add_exchange(r, bi->to_exchange);
}

static void visit(struct mq_route *r, struct mq_exchange *x, const struct mq_routing *m)
{
	r->hits = 0;
	x->type->route(x, m, r);
	if (r->hits) {
		x->published_out++;
		return;
	}
	struct mq_exchange *other = x->alternate ? mq_exchange_find(x->vhost, sd_slice_of(x->alternate)) : NULL;
	if (other)
		add_exchange(r, other);
}

void mq_route_through(struct mq *b, struct mq_exchange *x, struct sd_slice key, struct sd_slice headers)
{
	struct mq_route *r = b->route;
	const struct mq_routing m = {key, headers};
	r->pass = ++b->mark;
	x->mark = r->pass;
	visit(r, x, &m);
	while (r->ntodo)
		visit(r, r->todo[--r->ntodo], &m);
}

void mq_route_message(struct mq *b, struct mq_exchange *x, struct sd_slice key, struct sd_slice headers)
{
	static const char *const more[] = {"CC", "BCC"};
	struct sd_amqp_field list, item;
	mq_route_through(b, x, key, headers);
	for (size_t i = 0; headers.n && i < sizeof(more) / sizeof(more[0]); i++) {
		if (!sd_amqp_find(headers, more[i], &list) || list.kind != 'A')
			continue;
		while (list.s.n && sd_amqp_next_item(&list.s, &item))
			if (item.kind == 'S')
				mq_route_through(b, x, item.s, headers);
	}
}
