/* cache_copies_term.c - with a write quorum: which node answers for a slot, and what it must know before, so that every command with
 * keys of one slot is linearizable whatever the clocks, the network and the nodes do.
 *
 * Views are agreed (cache_agreed.h); the number of one is a term. A slot has N owners in a term, and one of them, the first, may hold
 * it. W is the write quorum, or N where that is less, which only reads may do with.
 *
 *	1 A stream carries the term of its sender (HELLO). What comes on it is looked at only while the receiver is of the same one:
 *	  who knows a term acknowledges nothing of an earlier one any more. So asking it for what it has fences all that were before.
 *	2 A reply is held until W owners (this one included) acknowledged, in this term, a turn that was begun behind the command: an
 *	  empty one when nothing changed. So at that moment nobody else had become the holder; and what the command saw is on W
 *	  nodes, because an owner that is not known to have all of the slot is sent the keys of each command in the same turn.
 *	3 A node that was no holder in the term before holds a slot once it has all that N - W + 1 owners have, of each term back to
 *	  the last one in which the slot was ACTIVE: W owners had all of it. Any N - W + 1 of N have one in common with any W.
 *	4 A stamp is the term and a count: whatever was written later wins over what an earlier term left behind unacknowledged.
 *	5 What others have beyond that was acknowledged by nobody, or deleted long ago: the holder has them drop it. Only what came from
 *	  a file, or from a cluster that was given up, is taken, where the holder knows nothing of the key.
 *
 *	CHECK, of the digests of slots, finds out quickly that two have the same; what differs is offered as always.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cache_copies_int.h"

#define AGAIN_NS 2000000000 /* for the answer to a CHECK */
#define STUCK_NS 5000000000 /* a slot that waits so long for owners that are gone holds nobody else up */
#define LINGER_NS 3000000000 /* of one that is no member any more: so long the others may take it in again, if they need what it has */

static bool is_first(const struct cache_copies *cc, unsigned slot)
{
	const struct cache_view *v = cc->view;
	return v->self < v->n && sd_slots_owner(&v->slots, slot) == v->self;
}

static unsigned quorum_of(const struct cache_copies *cc, size_t owners)
{
	return cc->conf.quorum < owners ? cc->conf.quorum : (unsigned)owners;
}

/* ---- terms that were ---- */

static void free_past(struct copies_past *p)
{
	free(p->ids);
	free(p->owners);
}

static void forget_past(struct cache_copies *cc)
{
	while (cc->npast)
		free_past(&cc->past[--cc->npast]);
}

static void remember(struct cache_copies *cc, const struct cache_view *v)
{
	size_t bytes = SD_SLOTS * v->slots.copies * sizeof(uint16_t);
	struct copies_past p = {.epoch = v->epoch, .n = v->n, .copies = v->slots.copies, .ids = malloc((v->n + 1) * sizeof(*p.ids)),
				.owners = malloc(bytes)};
	if (!p.ids || !p.owners) { /* what follows is not known to be all: nothing is held by it */
		free_past(&p);
		forget_past(cc);
		return;
	}
	for (size_t i = 0; i < v->n; i++)
		p.ids[i] = v->members[i].id;
	memcpy(p.owners, v->slots.owners, bytes);
	if (cc->npast == COPIES_PAST) {
		free_past(&cc->past[0]);
		memmove(cc->past, cc->past + 1, --cc->npast * sizeof(p));
	}
	cc->past[cc->npast++] = p;
}

void copies_term_end(struct cache_copies *cc)
{
	forget_past(cc);
	free(cc->active);
	free(cc->since);
	free(cc->gone);
}

bool copies_term_begin(struct cache_copies *cc)
{
	cc->active = calloc(SD_SLOTS, sizeof(*cc->active));
	cc->since = calloc(SD_SLOTS, sizeof(*cc->since));
	return cc->active && cc->since;
}

void cache_copies_forget(struct cache_copies *cc, const struct sd_swim_id *id)
{
	struct sd_swim_id *more = realloc(cc->gone, (cc->ngone + 1) * sizeof(*more));
	if (!more)
		return;
	cc->gone = more;
	cc->gone[cc->ngone++] = *id;
	cc->news = true;
	copies_wake(cc, 0);
}

