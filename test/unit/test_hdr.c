#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/hdr_int.h"
#include "core/rng.h"
#include "guard.h"

#define HOUR_US 3600000000ll

static struct sd_hdr *h;
static struct sd_rng rng;

static void setup(void)
{
	h = sd_hdr_new(1, HOUR_US, 3);
	ck_assert_ptr_nonnull(h);
	sd_rng_seed(&rng, 7);
}

static void teardown(void)
{
	sd_hdr_free(h);
}

/* From 0 to below 2^bits, each number of bits as likely as any other. */
static int64_t any_value(int bits)
{
	return (int64_t)(sd_rng_next(&rng) >> 1 >> (63 - 1 - sd_rng_below(&rng, (uint32_t)bits)));
}

static void same(const struct sd_hdr *a, const struct sd_hdr *b)
{
	ck_assert_int_eq(a->total, b->total);
	ck_assert_int_eq(a->n, b->n);
	ck_assert_int_eq(a->first, b->first);
	ck_assert_int_eq(a->last, b->last);
	ck_assert_int_eq(a->digits, b->digits);
	ck_assert_int_eq(a->lowest, b->lowest);
	ck_assert_int_eq(a->highest, b->highest);
	ck_assert_mem_eq(a->counts, b->counts, (size_t)a->n * sizeof(a->counts[0]));
}

static void near(double got, double want, double within)
{
	ck_assert_msg(fabs(got - want) <= within, "%.9g is not %.9g within %g", got, want, within);
}

/* ---- layout ---- */

static const struct {
	int64_t lowest, highest;
	int digits, buckets, sub_buckets;
} shapes[] = {
    {1, HOUR_US, 3, 22, 2048},
    {1, 24 * HOUR_US, 3, 27, 2048},
    {1, 2, 1, 1, 32},
    {1, 31, 1, 1, 32},
    {1, 32, 1, 2, 32},
    {1, 1000, 2, 3, 256},
    {1000, HOUR_US, 3, 13, 2048},
    {1, INT64_MAX, 3, 53, 2048},
    {1, INT64_MAX, 5, 46, 262144},
    {1, INT64_MAX / 2, 3, 52, 2048},
    {1ll << 44, INT64_MAX, 5, 2, 262144},
    {1ll << 57, INT64_MAX, 1, 2, 32},
    {7, 200000, 4, 2, 32768},
};
enum { SHAPES = sizeof(shapes) / sizeof(shapes[0]) };

START_TEST(layout)
{
	struct sd_hdr *s = sd_hdr_new(shapes[_i].lowest, shapes[_i].highest, shapes[_i].digits);
	ck_assert_ptr_nonnull(s);
	ck_assert_int_eq(s->buckets, shapes[_i].buckets);
	ck_assert_int_eq(2 << s->half, shapes[_i].sub_buckets);
	ck_assert_int_eq(s->n, (int64_t)(s->buckets + 1) << s->half);
	ck_assert_int_eq(sd_hdr_low(s, 0), 0);
	for (int64_t i = 0; i < s->n; i++) { /* no gap, no overlap, and each slot finds itself */
		int64_t low = sd_hdr_low(s, i), high = sd_hdr_high(s, i);
		if (low > high || sd_hdr_slot(s, low) != i || sd_hdr_slot(s, high) != i ||
		    (i + 1 < s->n && sd_hdr_low(s, i + 1) != high + 1))
			ck_abort_msg("slot %lld", (long long)i);
	}
	ck_assert_int_ge(sd_hdr_high(s, s->n - 1), s->highest);
	ck_assert_int_lt(sd_hdr_slot(s, s->highest), s->n);
	sd_hdr_free(s);
}
END_TEST

START_TEST(arguments)
{
	static const struct {
		int64_t lowest, highest;
		int digits;
	} bad[] = {
	    {0, 100, 3},
	    {-1, 100, 3},
	    {1, 1, 3},
	    {100, 199, 3},
	    {1, 100, 0},
	    {1, 100, 6},
	    {1, INT64_MIN, 3},
	    {1ll << 45, INT64_MAX, 5},
	    {1, 100, -1},
	    {1, 0, 3},
	    {INT64_MAX, INT64_MAX, 1},
	};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ck_assert_ptr_null(sd_hdr_new(bad[i].lowest, bad[i].highest, bad[i].digits));
	sd_hdr_free(NULL);
}
END_TEST

