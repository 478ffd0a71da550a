#include "cluster.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/rng.h"
#include "seeds.h"

/* ---- members ---- */

static enum sd_err make_conf(struct member *m, struct sd_error *e)
{
	char text[sizeof(m->options)], *save = NULL;
	const char *argv[64];
	int argc = 0;
	memcpy(text, m->options, sizeof(text));
	for (char *w = strtok_r(text, " ", &save); w && argc < 64; w = strtok_r(NULL, " ", &save))
		argv[argc++] = w;
	struct sd_conf_sources from = {.applet = m->applet->name, .argc = argc, .argv = argv};
	enum sd_err err = sd_conf_make(m->applet->options, sd_common_options, &from, &m->conf, NULL, NULL, e);
	return !err && m->applet->check ? m->applet->check(m->conf, e) : err;
}

static void member_start(struct cluster *c, struct member *m)
{
	struct sd_error e = {0};
	m->control = sd_loop_new(m->world, &e);
	ck_assert_ptr_nonnull(m->control);
	m->events = sd_events_new(m->control, false, false);
	if (!m->events)
		sd_fail(&e, SD_ENOMEM, "out of memory");
	else if (m->applet && make_conf(m, &e) == SD_OK) {
		struct sd_run_spec spec = {.world = m->world,
					   .control = m->control,
					   .events = m->events,
					   .applet = m->applet,
					   .conf = m->conf,
					   .name = sd_sim_name(m->world)};
		sd_run_start(&spec, &m->run, &e);
	}
	if (e.code)
		cluster_fail(c, "%s cannot start: %s", sd_sim_name(m->world), e.text);
	sd_loop_start(m->control, "control", NULL);
	if (m->started)
		m->started(m);
}

static void member_free(struct member *m)
{
	if (!m->control)
		return;
	if (m->ending)
		m->ending(m);
	sd_run_free(m->run);
	sd_loop_join(m->control);
	sd_loop_flush(m->control);
	sd_events_free(m->events);
	sd_loop_free(m->control);
	sd_conf_free(m->conf);
	m->run = NULL;
	m->control = NULL;
	m->conf = NULL;
}

static struct member *add(struct cluster *c, const char *name)
{
	ck_assert_uint_lt(c->n, MAX_MEMBERS);
	struct member *m = &c->members[c->n++];
	m->world = sd_sim_node(c->sim, name);
	ck_assert_ptr_nonnull(m->world);
	return m;
}

struct member *cluster_add(struct cluster *c, const char *name, const struct sd_applet *applet, const char *options)
{
	struct member *m = add(c, name);
	m->applet = applet;
	snprintf(m->options, sizeof(m->options), "%s", options);
	member_start(c, m);
	return m;
}

struct member *cluster_try(struct cluster *c, const char *name, const struct sd_applet *applet, const char *options)
{
	return cluster_add(c, name, applet, options);
}

struct member *cluster_add_client(struct cluster *c, const char *name, void (*started)(struct member *m),
				  void (*ending)(struct member *m), void *user)
{
	struct member *m = add(c, name);
	m->started = started;
	m->ending = ending;
	m->user = user;
	member_start(c, m);
	return m;
}

void cluster_crash(struct cluster *c, struct member *m, bool power)
{
	(void)c;
	if (power)
		sd_sim_power_cut(m->world);
	else
		sd_sim_kill(m->world);
	member_free(m);
}

void cluster_restart(struct cluster *c, struct member *m)
{
	if (m->control)
		return;
	sd_sim_boot(m->world);
	member_start(c, m);
}

void cluster_fail(struct cluster *c, const char *fmt, ...)
{
	va_list ap;
	if (c->failed[0])
		return;
	va_start(ap, fmt);
	vsnprintf(c->failed, sizeof(c->failed), fmt, ap);
	va_end(ap);
}

bool cluster_said(const struct member *m, size_t *from, const char *const *words)
{
	const char *text = sd_sim_output(m->world), *at = text + *from;
	for (; *words; words++) {
		at = strstr(at, *words);
		if (!at)
			return false;
		at += strlen(*words);
	}
	*from = (size_t)(at - text);
	return true;
}

/* ---- stepping ---- */

