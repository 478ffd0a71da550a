/* cache_copies_send.c - what changed goes to the other owners, once a turn whatever number of times it changed, and they say up to
 * where they have it. */
#include <stdlib.h>
#include <string.h>

#include "cache_copies_int.h"

#define LARGE_BYTES_A_MS 8192 /* a large value is sent again after its size through this */
#define LARGE_KEYS	 256  /* remembered */

/* ---- what changed ---- */

static struct sd_slice pending_key(const struct copies_pending *p)
{
	return (struct sd_slice){p->key, p->e.klen};
}

static struct copies_large *large_of(struct cache_copies *cc, struct sd_slice key)
{
	if (sd_dict_count(&cc->large) == 0)
		return NULL;
	return (struct copies_large *)sd_dict_find(&cc->large, key, sd_dict_hash(&cc->large, key));
}

void copies_note(struct cache_copies *cc, struct sd_slice key)
{
	uint32_t hash = sd_dict_hash(&cc->pending, key);
	if (sd_dict_count(&cc->pending) && sd_dict_find(&cc->pending, key, hash))
		return;
	struct copies_pending *p = malloc(sizeof(*p) + key.n);
	if (p) {
		const struct copies_large *l = large_of(cc, key);
		*p = (struct copies_pending){.e = {.hash = hash, .klen = (uint32_t)key.n}, .due_ns = l ? l->next_ns : 0};
		if (key.n)
			memcpy(p->key, key.p, key.n);
	}
	if (!p || !sd_dict_add(&cc->pending, &p->e)) {
		free(p); /* a comparison will find it */
		return;
	}
	sd_list_add(&cc->pending_order, &p->order);
	copies_wake(cc, p->due_ns);
}

static void forget_large(struct cache_copies *cc, struct copies_large *l)
{
	sd_list_del(&l->order);
	sd_dict_remove(&cc->large, &l->e);
	free(l);
}

/* It was sent now with so many bytes. */
static void note_size(struct cache_copies *cc, struct sd_slice key, size_t bytes)
{
	struct copies_large *l = large_of(cc, key);
	if (l)
		forget_large(cc, l);
	if (bytes < COPIES_LARGE || !(l = malloc(sizeof(*l) + key.n)))
		return;
	*l = (struct copies_large){.e = {.hash = sd_dict_hash(&cc->large, key), .klen = (uint32_t)key.n},
				   .next_ns = copies_now(cc) + (int64_t)(bytes / LARGE_BYTES_A_MS) * 1000000};
	if (key.n)
		memcpy(l->key, key.p, key.n);
	if (!sd_dict_add(&cc->large, &l->e)) {
		free(l);
		return;
	}
	sd_list_add(&cc->large_order, &l->order);
	if (sd_dict_count(&cc->large) > LARGE_KEYS)
		forget_large(cc, sd_container(cc->large_order.next, struct copies_large, order));
}

/* ---- sending ---- */

static bool put_value(struct cache_copies *cc, struct sd_text *t, const struct cache_item *it)
{
	size_t begun = t->n, place;
	int64_t ends = cache_expires_at(it);
	copies_put(t, 1, 1);
	copies_put(t, cache_stamp(it), 8);
	copies_put(t, ends < 0 ? UINT64_MAX : (uint64_t)ends, 8);
	copies_put_key(t, cache_key(it));
	place = t->n;
	copies_put(t, 0, 4);
	copies_put_image(t, it);
	if (t->full)
		return false;
	size_t n = t->n - place - 4;
	if (n > COPIES_VALUE_MAX) {
		t->n = begun;
		cc->stats.too_large++;
		return false;
	}
	for (int i = 0; i < 4; i++)
		t->p[place + (size_t)i] = (char)(n >> (8 * i));
	return true;
}

