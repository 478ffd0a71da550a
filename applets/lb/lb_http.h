/* lb_http.h - an HTTP request on its way, for the files that take it there: lb_http.c (its states) and lb_head.c (what
 * its head becomes). */
#ifndef LB_HTTP_H
#define LB_HTTP_H

#include "core/text.h"
#include "core/traceparent.h"
#include "lb.h"

struct lb_request {
	struct lb_waiter waiter;
	struct lb_worker *w;
	struct sd_http_exchange *x;
	struct sd_http_call *call; /* CALLING and ANSWERING */
	struct lb_peer *peer;      /* with call */
	struct lb_snapshot *snap;  /* what `pool` and `tried` count in */
	char *sent;                /* head and body as they go to a backend, while `replay` */
	size_t n, cap;
	struct lb_log_entry *log; /* NULL: no line for this one */
	char *why;                /* the client wants to know: what there was to choose from */
	int64_t begun_ns, called_ns, queued_ns, waited_ns;
	struct lb_affinity want;
	struct lb_routes *routes;     /* held, while route or its edits are used */
	const struct lb_route *route; /* NULL: no rule */
	struct sd_file_answer *file;    /* a route answers with files */
	struct sd_http_encode *encode; /* the answer is compressed; NULL: not, or it has no body */
	uint32_t tries, pool;
	uint8_t method, coding;
	struct lb_hold hold; /* with peer */
	char upgrade[LB_UPGRADE]; /* the protocol it may change to; "": none */
	bool replay, idempotent, complete, chunked, answering, refreshed, compress, encoded;
	uint64_t tried[SD_BALANCE_MAX / 64];
};

/* Room for more bytes behind those that are kept; NULL: out of memory. */
char *lb_request_reserve(struct lb_request *r, size_t more);

/* ---- lb_head.c ---- */
/* What a request says, as long as its head is at hand. */
struct lb_told {
	struct sd_peer who; /* the client, as trusted proxies say */
	char client[46];
	size_t client_n;
	struct sd_traceparent trace;
	bool trace_begins;
	struct lb_choice choice;
};
/* Reads all that; begins the line in the log, and sets the request's route. */
void lb_head_read(struct lb_request *r, unsigned place, const struct sd_http_head *head, struct lb_told *told);
/* The head as it goes to a backend, into r->sent. False: out of memory. */
bool lb_head_write(struct lb_request *r, const struct sd_http_head *head, const struct lb_told *told);
/* What an answer goes through on its way to the client. */
struct sd_proxy_hop lb_head_back(const struct lb_request *r);
/* Fields of the answer of a route that sends nothing to a backend: Location, and what the route brings. For free; NULL: out
 * of memory. */
char *lb_head_of_answer(struct lb_request *r, const struct sd_http_head *head, const struct lb_told *told);
/* The URL that a redirect leads to. */
void lb_head_location(struct sd_text *t, const char *template, const struct sd_http_vars *vars);
/* It asks which backends were weighed, and may know. */
bool lb_head_wants_why(const struct lb_request *r, const struct sd_http_head *head);
/* A request that is refused before it is one gets its line in the access log. */
void lb_head_refused(struct sd_http_exchange *x, const struct sd_http_head *head, int status, const char *why);

#endif
