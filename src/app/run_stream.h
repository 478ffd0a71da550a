/* run_stream.h - the listeners of a service that speaks another protocol than HTTP: PROXY headers, limits by client and TLS
 * as the common options say, and then a stream for the service.
 */
#ifndef SD_APP_RUN_STREAM_H
#define SD_APP_RUN_STREAM_H

#include "net/stream.h"
#include "run.h"

struct sd_run_streams {
	struct sd_run *run;
	struct sd_worker *w;
	/* A connection: the service makes a stream of io, connecting when secure (its handshake is to come), and gives it the
	 * pass; or closes io and ends the pass. */
	void (*accepted)(void *arg, struct sd_io *io, bool secure, struct sd_client_pass pass);
	void *arg;
	struct sd_proxy_in *proxy_in; /* whose counters count; NULL when it begins: one of its own */
	struct sd_proxy_in own;
	struct sd_run_stream_door {
		struct sd_run_streams *of;
		struct sd_listener *listener;
		uint8_t number;
	} doors[SD_RUN_MAX_ADDRS];
	uint64_t refused; /* beyond max-connections-per-client */
	uint64_t starved; /* times that accepting paused because descriptors ran out */
};

enum sd_err sd_run_listen_streams(struct sd_run *run, struct sd_worker *w, struct sd_run_streams *s, struct sd_error *e);
/* Accepts no more. */
void sd_run_streams_close(struct sd_run_streams *s);

#endif
