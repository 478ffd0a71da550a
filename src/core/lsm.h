/* lsm.h - what the files of a log-structured merge tree have in common, in the format of LevelDB (google/leveldb,
 * doc/table_format.md, doc/log_format.md, doc/impl.md). sdlab-kv(5) tells all of it.
 *
 * An internal key is the user's key and eight bytes: the sequence number of the write, and its kind. Of one user key the newest
 * comes first, so that a search for (key, sequence) finds what was there at that time.
 */
#ifndef SD_CORE_LSM_H
#define SD_CORE_LSM_H

#include "bytes.h"
#include "crc32c.h"
#include "sdlab/slice.h"

#define SD_LSM_LEVELS  7
#define SD_LSM_SEQ_MAX ((UINT64_C(1) << 56) - 1)
#define SD_LSM_TAIL    8 /* of an internal key */

enum sd_lsm_kind { SD_LSM_GONE = 0, SD_LSM_VALUE = 1 };

static inline bool sd_lsm_key_ok(struct sd_slice internal)
{
	return internal.n >= SD_LSM_TAIL && (uint8_t)internal.p[internal.n - SD_LSM_TAIL] <= SD_LSM_VALUE;
}
static inline struct sd_slice sd_lsm_user(struct sd_slice internal)
{
	return (struct sd_slice){internal.p, internal.n - SD_LSM_TAIL};
}
/* Sequence number and kind: seq << 8 | kind. */
static inline uint64_t sd_lsm_tail(struct sd_slice internal)
{
	return sd_get_le(internal.p + internal.n - SD_LSM_TAIL, SD_LSM_TAIL);
}
static inline uint64_t sd_lsm_seq(struct sd_slice internal)
{
	return sd_lsm_tail(internal) >> 8;
}
static inline enum sd_lsm_kind sd_lsm_kind(struct sd_slice internal)
{
	return (enum sd_lsm_kind)(sd_lsm_tail(internal) & 0xff);
}

/* Byte by byte, the shorter first. */
static inline int sd_lsm_bytewise(struct sd_slice a, struct sd_slice b)
{
	size_t n = a.n < b.n ? a.n : b.n;
	int c = n ? memcmp(a.p, b.p, n) : 0;
	return c ? c : (a.n > b.n) - (a.n < b.n);
}
/* User keys upwards, sequence numbers downwards. Both are at least SD_LSM_TAIL long. */
static inline int sd_lsm_internal(struct sd_slice a, struct sd_slice b)
{
	int c = sd_lsm_bytewise(sd_lsm_user(a), sd_lsm_user(b));
	if (c)
		return c;
	uint64_t x = sd_lsm_tail(a), y = sd_lsm_tail(b);
	return (x < y) - (x > y);
}

/* Checksums are kept so that the checksum of what holds one is not a special number. */
static inline uint32_t sd_lsm_mask(uint32_t crc)
{
	return (crc >> 15 | crc << 17) + 0xa282ead8u;
}

#endif
