/* cache_cluster.c - members, views, and what is said of them. */
#include "cache_cluster.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cache_facts.h"
#include "cache_view_make.h"
#include "core/mix.h"
#include "core/text.h"
#include "net/tls_hmac.h"

#define JOIN_PATIENCE_NS 3000000000
#define LOOK_UP_NS       2000000000
#define COUNT_EXACTLY    200000
#define COUNT_SOME       10000

/* ---- names ---- */

struct sd_addr cache_end_addr(const struct sd_swim_end *e)
{
	struct sd_addr a = {.kind = SD_ADDR_INET, .v6 = e->v6, .port = e->port};
	memcpy(a.ip, e->ip, sizeof(a.ip));
	return a;
}

static struct sd_swim_end end_of(const struct sd_addr *a, uint16_t port)
{
	struct sd_swim_end e = {.v6 = a->v6, .port = port};
	memcpy(e.ip, a->ip, a->v6 ? 16 : 4);
	return e;
}

size_t cache_end_host(const struct sd_swim_end *e, char out[46])
{
	struct sd_peer p = {.kind = SD_ADDR_INET, .v6 = e->v6, .port = e->port};
	memcpy(p.ip, e->ip, sizeof(p.ip));
	return sd_peer_format(&p, out);
}

/* Are the ports enough to tell the members apart? */
static bool one_address(const struct cache_cluster *cl)
{
	const struct sd_swim_end *mine = &sd_swim_self(cl->swim)->facts.client;
	for (size_t i = 0; i < sd_swim_count(cl->swim); i++) {
		struct sd_swim_end other = sd_swim_at(cl->swim, i)->facts.client;
		other.port = mine->port;
		if (!sd_swim_end_equal(&other, mine))
			return false;
	}
	return true;
}

const char *cache_node_name(const struct cache_cluster *cl, const struct sd_swim_end *client, char out[64])
{
	char host[46];
	if (one_address(cl)) {
		snprintf(out, 64, "%u", client->port);
		return out;
	}
	cache_end_host(client, host);
	snprintf(out, 64, client->v6 ? "[%s]:%u" : "%s:%u", host, client->port);
	return out;
}

void cache_cluster_say(struct cache_cluster *cl, enum sd_level level, const char *name, const char *format, ...)
{
	char text[1024];
	va_list ap;
	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	if (cl->log)
		sd_event(cl->log, level, name, NULL, "%s", text);
}

static int by_port(const void *a, const void *b)
{
	const struct cache_view_member *x = *(const struct cache_view_member *const *)a, *y = *(const struct cache_view_member *const *)b;
	return memcmp(x->client.ip, y->client.ip, 16) ? memcmp(x->client.ip, y->client.ip, 16) : x->client.port - y->client.port;
}

/* "[7001, 7002]", of at most so many. */
static const char *ring_text(const struct cache_cluster *cl, char out[512])
{
	const struct cache_view *v = cl->view;
	const struct cache_view_member *sorted[32] = {0};
	char name[64];
	size_t n = 1, shown = v->n < 32 ? v->n : 32;
	for (size_t i = 0; i < shown; i++)
		sorted[i] = &v->members[i];
	qsort(sorted, shown, sizeof(sorted[0]), by_port);
	out[0] = '[';
	for (size_t i = 0; i < shown && n < 440; i++)
		n += (size_t)snprintf(out + n, 512 - n, "%s%s", i ? ", " : "", cache_node_name(cl, &sorted[i]->client, name));
	snprintf(out + n, 512 - n, v->n > shown ? ", ...]" : "]");
	return out;
}

/* ---- views ---- */

struct counting {
	const struct cache_view *was;
	uint16_t member;
	size_t n;
};

static void count_key(void *arg, struct sd_dict_entry *e)
{
	struct counting *c = arg;
	c->n += sd_slots_owner(&c->was->slots, sd_slot_of(cache_key((struct cache_item *)e))) == c->member;
}

