/* cache_route_reply.c - replies in the order of the requests, each made of the answers to its parts. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cache_route_int.h"

/* ---- replies in order ---- */

void route_reply_free(struct route_reply *y)
{
	for (size_t i = 0; y->pieces && i < y->npieces; i++)
		free(y->pieces[i].p);
	free(y->pieces);
	free(y->out.p);
	free(y);
}

/* What is whole at the front goes to the client. */
static void pump(struct cache_route *r)
{
	bool any = false;
	while (!sd_list_empty(&r->replies)) {
		struct route_reply *y = sd_container(r->replies.next, struct route_reply, link);
		if (!y->done)
			break;
		sd_list_del(&y->link);
		r->nreplies--;
		if (!(r->session->flags & CACHE_MUTE))
			sd_resp_raw(&r->session->out, y->out.p, y->out.n);
		r->session->out.full |= y->out.full;
		route_reply_free(y);
		any = true;
	}
	if (any)
		cache_wake(r->session);
}

struct route_reply *route_reply_new(struct cache_route *r, enum route_gather gather)
{
	struct route_reply *y = calloc(1, sizeof(*y));
	if (!y) {
		r->session->out.full = true; /* the connection ends: its replies are not whole any more */
		return NULL;
	}
	y->route = r;
	y->gather = gather;
	y->out.resp3 = r->session->out.resp3;
	sd_list_add(&r->replies, &y->link);
	r->nreplies++;
	return y;
}

static void finish(struct route_reply *y)
{
	y->done = true;
	if (y->route)
		pump(y->route);
	else
		route_reply_free(y);
}

static void fail(struct route_reply *y, const char *error)
{
	if (y->failed)
		return;
	y->failed = true;
	y->out.n = 0;
	sd_resp_error(&y->out, error);
}

void route_refuse(struct cache_route *r, const char *error)
{
	if (r->session->flags & CACHE_MULTI)
		cache_refused(r->session);
	if (sd_list_empty(&r->replies)) {
		sd_resp_error(&r->session->out, error);
		return;
	}
	struct route_reply *y = route_reply_new(r, ROUTE_ONE);
	if (!y)
		return;
	sd_resp_error(&y->out, error);
	y->done = true;
}

/* ---- a reply from its parts ---- */

static void take_sum(struct route_reply *y, struct sd_slice body)
{
	int64_t n;
	if (body.n < 4 || body.p[0] != ':' || !sd_resp_parse_int((struct sd_slice){body.p + 1, body.n - 3}, &n))
		fail(y, "ERR another node answered what was not expected");
	else
		y->sum += n;
}

/* Calls fn with the bytes of each item of an array of what has no arrays in it; false: it is none. */
static bool each_item(struct sd_slice body, void (*fn)(void *arg, size_t i, struct sd_slice item), void *arg)
{
	struct sd_resp_replies r = {0};
	struct sd_resp_token t;
	size_t at = 0, i = 0, begun = 0;
	while (at < body.n) {
		ssize_t k = sd_resp_next(&r, body.p + at, body.n - at, &sd_resp_reply_usual, &t);
		if (k <= 0 || t.depth > 1 || (at == 0 && t.kind != SD_RESP_ARRAY))
			return false;
		at += (size_t)k;
		if (t.depth == 0) {
			begun = at;
			continue;
		}
		if (t.more)
			continue;
		fn(arg, i++, (struct sd_slice){body.p + begun, at - begun});
		begun = at;
	}
	return true;
}

static void put_piece(void *arg, size_t i, struct sd_slice item)
{
	struct route_part *p = arg;
	struct route_reply *y = p->reply;
	char *copy = i < p->nplaces ? malloc(item.n + 1) : NULL;
	if (!copy) {
		fail(y, cache_no_memory);
		return;
	}
	memcpy(copy, item.p, item.n);
	y->pieces[p->places[i]] = (struct route_piece){copy, item.n};
}

static void put_item(void *arg, size_t i, struct sd_slice item)
{
	struct route_reply *y = arg;
	(void)i;
	if (y->failed)
		return;
	sd_resp_raw(&y->out, item.p, item.n);
	y->npieces++;
}

