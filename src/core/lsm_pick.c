/* lsm_pick.c - levels, scores, and the tables that go together.
 *
 * What makes a plan safe: of a user key that is in the inputs, every entry that lies between the newest and the oldest of these, by
 * level, is in the inputs too. So tables of a level that share a user key with one that is taken are taken, in level 0 all that
 * overlap, and in the level they go to all that overlap.
 */
#include "lsm_pick.h"

#include <stdlib.h>

#define L0_TABLES   4u
#define RATIO       10u
#define TIER_RUNS   4u
#define BASE_BYTES  (UINT64_C(10) << 20)
#define TABLE_BYTES (UINT64_C(2) << 20)
#define BLOB_SPARE  (UINT64_C(64) << 20)
#define MOST_TABLES 25u /* of table_bytes: inputs are not widened beyond */
#define MOST_BELOW  10u /* of table_bytes: a table that would lie over more is not just moved */
#define LAST        (SD_LSM_LEVELS - 1)

static struct sd_lsm_pick_conf whole(const struct sd_lsm_pick_conf *c)
{
	struct sd_lsm_pick_conf w = *c;
	w.l0_tables = w.l0_tables ? w.l0_tables : L0_TABLES;
	w.ratio = w.ratio > 1 ? w.ratio : w.style == SD_LSM_TIERED ? TIER_RUNS : RATIO;
	w.base_bytes = w.base_bytes ? w.base_bytes : BASE_BYTES;
	w.table_bytes = w.table_bytes ? w.table_bytes : TABLE_BYTES;
	w.blob_spare = w.blob_spare ? w.blob_spare : BLOB_SPARE;
	return w;
}

const char *sd_lsm_why_text(enum sd_lsm_why why)
{
	static const char *const texts[] = {
	    [SD_LSM_WHY_L0] = "level 0 is full",	   [SD_LSM_WHY_SIZE] = "a level is full",
	    [SD_LSM_WHY_SMALL] = "small tables in level 0", [SD_LSM_WHY_TIER] = "too many runs",
	    [SD_LSM_WHY_GONE] = "removals",		   [SD_LSM_WHY_BLOBS] = "blobs that are dead mostly",
	    [SD_LSM_WHY_ASKED] = "asked for",
	};
	return texts[why];
}

/* ---- how large levels should be ---- */

/* From the largest level upwards each is a ratio-th, as long as that is more than base_bytes: there level 0 goes to. */
static unsigned base_of(const struct sd_lsm_pick_conf *c, const struct sd_lsm_shape *s, uint64_t *size)
{
	uint64_t most = 0;
	unsigned first = LAST;
	for (unsigned i = LAST; i > 0; i--) {
		most = s->bytes[i] > most ? s->bytes[i] : most;
		first = s->bytes[i] ? i : first;
	}
	for (unsigned i = LAST; i > first; i--)
		most /= c->ratio;
	while (first > 1 && most > c->base_bytes) {
		first--;
		most /= c->ratio;
	}
	*size = most < c->base_bytes ? most : c->base_bytes;
	return first;
}

static void set_targets(const struct sd_lsm_pick_conf *c, struct sd_lsm_shape *s)
{
	uint64_t size;
	s->base = base_of(c, s, &size);
	for (unsigned i = 1; i < SD_LSM_LEVELS; i++) {
		s->target[i] = i < s->base ? 0 : size > c->base_bytes ? size : c->base_bytes;
		size = i >= s->base && size < UINT64_MAX / c->ratio ? size * c->ratio : size;
	}
}

/* What merging has to move until nothing is too large: what is too much of a level goes down, with what it meets there. */
static void set_owed(const struct sd_lsm_pick_conf *c, struct sd_lsm_shape *s, size_t l0)
{
	uint64_t comes = 0;
	if (l0 >= c->l0_tables) {
		comes = s->bytes[0];
		s->owed = comes + s->bytes[s->base];
	}
	for (unsigned i = s->base; i < LAST; i++) {
		uint64_t holds = s->bytes[i] + comes;
		comes = holds > s->target[i] ? holds - s->target[i] : 0;
		if (comes > 0)
			s->owed += comes + (uint64_t)((double)comes * (double)s->bytes[i + 1] / (double)holds);
	}
}

