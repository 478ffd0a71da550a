/* kv_number.c - strings that are numbers. */
#include "kv_server.h"

/* The new number in place of the old one, with its end. */
static bool put_back(struct kv_call *c, enum kv_there there, struct sd_slice number)
{
	return kv_put(c, c->argv[1], number, there == KV_PRESENT ? c->s->got.until_ms : 0);
}

static void cmd_incr(struct kv_call *c)
{
	struct sd_redis_args a = kv_args(c);
	char text[24];
	int64_t v = 0, by;
	if (!sd_redis_arg_incr(&a, &by))
		return;
	enum kv_there there = kv_look(c, c->argv[1]);
	if (there == KV_FAILED || (there == KV_PRESENT && !sd_redis_value_int(c->out, kv_got(c->s), &v)) || !sd_redis_add_int(c->out, &v, by))
		return;
	size_t n = sd_resp_int_text(text, v);
	if (put_back(c, there, (struct sd_slice){text, n}))
		sd_resp_int(c->out, v);
}

static void cmd_incrbyfloat(struct kv_call *c)
{
	struct sd_redis_args a = kv_args(c);
	struct sd_redis_float sum;
	enum kv_there there = kv_look(c, c->argv[1]);
	if (there == KV_FAILED || !sd_redis_incr_float(&a, there == KV_PRESENT ? kv_got(c->s) : (struct sd_slice){0}, &sum))
		return;
	if (put_back(c, there, (struct sd_slice){sum.text, sum.n}))
		sd_resp_bulk(c->out, sum.text, sum.n);
}

const struct kv_command kv_number_commands[] = {
    {SD_REDIS(DECR), cmd_incr},
    {SD_REDIS(DECRBY), cmd_incr},
    {SD_REDIS(INCR), cmd_incr},
    {SD_REDIS(INCRBY), cmd_incr},
    {SD_REDIS(INCRBYFLOAT), cmd_incrbyfloat},
    {0},
};
