#include "redis_args.h"

const char sd_redis_syntax[] = "ERR syntax error";
const char sd_redis_no_key[] = "ERR no such key";
const char sd_redis_not_int[] = "ERR value is not an integer or out of range";

/* ---- numbers and times ---- */

bool sd_redis_arg_int(const struct sd_redis_args *a, size_t i, int64_t *out)
{
	if (sd_resp_parse_int(a->argv[i], out))
		return true;
	sd_resp_error(a->out, sd_redis_not_int);
	return false;
}

bool sd_redis_arg_int32(const struct sd_redis_args *a, size_t i, int64_t *out)
{
	if (!sd_redis_arg_int(a, i, out))
		return false;
	if (*out >= INT32_MIN && *out <= INT32_MAX)
		return true;
	sd_resp_error(a->out, "ERR value is out of range, value must between -2147483648 and 2147483647");
	return false;
}

bool sd_redis_arg_time(const struct sd_redis_args *a, size_t i, const struct sd_redis_time *how, int64_t *at_ms)
{
	int64_t v, ms;
	if (!sd_redis_arg_int(a, i, &v))
		return false;
	if ((v <= 0 && !how->past) || __builtin_mul_overflow(v, how->unit_ms, &ms) || __builtin_add_overflow(ms, how->base_ms, &ms)) {
		sd_resp_errorf(a->out, "ERR invalid expire time in '%s' command", a->command->name);
		return false;
	}
	*at_ms = ms;
	return true;
}

/* ---- options of SET and GETEX ---- */

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

bool sd_redis_set_options(const struct sd_redis_args *a, size_t from, bool getex, struct sd_redis_set *o)
{
	*o = (struct sd_redis_set){0};
	for (size_t i = from; i < a->argc; i++)
		if (!set_option(a, &i, getex, o)) {
			sd_resp_error(a->out, sd_redis_syntax);
			return false;
		}
	return true;
}

bool sd_redis_set_time(const struct sd_redis_args *a, const struct sd_redis_set *o, int64_t now_ms, int64_t *at_ms)
{
	return sd_redis_arg_time(a, o->time_at, &(struct sd_redis_time){.unit_ms = o->unit_ms, .base_ms = o->relative ? now_ms : 0}, at_ms);
}

/* ---- options of EXPIRE and its kin ---- */

enum { NX = 1, XX = 2, GT = 4, LT = 8 };

bool sd_redis_expire_options(const struct sd_redis_args *a, size_t from, unsigned *flags)
{
	static const struct {
		const char *word;
		unsigned flag;
	} words[] = {{"nx", NX}, {"xx", XX}, {"gt", GT}, {"lt", LT}};
	*flags = 0;
	for (size_t i = from; i < a->argc; i++) {
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

bool sd_redis_expire_fits(unsigned flags, bool has, int64_t has_ms, int64_t wants_ms)
{
	if (flags & NX && has)
		return false;
	if (flags & XX && !has)
		return false;
	if (flags & GT && (!has || wants_ms <= has_ms))
		return false;
	return !(flags & LT && has && wants_ms >= has_ms);
}

/* ---- a copy ---- */

size_t sd_redis_args_bytes(size_t argc, const struct sd_slice *argv)
{
	size_t n = argc * sizeof(*argv);
	for (size_t i = 0; i < argc; i++)
		n += argv[i].n;
	return n;
}

struct sd_slice *sd_redis_args_copy(void *to, size_t argc, const struct sd_slice *argv)
{
	struct sd_slice *copy = to;
	char *p = (char *)(copy + argc);
	for (size_t i = 0; i < argc; i++) {
		if (argv[i].n)
			memcpy(p, argv[i].p, argv[i].n);
		copy[i] = (struct sd_slice){p, argv[i].n};
		p += argv[i].n;
	}
	return copy;
}
