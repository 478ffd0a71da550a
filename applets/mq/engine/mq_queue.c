/* mq_queue.c - queues: their life, and what is asked of them whole. */
#include <stdio.h>
#include <stdlib.h>

#include "mq_stream.h"

bool mq_no_queue(const struct mq_vhost *v, struct sd_slice name, struct mq_error *e)
{
	return mq_fail(e, 404, "no queue '%.*s' in vhost '%.*s'", MQ_ARG(name), MQ_ARG(MQ_NAME(v)));
}

struct mq_queue *mq_queue_find(struct mq_vhost *v, struct sd_slice name)
{
	name = mq_key(name);
	struct sd_dict_entry *e = sd_dict_find(&v->queues, name, sd_dict_hash(&v->queues, name));
	return e ? sd_container(e, struct mq_queue, e) : NULL;
}

bool mq_queue_locked(const struct mq_queue *q, struct mq_error *e)
{
	return mq_fail(e, 405,
		       "cannot obtain exclusive access to locked queue '%.*s' in vhost '%.*s'. It could be originally declared on "
		       "another connection or the exclusive property value does not match that of the original declaration.",
		       MQ_ARG(MQ_NAME(q)), MQ_ARG(MQ_NAME(q->vhost)));
}

bool mq_queue_access(const struct mq_queue *q, const void *connection, struct mq_error *e)
{
	return !q->exclusive || q->owner == connection || mq_queue_locked(q, e);
}

/* ---- its life ---- */

static char *text_argument(struct sd_slice arguments, const char *name)
{
	struct sd_amqp_field f;
	return sd_amqp_find(arguments, name, &f) && f.kind == 'S' ? mq_copy_name(f.s) : NULL;
}

static bool take_arguments(struct mq_queue *q, struct sd_slice arguments)
{
	struct sd_amqp_field f;
	if (!mq_slice_copy(arguments, &q->arguments))
		return false;
	q->dead_exchange = text_argument(arguments, "x-dead-letter-exchange");
	q->dead_key = text_argument(arguments, "x-dead-letter-routing-key");
	return (q->dead_exchange || !sd_amqp_find(arguments, "x-dead-letter-exchange", &f)) &&
	       (q->dead_key || !sd_amqp_find(arguments, "x-dead-letter-routing-key", &f));
}

static bool make_ready_lists(struct mq_queue *q)
{
	q->npriorities = (unsigned)q->limits.max_priority + 1;
	q->ready = reallocarray(NULL, q->npriorities, sizeof(*q->ready));
	for (unsigned i = 0; q->ready && i < q->npriorities; i++)
		sd_list_init(&q->ready[i]);
	return q->ready != NULL;
}

static void make_lists(struct mq_queue *q)
{
	struct sd_link *const lists[] = {&q->unacked, &q->delayed, &q->consumers, &q->able, &q->bindings, &q->busy, &q->of_pressed,
					&q->of_exclusive, &q->trim};
	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
		sd_list_init(lists[i]);
}

static void free_queue(struct mq_queue *q)
{
	mq_stream_end(q);
	free((char *)q->arguments.p);
	free(q->dead_exchange);
	free(q->dead_key);
	free(q->ready);
	free(q);
}

static bool add(struct mq_queue *q)
{
	struct mq *b = q->vhost->mq;
	if (!mq_index_put(&b->queues_by_id, q->id, q))
		return false;
	if (sd_dict_add(&q->vhost->queues, &q->e))
		return true;
	mq_index_take(&b->queues_by_id, q->id);
	return false;
}

struct mq_queue *mq_queue_new(struct mq_vhost *v, const struct mq_queue_decl *d, const struct mq_limits *limits, uint64_t id,
			      struct mq_error *e)
{
	struct mq_queue *q = calloc(1, sizeof(*q) + d->name.n + 1);
	if (!q) {
		mq_no_memory(e);
		return NULL;
	}
	q->vhost = v;
	q->id = id;
	q->durable = d->durable;
	q->exclusive = d->exclusive;
	q->auto_delete = d->auto_delete;
	q->owner = d->exclusive ? d->connection : NULL;
	q->limits = *limits;
	make_lists(q);
	memcpy(q->name, d->name.p, d->name.n);
	q->e.klen = (uint32_t)d->name.n;
	q->e.hash = sd_dict_hash(&v->queues, d->name);
	if (take_arguments(q, d->arguments) && make_ready_lists(q) && (!limits->stream || mq_stream_begin(q)) && add(q)) {
		if (q->exclusive)
			sd_list_add(&v->mq->exclusive_queues, &q->of_exclusive);
		mq_queue_used(q);
		return q;
	}
	free_queue(q);
	mq_no_memory(e);
	return NULL;
}

static void drop_all(struct sd_link *list)
{
	while (!sd_list_empty(list)) {
		struct mq_entry *e = sd_container(list->next, struct mq_entry, link);
		struct mq_channel *ch = e->where == MQ_UNACKED ? e->channel : NULL;
		uint64_t tag = e->tag;
		mq_entry_out(e);
		mq_entry_free(e);
		if (ch)
			mq_index_put(&ch->unacked, tag, MQ_TIMED_OUT);
	}
}

