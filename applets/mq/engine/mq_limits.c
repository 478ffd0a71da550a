/* mq_limits.c - what a queue's arguments allow: read once, row by row; and holding to it. */
#include <stdio.h>
#include <stdlib.h>

#include "mq_stream.h"

#define SEGMENT_MOST 3000000000ll

/* ---- reading ---- */

struct arg {
	const char *name;
	/* What is wrong as RabbitMQ would print it, or NULL. */
	const char *(*read)(const struct sd_amqp_field *f, int64_t least, int64_t most, void *to, char *room, size_t n);
	size_t at; /* in struct mq_limits */
	int64_t least, most;
};

static const char *bad_type(const struct sd_amqp_field *f, char *room, size_t n)
{
	snprintf(room, n, "{unacceptable_type,%s}", mq_kind_name(f->kind));
	return room;
}

static const char *read_int(const struct sd_amqp_field *f, int64_t least, int64_t most, void *to, char *room, size_t n)
{
	int64_t v = 0;
	if (!sd_amqp_field_int(f, &v)) {
		snprintf(room, n, "\"expected integer, got %s\"", mq_kind_name(f->kind));
		return room;
	}
	if (v >= least && v <= most) {
		*(int64_t *)to = v;
		return NULL;
	}
	if (v == 0)
		snprintf(room, n, "{value_zero,0}");
	else
		snprintf(room, n, "{%s,%lld}", v < least ? "value_negative" : "value_too_large", (long long)v);
	return room;
}

static const char *read_priority(const struct sd_amqp_field *f, int64_t least, int64_t most, void *to, char *room, size_t n)
{
	int64_t v = 0;
	const char *wrong = read_int(f, least, most, &v, room, n);
	if (!wrong)
		*(int *)to = (int)v;
	else if (sd_amqp_field_int(f, &v) && v > most)
		snprintf(room, n, "{max_value_exceeded,%lld}", (long long)v);
	return wrong;
}

static const char *read_bool(const struct sd_amqp_field *f, int64_t least, int64_t most, void *to, char *room, size_t n)
{
	(void)least;
	(void)most;
	if (f->kind != 't')
		return bad_type(f, room, n);
	*(bool *)to = f->n != 0;
	return NULL;
}

/* Kept elsewhere; here only its type counts, for which RabbitMQ has other words. */
static bool check_text(const struct mq_vhost *v, const struct mq_queue_decl *d, const char *name, struct mq_error *e)
{
	struct sd_amqp_field f;
	return !sd_amqp_find(d->arguments, name, &f) || f.kind == 'S' ||
	       mq_fail(e, 406, "invalid type '%s' for arg '%s' in queue '%.*s' in vhost '%.*s'", mq_kind_name(f.kind), name, MQ_ARG(d->name),
		       MQ_ARG(MQ_NAME(v)));
}

static const char *read_word(const struct sd_amqp_field *f, const char *const *words, int *out, const char *wrong, char *room, size_t n)
{
	if (f->kind != 'S')
		return bad_type(f, room, n);
	for (*out = 0; words[*out]; ++*out)
		if (sd_slice_eq(f->s, words[*out]))
			return NULL;
	return wrong;
}

static const char *read_overflow(const struct sd_amqp_field *f, int64_t least, int64_t most, void *to, char *room, size_t n)
{
	static const char *const words[] = {"drop-head", "reject-publish", "reject-publish-dlx", NULL};
	int i = 0;
	(void)least;
	(void)most;
	const char *wrong = read_word(f, words, &i, "invalid_overflow", room, n);
	if (!wrong)
		*(enum mq_overflow *)to = (enum mq_overflow)i;
	return wrong;
}

static const char *read_kind(const struct sd_amqp_field *f, int64_t least, int64_t most, void *to, char *room, size_t n)
{
	static const char *const words[] = {"classic", "quorum", "stream", NULL};
	int i = 0;
	(void)least;
	(void)most;
	const char *wrong = read_word(f, words, &i, NULL, room, n);
	if (!wrong && i == 3) {
		snprintf(room, n, "\"unsupported queue type '%.*s'\"", (int)(f->s.n < 64 ? f->s.n : 64), f->s.p);
		return room;
	}
	*(bool *)to = i == 2;
	return wrong;
}

static const char *read_age(const struct sd_amqp_field *f, int64_t least, int64_t most, void *to, char *room, size_t n)
{
	(void)least;
	(void)most;
	if (f->kind != 'S')
		return bad_type(f, room, n);
	*(int64_t *)to = mq_age_ms(f->s);
	return *(int64_t *)to ? NULL : "invalid_max_age";
}

/* Of a cluster that is not there. */
static const char *read_locator(const struct sd_amqp_field *f, int64_t least, int64_t most, void *to, char *room, size_t n)
{
	static const char *const words[] = {"client-local", "random", "least-leaders", "balanced", NULL};
	int i = 0;
	(void)least;
	(void)most;
	(void)to;
	return read_word(f, words, &i, "invalid_queue_locator_arg", room, n);
}

