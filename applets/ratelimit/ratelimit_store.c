/* ratelimit_store.c - the link to a store that several servers share: who waits for its answer, and what happens without one. */
#include "ratelimit_store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/resp_url.h"
#include "net/resp_link.h"

#define MOST       8192
#define MOST_BYTES (4 << 20)

enum state { FIRST, DOWN, LUA, THROTTLE };

struct rl_store {
	struct rl_worker *w;
	struct sd_resp_link *link;
	enum state state;
	char sha[48];
	struct sd_link waiting; /* struct rl_asked.link; only in FIRST */
	bool complained;        /* about answers, since it stands */
};

/* A decision on its way. */
struct rl_asked {
	struct rl_store *store;
	struct sd_link link;
	struct sd_limits *policy; /* whose rules these are: a reload may come meanwhile */
	rl_decided *fn;           /* NULL: nobody waits for it any more */
	void *arg;
	bool failed, again;       /* it was asked with the whole script */
	size_t n, left, got;      /* limits; answers that did not come, and that did */
	struct rl_store_ask asks[RL_RULES];
	struct sd_slice keys[RL_RULES]; /* as they are called here */
	struct sd_ratelimit_answer answers[RL_RULES];
	char bytes[];
};

/* ---- what is decided ---- */

static void free_asked(struct rl_asked *a)
{
	sd_list_del(&a->link);
	sd_limits_release(a->policy);
	free(a);
}

/* Without the store: a share of each limit, from the table that is here. */
static void take_share(struct rl_worker *w, const struct rl_asked *a, struct sd_limits_verdict *v)
{
	struct sd_ratelimit_ask asks[RL_RULES];
	for (size_t i = 0; i < a->n; i++) {
		const struct sd_limit *rule = a->asks[i].rule;
		asks[i] = (struct sd_ratelimit_ask){&rule->share, rule->scope, a->keys[i], rule->cost};
	}
	v->n = a->n;
	v->allowed = sd_ratelimit_take(w->rl->table, asks, a->n, rl_now(w), v->answers) == SD_OK;
	rl_judge(w, v);
}

static void decide(struct rl_asked *a, struct sd_limits_verdict *v)
{
	struct rl_worker *w = a->store->w;
	for (size_t i = 0; i < a->n; i++)
		v->rules[i] = a->asks[i].rule;
	if (!a->failed) {
		v->n = a->n;
		memcpy(v->answers, a->answers, sizeof(v->answers));
		for (size_t i = 0; i < a->n; i++)
			v->allowed &= a->answers[i].allowed;
		rl_judge(w, v);
	} else if (w->rl->store_down == RL_DOWN_LOCAL) {
		take_share(w, a, v);
	} else {
		v->allowed = w->rl->store_down == RL_DOWN_OPEN;
		v->unknown = !v->allowed;
	}
}

static void finish(struct rl_asked *a)
{
	struct rl_worker *w = a->store->w;
	struct sd_limits_verdict v = {.allowed = true};
	sd_count(&w->stored[a->failed], 1);
	decide(a, &v);
	if (a->fn)
		a->fn(a->arg, a->policy, &v);
	free_asked(a);
}

static void fail(struct rl_asked *a)
{
	a->failed = true;
	finish(a);
}

/* ---- one request in Lua ---- */

static void complain(struct rl_store *s, const struct sd_resp_value *reply)
{
	bool error = sd_resp_is_error(reply->kind);
	if (s->complained)
		return;
	s->complained = true;
	sd_event(s->w->rl->log, SD_WARN, "store", NULL, "The store %s does not decide: %.*s", s->w->rl->store_text,
		 error ? (int)(reply->text.n < 160 ? reply->text.n : 160) : 26, error ? reply->text.p : "an answer of another form");
}

static void on_evaluated(void *arg, enum sd_err err, const struct sd_resp_value *reply);

static void evaluate(struct rl_asked *a)
{
	struct rl_words words;
	rl_store_evaluate(&words, a->again ? NULL : a->store->sha, a->asks, a->n);
	if (sd_resp_link_ask(a->store->link, words.n, words.argv, on_evaluated, a))
		fail(a);
}

