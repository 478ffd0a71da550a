/* sh_apply.h - adds a batch of clicks to the database, each exactly once.
 *
 *	IDLE --run--> ASKING (version, how far each source is) --> FOLDING (helper thread) --> SKETCHES --> WRITING --> IDLE
 *	                 ^                                                                                |
 *	                 +------------------- somebody else wrote meanwhile: again ------------------------+
 *
 * The transaction that adds the numbers also moves the positions, and only if the version is the one that was read before them: so
 * whoever adds what somebody else has added, or with old sketches, adds nothing. When the answer to a commit was lost, the next try finds
 * the positions moved, and that nothing is left to add.
 */
#ifndef SH_APPLY_H
#define SH_APPLY_H

#include "disk/sql.h"
#include "sh_fold.h"

/* The caller's. Zero it; fill in the first four. */
struct sh_apply {
	struct sd_loop *loop;
	struct sd_helpers *helpers;
	struct sd_sql *(*sql)(void *arg); /* NULL while there is none */
	void *sql_arg;
	/* counted */
	uint64_t batches, conflicts, clicks, again, early, lost, bad;
	/* its own */
	const struct sh_block *blocks;
	size_t n;
	void (*done)(void *arg, const struct sd_error *e);
	void *arg;
	struct sh_fold fold;
	int64_t version;
	unsigned tries;
	uint64_t early_now;
	bool busy, folding, closing;
	struct sd_work work;
	struct sd_timer timer;
	struct sd_error why;
};

/* The blocks stay the caller's and valid until done, which comes on a later turn; one batch at a time. e->code SD_OK: all are added, but
 * those that are early (see sh_fold.h). Else nothing is, or it is not known: to be run again. */
void sh_apply_run(struct sh_apply *a, const struct sh_block *blocks, size_t n, void (*done)(void *arg, const struct sd_error *e), void *arg);
/* The helpers are gone and the loop will not run again: what waits for one of them ends here, without done. False: the database has been
 * asked and will answer yet, when it is closed at the latest; then done is called. */
bool sh_apply_close(struct sh_apply *a);

#endif
