/* mq_content.c - a publication, from its method through its header to the last piece of its body. */
#include <stdlib.h>

#include "mq_conn_int.h"

#define KEEP 4096 /* what a channel keeps of its buffer between messages */

static void reset(struct mq_session *s)
{
	s->expect = MQ_EXPECT_METHOD;
	s->held.n = 0;
	if (s->held.room <= KEEP)
		return;
	free(s->held.p);
	s->held = (struct sd_text){0};
}

/* What the method says is kept until the body is there: the bytes it stood in are gone by then. */
bool mq_content_begin(struct mq_session *s, const struct sd_amqp_arg *a, struct mq_error *e)
{
	if (a[4].n)
		return mq_fail(e, 540, "immediate=true");
	if (!mq_may_exchange(s, MQ_WRITE, a[1].s, e))
		return false;
	s->held.n = 0;
	sd_text_add(&s->held, a[1].s.p, a[1].s.n);
	sd_text_add(&s->held, a[2].s.p, a[2].s.n);
	s->exchange_n = (uint8_t)a[1].s.n;
	s->key_n = (uint8_t)a[2].s.n;
	s->mandatory = a[3].n;
	s->immediate = false;
	s->expect = MQ_EXPECT_HEADER;
	return true;
}

static size_t head_n(const struct mq_session *s)
{
	return (size_t)s->exchange_n + s->key_n + s->properties_n;
}

/* All of it is there; body stands behind the rest in `held`, or in the frame. */
static bool publish(struct mq_session *s, struct sd_slice body, struct mq_error *e)
{
	const char *p = s->held.p;
	if (s->held.full) {
		reset(s);
		return mq_fail(e, 506, "out of memory");
	}
	struct mq_publication pub = {.exchange = {p, s->exchange_n}, .key = {p + s->exchange_n, s->key_n}, .body = body,
				     .properties = {p + s->exchange_n + s->key_n, s->properties_n}, .mandatory = s->mandatory};
	bool ok = mq_publish(&s->ch, &pub, e);
	reset(s);
	s->conn->pressed |= ok && s->ch.pressed;
	return ok;
}

static bool take_header(struct mq_session *s, const struct sd_amqp_frame *f, struct mq_error *e)
{
	struct sd_amqp_properties properties;
	struct sd_slice raw;
	uint16_t class_id;
	uint32_t most = s->conn->hub->mq->conf.message_max;
	if (f->type != SD_AMQP_HEADER)
		return mq_fail(e, 505, "expected content header for class 60, got non content header frame instead");
	if (!sd_amqp_get_header(f->payload, &class_id, &s->size, &raw, &properties))
		return mq_fail(e, 501, "content header with properties that are none");
	if (class_id != 60)
		return mq_fail(e, 505, "expected content header for class 60, got one for class %u instead", class_id);
	if (s->size > most)
		return mq_fail(e, 406, "message size %llu is larger than configured max size %u", (unsigned long long)s->size, most);
	sd_text_add(&s->held, raw.p, raw.n);
	s->properties_n = (uint32_t)raw.n;
	s->expect = MQ_EXPECT_BODY;
	return s->size || publish(s, (struct sd_slice){NULL, 0}, e);
}

static bool take_body(struct mq_session *s, const struct sd_amqp_frame *f, struct mq_error *e)
{
	size_t head = head_n(s), got = s->held.n - head;
	if (f->type != SD_AMQP_BODY)
		return mq_fail(e, 505, "expected content body, got non content body frame instead");
	if (f->payload.n > s->size - got)
		return mq_fail(e, 501, "expected %llu more octets of content, got %zu", (unsigned long long)(s->size - got), f->payload.n);
	if (f->payload.n == s->size)
		return publish(s, f->payload, e); /* in one piece, as most are: not copied */
	sd_text_add(&s->held, f->payload.p, f->payload.n);
	if (s->held.full)
		return publish(s, f->payload, e);
	return s->held.n < head + s->size || publish(s, (struct sd_slice){s->held.p + head, (size_t)s->size}, e);
}

bool mq_content_frame(struct mq_session *s, const struct sd_amqp_frame *f, struct mq_error *e)
{
	bool ok = s->expect == MQ_EXPECT_HEADER ? take_header(s, f, e) : take_body(s, f, e);
	if (!ok)
		reset(s);
	return ok;
}
