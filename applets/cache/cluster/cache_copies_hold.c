/* cache_copies_hold.c - who holds which slot, and what becomes of keys that are others'.
 *
 * Only who holds a slot gives it away, and only by a HANDOVER, which whoever gets it takes. So of the nodes that hear of each other one
 * holds a slot, or none while one is on its way. When a holder does not answer any more, the first owner of the view takes
 * its slots: where that was a pause and no end, two hold them for a while, and stamps decide.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cache_copies_int.h"

#define JOIN_PATIENCE 3000000000 /* for others to come, of a node that was told of some */
#define CLAIM_EVERY   1000000000

void copies_hold(struct cache_copies *cc, unsigned slot, enum copies_held held, uint16_t from)
{
	struct copies_slot *s = &cc->slots[slot];
	cc->nexpected += (held == COPIES_EXPECTED) - (s->held == COPIES_EXPECTED);
	s->held = (uint8_t)held;
	s->from = from;
	s->asked = false;
	s->since_ns = copies_now(cc);
	if (held == COPIES_HELD && cc->view && cc->view->n > 1)
		cc->settled = true;
}

static uint16_t place_of(const struct cache_copies *cc, const struct copies_peer *p)
{
	for (size_t i = 0; p && i < cc->nothers; i++)
		if (cc->others[i] == p)
			return (uint16_t)i;
	return COPIES_NOBODY;
}

/* ---- a new view ---- */

bool copies_owned(const struct cache_view *v, unsigned slot, const struct sd_swim_id *id)
{
	for (unsigned k = 0; v->slots.owners && k < v->slots.copies; k++) {
		uint16_t m = sd_slots_owners(&v->slots, slot)[k];
		if (m != SD_SLOTS_NONE && memcmp(&v->members[m].id, id, sizeof(*id)) == 0)
			return true;
	}
	return false;
}

/* The only other one; NULL: there are more, or none. */
static struct copies_peer *only_other(const struct cache_copies *cc, const struct cache_view *v)
{
	for (size_t i = 0; v->n == 2 && i < 2; i++)
		if (i != v->self)
			return copies_find(cc, &v->members[i].id);
	return NULL;
}

/* Slots of a node that is gone come to this one: have the others to be asked before it answers? Where the next owner has its share
 * already, one that had no copy gets the slot. */
static bool lacks_copy(const struct cache_copies *cc, unsigned slot, const struct cache_view *was, const struct cache_view *is)
{
	bool has_none = is->slots.copies > 1 && is->n > 1 && !copies_owned(was, slot, &cc->self);
	return has_none || (cc->conf.quorum > 1 && is->slots.copies > 2);
}

/* This node is the first owner now, and was it not, or not with these others. */
static void expect(struct cache_copies *cc, unsigned slot, const struct cache_view *was, const struct cache_view *is)
{
	struct copies_slot *s = &cc->slots[slot];
	const struct cache_view_member *before = was ? cache_view_owner(was, slot) : NULL;
	struct copies_peer *p = before ? copies_find(cc, &before->id) : NULL;
	if (s->held == COPIES_HELD) {
		if (!cc->settled && is->n > 1)
			copies_hold(cc, slot, COPIES_EXPECTED, place_of(cc, only_other(cc, is)));
	} else if (s->held == COPIES_EXPECTED) {
		bool gone = s->from != COPIES_NOBODY && !(cc->others[s->from] && cc->others[s->from]->member);
		if (gone)
			copies_hold(cc, slot, COPIES_EXPECTED, COPIES_NOBODY);
	} else if (p && (p->member || p->bye)) {
		copies_hold(cc, slot, COPIES_EXPECTED, place_of(cc, p));
	} else if (!was ? cc->conf.joins : lacks_copy(cc, slot, was, is)) {
		copies_hold(cc, slot, COPIES_EXPECTED, COPIES_NOBODY);
	} else {
		copies_hold(cc, slot, COPIES_HELD, COPIES_NOBODY);
	}
}

/* Owners that were none of it get what the holder has. How many keys there are for them. */
static uint32_t offer_to_new(struct cache_copies *cc, unsigned slot, const struct cache_view *was)
{
	struct copies_peer *to[SD_SLOTS_COPIES];
	size_t n = copies_owners(cc, slot, to);
	bool any = false;
	for (size_t i = 0; i < n; i++) {
		bool is_new = !was || !copies_owned(was, slot, &to[i]->id);
		if (is_new) {
			to[i]->unsure = cc->turn - 1;
			to[i]->sure = 0;
		}
		if (cc->slots[slot].held != COPIES_HELD || !(is_new || to[i] == copies_first(cc, slot)))
			continue;
		any |= is_new;
		copies_offer(cc, to[i], slot);
	}
	return any ? cc->slots[slot].count : 0;
}

