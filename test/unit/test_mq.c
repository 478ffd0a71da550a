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

START_TEST(prefetch_and_turns)
{
	rig_queue(&r, &a, "q", "", "");
	mq_qos(&a.ch, 0, 1, false, &r.e);
	mq_qos(&b.ch, 0, 2, false, &r.e);
	rig_consume(&r, &a, "q", "x", "", "");
	rig_consume(&r, &b, "q", "y", "", "");
	for (int i = 0; i < 6; i++)
		rig_publish(&r, &a, "", "q", (char[]){(char)('a' + i), 0}, "", "");
	rig_turn(&r);
	told(&a, "x 1 q a;");
	told(&b, "y 1 q b;y 2 q c;");
	rig_settle(&r, &b, 2, true, MQ_ACK);
	rig_turn(&r);
	told(&b, "y 3 q d;y 4 q e;");
	rig_settle(&r, &a, 1, false, MQ_ACK);
	rig_turn(&r);
	told(&a, "x 2 q f;");
}
END_TEST

START_TEST(one_after_another)
{
	rig_queue(&r, &a, "q", "", "");
	rig_consume(&r, &a, "q", "x", "", "");
	rig_consume(&r, &b, "q", "y", "n", "");
	rig_consume(&r, &b, "q", "z", "", "");
	for (int i = 0; i < 6; i++)
		rig_publish(&r, &a, "", "q", (char[]){(char)('a' + i), 0}, "", "");
	rig_turn(&r);
	told(&a, "x 1 q a;x 2 q d;");
	told(&b, "y 1 q b;z 2 q c;y 3 q e;z 4 q f;");
}
END_TEST

START_TEST(prefetch_of_a_channel)
{
	rig_queue(&r, &a, "q", "", "");
	rig_queue(&r, &a, "p", "", "");
	mq_qos(&b.ch, 0, 2, true, &r.e);
	rig_consume(&r, &b, "q", "x", "", "");
	rig_consume(&r, &b, "p", "y", "", "");
	for (int i = 0; i < 3; i++) {
		rig_publish(&r, &a, "", "q", "q", "", "");
		rig_publish(&r, &a, "", "p", "p", "", "");
	}
	rig_turn(&r);
	ck_assert_uint_eq(b.ch.nunacked, 2);
	for (uint64_t i = 1; i <= 6; i++) {
		rig_settle(&r, &b, i, false, MQ_ACK);
		rig_turn(&r);
		ck_assert_uint_eq(b.ch.nunacked, i < 5 ? 2 : 6 - i);
	}
	ck_assert(!mq_qos(&b.ch, 5, 0, false, &r.e));
	failed_with(&r, "NOT_IMPLEMENTED - prefetch_size!=0 (5)");
}
END_TEST

START_TEST(room_of_a_channel)
{
	rig_queue(&r, &a, "q", "", "");
	b.room = 1;
	rig_consume(&r, &b, "q", "x", "n", "");
	for (int i = 0; i < 3; i++)
		rig_publish(&r, &a, "", "q", "m", "", "");
	rig_turn(&r);
	told(&b, "x 1 q m;");
	b.room = 5;
	rig_turn(&r);
	told(&b, "");
	mq_channel_ready(&b.ch);
	rig_turn(&r);
	told(&b, "x 2 q m;x 3 q m;");
	ck_assert_uint_eq(r.b->entries, 0);
}
END_TEST

START_TEST(consumers_by_priority)
{
	rig_queue(&r, &a, "q", "", "");
	mq_qos(&b.ch, 0, 1, false, &r.e);
	rig_consume(&r, &b, "q", "low", "", "x-priority=-1");
	rig_consume(&r, &b, "q", "high", "", "x-priority=7");
	rig_consume(&r, &b, "q", "mid", "", "");
	for (int i = 0; i < 4; i++)
		rig_publish(&r, &a, "", "q", "m", "", "");
	rig_turn(&r);
	told(&b, "high 1 q m;mid 2 q m;low 3 q m;");
	rig_settle(&r, &b, 2, false, MQ_ACK);
	rig_settle(&r, &b, 1, false, MQ_ACK);
	rig_turn(&r);
	told(&b, "high 4 q m;");
}
END_TEST

