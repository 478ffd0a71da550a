/* cache_route.c - which node answers a request, and replies of several nodes put in the order of the requests.
 *
 * A request becomes a reply that is awaited, and one part or several, each sent to one node; a part is of one slot, or for one node
 * whatever it has. A part whose node says that it is not the owner, cannot answer just now, or hangs up, is tried again by
 * the map as it is then, for RETRY_FOR_NS: but not a write that may have been done already, which gets an error. Replies
 * that are whole go to the client from the front of its queue.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cache_cluster.h"

#define RETRY_FOR_NS   5000000000
#define RETRY_EACH_NS  20000000
#define ANSWER_NS      10000000000 /* a link whose answer takes longer is cut: its node lives, but the way there may not */
#define LOOK_NS        1000000000
#define MOST_REPLIES   1024 /* of one client */
#define SEVERAL	       (-2) /* slots */
#define CURSOR_BITS    48   /* of a SCAN's own; above it the number of the node, from 0 */

static const char slot_moves[] = "TRYAGAIN the slot is moving";

enum gather { ONE, SUM, ALL_OK, BY_PLACE, CONCAT, CURSOR };

struct piece {
	char *p;
	size_t n;
};

struct route_reply {
	struct sd_link link;       /* in route->replies */
	struct cache_route *route; /* NULL: the client is gone */
	struct sd_resp_out out;    /* once done */
	enum gather gather;
	bool done, failed;
	unsigned waiting; /* parts that have no answer yet */
	int64_t sum;
	size_t npieces; /* BY_PLACE: the values; CONCAT: items in out */
	struct piece *pieces;
	unsigned node; /* CURSOR: which of nnodes */
	unsigned nnodes;
};

struct route_part {
	struct sd_link link; /* in cl->parts */
	struct route_reply *reply;
	uint32_t number;
	struct sd_swim_id to;
	bool sent, write, by_slot, read_copy;
	bool blocks;	    /* its answer may take as long as it likes */
	bool watches;	    /* a WATCH, or the EXEC behind one: for the node that has the watch and no other */
	bool goes_on;	    /* the session there has a watch already: without that it is not to run */
	bool is_exec;
	unsigned slot;
	uint16_t hops; /* how often in a row somebody sent it elsewhere */
	uint64_t session;
	int64_t give_up_ns, answer_by_ns, sent_ns;
	size_t nplaces; /* BY_PLACE: where its values belong: places[0..nplaces) */
	size_t *places;
	struct sd_resp_out request;
};

static struct cache_cluster *cluster_of(const struct route_reply *y)
{
	return y->route->cl;
}

/* ---- replies in order ---- */

static void reply_free(struct route_reply *y)
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
		reply_free(y);
		any = true;
	}
	if (any)
		cache_wake(r->session);
}

static struct route_reply *reply_new(struct cache_route *r, enum gather gather)
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
		reply_free(y);
}

static void fail(struct route_reply *y, const char *error)
{
	if (y->failed)
		return;
	y->failed = true;
	y->out.n = 0;
	sd_resp_error(&y->out, error);
}