static void on_evaluated(void *arg, enum sd_err err, const struct sd_resp_value *reply)
{
	struct rl_asked *a = arg;
	if (err) {
		fail(a);
	} else if (rl_store_evaluated(reply, a->asks, a->n, a->answers)) {
		finish(a);
	} else if (!a->again && sd_resp_is_error(reply->kind) && sd_slice_starts(reply->text, "NOSCRIPT")) {
		a->again = true; /* its scripts were thrown away */
		evaluate(a);
	} else {
		complain(a->store, reply);
		fail(a);
	}
}

/* ---- one request for each limit ---- */

static void nobody(void *arg, enum sd_err err, const struct sd_resp_value *reply)
{
	(void)arg;
	(void)err;
	(void)reply;
}

/* Of those that were taken while another was refused, or not answered; what does not get through was taken for nothing. */
static void give_back(struct rl_asked *a)
{
	struct rl_words words;
	for (size_t i = 0; i < a->n; i++) {
		struct sd_ratelimit_answer *one = &a->answers[i];
		uint32_t cost = a->asks[i].rule->cost;
		if (!one->allowed)
			continue;
		rl_store_throttle(&words, &a->asks[i], true);
		sd_resp_link_ask(a->store->link, words.n, words.argv, nobody, NULL);
		one->remaining = one->remaining + cost < one->most ? one->remaining + cost : one->most;
	}
}

static void throttled(struct rl_asked *a)
{
	bool all = !a->failed;
	for (size_t i = 0; i < a->n; i++)
		all &= a->answers[i].allowed;
	if (!all)
		give_back(a);
	finish(a);
}

/* They come in the order in which they were asked. */
static void on_throttled(void *arg, enum sd_err err, const struct sd_resp_value *reply)
{
	struct rl_asked *a = arg;
	size_t i = a->got++;
	if (err || !rl_store_throttled(reply, &a->asks[i], &a->answers[i])) {
		if (reply)
			complain(a->store, reply);
		a->failed = true;
	}
	if (--a->left == 0)
		throttled(a);
}

static void throttle(struct rl_asked *a)
{
	struct rl_words words;
	struct sd_error e;
	for (size_t i = 0; i < a->n && !a->failed; i++)
		a->failed = rl_store_fits(a->asks[i].rule, RL_THROTTLE, &e) != SD_OK;
	for (size_t i = 0; i < a->n && !a->failed; i++) {
		rl_store_throttle(&words, &a->asks[i], false);
		a->failed = sd_resp_link_ask(a->store->link, words.n, words.argv, on_throttled, a) != SD_OK;
		a->left += !a->failed;
	}
	if (a->left == 0)
		throttled(a);
}

static void ask_now(struct rl_asked *a)
{
	switch (a->store->state) {
	case LUA: evaluate(a); break;
	case THROTTLE: throttle(a); break;
	case FIRST: sd_list_add(&a->store->waiting, &a->link); break;
	case DOWN: fail(a); break;
	}
}

/* ---- asking ---- */

static struct rl_asked *new_asked(struct rl_worker *w, const struct sd_limit *const *rules, const struct sd_ratelimit_ask *asks,
				  size_t n)
{
	struct rl_asked *a = malloc(sizeof(*a) + n * RL_STORE_KEY);
	char *at;
	if (!a)
		return NULL;
	memset(a, 0, sizeof(*a));
	a->store = w->store;
	a->policy = sd_limits_hold(w->policy);
	a->n = n;
	at = a->bytes;
	sd_list_init(&a->link);
	for (size_t i = 0; i < n; i++, at += RL_STORE_KEY) {
		size_t m = rl_store_key(rules[i], asks[i].key, at);
		a->asks[i] = (struct rl_store_ask){rules[i], {at, m}};
		a->keys[i] = (struct sd_slice){at + m - asks[i].key.n, asks[i].key.n};
	}
	return a;
}

