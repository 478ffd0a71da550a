/* The broker's engine and log in the simulated world: producers with confirms, consumers that acknowledge, give back, reject and
 * die, a process that is killed, power that goes at any write and sync, disks that fill up, fail, and have room again.
 *
 * A run is several lives of one broker on one machine; producers, consumers and the ledger outlive it. What must hold:
 *
 *	1  a message that was confirmed is delivered, from its queue, from its dead letters, or after its delay and not before
 *	2  a producer's messages come in order, unless they are flagged as redelivered; so does what comes twice
 *	3  what was acknowledged, and the disk knows it, never comes again
 *	4  a message that was dead-lettered is in the one queue or in the other, until somebody acknowledges it
 *	5  exchanges, queues and bindings are as declared, once the disk knows it
 *	6  what a publisher was refused at once is in no queue
 *
 * Controls, which must be seen to fail: sync `never`; settling that is not journalled; compaction that drops what is live;
 * dead-lettering in two records.
 *
 *	SEEDS=n, SEED=k, SEED_FROM=n, ONLY=mq as for the other simulations
 */
#include <check.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../applets/mq/store/mq_store_int.h"
#include "core/bytes.h"
#include "core/rng.h"
#include "sdlab/queue_check.h"
#include "world/file.h"
#include "world/sim.h"
#include "seeds.h"

#ifdef SD_SANITIZED
#define LIFE_SEEDS 20
#define CUT_SEEDS  1
#else
#define LIFE_SEEDS 200
#define CUT_SEEDS  4
#endif
#define LIVES	  6
#define PRODUCERS 3
#define QUEUES	  3
#define PLACES	  8 /* checked messages have a number for each queue that they may be in */
#define DELAYED	  QUEUES /* the place of those */
#define CONSUMERS 3
#define MESSAGES  20000
#define OUT	  64
#define EXTRAS	  4
#define DIR	  "data"

enum control { NONE, SYNC_NEVER, NO_SETTLE, DROP_LIVE, TWO_RECORDS };

struct message {
	int64_t not_before_ms;
	uint32_t size;
	bool fan, confirmed;
	uint8_t queue;
	bool ended[QUEUES + 1]; /* somebody acknowledged it, or threw it away */
	uint64_t dead[QUEUES + 1]; /* seen among the dead letters: when this record is on the disk it is for good; 0: not seen */
};

struct run;
struct producer {
	struct run *run;
	struct mq_channel ch;
	uint32_t ids[MESSAGES + 1]; /* by number of publication; 0: answered */
	uint64_t low, next;
	uint32_t now; /* the message that is being published */
};
struct delivery {
	uint64_t tag;
	uint64_t check; /* number for the checker; 0: of no interest */
};
struct consumer {
	struct run *run;
	struct mq_channel ch;
	struct delivery out[OUT];
	unsigned n;
};
/* Queues that come and go. */
struct extra {
	bool there, before;
	uint64_t record; /* the disk knows it when this is on it */
};

struct run {
	struct sd_sim *sim;
	struct sd_world *node;
	struct sd_loop *loop;
	struct sd_helpers *helpers;
	struct mq_store *store;
	struct mq *mq;
	struct mq_store_conf conf;
	struct mq_conf broker;
	struct mq_journal real; /* beneath a control's */
	enum control control;
	struct sd_rng rng;
	struct sd_timer timer;
	struct sd_qcheck *check;
	struct producer producers[PRODUCERS];
	struct consumer consumers[CONSUMERS], getter;
	struct extra extras[EXTRAS];
	struct message messages[MESSAGES + 1];
	uint32_t published;
	unsigned delayed; /* each is a stream of its own */
	struct { uint64_t check, record; } acks[4096]; /* acknowledged, and not known to be on the disk */
	unsigned nacks;
	bool declared; /* the topology is on the disk */
	uint64_t declared_record;
	bool fills; /* the disk fills up in this life */
	unsigned actions;
	bool closing, closed, in_turn, again, draining, started;
	/* what was seen */
	uint64_t faults, opens, refused_opens, retried, full, dead, compactions, fetched, delivered, confirmed, redelivered;
	char what[400];
};

__attribute__((format(printf, 2, 3))) static void wrong(struct run *r, const char *format, ...)
{
	va_list ap;
	r->faults++;
	if (r->what[0])
		return;
	va_start(ap, format);
	vsnprintf(r->what, sizeof(r->what), format, ap);
	va_end(ap);
}

static uint64_t check_of(uint32_t id, unsigned place)
{
	return (uint64_t)id * PLACES + place;
}

/* ---- bodies: what they are follows from the number ---- */

static void fill(char *p, uint32_t id, uint32_t n)
{
	sd_put_le(p, id, 8);
	for (uint32_t i = 8; i < n; i++)
		p[i] = (char)(id * 31 + i * (id | 1));
}

