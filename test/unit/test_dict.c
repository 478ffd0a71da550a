/* The table against a plain list of the same operations, and scans while it changes its size. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/dict.h"

#ifdef SD_SANITIZED /* memory and rules of C are looked at; what comes out of many more steps is looked at in the plain build */
#define STEPS 20000
#else
#define STEPS 60000
#endif

struct thing {
	struct sd_dict_entry e;
	uint32_t number;
	uint32_t seen;
	char key[16];
};

static const struct sd_siphash_key key = {1, 2};
#define MANY 5000
static struct thing *things[MANY];
static struct sd_dict d;
static struct sd_rng rng;

static void setup(void)
{
	sd_dict_init(&d, offsetof(struct thing, key), &key);
	memset(things, 0, sizeof(things));
}

static void teardown(void)
{
	for (int i = 0; i < MANY; i++)
		free(things[i]);
	sd_dict_free(&d);
}

static struct sd_slice key_of(uint32_t i, char text[16])
{
	return (struct sd_slice){text, (size_t)snprintf(text, 16, "key:%u", i)};
}

static struct thing *find(uint32_t i)
{
	char text[16];
	struct sd_slice k = key_of(i, text);
	return (struct thing *)sd_dict_find(&d, k, sd_dict_hash(&d, k));
}

static void add(uint32_t i)
{
	struct thing *t = calloc(1, sizeof(*t));
	struct sd_slice k = key_of(i, t->key);
	t->e.hash = sd_dict_hash(&d, k);
	t->e.klen = (uint32_t)k.n;
	t->number = i;
	things[i] = t;
	ck_assert(sd_dict_add(&d, &t->e));
}

static void take_out(uint32_t i)
{
	sd_dict_remove(&d, &things[i]->e);
	free(things[i]);
	things[i] = NULL;
}

START_TEST(as_a_list)
{
	size_t n = 0;
	sd_rng_seed(&rng, (uint64_t)_i);
	for (int k = 0; k < STEPS; k++) {
		uint32_t i = sd_rng_below(&rng, MANY);
		/* mostly in, then mostly out, so that it grows and shrinks */
		bool in = sd_rng_below(&rng, 10) < (k / (STEPS / 4) % 2 ? 2 : 8);
		ck_assert_ptr_eq(find(i), things[i]);
		if (in && !things[i]) {
			add(i);
			n++;
		} else if (!in && things[i]) {
			take_out(i);
			n--;
		} else if (things[i] && sd_rng_below(&rng, 4) == 0) {
			struct thing *was = things[i], *is = malloc(sizeof(*is));
			memcpy(is, was, sizeof(*is));
			sd_dict_moved(&d, (uintptr_t)&was->e, &is->e);
			free(was);
			things[i] = is;
		}
		ck_assert_uint_eq(sd_dict_count(&d), n);
		if (k % 5000 == 0) {
			struct sd_dict_entry *e = sd_dict_random(&d, &rng);
			ck_assert(!e || things[((struct thing *)e)->number] == (struct thing *)e);
		}
	}
	ck_assert_uint_le(sd_dict_memory(&d), 64 + n * 8 * 8 * 3);
}
END_TEST

static void see(void *arg, struct sd_dict_entry *e)
{
	(void)arg;
	((struct thing *)e)->seen++;
}

/* What is there all the time is seen; others come and go, and the table doubles and halves under the scan. */
START_TEST(scan_sees_all)
{
	uint64_t cursor = 0;
	uint32_t other = 1000;
	sd_rng_seed(&rng, (uint64_t)_i);
	for (uint32_t i = 0; i < 1000; i++)
		add(i);
	do {
		cursor = sd_dict_scan(&d, cursor, see, NULL);
		for (int k = 0; k < 6; k++) {
			if (_i % 2 && other < MANY && !things[other])
				add(other++);
			uint32_t out = 500 + sd_rng_below(&rng, 500);
			if (_i % 2 == 0 && things[out])
				take_out(out);
		}
	} while (cursor);
	for (uint32_t i = 0; i < (_i % 2 ? 1000u : 500u); i++)
		ck_assert_msg(things[i]->seen > 0, "key:%u was not seen", i);
}
END_TEST

