/* ratelimit_api.c - decisions for others, over HTTP.
 *
 *	POST /take    {"rule": "login", "key": "alice", "cost": 1}      one limit, or {"limits": [...]}: all of them or none
 *	POST /peek    the same; nothing is taken
 *	POST /refund  the same with "taken", the time that the answer of /take told
 *	POST /settle  the same, and "used": what it did cost
 *	POST /forget  the same; the key is as new
 *	POST /json                  as envoy's rate limit service answers it     (ratelimit_foreign.c)
 *	POST /v1/GetRateLimits      as gubernator answers it
 *	GET  /healthcheck, /v1/HealthCheck
 *
 * In place of a rule's name a limit may be told with the question: {"algorithm": "gcra", "rate": "100/min", "burst": 20}.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/rate_text.h"
#include "core/units.h"
#include "ratelimit_api.h"

/* ---- answers ---- */

void rl_api_json(struct sd_http_exchange *x, int status, cJSON *tree)
{
	char *text = cJSON_PrintUnformatted(tree);
	cJSON_Delete(tree);
	sd_http_respond(x, text ? status : 503, "Cache-Control: no-store\r\n", "application/json", text ? text : "{}",
			text ? strlen(text) : 2);
	free(text);
}

static void release(struct rl_api_call *c)
{
	if (c->x)
		c->x->user = NULL;
	free(sd_text_take(&c->body, NULL));
	cJSON_Delete(c->tree);
	free(c);
}

void rl_api_answer(struct rl_api_call *c, int status, cJSON *tree)
{
	struct sd_http_exchange *x = c->x;
	release(c);
	rl_api_json(x, status, tree);
}

static cJSON *fault_tree(const char *text)
{
	cJSON *tree = cJSON_CreateObject();
	cJSON_AddStringToObject(tree, "error", text);
	return tree;
}