START_TEST(relative_error)
{
	int digits = _i;
	struct sd_hdr *s = sd_hdr_new(1, INT64_MAX, digits);
	ck_assert_ptr_nonnull(s);
	for (int i = 0; i < 3000; i++) {
		int64_t v = any_value(63);
		sd_hdr_reset(s);
		sd_hdr_record(s, v, 1);
		int64_t low = sd_hdr_min(s), high = sd_hdr_max(s);
		ck_assert_int_le(low, v);
		ck_assert_int_ge(high, v);
		ck_assert_msg((double)(high - low) <= (double)v / pow(10, digits), "%lld", (long long)v);
		ck_assert_int_eq(sd_hdr_percentile(s, 50), high);
	}
	sd_hdr_free(s);
}
END_TEST

/* ---- recording ---- */

START_TEST(empty)
{
	struct sd_hdr_step it = {0};
	ck_assert_int_eq(sd_hdr_count(h), 0);
	ck_assert_int_eq(sd_hdr_clipped(h), 0);
	ck_assert_int_eq(sd_hdr_min(h), 0);
	ck_assert_int_eq(sd_hdr_max(h), 0);
	ck_assert_int_eq(sd_hdr_percentile(h, 0), 0);
	ck_assert_int_eq(sd_hdr_percentile(h, 99), 0);
	ck_assert_int_eq(sd_hdr_count_at_or_below(h, 10), 0);
	ck_assert(sd_hdr_mean(h) == 0 && sd_hdr_stddev(h) == 0);
	ck_assert(!sd_hdr_next(h, 5, &it));
	sd_hdr_record(h, 10, 0);
	sd_hdr_record(h, 10, -5);
	ck_assert_int_eq(sd_hdr_count(h), 0);
	ck_assert_int_eq(sd_hdr_max(h), 0);
}
END_TEST

START_TEST(closed_forms)
{
	for (int v = 1; v <= 2000; v++) /* one a slot: everything is exact */
		sd_hdr_record(h, v, 3);
	ck_assert_int_eq(sd_hdr_count(h), 6000);
	ck_assert_int_eq(sd_hdr_min(h), 1);
	ck_assert_int_eq(sd_hdr_max(h), 2000);
	near(sd_hdr_mean(h), 1000.5, 1e-9);
	near(sd_hdr_stddev(h), sqrt((2000.0 * 2000 - 1) / 12), 1e-9);
	for (int p = 1; p <= 100; p++)
		ck_assert_int_eq(sd_hdr_percentile(h, p), 20 * p);
	ck_assert_int_eq(sd_hdr_percentile(h, 99.95), 1999);
	ck_assert_int_eq(sd_hdr_percentile(h, 0), 1);
	ck_assert_int_eq(sd_hdr_percentile(h, -3), 1);
	ck_assert_int_eq(sd_hdr_percentile(h, NAN), 1);
	ck_assert_int_eq(sd_hdr_percentile(h, 1e-9), 1);
	ck_assert_int_eq(sd_hdr_percentile(h, 1000), 2000);
	for (int v = 0; v <= 2000; v++)
		ck_assert_int_eq(sd_hdr_count_at_or_below(h, v), 3 * v);
	ck_assert_int_eq(sd_hdr_count_at_or_below(h, -1), 0);
	ck_assert_int_eq(sd_hdr_count_at_or_below(h, INT64_MAX), 6000);
}
END_TEST

START_TEST(slots_of_two)
{
	sd_hdr_record(h, 2048, 1);
	ck_assert_int_eq(sd_hdr_min(h), 2048);
	ck_assert_int_eq(sd_hdr_max(h), 2049);
	ck_assert_int_eq(sd_hdr_percentile(h, 0), 2048);
	ck_assert_int_eq(sd_hdr_percentile(h, 100), 2049);
	near(sd_hdr_mean(h), 2049, 0);
	ck_assert_int_eq(sd_hdr_count_at_or_below(h, 2047), 0);
	ck_assert_int_eq(sd_hdr_count_at_or_below(h, 2048), 1); /* equivalent to 2049 */
}
END_TEST

/* No percentile takes less than its share, and none one value more because a product of doubles is a little
 * too large. */
START_TEST(percentiles_round_up)
{
	for (int v = 1; v <= 130; v++)
		sd_hdr_record(h, v, 1);
	ck_assert_int_eq(sd_hdr_percentile(h, 1), 2);    /* of 1.3 */
	ck_assert_int_eq(sd_hdr_percentile(h, 99), 129); /* of 128.7 */
	for (int n = 131; n <= 2000; n++) {
		sd_hdr_record(h, n, 1);
		for (int p = 1; p < 100; p++)
			ck_assert_int_eq(sd_hdr_percentile(h, p), (p * n + 99) / 100);
	}
}
END_TEST

