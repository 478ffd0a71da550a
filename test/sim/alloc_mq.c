/* Memory runs out at allocation 1, 2, 3 ... of a broker's work.
 *
 * What must hold: what cannot be done is refused with 506 or a nack (or, later, is not there); a publication that was confirmed is
 * in a queue or a queue of dead letters, however often it came back meanwhile; a broker that has memory again goes on. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "../../applets/mq/engine/mq.h"
#include "alloc.h"

static struct run {
	struct mq *b;
	struct mq_vhost *v;
	struct mq_channel ch, other;
	uint64_t n; /* the allocation that fails */
	uint64_t record, confirmed, refused, live, replies;
	int64_t now;
	struct sd_text plain, persistent, delayed, address, limited, dead, shared, headers, stream, alone, group; /* made before memory runs out */
} R;

static struct sd_slice text(const struct sd_text *t)
{
	return (struct sd_slice){t->p, t->n};
}

/* ---- what the broker tells: only counted ---- */

static void deliver(struct mq_channel *ch, struct mq_consumer *c, const struct mq_entry *e)
{
	(void)ch, (void)c, (void)e;
}
static void confirm(struct mq_channel *ch, uint64_t seq, bool multiple, bool refused)
{
	(void)ch, (void)seq;
	ck_assert(!multiple);
	*(refused ? &R.refused : &R.confirmed) += 1;
}
static void returned(struct mq_channel *ch, unsigned code, const char *why, const struct mq_message *m)
{
	(void)ch, (void)code, (void)why, (void)m;
}
static void cancelled(struct mq_channel *ch, const struct mq_consumer *c)
{
	(void)ch, (void)c;
}
static void replied(struct mq_channel *ch, struct sd_slice tag, const struct mq_message *m)
{
	(void)ch, (void)tag, (void)m;
	R.replies++;
}
static bool room(struct mq_channel *ch)
{
	(void)ch;
	return true;
}
static void committed(struct mq_channel *ch)
{
	(void)ch;
}
static const struct mq_channel_ops ops = {deliver, confirm, returned, cancelled, replied, room, committed, NULL};

/* ---- the log counts what is there ---- */

static uint64_t log_publish(void *arg, struct mq_message *m, struct mq_entry *const *entries, size_t n, const struct mq_entry *from)
{
	(void)arg, (void)m, (void)entries;
	R.live += n - (from != NULL);
	return ++R.record;
}
static uint64_t log_settle(void *arg, const struct mq_queue *q, uint64_t seq)
{
	(void)arg, (void)q, (void)seq;
	R.live--;
	return ++R.record;
}
static uint64_t log_failed(void *arg, const struct mq_entry *e)
{
	(void)arg, (void)e;
	return ++R.record;
}
static uint64_t log_define(void *arg, enum mq_define what, bool gone, struct sd_slice t)
{
	(void)arg, (void)what, (void)gone, (void)t;
	return ++R.record;
}
static const struct mq_journal journal = {.publish = log_publish, .settle = log_settle, .failed = log_failed, .define = log_define};

/* ---- each may be refused, and only for want of memory, or of what was refused before ---- */

static bool may(bool done, const struct mq_error *e)
{
	bool follows = !done && (e->code == 404 || strstr(e->text, "reply consumer does not exist"));
	ck_assert_msg(done || follows || e->code == 506, "allocation %llu: %s", (unsigned long long)R.n, e->text);
	return done;
}

static bool declare(const char *name, const struct sd_text *arguments)
{
	struct mq_queue *q;
	struct mq_error e;
	struct mq_queue_decl d = {.name = sd_slice_of(name), .durable = true, .arguments = text(arguments)};
	return may(mq_queue_declare(R.v, &d, &q, &e), &e);
}

static void exchange(const char *name, const char *type, const char *key)
{
	struct mq_error e;
	struct mq_exchange_decl d = {.name = sd_slice_of(name), .type = sd_slice_of(type), .durable = true};
	may(mq_exchange_declare(R.v, &d, &e), &e);
	may(mq_queue_bind(R.v, NULL, sd_slice_of("keep"), sd_slice_of(name), sd_slice_of(key), text(&R.headers), &e), &e);
	may(mq_queue_bind(R.v, NULL, sd_slice_of("short"), sd_slice_of(name), sd_slice_of(key), text(&R.headers), &e), &e);
}

static void publish(struct mq_channel *ch, const char *x, const char *key, const struct sd_text *properties)
{
	struct mq_error e;
	struct mq_publication p = {.exchange = sd_slice_of(x), .key = sd_slice_of(key), .properties = text(properties), .body = sd_slice_of("body")};
	may(mq_publish(ch, &p, &e), &e);
}

static bool consume_from(struct mq_channel *ch, const char *queue, bool no_ack, const struct sd_text *arguments)
{
	struct mq_consumer *c;
	struct mq_error e;
	return may(mq_consume(ch, sd_slice_of(queue), (struct sd_slice){0}, false, no_ack, false, text(arguments), &c, &e), &e);
}

