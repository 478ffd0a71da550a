/* lb_explain.c - who would get a request, and why: asked by an operator, who gets a dry run, and by a request itself.
 *
 *	admin call --message--> worker: what its balancer would do --message--> control loop: the answer
 */
#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/admin.h"
#include "core/text.h"
#include "lb.h"
#include "lb_files.h"

#define WHY_MAX 1500 /* bytes of X-Sdlab-Why */

struct explain {
	struct sd_admin_wait wait;
	struct sd_task ask, answer;
	struct lb *lb;
	struct lb_worker *w;
	struct sd_http_exchange *x; /* NULL: nobody waits for the answer any more */
	struct sd_peer peer;
	struct sd_http_head head; /* points into request */
	char *request;
	/* filled in by the worker */
	struct lb_snapshot *snap;
	uint32_t pool; /* LB_NO_POOL: it goes to no backend */
	char route[LB_ROUTE_NAME];
	char *ruled; /* what the route makes of it: the target, or Location; "" when nothing */
	char *files; /* the folder it is answered from; NULL: none */
	int status;  /* it is answered here, with this; 0: it is not */
	const char *bad;
	struct lb_limits_seen limits;
	size_t n;
	int pinned;
	uint64_t busy[SD_BALANCE_MAX / 64];
	struct sd_balance_candidate candidates[SD_BALANCE_MAX];
};

static bool has_bit(const uint64_t *bits, size_t i)
{
	return bits[i / 64] >> (i % 64) & 1;
}

/* Those that a request would pass over because all their connections are taken. */
static void find_busy(const struct lb_snapshot *s, const struct lb_pool *pool, uint64_t busy[SD_BALANCE_MAX / 64])
{
	memset(busy, 0, SD_BALANCE_MAX / 8);
	for (size_t i = 0; i < pool->n; i++) {
		const struct lb_entry *e = &s->entries[pool->first + i];
		if (e->max_connections && __atomic_load_n(&e->backend->conns, __ATOMIC_RELAXED) >= e->max_connections)
			busy[i / 64] |= 1ull << (i % 64);
	}
}

static const char *algorithm_name(const struct lb_pool *pool)
{
	static const char *const names[] = {"round-robin", "least-connections", "random-two-choices", "least-latency", "hash"};
	return names[pool->balance.algorithm];
}

/* ---- a dry run ---- */

static void explain_free(struct explain *e)
{
	lb_snapshot_release(e->snap);
	free(e->request);
	free(e->ruled);
	free(e->files);
	free(e);
}

static const struct lb_entry *entry_of(const struct explain *e, size_t i)
{
	return &e->snap->entries[e->snap->pools[e->pool].first + i];
}

static cJSON *candidate_json(const struct explain *e, size_t i)
{
	const struct lb_backend *b = entry_of(e, i)->backend;
	const struct sd_balance_candidate *c = &e->candidates[i];
	bool busy = has_bit(e->busy, i), chosen = e->pinned >= 0 ? (int)i == e->pinned : c->next;
	char why[LB_WHY];
	cJSON *o = cJSON_CreateObject();
	cJSON_AddStringToObject(o, "name", b->name);
	cJSON_AddStringToObject(o, "state", lb_state_of(b));
	cJSON_AddStringToObject(o, "why", lb_why_of(b, why));
	cJSON_AddNumberToObject(o, "weight", entry_of(e, i)->weight);
	cJSON_AddNumberToObject(o, "share", c->share);
	cJSON_AddNumberToObject(o, "load", c->load);
	cJSON_AddNumberToObject(o, "latency_ms", c->latency_ms);
	cJSON_AddNumberToObject(o, "score", c->score);
	cJSON_AddBoolToObject(o, "chosen", chosen);
	cJSON_AddStringToObject(o, "reason",
				busy	     ? "all its connections are taken (max-connections)"
				: chosen && e->pinned >= 0 ? "the request's cookie names it (sticky)"
						     : sd_balance_reason_text(c->reason));
	return o;
}

/* Which way it goes. */
static void add_route(cJSON *o, const struct explain *e)
{
	if (e->route[0])
		cJSON_AddStringToObject(o, "route", e->route);
	if (e->ruled && e->ruled[0])
		cJSON_AddStringToObject(o, e->status ? "location" : "target", e->ruled);
	if (e->files)
		cJSON_AddStringToObject(o, "files", e->files);
	if (e->status)
		cJSON_AddNumberToObject(o, "status", e->status);
	if (e->bad)
		cJSON_AddStringToObject(o, "why", e->bad);
	lb_limits_tell(o, &e->limits);
	if (e->pool == LB_NO_POOL)
		return;
	cJSON_AddStringToObject(o, "pool", e->snap->pools[e->pool].name);
	cJSON_AddStringToObject(o, "algorithm", algorithm_name(&e->snap->pools[e->pool]));
}

