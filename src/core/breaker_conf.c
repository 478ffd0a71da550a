/* breaker_conf.c - settings that would never trip, never close, or mean something else than they say. */
#include "breaker_int.h"

#define BUCKET_MIN_NS 1000000

const struct sd_breaker_conf sd_breaker_defaults = {
    .consecutive = 5,
    .open_ns = 30000000000,
    .retry_max_ns = 300000000000,
    .permits = 1,
    .successes = 2,
    .permit_ns = 60000000000,
};

static enum sd_err check_rules(const struct sd_breaker_conf *c, struct sd_error *e)
{
	bool rate = c->failure_rate > 0 || c->slow_rate > 0, counts = rate || c->failures > 0;
	if (!(c->failure_rate >= 0 && c->failure_rate <= 1))
		return sd_fail(e, SD_EINVAL, "failure_rate: expected a share from 0 to 1");
	if (!(c->slow_rate >= 0 && c->slow_rate <= 1))
		return sd_fail(e, SD_EINVAL, "slow_rate: expected a share from 0 to 1");
	if (!counts && c->consecutive == 0 && !c->retry_opens)
		return sd_fail(e, SD_EINVAL, "no rule: it would never open; expected consecutive, failures, failure_rate or slow_rate");
	if ((c->slow_rate > 0) != (c->slow_ns > 0))
		return sd_fail(e, SD_EINVAL, "slow_ns and slow_rate: one means nothing without the other");
	if (rate != (c->minimum > 0))
		return sd_fail(e, SD_EINVAL, rate ? "minimum: expected 1 or more calls with a rate" : "minimum: means nothing without a rate");
	return SD_OK;
}

static enum sd_err check_window(const struct sd_breaker_conf *c, struct sd_error *e)
{
	bool counts = c->failures > 0 || c->failure_rate > 0 || c->slow_rate > 0;
	if (c->window > 0 && c->window_ns > 0)
		return sd_fail(e, SD_EINVAL, "window and window_ns: expected one of the two");
	if (counts != (c->window > 0 || c->window_ns > 0))
		return sd_fail(e, SD_EINVAL, counts ? "window: expected one, of calls or of time, for failures and rates"
						    : "window: means nothing without failures or a rate");
	if (c->window > SD_BREAKER_MAX_WINDOW)
		return sd_fail(e, SD_ERANGE, "window: expected at most %u calls", SD_BREAKER_MAX_WINDOW);
	if (c->window_ns < 0 || (c->window_ns > 0 && c->window_ns < BUCKETS * BUCKET_MIN_NS))
		return sd_fail(e, SD_EINVAL, "window_ns: expected 10 ms or more");
	if (c->window > 0 && c->minimum > c->window)
		return sd_fail(e, SD_EINVAL, "minimum: %u calls never fit into a window of %u: it would never open", c->minimum, c->window);
	if (c->window > 0 && c->failures > c->window)
		return sd_fail(e, SD_EINVAL, "failures: %u never fit into a window of %u: it would never open", c->failures, c->window);
	return SD_OK;
}

static enum sd_err check_opening(const struct sd_breaker_conf *c, struct sd_error *e)
{
	if (c->open_ns <= 0)
		return sd_fail(e, SD_EINVAL, "open_ns: expected more than 0");
	if ((unsigned)c->growth > SD_BREAKER_DOUBLING)
		return sd_fail(e, SD_EINVAL, "growth: unknown");
	if (c->open_max_ns != 0 && c->open_max_ns < c->open_ns)
		return sd_fail(e, SD_EINVAL, "open_max_ns: expected open_ns or more, or 0");
	if (c->growth != SD_BREAKER_CONSTANT && c->open_max_ns == 0)
		return sd_fail(e, SD_EINVAL, "open_max_ns: expected where growth ends");
	if (!(c->jitter >= 0 && c->jitter <= 1))
		return sd_fail(e, SD_EINVAL, "jitter: expected a share from 0 to 1");
	if (c->calm_ns < 0 || c->retry_max_ns < 0)
		return sd_fail(e, SD_EINVAL, "calm_ns and retry_max_ns: expected 0 or more");
	if (c->retry_opens && c->retry_max_ns == 0)
		return sd_fail(e, SD_EINVAL, "retry_opens: means nothing with a retry_max_ns of 0");
	return SD_OK;
}

enum sd_err sd_breaker_conf_check(const struct sd_breaker_conf *c, struct sd_error *e)
{
	enum sd_err err = check_rules(c, e);
	if (!err)
		err = check_window(c, e);
	if (!err)
		err = check_opening(c, e);
	if (err || c->successes == 0)
		return err;
	if (c->permits == 0 || c->permit_ns <= 0)
		return sd_fail(e, SD_EINVAL, "permits and permit_ns: expected more than 0: it would never close");
	if (c->successes > SD_BREAKER_MAX_PERMITS)
		return sd_fail(e, SD_ERANGE, "successes: expected at most %u", SD_BREAKER_MAX_PERMITS);
	if (c->permits > c->successes)
		return sd_fail(e, SD_EINVAL, "permits: %u probes at a time are more than the %u successes that close it", c->permits,
			       c->successes);
	if (c->bulkhead > 0 && c->permits > c->bulkhead)
		return sd_fail(e, SD_EINVAL, "permits: the bulkhead lets only %u of %u through", c->bulkhead, c->permits);
	return SD_OK;
}
