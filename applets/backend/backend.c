/* backend - an HTTP server to put behind other things.
 *
 * Three ways to do the work of a request (--work), for comparing them under load:
 *
 *	event      the connection waits for a timer; others are served meanwhile
 *	threaded   a helper thread blocks for it; as many at a time as --pool has threads
 *	single     the one thread there is blocks; everybody waits
 */
#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/run.h"
#include "core/rng.h"
#include "core/units.h"

#define MAX_BYTES (1ll << 30)
#define PIECE     16384

enum mode { MODE_SINGLE, MODE_THREADED, MODE_EVENT }; /* in the order of the choices */

static const struct sd_option options[] = {
    {"port", SD_OPT_PORT, "8081", "where to listen", .letter = 'p'},
    {"name", SD_OPT_STRING, "backend", "what it calls itself in answers"},
    {"delay", SD_OPT_DURATION, "0ms", "wait before each answer", .reload = true},
    {"jitter", SD_OPT_DURATION, "0ms", "up to this much more, at random", .reload = true},
    {"error-rate", SD_OPT_PERCENT, "0%", "share of requests answered with 500", .reload = true},
    {"mode", SD_OPT_ENUM, "event", "how --work is done", .choices = "single|threaded|event"},
    {"work", SD_OPT_DURATION, "0ms", "work a request costs, done as --mode says", .reload = true},
    {"pool", SD_OPT_INT, "64", "helper threads of --mode threaded", .min = 1, .max = 1024},
    {"seed", SD_OPT_INT, "0", "of jitter and errors; 0 takes chance from the system"},
    {0},
};

/* What a reload may change; workers read it whole. */
struct behaviour {
	int64_t delay_ns, jitter_ns, work_ns;
	double error_rate;
};

struct backend;

struct worker {
	struct backend *b;
	struct sd_http_server server;
	struct sd_worker *w;
	struct sd_rng rng;
	struct behaviour now;
	struct sd_link live; /* requests in progress: struct request.link */
	uint64_t served, errors;
	char home[320]; /* "Response from NAME\n" */
	size_t home_n;
};

struct backend {
	struct sd_run *run;
	const char *name;
	enum mode mode;
	struct sd_helpers *helpers;
	unsigned nworkers;
	struct worker **workers;
};

/* A request that is not answered at once. */
struct request {
	struct worker *w;
	struct sd_http_exchange *x; /* NULL: the client is gone */
	struct sd_link link;
	struct sd_timer timer;
	struct sd_work work;
	void (*answer)(struct request *r);
	int status;        /* /status/N */
	int64_t left;      /* /bytes: still to send */
	int64_t wait_ns;
	bool complete, waited, working, echo, endless;
	int ticks;         /* /sse */
	char *text;        /* /headers, or the collected body of /echo */
	size_t n;
	char type[128];
};

static void release(struct request *r)
{
	sd_list_del(&r->link);
	sd_loop_timer_cancel(r->w->w->loop, &r->timer);
	free(r->text);
	free(r);
}

/* ---- answers ---- */

static void answer_text(struct request *r)
{
	sd_http_respond(r->x, r->status, NULL, r->type, r->text, r->n);
	release(r);
}

static void answer_home(struct request *r)
{
	struct worker *w = r->w;
	sd_http_respond(r->x, 200, NULL, "text/plain; charset=utf-8", w->home, w->home_n);
	release(r);
}

static void answer_status(struct request *r)
{
	sd_http_respond_text(r->x, r->status, "%d %s from %s\n", r->status, sd_http_status_text(r->status),
			     r->w->b->name);
	release(r);
}

#define LINE "The quick brown fox jumps over the lazy dog; 64 bytes to a line\n"
#define X4(s)  s s s s
static const char filler[] = X4(X4(X4(X4(LINE))));
_Static_assert(sizeof(filler) - 1 == PIECE, "a piece is 256 lines of 64 bytes");

