/* breaker.h - what the files of the tool share.
 *
 *	breaker.c          its face
 *	breaker_rules.c    options to settings of the breaker
 *	breaker_test.c     requests to a URL through a breaker
 *	breaker_say.c      what is said of them
 *	breaker_replay.c   outcomes of a file through a breaker
 */
#ifndef BREAKER_H
#define BREAKER_H

#include <cjson/cJSON.h>

#include "app/applet.h"
#include "sdlab/breaker.h"
#include "world/world.h"

/* Rows of both verbs. */
#define BREAKER_RULES                                                                                                             \
	{"failures", SD_OPT_INT, "5", "opens when so many of the window failed; 0: never for that", .min = 0, .max = 50000},      \
	    {"consecutive", SD_OPT_INT, "0", "opens when so many failed in a row; 0: never for that", .min = 0, .max = UINT32_MAX}, \
	    {"failure-rate", SD_OPT_PERCENT, "0%", "opens when this share of the window failed; 0%: never for that"},             \
	    {"slow-rate", SD_OPT_PERCENT, "0%", "opens when this share of the window was slow; 0%: never for that"},              \
	    {"slow", SD_OPT_DURATION, "0s", "what is slow", .min = 0, .max = INT64_MAX},                                          \
	    {"minimum", SD_OPT_INT, "0", "calls in the window before a rate counts", .min = 0, .max = UINT32_MAX},                \
	    {"window", SD_OPT_INT, "10", "how many of the last calls count", .min = 0, .max = 50000},                             \
	    {"window-time", SD_OPT_DURATION, "0s", "instead: the calls of the last so long count", .min = 0, .max = INT64_MAX},   \
	    {"open", SD_OPT_DURATION, "30s", "how long it is open before it tries again", .min = 0, .max = INT64_MAX},            \
	    {"growth", SD_OPT_ENUM, "constant", "how that grows when it opens again", .choices = "constant|linear|doubling"},     \
	    {"open-max", SD_OPT_DURATION, "10m", "where growth ends", .min = 0, .max = INT64_MAX},                                \
	    {"calm", SD_OPT_DURATION, "0s", "closed for longer, growth begins anew", .min = 0, .max = INT64_MAX},                 \
	    {"jitter", SD_OPT_PERCENT, "0%", "up to this share of the open time less, at random"},                                \
	    {"retry-max", SD_OPT_DURATION, "5m", "Retry-After is heeded up to this; 0 for not at all", .min = 0,                  \
	     .max = INT64_MAX},                                                                                                   \
	    {"retry-opens", SD_OPT_BOOL, "false", "a failure with Retry-After opens it by itself"},                               \
	    {"permits", SD_OPT_INT, "1", "probes at a time when half-open", .min = 1, .max = SD_BREAKER_MAX_PERMITS},             \
	    {"successes", SD_OPT_INT, "2", "probes that close it; 0: it closes without any", .min = 0,                            \
	     .max = SD_BREAKER_MAX_PERMITS},                                                                                      \
	    {"permit-time", SD_OPT_DURATION, "1m", "a probe that says nothing for so long is lost", .min = 0, .max = INT64_MAX},  \
	    {"seed", SD_OPT_INT, "0", "of jitter; 0 takes chance from the system", .min = 0, .max = INT64_MAX}

/* ---- breaker_rules.c ---- */
enum sd_err breaker_rules(struct sd_world *w, const struct sd_conf *conf, struct sd_breaker_conf *out, struct sd_error *e);

/* ---- breaker_test.c ---- */
int breaker_test(struct sd_verb_call *call);

/* ---- breaker_replay.c ---- */
int breaker_replay(struct sd_verb_call *call);

/* ---- breaker_say.c ---- */

enum breaker_verdict { BREAKER_OK, BREAKER_FAIL, BREAKER_IGNORE, BREAKER_REJECTED };

/* What is told of a run, while it goes on and at its end. */
struct breaker_story {
	FILE *out;
	const struct sd_breaker_conf *conf;
	struct sd_breaker *b;
	bool json, verbose;
	uint64_t n, ok, failed, ignored, rejected; /* requests, and what came of them */
	uint64_t opened;
	int64_t began_ns, opened_ns, open_ns; /* when it was opened last, all time that it was not closed */
	uint32_t elided;		       /* rejections that were not told, in this opening */
	bool recovered, trying;		       /* it has just closed again; a probe was announced */
	cJSON *changes;
};

/* A request is about to be made, when half-open. */
void breaker_say_trying(struct breaker_story *s, uint64_t number, int64_t now_ns);
/* before: what was known of the breaker when it was allowed. */
void breaker_say(struct breaker_story *s, uint64_t number, enum breaker_verdict verdict, const struct sd_breaker_stats *before,
		 int64_t now_ns);
void breaker_say_changed(struct breaker_story *s, enum sd_breaker_state from, enum sd_breaker_state to, int64_t now_ns);
/* The end; the exit status. */
int breaker_say_summary(struct breaker_story *s, const char *interrupted, int64_t now_ns);

#endif
