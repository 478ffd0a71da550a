/* lsm_sift.h - which entries of a merged stream stay when tables are merged. Pure.
 *
 * An entry goes when nobody can see a difference, now or through a snapshot:
 *
 *	1  a newer entry of its user key is there, and no snapshot between the two
 *	2  a range tombstone is over it, and no snapshot between the two
 *	3  it is a removal, and nothing older of its user key is left: neither here nor deeper
 *	4  it is a removal, and the next older entry of its user key that is left is a removal
 *
 * A value whose time has come is turned into a removal first.
 */
#ifndef SD_CORE_LSM_SIFT_H
#define SD_CORE_LSM_SIFT_H

#include "lsm.h"
#include "sdlab/err.h"
#include "text.h"

struct sd_lsm_sift_conf {
	const uint64_t *snapshots; /* sequence numbers that somebody may still read at, upwards; apart from the newest there is */
	size_t nsnapshots;
	int64_t now_ms; /* ENDING values that end then or earlier are gone; 0: none ends */
	/* The newest range tombstone at or before seq that covers the user key; 0: none. NULL: there are none at all. */
	uint64_t (*covers)(void *arg, struct sd_slice user, uint64_t seq);
	/* May something older of the key be deeper? NULL: it may. Is asked of keys upwards. */
	bool (*older)(void *arg, struct sd_slice user);
	/* What stays, in order. `fresh`: the first of its user key. The slices are good during the call. */
	enum sd_err (*keep)(void *arg, struct sd_slice internal, struct sd_slice value, bool fresh, struct sd_error *e);
	/* What does not, as it was; NULL: nobody asks. */
	void (*drop)(void *arg, enum sd_lsm_kind kind, struct sd_slice value);
	void *arg;
};

/* Zero it, set conf; take entries in the order of internal keys; end. */
struct sd_lsm_sift {
	struct sd_lsm_sift_conf conf;
	struct sd_text user;	/* the user key of the last entry */
	uint64_t seq;		/* of the last entry */
	bool begun, waits, fresh; /* waits: the removal with wait_seq stays or goes with what comes next; fresh: nothing of this key stayed yet */
	uint64_t wait_seq;
	uint64_t taken, kept, shadowed, covered, ended, gone; /* what became of them: gone: removals */
};
enum sd_err sd_lsm_sift_take(struct sd_lsm_sift *s, struct sd_slice internal, struct sd_slice value, struct sd_error *e);
enum sd_err sd_lsm_sift_end(struct sd_lsm_sift *s, struct sd_error *e);
void sd_lsm_sift_free(struct sd_lsm_sift *s);

/* The smallest snapshot that sees what has this sequence number; SD_LSM_SEQ_MAX: only the newest. */
uint64_t sd_lsm_sift_seen_by(const struct sd_lsm_sift_conf *c, uint64_t seq);
/* May a range tombstone go, of which [from, to) is what is left? older_in: is anything older deeper in that range? */
static inline bool sd_lsm_sift_range_goes(const struct sd_lsm_sift_conf *c, uint64_t seq, bool older_in)
{
	return !older_in && (c->nsnapshots == 0 || c->snapshots[0] >= seq);
}

#endif
