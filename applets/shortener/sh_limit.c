/* sh_limit.c - how many links somebody may make in a time: a token bucket for each API key, or address; here, or in a store that servers
 * share. While the store is away each server counts by itself, from full buckets on. */
#include "sh_limit.h"

#include <stdio.h>
#include <stdlib.h>

#include "app/limit_store.h"
#include "core/client_key.h"
#include "core/rate_text.h"
#include "core/resp_url.h"
#include "net/tls_hmac.h"

#define KEYS   16384 /* who is remembered at a time, about 750 KB */
#define DIGEST 33    /* as hexadecimal digits */

enum scope { BY_KEY = 1, BY_ADDRESS };
enum { BY_STORE, BY_ITSELF, BYS };

struct sh_limit {
	struct sh *sh;
	struct sd_ratelimit *table;
	struct sd_ratelimit_limit limit;
	struct sd_limit_store *store; /* NULL: limits are kept here */
	char prefix[128], shown[256], why[256];
	bool told, down;
	uint64_t decided[BYS];
};

/* A question to the store. */
struct question {
	struct sd_limit_call call;
	struct sh_limit *l;
	struct sd_limit_item item;
	struct sd_slice key;
	struct sd_ratelimit_answer answer;
	void (*fn)(void *arg, int64_t wait_s);
	void *arg;
	char text[160], who[DIGEST];
};

/* ---- settings ---- */

static const char *store_url(const struct sd_conf *conf)
{
	const char *text = sd_conf_string(conf, "create-limit-store");
	return text && strcmp(text, "cache") == 0 ? sd_conf_string(conf, "cache") : text;
}

static enum sd_err check_ca(const struct sd_conf *conf, bool secure, struct sd_error *e)
{
	if (secure || !sd_conf_has(conf, "create-limit-store-ca"))
		return SD_OK;
	return sd_fail(e, SD_EUSAGE, "%s: expected --create-limit-store rediss://HOST with it, which speaks TLS",
		       sd_conf_at(conf, "create-limit-store-ca"));
}

static enum sd_err check_limit(const struct sd_conf *conf, const struct sd_ratelimit_limit *limit, struct sd_error *e)
{
	enum sd_err err = sd_ratelimit_check(limit, e);
	if (!err && store_url(conf))
		err = sd_limit_fits("create-limit", limit, SD_LIMIT_LUA, e);
	return err;
}

/* A count of 0 is none. One without a time would be a second's, which nobody means who limits how many links are made. */
static enum sd_err read_limit(const struct sd_conf *conf, struct sd_ratelimit_limit *limit, struct sd_error *e)
{
	const char *text = sd_conf_string(conf, "create-limit");
	*limit = (struct sd_ratelimit_limit){.kind = SD_RATELIMIT_TOKEN_BUCKET};
	if (strcmp(text, "none") == 0)
		return SD_OK;
	if (!strchr(text, '/') || sd_parse_quota(text, &limit->count, &limit->period_ns))
		return sd_fail(e, SD_EUSAGE, "%s: expected COUNT/TIME such as 100/min, or none, found \"%s\"",
			       sd_conf_at(conf, "create-limit"), text);
	limit->burst = limit->count;
	if (!check_limit(conf, limit, e))
		return SD_OK;
	e->code = SD_EUSAGE;
	return sd_wrap(e, "%s", sd_conf_at(conf, "create-limit"));
}

enum sd_err sh_limit_check(const struct sd_conf *conf, struct sd_error *e)
{
	bool secure = false;
	struct sd_ratelimit_limit ignored;
	const char *url = store_url(conf);
	if (read_limit(conf, &ignored, e))
		return e->code;
	if (!sd_conf_has(conf, "create-limit-store"))
		return check_ca(conf, secure, e);
	if (!url)
		return sd_fail(e, SD_EUSAGE, "%s: expected --cache with it, which it is to be kept in",
			       sd_conf_at(conf, "create-limit-store"));
	if (sd_limit_store_check(url, &secure, e))
		return sd_wrap(e, "%s", sd_conf_at(conf, "create-limit-store"));
	return check_ca(conf, secure, e);
}

