/* backend - an HTTP server to put behind other things. Its face and its life as a service; the rest is in backend.h.
 *
 * Three ways to do the work of a request (--work), for comparing them under load:
 *
 *	event      the connection waits for a timer; others are served meanwhile
 *	threaded   a helper thread blocks for it; as many at a time as --pool has threads
 *	single     the one thread there is blocks; everybody waits
 *
 * and two kinds of it (--work-kind): waiting, as for a disk or another server, and computing, which no timer can do: there
 * event is single.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend.h"

static const struct sd_option options[] = {
    {"port", SD_OPT_PORT, "8081", "where to listen", .letter = 'p'},
    {"name", SD_OPT_STRING, "backend", "what it calls itself in answers"},
    {"delay", SD_OPT_DURATION, "0ms", "wait before each answer", .reload = true},
    {"jitter", SD_OPT_DURATION, "0ms", "up to this much more, at random", .reload = true},
    {"error-rate", SD_OPT_PERCENT, "0%", "share of requests answered with 500", .reload = true},
    {"fail-from", SD_OPT_INT, "0", "number of the first request that is answered with 500, as each thread counts; 0: none", .min = 0,
     .max = INT64_MAX, .reload = true},
    {"fail-count", SD_OPT_INT, "5", "how many from there on", .min = 1, .max = UINT32_MAX, .reload = true},
    {"mode", SD_OPT_ENUM, "event", "how --work is done", .choices = "single|threaded|event"},
    {"work", SD_OPT_DURATION, "0ms", "work a request costs, done as --mode says", .reload = true},
    {"work-kind", SD_OPT_ENUM, "wait", "what the work is: waiting for something, or using the processor",
     .choices = "wait|compute", .reload = true},
    {"pool", SD_OPT_INT, "64", "helper threads of --mode threaded", .min = 1, .max = 1024},
    {"seed", SD_OPT_INT, "0", "of jitter and errors; 0 takes chance from the system"},
    {0},
};

/* What a reload may change; workers read it whole. */
static struct behaviour behaviour_of(const struct sd_conf *conf)
{
	return (struct behaviour){
	    .delay_ns = sd_conf_int(conf, "delay"),
	    .jitter_ns = sd_conf_int(conf, "jitter"),
	    .work_ns = sd_conf_int(conf, "work"),
	    .kind = (enum work_kind)sd_conf_int(conf, "work-kind"),
	    .error_rate = sd_conf_number(conf, "error-rate"),
	    .fail_from = (uint64_t)sd_conf_int(conf, "fail-from"),
	    .fail_count = (uint64_t)sd_conf_int(conf, "fail-count"),
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
	b->mode = (enum backend_mode)sd_conf_int(conf, "mode");
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
	sd_http_server_init(&w->server, sw->loop, &conf, &backend_handler, w);
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
			backend_release(r);
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
			backend_release(sd_container(w->live.next, struct request, link));
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
		"sdlab backend --mode single --work 10ms\n"
		"sdlab backend --mode threaded --work 10ms --work-kind compute",
    .next = "curl http://127.0.0.1:8081/",
    .options = options,
    .service = &service,
};