static uint32_t id_of(const struct run *r, struct sd_slice body)
{
	static char due[70000];
	if (body.n < 8)
		return 0;
	uint64_t id = sd_get_le(body.p, 8);
	if (id == 0 || id > r->published || body.n != r->messages[id].size)
		return 0;
	fill(due, (uint32_t)id, (uint32_t)body.n);
	return memcmp(due, body.p, body.n) == 0 ? (uint32_t)id : 0;
}

/* ---- consumers ---- */

/* Of "q1" and "q1.dlq": 1. */
static unsigned place_of(const char *queue, bool *dead)
{
	*dead = strstr(queue, ".dlq") != NULL;
	return queue[0] == 'd' ? DELAYED : (unsigned)(queue[1] - '0');
}

/* What was done so far stays when this record is on the disk. */
static uint64_t now(const struct run *r)
{
	return mq_store_failure(r->store) ? UINT64_MAX : r->mq->logged;
}

static uint64_t see(struct run *r, const struct mq_entry *e)
{
	struct sd_slice body;
	bool dead;
	if (!mq_body(r->mq, e->message, &body)) {
		if (sd_sim_is_up(r->node))
			wrong(r, "a body cannot be read");
		return 0;
	}
	uint32_t id = id_of(r, body);
	unsigned place = place_of(e->queue->name, &dead);
	if (!id) {
		wrong(r, "a body that nobody published");
		return 0;
	}
	struct message *m = &r->messages[id];
	/* A millisecond is as fine as both clocks are compared. */
	if (place == DELAYED && r->mq->wall_ms + 1 < m->not_before_ms)
		wrong(r, "message %" PRIu32 " comes %" PRId64 " ms early", id, m->not_before_ms - r->mq->wall_ms);
	if (m->dead[place] && !dead)
		wrong(r, "message %" PRIu32 " is in its queue and among the dead letters", id);
	bool again = e->redelivered || (dead && !m->dead[place]);
	if (dead)
		m->dead[place] = now(r);
	r->dead += dead;
	r->delivered++;
	r->redelivered += e->redelivered;
	sd_qcheck_delivered(r->check, check_of(id, place), again);
	return check_of(id, place);
}

static void on_deliver(struct mq_channel *ch, struct mq_consumer *c, const struct mq_entry *e)
{
	struct consumer *to = sd_container(ch, struct consumer, ch);
	(void)c;
	uint64_t check = see(to->run, e);
	if (to->n < OUT)
		to->out[to->n++] = (struct delivery){e->tag, check};
}

static bool has_room(struct mq_channel *ch)
{
	return sd_container(ch, struct consumer, ch)->n < OUT - 1;
}

static void on_cancelled(struct mq_channel *ch, const struct mq_consumer *c)
{
	(void)ch, (void)c;
}

static void forget(struct consumer *c, unsigned from, unsigned to)
{
	memmove(c->out + from, c->out + to, (c->n - to) * sizeof(*c->out));
	c->n -= to - from;
}

static void acked(struct run *r, const struct delivery *d)
{
	if (d->check && r->nacks < sizeof(r->acks) / sizeof(r->acks[0])) {
		r->acks[r->nacks].check = d->check;
		r->acks[r->nacks++].record = now(r);
	}
}

/* Those of q0 and d have no dead letters but what failed too often. */
static void ended(struct run *r, uint64_t check, enum mq_settle how)
{
	unsigned place = check % PLACES;
	if (how == MQ_ACK || (how == MQ_DISCARD && (place == 0 || place == DELAYED)))
		r->messages[check / PLACES].ended[place] = true;
}

static void settle(struct run *r, struct consumer *c, unsigned i, bool multiple, enum mq_settle how)
{
	struct mq_error e;
	if (!mq_settle(&c->ch, c->out[i].tag, multiple, how, &e))
		wrong(r, "settling: %s", e.text);
	for (unsigned k = multiple ? 0 : i; k <= i; k++) {
		if (how == MQ_ACK)
			acked(r, &c->out[k]);
		ended(r, c->out[k].check, how);
	}
	forget(c, multiple ? 0 : i, i + 1);
	mq_channel_ready(&c->ch);
}

/* ---- producers ---- */

static void answer(struct run *r, struct producer *p, uint64_t n, bool refused)
{
	uint32_t id = p->ids[n];
	const struct message *m = &r->messages[id];
	p->ids[n] = 0;
	if (!id)
		return;
	for (unsigned q = 0; q < PLACES; q++) {
		if (!(m->fan && q < QUEUES) && q != m->queue)
			continue;
		if (!refused)
			sd_qcheck_acknowledged(r->check, check_of(id, q));
		else if (id == p->now)
			sd_qcheck_refused(r->check, check_of(id, q));
	}
	r->confirmed += !refused;
	r->messages[id].confirmed |= !refused;
}

static void on_confirm(struct mq_channel *ch, uint64_t seq, bool multiple, bool refused)
{
	struct producer *p = sd_container(ch, struct producer, ch);
	uint64_t n = multiple ? p->low : seq;
	if (seq > p->next)
		wrong(p->run, "a confirm of what was not published");
	for (; n <= seq && n <= p->next; n++)
		answer(p->run, p, n, refused);
	while (p->low <= p->next && !p->ids[p->low])
		p->low++;
}

