/* mq_message.c - messages: one publication each, shared by the queues it went to; and where their bodies are. */
#include <stdio.h>
#include <stdlib.h>

#include "mq_int.h"

#define EXPIRATION_MAX 4294967295ll /* RabbitMQ's */

/* The bytes of its head in one allocation, the body in another: that one may leave memory. */
static struct mq_message *make(struct sd_slice exchange, struct sd_slice key, struct sd_slice raw, struct sd_slice body)
{
	size_t n = exchange.n + key.n + raw.n;
	if (exchange.n > UINT8_MAX || key.n > UINT8_MAX || raw.n > UINT32_MAX || body.n > UINT32_MAX)
		return NULL;
	struct mq_message *m = malloc(sizeof(*m) + n);
	char *copy = body.n && body.p ? malloc(body.n) : NULL;
	if (!m || (body.n && body.p && !copy)) {
		free(m);
		free(copy);
		return NULL;
	}
	*m = (struct mq_message){.refs = 1, .body_n = (uint32_t)body.n, .expiration_ms = MQ_NO_LIMIT, .body = copy};
	m->exchange_n = (uint8_t)exchange.n;
	m->key_n = (uint8_t)key.n;
	m->properties_n = (uint32_t)raw.n;
	if (copy)
		memcpy(copy, body.p, body.n);
	const struct sd_slice parts[] = {exchange, key, raw};
	char *at = m->bytes;
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		if (parts[i].n)
			memcpy(at, parts[i].p, parts[i].n);
		at += parts[i].n;
	}
	return m;
}

struct mq_message *mq_message_make(struct sd_slice exchange, struct sd_slice key, struct sd_slice raw, struct sd_slice body,
				   const struct sd_amqp_properties *p)
{
	char why[64];
	struct mq_message *m = make(exchange, key, raw, body);
	if (!m)
		return NULL;
	m->persistent = p->has & SD_AMQP_DELIVERY_MODE && p->delivery_mode == 2;
	m->priority = p->has & SD_AMQP_PRIORITY ? p->priority : 0;
	if (p->has & SD_AMQP_EXPIRATION && !mq_expiration(p->expiration, &m->expiration_ms, why, sizeof(why)))
		m->expiration_ms = MQ_NO_LIMIT;
	return m;
}

struct mq_message *mq_message_new(struct sd_slice exchange, struct sd_slice key, struct sd_slice properties, struct sd_slice body)
{
	struct sd_amqp_properties p;
	if (!sd_amqp_get_properties(properties, &p))
		p = (struct sd_amqp_properties){0};
	return mq_message_make(exchange, key, properties, body, &p);
}

struct mq_message *mq_message_again(struct mq *b, struct mq_message *m, struct sd_slice exchange, struct sd_slice key,
				    struct sd_slice raw)
{
	if (!mq_body_load(b, m))
		return NULL;
	struct mq_message *again = mq_message_new(exchange, key, raw, (struct sd_slice){m->body, m->body_n});
	if (again) {
		again->persistent = m->persistent;
		again->published_ms = b->wall_ms;
	}
	mq_body_used(b, m);
	return again;
}

void mq_message_drop(struct mq *b, struct mq_message *m)
{
	if (!m || --m->refs)
		return;
	if (m->counted)
		b->body_memory -= m->body_n;
	free(m->body);
	free(m);
}

/* ---- what its properties say ---- */

bool mq_expiration(struct sd_slice text, int64_t *ms, char *why, size_t room)
{
	size_t i = text.n && (text.p[0] == '-' || text.p[0] == '+');
	size_t first = i;
	int64_t n = 0;
	for (; i < text.n && text.p[i] >= '0' && text.p[i] <= '9'; i++)
		if (n < INT64_MAX / 10 - 1)
			n = n * 10 + (text.p[i] - '0');
	if (i == first) {
		snprintf(why, room, "no_integer");
		return false;
	}
	if (i < text.n) {
		snprintf(why, room, "{leftover_string,\"%.*s\"}", (int)(text.n - i), text.p + i);
		return false;
	}
	if (text.p[0] == '-' && n)
		snprintf(why, room, "{value_negative,-%lld}", (long long)n);
	else if (n > EXPIRATION_MAX)
		snprintf(why, room, "{value_too_large,%lld}", (long long)n);
	else {
		*ms = n;
		return true;
	}
	return false;
}

