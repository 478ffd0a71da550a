/* load_amqp.h - a broker as the target: what is said to it, and how its answers are read.
 *
 *	load_amqp.c       from options to what is sent
 *	load_amqp_conn.c  one connection: the greeting, then confirms, deliveries or gets as answers
 */
#ifndef LOAD_AMQP_H
#define LOAD_AMQP_H

#include "core/amqp_url.h"
#include "load.h"

#define LOAD_AMQP_FRAME 131072u /* the largest we write; what RabbitMQ and ours take when nobody says otherwise */
#define LOAD_AMQP_CHANNEL 1

/* As in the choices of --measure. */
enum load_amqp_what {
	LOAD_CONFIRM,  /* a publish is answered by its confirm */
	LOAD_DELIVERY, /* by the message itself, on the connection that sent it */
	LOAD_GET       /* a basic.get by a message */
};

/* Of a plan; the same for all connections. */
struct load_amqp_plan {
	enum load_amqp_what what;
	char *start_ok; /* a whole frame, with the password in it */
	size_t start_ok_n;
	uint32_t largest; /* frame that requests have */
	char vhost[SD_AMQP_SHORT_MAX + 1], queue[SD_AMQP_SHORT_MAX + 1];
};

/* ---- load_amqp.c ---- */
/* Who we are and which vhost is meant; makes plan->amqp. */
enum sd_err load_amqp_greeting(struct load_plan *plan, const struct sd_amqp_url *url, struct sd_error *e);
/* What is sent: --measure, --queue, --body, --size. */
enum sd_err load_amqp_requests(struct sd_world *w, struct load_builder *b, struct sd_error *e);
void load_amqp_plan_free(struct load_amqp_plan *p);
/* What belongs to a broker alone is for no other target. */
enum sd_err load_amqp_check_others(const struct sd_conf *conf, struct sd_error *e);

/* ---- load_amqp_conn.c ---- */
struct load_conn;
struct load_amqp *load_amqp_new(void); /* for free; NULL: out of memory */
/* The connection stands anew. */
void load_amqp_greet(struct load_conn *c);
/* One frame from the front; -1: the connection is gone; 0: more must come. */
ssize_t load_amqp_take(struct load_conn *c, const char *p, size_t n);
/* What LOAD_OWN stands for: a queue of this connection. */
uint64_t load_amqp_own(const struct load_conn *c);

#endif
