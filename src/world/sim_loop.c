/* sim_loop.c - loops of the simulated world, the helper threads beside them, and name look-ups. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim_int.h"

#define WAKE_NS    2000 /* a message takes up to this long to another thread */
#define THREAD_NS  20000
#define RESOLVE_NS 300000

/* ---- may a callback run? ---- */

bool sim_alive(const struct sim_loop *l)
{
	return l->node->up && l->life == l->node->life;
}

bool sim_may_run(struct sim_loop *l, struct sd_timer *t)
{
	struct sd_sim *s = l->node->sim;
	if (!sim_alive(l) || !l->running || l->node->paused)
		return false;
	if (l->busy_until_ns > s->now_ns) {
		sim_set(s, t, l->busy_until_ns);
		return false;
	}
	return true;
}

void sim_enter(struct sim_loop *l)
{
	struct sd_sim *s = l->node->sim;
	s->current = l;
	s->slept_ns = s->computed_ns = 0;
	loop_enter(&l->loop);
}

static void wait_next(struct sim_loop *l);

void sim_leave(struct sim_loop *l)
{
	struct sd_sim *s = l->node->sim;
	loop_leave(&l->loop);
	l->loop.now_valid = false;
	s->current = NULL;
	l->busy_until_ns = s->now_ns + s->slept_ns + l->node->callback_ns;
	l->cpu_ns += s->computed_ns + l->node->callback_ns;
	s->slept_ns = s->computed_ns = 0;
	if (l->stopping)
		l->running = false;
	wait_next(l);
}

/* ---- the loop ---- */

/* Sets the loop's own timer to the next thing it has to do. */
static void wait_next(struct sim_loop *l)
{
	struct sim_node *n = l->node;
	int64_t due = sd_timers_next(&l->loop.timers), at = SD_NEVER;
	if (!l->running || !sim_alive(l))
		return;
	if (due != SD_NEVER)
		at = due - n->mono_base_ns + n->booted_ns; /* the node's time to the universe's */
	if (l->posted && at > n->sim->now_ns)
		at = n->sim->now_ns + 1 + (int64_t)sim_below(n->sim, WAKE_NS);
	if (at == SD_NEVER)
		sim_cancel(n->sim, &l->wake);
	else if (!l->wake.slot || at < l->wake.due_ns)
		sim_set(n->sim, &l->wake, at);
}

static void run_posted(struct sd_loop *loop)
{
	struct sim_loop *l = sim_loop(loop);
	struct sd_task *t = l->posted;
	l->posted = NULL;
	l->posted_tail = &l->posted;
	loop_run_list(t);
}

static void on_wake(struct sd_timer *t)
{
	struct sim_loop *l = sd_container(t, struct sim_loop, wake);
	if (!sim_may_run(l, t))
		return;
	sim_enter(l);
	run_posted(&l->loop);
	loop_run_timers(&l->loop);
	sim_leave(l);
}

static void arm(struct sd_loop *loop)
{
	struct sim_loop *l = sim_loop(loop);
	if (l->node->sim->current != l)
		wait_next(l); /* else when its callback returns */
}

static void post(struct sd_loop *loop, struct sd_task *t)
{
	struct sim_loop *l = sim_loop(loop);
	t->next = NULL;
	*l->posted_tail = t;
	l->posted_tail = &t->next;
	arm(loop);
}

void sim_loop_revive(struct sim_loop *l)
{
	wait_next(l);
	sim_net_revive(l);
	sim_datagrams_revive(l);
}

static enum sd_err start(struct sd_loop *loop, const char *name, struct sd_error *e)
{
	struct sim_loop *l = sim_loop(loop);
	(void)name;
	(void)e;
	l->running = !l->stopping;
	sim_loop_revive(l);
	return SD_OK;
}

static void stop(struct sd_loop *loop)
{
	struct sim_loop *l = sim_loop(loop);
	l->stopping = true;
	if (l->node->sim->current != l)
		l->running = false;
}

/* Its thread would still run what was posted before it sees that it is to stop. */
static void join(struct sd_loop *loop)
{
	struct sim_loop *l = sim_loop(loop);
	struct sim_loop *before = l->node->sim->current;
	while (l->posted && !l->stopping) {
		l->node->sim->current = l;
		sd_loop_flush(loop);
		l->node->sim->current = before;
	}
	l->running = false;
	sim_cancel(l->node->sim, &l->wake);
}

