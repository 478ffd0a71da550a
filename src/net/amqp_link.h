/* amqp_link.h - a connection to a broker on a loop that has other things to do, and that comes back by itself: for publishing with
 * confirms, and for consuming.
 *
 *	            +--failed, or broke--> WAITING --after a back-off--+
 *	            |                                                  |
 *	TRYING (name, connection, log in, channel, setup) <------------+
 *	            |
 *	            +--> STANDS: publications leave as they come; confirms come back, deliveries come
 *
 * Each publication that was taken is answered exactly once: SD_OK, the broker has it, on the disk when it is persistent and the queue
 * durable; SD_EAGAIN, the broker refused it (basic.nack); SD_ERESET, the connection broke before it was confirmed, and whether the
 * broker has it is not known; SD_ECANCELED, the link was closed. Nothing is sent twice. While the link does not stand, and while the broker has blocked
 * it, publications are refused at once.
 *
 * The setup is asked for, in order, each time it connects: declarations, confirm.select, basic.qos, basic.consume. One that the broker
 * refuses is a try that failed.
 */
#ifndef SD_NET_AMQP_LINK_H
#define SD_NET_AMQP_LINK_H

#include "amqp_client.h"
#include "core/backoff.h"

struct sd_amqp_link;

struct sd_amqp_link_ask {
	uint32_t id; /* enum sd_amqp_method; 0 ends the list */
	const struct sd_amqp_arg *args;
	uint32_t want; /* its answer */
};

struct sd_amqp_link_conf {
	struct sd_amqp_target to; /* as for a client: what it points at stays the caller's until the link is closed; timeout_ns: for each try */
	const struct sd_amqp_link_ask *setup; /* the caller's, too */
	size_t most;		  /* publications on their way at once, above 0 */
	struct sd_backoff backoff; /* between tries, in nanoseconds */
	/* It stands; it broke, or the first of several tries in a row failed: said once until the other. From the loop, never from
	 * within a function of this header. NULL: nobody asks. */
	void (*up)(void *arg);
	void (*down)(void *arg, const char *why);
	/* A message for the consumer; valid until it returns. Delivery tags are of this connection: after `down` they are worth nothing. */
	void (*delivered)(void *arg, const struct sd_amqp_event *event);
	void *arg;
};
/* 256 publications, 5 s a try, heartbeats of 10 s, 100 ms to 5 s between tries. */
extern const struct sd_amqp_link_conf sd_amqp_link_defaults;

typedef void sd_amqp_answered(void *arg, enum sd_err err);

/* Begins to connect; nothing is called before it returns. NULL: out of memory. */
struct sd_amqp_link *sd_amqp_link_open(struct sd_loop *l, const struct sd_amqp_link_conf *conf);
/* What was not answered is, with SD_ECANCELED. Not from within a callback of its own. NULL is fine. */
void sd_amqp_link_close(struct sd_amqp_link *k);
/* SD_OK: fn will be called. Otherwise it will not: SD_EUNREACHABLE, it does not stand; SD_EAGAIN, too much is on its way, or the
 * broker has blocked it. Needs confirm.select in the setup. raw: properties as sd_amqp_put_properties makes them. */
enum sd_err sd_amqp_link_publish(struct sd_amqp_link *k, struct sd_slice exchange, struct sd_slice key, struct sd_slice raw,
				 struct sd_slice body, sd_amqp_answered *fn, void *arg);
/* Says that a delivery, or all up to it, is done with. */
void sd_amqp_link_ack(struct sd_amqp_link *k, uint64_t tag, bool multiple);
/* Gives a delivery up: the broker keeps it for nobody. */
void sd_amqp_link_discard(struct sd_amqp_link *k, uint64_t tag);

bool sd_amqp_link_stands(const struct sd_amqp_link *k);
bool sd_amqp_link_blocked(const struct sd_amqp_link *k);
/* Why it does not stand; "" when nothing failed yet. */
const char *sd_amqp_link_why(const struct sd_amqp_link *k);
size_t sd_amqp_link_waiting(const struct sd_amqp_link *k); /* publications on their way */

#endif
