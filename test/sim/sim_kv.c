/* The store in the simulated world: power cuts at every write and sync, faults of every kind, a disk that fills up, bits that flip.
 *
 * A run is a life of a store on one machine, with everything done by hand in one thread: batches, removals of ranges, values that end,
 * snapshots, iterators that stay open meanwhile, flushes, merges, checkpoints, closing and opening. Its ledger is a list of what each key
 * is. Whenever the store was opened:
 *
 *	1  every batch that was acknowledged is there, whole
 *	2  of one that was not, or not yet, all is there or nothing; none comes after one that is missing
 *	3  what was seen once stays
 *
 * and at all times gets, iterators in both directions and snapshots say what the ledger says, or that they cannot say; also after a write
 * that failed. Where not every write is synced, 1 is about those before the last sync, and 2 and 3 hold.
 *
 * Controls, which must be seen to fail: without syncs acknowledged batches are lost; without checksums (all of them are 0, see __wrap_
 * below) flipped bits and torn writes are believed.
 *
 *	SEEDS=n, SEED=k, SEED_FROM=n, ONLY=kv as for the other simulations
 */
#include <check.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/crc32c.h"
#include "core/lsm.h"
#include "core/rng.h"
#include "sdlab/kv.h"
#include "world/file.h"
#include "world/sim.h"
#include "seeds.h"

#ifdef SD_SANITIZED
#define CUT_SEEDS   2
#define LIFE_SEEDS  10
#define FAULT_SEEDS 1
#define FULL_SEEDS  2
#define FLIP_SEEDS  2
#define LOOSE_SEEDS 5
#define TWICE_SEEDS 1
#define COPY_SEEDS  1
#else
#define CUT_SEEDS   8
#define LIFE_SEEDS  60
#define FAULT_SEEDS 3
#define FULL_SEEDS  6
#define FLIP_SEEDS  6
#define LOOSE_SEEDS 40
#define TWICE_SEEDS 4
#define COPY_SEEDS  4
#endif
#define DIR	  "store"
#define COPY	  "copy"
#define KEYS	  48
#define SNAPSHOTS 3
#define STANDING  2
#define VALUE_MAX 20000
#define DOUBTS	  64

/* What each key is: the number of a value, 0: not there. */
struct state {
	uint64_t id[KEYS];
};
struct seen {
	struct sd_kv_snapshot *snapshot;
	struct state state;
};
/* An iterator that stays open, of the keys from `low` to before `high`. */
struct standing {
	struct sd_kv_iter *i;
	struct state state;
	int low, high, at; /* at: a key, or -1 */
};
struct run {
	struct sd_sim *sim;
	struct sd_world *node;
	const char *dir;
	struct sd_kv *kv;
	struct sd_kv_conf conf;
	struct sd_rng rng;
	struct state state;		/* all that was acknowledged */
	struct state doubts[DOUBTS];	/* and with these one after the other, of which nobody knows */
	size_t ndoubts;
	struct state loose[DOUBTS];	/* of these, oldest first, and of `state` any may be what is left when the power goes */
	size_t nloose;
	struct seen seen[SNAPSHOTS];
	struct standing standing[STANDING];
	uint64_t next_id;
	int64_t now_ms;
	unsigned actions;
	bool full;			/* the disk has a bound: its being full is no failure */
	bool reads_fail;		/* reading may fail, and must then say so */
	bool unsure;			/* it could not be read since it was opened: which state it is nobody knows */
	bool syncs_some;		/* writes are synced now and then */
	bool killed;			/* the program, and the kernel has all it wrote: none of `loose` may be what is left */
	uint64_t lost, strange, opens, refused, acked, told, flushed, merged;
	char what[600];
};

/* The control: every checksum is 0. The linker puts this before the one of core/crc32c.h (see the Makefile). */
static bool no_sums;
uint32_t __real_sd_crc32c(uint32_t crc, const void *bytes, size_t n); // NOLINT(bugprone-reserved-identifier)
uint32_t __wrap_sd_crc32c(uint32_t crc, const void *bytes, size_t n); // NOLINT(bugprone-reserved-identifier)
uint32_t __wrap_sd_crc32c(uint32_t crc, const void *bytes, size_t n)  // NOLINT(bugprone-reserved-identifier)
{
	return no_sums ? 0 : __real_sd_crc32c(crc, bytes, n);
}

static void wrong(struct run *r, uint64_t *count, const char *what, uint64_t a, uint64_t b)
{
	(*count)++;
	if (!r->what[0])
		snprintf(r->what, sizeof(r->what), "%s (%" PRIu64 ", %" PRIu64 ")", what, a, b);
}

/* ---- keys and values ---- */

static struct sd_slice key_of(char to[16], unsigned key)
{
	int n = snprintf(to, 16, "key%02u", key);
	return (struct sd_slice){to, key ? (size_t)n : 0}; /* the first is empty */
}

static size_t value_size(uint64_t id)
{
	uint64_t x = id * 0x9e3779b97f4a7c15u;
	x ^= x >> 29;
	return x % 16 == 0 ? x / 16 % VALUE_MAX : x % 4 == 0 ? x / 16 % 2000 : x / 16 % 100;
}

/* One in eight ends: of these half did before it was written. */
static int64_t value_end(uint64_t id, bool own)
{
	return !own || id % 8 ? 0 : id % 16 ? INT64_C(4000000000000) : 1000;
}

static struct sd_slice value_of(uint64_t id)
{
	static char bytes[VALUE_MAX + 8];
	size_t n = value_size(id);
	for (size_t i = 0; i < n; i++)
		bytes[i] = (char)(id * 31 + i * (id | 1) + (i >> 8));
	return (struct sd_slice){bytes, n};
}

static bool is_value(struct sd_slice v, uint64_t id)
{
	struct sd_slice due = value_of(id);
	return v.n == due.n && (v.n == 0 || memcmp(v.p, due.p, v.n) == 0);
}

/* ---- what is there ---- */

static bool may_fail(struct run *r, enum sd_err err)
{
	if (!err || err == SD_ENOTFOUND)
		return false;
	r->told++;
	return r->reads_fail || !sd_sim_is_up(r->node);
}

