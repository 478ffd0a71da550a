/* Histograms as text. What is taken must add up, be written as a text that reads back as the same one, print
 * as a distribution and merge with itself; what is refused must leave nothing behind and say why.
 *
 * A first byte of 0 makes the rest the payload behind base64, zlib and the checksum, which few inputs get
 * through; the length in it is put right.
 */
#include <stdlib.h>
#include <string.h>

#include "core/hdr_int.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Unlike assert, stays with NDEBUG. */
#define HOLDS(condition) ((condition) ? (void)0 : abort())

static void same(const struct sd_hdr *a, const struct sd_hdr *b)
{
	HOLDS(a->lowest == b->lowest && a->highest == b->highest && a->digits == b->digits);
	HOLDS(a->total == b->total && a->n == b->n && a->first == b->first && a->last == b->last);
	if (a->last >= 0)
		HOLDS(memcmp(&a->counts[a->first], &b->counts[a->first],
			     (size_t)(a->last - a->first + 1) * sizeof(a->counts[0])) == 0);
}

static void check_figures(const struct sd_hdr *h)
{
	static const double percentiles[] = {0, 1, 50, 90, 99, 99.99, 100};
	int64_t before = 0, sum = 0;
	for (int64_t i = h->first; i <= h->last; i++) {
		HOLDS(h->counts[i] >= 0);
		sum += h->counts[i];
	}
	HOLDS(sum == sd_hdr_count(h) && sd_hdr_count_at_or_below(h, INT64_MAX) == sum);
	for (size_t i = 0; i < sizeof(percentiles) / sizeof(percentiles[0]); i++) {
		int64_t v = sd_hdr_percentile(h, percentiles[i]);
		HOLDS(v >= before && v <= sd_hdr_max(h) && v >= sd_hdr_min(h));
		before = v;
	}
	HOLDS(sum == 0 || (sd_hdr_mean(h) >= (double)sd_hdr_min(h) * 0.999999 && sd_hdr_stddev(h) >= 0));
}

static void check_steps(const struct sd_hdr *h)
{
	struct sd_hdr_step it = {0};
	double before = -1;
	for (; sd_hdr_next(h, 3, &it); before = it.percentile)
		HOLDS(it.percentile > before && it.percentile <= 100 && it.count <= sd_hdr_count(h));
	HOLDS(h->last < 0 || (it.done && it.count == sd_hdr_count(h) && it.value == sd_hdr_max(h)));
}

static void check(struct sd_hdr *h)
{
	struct sd_hdr *again = NULL;
	struct sd_error e;
	char *text = sd_hdr_encode(h), *spectrum = sd_hdr_spectrum(h, 1, 1000);
	HOLDS(text && spectrum);
	HOLDS(sd_hdr_decode(text, &again, &e) == SD_OK);
	same(h, again);
	check_figures(h);
	check_steps(h);
	enum sd_err err = sd_hdr_merge(again, h);
	HOLDS(err == SD_OK ? sd_hdr_count(again) == 2 * sd_hdr_count(h) : err == SD_ERANGE);
	sd_hdr_reset(h);
	HOLDS(sd_hdr_count(h) == 0 && sd_hdr_max(h) == 0);
	free(text);
	free(spectrum);
	sd_hdr_free(again);
	sd_hdr_free(h);
}

/* A block of just its size, so that the address sanitizer sees a byte too far. */
static void try_payload(const uint8_t *data, size_t n)
{
	struct sd_hdr *h = NULL;
	struct sd_error e;
	uint8_t *p = malloc(n ? n : 1);
	HOLDS(p);
	if (n > 0)
		memcpy(p, data, n);
	for (size_t i = 0; n >= 40 && i < 4; i++)
		p[4 + i] = (uint8_t)((n - 40) >> (24 - 8 * i));
	enum sd_err err = sd_hdr_read_payload(p, n, &h, &e);
	HOLDS((err == SD_OK) == (h != NULL));
	free(p);
	if (h)
		check(h);
}

static void try_text(const uint8_t *data, size_t n)
{
	struct sd_hdr *h = NULL;
	struct sd_error e;
	char *text = malloc(n + 1);
	HOLDS(text);
	if (n > 0)
		memcpy(text, data, n);
	text[n] = '\0';
	enum sd_err err = sd_hdr_decode(text, &h, &e);
	HOLDS((err == SD_OK) == (h != NULL));
	HOLDS(h || (e.code == err && e.text[0]));
	free(text);
	if (h)
		check(h);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size > 0 && data[0] == 0)
		try_payload(data + 1, size - 1);
	else
		try_text(data, size);
	return 0;
}
