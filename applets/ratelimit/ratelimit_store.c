/* ratelimit_store.c - a store that several servers share: what its workers' links tell together, and how questions go there. */
#include "ratelimit_store.h"

#include <stdlib.h>

struct rl_store {
	struct rl_worker *w;
	struct sd_limit_store *store;
	bool tried, was_down;
};

/* ---- questions ---- */

static void on_end(struct sd_limit_call *c, enum sd_limit_stored how)
{
	struct rl_asked *a = sd_container(c, struct rl_asked, call);
	if (how == SD_LIMIT_UNABLE && a->strict) {
		a->how = RL_UNABLE;
		a->why = c->why;
	} else if (how != SD_LIMIT_STORED) {
		a->lost = (1u << a->n) - 1;
	}
	rl_asked_end(a);
}

void rl_store_send(struct rl_asked *a)
{
	a->call = (struct sd_limit_call){
	    .op = a->op, .n = a->n, .items = a->items, .keys = a->keys, .answers = a->answers, .end = on_end};
	sd_limit_store_ask(a->w->store->store, &a->call);
}

/* ---- how it is ---- */

/* Metrics look at it from another thread, which may outlive the store. */
static void enter(struct rl_store *s, bool up)
{
	if (!s->tried)
		__atomic_sub_fetch(&s->w->rl->untried, 1, __ATOMIC_ACQ_REL);
	s->tried = true;
	s->was_down = !up;
	__atomic_store_n(&s->w->store_up, up, __ATOMIC_RELAXED);
}

/* Each worker has a link of its own; the first that loses it tells, and the last that has it again. */
static void on_up(void *arg, const char *how)
{
	struct rl_store *s = arg;
	struct rl *rl = s->w->rl;
	bool was_down = s->was_down;
	enter(s, true);
	if (!was_down && !__atomic_exchange_n(&rl->store_told, true, __ATOMIC_ACQ_REL))
		sd_event(rl->log, SD_INFO, "store", NULL, "Limits are kept in %s, %s", rl->store_text, how);
	if (was_down && __atomic_sub_fetch(&rl->stores_down, 1, __ATOMIC_ACQ_REL) == 0)
		sd_event(rl->log, SD_INFO, "store-back", NULL, "The store %s is back, %s", rl->store_text, how);
}

static void on_down(void *arg, const char *why)
{
	static const char *const instead[] = {"all pass", "none pass", "each server lets its share pass"};
	struct rl_store *s = arg;
	struct rl *rl = s->w->rl;
	enter(s, false);
	if (__atomic_fetch_add(&rl->stores_down, 1, __ATOMIC_ACQ_REL) == 0)
		sd_event(rl->log, SD_WARN, "store-gone", NULL, "The store %s is gone, meanwhile %s: %s", rl->store_text,
			 instead[rl->store_down], why);
}

static void on_odd(void *arg, const char *what)
{
	struct rl_store *s = arg;
	sd_event(s->w->rl->log, SD_WARN, "store", NULL, "The store %s does not decide: %s", s->w->rl->store_text, what);
}

static enum sd_err rules_fit(void *arg, enum sd_limit_tongue tongue, struct sd_error *e)
{
	struct rl_store *s = arg;
	const struct sd_limits *p = s->w->policy;
	for (size_t i = 0; i < p->n; i++)
		if (sd_limit_fits(p->rules[i].name, &p->rules[i].limit, tongue, e))
			return e->code;
	return SD_OK;
}

/* ---- life ---- */

enum sd_err rl_store_check(const struct sd_conf *conf, struct sd_error *e)
{
	bool secure = false;
	if (!sd_conf_has(conf, "store"))
		return SD_OK;
	enum sd_err err = sd_limit_store_check(sd_conf_string(conf, "store"), &secure, e);
	if (!err && !secure && (sd_conf_has(conf, "store-ca") || sd_conf_bool(conf, "store-insecure")))
		err = sd_fail(e, SD_EUSAGE, "store-ca and store-insecure are for rediss://, which speaks TLS");
	if (!err && sd_conf_int(conf, "store-timeout") < 1000000)
		return sd_fail(e, SD_EUSAGE, "%s: expected at least 1ms", sd_conf_at(conf, "store-timeout"));
	return err ? sd_wrap(e, "%s", sd_conf_at(conf, "store")) : SD_OK;
}

enum sd_err rl_store_open(struct rl_worker *w, const struct sd_conf *conf, struct sd_error *e)
{
	struct rl_store *s = calloc(1, sizeof(*s));
	if (!s)
		return sd_fail(e, SD_ENOMEM, "out of memory");
	struct sd_limit_store_conf how = {
	    .url = sd_conf_string(conf, "store"),
	    .ca = sd_conf_string(conf, "store-ca"),
	    .insecure = sd_conf_bool(conf, "store-insecure"),
	    .timeout_ns = sd_conf_int(conf, "store-timeout"),
	    .fits = rules_fit,
	    .up = on_up,
	    .down = on_down,
	    .odd = on_odd,
	    .arg = s,
	};
	s->w = w;
	s->store = sd_limit_store_open(w->w->loop, &how, e);
	if (!s->store) {
		free(s);
		return e->code;
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
	enter(s, false);
	sd_limit_store_close(s->store);
	w->store = NULL;
	free(s);
}
