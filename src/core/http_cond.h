/* http_cond.h - requests that depend on what a client has already (RFC 9110 section 13). */
#ifndef SD_CORE_HTTP_COND_H
#define SD_CORE_HTTP_COND_H

#include <stdbool.h>
#include <stdint.h>

#include "sdlab/http1.h"

#define SD_HTTP_NO_DATE INT64_MIN

/* What is known of the representation that would be sent. */
struct sd_http_validators {
	struct sd_slice etag; /* as in the field: "abc" with its quotes, W/"abc"; empty: none */
	int64_t modified_s;   /* seconds since 1970, or SD_HTTP_NO_DATE */
};

/* Do these two name the same bytes (strong), or the same for whoever reads them (weak; RFC 9110 section 8.8.3.2)? */
bool sd_http_etag_strong(struct sd_slice a, struct sd_slice b);
bool sd_http_etag_weak(struct sd_slice a, struct sd_slice b);

/* Looks at If-Match, If-Unmodified-Since, If-None-Match and If-Modified-Since, in the order of section 13.2.2, for a
 * representation that exists: 200 to go on, 304 or 412. What is malformed matches nothing; a date that is none, or is there
 * twice, is not looked at. */
int sd_http_precondition(const struct sd_http_head *head, const struct sd_http_validators *v, int64_t now_s);

/* May a Range field be heeded? True without If-Range; with it when the strong comparison holds. A date is strong when it is
 * exactly that of the representation, which is not of the second that is now. */
bool sd_http_if_range(const struct sd_http_head *head, const struct sd_http_validators *v, int64_t now_s);

#endif
