/* mq_api_show.c - what there is, as JSON with the names of RabbitMQ's API. */
#include <stdio.h>
#include <stdlib.h>

#include "mq_api_int.h"
#include "sdlab/version.h"

#define LIKE_RABBITMQ "3.10.8"

/* ---- in order ---- */

struct gathering {
	struct sd_dict_entry **all;
	size_t n;
};

static void gather(void *arg, struct sd_dict_entry *e)
{
	struct gathering *g = arg;
	g->all[g->n++] = e;
}

static int by_name(const void *a, const void *b, void *dict)
{
	struct sd_slice x = sd_dict_key(dict, *(struct sd_dict_entry *const *)a), y = sd_dict_key(dict, *(struct sd_dict_entry *const *)b);
	int order = memcmp(x.p, y.p, x.n < y.n ? x.n : y.n);
	return order ? order : (x.n > y.n) - (x.n < y.n);
}

struct sd_dict_entry **mq_api_sorted(struct sd_dict *d, size_t *n)
{
	struct gathering g = {.all = calloc(sd_dict_count(d) + 1, sizeof(struct sd_dict_entry *))};
	*n = 0;
	if (!g.all)
		return NULL;
	sd_dict_each(d, gather, &g);
	qsort_r(g.all, g.n, sizeof(*g.all), by_name, d);
	*n = g.n;
	return g.all;
}

/* Calls fn for what each virtual host has of a kind, or only the one that the path names. */
enum kind { EXCHANGES, QUEUES };
static void each_of_vhost(struct mq_vhost *v, enum kind kind, void (*fn)(cJSON *array, struct sd_dict_entry *e), cJSON *array)
{
	size_t n;
	struct sd_dict_entry **all = mq_api_sorted(kind == QUEUES ? &v->queues : &v->exchanges, &n);
	for (size_t i = 0; i < n; i++)
		fn(array, all[i]);
	free(all);
}

static void list(struct mq_api_call *c, enum kind kind, void (*fn)(cJSON *array, struct sd_dict_entry *e))
{
	struct mq_vhost *one = c->nparts > 1 ? mq_api_vhost(c, 1) : NULL;
	size_t n;
	if (c->nparts > 1 && !one)
		return;
	cJSON *array = cJSON_CreateArray();
	struct sd_dict_entry **vhosts = mq_api_sorted(&c->api->conf.mq->vhosts, &n);
	for (size_t i = 0; i < n; i++) {
		struct mq_vhost *v = sd_container(vhosts[i], struct mq_vhost, e);
		if (!one || v == one)
			each_of_vhost(v, kind, fn, array);
	}
	free(vhosts);
	mq_api_answer(c, 200, array);
}

/* ---- queues ---- */

static void add_rate(cJSON *o, const char *name, double rate)
{
	cJSON *d = cJSON_AddObjectToObject(o, name);
	cJSON_AddNumberToObject(d, "rate", (double)(int64_t)(rate * 10 + 0.5) / 10);
}

static void add_counts(cJSON *o, const struct mq_queue *q)
{
	cJSON *s = cJSON_AddObjectToObject(o, "message_stats");
	cJSON_AddNumberToObject(s, "publish", (double)q->count.published);
	add_rate(s, "publish_details", (double)q->rates.publish);
	cJSON_AddNumberToObject(s, "deliver_get", (double)(q->count.delivered + q->count.delivered_no_ack + q->count.got + q->count.got_no_ack));
	add_rate(s, "deliver_get_details", (double)q->rates.deliver);
	cJSON_AddNumberToObject(s, "ack", (double)q->count.acked);
	add_rate(s, "ack_details", (double)q->rates.ack);
	cJSON_AddNumberToObject(s, "redeliver", (double)q->count.redelivered);
	cJSON_AddNumberToObject(s, "expired", (double)q->count.expired);
	cJSON_AddNumberToObject(s, "dead_lettered", (double)q->count.dead);
	cJSON_AddNumberToObject(s, "dropped", (double)q->count.dropped);
}

