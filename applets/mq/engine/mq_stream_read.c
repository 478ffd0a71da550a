/* mq_stream_read.c - consumers of a stream: what is next for whom, deliveries, and what becomes of them.
 *
 * Nothing leaves the stream with a delivery. What stands in the channel for an acknowledgement is a shadow: it counts for the
 * consumer's prefetch, holds the message, and ends with the acknowledgement. */
#include <stdlib.h>

#include "mq_stream.h"

bool mq_stream_visible(const struct mq_entry *e)
{
	return e->message->record <= e->queue->vhost->mq->stored;
}

/* ---- waiting at the end ---- */

static void rest(struct mq_reader *r)
{
	mq_consumer_rest(r->consumer);
	sd_list_del(&r->idle);
	sd_list_add(&r->consumer->queue->stream->idle, &r->idle);
}

void mq_stream_wake(struct mq_stream *s)
{
	while (!sd_list_empty(&s->idle)) {
		struct mq_reader *r = sd_container(s->idle.next, struct mq_reader, idle);
		sd_list_del(&r->idle);
		mq_consumer_wake(r->consumer);
	}
}

/* ---- what is next ---- */

struct next {
	struct mq_entry *entry;	  /* for the first time */
	struct mq_shadow *again;  /* or what came back */
	struct mq_share *share;	  /* NULL: alone */
};

static struct mq_entry *at(const struct mq_line *l, uint64_t *place)
{
	if (*place < l->begin) /* too old, or too much: it is gone */
		*place = l->begin;
	struct mq_entry *e = *place < l->end ? mq_line_at(l, *place) : NULL;
	return e && mq_stream_visible(e) ? e : NULL;
}

static struct mq_shadow *first_back(const struct mq_share *s)
{
	for (struct sd_link *l = s->window.next; s->nback && l != &s->window; l = l->next) {
		struct mq_shadow *d = sd_container(l, struct mq_shadow, window);
		if (d->state == MQ_BACK)
			return d;
	}
	return NULL;
}

static bool next_of_share(struct mq_share *s, struct next *n)
{
	struct mq_stream *stream = s->group->stream;
	*n = (struct next){.share = s};
	if (s->owner != s->wanted)
		return false;
	n->again = first_back(s);
	if (!n->again && s->nwindow < MQ_WINDOW_MAX)
		n->entry = at(mq_stream_line(stream, (unsigned)(s - s->group->shares)), &s->next);
	return n->again || n->entry;
}

/* Of several shares each has its turn. */
static bool next_of_member(struct mq_reader *r, struct next *n)
{
	for (struct sd_link *l = r->shares.next; l != &r->shares; l = l->next) {
		if (!next_of_share(sd_container(l, struct mq_share, of_owner), n))
			continue;
		sd_list_del(l);
		sd_list_add(&r->shares, l);
		return true;
	}
	return false;
}

static bool next_of(struct mq_reader *r, struct next *n)
{
	if (r->group)
		return next_of_member(r, n);
	*n = (struct next){.entry = at(&r->consumer->queue->stream->all, &r->next)};
	return n->entry != NULL;
}

/* ---- a delivery ---- */

static struct mq_shadow *shadow_of(struct mq_entry *e, struct mq_share *share)
{
	struct mq_shadow *d = malloc(sizeof(*d));
	if (!d)
		return NULL;
	*d = (struct mq_shadow){.share = share, .state = MQ_BACK, .grouped = share != NULL};
	d->e = (struct mq_entry){.message = mq_message_hold(e->message), .queue = e->queue, .seq = e->seq, .expires_ms = MQ_NEVER,
				 .where = MQ_LEAVING, .shadow = true};
	d->e.redelivered = share && e->seq <= share->seen;
	sd_list_init(&d->window);
	e->queue->vhost->mq->entries++;
	return d;
}

/* It is behind all that was given out of its share. */
static void enter_window(struct mq_shadow *d)
{
	struct mq_share *s = d->share;
	sd_list_add(&s->window, &d->window);
	s->nwindow++;
	s->nback++;
	s->next++;
	if (d->e.seq > s->seen)
		s->seen = d->e.seq;
	mq_group_moved(s->group);
}

static bool give(struct mq_reader *r, struct mq_shadow *d)
{
	struct mq_consumer *c = r->consumer;
	struct mq *b = c->queue->vhost->mq;
	if (!mq_entry_take(&d->e, c->channel, c))
		return false;
	if (d->share) {
		d->share->nback--;
		d->share->nout++;
	}
	d->state = MQ_OUT;
	mq_count_delivery(c->queue, c, &d->e);
	c->channel->ops->deliver(c->channel, c, &d->e);
	mq_body_used(b, d->e.message);
	return true;
}

/* Behind what is warm a body is of use once. */
static void read_once(const struct mq_stream *s, const struct mq_entry *e)
{
	if (e->order < s->warm)
		mq_body_leave(s->q->vhost->mq, e->message);
}

