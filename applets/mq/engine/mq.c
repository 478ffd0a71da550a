/* mq.c - the broker: its life, and time. */
#include <stdlib.h>

#include "mq_stream.h"

#define AT_ONCE	    4096 /* things whose time has come, before others get their turn */
#define WALL_JUMP_MS 500 /* a difference between the clocks that somebody made */

struct mq_conf mq_conf_default(void)
{
	return (struct mq_conf){.retry_limit = MQ_RETRY_LIMIT,
				.visibility_ms = MQ_NO_LIMIT,
				.memory = 256u << 20,
				.high_water = 0,
				.message_max = 128u << 20,
				.queues_max = 0};
}

static void make_lists(struct mq *b)
{
	struct sd_link *const lists[] = {&b->busy,	     &b->waiting, &b->saying, &b->pressed_queues,
					 &b->exclusive_queues, &b->trim,  &b->retain, &b->moved, &b->unstored};
	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
		sd_list_init(lists[i]);
}

struct mq *mq_new(const struct mq_conf *conf, const struct mq_journal *journal, uint64_t seed, int64_t now_ms, int64_t wall_ms)
{
	struct mq_error e;
	struct mq *b = calloc(1, sizeof(*b));
	if (!b)
		return NULL;
	b->conf = *conf;
	b->journal = journal ? *journal : (struct mq_journal){0};
	b->quiet = true;
	b->now_ms = now_ms;
	b->wall_ms = wall_ms;
	b->next_queue_id = b->next_reply_id = 1;
	b->cold_end = &b->cold;
	sd_rng_seed(&b->rng, seed);
	b->hash_key = (struct sd_siphash_key){sd_rng_next(&b->rng), sd_rng_next(&b->rng)};
	sd_dict_init(&b->vhosts, offsetof(struct mq_vhost, name), &b->hash_key);
	sd_wheel_init(&b->wheel, now_ms);
	sd_wheel_init(&b->queue_wheel, now_ms);
	mq_index_init(&b->queues_by_id, &b->pool);
	mq_index_init(&b->replies, &b->pool);
	make_lists(b);
	b->route = mq_route_new();
	if (b->route && mq_vhost_add(b, sd_slice_of("/"), &e))
		return b;
	mq_free(b);
	return NULL;
}

/* Channels were ended before. */
void mq_free(struct mq *b)
{
	if (!b)
		return;
	b->journal = (struct mq_journal){0};
	b->quiet = true;
	b->pressed = NULL;
	for (struct sd_dict_entry *e; (e = sd_dict_random(&b->vhosts, &b->rng));)
		mq_vhost_end(sd_container(e, struct mq_vhost, e), false);
	mq_body_uncool(b);
	sd_dict_free(&b->vhosts);
	mq_index_free(&b->queues_by_id);
	mq_index_free(&b->replies);
	mq_index_pool_free(&b->pool);
	mq_route_free(b->route);
	free(b);
}

/* ---- time ---- */

static void queues_due(struct mq *b)
{
	for (struct sd_wheel_entry *w; (w = sd_wheel_pop(&b->queue_wheel, b->now_ms));) {
		struct mq_queue *q = sd_container(w, struct mq_queue, unused);
		if (q->stream)
			mq_stream_aged(q);
		else
			mq_queue_end(q, true);
	}
}

void mq_time(struct mq *b, int64_t now_ms, int64_t wall_ms)
{
	int64_t turned = (wall_ms - b->wall_ms) - (now_ms - b->now_ms);
	b->now_ms = now_ms > b->now_ms ? now_ms : b->now_ms;
	b->wall_ms = wall_ms;
	if (turned > WALL_JUMP_MS || turned < -WALL_JUMP_MS)
		mq_entries_rewind(b);
	struct sd_wheel_entry *w;
	for (unsigned n = 0; n < AT_ONCE && (w = sd_wheel_pop(&b->wheel, b->now_ms)); n++)
		mq_entry_due(sd_container(w, struct mq_entry, due));
	queues_due(b);
}

int64_t mq_next(const struct mq *b)
{
	int64_t a = sd_wheel_next(&b->wheel), q = sd_wheel_next(&b->queue_wheel);
	return a < q ? a : q;
}

/* ---- the log ---- */

void mq_stored(struct mq *b, uint64_t record)
{
	if (record <= b->stored)
		return;
	b->stored = record;
	mq_body_stored(b);
	mq_confirm_stored(b);
	mq_streams_stored(b);
}

void mq_journal_failed(struct mq *b)
{
	b->failed = true;
	mq_body_uncool(b);
	mq_confirm_failed(b);
}

void mq_journal_again(struct mq *b, uint64_t stored)
{
	b->failed = false;
	mq_stored(b, stored);
}
