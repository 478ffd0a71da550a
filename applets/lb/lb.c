/* lb - a load balancer for HTTP/1.1 and TCP. This file is its face; the rest is described in lb.h. */
#include "lb.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/units.h"

static const struct sd_option backend_options[] = {
    {"address", SD_OPT_ADDRESS, NULL, "where it listens", .required = true},
    {"name", SD_OPT_STRING, NULL, "what it is called in metrics and commands; else its address"},
    {"weight", SD_OPT_INT, "1", "its share beside the others; 0 for none", .max = SD_BALANCE_MAX_WEIGHT},
    {"max-connections", SD_OPT_INT, "0", "requests at a time, the rest wait; 0 for no limit", .max = 1000000},
    {"send-proxy", SD_OPT_ENUM, "off", "PROXY header that its connections begin with; each is used for one request",
     .choices = "off|v1|v2"},
    {"tls", SD_OPT_BOOL, "false", "speak TLS to it, in health checks too"},
    {"tls-ca", SD_OPT_FILE, NULL, "PEM file with the CAs to trust; else those of the system"},
    {"tls-name", SD_OPT_STRING, NULL, "name to ask for and to find in its certificate; else its host", .meta = "NAME"},
    {"tls-verify", SD_OPT_BOOL, "true", "whether its certificate is checked"},
    {"backup", SD_OPT_BOOL, "false", "used only while no other backend is usable"},
    {0},
};

static const struct sd_option health_options[] = {
    {"type", SD_OPT_ENUM, "auto", "what a check does; auto: http in HTTP mode, else tcp",
     .choices = "auto|http|tcp|none", .reload = true},
    {"interval", SD_OPT_DURATION, "5s", "between two checks of a backend", .reload = true},
    {"jitter", SD_OPT_PERCENT, "10%", "up to this much earlier or later, at random", .reload = true},
    {"timeout", SD_OPT_DURATION, "2s", "a check that takes longer failed", .reload = true},
    {"fall", SD_OPT_INT, "3", "failed checks in a row until it is down", .min = 1, .max = 1000, .reload = true},
    {"rise", SD_OPT_INT, "2", "passed checks in a row until it is up", .min = 1, .max = 1000, .reload = true},
    {"path", SD_OPT_STRING, "/", "what an http check asks for", .reload = true},
    {"host", SD_OPT_STRING, NULL, "its Host field; else the address", .reload = true},
    {"status", SD_OPT_STRING, "200-399", "what it must answer: a status or a range", .reload = true},
    {0},
};

static const struct sd_option eject_options[] = {
    {"failures", SD_OPT_INT, "5", "failed requests in a row until a backend is left out; 0 for never",
     .max = 1000000, .reload = true},
    {"time", SD_OPT_DURATION, "10s", "for how long, times how often it happened", .reload = true},
    {"max", SD_OPT_PERCENT, "50%", "share of the backends that may be left out at a time", .reload = true},
    {0},
};

static const struct sd_option queue_options[] = {
    {"size", SD_OPT_INT, "1024", "requests a thread may keep waiting for a connection to a backend",
     .max = 1000000, .reload = true},
    {"timeout", SD_OPT_DURATION, "5s", "how long one waits", .reload = true},
    {0},
};

static const struct sd_option hash_options[] = {
    {"on", SD_OPT_ENUM, "client", "what of a request decides with algorithm hash",
     .choices = "client|header|cookie|query|path", .reload = true},
    {"name", SD_OPT_STRING, NULL, "of the header, cookie or query key", .reload = true},
    {"bound", SD_OPT_NUMBER, "1.25", "times its fair part of the requests that a backend may have; 0 for no bound",
     .reload = true},
    {"seed", SD_OPT_STRING, NULL, "a text, so that nobody outside knows which keys share a backend", .reload = true,
     .secret = true},
    {0},
};

static const struct sd_option sticky_options[] = {
    {"cookie", SD_OPT_STRING, NULL, "name of the cookie that keeps a client at its backend", .reload = true},
    {"secret", SD_OPT_STRING, NULL, "signs it, at least 16 bytes; else one is made at start", .reload = true,
     .secret = true},
    {"secret-file", SD_OPT_FILE, NULL, "file that holds the secret", .reload = true},
    {"max-age", SD_OPT_DURATION, "0s", "how long a browser keeps it; 0 for as long as it runs", .reload = true},
    {0},
};

static const struct sd_option panic_options[] = {
    {"threshold", SD_OPT_PERCENT, "0%", "when fewer of the backends than this are usable; 0 for never", .reload = true},
    {"use", SD_OPT_ENUM, "all", "then use all, whatever their health, or none", .choices = "all|none", .reload = true},
    {0},
};

