/* What is left of a stream of entries, against a model that keeps everything: whoever could read before reads the same after. */
#include <check.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/lsm_sift.h"
#include "core/rng.h"

#define KEYS    6
#define WRITES  40
#define MOST    (4 * WRITES)
#define NOW     1000
#define DIFFERENT 3000

/* A write: of one key, or of those from key to before `to`. */
struct write {
	uint64_t seq;
	unsigned key, to;
	enum sd_lsm_kind kind;
	int64_t ends;
};
struct world {
	struct write writes[WRITES], here[WRITES], kept[MOST];
	size_t n, nhere, nkept, fresh;
	uint64_t deeper[KEYS], upper; /* entries up to deeper[key] lie deeper, from upper on above: neither is sifted */
	uint64_t snapshots[8];
	size_t nsnapshots;
	size_t dropped, asked;
	int last_asked;
};

static bool is_range(const struct write *w)
{
	return w->kind == SD_LSM_RANGE_GONE;
}

/* What somebody who reads at `seq` finds: the sequence number of the value; 0: nothing. */
static uint64_t read_at(const struct write *w, size_t n, unsigned key, uint64_t seq)
{
	const struct write *best = NULL;
	uint64_t over = 0;
	for (size_t i = 0; i < n; i++) {
		if (w[i].seq > seq)
			continue;
		if (is_range(&w[i])) {
			if (w[i].key <= key && key < w[i].to && w[i].seq > over)
				over = w[i].seq;
		} else if (w[i].key == key && (!best || w[i].seq > best->seq))
			best = &w[i];
	}
	if (!best || best->seq < over || best->kind == SD_LSM_GONE || (best->kind == SD_LSM_ENDING && best->ends <= NOW))
		return 0;
	return best->seq;
}

static bool lies_here(const struct world *w, const struct write *x)
{
	if (x->seq >= w->upper)
		return false;
	return is_range(x) || x->seq > w->deeper[x->key];
}

static uint64_t covers(void *arg, struct sd_slice user, uint64_t seq)
{
	struct world *w = arg;
	unsigned key = (unsigned)(user.p[0] - 'a');
	uint64_t best = 0;
	for (size_t i = 0; i < w->nhere; i++)
		if (is_range(&w->here[i]) && w->here[i].key <= key && key < w->here[i].to && w->here[i].seq <= seq && w->here[i].seq > best)
			best = w->here[i].seq;
	return best;
}

static bool any_deeper(const struct world *w, unsigned key)
{
	for (size_t i = 0; i < w->n; i++)
		if (!is_range(&w->writes[i]) && w->writes[i].key == key && w->writes[i].seq <= w->deeper[key])
			return true;
	return false;
}

static bool older(void *arg, struct sd_slice user)
{
	struct world *w = arg;
	int key = user.p[0] - 'a';
	ck_assert_int_ge(key, w->last_asked);
	w->last_asked = key;
	w->asked++;
	return any_deeper(w, (unsigned)key);
}

static enum sd_err keep(void *arg, struct sd_slice internal, struct sd_slice value, bool fresh, struct sd_error *e)
{
	struct world *w = arg;
	(void)e;
	struct write x = {.seq = sd_lsm_seq(internal), .key = (unsigned)(internal.p[0] - 'a'), .kind = sd_lsm_kind(internal)};
	bool same = w->fresh > 0 && w->kept[w->nkept - 1].key == x.key;
	ck_assert_int_eq(fresh, !same);
	if (same)
		ck_assert_uint_lt(x.seq, w->kept[w->nkept - 1].seq);
	else if (w->fresh > 0)
		ck_assert_uint_gt(x.key, w->kept[w->nkept - 1].key);
	if (x.kind == SD_LSM_ENDING)
		x.ends = (int64_t)sd_get_le(value.p, 8);
	if (x.kind == SD_LSM_GONE)
		ck_assert_uint_eq(value.n, 0);
	w->fresh++;
	w->kept[w->nkept++] = x;
	return SD_OK;
}

static void drop(void *arg, enum sd_lsm_kind kind, struct sd_slice value)
{
	(void)kind;
	(void)value;
	((struct world *)arg)->dropped++;
}

static int by_internal(const void *a, const void *b)
{
	const struct write *x = a, *y = b;
	return x->key != y->key ? (int)x->key - (int)y->key : (x->seq < y->seq) - (x->seq > y->seq);
}

