/* space_saving.h - the keys that are seen most, of any number of keys, in the memory of a few. Pure.
 *
 * Space-Saving (Metwally, Agrawal, El Abbadi: "Efficient computation of frequent and top-k elements in data streams", ICDT 2005) with its stream summary: counters of the same
 * count share a bucket, buckets are in order, so that counting and replacing cost O(1). With k counters and n sightings, for every key
 *
 *	count - error  <=  sightings  <=  count,    error <= n / k,    and a key seen more than n / k times has a counter.
 *
 * So that it tells what is seen now, all counts are halved from time to time (sd_space_saving_halve), and n with them: each sighting is
 * then worth half as much, and the bounds hold for these sums, up to one that rounding adds to n/k for each counter.
 */
#ifndef SD_CORE_SPACE_SAVING_H
#define SD_CORE_SPACE_SAVING_H

#include <stddef.h>
#include <stdint.h>

#include "sdlab/slice.h"

#define SD_SPACE_SAVING_KEY 512 /* bytes of a key that are kept; longer keys that begin alike are one */

struct sd_space_saving;

struct sd_space_saving_top {
	struct sd_slice key; /* until the next call */
	uint32_t group;
	uint64_t count, error; /* count is at most so much too high */
};

/* k counters, at most 65535. NULL: no memory. */
struct sd_space_saving *sd_space_saving_new(size_t k);
void sd_space_saving_free(struct sd_space_saving *s);
/* Keys of different groups are different keys. hash: of the key, the same for the same key. */
void sd_space_saving_add(struct sd_space_saving *s, struct sd_slice key, uint32_t group, uint32_t hash);
void sd_space_saving_halve(struct sd_space_saving *s);
void sd_space_saving_clear(struct sd_space_saving *s);
/* Those with the highest counts first, so many at most; how many. */
size_t sd_space_saving_top(const struct sd_space_saving *s, struct sd_space_saving_top *out, size_t max);
/* Sum of all sightings, halved as they were. */
uint64_t sd_space_saving_total(const struct sd_space_saving *s);
size_t sd_space_saving_memory(const struct sd_space_saving *s);

#endif