/* Keys of a node that are here as well: all of them, or from some when they are many. */
static size_t keys_of(struct cache_cluster *cl, const struct cache_view *was, size_t member)
{
	struct counting c = {was, (uint16_t)member, 0};
	struct sd_dict *keys = &cl->cache->dbs[0].keys;
	size_t all = sd_dict_count(keys);
	if (all <= COUNT_EXACTLY) {
		sd_dict_each(keys, count_key, &c);
		return c.n;
	}
	for (int i = 0; i < COUNT_SOME; i++)
		count_key(&c, sd_dict_random(keys, &cl->cache->rng));
	return (size_t)((double)c.n / COUNT_SOME * (double)all);
}

static void say_gone(struct cache_cluster *cl, const struct cache_view *was, size_t i)
{
	const struct sd_swim_member *m = sd_swim_find(cl->swim, &was->members[i].id);
	char name[64], ring[512];
	cache_node_name(cl, &was->members[i].client, name);
	if (m && m->state == SD_SWIM_LEFT)
		cache_cluster_say(cl, SD_INFO, "node_left", "Node %s left, redistributing %zu keys...", name, keys_of(cl, was, i));
	else
		cache_cluster_say(cl, SD_WARN, "node_unreachable", "Node %s unreachable, redistributing %zu keys...", name,
				  keys_of(cl, was, i));
	if (!cl->data.view_changed) /* with a data side that one says when */
		cache_cluster_say(cl, SD_INFO, "redistributed", "Redistribution complete, ring: %s", ring_text(cl, ring));
}

static void say_changes(struct cache_cluster *cl, const struct cache_view *was)
{
	char name[64], ring[512];
	for (size_t i = 0; i < cl->view->n; i++)
		if (cache_view_find(was, &cl->view->members[i].id) < 0)
			cache_cluster_say(cl, SD_INFO, "node_joined", "Node %s joined, ring: %s",
					  cache_node_name(cl, &cl->view->members[i].client, name), ring_text(cl, ring));
	for (size_t i = 0; i < was->n; i++)
		if (cache_view_find(cl->view, &was->members[i].id) < 0)
			say_gone(cl, was, i);
}

/* Whoever is not there any more is not waited for. */
static void hang_up(struct cache_cluster *cl, const struct cache_view *was)
{
	for (size_t i = 0; i < was->n; i++)
		if (cache_view_find(cl->view, &was->members[i].id) < 0)
			cache_bus_drop(cl->bus, &was->members[i].id);
}

static void tell_epoch(struct cache_cluster *cl)
{
	struct sd_swim_facts f = sd_swim_self(cl->swim)->facts;
	if (f.epoch == cl->view->epoch)
		return;
	f.epoch = cl->view->epoch;
	sd_swim_say(cl->swim, &f, cache_cluster_now(cl));
}

static void look_around(struct cache_cluster *cl);

/* It is the cluster's own from here on. */
static void take_view(struct cache_cluster *cl, struct cache_view *is)
{
	struct cache_view *was = cl->view;
	cl->view = is;
	if (cl->data.view_changed)
		cl->data.view_changed(cl->data.arg, was, is);
	if (was && was->digest != is->digest) {
		tell_epoch(cl);
		if (was->epoch || !cl->agreed) /* else it only hears of what has been */
			say_changes(cl, was);
		hang_up(cl, was);
		cache_route_retry(cl);
	}
	if (was && is->n > 1)
		cl->joining = false;
	cache_view_free(was);
}

/* A new view, when members changed since the last one. */
static void update_view(struct cache_cluster *cl)
{
	if (!cl->changed || cl->ending)
		return;
	if (cl->agreed) {
		look_around(cl);
		return;
	}
	struct cache_view *is = cache_view_make(cl->swim, cl->conf.copies, cl->view);
	if (!is)
		return; /* out of memory: tried again at the next news */
	cl->changed = false;
	take_view(cl, is);
}

/* ---- agreed views ---- */

static void enter(void *arg);
static void leave(void *arg);

