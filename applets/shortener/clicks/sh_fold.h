/* sh_fold.h - many clicks as few rows: what a batch adds to the tables of statistics. Pure.
 *
 * Blocks go in one after another; those that were counted before, as the positions say, do not count. Then the rows are
 * asked for, each (table, link, time, kind, name) once and in that order, so that whoever writes them takes locks in one order.
 * Link 0 has the sum of all.
 */
#ifndef SH_FOLD_H
#define SH_FOLD_H

#include "core/hll.h"
#include "core/user_agent.h"
#include "sh_entry.h"

#define SH_HOUR_MS 3600000ll
#define SH_DAY_MS  86400000ll

enum sh_table { SH_HOURS, SH_DAYS, SH_SHARES_TABLE, SH_ORPHANS };

struct sh_row {
	uint8_t table;	      /* enum sh_table */
	uint8_t kind;	      /* of shares: enum sh_share_kind */
	uint64_t link;
	int64_t when;	      /* hours or days since 1970; of orphans: ms of the last one */
	struct sd_slice name; /* of shares and orphans; points into the blocks, or is a constant */
	int64_t n[SD_CLIENT_KINDS]; /* shares and orphans: the first only */
};

struct sh_visit {
	uint64_t link;
	int64_t day;
	uint64_t hash;
};

/* How far a source is. */
struct sh_position {
	uint64_t source, seq;
	bool known; /* the database had it */
	bool moved; /* this batch moves it */
};

struct sh_fold {
	struct sh_position *positions;
	size_t npositions;
	struct sh_entry *entries;
	size_t nentries, entry_room;
	struct sh_row *rows;
	size_t nrows, row_room;
	struct sh_visit *visits; /* sorted, each once */
	size_t nvisits, visit_room;
	uint64_t clicks;	 /* entries that counted */
	uint64_t again;		 /* blocks that were counted before */
	uint64_t early;		 /* blocks before which others are missing: they come again, behind these */
	uint64_t lost;		 /* blocks that are missing for good */
	uint64_t bad;		 /* blocks that are none, or not to their end */
	bool full;		 /* out of memory: to be freed */
};

/* The sources of these blocks, each once, position 0. False: out of memory. */
bool sh_fold_begin(struct sh_fold *f, const struct sh_block *blocks, size_t n);
/* After the positions were filled in. */
void sh_fold_add(struct sh_fold *f, const struct sh_block *blocks, size_t n);
void sh_fold_finish(struct sh_fold *f);
void sh_fold_free(struct sh_fold *f);

#endif