static void on_returned(struct mq_channel *ch, unsigned code, const char *text, const struct mq_message *m)
{
	(void)code, (void)m;
	wrong(sd_container(ch, struct producer, ch)->run, "a message went nowhere: %s", text);
}

static const struct mq_channel_ops producing = {.confirm = on_confirm, .returned = on_returned, .room = has_room};
static const struct mq_channel_ops consuming = {.deliver = on_deliver, .room = has_room, .cancelled = on_cancelled};

static uint32_t size_of(struct run *r)
{
	switch (sd_rng_below(&r->rng, 24)) {
	case 0:
		return 8 + sd_rng_below(&r->rng, 60000);
	case 1:
	case 2:
		return 8 + sd_rng_below(&r->rng, 3000);
	default:
		return 8 + sd_rng_below(&r->rng, 200);
	}
}

/* Tells the checker before anybody can see it. */
static void note(struct run *r, unsigned producer, uint32_t id)
{
	const struct message *m = &r->messages[id];
	for (unsigned q = 0; q < QUEUES; q++)
		if (m->fan || q == m->queue)
			sd_qcheck_published(r->check, producer * QUEUES + q, check_of(id, q));
	if (m->queue == DELAYED)
		sd_qcheck_published(r->check, PRODUCERS * QUEUES + r->delayed++, check_of(id, DELAYED));
}

static void send(struct run *r, struct producer *p, uint32_t id)
{
	static char body[70000];
	const struct message *m = &r->messages[id];
	struct sd_amqp_properties properties = {.has = SD_AMQP_DELIVERY_MODE, .delivery_mode = 2};
	struct sd_text headers = {0}, raw = {0};
	char key[8];
	struct mq_error e;
	if (m->queue == DELAYED) {
		sd_amqp_put_int(&headers, "x-delay", m->not_before_ms - r->mq->wall_ms);
		properties.has |= SD_AMQP_HEADERS;
		properties.headers = (struct sd_slice){headers.p, headers.n};
	}
	sd_amqp_put_properties(&raw, &properties);
	fill(body, id, m->size);
	snprintf(key, sizeof(key), m->queue == DELAYED ? "d" : "q%u", m->queue);
	struct mq_publication pub = {.exchange = sd_slice_of(m->fan ? "fan" : ""), .key = sd_slice_of(key),
				     .properties = {raw.p, raw.n}, .body = {body, m->size}, .mandatory = true};
	p->ids[++p->next] = id;
	p->now = id;
	if (!mq_publish(&p->ch, &pub, &e))
		wrong(r, "publishing: %s", e.text);
	p->now = 0;
	free(headers.p);
	free(raw.p);
}

static void publish(struct run *r)
{
	unsigned which = sd_rng_below(&r->rng, PRODUCERS), kind = sd_rng_below(&r->rng, 20);
	if (r->published == MESSAGES)
		return;
	uint32_t id = ++r->published;
	struct message *m = &r->messages[id];
	*m = (struct message){.size = size_of(r), .queue = (uint8_t)sd_rng_below(&r->rng, QUEUES), .fan = kind == 0};
	if (kind == 1 && r->delayed < 50000) {
		m->queue = DELAYED;
		m->not_before_ms = r->mq->wall_ms + 1 + sd_rng_below(&r->rng, 200);
	}
	note(r, which, id);
	send(r, &r->producers[which], id);
}

/* ---- controls ---- */

static uint64_t settle_nothing(void *arg, const struct mq_queue *q, uint64_t seq)
{
	struct run *r = arg;
	(void)q, (void)seq;
	return r->mq->logged;
}

static uint64_t settle_first(void *arg, struct mq_message *m, struct mq_entry *const *entries, size_t n, const struct mq_entry *from)
{
	struct run *r = arg;
	if (from) {
		r->real.settle(r->real.arg, from->queue, from->seq);
		mq_store_flush(r->store);
		mq_store_sync(r->store);
	}
	return r->real.publish(r->real.arg, m, entries, n, NULL);
}

static uint64_t pass_publish(void *arg, struct mq_message *m, struct mq_entry *const *entries, size_t n, const struct mq_entry *from)
{
	const struct mq_journal *j = &((struct run *)arg)->real;
	return j->publish(j->arg, m, entries, n, from);
}

static uint64_t pass_settle(void *arg, const struct mq_queue *q, uint64_t seq)
{
	const struct mq_journal *j = &((struct run *)arg)->real;
	return j->settle(j->arg, q, seq);
}

static uint64_t pass_failed(void *arg, const struct mq_entry *e)
{
	const struct mq_journal *j = &((struct run *)arg)->real;
	return j->failed(j->arg, e);
}

