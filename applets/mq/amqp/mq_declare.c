/* mq_declare.c - exchange.* and queue.*: rights, the short forms of names, and the engine's answer. */
#include <stdlib.h>

#include "mq_conn_int.h"

bool mq_expand_queue(const struct mq_session *s, struct sd_slice *queue, struct mq_error *e)
{
	if (queue->n)
		return true;
	if (!s->ch.last_queue)
		return mq_fail(e, 404, "no previously declared queue");
	*queue = sd_slice_of(s->ch.last_queue);
	return true;
}

/* ... and then an empty key is, too. */
static bool expand_both(const struct mq_session *s, struct sd_slice *queue, struct sd_slice *key, struct mq_error *e)
{
	bool was_empty = !queue->n;
	if (!mq_expand_queue(s, queue, e))
		return false;
	if (was_empty && !key->n)
		*key = *queue;
	return true;
}

/* A name in an argument, such as the alternate exchange, needs a right of its own. */
static bool may_name(struct mq_session *s, struct sd_slice table, const char *argument, struct mq_error *e)
{
	struct sd_amqp_field f;
	if (!sd_amqp_find(table, argument, &f) || f.kind != 'S')
		return true;
	return mq_may_exchange(s, MQ_WRITE, f.s, e);
}

static bool has(struct sd_slice table, const char *argument)
{
	struct sd_amqp_field f;
	return sd_amqp_find(table, argument, &f);
}

/* ---- exchanges ---- */

static bool may_declare_exchange(struct mq_session *s, const struct mq_exchange_decl *d, struct mq_error *e)
{
	if (d->passive)
		return true;
	if (!mq_may_exchange(s, MQ_CONFIGURE, d->name, e))
		return false;
	return !has(d->arguments, "alternate-exchange") ||
	       (mq_may_exchange(s, MQ_READ, d->name, e) && may_name(s, d->arguments, "alternate-exchange", e));
}

bool mq_do_exchange_declare(struct mq_session *s, const struct sd_amqp_arg *a, struct mq_error *e)
{
	struct mq_exchange_decl d = {.name = a[1].s, .type = a[2].s, .passive = a[3].n, .durable = a[4].n, .auto_delete = a[5].n,
				     .internal = a[6].n, .arguments = a[8].s};
	if (!may_declare_exchange(s, &d, e) || !mq_exchange_declare(s->ch.vhost, &d, e))
		return false;
	if (!a[7].n)
		mq_reply(s, SD_AMQP_EXCHANGE_DECLARE_OK, NULL);
	return true;
}

bool mq_do_exchange_delete(struct mq_session *s, const struct sd_amqp_arg *a, struct mq_error *e)
{
	if (!mq_may_exchange(s, MQ_CONFIGURE, a[1].s, e) || !mq_exchange_delete(s->ch.vhost, a[1].s, a[2].n, e))
		return false;
	if (!a[3].n)
		mq_reply(s, SD_AMQP_EXCHANGE_DELETE_OK, NULL);
	return true;
}

bool mq_do_exchange_bind(struct mq_session *s, const struct sd_amqp_arg *a, struct mq_error *e)
{
	if (!mq_may_exchange(s, MQ_WRITE, a[1].s, e) || !mq_may_exchange(s, MQ_READ, a[2].s, e) ||
	    !mq_exchange_bind(s->ch.vhost, a[1].s, a[2].s, a[3].s, a[5].s, e))
		return false;
	if (!a[4].n)
		mq_reply(s, SD_AMQP_EXCHANGE_BIND_OK, NULL);
	return true;
}

bool mq_do_exchange_unbind(struct mq_session *s, const struct sd_amqp_arg *a, struct mq_error *e)
{
	if (!mq_may_exchange(s, MQ_WRITE, a[1].s, e) || !mq_may_exchange(s, MQ_READ, a[2].s, e) ||
	    !mq_exchange_unbind(s->ch.vhost, a[1].s, a[2].s, a[3].s, a[5].s, e))
		return false;
	if (!a[4].n)
		mq_reply(s, SD_AMQP_EXCHANGE_UNBIND_OK, NULL);
	return true;
}