static const char *read_name(const struct sd_amqp_field *f, int64_t least, int64_t most, void *to, char *room, size_t n)
{
	(void)least;
	(void)most;
	(void)to;
	return f->kind != 'S' ? bad_type(f, room, n) : f->s.n ? NULL : "empty_name";
}

/* Where its messages are is not the client's to say. */
static const char *read_mode(const struct sd_amqp_field *f, int64_t least, int64_t most, void *to, char *room, size_t n)
{
	static const char *const words[] = {"default", "lazy", NULL};
	int i = 0;
	(void)least;
	(void)most;
	(void)to;
	const char *wrong = read_word(f, words, &i, NULL, room, n);
	if (wrong || i < 2)
		return wrong;
	snprintf(room, n, "\"unsupported queue mode '%.*s'\"", (int)(f->s.n < 64 ? f->s.n : 64), f->s.p);
	return room;
}

#define AT(field) offsetof(struct mq_limits, field)
static const struct arg args[] = {
    {"x-message-ttl", read_int, AT(ttl_ms), 0, UINT32_MAX},
    {"x-expires", read_int, AT(expires_ms), 1, UINT32_MAX},
    {"x-max-length", read_int, AT(max_length), 0, INT64_MAX},
    {"x-max-length-bytes", read_int, AT(max_bytes), 0, INT64_MAX},
    {"x-overflow", read_overflow, AT(overflow), 0, 0},
    {"x-max-priority", read_priority, AT(max_priority), 0, MQ_PRIORITY_MAX},
    {"x-delivery-limit", read_int, AT(delivery_limit), 0, INT64_MAX},
    {"x-visibility-timeout", read_int, AT(visibility_ms), 1, UINT32_MAX},
    {"x-consumer-timeout", read_int, AT(visibility_ms), 1, UINT32_MAX},
    {"x-delayed-retry-min", read_int, AT(retry_min_ms), 0, UINT32_MAX},
    {"x-delayed-retry-max", read_int, AT(retry_max_ms), 0, UINT32_MAX},
    {"x-single-active-consumer", read_bool, AT(single_active), 0, 0},
    {"x-queue-mode", read_mode, 0, 0, 0},
    {"x-queue-type", read_kind, AT(stream), 0, 0},
    {"x-max-age", read_age, AT(max_age_ms), 0, 0},
    {"x-stream-max-segment-size-bytes", read_int, AT(segment_bytes), 0, INT64_MAX},
    {"x-initial-cluster-size", read_int, AT(cluster_size), 1, INT64_MAX},
    {"x-queue-leader-locator", read_locator, 0, 0, 0},
    {"x-stream-partitions", read_int, AT(partitions), 1, MQ_PARTITIONS_MAX},
    {"x-stream-partition-by", read_name, 0, 0, 0},
};

const char *const mq_queue_arguments[] = {"x-expires",
					  "x-message-ttl",
					  "x-dead-letter-exchange",
					  "x-dead-letter-routing-key",
					  "x-max-length",
					  "x-max-length-bytes",
					  "x-max-priority",
					  "x-overflow",
					  "x-queue-mode",
					  "x-single-active-consumer",
					  "x-queue-type",
					  "x-delivery-limit",
					  "x-visibility-timeout",
					  "x-consumer-timeout",
					  "x-delayed-retry-min",
					  "x-delayed-retry-max",
					  "x-max-age",
					  "x-stream-max-segment-size-bytes",
					  "x-initial-cluster-size",
					  "x-queue-leader-locator",
					  "x-stream-partitions",
					  "x-stream-partition-by",
					  NULL};

static bool bad_argument(const char *arg, struct sd_slice vhost, struct sd_slice name, const char *wrong, struct mq_error *e)
{
	return mq_fail(e, 406, "invalid arg '%s' for queue '%.*s' in vhost '%.*s': %s", arg, MQ_ARG(name), MQ_ARG(vhost), wrong);
}

static bool ends_with(struct sd_slice name, const char *suffix)
{
	size_t n = strlen(suffix);
	return name.n >= n && memcmp(name.p + name.n - n, suffix, n) == 0;
}

/* What failed too often stays where it is looked after; a queue that goes with its users has nowhere to put it. */
static int64_t retry_limit(const struct mq *b, const struct mq_queue_decl *d)
{
	return d->exclusive || d->auto_delete || ends_with(d->name, MQ_DLQ_SUFFIX) ? MQ_NO_LIMIT : b->conf.retry_limit;
}

