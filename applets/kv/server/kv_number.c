/* kv_number.c - strings that are numbers. */
#include <math.h>

#include "kv_server.h"

static void add_to(struct kv_call *c, int64_t by)
{
	enum kv_there there = kv_look(c, c->argv[1]);
	int64_t v = 0;
	char text[24];
	if (there == KV_FAILED)
		return;
	if (there == KV_PRESENT && !sd_resp_parse_int(kv_got(c->s), &v)) {
		sd_resp_error(c->out, sd_redis_not_int);
		return;
	}
	if (__builtin_add_overflow(v, by, &v)) {
		sd_resp_error(c->out, "ERR increment or decrement would overflow");
		return;
	}
	struct sd_slice value = {text, sd_resp_int_text(text, v)};
	if (kv_put(c, c->argv[1], value, there == KV_PRESENT ? c->s->got.until_ms : 0))
		sd_resp_int(c->out, v);
}

static void cmd_incr(struct kv_call *c)
{
	add_to(c, 1);
}

static void cmd_decr(struct kv_call *c)
{
	add_to(c, -1);
}

static void cmd_incrby(struct kv_call *c)
{
	int64_t by;
	if (kv_arg_int(c, 2, &by))
		add_to(c, by);
}

static void cmd_decrby(struct kv_call *c)
{
	int64_t by;
	if (!kv_arg_int(c, 2, &by))
		return;
	if (by == INT64_MIN)
		sd_resp_error(c->out, "ERR decrement would overflow");
	else
		add_to(c, -by);
}

static void cmd_incrbyfloat(struct kv_call *c)
{
	char text[SD_REDIS_FLOAT_TEXT];
	long double v = 0, by;
	enum kv_there there = kv_look(c, c->argv[1]);
	if (there == KV_FAILED)
		return;
	if ((there == KV_PRESENT && !sd_redis_parse_double(kv_got(c->s), &v)) || !sd_redis_parse_double(c->argv[2], &by)) {
		sd_resp_error(c->out, "ERR value is not a valid float");
		return;
	}
	v += by;
	if (isnan(v) || isinf(v)) {
		sd_resp_error(c->out, "ERR increment would produce NaN or Infinity");
		return;
	}
	size_t n = sd_redis_float_text(v, text);
	if (kv_put(c, c->argv[1], (struct sd_slice){text, n}, there == KV_PRESENT ? c->s->got.until_ms : 0))
		sd_resp_bulk(c->out, text, n);
}

const struct kv_command kv_number_commands[] = {
    {SD_REDIS(DECR), cmd_decr},
    {SD_REDIS(DECRBY), cmd_decrby},
    {SD_REDIS(INCR), cmd_incr},
    {SD_REDIS(INCRBY), cmd_incrby},
    {SD_REDIS(INCRBYFLOAT), cmd_incrbyfloat},
    {0},
};
