/* hdr_int.h - the inside of a histogram, for the files hdr*.c and their tests.
 *
 * Slots are numbered as in HdrHistogram. Bucket 0 has sub_buckets slots of 2^unit; each bucket after it
 * covers as much as all before it, with half as many slots, twice as wide as those of the one before. Counts
 * lie in that order, so a slot's number grows with its value.
 */
#ifndef SD_CORE_HDR_INT_H
#define SD_CORE_HDR_INT_H

#include "sdlab/hdr.h"

struct sd_hdr {
	int64_t lowest, highest; /* as asked for */
	int digits;
	int unit; /* log2 of the width of the first slots */
	int half; /* log2 of half the sub-buckets */
	int lead; /* zero bits in front of the mask */
	int buckets;
	uint64_t mask; /* the bits that a value in bucket 0 may have */
	int64_t total, clipped;
	int64_t first, last; /* slots that are not 0 lie within these; last is -1 when there are none */
	int64_t n;           /* slots */
	int64_t counts[];
};

/* The slot of a value from 0 to what the last slot holds. */
static inline int64_t sd_hdr_slot(const struct sd_hdr *h, int64_t value)
{
	int bucket = h->lead - __builtin_clzll((uint64_t)value | h->mask);
	return ((int64_t)bucket << h->half) + (value >> (bucket + h->unit));
}

/* log2 of how many values share a slot. */
static inline int sd_hdr_width(const struct sd_hdr *h, int64_t slot)
{
	int64_t bucket = (slot >> h->half) - 1;
	return h->unit + (bucket > 0 ? (int)bucket : 0);
}

/* The lowest and highest value of a slot. */
static inline int64_t sd_hdr_low(const struct sd_hdr *h, int64_t slot)
{
	int width = sd_hdr_width(h, slot);
	return (slot - ((int64_t)(width - h->unit) << h->half)) << width;
}

static inline int64_t sd_hdr_high(const struct sd_hdr *h, int64_t slot)
{
	return sd_hdr_low(h, slot) + (int64_t)((1ull << sd_hdr_width(h, slot)) - 1);
}

/* Adds n (> 0) to a slot. False when the total would not fit; nothing is added then. */
static inline bool sd_hdr_add(struct sd_hdr *h, int64_t slot, int64_t n)
{
	if (n > INT64_MAX - h->total)
		return false;
	h->total += n;
	h->counts[slot] += n;
	if (slot < h->first)
		h->first = slot;
	if (slot > h->last)
		h->last = slot;
	return true;
}

/* Would sd_hdr_new take these? */
bool sd_hdr_possible(int64_t lowest, int64_t highest, int digits);

/* What is inside the zlib stream: 40 bytes of header, then counts. Sets *out to a new histogram. */
enum sd_err sd_hdr_read_payload(const uint8_t *p, size_t n, struct sd_hdr **out, struct sd_error *e);

#endif