static void get_key(struct run *r, const struct seen *s, unsigned key)
{
	char bytes[16];
	struct sd_kv_value v = {0};
	struct sd_error e = {0};
	uint64_t due = s ? s->state.id[key] : r->state.id[key];
	enum sd_err err = sd_kv_get(r->kv, s ? s->snapshot : NULL, key_of(bytes, key), &v, &e);
	struct sd_kv_value *got = &v;
	if (err && err != SD_ENOTFOUND) {
		if (!may_fail(r, err))
			wrong(r, &r->strange, e.text, key, due);
	} else if (err == SD_ENOTFOUND ? due != 0 : !due || !is_value((struct sd_slice){got->p, got->n}, due))
		wrong(r, &r->strange, s ? "a snapshot's get differs" : "a get differs", key, due);
	sd_kv_value_free(&v);
}

static unsigned key_number(struct sd_slice key)
{
	if (key.n == 0)
		return 0;
	if (key.n != 5 || memcmp(key.p, "key", 3) != 0)
		return KEYS;
	return (unsigned)(key.p[3] - '0') * 10 + (unsigned)(key.p[4] - '0');
}

/* Does an iterator find what is due, all of it, in order? */
static bool match_state(struct sd_kv_iter *i, bool back, const struct state *due, struct sd_error *e)
{
	unsigned left = 0, at = back ? KEYS : 0;
	bool valid = back ? sd_kv_iter_last(i) : sd_kv_iter_first(i);
	for (unsigned k = 0; k < KEYS; k++)
		left += due->id[k] != 0;
	for (; valid; valid = back ? sd_kv_iter_prev(i) : sd_kv_iter_next(i), left--) {
		unsigned key = key_number(sd_kv_iter_key(i));
		if (key >= KEYS || left == 0 || (back ? key >= at : key < at) || !due->id[key])
			return false;
		struct sd_slice value = sd_kv_iter_value(i);
		if (sd_kv_iter_err(i, e))
			return false;
		if (!is_value(value, due->id[key]))
			return false;
		at = back ? key : key + 1;
	}
	return sd_kv_iter_err(i, e) == SD_OK && left == 0;
}

enum verdict { SAME, DIFFERENT, NOT_TOLD };

static enum verdict look_at(struct run *r, const struct sd_kv_snapshot *snapshot, const struct state *due, bool back, struct sd_error *e)
{
	struct sd_kv_iter *i;
	*e = (struct sd_error){0};
	enum sd_err err = sd_kv_iter_new(r->kv, &(struct sd_kv_span){.snapshot = snapshot}, &i, e);
	if (err)
		return may_fail(r, err) ? NOT_TOLD : DIFFERENT;
	bool same = match_state(i, back, due, e);
	err = sd_kv_iter_err(i, e);
	sd_kv_iter_free(i);
	return same ? SAME : err && may_fail(r, err) ? NOT_TOLD : DIFFERENT;
}

static void scan(struct run *r, const struct seen *s, bool back)
{
	struct sd_error e;
	if (look_at(r, s ? s->snapshot : NULL, s ? &s->state : &r->state, back, &e) == DIFFERENT)
		wrong(r, &r->strange, e.text[0] ? e.text : s ? "a snapshot's iterator differs" : "an iterator differs", back, r->acked);
}

/* From k on in a direction, the first that is there and within bounds; -1: none. */
static int next_there(const struct standing *s, int k, int step)
{
	for (; k >= s->low && k < s->high; k += step)
		if (s->state.id[k])
			return k;
	return -1;
}

/* Moves, and says where it should stand. */
static bool move_standing(struct run *r, struct standing *s)
{
	char bytes[16];
	uint32_t how = sd_rng_below(&r->rng, 12);
	int k = (int)sd_rng_below(&r->rng, KEYS);
	if (s->at >= 0 && how < 5) {
		s->at = next_there(s, s->at + 1, 1);
		return sd_kv_iter_next(s->i);
	}
	if (s->at >= 0 && how < 9) {
		s->at = next_there(s, s->at - 1, -1);
		return sd_kv_iter_prev(s->i);
	}
	switch (how % 4) {
	case 0:
		s->at = next_there(s, s->low, 1);
		return sd_kv_iter_first(s->i);
	case 1:
		s->at = next_there(s, s->high - 1, -1);
		return sd_kv_iter_last(s->i);
	case 2:
		s->at = next_there(s, k < s->low ? s->low : k, 1);
		return sd_kv_iter_seek(s->i, key_of(bytes, (unsigned)k));
	default:
		s->at = next_there(s, k < s->high ? k : s->high - 1, -1);
		return sd_kv_iter_seek_back(s->i, key_of(bytes, (unsigned)k));
	}
}

static void let_go(struct standing *s)
{
	sd_kv_iter_free(s->i);
	s->i = NULL;
}

static void step_standing(struct run *r, struct standing *s)
{
	struct sd_error e = {0};
	bool valid = move_standing(r, s);
	struct sd_slice value = valid ? sd_kv_iter_value(s->i) : (struct sd_slice){NULL, 0};
	enum sd_err err = sd_kv_iter_err(s->i, &e);
	if (err) {
		if (!may_fail(r, err))
			wrong(r, &r->strange, e.text, r->acked, 0);
		let_go(s);
	} else if (valid != (s->at >= 0) ||
		   (valid && ((int)key_number(sd_kv_iter_key(s->i)) != s->at || !is_value(value, s->state.id[s->at])))) {
		wrong(r, &r->strange, "an iterator that stayed open differs", (uint64_t)s->at, r->acked);
		let_go(s);
	}
}

/* Opened now and then, moved a little each time, and let go of after a while: writes, flushes and merges come in between. */
static void stand(struct run *r, const struct seen *at)
{
	char low[16], high[16];
	struct standing *s = &r->standing[sd_rng_below(&r->rng, STANDING)];
	if (!s->i) {
		*s = (struct standing){.state = at ? at->state : r->state, .at = -1};
		s->low = sd_rng_below(&r->rng, 2) ? 0 : (int)sd_rng_below(&r->rng, KEYS);
		s->high = sd_rng_below(&r->rng, 2) ? KEYS : (int)sd_rng_below(&r->rng, KEYS);
		struct sd_slice from = key_of(low, (unsigned)s->low), to = key_of(high, (unsigned)s->high);
		struct sd_kv_span span = {
		    .snapshot = at ? at->snapshot : NULL, .from = s->low ? &from : NULL, .to = s->high < KEYS ? &to : NULL};
		enum sd_err err = sd_kv_iter_new(r->kv, &span, &s->i, NULL);
		if (err) {
			s->i = NULL;
			if (!may_fail(r, err))
				wrong(r, &r->strange, "an iterator is refused", err, r->acked);
		}
	}
	for (unsigned i = 0; s->i && i < 8; i++)
		step_standing(r, s);
	if (sd_rng_below(&r->rng, 6) == 0)
		let_go(s);
}

