#include "backoff.h"

static int64_t grown(const struct sd_backoff *b, uint32_t n)
{
	int64_t max = b->max > b->first ? b->max : b->first, wait = b->first;
	if (b->growth == SD_GROW_LINEAR && n > 1)
		return wait > max / n ? max : wait * n;
	if (wait <= 0 || b->growth != SD_GROW_DOUBLING)
		return wait;
	while (n-- > 1 && wait < max)
		wait = wait > max / 2 ? max : wait * 2;
	return wait;
}

int64_t sd_backoff(const struct sd_backoff *b, uint32_t n, double chance)
{
	int64_t wait = grown(b, n), less = (int64_t)(b->jitter * chance * (double)wait);
	/* near 2^63 a double rounds up */
	return less < wait ? wait - less : wait > 0;
}
