/* http_server.h - the HTTP/1.1 server every part uses.
 *
 * One connection is one exchange at a time; requests that a client sends ahead wait in the stream. A handler is called
 * in this order:
 *
 *	request(x, head)  once; head and its slices are valid only during the call
 *	body(x, p, n)     for each piece of the body, unless paused
 *	end(x)            the request is complete (also when it has no body)
 *	drained(x)        the answer's backlog fell after sd_http_backlog was above the mark
 *	gone(x)           the client left, or broke a rule, before the answer was finished; x ends with the call
 *
 * and answers at any time from request() on with sd_http_respond, or with sd_http_begin, fields, sd_http_head_done,
 * sd_http_write and sd_http_finish, after which x is not the handler's any more. Refused by the server itself, with the
 * status of http1.h: everything the parser refuses, bodies above max_body (413), slow heads and bodies (408).
 */
#ifndef SD_NET_HTTP_SERVER_H
#define SD_NET_HTTP_SERVER_H

#include "client_gate.h"
#include "core/head_edit.h"
#include "core/list.h"
#include "core/proxy_status.h"
#include "proxy_in.h"
#include "sdlab/http1.h"
#include "stream.h"

struct sd_http_server;
struct sd_http_exchange;

#define SD_HTTP_MAX_DOORS 16

struct sd_http_handler {
	void (*request)(struct sd_http_exchange *x, const struct sd_http_head *head);
	void (*body)(struct sd_http_exchange *x, const char *p, size_t n); /* NULL: bodies are thrown away */
	void (*end)(struct sd_http_exchange *x);                           /* NULL: nobody asks */
	void (*drained)(struct sd_http_exchange *x);
	void (*gone)(struct sd_http_exchange *x);
	/* It broke a rule or a limit before it became a request, and is answered with this status; NULL: nobody asks.
	 * What breaks one later is told by gone(), with x->refused_status and x->refused_why set. head: NULL when that is what
	 * was broken. */
	void (*refused)(struct sd_http_exchange *x, const struct sd_http_head *head, int status, const char *why);
	/* Answers what the server refuses by itself, now, with sd_http_respond, and in its own form; NULL: a line of text. head: NULL when
	 * that is what was broken; raw: then its bytes as far as they came, whatever they are. */
	void (*turn_away)(struct sd_http_exchange *x, const struct sd_http_head *head, struct sd_slice raw, int status, const char *why);
};

struct sd_http_server_conf {
	struct sd_http_limits limits;
	uint64_t max_body;         /* bytes, 0: no limit */
	uint32_t max_connections;  /* 0: no limit */
	int64_t head_timeout_ns;   /* for a whole head, from its first byte (slow clients) */
	int64_t body_timeout_ns;   /* between two pieces of a body */
	int64_t idle_timeout_ns;   /* between two requests */
	int64_t send_timeout_ns;   /* for a client to take what is buffered */
	struct sd_proxy_in_conf proxy; /* PROXY headers of those that connect */
};
/* 16 KiB heads, no body limit, 10 s, 30 s, 60 s, 60 s. */
extern const struct sd_http_server_conf sd_http_server_defaults;

struct sd_http_server_stats {
	uint64_t accepted, requests, refused, timeouts, aborted, starved;
	uint64_t bytes_in, bytes_out;
	uint32_t active; /* connections now */
};

struct sd_http_server {
	struct sd_loop *loop;
	struct sd_tls_server *tls; /* new connections but in-process ones speak TLS; NULL: plain. The owner's */
	struct sd_client_gate *gate; /* NULL: a client may have any number of connections. The owner's */
	uint32_t plain_doors;      /* but those that come in by these, a bit each */
	struct sd_http_server_conf conf;
	const struct sd_http_handler *handler;
	void *arg;
	struct sd_http_server_stats stats;
	bool draining;
	bool paused; /* at max_connections */
	bool closed; /* see sd_http_server_close_doors */
	bool proxy;  /* refusals carry Proxy-Status (RFC 9209) */
	struct sd_link connections;
	struct sd_http_door {
		struct sd_http_server *srv;
		struct sd_listener *listener;
		uint8_t number; /* in peers of what comes in by it */
	} doors[SD_HTTP_MAX_DOORS];
	int ndoors;
	struct sd_proxy_in proxy_in; /* between a listener and sd_http_server_adopt; they count as connections */
	void (*idle)(struct sd_http_server *srv);   /* set while draining: the last connection is gone */
	void (*starved)(struct sd_http_server *srv, bool paused); /* out of descriptors; NULL: nobody asks */
	struct sd_http_head head; /* of the request being handed over */
	int64_t date_second;
	char date[32];
};

/* What comes in by this door speaks TLS. */
static inline bool sd_http_is_secure(const struct sd_http_server *srv, const struct sd_peer *peer)
{
	return srv->tls && peer->kind != SD_ADDR_INPROC && !(srv->plain_doors >> (peer->door & 31) & 1);
}

