/* lb - a load balancer for HTTP/1.1 and TCP. This file is its face; the rest is described in lb.h. */
#include "lb.h"
#include "lb_files.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/units.h"

static enum sd_err start(void *self, struct sd_worker *sw, struct sd_error *e)
{
	struct lb *lb = self;
	struct lb_worker *w = lb_worker_new(lb, sw, e);
	if (!w)
		return e ? e->code : SD_ENOMEM;
	sw->state = w;
	lb->workers[sw->index] = w;
	__atomic_add_fetch(&lb->now->refs, 1, __ATOMIC_RELAXED);
	lb_worker_adopt(w, lb->now);
	return lb->mode == LB_TCP ? lb_tcp_listen(w, e) : sd_run_listen_http(lb->run, sw, &w->server, e);
}

static void started(void *self)
{
	struct lb *lb = self;
	char list[512] = "";
	size_t n = 0;
	for (size_t i = 0; i < lb->now->n && n < sizeof(list) - LB_LABEL - 8; i++)
		n += (size_t)snprintf(list + n, sizeof(list) - n, "%s%s", i ? ", " : "",
				      lb->now->entries[i].backend->label);
	struct sd_field f[] = {{"backends", NULL, (int64_t)lb->now->n}, {0}};
	sd_event(lb->run->log, SD_INFO, "loaded", f, "Loaded %zu backend%s: %s", lb->now->n,
		 lb->now->n == 1 ? "" : "s", list);
	if (lb->rules.type != LB_CHECK_NONE) {
		char every[SD_UNIT_TEXT];
		sd_event(lb->run->log, SD_INFO, "health_started", NULL, "Health checker started (interval: %s)",
			 sd_format_duration(lb->rules.interval_ns, every));
	}
	for (struct sd_link *k = lb->backends.next; k != &lb->backends; k = k->next)
		lb_check_begin(sd_container(k, struct lb_backend, link));
	sd_run_say_listening(lb->run);
}

static enum sd_err create(struct sd_run *run, const struct sd_conf *conf, void **self, struct sd_error *e)
{
	struct lb *lb = calloc(1, sizeof(*lb));
	if (!lb)
		return sd_fail(e, SD_ENOMEM, "out of memory");
	*self = lb;
	lb->run = run;
	sd_run_watch_init(&lb->tls_watch, run, "backend");
	lb->conf = conf;
	lb->mode = (enum lb_mode)sd_conf_int(conf, "mode");
	lb->nworkers = (unsigned)sd_conf_int(conf, "threads");
	lb->tick.fn = lb_tick;
	sd_list_init(&lb->backends);
	sd_list_init(&lb->route_counts);
	struct lb_scope all = {conf, NULL};
	enum sd_err err = lb_rules_make(&all, lb->mode, &lb->rules, e);
	lb->max_ejected = sd_conf_number(conf, "eject.max");
	if (!err)
		err = lb_affinity_key(lb, conf, e);
	if (!err)
		err = lb_backends_make(lb, conf, e);
	if (!err)
		err = lb_routes_make(lb, conf, &lb->routes, e);
	if (!err)
		err = lb_limits_change(lb, conf, e);
	if (err)
		return err;
	if (lb_log_open(lb, conf, e))
		return e->code;
	lb_log_commit(lb);
	lb_limits_settle(lb, true);
	lb->now = lb_snapshot_make(lb, conf, e);
	return lb->now ? SD_OK : e->code;
}

static void on_idle(struct sd_http_server *srv)
{
	struct lb_worker *w = srv->arg;
	sd_worker_drained(w->w);
}

static void drain(void *self, struct sd_worker *sw)
{
	struct lb_worker *w = sw->state;
	(void)self;
	w->draining = true;
	if (w->lb->mode == LB_TCP)
		lb_tcp_drain(w);
	else
		sd_http_server_drain(&w->server, on_idle);
}

static void stop(void *self, struct sd_worker *sw)
{
	struct lb_worker *w = sw->state;
	(void)self;
	w->draining = true;
	lb_tcp_stop(w);
	sd_http_server_stop(&w->server);
	lb_log_side_flush(&w->log);
	for (size_t i = 0; i < w->snap->n; i++)
		sd_http_pool_free(&w->peers[i]->pool);
	for (struct sd_link *k = w->leaving.next; k != &w->leaving; k = k->next)
		sd_http_pool_free(&sd_container(k, struct lb_peer, link)->pool);
}

static void destroy(void *self)
{
	struct lb *lb = self;
	lb->stopping = true;
	sd_loop_timer_cancel(lb->run->spec.control, &lb->tick);
	lb_log_free(lb);
	lb_files_end(lb);
	for (unsigned i = 0; i < lb->nworkers; i++)
		if (lb->workers[i])
			lb_worker_free(lb->workers[i]);
	while (!sd_list_empty(&lb->backends)) {
		struct lb_backend *b = sd_container(lb->backends.next, struct lb_backend, link);
		lb_check_end(b);
		lb_trial_drop(b);
		sd_list_del(&b->link);
		lb_backend_release(b);
	}
	lb_snapshot_release(lb->now);
	lb_routes_release(lb->routes);
	lb_routes_forget(lb);
	lb_limits_end(lb);
	free(lb);
}

/* In TCP mode nobody here knows what is spoken. */
static const char *const *alpn(const struct sd_conf *conf)
{
	static const char *const http[] = {"http/1.1", NULL};
	return sd_conf_int(conf, "mode") == LB_TCP ? NULL : http;
}

static const struct sd_service service = {
    .create = create,
    .start = start,
    .started = started,
    .reload = lb_reload,
    .drain = drain,
    .stop = stop,
    .destroy = destroy,
    .metrics = lb_metrics,
    .ready = lb_ready,
    .routes = lb_routes,
    .alpn = alpn,
};

static const struct sd_alias aliases[] = {{"loadbalancer", NULL}, {0}};

const struct sd_applet sd_applet_lb = {
    .name = "lb",
    .summary = "a load balancer for HTTP and TCP",
    .description = "Spreads requests over backends, checks their health, leaves out those that fail, and tries a failed "
		   "request once more elsewhere, so that a server that dies costs a reader nothing. The configuration "
		   "can be changed while it runs.",
    .examples = "sdlab lb --config examples/lb.yaml\n"
		"sdlab lb --backend 127.0.0.1:8081 --backend 127.0.0.1:8082\n"
		"curl -s http://127.0.0.1:8079/-/backends\n"
		"curl -X POST http://127.0.0.1:8079/-/backends/Server-A/drain",
    .next = "curl http://127.0.0.1:8080/",
    .aliases = aliases,
    .options = lb_options,
    .service = &service,
    .verbs = lb_verbs,
    .check = lb_check_conf,
    .check_files = lb_check_files,
};
