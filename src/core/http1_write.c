/* http1_write.c - dates, numbers and chunk heads; which fields stop at a proxy. */
#include <string.h>
#include <strings.h>

#include "core/http1_write.h"
#include "core/time_text.h"

#define NS_PER_S  1000000000
#define S_PER_DAY 86400

static const char digit_pairs[] = "00010203040506070809"
				  "10111213141516171819"
				  "20212223242526272829"
				  "30313233343536373839"
				  "40414243444546474849"
				  "50515253545556575859"
				  "60616263646566676869"
				  "70717273747576777879"
				  "80818283848586878889"
				  "90919293949596979899";

static char *put(char *p, const char *bytes, size_t n)
{
	memcpy(p, bytes, n);
	return p + n;
}

static char *put_pair(char *p, unsigned v)
{
	return put(p, digit_pairs + 2 * v, 2);
}

size_t sd_http_write_date(char out[30], int64_t wall_ns)
{
	static const char weekdays[] = "Thu, Fri, Sat, Sun, Mon, Tue, Wed, "; /* 1970 began on a Thursday */
	static const char months[] = " Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec ";
	/* a clock of 64 bits stays within the years 1677 to 2262 */
	int64_t s = wall_ns / NS_PER_S - (wall_ns % NS_PER_S < 0);
	int64_t days = s / S_PER_DAY - (s % S_PER_DAY < 0);
	unsigned in_day = (unsigned)(s - days * S_PER_DAY);
	int year;
	unsigned month, day;
	sd_civil_from_days(days, &year, &month, &day);
	char *p = put(out, weekdays + 5 * ((days % 7 + 7) % 7), 5);
	p = put_pair(p, day);
	p = put(p, months + 4 * (month - 1), 5);
	p = put_pair(put_pair(p, (unsigned)year / 100), (unsigned)year % 100);
	*p++ = ' ';
	p = put_pair(p, in_day / 3600);
	*p++ = ':';
	p = put_pair(p, in_day / 60 % 60);
	*p++ = ':';
	p = put_pair(p, in_day % 60);
	put(p, " GMT", 5);
	return 29;
}

size_t sd_http_chunk_head(char out[18], uint64_t n)
{
	int nibbles = n ? (67 - __builtin_clzll(n)) / 4 : 1;
	char *p = out;
	for (int i = nibbles - 1; i >= 0; i--)
		*p++ = "0123456789abcdef"[n >> (4 * i) & 15];
	p = put(p, "\r\n", 2);
	return (size_t)(p - out);
}

size_t sd_u64_dec(char out[20], uint64_t v)
{
	char tmp[20], *p = tmp + sizeof tmp;
	for (; v >= 100; v /= 100)
		put_pair(p -= 2, (unsigned)(v % 100));
	if (v >= 10)
		put_pair(p -= 2, (unsigned)v);
	else
		*--p = (char)('0' + v);
	size_t n = (size_t)(tmp + sizeof tmp - p);
	memcpy(out, p, n);
	return n;
}

static bool begins(struct sd_slice s, const char *lower)
{
	size_t n = strlen(lower);
	return s.n >= n && strncasecmp(s.p, lower, n) == 0;
}

/* Fields that Connection cannot take away. */
static bool is_protected(const struct sd_http_field *f)
{
	switch (f->id) {
	case SD_HTTP_F_HOST:
	case SD_HTTP_F_DATE:
	case SD_HTTP_F_EXPECT:
	case SD_HTTP_F_FORWARDED:
	case SD_HTTP_F_VIA:
		return true;
	default:
		return begins(f->name, "content-") || begins(f->name, "x-forwarded-") ||
		       sd_slice_ieq(f->name, "authorization") || sd_slice_ieq(f->name, "cookie") ||
		       sd_slice_ieq(f->name, "cache-control");
	}
}

bool sd_http_hop_by_hop(const struct sd_http_head *head, const struct sd_http_field *f)
{
	switch (f->id) {
	case SD_HTTP_F_CONNECTION:
	case SD_HTTP_F_KEEP_ALIVE:
	case SD_HTTP_F_PROXY_CONNECTION:
	case SD_HTTP_F_TE:
	case SD_HTTP_F_TRAILER:
	case SD_HTTP_F_TRANSFER_ENCODING:
	case SD_HTTP_F_UPGRADE:
		return true;
	default:
		return head->connection_nominates && sd_http_connection_names(head, f->name) &&
		       !is_protected(f);
	}
}
