/* lsm_blob_move.h - values leave blob files of which most is dead: while tables are merged, those that stay are written to a new one,
 * so that the old ones go. One thread.
 */
#ifndef SD_DISK_LSM_BLOB_MOVE_H
#define SD_DISK_LSM_BLOB_MOVE_H

#include "core/text.h"
#include "lsm_tables.h"

struct sd_lsm_blob_move_conf {
	struct sd_world *world;
	const char *dir;
	struct sd_lsm_tables *tables;
	const uint64_t *from; /* files that are left; NULL, 0: none */
	size_t nfrom;
	int zstd_level;
	uint64_t (*new_number)(void *arg);
	void *arg;
};

/* Zero it, set conf; entries; end when all of them are there, which syncs the file but not its name; free. */
struct sd_lsm_blob_move {
	struct sd_lsm_blob_move_conf conf;
	struct sd_lsm_blob_out *out;
	uint64_t number, bytes; /* of the new file: 0: there is none; of blobs in it */
	struct sd_text key, value;
};
/* *value: as a table has it; when it moved it is the new place, until the next call, and *was the old one (otherwise was->file is 0). */
enum sd_err sd_lsm_blob_move_entry(struct sd_lsm_blob_move *m, struct sd_slice internal, struct sd_slice *value,
				   struct sd_lsm_blob_ref *was, struct sd_error *e);
enum sd_err sd_lsm_blob_move_end(struct sd_lsm_blob_move *m, struct sd_error *e);
void sd_lsm_blob_move_free(struct sd_lsm_blob_move *m, bool keep); /* keep: the file stays */

/* The place in what a table has as the value of an entry. False: it is no blob's. */
bool sd_lsm_blob_place(enum sd_lsm_kind kind, struct sd_slice value, struct sd_lsm_blob_ref *ref);

#endif