/* After opening: which of the states that may be is it? That it is from now on. */
static void compare(struct run *r)
{
	struct sd_error e;
	enum verdict v = DIFFERENT;
	for (size_t i = r->nloose + 1 + r->ndoubts; i-- > (r->killed ? r->nloose : 0) && v == DIFFERENT;) {
		const struct state *due = i < r->nloose ? &r->loose[i] : i == r->nloose ? &r->state : &r->doubts[i - r->nloose - 1];
		v = look_at(r, NULL, due, false, &e);
		if (v == SAME)
			r->state = *due;
	}
	if (v == DIFFERENT)
		wrong(r, &r->lost, e.text[0] ? e.text : "neither what was acknowledged nor what may be", r->acked, r->ndoubts);
	r->unsure = v == NOT_TOLD && r->ndoubts + r->nloose > 0;
	if (v != NOT_TOLD) {
		r->ndoubts = r->nloose = 0; /* what was read from logs was synced */
	}
	r->killed = false;
}

/* ---- writing ---- */

/* What a batch makes of some keys. */
struct edit {
	bool some[KEYS];
	uint64_t id[KEYS];
};

static void edit_key(struct edit *e, unsigned key, uint64_t id)
{
	e->some[key] = true;
	e->id[key] = id;
}

static struct state edited(const struct state *before, const struct edit *e)
{
	struct state after = *before;
	for (unsigned k = 0; k < KEYS; k++)
		if (e->some[k])
			after.id[k] = e->id[k];
	return after;
}

static void put_some(struct run *r, struct sd_kv_batch *b, struct edit *e, bool own)
{
	char bytes[16], end[16];
	uint32_t dice = sd_rng_below(&r->rng, 100);
	unsigned key = sd_rng_below(&r->rng, KEYS), to = key + 1 + sd_rng_below(&r->rng, 8);
	struct sd_slice k = key_of(bytes, key), limit = key_of(end, to < KEYS ? to : KEYS - 1);
	if (dice < 25) {
		sd_kv_batch_delete(b, k);
		edit_key(e, key, 0);
	} else if (dice < 32 && to < KEYS) {
		sd_kv_batch_delete_range(b, k, dice < 31 ? &limit : NULL);
		for (unsigned i = key; i < (dice < 31 ? to : KEYS); i++)
			edit_key(e, i, 0);
	} else {
		uint64_t id = ++r->next_id;
		int64_t until = value_end(id, own);
		if (until)
			sd_kv_batch_put_until(b, k, value_of(id), until);
		else
			sd_kv_batch_put(b, k, value_of(id));
		edit_key(e, key, until && until <= r->now_ms ? 0 : id);
	}
}

static void synced(struct run *r, enum sd_err err)
{
	if (!err)
		r->nloose = 0;
}

/* The state of now may be what is left when the power goes. */
static void loosen(struct run *r)
{
	if (!r->syncs_some)
		return;
	if (r->nloose == DOUBTS)
		memmove(r->loose, r->loose + 1, --r->nloose * sizeof(r->loose[0])); /* for how long, see write_batch */
	r->loose[r->nloose++] = r->state;
}

static void acknowledged(struct run *r, const struct state *now)
{
	bool differs = memcmp(&r->state, now, sizeof(*now)) != 0; /* one that removes nothing may leave nothing in the log */
	if (r->conf.sync == SD_KV_ALWAYS)
		r->nloose = 0;
	else if (differs)
		loosen(r);
	r->state = *now;
	r->acked++;
}

/* What became of a write: there, not there, or nobody knows. Where a later one is acknowledged, work behind had failed and was done
 * when it was tried again: nothing of what was refused meanwhile was kept, and all is well. What else fails stays so. */
static void outcome(struct run *r, enum sd_err err, const struct edit *edit)
{
	const struct state *last = r->ndoubts ? &r->doubts[r->ndoubts - 1] : &r->state;
	if (!err) {
		struct state now = edited(&r->state, edit);
		if (r->ndoubts && sd_kv_health(r->kv, NULL))
			wrong(r, &r->strange, "acknowledged after one that failed", r->acked, r->ndoubts);
		r->ndoubts = 0;
		acknowledged(r, &now);
	} else if (!sd_sim_is_up(r->node) || (err != SD_ENOSPC && sd_kv_health(r->kv, NULL))) {
		if (r->ndoubts < DOUBTS) {
			r->doubts[r->ndoubts] = edited(last, edit);
			r->ndoubts++;
		}
	} /* otherwise it goes on, and nothing of it was kept; as SD_ENOSPC says wherever it comes from */
}

static void write_batch(struct run *r)
{
	struct sd_error e;
	struct edit edit = {0};
	struct sd_kv_batch *b = sd_kv_batch_new(false);
	bool own = r->conf.format == SD_KV_SDLAB;
	uint32_t n = 1 + sd_rng_below(&r->rng, sd_rng_below(&r->rng, 20) ? 4 : 60);
	for (uint32_t i = 0; i < n; i++)
		put_some(r, b, &edit, own);
	if (r->nloose == DOUBTS)
		synced(r, sd_kv_sync(r->kv, &e));
	outcome(r, sd_kv_write(r->kv, b, &e), &edit);
	sd_kv_batch_free(b);
}

static void swap_value(struct run *r)
{
	char bytes[16];
	struct sd_error e;
	unsigned key = sd_rng_below(&r->rng, KEYS);
	uint64_t id = ++r->next_id, now = r->state.id[key];
	static char before[VALUE_MAX]; /* value_of has one place */
	struct sd_slice expected = value_of(now), value;
	struct edit edit = {0};
	if (r->ndoubts || r->unsure)
		return;
	memcpy(before, expected.p, expected.n);
	expected.p = before;
	value = value_of(id);
	edit_key(&edit, key, id);
	enum sd_err err = sd_kv_compare_and_set(r->kv, key_of(bytes, key), now ? &expected : NULL, &value, 0, &e);
	if (err == SD_EAGAIN)
		wrong(r, &r->strange, "compare-and-set finds another value", key, now);
	outcome(r, err, &edit);
}

