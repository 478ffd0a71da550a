/* run.h - a service that runs: its workers, configuration, log, metrics and admin endpoints.
 *
 * Threads and who owns what:
 *
 *	control loop   the main thread: signals, admin endpoints, reloads, events, timers of the service as a whole.
 *	               One for all services of the process
 *	worker loops   `threads` of them for each service: its connections. A connection lives and dies on one
 *
 *	conf, snapshots      immutable; replaced whole, by message
 *	counters             written by one worker, read by the control loop when asked
 *	everything else      belongs to one loop and is reached from others by message only (sd_loop_post)
 */
#ifndef SD_APP_RUN_H
#define SD_APP_RUN_H

#include "applet.h"
#include "core/list.h"
#include "event.h"
#include "metrics.h"
#include "net/http_server.h"
#include "run_clients.h"

#define SD_RUN_MAX_ADDRS SD_HTTP_MAX_DOORS

struct cJSON;
struct sd_run;
struct sd_conf_loader;
struct sd_dispatch;

struct sd_worker {
	struct sd_run *run;
	unsigned index;
	struct sd_loop *loop;
	void *state; /* the service's own */
	struct sd_http_server *http; /* listens on the run's addresses; NULL: another kind of service */
	struct sd_tls_server *tls;   /* what its new connections speak; NULL: plain */
	bool drained, started, running;
	struct sd_task drained_task, drain_task, stop_task;
};

/* One more thing the admin server answers, under /-/NAME. */
struct sd_admin_call {
	struct sd_run *run;
	struct sd_http_exchange *x; /* answer it before returning, or later */
	enum sd_http_method method;
	struct sd_slice rest; /* of the path, behind the route's name: "" or "/..." */
	struct sd_slice query;
	struct sd_slice body; /* of routes that take one */
};
struct sd_admin_route {
	const char *name; /* "backends" for /-/backends and what is below it; NULL ends the table */
	const char *help;
	void (*fn)(struct sd_admin_call *call);
	bool body; /* other methods than GET wait for the request's body, of 64 KiB at most */
};

/* The hooks of a service. All but start, drain and stop run on the control loop. */
struct sd_service {
	/* Makes *self from the configuration. */
	enum sd_err (*create)(struct sd_run *run, const struct sd_conf *conf, void **self, struct sd_error *e);
	/* Sets one worker up on w->loop, which does not run yet. */
	enum sd_err (*start)(void *self, struct sd_worker *w, struct sd_error *e);
	/* All workers are up; the control loop is about to run. NULL: nothing to do. */
	void (*started)(void *self);
	/* Takes a new configuration, or refuses it and keeps the old one. NULL: nothing may change. */
	enum sd_err (*reload)(void *self, const struct sd_conf *conf, struct sd_error *e);
	/* On the worker's thread: stop accepting, finish what is in progress, then sd_worker_drained(w). */
	void (*drain)(void *self, struct sd_worker *w);
	/* On the worker's thread: end everything now. Its loop stops afterwards. */
	void (*stop)(void *self, struct sd_worker *w);
	void (*destroy)(void *self); /* no worker runs any more */
	void (*metrics)(void *self, struct sd_metrics *m);
	bool (*ready)(void *self); /* NULL: as soon as it listens */
	/* What it needs and whether that is there, a member each, such as "database": {"up": true}: then /-/ready is JSON.
	 * NULL: nothing that may go away. */
	void (*needs)(void *self, struct cJSON *out);
	/* What the process does instead of running one instance: for a stack. NULL: it runs one. The exit status. */
	int (*process)(struct sd_dispatch *d, const struct sd_applet *applet, const struct sd_conf *conf);
	const struct sd_admin_route *routes;
	/* What is agreed on by ALPN with those who speak TLS to it, most wanted first, ended by NULL; NULL: ALPN is not
	 * answered. No such function: http/1.1. */
	const char *const *(*alpn)(const struct sd_conf *conf);
};

