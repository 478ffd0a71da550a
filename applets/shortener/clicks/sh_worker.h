/* sh_worker.h - who counts clicks for shorteners that put them into a queue, in two forms: a service of a stack (`role: worker`), and
 * `sdlab shortener worker` in a terminal. What it does is in sh_consumer.h. */
#ifndef SH_WORKER_H
#define SH_WORKER_H

#include "app/run.h"

/* May these options stand beside `role: worker`, and is what it needs there? */
enum sd_err sh_worker_check(const struct sd_conf *conf, struct sd_error *e);
extern const struct sd_service sh_worker_service;

extern const struct sd_option sh_worker_options[];
int sh_worker_verb(struct sd_verb_call *call);

#endif