void sd_lsm_shape(const struct sd_lsm_version *v, const struct sd_lsm_pick_conf *conf, struct sd_lsm_shape *s)
{
	struct sd_lsm_pick_conf c = whole(conf);
	size_t l0 = v->levels[0].n;
	*s = (struct sd_lsm_shape){0};
	for (unsigned i = 0; i < SD_LSM_LEVELS; i++)
		s->bytes[i] = sd_lsm_level_bytes(&v->levels[i]);
	set_targets(&c, s);
	s->score[0] = (double)l0 / c.l0_tables;
	if (c.style == SD_LSM_TIERED) {
		s->owed = l0 >= c.l0_tables ? 2 * s->bytes[0] : 0;
		return;
	}
	for (unsigned i = 1; i < LAST; i++)
		s->score[i] = s->target[i] ? (double)s->bytes[i] / (double)s->target[i] : s->bytes[i] ? 2 : 0;
	set_owed(&c, s, l0);
}

/* ---- sets of tables ---- */

struct chosen {
	const struct sd_lsm_version *v;
	struct sd_lsm_pick_conf conf;
	struct sd_lsm_shape shape;
	bool *in[SD_LSM_LEVELS]; /* by level and place */
	bool *bytes;		 /* all of these */
	struct sd_slice from, to; /* user keys: what they span */
	bool past;		  /* `to` is past the end */
	size_t n;
};

static bool chosen_begin(struct chosen *s, const struct sd_lsm_version *v, const struct sd_lsm_pick_conf *conf)
{
	size_t n = 1;
	*s = (struct chosen){.v = v, .conf = whole(conf)};
	for (unsigned i = 0; i < SD_LSM_LEVELS; i++)
		n += v->levels[i].n;
	s->bytes = calloc(n, sizeof(*s->bytes));
	if (!s->bytes)
		return false;
	n = 0;
	for (unsigned i = 0; i < SD_LSM_LEVELS; i++) {
		s->in[i] = s->bytes + n;
		n += v->levels[i].n;
	}
	sd_lsm_shape(v, conf, &s->shape);
	return true;
}

static const struct sd_lsm_file *table(const struct chosen *s, unsigned level, size_t i)
{
	return &s->v->levels[level].files[i];
}

static size_t count(const struct chosen *s, unsigned level)
{
	return s->v->levels[level].n;
}

/* Of tables of a level in order: they meet where a user key is in both, not where one only ends at it. */
static bool span_meets(const struct chosen *s, const struct sd_lsm_file *f)
{
	int c = sd_lsm_bytewise(sd_lsm_user(f->smallest), s->to);
	return (c < 0 || (c == 0 && !s->past)) && !sd_lsm_file_is_before(f, s->from);
}

static void choose(struct chosen *s, unsigned level, size_t i)
{
	const struct sd_lsm_file *f = table(s, level, i);
	struct sd_slice from = sd_lsm_user(f->smallest), to = sd_lsm_user(f->largest);
	if (s->n == 0 || sd_lsm_bytewise(from, s->from) < 0)
		s->from = from;
	int c = s->n == 0 ? 1 : sd_lsm_bytewise(to, s->to);
	bool past = sd_lsm_tail(f->largest) == SD_LSM_PAST;
	s->past = c > 0 ? past : c == 0 ? s->past && past : s->past;
	if (c > 0)
		s->to = to;
	s->in[level][i] = true;
	s->n++;
}

/* Takes what meets the span of the chosen, until that grows no more: in level 0 and tables that share a key it may. */
static void choose_meeting(struct chosen *s, unsigned level)
{
	for (bool grew = s->n > 0; grew;) {
		grew = false;
		for (size_t i = 0; i < count(s, level); i++)
			if (!s->in[level][i] && span_meets(s, table(s, level, i))) {
				choose(s, level, i);
				grew = true;
			}
	}
}

static void choose_all(struct chosen *s, unsigned level)
{
	for (size_t i = 0; i < count(s, level); i++)
		choose(s, level, i);
}

static uint64_t chosen_bytes(const struct chosen *s, unsigned level)
{
	uint64_t sum = 0;
	for (size_t i = 0; i < count(s, level); i++)
		sum += s->in[level][i] ? table(s, level, i)->size : 0;
	return sum;
}

static uint64_t meeting_bytes(const struct chosen *s, unsigned level)
{
	uint64_t sum = 0;
	for (size_t i = 0; i < count(s, level); i++)
		sum += span_meets(s, table(s, level, i)) ? table(s, level, i)->size : 0;
	return sum;
}

