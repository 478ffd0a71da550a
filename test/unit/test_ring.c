/* Consistent hashing: what moves when nodes change, how evenly keys lie, and that no node has more than its bound. */
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/rng.h"
#include "sdlab/ring.h"

#define MAX  64
#define KEYS 20000

static char names[MAX][16];

static struct sd_ring_node node(size_t i, uint32_t weight)
{
	snprintf(names[i], sizeof(names[i]), "node-%zu", i);
	return (struct sd_ring_node){.id = i, .name = sd_slice_of(names[i]), .weight = weight};
}

static struct sd_ring *build(const struct sd_ring_node *nodes, size_t n, uint64_t seed)
{
	struct sd_ring *r;
	ck_assert_int_eq(sd_ring_build(&(struct sd_ring_conf){.seed = seed}, nodes, n, &r), SD_OK);
	return r;
}

static size_t equal_nodes(struct sd_ring_node *out, size_t n)
{
	for (size_t i = 0; i < n; i++)
		out[i] = node(i, 1);
	return n;
}

/* The id of the owner, which does not depend on places in the list. */
static uint64_t owner(const struct sd_ring *r, uint64_t key)
{
	return sd_ring_node(r, (size_t)sd_ring_lookup(r, sd_ring_hash(r, &key, sizeof(key))))->id;
}

/* ---- what moves ---- */

/* Every key that moves leaves or reaches the node that changed, and their number is within four sigma of the change of its
 * share, which sd_ring_share tells exactly. */
static void moves_only(const struct sd_ring_node *before, size_t nb, const struct sd_ring_node *after, size_t na,
		       uint64_t changed, uint64_t seed)
{
	struct sd_ring *a = build(before, nb, seed), *b = build(after, na, seed);
	double share[2] = {0};
	int moved = 0;
	for (size_t i = 0; i < nb; i++)
		share[0] += before[i].id == changed ? sd_ring_share(a, i) : 0;
	for (size_t i = 0; i < na; i++)
		share[1] += after[i].id == changed ? sd_ring_share(b, i) : 0;
	for (uint64_t key = 0; key < KEYS; key++) {
		uint64_t was = owner(a, key), is = owner(b, key);
		if (was == is)
			continue;
		moved++;
		ck_assert_msg(share[1] > share[0] ? is == changed : was == changed, "a key moved from %d to %d",
			      (int)was, (int)is);
	}
	double p = fabs(share[1] - share[0]), sigma = sqrt(KEYS * p * (1 - p));
	ck_assert_msg(fabs(moved - KEYS * p) <= 4 * sigma + 1e-9, "%d keys moved, expected %.0f +- %.0f", moved,
		      KEYS * p, 4 * sigma);
	ck_assert_int_gt(moved, 0);
	sd_ring_release(a);
	sd_ring_release(b);
}

START_TEST(one_that_goes_gives_away_only_its_own)
{
	struct sd_ring_node before[MAX], after[MAX];
	size_t n = equal_nodes(before, 10), k = 0, gone = (size_t)_i % 10;
	for (size_t i = 0; i < n; i++)
		if (i != gone)
			after[k++] = before[i];
	moves_only(before, n, after, k, gone, (uint64_t)_i);
	moves_only(after, k, before, n, gone, (uint64_t)_i); /* and comes back to the same */
}
END_TEST

START_TEST(a_change_of_weight_moves_only_the_difference)
{
	static const uint32_t weights[][2] = {{1, 2}, {3, 1}, {7, 8}, {0, 1}, {5, 0}};
	struct sd_ring_node before[MAX], after[MAX];
	for (size_t i = 0; i < 8; i++)
		before[i] = after[i] = node(i, 1 + (uint32_t)i % 3);
	before[3].weight = weights[_i][0];
	after[3].weight = weights[_i][1];
	moves_only(before, 8, after, 8, 3, 77);
}
END_TEST

START_TEST(the_order_of_the_list_does_not_matter)
{
	struct sd_ring_node there[MAX], back[MAX];
	size_t n = equal_nodes(there, 12);
	for (size_t i = 0; i < n; i++)
		back[i] = there[n - 1 - i];
	struct sd_ring *a = build(there, n, 5), *b = build(back, n, 5);
	for (uint64_t key = 0; key < KEYS; key++)
		ck_assert_uint_eq(owner(a, key), owner(b, key));
	sd_ring_release(a);
	sd_ring_release(b);
}
END_TEST

