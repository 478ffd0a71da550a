/* lb.h - what the files of the load balancer share.
 *
 *	control loop                                  each worker
 *	lb, backends with health and their checks --> immutable snapshot, by message --> balancer, peers with pools
 *	            ^                                                                        |
 *	            +------------------- "n requests failed in a row", by message -----------+
 *
 * A backend lives as long as any snapshot names it. It keeps health, counters and what an operator said of it over
 * reloads, as long as its name and address stay. A worker owns one peer for each backend of its snapshot; a peer that
 * is no longer named finishes its calls and goes.
 */
#ifndef LB_H
#define LB_H

#include "app/run.h"
#include "app/run_stream.h"
#include "app/run_tls.h"
#include "core/health.h"
#include "core/proxy_head.h"
#include "core/proxy_protocol.h"
#include "core/proxy_status.h"
#include "core/rng.h"
#include "core/tls_hello.h"
#include "lb_log.h"
#include "lb_affinity.h"
#include "lb_limits.h"
#include "lb_route.h"
#include "net/http_client.h"
#include "sdlab/balance.h"
#include "sdlab/breaker.h"

#define LB_MAX_THREADS 64
#define LB_LABEL       64
#define LB_UPGRADES    256 /* bytes of all their names */
#define LB_UPGRADE     32  /* bytes of one */
#define LB_WHY         200
#define LB_MAX_POOLS   64
#define LB_HELLOS      5 /* values of enum sd_tls_hello_is */
#define LB_DEFAULT_POOL "default"
#define LB_NO_POOL     UINT32_MAX
#define LB_SCRATCH     (20 * 1024) /* a head has at most 16 KiB, what a rule puts in it 1 */

struct lb;
struct lb_worker;
struct lb_trial;

#define LB_EJECT_WHY 64

/* Counters of one backend, written by one worker. */
struct lb_cell {
	uint64_t requests;  /* calls begun */
	uint64_t codes[6];  /* answers by first digit; [0]: none */
	uint64_t refused, timeouts, broken, garbage; /* why there was none */
	uint64_t retried;   /* of those, tried elsewhere */
	uint64_t bytes_in, bytes_out;
	uint32_t inflight;
	struct sd_histogram latency, connect;
	uint64_t spare; /* so that no two threads write to one cache line */
};
_Static_assert(sizeof(struct lb_cell) % 64 == 0, "cells of two threads share a cache line");

enum lb_mode { LB_HTTP, LB_TCP };
enum lb_check_type { LB_CHECK_AUTO, LB_CHECK_HTTP, LB_CHECK_TCP, LB_CHECK_NONE };

/* How health is found out. */
struct lb_rules {
	struct sd_health_rules health;
	enum lb_check_type type;
	int64_t interval_ns, timeout_ns;
	double jitter;
	char path[256], host[128];
	int status_low, status_high;
};

enum lb_admin_state { LB_READY, LB_DRAINED };

/* How a backend is reached by TLS; never changed once made. */
struct lb_tls {
	uint32_t refs; /* atomic */
	struct sd_tls_client *client;
	char name[SD_TLS_NAME]; /* asked for and checked */
};

/* The same for one who connects, with the session of the last time. */
struct lb_tls_use {
	struct lb_tls *tls; /* NULL: plain */
	struct sd_tls_target *target;
};

