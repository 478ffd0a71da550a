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

/* A table; smallest and largest are internal keys and belong to `shared`. What is 0 below `largest` is not known (LevelDB's format). */
struct sd_lsm_file {
	uint64_t number, size;
	struct sd_slice smallest, largest;
	uint64_t entries, gone;	       /* entries, and how many of them are removals (single or of ranges) */
	uint64_t oldest_seq, newest_seq;
	uint64_t ends_ms;	       /* all of it ended by then; 0: not all of it ends */
	bool has_ranges;	       /* of keys that are gone */
	uint64_t first_blob, last_blob; /* files of blobs that it points to lie between these, which belong to it; both 0: none */
	struct sd_lsm_shared *shared; /* what versions share of it; filled in by sd_lsm_version_add */
};
/* Tail of a largest key that does not belong to its table: there a range of keys that are gone ends. */
#define SD_LSM_PAST (SD_LSM_SEQ_MAX << 8 | SD_LSM_RANGE_GONE)
/* Is all of it before the user key? */
static inline bool sd_lsm_file_is_before(const struct sd_lsm_file *f, struct sd_slice user)
{
	int c = sd_lsm_bytewise(sd_lsm_user(f->largest), user);
	return c < 0 || (c == 0 && sd_lsm_tail(f->largest) == SD_LSM_PAST);
}
struct sd_lsm_level {
	struct sd_lsm_file *files;
	size_t n, room;
	struct sd_slice pointer; /* the largest key of the last compaction, an internal key; n 0: none */
};
/* A file of values that are kept apart from keys. */
struct sd_lsm_blob_file {
	uint64_t number, size; /* bytes of values */
	uint64_t dead;	       /* of these are referred to by nothing */
	/* When more than half is dead, it is sparse: values leave it with each merge from then on, so that no table with this number or a
	 * higher one points to it. 0: it is not. */
	uint64_t sparse_from;
	struct sd_lsm_shared *shared;
};

struct sd_lsm_place {
	unsigned level;
	size_t at; /* in the level */
};

struct sd_lsm_version {
	struct sd_lsm_level levels[SD_LSM_LEVELS];
	struct sd_lsm_place *ranged; /* the tables that have ranges of keys that are gone, from sd_lsm_version_end on */
	size_t nranged;
	struct sd_lsm_blob_file *blobs; /* as they were added */
	size_t nblobs, blob_room;
	uint64_t log, previous_log; /* logs with these numbers or higher are not in tables yet */
	uint64_t next_file, last_seq;
	uint64_t now_ms; /* the highest time that was seen; own format only */
	bool has_log, has_next_file, has_last_seq, has_comparator;
};
void sd_lsm_version_free(struct sd_lsm_version *v);
/* The same; `gone` is told each file that no version has any more. */
void sd_lsm_version_let_go(struct sd_lsm_version *v, void (*gone)(void *arg, uint64_t number, bool blob), void *arg);
/* A copy in zeroed memory, that shares what tables are. False: out of memory; free it all the same. Many threads may copy one. */
bool sd_lsm_version_copy(struct sd_lsm_version *to, const struct sd_lsm_version *from);
/* Applies a record of a manifest. SD_EDAMAGED, SD_EUNSUPPORTED (another comparator), SD_ENOMEM; then it is of no more use. */
enum sd_err sd_lsm_version_apply(struct sd_lsm_version *v, struct sd_slice edit, struct sd_error *e);
/* After the last edit: puts tables in order, notes which have ranges and which blob files became sparse, and judges the whole. SD_ENOMEM
 * too. */
enum sd_err sd_lsm_version_end(struct sd_lsm_version *v, struct sd_error *e);
/* The table of a level above 0 that would have the user key; NULL: none. */
const struct sd_lsm_file *sd_lsm_version_find(const struct sd_lsm_version *v, unsigned level, struct sd_slice user);
uint64_t sd_lsm_level_bytes(const struct sd_lsm_level *l);

/* An edit that makes an empty manifest say all of this, appended. */
void sd_lsm_version_put(const struct sd_lsm_version *v, struct sd_text *edit);
/* A table more; keys are copied. False: out of memory. */
bool sd_lsm_version_add(struct sd_lsm_version *v, unsigned level, const struct sd_lsm_file *f);

/* ---- edits ----
 *
 * An edit is the bytes of a manifest's record: what is done to a version in memory and what recovery reads is the same thing. Start
 * with an empty text, put in what changes, hand it to sd_lsm_version_apply (on a copy) and the manifest. edit->full: out of memory.
 */
/* own: also what LevelDB's manifests do not tell (entries and so on). */
void sd_lsm_edit_add(struct sd_text *edit, unsigned level, const struct sd_lsm_file *f, bool own);
void sd_lsm_edit_remove(struct sd_text *edit, unsigned level, uint64_t number);
void sd_lsm_edit_pointer(struct sd_text *edit, unsigned level, struct sd_slice internal);
void sd_lsm_edit_log(struct sd_text *edit, uint64_t log);	     /* logs before this one are not needed any more */
void sd_lsm_edit_next_file(struct sd_text *edit, uint64_t next_file);
void sd_lsm_edit_last_seq(struct sd_text *edit, uint64_t last_seq);
/* Own format only, as all that follow. */
void sd_lsm_edit_now(struct sd_text *edit, uint64_t now_ms);
void sd_lsm_edit_add_blob(struct sd_text *edit, uint64_t number, uint64_t size);
void sd_lsm_edit_remove_blob(struct sd_text *edit, uint64_t number);
void sd_lsm_edit_dead_blob(struct sd_text *edit, uint64_t number, uint64_t bytes); /* so many more are dead */

#endif
