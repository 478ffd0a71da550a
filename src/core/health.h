/* health.h - when a backend counts as up. Pure: results and times are handed in.
 *
 *	        fall failed checks in a row                  its breaker would open (sdlab/breaker.h)
 *	 UP  ----------------------------------> DOWN    UP ------------------------------------> EJECTED
 *	  ^                                       |       ^                                          |
 *	  +------ rise passed checks in a row ----+       +-- the time is over, or rise passed checks -+
 *
 * A backend that is down by its checks and ejected by requests needs both to end. Each ejection lasts longer than the one
 * before (times their number, up to a longest), until a check or the time brought the backend back and it then stayed for ten times
 * the base time.
 */
#ifndef SD_CORE_HEALTH_H
#define SD_CORE_HEALTH_H

#include <stdbool.h>
#include <stdint.h>

struct sd_health_rules {
	uint32_t fall, rise;  /* checks in a row */
	int64_t eject_ns;     /* base time of an ejection */
	int64_t eject_max_ns; /* where it grows to, if that is more; 0: 30 times as long */
	double eject_jitter;  /* up to this share of it less, so that not all come back together */
};

struct sd_health {
	bool down;
	uint32_t bad, good; /* checks in a row; the other is 0 */
	int64_t ejected_ns;       /* the last time */
	int64_t ejected_until_ns; /* 0: not ejected */
	int64_t returned_ns;
	uint32_t ejections;
};

enum sd_health_change { SD_HEALTH_SAME, SD_HEALTH_WENT_DOWN, SD_HEALTH_CAME_UP, SD_HEALTH_EJECTED, SD_HEALTH_RETURNED };

/* A check ended. */
enum sd_health_change sd_health_checked(struct sd_health *h, const struct sd_health_rules *r, bool passed,
					int64_t now_ns);
struct sd_health_eject {
	int64_t at_least_ns; /* as the backend asked for; 0: it did not */
	double chance;       /* of the jitter: from 0 to below 1 */
};
/* Too many requests to it failed. The caller has made sure that not too many are ejected already. One that is ejected already
 * stays so for as long as it asks for. */
enum sd_health_change sd_health_eject(struct sd_health *h, const struct sd_health_rules *r, const struct sd_health_eject *how,
				      int64_t now_ns);
/* Time passed. */
enum sd_health_change sd_health_tick(struct sd_health *h, int64_t now_ns);

static inline bool sd_health_usable(const struct sd_health *h)
{
	return !h->down && h->ejected_until_ns == 0;
}

#endif
