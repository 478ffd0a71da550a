/* Many places merged, and what a user sees of them: the same as in one sorted array, and as in the obvious store. */
#include "core/lsm_cursor.h"
#include "core/lsm_mem.h"
#include "core/lsm_merge.h"
#include "lsm_rig.h"

#define PARTS	8
#define VERSIONS_MOST 4000

static struct sd_slice text(const char *s)
{
	return sd_slice_of(s);
}

/* ---- merging ---- */

/* Spread over n parts of unequal size, some of them empty, one of them a memtable. */
static struct sd_lsm_iter *spread(const struct entries *all, struct entries *parts, size_t n, struct sd_rng *rng)
{
	struct sd_lsm_mem *m = sd_lsm_mem_new(1 << 20, NULL);
	struct sd_lsm_iter *its[PARTS + 1];
	struct entries fresh = {0};
	for (size_t i = 0; i < all->n; i++) {
		const struct entry *e = &all->e[i];
		size_t to = sd_rng_below(rng, 1 + sd_rng_below(rng, (uint32_t)n + 1));
		entries_add(to == n ? &fresh : &parts[to], sd_lsm_user(e->key), e->seq, e->kind, e->value);
	}
	for (size_t i = fresh.n; i-- > 0;) { /* the oldest of a key first */
		const struct entry *e = &fresh.e[i];
		must(sd_lsm_mem_add(m, e->seq, e->kind, sd_lsm_user(e->key), e->value));
	}
	entries_free(&fresh);
	must(sd_lsm_mem_order(m));
	for (size_t i = 0; i < n; i++)
		its[i] = &array_iter(&parts[i])->i;
	its[n] = sd_lsm_mem_iter(m);
	sd_lsm_mem_unref(m);
	return sd_lsm_merge_new(its, n + 1);
}

static void try_merged_as_one_array(unsigned seed)
{
	struct sd_rng rng;
	sd_rng_seed(&rng, seed + 1);
	struct entries all = {0}, parts[PARTS] = {0};
	char key[KEY_ROOM];
	unsigned count = sd_rng_below(&rng, 300), keys = 1 + sd_rng_below(&rng, 200);
	for (unsigned i = 0; i < count; i++)
		entries_add(&all, shaped_key(key, seed % KEY_SHAPES, sd_rng_below(&rng, keys)), i + 1, SD_LSM_VALUE, text("v"));
	entries_sort(&all);
	struct sd_lsm_iter *it = spread(&all, parts, seed % (PARTS + 1), &rng);
	ck_assert(!it->valid);
	walk_both(it, &all, &rng, 3000);
	sd_lsm_iter_free(it);
	for (size_t i = 0; i < PARTS; i++)
		entries_free(&parts[i]);
	entries_free(&all);
}

START_TEST(merged_as_one_array)
{
	for (unsigned seed = 0; seed < 63; seed++)
		try_merged_as_one_array(seed);
}
END_TEST

/* The same internal key in many parts, as after a log was replayed twice: each is met, the earlier part's first, both ways. */
START_TEST(equal_keys_come_in_the_order_of_parts)
{
	static const char *const in[] = {"0", "1", "2", "3"};
	struct entries parts[4] = {0};
	struct sd_lsm_iter *its[4];
	for (size_t i = 0; i < 4; i++) {
		entries_add(&parts[i], text("a"), 1, SD_LSM_VALUE, text(in[i]));
		entries_add(&parts[i], text("b"), 1, SD_LSM_VALUE, text(in[i]));
		its[i] = &array_iter(&parts[i])->i;
	}
	struct sd_lsm_iter *m = sd_lsm_merge_new(its, 4);
	struct sd_rng rng;
	sd_rng_seed(&rng, 3);
	m->ops->first(m);
	for (int at = 0, step = 0; step < 2000; step++) {
		ck_assert(m->valid);
		ck_assert_int_eq(m->key.p[0], at < 4 ? 'a' : 'b');
		ck_assert_int_eq(m->value.p[0], '0' + at % 4);
		bool back = at == 7 || (at > 0 && sd_rng_below(&rng, 2));
		(back ? m->ops->prev : m->ops->next)(m);
		at += back ? -1 : 1;
	}
	sd_lsm_iter_free(m);
	for (size_t i = 0; i < 4; i++)
		entries_free(&parts[i]);
}
END_TEST

