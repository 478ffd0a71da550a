#include "run.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin.h"
#include "conf_changes.h"
#include "core/count.h"
#include "dispatch.h"
#include "run_tls.h"

static const struct sd_option listener_options[] = {
    {"address", SD_OPT_ADDRESS, NULL, "where to listen", .required = true},
    {"name", SD_OPT_STRING, NULL, "what it is called elsewhere; else its address"},
    {"tls", SD_OPT_BOOL, "true", "speak TLS here, when there is a certificate"},
    {0},
};

const struct sd_option sd_common_options[] = {
    {"bind", SD_OPT_STRING, "127.0.0.1", "the IP to listen on; 0.0.0.0 for every IPv4 address", .meta = "IP"},
    {"listeners", SD_OPT_TABLE, NULL, "more places to listen at; with them the port only when it is set", .cli = "listener",
     .sub = listener_options},
    {"threads", SD_OPT_INT, "1", "worker threads; a connection stays on one", .min = 1, .max = 64},
    {"admin", SD_OPT_ADDRESS, NULL, "where /metrics and the /-/ endpoints answer; none when not set"},
    {"max-connections", SD_OPT_INT, "0", "connections at a time a thread, the rest wait; 0 for no limit",
     .max = 10000000},
    {"max-connections-per-client", SD_OPT_INT, "0", "connections at a time from one address, over all threads; 0 for no "
     "limit", .max = SD_CLIENTS_MAX, .reload = true},
    {"max-body", SD_OPT_SIZE, "0", "largest request body taken; 0 for no limit"},
    {"head-timeout", SD_OPT_DURATION, "10s", "for a request head, from its first byte"},
    {"body-timeout", SD_OPT_DURATION, "30s", "between two pieces of a request body"},
    {"idle-timeout", SD_OPT_DURATION, "60s", "for a client connection between two requests"},
    {"send-timeout", SD_OPT_DURATION, "60s", "for a client to take an answer that waits"},
    {"proxy-protocol", SD_OPT_ENUM, "off", "whether a connection begins with a PROXY header, v1 or v2, that says who the "
     "client is", .choices = "off|accept|require"},
    {"proxy-from", SD_OPT_LIST, NULL, "addresses or networks that may send one", .meta = "NET"},
    {"drain-timeout", SD_OPT_DURATION, "30s", "how long SIGTERM waits for requests in progress", .reload = true},
    {"log-format", SD_OPT_ENUM, "human", "how events are printed", .choices = "human|json"},
    {"tls", SD_OPT_GROUP, NULL, "encryption; on when there is a certificate", .sub = sd_run_tls_options, .reload = true},
    {"user", SD_OPT_STRING, NULL, "user to become after listening, when started as root", .meta = "NAME"},
    {0},
};

/* ---- addresses ---- */

static enum sd_err add_addr(struct sd_run *run, const char *text, uint8_t door, struct sd_error *e)
{
	if (run->naddrs == SD_RUN_MAX_ADDRS)
		return sd_fail(e, SD_EINVAL, "a service listens on at most %d addresses", SD_RUN_MAX_ADDRS);
	run->doors[run->naddrs] = door;
	return sd_addr_parse(text, "127.0.0.1", &run->addrs[run->naddrs++], e);
}

static enum sd_err own_addr(struct sd_run *run, struct sd_error *e)
{
	char text[SD_ADDR_TEXT];
	const char *bind = sd_conf_string(run->conf, "bind");
	int64_t port = sd_conf_int(run->conf, "port");
	bool unwanted = run->spec.no_port || sd_conf_count(run->conf, "listeners") > 0;
	if (unwanted && !sd_conf_is_set(run->conf, "port"))
		return SD_OK;
	if (strncmp(bind, "unix:", 5) == 0)
		return add_addr(run, bind, 0, e);
	snprintf(text, sizeof(text), strchr(bind, ':') ? "[%.100s]:%d" : "%.100s:%d", bind, (int)port);
	enum sd_err err = add_addr(run, text, 0, e);
	if (!err && run->addrs[0].kind == SD_ADDR_NAME)
		err = sd_fail(e, SD_EINVAL, "bind: expected an IP address, found \"%s\"", bind);
	return err;
}

