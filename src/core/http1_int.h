/* http1_int.h - what the files of the HTTP/1.1 parser share. Nobody else includes it.
 *
 * http1.c walks the bytes and cuts them into lines and slices; http1_target.c reads the request target and
 * hosts; http1_fields.c knows what fields mean; http1_tables.c holds classes, names and phrases.
 */
#ifndef SDLAB_CORE_HTTP1_INT_H
#define SDLAB_CORE_HTTP1_INT_H

#include <stdbool.h>
#include <stdint.h>

#include "sdlab/http1.h"

/* What a byte may be part of. */
enum {
	SD_H1_TOKEN = 1,   /* method, field name (RFC 9110 section 5.6.2) */
	SD_H1_VALUE = 2,   /* field value, reason phrase: HT, SP, VCHAR, obs-text (5.5) */
	SD_H1_TARGET = 4,  /* request target: printable ASCII but SP and '#' */
	SD_H1_REGNAME = 8, /* registered name, without percent-encoding (RFC 3986 section 3.2.2) */
	SD_H1_HEX = 16,
	SD_H1_DIGIT = 32,
};

extern const uint8_t sd_h1_class[256];

static inline bool sd_h1_is(char c, unsigned cls)
{
	return sd_h1_class[(unsigned char)c] & cls;
}

static inline bool sd_h1_is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* The first byte of [p, end) that is not of a class, or end. Four at a time: names and targets are where most
 * of the time of a short head goes. */
static inline const char *sd_h1_skip(const char *p, const char *end, unsigned cls)
{
	for (; end - p >= 4; p += 4) {
		if (!sd_h1_is(p[0], cls))
			return p;
		if (!sd_h1_is(p[1], cls))
			return p + 1;
		if (!sd_h1_is(p[2], cls))
			return p + 2;
		if (!sd_h1_is(p[3], cls))
			return p + 3;
	}
	while (p < end && sd_h1_is(*p, cls))
		p++;
	return p;
}

/* A parse in progress. */
struct sd_h1 {
	const char *p;   /* the next byte */
	const char *end; /* of what has arrived, or of what a head may be */
	struct sd_http_head *head;
	size_t max_target;
	size_t max_fields;
	bool response;
	enum sd_http_method asked; /* responses: the method of the request */
	bool odd_version;          /* well formed, but neither 1.0 nor 1.1 */
	/* what the fields said so far */
	bool host;
	bool close;
	bool persist;
	bool wants_upgrade;
	bool te;           /* a Transfer-Encoding field was there */
	bool te_ends;      /* and the last coding so far is chunked */
	bool te_other;     /* a coding other than chunked was named */
	unsigned nchunked; /* times that chunked was named */
};

/* Records the refusal and returns SD_HTTP_BAD. In a response the status is always 502. */
int sd_h1_refuse(struct sd_h1 *h, int status, const char *why);

/* Sets path, query and host from head->target, by its form. 0 or SD_HTTP_BAD. */
int sd_h1_target(struct sd_h1 *h);

/* Is s uri-host [":" port] with a host that is not empty? port_needed: and with a port of 1 to 65535. */
bool sd_h1_authority(struct sd_slice s, bool port_needed);

/* Takes in a field whose id is known. 0 or SD_HTTP_BAD. */
int sd_h1_field(struct sd_h1 *h, const struct sd_http_field *f);

/* After the empty line: the rules over several fields, framing and persistence. 0 or SD_HTTP_BAD. */
int sd_h1_finish(struct sd_h1 *h);

/* n > 0 bytes of token. */
enum sd_http_method sd_h1_method(const char *p, size_t n);
enum sd_http_field_id sd_h1_field_id(const char *p, size_t n);

#endif
