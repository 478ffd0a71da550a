/* load_html.c - the result of a run, or of a curve, as one page. Every text that came from outside goes through
 * load_page_text.
 */
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "load.h"
#include "load_curve.h"
#include "load_page.h"

#define MAX_POINTS 600 /* of a line over time: a long run has more seconds than a screen has dots */

/* ---- percentiles: each step to the right is ten times rarer ---- */

static void ticks_percentile(const struct load_plot *p)
{
	static const char *const labels[] = {"0%", "90%", "99%", "99.9%", "99.99%", "99.999%", "99.9999%", "99.99999%"};
	for (int i = 0; i <= p->x1 && i < (int)(sizeof(labels) / sizeof(labels[0])); i++)
		load_plot_tick_x(p, i, labels[i]);
}

static double log_ns(int64_t ns)
{
	return log10(ns < 1 ? 1.0 : (double)ns);
}

static double rarity(const struct load_plot *p, double percentile)
{
	double x = percentile >= 100 ? p->x1 : log10(100 / (100 - percentile));
	return x > p->x1 ? p->x1 : x;
}

static void put_curve(const struct load_plot *p, const struct sd_hdr *h, const char *class)
{
	struct sd_hdr_step step = {0};
	char command = 'M';
	fprintf(p->out, "<path class=\"line %s\" d=\"", class);
	while (sd_hdr_next(h, 10, &step)) {
		fprintf(p->out, "%c%.1f %.1f", command, load_plot_x(p, rarity(p, step.percentile)), load_plot_y(p, log_ns(step.value)));
		command = 'L';
	}
	fputs("\"/>\n", p->out);
}

static void put_percentiles(FILE *out, const struct load_result *r)
{
	const struct sd_hdr *seen = load_latency(r);
	struct load_plot p = {.out = out, .x1 = log10((double)sd_hdr_count(seen))};
	double low = log_ns(sd_hdr_min(r->service)), high = log_ns(sd_hdr_max(seen));
	p.x1 = p.x1 < 1 ? 1 : p.x1 > 7 ? 7 : p.x1;
	p.y0 = floor(low * 5) / 5;
	p.y1 = ceil(high * 5) / 5;
	p.y1 = p.y1 < p.y0 + 0.4 ? p.y0 + 0.4 : p.y1;
	fputs("<h2>Latency by percentile</h2>\n<p class=\"key\">", out);
	if (r->response)
		fputs("<span class=\"a\">response: from the moment it was due (corrected)</span> ", out);
	fputs("<span class=\"b\">service: from the moment it left (raw)</span></p>\n", out);
	load_plot_begin(&p, "latency by percentile");
	ticks_percentile(&p);
	load_plot_ticks_log_time(&p);
	put_curve(&p, r->service, "b");
	if (r->response)
		put_curve(&p, r->response, "a");
	load_plot_end(&p, "percentile, each mark ten times rarer");
}

/* ---- over time ---- */

/* Some seconds of the run as one point. */
struct point {
	double rate;
	int64_t max_ns;
};

static size_t points_of(const struct load_result *r, size_t whole, size_t group, struct point out[MAX_POINTS])
{
	size_t n = 0;
	for (size_t from = 0; from < whole && n < MAX_POINTS; from += group, n++) {
		size_t upto = from + group < whole ? from + group : whole;
		out[n] = (struct point){0, 0};
		for (size_t i = from; i < upto; i++) {
			out[n].rate += (double)r->seconds[i].answers / (double)(upto - from);
			if (r->seconds[i].max_ns > out[n].max_ns)
				out[n].max_ns = r->seconds[i].max_ns;
		}
	}
	return n;
}

