#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "core/rng.h"
#include "sdlab/queue_check.h"

static struct sd_qcheck *q;
static struct sd_qcheck_report r;

static void setup(void)
{
	q = sd_qcheck_new();
	ck_assert_ptr_nonnull(q);
}

static void teardown(void)
{
	sd_qcheck_free(q);
}

static void publish(uint32_t stream, uint64_t id)
{
	ck_assert_int_eq(sd_qcheck_published(q, stream, id), SD_OK);
	ck_assert_int_eq(sd_qcheck_acknowledged(q, id), SD_OK);
}

/* Exactly these numbers of faults, and the first example of each. */
static void faults(enum sd_qcheck_fault kind, uint64_t count, uint64_t first)
{
	sd_qcheck_report(q, &r);
	for (int i = 0; i < SD_QCHECK_FAULTS; i++)
		ck_assert_uint_eq(r.count[i], i == (int)kind ? count : 0);
	ck_assert_uint_eq(r.example[kind][0], first);
	ck_assert(!sd_qcheck_good(&r, 0));
	ck_assert(!sd_qcheck_good(&r, ~SD_QCHECK_ALLOW(kind)));
	ck_assert(sd_qcheck_good(&r, SD_QCHECK_ALLOW(kind)));
}

START_TEST(good)
{
	for (uint64_t id = 1; id <= 10; id++)
		publish(id % 2, id);
	for (uint64_t id = 10; id >= 1; id--)
		sd_qcheck_delivered(q, 11 - id, false);
	for (uint64_t id = 1; id <= 10; id++)
		ck_assert_int_eq(sd_qcheck_consumed(q, id), SD_OK);
	sd_qcheck_report(q, &r);
	ck_assert(sd_qcheck_good(&r, 0));
	ck_assert_uint_eq(r.published, 10);
	ck_assert_uint_eq(r.acknowledged, 10);
	ck_assert_uint_eq(r.delivered, 10);
	ck_assert_uint_eq(r.deliveries, 10);
}
END_TEST

START_TEST(empty)
{
	sd_qcheck_report(q, &r);
	ck_assert(sd_qcheck_good(&r, 0));
	ck_assert_int_eq(sd_qcheck_acknowledged(q, 1), SD_ENOTFOUND);
	ck_assert_int_eq(sd_qcheck_refused(q, 1), SD_ENOTFOUND);
	ck_assert_int_eq(sd_qcheck_consumed(q, 1), SD_ENOTFOUND);
	sd_qcheck_free(NULL);
}
END_TEST

START_TEST(loses)
{
	publish(0, 1);
	publish(0, 2);
	publish(0, 3);
	sd_qcheck_delivered(q, 1, false);
	sd_qcheck_delivered(q, 3, false);
	faults(SD_QCHECK_LOST, 1, 2);
	sd_qcheck_delivered(q, 2, true);
	sd_qcheck_report(q, &r);
	ck_assert(sd_qcheck_good(&r, 0));
}
END_TEST

START_TEST(without_answer_or_refused_is_not_lost)
{
	ck_assert_int_eq(sd_qcheck_published(q, 0, 1), SD_OK);
	ck_assert_int_eq(sd_qcheck_published(q, 0, 2), SD_OK);
	ck_assert_int_eq(sd_qcheck_published(q, 0, 3), SD_OK);
	ck_assert_int_eq(sd_qcheck_refused(q, 2), SD_OK);
	sd_qcheck_delivered(q, 3, false);
	sd_qcheck_report(q, &r);
	ck_assert(sd_qcheck_good(&r, 0));
	ck_assert_uint_eq(r.refused, 1);
	ck_assert_uint_eq(r.acknowledged, 0);
}
END_TEST

START_TEST(invents)
{
	publish(0, 1);
	sd_qcheck_delivered(q, 1, false);
	sd_qcheck_delivered(q, 99, false);
	sd_qcheck_delivered(q, 99, true);
	faults(SD_QCHECK_PHANTOM, 2, 99);
}
END_TEST

START_TEST(delivers_what_it_refused)
{
	ck_assert_int_eq(sd_qcheck_published(q, 0, 1), SD_OK);
	ck_assert_int_eq(sd_qcheck_published(q, 0, 2), SD_OK);
	ck_assert_int_eq(sd_qcheck_refused(q, 1), SD_OK);
	sd_qcheck_delivered(q, 1, false);
	faults(SD_QCHECK_REFUSED, 1, 1);
	sd_qcheck_delivered(q, 2, false);
	ck_assert_int_eq(sd_qcheck_refused(q, 2), SD_OK); /* told late */
	ck_assert_int_eq(sd_qcheck_refused(q, 2), SD_OK);
	faults(SD_QCHECK_REFUSED, 2, 1);
}
END_TEST

START_TEST(duplicates)
{
	publish(0, 1);
	sd_qcheck_delivered(q, 1, false);
	sd_qcheck_delivered(q, 1, true);
	sd_qcheck_report(q, &r);
	ck_assert(sd_qcheck_good(&r, 0));
	ck_assert_uint_eq(r.redelivered, 1);
	sd_qcheck_delivered(q, 1, false);
	faults(SD_QCHECK_DUPLICATED, 1, 1);
	ck_assert_uint_eq(r.delivered, 1);
	ck_assert_uint_eq(r.deliveries, 3);
}
END_TEST

