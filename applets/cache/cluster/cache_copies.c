/* cache_copies.c - the data side's life: views, links, messages, time. */
#include "cache_copies_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RETRY_NS    500000000
#define AGAIN_NS    300000000
#define STRANGER_NS 10000000000 /* one that is in no view is remembered */
#define LEAVE_NS    10000000000
#define ANSWER_NS   10000000000
#define STRANGERS   64

struct cache_copies_conf cache_copies_conf_default(void)
{
	return (struct cache_copies_conf){.quorum = 1, .write_timeout_ms = 1000, .tombstone_keep_ms = 3600000, .tombstones = 1000000,
					  .compare_ms = 5000};
}

void copies_wake(struct cache_copies *cc, int64_t at_ns)
{
	if (at_ns >= cc->wake_ns)
		return;
	cc->wake_ns = at_ns;
	cc->peers.wake(cc->peers.arg, at_ns);
}

/* ---- other nodes ---- */

struct copies_peer *copies_find(const struct cache_copies *cc, const struct sd_swim_id *id)
{
	for (size_t i = 0; i < cc->nothers; i++)
		if (cc->others[i] && memcmp(&cc->others[i]->id, id, sizeof(*id)) == 0)
			return cc->others[i];
	return NULL;
}

int copies_member(const struct cache_view *v, const struct sd_swim_id *id)
{
	for (size_t i = 0; i < v->n; i++)
		if (memcmp(&v->members[i].id, id, sizeof(*id)) == 0)
			return (int)i;
	return -1;
}

int copies_rank(const struct cache_copies *cc, unsigned slot)
{
	return cc->view && cc->view->self < cc->view->n ? cache_view_rank(cc->view, slot, cc->view->self) : -1;
}

static struct copies_peer *of_member(const struct cache_copies *cc, uint16_t member)
{
	if (member == SD_SLOTS_NONE || member == cc->view->self || cc->of_member[member] == COPIES_NOBODY)
		return NULL;
	return cc->others[cc->of_member[member]];
}

size_t copies_owners(const struct cache_copies *cc, unsigned slot, struct copies_peer *out[SD_SLOTS_COPIES])
{
	size_t n = 0;
	for (unsigned k = 0; cc->view && cc->view->slots.owners && k < cc->view->slots.copies; k++) {
		struct copies_peer *p = of_member(cc, sd_slots_owners(&cc->view->slots, slot)[k]);
		if (p)
			out[n++] = p;
	}
	return n;
}

struct copies_peer *copies_first(const struct cache_copies *cc, unsigned slot)
{
	return cc->view ? of_member(cc, sd_slots_owner(&cc->view->slots, slot)) : NULL;
}

/* What follows the last owner of a slot on the ring is who gets it, where it has no copies. */
struct copies_peer *copies_next_owner(const struct cache_copies *cc, unsigned slot)
{
	for (unsigned i = 1; i < SD_SLOTS; i++) {
		struct copies_peer *p = copies_first(cc, (slot + i) % SD_SLOTS);
		if (p)
			return p;
	}
	return NULL;
}

static void down(struct cache_copies *cc, struct copies_peer *p)
{
	p->sure = 0; /* it may be another one when it comes back, with nothing */
	p->unsure = cc->turn;
	p->up = false;
	p->batch.n = 0;
	p->settles = false;
	copies_clear(&p->has);
	copies_term_down(p);
	copies_offer_again(cc, p);
	p->retry_ns = copies_now(cc) + RETRY_NS;
	copies_wake(cc, p->retry_ns);
}

bool copies_send(struct cache_copies *cc, struct copies_peer *p, unsigned kind, const struct sd_text *body)
{
	struct sd_slice part = {body->p, body->n};
	if (!p->up || body->full || (cc->agreed && !p->step && kind != COPIES_HELLO))
		return false;
	if (cc->peers.send(cc->peers.arg, &p->id, kind, &part, body->n > 0))
		return true;
	down(cc, p);
	return false;
}

