/* count.h - counters that one thread writes and others read, without a lock. */
#ifndef SD_CORE_COUNT_H
#define SD_CORE_COUNT_H

#include <stdint.h>

static inline void sd_count(uint64_t *c, uint64_t n)
{
	__atomic_store_n(c, *c + n, __ATOMIC_RELAXED);
}

static inline uint64_t sd_count_read(const uint64_t *c)
{
	return __atomic_load_n(c, __ATOMIC_RELAXED);
}

/* Gauges go up and down. */
static inline void sd_gauge(uint32_t *g, int32_t by)
{
	__atomic_store_n(g, *g + (uint32_t)by, __ATOMIC_RELAXED);
}

static inline uint32_t sd_gauge_read(const uint32_t *g)
{
	return __atomic_load_n(g, __ATOMIC_RELAXED);
}

#endif