START_TEST(clipping)
{
	sd_hdr_record(h, HOUR_US, 1);
	ck_assert_int_eq(sd_hdr_clipped(h), 0);
	sd_hdr_record(h, HOUR_US + 1, 2);
	sd_hdr_record(h, INT64_MAX, 1);
	ck_assert_int_eq(sd_hdr_clipped(h), 3);
	ck_assert_int_eq(sd_hdr_min(h), sd_hdr_low(h, sd_hdr_slot(h, HOUR_US)));
	sd_hdr_record(h, -1, 1);
	sd_hdr_record(h, INT64_MIN, 1);
	ck_assert_int_eq(sd_hdr_clipped(h), 5);
	ck_assert_int_eq(sd_hdr_count(h), 6);
	ck_assert_int_eq(sd_hdr_min(h), 0);
	ck_assert_int_eq(sd_hdr_count_at_or_below(h, 0), 2);
	sd_hdr_reset(h);
	ck_assert_int_eq(sd_hdr_clipped(h), 0);
	ck_assert_int_eq(sd_hdr_count(h), 0);
	sd_hdr_record(h, 5, 1);
	ck_assert_int_eq(sd_hdr_percentile(h, 100), 5);
}
END_TEST

START_TEST(counts_stop_at_the_top)
{
	sd_hdr_record(h, 1, INT64_MAX - 1);
	sd_hdr_record(h, 2, 100);
	sd_hdr_record(h, 3, 1);
	ck_assert_int_eq(sd_hdr_count(h), INT64_MAX);
	ck_assert_int_eq(sd_hdr_percentile(h, 50), 1);
	ck_assert_int_eq(sd_hdr_percentile(h, 100), 2);
	struct sd_hdr *other = sd_hdr_new(1, HOUR_US, 3);
	sd_hdr_record(other, 3, 1);
	ck_assert_int_eq(sd_hdr_merge(h, other), SD_ERANGE);
	ck_assert_int_eq(sd_hdr_max(h), 2);
	struct sd_hdr_step it = {0};
	int steps = 0;
	while (sd_hdr_next(h, 5, &it))
		ck_assert_int_lt(steps++, 1000);
	ck_assert_int_eq(it.count, INT64_MAX);
	sd_hdr_free(other);
}
END_TEST

START_TEST(random_against_sorted)
{
	enum { N = 20000 };
	static int64_t sorted[N];
	for (int i = 0; i < N; i++) {
		sorted[i] = any_value(31);
		sd_hdr_record(h, sorted[i], 1);
	}
	for (int gap = N / 2; gap > 0; gap /= 2) /* shell sort: no helper needed */
		for (int i = gap; i < N; i++)
			for (int k = i; k >= gap && sorted[k - gap] > sorted[k]; k -= gap) {
				int64_t swap = sorted[k];
				sorted[k] = sorted[k - gap];
				sorted[k - gap] = swap;
			}
	for (int i = 1; i <= N; i++) { /* each percentile that is a whole number of values */
		int64_t want = sd_hdr_high(h, sd_hdr_slot(h, sorted[i - 1]));
		ck_assert_int_eq(sd_hdr_percentile(h, 100.0 * i / N), want);
	}
	for (int k = 0; k < 1000; k++) {
		int64_t v = any_value(31), up_to = sd_hdr_high(h, sd_hdr_slot(h, v)), below = 0;
		for (int i = 0; i < N && sorted[i] <= up_to; i++)
			below++;
		ck_assert_int_eq(sd_hdr_count_at_or_below(h, v), below);
	}
	ck_assert_int_eq(sd_hdr_min(h), sd_hdr_low(h, sd_hdr_slot(h, sorted[0])));
	ck_assert_int_eq(sd_hdr_max(h), sd_hdr_high(h, sd_hdr_slot(h, sorted[N - 1])));
}
END_TEST

START_TEST(merged_is_recorded_together)
{
	struct sd_hdr *parts[3], *sum = sd_hdr_new(1, HOUR_US, 3);
	for (int k = 0; k < 3; k++)
		parts[k] = sd_hdr_new(1, HOUR_US, 3);
	for (int i = 0; i < 10000; i++) {
		int64_t v = any_value(34), n = 1 + sd_rng_below(&rng, 3);
		sd_hdr_record(parts[i % 3], v, n);
		sd_hdr_record(h, v, n);
	}
	for (int k = 0; k < 3; k++)
		ck_assert_int_eq(sd_hdr_merge(sum, parts[k]), SD_OK);
	same(sum, h);
	ck_assert_int_gt(sd_hdr_clipped(h), 0);
	ck_assert_int_eq(sd_hdr_clipped(sum), sd_hdr_clipped(h));
	sd_hdr_reset(parts[0]);
	ck_assert_int_eq(sd_hdr_merge(sum, parts[0]), SD_OK); /* nothing to add */
	same(sum, h);
	ck_assert_int_eq(sd_hdr_merge(sum, sum), SD_OK);
	ck_assert_int_eq(sd_hdr_count(sum), 2 * sd_hdr_count(h));
	for (int k = 0; k < 3; k++)
		sd_hdr_free(parts[k]);
	sd_hdr_free(sum);
}
END_TEST

