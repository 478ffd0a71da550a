#include "dict.h"

#include <stdlib.h>

#define FIRST_BITS 2
#define LINE	   64 /* bytes that memory comes in */
#define MAX_EMPTY  10 /* buckets without entries that one step passes over, for each that it moves */

void sd_dict_init(struct sd_dict *d, size_t key_at, const struct sd_siphash_key *key)
{
	*d = (struct sd_dict){.key_at = (uint32_t)key_at, .key = key};
}

static size_t size_of(const struct sd_dict *d, int t)
{
	return d->buckets[t] ? (size_t)1 << d->bits[t] : 0;
}

static struct sd_dict_entry **new_table(const struct sd_dict *d, unsigned bits)
{
	struct sd_dict_entry **t = calloc((size_t)1 << bits, sizeof(*t));
	if (t && d->bytes)
		*d->bytes += sizeof(*t) << bits;
	return t;
}

static void free_table(const struct sd_dict *d, int t)
{
	if (d->bytes)
		*d->bytes -= size_of(d, t) * sizeof(d->buckets[t][0]);
	free(d->buckets[t]);
}

void sd_dict_free(struct sd_dict *d)
{
	size_t *bytes = d->bytes;
	free_table(d, 0);
	free_table(d, 1);
	sd_dict_init(d, d->key_at, d->key);
	d->bytes = bytes;
}

size_t sd_dict_memory(const struct sd_dict *d)
{
	return (size_of(d, 0) + size_of(d, 1)) * sizeof(d->buckets[0][0]);
}

uint32_t sd_dict_hash(const struct sd_dict *d, struct sd_slice key)
{
	return (uint32_t)sd_siphash(d->key, key.p, key.n);
}

/* ---- growing ---- */

static void finish_move(struct sd_dict *d)
{
	free_table(d, 0);
	d->buckets[0] = d->buckets[1];
	d->bits[0] = d->bits[1];
	d->count[0] = d->count[1];
	d->buckets[1] = NULL;
	d->count[1] = 0;
	d->moved = 0;
}

static void move_bucket(struct sd_dict *d)
{
	struct sd_dict_entry *e = d->buckets[0][d->moved];
	size_t mask = size_of(d, 1) - 1;
	d->buckets[0][d->moved++] = NULL;
	while (e) {
		struct sd_dict_entry *next = e->next, **to = &d->buckets[1][e->hash & mask];
		e->next = *to;
		*to = e;
		d->count[0]--;
		d->count[1]++;
		e = next;
	}
}

bool sd_dict_step(struct sd_dict *d, unsigned buckets)
{
	if (!d->buckets[1] || d->paused)
		return false;
	size_t size = size_of(d, 0), empty = (size_t)buckets * MAX_EMPTY;
	while (buckets && d->moved < size) {
		if (!d->buckets[0][d->moved]) {
			d->moved++;
			if (--empty == 0)
				return true;
			continue;
		}
		move_bucket(d);
		buckets--;
	}
	if (d->moved < size && d->count[0])
		return true;
	finish_move(d);
	return false;
}

/* More would find nothing better: with all bits of the hash in use, chains grow. */
#define MAX_BITS 32

/* When there is no memory it stays as it is: slower, not wrong. */
static void resize(struct sd_dict *d, unsigned bits)
{
	if (d->buckets[1] || bits == d->bits[0] || bits > MAX_BITS)
		return;
	d->buckets[1] = new_table(d, bits);
	d->bits[1] = (uint8_t)bits;
	d->moved = 0;
}

static bool make_room(struct sd_dict *d)
{
	if (!d->buckets[0]) {
		d->buckets[0] = new_table(d, FIRST_BITS);
		d->bits[0] = FIRST_BITS;
		return d->buckets[0] != NULL;
	}
	if (d->buckets[1])
		sd_dict_step(d, 1);
	else if (d->count[0] >= size_of(d, 0))
		resize(d, d->bits[0] + 1u);
	return true;
}

static void maybe_shrink(struct sd_dict *d)
{
	if (d->buckets[1]) {
		sd_dict_step(d, 1);
		return;
	}
	if (d->bits[0] > FIRST_BITS && d->count[0] * 8 < size_of(d, 0))
		resize(d, d->bits[0] - 1u);
}

/* ---- entries ---- */

static struct sd_dict_entry *find_in(const struct sd_dict *d, int t, struct sd_slice key, uint32_t hash)
{
	struct sd_dict_entry *e = d->buckets[t][hash & (size_of(d, t) - 1)];
	while (e && !(e->hash == hash && e->klen == key.n && memcmp((const char *)e + d->key_at, key.p, key.n) == 0))
		e = e->next;
	return e;
}

struct sd_dict_entry *sd_dict_find(struct sd_dict *d, struct sd_slice key, uint32_t hash)
{
	if (!d->buckets[0])
		return NULL;
	if (d->buckets[1])
		sd_dict_step(d, 1);
	struct sd_dict_entry *e = find_in(d, 0, key, hash);
	return e || !d->buckets[1] ? e : find_in(d, 1, key, hash);
}