/* Where members are reached may be known later than that they are members. */
static void note_ends(struct cache_cluster *cl)
{
	for (size_t i = 0; cl->view && i < cl->view->n; i++) {
		struct cache_view_member *v = &cl->view->members[i];
		const struct sd_swim_member *m = sd_swim_find(cl->swim, &v->id);
		if (!m)
			continue;
		v->client = m->facts.client;
		v->bus = m->facts.bus;
		v->epoch = m->facts.epoch;
	}
}

static void agree(struct cache_cluster *cl)
{
	enum cache_readiness ready = cl->data.readiness ? cl->data.readiness(cl->data.arg) : CACHE_NOT_READY;
	int64_t next = cache_agreed_tick(cl->agreed, ready, cache_cluster_now(cl));
	sd_loop_timer_set(cl->loop, &cl->agree, next);
}

/* What gossip says of who is there; what follows from it the members agree on. */
static void look_around(struct cache_cluster *cl)
{
	size_t all = sd_swim_count(cl->swim), n = 0;
	struct cache_agreed_node *nodes = calloc(all, sizeof(*nodes));
	for (size_t i = 0; nodes && i < all; i++) {
		const struct sd_swim_member *m = sd_swim_at(cl->swim, i);
		if (m->state > SD_SWIM_SUSPECT || cache_facts_quorum(&m->facts) != cl->conf.quorum)
			continue;
		struct cache_view_member v = {m->facts.id, m->facts.client, m->facts.bus, m->facts.weight, m->facts.epoch, false};
		nodes[n++] = (struct cache_agreed_node){v, cache_facts_leaving(&m->facts)};
	}
	if (nodes) {
		cl->changed = false;
		note_ends(cl);
		cache_agreed_see(cl->agreed, nodes, n);
	}
	free(nodes);
	agree(cl);
}

static void on_agree(struct sd_timer *t)
{
	struct cache_cluster *cl = sd_container(t, struct cache_cluster, agree);
	enter(cl);
	if (!cl->ending)
		agree(cl);
	leave(cl);
}

static void agreed_send(void *arg, const struct sd_swim_id *to, const void *p, size_t n)
{
	struct cache_cluster *cl = arg;
	const struct sd_swim_member *m = sd_swim_find(cl->swim, to);
	struct cache_frame f = {.kind = CACHE_FRAME_AGREE};
	struct sd_slice part = {p, n};
	if (!m || m->state > SD_SWIM_SUSPECT || cl->ending)
		return;
	struct sd_addr a = cache_end_addr(&m->facts.bus);
	cache_bus_send(cl->bus, to, &a, &f, &part, 1);
}

static void agreed_view(void *arg, struct cache_view *v)
{
	struct cache_cluster *cl = arg;
	if (cl->ending)
		cache_view_free(v);
	else
		take_view(cl, v);
}

static void on_word(struct cache_cluster *cl, const struct sd_swim_id *from, struct sd_slice body)
{
	if (!cl->agreed)
		return;
	cache_agreed_receive(cl->agreed, from, body.p, body.n, cache_cluster_now(cl));
	sd_loop_timer_set(cl->loop, &cl->agree, cache_cluster_now(cl));
}

/* Who joins waits to be taken in; who does not begins a cluster, under a number that the later one has higher. */
static bool start_agreeing(struct cache_cluster *cl, uint64_t seed)
{
	struct cache_agreed_conf conf = {.copies = cl->conf.copies, .quorum = cl->conf.quorum, .map = {.bound = CACHE_VIEW_BOUND}};
	struct cache_agreed_host host = {cl, agreed_send, agreed_view};
	const struct sd_swim_facts *f = &sd_swim_self(cl->swim)->facts;
	struct cache_view_member self = {f->id, f->client, f->bus, f->weight, 0, false};
	cl->agree.fn = on_agree;
	cl->agreed = cache_agreed_new(&conf, &self, &host, seed);
	if (!cl->agreed || !cl->view)
		return false;
	uint64_t lineage = (uint64_t)cl->peers.wall_ms(cl) << 20 | (seed & 0xfffff) | 1;
	return cl->conf.nseeds > 0 || cache_agreed_found(cl->agreed, lineage);
}

