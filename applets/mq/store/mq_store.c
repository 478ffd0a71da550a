/* mq_store.c - the journal that the broker writes. What is written in a turn is on the disk with one sync. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mq_store_int.h"
#include "world/file.h"

#define QUEUE_MOST (1u << 30) /* who publishes is slowed long before: stats.queued_bytes */

/* ---- failing ---- */

static void tell(struct mq_store *s)
{
	if (!s->untold || !s->mq)
		return;
	s->untold = false;
	mq_journal_failed(s->mq);
}

static void destroy(struct mq_store *s)
{
	free(s->tail.p);
	free(s->scratch.p);
	free(s->dir);
	free(s);
}

static void on_task(struct sd_task *t)
{
	struct mq_store *s = sd_container(t, struct mq_store, task);
	if (s->dead) {
		destroy(s);
		return;
	}
	tell(s);
	if (s->conf.stored)
		s->conf.stored(s->conf.arg);
}

void mq_store_fail(struct mq_store *s, enum sd_err err, const char *text)
{
	if (s->failure.code)
		return;
	sd_fail(&s->failure, err, "%s", text);
	s->full = err == SD_ENOSPC;
	s->untold = true;
	/* The broker may be in the midst of something: it hears of it later. */
	if (s->loop)
		sd_loop_defer(s->loop, &s->task);
}

static void log_failed(struct mq_store *s, enum sd_err err)
{
	const struct sd_error *why = s->log ? sd_wal_failure(s->log) : NULL;
	mq_store_fail(s, err, why ? why->text : sd_err_text(err));
}

const struct sd_error *mq_store_failure(const struct mq_store *s)
{
	return s->failure.code ? &s->failure : NULL;
}

/* ---- records ---- */

/* Counts what was appended; NULL: no memory for that, so nothing more may be. */
static struct mq_segment *counted(struct mq_store *s, uint64_t seq, size_t n)
{
	struct mq_segment *g = mq_segment_of(&s->segments, sd_wal_appended(s->log).segment, seq);
	if (!g) {
		mq_store_fail(s, SD_ENOMEM, "out of memory");
		return NULL;
	}
	s->appended = seq;
	g->bytes += n + MQ_RECORD_HEAD;
	s->segments.bytes += n + MQ_RECORD_HEAD;
	s->count.records++;
	return g;
}

uint64_t mq_store_append(struct mq_store *s, enum mq_kind kind, struct iovec *iov, int niov)
{
	uint64_t seq;
	size_t n = 0;
	if (s->failure.code || !s->log)
		return 0;
	for (int i = 0; i < niov; i++)
		n += iov[i].iov_len;
	enum sd_err err = sd_wal_append(s->log, mq_record_type(kind), iov, niov, &seq);
	if (err)
		log_failed(s, err);
	struct mq_segment *g = err ? NULL : counted(s, seq, n);
	if (g && kind == MQ_REC_DEFINE)
		g->last_define = seq;
	return g ? seq : 0;
}

uint64_t mq_store_append_kept(struct mq_store *s, enum mq_kind kind, struct iovec *iov, int niov)
{
	uint64_t seq = mq_store_append(s, kind, iov, niov);
	bool later = !seq && s->full;
	if ((seq || later) && !mq_tail_add(&s->tail, seq ? seq : MQ_TAIL_LATER, kind, iov, niov) && seq)
		mq_store_fail(s, SD_ENOMEM, "out of memory");
	return seq;
}

void mq_store_flush(struct mq_store *s)
{
	struct iovec iov = {s->settles, s->nsettles * MQ_PLACE_BYTES};
	if (s->nsettles == 0)
		return;
	mq_store_append_kept(s, MQ_REC_SETTLE, &iov, 1);
	s->nsettles = 0;
}

uint64_t mq_store_put_define(struct mq_store *s, enum mq_define what, bool gone, struct sd_slice text, bool keep)
{
	uint8_t head[2] = {(uint8_t)what, gone};
	struct iovec iov[2] = {{head, 2}, {(void *)(uintptr_t)text.p, text.n}};
	mq_store_flush(s);
	return keep ? mq_store_append_kept(s, MQ_REC_DEFINE, iov, 2) : mq_store_append(s, MQ_REC_DEFINE, iov, 2);
}

