/* mq_recover.c - from the log to the broker: its records are gone through once, while the log is opened.
 *
 * Definitions are restored as they come. Places are gathered in a table, where what ends them takes them out again, so that the broker
 * sees only what is left: each queue's messages in order, once. Bodies stay on the disk.
 *
 * The table is open addressing by queue and sequence number: sixteen neighbours in a queue share a line of the processor's cache,
 * and a million messages cost a million times next to nothing.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "core/mix.h"
#include "mq_store_int.h"

struct slot {
	struct mq_place at;
	union {
		struct mq_message *m; /* NULL: free; `next` is the next free one */
		uint64_t mark;	      /* of a purge: its record */
	};
	uint32_t next;
};

struct table {
	struct slot *slots; /* from 1 */
	uint32_t used, room, free;
	uint32_t *index; /* numbers of slots; 0: none */
	uint64_t mask, count;
};

struct recovery {
	struct mq_store *s;
	struct table t;
	struct table purges; /* by queue: at.not_before_ms is the last place that went */
	uint64_t seq;	     /* of the record that is looked at */
	bool no_memory;
	struct mq_store_found *found;
	bool lenient; /* pass over what makes no sense */
	bool closed;  /* the last record says so */
};

/* ---- the table ---- */

static uint64_t home(const struct table *t, uint64_t queue, uint64_t seq)
{
	return (sd_mix(queue * 0x9e3779b97f4a7c15u + (seq >> 4)) << 4 | (seq & 15)) & t->mask;
}

static uint64_t find(const struct table *t, uint64_t queue, uint64_t seq)
{
	uint64_t i = home(t, queue, seq);
	while (t->index[i] && (t->slots[t->index[i]].at.queue != queue || t->slots[t->index[i]].at.seq != seq))
		i = (i + 1) & t->mask;
	return i;
}

static bool more_index(struct table *t)
{
	uint64_t n = t->mask ? 2 * (t->mask + 1) : 1024;
	uint32_t *old = t->index, *index = calloc(n, sizeof(*index));
	uint64_t was = t->mask ? t->mask + 1 : 0;
	if (!index)
		return false;
	t->index = index;
	t->mask = n - 1;
	for (uint64_t i = 0; i < was; i++)
		if (old[i])
			index[find(t, t->slots[old[i]].at.queue, t->slots[old[i]].at.seq)] = old[i];
	free(old);
	return true;
}

static uint32_t new_slot(struct table *t)
{
	uint32_t n = t->free;
	if (n) {
		t->free = t->slots[n].next;
		return n;
	}
	if (t->used + 1 >= t->room) {
		uint32_t room = t->room ? t->room + t->room / 2 : 1024;
		struct slot *more = t->room < UINT32_MAX / 2 ? realloc(t->slots, room * sizeof(*more)) : NULL;
		if (!more)
			return 0;
		t->slots = more;
		t->room = room;
	}
	return ++t->used;
}

/* The slot of a place, made when it is not there. NULL: out of memory. */
static struct slot *place_of(struct table *t, uint64_t queue, uint64_t seq)
{
	if (2 * t->count >= t->mask && !more_index(t))
		return NULL;
	uint64_t i = find(t, queue, seq);
	if (t->index[i])
		return &t->slots[t->index[i]];
	uint32_t n = new_slot(t);
	if (!n)
		return NULL;
	t->slots[n] = (struct slot){.at = {.queue = queue, .seq = seq}};
	t->index[i] = n;
	t->count++;
	return &t->slots[n];
}

static struct slot *look_up(struct table *t, uint64_t queue, uint64_t seq)
{
	if (!t->mask)
		return NULL;
	uint32_t n = t->index[find(t, queue, seq)];
	return n ? &t->slots[n] : NULL;
}

