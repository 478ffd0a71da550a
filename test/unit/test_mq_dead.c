/* Times, lengths, failures: what ends a message other than an acknowledgement, and where it goes then. */
#include "mq_rig.h"

static struct rig r;
static struct rig_client a, b;

static void setup(void)
{
	rig_start(&r, mq_conf_default(), true);
	rig_open(&r, &a);
	rig_open(&r, &b);
}

static void teardown(void)
{
	rig_close(&a);
	rig_close(&b);
	rig_end(&r);
}

static struct mq_queue *queue(const char *name)
{
	return mq_queue_find(r.v, sd_slice_of(name));
}

/* What is ready, in order: taken out. */
static void holds(const char *name, const char *bodies)
{
	struct mq_entry *e;
	uint64_t left;
	char got[512] = "";
	while (mq_get(&b.ch, sd_slice_of(name), true, &e, &left, &r.e) && e) {
		size_t at = strlen(got);
		snprintf(got + at, sizeof(got) - at, "%.*s%s;", (int)e->message->body_n, e->message->body, e->redelivered ? " again" : "");
		mq_got(&b.ch, e);
	}
	ck_assert_str_eq(got, bodies);
}

/* Headers as text: "name=value name=[{...}]" */
static void fields(struct sd_text *t, struct sd_slice table, bool array)
{
	struct sd_amqp_field f;
	const char *gap = "";
	int64_t n;
	while (table.n && (array ? sd_amqp_next_item(&table, &f) : sd_amqp_next_field(&table, &f))) {
		sd_text_format(t, "%s%.*s%s", gap, (int)f.name.n, f.name.p, array ? "" : "=");
		gap = " ";
		if (f.kind == 'S')
			sd_text_format(t, "%.*s", (int)f.s.n, f.s.p);
		else if (f.kind == 'A' || f.kind == 'F') {
			sd_text_add(t, f.kind == 'A' ? "[" : "{", 1);
			fields(t, f.s, f.kind == 'A');
			sd_text_add(t, f.kind == 'A' ? "]" : "}", 1);
		} else if (f.kind == 'T')
			sd_text_format(t, "%lld", (long long)f.n);
		else if (sd_amqp_field_int(&f, &n))
			sd_text_format(t, "%lld", (long long)n);
	}
}

static void headers_are(const char *name, const char *want)
{
	struct sd_text t = {0};
	struct sd_amqp_properties p;
	struct mq_entry *e = sd_container(queue(name)->ready[0].next, struct mq_entry, link);
	ck_assert_uint_eq(queue(name)->nready, 1);
	ck_assert(sd_amqp_get_properties(mq_message_properties(e->message), &p));
	ck_assert(!(p.has & SD_AMQP_EXPIRATION));
	fields(&t, p.headers, false);
	ck_assert_str_eq(t.p, want);
	free(t.p);
}

START_TEST(time_to_live)
{
	rig_queue(&r, &a, "q", "", "x-message-ttl=100");
	rig_queue(&r, &a, "own", "", "");
	rig_publish(&r, &a, "", "q", "1", "", "");
	rig_publish(&r, &a, "", "q", "2", "e50", "");
	rig_publish(&r, &a, "", "q", "3", "e500", "");
	rig_publish(&r, &a, "", "own", "4", "e100", "");
	ck_assert_int_eq(mq_next(r.b) <= r.now_ms + 50, 1);
	rig_pass(&r, 49);
	ck_assert_uint_eq(queue("q")->nready, 3);
	rig_pass(&r, 1);
	ck_assert_uint_eq(queue("q")->nready, 2);
	rig_pass(&r, 49);
	ck_assert_uint_eq(queue("q")->nready, 2);
	ck_assert_uint_eq(queue("own")->nready, 1);
	rig_pass(&r, 1);
	ck_assert_uint_eq(queue("q")->nready, 0);
	ck_assert_uint_eq(queue("own")->nready, 0);
	ck_assert_uint_eq(queue("q")->count.expired, 3);
	ck_assert_uint_eq(r.b->entries, 0);
}
END_TEST

