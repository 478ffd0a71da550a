/* Streams in the engine: reading from where one wants, groups and their offsets, what leaves at the front. */
#include "mq_rig.h"

#define STREAM "x-queue-type=stream"

static struct rig r;
static struct rig_client a, b, c;

static void begin(bool log)
{
	rig_start(&r, mq_conf_default(), log);
	rig_open(&r, &a);
	rig_open(&r, &b);
	rig_open(&r, &c);
	for (size_t i = 0; i < 3; i++)
		mq_qos(((struct mq_channel *[]){&a.ch, &b.ch, &c.ch})[i], 0, 3, false, &r.e);
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
	uint64_t n;
	rig_close(&a);
	rig_close(&b);
	rig_close(&c);
	mq_queue_delete(r.v, NULL, sd_slice_of("s"), false, false, &n, &r.e);
	ck_assert_uint_eq(r.b->entries, 0);
	ck_assert_uint_eq(r.b->body_memory, 0);
	rig_end(&r);
}

/* "a", "b" ... */
static void fill(const char *queue, const char *bodies)
{
	for (; *bodies; bodies++)
		rig_publish(&r, &a, "", queue, (char[]){*bodies, 0}, "p", "");
}

static void refused(const char *args, const char *text)
{
	ck_assert(!rig_try_consume(&r, &b, "s", "t", "", args));
	failed_with(&r, text);
}

/* ---- one reads ---- */

START_TEST(many_read_the_same)
{
	struct mq_queue *q = rig_queue(&r, &a, "s", "d", STREAM);
	fill("s", "abcde");
	rig_consume(&r, &b, "s", "b", "", "x-stream-offset=first");
	rig_consume(&r, &c, "s", "c", "", "x-stream-offset=3");
	rig_turn(&r);
	told(&b, "b 1 s a;b 2 s b;b 3 s c;");
	told(&c, "c 1 s d;c 2 s e;");
	ck_assert_uint_eq(q->nready, 5);
	ck_assert_uint_eq(q->nunacked, 0);
	rig_settle(&r, &b, 2, true, MQ_ACK);
	rig_turn(&r);
	told(&b, "b 4 s d;b 5 s e;");
	fill("s", "f");
	rig_turn(&r);
	told(&c, "c 3 s f;");
	told(&b, ""); /* three are out */
	ck_assert_uint_eq(q->nready, 6);
}
END_TEST

START_TEST(where_to_begin)
{
	static const struct {
		const char *args, *told;
	} rows[] = {
	    {"", ""},
	    {"x-stream-offset=next", ""},
	    {"x-stream-offset=last", "t 1 s e;"},
	    {"x-stream-offset=4", "t 1 s e;"},
	    {"x-stream-offset=5", ""},
	    {"x-stream-offset=77", ""},
	    {"x-stream-offset=-7", "t 1 s a;t 2 s b;t 3 s c;"},
	    {"x-stream-offset=1h", "t 1 s c;t 2 s d;t 3 s e;"},
	    {"x-stream-offset=1D", "t 1 s a;t 2 s b;t 3 s c;"},
	    {"x-stream-offset=1s", ""},
	};
	rig_queue(&r, &a, "s", "d", STREAM);
	fill("s", "ab");
	rig_pass(&r, 3600000);
	fill("s", "cde");
	rig_pass(&r, 60000);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct rig_client k;
		rig_open(&r, &k);
		mq_qos(&k.ch, 0, 3, false, &r.e);
		rig_consume(&r, &k, "s", "t", "", rows[i].args);
		rig_turn(&r);
		told(&k, rows[i].told);
		rig_close(&k);
	}
}
END_TEST

