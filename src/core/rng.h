/* rng.h - xoshiro256** (Blackman and Vigna, 2018), seeded through splitmix64. Not for secrets. */
#ifndef SD_CORE_RNG_H
#define SD_CORE_RNG_H

#include <stdint.h>

struct sd_rng {
	uint64_t s[4];
};

static inline void sd_rng_seed(struct sd_rng *r, uint64_t seed)
{
	for (int i = 0; i < 4; i++) {
		uint64_t z = seed += 0x9e3779b97f4a7c15u;
		z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
		z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
		r->s[i] = z ^ (z >> 31);
	}
}

static inline uint64_t sd_rng_next(struct sd_rng *r)
{
	uint64_t *s = r->s, x = s[1] * 5, t = s[1] << 17;
	x = ((x << 7) | (x >> 57)) * 9;
	s[2] ^= s[0];
	s[3] ^= s[1];
	s[1] ^= s[2];
	s[0] ^= s[3];
	s[2] ^= t;
	s[3] = (s[3] << 45) | (s[3] >> 19);
	return x;
}

/* Evenly from 0 to n - 1; n > 0. (Lemire's multiplication; the bias is below 2^-32 for n below 2^32.) */
static inline uint32_t sd_rng_below(struct sd_rng *r, uint32_t n)
{
	return (uint32_t)(((sd_rng_next(r) >> 32) * n) >> 32);
}

/* Evenly in [0, 1). */
static inline double sd_rng_unit(struct sd_rng *r)
{
	return (double)(sd_rng_next(r) >> 11) * 0x1.0p-53;
}

#endif
