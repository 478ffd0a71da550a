/* redis_expire.h - ends of keys, as commands of Redis say and ask them. Pure.
 *
 * Moments are in ms since the epoch. What can fail returns false then, and the error is in `out`, word for word that of Redis 7.0. */
#ifndef SD_CORE_REDIS_EXPIRE_H
#define SD_CORE_REDIS_EXPIRE_H

#include "redis_args.h"

/* EXPIRE, PEXPIRE, EXPIREAT, PEXPIREAT: the end that is wanted, and when. */
struct sd_redis_expire {
	int64_t at_ms; /* may be over, or before the epoch */
	unsigned flags;
};
bool sd_redis_expire(const struct sd_redis_args *a, int64_t now_ms, struct sd_redis_expire *e);
/* May a key that ends at has_ms get that end instead? A key that never ends counts as one that does after every other. */
bool sd_redis_expire_fits(const struct sd_redis_expire *e, bool has, int64_t has_ms);

/* The end that SETEX or PSETEX gives. */
bool sd_redis_setex(const struct sd_redis_args *a, int64_t now_ms, int64_t *at_ms);

/* What TTL, PTTL, EXPIRETIME or PEXPIRETIME replies about a key that ends then. */
void sd_redis_tell_end(const struct sd_redis_args *a, int64_t now_ms, int64_t at_ms);
/* About one that never does, or is not there. */
enum { SD_REDIS_NO_END = -1, SD_REDIS_NO_KEY = -2 };

#endif
