/* load_curve.c - the same load at several sizes: how throughput and latency grow, and where it bends. */
#include "load_curve.h"

#include <stdlib.h>
#include <string.h>

#include "core/units.h"

#define BAR 16

/* ---- what a person sees ---- */

static void put_bar(FILE *out, double share)
{
	int n = (int)(share * BAR + 0.5);
	fputc('|', out);
	for (int i = 0; i < BAR; i++)
		fputs(i < n ? "#" : n == 0 && i == 0 && share > 0 ? "." : " ", out);
}

static void print_curve(FILE *out, const struct load_curve *c)
{
	double rate = 1, p99 = 1;
	for (size_t i = 0; i < c->n; i++) {
		rate = c->points[i].rate > rate ? c->points[i].rate : rate;
		p99 = (double)c->points[i].p99_ns > p99 ? (double)c->points[i].p99_ns : p99;
	}
	fprintf(out, "%11s %11s %9s %9s %7s %9s %-*s %-*s\n", c->x_name, "answers/s", "p50 ms", "p99 ms", "errors",
		"in flight", BAR, " answers/s", BAR, "  p99");
	for (size_t i = 0; i < c->n; i++) {
		const struct load_point *p = &c->points[i];
		fprintf(out, "%11.0f %11.1f %9.3f %9.3f %7llu %9.1f ", p->x, p->rate, (double)p->p50_ns / 1e6,
			(double)p->p99_ns / 1e6, (unsigned long long)p->errors, p->in_flight);
		put_bar(out, p->rate / rate);
		put_bar(out, (double)p->p99_ns / p99);
		fputs(p->limited ? "| generator-limited\n" : "|\n", out);
	}
	if (c->interrupted)
		fputs("interrupted: partial result\n", out);
	fputs("\nin flight: answers/s times mean service time, which by Little's law is the number of requests at the "
	      "server.\n",
	      out);
}

/* ---- where it bends ---- */

/* The last point from which on more connections bring at least half of their share in throughput. */
static size_t find_knee(const struct load_point *pts, size_t n)
{
	for (size_t i = 1; i < n; i++) {
		double more = pts[i].x / pts[i - 1].x, gain = pts[i].rate / pts[i - 1].rate;
		if (gain - 1 < (more - 1) / 2)
			return i - 1;
	}
	return n;
}

/* What is due at the very end of the time that counts is answered after it, also by a server that is well: the share that can
 * be answered in it, by the time an answer takes at the lowest rate. */
static double answerable(const struct load_point *lowest, const struct load_point *pt)
{
	double share = pt->window_s > 0 ? 1 - lowest->mean_s / pt->window_s : 1;
	return share > 0 ? share : 0;
}

/* The first rate that was not met, or whose p99 is over five times that of the lowest. */
static size_t find_break(const struct load_point *pts, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (pts[i].rate < 0.95 * pts[i].x * answerable(&pts[0], &pts[i]) || pts[i].p99_ns > 5 * pts[0].p99_ns)
			return i;
	return n;
}

/* ---- the verbs: what they try, and how they tell ---- */

static void set_conns(struct load_plan *plan, double x)
{
	plan->conns = (unsigned)x;
}

static void set_rate(struct load_plan *plan, double x)
{
	plan->rate = x;
}

static enum sd_err read_arrivals(const struct sd_conf *conf, struct load_plan *plan, struct sd_error *e)
{
	(void)e;
	plan->poisson = sd_conf_int(conf, "arrivals") == 1;
	return SD_OK;
}

struct kind {
	const char *verb, *x_name;
	enum sd_err (*read)(const struct sd_conf *conf, struct load_plan *plan, struct sd_error *e); /* what it alone has */
	void (*set)(struct load_plan *plan, double x);
	size_t (*knee)(const struct load_point *pts, size_t n);
	const char *unit, *bends, *straight; /* what is said: the x of the knee with its unit, and what it means */
};

static const struct kind sweep = {
    "sweep", "connections", load_plan_pipeline, set_conns, find_knee,
    " connections", "; beyond it more of them wait, and hardly more is done\n",
    "no knee: throughput still grew with the last step\n",
};

static const struct kind ramp = {
    "ramp", "asked/s", read_arrivals, set_rate, find_break,
    "/s", " is the first rate that was not met or whose p99 grew fivefold\n",
    "no knee: every rate was met\n",
};

/* ---- running ---- */

static void take_point(struct load_point *pt, const struct load_result *r)
{
	const struct sd_hdr *h = load_latency(r);
	pt->rate = r->window.rate;
	pt->mean_s = sd_hdr_mean(r->service) / 1e9;
	pt->window_s = (double)r->window.ns / 1e9;
	pt->in_flight = pt->rate * pt->mean_s;
	pt->p50_ns = sd_hdr_percentile(h, 50);
	pt->p99_ns = sd_hdr_percentile(h, 99);
	pt->answers = r->answers;
	pt->errors = load_total_errors(r);
	pt->limited = r->limited != NULL;
}

static bool nothing_answered(const struct load_curve *c)
{
	for (size_t i = 0; i < c->n; i++)
		if (c->points[i].answers > 0)
			return false;
	return true;
}

