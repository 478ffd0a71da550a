/* mq_dead.c - dead letters: out of a queue and into others, with one record of the log: at no time in neither. */
#include <stdio.h>
#include <stdlib.h>

#include "mq_int.h"

/* It ends here. */
static bool drop(struct mq_entry *e)
{
	mq_log_settle(e->queue->vhost->mq, e);
	mq_entry_free(e);
	return true;
}

/* ---- where to ---- */

struct aim {
	struct mq_exchange *exchange;
	struct mq_queue *queue; /* or this one, without a way */
	struct sd_slice key;
	bool own_key; /* the queue's: CC counts no more */
};

/* orders.dlq, made when first needed. */
static struct mq_queue *dlq_of(struct mq_queue *q)
{
	char name[MQ_NAME_MAX + 1];
	struct mq_error e;
	struct mq_queue *dlq;
	int n = snprintf(name, sizeof(name), "%s%s", q->name, MQ_DLQ_SUFFIX);
	if (n < 0 || (size_t)n >= sizeof(name))
		return NULL;
	struct mq_queue_decl d = {.name = {name, (size_t)n}, .durable = mq_queue_stays(q)};
	dlq = mq_queue_find(q->vhost, d.name);
	return dlq || mq_queue_make(q->vhost, &d, &dlq, &e) ? dlq : NULL;
}

static void filter(struct mq_route *r, const struct mq_message *m, struct sd_slice headers, enum mq_reason why)
{
	size_t n = 0;
	for (size_t i = 0; i < r->n; i++) {
		struct mq_queue *q = r->queues[i];
		if (why != MQ_REJECTED && mq_death_cycle(headers, q))
			continue;
		if (!mq_queue_full(q, m))
			r->queues[n++] = q;
		else
			q->count.rejected++;
	}
	r->n = n;
}

static void find_way(struct mq *b, const struct aim *to, const struct mq_message *m, enum mq_reason why)
{
	struct sd_amqp_properties p = {0};
	mq_route_begin(b);
	if (to->queue) {
		mq_route_queue(b->route, to->queue);
		return;
	}
	sd_amqp_get_properties(mq_message_properties(m), &p);
	struct sd_slice headers = p.has & SD_AMQP_HEADERS ? p.headers : (struct sd_slice){0};
	if (to->own_key)
		mq_route_through(b, to->exchange, to->key, headers);
	else
		mq_route_message(b, to->exchange, to->key, headers);
	filter(b->route, m, headers, why);
}

/* ---- moving ---- */

/* False: nothing changed. The record that puts it there ends it here; where nothing there is durable, one of its own does. */
static bool move(struct mq_entry *e, struct mq_message *m)
{
	struct mq *b = e->queue->vhost->mq;
	if (!b->route->n && !b->route->full)
		return drop(e);
	if (!mq_put(b, m, e->durable ? e : NULL))
		return false;
	if (!b->route->record)
		mq_log_settle(b, e);
	mq_entry_free(e);
	mq_trim_all(b);
	return true;
}

static bool forward(struct mq_entry *e, const struct aim *to, enum mq_reason why)
{
	struct mq *b = e->queue->vhost->mq;
	struct sd_text raw = {0};
	struct mq_message *m = NULL;
	struct sd_slice exchange = to->exchange ? MQ_NAME(to->exchange) : (struct sd_slice){0};
	if (mq_death_properties(e, why, &raw))
		m = mq_message_again(b, e->message, exchange, to->key, (struct sd_slice){raw.p, raw.n});
	free(raw.p);
	if (!m)
		return false;
	find_way(b, to, m, why);
	bool done = move(e, m);
	mq_message_drop(b, m);
	return done;
}

static void say_moved(const struct mq_entry *e, const struct mq_queue *to)
{
	struct mq *b = e->queue->vhost->mq;
	struct sd_amqp_properties p = {0};
	char id[48];
	if (!b->say)
		return;
	snprintf(id, sizeof(id), "%llx-%llx", (unsigned long long)e->queue->id, (unsigned long long)e->seq);
	sd_amqp_get_properties(mq_message_properties(e->message), &p);
	struct sd_slice name = p.has & SD_AMQP_MESSAGE_ID && p.message_id.n ? p.message_id : sd_slice_of(id);
	mq_say(b, "mq.retry_limit", "Message %.*s exceeded retry limit (%lld), moved to %s", MQ_ARG(name),
	       (long long)e->queue->limits.delivery_limit, to->name);
}

