/* bytes.h - numbers as bytes, in either order, wherever they lie. A processor whose own order is little-endian takes one instruction for
 * 4 and 8 bytes; compilers do not see by themselves that the loops are that. */
#ifndef SD_CORE_BYTES_H
#define SD_CORE_BYTES_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define SD_BYTES_AT_ONCE(n, size) (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ && __builtin_constant_p(n) && (n) == (size))

/* The number in n bytes (8 at most), lowest first. */
static inline uint64_t sd_get_le(const void *from, size_t n)
{
	const unsigned char *p = from;
	uint64_t v = 0;
	uint32_t half;
	if (SD_BYTES_AT_ONCE(n, 8)) {
		memcpy(&v, p, 8);
		return v;
	}
	if (SD_BYTES_AT_ONCE(n, 4)) {
		memcpy(&half, p, 4);
		return half;
	}
	for (size_t i = 0; i < n; i++)
		v |= (uint64_t)p[i] << (8 * i);
	return v;
}

static inline void sd_put_le(void *to, uint64_t v, size_t n)
{
	unsigned char *p = to;
	uint32_t half = (uint32_t)v;
	if (SD_BYTES_AT_ONCE(n, 8)) {
		memcpy(p, &v, 8);
		return;
	}
	if (SD_BYTES_AT_ONCE(n, 4)) {
		memcpy(p, &half, 4);
		return;
	}
	for (size_t i = 0; i < n; i++)
		p[i] = (unsigned char)(v >> (8 * i));
}

/* Highest first. */
static inline uint64_t sd_get_be(const void *from, size_t n)
{
	const unsigned char *p = from;
	uint64_t v = 0;
	uint32_t half;
	if (SD_BYTES_AT_ONCE(n, 8)) {
		memcpy(&v, p, 8);
		return __builtin_bswap64(v);
	}
	if (SD_BYTES_AT_ONCE(n, 4)) {
		memcpy(&half, p, 4);
		return __builtin_bswap32(half);
	}
	for (size_t i = 0; i < n; i++)
		v = v << 8 | p[i];
	return v;
}

static inline void sd_put_be(void *to, uint64_t v, size_t n)
{
	unsigned char *p = to;
	for (size_t i = 0; i < n; i++)
		p[i] = (unsigned char)(v >> (8 * (n - 1 - i)));
}

#endif
