/* cache_route_spread.c - commands that go to several nodes: by the slots of their keys, to all, or to one after the other. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cache_route_int.h"

/* MGET, MSET, DEL and their like: a part for each slot. */
static void by_slots(struct cache_route *r, enum route_gather gather, const struct cache_command *k, size_t step, size_t argc,
		     const struct sd_slice *argv)
{
	struct route_reply *y = route_reply_new(r, gather);
	size_t n = (argc - 1) / step;
	unsigned *slots = calloc(n, sizeof(*slots));
	struct sd_slice *args = calloc(argc, sizeof(*args));
	struct cache_cluster *cl = r->cl;
	if (y && gather == ROUTE_BY_PLACE)
		y->pieces = calloc(n, sizeof(*y->pieces));
	if (!y || !slots || !args || (gather == ROUTE_BY_PLACE && !y->pieces)) {
		free(slots);
		free(args);
		r->session->out.full = true;
		return;
	}
	y->npieces = gather == ROUTE_BY_PLACE ? n : 0;
	y->waiting = 1; /* until all are sent */
	for (size_t i = 0; i < n; i++)
		slots[i] = sd_slot_of(argv[1 + i * step]);
	for (size_t i = 0; i < n; i++) {
		struct route_part *p = slots[i] < SD_SLOTS ? route_part_new(y, k->is->flags & SD_REDIS_WRITE) : NULL;
		unsigned slot = slots[i];
		size_t nargs = 1;
		if (!p)
			continue;
		p->places = calloc(n - i, sizeof(*p->places));
		args[0] = argv[0];
		for (size_t m = i; m < n; m++) {
			if (slots[m] != slot)
				continue;
			slots[m] = SD_SLOTS; /* done */
			memcpy(args + nargs, argv + 1 + m * step, step * sizeof(*args));
			nargs += step;
			if (p->places)
				p->places[p->nplaces++] = m;
		}
		p->by_slot = true;
		p->slot = slot;
		route_put_request(&p->request, nargs, args);
		route_send(cl, p);
	}
	free(slots);
	free(args);
	route_reply_got(y);
}

/* DBSIZE, FLUSHALL, KEYS: of every node what it has. */
static void by_nodes(struct cache_route *r, enum route_gather gather, const struct cache_command *k, size_t argc,
		     const struct sd_slice *argv)
{
	struct route_reply *y = route_reply_new(r, gather);
	struct cache_cluster *cl = r->cl;
	if (!y)
		return;
	y->waiting = 1;
	for (size_t i = 0; i < cl->view->n; i++) {
		struct route_part *p = route_part_new(y, k->is->flags & SD_REDIS_WRITE);
		if (!p)
			continue;
		p->to = cl->view->members[i].id;
		route_put_request(&p->request, argc, argv);
		route_send(cl, p);
	}
	route_reply_got(y);
}

/* SCAN goes through the nodes one after the other. */
static void scan(struct cache_route *r, size_t argc, const struct sd_slice *argv)
{
	int64_t cursor;
	char text[24];
	struct cache_cluster *cl = r->cl;
	if (!sd_resp_parse_int(argv[1], &cursor) || cursor < 0 || (size_t)(cursor >> ROUTE_CURSOR_BITS) >= cl->view->n) {
		route_refuse(r, "ERR invalid cursor");
		return;
	}
	struct route_reply *y = route_reply_new(r, ROUTE_CURSOR);
	struct route_part *p = y ? route_part_new(y, false) : NULL;
	struct sd_slice *args = calloc(argc, sizeof(*args));
	if (!p || !args) {
		free(args);
		r->session->out.full = true;
		return;
	}
	memcpy(args, argv, argc * sizeof(*args));
	int n = snprintf(text, sizeof(text), "%lld", (long long)(cursor & ((1ll << ROUTE_CURSOR_BITS) - 1)));
	args[1] = (struct sd_slice){text, (size_t)n};
	y->node = (unsigned)(cursor >> ROUTE_CURSOR_BITS);
	y->nnodes = (unsigned)cl->view->n;
	p->to = cl->view->members[y->node].id;
	route_put_request(&p->request, argc, args);
	free(args);
	route_send(cl, p);
}

/* What goes to several nodes where one would say CROSSSLOT, or would know only its own. */
static const struct spread {
	const char *name;
	enum route_gather gather;
	uint8_t step; /* of keys; 0: to every node */
} spreads[] = {
    {"mget", ROUTE_BY_PLACE, 1}, {"mset", ROUTE_ALL_OK, 2}, {"del", ROUTE_SUM, 1},	   {"unlink", ROUTE_SUM, 1},    {"exists", ROUTE_SUM, 1}, {"touch", ROUTE_SUM, 1},
    {"dbsize", ROUTE_SUM, 0},	   {"keys", ROUTE_CONCAT, 0}, {"flushall", ROUTE_ALL_OK, 0}, {"flushdb", ROUTE_ALL_OK, 0}, {"scan", ROUTE_CURSOR, 0},
};

static const struct spread *find_spread(const struct cache_command *k)
{
	for (size_t i = 0; i < sizeof(spreads) / sizeof(spreads[0]); i++)
		if (strcmp(spreads[i].name, k->is->name) == 0)
			return &spreads[i];
	return NULL;
}

bool route_is_spread(const struct cache_command *k)
{
	return find_spread(k);
}

bool route_spread_out(struct cache_route *r, const struct cache_command *k, bool several, size_t argc, const struct sd_slice *argv)
{
	const struct spread *s = find_spread(k);
	if (!s || (s->step && (!several || (argc - 1) % s->step)))
		return false;
	if (s->step)
		by_slots(r, s->gather, k, s->step, argc, argv);
	else if (s->gather == ROUTE_CURSOR)
		scan(r, argc, argv);
	else
		by_nodes(r, s->gather, k, argc, argv);
	return true;
}
