#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/units.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

START_TEST(ints)
{
	static const struct {
		const char *text;
		enum sd_err err;
		int64_t v;
	} t[] = {
	    {"0", SD_OK, 0},
	    {"-0", SD_OK, 0},
	    {"8080", SD_OK, 8080},
	    {"-5", SD_OK, -5},
	    {"9223372036854775807", SD_OK, INT64_MAX},
	    {"-9223372036854775808", SD_OK, INT64_MIN},
	    {"9223372036854775808", SD_ERANGE, 0},
	    {"-9223372036854775809", SD_ERANGE, 0},
	    {"99999999999999999999999999", SD_ERANGE, 0},
	    {"", SD_EINVAL, 0},
	    {"-", SD_EINVAL, 0},
	    {"+1", SD_EINVAL, 0},
	    {"007", SD_EINVAL, 0},
	    {"0x10", SD_EINVAL, 0},
	    {"1 ", SD_EINVAL, 0},
	    {" 1", SD_EINVAL, 0},
	    {"1.0", SD_EINVAL, 0},
	    {"1e3", SD_EINVAL, 0},
	};

	for (size_t i = 0; i < COUNT(t); i++) {
		int64_t v = 42;
		ck_assert_msg(sd_parse_int(t[i].text, &v) == t[i].err, "%s", t[i].text);
		ck_assert_msg(v == (t[i].err == SD_OK ? t[i].v : 42), "%s", t[i].text);
	}
}
END_TEST

START_TEST(bools)
{
	bool v = false;

	ck_assert_int_eq(sd_parse_bool("yes", &v), SD_OK);
	ck_assert(v);
	ck_assert_int_eq(sd_parse_bool("off", &v), SD_OK);
	ck_assert(!v);
	ck_assert_int_eq(sd_parse_bool("1", &v), SD_OK);
	ck_assert(v);
	ck_assert_int_eq(sd_parse_bool("True", &v), SD_EINVAL);
	ck_assert_int_eq(sd_parse_bool("", &v), SD_EINVAL);
}
END_TEST

START_TEST(numbers)
{
	static const struct {
		const char *text;
		enum sd_err err;
		double v;
	} t[] = {
	    {"0", SD_OK, 0},        {"1.5", SD_OK, 1.5},   {"-0.5", SD_OK, -0.5},
	    {"2.5e3", SD_OK, 2500}, {"1E-2", SD_OK, 0.01}, {"1e400", SD_ERANGE, 0},
	    {"inf", SD_EINVAL, 0},  {"nan", SD_EINVAL, 0}, {"0x1p3", SD_EINVAL, 0},
	    {".5", SD_EINVAL, 0},   {"5.", SD_EINVAL, 0},  {"1e", SD_EINVAL, 0},
	    {"--1", SD_EINVAL, 0},  {"01", SD_EINVAL, 0},  {"1e400x", SD_EINVAL, 0},
	    {"", SD_EINVAL, 0},
	};

	for (size_t i = 0; i < COUNT(t); i++) {
		double v = 42;
		ck_assert_msg(sd_parse_number(t[i].text, &v) == t[i].err, "%s", t[i].text);
		ck_assert_msg(v == (t[i].err == SD_OK ? t[i].v : 42), "%s", t[i].text);
	}
}
END_TEST

START_TEST(percents)
{
	double v;

	ck_assert_int_eq(sd_parse_percent("5%", &v), SD_OK);
	ck_assert(v == 0.05);
	ck_assert_int_eq(sd_parse_percent("0.05", &v), SD_OK);
	ck_assert(v == 0.05);
	ck_assert_int_eq(sd_parse_percent("100%", &v), SD_OK);
	ck_assert(v == 1);
	ck_assert_int_eq(sd_parse_percent("99.9%", &v), SD_OK);
	ck_assert_int_eq(sd_parse_percent("101%", &v), SD_ERANGE);
	ck_assert_int_eq(sd_parse_percent("5", &v), SD_ERANGE);
	ck_assert_int_eq(sd_parse_percent("-5%", &v), SD_EINVAL);
	ck_assert_int_eq(sd_parse_percent("5 %", &v), SD_EINVAL);
	ck_assert_int_eq(sd_parse_percent("5%%", &v), SD_EINVAL);
	ck_assert_int_eq(sd_parse_percent("%", &v), SD_EINVAL);
	ck_assert_int_eq(sd_parse_percent("1e999%", &v), SD_ERANGE);
}
END_TEST

