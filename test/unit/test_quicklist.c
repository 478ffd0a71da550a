/* The chain of listpacks against an array of strings under the same random changes; its nodes hold what they may, and its memory
 * comes back. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../applets/cache/types/cache_quicklist.h"

#define MANY 3000

static struct sd_rng rng;
static struct cache_memory memory;
static struct quicklist *q;
static char *model[MANY + 1];
static size_t count;

static struct sd_slice a_value(void)
{
	static char bytes[20000];
	uint32_t kind = sd_rng_below(&rng, 100);
	size_t n = kind < 50 ? 0 : kind < 90 ? sd_rng_below(&rng, 30) : kind < 99 ? sd_rng_below(&rng, 300) : 9000 + sd_rng_below(&rng, 9000);
	if (kind < 50)
		n = (size_t)snprintf(bytes, sizeof(bytes), "%d", (int)sd_rng_next(&rng));
	else
		memset(bytes, 'a' + (int)kind % 7, n);
	bytes[n] = '\0';
	return (struct sd_slice){bytes, n};
}

static void model_insert(size_t i, struct sd_slice s)
{
	memmove(model + i + 1, model + i, (count - i) * sizeof(model[0]));
	model[i] = strdup(s.p);
	count++;
}

static void model_delete(size_t i, size_t n)
{
	for (size_t k = i; k < i + n; k++)
		free(model[k]);
	memmove(model + i, model + i + n, (count - i - n) * sizeof(model[0]));
	count -= n;
}

static bool nodes_are_sound(void)
{
	size_t sum = 0;
	const struct quicklist_node *prev = NULL;
	for (const struct quicklist_node *n = q->head; n; prev = n, n = n->next) {
		const unsigned char *lp = quicklist_pack(n);
		size_t k = sd_listpack_count(lp), bytes = sd_listpack_bytes(lp);
		if (n->prev != prev || k == 0 || n->start + bytes > n->room || !sd_listpack_validate(lp, bytes, NULL, NULL))
			return false;
		if (k > q->max_count || (bytes > q->max_bytes && k > 1) || n->room > 2 * bytes + 64 + q->max_bytes / 4)
			return false;
		sum += k;
	}
	return q->tail == prev && sum == q->count;
}

static bool same(struct quicklist_at at, size_t i)
{
	char text[SD_LISTPACK_TEXT];
	struct sd_slice s = quicklist_text(at, text);
	return s.n == strlen(model[i]) && memcmp(s.p, model[i], s.n) == 0;
}

static void compare(void)
{
	size_t i = 0, back = count;
	bool fits = q->count == count && nodes_are_sound();
	for (struct quicklist_at at = quicklist_seek(q, 0); at.node && i < count; at = quicklist_next(at))
		fits &= same(at, i++);
	for (struct quicklist_at at = quicklist_seek(q, -1); at.node && back; at = quicklist_prev(at))
		fits &= same(at, --back);
	fits &= i == count && back == 0 && !quicklist_seek(q, (int64_t)count).node && !quicklist_seek(q, -1 - (int64_t)count).node;
	for (int k = 0; k < 3 && count; k++) {
		i = sd_rng_below(&rng, (uint32_t)count);
		fits &= same(quicklist_seek(q, (int64_t)i), i) && same(quicklist_seek(q, (int64_t)i - (int64_t)count), i);
	}
	ck_assert(fits);
}

static bool neighbours_fit(struct quicklist_at at, size_t i, bool back)
{
	if (back)
		return i == 0 ? !at.node : at.node && same(at, i - 1);
	return i == count ? !at.node : at.node && same(at, i);
}

static void grow(void)
{
	struct sd_slice s = a_value();
	size_t i = count ? sd_rng_below(&rng, (uint32_t)count) : 0;
	bool front = sd_rng_below(&rng, 2);
	if (count == 0 || sd_rng_below(&rng, 3)) {
		ck_assert(quicklist_push(&memory, q, s, front));
		model_insert(front ? 0 : count, s);
	} else {
		ck_assert(quicklist_insert(&memory, q, quicklist_seek(q, (int64_t)i), s, !front));
		model_insert(i + !front, s);
	}
}

static void shrink(void)
{
	size_t i = sd_rng_below(&rng, (uint32_t)count), n = count - i;
	bool front = sd_rng_below(&rng, 2);
	switch (sd_rng_below(&rng, 30)) {
	case 0:
		n = n > 40 ? 40 : n;
		quicklist_delete(&memory, q, i, n);
		model_delete(i, n);
		break;
	case 1 ... 10: {
		struct quicklist_at at = quicklist_remove(&memory, q, quicklist_seek(q, (int64_t)i), front);
		model_delete(i, 1);
		ck_assert(neighbours_fit(at, i, front));
		break;
	}
	default:
		quicklist_pop(&memory, q, front);
		model_delete(front ? 0 : count - 1, 1);
	}
}

static void change_one(bool more)
{
	if (count == 0 || (count < MANY && sd_rng_below(&rng, 10) < (more ? 7 : 3))) {
		grow();
	} else if (sd_rng_below(&rng, 4)) {
		shrink();
	} else {
		struct sd_slice s = a_value();
		size_t i = sd_rng_below(&rng, (uint32_t)count);
		ck_assert(quicklist_replace(&memory, q, (int64_t)i - (sd_rng_below(&rng, 2) ? (int64_t)count : 0), s));
		free(model[i]);
		model[i] = strdup(s.p);
	}
}

static const int64_t fills[] = {-2, -2, -1, -5, 1, 3, 0, 128};

START_TEST(as_an_array)
{
	sd_rng_seed(&rng, (uint64_t)_i + 1);
	q = quicklist_new(&memory, fills[_i]);
	for (int i = 0; i < 20000; i++) {
		change_one(i / 3000 % 2 == 0);
		if (i % 16 == 0)
			compare();
	}
	compare();
	struct quicklist *was = q;
	q = quicklist_copy(&memory, was);
	quicklist_free(&memory, was);
	compare();
	quicklist_delete(&memory, q, 0, count);
	ck_assert(!q->head && !q->tail && q->count == 0);
	quicklist_free(&memory, q);
	ck_assert_uint_eq(memory.used, 0);
	model_delete(0, count);
}
END_TEST

/* A queue that stays short takes little memory, however many go through it; one that was long gives it back. */
START_TEST(memory_of_queues)
{
	for (int front = 0; front < 2; front++) {
		q = quicklist_new(&memory, -2);
		for (int i = 0; i < 100000; i++) {
			ck_assert(quicklist_push(&memory, q, sd_slice_of("12345678"), front));
			if (i >= 10)
				quicklist_pop(&memory, q, !front);
		}
		ck_assert_uint_eq(q->count, 10);
		ck_assert_uint_le(memory.used, 400);
		for (int i = 0; i < 100000; i++)
			ck_assert(quicklist_push(&memory, q, sd_slice_of("12345678"), front));
		ck_assert_uint_le(memory.used, 100010 * 6 * 21 / 20);
		while (q->count > 10)
			quicklist_pop(&memory, q, front);
		ck_assert_uint_le(memory.used, 400);
		quicklist_free(&memory, q);
	}
	ck_assert_uint_eq(memory.used, 0);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("quicklist");
	TCase *t = tcase_create("quicklist");
	tcase_set_timeout(t, 120);
	tcase_add_loop_test(t, as_an_array, 0, sizeof(fills) / sizeof(fills[0]));
	tcase_add_test(t, memory_of_queues);
	suite_add_tcase(s, t);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
