/* mq_tx.c - transactions: publications and acknowledgements that wait for a commit. */
#include <stdlib.h>

#include "mq_int.h"

struct tx_op {
	struct sd_link link;
	struct mq_message *message; /* NULL: an acknowledgement */
	uint64_t tag;
	enum mq_settle how;
	bool mandatory;
};

bool mq_tx_select(struct mq_channel *ch, struct mq_error *e)
{
	if (ch->confirming)
		return mq_fail(e, 406, "cannot switch from confirm to tx mode");
	ch->transaction = true;
	return true;
}

static struct tx_op *add(struct mq_channel *ch, struct mq_error *e)
{
	struct tx_op *op = calloc(1, sizeof(*op));
	if (op)
		sd_list_add(&ch->tx, &op->link);
	else
		mq_no_memory(e);
	return op;
}

bool mq_tx_publish(struct mq_channel *ch, struct mq_message *m, bool mandatory, struct mq_error *e)
{
	struct tx_op *op = add(ch, e);
	if (!op)
		return false;
	op->message = mq_message_hold(m);
	op->mandatory = mandatory;
	return true;
}

/* The entry may go in the meantime, with its queue or its time: its tag does not. */
bool mq_tx_settle(struct mq_channel *ch, struct mq_entry *entry, enum mq_settle how, struct mq_error *e)
{
	struct tx_op *op = entry->settling ? NULL : add(ch, e);
	if (!op)
		return entry->settling;
	entry->settling = true;
	op->tag = entry->tag;
	op->how = how;
	return true;
}

static struct mq_entry *entry_of(struct mq_channel *ch, const struct tx_op *op)
{
	void *entry = mq_index_get(&ch->unacked, op->tag);
	if (entry != MQ_TIMED_OUT)
		return entry;
	mq_index_take(&ch->unacked, op->tag);
	return NULL;
}

static bool publish(struct mq_channel *ch, const struct tx_op *op, struct mq_error *e)
{
	struct sd_amqp_properties p = {0};
	struct mq_exchange *x = mq_exchange_find(ch->vhost, mq_message_exchange(op->message));
	sd_amqp_get_properties(mq_message_properties(op->message), &p);
	return !x || mq_publish_now(ch, x, op->message, p.has & SD_AMQP_HEADERS ? p.headers : (struct sd_slice){0}, op->mandatory, 0, e);
}

static bool settle(struct mq_channel *ch, const struct tx_op *op)
{
	struct mq_entry *entry = entry_of(ch, op);
	if (entry)
		mq_settle_entry(entry, op->how);
	return true;
}

static void free_op(struct mq_channel *ch, struct tx_op *op)
{
	sd_list_del(&op->link);
	mq_message_drop(ch->vhost->mq, op->message);
	free(op);
}

static bool not_transactional(struct mq_error *e)
{
	return mq_fail(e, 406, "channel is not transactional");
}

bool mq_tx_commit(struct mq_channel *ch, struct mq_error *e)
{
	struct mq *b = ch->vhost->mq;
	uint64_t before = b->logged;
	if (!ch->transaction)
		return not_transactional(e);
	while (!sd_list_empty(&ch->tx)) {
		struct tx_op *op = sd_container(ch->tx.next, struct tx_op, link);
		bool done = op->message ? publish(ch, op, e) : settle(ch, op);
		free_op(ch, op);
		if (!done)
			return false;
	}
	mq_confirm_commit(ch, b->logged > before ? b->logged : 0);
	return true;
}

void mq_tx_drop(struct mq_channel *ch)
{
	while (!sd_list_empty(&ch->tx)) {
		struct tx_op *op = sd_container(ch->tx.next, struct tx_op, link);
		struct mq_entry *entry = op->message ? NULL : entry_of(ch, op);
		if (entry)
			entry->settling = false;
		free_op(ch, op);
	}
}

bool mq_tx_rollback(struct mq_channel *ch, struct mq_error *e)
{
	if (!ch->transaction)
		return not_transactional(e);
	mq_tx_drop(ch);
	return true;
}
