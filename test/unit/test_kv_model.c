/* The store against the obvious one, which is an array of keys: puts, values that end, removals, ranges, batches, compare-and-set,
 * snapshots, iterators both ways, with flushes, compactions, and closing and opening in between. Both formats, both styles. In the
 * simulated world, so that one seed says all that happens. STEPS=n: so many steps a run; SEED_FROM=n: other seeds. */
#include "core/rng.h"
#include "lsm_rig.h"
#include "sdlab/kv.h"
#include "world/sim.h"

#define KEYS	  210
#define SNAPSHOTS 4
#define VALUE_MAX 20000

#ifdef SD_SANITIZED
#define STEPS 1500
#else
#define STEPS 6000
#endif

struct slot {
	uint64_t value; /* its content and length follow from this; 0: not there */
	int64_t until_ms;
};
struct state {
	struct slot slots[KEYS];
};

struct rig {
	struct sd_sim *sim;
	struct sd_rng rng;
	struct sd_kv_conf conf;
	struct sd_kv *kv;
	int64_t now_ms;
	uint64_t values; /* so many were made */
	struct state now;
	struct state kept[SNAPSHOTS];
	struct sd_kv_snapshot *snapshots[SNAPSHOTS];
	struct sd_kv_value found;
	struct sd_error e;
};

/* All keys in their order, of all shapes. */
static char names[KEYS][KEY_ROOM];
static struct sd_slice keys[KEYS];
static char bytes[VALUE_MAX];

static int by_key(const void *a, const void *b)
{
	const struct sd_slice *x = a, *y = b;
	size_t n = x->n < y->n ? x->n : y->n;
	int c = n ? memcmp(x->p, y->p, n) : 0;
	return c ? c : (x->n > y->n) - (x->n < y->n);
}

static void setup(void)
{
	for (unsigned i = 0; i < KEYS; i++)
		keys[i] = shaped_key(names[i], i % KEY_SHAPES, i / KEY_SHAPES);
	qsort(keys, KEYS, sizeof(keys[0]), by_key);
	for (unsigned i = 1; i < KEYS; i++)
		must(by_key(&keys[i - 1], &keys[i]) < 0);
}

static void good(struct rig *r, enum sd_err err)
{
	if (err)
		ck_abort_msg("%s: %s", sd_err_text(err), r->e.text);
}

static unsigned some(struct rig *r, unsigned below)
{
	return sd_rng_below(&r->rng, below);
}

/* Most are short, some empty, a few long enough to be kept apart. */
static struct sd_slice content(uint64_t value)
{
	size_t n = value % 16 == 0 ? 0 : value % 29 == 0 ? 4000 + value % (VALUE_MAX - 4000) : 1 + value % 120;
	for (size_t i = 0; i < n; i++)
		bytes[i] = (char)(value * 131 + i / 7);
	return (struct sd_slice){bytes, n};
}

static bool there(const struct rig *r, const struct slot *s)
{
	return s->value && (s->until_ms == 0 || s->until_ms > r->now_ms);
}

static int64_t clock_of(void *arg)
{
	return ((struct rig *)arg)->now_ms;
}

/* ---- writing ---- */

static struct slot some_slot(struct rig *r)
{
	bool ends = r->conf.format == SD_KV_SDLAB && some(r, 4) == 0;
	return (struct slot){++r->values, ends ? r->now_ms + some(r, 3000) : 0};
}

static void put(struct rig *r, struct sd_kv_batch *b, unsigned k)
{
	struct slot s = some_slot(r);
	if (b)
		sd_kv_batch_put_until(b, keys[k], content(s.value), s.until_ms);
	else
		good(r, sd_kv_put_until(r->kv, keys[k], content(s.value), s.until_ms, &r->e));
	r->now.slots[k] = s;
}

static void put_gone(struct rig *r, struct sd_kv_batch *b, unsigned k)
{
	if (b)
		sd_kv_batch_delete(b, keys[k]);
	else
		good(r, sd_kv_delete(r->kv, keys[k], &r->e));
	r->now.slots[k] = (struct slot){0};
}

/* Also ranges that hold nothing, and those to the end. */
static void put_range_gone(struct rig *r, struct sd_kv_batch *b)
{
	unsigned from = some(r, KEYS), to = some(r, 20) == 0 ? KEYS : some(r, 3) ? from + some(r, 12) : some(r, KEYS);
	struct sd_slice *end = to < KEYS ? &keys[to] : NULL;
	if (b)
		sd_kv_batch_delete_range(b, keys[from], end);
	else
		good(r, sd_kv_delete_range(r->kv, keys[from], end, &r->e));
	for (unsigned k = from; k < to && k < KEYS; k++)
		r->now.slots[k] = (struct slot){0};
}

