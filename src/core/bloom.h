/* bloom.h - a Bloom filter (Bloom, 1970): which keys were certainly never added. Pure; one thread.
 *
 * At the number of keys it was made for, one in a hundred that were not added is said to have been (10 bits a key, 7 probes by double hashing:
 * Kirsch and Mitzenmacher, 2006). With more keys that share grows, and nothing else happens.
 */
#ifndef SD_CORE_BLOOM_H
#define SD_CORE_BLOOM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sdlab/slice.h"

struct sd_bloom {
	uint64_t *words;
	uint64_t nbits;
	size_t room; /* keys it was made for */
	size_t keys; /* that were added */
};

/* For so many keys, at least 64. False: out of memory. */
bool sd_bloom_init(struct sd_bloom *b, size_t keys);
void sd_bloom_free(struct sd_bloom *b); /* fine on zeros */
void sd_bloom_add(struct sd_bloom *b, struct sd_slice key);
/* False: it was not added, for certain. */
bool sd_bloom_has(const struct sd_bloom *b, struct sd_slice key);

#endif
