#include "admin.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/text.h"

#define BODY_MAX 65536

struct sd_admin {
	struct sd_admin_spec spec;
	struct sd_http_server server;
	struct sd_addr addr;
	struct sd_link subscribers; /* to /-/events */
};

/* One client of /-/events. */
struct subscriber {
	struct sd_admin_wait wait;
	struct sd_event_listener listener;
	struct sd_link link;
	struct sd_http_exchange *x;
	bool behind; /* its backlog is high: events are left out until it drained */
};

static struct sd_admin *admin_of(const struct sd_http_exchange *x)
{
	return x->server->arg;
}

void *sd_admin_arg(const struct sd_admin_call *call)
{
	return admin_of(call->x)->spec.arg;
}

void sd_admin_json(struct sd_http_exchange *x, int status, struct cJSON *tree)
{
	char *text = cJSON_Print(tree);
	size_t n = text ? strlen(text) : 0;
	if (text)
		text[n++] = '\n'; /* in place of the terminator */
	cJSON_Delete(tree);
	sd_http_respond(x, text ? status : 500, NULL, "application/json", text, n);
	free(text);
}

void sd_admin_error(struct sd_http_exchange *x, int status, const char *text)
{
	cJSON *o = cJSON_CreateObject();
	cJSON_AddStringToObject(o, "error", text);
	sd_admin_json(x, status, o);
}

/* ---- the endpoints every service has ---- */

static void get_health(struct sd_admin_call *c)
{
	sd_http_respond_text(c->x, 200, "ok\n");
}

static void get_ready(struct sd_admin_call *c)
{
	struct sd_admin *a = admin_of(c->x);
	bool ready = a->spec.ready ? a->spec.ready(a->spec.arg) : sd_run_ready(c->run);
	const struct sd_service *service = c->run ? c->run->spec.applet->service : NULL;
	if (service && service->needs) {
		cJSON *tree = cJSON_CreateObject();
		cJSON_AddBoolToObject(tree, "ready", ready);
		service->needs(c->run->self, tree);
		sd_admin_json(c->x, ready ? 200 : 503, tree);
		return;
	}
	sd_http_respond_text(c->x, ready ? 200 : 503, ready ? "ready\n" : "not ready\n");
}

static void get_config(struct sd_admin_call *c)
{
	char *json = sd_conf_print_json(c->run->conf);
	if (json)
		sd_http_respond(c->x, 200, NULL, "application/json", json, strlen(json));
	else
		sd_http_respond_text(c->x, 500, "out of memory\n");
	free(json);
}

static void post_reload(struct sd_admin_call *c)
{
	struct sd_error e = {0};
	if (sd_run_reload(c->run, &e))
		sd_http_respond_text(c->x, 400, "%s\n", e.text);
	else
		sd_http_respond_text(c->x, 200, "reloaded\n");
}

static void get_metrics(struct sd_admin_call *c)
{
	struct sd_admin *a = admin_of(c->x);
	struct sd_metrics *m = sd_metrics_new();
	size_t n = 0;
	if (m && a->spec.metrics)
		a->spec.metrics(a->spec.arg, m);
	else if (m)
		sd_run_metrics(c->run, m);
	if (m)
		sd_events_metrics(a->spec.events, m);
	char *text = m ? sd_metrics_text(m, &n) : NULL;
	sd_metrics_free(m);
	sd_http_respond(c->x, text ? 200 : 500, NULL, "text/plain; version=0.0.4; charset=utf-8", text, n);
	free(text);
}

/* ---- events ---- */

static void on_event(struct sd_event_listener *l, const char *name, const char *json, size_t n)
{
	struct subscriber *s = sd_container(l, struct subscriber, listener);
	char head[128];
	if (s->behind)
		return;
	int h = snprintf(head, sizeof(head), "event: %s\ndata: ", name);
	sd_http_write(s->x, head, (size_t)h);
	sd_http_write(s->x, json, n);
	sd_http_write(s->x, "\n\n", 2);
	s->behind = sd_http_backlog(s->x);
}

static void on_subscriber_drained(struct sd_admin_wait *wait)
{
	sd_container(wait, struct subscriber, wait)->behind = false;
}

static void unsubscribe(struct sd_admin_wait *wait)
{
	struct subscriber *s = sd_container(wait, struct subscriber, wait);
	sd_events_unlisten(&s->listener);
	sd_list_del(&s->link);
	free(s);
}

