/* Slots of keys as Redis Cluster has them, and what a node that comes or goes moves. */
#include <check.h>
#include <stdlib.h>

#include "core/rng.h"
#include "core/slots.h"

START_TEST(slots_of_keys)
{
	static const struct {
		const char *key;
		unsigned slot;
	} known[] = { /* CLUSTER KEYSLOT of redis-server 7.0 */
	    {"foo", 12182}, {"bar", 5061}, {"hello", 866}, {"somekey", 11058}, {"foo{hash_tag}", 2515}, {"bar{hash_tag}", 2515},
	    {"{user1000}.following", 3443}, {"{user1000}.followers", 3443}, {"foo{}{bar}", 8363}, {"foo{{bar}}zap", 4015},
	    {"foo{bar}{zap}", 5061}, {"", 0},
	};
	ck_assert_uint_eq(sd_crc16("123456789", 9), 0x31C3);
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		ck_assert_msg(sd_slot_of(sd_slice_of(known[i].key)) == known[i].slot, "%s: %u", known[i].key,
			      sd_slot_of(sd_slice_of(known[i].key)));
	ck_assert_uint_eq(sd_slot_of(sd_slice_of("a{")), sd_crc16("a{", 2) % SD_SLOTS);
	ck_assert_uint_eq(sd_slot_of(sd_slice_of("a{b")), sd_crc16("a{b", 3) % SD_SLOTS);
	ck_assert_uint_eq(sd_slot_of((struct sd_slice){"{\0}", 3}), sd_crc16("\0", 1) % SD_SLOTS);
}
END_TEST

#define MOST 40
#ifdef SD_SANITIZED
#define STEP 15
#define RUNS 2
#else
#define STEP 5
#define RUNS 4
#endif
static char names[MOST][41];
static struct sd_slots_node nodes[MOST];

static void make_nodes(uint64_t seed)
{
	struct sd_rng rng;
	sd_rng_seed(&rng, seed);
	for (int i = 0; i < MOST; i++) {
		for (int k = 0; k < 40; k++)
			names[i][k] = "0123456789abcdef"[sd_rng_below(&rng, 16)];
		nodes[i] = (struct sd_slots_node){{names[i], 40}, 1};
	}
}

static struct sd_slots make(size_t n, unsigned copies, double bound)
{
	struct sd_slots m;
	ck_assert_int_eq(sd_slots_make(&(struct sd_slots_conf){copies, 0, bound}, nodes, n, &m), SD_OK);
	return m;
}

/* Without a bound nothing moves but to the one that comes, or from the one that goes; and its slots go to who had their copies. */
START_TEST(who_comes_takes_only_its_share)
{
	for (size_t n = 1; n < 12; n++) {
		make_nodes((uint64_t)_i * 100 + n);
		struct sd_slots few = make(n, 3, 0), more = make(n + 1, 3, 0);
		size_t moved = 0;
		for (unsigned s = 0; s < SD_SLOTS; s++) {
			uint16_t before = sd_slots_owner(&few, s), now = sd_slots_owner(&more, s);
			moved += before != now;
			ck_assert(before == now || now == n);
			if (before != now)
				ck_assert_uint_eq(sd_slots_owners(&more, s)[1], before);
		}
		/* four sigma of the share of 160 points among 160 (n + 1) */
		double share = 1.0 / (double)(n + 1), sigma = share * (1 - share) / 12.6;
		ck_assert_double_eq_tol((double)moved / SD_SLOTS, share, 4 * sigma + 0.001);
		sd_slots_free(&few);
		sd_slots_free(&more);
	}
}
END_TEST

START_TEST(a_bound_holds_and_moves_little_more)
{
	for (size_t n = 2; n < MOST - 1; n += STEP) {
		make_nodes((uint64_t)_i * 1000 + n);
		struct sd_slots few = make(n, 2, 1.05), more = make(n + 1, 2, 1.05);
		size_t between = 0, load[MOST] = {0};
		for (unsigned s = 0; s < SD_SLOTS; s++) {
			uint16_t before = sd_slots_owner(&few, s), now = sd_slots_owner(&more, s);
			ck_assert_uint_lt(before, MOST);
			load[before]++;
			between += before != now && now != n;
			ck_assert_uint_ne(sd_slots_owners(&few, s)[0], sd_slots_owners(&few, s)[1]);
		}
		for (size_t i = 0; i < n; i++) {
			ck_assert_double_le((double)load[i], SD_SLOTS * 1.05 / (double)n + 1);
			ck_assert_uint_eq(load[i], sd_slots_count(&few, (uint16_t)i));
		}
		ck_assert_uint_le(between, SD_SLOTS / 20);
		sd_slots_free(&few);
		sd_slots_free(&more);
	}
}
END_TEST