START_TEST(another_seed_is_another_ring)
{
	struct sd_ring_node nodes[MAX];
	int same = 0;
	size_t n = equal_nodes(nodes, 10);
	struct sd_ring *a = build(nodes, n, 1), *b = build(nodes, n, 2);
	for (uint64_t key = 0; key < KEYS; key++)
		same += owner(a, key) == owner(b, key);
	ck_assert_msg(same < KEYS / 7 && same > KEYS / 14, "%d of %d keys have the same owner", same, KEYS);
	sd_ring_release(a);
	sd_ring_release(b);
}
END_TEST

/* ---- how even ---- */

/* The share of p of P points is Beta(p, P - p). */
START_TEST(shares_are_within_four_sigma)
{
	struct sd_ring_node nodes[MAX];
	double points = 0, sum = 0;
	size_t n = 2 + (size_t)_i * 5;
	for (size_t i = 0; i < n; i++) {
		nodes[i] = node(i, 1 + (uint32_t)(i * 7 % 5));
		points += nodes[i].weight * (double)SD_RING_VNODES_DEFAULT;
	}
	struct sd_ring *r = build(nodes, n, (uint64_t)_i);
	ck_assert_uint_eq(sd_ring_points(r), (size_t)points);
	for (size_t i = 0; i < n; i++) {
		double p = nodes[i].weight * (double)SD_RING_VNODES_DEFAULT / points, share = sd_ring_share(r, i);
		double sigma = sqrt(p * (1 - p) / (points + 1));
		ck_assert_msg(fabs(share - p) <= 4 * sigma, "node %d of %d: %.4f, expected %.4f +- %.4f", (int)i, (int)n,
			      share, p, 4 * sigma);
		sum += share;
	}
	ck_assert_double_eq_tol(sum, 1, 1e-9);
	sd_ring_release(r);
}
END_TEST

START_TEST(keys_lie_as_the_shares_say)
{
	struct sd_ring_node nodes[MAX];
	int got[MAX] = {0};
	size_t n = equal_nodes(nodes, 9);
	struct sd_ring *r = build(nodes, n, 31);
	for (uint64_t key = 0; key < KEYS; key++)
		got[owner(r, key)]++;
	for (size_t i = 0; i < n; i++) {
		double p = sd_ring_share(r, i), sigma = sqrt(KEYS * p * (1 - p));
		ck_assert_msg(fabs(got[i] - KEYS * p) <= 4 * sigma, "%d keys, expected %.0f", got[i], KEYS * p);
	}
	sd_ring_release(r);
}
END_TEST

/* ---- looking up ---- */

/* The shares are summed up from the points; what the search finds, in steps of 2^-16, must agree with them everywhere. */
START_TEST(the_search_agrees_with_the_points)
{
	struct sd_ring_node nodes[MAX];
	size_t n = equal_nodes(nodes, 5);
	struct sd_ring *r = build(nodes, n, 8);
	int got[MAX] = {0};
	for (uint64_t k = 0; k < 65536; k++) {
		struct sd_ring_walk w;
		int i = sd_ring_lookup(r, k << 48);
		sd_ring_walk_begin(&w, r, k << 48);
		ck_assert_int_eq(sd_ring_walk_next(&w), i);
		got[i]++;
	}
	for (size_t i = 0; i < n; i++)
		ck_assert_double_eq_tol(got[i] / 65536.0, sd_ring_share(r, i), 160 / 65536.0);
	sd_ring_release(r);
}
END_TEST

START_TEST(n_distinct_and_stable)
{
	struct sd_ring_node nodes[MAX], fewer[MAX];
	size_t n = equal_nodes(nodes, 8);
	memcpy(fewer, nodes, sizeof(nodes));
	fewer[2].weight = 0; /* gone, with the indices as they were */
	struct sd_ring *r = build(nodes, n, 4), *s = build(fewer, n, 4);
	for (uint64_t key = 0; key < 2000; key++) {
		int a[MAX], b[MAX];
		uint64_t hash = sd_ring_hash(r, &key, sizeof(key)), seen = 0;
		ck_assert_uint_eq(sd_ring_lookup_n(r, hash, a, 3), 3);
		ck_assert_int_eq(a[0], sd_ring_lookup(r, hash));
		ck_assert_uint_eq(sd_ring_lookup_n(r, hash, a, MAX), n);
		ck_assert_uint_eq(sd_ring_lookup_n(s, hash, b, MAX), n - 1);
		for (size_t i = 0, k = 0; i < n; i++) {
			ck_assert(!(seen >> a[i] & 1));
			seen |= 1ull << a[i];
			if (a[i] != 2)
				ck_assert_int_eq(a[i], b[k++]); /* the others keep their order */
		}
	}
	sd_ring_release(r);
	sd_ring_release(s);
}
END_TEST

