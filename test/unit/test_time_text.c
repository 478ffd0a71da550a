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
		ck_assert(year == tm.tm_year + 1900 && month == (unsigned)tm.tm_mon + 1 && dom == (unsigned)tm.tm_mday);
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("time_text");
	TCase *t = tcase_create("time_text");
	tcase_add_test(t, known);
	tcase_add_test(t, calendar);
	suite_add_tcase(s, t);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