START_TEST(no_time_at_all)
{
	rig_queue(&r, &a, "q", "", "");
	rig_publish(&r, &a, "", "q", "nobody", "e0", "");
	rig_turn(&r);
	rig_pass(&r, 0);
	holds("q", "");
	rig_consume(&r, &b, "q", "c", "n", "");
	rig_publish(&r, &a, "", "q", "now", "e0", "");
	rig_turn(&r);
	told(&b, "c 1 q now;");
}
END_TEST

START_TEST(time_stops_while_it_is_out)
{
	struct mq_queue *q = rig_queue(&r, &a, "q", "", "x-message-ttl=100");
	rig_consume(&r, &b, "q", "c", "", "");
	rig_publish(&r, &a, "", "q", "1", "", "");
	rig_turn(&r);
	rig_pass(&r, 1000);
	told(&b, "c 1 q 1;");
	ck_assert_uint_eq(q->nunacked, 1);
	mq_cancel(&b.ch, sd_slice_of("c"));
	rig_settle(&r, &b, 1, false, MQ_REQUEUE);
	rig_pass(&r, 0);
	ck_assert_uint_eq(r.b->entries, 0);
}
END_TEST

START_TEST(drop_head)
{
	rig_queue(&r, &a, "q", "", "x-max-length=3 x-dead-letter-exchange='' x-dead-letter-routing-key=dead");
	rig_queue(&r, &a, "dead", "", "");
	for (int i = 0; i < 5; i++)
		rig_publish(&r, &a, "", "q", (char[]){(char)('a' + i), 0}, "", "");
	ck_assert_uint_eq(queue("q")->nready, 3);
	holds("q", "c;d;e;");
	holds("dead", "a;b;");
	rig_queue(&r, &a, "bytes", "", "x-max-length-bytes=10");
	rig_publish(&r, &a, "", "bytes", "123456", "", "");
	rig_publish(&r, &a, "", "bytes", "1234", "", "");
	rig_publish(&r, &a, "", "bytes", "12", "", "");
	rig_publish(&r, &a, "", "bytes", "12345678901", "", "");
	holds("bytes", "");
	rig_publish(&r, &a, "", "bytes", "123456", "", "");
	rig_publish(&r, &a, "", "bytes", "1234", "", "");
	holds("bytes", "123456;1234;");
}
END_TEST

START_TEST(refused_when_full)
{
	rig_queue(&r, &a, "q", "", "x-max-length=1 x-overflow=reject-publish");
	rig_queue(&r, &a, "d", "", "x-max-length=1 x-overflow=reject-publish-dlx x-dead-letter-exchange='' x-dead-letter-routing-key=dead");
	rig_queue(&r, &a, "dead", "", "");
	rig_queue(&r, &a, "other", "", "");
	rig_bind(&r, &a, "q", "amq.fanout", "", "");
	rig_bind(&r, &a, "d", "amq.fanout", "", "");
	rig_bind(&r, &a, "other", "amq.fanout", "", "");
	mq_confirm_select(&a.ch, &r.e);
	rig_publish(&r, &a, "amq.fanout", "", "1", "", "");
	rig_turn(&r);
	told(&a, "ack 1;");
	rig_publish(&r, &a, "amq.fanout", "", "2", "", "");
	told(&a, "nack 2;");
	headers_are("dead", "x-death=[{count=1 exchange=amq.fanout queue=d reason=maxlen routing-keys=[] time=1700000000}] "
			    "x-first-death-reason=maxlen x-first-death-queue=d x-first-death-exchange=amq.fanout");
	holds("dead", "2;");
	holds("q", "1;");
	holds("d", "1;");
	holds("other", "1;2;");
}
END_TEST

