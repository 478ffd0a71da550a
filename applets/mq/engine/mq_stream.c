/* mq_stream.c - the life of a stream: messages come in at its end, and leave at its front when they are too old or too much. */
#include <stdlib.h>

#include "core/mix.h"
#include "mq_stream.h"

#define AT_ONCE	   4096 /* messages that leave in a turn */
#define FIRST_ROOM 64

/* ---- lines ---- */

static bool line_room(struct mq_line *l)
{
	if (l->end - l->begin < l->room)
		return true;
	size_t room = l->room ? 2 * l->room : FIRST_ROOM;
	struct mq_entry **ring = calloc(room, sizeof(struct mq_entry *));
	if (!ring)
		return false;
	for (uint64_t i = l->begin; i < l->end; i++)
		ring[i & (room - 1)] = mq_line_at(l, i);
	free(l->ring);
	l->ring = ring;
	l->room = room;
	return true;
}

static uint64_t line_add(struct mq_line *l, struct mq_entry *e)
{
	l->ring[l->end & (l->room - 1)] = e;
	return l->end++;
}

/* Where every number is there, it is where it is due; holes are left by what could not be kept. */
uint64_t mq_line_from(const struct mq_line *l, uint64_t seq)
{
	uint64_t lo = l->begin, hi = l->end;
	if (lo < hi && seq > mq_line_at(l, lo)->seq) {
		uint64_t guess = lo + (seq - mq_line_at(l, lo)->seq);
		if (guess < hi && mq_line_at(l, guess)->seq == seq)
			return guess;
	}
	while (lo < hi) {
		uint64_t mid = lo + (hi - lo) / 2;
		if (mq_line_at(l, mid)->seq < seq)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/* ---- partitions ---- */

/* FNV-1a, then mixed: the same in every life of the broker, and on every machine. */
static uint64_t hash(struct sd_slice key)
{
	uint64_t h = 0xcbf29ce484222325u;
	for (size_t i = 0; i < key.n; i++)
		h = (h ^ (uint8_t)key.p[i]) * 0x100000001b3u;
	return sd_mix(h);
}

static struct sd_slice key_of(const struct mq_stream *s, const struct mq_message *m, char room[24])
{
	struct sd_amqp_properties p;
	struct sd_amqp_field f;
	int64_t n;
	if (!s->by || !sd_amqp_get_properties(mq_message_properties(m), &p) || !(p.has & SD_AMQP_HEADERS) ||
	    !sd_amqp_find(p.headers, s->by, &f))
		return mq_message_key(m);
	if (f.kind == 'S')
		return f.s;
	if (!sd_amqp_field_int(&f, &n))
		return mq_message_key(m);
	for (size_t i = 0; i < 8; i++) /* of any width: the same number, the same key */
		room[i] = (char)((uint64_t)n >> 8 * i);
	return (struct sd_slice){room, 8};
}

bool mq_stream_reserve(struct mq_entry *e)
{
	struct mq_stream *s = e->queue->stream;
	char room[24];
	e->partition = s->n > 1 ? hash(key_of(s, e->message, room)) % s->n : 0;
	return line_room(&s->all) && line_room(mq_stream_line(s, (unsigned)e->partition));
}

/* ---- its life ---- */

static bool take_key(struct mq_stream *s, struct sd_slice arguments)
{
	struct sd_amqp_field f;
	if (!sd_amqp_find(arguments, "x-stream-partition-by", &f) || f.kind != 'S')
		return true;
	s->by = mq_copy_name(f.s);
	return s->by != NULL;
}

bool mq_stream_begin(struct mq_queue *q)
{
	struct mq_stream *s = calloc(1, sizeof(*s));
	if (!s)
		return false;
	s->q = q;
	s->n = (unsigned)q->limits.partitions;
	s->kept = 1;
	sd_dict_init(&s->groups, offsetof(struct mq_group, name), &q->vhost->mq->hash_key);
	struct sd_link *const lists[] = {&s->idle, &s->retain, &s->unstored};
	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
		sd_list_init(lists[i]);
	q->stream = s;
	if (s->n > 1)
		s->parts = calloc(s->n, sizeof(*s->parts));
	return take_key(s, q->arguments) && (s->n == 1 || s->parts);
}

/* The message at the front, out of everything but the log. */
static struct mq_entry *take_front(struct mq_stream *s)
{
	struct mq_queue *q = s->q;
	struct mq_entry *e = mq_line_at(&s->all, s->all.begin);
	if (s->warm == s->all.begin) {
		s->warm++;
		s->warm_bytes -= e->message->body_n;
	}
	s->all.begin++;
	if (s->parts)
		s->parts[e->partition].begin++;
	s->kept = e->seq + 1;
	q->nready--;
	q->ready_bytes -= e->message->body_n;
	e->where = MQ_LEAVING;
	mq_entry_count(e, -1);
	return e;
}

void mq_stream_end(struct mq_queue *q)
{
	struct mq_stream *s = q->stream;
	if (!s)
		return;
	for (struct sd_dict_entry *e; (e = sd_dict_random(&s->groups, &q->vhost->mq->rng));)
		mq_group_free(sd_container(e, struct mq_group, e));
	while (s->all.begin < s->all.end)
		mq_entry_free(take_front(s));
	for (unsigned i = 0; s->parts && i < s->n; i++)
		free(s->parts[i].ring);
	sd_list_del(&s->retain);
	sd_list_del(&s->unstored);
	sd_dict_free(&s->groups);
	free(s->parts);
	free(s->all.ring);
	free(s->by);
	free(s);
	q->stream = NULL;
}

/* ---- the front: too old, too much ---- */

static bool too_much(const struct mq_stream *s)
{
	const struct mq_queue *q = s->q;
	return q->limits.max_bytes != MQ_NO_LIMIT && q->nready > 1 && q->ready_bytes > (uint64_t)q->limits.max_bytes;
}

static int64_t ends(const struct mq_stream *s)
{
	const struct mq_entry *first = mq_line_at(&s->all, s->all.begin);
	return first->message->published_ms + s->q->limits.max_age_ms;
}

static bool too_old(const struct mq_stream *s)
{
	return s->q->limits.max_age_ms != MQ_NO_LIMIT && s->q->nready && ends(s) <= s->q->vhost->mq->wall_ms;
}

static void retain_later(struct mq_stream *s)
{
	if (s->retain.next == &s->retain)
		sd_list_add(&s->q->vhost->mq->retain, &s->retain);
}

static void arm(struct mq_stream *s)
{
	struct mq_queue *q = s->q;
	struct mq *b = q->vhost->mq;
	if (q->limits.max_age_ms != MQ_NO_LIMIT && q->nready)
		sd_wheel_set(&b->queue_wheel, &q->unused, mq_wall_due(b, ends(s)));
}

void mq_stream_aged(struct mq_queue *q)
{
	retain_later(q->stream);
}

/* One record ends them all; another one keeps what comes from getting their numbers, once nothing else tells of those. */
static void retain(struct mq_stream *s)
{
	unsigned n = 0;
	for (; n < AT_ONCE && (too_much(s) || too_old(s)); n++) {
		s->q->count.dropped++;
		mq_entry_free(take_front(s));
	}
	if (n) {
		mq_log_purged(s->q->vhost->mq, s->q, s->kept - 1);
		mq_define_stream(s);
	}
	if (n == AT_ONCE)
		retain_later(s);
	else
		arm(s);
}

void mq_streams_turn(struct mq *b)
{
	const struct sd_link *last = b->retain.prev; /* those that have more to do come behind it, in the next turn */
	for (struct sd_link *l = NULL; !sd_list_empty(&b->retain) && l != last;) {
		l = b->retain.next;
		sd_list_del(l);
		retain(sd_container(l, struct mq_stream, retain));
	}
	mq_groups_log(b);
}

/* ---- the end ---- */

/* Those who read the end find bodies in memory; whoever reads what was is given them from the disk. */
static void cool(struct mq_stream *s)
{
	while (s->warm_bytes > MQ_STREAM_WARM && s->warm < s->all.end) {
		struct mq_entry *e = mq_line_at(&s->all, s->warm);
		if (!mq_stream_visible(e))
			return;
		s->warm++;
		s->warm_bytes -= e->message->body_n;
		mq_body_leave(s->q->vhost->mq, e->message);
	}
}

void mq_stream_append(struct mq_entry *e)
{
	struct mq_queue *q = e->queue;
	struct mq_stream *s = q->stream;
	struct mq *b = q->vhost->mq;
	e->where = MQ_READY;
	e->order = e->tag = line_add(&s->all, e);
	if (s->parts)
		e->tag = line_add(&s->parts[e->partition], e);
	q->nready++;
	q->ready_bytes += e->message->body_n;
	s->warm_bytes += e->message->body_n;
	if (b->quiet)
		return;
	cool(s);
	if (too_much(s))
		retain_later(s);
	if (!sd_wheel_is_set(&q->unused))
		arm(s);
	if (mq_stream_visible(e))
		mq_stream_wake(s);
	else if (s->unstored.next == &s->unstored)
		sd_list_add(&b->unstored, &s->unstored);
}

void mq_streams_stored(struct mq *b)
{
	struct sd_link again;
	sd_list_init(&again);
	while (!sd_list_empty(&b->unstored)) {
		struct mq_stream *s = sd_container(b->unstored.next, struct mq_stream, unstored);
		bool all = s->all.begin == s->all.end || mq_stream_visible(mq_line_at(&s->all, s->all.end - 1));
		sd_list_del(&s->unstored);
		if (!all)
			sd_list_add(&again, &s->unstored);
		mq_stream_wake(s);
	}
	while (!sd_list_empty(&again)) {
		struct sd_link *l = again.next;
		sd_list_del(l);
		sd_list_add(&b->unstored, l);
	}
}

/* ---- the log ---- */

static void put_stream(struct sd_text *t, const struct mq_stream *s)
{
	sd_amqp_put_int(t, "queue", (int64_t)s->q->id);
	sd_amqp_put_int(t, "first", (int64_t)s->kept);
	sd_amqp_put_int(t, "next", (int64_t)s->q->next_seq);
}

void mq_define_stream(struct mq_stream *s)
{
	struct sd_text t = {0};
	put_stream(&t, s);
	if (!t.full)
		mq_log_define_text(s->q->vhost->mq, MQ_DEFINE_STREAM, false, (struct sd_slice){t.p, t.n});
	free(t.p);
}

struct dump {
	const struct mq_journal *to;
};

static void dump_group(void *arg, struct sd_dict_entry *e)
{
	const struct dump *d = arg;
	mq_group_dump(sd_container(e, struct mq_group, e), d->to);
}

void mq_stream_dump(struct mq_queue *q, const struct mq_journal *to)
{
	struct sd_text t = {0};
	struct dump d = {to};
	put_stream(&t, q->stream);
	if (!t.full)
		to->define(to->arg, MQ_DEFINE_STREAM, false, (struct sd_slice){t.p, t.n});
	free(t.p);
	sd_dict_each(&q->stream->groups, dump_group, &d);
}

bool mq_stream_restore(struct mq *b, bool gone, struct sd_slice t)
{
	struct sd_amqp_field id, first, next;
	if (!sd_amqp_find(t, "queue", &id) || id.kind != 'l')
		return false;
	struct mq_queue *q = mq_index_get(&b->queues_by_id, (uint64_t)id.n);
	if (!q || !q->stream)
		return true;
	if (!sd_amqp_find(t, "next", &next))
		return mq_group_restore(q->stream, gone, t);
	if (next.kind != 'l' || next.n < 0 || !sd_amqp_find(t, "first", &first) || first.kind != 'l' || first.n < 1)
		return false;
	if ((uint64_t)next.n > q->next_seq)
		q->next_seq = (uint64_t)next.n;
	if ((uint64_t)first.n > q->stream->kept)
		q->stream->kept = (uint64_t)first.n;
	return true;
}

static void restore_group(void *arg, struct sd_dict_entry *e)
{
	(void)arg;
	mq_group_restored(sd_container(e, struct mq_group, e));
}

void mq_stream_restored(struct mq_queue *q)
{
	struct mq_stream *s = q->stream;
	s->warm = s->all.end;
	s->warm_bytes = 0;
	sd_dict_each(&s->groups, restore_group, NULL);
	retain_later(s);
}

/* ---- what it looks like ---- */

unsigned mq_stream_partitions(const struct mq_queue *q)
{
	return q->stream ? q->stream->n : 0;
}

void mq_stream_range(const struct mq_queue *q, uint64_t *first, uint64_t *end)
{
	const struct mq_stream *s = q->stream;
	*end = q->next_seq;
	*first = s && s->all.begin < s->all.end ? mq_line_at(&s->all, s->all.begin)->seq - 1 : *end;
}

static void put_header(struct sd_text *t, const struct mq_entry *e)
{
	const struct mq_stream *s = e->queue->stream;
	sd_amqp_put_int(t, "x-stream-offset", (int64_t)e->seq - 1);
	if (s->n > 1 && mq_shadow_of(e)->share)
		sd_amqp_put_int(t, "x-stream-partition", mq_shadow_of(e)->share - mq_shadow_of(e)->share->group->shares);
}

bool mq_stream_properties(const struct mq_entry *e, struct sd_text *out)
{
	struct sd_amqp_properties p = {0};
	struct sd_amqp_field f;
	struct sd_text headers = {0};
	sd_amqp_get_properties(mq_message_properties(e->message), &p);
	struct sd_slice rest = p.has & SD_AMQP_HEADERS ? p.headers : (struct sd_slice){0};
	while (rest.n) { /* those of another stream that it came from go */
		const char *from = rest.p;
		if (!sd_amqp_next_field(&rest, &f))
			break;
		if (!sd_slice_eq(f.name, "x-stream-offset") && !sd_slice_eq(f.name, "x-stream-partition"))
			sd_text_add(&headers, from, (size_t)(rest.p - from));
	}
	put_header(&headers, e);
	p.has |= SD_AMQP_HEADERS;
	p.headers = (struct sd_slice){headers.p, headers.n};
	sd_amqp_put_properties(out, &p);
	bool good = !headers.full && !out->full;
	free(headers.p);
	return good;
}