START_TEST(a_part_that_fails_is_told)
{
	struct entries parts[3] = {0};
	char key[KEY_ROOM];
	for (unsigned i = 0; i < 30; i++)
		entries_add(&parts[i % 3], shaped_key(key, 0, i), i + 1, SD_LSM_VALUE, text("v"));
	for (int moves = 0; moves < 12; moves++) {
		int left = moves;
		bool freed = false;
		struct array_iter *bad = array_iter(&parts[1]);
		bad->moves_left = &left;
		bad->freed = &freed;
		struct sd_lsm_iter *its[] = {&array_iter(&parts[0])->i, &bad->i, &array_iter(&parts[2])->i};
		struct sd_lsm_cursor c;
		sd_lsm_cursor_open(&c, &(struct sd_lsm_cursor_conf){.in = sd_lsm_merge_new(its, 3), .seq = SD_LSM_SEQ_MAX});
		unsigned seen = 0;
		void (*const begin)(struct sd_lsm_cursor *) = moves % 2 ? sd_lsm_cursor_last : sd_lsm_cursor_first;
		void (*const go_on)(struct sd_lsm_cursor *) = moves % 2 ? sd_lsm_cursor_prev : sd_lsm_cursor_next;
		for (begin(&c); c.valid; go_on(&c))
			seen++;
		ck_assert_uint_lt(seen, 30 + (moves == 11));
		ck_assert_int_eq(c.err, moves == 11 ? SD_OK : SD_EDAMAGED);
		if (moves < 11)
			ck_assert_str_eq(c.why->text, "000005.ldb: made to fail");
		left = 1000; /* and once it can be read again, so can the whole */
		for (sd_lsm_cursor_first(&c), seen = 0; c.valid; sd_lsm_cursor_next(&c))
			seen++;
		ck_assert_uint_eq(seen, 30);
		ck_assert_int_eq(c.err, SD_OK);
		sd_lsm_cursor_close(&c);
		ck_assert(freed);
	}
	for (size_t i = 0; i < 3; i++)
		entries_free(&parts[i]);
}
END_TEST

START_TEST(of_nothing)
{
	struct sd_lsm_iter *m = sd_lsm_merge_new(NULL, 0);
	m->ops->first(m);
	ck_assert(!m->valid);
	m->ops->last(m);
	ck_assert(!m->valid && m->err == SD_OK);
	struct sd_lsm_cursor c;
	sd_lsm_cursor_open(&c, &(struct sd_lsm_cursor_conf){.in = m, .seq = 5, .from = text("a"), .to = text("b")});
	sd_lsm_cursor_first(&c);
	ck_assert(!c.valid);
	sd_lsm_cursor_last(&c);
	ck_assert(!c.valid);
	sd_lsm_cursor_seek(&c, text(""));
	ck_assert(!c.valid && c.err == SD_OK);
	sd_lsm_cursor_close(&c);
}
END_TEST

/* ---- what is seen ---- */

struct history {
	struct entries all;
	struct sd_lsm_range ranges[64];
	char ends[64][2][KEY_ROOM];
	size_t nranges;
	unsigned shape, keys;
	uint64_t seq;
};

static void some_history(struct history *h, struct sd_rng *rng, unsigned count)
{
	char key[KEY_ROOM], value[40];
	for (unsigned i = 0; i < count; i++) {
		uint64_t seq = ++h->seq;
		struct sd_slice user = shaped_key(key, h->shape, sd_rng_below(rng, h->keys));
		if (sd_rng_below(rng, 25) == 0 && h->nranges < 64) {
			char(*ends)[KEY_ROOM] = h->ends[h->nranges];
			h->ranges[h->nranges++] = (struct sd_lsm_range){shaped_key(ends[0], h->shape, sd_rng_below(rng, h->keys)),
									shaped_key(ends[1], h->shape, sd_rng_below(rng, h->keys)), seq};
			continue;
		}
		enum sd_lsm_kind kind = (enum sd_lsm_kind)sd_rng_below(rng, 5);
		sd_put_le(value, 1000 + sd_rng_below(rng, 100), 8); /* when it ends, if it does */
		size_t n = 8 + (size_t)snprintf(value + 8, 32, "value %llu", (unsigned long long)seq);
		if (sd_rng_below(rng, 50) == 0)
			n = sd_rng_below(rng, 8); /* not even that */
		entries_add(&h->all, user, seq, kind, (struct sd_slice){value, n});
	}
	entries_sort(&h->all);
}

static bool model_hidden(const struct history *h, const struct entry *e, uint64_t snapshot)
{
	struct sd_slice user = sd_lsm_user(e->key);
	for (size_t i = 0; i < h->nranges; i++) {
		const struct sd_lsm_range *r = &h->ranges[i];
		if (r->seq <= snapshot && r->seq > e->seq && sd_lsm_bytewise(r->from, user) <= 0 &&
		    (r->to.n == 0 || sd_lsm_bytewise(user, r->to) < 0))
			return true;
	}
	return false;
}

