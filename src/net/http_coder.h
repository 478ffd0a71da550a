/* http_coder.h - gzip (RFC 1952) and zstd (RFC 8878) as streams: bytes in, bytes out to a function. Private to src/net. */
#ifndef SD_NET_HTTP_CODER_H
#define SD_NET_HTTP_CODER_H

#include <stdbool.h>
#include <stddef.h>

#include "core/http_coding.h"

struct http_coder;

/* out is called during the calls below. NULL: out of memory. */
struct http_coder *http_coder_new(enum sd_http_coding coding, int level, void (*out)(void *arg, const void *p, size_t n),
				  void *arg);
void http_coder_free(struct http_coder *c);
/* False: it failed, and nothing more can be made of it. */
bool http_coder_write(struct http_coder *c, const void *p, size_t n);
/* All that was written can be read by who has what came out. */
bool http_coder_flush(struct http_coder *c);
bool http_coder_end(struct http_coder *c);
size_t http_coder_memory(const struct http_coder *c);

#endif
