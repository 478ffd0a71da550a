/* A tree that is in memory only: what is flushed and merged as plans say, how often bytes are written, and whether all is still there.
 *
 * Keys are numbers, entries are of one size; tables are arrays. What stays is decided by lsm_sift, where tables end by sd_lsm_cut_before.
 */
#include <check.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/lsm_pick.h"
#include "core/lsm_sift.h"
#include "core/rng.h"

#define ENTRY    100u  /* bytes */
#define MEMTABLE 500u  /* entries */
#define TABLES   20000u /* at most, ever */
#define KEY      8
#ifdef SD_SANITIZED /* memory and rules of C are looked at; how large trees grow is looked at in the plain build */
#define LARGE_TREES 0
#else
#define LARGE_TREES 3
#endif

struct entry {
	uint64_t key, seq;
	bool gone;
};
struct table {
	struct entry *entries;
	size_t n;
};

struct tree {
	struct sd_lsm_version v;
	struct sd_lsm_pick_conf conf;
	struct table tables[TABLES]; /* by number */
	uint64_t next, seq, written, moved, merges, small;
	uint64_t *live; /* by key: the sequence number of what is there; 0: nothing */
	uint64_t keys;
	size_t most_l0, most_runs;
	double most_score;
};

static struct tree *tree_new(enum sd_lsm_style style, uint64_t keys)
{
	struct tree *t = calloc(1, sizeof(*t));
	ck_assert_ptr_nonnull(t);
	t->conf = (struct sd_lsm_pick_conf){.style = style, .base_bytes = 4 * MEMTABLE * ENTRY, .table_bytes = MEMTABLE * ENTRY};
	t->next = 1;
	t->keys = keys;
	t->live = calloc(keys, sizeof(*t->live));
	return t;
}

static void tree_free(struct tree *t)
{
	sd_lsm_version_free(&t->v);
	for (uint64_t i = 0; i < t->next; i++)
		free(t->tables[i].entries);
	free(t->live);
	free(t);
}

static struct sd_slice internal_key(char to[KEY + SD_LSM_TAIL], const struct entry *x)
{
	sd_put_be(to, x->key, KEY);
	sd_put_le(to + KEY, x->seq << 8 | (x->gone ? SD_LSM_GONE : SD_LSM_VALUE), SD_LSM_TAIL);
	return (struct sd_slice){to, KEY + SD_LSM_TAIL};
}

static int by_internal(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;
	return x->key != y->key ? (x->key > y->key) - (x->key < y->key) : (x->seq < y->seq) - (x->seq > y->seq);
}

/* ---- tables ---- */

static void add_table(struct tree *t, unsigned level, struct entry *entries, size_t n)
{
	char smallest[KEY + SD_LSM_TAIL], largest[KEY + SD_LSM_TAIL];
	struct sd_lsm_file f = {.number = t->next, .size = n * ENTRY, .entries = n};
	ck_assert_uint_lt(t->next, TABLES);
	for (size_t i = 0; i < n; i++)
		f.gone += entries[i].gone;
	f.smallest = internal_key(smallest, &entries[0]);
	f.largest = internal_key(largest, &entries[n - 1]);
	ck_assert(sd_lsm_version_add(&t->v, level, &f));
	t->tables[t->next++] = (struct table){entries, n};
	t->written += f.size;
}

static void edit_tree(struct tree *t, struct sd_text *edit)
{
	struct sd_error e;
	ck_assert(!edit->full);
	ck_assert_int_eq(sd_lsm_version_apply(&t->v, (struct sd_slice){edit->p, edit->n}, &e), SD_OK);
	free(edit->p);
}

static void in_order(struct tree *t)
{
	struct sd_error e = {0};
	t->v.has_log = t->v.has_next_file = t->v.has_last_seq = true;
	ck_assert_msg(sd_lsm_version_end(&t->v, &e) == SD_OK, "%s", e.text);
}

/* ---- carrying out a plan ---- */

struct merge {
	struct tree *t;
	const struct sd_lsm_plan *plan;
	struct sd_lsm_cut cut;
	size_t older_at;
	struct entry *out;
	size_t n, room;
};

static void end_table(struct merge *m)
{
	if (m->n > 0)
		add_table(m->t, m->plan->to, m->out, m->n);
	else
		free(m->out);
	m->out = NULL;
	m->n = m->room = 0;
}

