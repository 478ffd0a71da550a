/* The bucket, as GCRA keeps it: one moment, at which all of it will be there again. What is missing now is the way to that
 * moment; a unit is period/count of it. All is counted in 1/count of a nanosecond, of which a unit has exactly `period`, so
 * that nothing is rounded. No amount is above burst * period <= 2^60 * count < 2^92 (sd_ratelimit_check).
 */
#include "ratelimit_int.h"

/* What was missing under another limit, in its 1/count, as the same number of units under this one. */
static rate_wide convert(rate_wide missing, int64_t was, int64_t is)
{
	rate_wide whole = rate_div(missing, (uint64_t)was), rest = missing - whole * (rate_wide)was;
	return whole * (rate_wide)is + (rest * (rate_wide)is + (rate_wide)was - 1) / (rate_wide)was;
}

static rate_wide capacity(const struct sd_ratelimit_limit *l)
{
	return (rate_wide)l->burst * (rate_wide)l->period_ns;
}

/* As it was kept, even if that is more than this limit has. */
static rate_wide kept(const struct rate_cell *c, const struct sd_ratelimit_limit *l, int64_t now)
{
	if (c->at < now || c->count == 0)
		return 0;
	rate_wide m = (rate_wide)(c->at - now) * c->count + c->part;
	return c->count == l->count && c->period == l->period_ns ? m : convert(m, c->period, l->period_ns);
}

static rate_wide missing(const struct rate_cell *c, const struct sd_ratelimit_limit *l, int64_t now)
{
	rate_wide m = kept(c, l, now), all = capacity(l);
	return m < all ? m : all;
}

static void set(struct rate_cell *c, const struct rate_call *call, rate_wide m)
{
	uint64_t whole = rate_div(m, call->limit->count);
	c->at = call->now + (int64_t)whole;
	c->part = (uint32_t)(m - (rate_wide)whole * call->limit->count);
	c->count = call->limit->count;
	c->period = call->limit->period_ns;
}

static void bucket_adopt(struct rate_cell *c, const struct rate_call *call)
{
	const struct sd_ratelimit_limit *l = call->limit;
	if (c->count != l->count || c->period != l->period_ns || kept(c, l, call->now) > capacity(l))
		set(c, call, missing(c, l, call->now));
}

static void tell(const struct sd_ratelimit_limit *l, rate_wide m, struct sd_ratelimit_answer *a)
{
	uint64_t period = (uint64_t)l->period_ns;
	rate_wide there = capacity(l) - m;
	a->most = l->burst;
	a->remaining = (uint32_t)rate_div(there, period);
	rate_wide one_more = ((rate_wide)a->remaining + 1) * period - there;
	a->next_ns = m ? (int64_t)rate_div_up(one_more, l->count) : 0;
	a->reset_ns = (int64_t)rate_div_up(m, l->count);
}

static void bucket_ask(struct rate_cell *c, const struct rate_call *call, bool take, struct sd_ratelimit_answer *a)
{
	const struct sd_ratelimit_limit *l = call->limit;
	rate_wide before = missing(c, l, call->now), all = capacity(l);
	rate_wide after = before + (rate_wide)call->cost * (rate_wide)l->period_ns;
	a->allowed = after <= all;
	if (!a->allowed) {
		tell(l, before, a);
		a->retry_ns = call->cost > l->burst ? -1 : (int64_t)rate_div_up(after - all, l->count);
		return;
	}
	tell(l, after, a);
	if (l->kind == SD_RATELIMIT_LEAKY_QUEUE)
		a->delay_ns = (int64_t)rate_div_up(before, l->count);
	if (take)
		set(c, call, after);
}

static void bucket_charge(struct rate_cell *c, const struct rate_call *call)
{
	rate_wide m = missing(c, call->limit, call->now) + (rate_wide)call->cost * (rate_wide)call->limit->period_ns;
	rate_wide all = capacity(call->limit);
	set(c, call, m < all ? m : all);
}

static void bucket_give(struct rate_cell *c, const struct rate_call *call, int64_t taken)
{
	(void)taken; /* what came back since then is not missing any more, and cannot be given twice */
	rate_wide m = missing(c, call->limit, call->now), back = (rate_wide)call->cost * (rate_wide)call->limit->period_ns;
	set(c, call, m > back ? m - back : 0);
}

static int64_t bucket_ends(const struct rate_cell *c)
{
	return c->at + (c->part > 0);
}

const struct rate_class rate_bucket = {bucket_adopt, bucket_ask, bucket_charge, bucket_give, bucket_ends, NULL};
