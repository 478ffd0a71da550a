/* cache_copies_stamp.c - stamps and tombstones, what is known of a slot in one number, and states of keys that come from elsewhere.
 *
 * Order of states of a key: by stamp; of one stamp being gone comes last. So an evicted key needs no stamp of its own: it is gone
 * with the one it had, and any change that was not seen here wins.
 *
 * A slot's digest is the exclusive or of a hash of each key with its stamp and whether it is gone: it can be changed at each change,
 * whatever order they come in. It is no defence against whoever can choose stamps; those are nodes of the cluster.
 */
#include <stdlib.h>
#include <string.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "cache_copies_int.h"
#include "core/mix.h"

#define FROM_FILE ((uint64_t)1 << SD_HLC_WALL_BITS) /* the first millisecond of all */

uint64_t copies_hash(struct sd_slice key, uint64_t stamp, bool gone)
{
	return sd_mix_in(XXH3_64bits(key.p, key.n), stamp * 2 + gone);
}

static void count_in(struct cache_copies *cc, struct sd_slice key, uint64_t stamp, bool gone)
{
	struct copies_slot *s = &cc->slots[sd_slot_of(key)];
	s->digest ^= copies_hash(key, stamp, gone);
	s->count++;
	s->items += !gone;
}

static void count_out(struct cache_copies *cc, struct sd_slice key, uint64_t stamp, bool gone)
{
	struct copies_slot *s = &cc->slots[sd_slot_of(key)];
	s->digest ^= copies_hash(key, stamp, gone);
	s->count--;
	s->items -= !gone;
}

/* ---- tombstones ---- */

struct copies_tombstone *copies_tombstone(struct cache_copies *cc, struct sd_slice key)
{
	if (sd_dict_count(&cc->tombstones) == 0)
		return NULL;
	return (struct copies_tombstone *)sd_dict_find(&cc->tombstones, key, sd_dict_hash(&cc->tombstones, key));
}

static struct sd_slice key_of(const struct copies_tombstone *t)
{
	return (struct sd_slice){t->key, t->e.klen};
}

void copies_free_tombstone(struct cache_copies *cc, struct copies_tombstone *t)
{
	if (!t->ended)
		count_out(cc, key_of(t), t->stamp, true);
	sd_wheel_cancel(&cc->tombstone_ends, &t->until);
	sd_dict_remove(&cc->tombstones, &t->e);
	cache_free(&cc->cache->memory, t);
}

static void bury(struct cache_copies *cc, struct sd_slice key, uint64_t stamp, int64_t until_ms, bool ended)
{
	struct copies_tombstone *t = copies_tombstone(cc, key);
	if (t)
		copies_free_tombstone(cc, t);
	if (cc->conf.no_tombstones || until_ms <= copies_wall(cc))
		return;
	t = cache_alloc(&cc->cache->memory, sizeof(*t) + key.n);
	if (!t)
		return;
	*t = (struct copies_tombstone){.e = {.hash = sd_dict_hash(&cc->tombstones, key), .klen = (uint32_t)key.n},
				       .stamp = stamp, .ended = ended};
	if (key.n)
		memcpy(t->key, key.p, key.n);
	if (!sd_dict_add(&cc->tombstones, &t->e)) {
		cache_free(&cc->cache->memory, t);
		return;
	}
	sd_wheel_set(&cc->tombstone_ends, &t->until, until_ms);
	if (!ended)
		count_in(cc, key, stamp, true);
	while (sd_dict_count(&cc->tombstones) > cc->conf.tombstones)
		copies_free_tombstone(cc, (struct copies_tombstone *)sd_dict_random(&cc->tombstones, &cc->rng));
}

/* When a state came to be; of stamps that tell no time: not before now. */
static int64_t ms_of(const struct cache_copies *cc, uint64_t stamp)
{
	return cc->agreed ? copies_wall(cc) : sd_hlc_ms(stamp);
}

static void bury_deleted(struct cache_copies *cc, struct sd_slice key, uint64_t stamp)
{
	bury(cc, key, stamp, ms_of(cc, stamp) + cc->conf.tombstone_keep_ms, false);
}

