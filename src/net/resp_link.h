/* resp_link.h - a connection to a server of RESP that many requests share, and that comes back by itself.
 *
 *	            +--failed, or broke--> WAITING --after a back-off--+
 *	            |                                                  |
 *	TRYING (name, connection, AUTH and SELECT) <-------------------+
 *	            |
 *	            +--> STANDS: requests leave as they come, and replies come back in their order
 *
 * Each request that was taken is answered exactly once: with its reply, or with the reason why there is none. What left and
 * was not answered when the connection broke may have been done or not; nothing is sent twice.
 *
 * A request that had no reply in its time is told so, and what comes for it later is thrown away; the others go on. A server
 * that is silent for four such times is given up: the connection may be a dead one that nobody told us of.
 *
 * While it tries for the first time requests wait. After a failure they are refused at once, until it stands again, so that
 * who asks can go on without: waiting for a server that is down would make its failure everybody's.
 */
#ifndef SD_NET_RESP_LINK_H
#define SD_NET_RESP_LINK_H

#include "core/backoff.h"
#include "core/resp_reply.h"
#include "tls.h"

struct sd_resp_link;

struct sd_resp_link_conf {
	struct sd_addr addr;         /* its name is looked up before each try, when it is one */
	struct sd_tls_target *tls;   /* NULL: plain; the caller's, until the link is closed */
	const char *user, *password; /* "" or NULL: none; copied, as a URL has them */
	int64_t db;
	int64_t timeout_ns;          /* for each try to connect, and for each request */
	size_t most;                 /* requests on their way at once, above 0 */
	size_t most_bytes;           /* of requests that wait to be sent */
	struct sd_backoff backoff;   /* between tries, in nanoseconds */
	struct sd_resp_reply_limits limits;
	/* It stands; it broke, or the first of several tries in a row failed: said once until the other. From the loop, never from within a function of
	 * this header but sd_resp_link_break. NULL: nobody asks. */
	void (*up)(void *arg);
	void (*down)(void *arg, const char *why);
	/* A channel to hear (SUBSCRIBE): the link stands once the server said that it does, and what is published there comes to
	 * message(), valid until it returns; it may close the link. Nothing but PING is to be asked then. NULL: none; copied. */
	const char *channel;
	void (*message)(void *arg, struct sd_slice text);
	/* A PING so often, so that a server that is silent is given up also while nobody asks anything, after this and four times
	 * timeout_ns; 0: none. */
	int64_t heartbeat_ns;
	void *arg;
};
#define SD_RESP_CHANNEL 256 /* bytes of a channel's name and its NUL */
/* 256 requests, 1 MiB, a second each; 50 ms to 2 s between tries; replies of 16 MiB. */
extern const struct sd_resp_link_conf sd_resp_link_defaults;

/* reply: valid until the callback returns; an error of the server is one. NULL: there is none, and err says why. It may
 * ask again, and close the link. */
typedef void sd_resp_answered(void *arg, enum sd_err err, const struct sd_resp_value *reply);

/* Begins to connect; nothing is called before it returns. NULL: out of memory. */
struct sd_resp_link *sd_resp_link_open(struct sd_loop *l, const struct sd_resp_link_conf *conf);
/* What was not answered is, with SD_ECANCELED. NULL is fine. */
void sd_resp_link_close(struct sd_resp_link *k);
/* SD_OK: fn will be called, on a later turn. Otherwise it will not: SD_EUNREACHABLE, it does not stand; SD_EAGAIN, too much is on
 * its way; SD_ENOMEM. The words are copied. */
enum sd_err sd_resp_link_ask(struct sd_resp_link *k, size_t argc, const struct sd_slice *argv, sd_resp_answered *fn, void *arg);
/* What the server says makes no sense to the caller: as if the connection had broken. */
void sd_resp_link_break(struct sd_resp_link *k, enum sd_err err, const char *why);

bool sd_resp_link_stands(const struct sd_resp_link *k);
/* Why it does not stand; "" when nothing failed yet. */
const char *sd_resp_link_why(const struct sd_resp_link *k);
size_t sd_resp_link_waiting(const struct sd_resp_link *k); /* requests on their way */

#endif