static cJSON *explain_json(const struct explain *e)
{
	cJSON *o = cJSON_CreateObject(), *list;
	const char *backend = NULL;
	add_route(o, e);
	for (size_t i = 0; i < e->n; i++)
		if (e->pinned >= 0 ? (int)i == e->pinned : e->candidates[i].next)
			backend = entry_of(e, i)->backend->name;
	cJSON_AddNumberToObject(o, "thread", e->w->w->index);
	cJSON_AddNumberToObject(o, "threads", e->lb->nworkers);
	if (backend)
		cJSON_AddStringToObject(o, "backend", backend);
	else
		cJSON_AddNullToObject(o, "backend");
	list = cJSON_AddArrayToObject(o, "candidates");
	for (size_t i = 0; i < e->n; i++)
		cJSON_AddItemToArray(list, candidate_json(e, i));
	return o;
}

/* Back on the control loop. */
static void on_answer(struct sd_task *t)
{
	struct explain *e = sd_container(t, struct explain, answer);
	if (e->x) {
		e->x->user = NULL;
		sd_admin_json(e->x, 200, explain_json(e));
	}
	explain_free(e);
}

static char *copy(struct sd_slice s)
{
	struct sd_text t = {0};
	sd_text_add(&t, s.p, s.n);
	return sd_text_take(&t, NULL);
}

/* In TCP mode there is nobody to answer. */
static void no_route(struct explain *e)
{
	if (e->lb->mode == LB_TCP)
		e->bad = "the connection is closed: no route is for this name (SNI; here that of Host)";
	else
		e->status = lb_answers[LB_NO_ROUTE].status;
}

/* Follows the routes; false when it ends here. */
static bool route(struct explain *e)
{
	struct lb_choice choice;
	struct sd_http_vars vars;
	char client[46];
	const struct lb_snapshot *s = e->snap;
	struct sd_peer who = sd_proxy_client(&e->head, &e->peer, s->trusted, s->ntrusted);
	struct sd_slice ip = {client, sd_peer_format(&who, client)};
	e->pool = LB_NO_POOL;
	if (e->head.method == SD_HTTP_CONNECT) {
		e->bad = lb_answers[LB_FORWARD_PROXY].text;
		e->status = lb_answers[LB_FORWARD_PROXY].status;
		return false;
	}
	lb_route_choose(e->w, e->peer.door, &e->head, &who, &choice);
	if (!choice.bad)
		lb_limits_peek(e->w, choice.route, &e->head, choice.path, &who, &e->limits);
	const struct lb_route *r = choice.route;
	e->pool = r && r->action != LB_TO_POOL ? LB_NO_POOL : choice.pool;
	e->bad = choice.bad;
	if (r)
		snprintf(e->route, sizeof(e->route), "%s", r->name);
	if (choice.bad || e->pool == LB_NO_POOL)
		e->pool = LB_NO_POOL;
	if (choice.bad)
		e->status = 400;
	else if (r && r->action == LB_FILES)
		e->files = copy(sd_slice_of(sd_http_files_root(r->files)));
	else if (r && r->action != LB_TO_POOL)
		e->status = r->status;
	else if (e->pool == LB_NO_POOL)
		no_route(e);
	else
		e->ruled = copy(lb_route_target(e->w, &choice, &e->head));
	if (r && r->action == LB_REDIRECT) {
		lb_route_vars(e->w, &choice, &e->head, false, ip, &vars);
		struct sd_text t = {0};
		lb_head_location(&t, r->text, &vars);
		e->ruled = sd_text_take(&t, NULL);
	}
	return e->pool != LB_NO_POOL;
}

/* On the worker's thread. */
static void on_ask(struct sd_task *t)
{
	struct explain *e = sd_container(t, struct explain, ask);
	struct lb_affinity want;
	e->answer.fn = on_answer;
	e->snap = e->w->snap;
	e->pinned = -1;
	__atomic_add_fetch(&e->snap->refs, 1, __ATOMIC_RELAXED);
	if (!route(e)) {
		sd_loop_post(e->lb->run->spec.control, &e->answer);
		return;
	}
	find_busy(e->snap, &e->snap->pools[e->pool], e->busy);
	lb_affinity_of(e->w, e->pool, &e->head, &e->peer, false, &want);
	e->pinned = lb_affinity_pinned(e->snap, e->pool, &want, e->busy);
	e->n = lb_worker_explain(e->w, e->pool, e->busy, &want, e->candidates, SD_BALANCE_MAX);
	sd_loop_post(e->lb->run->spec.control, &e->answer);
}

static void on_gone(struct sd_admin_wait *wait)
{
	sd_container(wait, struct explain, wait)->x = NULL;
}

static const char *text_of(const cJSON *o, const char *key, const char *other)
{
	const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, key);
	return cJSON_IsString(v) ? v->valuestring : other;
}

