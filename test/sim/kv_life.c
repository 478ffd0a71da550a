/* A life of a store on a simulated machine: see kv_life.h. */
#include "kv_life.h"

#include <check.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define VALUE_MAX 20000

void life_wrong(struct kv_life *r, uint64_t *count, const char *what, uint64_t a, uint64_t b)
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

static bool may_fail(struct kv_life *r, enum sd_err err)
{
	if (!err || err == SD_ENOTFOUND)
		return false;
	r->told++;
	return r->reads_fail || !sd_sim_is_up(r->node);
}

void life_get(struct kv_life *r, const struct kv_seen *s, unsigned key)
{
	char bytes[16];
	struct sd_kv_value v = {0};
	struct sd_error e = {0};
	uint64_t due = s ? s->state.id[key] : r->state.id[key];
	enum sd_err err = sd_kv_get(r->kv, s ? s->snapshot : NULL, key_of(bytes, key), &v, &e);
	struct sd_kv_value *got = &v;
	if (err && err != SD_ENOTFOUND) {
		if (!may_fail(r, err))
			life_wrong(r, &r->strange, e.text, key, due);
	} else if (err == SD_ENOTFOUND ? due != 0 : !due || !is_value((struct sd_slice){got->p, got->n}, due))
		life_wrong(r, &r->strange, s ? "a snapshot's get differs" : "a get differs", key, due);
	sd_kv_value_free(&v);
}

static unsigned key_number(struct sd_slice key)
{
	if (key.n == 0)
		return 0;
	if (key.n != 5 || memcmp(key.p, "key", 3) != 0)
		return KV_KEYS;
	return (unsigned)(key.p[3] - '0') * 10 + (unsigned)(key.p[4] - '0');
}

