/* mq_publish.c - the way of a publication: checked, routed, put into queues, journalled, confirmed. */
#include <stdlib.h>

#include "mq_int.h"

/* ---- putting a message into the queues that were found ---- */

/* As if nothing had been. */
static void undo(struct mq_route *r, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		r->entries[i]->durable = false; /* the log knows nothing of it */
		if (r->entries[i]->queue->stream)
			r->entries[i]->queue->next_seq--;
		mq_entry_free(r->entries[i]);
	}
	r->n = 0;
}

static bool make_entries(struct mq_route *r, struct mq_message *m)
{
	for (size_t i = 0; i < r->n; i++) {
		r->entries[i] = mq_entry_new(r->queues[i], m);
		if (r->entries[i])
			continue;
		undo(r, i);
		return false;
	}
	return true;
}

/* The log is given these. */
static size_t durable_first(struct mq_route *r)
{
	size_t n = 0;
	for (size_t i = 0; i < r->n; i++) {
		struct mq_entry *e = r->entries[i];
		if (!e->durable)
			continue;
		r->entries[i] = r->entries[n];
		r->entries[n++] = e;
	}
	return n;
}

static bool journal(struct mq *b, struct mq_message *m, const struct mq_entry *from)
{
	struct mq_route *r = b->route;
	size_t n = mq_log_wanted(b) ? durable_first(r) : 0;
	if (!n)
		return true;
	r->record = mq_log_publish(b, m, r->entries, n, from);
	if (r->record)
		m->record = r->record;
	return r->record != 0;
}

bool mq_put(struct mq *b, struct mq_message *m, const struct mq_entry *from)
{
	struct mq_route *r = b->route;
	if (r->full || !make_entries(r, m))
		return false;
	if (!journal(b, m, from)) {
		undo(r, r->n);
		return false;
	}
	mq_body_count(b, m);
	for (size_t i = 0; i < r->n; i++) {
		struct mq_queue *q = r->entries[i]->queue;
		q->count.published++;
		mq_entry_place(r->entries[i]);
		mq_queue_trim_later(q);
		mq_press(b, q);
		r->pressed |= q->pressed;
	}
	mq_body_cool(b, m);
	return true;
}

/* ---- queues that refuse: x-overflow ---- */

/* Those that are full leave the list; where they dead-letter what they refuse, an entry that never was in the queue does it. */
static void leave_out_full(struct mq_route *r, struct mq_message *m, struct sd_link *refused)
{
	size_t n = 0;
	for (size_t i = 0; i < r->n; i++) {
		struct mq_queue *q = r->queues[i];
		if (!mq_queue_full(q, m)) {
			r->queues[n++] = q;
			continue;
		}
		q->count.rejected++;
		r->rejected = true;
		struct mq_entry *e = q->limits.overflow == MQ_REJECT_PUBLISH_DLX ? mq_entry_new(q, m) : NULL;
		if (e) {
			e->durable = false;
			sd_list_add(refused, &e->link);
		}
	}
	r->n = n;
}

static void dead_letter_all(struct sd_link *refused)
{
	while (!sd_list_empty(refused)) {
		struct mq_entry *e = sd_container(refused->next, struct mq_entry, link);
		sd_list_del(&e->link);
		if (!mq_dead_letter(e, MQ_MAXLEN))
			mq_entry_free(e);
	}
}

/* ---- a publication ---- */

static void confirm(struct mq_channel *ch, uint64_t seq, uint64_t record, bool refused)
{
	if (seq && refused)
		mq_confirm_refuse(ch, seq);
	else if (seq)
		mq_confirm_add(ch, seq, record);
}

static void unroutable(struct mq_channel *ch, const struct mq_message *m, bool mandatory)
{
	struct mq *b = ch->vhost->mq;
	b->count.unroutable++;
	if (!mandatory)
		return;
	b->count.returned++;
	ch->ops->returned(ch, 312, "NO_ROUTE", m);
}

/* Who confirms is told by a nack; who does not, by an error: nothing is lost in silence. */
static bool not_taken(struct mq_channel *ch, uint64_t seq, struct mq_error *e)
{
	if (seq) {
		mq_confirm_refuse(ch, seq);
		return true;
	}
	if (ch->vhost->mq->failed)
		return mq_fail(e, 506, "the log takes no persistent messages");
	return mq_no_memory(e);
}