static bool deliver_new(struct mq_reader *r, const struct next *n)
{
	struct mq_shadow *d = shadow_of(n->entry, n->share);
	if (!d)
		return false;
	if (n->share)
		enter_window(d);
	bool given = give(r, d);
	read_once(r->consumer->queue->stream, n->entry);
	if (!given && !n->share) {
		mq_entry_free(&d->e);
	} else if (!n->share) {
		r->next++;
	}
	return given;
}

/* What is done with at the front of the window is so for good. */
static void slide(struct mq_share *s)
{
	while (!sd_list_empty(&s->window)) {
		struct mq_shadow *d = sd_container(s->window.next, struct mq_shadow, window);
		if (d->state != MQ_DONE)
			break;
		sd_list_del(&d->window);
		s->nwindow--;
		mq_entry_free(&d->e);
	}
	mq_group_moved(s->group);
}

static void done(struct mq_shadow *d)
{
	struct mq_share *s = d->share;
	d->state = MQ_DONE;
	mq_message_drop(d->e.queue->vhost->mq, d->e.message);
	d->e.message = NULL;
	if (s->window.next == &d->window)
		slide(s);
}

/* What cannot be read is passed over by everybody. */
static void pass_over(struct mq_reader *r, const struct next *n)
{
	struct mq_queue *q = r->consumer->queue;
	mq_say(q->vhost->mq, "mq.unreadable", "A message of %s cannot be read from the log and is left out", q->name);
	if (n->again) {
		n->share->nback--;
		done(n->again);
	} else {
		*(n->share ? &n->share->next : &r->next) += 1;
	}
}

/* False: nothing more can be delivered now. */
bool mq_stream_deliver(struct mq_queue *q)
{
	struct next n;
	while (!sd_list_empty(&q->able)) {
		struct mq_consumer *c = sd_container(q->able.next, struct mq_consumer, of_able);
		if (!mq_consumer_can(c)) {
			mq_consumer_rest(c);
		} else if (!next_of(c->reader, &n)) {
			rest(c->reader);
		} else if (!mq_body_load(q->vhost->mq, n.again ? n.again->e.message : n.entry->message)) {
			pass_over(c->reader, &n);
		} else {
			mq_consumer_turned(q, c);
			return n.again ? give(c->reader, n.again) : deliver_new(c->reader, &n);
		}
	}
	return false;
}

/* ---- its end ---- */

bool mq_stream_cannot(const struct mq_queue *q, const char *what, struct mq_error *e)
{
	return mq_fail(e, 540, "%s not supported by stream queues queue '%.*s' in vhost '%.*s'", what, MQ_ARG(MQ_NAME(q)),
		       MQ_ARG(MQ_NAME(q->vhost)));
}

bool mq_stream_may_settle(const struct mq_entry *e, enum mq_settle how, struct mq_error *error)
{
	return !e->shadow || how == MQ_ACK || mq_shadow_of(e)->grouped ||
	       mq_stream_cannot(e->queue, "basic.nack and basic.reject", error);
}

void mq_stream_settle(struct mq_entry *e, enum mq_settle how)
{
	struct mq_shadow *d = mq_shadow_of(e);
	struct mq_share *s = d->share;
	struct mq_queue *q = e->queue;
	bool ends = how == MQ_ACK || how == MQ_DISCARD;
	mq_entry_out(e);
	if (how == MQ_ACK) {
		q->count.acked++;
		q->vhost->mq->count.acked++;
	} else {
		q->count.returned++;
	}
	if (!s) {
		mq_entry_free(e);
		return;
	}
	s->nout--;
	if (ends) {
		done(d);
	} else {
		d->state = MQ_BACK;
		e->redelivered = true;
		s->nback++;
	}
	mq_share_settled(s);
}

/* ---- who reads ---- */

static bool begin(struct mq_reader *r, struct sd_slice arguments)
{
	struct mq_stream *s = r->consumer->queue->stream;
	struct sd_amqp_field offset, group;
	uint64_t seq;
	mq_stream_seek(s, sd_amqp_find(arguments, "x-stream-offset", &offset) ? &offset : NULL, &seq);
	if (!sd_amqp_find(arguments, "x-stream-group", &group)) {
		r->next = mq_line_from(&s->all, seq);
		return true;
	}
	struct mq_group *g = mq_group_find(s, group.s);
	if (!g)
		g = mq_group_make(s, group.s, seq);
	if (g)
		mq_group_join(g, r);
	return g != NULL;
}

bool mq_stream_consume(struct mq_consumer *c, struct mq_error *e)
{
	struct mq_reader *r = calloc(1, sizeof(*r));
	if (!r)
		return mq_no_memory(e);
	r->consumer = c;
	sd_list_init(&r->idle);
	sd_list_init(&r->of_group);
	sd_list_init(&r->shares);
	c->reader = r;
	if (begin(r, c->arguments))
		return true;
	free(r);
	c->reader = NULL;
	return mq_no_memory(e);
}

void mq_stream_leave(struct mq_consumer *c)
{
	struct mq_reader *r = c->reader;
	sd_list_del(&r->idle);
	if (r->group)
		mq_group_part(r);
	free(r);
	c->reader = NULL;
}
