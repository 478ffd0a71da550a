/* Every kind of ring: what each promises when nodes change, how keys lie, replicas in zones, and the hashes. */
#include <check.h>
#include <math.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/crc32.h"
#include "core/md5.h"
#include "core/rng.h"
#include "sdlab/ring.h"

#define MAX  64
#define KEYS 20000

static char names[MAX][24];

static struct sd_ring_node node(size_t i, uint32_t weight)
{
	snprintf(names[i], sizeof(names[i]), "10.0.0.%zu:8080", i);
	return (struct sd_ring_node){.id = i, .name = sd_slice_of(names[i]), .weight = weight};
}

static struct sd_ring *build(const struct sd_ring_conf *conf, const struct sd_ring_node *nodes, size_t n)
{
	struct sd_ring *r;
	ck_assert_int_eq(sd_ring_build(conf, nodes, n, &r), SD_OK);
	return r;
}

static uint64_t hash_of(const struct sd_ring *r, uint64_t key)
{
	return sd_ring_hash(r, &key, sizeof(key));
}

static uint64_t owner(const struct sd_ring *r, uint64_t key)
{
	return sd_ring_node(r, (size_t)sd_ring_lookup(r, hash_of(r, key)))->id;
}

/* vnodes are few, so that tests are fast. */
static const struct sd_ring_conf all[] = {
    {.kind = SD_RING_VNODES, .seed = 3, .vnodes = 100},
    {.kind = SD_RING_VNODES, .seed = 3, .vnodes = 100, .hash = SD_RING_SIPHASH, .seed_high = 4},
    {.kind = SD_RING_VNODES, .vnodes = 100, .hash = SD_RING_MD5},
    {.kind = SD_RING_RENDEZVOUS, .seed = 5},
    {.kind = SD_RING_RENDEZVOUS, .hash = SD_RING_SIPHASH, .seed = 5, .seed_high = 6},
    {.kind = SD_RING_RENDEZVOUS, .hash = SD_RING_MD5},
    {.kind = SD_RING_NGINX},
    {.kind = SD_RING_TEXTBOOK},
    /* from here on: not all promises */
    {.kind = SD_RING_MAGLEV, .seed = 7},
    {.kind = SD_RING_MAGLEV, .hash = SD_RING_MD5},
    {.kind = SD_RING_LIBKETAMA},
    {.kind = SD_RING_TWEMPROXY},
    {.kind = SD_RING_JUMP, .seed = 9},
    {.kind = SD_RING_JUMP, .hash = SD_RING_MD5},
};
#define KEEPERS 8
#define ALL     14
#define JUMPS   12 /* the first of them */

static uint32_t weight_of(const struct sd_ring_conf *conf, size_t i)
{
	return conf->kind == SD_RING_JUMP ? 1 : 1 + (uint32_t)i % 3;
}

/* ---- what moves ---- */

struct moved {
	int all, between; /* between: from and to nodes that did not change */
};

static struct moved count_moved(uint64_t (*was)(void *arg, uint64_t key), void *a, uint64_t (*is)(void *arg, uint64_t key),
				void *b, uint64_t changed)
{
	struct moved m = {0, 0};
	for (uint64_t key = 0; key < KEYS; key++) {
		uint64_t x = was(a, key), y = is(b, key);
		m.all += x != y;
		m.between += x != y && x != changed && y != changed;
	}
	return m;
}

static uint64_t by_ring(void *arg, uint64_t key)
{
	return owner(arg, key);
}

static double share_of(const struct sd_ring *r, uint64_t id)
{
	for (size_t i = 0; i < sd_ring_count(r); i++)
		if (sd_ring_node(r, i)->id == id)
			return sd_ring_share(r, i);
	return 0;
}

static void expect_share(int moved, double share, const char *what)
{
	double sigma = sqrt(KEYS * share * (1 - share));
	ck_assert_msg(fabs(moved - KEYS * share) <= 4 * sigma + 1e-9, "%s: %d keys moved, expected %.0f +- %.0f", what, moved,
		      KEYS * share, 4 * sigma);
}

