/* resp_front.h - connections that speak RESP: requests read, pipelines, limits, replies in order. The commands are the service's.
 *
 *	stream --> sd_resp_read --> events->call(conn, argc, argv) --> conn->out --> stream
 *
 * A service has connections of its own, that begin with a struct sd_resp_conn. Where events->settle is set, replies leave at
 * the end of the loop's turn, all connections' after one call of it: what many of them wrote is put on the disk there, at once.
 * A reply that comes later gets a place (sd_resp_later_new), and replies behind it wait, so that all come in order.
 */
#ifndef SD_APP_RESP_FRONT_H
#define SD_APP_RESP_FRONT_H

#include "core/list.h"
#include "core/redis_commands.h"
#include "net/stream.h"

#define SD_RESP_FRONT_REJECTED 16 /* of too many clients so many are waited for until they have heard it, when nobody says how many */
#define SD_RESP_FRONT_LATER 4096 /* replies that wait; a connection that asks for more is not read meanwhile */

struct sd_resp_front;
struct sd_resp_conn;

struct sd_resp_front_events {
	size_t conn_bytes; /* of the service's connection */
	/* It is there, with all but these bytes zero. NULL: nothing to do. */
	void (*begun)(struct sd_resp_conn *c);
	/* A request; the reply goes to c->out, or a place was made for it. */
	void (*call)(struct sd_resp_conn *c, size_t argc, const struct sd_slice *argv);
	/* Before replies leave: the service may still change them, in c->out of those in front->turn. NULL: they leave as they come. */
	void (*settle)(struct sd_resp_front *f);
	/* It is about to be freed. NULL: nothing to do. */
	void (*ended)(struct sd_resp_conn *c);
};

/* The connections of one loop. Zero it and set what is marked; then sd_resp_front_begin. */
struct sd_resp_front {
	struct sd_loop *loop;                      /* set */
	const struct sd_resp_front_events *events; /* set */
	struct sd_resp_limits limits;              /* set: of one request */
	uint32_t in_limit;                         /* set: bytes of requests that wait in a connection, but for one larger one */
	void *owner;                               /* set */
	const char *password;                      /* NULL: everybody may */
	const char *server, *version;              /* what HELLO says */
	uint32_t max_clients;                      /* 0: no limit; those that were told too much and have not gone are not among them */
	uint32_t max_rejected;                     /* so many of those at a time, more are hung up on at once; 0: SD_RESP_FRONT_REJECTED */
	struct sd_link conns, turn;                /* turn: those that something is to be sent to */
	struct sd_task late;
	uint64_t next_id;
	size_t nconns;
	uint32_t leaving, leaving_rejected; /* what they were told last is on its way, or they have not closed */
	uint64_t accepted, rejected, in_bytes, out_bytes; /* so far */
};

struct sd_resp_conn {
	struct sd_resp_front *front;
	struct sd_stream *stream;
	struct sd_resp_reader reader;
	struct sd_resp_out out; /* replies that have not left */
	struct sd_link link, turn;
	struct sd_link later; /* in the order of their commands */
	size_t nlater;
	uint64_t id;
	int64_t since_ns;
	char name[64], address[64];
	bool authenticated;
	bool quit; /* set: it ends once its replies are sent */
	bool held, busy; /* held: it is not read while there are too many places; busy: it is being read */
};

/* A reply that is not written yet. */
struct sd_resp_later {
	struct sd_resp_conn *conn;
	struct sd_link link;
	bool waits;
	struct sd_resp_out out; /* the reply goes here */
	void (*dropped)(void *arg);
	void *arg;
};

void sd_resp_front_begin(struct sd_resp_front *f);
/* A connection, as sd_run_streams hands it over. */
void sd_resp_front_accept(struct sd_resp_front *f, struct sd_io *io, bool secure, struct sd_client_pass pass);
/* All connections end: what was answered is still sent, or (at_once) not. */
void sd_resp_front_end(struct sd_resp_front *f, bool at_once);
/* Everything that was answered so far is settled and leaves. Not from within settle. */
void sd_resp_front_flush(struct sd_resp_front *f);

/* A place for the reply to the request being called; dropped(arg) is called when the connection ends before. NULL: out of memory, and
 * the connection will end. */
struct sd_resp_later *sd_resp_later_new(struct sd_resp_conn *c, void (*dropped)(void *arg), void *arg);
/* Its reply is whole; it is gone afterwards. */
void sd_resp_later_done(struct sd_resp_later *l);

/* ---- what every server of this kind answers alike (resp_front_words.c) ---- */

struct sd_resp_word {
	const struct sd_redis_command *is;
	void (*fn)(struct sd_resp_conn *c, size_t argc, const struct sd_slice *argv);
};
/* AUTH, ECHO, HELLO, PING, QUIT, SELECT (0 only) and CLIENT ID, GETNAME, SETNAME, INFO, LIST; ended by an empty row. */
extern const struct sd_resp_word sd_resp_front_words[];
/* May this connection run it? Else the error is the reply. */
bool sd_resp_front_allows(struct sd_resp_conn *c, const struct sd_redis_command *k);

#endif