/* A program whose node lost power by an injected cut is freed as soon as its callback returned. */
static void bury(struct cluster *c)
{
	for (unsigned i = 0; i < c->n; i++)
		if (c->members[i].control && !sd_sim_is_up(c->members[i].world))
			member_free(&c->members[i]);
}

static bool step(struct cluster *c, int64_t until_ns)
{
	if (c->failed[0] || sd_sim_next_ns(c->sim) > until_ns)
		return false;
	sd_sim_step(c->sim);
	bury(c);
	if (c->scenario && c->scenario->always)
		c->scenario->always(c);
	return true;
}

void cluster_pass(struct cluster *c, int64_t ns)
{
	int64_t until = sd_sim_now_ns(c->sim) + ns;
	while (step(c, until))
		;
	if (!c->failed[0])
		sd_sim_run_to(c->sim, until);
}

bool cluster_step_until(struct cluster *c, bool (*condition)(struct cluster *c), int64_t limit_ns)
{
	int64_t until = sd_sim_now_ns(c->sim) + limit_ns;
	while (!condition(c))
		if (!step(c, until))
			return false;
	return !c->failed[0];
}

/* ---- faults ---- */

static const char *const fault_names[] = {
#define X(id, text) text,
    FAULT_LIST(X)
#undef X
};

static enum fault_kind pick_kind(struct sd_rng *rng, unsigned kinds)
{
	unsigned nth = sd_rng_below(rng, (uint32_t)__builtin_popcount(kinds)), kind = 0;
	for (;; kind++)
		if (kinds >> kind & 1 && nth-- == 0)
			return (enum fault_kind)kind;
}

static size_t make_plan(const struct fault_spec *spec, uint64_t seed, struct fault *out)
{
	struct sd_rng rng;
	size_t n = 0;
	if (!spec->kinds || !spec->nnodes)
		return 0;
	sd_rng_seed(&rng, seed * 1000003);
	size_t want = 1 + sd_rng_below(&rng, spec->most);
	for (; n < want && n < MAX_FAULTS; n++) {
		struct fault *f = &out[n];
		f->kind = pick_kind(&rng, spec->kinds);
		f->at_ns = spec->from_ns + (int64_t)(sd_rng_unit(&rng) * (double)(spec->to_ns - spec->from_ns));
		f->for_ns = 1 + (int64_t)(sd_rng_unit(&rng) * sd_rng_unit(&rng) * (double)spec->longest_ns);
		f->a = sd_rng_below(&rng, spec->nnodes);
		f->b = spec->nnodes > 1 ? (f->a + 1 + sd_rng_below(&rng, spec->nnodes - 1)) % spec->nnodes : f->a;
	}
	return n;
}

static void set_wires(struct member *a, struct member *b, const struct sd_sim_wire *like)
{
	*sd_sim_wire(a->world, b->world) = *sd_sim_wire(b->world, a->world) = *like;
}

static void begin_fault(struct cluster *c, const struct fault *f)
{
	struct member *a = &c->members[f->a], *b = &c->members[f->b];
	struct sd_sim_wire wire = *sd_sim_wire(a->world, b->world);
	sd_sim_note(c->sim, fault_names[f->kind], (int64_t)f->a);
	switch (f->kind) {
	case FAULT_POWER:
	case FAULT_KILL:
		cluster_crash(c, a, f->kind == FAULT_POWER);
		break;
	case FAULT_PAUSE:
		sd_sim_pause(a->world, true);
		break;
	case FAULT_SLOW:
		sd_sim_slow(a->world, SECOND / 20);
		break;
	case FAULT_PARTITION:
		sd_sim_partition(a->world, b->world, true);
		break;
	case FAULT_ONE_WAY:
		sd_sim_wire(a->world, b->world)->cut = true;
		break;
	case FAULT_LOSS:
		wire.loss_ppm = 200000;
		set_wires(a, b, &wire);
		break;
	case FAULT_DELAY:
		wire.latency_ns = SECOND / 2;
		set_wires(a, b, &wire);
		break;
	case FAULT_SYNC:
		sd_sim_fail(a->world, SD_SIM_SYNC, 1, 1, EIO);
		break;
	case FAULT_FULL:
		sd_sim_disk(a->world)->capacity = 1;
		break;
	case FAULT_KINDS:
		break;
	}
}

