/* cache_remote.c - requests that other nodes sent here for their clients.
 *
 * Each link has sessions: one for requests that leave nothing behind, in each version of the protocol, and one for each client
 * that waits, watches or runs a transaction, until it ends. A request whose keys are not this node's is not run: the answer is
 * MOVED with the id of who has them, or TRYAGAIN, and who sent it tries elsewhere.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cache_cluster.h"

#define LATER (CACHE_BLOCKED | CACHE_HOLDING) /* its reply comes with a wake */

struct remote {
	struct sd_link link; /* in cl->remotes */
	struct cache_link *via;
	uint64_t number;
	struct cache_session session;
	uint32_t answers; /* the number of the command that waits; 0: none does */
	bool once;	  /* it ends with that answer */
};

static struct remote *find(struct cache_cluster *cl, const struct cache_link *via, uint64_t number)
{
	for (struct sd_link *k = cl->remotes.next; k != &cl->remotes; k = k->next) {
		struct remote *r = sd_container(k, struct remote, link);
		if (r->via == via && r->number == number)
			return r;
	}
	return NULL;
}

static struct remote *get(struct cache_cluster *cl, struct cache_link *via, uint64_t number)
{
	struct remote *r = find(cl, via, number);
	if (r)
		return r;
	r = calloc(1, sizeof(*r));
	if (!r)
		return NULL;
	r->via = via;
	r->number = number;
	cache_session_begin(cl->cache, &r->session);
	r->session.flags |= CACHE_AUTHENTICATED | CACHE_REMOTE;
	r->session.out.resp3 = number & 1;
	snprintf(r->session.address, sizeof(r->session.address), "node");
	sd_list_add(&cl->remotes, &r->link);
	return r;
}

static void remote_free(struct remote *r)
{
	sd_list_del(&r->link);
	cache_session_end(&r->session);
	free(r);
}

static void answer(struct remote *r, uint32_t number)
{
	struct sd_resp_out *o = &r->session.out;
	cache_turn(r->session.cache);
	struct sd_slice body = {o->p, o->n};
	static const struct sd_slice full = {"-ERR out of memory\r\n", 20};
	struct cache_frame f = {.kind = CACHE_FRAME_REPLY, .number = number, .session = r->number};
	if (r->via) {
		cache_link_send(r->via, &f, o->full ? &full : &body, 1);
	} else {
		f.body = o->full ? full : body;
		cache_route_reply(r->session.cache->cluster, &f);
	}
	*o = (struct sd_resp_out){.p = o->p, .room = o->room, .resp3 = o->resp3};
	if (o->room > 65536) {
		free(o->p);
		*o = (struct sd_resp_out){.resp3 = o->resp3};
	}
}

/* Is this node to answer for this key? The reply is in out when it is not. */
static bool serves(struct cache_cluster *cl, struct sd_slice key, struct cache_asked *asked, struct sd_resp_out *out)
{
	struct sd_swim_id to;
	char id[2 * SD_SWIM_ID + 1];
	asked->slot = sd_slot_of(key);
	enum cache_serving how = cache_cluster_serving(cl, asked, &to);
	if (how == CACHE_SERVE)
		return true;
	if (how == CACHE_TRY_AGAIN) {
		sd_resp_error(out, "TRYAGAIN the slot is moving");
		return false;
	}
	sd_swim_id_text(&to, id);
	sd_resp_errorf(out, "MOVED %u @%s", asked->slot, id);
	return false;
}

static bool serves_all(struct cache_cluster *cl, size_t argc, const struct sd_slice *argv, bool any_copy, struct sd_resp_out *out)
{
	const struct cache_command *k = cache_find_command(cl->cache, argv[0]);
	struct sd_redis_keys keys;
	if (k && !k->fn && argc > 1)
		k = cache_find_subcommand(cl->cache, k, argv[1]);
	if (!k || !sd_redis_has_arity(k->is, argc) || !sd_redis_keys(k->is, argc, argv, &keys))
		return true; /* an error of its own */
	struct cache_asked asked = {.write = k->is->flags & SD_REDIS_WRITE, .sent_on = true, .any_copy = any_copy && k->is->flags & SD_REDIS_READONLY};
	if (keys.also && !serves(cl, argv[keys.also], &asked, out))
		return false;
	for (size_t i = 0; i < keys.n; i++)
		if (!serves(cl, argv[keys.first + i * keys.step], &asked, out))
			return false;
	return true;
}