/* The request as it would come over the wire: so it is held to the same rules. NULL: out of memory. */
static char *request_text(const cJSON *o, size_t *n)
{
	struct sd_text t = {0};
	const cJSON *h, *headers = cJSON_GetObjectItemCaseSensitive(o, "headers");
	bool host = false;
	cJSON_ArrayForEach(h, headers) host |= cJSON_IsString(h) && strncasecmp(h->valuestring, "host:", 5) == 0;
	sd_text_format(&t, "%s %s HTTP/1.1\r\n%s", text_of(o, "method", "GET"), text_of(o, "target", "/"),
		       host ? "" : "Host: localhost\r\n");
	cJSON_ArrayForEach(h, headers) if (cJSON_IsString(h)) sd_text_format(&t, "%s\r\n", h->valuestring);
	sd_text_format(&t, "\r\n");
	return sd_text_take(&t, n);
}

/* NULL: *text says why. */
static struct explain *explain_new(struct lb *lb, const cJSON *o, char text[256])
{
	struct explain *e = calloc(1, sizeof(*e));
	const char *client = text_of(o, "client", "127.0.0.1"), *listener = text_of(o, "listener", "");
	size_t n = 0;
	snprintf(text, 256, "out of memory");
	if (e)
		e->request = request_text(o, &n);
	if (!e || !e->request) {
		free(e);
		return NULL;
	}
	e->lb = lb;
	e->w = lb->workers[0];
	e->ask.fn = on_ask;
	e->peer.kind = SD_ADDR_INET;
	int door = *listener ? sd_run_door(lb->conf, listener) : 0;
	e->peer.door = (uint8_t)door;
	if (door < 0) {
		snprintf(text, 256, "listener: expected main or the name of one, found \"%.80s\"", listener);
	} else if (!sd_ip_parse(sd_slice_of(client), e->peer.ip, &e->peer.v6)) {
		snprintf(text, 256, "client: expected an IP address, found \"%.80s\"", client);
	} else if (sd_http_parse_request(e->request, n, 0, NULL, &e->head) != (ssize_t)n) {
		snprintf(text, 256, "such a request is refused with %d: %s", e->head.error_status ? e->head.error_status : 400,
			 e->head.error_reason ? e->head.error_reason : "it does not end where it should");
	} else {
		return e;
	}
	explain_free(e);
	return NULL;
}

void lb_route_explain(struct sd_admin_call *c)
{
	struct lb *lb = c->run->self;
	char text[256];
	cJSON *o = c->body.n ? cJSON_ParseWithLength(c->body.p, c->body.n) : NULL;
	if (c->method != SD_HTTP_POST || c->rest.n || !cJSON_IsObject(o)) {
		cJSON_Delete(o);
		sd_admin_error(c->x, c->method == SD_HTTP_POST ? 400 : 405,
			       "expected POST /-/explain with {\"method\": \"GET\", \"target\": \"/path\", \"headers\": [\"X: y\"], "
			       "\"client\": \"192.0.2.7\"}");
		return;
	}
	struct explain *e = explain_new(lb, o, text);
	cJSON_Delete(o);
	if (!e) {
		sd_admin_error(c->x, 400, text);
		return;
	}
	e->x = c->x;
	e->wait.gone = on_gone;
	c->x->user = &e->wait;
	sd_loop_post(e->w->loop, &e->ask);
}

/* ---- X-Sdlab-Why ---- */

/* Names become tokens: what a field value cannot hold is '?'. */
static void put_name(struct sd_text *t, const char *name)
{
	for (; *name; name++) {
		char c = *name > ' ' && *name <= '~' && *name != ';' && *name != ',' ? *name : '?';
		sd_text_add(t, &c, 1);
	}
}

char *lb_why_candidates(struct lb_worker *w, uint32_t pool, const struct lb_affinity *want)
{
	static const uint64_t none[SD_BALANCE_MAX / 64];
	const struct lb_pool *p = &w->snap->pools[pool];
	const struct lb_entry *entries = &w->snap->entries[p->first];
	struct sd_text t = {0};
	struct sd_balance_candidate *c = calloc(p->n ? p->n : 1, sizeof(*c));
	size_t n = c ? lb_worker_explain(w, pool, none, want, c, p->n) : 0;
	sd_text_format(&t, "pool=%s; algorithm=%s; candidates=", p->name, algorithm_name(p));
	for (size_t i = 0; i < n && t.n < WHY_MAX; i++) {
		sd_text_format(&t, "%s", i ? "," : "");
		put_name(&t, entries[i].backend->name);
		if (c[i].reason == SD_BALANCE_MAY || c[i].reason == SD_BALANCE_WARMING)
			sd_text_format(&t, ":%.3g", c[i].score);
		else
			sd_text_format(&t, ":no");
	}
	free(c);
	return sd_text_take(&t, NULL);
}

char *lb_why_line(const char *candidates, const char *backend, uint32_t retries)
{
	struct sd_text t = {0};
	sd_text_format(&t, "X-Sdlab-Why: backend=");
	put_name(&t, backend);
	sd_text_format(&t, "; retries=%u; %s\r\n", retries, candidates);
	return sd_text_take(&t, NULL);
}
