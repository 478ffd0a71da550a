/* load_run.c - threads, the schedule, Ctrl-C, and the result put together.
 *
 * Each thread has its share of connections, of the rate and of the requests. When the time is over nothing new becomes due;
 * what is due already still leaves, and what is on its way is waited for, at most the timeout: a request that the end
 * cut off would otherwise be left out of the distribution just because it was slow. What is still open then counts as
 * timed out.
 */
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "load_int.h"

#define PROGRESS_NS 250000000
#define CPU_LIMIT   0.95
#define LATE_LIMIT  0.01 /* share of requests that may leave late before the generator is blamed */

struct load_job {
	struct sd_world *world;
	struct sd_loop *control;
	const struct load_plan *plan;
	const struct load_progress *progress;
	struct load_worker *workers;
	unsigned nworkers, running;
	struct sd_timer tick;
	struct sd_signal *signals[2];
	int64_t start_ns;
	bool interrupted;
	/* what the progress line shows */
	struct load_second *seconds;
	size_t nseconds;
	uint64_t answers_before, errors_before;
};

double load_root(double x, size_t n)
{
	return pow(x, 1.0 / (double)n);
}

/* ---- the schedule ---- */

static bool quota_used(const struct load_worker *w)
{
	return w->quota && w->begun >= w->quota;
}

static uint32_t pick_request(struct load_worker *w)
{
	const struct load_plan *p = w->plan;
	if (p->nrequests == 1)
		return 0;
	uint64_t at = sd_rng_next(&w->rng) % p->total_weight;
	uint32_t i = 0;
	while (at >= p->requests[i].weight)
		at -= p->requests[i++].weight;
	return i;
}

/* When the next request of this thread is due in an open loop; threads take turns. */
static int64_t next_due(const struct load_worker *w)
{
	const struct load_plan *p = w->plan;
	if (!p->schedule)
		return (int64_t)w->next_due;
	uint64_t i = w->index + w->begun * p->threads;
	return i < p->nschedule ? w->start_ns + p->schedule[i].offset_ns : SD_NEVER;
}

static uint32_t next_request(struct load_worker *w)
{
	const struct load_plan *p = w->plan;
	return p->schedule ? p->schedule[w->index + w->begun * p->threads].request : pick_request(w);
}

static void advance(struct load_worker *w)
{
	w->next_due += w->plan->poisson ? -log(1.0 - sd_rng_unit(&w->rng)) * w->gap_ns : w->gap_ns;
}

static void count_lag(struct load_worker *w, const struct load_conn *c, const struct load_slot *slot)
{
	int64_t could = slot->due_ns > c->idle_since_ns ? slot->due_ns : c->idle_since_ns;
	int64_t lag = slot->sent_ns - could;
	if (!load_counts(w, slot))
		return;
	sd_hdr_record(w->result->lag, lag > 0 ? lag : 0, 1);
	w->result->late += lag > LOAD_LATE_NS;
}

bool load_next(struct load_worker *w, const struct load_conn *c, struct load_slot *slot)
{
	int64_t now = sd_loop_now_ns(w->loop);
	if (w->done || quota_used(w))
		return false;
	*slot = (struct load_slot){.due_ns = now, .sent_ns = now};
	if (w->open) {
		slot->due_ns = next_due(w);
		if (w->end_ns && slot->due_ns >= w->end_ns)
			return false;
		if (slot->due_ns > now) {
			sd_loop_timer_set(w->loop, &w->due_timer, slot->due_ns);
			return false;
		}
		advance(w);
	} else if (w->ending) {
		return false;
	}
	slot->request = next_request(w);
	w->begun++;
	if (load_counts(w, slot)) {
		w->result->sent++;
		w->result->bytes_out += w->plan->requests[slot->request].n;
	}
	if (load_in_window(w, now))
		w->result->window.bytes_out += w->plan->requests[slot->request].n;
	if (w->open)
		count_lag(w, c, slot);
	return true;
}

bool load_counts(const struct load_worker *w, const struct load_slot *slot)
{
	return slot->due_ns >= w->count_from_ns;
}

bool load_in_window(const struct load_worker *w, int64_t now_ns)
{
	return now_ns >= w->count_from_ns && (!w->end_ns || now_ns < w->end_ns);
}

/* ---- results ---- */