static uint64_t pass_purged(void *arg, const struct mq_queue *q, uint64_t upto)
{
	const struct mq_journal *j = &((struct run *)arg)->real;
	return j->purged(j->arg, q, upto);
}

static uint64_t pass_define(void *arg, enum mq_define what, bool gone, struct sd_slice text)
{
	const struct mq_journal *j = &((struct run *)arg)->real;
	return j->define(j->arg, what, gone, text);
}

static bool pass_fetch(void *arg, struct mq_message *m)
{
	const struct mq_journal *j = &((struct run *)arg)->real;
	return j->fetch(j->arg, m);
}

static void pass_ended(void *arg, struct mq_entry *e)
{
	const struct mq_journal *j = &((struct run *)arg)->real;
	j->ended(j->arg, e);
}

static struct mq_journal journal_of(struct run *r)
{
	r->real = mq_store_journal(r->store);
	return (struct mq_journal){
	    .arg = r,
	    .publish = r->control == TWO_RECORDS ? settle_first : pass_publish,
	    .settle = r->control == NO_SETTLE ? settle_nothing : pass_settle,
	    .failed = pass_failed,
	    .purged = pass_purged,
	    .define = pass_define,
	    .fetch = pass_fetch,
	    .ended = pass_ended,
	};
}

/* ---- what there is ---- */

static struct mq_vhost *vhost(struct run *r)
{
	return mq_vhost_find(r->mq, sd_slice_of("/"));
}

/* dead: where it dead-letters to; NULL: to a queue that is made when it is needed, and only what failed too often. */
static void declare(struct run *r, const char *name, const char *dead)
{
	struct mq_error e;
	struct mq_queue *q;
	struct sd_text t = {0};
	if (dead) {
		sd_amqp_put_string(&t, "x-dead-letter-exchange", sd_slice_of(""));
		sd_amqp_put_string(&t, "x-dead-letter-routing-key", sd_slice_of(dead));
	}
	struct mq_queue_decl d = {.name = sd_slice_of(name), .durable = true, .connection = r, .arguments = {t.p, t.n}};
	if (!mq_queue_declare(vhost(r), &d, &q, &e))
		wrong(r, "declaring: %s", e.text);
	free(t.p);
}

static void declare_all(struct run *r)
{
	struct mq_error e;
	char name[4], dead[8];
	struct mq_exchange_decl x = {.name = sd_slice_of("fan"), .type = sd_slice_of("fanout"), .durable = true};
	if (!mq_exchange_declare(vhost(r), &x, &e))
		wrong(r, "declaring: %s", e.text);
	for (unsigned i = 0; i < QUEUES; i++) {
		snprintf(name, sizeof(name), "q%u", i);
		snprintf(dead, sizeof(dead), "q%u.dlq", i);
		if (i)
			declare(r, dead, NULL);
		declare(r, name, i ? dead : NULL);
		if (!mq_queue_bind(vhost(r), r, sd_slice_of(name), sd_slice_of("fan"), sd_slice_of(""), (struct sd_slice){0}, &e))
			wrong(r, "binding: %s", e.text);
	}
	declare(r, "d", NULL);
	r->declared_record = r->mq->logged;
}

static void change_extra(struct run *r)
{
	struct mq_error e;
	uint64_t n;
	char name[4];
	unsigned i = sd_rng_below(&r->rng, EXTRAS);
	struct extra *x = &r->extras[i];
	if (mq_store_failure(r->store) || x->record > r->mq->stored)
		return;
	snprintf(name, sizeof(name), "t%u", i);
	x->before = x->there;
	if (x->there && !mq_queue_delete(vhost(r), r, sd_slice_of(name), false, false, &n, &e))
		wrong(r, "deleting: %s", e.text);
	if (!x->there)
		declare(r, name, NULL);
	x->there = !x->there;
	x->record = r->mq->logged;
}

/* After a start. */
static void topology(struct run *r, uint64_t stored)
{
	char name[4];
	for (unsigned i = 0; i < EXTRAS; i++) {
		struct extra *x = &r->extras[i];
		snprintf(name, sizeof(name), "t%u", i);
		bool is = mq_queue_find(vhost(r), sd_slice_of(name)) != NULL;
		if (is != x->there && (x->record <= stored || is != x->before))
			wrong(r, "queue %s is %sthere", name, is ? "" : "not ");
		x->there = x->before = is;
		x->record = 0;
	}
	r->declared |= r->declared_record && r->declared_record <= stored;
	for (unsigned i = 0; i < QUEUES && r->declared; i++) {
		snprintf(name, sizeof(name), "q%u", i);
		if (!mq_queue_find(vhost(r), sd_slice_of(name)) || !mq_exchange_find(vhost(r), sd_slice_of("fan")))
			wrong(r, "%s or its exchange is gone", name);
	}
}

/* ---- the life of a broker ---- */

static void told(struct run *r)
{
	unsigned n = 0;
	for (unsigned i = 0; i < r->nacks; i++)
		if (r->acks[i].record <= r->mq->stored && r->control != SYNC_NEVER)
			sd_qcheck_consumed(r->check, r->acks[i].check);
		else
			r->acks[n++] = r->acks[i];
	r->nacks = n;
}

