/* lb_admin.c - what the balancer tells and is told on its admin address. */
#include <cjson/cJSON.h>
#include <stdio.h>
#include <string.h>

#include "app/admin.h"
#include "core/units.h"
#include "lb.h"

void lb_add_up(const struct lb_backend *b, struct lb_cell *t)
{
	memset(t, 0, sizeof(*t));
	for (unsigned i = 0; i < b->nthreads; i++) {
		const struct lb_cell *c = &b->cells[i];
		t->requests += sd_count_read(&c->requests);
		for (int k = 0; k < 6; k++)
			t->codes[k] += sd_count_read(&c->codes[k]);
		t->refused += sd_count_read(&c->refused);
		t->timeouts += sd_count_read(&c->timeouts);
		t->broken += sd_count_read(&c->broken);
		t->garbage += sd_count_read(&c->garbage);
		t->retried += sd_count_read(&c->retried);
		t->bytes_in += sd_count_read(&c->bytes_in);
		t->bytes_out += sd_count_read(&c->bytes_out);
		t->inflight += sd_gauge_read(&c->inflight);
		sd_histogram_merge(&t->latency, &c->latency);
		sd_histogram_merge(&t->connect, &c->connect);
	}
}

const char *lb_state_of(const struct lb_backend *b)
{
	if (b->admin == LB_DRAINED)
		return "drained";
	if (b->resolved.kind == SD_ADDR_NONE)
		return "unresolved";
	if (b->health.down)
		return "down";
	if (b->trial)
		return "half-open";
	return b->health.ejected_until_ns ? "ejected" : "up";
}

static void why_half_open(const struct lb_backend *b, char out[LB_WHY])
{
	struct sd_breaker_stats s;
	lb_trial_stats(b, &s);
	snprintf(out, LB_WHY, "its ejection is over: %u trial requests succeeded in a row, %u are out (eject.successes, eject.permits)",
		 s.probed, s.lent);
}

/* Until its ejection ends; 0: it is not ejected. */
static int64_t ejected_for(const struct lb_backend *b)
{
	int64_t left = b->health.ejected_until_ns - sd_loop_now_ns(b->lb->run->spec.control);
	return left > 0 ? left : 0;
}

const char *lb_why_of(const struct lb_backend *b, char out[LB_WHY])
{
	char text[SD_UNIT_TEXT];
	*out = '\0';
	if (b->admin == LB_DRAINED)
		snprintf(out, LB_WHY, "an operator drained it");
	else if (b->resolved.kind == SD_ADDR_NONE)
		snprintf(out, LB_WHY, "its name has no address yet");
	else if (b->health.down)
		snprintf(out, LB_WHY, "%u failed checks in a row: %s", b->health.bad, b->check_error);
	else if (b->health.ejected_until_ns)
		snprintf(out, LB_WHY, "%s (ejection %u); back in %s", b->eject_why, b->health.ejections,
			 sd_format_duration((ejected_for(b) + 999999999) / 1000000000 * 1000000000, text));
	else if (b->trial)
		why_half_open(b, out);
	else if (b->weight == 0)
		snprintf(out, LB_WHY, "its weight is 0");
	return out;
}

/* ---- /-/backends ---- */

/* Since the start; null before the first answer. */
static void add_quantile(cJSON *o, const char *key, const struct sd_histogram *h, double share)
{
	double ns = sd_histogram_quantile(h, share);
	if (ns < 0)
		cJSON_AddNullToObject(o, key);
	else
		cJSON_AddNumberToObject(o, key, (double)(int64_t)(ns / 1000 + 0.5) / 1000);
}

cJSON *lb_backend_json(const struct lb_backend *b)
{
	struct lb_cell t;
	char why[LB_WHY];
	cJSON *o = cJSON_CreateObject();
	lb_add_up(b, &t);
	cJSON_AddStringToObject(o, "name", b->name);
	cJSON_AddStringToObject(o, "address", b->address);
	cJSON_AddStringToObject(o, "pool", b->pool);
	cJSON_AddStringToObject(o, "state", lb_state_of(b));
	cJSON_AddStringToObject(o, "why", lb_why_of(b, why));
	cJSON_AddNumberToObject(o, "weight", b->weight);
	cJSON_AddBoolToObject(o, "backup", b->backup);
	cJSON_AddNumberToObject(o, "max_connections", b->max_connections);
	cJSON_AddNumberToObject(o, "inflight", t.inflight);
	cJSON_AddNumberToObject(o, "requests", (double)t.requests);
	cJSON_AddNumberToObject(o, "failures", (double)(t.refused + t.timeouts + t.broken + t.garbage));
	cJSON_AddNumberToObject(o, "retried_elsewhere", (double)t.retried);
	cJSON_AddNumberToObject(o, "failed_checks_in_a_row", b->health.bad);
	cJSON_AddNumberToObject(o, "ejections", b->health.ejections);
	int64_t ejected_ms = (ejected_for(b) + 999999) / 1000000;
	cJSON_AddNumberToObject(o, "ejected_for_ms", (double)ejected_ms);
	cJSON_AddNumberToObject(o, "answers_5xx", (double)t.codes[5]);
	add_quantile(o, "p50_ms", &t.latency, 0.5);
	add_quantile(o, "p99_ms", &t.latency, 0.99);
	return o;
}

