/* cache_copies_offer.c - what this node has of some slots is offered to another, which asks for what it does not have.
 *
 *	OFFER keys and stamps, a piece at a time ----------->
 *	<------------------------------------ WANT some of them
 *	CHANGES: as they are now --------------------------->
 *	...
 *	END, behind the last value ------------------------->
 *	<----------------------------------------------- ENDED
 *
 * The keyspace is gone through once for all slots that are to be offered to one node; a scan gives every key that is there from its
 * beginning to its end, and what changes meanwhile is sent as changes are. Few pieces are on the way at a time, and none while much
 * waits for the network, so that an offer costs little memory whatever its size.
 */
#include <stdlib.h>
#include <string.h>

#include "cache_copies_int.h"

void copies_offer(struct cache_copies *cc, struct copies_peer *p, unsigned slot)
{
	copies_add(&p->offer, slot);
	copies_remove(&p->has, slot);
	copies_wake(cc, 0);
}

static void free_piece(struct copies_piece *piece)
{
	free(piece->keys.p);
	free(piece->places);
	free(piece->wanted);
	free(piece);
}

void copies_offer_end(struct cache_copies *cc, struct copies_peer *p)
{
	(void)cc;
	while (!sd_list_empty(&p->pieces)) {
		struct copies_piece *piece = sd_container(p->pieces.next, struct copies_piece, link);
		sd_list_del(&piece->link);
		free_piece(piece);
	}
	if (p->building)
		free_piece(p->building);
	p->building = NULL;
	p->npieces = 0;
	p->phase = COPIES_NO_OFFER;
	copies_clear(&p->offering);
}

void copies_offer_again(struct cache_copies *cc, struct copies_peer *p)
{
	for (unsigned s = 0; p->offering.n && s < SD_SLOTS; s++)
		if (copies_in(&p->offering, s))
			copies_add(&p->offer, s);
	copies_offer_end(cc, p);
}

/* ---- keys and stamps ---- */

struct scanning {
	struct cache_copies *cc;
	struct copies_peer *p;
};

static void add_key(const struct scanning *s, struct sd_slice key, uint64_t stamp, bool gone)
{
	struct copies_peer *p = s->p;
	struct copies_piece *piece = p->building;
	if (!stamp || !copies_in(&p->offering, sd_slot_of(key)) || key.n > COPIES_KEY_MAX)
		return;
	if (!piece && !(piece = p->building = calloc(1, sizeof(*piece))))
		return;
	copies_put(&piece->keys, gone, 1);
	copies_put(&piece->keys, stamp, 8);
	copies_put_key(&piece->keys, key);
	piece->nkeys++;
}

static void scan_item(void *arg, struct sd_dict_entry *e)
{
	const struct cache_item *it = (const struct cache_item *)e;
	const struct scanning *s = arg;
	if (!cache_is_over(it, s->cc->cache->now_ms))
		add_key(s, cache_key(it), cache_stamp(it), false);
}

static void scan_tombstone(void *arg, struct sd_dict_entry *e)
{
	const struct copies_tombstone *t = (const struct copies_tombstone *)e;
	if (!t->ended)
		add_key(arg, (struct sd_slice){t->key, t->e.klen}, t->stamp, true);
}

static bool send_piece(struct cache_copies *cc, struct copies_peer *p)
{
	struct copies_piece *piece = p->building;
	struct sd_text t = {0};
	if (!piece)
		return true;
	piece->number = p->next_piece++;
	piece->places = malloc(piece->nkeys * sizeof(*piece->places));
	struct sd_slice rest = {piece->keys.p, piece->keys.n};
	struct copies_state s;
	for (size_t i = 0; piece->places && i < piece->nkeys && !piece->keys.full; i++) {
		piece->places[i] = (size_t)(rest.p - piece->keys.p);
		copies_get_offer(&rest, &s);
	}
	copies_put(&t, piece->number, 4);
	sd_text_add(&t, piece->keys.p, piece->keys.n);
	bool ok = piece->places && !piece->keys.full && copies_send(cc, p, COPIES_OFFER, &t);
	free(t.p);
	if (!p->building) /* the link broke meanwhile */
		return false;
	p->building = NULL;
	if (!ok) {
		free_piece(piece);
		return false;
	}
	sd_list_add(&p->pieces, &piece->link);
	p->npieces++;
	return true;
}