/* At every size on the way up, with a move under way or not, each entry comes once, also when it is looked for meanwhile. */
/* All entries of a hash, and no other; also while the table grows and shrinks. */
START_TEST(by_hash_alone)
{
	for (uint32_t i = 0; i < MANY; i++) {
		struct thing *t = calloc(1, sizeof(*t));
		t->e.hash = i % 1700 * 2654435761u;
		t->e.klen = 4;
		memcpy(t->key, &i, 4);
		things[i] = t;
		ck_assert(sd_dict_add(&d, &t->e));
		uint32_t n = 0;
		for (struct sd_dict_entry *e = NULL; (e = sd_dict_with_hash(&d, t->e.hash, e)); n++)
			ck_assert_uint_eq(e->hash, t->e.hash);
		ck_assert_uint_eq(n, i / 1700 + 1);
	}
	ck_assert_ptr_null(sd_dict_with_hash(&d, 1, NULL));
	for (uint32_t i = 0; i < MANY; i++) {
		ck_assert_ptr_nonnull(sd_dict_with_hash(&d, things[i]->e.hash, NULL));
		take_out(i);
		things[i] = NULL;
	}
	ck_assert_ptr_null(sd_dict_with_hash(&d, 0, NULL));
}
END_TEST

START_TEST(one_after_another)
{
	for (uint32_t i = 0; i < 700; i++) {
		struct sd_dict_iter it;
		size_t n = 0;
		sd_dict_iter_begin(&d, &it);
		for (struct thing *t; (t = (struct thing *)sd_dict_iter_next(&d, &it)); n++) {
			ck_assert_uint_eq(t->seen++, i - t->number - 1);
			ck_assert_ptr_eq(find(t->number), t);
		}
		sd_dict_iter_end(&d);
		ck_assert_uint_eq(n, i);
		add(i);
	}
}
END_TEST

static void drop(void *arg, struct sd_dict_entry *e)
{
	(void)arg;
	take_out(((struct thing *)e)->number);
}

START_TEST(removed_while_given)
{
	for (uint32_t i = 0; i < MANY; i++)
		add(i);
	uint64_t cursor = 0;
	do
		cursor = sd_dict_scan(&d, cursor, drop, NULL);
	while (cursor);
	ck_assert_uint_eq(sd_dict_count(&d), 0);
	for (uint32_t i = 0; i < MANY; i++)
		add(i);
	sd_dict_each(&d, drop, NULL);
	ck_assert_uint_eq(sd_dict_count(&d), 0);
	ck_assert_ptr_null(sd_dict_random(&d, &rng));
}
END_TEST

/* Emptied a part at a time, also in the middle of a change of size: each comes once, and no part looks at more than it may. */
START_TEST(taken_in_parts)
{
	static const uint32_t counts[] = {0, 1, 63, 64, 65, 100, 3000, MANY};
	for (size_t k = 0; k < sizeof(counts) / sizeof(counts[0]); k++) {
		uint32_t n = counts[k], left = n, parts = 0;
		setup();
		for (uint32_t i = 0; i < n; i++)
			add(i);
		for (uint32_t i = 0; i < n && k % 2; i += i % 8 ? 1 : 2) { /* few in a large table */
			take_out(i);
			left--;
		}
		for (; sd_dict_count(&d); parts++) {
			size_t most = 10, was;
			struct sd_dict_entry *e;
			while (was = most, (e = sd_dict_take(&d, &most))) {
				struct thing *t = (struct thing *)e;
				ck_assert_uint_lt(most, was);
				ck_assert_ptr_eq(things[t->number], t);
				things[t->number] = NULL;
				free(t);
				left--;
			}
			ck_assert(most == 0 || sd_dict_count(&d) == 0);
		}
		ck_assert_uint_eq(left, 0);
		ck_assert_uint_le(parts, n / 10 + 8 * n / 16 / 10 + 2);
		teardown();
	}
}
END_TEST

/* Every entry has its chance: of 100, in 100,000 draws each comes 1,000 times, sigma 31; buckets are not equally full, so
 * the bound is wide. */
START_TEST(random_is_fair)
{
	for (uint32_t i = 0; i < 100; i++)
		add(i);
	while (sd_dict_step(&d, 10))
		;
	sd_rng_seed(&rng, 1);
	for (int k = 0; k < 100000; k++)
		((struct thing *)sd_dict_random(&d, &rng))->seen++;
	for (uint32_t i = 0; i < 100; i++)
		ck_assert_msg(things[i]->seen > 700 && things[i]->seen < 1300, "%u: %u", i, things[i]->seen);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("dict");
	TCase *t = tcase_create("dict");
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 60);
	tcase_add_loop_test(t, as_a_list, 0, 4);
	tcase_add_loop_test(t, scan_sees_all, 0, 20);
	tcase_add_test(t, by_hash_alone);
	tcase_add_test(t, one_after_another);
	tcase_add_test(t, removed_while_given);
	tcase_add_test(t, taken_in_parts);
	tcase_add_test(t, random_is_fair);
	suite_add_tcase(s, t);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
