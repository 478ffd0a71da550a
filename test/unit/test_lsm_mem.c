/* The memtable: it says what a sorted array says, whatever keys look like, also while others read. */
#include <pthread.h>
#include <stdatomic.h>

#include "core/lsm_mem.h"
#include "lsm_rig.h"

static struct sd_slice some_value(char to[32], uint64_t seq)
{
	return (struct sd_slice){to, (size_t)snprintf(to, 32, "%.*s%llu", (int)(seq % 9), "value of ", (unsigned long long)seq)};
}

static struct sd_lsm_iter *ordered(struct sd_lsm_mem *m)
{
	must(sd_lsm_mem_order(m) && !sd_lsm_mem_waits(m));
	return sd_lsm_mem_iter(m);
}

static enum sd_lsm_kind some_kind(struct sd_rng *rng)
{
	return (enum sd_lsm_kind)sd_rng_below(rng, 5);
}

/* What the array has of a user key up to seq. */
static const struct entry *newest(const struct entries *s, struct sd_slice user, uint64_t seq)
{
	size_t low = 0, high = s->n;
	while (low < high) {
		size_t middle = (low + high) / 2;
		int c = sd_lsm_bytewise(sd_lsm_user(s->e[middle].key), user);
		if (c < 0 || (c == 0 && s->e[middle].seq > seq))
			low = middle + 1;
		else
			high = middle;
	}
	return low < s->n && sd_lsm_bytewise(sd_lsm_user(s->e[low].key), user) == 0 ? &s->e[low] : NULL;
}

static void fill(struct sd_lsm_mem *m, struct entries *s, struct sd_rng *rng, unsigned shape, unsigned count, unsigned keys)
{
	char key[KEY_ROOM], value[32];
	unsigned often = sd_rng_below(rng, 4) * 50; /* 0: all at once in the end */
	bool upwards = sd_rng_below(rng, 3) == 0; /* the way is then from where the last one was */
	for (unsigned i = 0; i < count; i++) {
		uint64_t seq = s->n + 1;
		unsigned k = upwards ? (unsigned)((uint64_t)i * keys / count) : sd_rng_below(rng, keys);
		struct sd_slice user = shaped_key(key, shape, k), v = some_value(value, seq);
		enum sd_lsm_kind kind = some_kind(rng);
		must(sd_lsm_mem_add(m, seq, kind, user, v));
		entries_add(s, user, seq, kind, v);
		if (often && sd_rng_below(rng, often) == 0)
			must(sd_lsm_mem_order(m));
	}
}

static void same_gets(const struct sd_lsm_mem *m, const struct entries *s, struct sd_rng *rng, unsigned shape, unsigned keys)
{
	char key[KEY_ROOM];
	unsigned found = 0;
	for (unsigned i = 0; i < 3000; i++) {
		struct sd_slice user = shaped_key(key, shape, sd_rng_below(rng, keys + keys / 4 + 1));
		uint64_t seq = sd_rng_below(rng, 4) ? sd_rng_below(rng, (uint32_t)s->n + 2) : SD_LSM_SEQ_MAX;
		const struct entry *e = newest(s, user, seq);
		struct sd_lsm_found f;
		must(sd_lsm_mem_get(m, user, seq, &f) == (e != NULL));
		if (!e)
			continue;
		found++;
		must(f.kind == e->kind);
		must(f.seq == e->seq);
		same_slice(f.value, e->value);
	}
	ck_assert_uint_gt(found, 50);
}

/* Sizes below, between and above those at which it looks again what keys have in common. */
static void try_says_what_an_array_says(unsigned seed)
{
	static const unsigned counts[] = {1, 63, 64, 500, 3000, 6000};
	struct sd_rng rng;
	sd_rng_seed(&rng, seed + 1);
	unsigned shape = seed % KEY_SHAPES, count = counts[seed / KEY_SHAPES % 6];
	unsigned keys = seed % 2 ? count / 8 + 1 : count * 2;
	struct sd_lsm_mem *m = sd_lsm_mem_new(16 << 20, NULL);
	struct entries s = {0};
	fill(m, &s, &rng, shape, count, keys);
	entries_sort(&s);
	ck_assert_uint_eq(sd_lsm_mem_entries(m), count);
	if (count > 63)
		same_gets(m, &s, &rng, shape, keys);
	struct sd_lsm_iter *it = ordered(m);
	ck_assert(!it->valid);
	sd_lsm_mem_unref(m); /* the iterator has it */
	walk_both(it, &s, &rng, 4000);
	sd_lsm_iter_free(it);
	entries_free(&s);
}

