/* sh_journal.c - the journals, one for each worker: DIR/clicks/w0, w1 ... */
#include <stdio.h>
#include <stdlib.h>

#include "core/list.h"
#include "core/units.h"
#include "sh_clicks_int.h"
#include "world/file.h"

static void on_drop(struct sd_task *t);

/* ---- opening ---- */

/* With `interval` too every turn is handed to the kernel only; the sync is made beside it. */
static enum sd_err open_log(struct sh_clicks_worker *w, struct sd_wal **out, struct sd_error *e)
{
	struct sd_wal_conf conf = {.dir = w->dir, .name = "clicks", .segment_bytes = SH_SEGMENT,
				   .sync = w->clicks->sync == SD_WAL_ALWAYS ? SD_WAL_ALWAYS : SD_WAL_NEVER};
	enum sd_err err = sd_wal_open(w->clicks->world, &conf, out, NULL, e);
	sd_world_random(w->clicks->world, &w->run, sizeof(w->run));
	w->run = w->run >> 1 | 1; /* databases have signed numbers */
	return err;
}

static void slot_free(struct sh_clicks_worker *w)
{
	sd_wal_reader_free(w->reader);
	sd_wal_reader_free(w->new_reader);
	if (w->wal)
		sd_wal_close(w->wal, NULL, NULL);
	sh_record_free(w);
	free(w);
}

/* A full disk is no reason not to redirect, and neither is one that cannot be written, when that is so of the database as well: it is
 * tried again. */
static bool may_wait(const struct sh_clicks *c, enum sd_err err)
{
	bool read_only = c->sh && c->sh->store && sd_sql_is_read_only(sh_store_sql(c->sh->store));
	return err == SD_ENOSPC || (err == SD_EPERM && read_only);
}

static enum sd_err slot_open(struct sh_clicks *c, unsigned index, struct sd_error *e)
{
	struct sh_clicks_worker *w = calloc(1, sizeof(*w));
	if (!w)
		return sd_fail(e, SD_ENOMEM, "out of memory");
	w->clicks = c;
	w->index = index;
	w->drop_task.fn = on_drop;
	snprintf(w->dir, sizeof(w->dir), "%s/w%u", c->dir, index);
	enum sd_err err = open_log(w, &w->wal, &w->why);
	if (!err)
		err = sd_wal_reader_open(w->wal, 0, &w->reader, &w->why);
	if (may_wait(c, err)) {
		w->state = SH_SLOT_FAILED;
		err = SD_OK;
	}
	if (!err && !sh_record_init(w))
		err = sd_fail(&w->why, SD_ENOMEM, "out of memory");
	if (err) {
		if (e)
			*e = w->why;
		slot_free(w);
		return err;
	}
	struct sd_wal_stats stats = {0};
	if (w->wal)
		sd_wal_stats(w->wal, &stats);
	w->written = stats.acked_seq;
	w->next = stats.first_seq;
	c->slots[index] = w;
	c->nslots = index + 1 > c->nslots ? index + 1 : c->nslots;
	return SD_OK;
}

/* The number of a folder of a journal; SH_SLOTS: it is none. */
static unsigned slot_of(const char *name)
{
	unsigned n = 0;
	if (name[0] != 'w' || !name[1])
		return SH_SLOTS;
	for (const char *p = name + 1; *p; p++) {
		if (*p < '0' || *p > '9' || n >= SH_SLOTS)
			return SH_SLOTS;
		n = n * 10 + (unsigned)(*p - '0');
	}
	return n < SH_SLOTS ? n : SH_SLOTS;
}

enum sd_err sh_journals_open(struct sh_clicks *c, unsigned nworkers, struct sd_error *e)
{
	enum sd_err err = SD_OK;
	for (unsigned i = 0; i < nworkers && i < SH_SLOTS && !err; i++)
		err = slot_open(c, i, e);
	/* there were more workers before, and what they left counts as well */
	char **names = err ? NULL : sd_world_list_dir(c->world, c->dir);
	for (size_t i = 0; names && names[i]; i++) {
		unsigned at = slot_of(names[i]);
		if (!err && at < SH_SLOTS && !c->slots[at])
			err = slot_open(c, at, e);
		free(names[i]);
	}
	free(names);
	return err;
}

void sh_journals_close(struct sh_clicks *c)
{
	for (unsigned i = 0; i < c->nslots; i++)
		if (c->slots[i])
			slot_free(c->slots[i]);
	c->nslots = 0;
}