static void up(struct cache_copies *cc, struct copies_peer *p)
{
	struct sd_text t = {0};
	p->up = true;
	if (cc->agreed) {
		copies_term_hello(cc, p);
		return;
	}
	p->stream = sd_rng_next(&cc->rng);
	p->sent = p->acked = p->unsure = cc->turn - 1;
	copies_put(&t, COPIES_VERSION, 1);
	copies_put(&t, p->stream, 8);
	bool ok = copies_send(cc, p, COPIES_HELLO, &t);
	free(t.p);
	if (!ok)
		return;
	copies_claim(cc, p);
	if (p->heard_hello)
		copies_send_ack(cc, p);
	p->compare_ns = copies_now(cc);
	copies_wake(cc, 0);
}

static struct copies_peer *new_peer(struct cache_copies *cc, const struct sd_swim_id *id)
{
	size_t at = 0;
	while (at < cc->nothers && cc->others[at])
		at++;
	if (at == cc->nothers) {
		struct copies_peer **more = realloc(cc->others, (at + 1) * sizeof(struct copies_peer *));
		if (!more)
			return NULL;
		cc->others = more;
		cc->others[cc->nothers++] = NULL;
	}
	struct copies_peer *p = calloc(1, sizeof(*p));
	if (!p)
		return NULL;
	p->id = *id;
	p->claim_ns = INT64_MAX;
	p->heard_ns = copies_now(cc);
	sd_list_init(&p->pieces);
	return cc->others[at] = p;
}

static void free_peer(struct cache_copies *cc, size_t i)
{
	struct copies_peer *p = cc->others[i];
	copies_offer_end(cc, p);
	free(p->batch.p);
	free(p);
	cc->others[i] = NULL;
}

/* ---- who has the majority ---- */

static struct copies_known *known_of(struct cache_copies *cc, const struct cache_view_member *m)
{
	for (size_t i = 0; i < cc->nknown; i++) {
		struct copies_known *k = &cc->known[i];
		bool same_place = m->bus.port && k->bus.port == m->bus.port && k->bus.v6 == m->bus.v6 &&
				  memcmp(k->bus.ip, m->bus.ip, sizeof(k->bus.ip)) == 0;
		if (same_place || memcmp(&k->id, &m->id, sizeof(k->id)) == 0)
			return k;
	}
	struct copies_known *more = realloc(cc->known, (cc->nknown + 1) * sizeof(*more));
	if (!more)
		return NULL;
	cc->known = more;
	return &cc->known[cc->nknown++];
}

static bool is_major(const struct cache_copies *cc)
{
	return cc->view && cc->view->n * 2 > cc->nknown;
}

/* Those that said goodbye count no more, and those that are away for long, where the others are the majority. */
static void note_members(struct cache_copies *cc, const struct cache_view *is)
{
	int64_t now = copies_wall(cc);
	for (size_t i = 0; i < is->n; i++) {
		struct copies_known *k = known_of(cc, &is->members[i]);
		if (k)
			*k = (struct copies_known){is->members[i].id, is->members[i].bus, now};
	}
	for (size_t i = 0; i < cc->nknown;) {
		const struct copies_known *k = &cc->known[i];
		const struct copies_peer *p = copies_find(cc, &k->id);
		bool here = copies_member(is, &k->id) >= 0, bye = p && p->bye;
		bool over = bye || (is_major(cc) && k->seen_ms + cc->conf.tombstone_keep_ms < now);
		if (!here && !over && cc->away_until_ms < k->seen_ms + cc->conf.tombstone_keep_ms)
			cc->away_until_ms = k->seen_ms + cc->conf.tombstone_keep_ms;
		if (!here && over)
			cc->known[i] = cc->known[--cc->nknown];
		else
			i++;
	}
}

static const char *refuses(void *arg, bool write)
{
	struct cache_copies *cc = arg;
	return cc->agreed ? copies_term_refuses(cc, write) : NULL;
}