START_TEST(says_what_an_array_says)
{
	for (unsigned seed = 0; seed < 2 * 6 * KEY_SHAPES; seed++)
		try_says_what_an_array_says(seed);
}
END_TEST

/* What is in common is learned of the one before, or of the first keys; then keys come that have none of it. */
static void try_keys_that_are_like_none_before(unsigned seed)
{
	struct sd_rng rng;
	sd_rng_seed(&rng, seed + 1);
	struct sd_lsm_mem *old = sd_lsm_mem_new(1 << 20, NULL);
	struct entries s = {0};
	fill(old, &s, &rng, seed % 2, 1000, 500);
	entries_free(&s);
	struct sd_lsm_mem *m = sd_lsm_mem_new(1 << 20, old);
	sd_lsm_mem_unref(old);
	for (unsigned shape = 0; shape < KEY_SHAPES; shape++)
		fill(m, &s, &rng, (shape + seed) % KEY_SHAPES, 40 + 400 * (shape % 2), 300);
	entries_sort(&s);
	for (unsigned shape = 0; shape < KEY_SHAPES; shape++)
		same_gets(m, &s, &rng, shape, 300);
	struct sd_lsm_iter *it = ordered(m);
	walk_both(it, &s, &rng, 4000);
	sd_lsm_iter_free(it);
	sd_lsm_mem_unref(m);
	entries_free(&s);
}

START_TEST(keys_that_are_like_none_before)
{
	for (unsigned seed = 0; seed < 14; seed++)
		try_keys_that_are_like_none_before(seed);
}
END_TEST

/* One that was made before goes on seeing what was there, also when the nodes are made anew. */
static void try_a_place_outlives_what_is_added(unsigned seed)
{
	struct sd_rng rng;
	sd_rng_seed(&rng, seed + 1);
	struct sd_lsm_mem *m = sd_lsm_mem_new(8 << 20, NULL);
	struct entries s = {0};
	for (unsigned round = 0; round < 8; round++) {
		fill(m, &s, &rng, 0, 60, 1000);
		struct sd_lsm_iter *it = ordered(m);
		it->ops->first(it);
		uint64_t seq = s.n;
		fill(m, &s, &rng, round % 2 ? 0 : 4, 700, 10000);
		must(round % 3 == 2 || sd_lsm_mem_order(m));
		unsigned seen = 0;
		for (; it->valid; it->ops->next(it))
			seen += sd_lsm_seq(it->key) <= seq;
		must(seen == seq);
		for (it->ops->last(it); it->valid; it->ops->prev(it))
			seen -= sd_lsm_seq(it->key) <= seq;
		must(seen == 0);
		sd_lsm_iter_free(it);
	}
	sd_lsm_mem_unref(m);
	entries_free(&s);
}

START_TEST(a_place_outlives_what_is_added)
{
	for (unsigned seed = 0; seed < 4; seed++)
		try_a_place_outlives_what_is_added(seed);
}
END_TEST

/* As many versions as there are writes: one of some time is found as well as one of some key. */
static void try_many_versions_of_few_keys(unsigned seed)
{
	struct sd_rng rng;
	sd_rng_seed(&rng, seed + 1);
	struct sd_lsm_mem *m = sd_lsm_mem_new(1 << 20, NULL);
	struct entries s = {0};
	fill(m, &s, &rng, seed % KEY_SHAPES, 3000, 1 + seed % 3);
	entries_sort(&s);
	same_gets(m, &s, &rng, seed % KEY_SHAPES, 1 + seed % 3);
	struct sd_lsm_iter *it = ordered(m);
	walk_both(it, &s, &rng, 4000);
	size_t n = 0;
	for (it->ops->last(it); it->valid; it->ops->prev(it), n++)
		same_slice(it->key, s.e[s.n - 1 - n].key);
	must(n == s.n);
	sd_lsm_iter_free(it);
	sd_lsm_mem_unref(m);
	entries_free(&s);
}

START_TEST(many_versions_of_few_keys)
{
	for (unsigned seed = 0; seed < 2 * KEY_SHAPES; seed++)
		try_many_versions_of_few_keys(seed);
}
END_TEST