static struct load_second *second_of(struct load_worker *w, int64_t now_ns)
{
	struct load_result *r = w->result;
	size_t i = now_ns <= w->count_from_ns ? 0 : (size_t)((now_ns - w->count_from_ns) / 1000000000);
	if (i >= w->room) {
		size_t room = i * 2 + 16;
		struct load_second *more = realloc(r->seconds, room * sizeof(*more));
		if (!more)
			return NULL;
		memset(more + w->room, 0, (room - w->room) * sizeof(*more));
		r->seconds = more;
		w->room = room;
	}
	if (i >= r->nseconds)
		r->nseconds = i + 1;
	return &r->seconds[i];
}

static void worker_done(struct load_worker *w)
{
	if (w->done)
		return;
	w->done = true;
	w->over_ns = sd_loop_now_ns(w->loop);
	w->cpu_ns = sd_world_thread_cpu_ns(w->world);
	sd_loop_stop(w->loop);
	sd_loop_post(w->job->control, &w->done_task);
}

static void maybe_done(struct load_worker *w)
{
	bool no_more = quota_used(w) || (w->ending && (!w->open || next_due(w) >= w->end_ns));
	if (no_more && w->ended == w->begun)
		worker_done(w);
}

static void count_answer(struct load_worker *w, const struct load_slot *slot, struct load_second *s, int status,
			 int64_t now_ns)
{
	struct load_result *r = w->result;
	int64_t response = now_ns - slot->due_ns;
	r->answers++;
	if (load_plan_http(w->plan))
		r->status[status < 600 ? status : 0]++;
	sd_hdr_record(r->service, now_ns - slot->sent_ns, 1);
	if (r->response)
		sd_hdr_record(r->response, response, 1);
	if (s && response > s->max_ns)
		s->max_ns = response;
	w->last_ns = now_ns;
}

void load_answered(struct load_worker *w, const struct load_slot *slot, int status, int64_t now_ns)
{
	struct load_result *r = w->result;
	if (w->done)
		return;
	w->ended++;
	sd_count(&w->answers, 1);
	r->window.answers += load_in_window(w, now_ns);
	struct load_second *s = now_ns >= w->count_from_ns ? second_of(w, now_ns) : NULL;
	if (s)
		s->answers++;
	if (load_counts(w, slot))
		count_answer(w, slot, s, status, now_ns);
	else
		r->warmup_answers++;
	if (w->ending || w->quota)
		maybe_done(w);
}

static bool out_of_patience(const struct load_worker *w, enum load_error why)
{
	enum load_patience p = w->plan->patience;
	return p == LOAD_STOPS_AT_ONE || (p == LOAD_NEEDS_ONE && why == LOAD_REFUSED && w->answers == 0);
}

/* A connection of an open loop that cannot be made fails the request that is due. Those that are not due yet may find the
 * server well again; and what is due as a whole stays what the schedule says. */
static bool take_due(struct load_worker *w, struct load_slot *slot, int64_t now_ns)
{
	if (quota_used(w) || next_due(w) > now_ns || (w->end_ns && next_due(w) >= w->end_ns))
		return false;
	*slot = (struct load_slot){.due_ns = next_due(w)};
	w->begun++;
	advance(w);
	return true;
}

void load_failed(struct load_worker *w, const struct load_slot *slot, enum load_error why, int64_t now_ns)
{
	struct load_slot due;
	if (w->done)
		return;
	if (!slot && w->open) {
		if (!take_due(w, &due, now_ns))
			return;
		slot = &due;
	}
	bool counts = slot ? load_counts(w, slot) : now_ns >= w->count_from_ns;
	sd_count(&w->errors, 1);
	if (slot)
		w->ended++;
	if (counts) {
		struct load_second *s = second_of(w, now_ns);
		w->result->errors[why]++;
		if (s)
			s->errors++;
		w->last_ns = now_ns;
	}
	/* With a number of requests, one that could not even connect is one of them: it ends. */
	if (!slot && w->quota && w->begun < w->quota) {
		w->begun++;
		w->ended++;
	}
	if (out_of_patience(w, why))
		worker_done(w);
	if (w->ending || w->quota)
		maybe_done(w);
}

/* ---- a thread ---- */

static void on_due(struct sd_timer *t)
{
	load_pump(sd_container(t, struct load_worker, due_timer));
}

