/* mq_retry.c - after a full disk: the log is opened anew, and told what it lacks.
 *
 * What the broker has in memory goes on. Messages that the log lost are written again with the places that they have by now, then
 * what ended or changed since.
 *
 * A log that fills the disk by itself must be able to shrink first, and compaction writes before it frees: so a file as large as a
 * segment is set aside for that, and made again when there is room.
 */
#include <stdio.h>
#include <stdlib.h>

#include "mq_store_int.h"
#include "world/file.h"

/* ---- the reserve ---- */

static uint64_t segment_size(const struct mq_store *s)
{
	return s->conf.segment_bytes ? s->conf.segment_bytes : 64u << 20;
}

static bool reserve_path(const struct mq_store *s, char out[4096])
{
	return snprintf(out, 4096, "%s/reserve", s->dir) < 4096;
}

void mq_reserve_make(struct mq_store *s)
{
	char path[4096];
	struct sd_file *f;
	if (s->reserved || !reserve_path(s, path) || sd_file_open(s->world, path, SD_FILE_WRITE | SD_FILE_CREATE, &f, NULL))
		return;
	s->reserved = sd_file_allocate(f, segment_size(s), NULL) == SD_OK;
	sd_file_close(f);
	if (!s->reserved)
		sd_world_unlink(s->world, path);
}

static void reserve_use(struct mq_store *s)
{
	char path[4096];
	if (reserve_path(s, path))
		sd_world_unlink(s->world, path);
	s->reserved = false;
}

/* ---- what the log lost ---- */

/* Numbers of records that were lost are given to others. */
static void forget_numbers(struct mq_store *s, uint64_t known)
{
	for (size_t i = 0; i < s->segments.n; i++) {
		struct mq_segment *g = s->segments.at[i];
		if (g->changed > known)
			g->changed = MQ_TAIL_LATER;
		if (g->last_define > known)
			g->last_define = known;
	}
	s->compact.dump = (struct mq_dump){0};
	s->compact.dump_to = 0;
	if (s->compact.dumped_to > known)
		s->compact.dumped = s->compact.dumped_to = 0;
}

/* Takes out what the log has not got. */
static void collect(struct mq_store *s, uint64_t known)
{
	struct mq_segments *all = &s->segments;
	for (size_t i = 0; i < all->n; i++) {
		struct sd_link *head = &all->at[i]->records, *next;
		for (struct sd_link *l = head->next; l != head; l = next) {
			struct mq_live *live = sd_container(l, struct mq_live, link);
			next = l->next;
			if (live->entries[0]->message->record <= known)
				continue;
			mq_live_remove(all, live);
			mq_live_add(all, live, &all->lost, 0, live->bytes);
			live->entries[0]->message->record = MQ_TAIL_LATER; /* numbers are given anew */
		}
	}
	mq_segments_forget_new(all, known);
	forget_numbers(s, known);
	mq_tail_lost(&s->tail, known);
}

static void write_lost(struct mq_store *s)
{
	struct sd_link *head = &s->segments.lost.records;
	while (!sd_list_empty(head)) {
		struct mq_live *live = sd_container(head->next, struct mq_live, link);
		struct mq_message *m = live->entries[0]->message;
		size_t bytes;
		uint64_t seq = mq_store_put_message(s, m, live->entries, live->n, NULL, (struct sd_slice){m->body, m->body_n}, &bytes);
		if (!seq)
			return;
		struct sd_wal_place at = sd_wal_appended(s->log);
		m->record = seq;
		mq_live_remove(&s->segments, live);
		mq_live_add(&s->segments, live, mq_segment_of(&s->segments, at.segment, seq), at.offset, bytes);
	}
}

static void tell_tail(struct mq_store *s)
{
	struct mq_tail old = s->tail;
	struct mq_tail_record r;
	s->tail = (struct mq_tail){0};
	for (; mq_tail_first(&old, &r); mq_tail_drop(&old)) {
		struct iovec iov = {(void *)(uintptr_t)r.bytes.p, r.bytes.n};
		if (r.seq == MQ_TAIL_LATER)
			mq_store_append_kept(s, r.kind, &iov, 1);
	}
	free(old.p);
}