/* What was deleted meanwhile is not known any more. */
static void forget_all(struct cache_copies *cc)
{
	cc->applying = true;
	cache_flush(copies_db(cc));
	cc->applying = false;
	for (unsigned s = 0; s < SD_SLOTS; s++)
		if (cc->slots[s].held == COPIES_HELD)
			copies_hold(cc, s, COPIES_EXPECTED, COPIES_NOBODY);
}

/* The side of a cluster that has the fewer members, or not the lowest id, is the one that was away. */
static void note_absence(struct cache_copies *cc, const struct cache_view *was, const struct cache_view *is)
{
	bool minor = is->n * 2 < cc->nknown;
	if (is->n * 2 == cc->nknown && cc->nknown > 1) {
		const struct copies_known *lowest = &cc->known[0];
		for (size_t i = 1; i < cc->nknown; i++)
			if (memcmp(&cc->known[i].id, &lowest->id, sizeof(lowest->id)) < 0)
				lowest = &cc->known[i];
		minor = copies_member(is, &lowest->id) < 0;
	}
	int64_t now = copies_wall(cc);
	if (minor && !cc->minor_since_ms)
		cc->minor_since_ms = now;
	if (minor)
		return;
	if (was && cc->minor_since_ms && now - cc->minor_since_ms > cc->conf.tombstone_keep_ms)
		forget_all(cc);
	cc->minor_since_ms = 0;
}

/* ---- views ---- */

static bool take_members(struct cache_copies *cc, const struct cache_view *is)
{
	uint16_t *of = malloc((is->n + 1) * sizeof(*of));
	if (!of)
		return false;
	for (size_t i = 0; i < cc->nothers; i++)
		if (cc->others[i])
			cc->others[i]->member = false;
	for (size_t m = 0; m < is->n; m++) {
		struct copies_peer *p = copies_find(cc, &is->members[m].id);
		of[m] = COPIES_NOBODY;
		if (m == is->self || (!p && !(p = new_peer(cc, &is->members[m].id))))
			continue;
		p->member = true;
		for (size_t i = 0; i < cc->nothers; i++)
			if (cc->others[i] == p)
				of[m] = (uint16_t)i;
	}
	free(cc->of_member);
	cc->of_member = of;
	return true;
}

static void drop_strangers(struct cache_copies *cc)
{
	int64_t now = copies_now(cc);
	for (size_t i = 0; i < cc->nothers; i++) {
		struct copies_peer *p = cc->others[i];
		if (!p || p->member || now - p->heard_ns < STRANGER_NS)
			continue;
		bool expected = false;
		for (unsigned s = 0; cc->nexpected && s < SD_SLOTS; s++)
			expected |= cc->slots[s].held == COPIES_EXPECTED && cc->slots[s].from == i;
		if (!expected)
			free_peer(cc, i);
	}
}

static void follow_gossip(struct cache_copies *cc, const struct cache_view *was, const struct cache_view *is)
{
	note_members(cc, is);
	note_absence(cc, was, is);
	for (size_t i = 0; i < cc->nothers; i++)
		if (cc->others[i]) {
			copies_clear(&cc->others[i]->has);
			copies_clear(&cc->others[i]->offer);
		}
	copies_settle(cc, was, is);
	if (is->self >= is->n && was)
		copies_go(cc, was);
}

static void view_changed(void *arg, const struct cache_view *was, const struct cache_view *is)
{
	struct cache_copies *cc = arg;
	bool same = was && was->digest == is->digest && cc->view;
	if (same) {
		cc->view = is;
		return;
	}
	if (cc->view)
		copies_flush(cc, true); /* to those who owned it when it was written */
	cc->view = is;
	if (!take_members(cc, is))
		return;
	copies_clear(&cc->drop);
	if (cc->agreed)
		copies_term_view(cc, was, is);
	else
		follow_gossip(cc, was, is);
	for (size_t i = 0; i < cc->nothers; i++) {
		struct copies_peer *p = cc->others[i];
		if (p && p->member && !p->up)
			up(cc, p);
		else if (p && p->member && !cc->agreed)
			copies_claim(cc, p);
		if (p)
			p->compare_ns = copies_now(cc);
	}
	cc->swept_ns = 0;
	copies_release(cc);
	copies_wake(cc, 0);
}