START_TEST(a_chain_of_full_queues)
{
	rig_queue(&r, &a, "q0", "", "x-max-length=1 x-dead-letter-exchange='' x-dead-letter-routing-key=q1");
	rig_queue(&r, &a, "q1", "", "x-max-length=1 x-dead-letter-exchange='' x-dead-letter-routing-key=q2");
	rig_queue(&r, &a, "q2", "", "x-max-length=1 x-dead-letter-exchange='' x-dead-letter-routing-key=q0");
	for (int i = 0; i < 6; i++)
		rig_publish(&r, &a, "", "q0", (char[]){(char)('a' + i), 0}, "", "");
	for (int i = 0; i < 3; i++)
		ck_assert_uint_eq(queue((char[]){'q', (char)('0' + i), 0})->nready, 1);
	holds("q0", "f;");
	holds("q1", "e;");
	holds("q2", "d;"); /* a, b and c would have gone round: the end of them */
}
END_TEST

START_TEST(rejected)
{
	rig_queue(&r, &a, "q", "d", "x-dead-letter-exchange=amq.direct");
	rig_queue(&r, &a, "dead", "d", "");
	rig_bind(&r, &a, "dead", "amq.direct", "q", "");
	logged(&r, "queue;queue;binding;");
	rig_consume(&r, &a, "q", "c", "", "");
	rig_publish(&r, &a, "", "q", "1", "pe5000", "own=7");
	rig_turn(&r);
	logged(&r, "put 1 q/1;");
	rig_settle(&r, &a, 1, false, MQ_DISCARD);
	logged(&r, "put 1 dead/1 from q/1;"); /* one record: never in neither */
	headers_are("dead", "x-death=[{count=1 exchange= original-expiration=5000 queue=q reason=rejected routing-keys=[q] time=1700000000}] "
			    "x-first-death-reason=rejected x-first-death-queue=q x-first-death-exchange= own=7");
	holds("dead", "1;");
	logged(&r, "settle dead/1;");
	ck_assert_uint_eq(r.b->entries, 0);
}
END_TEST

/* Out of a durable queue into one that is not: the log is told that it ended. */
START_TEST(to_where_nothing_stays)
{
	rig_queue(&r, &a, "q", "d", "x-dead-letter-exchange='' x-dead-letter-routing-key=dead x-message-ttl=10");
	rig_queue(&r, &a, "dead", "", "");
	rig_publish(&r, &a, "", "q", "1", "p", "");
	logged(&r, "queue;put 1 q/1;");
	rig_pass(&r, 10);
	logged(&r, "settle q/1;");
	holds("dead", "1;");
}
END_TEST

START_TEST(deaths_are_counted)
{
	rig_queue(&r, &a, "work", "", "x-dead-letter-exchange='' x-dead-letter-routing-key=wait");
	rig_queue(&r, &a, "wait", "", "x-dead-letter-exchange='' x-dead-letter-routing-key=work x-message-ttl=1000");
	rig_consume(&r, &a, "work", "c", "", "");
	rig_publish(&r, &a, "", "work", "1", "", "");
	for (uint64_t i = 1; i <= 3; i++) {
		rig_turn(&r);
		rig_settle(&r, &a, i, false, MQ_DISCARD);
		if (i < 3)
			rig_pass(&r, 1000);
	}
	told(&a, "c 1 work 1;c 2 work 1;c 3 work 1;");
	headers_are("wait", "x-death=[{count=3 exchange= queue=work reason=rejected routing-keys=[work] time=1700000000} "
			    "{count=2 exchange= queue=wait reason=expired routing-keys=[wait] time=1700000001}] "
			    "x-first-death-reason=rejected x-first-death-queue=work x-first-death-exchange=");
}
END_TEST

