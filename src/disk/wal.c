/* wal.c - the engine of the log: what is appended gathers in batches, one of which flies to the disk at a time.
 *
 *	append --> [ batch ] ... [ batch ] --take--> job --run (helper thread)--> land --> callbacks
 *	           last, grows             first     one
 *
 * Invariants, on the loop:
 *
 *	1  records next to each other in sequence are next to each other in the batches, and these in the file
 *	2  acked <= what was taken < next_seq; while nothing flies everything taken is acked or the log has failed
 *	3  durable <= acked
 *	4  disk is only touched by the job while it flies, and by nobody else
 *	5  waits and drops are in the order in which they were asked, so in that of their sequence numbers
 *
 * A batch says in each of its records how far the disk was known to be good when it was written. With sync `always` that is
 * its own begin: it is only written when the sync of the one before came back. See sdlab-wal(5).
 */
#include "wal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/list.h"
#include "wal_int.h"

#define SPARES      4
#define BATCH_FIRST 65536u

static void turn(struct sd_wal *l);

/* Looks at the log again when the current callback is over; without a loop, now. */
static void schedule(struct sd_wal *l)
{
	if (l->conf.loop)
		sd_loop_defer(l->conf.loop, &l->turn);
	else if (l->in_turn)
		l->again = true;
	else
		turn(l);
}

/* ---- batches ---- */

static void batch_free(struct wal_batch *b)
{
	if (b)
		free(b->p);
	free(b);
}

static void recycle(struct sd_wal *l, struct wal_batch *b)
{
	if (l->nspare == SPARES || b->cap > 2 * (size_t)l->conf.batch_bytes + BATCH_FIRST) {
		batch_free(b);
		return;
	}
	b->next = l->spare;
	l->spare = b;
	l->nspare++;
}

static bool batch_grow(struct wal_batch *b, size_t need)
{
	size_t cap = b->cap ? b->cap : BATCH_FIRST;
	if (need <= b->cap)
		return true;
	while (cap < need)
		cap *= 2;
	uint8_t *more = realloc(b->p, cap);
	if (!more)
		return false;
	b->p = more;
	b->cap = cap;
	return true;
}

static struct wal_batch *batch_new(struct sd_wal *l)
{
	struct wal_batch *b = l->spare;
	if (!b)
		return calloc(1, sizeof(*b));
	l->spare = b->next;
	l->nspare--;
	*b = (struct wal_batch){.p = b->p, .cap = b->cap};
	return b;
}

/* How much of the newest segment a batch that begins now may say is on the disk. */
static uint32_t known(const struct sd_wal *l)
{
	if (l->conf.sync == SD_WAL_ALWAYS)
		return (uint32_t)l->off;
	return l->synced_segment == l->head.number ? (uint32_t)l->synced_off : WAL_HEAD;
}

static struct wal_batch *batch_begin(struct sd_wal *l)
{
	struct wal_batch *b = batch_new(l);
	if (!b)
		return NULL;
	b->off = l->off;
	b->first_seq = l->next_seq;
	b->last_seq = l->next_seq - 1;
	b->segment = l->head.number;
	b->synced = known(l);
	b->opens = l->unopened;
	b->header = l->head;
	l->unopened = false;
	if (l->last)
		l->last->next = b;
	else
		l->first = b;
	l->last = b;
	return b;
}

static bool next_segment(struct sd_wal *l)
{
	if (!wal_segments_add(&l->segments, l->head.number + 1, l->next_seq))
		return false;
	l->head.number++;
	l->head.first_seq = l->next_seq;
	l->head.flags = 0;
	l->head.created_ns = (uint64_t)sd_world_wall_ns(l->world);
	sd_world_random(l->world, &l->head.salt, sizeof(l->head.salt));
	bool blind = l->key.blind;
	l->key = wal_key_of(l->head.salt);
	l->key.blind = blind;
	l->off = WAL_HEAD;
	l->unopened = true;
	l->sealed = false;
	return true;
}

/* The batch that takes a record of n bytes, with room for it; NULL: out of memory. */
static struct wal_batch *batch_for(struct sd_wal *l, size_t n)
{
	bool fits = !l->sealed && (wal_record_end(l->off, n) <= l->conf.segment_bytes || l->off == WAL_HEAD);
	struct wal_batch *b = l->last;
	if (!fits && b)
		b->full = true;
	if (!fits && !next_segment(l))
		return NULL;
	size_t need = (size_t)(wal_record_end(l->off, n) - l->off);
	if (b && b->n && b->n + need > l->conf.batch_bytes)
		b->full = true;
	if (b && b->full)
		schedule(l); /* somebody must take it, though nobody may wait */
	b = l->last;
	if (!b || b->full)
		b = batch_begin(l);
	return b && batch_grow(b, b->n + need) ? b : NULL;
}

