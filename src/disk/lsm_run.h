/* lsm_run.h - tables of one level, one after the other, as a compaction reads them: forward only, and past the cache. */
#ifndef SD_DISK_LSM_RUN_H
#define SD_DISK_LSM_RUN_H

#include "core/lsm_iter.h"
#include "core/lsm_pick.h"

struct sd_lsm_tables;

/* In order; they outlive it. Only `first`, `next` and `free` may be called. One table is open at a time. NULL: out of memory. */
struct sd_lsm_iter *sd_lsm_run_new(struct sd_lsm_tables *tables, const struct sd_lsm_input *in, size_t n);

#endif
