/* mq_define.c - declaring and deleting virtual hosts, exchanges, queues and bindings: RabbitMQ's checks in its order. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "mq_int.h"

/* ---- errors, and small things that all files use ---- */

bool mq_fail(struct mq_error *e, unsigned code, const char *format, ...)
{
	const char *name = sd_amqp_code_name(code);
	int n = snprintf(e->text, sizeof(e->text), "%s - ", name ? name : "ERROR");
	va_list args;
	e->code = (uint16_t)code;
	va_start(args, format);
	vsnprintf(e->text + n, sizeof(e->text) - (size_t)n, format, args);
	va_end(args);
	return false;
}

bool mq_no_memory(struct mq_error *e)
{
	return mq_fail(e, 506, "out of memory");
}

bool mq_slice_copy(struct sd_slice from, struct sd_slice *to)
{
	char *p = from.n ? malloc(from.n) : NULL;
	if (from.n && !p)
		return false;
	if (p)
		memcpy(p, from.p, from.n);
	*to = (struct sd_slice){p, from.n};
	return true;
}

void mq_say(struct mq *b, const char *event, const char *format, ...)
{
	char text[512];
	va_list args;
	if (!b->say)
		return;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	b->say(b->arg, event, text);
}

static bool reserved(const char *kind, struct sd_slice name, struct mq_error *e)
{
	if (!sd_slice_starts(name, "amq."))
		return false;
	mq_fail(e, 403, "%s name '%.*s' contains reserved prefix 'amq.*'", kind, MQ_ARG(name));
	return true;
}

/* ---- virtual hosts ---- */

struct mq_vhost *mq_vhost_find(struct mq *b, struct sd_slice name)
{
	name = mq_key(name);
	struct sd_dict_entry *e = sd_dict_find(&b->vhosts, name, sd_dict_hash(&b->vhosts, name));
	return e ? sd_container(e, struct mq_vhost, e) : NULL;
}

static bool predeclare(struct mq_vhost *v)
{
	static const struct {
		const char *name, *type;
		bool internal;
	} all[] = {{"", "direct", false},	    {"amq.direct", "direct", false},   {"amq.fanout", "fanout", false},
		   {"amq.topic", "topic", false},   {"amq.headers", "headers", false}, {"amq.match", "headers", false},
		   {"amq.rabbitmq.trace", "topic", true}};
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		struct mq_exchange_decl d = {.name = sd_slice_of(all[i].name), .durable = true, .internal = all[i].internal};
		struct mq_exchange *x = mq_exchange_new(v, &d, mq_exchange_type_find(sd_slice_of(all[i].type), (struct sd_slice){0}));
		if (!x)
			return false;
		x->predeclared = true;
	}
	return true;
}

static void end_all_queues(struct mq_vhost *v, bool journal)
{
	for (struct sd_dict_entry *e; (e = sd_dict_random(&v->queues, &v->mq->rng));)
		mq_queue_end(sd_container(e, struct mq_queue, e), journal);
}

void mq_vhost_end(struct mq_vhost *v, bool journal)
{
	v->going = true;
	end_all_queues(v, journal);
	for (struct sd_dict_entry *e; (e = sd_dict_random(&v->exchanges, &v->mq->rng));)
		mq_exchange_end(sd_container(e, struct mq_exchange, e), journal);
	if (journal)
		mq_log_define(v->mq, MQ_DEFINE_VHOST, true, v);
	sd_dict_free(&v->queues);
	sd_dict_free(&v->exchanges);
	sd_dict_remove(&v->mq->vhosts, &v->e);
	free(v);
}

struct mq_vhost *mq_vhost_add(struct mq *b, struct sd_slice name, struct mq_error *e)
{
	struct mq_vhost *v = mq_vhost_find(b, name);
	if (v)
		return v;
	if (name.n > MQ_NAME_MAX) {
		mq_fail(e, 406, "the name of a vhost has at most %d bytes", MQ_NAME_MAX);
		return NULL;
	}
	v = calloc(1, sizeof(*v) + name.n + 1);
	if (!v) {
		mq_no_memory(e);
		return NULL;
	}
	v->mq = b;
	memcpy(v->name, name.p, name.n);
	v->e = (struct sd_dict_entry){.hash = sd_dict_hash(&b->vhosts, name), .klen = (uint32_t)name.n};
	sd_dict_init(&v->exchanges, offsetof(struct mq_exchange, name), &b->hash_key);
	sd_dict_init(&v->queues, offsetof(struct mq_queue, name), &b->hash_key);
	if (!sd_dict_add(&b->vhosts, &v->e)) {
		free(v);
		mq_no_memory(e);
		return NULL;
	}
	if (!predeclare(v)) {
		mq_vhost_end(v, false);
		mq_no_memory(e);
		return NULL;
	}
	mq_log_define(b, MQ_DEFINE_VHOST, false, v);
	return v;
}