START_TEST(durations)
{
	static const struct {
		const char *text;
		enum sd_err err;
		int64_t ns;
		const char *back;
	} t[] = {
	    {"0", SD_OK, 0, "0s"},
	    {"0ms", SD_OK, 0, "0s"},
	    {"250ms", SD_OK, 250000000, "250ms"},
	    {"5s", SD_OK, 5000000000, "5s"},
	    {"10m", SD_OK, 600000000000, "10m"},
	    {"90m", SD_OK, 5400000000000, "1h30m"},
	    {"1h30m", SD_OK, 5400000000000, "1h30m"},
	    {"24h", SD_OK, 86400000000000, "1d"},
	    {"1.5s", SD_OK, 1500000000, "1.5s"},
	    {"1m0.25s", SD_OK, 60250000000, "1m250ms"},
	    {"1s500ms", SD_OK, 1500000000, "1.5s"},
	    {"1.5h", SD_OK, 5400000000000, "1h30m"},
	    {"7us", SD_OK, 7000, "7us"},
	    {"1500ns", SD_OK, 1500, "1.5us"},
	    {"1ns", SD_OK, 1, "1ns"},
	    {"9223372036854775807ns", SD_OK, INT64_MAX, "106751d23h47m16.854775807s"},
	    {"9223372036854775808ns", SD_ERANGE, 0, NULL},
	    {"106752d", SD_ERANGE, 0, NULL},
	    {"106751d24h", SD_ERANGE, 0, NULL},
	    {"99999999999999999999s", SD_ERANGE, 0, NULL},
	    {"99999999999999999999q", SD_EINVAL, 0, NULL},
	    {"", SD_EINVAL, 0, NULL},
	    {"5", SD_EINVAL, 0, NULL},
	    {"s", SD_EINVAL, 0, NULL},
	    {"-5s", SD_EINVAL, 0, NULL},
	    {"5 s", SD_EINVAL, 0, NULL},
	    {"5S", SD_EINVAL, 0, NULL},
	    {"30m1h", SD_EINVAL, 0, NULL},
	    {"1s1s", SD_EINVAL, 0, NULL},
	    {"1.5h30m", SD_EINVAL, 0, NULL},
	    {"0.5ns", SD_EINVAL, 0, NULL},
	    {"1.s", SD_EINVAL, 0, NULL},
	    {"05s", SD_EINVAL, 0, NULL},
	    {"soon", SD_EINVAL, 0, NULL},
	    {"0.0000000000000000001s", SD_EINVAL, 0, NULL},
	};
	char back[SD_UNIT_TEXT];

	for (size_t i = 0; i < COUNT(t); i++) {
		int64_t v = 42;
		ck_assert_msg(sd_parse_duration(t[i].text, &v) == t[i].err, "%s", t[i].text);
		ck_assert_msg(v == (t[i].err == SD_OK ? t[i].ns : 42), "%s", t[i].text);
		if (t[i].back)
			ck_assert_str_eq(sd_format_duration(v, back), t[i].back);
	}
	ck_assert_str_eq(sd_format_duration(-1500000000, back), "-1.5s");
	ck_assert_str_eq(sd_format_duration(INT64_MIN, back), "-106751d23h47m16.854775808s");
}
END_TEST

START_TEST(sizes)
{
	static const struct {
		const char *text;
		enum sd_err err;
		int64_t bytes;
		const char *back;
	} t[] = {
	    {"0", SD_OK, 0, "0B"},
	    {"512", SD_OK, 512, "512B"},
	    {"512B", SD_OK, 512, "512B"},
	    {"64KiB", SD_OK, 65536, "64KiB"},
	    {"65536", SD_OK, 65536, "64KiB"},
	    {"4MB", SD_OK, 4000000, "4MB"},
	    {"64000000", SD_OK, 64000000, "64MB"},
	    {"1kB", SD_OK, 1000, "1KB"},
	    {"1KB", SD_OK, 1000, "1KB"},
	    {"1.5GiB", SD_OK, 1610612736, "1536MiB"},
	    {"2TiB", SD_OK, 2199023255552, "2TiB"},
	    {"1TB", SD_OK, 1000000000000, "1TB"},
	    {"9223372036854775807", SD_OK, INT64_MAX, "9223372036854775807B"},
	    {"8388607TiB", SD_OK, 9223370937343148032, "8388607TiB"},
	    {"8388608TiB", SD_ERANGE, 0, NULL},
	    {"9223372036854775808", SD_ERANGE, 0, NULL},
	    {"1.5", SD_EINVAL, 0, NULL},
	    {"0.3KiB", SD_EINVAL, 0, NULL},
	    {"64k", SD_OK, 64000, "64KB"},
	    {"64K", SD_OK, 64000, "64KB"},
	    {"64kb", SD_OK, 65536, "64KiB"},
	    {"64Kb", SD_OK, 65536, "64KiB"},
	    {"50m", SD_OK, 50000000, "50MB"},
	    {"50mb", SD_OK, 52428800, "50MiB"},
	    {"50Mb", SD_OK, 52428800, "50MiB"},
	    {"50mB", SD_OK, 52428800, "50MiB"},
	    {"50MB", SD_OK, 50000000, "50MB"},
	    {"2G", SD_OK, 2000000000, "2GB"},
	    {"2gb", SD_OK, 2147483648, "2GiB"},
	    {"8589934592gb", SD_ERANGE, 0, NULL},
	    {"2t", SD_EINVAL, 0, NULL},
	    {"2tb", SD_EINVAL, 0, NULL},
	    {"2b", SD_EINVAL, 0, NULL},
	    {"2kbb", SD_EINVAL, 0, NULL},
	    {"64 KiB", SD_EINVAL, 0, NULL},
	    {"64kib", SD_EINVAL, 0, NULL},
	    {"-1", SD_EINVAL, 0, NULL},
	    {"KiB", SD_EINVAL, 0, NULL},
	    {"", SD_EINVAL, 0, NULL},
	};
	char back[SD_UNIT_TEXT];

	for (size_t i = 0; i < COUNT(t); i++) {
		int64_t v = 42;
		ck_assert_msg(sd_parse_size(t[i].text, &v) == t[i].err, "%s", t[i].text);
		ck_assert_msg(v == (t[i].err == SD_OK ? t[i].bytes : 42), "%s", t[i].text);
		if (t[i].back)
			ck_assert_str_eq(sd_format_size(v, back), t[i].back);
	}
}
END_TEST

