/* ratelimit_peers.c - decisions in the words of other rate limiters.
 *
 * envoy's rate limit service: POST /json takes {"domain", "descriptors": [{"entries": [{"key", "value"}]}], "hitsAddend"} and
 * answers with {"overallCode", "statuses": [...]}, 429 when one is over. A rule with `descriptor` is for descriptors with as many
 * entries, whose keys and values are its own; a value is more specific than any, and * at its end stands for any rest. Each
 * descriptor counts for itself, by all its values.
 *
 * gubernator: POST /v1/GetRateLimits takes {"requests": [{"name", "unique_key", "hits", "limit", "duration", "algorithm", "behavior"}]}. Its
 * token bucket is filled all at once when its duration is over: a window that begins with its first request. Integers are text.
 */
#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ratelimit.h"

#define DESCRIPTORS 64 /* of one question */

static const char *text_of(const cJSON *object, const char *name)
{
	const cJSON *v = cJSON_GetObjectItemCaseSensitive(object, name);
	return cJSON_IsString(v) ? v->valuestring : NULL;
}

/* ---- envoy ---- */

/* 0: not this entry; 1: any value; 2: one that begins so; 3: this one. */
static unsigned entry_fits(const struct sd_limit_entry *e, const cJSON *entry)
{
	const char *key = text_of(entry, "key"), *value = text_of(entry, "value");
	if (!key || strcmp(key, e->key) != 0)
		return 0;
	if (!e->value)
		return 1;
	size_t n = strlen(e->value);
	if (n > 0 && e->value[n - 1] == '*')
		return value && strncmp(value, e->value, n - 1) == 0 ? 2 : 0;
	return value && strcmp(value, e->value) == 0 ? 3 : 0;
}

/* How well a rule fits, as digits of its entries, the first the highest; 0: not at all. */
static unsigned rule_fits(const struct sd_limit *rule, const char *domain, const cJSON *entries)
{
	unsigned fits = 0;
	size_t i = 0;
	if (!rule->nentries || (rule->domain && strcmp(rule->domain, domain) != 0))
		return 0;
	for (const cJSON *e = entries->child; e; e = e->next, i++) {
		unsigned one = i < rule->nentries ? entry_fits(&rule->entries[i], e) : 0;
		if (!one)
			return 0;
		fits = fits * 4 + one;
	}
	return i == rule->nentries ? fits : 0;
}

static const struct sd_limit *rule_for(const struct sd_limits *p, const char *domain, const cJSON *entries)
{
	const struct sd_limit *best = NULL;
	unsigned most = 0;
	for (size_t i = 0; i < p->n; i++) {
		unsigned fits = rule_fits(&p->rules[i], domain, entries);
		if (fits > most) {
			most = fits;
			best = &p->rules[i];
		}
	}
	return best;
}

/* All keys and values, each with an end that none of them has: JSON's zero byte ends a text. */
static struct sd_text key_of(const char *domain, const cJSON *entries)
{
	struct sd_text t = {0};
	sd_text_add(&t, domain, strlen(domain) + 1);
	for (const cJSON *e = entries->child; e; e = e->next) {
		const char *key = text_of(e, "key"), *value = text_of(e, "value");
		sd_text_add(&t, key ? key : "", (key ? strlen(key) : 0) + 1);
		sd_text_add(&t, value ? value : "", (value ? strlen(value) : 0) + 1);
	}
	return t;
}

static const char *unit_of(int64_t period_ns)
{
	static const struct {
		int64_t seconds;
		const char *name;
	} units[] = {{1, "SECOND"}, {60, "MINUTE"}, {3600, "HOUR"}, {86400, "DAY"}};
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (period_ns == units[i].seconds * 1000000000)
			return units[i].name;
	return "UNKNOWN";
}

/* As JSON of protocol buffers has it: what is 0 is left out. */
static cJSON *envoy_status(const struct sd_limit *rule, const struct sd_ratelimit_answer *a, bool over)
{
	char reset[32];
	cJSON *o = cJSON_CreateObject();
	cJSON_AddStringToObject(o, "code", over ? "OVER_LIMIT" : "OK");
	if (!rule)
		return o;
	cJSON *limit = cJSON_AddObjectToObject(o, "currentLimit");
	cJSON_AddStringToObject(limit, "name", rule->name);
	cJSON_AddNumberToObject(limit, "requestsPerUnit", rule->limit.count);
	cJSON_AddStringToObject(limit, "unit", unit_of(rule->limit.period_ns));
	if (a->remaining)
		cJSON_AddNumberToObject(o, "limitRemaining", a->remaining);
	snprintf(reset, sizeof(reset), "%llds", (long long)sd_limits_seconds(a->allowed ? a->reset_ns : a->retry_ns));
	cJSON_AddStringToObject(o, "durationUntilReset", reset);
	return o;
}

