/* mq_entry.c - the life of an entry: the place of a message in a queue. */
#include <stdlib.h>

#include "core/backoff.h"
#include "mq_stream.h"

const char mq_timed_out[1] = "";

struct mq_entry *mq_entry_new(struct mq_queue *q, struct mq_message *m)
{
	struct mq *b = q->vhost->mq;
	struct mq_entry *e = malloc(sizeof(*e));
	if (!e)
		return NULL;
	*e = (struct mq_entry){.message = mq_message_hold(m), .queue = q, .seq = ++q->next_seq, .expires_ms = MQ_NEVER};
	e->where = MQ_LEAVING;
	e->durable = mq_queue_stays(q) && (m->persistent || q->stream);
	e->not_before_ms = q->stream ? 0 : m->not_before_ms;
	b->entries++;
	if (!q->stream || mq_stream_reserve(e))
		return e;
	e->durable = false;
	q->next_seq--;
	mq_entry_free(e);
	return NULL;
}

void mq_entry_free(struct mq_entry *e)
{
	struct mq *b = e->queue->vhost->mq;
	mq_log_ended(b, e);
	sd_wheel_cancel(&b->wheel, &e->due);
	mq_message_drop(b, e->message);
	b->entries--;
	free(e);
}

int64_t mq_wall_due(const struct mq *b, int64_t wall_ms)
{
	return b->now_ms + (wall_ms - b->wall_ms);
}

/* ---- in and out; the message counts in its queue while it is in one of its lists ---- */

void mq_entry_count(struct mq_entry *e, int n)
{
	struct mq_queue *q = e->queue;
	q->bytes += (uint64_t)(int64_t)n * e->message->body_n;
	q->vhost->messages += (uint64_t)(int64_t)n;
	q->vhost->mq->messages += (size_t)(ptrdiff_t)n;
}

/* Of both times to live the shorter one, from when it came: a delay does not count. */
static int64_t expires(const struct mq_entry *e)
{
	const struct mq_message *m = e->message;
	int64_t ttl = e->queue->limits.ttl_ms, from = m->not_before_ms ? m->not_before_ms : m->published_ms;
	if (m->expiration_ms != MQ_NO_LIMIT && (ttl == MQ_NO_LIMIT || m->expiration_ms < ttl))
		ttl = m->expiration_ms;
	return ttl == MQ_NO_LIMIT ? MQ_NEVER : from + ttl;
}

static void make_ready(struct mq_entry *e)
{
	struct mq_queue *q = e->queue;
	struct mq *b = q->vhost->mq;
	if (e->order) {
		mq_ready_back(e);
	} else {
		e->expires_ms = expires(e);
		mq_ready_add(e);
	}
	if (e->expires_ms != MQ_NEVER)
		sd_wheel_set(&b->wheel, &e->due, mq_wall_due(b, e->expires_ms));
	mq_queue_touch(q);
}

static void make_delayed(struct mq_entry *e)
{
	struct mq *b = e->queue->vhost->mq;
	e->where = MQ_DELAYED;
	e->queue->ndelayed++;
	sd_list_add(&e->queue->delayed, &e->link);
	sd_wheel_set(&b->wheel, &e->due, mq_wall_due(b, e->not_before_ms));
}

static void put_in(struct mq_entry *e)
{
	mq_entry_count(e, 1);
	if (e->queue->stream)
		mq_stream_append(e);
	else if (e->not_before_ms > e->queue->vhost->mq->wall_ms)
		make_delayed(e);
	else
		make_ready(e);
}

void mq_entry_place(struct mq_entry *e)
{
	put_in(e);
}

/* What failed before has a place already. */
void mq_entry_restore(struct mq_entry *e)
{
	if (e->failures) {
		e->order = ++e->queue->next_order;
		e->expires_ms = expires(e);
	}
	put_in(e);
}

void mq_entry_back(struct mq_entry *e)
{
	e->redelivered = true;
	put_in(e);
}

static void leave_channel(struct mq_entry *e)
{
	struct mq_channel *ch = e->channel;
	struct mq_consumer *c = e->consumer;
	mq_index_take(&ch->unacked, e->tag);
	ch->nunacked--;
	if (e->limited && ch->nlimited-- == ch->global_prefetch)
		mq_channel_wake(ch);
	if (c) {
		c->unacked--;
		mq_consumer_wake(c);
	}
	e->channel = NULL;
	e->consumer = NULL;
}

void mq_entry_out(struct mq_entry *e)
{
	struct mq_queue *q = e->queue;
	if (e->where == MQ_LEAVING)
		return;
	sd_wheel_cancel(&q->vhost->mq->wheel, &e->due);
	if (e->where == MQ_READY) {
		mq_ready_remove(e);
	} else {
		size_t *n = e->where == MQ_UNACKED ? &q->nunacked : &q->ndelayed;
		sd_list_del(&e->link);
		*n -= !e->shadow;
		if (e->where == MQ_UNACKED)
			leave_channel(e);
	}
	e->where = MQ_LEAVING;
	if (!e->shadow)
		mq_entry_count(e, -1);
}

