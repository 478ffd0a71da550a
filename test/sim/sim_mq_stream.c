/* Streams of the broker in the simulated world: producers with confirms, groups whose members come, acknowledge, give back, leave and
 * die, somebody who reads all; a process that is killed, power that goes at any write and sync, disks that fill up and have room again.
 *
 * A run is several lives of one broker on one machine. What must hold:
 *
 *	1  a message that was confirmed is in the stream, unless it left at its front, and every group acknowledged it in the end: an
 *	   offset never goes past a message that is not done with
 *	2  an offset that somebody saw never means another message
 *	3  what a group gets for the first time comes in the order of its key; what comes again is flagged
 *	4  messages with one key are never out at two members at a time
 *	5  a group that comes back is not before the place that the disk knew, nor behind the last that it had
 *
 * Controls, which must be seen to fail: sync `never`; offsets that are logged when a message is given out; offsets that are not logged;
 * partitions that move while something of them is out.
 *
 *	SEEDS=n, SEED=k, SEED_FROM=n, ONLY=mq_stream as for the other simulations
 */
#include <check.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../applets/mq/engine/mq_stream.h"
#include "../../applets/mq/store/mq_store_int.h"
#include "core/bytes.h"
#include "core/rng.h"
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
#define LIVES	 6
#define PRODUCERS 2
#define KEYS	 12
#define GROUPS	 2
#define MEMBERS	 3
#define MESSAGES 6000
#define OUT	 32
#define DIR	 "data"

enum control { NONE, SYNC_NEVER, LOGGED_EARLY, NOT_LOGGED, MOVED_EARLY };

struct of_group {
	bool given, acked;
};
struct message {
	uint32_t size;
	uint8_t key, producer;
	bool confirmed;
	bool read; /* the last one who read all found it */
	uint64_t offset; /* as it was seen; UINT64_MAX: nobody did */
	struct of_group in[GROUPS];
};

