/* mq_channel.c - channels: their beginning, their end, and what they ask of themselves. */
#include <stdlib.h>

#include "mq_int.h"

void mq_channel_begin(struct mq_channel *ch, struct mq_vhost *v, const struct mq_channel_ops *ops, const void *connection,
		      struct sd_slice user)
{
	*ch = (struct mq_channel){.vhost = v, .ops = ops, .connection = connection, .user = user, .next_tag = 1};
	sd_list_init(&ch->consumers);
	sd_list_init(&ch->waiting);
	sd_list_init(&ch->saying);
	sd_list_init(&ch->tx);
	sd_dict_init(&ch->by_tag, offsetof(struct mq_consumer, tag), &v->mq->hash_key);
	mq_index_init(&ch->unacked, &v->mq->pool);
}

static void return_all(struct mq_channel *ch)
{
	uint64_t tag = 0;
	for (struct mq_entry *e; (e = mq_index_from(&ch->unacked, &tag)); tag++)
		if ((const char *)e != mq_timed_out)
			mq_entry_returned(e);
}

/* Consumers first: what comes back is not for them. */
void mq_channel_end(struct mq_channel *ch)
{
	while (!sd_list_empty(&ch->consumers))
		mq_consumer_end(sd_container(ch->consumers.next, struct mq_consumer, of_channel), false);
	mq_tx_drop(ch);
	return_all(ch);
	mq_reply_end(ch);
	mq_index_free(&ch->unacked);
	sd_dict_free(&ch->by_tag);
	sd_list_del(&ch->waiting);
	sd_list_del(&ch->saying);
	free(ch->confirms);
	free(ch->last_queue);
	ch->confirms = NULL;
	ch->last_queue = NULL;
}

void mq_channel_ready(struct mq_channel *ch)
{
	mq_channel_wake(ch);
}

bool mq_channel_queue(const struct mq_channel *ch, struct sd_slice *name, struct mq_error *e)
{
	if (name->n)
		return true;
	if (!ch->last_queue)
		return mq_fail(e, 404, "no previously declared queue");
	*name = sd_slice_of(ch->last_queue);
	return true;
}

bool mq_channel_declared(struct mq_channel *ch, struct sd_slice name)
{
	char *copy = mq_copy_name(name);
	if (!copy)
		return false;
	free(ch->last_queue);
	ch->last_queue = copy;
	return true;
}

bool mq_qos(struct mq_channel *ch, uint32_t size, uint32_t count, bool global, struct mq_error *e)
{
	if (size)
		return mq_fail(e, 540, "prefetch_size!=0 (%u)", size);
	if (!global) {
		ch->prefetch = count;
		return true;
	}
	ch->global_prefetch = count;
	mq_channel_wake(ch);
	return true;
}

bool mq_confirm_select(struct mq_channel *ch, struct mq_error *e)
{
	if (ch->transaction)
		return mq_fail(e, 406, "cannot switch from tx to confirm mode");
	ch->confirming = true;
	return true;
}
