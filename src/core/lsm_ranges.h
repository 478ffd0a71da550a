/* lsm_ranges.h - ranges of keys that were removed at once: what hides an older entry.
 *
 * A set never changes, so that threads share it. Looking costs O(log² n), however the ranges overlap; the set takes O(n log n).
 * NULL is the empty set everywhere.
 */
#ifndef SD_CORE_LSM_RANGES_H
#define SD_CORE_LSM_RANGES_H

#include "lsm.h"

/* User keys from `from` on and before `to` (empty: to the end), of entries older than seq. */
struct sd_lsm_range {
	struct sd_slice from, to;
	uint64_t seq;
};
struct sd_lsm_ranges;

/* A set of these, with one reference; keys are copied. Those that hold nothing (from not before to) are left out.
 * False: out of memory. *out is NULL when there are none. */
bool sd_lsm_ranges_new(const struct sd_lsm_range *list, size_t n, struct sd_lsm_ranges **out);
/* All of n sets in one; of one set it is that. */
bool sd_lsm_ranges_join(struct sd_lsm_ranges *const *sets, size_t n, struct sd_lsm_ranges **out);
struct sd_lsm_ranges *sd_lsm_ranges_ref(struct sd_lsm_ranges *s);
void sd_lsm_ranges_unref(struct sd_lsm_ranges *s);

/* The highest sequence number up to `snapshot` of a range that the user key is in; 0: none. It hides entries with lower ones. */
uint64_t sd_lsm_ranges_hides(const struct sd_lsm_ranges *s, struct sd_slice user, uint64_t snapshot);

/* Upwards by from, of those newest first. The keys live as long as the set. */
size_t sd_lsm_ranges_count(const struct sd_lsm_ranges *s);
struct sd_lsm_range sd_lsm_ranges_at(const struct sd_lsm_ranges *s, size_t i);
size_t sd_lsm_ranges_bytes(const struct sd_lsm_ranges *s); /* of memory */

#endif