START_TEST(what_is_refused)
{
	struct mq_entry *got;
	uint64_t n;
	rig_queue(&r, &a, "s", "d", STREAM);
	ck_assert(!rig_try_queue(&r, &a, "t", "", STREAM));
	failed_with(&r, "PRECONDITION_FAILED - invalid property 'non-durable' for queue 't' in vhost '/'");
	ck_assert(!rig_try_queue(&r, &a, "t", "dx", STREAM));
	failed_with(&r, "PRECONDITION_FAILED - invalid property 'exclusive-owner' for queue 't' in vhost '/'");
	ck_assert(!rig_try_queue(&r, &a, "t", "da", STREAM));
	failed_with(&r, "PRECONDITION_FAILED - invalid property 'auto-delete' for queue 't' in vhost '/'");
	ck_assert(!rig_try_queue(&r, &a, "t", "d", STREAM " x-message-ttl=5"));
	failed_with(&r, "PRECONDITION_FAILED - invalid arg 'x-message-ttl' for queue 't' in vhost '/' of queue type rabbit_stream_queue");
	ck_assert(!rig_try_queue(&r, &a, "t", "d", STREAM " x-max-age=1w"));
	failed_with(&r, "PRECONDITION_FAILED - invalid arg 'x-max-age' for queue 't' in vhost '/': invalid_max_age");
	ck_assert(!rig_try_queue(&r, &a, "t", "d", STREAM " x-stream-partitions=1025"));
	failed_with(&r, "PRECONDITION_FAILED - invalid arg 'x-stream-partitions' for queue 't' in vhost '/': {value_too_large,1025}");
	refused("x-stream-offset=then", "PRECONDITION_FAILED - invalid arg 'x-stream-offset' for queue 's' in vhost '/': "
					 "{invalid_stream_offset_arg,{longstr,<<\"then\">>}}");
	refused("x-stream-group=5", "PRECONDITION_FAILED - invalid arg 'x-stream-group' for queue 's' in vhost '/': expected a name of 1 to 255 "
				    "bytes");
	mq_qos(&b.ch, 0, 0, false, &r.e);
	refused("", "PRECONDITION_FAILED - consumer prefetch count is not set for 'queue 's' in vhost '/''");
	ck_assert(!mq_get(&b.ch, sd_slice_of("s"), false, &got, &n, &r.e));
	failed_with(&r, "NOT_IMPLEMENTED - basic.get not supported by stream queues queue 's' in vhost '/'");
	ck_assert(!mq_queue_purge(r.v, &a, sd_slice_of("s"), &n, &r.e));
	failed_with(&r, "NOT_IMPLEMENTED - queue.purge not supported by stream queues queue 's' in vhost '/'");
}
END_TEST

START_TEST(alone_one_only_acknowledges)
{
	rig_queue(&r, &a, "s", "d", STREAM);
	fill("s", "ab");
	rig_consume(&r, &b, "s", "b", "", "x-stream-offset=first");
	rig_turn(&r);
	told(&b, "b 1 s a;b 2 s b;");
	for (enum mq_settle how = MQ_REQUEUE; how <= MQ_DISCARD; how++) {
		ck_assert(!mq_settle(&b.ch, 1, false, how, &r.e));
		failed_with(&r, "NOT_IMPLEMENTED - basic.nack and basic.reject not supported by stream queues queue 's' in vhost '/'");
	}
	mq_cancel(&b.ch, sd_slice_of("b"));
	rig_settle(&r, &b, 2, true, MQ_ACK);
	ck_assert_uint_eq(b.ch.nunacked, 0);
}
END_TEST

/* A delivery ends well when its stream is deleted meanwhile. */
START_TEST(deleted_while_it_is_read)
{
	uint64_t n;
	rig_queue(&r, &a, "s", "d", STREAM " x-stream-partitions=3");
	fill("s", "ab");
	rig_consume(&r, &b, "s", "b", "", "x-stream-offset=first");
	rig_consume(&r, &c, "s", "c", "", "x-stream-offset=first x-stream-group=g");
	rig_turn(&r);
	told(&b, "b 1 s a;b 2 s b;");
	told(&c, "c 1 s a;c 2 s b;");
	rig_settle(&r, &c, 2, false, MQ_ACK);
	ck_assert(mq_queue_delete(r.v, &a, sd_slice_of("s"), false, true, &n, &r.e));
	told(&b, "cancelled b;");
	told(&c, "cancelled c;");
	rig_settle(&r, &b, 2, true, MQ_ACK);
	rig_settle(&r, &c, 1, false, MQ_ACK);
	ck_assert_uint_eq(r.b->entries, 0);
}
END_TEST

/* ---- the front ---- */

