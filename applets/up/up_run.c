/* up_run.c - the stack as a whole: start in order, stop in the reverse order, reload. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "up.h"

/* ---- reading the stack ---- */

static enum sd_err read_doc(struct sd_world *w, const char *file, struct sd_doc **out, struct sd_error *e)
{
	char *text;
	size_t n;
	enum sd_err err = sd_world_read_file(w, file, 1 << 20, &text, &n, e);
	if (err)
		return err;
	err = sd_doc_parse(file, text, n, out, e);
	free(text);
	return err;
}

static size_t list_of(const struct sd_conf *conf, const char *name, const char *out[SD_STACK_MAX])
{
	size_t n = sd_conf_count(conf, name);
	if (n > SD_STACK_MAX)
		n = SD_STACK_MAX;
	for (size_t i = 0; i < n; i++)
		out[i] = sd_conf_list_item(conf, name, i);
	return n;
}

enum sd_err up_load_stack(struct sd_world *w, const struct sd_conf *conf, struct sd_stack **out, struct sd_error *e)
{
	const char *scale[SD_STACK_MAX], *only[SD_STACK_MAX], *file = sd_conf_string(conf, "file");
	const char *dir = sd_conf_string(conf, "run-dir");
	struct sd_stack_spec spec = {.file = file, .scale = scale, .only = only};
	struct sd_doc *doc;
	spec.nscale = list_of(conf, "scale", scale);
	spec.nonly = list_of(conf, "only", only);
	enum sd_err err = read_doc(w, file, &doc, e);
	if (!err)
		err = sd_stack_make(doc, &spec, out, e);
	if (err)
		return err;
	if (dir)
		snprintf((*out)->address_format, sizeof((*out)->address_format), "unix:%.120s/%%s.sock", dir);
	return SD_OK;
}

/* ---- starting ---- */

static unsigned count_in(const struct up *up, enum up_state state)
{
	unsigned n = 0;
	for (unsigned i = 0; i < up->n; i++)
		n += up->members[i].state == state;
	return n;
}

static void all_ready(struct up *up)
{
	up->said_ready = true;
	if (up->child)
		return;
	struct sd_field f[] = {{"stack", up->stack->name, 0}, {"services", NULL, up->n}, {0}};
	sd_event(up->log, SD_INFO, "stack_ready", f, "%s is ready: %u service%s (sdlab up status shows them, Ctrl-C stops them)",
		 up->stack->name, up->n, up->n == 1 ? "" : "s");
}

void up_start_next(struct up *up)
{
	if (up->stopping)
		return;
	for (unsigned i = 0; i < up->n; i++) {
		struct up_member *m = &up->members[i];
		if (m->state == UP_STARTING)
			return; /* the next when this one is ready */
		if (m->state == UP_WAITING) {
			up_member_start(m); /* comes back here when it is ready */
			return;
		}
	}
	if (!up->said_ready && count_in(up, UP_READY) == up->n)
		all_ready(up);
}

void up_fail(struct up *up, const char *who, const char *text)
{
	fprintf(up->d->err, "sdlab up: %s: %s\n", who, text);
	up->status = 1;
	up_stop(up, false);
}

/* ---- stopping ---- */

void up_stop_next(struct up *up)
{
	for (unsigned i = up->n; i-- > 0;) {
		struct up_member *m = &up->members[i];
		if (m->state == UP_STOPPING)
			return; /* one after the other */
		if (!up_member_gone(m)) {
			up_member_stop(m, false);
			if (!up_member_gone(m))
				return;
		}
	}
	sd_loop_stop(up->control);
}

void up_stop(struct up *up, bool now)
{
	if (now) {
		for (unsigned i = 0; i < up->n; i++)
			if (!up_member_gone(&up->members[i]))
				up_member_stop(&up->members[i], true);
		up_stop_next(up);
		return;
	}
	if (up->stopping)
		return;
	up->stopping = true;
	up_stop_next(up);
}

/* ---- signals and reload ---- */

static void on_stop(void *arg, bool again)
{
	up_stop(arg, again);
}

void up_reload(struct up *up)
{
	for (unsigned i = 0; i < up->n; i++) {
		struct up_member *m = &up->members[i];
		if (m->run)
			sd_run_reload(m->run, NULL);
		else if (m->process)
			sd_process_signal(m->process, 1 /* SIGHUP */);
	}
}

static void on_reload(void *arg)
{
	up_reload(arg);
}

/* ---- the process ---- */

