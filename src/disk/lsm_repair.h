/* lsm_repair.h - a new store of what can be read of one that is damaged, which stays as it is: nothing in it is changed or locked.
 *
 * What counts is what the manifest says, if it can be read; else every table and log in the folder. Of a damaged table the blocks that are
 * whole are taken, of a damaged log the records that are; of each key the newest version that is left. Calls block.
 */
#ifndef SD_DISK_LSM_REPAIR_H
#define SD_DISK_LSM_REPAIR_H

#include "core/text.h"
#include "sdlab/err.h"
#include "world/world.h"

struct sd_lsm_repaired {
	uint64_t keys;		       /* that the new store has */
	uint64_t tables, logs;	       /* read */
	uint64_t lost_tables, lost_blocks, lost_records, lost_values;
	bool manifest;		       /* could be read */
	struct sd_text lost;	       /* a line for each thing that could not be read; the caller's to free */
};

/* `to` is a new folder, or an empty one: SD_EEXISTS. SD_ENOTFOUND: there is no folder `from`, or nothing of a store in it. */
enum sd_err sd_lsm_repair(struct sd_world *w, const char *from, const char *to, struct sd_lsm_repaired *out, struct sd_error *e);

#endif