/* From `before` to `after`, which differ in one node: only its share moves, and nothing between two others. */
static void moves_only(const struct sd_ring_conf *conf, const struct sd_ring_node *before, size_t nb,
		       const struct sd_ring_node *after, size_t na, uint64_t changed)
{
	struct sd_ring *a = build(conf, before, nb), *b = build(conf, after, na);
	struct moved m = count_moved(by_ring, a, by_ring, b, changed);
	ck_assert_msg(m.between == 0, "kind %d, hash %d: %d keys moved between nodes that stay", conf->kind, conf->hash, m.between);
	ck_assert_int_gt(m.all, 0);
	expect_share(m.all, fabs(share_of(a, changed) - share_of(b, changed)), "one node changed");
	sd_ring_release(a);
	sd_ring_release(b);
}

START_TEST(only_the_moved_share_moves)
{
	const struct sd_ring_conf *conf = &all[_i];
	struct sd_ring_node nodes[MAX], fewer[MAX];
	for (size_t gone = 0; gone < 9; gone += 2) {
		size_t k = 0;
		for (size_t i = 0; i < 9; i++) {
			nodes[i] = node(i, weight_of(conf, i));
			if (i != gone)
				fewer[k++] = nodes[i];
		}
		moves_only(conf, nodes, 9, fewer, 8, gone);
		moves_only(conf, fewer, 8, nodes, 9, gone);
	}
}
END_TEST

START_TEST(another_weight_moves_the_difference)
{
	static const uint32_t weights[][2] = {{1, 2}, {3, 1}, {7, 8}, {0, 1}, {5, 0}};
	struct sd_ring_node before[MAX], after[MAX];
	for (size_t w = 0; w < 5; w++) {
		for (size_t i = 0; i < 8; i++)
			before[i] = after[i] = node(i, 1 + (uint32_t)i % 3);
		before[3].weight = weights[w][0];
		after[3].weight = weights[w][1];
		moves_only(&all[_i], before, 8, after, 8, 3);
	}
}
END_TEST

/* A jump keeps its promise for the last of the list, and for a weight that becomes 0 or 1. */
START_TEST(jump_moves_the_last_or_an_empty_one)
{
	struct sd_ring_node before[MAX], after[MAX];
	for (size_t i = 0; i < 10; i++)
		before[i] = after[i] = node(i, 1);
	moves_only(&all[_i], before, 10, before, 9, 9);
	moves_only(&all[_i], before, 9, before, 10, 9);
	after[4].weight = 0;
	moves_only(&all[_i], before, 10, after, 10, 4);
	moves_only(&all[_i], after, 10, before, 10, 4);
	before[4].weight = 0;
	after[7].weight = 0;
	moves_only(&all[_i], before, 10, after, 10, 7);
	moves_only(&all[_i], after, 9, after, 10, 9);
}
END_TEST

/* Controls: what must fail the same check. Else it could not tell. */
static uint64_t by_modulo(void *arg, uint64_t key)
{
	uint64_t h = key * 0x9e3779b97f4a7c15u;
	return (h >> 32) % *(uint64_t *)arg;
}

START_TEST(control_modulo_moves_nearly_all)
{
	uint64_t before = 9, after = 8;
	struct moved m = count_moved(by_modulo, &before, by_modulo, &after, 8);
	ck_assert_msg(m.between > KEYS / 2, "modulo hashing moved only %d between nodes that stay", m.between);
}
END_TEST

static struct moved without(const struct sd_ring_conf *conf, size_t gone)
{
	struct sd_ring_node nodes[MAX], fewer[MAX];
	size_t k = 0;
	for (size_t i = 0; i < 9; i++) {
		nodes[i] = node(i, weight_of(conf, i));
		if (i != gone)
			fewer[k++] = nodes[i];
	}
	struct sd_ring *a = build(conf, nodes, 9), *b = build(conf, fewer, 8);
	struct moved m = count_moved(by_ring, a, by_ring, b, gone);
	sd_ring_release(a);
	sd_ring_release(b);
	return m;
}

