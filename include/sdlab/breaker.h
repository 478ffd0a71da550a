/* breaker.h - a circuit breaker: stops calling what fails, says why and until when, and tries again with care.
 *
 *	                    a rule is met
 *	        CLOSED ------------------------> OPEN <-------------------.
 *	          ^  ^                            |                       |
 *	          |  '-- no half-open wanted -----| its time is over,     | a probe fails
 *	          |     (successes 0)             | and somebody asks     | (open for longer than before)
 *	          |                               v                       |
 *	          '---- `successes` probes ---- HALF_OPEN ----------------'
 *	                     succeed             | ^
 *	                                         '-' no permit was given back for permit_ns: they are lost, lend anew
 *
 *	FORCED_OPEN and FORCED_CLOSED are entered and left by sd_breaker_force alone.
 *
 * Every change of state begins a new generation. A ticket belongs to the generation in which it was lent; a result that comes
 * in a later one is counted as late and changes nothing else. So a slow call from before the trouble neither closes nor opens
 * what has moved on since.
 *
 * Four rules, each on when it is not 0, any of which trips:
 *
 *	consecutive        so many failures, and no success between them
 *	failures           so many failures within the window
 *	failure_rate       that share of the calls within the window failed; at least `minimum` calls are needed
 *	slow_rate          that share of the calls within the window took slow_ns or longer; `minimum` as well
 *
 * They are looked at when a call failed or was slow: one that was neither never opens it.
 *
 * The window is the last `window` calls, or the calls of the last window_ns, kept in parts of a tenth: what is older than
 * window_ns is forgotten, and up to a tenth of window_ns sooner. An idle breaker forgets by itself: rare failures do not add up.
 *
 * It has no clock, no chance but its seed, no lock and no thread. All calls but sd_breaker_new and sd_breaker_free may be made
 * from any number of threads at a time. While it is closed, to allow is to read one word. Times are nanoseconds of a clock
 * that does not go back, from 0 on.
 *
 * A breaker is not a bulkhead (which Envoy calls a circuit breaker): the one asks how calls ended, the other how many are out.
 * This one can be both; what it refuses as a bulkhead is no failure.
 *
 * Cost: 640 bytes, and 4 for each call of a window that counts, or 240 for one of time.
 */
#ifndef SDLAB_BREAKER_H
#define SDLAB_BREAKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"

