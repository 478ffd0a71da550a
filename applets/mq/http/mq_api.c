/* mq_api.c - life, routes and rates of the HTTP API. */
#include <stdlib.h>

#include "mq_api_int.h"

/* ---- answering ---- */

void mq_api_answer(struct mq_api_call *c, int status, cJSON *tree)
{
	c->wait->answer(c->wait, status, tree);
}

void mq_api_refuse(struct mq_api_call *c, int status, const char *reason)
{
	cJSON *o = cJSON_CreateObject();
	static const struct {
		int status;
		const char *error;
	} names[] = {{404, "Object Not Found"}, {405, "method_not_allowed"}, {401, "not_authorised"}, {503, "service_unavailable"}};
	const char *error = "bad_request";
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (names[i].status == status)
			error = names[i].error;
	cJSON_AddStringToObject(o, "error", error);
	cJSON_AddStringToObject(o, "reason", reason);
	mq_api_answer(c, status, o);
}

/* "PRECONDITION_FAILED - inequivalent arg ...": the name of the code is not told here. */
static const char *without_name(const struct mq_error *e)
{
	const char *name = sd_amqp_code_name(e->code);
	size_t n = name ? strlen(name) : 0;
	return n && strncmp(e->text, name, n) == 0 && strncmp(e->text + n, " - ", 3) == 0 ? e->text + n + 3 : e->text;
}

void mq_api_refuse_error(struct mq_api_call *c, const struct mq_error *e)
{
	int status = e->code == 404 ? 404 : e->code == 403 ? 401 : e->code == 506 ? 503 : 400;
	mq_api_refuse(c, status, without_name(e));
}

struct mq_vhost *mq_api_vhost(struct mq_api_call *c, size_t part)
{
	struct mq_vhost *v = mq_vhost_find(c->api->conf.mq, c->parts[part]);
	if (!v)
		mq_api_refuse(c, 404, "Not Found");
	return v;
}

void mq_api_empty(struct mq_api_call *c)
{
	mq_api_answer(c, 200, cJSON_CreateArray());
}

/* ---- routes ---- */

