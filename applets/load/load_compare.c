/* load_compare.c - two results side by side, with what chance alone could have done to each number.
 *
 * The bootstrap asks: had other requests of the same kind been drawn, what would the number have been? Drawing a whole
 * sample of n from a histogram a thousand times is slow and not needed, since the distribution of each number over such
 * samples is known:
 *
 *	percentile  its value is that of the k-th smallest of n. The k-th smallest of n even draws from [0, 1) is
 *	            Beta(k, n - k + 1), that is G(k) / (G(k) + G(n - k + 1)) for two Gamma draws; the histogram turns
 *	            that share into a value. Exact, also far out in the tail.
 *	mean        normal around the mean with stddev / sqrt(n): the central limit, for which n is large enough.
 *	rate        normal around the rate, with the spread that its seconds had, or that of a Poisson count when there
 *	            were too few seconds to tell.
 *
 * Values closer than the histograms can tell apart are no difference, so each interval is widened by their precision.
 */
#include "load_compare.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "load.h"

#define RESAMPLES   1000
#define SEED        0x6c6f6164u
#define PRECISION   0.001 /* of a histogram with three digits */
#define FEW_SECONDS 8
#define TEXT        32

struct side {
	const char *name;
	cJSON *json;
	struct sd_hdr *hdr;
	double rate, rate_error; /* a second, and its standard error */
	double mean, mean_error; /* ns */
	bool open;
};

/* ---- reading ---- */

static const cJSON *at(const cJSON *o, const char *key, const char *key2)
{
	const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, key);
	return key2 ? cJSON_GetObjectItemCaseSensitive(v, key2) : v;
}

static double number(const cJSON *o, const char *key, const char *key2)
{
	const cJSON *v = at(o, key, key2);
	return cJSON_IsNumber(v) ? v->valuedouble : 0;
}

static const char *text(const cJSON *o, const char *key, const char *key2)
{
	const cJSON *v = at(o, key, key2);
	return cJSON_IsString(v) ? v->valuestring : "";
}

/* How much the rate could have been another, from its whole seconds. */
static double rate_error(const struct side *s)
{
	const cJSON *list = at(s->json, "seconds", NULL), *v;
	double window = number(s->json, "summary", "window_s"), n = 0, mean = 0, squares = 0;
	cJSON_ArrayForEach(v, list)
	{
		if (n + 1 > window) /* the last is not a whole one */
			break;
		double x = number(v, "answers", NULL), off = x - mean;
		mean += off / ++n;
		squares += off * (x - mean);
	}
	if (n >= FEW_SECONDS)
		return sqrt(squares / (n - 1) / n);
	return window > 0 ? sqrt(s->rate / window) : 0;
}

static enum sd_err open_side(struct side *s, const char *json, struct sd_error *e)
{
	s->json = cJSON_Parse(json);
	if (strcmp(text(s->json, "format", NULL), "sdlab-load") != 0)
		return sd_fail(e, SD_EINVAL, "expected a result that sdlab load --json wrote");
	if (number(s->json, "version", NULL) != 1)
		return sd_fail(e, SD_EUNSUPPORTED, "expected a result of version 1");
	s->open = strcmp(text(s->json, "loop", NULL), "open") == 0;
	s->rate = number(s->json, "summary", "rate");
	s->rate_error = rate_error(s);
	return SD_OK;
}

static enum sd_err read_histogram(struct side *s, const char *which, struct sd_error *e)
{
	const char *encoding = text(s->json, "hdr", which);
	if (!*encoding)
		return sd_fail(e, SD_EINVAL, "it has no histogram (hdr.%s)", which);
	if (sd_hdr_decode(encoding, &s->hdr, e))
		return sd_wrap(e, "hdr.%s", which);
	if (sd_hdr_count(s->hdr) == 0)
		return sd_fail(e, SD_EINVAL, "no request was answered, so there is nothing to compare");
	s->mean = sd_hdr_mean(s->hdr);
	s->mean_error = sd_hdr_stddev(s->hdr) / sqrt((double)sd_hdr_count(s->hdr));
	return SD_OK;
}

static void close_side(struct side *s)
{
	cJSON_Delete(s->json);
	sd_hdr_free(s->hdr);
}

/* ---- drawing ---- */

/* Marsaglia's polar method. */
static double draw_normal(struct sd_rng *rng)
{
	for (;;) {
		double u = 2 * sd_rng_unit(rng) - 1, v = 2 * sd_rng_unit(rng) - 1, s = u * u + v * v;
		if (s > 0 && s < 1)
			return u * sqrt(-2 * log(s) / s);
	}
}

