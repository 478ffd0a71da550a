#include "hdr_int.h"

#include <stdlib.h>
#include <string.h>

/* log2 of the smallest power of two that tells 2 * 10^digits values apart. */
static int sub_bucket_bits(int digits)
{
	int64_t distinct = 2;
	while (digits-- > 0)
		distinct *= 10;
	return 64 - __builtin_clzll((uint64_t)distinct - 1);
}

/* Buckets until `highest` fits, when the first holds what is below 2^bits. */
static int buckets_for(int64_t highest, int bits)
{
	int needed = 64 - __builtin_clzll((uint64_t)highest);
	return needed > bits ? needed - bits + 1 : 1;
}

static int unit_of(int64_t lowest)
{
	return 63 - __builtin_clzll((uint64_t)lowest);
}

bool sd_hdr_possible(int64_t lowest, int64_t highest, int digits)
{
	return digits >= 1 && digits <= 5 && lowest >= 1 && lowest <= highest / 2 &&
	       unit_of(lowest) + sub_bucket_bits(digits) <= 62;
}

struct sd_hdr *sd_hdr_new(int64_t lowest, int64_t highest, int digits)
{
	if (!sd_hdr_possible(lowest, highest, digits))
		return NULL;
	int unit = unit_of(lowest), bits = sub_bucket_bits(digits);
	int buckets = buckets_for(highest, unit + bits);
	int64_t n = (int64_t)(buckets + 1) << (bits - 1);
	struct sd_hdr *h = calloc(1, sizeof(*h) + (size_t)n * sizeof(h->counts[0]));
	if (!h)
		return NULL;
	h->lowest = lowest;
	h->highest = highest;
	h->digits = digits;
	h->unit = unit;
	h->half = bits - 1;
	h->lead = 64 - unit - bits;
	h->buckets = buckets;
	h->mask = ((1ull << bits) - 1) << unit;
	h->first = n;
	h->last = -1;
	h->n = n;
	return h;
}

void sd_hdr_free(struct sd_hdr *h)
{
	free(h);
}

void sd_hdr_reset(struct sd_hdr *h)
{
	if (h->last >= 0)
		memset(&h->counts[h->first], 0, (size_t)(h->last - h->first + 1) * sizeof(h->counts[0]));
	h->first = h->n;
	h->last = -1;
	h->total = h->clipped = 0;
}

void sd_hdr_record(struct sd_hdr *h, int64_t value, int64_t n)
{
	if (n > INT64_MAX - h->total) /* full: no overflow, whatever is asked for */
		n = INT64_MAX - h->total;
	if (n <= 0)
		return;
	if ((uint64_t)value > (uint64_t)h->highest) { /* those below 0 too */
		value = value < 0 ? 0 : h->highest;
		h->clipped += n;
	}
	sd_hdr_add(h, sd_hdr_slot(h, value), n);
}

/* Slot by slot rather than value by value: an interval of 1 and a stall of an hour are not billions of turns.
 */
void sd_hdr_record_corrected(struct sd_hdr *h, int64_t value, int64_t interval)
{
	sd_hdr_record(h, value, 1);
	if (interval <= 0 || value <= interval)
		return;
	for (int64_t v = value - interval; v >= interval;) {
		int64_t low = v > h->highest ? h->highest + 1 : sd_hdr_low(h, sd_hdr_slot(h, v));
		int64_t turns = 1;
		if (low < interval)
			low = interval;
		if (v - low >= interval)
			turns += (v - low) / interval;
		sd_hdr_record(h, v, turns);
		v -= turns * interval;
	}
}

enum sd_err sd_hdr_merge(struct sd_hdr *into, const struct sd_hdr *from)
{
	if (into->lowest != from->lowest || into->highest != from->highest || into->digits != from->digits)
		return SD_EINVAL;
	if (from->total > INT64_MAX - into->total)
		return SD_ERANGE;
	into->clipped += from->clipped;
	for (int64_t i = from->first, last = from->last; i <= last; i++)
		if (from->counts[i] > 0)
			sd_hdr_add(into, i, from->counts[i]);
	return SD_OK;
}

int64_t sd_hdr_count(const struct sd_hdr *h)
{
	return h->total;
}

int64_t sd_hdr_clipped(const struct sd_hdr *h)
{
	return h->clipped;
}

int64_t sd_hdr_min(const struct sd_hdr *h)
{
	return h->last < 0 ? 0 : sd_hdr_low(h, h->first);
}