static bool is_gone(const struct cache_copies *cc, const struct sd_swim_id *id)
{
	for (size_t i = 0; i < cc->ngone; i++)
		if (memcmp(&cc->gone[i], id, sizeof(*id)) == 0)
			return true;
	return false;
}

/* ---- messages ---- */

static void send_set(struct cache_copies *cc, struct copies_peer *p, unsigned kind, uint64_t v, size_t bytes, const struct copies_set *set)
{
	struct sd_text t = {0};
	copies_put(&t, v, bytes);
	copies_put_set(&t, set);
	copies_send(cc, p, kind, &t);
	free(t.p);
}

/* What is known of slots that are asked for: since which term each is active. */
static void tell_active(struct cache_copies *cc, struct copies_peer *p, const struct copies_set *of)
{
	struct copies_set *rest = malloc(2 * sizeof(*rest));
	if (!rest)
		return;
	struct copies_set *same = rest + 1;
	*rest = *of;
	for (unsigned s = 0; rest->n && s < SD_SLOTS; s++) {
		uint64_t epoch = cc->active[s];
		if (!copies_in(rest, s))
			continue;
		copies_clear(same);
		for (unsigned k = s; k < SD_SLOTS; k++)
			if (copies_in(rest, k) && cc->active[k] == epoch) {
				copies_remove(rest, k);
				copies_add(same, k);
			}
		if (epoch)
			send_set(cc, p, COPIES_ACTIVE, epoch, 8, same);
	}
	free(rest);
}

static void tell_ready(struct cache_copies *cc, struct copies_peer *p);

static void send_digests(struct cache_copies *cc, struct copies_peer *p, unsigned asks, const struct copies_set *set)
{
	struct sd_text t = {0};
	copies_flush(cc, true); /* what changed is there before what is said of it */
	p->check_number[asks] = ++cc->checks << 1 | asks;
	copies_put(&t, p->check_number[asks], 4);
	for (unsigned s = 0; s < SD_SLOTS; s++) {
		if (!copies_in(set, s))
			continue;
		copies_put(&t, s, 2);
		copies_put(&t, cc->slots[s].count, 4);
		copies_put(&t, cc->slots[s].digest, 8);
	}
	p->check_ns = copies_now(cc);
	copies_send(cc, p, COPIES_CHECK, &t);
	free(t.p);
}

static void put_back(struct copies_set *to, struct copies_set *from)
{
	for (unsigned s = 0; from->n && s < SD_SLOTS; s++)
		if (copies_in(from, s))
			copies_add(to, s);
	copies_clear(from);
}

/* Both, one at a time of each kind. */
void copies_term_check(struct cache_copies *cc, struct copies_peer *p)
{
	if (!p->step)
		return;
	if (copies_now(cc) - p->check_ns > AGAIN_NS) { /* the answer got lost */
		put_back(&p->check, &p->checking);
		put_back(&p->ask, &p->asking);
	}
	if (p->check.n && !p->checking.n) {
		p->checking = p->check;
		copies_clear(&p->check);
		send_digests(cc, p, 0, &p->checking);
	}
	if (p->step && p->ask.n && !p->asking.n) {
		p->asking = p->ask;
		copies_clear(&p->ask);
		send_digests(cc, p, 1, &p->asking);
	}
}

void copies_on_check(struct cache_copies *cc, struct copies_peer *p, struct sd_slice body)
{
	struct copies_set *sets = calloc(2, sizeof(*sets));
	uint64_t number, slot, count, digest;
	copies_get(&body, 4, &number);
	bool asks = number & 1;
	while (sets && copies_get(&body, 2, &slot) && copies_get(&body, 4, &count) && copies_get(&body, 8, &digest)) {
		const struct copies_slot *s = &cc->slots[slot];
		copies_add(&sets[1], (unsigned)slot);
		if (s->count == count && s->digest == digest)
			continue;
		copies_add(&sets[0], (unsigned)slot);
		if (asks)
			copies_offer(cc, p, (unsigned)slot);
	}
	if (sets && asks)
		tell_active(cc, p, &sets[1]);
	if (sets)
		send_set(cc, p, COPIES_CHECKED, number, 4, &sets[0]);
	free(sets);
}