/* Some places of the table; true: that was all. */
static bool scan(struct cache_copies *cc, struct copies_peer *p)
{
	struct scanning s = {cc, p};
	bool items = p->phase == COPIES_ITEMS;
	struct sd_dict *d = items ? &copies_db(cc)->keys : &cc->tombstones;
	for (unsigned i = 0; i < COPIES_SCAN; i++) {
		p->cursor = sd_dict_scan(d, p->cursor, items ? scan_item : scan_tombstone, &s);
		if (!p->cursor)
			return true;
		if (p->building && (p->building->keys.n >= COPIES_PIECE || p->building->nkeys > 30000))
			return false;
	}
	return false;
}

/* ---- going on ---- */

static bool has_room(const struct cache_copies *cc, const struct copies_peer *p)
{
	return p->npieces < COPIES_PIECES && cc->peers.backlog(cc->peers.arg, &p->id) < COPIES_BACKLOG;
}

static void send_end(struct cache_copies *cc, struct copies_peer *p, unsigned kind, uint64_t number, uint64_t digest,
		     const struct copies_set *set)
{
	struct sd_text t = {0};
	copies_put(&t, number, 4);
	copies_put(&t, digest, 8);
	copies_put_set(&t, set);
	copies_send(cc, p, kind, &t);
	free(t.p);
}

/* All is sent. What changed and waits to be sent goes before the slots do. */
static void finish(struct cache_copies *cc, struct copies_peer *p)
{
	copies_flush(cc, true);
	copies_send_batch(cc, p);
	p->phase = COPIES_ENDING;
	send_end(cc, p, COPIES_END, ++p->end_number, cc->view->digest, &p->offering);
	copies_hand_over(cc, p, &p->offering);
}

static void begin(struct cache_copies *cc, struct copies_peer *p)
{
	p->offering = p->offer;
	copies_clear(&p->offer);
	p->phase = COPIES_ITEMS;
	p->cursor = 0;
	if (cc->conf.handover_first)
		copies_hand_over(cc, p, &p->offering);
}

/* Values that were asked for, until there is no room. */
static bool send_wanted(struct cache_copies *cc, struct copies_peer *p)
{
	bool more = false;
	while (!sd_list_empty(&p->pieces)) {
		struct copies_piece *piece = sd_container(p->pieces.next, struct copies_piece, link);
		if (!piece->wanted)
			break;
		while (piece->at < piece->nwanted && !(more = cc->peers.backlog(cc->peers.arg, &p->id) >= COPIES_BACKLOG)) {
			struct copies_state s;
			size_t place = piece->places[piece->wanted[piece->at++]];
			struct sd_slice rest = {piece->keys.p + place, piece->keys.n - place};
			copies_get_offer(&rest, &s);
			copies_batch(cc, p, s.key);
			if (sd_list_empty(&p->pieces)) /* the link broke meanwhile */
				return false;
		}
		if (more)
			break;
		sd_list_del(&piece->link);
		p->npieces--;
		free_piece(piece);
		p->progress_ns = copies_now(cc);
	}
	copies_send_batch(cc, p);
	return more;
}

bool copies_offer_more(struct cache_copies *cc, struct copies_peer *p)
{
	if (!p->up)
		return false;
	if (p->phase < COPIES_ANSWERS)
		p->progress_ns = copies_now(cc);
	if (p->phase == COPIES_NO_OFFER && p->offer.n)
		begin(cc, p);
	send_wanted(cc, p);
	if ((p->phase == COPIES_ITEMS || p->phase == COPIES_TOMBSTONES) && has_room(cc, p)) {
		if (scan(cc, p)) {
			p->phase++;
			p->cursor = 0;
		}
		bool full = p->building && (p->building->keys.n >= COPIES_PIECE || p->building->nkeys > 30000);
		if (full || p->phase == COPIES_ANSWERS)
			send_piece(cc, p);
	}
	if (p->phase == COPIES_ANSWERS && p->npieces == 0 && !p->building)
		finish(cc, p);
	return p->up && (p->phase == COPIES_ITEMS || p->phase == COPIES_TOMBSTONES) && has_room(cc, p);
}

/* ---- the answers ---- */

/* Of slots that are held here what counts is what is here: who offers anything newer is told that, or that it is gone. True: it is to be
 * looked at as any other. */