struct lb_backend {
	uint64_t id;
	uint32_t refs; /* atomic: snapshots and peers that name it */
	char *name, *address; /* as written */
	char label[LB_LABEL]; /* how it is called in lines: "8081" */
	struct sd_addr addr;  /* as parsed; kind SD_ADDR_NAME is resolved first */
	uint32_t conns;       /* atomic: connections of all workers, counted only under max_connections */
	unsigned nthreads;
	struct lb_cell *cells; /* one a thread */
	/* control loop only */
	struct lb *lb;
	struct sd_link link; /* in lb->backends */
	struct sd_health health;
	struct lb_rules rules; /* of its pool */
	char pool[LB_POOL];
	enum lb_admin_state admin;
	struct sd_addr resolved; /* kind SD_ADDR_NONE: not yet */
	struct lb_check *check;
	char check_error[96]; /* why the last failed check failed */
	char eject_why[LB_EJECT_WHY];
	uint64_t ejected;       /* how often */
	struct lb_trial *trial; /* half-open; NULL: it is not */
	uint32_t weight, max_connections;
	uint8_t send_proxy; /* the version of the PROXY header its connections begin with; 0: none */
	struct lb_tls *tls, *tls_next; /* NULL: plain; what a reload is about to put in its place */
	bool listed; /* in the configuration in force */
	bool backup, was_usable;
	int64_t since_ns; /* it last became usable; SD_BALANCE_LONG_AGO: it was from the start */
};

/* One backend as a snapshot sees it. */
struct lb_entry {
	struct lb_backend *backend;
	struct sd_addr addr;
	uint32_t weight, max_connections;
	uint8_t send_proxy;
	struct lb_tls *tls;
	struct lb_trial *trial; /* usable, but for a few requests only; NULL: for all */
	bool usable;
	bool in_reach; /* in panic it is used, whatever its health */
	bool well;     /* may go on with the sessions it has, also while it is drained */
	bool backup;
	int64_t since_ns;
	uint64_t sticky_id;
};

/* Backends that stand in for each other; one of them takes the request. */
struct lb_pool {
	char name[LB_POOL];
	size_t first, n; /* its part of the snapshot's entries */
	struct sd_balance_conf balance;
	struct sd_balance_tier tier;
	struct lb_affinity_rules affinity;
	struct sd_http_pool_conf http;
	uint32_t retries;
};

/* Everything a worker needs to know; never changed once made. */
struct lb_snapshot {
	uint32_t refs; /* atomic */
	struct sd_budget_rules budget; /* of one worker */
	uint32_t queue_size;
	bool ejects;
	struct sd_breaker_conf eject; /* of each backend at each worker; without hooks */
	bool observe; /* an answer can be a failure as well */
	uint64_t retry_buffer;
	int64_t queue_timeout_ns, retry_after_s, tunnel_timeout_ns;
	struct lb_log *log; /* NULL: never asked for */
	int access;         /* enum sd_access_format; -1: no access log */
	bool trace;         /* traceparent is passed on or begun */
	bool why;           /* a trusted client may ask for X-Sdlab-Why */
	char upgrades[LB_UPGRADES]; /* protocols a request may change to, commas between; "any" */
	enum sd_proxy_style forwarded;
	size_t ntrusted;
	struct sd_cidr *trusted;
	struct lb_routes *routes; /* NULL: none */
	struct sd_limits *limits; /* NULL: none */
	size_t npools;
	struct lb_pool *pools; /* in the order of the configuration, of which alone it depends */
	size_t n;
	struct lb_entry entries[]; /* pool by pool */
};

struct lb {
	struct sd_run *run;
	enum lb_mode mode;
	const struct sd_conf *conf; /* in force */
	struct lb_rules rules;
	struct lb_snapshot *now;
	struct lb_log *log;
	struct lb_routes *routes; /* of the configuration in force; NULL: none */
	struct sd_helpers *file_helpers; /* for files of routes; NULL: never asked for */
	struct sd_link route_counts;
	struct lb_limiting limiting;
	struct sd_link backends;
	uint64_t next_id;
	struct sd_run_watch tls_watch; /* of connections to backends */
	struct sd_http_head check_head; /* answers to checks are parsed here */
	unsigned nworkers;
	struct lb_worker *workers[LB_MAX_THREADS];
	struct sd_timer tick; /* ends ejections */
	struct sd_siphash_key sticky_key;
	bool sticky_made;              /* here: it is in no configuration */
	double max_ejected;            /* share of a pool */
	bool stopping;
};

