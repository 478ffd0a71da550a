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
	struct sd_tls_client *tls; /* NULL, both: plain */
	struct sd_tls_target *target;
	enum state state;
	char sha[48];
	struct sd_link waiting; /* struct rl_asked.link; only in FIRST */
	bool complained;        /* about answers, since it stands */
};

/* Nobody answered. */
static void fail(struct rl_asked *a)
{
	a->lost = (1u << a->n) - 1;
	rl_asked_end(a);
}

static void refuse(struct rl_asked *a, const char *why)
{
	if (!a->strict) {
		fail(a);
		return;
	}
	a->how = RL_UNABLE;
	if (why)
		sd_fail(&a->why, SD_EUSAGE, "%s", why);
	rl_asked_end(a);
}

static bool fits(struct rl_asked *a, enum rl_tongue tongue)
{
	for (size_t i = 0; i < a->n; i++)
		if (rl_store_fits(a->items[i].name, &a->items[i].limit, tongue, &a->why))
			return false;
	return true;
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
	struct rl_store *s = a->w->store;
	struct rl_words words;
	rl_store_evaluate(&words, a->again ? NULL : s->sha, a->op, a->items, a->keys, a->n);
	if (sd_resp_link_ask(s->link, words.n, words.argv, on_evaluated, a))
		fail(a);
}

static void on_evaluated(void *arg, enum sd_err err, const struct sd_resp_value *reply)
{
	struct rl_asked *a = arg;
	if (err) {
		fail(a);
	} else if (rl_store_evaluated(reply, a->items, a->n, a->answers)) {
		rl_asked_end(a);
	} else if (!a->again && sd_resp_is_error(reply->kind) && sd_slice_starts(reply->text, "NOSCRIPT")) {
		a->again = true; /* its scripts were thrown away */
		evaluate(a);
	} else {
		complain(a->w->store, reply);
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
		uint32_t cost = a->items[i].cost;
		if (!one->allowed)
			continue;
		a->items[i].used = 0;
		rl_store_throttle(&words, RL_SETTLE, &a->items[i], a->keys[i]);
		sd_resp_link_ask(a->w->store->link, words.n, words.argv, nobody, NULL);
		one->remaining = one->remaining + cost < one->most ? one->remaining + cost : one->most;
	}
}

static void throttled(struct rl_asked *a, bool failed)
{
	bool all = !failed;
	for (size_t i = 0; i < a->n; i++)
		all &= a->answers[i].allowed;
	if (!all && a->op == RL_TAKE)
		give_back(a);
	if (failed)
		fail(a);
	else
		rl_asked_end(a);
}

/* They come in the order in which they were asked; lost: some did not. */
static void on_throttled(void *arg, enum sd_err err, const struct sd_resp_value *reply)
{
	struct rl_asked *a = arg;
	size_t i = a->got++;
	if (err || !rl_store_throttled(reply, a->op, &a->items[i], &a->answers[i])) {
		if (reply)
			complain(a->w->store, reply);
		a->lost = 1;
	}
	if (--a->left == 0)
		throttled(a, a->lost);
}

static void throttle(struct rl_asked *a)
{
	struct rl_words words;
	size_t i = 0;
	if (!fits(a, RL_THROTTLE)) {
		refuse(a, NULL);
		return;
	}
	for (; i < a->n; i++)
		if (!rl_store_throttle(&words, a->op, &a->items[i], a->keys[i])) {
			refuse(a, "a store without Lua gives back, but neither charges nor forgets");
			return;
		}
	for (i = 0; i < a->n && !a->lost; i++) {
		rl_store_throttle(&words, a->op, &a->items[i], a->keys[i]);
		a->lost = sd_resp_link_ask(a->w->store->link, words.n, words.argv, on_throttled, a) != SD_OK;
		a->left += !a->lost;
	}
	if (a->left == 0)
		fail(a);
}

void rl_store_send(struct rl_asked *a)
{
	struct rl_store *s = a->w->store;
	switch (s->state) {
	case LUA:
		if (fits(a, RL_LUA))
			evaluate(a);
		else
			refuse(a, NULL);
		break;
	case THROTTLE: throttle(a); break;
	case FIRST: sd_list_add(&s->waiting, &a->link); break;
	case DOWN: fail(a); break;
	}
}

/* ---- which tongue ---- */

/* Metrics look at it from another thread, which may outlive the store. */
static void enter(struct rl_store *s, enum state state)
{
	if (s->state == FIRST && state != FIRST)
		__atomic_sub_fetch(&s->w->rl->untried, 1, __ATOMIC_ACQ_REL);
	s->state = state;
	__atomic_store_n(&s->w->store_up, state == LUA || state == THROTTLE, __ATOMIC_RELAXED);
}

