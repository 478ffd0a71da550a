/* mq_web.h - the HTTP side of a broker that runs: where it listens, who may come, and what it is told about connections. */
#ifndef MQ_WEB_H
#define MQ_WEB_H

#include "mq_shell.h"

struct mq_web;

/* *out stays NULL when it is off. */
enum sd_err mq_web_start(struct mq_shell *s, struct mq_web **out, struct sd_error *e);
/* Both: NULL is fine. A line that tells where it listens. */
void mq_web_say(const struct mq_web *w);
void mq_web_stop(struct mq_web *w);

#endif
