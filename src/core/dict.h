/* dict.h - a hash table of things that carry their own key, that grows and shrinks without ever stopping.
 *
 * An entry is the first member of what it is for, with the key's bytes at a fixed place behind it, so that an entry costs one
 * allocation. When the table grows, a second one of the new size is filled bucket by bucket: each call moves one or a few,
 * so that no call takes long. Hashes are keyed (SipHash): whoever chooses the keys cannot choose the buckets.
 *
 * A scan gives every entry that is there from its beginning to its end at least once, also when the table changes its size
 * meanwhile: the cursor counts with its bits reversed, so that what was seen of a bucket is seen of all it splits into
 * (Pieter Noordhuis's method, in Redis).
 *
 * One thread. Cost O(1); a table of n entries has between n / 2 and 8 n buckets of 8 bytes, 4 at least.
 */
#ifndef SD_CORE_DICT_H
#define SD_CORE_DICT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/rng.h"
#include "core/siphash.h"
#include "sdlab/slice.h"

struct sd_dict_entry {
	struct sd_dict_entry *next;
	uint32_t hash, klen;
};

struct sd_dict {
	struct sd_dict_entry **buckets[2]; /* [1]: being filled, when not NULL */
	uint8_t bits[2];                   /* buckets of each, as a power of two */
	size_t count[2];
	size_t moved;     /* buckets of [0] that are empty for good */
	uint32_t key_at;  /* bytes from the entry to its key */
	uint32_t paused;  /* scans that must not see a move */
	const struct sd_siphash_key *key;
	size_t *bytes; /* what the tables take is also counted here; NULL: nobody asks */
};

/* key stays the caller's. Nothing is allocated before the first entry. */
void sd_dict_init(struct sd_dict *d, size_t key_at, const struct sd_siphash_key *key);
/* From here on what the tables take is added to *bytes and taken from it. Before the first entry. */
static inline void sd_dict_count_in(struct sd_dict *d, size_t *bytes)
{
	d->bytes = bytes;
}
/* Frees the tables; the entries are the caller's. */
void sd_dict_free(struct sd_dict *d);

static inline size_t sd_dict_count(const struct sd_dict *d)
{
	return d->count[0] + d->count[1];
}
static inline struct sd_slice sd_dict_key(const struct sd_dict *d, const struct sd_dict_entry *e)
{
	return (struct sd_slice){(const char *)e + d->key_at, e->klen};
}
/* Bytes of the tables. */
size_t sd_dict_memory(const struct sd_dict *d);

uint32_t sd_dict_hash(const struct sd_dict *d, struct sd_slice key);
struct sd_dict_entry *sd_dict_find(struct sd_dict *d, struct sd_slice key, uint32_t hash);
/* One with this hash whose key the caller does not have: the first (after NULL), or the one after that. NULL: no more. */
struct sd_dict_entry *sd_dict_with_hash(const struct sd_dict *d, uint32_t hash, const struct sd_dict_entry *after);
/* Tells the processor that an entry of this hash will be looked for: first its place, and when that came, what is there. */
void sd_dict_fetch_bucket(const struct sd_dict *d, uint32_t hash);
void sd_dict_fetch_entry(const struct sd_dict *d, uint32_t hash);
/* e has hash and klen; its key is not there yet. False: no memory for the first table. */
bool sd_dict_add(struct sd_dict *d, struct sd_dict_entry *e);
/* Takes it out. */
void sd_dict_remove(struct sd_dict *d, struct sd_dict_entry *e);
/* The entry moved in memory (realloc): was is where it was. */
void sd_dict_moved(struct sd_dict *d, uintptr_t was, struct sd_dict_entry *e);

/* Calls fn for the entries of one place; returns the next cursor, 0 at the end. fn may remove the entry it is given. */
uint64_t sd_dict_scan(struct sd_dict *d, uint64_t cursor, void (*fn)(void *arg, struct sd_dict_entry *e), void *arg);
/* Tells the processor that the next places of a scan, up to SD_DICT_FETCH of them, will be looked at: all waits for memory at once
 * instead of one after another. Nothing while the table changes its size. */
#define SD_DICT_FETCH 32
void sd_dict_fetch_scan(const struct sd_dict *d, uint64_t cursor);
/* Has a scan that is at this cursor given what has this hash? Exact, whatever sizes the table had meanwhile; a cursor that came
 * back to 0 is to be told apart from one that did not begin. */
bool sd_dict_scanned(uint64_t cursor, uint32_t hash);
/* Calls fn for those with this hash: several, when keys share it. */
void sd_dict_each_of(struct sd_dict *d, uint32_t hash, void (*fn)(void *arg, struct sd_dict_entry *e), void *arg);
/* Calls fn for all; nothing may be added or removed meanwhile but the entry given. */
void sd_dict_each(struct sd_dict *d, void (*fn)(void *arg, struct sd_dict_entry *e), void *arg);
/* Takes out any one, for whoever empties the table a part at a time and does nothing else with it any more. *most is counted down by
 * one for it, and by one for so many places without any: NULL with *most above 0 is the end. */
struct sd_dict_entry *sd_dict_take(struct sd_dict *d, size_t *most);
/* One after another, for whoever may stop in between. Until the end nothing may be added or removed; begin keeps finds from
 * moving entries. */
struct sd_dict_iter {
	struct sd_dict_entry *next;
	size_t bucket;
	int table;
};
void sd_dict_iter_begin(struct sd_dict *d, struct sd_dict_iter *it);
struct sd_dict_entry *sd_dict_iter_next(const struct sd_dict *d, struct sd_dict_iter *it); /* NULL: that was all */
void sd_dict_iter_end(struct sd_dict *d);
/* A random entry, each about as likely as another; NULL when empty. */
struct sd_dict_entry *sd_dict_random(struct sd_dict *d, struct sd_rng *rng);
/* Goes on with a move, a bucket at a time; false when there is none: for a loop with nothing to do. */
bool sd_dict_step(struct sd_dict *d, unsigned buckets);

#endif
