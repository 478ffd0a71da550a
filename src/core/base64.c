#include "base64.h"

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void sd_base64(char *to, const uint8_t *p, size_t n)
{
	for (; n > 0; p += 3) {
		size_t part = n < 3 ? n : 3;
		uint32_t v = (uint32_t)p[0] << 16 | (part > 1 ? (uint32_t)p[1] << 8 : 0) | (part > 2 ? p[2] : 0);
		*to++ = digits[v >> 18];
		*to++ = digits[v >> 12 & 63];
		*to++ = part > 1 ? digits[v >> 6 & 63] : '=';
		*to++ = part > 2 ? digits[v & 63] : '=';
		n -= part;
	}
	*to = '\0';
}

static int digit(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

bool sd_base64_read(uint8_t *to, struct sd_slice text, size_t *n)
{
	const uint8_t *begin = to;
	uint32_t v = 0;
	int bits = 0;
	if (text.n % 4 != 0)
		return false;
	for (int pad = 0; pad < 2 && text.n > 0 && text.p[text.n - 1] == '='; pad++)
		text.n--;
	for (size_t i = 0; i < text.n; i++) {
		int d = digit(text.p[i]);
		if (d < 0)
			return false;
		v = (v << 6 | (uint32_t)d) & 0xffff;
		bits += 6;
		if (bits >= 8)
			*to++ = (uint8_t)(v >> (bits -= 8));
	}
	*n = (size_t)(to - begin);
	return bits < 6 && (v & ((1u << bits) - 1)) == 0;
}
