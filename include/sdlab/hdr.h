/* hdr.h - a histogram that keeps three digits of every value, in constant memory, and can be added to others.
 *
 * The layout is that of HdrHistogram (Gil Tene): values fall into buckets that double in width, each cut into equal
 * sub-buckets, so the relative error is below 10^-digits everywhere. What is recorded here reads back in every other
 * HdrHistogram, and the other way round. No I/O, no clock; one histogram belongs to one thread.
 */
#ifndef SDLAB_HDR_H
#define SDLAB_HDR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"

#ifdef __cplusplus
extern "C" {
#endif

struct sd_hdr;

/* Values from lowest (>= 1: smaller differences are not told apart) to highest, with 1 to 5 digits. The unit is the
 * caller's. NULL: out of memory or arguments out of range. */
struct sd_hdr *sd_hdr_new(int64_t lowest, int64_t highest, int digits);
void sd_hdr_free(struct sd_hdr *h);
void sd_hdr_reset(struct sd_hdr *h);

/* Counts n times a value; below 0 counts as 0, above highest as highest (and sd_hdr_clipped tells how many were). */
void sd_hdr_record(struct sd_hdr *h, int64_t value, int64_t n);
/* As sd_hdr_record once, and also value - interval, value - 2 * interval ... while >= interval: what a client that
 * sends every `interval` would have seen while it was kept waiting (correction of coordinated omission). */
void sd_hdr_record_corrected(struct sd_hdr *h, int64_t value, int64_t interval);
/* Adds the counts of `from`, which must have the same range and digits (SD_EINVAL). */
enum sd_err sd_hdr_merge(struct sd_hdr *into, const struct sd_hdr *from);

int64_t sd_hdr_count(const struct sd_hdr *h);
int64_t sd_hdr_clipped(const struct sd_hdr *h);
int64_t sd_hdr_min(const struct sd_hdr *h); /* 0 when empty; lowest equivalent value */
int64_t sd_hdr_max(const struct sd_hdr *h); /* highest equivalent value */
double sd_hdr_mean(const struct sd_hdr *h);
double sd_hdr_stddev(const struct sd_hdr *h);
/* The value that `percentile` per cent (0 to 100) of all are at or below: the highest equivalent one. */
int64_t sd_hdr_percentile(const struct sd_hdr *h, double percentile);
/* How many are at or below value. */
int64_t sd_hdr_count_at_or_below(const struct sd_hdr *h, int64_t value);

/* Walks the percentile distribution: `ticks` steps for each halving of the distance to 100 per cent. Zero *it to begin.
 * False at the end. */
struct sd_hdr_step {
	double percentile;      /* out: of this step, 0 to 100 */
	int64_t value;          /* out: at it */
	int64_t count;          /* out: values at or below */
	int64_t index;          /* private */
	bool done;              /* private */
};
bool sd_hdr_next(const struct sd_hdr *h, int ticks, struct sd_hdr_step *it);

/* The V2 compressed encoding in base64 ("HISTFAAA..."), a string the caller frees; NULL: out of memory. */
char *sd_hdr_encode(const struct sd_hdr *h);
/* Reads it back; only what sd_hdr_encode writes needs to be understood (zlib with stored blocks). */
enum sd_err sd_hdr_decode(const char *text, struct sd_hdr **out, struct sd_error *e);

/* The percentile distribution as text, as HdrHistogram's outputPercentileDistribution prints it (Value, Percentile,
 * TotalCount, 1/(1-Percentile), and the three #[...] lines); values divided by scale. The caller frees it. */
char *sd_hdr_spectrum(const struct sd_hdr *h, int ticks, double scale);

#ifdef __cplusplus
}
#endif

#endif
