#include "sh_worker.h"

#include <cjson/cJSON.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "../sh_parts.h"
#include "sh_consumer.h"

/* ---- the service ---- */

struct counting {
	struct sd_run *run;
	struct sh_consumer *consumer;
};

/* The options that mean something to a worker; those of the shortener itself would be heard by nobody. */
static const char *const its_own[] = {"role", "data-dir", "db", "events", "click-queue", NULL};

static bool is_its_own(const char *name)
{
	size_t i = 0;
	while (its_own[i] && strcmp(its_own[i], name) != 0)
		i++;
	return its_own[i];
}

enum sd_err sh_worker_check(const struct sd_conf *conf, struct sd_error *e)
{
	for (const struct sd_option *o = sh_options; o->type != SD_OPT_END; o++)
		if (!is_its_own(o->name) && sd_conf_is_set(conf, o->name))
			return sd_fail(e, SD_EUSAGE, "%s: means nothing to a worker, which serves nobody", sd_conf_at(conf, o->name));
	if (!sd_conf_has(conf, "events"))
		return sd_fail(e, SD_EUSAGE, "%s: a worker needs events: the queue that it takes clicks from", sd_conf_at(conf, "role"));
	return SD_OK;
}

static void on_fatal(void *arg, const struct sd_error *why)
{
	struct counting *c = arg;
	struct sd_field f[] = {{"why", why->text, 0}, {0}};
	sd_event(c->run->log, SD_ERROR, "database_down", f, "Database cannot be used: %s", why->text);
	sd_run_fail(c->run);
}

static enum sd_err create(struct sd_run *run, const struct sd_conf *conf, void **self, struct sd_error *e)
{
	struct counting *c = calloc(1, sizeof(*c));
	char path[SH_PATH_MAX];
	struct sh_consumer_conf spec = {.loop = run->spec.control, .log = run->log, .fatal = on_fatal, .arg = c};
	if (!c)
		return sd_fail(e, SD_ENOMEM, "out of memory");
	*self = c;
	c->run = run;
	spec.events = sd_conf_string(conf, "events");
	spec.queue = sd_conf_string(conf, "click-queue");
	enum sd_err err = sh_parts_store_conf(run->spec.world, conf, &spec.store, path, e);
	return err ? err : sh_consumer_open(&spec, &c->consumer, e);
}

/* It lives on the control loop; a thread of a worker has nothing to do. */
static enum sd_err start(void *self, struct sd_worker *w, struct sd_error *e)
{
	(void)self;
	(void)w;
	(void)e;
	return SD_OK;
}

static void started(void *self)
{
	struct counting *c = self;
	sd_run_say_ready(c->run, "Counts the clicks of the queue %s", sd_conf_string(c->run->conf, "click-queue"));
}

static void drain(void *self, struct sd_worker *w)
{
	(void)self;
	sd_worker_drained(w);
}

static void stop(void *self, struct sd_worker *w)
{
	(void)self;
	(void)w;
}

static void destroy(void *self)
{
	struct counting *c = self;
	sh_consumer_close(c->consumer);
	free(c);
}

static void metrics(void *self, struct sd_metrics *m)
{
	struct counting *c = self;
	char label[160];
	sh_consumer_metrics(c->consumer, m, sd_run_label(c->run, label, sizeof(label)));
}

static bool ready(void *self)
{
	const struct counting *c = self;
	const char *why;
	return sh_consumer_database(c->consumer, &why) && sh_consumer_queue(c->consumer, &why);
}

static void needs(void *self, struct cJSON *out)
{
	const struct counting *c = self;
	const char *why;
	bool up = sh_consumer_database(c->consumer, &why);
	sh_parts_add_need(out, "database", up, why);
	up = sh_consumer_queue(c->consumer, &why);
	sh_parts_add_need(out, "queue", up, why);
}

const struct sd_service sh_worker_service = {
    .create = create,
    .start = start,
    .started = started,
    .drain = drain,
    .stop = stop,
    .destroy = destroy,
    .metrics = metrics,
    .ready = ready,
    .needs = needs,
};

/* ---- the verb ---- */

const struct sd_option sh_worker_options[] = {
    {"db", SD_OPT_STRING, NULL, "database to add them up in, the one of the links", .meta = "URL", .secret = true, .required = true},
    {"events", SD_OPT_STRING, NULL, "queue to take clicks from: amqp://[USER:PASSWORD@]HOST[:PORT][/VHOST]", .meta = "URL", .secret = true,
     .required = true},
    {"click-queue", SD_OPT_STRING, "sdlab.clicks", "name of the queue", .meta = "NAME"},
    {0},
};

struct terminal {
	struct sd_verb_call *call;
	struct sd_loop *loop;
	struct sd_events *events;
	struct sh_consumer *consumer;
	bool failed;
};

static void on_failed(void *arg, const struct sd_error *why)
{
	struct terminal *t = arg;
	fprintf(t->call->err, "sdlab shortener worker: %s\n", why->text);
	t->failed = true;
	sd_loop_stop(t->loop);
}

static void on_signal(void *arg, int signo)
{
	struct terminal *t = arg;
	(void)signo;
	sd_loop_stop(t->loop);
}

static enum sd_err open_consumer(struct terminal *t, struct sd_error *e)
{
	const struct sd_conf *conf = t->call->conf;
	struct sh_consumer_conf spec = {.store = sh_store_defaults, .fatal = on_failed, .arg = t};
	t->loop = sd_loop_new(t->call->world, e);
	if (!t->loop)
		return e->code;
	t->events = sd_events_new(t->loop, false, false);
	spec.loop = t->loop;
	spec.log = t->events ? sd_log_new(t->events, "URL", "worker", NULL, 0) : NULL;
	if (!spec.log)
		return sd_fail(e, SD_ENOMEM, "out of memory");
	spec.store.sql.url = sd_conf_string(conf, "db");
	spec.events = sd_conf_string(conf, "events");
	spec.queue = sd_conf_string(conf, "click-queue");
	return sh_consumer_open(&spec, &t->consumer, e);
}

static void run(struct terminal *t)
{
	struct sd_signal *term = sd_loop_signal(t->loop, SIGTERM, on_signal, t), *interrupt = sd_loop_signal(t->loop, SIGINT, on_signal, t);
	sd_loop_run(t->loop);
	sd_signal_free(term);
	sd_signal_free(interrupt);
}

int sh_worker_verb(struct sd_verb_call *call)
{
	struct terminal t = {.call = call};
	struct sd_error e = {0};
	enum sd_err err = sh_parts_check(call->conf, &e);
	if (!err)
		err = open_consumer(&t, &e);
	if (err)
		fprintf(call->err, "sdlab shortener worker: %s\n", e.text);
	else
		run(&t);
	sh_consumer_close(t.consumer);
	if (t.loop)
		sd_loop_flush(t.loop);
	sd_events_free(t.events);
	sd_loop_free(t.loop);
	return err == SD_EUSAGE ? 2 : err || t.failed ? 1 : 0;
}