static void drop_ready(struct mq_queue *q)
{
	for (struct mq_entry *e; (e = mq_ready_head(q));) {
		mq_entry_out(e);
		mq_entry_free(e);
	}
}

static void drop_bindings(struct mq_queue *q, bool journal)
{
	while (!sd_list_empty(&q->bindings)) {
		struct mq_binding *bi = sd_container(q->bindings.next, struct mq_binding, of_destination);
		struct mq_exchange *from = bi->source;
		mq_binding_free(bi);
		if (from->auto_delete && sd_list_empty(&from->bindings))
			mq_exchange_end(from, journal);
	}
}

void mq_queue_end(struct mq_queue *q, bool journal)
{
	struct mq *b = q->vhost->mq;
	if (q->going)
		return;
	q->going = true;
	while (!sd_list_empty(&q->consumers))
		mq_consumer_end(sd_container(q->consumers.next, struct mq_consumer, of_queue), true);
	if (journal && mq_queue_stays(q))
		mq_log_define(b, MQ_DEFINE_QUEUE, true, q);
	mq_stream_end(q);
	drop_ready(q);
	drop_all(&q->unacked);
	drop_all(&q->delayed);
	drop_bindings(q, journal);
	if (q->pressed && b->pressed)
		b->pressed(b->arg, q, false);
	sd_list_del(&q->of_pressed);
	sd_list_del(&q->of_exclusive);
	sd_list_del(&q->busy);
	sd_list_del(&q->trim);
	sd_wheel_cancel(&b->queue_wheel, &q->unused);
	sd_dict_remove(&q->vhost->queues, &q->e);
	mq_index_take(&b->queues_by_id, q->id);
	free_queue(q);
}

/* ---- who uses it ---- */

void mq_queue_touch(struct mq_queue *q)
{
	if ((q->nready || q->stream) && !sd_list_empty(&q->able) && q->busy.next == &q->busy)
		sd_list_add(&q->vhost->mq->busy, &q->busy);
}

void mq_queue_used(struct mq_queue *q)
{
	struct mq *b = q->vhost->mq;
	q->idle_since_ms = b->now_ms;
	if (q->limits.expires_ms == MQ_NO_LIMIT)
		return;
	if (q->nconsumers)
		sd_wheel_cancel(&b->queue_wheel, &q->unused);
	else
		sd_wheel_set(&b->queue_wheel, &q->unused, b->now_ms + q->limits.expires_ms);
}

void mq_queue_release(struct mq_queue *q)
{
	if (q->nconsumers)
		return;
	if (q->auto_delete && q->had_consumers)
		mq_queue_end(q, true);
	else
		mq_queue_used(q);
}

/* ---- whole ---- */

/* What is out stays out. One record is enough when all that the log has goes. */
size_t mq_queue_clear(struct mq_queue *q)
{
	size_t n = q->nready + q->ndelayed;
	if (!q->nunacked) {
		if (n && mq_queue_stays(q))
			mq_log_purged(q->vhost->mq, q, q->next_seq);
		drop_ready(q);
		drop_all(&q->delayed);
		return n;
	}
	for (struct mq_entry *e; (e = mq_ready_head(q));)
		mq_entry_settle(e);
	while (!sd_list_empty(&q->delayed))
		mq_entry_settle(sd_container(q->delayed.next, struct mq_entry, link));
	return n;
}

bool mq_queue_purge(struct mq_vhost *v, const void *connection, struct sd_slice queue, uint64_t *purged, struct mq_error *e)
{
	struct mq_queue *q = mq_queue_find(v, queue);
	if (!q)
		return mq_no_queue(v, queue, e);
	if (!mq_queue_access(q, connection, e))
		return false;
	if (q->stream)
		return mq_stream_cannot(q, "queue.purge", e);
	*purged = mq_queue_clear(q);
	mq_press(v->mq, NULL);
	return true;
}

bool mq_queue_delete(struct mq_vhost *v, const void *connection, struct sd_slice queue, bool if_unused, bool if_empty,
		     uint64_t *deleted, struct mq_error *e)
{
	struct mq_queue *q = mq_queue_find(v, queue);
	*deleted = 0;
	if (!q)
		return true;
	if (!mq_queue_access(q, connection, e))
		return false;
	if (if_unused && q->nconsumers)
		return mq_fail(e, 406, "queue '%.*s' in vhost '%.*s' in use", MQ_ARG(queue), MQ_ARG(MQ_NAME(v)));
	if (if_empty && q->nready && !q->stream)
		return mq_fail(e, 406, "queue '%.*s' in vhost '%.*s' not empty", MQ_ARG(queue), MQ_ARG(MQ_NAME(v)));
	*deleted = q->nready;
	mq_queue_end(q, true);
	mq_press(v->mq, NULL);
	return true;
}

/* ---- the end of a connection ---- */

/* Ending one may end others' exchanges, but no queue. */
void mq_connection_end(struct mq *b, const void *connection)
{
	for (struct sd_link *l = b->exclusive_queues.next, *next; l != &b->exclusive_queues; l = next) {
		struct mq_queue *q = sd_container(l, struct mq_queue, of_exclusive);
		next = l->next;
		if (q->owner == connection)
			mq_queue_end(q, true);
	}
	mq_press(b, NULL);
}