static void get_events(struct sd_admin_call *c)
{
	struct sd_admin *a = admin_of(c->x);
	bool follow = c->x->method != SD_HTTP_HEAD;
	struct subscriber *s = follow ? calloc(1, sizeof(*s)) : NULL;
	if (follow && !s) {
		sd_http_respond_text(c->x, 500, "out of memory\n");
		return;
	}
	sd_http_begin(c->x, 200, (struct sd_slice){0});
	sd_http_field_text(c->x, "Content-Type", "text/event-stream");
	sd_http_field_text(c->x, "Cache-Control", "no-store");
	sd_http_head_done(c->x, SD_HTTP_UNKNOWN);
	if (!s) {
		sd_http_finish(c->x);
		return;
	}
	s->x = c->x;
	s->listener.fn = on_event;
	s->wait = (struct sd_admin_wait){.gone = unsubscribe, .drained = on_subscriber_drained};
	c->x->user = &s->wait;
	sd_http_write(c->x, ": events follow\n\n", 17);
	sd_events_listen(a->spec.events, &s->listener);
	sd_list_add(&a->subscribers, &s->link);
}

/* ---- routing ---- */

static void get_index(struct sd_admin_call *c);

static const struct route {
	const char *path;
	enum sd_http_method method;
	bool of_run; /* needs a single service */
	void (*fn)(struct sd_admin_call *c);
	const char *help;
} routes[] = {
    {"/", SD_HTTP_GET, false, get_index, "this list"},
    {"/-/health", SD_HTTP_GET, false, get_health, "200 while the process can answer"},
    {"/-/ready", SD_HTTP_GET, false, get_ready, "200 when it takes traffic, else 503"},
    {"/-/config", SD_HTTP_GET, true, get_config, "the configuration in force, as JSON"},
    {"/-/reload", SD_HTTP_POST, true, post_reload, "load the configuration anew"},
    {"/-/events", SD_HTTP_GET, false, get_events, "what happens, as server-sent events"},
    {"/metrics", SD_HTTP_GET, false, get_metrics, "Prometheus text"},
};
#define NROUTES (sizeof(routes) / sizeof(routes[0]))

static void get_index(struct sd_admin_call *c)
{
	struct sd_admin *a = admin_of(c->x);
	char *text = NULL;
	size_t n = 0;
	FILE *out = open_memstream(&text, &n);
	for (size_t i = 0; out && i < NROUTES; i++)
		if (c->run || !routes[i].of_run)
			fprintf(out, "%-4s %-24s %s\n", routes[i].method == SD_HTTP_GET ? "GET" : "POST", routes[i].path,
				routes[i].help);
	for (const struct sd_admin_route *r = a->spec.routes; out && r && r->name; r++)
		fprintf(out, "     /-/%-21s %s\n", r->name, r->help);
	if (out)
		fclose(out);
	sd_http_respond(c->x, 200, NULL, "text/plain; charset=utf-8", text, n);
	free(text);
}

/* A call whose body is still to come. */
struct gather {
	struct sd_admin_wait wait;
	struct sd_admin_call call;
	const struct sd_admin_route *route;
	struct sd_text body;
	char bytes[]; /* rest and query */
};

static void gather_gone(struct sd_admin_wait *wait)
{
	struct gather *g = sd_container(wait, struct gather, wait);
	g->call.x->user = NULL;
	free(g->body.p);
	free(g);
}

static void gather_end(struct sd_admin_wait *wait)
{
	struct gather *g = sd_container(wait, struct gather, wait);
	struct sd_http_exchange *x = g->call.x;
	x->user = NULL;
	g->call.body = (struct sd_slice){g->body.p, g->body.n};
	if (g->body.full)
		sd_http_refuse(x, 413, "expected a body of at most 64 KiB");
	else
		g->route->fn(&g->call);
	free(g->body.p);
	free(g);
}

static void gather_begin(struct sd_admin_call *c, const struct sd_admin_route *route)
{
	struct gather *g = calloc(1, sizeof(*g) + c->rest.n + c->query.n);
	if (!g) {
		sd_http_respond_text(c->x, 500, "out of memory\n");
		return;
	}
	g->wait = (struct sd_admin_wait){.gone = gather_gone, .end = gather_end};
	g->call = *c;
	g->route = route;
	if (c->rest.n)
		memcpy(g->bytes, c->rest.p, c->rest.n);
	if (c->query.n)
		memcpy(g->bytes + c->rest.n, c->query.p, c->query.n);
	g->call.rest.p = g->bytes;
	g->call.query.p = g->bytes + c->rest.n;
	c->x->user = &g->wait;
}