static const char *listener_name(const struct sd_conf *row)
{
	const char *name = sd_conf_string(row, "name");
	return name ? name : sd_conf_string(row, "address");
}

int sd_run_door(const struct sd_conf *conf, const char *name)
{
	for (size_t i = 0; i < sd_conf_count(conf, "listeners"); i++)
		if (strcmp(listener_name(sd_conf_row(conf, "listeners", i)), name) == 0)
			return (int)i + 1;
	return strcmp(name, "main") == 0 ? 0 : -1;
}

static enum sd_err add_listeners(struct sd_run *run, struct sd_error *e)
{
	enum sd_err err = SD_OK;
	for (size_t i = 0; !err && i < sd_conf_count(run->conf, "listeners"); i++) {
		const struct sd_conf *row = sd_conf_row(run->conf, "listeners", i);
		err = add_addr(run, sd_conf_string(row, "address"), (uint8_t)(i + 1), e);
		run->plain_doors |= (uint32_t)!sd_conf_bool(row, "tls") << (i + 1);
	}
	return err;
}

static enum sd_err make_addrs(struct sd_run *run, struct sd_error *e)
{
	enum sd_err err = own_addr(run, e);
	if (!err)
		err = add_listeners(run, e);
	if (!err && run->spec.extra_addr)
		err = add_addr(run, run->spec.extra_addr, 0, e);
	return err;
}

static enum sd_err check_listeners(const struct sd_conf *conf, struct sd_error *e)
{
	size_t n = sd_conf_count(conf, "listeners");
	if (n > SD_RUN_MAX_ADDRS - 2)
		return sd_fail(e, SD_EINVAL, "%s: expected at most %d", sd_conf_at(conf, "listeners"),
			       SD_RUN_MAX_ADDRS - 2);
	for (size_t i = 0; i < n; i++) {
		const struct sd_conf *row = sd_conf_row(conf, "listeners", i);
		const char *name = listener_name(row);
		struct sd_addr addr;
		if (sd_addr_parse(sd_conf_string(row, "address"), "127.0.0.1", &addr, e))
			return sd_wrap(e, "%s: listeners", sd_conf_origin(row, "address"));
		if (addr.kind == SD_ADDR_NAME)
			return sd_fail(e, SD_EINVAL, "%s: listeners: expected an IP address, found \"%s\"",
				       sd_conf_origin(row, "address"), sd_conf_string(row, "address"));
		if (!*name || strcmp(name, "main") == 0 || sd_run_door(conf, name) != (int)i + 1)
			return sd_fail(e, SD_EINVAL, "%s: listeners: expected a name of its own, found \"%s\"",
				       sd_conf_origin(row, sd_conf_has(row, "name") ? "name" : "address"), name);
	}
	return SD_OK;
}

enum sd_err sd_run_listen_http(struct sd_run *run, struct sd_worker *w, struct sd_http_server *srv,
			       struct sd_error *e)
{
	w->http = srv;
	srv->tls = w->tls;
	srv->gate = &run->clients.gate;
	srv->plain_doors = run->plain_doors;
	for (int i = 0; i < run->naddrs; i++) {
		enum sd_err err = sd_http_server_listen_at(srv, &run->addrs[i], run->doors[i], run->nworkers > 1, e);
		if (err)
			return err;
	}
	return SD_OK;
}

static void tell_up(struct sd_run *run)
{
	if (run->spec.up)
		sd_loop_post(run->spec.control, run->spec.up);
}

void sd_run_say_listening(struct sd_run *run)
{
	for (int i = 0; i < run->naddrs; i++) {
		char text[SD_ADDR_TEXT], port[16];
		const struct sd_addr *a = &run->addrs[i];
		const char *shown = sd_addr_format(a, text);
		if (a->kind == SD_ADDR_INET && !a->v6 && a->ip[0] == 127) {
			snprintf(port, sizeof(port), ":%u", a->port);
			shown = port;
		}
		struct sd_field f[] = {{"address", text, 0}, {"port", NULL, a->port}, {0}};
		bool secure = run->workers[0].tls && a->kind != SD_ADDR_INPROC && !(run->plain_doors >> run->doors[i] & 1);
		sd_event(run->log, SD_INFO, "listening", f, "Listening on %s%s", shown, secure ? " (TLS)" : "");
	}
	tell_up(run);
}

