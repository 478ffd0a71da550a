#include "mq_rig.h"

static struct rig r;
static struct rig_client a, b;

static void begin(bool log)
{
	struct mq_conf conf = mq_conf_default();
	rig_start(&r, conf, log);
	rig_open(&r, &a);
	rig_open(&r, &b);
}

static void setup(void)
{
	begin(false);
}

static void setup_log(void)
{
	begin(true);
}

static void teardown(void)
{
	rig_close(&a);
	rig_close(&b);
	rig_end(&r);
}

/* ---- the way of a message ---- */

START_TEST(publish_deliver_ack)
{
	struct mq_queue *q = rig_queue(&r, &a, "orders", "", "");
	rig_consume(&r, &b, "orders", "c", "", "");
	rig_publish(&r, &a, "", "orders", "one", "", "");
	rig_publish(&r, &a, "", "orders", "two", "", "");
	told(&b, "");
	rig_turn(&r);
	told(&b, "c 1 orders one;c 2 orders two;");
	ck_assert_uint_eq(q->nready, 0);
	ck_assert_uint_eq(q->nunacked, 2);
	rig_settle(&r, &b, 1, false, MQ_ACK);
	rig_settle(&r, &b, 2, false, MQ_ACK);
	ck_assert_uint_eq(q->nunacked, 0);
	ck_assert_uint_eq(r.b->entries, 0);
	ck_assert_uint_eq(r.b->body_memory, 0);
	ck_assert(!mq_settle(&b.ch, 2, false, MQ_ACK, &r.e));
	failed_with(&r, "PRECONDITION_FAILED - unknown delivery tag 2");
}
END_TEST

START_TEST(requeued_to_its_place)
{
	rig_queue(&r, &a, "q", "", "");
	for (int i = 0; i < 5; i++)
		rig_publish(&r, &a, "", "q", (char[]){(char)('a' + i), 0}, "", "");
	mq_qos(&b.ch, 0, 3, false, &r.e);
	rig_consume(&r, &b, "q", "c", "", "");
	rig_turn(&r);
	told(&b, "c 1 q a;c 2 q b;c 3 q c;");
	mq_cancel(&b.ch, sd_slice_of("c"));
	rig_settle(&r, &b, 3, false, MQ_REQUEUE);
	rig_settle(&r, &b, 1, false, MQ_REQUEUE);
	rig_settle(&r, &b, 2, false, MQ_REQUEUE);
	mq_qos(&b.ch, 0, 0, false, &r.e);
	rig_consume(&r, &b, "q", "d", "", "");
	rig_turn(&r);
	told(&b, "d 4 q a again;d 5 q b again;d 6 q c again;d 7 q d;d 8 q e;");
}
END_TEST

START_TEST(confirms_wait_for_the_disk)
{
	rig_queue(&r, &a, "q", "d", "");
	mq_confirm_select(&a.ch, &r.e);
	logged(&r, "queue;");
	rig_publish(&r, &a, "", "q", "one", "p", "");
	rig_publish(&r, &a, "", "q", "two", "p", "");
	rig_publish(&r, &a, "", "q", "gone", "", "");
	logged(&r, "put one q/1;put two q/2;");
	rig_turn(&r);
	told(&a, "ack 3;");
	mq_stored(r.b, 2);
	told(&a, "ack 1;");
	mq_stored(r.b, 3);
	told(&a, "ack 2;");
	rig_publish(&r, &a, "", "q", "x", "p", "");
	rig_publish(&r, &a, "", "q", "y", "p", "");
	mq_stored(r.b, 5);
	told(&a, "ack 5+;");
	r.log_full = true;
	rig_publish(&r, &a, "", "q", "z", "p", "");
	told(&a, "nack 6;");
}
END_TEST

int main(void)
{
	Suite *s = suite_create("mq");
	TCase *t = tcase_create("memory");
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, publish_deliver_ack);
	tcase_add_test(t, requeued_to_its_place);
	suite_add_tcase(s, t);
	t = tcase_create("log");
	tcase_add_checked_fixture(t, setup_log, teardown);
	tcase_add_test(t, confirms_wait_for_the_disk);
	suite_add_tcase(s, t);
	SRunner *sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	int failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed != 0;
}