bool mq_entry_take(struct mq_entry *e, struct mq_channel *ch, struct mq_consumer *c)
{
	struct mq_queue *q = e->queue;
	struct mq *b = q->vhost->mq;
	if (!mq_index_put(&ch->unacked, ch->next_tag, e))
		return false;
	sd_wheel_cancel(&b->wheel, &e->due);
	if (e->where == MQ_READY)
		mq_ready_remove(e);
	e->tag = ch->next_tag++;
	e->where = MQ_UNACKED;
	e->channel = ch;
	e->consumer = c;
	e->limited = c != NULL;
	ch->nunacked++;
	q->nunacked += !e->shadow;
	if (c) {
		c->unacked++;
		ch->nlimited++;
	}
	sd_list_add(&q->unacked, &e->link);
	if (q->limits.visibility_ms != MQ_NO_LIMIT)
		sd_wheel_set(&b->wheel, &e->due, b->now_ms + q->limits.visibility_ms);
	return true;
}

void mq_entry_settle(struct mq_entry *e)
{
	struct mq *b = e->queue->vhost->mq;
	mq_entry_out(e);
	mq_log_settle(b, e);
	mq_entry_free(e);
}

/* ---- coming back ---- */

/* Doubling with every failure, any moment of it as likely as another: those that failed together do not come back together. */
static int64_t back_off(struct mq *b, const struct mq_limits *l, unsigned failures)
{
	struct sd_backoff wait = {l->retry_min_ms, l->retry_max_ms, SD_GROW_DOUBLING, 1};
	return sd_backoff(&wait, failures, sd_rng_unit(&b->rng));
}

void mq_entry_returned(struct mq_entry *e)
{
	struct mq_queue *q = e->queue;
	struct mq *b = q->vhost->mq;
	if (e->shadow) {
		mq_stream_settle(e, MQ_REQUEUE);
		return;
	}
	mq_entry_out(e);
	if (e->failures < UINT16_MAX)
		e->failures++;
	q->count.returned++;
	e->redelivered = true;
	if (q->limits.delivery_limit != MQ_NO_LIMIT && e->failures > q->limits.delivery_limit && mq_dead_letter(e, MQ_TOO_OFTEN))
		return;
	e->not_before_ms = q->limits.retry_min_ms > 0 ? b->wall_ms + back_off(b, &q->limits, e->failures) : 0;
	mq_log_failed(b, e);
	mq_entry_back(e);
	mq_queue_trim(q);
}

/* ---- time ---- */

/* Dead-lettered, or tried again in a second: without memory nothing is lost. */
static void expire(struct mq_entry *e)
{
	struct mq *b = e->queue->vhost->mq;
	bool again = e->redelivered;
	mq_entry_out(e);
	if (mq_dead_letter(e, MQ_EXPIRED))
		return;
	e->expires_ms = b->wall_ms + 1000;
	mq_entry_back(e);
	e->redelivered = again;
}

static void delay_over(struct mq_entry *e)
{
	struct mq *b = e->queue->vhost->mq;
	if (e->message->by_wall && !e->failures && e->not_before_ms > b->wall_ms) { /* that clock was put back */
		sd_wheel_set(&b->wheel, &e->due, mq_wall_due(b, e->not_before_ms));
		return;
	}
	mq_entry_out(e);
	e->not_before_ms = 0;
	mq_entry_place(e);
	mq_queue_trim(e->queue);
}

/* Whoever had it may settle its tag late: that is then no error. */
static void too_long(struct mq_entry *e)
{
	struct mq_channel *ch = e->channel;
	uint64_t tag = e->tag;
	mq_entry_returned(e);
	mq_index_put(&ch->unacked, tag, MQ_TIMED_OUT);
}

void mq_entry_due(struct mq_entry *e)
{
	static void (*const what[])(struct mq_entry *) = {
	    [MQ_READY] = expire, [MQ_UNACKED] = too_long, [MQ_DELAYED] = delay_over};
	if (e->where < sizeof(what) / sizeof(what[0]))
		what[e->where](e);
}

static void rewind_queue(void *arg, struct sd_dict_entry *de)
{
	struct mq *b = arg;
	struct mq_queue *q = sd_container(de, struct mq_queue, e);
	if (q->stream)
		mq_stream_aged(q);
	for (struct sd_link *l = q->delayed.next; l != &q->delayed; l = l->next) {
		struct mq_entry *e = sd_container(l, struct mq_entry, link);
		if (e->message->by_wall && !e->failures)
			sd_wheel_set(&b->wheel, &e->due, mq_wall_due(b, e->not_before_ms));
	}
}

static void rewind_vhost(void *arg, struct sd_dict_entry *de)
{
	sd_dict_each(&sd_container(de, struct mq_vhost, e)->queues, rewind_queue, arg);
}

void mq_entries_rewind(struct mq *b)
{
	sd_dict_each(&b->vhosts, rewind_vhost, b);
}