/* ---- bounded load ---- */

static uint32_t loads[MAX];

static uint32_t load_of(void *arg, size_t i)
{
	(void)arg;
	return loads[i];
}

/* However uneven the keys, no node ever has more than ceil(c * its fair part); returns how many keys were not with their
 * owner. */
static int fill(double factor, int hot_percent, uint64_t seed)
{
	struct sd_ring_node nodes[MAX];
	uint32_t weights = 0;
	int elsewhere = 0;
	for (size_t i = 0; i < 7; i++) {
		nodes[i] = node(i, 1 + (uint32_t)i % 3);
		weights += nodes[i].weight;
	}
	struct sd_ring *r = build(nodes, 7, seed);
	struct sd_ring_bound bound = {factor, load_of, NULL};
	struct sd_rng rng;
	sd_rng_seed(&rng, seed);
	memset(loads, 0, sizeof(loads));
	loads[5] = SD_RING_OUT;
	weights -= nodes[5].weight;
	for (int m = 1; m <= 3000; m++) {
		uint64_t hash = sd_rng_below(&rng, 100) < (uint32_t)hot_percent ? 12345 : sd_rng_next(&rng);
		int i = sd_ring_lookup_bounded(r, hash, &bound);
		ck_assert(i >= 0 && i != 5);
		loads[i]++;
		elsewhere += i != sd_ring_lookup(r, hash);
		for (size_t k = 0; k < 7; k++)
			ck_assert(k == 5 || loads[k] <= ceil(factor * m * nodes[k].weight / weights));
	}
	sd_ring_release(r);
	return elsewhere;
}

START_TEST(no_node_has_more_than_its_bound)
{
	for (uint64_t seed = 1; seed < 6; seed++) {
		fill(1.25, 0, seed);
		fill(1.01, 50, seed);
		ck_assert_int_gt(fill(1.25, 90, seed), 1000); /* the bound mattered */
		fill(4, 100, seed);
	}
}
END_TEST

START_TEST(the_cap)
{
	ck_assert_uint_eq(sd_ring_cap(1.25, 0, 1, 4), 1);
	ck_assert_uint_eq(sd_ring_cap(1.25, 15, 1, 4), 5); /* 1.25 * 16 / 4 */
	ck_assert_uint_eq(sd_ring_cap(1.25, 16, 1, 4), 6);
	ck_assert_uint_eq(sd_ring_cap(1.1, 9, 1, 1), 11); /* 1.1 * 10 is a little more than 11 in doubles */
	ck_assert_uint_eq(sd_ring_cap(1.25, 9, 0, 4), 0);
	ck_assert_uint_eq(sd_ring_cap(1.25, 9, 0, 0), 0);
}
END_TEST

/* ---- edges ---- */

START_TEST(edges)
{
	struct sd_ring_node nodes[2] = {0};
	struct sd_ring *r;
	int out[MAX];
	struct sd_ring_bound bound = {1.25, load_of, NULL};
	r = build(nodes, 0, 1);
	ck_assert_int_eq(sd_ring_lookup(r, 7), -1);
	ck_assert_uint_eq(sd_ring_lookup_n(r, 7, out, 3), 0);
	ck_assert_int_eq(sd_ring_lookup_bounded(r, 7, &bound), -1);
	sd_ring_release(r);
	nodes[0] = node(0, 0);
	nodes[1] = node(1, 1);
	ck_assert_int_eq(sd_ring_build(&(struct sd_ring_conf){.vnodes = 1}, nodes, 2, &r), SD_OK);
	ck_assert_int_eq(sd_ring_lookup(r, 0), 1);
	ck_assert_int_eq(sd_ring_lookup(r, UINT64_MAX), 1);
	ck_assert_double_eq(sd_ring_share(r, 1), 1);
	ck_assert_double_eq(sd_ring_share(r, 0), 0);
	ck_assert_uint_eq(sd_ring_lookup_n(r, 7, out, 3), 1);
	ck_assert_ptr_eq(sd_ring_hold(r), r);
	sd_ring_release(r);
	ck_assert_uint_eq(sd_ring_count(r), 2); /* still held */
	sd_ring_release(r);
	sd_ring_release(NULL);
}
END_TEST