static enum sd_err keep(void *arg, struct sd_slice internal, struct sd_slice value, bool fresh, struct sd_error *e)
{
	struct merge *m = arg;
	(void)value;
	(void)e;
	if (fresh && sd_lsm_cut_before(&m->cut, sd_lsm_user(internal), m->n * ENTRY))
		end_table(m);
	if (m->n == m->room) {
		m->room = m->room ? 2 * m->room : 2 * MEMTABLE;
		m->out = realloc(m->out, m->room * sizeof(*m->out));
		ck_assert_ptr_nonnull(m->out);
	}
	m->out[m->n++] = (struct entry){sd_get_be(internal.p, KEY), sd_lsm_seq(internal), sd_lsm_kind(internal) == SD_LSM_GONE};
	return SD_OK;
}

static bool older(void *arg, struct sd_slice user)
{
	struct merge *m = arg;
	return sd_lsm_plan_older(m->plan, &m->older_at, user);
}

static struct entry *all_of(struct tree *t, const struct sd_lsm_plan *p, size_t *n)
{
	*n = 0;
	for (size_t i = 0; i < p->n; i++)
		*n += t->tables[p->in[i].file.number].n;
	struct entry *all = malloc(*n * sizeof(*all)), *at = all;
	ck_assert_ptr_nonnull(all);
	for (size_t i = 0; i < p->n; i++) {
		struct table *from = &t->tables[p->in[i].file.number];
		memcpy(at, from->entries, from->n * sizeof(*at));
		at += from->n;
		free(from->entries);
		*from = (struct table){0};
	}
	qsort(all, *n, sizeof(*all), by_internal);
	return all;
}

static void merge_tables(struct tree *t, const struct sd_lsm_plan *p)
{
	size_t n;
	char key[KEY + SD_LSM_TAIL];
	struct entry *all = all_of(t, p, &n);
	struct merge m = {.t = t, .plan = p, .cut = {.plan = p, .table_bytes = t->conf.table_bytes}};
	struct sd_lsm_sift s = {.conf = {.keep = keep, .older = older, .arg = &m}};
	for (size_t i = 0; i < n; i++)
		ck_assert_int_eq(sd_lsm_sift_take(&s, internal_key(key, &all[i]), (struct sd_slice){NULL, 0}, NULL), SD_OK);
	ck_assert_int_eq(sd_lsm_sift_end(&s, NULL), SD_OK);
	end_table(&m);
	sd_lsm_sift_free(&s);
	free(all);
	t->merges++;
}

/* What comes out will lie over these: all tables of the next level that have a key between the smallest and the largest of the inputs. */
static void judge_below(const struct tree *t, const struct sd_lsm_plan *p)
{
	size_t n = 0;
	struct sd_slice from = sd_lsm_user(p->in[0].file.smallest), to = sd_lsm_user(p->in[0].file.largest);
	for (size_t i = 1; i < p->n; i++) {
		struct sd_slice low = sd_lsm_user(p->in[i].file.smallest), high = sd_lsm_user(p->in[i].file.largest);
		from = sd_lsm_bytewise(low, from) < 0 ? low : from;
		to = sd_lsm_bytewise(high, to) > 0 ? high : to;
	}
	bool any = t->conf.style == SD_LSM_LEVELED && p->to > 0 && p->to + 1 < SD_LSM_LEVELS;
	for (size_t i = 0; any && i < t->v.levels[p->to + 1].n; i++) {
		const struct sd_lsm_file *f = &t->v.levels[p->to + 1].files[i];
		if (sd_lsm_bytewise(sd_lsm_user(f->largest), from) < 0 || sd_lsm_bytewise(sd_lsm_user(f->smallest), to) > 0)
			continue;
		ck_assert_uint_lt(n, p->nbelow);
		ck_assert_uint_eq(p->below[n++].number, f->number);
	}
	ck_assert_uint_eq(n, p->nbelow);
}

static void carry_out(struct tree *t, const struct sd_lsm_plan *p)
{
	struct sd_text edit = {0};
	judge_below(t, p);
	for (size_t i = 0; i < p->n; i++)
		sd_lsm_edit_remove(&edit, p->in[i].level, p->in[i].file.number);
	for (size_t i = 0; p->move && i < p->n; i++)
		sd_lsm_edit_add(&edit, p->to, &p->in[i].file, true);
	edit_tree(t, &edit);
	t->moved += p->move ? p->bytes : 0;
	t->small += p->why == SD_LSM_WHY_SMALL;
	if (!p->move)
		merge_tables(t, p);
	in_order(t);
}

