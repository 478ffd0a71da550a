/* proxy_head.h - what a proxy makes of the heads that pass through it. Pure: slices in, bytes out.
 *
 * Request: HTTP/1.1 in origin form; hop-by-hop fields taken out (RFC 9110 section 7.6.1); Host kept, or made from an
 * absolute-form target; Via added (7.6.3); X-Forwarded-For, -Proto and -Host set, or Forwarded (RFC 7239), or both. What
 * an untrusted client says of itself in any of them is dropped; a trusted proxy's X-Forwarded-For and Forwarded are
 * continued and its other fields are kept. One that brings X-Forwarded-For and no Forwarded has its chain told in Forwarded
 * (RFC 7239 section 7.4). Max-Forwards is counted down where it counts (RFC 9110 section 7.6.2). Expect is passed on, so that the backend decides; of an Upgrade only what `upgrade` says.
 */
#ifndef SD_CORE_PROXY_HEAD_H
#define SD_CORE_PROXY_HEAD_H

#include "core/addr.h"
#include "core/head_edit.h"
#include "sdlab/http1.h"

/* Which fields tell the backend who the client is. */
enum sd_proxy_style { SD_PROXY_X_FORWARDED, SD_PROXY_FORWARDED, SD_PROXY_BOTH };

struct sd_proxy_hop {
	const struct sd_peer *client;
	bool trusted;          /* the client is a proxy whose word counts */
	struct sd_slice proto; /* "http" or "https": how the client came */
	struct sd_slice via;   /* our name in Via: "sdlab" */
	struct sd_slice host;  /* for requests without Host */
	struct sd_slice traceparent; /* in place of the request's own; empty: that stays */
	bool trace_begins;           /* then what the request says of the trace so far (tracestate) is dropped */
	enum sd_proxy_style style;
	struct sd_slice upgrade; /* the protocol the request may change to; empty: none */
	/* What a rule changes: */
	struct sd_slice target;          /* in place of the request's own, in origin form; empty: that stays */
	struct sd_slice set_host;        /* in place of the request's own; empty: that stays */
	const struct sd_head_edit *edit; /* fields that go; NULL: none */
	struct sd_slice lines;           /* fields that come, each with its CRLF */
};

/* Who the client is when this peer brought the request: the peer itself unless it is trusted, else the right-most address
 * in X-Forwarded-For (or in Forwarded, when there is no other) that is not trusted; the left-most when all are. Where the
 * chain says something that is no address, the trusted one that said so. `trusted` holds n networks. */
struct sd_peer sd_proxy_client(const struct sd_http_head *head, const struct sd_peer *peer, const struct sd_cidr *trusted,
			       size_t n);
/* One on this machine, by a path or name that it was given, or in one of these networks. */
bool sd_proxy_is_trusted(const struct sd_peer *peer, const struct sd_cidr *trusted, size_t n);

/* It must not be passed on: OPTIONS or TRACE with Max-Forwards: 0 (RFC 9110 section 7.6.2). */
bool sd_proxy_is_last_hop(const struct sd_http_head *head);

/* No fewer bytes than the next function writes. */
size_t sd_proxy_request_bound(const struct sd_http_head *head, const struct sd_proxy_hop *hop);
/* Writes the head with its empty line; returns the length. A body of known length keeps its Content-Length, a chunked one
 * is announced as chunked. */
size_t sd_proxy_request_head(char *out, const struct sd_http_head *head, const struct sd_proxy_hop *hop);

/* The fields of an answer that go on to the client, and Via; without status line, framing fields and empty line. */
size_t sd_proxy_answer_bound(const struct sd_http_head *head, const struct sd_proxy_hop *hop);
size_t sd_proxy_answer_fields(char *out, const struct sd_http_head *head, const struct sd_proxy_hop *hop);

#endif
