/* mq_api_change.c - things made and deleted. 201: it is there now; 204: it was there, or is gone now. */
#include <stdio.h>
#include <stdlib.h>

#include "mq_api_int.h"

/* The arguments of the body as a table, in t. False: refused. */
static bool arguments(struct mq_api_call *c, struct sd_text *t, struct sd_slice *out)
{
	const cJSON *o = cJSON_GetObjectItemCaseSensitive(c->body, "arguments");
	bool right = (!o || cJSON_IsNull(o) || cJSON_IsObject(o) || (cJSON_IsArray(o) && !o->child)) && mq_json_to_table(t, o);
	if (!right)
		mq_api_refuse(c, 400, "arguments: expected an object");
	*out = (struct sd_slice){t->p ? t->p : "", t->n};
	return right;
}

static void say_made(struct mq_api_call *c, bool right, bool was_there, const struct mq_error *e)
{
	if (right)
		mq_api_answer(c, was_there ? 204 : 201, NULL);
	else
		mq_api_refuse_error(c, e);
}

static void say_gone(struct mq_api_call *c, bool right, const struct mq_error *e)
{
	say_made(c, right, true, e);
}

/* The virtual host of a queue or exchange that the path names and that is to be there: in AMQP deleting what is not there is right. NULL: it
 * was refused. */
static struct mq_vhost *there(struct mq_api_call *c, bool exchange)
{
	struct mq_vhost *v = mq_api_vhost(c, 1);
	bool is = v && (exchange ? mq_exchange_find(v, mq_api_exchange_name(c->parts[2])) != NULL : mq_queue_find(v, c->parts[2]) != NULL);
	if (v && !is)
		mq_api_refuse(c, 404, "Not Found");
	return is ? v : NULL;
}

/* ---- virtual hosts ---- */

void mq_api_put_vhost(struct mq_api_call *c)
{
	struct mq_error e = {0};
	bool there = mq_vhost_find(c->api->conf.mq, c->parts[1]);
	say_made(c, there || mq_vhost_add(c->api->conf.mq, c->parts[1], &e), there, &e);
}

void mq_api_delete_vhost(struct mq_api_call *c)
{
	struct mq_vhost *v = mq_api_vhost(c, 1);
	struct mq_error e = {0};
	if (!v)
		return;
	mq_api_leave_vhost(c->api, v);
	say_gone(c, mq_vhost_remove(c->api->conf.mq, c->parts[1], &e), &e);
}

/* ---- queues ---- */

void mq_api_put_queue(struct mq_api_call *c)
{
	struct mq_vhost *v = mq_api_vhost(c, 1);
	struct sd_text t = {0};
	struct mq_queue *q;
	struct mq_error e = {0};
	struct mq_queue_decl d = {.name = c->parts[2], .connection = c->api};
	d.durable = mq_json_bool(c->body, "durable", true);
	d.auto_delete = mq_json_bool(c->body, "auto_delete", false);
	if (v && arguments(c, &t, &d.arguments)) {
		bool there = mq_queue_find(v, d.name);
		say_made(c, mq_queue_declare(v, &d, &q, &e), there, &e);
	}
	free(t.p);
}

static bool asked(const struct mq_api_call *c, const char *what)
{
	struct sd_slice q = c->request->query;
	return q.n >= strlen(what) && memmem(q.p, q.n, what, strlen(what));
}

void mq_api_delete_queue(struct mq_api_call *c)
{
	struct mq_vhost *v = there(c, false);
	struct mq_error e = {0};
	uint64_t n;
	if (v)
		say_gone(c, mq_queue_delete(v, c->api, c->parts[2], asked(c, "if-unused=true"), asked(c, "if-empty=true"), &n, &e), &e);
}

void mq_api_purge(struct mq_api_call *c)
{
	struct mq_vhost *v = there(c, false);
	struct mq_error e = {0};
	uint64_t n;
	if (v)
		say_gone(c, mq_queue_purge(v, c->api, c->parts[2], &n, &e), &e);
}

/* ---- exchanges ---- */

