/* lsm_blob.h - values that are kept apart from the tables, since moving them with each compaction would cost more than they are worth.
 *
 *	000007.blob:  head (16 bytes: "sdlblob1", version (4), checksum of these 12 (4))  blobs
 *	blob:         checksum of the rest (4)  how it is compressed (1: 0 not, 7 Zstandard)  internal key (text)  value
 *
 * A table has where the blob is and how long, so that one read gets it. Its key is in it so that repair finds it without a table.
 */
#ifndef SD_DISK_LSM_BLOB_H
#define SD_DISK_LSM_BLOB_H

#include "core/lsm_zstd.h"
#include "core/lsm.h"
#include "world/file.h"

#define SD_LSM_BLOB_HEAD 16
#define SD_LSM_BLOB_REF  30 /* bytes of a reference at most */

/* The whole blob, not its value only. As bytes three varints; a table's entry has them as its value. */
struct sd_lsm_blob_ref {
	uint64_t file, at, n;
};
size_t sd_lsm_blob_ref_put(char to[SD_LSM_BLOB_REF], const struct sd_lsm_blob_ref *ref);
bool sd_lsm_blob_ref_get(struct sd_slice bytes, struct sd_lsm_blob_ref *ref);

/* ---- writing: one thread ---- */

struct sd_lsm_blob_out;
/* A new file; level 0: not compressed. */
enum sd_err sd_lsm_blob_create(struct sd_world *w, const char *dir, uint64_t number, int zstd_level, struct sd_lsm_blob_out **out,
			       struct sd_error *e);
/* After an error it is of no more use. */
enum sd_err sd_lsm_blob_add(struct sd_lsm_blob_out *o, struct sd_slice internal, struct sd_slice value, struct sd_lsm_blob_ref *ref,
			    struct sd_error *e);
uint64_t sd_lsm_blob_bytes(const struct sd_lsm_blob_out *o); /* of the file, so far */
/* Writes and syncs what is left. The name is not synced: sd_dir_sync. Frees it in any case. */
enum sd_err sd_lsm_blob_end(struct sd_lsm_blob_out *o, struct sd_error *e);
void sd_lsm_blob_abandon(struct sd_lsm_blob_out *o); /* the file stays; NULL is fine */

/* ---- reading ---- */

/* What is in the head of a file. SD_EDAMAGED, SD_EUNSUPPORTED: a newer version. name for the text. */
enum sd_err sd_lsm_blob_head(const char head[SD_LSM_BLOB_HEAD], const char *name, struct sd_error *e);
/* The blob in n bytes. *key is in them; *value too, or in *memory, which is the caller's to free (NULL: none). */
enum sd_err sd_lsm_blob_open(struct sd_lsm_zstd *z, const char *p, size_t n, struct sd_slice *key, struct sd_slice *value, void **memory);

#endif