uint64_t mq_store_put_message(struct mq_store *s, const struct mq_message *m, struct mq_entry *const *entries, size_t n,
			      const struct mq_entry *moved_from, struct sd_slice body, size_t *bytes)
{
	struct sd_text *t = &s->scratch;
	size_t names = m->exchange_n + (size_t)m->key_n + m->properties_n;
	mq_store_flush(s);
	t->n = 0;
	if (s->failure.code || !mq_publish_put(t, m, entries, n, moved_from))
		return 0;
	struct iovec iov[3] = {{t->p, t->n}, {(void *)(uintptr_t)m->bytes, names}, {(void *)(uintptr_t)body.p, body.n}};
	*bytes = t->n + names + body.n + MQ_RECORD_HEAD;
	return mq_store_append(s, MQ_REC_PUBLISH, iov, 3);
}

/* ---- the journal ---- */

/* What the message has from now on, instead of what it had. */
static void attach(struct mq_store *s, struct mq_message *m, struct mq_live *live, size_t bytes)
{
	struct mq_live *old = mq_live_of(m);
	if (old) {
		mq_segment_changed(mq_segment_with(&s->segments, old), s->appended);
		mq_live_remove(&s->segments, old);
		free(old);
	}
	mq_live_add(&s->segments, live, s->segments.at[s->segments.n - 1], sd_wal_appended(s->log).offset, bytes);
	m->at = (uintptr_t)live;
	m->record = s->appended;
}

/* The record that replaces it must be on the disk before its segment goes; and should it be lost, the end must not be. */
static void moved(struct mq_store *s, const struct mq_entry *from, uint64_t seq)
{
	uint8_t place[MQ_PLACE_BYTES];
	const struct mq_live *live = mq_live_of(from->message);
	mq_place_put(place, from->queue->id, from->seq);
	mq_tail_add(&s->tail, seq, MQ_REC_SETTLE, &(struct iovec){place, sizeof(place)}, 1);
	if (live)
		mq_segment_changed(mq_segment_with(&s->segments, live), seq);
}

static uint64_t on_publish(void *arg, struct mq_message *m, struct mq_entry *const *entries, size_t n,
			   const struct mq_entry *moved_from)
{
	struct mq_store *s = arg;
	struct mq_live *old = mq_live_of(m);
	size_t bytes;
	if (s->failure.code || !s->log || (!m->body && m->body_n && !mq_store_fetch(s, m)))
		return 0;
	struct mq_live *live = mq_live_new(n + (old ? old->n : 0));
	if (!live)
		return 0;
	memcpy(live->entries, entries, n * sizeof(struct mq_entry *));
	live->n = (uint32_t)n;
	for (size_t i = 0; old && i < old->n; i++) /* published once more: one record has all its places */
		if (old->entries[i] != moved_from)
			live->entries[live->n++] = old->entries[i];
	uint64_t seq = mq_store_put_message(s, m, live->entries, live->n, moved_from, (struct sd_slice){m->body, m->body_n}, &bytes);
	if (!seq) {
		free(live);
		return 0;
	}
	attach(s, m, live, bytes);
	if (moved_from)
		moved(s, moved_from, seq);
	return seq;
}

static uint64_t on_settle(void *arg, const struct mq_queue *q, uint64_t seq)
{
	struct mq_store *s = arg;
	if (s->nsettles == MQ_SETTLES)
		mq_store_flush(s);
	mq_place_put(s->settles + s->nsettles * MQ_PLACE_BYTES, q->id, seq);
	s->nsettles++;
	return s->failure.code ? 0 : s->appended + 1;
}

static uint64_t on_failed(void *arg, const struct mq_entry *e)
{
	struct mq_place at = {.queue = e->queue->id, .seq = e->seq, .not_before_ms = e->not_before_ms, .failures = e->failures};
	uint8_t out[MQ_FAILED_BYTES];
	mq_failed_put(out, &at);
	mq_store_flush(arg);
	return mq_store_append_kept(arg, MQ_REC_FAILED, &(struct iovec){out, sizeof(out)}, 1);
}