static void take_checked(struct cache_copies *cc, struct copies_peer *p, const struct copies_set *differ)
{
	for (unsigned s = 0; p->checking.n && s < SD_SLOTS; s++) {
		if (!copies_in(&p->checking, s))
			continue;
		if (!copies_in(differ, s))
			copies_add(&p->has, s);
		else
			copies_offer(cc, p, s);
	}
	cc->stats.differed += differ->n;
	copies_clear(&p->checking);
	if (differ->n)
		send_set(cc, p, COPIES_ASK, 1, 1, differ);
}

void copies_on_checked(struct cache_copies *cc, struct copies_peer *p, struct sd_slice body)
{
	struct copies_set differ;
	uint64_t number;
	copies_get(&body, 4, &number);
	copies_get_set(body, &differ);
	if (number != p->check_number[number & 1])
		return;
	p->check_number[number & 1] = 0;
	if (number & 1) {
		for (unsigned s = 0; p->asking.n && s < SD_SLOTS; s++)
			if (copies_in(&p->asking, s) && !copies_in(&differ, s))
				copies_add(&p->told, s);
		copies_clear(&p->asking);
		cc->news = true;
	} else {
		take_checked(cc, p, &differ);
	}
	copies_wake(cc, copies_release(cc));
	copies_wake(cc, 0);
}

void copies_on_active(struct cache_copies *cc, struct copies_peer *p, struct sd_slice body)
{
	struct copies_set set;
	uint64_t epoch;
	(void)p;
	copies_get(&body, 8, &epoch);
	copies_get_set(body, &set);
	for (unsigned s = 0; s < SD_SLOTS; s++)
		if (copies_in(&set, s) && epoch > cc->active[s])
			cc->active[s] = epoch;
	cc->news = true;
	copies_wake(cc, 0);
}

void copies_on_ready(struct cache_copies *cc, struct copies_peer *p, struct sd_slice body)
{
	uint64_t ready;
	copies_get(&body, 8, &p->ready_term);
	copies_get(&body, 1, &ready);
	p->ready = ready >= CACHE_WHOLE ? CACHE_WHOLE : (enum cache_readiness)ready;
	(void)cc;
}

/* ---- streams ---- */

void copies_term_hello(struct cache_copies *cc, struct copies_peer *p)
{
	struct sd_text t = {0};
	p->step = false;
	p->stream = sd_rng_next(&cc->rng);
	p->sent = p->acked = p->unsure = cc->turn - 1;
	p->poke = false;
	copies_put(&t, COPIES_VERSION_TERM, 1);
	copies_put(&t, p->stream, 8);
	copies_put(&t, cc->term, 8);
	copies_put(&t, cc->conf.quorum, 1);
	copies_send(cc, p, COPIES_HELLO, &t);
	free(t.p);
	copies_term_step(cc, p);
}

/* Both know the same term: what is sent is looked at. */
void copies_term_step(struct cache_copies *cc, struct copies_peer *p)
{
	bool may = p->up && p->member && p->heard_hello && cc->term && (p->their_term == cc->term || cc->conf.any_term) &&
		   p->quorum == cc->conf.quorum;
	struct copies_set *facts = may && !p->step ? calloc(1, sizeof(*facts)) : NULL;
	if (!facts)
		return;
	int member = copies_member(cc->view, &p->id);
	p->step = true;
	p->sent = p->acked = p->unsure = cc->turn - 1;
	copies_clear(&p->checking);
	copies_clear(&p->asking);
	for (unsigned s = 0; s < SD_SLOTS; s++) {
		if (cc->slots[s].held == COPIES_EXPECTED && !copies_in(&p->told, s))
			copies_add(&p->ask, s);
		if (cc->slots[s].held != COPIES_HELD)
			continue;
		if (cc->active[s] == cc->term)
			copies_add(facts, s);
		if (cache_view_rank(cc->view, s, (size_t)member) >= 0)
			copies_add(&p->check, s);
	}
	if (facts->n)
		send_set(cc, p, COPIES_ACTIVE, cc->term, 8, facts);
	if (cc->ready)
		tell_ready(cc, p);
	free(facts);
	copies_wake(cc, 0);
}

