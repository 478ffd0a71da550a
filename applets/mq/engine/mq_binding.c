/* mq_binding.c - bindings: from an exchange to a queue or another exchange, by a key and arguments. */
#include <stdlib.h>

#include "mq_int.h"

struct place { /* of a binding in mq_exchange.all: key, 0, kind and name of the destination */
	char bytes[2 * MQ_NAME_MAX + 2];
	size_t n;
};

static bool place_of(struct place *p, struct sd_slice key, const struct mq_queue *q, const struct mq_exchange *x)
{
	struct sd_slice name = q ? MQ_NAME(q) : x ? MQ_NAME(x) : (struct sd_slice){"", 0};
	if (key.n > MQ_NAME_MAX || name.n > MQ_NAME_MAX)
		return false;
	if (key.n)
		memcpy(p->bytes, key.p, key.n);
	p->bytes[key.n] = '\0';
	p->bytes[key.n + 1] = q ? 'q' : 'x';
	memcpy(p->bytes + key.n + 2, name.p, name.n);
	p->n = key.n + 2 + name.n;
	return true;
}

static struct mq_binding *find(struct mq_exchange *from, const struct place *p, struct sd_slice arguments)
{
	const struct sd_slice key = {p->bytes, p->n};
	uint32_t hash = sd_dict_hash(&from->all, key);
	for (struct sd_dict_entry *e = NULL; (e = sd_dict_with_hash(&from->all, hash, e));) {
		struct mq_binding *bi = sd_container(e, struct mq_binding, e);
		if (mq_same(sd_dict_key(&from->all, e), key) && sd_amqp_table_eq(bi->arguments, arguments))
			return bi;
	}
	return NULL;
}

static void tell(const struct mq_binding *bi, bool gone)
{
	if (bi->source->durable && (bi->to_queue ? mq_queue_stays(bi->to_queue) : bi->to_exchange->durable))
		mq_log_define(bi->source->vhost->mq, MQ_DEFINE_BINDING, gone, bi);
}

static struct mq_binding *make(struct mq_exchange *from, const struct place *p, size_t key_n, struct sd_slice arguments)
{
	struct mq_binding *bi = malloc(sizeof(*bi) + p->n);
	if (!bi)
		return NULL;
	*bi = (struct mq_binding){.source = from, .key_n = (uint8_t)key_n};
	memcpy(bi->key, p->bytes, p->n);
	bi->e.klen = (uint32_t)p->n;
	bi->e.hash = sd_dict_hash(&from->all, (struct sd_slice){p->bytes, p->n});
	sd_list_init(&bi->of_route);
	if (mq_slice_copy(arguments, &bi->arguments))
		return bi;
	free(bi);
	return NULL;
}

/* Into the type's index, then the dictionary: the one that fails leaves nothing behind. */
static bool add(struct mq_exchange *from, struct mq_binding *bi)
{
	if (!from->type->bind(from, bi))
		return false;
	if (sd_dict_add(&from->all, &bi->e))
		return true;
	from->type->unbind(from, bi);
	return false;
}

bool mq_bind(struct mq_exchange *from, struct mq_queue *to_queue, struct mq_exchange *to_exchange, struct sd_slice key,
	     struct sd_slice arguments, bool journal, struct mq_error *e)
{
	struct place p;
	if (!place_of(&p, key, to_queue, to_exchange))
		return mq_fail(e, 406, "routing key is too long");
	if (find(from, &p, arguments))
		return true;
	struct mq_binding *bi = make(from, &p, key.n, arguments);
	if (!bi)
		return mq_no_memory(e);
	bi->to_queue = to_queue;
	bi->to_exchange = to_exchange;
	if (!add(from, bi)) {
		free((char *)bi->arguments.p);
		free(bi);
		return mq_no_memory(e);
	}
	sd_list_add(&from->bindings, &bi->of_source);
	sd_list_add(to_queue ? &to_queue->bindings : &to_exchange->arriving, &bi->of_destination);
	if (journal)
		tell(bi, false);
	return true;
}

void mq_binding_free(struct mq_binding *bi)
{
	bi->source->type->unbind(bi->source, bi);
	sd_dict_remove(&bi->source->all, &bi->e);
	sd_list_del(&bi->of_source);
	sd_list_del(&bi->of_destination);
	free((char *)bi->arguments.p);
	free(bi);
}

bool mq_is_bound(struct mq_exchange *from, struct mq_queue *to, struct sd_slice key, struct sd_slice arguments)
{
	struct place p;
	return place_of(&p, key, to, NULL) && find(from, &p, arguments);
}

bool mq_unbind(struct mq_exchange *from, struct mq_queue *to_queue, struct mq_exchange *to_exchange, struct sd_slice key,
	       struct sd_slice arguments, bool journal)
{
	struct place p;
	struct mq_binding *bi = place_of(&p, key, to_queue, to_exchange) ? find(from, &p, arguments) : NULL;
	if (!bi)
		return true;
	if (journal)
		tell(bi, true);
	mq_binding_free(bi);
	if (from->auto_delete && sd_list_empty(&from->bindings))
		mq_exchange_end(from, journal);
	return true;
}
