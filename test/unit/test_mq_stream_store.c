/* Streams and the log: messages, offsets and groups after a stop and after a crash; segments that go with the front of a stream. */
#include <check.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../applets/mq/store/mq_store_int.h"
#include "world/sim.h"

#define WALL_MS 1700000000000

static struct sd_sim *sim;
static struct sd_world *world;
static struct mq_store_conf conf;
static struct mq_conf broker;
static struct mq_store *store;
static struct mq *mq;
static int64_t now_ms;
static struct client {
	struct mq_channel ch; /* first */
	char got[4000];	      /* "12 13* ": offsets, * for redelivered */
	size_t n;
	uint64_t bodies; /* that were right */
} a, b;

static void on_deliver(struct mq_channel *ch, struct mq_consumer *c, const struct mq_entry *e)
{
	struct client *k = (struct client *)(void *)ch;
	char due[40];
	struct sd_slice body;
	(void)c;
	snprintf(due, sizeof(due), "message %llu", (unsigned long long)e->seq - 1);
	ck_assert(mq_body(mq, e->message, &body));
	k->bodies += sd_slice_eq(body, due);
	k->n += (size_t)snprintf(k->got + k->n, sizeof(k->got) - k->n, "%llu%s ", (unsigned long long)e->seq - 1, e->redelivered ? "*" : "");
}

static void on_confirm(struct mq_channel *ch, uint64_t seq, bool multiple, bool refused)
{
	(void)ch, (void)seq, (void)multiple, (void)refused;
}

static bool has_room(struct mq_channel *ch)
{
	(void)ch;
	return true;
}

static void on_cancelled(struct mq_channel *ch, const struct mq_consumer *c)
{
	(void)ch, (void)c;
}

static const struct mq_channel_ops ops = {.deliver = on_deliver, .confirm = on_confirm, .room = has_room, .cancelled = on_cancelled};

static struct mq_vhost *vhost(void)
{
	return mq_vhost_find(mq, sd_slice_of("/"));
}

static void open_client(struct client *k)
{
	struct mq_error e;
	*k = (struct client){0};
	mq_channel_begin(&k->ch, vhost(), &ops, k, sd_slice_of("guest"));
	mq_qos(&k->ch, 0, 5, false, &e);
}

static void start(void)
{
	struct sd_error e = {0};
	store = mq_store_new(world, NULL, NULL, &conf);
	struct mq_journal journal = mq_store_journal(store);
	mq = mq_new(&broker, &journal, 1, now_ms, WALL_MS + now_ms);
	ck_assert_msg(mq_store_open(store, mq, NULL, &e) == SD_OK, "%s", e.text);
	open_client(&a);
	open_client(&b);
}

static void setup(void)
{
	sim = sd_sim_new(1);
	world = sd_sim_node(sim, "n1");
	conf = (struct mq_store_conf){.dir = "data", .segment_bytes = 8192};
	broker = mq_conf_default();
	now_ms = 1;
	start();
}

static void turn(void)
{
	for (int i = 0; i < 3; i++) { /* what is stored is seen by the next one */
		mq_time(mq, now_ms, WALL_MS + now_ms);
		while (mq_turn(mq))
			;
		mq_store_turn(store);
	}
}

static void on_closed(void *arg, enum sd_err err)
{
	*(enum sd_err *)arg = err;
}

static void end(bool clean)
{
	enum sd_err err = SD_EIO;
	turn();
	if (clean) {
		mq_channel_end(&a.ch);
		mq_channel_end(&b.ch);
		mq_store_close(store, on_closed, &err);
		ck_assert_int_eq(err, SD_OK);
	}
	mq_store_free(store);
	store = NULL;
	if (!clean) {
		mq->journal = (struct mq_journal){0};
		mq_channel_end(&a.ch);
		mq_channel_end(&b.ch);
	}
	mq_free(mq);
}

static void again(bool clean)
{
	end(clean);
	start();
}

static void teardown(void)
{
	end(true);
	sd_sim_free(sim);
}

static struct mq_queue *queue(void)
{
	return mq_queue_find(vhost(), sd_slice_of("s"));
}

