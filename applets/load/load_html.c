/* load_html.c - the result as one page: nothing is loaded from elsewhere, plots are inline SVG, colours follow the
 * reader's. Every text that came from outside goes through put_text.
 */
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/time_text.h"
#include "load.h"

#define TEXT       32
#define WIDTH      720.0 /* of a plot, in its own units */
#define HEIGHT     280.0
#define LEFT       64.0
#define RIGHT      16.0
#define TOP        14.0
#define BOTTOM     36.0
#define MAX_POINTS 600 /* of a line over time: a long run has more seconds than a screen has dots */

static void put_text(FILE *out, const char *text)
{
	static const struct {
		char c;
		const char *name;
	} names[] = {{'&', "&amp;"}, {'<', "&lt;"}, {'>', "&gt;"}, {'"', "&quot;"}, {'\'', "&#39;"}};
	for (; *text; text++) {
		const char *name = (unsigned char)*text < ' ' || *text == 127 ? "&#xfffd;" : NULL;
		for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
			if (*text == names[i].c)
				name = names[i].name;
		if (name)
			fputs(name, out);
		else
			fputc(*text, out);
	}
}

static const char *time_label(double ns, char out[TEXT])
{
	static const struct {
		double size;
		const char *name;
	} units[] = {{1e9, "s"}, {1e6, "ms"}, {1e3, "\u00b5s"}, {1, "ns"}};
	size_t i = 0;
	while (units[i].size > 1 && ns < units[i].size * 0.9995)
		i++;
	snprintf(out, TEXT, ns >= 999.5e9 ? "%.0f %s" : "%.3g %s", ns / units[i].size, units[i].name);
	return out;
}

/* ---- plots ---- */

/* A box with its ranges. */
struct plot {
	FILE *out;
	double x0, x1, y0, y1;
};

static double at_x(const struct plot *p, double x)
{
	return LEFT + (x - p->x0) / (p->x1 - p->x0) * (WIDTH - LEFT - RIGHT);
}

static double at_y(const struct plot *p, double y)
{
	return HEIGHT - BOTTOM - (y - p->y0) / (p->y1 - p->y0) * (HEIGHT - TOP - BOTTOM);
}

static void plot_begin(const struct plot *p, const char *label)
{
	fprintf(p->out, "<svg viewBox=\"0 0 %.0f %.0f\" role=\"img\" aria-label=\"%s\">\n", WIDTH, HEIGHT, label);
}

static void plot_end(const struct plot *p, const char *x_label)
{
	fprintf(p->out, "<text class=\"mid\" x=\"%.1f\" y=\"%.1f\">%s</text>\n</svg>\n", (LEFT + WIDTH - RIGHT) / 2,
		HEIGHT - 4, x_label);
}

static void tick_x(const struct plot *p, double x, const char *label)
{
	fprintf(p->out, "<path class=\"grid\" d=\"M%.1f %.1fV%.1f\"/><text class=\"mid\" x=\"%.1f\" y=\"%.1f\">%s</text>\n",
		at_x(p, x), TOP, HEIGHT - BOTTOM, at_x(p, x), HEIGHT - BOTTOM + 15, label);
}

static void tick_y(const struct plot *p, double y, const char *label)
{
	fprintf(p->out, "<path class=\"grid\" d=\"M%.1f %.1fH%.1f\"/><text class=\"end\" x=\"%.1f\" y=\"%.1f\">%s</text>\n",
		LEFT, at_y(p, y), WIDTH - RIGHT, LEFT - 6, at_y(p, y) + 4, label);
}

/* 1, 2 or 5 times a power of ten, so that four or five of them cover the range. */
static double nice_step(double range)
{
	double step = pow(10, floor(log10(range / 4)));
	while (range / step > 5)
		step *= range / step > 12.5 ? 5 : 2;
	return step;
}

static void ticks_linear(const struct plot *p, bool along_x, const char *(*label)(double v, char out[TEXT]))
{
	double from = along_x ? p->x0 : p->y0, to = along_x ? p->x1 : p->y1, step = nice_step(to - from);
	char text[TEXT];
	for (int i = 0; from + i * step <= to * 1.000001; i++)
		(along_x ? tick_x : tick_y)(p, from + i * step, label(from + i * step, text));
}