static void snapshot(struct run *r)
{
	struct seen *s = &r->seen[sd_rng_below(&r->rng, SNAPSHOTS)];
	sd_kv_snapshot_free(r->kv, s->snapshot);
	s->snapshot = NULL;
	if (r->unsure || sd_rng_below(&r->rng, 3) == 0)
		return;
	s->snapshot = sd_kv_snapshot_new(r->kv);
	s->state = r->state;
}

static void read_some(struct run *r)
{
	const struct seen *s = &r->seen[sd_rng_below(&r->rng, SNAPSHOTS)];
	if (r->unsure)
		return;
	if (!s->snapshot || sd_rng_below(&r->rng, 2))
		s = NULL;
	if (sd_rng_below(&r->rng, 3) == 0)
		scan(r, s, sd_rng_below(&r->rng, 2));
	stand(r, s);
	for (unsigned i = 0; i < 4; i++)
		get_key(r, s, sd_rng_below(&r->rng, KEYS));
}

static void flush(struct run *r)
{
	enum sd_err err = sd_kv_flush(r->kv, NULL);
	synced(r, err);
	r->flushed += err == SD_OK;
}

static void merge(struct run *r)
{
	char a[16], b[16];
	struct sd_slice from = key_of(a, sd_rng_below(&r->rng, KEYS)), to = key_of(b, sd_rng_below(&r->rng, KEYS));
	bool whole = sd_rng_below(&r->rng, 2);
	enum sd_err err = sd_kv_compact(r->kv, whole ? NULL : &from, whole ? NULL : &to, NULL);
	synced(r, err);
	r->merged += err == SD_OK;
}

static void act(struct run *r)
{
	uint32_t what = sd_rng_below(&r->rng, 100);
	if (what < 58)
		write_batch(r);
	else if (what < 62)
		swap_value(r);
	else if (what < 73)
		read_some(r);
	else if (what < 78)
		snapshot(r);
	else if (what < 85)
		flush(r);
	else if (what < 88)
		merge(r);
	else if (what < 89)
		synced(r, sd_kv_sync(r->kv, NULL));
	else
		for (unsigned i = 0; i < 6 && sd_kv_work(r->kv); i++)
			;
}

/* ---- lives ---- */

static void shut(struct run *r)
{
	struct sd_error e;
	if (!r->kv)
		return;
	for (unsigned i = 0; i < SNAPSHOTS; i++) {
		sd_kv_snapshot_free(r->kv, r->seen[i].snapshot);
		r->seen[i].snapshot = NULL;
	}
	for (unsigned i = 0; i < STANDING; i++)
		let_go(&r->standing[i]);
	enum sd_err err = sd_kv_close(r->kv, &e);
	if (sd_sim_is_up(r->node))
		synced(r, err);
	r->kv = NULL;
}

/* Opens the store; false when the power went meanwhile, or it was refused. */
static bool set_up(struct run *r)
{
	struct sd_error e = {0};
	sd_sim_boot(r->node);
	r->opens++;
	enum sd_err err = sd_kv_open(r->dir, &r->conf, &r->kv, &e);
	if (err) {
		r->kv = NULL;
		r->killed = false;
		r->told++;
		if (sd_sim_is_up(r->node) && (err == SD_EDAMAGED || err == SD_EUNSUPPORTED || err == SD_EEXISTS) && !r->reads_fail)
			wrong(r, &r->refused, e.text, 0, 0);
		return false;
	}
	compare(r);
	return true;
}

static void live(struct run *r)
{
	for (; r->actions > 0 && sd_sim_is_up(r->node); r->actions--)
		act(r);
}

static int64_t clock_of(void *arg)
{
	return ((struct run *)arg)->now_ms;
}

static void begin(struct run *r, uint64_t seed, enum sd_kv_sync sync)
{
	static const uint32_t blocks[] = {200, 1000, 4096};
	*r = (struct run){.sim = sd_sim_new(seed), .dir = DIR, .now_ms = INT64_C(1700000000000)};
	sd_rng_seed(&r->rng, seed);
	r->node = sd_sim_node(r->sim, "disk");
	sd_sim_disk(r->node)->stale = seed % 2;
	r->conf = (struct sd_kv_conf){
	    .format = seed % 3 == 0 ? SD_KV_LEVELDB : SD_KV_SDLAB,
	    .sync = sync,
	    .style = seed % 4 == 1 ? SD_KV_TIERED : SD_KV_LEVELED,
	    .background = SD_KV_BY_HAND,
	    .memtable_bytes = 65536,
	    .cache_bytes = 20000,
	    .table_bytes = 5000,
	    .level_bytes = 10000,
	    .block_bytes = blocks[sd_rng_below(&r->rng, 3)],
	    .blob_from = 1000,
	    .open_files = 8,
	    .world = r->node,
	    .now_ms = clock_of,
	    .arg = r,
	};
}

/* One in four syncs only when it is asked to. */
static void begin_synced_or_not(struct run *r, uint64_t seed)
{
	begin(r, seed, seed % 4 == 3 ? SD_KV_NO : SD_KV_ALWAYS);
	r->syncs_some = r->conf.sync != SD_KV_ALWAYS;
}

static void end(struct run *r)
{
	shut(r);
	sd_sim_free(r->sim);
}

/* One more life without faults, so that what the last one left is looked at; and written to. */
static void look(struct run *r)
{
	sd_sim_power_cut_at(r->node, 0);
	for (unsigned op = 0; op < SD_SIM_OPS; op++)
		sd_sim_fail(r->node, op, 0, 0, 0);
	r->reads_fail = false;
	if (!set_up(r)) {
		wrong(r, &r->refused, "it does not open", r->acked, 0);
		return;
	}
	uint64_t acked = r->acked;
	for (unsigned i = 0; i < 3; i++)
		write_batch(r);
	if (r->acked != acked + 3)
		wrong(r, &r->strange, "it takes no writes", r->acked, acked);
	scan(r, NULL, true);
	for (unsigned k = 0; k < KEYS; k++)
		get_key(r, NULL, k);
	shut(r);
	if (set_up(r))
		shut(r);
}

