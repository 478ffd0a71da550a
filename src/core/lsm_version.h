/* lsm_version.h - which tables a store has, level by level, and the edits of a manifest that say so.
 *
 * In level 0 tables may overlap, and the one with the higher number is newer; in the others they do not, and lie in order.
 */
#ifndef SD_CORE_LSM_VERSION_H
#define SD_CORE_LSM_VERSION_H

#include "lsm.h"
#include "sdlab/err.h"
#include "text.h"

#define SD_LSM_COMPARATOR "leveldb.BytewiseComparator"

/* A table; smallest and largest are internal keys and belong to it. */
struct sd_lsm_file {
	uint64_t number, size;
	struct sd_slice smallest, largest;
};
struct sd_lsm_level {
	struct sd_lsm_file *files;
	size_t n, room;
	struct sd_slice pointer; /* the largest key of the last compaction, an internal key; n 0: none */
};

struct sd_lsm_version {
	struct sd_lsm_level levels[SD_LSM_LEVELS];
	uint64_t log, previous_log; /* logs with these numbers or higher are not in tables yet */
	uint64_t next_file, last_seq;
	bool has_log, has_next_file, has_last_seq, has_comparator;
};
void sd_lsm_version_free(struct sd_lsm_version *v);
/* Applies a record of a manifest. SD_EDAMAGED, SD_EUNSUPPORTED (another comparator), SD_ENOMEM; then it is of no more use. */
enum sd_err sd_lsm_version_apply(struct sd_lsm_version *v, struct sd_slice edit, struct sd_error *e);
/* After the last edit: puts tables in order and judges the whole. */
enum sd_err sd_lsm_version_end(struct sd_lsm_version *v, struct sd_error *e);
/* The table of a level above 0 that would have the user key; NULL: none. */
const struct sd_lsm_file *sd_lsm_version_find(const struct sd_lsm_version *v, unsigned level, struct sd_slice user);
uint64_t sd_lsm_level_bytes(const struct sd_lsm_level *l);

/* An edit that makes an empty manifest say all of this, appended. */
void sd_lsm_version_put(const struct sd_lsm_version *v, struct sd_text *edit);
/* A table more; keys are copied. False: out of memory. */
bool sd_lsm_version_add(struct sd_lsm_version *v, unsigned level, const struct sd_lsm_file *f);

#endif