static void turn(struct run *r)
{
	if (r->in_turn) {
		r->again = true;
		return;
	}
	r->in_turn = true;
	do {
		r->again = false;
		mq_time(r->mq, sd_world_mono_ns(r->node) / 1000000, sd_world_wall_ns(r->node) / 1000000);
		while (mq_turn(r->mq))
			;
		mq_store_turn(r->store);
		told(r);
	} while (r->again);
	r->in_turn = false;
}

static void on_stored(void *arg)
{
	struct run *r = arg;
	if (!r->closing)
		turn(r);
}

static void begin_consumer(struct run *r, struct consumer *c)
{
	struct mq_error e;
	struct mq_consumer *out;
	char name[4];
	*c = (struct consumer){.run = r};
	mq_channel_begin(&c->ch, vhost(r), &consuming, c, sd_slice_of("guest"));
	if (c == &r->getter || r->draining)
		return;
	mq_qos(&c->ch, 0, 1 + sd_rng_below(&r->rng, 20), false, &e);
	for (unsigned i = 0; i <= QUEUES; i++) {
		snprintf(name, sizeof(name), i < QUEUES ? "q%u" : "d", i);
		if (sd_rng_below(&r->rng, 2) && !mq_consume(&c->ch, sd_slice_of(name), sd_slice_of(name), false, false, false,
							     (struct sd_slice){0}, &out, &e))
			wrong(r, "consuming: %s", e.text);
	}
}

static void begin_channels(struct run *r)
{
	struct mq_error e;
	for (unsigned i = 0; i < PRODUCERS; i++) {
		struct producer *p = &r->producers[i];
		memset(p->ids, 0, sizeof(p->ids));
		p->run = r;
		p->low = 1;
		p->next = 0;
		mq_channel_begin(&p->ch, vhost(r), &producing, p, sd_slice_of("guest"));
		mq_confirm_select(&p->ch, &e);
	}
	for (unsigned i = 0; i < CONSUMERS; i++)
		begin_consumer(r, &r->consumers[i]);
	begin_consumer(r, &r->getter);
}

static void consumer_acts(struct run *r)
{
	struct consumer *c = &r->consumers[sd_rng_below(&r->rng, CONSUMERS)];
	uint32_t what = sd_rng_below(&r->rng, 100);
	if (what < 2) { /* it dies, and another one comes */
		mq_channel_end(&c->ch);
		begin_consumer(r, c);
		return;
	}
	if (!c->n)
		return;
	unsigned i = sd_rng_below(&r->rng, c->n);
	if (what < 60)
		settle(r, c, i, false, MQ_ACK);
	else if (what < 75)
		settle(r, c, i, true, MQ_ACK);
	else if (what < 86)
		settle(r, c, i, false, MQ_REQUEUE);
	else if (what < 94)
		settle(r, c, i, false, MQ_DISCARD);
}

/* One of any queue; false: it is empty. */
static bool get_one(struct run *r, const char *queue)
{
	struct mq_error e;
	struct mq_entry *out;
	uint64_t left;
	struct consumer *c = &r->getter;
	if (!mq_queue_find(vhost(r), sd_slice_of(queue)))
		return false;
	if (!mq_get(&c->ch, sd_slice_of(queue), false, &out, &left, &e)) {
		wrong(r, "getting: %s", e.text);
		return false;
	}
	if (!out)
		return false;
	uint64_t tag = out->tag;
	c->out[0] = (struct delivery){tag, see(r, out)};
	c->n = 1;
	settle(r, c, 0, false, MQ_ACK);
	return true;
}

static void dead_letters(struct run *r)
{
	char name[8];
	snprintf(name, sizeof(name), "q%u.dlq", sd_rng_below(&r->rng, QUEUES));
	get_one(r, name);
}

/* Those that the disk does not know of after `stored`. */
static void each_dead(struct run *r, uint64_t stored, uint64_t record)
{
	for (uint32_t id = 1; id <= r->published; id++)
		for (unsigned q = 0; q <= QUEUES; q++)
			if (r->messages[id].dead[q] > stored)
				r->messages[id].dead[q] = record;
}

/* What the log did not get it is told again, with other numbers. */
static void retry(struct run *r)
{
	uint64_t stored = r->mq->stored;
	if (mq_store_retry(r->store, NULL))
		return;
	r->retried++;
	for (unsigned i = 0; i < r->nacks; i++)
		if (r->acks[i].record > stored)
			r->acks[i].record = r->store->appended;
	for (unsigned i = 0; i < EXTRAS; i++)
		if (r->extras[i].record > stored)
			r->extras[i].record = r->store->appended;
	if (r->declared_record > stored)
		r->declared_record = r->store->appended;
	each_dead(r, stored, r->store->appended);
}