/* A SCAN's cursor means something to its node only: the reply's gets the node's number, or the next one's when it was the last. */
static void take_cursor(struct route_reply *y, struct sd_slice body)
{
	struct sd_resp_replies r = {0};
	struct sd_resp_token t;
	int64_t cursor;
	ssize_t k = sd_resp_next(&r, body.p, body.n, &sd_resp_reply_usual, &t), m = -1;
	if (k > 0)
		m = sd_resp_next(&r, body.p + k, body.n - (size_t)k, &sd_resp_reply_usual, &t);
	if (m <= 0 || t.kind != SD_RESP_BULK || t.more || !sd_resp_parse_int(t.text, &cursor) || cursor >> ROUTE_CURSOR_BITS) {
		fail(y, "ERR another node answered what was not expected");
		return;
	}
	if (cursor)
		cursor |= (int64_t)y->node << ROUTE_CURSOR_BITS;
	else if (y->node + 1 < y->nnodes)
		cursor = (int64_t)(y->node + 1) << ROUTE_CURSOR_BITS;
	char text[24];
	int n = snprintf(text, sizeof(text), "%lld", (long long)cursor);
	sd_resp_array(&y->out, 2);
	sd_resp_bulk(&y->out, text, (size_t)n);
	sd_resp_raw(&y->out, body.p + k + m, body.n - (size_t)(k + m));
}

static void take_answer(struct route_part *p, struct sd_slice body)
{
	struct route_reply *y = p->reply;
	bool error = body.n && body.p[0] == '-';
	if (y->failed)
		return;
	if (error || y->gather == ROUTE_ONE) {
		y->failed = error;
		y->out.n = 0;
		sd_resp_raw(&y->out, body.p, body.n);
	} else if (y->gather == ROUTE_SUM) {
		take_sum(y, body);
	} else if (y->gather == ROUTE_BY_PLACE) {
		if (!each_item(body, put_piece, p))
			fail(y, "ERR another node answered what was not expected");
	} else if (y->gather == ROUTE_CONCAT) {
		if (!each_item(body, put_item, y))
			fail(y, "ERR another node answered what was not expected");
	} else if (y->gather == ROUTE_CURSOR) {
		take_cursor(y, body);
	}
}

/* In front of items whose number is known only now. */
static void put_count(struct route_reply *y)
{
	struct sd_resp_out all = {.resp3 = y->out.resp3};
	sd_resp_array(&all, y->npieces);
	sd_resp_raw(&all, y->out.p, y->out.n);
	free(y->out.p);
	y->out = all;
}

static void compose(struct route_reply *y)
{
	if (y->failed)
		return;
	if (y->gather == ROUTE_SUM) {
		sd_resp_int(&y->out, y->sum);
	} else if (y->gather == ROUTE_ALL_OK) {
		sd_resp_simple(&y->out, "OK");
	} else if (y->gather == ROUTE_CONCAT) {
		put_count(y);
	} else if (y->gather == ROUTE_BY_PLACE) {
		sd_resp_array(&y->out, y->npieces);
		for (size_t i = 0; i < y->npieces; i++)
			sd_resp_raw(&y->out, y->pieces[i].p, y->pieces[i].n);
	}
}

void route_part_free(struct route_part *p)
{
	sd_list_del(&p->link);
	free(p->places);
	free(p->request.p);
	free(p);
}

void route_end_there(struct cache_cluster *cl, const struct route_part *p)
{
	if (p->session > 1 && sd_swim_id_compare(&p->to, &cl->conf.id) != 0)
		cache_cluster_send(cl, &p->to, &(struct cache_frame){.kind = CACHE_FRAME_END, .session = p->session}, NULL, 0);
}

void route_reply_got(struct route_reply *y)
{
	if (--y->waiting)
		return;
	compose(y);
	finish(y);
}

void route_end_part(struct cache_cluster *cl, struct route_part *p, struct sd_slice body)
{
	struct route_reply *y = p->reply;
	take_answer(p, body);
	if (p->sent && !(y->route && y->route->is_pinned))
		route_end_there(cl, p);
	route_part_free(p);
	route_reply_got(y);
}

void route_end_with_error(struct cache_cluster *cl, struct route_part *p, const char *error)
{
	struct sd_resp_out out = {0};
	sd_resp_error(&out, error);
	route_end_part(cl, p, (struct sd_slice){out.p, out.n});
	free(out.p);
}

void route_end_watch(struct cache_cluster *cl, struct route_part *p)
{
	struct sd_resp_out out = {.resp3 = p->reply->out.resp3};
	if (p->is_exec)
		sd_resp_null_array(&out);
	else
		sd_resp_error(&out, ROUTE_SLOT_MOVES);
	route_end_part(cl, p, (struct sd_slice){out.p, out.n});
	free(out.p);
}
