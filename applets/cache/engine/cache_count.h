/* cache_count.h - what a cache counts of itself: commands, errors, and how fast all goes. INFO tells it. */
#ifndef CACHE_COUNT_H
#define CACHE_COUNT_H

#include <stddef.h>
#include <stdint.h>

#include "core/resp.h"

#define CACHE_USAGES 1024 /* places, a few times as many as there are commands */
#define CACHE_ERRORS 32	  /* kinds of errors: more than the words that errors begin with */
#define CACHE_MARKS  16
#define CACHE_MARK_MS 100 /* between two marks */

struct cache;
struct cache_command;

struct cache_stats {
	uint64_t connections, commands, hits, misses, expired, evicted, errors, rejected, output_closed, lazily_freed,
	    net_in, net_out;
};

/* How often one command ran; usec is counted while SLOWLOG looks at the clock. */
struct cache_usage {
	const struct cache_command *command; /* NULL: a free place */
	uint64_t calls, usec, rejected, failed;
};

struct cache_counts {
	struct cache_usage usages[CACHE_USAGES]; /* by the address of the command's row */
	struct cache_error_count {
		char word[32];
		uint64_t n;
	} errors[CACHE_ERRORS]; /* by the first word, in its order */
	size_t nerrors;
	struct cache_mark {
		int64_t at_ms;
		uint64_t commands, net_in, net_out;
	} marks[CACHE_MARKS]; /* the oldest is the next one to be written */
	unsigned next_mark;
	int64_t marked_ms;
	size_t peak; /* of memory in use, as far as it was seen */
};

/* What the kernel knows of the process. INFO says nothing of what is 0 or empty. */
struct cache_process {
	char os[200];
	int64_t pid, resident, memory_total, user_us, system_us;
};

/* In a second, over the last one and a half. */
struct cache_rates {
	uint64_t commands;
	double net_in, net_out;
};

void cache_count_begin(struct cache *c);
/* Forgets what CONFIG RESETSTAT of Redis forgets: the peak of memory stays. */
void cache_count_reset(struct cache *c);
struct cache_usage *cache_usage(struct cache *c, const struct cache_command *k);
/* All 0 for a command that never ran. */
const struct cache_usage *cache_usage_so_far(const struct cache *c, const struct cache_command *k);
/* Is the reply that begins here an error? Then it counts. */
bool cache_count_error(struct cache *c, const struct sd_resp_out *out, size_t begun);
void cache_count_marks(struct cache *c);
/* To be called before anything is counted at c->now_ms. */
static inline void cache_count_time(struct cache *c, struct cache_counts *n, int64_t now_ms)
{
	if ((uint64_t)now_ms - (uint64_t)n->marked_ms >= CACHE_MARK_MS) /* also when the clock was set back */
		cache_count_marks(c);
}
struct cache_rates cache_rates(const struct cache *c);
/* Memory in use; the peak follows. */
size_t cache_count_memory(struct cache *c);

#endif
