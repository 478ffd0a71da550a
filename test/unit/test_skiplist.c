/* The skip list against a sorted array of the same operations. */
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/skiplist.h"

#ifdef SD_SANITIZED /* memory and rules of C are looked at; what comes out of many more steps is looked at in the plain build */
#define RUNS 2
#else
#define RUNS 8
#endif

#define MANY 600
static struct sd_skip_node *model[MANY];
static uint32_t count;
static struct sd_skiplist list;
static struct sd_rng rng;

static int compare_bytes(struct sd_slice a, struct sd_slice b)
{
	int c = memcmp(a.p, b.p, a.n < b.n ? a.n : b.n);
	return c ? c : (int)a.n - (int)b.n;
}

static int compare(double score, struct sd_slice member, const struct sd_skip_node *n)
{
	if (score != n->score)
		return score < n->score ? -1 : 1;
	return compare_bytes(member, sd_skip_member(n));
}

static uint32_t place(double score, struct sd_slice member)
{
	uint32_t i = 0;
	while (i < count && compare(score, member, model[i]) > 0)
		i++;
	return i;
}

static void model_add(struct sd_skip_node *n)
{
	uint32_t i = place(n->score, sd_skip_member(n));
	memmove(model + i + 1, model + i, (count - i) * sizeof(model[0]));
	model[i] = n;
	count++;
}

static void model_remove(uint32_t i)
{
	memmove(model + i, model + i + 1, (count - i - 1) * sizeof(model[0]));
	count--;
}

static struct sd_skip_node *model_find(struct sd_slice member)
{
	for (uint32_t i = 0; i < count; i++)
		if (compare_bytes(sd_skip_member(model[i]), member) == 0)
			return model[i];
	return NULL;
}

static bool model_has(struct sd_slice member)
{
	return model_find(member) != NULL;
}

/* Few, so that many are the same; infinite ones too. */
static double some_score(void)
{
	static const double special[] = {-INFINITY, INFINITY, 0, -0.0, 1e300};
	return sd_rng_below(&rng, 10) == 0 ? special[sd_rng_below(&rng, 5)] : (double)sd_rng_below(&rng, 40) / 4 - 5;
}

static struct sd_slice some_member(char text[16])
{
	int n = snprintf(text, 16, "%x", sd_rng_below(&rng, 4 * MANY));
	return (struct sd_slice){text, sd_rng_below(&rng, 500) ? (size_t)n : 0};
}

static void setup(void)
{
	sd_skiplist_init(&list);
	count = 0;
}

static void add(double score, struct sd_slice member)
{
	unsigned h = sd_skip_height(&rng);
	struct sd_skip_node *n = sd_skip_node_init(malloc(sd_skip_node_bytes(h, member.n)), h, score, member);
	sd_skiplist_add(&list, n);
	model_add(n);
}

static void take_out(uint32_t i)
{
	struct sd_skip_node *n = model[i];
	sd_skiplist_remove(&list, n);
	model_remove(i);
	free(sd_skip_node_memory(n));
}

static void teardown(void)
{
	while (count)
		take_out(0);
}

/* Both ways, by rank, and as its own spans say. */
static void check_all(void)
{
	const struct sd_skip_node *n = sd_skiplist_first(&list), *before = NULL;
	ck_assert_uint_eq(list.count, count);
	for (uint32_t i = 0; i < count; i++, before = n, n = sd_skip_next(n)) {
		ck_assert_ptr_eq(n, model[i]);
		ck_assert_ptr_eq(n->back, before);
		ck_assert_uint_eq(sd_skiplist_rank(&list, n), i);
		ck_assert_ptr_eq(sd_skiplist_at(&list, i), n);
	}
	ck_assert_ptr_null(n);
	ck_assert_ptr_eq(list.last, before);
	ck_assert_ptr_null(sd_skiplist_at(&list, count));
}

