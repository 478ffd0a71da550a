/* throttle.h - CL.THROTTLE, as the module redis-cell has it:
 *
 *	CL.THROTTLE KEY MAX-BURST COUNT PERIOD [QUANTITY]
 *
 * COUNT in PERIOD seconds, MAX-BURST more than one at once. QUANTITY is 1; 0 asks, one below 0 gives back. The reply is five
 * integers: 1 when refused; the most there can be; what remains; whole seconds until it would pass, -1 when it passed or never will; whole
 * seconds until all is there again. Seconds are cut off. Pure.
 */
#ifndef SD_CORE_THROTTLE_H
#define SD_CORE_THROTTLE_H

#include "resp.h"
#include "sdlab/ratelimit.h"

/* argv is the whole request, whose key is argv[1]. False: it makes no sense, which was answered. */
bool sd_throttle_read(size_t argc, const struct sd_slice *argv, struct sd_ratelimit_limit *limit, int64_t *units,
		      struct sd_resp_out *out);
void sd_throttle_answer(const struct sd_ratelimit_answer *a, struct sd_resp_out *out);

#endif
