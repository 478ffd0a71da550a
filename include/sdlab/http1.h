/* http1.h - an HTTP/1.1 message parser that owns no memory and is strict.
 *
 * Bytes in, slices out. Nothing is copied or allocated; what comes back points into the caller's buffer and is
 * valid as long as that is. No I/O, no clock, no globals. Rules follow RFC 9112 (HTTP/1.1) and RFC 9110
 * (semantics); where the RFC leaves a choice, the parser refuses, because a proxy that guesses can be made to
 * disagree with the server behind it (request smuggling).
 *
 * Refused in requests, with the status to answer and the section that says so:
 *
 *   bare CR, bare LF, NUL or other control byte, obs-fold, space before the colon,
 *   empty or non-token name, malformed request line, no/duplicate/invalid Host        400
 *   a target with a space, a control byte, '#' or a byte >= 0x80, or of a form that
 *   does not go with the method                                                       400
 *   Content in a CONNECT request                                                      400
 *   Content-Length: not 1*DIGIT, repeated (even when equal), or a list; with TE       400
 *   Content-Length beyond 2^63 - 1                                                    413
 *   Transfer-Encoding in HTTP/1.0, not ending in chunked, chunked twice               400
 *   Transfer-Encoding with a coding other than chunked before it                      501
 *   request line longer than limits.max_target (plus method and version)              414
 *   head longer than limits.max_head, or more than limits.max_fields fields           431
 *   a version other than HTTP/1.0 or HTTP/1.1                                         505
 *   an Expect other than 100-continue                                                 417
 *
 * Host is uri-host [":" port] with a host that is not empty: a name of RFC 3986 characters, IPv4, or [IPv6];
 * no user information, no zone, a port up to 65535 or empty. An empty Host is refused in every form of request,
 * since no http URI has an empty host (RFC 9110 section 4.2.1).
 *
 * In responses, the same byte and framing rules; any refusal is reported as 502, also white space before a colon
 * and obs-fold, which a proxy might otherwise repair. A status code is 100 to 599. The only thing let pass is a
 * missing space between the status code and an empty reason.
 *
 * When several things are wrong, the first in the order of bytes is reported; rules over the whole head come
 * last. So the verdict does not depend on how the bytes were split over calls.
 */
#ifndef SDLAB_HTTP1_H
#define SDLAB_HTTP1_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "slice.h"