/* Does an iterator find what is due, all of it, in order? */
static bool match_state(struct sd_kv_iter *i, bool back, const struct kv_state *due, struct sd_error *e)
{
	unsigned left = 0, at = back ? KV_KEYS : 0;
	bool valid = back ? sd_kv_iter_last(i) : sd_kv_iter_first(i);
	for (unsigned k = 0; k < KV_KEYS; k++)
		left += due->id[k] != 0;
	for (; valid; valid = back ? sd_kv_iter_prev(i) : sd_kv_iter_next(i), left--) {
		unsigned key = key_number(sd_kv_iter_key(i));
		if (key >= KV_KEYS || left == 0 || (back ? key >= at : key < at) || !due->id[key])
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

static enum verdict look_at(struct kv_life *r, const struct sd_kv_snapshot *snapshot,
			    const struct kv_state *due, bool back, struct sd_error *e)
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

void life_scan(struct kv_life *r, const struct kv_seen *s, bool back)
{
	struct sd_error e;
	if (look_at(r, s ? s->snapshot : NULL, s ? &s->state : &r->state, back, &e) == DIFFERENT)
		life_wrong(r, &r->strange,
			   e.text[0] ? e.text
			   : s       ? "a snapshot's iterator differs"
				     : "an iterator differs",
			   back, r->acked);
}

/* From k on in a direction, the first that is there and within bounds; -1: none. */
static int next_there(const struct kv_standing *s, int k, int step)
{
	for (; k >= s->low && k < s->high; k += step)
		if (s->state.id[k])
			return k;
	return -1;
}

/* Moves, and says where it should stand. */
static bool move_standing(struct kv_life *r, struct kv_standing *s)
{
	char bytes[16];
	uint32_t how = sd_rng_below(&r->rng, 12);
	int k = (int)sd_rng_below(&r->rng, KV_KEYS);
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

static void let_go(struct kv_standing *s)
{
	sd_kv_iter_free(s->i);
	s->i = NULL;
}

static void step_standing(struct kv_life *r, struct kv_standing *s)
{
	struct sd_error e = {0};
	bool valid = move_standing(r, s);
	struct sd_slice value = valid ? sd_kv_iter_value(s->i) : (struct sd_slice){NULL, 0};
	enum sd_err err = sd_kv_iter_err(s->i, &e);
	if (err) {
		if (!may_fail(r, err))
			life_wrong(r, &r->strange, e.text, r->acked, 0);
		let_go(s);
	} else if (valid != (s->at >= 0) || (valid && ((int)key_number(sd_kv_iter_key(s->i)) != s->at ||
						       !is_value(value, s->state.id[s->at])))) {
		life_wrong(r, &r->strange, "an iterator that stayed open differs", (uint64_t)s->at, r->acked);
		let_go(s);
	}
}

/* Opened now and then, moved a little each time, and let go of after a while: writes, flushes and merges come
 * in between. */
static void stand(struct kv_life *r, const struct kv_seen *at)
{
	char low[16], high[16];
	struct kv_standing *s = &r->standing[sd_rng_below(&r->rng, KV_STANDING)];
	if (!s->i) {
		*s = (struct kv_standing){.state = at ? at->state : r->state, .at = -1};
		s->low = sd_rng_below(&r->rng, 2) ? 0 : (int)sd_rng_below(&r->rng, KV_KEYS);
		s->high = sd_rng_below(&r->rng, 2) ? KV_KEYS : (int)sd_rng_below(&r->rng, KV_KEYS);
		struct sd_slice from = key_of(low, (unsigned)s->low), to = key_of(high, (unsigned)s->high);
		struct sd_kv_span span = {.snapshot = at ? at->snapshot : NULL,
					  .from = s->low ? &from : NULL,
					  .to = s->high < KV_KEYS ? &to : NULL};
		enum sd_err err = sd_kv_iter_new(r->kv, &span, &s->i, NULL);
		if (err) {
			s->i = NULL;
			if (!may_fail(r, err))
				life_wrong(r, &r->strange, "an iterator is refused", err, r->acked);
		}
	}
	for (unsigned i = 0; s->i && i < 8; i++)
		step_standing(r, s);
	if (sd_rng_below(&r->rng, 6) == 0)
		let_go(s);
}

/* After opening: which of the states that may be is it? That it is from now on. */
static void compare(struct kv_life *r)
{
	struct sd_error e;
	enum verdict v = DIFFERENT;
	for (size_t i = r->nloose + 1 + r->ndoubts; i-- > (r->killed ? r->nloose : 0) && v == DIFFERENT;) {
		const struct kv_state *due = i < r->nloose    ? &r->loose[i]
					     : i == r->nloose ? &r->state
							      : &r->doubts[i - r->nloose - 1];
		v = look_at(r, NULL, due, false, &e);
		if (v == SAME)
			r->state = *due;
	}
	if (v == DIFFERENT)
		life_wrong(r, &r->lost, e.text[0] ? e.text : "neither what was acknowledged nor what may be",
			   r->acked, r->ndoubts);
	r->unsure = v == NOT_TOLD && r->ndoubts + r->nloose > 0;
	if (v != NOT_TOLD) {
		r->ndoubts = r->nloose = 0; /* what was read from logs was synced */
	}
	r->killed = false;
}

/* ---- writing ---- */

/* What a batch makes of some keys. */
struct edit {
	bool some[KV_KEYS];
	uint64_t id[KV_KEYS];
};

static void edit_key(struct edit *e, unsigned key, uint64_t id)
{
	e->some[key] = true;
	e->id[key] = id;
}

static struct kv_state edited(const struct kv_state *before, const struct edit *e)
{
	struct kv_state after = *before;
	for (unsigned k = 0; k < KV_KEYS; k++)
		if (e->some[k])
			after.id[k] = e->id[k];
	return after;
}

static void put_some(struct kv_life *r, struct sd_kv_batch *b, struct edit *e, bool own)
{
	char bytes[16], end[16];
	uint32_t dice = sd_rng_below(&r->rng, 100);
	unsigned key = sd_rng_below(&r->rng, KV_KEYS), to = key + 1 + sd_rng_below(&r->rng, 8);
	struct sd_slice k = key_of(bytes, key), limit = key_of(end, to < KV_KEYS ? to : KV_KEYS - 1);
	if (dice < 25) {
		sd_kv_batch_delete(b, k);
		edit_key(e, key, 0);
	} else if (dice < 32 && to < KV_KEYS) {
		sd_kv_batch_delete_range(b, k, dice < 31 ? &limit : NULL);
		for (unsigned i = key; i < (dice < 31 ? to : KV_KEYS); i++)
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

static void synced(struct kv_life *r, enum sd_err err)
{
	if (!err)
		r->nloose = 0;
}

/* The state of now may be what is left when the power goes. */
static void loosen(struct kv_life *r)
{
	if (!r->syncs_some)
		return;
	if (r->nloose == KV_DOUBTS)
		memmove(r->loose, r->loose + 1,
			--r->nloose * sizeof(r->loose[0])); /* for how long, see write_batch */
	r->loose[r->nloose++] = r->state;
}

static void acknowledged(struct kv_life *r, const struct kv_state *now)
{
	bool differs = memcmp(&r->state, now, sizeof(*now)) !=
		       0; /* one that removes nothing may leave nothing in the log */
	if (r->conf.sync == SD_KV_ALWAYS)
		r->nloose = 0;
	else if (differs)
		loosen(r);
	r->state = *now;
	r->acked++;
}

/* What became of a write: there, not there, or nobody knows. Where a later one is acknowledged, work behind
 * had failed and was done when it was tried again: nothing of what was refused meanwhile was kept, and all is
 * well. What else fails stays so. */
static void outcome(struct kv_life *r, enum sd_err err, const struct edit *edit)
{
	const struct kv_state *last = r->ndoubts ? &r->doubts[r->ndoubts - 1] : &r->state;
	if (!err) {
		struct kv_state now = edited(&r->state, edit);
		if (r->ndoubts && sd_kv_health(r->kv, NULL))
			life_wrong(r, &r->strange, "acknowledged after one that failed", r->acked,
				   r->ndoubts);
		r->ndoubts = 0;
		acknowledged(r, &now);
	} else if (!sd_sim_is_up(r->node) || (err != SD_ENOSPC && sd_kv_health(r->kv, NULL))) {
		if (r->ndoubts < KV_DOUBTS) {
			r->doubts[r->ndoubts] = edited(last, edit);
			r->ndoubts++;
		}
	} /* otherwise it goes on, and nothing of it was kept; as SD_ENOSPC says wherever it comes from */
}

void life_write(struct kv_life *r)
{
	struct sd_error e;
	struct edit edit = {0};
	struct sd_kv_batch *b = sd_kv_batch_new(false);
	bool own = r->conf.format == SD_KV_SDLAB;
	uint32_t n = 1 + sd_rng_below(&r->rng, sd_rng_below(&r->rng, 20) ? 4 : 60);
	for (uint32_t i = 0; i < n; i++)
		put_some(r, b, &edit, own);
	if (r->nloose == KV_DOUBTS)
		synced(r, sd_kv_sync(r->kv, &e));
	outcome(r, sd_kv_write(r->kv, b, &e), &edit);
	sd_kv_batch_free(b);
}

static void swap_value(struct kv_life *r)
{
	char bytes[16];
	struct sd_error e;
	unsigned key = sd_rng_below(&r->rng, KV_KEYS);
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
	enum sd_err err =
	    sd_kv_compare_and_set(r->kv, key_of(bytes, key), now ? &expected : NULL, &value, 0, &e);
	if (err == SD_EAGAIN)
		life_wrong(r, &r->strange, "compare-and-set finds another value", key, now);
	outcome(r, err, &edit);
}

static void snapshot(struct kv_life *r)
{
	struct kv_seen *s = &r->seen[sd_rng_below(&r->rng, KV_SNAPSHOTS)];
	sd_kv_snapshot_free(r->kv, s->snapshot);
	s->snapshot = NULL;
	if (r->unsure || sd_rng_below(&r->rng, 3) == 0)
		return;
	s->snapshot = sd_kv_snapshot_new(r->kv);
	s->state = r->state;
}

void life_read(struct kv_life *r)
{
	const struct kv_seen *s = &r->seen[sd_rng_below(&r->rng, KV_SNAPSHOTS)];
	if (r->unsure)
		return;
	if (!s->snapshot || sd_rng_below(&r->rng, 2))
		s = NULL;
	if (sd_rng_below(&r->rng, 3) == 0)
		life_scan(r, s, sd_rng_below(&r->rng, 2));
	stand(r, s);
	for (unsigned i = 0; i < 4; i++)
		life_get(r, s, sd_rng_below(&r->rng, KV_KEYS));
}

static void flush(struct kv_life *r)
{
	enum sd_err err = sd_kv_flush(r->kv, NULL);
	synced(r, err);
	r->flushed += err == SD_OK;
}

static void merge(struct kv_life *r)
{
	char a[16], b[16];
	struct sd_slice from = key_of(a, sd_rng_below(&r->rng, KV_KEYS)),
			to = key_of(b, sd_rng_below(&r->rng, KV_KEYS));
	bool whole = sd_rng_below(&r->rng, 2);
	enum sd_err err = sd_kv_compact(r->kv, whole ? NULL : &from, whole ? NULL : &to, NULL);
	synced(r, err);
	r->merged += err == SD_OK;
}

void life_act(struct kv_life *r)
{
	uint32_t what = sd_rng_below(&r->rng, 100);
	if (what < 58)
		life_write(r);
	else if (what < 62)
		swap_value(r);
	else if (what < 73)
		life_read(r);
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

void life_shut(struct kv_life *r)
{
	struct sd_error e;
	if (!r->kv)
		return;
	for (unsigned i = 0; i < KV_SNAPSHOTS; i++) {
		sd_kv_snapshot_free(r->kv, r->seen[i].snapshot);
		r->seen[i].snapshot = NULL;
	}
	for (unsigned i = 0; i < KV_STANDING; i++)
		let_go(&r->standing[i]);
	enum sd_err err = sd_kv_close(r->kv, &e);
	if (sd_sim_is_up(r->node))
		synced(r, err);
	r->kv = NULL;
}

bool life_open(struct kv_life *r)
{
	struct sd_error e = {0};
	sd_sim_boot(r->node);
	r->opens++;
	enum sd_err err = sd_kv_open(r->dir, &r->conf, &r->kv, &e);
	if (err) {
		r->kv = NULL;
		r->killed = false;
		r->told++;
		if (sd_sim_is_up(r->node) &&
		    (err == SD_EDAMAGED || err == SD_EUNSUPPORTED || err == SD_EEXISTS) && !r->reads_fail)
			life_wrong(r, &r->refused, e.text, 0, 0);
		return false;
	}
	compare(r);
	return true;
}

void life_live(struct kv_life *r)
{
	for (; r->actions > 0 && sd_sim_is_up(r->node); r->actions--)
		life_act(r);
}

static int64_t clock_of(void *arg)
{
	return ((struct kv_life *)arg)->now_ms;
}

void life_begin(struct kv_life *r, uint64_t seed, enum sd_kv_sync sync)
{
	static const uint32_t blocks[] = {200, 1000, 4096};
	*r = (struct kv_life){.sim = sd_sim_new(seed), .dir = KV_DIR, .now_ms = INT64_C(1700000000000)};
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

void life_begin_synced_or_not(struct kv_life *r, uint64_t seed)
{
	life_begin(r, seed, seed % 4 == 3 ? SD_KV_NO : SD_KV_ALWAYS);
	r->syncs_some = r->conf.sync != SD_KV_ALWAYS;
}

void life_end(struct kv_life *r)
{
	life_shut(r);
	sd_sim_free(r->sim);
}

void life_look(struct kv_life *r)
{
	sd_sim_power_cut_at(r->node, 0);
	for (unsigned op = 0; op < SD_SIM_OPS; op++)
		sd_sim_fail(r->node, op, 0, 0, 0);
	r->reads_fail = false;
	if (!life_open(r)) {
		life_wrong(r, &r->refused, "it does not open", r->acked, 0);
		return;
	}
	uint64_t acked = r->acked;
	for (unsigned i = 0; i < 3; i++)
		life_write(r);
	if (r->acked != acked + 3)
		life_wrong(r, &r->strange, "it takes no writes", r->acked, acked);
	life_scan(r, NULL, true);
	for (unsigned k = 0; k < KV_KEYS; k++)
		life_get(r, NULL, k);
	life_shut(r);
	if (life_open(r))
		life_shut(r);
}

void life_good(struct kv_life *r, uint64_t seed, uint64_t n)
{
	if (!r->lost && !r->strange && !r->refused)
		return;
	sd_sim_print_trace(r->sim, stdout, 60);
	ck_abort_msg("seed %" PRIu64 ", place %" PRIu64 ": %s", seed, n, r->what);
}