static void send_bytes(struct request *r)
{
	while (r->left > 0 && !sd_http_backlog(r->x)) {
		size_t n = r->left < PIECE ? (size_t)r->left : PIECE;
		sd_http_write(r->x, filler, n);
		r->left -= (int64_t)n;
	}
	if (r->left > 0)
		return; /* goes on when drained */
	sd_http_finish(r->x);
	release(r);
}

static void answer_bytes(struct request *r)
{
	sd_http_begin(r->x, 200, (struct sd_slice){0});
	sd_http_date(r->x);
	sd_http_field_text(r->x, "Content-Type", "application/octet-stream");
	sd_http_head_done(r->x, r->left);
	if (r->x->method == SD_HTTP_HEAD)
		r->left = 0;
	send_bytes(r);
}

static void sse_tick(struct sd_timer *t)
{
	struct request *r = sd_container(t, struct request, timer);
	char text[128];
	int n = snprintf(text, sizeof(text), "event: tick\ndata: {\"from\":\"%.60s\",\"n\":%d}\n\n", r->w->b->name, r->ticks++);
	if (!sd_http_backlog(r->x))
		sd_http_write(r->x, text, (size_t)n);
	sd_loop_timer_set(r->w->w->loop, &r->timer, sd_loop_now_ns(r->w->w->loop) + 1000000000);
}

static void answer_sse(struct request *r)
{
	sd_http_begin(r->x, 200, (struct sd_slice){0});
	sd_http_field_text(r->x, "Content-Type", "text/event-stream");
	sd_http_field_text(r->x, "Cache-Control", "no-store");
	sd_http_head_done(r->x, SD_HTTP_UNKNOWN);
	r->timer.fn = sse_tick;
	r->endless = true;
	sse_tick(&r->timer);
}

static void answer_echo(struct request *r)
{
	sd_http_respond(r->x, 200, NULL, r->type[0] ? r->type : "application/octet-stream", r->text, r->n);
	release(r);
}

/* ---- routes: what a path asks for ---- */

static bool ask_home(struct request *r, struct sd_slice rest, const struct sd_http_head *head)
{
	(void)head;
	r->answer = answer_home;
	return rest.n == 0;
}

static bool ask_health(struct request *r, struct sd_slice rest, const struct sd_http_head *head)
{
	(void)head;
	r->answer = answer_text;
	r->text = strdup("ok\n");
	r->n = 3;
	snprintf(r->type, sizeof(r->type), "text/plain; charset=utf-8");
	r->wait_ns = -1; /* health is answered at once, and never with an error */
	return rest.n == 0;
}

static bool json_answer(struct request *r, cJSON *o)
{
	r->answer = answer_text;
	r->text = cJSON_Print(o);
	cJSON_Delete(o);
	if (!r->text)
		return false;
	r->n = strlen(r->text);
	r->text[r->n++] = '\n';
	snprintf(r->type, sizeof(r->type), "application/json");
	return true;
}

static bool ask_json(struct request *r, struct sd_slice rest, const struct sd_http_head *head)
{
	(void)head;
	struct sd_world *world = sd_loop_world(r->w->w->loop);
	cJSON *o = cJSON_CreateObject();
	cJSON_AddStringToObject(o, "status", "ok");
	cJSON_AddStringToObject(o, "server", r->w->b->name);
	cJSON_AddNumberToObject(o, "timestamp", (double)sd_world_wall_ns(world) / 1e9);
	return json_answer(r, o) && rest.n == 0;
}

static bool ask_headers(struct request *r, struct sd_slice rest, const struct sd_http_head *head)
{
	char name[256], value[8192];
	cJSON *o = cJSON_CreateObject(), *fields = cJSON_AddObjectToObject(o, "headers");
	snprintf(value, sizeof(value), "%.*s", (int)head->method_text.n, head->method_text.p);
	cJSON_AddStringToObject(o, "method", value);
	snprintf(value, sizeof(value), "%.*s", (int)head->target.n, head->target.p);
	cJSON_AddStringToObject(o, "target", value);
	cJSON_AddStringToObject(o, "server", r->w->b->name);
	for (size_t i = 0; i < head->nfields; i++) {
		const struct sd_http_field *f = &head->fields[i];
		snprintf(name, sizeof(name), "%.*s", (int)f->name.n, f->name.p);
		snprintf(value, sizeof(value), "%.*s", (int)f->value.n, f->value.p);
		cJSON_AddStringToObject(fields, name, value);
	}
	return json_answer(r, o) && rest.n == 0;
}