int64_t sd_hdr_max(const struct sd_hdr *h)
{
	return h->last < 0 ? 0 : sd_hdr_high(h, h->last);
}

/* The middle of a slot stands for what is in it. */
static double middle(const struct sd_hdr *h, int64_t slot)
{
	return (double)(sd_hdr_low(h, slot) + (int64_t)(1ull << sd_hdr_width(h, slot) >> 1));
}

double sd_hdr_mean(const struct sd_hdr *h)
{
	double sum = 0;
	for (int64_t i = h->first; i <= h->last; i++)
		if (h->counts[i] > 0)
			sum += middle(h, i) * (double)h->counts[i];
	return h->total > 0 ? sum / (double)h->total : 0;
}

/* By Newton, from above, until it stops falling; the library needs no libm for one root. */
static double root(double x)
{
	double at, next = x > 1 ? x : 1;
	do {
		at = next;
		next = (at + x / at) / 2;
	} while (next < at);
	return x > 0 ? at : 0;
}

double sd_hdr_stddev(const struct sd_hdr *h)
{
	double mean = sd_hdr_mean(h), sum = 0;
	for (int64_t i = h->first; i <= h->last; i++) {
		double off = middle(h, i) - mean;
		if (h->counts[i] > 0)
			sum += off * off * (double)h->counts[i];
	}
	return h->total > 0 ? root(sum / (double)h->total) : 0;
}

/* How many values a percentile takes: rounded up, but not for the one unit in the last place by which the
 * product may be too large. So do the Java and JavaScript originals today; older ones and the one in C round
 * to the nearest. */
static int64_t count_at(const struct sd_hdr *h, double percentile)
{
	double want = percentile / 100 * (double)h->total, power;
	uint64_t bits;
	memcpy(&bits, &want, sizeof(bits));
	bits &= 0x7ffull << 52; /* the exponent alone: the power of two below it */
	memcpy(&power, &bits, sizeof(power));
	want -= power * 0x1p-52;
	if (want >= (double)h->total) /* before the cast: it may be 2^63 */
		return h->total;
	int64_t n = (int64_t)want;
	n += (double)n < want;
	return n > 1 ? n : 1;
}

int64_t sd_hdr_percentile(const struct sd_hdr *h, double percentile)
{
	if (h->last < 0 || percentile >= 100)
		return sd_hdr_max(h);
	if (!(percentile > 0)) /* the one case of the lowest: so the original does, and 0 is the minimum */
		return sd_hdr_min(h);
	int64_t want = count_at(h, percentile), slot = h->first;
	for (int64_t sum = h->counts[slot]; sum < want; sum += h->counts[slot])
		slot++;
	return sd_hdr_high(h, slot);
}

int64_t sd_hdr_count_at_or_below(const struct sd_hdr *h, int64_t value)
{
	if (value < 0)
		return 0;
	if (value >= sd_hdr_max(h))
		return h->total;
	int64_t sum = 0, end = sd_hdr_slot(h, value);
	for (int64_t i = h->first; i <= end; i++)
		sum += h->counts[i];
	return sum;
}

/* The percentile after this one: as many ticks to each half of what is left. Not above `from` when doubles
 * are too coarse to go on. */
static double after(double from, int ticks)
{
	double halves = 2;
	while (100 / (100 - from) >= halves)
		halves *= 2;
	return from + 100 / ((ticks > 0 ? ticks : 1) * halves);
}

static bool finish(const struct sd_hdr *h, struct sd_hdr_step *it)
{
	if (it->done)
		return false;
	it->done = true;
	it->percentile = 100;
	it->value = sd_hdr_max(h);
	it->count = h->total;
	return true;
}

/* it->index is the slot after the last one that was counted; a step may stay where the one before it was. */
bool sd_hdr_next(const struct sd_hdr *h, int ticks, struct sd_hdr_step *it)
{
	if (h->last < 0)
		return false;
	if (it->done || it->count >= h->total)
		return finish(h, it);
	double want = 0;
	if (it->index == 0) {
		it->index = h->first + 1;
		it->count = h->counts[h->first];
	} else {
		want = after(it->percentile, ticks);
		if (want >= 100 || want <= it->percentile)
			return finish(h, it);
	}
	while (100.0 * (double)it->count / (double)h->total < want) {
		if (it->index > h->last)
			return finish(h, it);
		it->count += h->counts[it->index++];
	}
	it->percentile = want;
	it->value = sd_hdr_high(h, it->index - 1);
	return true;
}