START_TEST(round_and_round)
{
	rig_queue(&r, &a, "q", "", "x-dead-letter-exchange='' x-message-ttl=10");
	rig_publish(&r, &a, "", "q", "1", "", "");
	rig_pass(&r, 10);
	ck_assert_uint_eq(r.b->entries, 0);
	rig_publish(&r, &a, "", "q", "2", "e100000", "");
	rig_consume(&r, &a, "q", "c", "", "");
	rig_turn(&r);
	rig_settle(&r, &a, 1, false, MQ_DISCARD); /* somebody looked at it: it may */
	rig_turn(&r);
	told(&a, "c 1 q 2;c 2 q 2;");
}
END_TEST

START_TEST(too_often)
{
	rig_queue(&r, &a, "orders", "d", "");
	rig_consume(&r, &a, "orders", "c", "", "");
	rig_publish(&r, &a, "", "orders", "1", "p", "");
	logged(&r, "queue;put 1 orders/1;");
	for (uint64_t i = 1; i <= 4; i++) {
		rig_turn(&r);
		ck_assert_uint_eq(a.ch.next_tag, i + 1);
		ck_assert_ptr_null(queue("orders.dlq"));
		rig_settle(&r, &a, i, false, MQ_REQUEUE);
	}
	rig_turn(&r);
	told(&a, "c 1 orders 1;c 2 orders 1 again;c 3 orders 1 again;c 4 orders 1 again;");
	logged(&r, "failed orders/1 1;failed orders/1 2;failed orders/1 3;queue;put 1 orders.dlq/1 from orders/1;");
	said(&r, "Message 1-1 exceeded retry limit (3), moved to orders.dlq;");
	ck_assert(queue("orders.dlq")->durable);
	/* there is no end of looking at it there */
	rig_consume(&r, &b, "orders.dlq", "d", "", "");
	for (uint64_t i = 1; i <= 10; i++) {
		rig_turn(&r);
		rig_settle(&r, &b, i, false, MQ_REQUEUE);
	}
	mq_cancel(&b.ch, sd_slice_of("d"));
	ck_assert_uint_eq(queue("orders.dlq")->nready, 1);
	logged(&r, "failed orders.dlq/1 1;failed orders.dlq/1 2;failed orders.dlq/1 3;failed orders.dlq/1 4;failed orders.dlq/1 5;"
		   "failed orders.dlq/1 6;failed orders.dlq/1 7;failed orders.dlq/1 8;failed orders.dlq/1 9;failed orders.dlq/1 10;");
}
END_TEST

START_TEST(replayed)
{
	uint64_t n;
	rig_queue(&r, &a, "orders", "d", "x-delivery-limit=0");
	rig_consume(&r, &a, "orders", "c", "", "");
	for (int i = 0; i < 3; i++)
		rig_publish(&r, &a, "", "orders", (char[]){(char)('1' + i), 0}, "p", "");
	rig_turn(&r);
	rig_settle(&r, &a, 0, true, MQ_REQUEUE);
	rig_publish(&r, &a, "", "orders.dlq", "stray", "p", "");
	ck_assert_uint_eq(queue("orders.dlq")->nready, 4);
	mq_cancel(&a.ch, sd_slice_of("c"));
	logged(&r, "queue;put 1 orders/1;put 2 orders/2;put 3 orders/3;queue;put 1 orders.dlq/1 from orders/1;"
		   "put 2 orders.dlq/2 from orders/2;put 3 orders.dlq/3 from orders/3;put stray orders.dlq/4;");
	ck_assert(mq_replay(r.v, sd_slice_of("orders"), 2, &n, &r.e));
	ck_assert_uint_eq(n, 2);
	logged(&r, "put 1 orders/4 from orders.dlq/1;put 2 orders/5 from orders.dlq/2;");
	ck_assert(mq_replay(r.v, sd_slice_of("orders"), 100, &n, &r.e));
	ck_assert_uint_eq(n, 1);
	holds("orders", "1;2;3;");
	holds("orders.dlq", "stray;");
	ck_assert(!mq_replay(r.v, sd_slice_of("none"), 100, &n, &r.e));
	failed_with(&r, "NOT_FOUND - no queue 'none' in vhost '/'");
}
END_TEST