static void consume(struct mq_channel *ch, const char *queue, bool no_ack)
{
	consume_from(ch, queue, no_ack, &R.plain);
}

static void pass(int64_t ms)
{
	R.now += ms;
	mq_time(R.b, R.now, 1700000000000 + R.now);
	for (int i = 0; i < 100 && mq_turn(R.b); i++)
		;
	mq_stored(R.b, R.record);
}

static void settle(struct mq_channel *ch, enum mq_settle how)
{
	struct mq_error e;
	mq_settle(ch, 0, true, how, &e);
	pass(1);
}

/* ---- the work ---- */

/* Confirmed publications to `keep`, which come back until they are dead letters: none may be missing. */
static void keep_all(void)
{
	uint64_t there = 0, confirmed;
	struct mq_error e;
	R.confirmed = R.refused = 0;
	if (!declare("keep", &R.plain) || !mq_confirm_select(&R.ch, &e))
		return;
	for (int i = 0; i < 20; i++) {
		publish(&R.ch, "", "keep", i % 3 ? &R.persistent : &R.delayed);
		pass(0); /* one confirm each */
	}
	confirmed = R.confirmed;
	consume(&R.ch, "keep", false);
	pass(20);
	for (int i = 0; i < 6; i++)
		settle(&R.ch, MQ_REQUEUE);
	static const char *const queues[] = {"keep", "keep.dlq"};
	for (int i = 0; i < 2; i++) {
		const struct mq_queue *q = mq_queue_find(R.v, sd_slice_of(queues[i]));
		there += q ? q->nready + q->nunacked + q->ndelayed : 0;
	}
	ck_assert_msg(there == confirmed, "allocation %llu: %llu of %llu confirmed are there", (unsigned long long)R.n,
		      (unsigned long long)there, (unsigned long long)confirmed);
	ck_assert_uint_eq(confirmed + R.refused, 20);
	ck_assert_uint_eq(R.live, there);
	may(mq_replay(R.v, sd_slice_of("keep"), 100, &there, &e), &e);
}

static void everything(void)
{
	struct mq_error e;
	struct mq_entry *entry;
	uint64_t n;
	declare("short", &R.limited);
	declare("dead", &R.dead);
	exchange("d", "direct", "k");
	exchange("f", "fanout", "");
	exchange("t", "topic", "a.#.b.*");
	exchange("h", "headers", "");
	may(mq_exchange_bind(R.v, sd_slice_of("f"), sd_slice_of("t"), sd_slice_of("x.#"), (struct sd_slice){0}, &e), &e);
	for (int i = 0; i < 12; i++) {
		static const char *const ways[][2] = {{"d", "k"}, {"f", ""}, {"t", "a.c.b.d"}, {"t", "x.y"}, {"h", ""}, {"", "short"}};
		publish(&R.other, ways[i % 6][0], ways[i % 6][1], i % 2 ? &R.persistent : &R.shared);
	}
	consume(&R.other, "dead", false);
	consume(&R.other, "amq.rabbitmq.reply-to", true);
	publish(&R.other, "", "short", &R.address);
	pass(1);
	settle(&R.other, MQ_DISCARD);
	mq_channel_declared(&R.other, sd_slice_of("short"));
	if (mq_get(&R.other, (struct sd_slice){0}, false, &entry, &n, &e) && entry)
		settle(&R.other, MQ_REQUEUE);
	may(mq_tx_select(&R.other, &e), &e);
	publish(&R.other, "t", "a.b.c", &R.persistent);
	may(mq_tx_commit(&R.other, &e), &e);
	pass(100);
	may(mq_queue_purge(R.v, NULL, sd_slice_of("dead"), &n, &e), &e);
	may(mq_queue_unbind(R.v, NULL, sd_slice_of("keep"), sd_slice_of("t"), sd_slice_of("a.#.b.*"), text(&R.headers), &e), &e);
	mq_exchange_delete(R.v, sd_slice_of("d"), false, &e);
	may(mq_vhost_add(R.b, sd_slice_of("other"), &e) != NULL, &e);
}

static void add_lag(void *arg, const struct mq_group_state *g)
{
	*(uint64_t *)arg += g->lag;
}

/* What is confirmed is in the stream; a group is done with what it acknowledged, and with nothing else. */
static void streams(void)
{
	const struct sd_amqp_field first = {.kind = 'S', .s = {"first", 5}};
	struct sd_slice s = sd_slice_of("stream"), g = sd_slice_of("g");
	struct mq_error e;
	struct mq_queue *q;
	uint64_t confirmed = R.confirmed, lag = 0;
	if (!declare("stream", &R.stream))
		return;
	q = mq_queue_find(R.v, s);
	for (int i = 0; i < 10; i++) {
		publish(&R.ch, "", "stream", &R.shared);
		pass(0);
	}
	if (R.ch.confirming)
		ck_assert_uint_eq(q->nready, R.confirmed - confirmed);
	mq_qos(&R.ch, 0, 4, false, &e);
	bool joined = consume_from(&R.ch, "stream", false, &R.group);
	consume_from(&R.ch, "stream", false, &R.alone);
	pass(1);
	mq_groups(q, add_lag, NULL, &lag);
	if (joined && lag)
		ck_assert_uint_eq(lag, q->nready);
	mq_recover(&R.ch); /* the group's come back */
	pass(1);
	settle(&R.ch, MQ_ACK);
	may(mq_group_reset(R.v, s, g, &first, &e), &e);
	pass(1);
	settle(&R.ch, MQ_ACK);
	mq_channel_end(&R.ch);
	mq_channel_begin(&R.ch, R.v, &ops, NULL, (struct sd_slice){0});
	may(mq_group_delete(R.v, s, g, &e), &e);
}

