/* http_path.h - one way to write each path of a URL, so that two that mean the same compare equal byte by byte.
 *
 * Whoever decides something by a path (a route, a file, a cache key) does so after this, or "/a/%2e%2e/admin" goes past a
 * rule for "/admin" and is still understood as it by the server behind.
 */
#ifndef SD_CORE_HTTP_PATH_H
#define SD_CORE_HTTP_PATH_H

#include <stddef.h>
#include <sys/types.h>

#include "sdlab/slice.h"

/* Writes the normal form (RFC 3986 section 6.2.2) of a path, without its query, into out, and returns its length; it is
 * never longer than the path, and out may be path.p. Not terminated.
 *
 *	%41 -> A          octets that need no encoding are decoded: letters, digits, "-", ".", "_", "~"
 *	%c3%a9 -> %C3%A9  what stays encoded has upper-case digits; "%2F" stays, and never separates segments
 *	/a/./b/%2e%2E/c -> /a/c     dot segments go (section 5.2.4), after decoding
 *	/a//b             stays: an empty segment is a segment
 *
 * Doing it again changes nothing. Returns -1, with a static sentence in *why (unless why is NULL), for a path that does
 * not begin with '/', a ".." above the root, a bad or cut percent sign, NUL, a backslash (also encoded), and bytes that no
 * path may hold as they are: controls, space, '#', '?', 0x80 and above; and when room is too small. */
ssize_t sd_http_path_normalise(struct sd_slice path, char *out, size_t room, const char **why);

/* The name, relative to a folder, of the file that a path in normal form asks for: "a/b.html" for "/a/b.html", "a/" for
 * "/a/", "" for "" and "/". Terminated; returns its length. -1 when it can name none: an empty segment before the last, an
 * encoded '/' or NUL, a name that begins with '.' (but ".well-known"), a bad percent sign; and when room is too small. */
ssize_t sd_http_path_file(struct sd_slice path, char *out, size_t room);

#endif