START_TEST(delivers_what_was_consumed)
{
	publish(0, 1);
	ck_assert_int_eq(sd_qcheck_consumed(q, 1), SD_ENOTFOUND);
	sd_qcheck_delivered(q, 1, false);
	ck_assert_int_eq(sd_qcheck_consumed(q, 1), SD_OK);
	sd_qcheck_delivered(q, 1, true);
	faults(SD_QCHECK_CONSUMED, 1, 1);
}
END_TEST

START_TEST(reorders)
{
	for (uint64_t id = 1; id <= 4; id++)
		publish(0, id);
	publish(1, 5);
	sd_qcheck_delivered(q, 5, false); /* of another stream */
	sd_qcheck_delivered(q, 1, false);
	sd_qcheck_delivered(q, 4, false);
	sd_qcheck_delivered(q, 2, false);
	sd_qcheck_delivered(q, 3, true); /* may have been delivered before */
	faults(SD_QCHECK_REORDERED, 1, 2);
	ck_assert_uint_eq(r.overtaken_by, 4);
}
END_TEST

START_TEST(refused_arguments)
{
	publish(0, 7);
	ck_assert_int_eq(sd_qcheck_published(q, 1, 7), SD_EEXISTS);
	ck_assert_int_eq(sd_qcheck_published(q, SD_QCHECK_STREAMS_MOST, 8), SD_ERANGE);
	ck_assert_int_eq(sd_qcheck_published(q, SD_QCHECK_STREAMS_MOST - 1, 8), SD_OK);
	ck_assert_int_eq(sd_qcheck_acknowledged(q, 7), SD_OK);
	ck_assert_int_eq(sd_qcheck_refused(q, 7), SD_EEXISTS);
	ck_assert_int_eq(sd_qcheck_refused(q, 8), SD_OK);
	ck_assert_int_eq(sd_qcheck_acknowledged(q, 8), SD_EEXISTS);
	sd_qcheck_report(q, &r);
	ck_assert_uint_eq(r.published, 2);
	ck_assert_uint_eq(r.acknowledged, 1);
	ck_assert_uint_eq(r.refused, 1);
}
END_TEST

/* As many of each fault as were made, among many messages with ids of all 64 bits. */
START_TEST(many)
{
	enum { N = 300000, STREAMS = 7 };
	uint64_t lost = 0, doubled = 0, again = 0;
	struct sd_rng rng;
	for (uint64_t i = 0; i < N; i++)
		publish((uint32_t)(i % STREAMS), i * 0x9e3779b97f4a7c15u);
	sd_rng_seed(&rng, 11);
	for (uint64_t i = 0; i < N; i++) {
		uint64_t id = i * 0x9e3779b97f4a7c15u;
		uint32_t dice = sd_rng_below(&rng, 1000);
		if (dice == 0) {
			lost++;
			continue;
		}
		sd_qcheck_delivered(q, id, false);
		if (dice > 990)
			sd_qcheck_delivered(q, id, dice > 995);
		doubled += dice > 990 && dice <= 995;
		again += dice > 995;
	}
	sd_qcheck_report(q, &r);
	ck_assert_uint_gt(lost, 100);
	ck_assert_uint_eq(r.count[SD_QCHECK_LOST], lost);
	ck_assert_uint_eq(r.count[SD_QCHECK_DUPLICATED], doubled);
	ck_assert_uint_eq(r.redelivered, again);
	ck_assert_uint_eq(r.count[SD_QCHECK_REORDERED], 0);
	ck_assert_uint_eq(r.delivered, N - lost);
}
END_TEST

START_TEST(text)
{
	for (uint64_t id = 1; id <= 12; id++)
		publish(0, id);
	ck_assert_int_eq(sd_qcheck_published(q, 0, 13), SD_OK);
	sd_qcheck_delivered(q, 12, false);
	sd_qcheck_delivered(q, 2, false);
	sd_qcheck_delivered(q, 77, false);
	sd_qcheck_report(q, &r);
	char *p = sd_qcheck_report_text(&r);
	ck_assert_str_eq(
	    p, "13 published (12 acknowledged, 0 refused, 1 without answer), 2 of them delivered in 3 "
	       "deliveries, 0 "
	       "flagged again\n"
	       "lost               10  acknowledged, never delivered: 1 3 4 5 6 7 8 9 ...\n"
	       "phantom             1  delivered, never published: 77\n"
	       "reordered           1  delivered after a later one of its stream: 2 (the first after 12)\n");
	free(p);
	r = (struct sd_qcheck_report){0};
	p = sd_qcheck_report_text(&r);
	ck_assert_ptr_nonnull(strstr(p, "\nnothing lost, invented, doubled or out of order\n"));
	free(p);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("queue_check");
	TCase *t = tcase_create("queue_check");
	tcase_set_timeout(t, 20);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, good);
	tcase_add_test(t, empty);
	tcase_add_test(t, loses);
	tcase_add_test(t, without_answer_or_refused_is_not_lost);
	tcase_add_test(t, invents);
	tcase_add_test(t, delivers_what_it_refused);
	tcase_add_test(t, duplicates);
	tcase_add_test(t, delivers_what_was_consumed);
	tcase_add_test(t, reorders);
	tcase_add_test(t, refused_arguments);
	tcase_add_test(t, many);
	tcase_add_test(t, text);
	suite_add_tcase(s, t);
	return s;
}

int main(void)
{
	SRunner *runner = srunner_create(suite());
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
