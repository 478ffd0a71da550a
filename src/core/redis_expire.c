#include "redis_expire.h"

/* How the command gives and takes times. */
static struct sd_redis_time time_of(const struct sd_redis_command *k, int64_t now_ms)
{
	switch (k - sd_redis_commands) {
	case SD_REDIS_ID_PEXPIREAT:
	case SD_REDIS_ID_PEXPIRETIME:
		return (struct sd_redis_time){.unit_ms = 1};
	case SD_REDIS_ID_PEXPIRE:
	case SD_REDIS_ID_PSETEX:
	case SD_REDIS_ID_PTTL:
		return (struct sd_redis_time){.unit_ms = 1, .base_ms = now_ms};
	case SD_REDIS_ID_EXPIREAT:
	case SD_REDIS_ID_EXPIRETIME:
		return (struct sd_redis_time){.unit_ms = 1000};
	default:
		return (struct sd_redis_time){.unit_ms = 1000, .base_ms = now_ms};
	}
}

/* ---- EXPIRE and its kin ---- */

enum { NX = 1, XX = 2, GT = 4, LT = 8 };

static bool options(const struct sd_redis_args *a, unsigned *flags)
{
	static const struct {
		const char *word;
		unsigned flag;
	} words[] = {{"nx", NX}, {"xx", XX}, {"gt", GT}, {"lt", LT}};
	*flags = 0;
	for (size_t i = 3; i < a->argc; i++) {
		size_t k = 0;
		while (k < 4 && !sd_slice_ieq(a->argv[i], words[k].word))
			k++;
		if (k == 4) {
			sd_resp_errorf(a->out, "ERR Unsupported option %.*s", (int)a->argv[i].n, a->argv[i].p);
			return false;
		}
		*flags |= words[k].flag;
	}
	if (*flags & NX && *flags & (XX | GT | LT)) {
		sd_resp_error(a->out, "ERR NX and XX, GT or LT options at the same time are not compatible");
		return false;
	}
	if (*flags & GT && *flags & LT) {
		sd_resp_error(a->out, "ERR GT and LT options at the same time are not compatible");
		return false;
	}
	return true;
}

bool sd_redis_expire(const struct sd_redis_args *a, int64_t now_ms, struct sd_redis_expire *e)
{
	struct sd_redis_time how = time_of(a->command, now_ms);
	how.past = true;
	return options(a, &e->flags) && sd_redis_arg_time(a, 2, &how, &e->at_ms);
}

bool sd_redis_expire_fits(const struct sd_redis_expire *e, bool has, int64_t has_ms)
{
	if (e->flags & NX && has)
		return false;
	if (e->flags & XX && !has)
		return false;
	if (e->flags & GT && (!has || e->at_ms <= has_ms))
		return false;
	return !(e->flags & LT && has && e->at_ms >= has_ms);
}

bool sd_redis_setex(const struct sd_redis_args *a, int64_t now_ms, int64_t *at_ms)
{
	struct sd_redis_time how = time_of(a->command, now_ms);
	return sd_redis_arg_time(a, 2, &how, at_ms);
}

/* ---- TTL and its kin ---- */

/* In unsigned numbers, since half a unit more than the last moment there is does not fit. */
void sd_redis_tell_end(const struct sd_redis_args *a, int64_t now_ms, int64_t at_ms)
{
	struct sd_redis_time how = time_of(a->command, now_ms);
	uint64_t unit = (uint64_t)how.unit_ms;
	sd_resp_int(a->out, at_ms < 0 ? at_ms : (int64_t)(((uint64_t)(at_ms - how.base_ms) + unit / 2) / unit));
}