START_TEST(messages_by_priority)
{
	rig_queue(&r, &a, "q", "", "x-max-priority=5");
	rig_publish(&r, &a, "", "q", "none", "", "");
	rig_publish(&r, &a, "", "q", "three", "3", "");
	rig_publish(&r, &a, "", "q", "five", "5", "");
	rig_publish(&r, &a, "", "q", "nine", "9", "");
	rig_publish(&r, &a, "", "q", "3rd", "3", "");
	mq_qos(&b.ch, 0, 2, false, &r.e);
	rig_consume(&r, &b, "q", "c", "", "");
	rig_turn(&r);
	told(&b, "c 1 q five;c 2 q nine;");
	rig_settle(&r, &b, 2, false, MQ_REQUEUE);
	rig_turn(&r);
	told(&b, "c 3 q nine again;");
	rig_settle(&r, &b, 0, true, MQ_ACK);
	rig_turn(&r);
	told(&b, "c 4 q three;c 5 q 3rd;");
}
END_TEST

START_TEST(single_active_consumer)
{
	rig_queue(&r, &a, "q", "", "x-single-active-consumer=true");
	rig_consume(&r, &a, "q", "x", "", "");
	rig_consume(&r, &b, "q", "y", "", "x-priority=9");
	rig_publish(&r, &a, "", "q", "1", "", "");
	rig_publish(&r, &a, "", "q", "2", "", "");
	rig_turn(&r);
	told(&a, "x 1 q 1;x 2 q 2;");
	told(&b, "");
	mq_cancel(&a.ch, sd_slice_of("x"));
	rig_publish(&r, &a, "", "q", "3", "", "");
	rig_turn(&r);
	told(&b, "y 1 q 3;");
	mq_settle(&a.ch, 0, true, MQ_REQUEUE, &r.e);
	rig_turn(&r);
	told(&b, "y 2 q 1 again;y 3 q 2 again;");
}
END_TEST

START_TEST(get_one)
{
	struct mq_entry *e;
	uint64_t left;
	rig_queue(&r, &a, "q", "", "");
	ck_assert(mq_get(&b.ch, sd_slice_of("q"), false, &e, &left, &r.e));
	ck_assert_ptr_null(e);
	rig_publish(&r, &a, "", "q", "1", "", "");
	rig_publish(&r, &a, "", "q", "2", "", "");
	ck_assert(mq_get(&b.ch, sd_slice_of("q"), false, &e, &left, &r.e));
	ck_assert_uint_eq(e->tag, 1);
	ck_assert_uint_eq(left, 1);
	rig_settle(&r, &b, 1, false, MQ_RETURN);
	ck_assert(mq_get(&b.ch, sd_slice_of("q"), true, &e, &left, &r.e));
	ck_assert_uint_eq(e->tag, 2);
	ck_assert_uint_eq(e->failures, 0);
	ck_assert(e->redelivered);
	mq_got(&b.ch, e);
	ck_assert_uint_eq(r.b->entries, 1);
	ck_assert(!mq_get(&b.ch, sd_slice_of("none"), true, &e, &left, &r.e));
	failed_with(&r, "NOT_FOUND - no queue 'none' in vhost '/'");
	ck_assert(!mq_get(&b.ch, sd_slice_of(""), true, &e, &left, &r.e));
	failed_with(&r, "NOT_FOUND - no previously declared queue");
}
END_TEST

START_TEST(a_channel_that_ends_gives_all_back)
{
	struct rig_client c;
	rig_open(&r, &c);
	struct mq_queue *q = rig_queue(&r, &a, "q", "", "");
	rig_consume(&r, &c, "q", "c", "", "");
	rig_publish(&r, &a, "", "q", "1", "", "");
	rig_publish(&r, &a, "", "q", "2", "", "");
	rig_turn(&r);
	rig_settle(&r, &c, 2, false, MQ_ACK);
	rig_close(&c);
	ck_assert_uint_eq(q->nready, 1);
	ck_assert_uint_eq(q->nconsumers, 0);
	rig_consume(&r, &b, "q", "d", "n", "");
	rig_turn(&r);
	told(&b, "d 1 q 1 again;");
}
END_TEST

