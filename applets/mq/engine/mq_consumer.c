/* mq_consumer.c - consumers: which of them can take something, and whose turn it is. */
#include <stdlib.h>

#include "mq_stream.h"

/* ---- those that are able: a list of each queue, by priority, then by turn. Who cannot is taken out of it when that is noticed, and
 * comes back with an acknowledgement or room in its channel: nobody is looked at in vain twice ---- */

static bool is_able(const struct mq_consumer *c)
{
	return c->of_able.next != NULL;
}

void mq_consumer_rest(struct mq_consumer *c)
{
	if (!is_able(c))
		return;
	sd_list_del(&c->of_able);
	c->of_able.next = NULL;
}

/* Before the first that has less priority, looked for from the end. */
static void insert(struct sd_link *list, struct sd_link *l, size_t offset, int32_t priority)
{
	struct sd_link *after = list->prev;
	while (after != list && ((struct mq_consumer *)(void *)((char *)after - offset))->priority < priority)
		after = after->prev;
	sd_list_push(after, l);
}

void mq_consumer_wake(struct mq_consumer *c)
{
	if (!c->queue || is_able(c) || c->queue->going || (c->queue->limits.single_active && !c->active))
		return;
	insert(&c->queue->able, &c->of_able, offsetof(struct mq_consumer, of_able), c->priority);
	mq_queue_touch(c->queue);
}

void mq_channel_wake(struct mq_channel *ch)
{
	for (struct sd_link *l = ch->consumers.next; l != &ch->consumers; l = l->next)
		mq_consumer_wake(sd_container(l, struct mq_consumer, of_channel));
}

bool mq_consumer_can(const struct mq_consumer *c)
{
	const struct mq_channel *ch = c->channel;
	if (!c->no_ack && ((c->prefetch && c->unacked >= c->prefetch) || (ch->global_prefetch && ch->nlimited >= ch->global_prefetch)))
		return false;
	return ch->ops->room(c->channel);
}

/* ---- making one ---- */

static bool check_consumer(const struct mq_channel *ch, struct mq_queue *q, bool exclusive, struct mq_error *e)
{
	struct sd_link *first = q->consumers.next;
	if (!mq_queue_access(q, ch->connection, e))
		return false;
	bool taken = first != &q->consumers && (exclusive || sd_container(first, struct mq_consumer, of_queue)->exclusive);
	return !taken || mq_fail(e, 403, "queue '%.*s' in vhost '%.*s' in exclusive use", MQ_ARG(MQ_NAME(q)), MQ_ARG(MQ_NAME(q->vhost)));
}

static bool read_priority(const struct mq_queue *q, struct sd_slice arguments, int32_t *out, struct mq_error *e)
{
	struct sd_amqp_field f;
	int64_t n;
	*out = 0;
	if (!sd_amqp_find(arguments, "x-priority", &f))
		return true;
	if (!sd_amqp_field_int(&f, &n))
		return mq_fail(e, 406, "invalid arg 'x-priority' for queue '%.*s' in vhost '%.*s': expected a whole number",
			       MQ_ARG(MQ_NAME(q)), MQ_ARG(MQ_NAME(q->vhost)));
	*out = n < INT32_MIN ? INT32_MIN : n > INT32_MAX ? INT32_MAX : (int32_t)n;
	return true;
}

static struct mq_consumer *new_consumer(struct mq_channel *ch, struct sd_slice tag, struct sd_slice arguments)
{
	struct mq_consumer *c = calloc(1, sizeof(*c) + tag.n + 1);
	if (!c)
		return NULL;
	c->channel = ch;
	c->tag_n = (uint8_t)tag.n;
	memcpy(c->tag, tag.p, tag.n);
	c->e = (struct sd_dict_entry){.hash = sd_dict_hash(&ch->by_tag, tag), .klen = (uint32_t)tag.n};
	if (mq_slice_copy(arguments, &c->arguments) && sd_dict_add(&ch->by_tag, &c->e)) {
		sd_list_init(&c->of_queue);
		sd_list_add(&ch->consumers, &c->of_channel);
		return c;
	}
	free((char *)c->arguments.p);
	free(c);
	return NULL;
}

static struct mq_consumer *find(struct mq_channel *ch, struct sd_slice tag)
{
	tag = mq_key(tag);
	struct sd_dict_entry *e = sd_dict_find(&ch->by_tag, tag, sd_dict_hash(&ch->by_tag, tag));
	return e ? sd_container(e, struct mq_consumer, e) : NULL;
}