void sd_run_say_ready(struct sd_run *run, const char *format, ...)
{
	char text[300];
	va_list args;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	sd_event(run->log, SD_INFO, "ready", NULL, "%s", text);
	tell_up(run);
}

/* ---- PROXY headers ---- */

enum sd_err sd_run_check(const struct sd_conf *conf, struct sd_error *e)
{
	size_t n = sd_conf_count(conf, "proxy-from");
	if (check_listeners(conf, e))
		return SD_EINVAL;
	for (size_t i = 0; i < n; i++) {
		struct sd_cidr net;
		if (sd_cidr_parse(sd_conf_list_item(conf, "proxy-from", i), &net, e))
			return sd_wrap(e, "%s", sd_conf_at(conf, "proxy-from"));
	}
	/* Whoever comes by a path or inside the process was let in by that. */
	bool local = strncmp(sd_conf_string(conf, "bind"), "unix:", 5) == 0;
	if (n == 0 && !local && sd_conf_int(conf, "proxy-protocol") != SD_PROXY_OFF)
		return sd_fail(e, SD_EINVAL, "%s: expected proxy-from to name who may send a header, such as "
			       "10.0.0.0/8", sd_conf_at(conf, "proxy-protocol"));
	return SD_OK;
}

static enum sd_err make_proxy_from(struct sd_run *run, struct sd_error *e)
{
	size_t n = sd_conf_count(run->conf, "proxy-from");
	enum sd_err err = sd_run_check(run->conf, e);
	if (err || n == 0)
		return err;
	run->proxy_from = calloc(n, sizeof(*run->proxy_from));
	if (!run->proxy_from)
		return sd_fail(e, SD_ENOMEM, "out of memory");
	for (; run->nproxy_from < n; run->nproxy_from++)
		sd_cidr_parse(sd_conf_list_item(run->conf, "proxy-from", run->nproxy_from),
			      &run->proxy_from[run->nproxy_from], NULL);
	return SD_OK;
}

/* On the thread of a worker. */
static void on_proxy_refused(void *arg, const struct sd_peer *who, const char *why, uint64_t skipped)
{
	struct sd_run *run = arg;
	char ip[46], more[48] = "";
	sd_peer_format(who, ip);
	if (skipped)
		snprintf(more, sizeof(more), " (and %llu more)", (unsigned long long)skipped);
	struct sd_field f[] = {{"peer", ip, 0}, {"reason", why, 0}, {"skipped", NULL, (int64_t)skipped}, {0}};
	sd_event(run->log, SD_WARN, "proxy_refused", f, "Closed a connection from %s: PROXY header: %s%s", ip, why, more);
}

static void proxy_conf(const struct sd_run *run, struct sd_proxy_in_conf *out)
{
	*out = (struct sd_proxy_in_conf){
	    .mode = (enum sd_proxy_mode)sd_conf_int(run->conf, "proxy-protocol"),
	    .from = run->proxy_from,
	    .nfrom = run->nproxy_from,
	    .timeout_ns = sd_conf_int(run->conf, "head-timeout"),
	    .refused = on_proxy_refused,
	    .refused_arg = (void *)(uintptr_t)run,
	};
}

static uint64_t sum_of(const struct sd_http_server *const *servers, unsigned n, size_t offset)
{
	uint64_t sum = 0;
	for (unsigned k = 0; k < n; k++)
		sum += sd_count_read((const uint64_t *)(const void *)((const char *)servers[k] + offset));
	return sum;
}