bool cache_cluster_forget(struct cache_cluster *cl, const struct sd_swim_id *id)
{
	const struct sd_swim_member *m = sd_swim_find(cl->swim, id);
	bool member = cl->agreed && cache_view_find(cl->view, id) >= 0;
	if (m && m->state <= SD_SWIM_SUSPECT)
		return false;
	bool known = m && sd_swim_forget(cl->swim, id);
	if (cl->agreed && (known || member)) {
		cache_agreed_forget(cl->agreed, id);
		if (cl->data.forget)
			cl->data.forget(cl->data.arg, id);
		cl->changed = true;
	}
	return known || member;
}

static void peers_leaving(void *arg)
{
	struct cache_cluster *cl = arg;
	struct sd_swim_facts f = sd_swim_self(cl->swim)->facts;
	cache_facts_put(&f, true, cl->conf.quorum);
	sd_swim_say(cl->swim, &f, cache_cluster_now(cl));
	cl->leaving = cl->changed = true; /* the next turn of gossip sees it */
}

static bool peers_all_leave(void *arg)
{
	const struct cache_cluster *cl = arg;
	for (size_t i = 0; i < cl->view->n; i++) {
		const struct sd_swim_member *m = sd_swim_find(cl->swim, &cl->view->members[i].id);
		if (!m || !cache_facts_leaving(&m->facts))
			return false;
	}
	return cl->leaving;
}

/* ---- gossip ---- */

static void on_send(void *arg, const struct sd_swim_end *to, const void *p, size_t n)
{
	struct cache_cluster *cl = arg;
	struct sd_addr a = cache_end_addr(to);
	sd_datagrams_send(cl->udp, &a, p, n);
}

/* "--write-quorum 2", or that there is none. */
static const char *quorum_text(const struct sd_swim_facts *f, char out[32])
{
	snprintf(out, 32, cache_facts_quorum(f) ? "--write-quorum %u" : "no --write-quorum", cache_facts_quorum(f));
	return out;
}

/* It promises something else than this node: the two do not become one cluster. */
static void say_other_quorum(struct cache_cluster *cl, const struct sd_swim_facts *f)
{
	char name[64], its[32], ours[32];
	cache_cluster_say(cl, SD_WARN, "write_quorum_differs", "Node %s has %s and this one %s: the two do not become one cluster",
			  cache_node_name(cl, &f->client, name), quorum_text(f, its), quorum_text(&sd_swim_self(cl->swim)->facts, ours));
}

static void on_changed(void *arg, const struct sd_swim_member *was, const struct sd_swim_member *is)
{
	struct cache_cluster *cl = arg;
	char name[64];
	cl->changed = true;
	if (!was && is->state <= SD_SWIM_SUSPECT && cache_facts_quorum(&is->facts) != cache_facts_quorum(&sd_swim_self(cl->swim)->facts))
		say_other_quorum(cl, &is->facts);
	if (is->state == SD_SWIM_SUSPECT && was && was->state == SD_SWIM_ALIVE)
		cache_cluster_say(cl, SD_WARN, "node_suspected", "Node %s does not answer",
				  cache_node_name(cl, &is->facts.client, name));
	else if (is->state == SD_SWIM_ALIVE && was && was->state == SD_SWIM_SUSPECT)
		cache_cluster_say(cl, SD_INFO, "node_answers", "Node %s answers again", cache_node_name(cl, &is->facts.client, name));
}

static void mac(void *arg, const void *p, size_t n, uint8_t out[SD_SWIM_MAC])
{
	const struct cache_cluster *cl = arg;
	if (!sd_hmac_sha256(cl->conf.key, p, n, out))
		sd_world_random(sd_loop_world(cl->loop), out, SD_SWIM_MAC); /* which no datagram has */
}

static void say_foreign(struct cache_cluster *cl)
{
	const struct sd_swim_stats *st = sd_swim_stats(cl->swim);
	char text[SD_ADDR_TEXT];
	if (st->foreign == cl->foreign_told || cl->foreign_told)
		return;
	cl->foreign_told = st->foreign;
	struct sd_addr a = cache_end_addr(&st->last_foreign);
	cache_cluster_say(cl, SD_WARN, "node_refused", "%s is of another cluster than %s: the two do not become one",
			  sd_addr_format(&a, text), cl->conf.name);
}

