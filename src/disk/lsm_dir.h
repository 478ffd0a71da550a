/* lsm_dir.h - the folder of a log-structured store in LevelDB's format, for reading only: nothing in it is changed, also not when
 * something is wrong with it.
 *
 *	CURRENT -> MANIFEST-000005 -> which tables there are, and which logs are not in tables yet
 *
 * The writes of logs are kept in memory, in order; tables are opened when they are needed. All calls block as files do: for tools.
 */
#ifndef SD_DISK_LSM_DIR_H
#define SD_DISK_LSM_DIR_H

#include "core/lsm_table.h"
#include "core/lsm_version.h"
#include "world/file.h"

/* A write out of a log. */
struct sd_lsm_write {
	struct sd_slice key, value; /* internal key; both of one piece of memory that key.p is */
	uint64_t log;
};

struct sd_lsm_dir {
	struct sd_world *world;
	char *path, *manifest;
	struct sd_lsm_version version;
	struct sd_lsm_write *writes; /* in the order of internal keys */
	size_t nwrites, room, nlogs;
	uint64_t log_bytes;
	struct sd_text notes; /* a line for each thing that is odd and harmless: a torn tail */
};

/* SD_ENOTFOUND: no such folder, or none of a store; SD_EDAMAGED: "MANIFEST-000005: record at 32768 is damaged"; and those of files. */
enum sd_err sd_lsm_dir_open(struct sd_world *w, const char *path, struct sd_lsm_dir **out, struct sd_error *e);
void sd_lsm_dir_close(struct sd_lsm_dir *d); /* NULL is fine */

/* A table of the folder, open. */
struct sd_lsm_open_table {
	struct sd_file *file;
	struct sd_lsm_table table;
	char name[32]; /* "000005.ldb" */
};
enum sd_err sd_lsm_table_find(struct sd_lsm_dir *d, const struct sd_lsm_file *f, struct sd_lsm_open_table *t, struct sd_error *e);
void sd_lsm_table_let_go(struct sd_lsm_open_table *t); /* fine on zeros */

/* What looking a key up found, and what it took. Zero it; free it with sd_lsm_answer_free. */
struct sd_lsm_answer {
	bool there;
	uint64_t seq;
	struct sd_text value;
	char where[64];	       /* "000004.log", "L2 000005.ldb": where it, or its removal, was */
	struct sd_text spared; /* tables that a filter said it is not in: " 000007.ldb" each */
	unsigned looked;       /* tables that were read */
};
enum sd_err sd_lsm_dir_get(struct sd_lsm_dir *d, struct sd_slice user, struct sd_lsm_answer *found, struct sd_error *e);
void sd_lsm_answer_free(struct sd_lsm_answer *found);

/* Every write that is there, the newest of a key first, from a user key on. `each` is told the newest of each key only, unless `all`;
 * what it returns other than SD_OK ends the walk. */
struct sd_lsm_walk {
	struct sd_slice from;
	bool all; /* also removals, and what was overwritten */
	enum sd_err (*each)(struct sd_lsm_walk *w, struct sd_slice internal, struct sd_slice value, struct sd_error *e);
	void *arg;
};
enum sd_err sd_lsm_dir_walk(struct sd_lsm_dir *d, struct sd_lsm_walk *walk, struct sd_error *e);

#endif
