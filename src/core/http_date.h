/* http_date.h - the dates of HTTP, read. They are written by sd_http_write_date. */
#ifndef SD_CORE_HTTP_DATE_H
#define SD_CORE_HTTP_DATE_H

#include <stdbool.h>
#include <stdint.h>

#include "sdlab/slice.h"

/* Seconds since 1970 of a date in one of the three forms of RFC 9110 section 5.6.7:
 *
 *	Sun, 06 Nov 1994 08:49:37 GMT
 *	Sunday, 06-Nov-94 08:49:37 GMT     a year that would be more than 50 years after now is of the century before
 *	Sun Nov  6 08:49:37 1994
 *
 * False for anything else; also for a day that no month has, and a weekday that this date was not. 23:59:60 is the second
 * after. */
bool sd_http_read_date(struct sd_slice text, int64_t now_s, int64_t *seconds);

#endif
