/* S3-FIFO on hashes in chunks beside a plain one with linked lists and a perfect memory: the same traces, hit for hit nearly. */
#include <check.h>
#include <math.h>
#include <stdlib.h>

#include "core/list.h"
#include "core/mix.h"
#include "core/rng.h"
#include "core/s3fifo.h"

#define KEYS 20000
#ifdef SD_SANITIZED
#define STEPS 100000
#define FROM_CASE 2 /* with deletions */
#define TO_CASE 4
#else
#define STEPS 400000
#define FROM_CASE 0
#define TO_CASE 5
#endif

struct item {
	bool in, main;
	unsigned freq;
	uint32_t size;
};

/* ---- the one under test, in a cache of so many bytes ---- */

struct cache {
	struct sd_s3fifo q;
	struct item items[KEYS];
	uint64_t used, room;
	size_t n, hits, longest;
};

static uint32_t hash_of(uint32_t key)
{
	return (uint32_t)sd_mix(key + 1);
}

/* From hash to key; what a dictionary does. */
static uint32_t key_of(const uint32_t *keys, uint32_t hash)
{
	uint32_t i = hash & 0xffff;
	while (hash_of(keys[i]) != hash)
		i = (i + 1) & 0xffff;
	return keys[i];
}

static const uint32_t *all_keys(void)
{
	static uint32_t keys[0x10000];
	static bool done;
	for (uint32_t i = 0; i < 0x10000 && !done; i++)
		keys[i] = UINT32_MAX;
	for (uint32_t k = 0; k < KEYS && !done; k++) {
		uint32_t i = hash_of(k) & 0xffff;
		while (keys[i] != UINT32_MAX)
			i = (i + 1) & 0xffff;
		keys[i] = k;
	}
	done = true;
	return keys;
}

static void leave(struct cache *c, struct item *it)
{
	it->in = false;
	c->used -= it->size;
	c->n--;
}

static bool evict_one(struct cache *c)
{
	struct sd_s3fifo_entry e;
	for (size_t looked = 1; sd_s3fifo_next(&c->q, &e); looked++) {
		struct item *it = &c->items[key_of(all_keys(), e.hash)];
		if (!it->in || it->main != e.main)
			continue;
		if (sd_s3fifo_keep(&c->q, &e, &it->freq, it->size)) {
			it->main = true;
			continue;
		}
		c->longest = looked > c->longest ? looked : c->longest;
		leave(c, it);
		return true;
	}
	return false;
}

static void get(struct cache *c, uint32_t key, uint32_t size)
{
	struct item *it = &c->items[key];
	if (it->in) {
		c->hits++;
		it->freq = sd_s3fifo_read(it->freq);
		return;
	}
	while (c->used + size > c->room)
		ck_assert(evict_one(c));
	*it = (struct item){.in = true, .size = size, .main = sd_s3fifo_insert(&c->q, hash_of(key), size)};
	c->used += size;
	c->n++;
}

static void del(struct cache *c, uint32_t key)
{
	struct item *it = &c->items[key];
	if (!it->in)
		return;
	sd_s3fifo_remove(&c->q, hash_of(key), it->main);
	leave(c, it);
}

static struct cache *cache_new(uint64_t room)
{
	struct cache *c = calloc(1, sizeof(*c));
	sd_s3fifo_init(&c->q);
	c->room = room;
	return c;
}

static void cache_end(struct cache *c)
{
	sd_s3fifo_free(&c->q);
	free(c);
}

/* ---- the plain one ---- */

struct plain_item {
	struct sd_link link;
	struct item i;
	uint64_t ghost; /* number of the eviction from small; 0: none */
};

struct plain {
	struct plain_item items[KEYS];
	struct sd_link queues[2];
	uint64_t bytes[2], room, ghosts;
	size_t n, hits;
};

static void plain_queue(struct plain *p, struct plain_item *it, bool main)
{
	it->i.main = main;
	sd_list_add(&p->queues[main], &it->link);
	p->bytes[main] += it->i.size;
}

