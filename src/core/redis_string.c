#include "redis_string.h"

#include <math.h>

const char sd_redis_overflow[] = "ERR increment or decrement would overflow";
const char sd_redis_too_long[] = "ERR string exceeds maximum allowed size (proto-max-bulk-len)";

/* ---- SET and GETEX ---- */

#define END(own) ((SD_SET_EXPIRES & ~(own)) | SD_SET_KEEPTTL | SD_SET_PERSIST) /* the same word again counts, another one is an error */

static const struct {
	const char *word;
	unsigned flag, excludes;
	int64_t unit_ms;
	bool relative, of_set, of_getex;
} set_words[] = {
    {"nx", SD_SET_NX, SD_SET_XX, 0, false, true, false},
    {"xx", SD_SET_XX, SD_SET_NX, 0, false, true, false},
    {"get", SD_SET_GET, 0, 0, false, true, false},
    {"keepttl", SD_SET_KEEPTTL, SD_SET_EXPIRES | SD_SET_PERSIST, 0, false, true, false},
    {"persist", SD_SET_PERSIST, SD_SET_EXPIRES | SD_SET_KEEPTTL, 0, false, false, true},
    {"ex", SD_SET_EX, END(SD_SET_EX), 1000, true, true, true},
    {"px", SD_SET_PX, END(SD_SET_PX), 1, true, true, true},
    {"exat", SD_SET_EXAT, END(SD_SET_EXAT), 1000, false, true, true},
    {"pxat", SD_SET_PXAT, END(SD_SET_PXAT), 1, false, true, true},
};

static bool set_option(const struct sd_redis_args *a, size_t *i, bool getex, struct sd_redis_set *o)
{
	for (size_t k = 0; k < sizeof(set_words) / sizeof(set_words[0]); k++) {
		if (!sd_slice_ieq(a->argv[*i], set_words[k].word) || !(getex ? set_words[k].of_getex : set_words[k].of_set))
			continue;
		if (o->flags & set_words[k].excludes)
			return false;
		o->flags |= set_words[k].flag;
		if (!set_words[k].unit_ms)
			return true;
		if (*i + 1 >= a->argc)
			return false;
		o->time_at = ++*i;
		o->unit_ms = set_words[k].unit_ms;
		o->relative = set_words[k].relative;
		return true;
	}
	return false;
}

bool sd_redis_set_words(const struct sd_redis_args *a, size_t from, struct sd_redis_set *o)
{
	for (size_t i = from; i < a->argc; i++)
		if (!set_option(a, &i, a->command == SD_REDIS(GETEX), o)) {
			sd_resp_error(a->out, sd_redis_syntax);
			return false;
		}
	return true;
}

bool sd_redis_pairs(const struct sd_redis_args *a)
{
	if (a->argc % 2)
		return true;
	sd_resp_errorf(a->out, "ERR wrong number of arguments for '%s' command", a->command->name);
	return false;
}

/* ---- numbers ---- */

bool sd_redis_arg_incrby(const struct sd_redis_args *a, int64_t *by)
{
	if (!sd_redis_arg_int(a, 2, by))
		return false;
	if (a->command != SD_REDIS(DECRBY))
		return true;
	if (*by == INT64_MIN) {
		sd_resp_error(a->out, "ERR decrement would overflow");
		return false;
	}
	*by = -*by;
	return true;
}

bool sd_redis_add_float(struct sd_resp_out *out, long double v, long double by, struct sd_redis_float *sum)
{
	v += by;
	if (isnan(v) || isinf(v)) {
		sd_resp_error(out, "ERR increment would produce NaN or Infinity");
		return false;
	}
	sum->n = sd_redis_float_text(v, sum->text);
	return true;
}

bool sd_redis_incr_float(const struct sd_redis_args *a, struct sd_slice had, struct sd_redis_float *sum)
{
	long double v = 0, by;
	if ((!had.p || sd_redis_parse_double(had, &v)) && sd_redis_parse_double(a->argv[2], &by))
		return sd_redis_add_float(a->out, v, by, sum);
	sd_resp_error(a->out, sd_redis_not_float);
	return false;
}

/* ---- parts ---- */

/* Where both count from the end, the wrong way round is empty also when both are before the beginning. */
struct sd_slice sd_redis_part(struct sd_slice value, struct sd_redis_range r)
{
	int64_t n = (int64_t)value.n;
	bool wrong = r.from < 0 && r.to < 0 && r.from > r.to;
	int64_t from = r.from < 0 ? r.from + n : r.from;
	int64_t to = r.to < 0 ? r.to + n : r.to;
	from = from < 0 ? 0 : from;
	to = to < 0 ? 0 : to >= n ? n - 1 : to;
	if (wrong || n == 0 || from > to)
		return (struct sd_slice){"", 0};
	return (struct sd_slice){value.p + from, (size_t)(to - from + 1)};
}