struct sd_http_exchange {
	struct sd_http_server *server;
	struct sd_stream *stream;
	void *user; /* the handler's, NULL when a request begins */
	struct sd_link link;
	struct sd_http_chunked chunked;
	uint64_t in_left, out_left;
	uint64_t max_body; /* of this request; 0: no limit. Set to conf.max_body before request(), which may lower it */
	uint32_t seen, nrequests;
	uint8_t state, method, minor, framing;
	bool keep_alive, in_done, out_begun, out_done, out_chunked, out_body, out_known;
	bool expect, paused, in_data, has_length_field, secure; /* secure: it came by TLS */
	bool over; /* its client has too many: the first request is answered with 429 */
	uint16_t refused_status; /* set before gone() when the request's body broke a rule */
	const char *refused_why;
	/* What a rule makes of the fields of an answer that is written with the functions below: those that the edit drops stay
	 * away, and the lines come. Valid until the head is done; NULL and empty when a request begins. */
	const struct sd_head_edit *edit;
	struct sd_slice lines;
	bool defer_continue; /* set in request(): the handler itself says when 100 Continue goes out */
};

void sd_http_server_init(struct sd_http_server *srv, struct sd_loop *loop, const struct sd_http_server_conf *conf,
			 const struct sd_http_handler *handler, void *arg);
/* addr's port is filled in when it was 0. door: at most 31; 0 when nothing is said of it. */
enum sd_err sd_http_server_listen(struct sd_http_server *srv, struct sd_addr *addr, bool shared, struct sd_error *e);
enum sd_err sd_http_server_listen_at(struct sd_http_server *srv, struct sd_addr *addr, uint8_t door, bool shared,
				     struct sd_error *e);
/* Who comes waits at the door, and is not answered, until this is taken back: for who listens before it can answer. Those that are in
 * already go on; in-process ones are refused meanwhile. */
void sd_http_server_close_doors(struct sd_http_server *srv, bool closed);
/* Takes a connection that somebody else accepted. */
void sd_http_server_adopt(struct sd_http_server *srv, struct sd_io *io);
/* Stops accepting, closes idle connections, lets requests finish; then idle(srv), possibly at once. */
void sd_http_server_drain(struct sd_http_server *srv, void (*idle)(struct sd_http_server *srv));
/* Closes everything now; gone() comes for what was in progress. */
void sd_http_server_stop(struct sd_http_server *srv);

/* ---- answering ---- */

#define SD_HTTP_UNKNOWN (-1)

/* A whole answer; extra is header lines with CRLF, or NULL. */
void sd_http_respond(struct sd_http_exchange *x, int status, const char *extra, const char *content_type,
		     const void *body, size_t n);
/* The same up to its end: sd_http_finish is to follow. */
void sd_http_say(struct sd_http_exchange *x, int status, const char *extra, const char *content_type, const void *body,
		 size_t n);
void sd_http_respond_text(struct sd_http_exchange *x, int status, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* As sd_http_respond, and the connection is closed afterwards: the rest of the request is not wanted. */
void sd_http_refuse(struct sd_http_exchange *x, int status, const char *why);
/* The same with the type of error that a proxy tells, whether server->proxy is set or not; fields is header lines with CRLF,
 * or "". */
void sd_http_refuse_as(struct sd_http_exchange *x, int status, enum sd_proxy_error error, const char *fields, const char *why);

void sd_http_begin(struct sd_http_exchange *x, int status, struct sd_slice reason); /* reason.n 0: registered */
void sd_http_field(struct sd_http_exchange *x, struct sd_slice name, struct sd_slice value);
void sd_http_field_text(struct sd_http_exchange *x, const char *name, const char *value);
void sd_http_date(struct sd_http_exchange *x);
/* Ends the head; length of the body in bytes or SD_HTTP_UNKNOWN. For HEAD, the length a GET would have. */
void sd_http_head_done(struct sd_http_exchange *x, int64_t length);
void sd_http_write(struct sd_http_exchange *x, const void *p, size_t n);
/* The same with bytes of a file, as sd_stream_send_file; for an answer whose length was said. */
ssize_t sd_http_send_file(struct sd_http_exchange *x, struct sd_file *f, uint64_t off, size_t n);
/* Has more to write, but lets others have their turn: drained() comes. */
void sd_http_yield(struct sd_http_exchange *x);
static inline bool sd_http_backlog(const struct sd_http_exchange *x)
{
	return sd_stream_above_high(x->stream);
}
void sd_http_finish(struct sd_http_exchange *x);
/* The answer cannot be completed: cuts the connection so that the client sees it. x is gone; no callback. */
void sd_http_abort(struct sd_http_exchange *x);
/* An interim answer (103, or 100 before the body is wanted); fields is header lines with CRLF or "". */
void sd_http_interim(struct sd_http_exchange *x, int status, const char *fields);

/* ---- the request's body ---- */
void sd_http_body_pause(struct sd_http_exchange *x);
void sd_http_body_resume(struct sd_http_exchange *x);

/* The stream, with what it keeps, is the caller's from now on; x is gone. After an Upgrade or CONNECT. */
struct sd_stream *sd_http_take_stream(struct sd_http_exchange *x);
/* One more connection that counts against the limit and that a drain waits for, though the server does not serve it: a
 * tunnel. To be called before sd_http_take_stream, so that it never looks as if the last had gone. */
void sd_http_server_hold(struct sd_http_server *srv);
void sd_http_server_let_go(struct sd_http_server *srv);

#endif