enum sd_err sh_limit_set(struct sh_limit *l, const struct sd_conf *conf, struct sd_error *e)
{
	struct sd_ratelimit_limit limit;
	enum sd_err err = read_limit(conf, &limit, e);
	if (!err)
		l->limit = limit;
	return err;
}

/* ---- the store ---- */

static void on_up(void *arg, const char *how)
{
	struct sh_limit *l = arg;
	if (l->down)
		sd_event(l->sh->log, SD_INFO, "limit-store-back", NULL, "The store of --create-limit %s is back, %s", l->shown, how);
	else if (!l->told)
		sd_event(l->sh->log, SD_INFO, "limit-store", NULL, "--create-limit is shared in %s, %s", l->shown, how);
	l->told = true;
	l->down = false;
}

static void on_down(void *arg, const char *why)
{
	struct sh_limit *l = arg;
	l->down = true;
	snprintf(l->why, sizeof(l->why), "the store %.90s does not decide, each server limits by itself: %.90s", l->shown, why);
	sd_event(l->sh->log, SD_WARN, "limit-store-gone", NULL,
		 "The store of --create-limit %s is gone, meanwhile each server limits by itself: %s", l->shown, why);
}

static void on_odd(void *arg, const char *what)
{
	struct sh_limit *l = arg;
	sd_event(l->sh->log, SD_WARN, "limit-store-odd", NULL, "The store of --create-limit %s does not decide: %s", l->shown, what);
}

static void show(struct sh_limit *l, const char *url)
{
	struct sd_resp_url parts;
	struct sd_error ignored = {0};
	if (sd_resp_url_parse(url, &parts, &ignored) == SD_OK)
		snprintf(l->shown, sizeof(l->shown), "%.*s", (int)(parts.shown.n < 250 ? parts.shown.n : 250), parts.shown.p);
	explicit_bzero(&parts, sizeof(parts));
}

static enum sd_err open_store(struct sh_limit *l, const struct sd_conf *conf, struct sd_error *e)
{
	struct sd_limit_store_conf how = {
	    .url = store_url(conf),
	    .ca = sd_conf_string(conf, "create-limit-store-ca"),
	    .timeout_ns = sd_conf_int(conf, "cache-timeout"),
	    .up = on_up,
	    .down = on_down,
	    .odd = on_odd,
	    .arg = l,
	};
	if (!how.url)
		return SD_OK;
	show(l, how.url);
	snprintf(l->prefix, sizeof(l->prefix), "%s", sd_conf_string(conf, "cache-prefix"));
	l->store = sd_limit_store_open(l->sh->control, &how, e);
	return l->store ? SD_OK : e->code;
}

/* ---- life ---- */

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
	enum sd_err err = sh_limit_set(l, conf, e);
	return err ? err : open_store(l, conf, e);
}

void sh_limit_stop(struct sh_limit *l)
{
	if (!l)
		return;
	sd_limit_store_close(l->store);
	l->store = NULL;
}

void sh_limit_close(struct sh_limit *l)
{
	if (!l)
		return;
	sd_ratelimit_free(l->table);
	free(l);
}

bool sh_limit_ready(const struct sh_limit *l, const char **why)
{
	*why = l->why;
	return !l->store || sd_limit_store_decides(l->store);
}

void sh_limit_metrics(const struct sh_limit *l, struct sd_metrics *m, const char *label)
{
	static const char *const bys[BYS] = {"store", "itself"};
	if (!l->store)
		return;
	sd_metrics_family(m, "sdlab_shortener_limit_store_up", "gauge", "1 while the store of --create-limit decides");
	sd_metrics_add(m, sd_limit_store_decides(l->store) ? 1 : 0, "%s", label);
	sd_metrics_family(m, "sdlab_shortener_limit_decisions_total", "counter",
			  "Decisions of the store of --create-limit, and those made without it");
	for (size_t i = 0; i < BYS; i++)
		sd_metrics_add(m, (double)l->decided[i], "%s,by=\"%s\"", label, bys[i]);
}