START_TEST(by_size)
{
	struct mq_queue *q = rig_queue(&r, &a, "s", "d", STREAM " x-max-length-bytes=3");
	uint64_t first, end;
	fill("s", "abc");
	rig_turn(&r);
	ck_assert_uint_eq(q->nready, 3);
	fill("s", "de");
	rig_turn(&r);
	ck_assert_uint_eq(q->nready, 3);
	mq_stream_range(q, &first, &end);
	ck_assert_uint_eq(first, 2);
	ck_assert_uint_eq(end, 5);
	rig_publish(&r, &a, "", "s", "much more", "p", ""); /* the last one stays, whatever its size */
	rig_turn(&r);
	ck_assert_uint_eq(q->nready, 1);
	rig_consume(&r, &b, "s", "b", "", "x-stream-offset=1");
	rig_turn(&r);
	told(&b, "b 1 s much more;");
}
END_TEST

START_TEST(by_age)
{
	struct mq_queue *q = rig_queue(&r, &a, "s", "d", STREAM " x-max-age=1m");
	fill("s", "ab");
	rig_pass(&r, 30000);
	fill("s", "c");
	rig_pass(&r, 29999);
	ck_assert_uint_eq(q->nready, 3);
	ck_assert_int_le(mq_next(r.b), r.now_ms + 1);
	rig_pass(&r, 1);
	ck_assert_uint_eq(q->nready, 1);
	rig_pass(&r, 30000);
	ck_assert_uint_eq(q->nready, 0);
	fill("s", "d"); /* numbers go on */
	rig_consume(&r, &b, "s", "b", "", "x-stream-offset=3");
	rig_turn(&r);
	told(&b, "b 1 s d;");
	rig_pass(&r, 60000);
	ck_assert_uint_eq(q->nready, 0);
}
END_TEST

/* Who is slow is given what is there yet; what it has out it may settle. */
START_TEST(the_front_passes_a_reader)
{
	rig_queue(&r, &a, "s", "d", STREAM " x-max-length-bytes=3");
	fill("s", "abc");
	mq_qos(&b.ch, 0, 1, false, &r.e);
	rig_consume(&r, &b, "s", "b", "", "x-stream-offset=first x-stream-group=g");
	rig_consume(&r, &c, "s", "c", "", "x-stream-offset=first");
	rig_turn(&r);
	told(&b, "b 1 s a;");
	told(&c, "c 1 s a;c 2 s b;c 3 s c;");
	fill("s", "defgh");
	rig_turn(&r);
	rig_settle(&r, &b, 1, false, MQ_REQUEUE);
	rig_turn(&r);
	told(&b, "b 2 s a again;"); /* it is gone from the stream, and was promised */
	rig_settle(&r, &b, 2, false, MQ_ACK);
	rig_settle(&r, &c, 3, true, MQ_ACK);
	rig_turn(&r);
	told(&b, "b 3 s f;");
	told(&c, "c 4 s f;c 5 s g;c 6 s h;");
}
END_TEST

/* ---- groups ---- */

static void add_share(void *arg, const struct mq_share_state *s)
{
	struct sd_text *t = arg;
	sd_text_format(t, " %u:%llu", s->partition, (unsigned long long)s->offset);
	if (s->lag)
		sd_text_format(t, "-%llu", (unsigned long long)s->lag);
	if (s->consumer)
		sd_text_format(t, " %s", s->consumer->tag);
}

static void add_group(void *arg, const struct mq_group_state *g)
{
	sd_text_format(arg, "%s%s %zu, lag %llu:", ((struct sd_text *)arg)->n ? "; " : "", g->name, g->members, (unsigned long long)g->lag);
}

static void groups_are(const char *queue, const char *due)
{
	struct sd_text t = {0};
	mq_groups(mq_queue_find(r.v, sd_slice_of(queue)), add_group, add_share, &t);
	ck_assert_str_eq(t.p ? t.p : "", due);
	free(t.p);
}