static const char *plain_label(double v, char out[TEXT])
{
	snprintf(out, TEXT, v >= 1e6 ? "%.3gM" : v >= 1e4 ? "%.3gk" : "%g", v >= 1e6 ? v / 1e6 : v >= 1e4 ? v / 1e3 : v);
	return out;
}

/* ---- percentiles: each step to the right is ten times rarer ---- */

static void ticks_percentile(const struct plot *p)
{
	static const char *const labels[] = {"0%", "90%", "99%", "99.9%", "99.99%", "99.999%", "99.9999%", "99.99999%"};
	for (int i = 0; i <= p->x1 && i < (int)(sizeof(labels) / sizeof(labels[0])); i++)
		tick_x(p, i, labels[i]);
}

/* 1, 2 and 5 of each decade; only 1 when there are many. */
static void ticks_log_time(const struct plot *p)
{
	static const double parts[] = {1, 2, 5};
	int n = p->y1 - p->y0 > 2.5 ? 1 : 3;
	char text[TEXT];
	for (int decade = (int)floor(p->y0); decade <= p->y1; decade++)
		for (int i = 0; i < n; i++) {
			double y = decade + log10(parts[i]);
			if (y >= p->y0 - 1e-9 && y <= p->y1 + 1e-9)
				tick_y(p, y, time_label(pow(10, y), text));
		}
}

static double log_ns(int64_t ns)
{
	return log10(ns < 1 ? 1.0 : (double)ns);
}

static double rarity(const struct plot *p, double percentile)
{
	double x = percentile >= 100 ? p->x1 : log10(100 / (100 - percentile));
	return x > p->x1 ? p->x1 : x;
}

static void put_curve(const struct plot *p, const struct sd_hdr *h, const char *class)
{
	struct sd_hdr_step step = {0};
	char command = 'M';
	fprintf(p->out, "<path class=\"line %s\" d=\"", class);
	while (sd_hdr_next(h, 10, &step)) {
		fprintf(p->out, "%c%.1f %.1f", command, at_x(p, rarity(p, step.percentile)), at_y(p, log_ns(step.value)));
		command = 'L';
	}
	fputs("\"/>\n", p->out);
}

static void put_percentiles(FILE *out, const struct load_result *r)
{
	const struct sd_hdr *seen = load_latency(r);
	struct plot p = {.out = out, .x1 = log10((double)sd_hdr_count(seen))};
	double low = log_ns(sd_hdr_min(r->service)), high = log_ns(sd_hdr_max(seen));
	p.x1 = p.x1 < 1 ? 1 : p.x1 > 7 ? 7 : p.x1;
	p.y0 = floor(low * 5) / 5;
	p.y1 = ceil(high * 5) / 5;
	p.y1 = p.y1 < p.y0 + 0.4 ? p.y0 + 0.4 : p.y1;
	fputs("<h2>Latency by percentile</h2>\n<p class=\"key\">", out);
	if (r->response)
		fputs("<span class=\"a\">response: from the moment it was due (corrected)</span> ", out);
	fputs("<span class=\"b\">service: from the moment it left (raw)</span></p>\n", out);
	plot_begin(&p, "latency by percentile");
	ticks_percentile(&p);
	ticks_log_time(&p);
	put_curve(&p, r->service, "b");
	if (r->response)
		put_curve(&p, r->response, "a");
	plot_end(&p, "percentile, each mark ten times rarer");
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
	struct plot p = {.out = out, .x1 = (double)(n * group)};
	char command = 'M';
	p.y1 = 1;
	for (size_t i = 0; i < n; i++)
		p.y1 = fmax(p.y1, times ? (double)points[i].max_ns : points[i].rate);
	p.y1 *= 1.05;
	fprintf(out, "<h2>%s</h2>\n", times ? "Longest answer of each second" : "Answers a second");
	plot_begin(&p, times ? "longest answer over time" : "answers a second over time");
	ticks_linear(&p, true, plain_label);
	ticks_linear(&p, false, times ? time_label : plain_label);
	fputs("<path class=\"line a\" d=\"", out);
	for (size_t i = 0; i < n; i++, command = 'L')
		fprintf(out, "%c%.1f %.1f", command, at_x(&p, ((double)i + 0.5) * (double)group),
			at_y(&p, times ? (double)points[i].max_ns : points[i].rate));
	fputs("\"/>\n", out);
	plot_end(&p, "seconds");
}

