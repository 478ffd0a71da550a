/* ratelimit_int.h - what the files of the rate limiter share.
 *
 *	ratelimit.c          the table of keys, its locks, and decisions over several limits
 *	ratelimit_bucket.c   token bucket, GCRA, leaky bucket
 *	ratelimit_window.c   fixed window, sliding counter
 *	ratelimit_log.c      sliding log
 */
#ifndef SD_CORE_RATELIMIT_INT_H
#define SD_CORE_RATELIMIT_INT_H

#include "sdlab/ratelimit.h"

__extension__ typedef unsigned __int128 rate_wide;

/* What is known of one key. All zero: nothing was used.
 *
 *	         at                       part                 count                      period
 *	bucket   when it is full again,   the rest of that,    of the limit at that time  the same
 *	         in whole ns              in 1/count of a ns
 *	fixed    when its window began    used in it           -                          of the window
 *	counter  the same                 used in it           used in the one before     the same
 *	log      the last moment          used                 1: it has a log            of the window; with a log, in it
 */
struct rate_cell {
	int64_t at;
	union {
		int64_t period;
		struct rate_log *log;
	};
	uint32_t count, part;
};

/* Memory of logs: counted by all threads. */
struct rate_budget {
	size_t used, most;
	uint64_t coarser;
};

struct rate_call {
	const struct sd_ratelimit_limit *limit;
	int64_t now;
	uint64_t cost; /* with what others ask of the same key before it */
	struct rate_budget *budget;
};

/* What cells of one form can do. `now` of a call may be earlier than what a cell has seen: then it counts as that. */
struct rate_class {
	/* A cell that was kept under another limit goes on under this one, from now. Without this who is refused would be measured
	 * again and again by what was. */
	void (*adopt)(struct rate_cell *c, const struct rate_call *call);
	/* Takes the cost when it fits and `take`, and fills the answer: as it is then, or as it is when nothing was taken. (Where it
	 * fits and was not taken, what remains is asked for again without a cost.) */
	void (*ask)(struct rate_cell *c, const struct rate_call *call, bool take, struct sd_ratelimit_answer *a);
	/* Takes as much of the cost as there is. */
	void (*charge)(struct rate_cell *c, const struct rate_call *call);
	void (*give)(struct rate_cell *c, const struct rate_call *call, int64_t taken);
	/* From then on it is as good as nothing. */
	int64_t (*ends)(const struct rate_cell *c);
	void (*drop)(struct rate_cell *c, struct rate_budget *budget); /* frees what it owns; NULL: nothing */
};

extern const struct rate_class rate_bucket, rate_fixed, rate_counter, rate_log;

static inline int64_t rate_later(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

/* a / b where the result is known to fit, and b, of a limit that was checked, is not 0; one division of the processor when a
 * fits as well. */
static inline uint64_t rate_div(rate_wide a, uint64_t b)
{
	if (b == 0)
		__builtin_unreachable();
	return a >> 64 ? (uint64_t)(a / b) : (uint64_t)a / b;
}

static inline uint64_t rate_div_up(rate_wide a, uint64_t b)
{
	return rate_div(a + b - 1, b);
}

#endif