static void on_body(struct sd_http_exchange *x, const char *p, size_t n)
{
	struct sd_admin_wait *wait = x->user;
	if (!wait || wait->gone != gather_gone)
		return;
	struct gather *g = sd_container(wait, struct gather, wait);
	if (g->body.n + n > BODY_MAX)
		g->body.full = true;
	else
		sd_text_add(&g->body, p, n);
}

static void on_end(struct sd_http_exchange *x)
{
	struct sd_admin_wait *wait = x->user;
	if (wait && wait->end)
		wait->end(wait);
}

/* The service's own: /-/NAME and what is below. */
static bool own_route(struct sd_admin *a, struct sd_admin_call *c, struct sd_slice path)
{
	if (!sd_slice_starts(path, "/-/"))
		return false;
	for (const struct sd_admin_route *r = a->spec.routes; r && r->name; r++) {
		size_t n = strlen(r->name) + 3;
		if (path.n < n || memcmp(path.p + 3, r->name, n - 3) != 0 || (path.n > n && path.p[n] != '/'))
			continue;
		c->rest = (struct sd_slice){path.p + n, path.n - n};
		if (r->body && c->method != SD_HTTP_GET)
			gather_begin(c, r);
		else
			r->fn(c);
		return true;
	}
	return false;
}

/* A page in somebody's browser must not be able to reload or stop things: browsers name the origin of such requests. */
static bool from_a_page(const struct sd_http_head *head)
{
	return head->method != SD_HTTP_GET && head->method != SD_HTTP_HEAD && sd_http_find_name(head, "origin");
}

static void on_request(struct sd_http_exchange *x, const struct sd_http_head *head)
{
	struct sd_admin *a = admin_of(x);
	struct sd_admin_call c = {.run = a->spec.run, .x = x, .method = head->method, .query = head->query};
	if (c.method == SD_HTTP_HEAD)
		c.method = SD_HTTP_GET;
	if (from_a_page(head)) {
		sd_http_respond_text(x, 403, "not from a web page\n");
		return;
	}
	for (size_t i = 0; i < NROUTES; i++) {
		const struct route *r = &routes[i];
		if (!sd_slice_eq(head->path, r->path) || (r->of_run && !c.run))
			continue;
		if (r->method == c.method)
			r->fn(&c);
		else
			sd_http_respond(x, 405, r->method == SD_HTTP_GET ? "Allow: GET\r\n" : "Allow: POST\r\n", "text/plain",
					"method not allowed\n", 19);
		return;
	}
	if (!own_route(a, &c, head->path))
		sd_http_respond_text(x, 404, "no such endpoint; GET / lists them\n");
}

static void on_drained(struct sd_http_exchange *x)
{
	struct sd_admin_wait *wait = x->user;
	if (wait && wait->drained)
		wait->drained(wait);
}

static void on_gone(struct sd_http_exchange *x)
{
	struct sd_admin_wait *wait = x->user;
	if (wait)
		wait->gone(wait);
}

static const struct sd_http_handler admin_handler = {
    .request = on_request,
    .body = on_body,
    .end = on_end,
    .drained = on_drained,
    .gone = on_gone,
};

enum sd_err sd_admin_start(const struct sd_admin_spec *spec, struct sd_admin **out, struct sd_error *e)
{
	struct sd_http_server_conf conf = sd_http_server_defaults;
	struct sd_admin *a = calloc(1, sizeof(*a));
	if (!a)
		return sd_fail(e, SD_ENOMEM, "out of memory");
	a->spec = *spec;
	sd_list_init(&a->subscribers);
	conf.max_body = 1024 * 1024;
	conf.max_connections = 256;
	sd_http_server_init(&a->server, spec->control, &conf, &admin_handler, a);
	enum sd_err err = sd_addr_parse(spec->addr, "127.0.0.1", &a->addr, e);
	if (!err && a->addr.kind == SD_ADDR_NAME)
		err = sd_fail(e, SD_EINVAL, "expected an IP address, found \"%s\"", spec->addr);
	if (!err)
		err = sd_http_server_listen(&a->server, &a->addr, false, e);
	if (err) {
		free(a);
		return err;
	}
	*out = a;
	return SD_OK;
}

void sd_admin_free(struct sd_admin *a)
{
	if (!a)
		return;
	sd_http_server_stop(&a->server);
	free(a);
}

const struct sd_addr *sd_admin_addr(const struct sd_admin *a)
{
	return &a->addr;
}