/* ---- lb_options.c ---- */
extern const struct sd_option lb_options[];

/* ---- lb_pool.c ---- */
enum sd_err lb_pools_check(const struct sd_conf *conf, struct sd_error *e);
/* The names of a configuration's pools, the default one first when it is there; their number. */
size_t lb_pool_names(const struct sd_conf *conf, char names[LB_MAX_POOLS][LB_POOL]);
/* Where what is set for a pool is read. */
struct lb_scope lb_pool_scope(const struct sd_conf *conf, const char *name);
/* Fills s->pools, and what entries know by them; the entries are there already. */
enum sd_err lb_pools_make(struct lb *lb, const struct sd_conf *conf, struct lb_snapshot *s, struct sd_error *e);
/* LB_NO_POOL: there is none of that name. */
uint32_t lb_pool_find(const struct lb_snapshot *s, const char *name);
/* The same pool in a later snapshot. */
uint32_t lb_pool_follow(const struct lb_snapshot *was, uint32_t pool, const struct lb_snapshot *is);

/* ---- lb_conf.c ---- */
enum sd_err lb_check_conf(const struct sd_conf *conf, struct sd_error *e);
enum sd_err lb_check_files(struct sd_world *w, const struct sd_conf *conf, struct sd_error *e);
enum sd_err lb_rules_make(const struct lb_scope *scope, enum lb_mode mode, struct lb_rules *out, struct sd_error *e);
/* Finds or makes the backends a configuration names, and marks exactly those as listed. On failure nothing changed. */
enum sd_err lb_backends_make(struct lb *lb, const struct sd_conf *conf, struct sd_error *e);
/* One row, of a configuration or of a person at run time: is what it says possible? */
enum sd_err lb_row_check(const struct sd_conf *row, struct sd_error *e);
const char *lb_row_name(const struct sd_conf *row, char out[SD_ADDR_TEXT]);
/* Finds or makes the backend of a row, and lists it as the row says. NULL: out of memory. */
struct lb_backend *lb_backend_add(struct lb *lb, const struct sd_conf *row, struct sd_error *e);
size_t lb_backends_listed(const struct lb *lb);
/* What a backend is judged by; false: nothing is ejected. */
bool lb_eject_conf(const struct sd_conf *conf, struct sd_breaker_conf *out);
struct lb_snapshot *lb_snapshot_make(struct lb *lb, const struct sd_conf *conf, struct sd_error *e);
void lb_snapshot_release(struct lb_snapshot *s);
void lb_backend_release(struct lb_backend *b);
void lb_labels(struct lb *lb);

/* ---- lb_control.c ---- */
enum sd_err lb_reload(void *self, const struct sd_conf *conf, struct sd_error *e);
/* Ends ejections whose time is over. */
void lb_tick(struct sd_timer *t);
/* Something about the backends changed: a new snapshot for all workers. */
void lb_publish(struct lb *lb);
/* Prints and publishes what a change of health means. */
void lb_health_changed(struct lb_backend *b, enum sd_health_change change);
/* From a worker: so much failed that the backend is to be left out; why: "5 failed requests in a row". asked_ns: it wants to be
 * left alone for so long; 0: it did not say. */
void lb_tell_failed(struct lb_worker *w, struct lb_backend *b, const char *why, int64_t asked_ns);
/* The few requests of a half-open backend went well, or one of them did not. */
void lb_trial_ended(struct lb_backend *b, bool passed);

/* Ends those that are not listed any more. */
void lb_forget_unlisted(struct lb *lb);

/* ---- lb_trial.c ---- */

