/* kv_string.c - commands about strings. */
#include <stdlib.h>
#include <string.h>

#include "kv_server.h"

static void reply_got(struct kv_call *c, enum kv_there there)
{
	struct sd_slice v = kv_got(c->s);
	if (there == KV_PRESENT)
		sd_resp_bulk(c->out, v.p, v.n);
	else if (there == KV_ABSENT)
		sd_resp_null(c->out);
}

/* When what was looked at ends; 0: never, or it is not there. */
static int64_t end_of(const struct kv_call *c, enum kv_there there)
{
	return there == KV_PRESENT ? c->s->got.until_ms : 0;
}

/* ---- GET and SET ---- */

static void cmd_get(struct kv_call *c)
{
	reply_got(c, kv_read(c, c->argv[1]));
}

/* With none of these nothing has to be known of what was there. */
#define LOOKS (SD_SET_NX | SD_SET_XX | SD_SET_GET | SD_SET_KEEPTTL)

static void cmd_set(struct kv_call *c)
{
	struct sd_redis_args a = kv_args(c);
	struct sd_redis_set o;
	size_t begun = c->out->n;
	int64_t until = 0;
	if (!sd_redis_set_options(&a, &o) || !sd_redis_set_time(&a, &o, c->now_ms, &until))
		return;
	enum kv_there there = o.flags & LOOKS ? kv_look(c, c->argv[1]) : KV_ABSENT;
	if (there == KV_FAILED)
		return;
	if (o.flags & SD_SET_GET)
		reply_got(c, there);
	if (!sd_redis_set_fits(&o, there == KV_PRESENT)) {
		if (!(o.flags & SD_SET_GET))
			sd_resp_null(c->out);
		return;
	}
	if (o.flags & SD_SET_KEEPTTL)
		until = end_of(c, there);
	size_t replied = c->out->n;
	if (!kv_put(c, c->argv[1], c->argv[2], until)) { /* the error takes the place of the value */
		size_t n = c->out->n - replied;
		memmove(c->out->p + begun, c->out->p + replied, n);
		c->out->n = begun + n;
	} else if (!(o.flags & SD_SET_GET)) {
		sd_resp_simple(c->out, "OK");
	}
}

static void cmd_setnx(struct kv_call *c)
{
	enum kv_there there = kv_exists(c, c->argv[1]);
	if (there == KV_FAILED || (there == KV_ABSENT && !kv_put(c, c->argv[1], c->argv[2], 0)))
		return;
	sd_resp_int(c->out, there == KV_ABSENT);
}

static void cmd_setex(struct kv_call *c)
{
	struct sd_redis_args a = kv_args(c);
	int64_t until;
	if (sd_redis_setex(&a, c->now_ms, &until) && kv_put(c, c->argv[1], c->argv[3], until))
		sd_resp_simple(c->out, "OK");
}

static void cmd_getset(struct kv_call *c)
{
	enum kv_there there = kv_look(c, c->argv[1]);
	if (there != KV_FAILED && kv_put(c, c->argv[1], c->argv[2], 0))
		reply_got(c, there);
}

static void cmd_getdel(struct kv_call *c)
{
	enum kv_there there = kv_read(c, c->argv[1]);
	reply_got(c, there);
	if (there == KV_PRESENT)
		kv_remove(c, c->argv[1]);
}

static void cmd_getex(struct kv_call *c)
{
	struct sd_redis_args a = kv_args(c);
	struct sd_redis_set o;
	int64_t until = 0;
	if (!sd_redis_set_options(&a, &o))
		return;
	enum kv_there there = kv_read(c, c->argv[1]);
	if (there != KV_PRESENT) {
		reply_got(c, there);
		return;
	}
	if (!sd_redis_set_time(&a, &o, c->now_ms, &until))
		return;
	if (o.flags & SD_SET_EXPIRES && until <= c->now_ms)
		kv_remove(c, c->argv[1]);
	else if ((o.flags & SD_SET_EXPIRES || (o.flags & SD_SET_PERSIST && end_of(c, there))) && !kv_put(c, c->argv[1], kv_got(c->s), until))
		return;
	reply_got(c, there);
}

static void cmd_mget(struct kv_call *c)
{
	size_t begun = c->out->n;
	sd_resp_array(c->out, c->argc - 1);
	for (size_t i = 1; i < c->argc; i++) {
		size_t before = c->out->n;
		enum kv_there there = kv_read(c, c->argv[i]);
		if (there == KV_FAILED) { /* the error is the whole reply */
			size_t n = c->out->n - before;
			memmove(c->out->p + begun, c->out->p + before, n);
			c->out->n = begun + n;
			return;
		}
		reply_got(c, there);
	}
}