static cJSON *json_queue(const struct mq_queue *q)
{
	cJSON *o = cJSON_CreateObject();
	mq_json_add(o, "name", sd_slice_of(q->name));
	mq_json_add(o, "vhost", sd_slice_of(q->vhost->name));
	cJSON_AddStringToObject(o, "type", q->limits.stream ? "stream" : "classic");
	cJSON_AddBoolToObject(o, "durable", q->durable);
	cJSON_AddBoolToObject(o, "exclusive", q->exclusive);
	cJSON_AddBoolToObject(o, "auto_delete", q->auto_delete);
	cJSON_AddItemToObject(o, "arguments", mq_json_table(q->arguments));
	cJSON_AddNumberToObject(o, "messages", (double)(q->nready + q->nunacked));
	cJSON_AddNumberToObject(o, "messages_ready", (double)q->nready);
	cJSON_AddNumberToObject(o, "messages_unacknowledged", (double)q->nunacked);
	cJSON_AddNumberToObject(o, "messages_delayed", (double)q->ndelayed);
	cJSON_AddNumberToObject(o, "message_bytes", (double)q->bytes);
	cJSON_AddNumberToObject(o, "message_bytes_ready", (double)q->ready_bytes);
	cJSON_AddNumberToObject(o, "consumers", (double)q->nconsumers);
	cJSON_AddStringToObject(o, "state", "running");
	cJSON_AddStringToObject(o, "node", "sdlab@localhost");
	add_counts(o, q);
	mq_api_add_stream(o, q);
	return o;
}

static void add_queue(cJSON *array, struct sd_dict_entry *e)
{
	cJSON_AddItemToArray(array, json_queue(sd_container(e, struct mq_queue, e)));
}

void mq_api_queues(struct mq_api_call *c)
{
	list(c, QUEUES, add_queue);
}

static struct mq_queue *queue_of(struct mq_api_call *c)
{
	struct mq_vhost *v = mq_api_vhost(c, 1);
	struct mq_queue *q = v ? mq_queue_find(v, c->parts[2]) : NULL;
	if (v && !q)
		mq_api_refuse(c, 404, "Not Found");
	return q;
}

static void add_consumer(cJSON *array, const struct mq_consumer *k)
{
	cJSON *o = cJSON_CreateObject(), *q = cJSON_AddObjectToObject(o, "queue");
	mq_json_add(q, "name", sd_slice_of(k->queue->name));
	mq_json_add(q, "vhost", sd_slice_of(k->queue->vhost->name));
	mq_json_add(o, "consumer_tag", (struct sd_slice){k->tag, k->tag_n});
	cJSON_AddBoolToObject(o, "ack_required", !k->no_ack);
	cJSON_AddBoolToObject(o, "exclusive", k->exclusive);
	cJSON_AddBoolToObject(o, "active", k->active);
	cJSON_AddNumberToObject(o, "prefetch_count", k->prefetch);
	cJSON_AddNumberToObject(o, "unacknowledged", k->unacked);
	cJSON_AddItemToObject(o, "arguments", mq_json_table(k->arguments));
	cJSON_AddItemToArray(array, o);
}

static void add_consumers(cJSON *array, struct sd_dict_entry *e)
{
	struct mq_queue *q = sd_container(e, struct mq_queue, e);
	for (struct sd_link *l = q->consumers.next; l != &q->consumers; l = l->next)
		add_consumer(array, sd_container(l, struct mq_consumer, of_queue));
}

void mq_api_consumers(struct mq_api_call *c)
{
	list(c, QUEUES, add_consumers);
}

void mq_api_queue_one(struct mq_api_call *c)
{
	struct mq_queue *q = queue_of(c);
	if (!q)
		return;
	cJSON *o = json_queue(q);
	add_consumers(cJSON_AddArrayToObject(o, "consumer_details"), &q->e);
	mq_api_answer(c, 200, o);
}

/* ---- exchanges ---- */

