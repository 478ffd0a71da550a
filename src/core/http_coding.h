/* http_coding.h - which content codings a client takes (RFC 9110 section 12.5.3). */
#ifndef SD_CORE_HTTP_CODING_H
#define SD_CORE_HTTP_CODING_H

#include "sdlab/http1.h"

/* In order of preference, where a client likes several the same. */
enum sd_http_coding { SD_CODING_ZSTD, SD_CODING_GZIP, SD_CODING_IDENTITY, SD_CODINGS };

#define SD_CODING_BIT(coding) (1u << (coding))

/* "zstd", "gzip"; "identity" is never written. */
const char *sd_http_coding_name(enum sd_http_coding coding);

/* The coding of `available` (a set of SD_CODING_BIT) that this client likes best by its Accept-Encoding fields. Identity
 * that is not named is what is left when nothing else will do; it also is when the client takes nothing at all, as a body
 * that it can throw away is better than none. Without the field, and where it is malformed: identity. */
enum sd_http_coding sd_http_choose_coding(const struct sd_http_head *head, unsigned available);

#endif
