/* sh_limit.c - how many links somebody may make in a time: a token bucket for each API key, or address. */
#include "sh_limit.h"

#include <stdlib.h>

#include "core/client_key.h"
#include "core/rate_text.h"
#include "sdlab/ratelimit.h"

#define KEYS 16384 /* who is remembered at a time, about 750 KB */

enum scope { BY_KEY = 1, BY_ADDRESS };

struct sh_limit {
	struct sh *sh;
	struct sd_ratelimit *table;
	struct sd_ratelimit_limit limit;
};

enum sd_err sh_limit_set(struct sh_limit *l, const struct sd_conf *conf, struct sd_error *e)
{
	struct sd_ratelimit_limit limit = {.kind = SD_RATELIMIT_TOKEN_BUCKET};
	const char *text = sd_conf_string(conf, "create-limit");
	if (strcmp(text, "none") == 0) {
		l->limit = limit;
		return SD_OK;
	}
	if (sd_parse_quota(text, &limit.count, &limit.period_ns))
		return sd_fail(e, SD_EINVAL, "%s: create-limit: expected COUNT/TIME such as 100/min, or none, found \"%s\"",
			       sd_conf_origin(conf, "create-limit"), text);
	limit.burst = limit.count;
	if (sd_ratelimit_check(&limit, e))
		return sd_wrap(e, "%s: create-limit", sd_conf_origin(conf, "create-limit"));
	l->limit = limit;
	return SD_OK;
}

enum sd_err sh_limit_open(struct sh *sh, const struct sd_conf *conf, struct sh_limit **out, struct sd_error *e)
{
	struct sd_ratelimit_conf c = {.max_keys = KEYS};
	struct sh_limit *l = calloc(1, sizeof(*l));
	if (!l)
		return sd_fail(e, SD_ENOMEM, "out of memory");
	*out = l;
	l->sh = sh;
	sd_world_random(sh->run->spec.world, c.secret, sizeof(c.secret));
	if (sd_ratelimit_new(&c, &l->table))
		return sd_fail(e, SD_ENOMEM, "out of memory");
	return sh_limit_set(l, conf, e);
}

void sh_limit_close(struct sh_limit *l)
{
	if (!l)
		return;
	sd_ratelimit_free(l->table);
	free(l);
}

void sh_limit_ask(struct sh_limit *l, struct sd_slice key, const struct sd_peer *from, void (*fn)(void *arg, int64_t wait_s), void *arg)
{
	struct sd_client_key who = {0};
	struct sd_ratelimit_answer answer = {0};
	struct sd_ratelimit_ask ask = {.limit = &l->limit, .scope = key.n ? BY_KEY : BY_ADDRESS, .key = key, .cost = 1};
	if (!key.n) {
		sd_client_key_of(from, &who); /* those without an address are one */
		ask.key = (struct sd_slice){(const char *)who.bytes, sizeof(who.bytes)};
	}
	bool limited = l->limit.count && sd_ratelimit_take(l->table, &ask, 1, sd_loop_now_ns(l->sh->control), &answer) == SD_EAGAIN;
	int64_t wait_s = answer.retry_ns > 0 ? (answer.retry_ns - 1) / 1000000000 + 1 : 1;
	fn(arg, limited ? wait_s : 0);
}
