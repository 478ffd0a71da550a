/* pool_int.h - what the files of the pool's engine share. */
#ifndef SD_CORE_POOL_INT_H
#define SD_CORE_POOL_INT_H

#include "list.h"
#include "rng.h"
#include "sdlab/pool.h"

enum slot_state { SLOT_FREE, SLOT_OPENING, SLOT_CHECKING, SLOT_IDLE, SLOT_LENT, SLOT_CLOSING };
enum { SLOT_STATES = SLOT_CLOSING + 1 };
enum waiter_place { WAITER_OUT, WAITER_QUEUED, WAITER_DONE };

#define RECLAIMED_KEPT 4

struct slot {
	struct sd_link link; /* of the list of its state: free, idle, lent; or todo */
	void *resource;
	uint64_t number;    /* LENT: of its lease */
	uint64_t reclaimed[RECLAIMED_KEPT]; /* the last leases that were taken back from it; 0: none */
	int64_t since_ns;   /* when it became IDLE or LENT */
	int64_t expires_ns; /* its life ends */
	struct sd_pool_holder holder;
	uint32_t index;
	uint8_t state, why, reclaims;
};

struct waiters {
	struct sd_pool_waiter *first, *last;
};

struct sd_pool {
	struct sd_pool_conf conf;
	struct sd_rng rng;
	struct slot **slots; /* a slot, once made, stays where it is */
	uint32_t nslots, room;
	uint32_t n[SLOT_STATES]; /* slots in each state */
	uint32_t nwaiting;
	struct sd_link free, idle, lent, todo; /* idle: used last in front; lent: longest in front */
	struct slot *unsaid;                   /* the first in lent that was not said to leak; NULL: none */
	struct waiters queue, done;
	int64_t waiters_due_ns;  /* no deadline in the queue is before it */
	int64_t lives_due_ns;    /* nobody's life ends before it */
	int64_t retry_ns;        /* not to open anything before; 0 when the other side is not known to be down */
	bool ordered;            /* the deadlines in the queue rise */
	bool shut;
	uint32_t failures; /* opens that failed since one worked */
	uint64_t issued;   /* leases */
	uint64_t served_at_once; /* not in waits yet */
	struct sd_hdr *waits;
	char last_failure[128];
	struct sd_pool_stats count; /* what only grows */
};

/* Slots that hold room. */
static inline uint32_t pool_size(const struct sd_pool *p)
{
	return p->nslots - p->n[SLOT_FREE];
}
void pool_enqueue(struct sd_pool *p, struct sd_pool_waiter *w, int64_t now_ns);
/* Out of the queue, answered: the next GRANT. */
void pool_answer(struct sd_pool *p, struct sd_pool_waiter *w, enum sd_err err);
void pool_dequeue(struct sd_pool *p, struct sd_pool_waiter *w);
struct sd_pool_waiter *pool_pop_done(struct sd_pool *p);
void pool_forget_done(struct sd_pool *p, struct sd_pool_waiter *w);
/* Answers those whose deadline has come. */
void pool_expire_waiters(struct sd_pool *p, int64_t now_ns);
int64_t pool_waiters_due(const struct sd_pool *p);

#endif