/* Drives the universe until somebody stops this loop. */
static void run(struct sd_loop *loop)
{
	struct sim_loop *l = sim_loop(loop);
	struct sd_sim *s = l->node->sim;
	struct sim_loop *before = s->current;
	int64_t slept = s->slept_ns, computed = s->computed_ns;
	s->current = NULL;
	loop_enter(loop);
	loop_leave(loop);
	start(loop, NULL, NULL);
	while (!l->stopping && sim_alive(l) && sd_sim_step(s))
		;
	l->running = l->stopping = false;
	s->current = before;
	s->slept_ns = slept;
	s->computed_ns = computed;
}

static bool is_mine(struct sd_loop *loop)
{
	struct sim_loop *l = sim_loop(loop), *current = l->node->sim->current;
	return !current || current == l;
}

static void forget_jobs(struct sd_helpers *helpers, const struct sd_loop *loop);

static void sim_loop_free(struct sd_loop *loop)
{
	struct sim_loop *l = sim_loop(loop);
	loop_leave(loop);
	if (l->node->resolver)
		forget_jobs(l->node->resolver, loop);
	sim_cancel(l->node->sim, &l->wake);
	sd_list_del(&l->link);
	if (l->node->sim->current == l)
		l->node->sim->current = NULL;
	loop_end(loop);
	free(l);
}

static const struct sd_loop_ops loop_ops = {
    .free = sim_loop_free,
    .run = run,
    .stop = stop,
    .start = start,
    .join = join,
    .is_mine = is_mine,
    .run_posted = run_posted,
    .post = post,
    .arm = arm,
    .connect = sim_connect,
    .listen = sim_listen,
    .datagrams = sim_datagrams,
};

struct sd_loop *sim_loop_new(struct sd_world *w, struct sd_error *e)
{
	struct sim_node *n = sim_node(w);
	struct sim_loop *l = calloc(1, sizeof(*l));
	if (!l || !loop_init(&l->loop, w, &loop_ops)) {
		free(l);
		sd_fail(e, SD_ENOMEM, "cannot make a loop: out of memory");
		return NULL;
	}
	l->node = n;
	l->life = n->life;
	l->posted_tail = &l->posted;
	l->wake.fn = on_wake;
	sd_list_init(&l->ios);
	sd_list_add(&n->loops, &l->link);
	return &l->loop;
}

/* ---- helper threads ---- */

struct sim_helpers {
	struct sd_helpers helpers;
	struct sim_node *node;
	uint32_t life;
	unsigned max, running;
	struct sim_job *first, **tail;
	struct sd_link jobs; /* that run */
};

/* One work; it runs in one moment, and its end is heard of some time later. */
struct sim_job {
	struct sd_timer timer;
	struct sd_link link;
	struct sim_helpers *helpers;
	struct sd_work *work;
	struct sim_job *next;
	bool ran;
};

static void begin_job(struct sim_helpers *h, struct sim_job *job)
{
	struct sd_sim *s = h->node->sim;
	h->running++;
	sd_list_add(&h->jobs, &job->link);
	sim_set(s, &job->timer, s->now_ns + 1 + (int64_t)sim_below(s, THREAD_NS));
}

static void end_job(struct sim_job *job)
{
	struct sim_helpers *h = job->helpers;
	sd_list_del(&job->link);
	free(job);
	h->running--;
	job = h->first;
	if (!job)
		return;
	h->first = job->next;
	if (!h->first)
		h->tail = &h->first;
	begin_job(h, job);
}

static void on_work_done(struct sd_task *t)
{
	struct sd_work *work = sd_container(t, struct sd_work, task);
	work->done(work);
}

static void run_job(struct sim_job *job)
{
	struct sd_sim *s = job->helpers->node->sim;
	job->ran = true;
	s->slept_ns = 0;
	job->work->run(job->work);
	sim_set(s, &job->timer, s->now_ns + 1 + s->slept_ns + (int64_t)sim_below(s, THREAD_NS));
	s->slept_ns = 0;
}

static void on_job(struct sd_timer *t)
{
	struct sim_job *job = sd_container(t, struct sim_job, timer);
	struct sim_helpers *h = job->helpers;
	if (!h->node->up || h->life != h->node->life)
		return; /* a ghost's: freed with the helpers */
	if (h->node->paused) {
		sim_set(h->node->sim, t, h->node->sim->now_ns + 1000000);
		return;
	}
	if (!job->ran) {
		run_job(job);
		return;
	}
	struct sd_work *work = job->work;
	end_job(job);
	sd_loop_post(work->loop, &work->task);
}