void mq_api_put_exchange(struct mq_api_call *c)
{
	struct mq_vhost *v = mq_api_vhost(c, 1);
	struct sd_text t = {0};
	struct mq_error e = {0};
	struct mq_exchange_decl d = {.name = c->parts[2], .type = mq_json_slice(c->body, "type", "direct")};
	d.durable = mq_json_bool(c->body, "durable", true);
	d.auto_delete = mq_json_bool(c->body, "auto_delete", false);
	d.internal = mq_json_bool(c->body, "internal", false);
	if (v && arguments(c, &t, &d.arguments)) {
		bool there = mq_exchange_find(v, d.name);
		say_made(c, mq_exchange_declare(v, &d, &e), there, &e);
	}
	free(t.p);
}

void mq_api_delete_exchange(struct mq_api_call *c)
{
	struct mq_vhost *v = there(c, true);
	struct mq_error e = {0};
	if (v)
		say_gone(c, mq_exchange_delete(v, mq_api_exchange_name(c->parts[2]), asked(c, "if-unused=true"), &e), &e);
}

/* ---- bindings: bindings/VHOST/e/SOURCE/q|e/DESTINATION ---- */

static bool attach(struct mq_vhost *v, const void *who, bool queue, struct sd_slice source, struct sd_slice destination, struct sd_slice key,
		 struct sd_slice arguments, struct mq_error *e)
{
	return queue ? mq_queue_bind(v, who, destination, source, key, arguments, e)
		     : mq_exchange_bind(v, destination, source, key, arguments, e);
}

void mq_api_bind(struct mq_api_call *c)
{
	struct mq_vhost *v = mq_api_vhost(c, 1);
	struct sd_text t = {0};
	struct sd_slice args, key = mq_json_slice(c->body, "routing_key", "");
	struct mq_error e = {0};
	if (v && arguments(c, &t, &args))
		say_made(c, attach(v, c->api, sd_slice_eq(c->parts[4], "q"), mq_api_exchange_name(c->parts[3]), c->parts[5], key, args, &e), false, &e);
	free(t.p);
}

/* As the listing has it, or as that reads once it was part of a path. */
static bool is_named(const struct mq_binding *b, struct sd_slice name)
{
	char key[MQ_API_PROPERTIES_KEY], plain[MQ_API_PROPERTIES_KEY];
	mq_api_properties_key(b, true, key);
	mq_api_properties_key(b, false, plain);
	return sd_slice_eq(name, key) || sd_slice_eq(name, plain);
}

static struct mq_binding *find_binding(struct mq_api_call *c, struct mq_exchange *x)
{
	for (struct sd_link *l = x->bindings.next; l != &x->bindings; l = l->next) {
		struct mq_binding *b = sd_container(l, struct mq_binding, of_source);
		if (mq_api_goes_to(b, c->parts[4], c->parts[5]) && is_named(b, c->parts[6]))
			return b;
	}
	return NULL;
}

/* The binding is gone with the call, and what it says is its memory: copies are given. */
static bool unbind(struct mq_api_call *c, struct mq_vhost *v, const struct mq_binding *b, struct mq_error *e)
{
	struct sd_text t = {0};
	sd_text_add(&t, b->key, b->key_n);
	sd_text_add(&t, b->arguments.p, b->arguments.n);
	if (t.full) {
		free(t.p);
		return mq_fail(e, 506, "out of memory");
	}
	struct sd_slice key = {t.p, b->key_n}, args = {t.p + b->key_n, b->arguments.n};
	bool right = b->to_queue ? mq_queue_unbind(v, c->api, c->parts[5], mq_api_exchange_name(c->parts[3]), key, args, e)
				 : mq_exchange_unbind(v, c->parts[5], mq_api_exchange_name(c->parts[3]), key, args, e);
	free(t.p);
	return right;
}

void mq_api_unbind(struct mq_api_call *c)
{
	struct mq_vhost *v = mq_api_vhost(c, 1);
	struct mq_exchange *x = v ? mq_exchange_find(v, mq_api_exchange_name(c->parts[3])) : NULL;
	struct mq_binding *b = x ? find_binding(c, x) : NULL;
	struct mq_error e = {0};
	if (v && !b)
		mq_api_refuse(c, 404, "Not Found");
	else if (v)
		say_gone(c, unbind(c, v, b, &e), &e);
}

