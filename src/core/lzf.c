#include "lzf.h"

#include <string.h>

bool sd_lzf_unpack(const void *from, size_t n, void *to, size_t want)
{
	const unsigned char *p = from, *end = p + n;
	unsigned char *out = to;
	size_t have = 0;
	while (p < end) {
		size_t c = *p++, len = c + 1, back = 0;
		if (c >= 32) {
			len = (c >> 5) + 2;
			if (len == 9 && p < end)
				len += *p++;
			if (p == end)
				return false;
			back = ((c & 31) << 8 | *p++) + 1;
		}
		if (len > want - have || back > have || (!back && len > (size_t)(end - p)))
			return false;
		if (!back) {
			memcpy(out + have, p, len);
			p += len;
		}
		for (size_t i = 0; back && i < len; i++) /* byte by byte: it may run into itself */
			out[have + i] = out[have + i - back];
		have += len;
	}
	return have == want;
}