static void flush_waiting(struct rl_store *s)
{
	while (!sd_list_empty(&s->waiting)) {
		struct rl_asked *a = sd_container(s->waiting.next, struct rl_asked, link);
		sd_list_del(&a->link);
		sd_list_init(&a->link);
		rl_store_send(a);
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
		if (rl_store_fits(p->rules[i].name, &p->rules[i].limit, RL_THROTTLE, &e)) {
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
	snprintf(text, sizeof(text), "%.*s%s", (int)(out->host.n < 240 ? out->host.n : 240), out->host.p, out->has_port ? "" : ":6379");
	return sd_addr_parse(text, "127.0.0.1", addr, e);
}

/* Its certificate is to be for the host of the URL, without port and brackets. */
static enum sd_err find_tls(struct rl_store *s, const struct sd_conf *conf, const struct sd_resp_url *url, struct sd_error *e)
{
	struct sd_tls_client_conf c = {.ca = sd_conf_string(conf, "store-ca"), .insecure = sd_conf_bool(conf, "store-insecure")};
	struct sd_slice host = url->host;
	char name[256];
	if (host.n && *host.p == '[') {
		const char *close = memchr(host.p, ']', host.n);
		host = (struct sd_slice){host.p + 1, close ? (size_t)(close - host.p) - 1 : host.n - 1};
	} else if (url->has_port) {
		host.n = (size_t)((const char *)memrchr(host.p, ':', host.n) - host.p);
	}
	if (host.n >= sizeof(name))
		return sd_fail(e, SD_EUSAGE, "the host name of the URL is too long");
	snprintf(name, sizeof(name), "%.*s", (int)host.n, host.p);
	s->tls = sd_tls_client_new(s->w->rl->run->spec.world, &c, e);
	s->target = s->tls ? sd_tls_target_new(s->tls, name) : NULL;
	return s->target ? SD_OK : e->code ? e->code : sd_fail(e, SD_ENOMEM, "out of memory");
}

static void free_store(struct rl_store *s)
{
	sd_tls_target_free(s->target);
	sd_tls_client_release(s->tls);
	free(s);
}

enum sd_err rl_store_check(const struct sd_conf *conf, struct sd_error *e)
{
	struct sd_resp_url url = {0};
	struct sd_addr addr;
	if (!sd_conf_has(conf, "store"))
		return SD_OK;
	enum sd_err err = find_addr(sd_conf_string(conf, "store"), &url, &addr, e);
	bool secure = url.secure;
	explicit_bzero(&url, sizeof(url));
	if (!err && !secure && (sd_conf_has(conf, "store-ca") || sd_conf_bool(conf, "store-insecure")))
		err = sd_fail(e, SD_EUSAGE, "store-ca and store-insecure are for rediss://, which speaks TLS");
	if (!err && sd_conf_int(conf, "store-timeout") < 1000000)
		return sd_fail(e, SD_EUSAGE, "%s: store-timeout: expected at least 1ms", sd_conf_origin(conf, "store-timeout"));
	return err ? sd_wrap(e, "%s: store", sd_conf_origin(conf, "store")) : SD_OK;
}

enum sd_err rl_store_open(struct rl_worker *w, const struct sd_conf *conf, struct sd_error *e)
{
	struct sd_resp_link_conf how = sd_resp_link_defaults;
	struct sd_resp_url url = {0};
	struct rl_store *s = calloc(1, sizeof(*s));
	if (!s)
		return sd_fail(e, SD_ENOMEM, "out of memory");
	enum sd_err err = find_addr(sd_conf_string(conf, "store"), &url, &how.addr, e);
	s->w = w;
	if (!err && url.secure)
		err = find_tls(s, conf, &url, e);
	how.tls = s->target;
	how.user = url.user;
	how.password = url.password;
	how.db = url.db;
	how.timeout_ns = sd_conf_int(conf, "store-timeout");
	how.most = MOST;
	how.most_bytes = MOST_BYTES;
	how.up = on_up;
	how.down = on_down;
	how.arg = s;
	sd_list_init(&s->waiting);
	s->link = err ? NULL : sd_resp_link_open(w->w->loop, &how);
	explicit_bzero(&url, sizeof(url));
	if (!s->link) {
		free_store(s);
		return err ? err : sd_fail(e, SD_ENOMEM, "out of memory");
	}
	__atomic_add_fetch(&w->rl->untried, 1, __ATOMIC_ACQ_REL);
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
	free_store(s);
}
