/* cache_save.h - a snapshot of all keys as they are at one moment, made while commands go on and without a second copy of them.
 *
 * The walk goes through the tables a bounded piece at a time (cache_save_step). What a command is about to change and the walk
 * did not come to yet is written first, as it was (cache_save_first):
 *
 *	keys by the order of their hash, bits reversed      |======== walked ========|............ to come ............|
 *	a change here: nothing to do, it was written              ^                          ^
 *	a change there: all keys with this hash are written now, and the hash is kept aside; the walk passes over it
 *
 * Invariants: 1. each key that was there at the beginning is in the file once, with its value of then. 2. No key made later
 * is. 3. A hash is either behind the walk, or kept aside, or none of its keys was touched since the beginning.
 *
 * Whether a hash is behind the walk follows from the cursor alone (sd_dict_scanned), so an item needs no mark. What is kept
 * aside costs 16 to 40 bytes for each key changed meanwhile. A database that is emptied begins it anew.
 */
#ifndef CACHE_SAVE_H
#define CACHE_SAVE_H

#include "../engine/cache.h"
#include "core/text.h"

#define CACHE_SAVE_PIECE (16 * 1024) /* bytes of one step: some tenths of a millisecond */

enum cache_save_state {
	CACHE_SAVE_MORE,   /* there is more to walk */
	CACHE_SAVE_DONE,   /* out ends the file, but for its checksum */
	CACHE_SAVE_ANEW,   /* what was written so far is void: a database was emptied; begin again */
	CACHE_SAVE_FAILED, /* out of memory */
};

struct cache_hashes {
	uint64_t *tables[8];
	size_t used;    /* places taken in the last one */
	unsigned n;
};

struct cache_save {
	struct cache *cache;
	struct sd_text out; /* whoever writes takes it away (sd_text_take) */
	enum cache_save_state state;
	unsigned db;	 /* where the walk is; those before it are done */
	uint64_t cursor;
	bool in_db;	 /* its walk began */
	int out_db;	 /* that the file is at; -1: none */
	struct cache_hashes aside;
	uint64_t dirty;	 /* changes when it began */
	uint64_t early;	 /* keys written before the walk came to them */
	uint64_t keys;
};

/* The moment is now. NULL: out of memory. One at a time: cache->save must be NULL. */
struct cache_save *cache_save_begin(struct cache *c);
/* Puts about so many bytes into out. */
enum cache_save_state cache_save_step(struct cache_save *s, size_t bytes);
void cache_save_end(struct cache_save *s);

#endif