/* Marsaglia and Tsang (2000), for shape >= 1. */
static double draw_gamma(struct sd_rng *rng, double shape)
{
	double d = shape - 1.0 / 3, c = 1 / sqrt(9 * d);
	for (;;) {
		double x = draw_normal(rng), v = 1 + c * x, u = 1 - sd_rng_unit(rng);
		v = v * v * v;
		if (v > 0 && log(u) < 0.5 * x * x + d - d * v + d * log(v))
			return d * v;
	}
}

static double draw_percentile(const struct side *s, double percentile, struct sd_rng *rng)
{
	double n = (double)sd_hdr_count(s->hdr), k = ceil(n * percentile / 100);
	k = k < 1 ? 1 : k;
	double below = draw_gamma(rng, k), above = draw_gamma(rng, n - k + 1);
	return (double)sd_hdr_percentile(s->hdr, 100 * below / (below + above));
}

static double draw_mean(const struct side *s, double unused, struct sd_rng *rng)
{
	(void)unused;
	return s->mean + s->mean_error * draw_normal(rng);
}

static double draw_rate(const struct side *s, double unused, struct sd_rng *rng)
{
	(void)unused;
	return s->rate + s->rate_error * draw_normal(rng);
}

/* ---- the numbers that are compared ---- */

static double percentile_of(const struct side *s, double percentile)
{
	return (double)sd_hdr_percentile(s->hdr, percentile);
}

static double mean_of(const struct side *s, double unused)
{
	(void)unused;
	return s->mean;
}

static double rate_of(const struct side *s, double unused)
{
	(void)unused;
	return s->rate;
}

static const struct metric {
	const char *name;
	double percentile;
	double (*of)(const struct side *s, double percentile);
	double (*draw)(const struct side *s, double percentile, struct sd_rng *rng);
	bool more_is_better;
} metrics[] = {
    {"rate", 0, rate_of, draw_rate, true},
    {"mean", 0, mean_of, draw_mean, false},
    {"p50", 50, percentile_of, draw_percentile, false},
    {"p90", 90, percentile_of, draw_percentile, false},
    {"p99", 99, percentile_of, draw_percentile, false},
};
#define NMETRICS (sizeof(metrics) / sizeof(metrics[0]))

enum verdict { SLOWER = -1, SAME, FASTER };

struct difference {
	double a, b, ratio, low, high; /* the ratio is B to A */
	enum verdict verdict;
};

static int ascending(const void *x, const void *y)
{
	double a = *(const double *)x, b = *(const double *)y;
	return (a > b) - (a < b);
}

static double ratio(double b, double a)
{
	return a > 0 ? b / a : b > 0 ? INFINITY : 1;
}

static struct difference measure(const struct metric *m, const struct side *a, const struct side *b, struct sd_rng *rng)
{
	struct difference d = {.a = m->of(a, m->percentile), .b = m->of(b, m->percentile)};
	double ratios[RESAMPLES], blur = m->of == rate_of ? 0 : PRECISION;
	for (int i = 0; i < RESAMPLES; i++) {
		double x = m->draw(a, m->percentile, rng);
		ratios[i] = ratio(m->draw(b, m->percentile, rng), x);
	}
	qsort(ratios, RESAMPLES, sizeof(ratios[0]), ascending);
	d.ratio = ratio(d.b, d.a);
	d.low = ratios[RESAMPLES / 40] * (1 - blur);
	d.high = ratios[RESAMPLES - 1 - RESAMPLES / 40] * (1 + blur);
	if (d.low > 1)
		d.verdict = m->more_is_better ? FASTER : SLOWER;
	else if (d.high < 1)
		d.verdict = m->more_is_better ? SLOWER : FASTER;
	return d;
}

/* ---- printing ---- */

static const char *amount(const struct metric *m, double v, char out[TEXT])
{
	static const struct {
		double size;
		const char *name;
	} units[] = {{1e9, "s"}, {1e6, "ms"}, {1e3, "us"}, {1, "ns"}};
	size_t i = 0;
	if (m->of == rate_of) {
		snprintf(out, TEXT, "%.*f/s", v < 100 ? 2 : 0, v);
		return out;
	}
	while (units[i].size > 1 && v < units[i].size * 0.9995)
		i++;
	v /= units[i].size;
	snprintf(out, TEXT, "%.*f%s", v >= 99.95 ? 0 : v >= 9.995 ? 1 : 2, v, units[i].name);
	return out;
}

