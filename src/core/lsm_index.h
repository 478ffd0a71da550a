/* lsm_index.h - the index of a table, made ready for searching: eight bytes of each key and where its block is, in arrays, so that
 * a search rarely looks at the keys themselves, each of which would be a miss of the processor's cache.
 *
 * All keys of a table begin alike for a while; the eight bytes are what comes behind that. The last key is left out: it is as short as
 * it can be above all others, and so begins like none of them.
 */
#ifndef SD_CORE_LSM_INDEX_H
#define SD_CORE_LSM_INDEX_H

#include "lsm_block.h"
#include "lsm_own.h"

struct sd_lsm_index {
	struct sd_lsm_block block;
	uint32_t n;	 /* blocks; an entry of the index and a restart point each */
	struct sd_slice last;	/* key */
	struct sd_slice common; /* what all user keys but the last begin with */
	uint64_t *heads;	/* the next eight bytes of each, highest first; beyond a key's end zeros */
	struct sd_lsm_handle *handles;
};

enum sd_err sd_lsm_index_open(struct sd_lsm_index *x, const void *bytes, size_t n); /* SD_EDAMAGED, SD_ENOMEM; bytes outlive it */
void sd_lsm_index_close(struct sd_lsm_index *x);
size_t sd_lsm_index_memory(const struct sd_lsm_index *x); /* without its bytes */

/* The first block whose key is not before the internal key: the only one that may have it. n: none. */
uint32_t sd_lsm_index_find(const struct sd_lsm_index *x, struct sd_slice internal);
/* The bytes it takes; 0: it makes no sense. */
size_t sd_lsm_handle_get(const char *from, size_t n, struct sd_lsm_handle *h);

#endif
