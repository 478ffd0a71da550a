/* sh_parts.h - store, lookup, clicks and page: opened, started on each worker, and closed in the right order. */
#ifndef SH_PARTS_H
#define SH_PARTS_H

#include "shortener.h"

#define SH_PATH_MAX 4096

enum sd_err sh_parts_open(struct sh *sh, const struct sd_conf *conf, struct sd_error *e); /* before the workers start */
enum sd_err sh_parts_start(struct sh_worker *w, struct sd_error *e);			    /* from a worker's start() */
void sh_parts_drain(struct sh_worker *w);						    /* on the worker */
void sh_parts_stop(struct sh_worker *w);						    /* on the worker */
void sh_parts_close(struct sh *sh);							    /* when no worker runs any more */
void sh_parts_metrics(struct sh *sh, struct sd_metrics *m, const char *label);
void sh_parts_needs(void *self, struct cJSON *out); /* struct sd_service.needs; self is a struct sh */
/* One of them: why "" or NULL: nothing was heard of it yet. */
void sh_parts_add_need(struct cJSON *out, const char *name, bool up, const char *why);
/* Is --db what it may be? And with it all that says where links and clicks are kept. SD_EUSAGE. */
enum sd_err sh_parts_check_db(const struct sd_conf *conf, struct sd_error *e);
enum sd_err sh_parts_check(const struct sd_conf *conf, struct sd_error *e);
/* The database as the options say; the caller fills in what is to be told. */
struct sh_store_conf;
enum sd_err sh_parts_store_conf(struct sd_world *world, const struct sd_conf *conf, struct sh_store_conf *out, char path[SH_PATH_MAX],
				struct sd_error *e);

#endif
