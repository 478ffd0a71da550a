/* lsm_filter.h - Bloom filters of tables as LevelDB keeps them ("leveldb.BuiltinBloomFilter2"): one for the keys of the blocks that
 * begin in each 2 KiB of the table, ten bits a key.
 *
 *	filters, offset of each (4 bytes), where the offsets begin (4 bytes), 11 (the logarithm of 2 KiB)
 */
#ifndef SD_CORE_LSM_FILTER_H
#define SD_CORE_LSM_FILTER_H

#include "lsm.h"
#include "text.h"

#define SD_LSM_FILTER_NAME "leveldb.BuiltinBloomFilter2"

/* False: no block that begins at this offset of the table has the user key, for certain. Any bytes may be handed in: what
 * makes no sense keeps nobody from looking. */
bool sd_lsm_filter_may(struct sd_slice filters, uint64_t offset, struct sd_slice user);

struct sd_lsm_filter_out {
	struct sd_text bytes, offsets;
	struct sd_text hashes; /* 4 bytes each, of the keys since the last filter */
};
void sd_lsm_filter_free(struct sd_lsm_filter_out *o);
/* A block begins at this offset. */
void sd_lsm_filter_block(struct sd_lsm_filter_out *o, uint64_t offset);
void sd_lsm_filter_add(struct sd_lsm_filter_out *o, struct sd_slice user);
/* Its bytes, valid until it is freed; {NULL, 0}: out of memory. */
struct sd_slice sd_lsm_filter_end(struct sd_lsm_filter_out *o);

#endif