struct sd_run_spec {
	struct sd_world *world;
	struct sd_loop *control;
	struct sd_events *events;
	const struct sd_applet *applet;
	const struct sd_conf *conf;    /* stays the caller's, and must outlive the run unless load is set */
	struct sd_conf_loader *load;   /* how a reload gets a new one; NULL: cannot */
	const char *name;              /* of the service; NULL: the applet's */
	struct sd_log *log;            /* where it speaks; NULL: one of its own */
	const char *extra_addr;        /* also listens here ("inproc:web-1"), NULL: no */
	bool no_port;                  /* its own port and admin address only when somebody set them */
	struct sd_task *up;            /* posted to the control loop when it says that it is up; NULL: nobody asks */
	struct sd_task *stop;          /* posted to the control loop when the service asks to end; NULL: it may not */
};

struct sd_run {
	struct sd_run_spec spec;
	const struct sd_conf *conf; /* in force */
	struct sd_conf *loaded;     /* the one a reload made, to be freed */
	char *name, *tag;
	struct sd_log *log;
	void *self;
	unsigned nworkers;
	struct sd_worker *workers;
	struct sd_addr addrs[SD_RUN_MAX_ADDRS];
	uint8_t doors[SD_RUN_MAX_ADDRS]; /* 0: its port, or what the process put there; else the row of listeners, from 1 */
	uint32_t plain_doors;            /* those without TLS, a bit each */
	int naddrs;
	struct sd_run_tls *tls;
	struct sd_admin *admin;
	bool listening, draining, stopped;
	bool failed; /* sd_run_fail */
	int64_t started_ns;
	uint64_t reloads, failed_reloads;
	void (*on_drained)(struct sd_run *run, void *arg);
	void *on_drained_arg;
	struct sd_timer drain_timer;
	struct sd_cidr *proxy_from; /* who may send PROXY headers */
	size_t nproxy_from;
	struct sd_run_clients clients;
};

/* The options every service has. */
extern const struct sd_option sd_common_options[];
/* What must hold between them. */
enum sd_err sd_run_check(const struct sd_conf *conf, struct sd_error *e);

/* Creates and starts it; prints nothing but what the service says. */
enum sd_err sd_run_start(const struct sd_run_spec *spec, struct sd_run **out, struct sd_error *e);
/* Loads the configuration anew and hands it to the service; says how it went as an event as well. */
enum sd_err sd_run_reload(struct sd_run *run, struct sd_error *e);
/* Stops accepting and lets requests finish, at most drain-timeout; then fn, from the control loop. */
void sd_run_drain(struct sd_run *run, void (*fn)(struct sd_run *run, void *arg), void *arg);
/* Ends it now and frees it. */
void sd_run_free(struct sd_run *run);
bool sd_run_ready(struct sd_run *run);
void sd_run_metrics(struct sd_run *run, struct sd_metrics *m);

/* ---- for services ---- */

/* The number of the listener with this name ("main" for the port); -1: there is none. */
int sd_run_door(const struct sd_conf *conf, const char *name);
/* Makes an HTTP server listen on all addresses of the run, on this worker. */
enum sd_err sd_run_listen_http(struct sd_run *run, struct sd_worker *w, struct sd_http_server *srv,
			       struct sd_error *e);
/* From any thread: the whole ends, as after SIGTERM. False: this one may not ask that (it is one of a stack). */
bool sd_run_ask_stop(struct sd_run *run);
/* The same on the control loop, since it cannot do what it is for: the exit status is 1. */
bool sd_run_fail(struct sd_run *run);
/* Says "Listening on :8080": it is up, and those who need it may start. On the control loop, once. */
void sd_run_say_listening(struct sd_run *run);
/* The same of a service that listens nowhere, in a sentence of its own. */
void sd_run_say_ready(struct sd_run *run, const char *format, ...) __attribute__((format(printf, 2, 3)));
void sd_worker_drained(struct sd_worker *w);
/* "service=\"front\"", for labels of metrics. */
const char *sd_run_label(const struct sd_run *run, char *out, size_t n);
/* What the common options say about connections and slow clients. */
void sd_run_http_conf(const struct sd_run *run, struct sd_http_server_conf *out);
/* The counters of a service's HTTP servers, one a worker, added up into the families every HTTP service has. */
void sd_run_http_metrics(struct sd_run *run, struct sd_metrics *m, const struct sd_http_server *const *servers,
			 unsigned n);

#endif