START_TEST(a_group_goes_on_where_it_was)
{
	rig_queue(&r, &a, "s", "d", STREAM);
	fill("s", "abcdef");
	rig_consume(&r, &b, "s", "b", "", "x-stream-offset=first x-stream-group=g");
	rig_turn(&r);
	told(&b, "b 1 s a;b 2 s b;b 3 s c;");
	groups_are("s", "g 1, lag 6: 0:0-6 b");
	rig_settle(&r, &b, 2, false, MQ_ACK); /* not the first one */
	rig_turn(&r);
	told(&b, "b 4 s d;");
	groups_are("s", "g 1, lag 5: 0:0-5 b");
	rig_settle(&r, &b, 1, false, MQ_ACK);
	groups_are("s", "g 1, lag 4: 0:2-4 b");
	rig_close(&b); /* c and d were out */
	rig_open(&r, &b);
	groups_are("s", "g 0, lag 4: 0:2-4");
	rig_consume(&r, &c, "s", "c", "", "x-stream-offset=next x-stream-group=g");
	rig_turn(&r);
	told(&c, "c 1 s c again;c 2 s d again;c 3 s e;");
	rig_settle(&r, &c, 3, true, MQ_ACK);
	rig_turn(&r);
	told(&c, "c 4 s f;");
	rig_settle(&r, &c, 4, false, MQ_DISCARD); /* done with, too */
	groups_are("s", "g 1, lag 0: 0:6 c");
}
END_TEST

START_TEST(back_before_new)
{
	rig_queue(&r, &a, "s", "d", STREAM);
	fill("s", "abcdef");
	rig_consume(&r, &b, "s", "b", "", "x-stream-offset=first x-stream-group=g");
	rig_turn(&r);
	told(&b, "b 1 s a;b 2 s b;b 3 s c;");
	rig_settle(&r, &b, 3, false, MQ_REQUEUE);
	rig_settle(&r, &b, 1, false, MQ_REQUEUE);
	rig_turn(&r);
	told(&b, "b 4 s a again;b 5 s c again;");
}
END_TEST

/* Keys that the hash puts into partitions 0 and 1 of two: found once, the same for ever. */
START_TEST(the_hash_stays)
{
	static const char *const keys[] = {"a", "b", "c", "orders.1", "orders.2", "k"};
	struct sd_text t = {0};
	rig_queue(&r, &a, "s", "d", STREAM " x-stream-partitions=8 x-stream-partition-by=customer");
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		sd_text_format(&t, "customer=%s", keys[i]);
		rig_publish(&r, &a, "", "s", keys[i], "p", t.p);
		t.n = 0;
	}
	rig_publish(&r, &a, "", "s", "5", "p", "customer=5");
	rig_publish(&r, &a, "", "s", "none", "p", "");
	mq_qos(&b.ch, 0, 100, false, &r.e);
	rig_consume(&r, &b, "s", "b", "", "x-stream-offset=first x-stream-group=g");
	rig_turn(&r);
	groups_are("s", "g 1, lag 8: 0:0-3 b 1:8 b 2:2-2 b 3:6-1 b 4:4-1 b 5:1-1 b 6:8 b 7:8 b");
	free(t.p);
}
END_TEST

static void fill_by_key(unsigned n)
{
	char headers[40], body[16];
	for (unsigned i = 0; i < n; i++) {
		snprintf(headers, sizeof(headers), "k=%c", 'a' + (int)(i % 8));
		snprintf(body, sizeof(body), "%u", i);
		rig_publish(&r, &a, "", "s", body, "p", headers);
	}
}

/* Whose are the partitions? "bbcc" */
static const char *owners(void)
{
	static char text[MQ_PARTITIONS_MAX + 1];
	struct sd_text t = {0};
	size_t n = 0;
	mq_groups(mq_queue_find(r.v, sd_slice_of("s")), add_group, add_share, &t);
	for (const char *p = strchr(t.p, ':') + 1; p && *p; p = strchr(p + 1, ' ')) {
		const char *next = strchr(p + 1, ' ');
		if (p[1] >= '0' && p[1] <= '9')
			text[n++] = next && next[1] >= 'a' ? next[1] : '-';
	}
	text[n] = '\0';
	free(t.p);
	return text;
}