void copies_settle(struct cache_copies *cc, const struct cache_view *was, const struct cache_view *is)
{
	uint32_t keys = 0;
	char text[64];
	if (was && was->n == 1 && is->n > 1 && sd_dict_count(&copies_db(cc)->keys) == 0)
		cc->settled = false; /* it has nothing to lose, and the others may have it all */
	for (unsigned slot = 0; slot < SD_SLOTS; slot++) {
		struct copies_slot *s = &cc->slots[slot];
		uint16_t first = sd_slots_owner(&is->slots, slot);
		if (first != SD_SLOTS_NONE && first == is->self)
			expect(cc, slot, was, is);
		else if (s->held == COPIES_EXPECTED || (s->held == COPIES_HELD && !cc->settled && is->n > 1 && !s->count))
			copies_hold(cc, slot, COPIES_FREE, COPIES_NOBODY);
		keys += offer_to_new(cc, slot, was);
	}
	if (!keys || !was)
		return;
	cc->redistributing = true;
	snprintf(text, sizeof(text), "Redistributing %u keys...", keys);
	cc->peers.say(cc->peers.arg, "redistributing", text);
}

/* ---- who holds what ---- */

void copies_claim(struct cache_copies *cc, struct copies_peer *p)
{
	struct copies_set set = {0};
	struct sd_text t = {0};
	for (unsigned s = 0; s < SD_SLOTS; s++)
		if (cc->slots[s].held == COPIES_HELD && copies_first(cc, s) == p)
			copies_add(&set, s);
	p->claim_ns = set.n ? copies_now(cc) + CLAIM_EVERY : INT64_MAX;
	copies_put(&t, cc->view->digest, 8);
	copies_put_set(&t, &set);
	copies_send(cc, p, COPIES_CLAIM, &t);
	free(t.p);
}

void copies_on_claim(struct cache_copies *cc, struct copies_peer *p, struct sd_slice body)
{
	struct copies_set set;
	uint16_t place = place_of(cc, p);
	copies_get(&body, 8, &p->claimed);
	copies_get_set(body, &set);
	for (unsigned s = 0; s < SD_SLOTS; s++) {
		struct copies_slot *slot = &cc->slots[s];
		if (slot->held != COPIES_EXPECTED)
			continue;
		if (copies_in(&set, s)) {
			copies_hold(cc, s, COPIES_EXPECTED, place);
		} else if (slot->from == place && p->claimed == cc->view->digest) {
			slot->from = COPIES_NOBODY;
		}
	}
	copies_wake(cc, 0);
}

void copies_on_handover(struct cache_copies *cc, struct copies_peer *p, struct sd_slice body)
{
	struct copies_set set;
	uint64_t epoch;
	(void)p;
	copies_get(&body, 8, &epoch);
	copies_get_set(body, &set);
	for (unsigned s = 0; s < SD_SLOTS; s++)
		if (copies_in(&set, s) && cc->slots[s].held != COPIES_HELD)
			copies_hold(cc, s, COPIES_HELD, COPIES_NOBODY);
	if (epoch > cc->epoch) {
		cc->epoch = epoch;
		cc->epoch_until_ns = copies_now(cc) + COPIES_PATIENCE;
	}
}

/* What is done elsewhere from now on calls nothing off here, and the slot may come back: so its going does. */
static void touch_watched(struct cache_db *db, const struct copies_set *set)
{
	struct sd_dict_iter it;
	sd_dict_iter_begin(&db->watched, &it);
	for (struct sd_dict_entry *e; (e = sd_dict_iter_next(&db->watched, &it));) {
		struct sd_slice key = cache_name_text((const struct cache_name *)e);
		if (copies_in(set, sd_slot_of(key)))
			cache_touch_watched(db, key);
	}
	sd_dict_iter_end(&db->watched);
}

/* Those who wait for keys that are elsewhere now have to ask there. */
void copies_unblock(struct cache_copies *cc, const struct copies_set *set)
{
	struct sd_dict_iter it;
	struct cache_db *db = copies_db(cc);
	bool again = true;
	touch_watched(db, set);
	while (again) {
		struct cache_session *s = NULL;
		sd_dict_iter_begin(&db->waited, &it);
		for (struct sd_dict_entry *e; !s && (e = sd_dict_iter_next(&db->waited, &it));) {
			const struct cache_name *n = (struct cache_name *)e;
			if (copies_in(set, sd_slot_of(cache_name_text(n))))
				s = sd_container(n->ties.next, struct cache_tie, of_name)->session;
		}
		sd_dict_iter_end(&db->waited);
		again = s && cache_unblock(s, CACHE_SLOT_MOVED);
	}
}