static void good(struct run *r, uint64_t seed, uint64_t n)
{
	if (!r->lost && !r->strange && !r->refused)
		return;
	sd_sim_print_trace(r->sim, stdout, 60);
	ck_abort_msg("seed %" PRIu64 ", place %" PRIu64 ": %s", seed, n, r->what);
}

/* ---- 1: the power goes at every place of a short life, after a longer one ---- */

/* Until the log is about to go on in its next block: what comes is written in two pieces. */
static void fill_block(struct run *r)
{
	struct sd_kv_stats s = {0};
	for (unsigned i = 0; i < 300 && s.log_bytes % 32768 < 31000; i++) {
		write_batch(r);
		sd_kv_stats_get(r->kv, &s);
	}
}

static bool cut_at(uint64_t seed, uint64_t n, enum sd_kv_sync sync, uint64_t *lost)
{
	static struct run r;
	begin(&r, seed, sync);
	if (seed % 2) { /* tables are there already */
		r.actions = 40;
		if (set_up(&r))
			live(&r);
		shut(&r);
	}
	r.actions = 10;
	bool two_blocks = seed % 4 > 1;
	if (!two_blocks)
		sd_sim_power_cut_at(r.node, n);
	if (set_up(&r)) {
		if (two_blocks) {
			fill_block(&r);
			sd_sim_power_cut_at(r.node, n);
		}
		live(&r);
	}
	bool cut = !sd_sim_is_up(r.node);
	if (!cut)
		sd_sim_power_cut(r.node);
	shut(&r);
	look(&r);
	if (lost) {
		*lost += r.lost + r.strange + (no_sums ? r.refused : 0) > 0;
		r.lost = r.strange = 0;
		r.refused = no_sums ? 0 : r.refused; /* for want of syncs nothing is refused */
	}
	good(&r, seed, n);
	end(&r);
	return cut;
}

START_TEST(power_cut_everywhere)
{
	uint64_t from, to, runs = 0;
	sim_seeds(CUT_SEEDS, &from, &to);
	for (uint64_t seed = from; seed <= to; seed++)
		for (uint64_t n = 1; runs++, cut_at(seed, n, SD_KV_ALWAYS, NULL); n++)
			;
	printf("power cuts: %" PRIu64 " places in %" PRIu64 " seeds\n", runs, to - from + 1);
}
END_TEST

START_TEST(without_syncs)
{
	uint64_t lost = 0;
	for (uint64_t seed = 1; seed <= 3; seed++)
		for (uint64_t n = 1; n < 40 && cut_at(seed, n, SD_KV_NO, &lost); n++)
			;
	printf("control: without syncs %" PRIu64 " runs lost acknowledged batches\n", lost);
	ck_assert_uint_gt(lost, 0);
}
END_TEST

/* The power goes at a place of a life, and again at a place of the opening that follows. */
static bool cut_twice(uint64_t seed, uint64_t first, uint64_t second)
{
	static struct run r;
	begin(&r, seed, SD_KV_ALWAYS);
	r.actions = 60;
	sd_sim_power_cut_at(r.node, first);
	if (set_up(&r))
		live(&r);
	if (sd_sim_is_up(r.node))
		sd_sim_power_cut(r.node);
	shut(&r);
	sd_sim_power_cut_at(r.node, second);
	set_up(&r);
	bool cut = !sd_sim_is_up(r.node);
	if (!cut)
		sd_sim_power_cut(r.node);
	shut(&r);
	look(&r);
	good(&r, seed, first * 1000 + second);
	end(&r);
	return cut;
}

START_TEST(power_cut_in_opening)
{
	uint64_t from, to, runs = 0;
	sim_seeds(TWICE_SEEDS, &from, &to);
	for (uint64_t seed = from; seed <= to; seed++)
		for (uint64_t n = 1; runs++, cut_twice(seed, 20 + seed * 7919 % 60, n); n++)
			;
	printf("power cuts in opening after a power cut: %" PRIu64 " places in %" PRIu64 " seeds\n", runs, to - from + 1);
}
END_TEST

/* ---- 2: many lives of one store, each ending in another way ---- */

static void one_life(struct run *r)
{
	uint32_t fate = sd_rng_below(&r->rng, 5);
	r->actions = 10 + sd_rng_below(&r->rng, 60);
	r->now_ms += sd_rng_below(&r->rng, 1000);
	r->conf.memtable_bytes = UINT64_C(65536) << sd_rng_below(&r->rng, 4); /* a long log may be more than one memtable the next time */
	if (fate <= 1)
		sd_sim_power_cut_at(r->node, 1 + sd_rng_below(&r->rng, 120));
	if (fate == 2)
		sd_sim_fail(r->node, sd_rng_below(&r->rng, 2) ? SD_SIM_SYNC : SD_SIM_WRITE, 1 + sd_rng_below(&r->rng, 40), 1, 5);
	if (set_up(r))
		live(r);
	if (sd_sim_is_up(r->node) && fate == 3)
		sd_sim_kill(r->node);
	if (sd_sim_is_up(r->node) && fate == 2 && sd_rng_below(&r->rng, 2))
		sd_sim_power_cut(r->node);
	shut(r);
	sd_sim_power_cut_at(r->node, 0);
	sd_sim_fail(r->node, SD_SIM_SYNC, 0, 0, 0);
	sd_sim_fail(r->node, SD_SIM_WRITE, 0, 0, 0);
}

START_TEST(many_lives)
{
	static struct run r;
	uint64_t from, to, opens = 0, acked = 0, flushed = 0, merged = 0;
	sim_seeds(LIFE_SEEDS, &from, &to);
	for (uint64_t seed = from; seed <= to; seed++) {
		begin(&r, seed, SD_KV_ALWAYS);
		for (unsigned life = 0; life < 8; life++)
			one_life(&r);
		look(&r);
		good(&r, seed, 0);
		opens += r.opens;
		acked += r.acked;
		flushed += r.flushed;
		merged += r.merged;
		end(&r);
	}
	printf("lives: %" PRIu64 " opened, %" PRIu64 " batches acknowledged, %" PRIu64 " flushes and %" PRIu64 " merges asked for\n", opens, acked,
	       flushed, merged);
	ck_assert_uint_gt(flushed, 0);
}
END_TEST