bool sim_submit(struct sd_helpers *helpers, struct sd_loop *l, struct sd_work *work)
{
	struct sim_helpers *h = sd_container(helpers, struct sim_helpers, helpers);
	struct sim_job *job = calloc(1, sizeof(*job));
	if (!job)
		return false;
	work->loop = l;
	work->task = (struct sd_task){.fn = on_work_done};
	job->helpers = h;
	job->work = work;
	job->timer.fn = on_job;
	sd_list_init(&job->link);
	if (h->running < h->max) {
		begin_job(h, job);
		return true;
	}
	*h->tail = job;
	h->tail = &job->next;
	return true;
}

struct sd_helpers *sim_helpers_new(struct sd_world *w, unsigned max_threads)
{
	struct sim_helpers *h = calloc(1, sizeof(*h));
	if (!h)
		return NULL;
	h->helpers.world = w;
	h->node = sim_node(w);
	h->life = h->node->life;
	h->max = max_threads;
	h->tail = &h->first;
	sd_list_init(&h->jobs);
	return &h->helpers;
}

static void drop(struct sd_work *work)
{
	if (work->dropped)
		work->dropped(work);
}

/* Waits for what runs, as the real one does: it is done before anything else happens. A ghost's does nothing more. */
void sim_helpers_free(struct sd_helpers *helpers)
{
	struct sim_helpers *h = sd_container(helpers, struct sim_helpers, helpers);
	bool alive = h->node->up && h->life == h->node->life;
	while (h->first) {
		struct sim_job *job = h->first;
		h->first = job->next;
		drop(job->work);
		free(job);
	}
	while (!sd_list_empty(&h->jobs)) {
		struct sim_job *job = sd_container(h->jobs.next, struct sim_job, link);
		sim_cancel(h->node->sim, &job->timer);
		if (alive && !job->ran)
			job->work->run(job->work);
		sd_list_del(&job->link);
		if (alive)
			sd_loop_post(job->work->loop, &job->work->task);
		else
			drop(job->work);
		free(job);
	}
	free(h);
}

/* The loop goes: what is done for it is not handed back. */
static void forget_jobs(struct sd_helpers *helpers, const struct sd_loop *loop)
{
	struct sim_helpers *h = sd_container(helpers, struct sim_helpers, helpers);
	struct sim_job **at = &h->first, *job;
	while ((job = *at)) {
		if (job->work->loop != loop) {
			at = &job->next;
			continue;
		}
		*at = job->next;
		drop(job->work);
		free(job);
	}
	h->tail = at;
	for (struct sd_link *k = h->jobs.next, *next; k != &h->jobs; k = next) {
		next = k->next;
		job = sd_container(k, struct sim_job, link);
		if (job->work->loop != loop)
			continue;
		sim_cancel(h->node->sim, &job->timer);
		drop(job->work);
		end_job(job);
	}
}

/* ---- name look-ups ---- */

static void resolve_run(struct sd_work *work)
{
	struct sd_resolve *r = sd_container(work, struct sd_resolve, work);
	struct sim_node *me = sim_node(r->work.loop->world);
	struct sd_sim *s = me->sim;
	r->nfound = 0;
	sd_world_sleep_ns(&me->world, RESOLVE_NS);
	if (strcmp(r->host, "localhost") == 0)
		r->found[r->nfound++] = (struct sd_addr){.kind = SD_ADDR_INET, .port = r->port, .ip = {127, 0, 0, 1}};
	for (unsigned i = 0; i < s->nnodes && !r->nfound; i++)
		if (strcmp(s->nodes[i]->name, r->host) == 0)
			r->found[r->nfound++] =
			    (struct sd_addr){.kind = SD_ADDR_INET, .port = r->port, .ip = {10, 0, 0, (uint8_t)(i + 1)}};
	if (!r->nfound)
		snprintf(r->err, sizeof(r->err), "cannot resolve %.60s: no such node", r->host);
}

static void resolve_done(struct sd_work *work)
{
	struct sd_resolve *r = sd_container(work, struct sd_resolve, work);
	r->done(r);
}

static void resolve_dropped(struct sd_work *work)
{
	struct sd_resolve *r = sd_container(work, struct sd_resolve, work);
	if (r->dropped)
		r->dropped(r);
}

bool sim_resolve(struct sd_loop *l, struct sd_resolve *r)
{
	struct sim_node *n = sim_loop(l)->node;
	r->work = (struct sd_work){.run = resolve_run, .done = resolve_done, .dropped = resolve_dropped};
	if (n->resolver && sd_container(n->resolver, struct sim_helpers, helpers)->life != n->life) {
		sd_helpers_free(n->resolver);
		n->resolver = NULL;
	}
	if (!n->resolver)
		n->resolver = sim_helpers_new(&n->world, 2);
	return n->resolver && sim_submit(n->resolver, l, &r->work);
}