static uint64_t on_purged(void *arg, const struct mq_queue *q, uint64_t upto_seq)
{
	uint8_t out[MQ_PLACE_BYTES];
	mq_place_put(out, q->id, upto_seq);
	mq_store_flush(arg);
	return mq_store_append_kept(arg, MQ_REC_PURGED, &(struct iovec){out, sizeof(out)}, 1);
}

static uint64_t on_define(void *arg, enum mq_define what, bool gone, struct sd_slice text)
{
	return mq_store_put_define(arg, what, gone, text, true);
}

static void on_ended(void *arg, struct mq_entry *e)
{
	struct mq_store *s = arg;
	struct mq_live *live = mq_live_of(e->message);
	uint32_t i = 0;
	while (live && i < live->n && live->entries[i] != e)
		i++;
	if (!live || i == live->n)
		return;
	live->entries[i] = live->entries[--live->n];
	if (live->n)
		return;
	/* Others may have the message yet, in queues that nobody keeps: its body must not be looked for in a record that may go. */
	if (e->message->refs > 1 && !e->message->body && e->message->body_n)
		mq_store_fetch(s, e->message);
	mq_live_remove(&s->segments, live);
	free(live);
	e->message->at = e->message->record = 0;
}

struct mq_journal mq_store_journal(struct mq_store *s)
{
	return (struct mq_journal){
	    .arg = s,
	    .publish = on_publish,
	    .settle = on_settle,
	    .failed = on_failed,
	    .purged = on_purged,
	    .define = on_define,
	    .fetch = mq_store_fetch,
	    .ended = on_ended,
	};
}

/* ---- one sync for a turn ---- */

void mq_store_sync(struct mq_store *s)
{
	if (s->waiting || s->failure.code || !s->log || s->appended <= s->acked)
		return;
	s->waiting = true;
	s->count.syncs++;
	sd_wal_sync(s->log, &s->wait);
}

static void trim(struct mq_store *s)
{
	struct mq_tail_record r;
	while (mq_tail_first(&s->tail, &r) && r.seq <= s->acked)
		mq_tail_drop(&s->tail);
}

static void on_synced(struct sd_wal_wait *wait, enum sd_err err)
{
	struct mq_store *s = sd_container(wait, struct mq_store, wait);
	s->waiting = false;
	if (err) {
		log_failed(s, err);
		if (!s->shrinking)
			tell(s);
	} else {
		s->acked = wait->seq;
		trim(s);
		if (s->shrinking)
			return;
		mq_stored(s->mq, s->acked);
		mq_compact_turn(s);
		if (s->conf.stored)
			s->conf.stored(s->conf.arg);
	}
	if (!s->closing)
		mq_store_sync(s);
}

void mq_store_look(struct mq_store *s)
{
	uint64_t left;
	if (s->conf.disk_free_min && sd_disk_free(s->world, s->dir, &left, NULL) == SD_OK)
		s->low = left < s->conf.disk_free_min;
}

void mq_store_turn(struct mq_store *s)
{
	mq_store_flush(s);
	tell(s);
	mq_compact_turn(s);
	mq_store_sync(s);
}

uint64_t mq_store_durable(const struct mq_store *s)
{
	struct sd_wal_stats st;
	sd_wal_stats(s->log, &st);
	return st.durable_seq;
}

/* ---- begin and end ---- */

struct sd_wal_conf mq_store_wal_conf(const struct mq_store *s)
{
	return (struct sd_wal_conf){
	    .dir = s->dir,
	    .name = "mq",
	    .loop = s->loop,
	    .helpers = s->helpers,
	    .sync = s->conf.sync,
	    .interval_ns = s->conf.interval_ns,
	    .segment_bytes = s->conf.segment_bytes,
	    .queue_bytes = QUEUE_MOST,
	    .record_bytes = QUEUE_MOST,
	};
}

