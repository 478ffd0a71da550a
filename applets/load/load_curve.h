/* load_curve.h - the verbs that run a plan several times, and what they share with a single run. */
#ifndef LOAD_CURVE_H
#define LOAD_CURVE_H

#include "load.h"

#define LOAD_MAX_POINTS 50

/* A run of a curve. */
struct load_point {
	double x; /* connections, or the rate asked for */
	double rate, mean_s, window_s, in_flight; /* window: the time that counts */
	int64_t p50_ns, p99_ns;
	uint64_t answers, errors;
	bool limited;
};

struct load_curve {
	const char *verb;    /* "sweep" */
	const char *x_name;  /* "connections", "asked/s" */
	const char *url;
	int64_t started_wall_ns;
	struct load_point points[LOAD_MAX_POINTS];
	size_t n;
	size_t knee; /* the point at which it bends; n: none */
	bool interrupted;
};

/* sdlab load sweep, sdlab load ramp; the exit status. */
int load_sweep(struct sd_verb_call *call);
int load_ramp(struct sd_verb_call *call);

/* ---- load_export.c, load_html.c ---- */
void load_export_curve(FILE *out, const struct load_curve *c);
void load_html_curve(FILE *out, const struct load_curve *c);

/* ---- load.c ---- */
/* Of a single run. */
extern const struct sd_option load_run_options[];
/* Tells the error as "sdlab load VERB: ..."; the exit status. */
int load_fail(const struct sd_verb_call *call, const char *verb, const struct sd_error *e);
/* Runs a plan with the progress line of a terminal. */
enum sd_err load_run_shown(struct sd_verb_call *call, const struct load_plan *plan, struct load_result **r,
			   struct sd_error *e);
/* Before anything is sent: can a new file be made where the option wants it? */
enum sd_err load_can_put(struct sd_verb_call *call, const char *option, struct sd_error *e);
/* Writes to the file that an option names; "-" is standard output. */
enum sd_err load_put_file(struct sd_verb_call *call, const char *file, const char *text, size_t n, struct sd_error *e);

#endif
