/* lsm_table_int.h - numbers of the format; for src/core/lsm_table*.c only. */
#ifndef SD_CORE_LSM_TABLE_INT_H
#define SD_CORE_LSM_TABLE_INT_H

#include "lsm_table.h"

#define LSM_AFTER      5 /* bytes behind a block: its compression, its checksum */
#define LSM_FOOTER     48
#define LSM_MAGIC      0xdb4775248b80fb57u
#define LSM_FILTER_KEY "filter." SD_LSM_FILTER_NAME

enum lsm_compression { LSM_PLAIN, LSM_SNAPPY };

/* The bytes it takes; 0: it makes no sense. */
size_t lsm_get_handle(const void *from, size_t n, struct sd_lsm_handle *h);

#endif