/* Nobody waits longer: what is open counts as timed out. */
static void give_up(struct load_worker *w)
{
	int64_t now = sd_loop_now_ns(w->loop);
	for (unsigned i = 0; i < w->nconns; i++) {
		struct load_conn *c = &w->conns[i];
		for (; c->count > 0; c->count--, c->first = (c->first + 1) % w->plan->pipeline)
			if (!c->slots[c->first].settled)
				load_failed(w, &c->slots[c->first], LOAD_TIMEOUT, now);
		if (w->done)
			return;
	}
	/* and what was due and never could leave */
	while (w->gap_ns > 0 && w->next_due < (double)w->end_ns && !w->done) {
		struct load_slot slot = {.due_ns = (int64_t)w->next_due};
		w->begun++;
		advance(w);
		load_failed(w, &slot, LOAD_TIMEOUT, now);
	}
	worker_done(w);
}

static void on_end(struct sd_timer *t)
{
	struct load_worker *w = sd_container(t, struct load_worker, end_timer);
	if (w->ending) {
		give_up(w);
		return;
	}
	w->ending = true;
	sd_loop_timer_set(w->loop, &w->end_timer, sd_loop_now_ns(w->loop) + w->plan->timeout_ns);
	load_pump(w);
	maybe_done(w);
}

static void on_interrupt(struct sd_task *t)
{
	struct load_worker *w = sd_container(t, struct load_worker, interrupt);
	worker_done(w);
}

static struct load_result *result_new(const struct load_plan *p)
{
	struct load_result *r = calloc(1, sizeof(*r));
	if (!r)
		return NULL;
	r->service = sd_hdr_new(1000, LOAD_HIGHEST_NS, 3);
	r->first_byte = sd_hdr_new(1000, LOAD_HIGHEST_NS, 3);
	r->connect = sd_hdr_new(1000, LOAD_HIGHEST_NS, 3);
	if (load_plan_open(p)) {
		r->response = sd_hdr_new(1000, LOAD_HIGHEST_NS, 3);
		r->lag = sd_hdr_new(1000, LOAD_HIGHEST_NS, 3);
	}
	if (p->detail)
		r->detail = load_detail_new(p);
	if (p->tally)
		r->tally = calloc(1, sizeof(*r->tally));
	if (!load_plan_http(p))
		r->refusals = calloc(1, sizeof(*r->refusals));
	if (r->service && r->first_byte && r->connect && (!load_plan_open(p) || (r->response && r->lag)) &&
	    (!p->detail || r->detail) && (!p->tally || r->tally) && (load_plan_http(p) || r->refusals))
		return r;
	load_result_free(r);
	return NULL;
}

void load_result_free(struct load_result *r)
{
	if (!r)
		return;
	sd_hdr_free(r->service);
	sd_hdr_free(r->response);
	sd_hdr_free(r->first_byte);
	sd_hdr_free(r->connect);
	sd_hdr_free(r->lag);
	load_detail_free(r->detail);
	free(r->tally);
	free(r->refusals);
	free(r->seconds);
	free(r);
}

/* The i-th of n shares of a whole. */
static uint64_t share(uint64_t whole, unsigned i, unsigned n)
{
	return whole / n + (i < whole % n);
}

static void on_worker_done(struct sd_task *t)
{
	struct load_worker *w = sd_container(t, struct load_worker, done_task);
	if (--w->job->running == 0)
		sd_loop_stop(w->job->control);
}

static enum sd_err worker_make(struct load_job *job, unsigned i, uint64_t seed, struct sd_error *e)
{
	struct load_worker *w = &job->workers[i];
	const struct load_plan *p = job->plan;
	w->job = job;
	w->plan = p;
	w->world = job->world;
	w->loop = sd_loop_new(job->world, e);
	w->result = result_new(p);
	w->interrupt.fn = on_interrupt;
	w->done_task.fn = on_worker_done;
	w->due_timer.fn = on_due;
	w->end_timer.fn = on_end;
	sd_list_init(&w->idle);
	sd_rng_seed(&w->rng, seed + i);
	w->nconns = (unsigned)share(p->conns, i, p->threads);
	w->open = load_plan_open(p);
	w->index = i;
	w->quota = p->max_requests ? share(p->max_requests, i, p->threads) : 0;
	if (!w->loop || !w->result || load_conns_make(w))
		return sd_fail(e, SD_ENOMEM, "out of memory or descriptors");
	w->start_ns = job->start_ns;
	w->count_from_ns = job->start_ns + p->warmup_ns;
	if (p->rate > 0) {
		w->gap_ns = 1e9 / p->rate * p->threads;
		/* threads take turns */
		w->next_due = (double)job->start_ns + w->gap_ns * i / p->threads;
		if (p->poisson)
			advance(w);
	}
	if (p->duration_ns) {
		w->end_ns = w->count_from_ns + p->duration_ns;
		sd_loop_timer_set(w->loop, &w->end_timer, w->end_ns);
	}
	return SD_OK;
}