/* Whoever has channels in it ends them before. */
bool mq_vhost_remove(struct mq *b, struct sd_slice name, struct mq_error *e)
{
	struct mq_vhost *v = mq_vhost_find(b, name);
	if (!v)
		return mq_fail(e, 404, "no vhost '%.*s'", MQ_ARG(name));
	mq_vhost_end(v, true);
	return true;
}

/* ---- exchanges ---- */

bool mq_no_exchange(const struct mq_vhost *v, struct sd_slice name, struct mq_error *e)
{
	return mq_fail(e, 404, "no exchange '%.*s' in vhost '%.*s'", MQ_ARG(name), MQ_ARG(MQ_NAME(v)));
}

struct mq_exchange *mq_exchange_find(struct mq_vhost *v, struct sd_slice name)
{
	name = mq_key(name);
	struct sd_dict_entry *e = sd_dict_find(&v->exchanges, name, sd_dict_hash(&v->exchanges, name));
	return e ? sd_container(e, struct mq_exchange, e) : NULL;
}

static bool not_default(struct sd_slice name, struct mq_error *e)
{
	return name.n || mq_fail(e, 403, "operation not permitted on the default exchange");
}

static bool same_exchange(const struct mq_exchange *x, const struct mq_exchange_decl *d, struct mq_error *e)
{
	static const char *const which[] = {"alternate-exchange", "x-delayed-type", NULL};
	struct sd_slice v = MQ_NAME(x->vhost);
	return mq_equal_text("type", "exchange", d->name, v, d->type, sd_slice_of(x->type->name), e) &&
	       mq_equal_bool("durable", "exchange", d->name, v, d->durable, x->durable, e) &&
	       mq_equal_bool("auto_delete", "exchange", d->name, v, d->auto_delete, x->auto_delete, e) &&
	       mq_equal_bool("internal", "exchange", d->name, v, d->internal, x->internal, e) &&
	       mq_equal_arguments(which, "exchange", d->name, v, d->arguments, x->arguments, e);
}

static bool no_type(const struct mq_exchange_decl *d, struct mq_error *e)
{
	if (sd_slice_eq(d->type, MQ_EXCHANGE_DELAY))
		return mq_fail(e, 406, "Invalid argument, 'x-delayed-type' must be an existing exchange type");
	return mq_fail(e, 503, "invalid exchange type '%.*s'", MQ_ARG(d->type));
}

bool mq_exchange_declare(struct mq_vhost *v, const struct mq_exchange_decl *d, struct mq_error *e)
{
	struct mq_exchange *x = mq_exchange_find(v, d->name);
	const struct mq_exchange_type *type = mq_exchange_type_find(d->type, d->arguments);
	if (d->passive)
		return not_default(d->name, e) && (x || mq_no_exchange(v, d->name, e));
	if (!type)
		return no_type(d, e);
	if (!not_default(d->name, e))
		return false;
	if (x)
		return same_exchange(x, d, e);
	if (d->name.n > MQ_NAME_MAX || reserved("exchange", d->name, e))
		return false;
	x = mq_exchange_new(v, d, type);
	if (!x)
		return mq_no_memory(e);
	if (x->durable)
		mq_log_define(v->mq, MQ_DEFINE_EXCHANGE, false, x);
	return true;
}

bool mq_exchange_delete(struct mq_vhost *v, struct sd_slice name, bool if_unused, struct mq_error *e)
{
	struct mq_exchange *x = mq_exchange_find(v, name);
	if (!not_default(name, e))
		return false;
	if (sd_slice_starts(name, "amq."))
		return mq_fail(e, 403, "deletion of system exchange '%.*s' in vhost '%.*s' not allowed", MQ_ARG(name), MQ_ARG(MQ_NAME(v)));
	if (!x)
		return true;
	if (if_unused && !sd_list_empty(&x->bindings))
		return mq_fail(e, 406, "exchange '%.*s' in vhost '%.*s' in use", MQ_ARG(name), MQ_ARG(MQ_NAME(v)));
	mq_exchange_end(x, true);
	return true;
}

/* ---- bindings ---- */

static bool check_binding(const struct mq_exchange *x, struct sd_slice arguments, struct mq_error *e)
{
	char room[160];
	const char *wrong = x->type->check ? x->type->check(arguments, room, sizeof(room)) : NULL;
	return !wrong || mq_fail(e, 406, "%s", wrong);
}

bool mq_exchange_bind(struct mq_vhost *v, struct sd_slice destination, struct sd_slice source, struct sd_slice key,
		      struct sd_slice arguments, struct mq_error *e)
{
	struct mq_exchange *from = mq_exchange_find(v, source), *to = mq_exchange_find(v, destination);
	if (!not_default(destination, e) || !not_default(source, e))
		return false;
	if (!from || !to)
		return mq_no_exchange(v, from ? destination : source, e);
	return check_binding(from, arguments, e) && mq_bind(from, NULL, to, key, arguments, true, e);
}

bool mq_exchange_unbind(struct mq_vhost *v, struct sd_slice destination, struct sd_slice source, struct sd_slice key,
			struct sd_slice arguments, struct mq_error *e)
{
	struct mq_exchange *from = mq_exchange_find(v, source), *to = mq_exchange_find(v, destination);
	if (!not_default(destination, e) || !not_default(source, e))
		return false;
	return !from || !to || mq_unbind(from, NULL, to, key, arguments, true);
}

