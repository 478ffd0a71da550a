/* redis_text.h - patterns and numbers in text, as commands of Redis have them. Pure. */
#ifndef SD_CORE_REDIS_TEXT_H
#define SD_CORE_REDIS_TEXT_H

#include <stdbool.h>
#include <stdint.h>

#include "sdlab/slice.h"

/* glob-style, as KEYS and PSUBSCRIBE have it. */
bool sd_redis_matches(struct sd_slice pattern, struct sd_slice text);
bool sd_redis_matches_any_case(struct sd_slice pattern, struct sd_slice text);
/* False: it is no number, or none that can be held. */
bool sd_redis_parse_double(struct sd_slice arg, long double *out);
/* A number as INCRBYFLOAT writes it; returns its length. */
#define SD_REDIS_FLOAT_TEXT 5120
size_t sd_redis_float_text(long double v, char out[SD_REDIS_FLOAT_TEXT]);
/* What strtoul takes, since Redis asks that one; so an empty cursor is 0. */
bool sd_redis_parse_cursor(struct sd_slice s, uint64_t *out);

#endif