static cJSON *json_exchange(const struct mq_exchange *x)
{
	cJSON *o = cJSON_CreateObject(), *s;
	mq_json_add(o, "name", sd_slice_of(x->name));
	mq_json_add(o, "vhost", sd_slice_of(x->vhost->name));
	cJSON_AddStringToObject(o, "type", mq_exchange_type_name(x));
	cJSON_AddBoolToObject(o, "durable", x->durable);
	cJSON_AddBoolToObject(o, "auto_delete", x->auto_delete);
	cJSON_AddBoolToObject(o, "internal", x->internal);
	cJSON_AddItemToObject(o, "arguments", mq_json_table(x->arguments));
	s = cJSON_AddObjectToObject(o, "message_stats");
	cJSON_AddNumberToObject(s, "publish_in", (double)x->published_in);
	cJSON_AddNumberToObject(s, "publish_out", (double)x->published_out);
	return o;
}

static void add_exchange(cJSON *array, struct sd_dict_entry *e)
{
	cJSON_AddItemToArray(array, json_exchange(sd_container(e, struct mq_exchange, e)));
}

void mq_api_exchanges(struct mq_api_call *c)
{
	list(c, EXCHANGES, add_exchange);
}

static struct mq_exchange *exchange_of(struct mq_api_call *c, size_t part)
{
	struct mq_vhost *v = mq_api_vhost(c, 1);
	struct mq_exchange *x = v ? mq_exchange_find(v, mq_api_exchange_name(c->parts[part])) : NULL;
	if (v && !x)
		mq_api_refuse(c, 404, "Not Found");
	return x;
}

void mq_api_exchange_one(struct mq_api_call *c)
{
	struct mq_exchange *x = exchange_of(c, 2);
	if (x)
		mq_api_answer(c, 200, json_exchange(x));
}

/* ---- bindings ---- */

static uint64_t arguments_hash(const struct mq_binding *b)
{
	return sd_siphash(&b->source->vhost->mq->hash_key, b->arguments.p, b->arguments.n);
}

static bool unreserved(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_';
}

void mq_api_properties_key(const struct mq_binding *b, bool coded, char out[MQ_API_PROPERTIES_KEY])
{
	size_t n = 0;
	for (size_t i = 0; i < b->key_n; i++)
		if (!coded || unreserved(b->key[i]))
			out[n++] = b->key[i];
		else
			n += (size_t)snprintf(out + n, 4, "%%%02X", (unsigned)(unsigned char)b->key[i]);
	if (b->arguments.n > 0)
		snprintf(out + n, MQ_API_PROPERTIES_KEY - n, "~%016llx", (unsigned long long)arguments_hash(b));
	else
		snprintf(out + n, MQ_API_PROPERTIES_KEY - n, "%s", n ? "" : "~");
}

static cJSON *json_binding(const struct mq_binding *b)
{
	cJSON *o = cJSON_CreateObject();
	mq_json_add(o, "source", sd_slice_of(b->source->name));
	mq_json_add(o, "vhost", sd_slice_of(b->source->vhost->name));
	mq_json_add(o, "destination", sd_slice_of(b->to_queue ? b->to_queue->name : b->to_exchange->name));
	cJSON_AddStringToObject(o, "destination_type", b->to_queue ? "queue" : "exchange");
	mq_json_add(o, "routing_key", (struct sd_slice){b->key, b->key_n});
	cJSON_AddItemToObject(o, "arguments", mq_json_table(b->arguments));
	char key[MQ_API_PROPERTIES_KEY];
	mq_api_properties_key(b, true, key);
	mq_json_add(o, "properties_key", sd_slice_of(key));
	return o;
}

/* Each queue is bound to the default exchange by its name, and nobody made that binding. */
static void add_default_binding(cJSON *array, struct sd_dict_entry *e)
{
	const struct mq_queue *q = sd_container(e, struct mq_queue, e);
	cJSON *o = cJSON_CreateObject();
	cJSON_AddStringToObject(o, "source", "");
	mq_json_add(o, "vhost", sd_slice_of(q->vhost->name));
	mq_json_add(o, "destination", sd_slice_of(q->name));
	cJSON_AddStringToObject(o, "destination_type", "queue");
	mq_json_add(o, "routing_key", sd_slice_of(q->name));
	cJSON_AddItemToObject(o, "arguments", cJSON_CreateObject());
	mq_json_add(o, "properties_key", sd_slice_of(q->name));
	cJSON_AddItemToArray(array, o);
}

