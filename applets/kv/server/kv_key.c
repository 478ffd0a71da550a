/* kv_key.c - commands about keys and their ends. */
#include <string.h>

#include "core/count.h"
#include "kv_server.h"

static void cmd_del(struct kv_call *c)
{
	int64_t n = 0;
	for (size_t i = 1; i < c->argc; i++) {
		enum kv_there there = kv_exists(c, c->argv[i]);
		if (there == KV_FAILED)
			return;
		if (there == KV_PRESENT)
			kv_remove(c, c->argv[i]);
		n += there == KV_PRESENT;
	}
	sd_resp_int(c->out, n);
}

static void cmd_exists(struct kv_call *c)
{
	int64_t n = 0;
	for (size_t i = 1; i < c->argc; i++) {
		enum kv_there there = kv_exists(c, c->argv[i]);
		if (there == KV_FAILED)
			return;
		sd_count(&c->s->counts[there == KV_PRESENT ? KV_HITS : KV_MISSES], 1);
		n += there == KV_PRESENT;
	}
	sd_resp_int(c->out, n);
}

static void cmd_type(struct kv_call *c)
{
	enum kv_there there = kv_exists(c, c->argv[1]);
	if (there != KV_FAILED)
		sd_resp_simple(c->out, there == KV_PRESENT ? "string" : "none");
}

/* ---- expiry ---- */

static void cmd_expire(struct kv_call *c)
{
	struct sd_redis_args a = kv_args(c);
	struct sd_redis_expire e;
	if (!sd_redis_expire(&a, c->now_ms, &e))
		return;
	enum kv_there there = kv_look(c, c->argv[1]);
	if (there == KV_FAILED)
		return;
	if (there == KV_ABSENT || !sd_redis_expire_fits(&e, c->s->got.until_ms, c->s->got.until_ms)) {
		sd_resp_int(c->out, 0);
		return;
	}
	if (e.at_ms <= c->now_ms)
		kv_remove(c, c->argv[1]);
	else if (!kv_put(c, c->argv[1], kv_got(c->s), e.at_ms))
		return;
	sd_resp_int(c->out, 1);
}

static void cmd_ttl(struct kv_call *c)
{
	struct sd_redis_args a = kv_args(c);
	enum kv_there there = kv_look(c, c->argv[1]);
	int64_t at = c->s->got.until_ms;
	if (there != KV_FAILED)
		sd_redis_tell_end(&a, c->now_ms, there == KV_ABSENT ? SD_REDIS_NO_KEY : at ? at : SD_REDIS_NO_END);
}

static void cmd_persist(struct kv_call *c)
{
	enum kv_there there = kv_look(c, c->argv[1]);
	bool has = there == KV_PRESENT && c->s->got.until_ms;
	if (there != KV_FAILED && (!has || kv_put(c, c->argv[1], kv_got(c->s), 0)))
		sd_resp_int(c->out, has);
}

/* ---- names ---- */

static bool same(struct sd_slice a, struct sd_slice b)
{
	return a.n == b.n && (!a.n || memcmp(a.p, b.p, a.n) == 0);
}

static void rename_key(struct kv_call *c, bool nx)
{
	enum kv_there there = kv_look(c, c->argv[1]);
	if (there != KV_PRESENT) {
		if (there == KV_ABSENT)
			sd_resp_error(c->out, sd_redis_no_key);
		return;
	}
	bool is_same = same(c->argv[1], c->argv[2]);
	enum kv_there other = !nx ? KV_ABSENT : is_same ? KV_PRESENT : kv_exists(c, c->argv[2]);
	if (other != KV_ABSENT) {
		if (other == KV_PRESENT)
			sd_resp_int(c->out, 0);
		return;
	}
	if (!is_same) {
		if (!kv_put(c, c->argv[2], kv_got(c->s), c->s->got.until_ms))
			return;
		kv_remove(c, c->argv[1]);
	}
	if (nx)
		sd_resp_int(c->out, 1);
	else
		sd_resp_simple(c->out, "OK");
}

static void cmd_rename(struct kv_call *c)
{
	rename_key(c, false);
}

static void cmd_renamenx(struct kv_call *c)
{
	rename_key(c, true);
}

static bool copy_options(struct kv_call *c, bool *replace)
{
	*replace = false;
	for (size_t i = 3; i < c->argc; i++) {
		if (sd_slice_ieq(c->argv[i], "replace")) {
			*replace = true;
		} else if (sd_slice_ieq(c->argv[i], "db") && i + 1 < c->argc) {
			if (!kv_arg_db0(c, ++i))
				return false;
		} else {
			sd_resp_error(c->out, sd_redis_syntax);
			return false;
		}
	}
	return true;
}

static void cmd_copy(struct kv_call *c)
{
	bool replace;
	if (!copy_options(c, &replace))
		return;
	if (same(c->argv[1], c->argv[2])) {
		sd_resp_error(c->out, "ERR source and destination objects are the same");
		return;
	}
	enum kv_there there = kv_look(c, c->argv[1]);
	enum kv_there other = there == KV_PRESENT && !replace ? kv_exists(c, c->argv[2]) : KV_ABSENT;
	if (there == KV_FAILED || other == KV_FAILED)
		return;
	bool copies = there == KV_PRESENT && other == KV_ABSENT;
	if (!copies || kv_put(c, c->argv[2], kv_got(c->s), c->s->got.until_ms))
		sd_resp_int(c->out, copies);
}

static void cmd_move(struct kv_call *c)
{
	if (kv_arg_db0(c, 2))
		sd_resp_error(c->out, "ERR source and destination objects are the same");
}

const struct kv_command kv_key_commands[] = {
    {SD_REDIS(COPY), cmd_copy},
    {SD_REDIS(DEL), cmd_del},
    {SD_REDIS(EXISTS), cmd_exists},
    {SD_REDIS(EXPIRE), cmd_expire},
    {SD_REDIS(EXPIREAT), cmd_expire},
    {SD_REDIS(EXPIRETIME), cmd_ttl},
    {SD_REDIS(MOVE), cmd_move},
    {SD_REDIS(PERSIST), cmd_persist},
    {SD_REDIS(PEXPIRE), cmd_expire},
    {SD_REDIS(PEXPIREAT), cmd_expire},
    {SD_REDIS(PEXPIRETIME), cmd_ttl},
    {SD_REDIS(PTTL), cmd_ttl},
    {SD_REDIS(RENAME), cmd_rename},
    {SD_REDIS(RENAMENX), cmd_renamenx},
    {SD_REDIS(TOUCH), cmd_exists},
    {SD_REDIS(TTL), cmd_ttl},
    {SD_REDIS(TYPE), cmd_type},
    {SD_REDIS(UNLINK), cmd_del},
    {0},
};