static void try_ranges_hide_what_is_older(unsigned seed)
{
	struct sd_rng rng;
	sd_rng_seed(&rng, seed + 1);
	enum { KEYS = 40, WRITES = 400 };
	static struct sd_lsm_range ranges[WRITES];
	static char ends[WRITES][2][KEY_ROOM];
	size_t nranges = 0;
	struct entries s = {0};
	struct sd_lsm_mem *m = sd_lsm_mem_new(1 << 20, NULL);
	char key[KEY_ROOM];
	for (uint64_t seq = 1; seq <= WRITES; seq++) {
		struct sd_slice user = shaped_key(key, 2, sd_rng_below(&rng, KEYS));
		if (sd_rng_below(&rng, 5) > 0) {
			must(sd_lsm_mem_add(m, seq, SD_LSM_VALUE, user, user));
			entries_add(&s, user, seq, SD_LSM_VALUE, user);
			continue;
		}
		struct sd_lsm_range *r = &ranges[nranges];
		*r = (struct sd_lsm_range){shaped_key(ends[nranges][0], 2, sd_rng_below(&rng, KEYS)),
					   shaped_key(ends[nranges][1], 2, sd_rng_below(&rng, KEYS)), seq};
		if (sd_lsm_bytewise(r->from, r->to) >= 0)
			r->to = (struct sd_slice){NULL, 0};
		must(sd_lsm_mem_add(m, seq, SD_LSM_RANGE_GONE, r->from, r->to));
		nranges++;
	}
	entries_sort(&s);
	must(sd_lsm_mem_range_count(m) == nranges);
	must(sd_lsm_mem_entries(m) == WRITES - nranges);
	struct sd_lsm_ranges *all;
	must(sd_lsm_mem_ranges(m, &all));
	must(sd_lsm_ranges_count(all) == nranges);
	for (unsigned k = 0; k < KEYS; k++)
		for (uint64_t seq = 1; seq <= WRITES; seq++) {
			struct sd_slice user = shaped_key(key, 2, k);
			const struct entry *e = newest(&s, user, seq);
			uint64_t hidden = 0;
			for (size_t i = 0; i < nranges && ranges[i].seq <= seq; i++)
				if (sd_lsm_bytewise(ranges[i].from, user) <= 0 &&
				    (ranges[i].to.n == 0 || sd_lsm_bytewise(user, ranges[i].to) < 0))
					hidden = ranges[i].seq;
			must(sd_lsm_mem_hides(m, user, seq) == hidden);
			must(sd_lsm_ranges_hides(all, user, seq) == hidden);
			struct sd_lsm_found f;
			bool found = sd_lsm_mem_get(m, user, seq, &f);
			must(found == (e || hidden));
			if (found) {
				must(f.seq == (e && e->seq > hidden ? e->seq : hidden));
				must(f.kind == (f.seq == hidden ? SD_LSM_RANGE_GONE : SD_LSM_VALUE));
			}
		}
	sd_lsm_ranges_unref(all);
	sd_lsm_mem_unref(m);
	entries_free(&s);
}

START_TEST(ranges_hide_what_is_older)
{
	for (unsigned seed = 0; seed < 8; seed++)
		try_ranges_hide_what_is_older(seed);
}
END_TEST

/* A set for each range that was added would make a look cost as much as there are ranges; one set of all, made anew
 * each time, would keep as many as there were. */
START_TEST(many_ranges_take_little)
{
	enum { MANY = 3000 };
	struct sd_lsm_mem *m = sd_lsm_mem_new(1 << 20, NULL);
	size_t before = sd_lsm_mem_bytes(m);
	char from[8], to[8];
	for (unsigned i = 0; i < MANY; i++) {
		sd_put_be(from, i, 8);
		sd_put_be(to, i + 100, 8);
		ck_assert(sd_lsm_mem_add(m, i + 1, SD_LSM_RANGE_GONE, (struct sd_slice){from, 8}, (struct sd_slice){to, 8}));
	}
	ck_assert_uint_lt(sd_lsm_mem_bytes(m) - before, MANY * 8000);
	ck_assert_uint_gt(sd_lsm_mem_bytes(m) - before, MANY * 50); /* they are counted */
	sd_put_be(from, 1000, 8);
	ck_assert_uint_eq(sd_lsm_mem_hides(m, (struct sd_slice){from, 8}, SD_LSM_SEQ_MAX), 1001);
	ck_assert_uint_eq(sd_lsm_mem_hides(m, (struct sd_slice){from, 8}, 950), 950);
	ck_assert_uint_eq(sd_lsm_mem_hides(m, (struct sd_slice){from, 8}, 900), 0);
	sd_lsm_mem_unref(m);
}
END_TEST