/* ---- asking ---- */

static int64_t wait_of(bool limited, const struct sd_ratelimit_answer *a)
{
	int64_t s = a->retry_ns > 0 ? (a->retry_ns - 1) / 1000000000 + 1 : 1;
	return limited ? s : 0;
}

static int64_t ask_here(struct sh_limit *l, const struct sd_ratelimit_limit *limit, enum scope scope, struct sd_slice key)
{
	struct sd_ratelimit_answer answer = {0};
	struct sd_ratelimit_ask ask = {.limit = limit, .scope = scope, .key = key, .cost = 1};
	bool limited = sd_ratelimit_take(l->table, &ask, 1, sd_loop_now_ns(l->sh->control), &answer) == SD_EAGAIN;
	return wait_of(limited, &answer);
}

static void on_end(struct sd_limit_call *c, enum sd_limit_stored how)
{
	struct question *q = sd_container(c, struct question, call);
	struct sh_limit *l = q->l;
	bool stored = how == SD_LIMIT_STORED;
	l->decided[stored ? BY_STORE : BY_ITSELF]++;
	q->fn(q->arg, stored ? wait_of(!q->answer.allowed, &q->answer) : ask_here(l, &q->item.limit, (enum scope)q->item.scope, q->item.key));
	free(q);
}

/* The store sees a digest, the same for all servers: a key is a secret, and whose address it is nobody there needs to know. */
static bool digest(struct sd_slice key, char out[DIGEST])
{
	uint8_t mac[SD_HMAC_BYTES];
	if (!sd_hmac_sha256((struct sd_slice){"create-limit", 12}, key.p, key.n, mac))
		return false;
	for (size_t i = 0; i < DIGEST / 2; i++)
		snprintf(out + 2 * i, 3, "%02x", mac[i]);
	return true;
}

static bool ask_store(struct sh_limit *l, enum scope scope, struct sd_slice key, void (*fn)(void *arg, int64_t wait_s), void *arg)
{
	struct question *q = calloc(1, sizeof(*q));
	if (!q || !digest(key, q->who)) {
		free(q);
		return false;
	}
	q->l = l;
	q->fn = fn;
	q->arg = arg;
	q->item = (struct sd_limit_item){.name = "create-limit", .limit = l->limit, .scope = scope, .cost = 1};
	q->item.key = (struct sd_slice){q->who, DIGEST - 1};
	int n = snprintf(q->text, sizeof(q->text), "%screate-limit:%c:%s", l->prefix, scope == BY_KEY ? 'k' : 'a', q->who);
	q->key = (struct sd_slice){q->text, (size_t)n};
	q->call = (struct sd_limit_call){
	    .op = SD_LIMIT_TAKE, .n = 1, .items = &q->item, .keys = &q->key, .answers = &q->answer, .end = on_end};
	sd_limit_store_ask(l->store, &q->call);
	return true;
}

void sh_limit_ask(struct sh_limit *l, struct sd_slice key, const struct sd_peer *from, void (*fn)(void *arg, int64_t wait_s), void *arg)
{
	struct sd_client_key who = {0};
	enum scope scope = key.n ? BY_KEY : BY_ADDRESS;
	if (!key.n) {
		sd_client_key_of(from, &who); /* those without an address are one */
		key = (struct sd_slice){(const char *)who.bytes, sizeof(who.bytes)};
	}
	if (!l->limit.count)
		fn(arg, 0);
	else if (!l->store || !ask_store(l, scope, key, fn, arg))
		fn(arg, ask_here(l, &l->limit, scope, key));
}
