#include "redis_args.h"

const char sd_redis_syntax[] = "ERR syntax error";
const char sd_redis_no_key[] = "ERR no such key";
const char sd_redis_not_int[] = "ERR value is not an integer or out of range";
const char sd_redis_not_float[] = "ERR value is not a valid float";

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