static bool ask_delay(struct request *r, struct sd_slice rest, const struct sd_http_head *head)
{
	char text[32];
	(void)head;
	snprintf(text, sizeof(text), "%.*s", (int)rest.n, rest.p);
	r->answer = answer_home;
	return rest.n < sizeof(text) && sd_parse_duration(text, &r->wait_ns) == SD_OK && r->wait_ns >= 0 &&
	       r->wait_ns <= 3600ll * 1000000000;
}

static bool ask_status(struct request *r, struct sd_slice rest, const struct sd_http_head *head)
{
	(void)head;
	r->answer = answer_status;
	if (rest.n != 3 || rest.p[0] < '2' || rest.p[0] > '5')
		return false;
	r->status = 0;
	for (size_t i = 0; i < 3; i++) {
		if (rest.p[i] < '0' || rest.p[i] > '9')
			return false;
		r->status = r->status * 10 + (rest.p[i] - '0');
	}
	return true;
}

static bool ask_bytes(struct request *r, struct sd_slice rest, const struct sd_http_head *head)
{
	char text[32];
	(void)head;
	snprintf(text, sizeof(text), "%.*s", (int)rest.n, rest.p);
	r->answer = answer_bytes;
	return rest.n < sizeof(text) && sd_parse_size(text, &r->left) == SD_OK && r->left >= 0 && r->left <= MAX_BYTES;
}

static bool ask_sse(struct request *r, struct sd_slice rest, const struct sd_http_head *head)
{
	(void)head;
	r->answer = answer_sse;
	return rest.n == 0;
}

/* The body is sent back as it was; in one piece when the length is known beforehand, chunked otherwise. */
static bool ask_echo(struct request *r, struct sd_slice rest, const struct sd_http_head *head)
{
	const struct sd_http_field *type = sd_http_find(head, SD_HTTP_F_CONTENT_TYPE);
	if (type)
		snprintf(r->type, sizeof(r->type), "%.*s", (int)type->value.n, type->value.p);
	r->echo = true;
	r->left = head->framing == SD_HTTP_BODY_LENGTH ? (int64_t)head->content_length
		  : head->framing == SD_HTTP_BODY_NONE ? 0
						       : SD_HTTP_UNKNOWN;
	r->answer = answer_echo;
	return rest.n == 0;
}

static const struct {
	const char *path; /* ends in '/': the rest is an argument */
	bool (*ask)(struct request *r, struct sd_slice rest, const struct sd_http_head *head);
	const char *expected;
} routes[] = {
    {"/", ask_home, NULL},
    {"/health", ask_health, NULL},
    {"/json", ask_json, NULL},
    {"/headers", ask_headers, NULL},
    {"/echo", ask_echo, NULL},
    {"/sse", ask_sse, NULL},
    {"/delay/", ask_delay, "expected /delay/DURATION up to 1h, such as /delay/250ms\n"},
    {"/status/", ask_status, "expected /status/CODE from 200 to 599, such as /status/503\n"},
    {"/bytes/", ask_bytes, "expected /bytes/SIZE up to 1GiB, such as /bytes/64KiB\n"},
};

/* ---- the course of a request ---- */

static void maybe_answer(struct request *r)
{
	if (r->x && r->complete && r->waited)
		r->answer(r);
}

static void on_wait_over(struct sd_timer *t)
{
	struct request *r = sd_container(t, struct request, timer);
	r->waited = true;
	maybe_answer(r);
}

static void work_run(struct sd_work *work)
{
	struct request *r = sd_container(work, struct request, work);
	sd_world_sleep_ns(sd_loop_world(r->w->w->loop), r->wait_ns);
}