START_TEST(rates)
{
	double v;
	char back[SD_UNIT_TEXT];

	ck_assert_int_eq(sd_parse_rate("100/min", &v), SD_OK);
	ck_assert(v == 100 / 60.0);
	ck_assert_str_eq(sd_format_rate(v, back), "100/min");
	ck_assert_int_eq(sd_parse_rate("10/s", &v), SD_OK);
	ck_assert(v == 10);
	ck_assert_str_eq(sd_format_rate(v, back), "10/s");
	ck_assert_int_eq(sd_parse_rate("5/hour", &v), SD_OK);
	ck_assert_str_eq(sd_format_rate(v, back), "5/h");
	ck_assert_int_eq(sd_parse_rate("0.5/second", &v), SD_OK);
	ck_assert_str_eq(sd_format_rate(v, back), "30/min");
	ck_assert_int_eq(sd_parse_rate("1/day", &v), SD_OK);
	ck_assert_str_eq(sd_format_rate(v, back), "1/d");
	ck_assert_int_eq(sd_parse_rate("1e999/s", &v), SD_ERANGE);
	static const char *const bad[] = {"100",     "/s", "100/",  "100/x", "-1/s",
					  "100 / s", "",   "1/s/s", "1/S"};
	for (size_t i = 0; i < COUNT(bad); i++)
		ck_assert_msg(sd_parse_rate(bad[i], &v) == SD_EINVAL, "%s", bad[i]);
}
END_TEST

static uint64_t next(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

/* Whatever is formatted reads back to the same bits. */
START_TEST(round_trips)
{
	uint64_t seed = 88172645463325252;
	char text[SD_UNIT_TEXT];

	for (int i = 0; i < 200000; i++) {
		int64_t n = (int64_t)(next(&seed) >> (1 + next(&seed) % 63)), back = -1;
		double d = (double)(next(&seed) % 1000000) / (double)(1 + next(&seed) % 1000), e = -1;
		ck_assert(sd_parse_duration(sd_format_duration(n, text), &back) == SD_OK && back == n);
		ck_assert(sd_parse_size(sd_format_size(n, text), &back) == SD_OK && back == n);
		ck_assert(sd_parse_number(sd_format_number(d, text), &e) == SD_OK && e == d);
		ck_assert(sd_parse_rate(sd_format_rate(d, text), &e) == SD_OK && e == d);
		d = (double)(next(&seed) >> 11) / 9007199254740992.0;
		ck_assert(sd_parse_percent(sd_format_percent(d, text), &e) == SD_OK && e == d);
	}
	double e;
	ck_assert(sd_parse_rate(sd_format_rate(4.9e-324, text), &e) == SD_OK && e == 4.9e-324);
	ck_assert(sd_parse_number(sd_format_number(-1.7976931348623157e308, text), &e) == SD_OK);
	ck_assert_str_eq(sd_format_percent(0.29, text), "29%");
	ck_assert_str_eq(sd_format_number(0.1, text), "0.1");
}
END_TEST

int main(void)
{
	Suite *s = suite_create("units");
	TCase *t = tcase_create("units");

	tcase_add_test(t, ints);
	tcase_add_test(t, bools);
	tcase_add_test(t, numbers);
	tcase_add_test(t, percents);
	tcase_add_test(t, durations);
	tcase_add_test(t, sizes);
	tcase_add_test(t, rates);
	tcase_add_test(t, round_trips);
	tcase_set_timeout(t, 60);
	suite_add_tcase(s, t);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