/* ---- the whole ---- */

static void add_up(struct load_result *to, const struct load_result *from)
{
	sd_hdr_merge(to->service, from->service);
	sd_hdr_merge(to->first_byte, from->first_byte);
	sd_hdr_merge(to->connect, from->connect);
	if (to->response) {
		sd_hdr_merge(to->response, from->response);
		sd_hdr_merge(to->lag, from->lag);
	}
	if (to->detail && load_detail_merge(to->detail, from->detail))
		to->detail->max_rows = to->detail->nrows; /* no more of them */
	if (to->tally)
		load_tally_merge(to->tally, from->tally);
	if (to->refusals)
		load_tally_merge(to->refusals, from->refusals);
	to->answers += from->answers;
	to->window.answers += from->window.answers;
	to->window.bytes_in += from->window.bytes_in;
	to->window.bytes_out += from->window.bytes_out;
	to->connects += from->connects;
	to->bytes_in += from->bytes_in;
	to->bytes_out += from->bytes_out;
	to->sent += from->sent;
	to->late += from->late;
	to->warmup_answers += from->warmup_answers;
	for (int i = 0; i < 600; i++)
		to->status[i] += from->status[i];
	for (int i = 0; i < LOAD_ERRORS; i++)
		to->errors[i] += from->errors[i];
	for (size_t i = 0; i < from->nseconds && i < to->nseconds; i++) {
		to->seconds[i].answers += from->seconds[i].answers;
		to->seconds[i].errors += from->seconds[i].errors;
		if (from->seconds[i].max_ns > to->seconds[i].max_ns)
			to->seconds[i].max_ns = from->seconds[i].max_ns;
	}
}

/* Was it the generator that could not do more? */
static const char *find_limit(const struct load_plan *p, const struct load_result *r)
{
	if (r->errors[LOAD_PORTS] > 0)
		return "local ports or descriptors ran out";
	if (load_plan_open(p) && (double)r->late > LATE_LIMIT * (double)r->sent)
		return "more than 1% of the requests left over 1 ms after they could";
	if (r->cpu >= CPU_LIMIT)
		return "a generator thread used all of its processor; try more --threads";
	return NULL;
}