/* What a request has of a backend while it is there. */
struct lb_hold {
	bool counted;                    /* one of its max-connections */
	struct lb_trial *trial;          /* whose permit it has; NULL: none */
	struct sd_breaker_ticket ticket; /* the permit */
};
/* Control loop. False: out of memory, and it is not half-open. */
bool lb_trial_begin(struct lb_backend *b, uint32_t permits, uint32_t successes);
void lb_trial_drop(struct lb_backend *b); /* fine when there is none */
void lb_trial_stats(const struct lb_backend *b, struct sd_breaker_stats *out);
/* With a reference of its own; NULL: there is none. */
struct lb_trial *lb_trial_of(const struct lb_backend *b);
void lb_trial_release(struct lb_trial *t); /* NULL is fine */
/* Any thread: a permit; false: all are out. Then once, how it ended; nothing when there is no permit any more. */
bool lb_trial_take(struct lb_trial *t, int64_t now_ns, struct lb_hold *hold);
void lb_trial_done(struct lb_hold *hold, const struct sd_breaker_outcome *how, int64_t now_ns);

/* ---- lb_runtime.c ---- */
/* POST to the list, and PATCH and DELETE of one. */
void lb_runtime_add(struct lb *lb, struct sd_admin_call *c);
void lb_runtime_change(struct lb_backend *b, struct sd_admin_call *c);
void lb_runtime_remove(struct lb_backend *b, struct sd_admin_call *c);
/* How the backends differ from the configuration in force: "added web-9; weight of web-1 5"; "" when they do not. The caller
 * frees it. */
char *lb_runtime_state(const struct lb *lb);

/* ---- lb_tls.c ---- */
enum sd_err lb_tls_check_row(const struct sd_conf *row, struct sd_error *e);
/* Are its CAs there? */
enum sd_err lb_tls_find(struct sd_world *w, const struct sd_conf *row, struct sd_error *e);
/* Makes b->tls_next from the row; what it has, when neither the row nor the files say anything new. Then one of the two. */
enum sd_err lb_tls_prepare(struct lb_backend *b, const struct sd_conf *row, struct sd_error *e);
void lb_tls_commit(struct lb_backend *b);
void lb_tls_cancel(struct lb_backend *b);
/* What the backend has now, with a reference of its own. */
struct lb_tls *lb_tls_of(const struct lb_backend *b);
void lb_tls_release(struct lb_tls *t);
/* Changes to what is in force now; false when it is what it was. */
bool lb_tls_follow(struct lb_tls_use *use, struct lb_tls *now);
void lb_tls_end(struct lb_tls_use *use);
/* Out of memory: nothing may be sent rather than in the open. */
bool lb_tls_lacks(const struct lb_tls_use *use);

/* ---- lb_hello.c ---- */
extern const char *const lb_hello_names[LB_HELLOS];
/* Does the name that a client asks for by TLS decide about its pool? */
bool lb_hello_wanted(const struct lb_snapshot *s);
/* Counts it, and says so once in a while. */
void lb_hello_unrouted(struct lb_worker *w, const struct sd_peer *who, enum sd_tls_hello_is is, const struct sd_tls_hello *hello);
void lb_hello_metrics(const struct lb *lb, struct sd_metrics *m, const char *label);

/* ---- lb_proxy.c ---- */
/* The PROXY header of a connection that speaks for this client; returns its length. hello: what the client said of TLS that
 * goes through; NULL: nothing. */
size_t lb_proxy_write(char out[SD_PP_WRITE_MAX], int version, struct sd_io *client, const struct sd_tls_hello *hello);

/* ---- lb_check.c ---- */
void lb_check_begin(struct lb_backend *b);
void lb_check_end(struct lb_backend *b);

/* ---- lb_admin.c ---- */
extern const struct sd_admin_route lb_routes[];
void lb_metrics(void *self, struct sd_metrics *m);
bool lb_ready(void *self);
/* The counters of all workers. */
void lb_add_up(const struct lb_backend *b, struct lb_cell *sum);
/* "up", "down", "ejected", "drained" or "unresolved"; and the reason, "" when it gets requests. */
const char *lb_state_of(const struct lb_backend *b);
const char *lb_why_of(const struct lb_backend *b, char out[LB_WHY]);
struct cJSON *lb_backend_json(const struct lb_backend *b);