static int64_t bounded(int64_t ms)
{
	return ms < MQ_DELAY_MAX ? ms : MQ_DELAY_MAX;
}

void mq_message_times(struct mq_message *m, const struct sd_amqp_properties *p)
{
	struct sd_slice rest = p->has & SD_AMQP_HEADERS ? p->headers : (struct sd_slice){0};
	struct sd_amqp_field f;
	int64_t n;
	while (rest.n && sd_amqp_next_field(&rest, &f)) {
		if (f.name.n < 7 || f.name.p[0] != 'x')
			continue;
		if (sd_slice_eq(f.name, "x-delay") && sd_amqp_field_int(&f, &n) && n > 0) {
			m->not_before_ms = m->published_ms + bounded(n);
			m->by_wall = false;
		} else if (sd_slice_eq(f.name, "x-deliver-at") && (f.kind == 'T' || sd_amqp_field_int(&f, &n))) {
			n = f.kind == 'T' ? (f.n > MQ_DELAY_MAX / 1000 ? MQ_DELAY_MAX : f.n * 1000) : f.n;
			m->not_before_ms = n > m->published_ms ? bounded(n) : 0;
			m->by_wall = n > m->published_ms;
		}
	}
}

/* ---- bodies ---- */

void mq_body_count(struct mq *b, struct mq_message *m)
{
	if (m->counted || !m->body)
		return;
	m->counted = true;
	b->body_memory += m->body_n;
}

bool mq_body_load(struct mq *b, struct mq_message *m)
{
	if (m->body || !m->body_n)
		return true;
	b->count.fetched++;
	if (!b->journal.fetch || !b->journal.fetch(b->journal.arg, m) || !m->body) {
		b->count.fetch_failed++;
		return false;
	}
	mq_body_count(b, m);
	return true;
}

bool mq_body(struct mq *b, struct mq_message *m, struct sd_slice *out)
{
	if (!mq_body_load(b, m))
		return false;
	*out = (struct sd_slice){m->body, m->body_n};
	return true;
}

static void drop_body(struct mq *b, struct mq_message *m)
{
	if (!m->body || !m->counted || !b->journal.fetch)
		return;
	free(m->body);
	m->body = NULL;
	m->counted = false;
	b->body_memory -= m->body_n;
}

static void evict(struct mq *b, struct mq_message *m)
{
	if (b->body_memory > b->conf.memory)
		drop_body(b, m);
}

void mq_body_leave(struct mq *b, struct mq_message *m)
{
	if (m->record && m->record <= b->stored)
		drop_body(b, m);
}

void mq_body_used(struct mq *b, struct mq_message *m)
{
	if (m->record && m->record <= b->stored)
		evict(b, m);
}

/* The newest go first: they are the last to be delivered. */
void mq_body_cool(struct mq *b, struct mq_message *m)
{
	if (m->cooling || !m->record || b->body_memory <= b->conf.memory)
		return;
	m->cooling = true;
	m->colder = NULL;
	*b->cold_end = mq_message_hold(m);
	b->cold_end = &m->colder;
}

static void uncool(struct mq *b)
{
	struct mq_message *m = b->cold;
	b->cold = m->colder;
	if (!b->cold)
		b->cold_end = &b->cold;
	m->cooling = false;
	mq_message_drop(b, m);
}

void mq_body_stored(struct mq *b)
{
	while (b->cold && b->cold->record <= b->stored) {
		evict(b, b->cold);
		uncool(b);
	}
}

void mq_body_uncool(struct mq *b)
{
	while (b->cold)
		uncool(b);
}
