/* time_text.h - times as text, without libc's calendar (which reads the environment). */
#ifndef SD_CORE_TIME_TEXT_H
#define SD_CORE_TIME_TEXT_H

#include <stddef.h>
#include <stdint.h>

#include "sdlab/err.h"

#define SD_TIME_TEXT 32

/* RFC 3339 in UTC with milliseconds: 2026-11-21T22:13:57.123Z. Returns the length. */
size_t sd_time_text(char out[SD_TIME_TEXT], int64_t wall_ns);

/* RFC 3339 from 1970 to 2261, the whole text: 2026-11-21T22:13:57.123456789Z, +01:00 (also +0100) for Z, a blank for T,
 * both letters in either case; decimals beyond the ninth are left out. SD_EINVAL: not of this form; SD_ERANGE: another
 * year. *wall_ns is set only with SD_OK. */
enum sd_err sd_time_parse(const char *text, int64_t *wall_ns);

/* Days since 1970-01-01 to year, month (1-12) and day (1-31). */
void sd_civil_from_days(int64_t days, int *year, unsigned *month, unsigned *day);
/* And back; the month is from 1 to 12. */
int64_t sd_days_from_civil(int year, unsigned month, unsigned day);

#endif
