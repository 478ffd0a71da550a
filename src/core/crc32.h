/* crc32.h - CRC-32 of IEEE 802.3 (as zlib and PNG have it), in pieces: what nginx places keys by. */
#ifndef SD_CORE_CRC32_H
#define SD_CORE_CRC32_H

#include <stddef.h>
#include <stdint.h>

#define SD_CRC32_BEGIN 0xffffffffu

uint32_t sd_crc32_add(uint32_t crc, const void *data, size_t n);
static inline uint32_t sd_crc32_end(uint32_t crc)
{
	return crc ^ 0xffffffffu;
}

#endif
