/* mq_death.c - what a dead letter says of its death: x-death and its kin, as RabbitMQ writes them. */
#include <stdlib.h>

#include "mq_int.h"

static const char *const reasons[] = {
    [MQ_REJECTED] = "rejected", [MQ_EXPIRED] = "expired", [MQ_MAXLEN] = "maxlen", [MQ_TOO_OFTEN] = "delivery_limit"};

struct death {
	const struct mq_entry *e;
	const struct sd_amqp_properties *p; /* of the message that died */
	struct sd_slice queue, reason, exchange;
};

/* ---- one table of x-death ---- */

static bool text_is(struct sd_slice table, const char *name, struct sd_slice is)
{
	struct sd_amqp_field f;
	return sd_amqp_find(table, name, &f) && f.kind == 'S' && mq_same(f.s, is);
}

static bool same_event(const struct sd_amqp_field *item, const struct death *d)
{
	return item->kind == 'F' && text_is(item->s, "queue", d->queue) && text_is(item->s, "reason", d->reason);
}

static void put_keys(struct sd_text *t, const struct death *d)
{
	struct sd_amqp_field f, item;
	size_t at = sd_amqp_begin_field(t, "routing-keys", 'A');
	sd_amqp_put_string(t, NULL, mq_message_key(d->e->message));
	if (d->p->has & SD_AMQP_HEADERS && sd_amqp_find(d->p->headers, "CC", &f) && f.kind == 'A')
		while (f.s.n && sd_amqp_next_item(&f.s, &item))
			if (item.kind == 'S')
				sd_amqp_put_string(t, NULL, item.s);
	sd_amqp_end_field(t, at);
}

static void put_new(struct sd_text *t, const struct death *d)
{
	const struct mq *b = d->e->queue->vhost->mq;
	const struct sd_amqp_field time = {.kind = 'T', .n = b->wall_ms / 1000};
	size_t at = sd_amqp_begin_field(t, NULL, 'F');
	sd_amqp_put_int(t, "count", 1);
	sd_amqp_put_string(t, "exchange", d->exchange);
	if (d->p->has & SD_AMQP_EXPIRATION)
		sd_amqp_put_string(t, "original-expiration", d->p->expiration);
	sd_amqp_put_string(t, "queue", d->queue);
	sd_amqp_put_string(t, "reason", d->reason);
	put_keys(t, d);
	sd_amqp_put_field(t, "time", &time);
	sd_amqp_end_field(t, at);
}

/* The same table with one more in its count; somebody else may have written it without one. */
static void put_again(struct sd_text *t, struct sd_slice table)
{
	struct sd_amqp_field f;
	size_t at = sd_amqp_begin_field(t, NULL, 'F');
	if (!sd_amqp_find(table, "count", &f))
		sd_amqp_put_int(t, "count", 1);
	while (table.n) {
		const char *from = table.p;
		int64_t n;
		if (!sd_amqp_next_field(&table, &f))
			break;
		if (sd_slice_eq(f.name, "count") && sd_amqp_field_int(&f, &n) && n < INT64_MAX)
			sd_amqp_put_int(t, "count", n + 1);
		else
			sd_text_add(t, from, (size_t)(table.p - from));
	}
	sd_amqp_end_field(t, at);
}

/* ---- all of them, the newest first ---- */

static bool find_event(struct sd_slice deaths, const struct death *d, struct sd_amqp_field *out)
{
	while (deaths.n && sd_amqp_next_item(&deaths, out))
		if (same_event(out, d))
			return true;
	return false;
}

static void put_deaths(struct sd_text *t, struct sd_slice deaths, const struct death *d)
{
	struct sd_amqp_field f;
	size_t at = sd_amqp_begin_field(t, "x-death", 'A');
	if (find_event(deaths, d, &f))
		put_again(t, f.s);
	else
		put_new(t, d);
	while (deaths.n) {
		const char *from = deaths.p;
		if (!sd_amqp_next_item(&deaths, &f))
			break;
		if (!same_event(&f, d))
			sd_text_add(t, from, (size_t)(deaths.p - from));
	}
	sd_amqp_end_field(t, at);
}

