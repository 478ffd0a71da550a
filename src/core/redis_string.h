/* redis_string.h - what commands about strings of Redis mean, whoever keeps the strings. Pure.
 *
 * A server finds a value, asks here what becomes of it, and keeps that. What can fail returns false then, and the error is in `out`, word
 * for word that of Redis 7.0. What every SET, INCR and SETRANGE asks is inline. */
#ifndef SD_CORE_REDIS_STRING_H
#define SD_CORE_REDIS_STRING_H

#include "redis_args.h"
#include "redis_text.h"

/* ---- SET and GETEX ---- */
enum sd_redis_set_flag {
	SD_SET_NX = 1, SD_SET_XX = 2, SD_SET_GET = 4, SD_SET_KEEPTTL = 8, SD_SET_PERSIST = 16,
	SD_SET_EX = 32, SD_SET_PX = 64, SD_SET_EXAT = 128, SD_SET_PXAT = 256,
	SD_SET_EXPIRES = SD_SET_EX | SD_SET_PX | SD_SET_EXAT | SD_SET_PXAT,
};
struct sd_redis_set {
	unsigned flags; /* enum sd_redis_set_flag */
	size_t time_at; /* with one of EXPIRES: the argument of the time, */
	int64_t unit_ms; /* and how it is given */
	bool relative;
};
/* From that argument on. */
bool sd_redis_set_words(const struct sd_redis_args *a, size_t from, struct sd_redis_set *o);
/* The words behind the value of SET, or behind the key of GETEX. */
static inline bool sd_redis_set_options(const struct sd_redis_args *a, struct sd_redis_set *o)
{
	size_t from = a->command == SD_REDIS(GETEX) ? 2 : 3;
	*o = (struct sd_redis_set){0};
	return a->argc == from || sd_redis_set_words(a, from, o);
}
/* The moment that they name, with one of EXPIRES; else *at_ms stays. GETEX asks only once it knows that the key is there. */
static inline bool sd_redis_set_time(const struct sd_redis_args *a, const struct sd_redis_set *o, int64_t now_ms, int64_t *at_ms)
{
	struct sd_redis_time how = {.unit_ms = o->unit_ms, .base_ms = o->relative ? now_ms : 0};
	return !(o->flags & SD_SET_EXPIRES) || sd_redis_arg_time(a, o->time_at, &how, at_ms);
}
/* May SET, as far as it matters to it whether the key is there? */
static inline bool sd_redis_set_fits(const struct sd_redis_set *o, bool there)
{
	return !(o->flags & (there ? SD_SET_NX : SD_SET_XX));
}
/* MSET and MSETNX: keys and values. */
bool sd_redis_pairs(const struct sd_redis_args *a);

/* ---- numbers ---- */
bool sd_redis_arg_incrby(const struct sd_redis_args *a, int64_t *by);
/* What INCR, DECR, INCRBY or DECRBY adds. */
static inline bool sd_redis_arg_incr(const struct sd_redis_args *a, int64_t *by)
{
	*by = a->command == SD_REDIS(DECR) ? -1 : 1;
	return a->argc == 2 || sd_redis_arg_incrby(a, by);
}
/* The number that a value is. */
static inline bool sd_redis_value_int(struct sd_resp_out *out, struct sd_slice value, int64_t *v)
{
	if (sd_resp_parse_int(value, v))
		return true;
	sd_resp_error(out, sd_redis_not_int);
	return false;
}
extern const char sd_redis_overflow[], sd_redis_too_long[];
static inline bool sd_redis_add_int(struct sd_resp_out *out, int64_t *v, int64_t by)
{
	if (!__builtin_add_overflow(*v, by, v))
		return true;
	sd_resp_error(out, sd_redis_overflow);
	return false;
}

struct sd_redis_float {
	size_t n;
	char text[SD_REDIS_FLOAT_TEXT];
};
/* The value after INCRBYFLOAT. had.p NULL: there was none. */
bool sd_redis_incr_float(const struct sd_redis_args *a, struct sd_slice had, struct sd_redis_float *sum);
bool sd_redis_add_float(struct sd_resp_out *out, long double v, long double by, struct sd_redis_float *sum);

/* ---- parts ---- */
/* Both ends are of it; negative ones count from the end of the value. */
struct sd_redis_range {
	int64_t from, to;
};
/* Of GETRANGE. */
static inline bool sd_redis_arg_range(const struct sd_redis_args *a, struct sd_redis_range *r)
{
	return sd_redis_arg_int(a, 2, &r->from) && sd_redis_arg_int(a, 3, &r->to);
}
struct sd_slice sd_redis_part(struct sd_slice value, struct sd_redis_range r);
/* Of SETRANGE. */
static inline bool sd_redis_arg_offset(const struct sd_redis_args *a, size_t *at)
{
	int64_t v;
	if (!sd_redis_arg_int(a, 2, &v))
		return false;
	*at = (size_t)v;
	if (v < 0)
		sd_resp_error(a->out, "ERR offset is out of range");
	return v >= 0;
}
/* A value may have so many bytes behind `at`. */
static inline bool sd_redis_fits(struct sd_resp_out *out, size_t at, size_t n, uint64_t most)
{
	if (at <= most && n <= most - at)
		return true;
	sd_resp_error(out, sd_redis_too_long);
	return false;
}

#endif
