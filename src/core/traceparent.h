/* traceparent.h - who called for this request: the field of W3C Trace Context, level 1. Pure.
 *
 *	traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01
 *	             |  trace: one for the whole way      parent: the caller  flags: bit 0, sampled
 *	             version
 *
 * Invalid: version ff, a trace or parent of zeros, letters in upper case, another length. A version above 00 may go on
 * behind a '-' after the flags; what we know of it is read, and it is written back as 00 (section 3.2.4).
 */
#ifndef SD_CORE_TRACEPARENT_H
#define SD_CORE_TRACEPARENT_H

#include <stdbool.h>
#include <stdint.h>

#include "core/rng.h"
#include "sdlab/http1.h"

#define SD_TRACEPARENT 55 /* bytes of version 00 */

struct sd_traceparent {
	uint8_t trace[16], parent[8];
	uint8_t flags; /* as received; of these only bit 0 is passed on */
};

bool sd_traceparent_parse(struct sd_slice text, struct sd_traceparent *out);
/* The one a request brings; false when it brings none, several (section 3.3.1.1 lets no list be made of them), or an
 * invalid one. Then its tracestate, if any, must not be passed on either. */
bool sd_traceparent_find(const struct sd_http_head *head, struct sd_traceparent *out);
/* A trace that begins here, sampled. */
void sd_traceparent_begin(struct sd_traceparent *t, struct sd_rng *rng);
/* The next call in the same trace: a new parent. */
void sd_traceparent_next(struct sd_traceparent *t, struct sd_rng *rng);
/* Writes SD_TRACEPARENT bytes, not terminated. */
void sd_traceparent_write(char *out, const struct sd_traceparent *t);
/* The trace as 32 digits, terminated. */
void sd_traceparent_id(char out[33], const struct sd_traceparent *t);

#endif