static void disk_acts(struct run *r)
{
	struct mq_store_stats st;
	struct sd_sim_disk *disk = sd_sim_disk(r->node);
	mq_store_stats(r->store, &st);
	if (r->fills && !disk->capacity && sd_rng_below(&r->rng, 60) == 0) {
		uint64_t bytes = 0;
		disk->capacity = 1u << 30;
		sd_disk_free(r->node, DIR, &bytes, NULL);
		disk->capacity = (1u << 30) - bytes + sd_rng_below(&r->rng, 40000);
	}
	if (!st.full)
		return;
	r->full++;
	if (sd_rng_below(&r->rng, 10) == 0)
		disk->capacity = 0;
	if (sd_rng_below(&r->rng, 4) == 0)
		retry(r);
}

static void on_closed(void *arg, enum sd_err err)
{
	struct run *r = arg;
	(void)err;
	r->closed = true;
}

static void act(struct sd_timer *t)
{
	struct run *r = sd_container(t, struct run, timer);
	uint32_t n = 1 + sd_rng_below(&r->rng, 6);
	if (r->closing)
		return;
	if (r->actions == 0) {
		r->closing = true;
		mq_store_close(r->store, on_closed, r);
		return;
	}
	r->actions--;
	for (uint32_t i = 0; i < n; i++) {
		uint32_t what = sd_rng_below(&r->rng, 100);
		if (what < 45)
			publish(r);
		else if (what < 92)
			consumer_acts(r);
		else if (what < 96)
			dead_letters(r);
		else if (what < 98)
			change_extra(r);
	}
	disk_acts(r);
	turn(r);
	sd_loop_timer_set(r->loop, t, sd_loop_now_ns(r->loop) + (int64_t)sd_rng_below(&r->rng, 3000000));
}

static void end_channels(struct run *r)
{
	for (unsigned i = 0; i < PRODUCERS; i++)
		mq_channel_end(&r->producers[i].ch);
	for (unsigned i = 0; i < CONSUMERS; i++)
		mq_channel_end(&r->consumers[i].ch);
	mq_channel_end(&r->getter.ch);
	r->started = false;
}

static void tear_down(struct run *r)
{
	struct mq_store_stats st = {0};
	if (r->store)
		mq_store_stats(r->store, &st);
	if (r->started) /* only their memory: what they had comes back in no log */
		end_channels(r);
	if (r->mq) { /* it may have come back to its queue; numbers of records begin anew */
		each_dead(r, r->mq->stored, 0);
		each_dead(r, 0, 1);
	}
	r->compactions += st.compactions;
	r->fetched += st.fetched;
	mq_store_free(r->store);
	if (r->mq)
		mq_free(r->mq);
	sd_helpers_free(r->helpers);
	if (r->loop) {
		sd_loop_timer_cancel(r->loop, &r->timer);
		sd_loop_flush(r->loop);
		sd_loop_free(r->loop);
	}
	r->store = NULL;
	r->mq = NULL;
	r->loop = NULL;
	r->helpers = NULL;
	r->closing = r->closed = r->in_turn = false;
	r->nacks = 0;
}

/* False when the power went meanwhile, or the log was refused. */
static bool set_up(struct run *r)
{
	struct sd_error e = {0};
	struct mq_store_found found;
	uint64_t stored = r->mq ? r->mq->stored : 0;
	(void)stored;
	sd_sim_boot(r->node);
	r->loop = sd_loop_new(r->node, NULL);
	r->helpers = sd_helpers_new(r->node, 2);
	r->timer = (struct sd_timer){.fn = act};
	sd_loop_start(r->loop, "broker", NULL);
	r->store = mq_store_new(r->node, r->loop, r->helpers, &r->conf);
	r->store->drop_live = r->control == DROP_LIVE;
	struct mq_journal journal = journal_of(r);
	r->mq = mq_new(&r->broker, &journal, r->published + 1, sd_world_mono_ns(r->node) / 1000000,
		       sd_world_wall_ns(r->node) / 1000000);
	enum sd_err err = mq_store_open(r->store, r->mq, &found, &e);
	if (err && sd_sim_is_up(r->node) && (err == SD_EINVAL || err == SD_EUNSUPPORTED))
		wrong(r, "%s", e.text);
	r->refused_opens += err != SD_OK;
	if (err)
		return false;
	r->opens++;
	return true;
}

static void start(struct run *r, uint64_t stored)
{
	topology(r, stored);
	declare_all(r);
	begin_channels(r);
	r->started = true;
	if (!r->draining)
		sd_loop_timer_set(r->loop, &r->timer, sd_loop_now_ns(r->loop) + 1);
}

static void live(struct run *r)
{
	uint64_t limit = sd_sim_steps(r->sim) + 2000000;
	while (sd_sim_is_up(r->node) && !r->closed && sd_sim_step(r->sim))
		if (sd_sim_steps(r->sim) > limit) {
			wrong(r, "it does not come to an end");
			return;
		}
}

/* ---- runs ---- */

