/* crc64.h - the checksum at the end of Redis's files and of what DUMP gives (Jones's polynomial 0xad93d23594c935a9, bits
 * reflected, begun with 0 and not turned round at the end).
 */
#ifndef SD_CORE_CRC64_H
#define SD_CORE_CRC64_H

#include <stddef.h>
#include <stdint.h>

/* The checksum of what `crc` is the checksum of, followed by n bytes; begin with 0. */
uint64_t sd_crc64(uint64_t crc, const void *bytes, size_t n);

#endif