void rl_api_refuse(struct rl_api_call *c, int status, const char *fmt, ...)
{
	char text[320];
	va_list args;
	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	rl_api_answer(c, status, fault_tree(text));
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

const char *rl_json_text(const cJSON *object, const char *name)
{
	const cJSON *v = cJSON_GetObjectItemCaseSensitive(object, name);
	return cJSON_IsString(v) ? v->valuestring : NULL;
}

/* NULL, or what was expected. */
static const char *read_limit(const cJSON *o, struct sd_ratelimit_limit *l)
{
	static const char *const kinds[] = {"token-bucket", "gcra",           "leaky-bucket", "leaky-queue",
					    "fixed-window", "sliding-counter", "sliding-log"};
	const char *algorithm = rl_json_text(o, "algorithm"), *rate = rl_json_text(o, "rate");
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

/* What was taken, and when, of a question about that. */
static bool read_taken(const cJSON *o, int64_t now_ns, struct sd_limit_item *item)
{
	int64_t taken, used;
	if (!rl_json_int(o, "taken", 0, &taken) || !rl_json_int(o, "used", 0, &used) || used < 0 || used > UINT32_MAX || taken < 0)
		return false;
	item->used = (uint32_t)used;
	item->age_ns = taken && taken < now_ns ? now_ns - taken : 0;
	return true;
}

static const char *read_item(const struct sd_limits *policy, int64_t now_ns, const cJSON *o, struct sd_limit_item *item)
{
	const char *name = rl_json_text(o, "rule"), *key = rl_json_text(o, "key"), *fault = NULL;
	const struct sd_limit *rule = NULL;
	int64_t cost;
	*item = (struct sd_limit_item){0};
	if (!cJSON_IsObject(o) || !key)
		return "expected an object with \"key\" and \"rule\" or \"rate\"";
	if (name && !rl_json_text(o, "rate")) {
		rule = sd_limits_find(policy, sd_slice_of(name));
		if (!rule)
			return "rule: there is none of this name";
		item->limit = rule->limit;
	} else {
		fault = read_limit(o, &item->limit);
	}
	if (!rl_json_int(o, "cost", rule ? rule->cost : 1, &cost) || cost < 0 || cost > UINT32_MAX)
		fault = "cost: expected a number from 0 to 4294967295";
	if (!read_taken(o, now_ns, item))
		fault = "taken and used: expected numbers";
	rl_item_name(item, name ? name : "", sd_limits_scope(sd_slice_of(name ? name : "")), "");
	item->key = sd_slice_of(key);
	item->cost = (uint32_t)cost;
	return fault;
}

const char *rl_api_read(const struct sd_limits *policy, int64_t now_ns, const cJSON *body, struct rl_question *q)
{
	const cJSON *list = cJSON_GetObjectItemCaseSensitive(body, "limits"), *o;
	const char *fault = NULL;
	q->n = 0;
	q->strict = true;
	if (!list)
		return read_item(policy, now_ns, body, &q->items[q->n++]);
	if (!cJSON_IsArray(list) || !list->child || cJSON_GetArraySize(list) > RL_RULES)
		return "limits: expected a list of 1 to 16";
	for (o = list->child; o && !fault; o = o->next)
		fault = read_item(policy, now_ns, o, &q->items[q->n++]);
	return fault;
}

static cJSON *tell(const struct sd_ratelimit_answer *a, const char *name, bool open)
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
	if (open)
		cJSON_AddBoolToObject(o, "open", true);
	return o;
}

static void on_answered(void *arg, const struct rl_outcome *o)
{
	struct rl_api_call *c = arg;
	char taken[32];
	c->asked = NULL;
	if (o->how == RL_UNABLE) {
		rl_api_refuse(c, 501, "%s", o->why);
		return;
	}
	if (o->how == RL_NOBODY) {
		rl_api_refuse(c, 503, "who keeps these limits is not reached");
		return;
	}
	cJSON *tree = cJSON_CreateObject(), *list = cJSON_AddArrayToObject(tree, "limits");
	cJSON_AddBoolToObject(tree, "allowed", o->allowed);
	snprintf(taken, sizeof(taken), "%lld", (long long)rl_now(c->w));
	cJSON_AddStringToObject(tree, "taken", taken);
	for (size_t i = 0; i < o->n; i++)
		cJSON_AddItemToArray(list, tell(&o->answers[i], o->items[i].name, o->open >> i & 1));
	rl_api_answer(c, o->allowed ? 200 : 429, tree);
}

static void ask(struct rl_api_call *c, const cJSON *body, enum sd_limit_op op, bool all)
{
	struct rl_question q = {.op = op};
	const char *fault = rl_api_read(c->w->policy, rl_now(c->w), body, &q);
	if (fault) {
		rl_api_refuse(c, 400, "%s", fault);
		return;
	}
	for (size_t i = 0; all && i < q.n; i++)
		q.items[i].used = 0;
	rl_ask(c->w, &q, on_answered, c, &c->asked);
}

static void api_take(struct rl_api_call *c, const cJSON *body)
{
	ask(c, body, SD_LIMIT_TAKE, false);
}

static void api_peek(struct rl_api_call *c, const cJSON *body)
{
	ask(c, body, SD_LIMIT_PEEK, false);
}

static void api_refund(struct rl_api_call *c, const cJSON *body)
{
	ask(c, body, SD_LIMIT_SETTLE, true);
}

static void api_settle(struct rl_api_call *c, const cJSON *body)
{
	ask(c, body, SD_LIMIT_SETTLE, false);
}

static void api_forget(struct rl_api_call *c, const cJSON *body)
{
	ask(c, body, SD_LIMIT_FORGET, false);
}

static void health(struct rl_worker *w, struct sd_http_exchange *x)
{
	(void)w;
	sd_http_respond_text(x, 200, "OK");
}

static void gubernator_health(struct rl_worker *w, struct sd_http_exchange *x)
{
	cJSON *tree = cJSON_CreateObject();
	cJSON_AddStringToObject(tree, "status", "healthy");
	cJSON_AddStringToObject(tree, "message", "");
	cJSON_AddNumberToObject(tree, "peer_count", w->rl->nmembers ? w->rl->nmembers : 1);
	rl_api_json(x, 200, tree);
}

static const struct {
	const char *path;
	rl_api_fn *fn;                                                 /* of a question in a body, by POST; else */
	void (*tell)(struct rl_worker *w, struct sd_http_exchange *x); /* by GET */
} routes[] = {
    {"/take", api_take, NULL},
    {"/peek", api_peek, NULL},
    {"/refund", api_refund, NULL},
    {"/settle", api_settle, NULL},
    {"/forget", api_forget, NULL},
    {"/json", rl_api_envoy, NULL},
    {"/v1/GetRateLimits", rl_api_gubernator, NULL},
    {"/healthcheck", NULL, health},
    {"/v1/HealthCheck", NULL, gubernator_health},
};

/* ---- the server ---- */

static void refuse(struct sd_http_exchange *x, int status, const char *text)
{
	rl_api_json(x, status, fault_tree(text));
}

static void on_request(struct sd_http_exchange *x, const struct sd_http_head *head)
{
	struct rl_worker *w = x->server->arg;
	size_t i = 0, n = sizeof(routes) / sizeof(routes[0]);
	while (i < n && !sd_slice_eq(head->path, routes[i].path))
		i++;
	if (i == n) {
		refuse(x, 404, "expected /take, /peek, /refund, /settle, /forget, /json or /v1/GetRateLimits");
		return;
	}
	if (head->method != (routes[i].fn ? SD_HTTP_POST : SD_HTTP_GET)) {
		sd_http_refuse_as(x, 405, SD_PROXY_HTTP_REQUEST_DENIED, routes[i].fn ? "Allow: POST\r\n" : "Allow: GET\r\n", "wrong method");
		return;
	}
	sd_count(&w->asked, 1);
	if (routes[i].tell) {
		routes[i].tell(w, x);
		return;
	}
	struct rl_api_call *c = calloc(1, sizeof(*c));
	if (!c) {
		sd_http_refuse(x, 503, "out of memory");
		return;
	}
	*c = (struct rl_api_call){.w = w, .x = x, .fn = routes[i].fn};
	x->user = c;
}

static void on_body(struct sd_http_exchange *x, const char *p, size_t n)
{
	struct rl_api_call *c = x->user;
	if (c)
		sd_text_add(&c->body, p, n);
}

static void on_end(struct sd_http_exchange *x)
{
	struct rl_api_call *c = x->user;
	size_t n = 0;
	if (!c)
		return;
	char *text = sd_text_take(&c->body, &n);
	c->tree = text ? cJSON_ParseWithLength(text, n) : NULL;
	free(text);
	if (cJSON_IsObject(c->tree))
		c->fn(c, c->tree);
	else
		rl_api_refuse(c, 400, "expected a JSON object");
}

static void on_gone(struct sd_http_exchange *x)
{
	struct rl_api_call *c = x->user;
	if (!c)
		return;
	rl_ask_forget(c->asked);
	if (c->gone)
		c->gone(c->state);
	release(c);
}

const struct sd_http_handler rl_api_handler = {
    .request = on_request,
    .body = on_body,
    .end = on_end,
    .gone = on_gone,
};