/* Those behind a place that becomes empty move up, so that each is found from its home. */
static void close_gap(struct table *t, uint64_t gap)
{
	for (uint64_t i = (gap + 1) & t->mask; t->index[i]; i = (i + 1) & t->mask) {
		const struct mq_place *at = &t->slots[t->index[i]].at;
		if (((i - home(t, at->queue, at->seq)) & t->mask) < ((i - gap) & t->mask))
			continue;
		t->index[gap] = t->index[i];
		t->index[i] = 0;
		gap = i;
	}
}

static void take_out(struct table *t, uint64_t queue, uint64_t seq)
{
	uint64_t i = find(t, queue, seq);
	uint32_t n = t->index[i];
	t->slots[n].m = NULL;
	t->slots[n].next = t->free;
	t->free = n;
	t->count--;
	t->index[i] = 0;
	close_gap(t, i);
}

/* ---- messages ---- */

/* One place of m, or who made it, lets go. */
static void let_go(struct mq_store *s, struct mq_message *m)
{
	struct mq_live *live = mq_live_of(m);
	if (m->refs == 1 && live) {
		mq_live_remove(&s->segments, live);
		free(live);
		m->at = 0;
	}
	mq_message_drop(s->mq, m);
}

static void end_place(struct recovery *r, uint64_t queue, uint64_t seq)
{
	const struct slot *slot = look_up(&r->t, queue, seq);
	if (!slot)
		return;
	struct mq_message *m = slot->m;
	take_out(&r->t, queue, seq);
	let_go(r->s, m);
}

static struct mq_message *message_of(struct mq_store *s, const struct mq_record *rec, const struct sd_wal_record *at)
{
	struct mq_live *live = mq_live_new(rec->n);
	struct mq_message *m = live ? mq_message_new(rec->exchange, rec->key, rec->properties, (struct sd_slice){NULL, 0}) : NULL;
	if (!m) {
		free(live);
		return NULL;
	}
	m->body_n = (uint32_t)rec->body.n;
	m->persistent = rec->persistent;
	m->priority = rec->priority;
	m->published_ms = rec->published_ms;
	m->record = at->seq;
	m->at = (uintptr_t)live;
	mq_live_add(&s->segments, live, s->segments.at[s->segments.n - 1], at->offset, at->n + MQ_RECORD_HEAD);
	return m;
}

static bool add_place(struct recovery *r, struct mq_message *m, const struct mq_place *at)
{
	struct slot *slot = place_of(&r->t, at->queue, at->seq);
	if (!slot)
		return false;
	if (slot->m) /* a copy: it holds from now on */
		let_go(r->s, slot->m);
	slot->at = *at;
	slot->m = mq_message_hold(m);
	return true;
}

static void publish(struct recovery *r, const struct mq_record *rec, const struct sd_wal_record *at)
{
	struct mq_message *m = message_of(r->s, rec, at);
	bool good = m != NULL;
	for (uint32_t i = 0; good && i < rec->n; i++) {
		struct mq_place p = mq_record_place(rec, i);
		good = add_place(r, m, &p);
	}
	if (m)
		let_go(r->s, m);
	if (good && rec->moved)
		end_place(r, rec->from_queue, rec->from_seq);
	r->no_memory |= !good;
}

/* ---- other records ---- */

static void failed(struct recovery *r, const struct mq_place *at)
{
	struct slot *slot = look_up(&r->t, at->queue, at->seq);
	if (!slot)
		return;
	slot->at.failures = at->failures;
	slot->at.not_before_ms = at->not_before_ms;
}

static void touched(struct recovery *r, const struct mq_place *at)
{
	struct slot *slot = look_up(&r->t, at->queue, at->seq);
	if (slot)
		slot->at.redelivered = true;
}

/* Looked at in the end: going through the table for each would take too long. The last one of a queue covers those before. */
static void purged(struct recovery *r, const struct mq_place *upto)
{
	struct slot *slot = place_of(&r->purges, upto->queue, 0);
	r->no_memory |= !slot;
	if (!slot)
		return;
	slot->at.not_before_ms = (int64_t)upto->seq;
	slot->mark = r->seq;
}