static void enter(void *arg)
{
	struct cache_cluster *cl = arg;
	cl->host.enter(cl->host.arg);
}

static void leave(void *arg)
{
	struct cache_cluster *cl = arg;
	cl->host.leave(cl->host.arg);
}

/* ---- what other threads leave ---- */

int64_t cache_cluster_now(const struct cache_cluster *cl)
{
	return sd_loop_is_mine(cl->loop) ? sd_loop_now_ns(cl->loop) : sd_world_mono_ns(sd_loop_world(cl->loop));
}

static void fall_behind(void *arg)
{
	struct cache_cluster *cl = arg;
	cl->behind.any = true;
	cl->host.behind(cl->host.arg);
}

void cache_cluster_look_at(struct cache_cluster *cl, int64_t at_ns)
{
	if (!sd_loop_is_mine(cl->loop)) {
		cl->behind.retry_ns = at_ns < cl->behind.retry_ns ? at_ns : cl->behind.retry_ns;
		fall_behind(cl);
	} else if (!cl->retry.slot || at_ns < cl->retry.due_ns) {
		sd_loop_timer_set(cl->loop, &cl->retry, at_ns);
	}
}

static const struct cache_behind nothing = {.retry_ns = INT64_MAX};

void cache_cluster_catch_up(struct cache_cluster *cl)
{
	struct cache_behind b = cl->behind;
	if (!b.any || cl->ending)
		return;
	cl->behind = nothing;
	if (b.retry_ns != INT64_MAX)
		cache_cluster_look_at(cl, b.retry_ns);
	if (b.data)
		sd_loop_timer_set(cl->loop, &cl->data_tick, b.data_ns);
	cache_bus_catch_up(cl->bus);
}

/* ---- the turns of gossip ---- */

static void run_swim(struct cache_cluster *cl)
{
	int64_t now = cache_cluster_now(cl);
	int64_t next = sd_swim_tick(cl->swim, now);
	update_view(cl);
	say_foreign(cl);
	sd_loop_timer_set(cl->loop, &cl->tick, next);
}

static void on_tick(struct sd_timer *t)
{
	struct cache_cluster *cl = sd_container(t, struct cache_cluster, tick);
	enter(cl);
	run_swim(cl);
	leave(cl);
}

static void on_datagram(void *arg, const struct sd_addr *from, const void *p, size_t n)
{
	struct cache_cluster *cl = arg;
	struct sd_swim_end end = end_of(from, from->port);
	enter(cl);
	sd_swim_receive(cl->swim, &end, p, n, cache_cluster_now(cl));
	run_swim(cl);
	leave(cl);
}

/* ---- joining ---- */

/* A seed whose name has to be looked up; again, as long as nobody is there. */
struct cache_lookup {
	struct sd_resolve r;
	struct cache_cluster *cl; /* NULL: it ended meanwhile */
	struct cache_lookup *next;
	struct sd_timer again;
	bool busy;
};

static void look_up(struct cache_lookup *l)
{
	l->busy = sd_resolve_start(l->cl->loop, &l->r);
	if (!l->busy)
		sd_loop_timer_set(l->cl->loop, &l->again, sd_loop_now_ns(l->cl->loop) + LOOK_UP_NS);
}

static void on_again(struct sd_timer *t)
{
	look_up(sd_container(t, struct cache_lookup, again));
}

static void on_resolved(struct sd_resolve *r)
{
	struct cache_lookup *l = sd_container(r, struct cache_lookup, r);
	struct cache_cluster *cl = l->cl;
	l->busy = false;
	if (!cl) {
		free(l);
		return;
	}
	enter(cl);
	for (int i = 0; i < r->nfound; i++)
		if (r->found[i].v6 == cl->conf.bind.v6)
			cache_cluster_meet(cl, &r->found[i]);
	if (cl->view->n == 1)
		sd_loop_timer_set(cl->loop, &l->again, cache_cluster_now(cl) + LOOK_UP_NS);
	leave(cl);
}

