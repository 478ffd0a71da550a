/* lb_control.c - what the control loop decides: who is in the pool, and what a reload changes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/units.h"
#include "lb.h"

/* ---- snapshots for the workers ---- */

struct delivery {
	struct sd_task task;
	struct lb_worker *w;
	struct lb_snapshot *s;
};

static void on_delivery(struct sd_task *t)
{
	struct delivery *d = sd_container(t, struct delivery, task);
	lb_worker_adopt(d->w, d->s);
	free(d);
}

static void deliver(struct lb *lb, struct lb_worker *w, struct lb_snapshot *s)
{
	struct delivery *d = calloc(1, sizeof(*d));
	if (!d) {
		sd_event(lb->run->log, SD_ERROR, "out_of_memory", NULL, "Out of memory: a change of backends is late");
		return;
	}
	__atomic_add_fetch(&s->refs, 1, __ATOMIC_RELAXED);
	*d = (struct delivery){.task = {.fn = on_delivery}, .w = w, .s = s};
	sd_loop_post(w->loop, &d->task);
}

static void install(struct lb *lb, struct lb_snapshot *s)
{
	for (unsigned i = 0; i < lb->nworkers; i++)
		if (lb->workers[i])
			deliver(lb, lb->workers[i], s);
	lb_snapshot_release(lb->now);
	lb->now = s;
}

void lb_publish(struct lb *lb)
{
	struct sd_error e;
	struct lb_snapshot *s = lb_snapshot_make(lb, lb->conf, &e);
	if (s)
		install(lb, s);
}

/* ---- health ---- */

static uint32_t permits_of(const struct lb *lb)
{
	return (uint32_t)sd_conf_int(lb->conf, "eject.permits");
}

static void say_change(struct lb_backend *b, enum sd_health_change change)
{
	struct lb *lb = b->lb;
	struct sd_log *log = lb->run->log;
	char text[SD_UNIT_TEXT];
	struct sd_field f[] = {{"backend", b->name, 0}, {"address", b->address, 0}, {0}};
	switch (change) {
	case SD_HEALTH_WENT_DOWN:
		sd_event(log, SD_WARN, "check_failed", f, "Backend %s failed health check (%u consecutive failures)",
			 b->label, b->rules.health.fall);
		sd_event(log, SD_WARN, "backend_removed", f, "Removed %s from pool", b->label);
		break;
	case SD_HEALTH_CAME_UP:
		sd_event(log, SD_INFO, "check_passed", f, "Backend %s passed health check (%u in a row)", b->label,
			 lb->rules.health.rise);
		sd_event(log, SD_INFO, "backend_added", f, "Added %s to pool", b->label);
		break;
	case SD_HEALTH_EJECTED:
		sd_event(log, SD_WARN, "backend_ejected", f, "Ejected %s for %s (%s)", b->label,
			 sd_format_duration(b->health.ejected_until_ns - b->health.ejected_ns, text), b->eject_why);
		break;
	case SD_HEALTH_RETURNED:
		if (b->trial)
			sd_event(log, SD_INFO, "backend_half_open", f, "Trying %s with %u at a time", b->label, permits_of(lb));
		else
			sd_event(log, SD_INFO, "backend_returned", f, "Returned %s to pool", b->label);
		break;
	default:
		break;
	}
}

void lb_health_changed(struct lb_backend *b, enum sd_health_change change)
{
	if (change == SD_HEALTH_SAME || !b->listed)
		return;
	if (change != SD_HEALTH_RETURNED)
		lb_trial_drop(b);
	else if (permits_of(b->lb))
		lb_trial_begin(b, permits_of(b->lb), (uint32_t)sd_conf_int(b->lb->conf, "eject.successes"));
	say_change(b, change);
	lb_publish(b->lb);
}

/* The timer stands at the earliest end of an ejection. */
static void set_tick(struct lb *lb)
{
	int64_t next = SD_NEVER;
	for (struct sd_link *k = lb->backends.next; k != &lb->backends; k = k->next) {
		struct lb_backend *b = sd_container(k, struct lb_backend, link);
		if (b->health.ejected_until_ns && b->health.ejected_until_ns < next)
			next = b->health.ejected_until_ns;
	}
	sd_loop_timer_set(lb->run->spec.control, &lb->tick, next);
}

void lb_tick(struct sd_timer *t)
{
	struct lb *lb = sd_container(t, struct lb, tick);
	int64_t now = sd_loop_now_ns(lb->run->spec.control);
	for (struct sd_link *k = lb->backends.next; k != &lb->backends; k = k->next) {
		struct lb_backend *b = sd_container(k, struct lb_backend, link);
		lb_health_changed(b, sd_health_tick(&b->health, now));
	}
	set_tick(lb);
}

/* May one more of the pool be left out? */
static bool may_eject(const struct lb *lb, const struct lb_backend *one)
{
	unsigned listed = 0, out = 0;
	for (struct sd_link *k = lb->backends.next; k != &lb->backends; k = k->next) {
		const struct lb_backend *b = sd_container(k, struct lb_backend, link);
		if (!b->listed || strcmp(b->pool, one->pool) != 0)
			continue;
		listed++;
		out += b != one && (b->health.ejected_until_ns != 0 || b->trial);
	}
	return (double)(out + 1) <= lb->max_ejected * (double)listed;
}

