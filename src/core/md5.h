/* md5.h - MD5 (RFC 1321): to agree with those who placed their keys by it. It protects nothing. */
#ifndef SD_CORE_MD5_H
#define SD_CORE_MD5_H

#include <stddef.h>

#define SD_MD5_BYTES 16

void sd_md5(const void *data, size_t n, unsigned char out[SD_MD5_BYTES]);

#endif
