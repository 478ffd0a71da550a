/* lb_trial.c - a backend whose ejection is over gets a few requests first. The permits are those of one breaker (sdlab/breaker.h),
 * which is half-open from its beginning and which the workers share; where it goes is told to the control loop, once. */
#include <stdlib.h>

#include "lb.h"

struct lb_trial {
	uint32_t refs; /* atomic: its backend, snapshots, requests, a message */
	bool told;     /* atomic */
	bool passed;   /* with the message */
	struct sd_breaker *breaker;
	struct lb_backend *backend;
	struct sd_task task;
};

struct lb_trial *lb_trial_of(const struct lb_backend *b)
{
	if (b->trial)
		__atomic_add_fetch(&b->trial->refs, 1, __ATOMIC_RELAXED);
	return b->trial;
}

void lb_trial_release(struct lb_trial *t)
{
	if (!t || __atomic_sub_fetch(&t->refs, 1, __ATOMIC_ACQ_REL) > 0)
		return;
	sd_breaker_free(t->breaker);
	lb_backend_release(t->backend);
	free(t);
}

/* ---- the control loop ---- */

static void on_verdict(struct sd_task *task)
{
	struct lb_trial *t = sd_container(task, struct lb_trial, task);
	struct lb_backend *b = t->backend;
	if (b->trial == t && b->listed && !b->lb->stopping)
		lb_trial_ended(b, t->passed);
	lb_trial_release(t);
}

/* Any worker's thread. */
static void on_change(void *arg, enum sd_breaker_state from, enum sd_breaker_state to, int64_t now_ns)
{
	struct lb_trial *t = arg;
	(void)now_ns;
	if (from != SD_BREAKER_HALF_OPEN || __atomic_exchange_n(&t->told, true, __ATOMIC_ACQ_REL))
		return;
	t->passed = to == SD_BREAKER_CLOSED;
	__atomic_add_fetch(&t->refs, 1, __ATOMIC_RELAXED);
	sd_loop_post(t->backend->lb->run->spec.control, &t->task);
}

bool lb_trial_begin(struct lb_backend *b, uint32_t permits, uint32_t successes)
{
	struct lb_trial *t = calloc(1, sizeof(*t));
	struct sd_breaker_conf conf = sd_breaker_defaults;
	conf.permits = permits;
	conf.successes = successes;
	conf.hooks = (struct sd_breaker_hooks){.changed = on_change, .arg = t};
	lb_trial_drop(b);
	if (!t || sd_breaker_new(&conf, &t->breaker, NULL)) {
		free(t);
		return false;
	}
	t->refs = 1;
	t->task.fn = on_verdict;
	t->backend = b;
	__atomic_add_fetch(&b->refs, 1, __ATOMIC_RELAXED);
	sd_breaker_force(t->breaker, SD_BREAKER_HALF_OPEN, 0);
	b->trial = t;
	return true;
}

void lb_trial_drop(struct lb_backend *b)
{
	struct lb_trial *t = b->trial;
	b->trial = NULL;
	lb_trial_release(t);
}

void lb_trial_stats(const struct lb_backend *b, struct sd_breaker_stats *out)
{
	sd_breaker_stats(b->trial->breaker, sd_loop_now_ns(b->lb->run->spec.control), out);
}

/* ---- workers ---- */

bool lb_trial_take(struct lb_trial *t, int64_t now_ns, struct lb_hold *hold)
{
	if (sd_breaker_allow(t->breaker, now_ns, &hold->ticket, NULL))
		return false;
	__atomic_add_fetch(&t->refs, 1, __ATOMIC_RELAXED);
	hold->trial = t;
	return true;
}

void lb_trial_done(struct lb_hold *hold, const struct sd_breaker_outcome *how, int64_t now_ns)
{
	struct lb_trial *t = hold->trial;
	hold->trial = NULL;
	if (!t)
		return;
	sd_breaker_done(t->breaker, &hold->ticket, how, now_ns);
	lb_trial_release(t);
}