static size_t chosen_in(const struct chosen *s, unsigned level)
{
	size_t n = 0;
	for (size_t i = 0; i < count(s, level); i++)
		n += s->in[level][i];
	return n;
}

/* ---- a plan out of what was chosen ---- */

static size_t keys_bytes(const struct sd_lsm_file *f)
{
	return f->smallest.n + f->largest.n;
}

static struct sd_slice copy_key(char **at, struct sd_slice key)
{
	struct sd_slice copy = {*at, key.n};
	if (key.n > 0)
		memcpy(*at, key.p, key.n);
	*at += key.n;
	return copy;
}

static struct sd_lsm_file copy_file(char **at, const struct sd_lsm_file *f)
{
	struct sd_lsm_file copy = *f;
	copy.smallest = copy_key(at, f->smallest);
	copy.largest = copy_key(at, f->largest);
	return copy;
}

static bool is_older(const struct chosen *s, const struct sd_lsm_plan *p, unsigned level, size_t i)
{
	return level >= p->from && !s->in[level][i] && span_meets(s, table(s, level, i));
}

static bool is_below(const struct chosen *s, const struct sd_lsm_plan *p, unsigned level, size_t i)
{
	return s->conf.style == SD_LSM_LEVELED && p->to > 0 && level == p->to + 1 && is_older(s, p, level, i);
}

/* How much room the parts of a plan take; one more of each, since none is fine too. */
static bool plan_room(const struct chosen *s, struct sd_lsm_plan *p)
{
	size_t in = 1, older = 1, below = 1, keys = 1;
	for (unsigned l = 0; l < SD_LSM_LEVELS; l++)
		for (size_t i = 0; i < count(s, l); i++) {
			bool o = is_older(s, p, l, i), b = is_below(s, p, l, i);
			in += s->in[l][i];
			older += o;
			below += b;
			keys += keys_bytes(table(s, l, i)) * (size_t)(s->in[l][i] + o + b);
		}
	p->in = calloc(in, sizeof(*p->in));
	p->older = calloc(older, sizeof(*p->older));
	p->below = calloc(below, sizeof(*p->below));
	p->keys = malloc(keys);
	return p->in && p->older && p->below && p->keys;
}

static int by_from(const void *a, const void *b)
{
	return sd_lsm_bytewise(((const struct sd_lsm_span *)a)->from, ((const struct sd_lsm_span *)b)->from);
}

/* Spans that overlap become one. */
static void join_spans(struct sd_lsm_plan *p)
{
	size_t n = 0;
	qsort(p->older, p->nolder, sizeof(p->older[0]), by_from);
	for (size_t i = 0; i < p->nolder; i++) {
		struct sd_lsm_span *last = n > 0 ? &p->older[n - 1] : NULL, at = p->older[i];
		if (!last || sd_lsm_bytewise(at.from, last->to) > 0)
			p->older[n++] = at;
		else if (sd_lsm_bytewise(at.to, last->to) > 0)
			last->to = at.to;
	}
	p->nolder = n;
}

static int newest_first(const void *a, const void *b)
{
	uint64_t x = ((const struct sd_lsm_input *)a)->file.number, y = ((const struct sd_lsm_input *)b)->file.number;
	return (x < y) - (x > y);
}

static void plan_fill(const struct chosen *s, struct sd_lsm_plan *p)
{
	char *at = p->keys;
	for (unsigned l = 0; l < SD_LSM_LEVELS; l++) {
		for (size_t i = 0; i < count(s, l); i++) {
			const struct sd_lsm_file *f = table(s, l, i);
			if (s->in[l][i]) {
				p->in[p->n++] = (struct sd_lsm_input){l, copy_file(&at, f)};
				p->bytes += f->size;
			}
			if (is_below(s, p, l, i))
				p->below[p->nbelow++] = copy_file(&at, f);
			if (is_older(s, p, l, i)) {
				struct sd_lsm_file copy = copy_file(&at, f);
				p->older[p->nolder++] = (struct sd_lsm_span){sd_lsm_user(copy.smallest), sd_lsm_user(copy.largest)};
			}
		}
		if (l == 0 && p->n > 1)
			qsort(p->in, p->n, sizeof(p->in[0]), newest_first);
	}
	join_spans(p);
}

