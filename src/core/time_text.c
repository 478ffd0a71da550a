#include "time_text.h"

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
