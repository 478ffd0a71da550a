/* load.h - what the files of the load generator share.
 *
 *	load.c         its face: options, verbs
 *	load_plan.c    from options to what is sent, to whom, how often
 *	load_access.c  an access log, entry by entry
 *	load_replay.c  from an access log to what is sent when
 *	load_run.c     threads, progress, Ctrl-C, the result put together
 *	load_conn.c    one connection: requests out, answers in, times taken
 *	load_resp.c    what is sent to a cache
 *	load_amqp*.c   what is sent to a broker, and how it answers (load_amqp.h)
 *	load_tally.c   which answers came how often (--tally)
 *	load_text.c    the summary a person reads
 *	load_export.c  JSON, CSV, histogram log
 *	load_html.c    the result as a page
 *	load_page.c    what pages are made of: head, text, plots
 *	load_rules.c   --fail-if
 *	load_curve.c   sweep and ramp: a plan at several sizes
 *	load_compare.c two results side by side
 *	load_as*.c     the flags and reports of ab, wrk and hey (load_as.h)
 *	load_detail.c  what only those reports tell
 *
 * Closed loop: each of `conns` connections sends its next request when the last was answered. Open loop (--rate, replay):
 * requests are due at moments fixed beforehand; one leaves when it is due and a connection is free, and its response
 * time counts from the moment it was due, however long it had to wait. Service time counts from the moment it left.
 */
#ifndef LOAD_H
#define LOAD_H

#include "net/tls.h"
#include "app/applet.h"
#include "core/list.h"
#include "core/rng.h"
#include "sdlab/hdr.h"
#include "sdlab/http1.h"
#include "world/loop.h"

#define LOAD_MAX_THREADS 64
#define LOAD_LATE_NS     1000000 /* leaving later than this is the generator's fault, and counted */
#define LOAD_HIGHEST_NS  3600000000000

/* ---- what is sent ---- */

#define LOAD_MAX_MARKS 8

/* Ten digits that change with each request: its number, chance, or one of so many keys. */
enum load_mark_kind { LOAD_SEQ, LOAD_RAND, LOAD_KEY, LOAD_OWN /* of the connection's own queue */ };

struct load_mark {
	uint32_t at;
	enum load_mark_kind kind;
};

struct load_request {
	char *bytes; /* head and body, ready to go but for the marks */
	size_t n;
	uint32_t weight;
	enum sd_http_method method;
	char *name; /* "GET /path", for reports */
	size_t body_n;
	uint8_t nmarks;
	struct load_mark marks[LOAD_MAX_MARKS];
};

/* Whether failing ends a run before its time. */
enum load_patience {
	LOAD_GOES_ON,
	LOAD_NEEDS_ONE,   /* ends when the first thing to happen to a thread is that nobody listens */
	LOAD_STOPS_AT_ONE /* ends at the first request that fails */
};

/* A request of a replay. */
struct load_due {
	int64_t offset_ns; /* from the start of the run */
	uint32_t request;
	uint32_t place; /* in the log, from 0 */
};

struct load_amqp_plan; /* load_amqp.h */

struct load_plan {
	char *url;
	struct sd_addr addr; /* resolved */
	struct sd_tls_client *tls; /* NULL: plain */
	char tls_name[SD_TLS_NAME]; /* host of the URL */
	bool resp;                /* a cache is asked */
	struct load_amqp_plan *amqp; /* a broker is; neither: HTTP */
	struct sd_slice greeting; /* what is said first on each connection: AUTH, SELECT */
	unsigned greetings;       /* replies to it */
	uint64_t keys;            /* {{key}} is one of so many */
	struct load_request *requests;
	size_t nrequests;
	uint64_t total_weight;
	unsigned conns, threads, pipeline;
	bool keep_alive, poisson;
	uint64_t max_requests; /* 0: until duration_ns is over */
	int64_t duration_ns, warmup_ns, timeout_ns;
	double rate; /* a second, all threads together; 0: closed loop, or replay */
	uint64_t seed;
	enum load_patience patience;
	bool detail;     /* fill load_result.detail */
	size_t max_rows; /* of it; 0: no rows */
	/* replay: the requests in the order of their moments, and nothing else is sent; threads take them in turn. A weight
	 * is then how often its request is in it. */
	struct load_due *schedule; /* NULL: no replay */
	size_t nschedule;
	char *log; /* the file it is from */
	double speed;
	bool tally;
};