static struct sd_dict_entry *next_with_hash(struct sd_dict_entry *e, uint32_t hash)
{
	while (e && e->hash != hash)
		e = e->next;
	return e;
}

static struct sd_dict_entry *first_with_hash(const struct sd_dict *d, int t, uint32_t hash)
{
	return d->buckets[t] ? next_with_hash(d->buckets[t][hash & (size_of(d, t) - 1)], hash) : NULL;
}

/* Entries of one hash are in one bucket of each table. */
struct sd_dict_entry *sd_dict_with_hash(const struct sd_dict *d, uint32_t hash, const struct sd_dict_entry *after)
{
	struct sd_dict_entry *first = first_with_hash(d, 0, hash), *e = after ? next_with_hash(after->next, hash) : first;
	if (e || !d->buckets[1])
		return e;
	struct sd_dict_entry *second = first_with_hash(d, 1, hash);
	for (const struct sd_dict_entry *k = second; after && k; k = k->next)
		if (k == after)
			return NULL;
	return second;
}

void sd_dict_fetch_bucket(const struct sd_dict *d, uint32_t hash)
{
	for (int t = 0; t < 2; t++)
		if (d->buckets[t])
			__builtin_prefetch(&d->buckets[t][hash & (size_of(d, t) - 1)]);
}

void sd_dict_fetch_entry(const struct sd_dict *d, uint32_t hash)
{
	for (int t = 0; t < 2; t++)
		if (d->buckets[t])
			__builtin_prefetch(d->buckets[t][hash & (size_of(d, t) - 1)]);
}

bool sd_dict_add(struct sd_dict *d, struct sd_dict_entry *e)
{
	if (!make_room(d))
		return false;
	int t = d->buckets[1] != NULL;
	struct sd_dict_entry **to = &d->buckets[t][e->hash & (size_of(d, t) - 1)];
	e->next = *to;
	*to = e;
	d->count[t]++;
	return true;
}

/* Where a pointer to this entry stands; its table in *t. */
static struct sd_dict_entry **place_of(struct sd_dict *d, uintptr_t e, uint32_t hash, int *t)
{
	for (*t = 0; *t < 2; ++*t) {
		if (!d->buckets[*t])
			continue;
		struct sd_dict_entry **at = &d->buckets[*t][hash & (size_of(d, *t) - 1)];
		while (*at && (uintptr_t)*at != e)
			at = &(*at)->next;
		if (*at)
			return at;
	}
	return NULL;
}

void sd_dict_remove(struct sd_dict *d, struct sd_dict_entry *e)
{
	int t;
	struct sd_dict_entry **at = place_of(d, (uintptr_t)e, e->hash, &t);
	if (!at)
		return;
	*at = e->next;
	d->count[t]--;
	if (!d->paused)
		maybe_shrink(d);
}

void sd_dict_moved(struct sd_dict *d, uintptr_t was, struct sd_dict_entry *e)
{
	int t;
	struct sd_dict_entry **at = place_of(d, was, e->hash, &t);
	if (at)
		*at = e;
}

/* ---- all of them ---- */

static void give(struct sd_dict *d, int t, size_t i, void (*fn)(void *arg, struct sd_dict_entry *e), void *arg)
{
	for (struct sd_dict_entry *e = d->buckets[t][i], *next; e; e = next) {
		next = e->next;
		fn(arg, e);
	}
}

static uint64_t reversed(uint64_t v)
{
	v = __builtin_bswap64(v);
	v = (v >> 4 & 0x0f0f0f0f0f0f0f0full) | (v & 0x0f0f0f0f0f0f0f0full) << 4;
	v = (v >> 2 & 0x3333333333333333ull) | (v & 0x3333333333333333ull) << 2;
	return (v >> 1 & 0x5555555555555555ull) | (v & 0x5555555555555555ull) << 1;
}

/* One more, counted from the mask's highest bit down. */
static uint64_t next_cursor(uint64_t v, uint64_t mask)
{
	return reversed(reversed(v | ~mask) + 1);
}

uint64_t sd_dict_scan(struct sd_dict *d, uint64_t cursor, void (*fn)(void *arg, struct sd_dict_entry *e), void *arg)
{
	if (!d->buckets[0])
		return 0;
	d->paused++;
	if (!d->buckets[1]) {
		uint64_t mask = size_of(d, 0) - 1;
		give(d, 0, cursor & mask, fn, arg);
		cursor = next_cursor(cursor, mask);
	} else {
		/* the bucket of the smaller table, then all of the larger that it splits into */
		int small = d->bits[0] > d->bits[1], large = !small;
		uint64_t m0 = size_of(d, small) - 1, m1 = size_of(d, large) - 1;
		give(d, small, cursor & m0, fn, arg);
		do {
			give(d, large, cursor & m1, fn, arg);
			cursor = next_cursor(cursor, m1);
		} while (cursor & (m0 ^ m1));
	}
	d->paused--;
	return cursor;
}

/* An entry's first bytes are on one line or two. */
static void fetch(const struct sd_dict_entry *e)
{
	__builtin_prefetch(e);
	__builtin_prefetch((const void *)((uintptr_t)e + LINE));
}

