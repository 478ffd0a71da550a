/* proxy_in.h - the stage behind a listener that reads the PROXY header of a connection and hands the connection on.
 *
 *	listener --> sd_proxy_in_take --header read, peer and local set--> next(arg, io)   (HTTP, TLS, a tunnel)
 *	                              \--refused, too slow, or gone------> closed; ended(arg)
 *
 * Not a byte beyond the header is read, so that the io goes on as it came. Only with SD_PROXY_ACCEPT, when it turns out
 * that there is no header, the bytes that were read to find out stand in front of it (io_front.h).
 *
 * require: every connection must begin with a header, and only those in `from` are let in. accept: those in `from` may
 * begin with one; from others one is refused. Since the first bytes decide, a protocol in which the server speaks
 * first waits for the timeout; so does a client that says nothing, and goes on as it is.
 */
#ifndef SD_NET_PROXY_IN_H
#define SD_NET_PROXY_IN_H

#include "core/list.h"
#include "core/proxy_protocol.h"
#include "world/loop.h"

enum sd_proxy_mode { SD_PROXY_OFF, SD_PROXY_ACCEPT, SD_PROXY_REQUIRE };

enum sd_proxy_refusal {
	SD_PROXY_UNTRUSTED, /* not one of `from` */
	SD_PROXY_MISSING,   /* another protocol where a header is required */
	SD_PROXY_INVALID,
	SD_PROXY_PARTIAL,   /* closed in the middle */
	SD_PROXY_TIMEOUT,
	SD_PROXY_REFUSALS
};
/* "untrusted", "missing" ... for labels of metrics. */
extern const char *const sd_proxy_refusal_names[SD_PROXY_REFUSALS];

struct sd_proxy_in_conf {
	enum sd_proxy_mode mode;
	const struct sd_cidr *from; /* stays the caller's */
	size_t nfrom;
	int64_t timeout_ns; /* from the connection to the end of its header; 0: none */
	/* Why a sender was refused, at most once in ten seconds; skipped: how many more were refused since it was called
	 * last. NULL: nobody asks. */
	void (*refused)(void *arg, const struct sd_peer *who, const char *why, uint64_t skipped);
	void *refused_arg;
};

struct sd_proxy_in_stats {
	uint64_t headers, local, plain; /* read; of those that speak for nobody; without, in accept */
	uint64_t refused[SD_PROXY_REFUSALS];
};

struct sd_proxy_in {
	struct sd_loop *loop;
	struct sd_proxy_in_conf conf;
	void (*next)(void *arg, struct sd_io *io);
	/* One that was taken is over without next(). NULL: nobody asks. */
	void (*ended)(void *arg);
	void *arg;
	struct sd_proxy_in_stats stats;
	struct sd_link pending;
	uint32_t npending;
	int64_t said_ns; /* when refused() was called last */
	uint64_t skipped;
};

void sd_proxy_in_init(struct sd_proxy_in *in, struct sd_loop *l, const struct sd_proxy_in_conf *conf,
		      void (*next)(void *arg, struct sd_io *io), void *arg);
void sd_proxy_in_take(struct sd_proxy_in *in, struct sd_io *io);
/* Closes those whose header is not complete. */
void sd_proxy_in_close(struct sd_proxy_in *in);

#endif