static bool is_purged(struct recovery *r, const struct slot *slot)
{
	const struct slot *p = look_up(&r->purges, slot->at.queue, 0);
	return p && slot->m->record < p->mark && slot->at.seq <= (uint64_t)p->at.not_before_ms;
}

static void define(struct recovery *r, const struct mq_record *rec, uint64_t seq)
{
	struct mq_store *s = r->s;
	s->segments.at[s->segments.n - 1]->last_define = seq;
	s->compact.dumped_bytes += rec->text.n + 2 + MQ_RECORD_HEAD;
	mq_restore_define(s->mq, rec->what, rec->gone, rec->text);
}

static void settle(struct recovery *r, const struct mq_place *at)
{
	end_place(r, at->queue, at->seq);
}

static void each(struct recovery *r, const struct mq_record *rec)
{
	static void (*const fn[])(struct recovery *r, const struct mq_place *at) = {
	    [MQ_REC_SETTLE] = settle,
	    [MQ_REC_FAILED] = failed,
	    [MQ_REC_PURGED] = purged,
	    [MQ_REC_TOUCHED] = touched,
	    [MQ_REC_CLOSED] = NULL,
	    [MQ_REC_OPENED] = NULL,
	};
	for (uint32_t i = 0; i < rec->n; i++) {
		struct mq_place at = mq_record_place(rec, i);
		if (rec->kind < sizeof(fn) / sizeof(fn[0]) && fn[rec->kind])
			fn[rec->kind](r, &at);
	}
}

/* ---- going through it ---- */

static enum sd_err no_memory(const struct mq_store *s, struct sd_error *e)
{
	return sd_fail(e, SD_ENOMEM, "cannot open %s: out of memory", s->dir);
}

static enum sd_err on_record(void *arg, const struct sd_wal_record *at, const char *file, struct sd_error *e)
{
	struct recovery *r = arg;
	struct mq_store *s = r->s;
	struct mq_record rec;
	struct sd_error why = {0};
	struct mq_segment *g = mq_segment_of(&s->segments, at->segment, at->seq);
	if (!g)
		return no_memory(s, e);
	g->bytes += at->n + MQ_RECORD_HEAD;
	s->segments.bytes += at->n + MQ_RECORD_HEAD;
	r->found->records++;
	enum sd_err err = mq_record_get(at->type, (struct sd_slice){(const char *)at->data, at->n}, &rec, &why);
	r->found->senseless += err != SD_OK;
	if (err)
		return r->lenient ? SD_OK : sd_fail(e, err, "cannot open %s: record at %" PRIu64 " %s", file, at->offset, why.text);
	r->seq = at->seq;
	r->closed = rec.kind == MQ_REC_CLOSED;
	if (rec.kind == MQ_REC_PUBLISH)
		publish(r, &rec, at);
	else if (rec.kind == MQ_REC_DEFINE)
		define(r, &rec, at->seq);
	else
		each(r, &rec);
	return r->no_memory ? no_memory(s, e) : SD_OK;
}

static int by_place(const void *a, const void *b)
{
	const struct mq_place *x = &((const struct slot *)a)->at, *y = &((const struct slot *)b)->at;
	if (x->queue != y->queue)
		return x->queue < y->queue ? -1 : 1;
	return x->seq < y->seq ? -1 : x->seq > y->seq;
}

/* Those that are left, in order, from slot 1 on. How many. */
static size_t in_order(struct table *t)
{
	size_t n = 0;
	bool sorted = true;
	for (uint32_t i = 1; i <= t->used; i++) {
		if (!t->slots[i].m)
			continue;
		t->slots[++n] = t->slots[i];
		sorted = sorted && (n == 1 || by_place(&t->slots[n - 1], &t->slots[n]) < 0);
	}
	t->used = (uint32_t)n;
	if (!sorted)
		qsort(t->slots + 1, n, sizeof(*t->slots), by_place);
	return n;
}