static void put_series(FILE *out, const struct point *points, size_t n, size_t group, bool times)
{
	struct load_plot p = {.out = out, .x1 = (double)(n * group)};
	char command = 'M';
	p.y1 = 1;
	for (size_t i = 0; i < n; i++)
		p.y1 = fmax(p.y1, times ? (double)points[i].max_ns : points[i].rate);
	p.y1 *= 1.05;
	fprintf(out, "<h2>%s</h2>\n", times ? "Longest answer of each second" : "Answers a second");
	load_plot_begin(&p, times ? "longest answer over time" : "answers a second over time");
	load_plot_ticks(&p, true, load_plain_label);
	load_plot_ticks(&p, false, times ? load_time_label : load_plain_label);
	fputs("<path class=\"line a\" d=\"", out);
	for (size_t i = 0; i < n; i++, command = 'L')
		fprintf(out, "%c%.1f %.1f", command, load_plot_x(&p, ((double)i + 0.5) * (double)group),
			load_plot_y(&p, times ? (double)points[i].max_ns : points[i].rate));
	fputs("\"/>\n", out);
	load_plot_end(&p, "seconds");
}

static void put_over_time(FILE *out, const struct load_result *r)
{
	/* The second in which it ended is not a whole one. */
	size_t whole = (size_t)(r->window.ns / 1000000000);
	struct point points[MAX_POINTS];
	whole = whole < r->nseconds ? whole : r->nseconds;
	if (whole < 2)
		return;
	size_t group = (whole + MAX_POINTS - 1) / MAX_POINTS, n = points_of(r, whole, group, points);
	put_series(out, points, n, group, false);
	put_series(out, points, n, group, true);
}

/* ---- tables ---- */