/* What the header says of the others, so that nobody believes more: ketama shifts nodes when the sum of weights changes, a
 * jump moves all behind the gap, maglev a little. */
START_TEST(what_the_others_do_not_keep)
{
	struct sd_ring_conf ketama = {.kind = SD_RING_LIBKETAMA}, jump = {.kind = SD_RING_JUMP}, maglev = {.kind = SD_RING_MAGLEV};
	ck_assert_int_gt(without(&ketama, 2).between, 0);
	ck_assert_int_gt(without(&jump, 2).between, KEYS / 4);
	struct moved m = without(&maglev, 2);
	ck_assert_msg(m.between > 0 && m.between < KEYS / 20, "maglev moved %d between nodes that stay", m.between);
}
END_TEST

START_TEST(the_order_of_the_list)
{
	struct sd_ring_node there[MAX], back[MAX];
	const struct sd_ring_conf *conf = &all[_i];
	int same = 0;
	for (size_t i = 0; i < 12; i++)
		there[i] = back[11 - i] = node(i, weight_of(conf, i));
	struct sd_ring *a = build(conf, there, 12), *b = build(conf, back, 12);
	for (uint64_t key = 0; key < KEYS; key++)
		same += owner(a, key) == owner(b, key);
	if (conf->kind == SD_RING_JUMP)
		ck_assert_int_lt(same, KEYS / 2);
	else
		ck_assert_int_eq(same, KEYS);
	sd_ring_release(a);
	sd_ring_release(b);
}
END_TEST

/* ---- how keys lie ---- */

START_TEST(keys_lie_as_the_shares_say)
{
	struct sd_ring_node nodes[MAX];
	const struct sd_ring_conf *conf = &all[_i];
	int got[MAX] = {0};
	double sum = 0;
	for (size_t i = 0; i < 9; i++)
		nodes[i] = node(i, weight_of(conf, i));
	nodes[4].weight = 0;
	struct sd_ring *r = build(conf, nodes, 9);
	for (uint64_t key = 0; key < KEYS; key++)
		got[owner(r, key)]++;
	for (size_t i = 0; i < 9; i++) {
		double p = sd_ring_share(r, i), sigma = sqrt(KEYS * p * (1 - p));
		ck_assert_msg(fabs(got[i] - KEYS * p) <= 4 * sigma, "node %zu: %d keys, expected %.0f +- %.0f", i, got[i], KEYS * p,
			      4 * sigma);
		sum += p;
	}
	ck_assert_double_eq_tol(sum, 1, 1e-9);
	ck_assert_int_eq(got[4], 0);
	sd_ring_release(r);
}
END_TEST

/* The share of p of P points is Beta(p, P - p); the ketamas and nginx have points that hang together, and are no worse. */
START_TEST(shares_are_within_four_sigma)
{
	struct sd_ring_node nodes[MAX];
	const struct sd_ring_conf *conf = &all[_i];
	for (size_t n = 2; n < 40; n += 6) {
		for (size_t i = 0; i < n; i++)
			nodes[i] = node(i, weight_of(conf, i));
		struct sd_ring *r = build(conf, nodes, n);
		double points = (double)sd_ring_points(r);
		for (size_t i = 0; i < n && points > 0; i++) {
			double p = (double)sd_ring_points_of(r, i) / points, share = sd_ring_share(r, i);
			double sigma = conf->kind == SD_RING_MAGLEV ? 1 / points : sqrt(p * (1 - p) / (points + 1));
			ck_assert_msg(fabs(share - p) <= 4 * sigma, "kind %d, node %zu of %zu: %.4f, expected %.4f +- %.4f", conf->kind,
				      i, n, share, p, 4 * sigma);
		}
		sd_ring_release(r);
	}
}
END_TEST

