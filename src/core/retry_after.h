/* retry_after.h - when a server wants to be asked again (RFC 9110 section 10.2.3). */
#ifndef SD_CORE_RETRY_AFTER_H
#define SD_CORE_RETRY_AFTER_H

#include <stdint.h>

#include "sdlab/slice.h"

/* Nanoseconds from now: of seconds, or of a date in any of its three forms, 0 when it is past. -1: it is neither. What is more
 * than a year is a year. */
int64_t sd_retry_after(struct sd_slice value, int64_t now_s);

#endif