START_TEST(backs_off)
{
	struct mq_queue *q = rig_queue(&r, &a, "q", "", "x-delayed-retry-min=1000 x-delayed-retry-max=3000 x-delivery-limit=20");
	int64_t longest = 0;
	rig_consume(&r, &a, "q", "c", "", "");
	rig_publish(&r, &a, "", "q", "1", "", "");
	for (uint64_t i = 1; i <= 12; i++) {
		rig_turn(&r);
		ck_assert_uint_eq(q->nunacked, 1);
		rig_settle(&r, &a, i, false, MQ_REQUEUE);
		struct mq_entry *e = sd_container(q->delayed.next, struct mq_entry, link);
		int64_t wait = e->not_before_ms - r.b->wall_ms, most = i == 1 ? 1000 : i == 2 ? 2000 : 3000;
		ck_assert_int_ge(wait, 1);
		ck_assert_int_le(wait, most);
		longest = wait > longest ? wait : longest;
		rig_turn(&r);
		ck_assert_uint_eq(q->ndelayed, 1);
		rig_pass(&r, wait - 1);
		ck_assert_uint_eq(q->ndelayed, 1);
		rig_pass(&r, 1);
		ck_assert_uint_eq(q->ndelayed, 0);
	}
	ck_assert_int_gt(longest, 2000);
}
END_TEST

START_TEST(delayed)
{
	struct mq_queue *q = rig_queue(&r, &a, "q", "", "x-message-ttl=500");
	rig_consume(&r, &b, "q", "c", "n", "");
	rig_publish(&r, &a, "", "q", "later", "", "x-delay=1000");
	rig_publish(&r, &a, "", "q", "at", "", "x-deliver-at=1700000000500");
	rig_publish(&r, &a, "", "q", "past", "", "x-deliver-at=1600000000000");
	rig_publish(&r, &a, "", "q", "now", "", "");
	rig_turn(&r);
	told(&b, "c 1 q past;c 2 q now;");
	ck_assert_uint_eq(q->ndelayed, 2);
	rig_pass(&r, 499);
	told(&b, "");
	rig_pass(&r, 1);
	told(&b, "c 3 q at;");
	rig_pass(&r, 499);
	told(&b, "");
	rig_pass(&r, 1);
	told(&b, "c 4 q later;"); /* its time to live begins with it */
	ck_assert(rig_try_exchange(&r, "x", "x-delayed-message", "", "x-delayed-type=fanout"));
	ck_assert_str_eq(mq_exchange_type_name(mq_exchange_find(r.v, sd_slice_of("x"))), "x-delayed-message");
	rig_bind(&r, &a, "q", "x", "", "");
	rig_publish(&r, &a, "x", "", "x", "", "x-delay=10");
	rig_turn(&r);
	told(&b, "");
	rig_pass(&r, 10);
	told(&b, "c 5 q x;");
	ck_assert(!rig_try_exchange(&r, "y", "x-delayed-message", "", ""));
	ck_assert_int_eq(r.e.code, 406);
}
END_TEST

/* A time that was named is a time of the wall's clock, whoever turns that. */
START_TEST(the_clock_is_turned)
{
	struct mq_queue *q = rig_queue(&r, &a, "q", "", "");
	rig_publish(&r, &a, "", "q", "at", "", "x-deliver-at=1700000010000");
	rig_publish(&r, &a, "", "q", "delay", "", "x-delay=10000");
	mq_time(r.b, r.now_ms + 10, RIG_WALL_MS + 9000); /* nine seconds on */
	ck_assert_uint_eq(q->ndelayed, 2);
	mq_time(r.b, r.now_ms + 1009, RIG_WALL_MS + 9999);
	ck_assert_uint_eq(q->ndelayed, 2);
	mq_time(r.b, r.now_ms + 1010, RIG_WALL_MS + 10000);
	ck_assert_uint_eq(q->ndelayed, 1);
	mq_time(r.b, r.now_ms + 9999, RIG_WALL_MS - 50000); /* and back */
	ck_assert_uint_eq(q->ndelayed, 1);
	rig_publish(&r, &a, "", "q", "at", "", "x-deliver-at=1700000010000");
	mq_time(r.b, r.now_ms + 20000, RIG_WALL_MS - 40000);
	ck_assert_uint_eq(q->ndelayed, 1);
}
END_TEST