void copies_term_down(struct copies_peer *p)
{
	p->step = false;
	p->check_number[0] = p->check_number[1] = 0;
	copies_clear(&p->check);
	copies_clear(&p->checking);
	copies_clear(&p->ask);
	copies_clear(&p->asking);
}

/* ---- a new term ---- */

static void take_slot(struct cache_copies *cc, unsigned slot, bool stays, struct copies_set *lost)
{
	bool held = cc->slots[slot].held == COPIES_HELD;
	if (cc->term && is_first(cc, slot)) {
		if (held && stays)
			return;
		copies_hold(cc, slot, cc->term == 1 ? COPIES_HELD : COPIES_EXPECTED, COPIES_NOBODY);
		cc->since[slot] = cc->term;
		if (held)
			copies_add(lost, slot);
		return;
	}
	copies_hold(cc, slot, COPIES_FREE, COPIES_NOBODY);
	if (held)
		copies_add(lost, slot);
}

/* Slots with an owner that was none: how many keys there are for it. */
static void say_moves(struct cache_copies *cc, const struct cache_view *was)
{
	char text[64];
	uint32_t keys = 0;
	for (unsigned s = 0; s < SD_SLOTS; s++) {
		struct copies_peer *to[SD_SLOTS_COPIES];
		size_t n = cc->slots[s].held == COPIES_HELD ? copies_owners(cc, s, to) : 0;
		bool fresh = false;
		for (size_t i = 0; i < n; i++)
			fresh |= !copies_owned(was, s, &to[i]->id);
		keys += fresh ? cc->slots[s].count : 0;
	}
	if (!keys)
		return;
	cc->redistributing = true;
	snprintf(text, sizeof(text), "Redistributing %u keys...", keys);
	cc->peers.say(cc->peers.arg, "redistributing", text);
}

/* Dropped by the others: let go, or since they did not hear of it. */
static void note_out(struct cache_copies *cc, const struct cache_view *was, const struct cache_view *is)
{
	bool here = is->self < is->n, was_here = was && was->self < was->n;
	if (here)
		cc->out_since_ns = 0;
	if (here || !was_here)
		return;
	cc->out_since_ns = copies_now(cc);
	cc->out_whole = was->members[was->self].retired && copies_readiness(cc) == CACHE_WHOLE;
}

bool copies_term_lets_go(const struct cache_copies *cc)
{
	int64_t since = cc->leaving_ns > cc->out_since_ns ? cc->leaving_ns : cc->out_since_ns;
	return cc->out_since_ns && (cc->out_whole || copies_now(cc) - since >= LINGER_NS);
}

void copies_term_view(struct cache_copies *cc, const struct cache_view *was, const struct cache_view *is)
{
	bool next = was && (is->epoch == was->epoch + 1 || cc->conf.any_term);
	struct copies_set *lost = calloc(1, sizeof(*lost));
	note_out(cc, was, is);
	cc->term = is->epoch;
	cc->ready = CACHE_NOT_READY;
	cc->news = true;
	if (!next)
		forget_past(cc);
	if (!is->epoch) {
		copies_restamp_all(cc);
		memset(cc->active, 0, SD_SLOTS * sizeof(*cc->active));
	} else {
		remember(cc, is);
	}
	for (size_t i = 0; i < cc->nothers; i++) {
		struct copies_peer *p = cc->others[i];
		if (!p)
			continue;
		copies_term_down(p);
		copies_clear(&p->has);
		copies_clear(&p->told);
		copies_clear(&p->offer);
		copies_offer_end(cc, p);
		p->batch.n = 0;
		p->unsure = cc->turn - 1;
	}
	for (unsigned s = 0; lost && s < SD_SLOTS; s++)
		take_slot(cc, s, next, lost);
	if (lost && lost->n)
		copies_unblock(cc, lost);
	free(lost);
	if (was && next)
		say_moves(cc, was);
	bool anew = !cc->conf.any_term || !was || !was->epoch; /* else streams go on, whatever the term */
	for (size_t i = 0; i < cc->nothers; i++) {
		if (anew && cc->others[i] && cc->others[i]->member && cc->others[i]->up)
			copies_term_hello(cc, cc->others[i]);
		else if (!anew && cc->others[i])
			copies_term_step(cc, cc->others[i]);
	}
}