/* Ends the choice: it becomes the plan, or nothing when there is none. */
static enum sd_err plan_make(struct chosen *s, struct sd_lsm_plan *p)
{
	enum sd_err err = s->n == 0 ? SD_ENOTFOUND : plan_room(s, p) ? SD_OK : SD_ENOMEM;
	if (!err)
		plan_fill(s, p);
	else
		sd_lsm_plan_free(p);
	free(s->bytes);
	return err;
}

void sd_lsm_plan_free(struct sd_lsm_plan *p)
{
	free(p->in);
	free(p->older);
	free(p->below);
	free(p->keys);
	*p = (struct sd_lsm_plan){0};
}

/* ---- leveled ---- */

static bool has_removals(const struct chosen *s, unsigned level)
{
	for (size_t i = 0; i < count(s, level); i++)
		if (s->in[level][i] && (table(s, level, i)->gone > 0 || table(s, level, i)->has_ranges))
			return true;
	return false;
}

/* Nothing to merge with, what comes to lie below is not too much for the next time, and no removals that would be at their end. */
static bool moves(const struct chosen *s, unsigned from, unsigned to)
{
	uint64_t next = 0, all = 0;
	if (chosen_in(s, from) != 1 || s->n != 1)
		return false;
	for (unsigned l = LAST; l > to; l--)
		all += next = meeting_bytes(s, l);
	return next <= MOST_BELOW * s->conf.table_bytes && (all > 0 || !has_removals(s, from));
}

/* The newest tables of level 0 as long as the next is not much larger than all before: merged, they are written about as often as
 * levels would be. */
static size_t small_ones(const struct chosen *s, bool take[], size_t n)
{
	uint64_t sum = 0, before = UINT64_MAX;
	size_t taken = 0;
	for (; taken < n; taken++) {
		const struct sd_lsm_file *f = NULL;
		size_t at = 0;
		for (size_t i = 0; i < n; i++)
			if (table(s, 0, i)->number < before && (!f || table(s, 0, i)->number > f->number)) {
				f = table(s, 0, i);
				at = i;
			}
		if (!f || (taken > 0 && f->size > sum + sum / 2))
			break;
		take[at] = true;
		before = f->number;
		sum += f->size;
	}
	return taken;
}

/* Level 0 within itself: when it has much less than what it would be merged with. */
static bool choose_small(struct chosen *s, struct sd_lsm_plan *p)
{
	size_t n = count(s, 0);
	if (s->shape.bytes[s->shape.base] / 4 < s->shape.bytes[0])
		return false;
	bool *take = calloc(n + 1, sizeof(*take));
	if (take && small_ones(s, take, n) >= (s->conf.l0_tables > 3 ? s->conf.l0_tables - 1 : 2))
		for (size_t i = 0; i < n; i++)
			if (take[i])
				choose(s, 0, i);
	free(take);
	p->why = SD_LSM_WHY_SMALL;
	p->one = s->n > 0;
	return s->n > 0;
}

/* The oldest and what overlaps it; all, when that is little, so that small tables do not come down as they are. */
static void choose_l0(struct chosen *s, struct sd_lsm_plan *p)
{
	size_t oldest = 0;
	if (choose_small(s, p))
		return;
	for (size_t i = 1; i < count(s, 0); i++)
		oldest = table(s, 0, i)->number < table(s, 0, oldest)->number ? i : oldest;
	choose(s, 0, oldest);
	choose_meeting(s, 0);
	if (chosen_bytes(s, 0) < s->conf.table_bytes / 2)
		for (size_t i = 0; i < count(s, 0); i++)
			if (!s->in[0][i])
				choose(s, 0, i);
	p->why = SD_LSM_WHY_L0;
	p->to = s->shape.base;
	choose_meeting(s, p->to);
	p->move = moves(s, 0, p->to);
}

/* Removals are worth more than their size: what they remove is below them. */
static double weight(const struct sd_lsm_file *f)
{
	double size = f->size ? (double)f->size : 1;
	return f->entries ? size * (1 + 2 * (double)f->gone / (double)f->entries) : size;
}

/* The table of a level with the least below it for its size. Both levels are in order, so one walk is enough. */
static size_t cheapest(const struct chosen *s, unsigned level)
{
	double least = 0;
	size_t best = 0, begin = 0;
	for (size_t i = 0; i < count(s, level); i++) {
		const struct sd_lsm_file *f = table(s, level, i);
		uint64_t sum = 0;
		while (begin < count(s, level + 1) &&
		       sd_lsm_file_is_before(table(s, level + 1, begin), sd_lsm_user(f->smallest)))
			begin++;
		for (size_t k = begin; k < count(s, level + 1); k++) {
			const struct sd_lsm_file *g = table(s, level + 1, k);
			if (sd_lsm_bytewise(sd_lsm_user(g->smallest), sd_lsm_user(f->largest)) > 0)
				break;
			sum += g->size;
		}
		double cost = (double)sum / weight(f);
		if (i == 0 || cost < least) {
			least = cost;
			best = i;
		}
	}
	return best;
}