bool mq_publish_now(struct mq_channel *ch, struct mq_exchange *x, struct mq_message *m, struct sd_slice headers, bool mandatory,
		    uint64_t seq, struct mq_error *e)
{
	struct mq *b = ch->vhost->mq;
	struct mq_route *r = b->route;
	struct sd_link refused;
	sd_list_init(&refused);
	b->count.published++;
	x->published_in++;
	mq_route_begin(b);
	mq_route_message(b, x, mq_message_key(m), headers);
	bool none = !r->n;
	leave_out_full(r, m, &refused);
	bool rejected = r->rejected, done = (seq == 0 || mq_confirm_reserve(ch)) && mq_put(b, m, NULL);
	uint64_t record = r->record;
	ch->pressed = r->pressed;
	dead_letter_all(&refused); /* from here on others are routed */
	mq_trim_all(b);
	if (!done)
		return not_taken(ch, seq, e);
	if (none)
		unroutable(ch, m, mandatory);
	confirm(ch, seq, record, rejected);
	return true;
}

/* ---- checks ---- */

static bool check_user(const struct mq_channel *ch, const struct sd_amqp_properties *p, struct mq_error *e)
{
	if (!(p->has & SD_AMQP_USER_ID) || mq_same(p->user_id, ch->user))
		return true;
	return mq_fail(e, 406, "user_id property set to '%.*s' but authenticated user was '%.*s'", MQ_ARG(p->user_id), MQ_ARG(ch->user));
}

static bool check_expiration(const struct sd_amqp_properties *p, struct mq_error *e)
{
	char why[128];
	int64_t ms;
	if (!(p->has & SD_AMQP_EXPIRATION) || mq_expiration(p->expiration, &ms, why, sizeof(why)))
		return true;
	return mq_fail(e, 406, "invalid expiration '%.*s': %s", MQ_ARG(p->expiration), why);
}

static bool check_keys(const struct sd_amqp_properties *p, bool *bcc, struct mq_error *e)
{
	static const char *const names[] = {"CC", "BCC"};
	struct sd_amqp_field f;
	*bcc = false;
	for (size_t i = 0; p->has & SD_AMQP_HEADERS && i < sizeof(names) / sizeof(names[0]); i++) {
		if (!sd_amqp_find(p->headers, names[i], &f))
			continue;
		if (f.kind != 'A')
			return mq_fail(e, 406, "invalid message: {unacceptable_type_in_header,\"%s\",%s}", names[i], mq_kind_name(f.kind));
		*bcc = i == 1;
	}
	return true;
}

static bool check(struct mq_channel *ch, const struct mq_publication *p, struct mq_exchange *x, struct mq_error *e)
{
	const struct mq *b = ch->vhost->mq;
	if (!x)
		return mq_no_exchange(ch->vhost, p->exchange, e);
	if (x->internal)
		return mq_fail(e, 403, "cannot publish to internal exchange '%.*s' in vhost '%.*s'", MQ_ARG(p->exchange),
			       MQ_ARG(MQ_NAME(ch->vhost)));
	if (p->immediate)
		return mq_fail(e, 540, "immediate=true");
	if (p->body.n > b->conf.message_max)
		return mq_fail(e, 406, "message size %zu is larger than configured max size %u", p->body.n, b->conf.message_max);
	return true;
}

/* ---- making the message ---- */

/* The headers without BCC: nobody is to see those. */
static void strip_bcc(struct sd_slice headers, struct sd_text *out)
{
	struct sd_slice rest = headers;
	struct sd_amqp_field f;
	while (rest.n) {
		const char *from = rest.p;
		if (!sd_amqp_next_field(&rest, &f))
			return;
		if (!sd_slice_eq(f.name, "BCC"))
			sd_text_add(out, from, (size_t)(rest.p - from));
	}
}

