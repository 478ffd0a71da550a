/* backend.h - what the files of the test server share.
 *
 *	backend.c    its face and its life as a service
 *	request.c    the course of a request: waiting, working, answering
 *	answers.c    what each path answers
 */
#ifndef BACKEND_H
#define BACKEND_H

#include "app/run.h"
#include "core/rng.h"

/* in the order of the choices */
enum backend_mode { MODE_SINGLE, MODE_THREADED, MODE_EVENT };
enum work_kind { WORK_WAIT, WORK_COMPUTE };

struct behaviour {
	int64_t delay_ns, jitter_ns, work_ns;
	enum work_kind kind;
	double error_rate;
	uint64_t fail_from, fail_count; /* by the number of the request; 0: none */
};

struct backend;

struct worker {
	struct backend *b;
	struct sd_http_server server;
	struct sd_worker *w;
	struct sd_rng rng;
	struct behaviour now;
	struct sd_link live; /* requests in progress: struct request.link */
	uint64_t served, errors;
	char home[320]; /* "Response from NAME\n" */
	size_t home_n;
};

struct backend {
	struct sd_run *run;
	const char *name;
	enum backend_mode mode;
	struct sd_helpers *helpers;
	unsigned nworkers;
	struct worker **workers;
};

/* A request that is not answered at once. */
struct request {
	struct worker *w;
	struct sd_http_exchange *x; /* NULL: the client is gone */
	struct sd_link link;
	struct sd_timer timer;
	struct sd_work work;
	void (*answer)(struct request *r);
	int status;        /* /status/N */
	int64_t left;      /* /bytes: still to send */
	int64_t wait_ns, work_ns; /* of a helper: first waits, then works as `kind` says */
	enum work_kind kind;
	bool complete, waited, working, echo, endless;
	int ticks;         /* /sse */
	char *text;        /* /headers, or the collected body of /echo */
	size_t n;
	char type[128];
};
/* ---- answers.c ---- */

/* Finds what answers the path; true when it can be answered, else *error says what was expected. */
bool backend_find(struct request *r, const struct sd_http_head *head, const char **error);
void backend_answer_status(struct request *r);
/* Goes on with /bytes after its backlog fell. */
void backend_send_bytes(struct request *r);

/* ---- request.c ---- */

extern const struct sd_http_handler backend_handler;
void backend_release(struct request *r);

#endif