static void add_from(cJSON *array, struct sd_dict_entry *e)
{
	struct mq_exchange *x = sd_container(e, struct mq_exchange, e);
	for (struct sd_link *l = x->bindings.next; l != &x->bindings; l = l->next)
		cJSON_AddItemToArray(array, json_binding(sd_container(l, struct mq_binding, of_source)));
}

void mq_api_bindings(struct mq_api_call *c)
{
	struct mq_vhost *one = c->nparts > 1 ? mq_api_vhost(c, 1) : NULL;
	size_t n;
	if (c->nparts > 1 && !one)
		return;
	cJSON *array = cJSON_CreateArray();
	struct sd_dict_entry **vhosts = mq_api_sorted(&c->api->conf.mq->vhosts, &n);
	for (size_t i = 0; i < n; i++) {
		struct mq_vhost *v = sd_container(vhosts[i], struct mq_vhost, e);
		if (one && v != one)
			continue;
		each_of_vhost(v, QUEUES, add_default_binding, array);
		each_of_vhost(v, EXCHANGES, add_from, array);
	}
	free(vhosts);
	mq_api_answer(c, 200, array);
}

static void add_arriving(cJSON *array, struct sd_link *head)
{
	for (struct sd_link *l = head->next; l != head; l = l->next)
		cJSON_AddItemToArray(array, json_binding(sd_container(l, struct mq_binding, of_destination)));
}

void mq_api_queue_bindings(struct mq_api_call *c)
{
	struct mq_queue *q = queue_of(c);
	if (!q)
		return;
	cJSON *array = cJSON_CreateArray();
	add_default_binding(array, &q->e);
	add_arriving(array, &q->bindings);
	mq_api_answer(c, 200, array);
}

void mq_api_source_bindings(struct mq_api_call *c)
{
	struct mq_exchange *x = exchange_of(c, 2);
	if (!x)
		return;
	cJSON *array = cJSON_CreateArray();
	if (!*x->name)
		each_of_vhost(x->vhost, QUEUES, add_default_binding, array);
	add_from(array, &x->e);
	mq_api_answer(c, 200, array);
}

void mq_api_destination_bindings(struct mq_api_call *c)
{
	struct mq_exchange *x = exchange_of(c, 2);
	if (!x)
		return;
	cJSON *array = cJSON_CreateArray();
	add_arriving(array, &x->arriving);
	mq_api_answer(c, 200, array);
}

void mq_api_pair_bindings(struct mq_api_call *c)
{
	struct mq_exchange *x = exchange_of(c, 3);
	if (!x)
		return;
	cJSON *array = cJSON_CreateArray();
	for (struct sd_link *l = x->bindings.next; l != &x->bindings; l = l->next) {
		const struct mq_binding *b = sd_container(l, struct mq_binding, of_source);
		if (mq_api_goes_to(b, c->parts[4], c->parts[5]))
			cJSON_AddItemToArray(array, json_binding(b));
	}
	mq_api_answer(c, 200, array);
}

/* ---- the broker ---- */

struct totals {
	uint64_t ready, unacked, queues, exchanges, consumers;
};

static void sum_queue(void *arg, struct sd_dict_entry *e)
{
	const struct mq_queue *q = sd_container(e, struct mq_queue, e);
	struct totals *t = arg;
	t->ready += q->nready;
	t->unacked += q->nunacked;
	t->consumers += q->nconsumers;
	t->queues++;
}

static void sum_vhost(void *arg, struct sd_dict_entry *e)
{
	struct mq_vhost *v = sd_container(e, struct mq_vhost, e);
	((struct totals *)arg)->exchanges += sd_dict_count(&v->exchanges);
	sd_dict_each(&v->queues, sum_queue, arg);
}