START_TEST(slots_follow_the_weights)
{
	struct sd_ring_node nodes[MAX];
	uint32_t weights = 0;
	for (size_t i = 0; i < 20; i++) {
		nodes[i] = node(i, 1 + (uint32_t)(i * 7 % 5));
		weights += nodes[i].weight;
	}
	struct sd_ring *r = build(&(struct sd_ring_conf){.kind = SD_RING_MAGLEV, .slots = 10007}, nodes, 20);
	ck_assert_uint_eq(sd_ring_points(r), 10007);
	for (size_t i = 0; i < 20; i++)
		ck_assert_double_eq_tol((double)sd_ring_points_of(r, i), 10007.0 * nodes[i].weight / weights, 2);
	for (size_t i = 1; i < 10007; i++) {
		struct sd_ring_point p = sd_ring_point(r, i);
		ck_assert_uint_eq(p.place, sd_ring_place(r, i));
		ck_assert_int_eq(sd_ring_lookup(r, p.place), (int)p.node);
		ck_assert_int_eq(sd_ring_lookup(r, sd_ring_place(r, i - 1) + 1), (int)p.node);
	}
	ck_assert_uint_eq(sd_ring_place(r, 10006), UINT64_MAX);
	sd_ring_release(r);
}
END_TEST

/* ---- several nodes ---- */

START_TEST(n_distinct)
{
	struct sd_ring_node nodes[MAX];
	const struct sd_ring_conf *conf = &all[_i];
	for (size_t i = 0; i < 10; i++)
		nodes[i] = node(i, weight_of(conf, i));
	nodes[6].weight = 0;
	struct sd_ring *r = build(conf, nodes, 10);
	for (uint64_t key = 0; key < 500; key++) {
		struct sd_ring_walk w;
		int out[MAX];
		uint64_t seen = 0, hash = hash_of(r, key);
		ck_assert_uint_eq(sd_ring_lookup_n(r, hash, out, MAX), 9);
		ck_assert_int_eq(out[0], sd_ring_lookup(r, hash));
		sd_ring_walk_begin(&w, r, hash);
		for (size_t i = 0; i < 9; i++) {
			ck_assert(out[i] != 6 && !(seen >> out[i] & 1));
			seen |= 1ull << out[i];
			ck_assert_int_eq(sd_ring_walk_next(&w), out[i]);
		}
		ck_assert_int_eq(sd_ring_walk_next(&w), -1);
		ck_assert_uint_eq(sd_ring_lookup_n(r, hash, out, 2), 2);
	}
	sd_ring_release(r);
}
END_TEST

/* When the first of three goes, the second is there already: what replicas are for. */
START_TEST(the_next_one_takes_over)
{
	struct sd_ring_node nodes[MAX];
	const struct sd_ring_conf *conf = &all[_i];
	for (size_t i = 0; i < 8; i++)
		nodes[i] = node(i, weight_of(conf, i));
	struct sd_ring *r = build(conf, nodes, 8);
	nodes[5].weight = 0;
	struct sd_ring *s = build(conf, nodes, 8);
	int checked = 0;
	for (uint64_t key = 0; key < 2000; key++) {
		int out[2];
		sd_ring_lookup_n(r, hash_of(r, key), out, 2);
		if (out[0] != 5)
			continue;
		ck_assert_int_eq(sd_ring_lookup(s, hash_of(s, key)), out[1]);
		checked++;
	}
	ck_assert_int_gt(checked, 50);
	sd_ring_release(r);
	sd_ring_release(s);
}
END_TEST

static const char *const zones[] = {"a", "a", "a", "a", "b", "b", "c", "", ""};