/* Until nothing is due; as a store that is never behind. */
static void settle(struct tree *t)
{
	struct sd_lsm_plan p;
	struct sd_lsm_shape shape;
	for (unsigned n = 0; sd_lsm_pick(&t->v, &t->conf, &p) == SD_OK; n++) {
		ck_assert_uint_lt(n, 1000);
		ck_assert(p.n > 1 || p.move || p.from != p.to);
		carry_out(t, &p);
		sd_lsm_plan_free(&p);
	}
	sd_lsm_shape(&t->v, &t->conf, &shape);
	size_t runs = t->v.levels[0].n;
	for (unsigned l = 1; l < SD_LSM_LEVELS; l++) {
		runs += t->v.levels[l].n > 0;
		t->most_score = shape.score[l] > t->most_score ? shape.score[l] : t->most_score;
	}
	t->most_l0 = t->v.levels[0].n > t->most_l0 ? t->v.levels[0].n : t->most_l0;
	t->most_runs = runs > t->most_runs ? runs : t->most_runs;
	ck_assert_uint_eq(shape.owed, 0);
}

static void flush(struct tree *t, struct entry *entries, size_t n)
{
	qsort(entries, n, sizeof(*entries), by_internal);
	add_table(t, 0, entries, n);
	in_order(t);
}

/* ---- reading ---- */

static const struct entry *find_in(const struct table *t, uint64_t key)
{
	size_t low = 0, high = t->n;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (t->entries[middle].key < key)
			low = middle + 1;
		else
			high = middle;
	}
	return low < t->n && t->entries[low].key == key ? &t->entries[low] : NULL;
}

static uint64_t read_key(const struct tree *t, uint64_t key)
{
	char user[KEY];
	sd_put_be(user, key, KEY);
	for (size_t i = t->v.levels[0].n; i-- > 0;) {
		const struct entry *x = find_in(&t->tables[t->v.levels[0].files[i].number], key);
		if (x)
			return x->gone ? 0 : x->seq;
	}
	for (unsigned l = 1; l < SD_LSM_LEVELS; l++) {
		const struct sd_lsm_file *f = sd_lsm_version_find(&t->v, l, (struct sd_slice){user, KEY});
		const struct entry *x = f ? find_in(&t->tables[f->number], key) : NULL;
		if (x)
			return x->gone ? 0 : x->seq;
	}
	return 0;
}

static void all_is_there(const struct tree *t)
{
	for (uint64_t key = 0; key < t->keys; key++) {
		uint64_t found = read_key(t, key);
		ck_assert_msg(found == t->live[key], "key %" PRIu64 ": found %" PRIu64 ", expected %" PRIu64, key, found, t->live[key]);
	}
}

static uint64_t entries_of(const struct tree *t, bool gone)
{
	uint64_t n = 0;
	for (uint64_t i = 1; i < t->next; i++)
		for (size_t k = 0; k < t->tables[i].n; k++)
			n += !gone || t->tables[i].entries[k].gone;
	return n;
}

static uint64_t live_keys(const struct tree *t)
{
	uint64_t n = 0;
	for (uint64_t i = 0; i < t->keys; i++)
		n += t->live[i] > 0;
	return n;
}

/* ---- workloads ---- */

/* So many memtables of writes; `removals` in a hundred are removals; in order, or anywhere. */
static void write_some(struct tree *t, struct sd_rng *r, unsigned memtables, bool in_sequence, unsigned removals)
{
	for (unsigned i = 0; i < memtables; i++) {
		struct entry *entries = malloc(MEMTABLE * sizeof(*entries));
		ck_assert_ptr_nonnull(entries);
		for (size_t k = 0; k < MEMTABLE; k++) {
			uint64_t seq = ++t->seq, key = in_sequence ? seq - 1 : sd_rng_below(r, (uint32_t)t->keys);
			bool gone = sd_rng_below(r, 100) < removals;
			entries[k] = (struct entry){key, seq, gone};
			t->live[key] = gone ? 0 : seq;
		}
		flush(t, entries, MEMTABLE);
		settle(t);
	}
}

static double amplification(const struct tree *t)
{
	return (double)t->written / ((double)t->seq * ENTRY);
}

static double space(const struct tree *t)
{
	return (double)entries_of(t, false) / (double)live_keys(t);
}

static void tell(const struct tree *t, const char *what)
{
	printf("%-28s written %5.2f times, room %4.2f, moved %3.0f %%, most runs %2zu, merges %5" PRIu64 "; levels", what, amplification(t),
	       space(t), 100.0 * (double)t->moved / ((double)t->seq * ENTRY), t->most_runs, t->merges);
	for (unsigned l = 0; l < SD_LSM_LEVELS; l++)
		printf(" %zu", t->v.levels[l].n);
	printf("\n");
}

/* 200,000 writes of 100,000 keys: 400 memtables; the last level is about a hundred times level 0. */
static void leveled_is_bounded(void)
{
	struct sd_rng r;
	sd_rng_seed(&r, 1);
	struct tree *t = tree_new(SD_LSM_LEVELED, 100000);
	write_some(t, &r, 400, false, 0);
	tell(t, "leveled, random");
	all_is_there(t);
	ck_assert_uint_lt(t->most_l0, 4);
	ck_assert_double_lt(t->most_score, 1);
	ck_assert_double_lt(amplification(t), 11);
	ck_assert_double_lt(space(t), 1.25);
	tree_free(t);
}

