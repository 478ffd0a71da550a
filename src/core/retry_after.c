#include "retry_after.h"

#include "http_date.h"

#define SECOND 1000000000ll
#define YEAR_S (366 * 24 * 3600ll)

static int64_t bounded(int64_t s)
{
	return (s < 0 ? 0 : s > YEAR_S ? YEAR_S : s) * SECOND;
}

int64_t sd_retry_after(struct sd_slice value, int64_t now_s)
{
	int64_t s = 0;
	size_t i = 0;
	for (; i < value.n && value.p[i] >= '0' && value.p[i] <= '9'; i++)
		s = s > YEAR_S ? s : s * 10 + (value.p[i] - '0');
	if (i > 0 && i == value.n)
		return bounded(s);
	return sd_http_read_date(value, now_s, &s) ? bounded(s - now_s) : -1;
}
