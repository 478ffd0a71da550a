/* ratelimit - how often something may be done: in front of a server, or asked by one. Its face and its life as a service; the
 * rest is described in ratelimit.h. */
#include "ratelimit_ring.h"
#include "ratelimit_store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SWEEP_NS    INT64_C(1000000000)
#define SWEEP_PARTS 16 /* the whole table is looked at in so many seconds */

/* ---- life ---- */

static enum sd_err make_table(struct rl *rl, const struct sd_conf *conf, struct sd_error *e)
{
	struct sd_ratelimit_conf c = {
	    .max_keys = sd_limits_keys(sd_conf_int(conf, "memory")),
	    .log_bytes = (size_t)sd_conf_int(conf, "log-memory"),
	};
	sd_world_random(rl->run->spec.world, c.secret, sizeof(c.secret));
	enum sd_err err = sd_ratelimit_new(&c, &rl->table);
	return err ? sd_fail(e, err, "%s: %s", sd_conf_at(conf, "memory"), sd_err_text(err)) : SD_OK;
}

static enum sd_err find_upstream(struct rl *rl, const struct sd_conf *conf, struct sd_error *e)
{
	const char *text = sd_conf_string(conf, "upstream");
	if (!text)
		return SD_OK;
	rl->has_upstream = true;
	enum sd_err err = rl_upstream_parse(text, &rl->upstream, e);
	if (!err && rl->upstream.kind == SD_ADDR_NAME)
		err = sd_resolve_wait(rl->run->spec.world, &rl->upstream, e);
	return err ? sd_wrap(e, "%s", sd_conf_at(conf, "upstream")) : SD_OK;
}

/* What the upstream says of limits of its own would be read as ours. */
static enum sd_err make_drop(struct rl *rl)
{
	static const char *const names[] = {"X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset", "RateLimit",
					    "RateLimit-Policy",  "RateLimit-Limit",       "RateLimit-Remaining", "RateLimit-Reset"};
	enum sd_err err = SD_OK;
	for (size_t i = 0; !err && i < sizeof(names) / sizeof(names[0]); i++)
		err = sd_head_edit_step(&rl->drop, SD_HEAD_REMOVE, names[i]);
	return err;
}

static enum sd_err side_addr(const struct sd_conf *conf, const char *option, bool *has, struct sd_addr *out, struct sd_error *e)
{
	char text[SD_ADDR_TEXT];
	const char *bind = sd_conf_string(conf, "bind");
	*has = sd_conf_has(conf, option);
	if (!*has)
		return SD_OK;
	if (strncmp(bind, "unix:", 5) == 0)
		bind = "127.0.0.1";
	snprintf(text, sizeof(text), strchr(bind, ':') ? "[%.100s]:%d" : "%.100s:%d", bind, (int)sd_conf_int(conf, option));
	return sd_addr_parse(text, "127.0.0.1", out, e);
}

static enum sd_err find_store(struct rl *rl, const struct sd_conf *conf, struct sd_error *e)
{
	rl->store_down = (enum rl_store_down)sd_conf_int(conf, "store-down");
	rl->servers = (uint32_t)sd_conf_int(conf, "servers");
	rl->has_store = sd_conf_has(conf, "store");
	if (!rl->has_store)
		return SD_OK;
	const char *url = sd_conf_string(conf, "store"), *at = strrchr(url, '@'), *host = strstr(url, "://");
	snprintf(rl->store_text, sizeof(rl->store_text), "%s", at ? at + 1 : host ? host + 3 : url);
	return rl_store_check(conf, e);
}

static enum sd_err create(struct sd_run *run, const struct sd_conf *conf, void **self, struct sd_error *e)
{
	struct rl *rl = calloc(1, sizeof(*rl));
	if (!rl)
		return sd_fail(e, SD_ENOMEM, "out of memory");
	*self = rl;
	rl->run = run;
	rl->log = run->log;
	rl->nworkers = (unsigned)sd_conf_int(conf, "threads");
	rl->workers = calloc(rl->nworkers, sizeof(*rl->workers));
	rl->wall_ns = sd_world_wall_ns(run->spec.world) - sd_loop_now_ns(run->spec.control);
	rl->policy = rl_policy_make(conf, e);
	if (!rl->policy)
		return e ? e->code : SD_EINVAL;
	if (!rl->workers || make_drop(rl))
		return sd_fail(e, SD_ENOMEM, "out of memory");
	enum sd_err err = sd_limits_tally(rl->policy, &rl->tallies, e);
	if (!err)
		err = make_table(rl, conf, e);
	if (!err)
		err = find_upstream(rl, conf, e);
	if (!err)
		err = find_store(rl, conf, e);
	if (!err)
		err = rl_ring_find(rl, conf, e);
	if (!err)
		err = side_addr(conf, "api-port", &rl->has_api, &rl->api_addr, e);
	return err ? err : side_addr(conf, "resp-port", &rl->has_resp, &rl->resp_addr, e);
}