static void tiered_writes_less(void)
{
	struct sd_rng r;
	sd_rng_seed(&r, 2);
	struct tree *t = tree_new(SD_LSM_TIERED, 100000);
	write_some(t, &r, 400, false, 0);
	tell(t, "tiered, random");
	all_is_there(t);
	ck_assert_uint_le(t->most_runs, 3 + 6);
	ck_assert_double_lt(amplification(t), 5);
	ck_assert_double_lt(space(t), 3);
	tree_free(t);
}

/* Nothing overlaps: each byte is written once, and then only told to be elsewhere. */
static void in_order_is_moved(void)
{
	struct sd_rng r;
	sd_rng_seed(&r, 3);
	struct tree *t = tree_new(SD_LSM_LEVELED, 100000);
	write_some(t, &r, 200, true, 0);
	tell(t, "leveled, in order");
	all_is_there(t);
	ck_assert_double_lt(amplification(t), 1.01);
	ck_assert_double_gt((double)t->moved, 0.9 * (double)t->seq * ENTRY);
	tree_free(t);
}

START_TEST(large_trees)
{
	static void (*const all[])(void) = {leveled_is_bounded, tiered_writes_less, in_order_is_moved};
	all[_i]();
}
END_TEST

START_TEST(what_is_removed_stays_so)
{
	enum sd_lsm_style style = _i % 2 ? SD_LSM_TIERED : SD_LSM_LEVELED;
	struct sd_rng r;
	struct sd_lsm_plan p;
	sd_rng_seed(&r, (uint64_t)_i + 10);
	struct tree *t = tree_new(style, 8000);
	for (unsigned i = 0; i < 10; i++) {
		write_some(t, &r, 6, false, i % 3 == 2 ? 90 : 40);
		all_is_there(t);
	}
	tell(t, style ? "tiered, removals" : "leveled, removals");
	struct sd_lsm_asked asked = {0};
	unsigned n = 0;
	for (; sd_lsm_pick_asked(&t->v, &t->conf, &asked, &p) == SD_OK; n++) {
		ck_assert_int_eq(p.why, SD_LSM_WHY_ASKED);
		ck_assert_uint_lt(n, 100);
		carry_out(t, &p);
		sd_lsm_plan_free(&p);
		all_is_there(t);
	}
	ck_assert_uint_gt(n, 0);
	tell(t, "  merged by hand");
	ck_assert_uint_eq(entries_of(t, true), 0);
	ck_assert_uint_eq(entries_of(t, false), live_keys(t));
	tree_free(t);
}
END_TEST

/* A range that is asked for: what is in it lies in one level afterwards, what is far from it stays where it is. */
START_TEST(a_range_is_merged)
{
	struct sd_rng r;
	struct sd_lsm_plan p;
	char low[KEY], high[KEY];
	sd_rng_seed(&r, 5);
	struct tree *t = tree_new(SD_LSM_LEVELED, 100000);
	write_some(t, &r, 100, false, 10);
	sd_put_be(low, 40000, KEY);
	sd_put_be(high, 42000, KEY);
	struct sd_slice from = {low, KEY}, to = {high, KEY};
	struct sd_lsm_asked asked = {.from = &from, .to = &to};
	uint64_t before = t->written;
	while (sd_lsm_pick_asked(&t->v, &t->conf, &asked, &p) == SD_OK) {
		carry_out(t, &p);
		sd_lsm_plan_free(&p);
	}
	all_is_there(t);
	for (unsigned l = 0; l < SD_LSM_LEVELS - 1; l++)
		for (size_t i = 0; i < t->v.levels[l].n; i++) {
			const struct sd_lsm_file *f = &t->v.levels[l].files[i];
			bool meets = sd_lsm_bytewise(sd_lsm_user(f->smallest), to) <= 0 && sd_lsm_bytewise(sd_lsm_user(f->largest), from) >= 0;
			ck_assert_msg(!meets, "a table of level %u is in the range", l);
		}
	uint64_t all = 0;
	for (unsigned l = 0; l < SD_LSM_LEVELS; l++)
		all += sd_lsm_level_bytes(&t->v.levels[l]);
	ck_assert_uint_lt(t->written - before, all);
	tree_free(t);
}
END_TEST

