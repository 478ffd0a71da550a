/* mq_compact.c - the oldest segment's live records are written again at the end of the log, a piece at a time, and the segment goes.
 *
 *	pick --> append copies --(one sync, shared with what is published)--> the copies are where the messages are --> drop
 *
 * Until a copy is on the disk the message is in its old record; a message that ended meanwhile is not looked at again. A
 * message's record may be read from its old segment as long as that is there, so a segment goes only when nothing is in it.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mq_store_int.h"

#define DUMP_STEP 16

/* ---- dropping ---- */

/* Do its definitions stand behind it again? */
static bool covered(const struct mq_store *s, const struct mq_segment *g)
{
	return g->last_define == 0 || g->last_define < s->compact.dumped;
}

static size_t droppable(const struct mq_store *s, uint64_t durable)
{
	const struct mq_segments *all = &s->segments;
	size_t n = 0;
	while (n + 1 < all->n && sd_list_empty(&all->at[n]->records) && covered(s, all->at[n]) && all->at[n]->changed <= durable &&
	       all->at[n + 1]->first_seq <= durable)
		n++;
	return n;
}

static void on_dropped(struct sd_wal_wait *wait, enum sd_err err)
{
	struct mq_store *s = sd_container(wait, struct mq_store, compact.drop);
	size_t n = s->compact.dropping;
	s->compact.dropping = 0;
	if (err)
		return; /* the next sync finds out too */
	mq_segments_forget(&s->segments, n);
	s->count.compactions += n;
	s->compact.going = false;
}

/* A damaged segment, under another name, which no log looks at: what it has may be had by hand. */
static bool keep_beside(struct mq_store *s, const struct mq_segment *g)
{
	char path[4096], kept[4096], text[sizeof(kept) + 64];
	struct sd_error e = {0};
	int n = snprintf(kept, sizeof(kept), "%s/mq-%08" PRIu64 ".log.damaged", s->dir, g->number);
	if (n < 0 || (size_t)n >= sizeof(kept))
		return false;
	snprintf(path, sizeof(path), "%.*s", n - (int)strlen(".damaged"), kept);
	if (sd_world_hardlink(s->world, path, kept, &e))
		return false;
	snprintf(text, sizeof(text), "what cannot be read of the log is kept as %s", kept);
	if (s->mq->say)
		s->mq->say(s->mq->arg, "mq.damaged", text);
	return true;
}

static void drop(struct mq_store *s)
{
	size_t n = s->compact.dropping ? 0 : droppable(s, mq_store_durable(s));
	for (size_t i = 0; i < n; i++)
		if (s->segments.at[i]->damaged && !keep_beside(s, s->segments.at[i])) {
			s->compact.broken = true;
			n = i;
		}
	if (n == 0)
		return;
	s->compact.dropping = n;
	s->compact.drop.done = on_dropped;
	sd_wal_drop(s->log, s->segments.at[n]->first_seq, &s->compact.drop);
}

/* ---- definitions ---- */

static uint64_t put_define(void *arg, enum mq_define what, bool gone, struct sd_slice text)
{
	struct mq_store *s = arg;
	s->compact.dump_bytes += text.n + 2 + MQ_RECORD_HEAD;
	return mq_store_put_define(s, what, gone, text, false);
}

static void dumped(struct mq_store *s)
{
	struct mq_compaction *c = &s->compact;
	c->dumped = c->dump_from;
	c->dumped_bytes = c->dump_bytes;
	c->dumped_to = s->appended;
	c->dump = (struct mq_dump){0};
	for (size_t i = 0; i < s->segments.n; i++)
		if (s->segments.at[i]->last_define)
			mq_segment_changed(s->segments.at[i], s->appended);
}

/* Others publish between two pieces; the next comes when this one is on the disk. */
static void dump_piece(struct mq_store *s)
{
	struct mq_compaction *c = &s->compact;
	struct mq_journal to = {.arg = s, .define = put_define};
	if (!c->dump.begun) {
		mq_store_flush(s);
		c->dump_from = s->appended + 1;
		c->dump_bytes = 0;
	}
	uint64_t until = c->dump_bytes + MQ_PIECE_BYTES;
	bool more = true;
	for (size_t n = 0; more && n < MQ_PIECE && c->dump_bytes < until; n += DUMP_STEP)
		more = mq_dump_some(s->mq, &c->dump, DUMP_STEP, &to);
	c->dump_to = s->appended;
	if (!more && !s->failure.code)
		dumped(s);
}