static bool takes_offer(struct cache_copies *cc, struct copies_peer *p, const struct copies_state *s, struct sd_text *want, unsigned i)
{
	bool gone;
	uint64_t here = copies_stamp_of(cc, s->key, &gone);
	enum copies_takes takes = copies_term_takes(cc, p, s->key, s->stamp);
	if (takes == COPIES_MERGES && !here && !s->gone)
		copies_put(want, i, 2);
	else if (takes == COPIES_OVERRULES && !here && !s->gone)
		copies_batch_gone(cc, p, s->key, s->stamp);
	else if (takes == COPIES_OVERRULES && copies_is_newer(cc, s))
		copies_restamp(cc, s->key);
	return takes == COPIES_TAKES;
}

/* Which ones are wanted, as indexes; those that are gone are told in full by the offer itself. */
void copies_on_offer(struct cache_copies *cc, struct copies_peer *p, struct sd_slice body)
{
	struct sd_text want = {0};
	struct copies_state s;
	uint64_t number;
	copies_get(&body, 4, &number);
	copies_put(&want, number, 4);
	for (unsigned i = 0; body.n && copies_get_offer(&body, &s); i++) {
		const struct copies_tombstone *t = copies_tombstone(cc, s.key);
		if (cc->agreed && !takes_offer(cc, p, &s, &want, i))
			continue;
		if (!cc->agreed)
			copies_has_stray(cc, sd_slot_of(s.key));
		if (t && t->ended && t->stamp > s.stamp) /* it is in no list of ours */
			copies_batch(cc, p, s.key);
		else if (s.gone)
			copies_apply(cc, &s);
		else if (copies_is_newer(cc, &s))
			copies_put(&want, i, 2);
	}
	copies_send_batch(cc, p);
	copies_send(cc, p, COPIES_WANT, &want);
	free(want.p);
}

void copies_on_want(struct cache_copies *cc, struct copies_peer *p, struct sd_slice body)
{
	uint64_t number, index;
	copies_get(&body, 4, &number);
	p->progress_ns = copies_now(cc);
	for (struct sd_link *k = p->pieces.next; k != &p->pieces; k = k->next) {
		struct copies_piece *piece = sd_container(k, struct copies_piece, link);
		if (piece->number != number || piece->wanted)
			continue;
		piece->wanted = malloc(body.n + 1);
		while (piece->wanted && copies_get(&body, 2, &index))
			if (index < piece->nkeys)
				piece->wanted[piece->nwanted++] = (uint16_t)index;
		break;
	}
	copies_wake(cc, 0);
}

/* It is told back with the view of this node: only who has the same one may rely on it. */
void copies_on_end(struct cache_copies *cc, struct copies_peer *p, struct sd_slice body)
{
	struct copies_set set;
	uint64_t number, digest;
	copies_get(&body, 4, &number);
	copies_get(&body, 8, &digest);
	copies_get_set(body, &set);
	for (unsigned s = 0; !p->failed && s < SD_SLOTS; s++)
		if (copies_in(&set, s))
			copies_add(&p->told, s);
	cc->news = true;
	send_end(cc, p, COPIES_ENDED, number, p->failed ? 0 : cc->view->digest, &set);
	copies_wake(cc, 0);
}

void copies_on_ended(struct cache_copies *cc, struct copies_peer *p, struct sd_slice body)
{
	struct copies_set set;
	uint64_t number, digest;
	copies_get(&body, 4, &number);
	copies_get(&body, 8, &digest);
	copies_get_set(body, &set);
	if (p->phase != COPIES_ENDING || number != p->end_number)
		return;
	for (unsigned s = 0; s < SD_SLOTS; s++) {
		if (!copies_in(&p->offering, s) || !copies_in(&set, s))
			continue;
		if (digest == cc->view->digest && !copies_in(&p->offer, s))
			copies_add(&p->has, s);
	}
	if (p->settles && digest == cc->view->digest && !p->offer.n) {
		p->settles = false;
		p->sure = p->comparing;
		copies_wake(cc, copies_release(cc));
	}
	copies_offer_end(cc, p);
	cc->swept_ns = 0;
	copies_wake(cc, 0);
}

void copies_on_ask(struct cache_copies *cc, struct copies_peer *p, struct sd_slice body)
{
	struct copies_set set;
	uint64_t differ;
	copies_get(&body, 1, &differ);
	copies_get_set(body, &set);
	p->settles |= differ == 1;
	for (unsigned s = 0; s < SD_SLOTS; s++)
		if (copies_in(&set, s))
			copies_offer(cc, p, s);
}