static void proxy_metrics(const struct sd_run *run, struct sd_metrics *m, const struct sd_http_server *const *servers,
			  unsigned n, const char *label)
{
	if (sd_conf_int(run->conf, "proxy-protocol") == SD_PROXY_OFF)
		return;
	sd_metrics_family(m, "sdlab_proxy_headers_total", "counter", "PROXY headers read, by whom they speak for");
	uint64_t local = sum_of(servers, n, offsetof(struct sd_http_server, proxy_in.stats.local));
	uint64_t all = sum_of(servers, n, offsetof(struct sd_http_server, proxy_in.stats.headers));
	sd_metrics_add(m, (double)(all - local), "%s,of=\"client\"", label);
	sd_metrics_add(m, (double)local, "%s,of=\"sender\"", label);
	sd_metrics_family(m, "sdlab_proxy_plain_total", "counter", "Connections without a PROXY header, where one may be");
	sd_metrics_add(m, (double)sum_of(servers, n, offsetof(struct sd_http_server, proxy_in.stats.plain)), "%s", label);
	sd_metrics_family(m, "sdlab_proxy_refused_total", "counter", "Connections closed for their PROXY header");
	for (size_t i = 0; i < SD_PROXY_REFUSALS; i++)
		sd_metrics_add(m, (double)sum_of(servers, n, offsetof(struct sd_http_server, proxy_in.stats.refused) +
							       i * sizeof(uint64_t)),
			       "%s,reason=\"%s\"", label, sd_proxy_refusal_names[i]);
}

/* ---- workers ---- */

static void on_stop_task(struct sd_task *t)
{
	struct sd_worker *w = sd_container(t, struct sd_worker, stop_task);
	w->run->spec.applet->service->stop(w->run->self, w);
	sd_loop_stop(w->loop);
}

static void on_drain_task(struct sd_task *t)
{
	struct sd_worker *w = sd_container(t, struct sd_worker, drain_task);
	w->run->spec.applet->service->drain(w->run->self, w);
}

static void all_drained(struct sd_run *run)
{
	sd_loop_timer_cancel(run->spec.control, &run->drain_timer);
	void (*fn)(struct sd_run *, void *) = run->on_drained;
	run->on_drained = NULL;
	if (fn)
		fn(run, run->on_drained_arg);
}

static void on_worker_drained(struct sd_task *t)
{
	struct sd_worker *w = sd_container(t, struct sd_worker, drained_task);
	w->drained = true;
	for (unsigned i = 0; i < w->run->nworkers; i++)
		if (!w->run->workers[i].drained)
			return;
	all_drained(w->run);
}

void sd_worker_drained(struct sd_worker *w)
{
	sd_loop_post(w->run->spec.control, &w->drained_task);
}

static void on_drain_timeout(struct sd_timer *t)
{
	struct sd_run *run = sd_container(t, struct sd_run, drain_timer);
	sd_event(run->log, SD_WARN, "drain_timeout", NULL, "Requests were still in progress after drain-timeout");
	all_drained(run);
}

static enum sd_err make_worker(struct sd_run *run, unsigned i, struct sd_error *e)
{
	struct sd_worker *w = &run->workers[i];
	w->run = run;
	w->index = i;
	w->drained_task.fn = on_worker_drained;
	w->drain_task.fn = on_drain_task;
	w->stop_task.fn = on_stop_task;
	w->tls = run_tls_hold(run->tls);
	w->loop = sd_loop_new(run->spec.world, e);
	if (!w->loop)
		return e ? e->code : SD_ENOMEM;
	enum sd_err err = run->spec.applet->service->start(run->self, w, e);
	w->started = err == SD_OK;
	return err;
}

static enum sd_err start_workers(struct sd_run *run, struct sd_error *e)
{
	run->nworkers = (unsigned)sd_conf_int(run->conf, "threads");
	run->workers = calloc(run->nworkers, sizeof(*run->workers));
	if (!run->workers) {
		run->nworkers = 0;
		return sd_fail(e, SD_ENOMEM, "out of memory");
	}
	for (unsigned i = 0; i < run->nworkers; i++) {
		enum sd_err err = make_worker(run, i, e);
		if (err)
			return err;
	}
	return SD_OK;
}

static enum sd_err start_threads(struct sd_run *run, struct sd_error *e)
{
	for (unsigned i = 0; i < run->nworkers; i++) {
		char name[32];
		snprintf(name, sizeof(name), "%.10s-%u", run->name, i);
		enum sd_err err = sd_loop_start(run->workers[i].loop, name, e);
		if (err)
			return err;
		run->workers[i].running = true;
	}
	return SD_OK;
}