static void on_link(void *arg, const struct sd_swim_id *id, bool is_up)
{
	struct cache_copies *cc = arg;
	struct copies_peer *p = copies_find(cc, id);
	if (!p)
		return;
	if (!is_up && p->up)
		down(cc, p);
	else if (is_up && !p->up && p->member)
		up(cc, p);
}

static void on_drained(void *arg, const struct sd_swim_id *id)
{
	(void)id;
	copies_wake(arg, 0);
}

/* ---- messages ---- */

/* Its term; in the same one as before it only dialled again. */
static void hear_term(struct cache_copies *cc, struct copies_peer *p, struct sd_slice body)
{
	uint64_t quorum;
	copies_get(&body, 8, &p->their_term);
	copies_get(&body, 1, &quorum);
	p->quorum = (unsigned)quorum;
	if (p->member && !p->up)
		up(cc, p);
	copies_term_step(cc, p);
	copies_wake(cc, 0);
}

static void on_hello(struct cache_copies *cc, struct copies_peer *p, struct sd_slice body)
{
	uint64_t version;
	copies_get(&body, 1, &version);
	copies_get(&body, 8, &p->theirs);
	if (cc->agreed != (version == COPIES_VERSION_TERM))
		return; /* it was started with a write quorum and this one not, or the other way round */
	p->heard_hello = true;
	p->failed = false;
	p->applied = 0;
	/* it may have missed what was offered or said before it knew us */
	copies_offer_again(cc, p);
	if (cc->agreed) {
		hear_term(cc, p, body);
		return;
	}
	if (!p->member)
		return;
	if (p->up)
		copies_claim(cc, p);
	else
		up(cc, p);
	p->compare_ns = copies_now(cc);
	copies_wake(cc, 0);
}

static void on_bye(struct cache_copies *cc, struct copies_peer *p, struct sd_slice body)
{
	(void)cc;
	(void)body;
	p->bye = true;
}

/* With a write quorum nothing of another term is looked at: who knows a term answers nobody of an earlier one. */
static bool is_in_term(const struct cache_copies *cc, const struct copies_peer *p, unsigned kind)
{
	if (!cc->agreed)
		return kind < COPIES_CHECK;
	bool gossips = kind == COPIES_SUMMARY || kind == COPIES_DIGESTS || kind == COPIES_CLAIM || kind == COPIES_HANDOVER;
	return !gossips && ((p->member && p->their_term == cc->term) || cc->conf.any_term);
}

static void on_message(void *arg, const struct sd_swim_id *from, unsigned kind, struct sd_slice body)
{
	static void (*const handlers[])(struct cache_copies *, struct copies_peer *, struct sd_slice) = {
	    [COPIES_HELLO - CACHE_DATA_KIND] = on_hello,
	    [COPIES_CHANGES - CACHE_DATA_KIND] = copies_on_changes,
	    [COPIES_ACK - CACHE_DATA_KIND] = copies_on_ack,
	    [COPIES_SUMMARY - CACHE_DATA_KIND] = copies_on_summary,
	    [COPIES_DIGESTS - CACHE_DATA_KIND] = copies_on_digests,
	    [COPIES_ASK - CACHE_DATA_KIND] = copies_on_ask,
	    [COPIES_OFFER - CACHE_DATA_KIND] = copies_on_offer,
	    [COPIES_WANT - CACHE_DATA_KIND] = copies_on_want,
	    [COPIES_END - CACHE_DATA_KIND] = copies_on_end,
	    [COPIES_ENDED - CACHE_DATA_KIND] = copies_on_ended,
	    [COPIES_CLAIM - CACHE_DATA_KIND] = copies_on_claim,
	    [COPIES_HANDOVER - CACHE_DATA_KIND] = copies_on_handover,
	    [COPIES_BYE - CACHE_DATA_KIND] = on_bye,
	    [COPIES_CHECK - CACHE_DATA_KIND] = copies_on_check,
	    [COPIES_CHECKED - CACHE_DATA_KIND] = copies_on_checked,
	    [COPIES_ACTIVE - CACHE_DATA_KIND] = copies_on_active,
	    [COPIES_READY - CACHE_DATA_KIND] = copies_on_ready,
	};
	struct cache_copies *cc = arg;
	struct copies_peer *p = copies_find(cc, from);
	if (!cc->view || !copies_is_message(kind, body)) {
		cc->stats.bad += cc->view != NULL;
		return;
	}
	if (!p && kind == COPIES_HELLO && cc->nothers < cc->view->n + STRANGERS)
		p = new_peer(cc, from);
	if (!p || (!p->heard_hello && kind != COPIES_HELLO))
		return;
	if (kind != COPIES_HELLO && !is_in_term(cc, p, kind))
		return;
	p->heard_ns = copies_now(cc);
	handlers[kind - CACHE_DATA_KIND](cc, p, body);
}

