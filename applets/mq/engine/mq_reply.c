/* mq_reply.c - direct reply-to: an answer goes straight to the channel that asked, through no queue.
 *
 * A channel's address has its number and a MAC of it: who was not asked cannot answer. */
#include <stdio.h>
#include <stdlib.h>

#include "mq_int.h"

#define PREFIX MQ_REPLY_QUEUE "."

bool mq_is_reply(struct sd_slice queue)
{
	return sd_slice_eq(queue, MQ_REPLY_QUEUE);
}

static void address(const struct mq *b, uint64_t id, char *out, size_t n)
{
	snprintf(out, n, PREFIX "%llx.%016llx", (unsigned long long)id,
		 (unsigned long long)sd_siphash(&b->hash_key, &id, sizeof(id)));
}

bool mq_reply_consume(struct mq_channel *ch, struct sd_slice tag, bool no_ack, struct mq_consumer **out, struct mq_error *e)
{
	struct mq *b = ch->vhost->mq;
	if (!no_ack)
		return mq_fail(e, 406, "reply consumer cannot acknowledge");
	if (ch->reply_tag)
		return mq_fail(e, 406, "reply consumer already set");
	struct mq_consumer *c = mq_consumer_new(ch, tag, (struct sd_slice){0}, e);
	if (!c)
		return false;
	c->no_ack = true;
	ch->reply_tag = mq_copy_name((struct sd_slice){c->tag, c->tag_n});
	if (!ch->reply_tag || !mq_index_put(&b->replies, b->next_reply_id, ch)) {
		free(ch->reply_tag);
		ch->reply_tag = NULL;
		mq_consumer_end(c, false);
		return mq_no_memory(e);
	}
	ch->reply_id = b->next_reply_id++;
	*out = c;
	return true;
}

void mq_reply_end(struct mq_channel *ch)
{
	if (!ch->reply_tag)
		return;
	mq_index_take(&ch->vhost->mq->replies, ch->reply_id);
	free(ch->reply_tag);
	ch->reply_tag = NULL;
}

bool mq_reply_address(struct mq_channel *ch, struct sd_amqp_properties *p, struct sd_text *t, struct mq_error *e)
{
	char room[80];
	if (!ch->reply_tag)
		return mq_fail(e, 406, "fast reply consumer does not exist");
	address(ch->vhost->mq, ch->reply_id, room, sizeof(room));
	sd_text_add(t, room, strlen(room));
	p->reply_to = (struct sd_slice){t->p, t->n};
	return true;
}

struct mq_channel *mq_reply_to(struct mq *b, struct sd_slice key)
{
	char room[80], right[80];
	char *end;
	if (key.n >= sizeof(room) || !sd_slice_starts(key, PREFIX))
		return NULL;
	memcpy(room, key.p, key.n);
	room[key.n] = '\0';
	uint64_t id = strtoull(room + strlen(PREFIX), &end, 16);
	address(b, id, right, sizeof(right));
	return strcmp(room, right) == 0 ? mq_index_get(&b->replies, id) : NULL;
}