struct run;
struct producer {
	struct run *run;
	struct mq_channel ch;
	uint32_t ids[MESSAGES + 1]; /* by number of publication */
	uint64_t low, next;
};
struct consumer {
	struct run *run;
	struct mq_channel ch;
	unsigned group; /* GROUPS: reads all */
	uint64_t last; /* offset, of one who reads all */
	bool any;
	struct {
		uint64_t tag;
		uint32_t id;
	} out[OUT];
	unsigned n;
};
/* Where a share was when this record was written. */
struct mark {
	uint64_t record, at[GROUPS][MQ_PARTITIONS_MAX / 128];
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
	struct mq_journal real;
	enum control control;
	struct sd_rng rng;
	struct sd_timer timer;
	unsigned partitions;
	int64_t max_bytes; /* 0: nothing leaves the stream */
	struct producer producers[PRODUCERS];
	struct consumer members[GROUPS][MEMBERS], reader;
	struct message messages[MESSAGES + 1];
	uint32_t by_offset[MESSAGES + 1]; /* the message that somebody saw there; 0: nobody did */
	uint32_t last[GROUPS][PRODUCERS][KEYS]; /* the last that came for the first time */
	uint32_t published;
	struct mark marks[512], durable, newest;
	unsigned nmarks;
	bool fills, failed; /* failed: the log was full in this life, and numbers of records began anew */
	unsigned actions;
	bool closing, closed, in_turn, again, draining, started;
	uint64_t faults, opens, confirmed, delivered, redelivered, moved, compactions, full, retried, dropped;
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

static struct mq_vhost *vhost(struct run *r)
{
	return mq_vhost_find(r->mq, sd_slice_of("/"));
}

static struct mq_queue *stream(struct run *r)
{
	return mq_queue_find(vhost(r), sd_slice_of("s"));
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
	static char due[4096];
	uint64_t id = body.n < 8 ? 0 : sd_get_le(body.p, 8);
	if (id == 0 || id > r->published || body.n != r->messages[id].size)
		return 0;
	fill(due, (uint32_t)id, (uint32_t)body.n);
	return memcmp(due, body.p, body.n) == 0 ? (uint32_t)id : 0;
}

/* ---- consumers ---- */

static void seen_at(struct run *r, uint32_t id, uint64_t offset)
{
	struct message *m = &r->messages[id];
	if (offset > MESSAGES)
		return;
	if ((r->by_offset[offset] && r->by_offset[offset] != id) || (m->offset != UINT64_MAX && m->offset != offset))
		wrong(r, "offset %" PRIu64 " is message %" PRIu32 ", and was %" PRIu32, offset, id, r->by_offset[offset]);
	r->by_offset[offset] = id;
	m->offset = offset;
}

static bool has_key_out(const struct run *r, const struct consumer *c, uint8_t key)
{
	for (unsigned i = 0; i < c->n; i++)
		if (r->messages[c->out[i].id].key == key)
			return true;
	return false;
}

static void to_group(struct run *r, struct consumer *c, uint32_t id, bool again)
{
	struct message *m = &r->messages[id];
	uint32_t *last = &r->last[c->group][m->producer][m->key];
	if (m->in[c->group].given && !again)
		wrong(r, "message %" PRIu32 " comes again to group %u without a flag", id, c->group);
	if (!again && id < *last)
		wrong(r, "message %" PRIu32 " comes behind %" PRIu32 " of the same key", id, *last);
	if (id > *last)
		*last = id;
	for (unsigned i = 0; i < MEMBERS; i++)
		if (&r->members[c->group][i] != c && has_key_out(r, &r->members[c->group][i], m->key))
			wrong(r, "message %" PRIu32 " is given out while another member has one of its key", id);
	m->in[c->group].given = true;
}

static void to_reader(struct run *r, struct consumer *c, uint32_t id, uint64_t offset)
{
	if (c->any && offset <= c->last)
		wrong(r, "offset %" PRIu64 " comes behind %" PRIu64, offset, c->last);
	c->last = offset;
	c->any = true;
	r->messages[id].read = true;
}

static void on_deliver(struct mq_channel *ch, struct mq_consumer *k, const struct mq_entry *e)
{
	struct consumer *c = sd_container(ch, struct consumer, ch);
	struct run *r = c->run;
	struct sd_slice body;
	(void)k;
	uint32_t id = mq_body(r->mq, e->message, &body) ? id_of(r, body) : 0;
	if (!id) {
		if (sd_sim_is_up(r->node))
			wrong(r, "a body that nobody published, or that cannot be read");
		return;
	}
	r->delivered++;
	r->redelivered += e->redelivered;
	seen_at(r, id, e->seq - 1);
	if (c->group < GROUPS)
		to_group(r, c, id, e->redelivered);
	else
		to_reader(r, c, id, e->seq - 1);
	c->out[c->n].tag = e->tag;
	c->out[c->n++].id = id;
}

static bool has_room(struct mq_channel *ch)
{
	return sd_container(ch, struct consumer, ch)->n < OUT;
}

static bool always(struct mq_channel *ch)
{
	(void)ch;
	return true;
}

static void on_cancelled(struct mq_channel *ch, const struct mq_consumer *c)
{
	(void)ch, (void)c;
}

static const struct mq_channel_ops consuming = {.deliver = on_deliver, .room = has_room, .cancelled = on_cancelled};

static void settle(struct run *r, struct consumer *c, unsigned i, bool multiple, enum mq_settle how)
{
	struct mq_error e;
	uint64_t tag = c->out[i].tag;
	unsigned from = multiple ? 0 : i;
	for (unsigned k = from; k <= i; k++)
		if (c->group < GROUPS && how != MQ_REQUEUE)
			r->messages[c->out[k].id].in[c->group].acked = true;
	memmove(c->out + from, c->out + i + 1, (c->n - i - 1) * sizeof(c->out[0]));
	c->n -= i + 1 - from;
	if (!mq_settle(&c->ch, tag, multiple, how, &e))
		wrong(r, "settling: %s", e.text);
	mq_channel_ready(&c->ch);
}

static void begin_consumer(struct run *r, struct consumer *c, unsigned group)
{
	char name[4];
	struct mq_error e;
	struct mq_consumer *out;
	struct sd_text t = {0};
	*c = (struct consumer){.run = r, .group = group};
	mq_channel_begin(&c->ch, vhost(r), &consuming, c, sd_slice_of("guest"));
	mq_qos(&c->ch, 0, 1 + sd_rng_below(&r->rng, 12), false, &e);
	snprintf(name, sizeof(name), "g%u", group);
	if (group < GROUPS)
		sd_amqp_put_string(&t, "x-stream-group", sd_slice_of(name));
	sd_amqp_put_string(&t, "x-stream-offset", sd_slice_of("first"));
	if (!mq_consume(&c->ch, sd_slice_of("s"), (struct sd_slice){0}, false, false, false, (struct sd_slice){t.p, t.n}, &out, &e))
		wrong(r, "consuming: %s", e.text);
	free(t.p);
}

static void end_consumer(struct consumer *c)
{
	c->n = 0; /* what it had may be another's at once */
	mq_channel_end(&c->ch);
}

static void consumer_acts(struct run *r)
{
	unsigned group = sd_rng_below(&r->rng, GROUPS);
	struct consumer *c = &r->members[group][sd_rng_below(&r->rng, MEMBERS)];
	uint32_t what = sd_rng_below(&r->rng, 100);
	if (sd_rng_below(&r->rng, 8) == 0)
		c = &r->reader;
	if (what < 3) {
		end_consumer(c);
		begin_consumer(r, c, c->group);
		r->moved++;
	} else if (c->n) {
		unsigned i = sd_rng_below(&r->rng, c->n);
		bool alone = c->group == GROUPS;
		settle(r, c, i, what < 30, what < 80 || alone ? MQ_ACK : what < 95 ? MQ_REQUEUE : MQ_DISCARD);
	}
}

/* ---- producers ---- */

static void on_confirm(struct mq_channel *ch, uint64_t seq, bool multiple, bool refused)
{
	struct producer *p = sd_container(ch, struct producer, ch);
	struct run *r = p->run;
	for (uint64_t n = multiple ? p->low : seq; n <= seq && n <= p->next; n++) {
		if (p->ids[n] && !refused) {
			r->messages[p->ids[n]].confirmed = true;
			r->confirmed++;
		}
		p->ids[n] = 0;
	}
	while (p->low <= p->next && !p->ids[p->low])
		p->low++;
}

static const struct mq_channel_ops producing = {.confirm = on_confirm, .room = always};

static void publish(struct run *r)
{
	static char body[4096];
	unsigned which = sd_rng_below(&r->rng, PRODUCERS);
	struct producer *p = &r->producers[which];
	struct sd_text headers = {0}, raw = {0};
	struct mq_error e;
	if (r->published == MESSAGES)
		return;
	uint32_t id = ++r->published;
	struct message *m = &r->messages[id];
	*m = (struct message){.size = 8 + sd_rng_below(&r->rng, sd_rng_below(&r->rng, 12) ? 200 : 4000), .producer = (uint8_t)which,
			      .key = (uint8_t)sd_rng_below(&r->rng, KEYS), .offset = UINT64_MAX};
	sd_amqp_put_int(&headers, "k", m->key);
	struct sd_amqp_properties properties = {.has = SD_AMQP_HEADERS, .headers = {headers.p, headers.n}};
	sd_amqp_put_properties(&raw, &properties);
	fill(body, id, m->size);
	struct mq_publication pub = {.exchange = sd_slice_of(sd_rng_below(&r->rng, 4) ? "" : "amq.fanout"), .key = sd_slice_of("s"),
				     .properties = {raw.p, raw.n}, .body = {body, m->size}};
	p->ids[++p->next] = id;
	if (!mq_publish(&p->ch, &pub, &e))
		wrong(r, "publishing: %s", e.text);
	free(headers.p);
	free(raw.p);
}

/* ---- controls ---- */

/* What is out counts as done with. */
static uint64_t define_early(struct run *r, bool gone, struct sd_slice text)
{
	struct sd_amqp_field f, queue, group, shares;
	struct sd_text t = {0};
	sd_amqp_find(text, "queue", &queue);
	sd_amqp_find(text, "group", &group);
	sd_amqp_find(text, "shares", &shares);
	sd_amqp_put_int(&t, "queue", queue.n);
	sd_amqp_put_string(&t, "group", group.s);
	size_t at = sd_amqp_begin_field(&t, "shares", 'A');
	for (int64_t n[3] = {0}; shares.s.n;) {
		for (size_t i = 0; i < 3 && sd_amqp_next_item(&shares.s, &f); i++)
			n[i] = f.n;
		n[1] = n[1] > n[2] ? n[1] : n[2] + 1;
		for (size_t i = 0; i < 3; i++)
			sd_amqp_put_int(&t, NULL, n[i]);
	}
	sd_amqp_end_field(&t, at);
	uint64_t record = r->real.define(r->real.arg, MQ_DEFINE_STREAM, gone, (struct sd_slice){t.p, t.n});
	free(t.p);
	return record;
}

static uint64_t on_define(void *arg, enum mq_define what, bool gone, struct sd_slice text)
{
	struct run *r = arg;
	struct sd_amqp_field f;
	bool group = what == MQ_DEFINE_STREAM && sd_amqp_find(text, "group", &f);
	if (group && r->control == NOT_LOGGED)
		return r->mq->logged;
	if (group && r->control == LOGGED_EARLY)
		return define_early(r, gone, text);
	return r->real.define(r->real.arg, what, gone, text);
}

static uint64_t on_publish(void *arg, struct mq_message *m, struct mq_entry *const *entries, size_t n, const struct mq_entry *from)
{
	const struct mq_journal *j = &((struct run *)arg)->real;
	return j->publish(j->arg, m, entries, n, from);
}
static uint64_t on_settle(void *arg, const struct mq_queue *q, uint64_t seq)
{
	const struct mq_journal *j = &((struct run *)arg)->real;
	return j->settle(j->arg, q, seq);
}
static uint64_t on_purged(void *arg, const struct mq_queue *q, uint64_t upto)
{
	const struct mq_journal *j = &((struct run *)arg)->real;
	return j->purged(j->arg, q, upto);
}
static uint64_t on_failed(void *arg, const struct mq_entry *e)
{
	const struct mq_journal *j = &((struct run *)arg)->real;
	return j->failed(j->arg, e);
}
static bool on_fetch(void *arg, struct mq_message *m)
{
	const struct mq_journal *j = &((struct run *)arg)->real;
	return j->fetch(j->arg, m);
}
static void on_ended(void *arg, struct mq_entry *e)
{
	const struct mq_journal *j = &((struct run *)arg)->real;
	j->ended(j->arg, e);
}

static struct mq_journal journal_of(struct run *r)
{
	r->real = mq_store_journal(r->store);
	return (struct mq_journal){.arg = r, .publish = on_publish, .settle = on_settle, .failed = on_failed, .purged = on_purged,
				   .define = on_define, .fetch = on_fetch, .ended = on_ended};
}

/* Every share goes to whom it is to go, whatever is out. */
static void move_early(struct run *r)
{
	char name[4];
	for (unsigned g = 0; g < GROUPS; g++) {
		snprintf(name, sizeof(name), "g%u", g);
		struct mq_group *group = mq_group_find(stream(r)->stream, sd_slice_of(name));
		for (unsigned i = 0; group && i < r->partitions; i++) {
			struct mq_share *s = &group->shares[i];
			size_t out = s->nout;
			s->nout = 0;
			mq_share_settled(s);
			s->nout = out;
		}
	}
}

/* ---- where groups are ---- */

struct place {
	struct mark *mark;
	unsigned group;
};

static void on_group(void *arg, const struct mq_group_state *g)
{
	((struct place *)arg)->group = (unsigned)(g->name[1] - '0');
}

static void on_share(void *arg, const struct mq_share_state *s)
{
	const struct place *p = arg;
	p->mark->at[p->group][s->partition] = s->offset;
}

static struct mark where(struct run *r)
{
	struct mark m = {.record = r->mq->logged};
	struct place p = {.mark = &m};
	mq_groups(stream(r), on_group, on_share, &p);
	return m;
}

/* At the end of a turn the log has been told. */
static void note_places(struct run *r)
{
	unsigned n = 0;
	r->failed |= mq_store_failure(r->store) != NULL;
	r->newest = where(r);
	if (r->failed)
		return;
	if (r->nmarks < sizeof(r->marks) / sizeof(r->marks[0]))
		r->marks[r->nmarks++] = r->newest;
	for (unsigned i = 0; i < r->nmarks; i++)
		if (r->marks[i].record <= r->mq->stored)
			r->durable = r->marks[i];
		else
			r->marks[n++] = r->marks[i];
	r->nmarks = n;
}

static unsigned partition_of(struct run *r, uint64_t offset)
{
	const struct mq_line *all = &stream(r)->stream->all;
	uint64_t place = mq_line_from(all, offset + 1);
	return place < all->end && mq_line_at(all, place)->seq == offset + 1 ? (unsigned)mq_line_at(all, place)->partition : r->partitions;
}

/* The end of the stream, and its front, may have moved a place that had nothing before it; only what is between counts. */
static void compare_places(struct run *r)
{
	uint64_t first, end;
	if (!stream(r))
		return;
	const struct mark is = where(r);
	mq_stream_range(stream(r), &first, &end);
	for (unsigned g = 0; g < GROUPS; g++)
		for (unsigned p = 0; p < r->partitions; p++) {
			uint64_t low = r->durable.at[g][p], high = r->newest.at[g][p], at = is.at[g][p];
			if (at < low && at < end)
				wrong(r, "group %u of partition %u is at %" PRIu64 ", and the disk knew %" PRIu64, g, p, at, low);
			if (at > high && at > first && high < end)
				for (uint64_t o = high; o < at && o < MESSAGES; o++) {
					const struct message *m = &r->messages[r->by_offset[o]];
					if (r->by_offset[o] && o >= first && partition_of(r, o) == p && !m->in[g].acked)
						wrong(r, "group %u of partition %u is at %" PRIu64 ", past %" PRIu64, g, p, at, o);
				}
		}
}

/* ---- the life of a broker ---- */

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
		if (r->control == MOVED_EARLY && stream(r))
			move_early(r);
		while (mq_turn(r->mq))
			;
		mq_store_turn(r->store);
		if (r->started)
			note_places(r);
	} while (r->again);
	r->in_turn = false;
}

