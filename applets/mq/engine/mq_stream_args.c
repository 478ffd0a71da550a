/* mq_stream_args.c - arguments that streams know, in declarations and of consumers: RabbitMQ's checks and texts. */
#include <stdio.h>

#include "mq_stream.h"

#define DAY 86400000ll

static const char *type_of(bool stream)
{
	return stream ? "rabbit_stream_queue" : "rabbit_classic_queue";
}

static bool not_of_type(const char *arg, struct sd_slice name, struct sd_slice vhost, bool stream, struct mq_error *e)
{
	return mq_fail(e, 406, "invalid arg '%s' for queue '%.*s' in vhost '%.*s' of queue type %s", arg, MQ_ARG(name), MQ_ARG(vhost),
		       type_of(stream));
}

/* ---- declarations ---- */

bool mq_queue_args_check(const struct mq_vhost *v, const struct mq_queue_decl *d, bool stream, struct mq_error *e)
{
	static const char *const not_stream[] = {
	    "x-message-ttl",		"x-expires",   "x-max-length",	  "x-overflow",		 "x-max-priority",	"x-dead-letter-exchange",
	    "x-dead-letter-routing-key", "x-queue-mode", "x-delivery-limit", "x-single-active-consumer", "x-delayed-retry-min",
	    "x-delayed-retry-max",	NULL};
	static const char *const only_stream[] = {"x-max-age",
						  "x-stream-max-segment-size-bytes",
						  "x-initial-cluster-size",
						  "x-queue-leader-locator",
						  "x-stream-partitions",
						  "x-stream-partition-by",
						  NULL};
	struct sd_amqp_field f;
	for (const char *const *arg = stream ? not_stream : only_stream; *arg; arg++)
		if (sd_amqp_find(d->arguments, *arg, &f))
			return not_of_type(*arg, d->name, MQ_NAME(v), stream, e);
	return true;
}

bool mq_stream_check(const struct mq_vhost *v, const struct mq_queue_decl *d, struct mq_error *e)
{
	const struct {
		bool wrong;
		const char *property;
	} rules[] = {{!d->durable && !d->exclusive, "non-durable"}, {d->exclusive, "exclusive-owner"}, {d->auto_delete, "auto-delete"}};
	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++)
		if (rules[i].wrong)
			return mq_fail(e, 406, "invalid property '%s' for queue '%.*s' in vhost '%.*s'", rules[i].property, MQ_ARG(d->name),
				       MQ_ARG(MQ_NAME(v)));
	return true;
}

int64_t mq_age_ms(struct sd_slice text)
{
	static const struct {
		char unit;
		int64_t ms;
	} units[] = {{'Y', 365 * DAY}, {'M', 30 * DAY}, {'D', DAY}, {'h', 3600000}, {'m', 60000}, {'s', 1000}};
	int64_t n = 0;
	for (size_t i = 0; i + 1 < text.n; i++) {
		if (text.p[i] < '0' || text.p[i] > '9' || n > INT32_MAX)
			return 0;
		n = n * 10 + (text.p[i] - '0');
	}
	for (size_t i = 0; text.n > 1 && i < sizeof(units) / sizeof(units[0]); i++)
		if (units[i].unit == text.p[text.n - 1])
			return n < MQ_DELAY_MAX / units[i].ms ? n * units[i].ms : MQ_DELAY_MAX;
	return 0;
}

/* ---- where somebody begins ---- */

