/* lsm_compact.h - carries out a plan of lsm_pick.h: reads the tables, sifts what they hold, and writes new ones, in slices.
 *
 *	begin --> step, step ... (each a budget of bytes) --> done: made tables are on the disk, and their names
 *	                        \--> failed: what was made is removed
 *
 * The tables count when the caller's edit of the manifest says so: the inputs go, the made ones come in level plan.to. Nothing refers to
 * made tables before; free with `keep` false removes them. A step may run on any thread, one at a time; versions may change meanwhile, as
 * long as the inputs stay. A plan that moves needs none of this.
 */
#ifndef SD_DISK_LSM_COMPACT_H
#define SD_DISK_LSM_COMPACT_H

#include "core/lsm_pick.h"
#include "core/lsm_sift.h"
#include "world/world.h"

struct sd_lsm_tables; /* lsm_tables.h */
struct sd_lsm_compact;

/* All of it, and the plan, must outlive the compaction; snapshots are as they are when it begins. */
struct sd_lsm_compact_env {
	struct sd_world *world;
	const char *dir;
	struct sd_lsm_tables *tables;
	bool own;	  /* sdlab's format, not LevelDB's */
	bool plain;	  /* own: nothing is compressed; otherwise levels from 3 on */
	bool no_filter;
	uint64_t table_bytes; /* 0: 2 MiB */
	size_t block_bytes;   /* 0: 4096 */
	const uint64_t *snapshots; /* upwards */
	size_t nsnapshots;
	const uint64_t *sparse; /* own: blob files whose values move to a new one; NULL, 0: none */
	size_t nsparse;
	int64_t now_ms;		/* 0: no value ends */
	uint64_t (*new_number)(void *arg); /* of a file, never used before */
	void *arg;
};

/* Bytes of values in a blob file that nothing refers to any more, because of this compaction. */
struct sd_lsm_dead {
	uint64_t blob, bytes;
};

struct sd_lsm_compact_result {
	const struct sd_lsm_file *made; /* in order */
	size_t nmade;
	const struct sd_lsm_dead *dead;
	size_t ndead;
	uint64_t blob, blob_bytes; /* a blob file that was made: 0: none; bytes of values */
	uint64_t read, written; /* bytes */
	uint64_t taken, kept;	/* entries */
};

/* SD_ENOMEM, and those of opening tables. */
enum sd_err sd_lsm_compact_begin(const struct sd_lsm_plan *plan, const struct sd_lsm_compact_env *env, struct sd_lsm_compact **out,
				 struct sd_error *e);
/* Goes on until about so many bytes were read. *done: all is made. After an error (SD_EDAMAGED with the table's name, SD_ENOSPC, SD_EIO) it
 * can only be freed. */
enum sd_err sd_lsm_compact_step(struct sd_lsm_compact *c, uint64_t bytes, bool *done, struct sd_error *e);
/* When it is done; until it is freed. */
void sd_lsm_compact_result(const struct sd_lsm_compact *c, struct sd_lsm_compact_result *r);
void sd_lsm_compact_free(struct sd_lsm_compact *c, bool keep); /* NULL is fine */

#endif