START_TEST(shared_and_moved)
{
	rig_queue(&r, &a, "s", "d", STREAM " x-stream-partitions=4 x-stream-partition-by=k");
	mq_qos(&b.ch, 0, 100, false, &r.e);
	mq_qos(&c.ch, 0, 100, false, &r.e);
	rig_consume(&r, &b, "s", "b", "", "x-stream-offset=first x-stream-group=g");
	ck_assert_str_eq(owners(), "bbbb");
	rig_consume(&r, &c, "s", "c", "", "x-stream-group=g");
	ck_assert_str_eq(owners(), "bbcc"); /* nothing was out */
	fill_by_key(64);
	rig_turn(&r);
	unsigned of_b = (unsigned)b.ch.nunacked, of_c = (unsigned)c.ch.nunacked;
	ck_assert_uint_eq(of_b + of_c, 64);
	ck_assert_uint_gt(of_b, 0);
	ck_assert_uint_gt(of_c, 0);
	rig_consume(&r, &a, "s", "d", "", "x-stream-group=g"); /* its partition is on its way until it is settled */
	rig_turn(&r);
	told(&a, "");
	ck_assert_str_eq(owners(), "b-cc");
	rig_settle(&r, &b, 0, true, MQ_ACK);
	ck_assert_str_eq(owners(), "bdcc");
	mq_cancel(&c.ch, sd_slice_of("c")); /* what it has is out yet */
	ck_assert_str_eq(owners(), "bd--");
	rig_settle(&r, &c, 0, true, MQ_ACK);
	ck_assert_str_eq(owners(), "bddb");
	groups_are("s", "g 2, lag 0: 0:64 b 1:64 d 2:64 d 3:64 b");
}
END_TEST

/* More members than partitions: some wait, and take over. */
START_TEST(one_waits)
{
	rig_queue(&r, &a, "s", "d", STREAM);
	rig_consume(&r, &b, "s", "b", "", "x-stream-offset=first x-stream-group=g");
	rig_consume(&r, &c, "s", "c", "", "x-stream-group=g");
	fill("s", "abcd");
	rig_turn(&r);
	told(&b, "b 1 s a;b 2 s b;b 3 s c;");
	told(&c, "");
	rig_close(&b);
	rig_open(&r, &b);
	rig_turn(&r);
	told(&c, "c 1 s a again;c 2 s b again;c 3 s c again;");
}
END_TEST

START_TEST(groups_do_not_know_each_other)
{
	rig_queue(&r, &a, "s", "d", STREAM);
	fill("s", "ab");
	rig_consume(&r, &b, "s", "b", "", "x-stream-offset=first x-stream-group=g");
	rig_consume(&r, &c, "s", "c", "", "x-stream-offset=first x-stream-group=h");
	rig_turn(&r);
	told(&b, "b 1 s a;b 2 s b;");
	told(&c, "c 1 s a;c 2 s b;");
	rig_settle(&r, &b, 0, true, MQ_ACK);
	ck_assert_uint_eq(c.ch.nunacked, 2);
}
END_TEST

START_TEST(sent_elsewhere)
{
	const struct sd_amqp_field first = {.kind = 'S', .s = {"first", 5}}, three = {.kind = 'l', .n = 3}, odd = {.kind = 't', .n = 1};
	struct sd_slice s = sd_slice_of("s"), g = sd_slice_of("g");
	rig_queue(&r, &a, "s", "d", STREAM);
	rig_queue(&r, &a, "q", "d", "");
	fill("s", "abcdef");
	ck_assert(mq_group_reset(r.v, s, g, &three, &r.e)); /* there was none */
	groups_are("s", "g 0, lag 3: 0:3-3");
	rig_consume(&r, &b, "s", "b", "", "x-stream-offset=first x-stream-group=g");
	rig_turn(&r);
	told(&b, "b 1 s d;b 2 s e;b 3 s f;");
	ck_assert(mq_group_reset(r.v, s, g, &first, &r.e));
	rig_settle(&r, &b, 1, false, MQ_ACK); /* of what was: nothing */
	rig_settle(&r, &b, 2, false, MQ_REQUEUE);
	groups_are("s", "g 1, lag 6: 0:0-6 b");
	rig_turn(&r);
	told(&b, "b 4 s a again;b 5 s b again;");
	ck_assert(!mq_group_delete(r.v, s, g, &r.e));
	failed_with(&r, "PRECONDITION_FAILED - group 'g' of queue 's' in vhost '/' in use");
	mq_cancel(&b.ch, sd_slice_of("b"));
	ck_assert(mq_group_delete(r.v, s, g, &r.e));
	rig_settle(&r, &b, 0, true, MQ_ACK);
	groups_are("s", "");
	ck_assert(!mq_group_delete(r.v, s, g, &r.e));
	failed_with(&r, "NOT_FOUND - no group 'g' of queue 's' in vhost '/'");
	ck_assert(!mq_group_reset(r.v, sd_slice_of("q"), g, &first, &r.e));
	failed_with(&r, "PRECONDITION_FAILED - queue 'q' in vhost '/' is no stream");
	ck_assert(!mq_group_reset(r.v, s, g, &odd, &r.e));
	ck_assert_int_eq(r.e.code, 406);
	groups_are("s", "");
}
END_TEST

