/* run_tls.h - the `tls` options that every service has, and what the control loop keeps for them. */
#ifndef SD_APP_RUN_TLS_H
#define SD_APP_RUN_TLS_H

#include "net/tls.h"
#include "run.h"

extern const struct sd_option sd_run_tls_options[];

/* For --check-config: reads the files. */
enum sd_err sd_run_tls_check(struct sd_world *w, const struct sd_conf *conf, struct sd_error *e);

/* Counters of one side of a service, and its line in the log for each failure (some a second; the rest is counted). */
struct sd_run_watch {
	struct sd_tls_watch tls;
	struct sd_run *run;
	const char *side; /* "client" or "backend" */
	int64_t second[SD_TLS_REASONS]; /* atomic, as the next: so that one reason does not hide another */
	uint32_t lines[SD_TLS_REASONS];
};
void sd_run_watch_init(struct sd_run_watch *watch, struct sd_run *run, const char *side);
void sd_run_watch_metrics(struct sd_run_watch *watch, struct sd_metrics *m);

/* ---- run.c's own ---- */
enum sd_err run_tls_new(struct sd_run *run, struct sd_run_tls **out, struct sd_error *e);
void run_tls_free(struct sd_run_tls *t);
struct sd_tls_server *run_tls_hold(struct sd_run_tls *t);
/* *out NULL with SD_OK: the configuration has no certificate. */
enum sd_err run_tls_make(struct sd_run_tls *t, const struct sd_conf *conf, struct sd_tls_server **out, struct sd_error *e);
/* For new connections from now on; takes the reference. */
void run_tls_install(struct sd_run_tls *t, struct sd_tls_server *next);
void run_tls_metrics(struct sd_run_tls *t, struct sd_metrics *m);

#endif
