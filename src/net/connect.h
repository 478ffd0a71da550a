/* connect.h - a stream to a server: the connection, what must be said on it first, TLS when it is to be spoken. */
#ifndef SD_NET_CONNECT_H
#define SD_NET_CONNECT_H

#include "sdlab/slice.h"
#include "stream.h"
#include "tls.h"

struct sd_connect {
	const struct sd_addr *addr; /* not SD_ADDR_NAME */
	struct sd_tls_target *tls;  /* NULL: plain */
	struct sd_slice first;      /* goes out in the open, before TLS begins: a PROXY header; at most SD_IO_FRONT_MAX bytes */
	uint32_t in_limit;
};

/* connected() comes when it stands, after the handshake where there is one. On failure *e says why. */
enum sd_err sd_stream_connect(struct sd_loop *l, const struct sd_connect *how, const struct sd_stream_events *events, void *owner,
			      struct sd_stream **out, struct sd_error *e);

#endif
