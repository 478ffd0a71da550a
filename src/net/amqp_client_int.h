/* amqp_client_int.h - what the files of amqp_client.h share.
 *
 *	amqp_client.c     the connection: making it, asking, waiting, ending it
 *	amqp_client_in.c  what comes: frames, and events out of them
 *	amqp_link.c       the same connection on a loop that has other things to do, and that comes back by itself
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

/* ---- the beginning, for who waits and for who does not (amqp_link.c) ---- */

/* One that is connected by somebody else, on his loop; freed with its stream closed and its timer cancelled before. NULL: out of memory. */
struct sd_amqp_client *amqp_client_new(struct sd_loop *l, int64_t timeout_ns);
void amqp_client_free(struct sd_amqp_client *c);
/* An answer is expected: answered says that it came, args what it said. */
void amqp_client_expect(struct sd_amqp_client *c, uint32_t want);
/* What begins a connection: expects connection.start. */
void amqp_client_begin(struct sd_amqp_client *c);
/* When that came: who we are; expects connection.tune. */
enum sd_err amqp_client_introduce(struct sd_amqp_client *c, const struct sd_amqp_target *to, struct sd_error *e);
/* When that came: agrees on sizes and heartbeats, and opens; expects connection.open-ok. */
enum sd_err amqp_client_tune(struct sd_amqp_client *c, const struct sd_amqp_target *to, struct sd_error *e);
void amqp_client_on_beat(struct sd_timer *t); /* of beat_timer */

/* What was gathered leaves. */
void amqp_client_flush(struct sd_amqp_client *c);
/* How many of n bytes were taken. */
size_t amqp_client_take(struct sd_amqp_client *c, const char *p, size_t n);
void amqp_client_drop(struct sd_amqp_client *c, struct held *h); /* NULL is fine */
void amqp_client_free_held(struct held *h);			 /* NULL is fine */

#endif