static void plain_leave(struct plain *p, struct plain_item *it)
{
	sd_list_del(&it->link);
	p->bytes[it->i.main] -= it->i.size;
}

static void plain_evict(struct plain *p)
{
	for (;;) {
		bool small = p->bytes[0] && (p->bytes[0] * 10 >= p->bytes[0] + p->bytes[1] || !p->bytes[1]);
		struct plain_item *it = sd_container(p->queues[!small].next, struct plain_item, link);
		plain_leave(p, it);
		if (small ? it->i.freq > 1 : it->i.freq > 0) {
			it->i.freq = small ? 0 : it->i.freq - 1;
			plain_queue(p, it, true);
			continue;
		}
		it->i.in = false;
		p->n--;
		if (small)
			it->ghost = ++p->ghosts;
		return;
	}
}

static void plain_get(struct plain *p, uint32_t key, uint32_t size)
{
	struct plain_item *it = &p->items[key];
	if (it->i.in) {
		p->hits++;
		it->i.freq += it->i.freq < 3;
		return;
	}
	while (p->bytes[0] + p->bytes[1] + size > p->room)
		plain_evict(p);
	bool known = it->ghost && p->ghosts - it->ghost < p->n;
	it->ghost = 0;
	it->i = (struct item){.in = true, .size = size};
	plain_queue(p, it, known);
	p->n++;
}

static void plain_del(struct plain *p, uint32_t key)
{
	struct plain_item *it = &p->items[key];
	if (!it->i.in)
		return;
	plain_leave(p, it);
	it->i.in = false;
	p->n--;
}

static struct plain *plain_new(uint64_t room)
{
	struct plain *p = calloc(1, sizeof(*p));
	sd_list_init(&p->queues[0]);
	sd_list_init(&p->queues[1]);
	p->room = room;
	return p;
}

/* ---- traces ---- */

/* Zipf with exponent 1 nearly: keys^u is so spread. */
static uint32_t some_key(struct sd_rng *rng)
{
	return (uint32_t)pow(KEYS / 2, sd_rng_unit(rng)) - 1;
}

struct trace {
	struct sd_rng rng;
	unsigned deletes; /* of a thousand */
	uint32_t sizes;   /* up to */
	uint32_t scan;    /* the next key of a scan; 0: none */
};

static uint32_t next_key(struct trace *t)
{
	if (!t->scan && sd_rng_below(&t->rng, 20000) == 0)
		t->scan = KEYS / 2;
	if (!t->scan || sd_rng_below(&t->rng, 2))
		return some_key(&t->rng);
	uint32_t k = t->scan++;
	if (t->scan == KEYS)
		t->scan = 0;
	return k;
}

static double both(struct trace t, uint64_t room, double *plain_ratio)
{
	struct cache *c = cache_new(room);
	struct plain *p = plain_new(room);
	size_t gets = 0;
	for (int i = 0; i < STEPS; i++) {
		uint32_t key = next_key(&t), size = 20 + hash_of(key ^ 77) % t.sizes;
		if (sd_rng_below(&t.rng, 1000) < t.deletes) {
			del(c, key);
			plain_del(p, key);
			continue;
		}
		gets++;
		get(c, key, size);
		plain_get(p, key, size);
		ck_assert_uint_le(c->used, room);
	}
	ck_assert_uint_ge(sd_s3fifo_count(&c->q), c->n);
	double ratio = (double)c->hits / (double)gets;
	*plain_ratio = (double)p->hits / (double)gets;
	cache_end(c);
	free(p);
	return ratio;
}

START_TEST(as_the_plain_one)
{
	static const struct {
		unsigned deletes;
		uint32_t sizes;
		uint64_t room;
	} cases[] = {{0, 1, 20 * 1000}, {0, 1000, 520 * 1000}, {50, 1, 20 * 1000}, {300, 300, 170 * 1000}, {0, 1, 20 * 100}};
	struct trace t = {.deletes = cases[_i].deletes, .sizes = cases[_i].sizes};
	double plain;
	sd_rng_seed(&t.rng, (uint64_t)_i + 1);
	double ours = both(t, cases[_i].room, &plain);
	ck_assert_msg(fabs(ours - plain) < 0.004, "hit ratio %.4f, of the plain one %.4f", ours, plain);
}
END_TEST