START_TEST(merge_wants_the_same_shape)
{
	static const struct {
		int64_t lowest, highest;
		int digits;
	} other[] = {{2, HOUR_US, 3}, {1, HOUR_US - 1, 3}, {1, HOUR_US, 2}};
	for (int i = 0; i < 3; i++) {
		struct sd_hdr *o = sd_hdr_new(other[i].lowest, other[i].highest, other[i].digits);
		sd_hdr_record(o, 100, 1);
		ck_assert_int_eq(sd_hdr_merge(h, o), SD_EINVAL);
		sd_hdr_free(o);
	}
	ck_assert_int_eq(sd_hdr_count(h), 0);
}
END_TEST

/* ---- coordinated omission ---- */

/* What the header says, word for word. */
static void correct_slowly(struct sd_hdr *to, int64_t value, int64_t interval)
{
	sd_hdr_record(to, value, 1);
	for (int64_t v = value - interval; interval > 0 && v >= interval; v -= interval)
		sd_hdr_record(to, v, 1);
}

START_TEST(corrected_as_one_by_one)
{
	struct sd_hdr *slow = sd_hdr_new(1, 1000000, 3), *fast = sd_hdr_new(1, 1000000, 3);
	for (int i = 0; i < 3000; i++) {
		int64_t value = any_value(21), interval = 1 + any_value(20);
		if (value / interval > 20000)
			interval = value / 20000;
		correct_slowly(slow, value, interval);
		sd_hdr_record_corrected(fast, value, interval);
	}
	same(slow, fast);
	ck_assert_int_eq(sd_hdr_clipped(slow), sd_hdr_clipped(fast));
	ck_assert_int_gt(sd_hdr_clipped(fast), 0);
	sd_hdr_free(slow);
	sd_hdr_free(fast);
}
END_TEST

START_TEST(corrected_edges)
{
	sd_hdr_record_corrected(h, 100, 0);
	sd_hdr_record_corrected(h, 100, -1);
	sd_hdr_record_corrected(h, 100, 100);
	sd_hdr_record_corrected(h, 199, 100);
	sd_hdr_record_corrected(h, -5, 100);
	sd_hdr_record_corrected(h, 0, INT64_MAX);
	ck_assert_int_eq(sd_hdr_count(h), 6);
	sd_hdr_record_corrected(h, 200, 100);
	ck_assert_int_eq(sd_hdr_count(h), 8);
	sd_hdr_reset(h);
	sd_hdr_record_corrected(h, INT64_MAX, 1); /* and it ends */
	ck_assert_int_eq(sd_hdr_count(h), INT64_MAX);
}
END_TEST

/* A stall of 100 ms once a second at 1000 requests a second. A closed loop sees one slow request; who sends
 * on time sees 100 of them, from 100 ms down to 1 ms. */
START_TEST(corrected_stall)
{
	enum { SECONDS = 60, QUICK = 900 };
	for (int s = 0; s < SECONDS; s++) {
		for (int i = 0; i < QUICK; i++)
			sd_hdr_record_corrected(h, 500, 1000);
		sd_hdr_record_corrected(h, 100000, 1000);
	}
	ck_assert_int_eq(sd_hdr_count(h), SECONDS * 1000);
	ck_assert_int_eq(sd_hdr_count_at_or_below(h, 500), SECONDS * QUICK);
	for (int ms = 1; ms <= 100; ms++) {
		double p = 90 + ms / 10.0;
		double got = (double)sd_hdr_percentile(h, p);
		near(got, ms * 1000, ms);
	}
}
END_TEST

/* ---- encoding ---- */

static struct sd_hdr *decoded(const char *text)
{
	struct sd_hdr *got = NULL;
	struct sd_error e = {SD_OK, ""};
	ck_assert_msg(sd_hdr_decode(text, &got, &e) == SD_OK, "%s", e.text);
	ck_assert_ptr_nonnull(got);
	return got;
}