static void add_totals(cJSON *o, const struct totals *t)
{
	cJSON_AddNumberToObject(o, "messages", (double)(t->ready + t->unacked));
	cJSON_AddNumberToObject(o, "messages_ready", (double)t->ready);
	cJSON_AddNumberToObject(o, "messages_unacknowledged", (double)t->unacked);
}

static void add_stats(cJSON *o, const struct mq_api *a)
{
	const struct mq *b = a->conf.mq;
	cJSON *s = cJSON_AddObjectToObject(o, "message_stats");
	cJSON_AddNumberToObject(s, "publish", (double)b->count.published);
	add_rate(s, "publish_details", (double)a->rates.publish);
	cJSON_AddNumberToObject(s, "confirm", (double)b->count.confirmed);
	cJSON_AddNumberToObject(s, "deliver_get", (double)b->count.delivered);
	add_rate(s, "deliver_get_details", (double)a->rates.deliver);
	cJSON_AddNumberToObject(s, "ack", (double)b->count.acked);
	add_rate(s, "ack_details", (double)a->rates.ack);
	cJSON_AddNumberToObject(s, "redeliver", (double)b->count.redelivered);
	cJSON_AddNumberToObject(s, "return_unroutable", (double)b->count.returned);
}

static size_t count_of(struct mq_api *a, void (*fn)(void *arg, cJSON *array))
{
	cJSON *array = cJSON_CreateArray();
	if (fn)
		fn(a->conf.arg, array);
	size_t n = (size_t)cJSON_GetArraySize(array);
	cJSON_Delete(array);
	return n;
}

void mq_api_overview(struct mq_api_call *c)
{
	struct totals t = {0};
	sd_dict_each(&c->api->conf.mq->vhosts, sum_vhost, &t);
	cJSON *o = cJSON_CreateObject(), *of;
	cJSON_AddStringToObject(o, "product_name", "sdlab mq");
	cJSON_AddStringToObject(o, "product_version", SDLAB_VERSION);
	cJSON_AddStringToObject(o, "management_version", LIKE_RABBITMQ);
	cJSON_AddStringToObject(o, "rabbitmq_version", LIKE_RABBITMQ);
	cJSON_AddStringToObject(o, "cluster_name", "sdlab@localhost");
	cJSON_AddStringToObject(o, "node", "sdlab@localhost");
	add_stats(o, c->api);
	add_totals(cJSON_AddObjectToObject(o, "queue_totals"), &t);
	of = cJSON_AddObjectToObject(o, "object_totals");
	cJSON_AddNumberToObject(of, "connections", (double)count_of(c->api, c->api->conf.connections));
	cJSON_AddNumberToObject(of, "channels", (double)count_of(c->api, c->api->conf.channels));
	cJSON_AddNumberToObject(of, "consumers", (double)t.consumers);
	cJSON_AddNumberToObject(of, "exchanges", (double)t.exchanges);
	cJSON_AddNumberToObject(of, "queues", (double)t.queues);
	mq_api_answer(c, 200, o);
}

void mq_api_nodes(struct mq_api_call *c)
{
	cJSON *array = cJSON_CreateArray(), *o = cJSON_CreateObject();
	cJSON_AddStringToObject(o, "name", "sdlab@localhost");
	cJSON_AddStringToObject(o, "type", "disc");
	cJSON_AddBoolToObject(o, "running", true);
	cJSON_AddNumberToObject(o, "mem_used", (double)c->api->conf.mq->body_memory); /* of bodies */
	cJSON_AddBoolToObject(o, "disk_free_alarm", c->api->conf.mq->failed);
	cJSON_AddItemToArray(array, o);
	mq_api_answer(c, 200, array);
}

void mq_api_whoami(struct mq_api_call *c)
{
	cJSON *o = cJSON_CreateObject();
	cJSON_AddStringToObject(o, "name", c->request->user ? c->request->user : "");
	cJSON *tags = cJSON_AddArrayToObject(o, "tags");
	cJSON_AddItemToArray(tags, cJSON_CreateString("administrator"));
	mq_api_answer(c, 200, o);
}