static void on_dropped(struct sd_resolve *r)
{
	free(sd_container(r, struct cache_lookup, r));
}

bool cache_cluster_meet(struct cache_cluster *cl, const struct sd_addr *addr)
{
	struct cache_lookup *l;
	if (addr->kind == SD_ADDR_INET) {
		struct sd_swim_end e = end_of(addr, addr->port);
		return sd_swim_join(cl->swim, &e, cache_cluster_now(cl));
	}
	if (addr->kind != SD_ADDR_NAME || !(l = calloc(1, sizeof(*l))))
		return false;
	l->cl = cl;
	l->next = cl->lookups;
	cl->lookups = l;
	l->again.fn = on_again;
	l->r.port = addr->port;
	l->r.done = on_resolved;
	l->r.dropped = on_dropped;
	snprintf(l->r.host, sizeof(l->r.host), "%s", addr->name);
	look_up(l);
	return true;
}

static void forget_lookups(struct cache_cluster *cl)
{
	while (cl->lookups) {
		struct cache_lookup *l = cl->lookups;
		cl->lookups = l->next;
		sd_loop_timer_cancel(cl->loop, &l->again);
		l->cl = NULL;
		if (!l->busy)
			free(l);
	}
}

bool cache_cluster_ready(const struct cache_cluster *cl)
{
	return !cl->joining || cache_cluster_now(cl) - cl->began_ns > JOIN_PATIENCE_NS;
}

/* ---- links ---- */

bool cache_cluster_send(struct cache_cluster *cl, const struct sd_swim_id *to, const struct cache_frame *head,
			const struct sd_slice *parts, size_t nparts)
{
	int i = cache_view_find(cl->view, to);
	if (i < 0 || cl->ending)
		return false;
	struct sd_addr a = cache_end_addr(&cl->view->members[i].bus);
	return cache_bus_send(cl->bus, to, &a, head, parts, nparts);
}

static void on_publish(struct cache_cluster *cl, struct sd_slice body)
{
	if (body.n < 4)
		return;
	const uint8_t *p = (const uint8_t *)body.p;
	size_t n = p[0] | (size_t)p[1] << 8 | (size_t)p[2] << 16 | (size_t)p[3] << 24;
	if (n <= body.n - 4)
		cache_publish(cl->cache, NULL, (struct sd_slice){body.p + 4, n}, (struct sd_slice){body.p + 4 + n, body.n - 4 - n});
}

static void on_frame(void *arg, struct cache_link *from, const struct cache_frame *f)
{
	struct cache_cluster *cl = arg;
	if (f->kind == CACHE_FRAME_REPLY)
		cache_route_reply(cl, f);
	else if (f->kind == CACHE_FRAME_AGREE)
		on_word(cl, cache_link_peer(from), f->body);
	else if (f->kind == CACHE_FRAME_PUBLISH)
		on_publish(cl, f->body);
	else if (f->kind >= CACHE_DATA_KIND && cl->data.message)
		cl->data.message(cl->data.arg, cache_link_peer(from), f->kind, f->body);
	else if (f->kind < CACHE_DATA_KIND)
		cache_remote_frame(cl, from, f);
}

static void on_dialled(void *arg, const struct sd_swim_id *peer, bool up)
{
	struct cache_cluster *cl = arg;
	if (cl->ending)
		return;
	if (!up)
		cache_route_lost(cl, peer);
	if (cl->data.link)
		cl->data.link(cl->data.arg, peer, up);
}

static void on_hung_up(void *arg, struct cache_link *link)
{
	cache_remote_gone(arg, link);
}

static void on_drained(void *arg, const struct sd_swim_id *peer)
{
	struct cache_cluster *cl = arg;
	if (cl->data.drained)
		cl->data.drained(cl->data.arg, peer);
}

/* ---- what the data side is given ---- */

static const struct cache_view *peers_view(void *arg)
{
	return ((struct cache_cluster *)arg)->view;
}

