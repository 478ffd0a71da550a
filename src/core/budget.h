/* budget.h - how many requests may be tried again, as a share of those that came. Pure: time is handed in.
 *
 * A limit for each request does not keep a pool that is half dead from getting twice the load, and so from dying whole. A
 * budget does: of what came in the last ten seconds, at most a share is tried again, or so many a second when that is more.
 */
#ifndef SD_CORE_BUDGET_H
#define SD_CORE_BUDGET_H

#include <stdbool.h>
#include <stdint.h>

#define SD_BUDGET_SLOTS   10
#define SD_BUDGET_SLOT_NS 1000000000ll

struct sd_budget_rules {
	double share;          /* of the requests; 0: only the minimum */
	double min_per_second; /* retries that are always allowed */
};

/* Zero it to start. */
struct sd_budget {
	int64_t slot; /* the newest, in SD_BUDGET_SLOT_NS */
	uint32_t requests[SD_BUDGET_SLOTS], retries[SD_BUDGET_SLOTS];
	uint64_t nrequests, nretries; /* their sums */
};

/* A request came. */
void sd_budget_asked(struct sd_budget *b, int64_t now_ns);
/* May one be tried again? True takes it out of the budget. */
bool sd_budget_take(struct sd_budget *b, const struct sd_budget_rules *rules, int64_t now_ns);

#endif