START_TEST(refused)
{
	static struct sd_ring_node many[SD_RING_MAX_NODES + 1];
	struct sd_ring_node nodes[MAX];
	struct sd_ring *r;
	struct sd_ring_conf conf = {0};
	nodes[0] = node(0, 1);
	nodes[1] = node(0, 2);
	ck_assert_int_eq(sd_ring_build(&conf, nodes, 2, &r), SD_EINVAL);
	nodes[0] = nodes[1] = (struct sd_ring_node){.id = 5, .weight = 1};
	ck_assert_int_eq(sd_ring_build(&conf, nodes, 2, &r), SD_EINVAL);
	nodes[1].id = 6;
	ck_assert_int_eq(sd_ring_build(&conf, nodes, 2, &r), SD_OK);
	sd_ring_release(r);
	nodes[1].weight = UINT32_MAX;
	ck_assert_int_eq(sd_ring_build(&conf, nodes, 2, &r), SD_ERANGE);
	ck_assert_ptr_null(r);
	for (size_t i = 0; i <= SD_RING_MAX_NODES; i++)
		many[i] = (struct sd_ring_node){.id = i, .weight = 1};
	ck_assert_int_eq(sd_ring_build(&conf, many, SD_RING_MAX_NODES + 1, &r), SD_ERANGE);
	ck_assert_int_eq(sd_ring_build(&conf, many, SD_RING_MAX_NODES, &r), SD_OK);
	int all[SD_RING_MAX_NODES];
	ck_assert_uint_eq(sd_ring_lookup_n(r, 99, all, SD_RING_MAX_NODES), SD_RING_MAX_NODES);
	sd_ring_release(r);
	conf.kind = (enum sd_ring_kind)77;
	ck_assert_int_eq(sd_ring_build(&conf, many, 1, &r), SD_EINVAL);
}
END_TEST

START_TEST(the_same_list_is_known)
{
	struct sd_ring_node nodes[MAX], other[MAX];
	struct sd_ring_conf conf = {.seed = 9}, second = {.seed = 9, .vnodes = SD_RING_VNODES_DEFAULT};
	size_t n = equal_nodes(nodes, 4);
	struct sd_ring *r = build(nodes, n, 9);
	ck_assert(sd_ring_is(r, &conf, nodes, n) && sd_ring_is(r, &second, nodes, n));
	ck_assert(!sd_ring_is(r, &conf, nodes, n - 1));
	second.seed = 8;
	ck_assert(!sd_ring_is(r, &second, nodes, n));
	memcpy(other, nodes, sizeof(nodes));
	other[1].weight = 2;
	ck_assert(!sd_ring_is(r, &conf, other, n));
	other[1] = nodes[1];
	other[1].id = 99;
	ck_assert(!sd_ring_is(r, &conf, other, n));
	other[1] = nodes[1];
	other[1].name = sd_slice_of("node-x");
	ck_assert(!sd_ring_is(r, &conf, other, n));
	sd_ring_release(r);
}
END_TEST

/* Places are a promise between processes: a ring made elsewhere, by an older or a newer version, must agree. */
START_TEST(places_do_not_change)
{
	struct sd_ring_node nodes[MAX];
	uint64_t digest = 14695981039346656037u;
	size_t n = equal_nodes(nodes, 3);
	struct sd_ring *r = build(nodes, n, 0);
	for (uint64_t k = 0; k < 4096; k++)
		digest = (digest ^ (uint64_t)sd_ring_lookup(r, k << 52)) * 1099511628211u;
	ck_assert_msg(digest == 0x8fcb137de5582f8aull, "0x%016llx", (unsigned long long)digest);
	ck_assert_uint_eq(sd_ring_hash(r, "user:123", 8), 0xe7fe84bad8913b52ull);
	sd_ring_release(r);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("ring");
	TCase *t = tcase_create("ring");
	tcase_set_timeout(t, 60);
	tcase_add_loop_test(t, one_that_goes_gives_away_only_its_own, 0, 20);
	tcase_add_loop_test(t, a_change_of_weight_moves_only_the_difference, 0, 5);
	tcase_add_test(t, the_order_of_the_list_does_not_matter);
	tcase_add_test(t, another_seed_is_another_ring);
	tcase_add_loop_test(t, shares_are_within_four_sigma, 0, 12);
	tcase_add_test(t, keys_lie_as_the_shares_say);
	tcase_add_test(t, the_search_agrees_with_the_points);
	tcase_add_test(t, n_distinct_and_stable);
	tcase_add_test(t, no_node_has_more_than_its_bound);
	tcase_add_test(t, the_cap);
	tcase_add_test(t, edges);
	tcase_add_test(t, refused);
	tcase_add_test(t, the_same_list_is_known);
	tcase_add_test(t, places_do_not_change);
	suite_add_tcase(s, t);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