START_TEST(the_order_of_nodes_does_not_matter)
{
	make_nodes((uint64_t)_i);
	struct sd_slots a = make(9, 3, 1.05);
	for (int i = 0; i < 4; i++) {
		struct sd_slots_node t = nodes[i];
		nodes[i] = nodes[8 - i];
		nodes[8 - i] = t;
	}
	struct sd_slots b = make(9, 3, 1.05);
	for (unsigned s = 0; s < SD_SLOTS; s++)
		for (unsigned k = 0; k < 3; k++)
			ck_assert_uint_eq(sd_slots_owners(&a, s)[k], 8 - sd_slots_owners(&b, s)[k]);
	sd_slots_free(&a);
	sd_slots_free(&b);
}
END_TEST

START_TEST(weights)
{
	make_nodes(7);
	nodes[1].weight = 3;
	nodes[2].weight = 0;
	struct sd_slots m = make(4, 2, 1.05);
	ck_assert_uint_eq(sd_slots_count(&m, 2), 0);
	ck_assert_double_eq_tol((double)sd_slots_count(&m, 1) / SD_SLOTS, 0.6, 0.06);
	for (unsigned s = 0; s < SD_SLOTS; s++)
		ck_assert_int_eq(sd_slots_rank(&m, s, 2), -1);
	sd_slots_free(&m);
}
END_TEST

START_TEST(few_nodes_and_ranges)
{
	const uint16_t *owners;
	uint16_t owner;
	make_nodes(3);
	struct sd_slots none = make(0, 3, 1.05), one = make(1, 3, 1.05), three = make(3, 2, 1.05);
	ck_assert_uint_eq(sd_slots_owner(&none, 5), SD_SLOTS_NONE);
	ck_assert_uint_eq(sd_slots_range(&one, 0, &owners), SD_SLOTS);
	ck_assert(owners[0] == 0 && owners[1] == SD_SLOTS_NONE && owners[2] == SD_SLOTS_NONE);
	size_t ranges = 0;
	for (unsigned s = 0, to; s < SD_SLOTS; s = to, ranges++) {
		to = sd_slots_range(&three, s, &owners);
		for (unsigned k = s; k < to; k++)
			ck_assert_int_eq(memcmp(sd_slots_owners(&three, k), owners, 4), 0);
		ck_assert_uint_ge(sd_slots_range_of_owner(&three, s, &owner), to);
		ck_assert_uint_eq(owner, owners[0]);
	}
	ck_assert_uint_le(ranges, 3 * 160 * 2); /* what CLUSTER SLOTS has to say stays small */
	nodes[1] = nodes[0];
	struct sd_slots bad;
	ck_assert_int_eq(sd_slots_make(&(struct sd_slots_conf){1, 0, 0}, nodes, 2, &bad), SD_EINVAL);
	ck_assert_int_eq(sd_slots_make(&(struct sd_slots_conf){0, 0, 0}, nodes, 1, &bad), SD_ERANGE);
	ck_assert_int_eq(sd_slots_make(&(struct sd_slots_conf){9, 0, 0}, nodes, 1, &bad), SD_ERANGE);
	sd_slots_free(&none);
	sd_slots_free(&one);
	sd_slots_free(&three);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("slots");
	TCase *t = tcase_create("slots");
	tcase_set_timeout(t, 120);
	tcase_add_test(t, slots_of_keys);
	tcase_add_loop_test(t, who_comes_takes_only_its_share, 0, RUNS);
	tcase_add_loop_test(t, a_bound_holds_and_moves_little_more, 0, RUNS);
	tcase_add_loop_test(t, the_order_of_nodes_does_not_matter, 0, RUNS);
	tcase_add_test(t, weights);
	tcase_add_test(t, few_nodes_and_ranges);
	suite_add_tcase(s, t);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
