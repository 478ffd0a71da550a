#include "base62.h"

static const char digits[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

size_t sd_base62_put(uint64_t v, unsigned width, char out[SD_BASE62_MAX])
{
	char back[SD_BASE62_MAX] = {0};
	size_t n = 0;
	while (n < SD_BASE62_MAX && (v || n < width || n == 0)) {
		back[n++] = digits[v % 62];
		v /= 62;
	}
	for (size_t i = 0; i < n; i++)
		out[i] = back[n - 1 - i];
	return n;
}

static int digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'A' && c <= 'Z')
		return c - 'A' + 10;
	return c >= 'a' && c <= 'z' ? c - 'a' + 36 : -1;
}

bool sd_base62_get(struct sd_slice text, uint64_t *v)
{
	uint64_t sum = 0;
	for (size_t i = 0; i < text.n; i++) {
		int d = digit(text.p[i]);
		if (d < 0 || sum > (UINT64_MAX - (uint64_t)d) / 62)
			return false;
		sum = sum * 62 + (uint64_t)d;
	}
	*v = sum;
	return text.n > 0;
}