/* Somebody who did not hear of the state that ended may still have one before it. Where all are there they are told soon. */
static void bury_ended(struct cache_copies *cc, struct sd_slice key, uint64_t stamp)
{
	int64_t now = copies_wall(cc);
	bool away = cc->away_until_ms > now;
	bury(cc, key, stamp, now + (away ? cc->conf.tombstone_keep_ms : COPIES_ENDED_MS), true);
}

void copies_end_tombstones(struct cache_copies *cc, int64_t now_ms)
{
	struct sd_wheel_entry *e;
	while ((e = sd_wheel_pop(&cc->tombstone_ends, now_ms)))
		copies_free_tombstone(cc, sd_container(e, struct copies_tombstone, until));
	cc->stats.tombstones = sd_dict_count(&cc->tombstones);
}

/* ---- changes of this node ---- */

static struct cache_item *item_of(struct cache_copies *cc, struct sd_slice key)
{
	struct sd_dict *keys = &copies_db(cc)->keys;
	return (struct cache_item *)sd_dict_find(keys, key, sd_dict_hash(keys, key));
}

static void set_stamp(struct cache_copies *cc, struct cache_item *it, uint64_t stamp)
{
	uint64_t was = cache_stamp(it);
	if (was)
		count_out(cc, cache_key(it), was, false);
	cache_set_stamp(it, stamp);
	count_in(cc, cache_key(it), stamp, false);
}

static uint64_t next_stamp(struct cache_copies *cc)
{
	if (cc->agreed)
		return cc->term << COPIES_COUNT_BITS | (++cc->count & (((uint64_t)1 << COPIES_COUNT_BITS) - 1));
	return sd_hlc_next(&cc->clock, copies_wall(cc));
}

static void note(struct cache_copies *cc, struct sd_slice key)
{
	copies_note(cc, key);
	copies_wrote(cc, sd_slot_of(key));
}

static uint64_t from_file(const struct cache_copies *cc)
{
	return FROM_FILE | cc->clock.node;
}

void copies_key_changed(void *arg, struct cache_db *db, struct sd_slice key)
{
	struct cache_copies *cc = arg;
	struct cache_item *it = cc->applying || db->number ? NULL : item_of(cc, key);
	if (!it) /* copies_key_gone saw to it */
		return;
	struct copies_tombstone *t = copies_tombstone(cc, key);
	if (t) {
		if (!cc->agreed)
			sd_hlc_seen(&cc->clock, t->stamp);
		copies_free_tombstone(cc, t);
	}
	if (!cc->view || (cc->agreed && !cc->term)) { /* from a file: whatever another node has is later */
		set_stamp(cc, it, from_file(cc));
		return;
	}
	set_stamp(cc, it, next_stamp(cc));
	note(cc, key);
}

void copies_key_gone(void *arg, struct cache_db *db, const struct cache_item *it, enum cache_why why)
{
	struct cache_copies *cc = arg;
	uint64_t stamp = cache_stamp(it);
	struct sd_slice key = cache_key(it);
	if (db->number)
		return;
	if (stamp)
		count_out(cc, key, stamp, false);
	if (cc->applying || !cc->view)
		return;
	bool ours = !cc->agreed || cc->slots[sd_slot_of(key)].held == COPIES_HELD;
	if (!ours) { /* what counts is what its holder says */
		if (why == CACHE_ENDED && stamp)
			bury_ended(cc, key, stamp);
		return;
	}
	if (why == CACHE_ENDED && !cc->agreed) {
		if (stamp)
			bury_ended(cc, key, stamp);
		return;
	}
	if (why == CACHE_DELETED || why == CACHE_ENDED || !stamp)
		stamp = next_stamp(cc);
	if (ms_of(cc, stamp) + cc->conf.tombstone_keep_ms > copies_wall(cc))
		bury_deleted(cc, key, stamp);
	else /* evicted, and not changed for long */
		bury_ended(cc, key, stamp);
	note(cc, key);
}

struct flushing {
	struct cache_copies *cc;
	struct cache_db *db;
};

static void flush_one(void *arg, struct sd_dict_entry *e)
{
	const struct flushing *f = arg;
	copies_key_gone(f->cc, f->db, (const struct cache_item *)e, CACHE_DELETED);
}

void copies_flushed(void *arg, struct cache_db *db)
{
	struct flushing f = {arg, db};
	sd_dict_each(&db->keys, flush_one, &f);
}

/* ---- states from elsewhere ---- */

