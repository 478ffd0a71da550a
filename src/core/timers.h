/* timers.h - deadlines in a heap. Pure: time is handed in.
 *
 * A timer is embedded in what it is for, so arming one allocates only when the heap itself grows. Cost is
 * O(log n) for set and cancel; the four children of a node share a cache line.
 */
#ifndef SD_CORE_TIMERS_H
#define SD_CORE_TIMERS_H

#include <stdbool.h>
#include <stdint.h>

#define SD_NEVER INT64_MAX

struct sd_timer {
	int64_t due_ns;
	void (*fn)(struct sd_timer *timer);
	uint32_t slot; /* place in the heap from 1; 0: not armed */
};

struct sd_timers {
	struct sd_timer **heap;
	uint32_t n, cap;
};

/* Arms (or moves) a timer. False when the heap cannot grow; the timer is then not armed. */
bool sd_timers_set(struct sd_timers *ts, struct sd_timer *t, int64_t due_ns);
void sd_timers_cancel(struct sd_timers *ts, struct sd_timer *t);
/* When the earliest is due; SD_NEVER when there is none. */
int64_t sd_timers_next(const struct sd_timers *ts);
/* Takes out and returns one that is due at now_ns, earliest first; NULL when none is. */
struct sd_timer *sd_timers_pop(struct sd_timers *ts, int64_t now_ns);
void sd_timers_free(struct sd_timers *ts);

#endif