/* A process that is killed loses nothing that was acknowledged, whatever `sync` is. */
START_TEST(killed_without_syncs)
{
	static struct run r;
	uint64_t from, to;
	sim_seeds(FULL_SEEDS, &from, &to);
	for (uint64_t seed = from; seed <= to; seed++) {
		begin(&r, seed, SD_KV_NO);
		for (unsigned life = 0; life < 4; life++) {
			r.actions = 40;
			if (set_up(&r))
				live(&r);
			sd_sim_kill(r.node);
			shut(&r);
		}
		look(&r);
		good(&r, seed, 0);
		end(&r);
	}
}
END_TEST

static void loose_life(struct run *r)
{
	static const enum sd_kv_sync modes[] = {SD_KV_NO, SD_KV_EVERYSEC, SD_KV_ALWAYS};
	uint32_t fate = sd_rng_below(&r->rng, 4);
	uint64_t failed = sd_sim_failed(r->node);
	r->conf.memtable_bytes = UINT64_C(65536) << sd_rng_below(&r->rng, 4);
	r->conf.sync = modes[sd_rng_below(&r->rng, 2)];
	if (fate <= 1)
		sd_sim_power_cut_at(r->node, 1 + sd_rng_below(&r->rng, 80));
	if (fate == 3 && sd_rng_below(&r->rng, 3) == 0)
		sd_sim_fail(r->node, SD_SIM_SYNC, 1 + sd_rng_below(&r->rng, 5), 1, 5);
	if (set_up(r))
		for (unsigned i = 20 + sd_rng_below(&r->rng, 60); i > 0 && sd_sim_is_up(r->node); i--) {
			if (sd_rng_below(&r->rng, 6) == 0) {
				r->conf.sync = modes[sd_rng_below(&r->rng, 3)];
				sd_kv_set_sync(r->kv, r->conf.sync);
			}
			sd_sim_run_to(r->sim, sd_sim_now_ns(r->sim) + INT64_C(1000000) * sd_rng_below(&r->rng, 200));
			act(r);
		}
	if (sd_sim_is_up(r->node) && fate == 2) {
		sd_sim_kill(r->node);
		r->killed = sd_sim_failed(r->node) == failed;
	}
	if (sd_sim_is_up(r->node) && fate == 3 && sd_rng_below(&r->rng, 2))
		sd_sim_power_cut(r->node);
	shut(r);
	sd_sim_power_cut_at(r->node, 0);
	sd_sim_fail(r->node, SD_SIM_SYNC, 0, 0, 0);
}

/* Where writes are synced now and then, or some of them: what was written before a sync is there, and of what came after it the first ones
 * up to some batch. */
START_TEST(syncs_now_and_then)
{
	static struct run r;
	uint64_t from, to, opens = 0, acked = 0;
	sim_seeds(LOOSE_SEEDS, &from, &to);
	for (uint64_t seed = from; seed <= to; seed++) {
		begin(&r, seed, SD_KV_NO);
		r.syncs_some = true;
		for (unsigned life = 0; life < 8; life++)
			loose_life(&r);
		r.conf.sync = SD_KV_ALWAYS;
		look(&r);
		good(&r, seed, 0);
		opens += r.opens;
		acked += r.acked;
		end(&r);
	}
	printf("with some syncs: %" PRIu64 " opened, %" PRIu64 " batches acknowledged\n", opens, acked);
}
END_TEST

/* A checkpoint while the power goes at a place of it: made, it is on the disk; not made, it is no store, or whole. */
static bool checkpoint_cut_at(uint64_t seed, uint64_t n, uint64_t *made)
{
	static struct run r;
	begin(&r, seed, SD_KV_ALWAYS);
	r.actions = 60;
	ck_assert(set_up(&r));
	live(&r);
	r.ndoubts = 0; /* nothing has failed */
	sd_sim_power_cut_at(r.node, n);
	bool done = sd_kv_checkpoint(r.kv, COPY, NULL) == SD_OK, cut = !sd_sim_is_up(r.node);
	struct state then = r.state;
	sd_sim_power_cut_at(r.node, 0);
	if (!cut) {
		write_batch(&r); /* which it does not have */
		sd_sim_power_cut(r.node);
	}
	r.state = then;
	shut(&r);
	*made += done;
	sd_sim_boot(r.node);
	r.dir = COPY;
	r.conf.mode = SD_KV_OPEN;
	r.reads_fail = !done;
	if (set_up(&r))
		scan(&r, NULL, true);
	else if (done)
		wrong(&r, &r.lost, "an acknowledged checkpoint is no store", n, seed);
	if (memcmp(&r.state, &then, sizeof(then)) != 0)
		wrong(&r, &r.lost, "a checkpoint is of another time", n, seed);
	shut(&r);
	good(&r, seed, n);
	end(&r);
	return cut;
}

START_TEST(checkpoints)
{
	uint64_t from, to, runs = 0, made = 0;
	sim_seeds(COPY_SEEDS, &from, &to);
	for (uint64_t seed = from; seed <= to; seed++)
		for (uint64_t n = 1; runs++, checkpoint_cut_at(seed, n, &made); n++)
			;
	printf("checkpoints: %" PRIu64 " power cuts, %" PRIu64 " were made\n", runs, made);
	ck_assert_uint_gt(made, 0);
}
END_TEST

/* ---- 3: operation 1, 2, 3 ... fails ---- */

static bool fail_at(uint64_t seed, enum sd_sim_op op, uint64_t n, int err, bool power)
{
	static const uint64_t times[] = {1, 1, 2, 6, 100000}; /* the last: it does not become good again */
	static struct run r;
	begin_synced_or_not(&r, seed);
	sd_sim_fail(r.node, op, n, times[(n + seed) % 5], err);
	r.reads_fail = true;
	for (unsigned life = 0; life < 2; life++) {
		r.actions = 25;
		if (set_up(&r))
			live(&r);
		shut(&r);
	}
	uint64_t failed = sd_sim_failed(r.node);
	if (power)
		sd_sim_power_cut(r.node);
	look(&r);
	good(&r, seed, n + 100000 * op + (err == 28 ? 1000000 : 0));
	end(&r);
	return failed > 0;
}