/* ---- batches ---- */

void sh_batch_clear(struct sh_batch *b)
{
	b->bytes.n = 0;
	b->n = 0;
	b->more = false;
	b->err = SD_OK;
	b->why = (struct sd_error){0};
}

/* clicks is an offset until the batch is whole, since the bytes may move. */
bool sh_batch_add(struct sh_batch *b, struct sd_slice record, uint64_t seq)
{
	struct sh_block block;
	if (!sh_block_of(record, seq, &block))
		return true;
	if (b->n == b->room) {
		size_t room = b->room ? b->room * 2 : 64;
		struct sh_block *grown = reallocarray(b->blocks, room, sizeof(*grown));
		if (!grown)
			return false;
		b->blocks = grown;
		b->room = room;
	}
	block.clicks.p = NULL;
	b->blocks[b->n++] = block;
	sd_text_add(&b->bytes, record.p + SH_RECORD_HEAD, record.n - SH_RECORD_HEAD);
	return !b->bytes.full;
}

static void settle_batch(struct sh_batch *b)
{
	const char *p = b->bytes.p;
	for (size_t i = 0; i < b->n; i++) {
		b->blocks[i].clicks.p = p;
		p += b->blocks[i].clicks.n;
	}
}

/* A block without company is about as large in memory as a few clicks. */
static bool is_full(const struct sh_clicks *c)
{
	const struct sh_batch *b = &c->batch;
	return b->bytes.n + b->n * sizeof(*b->blocks) >= (c->events ? SH_BATCH_SENT : SH_BATCH_ADDED);
}

/* On a helper thread. */
static void read_slot(struct sh_clicks *c, struct sh_clicks_worker *w)
{
	struct sh_batch *b = &c->batch;
	struct sd_wal_record r;
	enum sd_err err = SD_OK;
	while (!err && !is_full(c)) {
		err = sd_wal_read(w->reader, &r, &b->why);
		if (err)
			break;
		if (r.type == SH_RECORD_CLICKS && !sh_batch_add(b, (struct sd_slice){(const char *)r.data, r.n}, r.seq))
			err = SD_ENOMEM;
		w->next = r.seq + 1;
	}
	b->more |= !err;
	if (err && err != SD_EEOF)
		b->err = err;
}

static void read_run(struct sd_work *work)
{
	struct sh_clicks *c = sd_container(work, struct sh_clicks, read_work);
	for (unsigned i = 0; i < c->nslots && !is_full(c); i++)
		if (c->slots[i] && c->slots[i]->reader)
			read_slot(c, c->slots[i]);
	settle_batch(&c->batch);
}

static void read_done(struct sd_work *work)
{
	struct sh_clicks *c = sd_container(work, struct sh_clicks, read_work);
	c->reading = false;
	c->batch_read(c);
}

static bool has_unread(const struct sh_clicks_worker *w)
{
	return w && w->reader && w->next <= __atomic_load_n(&w->written, __ATOMIC_ACQUIRE);
}

bool sh_journals_have(const struct sh_clicks *c)
{
	for (unsigned i = 0; i < c->nslots; i++)
		if (has_unread(c->slots[i]))
			return true;
	return false;
}

void sh_journals_read(struct sh_clicks *c, void (*fn)(struct sh_clicks *c))
{
	c->batch_read = fn;
	c->reading = true;
	sh_batch_clear(&c->batch);
	c->read_work = (struct sd_work){.run = read_run, .done = read_done};
	if (sd_helpers_submit(c->helpers, c->loop, &c->read_work))
		return;
	read_run(&c->read_work);
	read_done(&c->read_work);
}

/* ---- dropping ---- */

static void on_dropped(struct sd_wal_wait *wait, enum sd_err err)
{
	(void)err; /* it stays, and is tried again with the next */
	sd_container(wait, struct sh_clicks_worker, drop_wait)->dropping = false;
}

/* On the worker's thread. */
static void on_drop(struct sd_task *t)
{
	struct sh_clicks_worker *w = sd_container(t, struct sh_clicks_worker, drop_task);
	if (!w->wal || w->dropping || sd_wal_failure(w->wal))
		return;
	w->dropping = true;
	w->drop_wait.done = on_dropped;
	sd_wal_drop(w->wal, __atomic_load_n(&w->drop_below, __ATOMIC_ACQUIRE), &w->drop_wait);
}