static void write_batch(struct rig *r)
{
	struct sd_kv_batch *b = sd_kv_batch_new(some(r, 2));
	unsigned n = some(r, 30), ranges = 0;
	for (unsigned i = 0; i < n; i++) {
		unsigned what = some(r, 20);
		ranges += what == 0;
		if (what == 0)
			put_range_gone(r, b);
		else if (what < 6)
			put_gone(r, b, some(r, KEYS));
		else
			put(r, b, some(r, KEYS));
	}
	must(sd_kv_batch_count(b) <= n && sd_kv_batch_count(b) >= n - ranges); /* ranges that hold nothing do not count */
	good(r, sd_kv_write(r->kv, b, &r->e));
	sd_kv_batch_free(b);
}

/* Expects what is there, or something else; sets or removes. */
static void compare_and_set(struct rig *r)
{
	unsigned k = some(r, KEYS);
	struct slot *s = &r->now.slots[k], next = some_slot(r);
	bool is = there(r, s), right = some(r, 2), removes = some(r, 4) == 0;
	struct sd_slice value = content(s->value ? s->value : 7), set;
	char *expected = malloc(value.n + 1);
	must(expected != NULL);
	memcpy(expected, value.p, value.n);
	expected[value.n] = '!';
	bool none = right ? !is : is && some(r, 2);
	struct sd_slice want = {expected, value.n + (right ? 0 : 1)};
	set = content(next.value);
	enum sd_err err =
	    sd_kv_compare_and_set(r->kv, keys[k], none ? NULL : &want, removes ? NULL : &set, removes ? 0 : next.until_ms, &r->e);
	ck_assert_int_eq(err, right ? SD_OK : SD_EAGAIN);
	if (right)
		*s = removes ? (struct slot){0} : next;
	free(expected);
}

/* ---- reading ---- */

static const struct state *some_time(struct rig *r, struct sd_kv_snapshot **snapshot)
{
	unsigned i = some(r, 2 * SNAPSHOTS);
	*snapshot = i < SNAPSHOTS ? r->snapshots[i] : NULL;
	return *snapshot ? &r->kept[i] : &r->now;
}

static void get(struct rig *r, unsigned k)
{
	struct sd_kv_snapshot *snapshot;
	const struct state *s = some_time(r, &snapshot);
	const struct slot *slot = &s->slots[k];
	enum sd_err err = sd_kv_get(r->kv, snapshot, keys[k], &r->found, &r->e);
	if (!there(r, slot)) {
		must(err == SD_ENOTFOUND);
		return;
	}
	good(r, err);
	same_slice((struct sd_slice){r->found.p, r->found.n}, content(slot->value));
	must(r->found.until_ms == slot->until_ms);
	char into[64];
	size_t n;
	err = sd_kv_get_into(r->kv, snapshot, keys[k], into, sizeof(into), &n, &r->e);
	must(n == r->found.n && err == (n > sizeof(into) ? SD_ERANGE : SD_OK));
	must(n > sizeof(into) || n == 0 || memcmp(into, r->found.p, n) == 0);
}

/* From k on in a direction, the first that is there and within bounds; -1: none. */
static int next_there(const struct rig *r, const struct state *s, int k, int step, int low, int high)
{
	for (; k >= low && k < high; k += step)
		if (there(r, &s->slots[k]))
			return k;
	return -1;
}

static void same_place(struct sd_kv_iter *i, bool valid, const struct state *s, int at)
{
	must(valid == (at >= 0));
	must(sd_kv_iter_valid(i) == valid);
	must(sd_kv_iter_err(i, NULL) == SD_OK);
	if (at < 0)
		return;
	same_slice(sd_kv_iter_key(i), keys[at]);
	same_slice(sd_kv_iter_value(i), content(s->slots[at].value));
	must(sd_kv_iter_until_ms(i) == s->slots[at].until_ms);
}

struct bounds {
	int low, high;
};

static int put_somewhere(struct rig *r, struct sd_kv_iter *i, const struct state *s, struct bounds b, bool *valid)
{
	int k = (int)some(r, KEYS);
	switch (some(r, 6)) {
	case 0:
		*valid = sd_kv_iter_first(i);
		return next_there(r, s, b.low, 1, b.low, b.high);
	case 1:
		*valid = sd_kv_iter_last(i);
		return next_there(r, s, b.high - 1, -1, b.low, b.high);
	case 2:
	case 3:
		*valid = sd_kv_iter_seek(i, keys[k]);
		return next_there(r, s, k < b.low ? b.low : k, 1, b.low, b.high);
	default:
		*valid = sd_kv_iter_seek_back(i, keys[k]);
		return next_there(r, s, k >= b.high ? b.high - 1 : k, -1, b.low, b.high);
	}
}

