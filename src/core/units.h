/* units.h - amounts as people write them: 5s, 1h30m, 64KiB, 100/min, 5%.
 *
 * Parsing is strict: the whole text or nothing, no blanks, no sign where none makes sense, no leading zeros
 * (010 is eight to some readers and ten to others), no hexadecimal, nothing rounded. Each parser returns
 * SD_OK; SD_EINVAL when the text is not of the form; SD_ERANGE when it is but does not fit. *out is set only
 * with SD_OK.
 *
 * Formatting gives the shortest usual form, and parsing that form gives the same value back, to the last bit.
 */
#ifndef SD_CORE_UNITS_H
#define SD_CORE_UNITS_H

#include <stdbool.h>
#include <stdint.h>

#include "sdlab/err.h"

/* Enough for every text that is formatted here, with its NUL. */
#define SD_UNIT_TEXT 48

/* "true", "yes", "on", "1"; "false", "no", "off", "0"; in lower case. */
enum sd_err sd_parse_bool(const char *text, bool *out);

/* "-5", "0", "8080". */
enum sd_err sd_parse_int(const char *text, int64_t *out);

/* "1", "-0.5", "2.5e3"; no infinities and no NaN. */
enum sd_err sd_parse_number(const char *text, double *out);

/* "5%" or "0.05": from 0 to 1. */
enum sd_err sd_parse_percent(const char *text, double *out);

/* Nanoseconds: one or more of NUMBER UNIT, with units d, h, m, s, ms, us, ns, each at most once and in this
 * order; the last number may have decimals ("1.5s") as far as they make whole nanoseconds. "0" needs no unit.
 */
enum sd_err sd_parse_duration(const char *text, int64_t *ns);

/* Bytes: NUMBER with B or nothing, KB or kB, MB, GB, TB (powers of 1000), KiB, MiB, GiB, TiB (powers of
 * 1024); and as Redis writes them: k, m, g (powers of 1000), kb, mb, gb (powers of 1024), in any case but those before. Decimals as far
 * as they make whole bytes. */
enum sd_err sd_parse_size(const char *text, int64_t *bytes);

/* Events a second: NUMBER "/" UNIT, with units s, sec, second, m, min, minute, h, hour, d, day. */
enum sd_err sd_parse_rate(const char *text, double *per_second);

/* Each returns out. */
char *sd_format_number(double value, char out[SD_UNIT_TEXT]);
char *sd_format_percent(double value, char out[SD_UNIT_TEXT]);
char *sd_format_duration(int64_t ns, char out[SD_UNIT_TEXT]);
char *sd_format_size(int64_t bytes, char out[SD_UNIT_TEXT]);
char *sd_format_rate(double per_second, char out[SD_UNIT_TEXT]);

#endif