/* Stores that are closed often flush little each time: such tables are merged among themselves, not each with a whole level. */
START_TEST(small_tables)
{
	struct sd_rng r;
	sd_rng_seed(&r, 6);
	struct tree *t = tree_new(SD_LSM_LEVELED, 20000);
	write_some(t, &r, 100, false, 0);
	uint64_t written = t->written, seq = t->seq;
	for (unsigned i = 0; i < 400; i++) {
		struct entry *entries = malloc(10 * sizeof(*entries));
		for (size_t k = 0; k < 10; k++) {
			entries[k] = (struct entry){sd_rng_below(&r, (uint32_t)t->keys), ++t->seq, false};
			t->live[entries[k].key] = t->seq;
		}
		flush(t, entries, 10);
		settle(t);
	}
	all_is_there(t);
	double times = (double)(t->written - written) / ((double)(t->seq - seq) * ENTRY);
	printf("%-28s written %5.2f times, %" PRIu64 " merges within level 0\n", "leveled, small tables", times, t->small);
	ck_assert_uint_gt(t->small, 0);
	ck_assert_uint_le(t->most_l0, 8);
	ck_assert_double_lt(times, 20);
	tree_free(t);
}
END_TEST

/* A folder of LevelDB's: levels 0 to 2 are full, the others empty. It becomes one of ours. */
START_TEST(levels_of_somebody_else)
{
	struct sd_rng r;
	sd_rng_seed(&r, 7);
	struct tree *t = tree_new(SD_LSM_LEVELED, 50000);
	for (unsigned part = 0; part < 50; part++) { /* level 2 */
		struct entry *entries = malloc(1000 * sizeof(*entries));
		for (size_t k = 0; k < 1000; k++) {
			entries[k] = (struct entry){part * 1000 + k, ++t->seq, false};
			t->live[entries[k].key] = t->seq;
		}
		add_table(t, 2, entries, 1000);
	}
	in_order(t);
	write_some(t, &r, 60, false, 5);
	all_is_there(t);
	tell(t, "leveled, LevelDB's levels");
	ck_assert_double_lt(t->most_score, 1);
	tree_free(t);
}
END_TEST

/* ---- without a tree: what levels should hold ---- */

static void level_of(struct sd_lsm_version *v, unsigned level, uint64_t size)
{
	char a[KEY + SD_LSM_TAIL], b[KEY + SD_LSM_TAIL];
	struct sd_lsm_file f = {.number = 100 + level, .size = size};
	f.smallest = internal_key(a, &(struct entry){0, 2, false});
	f.largest = internal_key(b, &(struct entry){9, 1, false});
	ck_assert(sd_lsm_version_add(v, level, &f));
}

START_TEST(level_sizes_follow_the_last)
{
	static const uint64_t MiB = UINT64_C(1) << 20;
	static const struct {
		uint64_t last; /* MiB in level 6 */
		unsigned base;
		uint64_t target; /* MiB of it */
	} cases[] = {{0, 6, 10}, {9, 6, 10}, {90, 5, 10}, {101, 4, 10}, {990, 4, 10}, {9000, 3, 10}, {20000, 2, 10}, {1000000, 1, 10}};
	struct sd_lsm_pick_conf conf = {0};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct sd_lsm_version v = {0};
		struct sd_lsm_shape s;
		if (cases[i].last)
			level_of(&v, 6, cases[i].last * MiB);
		sd_lsm_shape(&v, &conf, &s);
		ck_assert_uint_eq(s.base, cases[i].base);
		ck_assert_uint_eq(s.target[s.base], cases[i].target * MiB);
		for (unsigned l = s.base + 1; l < SD_LSM_LEVELS; l++) {
			ck_assert_uint_ge(s.target[l], s.target[l - 1]);
			ck_assert_uint_le(s.target[l], 10 * s.target[l - 1]);
		}
		if (cases[i].last >= 90) /* at most a ninth of it lies above the last */
			ck_assert_uint_le(s.target[5], (cases[i].last + 10) * MiB / 9);
		for (unsigned l = 1; l < s.base; l++)
			ck_assert_uint_eq(s.target[l], 0);
		sd_lsm_version_free(&v);
	}
}
END_TEST

static void span_of(struct sd_lsm_version *v, unsigned level, uint64_t number, struct entry from, struct entry to)
{
	char a[KEY + SD_LSM_TAIL], b[KEY + SD_LSM_TAIL];
	struct sd_lsm_file f = {.number = number, .size = 1000, .entries = 10};
	f.smallest = internal_key(a, &from);
	f.largest = internal_key(b, &to);
	ck_assert(sd_lsm_version_add(v, level, &f));
}

static void expect(const struct sd_lsm_plan *p, const uint64_t *numbers, size_t n)
{
	ck_assert_uint_eq(p->n, n);
	for (size_t i = 0; i < n; i++)
		ck_assert_uint_eq(p->in[i].file.number, numbers[i]);
}