struct failures {
	struct sd_task task;
	struct lb_backend *b;
	char why[LB_EJECT_WHY];
	int64_t asked_ns;
};

static void eject(struct lb_backend *b, const char *why, int64_t asked_ns)
{
	struct lb *lb = b->lb;
	struct sd_rng chance;
	uint64_t seed = 0;
	sd_world_random(lb->run->spec.world, &seed, sizeof(seed));
	sd_rng_seed(&chance, seed);
	struct sd_health_eject how = {.at_least_ns = asked_ns, .chance = sd_rng_unit(&chance)};
	enum sd_health_change change = sd_health_eject(&b->health, &b->rules.health, &how, sd_loop_now_ns(lb->run->spec.control));
	if (change == SD_HEALTH_EJECTED) {
		b->ejected++;
		snprintf(b->eject_why, sizeof(b->eject_why), "%s", why);
	}
	lb_health_changed(b, change);
	set_tick(lb);
}

void lb_trial_ended(struct lb_backend *b, bool passed)
{
	if (!passed) {
		eject(b, "a trial request failed", 0);
		return;
	}
	b->health.returned_ns = sd_loop_now_ns(b->lb->run->spec.control);
	lb_trial_drop(b);
	say_change(b, SD_HEALTH_RETURNED);
	lb_publish(b->lb);
}

static void on_failures(struct sd_task *t)
{
	struct failures *m = sd_container(t, struct failures, task);
	struct lb_backend *b = m->b;
	struct lb *lb = b->lb;
	if (b->listed && !lb->stopping && may_eject(lb, b))
		eject(b, m->why, m->asked_ns);
	lb_backend_release(b);
	free(m);
}

void lb_tell_failed(struct lb_worker *w, struct lb_backend *b, const char *why, int64_t asked_ns)
{
	struct failures *m = calloc(1, sizeof(*m));
	if (!m)
		return;
	__atomic_add_fetch(&b->refs, 1, __ATOMIC_RELAXED);
	*m = (struct failures){.task = {.fn = on_failures}, .b = b, .asked_ns = asked_ns};
	snprintf(m->why, sizeof(m->why), "%s", why);
	sd_loop_post(w->lb->run->spec.control, &m->task);
}

/* ---- reload ---- */

void lb_forget_unlisted(struct lb *lb)
{
	for (struct sd_link *k = lb->backends.next, *next; k != &lb->backends; k = next) {
		struct lb_backend *b = sd_container(k, struct lb_backend, link);
		next = k->next;
		if (b->listed)
			continue;
		sd_event(lb->run->log, SD_INFO, "backend_unlisted", NULL, "Backend %s is no longer in the configuration",
			 b->label);
		lb_check_end(b);
		lb_trial_drop(b);
		sd_list_del(&b->link);
		lb_backend_release(b);
	}
}

static void say_overridden(struct lb *lb, const char *state)
{
	struct sd_field f[] = {{"state", state, 0}, {0}};
	if (state && *state)
		sd_event(lb->run->log, SD_WARN, "runtime_overridden", f, "The reload overrides what was set at run time: %s", state);
}

enum sd_err lb_reload(void *self, const struct sd_conf *conf, struct sd_error *e)
{
	struct lb *lb = self;
	struct lb_rules rules;
	struct lb_scope all = {conf, NULL};
	char *runtime = lb_runtime_state(lb);
	enum sd_err err = lb_rules_make(&all, lb->mode, &rules, e);
	if (!err)
		err = lb_log_open(lb, conf, e);
	if (!err)
		err = lb_affinity_key(lb, conf, e);
	if (!err)
		err = lb_backends_make(lb, conf, e);
	struct lb_routes *before = lb->routes, *after = NULL;
	if (!err)
		err = lb_routes_make(lb, conf, &after, e);
	lb->routes = after;
	if (!err)
		err = lb_limits_change(lb, conf, e);
	struct lb_snapshot *s = err ? NULL : lb_snapshot_make(lb, conf, e);
	lb_routes_release(s ? before : after);
	lb_limits_settle(lb, s != NULL);
	if (!s) {
		lb->routes = before;
		lb_log_cancel(lb);
		/* out of memory: back to the configuration in force. A configuration that was refused changed nothing. */
		if (!err)
			lb_backends_make(lb, lb->conf, NULL);
		free(runtime);
		return err ? err : SD_ENOMEM;
	}
	say_overridden(lb, runtime);
	free(runtime);
	lb->rules = rules;
	lb->max_ejected = sd_conf_number(conf, "eject.max");
	lb->conf = conf;
	lb_log_commit(lb);
	install(lb, s);
	lb_forget_unlisted(lb);
	for (struct sd_link *k = lb->backends.next; k != &lb->backends; k = k->next)
		lb_check_begin(sd_container(k, struct lb_backend, link));
	return SD_OK;
}