static void stop_workers(struct sd_run *run)
{
	for (unsigned i = 0; i < run->nworkers; i++) {
		struct sd_worker *w = &run->workers[i];
		if (w->running)
			sd_loop_post(w->loop, &w->stop_task);
		else if (w->started)
			run->spec.applet->service->stop(run->self, w);
	}
	for (unsigned i = 0; i < run->nworkers; i++)
		if (run->workers[i].running)
			sd_loop_join(run->workers[i].loop);
}

/* ---- life ---- */

static enum sd_err make_names(struct sd_run *run, struct sd_error *e)
{
	const struct sd_applet *applet = run->spec.applet;
	run->name = strdup(run->spec.name ? run->spec.name : applet->name);
	run->tag = strdup(applet->tag ? applet->tag : applet->name);
	if (!run->name || !run->tag)
		return sd_fail(e, SD_ENOMEM, "out of memory");
	for (char *c = run->tag; *c; c++)
		*c = (char)toupper((unsigned char)*c);
	run->log = run->spec.log ? run->spec.log : sd_log_new(run->spec.events, run->tag, run->name, NULL, 0);
	return run->log ? SD_OK : sd_fail(e, SD_ENOMEM, "out of memory");
}

static enum sd_err start_admin(struct sd_run *run, struct sd_error *e)
{
	const char *addr = sd_conf_string(run->conf, "admin");
	if (!addr || (run->spec.no_port && !sd_conf_is_set(run->conf, "admin")))
		return SD_OK;
	struct sd_admin_spec spec = {
	    .control = run->spec.control,
	    .events = run->spec.events,
	    .addr = addr,
	    .routes = run->spec.applet->service->routes,
	    .run = run,
	};
	enum sd_err err = sd_admin_start(&spec, &run->admin, e);
	return err ? (sd_wrap(e, "admin"), err) : SD_OK;
}

static enum sd_err drop_user(struct sd_run *run, struct sd_error *e)
{
	const char *user = sd_conf_string(run->conf, "user");
	return user ? sd_world_drop_to_user(run->spec.world, user, e) : SD_OK;
}

static enum sd_err start(struct sd_run *run, struct sd_error *e)
{
	const struct sd_service *service = run->spec.applet->service;
	enum sd_err err = make_names(run, e);
	if (!err)
		err = make_addrs(run, e);
	if (!err)
		err = make_proxy_from(run, e);
	if (!err)
		err = run_clients_prepare(run, run->conf, e);
	if (!err)
		err = run_tls_new(run, &run->tls, e);
	run_clients_commit(run, run->conf);
	if (!err) /* nobody is answered before the control loop runs; but that the address is taken is known before anything is made */
		err = start_admin(run, e);
	if (!err)
		err = service->create(run, run->conf, &run->self, e);
	if (!err)
		err = start_workers(run, e);
	if (!err)
		err = drop_user(run, e);
	if (!err)
		err = start_threads(run, e);
	if (err)
		return err;
	run->listening = true;
	if (service->started)
		service->started(run->self);
	if (run->admin) {
		char text[SD_ADDR_TEXT];
		sd_event(run->log, SD_INFO, "admin_listening", NULL, "Admin on %s",
			 sd_addr_format(sd_admin_addr(run->admin), text));
	}
	return SD_OK;
}

enum sd_err sd_run_start(const struct sd_run_spec *spec, struct sd_run **out, struct sd_error *e)
{
	struct sd_run *run = calloc(1, sizeof(*run));
	if (!run)
		return sd_fail(e, SD_ENOMEM, "out of memory");
	run->spec = *spec;
	run->conf = spec->conf;
	run->drain_timer.fn = on_drain_timeout;
	run->started_ns = sd_world_mono_ns(spec->world);
	enum sd_err err = start(run, e);
	if (err) {
		sd_run_free(run);
		return err;
	}
	*out = run;
	return SD_OK;
}