/* NULL: out of memory. */
static cJSON *ask_descriptor(struct rl_worker *w, const char *domain, const cJSON *entries, uint32_t hits, bool *over)
{
	const struct sd_limit *rule = rule_for(w->policy, domain, entries);
	struct sd_ratelimit_answer a;
	if (!rule)
		return envoy_status(NULL, NULL, false);
	struct sd_text t = key_of(domain, entries);
	size_t n = 0;
	char *key = sd_text_take(&t, &n);
	if (!key)
		return NULL;
	struct sd_ratelimit_ask ask = {&rule->limit, rule->scope, {key, n}, hits};
	bool allowed = sd_ratelimit_take(w->rl->table, &ask, 1, rl_now(w), &a) == SD_OK;
	free(key);
	rl_counted(w, rule, allowed);
	*over |= !allowed && !rule->shadow;
	return envoy_status(rule, &a, !allowed && !rule->shadow);
}

static bool descriptors_are_sound(const cJSON *list)
{
	if (!cJSON_IsArray(list) || cJSON_GetArraySize(list) < 1 || cJSON_GetArraySize(list) > DESCRIPTORS)
		return false;
	for (const cJSON *d = list->child; d; d = d->next) {
		const cJSON *entries = cJSON_GetObjectItemCaseSensitive(d, "entries");
		if (!cJSON_IsArray(entries) || !entries->child)
			return false;
	}
	return true;
}

void rl_api_envoy(struct rl_worker *w, struct sd_http_exchange *x, const cJSON *body)
{
	const char *domain = text_of(body, "domain");
	const cJSON *list = cJSON_GetObjectItemCaseSensitive(body, "descriptors");
	int64_t hits;
	bool over = false;
	if (!domain || !*domain || !descriptors_are_sound(list)) {
		rl_api_fail(x, 400, "expected a domain and 1 to %d descriptors with entries", DESCRIPTORS);
		return;
	}
	bool named = cJSON_GetObjectItemCaseSensitive(body, "hits_addend");
	if (!rl_json_int(body, named ? "hits_addend" : "hitsAddend", 1, &hits) || hits < 0 || hits > UINT32_MAX) {
		rl_api_fail(x, 400, "hitsAddend: expected a number from 0 to 4294967295");
		return;
	}
	cJSON *tree = cJSON_CreateObject(), *statuses = cJSON_CreateArray();
	for (const cJSON *d = list->child; d; d = d->next)
		cJSON_AddItemToArray(statuses, ask_descriptor(w, domain, cJSON_GetObjectItemCaseSensitive(d, "entries"),
							      hits ? (uint32_t)hits : 1, &over));
	cJSON_AddStringToObject(tree, "overallCode", over ? "OVER_LIMIT" : "OK");
	cJSON_AddItemToObject(tree, "statuses", statuses);
	rl_api_json(x, over ? 429 : 200, tree);
}

/* ---- gubernator ---- */

/* Bits of its behaviour that mean something here. */
enum { RESET_REMAINING = 8, DRAIN_OVER_LIMIT = 32 };

static void add_int(cJSON *o, const char *name, int64_t v)
{
	char text[32];
	snprintf(text, sizeof(text), "%lld", (long long)v);
	cJSON_AddStringToObject(o, name, text);
}

static cJSON *gubernator_error(const char *text)
{
	cJSON *o = cJSON_CreateObject();
	cJSON_AddStringToObject(o, "status", "UNDER_LIMIT");
	cJSON_AddStringToObject(o, "error", text);
	return o;
}

static int64_t behaviour_of(const cJSON *o)
{
	const char *name = text_of(o, "behavior");
	int64_t bits = 0;
	if (name && strcmp(name, "RESET_REMAINING") == 0)
		return RESET_REMAINING;
	if (name && strcmp(name, "DRAIN_OVER_LIMIT") == 0)
		return DRAIN_OVER_LIMIT;
	return !name && rl_json_int(o, "behavior", 0, &bits) ? bits : 0;
}

