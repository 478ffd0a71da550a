#include "metrics.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct family {
	struct family *next;
	char name[96], type[16], help[160];
	char *text;
	size_t n;
	FILE *out;
};

struct sd_metrics {
	struct family *first, *now;
};

struct sd_metrics *sd_metrics_new(void)
{
	return calloc(1, sizeof(struct sd_metrics));
}

void sd_metrics_free(struct sd_metrics *m)
{
	while (m && m->first) {
		struct family *f = m->first;
		m->first = f->next;
		if (f->out)
			fclose(f->out);
		free(f->text);
		free(f);
	}
	free(m);
}

static struct family *find(struct sd_metrics *m, const char *name)
{
	struct family *f = m->first;
	while (f && strcmp(f->name, name) != 0)
		f = f->next;
	return f;
}

void sd_metrics_family(struct sd_metrics *m, const char *name, const char *type, const char *help)
{
	m->now = find(m, name);
	if (m->now)
		return;
	struct family *f = calloc(1, sizeof(*f));
	if (!f)
		return;
	snprintf(f->name, sizeof(f->name), "%s", name);
	snprintf(f->type, sizeof(f->type), "%s", type);
	snprintf(f->help, sizeof(f->help), "%s", help);
	f->out = open_memstream(&f->text, &f->n);
	struct family **last = &m->first;
	while (*last)
		last = &(*last)->next;
	*last = f;
	m->now = f;
}

static void sample(struct family *f, const char *suffix, const char *labels, const char *more, double value)
{
	const char *comma = *labels && *more ? "," : "";
	const char *open = *labels || *more ? "{" : "", *close = *labels || *more ? "}" : "";
	fprintf(f->out, "%s%s%s%s%s%s%s %.17g\n", f->name, suffix, open, labels, comma, more, close, value);
}

void sd_metrics_add(struct sd_metrics *m, double value, const char *labels, ...)
{
	char text[512];
	va_list ap;
	va_start(ap, labels);
	vsnprintf(text, sizeof(text), labels, ap);
	va_end(ap);
	if (m->now && m->now->out)
		sample(m->now, "", text, "", value);
}

const char *sd_metrics_label(const char *value, char *out, size_t n)
{
	size_t o = 0;
	for (; *value && o + 3 < n; value++) {
		if (*value == '\\' || *value == '"')
			out[o++] = '\\';
		if (*value == '\n') {
			out[o++] = '\\';
			out[o++] = 'n';
		} else {
			out[o++] = *value;
		}
	}
	/* Cut between two characters, not inside of one. */
	if ((*value & 0xc0) == 0x80) {
		while (o > 0 && (out[o - 1] & 0xc0) == 0x80)
			o--;
		o -= o > 0;
	}
	out[o] = '\0';
	return out;
}

char *sd_metrics_text(struct sd_metrics *m, size_t *len)
{
	char *text = NULL;
	FILE *out = open_memstream(&text, len);
	if (!out)
		return NULL;
	for (struct family *f = m->first; f; f = f->next) {
		if (!f->out || fflush(f->out) != 0)
			continue;
		fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", f->name, f->help, f->name, f->type);
		fwrite(f->text, 1, f->n, out);
	}
	if (fclose(out) != 0) {
		free(text);
		return NULL;
	}
	return text;
}

/* ---- histograms ---- */

static const int64_t bounds_ns[SD_HISTOGRAM_BUCKETS] = {
    100000,    250000,    500000,     1000000,    2500000,    5000000,     10000000,
    25000000,  50000000,  100000000,  250000000,  500000000,  1000000000,  5000000000};

void sd_histogram_add(struct sd_histogram *h, int64_t ns)
{
	int i = 0;
	while (i < SD_HISTOGRAM_BUCKETS && ns > bounds_ns[i])
		i++;
	sd_count(&h->count[i], 1);
	sd_count(&h->sum_ns, (uint64_t)ns);
}

void sd_histogram_merge(struct sd_histogram *into, const struct sd_histogram *from)
{
	for (int i = 0; i <= SD_HISTOGRAM_BUCKETS; i++)
		into->count[i] += sd_count_read(&from->count[i]);
	into->sum_ns += sd_count_read(&from->sum_ns);
}

double sd_histogram_quantile(const struct sd_histogram *h, double share)
{
	double total = 0, below = 0;
	for (int i = 0; i <= SD_HISTOGRAM_BUCKETS; i++)
		total += (double)h->count[i];
	if (total == 0)
		return -1;
	for (int i = 0; i < SD_HISTOGRAM_BUCKETS; i++) {
		double n = (double)h->count[i], low = i ? (double)bounds_ns[i - 1] : 0;
		if (n > 0 && below + n >= share * total)
			return low + ((double)bounds_ns[i] - low) * (share * total - below) / n;
		below += n;
	}
	return (double)bounds_ns[SD_HISTOGRAM_BUCKETS - 1];
}

void sd_metrics_add_histogram(struct sd_metrics *m, const struct sd_histogram *h, const char *labels)
{
	uint64_t total = 0;
	char le[40];
	if (!m->now || !m->now->out)
		return;
	for (int i = 0; i < SD_HISTOGRAM_BUCKETS; i++) {
		total += h->count[i];
		snprintf(le, sizeof(le), "le=\"%g\"", (double)bounds_ns[i] / 1e9);
		sample(m->now, "_bucket", labels, le, (double)total);
	}
	total += h->count[SD_HISTOGRAM_BUCKETS];
	sample(m->now, "_bucket", labels, "le=\"+Inf\"", (double)total);
	sample(m->now, "_sum", labels, "", (double)h->sum_ns / 1e9);
	sample(m->now, "_count", labels, "", (double)total);
}