static void on_stored(void *arg)
{
	struct run *r = arg;
	if (!r->closing)
		turn(r);
}

/* A queue that is read at once makes segments of which little lives, so that streams are compacted. */
static void declare(struct run *r)
{
	struct sd_text t = {0};
	struct mq_error e;
	struct mq_queue *q;
	sd_amqp_put_string(&t, "x-queue-type", sd_slice_of("stream"));
	sd_amqp_put_int(&t, "x-stream-partitions", r->partitions);
	sd_amqp_put_string(&t, "x-stream-partition-by", sd_slice_of("k"));
	if (r->max_bytes)
		sd_amqp_put_int(&t, "x-max-length-bytes", r->max_bytes);
	struct mq_queue_decl d = {.name = sd_slice_of("s"), .durable = true, .connection = r, .arguments = {t.p, t.n}};
	struct mq_queue_decl other = {.name = sd_slice_of("q"), .durable = true, .connection = r};
	if (!mq_queue_declare(vhost(r), &d, &q, &e) || !mq_queue_declare(vhost(r), &other, &q, &e))
		wrong(r, "declaring: %s", e.text);
	for (size_t i = 0; i < 2; i++)
		if (!mq_queue_bind(vhost(r), r, sd_slice_of(i ? "s" : "q"), sd_slice_of("amq.fanout"), (struct sd_slice){0},
				   (struct sd_slice){0}, &e))
			wrong(r, "binding: %s", e.text);
	free(t.p);
}

