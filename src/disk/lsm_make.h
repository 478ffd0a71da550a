/* lsm_make.h - a new folder of a store from keys in order: tables, a manifest, CURRENT. It is there whole, on the disk, or has no
 * CURRENT and is none. Calls block. */
#ifndef SD_DISK_LSM_MAKE_H
#define SD_DISK_LSM_MAKE_H

#include "lsm_dir.h"

#define SD_LSM_TABLE_BYTES (2u << 20) /* of a table, about */

struct sd_lsm_make;

/* Makes the folder (mode 0700) when it is not there. SD_EEXISTS: it has a store, or anything else, in it. */
enum sd_err sd_lsm_make_begin(struct sd_world *w, const char *path, struct sd_lsm_make **out, struct sd_error *e);
/* User keys in their order, each once. */
enum sd_err sd_lsm_make_add(struct sd_lsm_make *m, struct sd_slice user, struct sd_slice value, struct sd_error *e);
/* Everything is on the disk and has its name when this returns SD_OK. */
enum sd_err sd_lsm_make_end(struct sd_lsm_make *m, struct sd_error *e);
uint64_t sd_lsm_make_tables(const struct sd_lsm_make *m);
uint64_t sd_lsm_make_bytes(const struct sd_lsm_make *m); /* of the tables */
void sd_lsm_make_free(struct sd_lsm_make *m); /* NULL is fine */

#endif