static void declare(const char *age, int64_t bytes, int64_t partitions)
{
	struct sd_text t = {0};
	struct mq_error e;
	struct mq_queue *q;
	sd_amqp_put_string(&t, "x-queue-type", sd_slice_of("stream"));
	if (age)
		sd_amqp_put_string(&t, "x-max-age", sd_slice_of(age));
	if (bytes)
		sd_amqp_put_int(&t, "x-max-length-bytes", bytes);
	if (partitions)
		sd_amqp_put_int(&t, "x-stream-partitions", partitions);
	struct mq_queue_decl d = {.name = sd_slice_of("s"), .durable = true, .arguments = {t.p, t.n}};
	ck_assert_msg(mq_queue_declare(vhost(), &d, &q, &e), "%s", e.text);
	free(t.p);
}

static void fill(unsigned n)
{
	char body[40];
	struct mq_error e;
	for (unsigned i = 0; i < n; i++) {
		snprintf(body, sizeof(body), "message %llu", (unsigned long long)queue()->next_seq);
		struct mq_publication p = {.key = sd_slice_of("s"), .body = sd_slice_of(body), .properties = {"\0\0", 2}};
		ck_assert_msg(mq_publish(&a.ch, &p, &e), "%s", e.text);
		if (i % 10 == 0)
			turn();
	}
	turn();
}

static void consume(struct client *k, const char *group, const char *offset)
{
	struct sd_text t = {0};
	struct mq_error e;
	struct mq_consumer *c;
	if (group)
		sd_amqp_put_string(&t, "x-stream-group", sd_slice_of(group));
	sd_amqp_put_string(&t, "x-stream-offset", sd_slice_of(offset));
	ck_assert_msg(mq_consume(&k->ch, sd_slice_of("s"), sd_slice_of("t"), false, false, false, (struct sd_slice){t.p, t.n}, &c, &e), "%s",
		      e.text);
	free(t.p);
	turn();
}

static void settle(struct client *k, uint64_t tag, bool multiple, enum mq_settle how)
{
	struct mq_error e;
	ck_assert_msg(mq_settle(&k->ch, tag, multiple, how, &e), "%s", e.text);
	turn();
}

static void got(struct client *k, const char *due)
{
	ck_assert_str_eq(k->got, due);
	k->n = 0;
	k->got[0] = '\0';
}

/* ---- coming back ---- */

START_TEST(goes_on_after_a_stop)
{
	declare(NULL, 0, 0);
	fill(10);
	consume(&a, "g", "first");
	got(&a, "0 1 2 3 4 ");
	settle(&a, 2, true, MQ_ACK);
	settle(&a, 4, false, MQ_ACK); /* 3 is known by nobody but the window */
	got(&a, "5 6 7 ");
	again(true);
	consume(&a, "g", "next"); /* it has a place: this is not looked at */
	got(&a, "2* 3* 4* 5* 6* ");
	settle(&a, 0, true, MQ_ACK);
	got(&a, "7* 8 9 "); /* what was never out is not flagged */
	settle(&a, 0, true, MQ_ACK);
	ck_assert_uint_eq(queue()->nready, 10);
	ck_assert_uint_eq(a.bodies, 8); /* from the disk */
	again(true);
	fill(1);
	consume(&a, "g", "first");
	got(&a, "10 ");
}
END_TEST

START_TEST(goes_on_after_a_crash)
{
	declare(NULL, 0, 0);
	fill(10);
	consume(&a, "g", "first");
	settle(&a, 3, true, MQ_ACK);
	settle(&a, 5, false, MQ_ACK);
	again(false);
	consume(&a, "g", "next");
	got(&a, "3* 4* 5* 6* 7* "); /* nobody knows what was out */
	fill(1);
	settle(&a, 0, true, MQ_ACK);
	settle(&a, 0, true, MQ_ACK);
	got(&a, "8* 9* 10 ");
	again(false);
	consume(&a, "h", "first"); /* a group that never was is given nothing again */
	got(&a, "0 1 2 3 4 ");
}
END_TEST

