#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "core/suggest.h"
#include "sdlab/err.h"

static const char *const names[] = {"backend", "cache", "gateway", "kv",      "lb",
				    "load",    "lock",  "logs",    "metrics", "up"};

static const char *suggest(const char *word)
{
	return sd_suggest_of(word, names, sizeof names / sizeof *names);
}

START_TEST(distance)
{
	ck_assert_uint_eq(sd_edit_distance("", ""), 0);
	ck_assert_uint_eq(sd_edit_distance("", "abc"), 3);
	ck_assert_uint_eq(sd_edit_distance("abc", ""), 3);
	ck_assert_uint_eq(sd_edit_distance("kitten", "sitting"), 3);
	ck_assert_uint_eq(sd_edit_distance("port", "prot"), 1);
	ck_assert_uint_eq(sd_edit_distance("PORT", "port"), 0);
	ck_assert_uint_eq(sd_edit_distance("ca", "abc"), 3);
	ck_assert_uint_eq(sd_edit_distance("abcd", "badc"), 2);
}
END_TEST

START_TEST(distance_of_long_words)
{
	char a[SD_SUGGEST_MAX + 2], b[SD_SUGGEST_MAX + 2];

	memset(a, 'x', sizeof a);
	memset(b, 'y', sizeof b);
	a[SD_SUGGEST_MAX] = b[SD_SUGGEST_MAX] = '\0';
	ck_assert_uint_eq(sd_edit_distance(a, b), SD_SUGGEST_MAX);
	a[SD_SUGGEST_MAX] = 'x';
	a[SD_SUGGEST_MAX + 1] = '\0';
	ck_assert_uint_eq(sd_edit_distance(a, b), (size_t)-1);
	ck_assert_ptr_null(suggest(a));
}
END_TEST

START_TEST(nearest)
{
	ck_assert_str_eq(suggest("lbb"), "lb");
	ck_assert_str_eq(suggest("bl"), "lb");
	ck_assert_str_eq(suggest("cahce"), "cache");
	ck_assert_str_eq(suggest("lokc"), "lock");
	ck_assert_str_eq(suggest("metrisc"), "metrics");
	ck_assert_str_eq(suggest("LB"), "lb");
	ck_assert_str_eq(suggest("gatway"), "gateway");
}
END_TEST

/* Of two that are equally near, the first. */
START_TEST(ties)
{
	ck_assert_str_eq(suggest("loc"), "lock");
	ck_assert_str_eq(suggest("loa"), "load");
}
END_TEST

START_TEST(unfinished)
{
	ck_assert_str_eq(suggest("back"), "backend");
	ck_assert_str_eq(suggest("met"), "metrics");
	ck_assert_ptr_null(suggest("ga"));
}
END_TEST

START_TEST(too_far)
{
	ck_assert_ptr_null(suggest("postgres"));
	ck_assert_ptr_null(suggest("x"));
	ck_assert_ptr_null(suggest("xy"));
	ck_assert_ptr_null(suggest(""));
	ck_assert_ptr_null(sd_suggest_of("lb", NULL, 0));
}
END_TEST

START_TEST(errors_fill_and_wrap)
{
	struct sd_error e;
	char big[700];

	ck_assert_int_eq(sd_fail(&e, SD_ENOTFOUND, "no %s", "key"), SD_ENOTFOUND);
	ck_assert_str_eq(e.text, "no key");
	ck_assert_int_eq(sd_wrap(&e, "cannot load %s", "x"), SD_ENOTFOUND);
	ck_assert_str_eq(e.text, "cannot load x: no key");
	sd_fail(&e, SD_EIO, "%s!", e.text);
	ck_assert_str_eq(e.text, "cannot load x: no key!");
	ck_assert_int_eq(sd_fail(NULL, SD_EIO, "x"), SD_EIO);
	ck_assert_int_eq(sd_wrap(NULL, "x"), SD_EINVAL);
	memset(big, 'a', sizeof big);
	big[sizeof big - 1] = '\0';
	memcpy(big + 510, "\xc3\xa4", 2);
	sd_fail(&e, SD_EIO, "%s", big);
	ck_assert_uint_eq(strlen(e.text), 510); /* the half of a letter is not shown */
	sd_wrap(&e, "%s", big);
	ck_assert_uint_eq(strlen(e.text), 510);
	ck_assert_str_eq(sd_err_text(SD_OK), "ok");
	ck_assert_str_eq(sd_err_text(SD_EUSAGE), "wrong usage");
	ck_assert_str_eq(sd_err_text((enum sd_err)999), "unknown error");
}
END_TEST

int main(void)
{
	Suite *s = suite_create("suggest");
	TCase *t = tcase_create("suggest");

	tcase_add_test(t, distance);
	tcase_add_test(t, distance_of_long_words);
	tcase_add_test(t, nearest);
	tcase_add_test(t, ties);
	tcase_add_test(t, unfinished);
	tcase_add_test(t, too_far);
	tcase_add_test(t, errors_fill_and_wrap);
	suite_add_tcase(s, t);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