START_TEST(out_for_too_long)
{
	struct mq_queue *q = rig_queue(&r, &a, "q", "", "x-visibility-timeout=1000");
	mq_qos(&a.ch, 0, 1, false, &r.e);
	rig_consume(&r, &a, "q", "c", "", "");
	rig_publish(&r, &a, "", "q", "1", "", "");
	rig_publish(&r, &a, "", "q", "2", "", "");
	rig_turn(&r);
	rig_pass(&r, 900);
	told(&a, "c 1 q 1;");
	ck_assert(mq_extend(&a.ch, 1, 1500, &r.e));
	rig_pass(&r, 1499);
	told(&a, "");
	rig_pass(&r, 1);
	told(&a, "c 2 q 1 again;");
	rig_settle(&r, &a, 1, false, MQ_ACK); /* late: nothing to it */
	ck_assert(!mq_settle(&a.ch, 1, false, MQ_ACK, &r.e));
	ck_assert_uint_eq(q->nunacked, 1);
	rig_publish(&r, &a, "", "amq.sdlab.extend", "", "", "delivery-tag=2 ms=5000");
	rig_pass(&r, 4999);
	told(&a, "");
	rig_settle(&r, &a, 2, false, MQ_ACK);
	rig_turn(&r);
	told(&a, "c 3 q 2;");
	ck_assert(!rig_try_publish(&r, &a, "", "amq.sdlab.extend", "", "", "delivery-tag=9 ms=5"));
	failed_with(&r, "PRECONDITION_FAILED - unknown delivery tag 9");
}
END_TEST

/* ---- coming back from a log ---- */

static void define_again(struct mq *to, const char *kind, enum mq_define what, const void *thing)
{
	struct sd_text t = {0};
	(void)kind;
	mq_define_put(&t, what, thing);
	ck_assert(mq_restore_define(to, what, false, rig_slice(&t)));
	ck_assert(mq_restore_define(to, what, false, rig_slice(&t))); /* twice is once */
	ck_assert(!mq_restore_define(to, what, false, (struct sd_slice){t.p, t.n - 1}));
	free(t.p);
}

static void restore_entry(struct mq *to, struct mq_queue *q, const char *body, uint64_t seq, int64_t not_before, unsigned failures)
{
	struct mq_message *m = mq_message_new((struct sd_slice){0}, sd_slice_of(q->name), (struct sd_slice){"\0\0", 2}, sd_slice_of(body));
	struct mq_place at = {.queue = q->id, .seq = seq, .not_before_ms = not_before, .failures = (uint16_t)failures};
	m->record = seq;
	m->published_ms = RIG_WALL_MS;
	ck_assert_ptr_nonnull(mq_restore_entry(to, m, &at));
	at.queue = 999;
	ck_assert_ptr_null(mq_restore_entry(to, m, &at));
	mq_message_drop(to, m);
}

static uint64_t count_define(void *arg, enum mq_define what, bool gone, struct sd_slice text)
{
	ck_assert(!gone && text.n);
	((int *)arg)[what]++;
	return 1;
}

