/* load_curve.c - the same load at several sizes: how throughput and latency grow, and where it bends. */
#include "load_curve.h"

#include "core/units.h"

struct point {
	double x;          /* connections or asked rate */
	double rate, mean_s, inflight;
	int64_t p50, p99;
	uint64_t errors;
	bool limited;
};

static void take_point(struct point *pt, const struct load_result *r)
{
	const struct sd_hdr *h = load_latency(r);
	pt->rate = (double)r->answers * 1e9 / (double)r->elapsed_ns;
	pt->mean_s = sd_hdr_mean(r->service) / 1e9;
	pt->inflight = pt->rate * pt->mean_s;
	pt->p50 = sd_hdr_percentile(h, 50);
	pt->p99 = sd_hdr_percentile(h, 99);
	pt->errors = load_total_errors(r);
	pt->limited = r->limited != NULL;
}

static void print_bar(FILE *out, double share)
{
	int n = (int)(share * 24 + 0.5);
	for (int i = 0; i < 24; i++)
		fputs(i < n ? "#" : " ", out);
}

static void print_curve(FILE *out, const char *what, const struct point *pts, size_t n)
{
	double most = 1;
	for (size_t i = 0; i < n; i++)
		most = pts[i].rate > most ? pts[i].rate : most;
	fprintf(out, "%12s %12s %10s %10s %8s %9s\n", what, "answers/s", "p50 ms", "p99 ms", "errors", "in flight");
	for (size_t i = 0; i < n; i++) {
		const struct point *p = &pts[i];
		fprintf(out, "%12.0f %12.1f %10.3f %10.3f %8llu %9.1f |", p->x, p->rate, (double)p->p50 / 1e6,
			(double)p->p99 / 1e6, (unsigned long long)p->errors, p->inflight);
		print_bar(out, p->rate / most);
		fputs(p->limited ? "| generator-limited\n" : "|\n", out);
	}
	fputs("\nin flight: answers/s times mean service time, which by Little's law is the number of requests at the "
	      "server.\n",
	      out);
}

/* The last point from which on more connections bring at least half of their share in throughput. */
static size_t find_knee(const struct point *pts, size_t n)
{
	for (size_t i = 1; i < n; i++) {
		double more = pts[i].x / pts[i - 1].x, gain = pts[i].rate / pts[i - 1].rate;
		if (gain - 1 < (more - 1) / 2)
			return i - 1;
	}
	return n;
}

/* The first rate that was not met, or whose p99 is over five times that of the lowest. */
static size_t find_break(const struct point *pts, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (pts[i].rate < 0.95 * pts[i].x || pts[i].p99 > 5 * pts[0].p99)
			return i;
	return n;
}

static enum sd_err one_point(struct sd_verb_call *call, struct load_plan *plan, struct point *pt, bool *interrupted,
			     struct sd_error *e)
{
	struct load_result *r;
	enum sd_err err = load_run_shown(call, plan, &r, e);
	if (err)
		return err;
	take_point(pt, r);
	*interrupted = r->interrupted;
	load_result_free(r);
	return SD_OK;
}

static void default_length(const struct sd_conf *conf, struct load_plan *plan)
{
	if (!sd_conf_is_set(conf, "duration") && !sd_conf_is_set(conf, "requests"))
		plan->duration_ns = 3000000000;
}

int load_sweep(struct sd_verb_call *call)
{
	struct sd_error e = {0};
	struct load_plan plan;
	struct point pts[50] = {0};
	size_t n = sd_conf_count(call->conf, "steps"), done = 0;
	bool interrupted = false;
	sd_world_raise_files(call->world);
	if (load_plan_make(call->world, call->conf, call->args[0], &plan, &e))
		return load_fail(call, "sweep", &e);
	unsigned threads = plan.threads;
	default_length(call->conf, &plan);
	for (; done < n && done < 50 && !interrupted && !e.code; done++) {
		int64_t conns;
		if (sd_parse_int(sd_conf_list_item(call->conf, "steps", done), &conns) != SD_OK || conns < 1 || conns > 100000) {
			sd_fail(&e, SD_EUSAGE, "--steps: expected numbers of connections such as 1,10,50");
			break;
		}
		plan.conns = (unsigned)conns;
		plan.threads = threads < plan.conns ? threads : plan.conns;
		pts[done].x = (double)conns;
		if (one_point(call, &plan, &pts[done], &interrupted, &e))
			break;
	}
	load_plan_free(&plan);
	if (e.code)
		return load_fail(call, "sweep", &e);
	print_curve(call->out, "connections", pts, done);
	size_t knee = find_knee(pts, done);
	if (knee < done)
		fprintf(call->out, "knee (inflection point): %.0f connections; beyond it more of them wait, and hardly more is done\n",
			pts[knee].x);
	else
		fputs("no knee: throughput still grew with the last step\n", call->out);
	return interrupted ? 1 : 0;
}

int load_ramp(struct sd_verb_call *call)
{
	struct sd_error e = {0};
	struct load_plan plan;
	struct point pts[50] = {0};
	double from = sd_conf_number(call->conf, "from"), to = sd_conf_number(call->conf, "to");
	size_t n = (size_t)sd_conf_int(call->conf, "points"), done = 0;
	bool interrupted = false;
	sd_world_raise_files(call->world);
	if (from <= 0 || to <= from)
		sd_fail(&e, SD_EUSAGE, "expected --from above 0 and --to above it");
	if (e.code || load_plan_make(call->world, call->conf, call->args[0], &plan, &e))
		return load_fail(call, "ramp", &e);
	default_length(call->conf, &plan);
	for (; done < n && !interrupted && !e.code; done++) {
		plan.rate = from;
		for (size_t k = 0; k < done; k++)
			plan.rate *= load_root(to / from, n - 1);
		pts[done].x = plan.rate;
		if (one_point(call, &plan, &pts[done], &interrupted, &e))
			break;
	}
	load_plan_free(&plan);
	if (e.code)
		return load_fail(call, "ramp", &e);
	print_curve(call->out, "asked/s", pts, done);
	size_t at = find_break(pts, done);
	if (at < done)
		fprintf(call->out, "knee (inflection point): %.0f/s is the first rate that was not met or whose p99 grew fivefold\n",
			pts[at].x);
	else
		fputs("no knee: every rate was met\n", call->out);
	return interrupted ? 1 : 0;
}