#ifdef __cplusplus
extern "C" {
#endif

#define SD_BREAKER_MAX_WINDOW  50000
#define SD_BREAKER_MAX_PERMITS 1023 /* also of successes */
#define SD_BREAKER_LAST	       8    /* failures that are kept for the reason */
#define SD_BREAKER_REASON      160  /* bytes of the longest reason, with its NUL */

enum sd_breaker_state {
	SD_BREAKER_CLOSED,
	SD_BREAKER_OPEN,
	SD_BREAKER_HALF_OPEN,
	SD_BREAKER_FORCED_OPEN,   /* refuses everything until it is told otherwise */
	SD_BREAKER_FORCED_CLOSED, /* lets everything through and goes on counting, but never trips: to watch before it is let loose */
};

/* How a call ended. */
enum sd_breaker_kind {
	SD_BREAKER_SUCCESS,
	SD_BREAKER_IGNORED,  /* says nothing about who was called: the caller cancelled, its own request was wrong */
	SD_BREAKER_CONNECT,  /* from here on failures: no connection */
	SD_BREAKER_TIMEOUT,
	SD_BREAKER_STATUS,   /* an answer that means failure; `code` is which */
	SD_BREAKER_BROKEN,   /* the connection ended, or what came could not be read */
	SD_BREAKER_ERROR,    /* anything else */
};
#define SD_BREAKER_KINDS 7

struct sd_breaker_outcome {
	enum sd_breaker_kind kind;
	uint16_t code;		/* STATUS: 503 */
	int64_t retry_after_ns; /* a failure: not before so much time has passed, as the other side asked; 0: it did not */
};

/* Called by the thread whose call made the change, after it. They may call the breaker. NULL: not told. */
struct sd_breaker_hooks {
	void (*changed)(void *arg, enum sd_breaker_state from, enum sd_breaker_state to, int64_t now_ns);
	void (*succeeded)(void *arg, int64_t took_ns);
	void (*failed)(void *arg, const struct sd_breaker_outcome *how, int64_t took_ns);
	void (*refused)(void *arg, int64_t now_ns);
	/* A rule is met. False: it stays closed, and counting begins anew. For bounds on how many of a group may be open. */
	bool (*may_open)(void *arg, int64_t now_ns);
	void *arg;
};

enum sd_breaker_growth {
	SD_BREAKER_CONSTANT,
	SD_BREAKER_LINEAR,  /* open_ns times how often it opened */
	SD_BREAKER_DOUBLING,
};

struct sd_breaker_conf {
	uint32_t consecutive, failures; /* 0: this rule is off */
	double failure_rate, slow_rate; /* above 0, up to 1; 0: off */
	int64_t slow_ns;		/* with slow_rate, and not without */
	uint32_t window;		/* calls, or */
	int64_t window_ns;		/* time, of 10 ms or more; one of the two, with any rule but consecutive, and not without */
	uint32_t minimum;		/* calls before a rate means something; with a rate, and not without */

	int64_t open_ns; /* the first time */
	enum sd_breaker_growth growth;
	int64_t open_max_ns; /* where growth ends; 0: open_ns */
	double jitter;	     /* up to this share of it less, at random, so that not all come back at once: 0 to 1 */
	int64_t calm_ns;     /* closed for so long, growth begins anew; 0: as soon as it closes */
	int64_t retry_max_ns; /* a retry_after_ns of a failure makes the open time at least as long, up to this; 0: it is not heard */
	bool retry_opens;     /* and it opens at once, whatever the rules say */

	uint32_t permits;    /* probes that may be out at a time when half-open */
	uint32_t successes;  /* of probes, in a row, that close it; 0: it closes as soon as its time is over, without any */
	int64_t permit_ns;   /* a permit that was not given back for so long is lost, and lent again */
	uint32_t bulkhead;   /* calls that may be out at a time, in any state; 0: any number */
	uint64_t seed;	     /* of the jitter */
	struct sd_breaker_hooks hooks;
};
/* Five failures in a row open it for 30 s, two probes, one at a time, close it; permits for 60 s, Retry-After up to 5 min. */
extern const struct sd_breaker_conf sd_breaker_defaults;

struct sd_breaker;

/* SD_EINVAL, with a sentence that names the field, of what makes no sense: no rule at all, a minimum above the window, a rate
 * without a window, more permits than the bulkhead lets through ...; SD_ERANGE: too large. The conf is copied. */
enum sd_err sd_breaker_new(const struct sd_breaker_conf *conf, struct sd_breaker **out, struct sd_error *e);
/* NULL is fine. Nobody else may use it any more. */
void sd_breaker_free(struct sd_breaker *b);

/* ---- in two steps, for calls that end elsewhere ---- */

/* What a call was lent. It may be copied; one done for each. Not the caller's to look into. */
struct sd_breaker_ticket {
	uint64_t word;
	int64_t began_ns;
};

/* SD_OK: call, then say how it ended by sd_breaker_done, once. SD_ECIRCUIT: do not, it is open, or half-open with all permits
 * out. SD_EAGAIN: do not, the bulkhead is full. *e, when there is one, says why and until when; without it a refusal costs no
 * more than a word or two. */
enum sd_err sd_breaker_allow(struct sd_breaker *b, int64_t now_ns, struct sd_breaker_ticket *t, struct sd_error *e);
/* Clears the ticket; of one that was cleared nothing comes. */
void sd_breaker_done(struct sd_breaker *b, struct sd_breaker_ticket *t, const struct sd_breaker_outcome *how, int64_t now_ns);
/* The result of a call that was not asked for: counts while it is closed, and for nothing else. For who sees calls go by. */
void sd_breaker_record(struct sd_breaker *b, const struct sd_breaker_outcome *how, int64_t took_ns, int64_t now_ns);

/* ---- in one ---- */

struct sd_breaker_call {
	int64_t (*now_ns)(void *arg); /* the caller's clock */
	/* Makes the call, sets *how (which is SUCCESS before, and is set to ERROR when it is still that and an error is
	 * returned), and returns what sd_breaker_call is to return. */
	enum sd_err (*run)(void *arg, struct sd_breaker_outcome *how);
	void *arg;
};
/* As allow, what is run, and done. */
enum sd_err sd_breaker_call(struct sd_breaker *b, const struct sd_breaker_call *call, struct sd_error *e);

/* ---- what an answer means ---- */

/* HTTP (RFC 9110): 5xx is a failure, but 501 and 505, which no waiting cures; 429 is one when it says when to come back; any other
 * is a success of who was called, 4xx too. retry_after_ns: below 0 when there is no such field. */
struct sd_breaker_outcome sd_breaker_http(int status, int64_t retry_after_ns);
/* No answer: SD_ECANCELED is ignored; refused, unreachable and TLS are CONNECT; SD_ETIMEOUT; reset, end and protocol are BROKEN. */
struct sd_breaker_outcome sd_breaker_error(enum sd_err err);
static inline bool sd_breaker_failure(enum sd_breaker_kind kind)
{
	return kind >= SD_BREAKER_CONNECT;
}

/* ---- from outside ---- */

/* FORCED_OPEN, FORCED_CLOSED; CLOSED: as new; OPEN: as if a rule were met; HALF_OPEN: as if the open time were over. */
void sd_breaker_force(struct sd_breaker *b, enum sd_breaker_state state, int64_t now_ns);
/* Opens it until then, as if that had been its time: for who keeps it across a restart. */
void sd_breaker_open_until(struct sd_breaker *b, int64_t until_ns, int64_t now_ns);
/* Without a call: when its open time is over, half-open or closed it is. So that what is shown is not stale. */
enum sd_breaker_state sd_breaker_tick(struct sd_breaker *b, int64_t now_ns);

struct sd_breaker_stats {
	enum sd_breaker_state state;
	uint64_t generation;
	uint32_t calls, failures, slow; /* within the window */
	uint32_t in_a_row;		/* failures */
	uint32_t lent, probed;		/* half-open: permits out, successes so far */
	uint32_t out;			/* calls that are out, where there is a bulkhead */
	int64_t opened_ns, until_ns;	/* the last opening; what it is or was open until */
	uint32_t openings;		/* since growth began anew */
	uint64_t all_failures, all_refused, all_late, all_opened, all_lost; /* since it was made; lost: permits */
};
void sd_breaker_stats(const struct sd_breaker *b, int64_t now_ns, struct sd_breaker_stats *out);

/* "opened 12 s ago: 6 of 10 timed out, next probe in 18 s"; of a closed one "closed: 2 of 10 failed". Returns out. */
char *sd_breaker_reason(const struct sd_breaker *b, int64_t now_ns, char out[SD_BREAKER_REASON]);
/* "CLOSED", "OPEN", "HALF-OPEN", "FORCED-OPEN", "FORCED-CLOSED". */
const char *sd_breaker_state_name(enum sd_breaker_state state);

/* The last failures, the newest first, at most n, SD_BREAKER_LAST are kept; their number. */
struct sd_breaker_failure {
	int64_t at_ns;
	enum sd_breaker_kind kind;
	uint16_t code;
};
size_t sd_breaker_last(const struct sd_breaker *b, struct sd_breaker_failure *out, size_t n);

#ifdef __cplusplus
}
#endif

#endif
