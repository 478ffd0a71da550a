/* ratelimit.h - how often something may be done: limits of seven kinds, kept for very many keys in memory that does not grow.
 *
 * It reads no clock: every call is told what time it is, in nanoseconds of any clock that does not go back (a call that is
 * told an earlier time than another had counts as made at that one's). Any thread may call; a decision holds one of 64 locks
 * for the time that it takes, some tens of nanoseconds, and never waits for anything else.
 *
 * What the kinds promise, for a limit of `count` units in `period`, and `burst`:
 *
 *	kind             lets through in any window of one period   at once     memory of a key
 *	TOKEN_BUCKET     at most burst + count                      burst       32 bytes
 *	GCRA             the same                                   burst       32
 *	LEAKY_METER      the same                                   burst       32
 *	LEAKY_QUEUE      the same; but what is let through is told  burst       32
 *	                 to wait, so that it leaves evenly: at most
 *	                 count + 1 leave in any period
 *	FIXED_WINDOW     at most 2 count, across the border of two  count       32
 *	SLIDING_COUNTER  less than 2 count; count when what comes   count       32
 *	                 comes evenly
 *	SLIDING_LOG      at most count, whatever comes              count       32, and 16 for each moment that counts:
 *	                                                                        at most count, or buckets + 1
 *
 *   - The first four are one thing seen from four sides, and agree in every decision: a bucket of `burst` tokens, of which
 *     `count` come back in a period, one by one (RFC 2697 calls it a token bucket); ATM's Generic Cell Rate Algorithm (ITU-T
 *     I.371) with an increment of period/count and a tolerance of burst - 1 of them; a bucket of size `burst` that leaks. They
 *     are counted in whole 1/count of a nanosecond, so nothing is ever rounded, at any rate
 *   - a FIXED_WINDOW begins with the first that is let through after the last has ended, as INCR and EXPIRE do, or, when `aligned`,
 *     at multiples of the period
 *   - a SLIDING_COUNTER takes what was let through in the window before for evenly spread: of it, what is left of the period
 *     counts still
 *   - a SLIDING_LOG with `buckets` remembers that many moments of a period and one more; what was let through between two counts
 *     as if it had come at the later one. So it may refuse for period/buckets longer than it had to, and still never lets more
 *     through. It does the same where memory ends
 *
 * What is refused never counts: who keeps asking is let through as soon as who waits.
 *
 * A key whose limit changes keeps what it used: as many units count under the new limit as counted under the old one at that
 * moment, but at most all of it, so that nobody waits by the time of a limit that is no more. (Windows whose period changes keep
 * the part that falls into the new one, as if it had been spread evenly.)
 *
 * Keys are known by 62 bits of a hash under a secret (SipHash), and so cost the same whatever their length: that two of a million
 * share one has a chance of 1 in 9 million, and nobody outside can choose two that do. A key all of whose limit is there again is
 * forgotten by itself. When a place for a new one is missing, of 16 keys the one goes that would be forgotten soonest, and `evicted`
 * counts it: those that use most stay.
 */
#ifndef SDLAB_RATELIMIT_H
#define SDLAB_RATELIMIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "slice.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The most limits that are asked for together. */
#define SD_RATELIMIT_TOGETHER 16

enum sd_ratelimit_kind {
	SD_RATELIMIT_TOKEN_BUCKET,
	SD_RATELIMIT_GCRA,
	SD_RATELIMIT_LEAKY_METER,
	SD_RATELIMIT_LEAKY_QUEUE,
	SD_RATELIMIT_FIXED_WINDOW,
	SD_RATELIMIT_SLIDING_COUNTER,
	SD_RATELIMIT_SLIDING_LOG,
};

struct sd_ratelimit_limit {
	enum sd_ratelimit_kind kind;
	uint32_t count;    /* units in a period; above 0 */
	uint32_t burst;    /* of the first four: units at once, above 0. Of windows: not looked at */
	uint32_t buckets;  /* SLIDING_LOG: 0 for every moment, else so many a period */
	bool aligned;      /* FIXED_WINDOW */
	int64_t period_ns; /* above 0; with burst * period / count, at most 2^60 (36 years) */
};

/* SD_OK; SD_EINVAL with a sentence about what is wrong (e may be NULL). */
enum sd_err sd_ratelimit_check(const struct sd_ratelimit_limit *limit, struct sd_error *e);
/* The most units that can be had at once: burst, or count of windows. */
uint32_t sd_ratelimit_most(const struct sd_ratelimit_limit *limit);