/* ---- the log ---- */

/* Before the disk has it an offset may come to mean another message. */
START_TEST(seen_when_it_is_on_the_disk)
{
	rig_queue(&r, &a, "s", "d", STREAM);
	rig_consume(&r, &b, "s", "b", "", "");
	rig_publish(&r, &a, "", "s", "transient", "", ""); /* in a stream everything is durable */
	rig_publish(&r, &a, "", "s", "two", "p", "");
	rig_turn(&r);
	logged(&r, "queue;put transient s/1;put two s/2;");
	told(&b, "");
	mq_stored(r.b, r.record - 1);
	rig_turn(&r);
	told(&b, "b 1 s transient;");
	mq_stored(r.b, r.record);
	rig_turn(&r);
	told(&b, "b 2 s two;");
}
END_TEST

START_TEST(what_the_log_is_told)
{
	rig_queue(&r, &a, "s", "d", STREAM " x-max-length-bytes=3");
	fill("s", "abcd");
	rig_turn(&r);
	logged(&r, "queue;put a s/1;put b s/2;put c s/3;put d s/4;purged s/1;stream;");
	mq_stored(r.b, r.record);
	rig_consume(&r, &b, "s", "b", "", "x-stream-offset=first x-stream-group=g");
	rig_turn(&r);
	logged(&r, "stream;");
	rig_turn(&r);
	logged(&r, ""); /* nothing changed */
	rig_settle(&r, &b, 1, false, MQ_ACK);
	rig_settle(&r, &b, 2, false, MQ_ACK);
	rig_turn(&r);
	logged(&r, "stream;");
	rig_settle(&r, &b, 3, false, MQ_REQUEUE);
	rig_turn(&r);
	logged(&r, "");
	mq_cancel(&b.ch, sd_slice_of("b"));
	ck_assert(mq_group_delete(r.v, sd_slice_of("s"), sd_slice_of("g"), &r.e));
	logged(&r, "no stream;");
}
END_TEST

/* A number that the log did not take is given to the next message. */
START_TEST(refused_by_the_log)
{
	rig_queue(&r, &a, "s", "d", STREAM);
	fill("s", "a");
	r.log_full = true;
	ck_assert(!rig_try_publish(&r, &a, "", "s", "b", "p", ""));
	r.log_full = false;
	fill("s", "c");
	logged(&r, "queue;put a s/1;put c s/2;");
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("mq_stream");
	TCase *t = tcase_create("memory");
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, many_read_the_same);
	tcase_add_test(t, where_to_begin);
	tcase_add_test(t, what_is_refused);
	tcase_add_test(t, alone_one_only_acknowledges);
	tcase_add_test(t, deleted_while_it_is_read);
	tcase_add_test(t, by_size);
	tcase_add_test(t, by_age);
	tcase_add_test(t, the_front_passes_a_reader);
	tcase_add_test(t, a_group_goes_on_where_it_was);
	tcase_add_test(t, back_before_new);
	tcase_add_test(t, the_hash_stays);
	tcase_add_test(t, shared_and_moved);
	tcase_add_test(t, one_waits);
	tcase_add_test(t, groups_do_not_know_each_other);
	tcase_add_test(t, sent_elsewhere);
	suite_add_tcase(s, t);
	t = tcase_create("log");
	tcase_add_checked_fixture(t, setup_log, teardown);
	tcase_add_test(t, seen_when_it_is_on_the_disk);
	tcase_add_test(t, what_the_log_is_told);
	tcase_add_test(t, refused_by_the_log);
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
