/* cache_route_parts.c - parts of requests on their way to the node that answers, and tried again where that is another one by now. */
#include <stdlib.h>
#include <string.h>

#include "cache_route_int.h"

#define RETRY_FOR_NS   5000000000
#define RETRY_EACH_NS  20000000
#define ANSWER_NS      10000000000 /* a link whose answer takes longer is cut: its node lives, but the way there may not */
#define LOOK_NS        1000000000

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
		route_end_with_error(cl, p, "ERR nobody asks any more");
		return;
	}
	struct sd_resp_out out = run_aside(cl, r->session, &p->request);
	route_end_part(cl, p, (struct sd_slice){out.p, out.n});
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
		route_end_watch(cl, p);
	else
		try_later(cl, p);
}

void route_send(struct cache_cluster *cl, struct route_part *p)
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

struct route_part *route_part_new(struct route_reply *y, bool write)
{
	struct cache_cluster *cl = y->route->cl;
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

void route_put_request(struct sd_resp_out *o, size_t argc, const struct sd_slice *argv)
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
			route_end_there(cl, p);
		if (p->watches && is_elsewhere(f->body))
			route_end_watch(cl, p);
		else if (!p->by_slot || !is_retryable(f->body))
			route_end_part(cl, p, f->body);
		else if (cache_cluster_now(cl) >= p->give_up_ns)
			route_end_with_error(cl, p, "CLUSTERDOWN no node answers for this key");
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
			route_end_watch(cl, p);
		else if (p->write)
			route_end_with_error(cl, p, "ERR the node that has this key went away: nobody knows whether the command was done");
		else
			route_end_with_error(cl, p, "ERR a node of the cluster went away before it answered");
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
			route_end_with_error(cl, p, "CLUSTERDOWN no node answers for this key");
		else
			route_send(cl, p);
	}
}