static const struct route {
	enum sd_http_method method;
	const char *path; /* a star is any part */
	mq_api_fn *fn;
} routes[] = {
    {SD_HTTP_GET, "overview", mq_api_overview},
    {SD_HTTP_GET, "nodes", mq_api_nodes},
    {SD_HTTP_GET, "whoami", mq_api_whoami},
    {SD_HTTP_GET, "vhosts", mq_api_vhosts},
    {SD_HTTP_GET, "vhosts/*", mq_api_vhost_one},
    {SD_HTTP_PUT, "vhosts/*", mq_api_put_vhost},
    {SD_HTTP_DELETE, "vhosts/*", mq_api_delete_vhost},
    {SD_HTTP_GET, "queues", mq_api_queues},
    {SD_HTTP_GET, "queues/*", mq_api_queues},
    {SD_HTTP_GET, "queues/*/*", mq_api_queue_one},
    {SD_HTTP_PUT, "queues/*/*", mq_api_put_queue},
    {SD_HTTP_DELETE, "queues/*/*", mq_api_delete_queue},
    {SD_HTTP_DELETE, "queues/*/*/contents", mq_api_purge},
    {SD_HTTP_GET, "queues/*/*/bindings", mq_api_queue_bindings},
    {SD_HTTP_POST, "queues/*/*/get", mq_api_get},
    {SD_HTTP_POST, "queues/*/*/ack", mq_api_ack},
    {SD_HTTP_POST, "queues/*/*/extend", mq_api_extend},
    {SD_HTTP_POST, "queues/*/*/replay", mq_api_replay},
    {SD_HTTP_GET, "queues/*/*/groups", mq_api_groups},
    {SD_HTTP_PUT, "queues/*/*/groups/*", mq_api_put_group},
    {SD_HTTP_DELETE, "queues/*/*/groups/*", mq_api_delete_group},
    {SD_HTTP_GET, "exchanges", mq_api_exchanges},
    {SD_HTTP_GET, "exchanges/*", mq_api_exchanges},
    {SD_HTTP_GET, "exchanges/*/*", mq_api_exchange_one},
    {SD_HTTP_PUT, "exchanges/*/*", mq_api_put_exchange},
    {SD_HTTP_DELETE, "exchanges/*/*", mq_api_delete_exchange},
    {SD_HTTP_POST, "exchanges/*/*/publish", mq_api_publish},
    {SD_HTTP_GET, "exchanges/*/*/bindings/source", mq_api_source_bindings},
    {SD_HTTP_GET, "exchanges/*/*/bindings/destination", mq_api_destination_bindings},
    {SD_HTTP_GET, "bindings", mq_api_bindings},
    {SD_HTTP_GET, "bindings/*", mq_api_bindings},
    {SD_HTTP_GET, "bindings/*/e/*/*/*", mq_api_pair_bindings},
    {SD_HTTP_POST, "bindings/*/e/*/*/*", mq_api_bind},
    {SD_HTTP_DELETE, "bindings/*/e/*/*/*/*", mq_api_unbind},
    {SD_HTTP_GET, "consumers", mq_api_consumers},
    {SD_HTTP_GET, "consumers/*", mq_api_consumers},
    {SD_HTTP_GET, "connections", mq_api_connections},
    {SD_HTTP_DELETE, "connections/*", mq_api_close_connection},
    {SD_HTTP_GET, "channels", mq_api_channels},
    {SD_HTTP_GET, "users", mq_api_users},
    {SD_HTTP_GET, "permissions", mq_api_permissions},
    {SD_HTTP_GET, "parameters", mq_api_empty},
    {SD_HTTP_GET, "policies", mq_api_empty},
    {SD_HTTP_GET, "operator-policies", mq_api_empty},
    {SD_HTTP_GET, "vhost-limits", mq_api_empty},
    {SD_HTTP_GET, "definitions", mq_api_export},
    {SD_HTTP_GET, "definitions/*", mq_api_export},
    {SD_HTTP_POST, "definitions", mq_api_import},
    {SD_HTTP_POST, "definitions/*", mq_api_import},
};

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* "%2f" is '/', '+' a blank, as the clients of this API write names. Decodes in place; false: a percent sign without its digits. */
static bool decode(char *p, size_t *n)
{
	size_t to = 0;
	for (size_t i = 0; i < *n; i++, to++) {
		p[to] = p[i] == '+' ? ' ' : p[i];
		if (p[i] != '%')
			continue;
		int high = i + 2 < *n ? hex(p[i + 1]) : -1, low = i + 2 < *n ? hex(p[i + 2]) : -1;
		if (high < 0 || low < 0)
			return false;
		p[to] = (char)(high * 16 + low);
		i += 2;
	}
	*n = to;
	return true;
}

/* Splits what is behind /api/ at its slashes, in `copy`. False: it is no path of ours. */
static bool split(struct mq_api_call *c, char *copy, size_t n)
{
	for (size_t i = 0; i <= n;) {
		char *slash = memchr(copy + i, '/', n - i);
		size_t length = slash ? (size_t)(slash - copy) - i : n - i, next = i + length + 1;
		if (c->nparts == MQ_API_PARTS || !decode(copy + i, &length))
			return false;
		c->parts[c->nparts++] = (struct sd_slice){copy + i, length};
		i = next;
	}
	return true;
}

static bool fits(const struct route *r, const struct mq_api_call *c)
{
	size_t i = 0;
	for (const char *p = r->path; p; i++) {
		const char *slash = strchr(p, '/');
		size_t n = slash ? (size_t)(slash - p) : strlen(p);
		if (i == c->nparts)
			return false;
		bool star = n == 1 && *p == '*';
		if (!star && (c->parts[i].n != n || memcmp(c->parts[i].p, p, n) != 0))
			return false;
		p = slash ? slash + 1 : NULL;
	}
	return i == c->nparts;
}

