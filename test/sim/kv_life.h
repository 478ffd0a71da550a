/* kv_life.h - a life of a store on a simulated machine, and its ledger.
 *
 * Everything is done by hand in one thread: batches, removals of ranges, values that end, snapshots,
 *iterators that stay open meanwhile, flushes, merges, checkpoints, closing and opening. The ledger is a list
 *of what each key is. Whenever the store was opened:
 *
 *	1  every batch that was acknowledged is there, whole
 *	2  of one that was not, or not yet, all is there or nothing; none comes after one that is missing
 *	3  what was seen once stays
 *
 * and at all times gets, iterators in both directions and snapshots say what the ledger says, or that they
 *cannot say; also after a write that failed. Where not every write is synced, 1 is about those before the
 *last sync, and 2 and 3 hold. What is found wrong is counted and told by life_good.
 */
#ifndef SIM_KV_LIFE_H
#define SIM_KV_LIFE_H

#include "core/rng.h"
#include "sdlab/kv.h"
#include "world/sim.h"

#define KV_DIR       "store"
#define KV_KEYS      48
#define KV_SNAPSHOTS 3
#define KV_STANDING  2
#define KV_DOUBTS    64

/* What each key is: the number of a value, 0: not there. */
struct kv_state {
	uint64_t id[KV_KEYS];
};
struct kv_seen {
	struct sd_kv_snapshot *snapshot;
	struct kv_state state;
};
/* An iterator that stays open, of the keys from `low` to before `high`. */
struct kv_standing {
	struct sd_kv_iter *i;
	struct kv_state state;
	int low, high, at; /* at: a key, or -1 */
};
struct kv_life {
	struct sd_sim *sim;
	struct sd_world *node;
	const char *dir;
	struct sd_kv *kv;
	struct sd_kv_conf conf;
	struct sd_rng rng;
	struct kv_state state;             /* all that was acknowledged */
	struct kv_state doubts[KV_DOUBTS]; /* and with these one after the other, of which nobody knows */
	size_t ndoubts;
	struct kv_state loose[KV_DOUBTS]; /* of these, oldest first, and of `state` any may be what is left
					     when the power goes */
	size_t nloose;
	struct kv_seen seen[KV_SNAPSHOTS];
	struct kv_standing standing[KV_STANDING];
	uint64_t next_id;
	int64_t now_ms;
	unsigned actions;
	bool full;       /* the disk has a bound: its being full is no failure */
	bool reads_fail; /* reading may fail, and must then say so */
	bool unsure;     /* it could not be read since it was opened: which state it is nobody knows */
	bool syncs_some; /* writes are synced now and then */
	bool killed; /* the program, and the kernel has all it wrote: none of `loose` may be what is left */
	uint64_t lost, strange, opens, refused, acked, told, flushed, merged;
	char what[600];
};

/* A machine, and how a store is set up on it, as the seed says. */
void life_begin(struct kv_life *r, uint64_t seed, enum sd_kv_sync sync);
/* One in four syncs only when it is asked to. */
void life_begin_synced_or_not(struct kv_life *r, uint64_t seed);
void life_end(struct kv_life *r);

/* Boots the machine and opens the store; false when the power went meanwhile, or it was refused. */
bool life_open(struct kv_life *r);
void life_shut(struct kv_life *r);
/* One action by chance; `actions` of them, or until the power goes. */
void life_act(struct kv_life *r);
void life_live(struct kv_life *r);
void life_write(struct kv_life *r);
void life_read(struct kv_life *r);
/* As the snapshot `s` saw it, or NULL: now. */
void life_get(struct kv_life *r, const struct kv_seen *s, unsigned key);
void life_scan(struct kv_life *r, const struct kv_seen *s, bool back);

/* One more life without faults, so that what the last one left is looked at; and written to. */
void life_look(struct kv_life *r);
/* Counts a fault in one of lost, strange, refused, and keeps what the first one was. */
void life_wrong(struct kv_life *r, uint64_t *count, const char *what, uint64_t a, uint64_t b);
/* Fails the test, and prints the trace, when anything was wrong. `n`: the place of the fault, for the
 * message. */
void life_good(struct kv_life *r, uint64_t seed, uint64_t n);

#endif