/* amq.ctag- and 22 letters. */
static struct sd_slice made_tag(struct mq *b, char *room)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	memcpy(room, "amq.ctag-", 9);
	for (int i = 0; i < 22; i++)
		room[9 + i] = letters[sd_rng_below(&b->rng, 64)];
	return (struct sd_slice){room, 31};
}

struct mq_consumer *mq_consumer_new(struct mq_channel *ch, struct sd_slice tag, struct sd_slice arguments, struct mq_error *e)
{
	char room[40];
	if (!tag.n)
		tag = made_tag(ch->vhost->mq, room);
	struct mq_consumer *c = tag.n > UINT8_MAX ? NULL : new_consumer(ch, tag, arguments);
	if (!c)
		mq_no_memory(e);
	return c;
}

static void join(struct mq_consumer *c, struct mq_queue *q)
{
	c->queue = q;
	insert(&q->consumers, &c->of_queue, offsetof(struct mq_consumer, of_queue), c->priority);
	q->nconsumers++;
	q->had_consumers = true;
	c->active = !q->limits.single_active || q->nconsumers == 1;
	mq_queue_used(q);
	mq_consumer_wake(c);
}

bool mq_consume(struct mq_channel *ch, struct sd_slice queue, struct sd_slice tag, bool no_local, bool no_ack, bool exclusive,
		struct sd_slice arguments, struct mq_consumer **out, struct mq_error *e)
{
	int32_t priority;
	(void)no_local; /* as in RabbitMQ */
	if (!mq_channel_queue(ch, &queue, e))
		return false;
	if (tag.n && find(ch, tag) && !(mq_is_reply(queue) && ch->reply_tag))
		return mq_fail(e, 530, "attempt to reuse consumer tag '%.*s'", MQ_ARG(tag));
	if (mq_is_reply(queue))
		return mq_reply_consume(ch, tag, no_ack, out, e);
	struct mq_queue *q = mq_queue_find(ch->vhost, queue);
	if (!q)
		return mq_no_queue(ch->vhost, queue, e);
	if (!check_consumer(ch, q, exclusive, e) || !mq_consume_check(q, ch, no_ack, arguments, e) ||
	    !read_priority(q, arguments, &priority, e))
		return false;
	struct mq_consumer *c = mq_consumer_new(ch, tag, arguments, e);
	if (!c)
		return false;
	c->no_ack = no_ack;
	c->exclusive = exclusive;
	c->priority = priority;
	c->prefetch = ch->prefetch;
	join(c, q);
	*out = c;
	if (!q->stream || mq_stream_consume(c, e))
		return true;
	mq_consumer_end(c, false);
	return false;
}

/* ---- ending one ---- */

/* What it has stays with the channel. */
static void disown(struct mq_consumer *c)
{
	uint64_t tag = 0;
	for (struct mq_entry *e; c->unacked && (e = mq_index_from(&c->channel->unacked, &tag)); tag++)
		if ((const char *)e != mq_timed_out && e->consumer == c) {
			e->consumer = NULL;
			c->unacked--;
		}
}

static void next_active(struct mq_queue *q)
{
	struct sd_link *first = q->consumers.next;
	if (first == &q->consumers)
		return;
	struct mq_consumer *c = sd_container(first, struct mq_consumer, of_queue);
	c->active = true;
	mq_consumer_wake(c);
}

void mq_consumer_end(struct mq_consumer *c, bool told)
{
	struct mq_queue *q = c->queue;
	struct mq_channel *ch = c->channel;
	mq_consumer_rest(c);
	disown(c);
	sd_list_del(&c->of_queue);
	sd_list_del(&c->of_channel);
	sd_dict_remove(&ch->by_tag, &c->e);
	if (told)
		ch->ops->cancelled(ch, c);
	if (c->reader)
		mq_stream_leave(c);
	if (q) {
		q->nconsumers--;
		if (q->limits.single_active && c->active && !q->going)
			next_active(q);
	} else {
		mq_reply_end(ch);
	}
	free((char *)c->arguments.p);
	free(c);
	if (q)
		mq_queue_release(q);
}

bool mq_cancel(struct mq_channel *ch, struct sd_slice tag)
{
	struct mq_consumer *c = find(ch, tag);
	if (c)
		mq_consumer_end(c, false);
	return true;
}