static void work_done(struct sd_work *work)
{
	struct request *r = sd_container(work, struct request, work);
	r->working = false;
	r->waited = true;
	if (!r->x)
		release(r); /* the client did not wait */
	else
		maybe_answer(r);
}

static void begin_wait(struct request *r)
{
	struct worker *w = r->w;
	struct sd_loop *l = w->w->loop;
	int64_t work = w->now.work_ns, idle = r->wait_ns + w->now.delay_ns;
	if (w->now.jitter_ns)
		idle += (int64_t)(sd_rng_unit(&w->rng) * (double)w->now.jitter_ns);
	if (work && w->b->mode == MODE_SINGLE)
		sd_world_sleep_ns(sd_loop_world(l), work);
	else if (work && w->b->mode == MODE_EVENT)
		idle += work;
	if (work && w->b->mode == MODE_THREADED) {
		r->wait_ns = idle + work;
		r->work = (struct sd_work){.run = work_run, .done = work_done};
		r->working = sd_helpers_submit(w->b->helpers, l, &r->work);
		r->waited = !r->working;
	} else if (idle > 0) {
		r->timer.fn = on_wait_over;
		sd_loop_timer_set(l, &r->timer, sd_loop_now_ns(l) + idle);
	} else {
		r->waited = true;
	}
}

/* Finds the route; true when it can be answered, else *error says what was expected. */
static bool find_route(struct request *r, const struct sd_http_head *head, const char **error)
{
	*error = "not found; try / /health /json /headers /echo /sse /delay/250ms /status/503 /bytes/64KiB\n";
	for (size_t i = 0; i < sizeof(routes) / sizeof(routes[0]); i++) {
		size_t n = strlen(routes[i].path);
		bool open_ended = n > 1 && routes[i].path[n - 1] == '/';
		if (head->path.n < n || memcmp(head->path.p, routes[i].path, n) != 0 || (!open_ended && head->path.n != n))
			continue;
		struct sd_slice rest = {head->path.p + n, head->path.n - n};
		if (routes[i].expected)
			*error = routes[i].expected;
		return routes[i].ask(r, rest, head);
	}
	return false;
}

/* The commonest request, and nothing to wait for: answered without remembering it. */
static bool answered_at_once(struct worker *w, struct sd_http_exchange *x, const struct sd_http_head *head)
{
	const struct behaviour *now = &w->now;
	if (head->path.n != 1 || head->path.p[0] != '/' || head->framing != SD_HTTP_BODY_NONE)
		return false;
	if (now->delay_ns || now->jitter_ns || now->work_ns || now->error_rate > 0)
		return false;
	sd_http_respond(x, 200, NULL, "text/plain; charset=utf-8", w->home, w->home_n);
	return true;
}

static void on_request(struct sd_http_exchange *x, const struct sd_http_head *head)
{
	struct worker *w = x->server->arg;
	const char *error;
	sd_count(&w->served, 1);
	if (answered_at_once(w, x, head))
		return;
	struct request *r = calloc(1, sizeof(*r));
	if (!r) {
		sd_http_refuse(x, 503, "out of memory");
		return;
	}
	r->w = w;
	r->x = x;
	r->status = 200;
	sd_list_init(&r->link);
	if (!find_route(r, head, &error)) {
		sd_http_respond_text(x, head->path.n > 1 && error[0] == 'e' ? 400 : 404, "%s", error);
		release(r);
		return;
	}
	x->user = r;
	sd_list_add(&w->live, &r->link);
	if (r->wait_ns < 0) {
		r->waited = true;
	} else {
		if (w->now.error_rate > 0 && sd_rng_unit(&w->rng) < w->now.error_rate) {
			sd_count(&w->errors, 1);
			r->echo = false;
			r->status = 500;
			r->answer = answer_status;
		}
		begin_wait(r);
	}
}

static void collect(struct request *r, const char *p, size_t n)
{
	char *more = realloc(r->text, r->n + n);
	if (!more)
		return;
	memcpy(more + r->n, p, n);
	r->text = more;
	r->n += n;
}

