/* ratelimit_api.c - decisions for others, over HTTP.
 *
 *	POST /take    {"rule": "login", "key": "alice", "cost": 1}      one limit, or {"limits": [...]}: all of them or none
 *	POST /peek    the same; nothing is taken
 *	POST /refund  the same with "taken", the time that the answer of /take told
 *	POST /settle  the same, and "used": what it did cost
 *	POST /forget  the same; the key is as new
 *	POST /json                  as envoy's rate limit service answers it     (ratelimit_peers.c)
 *	POST /v1/GetRateLimits      as gubernator answers it
 *	GET  /healthcheck, /v1/HealthCheck
 *
 * In place of a rule's name a limit may be told with the question: {"algorithm": "gcra", "rate": "100/min", "burst": 20}.
 */
#include <cjson/cJSON.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/rate_text.h"
#include "core/units.h"
#include "ratelimit.h"

/* ---- answers ---- */

void rl_api_json(struct sd_http_exchange *x, int status, cJSON *tree)
{
	char *text = cJSON_PrintUnformatted(tree);
	cJSON_Delete(tree);
	sd_http_respond(x, text ? status : 503, "Cache-Control: no-store\r\n", "application/json", text ? text : "{}",
			text ? strlen(text) : 2);
	free(text);
}

void rl_api_fail(struct sd_http_exchange *x, int status, const char *fmt, ...)
{
	char text[256];
	cJSON *tree = cJSON_CreateObject();
	va_list args;
	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	cJSON_AddStringToObject(tree, "error", text);
	rl_api_json(x, status, tree);
}

/* Whole numbers up to 2^53 are exact in a double. */
#define EXACT 9007199254740992.0

bool rl_json_int(const cJSON *object, const char *name, int64_t def, int64_t *out)
{
	const cJSON *v = cJSON_GetObjectItemCaseSensitive(object, name);
	*out = def;
	if (!v || cJSON_IsNull(v))
		return true;
	if (cJSON_IsString(v))
		return sd_parse_int(v->valuestring, out) == SD_OK;
	bool whole = cJSON_IsNumber(v) && v->valuedouble >= -EXACT && v->valuedouble <= EXACT &&
		     (double)(int64_t)v->valuedouble == v->valuedouble;
	if (whole)
		*out = (int64_t)v->valuedouble;
	return whole;
}

/* ---- questions ---- */

/* One limit that is asked for. */
struct ask {
	struct sd_ratelimit_limit limit; /* told with the question */
	char name[SD_LIMIT_NAME];
	int64_t taken, used;
};

struct question {
	struct sd_ratelimit_ask asks[SD_RATELIMIT_TOGETHER];
	struct ask more[SD_RATELIMIT_TOGETHER];
	size_t n;
};

static const char *text_of(const cJSON *object, const char *name)
{
	const cJSON *v = cJSON_GetObjectItemCaseSensitive(object, name);
	return cJSON_IsString(v) ? v->valuestring : NULL;
}

/* NULL, or what was expected. */
static const char *read_limit(const cJSON *o, struct sd_ratelimit_limit *l)
{
	static const char *const kinds[] = {"token-bucket", "gcra",           "leaky-bucket", "leaky-queue",
					    "fixed-window", "sliding-counter", "sliding-log"};
	const char *algorithm = text_of(o, "algorithm"), *rate = text_of(o, "rate");
	int64_t burst, resolution;
	size_t k = 0;
	while (algorithm && k < sizeof(kinds) / sizeof(kinds[0]) && strcmp(algorithm, kinds[k]) != 0)
		k++;
	if (k == sizeof(kinds) / sizeof(kinds[0]))
		return "algorithm: expected token-bucket, gcra, leaky-bucket, leaky-queue, fixed-window, sliding-counter or sliding-log";
	*l = (struct sd_ratelimit_limit){.kind = (enum sd_ratelimit_kind)k};
	if (!rate || sd_parse_quota(rate, &l->count, &l->period_ns))
		return "rate: expected a text such as \"10\", \"100/min\" or \"1000/10m\"";
	if (!rl_json_int(o, "burst", l->count, &burst) || burst < 1 || burst > UINT32_MAX)
		return "burst: expected a number from 1 to 4294967295";
	if (!rl_json_int(o, "resolution", 0, &resolution) || resolution < 0 || resolution > 1000000)
		return "resolution: expected a number from 0 to 1000000";
	l->burst = (uint32_t)burst;
	l->buckets = (uint32_t)resolution;
	l->aligned = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(o, "aligned"));
	return sd_ratelimit_check(l, NULL) ? "rate: expected a bucket that fills within 36 years" : NULL;
}