static void begin(struct run *r, uint64_t seed, enum control control)
{
	static const uint32_t segments[] = {8192, 16384, 50000, 200000};
	*r = (struct run){.sim = sd_sim_new(seed), .control = control, .check = sd_qcheck_new()};
	sd_rng_seed(&r->rng, seed);
	r->node = sd_sim_node(r->sim, "broker");
	sd_sim_disk(r->node)->stale = seed % 2;
	r->conf = (struct mq_store_conf){
	    .dir = DIR,
	    .sync = control == SYNC_NEVER ? SD_WAL_NEVER : SD_WAL_ALWAYS,
	    .segment_bytes = segments[sd_rng_below(&r->rng, 4)],
	    .stored = on_stored,
	    .arg = r,
	};
	r->broker = mq_conf_default();
	r->broker.memory = seed % 3 == 0 ? 0 : seed % 3 == 1 ? 20000 : 1u << 30;
}

static uint64_t stored_of(const struct run *r)
{
	return r->mq ? r->mq->stored : 0;
}

/* Everything that is left comes out, in a world without faults. */
static void drain(struct run *r, uint64_t stored)
{
	static const char *const queues[] = {"q0", "q1", "q2", "d", "q0.dlq", "q1.dlq", "q2.dlq", "d.dlq"};
	sd_sim_power_cut_at(r->node, 0);
	for (unsigned op = 0; op < SD_SIM_OPS; op++)
		sd_sim_fail(r->node, op, 0, 0, 0);
	sd_sim_disk(r->node)->capacity = 0;
	r->draining = true;
	if (!set_up(r)) {
		wrong(r, "the last start was refused");
		return;
	}
	start(r, stored);
	/* All delays end. */
	sd_sim_run_to(r->sim, sd_sim_now_ns(r->sim) + 300000000);
	turn(r);
	for (size_t i = 0; i < sizeof(queues) / sizeof(queues[0]); i++)
		while (get_one(r, queues[i]))
			turn(r);
	sd_sim_run_to(r->sim, sd_sim_now_ns(r->sim) + 1000000000);
	if (r->mq->messages)
		wrong(r, "%zu messages do not come out", r->mq->messages);
	for (uint32_t id = 1; id <= r->published; id++)
		for (unsigned q = 0; q <= QUEUES; q++) {
			const struct message *m = &r->messages[id];
			bool there = q == m->queue || (m->fan && q < QUEUES);
			if (m->confirmed && there && !m->ended[q])
				wrong(r, "message %" PRIu32 " was confirmed, and nobody ended it", id);
		}
}

static bool is_good(struct run *r, uint64_t seed, uint64_t place)
{
	struct sd_qcheck_report report;
	sd_qcheck_report(r->check, &report);
	bool good = sd_qcheck_good(&report, 0) && !r->faults;
	if (good || r->control)
		return good;
	char *text = sd_qcheck_report_text(&report);
	sd_sim_print_trace(r->sim, stdout, 40);
	printf("seed %" PRIu64 ", place %" PRIu64 ": %s\n%s\n", seed, place, r->what, text);
	fflush(stdout);
	free(text);
	return false;
}

static void end(struct run *r)
{
	tear_down(r);
	sd_qcheck_free(r->check);
	sd_sim_free(r->sim);
}

struct sum {
	uint64_t opens, published, confirmed, delivered, redelivered, dead, compactions, fetched, full, retried, bad;
};

static void add_up(struct sum *s, const struct run *r)
{
	s->opens += r->opens;
	s->published += r->published;
	s->confirmed += r->confirmed;
	s->delivered += r->delivered;
	s->redelivered += r->redelivered;
	s->dead += r->dead;
	s->compactions += r->compactions;
	s->fetched += r->fetched;
	s->full += r->full;
	s->retried += r->retried;
}

static uint64_t one_life(struct run *r, uint64_t stored)
{
	uint32_t fate = sd_rng_below(&r->rng, 8);
	r->actions = 20 + sd_rng_below(&r->rng, 150);
	r->fills = fate == 6;
	sd_sim_disk(r->node)->capacity = 0;
	if (fate <= 3 || fate == 6)
		sd_sim_power_cut_at(r->node, 1 + sd_rng_below(&r->rng, 300));
	if (fate == 4)
		sd_sim_fail(r->node, sd_rng_below(&r->rng, 2) ? SD_SIM_SYNC : SD_SIM_WRITE, 1 + sd_rng_below(&r->rng, 60), 1, 5);
	uint64_t steps = fate == 5 ? sd_rng_below(&r->rng, 1000) : 0;
	if (set_up(r)) {
		start(r, stored);
		while (steps > 1 && sd_sim_is_up(r->node) && !r->closed && sd_sim_step(r->sim))
			steps--;
		if (fate != 5)
			live(r);
		stored = stored_of(r);
	}
	if (sd_sim_is_up(r->node) && fate == 5)
		sd_sim_kill(r->node);
	tear_down(r);
	sd_sim_power_cut_at(r->node, 0);
	sd_sim_fail(r->node, SD_SIM_SYNC, 0, 0, 0);
	sd_sim_fail(r->node, SD_SIM_WRITE, 0, 0, 0);
	return stored;
}