/* False: there is nothing to say, or it cannot be said. */
static bool put_state(struct cache_copies *cc, struct sd_text *t, struct sd_slice key)
{
	struct sd_dict *keys = &copies_db(cc)->keys;
	const struct cache_item *it = (struct cache_item *)sd_dict_find(keys, key, sd_dict_hash(keys, key));
	if (key.n > COPIES_KEY_MAX) {
		cc->stats.too_large++;
		return false;
	}
	if (it)
		return cache_stamp(it) && put_value(cc, t, it);
	const struct copies_tombstone *tomb = copies_tombstone(cc, key);
	if (!tomb)
		return false;
	copies_put(t, 2, 1);
	copies_put(t, tomb->stamp, 8);
	copies_put_key(t, key);
	return true;
}

static void fresh_batch(struct copies_peer *p)
{
	if (!p->batch.n)
		copies_put(&p->batch, 0, 8); /* the turn, set when it is sent */
}

void copies_send_batch(struct cache_copies *cc, struct copies_peer *p)
{
	if (!p->batch.n)
		return;
	for (int i = 0; i < 8 && !p->batch.full; i++)
		p->batch.p[i] = (char)(p->sent >> (8 * i));
	copies_send(cc, p, COPIES_CHANGES, &p->batch);
	p->batch.n = 0;
	if (p->batch.room > 4 * COPIES_BATCH || p->batch.full) {
		free(p->batch.p);
		p->batch = (struct sd_text){0};
	}
}

void copies_batch(struct cache_copies *cc, struct copies_peer *p, struct sd_slice key)
{
	fresh_batch(p);
	cc->stats.sent += put_state(cc, &p->batch, key);
	if (p->batch.n > COPIES_BATCH)
		copies_send_batch(cc, p);
}

void copies_batch_gone(struct cache_copies *cc, struct copies_peer *p, struct sd_slice key, uint64_t stamp)
{
	fresh_batch(p);
	copies_put(&p->batch, 2, 1);
	copies_put(&p->batch, stamp, 8);
	copies_put_key(&p->batch, key);
	if (p->batch.n > COPIES_BATCH)
		copies_send_batch(cc, p);
}

void copies_poke(struct cache_copies *cc, unsigned slot)
{
	struct copies_peer *to[SD_SLOTS_COPIES];
	size_t n = copies_owners(cc, slot, to);
	for (size_t i = 0; i < n; i++)
		to[i]->poke = true;
	cc->poked = true;
	copies_wake(cc, 0);
}

/* Nodes that get a change: the owners, and while this one leaves, who will be. */
static void send_state(struct cache_copies *cc, struct sd_slice key, const struct sd_text *state)
{
	struct copies_peer *to[SD_SLOTS_COPIES];
	size_t n = copies_owners(cc, sd_slot_of(key), to);
	if (n == 0 && cc->leaving && (to[0] = copies_next_owner(cc, sd_slot_of(key))))
		n = 1;
	for (size_t i = 0; i < n; i++) {
		if (!to[i]->up || (cc->agreed && !to[i]->step) || state->full || !state->n) {
			to[i]->unsure = cc->turn;
			if (cc->agreed && to[i]->step) /* it cannot be told */
				copies_remove(&to[i]->has, sd_slot_of(key));
			continue;
		}
		fresh_batch(to[i]);
		sd_text_add(&to[i]->batch, state->p, state->n);
		to[i]->sent = cc->turn;
		cc->stats.sent++;
		if (to[i]->batch.n > COPIES_BATCH) {
			/* the turn is not whole yet: this part acknowledges what was before it */
			to[i]->sent = cc->turn - 1;
			copies_send_batch(cc, to[i]);
			to[i]->sent = cc->turn;
			fresh_batch(to[i]);
		}
	}
}

static void send_one(struct cache_copies *cc, const struct copies_pending *p, struct sd_text *state)
{
	struct sd_slice key = pending_key(p);
	bool gone;
	if (cc->agreed && !copies_stamp_of(cc, key, &gone))
		return; /* a command looked for it, and there is none */
	state->n = 0;
	state->full = false;
	put_state(cc, state, key);
	note_size(cc, key, state->n);
	send_state(cc, key, state);
}