static void end_fault(struct cluster *c, const struct fault *f)
{
	struct member *a = &c->members[f->a], *b = &c->members[f->b];
	struct sd_sim_wire wire = *sd_sim_wire(a->world, b->world);
	switch (f->kind) {
	case FAULT_POWER:
	case FAULT_KILL:
		cluster_restart(c, a);
		break;
	case FAULT_PAUSE:
		sd_sim_pause(a->world, false);
		break;
	case FAULT_SLOW:
		sd_sim_slow(a->world, 0);
		break;
	case FAULT_PARTITION:
	case FAULT_ONE_WAY:
		sd_sim_partition(a->world, b->world, false);
		break;
	case FAULT_LOSS:
	case FAULT_DELAY:
		wire.loss_ppm = 0;
		wire.latency_ns = 100000;
		set_wires(a, b, &wire);
		break;
	case FAULT_SYNC:
		sd_sim_fail(a->world, SD_SIM_SYNC, 1, 0, 0);
		cluster_crash(c, a, false); /* what saw a sync fail must be started anew */
		cluster_restart(c, a);
		break;
	case FAULT_FULL:
		sd_sim_disk(a->world)->capacity = 0;
		break;
	case FAULT_KINDS:
		break;
	}
}

/* The next moment at which a fault begins or ends after `now`. */
static int64_t next_change(const struct fault *plan, size_t n, int64_t now)
{
	int64_t next = INT64_MAX;
	for (size_t i = 0; i < n; i++) {
		int64_t ends = plan[i].at_ns + plan[i].for_ns;
		if (plan[i].at_ns > now && plan[i].at_ns < next)
			next = plan[i].at_ns;
		if (ends > now && ends < next)
			next = ends;
	}
	return next;
}

static void play(struct cluster *c, const struct fault *plan, size_t n)
{
	for (int64_t now = 0, next; (next = next_change(plan, n, now)) != INT64_MAX && !c->failed[0]; now = next) {
		cluster_pass(c, next - sd_sim_now_ns(c->sim));
		for (size_t i = 0; i < n; i++)
			if (plan[i].at_ns + plan[i].for_ns == next)
				end_fault(c, &plan[i]);
		for (size_t i = 0; i < n; i++)
			if (plan[i].at_ns == next)
				begin_fault(c, &plan[i]);
	}
	sd_sim_heal_all(c->sim);
}

/* ---- one run ---- */

struct outcome {
	char failed[512];
	uint64_t digest, steps;
};

static bool run_plan(const struct scenario *s, uint64_t seed, const struct fault *plan, size_t n, struct outcome *out,
		     FILE *trace)
{
	struct cluster *c = calloc(1, sizeof(*c));
	ck_assert_ptr_nonnull(c);
	c->sim = sd_sim_new(seed);
	c->scenario = s;
	s->begin(c);
	play(c, plan, n);
	if (!c->failed[0] && s->finally)
		s->finally(c);
	if (trace)
		sd_sim_print_trace(c->sim, trace, 40);
	out->digest = sd_sim_digest(c->sim);
	out->steps = sd_sim_steps(c->sim);
	memcpy(out->failed, c->failed, sizeof(out->failed));
	for (unsigned i = 0; i < c->n; i++)
		member_free(&c->members[i]);
	if (s->end)
		s->end(c);
	sd_sim_free(c->sim);
	free(c);
	return !out->failed[0];
}

bool scenario_run(const struct scenario *s, uint64_t seed, char failed[512], uint64_t *digest, uint64_t *steps)
{
	struct fault plan[MAX_FAULTS];
	struct outcome out;
	bool ok = run_plan(s, seed, plan, make_plan(&s->faults, seed, plan), &out, NULL);
	if (failed)
		memcpy(failed, out.failed, sizeof(out.failed));
	if (digest)
		*digest = out.digest;
	if (steps)
		*steps = out.steps;
	return ok;
}

/* ---- shrinking ---- */

static bool still_fails(const struct scenario *s, uint64_t seed, const struct fault *plan, size_t n)
{
	struct outcome out;
	return !run_plan(s, seed, plan, n, &out, NULL);
}

