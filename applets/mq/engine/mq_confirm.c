/* mq_confirm.c - publications that wait for the disk, and telling when they are on it.
 *
 * Records grow, so those of a channel that wait stand in a ring and are done from its front, many with one answer. What
 * needs no disk is told at the end of the turn, or at once when others are waiting before it. */
#include <stdlib.h>

#include "mq_int.h"

#define FIRST_ROOM 16

bool mq_confirm_reserve(struct mq_channel *ch)
{
	if (ch->confirm_n < ch->confirm_room)
		return true;
	uint32_t room = ch->confirm_room ? 2 * ch->confirm_room : FIRST_ROOM;
	struct mq_confirm *ring = room ? reallocarray(NULL, room, sizeof(*ring)) : NULL;
	if (!ring)
		return false;
	for (uint32_t i = 0; i < ch->confirm_n; i++)
		ring[i] = ch->confirms[(ch->confirm_first + i) & (ch->confirm_room - 1)];
	free(ch->confirms);
	ch->confirms = ring;
	ch->confirm_first = 0;
	ch->confirm_room = room;
	return true;
}

static void join(struct sd_link *list, struct sd_link *l)
{
	if (l->next == l)
		sd_list_add(list, l);
}

void mq_confirm_add(struct mq_channel *ch, uint64_t seq, uint64_t record)
{
	struct mq *b = ch->vhost->mq;
	bool safe = record <= b->stored;
	if (safe && ch->confirm_n) {
		b->count.confirmed++;
		ch->ops->confirm(ch, seq, false, false);
	} else if (safe) {
		b->count.confirmed++;
		ch->nsafe++;
		ch->safe = seq;
		join(&b->saying, &ch->saying);
	} else {
		ch->confirms[(ch->confirm_first + ch->confirm_n++) & (ch->confirm_room - 1)] = (struct mq_confirm){seq, record};
		join(&b->waiting, &ch->waiting);
	}
}

void mq_confirm_refuse(struct mq_channel *ch, uint64_t seq)
{
	ch->vhost->mq->count.refused++;
	ch->ops->confirm(ch, seq, false, true);
}

static void say_safe(struct mq_channel *ch)
{
	uint64_t safe = ch->safe;
	bool many = ch->nsafe > 1;
	sd_list_del(&ch->saying);
	ch->safe = ch->nsafe = 0;
	if (safe)
		ch->ops->confirm(ch, safe, many, false);
}

void mq_confirm_say(struct mq *b)
{
	while (!sd_list_empty(&b->saying))
		say_safe(sd_container(b->saying.next, struct mq_channel, saying));
}

/* Those that are safe before come first: `multiple` would cover them. */
static void say_stored(struct mq_channel *ch, uint64_t record, bool refused)
{
	struct mq *b = ch->vhost->mq;
	uint64_t last = 0;
	uint32_t n = 0;
	for (; ch->confirm_n && ch->confirms[ch->confirm_first].record <= record; n++) {
		last = ch->confirms[ch->confirm_first].seq;
		ch->confirm_first = (ch->confirm_first + 1) & (ch->confirm_room - 1);
		ch->confirm_n--;
	}
	if (!n)
		return;
	if (ch->safe)
		say_safe(ch);
	*(refused ? &b->count.refused : &b->count.confirmed) += n;
	ch->ops->confirm(ch, last, n > 1, refused);
}

static void say_committed(struct mq_channel *ch, bool refused)
{
	ch->committing = false;
	ch->commit = 0;
	if (!refused)
		ch->ops->committed(ch);
	else if (ch->ops->commit_failed)
		ch->ops->commit_failed(ch);
}

static void each_waiting(struct mq *b, uint64_t record, bool refused)
{
	for (struct sd_link *l = b->waiting.next, *next; l != &b->waiting; l = next) {
		struct mq_channel *ch = sd_container(l, struct mq_channel, waiting);
		next = l->next;
		say_stored(ch, record, refused);
		if (ch->committing && ch->commit <= record)
			say_committed(ch, refused);
		if (!ch->confirm_n && !ch->committing)
			sd_list_del(&ch->waiting);
	}
}

void mq_confirm_stored(struct mq *b)
{
	each_waiting(b, b->stored, false);
}

void mq_confirm_failed(struct mq *b)
{
	each_waiting(b, UINT64_MAX, true);
}

void mq_confirm_commit(struct mq_channel *ch, uint64_t record)
{
	struct mq *b = ch->vhost->mq;
	ch->commit = record;
	ch->committing = record > b->stored;
	if (ch->committing)
		join(&b->waiting, &ch->waiting);
	else
		say_committed(ch, false);
}