bool wal_gap(struct sd_wal *l, uint64_t seq)
{
	if (l->last)
		l->last->full = true;
	l->next_seq = seq;
	if (!next_segment(l))
		return false;
	l->head.flags = WAL_GAP;
	return true;
}

/* ---- appending ---- */

static enum sd_err may_append(struct sd_wal *l, size_t n)
{
	if (l->failure.code)
		return l->failure.code;
	if (l->closing)
		return SD_ECANCELED;
	if (n > l->conf.record_bytes)
		return SD_ETOOBIG;
	if (l->next_seq == UINT64_MAX)
		return SD_ERANGE;
	if (l->queued && l->queued + n + WAL_FRAG > l->conf.queue_bytes) {
		l->starved = true;
		schedule(l);
		return l->conf.loop || l->in_turn ? SD_EAGAIN : l->failure.code;
	}
	return SD_OK;
}

static void arm_interval(struct sd_wal *l)
{
	if (l->conf.sync != SD_WAL_INTERVAL || !l->conf.loop || l->timed)
		return;
	l->timed = true;
	sd_loop_timer_set(l->conf.loop, &l->timer, sd_loop_now_ns(l->conf.loop) + l->conf.interval_ns);
}

enum sd_err sd_wal_append(struct sd_wal *l, uint8_t type, const struct iovec *iov, int niov, uint64_t *seq)
{
	struct wal_put put = {.type = type, .iov = iov, .niov = niov, .seq = l->next_seq};
	for (int i = 0; i < niov; i++)
		put.n += iov[i].iov_len;
	enum sd_err err = may_append(l, put.n);
	if (err)
		return err;
	struct wal_batch *b = batch_for(l, put.n);
	if (l->failure.code || !b)
		return l->failure.code ? l->failure.code : SD_ENOMEM;
	put.synced = b->synced;
	l->appended = (struct sd_wal_place){l->head.number, wal_place(l->off)};
	size_t n = wal_record_put(b->p + b->n, (uint32_t)l->off, &l->key, &put);
	b->n += n;
	b->last_seq = l->next_seq;
	l->queued += n;
	l->off += n;
	l->marked = false;
	l->count.appends++;
	l->count.append_bytes += put.n;
	if (seq)
		*seq = l->next_seq;
	l->next_seq++;
	arm_interval(l);
	return SD_OK;
}

struct sd_wal_place sd_wal_appended(const struct sd_wal *l)
{
	return l->appended;
}

/* ---- waiting ---- */

static void queue_add(struct wal_queue *q, struct sd_wal_wait *wait, uint64_t seq)
{
	wait->seq = seq;
	wait->next = NULL;
	*q->tail = wait;
	q->tail = &wait->next;
}

static struct sd_wal_wait *queue_take(struct wal_queue *q)
{
	struct sd_wal_wait *wait = q->first;
	q->first = wait->next;
	if (!q->first)
		q->tail = &q->first;
	return wait;
}

void sd_wal_sync(struct sd_wal *l, struct sd_wal_wait *wait)
{
	queue_add(&l->waits, wait, l->next_seq - 1);
	l->wanted = l->next_seq - 1;
	schedule(l);
}

void sd_wal_drop(struct sd_wal *l, uint64_t seq, struct sd_wal_wait *wait)
{
	if (seq > l->drop_seq)
		l->drop_seq = seq;
	queue_add(&l->drops, wait, seq);
	schedule(l);
}

/* How many segments at the front may go: another with a record that is on the disk follows each. */
static size_t droppable(const struct sd_wal *l, uint64_t seq)
{
	size_t n = 0;
	while (n + 1 < l->segments.n && l->segments.at[n + 1].first_seq <= seq &&
	       l->segments.at[n + 1].first_seq <= l->durable)
		n++;
	return n;
}

static void settle_waits(struct sd_wal *l)
{
	while (l->waits.first && (l->failure.code || l->waits.first->seq <= l->acked)) {
		struct sd_wal_wait *wait = queue_take(&l->waits);
		wait->done(wait, wait->seq <= l->acked ? SD_OK : l->failure.code);
	}
	while (l->drops.first && (l->failure.code || (!l->flying && !droppable(l, l->drops.first->seq)))) {
		struct sd_wal_wait *wait = queue_take(&l->drops);
		wait->done(wait, l->failure.code);
	}
	if (l->starved && (l->failure.code || l->queued <= l->conf.queue_bytes / 2)) {
		l->starved = false;
		if (l->conf.drained)
			l->conf.drained(l->conf.arg);
	}
}

/* ---- the job: on a helper thread ---- */