/* ---- lb_explain.c ---- */
void lb_route_explain(struct sd_admin_call *c);
/* On a worker: the algorithm and every candidate with its score, before one is picked; the caller frees it. NULL: out of
 * memory. */
char *lb_why_candidates(struct lb_worker *w, uint32_t pool, const struct lb_affinity *want);
/* X-Sdlab-Why as a line of a head; for free. NULL: out of memory. */
char *lb_why_line(const char *candidates, const char *backend, uint32_t retries);

/* ---- lb_page.c ---- */
void lb_route_status(struct sd_admin_call *c);

/* ---- lb_status.c ---- */
extern const struct sd_verb lb_verbs[];

/* ---- lb_worker.c ---- */

/* Connections whose ClientHello was looked at. */
struct lb_hellos {
	uint64_t is[LB_HELLOS], unrouted;
	int64_t said_ns; /* when somebody was told last */
	uint64_t skipped;
};

/* A pool as one worker sees it. */
struct lb_view {
	char name[LB_POOL];
	struct lb_worker *w;
	struct sd_balancer *balancer;
	size_t first; /* of its entries */
	struct sd_link queue; /* lb_waiter */
	bool kept;
};

/* A backend as one worker sees it. */
struct lb_peer {
	struct lb_backend *backend;
	struct lb_cell *cell;
	struct lb_tls_use tls; /* pool.tls is its target */
	struct sd_http_pool pool;
	struct sd_link link; /* in worker->peers or worker->leaving */
	struct lb_worker *worker;
	struct sd_breaker *breaker;   /* counts what fails; it never opens: the control loop decides. NULL: nothing is ejected */
	struct sd_breaker_conf eject; /* what it was made of */
	int64_t asked_ns;             /* Retry-After of the answer that is being judged; 0: none */
	uint32_t max_connections;
	uint8_t send_proxy;
	size_t index; /* in the snapshot; SIZE_MAX: no longer in it */
	uint32_t in_pool;
};

/* Something that waits for a backend: an HTTP request or a TCP connection. */
struct lb_waiter {
	struct sd_link link;
	int64_t until_ns;
	bool waiting;
	bool picky; /* waits for one backend: those behind it need not wait as well */
	void (*go)(struct lb_waiter *self);                  /* try again */
	void (*give_up)(struct lb_waiter *self, bool timeout); /* it took too long, or nothing is left */
};

struct lb_worker {
	struct lb *lb;
	struct sd_worker *w;
	struct sd_loop *loop;
	struct sd_http_server server;
	struct sd_http_head answer_head;
	struct lb_snapshot *snap;
	struct lb_view **views; /* one a pool of the snapshot */
	struct lb_peer **peers; /* by index in the snapshot */
	struct sd_link leaving; /* peers out of the snapshot with calls in progress */
	uint32_t nqueued;       /* in the queues of all views */
	struct sd_timer queue_timer;
	struct sd_task wake; /* another worker freed a connection */
	bool wake_posted;    /* atomic */
	bool hungry;         /* atomic: somebody waits, so others tell when they free a connection */
	bool serving;        /* the queue is being served */
	void *free_requests; /* lb_http.c */
	struct lb_log_side log;
	struct sd_rng rng; /* ids of traces, splits */
	char path[LB_SCRATCH], target[LB_SCRATCH]; /* of lb_route.c, for one request at a time */
	struct sd_histogram queued;
	struct sd_budget budget;
	/* counters */
	uint64_t unavailable, queue_full, queue_timeouts, retries, stale, budget_exhausted;
	uint64_t sticky_kept, sticky_new, sticky_moved, sticky_bad;
	struct sd_run_streams streams; /* TCP mode */
	struct sd_link tunnels;                          /* its connections, and requests that changed their protocol */
	uint32_t ntunnels, idle_tunnels;
	uint64_t tunnels_total, upgrades, tunnel_timeouts, spliced;
	struct lb_hellos hellos;
	struct sd_limits_counts limited;
	bool draining;
};