static inline bool load_plan_http(const struct load_plan *p)
{
	return !p->resp && !p->amqp;
}

static inline bool load_plan_open(const struct load_plan *p)
{
	return p->rate > 0 || p->schedule;
}

/* ---- what came of it ---- */

#define LOAD_ERROR_LIST(X)                                                                                   \
	X(LOAD_REFUSED, "refused", "connection refused")                                                     \
	X(LOAD_RESET, "reset", "connection closed or reset without an answer")                               \
	X(LOAD_TIMEOUT, "timeout", "no complete answer in time")                                             \
	X(LOAD_TLS, "tls", "TLS failed")                                                                     \
	X(LOAD_SHORT, "short", "closed in the middle of an answer")                                          \
	X(LOAD_GARBAGE, "garbage", "what came was no answer of the protocol")                                \
	X(LOAD_PORTS, "ports", "no local port or descriptor left")                                           \
	X(LOAD_REPLY, "reply", "a cache or broker answered with an error")                                             \
	X(LOAD_OTHER, "other", "anything else")

enum load_error {
#define X(id, name, text) id,
	LOAD_ERROR_LIST(X)
#undef X
	    LOAD_ERRORS
};
extern const char *const load_error_names[LOAD_ERRORS], *const load_error_texts[LOAD_ERRORS];

/* Which answers came how often, by the first line of their body; what is beyond the limits counts as other. */
#define LOAD_TALLY_ROWS 64
#define LOAD_TALLY_TEXT 80

/* The first line of a body, without its end and cut to LOAD_TALLY_TEXT bytes; control bytes stand as '?'. */
struct load_line {
	char text[LOAD_TALLY_TEXT + 1];
	uint8_t n;
	bool ended;
};

struct load_tally {
	struct load_tally_row {
		char text[LOAD_TALLY_TEXT + 1];
		uint64_t count;
	} rows[LOAD_TALLY_ROWS];
	size_t n;
	uint64_t other;
};

/* One second of the counted part. */
struct load_second {
	uint64_t answers; /* that came in it, whenever their request left */
	uint64_t errors;
	int64_t max_ns; /* of the latency, of requests that count */
};

/* What was done in the counted part of a run: from the end of the warm-up to the end of the duration, or to the last
 * answer of a number of requests. What it is made of is answered in this time, whenever it was asked: in a
 * saturated server the answers to requests of the warm-up take time of this part too, just as those that come after it take
 * none. Latency belongs to the requests instead: those that were due in this part, however late their answers came.
 */
struct load_window {
	int64_t ns; /* 0: it never began, since somebody stopped the warm-up */
	uint64_t answers, bytes_in, bytes_out;
	double rate, rate_in, rate_out; /* of these, a second; 0 without a window */
};