START_TEST(a_queue_that_goes)
{
	uint64_t n;
	rig_queue(&r, &a, "q", "", "");
	rig_bind(&r, &a, "q", "amq.topic", "a.#", "");
	mq_qos(&b.ch, 0, 1, false, &r.e);
	rig_consume(&r, &b, "q", "c", "", "");
	rig_publish(&r, &a, "amq.topic", "a.b", "1", "", "");
	rig_publish(&r, &a, "amq.topic", "a", "2", "", "");
	rig_turn(&r);
	told(&b, "c 1 q 1;");
	ck_assert(!mq_queue_delete(r.v, &a, sd_slice_of("q"), true, false, &n, &r.e));
	failed_with(&r, "PRECONDITION_FAILED - queue 'q' in vhost '/' in use");
	ck_assert(!mq_queue_delete(r.v, &a, sd_slice_of("q"), false, true, &n, &r.e));
	failed_with(&r, "PRECONDITION_FAILED - queue 'q' in vhost '/' not empty");
	ck_assert(mq_queue_delete(r.v, &a, sd_slice_of("q"), false, false, &n, &r.e));
	ck_assert_uint_eq(n, 1);
	told(&b, "cancelled c;");
	rig_settle(&r, &b, 1, false, MQ_ACK); /* late, and no error */
	ck_assert_uint_eq(r.b->entries, 0);
	ck_assert_uint_eq(r.v->messages, 0);
	rig_publish(&r, &a, "amq.topic", "a", "3", "m", "");
	told(&a, "returned 312 NO_ROUTE 3;");
	ck_assert(mq_queue_delete(r.v, &a, sd_slice_of("q"), false, false, &n, &r.e));
}
END_TEST

START_TEST(queues_that_go_by_themselves)
{
	uint64_t n;
	rig_queue(&r, &a, "auto", "a", "");
	rig_queue(&r, &a, "mine", "x", "");
	rig_queue(&r, &a, "idle", "", "x-expires=1000");
	rig_pass(&r, 999);
	rig_queue(&r, &a, "idle", "", "x-expires=1000"); /* asked for again */
	rig_pass(&r, 999);
	ck_assert_ptr_nonnull(mq_queue_find(r.v, sd_slice_of("idle")));
	ck_assert_int_le(mq_next(r.b), r.now_ms + 1);
	rig_pass(&r, 1);
	ck_assert_ptr_null(mq_queue_find(r.v, sd_slice_of("idle")));
	rig_consume(&r, &b, "auto", "c", "", "");
	mq_cancel(&b.ch, sd_slice_of("c"));
	ck_assert_ptr_null(mq_queue_find(r.v, sd_slice_of("auto")));
	ck_assert(!mq_queue_purge(r.v, &b, sd_slice_of("mine"), &n, &r.e));
	failed_with(&r, "RESOURCE_LOCKED - cannot obtain exclusive access to locked queue 'mine' in vhost '/'. It could be originally "
			"declared on another connection or the exclusive property value does not match that of the original declaration.");
	ck_assert(!rig_try_queue(&r, &a, "mine", "", ""));
	mq_connection_end(r.b, &a);
	ck_assert_ptr_null(mq_queue_find(r.v, sd_slice_of("mine")));
}
END_TEST