static void make_writes(struct world *w, struct sd_rng *r, bool plain)
{
	w->n = 4 + sd_rng_below(r, WRITES - 4);
	for (size_t i = 0; i < w->n; i++) {
		uint32_t dice = sd_rng_below(r, plain ? 85 : 100);
		struct write x = {.seq = i + 1, .key = sd_rng_below(r, KEYS), .kind = SD_LSM_VALUE};
		if (dice < 30)
			x.kind = SD_LSM_GONE;
		else if (dice >= 85) {
			x.kind = SD_LSM_RANGE_GONE;
			x.to = x.key + 1 + sd_rng_below(r, KEYS - x.key);
		} else if (dice >= 70) {
			x.kind = SD_LSM_ENDING;
			x.ends = NOW - 1 + sd_rng_below(r, 3);
		}
		w->writes[i] = x;
	}
}

/* Which lie deeper, which above, and who may still read. Deeper lie the older ones of each key. */
static void make_places(struct world *w, struct sd_rng *r)
{
	w->upper = sd_rng_below(r, 3) ? w->n + 1 : w->n / 2 + sd_rng_below(r, (uint32_t)(w->n - w->n / 2) + 1) + 1;
	for (unsigned k = 0; k < KEYS; k++)
		w->deeper[k] = sd_rng_below(r, 2) ? 0 : sd_rng_below(r, (uint32_t)w->upper);
	size_t most = sd_rng_below(r, 5);
	for (uint64_t seq = 1; seq <= w->n && w->nsnapshots < most; seq++)
		if (sd_rng_below(r, 6) == 0)
			w->snapshots[w->nsnapshots++] = seq;
	for (size_t i = 0; i < w->n; i++)
		if (lies_here(w, &w->writes[i]))
			w->here[w->nhere++] = w->writes[i];
	qsort(w->here, w->nhere, sizeof(w->here[0]), by_internal);
}

static bool older_in(const struct world *w, const struct write *range)
{
	for (unsigned k = range->key; k < range->to; k++)
		if (any_deeper(w, k))
			return true;
	return false;
}

/* Sifts what is here; what lies elsewhere, and ranges that stay, are put to what was kept. */
static void sift_all(struct world *w, struct sd_lsm_sift *s)
{
	struct sd_error e = {0};
	s->conf = (struct sd_lsm_sift_conf){w->snapshots, w->nsnapshots, NOW, covers, older, keep, drop, w};
	for (size_t i = 0; i < w->nhere; i++) {
		struct write *x = &w->here[i];
		char key[1 + SD_LSM_TAIL], value[8];
		if (is_range(x))
			continue;
		key[0] = (char)('a' + x->key);
		sd_put_le(key + 1, x->seq << 8 | x->kind, SD_LSM_TAIL);
		sd_put_le(value, (uint64_t)x->ends, 8);
		ck_assert_int_eq(sd_lsm_sift_take(s, (struct sd_slice){key, sizeof(key)}, (struct sd_slice){value, x->kind ? sizeof(value) : 0}, &e),
				 SD_OK);
	}
	ck_assert_int_eq(sd_lsm_sift_end(s, &e), SD_OK);
}

static void put_back(struct world *w)
{
	for (size_t i = 0; i < w->nhere; i++)
		if (is_range(&w->here[i]) && !sd_lsm_sift_range_goes(&(struct sd_lsm_sift_conf){w->snapshots, w->nsnapshots, 0, NULL, NULL, NULL, NULL, NULL},
								     w->here[i].seq, older_in(w, &w->here[i])))
			w->kept[w->nkept++] = w->here[i];
	for (size_t i = 0; i < w->n; i++)
		if (!lies_here(w, &w->writes[i]))
			w->kept[w->nkept++] = w->writes[i];
}

static void nobody_sees_a_difference(const struct world *w, uint64_t seed)
{
	for (unsigned key = 0; key < KEYS; key++)
		for (size_t i = 0; i <= w->nsnapshots; i++) {
			uint64_t at = i < w->nsnapshots ? w->snapshots[i] : SD_LSM_SEQ_MAX;
			uint64_t before = read_at(w->writes, w->n, key, at), after = read_at(w->kept, w->nkept, key, at);
			ck_assert_msg(before == after, "seed %" PRIu64 ": key %u read at %" PRIu64 ": %" PRIu64 " before, %" PRIu64 " after", seed,
				      key, at, before, after);
		}
}

/* Each entry that stays is one that somebody reads, or a removal that something needs. */
static void nothing_stays_for_nothing(const struct world *w, uint64_t seed)
{
	for (size_t i = 0; i < w->fresh; i++) {
		const struct write *x = &w->kept[i];
		bool needed = false;
		for (size_t k = 0; k <= w->nsnapshots && x->kind; k++)
			needed |= read_at(w->kept, w->nkept, x->key, k < w->nsnapshots ? w->snapshots[k] : SD_LSM_SEQ_MAX) == x->seq;
		bool next = i + 1 < w->fresh && w->kept[i + 1].key == x->key;
		if (!x->kind)
			needed = next ? w->kept[i + 1].kind != SD_LSM_GONE : any_deeper(w, x->key);
		/* What hides it may lie above, which sifting does not look at. */
		ck_assert_msg(needed || w->upper <= w->n, "seed %" PRIu64 ": key %u, %" PRIu64 " stays for nobody", seed, x->key, x->seq);
	}
}