static void on_body(struct sd_http_exchange *x, const char *p, size_t n)
{
	struct request *r = x->user;
	if (!r || !r->echo)
		return;
	/* Streams when there is nothing to wait for. The answer begins with the first byte of the body and not before: a
	 * client that asked for 100 Continue sends nothing more once it sees a final status. */
	if (!x->out_begun && r->waited && r->n == 0) {
		sd_http_begin(x, 200, (struct sd_slice){0});
		sd_http_field_text(x, "Content-Type", r->type[0] ? r->type : "application/octet-stream");
		sd_http_head_done(x, r->left);
	}
	if (!x->out_begun) {
		if (r->n + n <= 16 * 1024 * 1024)
			collect(r, p, n);
		return;
	}
	sd_http_write(x, p, n);
	if (sd_http_backlog(x))
		sd_http_body_pause(x);
}

static void on_end(struct sd_http_exchange *x)
{
	struct request *r = x->user;
	if (!r)
		return;
	r->complete = true;
	if (r->echo && x->out_begun) {
		sd_http_finish(x);
		release(r);
		return;
	}
	maybe_answer(r);
}

static void on_drained(struct sd_http_exchange *x)
{
	struct request *r = x->user;
	if (r && r->echo)
		sd_http_body_resume(x);
	else if (r && !r->endless)
		send_bytes(r);
}

static void on_gone(struct sd_http_exchange *x)
{
	struct request *r = x->user;
	if (!r)
		return;
	r->x = NULL;
	if (!r->working)
		release(r);
}

static const struct sd_http_handler handler = {
    .request = on_request,
    .body = on_body,
    .end = on_end,
    .drained = on_drained,
    .gone = on_gone,
};

/* ---- the service ---- */

static struct behaviour behaviour_of(const struct sd_conf *conf)
{
	return (struct behaviour){
	    .delay_ns = sd_conf_int(conf, "delay"),
	    .jitter_ns = sd_conf_int(conf, "jitter"),
	    .work_ns = sd_conf_int(conf, "work"),
	    .error_rate = sd_conf_number(conf, "error-rate"),
	};
}

static enum sd_err create(struct sd_run *run, const struct sd_conf *conf, void **self, struct sd_error *e)
{
	struct backend *b = calloc(1, sizeof(*b));
	if (!b)
		return sd_fail(e, SD_ENOMEM, "out of memory");
	*self = b;
	b->run = run;
	/* in a stack it is called what the stack calls it */
	b->name = strdup(sd_conf_is_set(conf, "name") ? sd_conf_string(conf, "name") : run->name);
	b->mode = (enum mode)sd_conf_int(conf, "mode");
	b->nworkers = (unsigned)sd_conf_int(conf, "threads");
	b->workers = calloc(b->nworkers, sizeof(*b->workers));
	if (b->mode == MODE_THREADED)
		b->helpers = sd_helpers_new(run->spec.world, (unsigned)sd_conf_int(conf, "pool"));
	if (!b->name || !b->workers || (b->mode == MODE_THREADED && !b->helpers))
		return sd_fail(e, SD_ENOMEM, "out of memory");
	return SD_OK;
}

static enum sd_err start(void *self, struct sd_worker *sw, struct sd_error *e)
{
	struct backend *b = self;
	struct worker *w = calloc(1, sizeof(*w));
	struct sd_http_server_conf conf;
	uint64_t seed = (uint64_t)sd_conf_int(b->run->conf, "seed");
	if (!w)
		return sd_fail(e, SD_ENOMEM, "out of memory");
	b->workers[sw->index] = w;
	sw->state = w;
	w->b = b;
	w->w = sw;
	w->now = behaviour_of(b->run->conf);
	sd_list_init(&w->live);
	if (!seed)
		sd_world_random(b->run->spec.world, &seed, sizeof(seed));
	sd_rng_seed(&w->rng, seed + sw->index);
	w->home_n = (size_t)snprintf(w->home, sizeof(w->home), "Response from %.255s\n", b->name);
	sd_run_http_conf(b->run, &conf);
	sd_http_server_init(&w->server, sw->loop, &conf, &handler, w);
	return sd_run_listen_http(b->run, sw, &w->server, e);
}

