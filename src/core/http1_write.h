/* http1_write.h - small things that one writes into an HTTP/1.1 message.
 *
 * Nothing here allocates or calls the kernel. What is written is not terminated unless it says so.
 */
#ifndef SDLAB_CORE_HTTP1_WRITE_H
#define SDLAB_CORE_HTTP1_WRITE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sdlab/http1.h"

/* The value of a Date field, "Sun, 06 Nov 1994 08:49:37 GMT" (RFC 9110 section 5.6.7), of a wall clock in
 * nanoseconds since 1970, before or after. Writes 29 bytes and a NUL; returns 29. */
size_t sd_http_write_date(char out[30], int64_t wall_ns);

/* The line in front of n bytes of chunk data, "1f\r\n"; returns its length, 3 to 18. After the data goes
 * another CRLF. n = 0 gives "0\r\n", which one more CRLF makes the end of the body. */
size_t sd_http_chunk_head(char out[18], uint64_t n);

/* v in decimal; returns the number of digits, 1 to 20. */
size_t sd_u64_dec(char out[20], uint64_t v);

/* Must a proxy take this field of this head out before it passes the head on (RFC 9110 section 7.6.1)?
 *
 * Always: Connection, Keep-Alive, Proxy-Connection, TE, Trailer, Transfer-Encoding, Upgrade; the caller says
 * anew what holds for its own connection. Also what a Connection field names, but for fields that a sender
 * could take away only to deceive whoever is behind the proxy, whose naming is ignored: Host, Authorization,
 * Cookie, Content-*, X-Forwarded-*, Forwarded, Via, Cache-Control, Date and Expect. f must be one of
 * head->fields, of a head that was parsed. */
bool sd_http_hop_by_hop(const struct sd_http_head *head, const struct sd_http_field *f);

#endif
