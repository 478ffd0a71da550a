/* cache_route.c - which node answers a request, and replies of several nodes put in the order of the requests (cache_route_int.h).
 *
 * A request becomes a reply that is awaited, and one part or several, each sent to one node; a part is of one slot, or for one node
 * whatever it has. A part whose node says that it is not the owner, cannot answer just now, or hangs up, is tried again by
 * the map as it is then, for a while: but not a write that may have been done already, which gets an error. Replies
 * that are whole go to the client from the front of its queue.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cache_route_int.h"

#define MOST_REPLIES 1024 /* of one client */
#define SEVERAL	     (-2) /* slots */

/* ---- one request ---- */

/* The slot of all keys; -1: there are no keys; -2: they are of several. */
static int slot_of_keys(const struct cache_command *k, size_t argc, const struct sd_slice *argv)
{
	struct sd_redis_keys keys;
	int slot = -1;
	if (!sd_redis_has_arity(k->is, argc) || !sd_redis_keys(k->is, argc, argv, &keys))
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
	if (k->is->flags & SD_REDIS_WRITE)
		r->wrote_there = false;
	if (sd_list_empty(&r->replies)) {
		cache_call(s, argc, argv, now_ms);
		return true;
	}
	if (slot < 0 || k->is->flags & SD_REDIS_BLOCKING || (f && f->holds))
		return false;
	struct route_reply *y = route_reply_new(r, ROUTE_ONE);
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
	struct route_reply *y = route_reply_new(r, ROUTE_ONE);
	struct route_part *p = y ? route_part_new(y, k->is->flags & SD_REDIS_WRITE) : NULL;
	if (!p)
		return;
	p->by_slot = true;
	p->slot = slot;
	p->read_copy = (r->session->flags & CACHE_ANY_COPY) && k->is->flags & SD_REDIS_READONLY;
	if (k->is->flags & SD_REDIS_BLOCKING) {
		p->session = own_session(r);
		p->blocks = true;
		r->barrier = true;
	}
	route_put_request(&p->request, argc, argv);
	route_send(r->cl, p);
}

void cache_put_moved(struct cache_cluster *cl, struct sd_resp_out *out, unsigned slot, const struct sd_swim_id *to)
{
	char host[46];
	int i = cache_view_find(cl->view, to);
	if (i < 0) {
		sd_resp_error(out, ROUTE_SLOT_MOVES);
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
	route_refuse(r, text);
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
	struct sd_redis_keys keys;
	if (!r->cl->conf.hot_reads || !(k->is->flags & SD_REDIS_READONLY) || !sd_redis_keys(k->is, argc, argv, &keys) || keys.n != 1)
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
	struct cache_asked asked = {.slot = (unsigned)slot, .write = k->is->flags & SD_REDIS_WRITE,
				    .any_copy = (r->session->flags & CACHE_ANY_COPY) && k->is->flags & SD_REDIS_READONLY};
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
		route_refuse(r, ROUTE_SLOT_MOVES);
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
	route_put_request(&o, argc, argv);
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
		route_refuse(r, "CROSSSLOT Keys in request don't hash to the same slot");
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
	struct route_reply *y = route_reply_new(r, ROUTE_ONE);
	struct route_part *p = y ? route_part_new(y, true) : NULL;
	if (!p)
		return;
	p->session = own_session(r);
	p->by_slot = r->slot >= 0 && !r->is_pinned;
	p->slot = r->slot >= 0 ? (unsigned)r->slot : 0;
	p->watches = p->goes_on = r->is_pinned;
	p->is_exec = true;
	p->to = *to;
	route_put_request(&p->request, 1, &multi);
	sd_resp_raw(&p->request, r->queued, r->nqueued);
	route_put_request(&p->request, 1, &exec);
	r->barrier = true;
	r->is_pinned = false; /* EXEC ends every WATCH: the session goes with its reply */
	route_send(r->cl, p);
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
		route_refuse(r, how == CACHE_TRY_AGAIN || r->watched == slot ? ROUTE_SLOT_MOVES : "CROSSSLOT Keys of WATCH don't hash to the same slot");
		return true;
	}
	struct route_reply *y = route_reply_new(r, ROUTE_ONE);
	struct route_part *p = y ? route_part_new(y, true) : NULL;
	if (!p)
		return true;
	p->session = own_session(r);
	p->watches = true;
	p->goes_on = !first;
	p->to = r->pinned = to;
	r->is_pinned = true;
	route_put_request(&p->request, argc, argv);
	route_send(r->cl, p);
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
	return strcmp(k->is->name, name) == 0;
}

/* The node that has what was written last knows who has copies. */
static bool wait_there(struct cache_route *r, size_t argc, const struct sd_slice *argv)
{
	struct route_reply *y = route_reply_new(r, ROUTE_ONE);
	struct route_part *p = y ? route_part_new(y, false) : NULL;
	if (!p)
		return true;
	p->to = r->wrote_to;
	route_put_request(&p->request, argc, argv);
	r->barrier = true;
	route_send(r->cl, p);
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
	if (!k || !k->fn || !sd_redis_has_arity(k->is, argc) || !(s->flags & CACHE_AUTHENTICATED) ||
	    (cache_subscriptions(s) && !s->out.resp3)) {
		if (!sd_list_empty(&r->replies))
			return false;
		cache_call(s, argc, argv, now_ms);
		return true;
	}
	int slot = slot_of_keys(k, argc, argv);
	bool keyed = slot != -1 || route_is_spread(k);
	if (keyed && !cache_cluster_ready(r->cl)) {
		route_refuse(r, "CLUSTERDOWN the node has not found the cluster yet");
		return true;
	}
	if (s->flags & CACHE_MULTI && !(k->is->flags & SD_REDIS_UNQUEUED))
		return call_queued(r, k, slot, argc, argv, now_ms);
	if (keyed && !gets_moved(r) && !is(k, "watch") && route_spread_out(r, k, slot == -2, argc, argv))
		return true;
	if (slot == -2) {
		route_refuse(r, "CROSSSLOT Keys in request don't hash to the same slot");
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
			route_end_there(cl, p);
		route_part_free(p);
		if (--y->waiting == 0)
			route_reply_free(y);
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
			route_reply_free(y);
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
		route_part_free(p);
		if (--y->waiting == 0 && !y->route)
			route_reply_free(y);
	}
}