bool mq_queue_bind(struct mq_vhost *v, const void *connection, struct sd_slice queue, struct sd_slice exchange, struct sd_slice key,
		   struct sd_slice arguments, struct mq_error *e)
{
	struct mq_exchange *from = mq_exchange_find(v, exchange);
	struct mq_queue *to = mq_queue_find(v, queue);
	if (!not_default(exchange, e))
		return false;
	if (!to)
		return mq_no_queue(v, queue, e);
	if (!from)
		return mq_no_exchange(v, exchange, e);
	if (!mq_queue_access(to, connection, e) || !check_binding(from, arguments, e))
		return false;
	return mq_bind(from, to, NULL, key, arguments, true, e);
}

bool mq_queue_unbind(struct mq_vhost *v, const void *connection, struct sd_slice queue, struct sd_slice exchange, struct sd_slice key,
		     struct sd_slice arguments, struct mq_error *e)
{
	struct mq_exchange *from = mq_exchange_find(v, exchange);
	struct mq_queue *to = mq_queue_find(v, queue);
	if (!not_default(exchange, e))
		return false;
	if (!from || !to || !mq_is_bound(from, to, key, arguments))
		return true;
	return mq_queue_access(to, connection, e) && mq_unbind(from, to, NULL, key, arguments, true);
}

/* ---- queues ---- */

static bool same_queue(const struct mq_queue *q, const struct mq_queue_decl *d, struct mq_error *e)
{
	struct sd_slice v = MQ_NAME(q->vhost);
	if (q->exclusive != d->exclusive || (q->exclusive && q->owner != d->connection))
		return mq_queue_locked(q, e);
	return mq_equal_bool("durable", "queue", d->name, v, d->durable, q->durable, e) &&
	       mq_equal_bool("auto_delete", "queue", d->name, v, d->auto_delete, q->auto_delete, e) &&
	       mq_equal_arguments(mq_queue_arguments, "queue", d->name, v, d->arguments, q->arguments, e);
}

/* amq.gen- and 22 letters: 128 random bits. */
static struct sd_slice made_name(struct mq *b, char *room, size_t n)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	size_t at = (size_t)snprintf(room, n, "amq.gen-");
	for (int i = 0; i < 22; i++)
		room[at++] = letters[sd_rng_below(&b->rng, 64)];
	return (struct sd_slice){room, at};
}

bool mq_queue_make(struct mq_vhost *v, const struct mq_queue_decl *d, struct mq_queue **out, struct mq_error *e)
{
	struct mq *b = v->mq;
	struct mq_limits limits;
	if (d->name.n > MQ_NAME_MAX)
		return mq_fail(e, 406, "the name of a queue has at most %d bytes", MQ_NAME_MAX);
	if (!mq_limits_read(v, d, &limits, e))
		return false;
	if (b->conf.queues_max && b->queues_by_id.n >= b->conf.queues_max)
		return mq_fail(e, 406, "cannot declare queue '%.*s': queue limit in vhost '%.*s' (%zu) is reached", MQ_ARG(d->name),
			       MQ_ARG(MQ_NAME(v)), b->conf.queues_max);
	*out = mq_queue_new(v, d, &limits, b->next_queue_id, e);
	if (!*out)
		return false;
	b->next_queue_id++;
	if (mq_queue_stays(*out))
		mq_log_define(b, MQ_DEFINE_QUEUE, false, *out);
	return true;
}

static bool declare_passive(struct mq_vhost *v, const struct mq_queue_decl *d, struct mq_queue *q, struct mq_queue **out,
			    struct mq_error *e)
{
	if (!q)
		return mq_no_queue(v, d->name, e);
	if (!mq_queue_access(q, d->connection, e))
		return false;
	mq_queue_used(q);
	*out = q;
	return true;
}

bool mq_queue_declare(struct mq_vhost *v, const struct mq_queue_decl *asked, struct mq_queue **out, struct mq_error *e)
{
	char room[40];
	struct mq_queue_decl own = *asked, *d = &own;
	own.durable &= !own.exclusive; /* it goes with its connection anyway */
	if (!d->name.n && !d->passive) {
		struct sd_amqp_field type;
		if (sd_amqp_find(d->arguments, "x-queue-type", &type) && type.kind == 'S' && sd_slice_eq(type.s, "stream"))
			return mq_fail(e, 406, "Cannot declare a server-named queue for type rabbit_stream_queue");
		own.name = made_name(v->mq, room, sizeof(room));
		return mq_queue_make(v, d, out, e);
	}
	struct mq_queue *q = mq_queue_find(v, d->name);
	if (d->passive)
		return declare_passive(v, d, q, out, e);
	if (!q)
		return !reserved("queue", d->name, e) && mq_queue_make(v, d, out, e);
	if (!same_queue(q, d, e))
		return false;
	mq_queue_used(q);
	*out = q;
	return true;
}
