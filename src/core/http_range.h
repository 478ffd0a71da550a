/* http_range.h - which bytes a client asks for (RFC 9110 section 14). */
#ifndef SD_CORE_HTTP_RANGE_H
#define SD_CORE_HTTP_RANGE_H

#include <stdint.h>

#include "sdlab/slice.h"

#define SD_HTTP_RANGES 16 /* more in one request are not answered in parts */

struct sd_http_range {
	uint64_t first, last; /* both belong to it */
};

struct sd_http_ranges {
	unsigned n;
	struct sd_http_range range[SD_HTTP_RANGES];
};

enum sd_http_range_verdict {
	SD_HTTP_RANGE_WHOLE, /* 200: the field is malformed, of another unit, or asks for too many ranges */
	SD_HTTP_RANGE_PARTS, /* 206, with those of *out */
	SD_HTTP_RANGE_NONE,  /* 416: nothing of what it asks for is there */
};

/* Reads the value of a Range field for a representation of so many bytes. Ranges that overlap or touch are made one, which
 * stands where the first of them stood; those beyond the end are left out. */
enum sd_http_range_verdict sd_http_read_ranges(struct sd_slice value, uint64_t size, struct sd_http_ranges *out);

#define SD_HTTP_CONTENT_RANGE 80
/* The value of Content-Range, "bytes 0-99/1234"; range NULL: of a 416. Terminated; returns the length. */
size_t sd_http_write_content_range(char out[SD_HTTP_CONTENT_RANGE], const struct sd_http_range *range, uint64_t size);

#endif
