/* pool.h - things that are dear to open, lent again and again: connections above all.
 *
 * The life of a resource. Words on arrows are what was asked of the pool or reported to it; in capitals, what it asks for:
 *
 *	                  failed: after a while, again
 *	                 +------------+
 *	                 v            |
 *	(room) --OPEN--> opening -----+
 *	                    | opened
 *	                    +-----------------> to the first that waits, if any
 *	                    v                                    |
 *	        +--------> idle ----- borrow ---------------> lent ----- LEAK (said once, after leak_ns)
 *	        |           |  |                             ^ | | |
 *	        |           |  +- borrow, idle long -CHECK-> | | | +- take_out: the caller's from now on
 *	        |           |          (bad: closing)        | | +--- reclaim_ns: the lease ends; a late put is told so
 *	        |           |                                | |                |
 *	        +-----------|--------- put, nobody waits ----|-+- put broken,   |
 *	                    |                                |    or too old    |
 *	       idle_timeout, max_lifetime, not quiet         |        |         |
 *	                    v                                         v         v
 *	                 closing <------------------------------------+---------+
 *	                    | CLOSE, closed
 *	                    v
 *	                 (room)
 *
 * There are three ways to have one:
 *
 *   - struct sd_pool, the engine: no thread, lock, clock, or socket. Time is handed in, and what it wants done comes out of
 *     sd_pool_next, so that it fits any event loop (or a test with a clock of its own). It belongs to one thread
 *   - struct sd_pool_shared: the same for threads that block. The macros at the end note who borrows, and where
 *   - inside sdlab, src/world/pool_loop.h: the same on an event loop
 *
 * What it promises, whatever happens outside:
 *
 *   - never more than max_size resources that were opened and are not closed, those being opened or closed included
 *   - who waits is served in the order of coming; what comes back goes to the first of them directly, and nobody who comes
 *     later gets it
 *   - a resource is not lent when quiet() says no, when it was idle longer than idle_timeout_ns, or is older than its life;
 *     nor, after check_after_ns idle, before a CHECK said it is well
 *   - a lease that was taken back, or was returned already, changes nothing
 */
#ifndef SDLAB_POOL_H
#define SDLAB_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "hdr.h"