/* ---- time ---- */

static bool is_busy(const struct copies_peer *p)
{
	return p->member && (p->offer.n || p->phase != COPIES_NO_OFFER);
}

bool cache_copies_quiet(const struct cache_copies *cc)
{
	bool busy = cc->nexpected || cc->drop.n || !sd_list_empty(&cc->pending_order) || (cc->agreed && cc->term && cc->ready != CACHE_WHOLE);
	for (size_t i = 0; i < cc->nothers; i++)
		busy |= cc->others[i] && is_busy(cc->others[i]);
	return !busy;
}

/* True: there is more to do for it at once. */
static bool tick_peer(struct cache_copies *cc, struct copies_peer *p, int64_t now)
{
	if (!p->member)
		return false;
	if (!p->up && now >= p->retry_ns)
		up(cc, p);
	if (!p->up) {
		copies_wake(cc, p->retry_ns);
		return false;
	}
	if (now >= p->claim_ns)
		copies_claim(cc, p);
	if (p->phase >= COPIES_ANSWERS && now - p->progress_ns > ANSWER_NS)
		copies_offer_again(cc, p);
	copies_term_check(cc, p);
	bool more = copies_offer_more(cc, p);
	if (cc->agreed) {
		if (now >= p->compare_ns && !is_busy(p)) {
			p->compare_ns = now + cc->conf.compare_ms * 1000000;
			copies_term_compare(cc, p);
		}
		return more;
	}
	if (now >= p->compare_ns && !is_busy(p) && memcmp(&cc->self, &p->id, sizeof(p->id)) < 0) {
		p->compare_ns = now + AGAIN_NS; /* unless it is answered */
		copies_compare(cc, p);
	}
	return more;
}

/* Ports of the members, as people know them. */
static void say_complete(struct cache_copies *cc)
{
	struct sd_text t = {0};
	if (!cc->redistributing || !cache_copies_quiet(cc))
		return;
	cc->redistributing = false;
	sd_text_add(&t, "Redistribution complete, ring: [", 32);
	for (size_t i = 0; i < cc->view->n; i++)
		sd_text_format(&t, "%s%u", i ? ", " : "", cc->view->members[i].client.port);
	sd_text_add(&t, "]", 1);
	if (!t.full)
		cc->peers.say(cc->peers.arg, "redistributed", t.p);
	free(t.p);
}

/* Stopped for so long that the others may have forgotten what was deleted. */
static void note_pause(struct cache_copies *cc)
{
	int64_t now = copies_wall(cc);
	if (cc->ticked_ms && now - cc->ticked_ms > cc->conf.tombstone_keep_ms && cc->view && cc->view->n > 1)
		forget_all(cc);
	cc->ticked_ms = now;
}