/* More tables of the upper level that meet nothing more in the lower: they come along for little. */
static void widen(struct chosen *s, unsigned level)
{
	struct sd_slice from = s->from, to = s->to;
	uint64_t bytes = chosen_bytes(s, level) + chosen_bytes(s, level + 1);
	for (size_t i = 0; i < count(s, level); i++) {
		const struct sd_lsm_file *f = table(s, level, i);
		if (s->in[level][i] || sd_lsm_bytewise(sd_lsm_user(f->smallest), from) < 0 || sd_lsm_bytewise(sd_lsm_user(f->largest), to) > 0)
			continue;
		bytes += f->size;
		if (bytes > MOST_TABLES * s->conf.table_bytes)
			return;
		choose(s, level, i);
	}
}

static void choose_table(struct chosen *s, struct sd_lsm_plan *p, unsigned level, size_t i)
{
	p->from = level;
	p->to = level + 1;
	choose(s, level, i);
	choose_meeting(s, level);
	struct sd_slice from = s->from, to = s->to;
	choose_meeting(s, level + 1);
	if (sd_lsm_bytewise(s->from, from) < 0 || sd_lsm_bytewise(s->to, to) > 0)
		widen(s, level);
	p->move = moves(s, level, p->to);
}

/* A table of removals mostly: the sooner they are down, the less room is taken by what they remove. */
static void choose_removals(struct chosen *s, struct sd_lsm_plan *p)
{
	p->why = SD_LSM_WHY_GONE;
	for (unsigned l = 1; l < LAST; l++)
		for (size_t i = 0; i < count(s, l); i++)
			if (table(s, l, i)->has_ranges || table(s, l, i)->gone > table(s, l, i)->entries / 2) {
				choose_table(s, p, l, i);
				return;
			}
}

/* ---- blobs ---- */

static uint64_t blob_bytes(const struct sd_lsm_version *v, uint64_t *dead)
{
	uint64_t sum = 0;
	*dead = 0;
	for (size_t i = 0; i < v->nblobs; i++) {
		sum += v->blobs[i].size;
		*dead += v->blobs[i].dead;
	}
	return sum;
}

static bool points_to(const struct sd_lsm_file *f, const struct sd_lsm_blob_file *b)
{
	return f->number < b->sparse_from && f->first_blob <= b->number && b->number <= f->last_blob;
}

static bool points_to_sparse(const struct sd_lsm_version *v, const struct sd_lsm_file *f)
{
	for (size_t i = 0; i < v->nblobs; i++)
		if (points_to(f, &v->blobs[i]))
			return true;
	return false;
}

/* A table that points to a file, the deepest first: what is there stays longest by itself. */
static bool find_pointing(const struct chosen *s, const struct sd_lsm_blob_file *b, unsigned *level, size_t *at)
{
	for (unsigned l = SD_LSM_LEVELS; l-- > 0;)
		for (size_t i = 0; i < count(s, l); i++)
			if (points_to(table(s, l, i), b)) {
				*level = l;
				*at = i;
				return true;
			}
	return false;
}

/* The sparse file with the most dead bytes that a table may still point to. */
static bool find_worst(const struct chosen *s, unsigned *level, size_t *at)
{
	uint64_t most = 0;
	for (size_t i = 0; i < s->v->nblobs; i++)
		if (s->v->blobs[i].sparse_from && s->v->blobs[i].dead > most && find_pointing(s, &s->v->blobs[i], level, at))
			most = s->v->blobs[i].dead;
	return most > 0;
}

/* Tables side by side that all have something to move: one file of blobs comes of them. */
static void choose_again(struct chosen *s, struct sd_lsm_plan *p, unsigned level, size_t at)
{
	uint64_t bytes = 0;
	p->from = p->to = level;
	for (size_t i = at; i < count(s, level) && points_to_sparse(s->v, table(s, level, i)); i++) {
		bytes += table(s, level, i)->size;
		if (i > at && bytes > MOST_TABLES * s->conf.table_bytes)
			break;
		choose(s, level, i);
	}
	choose_meeting(s, level);
}