void copies_hand_over(struct cache_copies *cc, struct copies_peer *p, const struct copies_set *slots)
{
	struct copies_set set = {0};
	struct sd_text t = {0};
	if (cc->view->epoch < cc->epoch && copies_now(cc) < cc->epoch_until_ns)
		return; /* by a view that is over; sweep comes back to it */
	for (unsigned s = 0; s < SD_SLOTS; s++)
		if (copies_in(slots, s) && cc->slots[s].held == COPIES_HELD && copies_first(cc, s) == p)
			copies_add(&set, s);
	if (!set.n)
		return;
	copies_put(&t, cc->view->epoch, 8);
	copies_put_set(&t, &set);
	bool sent = copies_send(cc, p, COPIES_HANDOVER, &t);
	free(t.p);
	for (unsigned s = 0; sent && s < SD_SLOTS; s++)
		if (copies_in(&set, s))
			copies_hold(cc, s, COPIES_FREE, COPIES_NOBODY);
	if (sent)
		copies_unblock(cc, &set);
}

/* ---- leaving ---- */

static struct copies_peer *lacks(struct cache_copies *cc, unsigned slot, const struct cache_view *was)
{
	struct copies_peer *p = cc->slots[slot].held == COPIES_HELD ? copies_first(cc, slot) : NULL;
	return p && !copies_owned(was, slot, &p->id) ? p : NULL;
}

static void push_keys(struct cache_copies *cc, const struct cache_view *was)
{
	struct sd_dict_iter it;
	struct sd_dict *keys = &copies_db(cc)->keys;
	sd_dict_iter_begin(keys, &it);
	for (struct sd_dict_entry *e; (e = sd_dict_iter_next(keys, &it));) {
		struct sd_slice key = cache_key((const struct cache_item *)e);
		struct copies_peer *p = lacks(cc, sd_slot_of(key), was);
		if (p && p->up)
			copies_batch(cc, p, key);
	}
	sd_dict_iter_end(keys);
}

/* Nobody can ask it for anything now. Those that were owners have all there is, since leave() saw to it. */
void copies_go(struct cache_copies *cc, const struct cache_view *was)
{
	struct copies_set all = {0};
	for (unsigned s = 0; s < SD_SLOTS; s++)
		copies_add(&all, s);
	push_keys(cc, was);
	for (size_t i = 0; i < cc->nothers; i++) {
		struct copies_peer *p = cc->others[i];
		if (!p || !p->up)
			continue;
		copies_send_batch(cc, p);
		copies_hand_over(cc, p, &all);
	}
}

enum cache_serving copies_serving(void *arg, const struct cache_asked *asked, struct sd_swim_id *other)
{
	const struct cache_copies *cc = arg;
	const struct copies_slot *s = &cc->slots[asked->slot];
	const struct copies_peer *p = NULL;
	if (cc->agreed)
		return copies_term_serving(cc, asked, other);
	if (s->held == COPIES_HELD)
		return CACHE_SERVE;
	if (s->held == COPIES_EXPECTED)
		p = s->from == COPIES_NOBODY ? NULL : cc->others[s->from];
	else if (asked->any_copy && !asked->write && copies_rank(cc, asked->slot) >= 0)
		return CACHE_SERVE;
	else
		p = copies_first(cc, asked->slot);
	if (!p)
		return CACHE_TRY_AGAIN;
	*other = p->id;
	return CACHE_ELSEWHERE;
}

/* ---- slots that nobody may hold ---- */

static bool all_claimed(const struct cache_copies *cc)
{
	for (size_t i = 0; i < cc->nothers; i++)
		if (cc->others[i] && cc->others[i]->member && cc->others[i]->claimed != cc->view->digest)
			return false;
	return true;
}

/* Is there one that is about to hand it over? */
static bool is_coming(struct cache_copies *cc, struct copies_slot *s, int64_t now)
{
	const struct copies_peer *p = s->from == COPIES_NOBODY ? NULL : cc->others[s->from];
	if (p && now - (p->heard_ns > s->since_ns ? p->heard_ns : s->since_ns) < COPIES_PATIENCE)
		return true;
	s->from = COPIES_NOBODY;
	return false;
}

static bool all_told(const struct cache_copies *cc, unsigned slot)
{
	struct copies_peer *to[SD_SLOTS_COPIES];
	size_t n = copies_owners(cc, slot, to);
	for (size_t i = 0; i < n; i++)
		if (!copies_in(&to[i]->told, slot))
			return false;
	return true;
}