static void make_pool(struct rl_worker *w, const struct sd_conf *conf)
{
	struct sd_http_pool_conf pool = sd_http_pool_defaults;
	pool.connect_timeout_ns = sd_conf_int(conf, "connect-timeout");
	pool.answer_timeout_ns = sd_conf_int(conf, "answer-timeout");
	if (w->rl->has_upstream)
		sd_http_pool_init(&w->pool, w->w->loop, &w->rl->upstream, &pool, &w->head);
}

static enum sd_err start(void *self, struct sd_worker *sw, struct sd_error *e)
{
	struct rl *rl = self;
	struct rl_worker *w = calloc(1, sizeof(*w));
	struct sd_http_server_conf conf, api = sd_http_server_defaults;
	if (!w)
		return sd_fail(e, SD_ENOMEM, "out of memory");
	rl->workers[sw->index] = w;
	sw->state = w;
	w->rl = rl;
	w->w = sw;
	w->policy = sd_limits_hold(rl->policy);
	sd_list_init(&w->requests);
	make_pool(w, rl->run->conf);
	sd_run_http_conf(rl->run, &conf);
	sd_http_server_init(&w->server, sw->loop, &conf, &rl_http_handler, w);
	api.max_body = RL_BODY;
	sd_http_server_init(&w->api, sw->loop, &api, &rl_api_handler, w);
	enum sd_err err = sd_run_listen_http(rl->run, sw, &w->server, e);
	if (!err && rl->has_api)
		err = sd_http_server_listen(&w->api, &rl->api_addr, rl->nworkers > 1, e);
	if (!err && rl->has_resp)
		err = rl_resp_listen(w, e);
	if (!err && rl->has_store)
		err = rl_store_open(w, rl->run->conf, e);
	return err ? err : rl_ring_open(w, rl->run->conf, e);
}

static void on_sweep(struct sd_timer *t)
{
	struct rl *rl = sd_container(t, struct rl, sweep);
	struct sd_ratelimit_stats s;
	sd_ratelimit_stats(rl->table, &s);
	rl->sweeping += sd_ratelimit_sweep(rl->table, &rl->sweep_at, s.max_keys / SWEEP_PARTS + 1,
					   sd_loop_now_ns(rl->run->spec.control) + rl->wall_ns);
	if (rl->sweep_at == 0) {
		rl->live = rl->sweeping;
		rl->sweeping = 0;
	}
	sd_loop_timer_set(rl->run->spec.control, t, sd_loop_now_ns(rl->run->spec.control) + SWEEP_NS);
}

static void say_rules(struct rl *rl)
{
	char text[256];
	for (size_t i = 0; i < rl->policy->n; i++) {
		sd_limit_describe(&rl->policy->rules[i], text, sizeof(text));
		sd_event(rl->log, SD_INFO, "rule", NULL, "%s", text);
	}
}

static void say_side(struct rl *rl, const char *what, const struct sd_addr *addr)
{
	char text[SD_ADDR_TEXT];
	struct sd_field f[] = {{"port", NULL, addr->port}, {0}};
	sd_event(rl->log, SD_INFO, "decisions", f, "%s on %s", what, sd_addr_format(addr, text));
}

static void started(void *self)
{
	struct rl *rl = self;
	say_rules(rl);
	if (rl->has_api)
		say_side(rl, "Decisions over HTTP", &rl->api_addr);
	if (rl->has_resp)
		say_side(rl, "CL.THROTTLE", &rl->resp_addr);
	sd_run_say_listening(rl->run);
	rl->sweep.fn = on_sweep;
	sd_loop_timer_set(rl->run->spec.control, &rl->sweep, sd_loop_now_ns(rl->run->spec.control) + SWEEP_NS);
}

/* New rules on their way to a worker. */
struct change {
	struct sd_task task;
	struct rl_worker *w;
	struct sd_limits *next;
};

static void on_change(struct sd_task *t)
{
	struct change *c = sd_container(t, struct change, task);
	sd_limits_release(c->w->policy);
	c->w->policy = c->next;
	free(c);
}