static bool set_pairs(struct kv_call *c)
{
	for (size_t i = 1; i < c->argc; i += 2)
		if (!kv_put(c, c->argv[i], c->argv[i + 1], 0))
			return false;
	return true;
}

static void cmd_mset(struct kv_call *c)
{
	struct sd_redis_args a = kv_args(c);
	if (sd_redis_pairs(&a) && set_pairs(c))
		sd_resp_simple(c->out, "OK");
}

static void cmd_msetnx(struct kv_call *c)
{
	struct sd_redis_args a = kv_args(c);
	if (!sd_redis_pairs(&a))
		return;
	for (size_t i = 1; i < c->argc; i += 2) {
		enum kv_there there = kv_exists(c, c->argv[i]);
		if (there == KV_PRESENT)
			sd_resp_int(c->out, 0);
		if (there != KV_ABSENT)
			return;
	}
	if (set_pairs(c))
		sd_resp_int(c->out, 1);
}

/* ---- parts ---- */

static void cmd_strlen(struct kv_call *c)
{
	enum kv_there there = kv_read(c, c->argv[1]);
	if (there != KV_FAILED)
		sd_resp_int(c->out, there == KV_PRESENT ? (int64_t)c->s->got.n : 0);
}

/* The value that was looked at, made this long, with `part` written over it at `at`, and put back: its end stays as it was. */
static void put_part(struct kv_call *c, enum kv_there there, size_t had, size_t at, struct sd_slice part)
{
	size_t n = at + part.n > had ? at + part.n : had;
	char *p = malloc(n + 1);
	if (!p) {
		sd_resp_error(c->out, kv_no_memory);
		return;
	}
	if (had)
		memcpy(p, c->s->got.p, had);
	if (at > had)
		memset(p + had, 0, at - had);
	if (part.n)
		memcpy(p + at, part.p, part.n);
	if (kv_put(c, c->argv[1], (struct sd_slice){p, n}, end_of(c, there)))
		sd_resp_int(c->out, (int64_t)n);
	free(p);
}

static void cmd_append(struct kv_call *c)
{
	enum kv_there there = kv_look(c, c->argv[1]);
	size_t had = there == KV_PRESENT ? c->s->got.n : 0;
	if (there != KV_FAILED && sd_redis_fits(c->out, had, c->argv[2].n, SD_KV_VALUE_MAX))
		put_part(c, there, had, had, c->argv[2]);
}

static void cmd_setrange(struct kv_call *c)
{
	struct sd_redis_args a = kv_args(c);
	size_t at;
	if (!sd_redis_arg_offset(&a, &at))
		return;
	enum kv_there there = kv_look(c, c->argv[1]);
	size_t had = there == KV_PRESENT ? c->s->got.n : 0;
	if (there == KV_FAILED)
		return;
	if (c->argv[3].n == 0)
		sd_resp_int(c->out, (int64_t)had);
	else if (sd_redis_fits(c->out, at, c->argv[3].n, SD_KV_VALUE_MAX))
		put_part(c, there, had, at, c->argv[3]);
}

static void cmd_getrange(struct kv_call *c)
{
	struct sd_redis_args a = kv_args(c);
	struct sd_redis_range r;
	if (!sd_redis_arg_range(&a, &r))
		return;
	enum kv_there there = kv_read(c, c->argv[1]);
	if (there == KV_FAILED)
		return;
	struct sd_slice part = sd_redis_part(there == KV_PRESENT ? kv_got(c->s) : (struct sd_slice){"", 0}, r);
	sd_resp_bulk(c->out, part.p, part.n);
}

const struct kv_command kv_string_commands[] = {
    {SD_REDIS(APPEND), cmd_append},
    {SD_REDIS(GET), cmd_get},
    {SD_REDIS(GETDEL), cmd_getdel},
    {SD_REDIS(GETEX), cmd_getex},
    {SD_REDIS(GETRANGE), cmd_getrange},
    {SD_REDIS(GETSET), cmd_getset},
    {SD_REDIS(MGET), cmd_mget},
    {SD_REDIS(MSET), cmd_mset},
    {SD_REDIS(MSETNX), cmd_msetnx},
    {SD_REDIS(PSETEX), cmd_setex},
    {SD_REDIS(SET), cmd_set},
    {SD_REDIS(SETEX), cmd_setex},
    {SD_REDIS(SETNX), cmd_setnx},
    {SD_REDIS(SETRANGE), cmd_setrange},
    {SD_REDIS(STRLEN), cmd_strlen},
    {SD_REDIS(SUBSTR), cmd_getrange},
    {0},
};