START_TEST(come_back)
{
	struct rig s;
	uint64_t queues, messages;
	struct mq_conf conf = mq_conf_default();
	struct mq_queue *q = rig_queue(&r, &a, "q", "d", "x-max-length=4 x-message-ttl=5000");
	struct mq_exchange *x;
	ck_assert(rig_try_exchange(&r, "x", "topic", "d", ""));
	x = mq_exchange_find(r.v, sd_slice_of("x"));
	rig_bind(&r, &a, "q", "x", "a.#", "");
	s = (struct rig){.b = mq_new(&conf, NULL, 1, RIG_START_MS, RIG_WALL_MS), .now_ms = RIG_START_MS};
	s.v = mq_vhost_find(s.b, sd_slice_of("/"));
	s.b->journal = r.b->journal;
	define_again(s.b, "exchange", MQ_DEFINE_EXCHANGE, x);
	define_again(s.b, "queue", MQ_DEFINE_QUEUE, q);
	define_again(s.b, "binding", MQ_DEFINE_BINDING, sd_container(q->bindings.next, struct mq_binding, of_destination));
	for (uint64_t i = 0; i < 4; i++)
		restore_entry(s.b, q, (char[]){(char)('a' + i), 0}, 5 + i, i == 1 ? RIG_WALL_MS + 100 : 0, i < 2 ? 1 : 0);
	restore_entry(s.b, q, "e", 9, RIG_WALL_MS + 50, 0);
	logged(&r, "queue;exchange;binding;");
	mq_restore_end(s.b, &queues, &messages);
	ck_assert_uint_eq(queues, 1);
	ck_assert_uint_eq(messages, 5);
	logged(&r, "");
	rig_pass(&s, 100);
	logged(&r, "settle q/5;"); /* one too many is there now */
	rig_open(&s, &b);
	rig_consume(&s, &b, "q", "c", "n", "");
	rig_publish(&s, &b, "x", "a.b", "new", "p", "");
	rig_turn(&s);
	told(&b, "c 1 q c;c 2 q d;c 3 q e;c 4 q new;");
	rig_close(&b);
	int n[5] = {0};
	struct mq_journal to = {.arg = n, .define = count_define};
	mq_dump(s.b, &to);
	ck_assert_int_eq(n[MQ_DEFINE_VHOST], 1);
	ck_assert_int_eq(n[MQ_DEFINE_QUEUE], 1);
	ck_assert_int_eq(n[MQ_DEFINE_EXCHANGE], 1);
	ck_assert_int_eq(n[MQ_DEFINE_BINDING], 1);
	struct mq_queue *again = mq_queue_find(s.v, sd_slice_of("q"));
	ck_assert_uint_eq(again->id, q->id);
	ck_assert_uint_gt(s.b->next_queue_id, q->id);
	mq_free(s.b);
	rig_open(&r, &b);
}
END_TEST

START_TEST(gone_again)
{
	struct sd_text q_text = {0}, v_text = {0};
	struct mq_error e;
	struct mq_conf conf = mq_conf_default();
	struct mq *s = mq_new(&conf, NULL, 1, RIG_START_MS, RIG_WALL_MS);
	mq_define_put(&q_text, MQ_DEFINE_QUEUE, rig_queue(&r, &a, "q", "d", ""));
	mq_define_put(&v_text, MQ_DEFINE_VHOST, mq_vhost_add(r.b, sd_slice_of("other"), &e));
	ck_assert(mq_restore_define(s, MQ_DEFINE_QUEUE, true, rig_slice(&q_text)));
	ck_assert(mq_restore_define(s, MQ_DEFINE_QUEUE, false, rig_slice(&q_text)));
	ck_assert_uint_eq(s->queues_by_id.n, 1);
	ck_assert(mq_restore_define(s, MQ_DEFINE_QUEUE, true, rig_slice(&q_text)));
	ck_assert_uint_eq(s->queues_by_id.n, 0);
	ck_assert(mq_restore_define(s, MQ_DEFINE_VHOST, false, rig_slice(&v_text)));
	ck_assert_ptr_nonnull(mq_vhost_find(s, sd_slice_of("other")));
	ck_assert(mq_restore_define(s, MQ_DEFINE_VHOST, true, rig_slice(&v_text)));
	ck_assert_ptr_null(mq_vhost_find(s, sd_slice_of("other")));
	ck_assert(!mq_restore_define(s, MQ_DEFINE_VHOST, false, sd_slice_of("nonsense")));
	mq_free(s);
	free(q_text.p);
	free(v_text.p);
}
END_TEST

