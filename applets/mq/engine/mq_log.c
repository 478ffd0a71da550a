/* mq_log.c - what the journal is told, and the records it gives. */
#include <stdlib.h>

#include "mq_int.h"

bool mq_log_wanted(const struct mq *b)
{
	return b->journal.publish && !b->quiet;
}

static uint64_t logged(struct mq *b, uint64_t record)
{
	if (record > b->logged)
		b->logged = record;
	return record;
}

uint64_t mq_log_publish(struct mq *b, struct mq_message *m, struct mq_entry *const *entries, size_t n, const struct mq_entry *from)
{
	return b->failed ? 0 : logged(b, b->journal.publish(b->journal.arg, m, entries, n, from));
}

void mq_log_settle(struct mq *b, const struct mq_entry *e)
{
	if (e->durable && b->journal.settle && !b->quiet)
		logged(b, b->journal.settle(b->journal.arg, e->queue, e->seq));
}

void mq_log_failed(struct mq *b, const struct mq_entry *e)
{
	if (e->durable && b->journal.failed && !b->quiet)
		logged(b, b->journal.failed(b->journal.arg, e));
}

void mq_log_purged(struct mq *b, const struct mq_queue *q, uint64_t upto_seq)
{
	if (b->journal.purged && !b->quiet)
		logged(b, b->journal.purged(b->journal.arg, q, upto_seq));
}

void mq_log_ended(struct mq *b, struct mq_entry *e)
{
	if (e->durable && b->journal.ended)
		b->journal.ended(b->journal.arg, e);
}

void mq_log_define_text(struct mq *b, enum mq_define what, bool gone, struct sd_slice text)
{
	if (b->journal.define && !b->quiet)
		logged(b, b->journal.define(b->journal.arg, what, gone, text));
}

void mq_log_define(struct mq *b, enum mq_define what, bool gone, const void *thing)
{
	struct sd_text t = {0};
	if (!b->journal.define || b->quiet)
		return;
	mq_define_put(&t, what, thing);
	if (!t.full)
		mq_log_define_text(b, what, gone, (struct sd_slice){t.p, t.n});
	free(t.p);
}