static void started(void *self)
{
	struct backend *b = self;
	sd_run_say_listening(b->run);
}

/* New behaviour on its way to a worker. */
struct change {
	struct sd_task task;
	struct worker *w;
	struct behaviour next;
};

static void on_change(struct sd_task *t)
{
	struct change *c = sd_container(t, struct change, task);
	c->w->now = c->next;
	free(c);
}

static enum sd_err reload(void *self, const struct sd_conf *conf, struct sd_error *e)
{
	struct backend *b = self;
	for (unsigned i = 0; i < b->nworkers; i++) {
		struct change *c = calloc(1, sizeof(*c));
		if (!c)
			return sd_fail(e, SD_ENOMEM, "out of memory");
		c->task.fn = on_change;
		c->w = b->workers[i];
		c->next = behaviour_of(conf);
		sd_loop_post(b->workers[i]->w->loop, &c->task);
	}
	return SD_OK;
}

static void on_idle(struct sd_http_server *srv)
{
	struct worker *w = srv->arg;
	sd_worker_drained(w->w);
}

static void drain(void *self, struct sd_worker *sw)
{
	struct worker *w = sw->state;
	(void)self;
	/* A stream of events never ends by itself. */
	for (struct sd_link *k = w->live.next, *next; k != &w->live; k = next) {
		struct request *r = sd_container(k, struct request, link);
		next = k->next;
		if (r->x && r->endless) {
			sd_http_finish(r->x);
			release(r);
		}
	}
	sd_http_server_drain(&w->server, on_idle);
}

static void stop(void *self, struct sd_worker *sw)
{
	struct worker *w = sw->state;
	(void)self;
	sd_http_server_stop(&w->server);
}

static void destroy(void *self)
{
	struct backend *b = self;
	sd_helpers_free(b->helpers);
	for (unsigned i = 0; i < b->nworkers && b->workers; i++) {
		struct worker *w = b->workers[i];
		/* work that was dropped before it ran, or whose end was not heard */
		while (w && !sd_list_empty(&w->live))
			release(sd_container(w->live.next, struct request, link));
		free(w);
	}
	free(b->workers);
	free((char *)(uintptr_t)b->name);
	free(b);
}

static void metrics(void *self, struct sd_metrics *m)
{
	struct backend *b = self;
	const struct sd_http_server *servers[64];
	char label[160];
	uint64_t served = 0, errors = 0;
	for (unsigned i = 0; i < b->nworkers; i++) {
		servers[i] = &b->workers[i]->server;
		served += sd_count_read(&b->workers[i]->served);
		errors += sd_count_read(&b->workers[i]->errors);
	}
	sd_run_http_metrics(b->run, m, servers, b->nworkers);
	sd_run_label(b->run, label, sizeof(label));
	sd_metrics_family(m, "sdlab_backend_requests_total", "counter", "Requests answered");
	sd_metrics_add(m, (double)served, "%s", label);
	sd_metrics_family(m, "sdlab_backend_errors_total", "counter", "Answers made to fail by --error-rate");
	sd_metrics_add(m, (double)errors, "%s", label);
}

static const struct sd_service service = {
    .create = create,
    .start = start,
    .started = started,
    .reload = reload,
    .drain = drain,
    .stop = stop,
    .destroy = destroy,
    .metrics = metrics,
};

const struct sd_applet sd_applet_backend = {
    .name = "backend",
    .summary = "an HTTP server to put behind other things",
    .description =
	"Answers / with its name, and /health, /json, /headers, /echo, /sse, /delay/250ms, /status/503 and "
	"/bytes/64KiB with what they say. It can be slow, unreliable or single-threaded on purpose, so that what "
	"stands in front of it has something to cope with.",
    .examples = "sdlab backend --port 8081 --name Server-A\n"
		"sdlab backend --port 8082 --delay 20ms --jitter 30ms --error-rate 5%\n"
		"sdlab backend --mode single --work 10ms",
    .next = "curl http://127.0.0.1:8081/",
    .options = options,
    .service = &service,
};
