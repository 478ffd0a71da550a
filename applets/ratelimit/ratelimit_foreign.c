/* ratelimit_foreign.c - decisions in the words of other rate limiters.
 *
 * envoy's rate limit service: POST /json takes {"domain", "descriptors": [{"entries": [{"key", "value"}]}], "hitsAddend"} and
 * answers with {"overallCode", "statuses": [...]}, 429 when one is over. A rule with `descriptor` is for descriptors with as many
 * entries, whose keys and values are its own; a value is more specific than any, and * at its end stands for any rest. Each
 * descriptor counts for itself, by all its values.
 *
 * gubernator: POST /v1/GetRateLimits takes {"requests": [{"name", "unique_key", "hits", "limit", "duration", "algorithm", "behavior"}]}. Its
 * token bucket is filled all at once when its duration is over: a window that begins with its first request. Integers are text.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ratelimit_api.h"

#define DESCRIPTORS 64 /* of one question */

/* ---- several questions of one body ---- */

/* One of them. */
struct one {
	struct batch *batch;
	struct rl_asked *asked;
	cJSON *answer;
	/* envoy's */
	const struct sd_limit *rule;
	/* gubernator's */
	struct sd_limit_item item;
	int64_t hits, behaviour;
	enum { RESET, BACK, TAKE, DRAIN } step;
};

struct batch {
	struct rl_api_call *call;
	struct sd_limits *policy; /* whose rules these are: a reload may come meanwhile */
	bool over;
	void (*end)(struct batch *b);
	size_t n, left;
	struct one ones[];
};

static void free_batch(void *arg)
{
	struct batch *b = arg;
	for (size_t i = 0; i < b->n; i++) {
		rl_ask_forget(b->ones[i].asked);
		cJSON_Delete(b->ones[i].answer);
	}
	sd_limits_release(b->policy);
	free(b);
}

/* left counts one more, until all were asked. NULL: it was answered. */
static struct batch *new_batch(struct rl_api_call *c, size_t n, void (*end)(struct batch *b))
{
	struct batch *b = calloc(1, sizeof(*b) + n * sizeof(b->ones[0]));
	if (!b) {
		rl_api_refuse(c, 503, "out of memory");
		return NULL;
	}
	*b = (struct batch){.call = c, .policy = sd_limits_hold(c->w->policy), .end = end, .n = n, .left = n + 1};
	for (size_t i = 0; i < n; i++)
		b->ones[i].batch = b;
	c->state = b;
	c->gone = free_batch;
	return b;
}

static void one_less(struct batch *b)
{
	if (b && --b->left == 0)
		b->end(b);
}

static void answered(struct one *o, cJSON *answer)
{
	o->answer = answer;
	one_less(o->batch);
}

/* All answers as a list, and the batch is gone. */
static cJSON *take_answers(struct batch *b)
{
	cJSON *list = cJSON_CreateArray();
	for (size_t i = 0; i < b->n; i++) {
		cJSON_AddItemToArray(list, b->ones[i].answer);
		b->ones[i].answer = NULL;
	}
	b->call->gone = NULL;
	free_batch(b);
	return list;
}

/* ---- envoy ---- */