static void choose_all_l0(struct chosen *s, struct sd_lsm_plan *p)
{
	choose_all(s, 0);
	p->to = s->shape.base;
	choose_meeting(s, p->to);
}

static bool l0_has_removals(const struct chosen *s)
{
	for (size_t i = 0; i < count(s, 0); i++)
		if (table(s, 0, i)->has_ranges || table(s, 0, i)->gone > table(s, 0, i)->entries / 2)
			return true;
	return false;
}

/* What is removed is known to be dead only once the removal has met it: it does not wait in level 0 for more to come, where meeting it
 * costs little beside the blobs that may go. */
static bool may_be_dead(const struct chosen *s)
{
	uint64_t dead, all = blob_bytes(s->v, &dead);
	return s->conf.style == SD_LSM_LEVELED && all > s->conf.blob_spare && l0_has_removals(s) &&
	       s->shape.bytes[0] + s->shape.bytes[s->shape.base] <= all / 4;
}

static void choose_blobs(struct chosen *s, struct sd_lsm_plan *p, void (*l0_down)(struct chosen *s, struct sd_lsm_plan *p))
{
	unsigned level = 0;
	size_t at = 0;
	uint64_t dead, all = blob_bytes(s->v, &dead);
	p->why = SD_LSM_WHY_BLOBS;
	if (may_be_dead(s))
		l0_down(s, p);
	else if (dead <= all - dead || dead - (all - dead) <= s->conf.blob_spare || !find_worst(s, &level, &at))
		return;
	else if (level == 0)
		l0_down(s, p);
	else
		choose_again(s, p, level, at);
}

static void choose_leveled(struct chosen *s, struct sd_lsm_plan *p)
{
	unsigned best = 0;
	for (unsigned i = 1; i < LAST; i++)
		best = s->shape.score[i] > s->shape.score[best] ? i : best;
	p->why = SD_LSM_WHY_SIZE;
	if (s->shape.score[best] < 1)
		choose_removals(s, p);
	else if (best == 0)
		choose_l0(s, p);
	else
		choose_table(s, p, best, cheapest(s, best));
	if (s->n == 0)
		choose_blobs(s, p, choose_all_l0);
}

/* ---- tiered ---- */

/* The next level below one that has tables; SD_LSM_LEVELS: none. */
static unsigned next_run(const struct chosen *s, unsigned level)
{
	do
		level++;
	while (level < SD_LSM_LEVELS && count(s, level) == 0);
	return level;
}

/* How far down runs are merged with level 0: as many as are not much larger than what comes, if that is a ratio of them; otherwise only
 * as many as it takes to have an empty level for what comes out. Gives the deepest, 0: none. */
static unsigned tier_depth(const struct chosen *s)
{
	uint64_t sum = s->shape.bytes[0];
	unsigned depth = 0, runs = 1;
	for (unsigned l = next_run(s, 0); l < SD_LSM_LEVELS && s->shape.bytes[l] <= sum + sum / 2; l = next_run(s, l)) {
		sum += s->shape.bytes[l];
		depth = l;
		runs++;
	}
	if (runs >= s->conf.ratio)
		return depth;
	return next_run(s, 0) > 1 ? 0 : depth > 1 ? depth : 1;
}

static void choose_runs(struct chosen *s, struct sd_lsm_plan *p)
{
	unsigned depth = tier_depth(s);
	for (unsigned l = 0; l <= depth; l++)
		choose_all(s, l);
	p->to = next_run(s, depth) - 1;
}

static void choose_tiered(struct chosen *s, struct sd_lsm_plan *p)
{
	p->why = SD_LSM_WHY_TIER;
	if (s->shape.score[0] >= 1)
		choose_runs(s, p);
	else
		choose_blobs(s, p, choose_runs);
}

enum sd_err sd_lsm_pick(const struct sd_lsm_version *v, const struct sd_lsm_pick_conf *conf, struct sd_lsm_plan *p)
{
	struct chosen s;
	*p = (struct sd_lsm_plan){0};
	if (!chosen_begin(&s, v, conf))
		return SD_ENOMEM;
	if (s.conf.style == SD_LSM_TIERED)
		choose_tiered(&s, p);
	else
		choose_leveled(&s, p);
	return plan_make(&s, p);
}

/* ---- what somebody asks for ---- */

