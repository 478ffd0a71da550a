/* siphash.h - SipHash-2-4 (Aumasson, Bernstein, 2012): a MAC of 64 bits for short messages under a key of 128. */
#ifndef SD_CORE_SIPHASH_H
#define SD_CORE_SIPHASH_H

#include <stddef.h>
#include <stdint.h>

struct sd_siphash_key {
	uint64_t k0, k1; /* the key's bytes as two little-endian numbers */
};

uint64_t sd_siphash(const struct sd_siphash_key *key, const void *data, size_t n);
/* The same of n bytes, 7 at most, that are handed over as a little-endian number. */
uint64_t sd_siphash_short(const struct sd_siphash_key *key, uint64_t bytes, size_t n);

#endif