/* 0: not this entry; 1: any value; 2: one that begins so; 3: this one. */
static unsigned entry_fits(const struct sd_limit_entry *e, const cJSON *entry)
{
	const char *key = rl_json_text(entry, "key"), *value = rl_json_text(entry, "value");
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
		const char *key = rl_json_text(e, "key"), *value = rl_json_text(e, "value");
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

static void on_descriptor(void *arg, const struct rl_outcome *out)
{
	struct one *o = arg;
	bool refused = !out->allowed;
	o->asked = NULL;
	if (out->how == RL_DECIDED && !out->open)
		sd_limit_counted(&o->batch->call->w->counts, o->rule, !refused);
	refused &= !o->rule->shadow;
	o->batch->over |= refused;
	answered(o, envoy_status(out->how == RL_DECIDED ? o->rule : NULL, out->answers, refused));
}

static void ask_descriptor(struct one *o, const char *domain, const cJSON *entries, uint32_t hits)
{
	struct rl_question q = {.op = SD_LIMIT_TAKE, .n = 1};
	size_t n = 0;
	o->rule = rule_for(o->batch->policy, domain, entries);
	if (!o->rule) {
		answered(o, envoy_status(NULL, NULL, false));
		return;
	}
	struct sd_text t = key_of(domain, entries);
	char *key = sd_text_take(&t, &n);
	q.items[0] = (struct sd_limit_item){.limit = o->rule->limit, .scope = o->rule->scope, .key = {key, key ? n : 0}, .cost = hits};
	snprintf(q.items[0].name, sizeof(q.items[0].name), "%s", o->rule->name);
	rl_ask(o->batch->call->w, &q, on_descriptor, o, &o->asked);
	free(key);
}

static void end_envoy(struct batch *b)
{
	struct rl_api_call *c = b->call;
	bool over = b->over;
	cJSON *tree = cJSON_CreateObject();
	cJSON_AddStringToObject(tree, "overallCode", over ? "OVER_LIMIT" : "OK");
	cJSON_AddItemToObject(tree, "statuses", take_answers(b));
	rl_api_answer(c, over ? 429 : 200, tree);
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

void rl_api_envoy(struct rl_api_call *c, const cJSON *body)
{
	const char *domain = rl_json_text(body, "domain");
	const cJSON *list = cJSON_GetObjectItemCaseSensitive(body, "descriptors");
	int64_t hits;
	if (!domain || !*domain || !descriptors_are_sound(list)) {
		rl_api_refuse(c, 400, "expected a domain and 1 to %d descriptors with entries", DESCRIPTORS);
		return;
	}
	bool named = cJSON_GetObjectItemCaseSensitive(body, "hits_addend");
	if (!rl_json_int(body, named ? "hits_addend" : "hitsAddend", 1, &hits) || hits < 0 || hits > UINT32_MAX) {
		rl_api_refuse(c, 400, "hitsAddend: expected a number from 0 to 4294967295");
		return;
	}
	struct batch *b = new_batch(c, (size_t)cJSON_GetArraySize(list), end_envoy);
	size_t i = 0;
	if (!b)
		return;
	for (const cJSON *d = list->child; d; d = d->next)
		ask_descriptor(&b->ones[i++], domain, cJSON_GetObjectItemCaseSensitive(d, "entries"), hits ? (uint32_t)hits : 1);
	one_less(b);
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
	const char *name = rl_json_text(o, "behavior");
	int64_t bits = 0;
	if (name && strcmp(name, "RESET_REMAINING") == 0)
		return RESET_REMAINING;
	if (name && strcmp(name, "DRAIN_OVER_LIMIT") == 0)
		return DRAIN_OVER_LIMIT;
	return !name && rl_json_int(o, "behavior", 0, &bits) ? bits : 0;
}

static bool is_leaky(const cJSON *o)
{
	const char *name = rl_json_text(o, "algorithm");
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

static void next_step(struct one *o);

static cJSON *tell_gubernator(const struct one *o, const struct sd_ratelimit_answer *a, bool drained)
{
	cJSON *out = cJSON_CreateObject();
	cJSON_AddStringToObject(out, "status", a->allowed && !drained ? "UNDER_LIMIT" : "OVER_LIMIT");
	add_int(out, "limit", o->item.limit.count);
	add_int(out, "remaining", a->remaining);
	add_int(out, "reset_time", (rl_now(o->batch->call->w) + a->reset_ns + 999999) / 1000000);
	cJSON_AddStringToObject(out, "error", "");
	cJSON_AddObjectToObject(out, "metadata");
	return out;
}

static void on_step(void *arg, const struct rl_outcome *out)
{
	struct one *o = arg;
	o->asked = NULL;
	if (out->how == RL_UNABLE) {
		answered(o, gubernator_error(out->why));
	} else if (out->how == RL_NOBODY) {
		answered(o, gubernator_error("who keeps these limits is not reached"));
	} else if (o->step < TAKE || (o->step == TAKE && !out->allowed && o->behaviour & DRAIN_OVER_LIMIT)) {
		o->step++;
		next_step(o);
	} else {
		answered(o, tell_gubernator(o, out->answers, o->step == DRAIN));
	}
}

static void ask_step(struct one *o, enum sd_limit_op op, int64_t cost, int64_t used)
{
	struct rl_question q = {.op = op, .strict = true, .n = 1, .items = {o->item}};
	q.items[0].cost = (uint32_t)cost;
	q.items[0].used = (uint32_t)used;
	rl_ask(o->batch->call->w, &q, on_step, o, &o->asked);
}

/* A reset, then what is given back or taken, and what is there is taken when that was too much. */
static void next_step(struct one *o)
{
	if (o->step == RESET && !(o->behaviour & RESET_REMAINING))
		o->step = BACK;
	if (o->step == BACK && o->hits >= 0)
		o->step = TAKE;
	switch (o->step) {
	case RESET: ask_step(o, SD_LIMIT_FORGET, 0, 0); break;
	case BACK: ask_step(o, SD_LIMIT_SETTLE, -o->hits, 0); break;
	case TAKE: ask_step(o, SD_LIMIT_TAKE, o->hits < 0 ? 0 : o->hits, 0); break;
	case DRAIN: ask_step(o, SD_LIMIT_SETTLE, 0, o->hits); break;
	}
}

static void ask_gubernator(struct one *o, const cJSON *json)
{
	const char *name = rl_json_text(json, "name"), *key = rl_json_text(json, "unique_key");
	if (!key)
		key = rl_json_text(json, "uniqueKey");
	const char *fault = !key || !*key	? "field 'unique_key' cannot be empty"
			    : !name || !*name	? "field 'namespace' cannot be empty"
						: read_gubernator(json, &o->item.limit, &o->hits);
	if (fault) {
		answered(o, gubernator_error(fault));
		return;
	}
	rl_item_name(&o->item, name, sd_limits_scope(sd_slice_of(name)) + 1, "/");
	o->item.key = sd_slice_of(key);
	o->behaviour = behaviour_of(json);
	next_step(o);
}

static void end_gubernator(struct batch *b)
{
	struct rl_api_call *c = b->call;
	cJSON *tree = cJSON_CreateObject();
	cJSON_AddItemToObject(tree, "responses", take_answers(b));
	rl_api_answer(c, 200, tree);
}

void rl_api_gubernator(struct rl_api_call *c, const cJSON *body)
{
	const cJSON *list = cJSON_GetObjectItemCaseSensitive(body, "requests");
	if (!cJSON_IsArray(list) || cJSON_GetArraySize(list) > 1000) {
		rl_api_refuse(c, 400, "requests: expected a list of at most 1000");
		return;
	}
	struct batch *b = new_batch(c, (size_t)cJSON_GetArraySize(list), end_gubernator);
	size_t i = 0;
	if (!b)
		return;
	for (const cJSON *json = list->child; json; json = json->next)
		ask_gubernator(&b->ones[i++], json);
	one_less(b);
}