void sd_run_free(struct sd_run *run)
{
	if (!run)
		return;
	sd_loop_timer_cancel(run->spec.control, &run->drain_timer);
	run->on_drained = NULL; /* a worker may say so while it is stopped */
	sd_admin_free(run->admin);
	stop_workers(run);
	sd_loop_flush(run->spec.control);
	/* What workers left to do at the end of their last turn (closing streams) is done before their service goes. */
	for (unsigned i = 0; i < run->nworkers; i++)
		if (run->workers[i].loop)
			sd_loop_flush(run->workers[i].loop);
	if (run->self)
		run->spec.applet->service->destroy(run->self);
	sd_loop_flush(run->spec.control); /* what threads of the service said at their end comes before Stopped */
	for (unsigned i = 0; i < run->nworkers; i++)
		sd_loop_free(run->workers[i].loop);
	for (unsigned i = 0; i < run->nworkers; i++)
		sd_tls_server_release(run->workers[i].tls);
	run_tls_free(run->tls);
	sd_conf_free(run->loaded);
	sd_client_gate_free(&run->clients.gate);
	free(run->proxy_from);
	free(run->workers);
	free(run->name);
	free(run->tag);
	free(run);
}

bool sd_run_ask_stop(struct sd_run *run)
{
	if (run->spec.stop)
		sd_loop_post(run->spec.control, run->spec.stop);
	return run->spec.stop != NULL;
}

bool sd_run_fail(struct sd_run *run)
{
	run->failed = true;
	return sd_run_ask_stop(run);
}

void sd_run_drain(struct sd_run *run, void (*fn)(struct sd_run *run, void *arg), void *arg)
{
	run->on_drained = fn;
	run->on_drained_arg = arg;
	if (run->draining)
		return;
	run->draining = true;
	sd_event(run->log, SD_INFO, "draining", NULL, "Draining");
	sd_loop_timer_set(run->spec.control, &run->drain_timer,
			  sd_loop_now_ns(run->spec.control) + sd_conf_int(run->conf, "drain-timeout"));
	for (unsigned i = 0; i < run->nworkers; i++)
		sd_loop_post(run->workers[i].loop, &run->workers[i].drain_task);
}

/* ---- reload ---- */

static void say_fixed(void *arg, const char *path)
{
	struct sd_run *run = arg;
	struct sd_field f[] = {{"option", path, 0}, {0}};
	sd_event(run->log, SD_WARN, "reload_ignored", f, "%s changes only with a restart; the old value stays", path);
}

static enum sd_err try_reload(struct sd_run *run, struct sd_conf **out, struct sd_error *e)
{
	const struct sd_applet *applet = run->spec.applet;
	struct sd_tls_server *tls = NULL;
	if (!run->spec.load || !applet->service->reload)
		return sd_fail(e, SD_EUNSUPPORTED, "nothing in %s can be changed by a reload", applet->name);
	enum sd_err err = run->spec.load->load(run->spec.load, out, e);
	if (!err && applet->check)
		err = applet->check(*out, e);
	if (!err)
		err = run_tls_make(run->tls, *out, &tls, e);
	if (!err)
		err = run_clients_prepare(run, *out, e);
	if (!err)
		err = applet->service->reload(run->self, *out, e);
	if (err) {
		sd_tls_server_release(tls);
		sd_conf_free(*out);
		*out = NULL;
		return err;
	}
	run_tls_install(run->tls, tls);
	run_clients_commit(run, *out);
	return SD_OK;
}

static void say_reloaded(struct sd_run *run, const char *changes)
{
	const char *file = run->spec.load->file ? run->spec.load->file : "the configuration";
	struct sd_field f[] = {{"changes", changes, 0}, {0}};
	if (!changes)
		sd_event(run->log, SD_INFO, "reloaded", NULL, "Reloaded %s", file);
	else
		sd_event(run->log, SD_INFO, "reloaded", f, "Reloaded %s: %s", file, *changes ? changes : "nothing changed");
}

enum sd_err sd_run_reload(struct sd_run *run, struct sd_error *e)
{
	struct sd_conf *conf = NULL;
	struct sd_error local = {0};
	if (!e)
		e = &local;
	enum sd_err err = try_reload(run, &conf, e);
	if (err) {
		run->failed_reloads++;
		struct sd_field f[] = {{"error", e->text, 0}, {0}};
		sd_event(run->log, SD_ERROR, "reload_failed", f, "Reload failed, the old configuration stays: %s",
			 e->text);
		return err;
	}
	sd_conf_diff_fixed(run->conf, conf, say_fixed, run);
	char *changes = sd_conf_changes(run->conf, conf);
	sd_conf_free(run->loaded);
	run->conf = run->loaded = conf;
	run->reloads++;
	say_reloaded(run, changes);
	free(changes);
	return SD_OK;
}