/* ---- the ghost ---- */

START_TEST(ghost_remembers_so_many)
{
	struct sd_ghost g;
	sd_ghost_init(&g);
	ck_assert(!sd_ghost_take(&g, 5));
	for (uint32_t i = 0; i < 50000; i++)
		sd_ghost_insert(&g, hash_of(i), 10000);
	size_t late = 0, early = 0, never = 0;
	for (uint32_t i = 0; i < 9000; i++) {
		late += sd_ghost_take(&g, hash_of(49999 - i));
		early += sd_ghost_take(&g, hash_of(39000 - i));
		never += sd_ghost_take(&g, hash_of(100000 + i));
	}
	ck_assert_uint_ge(late, 8800);
	ck_assert_uint_le(early, 100);
	ck_assert_uint_le(never, 100);
	ck_assert_uint_le(sd_ghost_memory(&g), 10000 * 4);
	/* what was taken is forgotten */
	size_t again = 0;
	for (uint32_t i = 0; i < 9000; i++)
		again += sd_ghost_take(&g, hash_of(49999 - i));
	ck_assert_uint_le(again, 100);
	sd_ghost_free(&g);
}
END_TEST

START_TEST(ghost_survives_another_size)
{
	struct sd_ghost g;
	sd_ghost_init(&g);
	for (uint32_t i = 0; i < 5000; i++)
		sd_ghost_insert(&g, hash_of(i), 5000);
	size_t small = sd_ghost_memory(&g);
	for (uint32_t i = 5000; i < 6000; i++)
		sd_ghost_insert(&g, hash_of(i), 20000);
	ck_assert(sd_ghost_take(&g, hash_of(5500)));
	size_t known = 0;
	for (uint32_t i = 1500; i < 5000; i++)
		known += sd_ghost_take(&g, hash_of(i));
	ck_assert_uint_ge(known, 3400);
	for (uint32_t i = 0; i < 100000; i++)
		sd_ghost_insert(&g, hash_of(i), 1000);
	ck_assert_uint_lt(sd_ghost_memory(&g), small);
	sd_ghost_free(&g);
}
END_TEST

START_TEST(what_came_back_is_in_main)
{
	struct cache *c = cache_new(100 * 10);
	for (uint32_t k = 0; k < 150; k++)
		get(c, k, 10);
	ck_assert(!c->items[20].in);
	get(c, 20, 10);
	ck_assert(c->items[20].in && c->items[20].main);
	get(c, 9999, 10);
	ck_assert(!c->items[9999].main);
	cache_end(c);
}
END_TEST

START_TEST(read_twice_stays)
{
	struct cache *c = cache_new(100 * 10);
	for (uint32_t k = 0; k < 100; k++)
		get(c, k, 10);
	get(c, 0, 10);
	get(c, 1, 10);
	get(c, 1, 10);
	for (uint32_t k = 100; k < 300; k++)
		get(c, k, 10);
	ck_assert(!c->items[0].in);
	ck_assert(c->items[1].in && c->items[1].main);
	ck_assert_uint_eq(c->items[1].freq, 0);
	cache_end(c);
}
END_TEST

/* ---- deletions ---- */

/* An entry of what was deleted is not the entry of what has its key later. */
START_TEST(deleted_and_put_back_begins_anew)
{
	struct cache *c = cache_new(10 * 100);
	get(c, 1, 100);
	for (uint32_t k = 2; k <= 10; k++)
		get(c, k, 100);
	del(c, 1);
	get(c, 1, 100);
	get(c, 11, 100);
	ck_assert(c->items[1].in);
	ck_assert(!c->items[2].in);
	for (uint32_t k = 3; k <= 10; k++) {
		ck_assert(c->items[k].in);
		get(c, 10 + k, 100);
		ck_assert(!c->items[k].in);
	}
	ck_assert(c->items[1].in);
	get(c, 30, 100);
	ck_assert(!c->items[1].in);
	cache_end(c);
}
END_TEST

