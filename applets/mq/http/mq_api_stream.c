/* mq_api_stream.c - streams and the groups that read them. */
#include "mq_api_int.h"

struct list {
	cJSON *groups, *shares;
	bool brief;
};

static void add_group(void *arg, const struct mq_group_state *g)
{
	struct list *l = arg;
	cJSON *o = cJSON_CreateObject();
	mq_json_add(o, "name", sd_slice_of(g->name));
	cJSON_AddNumberToObject(o, "members", (double)g->members);
	cJSON_AddNumberToObject(o, "lag", (double)g->lag);
	l->shares = l->brief ? NULL : cJSON_AddArrayToObject(o, "partitions");
	cJSON_AddItemToArray(l->groups, o);
}

static void add_share(void *arg, const struct mq_share_state *s)
{
	const struct list *l = arg;
	cJSON *o = cJSON_CreateObject();
	cJSON_AddNumberToObject(o, "partition", s->partition);
	cJSON_AddNumberToObject(o, "offset", (double)s->offset);
	cJSON_AddNumberToObject(o, "end", (double)s->end);
	cJSON_AddNumberToObject(o, "lag", (double)s->lag);
	cJSON_AddNumberToObject(o, "unacknowledged", (double)s->out);
	if (s->consumer)
		mq_json_add(o, "consumer_tag", (struct sd_slice){s->consumer->tag, s->consumer->tag_n});
	cJSON_AddItemToArray(l->shares, o);
}

void mq_api_add_stream(cJSON *o, const struct mq_queue *q)
{
	struct list l = {.brief = true};
	uint64_t first, end;
	if (!q->stream)
		return;
	mq_stream_range(q, &first, &end);
	cJSON_AddNumberToObject(o, "partitions", mq_stream_partitions(q));
	cJSON_AddNumberToObject(o, "first_offset", (double)first);
	cJSON_AddNumberToObject(o, "next_offset", (double)end);
	l.groups = cJSON_AddArrayToObject(o, "groups");
	mq_groups(q, add_group, NULL, &l);
}

static struct mq_queue *stream_of(struct mq_api_call *c)
{
	struct mq_vhost *v = mq_api_vhost(c, 1);
	struct mq_queue *q = v ? mq_queue_find(v, c->parts[2]) : NULL;
	if (v && !q)
		mq_api_refuse(c, 404, "Not Found");
	else if (q && !q->stream)
		mq_api_refuse(c, 400, "the queue is no stream");
	return q && q->stream ? q : NULL;
}

void mq_api_groups(struct mq_api_call *c)
{
	const struct mq_queue *q = stream_of(c);
	struct list l = {.groups = q ? cJSON_CreateArray() : NULL};
	if (!q)
		return;
	mq_groups(q, add_group, add_share, &l);
	mq_api_answer(c, 200, l.groups);
}

/* {"offset": "first"}: a word, a number, or how long ago. False: it is none of them. */
static bool offset_of(const struct mq_api_call *c, struct sd_amqp_field *f)
{
	const cJSON *o = cJSON_GetObjectItemCaseSensitive(c->body, "offset");
	if (cJSON_IsString(o))
		*f = (struct sd_amqp_field){.kind = 'S', .s = sd_slice_of(o->valuestring)};
	else if (cJSON_IsNumber(o) && o->valuedouble >= 0 && o->valuedouble < 9e15)
		*f = (struct sd_amqp_field){.kind = 'l', .n = (int64_t)o->valuedouble};
	else
		return false;
	return true;
}

void mq_api_put_group(struct mq_api_call *c)
{
	const struct mq_queue *q = stream_of(c);
	struct sd_amqp_field offset;
	struct mq_error e = {0};
	if (!q)
		return;
	if (!offset_of(c, &offset))
		mq_api_refuse(c, 400, "offset: expected first, last, next, a number, or how long ago, as 1h");
	else if (mq_group_reset(q->vhost, c->parts[2], c->parts[4], &offset, &e))
		mq_api_answer(c, 204, NULL);
	else
		mq_api_refuse_error(c, &e);
}

void mq_api_delete_group(struct mq_api_call *c)
{
	const struct mq_queue *q = stream_of(c);
	struct mq_error e = {0};
	if (!q)
		return;
	if (mq_group_delete(q->vhost, c->parts[2], c->parts[4], &e))
		mq_api_answer(c, 204, NULL);
	else
		mq_api_refuse_error(c, &e);
}