START_TEST(declared_otherwise)
{
	rig_queue(&r, &a, "q", "d", "x-message-ttl=100");
	ck_assert(!rig_try_queue(&r, &a, "q", "", "x-message-ttl=100"));
	failed_with(&r, "PRECONDITION_FAILED - inequivalent arg 'durable' for queue 'q' in vhost '/': received 'false' but current is 'true'");
	ck_assert(!rig_try_queue(&r, &a, "q", "d", "x-message-ttl=200"));
	failed_with(&r, "PRECONDITION_FAILED - inequivalent arg 'x-message-ttl' for queue 'q' in vhost '/': received '200' but current is '100'");
	ck_assert(!rig_try_queue(&r, &a, "q", "d", ""));
	failed_with(&r, "PRECONDITION_FAILED - inequivalent arg 'x-message-ttl' for queue 'q' in vhost '/': received none but current is "
			"the value '100' of type 'long'");
	ck_assert(!rig_try_queue(&r, &a, "p", "d", "x-message-ttl=-1"));
	failed_with(&r, "PRECONDITION_FAILED - invalid arg 'x-message-ttl' for queue 'p' in vhost '/': {value_negative,-1}");
	ck_assert(!rig_try_queue(&r, &a, "p", "d", "x-expires=0"));
	failed_with(&r, "PRECONDITION_FAILED - invalid arg 'x-expires' for queue 'p' in vhost '/': {value_zero,0}");
	ck_assert(!rig_try_queue(&r, &a, "p", "d", "x-max-age=1h"));
	failed_with(&r, "PRECONDITION_FAILED - invalid arg 'x-max-age' for queue 'p' in vhost '/' of queue type rabbit_classic_queue");
	ck_assert(!rig_try_queue(&r, &a, "amq.p", "d", ""));
	failed_with(&r, "ACCESS_REFUSED - queue name 'amq.p' contains reserved prefix 'amq.*'");
	ck_assert(!rig_try_queue(&r, &a, "none", "p", ""));
	ck_assert_int_eq(r.e.code, 404);
	ck_assert(rig_try_queue(&r, &a, "q", "p", ""));
	ck_assert(!rig_try_exchange(&r, "x", "strange", "", ""));
	failed_with(&r, "COMMAND_INVALID - invalid exchange type 'strange'");
	ck_assert(rig_try_exchange(&r, "x", "topic", "", ""));
	ck_assert(!rig_try_exchange(&r, "x", "direct", "", ""));
	failed_with(&r, "PRECONDITION_FAILED - inequivalent arg 'type' for exchange 'x' in vhost '/': received 'direct' but current is 'topic'");
	ck_assert(!mq_exchange_delete(r.v, sd_slice_of("amq.direct"), false, &r.e));
	failed_with(&r, "ACCESS_REFUSED - deletion of system exchange 'amq.direct' in vhost '/' not allowed");
	ck_assert(!rig_bind(&r, &a, "q", "", "k", ""));
	failed_with(&r, "ACCESS_REFUSED - operation not permitted on the default exchange");
	ck_assert(!rig_try_publish(&r, &a, "nowhere", "q", "x", "", ""));
	failed_with(&r, "NOT_FOUND - no exchange 'nowhere' in vhost '/'");
	ck_assert(!rig_try_publish(&r, &a, "", "q", "x", "eabc", ""));
	failed_with(&r, "PRECONDITION_FAILED - invalid expiration 'abc': no_integer");
	rig_consume(&r, &a, "q", "c", "x", "");
	ck_assert(!rig_try_consume(&r, &b, "q", "d", "", ""));
	failed_with(&r, "ACCESS_REFUSED - queue 'q' in vhost '/' in exclusive use");
	ck_assert(!rig_try_consume(&r, &a, "q", "c", "", ""));
	failed_with(&r, "NOT_ALLOWED - attempt to reuse consumer tag 'c'");
}
END_TEST

START_TEST(made_names)
{
	struct mq_queue *q;
	struct mq_queue_decl d = {.exclusive = true, .connection = &a};
	struct mq_consumer *c;
	ck_assert(mq_queue_declare(r.v, &d, &q, &r.e));
	ck_assert_int_eq(strncmp(q->name, "amq.gen-", 8), 0);
	ck_assert_uint_eq(strlen(q->name), 30);
	ck_assert(mq_channel_declared(&a.ch, sd_slice_of(q->name)));
	ck_assert(mq_consume(&a.ch, sd_slice_of(""), sd_slice_of(""), false, false, false, (struct sd_slice){0}, &c, &r.e));
	ck_assert_ptr_eq(c->queue, q);
	ck_assert_int_eq(strncmp(c->tag, "amq.ctag-", 9), 0);
	mq_connection_end(r.b, &a);
	ck_assert_ptr_null(a.told.p ? strstr(a.told.p, "cancelled x") : NULL);
}
END_TEST

/* ---- confirms, transactions, replies ---- */