static void send_pokes(struct cache_copies *cc)
{
	for (size_t i = 0; cc->poked && i < cc->nothers; i++) {
		struct copies_peer *p = cc->others[i];
		if (!p || !p->poke)
			continue;
		p->poke = false;
		if (!p->step) {
			p->unsure = cc->turn;
			continue;
		}
		fresh_batch(p);
		p->sent = cc->turn;
	}
	cc->poked = false;
}

void copies_flush(struct cache_copies *cc, bool all)
{
	struct sd_text state = {0};
	int64_t now = copies_now(cc);
	bool any = cc->poked;
	all |= cc->agreed;
	for (struct sd_link *k = cc->pending_order.next, *next; k != &cc->pending_order; k = next) {
		struct copies_pending *p = sd_container(k, struct copies_pending, order);
		next = k->next;
		if (!all && p->due_ns > now) {
			copies_wake(cc, p->due_ns);
			continue;
		}
		send_one(cc, p, &state);
		any = true;
		sd_list_del(&p->order);
		sd_dict_remove(&cc->pending, &p->e);
		free(p);
	}
	free(state.p);
	send_pokes(cc);
	for (size_t i = 0; any && i < cc->nothers; i++)
		if (cc->others[i])
			copies_send_batch(cc, cc->others[i]);
	cc->turn += any;
}

/* ---- the other side ---- */

void copies_send_ack(struct cache_copies *cc, struct copies_peer *p)
{
	struct sd_text t = {0};
	copies_put(&t, p->theirs, 8);
	copies_put(&t, p->applied, 8);
	if (p->member && !p->failed)
		copies_send(cc, p, COPIES_ACK, &t);
	free(t.p);
}

/* False: it is not here now, and should be. */
static bool take_state(struct cache_copies *cc, const struct copies_peer *p, const struct copies_state *s)
{
	enum copies_takes takes = cc->agreed ? copies_term_takes(cc, p, s->key, s->stamp) : COPIES_TAKES;
	if (takes == COPIES_TAKES)
		return copies_apply(cc, s);
	if (takes == COPIES_MERGES)
		return copies_merge(cc, s);
	return takes == COPIES_OVERRULES;
}

void copies_on_changes(struct cache_copies *cc, struct copies_peer *p, struct sd_slice body)
{
	struct copies_state s;
	uint64_t turn;
	bool all = true;
	copies_get(&body, 8, &turn);
	p->applied = turn;
	if (cc->conf.ack_first) {
		copies_send_ack(cc, p);
		if (sd_rng_below(&cc->rng, 8) == 0) /* what may happen between the two */
			return;
	}
	while (body.n && copies_get_state(&body, &s))
		all &= take_state(cc, p, &s);
	p->failed |= !all;
	if (!cc->conf.ack_first)
		copies_send_ack(cc, p);
}

void copies_on_ack(struct cache_copies *cc, struct copies_peer *p, struct sd_slice body)
{
	uint64_t stream, turn;
	copies_get(&body, 8, &stream);
	copies_get(&body, 8, &turn);
	if (stream != p->stream || turn > p->sent || turn <= p->acked)
		return;
	p->acked = turn;
	copies_wake(cc, copies_release(cc));
}

bool copies_has_turn(const struct cache_copies *cc, const struct copies_peer *p, uint64_t turn)
{
	if (turn >= cc->turn || !p->up)
		return false;
	if (cc->agreed && !p->step)
		return false;
	return turn <= p->sure || (turn > p->unsure && (turn <= p->acked || p->acked == p->sent));
}

void copies_send_end(struct cache_copies *cc)
{
	while (!sd_list_empty(&cc->pending_order)) {
		struct copies_pending *p = sd_container(cc->pending_order.next, struct copies_pending, order);
		sd_list_del(&p->order);
		free(p);
	}
	while (!sd_list_empty(&cc->large_order)) {
		struct copies_large *l = sd_container(cc->large_order.next, struct copies_large, order);
		sd_list_del(&l->order);
		free(l);
	}
	sd_dict_free(&cc->pending);
	sd_dict_free(&cc->large);
}