static void give_one(struct recovery *r, struct slot *slot)
{
	struct mq_message *m = slot->m;
	struct mq_live *live = mq_live_of(m);
	if (!is_purged(r, slot)) {
		slot->at.redelivered |= !r->closed;
		struct mq_entry *e = mq_restore_entry(r->s->mq, m, &slot->at);
		if (e)
			live->entries[live->n++] = e;
		else if (r->s->mq->out_of_memory)
			r->no_memory = true;
		else
			r->found->orphans++;
	}
	slot->m = NULL;
	let_go(r->s, m);
}

/* Gives the broker what is left. */
static bool give(struct recovery *r)
{
	size_t n = in_order(&r->t);
	for (size_t i = 1; i <= n && !r->no_memory; i++)
		give_one(r, &r->t.slots[i]);
	return !r->no_memory;
}

static void end(struct recovery *r)
{
	for (uint32_t i = 1; i <= r->t.used; i++)
		if (r->t.slots[i].m)
			let_go(r->s, r->t.slots[i].m);
	free(r->t.slots);
	free(r->t.index);
	free(r->purges.slots);
	free(r->purges.index);
}

static void on_opened(struct sd_wal_wait *wait, enum sd_err err)
{
	wait->seq = err;
}

/* From here on the log no longer says that nothing was delivered since; on the disk before anything is. A disk that is full is no
 * reason not to start: all is flagged then, and publishers wait. */
static enum sd_err put_opened(struct recovery *r, struct sd_error *e)
{
	struct mq_store *s = r->s;
	struct sd_wal_wait wait = {.done = on_opened};
	s->appended = s->acked = r->found->wal.next_seq - 1;
	if (!r->closed)
		return SD_OK;
	mq_store_append(s, MQ_REC_OPENED, NULL, 0);
	sd_wal_sync(s->log, &wait);
	const struct sd_error *why = sd_wal_failure(s->log);
	if (!why) {
		s->acked = s->appended;
		return SD_OK;
	}
	r->closed = false;
	mq_store_fail(s, why->code, why->text);
	return s->full ? SD_OK : sd_fail(e, why->code, "%s", why->text);
}

static enum sd_err open_log(struct mq_store *s, struct mq_store_found *found, bool lenient, struct sd_error *e)
{
	struct recovery r = {.s = s, .found = found, .lenient = lenient};
	struct sd_wal_conf conf = mq_store_wal_conf(s);
	conf.record = on_record;
	conf.arg = &r;
	conf.loop = NULL;
	conf.helpers = NULL;
	enum sd_err err = sd_wal_open(s->world, &conf, &s->log, &found->wal, e);
	if (!err)
		err = put_opened(&r, e);
	if (!err && s->loop)
		sd_wal_attach(s->log, s->loop, s->helpers);
	if (!err && !give(&r))
		err = no_memory(s, e);
	end(&r);
	return err;
}

/* What an attempt that failed left; definitions may be given again. */
static void forget(struct mq_store *s, struct mq_store_found *found)
{
	mq_segments_free(&s->segments);
	s->compact.dumped_bytes = 0;
	*found = (struct mq_store_found){0};
}

enum sd_err mq_store_recover(struct mq_store *s, struct mq_store_found *found, struct sd_error *e)
{
	enum sd_err err = open_log(s, found, false, e);
	if (s->conf.salvage && (err == SD_EINVAL || err == SD_EUNSUPPORTED)) {
		forget(s, found);
		err = mq_store_salvage(s, found, e);
		if (!err)
			err = open_log(s, found, true, e);
	}
	if (err) {
		mq_segments_free(&s->segments);
		sd_wal_free(s->log);
		s->log = NULL;
		return err;
	}
	mq_reserve_make(s);
	mq_restore_end(s->mq, &found->queues, &found->messages);
	s->mq->stored = s->acked;
	return SD_OK;
}