static void put_over_time(FILE *out, const struct load_result *r)
{
	/* The second in which it ended is not a whole one. */
	size_t whole = r->elapsed_ns > 0 ? (size_t)(r->elapsed_ns / 1000000000) : 0;
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

static void put_summary(FILE *out, const struct load_plan *plan, const struct load_result *r)
{
	double s = r->elapsed_ns > 0 ? (double)r->elapsed_ns / 1e9 : 1;
	uint64_t failed = load_total_errors(r);
	fputs("<table>\n", out);
	if (plan->rate > 0)
		put_fact(out, "loop", "open: %g/s due, %s gaps", plan->rate, plan->poisson ? "Poisson" : "constant");
	else
		put_fact(out, "loop", "closed");
	put_fact(out, "connections", "%u", plan->conns);
	put_fact(out, "answered", "%" PRIu64 " in %.2f s", r->answers, (double)r->elapsed_ns / 1e9);
	put_fact(out, "failed", "%" PRIu64, failed);
	put_fact(out, "rate", "%.1f/s", (double)r->answers / s);
	put_fact(out, "bytes", "%.3g MB/s in, %.3g MB/s out", (double)r->bytes_in / s / 1e6,
		 (double)r->bytes_out / s / 1e6);
	if (plan->warmup_ns > 0)
		put_fact(out, "warm-up", "%g s and %" PRIu64 " answers, not counted", (double)plan->warmup_ns / 1e9,
			 r->warmup_answers);
	put_fact(out, "generator", "%.0f%% of a core in its busiest thread, %" PRIu64 " requests left late", r->cpu * 100,
		 r->late);
	fputs("</table>\n", out);
}

static void put_cell(FILE *out, const struct sd_hdr *h, double ns)
{
	char text[TEXT];
	fprintf(out, "<td>%s</td>", !h || sd_hdr_count(h) == 0 ? "&ndash;" : time_label(ns, text));
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

/* ---- the page ---- */

static const char style[] =
    ":root{color-scheme:light dark;--ink:#1c2128;--dim:#667;--grid:#dde1e6;--page:#fff;--a:#1f5fbf;--b:#b85c00;"
    "--bad:#b3261e}\n"
    "@media(prefers-color-scheme:dark){:root{--ink:#e4e7eb;--dim:#9aa3ad;--grid:#333a42;--page:#14181d;--a:#6ea8fe;"
    "--b:#f0a35c;--bad:#ff8a80}}\n"
    "body{margin:2rem auto;max-width:46rem;padding:0 1rem;font:16px/1.5 system-ui,sans-serif;color:var(--ink);"
    "background:var(--page)}\n"
    "h1{font-size:1.4rem;overflow-wrap:anywhere}h2{font-size:1.05rem;margin:2rem 0 .3rem}\n"
    "table{border-collapse:collapse;font-variant-numeric:tabular-nums}\n"
    "th,td{padding:.15rem .9rem .15rem 0;text-align:right}th:first-child{text-align:left;font-weight:500}\n"
    "svg{width:100%;height:auto}text{fill:var(--dim);font-size:11px}.mid{text-anchor:middle}.end{text-anchor:end}\n"
    ".grid{stroke:var(--grid)}.line{fill:none;stroke-width:2;stroke-linejoin:round}\n"
    "path.a{stroke:var(--a)}path.b{stroke:var(--b)}.key{margin:0;font-size:.9rem}\n"
    ".key .a{color:var(--a);margin-right:1rem}.key .b{color:var(--b)}.bad,.mark{color:var(--bad)}.dim{color:var(--dim)}\n";

static void put_top(FILE *out, const struct load_plan *plan, const struct load_result *r)
{
	char started[SD_TIME_TEXT];
	sd_time_text(started, r->started_wall_ns);
	fputs("<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
	      "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n<title>load of ",
	      out);
	put_text(out, plan->url);
	fprintf(out, "</title>\n<style>\n%s</style>\n</head>\n<body>\n<h1>", style);
	put_text(out, plan->url);
	fprintf(out, "</h1>\n<p class=\"dim\">%s</p>\n", started);
	if (r->limited) {
		fputs("<p class=\"mark\">generator-limited: ", out);
		put_text(out, r->limited);
		fputs("</p>\n", out);
	}
	if (r->interrupted)
		fputs("<p class=\"mark\">interrupted: partial result</p>\n", out);
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
	fputs("</body>\n</html>\n", out);
}
