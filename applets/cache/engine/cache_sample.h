/* cache_sample.h - so many of a number of things that come one after another, each choice as likely as another (Knuth, volume 2,
 * 3.4.2, algorithm S). */
#ifndef CACHE_SAMPLE_H
#define CACHE_SAMPLE_H

#include <stdbool.h>

#include "core/rng.h"

/* Bytes of a reply that may have more of one thing than there are. */
#define CACHE_SAMPLE_LONGEST (512 * 1024 * 1024)

struct cache_sample {
	struct sd_rng *rng;
	uint32_t wanted, left; /* not more than are left */
};

/* Is the next one among them? */
static inline bool cache_sample_takes(struct cache_sample *s)
{
	bool takes = sd_rng_below(s->rng, s->left--) < s->wanted;
	s->wanted -= takes;
	return takes;
}

#endif
