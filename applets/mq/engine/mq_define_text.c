/* mq_define_text.c - definitions as bytes: AMQP tables, so that arguments stand in them as they came. */
#include "mq_int.h"

static void put_name(struct sd_text *t, const char *field, const struct sd_dict_entry *e, const char *name)
{
	sd_amqp_put_string(t, field, mq_name(e, name));
}

static void put_arguments(struct sd_text *t, struct sd_slice arguments)
{
	size_t at = sd_amqp_begin_field(t, "arguments", 'F');
	if (arguments.n)
		sd_text_add(t, arguments.p, arguments.n);
	sd_amqp_end_field(t, at);
}

static void put_vhost(struct sd_text *t, const struct mq_vhost *v)
{
	put_name(t, "name", &v->e, v->name);
}

static void put_exchange(struct sd_text *t, const struct mq_exchange *x)
{
	put_name(t, "vhost", &x->vhost->e, x->vhost->name);
	put_name(t, "name", &x->e, x->name);
	sd_amqp_put_string(t, "type", sd_slice_of(x->type->name));
	sd_amqp_put_bool(t, "durable", x->durable);
	sd_amqp_put_bool(t, "auto-delete", x->auto_delete);
	sd_amqp_put_bool(t, "internal", x->internal);
	put_arguments(t, x->arguments);
}

static void put_queue(struct sd_text *t, const struct mq_queue *q)
{
	put_name(t, "vhost", &q->vhost->e, q->vhost->name);
	put_name(t, "name", &q->e, q->name);
	sd_amqp_put_int(t, "id", (int64_t)q->id);
	sd_amqp_put_bool(t, "durable", q->durable);
	sd_amqp_put_bool(t, "auto-delete", q->auto_delete);
	put_arguments(t, q->arguments);
}

static void put_binding(struct sd_text *t, const struct mq_binding *bi)
{
	const struct mq_vhost *v = bi->source->vhost;
	put_name(t, "vhost", &v->e, v->name);
	put_name(t, "source", &bi->source->e, bi->source->name);
	if (bi->to_queue)
		put_name(t, "queue", &bi->to_queue->e, bi->to_queue->name);
	else
		put_name(t, "exchange", &bi->to_exchange->e, bi->to_exchange->name);
	sd_amqp_put_string(t, "key", (struct sd_slice){bi->key, bi->key_n});
	put_arguments(t, bi->arguments);
}

void mq_define_put(struct sd_text *t, enum mq_define what, const void *thing)
{
	switch (what) {
	case MQ_DEFINE_VHOST:
		put_vhost(t, thing);
		break;
	case MQ_DEFINE_EXCHANGE:
		put_exchange(t, thing);
		break;
	case MQ_DEFINE_QUEUE:
		put_queue(t, thing);
		break;
	case MQ_DEFINE_BINDING:
		put_binding(t, thing);
		break;
	case MQ_DEFINE_USER: /* those who have users write them */
	case MQ_DEFINE_STREAM: /* and streams where they are */
		break;
	}
}