struct mq_store *mq_store_new(struct sd_world *w, struct sd_loop *loop, struct sd_helpers *helpers, const struct mq_store_conf *conf)
{
	struct mq_store *s = calloc(1, sizeof(*s));
	if (!s || !(s->dir = strdup(conf->dir))) {
		free(s);
		return NULL;
	}
	s->world = w;
	s->loop = loop;
	s->helpers = helpers;
	s->conf = *conf;
	s->conf.dir = s->dir;
	s->wait.done = on_synced;
	mq_segments_init(&s->segments);
	s->task.fn = on_task;
	return s;
}

enum sd_err mq_store_open(struct mq_store *s, struct mq *b, struct mq_store_found *found, struct sd_error *e)
{
	struct mq_store_found own = {0};
	found = found ? found : &own;
	*found = (struct mq_store_found){0};
	s->mq = b;
	return mq_store_recover(s, found, e);
}

static bool put_touched(struct mq_store *s, const struct mq_live *live)
{
	for (uint32_t i = 0; i < live->n; i++) {
		const struct mq_entry *e = live->entries[i];
		if (!e->redelivered && e->where != MQ_UNACKED)
			continue;
		mq_place_put(s->settles + s->nsettles++ * MQ_PLACE_BYTES, e->queue->id, e->seq);
		struct iovec iov = {s->settles, s->nsettles * MQ_PLACE_BYTES};
		if (s->nsettles == MQ_SETTLES && !mq_store_append(s, MQ_REC_TOUCHED, &iov, 1))
			return false;
		s->nsettles %= MQ_SETTLES;
	}
	return true;
}

/* What was out for delivery, and that nothing else was. */
static void put_end(struct mq_store *s)
{
	bool good = true;
	mq_store_flush(s);
	for (size_t i = 0; good && i < s->segments.n; i++)
		for (struct sd_link *l = s->segments.at[i]->records.next; good && l != &s->segments.at[i]->records; l = l->next)
			good = put_touched(s, sd_container(l, struct mq_live, link));
	struct iovec iov = {s->settles, s->nsettles * MQ_PLACE_BYTES};
	if (good && s->nsettles)
		good = mq_store_append(s, MQ_REC_TOUCHED, &iov, 1);
	s->nsettles = 0;
	if (good)
		mq_store_append(s, MQ_REC_CLOSED, NULL, 0);
}

static void on_closed(void *arg, enum sd_err err)
{
	struct mq_store *s = arg;
	s->log = NULL;
	if (s->closed)
		s->closed(s->closed_arg, err);
}

void mq_store_close(struct mq_store *s, void (*closed)(void *arg, enum sd_err err), void *arg)
{
	s->closed = closed;
	s->closed_arg = arg;
	s->closing = true;
	if (s->log && !s->failure.code)
		put_end(s);
	mq_compact_stop(s);
	sd_wal_reader_free(s->reader);
	s->reader = NULL;
	if (s->log && !s->failure.code) {
		sd_wal_close(s->log, on_closed, s);
		return;
	}
	sd_wal_free(s->log);
	on_closed(s, s->failure.code);
}

void mq_store_free(struct mq_store *s)
{
	if (!s)
		return;
	mq_compact_stop(s);
	sd_wal_reader_free(s->reader);
	sd_wal_free(s->log);
	s->reader = NULL;
	s->log = NULL;
	mq_segments_free(&s->segments);
	s->mq = NULL;
	s->dead = true;
	if (!s->task.queued) /* what comes yet finds it dead, and frees it */
		destroy(s);
}

void mq_store_stats(const struct mq_store *s, struct mq_store_stats *out)
{
	struct sd_wal_stats st = {0};
	if (s->log)
		sd_wal_stats(s->log, &st);
	*out = s->count;
	out->bytes = s->segments.bytes;
	out->live_bytes = s->segments.live + s->compact.dumped_bytes;
	out->segments = s->segments.n;
	out->queued_bytes = st.queued_bytes;
	out->failed = s->failure.code != SD_OK;
	out->full = s->full;
	out->low = s->low;
}
