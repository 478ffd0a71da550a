/* mq_conn.h - one AMQP connection: bytes in, bytes out. Pure: it opens no socket and reads no clock.
 *
 *	HEADER --AMQP 0 0 9 1--> STARTING --start-ok--> TUNING --tune-ok--> OPENING --open--> RUNNING
 *	   |                        |                      |                   |                |  an error of the connection
 *	   | other header:          | wrong password       '---- errors -------+----------------+--> CLOSING: close was sent,
 *	   v ours is sent           v                                                           |    everything but close-ok is
 *	 CLOSED <-------------------'<----------------------------------- close, close-ok ------'    passed over
 *
 *	bytes --mq_conn_input--> frames --> channel 0: mq_login.c                      conn.out --> bytes
 *	                            '-----> channels: the table of mq_methods.c --> engine --ops--> conn.out
 *	                                    contents: mq_content.c
 *
 * Whoever holds the socket gives it what came and the time, sends what is in `out` and empties it, and says how much is
 * not sent yet. Through the hook `wake` it hears that there is something to do for a connection whose turn it is not: there are
 * bytes in `out`, the state changed, or input may go on that was not taken. The hook only takes a note; it calls nothing here.
 *
 * Answers and errors are RabbitMQ's, code and text.
 */
#ifndef MQ_CONN_H
#define MQ_CONN_H

#include "../engine/mq.h"
#include "mq_users.h"

#define MQ_CONN_NEVER INT64_MAX
#define MQ_CONN_NAME  128

enum mq_conn_state { MQ_CONN_HEADER, MQ_CONN_STARTING, MQ_CONN_TUNING, MQ_CONN_OPENING, MQ_CONN_RUNNING, MQ_CONN_CLOSING, MQ_CONN_CLOSED };

struct mq_conn;
struct mq_session;

/* What all connections of a broker share. */
struct mq_hub {
	struct mq *mq;
	const struct mq_users *users;
	uint32_t frame_max;    /* 131072; 0: any */
	uint16_t channel_max;  /* 2047; 0: any */
	uint16_t heartbeat_s;  /* 60; 0: none */
	const char *cluster;   /* what it calls itself */
	const char *blocked;   /* why publishers are to wait, all of them: "low on disk"; NULL: they need not */
	struct sd_link conns;
	size_t nconns, nchannels, nblocked;
	struct { uint64_t opened, closed, refused, channels, errors, bytes_in, bytes_out, frames; } count;
	int64_t said_ms; /* since then... */
	uint64_t said;	 /* ... so many lines were to be said */
	/* See above. */
	void (*wake)(struct mq_conn *c);
	/* A line for people, of warnings only: a login that was refused, an error that ended a connection. NULL: nobody listens. */
	void (*say)(void *arg, const char *event, const char *text);
	void *arg;
};
void mq_hub_init(struct mq_hub *h, struct mq *mq, const struct mq_users *users);
/* Publishers are to wait for this reason (kept by the caller), or NULL: not any more. Tells those who asked to be told. */
void mq_hub_block(struct mq_hub *h, const char *reason);
/* For the engine's hook `pressed`, when a queue is below its mark again: those who had to wait may try. */
void mq_hub_relieved(struct mq_hub *h);

struct mq_conn {
	struct sd_link of_hub;
	struct mq_hub *hub;
	enum mq_conn_state state;
	bool local;   /* the client is on this machine */
	bool dirty;   /* the host's: wake was called */
	bool told;    /* connection.blocked was sent */
	bool deaf;    /* what comes is no AMQP any more */
	bool broken;  /* a message could not be read, or a commit not be written: it ends with the turn */
	bool held;    /* deliveries wait for room */
	bool publishes, can_block, can_cancel, can_fail_auth;
	struct sd_text out;
	size_t unsent; /* what mq_conn_sent said */
	const struct mq_user *user;
	struct mq_vhost *vhost;
	uint32_t frame_max;
	uint16_t channel_max, heartbeat_s;
	struct mq_session **sessions; /* by channel */
	size_t room, nsessions;
	bool pressed;		      /* its last publication went to a queue that is over its mark */
	int64_t now_ms, received_ms, sent_ms;
	int64_t deadline_ms; /* of the handshake, or of closing */
	char peer[64];	     /* "127.0.0.1:53124", for people */
	char name[MQ_CONN_NAME]; /* what the client calls itself; "" */
	uint64_t frames_in, bytes_in, bytes_out;
};

/* The host's memory, zeroed or whole. peer is for messages. */
void mq_conn_begin(struct mq_conn *c, struct mq_hub *hub, const char *peer, bool local, int64_t now_ms);
/* The connection is gone: its channels end, its exclusive queues go. */
void mq_conn_end(struct mq_conn *c);
/* How many bytes it took: whole frames only, and while publishers are to wait those in front of the next publication. Once it is
 * CLOSED it takes all. */
size_t mq_conn_input(struct mq_conn *c, const char *p, size_t n, int64_t now_ms);
/* How many bytes must be in hand at once for a frame to be whole. */
size_t mq_conn_need(const struct mq_conn *c);
/* After wake, and before what is in `out` is sent: ends it if it is broken. */
void mq_conn_turn(struct mq_conn *c, int64_t now_ms);
/* So many bytes were taken over from it and not sent yet. */
void mq_conn_sent(struct mq_conn *c, size_t unsent, int64_t now_ms);
/* Time passed: heartbeats, and who does not send any. When next: MQ_CONN_NEVER, never. */
void mq_conn_time(struct mq_conn *c, int64_t now_ms);
int64_t mq_conn_next(const struct mq_conn *c);
/* Its channels, one after the other, for those who look. */
void mq_conn_each_channel(const struct mq_conn *c, void (*fn)(void *arg, const struct mq_conn *c, unsigned number, const struct mq_channel *ch),
			  void *arg);
/* The broker is going: says so (320), and closes. */
void mq_conn_shut(struct mq_conn *c, int64_t now_ms);

#endif
