/* access_line.h - one line of an access log: what was asked, what became of it, and where the time went. Pure.
 *
 *	human     2026-11-22T02:37:58.123Z 192.0.2.7 GET /cart 200 512B web-1 12.3ms (queue 0, connect 0.2, first byte 11.9)
 *	json      one object a line; sdlab-lb(1) lists the members. sdlab load replay reads it
 *	common    192.0.2.7 - - [22/Nov/2026:02:37:58 +0000] "GET /cart HTTP/1.1" 200 512
 *	combined  the same, with "Referer" and "User-Agent" behind it
 *
 * Whatever bytes a client sent, a line holds no control byte but its own end, and a JSON line is JSON: other bytes become
 * \xHH (human, common, combined), \u00HH or U+FFFD (JSON). Long texts are cut, so a line is never longer than
 * SD_ACCESS_LINE_MAX; a JSON line whose target was cut says so.
 */
#ifndef SD_CORE_ACCESS_LINE_H
#define SD_CORE_ACCESS_LINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sdlab/slice.h"

#define SD_ACCESS_LINE_MAX 8192

enum sd_access_format { SD_ACCESS_HUMAN, SD_ACCESS_JSON, SD_ACCESS_COMMON, SD_ACCESS_COMBINED };

enum sd_access_end {
	SD_ACCESS_DONE,           /* a backend's answer went out whole */
	SD_ACCESS_LOCAL,          /* answered here, with an error */
	SD_ACCESS_BACKEND_FAILED, /* the answer broke off */
	SD_ACCESS_CLIENT_GONE,    /* the client left before the end */
	SD_ACCESS_REFUSED,        /* it broke a rule before it was a request */
};

#define SD_ACCESS_NONE (-1) /* a time that there was not */

struct sd_access_line {
	int64_t wall_ns; /* when the request's head was complete */
	struct sd_slice client, method, target, host, referer, user_agent, backend, trace;
	int minor, status; /* status 0: none went out */
	uint64_t bytes_in, bytes_out; /* of bodies */
	int64_t queue_ns, connect_ns, first_byte_ns, total_ns;
	uint32_t retries;
	enum sd_access_end end;
	struct sd_slice why; /* the error, of an answer made here */
};

/* Writes the line with its end; returns its length. */
size_t sd_access_line_write(char out[SD_ACCESS_LINE_MAX], enum sd_access_format format, const struct sd_access_line *line);

#endif