void mq_api_close_connection(struct mq_api_call *c)
{
	if (c->api->conf.close && c->api->conf.close(c->api->conf.arg, c->parts[1]))
		mq_api_answer(c, 204, NULL);
	else
		mq_api_refuse(c, 404, "Not Found");
}

/* ---- export and import: exchanges, durable queues, and what binds them ---- */

static void export_queue(cJSON *array, struct mq_queue *q)
{
	if (!q->durable || q->exclusive)
		return;
	cJSON *o = cJSON_CreateObject();
	mq_json_add(o, "name", sd_slice_of(q->name));
	mq_json_add(o, "vhost", sd_slice_of(q->vhost->name));
	cJSON_AddBoolToObject(o, "durable", true);
	cJSON_AddBoolToObject(o, "auto_delete", q->auto_delete);
	cJSON_AddItemToObject(o, "arguments", mq_json_table(q->arguments));
	cJSON_AddItemToArray(array, o);
}

static void export_exchange(cJSON *array, struct mq_exchange *x)
{
	if (x->predeclared)
		return;
	cJSON *o = cJSON_CreateObject();
	mq_json_add(o, "name", sd_slice_of(x->name));
	mq_json_add(o, "vhost", sd_slice_of(x->vhost->name));
	cJSON_AddStringToObject(o, "type", mq_exchange_type_name(x));
	cJSON_AddBoolToObject(o, "durable", x->durable);
	cJSON_AddBoolToObject(o, "auto_delete", x->auto_delete);
	cJSON_AddBoolToObject(o, "internal", x->internal);
	cJSON_AddItemToObject(o, "arguments", mq_json_table(x->arguments));
	cJSON_AddItemToArray(array, o);
}

static void export_binding(cJSON *array, const struct mq_binding *b)
{
	if (b->to_queue && (!b->to_queue->durable || b->to_queue->exclusive))
		return;
	cJSON *o = cJSON_CreateObject();
	mq_json_add(o, "source", sd_slice_of(b->source->name));
	mq_json_add(o, "vhost", sd_slice_of(b->source->vhost->name));
	mq_json_add(o, "destination", sd_slice_of(b->to_queue ? b->to_queue->name : b->to_exchange->name));
	cJSON_AddStringToObject(o, "destination_type", b->to_queue ? "queue" : "exchange");
	mq_json_add(o, "routing_key", (struct sd_slice){b->key, b->key_n});
	cJSON_AddItemToObject(o, "arguments", mq_json_table(b->arguments));
	cJSON_AddItemToArray(array, o);
}

struct exported {
	cJSON *vhosts, *queues, *exchanges, *bindings;
};

static void export_vhost(const struct exported *x, struct mq_vhost *v)
{
	size_t n;
	cJSON *o = cJSON_CreateObject();
	mq_json_add(o, "name", sd_slice_of(v->name));
	cJSON_AddItemToArray(x->vhosts, o);
	struct sd_dict_entry **all = mq_api_sorted(&v->queues, &n);
	for (size_t i = 0; i < n; i++)
		export_queue(x->queues, sd_container(all[i], struct mq_queue, e));
	free(all);
	all = mq_api_sorted(&v->exchanges, &n);
	for (size_t i = 0; i < n; i++) {
		struct mq_exchange *e = sd_container(all[i], struct mq_exchange, e);
		export_exchange(x->exchanges, e);
		for (struct sd_link *l = e->bindings.next; l != &e->bindings; l = l->next)
			export_binding(x->bindings, sd_container(l, struct mq_binding, of_source));
	}
	free(all);
}

