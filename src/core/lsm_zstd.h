/* lsm_zstd.h - Zstandard for blocks of tables: contexts that are kept, since making one costs more than expanding a block.
 * Pure; any thread may borrow one.
 */
#ifndef SD_CORE_LSM_ZSTD_H
#define SD_CORE_LSM_ZSTD_H

#include "sdlab/err.h"
#include "sdlab/slice.h"

struct sd_lsm_zstd;

struct sd_lsm_zstd *sd_lsm_zstd_new(void); /* NULL: out of memory */
void sd_lsm_zstd_free(struct sd_lsm_zstd *z); /* NULL is fine */

/* How long it is, expanded. False: it is not one whole frame that says so. */
bool sd_lsm_zstd_length(const void *p, size_t n, size_t *length);
/* Into exactly that many bytes. z NULL: with a context of its own. SD_ENOMEM, SD_EDAMAGED. */
enum sd_err sd_lsm_zstd_expand(struct sd_lsm_zstd *z, const void *p, size_t n, void *to, size_t length);

/* What compresses, for one thread. */
struct sd_lsm_zstd_out;
struct sd_lsm_zstd_out *sd_lsm_zstd_out_new(int level); /* NULL: out of memory */
void sd_lsm_zstd_out_free(struct sd_lsm_zstd_out *z);	/* NULL is fine */
/* The bytes, valid until the next call; {NULL, 0}: less than an eighth would be saved, or out of memory. */
struct sd_slice sd_lsm_zstd_squeeze(struct sd_lsm_zstd_out *z, struct sd_slice bytes);

#endif
