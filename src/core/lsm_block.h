/* lsm_block.h - a sorted run of keys and values in one piece: what tables are made of.
 *
 *	entry:  shared (varint)  rest (varint)  value length (varint)  rest of the key  value
 *	block:  entries, offsets of restart points (4 bytes each), their number (4 bytes)
 *
 * An entry leaves away what its key has in common with the one before; at a restart point nothing is left away, so that a search
 * is a binary one over restart points and then a few steps.
 *
 * Our own tables have the values of a block apart from its keys, so that a search goes over a few hundred bytes that lie together:
 *
 *	entry:  shared (varint)  rest (varint)  value length (varint)  rest of the key
 *	block:  entries, of each restart point its offset and that of its value (4 bytes each), values, bytes of values (4), number of
 *	        restart points (4)
 *
 * Pure; a block may hold any bytes: what makes no sense is told as damage.
 */
#ifndef SD_CORE_LSM_BLOCK_H
#define SD_CORE_LSM_BLOCK_H

#include "lsm.h"
#include "text.h"

struct sd_lsm_block {
	const uint8_t *p, *values; /* values NULL: each is behind its key */
	uint32_t n, values_n, nrestarts; /* n: of the entries */
	uint32_t step;			 /* bytes of a restart point */
};
/* Bytes that outlive it, less than 4 GiB. False: no block. */
bool sd_lsm_block_open(struct sd_lsm_block *b, const void *p, size_t n);
bool sd_lsm_block_open_apart(struct sd_lsm_block *b, const void *p, size_t n); /* one with values apart */

/* A place in a block. Zero it (all but `small`), set block and kinds, then move it. It is not copied: keys may be in `small`. */
struct sd_lsm_at {
	const struct sd_lsm_block *block;
	unsigned kinds; /* that internal keys may have: others are damage; 0: keys are in the order of their bytes */
	bool valid;	/* key and value are those of an entry, until it moves */
	bool damaged;	/* and no more valid */
	uint32_t at, next, next_value;
	struct sd_slice key, value;
	char *big; /* room of a key that is longer than `small`; NULL: none was */
	size_t big_room;
	char small[64];
};
void sd_lsm_at_free(struct sd_lsm_at *a);
void sd_lsm_at_first(struct sd_lsm_at *a);
void sd_lsm_at_last(struct sd_lsm_at *a);
void sd_lsm_at_next(struct sd_lsm_at *a); /* valid before */
void sd_lsm_at_prev(struct sd_lsm_at *a); /* valid before */
/* The entry at a restart point. */
void sd_lsm_at_restart(struct sd_lsm_at *a, uint32_t i);
/* The first entry that is not before the key. */
void sd_lsm_at_seek(struct sd_lsm_at *a, struct sd_slice key);

struct sd_lsm_block_out {
	struct sd_text bytes, restarts, values, last;
	bool apart;	/* values; set before it begins */
	unsigned every; /* a restart point each so many entries */
	unsigned since;
};
void sd_lsm_block_begin(struct sd_lsm_block_out *o, unsigned every); /* also to begin the next one */
void sd_lsm_block_free(struct sd_lsm_block_out *o);
/* Keys come in their order. */
void sd_lsm_block_add(struct sd_lsm_block_out *o, struct sd_slice key, struct sd_slice value);
static inline bool sd_lsm_block_empty(const struct sd_lsm_block_out *o)
{
	return o->bytes.n == 0;
}
/* So many bytes it would have. */
size_t sd_lsm_block_bytes(const struct sd_lsm_block_out *o);
/* Its bytes, valid until it begins anew; {NULL, 0}: out of memory. */
struct sd_slice sd_lsm_block_end(struct sd_lsm_block_out *o);

#endif