START_TEST(replicas_go_to_other_zones_first)
{
	struct sd_ring_node nodes[MAX];
	const struct sd_ring_conf *conf = &all[_i];
	int same_zone = 0;
	for (size_t i = 0; i < 9; i++) {
		nodes[i] = node(i, 1);
		nodes[i].zone = sd_slice_of(zones[i]);
	}
	struct sd_ring *r = build(conf, nodes, 9);
	for (uint64_t key = 0; key < 500; key++) {
		int out[MAX], plain[3], count[4] = {0}; /* of a, b, c; 3: all that stand alone */
		struct sd_ring_walk w;
		ck_assert_uint_eq(sd_ring_lookup_n(r, hash_of(r, key), out, MAX), 9);
		ck_assert_int_eq(out[0], sd_ring_lookup(r, hash_of(r, key)));
		for (int i = 0; i < 9; i++) {
			const char *z = zones[out[i]];
			count[*z ? *z - 'a' : 3]++;
			/* five zones: a, b, c and the two that stand alone. All once, then those that have more */
			if (i == 4)
				ck_assert(count[0] == 1 && count[1] == 1 && count[2] == 1 && count[3] == 2);
			if (i == 6)
				ck_assert(count[0] == 2 && count[1] == 2);
		}
		sd_ring_walk_begin(&w, r, hash_of(r, key));
		for (int i = 0; i < 3; i++)
			plain[i] = sd_ring_walk_next(&w);
		same_zone += plain[0] < 4 && (plain[1] < 4 || plain[2] < 4);
	}
	ck_assert_int_gt(same_zone, 50); /* the control: without zones it would have happened */
	sd_ring_release(r);
}
END_TEST

static uint32_t loads[MAX];

static uint32_t load_of(void *arg, size_t i)
{
	(void)arg;
	return loads[i];
}

START_TEST(no_node_has_more_than_its_bound)
{
	struct sd_ring_node nodes[MAX];
	const struct sd_ring_conf *conf = &all[_i];
	struct sd_ring_bound bound = {1.25, load_of, NULL};
	uint32_t weights = 0;
	struct sd_rng rng;
	sd_rng_seed(&rng, 11);
	memset(loads, 0, sizeof(loads));
	for (size_t i = 0; i < 7; i++) {
		nodes[i] = node(i, weight_of(conf, i));
		weights += nodes[i].weight;
	}
	struct sd_ring *r = build(conf, nodes, 7);
	for (int m = 1; m <= 2000; m++) {
		uint64_t key = sd_rng_below(&rng, 2) ? 7 : sd_rng_next(&rng); /* half of it one key */
		int i = sd_ring_lookup_bounded(r, hash_of(r, key), &bound);
		ck_assert_int_ge(i, 0);
		loads[i]++;
		ck_assert(loads[i] <= ceil(1.25 * m * nodes[i].weight / weights));
	}
	sd_ring_release(r);
}
END_TEST

/* ---- the hashes ---- */

START_TEST(md5_is_md5)
{
	unsigned char bytes[300], ours[SD_MD5_BYTES], theirs[EVP_MAX_MD_SIZE];
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (unsigned char)(i * 37 + 11);
	for (size_t n = 0; n <= sizeof(bytes); n++) {
		unsigned length;
		sd_md5(bytes, n, ours);
		ck_assert(EVP_Digest(bytes, n, theirs, &length, EVP_md5(), NULL) && length == SD_MD5_BYTES);
		ck_assert_mem_eq(ours, theirs, SD_MD5_BYTES);
	}
}
END_TEST

START_TEST(crc32_is_crc32)
{
	uint32_t crc = sd_crc32_add(SD_CRC32_BEGIN, "1234", 4);
	ck_assert_uint_eq(sd_crc32_end(sd_crc32_add(crc, "56789", 5)), 0xcbf43926u); /* the check value of all catalogues */
	ck_assert_uint_eq(sd_crc32_end(SD_CRC32_BEGIN), 0);
}
END_TEST

