/* admin.h - the endpoints every service answers on its admin address.
 *
 *	GET  /-/health    200 while the process can answer
 *	GET  /-/ready     200 when it takes traffic, 503 before and while draining; of a service that needs others also how these are
 *	GET  /-/config    the configuration in force, as JSON (secrets are not in it)
 *	POST /-/reload    200, or 400 with the reason and the old configuration goes on
 *	GET  /-/events    what happens, as server-sent events
 *	GET  /metrics     Prometheus text
 *	GET  /            this list
 *
 * and the service's own routes. A stack has one for all its services, where each is found under
 * /-/services/NAME/... as well.
 */
#ifndef SD_APP_ADMIN_H
#define SD_APP_ADMIN_H

#include "run.h"

struct sd_admin;

struct sd_admin_spec {
	struct sd_loop *control;
	struct sd_events *events;
	const char *addr;                    /* as a person writes it */
	const struct sd_admin_route *routes; /* NULL: none */
	struct sd_run *run;                  /* of one service; NULL for a stack */
	void (*metrics)(void *arg, struct sd_metrics *m); /* instead of the run's; NULL: the run's */
	bool (*ready)(void *arg);
	void *arg;
};

enum sd_err sd_admin_start(const struct sd_admin_spec *spec, struct sd_admin **out, struct sd_error *e);
void sd_admin_free(struct sd_admin *a);
const struct sd_addr *sd_admin_addr(const struct sd_admin *a);
void *sd_admin_arg(const struct sd_admin_call *call); /* spec.arg */

/* What x->user points to while an answer is still to come: whoever answers later puts one there, first in its struct. */
struct sd_admin_wait {
	void (*gone)(struct sd_admin_wait *self);    /* the client left: nobody may answer any more */
	void (*drained)(struct sd_admin_wait *self); /* as in struct sd_http_handler; NULL: nobody asks */
	void (*end)(struct sd_admin_wait *self);     /* the same */
};

/* Answers with {"error": text}. */
void sd_admin_error(struct sd_http_exchange *x, int status, const char *text);

/* Answers with JSON; frees the tree. */
struct cJSON;
void sd_admin_json(struct sd_http_exchange *x, int status, struct cJSON *tree);

#endif