#ifdef __cplusplus
extern "C" {
#endif

#define SD_POOL_NO_LIMIT UINT32_MAX
#define SD_POOL_NEVER    INT64_MAX

struct sd_pool;
struct sd_pool_shared;

struct sd_pool_conf {
	uint32_t max_size;        /* from 1 */
	uint32_t min_idle;        /* opened ahead, as far as max_size lets */
	uint32_t max_idle;        /* what comes back beyond this is closed */
	uint32_t max_waiters;     /* more may wait only for what is being opened or checked for them. 0: fail fast */
	uint32_t max_opening;     /* opened at the same time; from 1. While the other side is down it is one */
	bool fifo;                /* lend what was idle longest; else what was used last */
	int64_t idle_timeout_ns;  /* beyond min_idle; SD_POOL_NEVER */
	int64_t max_lifetime_ns;  /* since it was opened; not while it is lent; SD_POOL_NEVER */
	double jitter;            /* from 0 to below 1: each life is shorter by up to this part of it, so that not all end at once */
	int64_t check_after_ns;   /* idle for so long: CHECK it first. 0: each time it is lent, but when just opened */
	int64_t backoff_ns;       /* after a failed open: the first wait, which doubles, with chance (from half of it to all) */
	int64_t max_backoff_ns;
	int64_t leak_ns;          /* lent for so long: LEAK; SD_POOL_NEVER */
	int64_t reclaim_ns;       /* lent for so long: taken back; SD_POOL_NEVER */
	bool histogram;           /* keep one of waits, of 24 KiB */
	/* May it be lent? Asked right before it is, and before it is handed to who waits; must not block or call the pool. NULL:
	 * yes. For a socket: sd_pool_socket_quiet. */
	bool (*quiet)(void *arg, void *resource);
	void *arg;
};
/* 10, none idle ahead, 1000 wait, 4 opening, used last first; idle for 5 min, 30 min of life less up to a tenth, check after 500 ms
 * idle, backoff from 100 ms to 10 s; no leak report, no reclaim; a histogram. */
extern const struct sd_pool_conf sd_pool_defaults;

/* Where in the source; see SD_POOL_HERE. It must stay. */
struct sd_pool_site {
	const char *file, *function;
	int line;
};

/* Who borrows, for reports. What it points to must stay as long as the lease. */
struct sd_pool_holder {
	const struct sd_pool_site *site; /* NULL: unknown */
	const char *tag;                 /* what for; NULL: unsaid */
	uint64_t who;                    /* number of a thread or client; 0: unsaid */
};

struct sd_pool_lease {
	void *resource;
	uint64_t number; /* no two leases of a pool have the same; 0: none */
	uint32_t slot;   /* which place in the pool; of use to sd_pool_lost */
};

/* One that wants a resource. The pool's from a borrow that answers SD_EAGAIN until GRANT, or sd_pool_leave. */
struct sd_pool_waiter {
	struct sd_pool_holder holder; /* in */
	int64_t deadline_ns;          /* in: SD_POOL_NEVER */
	struct sd_pool_lease lease;   /* out */
	enum sd_err err;              /* out: SD_OK, SD_ETIMEOUT, SD_EEXHAUSTED (see max_waiters), SD_ECANCELED (shut) */
	int64_t since_ns;             /* out: when it came */
	uint32_t ahead;               /* out, without a lease: how many were before it */
	struct {                      /* private */
		struct sd_pool_waiter *next, *prev;
		uint8_t place;
	} pool;
};

/* Why a resource is closed. */
#define SD_POOL_WHY_LIST(X)                                                                                  \
	X(SD_POOL_IDLE_TIMEOUT, "idle timeout")                                                              \
	X(SD_POOL_LIFETIME, "lifetime")                                                                      \
	X(SD_POOL_NOT_QUIET, "closed by the other side, or with bytes nobody asked for")                     \
	X(SD_POOL_BAD, "failed its check")                                                                   \
	X(SD_POOL_BROKEN, "returned as broken")                                                              \
	X(SD_POOL_SURPLUS, "more than are kept idle")                                                        \
	X(SD_POOL_RECLAIMED, "not returned in time")                                                         \
	X(SD_POOL_SHUT, "the pool was shut")
enum sd_pool_why {
#define X(code, text) code,
	SD_POOL_WHY_LIST(X)
#undef X
	    SD_POOL_WHYS
};
const char *sd_pool_why_text(enum sd_pool_why why);

/* ---- the engine ---- */

/* seed: for jitter and backoff. SD_EINVAL: *e says which number of the conf is out of range; SD_ENOMEM. */
enum sd_err sd_pool_new(const struct sd_pool_conf *conf, uint64_t seed, struct sd_pool **out, struct sd_error *e);
/* Forgets everything. To close what it has: sd_pool_shut, then do what sd_pool_next says. NULL is fine. */
void sd_pool_free(struct sd_pool *p);
/* Another conf from now on (but histogram stays). A smaller max_size shrinks the pool as resources come back. */
enum sd_err sd_pool_configure(struct sd_pool *p, const struct sd_pool_conf *conf, int64_t now_ns, struct sd_error *e);

/* SD_OK: w->lease is lent. SD_EAGAIN: it waits; GRANT comes out of sd_pool_next. SD_EEXHAUSTED: nothing free, and max_waiters wait;
 * SD_ECANCELED: shut. sd_pool_explain puts either into words. */
enum sd_err sd_pool_borrow(struct sd_pool *p, int64_t now_ns, struct sd_pool_waiter *w);
/* An idle one now, or SD_EAGAIN: nobody waits for it. */
enum sd_err sd_pool_take(struct sd_pool *p, int64_t now_ns, const struct sd_pool_holder *holder, struct sd_pool_lease *out);
/* Lends what the caller opened itself: for resources that begin their work while they are being opened. SD_EEXHAUSTED: there is no
 * room for another, or somebody waits for it; SD_ECANCELED; SD_ENOMEM. */
enum sd_err sd_pool_add(struct sd_pool *p, int64_t now_ns, void *resource, const struct sd_pool_holder *holder,
			struct sd_pool_lease *out);
/* Waits no longer. False: it has been answered before (w->err; the lease, if SD_OK, is the caller's), GRANT will not come. */
bool sd_pool_leave(struct sd_pool *p, int64_t now_ns, struct sd_pool_waiter *w);
/* Gives a lease back; broken: not to be lent again, CLOSE follows. SD_ECANCELED: it was taken back before, and the resource has been
 * closed (RECLAIMED); SD_EINVAL: it was returned before, or never was a lease. (A place knows the last four leases that were taken back
 * from it; an older one is SD_EINVAL.) */
enum sd_err sd_pool_put(struct sd_pool *p, int64_t now_ns, const struct sd_pool_lease *lease, bool broken);
/* The resource is the caller's from now on; CLOSE will not come. As sd_pool_put. */
enum sd_err sd_pool_take_out(struct sd_pool *p, int64_t now_ns, const struct sd_pool_lease *lease);
/* The resource in this slot, idle or lent, is gone: the caller closed it. */
void sd_pool_lost(struct sd_pool *p, int64_t now_ns, uint32_t slot);
/* Closes what is idle. */
void sd_pool_trim(struct sd_pool *p, int64_t now_ns);
/* Closes what is idle; what is lent as it comes back, or also now (`lent`); those who wait get SD_ECANCELED. For good. */
void sd_pool_shut(struct sd_pool *p, int64_t now_ns, bool lent);

/* What the caller is to do. */
enum sd_pool_do {
	SD_POOL_OPEN,  /* open one for `slot`, then sd_pool_opened or sd_pool_open_failed */
	SD_POOL_CHECK, /* is `resource` well? then sd_pool_checked */
	SD_POOL_CLOSE, /* close `resource`, because of `why`, then sd_pool_closed */
	SD_POOL_GRANT, /* `waiter` is answered: see its err */
	SD_POOL_LEAK,  /* `held` should have come back; said once a lease */
};

struct sd_pool_held {
	struct sd_pool_holder holder;
	int64_t age_ns;
	uint64_t number; /* of the lease */
};

struct sd_pool_act {
	enum sd_pool_do what;
	uint32_t slot;
	void *resource;
	enum sd_pool_why why;
	int64_t age_ns; /* CLOSE: how long it was idle, or lent */
	struct sd_pool_waiter *waiter;
	struct sd_pool_held held;
};

/* The next thing to do at this time; false: nothing until sd_pool_due, or until the pool is asked or told something. */
bool sd_pool_next(struct sd_pool *p, int64_t now_ns, struct sd_pool_act *out);
/* Only a GRANT, when there is one to tell: its waiter, else NULL. */
struct sd_pool_waiter *sd_pool_next_grant(struct sd_pool *p);
/* When sd_pool_next is to be asked again: SD_POOL_NEVER, or 0 when there is something to do now. O(1). */
int64_t sd_pool_due(const struct sd_pool *p);
/* Is there something to do now, whatever the time? */
bool sd_pool_pending(const struct sd_pool *p);

void sd_pool_opened(struct sd_pool *p, int64_t now_ns, uint32_t slot, void *resource);
/* why: one line, for errors; copied. */
void sd_pool_open_failed(struct sd_pool *p, int64_t now_ns, uint32_t slot, const char *why);
void sd_pool_checked(struct sd_pool *p, int64_t now_ns, uint32_t slot, bool good);
void sd_pool_closed(struct sd_pool *p, int64_t now_ns, uint32_t slot);

struct sd_pool_stats {
	uint32_t size; /* all of the next five */
	uint32_t idle, lent, opening, checking, closing;
	uint32_t waiting;
	uint64_t opened, open_failures, closed[SD_POOL_WHYS], destroyed; /* destroyed: all closed, and those lost */
	uint64_t leases, reused; /* reused: without opening one for it */
	uint64_t waited, timeouts, refused, gave_up;
	uint64_t leaks, late; /* late: put after it was taken back */
	int64_t wait_ns, longest_wait_ns, held_ns; /* sums over all leases, and the longest */
	int64_t backoff_until_ns;                  /* 0: the other side is not known to be down */
};
void sd_pool_stats(const struct sd_pool *p, struct sd_pool_stats *out);
/* Waits of all leases in nanoseconds, those that were served at once included; NULL without conf.histogram. */
const struct sd_hdr *sd_pool_waits(struct sd_pool *p);
/* Who has what, longest first; the number written, at most n. */
size_t sd_pool_holders(const struct sd_pool *p, int64_t now_ns, struct sd_pool_held *out, size_t n);
/* Calls fn for every resource that is idle or lent. It must not call the pool. */
void sd_pool_each(const struct sd_pool *p, void (*fn)(void *arg, void *resource, bool lent), void *arg);
/* Why w (which may be NULL) got nothing: fills *e with err and a sentence that names those who hold longest. Returns err. */
enum sd_err sd_pool_explain(const struct sd_pool *p, int64_t now_ns, const struct sd_pool_waiter *w, enum sd_err err,
			    struct sd_error *e);

/* ---- for threads ---- */

struct sd_pool_hooks {
	/* All but quiet() of the conf and now() are called on threads of the pool's own, at most max_opening + 1, and never while a
	 * lock is held; none may call the pool. open() gives up by itself after a while. */
	enum sd_err (*open)(void *arg, void **resource, struct sd_error *e);
	/* Is it well? It may ask the other side. NULL: yes. */
	bool (*check)(void *arg, void *resource);
	/* With SD_POOL_RECLAIMED the borrower may be using it at this moment: end its use (shutdown(2) on a socket), and free it when
	 * sd_pool_shared_put says SD_ECANCELED. */
	void (*close)(void *arg, void *resource, enum sd_pool_why why);
	/* NULL: nobody asks. */
	void (*leak)(void *arg, const struct sd_pool_held *held);
	/* Nanoseconds that never go back. NULL: the kernel's monotonic clock. */
	int64_t (*now)(void *arg);
	void *arg; /* quiet() has its own */
};

enum sd_err sd_pool_shared_new(const struct sd_pool_conf *conf, const struct sd_pool_hooks *hooks, struct sd_pool_shared **out,
			       struct sd_error *e);
/* Nobody uses it any more. Closes everything, what is lent as well. NULL is fine. */
void sd_pool_shared_free(struct sd_pool_shared *p);
/* Lends, after a wait of at most timeout_ns (0: what is idle or nothing; SD_POOL_NEVER). SD_ETIMEOUT, SD_EEXHAUSTED: *e names the
 * holders; SD_ECANCELED. holder->who is the calling thread's number in the kernel when it is 0. */
enum sd_err sd_pool_shared_get(struct sd_pool_shared *p, int64_t timeout_ns, const struct sd_pool_holder *holder,
			       struct sd_pool_lease *out, struct sd_error *e);
/* As sd_pool_put. Never waits for open, check or close. */
enum sd_err sd_pool_shared_put(struct sd_pool_shared *p, const struct sd_pool_lease *lease, bool broken);
/* No more is lent; those who wait are told. */
void sd_pool_shared_shut(struct sd_pool_shared *p);
void sd_pool_shared_stats(struct sd_pool_shared *p, struct sd_pool_stats *out);
size_t sd_pool_shared_holders(struct sd_pool_shared *p, struct sd_pool_held *out, size_t n);
/* The wait that so many per cent of all leases were at or below, in nanoseconds. */
int64_t sd_pool_shared_wait_at(struct sd_pool_shared *p, double percentile);
/* The clock of the hooks was moved: look again. */
void sd_pool_shared_wake(struct sd_pool_shared *p);

#define SD_POOL_HERE                                                                                         \
	(__extension__({                                                                                     \
		static const struct sd_pool_site sd_pool_site_ = {__FILE__, __func__, __LINE__};             \
		&sd_pool_site_;                                                                              \
	}))
/* struct sd_pool_lease lease;
 * if (sd_pool_get(p, 2000000000, "checkout", &lease, &e)) ...
 * use(lease.resource);
 * sd_pool_give(p, &lease); */
#define sd_pool_get(p, timeout_ns, tag, out, e)                                                              \
	sd_pool_shared_get(p, timeout_ns, &(struct sd_pool_holder){SD_POOL_HERE, tag, 0}, out, e)
#define sd_pool_give(p, lease)    sd_pool_shared_put(p, lease, false)
#define sd_pool_discard(p, lease) sd_pool_shared_put(p, lease, true)

/* Is this idle socket neither closed by the other side nor with bytes that nobody asked for? One system call, no waiting. */
bool sd_pool_socket_quiet(int fd);

#ifdef __cplusplus
}
#endif

#endif