static void tick_leaving(struct cache_copies *cc, int64_t now)
{
	void (*done)(void *) = cc->left;
	bool alone = cc->peers.all_leave && cc->peers.all_leave(cc->peers.arg);
	/* With a quorum what only this node knows would be waited for, for good: it goes when the others let it. */
	bool out = cc->agreed ? alone || copies_term_lets_go(cc) : cache_copies_quiet(cc) || now - cc->leaving_ns >= LEAVE_NS;
	if (!done || !out)
		return;
	cc->left = NULL;
	done(cc->left_arg);
}

static void tick(void *arg)
{
	struct cache_copies *cc = arg;
	int64_t now = copies_now(cc);
	bool more = false;
	cc->wake_ns = INT64_MAX;
	if (!cc->view)
		return;
	note_pause(cc);
	cc->cache->now_ms = copies_wall(cc);
	copies_flush(cc, false);
	if (cc->agreed)
		copies_term_tick(cc);
	else if (cc->nexpected)
		copies_resolve(cc);
	if (now >= cc->swept_ns) {
		cc->swept_ns = now + COPIES_IDLE_NS;
		copies_sweep(cc);
		copies_end_tombstones(cc, copies_wall(cc));
		drop_strangers(cc);
	}
	for (size_t i = 0; i < cc->nothers; i++)
		if (cc->others[i])
			more |= tick_peer(cc, cc->others[i], now);
	more |= copies_drop_more(cc);
	say_complete(cc);
	tick_leaving(cc, now);
	int64_t next = now + (more ? 0 : cache_copies_quiet(cc) ? COPIES_IDLE_NS : COPIES_TICK_NS), waits = copies_release(cc);
	copies_wake(cc, waits < next ? waits : next);
}

static void leave(void *arg, void (*done)(void *), void *done_arg)
{
	struct cache_copies *cc = arg;
	if (!cc->view || cc->view->n < 2) {
		done(done_arg);
		return;
	}
	copies_flush(cc, true);
	cc->leaving = true;
	cc->left = done;
	cc->left_arg = done_arg;
	cc->leaving_ns = copies_now(cc);
	copies_wake(cc, 0);
	if (cc->agreed) { /* the others give its slots to somebody else, by themselves */
		if (cc->peers.leaving)
			cc->peers.leaving(cc->peers.arg);
		return;
	}
	for (size_t i = 0; i < cc->nothers; i++) /* before the offers: who has those knows that we leave */
		if (cc->others[i])
			copies_send(cc, cc->others[i], COPIES_BYE, &(struct sd_text){0});
	for (unsigned s = 0; s < SD_SLOTS; s++) {
		struct copies_peer *to[SD_SLOTS_COPIES];
		size_t n = copies_owners(cc, s, to);
		if (n == 0 && (to[0] = copies_next_owner(cc, s)))
			n = 1;
		for (size_t i = 0; cc->slots[s].held == COPIES_HELD && i < n; i++)
			copies_offer(cc, to[i], s);
	}
	copies_wake(cc, 0);
}

/* ---- life ---- */

static bool is_ours(void *arg, struct sd_slice key)
{
	return cache_copies_holds(arg, sd_slot_of(key));
}

static size_t ours(void *arg)
{
	const struct cache_copies *cc = arg;
	size_t n = 0;
	for (unsigned s = 0; s < SD_SLOTS; s++)
		n += cc->slots[s].held == COPIES_HELD ? cc->slots[s].items : 0;
	return n;
}

static void turn(void *arg)
{
	cache_copies_turn(arg);
}

enum cache_readiness cache_copies_readiness(const struct cache_copies *cc)
{
	return cc->agreed ? copies_readiness(cc) : CACHE_NOT_READY;
}

static enum cache_readiness readiness(void *arg)
{
	return cache_copies_readiness(arg);
}

static unsigned waiting(void *arg)
{
	return cache_copies_stuck(arg);
}

static unsigned moving(void *arg)
{
	const struct cache_copies *cc = arg;
	unsigned n = 0;
	for (unsigned s = 0; s < SD_SLOTS; s++)
		n += cc->slots[s].held == COPIES_EXPECTED || (cc->slots[s].held == COPIES_HELD && copies_first(cc, s));
	return n;
}