static bool to_dlq(struct mq_entry *e)
{
	struct mq_queue *dlq = dlq_of(e->queue);
	const struct aim to = {.queue = dlq, .key = dlq ? MQ_NAME(dlq) : (struct sd_slice){0}};
	if (!dlq)
		return false;
	struct mq_message *m = mq_message_hold(e->message); /* the sentence is told when it is true, of one that is gone by then */
	struct mq *b = e->queue->vhost->mq;
	struct mq_entry was = *e;
	bool done = forward(e, &to, MQ_TOO_OFTEN);
	if (done)
		say_moved(&was, dlq);
	mq_message_drop(b, m);
	return done;
}

static bool to_exchange(struct mq_entry *e, enum mq_reason why)
{
	struct mq_queue *q = e->queue;
	struct aim to = {.exchange = mq_exchange_find(q->vhost, sd_slice_of(q->dead_exchange)), .own_key = q->dead_key != NULL};
	to.key = to.own_key ? sd_slice_of(q->dead_key) : mq_message_key(e->message);
	return to.exchange ? forward(e, &to, why) : drop(e);
}

static void count(struct mq_queue *q, enum mq_reason why)
{
	struct mq *b = q->vhost->mq;
	q->count.dead++;
	b->count.dead++;
	if (why != MQ_EXPIRED)
		return;
	q->count.expired++;
	b->count.expired++;
}

bool mq_dead_letter(struct mq_entry *e, enum mq_reason why)
{
	struct mq_queue *q = e->queue;
	bool done;
	if (q->dead_exchange)
		done = to_exchange(e, why);
	else if (why == MQ_TOO_OFTEN)
		done = to_dlq(e);
	else
		done = drop(e);
	if (done)
		count(q, why);
	return done;
}

/* ---- back again ---- */

/* To the queue in which it died. It is a message like a new one; what is told of its deaths stays with it. */
static bool replay_one(struct mq_entry *e, bool *moved)
{
	struct mq_queue *q = e->queue, *home;
	struct mq *b = q->vhost->mq;
	struct sd_amqp_properties p = {0};
	struct sd_slice name;
	sd_amqp_get_properties(mq_message_properties(e->message), &p);
	*moved = false;
	if (!(p.has & SD_AMQP_HEADERS) || !mq_death_queue(p.headers, &name) || !(home = mq_queue_find(q->vhost, name)) || home == q)
		return true;
	struct mq_message *m = mq_message_again(b, e->message, (struct sd_slice){0}, name, mq_message_properties(e->message));
	if (!m)
		return false;
	mq_route_begin(b);
	mq_route_queue(b->route, home);
	mq_entry_out(e);
	*moved = move(e, m);
	if (!*moved)
		mq_entry_back(e);
	mq_message_drop(b, m);
	return *moved;
}

static struct mq_queue *letters_of(struct mq_vhost *v, struct sd_slice queue)
{
	char name[MQ_NAME_MAX + sizeof(MQ_DLQ_SUFFIX)];
	if (queue.n > MQ_NAME_MAX)
		return NULL;
	int n = snprintf(name, sizeof(name), "%.*s%s", MQ_ARG(queue), MQ_DLQ_SUFFIX);
	struct mq_queue *q = mq_queue_find(v, (struct sd_slice){name, (size_t)n});
	return q ? q : mq_queue_find(v, queue);
}

/* Those that know no home stay, in their order, and each is looked at once. */
bool mq_replay(struct mq_vhost *v, struct sd_slice queue, uint64_t max, uint64_t *moved, struct mq_error *e)
{
	struct mq_queue *q = letters_of(v, queue);
	struct sd_link stay;
	bool good = true;
	*moved = 0;
	if (!q)
		return mq_no_queue(v, queue, e);
	sd_list_init(&stay);
	for (struct mq_entry *head; good && *moved < max && (head = mq_ready_head(q));) {
		bool did;
		good = replay_one(head, &did);
		*moved += did;
		if (good && !did) {
			mq_entry_out(head);
			sd_list_add(&stay, &head->link);
		}
	}
	while (!sd_list_empty(&stay)) {
		struct mq_entry *entry = sd_container(stay.next, struct mq_entry, link);
		bool redelivered = entry->redelivered;
		sd_list_del(&entry->link);
		mq_entry_back(entry);
		entry->redelivered = redelivered;
	}
	return good || mq_fail(e, 506, "no memory, or the log takes nothing: %llu were moved", (unsigned long long)*moved);
}
