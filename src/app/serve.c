#include "serve.h"

#include <signal.h>
#include <string.h>

#include "run.h"

/* ---- signals ---- */

static void on_signal(void *arg, int signo)
{
	struct sd_stop_signals *s = arg;
	if (signo == SIGHUP) {
		s->reload(s->arg);
		return;
	}
	s->stop(s->arg, s->asked++ > 0);
}

bool sd_stop_signals_set(struct sd_stop_signals *s, struct sd_loop *control)
{
	static const int which[] = {SIGTERM, SIGINT, SIGHUP};
	for (int i = 0; i < 3; i++) {
		s->signals[i] = sd_loop_signal(control, which[i], on_signal, s);
		if (!s->signals[i])
			return false;
	}
	return true;
}

void sd_stop_signals_free(struct sd_stop_signals *s)
{
	for (int i = 0; i < 3; i++)
		sd_signal_free(s->signals[i]);
}

/* ---- the process ---- */

struct process {
	struct sd_loop *control;
	struct sd_events *events;
	struct sd_run *run;
	struct sd_stop_signals signals;
	struct sd_task stop; /* the service's own wish */
};

static void on_drained(struct sd_run *run, void *arg)
{
	struct process *p = arg;
	(void)run;
	sd_loop_stop(p->control);
}

static void on_stop(void *arg, bool again)
{
	struct process *p = arg;
	if (again)
		sd_loop_stop(p->control);
	else
		sd_run_drain(p->run, on_drained, p);
}

static void on_asked(struct sd_task *t)
{
	struct process *p = sd_container(t, struct process, stop);
	if (p->run)
		sd_run_drain(p->run, on_drained, p);
}

static void on_reload(void *arg)
{
	struct process *p = arg;
	sd_run_reload(p->run, NULL);
}

static enum sd_err make(struct process *p, struct sd_dispatch *d, const struct sd_applet *applet,
			const struct sd_conf *conf, struct sd_conf_loader *load, struct sd_error *e)
{
	p->control = sd_loop_new(d->world, e);
	if (!p->control)
		return e->code;
	p->events = sd_events_new(p->control, strcmp(sd_conf_string(conf, "log-format"), "json") == 0, d->colour);
	p->signals = (struct sd_stop_signals){.stop = on_stop, .reload = on_reload, .arg = p};
	if (!p->events || !sd_stop_signals_set(&p->signals, p->control))
		return sd_fail(e, SD_ENOMEM, "out of memory");
	struct sd_run_spec spec = {
	    .world = d->world,
	    .control = p->control,
	    .events = p->events,
	    .applet = applet,
	    .conf = conf,
	    .load = load,
	    .stop = &p->stop,
	};
	p->stop.fn = on_asked;
	return sd_run_start(&spec, &p->run, e);
}

int sd_serve(struct sd_dispatch *d, const struct sd_applet *applet, const struct sd_conf *conf,
	     struct sd_conf_loader *load)
{
	struct process p = {0};
	bool failed = false;
	struct sd_error e = {0};
	sd_world_raise_files(d->world);
	if (applet->service->process)
		return applet->service->process(d, applet, conf);
	enum sd_err err = make(&p, d, applet, conf, load, &e);
	if (err)
		fprintf(d->err, "sdlab %s: %s\n", applet->name, e.text);
	else
		sd_loop_run(p.control);
	if (p.run) {
		struct sd_log *log = p.run->log;
		failed = p.run->failed;
		sd_run_free(p.run);
		sd_event(log, SD_INFO, "stopped", NULL, "Stopped");
	}
	sd_stop_signals_free(&p.signals);
	if (p.control)
		sd_loop_flush(p.control);
	sd_events_free(p.events);
	sd_loop_free(p.control);
	return err || failed ? 1 : 0;
}
