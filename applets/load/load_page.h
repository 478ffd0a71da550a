/* load_page.h - what pages of results are made of: a head, text that came from outside, plots. */
#ifndef LOAD_PAGE_H
#define LOAD_PAGE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define LOAD_LABEL 32

/* From <!doctype> into the body, with a heading. `what` is ours, the URL anybody's. */
void load_page_begin(FILE *out, const char *what, const char *url, int64_t started_wall_ns);
void load_page_end(FILE *out);
/* Text that came from outside, so that it stays text. */
void load_page_text(FILE *out, const char *text);

/* Labels; each returns out. */
const char *load_time_label(double ns, char out[LOAD_LABEL]);
const char *load_plain_label(double v, char out[LOAD_LABEL]);

/* A box with its ranges. */
struct load_plot {
	FILE *out;
	double x0, x1, y0, y1;
};

void load_plot_begin(const struct load_plot *p, const char *label);
void load_plot_end(const struct load_plot *p, const char *x_label);
/* Where a value is in the box. */
double load_plot_x(const struct load_plot *p, double x);
double load_plot_y(const struct load_plot *p, double y);
void load_plot_tick_x(const struct load_plot *p, double x, const char *label);
/* Four or five round values. */
void load_plot_ticks(const struct load_plot *p, bool along_x, const char *(*label)(double v, char out[LOAD_LABEL]));
/* Along y, which is the logarithm to 10 of nanoseconds. */
void load_plot_ticks_log_time(const struct load_plot *p);

#endif