/* ---- becoming the holder ---- */

/* Of one term: are enough of the slot's owners heard? who: what is known of its members. */
static bool heard_of(const struct cache_copies *cc, const struct copies_past *c, unsigned slot, struct copies_peer *const *who,
		     const uint8_t *is)
{
	unsigned n = 0, heard = 0, gone = 0;
	for (unsigned k = 0; k < c->copies; k++) {
		uint16_t m = c->owners[slot * c->copies + k];
		if (m == SD_SLOTS_NONE)
			continue;
		n++;
		if (is[m] == COPIES_IS_SELF || (who[m] && copies_in(&who[m]->told, slot)))
			heard++;
		else
			gone += is[m] == COPIES_IS_GONE;
	}
	unsigned need = n - quorum_of(cc, n) + 1;
	if (need > n - gone)
		need = n - gone;
	return heard >= need;
}

/* Members of all terms there were, by place: others that are known, this one, and those that somebody said are gone for good. */
struct roll {
	struct copies_peer **who;
	uint8_t *is;
};

static void call_roll(const struct cache_copies *cc, const struct copies_past *c, struct roll *r)
{
	r->who = calloc(c->n + 1, sizeof(struct copies_peer *));
	r->is = calloc(c->n + 1, 1);
	for (size_t i = 0; r->who && r->is && i < c->n; i++) {
		bool self = memcmp(&c->ids[i], &cc->self, sizeof(cc->self)) == 0;
		r->who[i] = copies_find(cc, &c->ids[i]);
		r->is[i] = self ? COPIES_IS_SELF : is_gone(cc, &c->ids[i]) ? COPIES_IS_GONE : 0;
	}
}

static bool has_heard(const struct cache_copies *cc, unsigned slot, const struct roll *rolls)
{
	uint64_t active = cc->active[slot] ? cc->active[slot] : 1;
	if (cc->conf.sync_alone)
		return true;
	if (!cc->npast || cc->past[0].epoch > active)
		return false;
	for (size_t i = 0; i + 1 < cc->npast; i++) {
		if (cc->past[i].epoch < active)
			continue;
		if (!rolls[i].who || !rolls[i].is || !heard_of(cc, &cc->past[i], slot, rolls[i].who, rolls[i].is))
			return false;
	}
	return true;
}

static void hold(struct cache_copies *cc, unsigned slot)
{
	struct copies_peer *to[SD_SLOTS_COPIES];
	copies_hold(cc, slot, COPIES_HELD, COPIES_NOBODY);
	size_t n = copies_owners(cc, slot, to);
	for (size_t i = 0; i < n; i++) {
		copies_add(&to[i]->check, slot);
	}
}

static void resolve(struct cache_copies *cc)
{
	struct roll *rolls = calloc(cc->npast + 1, sizeof(*rolls));
	unsigned stuck = 0;
	int64_t now = copies_now(cc);
	for (size_t i = 0; rolls && i < cc->npast; i++)
		call_roll(cc, &cc->past[i], &rolls[i]);
	for (unsigned s = 0; rolls && s < SD_SLOTS; s++) {
		if (cc->slots[s].held != COPIES_EXPECTED)
			continue;
		if (has_heard(cc, s, rolls))
			hold(cc, s);
		else
			stuck += now - cc->slots[s].since_ns > STUCK_NS;
	}
	for (size_t i = 0; rolls && i < cc->npast; i++) {
		free(rolls[i].who);
		free(rolls[i].is);
	}
	free(rolls);
	if (stuck && !cc->stuck)
		cc->peers.say(cc->peers.arg, "slots_waiting", "Slots wait for nodes that have their last values: CLUSTER INFO says how many");
	cc->stuck = stuck;
}

