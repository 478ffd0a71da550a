/* base64.h - bytes as text and back (RFC 4648 section 4), with padding. */
#ifndef SD_CORE_BASE64_H
#define SD_CORE_BASE64_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sdlab/slice.h"

static inline size_t sd_base64_length(size_t n)
{
	return (n + 2) / 3 * 4;
}
/* Writes sd_base64_length(n) characters and a 0. */
void sd_base64(char *to, const uint8_t *p, size_t n);
/* Whole groups of four, of which the last may be padded. `to` has room for text.n / 4 * 3 bytes, and may be where the text is. Bits that no
 * byte has must be 0. False: it is none. */
bool sd_base64_read(uint8_t *to, struct sd_slice text, size_t *n);

#endif
