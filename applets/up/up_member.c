/* up_member.c - one instance: starting, stopping, dying. */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "up.h"

bool up_member_gone(const struct up_member *m)
{
	return m->state == UP_WAITING || m->state == UP_STOPPED;
}

void up_member_ready(struct up_member *m)
{
	if (m->state != UP_STARTING)
		return;
	m->state = UP_READY;
	m->since_ns = sd_loop_now_ns(m->up->control);
	up_start_next(m->up);
}

/* ---- in this process ---- */

/* The configuration again, for a reload: from the file as it is now. */
static enum sd_err load(struct sd_conf_loader *self, struct sd_conf **out, struct sd_error *e)
{
	struct up_member *m = sd_container(self, struct up_member, loader);
	struct sd_stack *fresh;
	enum sd_err err = up_load_stack(m->up->d->world, m->up->conf, &fresh, e);
	if (err)
		return err;
	err = sd_fail(e, SD_ENOTFOUND, "%s: no service called %s any more", fresh->file, m->inst->name);
	for (unsigned i = 0; i < fresh->ninstances; i++)
		if (strcmp(fresh->instances[i].name, m->inst->name) == 0)
			err = sd_stack_conf(fresh, &fresh->instances[i], out, e);
	sd_stack_free(fresh);
	return err;
}

static void on_came_up(struct sd_task *t)
{
	up_member_ready(sd_container(t, struct up_member, came_up));
}

static enum sd_err run_start(struct up_member *m, struct sd_error *e)
{
	struct up *up = m->up;
	char addr[SD_ADDR_TEXT];
	enum sd_err err = sd_stack_conf(up->stack, m->inst, &m->conf, e);
	if (err)
		return err;
	m->came_up.fn = on_came_up;
	m->loader.load = load;
	m->loader.file = up->stack->file;
	struct sd_run_spec spec = {
	    .world = up->d->world,
	    .control = up->control,
	    .events = up->events,
	    .applet = m->applet,
	    .conf = m->conf,
	    .load = &m->loader,
	    .name = m->inst->name,
	    .log = m->log,
	    .extra_addr = sd_stack_address(up->stack, m->inst->name, addr, sizeof(addr)),
	    .no_port = true,
	    .up = &m->came_up,
	};
	return sd_run_start(&spec, &m->run, e);
}

static void on_drained_task(struct sd_task *t)
{
	struct up_member *m = sd_container(t, struct up_member, drained);
	sd_run_free(m->run);
	m->run = NULL;
	m->state = UP_STOPPED;
	sd_event(m->log, SD_INFO, "stopped", NULL, "Stopped");
	up_stop_next(m->up);
}

static void on_drained(struct sd_run *run, void *arg)
{
	struct up_member *m = arg;
	(void)run;
	m->drained.fn = on_drained_task;
	sd_loop_defer(m->up->control, &m->drained);
}

/* ---- either way ---- */

static void on_rested(struct sd_timer *t)
{
	struct up_member *m = sd_container(t, struct up_member, timer);
	m->restarts++;
	up_member_start(m);
}

void up_member_start(struct up_member *m)
{
	struct up *up = m->up;
	struct sd_error e = {0};
	m->state = UP_STARTING;
	m->since_ns = sd_loop_now_ns(up->control);
	m->timer.fn = on_rested;
	enum sd_err err = up->stack->isolate ? up_child_start(m, &e) : run_start(m, &e);
	if (err) {
		m->state = UP_STOPPED;
		up_fail(up, m->inst->name, e.text);
	}
}

void up_member_stop(struct up_member *m, bool now)
{
	struct up *up = m->up;
	if (m->state == UP_RESTING) {
		sd_loop_timer_cancel(up->control, &m->timer);
		m->state = UP_STOPPED;
		return;
	}
	m->state = UP_STOPPING;
	if (m->process) {
		sd_process_signal(m->process, now ? SIGKILL : SIGTERM);
	} else if (now) {
		sd_run_free(m->run);
		m->run = NULL;
		m->state = UP_STOPPED;
	} else {
		sd_run_drain(m->run, on_drained, m);
	}
}