struct load_result {
	struct sd_hdr *service;    /* ns from leaving to the last byte of the answer: the raw distribution */
	struct sd_hdr *response;   /* ns from being due to the last byte: the corrected one; NULL in a closed loop */
	struct sd_hdr *first_byte; /* ns from leaving to the first byte of the answer */
	struct sd_hdr *connect;    /* ns a connection took */
	struct sd_hdr *lag;        /* ns between the moment a request could leave and that it left; NULL: closed loop */
	uint64_t answers;          /* complete ones, whatever their status; requests of the warm-up are in none of these */
	uint64_t status[600];
	uint64_t errors[LOAD_ERRORS];
	uint64_t connects, bytes_in, bytes_out, sent, late;
	uint64_t warmup_answers;
	int64_t elapsed_ns;        /* from the end of the warm-up to the last answer; 0: it did not end */
	struct load_window window; /* what was done, and how much of it a second */
	double cpu;                /* of the busiest generator thread, 0 to 1 */
	struct load_second *seconds;
	size_t nseconds;
	int64_t started_wall_ns;
	bool interrupted;
	struct load_detail *detail; /* NULL: not asked for */
	struct load_tally *tally;   /* NULL: not asked for */
	struct load_tally *refusals; /* first words of the errors that a cache or broker answered; NULL: HTTP */
	const char *limited; /* why the generator, not the server, was the limit; NULL: it was not */
};

/* One answer. */
struct load_row {
	int64_t offset_ns;  /* since the run began */
	int64_t total_ns;   /* with the making of the connection, for the first request on it */
	int64_t connect_ns; /* 0: on a connection that stood already */
	int64_t wait_ns;    /* from when it was sent, on a connection that stood, to the first byte */
	int64_t read_ns;    /* from there to the last */
	uint16_t status;
};

/* What reports of other tools tell beyond our own. */
struct load_detail {
	struct sd_hdr *total, *connect, *processing, *waiting, *reading; /* ns, as in a row; processing: but connect */
	struct sd_hdr *rates; /* answers a second of one thread, in tenths of a second */
	char server[80];      /* the Server field of the first answer; "" none */
	bool any;             /* first_length is known */
	uint64_t first_length, other_lengths; /* of the first body, and how many answers had another length */
	uint64_t body_bytes, kept;            /* kept: answers after which the connection stayed */
	struct load_row *rows;
	size_t nrows, room, max_rows;
	int64_t tenth_ns; /* when the one that runs began */
	int64_t in_tenth;
};

/* What an interrupted run is: "partial result". */
const char *load_interrupted(const struct load_result *r);
uint64_t load_total_errors(const struct load_result *r);
/* The distribution that a user of the server would see: response in an open loop, else service. */
const struct sd_hdr *load_latency(const struct load_result *r);

/* ---- load_plan.c ---- */
enum sd_err load_plan_make(struct sd_world *w, const struct sd_conf *conf, const char *url, struct load_plan *out,
			   struct sd_error *e);
/* A closed loop without pipelining, with another number of connections than --conns, which is not looked at. */
enum sd_err load_plan_make_sized(struct sd_world *w, const struct sd_conf *conf, const char *url, unsigned conns,
				 struct load_plan *out, struct sd_error *e);
/* --pipeline, of the verbs that have it. */
enum sd_err load_plan_pipeline(const struct sd_conf *conf, struct load_plan *p, struct sd_error *e);
void load_plan_free(struct load_plan *p);

/* Building a plan by hand: a target without a request, then requests. */
struct load_builder {
	const struct sd_conf *conf;
	struct load_plan *plan;
	struct sd_slice host, path; /* of the URL, which must stay */
	size_t room, max; /* of requests */
	bool literal; /* {{seq}} is no mark */
};
enum sd_err load_plan_begin(struct sd_world *w, const struct sd_conf *conf, const char *url, unsigned conns,
			    struct load_plan *plan, struct load_builder *b, struct sd_error *e);
enum sd_err load_plan_add(struct load_builder *b, uint32_t weight, struct sd_slice method, struct sd_slice path,
			  struct sd_slice body, struct sd_error *e);
/* A request that is written already; it becomes the plan's, unless there is an error. */
enum sd_err load_plan_push(struct load_builder *b, struct load_request *r, struct sd_error *e);
/* A copy in which each mark has room for its ten digits. NULL: out of memory. */
char *load_marks_expand(struct sd_slice in, size_t *n);
/* False: there are more than LOAD_MAX_MARKS. */
bool load_marks_find(struct load_request *r);