/* ---- headers ---- */

static const char *const first_death[] = {"x-first-death-reason", "x-first-death-queue", "x-first-death-exchange"};

static void put_first(struct sd_text *t, const struct death *d)
{
	sd_amqp_put_string(t, first_death[0], d->reason);
	sd_amqp_put_string(t, first_death[1], d->queue);
	sd_amqp_put_string(t, first_death[2], d->exchange);
}

static bool is_any(struct sd_slice name, const char *const *of, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (sd_slice_eq(name, of[i]))
			return true;
	return false;
}

/* Does a header stay as it is? A delay is not waited for again; other keys count no more when there is one of the queue's own. */
static bool stays(struct sd_slice name, const struct mq_queue *q, bool is_first)
{
	static const char *const written[] = {"x-death", "x-delay", "x-deliver-at"};
	if (is_any(name, written, 3) || (is_first && is_any(name, first_death, 3)))
		return false;
	return !q->dead_key || !sd_slice_eq(name, "CC");
}

static void put_headers(struct sd_text *t, struct sd_slice old, const struct death *d)
{
	struct sd_amqp_field f;
	struct sd_slice rest = old, deaths = {0};
	bool is_first = !sd_amqp_find(old, "x-death", &f); /* whatever it is that stands there */
	if (!is_first && f.kind == 'A')
		deaths = f.s;
	put_deaths(t, deaths, d);
	if (is_first)
		put_first(t, d);
	while (rest.n) {
		const char *from = rest.p;
		if (!sd_amqp_next_field(&rest, &f))
			break;
		if (stays(f.name, d->e->queue, is_first))
			sd_text_add(t, from, (size_t)(rest.p - from));
	}
}

bool mq_death_properties(struct mq_entry *e, enum mq_reason why, struct sd_text *out)
{
	struct sd_amqp_properties p = {0}, changed;
	struct sd_text headers = {0};
	const struct death d = {.e = e, .p = &p, .queue = MQ_NAME(e->queue), .reason = sd_slice_of(reasons[why]),
				.exchange = mq_message_exchange(e->message)};
	if (!sd_amqp_get_properties(mq_message_properties(e->message), &p))
		p = (struct sd_amqp_properties){0};
	put_headers(&headers, p.has & SD_AMQP_HEADERS ? p.headers : (struct sd_slice){0}, &d);
	changed = p;
	changed.has = (uint16_t)((p.has | SD_AMQP_HEADERS) & ~SD_AMQP_EXPIRATION);
	changed.headers = (struct sd_slice){headers.p, headers.n};
	sd_amqp_put_properties(out, &changed);
	bool good = !headers.full && !out->full;
	free(headers.p);
	return good;
}

/* Was it there before, and did nobody refuse it since? Then it would go round for ever. */
bool mq_death_cycle(struct sd_slice headers, const struct mq_queue *to)
{
	struct sd_amqp_field deaths, item;
	if (!sd_amqp_find(headers, "x-death", &deaths) || deaths.kind != 'A')
		return false;
	while (deaths.s.n && sd_amqp_next_item(&deaths.s, &item)) {
		if (item.kind != 'F' || text_is(item.s, "reason", sd_slice_of(reasons[MQ_REJECTED])))
			return false;
		if (text_is(item.s, "queue", MQ_NAME(to)))
			return true;
	}
	return false;
}

bool mq_death_queue(struct sd_slice headers, struct sd_slice *queue)
{
	struct sd_amqp_field deaths, item, name;
	if (!sd_amqp_find(headers, "x-death", &deaths) || deaths.kind != 'A')
		return false;
	if (!deaths.s.n || !sd_amqp_next_item(&deaths.s, &item) || item.kind != 'F')
		return false;
	if (!sd_amqp_find(item.s, "queue", &name) || name.kind != 'S')
		return false;
	*queue = name.s;
	return true;
}
