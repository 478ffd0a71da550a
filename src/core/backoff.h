/* backoff.h - how long to wait before the next try, in whatever unit. Pure: chance is handed in. */
#ifndef SD_CORE_BACKOFF_H
#define SD_CORE_BACKOFF_H

#include <stdint.h>

enum sd_growth { SD_GROW_NOT, SD_GROW_LINEAR, SD_GROW_DOUBLING };

struct sd_backoff {
	int64_t first, max; /* max below first: first */
	enum sd_growth growth;
	double jitter; /* up to this share of it less, so that those that failed together do not come back together; 0 to 1 */
};

/* Before the n-th try again, n from 1; chance: from 0 to below 1. At least 1 where first is. */
int64_t sd_backoff(const struct sd_backoff *b, uint32_t n, double chance);

#endif
