/* hll.h - how many different ones there were, without keeping them: HyperLogLog (Flajolet, Fusy, Gandouet, Meunier: "HyperLogLog: the
 * analysis of a near-optimal cardinality estimation algorithm", AofA 2007) with the estimator of Ertl ("New cardinality estimation
 * algorithms for HyperLogLog sketches", 2017), which needs no table of corrections. Pure.
 *
 * 2^12 registers of 6 bits: the standard error is 1.04 / 64 = 1.6 %. Few different ones are kept as a list of the registers that
 * are not zero, and are counted almost exactly; a list that would be longer than the registers becomes these.
 *
 * As bytes (sdlab-shortener-clicks(5)) it is the same wherever it was made, and in whatever order: two sketches of the same hashes
 * are equal byte by byte. The union of two is sd_hll_merge; adding twice changes nothing.
 */
#ifndef SD_CORE_HLL_H
#define SD_CORE_HLL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SD_HLL_BITS	 12
#define SD_HLL_REGISTERS (1u << SD_HLL_BITS)
#define SD_HLL_DENSE	 (1 + SD_HLL_REGISTERS * 6 / 8) /* bytes of the larger form: 3073 */
#define SD_HLL_SPARSE	 1024				/* most entries of a list, of 3 bytes each */

/* In memory always the registers. */
struct sd_hll {
	uint8_t at[SD_HLL_REGISTERS];
};

/* hash: 64 bits, all as good as random. Zero the sketch before the first. */
void sd_hll_add(struct sd_hll *h, uint64_t hash);
void sd_hll_merge(struct sd_hll *into, const struct sd_hll *from);
double sd_hll_count(const struct sd_hll *h);

/* Its bytes, at most SD_HLL_DENSE; how many. */
size_t sd_hll_put(const struct sd_hll *h, uint8_t out[SD_HLL_DENSE]);
/* Merges bytes that sd_hll_put made. False: they are none, and into is as it was. */
bool sd_hll_get(struct sd_hll *into, const uint8_t *p, size_t n);

#endif