static bool wanted(const struct sd_lsm_asked *a, const struct sd_lsm_file *f)
{
	return (!a->to || sd_lsm_bytewise(sd_lsm_user(f->smallest), *a->to) <= 0) && (!a->from || !sd_lsm_file_is_before(f, *a->from));
}

static size_t choose_wanted(struct chosen *s, const struct sd_lsm_asked *a, unsigned level, uint64_t most)
{
	uint64_t sum = 0;
	for (size_t i = 0; i < count(s, level) && sum < most; i++)
		if (wanted(a, table(s, level, i))) {
			choose(s, level, i);
			sum += table(s, level, i)->size;
		}
	return s->n;
}

/* Tables of a level go one down as long as there are wanted ones below it. */
static bool wanted_below(const struct chosen *s, const struct sd_lsm_asked *a, unsigned level)
{
	for (unsigned l = level + 1; l < SD_LSM_LEVELS; l++)
		for (size_t i = 0; i < count(s, l); i++)
			if (wanted(a, table(s, l, i)))
				return true;
	return false;
}

static void choose_asked(struct chosen *s, struct sd_lsm_asked *a, struct sd_lsm_plan *p)
{
	uint64_t most = (MOST_BELOW - 2) * s->conf.table_bytes;
	for (; a->level < LAST && s->n == 0; a->level++) {
		if (a->level > 0 && !wanted_below(s, a, a->level))
			return;
		if (choose_wanted(s, a, a->level, a->level ? most : UINT64_MAX) == 0)
			continue;
		choose_meeting(s, a->level);
		p->from = a->level;
		p->to = a->level ? a->level + 1 : s->shape.base;
		choose_meeting(s, p->to);
		if (a->level > 0) /* once more: the rest of the level */
			return;
	}
}

static void choose_asked_tiered(struct chosen *s, struct sd_lsm_asked *a, struct sd_lsm_plan *p)
{
	unsigned runs = 0;
	for (unsigned l = 0; l < SD_LSM_LEVELS; l++)
		runs += l == 0 ? (unsigned)count(s, 0) : count(s, l) > 0;
	if (a->level > 0 || runs < 2)
		return;
	for (unsigned l = 0; l < SD_LSM_LEVELS; l++)
		choose_all(s, l);
	p->to = LAST;
	a->level = LAST;
}

enum sd_err sd_lsm_pick_asked(const struct sd_lsm_version *v, const struct sd_lsm_pick_conf *conf, struct sd_lsm_asked *a,
			      struct sd_lsm_plan *p)
{
	struct chosen s;
	*p = (struct sd_lsm_plan){.why = SD_LSM_WHY_ASKED};
	if (!chosen_begin(&s, v, conf))
		return SD_ENOMEM;
	if (s.conf.style == SD_LSM_TIERED)
		choose_asked_tiered(&s, a, p);
	else
		choose_asked(&s, a, p);
	return plan_make(&s, p);
}

/* ---- what is older, elsewhere ---- */

bool sd_lsm_plan_older(const struct sd_lsm_plan *p, size_t *at, struct sd_slice user)
{
	while (*at < p->nolder && sd_lsm_bytewise(p->older[*at].to, user) < 0)
		++*at;
	return *at < p->nolder && sd_lsm_bytewise(p->older[*at].from, user) <= 0;
}

bool sd_lsm_plan_older_in(const struct sd_lsm_plan *p, struct sd_slice from, struct sd_slice to)
{
	for (size_t i = 0; i < p->nolder; i++)
		if (sd_lsm_bytewise(p->older[i].to, from) >= 0 && sd_lsm_bytewise(p->older[i].from, to) < 0)
			return true;
	return false;
}

/* ---- where a new table begins ---- */

/* Tables that end where tables of the level below end are merged with fewer of these. */
bool sd_lsm_cut_before(struct sd_lsm_cut *c, struct sd_slice user, uint64_t size)
{
	bool passed = false;
	for (; c->at < c->plan->nbelow && sd_lsm_file_is_before(&c->plan->below[c->at], user); c->at++) {
		passed = true;
		c->over += c->plan->below[c->at].size;
	}
	if (c->plan->one || size == 0)
		return false;
	uint64_t most = c->table_bytes ? c->table_bytes : TABLE_BYTES;
	if (size < most && !(passed && size >= most / 2) && c->over <= MOST_BELOW * most)
		return false;
	c->over = 0;
	return true;
}