static void list_backends(struct lb *lb, struct sd_admin_call *c)
{
	cJSON *list = cJSON_CreateArray();
	for (struct sd_link *k = lb->backends.next; k != &lb->backends; k = k->next)
		cJSON_AddItemToArray(list, lb_backend_json(sd_container(k, struct lb_backend, link)));
	sd_admin_json(c->x, 200, list);
}

/* "/NAME" or "/NAME/verb" in rest; the verb is empty when there is none. */
static struct lb_backend *find(struct lb *lb, struct sd_slice rest, struct sd_slice *verb)
{
	for (struct sd_link *k = lb->backends.next; k != &lb->backends; k = k->next) {
		struct lb_backend *b = sd_container(k, struct lb_backend, link);
		size_t n = strlen(b->name);
		if (rest.n < n + 1 || memcmp(rest.p + 1, b->name, n) != 0)
			continue;
		*verb = (struct sd_slice){rest.p + n + 1, rest.n - n - 1};
		if (verb->n == 0 || verb->p[0] == '/')
			return b;
	}
	return NULL;
}

static void set_admin(struct lb_backend *b, enum lb_admin_state state)
{
	struct sd_field f[] = {{"backend", b->name, 0}, {"address", b->address, 0}, {0}};
	if (b->admin == state)
		return;
	b->admin = state;
	if (state == LB_DRAINED)
		sd_event(b->lb->run->log, SD_INFO, "backend_drained", f, "Draining %s: it gets no new requests", b->label);
	else
		sd_event(b->lb->run->log, SD_INFO, "backend_ready", f, "Backend %s may take requests again", b->label);
	lb_publish(b->lb);
}

static void refuse_method(struct sd_admin_call *c, const char *allow)
{
	char extra[64], text[64];
	snprintf(extra, sizeof(extra), "Allow: %s\r\n", allow);
	int n = snprintf(text, sizeof(text), "{\"error\": \"expected %s\"}\n", allow);
	sd_http_respond(c->x, 405, extra, "application/json", text, (size_t)n);
}

static void route_list(struct lb *lb, struct sd_admin_call *c)
{
	if (c->method == SD_HTTP_GET)
		list_backends(lb, c);
	else if (c->method == SD_HTTP_POST)
		lb_runtime_add(lb, c);
	else
		refuse_method(c, "GET, POST");
}

static void route_one(struct lb_backend *b, struct sd_admin_call *c)
{
	if (c->method == SD_HTTP_GET)
		sd_admin_json(c->x, 200, lb_backend_json(b));
	else if (c->method == SD_HTTP_PATCH)
		lb_runtime_change(b, c);
	else if (c->method == SD_HTTP_DELETE)
		lb_runtime_remove(b, c);
	else
		refuse_method(c, "GET, PATCH, DELETE");
}

static void route_backends(struct sd_admin_call *c)
{
	struct lb *lb = c->run->self;
	struct sd_slice verb;
	if (c->rest.n <= 1) {
		route_list(lb, c);
		return;
	}
	struct lb_backend *b = find(lb, c->rest, &verb);
	bool drain = b && sd_slice_eq(verb, "/drain"), ready = b && sd_slice_eq(verb, "/ready");
	if (!b || (verb.n > 0 && !drain && !ready)) {
		sd_admin_error(c->x, 404, "no such backend or command; try /-/backends, /-/backends/NAME, "
					  "/-/backends/NAME/drain, /-/backends/NAME/ready");
	} else if (verb.n == 0) {
		route_one(b, c);
	} else if (c->method != SD_HTTP_POST) {
		refuse_method(c, "POST");
	} else {
		set_admin(b, drain ? LB_DRAINED : LB_READY);
		sd_admin_json(c->x, 200, lb_backend_json(b));
	}
}