/* The oldest meets the second, that the third, which lies before it; the fourth nobody. Below, one table meets the third only. */
START_TEST(what_overlaps_goes_together)
{
	struct sd_lsm_pick_conf conf = {.table_bytes = 1000};
	struct sd_lsm_version v = {0};
	struct sd_lsm_plan p;
	span_of(&v, 0, 13, (struct entry){1, 90, false}, (struct entry){3, 91, false});
	span_of(&v, 0, 12, (struct entry){3, 80, false}, (struct entry){6, 81, false});
	span_of(&v, 0, 11, (struct entry){6, 70, false}, (struct entry){8, 71, false});
	span_of(&v, 0, 14, (struct entry){20, 92, false}, (struct entry){21, 93, false});
	span_of(&v, 6, 5, (struct entry){0, 4, false}, (struct entry){1, 5, false});
	span_of(&v, 6, 6, (struct entry){9, 4, false}, (struct entry){19, 5, false});
	ck_assert_int_eq(sd_lsm_pick(&v, &conf, &p), SD_OK);
	expect(&p, (const uint64_t[]){13, 12, 11, 5}, 4);
	ck_assert_uint_eq(p.to, 6);
	ck_assert(!p.move);
	ck_assert_uint_eq(p.nolder, 0);
	sd_lsm_plan_free(&p);
	sd_lsm_version_free(&v);
}
END_TEST

/* LevelDB splits a user key between two tables of a level: both go down, or the older entry would come to lie above the newer. */
START_TEST(a_key_in_two_tables)
{
	struct sd_lsm_pick_conf conf = {.table_bytes = 1000, .base_bytes = 1000, .ratio = 2};
	struct sd_lsm_version v = {0};
	struct sd_lsm_plan p;
	span_of(&v, 5, 11, (struct entry){1, 90, false}, (struct entry){5, 60, false});
	span_of(&v, 5, 12, (struct entry){5, 50, false}, (struct entry){7, 40, false});
	span_of(&v, 5, 13, (struct entry){8, 50, false}, (struct entry){9, 40, false});
	span_of(&v, 6, 3, (struct entry){8, 5, false}, (struct entry){9, 4, false});
	ck_assert_int_eq(sd_lsm_pick(&v, &conf, &p), SD_OK);
	expect(&p, (const uint64_t[]){11, 12}, 2);
	sd_lsm_plan_free(&p);
	sd_lsm_version_free(&v);
}
END_TEST

/* The new ones of level 0 within themselves: the older ones of it count as older. */
START_TEST(small_ones_know_what_is_older)
{
	struct sd_lsm_pick_conf conf = {.table_bytes = 1000};
	struct sd_lsm_version v = {0};
	struct sd_lsm_plan p;
	size_t at = 0;
	char key[KEY];
	for (uint64_t i = 0; i < 4; i++)
		span_of(&v, 0, 20 + i, (struct entry){1, 90 + i, false}, (struct entry){9, 80, false});
	v.levels[0].files[0].size = 100000;
	span_of(&v, 6, 5, (struct entry){9, 4, false}, (struct entry){9, 3, false}); /* not of the key that is asked for */
	v.levels[6].files[0].size = 9000000;
	ck_assert_int_eq(sd_lsm_pick(&v, &conf, &p), SD_OK);
	ck_assert_int_eq(p.why, SD_LSM_WHY_SMALL);
	ck_assert(p.one);
	ck_assert_uint_eq(p.to, 0);
	expect(&p, (const uint64_t[]){23, 22, 21}, 3);
	sd_put_be(key, 4, KEY);
	ck_assert(sd_lsm_plan_older(&p, &at, (struct sd_slice){key, KEY}));
	sd_lsm_plan_free(&p);
	sd_lsm_version_free(&v);
}
END_TEST

/* ---- blobs ---- */

/* A table that points to files of blobs from `first` to `last`. */
static void pointing(struct sd_lsm_version *v, unsigned level, uint64_t number, uint64_t key, uint64_t first, uint64_t last)
{
	span_of(v, level, number, (struct entry){key, 90 + number, false}, (struct entry){key + 1, 80, false});
	struct sd_lsm_file *f = &v->levels[level].files[v->levels[level].n - 1];
	f->first_blob = first;
	f->last_blob = last;
}

static void blob(struct sd_lsm_version *v, uint64_t number, uint64_t size, uint64_t dead)
{
	struct sd_text edit = {0};
	struct sd_error e;
	sd_lsm_edit_add_blob(&edit, number, size);
	sd_lsm_edit_dead_blob(&edit, number, dead);
	ck_assert_int_eq(sd_lsm_version_apply(v, (struct sd_slice){edit.p, edit.n}, &e), SD_OK);
	free(edit.p);
}