START_TEST(purged_with_one_record)
{
	uint64_t n;
	rig_queue(&r, &a, "q", "d", "");
	for (int i = 0; i < 3; i++)
		rig_publish(&r, &a, "", "q", "x", "p", "");
	logged(&r, "queue;put x q/1;put x q/2;put x q/3;");
	ck_assert(mq_queue_purge(r.v, &a, sd_slice_of("q"), &n, &r.e));
	ck_assert_uint_eq(n, 3);
	logged(&r, "purged q/3;");
	rig_publish(&r, &a, "", "q", "y", "p", "");
	rig_publish(&r, &a, "", "q", "z", "p", "");
	mq_qos(&a.ch, 0, 1, false, &r.e);
	rig_consume(&r, &a, "q", "c", "", "");
	rig_turn(&r);
	logged(&r, "put y q/4;put z q/5;");
	ck_assert(mq_queue_purge(r.v, &a, sd_slice_of("q"), &n, &r.e));
	ck_assert_uint_eq(n, 1);
	logged(&r, "settle q/5;"); /* the other one is out, and stays in the log */
	ck_assert(mq_queue_delete(r.v, &a, sd_slice_of("q"), false, false, &n, &r.e));
	logged(&r, "no queue;");
}
END_TEST

struct press {
	int on, off;
};
static struct press press;
static void pressed(void *arg, struct mq_queue *q, bool on)
{
	(void)arg;
	ck_assert_str_eq(q->name, "large");
	*(on ? &press.on : &press.off) += 1;
}

START_TEST(the_large_one_pushes_back)
{
	struct sd_slice big = {NULL, 0};
	uint64_t n;
	char *body = calloc(1, 10001);
	memset(body, 'x', 10000);
	(void)big;
	press = (struct press){0, 0};
	r.b->conf.high_water = 200000;
	r.b->pressed = pressed;
	rig_queue(&r, &a, "large", "", "");
	rig_queue(&r, &a, "small", "", "");
	for (int i = 0; i < 15; i++) {
		rig_publish(&r, &a, "", "large", body, "", "");
		ck_assert(!a.ch.pressed);
	}
	for (int i = 0; i < 10; i++)
		rig_publish(&r, &a, "", "large", body, "", "");
	ck_assert(a.ch.pressed);
	ck_assert_int_eq(press.on, 1);
	rig_publish(&r, &a, "", "small", "x", "", "");
	ck_assert(!a.ch.pressed);
	ck_assert(mq_queue_purge(r.v, &a, sd_slice_of("large"), &n, &r.e));
	ck_assert_int_eq(press.off, 1);
	free(body);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("mq_dead");
	TCase *t = tcase_create("dead");
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, time_to_live);
	tcase_add_test(t, no_time_at_all);
	tcase_add_test(t, time_stops_while_it_is_out);
	tcase_add_test(t, drop_head);
	tcase_add_test(t, refused_when_full);
	tcase_add_test(t, a_chain_of_full_queues);
	tcase_add_test(t, rejected);
	tcase_add_test(t, to_where_nothing_stays);
	tcase_add_test(t, deaths_are_counted);
	tcase_add_test(t, round_and_round);
	tcase_add_test(t, too_often);
	tcase_add_test(t, replayed);
	tcase_add_test(t, backs_off);
	tcase_add_test(t, delayed);
	tcase_add_test(t, the_clock_is_turned);
	tcase_add_test(t, out_for_too_long);
	tcase_add_test(t, come_back);
	tcase_add_test(t, gone_again);
	tcase_add_test(t, purged_with_one_record);
	tcase_add_test(t, the_large_one_pushes_back);
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