START_TEST(the_same_is_read)
{
	uint64_t taken = 0, kept = 0, gone = 0, covered = 0, ended = 0;
	for (uint64_t seed = (uint64_t)_i * DIFFERENT + 1; seed <= ((uint64_t)_i + 1) * DIFFERENT; seed++) {
		struct world w = {.last_asked = -1};
		struct sd_lsm_sift s = {0};
		struct sd_rng r;
		sd_rng_seed(&r, seed);
		make_writes(&w, &r, seed % 4 == 0);
		make_places(&w, &r);
		sift_all(&w, &s);
		put_back(&w);
		nobody_sees_a_difference(&w, seed);
		nothing_stays_for_nothing(&w, seed);
		ck_assert_uint_eq(w.dropped, s.shadowed + s.covered + s.ended);
		ck_assert_uint_eq(s.kept, w.fresh);
		ck_assert_uint_eq(s.taken, s.kept + s.shadowed + s.covered + s.gone);
		taken += s.taken;
		kept += s.kept;
		gone += s.gone;
		covered += s.covered;
		ended += s.ended;
		sd_lsm_sift_free(&s);
	}
	printf("sift: %" PRIu64 " taken, %" PRIu64 " kept, %" PRIu64 " removals gone, %" PRIu64 " under ranges, %" PRIu64 " ended\n", taken, kept,
	       gone, covered, ended);
	ck_assert_uint_gt(gone, DIFFERENT);
	ck_assert_uint_gt(covered, 0);
	ck_assert_uint_gt(ended, DIFFERENT / 4);
}
END_TEST

/* Without snapshots and with nothing deeper only what is there now is left: one entry a key, no removal. */
START_TEST(at_the_bottom_only_values_stay)
{
	for (uint64_t seed = 1; seed <= DIFFERENT; seed++) {
		struct world w = {.last_asked = -1};
		struct sd_lsm_sift s = {0};
		struct sd_rng r;
		size_t live = 0;
		sd_rng_seed(&r, seed);
		make_writes(&w, &r, false);
		w.upper = w.n + 1;
		for (size_t i = 0; i < w.n; i++)
			w.here[w.nhere++] = w.writes[i];
		qsort(w.here, w.nhere, sizeof(w.here[0]), by_internal);
		sift_all(&w, &s);
		for (unsigned k = 0; k < KEYS; k++)
			live += read_at(w.writes, w.n, k, SD_LSM_SEQ_MAX) > 0;
		ck_assert_uint_eq(w.nkept, live);
		for (size_t i = 0; i < w.nkept; i++)
			ck_assert_int_ne(w.kept[i].kind, SD_LSM_GONE);
		put_back(&w);
		ck_assert_uint_eq(w.nkept, live); /* no range either */
		sd_lsm_sift_free(&s);
	}
}
END_TEST

/* Empty keys, keys that begin with another, and zeros. */
START_TEST(keys_are_told_apart)
{
	static const char *const keys[] = {"", "\0", "\0\0", "a", "a\0", "ab"};
	static const size_t lengths[] = {0, 1, 2, 1, 2, 2};
	struct world w = {.last_asked = -1};
	struct sd_lsm_sift s = {0};
	struct sd_error e = {0};
	s.conf = (struct sd_lsm_sift_conf){.keep = keep, .drop = drop, .arg = &w};
	for (size_t i = 0; i < 6; i++) {
		char key[2 + SD_LSM_TAIL] = {0};
		if (lengths[i] > 0)
			memcpy(key, keys[i], lengths[i]);
		sd_put_le(key + lengths[i], 7 << 8 | SD_LSM_GONE, SD_LSM_TAIL);
		w.fresh = 0; /* they are not of the model: only how many */
		ck_assert_int_eq(sd_lsm_sift_take(&s, (struct sd_slice){key, lengths[i] + SD_LSM_TAIL}, (struct sd_slice){NULL, 0}, &e), SD_OK);
	}
	w.fresh = 0;
	ck_assert_int_eq(sd_lsm_sift_end(&s, &e), SD_OK);
	ck_assert_uint_eq(s.kept, 6); /* nothing says that nothing is deeper */
	sd_lsm_sift_free(&s);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("lsm_sift");
	TCase *t = tcase_create("sift");
	tcase_set_timeout(t, 60);
	tcase_add_loop_test(t, the_same_is_read, 0, 6);
	tcase_add_test(t, at_the_bottom_only_values_stay);
	tcase_add_test(t, keys_are_told_apart);
	suite_add_tcase(s, t);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