void rl_store_ask(struct rl_worker *w, const struct sd_limit *const *rules, const struct sd_ratelimit_ask *asks, size_t n,
		  rl_decided *fn, void *arg, struct rl_asked **handle)
{
	struct rl_asked *a = n ? new_asked(w, rules, asks, n) : NULL;
	struct sd_limits_verdict v = {.allowed = n == 0, .unknown = n > 0};
	if (handle)
		*handle = a;
	if (a) {
		a->fn = fn;
		a->arg = arg;
		ask_now(a);
	} else if (fn) {
		fn(arg, w->policy, &v);
	}
}

void rl_store_forget(struct rl_asked *a)
{
	if (a)
		a->fn = NULL;
}

/* ---- which tongue ---- */

/* Metrics look at it from another thread, which may outlive the store. */
static void enter(struct rl_store *s, enum state state)
{
	s->state = state;
	__atomic_store_n(&s->w->store_up, state == LUA || state == THROTTLE, __ATOMIC_RELAXED);
}

static void flush_waiting(struct rl_store *s)
{
	while (!sd_list_empty(&s->waiting)) {
		struct rl_asked *a = sd_container(s->waiting.next, struct rl_asked, link);
		sd_list_del(&a->link);
		sd_list_init(&a->link);
		ask_now(a);
	}
}

/* Each worker has a link of its own; the first that loses it tells, and the last that has it again. */
static void stands(struct rl_store *s, enum state state)
{
	struct rl *rl = s->w->rl;
	const char *how = state == LUA ? "in Lua" : "with CL.THROTTLE";
	bool was_down = s->state == DOWN;
	enter(s, state);
	s->complained = false;
	if (!was_down && !__atomic_exchange_n(&rl->store_told, true, __ATOMIC_ACQ_REL))
		sd_event(rl->log, SD_INFO, "store", NULL, "Limits are kept in %s, %s", rl->store_text, how);
	if (was_down && __atomic_sub_fetch(&rl->stores_down, 1, __ATOMIC_ACQ_REL) == 0)
		sd_event(rl->log, SD_INFO, "store-back", NULL, "The store %s is back, %s", rl->store_text, how);
	flush_waiting(s);
}

static void on_down(void *arg, const char *why)
{
	static const char *const instead[] = {"all pass", "none pass", "each server lets its share pass"};
	struct rl_store *s = arg;
	struct rl *rl = s->w->rl;
	bool was_down = s->state == DOWN;
	enter(s, DOWN);
	if (!was_down && __atomic_fetch_add(&rl->stores_down, 1, __ATOMIC_ACQ_REL) == 0)
		sd_event(rl->log, SD_WARN, "store-gone", NULL, "The store %s is gone, meanwhile %s: %s", rl->store_text,
			 instead[rl->store_down], why);
	flush_waiting(s);
}

static void on_info(void *arg, enum sd_err err, const struct sd_resp_value *reply)
{
	struct rl_store *s = arg;
	const struct sd_limits *p = s->w->policy;
	struct sd_error e = {0};
	if (err == SD_ECANCELED || (err && !sd_resp_link_stands(s->link)))
		return;
	if (err || !rl_store_has_throttle(reply)) {
		sd_resp_link_break(s->link, SD_EPROTO, err ? "it does not answer" : "it has neither Lua nor CL.THROTTLE");
		return;
	}
	for (size_t i = 0; i < p->n; i++)
		if (rl_store_fits(&p->rules[i], RL_THROTTLE, &e)) {
			sd_resp_link_break(s->link, SD_EUSAGE, e.text);
			return;
		}
	stands(s, THROTTLE);
}

static void ask_words(struct rl_store *s, const char *const *words, size_t n, sd_resp_answered *fn)
{
	struct sd_slice argv[3];
	for (size_t i = 0; i < n; i++)
		argv[i] = sd_slice_of(words[i]);
	if (sd_resp_link_ask(s->link, n, argv, fn, s))
		sd_resp_link_break(s->link, SD_ENOMEM, "out of memory");
}

