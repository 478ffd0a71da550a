/* cache_throttle.c - CL.THROTTLE, as the module redis-cell has it: a bucket a key (core/ratelimit_value.h), kept as a string that
 * ends when the bucket is full again. */
#include "../engine/cache.h"
#include "core/ratelimit_value.h"
#include "core/throttle.h"

#define MS INT64_C(1000000)
/* Times are counted from 2017-07-14 on: nanoseconds since 1970 would soon be more than the limiter takes. */
#define EPOCH_MS INT64_C(1500000000000)

/* False: out of memory. */
static bool keep(struct cache_call *c, struct cache_item *it, const struct sd_ratelimit_value *v, int64_t now_ns)
{
	struct sd_slice bytes = {v->p, sizeof(v->p)};
	if (v->ends_ns <= now_ns) {
		if (it)
			cache_delete(c->db, it);
		return true;
	}
	/* up, so that it is there as long as it counts */
	return cache_set_string(c->db, c->argv[1], bytes, EPOCH_MS + (v->ends_ns + MS - 1) / MS);
}

static void cmd_throttle(struct cache_call *c)
{
	struct sd_ratelimit_limit limit;
	struct sd_ratelimit_answer answer;
	struct sd_ratelimit_value value;
	struct cache_item *it;
	int64_t units, now_ms = c->cache->now_ms - EPOCH_MS, now_ns = now_ms > 0 ? now_ms * MS : 0;
	char text[24];
	if (!sd_throttle_read(c->argc, c->argv, &limit, &units, c->out) || !cache_typed_for_write(c, 1, CACHE_STRING, &it))
		return;
	struct sd_slice kept = it ? cache_string(it, text) : (struct sd_slice){"", 0};
	bool empty = it && kept.n == 0;
	if (empty || sd_ratelimit_value_take(kept, &limit, units, now_ns, &value, &answer) == SD_EINVAL)
		sd_resp_error(c->out, cache_wrong_type);
	else if ((kept.n != sizeof(value.p) || memcmp(kept.p, value.p, kept.n) != 0) && !keep(c, it, &value, now_ns))
		sd_resp_error(c->out, cache_no_memory);
	else
		sd_throttle_answer(&answer, c->out);
}

const struct cache_command cache_throttle_commands[] = {
    {SD_REDIS(CL_THROTTLE), cmd_throttle},
    {0},
};
