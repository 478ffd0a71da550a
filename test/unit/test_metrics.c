/* The Prometheus text format, version 0.0.4, as it comes out. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/metrics.h"

static struct sd_metrics *m;

static void setup(void)
{
	m = sd_metrics_new();
	ck_assert_ptr_nonnull(m);
}

static void teardown(void)
{
	sd_metrics_free(m);
	m = NULL;
}

static void is_text(const char *want)
{
	size_t n = 12345;
	char *text = sd_metrics_text(m, &n);
	ck_assert_str_eq(text, want);
	ck_assert_uint_eq(n, strlen(want));
	free(text);
}

/* ---- families ---- */

START_TEST(nothing)
{
	is_text("");
	sd_metrics_free(NULL);
}
END_TEST

START_TEST(a_family_without_samples)
{
	sd_metrics_family(m, "up", "gauge", "Is it up?");
	is_text("# HELP up Is it up?\n# TYPE up gauge\n");
}
END_TEST

/* Two services add to the same families, one after the other: each family stands once, with all its samples.
 */
START_TEST(families_are_grouped)
{
	static const char *const services[] = {"a", "b"};
	for (int i = 0; i < 2; i++) {
		sd_metrics_family(m, "requests_total", "counter", "Requests");
		sd_metrics_add(m, i + 1, "service=\"%s\"", services[i]);
		sd_metrics_family(m, "connections", "gauge", "Connections");
		sd_metrics_add(m, 10 * (i + 1), "service=\"%s\"", services[i]);
		sd_metrics_family(m, "requests_total", "counter", "said already");
		sd_metrics_add(m, 7, "service=\"%s\",code=\"%d\"", services[i], 500);
	}
	static const char want[] =
	    "# HELP requests_total Requests\n# TYPE requests_total counter\n"
	    "requests_total{service=\"a\"} 1\nrequests_total{service=\"a\",code=\"500\"} 7\n"
	    "requests_total{service=\"b\"} 2\nrequests_total{service=\"b\",code=\"500\"} 7\n"
	    "# HELP connections Connections\n# TYPE connections gauge\n"
	    "connections{service=\"a\"} 10\nconnections{service=\"b\"} 20\n";
	is_text(want);
	is_text(want); /* asking changes nothing */
	sd_metrics_add(m, 3, "%s", "");
	char *text;
	size_t n;
	text = sd_metrics_text(m, &n);
	ck_assert_ptr_nonnull(
	    strstr(text, "requests_total{service=\"b\",code=\"500\"} 7\nrequests_total 3\n# HELP conn"));
	free(text);
}
END_TEST

START_TEST(a_sample_without_a_family)
{
	struct sd_histogram h = {0};
	sd_metrics_add(m, 1, "%s", "");
	sd_metrics_add_histogram(m, &h, "");
	is_text("");
}
END_TEST

START_TEST(numbers)
{
	static const struct {
		double value;
		const char *text;
	} cases[] = {
	    {0, "0"},
	    {1, "1"},
	    {-1, "-1"},
	    {0.5, "0.5"},
	    {1e15, "1000000000000000"},
	    {9007199254740991.0, "9007199254740991"}, /* the largest count that is exact */
	    {1e300, "1.0000000000000001e+300"},
	    {1.0 / 3, "0.33333333333333331"},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char want[200];
		sd_metrics_free(m);
		m = sd_metrics_new();
		sd_metrics_family(m, "x", "gauge", "X");
		sd_metrics_add(m, cases[i].value, "%s", "");
		snprintf(want, sizeof(want), "# HELP x X\n# TYPE x gauge\nx %s\n", cases[i].text);
		is_text(want);
		ck_assert(strtod(cases[i].text, NULL) == cases[i].value); /* nothing is lost */
	}
}
END_TEST

/* ---- labels ---- */

static void label(const char *value, size_t n, const char *want)
{
	char out[64];
	memset(out, '#', sizeof(out));
	ck_assert_ptr_eq(sd_metrics_label(value, out, n), out);
	ck_assert_str_eq(out, want);
	ck_assert_uint_lt(strlen(out), n);
	ck_assert_msg(n == sizeof(out) || out[n] == '#', "wrote beyond the end");
}

START_TEST(labels)
{
	label("", 64, "");
	label("127.0.0.1:80", 64, "127.0.0.1:80");
	label("a\\b", 64, "a\\\\b");
	label("say \"x\"", 64, "say \\\"x\\\"");
	label("two\nlines", 64, "two\\nlines");
	label("\\\"\n", 64, "\\\\\\\"\\n");
	label("tab\t and \xc3\xa4 stay", 64, "tab\t and \xc3\xa4 stay");
}
END_TEST