START_TEST(nothing_in_it)
{
	struct sd_lsm_mem *m = sd_lsm_mem_new(0, NULL), *like = sd_lsm_mem_new(0, m);
	struct sd_lsm_found f;
	struct sd_lsm_ranges *r;
	ck_assert(!sd_lsm_mem_get(m, sd_slice_of(""), SD_LSM_SEQ_MAX, &f));
	ck_assert(sd_lsm_mem_ranges(m, &r));
	ck_assert_ptr_null(r);
	struct sd_lsm_iter *it = sd_lsm_mem_iter(like);
	it->ops->first(it);
	ck_assert(!it->valid);
	it->ops->last(it);
	ck_assert(!it->valid);
	it->ops->seek(it, (struct sd_slice){"a\0\0\0\0\0\0\0", 9});
	ck_assert(!it->valid && it->err == SD_OK);
	sd_lsm_iter_free(it);
	sd_lsm_mem_unref(like);
	sd_lsm_mem_unref(m);
	sd_lsm_mem_unref(NULL);
}
END_TEST

/* A large value has memory of its own, and the block in use is used on. */
START_TEST(memory_is_counted)
{
	enum { LARGE = 3 << 20 };
	struct sd_lsm_mem *m = sd_lsm_mem_new(4 << 20, NULL);
	char *large = calloc(1, LARGE), key[8];
	ck_assert_ptr_nonnull(large);
	size_t small = 0, all = sd_lsm_mem_bytes(m);
	for (unsigned i = 1; i <= 2000; i++) {
		sd_put_be(key, i, 8);
		size_t n = i % 500 == 0 ? LARGE : 40;
		large[0] = (char)i;
		ck_assert(sd_lsm_mem_add(m, i, SD_LSM_VALUE, (struct sd_slice){key, 8}, (struct sd_slice){large, n}));
		small += n == 40;
	}
	size_t bytes = sd_lsm_mem_bytes(m) - all;
	ck_assert_uint_ge(bytes, 4 * LARGE + small * 48);
	ck_assert_uint_lt(bytes, 4 * LARGE + small * 48 * 4 + (128 << 10));
	struct sd_lsm_found f;
	sd_put_be(key, 1000, 8);
	ck_assert(sd_lsm_mem_get(m, (struct sd_slice){key, 8}, SD_LSM_SEQ_MAX, &f) && f.value.n == LARGE);
	ck_assert_int_eq(f.value.p[0], (char)1000);
	ck_assert_uint_eq(sd_lsm_mem_entries(m), 2000);
	free(large);
	sd_lsm_mem_unref(m);
}
END_TEST

/* ---- one adds, many read ---- */

#ifdef SD_SANITIZED
#define ADDS 10000
#else
#define ADDS 30000
#endif
#define READERS	   3
#define LIVE_KEYS  997
#define RANGE_EACH 100 /* each so many writes are a range that removes key 0 to before key 10 */

struct live {
	struct sd_lsm_mem *m;
	pthread_mutex_t order;
	_Atomic uint64_t visible, looks;
};

/* Write number seq goes to this key. */
static unsigned live_key(uint64_t seq)
{
	return (unsigned)(seq * 7919 % LIVE_KEYS);
}

static struct sd_slice live_name(char to[KEY_ROOM], unsigned k)
{
	return shaped_key(to, 0, k);
}

static void add_live(struct sd_lsm_mem *m, uint64_t seq)
{
	char key[KEY_ROOM], end[KEY_ROOM], value[8];
	sd_put_le(value, seq, 8);
	if (seq % RANGE_EACH == 0)
		must(sd_lsm_mem_add(m, seq, SD_LSM_RANGE_GONE, live_name(key, 0), live_name(end, 10)));
	else
		must(sd_lsm_mem_add(m, seq, SD_LSM_VALUE, live_name(key, live_key(seq)), (struct sd_slice){value, 8}));
}

/* The last write up to seq that says something about a key; 0: none. */
static uint64_t live_last(unsigned k, uint64_t seq)
{
	for (; seq > 0; seq--)
		if (seq % RANGE_EACH == 0 ? k < 10 : live_key(seq) == k)
			return seq;
	return 0;
}