void sd_dict_fetch_scan(const struct sd_dict *d, uint64_t cursor)
{
	struct sd_dict_entry **buckets = d->buckets[0], *first[SD_DICT_FETCH];
	uint64_t mask = size_of(d, 0) - 1, at = cursor;
	if (!buckets || d->buckets[1])
		return;
	for (unsigned i = 0; i < SD_DICT_FETCH; i++, at = next_cursor(at, mask))
		__builtin_prefetch(&buckets[at & mask]);
	at = cursor;
	for (unsigned i = 0; i < SD_DICT_FETCH; i++, at = next_cursor(at, mask)) {
		first[i] = buckets[at & mask];
		fetch(first[i]);
	}
	for (unsigned i = 0; i < SD_DICT_FETCH; i++)
		if (first[i])
			fetch(first[i]->next);
}

bool sd_dict_scanned(uint64_t cursor, uint32_t hash)
{
	return reversed(hash) < reversed(cursor);
}

void sd_dict_each_of(struct sd_dict *d, uint32_t hash, void (*fn)(void *arg, struct sd_dict_entry *e), void *arg)
{
	for (int t = 0; t < 2; t++)
		for (struct sd_dict_entry *e = d->buckets[t] ? d->buckets[t][hash & (size_of(d, t) - 1)] : NULL, *next; e; e = next) {
			next = e->next;
			if (e->hash == hash)
				fn(arg, e);
		}
}

void sd_dict_each(struct sd_dict *d, void (*fn)(void *arg, struct sd_dict_entry *e), void *arg)
{
	d->paused++;
	for (int t = 0; t < 2; t++)
		for (size_t i = 0; i < size_of(d, t); i++)
			give(d, t, i, fn, arg);
	d->paused--;
}

#define TAKE_EMPTY 16 /* places looked at for the cost of an entry, which is somewhere else in memory */
#define TAKE_AHEAD 8

/* Its first entry; NULL: it is empty, or *most places were. */
static struct sd_dict_entry *take_from_first(struct sd_dict *d, size_t *most)
{
	size_t size = size_of(d, 0);
	for (size_t passed = 1; d->count[0] && d->moved < size; passed++) {
		struct sd_dict_entry **at = &d->buckets[0][d->moved], *e = *at;
		if (e) {
			*at = e->next;
			d->count[0]--;
			if (d->moved + TAKE_AHEAD < size)
				__builtin_prefetch(at[TAKE_AHEAD]);
			return e;
		}
		d->moved++;
		if (passed % TAKE_EMPTY == 0 && --*most == 0)
			return NULL;
	}
	return NULL;
}

struct sd_dict_entry *sd_dict_take(struct sd_dict *d, size_t *most)
{
	struct sd_dict_entry *e = NULL;
	while (*most && !e && sd_dict_count(d)) {
		if (!d->count[0])
			finish_move(d);
		e = take_from_first(d, most);
	}
	*most -= e != NULL;
	return e;
}

void sd_dict_iter_begin(struct sd_dict *d, struct sd_dict_iter *it)
{
	*it = (struct sd_dict_iter){0};
	d->paused++;
}

struct sd_dict_entry *sd_dict_iter_next(const struct sd_dict *d, struct sd_dict_iter *it)
{
	while (!it->next) {
		if (it->bucket == size_of(d, it->table)) {
			if (it->table == 1)
				return NULL;
			it->table = 1;
			it->bucket = 0;
			continue;
		}
		it->next = d->buckets[it->table][it->bucket++];
	}
	struct sd_dict_entry *e = it->next;
	it->next = e->next;
	return e;
}

void sd_dict_iter_end(struct sd_dict *d)
{
	d->paused--;
}

/* The first entry of a random bucket, of those that may have one. */
static struct sd_dict_entry *random_bucket(const struct sd_dict *d, struct sd_rng *rng)
{
	size_t small = size_of(d, 0), large = size_of(d, 1), from = large ? d->moved : 0;
	if (small + large == from)
		return NULL;
	size_t i = from + (size_t)(sd_rng_next(rng) % (small + large - from));
	return i < small ? d->buckets[0][i] : d->buckets[1] ? d->buckets[1][i - small] : NULL;
}

/* A bucket is taken the more often the more there is in it, so that those who share one are not left behind. What is beyond so
 * many in one is rarer; a table that is not overfull has none such. */
#define FAIR 4

struct sd_dict_entry *sd_dict_random(struct sd_dict *d, struct sd_rng *rng)
{
	if (d->buckets[1])
		sd_dict_step(d, 1);
	while (sd_dict_count(d)) {
		struct sd_dict_entry *e = random_bucket(d, rng);
		uint32_t n = 0;
		for (const struct sd_dict_entry *k = e; k; k = k->next)
			n++;
		uint32_t skip = sd_rng_below(rng, n > FAIR ? n : FAIR);
		if (skip >= n)
			continue;
		for (; skip; skip--)
			e = e->next;
		return e;
	}
	return NULL;
}
