/* snappy.h - reads what Snappy wrote (google/snappy, format_description.txt). Only reading: what is written here is compressed
 * with zstd or not at all. Pure, and bounded whatever the bytes are. */
#ifndef SD_CORE_SNAPPY_H
#define SD_CORE_SNAPPY_H

#include <stdbool.h>
#include <stddef.h>

/* The length it will have; false: it does not begin with one, or above 4 GiB. */
bool sd_snappy_length(const void *p, size_t n, size_t *length);
/* Expands into out, which has exactly the room that sd_snappy_length told. False: damaged. */
bool sd_snappy_expand(const void *p, size_t n, void *out, size_t room);

#endif