static enum sd_err put_batch(struct wal_disk *d, struct wal_batch *b, struct sd_error *e)
{
	enum sd_err err = SD_OK;
	if (b->opens) {
		err = wal_disk_finish(d, e);
		if (!err)
			err = wal_disk_make(d, &b->header, e);
	}
	return err ? err : wal_disk_write(d, b->p, b->n, b->off, e);
}

static void job_run(struct sd_work *work)
{
	struct wal_job *job = sd_container(work, struct wal_job, work);
	struct wal_disk *d = &sd_container(job, struct sd_wal, job)->disk;
	job->err = job->batch ? put_batch(d, job->batch, &job->e) : SD_OK;
	if (!job->err && job->sync && d->dirty)
		job->err = wal_disk_sync(d, &job->e);
	for (job->dropped = 0; !job->err && job->dropped < job->drop_n; job->dropped += !job->err)
		job->err = wal_disk_remove(d, job->drop_from + job->dropped, &job->e);
}

/* ---- taking off and landing ---- */

static void fail(struct sd_wal *l, const struct wal_job *job)
{
	l->failure = job->e;
	l->failure.code = job->err;
	if (!l->failure.text[0])
		sd_fail(&l->failure, job->err, "cannot write %s: %s", l->dir, sd_err_text(job->err));
}

static void landed_batch(struct sd_wal *l, struct wal_batch *b)
{
	if (b->opens) /* the segment before was synced */
		l->durable = b->first_seq - 1;
	l->synced_off = b->opens ? WAL_HEAD : l->synced_off;
	l->synced_segment = b->segment;
	__atomic_store_n(&l->acked, b->last_seq, __ATOMIC_RELEASE);
	l->count.batches++;
}

static void land(struct sd_wal *l)
{
	struct wal_job *job = &l->job;
	l->flying = false;
	if (job->err) {
		fail(l, job);
	} else {
		if (job->batch)
			landed_batch(l, job->batch);
		if (job->sync) {
			l->durable = l->acked;
			l->synced_off = l->disk.end;
		}
		l->segments.n -= job->dropped;
		if (job->dropped)
			memmove(l->segments.at, l->segments.at + job->dropped, l->segments.n * sizeof(*l->segments.at));
	}
	if (job->batch) {
		l->queued -= job->batch->n;
		recycle(l, job->batch);
		job->batch = NULL;
	}
	l->count.syncs = l->disk.syncs;
	l->count.written_bytes = l->disk.written;
	if (l->acked > l->durable)
		arm_interval(l);
}

static void job_done(struct sd_work *work)
{
	struct sd_wal *l = sd_container(work, struct sd_wal, job.work);
	land(l);
	turn(l);
}

/* The loop went first; its owner frees the log, or has. */
static void job_dropped(struct sd_work *work)
{
	struct sd_wal *l = sd_container(work, struct sd_wal, job.work);
	l->flying = false;
	if (l->dead)
		sd_wal_free(l);
}

static struct wal_batch *take(struct sd_wal *l)
{
	struct wal_batch *b = l->first;
	l->first = b->next;
	if (!l->first)
		l->last = NULL;
	b->next = NULL;
	l->gathered = false;
	return b;
}

/* Others may come within gather_ns: shall the first batch wait for them? */
static bool gathers(struct sd_wal *l)
{
	if (l->conf.gather_ns <= 0 || !l->conf.loop || l->first->full || l->gathered || l->closing)
		return false;
	if (!l->gathering) {
		l->gathering = true;
		sd_loop_timer_set(l->conf.loop, &l->gather, sd_loop_now_ns(l->conf.loop) + l->conf.gather_ns);
	}
	return true;
}

static bool wants_batch(struct sd_wal *l)
{
	const struct wal_batch *b = l->first;
	if (!b)
		return false;
	if (l->closing || l->sync_due || l->starved || b->full)
		return true;
	return l->wanted > l->acked && !gathers(l);
}

static bool wants_sync(struct sd_wal *l, const struct wal_batch *b)
{
	switch (l->conf.sync) {
	case SD_WAL_ALWAYS:
		return b != NULL;
	case SD_WAL_INTERVAL:
		return (l->sync_due || l->closing || !l->conf.loop) && (b || l->acked > l->durable);
	case SD_WAL_NEVER:
		break;
	}
	return l->closing && (b || l->acked > l->durable);
}

/* The last thing that a log which is closed in order writes. */
static struct wal_batch *last_mark(struct sd_wal *l)
{
	bool empty = l->next_seq == l->head.first_seq;
	if (!l->closing || l->marked || l->sealed || empty || l->first || l->acked > l->durable)
		return NULL;
	struct wal_batch *b = batch_begin(l);
	l->marked = true;
	if (!b || !batch_grow(b, 2 * WAL_ROOM))
		return NULL; /* no harm: it is only a proof less */
	b->n = wal_mark_put(b->p, (uint32_t)l->off, &l->key, l->next_seq);
	l->queued += b->n;
	l->off += b->n;
	return take(l);
}

