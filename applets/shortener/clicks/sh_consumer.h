/* sh_consumer.h - takes the clicks of shorteners from a queue and adds them up in the database of the links: what `role: worker` and
 * `sdlab shortener worker` do. All of it is on one loop. */
#ifndef SH_CONSUMER_H
#define SH_CONSUMER_H

#include "../store/sh_store.h"
#include "app/event.h"
#include "app/metrics.h"

struct sh_consumer;

struct sh_consumer_conf {
	struct sd_loop *loop;
	struct sd_log *log;	    /* where it says what happens */
	struct sh_store_conf store; /* sql.url; up, down and arg are the consumer's own */
	const char *events, *queue; /* amqp://... and the name of the queue; read when it is opened */
	/* The database cannot be used at all, and no try will be made again. NULL: it is said only. */
	void (*fatal)(void *arg, const struct sd_error *why);
	void *arg;
};

/* Connects by itself; fails only for what is wrong with the settings, or a file that cannot be opened. SD_EUSAGE: the former. */
enum sd_err sh_consumer_open(const struct sh_consumer_conf *conf, struct sh_consumer **out, struct sd_error *e);
/* What was taken and is not committed stays in the queue. The loop does not run, or runs this. NULL is fine. */
void sh_consumer_close(struct sh_consumer *w);

/* Is it there? *why: a sentence when not, "" when nothing is known yet; valid until the next call. */
bool sh_consumer_queue(const struct sh_consumer *w, const char **why);
bool sh_consumer_database(const struct sh_consumer *w, const char **why);
void sh_consumer_metrics(const struct sh_consumer *w, struct sd_metrics *m, const char *label);

#endif