/* With memory again it goes on. */
static void goes_on(void)
{
	struct mq_error e;
	uint64_t n, before;
	struct mq_queue_decl d = {.name = sd_slice_of("after")};
	struct mq_queue *q;
	mq_channel_end(&R.ch);
	mq_channel_begin(&R.ch, R.v, &ops, NULL, (struct sd_slice){0});
	ck_assert_msg(mq_queue_declare(R.v, &d, &q, &e), "%s", e.text);
	before = q->count.delivered_no_ack;
	consume(&R.ch, "after", true);
	publish(&R.ch, "", "after", &R.persistent);
	pass(1);
	ck_assert_uint_eq(q->count.delivered_no_ack, before + 1);
	ck_assert(mq_queue_delete(R.v, NULL, d.name, false, false, &n, &e));
}

static void one_run(void)
{
	struct mq_conf conf = mq_conf_default();
	R.live = R.record = 0;
	R.now = 1000;
	R.b = mq_new(&conf, &journal, 1, R.now, 1700000000000 + R.now);
	if (!R.b)
		return;
	mq_restore_end(R.b, NULL, NULL);
	R.v = mq_vhost_find(R.b, sd_slice_of("/"));
	mq_channel_begin(&R.ch, R.v, &ops, NULL, (struct sd_slice){0});
	mq_channel_begin(&R.other, R.v, &ops, NULL, (struct sd_slice){0});
	keep_all();
	everything();
	streams();
}

static void make_texts(void)
{
	struct sd_amqp_properties p = {.has = SD_AMQP_DELIVERY_MODE, .delivery_mode = 2};
	struct sd_text h = {0};
	sd_amqp_put_properties(&R.persistent, &p);
	p.has |= SD_AMQP_REPLY_TO;
	p.reply_to = sd_slice_of("amq.rabbitmq.reply-to");
	sd_amqp_put_properties(&R.address, &p);
	p.has = SD_AMQP_DELIVERY_MODE | SD_AMQP_HEADERS;
	sd_amqp_put_int(&h, "x-delay", 5);
	p.headers = text(&h);
	sd_amqp_put_properties(&R.delayed, &p);
	sd_amqp_put_int(&R.headers, "k", 1);
	p.headers = text(&R.headers);
	sd_amqp_put_properties(&R.shared, &p);
	sd_amqp_put_int(&R.limited, "x-max-length", 3);
	sd_amqp_put_int(&R.limited, "x-message-ttl", 50);
	sd_amqp_put_int(&R.limited, "x-max-priority", 3);
	sd_amqp_put_string(&R.limited, "x-dead-letter-exchange", sd_slice_of(""));
	sd_amqp_put_string(&R.limited, "x-dead-letter-routing-key", sd_slice_of("dead"));
	sd_amqp_put_int(&R.dead, "x-visibility-timeout", 10);
	sd_amqp_put_string(&R.stream, "x-queue-type", sd_slice_of("stream"));
	sd_amqp_put_string(&R.stream, "x-stream-partition-by", sd_slice_of("k"));
	sd_amqp_put_int(&R.stream, "x-stream-partitions", 3);
	sd_amqp_put_int(&R.stream, "x-max-length-bytes", 1000);
	sd_amqp_put_string(&R.alone, "x-stream-offset", sd_slice_of("first"));
	sd_amqp_put_string(&R.group, "x-stream-offset", sd_slice_of("first"));
	sd_amqp_put_string(&R.group, "x-stream-group", sd_slice_of("g"));
	free(h.p);
}

uint64_t alloc_mq(void)
{
	R = (struct run){0};
	make_texts();
	for (R.n = 1;; R.n++) {
		R.b = NULL;
		alloc_fail_at(R.n);
		one_run();
		int failed = alloc_failed();
		alloc_fail_at(0);
		if (R.b) {
			goes_on();
			mq_channel_end(&R.ch);
			mq_channel_end(&R.other);
			mq_free(R.b);
		}
		if (!failed)
			break;
	}
	struct sd_text *const all[] = {&R.plain,  &R.persistent, &R.delayed, &R.address, &R.limited, &R.dead,
				       &R.shared, &R.headers,	 &R.stream,  &R.alone,	 &R.group};
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		free(all[i]->p);
	return R.n;
}