static uint64_t at_time(const struct mq_stream *s, int64_t wall_ms)
{
	uint64_t lo = s->all.begin, hi = s->all.end;
	while (lo < hi) {
		uint64_t mid = lo + (hi - lo) / 2;
		if (mq_line_at(&s->all, mid)->message->published_ms < wall_ms)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < s->all.end ? mq_line_at(&s->all, lo)->seq : s->q->next_seq + 1;
}

static uint64_t at_number(const struct mq_stream *s, int64_t offset)
{
	uint64_t end = s->q->next_seq;
	return offset < 0 ? 1 : (uint64_t)offset < end ? (uint64_t)offset + 1 : end + 1;
}

static bool at_word(const struct mq_stream *s, struct sd_slice word, uint64_t *seq)
{
	int64_t ago = mq_age_ms(word);
	uint64_t next = s->q->next_seq + 1;
	if (sd_slice_eq(word, "first"))
		*seq = 1;
	else if (sd_slice_eq(word, "last"))
		*seq = s->all.begin < s->all.end ? mq_line_at(&s->all, s->all.end - 1)->seq : next;
	else if (sd_slice_eq(word, "next"))
		*seq = next;
	else if (ago)
		*seq = at_time(s, s->q->vhost->mq->wall_ms - ago);
	else
		return false;
	return true;
}

bool mq_stream_seek(const struct mq_stream *s, const struct sd_amqp_field *f, uint64_t *seq)
{
	int64_t n;
	*seq = s->q->next_seq + 1;
	if (!f)
		return true;
	if (f->kind == 'S')
		return at_word(s, f->s, seq);
	if (f->kind == 'T')
		*seq = at_time(s, f->n < MQ_DELAY_MAX / 1000 ? f->n * 1000 : MQ_DELAY_MAX);
	else if (sd_amqp_field_int(f, &n))
		*seq = at_number(s, n);
	else
		return false;
	return true;
}

/* ---- consumers ---- */

bool mq_bad_offset(const struct mq_queue *q, const struct sd_amqp_field *f, struct mq_error *e)
{
	struct sd_slice value = f->kind == 'S' ? f->s : (struct sd_slice){0};
	return mq_fail(e, 406, "invalid arg 'x-stream-offset' for queue '%.*s' in vhost '%.*s': {invalid_stream_offset_arg,{%s,<<\"%.*s\">>}}",
		       MQ_ARG(MQ_NAME(q)), MQ_ARG(MQ_NAME(q->vhost)), mq_kind_name(f->kind), (int)(value.n < 64 ? value.n : 64), value.p);
}

static bool check_names(const struct mq_queue *q, struct sd_slice arguments, struct mq_error *e)
{
	static const char *const not_stream[] = {"x-priority", NULL}, *const only_stream[] = {"x-stream-offset", "x-stream-group", NULL};
	struct sd_amqp_field f;
	for (const char *const *arg = q->stream ? not_stream : only_stream; *arg; arg++)
		if (sd_amqp_find(arguments, *arg, &f))
			return not_of_type(*arg, MQ_NAME(q), MQ_NAME(q->vhost), q->stream != NULL, e);
	return true;
}

static bool check_group(const struct mq_queue *q, struct sd_slice arguments, struct mq_error *e)
{
	struct sd_amqp_field f;
	if (!sd_amqp_find(arguments, "x-stream-group", &f) || (f.kind == 'S' && f.s.n && f.s.n <= MQ_NAME_MAX))
		return true;
	return mq_fail(e, 406, "invalid arg 'x-stream-group' for queue '%.*s' in vhost '%.*s': expected a name of 1 to %d bytes",
		       MQ_ARG(MQ_NAME(q)), MQ_ARG(MQ_NAME(q->vhost)), MQ_NAME_MAX);
}

bool mq_consume_check(const struct mq_queue *q, const struct mq_channel *ch, bool no_ack, struct sd_slice arguments, struct mq_error *e)
{
	struct sd_amqp_field f;
	uint64_t seq;
	if (!check_names(q, arguments, e))
		return false;
	if (!q->stream)
		return true;
	if (no_ack)
		return mq_fail(e, 540, "automatic acknowledgement not supported by stream queues queue '%.*s' in vhost '%.*s'",
			       MQ_ARG(MQ_NAME(q)), MQ_ARG(MQ_NAME(q->vhost)));
	if (sd_amqp_find(arguments, "x-stream-offset", &f) && !mq_stream_seek(q->stream, &f, &seq))
		return mq_bad_offset(q, &f, e);
	if (!ch->prefetch)
		return mq_fail(e, 406, "consumer prefetch count is not set for 'queue '%.*s' in vhost '%.*s''", MQ_ARG(MQ_NAME(q)),
			       MQ_ARG(MQ_NAME(q->vhost)));
	return check_group(q, arguments, e);
}
