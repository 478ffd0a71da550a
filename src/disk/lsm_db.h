/* lsm_db.h - the engine behind sdlab/kv.h: what the house uses of a struct sd_kv besides what everybody may.
 *
 *	lsm_db_open.c        a folder becomes a store: lock, format, manifest, logs that are replayed
 *	lsm_db_write.c       writers queue, the first of them writes one record of the log for all and syncs once
 *	lsm_db_read.c        get: memtable, immutable memtables, level 0 newest first, levels 1 to 6
 *	lsm_db_scan.c        iterators, snapshots
 *	lsm_db_flush.c       an immutable memtable becomes a table of level 0
 *	lsm_db_work.c        what is done in the background, one piece a call
 *	lsm_db_checkpoint.c  another folder with the same tables
 *	lsm_db_show.c        figures, and where an answer came from
 *	lsm_view.h           what readers see: memtables and a version, never changed, counted
 *	lsm_manifest.h       the log of edits, and CURRENT
 *
 * Order of things on the disk: a table is synced, then its name, then the edit that speaks of it, and only then are files removed
 * that no version has. A log is synced before the first write to the next one is acknowledged, so that no log has a hole behind it.
 */
#ifndef SD_DISK_LSM_DB_H
#define SD_DISK_LSM_DB_H

#include "core/lsm_version.h"
#include "sdlab/kv.h"

/* Calls fn with each live file number's name ("000005.sst") of the store's tables, as they are now; for tests and tools. */
void sd_lsm_db_tables(struct sd_kv *kv, void (*fn)(void *arg, unsigned level, const struct sd_lsm_file *f), void *arg);

#endif