static void make_members(struct up *up)
{
	static const int colours[] = {36, 33, 32, 35, 34, 31};
	const struct sd_stack *s = up->stack;
	for (unsigned i = 0; i < s->ninstances; i++) {
		const struct sd_stack_instance *inst = &s->instances[i];
		bool wanted = up->child ? strcmp(inst->name, up->child) == 0 : inst->wanted;
		if (!wanted)
			continue;
		struct up_member *m = &up->members[up->n];
		m->up = up;
		m->inst = inst;
		m->applet = s->services[inst->service].applet;
		char tag[SD_STACK_NAME_MAX];
		const char *from = m->applet->tag ? m->applet->tag : m->applet->name;
		size_t k = 0;
		for (; k < sizeof(tag) - 1 && from[k]; k++)
			tag[k] = (char)(from[k] >= 'a' && from[k] <= 'z' ? from[k] - 32 : from[k]);
		tag[k] = '\0';
		m->log = sd_log_new(up->events, tag, inst->name, up->child ? NULL : inst->name, colours[up->n % 6]);
		up->n++;
	}
}

/* The stack's own socket, and the address somebody asked for. */
static enum sd_err open_admin(struct up *up, struct sd_error *e)
{
	const char *admin = sd_conf_string(up->conf, "admin");
	struct sd_admin_spec spec = {
	    .control = up->control,
	    .events = up->events,
	    .routes = up_routes,
	    .metrics = up_metrics,
	    .ready = up_ready,
	    .arg = up,
	};
	char base[64];
	up_dir(up->d->world, up->d->environ, base, sizeof(base));
	enum sd_err err = sd_world_private_dir(up->d->world, base, e);
	if (err)
		return err;
	snprintf(up->socket_addr, sizeof(up->socket_addr), "unix:%s/%s.sock", base, up->stack->name);
	spec.addr = up->socket_addr;
	err = sd_admin_start(&spec, &up->socket, e);
	if (err == SD_EINUSE)
		return sd_fail(e, err, "a stack called %s runs already (sdlab up status %s, sdlab up stop %s)",
			       up->stack->name, up->stack->name, up->stack->name);
	if (err || !admin)
		return err;
	spec.addr = admin;
	return sd_admin_start(&spec, &up->admin, e);
}

static enum sd_err isolate(struct up *up, struct sd_error *e)
{
	char base[64];
	up_dir(up->d->world, up->d->environ, base, sizeof(base));
	snprintf(up->dir, sizeof(up->dir), "%.50s/%.24s.d", base, up->stack->name);
	return sd_world_private_dir(up->d->world, up->dir, e);
}

static enum sd_err make(struct up *up, struct sd_error *e)
{
	struct sd_dispatch *d = up->d;
	bool json = strcmp(sd_conf_string(up->conf, "log-format"), "json") == 0;
	enum sd_err err = up_load_stack(d->world, up->conf, &up->stack, e);
	if (!err)
		err = sd_stack_check(up->stack, e);
	if (err)
		return err;
	up->stack->isolate |= sd_conf_bool(up->conf, "isolate");
	if (up->child)
		up->stack->isolate = false;
	up->control = sd_loop_new(d->world, e);
	if (!up->control)
		return e->code;
	up->events = sd_events_new(up->control, json || up->child, d->colour);
	up->signals = (struct sd_stop_signals){.stop = on_stop, .reload = on_reload, .arg = up};
	if (!up->events || !sd_stop_signals_set(&up->signals, up->control))
		return sd_fail(e, SD_ENOMEM, "out of memory");
	up->log = sd_log_new(up->events, "UP", up->stack->name, up->child ? NULL : "up", 37);
	make_members(up);
	if (up->n == 0)
		return sd_fail(e, SD_ENOTFOUND, "no instance called \"%s\"", up->child ? up->child : "");
	if (!up->child)
		err = open_admin(up, e);
	if (!err && up->stack->isolate)
		err = isolate(up, e);
	return err;
}

static void unmake(struct up *up)
{
	for (unsigned i = 0; i < up->n; i++) {
		struct up_member *m = &up->members[i];
		sd_run_free(m->run);
		sd_conf_free(m->conf);
	}
	sd_admin_free(up->socket);
	sd_admin_free(up->admin);
	sd_stop_signals_free(&up->signals);
	if (up->control)
		sd_loop_flush(up->control);
	sd_events_free(up->events);
	sd_loop_free(up->control);
	sd_stack_free(up->stack);
	free(up);
}

int up_process(struct sd_dispatch *d, const struct sd_applet *applet, const struct sd_conf *conf)
{
	struct sd_error e = {0};
	struct up *up = calloc(1, sizeof(*up));
	(void)applet;
	if (!up) {
		fputs("sdlab up: out of memory\n", d->err);
		return 1;
	}
	up->d = d;
	up->conf = conf;
	up->child = sd_conf_string(conf, "child");
	if (make(up, &e)) {
		fprintf(d->err, "sdlab up: %s\n", e.text);
		up->status = e.code == SD_EUSAGE ? 2 : 1;
	} else {
		up_start_next(up);
		sd_loop_run(up->control);
		if (!up->child)
			sd_event(up->log, SD_INFO, "stack_stopped", NULL, "%s is stopped", up->stack->name);
	}
	int status = up->status;
	unmake(up);
	return status;
}
