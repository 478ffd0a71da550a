/* lsm_own.h - what our own tables have and LevelDB's do not: one filter for all keys, ranges that were removed, properties, and a
 * footer that says its version. sdlab-kv(5).
 *
 *	data blocks ... | filter | ranges block | properties block | metaindex block | index block | footer (48 bytes)
 *
 * The checksum behind a block is also of where the block lies, so that bytes that belong elsewhere are not taken for it.
 */
#ifndef SD_CORE_LSM_OWN_H
#define SD_CORE_LSM_OWN_H

#include "lsm_block.h"
#include "sdlab/err.h"

#define SD_LSM_OWN_VERSION 1

/* ---- the filter ----
 *
 * A Bloom filter in lines of 64 bytes: all probes of a key are in one, so that looking costs one miss of the processor's cache.
 * Ten bits a key, six probes: of keys that are not there, one in about ninety is looked for in vain (test_lsm_own measures it).
 */
#define SD_LSM_OWN_FILTER_BITS   10
#define SD_LSM_OWN_FILTER_PROBES 6

uint64_t sd_lsm_own_hash(struct sd_slice user);
/* False: the table has no such user key, for certain. A filter of no bytes keeps nobody from looking. */
bool sd_lsm_own_filter_may(struct sd_slice filter, uint64_t hash);
/* The filter of n keys, appended. */
void sd_lsm_own_filter_put(const uint64_t *hashes, size_t n, struct sd_text *out);

/* ---- properties ---- */

struct sd_lsm_props {
	uint64_t entries, gone, ranges; /* entries of any kind, those that remove, and ranges that were removed */
	uint64_t key_bytes, value_bytes; /* of entries; keys as users have them */
	uint64_t data_blocks, data_bytes; /* of data blocks as they lie there, without what follows each */
	uint64_t expanded_bytes;	/* of data blocks, expanded */
	uint64_t filter_bytes;
	uint64_t blobs, blob_bytes; /* entries whose value is in a blob, and what they take there */
	uint64_t oldest_seq, newest_seq; /* of entries and ranges */
	uint64_t ending; /* entries that end some time */
};
/* As a block; {NULL, 0}: out of memory. */
struct sd_slice sd_lsm_props_put(const struct sd_lsm_props *p, struct sd_lsm_block_out *block);
/* What it does not know it passes over; what is not there is 0. False: damaged. */
bool sd_lsm_props_get(struct sd_slice block, struct sd_lsm_props *p);

/* ---- the footer ----
 *
 *	metaindex: where (8), how long (8)  index: where (8), how long (8)  version (4)  checksum of these 36 bytes (4)  magic (8)
 */
struct sd_lsm_handle {
	uint64_t at, n; /* of a block, without what follows it */
};
#define SD_LSM_FOOTER    48
#define SD_LSM_OWN_MAGIC 0x31306273746c6473u /* "sdltsb01" */
void sd_lsm_own_footer_put(char to[SD_LSM_FOOTER], const struct sd_lsm_handle *meta, const struct sd_lsm_handle *index);
/* SD_EDAMAGED, SD_EUNSUPPORTED: a newer version, which *version is. */
enum sd_err sd_lsm_own_footer_get(const char from[SD_LSM_FOOTER], struct sd_lsm_handle *meta, struct sd_lsm_handle *index,
				  uint32_t *version);

#endif
