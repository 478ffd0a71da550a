/* zipf.h - numbers by Zipf's law: the k-th is asked for in proportion to k^-s. By rejection and inversion (Hormann and Derflinger, 1996), so
 * that there is no table, and the range may grow. Pure. */
#ifndef SD_CORE_ZIPF_H
#define SD_CORE_ZIPF_H

#include "rng.h"

struct sd_zipf {
	double s, from, to, near; /* of the integral that is inverted */
	uint64_t n;
};
/* Numbers from 0 to n - 1, 0 the most frequent; n > 0, s > 0. */
void sd_zipf_init(struct sd_zipf *z, uint64_t n, double s);
/* As init with another n, at a small part of its cost. */
void sd_zipf_grow(struct sd_zipf *z, uint64_t n);
uint64_t sd_zipf_next(const struct sd_zipf *z, struct sd_rng *rng);

#endif