static const struct sd_option options[] = {
    {"port", SD_OPT_PORT, "8080", "where to listen", .letter = 'p'},
    {"admin", SD_OPT_ADDRESS, "127.0.0.1:8079", "where /metrics and the /-/ endpoints answer"},
    {"mode", SD_OPT_ENUM, "http", "what is balanced: requests or connections", .choices = "http|tcp"},
    {"algorithm", SD_OPT_ENUM, "round-robin", "who takes the next request",
     .choices = "round-robin|least-connections|random-two-choices|least-latency|hash", .reload = true},
    {"backends", SD_OPT_TABLE, NULL, "the servers behind it", .cli = "backend", .sub = backend_options,
     .reload = true},
    {"health", SD_OPT_GROUP, NULL, "active checks", .sub = health_options, .reload = true},
    {"eject", SD_OPT_GROUP, NULL, "leaving out backends that fail requests", .sub = eject_options, .reload = true},
    {"hash", SD_OPT_GROUP, NULL, "which backend a request belongs to, for algorithm hash", .sub = hash_options,
     .reload = true},
    {"sticky", SD_OPT_GROUP, NULL, "keeping a client at its backend by a cookie", .sub = sticky_options,
     .reload = true},
    {"panic", SD_OPT_GROUP, NULL, "when too few backends are usable", .sub = panic_options, .reload = true},
    {"slow-start", SD_OPT_DURATION, "0s", "how long a backend that came back gets a rising part of its share",
     .reload = true},
    {"queue", SD_OPT_GROUP, NULL, "waiting for a backend with a free connection", .sub = queue_options,
     .reload = true},
    {"retries", SD_OPT_INT, "1", "other backends to try when one fails before it answered", .max = 16,
     .reload = true},
    {"retry-budget", SD_OPT_PERCENT, "20%", "of the requests of ten seconds may be tried again", .reload = true},
    {"retry-budget-min", SD_OPT_INT, "3", "retries a second that are always allowed", .max = 1000000, .reload = true},
    {"retry-buffer", SD_OPT_SIZE, "64KiB", "request bodies up to this size can be sent again", .min = 0,
     .max = 16 << 20, .reload = true},
    {"connect-timeout", SD_OPT_DURATION, "2s", "for a connection to a backend", .reload = true},
    {"answer-timeout", SD_OPT_DURATION, "30s", "for a backend's answer to begin, and to go on", .reload = true},
    {"keep-idle", SD_OPT_INT, "1024", "idle connections kept to each backend, a thread", .max = 1000000,
     .reload = true},
    {"keep-idle-time", SD_OPT_DURATION, "30s", "how long they are kept", .reload = true},
    {"tunnel-timeout", SD_OPT_DURATION, "1h", "for a tunnel in which nothing moves: a TCP connection, a WebSocket",
     .reload = true},
    {"trusted-proxies", SD_OPT_LIST, NULL, "addresses or networks whose X-Forwarded-* and Forwarded are believed",
     .reload = true, .meta = "NET"},
    {"access-log", SD_OPT_FILE, NULL, "write a line for each request to this file, or - for standard output; else none",
     .reload = true},
    {"access-log-format", SD_OPT_ENUM, "human", "how these lines look", .choices = "human|json|common|combined",
     .reload = true},
    {"why-header", SD_OPT_ENUM, "trusted", "who may ask with X-Sdlab-Why: 1 which backends were weighed; trusted: "
     "trusted-proxies and this machine", .choices = "off|trusted", .reload = true},
    {"trace", SD_OPT_BOOL, "true", "pass traceparent (W3C Trace Context) on, or begin one", .reload = true},
    {"forwarded", SD_OPT_ENUM, "x-forwarded", "fields that tell a backend who the client is: X-Forwarded-*, or Forwarded",
     .choices = "x-forwarded|forwarded|both", .reload = true},
    {"upgrades", SD_OPT_LIST, "websocket", "protocols that a request may change to; any: all that carry no requests",
     .reload = true, .meta = "NAME"},
    {0},
};

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
	enum sd_err err = lb_rules_make(conf, lb->mode, &lb->rules, e);
	if (!err)
		err = lb_affinity_key(lb, conf, e);
	if (!err)
		err = lb_backends_make(lb, conf, e);
	if (err)
		return err;
	if (lb_log_open(lb, conf, e))
		return e->code;
	lb_log_commit(lb);
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
	for (unsigned i = 0; i < lb->nworkers; i++)
		if (lb->workers[i])
			lb_worker_free(lb->workers[i]);
	while (!sd_list_empty(&lb->backends)) {
		struct lb_backend *b = sd_container(lb->backends.next, struct lb_backend, link);
		lb_check_end(b);
		sd_list_del(&b->link);
		lb_backend_release(b);
	}
	lb_snapshot_release(lb->now);
	sd_ring_release(lb->ring);
	free(lb);
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
    .options = options,
    .service = &service,
    .verbs = lb_verbs,
    .check = lb_check_conf,
};
