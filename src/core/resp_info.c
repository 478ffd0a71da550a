/* resp_info.c - lines "key:value", ended by CRLF or LF. */
#include "resp_info.h"

struct sd_slice sd_resp_info(struct sd_slice info, const char *key)
{
	size_t n = strlen(key);
	for (const char *p = info.p, *end = info.p + info.n; p && p < end;) {
		const char *lf = memchr(p, '\n', (size_t)(end - p)), *next = lf ? lf + 1 : end;
		const char *stop = lf ? lf : end;
		stop -= stop > p && stop[-1] == '\r';
		if ((size_t)(stop - p) > n && memcmp(p, key, n) == 0 && p[n] == ':')
			return (struct sd_slice){p + n + 1, (size_t)(stop - p) - n - 1};
		p = next;
	}
	return (struct sd_slice){"", 0};
}

int64_t sd_resp_info_int(struct sd_slice s)
{
	int64_t v = 0;
	size_t i = 0;
	for (; i < s.n && s.p[i] >= '0' && s.p[i] <= '9' && v < INT64_MAX / 10 - 9; i++)
		v = v * 10 + s.p[i] - '0';
	return i ? v : -1;
}
