/* proxy_head.h - what a proxy makes of the heads that pass through it. Pure: slices in, bytes out.
 *
 * Request: HTTP/1.1 in origin form; hop-by-hop fields taken out (RFC 9110 section 7.6.1); Host kept, or made from an
 * absolute-form target; Via added (7.6.3); X-Forwarded-For, -Proto and -Host set. What an untrusted client says of
 * itself in X-Forwarded-* or Forwarded is dropped; a trusted proxy's X-Forwarded-For is continued and its other
 * fields are kept. Expect is passed on, so that the backend decides.
 */
#ifndef SD_CORE_PROXY_HEAD_H
#define SD_CORE_PROXY_HEAD_H

#include "core/addr.h"
#include "sdlab/http1.h"

struct sd_proxy_hop {
	const struct sd_peer *client;
	bool trusted;          /* the client is a proxy whose word counts */
	struct sd_slice proto; /* "http" or "https": how the client came */
	struct sd_slice via;   /* our name in Via: "sdlab" */
	struct sd_slice host;  /* for requests without Host */
	struct sd_slice traceparent; /* in place of the request's own; empty: that stays */
	bool trace_begins;           /* then what the request says of the trace so far (tracestate) is dropped */
};

/* No fewer bytes than the next function writes. */
size_t sd_proxy_request_bound(const struct sd_http_head *head, const struct sd_proxy_hop *hop);
/* Writes the head with its empty line; returns the length. A body of known length keeps its Content-Length, a chunked one
 * is announced as chunked. */
size_t sd_proxy_request_head(char *out, const struct sd_http_head *head, const struct sd_proxy_hop *hop);

/* The fields of an answer that go on to the client, and Via; without status line, framing fields and empty line. */
size_t sd_proxy_answer_bound(const struct sd_http_head *head, const struct sd_proxy_hop *hop);
size_t sd_proxy_answer_fields(char *out, const struct sd_http_head *head, const struct sd_proxy_hop *hop);

#endif