bool mq_limits_read(const struct mq_vhost *v, const struct mq_queue_decl *d, struct mq_limits *out, struct mq_error *e)
{
	const struct mq *b = v->mq;
	struct sd_amqp_field f;
	char room[128];
	*out = (struct mq_limits){.ttl_ms = MQ_NO_LIMIT, .expires_ms = MQ_NO_LIMIT, .max_length = MQ_NO_LIMIT, .max_bytes = MQ_NO_LIMIT,
				  .max_age_ms = MQ_NO_LIMIT, .segment_bytes = MQ_NO_LIMIT, .partitions = 1};
	out->delivery_limit = retry_limit(b, d);
	out->visibility_ms = b->conf.visibility_ms;
	for (size_t i = 0; i < sizeof(args) / sizeof(args[0]); i++) {
		if (!sd_amqp_find(d->arguments, args[i].name, &f))
			continue;
		const char *wrong = args[i].read(&f, args[i].least, args[i].most, (char *)out + args[i].at, room, sizeof(room));
		if (wrong)
			return bad_argument(args[i].name, MQ_NAME(v), d->name, wrong, e);
	}
	if (out->segment_bytes > SEGMENT_MOST)
		return mq_fail(e, 406, "Exceeded max value for x-stream-max-segment-size-bytes");
	if (!mq_queue_args_check(v, d, out->stream, e) || (out->stream && !mq_stream_check(v, d, e)))
		return false;
	if (!check_text(v, d, "x-dead-letter-exchange", e) || !check_text(v, d, "x-dead-letter-routing-key", e))
		return false;
	out->no_dlq = sd_amqp_find(d->arguments, "x-dead-letter-exchange", &f);
	if (!out->no_dlq && sd_amqp_find(d->arguments, "x-dead-letter-routing-key", &f))
		return bad_argument("x-dead-letter-routing-key", MQ_NAME(v), d->name, "routing_key_but_no_dlx_defined", e);
	return true;
}

/* ---- length ---- */

static bool beyond(const struct mq_queue *q, size_t n, uint64_t bytes)
{
	const struct mq_limits *l = &q->limits;
	return (l->max_length != MQ_NO_LIMIT && n > (uint64_t)l->max_length) ||
	       (l->max_bytes != MQ_NO_LIMIT && bytes > (uint64_t)l->max_bytes);
}

bool mq_queue_full(const struct mq_queue *q, const struct mq_message *m)
{
	return q->limits.overflow != MQ_DROP_HEAD && beyond(q, q->nready + 1, q->ready_bytes + m->body_n);
}

static void trim(struct mq_queue *q)
{
	while (q->nready && beyond(q, q->nready, q->ready_bytes)) {
		struct mq_entry *e = mq_ready_head(q);
		bool redelivered = e->redelivered;
		mq_entry_out(e);
		q->count.dropped++;
		if (mq_dead_letter(e, MQ_MAXLEN))
			continue;
		mq_entry_back(e); /* no memory for that now: it stays a little longer */
		e->redelivered = redelivered;
		return;
	}
}

void mq_trim_all(struct mq *b)
{
	if (b->trimming)
		return;
	b->trimming = true;
	while (!sd_list_empty(&b->trim)) {
		struct sd_link *l = b->trim.next;
		sd_list_del(l);
		trim(sd_container(l, struct mq_queue, trim));
	}
	b->trimming = false;
}

void mq_queue_trim_later(struct mq_queue *q)
{
	if (q->limits.overflow == MQ_DROP_HEAD && !q->stream && q->trim.next == &q->trim && beyond(q, q->nready, q->ready_bytes))
		sd_list_add(&q->vhost->mq->trim, &q->trim);
}

void mq_queue_trim(struct mq_queue *q)
{
	mq_queue_trim_later(q);
	mq_trim_all(q->vhost->mq);
}

/* ---- memory ---- */

#define ENTRY_BYTES (sizeof(struct mq_entry) + sizeof(struct mq_message) + 64)

static size_t memory_of(const struct mq *b)
{
	return b->body_memory + b->entries * ENTRY_BYTES;
}

static size_t queue_memory(const struct mq_queue *q)
{
	return q->bytes + (q->nready + q->nunacked + q->ndelayed) * ENTRY_BYTES;
}

static void set_pressed(struct mq *b, struct mq_queue *q, bool on)
{
	if (q->pressed == on)
		return;
	q->pressed = on;
	if (on)
		sd_list_add(&b->pressed_queues, &q->of_pressed);
	else
		sd_list_del(&q->of_pressed);
	if (b->pressed)
		b->pressed(b->arg, q, on);
}

/* Over the mark a queue that holds a good share of it pushes back; the small ones go on until their sum is too much, too: the mark
 * and a half of it. */
static bool too_much(const struct mq *b, const struct mq_queue *q)
{
	size_t all = memory_of(b), mark = b->conf.high_water;
	return (all > mark && queue_memory(q) > mark / 8) || all > mark + mark / 2;
}

static void relieve(struct mq *b)
{
	for (struct sd_link *l = b->pressed_queues.next, *next; l != &b->pressed_queues; l = next) {
		struct mq_queue *q = sd_container(l, struct mq_queue, of_pressed);
		next = l->next;
		if (memory_of(b) <= b->conf.high_water / 5 * 4 || queue_memory(q) <= b->conf.high_water / 16)
			set_pressed(b, q, false);
	}
}

/* After a message came into q (or NULL: some left). */
void mq_press(struct mq *b, struct mq_queue *q)
{
	if (!b->conf.high_water)
		return;
	if (q && !q->pressed && too_much(b, q))
		set_pressed(b, q, true);
	if (!q && !sd_list_empty(&b->pressed_queues))
		relieve(b);
}
