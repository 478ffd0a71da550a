/* mq_restore.c - coming back from the log, and giving it what must stay. */
#include <stdlib.h>

#include "mq_stream.h"

/* ---- fields of a definition ---- */

static struct sd_slice text(struct sd_slice t, const char *name)
{
	struct sd_amqp_field f;
	return sd_amqp_find(t, name, &f) && (f.kind == 'S' || f.kind == 'F') ? f.s : (struct sd_slice){0};
}

static bool yes(struct sd_slice t, const char *name)
{
	struct sd_amqp_field f;
	return sd_amqp_find(t, name, &f) && f.kind == 't' && f.n;
}

static bool has(struct sd_slice t, const char *name)
{
	struct sd_amqp_field f;
	return sd_amqp_find(t, name, &f);
}

/* ---- one of each kind; what is not there (any more) is passed over ---- */

static bool vhost(struct mq *b, bool gone, struct sd_slice t)
{
	struct mq_error e;
	struct mq_vhost *v = mq_vhost_find(b, text(t, "name"));
	if (!gone)
		return v || mq_vhost_add(b, text(t, "name"), &e);
	if (v)
		mq_vhost_end(v, false);
	return true;
}

static bool exchange(struct mq *b, bool gone, struct sd_slice t)
{
	struct mq_vhost *v = mq_vhost_find(b, text(t, "vhost"));
	struct mq_exchange_decl d = {.name = text(t, "name"), .type = text(t, "type"), .arguments = text(t, "arguments"),
				     .durable = yes(t, "durable"), .auto_delete = yes(t, "auto-delete"), .internal = yes(t, "internal")};
	struct mq_exchange *x = v ? mq_exchange_find(v, d.name) : NULL;
	const struct mq_exchange_type *type = mq_exchange_type_find(d.type, d.arguments);
	if (gone && x && !x->predeclared)
		mq_exchange_end(x, false);
	if (gone || x || !v)
		return true;
	return type && d.name.n && d.name.n <= MQ_NAME_MAX && mq_exchange_new(v, &d, type);
}

static bool new_queue(struct mq *b, struct mq_vhost *v, const struct mq_queue_decl *d, uint64_t id)
{
	struct mq_limits limits;
	struct mq_error e;
	if (!d->name.n || d->name.n > MQ_NAME_MAX || !mq_limits_read(v, d, &limits, &e))
		return false;
	if (id >= b->next_queue_id)
		b->next_queue_id = id + 1;
	return mq_queue_new(v, d, &limits, id, &e) != NULL;
}

/* Another queue of the same name stood where this one does: the later one is right. */
static bool queue(struct mq *b, bool gone, struct sd_slice t)
{
	struct mq_vhost *v = mq_vhost_find(b, text(t, "vhost"));
	struct mq_queue_decl d = {.name = text(t, "name"), .arguments = text(t, "arguments"), .durable = yes(t, "durable"),
				  .auto_delete = yes(t, "auto-delete")};
	struct mq_queue *q = v ? mq_queue_find(v, d.name) : NULL;
	struct sd_amqp_field id;
	if (!sd_amqp_find(t, "id", &id) || id.n < 0)
		return false;
	bool same = q && q->id == (uint64_t)id.n;
	if (q && (gone ? same : !same))
		mq_queue_end(q, false);
	return gone || same || !v || mq_index_get(&b->queues_by_id, (uint64_t)id.n) || new_queue(b, v, &d, (uint64_t)id.n);
}

static bool binding(struct mq *b, bool gone, struct sd_slice t)
{
	struct mq_vhost *v = mq_vhost_find(b, text(t, "vhost"));
	struct mq_exchange *from = v ? mq_exchange_find(v, text(t, "source")) : NULL, *to_exchange = NULL;
	struct mq_queue *to_queue = v && has(t, "queue") ? mq_queue_find(v, text(t, "queue")) : NULL;
	struct mq_error e;
	if (v && has(t, "exchange"))
		to_exchange = mq_exchange_find(v, text(t, "exchange"));
	if (!from || (!to_queue && !to_exchange))
		return true;
	return gone ? mq_unbind(from, to_queue, to_exchange, text(t, "key"), text(t, "arguments"), false)
		    : mq_bind(from, to_queue, to_exchange, text(t, "key"), text(t, "arguments"), false, &e);
}

static bool user(struct mq *b, bool gone, struct sd_slice t)
{
	if (b->user)
		b->user(b->arg, gone, t);
	return true;
}

bool mq_restore_define(struct mq *b, enum mq_define what, bool gone, struct sd_slice t)
{
	static bool (*const kinds[])(struct mq *, bool, struct sd_slice) = {[MQ_DEFINE_VHOST] = vhost,
									     [MQ_DEFINE_EXCHANGE] = exchange,
									     [MQ_DEFINE_QUEUE] = queue,
									     [MQ_DEFINE_BINDING] = binding,
									     [MQ_DEFINE_USER] = user,
									     [MQ_DEFINE_STREAM] = mq_stream_restore};
	if ((size_t)what >= sizeof(kinds) / sizeof(kinds[0]) || (what != MQ_DEFINE_USER && !sd_amqp_is_table(t)))
		return false;
	return kinds[what](b, gone, t);
}

/* ---- messages ---- */