static int64_t later(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

/* The window ends with the duration, if the run was not over before: by its number of requests, or by somebody. */
static void measure_time(const struct load_job *job, struct load_result *r)
{
	const struct load_plan *p = job->plan;
	int64_t from = job->start_ns + p->warmup_ns, over = from, last = from;
	for (unsigned i = 0; i < job->nworkers; i++) {
		over = later(over, job->workers[i].over_ns);
		last = later(last, job->workers[i].last_ns);
	}
	r->window.ns = over - from;
	if (p->duration_ns && r->window.ns > p->duration_ns)
		r->window.ns = p->duration_ns;
	r->elapsed_ns = later(last - from, r->window.ns);
	load_window_rates(&r->window);
}

static double a_second(uint64_t n, int64_t ns)
{
	return ns > 0 ? (double)n * 1e9 / (double)ns : 0;
}

void load_window_rates(struct load_window *w)
{
	w->rate = a_second(w->answers, w->ns);
	w->rate_in = a_second(w->bytes_in, w->ns);
	w->rate_out = a_second(w->bytes_out, w->ns);
}

static struct load_result *put_together(struct load_job *job)
{
	struct load_result *r = result_new(job->plan);
	if (!r)
		return NULL;
	for (unsigned i = 0; i < job->nworkers; i++)
		if (job->workers[i].result->nseconds > r->nseconds)
			r->nseconds = job->workers[i].result->nseconds;
	r->seconds = calloc(r->nseconds ? r->nseconds : 1, sizeof(*r->seconds));
	if (!r->seconds)
		r->nseconds = 0;
	int64_t now = sd_world_mono_ns(job->world);
	for (unsigned i = 0; i < job->nworkers; i++) {
		double cpu = (double)job->workers[i].cpu_ns / (double)(now - job->start_ns);
		add_up(r, job->workers[i].result);
		r->cpu = cpu > r->cpu ? cpu : r->cpu;
	}
	if (r->tally)
		load_tally_sort(r->tally);
	if (r->refusals)
		load_tally_sort(r->refusals);
	measure_time(job, r);
	r->interrupted = job->interrupted;
	r->started_wall_ns = sd_world_wall_ns(job->world) - later(now - job->start_ns - job->plan->warmup_ns, 0);
	r->limited = find_limit(job->plan, r);
	return r;
}

/* A second for the sparkline, made of what the threads have counted since the last one. */
static void on_tick(struct sd_timer *t)
{
	struct load_job *job = sd_container(t, struct load_job, tick);
	int64_t now = sd_loop_now_ns(job->control);
	uint64_t answers = 0, errors = 0;
	size_t second = (size_t)((now - job->start_ns) / 1000000000);
	for (unsigned i = 0; i < job->nworkers; i++) {
		answers += sd_count_read(&job->workers[i].answers);
		errors += sd_count_read(&job->workers[i].errors);
	}
	while (job->nseconds <= second) {
		struct load_second *more = realloc(job->seconds, (job->nseconds + 1) * sizeof(*more));
		if (!more)
			return;
		job->seconds = more;
		more[job->nseconds++] = (struct load_second){0};
	}
	job->seconds[second].answers += answers - job->answers_before;
	job->seconds[second].errors += errors - job->errors_before;
	job->answers_before = answers;
	job->errors_before = errors;
	job->progress->fn(job->progress->arg, job->plan, answers, errors, now - job->start_ns, job->seconds, job->nseconds);
	sd_loop_timer_set(job->control, &job->tick, now + PROGRESS_NS);
}

static void on_signal(void *arg, int signo)
{
	struct load_job *job = arg;
	(void)signo;
	if (job->interrupted)
		return;
	job->interrupted = true;
	for (unsigned i = 0; i < job->nworkers; i++)
		sd_loop_post(job->workers[i].loop, &job->workers[i].interrupt);
}

static enum sd_err start(struct load_job *job, struct sd_error *e)
{
	const struct load_plan *p = job->plan;
	uint64_t seed = p->seed;
	if (!seed)
		sd_world_random(job->world, &seed, sizeof(seed));
	job->control = sd_loop_new(job->world, e);
	job->workers = calloc(p->threads, sizeof(*job->workers));
	if (!job->control || !job->workers)
		return sd_fail(e, SD_ENOMEM, "out of memory or descriptors");
	job->signals[0] = sd_loop_signal(job->control, SIGINT, on_signal, job);
	job->signals[1] = sd_loop_signal(job->control, SIGTERM, on_signal, job);
	job->start_ns = sd_world_mono_ns(job->world);
	for (; job->nworkers < p->threads; job->nworkers++) {
		enum sd_err err = worker_make(job, job->nworkers, seed, e);
		if (err) {
			job->nworkers++;
			return err;
		}
	}
	for (unsigned i = 0; i < job->nworkers; i++) {
		enum sd_err err = sd_loop_start(job->workers[i].loop, "sdlab-load", e);
		if (err)
			return err;
		job->running++;
	}
	return SD_OK;
}

static void finish(struct load_job *job)
{
	for (unsigned i = 0; i < job->nworkers; i++) {
		struct load_worker *w = &job->workers[i];
		if (w->loop)
			sd_loop_join(w->loop);
		load_conns_free(w);
		if (w->loop)
			sd_loop_flush(w->loop);
		sd_loop_free(w->loop);
	}
}

static void job_free(struct load_job *job)
{
	for (unsigned i = 0; i < job->nworkers; i++)
		load_result_free(job->workers[i].result);
	sd_signal_free(job->signals[0]);
	sd_signal_free(job->signals[1]);
	free(job->workers);
	free(job->seconds);
	sd_loop_free(job->control);
}

enum sd_err load_run(struct sd_world *w, const struct load_plan *plan, const struct load_progress *progress,
		     struct load_result **out, struct sd_error *e)
{
	struct load_job job = {.world = w, .plan = plan, .progress = progress, .tick = {.fn = on_tick}};
	enum sd_err err = start(&job, e);
	if (!err) {
		if (progress && progress->fn)
			sd_loop_timer_set(job.control, &job.tick, job.start_ns + PROGRESS_NS);
		sd_loop_run(job.control);
	} else {
		on_signal(&job, 0);
	}
	finish(&job);
	*out = err ? NULL : put_together(&job);
	if (!err && !*out)
		err = sd_fail(e, SD_ENOMEM, "out of memory");
	job_free(&job);
	return err;
}