static bool model_ended(const struct entry *e, int64_t now_ms)
{
	if (now_ms == 0 || (e->kind != SD_LSM_ENDING && e->kind != SD_LSM_ENDING_BLOB))
		return false;
	return e->value.n < 8 || (int64_t)sd_get_le(e->value.p, 8) <= now_ms;
}

/* Which entries are seen, in order. */
static size_t model_seen(const struct history *h, const struct sd_lsm_cursor_conf *conf, const struct entry **out)
{
	size_t n = 0;
	struct sd_slice last = {NULL, 0};
	bool any = false;
	for (size_t i = 0; i < h->all.n; i++) {
		const struct entry *e = &h->all.e[i];
		struct sd_slice user = sd_lsm_user(e->key);
		if (e->seq > conf->seq || (any && sd_lsm_bytewise(user, last) == 0))
			continue;
		any = true;
		last = user;
		if (e->kind != SD_LSM_GONE && !model_ended(e, conf->now_ms) && !model_hidden(h, e, conf->seq) &&
		    sd_lsm_bytewise(user, conf->from) >= 0 && (!conf->to.p || sd_lsm_bytewise(user, conf->to) < 0))
			out[n++] = e;
	}
	return n;
}

static void same_place(const struct sd_lsm_cursor *c, const struct entry *const *seen, size_t n, long at)
{
	must(c->err == SD_OK);
	must(c->valid == (at >= 0 && at < (long)n));
	if (!c->valid)
		return;
	same_slice(c->key, sd_lsm_user(seen[at]->key));
	same_slice(c->value, seen[at]->value);
	must(c->seq == seen[at]->seq);
	must(c->kind == seen[at]->kind);
}

/* The number of them that are before a key. */
static long model_before(const struct entry *const *seen, size_t n, struct sd_slice user)
{
	long at = 0;
	while (at < (long)n && sd_lsm_bytewise(sd_lsm_user(seen[at]->key), user) < 0)
		at++;
	return at;
}

static long put_somewhere(struct sd_lsm_cursor *c, const struct entry *const *seen, size_t n, const struct history *h, struct sd_rng *rng)
{
	char key[KEY_ROOM];
	struct sd_slice user = shaped_key(key, h->shape, sd_rng_below(rng, h->keys + 2));
	switch (sd_rng_below(rng, 6)) {
	case 0:
		sd_lsm_cursor_first(c);
		return 0;
	case 1:
		sd_lsm_cursor_last(c);
		return (long)n - 1;
	case 2:
	case 3:
		sd_lsm_cursor_seek(c, user);
		return model_before(seen, n, user);
	default:
		sd_lsm_cursor_before(c, user);
		return model_before(seen, n, user) - 1;
	}
}

static void walk_cursor(struct sd_lsm_cursor *c, const struct entry *const *seen, size_t n, const struct history *h, struct sd_rng *rng)
{
	long at = -1;
	for (unsigned step = 0; step < 400; step++) {
		unsigned what = sd_rng_below(rng, 20);
		if (what == 0 || !c->valid) {
			at = put_somewhere(c, seen, n, h, rng);
		} else if ((step / 40 + (what < 3)) % 2) {
			sd_lsm_cursor_prev(c);
			at--;
		} else {
			sd_lsm_cursor_next(c);
			at++;
		}
		same_place(c, seen, n, at);
	}
}

/* Few keys with many versions, many with few; bounds, also those that turn around; clocks; ranges; snapshots. */
static void try_seen_as_in_the_obvious_store(unsigned seed)
{
	static const struct entry *seen[VERSIONS_MOST];
	struct sd_rng rng;
	sd_rng_seed(&rng, seed + 1);
	struct history h = {.shape = seed % KEY_SHAPES, .keys = seed % 3 == 0 ? 4 : 1 + sd_rng_below(&rng, 150)};
	some_history(&h, &rng, sd_rng_below(&rng, 900));
	struct sd_lsm_ranges *ranges;
	ck_assert(sd_lsm_ranges_new(h.ranges, h.nranges, &ranges));
	for (int round = 0; round < 4; round++) {
		struct entries parts[PARTS] = {0};
		char from[KEY_ROOM], to[KEY_ROOM];
		struct sd_lsm_cursor_conf conf = {.in = spread(&h.all, parts, sd_rng_below(&rng, PARTS), &rng),
						  .ranges = sd_lsm_ranges_ref(ranges),
						  .seq = round == 0 ? SD_LSM_SEQ_MAX : sd_rng_below(&rng, (uint32_t)h.seq + 1),
						  .now_ms = round == 1 ? 0 : 1000 + sd_rng_below(&rng, 100)};
		if (round > 0 && sd_rng_below(&rng, 2))
			conf.from = shaped_key(from, h.shape, sd_rng_below(&rng, h.keys));
		if (round > 0 && sd_rng_below(&rng, 2))
			conf.to = shaped_key(to, h.shape, sd_rng_below(&rng, h.keys));
		struct sd_lsm_cursor c;
		sd_lsm_cursor_open(&c, &conf);
		size_t n = model_seen(&h, &conf, seen);
		walk_cursor(&c, seen, n, &h, &rng);
		sd_lsm_cursor_close(&c);
		for (size_t i = 0; i < PARTS; i++)
			entries_free(&parts[i]);
	}
	sd_lsm_ranges_unref(ranges);
	entries_free(&h.all);
}