static void read_times(struct mq_message *m)
{
	struct sd_amqp_properties p;
	if (!m->not_before_ms && sd_amqp_get_properties(mq_message_properties(m), &p))
		mq_message_times(m, &p);
}

struct mq_entry *mq_restore_entry(struct mq *b, struct mq_message *m, const struct mq_place *at)
{
	struct mq_queue *q = mq_index_get(&b->queues_by_id, at->queue);
	if (at->queue >= b->next_queue_id)
		b->next_queue_id = at->queue + 1;
	struct mq_entry *e = q ? mq_entry_new(q, m) : NULL;
	if (!e) {
		b->out_of_memory |= q != NULL;
		return NULL;
	}
	if (q->next_seq > at->seq)
		q->next_seq--; /* it was not needed */
	else
		q->next_seq = at->seq;
	e->seq = at->seq;
	e->durable = true;
	e->failures = at->failures;
	e->redelivered = !q->stream && (at->redelivered || at->failures);
	e->not_before_ms = q->stream ? 0 : at->not_before_ms;
	if (q->stream)
		q->stream->unclean |= at->redelivered;
	read_times(m);
	mq_body_count(b, m);
	mq_entry_restore(e);
	return e;
}

struct tally {
	struct mq *b;
	uint64_t queues, messages;
};

static void finish_queue(void *arg, struct sd_dict_entry *de)
{
	struct tally *t = arg;
	struct mq_queue *q = sd_container(de, struct mq_queue, e);
	mq_queue_trim_later(q);
	if (q->stream)
		mq_stream_restored(q);
	if (!mq_queue_stays(q))
		return;
	t->queues++;
	t->messages += q->nready + q->ndelayed;
}

static void finish_vhost(void *arg, struct sd_dict_entry *de)
{
	sd_dict_each(&sd_container(de, struct mq_vhost, e)->queues, finish_queue, arg);
}

void mq_restore_end(struct mq *b, uint64_t *queues, uint64_t *messages)
{
	struct tally t = {.b = b};
	sd_dict_each(&b->vhosts, finish_vhost, &t);
	b->quiet = false;
	mq_trim_all(b);
	if (queues)
		*queues = t.queues;
	if (messages)
		*messages = t.messages;
}

/* ---- what must stay ---- */

static void put(const struct mq_journal *to, enum mq_define what, const void *thing)
{
	struct sd_text t = {0};
	mq_define_put(&t, what, thing);
	if (!t.full)
		to->define(to->arg, what, false, (struct sd_slice){t.p, t.n});
	free(t.p);
}

static void dump_vhost(void *arg, struct sd_dict_entry *de)
{
	put(arg, MQ_DEFINE_VHOST, sd_container(de, struct mq_vhost, e));
}

static void dump_exchange(void *arg, struct sd_dict_entry *de)
{
	struct mq_exchange *x = sd_container(de, struct mq_exchange, e);
	if (x->durable && !x->predeclared)
		put(arg, MQ_DEFINE_EXCHANGE, x);
}

/* Bindings between exchanges. Those of a queue go with it. */
static void dump_bindings(void *arg, struct sd_dict_entry *de)
{
	struct mq_exchange *x = sd_container(de, struct mq_exchange, e);
	for (struct sd_link *l = x->arriving.next; x->durable && l != &x->arriving; l = l->next) {
		const struct mq_binding *bi = sd_container(l, struct mq_binding, of_destination);
		if (bi->source->durable)
			put(arg, MQ_DEFINE_BINDING, bi);
	}
}

static void dump_exchanges(void *arg, struct sd_dict_entry *de)
{
	struct mq_vhost *v = sd_container(de, struct mq_vhost, e);
	sd_dict_each(&v->exchanges, dump_exchange, arg);
	sd_dict_each(&v->exchanges, dump_bindings, arg);
}

static size_t dump_queue(struct mq_queue *q, const struct mq_journal *to)
{
	size_t n = 1;
	if (!mq_queue_stays(q))
		return n;
	put(to, MQ_DEFINE_QUEUE, q);
	if (q->stream)
		mq_stream_dump(q, to);
	for (struct sd_link *l = q->bindings.next; l != &q->bindings; l = l->next) {
		const struct mq_binding *bi = sd_container(l, struct mq_binding, of_destination);
		if (bi->source->durable)
			put(to, MQ_DEFINE_BINDING, bi);
		n++;
	}
	return n;
}

static void dump_begin(struct mq *b, struct mq_dump *at, const struct mq_journal *to)
{
	struct mq_journal hooks = *to;
	if (b->users)
		b->users(b->arg, to);
	sd_dict_each(&b->vhosts, dump_vhost, &hooks);
	sd_dict_each(&b->vhosts, dump_exchanges, &hooks);
	*at = (struct mq_dump){.begun = true, .end = b->next_queue_id}; /* those to come are journalled when they do */
}

bool mq_dump_some(struct mq *b, struct mq_dump *at, size_t n, const struct mq_journal *to)
{
	if (!at->begun)
		dump_begin(b, at, to);
	for (size_t done = 0; done < n; at->next++) {
		struct mq_queue *q = mq_index_from(&b->queues_by_id, &at->next);
		if (!q || at->next >= at->end)
			return false;
		done += dump_queue(q, to);
	}
	return true;
}

void mq_dump(struct mq *b, const struct mq_journal *to)
{
	struct mq_dump at = {0};
	mq_dump_some(b, &at, SIZE_MAX, to);
}