#ifdef __cplusplus
extern "C" {
#endif

#define SD_HTTP_MAX_FIELDS 100

enum sd_http_method {
	SD_HTTP_OTHER, /* any other token; the text is in head.method_text */
	SD_HTTP_GET,
	SD_HTTP_HEAD,
	SD_HTTP_POST,
	SD_HTTP_PUT,
	SD_HTTP_DELETE,
	SD_HTTP_CONNECT,
	SD_HTTP_OPTIONS,
	SD_HTTP_TRACE,
	SD_HTTP_PATCH,
};

/* GET, HEAD, OPTIONS, TRACE, PUT, DELETE: a repeat has the effect of one (RFC 9110 section 9.2.2). */
bool sd_http_method_idempotent(enum sd_http_method method);

/* Fields that somebody here looks at, so that the name is compared once, in the parser. */
#define SD_HTTP_FIELD_LIST(X)                                                                                \
	X(SD_HTTP_F_CONNECTION, "connection")                                                                \
	X(SD_HTTP_F_CONTENT_LENGTH, "content-length")                                                        \
	X(SD_HTTP_F_CONTENT_TYPE, "content-type")                                                            \
	X(SD_HTTP_F_DATE, "date")                                                                            \
	X(SD_HTTP_F_EXPECT, "expect")                                                                        \
	X(SD_HTTP_F_FORWARDED, "forwarded")                                                                  \
	X(SD_HTTP_F_HOST, "host")                                                                            \
	X(SD_HTTP_F_KEEP_ALIVE, "keep-alive")                                                                \
	X(SD_HTTP_F_MAX_FORWARDS, "max-forwards")                                                            \
	X(SD_HTTP_F_PROXY_CONNECTION, "proxy-connection")                                                    \
	X(SD_HTTP_F_SERVER, "server")                                                                        \
	X(SD_HTTP_F_TE, "te")                                                                                \
	X(SD_HTTP_F_TRACEPARENT, "traceparent")                                                              \
	X(SD_HTTP_F_TRACESTATE, "tracestate")                                                                \
	X(SD_HTTP_F_TRAILER, "trailer")                                                                      \
	X(SD_HTTP_F_TRANSFER_ENCODING, "transfer-encoding")                                                  \
	X(SD_HTTP_F_UPGRADE, "upgrade")                                                                      \
	X(SD_HTTP_F_VIA, "via")                                                                              \
	X(SD_HTTP_F_X_FORWARDED_FOR, "x-forwarded-for")                                                      \
	X(SD_HTTP_F_X_FORWARDED_HOST, "x-forwarded-host")                                                    \
	X(SD_HTTP_F_X_FORWARDED_PROTO, "x-forwarded-proto")

enum sd_http_field_id {
	SD_HTTP_F_OTHER,
#define X(id, name) id,
	SD_HTTP_FIELD_LIST(X)
#undef X
	    SD_HTTP_F_COUNT
};

/* One header line. `name` as received (compare with sd_slice_ieq, or use id); `value` without the white space
 * around it. The raw line is [name.p, value.p + value.n) followed by optional white space and CRLF. */
struct sd_http_field {
	struct sd_slice name;
	struct sd_slice value;
	enum sd_http_field_id id;
};

/* How long the body is (RFC 9112 section 6.3). */
enum sd_http_framing {
	SD_HTTP_BODY_NONE,    /* no body follows; also a request with neither length field */
	SD_HTTP_BODY_LENGTH,  /* exactly content_length bytes follow; content_length may be 0 */
	SD_HTTP_BODY_CHUNKED, /* the chunked coding follows */
	SD_HTTP_BODY_CLOSE,   /* responses only: until the connection closes */
};

struct sd_http_limits {
	size_t max_head;   /* bytes of the whole head, 0 = 32 KiB */
	size_t max_target; /* bytes of the request target, 0 = 8 KiB */
	size_t max_fields; /* fields, 0 = SD_HTTP_MAX_FIELDS, never more */
};

/* A parsed head. Large (it holds the field table): keep one a thread, not one a connection. */
struct sd_http_head {
	/* requests */
	enum sd_http_method method;
	struct sd_slice method_text;
	struct sd_slice target; /* as received: origin, absolute, authority or asterisk form */
	struct sd_slice path;   /* the path of an origin or absolute form target, without the query; "/" when
				   an absolute form has none; "*" for the asterisk form, and for OPTIONS of an absolute
				   form with neither path nor query (RFC 9112 section 3.2.4); empty for CONNECT. "/"
				   and "*" then point to static bytes */
	struct sd_slice query;  /* what follows '?', without it; empty when there is none */
	struct sd_slice host;   /* Host, or the authority of an absolute or authority form target, which wins
				   (RFC 9112 section 3.2.2); empty in HTTP/1.0 without Host */
	/* responses */
	int status;
	struct sd_slice reason;
	/* both */
	int minor; /* HTTP/1.minor: 0 or 1 */
	enum sd_http_framing framing;
	uint64_t content_length;   /* valid when framing is SD_HTTP_BODY_LENGTH; for a response to HEAD or
				      with status 304 the field's value, with framing SD_HTTP_BODY_NONE */
	bool has_content_length;   /* a Content-Length field was there */
	bool keep_alive;           /* persistent after this message, as version and Connection say; never
				      with SD_HTTP_BODY_CLOSE */
	bool expect_continue;      /* requests: Expect: 100-continue, HTTP/1.1 only */
	bool te_trailers;          /* requests: TE: trailers */
	bool connection_upgrade;   /* Connection names upgrade, and an Upgrade field is there; in requests,
				      HTTP/1.1 only */
	bool connection_nominates; /* Connection names something other than close, keep-alive and upgrade */
	struct sd_slice upgrade;   /* the first Upgrade field's value */
	size_t nfields;
	struct sd_http_field fields[SD_HTTP_MAX_FIELDS];
	/* after a refusal */
	int error_status;         /* what to answer: 400, 413, 414, 417, 431, 501, 505; 502 for responses */
	const char *error_reason; /* static, for people: "bare CR in a field value (RFC 9112 2.2)" */
};

#define SD_HTTP_INCOMPLETE (-2)
#define SD_HTTP_BAD        (-1)

/* Parses one request head from buf[0..len). Returns the length of the head including its empty line (> 0) and
 * fills *head; SD_HTTP_INCOMPLETE when more bytes are needed; SD_HTTP_BAD after filling error_status and
 * error_reason. `seen` is the number of bytes that an earlier call already found incomplete (0 at first): only
 * newer bytes are searched for the end, so a client that sends a byte at a time costs O(n), and a forbidden
 * byte (bare CR, bare LF, NUL) or an over-long head is refused as soon as it arrives, not only at the end.
 * Other faults may be reported before the end of the head or only there. A head that is not complete after
 * max_head bytes is refused, so a buffer of max_head bytes never waits for more. *head is scratch until the
 * return is > 0. Empty lines (CRLF) in front of a request line are skipped, as RFC 9112 section 2.2 asks, two
 * at most. limits may be NULL. Never reads outside buf[0..len). */
ssize_t sd_http_parse_request(const char *buf, size_t len, size_t seen, const struct sd_http_limits *limits,
			      struct sd_http_head *head);

/* The same for a response head; `method` is that of the request it answers, which decides whether a body
 * follows (HEAD: none; CONNECT with 2xx: none). 1xx, 204 and 304 have none. */
ssize_t sd_http_parse_response(const char *buf, size_t len, size_t seen, const struct sd_http_limits *limits,
			       enum sd_http_method method, struct sd_http_head *head);

/* The first field with this id, or NULL. */
const struct sd_http_field *sd_http_find(const struct sd_http_head *head, enum sd_http_field_id id);

/* The first field with this name (any case), or NULL. */
const struct sd_http_field *sd_http_find_name(const struct sd_http_head *head, const char *name);

/* Walks a comma-separated list (RFC 9110 section 5.6.1): returns true and sets *item to the next non-empty
 * element, trimmed, advancing *list; false at the end. Commas inside quoted strings do not split. */
bool sd_http_list_next(struct sd_slice *list, struct sd_slice *item);

/* Does any Connection field of the head name this field (any case)? */
bool sd_http_connection_names(const struct sd_http_head *head, struct sd_slice name);

/* The registered reason phrase, or "Unknown". */
const char *sd_http_status_text(int status);

/* ---- the chunked coding ---- */

/* A decoder of about 40 bytes; zero it to start. */
struct sd_http_chunked {
	uint64_t left;          /* bytes of the current chunk not yet handed out */
	uint32_t line_bytes;    /* of the current size or trailer line, for the limits */
	uint32_t trailer_bytes; /* of the whole trailer section */
	uint8_t state;
	bool done;              /* the last chunk and its trailers were read */
	const char *error;      /* static text after SD_HTTP_BAD */
};

/* Decodes from in[0..n): returns how many bytes were consumed (0 only when n is 0 or the body is done), and
 * sets *data to the run of body bytes among them (possibly empty; points into in). Call until all is consumed
 * or c->done; bytes after the body are left alone. SD_HTTP_BAD on anything that is not 1*HEXDIG [ext] CRLF
 * (at most 16 digits without leading "0x", sign or space, value below 2^63; extensions at most 256 bytes a
 * chunk, counted with the spaces in front, free of control bytes, with quotes closed), a missing CRLF after the
 * data, a bare CR or LF, or trailers beyond 8 KiB. *data is then empty, c->error says why, and every further
 * call is refused. Trailers are checked for form and dropped. */
ssize_t sd_http_chunked_decode(struct sd_http_chunked *c, const char *in, size_t n, struct sd_slice *data);

#ifdef __cplusplus
}
#endif

#endif