static enum sd_err reload(void *self, const struct sd_conf *conf, struct sd_error *e)
{
	struct rl *rl = self;
	struct sd_limits *next = rl_policy_make(conf, e);
	struct change **changes = calloc(rl->nworkers, sizeof(*changes));
	unsigned n = 0;
	while (changes && n < rl->nworkers && (changes[n] = calloc(1, sizeof(**changes))))
		n++;
	enum sd_err err = !next ? SD_EINVAL : n < rl->nworkers ? sd_fail(e, SD_ENOMEM, "out of memory") : sd_limits_tally(next, &rl->tallies, e);
	for (unsigned i = 0; i < n; i++) {
		if (err) {
			free(changes[i]);
			continue;
		}
		*changes[i] = (struct change){.task.fn = on_change, .w = rl->workers[i], .next = sd_limits_hold(next)};
		sd_loop_post(rl->workers[i]->w->loop, &changes[i]->task);
	}
	free(changes);
	if (err) {
		sd_limits_release(next);
		return err;
	}
	sd_limits_release(rl->policy);
	rl->policy = next;
	__atomic_store_n(&rl->servers, (uint32_t)sd_conf_int(conf, "servers"), __ATOMIC_RELAXED);
	say_rules(rl);
	return SD_OK;
}

static void on_api_idle(struct sd_http_server *srv)
{
	struct rl_worker *w = srv->arg;
	rl_resp_stop(w);
	sd_worker_drained(w->w);
}

static void on_idle(struct sd_http_server *srv)
{
	struct rl_worker *w = srv->arg;
	sd_http_server_drain(&w->api, on_api_idle);
}

static void drain(void *self, struct sd_worker *sw)
{
	struct rl_worker *w = sw->state;
	(void)self;
	sd_http_server_drain(&w->server, on_idle);
}

static void stop(void *self, struct sd_worker *sw)
{
	struct rl_worker *w = sw->state;
	struct rl *rl = self;
	sd_http_server_stop(&w->server);
	sd_http_server_stop(&w->api);
	rl_resp_stop(w);
	rl_store_close(w);
	rl_ring_close(w);
	if (rl->has_upstream)
		sd_http_pool_free(&w->pool);
}

static void destroy(void *self)
{
	struct rl *rl = self;
	sd_loop_timer_cancel(rl->run->spec.control, &rl->sweep);
	for (unsigned i = 0; i < rl->nworkers && rl->workers; i++) {
		if (rl->workers[i])
			sd_limits_release(rl->workers[i]->policy);
		free(rl->workers[i]);
	}
	free(rl->workers);
	sd_limits_release(rl->policy);
	sd_head_edit_free(&rl->drop);
	sd_ratelimit_free(rl->table);
	rl_ring_free(rl);
	free(rl);
}

/* What comes before it was tried to reach who is asked would wait for that. */
static bool ready(void *self)
{
	const struct rl *rl = self;
	return __atomic_load_n(&rl->untried, __ATOMIC_ACQUIRE) == 0;
}

static const struct sd_admin_route routes[] = {
    {"peers", "who shares limits with this server, who of them is reached, and the part of all keys that each owns", rl_ring_tell, false},
    {0},
};

static const struct sd_service service = {
    .create = create,
    .start = start,
    .started = started,
    .reload = reload,
    .drain = drain,
    .stop = stop,
    .destroy = destroy,
    .metrics = rl_metrics,
    .ready = ready,
    .routes = routes,
};

static const struct sd_alias aliases[] = {{"ratelimiter", NULL}, {0}};

const struct sd_applet sd_applet_ratelimit = {
    .name = "ratelimit",
    .tag = "RL",
    .summary = "a rate limiter, in front of a server or asked by one",
    .description = "Lets through as many requests as its rules say and answers the others with 429 and when to come again. Limits are "
		   "token buckets, leaky buckets, windows or exact logs, for each address, API key, header, path or what these "
		   "make together; several count all or not at all. Others may ask it for decisions over HTTP or with CL.THROTTLE.",
    .examples = "sdlab ratelimit --algorithm token-bucket --rate 10 --burst 20 --port 8080\n"
		"sdlab ratelimit --rate 100/min --key api-key --upstream http://127.0.0.1:8081\n"
		"sdlab ratelimit --rate 100/min --key api-key --store redis://127.0.0.1:6379 --servers 3\n"
		"sdlab ratelimit --rate 100/min --resp-port 6381 --peer a:6381,b:6381,c:6381 --self a:6381\n"
		"sdlab ratelimit --config examples/ratelimit.yaml\n"
		"sdlab ratelimit --port 0 --resp-port 6380 --api-port 8088",
    .next = "curl -i http://127.0.0.1:8080/api",
    .aliases = aliases,
    .options = rl_options,
    .service = &service,
    .check = rl_check,
};
