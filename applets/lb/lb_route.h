/* lb_route.h - which way a request goes: the rules of the configuration, and what each does.
 *
 *	request --> path in its normal form --> the most particular rule (core/route.h)
 *	              | none: 400                | none: the pool called default; 404 when it has no backends
 *	                                         v
 *	                          pool, or one of several by weight | redirect | an answer | files
 *
 * Without rules nothing of this is done, and what a client sent goes on as it is. With them the path goes on in the form
 * it was judged by, so that the backend cannot understand another one.
 */
#ifndef LB_ROUTE_H
#define LB_ROUTE_H

#include "core/head_edit.h"
#include "core/route.h"
#include "lb_affinity.h"

#define LB_MAX_SHARES 16
#define LB_ROUTE_NAME 128

/* What is changed in heads. */
struct lb_edits {
	struct sd_head_edit request, answer;
	char *lines; /* what the answer's edit brings */
	size_t nlines;
};

enum lb_action { LB_TO_POOL, LB_REDIRECT, LB_SAY, LB_FILES };

/* One pool of a split. */
struct lb_share {
	uint32_t pool, weight;
};

/* Requests by rule; lives as long as the balancer, so that a reload counts on. */
struct lb_route_count {
	struct sd_link link;
	char *name;
	uint64_t *n; /* one a thread, a cache line apart */
};

struct lb_route {
	char name[LB_ROUTE_NAME]; /* its own, or "api.test/v1" */
	uint32_t place;           /* of its name, for limits; from 1 */
	enum lb_action action;
	size_t nshares;
	struct lb_share shares[LB_MAX_SHARES];
	uint32_t weights;     /* of all shares */
	bool by_client;       /* a client stays with its share */
	int status;           /* LB_REDIRECT, LB_SAY */
	char *text;           /* the template of Location, or the body */
	char *rewrite;        /* what the rule's path becomes; NULL: it stays */
	size_t path_n;        /* bytes of the rule's path */
	uint64_t max_body;    /* 0: no limit */
	bool compress;                /* answers on their way to the client */
	struct sd_http_files *files; /* LB_FILES */
	struct lb_edits edits;
	struct lb_route_count *count;
};

struct lb_routes {
	uint32_t refs; /* atomic */
	struct sd_route_set *set;
	struct lb_edits edits; /* where no rule counts */
	uint64_t max_body;         /* the largest of all; 0: one has no limit */
	uint64_t max_body_default; /* where no rule counts */
	bool by_host;              /* a rule has one */
	uint32_t *by_rule;         /* what sd_route_find gives is of a rule; a route has one for each host */
	size_t n;
	struct lb_route routes[];
};

/* What was found for a request. */
struct lb_choice {
	const struct lb_route *route; /* NULL: none */
	uint32_t pool;                /* LB_NO_POOL: nowhere */
	struct sd_slice path;         /* in normal form; in the worker's scratch */
	const char *bad;              /* the path is none; a sentence */
};

struct lb;
struct sd_http_files;
struct sd_metrics;
struct lb_worker;
struct lb_snapshot;
struct sd_http_head;
struct sd_http_exchange;
struct sd_peer;

/* What a row is called. */
const char *lb_route_name(const struct sd_conf *row, char out[LB_ROUTE_NAME]);
/* Of the first row that is called so, counted from 1; 0: none is. */
uint32_t lb_route_place(const struct sd_conf *conf, const char *name);
enum sd_err lb_routes_check(const struct sd_conf *conf, struct sd_error *e);
/* *out NULL with SD_OK: there are none. */
enum sd_err lb_routes_make(struct lb *lb, const struct sd_conf *conf, struct lb_routes **out, struct sd_error *e);
struct lb_routes *lb_routes_hold(struct lb_routes *r);
void lb_routes_release(struct lb_routes *r);
void lb_routes_forget(struct lb *lb); /* the counts, at the very end */
void lb_routes_metrics(const struct lb *lb, struct sd_metrics *m, const char *label);

/* On a worker, by its snapshot. who: the client as trusted proxies say. */
void lb_route_choose(struct lb_worker *w, unsigned place, const struct sd_http_head *head, const struct sd_peer *who, struct lb_choice *out);
/* In TCP mode: the pool for the name a client asked for by SNI (empty: none); LB_NO_POOL: no rule has it. */
uint32_t lb_route_by_name(struct lb_worker *w, unsigned place, struct sd_slice name, const struct sd_peer *who);
/* The target as it goes to the backend, in the worker's scratch; empty: as it came. */
struct sd_slice lb_route_target(struct lb_worker *w, const struct lb_choice *c, const struct sd_http_head *head);
/* The path behind the rule's own, with its '/'. */
struct sd_slice lb_route_rest(const struct lb_choice *c);
/* What templates may hold; it points into the head and the worker's scratch. */
void lb_route_vars(struct lb_worker *w, const struct lb_choice *c, const struct sd_http_head *head, bool secure, struct sd_slice client,
		   struct sd_http_vars *out);
void lb_route_counted(const struct lb_worker *w, const struct lb_route *route);

#endif