static void numbers_end(struct sd_lsm_version *v, uint64_t next_file)
{
	struct sd_error e = {0};
	v->has_log = v->has_next_file = v->has_last_seq = true;
	v->next_file = next_file;
	ck_assert_msg(sd_lsm_version_end(v, &e) == SD_OK, "%s", e.text);
}

/* Of file 7 and 8 most is dead, of 8 more; tables 20 to 22 and 30 point there, 23 and 25 do not. */
static void sparse_tree(struct sd_lsm_version *v)
{
	pointing(v, 0, 30, 1, 8, 8);
	pointing(v, 5, 29, 40, 9, 9);
	pointing(v, 6, 25, 1, 0, 0);
	pointing(v, 6, 20, 10, 7, 8);
	pointing(v, 6, 21, 20, 7, 7);
	pointing(v, 6, 23, 30, 9, 9);
	pointing(v, 6, 22, 40, 8, 9);
	blob(v, 7, 1000, 600);
	blob(v, 8, 1000, 900);
	blob(v, 9, 300, 150);
	numbers_end(v, 50);
}

static void expect_blobs(struct sd_lsm_version *v, const struct sd_lsm_pick_conf *conf, unsigned to, const uint64_t *numbers, size_t n)
{
	struct sd_lsm_plan p;
	enum sd_err err = sd_lsm_pick(v, conf, &p);
	ck_assert_int_eq(err, n ? SD_OK : SD_ENOTFOUND);
	if (n) {
		ck_assert_int_eq(p.why, SD_LSM_WHY_BLOBS);
		ck_assert(!p.move && !p.one);
		ck_assert_uint_eq(p.to, to);
		expect(&p, numbers, n);
	}
	sd_lsm_plan_free(&p);
}

static void take_out(struct sd_lsm_version *v, unsigned level, uint64_t number)
{
	struct sd_text edit = {0};
	struct sd_error e;
	sd_lsm_edit_remove(&edit, level, number);
	ck_assert_int_eq(sd_lsm_version_apply(v, (struct sd_slice){edit.p, edit.n}, &e), SD_OK);
	free(edit.p);
}

/* 1650 are dead, 650 alive: 1000 more. Tables side by side go together, in their level; then the next, then what is in level 0; what was
 * written since does not again. */
START_TEST(tables_that_point_to_dead_blobs)
{
	struct sd_lsm_pick_conf conf = {.style = (enum sd_lsm_style)(_i & 1), .blob_spare = 1000};
	struct sd_lsm_version v = {0};
	sparse_tree(&v);
	expect_blobs(&v, &conf, 0, NULL, 0);
	conf.blob_spare = 999;
	expect_blobs(&v, &conf, 6, (const uint64_t[]){20, 21}, 2);
	conf.table_bytes = 70; /* 25 of these are less than the two */
	expect_blobs(&v, &conf, 6, (const uint64_t[]){20}, 1);
	take_out(&v, 6, 20);
	pointing(&v, 6, 51, 10, 7, 50);
	numbers_end(&v, 52);
	expect_blobs(&v, &conf, 6, (const uint64_t[]){22}, 1);
	take_out(&v, 6, 22);
	pointing(&v, 6, 50, 40, 8, 50); /* the first number that was free when 8 became sparse */
	numbers_end(&v, 53);
	expect_blobs(&v, &conf, conf.style == SD_LSM_TIERED ? 4 : 5, (const uint64_t[]){30}, 1);
	take_out(&v, 0, 30);
	expect_blobs(&v, &conf, 6, (const uint64_t[]){21}, 1); /* of the other one */
	take_out(&v, 6, 21);
	expect_blobs(&v, &conf, 0, NULL, 0);
	sd_lsm_version_free(&v);
}
END_TEST

/* A manifest of before tells nothing about blobs: such a table may point to any. What is told stays so when a manifest is begun. */
START_TEST(a_table_may_point_to_any_blob)
{
	struct sd_lsm_pick_conf conf = {.blob_spare = 1};
	struct sd_lsm_version v = {0}, again = {0};
	struct sd_text all = {0};
	struct sd_error e;
	sparse_tree(&v);
	sd_lsm_version_put(&v, &all);
	ck_assert_int_eq(sd_lsm_version_apply(&again, (struct sd_slice){all.p, all.n}, &e), SD_OK);
	ck_assert_int_eq(sd_lsm_version_end(&again, &e), SD_OK);
	expect_blobs(&again, &conf, 6, (const uint64_t[]){20, 21}, 2);
	all.n = 0;
	char *before = NULL;
	pointing(&v, 6, 26, 50, 0, 0);
	sd_lsm_edit_add(&all, 6, &v.levels[6].files[v.levels[6].n - 1], true);
	ck_assert_uint_eq(all.p[all.n - 9], 8); /* how many numbers follow: each of them is one byte */
	before = all.p + all.n - 9;
	*before = 6;
	ck_assert_int_eq(sd_lsm_version_apply(&again, (struct sd_slice){all.p, all.n - 2}, &e), SD_OK);
	ck_assert_int_eq(sd_lsm_version_end(&again, &e), SD_OK);
	ck_assert_uint_eq(again.levels[6].files[again.levels[6].n - 1].number, 26);
	for (unsigned i = 20; i < 23; i++)
		take_out(&again, 6, i);
	expect_blobs(&again, &conf, 6, (const uint64_t[]){26}, 1);
	sd_lsm_version_free(&v);
	sd_lsm_version_free(&again);
	free(all.p);
}
END_TEST