/* ---- what this node holds, on W owners and on all ---- */

static void tell_ready(struct cache_copies *cc, struct copies_peer *p)
{
	struct sd_text t = {0};
	copies_put(&t, cc->term, 8);
	copies_put(&t, cc->ready, 1);
	copies_send(cc, p, COPIES_READY, &t);
	free(t.p);
}

/* One slot that this node is to hold: how far it is. fresh: it became active. */
static enum cache_readiness look_at(struct cache_copies *cc, unsigned slot, int64_t now, struct copies_set *fresh)
{
	struct copies_peer *to[SD_SLOTS_COPIES];
	unsigned have = 1;
	if (cc->slots[slot].held != COPIES_HELD)
		return now - cc->slots[slot].since_ns > STUCK_NS ? CACHE_READY : CACHE_NOT_READY;
	size_t n = copies_owners(cc, slot, to);
	for (size_t i = 0; i < n; i++)
		have += copies_in(&to[i]->has, slot);
	if (have >= quorum_of(cc, n + 1) && cc->active[slot] != cc->term) {
		cc->active[slot] = cc->term;
		copies_add(fresh, slot);
	}
	return have == n + 1 ? CACHE_WHOLE : CACHE_NOT_READY;
}

static void look_around(struct cache_copies *cc)
{
	struct copies_set *fresh = calloc(1, sizeof(*fresh));
	int64_t now = copies_now(cc);
	enum cache_readiness all = CACHE_WHOLE;
	if (!fresh || !cc->term) {
		free(fresh);
		return;
	}
	for (unsigned s = 0; s < SD_SLOTS; s++) {
		enum cache_readiness one = is_first(cc, s) ? look_at(cc, s, now, fresh) : CACHE_WHOLE;
		all = one < all ? one : all;
	}
	for (size_t i = 0; fresh->n && i < cc->nothers; i++)
		if (cc->others[i] && cc->others[i]->step)
			send_set(cc, cc->others[i], COPIES_ACTIVE, cc->term, 8, fresh);
	free(fresh);
	if (all <= cc->ready)
		return;
	cc->ready = all;
	for (size_t i = 0; i < cc->nothers; i++)
		if (cc->others[i] && cc->others[i]->step)
			tell_ready(cc, cc->others[i]);
}

void copies_term_tick(struct cache_copies *cc)
{
	bool due = copies_now(cc) >= cc->swept_ns;
	if (cc->nexpected && (cc->news || due))
		resolve(cc);
	cc->news = false;
	if (cc->ready != CACHE_WHOLE || due)
		look_around(cc);
}

/* A comparison of all that this node holds and the other one has too. */
void copies_term_compare(struct cache_copies *cc, struct copies_peer *p)
{
	int member = copies_member(cc->view, &p->id);
	for (unsigned s = 0; member >= 0 && s < SD_SLOTS; s++)
		if (cc->slots[s].held == COPIES_HELD && cache_view_rank(cc->view, s, (size_t)member) >= 0)
			copies_add(&p->check, s);
	cc->stats.compared++;
}

enum cache_readiness copies_readiness(const struct cache_copies *cc)
{
	enum cache_readiness all = cc->term ? cc->ready : CACHE_NOT_READY;
	for (size_t i = 0; i < cc->nothers; i++) {
		const struct copies_peer *p = cc->others[i];
		if (!p || !p->member)
			continue;
		enum cache_readiness one = p->ready_term == cc->term ? p->ready : CACHE_NOT_READY;
		all = one < all ? one : all;
	}
	return all;
}

/* ---- commands ---- */

bool copies_term_is_clean(const struct cache_copies *cc, unsigned slot)
{
	struct copies_peer *to[SD_SLOTS_COPIES];
	size_t n = copies_owners(cc, slot, to);
	for (size_t i = 0; i < n; i++)
		if (!to[i]->step || !copies_in(&to[i]->has, slot))
			return false;
	return true;
}

bool copies_term_has(const struct cache_copies *cc, const struct copies_peer *p, unsigned slot, uint64_t turn)
{
	if (turn >= cc->turn || !p->step)
		return false;
	return turn > p->unsure ? p->acked >= turn : copies_in(&p->has, slot);
}

