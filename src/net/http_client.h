/* http_client.h - requests to one server over connections that are kept and lent again.
 *
 * A pool belongs to one loop and one address. A call is one request and its answer; the caller writes the request,
 * framed as it likes (a proxy passes on what it got), and hears:
 *
 *	head(call, head)   once, for the final answer; head is valid only during the call. 1xx other than 101 come to
 *	                   interim(), or are dropped when that is NULL
 *	body(call, p, n)   for each piece, decoded, unless paused
 *	end(call)          the answer is complete; the connection goes back to the pool when it may; the call is over
 *	failed(call, ...)  instead of end, at most once; the call is over
 *	drained(call)      the request's backlog fell after sd_http_call_backlog was true
 *
 * Safe to retry: failed() says with `phase` how far it came. A connection that was idle may have been closed by the
 * server just when the request went out: that is phase SENT with call->reused.
 */
#ifndef SD_NET_HTTP_CLIENT_H
#define SD_NET_HTTP_CLIENT_H

#include "core/list.h"
#include "sdlab/http1.h"
#include "stream.h"
#include "world/pool_loop.h"

struct sd_http_call;

enum sd_http_phase {
	SD_HTTP_CONNECTING, /* nothing was sent */
	SD_HTTP_SENT,       /* something may have been sent, no byte of an answer came */
	SD_HTTP_ANSWERING,  /* bytes of an answer came */
};

struct sd_http_caller {
	void (*head)(struct sd_http_call *call, const struct sd_http_head *head);
	void (*interim)(struct sd_http_call *call, const struct sd_http_head *head);
	void (*body)(struct sd_http_call *call, const char *p, size_t n);
	void (*end)(struct sd_http_call *call);
	/* why: SD_EREFUSED, SD_ETIMEOUT, SD_ERESET, SD_EPROTO (text says what) ... */
	void (*failed)(struct sd_http_call *call, enum sd_http_phase phase, enum sd_err why, const char *text);
	void (*drained)(struct sd_http_call *call);
};

struct sd_http_pool_conf {
	struct sd_http_limits limits;
	uint32_t max_idle;           /* connections kept for reuse */
	int64_t idle_timeout_ns;     /* how long */
	int64_t connect_timeout_ns;  /* 0: as long as the kernel tries */
	int64_t answer_timeout_ns;   /* from the complete request to the head of the answer, between two pieces
					of its body, and for a request's backlog to fall; 0: no limit */
};
/* 64 KiB heads, 64 idle for 30 s, 2 s to connect, 30 s to answer. */
extern const struct sd_http_pool_conf sd_http_pool_defaults;

struct sd_http_pool {
	struct sd_loop *loop;
	struct sd_addr addr;
	struct sd_http_pool_conf conf;
	struct sd_pool_loop lent; /* resources are calls; made with the first of them */
	uint64_t dirty;           /* closed because bytes came that nobody asked for */
	struct sd_tls_target *tls;        /* new connections speak TLS to it; NULL: plain. The owner's */
	struct sd_http_head *head;        /* one for all pools of a loop, the owner's */
};

struct sd_http_call {
	struct sd_http_pool *pool;
	struct sd_stream *stream;
	const struct sd_http_caller *caller;
	void *user;
	struct sd_pool_lease lease;
	struct sd_http_chunked chunked;
	uint64_t left;
	int64_t connected_ns; /* when its connection, made for it, was there; 0: at once, or it was idle */
	uint32_t seen;
	uint8_t state, method, framing, interims;
	bool reused, keep_alive, sent, paused, got_bytes, in_data;
};

/* head: where answers are parsed to; shared by the pools of one loop, and the owner's. */
void sd_http_pool_init(struct sd_http_pool *p, struct sd_loop *l, const struct sd_addr *addr,
		       const struct sd_http_pool_conf *conf, struct sd_http_head *head);
/* Another conf from now on. While max_idle is 0, connections in use are closed instead of coming back. */
void sd_http_pool_configure(struct sd_http_pool *p, const struct sd_http_pool_conf *conf);
/* idle, lent: connections; opened, reused: what they were for calls. */
void sd_http_pool_stats(const struct sd_http_pool *p, struct sd_pool_stats *out);
/* Closes the idle connections. */
void sd_http_pool_close_idle(struct sd_http_pool *p);
/* Closes everything; no callbacks. */
void sd_http_pool_free(struct sd_http_pool *p);

/* Begins a call on an idle connection, or on a new one when there is none or `fresh`. NULL: *e says why (no
 * descriptors, refused at once); nothing else is called then. */
struct sd_http_call *sd_http_call_start(struct sd_http_pool *p, enum sd_http_method method, bool fresh,
					const struct sd_http_caller *caller, void *user, struct sd_error *e);
/* The same on a new connection that begins with these bytes, in the open before TLS: a PROXY header. */
struct sd_http_call *sd_http_call_start_with(struct sd_http_pool *p, enum sd_http_method method, struct sd_slice first,
					     const struct sd_http_caller *caller, void *user, struct sd_error *e);
void sd_http_call_write(struct sd_http_call *c, const void *p, size_t n);
/* The request is complete: the time for the answer begins, and the connection may be used again after it. */
void sd_http_call_sent(struct sd_http_call *c);
static inline bool sd_http_call_backlog(const struct sd_http_call *c)
{
	return sd_stream_above_high(c->stream);
}
void sd_http_call_pause(struct sd_http_call *c);
void sd_http_call_resume(struct sd_http_call *c);
/* Ends the call and its connection; no callback. */
void sd_http_call_cancel(struct sd_http_call *c);
/* After head() with status 101 (or 2xx to CONNECT): the stream is the caller's, the call is over. */
struct sd_stream *sd_http_call_take_stream(struct sd_http_call *c);

#endif