static void round_trip(const struct sd_hdr *s)
{
	char *text = sd_hdr_encode(s), *again;
	ck_assert_ptr_nonnull(text);
	ck_assert(strncmp(text, "HISTFA", 6) == 0); /* then comes the length */
	struct sd_hdr *got = decoded(text);
	same(got, s);
	again = sd_hdr_encode(got);
	ck_assert_str_eq(text, again);
	free(again);
	free(text);
	sd_hdr_free(got);
}

/* Byte for byte; hdr-histogram-js reads these. */
START_TEST(encoded_bytes)
{
	char *text = sd_hdr_encode(h);
	ck_assert_str_eq(text,
			 "HISTFAAAADR4AQEpANb/HISTEwAAAAEAAAAAAAAAAwAAAAAAAAABAAAAANaTpAA/8AAAAAAAAABVgwSI");
	free(text);
	sd_hdr_record(h, 1, 1);
	sd_hdr_record(h, 3, 64);
	sd_hdr_record(h, 100, 1);
	text = sd_hdr_encode(h);
	const uint8_t counts[] = {0, 2, 0, 0x80, 0x01, 0xbf, 0x01, 2}; /* 0, 1, 0, 64, 96 zeros, 1 */
	uint8_t payload[40 + sizeof(counts)] = {
	    0x1c, 0x84, 0x93, 0x13, [7] = sizeof(counts), [15] = 3, [23] = 1, [28] = 0xd6, 0x93,
	    0xa4, 0,    0x3f, 0xf0};
	memcpy(payload + 40, counts, sizeof(counts));
	struct sd_hdr *plain = NULL, *got = decoded(text);
	ck_assert_int_eq(sd_hdr_read_payload(payload, sizeof(payload), &plain, NULL), SD_OK);
	same(plain, h);
	same(got, h);
	free(text);
	sd_hdr_free(plain);
	sd_hdr_free(got);
}
END_TEST

START_TEST(round_trips)
{
	round_trip(h);
	sd_hdr_record(h, 0, 1);
	round_trip(h);
	sd_hdr_record(h, HOUR_US, 1);
	round_trip(h);
	sd_hdr_record(h, 1, INT64_MAX - 2); /* nine bytes of count */
	round_trip(h);
	sd_hdr_reset(h);
	round_trip(h);
	for (int bits = 1; bits < 63; bits++) {
		sd_hdr_reset(h);
		sd_hdr_record(h, bits, (1ll << bits) - 1);
		sd_hdr_record(h, 2 * bits, 1ll << bits);
		round_trip(h);
	}
}
END_TEST

START_TEST(round_trip_of_any_shape)
{
	struct sd_hdr *s = sd_hdr_new(shapes[_i].lowest, shapes[_i].highest, shapes[_i].digits);
	ck_assert_ptr_nonnull(s);
	for (int k = 0; k < 3; k++) {
		for (int i = 0; i < 2000 << k; i++)
			sd_hdr_record(s, any_value(63) % s->highest, 1 + any_value(20));
		round_trip(s);
	}
	sd_hdr_free(s);
}
END_TEST

/* Payloads about as long as one deflate block, two and three. */
START_TEST(round_trip_of_many_blocks)
{
	static const size_t around[] = {65535, 2 * 65535, 3 * 65535};
	struct sd_hdr *s = sd_hdr_new(1, 1ll << 40, 5);
	for (int k = 0; k < 3; k++)
		for (int off = -1; off <= 1; off++) {
			size_t values = around[k] - 40 + (size_t)off;
			sd_hdr_reset(s);
			for (size_t v = 0; v < values; v++) /* a byte each */
				sd_hdr_record(s, (int64_t)v, 1);
			round_trip(s);
		}
	sd_hdr_free(s);
}
END_TEST

static void fill(struct sd_hdr *s, int n)
{
	for (int i = 0; i < n; i++)
		sd_hdr_record(s, any_value(31), 1 + any_value(12));
}

/* Whatever comes of it: no crash, and what is taken is whole. */
static bool try(const char *text)
{
	struct sd_hdr *got = h;
	struct sd_error e = {SD_OK, ""};
	enum sd_err err = sd_hdr_decode(text, &got, &e);
	if (err != SD_OK) {
		ck_assert_ptr_null(got);
		ck_assert_int_eq(e.code, err);
		ck_assert(strncmp(e.text, "histogram: ", 11) == 0);
		return false;
	}
	ck_assert_int_eq(sd_hdr_count_at_or_below(got, INT64_MAX), sd_hdr_count(got));
	sd_hdr_free(got);
	return true;
}