static void empty_queue(struct run *r)
{
	struct mq_error e;
	uint64_t n;
	char big[3000] = {0};
	struct mq_publication pub = {.key = sd_slice_of("q"), .body = {big, sizeof(big)}, .properties = {"\x10\0\2", 3}};
	mq_queue_purge(vhost(r), r, sd_slice_of("q"), &n, &e);
	struct producer *p = &r->producers[0];
	p->ids[++p->next] = 0;
	if (!mq_publish(&p->ch, &pub, &e))
		wrong(r, "publishing: %s", e.text);
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
	for (unsigned g = 0; g < GROUPS; g++)
		for (unsigned i = 0; i < MEMBERS; i++)
			begin_consumer(r, &r->members[g][i], g);
	begin_consumer(r, &r->reader, GROUPS);
}

static void end_channels(struct run *r)
{
	for (unsigned i = 0; i < PRODUCERS; i++)
		mq_channel_end(&r->producers[i].ch);
	for (unsigned g = 0; g < GROUPS; g++)
		for (unsigned i = 0; i < MEMBERS; i++)
			end_consumer(&r->members[g][i]);
	end_consumer(&r->reader);
	r->started = false;
}

static void disk_acts(struct run *r)
{
	struct mq_store_stats st;
	struct sd_sim_disk *disk = sd_sim_disk(r->node);
	mq_store_stats(r->store, &st);
	if (r->fills && !disk->capacity && sd_rng_below(&r->rng, 40) == 0) {
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
	if (sd_rng_below(&r->rng, 4) == 0 && !mq_store_retry(r->store, NULL))
		r->retried++;
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
	uint32_t n = 1 + sd_rng_below(&r->rng, 8);
	if (r->closing)
		return;
	if (r->actions == 0) { /* as the server does: connections first */
		end_channels(r);
		r->closing = true;
		mq_store_close(r->store, on_closed, r);
		return;
	}
	r->actions--;
	for (uint32_t i = 0; i < n; i++) {
		uint32_t what = sd_rng_below(&r->rng, 100);
		if (what < 40)
			publish(r);
		else if (what < 96)
			consumer_acts(r);
		else
			empty_queue(r);
	}
	disk_acts(r);
	turn(r);
	sd_loop_timer_set(r->loop, t, sd_loop_now_ns(r->loop) + (int64_t)sd_rng_below(&r->rng, 3000000));
}

static void tear_down(struct run *r)
{
	struct mq_store_stats st = {0};
	if (r->store)
		mq_store_stats(r->store, &st);
	r->compactions += st.compactions;
	if (r->mq)
		r->mq->journal = (struct mq_journal){0}; /* nothing is told to the log any more */
	mq_store_free(r->store);
	if (r->started)
		end_channels(r);
	if (r->mq && stream(r))
		r->dropped += stream(r)->count.dropped;
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
	r->closing = r->closed = r->in_turn = r->failed = false;
	r->nmarks = 0;
}

/* False when the power went meanwhile, or the log was refused. */
static bool set_up(struct run *r)
{
	struct sd_error e = {0};
	sd_sim_boot(r->node);
	r->loop = sd_loop_new(r->node, NULL);
	r->helpers = sd_helpers_new(r->node, 2);
	r->timer = (struct sd_timer){.fn = act};
	sd_loop_start(r->loop, "broker", NULL);
	r->store = mq_store_new(r->node, r->loop, r->helpers, &r->conf);
	struct mq_journal journal = journal_of(r);
	r->mq = mq_new(&r->broker, &journal, r->published + 1, sd_world_mono_ns(r->node) / 1000000,
		       sd_world_wall_ns(r->node) / 1000000);
	enum sd_err err = mq_store_open(r->store, r->mq, NULL, &e);
	if (err && sd_sim_is_up(r->node) && (err == SD_EINVAL || err == SD_EUNSUPPORTED))
		wrong(r, "%s", e.text);
	if (err)
		return false;
	r->opens++;
	compare_places(r);
	declare(r);
	begin_channels(r);
	r->durable = where(r);
	r->started = true;
	if (!r->draining)
		sd_loop_timer_set(r->loop, &r->timer, sd_loop_now_ns(r->loop) + 1);
	return true;
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
	static const unsigned partitions[] = {1, 3, 5, 8};
	*r = (struct run){.sim = sd_sim_new(seed), .control = control};
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
	r->partitions = partitions[sd_rng_below(&r->rng, 4)];
	r->max_bytes = sd_rng_below(&r->rng, 3) ? 0 : 5000 + sd_rng_below(&r->rng, 50000);
}

/* Everybody acknowledges until nothing comes any more. */
static void take_all(struct run *r)
{
	bool any = true;
	for (unsigned i = 0; any && i < 100000; i++) {
		any = false;
		for (unsigned c = 0; c <= GROUPS * MEMBERS; c++) {
			struct consumer *k = c < GROUPS * MEMBERS ? &r->members[c / MEMBERS][c % MEMBERS] : &r->reader;
			any |= k->n > 0;
			if (k->n)
				settle(r, k, k->n - 1, true, MQ_ACK);
		}
		turn(r);
		sd_sim_run_to(r->sim, sd_sim_now_ns(r->sim) + 100000);
	}
}

static void judge(struct run *r)
{
	uint64_t first, end;
	mq_stream_range(stream(r), &first, &end);
	for (uint32_t id = 1; id <= r->published; id++) {
		const struct message *m = &r->messages[id];
		bool left = r->max_bytes && (m->offset == UINT64_MAX || m->offset < first);
		if (!m->confirmed || left)
			continue;
		if (!m->read)
			wrong(r, "message %" PRIu32 " was confirmed, and is not in the stream", id);
		for (unsigned g = 0; g < GROUPS; g++)
			if (!m->in[g].acked)
				wrong(r, "message %" PRIu32 " at %" PRIu64 " was passed over by group %u", id, m->offset, g);
	}
}

/* Everything comes out, in a world without faults. */
static void drain(struct run *r)
{
	sd_sim_power_cut_at(r->node, 0);
	for (unsigned op = 0; op < SD_SIM_OPS; op++)
		sd_sim_fail(r->node, op, 0, 0, 0);
	sd_sim_disk(r->node)->capacity = 0;
	r->draining = true;
	for (uint32_t id = 1; id <= r->published; id++)
		r->messages[id].read = false;
	if (!set_up(r)) {
		wrong(r, "the last start was refused");
		return;
	}
	turn(r);
	take_all(r);
	judge(r);
}

static bool is_good(struct run *r, uint64_t seed, uint64_t place)
{
	if (!r->faults || r->control)
		return !r->faults;
	sd_sim_print_trace(r->sim, stdout, 40);
	printf("seed %" PRIu64 ", place %" PRIu64 ": %s\n", seed, place, r->what);
	fflush(stdout);
	return false;
}

static void end(struct run *r)
{
	tear_down(r);
	sd_sim_free(r->sim);
}

struct sum {
	uint64_t opens, published, confirmed, delivered, redelivered, moved, compactions, full, retried, dropped;
};

static void add_up(struct sum *s, const struct run *r)
{
	s->opens += r->opens;
	s->published += r->published;
	s->confirmed += r->confirmed;
	s->delivered += r->delivered;
	s->redelivered += r->redelivered;
	s->moved += r->moved;
	s->compactions += r->compactions;
	s->full += r->full;
	s->retried += r->retried;
	s->dropped += r->dropped;
}

static void one_life(struct run *r)
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
		while (steps > 1 && sd_sim_is_up(r->node) && !r->closed && sd_sim_step(r->sim))
			steps--;
		if (fate != 5)
			live(r);
	}
	if (sd_sim_is_up(r->node) && fate == 5)
		sd_sim_kill(r->node);
	tear_down(r);
	sd_sim_power_cut_at(r->node, 0);
	sd_sim_fail(r->node, SD_SIM_SYNC, 0, 0, 0);
	sd_sim_fail(r->node, SD_SIM_WRITE, 0, 0, 0);
}

