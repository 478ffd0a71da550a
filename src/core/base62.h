/* base62.h - numbers in digits, capital and small letters, in the order of ASCII: texts of one length sort as the numbers do. Pure. */
#ifndef SD_CORE_BASE62_H
#define SD_CORE_BASE62_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sdlab/slice.h"

#define SD_BASE62_MAX 11 /* digits of the largest number */

/* At least `width` digits (SD_BASE62_MAX at most), with zeros in front, and no NUL. Returns how many. */
size_t sd_base62_put(uint64_t v, unsigned width, char out[SD_BASE62_MAX]);
/* False: empty, another character, or too large. */
bool sd_base62_get(struct sd_slice text, uint64_t *v);

#endif
