/* mq_exchange.c - types of exchanges, each a row; direct and fanout are here, topic and headers in files of their own. */
#include <stdlib.h>

#include "mq_int.h"

/* ---- direct: a dictionary of keys, each with its bindings ---- */

struct direct_key {
	struct sd_dict_entry e;
	struct sd_link bindings; /* struct mq_binding.of_route */
	char key[];
};

static bool direct_begin(struct mq_exchange *x)
{
	struct sd_dict *keys = malloc(sizeof(*keys));
	if (!keys)
		return false;
	sd_dict_init(keys, offsetof(struct direct_key, key), &x->vhost->mq->hash_key);
	x->routes = keys;
	return true;
}

static void direct_end(struct mq_exchange *x)
{
	sd_dict_free(x->routes);
	free(x->routes);
}

static struct direct_key *direct_find(struct sd_dict *keys, struct sd_slice key, uint32_t hash)
{
	struct sd_dict_entry *e = sd_dict_find(keys, key, hash);
	return e ? sd_container(e, struct direct_key, e) : NULL;
}

static struct direct_key *direct_add(struct sd_dict *keys, struct sd_slice key, uint32_t hash)
{
	struct direct_key *k = malloc(sizeof(*k) + key.n);
	if (!k)
		return NULL;
	k->e = (struct sd_dict_entry){.hash = hash, .klen = (uint32_t)key.n};
	sd_list_init(&k->bindings);
	memcpy(k->key, key.p, key.n);
	if (sd_dict_add(keys, &k->e))
		return k;
	free(k);
	return NULL;
}

static bool direct_bind(struct mq_exchange *x, struct mq_binding *bi)
{
	struct sd_slice key = {bi->key, bi->key_n};
	uint32_t hash = sd_dict_hash(x->routes, key);
	struct direct_key *k = direct_find(x->routes, key, hash);
	if (!k && !(k = direct_add(x->routes, key, hash)))
		return false;
	sd_list_add(&k->bindings, &bi->of_route);
	return true;
}

static void direct_unbind(struct mq_exchange *x, struct mq_binding *bi)
{
	struct sd_slice key = {bi->key, bi->key_n};
	struct direct_key *k = direct_find(x->routes, key, sd_dict_hash(x->routes, key));
	sd_list_del(&bi->of_route);
	if (!k || !sd_list_empty(&k->bindings))
		return;
	sd_dict_remove(x->routes, &k->e);
	free(k);
}

static void direct_route(struct mq_exchange *x, const struct mq_routing *m, struct mq_route *r)
{
	struct sd_slice key = mq_key(m->key);
	struct direct_key *k = direct_find(x->routes, key, sd_dict_hash(x->routes, key));
	for (struct sd_link *l = k ? k->bindings.next : NULL; k && l != &k->bindings; l = l->next)
		mq_route_to(r, sd_container(l, struct mq_binding, of_route));
}

/* ---- the default exchange: every queue by its name ---- */

static void default_route(struct mq_exchange *x, const struct mq_routing *m, struct mq_route *r)
{
	struct mq_queue *q = mq_queue_find(x->vhost, m->key);
	if (q)
		mq_route_queue(r, q);
}

/* ---- fanout, and what types without an index share ---- */

static bool plain_begin(struct mq_exchange *x)
{
	x->routes = NULL;
	return true;
}

static void plain_end(struct mq_exchange *x)
{
	x->routes = NULL;
}

static bool plain_bind(struct mq_exchange *x, struct mq_binding *bi)
{
	(void)x;
	sd_list_init(&bi->of_route);
	return true;
}

static void plain_unbind(struct mq_exchange *x, struct mq_binding *bi)
{
	(void)x;
	sd_list_del(&bi->of_route);
}

static void fanout_route(struct mq_exchange *x, const struct mq_routing *m, struct mq_route *r)
{
	(void)m;
	for (struct sd_link *l = x->bindings.next; l != &x->bindings; l = l->next)
		mq_route_to(r, sd_container(l, struct mq_binding, of_source));
}

/* ---- the rows ---- */

#define DIRECT direct_begin, direct_end, NULL, direct_bind, direct_unbind, direct_route
#define FANOUT plain_begin, plain_end, NULL, plain_bind, plain_unbind, fanout_route
#define TOPIC  mq_topic_begin, mq_topic_end, NULL, mq_topic_bind, mq_topic_unbind, mq_topic_route
#define HEADERS plain_begin, plain_end, mq_headers_check, plain_bind, plain_unbind, mq_headers_route