static void put_row(FILE *out, const struct metric *m, const struct difference *d)
{
	static const char *const words[] = {"slower", "no difference", "faster"};
	char a[TEXT], b[TEXT];
	fprintf(out, "  %-5s %11s %11s %7.3f  %6.3f to %6.3f  %s\n", m->name, amount(m, d->a, a), amount(m, d->b, b), d->ratio,
		d->low, d->high, words[d->verdict + 1]);
}

static void put_side(FILE *out, char letter, const struct side *s)
{
	const cJSON *v = s->json;
	fprintf(out, "%c  %s\n   %s, ", letter, s->name, text(v, "url", NULL));
	if (s->open)
		fprintf(out, "open loop at %.6g/s, ", number(v, "plan", "rate"));
	else
		fputs("closed loop, ", out);
	fprintf(out, "%.0f connections, %.0f answers, %.0f errors\n", number(v, "plan", "connections"),
		number(v, "summary", "answers"), number(v, "summary", "errors"));
}

static void put_notes_of(FILE *out, char letter, const struct side *s)
{
	const char *limited = text(s->json, "generator", "limited");
	if (*limited)
		fprintf(out, "note: %c is generator-limited (%s): it measured the generator\n", letter, limited);
	if (cJSON_IsTrue(at(s->json, "interrupted", NULL)))
		fprintf(out, "note: %c was interrupted\n", letter);
	if (number(s->json, "summary", "error_share") > 0.001)
		fprintf(out, "note: %.2f%% of the requests of %c failed; only answers have a latency\n",
			100 * number(s->json, "summary", "error_share"), letter);
}

static void put_notes(FILE *out, const struct side *a, const struct side *b)
{
	static const struct {
		const char *key, *what;
	} asked[] = {{"rate", "rates"}, {"connections", "numbers of connections"}, {"pipeline", "pipelines"}};
	put_notes_of(out, 'A', a);
	put_notes_of(out, 'B', b);
	if (a->open != b->open)
		fputs("note: an open and a closed loop ask different questions; service times are compared\n", out);
	else if (a->open)
		fputs("note: in an open loop the rate is what was asked for, as long as it is met\n", out);
	for (size_t i = a->open != b->open; i < sizeof(asked) / sizeof(asked[0]); i++)
		if (number(a->json, "plan", asked[i].key) != number(b->json, "plan", asked[i].key))
			fprintf(out, "note: they were run with different %s\n", asked[i].what);
}

static void put_total(FILE *out, const int found[3])
{
	bool slower = found[SLOWER + 1] > 0, faster = found[FASTER + 1] > 0;
	fprintf(out, "B beside A: %s\n",
		slower && faster ? "faster in some, slower in others"
		: faster	 ? "faster"
		: slower	 ? "slower"
				 : "no difference that the data can show");
}

static void put_comparison(FILE *out, const struct side *a, const struct side *b)
{
	struct sd_rng rng;
	int found[3] = {0};
	sd_rng_seed(&rng, SEED);
	put_side(out, 'A', a);
	put_side(out, 'B', b);
	fprintf(out, "\n  %-5s %11s %11s %7s  %16s  %s\n", "", "A", "B", "B/A", "95% interval", "B is");
	for (size_t i = 0; i < NMETRICS; i++) {
		struct difference d = measure(&metrics[i], a, b, &rng);
		put_row(out, &metrics[i], &d);
		found[d.verdict + 1]++;
	}
	fputc('\n', out);
	put_total(out, found);
	put_notes(out, a, b);
	fputs("note: one run cannot tell how much runs differ; take turns (A B A B) and compare\n", out);
}

int load_compare(FILE *out, FILE *err, const char *a_json_text, const char *b_json_text, const char *a_name,
		 const char *b_name)
{
	struct side sides[2] = {{.name = a_name}, {.name = b_name}};
	const char *const texts[] = {a_json_text, b_json_text};
	struct sd_error e = {0};
	int bad = -1;
	for (int i = 0; i < 2 && bad < 0; i++)
		if (open_side(&sides[i], texts[i], &e))
			bad = i;
	const char *which = sides[0].open && sides[1].open ? "response" : "service";
	for (int i = 0; i < 2 && bad < 0; i++)
		if (read_histogram(&sides[i], which, &e))
			bad = i;
	if (bad < 0)
		put_comparison(out, &sides[0], &sides[1]);
	else
		fprintf(err, "sdlab load compare: %s: %s\n", sides[bad].name, e.text);
	close_side(&sides[0]);
	close_side(&sides[1]);
	return bad < 0 ? 0 : 1;
}