void mq_api_export(struct mq_api_call *c)
{
	struct mq_vhost *one = c->nparts > 1 ? mq_api_vhost(c, 1) : NULL;
	size_t n;
	if (c->nparts > 1 && !one)
		return;
	cJSON *o = cJSON_CreateObject();
	cJSON_AddStringToObject(o, "product_name", "sdlab mq");
	struct exported x = {cJSON_AddArrayToObject(o, "vhosts"), cJSON_AddArrayToObject(o, "queues"),
			     cJSON_AddArrayToObject(o, "exchanges"), cJSON_AddArrayToObject(o, "bindings")};
	struct sd_dict_entry **all = mq_api_sorted(&c->api->conf.mq->vhosts, &n);
	for (size_t i = 0; i < n; i++) {
		struct mq_vhost *v = sd_container(all[i], struct mq_vhost, e);
		if (!one || one == v)
			export_vhost(&x, v);
	}
	free(all);
	mq_api_answer(c, 200, o);
}

/* One thing of an imported list. False: e says why not. */
typedef bool import_fn(struct mq_api_call *c, struct mq_vhost *v, const cJSON *o, struct sd_slice arguments, struct mq_error *e);

static bool import_queue(struct mq_api_call *c, struct mq_vhost *v, const cJSON *o, struct sd_slice arguments, struct mq_error *e)
{
	struct mq_queue *q;
	struct mq_queue_decl d = {.name = mq_json_slice(o, "name", ""), .arguments = arguments, .connection = c->api};
	d.durable = mq_json_bool(o, "durable", true);
	d.auto_delete = mq_json_bool(o, "auto_delete", false);
	return mq_queue_declare(v, &d, &q, e);
}

static bool import_exchange(struct mq_api_call *c, struct mq_vhost *v, const cJSON *o, struct sd_slice arguments, struct mq_error *e)
{
	(void)c;
	struct mq_exchange_decl d = {.name = mq_json_slice(o, "name", ""), .type = mq_json_slice(o, "type", "direct"), .arguments = arguments};
	d.durable = mq_json_bool(o, "durable", true);
	d.auto_delete = mq_json_bool(o, "auto_delete", false);
	d.internal = mq_json_bool(o, "internal", false);
	return mq_exchange_declare(v, &d, e);
}

static bool import_binding(struct mq_api_call *c, struct mq_vhost *v, const cJSON *o, struct sd_slice arguments, struct mq_error *e)
{
	return attach(v, c->api, sd_slice_eq(mq_json_slice(o, "destination_type", "queue"), "queue"), mq_json_slice(o, "source", ""),
		    mq_json_slice(o, "destination", ""), mq_json_slice(o, "routing_key", ""), arguments, e);
}

static bool import_vhost(struct mq_api_call *c, struct mq_vhost *v, const cJSON *o, struct sd_slice arguments, struct mq_error *e)
{
	(void)v;
	(void)arguments;
	struct sd_slice name = mq_json_slice(o, "name", "/");
	return mq_vhost_find(c->api->conf.mq, name) || mq_vhost_add(c->api->conf.mq, name, e);
}

static bool import_one(struct mq_api_call *c, import_fn *fn, const cJSON *o, struct mq_error *e)
{
	struct sd_slice vhost = c->nparts > 1 ? c->parts[1] : mq_json_slice(o, "vhost", "/");
	struct mq_vhost *v = mq_vhost_find(c->api->conf.mq, vhost);
	struct sd_text t = {0};
	if (!v && fn != import_vhost)
		return mq_fail(e, 404, "no vhost '%.*s'", (int)vhost.n, vhost.p);
	bool right = mq_json_to_table(&t, cJSON_GetObjectItemCaseSensitive(o, "arguments"));
	right = right ? fn(c, v, o, (struct sd_slice){t.p ? t.p : "", t.n}, e) : mq_fail(e, 406, "arguments: expected an object");
	free(t.p);
	return right;
}

void mq_api_import(struct mq_api_call *c)
{
	static const struct {
		const char *name;
		import_fn *fn;
	} lists[] = {{"vhosts", import_vhost}, {"exchanges", import_exchange}, {"queues", import_queue}, {"bindings", import_binding}};
	struct mq_error e = {0};
	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		const cJSON *list = cJSON_GetObjectItemCaseSensitive(c->body, lists[i].name), *o;
		cJSON_ArrayForEach(o, list) {
			if (import_one(c, lists[i].fn, o, &e))
				continue;
			mq_api_refuse_error(c, &e);
			return;
		}
	}
	mq_api_answer(c, 204, NULL);
}
