/* lsm_mem_hash.c */
#include "lsm_mem_hash.h"

#include <stdlib.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#define KEYS_MIN 32
#define TAG_AT	 48

/* A slot that has a node keeps it. At least a quarter is empty. */
struct sd_lsm_mem_table {
	struct sd_lsm_mem_table *older;
	size_t n;
	_Atomic uint64_t slots[];
};

uint64_t sd_lsm_mem_hash_of(struct sd_slice user)
{
	return XXH3_64bits(user.n > 0 ? user.p : "", user.n);
}

static size_t place_of(const struct sd_lsm_mem_table *t, uint64_t hash)
{
	return (size_t)((hash >> 32) * (uint64_t)t->n >> 32);
}

static size_t next_place(const struct sd_lsm_mem_table *t, size_t i)
{
	return i + 1 < t->n ? i + 1 : 0;
}

static uint64_t word_of(struct sd_lsm_node *n, uint64_t hash)
{
	return (uint64_t)(uintptr_t)n | hash << TAG_AT;
}

static struct sd_lsm_node *node_of(uint64_t word)
{
	return (struct sd_lsm_node *)(uintptr_t)(word & ((UINT64_C(1) << TAG_AT) - 1));
}

static bool is(const struct sd_lsm_node *n, struct sd_slice user)
{
	return n->first.key_n == user.n && (user.n == 0 || memcmp(n->first.bytes, user.p, user.n) == 0);
}

static void put(struct sd_lsm_mem_table *t, struct sd_lsm_node *n, uint64_t hash)
{
	size_t i = place_of(t, hash);
	while (atomic_load_explicit(&t->slots[i], memory_order_relaxed) != 0)
		i = next_place(t, i);
	atomic_store_explicit(&t->slots[i], word_of(n, hash), memory_order_release);
}

static struct sd_lsm_mem_table *table_of(const struct sd_lsm_mem_hash *h)
{
	return atomic_load_explicit(&h->table, memory_order_acquire);
}

static struct sd_lsm_mem_table *new_table(struct sd_lsm_mem_hash *h, size_t keys)
{
	size_t n = (keys < KEYS_MIN ? KEYS_MIN : keys) * 3 / 2;
	struct sd_lsm_mem_table *t = n <= UINT32_MAX ? calloc(1, sizeof(*t) + n * sizeof(t->slots[0])) : NULL;
	if (!t)
		return NULL;
	t->n = n;
	t->older = table_of(h);
	atomic_fetch_add_explicit(&h->bytes, sizeof(*t) + n * sizeof(t->slots[0]), memory_order_relaxed);
	return t;
}

bool sd_lsm_mem_hash_begin(struct sd_lsm_mem_hash *h, size_t keys)
{
	struct sd_lsm_mem_table *t = new_table(h, keys);
	atomic_store_explicit(&h->table, t, memory_order_relaxed);
	return t != NULL;
}

void sd_lsm_mem_hash_end(struct sd_lsm_mem_hash *h)
{
	for (struct sd_lsm_mem_table *t = table_of(h), *older; t; t = older) {
		older = t->older;
		free(t);
	}
}

struct sd_lsm_node *sd_lsm_mem_hash_find(const struct sd_lsm_mem_hash *h, struct sd_slice user, uint64_t hash)
{
	const struct sd_lsm_mem_table *t = table_of(h);
	for (size_t i = place_of(t, hash);; i = next_place(t, i)) {
		uint64_t word = atomic_load_explicit(&t->slots[i], memory_order_acquire);
		if (word == 0 || (word >> TAG_AT == (hash & 0xffff) && is(node_of(word), user)))
			return node_of(word);
	}
}

void sd_lsm_mem_hash_expect(const struct sd_lsm_mem_hash *h, uint64_t hash)
{
	const struct sd_lsm_mem_table *t = table_of(h);
	__builtin_prefetch(&t->slots[place_of(t, hash)]);
}

bool sd_lsm_mem_hash_room(struct sd_lsm_mem_hash *h)
{
	struct sd_lsm_mem_table *old = table_of(h);
	if (h->keys < old->n / 4 * 3)
		return true;
	struct sd_lsm_mem_table *t = new_table(h, 2 * h->keys);
	if (!t)
		return false;
	for (size_t i = 0; i < old->n; i++) {
		struct sd_lsm_node *n = node_of(atomic_load_explicit(&old->slots[i], memory_order_relaxed));
		if (n)
			put(t, n, sd_lsm_mem_hash_of(sd_lsm_node_user(n)));
	}
	atomic_store_explicit(&h->table, t, memory_order_release);
	return true;
}

void sd_lsm_mem_hash_put(struct sd_lsm_mem_hash *h, struct sd_lsm_node *n, uint64_t hash)
{
	put(table_of(h), n, hash);
	h->keys++;
}