static const char *read_ask(const struct rl_worker *w, const cJSON *o, struct question *q)
{
	struct sd_ratelimit_ask *ask = &q->asks[q->n];
	struct ask *more = &q->more[q->n];
	const char *name = text_of(o, "rule"), *key = text_of(o, "key"), *fault = NULL;
	const struct sd_limit *rule = NULL;
	int64_t cost;
	if (!cJSON_IsObject(o) || !key)
		return "expected an object with \"key\" and \"rule\" or \"rate\"";
	if (name && !text_of(o, "rate")) {
		rule = sd_limits_find(w->policy, sd_slice_of(name));
		if (!rule)
			return "rule: there is none of this name";
	} else {
		fault = read_limit(o, &more->limit);
	}
	if (!rl_json_int(o, "cost", rule ? rule->cost : 1, &cost) || cost < 0 || cost > UINT32_MAX)
		fault = "cost: expected a number from 0 to 4294967295";
	if (!rl_json_int(o, "taken", 0, &more->taken) || !rl_json_int(o, "used", 0, &more->used) || more->used < 0 ||
	    more->used > UINT32_MAX || more->taken < 0)
		fault = "taken and used: expected numbers";
	snprintf(more->name, sizeof(more->name), "%s", name ? name : "");
	*ask = (struct sd_ratelimit_ask){rule ? &rule->limit : &more->limit, sd_limits_scope(sd_slice_of(name ? name : "")),
					 sd_slice_of(key), (uint32_t)cost};
	q->n++;
	return fault;
}

/* False: it was answered. */
static bool read_question(struct rl_worker *w, struct sd_http_exchange *x, const cJSON *body, struct question *q)
{
	const cJSON *list = cJSON_GetObjectItemCaseSensitive(body, "limits"), *o;
	const char *fault = NULL;
	q->n = 0;
	if (!list) {
		fault = read_ask(w, body, q);
	} else if (!cJSON_IsArray(list) || !list->child || cJSON_GetArraySize(list) > SD_RATELIMIT_TOGETHER) {
		fault = "limits: expected a list of 1 to 16";
	} else {
		for (o = list->child; o && !fault; o = o->next)
			fault = read_ask(w, o, q);
	}
	if (fault)
		rl_api_fail(x, 400, "%s", fault);
	return !fault;
}

static cJSON *tell(const struct sd_ratelimit_answer *a, const char *name)
{
	cJSON *o = cJSON_CreateObject();
	if (name[0])
		cJSON_AddStringToObject(o, "rule", name);
	cJSON_AddBoolToObject(o, "allowed", a->allowed);
	cJSON_AddNumberToObject(o, "limit", a->most);
	cJSON_AddNumberToObject(o, "remaining", a->remaining);
	if (!a->allowed && a->retry_ns >= 0)
		cJSON_AddNumberToObject(o, "retry_after", (double)a->retry_ns / 1e9);
	cJSON_AddNumberToObject(o, "next", (double)a->next_ns / 1e9);
	cJSON_AddNumberToObject(o, "reset", (double)a->reset_ns / 1e9);
	if (a->delay_ns > 0)
		cJSON_AddNumberToObject(o, "delay", (double)a->delay_ns / 1e9);
	return o;
}

static void answer(struct rl_worker *w, struct sd_http_exchange *x, const struct question *q, enum sd_err err,
		   const struct sd_ratelimit_answer *answers)
{
	char taken[32];
	cJSON *tree = cJSON_CreateObject(), *list = cJSON_AddArrayToObject(tree, "limits");
	cJSON_AddBoolToObject(tree, "allowed", err == SD_OK);
	snprintf(taken, sizeof(taken), "%lld", (long long)rl_now(w));
	cJSON_AddStringToObject(tree, "taken", taken);
	for (size_t i = 0; i < q->n; i++)
		cJSON_AddItemToArray(list, tell(&answers[i], q->more[i].name));
	rl_api_json(x, err == SD_OK ? 200 : 429, tree);
}

static void api_take(struct rl_worker *w, struct sd_http_exchange *x, const cJSON *body)
{
	struct question q;
	struct sd_ratelimit_answer answers[SD_RATELIMIT_TOGETHER];
	if (read_question(w, x, body, &q))
		answer(w, x, &q, sd_ratelimit_take(w->rl->table, q.asks, q.n, rl_now(w), answers), answers);
}

static void api_peek(struct rl_worker *w, struct sd_http_exchange *x, const cJSON *body)
{
	struct question q;
	struct sd_ratelimit_answer answers[SD_RATELIMIT_TOGETHER];
	if (read_question(w, x, body, &q))
		answer(w, x, &q, sd_ratelimit_peek(w->rl->table, q.asks, q.n, rl_now(w), answers), answers);
}

/* Something is done to each key; the answer is how they are afterwards. */
static void change(struct rl_worker *w, struct sd_http_exchange *x, const cJSON *body,
		   void (*fn)(struct sd_ratelimit *table, const struct sd_ratelimit_ask *ask, const struct ask *more, int64_t now))
{
	struct question q;
	struct sd_ratelimit_answer answers[SD_RATELIMIT_TOGETHER];
	if (!read_question(w, x, body, &q))
		return;
	for (size_t i = 0; i < q.n; i++) {
		fn(w->rl->table, &q.asks[i], &q.more[i], rl_now(w));
		q.asks[i].cost = 0;
	}
	answer(w, x, &q, sd_ratelimit_peek(w->rl->table, q.asks, q.n, rl_now(w), answers), answers);
}