START_TEST(fail_everything)
{
	static const enum sd_sim_op ops[] = {SD_SIM_OPEN, SD_SIM_READ, SD_SIM_WRITE, SD_SIM_SYNC, SD_SIM_ALLOCATE, SD_SIM_NAME};
	uint64_t from, to, runs = 0;
	sim_seeds(FAULT_SEEDS, &from, &to);
	for (uint64_t seed = from; seed <= to; seed++)
		for (unsigned i = 0; i < sizeof(ops) / sizeof(*ops); i++)
			for (uint64_t n = 1; runs++, fail_at(seed, ops[i], n, (n + seed / 2) % 2 ? 5 : 28, (n + seed) % 2); n++)
				;
	printf("faults: %" PRIu64 " runs\n", runs);
}
END_TEST

/* A disk that fills up: writes are refused with a cause, reads go on, and with room it goes on without being opened anew. */
START_TEST(full_disk)
{
	static struct run r;
	struct sd_error e;
	uint64_t from, to, refusals = 0;
	sim_seeds(FULL_SEEDS, &from, &to);
	for (uint64_t seed = from; seed <= to; seed++) {
		begin_synced_or_not(&r, seed);
		r.full = true;
		sd_sim_disk(r.node)->capacity = 150000 + seed % 64 * 1000;
		ck_assert_msg(set_up(&r), "seed %" PRIu64, seed);
		uint64_t refused = 0;
		for (unsigned i = 0; i < 3000 && refused < 20; i++) {
			uint64_t acked = r.acked;
			write_batch(&r);
			refused += r.acked == acked;
			if (i % 16 == 0)
				act(&r);
			if (refused && i % 4 == 0)
				read_some(&r);
		}
		ck_assert_msg(refused > 0, "seed %" PRIu64 ": the disk never was full", seed);
		enum sd_err health = sd_kv_health(r.kv, &e);
		if (health && health != SD_ENOSPC)
			wrong(&r, &r.strange, e.text, r.ndoubts, seed);
		refusals += refused;
		sd_sim_disk(r.node)->capacity = 0;
		sd_sim_run_to(r.sim, sd_sim_now_ns(r.sim) + INT64_C(2000000000));
		for (unsigned i = 0; i < 2000 && sd_kv_work(r.kv); i++)
			;
		if (sd_kv_health(r.kv, &e))
			wrong(&r, &r.strange, e.text, seed, 0);
		uint64_t acked = r.acked;
		for (unsigned i = 0; i < 3; i++)
			write_batch(&r);
		if (r.acked != acked + 3)
			wrong(&r, &r.strange, "there is room, and it takes no writes", r.acked, acked);
		scan(&r, NULL, false);
		if (seed % 2)
			sd_sim_power_cut(r.node);
		shut(&r);
		look(&r);
		good(&r, seed, 0);
		end(&r);
	}
	printf("full disks: %" PRIu64 " refusals\n", refusals);
}
END_TEST

/* ---- 4: bits flip ---- */

/* While it is read: an answer is right, or there is none. */
START_TEST(bits_flip_in_reading)
{
	static struct run r;
	uint64_t from, to, told = 0;
	sim_seeds(FLIP_SEEDS, &from, &to);
	for (uint64_t seed = from; seed <= to; seed++) {
		begin(&r, seed, SD_KV_ALWAYS);
		r.conf.cache_bytes = 1;
		r.actions = 150;
		ck_assert(set_up(&r));
		live(&r);
		sd_kv_flush(r.kv, NULL);
		sd_sim_disk(r.node)->flip_read_ppm = 100000;
		r.reads_fail = true;
		for (unsigned i = 0; i < 50; i++)
			read_some(&r);
		sd_sim_disk(r.node)->flip_read_ppm = 0;
		r.reads_fail = false;
		scan(&r, NULL, false);
		told += r.told;
		shut(&r);
		look(&r);
		good(&r, seed, 0);
		end(&r);
	}
	printf("flipped in reading: %" PRIu64 " times told\n", told);
	ck_assert_uint_gt(told, 0);
}
END_TEST

static uint64_t file_size(struct run *r, const char *path)
{
	struct sd_file *f;
	uint64_t size = 0;
	if (sd_file_open(r->node, path, 0, &f, NULL))
		return 0;
	sd_file_size(f, &size, NULL);
	sd_file_close(f);
	return size;
}

/* A bit of any file of a closed store: what is read is right, or it is told. */
START_TEST(bits_flip_on_the_disk)
{
	static struct run r;
	uint64_t from, to, flips = 0, told = 0;
	sim_seeds(FLIP_SEEDS, &from, &to);
	for (uint64_t seed = from; seed <= to; seed++) {
		begin(&r, seed, SD_KV_ALWAYS);
		r.actions = 120;
		ck_assert(set_up(&r));
		live(&r);
		shut(&r);
		char **names = sd_world_list_dir(r.node, DIR);
		for (char **p = names; p && *p; p++) {
			char path[300];
			snprintf(path, sizeof(path), DIR "/%s", *p);
			uint64_t size = file_size(&r, path);
			for (unsigned i = 0; size > 0 && i < 4; i++) {
				uint64_t bit = sd_rng_next(&r.rng) % (size * 8);
				struct state state = r.state;
				struct sd_kv_conf conf = r.conf;
				sd_sim_flip(r.node, path, bit);
				r.conf.mode = SD_KV_READ_ONLY;
				r.reads_fail = true;
				if (set_up(&r)) {
					for (unsigned k = 0; k < KEYS; k++)
						get_key(&r, NULL, k);
					shut(&r);
				}
				r.conf = conf;
				r.reads_fail = false;
				r.ndoubts = 0;
				r.state = state;
				sd_sim_flip(r.node, path, bit);
				flips++;
				if (r.what[0])
					printf("%s, bit %" PRIu64 " of %" PRIu64 "\n", path, bit, 8 * size);
				good(&r, seed, bit);
			}
			free(*p);
		}
		free(names);
		told += r.told;
		look(&r);
		good(&r, seed, 0);
		end(&r);
	}
	printf("flipped on the disk: %" PRIu64 " bits, %" PRIu64 " times told\n", flips, told);
	ck_assert_uint_gt(told, 0);
}
END_TEST

static void remove_all(struct run *r, const char *dir)
{
	char path[300];
	char **names = sd_world_list_dir(r->node, dir);
	for (char **p = names; p && *p; p++) {
		snprintf(path, sizeof(path), "%s/%s", dir, *p);
		sd_world_unlink(r->node, path);
		free(*p);
	}
	free(names);
}

