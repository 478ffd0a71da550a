/* lsm_pick.h - which tables of a log-structured tree are merged next, and into which level. Pure: it looks at a version.
 *
 *	leveled	level 0 is what was flushed, and overlaps; levels `base` to 6 are runs, each about `ratio` times the one before. How
 *		large each may be follows from what the last holds (so that at most a tenth of the data lies above it); levels
 *		between 0 and `base` are empty. Level 0 goes into `base` as a whole; of another level that table goes down first that has
 *		least below it for its size. A level 0 of many small tables is merged within itself.
 *	tiered	every level is a run, newer than those below it. Tables of level 0 are merged into a run; older runs are merged with
 *		it only when they are not much larger. Less is written, more is read, and more room is taken.
 *
 * Values that are kept apart from the tables (blobs) die where they are. When more of them is dead than alive, and more than is always
 * fine, and nothing above is due, tables that point to the file with the most dead bytes are written anew in their level (those of
 * level 0 go down), and what is alive leaves the files that are sparse. It comes to rest: a table that was written since a file became
 * sparse does not point to it, and a sparse file that no table points to is dead as a whole, and goes.
 *
 * A plan holds copies of all that it needs: a version may go while it is carried out. One is carried out at a time, and what is
 * flushed meanwhile comes to level 0; nothing else changes.
 *
 * Bounds of tables: smallest and largest are internal keys. A table whose last thing is a range tombstone up to `to` has as its largest
 * (to, SD_LSM_SEQ_MAX, SD_LSM_RANGE_GONE), which is before every entry of the user key `to`: that key does not belong to it (SD_LSM_PAST).
 */
#ifndef SD_CORE_LSM_PICK_H
#define SD_CORE_LSM_PICK_H

#include "lsm_version.h"

enum sd_lsm_style { SD_LSM_LEVELED, SD_LSM_TIERED };

/* Zero means the default. */
struct sd_lsm_pick_conf {
	enum sd_lsm_style style;
	unsigned l0_tables;   /* of level 0, that are merged: 4 */
	unsigned ratio;	      /* of a level to the one above: 10; tiered: how many runs of a size are kept, 4 */
	uint64_t base_bytes;  /* that the first level below 0 holds: 10 MiB */
	uint64_t table_bytes; /* about so large are tables that are made: 2 MiB */
	uint64_t blob_spare;  /* bytes of blobs that may be dead, besides as many as are alive: 64 MiB */
};

/* What the levels hold and should hold. A score of 1 or more is one to be merged. */
struct sd_lsm_shape {
	unsigned base; /* where level 0 goes to */
	uint64_t bytes[SD_LSM_LEVELS], target[SD_LSM_LEVELS];
	double score[SD_LSM_LEVELS];
	uint64_t owed; /* bytes that would have to be read and written until no score is above 1, about */
};
void sd_lsm_shape(const struct sd_lsm_version *v, const struct sd_lsm_pick_conf *conf, struct sd_lsm_shape *s);

enum sd_lsm_why {
	SD_LSM_WHY_L0,	  /* too many tables in level 0 */
	SD_LSM_WHY_SIZE,  /* a level holds too much */
	SD_LSM_WHY_SMALL, /* level 0 within itself */
	SD_LSM_WHY_TIER,  /* too many runs */
	SD_LSM_WHY_GONE,  /* a table is removals mostly */
	SD_LSM_WHY_BLOBS, /* blobs are dead mostly, or may be */
	SD_LSM_WHY_ASKED, /* somebody wants it */
};
const char *sd_lsm_why_text(enum sd_lsm_why why);

struct sd_lsm_input {
	unsigned level;
	struct sd_lsm_file file;
};
struct sd_lsm_span {
	struct sd_slice from, to; /* user keys; both belong to it */
};

struct sd_lsm_plan {
	enum sd_lsm_why why;
	unsigned from, to; /* levels: the newest that it takes from; where what comes out belongs */
	bool move;	   /* the tables only change their level */
	bool one;	   /* all goes into one table, however large: into level 0, whose number is taken before anything else is flushed */
	struct sd_lsm_input *in; /* by level; in level 0 the newest first, in others in order */
	size_t n;
	uint64_t bytes; /* of the inputs */
	struct sd_lsm_span *older; /* where older entries than those of the inputs may be, outside them; in order, apart */
	size_t nolder;
	struct sd_lsm_file *below; /* tables of the level below `to` in its range, in order: what comes out should not lie over many */
	size_t nbelow;
	char *keys; /* all of these */
};
void sd_lsm_plan_free(struct sd_lsm_plan *p); /* fine on zeros */

/* SD_ENOTFOUND: nothing is due. SD_ENOMEM. Nothing may be in flush when a plan is made. */
enum sd_err sd_lsm_pick(const struct sd_lsm_version *v, const struct sd_lsm_pick_conf *conf, struct sd_lsm_plan *p);

/* A range that somebody wants merged down to the last level. Zero it and set from and to (user keys, both belong to it; NULL: no bound),
 * which must outlive it; pick, carry out, and so on until SD_ENOTFOUND. What was written meanwhile may be left. */
struct sd_lsm_asked {
	const struct sd_slice *from, *to;
	unsigned level; /* that is worked on */
};
enum sd_err sd_lsm_pick_asked(const struct sd_lsm_version *v, const struct sd_lsm_pick_conf *conf, struct sd_lsm_asked *a,
			      struct sd_lsm_plan *p);

/* Tables that come out. Zero it, set plan and table_bytes (0: the default). */
struct sd_lsm_cut {
	const struct sd_lsm_plan *plan;
	uint64_t table_bytes;
	size_t at;
	uint64_t over; /* bytes of tables of the level below that this one lies over */
};
/* Should the table that has `size` bytes end before this user key, which is none of its keys? Is asked of keys upwards. */
bool sd_lsm_cut_before(struct sd_lsm_cut *c, struct sd_slice user, uint64_t size);

/* May an entry for this user key that is older than the inputs' be outside them? *at: a place that moves on with keys that only go up;
 * 0 to begin. */
bool sd_lsm_plan_older(const struct sd_lsm_plan *p, size_t *at, struct sd_slice user);
/* The same of any key of [from, to). */
bool sd_lsm_plan_older_in(const struct sd_lsm_plan *p, struct sd_slice from, struct sd_slice to);

#endif