static bool peers_send(void *arg, const struct sd_swim_id *to, unsigned kind, const struct sd_slice *parts, size_t nparts)
{
	struct cache_frame f = {.kind = (uint8_t)kind};
	return kind >= CACHE_DATA_KIND && kind <= UINT8_MAX && cache_cluster_send(arg, to, &f, parts, nparts);
}

static size_t peers_backlog(void *arg, const struct sd_swim_id *to)
{
	return cache_bus_backlog(((struct cache_cluster *)arg)->bus, to);
}

static void peers_wake(void *arg, int64_t at_ns)
{
	struct cache_cluster *cl = arg;
	if (sd_loop_is_mine(cl->loop)) {
		sd_loop_timer_set(cl->loop, &cl->data_tick, at_ns);
		return;
	}
	cl->behind.data = true;
	cl->behind.data_ns = at_ns;
	fall_behind(cl);
}

static int64_t peers_now(void *arg)
{
	return cache_cluster_now(arg);
}

static int64_t peers_wall(void *arg)
{
	return sd_world_wall_ns(sd_loop_world(((struct cache_cluster *)arg)->loop)) / 1000000;
}

static void peers_say(void *arg, const char *name, const char *text)
{
	cache_cluster_say(arg, SD_INFO, name, "%s", text);
}

static void on_data_tick(struct sd_timer *t)
{
	struct cache_cluster *cl = sd_container(t, struct cache_cluster, data_tick);
	enter(cl);
	if (cl->data.tick)
		cl->data.tick(cl->data.arg);
	leave(cl);
}

static void on_retry(struct sd_timer *t)
{
	struct cache_cluster *cl = sd_container(t, struct cache_cluster, retry);
	enter(cl);
	cache_route_retry(cl);
	leave(cl);
}

struct cache_peers cache_cluster_peers(struct cache_cluster *cl)
{
	return (struct cache_peers){cl, peers_view, peers_send, peers_backlog, peers_wake, peers_now, peers_wall, peers_say, peers_leaving,
				    peers_all_leave};
}

void cache_cluster_use(struct cache_cluster *cl, const struct cache_data *data)
{
	cl->data = *data;
}

enum cache_serving cache_cluster_serving(const struct cache_cluster *cl, const struct cache_asked *asked, struct sd_swim_id *who)
{
	const struct cache_view *v = cl->view;
	const struct cache_view_member *owner = cache_view_owner(v, asked->slot);
	int rank = cache_view_rank(v, asked->slot, v->self);
	if (cl->data.serving) /* also where it is no owner: it may hold the slot until that one has it */
		return cl->data.serving(cl->data.arg, asked, who);
	if (!owner)
		return CACHE_TRY_AGAIN;
	*who = owner->id;
	return rank == 0 ? CACHE_SERVE : CACHE_ELSEWHERE;
}

/* ---- life ---- */

static uint64_t cluster_number(const char *name)
{
	uint64_t h = 0;
	for (; *name; name++)
		h = sd_mix_in(h, (unsigned char)*name);
	return h;
}

static enum sd_err open_bus(struct cache_cluster *cl, struct sd_error *e)
{
	struct cache_bus_conf conf = {cluster_number(cl->conf.name), cl->conf.id, cl->conf.key};
	struct cache_bus_events events = {cl, on_frame, on_dialled, on_hung_up, on_drained, enter, leave, fall_behind};
	struct sd_datagrams_events datagrams = {on_datagram, cl};
	enum sd_err err = SD_OK;
	bool any = !cl->conf.bind.port;
	for (int tries = 0; tries < (any ? 20 : 1); tries++) { /* a port that is free for TCP may not be for UDP */
		err = cache_bus_new(cl->loop, &conf, &cl->conf.bind, &events, &cl->bus, e);
		if (!err)
			err = sd_loop_datagrams(cl->loop, &cl->conf.bind, &datagrams, &cl->udp, e);
		if (!err)
			return SD_OK;
		cache_bus_free(cl->bus);
		cl->bus = NULL;
		if (any)
			cl->conf.bind.port = 0;
	}
	return err;
}