START_TEST(cut_off)
{
	fill(h, 300);
	char *text = sd_hdr_encode(h);
	size_t n = strlen(text);
	struct guard g = guard_new(n + 1);
	for (size_t i = 0; i < n; i++) {
		char keep = text[i];
		text[i] = '\0';
		ck_assert_msg(!try(guard_put(&g, text, i + 1)), "cut at %zu", i);
		text[i] = keep;
	}
	ck_assert(try(guard_put(&g, text, n + 1)));
	guard_free(&g);
	free(text);
}
END_TEST

START_TEST(mutated_text)
{
	static const char some[] = "ABCDwxyz0189+/==\n\xff -";
	fill(h, 300);
	char *text = sd_hdr_encode(h);
	size_t n = strlen(text);
	struct guard g = guard_new(n + 1);
	for (int i = 0; i < 20000; i++) {
		char *p = (char *)guard_put(&g, text, n + 1);
		for (uint32_t times = 1 + sd_rng_below(&rng, 3); times > 0; times--)
			p[sd_rng_below(&rng, (uint32_t)n)] = some[sd_rng_below(&rng, sizeof(some) - 1)];
		ck_assert_msg(!try(p) || strcmp(p, text) == 0, "the checksum let %s pass", p);
	}
	guard_free(&g);
	free(text);
}
END_TEST

/* Behind the checksum. Headers with a wild range may ask for much memory, but not for more than a histogram
 * can be. */
START_TEST(mutated_payload)
{
	uint8_t payload[200] = {
	    0x1c, 0x84, 0x93, 0x13, [15] = 3, [23] = 1, [28] = 0xd6, 0x93, 0xa4, 0, 0x3f, 0xf0};
	struct guard g = guard_new(sizeof(payload));
	int taken = 0;
	for (int i = 0; i < 20000; i++) {
		size_t n = sd_rng_below(&rng, 3) ? 40 + sd_rng_below(&rng, 161) : sd_rng_below(&rng, 201);
		uint8_t *p = (uint8_t *)(uintptr_t)guard_put(&g, payload, n);
		for (size_t k = 40; k < n; k++)
			p[k] = (uint8_t)sd_rng_next(&rng);
		if (n >= 40)
			p[7] = (uint8_t)(n - 40);
		if (n > 0 && sd_rng_below(&rng, 4) == 0)
			p[sd_rng_below(&rng, n < 40 ? (uint32_t)n : 40)] = (uint8_t)sd_rng_next(&rng);
		struct sd_hdr *got = NULL;
		struct sd_error e;
		if (sd_hdr_read_payload(p, n, &got, &e) != SD_OK) {
			ck_assert_ptr_null(got);
			continue;
		}
		taken++;
		ck_assert_int_eq(sd_hdr_count_at_or_below(got, INT64_MAX), sd_hdr_count(got));
		if (got->n < 100000)
			round_trip(got);
		sd_hdr_free(got);
	}
	ck_assert_int_gt(taken, 100);
	guard_free(&g);
}
END_TEST

static enum sd_err payload_err(const void *counts, size_t n, size_t change, uint8_t to)
{
	uint8_t p[100] = {0x1c, 0x84, 0x93, 0x13, [15] = 3, [23] = 1, [28] = 0xd6, 0x93, 0xa4, 0, 0x3f, 0xf0};
	struct sd_hdr *got = NULL;
	p[7] = (uint8_t)n;
	memcpy(p + 40, counts, n);
	if (change)
		p[change] = to;
	enum sd_err err = sd_hdr_read_payload(p, 40 + n, &got, NULL);
	ck_assert((err == SD_OK) == (got != NULL));
	sd_hdr_free(got);
	return err;
}

