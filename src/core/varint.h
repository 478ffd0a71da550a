/* varint.h - numbers in as few bytes as they need: seven bits a byte, lowest first, the highest bit set in all but the last
 * (LEB128, as protocol buffers and LevelDB have them). */
#ifndef SD_CORE_VARINT_H
#define SD_CORE_VARINT_H

#include <stddef.h>
#include <stdint.h>

#define SD_VARINT_MAX 10 /* bytes of one */

/* The bytes written. */
static inline size_t sd_put_varint(void *to, uint64_t v)
{
	uint8_t *p = to;
	size_t n = 0;
	for (; v >= 0x80; v >>= 7)
		p[n++] = (uint8_t)(v | 0x80);
	p[n++] = (uint8_t)v;
	return n;
}

/* The bytes read; 0: it is cut off, or above `most`. */
static inline size_t sd_get_varint(const void *from, size_t n, uint64_t most, uint64_t *v)
{
	const uint8_t *p = from;
	*v = 0;
	for (size_t i = 0; i < n && i < SD_VARINT_MAX; i++) {
		uint64_t bits = p[i] & 0x7f;
		if (i == 9 && bits > 1)
			return 0;
		*v |= bits << (7 * i);
		if (p[i] < 0x80)
			return *v <= most ? i + 1 : 0;
	}
	return 0;
}

#endif