/* Runs the plan at each x that the points have; c->n is how many were run. */
static enum sd_err run_points(struct sd_verb_call *call, const struct kind *k, struct load_plan *plan,
			      struct load_curve *c, struct sd_error *e)
{
	size_t n = c->n;
	unsigned threads = plan->threads;
	for (c->n = 0; c->n < n && !c->interrupted; c->n++) {
		struct load_result *r;
		k->set(plan, c->points[c->n].x);
		plan->threads = threads < plan->conns ? threads : plan->conns;
		if (load_run_shown(call, plan, &r, e))
			return e->code;
		take_point(&c->points[c->n], r);
		c->interrupted = r->interrupted;
		load_result_free(r);
	}
	c->knee = nothing_answered(c) ? c->n : k->knee(c->points, c->n);
	return SD_OK;
}

static enum sd_err write_curve(struct sd_verb_call *call, const char *option,
			       void (*fn)(FILE *out, const struct load_curve *c), const struct load_curve *c,
			       struct sd_error *e)
{
	const char *file = sd_conf_string(call->conf, option);
	char *text = NULL;
	size_t n = 0;
	if (!file)
		return SD_OK;
	FILE *out = open_memstream(&text, &n);
	if (out)
		fn(out, c);
	enum sd_err err = out && fclose(out) == 0 ? load_put_file(call, file, text, n, e)
						  : sd_fail(e, SD_ENOMEM, "out of memory");
	free(text);
	return err;
}

/* Of points without an answer, and of one alone, nobody can say where they bend. */
static void print_knee(FILE *out, const struct kind *k, const struct load_curve *c)
{
	if (nothing_answered(c))
		fputs("no knee: nothing was answered\n", out);
	else if (c->knee < c->n)
		fprintf(out, "knee (inflection point): %.0f%s%s", c->points[c->knee].x,
			c->points[c->knee].x == 1 && k == &sweep ? " connection" : k->unit, k->bends);
	else
		fputs(c->n > 1 ? k->straight : "no knee: it takes two points at least\n", out);
}

static bool is_stdout(const struct sd_conf *conf, const char *option)
{
	const char *file = sd_conf_string(conf, option);
	return file && strcmp(file, "-") == 0;
}

static enum sd_err tell(struct sd_verb_call *call, const struct kind *k, const struct load_curve *c, struct sd_error *e)
{
	if (!is_stdout(call->conf, "json") && !is_stdout(call->conf, "html")) {
		print_curve(call->out, c);
		print_knee(call->out, k, c);
		fflush(call->out);
	}
	if (write_curve(call, "json", load_export_curve, c, e))
		return e->code;
	return write_curve(call, "html", load_html_curve, c, e);
}

/* The points come with their x. */
static int run_curve(struct sd_verb_call *call, const struct kind *k, struct load_curve *c, unsigned most_conns)
{
	struct sd_error e = {0};
	struct load_plan plan;
	c->verb = k->verb;
	c->x_name = k->x_name;
	c->url = call->args[0];
	sd_world_raise_files(call->world);
	if (load_can_put(call, "json", &e) || load_can_put(call, "html", &e) ||
	    load_plan_make_sized(call->world, call->conf, c->url, most_conns, &plan, &e))
		return load_fail(call, k->verb, &e);
	if (!sd_conf_is_set(call->conf, "duration") && !sd_conf_is_set(call->conf, "requests"))
		plan.duration_ns = 3000000000;
	c->started_wall_ns = sd_world_wall_ns(call->world);
	if (!k->read(call->conf, &plan, &e) && !run_points(call, k, &plan, c, &e))
		tell(call, k, c, &e);
	load_plan_free(&plan);
	return e.code ? load_fail(call, k->verb, &e) : c->interrupted || nothing_answered(c) ? 1 : 0;
}

int load_sweep(struct sd_verb_call *call)
{
	struct sd_error e = {0};
	struct load_curve c = {.n = sd_conf_count(call->conf, "conns")};
	int64_t conns, most = 1;
	if (c.n == 0 || c.n > LOAD_MAX_POINTS)
		sd_fail(&e, SD_EUSAGE, "--conns: expected 1 to %d numbers, found %zu", LOAD_MAX_POINTS, c.n);
	for (size_t i = 0; i < c.n && !e.code; i++) {
		const char *text = sd_conf_list_item(call->conf, "conns", i);
		if (sd_parse_int(text, &conns) != SD_OK || conns < 1 || conns > 100000)
			sd_fail(&e, SD_EUSAGE, "--conns: expected numbers from 1 to 100000 such as 1,10,50, found \"%.60s\"",
				text);
		else
			c.points[i].x = (double)conns;
		if (!e.code && i && c.points[i].x <= c.points[i - 1].x)
			sd_fail(&e, SD_EUSAGE, "--conns: expected rising numbers such as 1,10,50, found %.0f after %.0f",
				c.points[i].x, c.points[i - 1].x);
		most = !e.code && conns > most ? conns : most;
	}
	return e.code ? load_fail(call, sweep.verb, &e) : run_curve(call, &sweep, &c, (unsigned)most);
}

int load_ramp(struct sd_verb_call *call)
{
	struct sd_error e = {0};
	struct load_curve c = {.n = (size_t)sd_conf_int(call->conf, "points")};
	double from = sd_conf_number(call->conf, "from"), to = sd_conf_number(call->conf, "to");
	if (from <= 0 || to <= from) {
		sd_fail(&e, SD_EUSAGE, "expected --from above 0 and --to above it");
		return load_fail(call, ramp.verb, &e);
	}
	for (size_t i = 0; i < c.n; i++)
		c.points[i].x = i ? c.points[i - 1].x * load_root(to / from, c.n - 1) : from;
	return run_curve(call, &ramp, &c, (unsigned)sd_conf_int(call->conf, "conns"));
}