/* What the manual says anybody can check with md5sum. */
START_TEST(md5_places_can_be_checked_by_hand)
{
	struct sd_ring_node nodes[] = {{.name = sd_slice_of("node-A"), .weight = 1}, {.name = sd_slice_of("node-B"), .weight = 1}};
	struct sd_ring *r = build(&(struct sd_ring_conf){.hash = SD_RING_MD5, .vnodes = 150}, nodes, 2);
	int found = 0;
	ck_assert_uint_eq(sd_ring_bits(r), 32);
	ck_assert_uint_eq(sd_ring_hash(r, "user:123", 8) >> 32, 0x90db0030u);
	for (size_t i = 0; i < sd_ring_points(r); i++) {
		struct sd_ring_point p = sd_ring_point(r, i);
		unsigned char md[SD_MD5_BYTES];
		char text[32];
		int n = snprintf(text, sizeof(text), "node-%c-%u", (char)('A' + p.node), p.number);
		sd_md5(text, (size_t)n, md);
		ck_assert_uint_eq(p.place >> 32, (uint32_t)md[0] << 24 | (uint32_t)md[1] << 16 | (uint32_t)md[2] << 8 | md[3]);
		ck_assert(i == 0 || sd_ring_place(r, i - 1) <= p.place);
		found += p.place >> 32 == 0xf011b0ad; /* node-A-1 */
	}
	ck_assert_int_eq(found, 1);
	sd_ring_release(r);
}
END_TEST

/* Both halves of the key and the seed make another ring; the same ones the same. */
START_TEST(keys_and_seeds_matter)
{
	static const struct sd_ring_conf confs[] = {
	    {.seed = 1},
	    {.seed = 2},
	    {.seed = 1, .hash = SD_RING_SIPHASH},
	    {.seed = 2, .hash = SD_RING_SIPHASH},
	    {.seed = 1, .hash = SD_RING_SIPHASH, .seed_high = 1},
	    {.hash = SD_RING_MD5},
	};
	struct sd_ring_node nodes[MAX];
	struct sd_ring *r[6];
	for (size_t i = 0; i < 10; i++)
		nodes[i] = node(i, 1);
	for (size_t i = 0; i < 6; i++)
		r[i] = build(&confs[i], nodes, 10);
	for (size_t a = 0; a < 6; a++)
		for (size_t b = 0; b < 6; b++) {
			int same = 0;
			for (uint64_t key = 0; key < 2000; key++)
				same += owner(r[a], key) == owner(r[b], key);
			ck_assert_msg(a == b ? same == 2000 : same < 400, "%zu and %zu: %d the same", a, b, same);
			ck_assert_int_eq(sd_ring_is(r[a], &confs[b], nodes, 10), a == b);
		}
	for (size_t i = 0; i < 6; i++)
		sd_ring_release(r[i]);
}
END_TEST

/* From the paper's code, run on paper for small numbers, and what other libraries agree on. */
START_TEST(jump_as_others_do)
{
	static const struct {
		uint64_t key;
		size_t buckets;
		int bucket;
	} known[] = {{0, 1, 0}, {1, 1, 0}, {1, 2, 0}, {256, 1024, 520}, {10863919174838991u, 11, 6}, {2016238256797177309u, 11, 3},
		     {1673758223894951030u, 11, 5}, {0xdeadbeef, 1000, 285}};
	static struct sd_ring_node nodes[1024];
	for (size_t i = 0; i < 1024; i++)
		nodes[i] = (struct sd_ring_node){.id = i, .weight = 1};
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		struct sd_ring *r = build(&(struct sd_ring_conf){.kind = SD_RING_JUMP}, nodes, known[i].buckets);
		int got = sd_ring_lookup(r, known[i].key);
		ck_assert_msg(got == known[i].bucket, "key %llu of %zu: %d", (unsigned long long)known[i].key,
			      known[i].buckets, got);
		sd_ring_release(r);
	}
}
END_TEST

