/* run_clients.h - the option max-connections-per-client: between the configuration and the gate that workers ask. */
#ifndef SD_APP_RUN_CLIENTS_H
#define SD_APP_RUN_CLIENTS_H

#include "metrics.h"
#include "net/client_gate.h"
#include "sdlab/err.h"

struct sd_run;
struct sd_conf;

struct sd_run_clients {
	struct sd_client_gate gate;
	int64_t told_second; /* atomic */
	uint64_t skipped;    /* atomic: refused since a line told of one */
};

/* What the configuration needs, so that committing it cannot fail. */
enum sd_err run_clients_prepare(struct sd_run *run, const struct sd_conf *conf, struct sd_error *e);
void run_clients_commit(struct sd_run *run, const struct sd_conf *conf);
void run_clients_metrics(struct sd_run *run, struct sd_metrics *m);

#endif