static bool is_leaky(const cJSON *o)
{
	const char *name = text_of(o, "algorithm");
	int64_t number = 0;
	return name ? strcmp(name, "LEAKY_BUCKET") == 0 : rl_json_int(o, "algorithm", 0, &number) && number == 1;
}

/* NULL, or what is wrong. */
static const char *read_gubernator(const cJSON *o, struct sd_ratelimit_limit *l, int64_t *hits)
{
	const int64_t most = UINT32_MAX;
	int64_t limit, duration, burst;
	if (!rl_json_int(o, "hits", 0, hits) || !rl_json_int(o, "limit", 0, &limit) || !rl_json_int(o, "duration", 0, &duration) ||
	    !rl_json_int(o, "burst", 0, &burst))
		return "hits, limit, duration and burst: expected integers";
	if (limit < 1 || limit > most)
		return "limit: expected 1 to 4294967295";
	if (burst < 0 || burst > most || *hits < -most || *hits > most)
		return "hits and burst: expected at most 4294967295";
	if (duration < 1 || duration > INT64_C(1000000) * 86400 * 366)
		return "duration: expected milliseconds, from 1";
	*l = (struct sd_ratelimit_limit){
	    .kind = is_leaky(o) ? SD_RATELIMIT_LEAKY_METER : SD_RATELIMIT_FIXED_WINDOW,
	    .count = (uint32_t)limit,
	    .burst = (uint32_t)(burst ? burst : limit),
	    .period_ns = duration * 1000000,
	};
	return sd_ratelimit_check(l, NULL) ? "duration: expected a bucket that fills within 36 years" : NULL;
}

static void take_gubernator(struct rl_worker *w, struct sd_ratelimit_ask *ask, int64_t hits, int64_t behaviour,
			    struct sd_ratelimit_answer *a)
{
	struct sd_ratelimit *table = w->rl->table;
	int64_t now = rl_now(w);
	ask->cost = (uint32_t)(hits < 0 ? -hits : hits);
	if (behaviour & RESET_REMAINING)
		sd_ratelimit_forget(table, ask);
	if (hits < 0) { /* given back */
		sd_ratelimit_refund(table, ask, now, now);
		ask->cost = 0;
	}
	if (sd_ratelimit_take(table, ask, 1, now, a) == SD_EAGAIN && behaviour & DRAIN_OVER_LIMIT) {
		sd_ratelimit_charge(table, ask, now);
		a->remaining = 0;
	}
}

static cJSON *ask_gubernator(struct rl_worker *w, const cJSON *o)
{
	struct sd_ratelimit_limit limit;
	struct sd_ratelimit_answer a;
	int64_t hits;
	const char *name = text_of(o, "name"), *key = text_of(o, "unique_key");
	if (!key)
		key = text_of(o, "uniqueKey");
	if (!key || !*key)
		return gubernator_error("field 'unique_key' cannot be empty");
	if (!name || !*name)
		return gubernator_error("field 'namespace' cannot be empty");
	const char *fault = read_gubernator(o, &limit, &hits);
	if (fault)
		return gubernator_error(fault);
	struct sd_ratelimit_ask ask = {&limit, sd_limits_scope(sd_slice_of(name)) + 1, sd_slice_of(key), 0};
	take_gubernator(w, &ask, hits, behaviour_of(o), &a);
	cJSON *out = cJSON_CreateObject();
	cJSON_AddStringToObject(out, "status", a.allowed ? "UNDER_LIMIT" : "OVER_LIMIT");
	add_int(out, "limit", limit.count);
	add_int(out, "remaining", a.remaining);
	add_int(out, "reset_time", (rl_now(w) + a.reset_ns + 999999) / 1000000);
	cJSON_AddStringToObject(out, "error", "");
	cJSON_AddObjectToObject(out, "metadata");
	return out;
}

void rl_api_gubernator(struct rl_worker *w, struct sd_http_exchange *x, const cJSON *body)
{
	const cJSON *list = cJSON_GetObjectItemCaseSensitive(body, "requests");
	if (!cJSON_IsArray(list) || cJSON_GetArraySize(list) > 1000) {
		rl_api_fail(x, 400, "requests: expected a list of at most 1000");
		return;
	}
	cJSON *tree = cJSON_CreateObject(), *out = cJSON_AddArrayToObject(tree, "responses");
	for (const cJSON *o = list->child; o; o = o->next)
		cJSON_AddItemToArray(out, ask_gubernator(w, o));
	rl_api_json(x, 200, tree);
}
