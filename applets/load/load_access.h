/* load_access.h - an access log as JSON, read entry by entry. A function of bytes. */
#ifndef LOAD_ACCESS_H
#define LOAD_ACCESS_H

#include <stddef.h>
#include <stdint.h>

#include "sdlab/err.h"
#include "sdlab/slice.h"

/* A recorded request. The slices are valid during the call they are handed to. */
struct load_access {
	int64_t at_ns;          /* since 1970; from a log with relative times, since its zero */
	struct sd_slice method; /* a token; GET, or POST with a body, when the log says none */
	struct sd_slice path;   /* with query; begins with '/', or is "*" for OPTIONS; no blank, no control byte */
	struct sd_slice body;
};

/* What to do with an entry; anything but SD_OK ends the reading, and its text gets FILE:LINE in front. */
typedef enum sd_err load_access_fn(void *arg, const struct load_access *entry, struct sd_error *e);

/* Hands each entry of text[0..n) to fn, in the order of the log: one JSON object a line (empty lines are skipped), or one
 * array of objects. sdlab-load(1) lists the names of fields; the first of them with a good value counts, others are
 * ignored. SD_EINVAL: an entry cannot be replayed, with "FILE:LINE: expected ..."; SD_ENOMEM; or what fn returned. */
enum sd_err load_access_read(const char *file, const char *text, size_t n, load_access_fn *fn, void *arg,
			     struct sd_error *e);

#endif
