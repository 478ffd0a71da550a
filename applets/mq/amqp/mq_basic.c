/* mq_basic.c - basic.* but publish, confirm.*, tx.*, and channel.flow. */
#include "mq_conn_int.h"

#define REPLY_TO "amq.rabbitmq.reply-to" /* no queue: who asks it gets the answers */

/* ---- consuming ---- */

bool mq_do_qos(struct mq_session *s, const struct sd_amqp_arg *a, struct mq_error *e)
{
	if (!mq_qos(&s->ch, (uint32_t)a[0].n, (uint32_t)a[1].n, a[2].n, e))
		return false;
	mq_reply(s, SD_AMQP_BASIC_QOS_OK, NULL);
	return true;
}

bool mq_do_consume(struct mq_session *s, const struct sd_amqp_arg *a, struct mq_error *e)
{
	struct sd_slice queue = a[1].s;
	struct mq_consumer *c;
	if (!mq_expand_queue(s, &queue, e) || (!sd_slice_eq(queue, REPLY_TO) && !mq_may_queue(s, MQ_READ, queue, e)) ||
	    !mq_consume(&s->ch, queue, a[2].s, a[3].n, a[4].n, a[5].n, a[7].s, &c, e))
		return false;
	if (!a[6].n)
		mq_reply(s, SD_AMQP_BASIC_CONSUME_OK, (mq_args){{.s = {c->tag, c->tag_n}}});
	return true;
}

bool mq_do_cancel(struct mq_session *s, const struct sd_amqp_arg *a, struct mq_error *e)
{
	(void)e;
	mq_cancel(&s->ch, a[0].s);
	if (!a[1].n)
		mq_reply(s, SD_AMQP_BASIC_CANCEL_OK, (mq_args){{.s = a[0].s}});
	return true;
}

bool mq_do_get(struct mq_session *s, const struct sd_amqp_arg *a, struct mq_error *e)
{
	struct sd_slice queue = a[1].s;
	struct mq_entry *n;
	uint64_t left;
	if (!mq_expand_queue(s, &queue, e) || !mq_may_queue(s, MQ_READ, queue, e) || !mq_get(&s->ch, queue, a[2].n, &n, &left, e))
		return false;
	if (!n) {
		mq_reply(s, SD_AMQP_BASIC_GET_EMPTY, (mq_args){{.n = 0}});
		return true;
	}
	bool sent = mq_session_send(s, SD_AMQP_BASIC_GET_OK,
				    (mq_args){{.n = n->tag}, {.n = n->redelivered}, {.s = mq_message_exchange(n->message)},
					      {.s = mq_message_key(n->message)}, {.n = left}},
				    n->message);
	if (a[2].n)
		mq_got(&s->ch, n);
	return sent || mq_fail(e, 541, "a message cannot be read");
}

/* ---- settling ---- */

bool mq_do_ack(struct mq_session *s, const struct sd_amqp_arg *a, struct mq_error *e)
{
	return mq_settle(&s->ch, a[0].n, a[1].n, MQ_ACK, e);
}

bool mq_do_nack(struct mq_session *s, const struct sd_amqp_arg *a, struct mq_error *e)
{
	return mq_settle(&s->ch, a[0].n, a[1].n, a[2].n ? MQ_REQUEUE : MQ_DISCARD, e);
}

bool mq_do_reject(struct mq_session *s, const struct sd_amqp_arg *a, struct mq_error *e)
{
	return mq_settle(&s->ch, a[0].n, false, a[1].n ? MQ_REQUEUE : MQ_DISCARD, e);
}

bool mq_do_recover_async(struct mq_session *s, const struct sd_amqp_arg *a, struct mq_error *e)
{
	if (!a[0].n)
		return mq_fail(e, 540, "requeue=false");
	mq_recover(&s->ch);
	return true;
}

bool mq_do_recover(struct mq_session *s, const struct sd_amqp_arg *a, struct mq_error *e)
{
	if (!mq_do_recover_async(s, a, e))
		return false;
	mq_reply(s, SD_AMQP_BASIC_RECOVER_OK, NULL);
	return true;
}

/* ---- modes ---- */

bool mq_do_flow(struct mq_session *s, const struct sd_amqp_arg *a, struct mq_error *e)
{
	if (!a[0].n)
		return mq_fail(e, 540, "active=false");
	mq_reply(s, SD_AMQP_CHANNEL_FLOW_OK, (mq_args){{.n = 1}});
	return true;
}

bool mq_do_confirm(struct mq_session *s, const struct sd_amqp_arg *a, struct mq_error *e)
{
	if (!mq_confirm_select(&s->ch, e))
		return false;
	if (!a[0].n)
		mq_reply(s, SD_AMQP_CONFIRM_SELECT_OK, NULL);
	return true;
}

bool mq_do_tx_select(struct mq_session *s, const struct sd_amqp_arg *a, struct mq_error *e)
{
	(void)a;
	if (!mq_tx_select(&s->ch, e))
		return false;
	mq_reply(s, SD_AMQP_TX_SELECT_OK, NULL);
	return true;
}

/* Its answer is the engine's to give: mq_session_ops.committed. */
bool mq_do_tx_commit(struct mq_session *s, const struct sd_amqp_arg *a, struct mq_error *e)
{
	(void)a;
	return mq_tx_commit(&s->ch, e);
}

bool mq_do_tx_rollback(struct mq_session *s, const struct sd_amqp_arg *a, struct mq_error *e)
{
	(void)a;
	if (!mq_tx_rollback(&s->ch, e))
		return false;
	mq_reply(s, SD_AMQP_TX_ROLLBACK_OK, NULL);
	return true;
}