void sh_journals_drop(struct sh_clicks *c)
{
	for (unsigned i = 0; i < c->nslots; i++) {
		struct sh_clicks_worker *w = c->slots[i];
		if (!w || w->next == w->drop_below)
			continue;
		__atomic_store_n(&w->drop_below, w->next, __ATOMIC_RELEASE);
		if (w->loop)
			sd_loop_post(w->loop, &w->drop_task);
		else
			on_drop(&w->drop_task);
	}
}

/* ---- syncing beside the writer ---- */

/* The newest segment is the last name; the log syncs a segment before it makes the next. */
static void sync_slot(struct sh_clicks *c, const struct sh_clicks_worker *w)
{
	char **names = sd_world_list_dir(c->world, w->dir), path[1024] = "";
	struct sd_file *f = NULL;
	for (size_t i = 0; names && names[i]; i++) {
		size_t n = strlen(names[i]);
		if (n > 4 && strcmp(names[i] + n - 4, ".log") == 0)
			snprintf(path, sizeof(path), "%s/%s", w->dir, names[i]);
		free(names[i]);
	}
	free(names);
	if (!path[0] || sd_file_open(c->world, path, SD_FILE_WRITE, &f, NULL))
		return; /* it was dropped meanwhile, which needs no sync */
	c->sync_failed |= sd_file_sync(f, NULL) != SD_OK;
	sd_file_close(f);
}

static void sync_run(struct sd_work *work)
{
	struct sh_clicks *c = sd_container(work, struct sh_clicks, sync_work);
	for (unsigned i = 0; i < c->nslots; i++)
		if (c->slots[i] && c->slots[i]->loop)
			sync_slot(c, c->slots[i]);
}

static void sync_done(struct sd_work *work)
{
	sd_container(work, struct sh_clicks, sync_work)->syncing = false;
}

void sh_journals_sync(struct sh_clicks *c)
{
	if (c->syncing)
		return;
	c->syncing = true;
	c->sync_work = (struct sd_work){.run = sync_run, .done = sync_done};
	if (!sd_helpers_submit(c->helpers, c->loop, &c->sync_work))
		c->syncing = false;
}

/* ---- mending ---- */

/* On the worker's thread; the control loop has given the reader back. */
static void on_reopen(struct sd_task *t)
{
	struct sh_clicks_worker *w = sd_container(t, struct sh_clicks_worker, reopen_task);
	struct sd_wal_stats stats;
	sd_wal_free(w->wal);
	w->wal = NULL;
	w->dropping = false;
	enum sd_err err = open_log(w, &w->wal, NULL);
	if (!err)
		err = sd_wal_reader_open(w->wal, 0, &w->new_reader, NULL);
	if (err && w->wal) {
		sd_wal_free(w->wal);
		w->wal = NULL;
	}
	if (!err) {
		sd_wal_stats(w->wal, &stats);
		w->new_next = stats.first_seq;
		__atomic_store_n(&w->written, stats.acked_seq, __ATOMIC_RELEASE);
	}
	w->reopened_err = err;
	sd_loop_post(w->clicks->loop, &w->reopened_task);
}

static void on_reopened(struct sd_task *t)
{
	struct sh_clicks_worker *w = sd_container(t, struct sh_clicks_worker, reopened_task);
	w->mending = false;
	if (w->reopened_err)
		return;
	w->reader = w->new_reader;
	w->new_reader = NULL;
	w->next = w->new_next;
	__atomic_store_n(&w->drop_below, 0, __ATOMIC_RELEASE);
	__atomic_store_n(&w->state, SH_SLOT_OK, __ATOMIC_RELEASE);
}

/* Nothing is read while it is called, and what was read has been kept. */
void sh_journals_mend(struct sh_clicks *c)
{
	for (unsigned i = 0; i < c->nslots; i++) {
		struct sh_clicks_worker *w = c->slots[i];
		if (!w || !w->loop || w->mending || __atomic_load_n(&w->state, __ATOMIC_ACQUIRE) != SH_SLOT_FAILED)
			continue;
		w->mending = true;
		sd_wal_reader_free(w->reader);
		w->reader = NULL;
		w->reopen_task.fn = on_reopen;
		w->reopened_task.fn = on_reopened;
		sd_loop_post(w->loop, &w->reopen_task);
	}
}
