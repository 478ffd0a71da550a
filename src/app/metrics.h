/* metrics.h - the Prometheus text format (version 0.0.4), gathered when asked for.
 *
 * Services keep plain counters, one set a thread; their metrics hook adds them up into a struct sd_metrics. Samples of
 * one family stand together whoever adds them, as the format asks.
 */
#ifndef SD_APP_METRICS_H
#define SD_APP_METRICS_H

#include <stddef.h>
#include <stdint.h>

#include "core/count.h"

struct sd_metrics;

struct sd_metrics *sd_metrics_new(void);
void sd_metrics_free(struct sd_metrics *m);
/* Samples added from now on belong to this family; type is counter, gauge or histogram. */
void sd_metrics_family(struct sd_metrics *m, const char *name, const char *type, const char *help);
/* labels: printf to `a="x",b="y"` without braces; values must not need escaping (see sd_metrics_label). */
void sd_metrics_add(struct sd_metrics *m, double value, const char *labels, ...)
    __attribute__((format(printf, 3, 4)));
/* A label value with \, " and line ends escaped. */
const char *sd_metrics_label(const char *value, char *out, size_t n);
/* The whole text; the caller frees it. */
char *sd_metrics_text(struct sd_metrics *m, size_t *len);

/* Latency in buckets, one a thread; times are nanoseconds, the text is seconds. */
#define SD_HISTOGRAM_BUCKETS 14
struct sd_histogram {
	uint64_t count[SD_HISTOGRAM_BUCKETS + 1];
	uint64_t sum_ns;
};
void sd_histogram_add(struct sd_histogram *h, int64_t ns);
void sd_histogram_merge(struct sd_histogram *into, const struct sd_histogram *from);
/* The time in nanoseconds that this share (0 to 1) took no longer than, as a straight line within its bucket; the bound of
 * the last bucket for what is beyond; -1 when empty. */
double sd_histogram_quantile(const struct sd_histogram *h, double share);
void sd_metrics_add_histogram(struct sd_metrics *m, const struct sd_histogram *h, const char *labels);

#endif
