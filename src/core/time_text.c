#include "time_text.h"

#include <stdbool.h>
#include <stdio.h>

#define SECOND_NS 1000000000
#define DAY_S     86400

/* Counts years from March, so that the leap day is the last of its year; eras of 400 years are all alike. */
void sd_civil_from_days(int64_t days, int *year, unsigned *month, unsigned *day)
{
	int64_t z = days + 719468;
	int64_t era = (z >= 0 ? z : z - 146096) / 146097;
	unsigned doe = (unsigned)(z - era * 146097);
	unsigned yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	unsigned doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
	unsigned m = (5 * doy + 2) / 153;
	*day = doy - (153 * m + 2) / 5 + 1;
	*month = m < 10 ? m + 3 : m - 9;
	*year = (int)(era * 400) + (int)yoe + (*month <= 2);
}

int64_t sd_days_from_civil(int year, unsigned month, unsigned day)
{
	int64_t y = year - (month <= 2);
	int64_t era = (y >= 0 ? y : y - 399) / 400;
	unsigned yoe = (unsigned)(y - era * 400), m = month > 2 ? month - 3 : month + 9;
	unsigned doy = (153 * m + 2) / 5 + day - 1;
	return era * 146097 + (int64_t)(yoe * 365 + yoe / 4 - yoe / 100 + doy) - 719468;
}

size_t sd_time_text(char out[SD_TIME_TEXT], int64_t wall_ns)
{
	int64_t s = wall_ns / SECOND_NS - (wall_ns % SECOND_NS < 0);
	int64_t ms = (wall_ns - s * SECOND_NS) / 1000000;
	int64_t days = s / DAY_S - (s % DAY_S < 0);
	int64_t t = s - days * DAY_S;
	int year;
	unsigned month, day;
	sd_civil_from_days(days, &year, &month, &day);
	int n = snprintf(out, SD_TIME_TEXT, "%04d-%02u-%02uT%02d:%02d:%02d.%03dZ", year % 10000, month % 100, day % 100,
			 (int)(t / 3600), (int)(t / 60 % 60), (int)(t % 60), (int)ms);
	return n > 0 && n < SD_TIME_TEXT ? (size_t)n : 0;
}

/* ---- reading ---- */

static bool take(const char **p, const char *one_of)
{
	for (; *one_of; one_of++)
		if (**p == *one_of) {
			++*p;
			return true;
		}
	return false;
}

/* Just n digits, with a value in [low, high]. */
static bool take_number(const char **p, int n, int low, int high, int *out)
{
	int v = 0;
	for (int i = 0; i < n; i++, ++*p) {
		if (**p < '0' || **p > '9')
			return false;
		v = v * 10 + (**p - '0');
	}
	*out = v;
	return v >= low && v <= high;
}

static bool take_fraction(const char **p, int64_t *ns)
{
	int64_t unit = SECOND_NS / 10;
	*ns = 0;
	if (!take(p, "."))
		return true;
	if (**p < '0' || **p > '9')
		return false;
	for (; **p >= '0' && **p <= '9'; ++*p, unit /= 10)
		*ns += (**p - '0') * unit;
	return true;
}

/* Minutes to the east. */
static bool take_zone(const char **p, int *minutes)
{
	int h, m;
	*minutes = 0;
	if (take(p, "Zz"))
		return true;
	int sign = **p == '-' ? -1 : 1;
	if (!take(p, "+-") || !take_number(p, 2, 0, 23, &h))
		return false;
	take(p, ":");
	if (!take_number(p, 2, 0, 59, &m))
		return false;
	*minutes = sign * (h * 60 + m);
	return true;
}

enum sd_err sd_time_parse(const char *text, int64_t *wall_ns)
{
	static const int days[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	const char *p = text;
	int year, month, day, h, m, s, east;
	int64_t ns;
	if (!take_number(&p, 4, 0, 9999, &year) || !take(&p, "-") || !take_number(&p, 2, 1, 12, &month) || !take(&p, "-") ||
	    !take_number(&p, 2, 1, days[month - 1], &day) || !take(&p, "Tt ") || !take_number(&p, 2, 0, 23, &h) ||
	    !take(&p, ":") || !take_number(&p, 2, 0, 59, &m) || !take(&p, ":") || !take_number(&p, 2, 0, 60, &s) ||
	    !take_fraction(&p, &ns) || !take_zone(&p, &east) || *p)
		return SD_EINVAL;
	if (month == 2 && day == 29 && (year % 4 != 0 || (year % 100 == 0 && year % 400 != 0)))
		return SD_EINVAL;
	if (year < 1970 || year > 2261)
		return SD_ERANGE;
	int64_t seconds = sd_days_from_civil(year, (unsigned)month, (unsigned)day) * DAY_S + h * 3600 + m * 60 + s;
	*wall_ns = (seconds - east * 60) * SECOND_NS + ns;
	return SD_OK;
}