static bool lives(uint64_t seed, enum control control, struct sum *sum)
{
	struct run *r = malloc(sizeof(*r));
	begin(r, seed, control);
	for (unsigned i = 0; i < LIVES; i++)
		one_life(r);
	drain(r);
	bool good = is_good(r, seed, 0);
	add_up(sum, r);
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
	printf("mq streams: %" PRIu64 " seeds, %" PRIu64 " starts, %" PRIu64 " published, %" PRIu64 " confirmed, %" PRIu64 " delivered, %" PRIu64
	       " of them redelivered, %" PRIu64 " members replaced, %" PRIu64 " left at the front, %" PRIu64 " segments compacted, %" PRIu64
	       " turns with a full disk, %" PRIu64 " times room again\n",
	       to - from + 1, s.opens, s.published, s.confirmed, s.delivered, s.redelivered, s.moved, s.dropped, s.compactions, s.full,
	       s.retried);
	if (to - from + 1 < LIFE_SEEDS)
		return; /* too few to be sure that each kind of thing is among them */
	ck_assert_uint_gt(s.moved, 0);
	ck_assert_uint_gt(s.dropped, 0);
	ck_assert_uint_gt(s.compactions, 0);
	ck_assert_uint_gt(s.retried, 0);
}
END_TEST

/* The power goes at every place of a short life. */
static bool cut_at(uint64_t seed, uint64_t n, struct sum *sum)
{
	struct run *r = malloc(sizeof(*r));
	begin(r, seed, NONE);
	r->actions = 40;
	r->conf.segment_bytes = 8192;
	sd_sim_power_cut_at(r->node, n);
	if (set_up(r))
		live(r);
	bool cut = !sd_sim_is_up(r->node);
	if (!cut)
		sd_sim_power_cut(r->node);
	tear_down(r);
	drain(r);
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
	printf("mq streams: power cut at %" PRIu64 " places of %" PRIu64 " seeds, %" PRIu64 " confirmed\n", runs, to - from + 1, s.confirmed);
}
END_TEST

/* ---- controls: what keeps a promise is switched off ---- */

static const char *const control_names[] = {"", "sync never", "offsets are logged when a message is given out", "offsets are not logged",
					    "partitions move while something of them is out"};
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

int main(void)
{
	Suite *s = suite_create("sim mq_stream");
	TCase *t = tcase_create("mq_stream");
	if (!sim_is_wanted("mq_stream"))
		return EXIT_SUCCESS;
	tcase_set_timeout(t, 36000);
	tcase_add_test(t, many_lives);
	tcase_add_test(t, power_cut_everywhere);
	tcase_add_loop_test(t, controls, SYNC_NEVER, MOVED_EARLY + 1);
	suite_add_tcase(s, t);
	return sim_run(s);
}
