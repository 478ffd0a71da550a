/* sh_worker.h - `sdlab shortener worker`: takes clicks from a queue and adds them up in the database. */
#ifndef SH_WORKER_H
#define SH_WORKER_H

#include "app/applet.h"

extern const struct sd_option sh_worker_options[];
int sh_worker_verb(struct sd_verb_call *call);

#endif
