/* lsm_manifest.h - the log of edits that says which tables a store has, and the file CURRENT, which names it.
 *
 *	CURRENT holds "MANIFEST-000005\n". It is replaced by a rename, when all of the new manifest is on the disk, so that it always
 *	names one that is whole.
 */
#ifndef SD_DISK_LSM_MANIFEST_H
#define SD_DISK_LSM_MANIFEST_H

#include "core/lsm_version.h"
#include "world/file.h"

#define SD_LSM_NAME 40 /* room for the name of any file of a store */

/* "DIR/NAME"; NULL: out of memory. */
char *sd_lsm_path(const char *dir, const char *name);
/* A whole file of the folder with a 0 behind it, for free; SD_ETOOBIG: more than `most` bytes. */
enum sd_err sd_lsm_read_whole(struct sd_world *w, const char *dir, const char *name, uint64_t most, char **out, size_t *n,
			      struct sd_error *e);
/* Writes a file of the folder anew and syncs it, not its name. */
enum sd_err sd_lsm_write_whole(struct sd_world *w, const char *dir, const char *name, struct sd_slice bytes, struct sd_error *e);
/* Replaces CURRENT, on the disk when this returns. *unsure: it failed so late that nobody knows what CURRENT says after a crash. */
enum sd_err sd_lsm_set_current(struct sd_world *w, const char *dir, const char *manifest, bool *unsure, struct sd_error *e);

struct sd_lsm_manifest_found {
	char name[SD_LSM_NAME]; /* of the manifest */
	bool torn;		/* its end is not whole, from torn_at on: nothing of it counts */
	uint64_t torn_at;
};
/* Reads CURRENT and what it names into a zeroed version. SD_ENOTFOUND: no CURRENT. */
enum sd_err sd_lsm_manifest_read(struct sd_world *w, const char *dir, struct sd_lsm_version *v, struct sd_lsm_manifest_found *found,
				 struct sd_error *e);

/* One that is written to. Zero it. */
struct sd_lsm_manifest {
	struct sd_world *world;
	const char *dir; /* outlives it */
	struct sd_file *file;
	uint64_t number, bytes, first_bytes; /* of the first record, which says all */
	bool broken;			     /* what is on the disk is unknown */
	struct sd_text out;
};
/* Makes a new one that says all of v, and CURRENT names it. After an error the one before is as it was, unless `broken`: then it is
 * unknown which of them counts. */
enum sd_err sd_lsm_manifest_begin(struct sd_lsm_manifest *m, uint64_t number, const struct sd_lsm_version *v, struct sd_error *e);
/* An edit more, on the disk when this returns. SD_ENOSPC and not broken: nothing happened. */
enum sd_err sd_lsm_manifest_add(struct sd_lsm_manifest *m, struct sd_slice edit, struct sd_error *e);
/* Has it grown so much that a new one is due? */
bool sd_lsm_manifest_is_long(const struct sd_lsm_manifest *m);
void sd_lsm_manifest_close(struct sd_lsm_manifest *m);

#endif
