#include "md5.h"

#include <stdint.h>
#include <string.h>

#define BLOCK 64

/* floor(2^32 * |sin(i + 1)|) */
static const uint32_t sines[64] = {
	0xd76aa478, 0xe8c7b756, 0x242070db, 0xc1bdceee, 0xf57c0faf, 0x4787c62a, 0xa8304613, 0xfd469501,
	0x698098d8, 0x8b44f7af, 0xffff5bb1, 0x895cd7be, 0x6b901122, 0xfd987193, 0xa679438e, 0x49b40821,
	0xf61e2562, 0xc040b340, 0x265e5a51, 0xe9b6c7aa, 0xd62f105d, 0x02441453, 0xd8a1e681, 0xe7d3fbc8,
	0x21e1cde6, 0xc33707d6, 0xf4d50d87, 0x455a14ed, 0xa9e3e905, 0xfcefa3f8, 0x676f02d9, 0x8d2a4c8a,
	0xfffa3942, 0x8771f681, 0x6d9d6122, 0xfde5380c, 0xa4beea44, 0x4bdecfa9, 0xf6bb4b60, 0xbebfbc70,
	0x289b7ec6, 0xeaa127fa, 0xd4ef3085, 0x04881d05, 0xd9d4d039, 0xe6db99e5, 0x1fa27cf8, 0xc4ac5665,
	0xf4292244, 0x432aff97, 0xab9423a7, 0xfc93a039, 0x655b59c3, 0x8f0ccc92, 0xffeff47d, 0x85845dd1,
	0x6fa87e4f, 0xfe2ce6e0, 0xa3014314, 0x4e0811a1, 0xf7537e82, 0xbd3af235, 0x2ad7d2bb, 0xeb86d391,
};

static uint32_t rotate(uint32_t x, int bits)
{
	return x << bits | x >> (32 - bits);
}

static uint32_t get32(const unsigned char *p)
{
	return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

/* The four functions; the forms that need the fewest operations one after the other. */
static uint32_t f(uint32_t b, uint32_t c, uint32_t d)
{
	return d ^ (b & (c ^ d));
}

static uint32_t g(uint32_t b, uint32_t c, uint32_t d)
{
	return (d & b) + (~d & c);
}

static uint32_t h(uint32_t b, uint32_t c, uint32_t d)
{
	return b ^ c ^ d;
}

static uint32_t k(uint32_t b, uint32_t c, uint32_t d)
{
	return c ^ (b | ~d);
}

/* Sixteen steps, four of them a turn; the word of a step is (factor * step + first) mod 16. */
#define STEP(fn, a, b, c, d, i, factor, first, bits)                                                          \
	(a) = (b) + rotate((a) + sines[i] + w[((factor) * (i) + (first)) % 16] + fn(b, c, d), bits)
#define ROUND(fn, from, factor, first, b0, b1, b2, b3)                                                        \
	for (unsigned i = (from); i < (from) + 16; i += 4) {                                                  \
		STEP(fn, v[0], v[1], v[2], v[3], i, factor, first, b0);                                       \
		STEP(fn, v[3], v[0], v[1], v[2], i + 1, factor, first, b1);                                   \
		STEP(fn, v[2], v[3], v[0], v[1], i + 2, factor, first, b2);                                   \
		STEP(fn, v[1], v[2], v[3], v[0], i + 3, factor, first, b3);                                   \
	}

static void take(uint32_t state[4], const unsigned char *block)
{
	uint32_t v[4] = {state[0], state[1], state[2], state[3]}, w[16];
	for (int i = 0; i < 16; i++)
		w[i] = get32(block + (size_t)4 * i);
	ROUND(f, 0u, 1, 0, 7, 12, 17, 22)
	ROUND(g, 16u, 5, 1, 5, 9, 14, 20)
	ROUND(h, 32u, 3, 5, 4, 11, 16, 23)
	ROUND(k, 48u, 7, 0, 6, 10, 15, 21)
	for (int i = 0; i < 4; i++)
		state[i] += v[i];
}

void sd_md5(const void *data, size_t n, unsigned char out[SD_MD5_BYTES])
{
	uint32_t state[4] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476};
	unsigned char last[2 * BLOCK] = {0};
	size_t whole = n / BLOCK * BLOCK, rest = n - whole, end = rest + 9 <= BLOCK ? BLOCK : (size_t)2 * BLOCK;
	for (size_t at = 0; at < whole; at += BLOCK)
		take(state, (const unsigned char *)data + at);
	if (rest)
		memcpy(last, (const unsigned char *)data + whole, rest);
	last[rest] = 0x80;
	for (int i = 0; i < 8; i++)
		last[end - 8 + (size_t)i] = (unsigned char)((uint64_t)n << 3 >> (8 * i));
	for (size_t at = 0; at < end; at += BLOCK)
		take(state, last + at);
	for (int i = 0; i < SD_MD5_BYTES; i++)
		out[i] = (unsigned char)(state[i / 4] >> (8 * (i % 4)));
}