uint64_t copies_stamp_of(struct cache_copies *cc, struct sd_slice key, bool *gone)
{
	const struct cache_item *it = item_of(cc, key);
	const struct copies_tombstone *t = it ? NULL : copies_tombstone(cc, key);
	*gone = t;
	return it ? cache_stamp(it) : t ? t->stamp : 0;
}

bool copies_is_newer(struct cache_copies *cc, const struct copies_state *s)
{
	bool gone;
	uint64_t stamp = copies_stamp_of(cc, s->key, &gone);
	return s->stamp > stamp || (s->stamp == stamp && s->gone && !gone);
}

void copies_drop_item(struct cache_copies *cc, struct cache_item *it)
{
	bool was = cc->applying;
	cc->applying = true;
	cache_delete(copies_db(cc), it);
	cc->applying = was;
}

static bool store(struct cache_copies *cc, const struct copies_state *s)
{
	struct cache_db *db = copies_db(cc);
	struct copies_tombstone *t = copies_tombstone(cc, s->key);
	struct cache_item *it;
	cc->applying = true;
	bool ok = copies_store_image(cc->cache, db, s);
	cc->applying = false;
	if (!ok || !(it = item_of(cc, s->key)))
		return false;
	if (t)
		copies_free_tombstone(cc, t);
	set_stamp(cc, it, s->stamp);
	return true;
}

/* Somebody means us to have keys of a slot that is not ours in our view: another view is on its way, and what its owners told
 * before says nothing any more, also when we have these keys already. */
void copies_has_stray(struct cache_copies *cc, unsigned slot)
{
	if (copies_rank(cc, slot) >= 0)
		return;
	for (size_t i = 0; i < cc->nothers; i++)
		if (cc->others[i])
			copies_remove(&cc->others[i]->has, slot);
	cc->swept_ns = 0;
	copies_remove(&cc->drop, slot);
}

bool copies_apply(struct cache_copies *cc, const struct copies_state *s)
{
	int64_t now = copies_wall(cc);
	if (!cc->agreed && sd_hlc_ms(s->stamp) > now + COPIES_AHEAD_MS)
		return false;
	if (!cc->agreed)
		sd_hlc_seen(&cc->clock, s->stamp);
	cc->cache->now_ms = now;
	cc->stats.received++;
	const struct copies_tombstone *note = s->gone ? copies_tombstone(cc, s->key) : NULL;
	if (!cc->agreed)
		copies_has_stray(cc, sd_slot_of(s->key));
	bool same_note = note && note->ended && note->stamp == s->stamp; /* others know of it: it counts */
	if (!same_note && !copies_is_newer(cc, s)) {
		cc->stats.older++;
		return true;
	}
	cc->stats.applied++;
	bool over = !s->gone && s->ends_ms >= 0 && s->ends_ms <= now;
	if (!s->gone && !over)
		return store(cc, s);
	struct cache_item *it = item_of(cc, s->key);
	if (it)
		copies_drop_item(cc, it);
	if (over)
		bury_ended(cc, s->key, s->stamp);
	else
		bury_deleted(cc, s->key, s->stamp);
	return true;
}

/* ---- with a write quorum ---- */

void copies_restamp(struct cache_copies *cc, struct sd_slice key)
{
	struct cache_item *it = item_of(cc, key);
	struct copies_tombstone *t = it ? NULL : copies_tombstone(cc, key);
	if (it)
		set_stamp(cc, it, next_stamp(cc));
	else if (t)
		bury_deleted(cc, key, next_stamp(cc));
	if (it || t)
		note(cc, key);
}

bool copies_merge(struct cache_copies *cc, const struct copies_state *s)
{
	bool gone;
	if (s->gone || copies_stamp_of(cc, s->key, &gone))
		return true;
	if (!copies_apply(cc, s))
		return false;
	copies_restamp(cc, s->key);
	return true;
}

static void stamp_as_file(void *arg, struct sd_dict_entry *e)
{
	struct cache_copies *cc = arg;
	set_stamp(cc, (struct cache_item *)e, from_file(cc));
}

void copies_restamp_all(struct cache_copies *cc)
{
	struct sd_dict_entry *e;
	while ((e = sd_dict_random(&cc->tombstones, &cc->rng)))
		copies_free_tombstone(cc, (struct copies_tombstone *)e);
	sd_dict_each(&copies_db(cc)->keys, stamp_as_file, cc);
}