/* Entries of what is gone do not gather, whatever goes and comes back, and all that is there can still be evicted. */
START_TEST(deletions_leave_little)
{
	struct cache *c = cache_new(1ull << 40);
	struct sd_rng rng;
	uint32_t range = _i == 0 ? 1 : _i == 1 ? 300 : KEYS;
	sd_rng_seed(&rng, 3);
	for (uint32_t k = 0; k < 3000; k++)
		get(c, k, 50);
	for (int i = 0; i < 500000; i++) {
		uint32_t k = sd_rng_below(&rng, range);
		if (sd_rng_below(&rng, 2))
			get(c, k, 50);
		else
			del(c, k);
		ck_assert_uint_le(sd_s3fifo_count(&c->q), c->n + c->n / 4 + 700);
	}
	ck_assert_uint_le(sd_s3fifo_memory(&c->q), 40 * c->n + 40000);
	while (evict_one(c))
		;
	ck_assert_uint_eq(c->n, 0);
	ck_assert_uint_eq(c->used, 0);
	ck_assert_uint_eq(c->q.queues[0].bytes + c->q.queues[1].bytes, 0);
	cache_end(c);
}
END_TEST

/* ---- bounds ---- */

START_TEST(nobody_waits_for_all_of_main)
{
	struct cache *c = cache_new(1000 * 10);
	for (uint32_t k = 0; k < 1000; k++)
		get(c, k, 10);
	for (int again = 0; again < 4; again++)
		for (uint32_t k = 0; k < 1000; k++)
			get(c, k, 10);
	while (c->q.queues[0].n > 110) {
		struct sd_s3fifo_entry e;
		ck_assert(sd_s3fifo_next(&c->q, &e));
		struct item *it = &c->items[key_of(all_keys(), e.hash)];
		ck_assert(sd_s3fifo_keep(&c->q, &e, &it->freq, 10));
		it->main = true;
	}
	for (uint32_t k = 0; k < 1000; k++)
		c->items[k].freq = 3;
	for (uint32_t k = 2000; k < 3000; k++)
		get(c, k, 10);
	ck_assert_uint_gt(c->longest, SD_S3FIFO_TURNS);
	ck_assert_uint_le(c->longest, SD_S3FIFO_TURNS + 101);
	cache_end(c);
}
END_TEST

/* Ten large values that nobody reads again are a small part of the items, but not of the bytes: they do not empty main. */
START_TEST(large_values_pass_through)
{
	struct cache *c = cache_new(100000);
	for (int again = 0; again < 4; again++)
		for (uint32_t k = 0; k < 900; k++)
			get(c, k, 100);
	for (uint32_t k = 5000; k < 5200; k++)
		get(c, k, 8000);
	size_t left = 0;
	for (uint32_t k = 0; k < 900; k++)
		left += c->items[k].in;
	ck_assert_uint_ge(left, 800);
	cache_end(c);
}
END_TEST

START_TEST(costs_few_bytes)
{
	struct cache *c = cache_new(10000 * 10);
	for (uint32_t k = 0; k < KEYS; k++)
		get(c, k, 10);
	ck_assert_uint_eq(c->n, 10000);
	ck_assert_uint_le(sd_s3fifo_memory(&c->q), 10000 * 9);
	cache_end(c);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("s3fifo");
	TCase *t = tcase_create("s3fifo");
	tcase_set_timeout(t, 60);
	tcase_add_loop_test(t, as_the_plain_one, FROM_CASE, TO_CASE);
	tcase_add_test(t, ghost_remembers_so_many);
	tcase_add_test(t, ghost_survives_another_size);
	tcase_add_test(t, what_came_back_is_in_main);
	tcase_add_test(t, read_twice_stays);
	tcase_add_test(t, deleted_and_put_back_begins_anew);
	tcase_add_loop_test(t, deletions_leave_little, 0, 3);
	tcase_add_test(t, nobody_waits_for_all_of_main);
	tcase_add_test(t, large_values_pass_through);
	tcase_add_test(t, costs_few_bytes);
	suite_add_tcase(s, t);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed > 0;
}
