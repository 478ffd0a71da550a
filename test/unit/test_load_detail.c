/* What the reports of other tools tell beyond our own: parts of the time, lengths, rows, and threads put together. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "../../applets/load/load.h"

#define MS 1000000

static struct load_detail *fresh(size_t max_rows)
{
	struct load_plan plan = {.max_rows = max_rows};
	struct load_detail *d = load_detail_new(&plan);
	ck_assert_ptr_nonnull(d);
	return d;
}

static struct load_row row_at(int64_t offset_ms)
{
	return (struct load_row){offset_ms * MS, 5 * MS, 2 * MS, 1 * MS, 2 * MS, 200};
}

START_TEST(times_are_told_apart)
{
	struct load_detail *d = fresh(0);
	struct load_row row = row_at(0);
	load_detail_answer(d, &row, 10, false);
	ck_assert_int_eq(sd_hdr_max(d->total) / MS, 5);
	ck_assert_int_eq(sd_hdr_max(d->connect) / MS, 2);
	ck_assert_int_eq(sd_hdr_max(d->processing) / MS, 3);
	ck_assert_int_eq(sd_hdr_max(d->waiting) / MS, 1);
	ck_assert_int_eq(sd_hdr_max(d->reading) / MS, 2);
	ck_assert_uint_eq(d->nrows, 0);
	load_detail_free(d);
}
END_TEST

START_TEST(lengths_differ_from_the_first)
{
	struct load_detail *d = fresh(0);
	struct load_row row = row_at(0);
	static const uint64_t lengths[] = {0, 0, 7, 0, 8};
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++)
		load_detail_answer(d, &row, lengths[i], i % 2 == 0);
	ck_assert_uint_eq(d->first_length, 0);
	ck_assert_uint_eq(d->other_lengths, 2);
	ck_assert_uint_eq(d->body_bytes, 15);
	ck_assert_uint_eq(d->kept, 3);
	load_detail_free(d);
}
END_TEST

static struct sd_http_head head_with(const char *server)
{
	struct sd_http_head head = {.nfields = 1};
	head.fields[0] = (struct sd_http_field){{"Server", 6}, {server, strlen(server)}, SD_HTTP_F_SERVER};
	return head;
}

START_TEST(the_first_server_is_named)
{
	char name[200];
	memset(name, 'n', sizeof(name));
	name[sizeof(name) - 1] = '\0';
	struct load_detail *d = fresh(0), *cut = fresh(0);
	struct sd_http_head first = head_with("one/1"), second = head_with("two/2"), endless = head_with(name);
	load_detail_head(d, &first);
	load_detail_head(d, &second);
	ck_assert_str_eq(d->server, "one/1");
	load_detail_head(cut, &endless);
	ck_assert_uint_eq(strlen(cut->server), sizeof(cut->server) - 1);
	load_detail_free(d);
	load_detail_free(cut);
}
END_TEST

/* Twenty answers in a tenth of a second are two hundred a second, whenever the next one comes. */
START_TEST(rates_are_of_tenths)
{
	struct load_detail *d = fresh(0);
	for (int i = 1; i <= 40; i++) {
		struct load_row row = row_at(i * 5 - 3);
		load_detail_answer(d, &row, 1, true);
	}
	ck_assert_int_eq(sd_hdr_count(d->rates), 2);
	ck_assert_int_eq(sd_hdr_min(d->rates), 200);
	ck_assert_int_eq(sd_hdr_max(d->rates), 200);
	load_detail_free(d);
}
END_TEST

START_TEST(threads_are_put_together)
{
	struct load_detail *all = fresh(3), *a = fresh(3), *b = fresh(3);
	struct sd_http_head head = head_with("one/1");
	load_detail_head(b, &head);
	for (int i = 0; i < 2; i++) {
		struct load_row row = row_at(i);
		load_detail_answer(b, &row, 4, true);
		load_detail_answer(b, &row, 5, true);
	}
	ck_assert_uint_eq(b->nrows, 3);
	ck_assert_int_eq(load_detail_merge(all, a), SD_OK);
	ck_assert_int_eq(load_detail_merge(all, b), SD_OK);
	ck_assert_str_eq(all->server, "one/1");
	ck_assert_uint_eq(all->first_length, 4);
	ck_assert_uint_eq(all->other_lengths, 2);
	ck_assert_uint_eq(all->body_bytes, 18);
	ck_assert_uint_eq(all->kept, 4);
	ck_assert_uint_eq(all->nrows, 3);
	ck_assert_int_eq(sd_hdr_count(all->total), 4);
	ck_assert_int_eq(sd_hdr_count(all->connect), 4);
	load_detail_free(all);
	load_detail_free(a);
	load_detail_free(b);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("load detail");
	TCase *t = tcase_create("load detail");
	tcase_add_test(t, times_are_told_apart);
	tcase_add_test(t, lengths_differ_from_the_first);
	tcase_add_test(t, the_first_server_is_named);
	tcase_add_test(t, rates_are_of_tenths);
	tcase_add_test(t, threads_are_put_together);
	suite_add_tcase(s, t);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? 1 : 0;
}
