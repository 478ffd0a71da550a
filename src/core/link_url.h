/* link_url.h - is this a URL that people may be sent to? And how it stands in a Location header. Pure.
 *
 * Refused: schemes that are not in the list (javascript:, data:, vbscript:, file:, blob:, about: and view-source: even when they are), no
 * host, control characters, white space inside, bytes that are not UTF-8, a backslash in front of the path, a user in front of the host unless
 * allowed, hosts and ports that cannot be, this service itself.
 *
 * Normalised: no white space around it; scheme and host in small letters; a host of other letters in A-labels (xn--...); no default
 * port, no empty path; what is not ASCII, and " < > \ ^ ` { | }, percent-encoded. Nothing else: %41 stays, dots stay, a lone % stays. What was
 * normalised stays the same when normalised again.
 */
#ifndef SD_CORE_LINK_URL_H
#define SD_CORE_LINK_URL_H

#include <stdbool.h>
#include <stddef.h>

#include "sdlab/err.h"
#include "sdlab/slice.h"

#define SD_HOST_MAX 253

/* A host name of UTF-8 to A-labels, with a NUL; false: it cannot be one. sd_idn_to_ascii (net/idn.h) is one. */
typedef bool sd_host_to_ascii(struct sd_slice host, char out[SD_HOST_MAX + 1]);

struct sd_link_url_conf {
	const char *schemes; /* separated by commas: "http,https,mailto"; NULL: "http,https" */
	size_t max;          /* bytes, before and after; 0: 65536 */
	bool login;          /* may it have user:password@? */
	/* Where this service is: "s.example.com" (at port 80 or 443), "localhost:8080", "[::1]:8080"; in any case of letters. One
	 * that is this machine itself (localhost, 127.0.0.1, [::1], 0.0.0.0, [::]) stands for the others, at its port. */
	const char *const *own;
	size_t nown;
	sd_host_to_ascii *to_ascii; /* NULL: names of other letters are refused */
};

/* *out is the caller's to free. SD_EINVAL (SD_ETOOBIG, SD_EPERM for a scheme that is not allowed or a loop): *e says what was expected, in a sentence
 * that may be shown to whoever sent it; of the URL it holds the scheme or host at most. */
enum sd_err sd_link_url(struct sd_slice text, const struct sd_link_url_conf *conf, char **out, struct sd_error *e);

#endif