static cJSON *json_vhost(struct mq_vhost *v)
{
	struct totals t = {0};
	cJSON *o = cJSON_CreateObject();
	sd_dict_each(&v->queues, sum_queue, &t);
	mq_json_add(o, "name", sd_slice_of(v->name));
	cJSON_AddBoolToObject(o, "tracing", false);
	add_totals(o, &t);
	return o;
}

void mq_api_vhosts(struct mq_api_call *c)
{
	size_t n;
	cJSON *array = cJSON_CreateArray();
	struct sd_dict_entry **all = mq_api_sorted(&c->api->conf.mq->vhosts, &n);
	for (size_t i = 0; i < n; i++)
		cJSON_AddItemToArray(array, json_vhost(sd_container(all[i], struct mq_vhost, e)));
	free(all);
	mq_api_answer(c, 200, array);
}

void mq_api_vhost_one(struct mq_api_call *c)
{
	struct mq_vhost *v = mq_api_vhost(c, 1);
	if (v)
		mq_api_answer(c, 200, json_vhost(v));
}

static void list_of(struct mq_api_call *c, void (*fn)(void *arg, cJSON *array))
{
	cJSON *array = cJSON_CreateArray();
	if (fn)
		fn(c->api->conf.arg, array);
	mq_api_answer(c, 200, array);
}

void mq_api_connections(struct mq_api_call *c)
{
	list_of(c, c->api->conf.connections);
}
void mq_api_channels(struct mq_api_call *c)
{
	list_of(c, c->api->conf.channels);
}
void mq_api_users(struct mq_api_call *c)
{
	list_of(c, c->api->conf.users);
}
void mq_api_permissions(struct mq_api_call *c)
{
	list_of(c, c->api->conf.permissions);
}

/* ---- the page ---- */

static void add_live(cJSON *array, struct sd_dict_entry *e)
{
	const struct mq_queue *q = sd_container(e, struct mq_queue, e);
	cJSON *o = cJSON_CreateObject();
	mq_json_add(o, "vhost", sd_slice_of(q->vhost->name));
	mq_json_add(o, "name", sd_slice_of(q->name));
	cJSON_AddNumberToObject(o, "ready", (double)q->nready);
	cJSON_AddNumberToObject(o, "unacked", (double)q->nunacked);
	cJSON_AddNumberToObject(o, "delayed", (double)q->ndelayed);
	cJSON_AddNumberToObject(o, "consumers", (double)q->nconsumers);
	cJSON_AddNumberToObject(o, "bytes", (double)q->bytes);
	cJSON_AddNumberToObject(o, "in", (double)q->rates.publish);
	cJSON_AddNumberToObject(o, "out", (double)q->rates.deliver);
	cJSON_AddNumberToObject(o, "acks", (double)q->rates.ack);
	mq_api_add_stream(o, q);
	cJSON_AddItemToArray(array, o);
}

#define LIVE_QUEUES 500 /* a page shows no more, and says so */

char *mq_api_live(struct mq_api *a)
{
	size_t n;
	cJSON *o = cJSON_CreateObject(), *array = cJSON_AddArrayToObject(o, "queues");
	struct sd_dict_entry **vhosts = mq_api_sorted(&a->conf.mq->vhosts, &n);
	struct totals t = {0};
	for (size_t i = 0; i < n; i++) {
		sum_vhost(&t, vhosts[i]);
		if (t.queues <= LIVE_QUEUES)
			each_of_vhost(sd_container(vhosts[i], struct mq_vhost, e), QUEUES, add_live, array);
	}
	free(vhosts);
	cJSON_AddNumberToObject(o, "all", (double)t.queues);
	add_totals(o, &t);
	cJSON_AddNumberToObject(o, "in", (double)a->rates.publish);
	cJSON_AddNumberToObject(o, "out", (double)a->rates.deliver);
	cJSON_AddNumberToObject(o, "acks", (double)a->rates.ack);
	char *text = cJSON_PrintUnformatted(o);
	cJSON_Delete(o);
	return text;
}
