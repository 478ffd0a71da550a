/* waited.h - a connection that is waited for: a loop of its own, one stream, one end. For clients of a protocol whose callers have
 * nothing else to do meanwhile (resp_client.h, amqp_client.h).
 */
#ifndef SD_NET_WAITED_H
#define SD_NET_WAITED_H

#include "stream.h"
#include "tls.h"

struct sd_waited;

struct sd_waited_target {
	struct sd_addr addr;	   /* its name is looked up, when it is one */
	struct sd_tls_client *tls; /* NULL: plain; the caller's, until the connection is closed */
	const char *tls_name;	   /* what the certificate is to be for */
	int64_t timeout_ns;	   /* to connect */
	uint32_t in_limit;	   /* bytes that may wait to be taken */
	const char *peer;	   /* "server", "broker": for what is said of it; stays valid */
	/* How many of n bytes were taken. */
	size_t (*data)(struct sd_waited *c, const char *p, size_t n);
};

struct sd_waited {
	struct sd_loop *loop;
	struct sd_stream *stream; /* NULL: there was none yet */
	enum sd_err err;	  /* it is over, and why */
	struct sd_error why;
	/* its own */
	struct sd_waited_target to;
	struct sd_tls_target *tls;
	struct sd_timer timer;
	bool connected, late;
	/* Set by who does not wait, but has a loop with other things to do: called instead of stopping that. */
	void (*woken)(struct sd_waited *c);
};

/* Returns when it stands, over TLS when that is wanted. After an error too it is to be closed. */
enum sd_err sd_waited_open(struct sd_waited *c, struct sd_world *w, const struct sd_waited_target *to, struct sd_error *e);
/* One that was never opened, and is all zeros, is fine. */
void sd_waited_close(struct sd_waited *c);
/* Runs until done(c), at most so long (SD_NEVER: for ever). SD_ETIMEOUT: it may be waited for again. */
enum sd_err sd_waited_until(struct sd_waited *c, bool (*done)(const struct sd_waited *c), int64_t timeout_ns, struct sd_error *e);
/* What is waited for may have come. */
void sd_waited_wake(struct sd_waited *c);
/* It is over; the first reason counts. */
void sd_waited_end(struct sd_waited *c, enum sd_err err, const char *format, ...) __attribute__((format(printf, 3, 4)));

#endif