const struct sd_admin_route lb_routes[] = {
    {"backends", "the backends as JSON; POST adds, PATCH and DELETE .../NAME, POST .../NAME/drain or /ready", route_backends,
     .body = true},
    {"explain", "POST a request: who would get it, and why", lb_route_explain, .body = true},
    {"status", "the same for people, in a browser", lb_route_status},
    {0},
};

bool lb_ready(void *self)
{
	const struct lb *lb = self;
	for (size_t i = 0; i < lb->now->n; i++)
		if (lb->now->entries[i].usable)
			return true;
	return false;
}

/* ---- /metrics ---- */

static const struct {
	const char *name, *help;
	size_t offset;
} worker_families[] = {
    {"sdlab_lb_unavailable_total", "Requests and connections that found no usable backend",
     offsetof(struct lb_worker, unavailable)},
    {"sdlab_lb_queue_full_total", "Requests refused because the queue was full", offsetof(struct lb_worker, queue_full)},
    {"sdlab_lb_queue_timeouts_total", "Requests that waited too long in the queue",
     offsetof(struct lb_worker, queue_timeouts)},
    {"sdlab_lb_retries_total", "Requests tried again on another backend", offsetof(struct lb_worker, retries)},
    {"sdlab_lb_retry_budget_exhausted_total", "Requests not tried again because the retry budget was spent",
     offsetof(struct lb_worker, budget_exhausted)},
    {"sdlab_lb_sticky_kept_total", "Requests that went where their cookie says", offsetof(struct lb_worker, sticky_kept)},
    {"sdlab_lb_sticky_new_total", "Answers with the first cookie of a client", offsetof(struct lb_worker, sticky_new)},
    {"sdlab_lb_sticky_moved_total", "Answers with a new cookie because the old one's backend was not usable",
     offsetof(struct lb_worker, sticky_moved)},
    {"sdlab_lb_sticky_bad_total", "Cookies that were forged, cut or made with another secret",
     offsetof(struct lb_worker, sticky_bad)},
    {"sdlab_lb_stale_connections_total", "Idle connections found closed when used", offsetof(struct lb_worker, stale)},
    {"sdlab_lb_tunnels_total", "Tunnels begun: connections in TCP mode, and upgraded requests",
     offsetof(struct lb_worker, tunnels_total)},
    {"sdlab_lb_upgrades_total", "Requests that changed their protocol", offsetof(struct lb_worker, upgrades)},
    {"sdlab_lb_spliced_total", "Directions of tunnels that went over to the kernel", offsetof(struct lb_worker, spliced)},
    {"sdlab_lb_tunnel_timeouts_total", "Tunnels ended because nothing moved", offsetof(struct lb_worker, tunnel_timeouts)},
};

static void worker_metrics(struct lb *lb, struct sd_metrics *m)
{
	const struct sd_http_server *servers[LB_MAX_THREADS];
	char label[160];
	uint64_t queued = 0, tunnels = 0, idle = 0;
	struct sd_histogram waits = {0};
	sd_run_label(lb->run, label, sizeof(label));
	for (unsigned i = 0; i < lb->nworkers; i++) {
		servers[i] = &lb->workers[i]->server;
		queued += sd_gauge_read(&lb->workers[i]->nqueued);
		tunnels += sd_gauge_read(&lb->workers[i]->ntunnels);
		sd_histogram_merge(&waits, &lb->workers[i]->queued);
		idle += sd_gauge_read(&lb->workers[i]->idle_tunnels);
	}
	sd_run_http_metrics(lb->run, m, servers, lb->nworkers);
	for (size_t k = 0; k < sizeof(worker_families) / sizeof(worker_families[0]); k++) {
		uint64_t sum = 0;
		for (unsigned i = 0; i < lb->nworkers; i++)
			sum += sd_count_read(
			    (const uint64_t *)(const void *)((const char *)lb->workers[i] + worker_families[k].offset));
		sd_metrics_family(m, worker_families[k].name, "counter", worker_families[k].help);
		sd_metrics_add(m, (double)sum, "%s", label);
	}
	sd_metrics_family(m, "sdlab_lb_queue_length", "gauge", "Requests waiting for a backend now");
	sd_metrics_add(m, (double)queued, "%s", label);
	sd_metrics_family(m, "sdlab_lb_panic", "gauge", "1 while fewer backends are usable than the panic threshold");
	for (size_t i = 0; i < lb->now->npools; i++)
		if (lb->now->pools[i].n)
			sd_metrics_add(m, lb->now->pools[i].tier.panic, "%s,pool=\"%s\"", label, lb->now->pools[i].name);
	sd_metrics_family(m, "sdlab_lb_tunnels", "gauge", "Tunnels open now");
	sd_metrics_add(m, (double)tunnels, "%s", label);
	sd_metrics_family(m, "sdlab_lb_tunnels_idle", "gauge", "Of these, in which nothing moved for a minute");
	sd_metrics_add(m, (double)idle, "%s", label);
	sd_metrics_family(m, "sdlab_lb_queue_seconds", "histogram", "Time that requests waited for a backend, of those that had to");
	sd_metrics_add_histogram(m, &waits, label);
	lb_routes_metrics(lb, m, label);
	lb_limits_metrics(lb, m, label);
	lb_log_metrics(lb, m, label);
	if (lb->mode == LB_TCP)
		lb_hello_metrics(lb, m, label);
}

