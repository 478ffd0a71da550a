/* amqp_client.h - one connection to a broker, with one channel, waited for: for client verbs, which have nothing else to do
 * meanwhile.
 *
 * What the broker says by itself (messages, confirms, returns) are events. They are taken one by one with sd_amqp_client_next, or
 * go to a function while sd_amqp_client_run runs: that is for those who have thousands on their way.
 *
 * An error that ends the channel only (a queue that is not there) is the result of what was asked; the next sd_amqp_client_ask
 * opens the channel again, without its consumers and modes. After one that ends the connection it is only good to be closed.
 */
#ifndef SD_NET_AMQP_CLIENT_H
#define SD_NET_AMQP_CLIENT_H

#include "core/amqp.h"
#include "tls.h"

struct sd_amqp_client;

struct sd_amqp_target {
	struct sd_addr addr;		   /* its name is looked up, when it is one */
	struct sd_tls_client *tls;	   /* NULL: plain; the caller's, until the connection is closed */
	const char *tls_name;		   /* what the certificate is to be for */
	const char *user, *password, *vhost;
	const char *name;		   /* what the broker lists the connection as; NULL: none */
	unsigned heartbeat_s;		   /* what is asked for; less when the broker wants less; 0: none */
	int64_t timeout_ns;		   /* to connect, and for each answer */
};

enum sd_amqp_event_kind {
	SD_AMQP_DELIVERED, /* a message for the consumer `text` */
	SD_AMQP_GOT,	   /* the answer to sd_amqp_client_get */
	SD_AMQP_RETURNED,  /* a mandatory message that went nowhere: code, text */
	SD_AMQP_CONFIRMED, /* publications: tag, or all up to it when multiple; refused: they are not taken */
	SD_AMQP_CANCELLED, /* the consumer `text` gets no more */
	SD_AMQP_BLOCKED,   /* the broker takes no publications for now: text says why */
	SD_AMQP_UNBLOCKED,
};
struct sd_amqp_event {
	enum sd_amqp_event_kind kind;
	bool multiple, refused, redelivered;
	unsigned code;
	uint32_t left; /* GOT: messages behind it */
	uint64_t tag;  /* of the delivery, or number of the publication, from 1 */
	struct sd_slice text, exchange, key;
	struct sd_slice raw, body; /* raw: properties as they came */
	struct sd_amqp_properties properties;
};

/* Connects, says who we are, opens a channel. What the broker says against that is an error, in its words: SD_EPERM when it does
 * not let us in. */
enum sd_err sd_amqp_client_open(struct sd_world *w, const struct sd_amqp_target *to, struct sd_amqp_client **out,
				struct sd_error *e);
/* Says good-bye, when there still is somebody, so that what was sent has been taken. NULL is fine. */
void sd_amqp_client_close(struct sd_amqp_client *c);

/* Sends a method and waits for its answer `want`, whose arguments are valid until the next call (args may be NULL). Events that
 * come meanwhile wait. SD_ENOTFOUND: 404; SD_EPERM: 403; SD_EINVAL: 406; SD_EINUSE: 405. */
enum sd_err sd_amqp_client_ask(struct sd_amqp_client *c, uint32_t id, const struct sd_amqp_arg *args, uint32_t want,
			       const struct sd_amqp_arg **answer, struct sd_error *e);
/* A method that has no answer (an acknowledgement); it leaves when the next thing is waited for. */
void sd_amqp_client_send(struct sd_amqp_client *c, uint32_t id, const struct sd_amqp_arg *args);
/* A message. raw: properties as sd_amqp_put_properties makes them. It leaves when the next thing is waited for. */
void sd_amqp_client_publish(struct sd_amqp_client *c, struct sd_slice exchange, struct sd_slice key, bool mandatory,
			    struct sd_slice raw, struct sd_slice body);
/* One message of a queue; *event NULL: there is none. Valid until the next call. */
enum sd_err sd_amqp_client_get(struct sd_amqp_client *c, struct sd_slice queue, bool no_ack, const struct sd_amqp_event **event,
			       struct sd_error *e);
/* The next event, valid until the next call; waits so long at most (SD_NEVER: for ever). SD_ETIMEOUT: there was none, and it may
 * be asked for again. */
enum sd_err sd_amqp_client_next(struct sd_amqp_client *c, int64_t timeout_ns, const struct sd_amqp_event **event,
				struct sd_error *e);
/* Hands each event to fn, which may send and publish, until it calls sd_amqp_client_stop. SD_ETIMEOUT as above. */
enum sd_err sd_amqp_client_run(struct sd_amqp_client *c, void (*fn)(void *arg, const struct sd_amqp_event *event), void *arg,
			       int64_t timeout_ns, struct sd_error *e);
void sd_amqp_client_stop(struct sd_amqp_client *c);

#endif