static void on_loaded(void *arg, enum sd_err err, const struct sd_resp_value *reply)
{
	static const char *const info[] = {"COMMAND", "INFO", "CL.THROTTLE"};
	struct rl_store *s = arg;
	if (err == SD_ECANCELED || (err && !sd_resp_link_stands(s->link)))
		return;
	if (err) {
		sd_resp_link_break(s->link, err, "it does not answer");
	} else if (reply->kind == SD_RESP_BULK && reply->text.n == 40) {
		snprintf(s->sha, sizeof(s->sha), "%.40s", reply->text.p);
		stands(s, LUA);
	} else {
		ask_words(s, info, 3, on_info);
	}
}

static void on_up(void *arg)
{
	const char *const load[] = {"SCRIPT", "LOAD", rl_store_script};
	ask_words(arg, load, 3, on_loaded);
}

/* ---- life ---- */

static enum sd_err find_addr(const char *url, struct sd_resp_url *out, struct sd_addr *addr, struct sd_error *e)
{
	char text[SD_ADDR_TEXT];
	enum sd_err err = sd_resp_url_parse(url, out, e);
	if (err)
		return err;
	if (out->secure)
		return sd_fail(e, SD_EUSAGE, "expected redis://HOST[:PORT], found rediss://, which is not known here");
	snprintf(text, sizeof(text), "%.*s%s", (int)(out->host.n < 240 ? out->host.n : 240), out->host.p, out->has_port ? "" : ":6379");
	return sd_addr_parse(text, "127.0.0.1", addr, e);
}

enum sd_err rl_store_check(const struct sd_conf *conf, struct sd_error *e)
{
	static const char *const alone[] = {"api-port", "resp-port"};
	struct sd_resp_url url;
	struct sd_addr addr;
	if (!sd_conf_has(conf, "store"))
		return SD_OK;
	for (size_t i = 0; i < 2; i++)
		if (sd_conf_has(conf, alone[i]))
			return sd_fail(e, SD_EUSAGE, "%s: %s: decisions for others are not kept in a store: expected it without --store",
				       sd_conf_origin(conf, alone[i]), alone[i]);
	enum sd_err err = find_addr(sd_conf_string(conf, "store"), &url, &addr, e);
	explicit_bzero(&url, sizeof(url));
	if (!err && sd_conf_int(conf, "store-timeout") < 1000000)
		return sd_fail(e, SD_EUSAGE, "%s: store-timeout: expected at least 1ms", sd_conf_origin(conf, "store-timeout"));
	return err ? sd_wrap(e, "%s: store", sd_conf_origin(conf, "store")) : SD_OK;
}

enum sd_err rl_store_open(struct rl_worker *w, const struct sd_conf *conf, struct sd_error *e)
{
	struct sd_resp_link_conf how = sd_resp_link_defaults;
	struct sd_resp_url url;
	struct rl_store *s = calloc(1, sizeof(*s));
	if (!s)
		return sd_fail(e, SD_ENOMEM, "out of memory");
	enum sd_err err = find_addr(sd_conf_string(conf, "store"), &url, &how.addr, e);
	how.user = url.user;
	how.password = url.password;
	how.db = url.db;
	how.timeout_ns = sd_conf_int(conf, "store-timeout");
	how.most = MOST;
	how.most_bytes = MOST_BYTES;
	how.up = on_up;
	how.down = on_down;
	how.arg = s;
	s->w = w;
	sd_list_init(&s->waiting);
	s->link = err ? NULL : sd_resp_link_open(w->w->loop, &how);
	explicit_bzero(&url, sizeof(url));
	if (!s->link) {
		free(s);
		return err ? err : sd_fail(e, SD_ENOMEM, "out of memory");
	}
	w->store = s;
	return SD_OK;
}

void rl_store_close(struct rl_worker *w)
{
	struct rl_store *s = w->store;
	if (!s)
		return;
	enter(s, DOWN);
	flush_waiting(s);
	sd_resp_link_close(s->link);
	w->store = NULL;
	free(s);
}
