/* bytes.h - numbers as bytes, in either order, wherever they lie. Compilers make one instruction of each. */
#ifndef SD_CORE_BYTES_H
#define SD_CORE_BYTES_H

#include <stddef.h>
#include <stdint.h>

/* The number in n bytes (8 at most), lowest first. */
static inline uint64_t sd_get_le(const void *from, size_t n)
{
	const unsigned char *p = from;
	uint64_t v = 0;
	for (size_t i = 0; i < n; i++)
		v |= (uint64_t)p[i] << (8 * i);
	return v;
}

static inline void sd_put_le(void *to, uint64_t v, size_t n)
{
	unsigned char *p = to;
	for (size_t i = 0; i < n; i++)
		p[i] = (unsigned char)(v >> (8 * i));
}

/* Highest first. */
static inline uint64_t sd_get_be(const void *from, size_t n)
{
	const unsigned char *p = from;
	uint64_t v = 0;
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