static struct mq_message *make(struct mq_channel *ch, const struct mq_publication *p, struct sd_amqp_properties *properties, bool bcc,
			       struct mq_error *e)
{
	struct sd_text headers = {0}, address = {0}, raw = {0};
	struct sd_amqp_properties changed = *properties;
	struct mq_message *m = NULL;
	e->code = 0;
	bool again = changed.has & SD_AMQP_REPLY_TO && sd_slice_eq(changed.reply_to, MQ_REPLY_QUEUE);
	if (again && !mq_reply_address(ch, &changed, &address, e))
		goto done;
	if (bcc) {
		strip_bcc(changed.headers, &headers);
		changed.headers = (struct sd_slice){headers.p, headers.n};
		again = true;
	}
	if (again)
		sd_amqp_put_properties(&raw, &changed);
	if (!headers.full && !address.full && !raw.full)
		m = mq_message_make(p->exchange, p->key, again ? (struct sd_slice){raw.p, raw.n} : p->properties, p->body, &changed);
done:
	free(headers.p);
	free(address.p);
	free(raw.p);
	if (!m)
		return NULL;
	m->published_ms = ch->vhost->mq->wall_ms;
	if (properties->has & SD_AMQP_HEADERS)
		mq_message_times(m, properties);
	return m;
}

/* ---- keys of the default exchange that mean something ---- */

/* Headers delivery-tag and ms: more time for a message that this channel has. */
static bool extend(struct mq_channel *ch, const struct sd_amqp_properties *p, uint64_t seq, struct mq_error *e)
{
	struct sd_amqp_field tag, ms;
	int64_t t = 0, n = 0;
	bool given = p->has & SD_AMQP_HEADERS && sd_amqp_find(p->headers, "delivery-tag", &tag) && sd_amqp_field_int(&tag, &t) &&
		     sd_amqp_find(p->headers, "ms", &ms) && sd_amqp_field_int(&ms, &n) && t > 0 && n > 0;
	if (!given)
		return mq_fail(e, 406, "%s: expected headers delivery-tag and ms, whole numbers above 0", MQ_EXTEND_KEY);
	if (!mq_extend(ch, (uint64_t)t, n, e))
		return false;
	if (seq && !mq_confirm_reserve(ch))
		return not_taken(ch, seq, e);
	confirm(ch, seq, 0, false);
	return true;
}

static bool reply(struct mq_channel *ch, struct mq_message *m, bool mandatory, uint64_t seq, struct mq_error *e)
{
	struct mq_channel *to = mq_reply_to(ch->vhost->mq, mq_message_key(m));
	ch->vhost->mq->count.published++;
	if (seq && !mq_confirm_reserve(ch))
		return not_taken(ch, seq, e);
	if (to)
		to->ops->replied(to, sd_slice_of(to->reply_tag), m);
	else
		unroutable(ch, m, mandatory);
	confirm(ch, seq, 0, false);
	return true;
}

bool mq_publish(struct mq_channel *ch, const struct mq_publication *p, struct mq_error *e)
{
	struct mq_exchange *x = mq_exchange_find(ch->vhost, p->exchange);
	struct sd_amqp_properties properties;
	bool bcc, done;
	if (!check(ch, p, x, e))
		return false;
	if (!sd_amqp_get_properties(p->properties, &properties))
		return mq_fail(e, 502, "the properties of the message are none");
	if (!check_user(ch, &properties, e) || !check_expiration(&properties, e) || !check_keys(&properties, &bcc, e))
		return false;
	uint64_t seq = ch->confirming ? ++ch->published : 0;
	if (!p->exchange.n && sd_slice_eq(p->key, MQ_EXTEND_KEY))
		return extend(ch, &properties, seq, e);
	struct mq_message *m = make(ch, p, &properties, bcc, e);
	if (!m)
		return e->code ? false : not_taken(ch, seq, e);
	if (ch->transaction)
		done = mq_tx_publish(ch, m, p->mandatory, e);
	else if (!p->exchange.n && sd_slice_starts(p->key, MQ_REPLY_QUEUE "."))
		done = reply(ch, m, p->mandatory, seq, e);
	else
		done = mq_publish_now(ch, x, m, properties.has & SD_AMQP_HEADERS ? properties.headers : (struct sd_slice){0}, p->mandatory,
				      seq, e);
	mq_message_drop(ch->vhost->mq, m);
	return done;
}