/* An error that is the whole reply, at its place in the queue. */
static void refuse(struct cache_route *r, const char *error)
{
	if (r->session->flags & CACHE_MULTI)
		cache_refused(r->session);
	if (sd_list_empty(&r->replies)) {
		sd_resp_error(&r->session->out, error);
		return;
	}
	struct route_reply *y = reply_new(r, ONE);
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
	y->pieces[p->places[i]] = (struct piece){copy, item.n};
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
	if (m <= 0 || t.kind != SD_RESP_BULK || t.more || !sd_resp_parse_int(t.text, &cursor) || cursor >> CURSOR_BITS) {
		fail(y, "ERR another node answered what was not expected");
		return;
	}
	if (cursor)
		cursor |= (int64_t)y->node << CURSOR_BITS;
	else if (y->node + 1 < y->nnodes)
		cursor = (int64_t)(y->node + 1) << CURSOR_BITS;
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
	if (error || y->gather == ONE) {
		y->failed = error;
		y->out.n = 0;
		sd_resp_raw(&y->out, body.p, body.n);
	} else if (y->gather == SUM) {
		take_sum(y, body);
	} else if (y->gather == BY_PLACE) {
		if (!each_item(body, put_piece, p))
			fail(y, "ERR another node answered what was not expected");
	} else if (y->gather == CONCAT) {
		if (!each_item(body, put_item, y))
			fail(y, "ERR another node answered what was not expected");
	} else if (y->gather == CURSOR) {
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
	if (y->gather == SUM) {
		sd_resp_int(&y->out, y->sum);
	} else if (y->gather == ALL_OK) {
		sd_resp_simple(&y->out, "OK");
	} else if (y->gather == CONCAT) {
		put_count(y);
	} else if (y->gather == BY_PLACE) {
		sd_resp_array(&y->out, y->npieces);
		for (size_t i = 0; i < y->npieces; i++)
			sd_resp_raw(&y->out, y->pieces[i].p, y->pieces[i].n);
	}
}

static void part_free(struct route_part *p)
{
	sd_list_del(&p->link);
	free(p->places);
	free(p->request.p);
	free(p);
}

/* It is not there that it is answered: its session ends. */
static void end_there(struct cache_cluster *cl, const struct route_part *p)
{
	if (p->session > 1 && sd_swim_id_compare(&p->to, &cl->conf.id) != 0)
		cache_cluster_send(cl, &p->to, &(struct cache_frame){.kind = CACHE_FRAME_END, .session = p->session}, NULL, 0);
}

/* A part is over; with the last of them the reply is. */
static void end_part(struct cache_cluster *cl, struct route_part *p, struct sd_slice body)
{
	struct route_reply *y = p->reply;
	take_answer(p, body);
	if (p->sent && !(y->route && y->route->is_pinned))
		end_there(cl, p);
	part_free(p);
	if (--y->waiting)
		return;
	compose(y);
	finish(y);
}

static void end_with_error(struct cache_cluster *cl, struct route_part *p, const char *error)
{
	struct sd_resp_out out = {0};
	sd_resp_error(&out, error);
	end_part(cl, p, (struct sd_slice){out.p, out.n});
	free(out.p);
}

/* The watch is not where its slot is any more: nobody knows whether its keys changed, so what was to be done is called off. */
static void end_watch(struct cache_cluster *cl, struct route_part *p)
{
	struct sd_resp_out out = {.resp3 = p->reply->out.resp3};
	if (p->is_exec)
		sd_resp_null_array(&out);
	else
		sd_resp_error(&out, slot_moves);
	end_part(cl, p, (struct sd_slice){out.p, out.n});
	free(out.p);
}

/* ---- parts on their way ---- */

/* At the latest after so long. */
static void look_again(struct cache_cluster *cl, int64_t in_ns)
{
	cache_cluster_look_at(cl, cache_cluster_now(cl) + in_ns);
}

/* Sent long ago and only now refused: from here on it is as one that comes. */
static void renew(const struct cache_cluster *cl, struct route_part *p)
{
	int64_t now = cache_cluster_now(cl);
	if (p->blocks && p->sent && now - p->sent_ns > RETRY_FOR_NS)
		p->give_up_ns = now + RETRY_FOR_NS;
}

static void try_later(struct cache_cluster *cl, struct route_part *p)
{
	p->sent = false;
	p->hops = 0;
	cl->retried++;
	look_again(cl, RETRY_EACH_NS);
}

/* Runs a request of ours here, beside what the session has in its own buffer. */
static struct sd_resp_out run_aside(struct cache_cluster *cl, struct cache_session *s, const struct sd_resp_out *request)
{
	struct sd_resp_reader reader = {0};
	struct sd_resp_out own = s->out;
	s->out = (struct sd_resp_out){.resp3 = own.resp3};
	if (sd_resp_read(&reader, request->p, request->n, &cl->cache->limits) > 0)
		cache_call(s, reader.argc, reader.argv, cl->cache->now_ms);
	sd_resp_reader_free(&reader);
	struct sd_resp_out out = s->out;
	s->out = own;
	return out;
}

static void part_here(struct cache_cluster *cl, struct route_part *p)
{
	struct cache_route *r = p->reply->route;
	if (!r) {
		end_with_error(cl, p, "ERR nobody asks any more");
		return;
	}
	struct sd_resp_out out = run_aside(cl, r->session, &p->request);
	end_part(cl, p, (struct sd_slice){out.p, out.n});
	free(out.p);
}

/* Its reply is held until copies have it. */
static void part_later(struct cache_cluster *cl, struct route_part *p)
{
	struct cache_frame f = {.kind = CACHE_FRAME_COMMAND, .number = p->number, .session = p->session, .body = {p->request.p, p->request.n}};
	p->sent = true;
	p->sent_ns = cache_cluster_now(cl);
	p->answer_by_ns = INT64_MAX;
	p->to = cl->conf.id;
	cache_remote_local(cl, &f);
}

static void put_on_wire(struct cache_cluster *cl, struct route_part *p)
{
	uint8_t flags = (p->read_copy ? CACHE_FRAME_COPY : 0) | (p->goes_on ? CACHE_FRAME_GOES_ON : 0);
	struct cache_frame f = {.kind = CACHE_FRAME_COMMAND, .flags = flags, .hops = p->hops, .number = p->number, .session = p->session};
	struct sd_slice body = {p->request.p, p->request.n};
	struct cache_route *r = p->reply->route;
	p->sent = true;
	p->sent_ns = cache_cluster_now(cl);
	p->answer_by_ns = p->blocks ? INT64_MAX : p->sent_ns + ANSWER_NS;
	look_again(cl, LOOK_NS);
	cl->sent_on++;
	if (r && p->write) {
		r->wrote_there = true;
		r->wrote_to = p->to;
	}
	if (cache_cluster_send(cl, &p->to, &f, &body, 1))
		return;
	p->sent = false;
	if (p->goes_on)
		end_watch(cl, p);
	else
		try_later(cl, p);
}

/* Sends it to whoever answers for it now. */
static void send_part(struct cache_cluster *cl, struct route_part *p)
{
	struct cache_asked asked = {.slot = p->slot, .write = p->write, .any_copy = p->read_copy};
	enum cache_serving how = CACHE_ELSEWHERE;
	if (p->by_slot)
		how = cache_cluster_serving(cl, &asked, &p->to);
	else if (sd_swim_id_compare(&p->to, &cl->conf.id) == 0)
		how = CACHE_SERVE;
	if (how == CACHE_SERVE) {
		if (p->session > 1 || (cl->cache->follower && cl->cache->follower->holds)) /* the first: its slot came here meanwhile */
			part_later(cl, p);
		else
			part_here(cl, p);
		return;
	}
	if (how != CACHE_ELSEWHERE) {
		try_later(cl, p);
		return;
	}
	put_on_wire(cl, p);
}

static struct route_part *part_new(struct route_reply *y, bool write)
{
	struct cache_cluster *cl = cluster_of(y);
	struct route_part *p = calloc(1, sizeof(*p));
	if (!p) {
		y->route->session->out.full = true;
		return NULL;
	}
	p->reply = y;
	p->number = ++cl->number;
	p->write = write;
	p->session = y->out.resp3;
	p->give_up_ns = cache_cluster_now(cl) + RETRY_FOR_NS;
	sd_list_add(&cl->parts, &p->link);
	y->waiting++;
	return p;
}

static void put_request(struct sd_resp_out *o, size_t argc, const struct sd_slice *argv)
{
	sd_resp_array(o, argc);
	for (size_t i = 0; i < argc; i++)
		sd_resp_bulk(o, argv[i].p, argv[i].n);
}

static bool is_retryable(struct sd_slice body)
{
	return sd_slice_starts(body, "-MOVED ") || sd_slice_starts(body, "-TRYAGAIN ") || sd_slice_starts(body, "-CLUSTERDOWN ") ||
	       sd_slice_starts(body, "-" CACHE_SLOT_MOVED);
}

/* "-MOVED 12182 @ID": the node knows better than our map who has it. */
static bool follow(struct cache_cluster *cl, struct route_part *p, struct sd_slice body)
{
	const char *at = memchr(body.p, '@', body.n);
	struct sd_swim_id id;
	if (!at || (size_t)(body.p + body.n - at) < 1 + 2 * SD_SWIM_ID || !sd_swim_id_parse(at + 1, 2 * SD_SWIM_ID, &id) ||
	    ++p->hops >= CACHE_HOPS || sd_swim_id_compare(&id, &cl->conf.id) == 0 || sd_swim_id_compare(&id, &p->to) == 0)
		return false;
	p->to = id;
	put_on_wire(cl, p);
	return true;
}

static bool is_elsewhere(struct sd_slice body)
{
	return sd_slice_starts(body, "-MOVED ") || sd_slice_starts(body, "-TRYAGAIN ");
}

void cache_route_reply(struct cache_cluster *cl, const struct cache_frame *f)
{
	for (struct sd_link *k = cl->parts.next; k != &cl->parts; k = k->next) {
		struct route_part *p = sd_container(k, struct route_part, link);
		if (p->number != f->number || !p->sent)
			continue;
		renew(cl, p);
		if (p->by_slot && is_retryable(f->body))
			end_there(cl, p);
		if (p->watches && is_elsewhere(f->body))
			end_watch(cl, p);
		else if (!p->by_slot || !is_retryable(f->body))
			end_part(cl, p, f->body);
		else if (cache_cluster_now(cl) >= p->give_up_ns)
			end_with_error(cl, p, "CLUSTERDOWN no node answers for this key");
		else if (!follow(cl, p, f->body))
			try_later(cl, p);
		return;
	}
}

/* A read is tried again; of a write nobody knows whether it was done. */
void cache_route_lost(struct cache_cluster *cl, const struct sd_swim_id *peer)
{
	for (struct sd_link *k = cl->parts.next, *next; k != &cl->parts; k = next) {
		struct route_part *p = sd_container(k, struct route_part, link);
		next = k->next;
		if (!p->sent || sd_swim_id_compare(&p->to, peer) != 0)
			continue;
		if (p->by_slot && !p->write && p->session <= 1)
			try_later(cl, p);
		else if (p->watches && !p->is_exec)
			end_watch(cl, p);
		else if (p->write)
			end_with_error(cl, p, "ERR the node that has this key went away: nobody knows whether the command was done");
		else
			end_with_error(cl, p, "ERR a node of the cluster went away before it answered");
	}
}

/* Cuts links on which an answer is overdue: what was sent on them is lost then. */
static void cut_silent_links(struct cache_cluster *cl, int64_t now)
{
	for (struct sd_link *k = cl->parts.next; k != &cl->parts; k = k->next) {
		struct route_part *p = sd_container(k, struct route_part, link);
		struct sd_swim_id peer = p->to;
		if (!p->sent || now < p->answer_by_ns)
			continue;
		p->answer_by_ns = INT64_MAX;
		cache_bus_cut(cl->bus, &peer);
		k = &cl->parts; /* the list is another one now */
	}
}

void cache_route_retry(struct cache_cluster *cl)
{
	int64_t now = cache_cluster_now(cl);
	uint32_t until = cl->number;
	sd_loop_timer_cancel(cl->loop, &cl->retry);
	cut_silent_links(cl, now);
	if (!sd_list_empty(&cl->parts))
		look_again(cl, LOOK_NS);
	for (struct sd_link *k = cl->parts.next, *next; k != &cl->parts; k = next) {
		struct route_part *p = sd_container(k, struct route_part, link);
		next = k->next;
		if (p->sent || p->number > until)
			continue;
		if (now >= p->give_up_ns)
			end_with_error(cl, p, "CLUSTERDOWN no node answers for this key");
		else
			send_part(cl, p);
	}
}

/* ---- commands for several nodes ---- */

/* MGET, MSET, DEL and their like: a part for each slot. */
static void by_slots(struct cache_route *r, enum gather gather, const struct cache_command *k, size_t step, size_t argc,
		     const struct sd_slice *argv)
{
	struct route_reply *y = reply_new(r, gather);
	size_t n = (argc - 1) / step;
	unsigned *slots = calloc(n, sizeof(*slots));
	struct sd_slice *args = calloc(argc, sizeof(*args));
	struct cache_cluster *cl = r->cl;
	if (y && gather == BY_PLACE)
		y->pieces = calloc(n, sizeof(*y->pieces));
	if (!y || !slots || !args || (gather == BY_PLACE && !y->pieces)) {
		free(slots);
		free(args);
		r->session->out.full = true;
		return;
	}
	y->npieces = gather == BY_PLACE ? n : 0;
	y->waiting = 1; /* until all are sent */
	for (size_t i = 0; i < n; i++)
		slots[i] = sd_slot_of(argv[1 + i * step]);
	for (size_t i = 0; i < n; i++) {
		struct route_part *p = slots[i] < SD_SLOTS ? part_new(y, k->flags & CACHE_WRITE) : NULL;
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
		put_request(&p->request, nargs, args);
		send_part(cl, p);
	}
	free(slots);
	free(args);
	if (--y->waiting == 0) {
		compose(y);
		finish(y);
	}
}

/* DBSIZE, FLUSHALL, KEYS: of every node what it has. */
static void by_nodes(struct cache_route *r, enum gather gather, const struct cache_command *k, size_t argc,
		     const struct sd_slice *argv)
{
	struct route_reply *y = reply_new(r, gather);
	struct cache_cluster *cl = r->cl;
	if (!y)
		return;
	y->waiting = 1;
	for (size_t i = 0; i < cl->view->n; i++) {
		struct route_part *p = part_new(y, k->flags & CACHE_WRITE);
		if (!p)
			continue;
		p->to = cl->view->members[i].id;
		put_request(&p->request, argc, argv);
		send_part(cl, p);
	}
	if (--y->waiting == 0) {
		compose(y);
		finish(y);
	}
}

/* SCAN goes through the nodes one after the other. */
static void scan(struct cache_route *r, size_t argc, const struct sd_slice *argv)
{
	int64_t cursor;
	char text[24];
	struct cache_cluster *cl = r->cl;
	if (!sd_resp_parse_int(argv[1], &cursor) || cursor < 0 || (size_t)(cursor >> CURSOR_BITS) >= cl->view->n) {
		refuse(r, "ERR invalid cursor");
		return;
	}
	struct route_reply *y = reply_new(r, CURSOR);
	struct route_part *p = y ? part_new(y, false) : NULL;
	struct sd_slice *args = calloc(argc, sizeof(*args));
	if (!p || !args) {
		free(args);
		r->session->out.full = true;
		return;
	}
	memcpy(args, argv, argc * sizeof(*args));
	int n = snprintf(text, sizeof(text), "%lld", (long long)(cursor & ((1ll << CURSOR_BITS) - 1)));
	args[1] = (struct sd_slice){text, (size_t)n};
	y->node = (unsigned)(cursor >> CURSOR_BITS);
	y->nnodes = (unsigned)cl->view->n;
	p->to = cl->view->members[y->node].id;
	put_request(&p->request, argc, args);
	free(args);
	send_part(cl, p);
}

/* What goes to several nodes where one would say CROSSSLOT, or would know only its own. */
static const struct spread {
	const char *name;
	enum gather gather;
	uint8_t step; /* of keys; 0: to every node */
} spreads[] = {
    {"mget", BY_PLACE, 1}, {"mset", ALL_OK, 2}, {"del", SUM, 1},	   {"unlink", SUM, 1},    {"exists", SUM, 1}, {"touch", SUM, 1},
    {"dbsize", SUM, 0},	   {"keys", CONCAT, 0}, {"flushall", ALL_OK, 0}, {"flushdb", ALL_OK, 0}, {"scan", CURSOR, 0},
};

static const struct spread *find_spread(const struct cache_command *k)
{
	for (size_t i = 0; i < sizeof(spreads) / sizeof(spreads[0]); i++)
		if (strcmp(spreads[i].name, k->name) == 0)
			return &spreads[i];
	return NULL;
}

static bool spread_out(struct cache_route *r, const struct cache_command *k, bool several, size_t argc, const struct sd_slice *argv)
{
	const struct spread *s = find_spread(k);
	if (!s || (s->step && (!several || (argc - 1) % s->step)))
		return false;
	if (s->step)
		by_slots(r, s->gather, k, s->step, argc, argv);
	else if (s->gather == CURSOR)
		scan(r, argc, argv);
	else
		by_nodes(r, s->gather, k, argc, argv);
	return true;
}

/* ---- one request ---- */

/* The slot of all keys; -1: there are no keys; -2: they are of several. */
static int slot_of_keys(const struct cache_command *k, size_t argc, const struct sd_slice *argv)
{
	struct cache_keys keys;
	int slot = -1;
	if (!cache_has_arity(k, argc) || !cache_keys(k, argc, argv, &keys))
		return -1;
	if (keys.also)
		slot = (int)sd_slot_of(argv[keys.also]);
	for (size_t i = 0; i < keys.n; i++) {
		int s = (int)sd_slot_of(argv[keys.first + i * keys.step]);
		if (slot >= 0 && s != slot)
			return -2;
		slot = s;
	}
	return slot;
}

/* Runs it here, in its place among replies that are still awaited. False: it must not run before these. */
static bool run_here(struct cache_route *r, const struct cache_command *k, int slot, size_t argc, const struct sd_slice *argv,
		     int64_t now_ms)
{
	struct cache_session *s = r->session;
	const struct cache_follower *f = s->cache->follower;
	if (k->flags & CACHE_WRITE)
		r->wrote_there = false;
	if (sd_list_empty(&r->replies)) {
		cache_call(s, argc, argv, now_ms);
		return true;
	}
	if (slot < 0 || k->flags & CACHE_BLOCKING || (f && f->holds))
		return false;
	struct route_reply *y = reply_new(r, ONE);
	if (!y)
		return true;
	struct sd_resp_out own = s->out;
	s->out = y->out;
	cache_call(s, argc, argv, now_ms);
	y->out = s->out;
	s->out = own;
	y->done = true;
	return true;
}

static uint64_t own_session(const struct cache_route *r)
{
	return r->session->id << 1 | r->session->out.resp3;
}

static void send_on(struct cache_route *r, const struct cache_command *k, unsigned slot, size_t argc, const struct sd_slice *argv)
{
	struct route_reply *y = reply_new(r, ONE);
	struct route_part *p = y ? part_new(y, k->flags & CACHE_WRITE) : NULL;
	if (!p)
		return;
	p->by_slot = true;
	p->slot = slot;
	p->read_copy = (r->session->flags & CACHE_ANY_COPY) && k->flags & CACHE_READONLY;
	if (k->flags & CACHE_BLOCKING) {
		p->session = own_session(r);
		p->blocks = true;
		r->barrier = true;
	}
	put_request(&p->request, argc, argv);
	send_part(r->cl, p);
}

void cache_put_moved(struct cache_cluster *cl, struct sd_resp_out *out, unsigned slot, const struct sd_swim_id *to)
{
	char host[46];
	int i = cache_view_find(cl->view, to);
	if (i < 0) {
		sd_resp_error(out, slot_moves);
		return;
	}
	cache_end_host(&cl->view->members[i].client, host);
	sd_resp_errorf(out, "MOVED %u %s:%u", slot, host, cl->view->members[i].client.port);
}

static void say_moved(struct cache_route *r, unsigned slot, const struct sd_swim_id *to)
{
	struct sd_resp_out out = {0};
	char text[160];
	cache_put_moved(r->cl, &out, slot, to);
	snprintf(text, sizeof(text), "%.*s", out.n > 3 ? (int)out.n - 3 : 0, out.n ? out.p + 1 : "");
	free(out.p);
	refuse(r, text);
}

static bool gets_moved(const struct cache_route *r)
{
	enum cache_routing how = r->cl->conf.routing;
	return how == CACHE_ROUTE_MOVED || (how == CACHE_ROUTE_AUTO && r->session->flags & CACHE_AWARE);
}

/* A key that is read so often here that the copy which this node has answers, though it may be a moment older than the owner's. */
static bool is_relieved(struct cache_route *r, const struct cache_command *k, size_t argc, const struct sd_slice *argv, int64_t now_ms)
{
	struct cache *c = r->session->cache;
	struct cache_keys keys;
	if (!r->cl->conf.hot_reads || !(k->flags & CACHE_READONLY) || !cache_keys(k, argc, argv, &keys) || keys.n != 1)
		return false;
	c->now_ms = now_ms;
	if (cache_is_hot(c, argv[keys.first], r->cl->conf.hot_reads, now_ms) && cache_find(&c->dbs[0], argv[keys.first]))
		return true; /* and counts where it is run */
	cache_hot_elsewhere(c, argv[keys.first], now_ms);
	return false;
}

/* A command with keys of one slot, outside of a transaction. */
static bool call_slot(struct cache_route *r, const struct cache_command *k, int slot, size_t argc, const struct sd_slice *argv,
		      int64_t now_ms)
{
	struct sd_swim_id to;
	struct cache_asked asked = {.slot = (unsigned)slot, .write = k->flags & CACHE_WRITE,
				    .any_copy = (r->session->flags & CACHE_ANY_COPY) && k->flags & CACHE_READONLY};
	enum cache_serving how = cache_cluster_serving(r->cl, &asked, &to);
	if (how != CACHE_SERVE && !gets_moved(r) && !asked.any_copy && is_relieved(r, k, argc, argv, now_ms)) {
		asked.any_copy = true;
		how = cache_cluster_serving(r->cl, &asked, &to);
	}
	if (how == CACHE_SERVE)
		return run_here(r, k, slot, argc, argv, now_ms);
	if (!gets_moved(r))
		send_on(r, k, (unsigned)slot, argc, argv);
	else if (how == CACHE_ELSEWHERE)
		say_moved(r, (unsigned)slot, &to);
	else
		refuse(r, slot_moves);
	return true;
}

/* ---- transactions ---- */

static void drop_queued(struct cache_route *r)
{
	r->nqueued = 0;
	r->slot = -1;
}

static bool keep_queued(struct cache_route *r, size_t argc, const struct sd_slice *argv)
{
	struct sd_resp_out o = {.p = r->queued, .n = r->nqueued, .room = r->queued_room};
	put_request(&o, argc, argv);
	r->queued = o.p;
	r->nqueued = o.n;
	r->queued_room = o.room;
	return !o.full;
}

/* Between MULTI and EXEC: all keys are of one slot, which decides at EXEC where it runs. */
static bool call_queued(struct cache_route *r, const struct cache_command *k, int slot, size_t argc, const struct sd_slice *argv,
			int64_t now_ms)
{
	struct sd_swim_id to;
	struct cache_asked asked = {.slot = slot < 0 ? 0 : (unsigned)slot, .write = true};
	if (slot == -2 || (slot >= 0 && r->slot >= 0 && slot != r->slot)) {
		refuse(r, "CROSSSLOT Keys in request don't hash to the same slot");
		return true;
	}
	if (slot >= 0 && gets_moved(r) && cache_cluster_serving(r->cl, &asked, &to) != CACHE_SERVE) {
		say_moved(r, asked.slot, &to);
		return true;
	}
	if (slot >= 0)
		r->slot = slot;
	if (!keep_queued(r, argc, argv))
		cache_refused(r->session);
	(void)k;
	cache_call(r->session, argc, argv, now_ms);
	return true;
}

static void unpin(struct cache_route *r)
{
	if (r->is_pinned)
		cache_cluster_send(r->cl, &r->pinned, &(struct cache_frame){.kind = CACHE_FRAME_END, .session = own_session(r)}, NULL, 0);
	r->is_pinned = false;
}

static void send_transaction(struct cache_route *r, const struct sd_swim_id *to)
{
	static const struct sd_slice multi = {"MULTI", 5}, exec = {"EXEC", 4};
	struct route_reply *y = reply_new(r, ONE);
	struct route_part *p = y ? part_new(y, true) : NULL;
	if (!p)
		return;
	p->session = own_session(r);
	p->by_slot = r->slot >= 0 && !r->is_pinned;
	p->slot = r->slot >= 0 ? (unsigned)r->slot : 0;
	p->watches = p->goes_on = r->is_pinned;
	p->is_exec = true;
	p->to = *to;
	put_request(&p->request, 1, &multi);
	sd_resp_raw(&p->request, r->queued, r->nqueued);
	put_request(&p->request, 1, &exec);
	r->barrier = true;
	r->is_pinned = false; /* EXEC ends every WATCH: the session goes with its reply */
	send_part(r->cl, p);
}

/* EXEC whose watch is not where the keys are: the slot moved from the one to the other, or they never were of one slot. */
static void exec_apart(struct cache_route *r)
{
	if (r->watched == r->slot)
		sd_resp_null_array(&r->session->out);
	else
		sd_resp_error(&r->session->out, "CROSSSLOT Keys of WATCH and of the transaction don't hash to the same slot");
	unpin(r);
}

static bool call_exec(struct cache_route *r, size_t argc, const struct sd_slice *argv, int64_t now_ms)
{
	struct cache_session *s = r->session;
	struct sd_swim_id owner = r->cl->conf.id;
	struct cache_asked asked = {.slot = r->slot < 0 ? 0 : (unsigned)r->slot, .write = true};
	bool here = r->slot < 0 || cache_cluster_serving(r->cl, &asked, &owner) == CACHE_SERVE;
	bool apart = r->is_pinned && r->slot >= 0 && (here || sd_swim_id_compare(&owner, &r->pinned) != 0);
	if (s->flags & CACHE_ABORT || (here && !r->is_pinned)) {
		cache_call(s, argc, argv, now_ms);
		unpin(r);
	} else {
		bool watches = !sd_list_empty(&s->watches);
		cache_multi_end(s);
		if (apart || watches)
			exec_apart(r);
		else
			send_transaction(r, r->is_pinned ? &r->pinned : &owner);
	}
	drop_queued(r);
	return true;
}

/* WATCH of a key that is elsewhere: a session of ours there watches it. */
static bool call_watch(struct cache_route *r, const struct cache_command *k, int slot, size_t argc, const struct sd_slice *argv,
		       int64_t now_ms)
{
	struct cache_asked asked = {.slot = (unsigned)slot};
	struct sd_swim_id to;
	enum cache_serving how = cache_cluster_serving(r->cl, &asked, &to);
	bool first = !r->is_pinned && sd_list_empty(&r->session->watches);
	r->watched = first || r->watched == slot ? slot : SEVERAL;
	if (how == CACHE_SERVE || gets_moved(r))
		return call_slot(r, k, slot, argc, argv, now_ms);
	if (how == CACHE_TRY_AGAIN || (r->is_pinned && sd_swim_id_compare(&r->pinned, &to) != 0) || !sd_list_empty(&r->session->watches)) {
		refuse(r, how == CACHE_TRY_AGAIN || r->watched == slot ? slot_moves : "CROSSSLOT Keys of WATCH don't hash to the same slot");
		return true;
	}
	struct route_reply *y = reply_new(r, ONE);
	struct route_part *p = y ? part_new(y, true) : NULL;
	if (!p)
		return true;
	p->session = own_session(r);
	p->watches = true;
	p->goes_on = !first;
	p->to = r->pinned = to;
	r->is_pinned = true;
	put_request(&p->request, argc, argv);
	send_part(r->cl, p);
	return true;
}

/* ---- all requests ---- */

static const struct cache_command *look_up(const struct cache *c, size_t argc, const struct sd_slice *argv)
{
	const struct cache_command *k = cache_find_command(c, argv[0]);
	const struct cache_command *sub = k && argc > 1 && !k->fn ? cache_find_subcommand(c, k, argv[1]) : NULL;
	return sub ? sub : k;
}

static bool is(const struct cache_command *k, const char *name)
{
	return strcmp(k->name, name) == 0;
}

/* The node that has what was written last knows who has copies. */
static bool wait_there(struct cache_route *r, size_t argc, const struct sd_slice *argv)
{
	struct route_reply *y = reply_new(r, ONE);
	struct route_part *p = y ? part_new(y, false) : NULL;
	if (!p)
		return true;
	p->to = r->wrote_to;
	put_request(&p->request, argc, argv);
	r->barrier = true;
	send_part(r->cl, p);
	return true;
}

/* What has no keys, and is not for all nodes. */
static bool call_plain(struct cache_route *r, const struct cache_command *k, size_t argc, const struct sd_slice *argv, int64_t now_ms)
{
	if (!sd_list_empty(&r->replies))
		return false;
	if (is(k, "exec") && r->session->flags & CACHE_MULTI)
		return call_exec(r, argc, argv, now_ms);
	if (is(k, "wait") && r->wrote_there && !(r->session->flags & CACHE_MULTI))
		return wait_there(r, argc, argv);
	if (is(k, "discard") || is(k, "unwatch") || is(k, "reset"))
		unpin(r);
	if (is(k, "multi") || is(k, "discard") || is(k, "reset"))
		drop_queued(r);
	cache_call(r->session, argc, argv, now_ms);
	if (is(k, "publish") && argc == 3 && r->session->flags & CACHE_AUTHENTICATED)
		cache_remote_publish(r->cl, argv[1], argv[2]);
	return true;
}

bool cache_route_call(struct cache_route *r, size_t argc, const struct sd_slice *argv, int64_t now_ms)
{
	struct cache_session *s = r->session;
	const struct cache_command *k = look_up(r->cl->cache, argc, argv);
	if (s->flags & CACHE_HOLDING || r->nreplies >= MOST_REPLIES || (r->barrier && !sd_list_empty(&r->replies)))
		return false;
	r->barrier = false;
	r->cl->cache->now_ms = now_ms;
	if (!k || !k->fn || !cache_has_arity(k, argc) || !(s->flags & CACHE_AUTHENTICATED) ||
	    (cache_subscriptions(s) && !s->out.resp3)) {
		if (!sd_list_empty(&r->replies))
			return false;
		cache_call(s, argc, argv, now_ms);
		return true;
	}
	int slot = slot_of_keys(k, argc, argv);
	bool keyed = slot != -1 || find_spread(k);
	if (keyed && !cache_cluster_ready(r->cl)) {
		refuse(r, "CLUSTERDOWN the node has not found the cluster yet");
		return true;
	}
	if (s->flags & CACHE_MULTI && !(k->flags & CACHE_UNQUEUED))
		return call_queued(r, k, slot, argc, argv, now_ms);
	if (keyed && !gets_moved(r) && !is(k, "watch") && spread_out(r, k, slot == -2, argc, argv))
		return true;
	if (slot == -2) {
		refuse(r, "CROSSSLOT Keys in request don't hash to the same slot");
		return true;
	}
	if (slot >= 0)
		return is(k, "watch") ? call_watch(r, k, slot, argc, argv, now_ms) : call_slot(r, k, slot, argc, argv, now_ms);
	return call_plain(r, k, argc, argv, now_ms);
}

/* ---- life ---- */

void cache_route_begin(struct cache_route *r, struct cache_cluster *cl, struct cache_session *s)
{
	*r = (struct cache_route){.cl = cl, .session = s, .slot = -1};
	sd_list_init(&r->replies);
}

/* Parts of clients that are gone are over where somebody waits for them in a session of their own: it ends. */
static void end_sessions(struct cache_cluster *cl)
{
	for (struct sd_link *k = cl->parts.next, *next; k != &cl->parts; k = next) {
		struct route_part *p = sd_container(k, struct route_part, link);
		struct cache_frame f = {.kind = CACHE_FRAME_END, .session = p->session};
		struct route_reply *y = p->reply;
		next = k->next;
		if (y->route || p->session <= 1)
			continue;
		if (p->sent && sd_swim_id_compare(&p->to, &cl->conf.id) == 0)
			cache_remote_local(cl, &f);
		else if (p->sent)
			end_there(cl, p);
		part_free(p);
		if (--y->waiting == 0)
			reply_free(y);
	}
}

/* Replies nobody waits for any more are freed when their parts are over. */
void cache_route_end(struct cache_route *r)
{
	struct cache_cluster *cl = r->cl;
	if (!cl)
		return;
	unpin(r);
	while (!sd_list_empty(&r->replies)) {
		struct route_reply *y = sd_container(r->replies.next, struct route_reply, link);
		sd_list_del(&y->link);
		y->route = NULL;
		if (y->done)
			reply_free(y);
	}
	end_sessions(cl);
	free(r->queued);
	r->cl = NULL;
}

void cache_route_forget(struct cache_cluster *cl)
{
	while (!sd_list_empty(&cl->parts)) {
		struct route_part *p = sd_container(cl->parts.next, struct route_part, link);
		struct route_reply *y = p->reply;
		part_free(p);
		if (--y->waiting == 0 && !y->route)
			reply_free(y);
	}
}