static void look_up(struct live *l, struct sd_rng *rng)
{
	uint64_t seq = atomic_load_explicit(&l->visible, memory_order_acquire);
	if (sd_rng_below(rng, 3) == 0)
		seq = sd_rng_below(rng, (uint32_t)seq + 1);
	char key[KEY_ROOM];
	unsigned k = sd_rng_below(rng, 4) ? sd_rng_below(rng, LIVE_KEYS) : sd_rng_below(rng, 10);
	uint64_t last = live_last(k, seq);
	struct sd_lsm_found f;
	must(sd_lsm_mem_get(l->m, live_name(key, k), seq, &f) == (last > 0));
	if (!last)
		return;
	must(f.seq == last);
	must(f.kind == (last % RANGE_EACH == 0 ? SD_LSM_RANGE_GONE : SD_LSM_VALUE));
	if (f.kind == SD_LSM_VALUE)
		must(sd_get_le(f.value.p, 8) == last);
}

/* In order, and all that is visible is met: both ways. */
static void walk_some(struct live *l, bool back)
{
	uint64_t seq = atomic_load_explicit(&l->visible, memory_order_acquire), met = 0;
	if (sd_lsm_mem_waits(l->m)) {
		pthread_mutex_lock(&l->order);
		must(sd_lsm_mem_order(l->m));
		pthread_mutex_unlock(&l->order);
	}
	struct sd_lsm_iter *it = sd_lsm_mem_iter(l->m);
	char last[KEY_ROOM] = "";
	size_t n = 0;
	for ((back ? it->ops->last : it->ops->first)(it); it->valid; (back ? it->ops->prev : it->ops->next)(it)) {
		struct sd_slice before = {last, n};
		int c = n ? sd_lsm_internal(before, it->key) : 0;
		must(n == 0 || (back ? c > 0 : c < 0));
		memcpy(last, it->key.p, n = it->key.n);
		must(sd_get_le(it->value.p, 8) == sd_lsm_seq(it->key));
		met += sd_lsm_seq(it->key) <= seq;
	}
	must(met == seq - seq / RANGE_EACH);
	sd_lsm_iter_free(it);
}

static void *read_on(void *arg)
{
	struct live *l = arg;
	struct sd_rng rng;
	sd_rng_seed(&rng, atomic_fetch_add(&l->looks, 1) + 100);
	for (unsigned i = 0; atomic_load_explicit(&l->visible, memory_order_acquire) < ADDS; i++) {
		for (unsigned k = 0; k < 200; k++)
			look_up(l, &rng);
		walk_some(l, i % 2);
		atomic_fetch_add(&l->looks, 1);
	}
	return NULL;
}

START_TEST(readers_beside_a_writer)
{
	struct live l = {.m = sd_lsm_mem_new(64 << 20, NULL), .order = PTHREAD_MUTEX_INITIALIZER};
	pthread_t readers[READERS];
	for (unsigned i = 0; i < READERS; i++)
		ck_assert_int_eq(pthread_create(&readers[i], NULL, read_on, &l), 0);
	for (uint64_t seq = 1; seq <= ADDS; seq++) {
		add_live(l.m, seq);
		atomic_store_explicit(&l.visible, seq, memory_order_release);
	}
	for (unsigned i = 0; i < READERS; i++)
		pthread_join(readers[i], NULL);
	struct sd_rng rng;
	sd_rng_seed(&rng, 9);
	for (unsigned k = 0; k < 200; k++)
		look_up(&l, &rng);
	walk_some(&l, false);
	sd_lsm_mem_unref(l.m);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("lsm_mem");
	TCase *t = tcase_create("lsm_mem");
	tcase_set_timeout(t, 120);
	tcase_add_test(t, says_what_an_array_says);
	tcase_add_test(t, keys_that_are_like_none_before);
	tcase_add_test(t, a_place_outlives_what_is_added);
	tcase_add_test(t, many_versions_of_few_keys);
	tcase_add_test(t, ranges_hide_what_is_older);
	tcase_add_test(t, many_ranges_take_little);
	tcase_add_test(t, nothing_in_it);
	tcase_add_test(t, memory_is_counted);
	tcase_add_test(t, readers_beside_a_writer);
	suite_add_tcase(s, t);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