START_TEST(refused_payloads)
{
#define OF(counts) counts, sizeof(counts) - 1
	ck_assert_int_eq(payload_err(OF(""), 0, 0), SD_OK);
	ck_assert_int_eq(payload_err(OF("\x02"), 0, 0), SD_OK);
	ck_assert_int_eq(payload_err(OF("\x02"), 3, 0x03), SD_EUNSUPPORTED); /* V0 */
	ck_assert_int_eq(payload_err(OF("\x02"), 7, 2), SD_EPROTO);          /* length */
	ck_assert_int_eq(payload_err(OF("\x02"), 7, 0), SD_EPROTO);
	ck_assert_int_eq(payload_err(OF("\x02"), 4, 1), SD_EPROTO);
	ck_assert_int_eq(payload_err(OF("\x02"), 11, 1), SD_EUNSUPPORTED); /* shifted */
	ck_assert_int_eq(payload_err(OF("\x02"), 15, 0), SD_EPROTO);       /* digits */
	ck_assert_int_eq(payload_err(OF("\x02"), 15, 6), SD_EPROTO);
	ck_assert_int_eq(payload_err(OF("\x02"), 12, 0x80), SD_EPROTO);
	ck_assert_int_eq(payload_err(OF("\x02"), 23, 0), SD_EPROTO); /* lowest */
	ck_assert_int_eq(payload_err(OF("\x02"), 16, 0x80), SD_EPROTO);
	ck_assert_int_eq(payload_err(OF("\x02"), 16, 0x40), SD_EPROTO);
	ck_assert_int_eq(payload_err(OF("\x02"), 24, 0x80), SD_EPROTO);    /* highest */
	ck_assert_int_eq(payload_err(OF("\x02"), 33, 0), SD_EUNSUPPORTED); /* scaled */
	ck_assert_int_eq(payload_err(OF("\x80"), 0, 0), SD_EPROTO);        /* cut off */
	ck_assert_int_eq(payload_err(OF("\xff\xff\xff\xff\xff\xff\xff\xff"), 0, 0), SD_EPROTO);
	ck_assert_int_eq(payload_err(OF("\xff\xff\xff\xff\xff\xff\xff\xff\xff"), 0, 0),
			 SD_EPROTO); /* -2^63 zeros */
	ck_assert_int_eq(payload_err(OF("\xfe\xff\xff\xff\xff\xff\xff\xff\xff"), 0, 0), SD_OK); /* 2^63 - 1 */
	ck_assert_int_eq(payload_err(OF("\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x02"), 0, 0), SD_EPROTO);
	/* 23552 slots: just full, and one more */
	ck_assert_int_eq(payload_err(OF("\xff\xef\x02"), 0, 0), SD_OK);
	ck_assert_int_eq(payload_err(OF("\x81\xf0\x02"), 0, 0), SD_EPROTO);
	ck_assert_int_eq(payload_err(OF("\xff\xef\x02\x00"), 0, 0), SD_EPROTO);
#undef OF
}
END_TEST

START_TEST(refused_texts)
{
	/* the last one: an empty histogram as others compress it, with deflate */
	static const char *const bad[] = {
	    "",
	    "=",
	    "==",
	    "====",
	    "A",
	    "AAA",
	    "AAAA",
	    "A===",
	    "AA==",
	    "HISTFAAA",
	    "HISTFAAAAAA=",
	    "not base64!!",
	    "HISTFAAAADR4AQEpANb/HISTEwAAAAEAAAAAAAAAAwAAAAAAAAABAAAAANaTpAA/8AAAAAAAAABVgwSI\n",
	    "HISTFAAAADR4AQEpANb/HISTEwAAAAEAAAAAAAAAAwAAAAAAAAABAAAAANaTpAA/8AAAAAAAAABVgwSJ",
	    " ISTFAAAADR4AQEpANb/HISTEwAAAAEAAAAAAAAAAwAAAAAAAAABAAAAANaTpAA/8AAAAAAAAABVgwSI",
	    "HISTFAAAAB54nJNpmSzMwMDACMXMDBAAYjNcm7yEAc4HAEvsA1s=",
	};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ck_assert_msg(!try(bad[i]), "%s", bad[i]);
	struct sd_hdr *got;
	struct sd_error e;
	ck_assert_int_eq(sd_hdr_decode(bad[sizeof(bad) / sizeof(bad[0]) - 1], &got, &e), SD_EUNSUPPORTED);
	ck_assert_str_eq(e.text, "histogram: deflate blocks that are not stored ones");
	ck_assert_int_eq(sd_hdr_decode("AAAA", &got, NULL), SD_EPROTO);
}
END_TEST

/* ---- the distribution ---- */

START_TEST(steps)
{
	struct sd_hdr_step it = {0};
	double before = -1;
	int64_t value = 0;
	int n = 0;
	fill(h, 5000);
	for (; sd_hdr_next(h, 5, &it); n++) {
		ck_assert(it.percentile > before && it.percentile <= 100);
		ck_assert_int_ge(it.value, value);
		ck_assert_int_eq(it.count, sd_hdr_count_at_or_below(h, it.value));
		ck_assert(100.0 * (double)it.count / (double)sd_hdr_count(h) >= it.percentile);
		before = it.percentile;
		value = it.value;
	}
	ck_assert(before == 100 && value == sd_hdr_max(h) && it.count == sd_hdr_count(h));
	ck_assert(!sd_hdr_next(h, 5, &it));
	ck_assert_int_gt(n, 40);
	it = (struct sd_hdr_step){0};
	for (n = 0; sd_hdr_next(h, -1, &it); n++) /* as 1 */
		ck_assert_int_lt(n, 100);
	ck_assert_int_gt(n, 5);
}
END_TEST