static bool lives(uint64_t seed, enum control control, struct sum *sum)
{
	struct run *r = malloc(sizeof(*r));
	uint64_t stored = 0;
	begin(r, seed, control);
	for (unsigned i = 0; i < LIVES; i++)
		stored = one_life(r, stored);
	drain(r, stored);
	bool good = is_good(r, seed, 0);
	add_up(sum, r);
	sum->bad += !good;
	end(r);
	free(r);
	return good;
}

START_TEST(many_lives)
{
	uint64_t from, to;
	struct sum s = {0};
	sim_seeds(LIFE_SEEDS, &from, &to);
	for (uint64_t seed = from; seed <= to; seed++)
		ck_assert_msg(lives(seed, NONE, &s), "seed %" PRIu64, seed);
	printf("mq: %" PRIu64 " seeds, %" PRIu64 " starts, %" PRIu64 " published, %" PRIu64 " confirmed, %" PRIu64 " delivered, %" PRIu64
	       " of them redelivered, %" PRIu64 " dead letters, %" PRIu64 " segments compacted, %" PRIu64 " bodies fetched, %" PRIu64
	       " turns with a full disk, %" PRIu64 " times room again\n",
	       to - from + 1, s.opens, s.published, s.confirmed, s.delivered, s.redelivered, s.dead, s.compactions, s.fetched, s.full,
	       s.retried);
	if (to - from + 1 < LIFE_SEEDS)
		return; /* too few to be sure that each kind of thing is among them */
	ck_assert_uint_gt(s.dead, 0);
	ck_assert_uint_gt(s.compactions, 0);
	ck_assert_uint_gt(s.fetched, 0);
	ck_assert_uint_gt(s.retried, 0);
}
END_TEST

/* The power goes at every place of a short life. */
static bool cut_at(uint64_t seed, uint64_t n, struct sum *sum)
{
	struct run *r = malloc(sizeof(*r));
	uint64_t stored = 0;
	begin(r, seed, NONE);
	r->actions = 40;
	r->conf.segment_bytes = 8192;
	sd_sim_power_cut_at(r->node, n);
	if (set_up(r)) {
		start(r, 0);
		live(r);
		stored = stored_of(r);
	}
	bool cut = !sd_sim_is_up(r->node);
	if (!cut)
		sd_sim_power_cut(r->node);
	tear_down(r);
	drain(r, stored);
	bool good = is_good(r, seed, n);
	add_up(sum, r);
	end(r);
	free(r);
	ck_assert_msg(good, "seed %" PRIu64 ", place %" PRIu64, seed, n);
	return cut;
}

START_TEST(power_cut_everywhere)
{
	uint64_t from, to, runs = 0;
	struct sum s = {0};
	sim_seeds(CUT_SEEDS, &from, &to);
	to = to - from >= CUT_SEEDS ? from + CUT_SEEDS - 1 : to;
	for (uint64_t seed = from; seed <= to; seed++)
		for (uint64_t n = 1; runs++, cut_at(seed, n, &s); n++)
			;
	printf("mq: power cut at %" PRIu64 " places of %" PRIu64 " seeds, %" PRIu64 " confirmed\n", runs, to - from + 1, s.confirmed);
}
END_TEST

/* ---- controls: what keeps a promise is switched off ---- */

static const char *const control_names[] = {"", "sync never", "settling is not journalled", "compaction drops what is live",
					    "dead-lettering in two records"};
START_TEST(controls)
{
	struct sum s = {0};
	uint64_t seed = 1;
	while (seed <= 400 && lives(seed, (enum control)_i, &s))
		seed++;
	printf("control: %s: seen to fail with seed %" PRIu64 "\n", control_names[_i], seed);
	ck_assert_uint_le(seed, 400);
}
END_TEST

/* The same seed is the same run. */
START_TEST(same_again)
{
	uint64_t digest[2];
	for (unsigned i = 0; i < 2; i++) {
		struct run *r = malloc(sizeof(*r));
		begin(r, 7, NONE);
		uint64_t stored = one_life(r, 0);
		one_life(r, stored);
		digest[i] = sd_sim_digest(r->sim);
		end(r);
		free(r);
	}
	ck_assert_uint_eq(digest[0], digest[1]);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("sim mq");
	TCase *t = tcase_create("mq");
	if (!sim_is_wanted("mq"))
		return EXIT_SUCCESS;
	tcase_set_timeout(t, 36000);
	tcase_add_test(t, many_lives);
	tcase_add_test(t, power_cut_everywhere);
	tcase_add_loop_test(t, controls, SYNC_NEVER, TWO_RECORDS + 1);
	tcase_add_test(t, same_again);
	suite_add_tcase(s, t);
	return sim_run(s);
}
