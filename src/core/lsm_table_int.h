/* lsm_table_int.h - numbers of the format; for src/core/lsm_table*.c only. */
#ifndef SD_CORE_LSM_TABLE_INT_H
#define SD_CORE_LSM_TABLE_INT_H

#include "lsm_table.h"
#include "varint.h"

#define LSM_MAGIC      0xdb4775248b80fb57u
#define LSM_FILTER_KEY "filter." SD_LSM_FILTER_NAME

/* Names in the metaindex of our own format. */
#define LSM_OWN_FILTER "filter"
#define LSM_OWN_PROPS  "properties"
#define LSM_OWN_RANGES "ranges"

enum lsm_compression { LSM_PLAIN = 0, LSM_SNAPPY = 1, LSM_ZSTD = 7 };

/* What stands behind a block at this offset; the byte that says how it is compressed follows the block at once. */
static inline uint32_t lsm_sum(bool own, const char *p, size_t n_with_kind, uint64_t at)
{
	uint8_t where[8];
	uint32_t crc = sd_crc32c(0, p, n_with_kind);
	if (own) {
		sd_put_le(where, at, sizeof(where));
		crc = sd_crc32c(crc, where, sizeof(where));
	}
	return sd_lsm_mask(crc);
}

enum sd_err lsm_bad(const struct sd_lsm_source *from, uint64_t at, const char *what, struct sd_error *e);

#endif
