/* utf8.h - whether bytes are UTF-8 (RFC 3629), and a character as UTF-8. */
#ifndef SD_CORE_UTF8_H
#define SD_CORE_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes of the character at p, of n there are; 0: none that UTF-8 allows (too long, a surrogate, beyond
 * U+10FFFF, cut off). */
static inline size_t sd_utf8_length(const char *p, size_t n)
{
	static const struct {
		uint8_t first, last, low, high; /* of the first byte; of the second */
		uint8_t length;
	} rows[] = {
	    {0x00, 0x7f, 0, 0, 1},       {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3},
	    {0xe1, 0xec, 0x80, 0xbf, 3}, {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3},
	    {0xf0, 0xf0, 0x90, 0xbf, 4}, {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4},
	};
	const unsigned char *u = (const unsigned char *)p;
	for (size_t i = 0; n > 0 && i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (u[0] < rows[i].first || u[0] > rows[i].last)
			continue;
		size_t length = rows[i].length;
		if (n < length || (length > 1 && (u[1] < rows[i].low || u[1] > rows[i].high)))
			return 0;
		for (size_t k = 2; k < length; k++)
			if ((u[k] & 0xc0) != 0x80)
				return 0;
		return length;
	}
	return 0;
}

/* Writes a character that is no surrogate and at most 0x10ffff; returns its bytes, 1 to 4. */
static inline size_t sd_utf8_put(char *to, uint32_t c)
{
	static const uint8_t lead[] = {0, 0, 0xc0, 0xe0, 0xf0};
	size_t length = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
	for (size_t i = length; i-- > 1; c >>= 6)
		to[i] = (char)(0x80 | (c & 0x3f));
	to[0] = (char)(lead[length] | c);
	return length;
}

#endif
