/* mix.h - spreads the bits of a number, for hash tables in memory (the finisher of splitmix64). Not against
 * adversaries. */
#ifndef SD_CORE_MIX_H
#define SD_CORE_MIX_H

#include <stdint.h>

static inline uint64_t sd_mix(uint64_t z)
{
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

/* The hash of what had the hash h, followed by v. */
static inline uint64_t sd_mix_in(uint64_t h, uint64_t v)
{
	return sd_mix(h + 0x9e3779b97f4a7c15u + sd_mix(v));
}

#endif