static void refund(struct sd_ratelimit *table, const struct sd_ratelimit_ask *ask, const struct ask *more, int64_t now)
{
	sd_ratelimit_refund(table, ask, more->taken ? more->taken : now, now);
}

static void settle(struct sd_ratelimit *table, const struct sd_ratelimit_ask *ask, const struct ask *more, int64_t now)
{
	sd_ratelimit_settle(table, ask, (uint32_t)more->used, more->taken ? more->taken : now, now);
}

static void forget(struct sd_ratelimit *table, const struct sd_ratelimit_ask *ask, const struct ask *more, int64_t now)
{
	(void)more;
	(void)now;
	sd_ratelimit_forget(table, ask);
}

static void api_refund(struct rl_worker *w, struct sd_http_exchange *x, const cJSON *body)
{
	change(w, x, body, refund);
}

static void api_settle(struct rl_worker *w, struct sd_http_exchange *x, const cJSON *body)
{
	change(w, x, body, settle);
}

static void api_forget(struct rl_worker *w, struct sd_http_exchange *x, const cJSON *body)
{
	change(w, x, body, forget);
}

static void api_health(struct rl_worker *w, struct sd_http_exchange *x, const cJSON *body)
{
	(void)w;
	(void)body;
	sd_http_respond_text(x, 200, "OK");
}

static void api_gubernator_health(struct rl_worker *w, struct sd_http_exchange *x, const cJSON *body)
{
	(void)w;
	(void)body;
	cJSON *tree = cJSON_CreateObject();
	cJSON_AddStringToObject(tree, "status", "healthy");
	cJSON_AddStringToObject(tree, "message", "");
	cJSON_AddNumberToObject(tree, "peer_count", 1);
	rl_api_json(x, 200, tree);
}

static const struct {
	const char *path;
	enum sd_http_method method;
	rl_api_fn fn;
} routes[] = {
    {"/take", SD_HTTP_POST, api_take},
    {"/peek", SD_HTTP_POST, api_peek},
    {"/refund", SD_HTTP_POST, api_refund},
    {"/settle", SD_HTTP_POST, api_settle},
    {"/forget", SD_HTTP_POST, api_forget},
    {"/json", SD_HTTP_POST, rl_api_envoy},
    {"/v1/GetRateLimits", SD_HTTP_POST, rl_api_gubernator},
    {"/healthcheck", SD_HTTP_GET, api_health},
    {"/v1/HealthCheck", SD_HTTP_GET, api_gubernator_health},
};

/* ---- the server ---- */

/* A question on its way. */
struct call {
	rl_api_fn fn;
	struct sd_text body;
};

static void on_request(struct sd_http_exchange *x, const struct sd_http_head *head)
{
	struct rl_worker *w = x->server->arg;
	size_t i = 0, n = sizeof(routes) / sizeof(routes[0]);
	while (i < n && !sd_slice_eq(head->path, routes[i].path))
		i++;
	if (i == n) {
		rl_api_fail(x, 404, "expected /take, /peek, /refund, /settle, /forget, /json or /v1/GetRateLimits");
		return;
	}
	if (head->method != routes[i].method) {
		sd_http_refuse_as(x, 405, SD_PROXY_HTTP_REQUEST_DENIED, routes[i].method == SD_HTTP_GET ? "Allow: GET\r\n" : "Allow: POST\r\n",
				  "wrong method");
		return;
	}
	sd_count(&w->asked, 1);
	if (routes[i].method == SD_HTTP_GET) {
		routes[i].fn(w, x, NULL);
		return;
	}
	struct call *c = calloc(1, sizeof(*c));
	if (!c) {
		sd_http_refuse(x, 503, "out of memory");
		return;
	}
	c->fn = routes[i].fn;
	x->user = c;
}

static void release(struct sd_http_exchange *x)
{
	struct call *c = x->user;
	if (c)
		free(sd_text_take(&c->body, NULL));
	free(c);
	x->user = NULL;
}

static void on_body(struct sd_http_exchange *x, const char *p, size_t n)
{
	struct call *c = x->user;
	if (c)
		sd_text_add(&c->body, p, n);
}

static void on_end(struct sd_http_exchange *x)
{
	struct call *c = x->user;
	if (!c)
		return;
	rl_api_fn fn = c->fn;
	size_t n = 0;
	char *text = sd_text_take(&c->body, &n);
	cJSON *tree = text ? cJSON_ParseWithLength(text, n) : NULL;
	release(x);
	if (cJSON_IsObject(tree))
		fn(x->server->arg, x, tree);
	else
		rl_api_fail(x, 400, "expected a JSON object");
	cJSON_Delete(tree);
	free(text);
}

static void on_gone(struct sd_http_exchange *x)
{
	release(x);
}

const struct sd_http_handler rl_api_handler = {
    .request = on_request,
    .body = on_body,
    .end = on_end,
    .gone = on_gone,
};