/* One thing asked of one key. */
struct sd_ratelimit_ask {
	const struct sd_ratelimit_limit *limit;
	uint64_t scope;      /* keys of different scopes are different keys: which rule it is */
	struct sd_slice key; /* any bytes, of any length; not kept */
	uint32_t cost;       /* units; 0 asks nothing and is let through */
};

struct sd_ratelimit_answer {
	bool allowed;       /* by this limit */
	uint32_t most;      /* sd_ratelimit_most */
	uint32_t remaining; /* units that could still be had now, after this */
	int64_t retry_ns;   /* refused: from now until it would pass, if nobody else takes any; -1: its cost is above what there
			       can be. Let through: 0 */
	int64_t next_ns;    /* from now until one more unit is there than now; 0: all are */
	int64_t reset_ns;   /* from now until all are there again */
	int64_t delay_ns;   /* LEAKY_QUEUE, let through: how long it has to wait for its turn */
};

struct sd_ratelimit_conf {
	size_t max_keys;    /* above 0; memory for them is taken at once but touched only as they come */
	size_t log_bytes;   /* most memory for the moments of all SLIDING_LOGs; beyond it they get coarser */
	uint64_t secret[2]; /* from a source of chance that nobody can guess */
};

struct sd_ratelimit;

/* SD_EINVAL: max_keys 0; SD_ERANGE: more than 2^32; SD_ENOMEM. */
enum sd_err sd_ratelimit_new(const struct sd_ratelimit_conf *conf, struct sd_ratelimit **out);
void sd_ratelimit_free(struct sd_ratelimit *r); /* NULL is fine */

/* Takes the cost of all asks, or of none: 1 to SD_RATELIMIT_TOGETHER. SD_OK: all were taken. SD_EAGAIN: at least one
 * said no; nothing was taken, and `allowed` is false for those that did. SD_EINVAL: a limit is wrong, or n. answers: n of them. now_ns:
 * 0 to 2^62. */
enum sd_err sd_ratelimit_take(struct sd_ratelimit *r, const struct sd_ratelimit_ask *asks, size_t n, int64_t now_ns,
			      struct sd_ratelimit_answer *answers);
/* What take would say, with `remaining` and times as they are. Changes nothing. */
enum sd_err sd_ratelimit_peek(struct sd_ratelimit *r, const struct sd_ratelimit_ask *asks, size_t n, int64_t now_ns,
			      struct sd_ratelimit_answer *answers);

/* Gives ask->cost units back that were taken at taken_ns (the now_ns of that call): those that still count. A key never has more
 * than its limit, and what belongs to another window is not given back to this one. */
void sd_ratelimit_refund(struct sd_ratelimit *r, const struct sd_ratelimit_ask *ask, int64_t taken_ns, int64_t now_ns);
/* Takes ask->cost units that were used already, whether they are there or not: but never more than there are, so that a key
 * is at worst empty. */
void sd_ratelimit_charge(struct sd_ratelimit *r, const struct sd_ratelimit_ask *ask, int64_t now_ns);
/* Reserve and settle, for work whose cost is known afterwards: first take what it may cost at most (or what is likely); then
 * tell with the same ask what it did cost, and the difference is given back or charged. */
void sd_ratelimit_settle(struct sd_ratelimit *r, const struct sd_ratelimit_ask *reserved, uint32_t used, int64_t taken_ns,
			 int64_t now_ns);
/* Forgets what the key used; ask->cost means nothing. (These four do nothing where take would answer SD_EINVAL.) */
void sd_ratelimit_forget(struct sd_ratelimit *r, const struct sd_ratelimit_ask *ask);

struct sd_ratelimit_stats {
	size_t max_keys;   /* places, which are somewhat more than were asked for */
	size_t bytes;      /* of the table, touched or not */
	size_t log_bytes;  /* of the moments of logs, now */
	uint64_t evicted;  /* keys that were forgotten before their time */
	uint64_t coarser;  /* moments of logs that were joined for want of memory */
};
void sd_ratelimit_stats(const struct sd_ratelimit *r, struct sd_ratelimit_stats *out);
/* How many keys something still counts for, of a part of the table: *at goes from 0 round to 0, `places` at a time; memory
 * of logs that are over is given back. For a timer. */
size_t sd_ratelimit_sweep(struct sd_ratelimit *r, size_t *at, size_t places, int64_t now_ns);

#ifdef __cplusplus
}
#endif

#endif