static void check_bound(const struct sd_skip_bound *b)
{
	struct sd_skip_node *n;
	uint32_t below = 0, up_to = 0;
	for (uint32_t i = 0; i < count; i++) {
		int c = b->lex ? b->infinite ? -b->infinite : compare_bytes(sd_skip_member(model[i]), b->member)
			       : (model[i]->score > b->score) - (model[i]->score < b->score);
		below += c < 0 || (c == 0 && b->exclusive);
		up_to += c < 0 || (c == 0 && !b->exclusive);
	}
	ck_assert_uint_eq(sd_skiplist_below(&list, b, &n), below);
	ck_assert_ptr_eq(n, below < count ? model[below] : NULL);
	ck_assert_uint_eq(sd_skiplist_up_to(&list, b, &n), up_to);
	ck_assert_ptr_eq(n, up_to ? model[up_to - 1] : NULL);
}

static void change_once(bool grow)
{
	char text[16];
	struct sd_slice member = some_member(text);
	if (count < MANY && sd_rng_below(&rng, 10) < (grow ? 7u : 3u)) {
		if (!model_has(member))
			add(some_score(), member);
	} else if (count && sd_rng_below(&rng, 3)) {
		take_out(sd_rng_below(&rng, count));
	} else if (count) {
		uint32_t i = sd_rng_below(&rng, count);
		struct sd_skip_node *n = model[i];
		/* a little or far off */
		double score = sd_rng_below(&rng, 2) ? n->score + 0.125 : some_score();
		model_remove(i);
		sd_skiplist_set_score(&list, n, score);
		model_add(n);
	}
}

START_TEST(as_an_array)
{
	sd_rng_seed(&rng, (uint64_t)_i);
	for (int k = 0; k < 4000; k++) {
		change_once(k / 1000 % 2 == 0);
		check_bound(&(struct sd_skip_bound){.score = some_score(), .exclusive = k & 1});
		if (k % 50 == 0)
			check_all();
	}
	check_all();
}
END_TEST

START_TEST(by_bytes)
{
	char text[16];
	sd_rng_seed(&rng, (uint64_t)_i);
	for (int k = 0; k < 200; k++) {
		struct sd_slice member = some_member(text);
		if (!model_has(member))
			add(3, member);
	}
	for (int k = 0; k < 500; k++)
		check_bound(&(struct sd_skip_bound){.lex = true, .member = some_member(text), .exclusive = k & 1});
	check_bound(&(struct sd_skip_bound){.lex = true, .infinite = -1});
	check_bound(&(struct sd_skip_bound){.lex = true, .infinite = 1});
}
END_TEST

/* Each level has a quarter of the one below: of 100,000, 25,000 reach the second, sigma 137. */
START_TEST(heights)
{
	uint32_t at_least[SD_SKIP_LEVELS + 2] = {0};
	sd_rng_seed(&rng, 7);
	for (int k = 0; k < 100000; k++) {
		unsigned h = sd_skip_height(&rng);
		ck_assert_uint_ge(h, 1);
		ck_assert_uint_le(h, SD_SKIP_LEVELS);
		for (unsigned i = 1; i <= h; i++)
			at_least[i]++;
	}
	ck_assert_uint_eq(at_least[1], 100000);
	ck_assert_int_lt(abs((int)at_least[2] - 25000), 137 * 5);
	ck_assert_int_lt(abs((int)at_least[3] - 6250), 77 * 5);
}
END_TEST

/* Its place in a table is at the node's beginning. */
START_TEST(in_a_table)
{
	static const struct sd_siphash_key key = {1, 2};
	struct sd_dict d;
	char text[16];
	sd_dict_init(&d, offsetof(struct sd_skip_node, member), &key);
	sd_rng_seed(&rng, 3);
	for (int k = 0; k < 300; k++) {
		struct sd_slice member = some_member(text);
		uint32_t hash = sd_dict_hash(&d, member);
		ck_assert_int_eq(sd_dict_find(&d, member, hash) != NULL, model_has(member));
		if (model_has(member))
			continue;
		add(some_score(), member);
		struct sd_skip_node *n = model_find(member);
		n->e.hash = hash;
		ck_assert(sd_dict_add(&d, &n->e));
		ck_assert_ptr_eq(sd_dict_find(&d, member, hash), &n->e);
	}
	sd_dict_free(&d);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("skiplist");
	TCase *t = tcase_create("skiplist");
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 60);
	tcase_add_loop_test(t, as_an_array, 0, RUNS);
	tcase_add_loop_test(t, by_bytes, 0, 4);
	tcase_add_test(t, heights);
	tcase_add_test(t, in_a_table);
	suite_add_tcase(s, t);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