START_TEST(one_confirm_for_many)
{
	rig_queue(&r, &a, "q", "", "");
	mq_confirm_select(&a.ch, &r.e);
	for (int i = 0; i < 4; i++)
		rig_publish(&r, &a, "", "q", "x", "p", "");
	rig_publish(&r, &a, "", "none", "y", "pm", "");
	told(&a, "returned 312 NO_ROUTE y;");
	rig_turn(&r);
	told(&a, "ack 5+;");
	ck_assert(!mq_tx_select(&a.ch, &r.e));
	failed_with(&r, "PRECONDITION_FAILED - cannot switch from confirm to tx mode");
}
END_TEST

START_TEST(the_log_fails)
{
	rig_queue(&r, &a, "q", "d", "");
	mq_confirm_select(&a.ch, &r.e);
	rig_publish(&r, &a, "", "q", "1", "p", "");
	rig_publish(&r, &a, "", "q", "2", "p", "");
	mq_journal_failed(r.b);
	told(&a, "nack 2+;");
	rig_publish(&r, &a, "", "q", "3", "p", "");
	rig_publish(&r, &a, "", "q", "4", "", "");
	rig_turn(&r);
	told(&a, "nack 3;ack 4;");
	ck_assert(!rig_try_publish(&r, &b, "", "q", "5", "p", ""));
	failed_with(&r, "RESOURCE_ERROR - the log takes no persistent messages");
	mq_journal_again(r.b, r.record);
	rig_publish(&r, &a, "", "q", "6", "p", "");
	mq_stored(r.b, r.record);
	told(&a, "ack 5;");
}
END_TEST

START_TEST(transactions)
{
	struct mq_queue *q = rig_queue(&r, &a, "q", "d", "");
	ck_assert(!mq_tx_commit(&a.ch, &r.e));
	failed_with(&r, "PRECONDITION_FAILED - channel is not transactional");
	rig_publish(&r, &b, "", "q", "0", "p", "");
	rig_consume(&r, &a, "q", "c", "", "");
	rig_turn(&r);
	told(&a, "c 1 q 0;");
	mq_cancel(&a.ch, sd_slice_of("c"));
	logged(&r, "queue;put 0 q/1;");
	ck_assert(mq_tx_select(&a.ch, &r.e));
	rig_publish(&r, &a, "", "q", "1", "p", "");
	rig_settle(&r, &a, 1, false, MQ_ACK);
	ck_assert(!mq_settle(&a.ch, 1, false, MQ_ACK, &r.e));
	ck_assert_uint_eq(q->nready, 0);
	ck_assert(mq_tx_rollback(&a.ch, &r.e));
	ck_assert_uint_eq(q->nunacked, 1);
	rig_publish(&r, &a, "", "q", "2", "p", "");
	rig_settle(&r, &a, 1, false, MQ_ACK);
	logged(&r, "");
	ck_assert(mq_tx_commit(&a.ch, &r.e));
	logged(&r, "put 2 q/2;settle q/1;");
	told(&a, "");
	mq_stored(r.b, r.record);
	told(&a, "committed;");
	ck_assert(mq_tx_commit(&a.ch, &r.e));
	told(&a, "committed;");
	rig_publish(&r, &a, "", "q", "3", "p", "");
	ck_assert(mq_tx_commit(&a.ch, &r.e));
	mq_journal_failed(r.b);
	told(&a, "commit failed;");
}
END_TEST

