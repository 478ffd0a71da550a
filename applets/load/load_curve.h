/* load_curve.h - the verbs that run a plan several times, and what they share with a single run. */
#ifndef LOAD_CURVE_H
#define LOAD_CURVE_H

#include "load.h"

/* sdlab load sweep, sdlab load ramp; the exit status. */
int load_sweep(struct sd_verb_call *call);
int load_ramp(struct sd_verb_call *call);

/* ---- load.c ---- */
/* Of a single run. */
extern const struct sd_option load_run_options[];
/* Tells the error as "sdlab load VERB: ..."; the exit status. */
int load_fail(const struct sd_verb_call *call, const char *verb, const struct sd_error *e);
/* Runs a plan with the progress line of a terminal. */
enum sd_err load_run_shown(struct sd_verb_call *call, const struct load_plan *plan, struct load_result **r,
			   struct sd_error *e);

#endif