/* A delay is obeyed by every exchange: x-delayed-message is one of the others under a name that clients know. */
static const struct mq_exchange_type types[] = {
    {"direct", NULL, DIRECT},
    {"fanout", NULL, FANOUT},
    {"topic", NULL, TOPIC},
    {"headers", NULL, HEADERS},
    {MQ_EXCHANGE_DELAY, "direct", DIRECT},
    {MQ_EXCHANGE_DELAY, "fanout", FANOUT},
    {MQ_EXCHANGE_DELAY, "topic", TOPIC},
    {MQ_EXCHANGE_DELAY, "headers", HEADERS},
};
static const struct mq_exchange_type by_queue_name = {"direct", NULL, plain_begin, plain_end, NULL, plain_bind, plain_unbind, default_route};

const struct mq_exchange_type *mq_exchange_type_find(struct sd_slice name, struct sd_slice arguments)
{
	struct sd_amqp_field f;
	struct sd_slice inner = {0};
	if (sd_amqp_find(arguments, "x-delayed-type", &f) && f.kind == 'S')
		inner = f.s;
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (sd_slice_eq(name, types[i].name) && (!types[i].inner || sd_slice_eq(inner, types[i].inner)))
			return &types[i];
	return NULL;
}

const char *mq_exchange_type_name(const struct mq_exchange *x)
{
	return x->type->name;
}

/* ---- their life ---- */

static bool take_alternate(struct mq_exchange *x)
{
	struct sd_amqp_field f;
	if (!sd_amqp_find(x->arguments, "alternate-exchange", &f) || f.kind != 'S')
		return true;
	x->alternate = mq_copy_name(f.s);
	return x->alternate != NULL;
}

static void free_exchange(struct mq_exchange *x)
{
	free((char *)x->arguments.p);
	free(x->alternate);
	free(x);
}

struct mq_exchange *mq_exchange_new(struct mq_vhost *v, const struct mq_exchange_decl *d, const struct mq_exchange_type *type)
{
	struct mq_exchange *x = calloc(1, sizeof(*x) + d->name.n + 1);
	if (!x)
		return NULL;
	x->vhost = v;
	x->type = d->name.n ? type : &by_queue_name;
	x->durable = d->durable;
	x->auto_delete = d->auto_delete;
	x->internal = d->internal;
	sd_list_init(&x->bindings);
	sd_list_init(&x->arriving);
	sd_dict_init(&x->all, offsetof(struct mq_binding, key), &v->mq->hash_key);
	if (d->name.n)
		memcpy(x->name, d->name.p, d->name.n);
	x->e.klen = (uint32_t)d->name.n;
	x->e.hash = sd_dict_hash(&v->exchanges, d->name);
	bool begun = mq_slice_copy(d->arguments, &x->arguments) && take_alternate(x) && x->type->begin(x);
	if (begun && sd_dict_add(&v->exchanges, &x->e))
		return x;
	if (begun)
		x->type->end(x);
	free_exchange(x);
	return NULL;
}

/* The exchange it came from, when that one goes with its last binding. */
static struct mq_exchange *unbind_one(struct mq_binding *bi)
{
	struct mq_exchange *from = bi->source;
	mq_binding_free(bi);
	return from->auto_delete && sd_list_empty(&from->bindings) ? from : NULL;
}

static void end_one(struct mq_exchange *x, bool journal, struct mq_exchange **more)
{
	if (journal && x->durable)
		mq_log_define(x->vhost->mq, MQ_DEFINE_EXCHANGE, true, x);
	while (!sd_list_empty(&x->bindings))
		mq_binding_free(sd_container(x->bindings.next, struct mq_binding, of_source));
	while (!sd_list_empty(&x->arriving)) {
		struct mq_exchange *left = unbind_one(sd_container(x->arriving.next, struct mq_binding, of_destination));
		if (!left)
			continue;
		left->going = *more;
		*more = left;
	}
	x->type->end(x);
	sd_dict_remove(&x->vhost->exchanges, &x->e);
	sd_dict_free(&x->all);
	free_exchange(x);
}

/* One after another: a chain of those that go with their last binding may be long. */
void mq_exchange_end(struct mq_exchange *x, bool journal)
{
	struct mq_exchange *left = NULL;
	for (; x; x = left, left = left ? left->going : NULL)
		end_one(x, journal, &left);
}