/* Fills the job; false when there is nothing to do. */
static bool find_work(struct sd_wal *l)
{
	struct wal_job *job = &l->job;
	job->batch = wants_batch(l) ? take(l) : last_mark(l);
	job->sync = wants_sync(l, job->batch);
	if (!l->first)
		l->sync_due = false;
	job->drop_n = droppable(l, l->drop_seq);
	job->drop_from = l->segments.n ? l->segments.at[0].number : 0;
	job->dropped = 0;
	job->err = SD_OK;
	job->e.text[0] = '\0';
	return job->batch || job->sync || job->drop_n;
}

/* True when a job ran and landed already. */
static bool kick(struct sd_wal *l)
{
	if (l->flying || l->failure.code || !find_work(l))
		return false;
	l->flying = true;
	l->job.work = (struct sd_work){.run = job_run, .done = job_done, .dropped = job_dropped};
	if (l->conf.loop && l->conf.helpers && sd_helpers_submit(l->conf.helpers, l->conf.loop, &l->job.work))
		return false;
	job_run(&l->job.work);
	land(l);
	return true;
}

static void finish_close(struct sd_wal *l)
{
	enum sd_err err = l->failure.code;
	void (*closed)(void *arg, enum sd_err err) = l->closed;
	void *arg = l->closed_arg;
	sd_wal_free(l);
	if (closed)
		closed(arg, err);
}

static void turn(struct sd_wal *l)
{
	if (l->dead) {
		sd_wal_free(l);
		return;
	}
	l->in_turn = true;
	do {
		l->again = false;
		settle_waits(l);
	} while (kick(l) || l->again);
	l->in_turn = false;
	if (l->closing && !l->flying && (l->failure.code || !l->first))
		finish_close(l);
}

/* ---- timers and tasks ---- */

static void on_turn(struct sd_task *t)
{
	turn(sd_container(t, struct sd_wal, turn));
}

static void on_interval(struct sd_timer *t)
{
	struct sd_wal *l = sd_container(t, struct sd_wal, timer);
	l->timed = false;
	l->sync_due = true;
	turn(l);
}

static void on_gathered(struct sd_timer *t)
{
	struct sd_wal *l = sd_container(t, struct sd_wal, gather);
	l->gathering = false;
	l->gathered = true;
	turn(l);
}

/* ---- begin and end ---- */

void wal_begin(struct sd_wal *l)
{
	l->waits.tail = &l->waits.first;
	l->drops.tail = &l->drops.first;
	l->turn.fn = on_turn;
	l->timer.fn = on_interval;
	l->gather.fn = on_gathered;
	l->key = wal_key_of(l->head.salt);
	l->acked = l->durable = l->next_seq - 1;
	l->synced_segment = l->head.number;
	l->synced_off = l->off;
}

void sd_wal_attach(struct sd_wal *l, struct sd_loop *loop, struct sd_helpers *helpers)
{
	l->conf.loop = loop;
	l->conf.helpers = helpers;
	if (l->acked > l->durable || l->first)
		arm_interval(l);
}

void sd_wal_close(struct sd_wal *l, void (*closed)(void *arg, enum sd_err err), void *arg)
{
	l->closed = closed;
	l->closed_arg = arg;
	l->closing = true;
	schedule(l);
}

void wal_destroy(struct sd_wal *l)
{
	struct wal_batch *next;
	for (struct wal_batch *b = l->first; b; b = next) {
		next = b->next;
		batch_free(b);
	}
	for (struct wal_batch *b = l->spare; b; b = next) {
		next = b->next;
		batch_free(b);
	}
	batch_free(l->job.batch);
	wal_disk_close(&l->disk);
	free(l->segments.at);
	free(l->dir);
	free(l);
}

void sd_wal_free(struct sd_wal *l)
{
	if (!l)
		return;
	if (l->conf.loop && !l->dead) {
		sd_loop_timer_cancel(l->conf.loop, &l->timer);
		sd_loop_timer_cancel(l->conf.loop, &l->gather);
	}
	l->dead = true;
	/* What comes yet finds it dead, and frees it. */
	if (!l->flying && !l->turn.queued)
		wal_destroy(l);
}

/* ---- looking ---- */

void sd_wal_stats(const struct sd_wal *l, struct sd_wal_stats *out)
{
	*out = l->count;
	out->next_seq = l->next_seq;
	out->acked_seq = l->acked;
	out->durable_seq = l->durable;
	out->first_seq = l->segments.at[0].first_seq;
	out->queued_bytes = l->queued;
	out->segments = (unsigned)l->segments.n;
}

const struct sd_error *sd_wal_failure(const struct sd_wal *l)
{
	return l->failure.code ? &l->failure : NULL;
}
