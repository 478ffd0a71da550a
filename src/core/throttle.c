#include "throttle.h"

#define SECOND INT64_C(1000000000)

static bool within(struct sd_slice word, int64_t low, int64_t high, int64_t *v)
{
	return sd_resp_parse_int(word, v) && *v >= low && *v <= high;
}

bool sd_throttle_read(size_t argc, const struct sd_slice *argv, struct sd_ratelimit_limit *limit, int64_t *units,
		      struct sd_resp_out *out)
{
	const int64_t most = UINT32_MAX;
	int64_t burst, count, period;
	struct sd_error e;
	*units = 1;
	if (argc < 5 || argc > 6) {
		sd_resp_error(out, "ERR syntax error");
		return false;
	}
	if (!within(argv[2], 0, most - 1, &burst) || !within(argv[3], 1, most, &count) ||
	    !within(argv[4], 1, (INT64_C(1) << 60) / SECOND, &period) || (argc > 5 && !within(argv[5], -most, most, units))) {
		sd_resp_error(out, "ERR value is not an integer or out of range");
		return false;
	}
	*limit = (struct sd_ratelimit_limit){
	    .kind = SD_RATELIMIT_GCRA, .count = (uint32_t)count, .burst = (uint32_t)(burst + 1), .period_ns = period * SECOND};
	if (sd_ratelimit_check(limit, &e) == SD_OK)
		return true;
	sd_resp_errorf(out, "ERR %s", e.text);
	return false;
}

void sd_throttle_answer(const struct sd_ratelimit_answer *a, struct sd_resp_out *out)
{
	sd_resp_array(out, 5);
	sd_resp_int(out, !a->allowed);
	sd_resp_int(out, a->most);
	sd_resp_int(out, a->remaining);
	sd_resp_int(out, a->allowed || a->retry_ns < 0 ? -1 : a->retry_ns / SECOND);
	sd_resp_int(out, a->reset_ns / SECOND);
}