static void ask_owners(struct cache_copies *cc, unsigned slot, struct copies_set *sets)
{
	struct copies_peer *to[SD_SLOTS_COPIES];
	size_t n = copies_owners(cc, slot, to);
	for (size_t i = 0; i < n; i++) {
		copies_remove(&to[i]->told, slot);
		copies_add(&sets[place_of(cc, to[i])], slot);
	}
	cc->slots[slot].asked = true;
	cc->slots[slot].since_ns = copies_now(cc);
}

static void send_asks(struct cache_copies *cc, struct copies_set *sets)
{
	for (size_t i = 0; i < cc->nothers; i++) {
		struct sd_text t = {0};
		if (!sets[i].n || !cc->others[i])
			continue;
		copies_put(&t, 0, 1);
		copies_put_set(&t, &sets[i]);
		copies_send(cc, cc->others[i], COPIES_ASK, &t);
		free(t.p);
	}
}

void copies_resolve(struct cache_copies *cc)
{
	int64_t now = copies_now(cc), patience = cc->view->n > 1 || cc->settled ? COPIES_PATIENCE : JOIN_PATIENCE;
	bool claimed = all_claimed(cc) && (cc->view->n > 1 || cc->settled);
	struct copies_set *sets = calloc(cc->nothers + 1, sizeof(*sets));
	for (unsigned i = 0; sets && cc->nexpected && i < SD_SLOTS; i++) {
		struct copies_slot *s = &cc->slots[i];
		if (s->held != COPIES_EXPECTED || is_coming(cc, s, now))
			continue;
		bool waited = now - s->since_ns >= patience;
		if (!s->asked && (claimed || waited))
			ask_owners(cc, i, sets);
		else if (s->asked && (all_told(cc, i) || waited))
			copies_hold(cc, i, COPIES_HELD, COPIES_NOBODY);
	}
	if (sets)
		send_asks(cc, sets);
	free(sets);
}

/* ---- keys that are others' ---- */

/* True: all owners have it. */
static bool offer_to_owners(struct cache_copies *cc, unsigned slot)
{
	struct copies_peer *to[SD_SLOTS_COPIES];
	size_t n = copies_owners(cc, slot, to);
	bool all = n > 0;
	for (size_t i = 0; i < n; i++) {
		if (copies_in(&to[i]->has, slot))
			continue;
		all = false;
		if (!copies_in(&to[i]->offer, slot) && !copies_in(&to[i]->offering, slot))
			copies_offer(cc, to[i], slot);
	}
	return all;
}

bool copies_sweep(struct cache_copies *cc)
{
	bool dropping = cc->agreed && copies_term_sweep(cc);
	for (unsigned i = 0; !cc->agreed && i < SD_SLOTS; i++) {
		struct copies_slot *s = &cc->slots[i];
		struct copies_peer *first = s->held == COPIES_HELD ? copies_first(cc, i) : NULL;
		if (first && !copies_in(&first->offer, i) && !copies_in(&first->offering, i))
			copies_offer(cc, first, i);
		if (s->held == COPIES_HELD || !s->count || copies_rank(cc, i) >= 0 || !offer_to_owners(cc, i))
			continue;
		dropping |= !copies_in(&cc->drop, i);
		copies_add(&cc->drop, i);
	}
	if (dropping) {
		cc->drop_phase = COPIES_ITEMS;
		cc->drop_cursor = 0;
	}
	return cc->drop.n;
}

static void drop_item(void *arg, struct sd_dict_entry *e)
{
	struct cache_copies *cc = arg;
	struct cache_item *it = (struct cache_item *)e;
	unsigned slot = sd_slot_of(cache_key(it));
	if (!copies_in(&cc->drop, slot) || cc->slots[slot].held == COPIES_HELD)
		return;
	cc->stats.dropped++;
	copies_drop_item(cc, it);
}

static void drop_tombstone(void *arg, struct sd_dict_entry *e)
{
	struct cache_copies *cc = arg;
	struct copies_tombstone *t = (struct copies_tombstone *)e;
	if (copies_in(&cc->drop, sd_slot_of((struct sd_slice){t->key, t->e.klen})))
		copies_free_tombstone(cc, t);
}

bool copies_drop_more(struct cache_copies *cc)
{
	bool items = cc->drop_phase == COPIES_ITEMS;
	struct sd_dict *d = items ? &copies_db(cc)->keys : &cc->tombstones;
	if (!cc->drop.n)
		return false;
	for (unsigned i = 0; i < COPIES_SCAN; i++) {
		cc->drop_cursor = sd_dict_scan(d, cc->drop_cursor, items ? drop_item : drop_tombstone, cc);
		if (cc->drop_cursor)
			continue;
		cc->drop_phase = COPIES_TOMBSTONES;
		if (!items)
			copies_clear(&cc->drop);
		return items;
	}
	return true;
}