/* ---- queues ---- */

static bool may_declare_queue(struct mq_session *s, const struct mq_queue_decl *d, struct mq_error *e)
{
	if (d->passive)
		return true;
	if (!mq_may_queue(s, MQ_CONFIGURE, d->name.n ? d->name : sd_slice_of("amq.gen-"), e))
		return false;
	return !has(d->arguments, "x-dead-letter-exchange") ||
	       (mq_may_queue(s, MQ_READ, d->name, e) && may_name(s, d->arguments, "x-dead-letter-exchange", e));
}

bool mq_do_queue_declare(struct mq_session *s, const struct sd_amqp_arg *a, struct mq_error *e)
{
	struct mq_queue_decl d = {.name = a[1].s, .passive = a[2].n, .durable = a[3].n, .exclusive = a[4].n, .auto_delete = a[5].n,
				  .arguments = a[7].s, .connection = s->conn};
	struct mq_queue *q;
	if (!may_declare_queue(s, &d, e) || !mq_queue_declare(s->ch.vhost, &d, &q, e))
		return false;
	char *last = strdup(q->name);
	if (!last)
		return mq_fail(e, 541, "out of memory");
	free(s->ch.last_queue);
	s->ch.last_queue = last;
	if (!a[6].n)
		mq_reply(s, SD_AMQP_QUEUE_DECLARE_OK, (mq_args){{.s = sd_slice_of(q->name)}, {.n = q->nready}, {.n = q->nconsumers}});
	return true;
}

bool mq_do_queue_bind(struct mq_session *s, const struct sd_amqp_arg *a, struct mq_error *e)
{
	struct sd_slice queue = a[1].s, key = a[3].s;
	if (!expand_both(s, &queue, &key, e) || !mq_may_queue(s, MQ_WRITE, queue, e) || !mq_may_exchange(s, MQ_READ, a[2].s, e) ||
	    !mq_queue_bind(s->ch.vhost, s->conn, queue, a[2].s, key, a[5].s, e))
		return false;
	if (!a[4].n)
		mq_reply(s, SD_AMQP_QUEUE_BIND_OK, NULL);
	return true;
}

bool mq_do_queue_unbind(struct mq_session *s, const struct sd_amqp_arg *a, struct mq_error *e)
{
	struct sd_slice queue = a[1].s, key = a[3].s;
	if (!expand_both(s, &queue, &key, e) || !mq_may_queue(s, MQ_WRITE, queue, e) || !mq_may_exchange(s, MQ_READ, a[2].s, e) ||
	    !mq_queue_unbind(s->ch.vhost, s->conn, queue, a[2].s, key, a[4].s, e))
		return false;
	mq_reply(s, SD_AMQP_QUEUE_UNBIND_OK, NULL);
	return true;
}

bool mq_do_queue_purge(struct mq_session *s, const struct sd_amqp_arg *a, struct mq_error *e)
{
	struct sd_slice queue = a[1].s;
	uint64_t n;
	if (!mq_expand_queue(s, &queue, e) || !mq_may_queue(s, MQ_READ, queue, e) || !mq_queue_purge(s->ch.vhost, s->conn, queue, &n, e))
		return false;
	if (!a[2].n)
		mq_reply(s, SD_AMQP_QUEUE_PURGE_OK, (mq_args){{.n = n}});
	return true;
}

bool mq_do_queue_delete(struct mq_session *s, const struct sd_amqp_arg *a, struct mq_error *e)
{
	struct sd_slice queue = a[1].s;
	uint64_t n;
	if (!mq_expand_queue(s, &queue, e) || !mq_may_queue(s, MQ_CONFIGURE, queue, e) ||
	    !mq_queue_delete(s->ch.vhost, s->conn, queue, a[2].n, a[3].n, &n, e))
		return false;
	if (!a[4].n)
		mq_reply(s, SD_AMQP_QUEUE_DELETE_OK, (mq_args){{.n = n}});
	return true;
}