START_TEST(spectrum)
{
	static const char want[] = "       Value     Percentile TotalCount 1/(1-Percentile)\n"
				   "\n"
				   "       0.001 0.000000000000          1           1.00\n"
				   "       0.001 0.250000000000          1           1.33\n"
				   "       0.002 0.500000000000          2           2.00\n"
				   "       0.003 0.625000000000          3           2.67\n"
				   "       0.003 0.750000000000          3           4.00\n"
				   "       1.000 0.812500000000          4           5.33\n"
				   "       1.000 1.000000000000          4\n"
				   "#[Mean    =        0.252, StdDeviation   =        0.432]\n"
				   "#[Max     =        1.000, Total count    =            4]\n"
				   "#[Buckets =           22, SubBuckets     =         2048]\n";
	sd_hdr_record(h, 1, 1);
	sd_hdr_record(h, 2, 1);
	sd_hdr_record(h, 3, 1);
	sd_hdr_record(h, 1000, 1);
	char *text = sd_hdr_spectrum(h, 2, 1000);
	ck_assert_str_eq(text, want);
	free(text);
}
END_TEST

START_TEST(spectrum_of_nothing)
{
	char *text = sd_hdr_spectrum(h, 5, 0); /* divided by 1 */
	ck_assert_str_eq(text, "       Value     Percentile TotalCount 1/(1-Percentile)\n\n"
			       "#[Mean    =        0.000, StdDeviation   =        0.000]\n"
			       "#[Max     =        0.000, Total count    =            0]\n"
			       "#[Buckets =           22, SubBuckets     =         2048]\n");
	free(text);
}
END_TEST

/* Footer against the figures, and no line too long for the buffer, with numbers as large as they come. */
START_TEST(spectrum_of_much)
{
	char line[1200];
	struct sd_hdr *s = sd_hdr_new(1, INT64_MAX, 5);
	for (int i = 0; i < 2000; i++)
		sd_hdr_record(s, any_value(63), any_value(51));
	char *text = sd_hdr_spectrum(s, 5, 1), *small = sd_hdr_spectrum(s, 5, 1e-300);
	snprintf(line, sizeof(line), "\n#[Mean    = %12.5f, StdDeviation   = %12.5f]\n#[Max     = %12.5f, ",
		 sd_hdr_mean(s), sd_hdr_stddev(s), (double)sd_hdr_max(s));
	ck_assert_ptr_nonnull(strstr(text, line));
	snprintf(line, sizeof(line),
		 "Total count    = %12lld]\n#[Buckets =           46, SubBuckets     =       262144]\n",
		 (long long)sd_hdr_count(s));
	ck_assert_ptr_nonnull(strstr(text, line));
	ck_assert_ptr_nonnull(strstr(small, "]\n#[Buckets =           46, "));
	free(text);
	free(small);
	sd_hdr_free(s);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("hdr");
	TCase *t = tcase_create("hdr");
	tcase_set_timeout(t, 20);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_loop_test(t, layout, 0, SHAPES);
	tcase_add_test(t, arguments);
	tcase_add_loop_test(t, relative_error, 1, 6);
	tcase_add_test(t, empty);
	tcase_add_test(t, closed_forms);
	tcase_add_test(t, slots_of_two);
	tcase_add_test(t, percentiles_round_up);
	tcase_add_test(t, clipping);
	tcase_add_test(t, counts_stop_at_the_top);
	tcase_add_test(t, random_against_sorted);
	tcase_add_test(t, merged_is_recorded_together);
	tcase_add_test(t, merge_wants_the_same_shape);
	tcase_add_test(t, corrected_as_one_by_one);
	tcase_add_test(t, corrected_edges);
	tcase_add_test(t, corrected_stall);
	tcase_add_test(t, encoded_bytes);
	tcase_add_test(t, round_trips);
	tcase_add_loop_test(t, round_trip_of_any_shape, 0, SHAPES);
	tcase_add_test(t, round_trip_of_many_blocks);
	tcase_add_test(t, cut_off);
	tcase_add_test(t, mutated_text);
	tcase_add_test(t, mutated_payload);
	tcase_add_test(t, refused_payloads);
	tcase_add_test(t, refused_texts);
	tcase_add_test(t, steps);
	tcase_add_test(t, spectrum);
	tcase_add_test(t, spectrum_of_nothing);
	tcase_add_test(t, spectrum_of_much);
	suite_add_tcase(s, t);
	return s;
}

int main(void)
{
	SRunner *r = srunner_create(suite());
	srunner_run_all(r, CK_NORMAL);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
