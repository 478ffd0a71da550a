#include "crc32c.h"

#include <string.h>

#if defined(__x86_64__)
#include <nmmintrin.h>
#elif defined(__ARM_FEATURE_CRC32)
#include <arm_acle.h>
#endif

/* ---- by table: eight bytes a step (slicing-by-8) ---- */

/* A checksum is linear, so the row of a byte is the sum of the rows of its bits, and eight numbers make a table. */
#define BIT(i, b, x)                     (((i) >> (b) & 1u) ? (x) : 0u)
#define ROW(i, a, b, c, d, e, f, g, h)                                                                        \
	(BIT(i, 0, a) ^ BIT(i, 1, b) ^ BIT(i, 2, c) ^ BIT(i, 3, d) ^ BIT(i, 4, e) ^ BIT(i, 5, f) ^ BIT(i, 6, g) ^ \
	 BIT(i, 7, h))
#define ROWS4(i, ...)   ROW(i, __VA_ARGS__), ROW(i + 1u, __VA_ARGS__), ROW(i + 2u, __VA_ARGS__), ROW(i + 3u, __VA_ARGS__)
#define ROWS16(i, ...)                                                                                        \
	ROWS4(i, __VA_ARGS__), ROWS4(i + 4u, __VA_ARGS__), ROWS4(i + 8u, __VA_ARGS__), ROWS4(i + 12u, __VA_ARGS__)
#define ROWS64(i, ...)                                                                                        \
	ROWS16(i, __VA_ARGS__), ROWS16(i + 16u, __VA_ARGS__), ROWS16(i + 32u, __VA_ARGS__), ROWS16(i + 48u, __VA_ARGS__)
#define TABLE(...)                                                                                            \
	ROWS64(0u, __VA_ARGS__), ROWS64(64u, __VA_ARGS__), ROWS64(128u, __VA_ARGS__), ROWS64(192u, __VA_ARGS__)

/* table[k][i]: what byte i does to the checksum when k more bytes of zeros follow it. */
static const uint32_t table[8][256] = {
	{TABLE(0xf26b8303u, 0xe13b70f7u, 0xc79a971fu, 0x8ad958cfu,
	       0x105ec76fu, 0x20bd8edeu, 0x417b1dbcu, 0x82f63b78u)},
	{TABLE(0x13a29877u, 0x274530eeu, 0x4e8a61dcu, 0x9d14c3b8u,
	       0x3fc5f181u, 0x7f8be302u, 0xff17c604u, 0xfbc3faf9u)},
	{TABLE(0xa541927eu, 0x4f6f520du, 0x9edea41au, 0x38513ec5u,
	       0x70a27d8au, 0xe144fb14u, 0xc76580d9u, 0x8b277743u)},
	{TABLE(0xdd45aab8u, 0xbf672381u, 0x7b2231f3u, 0xf64463e6u,
	       0xe964b13du, 0xd725148bu, 0xaba65fe7u, 0x52a0c93fu)},
	{TABLE(0x38116facu, 0x7022df58u, 0xe045beb0u, 0xc5670b91u,
	       0x8f2261d3u, 0x1ba8b557u, 0x37516aaeu, 0x6ea2d55cu)},
	{TABLE(0xef306b19u, 0xdb8ca0c3u, 0xb2f53777u, 0x6006181fu,
	       0xc00c303eu, 0x85f4168du, 0x0e045bebu, 0x1c08b7d6u)},
	{TABLE(0x68032cc8u, 0xd0065990u, 0xa5e0c5d1u, 0x4e2dfd53u,
	       0x9c5bfaa6u, 0x3d5b83bdu, 0x7ab7077au, 0xf56e0ef4u)},
	{TABLE(0x493c7d27u, 0x9278fa4eu, 0x211d826du, 0x423b04dau,
	       0x847609b4u, 0x0d006599u, 0x1a00cb32u, 0x34019664u)},
};

static uint32_t load32(const unsigned char *p)
{
	return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

uint32_t sd_crc32c_table(uint32_t crc, const void *bytes, size_t n)
{
	const unsigned char *p = bytes;
	crc = ~crc;
	for (; n >= 8; n -= 8, p += 8) {
		uint32_t low = crc ^ load32(p), high = load32(p + 4);
		crc = table[7][low & 255] ^ table[6][low >> 8 & 255] ^ table[5][low >> 16 & 255] ^ table[4][low >> 24] ^
		      table[3][high & 255] ^ table[2][high >> 8 & 255] ^ table[1][high >> 16 & 255] ^
		      table[0][high >> 24];
	}
	for (; n > 0; n--)
		crc = crc >> 8 ^ table[0][(crc ^ *p++) & 255];
	return ~crc;
}

/* ---- by instruction ---- */

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) static uint32_t instruction(uint32_t crc, const unsigned char *p, size_t n)
{
	uint64_t c = ~crc, word;
	for (; n >= 8; n -= 8, p += 8) {
		memcpy(&word, p, 8);
		c = _mm_crc32_u64(c, word);
	}
	uint32_t c32 = (uint32_t)c;
	for (; n > 0; n--)
		c32 = _mm_crc32_u8(c32, *p++);
	return ~c32;
}

bool sd_crc32c_hardware(void)
{
	return __builtin_cpu_supports("sse4.2");
}
#elif defined(__ARM_FEATURE_CRC32)
static uint32_t instruction(uint32_t crc, const unsigned char *p, size_t n)
{
	uint64_t word;
	crc = ~crc;
	for (; n >= 8; n -= 8, p += 8) {
		memcpy(&word, p, 8);
		crc = __crc32cd(crc, word);
	}
	for (; n > 0; n--)
		crc = __crc32cb(crc, *p++);
	return ~crc;
}

bool sd_crc32c_hardware(void)
{
	return true;
}
#else
#define instruction sd_crc32c_table

bool sd_crc32c_hardware(void)
{
	return false;
}
#endif

uint32_t sd_crc32c(uint32_t crc, const void *bytes, size_t n)
{
	return sd_crc32c_hardware() ? instruction(crc, bytes, n) : sd_crc32c_table(crc, bytes, n);
}