START_TEST(direct_reply_to)
{
	struct sd_text raw = {0};
	struct sd_amqp_properties p = {.has = SD_AMQP_REPLY_TO, .reply_to = sd_slice_of("amq.rabbitmq.reply-to")};
	struct mq_publication pub = {.key = sd_slice_of("q"), .body = sd_slice_of("ask")};
	sd_amqp_put_properties(&raw, &p);
	pub.properties = rig_slice(&raw);
	struct mq_queue *q = rig_queue(&r, &a, "q", "", "");
	ck_assert(!mq_publish(&a.ch, &pub, &r.e));
	failed_with(&r, "PRECONDITION_FAILED - fast reply consumer does not exist");
	ck_assert(!rig_try_consume(&r, &a, "amq.rabbitmq.reply-to", "t", "", ""));
	failed_with(&r, "PRECONDITION_FAILED - reply consumer cannot acknowledge");
	rig_consume(&r, &a, "amq.rabbitmq.reply-to", "t", "n", "");
	ck_assert(!rig_try_consume(&r, &a, "amq.rabbitmq.reply-to", "u", "n", ""));
	failed_with(&r, "PRECONDITION_FAILED - reply consumer already set");
	ck_assert(mq_publish(&a.ch, &pub, &r.e));
	struct mq_entry *e = sd_container(q->ready[0].next, struct mq_entry, link);
	ck_assert(sd_amqp_get_properties(mq_message_properties(e->message), &p));
	char to[128];
	snprintf(to, sizeof(to), "%.*s", (int)p.reply_to.n, p.reply_to.p);
	rig_publish(&r, &b, "", to, "answer", "m", "");
	told(&a, "replied t answer;");
	to[strlen(to) - 1] ^= 1;
	rig_publish(&r, &b, "", to, "forged", "m", "");
	told(&a, "");
	told(&b, "returned 312 NO_ROUTE forged;");
	to[strlen(to) - 1] ^= 1;
	mq_cancel(&a.ch, sd_slice_of("t"));
	rig_publish(&r, &b, "", to, "late", "m", "");
	told(&b, "returned 312 NO_ROUTE late;");
	free(raw.p);
}
END_TEST

/* ---- bodies on the disk ---- */

static bool fetch(void *arg, struct mq_message *m)
{
	struct rig *k = arg;
	if (k->log_full)
		return false;
	m->body = strdup("body");
	return true;
}

START_TEST(bodies_leave_memory)
{
	struct mq_queue *q = rig_queue(&r, &a, "q", "d", "");
	r.b->conf.memory = 10;
	r.b->journal.fetch = fetch;
	for (int i = 0; i < 5; i++)
		rig_publish(&r, &a, "", "q", "body", "p", "");
	ck_assert_uint_eq(r.b->body_memory, 20);
	mq_stored(r.b, r.record);
	ck_assert_uint_le(r.b->body_memory, 10);
	ck_assert_uint_eq(q->bytes, 20);
	rig_consume(&r, &b, "q", "c", "", "");
	rig_turn(&r);
	told(&b, "c 1 q body;c 2 q body;c 3 q body;c 4 q body;c 5 q body;");
	ck_assert_uint_le(r.b->body_memory, 10);
	ck_assert_uint_gt(r.b->count.fetched, 0);
	r.log_full = true; /* now none can be read */
	for (uint64_t tag = 1; tag <= 5; tag++)
		rig_settle(&r, &b, tag, false, MQ_REQUEUE);
	rig_turn(&r);
	ck_assert_uint_gt(r.b->count.fetch_failed, 0);
	ck_assert_ptr_nonnull(strstr(r.said.p, "cannot be read"));
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("mq");
	TCase *t = tcase_create("memory");
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, publish_deliver_ack);
	tcase_add_test(t, requeued_to_its_place);
	tcase_add_test(t, prefetch_and_turns);
	tcase_add_test(t, one_after_another);
	tcase_add_test(t, prefetch_of_a_channel);
	tcase_add_test(t, room_of_a_channel);
	tcase_add_test(t, consumers_by_priority);
	tcase_add_test(t, messages_by_priority);
	tcase_add_test(t, single_active_consumer);
	tcase_add_test(t, get_one);
	tcase_add_test(t, a_channel_that_ends_gives_all_back);
	tcase_add_test(t, a_queue_that_goes);
	tcase_add_test(t, queues_that_go_by_themselves);
	tcase_add_test(t, declared_otherwise);
	tcase_add_test(t, made_names);
	tcase_add_test(t, one_confirm_for_many);
	tcase_add_test(t, direct_reply_to);
	suite_add_tcase(s, t);
	t = tcase_create("log");
	tcase_add_checked_fixture(t, setup_log, teardown);
	tcase_add_test(t, confirms_wait_for_the_disk);
	tcase_add_test(t, the_log_fails);
	tcase_add_test(t, transactions);
	tcase_add_test(t, bodies_leave_memory);
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