/* ---- copies ---- */

static void let_go(struct mq_store *s)
{
	struct mq_compaction *c = &s->compact;
	for (size_t i = 0; i < c->n; i++)
		mq_message_drop(s->mq, c->copies[i].m);
	c->n = 0;
}

/* False: its body cannot be had; see mq_store_fetch. */
static bool copy(struct mq_store *s, struct mq_live *live)
{
	struct mq_message *m = live->entries[0]->message;
	struct mq_copy *to = &s->compact.copies[s->compact.n];
	bool fetched = !m->body && m->body_n;
	if (fetched && !mq_store_fetch(s, m))
		return false;
	*to = (struct mq_copy){.m = mq_message_hold(m), .live = live, .was = m->record};
	to->seq = mq_store_put_message(s, m, live->entries, live->n, NULL, (struct sd_slice){m->body, m->body_n}, &to->bytes);
	if (to->seq)
		to->to = sd_wal_appended(s->log);
	if (fetched) { /* the engine does not count it */
		free(m->body);
		m->body = NULL;
	}
	s->compact.n++;
	s->count.copied++;
	return true;
}

/* What stays is the place in its queue, until somebody asks for it. For a damaged one, and the test that shows what would happen. */
static void lose(struct mq_store *s, struct mq_live *live)
{
	live->entries[0]->message->at = 0;
	mq_live_remove(&s->segments, live);
	free(live);
}

static void begin_piece(struct mq_store *s)
{
	struct mq_segment *g = s->segments.at[0];
	struct sd_link *next;
	size_t bytes = 0;
	if (!covered(s, g))
		dump_piece(s);
	for (struct sd_link *l = g->records.next; l != &g->records && !s->failure.code; l = next) {
		struct mq_live *live = sd_container(l, struct mq_live, link);
		next = l->next;
		bytes += live->bytes;
		if (s->compact.n == MQ_PIECE || (s->compact.n && bytes > MQ_PIECE_BYTES))
			break;
		if (s->drop_live)
			lose(s, live);
		else if (copy(s, live))
			continue;
		else if (s->compact.broken)
			break;
		else
			lose(s, live);
	}
	mq_segment_changed(g, s->appended);
}

/* The copies are on the disk. */
static void landed(struct mq_store *s)
{
	for (size_t i = 0; i < s->compact.n; i++) {
		const struct mq_copy *c = &s->compact.copies[i];
		if (mq_live_of(c->m) != c->live || c->m->record != c->was)
			continue;
		mq_live_remove(&s->segments, c->live);
		c->m->record = c->seq;
		mq_live_add(&s->segments, c->live, s->segments.at[c->to.segment - s->segments.at[0]->number], c->to.offset, c->bytes);
	}
	let_go(s);
}

/* Nothing in it but definitions, which are soon written again: what streams leave behind, that keep as much as they drop. */
static bool only_definitions(const struct mq_store *s)
{
	const struct mq_segment *g = s->segments.at[0];
	return sd_list_empty(&g->records) && !covered(s, g) && g->bytes > 4 * s->compact.dumped_bytes;
}

static bool wanted(const struct mq_store *s)
{
	const struct mq_segments *all = &s->segments;
	uint64_t worth = s->conf.segment_bytes ? s->conf.segment_bytes : 64u << 20;
	return all->n > 2 && (all->bytes > 2 * (all->live + s->compact.dumped_bytes) + worth || only_definitions(s));
}

void mq_compact_turn(struct mq_store *s)
{
	struct mq_compaction *c = &s->compact;
	if (!s->log || s->failure.code || s->closing || s->conf.never_compact || c->dump_to > mq_store_durable(s))
		return;
	if (c->n) {
		if (c->copies[c->n - 1].seq > mq_store_durable(s))
			return;
		landed(s);
	}
	if (!c->broken)
		drop(s);
	if (c->dropping || c->broken)
		return;
	c->going = c->going || wanted(s);
	const struct mq_segment *g = s->segments.n > 1 ? s->segments.at[0] : NULL;
	if (c->going && g && (!sd_list_empty(&g->records) || !covered(s, g)))
		begin_piece(s);
}

void mq_compact_stop(struct mq_store *s)
{
	let_go(s);
}
