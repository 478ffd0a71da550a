/* mq_deliver.c - who gets what: a queue's head to the consumer whose turn it is. */
#include "mq_stream.h"

#define AT_ONCE	  64   /* of one queue, before the next one's turn */
#define IN_A_TURN 4096 /* of all */

static struct mq_consumer *next_consumer(struct mq_queue *q)
{
	while (!sd_list_empty(&q->able)) {
		struct mq_consumer *c = sd_container(q->able.next, struct mq_consumer, of_able);
		if (mq_consumer_can(c))
			return c;
		mq_consumer_rest(c);
	}
	return NULL;
}

void mq_consumer_turned(struct mq_queue *q, struct mq_consumer *c)
{
	struct sd_link *at = q->able.prev;
	if (at == &c->of_able)
		return;
	while (sd_container(at, struct mq_consumer, of_able)->priority < c->priority)
		at = at->prev;
	if (at == &c->of_able)
		return;
	sd_list_del(&c->of_able);
	sd_list_push(at, &c->of_able);
}

/* It stays in the log: whoever looks after that may bring it back. */
static void unreadable(struct mq_entry *e)
{
	struct mq_queue *q = e->queue;
	mq_say(q->vhost->mq, "mq.unreadable", "A message of %s cannot be read from the log and is left out", q->name);
	mq_entry_out(e);
	mq_entry_free(e);
}

void mq_count_delivery(struct mq_queue *q, struct mq_consumer *c, const struct mq_entry *e)
{
	struct mq *b = q->vhost->mq;
	b->count.delivered++;
	c->delivered++;
	*(c->no_ack ? &q->count.delivered_no_ack : &q->count.delivered) += 1;
	if (e->redelivered) {
		q->count.redelivered++;
		b->count.redelivered++;
	}
}

static void deliver_no_ack(struct mq_entry *e, struct mq_consumer *c)
{
	struct mq_channel *ch = c->channel;
	e->tag = ch->next_tag++;
	mq_entry_out(e);
	ch->ops->deliver(ch, c, e);
	mq_body_used(e->queue->vhost->mq, e->message);
	mq_entry_settle(e);
}

/* False: no memory to remember that it is out; it stays. */
static bool deliver_ack(struct mq_entry *e, struct mq_consumer *c)
{
	if (!mq_entry_take(e, c->channel, c))
		return false;
	c->channel->ops->deliver(c->channel, c, e);
	mq_body_used(e->queue->vhost->mq, e->message);
	return true;
}

/* Its time was over before this turn, only it was not looked at yet. */
static bool too_late(const struct mq_entry *e)
{
	return sd_wheel_is_set(&e->due) && e->due.due_ms < e->queue->vhost->mq->now_ms;
}

static bool deliver_one(struct mq_queue *q)
{
	struct mq_entry *e = mq_ready_head(q);
	struct mq_consumer *c = e ? next_consumer(q) : NULL;
	if (!c)
		return false;
	if (too_late(e)) {
		mq_entry_due(e);
		return true;
	}
	if (!mq_body_load(q->vhost->mq, e->message)) {
		unreadable(e);
		return true;
	}
	mq_count_delivery(q, c, e);
	mq_consumer_turned(q, c);
	if (c->no_ack)
		deliver_no_ack(e, c);
	else if (!deliver_ack(e, c))
		return false;
	return true;
}

bool mq_turn(struct mq *b)
{
	for (unsigned left = IN_A_TURN; left && !sd_list_empty(&b->busy);) {
		struct mq_queue *q = sd_container(b->busy.next, struct mq_queue, busy);
		unsigned n = 0;
		sd_list_del(&q->busy);
		while (n < AT_ONCE && n < left && (q->stream ? mq_stream_deliver(q) : deliver_one(q)))
			n++;
		if (n)
			mq_queue_touch(q);
		left -= n;
	}
	mq_streams_turn(b);
	mq_press(b, NULL);
	mq_confirm_say(b);
	return !sd_list_empty(&b->busy) || !sd_list_empty(&b->retain);
}

/* ---- basic.get ---- */

static void count_get(struct mq_queue *q, bool no_ack, const struct mq_entry *e)
{
	*(no_ack ? &q->count.got_no_ack : &q->count.got) += 1;
	q->vhost->mq->count.delivered++;
	if (e->redelivered) {
		q->count.redelivered++;
		q->vhost->mq->count.redelivered++;
	}
}

static bool get_from(struct mq_channel *ch, struct mq_queue *q, bool no_ack, struct mq_entry **out, struct mq_error *e)
{
	struct mq_entry *head;
	*out = NULL;
	while ((head = mq_ready_head(q)) && (too_late(head) || !mq_body_load(q->vhost->mq, head->message)))
		(too_late(head) ? mq_entry_due : unreadable)(head);
	if (!head)
		return true;
	if (no_ack) {
		head->tag = ch->next_tag++;
		mq_entry_out(head);
	} else if (!mq_entry_take(head, ch, NULL)) {
		return mq_no_memory(e);
	}
	count_get(q, no_ack, head);
	*out = head;
	return true;
}

bool mq_get(struct mq_channel *ch, struct sd_slice queue, bool no_ack, struct mq_entry **out, uint64_t *left, struct mq_error *e)
{
	if (!mq_channel_queue(ch, &queue, e))
		return false;
	struct mq_queue *q = mq_queue_find(ch->vhost, queue);
	if (!q)
		return mq_no_queue(ch->vhost, queue, e);
	if (q->stream)
		return mq_stream_cannot(q, "basic.get", e);
	if (!mq_queue_access(q, ch->connection, e) || !get_from(ch, q, no_ack, out, e))
		return false;
	mq_queue_used(q);
	*left = q->nready;
	return true;
}

void mq_got(struct mq_channel *ch, struct mq_entry *e)
{
	mq_body_used(ch->vhost->mq, e->message);
	mq_entry_settle(e);
}