enum { LB_NONE = -1, LB_FULL = -2 };

struct lb_worker *lb_worker_new(struct lb *lb, struct sd_worker *w, struct sd_error *e);
void lb_worker_free(struct lb_worker *w);
/* Takes the reference. On the worker's thread, or before it runs. */
void lb_worker_adopt(struct lb_worker *w, struct lb_snapshot *s);
/* An index into the snapshot, LB_NONE when no backend of the pool may be used, LB_FULL when all that may have no connection
 * left, or no permit. tried: bits of backends to pass over, counted from the pool's first; want: what the request would rather have.
 * The connection is taken, as *hold says: give it back with lb_worker_give_back. */
int lb_worker_take(struct lb_worker *w, uint32_t pool, const uint64_t *tried, const struct lb_affinity *want, struct lb_hold *hold);
/* What lb_worker_take would decide by: see sd_balancer_explain. */
size_t lb_worker_explain(struct lb_worker *w, uint32_t pool, const uint64_t *tried, const struct lb_affinity *want,
			 struct sd_balance_candidate *out, size_t room);
/* A request came, and may one be tried again: the retry budget. */
void lb_worker_asked(struct lb_worker *w);
bool lb_worker_may_retry(struct lb_worker *w);
void lb_worker_give_back(struct lb_worker *w, struct lb_peer *p, struct lb_hold *hold);
/* False when the queues are full. */
bool lb_worker_enqueue(struct lb_worker *w, uint32_t pool, struct lb_waiter *waiter);
void lb_worker_dequeue(struct lb_worker *w, struct lb_waiter *waiter);
void lb_worker_succeeded(struct lb_worker *w, struct lb_peer *p, struct lb_hold *hold);
/* The same of an answer, which may say that it failed. */
void lb_worker_answered(struct lb_worker *w, struct lb_peer *p, struct lb_hold *hold, const struct sd_http_head *head);
void lb_worker_failed(struct lb_worker *w, struct lb_peer *p, struct lb_hold *hold, enum sd_err why);
/* Its answer took so long; not ok: it says that the backend failed. */
void lb_worker_took(struct lb_worker *w, struct lb_peer *p, int64_t took_ns, bool ok);

/* ---- lb_why.c ---- */

/* Why a request is answered here. */
enum lb_reason {
	LB_NO_BACKEND,
	LB_NONE_LEFT,
	LB_QUEUE_FULL,
	LB_QUEUE_TIMEOUT,
	LB_QUEUE_LEFT,
	LB_NO_ROOM,
	LB_BACKEND_REFUSED,
	LB_FORWARD_PROXY,
	LB_LAST_HOP,
	LB_NO_TRACE,
	LB_NO_MEMORY,
	LB_NO_ROUTE,
	LB_TOO_LARGE,
};
struct lb_answer {
	int status;
	enum sd_proxy_error error;
	const char *text; /* names the option or the RFC that decides */
};
extern const struct lb_answer lb_answers[];

/* ---- lb_http.c, lb_tcp.c ---- */
extern const struct sd_http_handler lb_http_handler;
void lb_http_free(struct lb_worker *w);
enum sd_err lb_tcp_listen(struct lb_worker *w, struct sd_error *e);
/* Both connections of a request that changed its protocol, the backend's place with them, become a tunnel. The worker's
 * server counts it as a connection. */
void lb_tunnel_begin(struct lb_worker *w, struct sd_http_exchange *x, struct sd_stream *backend, struct lb_peer *peer,
		     const struct lb_hold *hold);
void lb_tcp_drain(struct lb_worker *w);
void lb_tcp_stop(struct lb_worker *w);

#endif