static struct sd_swim_facts facts(const struct cache_cluster *cl)
{
	const struct cache_cluster_conf *conf = &cl->conf;
	struct sd_swim_facts f = {.id = conf->id, .weight = 1};
	bool told = conf->announce.kind == SD_ADDR_INET;
	const struct sd_addr *ip = told ? &conf->announce : &conf->bind;
	f.client = end_of(ip, told && conf->announce.port ? conf->announce.port : conf->port);
	f.bus = end_of(ip, conf->bind.port);
	if (conf->quorum > 1)
		cache_facts_put(&f, false, conf->quorum);
	return f;
}

static void say_started(struct cache_cluster *cl)
{
	char name[64], ring[512];
	cache_cluster_say(cl, SD_INFO, "node_started", "Node %s started, ring: %s",
			  cache_node_name(cl, &sd_swim_self(cl->swim)->facts.client, name), ring_text(cl, ring));
}

enum sd_err cache_cluster_start(struct cache_cluster *cl, struct sd_error *e)
{
	uint64_t seed;
	struct sd_swim_conf conf = sd_swim_conf_default();
	struct sd_swim_host host = {.arg = cl, .send = on_send, .changed = on_changed, .mac = cl->conf.key.n ? mac : NULL};
	sd_list_init(&cl->parts);
	sd_list_init(&cl->remotes);
	enum sd_err err = open_bus(cl, e);
	if (err)
		return err;
	sd_world_random(sd_loop_world(cl->loop), &seed, sizeof(seed));
	conf.cluster = cluster_number(cl->conf.name);
	conf.interval_ns = cl->conf.interval_ns;
	conf.timeout_ns = cl->conf.interval_ns / 2;
	struct sd_swim_facts f = facts(cl);
	cl->began_ns = sd_world_mono_ns(sd_loop_world(cl->loop));
	cl->swim = sd_swim_new(&conf, &f, &host, seed, cl->began_ns);
	cl->peers = cache_cluster_peers(cl);
	cl->tick.fn = on_tick;
	cl->data_tick.fn = on_data_tick;
	cl->retry.fn = on_retry;
	cl->behind = nothing;
	cl->changed = true;
	cl->joining = cl->conf.nseeds > 0;
	if (cl->swim && cl->conf.quorum < 2)
		update_view(cl);
	if (!cl->swim || (cl->conf.quorum > 1 && !start_agreeing(cl, sd_mix_in(seed, 1))) || !cl->view)
		return sd_fail(e, SD_ENOMEM, "out of memory");
	for (size_t i = 0; i < cl->conf.nseeds; i++)
		if (!cache_cluster_meet(cl, &cl->conf.seeds[i]))
			return sd_fail(e, SD_ERANGE, "join: expected at most %d addresses", SD_SWIM_SEEDS);
	sd_loop_timer_set(cl->loop, &cl->tick, cl->began_ns);
	say_started(cl);
	return SD_OK;
}

void cache_cluster_leave(struct cache_cluster *cl)
{
	if (cl->swim)
		sd_swim_leave(cl->swim, cache_cluster_now(cl));
}

void cache_cluster_end(struct cache_cluster *cl)
{
	if (!cl->loop)
		return;
	cl->ending = true;
	sd_loop_timer_cancel(cl->loop, &cl->tick);
	sd_loop_timer_cancel(cl->loop, &cl->data_tick);
	sd_loop_timer_cancel(cl->loop, &cl->retry);
	sd_loop_timer_cancel(cl->loop, &cl->agree);
	forget_lookups(cl);
	cache_bus_free(cl->bus);
	if (cl->parts.next)
		cache_route_forget(cl);
	if (cl->remotes.next)
		cache_remote_gone(cl, NULL);
	sd_datagrams_close(cl->udp);
	sd_swim_free(cl->swim);
	cache_agreed_free(cl->agreed);
	cache_view_free(cl->view);
	cl->agreed = NULL;
	cl->bus = NULL;
	cl->udp = NULL;
	cl->swim = NULL;
	cl->view = NULL;
}