/* Rings of the kinds must agree with those that other versions made. */
START_TEST(places_do_not_change)
{
	static const uint64_t digests[ALL] = {
	    0x2ed5a8289bed54ffu, 0x2ef86184ef9b8cd4u, 0xb7f1ad7ceda204b1u, 0x2190dceea3aa9a30u,
	    0x516da7f41406f90fu, 0x5e5b64b6479160f8u, 0xe1991cd5103e28c4u, 0x1ac488e687138029u,
	    0xc8eb3a8ce8472241u, 0x553d45e114d29adfu, 0x071e1c213bd8595cu, 0x071e1c213bd8595cu,
	    0x32749c6aacc95e6bu, 0x58599a45026b19b4u,
	};
	struct sd_ring_node nodes[MAX];
	uint64_t digest = 14695981039346656037u;
	for (size_t i = 0; i < 5; i++)
		nodes[i] = node(i, weight_of(&all[_i], i));
	struct sd_ring *r = build(&all[_i], nodes, 5);
	for (uint64_t key = 0; key < 4096; key++)
		digest = (digest ^ owner(r, key)) * 1099511628211u;
	ck_assert_msg(digest == digests[_i], "%d: 0x%016llx", _i, (unsigned long long)digest);
	sd_ring_release(r);
}
END_TEST

/* ---- edges ---- */

START_TEST(nobody_and_one)
{
	struct sd_ring_node nodes[2] = {node(0, 0), node(1, 0)};
	const struct sd_ring_conf *conf = &all[_i];
	int out[2];
	for (size_t n = 0; n <= 2; n++) {
		struct sd_ring *r = build(conf, nodes, n);
		ck_assert_int_eq(sd_ring_lookup(r, 7), -1);
		ck_assert_uint_eq(sd_ring_lookup_n(r, 7, out, 2), 0);
		ck_assert_uint_eq(sd_ring_points(r), 0);
		sd_ring_release(r);
	}
	nodes[1].weight = 1;
	struct sd_ring *r = build(conf, nodes, 2);
	for (uint64_t h = 0; h < 64; h++)
		ck_assert_int_eq(sd_ring_lookup(r, h << 58 | h), 1);
	ck_assert_int_eq(sd_ring_lookup(r, UINT64_MAX), 1);
	ck_assert_uint_eq(sd_ring_lookup_n(r, 7, out, 2), 1);
	ck_assert_double_eq(sd_ring_share(r, 1), 1);
	ck_assert_double_eq(sd_ring_share(r, 0), 0);
	sd_ring_release(r);
}
END_TEST

/* A weight so small that ketama gives it no point: it owns nothing, is never named, and nothing breaks. */
START_TEST(ketama_without_points)
{
	struct sd_ring_node nodes[] = {node(0, 100000), node(1, 1), node(2, 100000)};
	struct sd_ring_bound bound = {1.25, load_of, NULL};
	int out[3];
	memset(loads, 0, sizeof(loads));
	for (enum sd_ring_kind kind = SD_RING_LIBKETAMA; kind <= SD_RING_TWEMPROXY; kind++) {
		struct sd_ring *r = build(&(struct sd_ring_conf){.kind = kind}, nodes, 3);
		ck_assert_uint_eq(sd_ring_points_of(r, 1), 0);
		ck_assert_double_eq(sd_ring_share(r, 1), 0);
		ck_assert_uint_eq(sd_ring_lookup_n(r, 99, out, 3), 2);
		ck_assert_int_ne(sd_ring_lookup_bounded(r, 99, &bound), 1);
		sd_ring_release(r);
	}
}
END_TEST

static void refuses(struct sd_ring_conf conf, const struct sd_ring_node *nodes, size_t n, enum sd_err why)
{
	struct sd_ring *r = (void *)1;
	ck_assert_int_eq(sd_ring_build(&conf, nodes, n, &r), why);
	ck_assert_ptr_null(r);
}