/* Goes through the requests of a frame; run: runs them, else looks whether all may be. The reply is that of the last. */
static bool each_request(struct cache_cluster *cl, struct remote *r, const struct cache_frame *f, bool run)
{
	struct sd_resp_reader reader = {0};
	struct sd_resp_out *out = &r->session.out;
	size_t at = 0;
	bool good = true;
	while (good && at < f->body.n) {
		ssize_t k = sd_resp_read(&reader, f->body.p + at, f->body.n - at, &cl->cache->limits);
		if (k <= 0) {
			sd_resp_error(out, "ERR a request that was sent on is not whole");
			good = false;
			break;
		}
		at += (size_t)k;
		if (reader.argc && run) {
			out->n = 0;
			cache_call(&r->session, reader.argc, reader.argv, cl->cache->now_ms);
		} else if (reader.argc) {
			good = serves_all(cl, reader.argc, reader.argv, f->flags & CACHE_FRAME_COPY, out);
		}
		sd_resp_reader_reset(&reader);
	}
	sd_resp_reader_free(&reader);
	return good;
}

/* A link that broke took its sessions with it, and what they watched. */
static bool lacks_session(struct cache_cluster *cl, struct cache_link *from, const struct cache_frame *f)
{
	static const struct sd_slice gone = {"-TRYAGAIN what was watched is not watched any more\r\n", 52};
	struct cache_frame answer = {.kind = CACHE_FRAME_REPLY, .number = f->number, .session = f->session};
	if (!from || !(f->flags & CACHE_FRAME_GOES_ON) || find(cl, from, f->session))
		return false;
	cache_link_send(from, &answer, &gone, 1);
	return true;
}

static void on_command(struct cache_cluster *cl, struct cache_link *from, const struct cache_frame *f)
{
	if (lacks_session(cl, from, f))
		return;
	struct remote *r = get(cl, from, f->session);
	if (!r)
		return; /* out of memory: who asked gives up after a while */
	cl->cache->now_ms = cl->peers.wall_ms(cl);
	r->session.out.n = 0;
	if (each_request(cl, r, f, false))
		each_request(cl, r, f, true);
	if (!(r->session.flags & LATER)) {
		answer(r, f->number);
		if (!from && f->session > 1)
			remote_free(r);
		return;
	}
	r->answers = f->number;
	r->once = !from; /* its number stays: the client may go before the answer comes */
	if (f->session <= 1) { /* of many: the next request gets another one */
		r->once = true;
		r->number = UINT64_MAX;
	}
}

void cache_remote_local(struct cache_cluster *cl, const struct cache_frame *f)
{
	cache_remote_frame(cl, NULL, f);
}

/* One of this node's own goes with its answer, which nobody hears: whoever ends a client may be on a walk through all sessions. */
static void end(struct remote *r)
{
	if (r->via)
		remote_free(r);
	else if (r->session.flags & CACHE_BLOCKED)
		cache_unblock(&r->session, "UNBLOCKED nobody waits any more");
}

void cache_remote_frame(struct cache_cluster *cl, struct cache_link *from, const struct cache_frame *f)
{
	struct remote *r;
	if (f->kind == CACHE_FRAME_COMMAND)
		on_command(cl, from, f);
	else if (f->kind == CACHE_FRAME_END && (r = find(cl, from, f->session)))
		end(r);
}

void cache_remote_gone(struct cache_cluster *cl, struct cache_link *link)
{
	for (struct sd_link *k = cl->remotes.next, *next; k != &cl->remotes; k = next) {
		struct remote *r = sd_container(k, struct remote, link);
		next = k->next;
		if (r->via == link)
			remote_free(r);
	}
}

void cache_remote_woken(struct cache_session *s)
{
	struct remote *r = sd_container(s, struct remote, session);
	if (s->flags & LATER || !r->answers)
		return;
	uint32_t number = r->answers;
	r->answers = 0;
	answer(r, number);
	if (r->once)
		remote_free(r);
}

void cache_remote_publish(struct cache_cluster *cl, struct sd_slice channel, struct sd_slice text)
{
	uint8_t n[4] = {(uint8_t)channel.n, (uint8_t)(channel.n >> 8), (uint8_t)(channel.n >> 16), (uint8_t)(channel.n >> 24)};
	struct sd_slice parts[3] = {{(const char *)n, sizeof(n)}, channel, text};
	struct cache_frame f = {.kind = CACHE_FRAME_PUBLISH};
	for (size_t i = 0; i < cl->view->n; i++)
		if (i != cl->view->self)
			cache_cluster_send(cl, &cl->view->members[i].id, &f, parts, 3);
}