static void run(struct mq_api_call *c)
{
	bool other = false;
	enum sd_http_method method = c->request->method == SD_HTTP_HEAD ? SD_HTTP_GET : c->request->method;
	for (size_t i = 0; i < sizeof(routes) / sizeof(routes[0]); i++) {
		if (!fits(&routes[i], c))
			continue;
		if (routes[i].method == method) {
			routes[i].fn(c);
			return;
		}
		other = true;
	}
	mq_api_refuse(c, other ? 405 : 404, other ? "this path takes other methods" : "Not Found");
}

static bool read_body(struct mq_api_call *c)
{
	struct sd_slice b = c->request->body;
	if (b.n == 0)
		return true;
	c->body = cJSON_ParseWithLength(b.p, b.n);
	return c->body && cJSON_IsObject(c->body);
}

void mq_api_ask(struct mq_api *a, const struct mq_api_request *r, struct mq_api_wait *w)
{
	struct mq_api_call c = {.api = a, .request = r, .wait = w};
	struct sd_slice path = r->path;
	w->publish = NULL;
	if (!sd_slice_starts(path, "/api/")) {
		mq_api_refuse(&c, 404, "Not Found");
		return;
	}
	size_t n = path.n - 5;
	char *copy = malloc(n + 1);
	if (!copy) {
		mq_api_refuse(&c, 503, "out of memory");
		return;
	}
	memcpy(copy, path.p + 5, n);
	while (n > 0 && copy[n - 1] == '/')
		n--;
	if (!split(&c, copy, n))
		mq_api_refuse(&c, 404, "Not Found");
	else if (!read_body(&c))
		mq_api_refuse(&c, 400, "the body: expected a JSON object");
	else
		run(&c);
	cJSON_Delete(c.body);
	free(copy);
}

/* ---- rates ---- */

static float rate(uint64_t is, uint64_t was, int64_t ms)
{
	return (float)((double)(is - was) * 1000.0 / (double)ms);
}

static void take_rates(struct mq_rates *r, const struct mq_rate_counts *is, struct mq_rate_counts *was, int64_t ms)
{
	*r = (struct mq_rates){rate(is->publish, was->publish, ms), rate(is->deliver, was->deliver, ms), rate(is->ack, was->ack, ms)};
	*was = *is;
}

static void sample_queue(void *arg, struct sd_dict_entry *e)
{
	struct mq_queue *q = sd_container(e, struct mq_queue, e);
	int64_t ms = *(const int64_t *)arg;
	uint64_t delivered = q->count.delivered + q->count.delivered_no_ack + q->count.got + q->count.got_no_ack;
	take_rates(&q->rates, &(struct mq_rate_counts){q->count.published, delivered, q->count.acked}, &q->sampled, ms);
}

static void sample_vhost(void *arg, struct sd_dict_entry *e)
{
	sd_dict_each(&sd_container(e, struct mq_vhost, e)->queues, sample_queue, arg);
}

void mq_api_sample(struct mq_api *a)
{
	struct mq *b = a->conf.mq;
	int64_t ms = b->now_ms - a->sampled_ms;
	if (ms <= 0)
		return;
	a->sampled_ms = b->now_ms;
	take_rates(&a->rates, &(struct mq_rate_counts){b->count.published, b->count.delivered, b->count.acked}, &a->was, ms);
	sd_dict_each(&b->vhosts, sample_vhost, &ms);
}

/* ---- life ---- */

struct mq_api *mq_api_new(const struct mq_api_conf *conf)
{
	struct mq_api *a = calloc(1, sizeof(*a));
	if (!a)
		return NULL;
	a->conf = *conf;
	a->sampled_ms = conf->mq->now_ms;
	sd_list_init(&a->hands);
	sd_list_init(&a->publishing);
	return a;
}

void mq_api_free(struct mq_api *a)
{
	if (!a)
		return;
	mq_api_end_publishing(a);
	mq_api_end_hands(a);
	free(a);
}