START_TEST(refused)
{
	static char text[SD_RING_MAX_NAME + 2];
	struct sd_ring_node two[] = {node(0, 2), node(1, 1)}, ids[] = {{.id = 1, .weight = 1}};
	struct sd_ring_node same[] = {{.name = sd_slice_of("a"), .weight = 1}, {.name = sd_slice_of("a:11211"), .weight = 1}};
	struct sd_ring *r;
	refuses((struct sd_ring_conf){.kind = SD_RING_JUMP}, two, 2, SD_EINVAL);
	refuses((struct sd_ring_conf){.kind = SD_RING_MAGLEV, .slots = 65536}, two, 2, SD_EINVAL);
	refuses((struct sd_ring_conf){.kind = SD_RING_MAGLEV, .slots = 1}, two, 2, SD_EINVAL);
	refuses((struct sd_ring_conf){.kind = SD_RING_MAGLEV, .slots = SD_RING_MAX_POINTS + 1}, two, 2, SD_ERANGE);
	refuses((struct sd_ring_conf){.hash = SD_RING_MD5, .seed = 1}, two, 2, SD_EINVAL);
	refuses((struct sd_ring_conf){.hash = (enum sd_ring_hash_by)9}, two, 2, SD_EINVAL);
	refuses((struct sd_ring_conf){.hash = SD_RING_MD5}, ids, 1, SD_EINVAL);
	refuses((struct sd_ring_conf){.kind = SD_RING_NGINX}, ids, 1, SD_EINVAL);
	refuses((struct sd_ring_conf){.kind = SD_RING_TWEMPROXY}, same, 2, SD_EINVAL);
	r = build(&(struct sd_ring_conf){.kind = SD_RING_LIBKETAMA}, same, 2);
	sd_ring_release(r);
	memset(text, 'x', SD_RING_MAX_NAME + 1);
	two[0].name = (struct sd_slice){text, SD_RING_MAX_NAME + 1};
	refuses((struct sd_ring_conf){.kind = SD_RING_TEXTBOOK}, two, 2, SD_ERANGE);
	two[0].name.n--;
	r = build(&(struct sd_ring_conf){.kind = SD_RING_TEXTBOOK}, two, 2);
	sd_ring_release(r);
	two[0].weight = 50000;
	refuses((struct sd_ring_conf){.kind = SD_RING_NGINX}, two, 2, SD_ERANGE);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("ring kinds");
	TCase *t = tcase_create("ring kinds");
	tcase_set_timeout(t, 60);
	tcase_add_loop_test(t, only_the_moved_share_moves, 0, KEEPERS);
	tcase_add_loop_test(t, another_weight_moves_the_difference, 0, KEEPERS);
	tcase_add_loop_test(t, jump_moves_the_last_or_an_empty_one, JUMPS, ALL);
	tcase_add_test(t, control_modulo_moves_nearly_all);
	tcase_add_test(t, what_the_others_do_not_keep);
	tcase_add_loop_test(t, the_order_of_the_list, 0, ALL);
	tcase_add_loop_test(t, keys_lie_as_the_shares_say, 0, ALL);
	tcase_add_loop_test(t, shares_are_within_four_sigma, 0, ALL);
	tcase_add_test(t, slots_follow_the_weights);
	tcase_add_loop_test(t, n_distinct, 0, ALL);
	tcase_add_loop_test(t, the_next_one_takes_over, 0, KEEPERS);
	tcase_add_loop_test(t, replicas_go_to_other_zones_first, 0, ALL);
	tcase_add_loop_test(t, no_node_has_more_than_its_bound, 0, ALL);
	tcase_add_test(t, md5_is_md5);
	tcase_add_test(t, crc32_is_crc32);
	tcase_add_test(t, md5_places_can_be_checked_by_hand);
	tcase_add_test(t, keys_and_seeds_matter);
	tcase_add_test(t, jump_as_others_do);
	tcase_add_loop_test(t, places_do_not_change, 0, ALL);
	tcase_add_loop_test(t, nobody_and_one, 0, ALL);
	tcase_add_test(t, ketama_without_points);
	tcase_add_test(t, refused);
	suite_add_tcase(s, t);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