/* ---- for services ---- */

bool sd_run_ready(struct sd_run *run)
{
	const struct sd_service *service = run->spec.applet->service;
	return run->listening && !run->draining && (!service->ready || service->ready(run->self));
}

const char *sd_run_label(const struct sd_run *run, char *out, size_t n)
{
	char value[128];
	snprintf(out, n, "service=\"%s\"", sd_metrics_label(run->name, value, sizeof(value)));
	return out;
}

void sd_run_metrics(struct sd_run *run, struct sd_metrics *m)
{
	char label[160];
	sd_run_label(run, label, sizeof(label));
	sd_metrics_family(m, "sdlab_up_seconds", "gauge", "Time since the service started");
	sd_metrics_add(m, (double)(sd_world_mono_ns(run->spec.world) - run->started_ns) / 1e9, "%s", label);
	sd_metrics_family(m, "sdlab_reloads_total", "counter", "Reloads of the configuration, by result");
	sd_metrics_add(m, (double)run->reloads, "%s,result=\"ok\"", label);
	sd_metrics_add(m, (double)run->failed_reloads, "%s,result=\"failed\"", label);
	run_tls_metrics(run->tls, m);
	run_clients_metrics(run, m);
	if (run->spec.applet->service->metrics)
		run->spec.applet->service->metrics(run->self, m);
}

void sd_run_http_conf(const struct sd_run *run, struct sd_http_server_conf *out)
{
	const struct sd_conf *conf = run->conf;
	*out = sd_http_server_defaults;
	out->max_body = (uint64_t)sd_conf_int(conf, "max-body");
	out->max_connections = (uint32_t)sd_conf_int(conf, "max-connections");
	out->head_timeout_ns = sd_conf_int(conf, "head-timeout");
	out->body_timeout_ns = sd_conf_int(conf, "body-timeout");
	out->idle_timeout_ns = sd_conf_int(conf, "idle-timeout");
	out->send_timeout_ns = sd_conf_int(conf, "send-timeout");
	proxy_conf(run, &out->proxy);
}

static const struct http_family {
	const char *name, *type, *help;
	size_t offset;
} http_families[] = {
#define F(field, name, help)                                                                                 \
	{                                                                                                    \
		"sdlab_http_" name, "counter", help, offsetof(struct sd_http_server_stats, field)            \
	}
    F(accepted, "connections_total", "Connections accepted"),
    F(requests, "requests_total", "Requests whose head was read"),
    F(refused, "refused_total", "Requests refused because they broke a rule or a limit"),
    F(timeouts, "timeouts_total", "Connections that were too slow"),
    F(aborted, "aborted_total", "Requests whose client left before the end"),
    F(starved, "accept_pauses_total", "Times accepting paused because descriptors ran out"),
    F(bytes_in, "received_bytes_total", "Bytes read from connections that ended"),
    F(bytes_out, "sent_bytes_total", "Bytes written to connections that ended"),
#undef F
};

void sd_run_http_metrics(struct sd_run *run, struct sd_metrics *m, const struct sd_http_server *const *servers,
			 unsigned n)
{
	char label[160];
	sd_run_label(run, label, sizeof(label));
	for (size_t i = 0; i < sizeof(http_families) / sizeof(http_families[0]); i++) {
		const struct http_family *f = &http_families[i];
		uint64_t sum = 0;
		for (unsigned k = 0; k < n; k++)
			sum += sd_count_read((const uint64_t *)((const char *)&servers[k]->stats + f->offset));
		sd_metrics_family(m, f->name, f->type, f->help);
		sd_metrics_add(m, (double)sum, "%s", label);
	}
	uint64_t active = 0;
	for (unsigned k = 0; k < n; k++)
		active += sd_gauge_read(&servers[k]->stats.active);
	sd_metrics_family(m, "sdlab_http_connections", "gauge", "Connections open now");
	sd_metrics_add(m, (double)active, "%s", label);
	proxy_metrics(run, m, servers, n, label);
}