/* Writes go on while it stands; it sees none of them. */
static void iterate(struct rig *r)
{
	struct sd_kv_span span = {.passing = some(r, 2)};
	struct sd_kv_snapshot *snapshot;
	struct state s = *some_time(r, &snapshot);
	struct bounds b = {some(r, 2) ? (int)some(r, KEYS) : 0, some(r, 2) ? (int)some(r, KEYS) : KEYS};
	span.snapshot = snapshot;
	span.from = b.low > 0 ? &keys[b.low] : NULL;
	span.to = b.high < KEYS ? &keys[b.high] : NULL;
	struct sd_kv_iter *i;
	good(r, sd_kv_iter_new(r->kv, &span, &i, &r->e));
	must(!sd_kv_iter_valid(i));
	int at = -1;
	for (unsigned step = 0; step < 40; step++) {
		bool valid;
		unsigned what = some(r, 16);
		if (at < 0 || what == 0) {
			at = put_somewhere(r, i, &s, b, &valid);
		} else if ((step / 12 + (what < 3)) % 2) {
			valid = sd_kv_iter_prev(i);
			at = next_there(r, &s, at - 1, -1, b.low, b.high);
		} else {
			valid = sd_kv_iter_next(i);
			at = next_there(r, &s, at + 1, 1, b.low, b.high);
		}
		same_place(i, valid, &s, at);
		if (what == 5)
			put(r, NULL, some(r, KEYS));
		if (some(r, 100) == 0)
			good(r, some(r, 2) ? sd_kv_flush(r->kv, &r->e) : sd_kv_compact(r->kv, NULL, NULL, &r->e));
	}
	sd_kv_iter_free(i);
}

static void all_keys(struct rig *r)
{
	struct sd_kv_iter *i;
	good(r, sd_kv_iter_new(r->kv, NULL, &i, &r->e));
	int at = next_there(r, &r->now, 0, 1, 0, KEYS);
	for (bool valid = sd_kv_iter_first(i);; valid = sd_kv_iter_next(i)) {
		same_place(i, valid, &r->now, at);
		if (!valid)
			break;
		at = next_there(r, &r->now, at + 1, 1, 0, KEYS);
	}
	sd_kv_iter_free(i);
	for (unsigned k = 0; k < KEYS; k++)
		get(r, k);
}

/* ---- upkeep ---- */

static void let_go(struct rig *r, unsigned i)
{
	sd_kv_snapshot_free(r->kv, r->snapshots[i]);
	r->snapshots[i] = NULL;
}

static void take_or_let_go(struct rig *r)
{
	unsigned i = some(r, SNAPSHOTS);
	if (r->snapshots[i]) {
		let_go(r, i);
		return;
	}
	r->snapshots[i] = sd_kv_snapshot_new(r->kv);
	must(r->snapshots[i] != NULL);
	r->kept[i] = r->now;
}

static void reopen(struct rig *r)
{
	for (unsigned i = 0; i < SNAPSHOTS; i++)
		let_go(r, i);
	good(r, sd_kv_close(r->kv, &r->e));
	r->conf.mode = SD_KV_OPEN;
	good(r, sd_kv_open("store", &r->conf, &r->kv, &r->e));
	all_keys(r);
}

static void compact(struct rig *r)
{
	unsigned from = some(r, KEYS), to = some(r, KEYS);
	bool whole = some(r, 2);
	good(r, sd_kv_compact(r->kv, whole ? NULL : &keys[from], whole ? NULL : &keys[to > from ? to : from], &r->e));
	all_keys(r);
}

static void upkeep(struct rig *r)
{
	switch (some(r, 12)) {
	case 0:
		good(r, sd_kv_flush(r->kv, &r->e));
		break;
	case 1:
		if (some(r, 3) == 0)
			compact(r);
		break;
	case 2:
		if (some(r, 3) == 0)
			reopen(r);
		break;
	case 3:
		r->now_ms += some(r, 500);
		break;
	case 4:
	case 5:
		take_or_let_go(r);
		break;
	default:
		for (unsigned n = some(r, 20); n > 0 && sd_kv_work(r->kv); n--)
			;
	}
}

static void step(struct rig *r)
{
	unsigned what = some(r, 100);
	if (what < 40)
		put(r, NULL, some(r, KEYS));
	else if (what < 50)
		put_gone(r, NULL, some(r, KEYS));
	else if (what < 52)
		put_range_gone(r, NULL);
	else if (what < 56)
		write_batch(r);
	else if (what < 60)
		compare_and_set(r);
	else if (what < 80)
		get(r, some(r, KEYS));
	else if (what < 84)
		iterate(r);
	else
		upkeep(r);
}

