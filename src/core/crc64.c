#include "crc64.h"

#include "bytes.h"

/* A checksum is linear, so the row of a byte is the sum of the rows of its bits, and eight numbers make a table. */
#define BIT(i, b, x) (((i) >> (b) & 1u) ? (x) : 0u)
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
static const uint64_t table[8][256] = {
	{TABLE(0x7ad870c830358979u, 0xf5b0e190606b12f2u, 0xc038e5739841b68fu, 0xab28ecb46814fe75u,
	       0x7d08ff3b88be6f81u, 0xfa11fe77117cdf02u, 0xdf7adabd7a6e2d6fu,
	       0x95ac9329ac4bc9b5u)},
	{TABLE(0x89e99ffd73bddf69u, 0x388a19a9bfec2db9u, 0x711433537fd85b72u, 0xe22866a6ffb0b6e4u,
	       0xef09eb1ea7f6fea3u, 0xf54af06e177a6e2du, 0xc1ccc68f76634f31u,
	       0xa8c0ab4db4510d09u)},
	{TABLE(0xf4125129ce4038beu, 0xc37d8400c417e217u, 0xada22e52d0b85745u, 0x701d7af6f9e73de1u,
	       0xe03af5edf3ce7bc2u, 0xeb2ccd88bf0b64efu, 0xfd00bd4226815ab5u,
	       0xd1585cd715952601u)},
	{TABLE(0x8ce168638c796306u, 0x329bf69440655567u, 0x6537ed2880caaaceu, 0xca6fda510195559cu,
	       0xbf8692f15bbd3853u, 0x545403b1efede3cdu, 0xa8a80763dfdbc79au,
	       0x7a092894e7201c5fu)},
	{TABLE(0x3504e58b9ba6dd1eu, 0x6a09cb17374dba3cu, 0xd413962e6e9b7478u, 0x837e0a0f85a17b9bu,
	       0x2da5324c53d5645du, 0x5b4a6498a7aac8bau, 0xb694c9314f559174u,
	       0x4670b431c63cb183u)},
	{TABLE(0xe39d1389931b9354u, 0xec6301407ea0b5c3u, 0xf39f24d3a5d6f8edu, 0xcc676ff4133a62b1u,
	       0xb397f9bb7ee35609u, 0x4c76d525a5513f79u, 0x98edaa4b4aa27ef2u,
	       0x1a8272c5cdd36e8fu)},
	{TABLE(0x62a95de6e302eff2u, 0xc552bbcdc605dfe4u, 0xa1fc51c8d49c2ca3u, 0x68a185c2f1afca2du,
	       0xd1430b85e35f945au, 0x89df31589e28bbdfu, 0x38e744e264c6e4d5u,
	       0x71ce89c4c98dc9aau)},
	{TABLE(0x381d0015c96f4444u, 0x703a002b92de8888u, 0xe074005725bd1110u, 0xebb126fd13edb14bu,
	       0xfc3b6ba97f4cf1fdu, 0xd32ff101a60e7091u, 0x8d06c450148b7249u,
	       0x3154aef3718177f9u)},
};

uint64_t sd_crc64(uint64_t crc, const void *bytes, size_t n)
{
	const unsigned char *p = bytes;
	for (; n >= 8; n -= 8, p += 8) {
		crc ^= sd_get_le(p, 8);
		crc = table[7][crc & 255] ^ table[6][crc >> 8 & 255] ^ table[5][crc >> 16 & 255] ^ table[4][crc >> 24 & 255] ^
		      table[3][crc >> 32 & 255] ^ table[2][crc >> 40 & 255] ^ table[1][crc >> 48 & 255] ^ table[0][crc >> 56];
	}
	for (; n > 0; n--)
		crc = crc >> 8 ^ table[0][(crc ^ *p++) & 255];
	return crc;
}
