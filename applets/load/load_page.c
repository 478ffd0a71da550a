/* load_page.c - what pages of results are made of: nothing is loaded from elsewhere, plots are inline SVG, colours follow
 * the reader's.
 */
#include "load_page.h"

#include <math.h>
#include <stddef.h>

#include "core/time_text.h"

#define WIDTH      720.0 /* of a plot, in its own units */
#define HEIGHT     280.0
#define LEFT       64.0
#define RIGHT      16.0
#define TOP        14.0
#define BOTTOM     36.0

void load_page_text(FILE *out, const char *text)
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

const char *load_time_label(double ns, char out[LOAD_LABEL])
{
	static const struct {
		double size;
		const char *name;
	} units[] = {{1e9, "s"}, {1e6, "ms"}, {1e3, "\u00b5s"}, {1, "ns"}};
	size_t i = 0;
	while (units[i].size > 1 && ns < units[i].size * 0.9995)
		i++;
	snprintf(out, LOAD_LABEL, ns >= 999.5e9 ? "%.0f %s" : "%.3g %s", ns / units[i].size, units[i].name);
	return out;
}

/* ---- plots ---- */

double load_plot_x(const struct load_plot *p, double x)
{
	return LEFT + (x - p->x0) / (p->x1 - p->x0) * (WIDTH - LEFT - RIGHT);
}

double load_plot_y(const struct load_plot *p, double y)
{
	return HEIGHT - BOTTOM - (y - p->y0) / (p->y1 - p->y0) * (HEIGHT - TOP - BOTTOM);
}

void load_plot_begin(const struct load_plot *p, const char *label)
{
	fprintf(p->out, "<svg viewBox=\"0 0 %.0f %.0f\" role=\"img\" aria-label=\"%s\">\n", WIDTH, HEIGHT, label);
}

void load_plot_end(const struct load_plot *p, const char *x_label)
{
	fprintf(p->out, "<text class=\"mid\" x=\"%.1f\" y=\"%.1f\">%s</text>\n</svg>\n", (LEFT + WIDTH - RIGHT) / 2,
		HEIGHT - 4, x_label);
}

void load_plot_tick_x(const struct load_plot *p, double x, const char *label)
{
	fprintf(p->out, "<path class=\"grid\" d=\"M%.1f %.1fV%.1f\"/><text class=\"mid\" x=\"%.1f\" y=\"%.1f\">%s</text>\n",
		load_plot_x(p, x), TOP, HEIGHT - BOTTOM, load_plot_x(p, x), HEIGHT - BOTTOM + 15, label);
}

static void tick_y(const struct load_plot *p, double y, const char *label)
{
	fprintf(p->out, "<path class=\"grid\" d=\"M%.1f %.1fH%.1f\"/><text class=\"end\" x=\"%.1f\" y=\"%.1f\">%s</text>\n",
		LEFT, load_plot_y(p, y), WIDTH - RIGHT, LEFT - 6, load_plot_y(p, y) + 4, label);
}

/* 1, 2 or 5 times a power of ten, so that four or five of them cover the range. */
static double nice_step(double range)
{
	double step = pow(10, floor(log10(range / 4)));
	while (range / step > 5)
		step *= range / step > 12.5 ? 5 : 2;
	return step;
}

void load_plot_ticks(const struct load_plot *p, bool along_x, const char *(*label)(double v, char out[LOAD_LABEL]))
{
	double from = along_x ? p->x0 : p->y0, to = along_x ? p->x1 : p->y1, step = nice_step(to - from);
	char text[LOAD_LABEL];
	for (int i = 0; from + i * step <= to * 1.000001; i++)
		(along_x ? load_plot_tick_x : tick_y)(p, from + i * step, label(from + i * step, text));
}

const char *load_plain_label(double v, char out[LOAD_LABEL])
{
	snprintf(out, LOAD_LABEL, v >= 1e6 ? "%.3gM" : v >= 1e4 ? "%.3gk" : "%g", v >= 1e6 ? v / 1e6 : v >= 1e4 ? v / 1e3 : v);
	return out;
}

/* 1, 2 and 5 of each decade; only 1 when there are many. */
void load_plot_ticks_log_time(const struct load_plot *p)
{
	static const double parts[] = {1, 2, 5};
	int n = p->y1 - p->y0 > 2.5 ? 1 : 3;
	char text[LOAD_LABEL];
	for (int decade = (int)floor(p->y0); decade <= p->y1; decade++)
		for (int i = 0; i < n; i++) {
			double y = decade + log10(parts[i]);
			if (y >= p->y0 - 1e-9 && y <= p->y1 + 1e-9)
				tick_y(p, y, load_time_label(pow(10, y), text));
		}
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

void load_page_begin(FILE *out, const char *what, const char *url, int64_t started_wall_ns)
{
	char started[SD_TIME_TEXT];
	sd_time_text(started, started_wall_ns);
	fprintf(out, "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
		     "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n<title>%s of ",
		what);
	load_page_text(out, url);
	fprintf(out, "</title>\n<style>\n%s</style>\n</head>\n<body>\n<h1>", style);
	load_page_text(out, url);
	fprintf(out, "</h1>\n<p class=\"dim\">%s</p>\n", started);
}

void load_page_end(FILE *out)
{
	fputs("</body>\n</html>\n", out);
}
