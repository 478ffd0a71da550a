/* http_date.c - a form is a pattern: small letters of it stand for what is read, the rest for itself. */
#include "core/http_date.h"

#include <string.h>

#include "core/time_text.h"

#define S_PER_DAY 86400

struct reading {
	const char *p, *end;
	int year, month, day, hour, minute, second, weekday;
};

static const char short_days[] = "Thu Fri Sat Sun Mon Tue Wed "; /* 1970 began on a Thursday */
static const char months[] = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec ";
static const char *const long_days[] = {"Thursday", "Friday", "Saturday", "Sunday", "Monday", "Tuesday", "Wednesday"};

/* n digits; with `blank` the first may be a blank instead. -1: something else. */
static int number(struct reading *r, int n, bool blank)
{
	int v = 0;
	for (; n > 0; n--, blank = false) {
		if (r->p == r->end)
			return -1;
		char c = *r->p++;
		if (blank && c == ' ')
			continue;
		if (c < '0' || c > '9')
			return -1;
		v = v * 10 + c - '0';
	}
	return v;
}

/* Which of some names of three letters, or -1. */
static int name_of_three(struct reading *r, const char *names)
{
	if (r->end - r->p < 3)
		return -1;
	for (int i = 0; names[4 * i]; i++) {
		if (memcmp(names + 4 * i, r->p, 3) == 0) {
			r->p += 3;
			return i;
		}
	}
	return -1;
}

static int long_day(struct reading *r)
{
	for (int i = 0; i < 7; i++) {
		size_t n = strlen(long_days[i]);
		if ((size_t)(r->end - r->p) >= n && memcmp(r->p, long_days[i], n) == 0) {
			r->p += n;
			return i;
		}
	}
	return -1;
}

/* One letter of a pattern; false when something else stands there. */
static bool piece(struct reading *r, char what)
{
	switch (what) {
	case 'w':
		return (r->weekday = name_of_three(r, short_days)) >= 0;
	case 'l':
		return (r->weekday = long_day(r)) >= 0;
	case 'd':
		return (r->day = number(r, 2, false)) >= 0;
	case 'b':
		return (r->day = number(r, 2, true)) >= 0;
	case 'm':
		return (r->month = name_of_three(r, months)) >= 0;
	case 'y':
		return (r->year = number(r, 4, false)) >= 0;
	case 's':
		return (r->year = number(r, 2, false)) >= 0;
	case 't':
		r->hour = number(r, 2, false);
		if (r->p == r->end || *r->p++ != ':')
			return false;
		r->minute = number(r, 2, false);
		if (r->p == r->end || *r->p++ != ':')
			return false;
		r->second = number(r, 2, false);
		return r->hour >= 0 && r->minute >= 0 && r->second >= 0;
	default:
		return r->p < r->end && *r->p++ == what;
	}
}

static bool matches(struct reading *r, struct sd_slice text, const char *pattern)
{
	*r = (struct reading){.p = text.p, .end = text.p + text.n};
	for (; *pattern; pattern++)
		if (!piece(r, *pattern))
			return false;
	return r->p == r->end;
}

/* Two digits are the last such year that is at most 50 years ahead. */
static int century(int year, int64_t now_s)
{
	int this_year;
	unsigned month, day;
	sd_civil_from_days(now_s / S_PER_DAY, &this_year, &month, &day);
	year += this_year / 100 * 100;
	while (year > this_year + 50)
		year -= 100;
	while (year <= this_year - 50)
		year += 100;
	return year;
}

static bool seconds_of(const struct reading *r, int64_t *out)
{
	int year;
	unsigned month, day;
	if (r->hour > 23 || r->minute > 59 || r->second > 60 || r->day < 1)
		return false;
	int64_t days = sd_days_from_civil(r->year, (unsigned)r->month + 1, (unsigned)r->day);
	sd_civil_from_days(days, &year, &month, &day);
	if ((int)day != r->day || (days % 7 + 7) % 7 != r->weekday)
		return false;
	*out = days * S_PER_DAY + r->hour * 3600 + r->minute * 60 + r->second;
	return true;
}

bool sd_http_read_date(struct sd_slice text, int64_t now_s, int64_t *seconds)
{
	struct reading r;
	if (matches(&r, text, "w, d m y t GMT") || matches(&r, text, "w m b t y"))
		return seconds_of(&r, seconds);
	if (!matches(&r, text, "l, d-m-s t GMT"))
		return false;
	r.year = century(r.year, now_s);
	return seconds_of(&r, seconds);
}
