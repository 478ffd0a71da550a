/* tls_hmac.h - HMAC-SHA256 (RFC 2104), by OpenSSL. */
#ifndef SD_NET_TLS_HMAC_H
#define SD_NET_TLS_HMAC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sdlab/slice.h"

#define SD_HMAC_BYTES 32

/* False: out of memory, and out is what nobody can have made. */
bool sd_hmac_sha256(struct sd_slice key, const void *p, size_t n, uint8_t out[SD_HMAC_BYTES]);

#endif
