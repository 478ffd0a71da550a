/* cache_metrics.h - the counters of a cache where other threads may read them. */
#ifndef CACHE_METRICS_H
#define CACHE_METRICS_H

#include "app/metrics.h"
#include "../engine/cache.h"

#define CACHE_METRICS 14

struct cache_metrics {
	uint64_t values[CACHE_METRICS];
};

/* On the cache's thread, after a batch of requests. */
void cache_metrics_publish(struct cache_metrics *m, const struct cache *c);
/* On any thread: families and samples with this label. */
void cache_metrics_put(const struct cache_metrics *m, struct sd_metrics *out, const char *label);

#endif
