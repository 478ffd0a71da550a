/* mq_settle.c - acknowledgements, refusals, and what comes back. */
#include "mq_stream.h"

void mq_settle_entry(struct mq_entry *e, enum mq_settle how)
{
	struct mq_queue *q = e->queue;
	if (e->shadow) {
		mq_stream_settle(e, how);
		return;
	}
	switch (how) {
	case MQ_ACK:
		q->count.acked++;
		q->vhost->mq->count.acked++;
		mq_entry_settle(e);
		break;
	case MQ_REQUEUE:
		mq_entry_returned(e);
		break;
	case MQ_DISCARD:
		mq_entry_out(e);
		if (!mq_dead_letter(e, MQ_REJECTED))
			mq_entry_back(e); /* no memory to move it: not lost, but refused in vain */
		break;
	case MQ_RETURN:
		mq_entry_out(e);
		mq_entry_back(e);
		mq_queue_trim(q);
		break;
	}
}

static bool unknown(uint64_t tag, struct mq_error *e)
{
	return mq_fail(e, 406, "unknown delivery tag %llu", (unsigned long long)tag);
}

static bool settle_one(struct mq_channel *ch, uint64_t tag, void *entry, enum mq_settle how, struct mq_error *e)
{
	if (entry == MQ_TIMED_OUT) {
		mq_index_take(&ch->unacked, tag);
		return true;
	}
	if (!mq_stream_may_settle(entry, how, e))
		return false;
	if (ch->transaction)
		return mq_tx_settle(ch, entry, how, e);
	mq_settle_entry(entry, how);
	return true;
}

static bool settle_many(struct mq_channel *ch, uint64_t last, enum mq_settle how, struct mq_error *e)
{
	uint64_t tag = 0;
	for (void *entry; (entry = mq_index_from(&ch->unacked, &tag)) && tag <= last; tag++)
		if (!settle_one(ch, tag, entry, how, e))
			return false;
	return true;
}

bool mq_settle(struct mq_channel *ch, uint64_t tag, bool multiple, enum mq_settle how, struct mq_error *e)
{
	if (multiple && !tag)
		return settle_many(ch, UINT64_MAX, how, e);
	void *entry = mq_index_get(&ch->unacked, tag);
	if (!entry || (entry != MQ_TIMED_OUT && ((struct mq_entry *)entry)->settling))
		return unknown(tag, e);
	return multiple ? settle_many(ch, tag, how, e) : settle_one(ch, tag, entry, how, e);
}

void mq_recover(struct mq_channel *ch)
{
	struct mq_error e;
	uint64_t tag = 0;
	for (void *entry; (entry = mq_index_from(&ch->unacked, &tag)); tag++)
		if (entry != MQ_TIMED_OUT && !((struct mq_entry *)entry)->settling && mq_stream_may_settle(entry, MQ_REQUEUE, &e))
			mq_entry_returned(entry);
}

bool mq_holds(const struct mq_channel *ch, uint64_t tag)
{
	void *entry = mq_index_get(&ch->unacked, tag);
	return entry && entry != MQ_TIMED_OUT;
}

bool mq_extend(struct mq_channel *ch, uint64_t tag, int64_t ms, struct mq_error *e)
{
	struct mq *b = ch->vhost->mq;
	struct mq_entry *entry = mq_index_get(&ch->unacked, tag);
	if (!entry || (void *)entry == MQ_TIMED_OUT)
		return unknown(tag, e);
	sd_wheel_set(&b->wheel, &entry->due, b->now_ms + (ms < MQ_DELAY_MAX ? ms : MQ_DELAY_MAX));
	return true;
}