static uint64_t number(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);
	return text && *text ? strtoull(text, NULL, 10) : otherwise;
}

static void play(uint64_t seed, const struct sd_kv_conf *conf)
{
	uint64_t steps = number("STEPS", STEPS);
	seed += number("SEED_FROM", 0);
	static struct rig r;
	r = (struct rig){.sim = sd_sim_new(seed), .conf = *conf, .now_ms = 1000000};
	sd_rng_seed(&r.rng, seed);
	r.conf.world = sd_sim_node(r.sim, "store");
	r.conf.background = SD_KV_BY_HAND;
	r.conf.mode = SD_KV_MAKE;
	r.conf.now_ms = clock_of;
	r.conf.arg = &r;
	good(&r, sd_kv_open("store", &r.conf, &r.kv, &r.e));
	for (uint64_t i = 0; i < steps; i++)
		step(&r);
	reopen(&r);
	good(&r, sd_kv_close(r.kv, &r.e));
	sd_kv_value_free(&r.found);
	sd_sim_free(r.sim);
}

/* The smallest memtable, small tables and levels, so that all levels are in use. */
START_TEST(as_the_obvious_store)
{
	struct sd_kv_conf conf = {.format = _i % 2 ? SD_KV_LEVELDB : SD_KV_SDLAB,
				  .style = _i / 2 % 2 ? SD_KV_TIERED : SD_KV_LEVELED,
				  .compression = _i / 4 % 2 ? SD_KV_PLAIN : SD_KV_ZSTD,
				  .memtable_bytes = 64 << 10,
				  .table_bytes = 16 << 10,
				  .level_bytes = 64 << 10,
				  .block_bytes = 512,
				  .open_files = 16};
	play((uint64_t)_i + 1, &conf);
}
END_TEST

/* One byte of cache, no filter, values kept apart from the first byte on, and the defaults. */
START_TEST(whatever_is_configured)
{
	static const struct sd_kv_conf confs[] = {
	    {.cache_bytes = 1, .memtable_bytes = 64 << 10, .table_bytes = 4096, .level_bytes = 16 << 10, .open_files = 8},
	    {.no_filter = true, .memtable_bytes = 64 << 10, .table_bytes = 16 << 10, .blob_from = 1},
	    {.blob_from = UINT32_MAX, .memtable_bytes = 64 << 10, .block_bytes = 64},
	    {0},
	    {.sync = SD_KV_NO, .memtable_bytes = 64 << 10},
	};
	play((uint64_t)_i + 100, &confs[_i]);
}
END_TEST

/* A clock that is set back brings nothing back that has ended; the manifest keeps how late it was, from flush to flush. */
START_TEST(a_clock_set_back)
{
	static struct rig r;
	r = (struct rig){.sim = sd_sim_new(1), .now_ms = 1000000};
	r.conf = (struct sd_kv_conf){.world = sd_sim_node(r.sim, "store"), .background = SD_KV_BY_HAND, .now_ms = clock_of, .arg = &r};
	good(&r, sd_kv_open("store", &r.conf, &r.kv, &r.e));
	good(&r, sd_kv_put_until(r.kv, keys[3], keys[4], 1000500, &r.e));
	good(&r, sd_kv_get(r.kv, NULL, keys[3], NULL, &r.e));
	r.now_ms = 1000499;
	good(&r, sd_kv_get(r.kv, NULL, keys[3], NULL, &r.e));
	r.now_ms = 1000500;
	ck_assert_int_eq(sd_kv_get(r.kv, NULL, keys[3], NULL, &r.e), SD_ENOTFOUND);
	r.now_ms = 1000;
	ck_assert_int_eq(sd_kv_get(r.kv, NULL, keys[3], NULL, &r.e), SD_ENOTFOUND);
	good(&r, sd_kv_flush(r.kv, &r.e));
	good(&r, sd_kv_close(r.kv, &r.e));
	good(&r, sd_kv_open("store", &r.conf, &r.kv, &r.e));
	ck_assert_int_eq(sd_kv_get(r.kv, NULL, keys[3], NULL, &r.e), SD_ENOTFOUND);
	good(&r, sd_kv_close(r.kv, &r.e));
	sd_sim_free(r.sim);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("kv_model");
	TCase *t = tcase_create("kv_model");
	tcase_add_checked_fixture(t, setup, NULL);
	tcase_set_timeout(t, getenv("STEPS") ? 7200 : 300);
	tcase_add_loop_test(t, as_the_obvious_store, 0, 8);
	tcase_add_loop_test(t, whatever_is_configured, 0, 5);
	tcase_add_test(t, a_clock_set_back);
	suite_add_tcase(s, t);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