static void copy_file(struct run *r, const char *name)
{
	char from[300], to[300];
	snprintf(from, sizeof(from), DIR "/%s", name);
	snprintf(to, sizeof(to), COPY "/%s", name);
	uint64_t size = file_size(r, from);
	char *bytes = malloc(size + 1);
	struct sd_file *a, *b;
	size_t got = 0;
	ck_assert_ptr_nonnull(bytes);
	ck_assert_int_eq(sd_file_open(r->node, from, 0, &a, NULL), SD_OK);
	ck_assert_int_eq(sd_file_open(r->node, to, SD_FILE_WRITE | SD_FILE_CREATE | SD_FILE_TRUNCATE, &b, NULL), SD_OK);
	ck_assert_int_eq(sd_file_read(a, bytes, (size_t)size, 0, &got, NULL), SD_OK);
	ck_assert_uint_eq(got, size);
	ck_assert_int_eq(sd_file_write(b, &(struct iovec){bytes, got}, 1, 0, NULL), SD_OK);
	ck_assert_int_eq(sd_file_sync(b, NULL), SD_OK);
	sd_file_close(a);
	sd_file_close(b);
	free(bytes);
}

/* A bit of one file of a copy of the store, which is opened and merged then: what becomes of it is right, or it is told. */
static void merge_a_flip(struct run *r, char **names, const char *name)
{
	char path[300];
	struct state before = r->state;
	uint64_t bit;
	remove_all(r, COPY);
	ck_assert_int_eq(sd_world_mkdir(r->node, COPY, 0700, NULL), SD_OK);
	for (char **p = names; *p; p++)
		copy_file(r, *p);
	snprintf(path, sizeof(path), COPY "/%s", name);
	uint64_t size = file_size(r, path);
	if (size == 0)
		return;
	bit = sd_rng_next(&r->rng) % (size * 8);
	ck_assert(sd_sim_flip(r->node, path, bit));
	r->dir = COPY;
	r->reads_fail = true;
	for (unsigned life = 0; life < 2; life++) {
		if (set_up(r)) {
			sd_kv_compact(r->kv, NULL, NULL, NULL);
			for (unsigned i = 0; i < 20; i++)
				sd_kv_work(r->kv);
			scan(r, NULL, life);
			for (unsigned k = 0; k < KEYS; k++)
				get_key(r, NULL, k);
		}
		shut(r);
	}
	r->dir = DIR;
	r->reads_fail = false;
	r->ndoubts = 0;
	r->state = before;
	if (r->what[0] && !no_sums)
		printf("%s, bit %" PRIu64 " of %" PRIu64 "\n", path, bit, 8 * size);
}

static void flip_and_merge(struct run *r, uint64_t seed, uint64_t *flips)
{
	begin(r, seed, SD_KV_ALWAYS);
	r->actions = 120;
	ck_assert(set_up(r));
	live(r);
	shut(r);
	char **names = sd_world_list_dir(r->node, DIR);
	for (char **p = names; p && *p; p++, ++*flips)
		merge_a_flip(r, names, *p);
	for (char **p = names; p && *p; p++)
		free(*p);
	free(names);
}

START_TEST(bits_flip_before_merging)
{
	static struct run r;
	uint64_t from, to, flips = 0, told = 0;
	sim_seeds(FLIP_SEEDS, &from, &to);
	for (uint64_t seed = from; seed <= to; seed++) {
		flip_and_merge(&r, seed, &flips);
		told += r.told;
		good(&r, seed, flips);
		look(&r);
		good(&r, seed, 0);
		end(&r);
	}
	printf("flipped and merged: %" PRIu64 " bits, %" PRIu64 " times told\n", flips, told);
	ck_assert_uint_gt(told, 0);
}
END_TEST

/* The control: checksums that say nothing. Bits that flipped are believed, and records that are not whole. */
START_TEST(without_checksums)
{
	static struct run r;
	uint64_t flips = 0, believed = 0, torn = 0;
	no_sums = true;
	for (uint64_t seed = 1; seed <= 2; seed++) {
		flip_and_merge(&r, seed, &flips);
		believed += r.strange + r.lost > 0;
		end(&r);
	}
	for (uint64_t seed = 1; seed <= 40 && torn == 0; seed++) /* most look torn also without: a sector that is missing is zeros */
		for (uint64_t n = 1; n < 60 && torn == 0 && cut_at(seed, n, SD_KV_ALWAYS, &torn); n++)
			;
	no_sums = false;
	printf("control: without checksums %" PRIu64 " stores believed flipped bits, and %" PRIu64 " runs broke at torn writes\n", believed, torn);
	ck_assert_uint_gt(believed, 0);
	ck_assert_uint_gt(torn, 0);
}
END_TEST

/* The same seed is the same run. */
START_TEST(same_again)
{
	static struct run r;
	uint64_t digest[2];
	for (unsigned i = 0; i < 2; i++) {
		begin(&r, 4, SD_KV_ALWAYS);
		for (unsigned life = 0; life < 4; life++)
			one_life(&r);
		digest[i] = sd_sim_digest(r.sim);
		end(&r);
	}
	ck_assert_uint_eq(digest[0], digest[1]);
}
END_TEST

#define MOST_S 7200 /* of a case, with many seeds */

int main(void)
{
	if (!sim_is_wanted("kv"))
		return EXIT_SUCCESS;
	Suite *s = suite_create("sim_kv");
	sim_add(s, "cut", power_cut_everywhere, MOST_S);
	sim_add(s, "never", without_syncs, MOST_S);
	sim_add(s, "twice", power_cut_in_opening, MOST_S);
	sim_add(s, "lives", many_lives, MOST_S);
	sim_add(s, "kill", killed_without_syncs, MOST_S);
	sim_add(s, "loose", syncs_now_and_then, MOST_S);
	sim_add(s, "copy", checkpoints, MOST_S);
	sim_add(s, "fail", fail_everything, MOST_S);
	sim_add(s, "full", full_disk, MOST_S);
	sim_add(s, "reading", bits_flip_in_reading, MOST_S);
	sim_add(s, "flip", bits_flip_on_the_disk, MOST_S);
	sim_add(s, "merge", bits_flip_before_merging, MOST_S);
	sim_add(s, "believe", without_checksums, MOST_S);
	sim_add(s, "again", same_again, MOST_S);
	return sim_run(s);
}
