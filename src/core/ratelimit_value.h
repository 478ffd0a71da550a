/* ratelimit_value.h - what is known of one key of a bucket (sdlab/ratelimit.h), as bytes: for who keeps keys in a place of its own,
 * with an end. Pure.
 *
 *	"B1" | period, 8 bytes, little-endian | count, 4 | part, 4 | at, 8
 *
 * `at` is when the bucket is full again, in nanoseconds of the keeper's clock, and `part` what that lacks, in 1/count of one. count
 * and period are of the limit that it was kept under: under another one it goes on with as many units as it had used.
 */
#ifndef SD_CORE_RATELIMIT_VALUE_H
#define SD_CORE_RATELIMIT_VALUE_H

#include "sdlab/ratelimit.h"

#define SD_RATELIMIT_VALUE 26

struct sd_ratelimit_value {
	char p[SD_RATELIMIT_VALUE];
	int64_t ends_ns; /* from then on it is as good as none */
};

/* Takes units, or gives back so many below 0, when they are there; kept: the value, or nothing where there is none. SD_OK, or
 * SD_EAGAIN: refused; `out` is the value to keep in both cases. SD_EINVAL: kept is something else. The limit is a
 * bucket that sd_ratelimit_check lets pass. now_ns: 0 to 2^61. A clock that went back costs nobody more than a whole bucket. */
enum sd_err sd_ratelimit_value_take(struct sd_slice kept, const struct sd_ratelimit_limit *limit, int64_t units, int64_t now_ns,
				    struct sd_ratelimit_value *out, struct sd_ratelimit_answer *answer);

#endif