static void forget(void *arg, const struct sd_swim_id *id)
{
	cache_copies_forget(arg, id);
}

static void set_hooks(struct cache_copies *cc)
{
	cc->data = (struct cache_data){.arg = cc, .view_changed = view_changed, .serving = copies_serving, .message = on_message,
				       .link = on_link, .drained = on_drained, .tick = tick, .leave = leave,
				       .readiness = readiness, .waiting = waiting, .moving = moving, .forget = forget};
	cc->follower = (struct cache_follower){.arg = cc, .changed = copies_key_changed, .gone = copies_key_gone,
					       .flushed = copies_flushed, .called = copies_called, .refuses = refuses,
					       .session_ends = copies_session_ends, .wait = copies_wait, .turn = turn,
					       .is_ours = is_ours, .ours = ours, .ran = cc->agreed ? copies_ran : NULL,
					       .holds = cc->conf.quorum > 1};
}

struct cache_copies *cache_copies_new(struct cache *c, const struct cache_copies_conf *conf, const struct cache_peers *peers,
				      const struct sd_swim_id *self, uint64_t seed)
{
	struct cache_copies *cc = calloc(1, sizeof(*cc));
	if (!cc)
		return NULL;
	*cc = (struct cache_copies){.cache = c, .conf = *conf, .peers = *peers, .self = *self, .turn = 1, .settled = !conf->joins,
				    .wake_ns = INT64_MAX, .agreed = conf->quorum > 1};
	if (cc->agreed && !copies_term_begin(cc)) {
		copies_term_end(cc);
		free(cc);
		return NULL;
	}
	set_hooks(cc);
	sd_rng_seed(&cc->rng, seed);
	sd_hlc_init(&cc->clock, self, sizeof(*self));
	sd_dict_init(&cc->tombstones, offsetof(struct copies_tombstone, key), &c->hash_key);
	sd_dict_init(&cc->pending, offsetof(struct copies_pending, key), &c->hash_key);
	sd_dict_init(&cc->large, offsetof(struct copies_large, key), &c->hash_key);
	sd_list_init(&cc->pending_order);
	sd_list_init(&cc->large_order);
	sd_list_init(&cc->awaiting);
	sd_wheel_init(&cc->tombstone_ends, copies_wall(cc));
	for (unsigned s = 0; s < SD_SLOTS; s++)
		cc->slots[s].from = COPIES_NOBODY;
	cache_follow(c, &cc->follower);
	return cc;
}

void cache_copies_free(struct cache_copies *cc)
{
	struct sd_dict_entry *e;
	if (!cc)
		return;
	cache_follow(cc->cache, NULL);
	copies_send_end(cc);
	while ((e = sd_dict_random(&cc->tombstones, &cc->rng)))
		copies_free_tombstone(cc, (struct copies_tombstone *)e);
	sd_dict_free(&cc->tombstones);
	for (size_t i = 0; i < cc->nothers; i++)
		if (cc->others[i])
			free_peer(cc, i);
	free(cc->others);
	free(cc->of_member);
	free(cc->known);
	copies_term_end(cc);
	free(cc);
}

const struct cache_data *cache_copies_data(struct cache_copies *cc)
{
	return &cc->data;
}

void cache_copies_turn(struct cache_copies *cc)
{
	if (!sd_list_empty(&cc->pending_order) || cc->poked)
		copies_flush(cc, cc->conf.quorum > 1);
}

unsigned cache_copies_stuck(const struct cache_copies *cc)
{
	return cc->stuck;
}

const struct cache_copies_stats *cache_copies_stats(const struct cache_copies *cc)
{
	return &cc->stats;
}

bool cache_copies_holds(const struct cache_copies *cc, unsigned slot)
{
	return cc->slots[slot].held == COPIES_HELD;
}

uint32_t cache_copies_count(const struct cache_copies *cc, unsigned slot)
{
	return cc->slots[slot].count;
}

uint64_t cache_copies_digest(const struct cache_copies *cc, unsigned slot)
{
	return cc->slots[slot].digest;
}
