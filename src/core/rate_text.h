/* rate_text.h - how often, as people write it, without rounding: "10", "100/min", "1000/10m". Pure. */
#ifndef SD_CORE_RATE_TEXT_H
#define SD_CORE_RATE_TEXT_H

#include <stdint.h>

#include "sdlab/err.h"

/* COUNT, COUNT/UNIT with units s, sec, second, m, min, minute, h, hour, d, day, or COUNT/DURATION; a count alone is a second's.
 * SD_EINVAL: not of the form; SD_ERANGE: a count of 0 or above 2^32 - 1, or no time. */
enum sd_err sd_parse_quota(const char *text, uint32_t *count, int64_t *period_ns);

#endif