/* What does not fit is cut, never inside of an escape or a character. */
START_TEST(labels_that_are_cut)
{
	static const char *const values[] = {"abcdefghij",
					     "\\\\\\\\\\",
					     "\n\n\n\n",
					     "a\"b\"c\"d",
					     "\xc3\xa4\xc3\xb6\xc3\xbc\xc3\x9f",
					     "\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac",
					     "\xf0\x9f\x98\x80\xf0\x9f\x98\x80"};
	label("abcdefghij", 6, "abc");
	label("abc\xc3\xa4", 6, "abc"); /* room is kept for an escape */
	label("ab\xc3\xa4xyz", 6, "ab");
	label("ab\xc3\xa4xyz", 7, "ab\xc3\xa4");
	for (size_t v = 0; v < sizeof(values) / sizeof(values[0]); v++)
		for (size_t n = 1; n < 16; n++) {
			char out[64];
			sd_metrics_label(values[v], out, n);
			size_t k = strlen(out), slashes = 0;
			ck_assert_uint_lt(k, n);
			while (k > slashes && out[k - 1 - slashes] == '\\')
				slashes++;
			ck_assert_msg(slashes % 2 == 0, "half an escape: \"%s\"", out);
			if ((values[v][0] & 0x80) == 0)
				continue;
			ck_assert_mem_eq(out, values[v], k);
			ck_assert_msg((values[v][k] & 0xc0) != 0x80, "half a character");
		}
}
END_TEST

/* ---- histograms ---- */

#define MS 1000000ll

START_TEST(histogram)
{
	struct sd_histogram h = {0};
	sd_histogram_add(&h, 0);
	sd_histogram_add(&h, MS / 10);     /* a bound belongs to its bucket */
	sd_histogram_add(&h, MS / 10 + 1); /* and the next nanosecond to the next */
	sd_histogram_add(&h, 3 * MS);
	sd_histogram_add(&h, 5000 * MS);
	sd_histogram_add(&h, 5000 * MS + 1);
	sd_histogram_add(&h, 60000 * MS);
	sd_metrics_family(m, "d_seconds", "histogram", "Time");
	sd_metrics_add_histogram(m, &h, "service=\"a\"");
	is_text("# HELP d_seconds Time\n# TYPE d_seconds histogram\n"
		"d_seconds_bucket{service=\"a\",le=\"0.0001\"} 2\n"
		"d_seconds_bucket{service=\"a\",le=\"0.00025\"} 3\n"
		"d_seconds_bucket{service=\"a\",le=\"0.0005\"} 3\n"
		"d_seconds_bucket{service=\"a\",le=\"0.001\"} 3\n"
		"d_seconds_bucket{service=\"a\",le=\"0.0025\"} 3\n"
		"d_seconds_bucket{service=\"a\",le=\"0.005\"} 4\n"
		"d_seconds_bucket{service=\"a\",le=\"0.01\"} 4\n"
		"d_seconds_bucket{service=\"a\",le=\"0.025\"} 4\n"
		"d_seconds_bucket{service=\"a\",le=\"0.05\"} 4\n"
		"d_seconds_bucket{service=\"a\",le=\"0.1\"} 4\n"
		"d_seconds_bucket{service=\"a\",le=\"0.25\"} 4\n"
		"d_seconds_bucket{service=\"a\",le=\"0.5\"} 4\n"
		"d_seconds_bucket{service=\"a\",le=\"1\"} 4\n"
		"d_seconds_bucket{service=\"a\",le=\"5\"} 5\n"
		"d_seconds_bucket{service=\"a\",le=\"+Inf\"} 7\n"
		"d_seconds_sum{service=\"a\"} 70.003200002\n"
		"d_seconds_count{service=\"a\"} 7\n");
}
END_TEST

START_TEST(histogram_without_labels)
{
	struct sd_histogram h = {0};
	sd_histogram_add(&h, 1500 * MS);
	sd_metrics_family(m, "d", "histogram", "Time");
	sd_metrics_add_histogram(m, &h, "");
	char *text;
	size_t n;
	text = sd_metrics_text(m, &n);
	ck_assert_ptr_nonnull(strstr(text,
				     "\nd_bucket{le=\"1\"} 0\nd_bucket{le=\"5\"} 1\nd_bucket{le=\"+Inf\"} 1\n"
				     "d_sum 1.5\nd_count 1\n"));
	free(text);
}
END_TEST

START_TEST(histograms_add_up)
{
	struct sd_histogram a = {0}, b = {0}, sum = {0}, both = {0};
	for (int64_t ns = 1; ns < 100000 * MS; ns *= 3) {
		struct sd_histogram *h = ns % 2 ? &a : &b;
		sd_histogram_add(h, ns);
		sd_histogram_add(&b, 2 * ns);
		sd_histogram_add(&both, ns);
		sd_histogram_add(&both, 2 * ns);
	}
	sd_histogram_merge(&sum, &a);
	sd_histogram_merge(&sum, &b);
	ck_assert_mem_eq(&sum, &both, sizeof(sum));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("metrics");
	TCase *c = tcase_create("text");
	tcase_add_checked_fixture(c, setup, teardown);
	tcase_add_test(c, nothing);
	tcase_add_test(c, a_family_without_samples);
	tcase_add_test(c, families_are_grouped);
	tcase_add_test(c, a_sample_without_a_family);
	tcase_add_test(c, numbers);
	tcase_add_test(c, labels);
	tcase_add_test(c, labels_that_are_cut);
	tcase_add_test(c, histogram);
	tcase_add_test(c, histogram_without_labels);
	tcase_add_test(c, histograms_add_up);
	suite_add_tcase(s, c);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