/* An offset never means another message: not when everything is gone, not after a stop. */
START_TEST(numbers_are_used_once)
{
	uint64_t first, last;
	declare("10s", 0, 0);
	fill(20);
	consume(&a, "g", "first");
	now_ms += 10000;
	turn();
	ck_assert_uint_eq(queue()->nready, 0);
	for (unsigned i = 0; i < 2; i++) {
		again(i);
		ck_assert_uint_eq(queue()->nready, 0);
		mq_stream_range(queue(), &first, &last);
		ck_assert_uint_eq(first, 20);
		ck_assert_uint_eq(last, 20);
	}
	fill(2);
	consume(&a, "g", "first");
	got(&a, "20 21 ");
}
END_TEST

/* The front goes, and with it whole segments, though the stream holds as much as ever; what it is stays known. */
START_TEST(segments_go_with_the_front)
{
	struct mq_store_stats st;
	uint64_t first, last;
	declare(NULL, 2000, 0);
	fill(30);
	consume(&a, "g", "first");
	settle(&a, 3, true, MQ_ACK);
	mq_cancel(&a.ch, sd_slice_of("t"));
	settle(&a, 0, true, MQ_REQUEUE);
	fill(3000);
	mq_store_stats(store, &st);
	ck_assert_uint_gt(st.compactions, 10);
	ck_assert_uint_lt(st.bytes, 200000);
	for (unsigned i = 0; i < 2; i++) {
		again(i);
		mq_stream_range(queue(), &first, &last);
		ck_assert_uint_eq(last, 3030);
		ck_assert_uint_eq(last - first, queue()->nready);
		ck_assert_uint_le(queue()->ready_bytes, 2000);
		ck_assert_uint_gt(queue()->ready_bytes, 1900);
	}
	a.n = 0;
	consume(&a, "g", "next"); /* what it had not done with is gone: it goes on with what there is */
	ck_assert_uint_eq(strtoull(a.got, NULL, 10), first);
	ck_assert_uint_eq(a.bodies, 5);
}
END_TEST

START_TEST(groups_are_compacted)
{
	const struct sd_amqp_field to[] = {{.kind = 'l', .n = 3}, {.kind = 'l', .n = 7}};
	struct mq_store_stats st;
	struct mq_error e;
	declare(NULL, 0, 4);
	fill(10);
	consume(&b, "gone", "first");
	mq_cancel(&b.ch, sd_slice_of("t"));
	ck_assert(mq_group_delete(vhost(), sd_slice_of("s"), sd_slice_of("gone"), &e));
	for (unsigned i = 0; i < 2000; i++) { /* definitions only */
		ck_assert(mq_group_reset(vhost(), sd_slice_of("s"), sd_slice_of("g"), &to[i % 2], &e));
		consume(&a, "h", "first");
		mq_cancel(&a.ch, sd_slice_of("t"));
		settle(&a, 0, true, MQ_REQUEUE);
		a.n = 0;
	}
	mq_store_stats(store, &st);
	ck_assert_uint_gt(st.compactions, 3);
	again(false);
	ck_assert_uint_eq(queue()->nready, 10);
	consume(&a, "g", "first");
	got(&a, "7* 8* 9* ");
	consume(&b, "gone", "first");
	got(&b, "0 1 2 3 4 ");
}
END_TEST

/* Bodies beyond what is warm are on the disk alone. */
START_TEST(old_bodies_leave_memory)
{
	char *body = calloc(1, 100000);
	struct mq_error e;
	declare(NULL, 0, 0);
	for (unsigned i = 0; i < 200; i++) {
		struct mq_publication p = {.key = sd_slice_of("s"), .body = {body, 100000}, .properties = {"\0\0", 2}};
		ck_assert(mq_publish(&a.ch, &p, &e));
		turn();
	}
	free(body);
	ck_assert_uint_eq(queue()->ready_bytes, 20000000);
	ck_assert_uint_lt(mq->body_memory, 9000000);
	consume(&a, NULL, "first");
	ck_assert_uint_eq(a.n, 10);
	ck_assert_uint_lt(mq->body_memory, 9000000);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("mq stream store");
	TCase *t = tcase_create("streams");
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, goes_on_after_a_stop);
	tcase_add_test(t, goes_on_after_a_crash);
	tcase_add_test(t, numbers_are_used_once);
	tcase_add_test(t, segments_go_with_the_front);
	tcase_add_test(t, groups_are_compacted);
	tcase_add_test(t, old_bodies_leave_memory);
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