enum copies_fate copies_term_fate(const struct cache_copies *cc, const struct copies_mark *m, unsigned *have)
{
	*have = 0;
	for (unsigned i = 0; i < m->n; i++) {
		struct copies_peer *to[SD_SLOTS_COPIES];
		unsigned slot = m->slots[i], k = 1;
		if (cc->slots[slot].held != COPIES_HELD || cc->since[slot] > m->term)
			return COPIES_LOST;
		size_t n = copies_owners(cc, slot, to);
		for (size_t j = 0; j < n; j++)
			k += copies_term_has(cc, to[j], slot, m->turn);
		*have = i == 0 || k < *have ? k : *have;
		if (k < (m->wrote ? cc->conf.quorum : quorum_of(cc, n + 1)))
			return COPIES_HOPED;
	}
	return COPIES_DONE;
}

const char *copies_term_refuses(struct cache_copies *cc, bool write)
{
	size_t here = 1;
	int64_t now = copies_now(cc);
	if (!cc->term)
		return "CLUSTERDOWN The node waits to be taken into the cluster";
	for (size_t i = 0; i < cc->nothers; i++)
		here += cc->others[i] && cc->others[i]->member && cc->others[i]->step;
	if (here * 2 > cc->view->n)
		cc->minor_since_ns = 0;
	else if (!cc->minor_since_ns)
		cc->minor_since_ns = now;
	if (cc->minor_since_ns && now - cc->minor_since_ns > COPIES_PATIENCE)
		return "CLUSTERDOWN The cluster is down: this node sees less than half of it";
	return write && cc->view->n < cc->conf.quorum ? "NOREPLICAS Not enough good replicas to write." : NULL;
}

enum cache_serving copies_term_serving(const struct cache_copies *cc, const struct cache_asked *asked, struct sd_swim_id *other)
{
	const struct copies_slot *s = &cc->slots[asked->slot];
	if (s->held == COPIES_HELD)
		return CACHE_SERVE;
	if (asked->any_copy && !asked->write && copies_rank(cc, asked->slot) >= 0)
		return CACHE_SERVE;
	const struct copies_peer *p = cc->term && s->held == COPIES_FREE ? copies_first(cc, asked->slot) : NULL;
	if (!p)
		return CACHE_TRY_AGAIN;
	*other = p->id;
	return CACHE_ELSEWHERE;
}

/* ---- what comes from others ---- */

enum copies_takes copies_term_takes(const struct cache_copies *cc, const struct copies_peer *p, struct sd_slice key, uint64_t stamp)
{
	unsigned slot = sd_slot_of(key);
	if (copies_stamp_term(stamp) > cc->term)
		return COPIES_REFUSES;
	if (cc->slots[slot].held == COPIES_EXPECTED)
		return COPIES_TAKES;
	if (cc->slots[slot].held == COPIES_HELD)
		return copies_stamp_term(stamp) ? COPIES_OVERRULES : COPIES_MERGES;
	return copies_first(cc, slot) == p || cc->conf.any_term ? COPIES_TAKES : COPIES_REFUSES;
}

/* True: all that is others' was offered to who holds it, and enough have it. */
static bool is_given(struct cache_copies *cc, unsigned slot)
{
	struct copies_peer *p = copies_first(cc, slot);
	if (!p || !p->step)
		return false;
	if (copies_in(&p->has, slot))
		return cc->active[slot] >= cc->term;
	if (!copies_in(&p->offer, slot) && !copies_in(&p->offering, slot))
		copies_offer(cc, p, slot);
	return false;
}

bool copies_term_sweep(struct cache_copies *cc)
{
	bool dropping = false;
	for (unsigned s = 0; cc->term && s < SD_SLOTS; s++) {
		if (cc->slots[s].held == COPIES_HELD || !cc->slots[s].count || copies_rank(cc, s) >= 0 || !is_given(cc, s))
			continue;
		dropping |= !copies_in(&cc->drop, s);
		copies_add(&cc->drop, s);
	}
	return dropping;
}