static void put_fact(FILE *out, const char *name, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static void put_fact(FILE *out, const char *name, const char *fmt, ...)
{
	va_list ap;
	fprintf(out, "<tr><th>%s</th><td>", name);
	va_start(ap, fmt);
	vfprintf(out, fmt, ap);
	va_end(ap);
	fputs("</td></tr>\n", out);
}

static void put_replay(FILE *out, const struct load_plan *plan)
{
	put_fact(out, "loop", "open: %zu requests as recorded, at %gx", plan->nschedule, plan->speed);
	fputs("<tr><th>log</th><td>", out);
	load_page_text(out, plan->log);
	fputs("</td></tr>\n", out);
}

static void put_summary(FILE *out, const struct load_plan *plan, const struct load_result *r)
{
	uint64_t failed = load_total_errors(r);
	fputs("<table>\n", out);
	if (plan->schedule)
		put_replay(out, plan);
	else if (plan->rate > 0)
		put_fact(out, "loop", "open: %g/s due, %s gaps", plan->rate, plan->poisson ? "Poisson" : "constant");
	else
		put_fact(out, "loop", "closed");
	put_fact(out, "connections", "%u", plan->conns);
	put_fact(out, "answered", "%" PRIu64 " in %.2f s", r->answers, (double)r->elapsed_ns / 1e9);
	put_fact(out, "failed", "%" PRIu64, failed);
	put_fact(out, "rate", "%.1f/s", r->window.rate);
	put_fact(out, "bytes", "%.3g MB/s in, %.3g MB/s out", r->window.rate_in / 1e6,
		 r->window.rate_out / 1e6);
	if (plan->warmup_ns > 0)
		put_fact(out, "warm-up", "%g s and %" PRIu64 " answers, not counted", (double)plan->warmup_ns / 1e9,
			 r->warmup_answers);
	put_fact(out, "generator", "%.0f%% of a core in its busiest thread, %" PRIu64 " requests left late", r->cpu * 100,
		 r->late);
	fputs("</table>\n", out);
}

static void put_cell(FILE *out, const struct sd_hdr *h, double ns)
{
	char text[LOAD_LABEL];
	fprintf(out, "<td>%s</td>", !h || sd_hdr_count(h) == 0 ? "&ndash;" : load_time_label(ns, text));
}

static void put_latencies(FILE *out, const struct load_result *r)
{
	static const double percentiles[] = {50, 90, 95, 99, 99.9, 99.99, 100};
	const struct sd_hdr *const all[] = {r->response, r->service, r->first_byte, r->connect};
	static const char *const names[] = {"response", "service", "first byte", "connect"};
	size_t first = r->response ? 0 : 1;
	fputs("<table>\n<tr><th></th>", out);
	for (size_t c = first; c < 4; c++)
		fprintf(out, "<th>%s</th>", names[c]);
	fputs("</tr>\n<tr><th>mean</th>", out);
	for (size_t c = first; c < 4; c++)
		put_cell(out, all[c], all[c] ? sd_hdr_mean(all[c]) : 0);
	for (size_t i = 0; i < sizeof(percentiles) / sizeof(percentiles[0]); i++) {
		fprintf(out, percentiles[i] < 100 ? "</tr>\n<tr><th>p%g</th>" : "</tr>\n<tr><th>max</th>", percentiles[i]);
		for (size_t c = first; c < 4; c++)
			put_cell(out, all[c], all[c] ? (double)sd_hdr_percentile(all[c], percentiles[i]) : 0);
	}
	fputs("</tr>\n</table>\n", out);
}

static void put_outcomes(FILE *out, const struct load_result *r)
{
	uint64_t failed = load_total_errors(r), all = r->answers + failed;
	fputs("<h2>Statuses and errors</h2>\n<table>\n<tr><th></th><th>requests</th><th>share</th></tr>\n", out);
	for (int s = 0; s < 600; s++)
		if (r->status[s])
			fprintf(out, "<tr><th>%03d</th><td>%" PRIu64 "</td><td>%.2f%%</td></tr>\n", s, r->status[s],
				100.0 * (double)r->status[s] / (double)all);
	for (int i = 0; i < LOAD_ERRORS; i++)
		if (r->errors[i])
			fprintf(out, "<tr class=\"bad\"><th>%s</th><td>%" PRIu64 "</td><td>%.2f%%</td></tr>\n",
				load_error_texts[i], r->errors[i], 100.0 * (double)r->errors[i] / (double)all);
	fputs("</table>\n", out);
}

static void put_tally(FILE *out, const struct load_result *r)
{
	const struct load_tally *t = r->tally;
	fputs("<h2>Answers</h2>\n<table>\n<tr><th>first line</th><th>answers</th></tr>\n", out);
	for (size_t i = 0; i < t->n; i++) {
		fputs("<tr><th>", out);
		load_page_text(out, *t->rows[i].text ? t->rows[i].text : "(empty)");
		fprintf(out, "</th><td>%" PRIu64 "</td></tr>\n", t->rows[i].count);
	}
	if (t->other)
		fprintf(out, "<tr><th>(other)</th><td>%" PRIu64 "</td></tr>\n", t->other);
	fputs("</table>\n", out);
}

/* ---- the page of a run ---- */

static void put_top(FILE *out, const struct load_plan *plan, const struct load_result *r)
{
	load_page_begin(out, "load", plan->url, r->started_wall_ns);
	if (r->limited) {
		fputs("<p class=\"mark\">generator-limited: ", out);
		load_page_text(out, r->limited);
		fputs("</p>\n", out);
	}
	if (r->interrupted)
		fprintf(out, "<p class=\"mark\">interrupted: %s</p>\n", load_interrupted(r));
}

void load_export_html(FILE *out, const struct load_plan *plan, const struct load_result *r)
{
	put_top(out, plan, r);
	put_summary(out, plan, r);
	if (!r->response)
		fputs("<p>Closed loop: each connection waits for its answer before it asks again. Latency at "
		      "saturation is not what users see; for that, ask for a rate.</p>\n",
		      out);
	if (sd_hdr_count(r->service) > 0) {
		put_percentiles(out, r);
		put_latencies(out, r);
	}
	put_over_time(out, r);
	put_outcomes(out, r);
	if (r->tally)
		put_tally(out, r);
	load_page_end(out);
}

/* ---- the page of a curve ---- */

static double rate_of(const struct load_point *p)
{
	return p->rate;
}

static double p50_of(const struct load_point *p)
{
	return (double)p->p50_ns;
}

static double p99_of(const struct load_point *p)
{
	return (double)p->p99_ns;
}

static void put_points(const struct load_plot *p, const struct load_curve *c, double (*of)(const struct load_point *),
		       const char *class)
{
	fprintf(p->out, "<path class=\"line %s\" d=\"", class);
	for (size_t i = 0; i < c->n; i++)
		fprintf(p->out, "%c%.1f %.1f", i ? 'L' : 'M', load_plot_x(p, log10(c->points[i].x)),
			load_plot_y(p, of(&c->points[i])));
	fputs("\"/>\n", p->out);
}

/* Sizes are spaced by ratio, so that 1, 10 and 100 stand apart. */
static void put_curve_plot(FILE *out, const struct load_curve *c, bool times)
{
	struct load_plot p = {.out = out, .x0 = INFINITY, .x1 = -INFINITY, .y1 = 1};
	char text[LOAD_LABEL];
	for (size_t i = 0; i < c->n; i++) {
		p.x0 = fmin(p.x0, log10(c->points[i].x));
		p.x1 = fmax(p.x1, log10(c->points[i].x));
		p.y1 = fmax(p.y1, times ? p99_of(&c->points[i]) : rate_of(&c->points[i]));
	}
	p.x1 = fmax(p.x1, p.x0 + 0.1);
	p.y1 *= 1.05;
	fprintf(out, times ? "<h2>Latency</h2>\n<p class=\"key\"><span class=\"a\">p99</span> <span class=\"b\">p50</span></p>\n"
			   : "<h2>Answers a second</h2>\n");
	load_plot_begin(&p, times ? "latency" : "answers a second");
	for (size_t i = 0; i < c->n; i++)
		load_plot_tick_x(&p, log10(c->points[i].x), load_plain_label(round(c->points[i].x), text));
	load_plot_ticks(&p, false, times ? load_time_label : load_plain_label);
	put_points(&p, c, times ? p99_of : rate_of, "a");
	if (times)
		put_points(&p, c, p50_of, "b");
	load_plot_end(&p, c->x_name);
}

static void put_curve_table(FILE *out, const struct load_curve *c)
{
	char p50[LOAD_LABEL], p99[LOAD_LABEL];
	fprintf(out, "<table>\n<tr><th>%s</th><th>answers/s</th><th>p50</th><th>p99</th><th>errors</th><th>in flight</th></tr>\n",
		c->x_name);
	for (size_t i = 0; i < c->n; i++) {
		const struct load_point *p = &c->points[i];
		fprintf(out, "<tr><th>%.0f</th><td>%.1f</td><td>%s</td><td>%s</td><td>%" PRIu64 "</td><td>%.1f</td>%s</tr>\n",
			p->x, p->rate, load_time_label(p50_of(p), p50), load_time_label(p99_of(p), p99), p->errors,
			p->in_flight, p->limited ? "<td class=\"bad\">generator-limited</td>" : "");
	}
	fputs("</table>\n", out);
	if (c->knee < c->n)
		fprintf(out, "<p>Knee (inflection point): %.0f %s.</p>\n", c->points[c->knee].x, c->x_name);
	else
		fputs("<p>No knee.</p>\n", out);
}

void load_html_curve(FILE *out, const struct load_curve *c)
{
	load_page_begin(out, c->verb, c->url, c->started_wall_ns);
	if (c->interrupted)
		fputs("<p class=\"mark\">interrupted: partial result</p>\n", out);
	if (c->n > 0) {
		put_curve_plot(out, c, false);
		put_curve_plot(out, c, true);
	}
	put_curve_table(out, c);
	load_page_end(out);
}
