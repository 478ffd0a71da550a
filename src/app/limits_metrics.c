/* limits_metrics.c - how often limits let something pass, and how much of the table of keys is used. */
#include <stdio.h>
#include <string.h>

#include "limits.h"

static unsigned tally_of(struct sd_limits_tallies *t, const char *name)
{
	unsigned i = 0;
	while (i < t->n && strcmp(t->names[i], name) != 0)
		i++;
	if (i == t->n && i < SD_LIMITS_TALLIES)
		snprintf(t->names[t->n++], SD_LIMIT_NAME, "%s", name);
	return i;
}

enum sd_err sd_limits_tally(struct sd_limits *l, struct sd_limits_tallies *t, struct sd_error *e)
{
	for (size_t i = 0; i < l->n; i++) {
		l->rules[i].tally = tally_of(t, l->rules[i].name);
		if (l->rules[i].tally == SD_LIMITS_TALLIES)
			return sd_fail(e, SD_ERANGE, "rules: more than %d names since the start; keep them, or start anew",
				       SD_LIMITS_TALLIES);
	}
	return SD_OK;
}

static uint64_t sum(const struct sd_limits_counts *const *counts, unsigned n, unsigned tally, int what)
{
	uint64_t all = 0;
	for (unsigned i = 0; i < n; i++)
		all += sd_count_read(&counts[i]->n[tally][what]);
	return all;
}

void sd_limits_metrics(const struct sd_limits_tallies *t, const struct sd_limits_counts *const *counts, unsigned n, struct sd_metrics *m,
		       const char *family, const char *label)
{
	static const char *const names[] = {"allowed", "refused", "shadowed"};
	sd_metrics_family(m, family, "counter", "Decisions of each rule; shadowed: it would have refused");
	for (unsigned i = 0; i < t->n; i++)
		for (int k = 0; k < SD_LIMIT_COUNTS; k++)
			sd_metrics_add(m, (double)sum(counts, n, i, k), "%s,rule=\"%s\",decision=\"%s\"", label, t->names[i], names[k]);
}

void sd_limits_table_metrics(const struct sd_ratelimit *table, struct sd_metrics *m, const char *prefix, const char *label)
{
	struct sd_ratelimit_stats s;
	sd_ratelimit_stats(table, &s);
	const struct {
		const char *name, *type, *help;
		double value;
	} rows[] = {
	    {"keys_max", "gauge", "Places for keys", (double)s.max_keys},
	    {"evicted_total", "counter", "Keys forgotten before their time, for want of places", (double)s.evicted},
	    {"log_bytes", "gauge", "Memory of sliding logs", (double)s.log_bytes},
	    {"log_coarser_total", "counter", "Moments of sliding logs joined for want of memory", (double)s.coarser},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char name[80];
		snprintf(name, sizeof(name), "%s_%s", prefix, rows[i].name);
		sd_metrics_family(m, name, rows[i].type, rows[i].help);
		sd_metrics_add(m, rows[i].value, "%s", label);
	}
}