/* ---- the log again ---- */

static enum sd_err open_again(struct mq_store *s, struct sd_loop *loop, struct sd_error *e)
{
	struct sd_wal_conf conf = mq_store_wal_conf(s);
	struct sd_wal_found found;
	conf.lazy = true;
	conf.expect_seq = s->acked;
	conf.loop = loop;
	conf.helpers = loop ? s->helpers : NULL;
	mq_compact_stop(s);
	s->compact.dropping = 0;
	sd_wal_free(s->log);
	s->log = NULL;
	enum sd_err err = sd_wal_open(s->world, &conf, &s->log, &found, e);
	if (err)
		return err;
	s->appended = s->acked = found.next_seq - 1;
	s->failure = (struct sd_error){0};
	s->full = s->untold = false;
	collect(s, s->acked);
	return SD_OK;
}

static uint64_t room(struct mq_store *s)
{
	uint64_t left;
	return sd_disk_free(s->world, s->dir, &left, NULL) == SD_OK ? left : 0;
}

/* A segment, and the reserve. */
static uint64_t due(const struct mq_store *s)
{
	return segment_size(s) * (s->reserved ? 1 : 2) + s->conf.disk_free_min;
}

static bool can_shrink(const struct mq_store *s)
{
	const struct mq_segments *all = &s->segments;
	return all->n > 1 && !s->compact.broken &&
	       (sd_list_empty(&all->at[0]->records) || all->bytes > 2 * (all->live + s->compact.dumped_bytes));
}

/* Compacts without the loop, until there is room or nothing more is gained. */
static enum sd_err shrink(struct mq_store *s, struct sd_error *e)
{
	enum sd_err err = open_again(s, NULL, e);
	uint64_t was;
	if (err)
		return err;
	reserve_use(s);
	s->shrinking = true;
	do {
		was = s->appended + s->count.compactions;
		s->compact.going = true;
		mq_compact_turn(s);
		mq_store_sync(s);
	} while (!s->failure.code && was != s->appended + s->count.compactions && room(s) < due(s));
	s->shrinking = false;
	mq_compact_stop(s);
	sd_wal_free(s->log);
	s->log = NULL;
	if (s->failure.code && !s->full)
		return sd_fail(e, s->failure.code, "%s", s->failure.text);
	mq_store_fail(s, SD_ENOSPC, "the disk was full");
	s->untold = false;
	mq_reserve_make(s);
	return SD_OK;
}

static enum sd_err make_room(struct mq_store *s, struct sd_error *e)
{
	enum sd_err err = room(s) < due(s) && can_shrink(s) ? shrink(s, e) : SD_OK;
	if (err || room(s) >= due(s))
		return err;
	return sd_fail(e, SD_ENOSPC, "%s has %llu bytes left (expected %llu)", s->dir, (unsigned long long)room(s),
		       (unsigned long long)due(s));
}

/* Everything that the log lacks is in it again. */
static void changes_stand(struct mq_store *s)
{
	for (size_t i = 0; i < s->segments.n; i++)
		s->segments.at[i]->changed = s->appended;
}

enum sd_err mq_store_retry(struct mq_store *s, struct sd_error *e)
{
	if (!s->full)
		return s->failure.code ? sd_fail(e, s->failure.code, "%s", s->failure.text) : SD_OK;
	mq_store_flush(s);
	enum sd_err err = make_room(s, e);
	if (!err)
		err = open_again(s, s->loop, e);
	if (err)
		return err;
	uint64_t known = s->acked;
	mq_reserve_make(s);
	write_lost(s);
	tell_tail(s);
	if (!s->failure.code) {
		changes_stand(s);
		mq_journal_again(s->mq, known);
	}
	mq_store_turn(s);
	return s->failure.code ? sd_fail(e, s->failure.code, "%s", s->failure.text) : SD_OK;
}
