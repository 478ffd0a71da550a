#include "ratelimit_value.h"

#include "bytes.h"
#include "ratelimit_int.h"

#define MOST (INT64_C(1) << 60)

static bool decode(struct sd_slice kept, int64_t now, struct rate_cell *c)
{
	*c = (struct rate_cell){0};
	if (kept.n == 0)
		return true;
	if (kept.n != SD_RATELIMIT_VALUE || !sd_slice_starts(kept, "B1"))
		return false;
	c->period = (int64_t)sd_get_le(kept.p + 2, 8);
	c->count = (uint32_t)sd_get_le(kept.p + 10, 4);
	c->part = (uint32_t)sd_get_le(kept.p + 14, 4);
	c->at = (int64_t)sd_get_le(kept.p + 18, 8);
	if (c->period <= 0 || c->period > MOST || c->count == 0 || c->part >= c->count || c->at < 0)
		return false;
	/* no bucket that was let pass is missing more than this, so that nothing below overflows */
	rate_wide most = (rate_wide)UINT32_MAX * (rate_wide)c->period / c->count;
	if (most > (rate_wide)MOST)
		most = (rate_wide)MOST;
	if (c->at > now + (int64_t)most)
		c->at = now + (int64_t)most;
	return true;
}

static void encode(const struct rate_cell *c, struct sd_ratelimit_value *out)
{
	out->p[0] = 'B';
	out->p[1] = '1';
	sd_put_le(out->p + 2, (uint64_t)c->period, 8);
	sd_put_le(out->p + 10, c->count, 4);
	sd_put_le(out->p + 14, c->part, 4);
	sd_put_le(out->p + 18, (uint64_t)c->at, 8);
	out->ends_ns = rate_bucket.ends(c);
}

enum sd_err sd_ratelimit_value_take(struct sd_slice kept, const struct sd_ratelimit_limit *limit, int64_t units, int64_t now_ns,
				    struct sd_ratelimit_value *out, struct sd_ratelimit_answer *answer)
{
	struct rate_cell c;
	struct rate_call call = {.limit = limit, .now = now_ns, .cost = (uint64_t)(units < 0 ? -units : units)};
	if (!decode(kept, now_ns, &c))
		return SD_EINVAL;
	*answer = (struct sd_ratelimit_answer){0};
	rate_bucket.adopt(&c, &call);
	if (units < 0) {
		rate_bucket.give(&c, &call, now_ns);
		call.cost = 0;
	}
	rate_bucket.ask(&c, &call, true, answer);
	encode(&c, out);
	return answer->allowed ? SD_OK : SD_EAGAIN;
}