/* ---- load_resp.c ---- */
/* What is said first: who we are, and which database is meant. */
struct sd_resp_url;
enum sd_err load_resp_greet(struct load_plan *p, const struct sd_resp_url *url, struct sd_error *e);
/* --command, --requests-file, or a mix of GET and SET. */
enum sd_err load_resp_commands(struct sd_world *w, struct load_builder *b, struct sd_error *e);

/* ---- load_replay.c ---- */
/* From a log, of which the text is not needed any more afterwards. With an error there is nothing to free. */
enum sd_err load_replay_make(struct sd_world *w, const struct sd_conf *conf, const char *log, const char *url,
			     struct load_plan *out, struct sd_error *e);

/* ---- load_run.c ---- */
struct load_progress {
	/* Called about four times a second while it runs, from the control loop; NULL: nobody looks. */
	void (*fn)(void *arg, const struct load_plan *plan, uint64_t answers, uint64_t errors, int64_t elapsed_ns,
		   const struct load_second *seconds, size_t nseconds);
	void *arg;
};
/* Sets the rates of a window from the rest of it. */
void load_window_rates(struct load_window *w);
enum sd_err load_run(struct sd_world *w, const struct load_plan *plan, const struct load_progress *progress,
		     struct load_result **out, struct sd_error *e);
void load_result_free(struct load_result *r);

/* ---- load_tally.c ---- */
/* Takes the next bytes of a body. */
void load_line_take(struct load_line *line, struct sd_slice data);
void load_tally_add(struct load_tally *t, const struct load_line *line);
/* Its first word only. */
void load_tally_add_word(struct load_tally *t, struct sd_slice text);
void load_tally_merge(struct load_tally *to, const struct load_tally *from);
/* NULL has none. */
uint64_t load_tally_total(const struct load_tally *t);
/* By text. */
void load_tally_sort(struct load_tally *t);

/* ---- load_text.c, load_export.c, load_html.c: reports; write to an open file ---- */
void load_text_summary(FILE *out, const struct load_plan *plan, const struct load_result *r, bool colour);
/* One line for a terminal, without a line end: bar or counts, rate, errors, a sparkline of the last seconds. */
void load_text_progress(FILE *out, const struct load_plan *plan, uint64_t answers, uint64_t errors, int64_t elapsed_ns,
			const struct load_second *seconds, size_t nseconds);
void load_export_json(FILE *out, const struct load_plan *plan, const struct load_result *r);
void load_export_csv(FILE *out, const struct load_plan *plan, const struct load_result *r);
/* One self-contained page: no script or style from elsewhere; plots as inline SVG. */
void load_export_html(FILE *out, const struct load_plan *plan, const struct load_result *r);
/* The standard interval log of HdrHistogram (format 1.3), one interval. */
void load_export_hdr(FILE *out, const struct load_result *r);

/* ---- load_detail.c ---- */
struct load_detail *load_detail_new(const struct load_plan *p); /* NULL: out of memory */
void load_detail_free(struct load_detail *d);
/* One more answer, with the length of its body; `kept` as in load_detail. */
void load_detail_answer(struct load_detail *d, const struct load_row *row, uint64_t length, bool kept);
void load_detail_head(struct load_detail *d, const struct sd_http_head *head);
/* SD_ENOMEM: some rows are lost. */
enum sd_err load_detail_merge(struct load_detail *to, const struct load_detail *from);

/* The n-th root of x > 0. */
double load_root(double x, size_t n);

/* ---- load_rules.c ---- */
/* "p99>50ms", "p99.9>=1s", "mean>5ms", "max>1s", "errors>0.1%", "errors>10", "rate<1000/s", "status.5xx>0": true when it
 * holds, that is, when the run fails by it. *text says what was found: "p99 is 61 ms". */
enum sd_err load_rule_check(const char *rule, struct sd_error *e);
bool load_rule_fails(const char *rule, const struct load_result *r, char *text, size_t n);

#endif
