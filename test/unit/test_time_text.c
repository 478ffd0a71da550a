#include <check.h>
#include <string.h>
#include <time.h>

#include "core/time_text.h"

#define S 1000000000ll

START_TEST(known)
{
	static const struct {
		int64_t ns;
		const char *text;
	} rows[] = {
	    {0, "1970-01-01T00:00:00.000Z"},
	    {999999, "1970-01-01T00:00:00.000Z"},
	    {1000000, "1970-01-01T00:00:00.001Z"},
	    {-1, "1969-12-31T23:59:59.999Z"},
	    {-1000000, "1969-12-31T23:59:59.999Z"},
	    {-1 * S, "1969-12-31T23:59:59.000Z"},
	    {-86400 * S, "1969-12-31T00:00:00.000Z"},
	    {951782399 * S, "2000-02-28T23:59:59.000Z"},
	    {951782400 * S, "2000-02-29T00:00:00.000Z"},
	    {951868800 * S, "2000-03-01T00:00:00.000Z"},
	    {1708992000 * S + 123456789, "2024-02-27T00:00:00.123Z"},
	    {4107542400 * S, "2100-03-01T00:00:00.000Z"},
	    {4107542400 * S - 1, "2100-02-28T23:59:59.999Z"}, /* no leap year */
	    {INT64_MAX, "2262-04-11T23:47:16.854Z"},
	};
	char text[SD_TIME_TEXT];
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		ck_assert_uint_eq(sd_time_text(text, rows[i].ns), strlen(rows[i].text));
		ck_assert_str_eq(text, rows[i].text);
	}
}
END_TEST

/* Every day of eight centuries, against libc. */
START_TEST(calendar)
{
	for (int64_t day = -146097; day < 146097; day++) {
		int year;
		unsigned month, dom;
		time_t t = (time_t)(day * 86400);
		struct tm tm;
		gmtime_r(&t, &tm);
		sd_civil_from_days(day, &year, &month, &dom);
		ck_assert_int_eq(sd_days_from_civil(year, month, dom), day);
		ck_assert(year == tm.tm_year + 1900 && month == (unsigned)tm.tm_mon + 1 && dom == (unsigned)tm.tm_mday);
	}
}
END_TEST

START_TEST(reading)
{
	static const struct {
		const char *text;
		int64_t ns;
	} rows[] = {
	    {"1970-01-01T00:00:00Z", 0},
	    {"1970-01-01T00:00:00.000000001Z", 1},
	    {"1970-01-01T00:00:00.0000000019z", 1},
	    {"1970-01-01t00:00:01.5Z", 1500000000},
	    {"1970-01-01 01:00:00+01:00", 0},
	    {"1970-01-01T01:30:00+0130", 0},
	    {"1969-12-31T23:00:00-01:00", -1},
	    {"1970-01-01T00:00:00-01:00", 3600 * S},
	    {"2000-02-29T00:00:00Z", 951782400 * S},
	    {"2024-02-27T00:00:00.123456789Z", 1708992000 * S + 123456789},
	    {"2016-12-31T23:59:60Z", 1483228800 * S},
	    {"2261-12-31T23:59:59Z", 9214646399 * S},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int64_t ns = -7;
		enum sd_err err = sd_time_parse(rows[i].text, &ns);
		if (rows[i].ns < 0)
			ck_assert_msg(err == SD_ERANGE && ns == -7, "%s", rows[i].text);
		else
			ck_assert_msg(err == SD_OK && ns == rows[i].ns, "%s: %lld", rows[i].text, (long long)ns);
	}
}
END_TEST

START_TEST(not_a_time)
{
	static const char *const texts[] = {
	    "", "now", "2024-02-27", "2024-02-27T00:00:00", "2024-02-30T00:00:00Z", "2023-02-29T00:00:00Z",
	    "2100-02-29T00:00:00Z", "2024-00-01T00:00:00Z", "2024-13-01T00:00:00Z", "2024-01-00T00:00:00Z",
	    "2024-01-01T24:00:00Z", "2024-01-01T00:60:00Z", "2024-01-01T00:00:61Z", "2024-01-01T00:00:00.Z",
	    "2024-01-01T00:00:00Zulu", "2024-01-01T00:00:00+1", "2024-01-01T00:00:00+24:00", "24-01-01T00:00:00Z",
	    "2024-01-01T00:00:00+01:60", "2024/01/01T00:00:00Z", " 2024-01-01T00:00:00Z", "2024-1-1T00:00:00Z",
	};
	int64_t ns = -7;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		ck_assert_msg(sd_time_parse(texts[i], &ns) == SD_EINVAL && ns == -7, "%s", texts[i]);
	ck_assert_int_eq(sd_time_parse("2262-01-01T00:00:00Z", &ns), SD_ERANGE);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("time_text");
	TCase *t = tcase_create("time_text");
	tcase_add_test(t, known);
	tcase_add_test(t, calendar);
	tcase_add_test(t, reading);
	tcase_add_test(t, not_a_time);
	suite_add_tcase(s, t);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
