/* crc32c.h - the checksum of iSCSI, ext4 and most logs (Castagnoli's polynomial, RFC 3720 appendix B.4).
 *
 * It finds every change of up to five bits in blocks of less than 5,000 bits, every burst of up to 32 bits anywhere, and
 * misses other damage once in 2^32 times. Processors of the last decade compute it with an instruction, eight bytes at a
 * time; elsewhere tables do it, and both give the same.
 */
#ifndef SD_CORE_CRC32C_H
#define SD_CORE_CRC32C_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The checksum of what `crc` is the checksum of, followed by n bytes; begin with 0. */
uint32_t sd_crc32c(uint32_t crc, const void *bytes, size_t n);
/* The same by table, for tests and measurements. */
uint32_t sd_crc32c_table(uint32_t crc, const void *bytes, size_t n);
/* Does sd_crc32c use an instruction here? */
bool sd_crc32c_hardware(void);

#endif