/* Takes out pieces of a size as long as that is possible; the number that stays. */
static size_t take_out(const struct scenario *s, uint64_t seed, struct fault *plan, size_t n, size_t piece)
{
	struct fault without[MAX_FAULTS];
	for (size_t at = 0; at < n;) {
		size_t end = at + piece < n ? at + piece : n;
		memcpy(without, plan, at * sizeof(*plan));
		memcpy(without + at, plan + end, (n - end) * sizeof(*plan));
		if (still_fails(s, seed, without, n - (end - at))) {
			n -= end - at;
			memcpy(plan, without, n * sizeof(*plan));
		} else {
			at = end;
		}
	}
	return n;
}

static void shorten(const struct scenario *s, uint64_t seed, struct fault *plan, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		for (int tries = 0; tries < 8; tries++) {
			struct fault before = plan[i];
			plan[i].for_ns = plan[i].for_ns / 2 + 1;
			if (!still_fails(s, seed, plan, n)) {
				plan[i] = before;
				break;
			}
		}
	}
}

size_t scenario_shrink(const struct scenario *s, uint64_t seed, struct fault out[MAX_FAULTS])
{
	size_t n = make_plan(&s->faults, seed, out);
	for (size_t piece = n; piece > 0; piece /= 2)
		n = take_out(s, seed, out, n, piece);
	shorten(s, seed, out, n);
	return n;
}

/* ---- many runs ---- */

static void report(const struct scenario *s, uint64_t seed, const char *failed)
{
	struct fault plan[MAX_FAULTS];
	struct outcome out;
	size_t n = scenario_shrink(s, seed, plan);
	printf("scenario %s, seed %llu: %s\n\nThe last events, with the fewest faults that fail:\n", s->name,
	       (unsigned long long)seed, failed);
	run_plan(s, seed, plan, n, &out, stdout);
	printf("  => %s\n\n", out.failed);
	for (size_t i = 0; i < n; i++)
		printf("  fault %10.3f s  for %8.3f s  %s node %u (with %u)\n", (double)plan[i].at_ns / 1e9,
		       (double)plan[i].for_ns / 1e9, fault_names[plan[i].kind], plan[i].a, plan[i].b);
	printf("\nAgain: make sim ONLY=%s SEED=%llu\n", s->name, (unsigned long long)seed);
	fflush(stdout);
}

static double cpu_seconds(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void say_sum(const struct scenario *s, uint64_t from, uint64_t n, uint64_t steps, double cpu_s)
{
	printf("%s: %llu seeds from %llu, %llu events, %.2f s of processor, %.0f events/s\n", s->name, (unsigned long long)n,
	       (unsigned long long)from, (unsigned long long)steps, cpu_s, (double)steps / (cpu_s > 0 ? cpu_s : 1));
	fflush(stdout);
}

/* With a sanitizer, which looks for other faults, fewer; a control still has to find one that fails. */
static uint64_t usual_seeds(const struct scenario *s, uint64_t n)
{
#ifdef SD_SANITIZED
	return s->must_fail ? n : (n + 5) / 6;
#else
	(void)s;
	return n;
#endif
}

void scenario_check(const struct scenario *s, uint64_t default_seeds)
{
	uint64_t from = sim_number("SEED", 0), n = sim_number("SEEDS", usual_seeds(s, default_seeds)), failures = 0, steps, all_steps = 0;
	double begun = cpu_seconds();
	char failed[512];
	if (!sim_is_wanted(s->name))
		return;
	if (from)
		n = 1;
	else
		from = 1 + sim_number("SEED_FROM", 0);
	for (uint64_t seed = from; seed < from + n; seed++) {
		bool ok = scenario_run(s, seed, failed, NULL, &steps);
		all_steps += steps;
		if (ok)
			continue;
		failures++;
#ifdef SD_SANITIZED
		if (s->must_fail) /* one is enough */
			break;
#endif
		if (!s->must_fail) {
			report(s, seed, failed);
			ck_abort_msg("%s, seed %llu: %s", s->name, (unsigned long long)seed, failed);
		}
	}
	say_sum(s, from, n, all_steps, cpu_seconds() - begun);
	if (s->must_fail && !failures)
		ck_abort_msg("%s: none of %llu seeds failed, though it must", s->name, (unsigned long long)n);
}

int sim_main(Suite *suite)
{
	SRunner *r = srunner_create(suite);
	srunner_run_all(r, CK_NORMAL);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? 1 : 0;
}