START_TEST(seen_as_in_the_obvious_store)
{
	for (unsigned seed = 0; seed < 63; seed++)
		try_seen_as_in_the_obvious_store(seed);
}
END_TEST

/* A key that was written a thousand times is not walked through: the next one is sought. */
START_TEST(many_versions_are_passed_at_once)
{
	struct entries s = {0};
	for (uint64_t seq = 1; seq <= 1000; seq++)
		entries_add(&s, text("a"), seq, seq == 1000 ? SD_LSM_GONE : SD_LSM_VALUE, text("v"));
	entries_add(&s, text("b"), 1001, SD_LSM_VALUE, text("w"));
	entries_sort(&s);
	struct array_iter *it = array_iter(&s);
	int left = 20;
	it->moves_left = &left;
	struct sd_lsm_cursor c;
	sd_lsm_cursor_open(&c, &(struct sd_lsm_cursor_conf){.in = &it->i, .seq = SD_LSM_SEQ_MAX});
	sd_lsm_cursor_first(&c);
	ck_assert(c.valid && c.key.p[0] == 'b');
	sd_lsm_cursor_close(&c);
	entries_free(&s);
}
END_TEST

/* What is added while a cursor stands is not seen, wherever it goes. */
static void try_later_writes_are_not_seen(unsigned seed)
{
	struct sd_rng rng;
	sd_rng_seed(&rng, seed + 1);
	struct sd_lsm_mem *m = sd_lsm_mem_new(1 << 20, NULL);
	char key[KEY_ROOM];
	uint64_t seq = 0;
	for (unsigned k = 0; k < 100; k += 2)
		must(sd_lsm_mem_add(m, ++seq, SD_LSM_VALUE, shaped_key(key, 0, k), text("old")));
	struct sd_lsm_cursor c = {0};
	uint64_t snapshot = seq;
	for (int at = 0, step = 0; step < 3000; step++) {
		if (step % 50 == 0) { /* anew, since a place that was made long ago does not meet what comes */
			must(sd_lsm_mem_order(m));
			struct sd_lsm_iter *parts[] = {sd_lsm_mem_iter(m)};
			sd_lsm_cursor_close(&c);
			sd_lsm_cursor_open(&c, &(struct sd_lsm_cursor_conf){.in = sd_lsm_merge_new(parts, 1), .seq = snapshot});
			sd_lsm_cursor_seek(&c, shaped_key(key, 0, (unsigned)at));
		}
		must(c.valid);
		same_slice(c.key, shaped_key(key, 0, (unsigned)at));
		same_slice(c.value, text("old"));
		struct sd_slice near = shaped_key(key, 0, (unsigned)at - sd_rng_below(&rng, 2)); /* a key of its own, just before or behind */
		if (sd_rng_below(&rng, 3) > 0)
			near.n += (size_t)snprintf(key + near.n, sizeof(key) - near.n, "%d", step);
		must(sd_lsm_mem_add(m, ++seq, sd_rng_below(&rng, 2), near, text("new")));
		must(step % 3 || sd_lsm_mem_order(m));
		bool back = at == 98 || (at > 0 && sd_rng_below(&rng, 2));
		(back ? sd_lsm_cursor_prev : sd_lsm_cursor_next)(&c);
		at += back ? -2 : 2;
	}
	sd_lsm_cursor_close(&c);
	sd_lsm_mem_unref(m);
}

START_TEST(later_writes_are_not_seen)
{
	for (unsigned seed = 0; seed < 4; seed++)
		try_later_writes_are_not_seen(seed);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("lsm_cursor");
	TCase *t = tcase_create("lsm_cursor");
	tcase_set_timeout(t, 120);
	tcase_add_test(t, merged_as_one_array);
	tcase_add_test(t, equal_keys_come_in_the_order_of_parts);
	tcase_add_test(t, a_part_that_fails_is_told);
	tcase_add_test(t, of_nothing);
	tcase_add_test(t, seen_as_in_the_obvious_store);
	tcase_add_test(t, many_versions_are_passed_at_once);
	tcase_add_test(t, later_writes_are_not_seen);
	suite_add_tcase(s, t);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
