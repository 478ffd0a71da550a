/* lsm_merge.h - many iterators as one, forwards and backwards. */
#ifndef SD_CORE_LSM_MERGE_H
#define SD_CORE_LSM_MERGE_H

#include "lsm_iter.h"

/* Takes the parts (also when it fails), not the array. Of equal keys that of the earlier part comes first. The first part that
 * fails ends it with its error. Of one part nothing has to be merged: it comes back itself. NULL: out of memory. */
struct sd_lsm_iter *sd_lsm_merge_new(struct sd_lsm_iter *const *parts, size_t n);

#endif
