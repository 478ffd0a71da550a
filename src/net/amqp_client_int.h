/* amqp_client_int.h - what the files of amqp_client.h share.
 *
 *	amqp_client.c     the connection: making it, asking, waiting, ending it
 *	amqp_client_in.c  what comes: frames, and events out of them
 */
#ifndef SD_NET_AMQP_CLIENT_INT_H
#define SD_NET_AMQP_CLIENT_INT_H

#include "amqp_client.h"
#include "core/list.h"
#include "waited.h"

#define CHANNEL 1 /* the one it has */

/* An event with the bytes that it points into. */
struct held {
	struct sd_link link;
	struct sd_amqp_event event;
	struct sd_text method, header, body;
};

struct sd_amqp_client {
	struct sd_waited conn;
	bool (*until)(const struct sd_amqp_client *c); /* what is waited for */
	struct sd_timer beat_timer;
	struct sd_text out;	   /* frames that wait to be sent */
	uint32_t frame_max;
	int64_t timeout_ns, beat_ns; /* beat_ns: half of what was agreed on; 0: no heartbeats */
	bool sent;		   /* something since the last beat */
	unsigned quiet;		   /* beats since something came */

	uint32_t want;		   /* the answer that is waited for */
	bool asking, answered, stopped;
	struct sd_text answer;	   /* the payload */
	struct sd_amqp_arg args[SD_AMQP_ARGS];

	struct held *building;	   /* a message that is not whole */
	struct held *spare;	   /* memory for the next */
	struct held *got;	   /* the answer to a get, among those that came */
	uint64_t body_size;
	bool has_header;
	struct sd_link came;	   /* struct held.link: not taken yet */
	struct held *current;	   /* given out */
	void (*fn)(void *arg, const struct sd_amqp_event *event);
	void *arg;

	bool channel_open;
	enum sd_err channel_err;   /* it was closed: why, until somebody was told */
	struct sd_error channel_why;
};

/* What was gathered leaves. */
void amqp_client_flush(struct sd_amqp_client *c);
/* How many of n bytes were taken. */
size_t amqp_client_take(struct sd_amqp_client *c, const char *p, size_t n);
void amqp_client_drop(struct sd_amqp_client *c, struct held *h); /* NULL is fine */
void amqp_client_free_held(struct held *h);			 /* NULL is fine */

#endif
