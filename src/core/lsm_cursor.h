/* lsm_cursor.h - what a user sees among internal keys: of each key the newest version of a snapshot, unless it was removed or
 * has ended. */
#ifndef SD_CORE_LSM_CURSOR_H
#define SD_CORE_LSM_CURSOR_H

#include "lsm_iter.h"
#include "lsm_ranges.h"
#include "text.h"

struct sd_lsm_cursor_conf {
	struct sd_lsm_iter *in;	      /* belongs to the cursor from then on */
	struct sd_lsm_ranges *ranges; /* likewise one reference of it; NULL: none */
	uint64_t seq;		      /* the snapshot */
	int64_t now_ms;		      /* values that end then or earlier are not there; 0: none ends */
	struct sd_slice from, to;     /* keys from `from` on and before `to`; to.p NULL: to the end. They outlive the cursor */
};

/* Begins nowhere. The parts with names may be read, and conf.now_ms set; the others are its own. */
struct sd_lsm_cursor {
	bool valid;
	struct sd_slice key, value; /* the user's key; the value as it was added (with when it ends). Until it moves */
	enum sd_lsm_kind kind;
	uint64_t seq;
	enum sd_err err; /* as of an iterator */
	const struct sd_error *why;
	struct sd_lsm_cursor_conf conf;
	struct sd_text user, kept, sought; /* the key in hand; a value found on the way back; scratch */
	bool back;			   /* the iterator is before the key in hand, which is in `user` and `kept` */
};
void sd_lsm_cursor_open(struct sd_lsm_cursor *c, const struct sd_lsm_cursor_conf *conf);
void sd_lsm_cursor_close(struct sd_lsm_cursor *c);
void sd_lsm_cursor_first(struct sd_lsm_cursor *c);
void sd_lsm_cursor_last(struct sd_lsm_cursor *c);
void sd_lsm_cursor_seek(struct sd_lsm_cursor *c, struct sd_slice user);	  /* the first that is not before it */
void sd_lsm_cursor_before(struct sd_lsm_cursor *c, struct sd_slice user); /* the last that is before it */
void sd_lsm_cursor_next(struct sd_lsm_cursor *c);			  /* valid before */
void sd_lsm_cursor_prev(struct sd_lsm_cursor *c);			  /* valid before */

#endif