/* Removals in level 0 may be of large values: they go down when what they meet is little beside these. */
START_TEST(removals_meet_large_values)
{
	struct sd_lsm_pick_conf conf = {.style = (enum sd_lsm_style)(_i & 1), .blob_spare = 7999};
	struct sd_lsm_version v = {0};
	pointing(&v, 6, 20, 10, 7, 7);
	pointing(&v, 0, 30, 10, 0, 0);
	blob(&v, 7, 8000, 0);
	numbers_end(&v, 50);
	expect_blobs(&v, &conf, 0, NULL, 0);
	v.levels[0].files[0].gone = 5; /* of 10 */
	expect_blobs(&v, &conf, 0, NULL, 0);
	v.levels[0].files[0].gone = 6;
	expect_blobs(&v, &conf, 6, (const uint64_t[]){30, 20}, _i ? 0 : 2);
	v.levels[0].files[0].gone = 0;
	v.levels[0].files[0].has_ranges = true;
	expect_blobs(&v, &conf, 6, (const uint64_t[]){30, 20}, _i ? 0 : 2);
	v.levels[6].files[0].size = 1001;
	expect_blobs(&v, &conf, 0, NULL, 0);
	v.levels[6].files[0].size = 1000;
	conf.blob_spare = 8000;
	expect_blobs(&v, &conf, 0, NULL, 0);
	sd_lsm_version_free(&v);
}
END_TEST

/* ---- which tables have ranges ---- */

static void expect_ranged(const struct sd_lsm_version *v, const uint64_t *numbers, size_t n)
{
	ck_assert_uint_eq(v->nranged, n);
	for (size_t i = 0; i < n; i++)
		ck_assert_uint_eq(v->levels[v->ranged[i].level].files[v->ranged[i].at].number, numbers[i]);
}

/* After each edit, however tables lie, and in a copy. */
START_TEST(tables_with_ranges_are_known)
{
	struct sd_lsm_version v = {0}, copy;
	pointing(&v, 6, 20, 30, 0, 0);
	pointing(&v, 6, 21, 10, 0, 0);
	pointing(&v, 0, 22, 10, 0, 0);
	numbers_end(&v, 50);
	expect_ranged(&v, NULL, 0);
	v.levels[6].files[1].has_ranges = true; /* 20, behind 21 */
	pointing(&v, 6, 23, 20, 0, 0);		/* comes to lie between them */
	v.levels[0].files[0].has_ranges = true;
	numbers_end(&v, 50);
	expect_ranged(&v, (const uint64_t[]){22, 20}, 2);
	ck_assert(sd_lsm_version_copy(&copy, &v));
	take_out(&v, 6, 20);
	numbers_end(&v, 50);
	expect_ranged(&v, (const uint64_t[]){22}, 1);
	expect_ranged(&copy, (const uint64_t[]){22, 20}, 2);
	sd_lsm_version_free(&copy);
	sd_lsm_version_free(&v);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("lsm_pick");
	TCase *t = tcase_create("pick");
	tcase_set_timeout(t, 120);
	tcase_add_loop_test(t, large_trees, 0, LARGE_TREES);
	tcase_add_loop_test(t, what_is_removed_stays_so, 0, 4);
	tcase_add_test(t, a_range_is_merged);
	tcase_add_test(t, small_tables);
	tcase_add_test(t, levels_of_somebody_else);
	tcase_add_test(t, level_sizes_follow_the_last);
	tcase_add_test(t, what_overlaps_goes_together);
	tcase_add_test(t, a_key_in_two_tables);
	tcase_add_test(t, small_ones_know_what_is_older);
	tcase_add_loop_test(t, tables_that_point_to_dead_blobs, 0, 2);
	tcase_add_test(t, a_table_may_point_to_any_blob);
	tcase_add_test(t, tables_with_ranges_are_known);
	tcase_add_loop_test(t, removals_meet_large_values, 0, 2);
	suite_add_tcase(s, t);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