static void answers(struct sd_metrics *m, const struct lb_cell *t, const char *label)
{
	static const char *const classes[] = {"none", "1xx", "2xx", "3xx", "4xx", "5xx"};
	sd_metrics_family(m, "sdlab_lb_backend_answers_total", "counter", "Answers by class of status; none: it failed");
	for (int k = 0; k < 6; k++)
		if (t->codes[k])
			sd_metrics_add(m, (double)t->codes[k], "%s,code=\"%s\"", label, classes[k]);
}

static void failures(struct sd_metrics *m, const struct lb_cell *t, const char *label)
{
	sd_metrics_family(m, "sdlab_lb_backend_failures_total", "counter", "Requests without a usable answer, by reason");
	sd_metrics_add(m, (double)t->refused, "%s,reason=\"refused\"", label);
	sd_metrics_add(m, (double)t->timeouts, "%s,reason=\"timeout\"", label);
	sd_metrics_add(m, (double)t->broken, "%s,reason=\"broken\"", label);
	sd_metrics_add(m, (double)t->garbage, "%s,reason=\"garbage\"", label);
}

static void backend_metrics(const struct lb_backend *b, struct sd_metrics *m)
{
	struct lb_cell t;
	char label[400], service[160], name[128];
	lb_add_up(b, &t);
	snprintf(label, sizeof(label), "%s,pool=\"%s\",backend=\"%s\"", sd_run_label(b->lb->run, service, sizeof(service)), b->pool,
		 sd_metrics_label(b->name, name, sizeof(name)));
	sd_metrics_family(m, "sdlab_lb_backend_up", "gauge", "1 when the backend gets requests");
	sd_metrics_add(m, strcmp(lb_state_of(b), "up") == 0, "%s", label);
	sd_metrics_family(m, "sdlab_lb_backend_ejections_total", "counter", "How often the backend was left out for requests that failed");
	sd_metrics_add(m, (double)b->ejected, "%s", label);
	sd_metrics_family(m, "sdlab_lb_backend_ejected_seconds", "gauge", "Until its ejection ends; 0: it is not ejected");
	sd_metrics_add(m, (double)ejected_for(b) / 1e9, "%s", label);
	sd_metrics_family(m, "sdlab_lb_backend_half_open", "gauge", "1 while the backend gets no more than trial requests");
	sd_metrics_add(m, b->trial != NULL, "%s", label);
	sd_metrics_family(m, "sdlab_lb_backend_requests_total", "counter", "Requests sent to the backend");
	sd_metrics_add(m, (double)t.requests, "%s", label);
	sd_metrics_family(m, "sdlab_lb_backend_inflight", "gauge", "Requests at the backend now");
	sd_metrics_add(m, (double)t.inflight, "%s", label);
	answers(m, &t, label);
	failures(m, &t, label);
	sd_metrics_family(m, "sdlab_lb_backend_retried_total", "counter", "Failed requests that were tried elsewhere");
	sd_metrics_add(m, (double)t.retried, "%s", label);
	sd_metrics_family(m, "sdlab_lb_backend_seconds", "histogram",
			  "Time from a request's head to the head of its answer");
	sd_metrics_add_histogram(m, &t.latency, label);
	sd_metrics_family(m, "sdlab_lb_backend_connect_seconds", "histogram", "Time until a new connection to the backend was there");
	sd_metrics_add_histogram(m, &t.connect, label);
}

void lb_metrics(void *self, struct sd_metrics *m)
{
	struct lb *lb = self;
	worker_metrics(lb, m);
	sd_run_watch_metrics(&lb->tls_watch, m);
	for (struct sd_link *k = lb->backends.next; k != &lb->backends; k = k->next)
		backend_metrics(sd_container(k, struct lb_backend, link), m);
}
