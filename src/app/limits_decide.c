/* limits_decide.c - which limits a request comes under, whose it is, and what they say. */
#include <string.h>

#include "core/client_key.h"
#include "limits.h"

/* ---- keys ---- */

/* Each part with its kind and length, so that no two lists of parts look alike. */
static void add(struct sd_limit_key *k, char kind, const void *p, size_t n)
{
	static const struct sd_siphash_key fixed = {0x726c, 0x6b6579};
	uint64_t hash;
	if (n > SD_LIMIT_KEY / SD_LIMIT_PARTS - 4) {
		hash = sd_siphash(&fixed, p, n);
		kind = (char)(kind | 0x40);
		p = &hash;
		n = sizeof(hash);
	}
	k->bytes[k->n++] = kind;
	k->bytes[k->n++] = (char)n;
	k->bytes[k->n++] = (char)(n >> 8);
	if (n)
		memcpy(k->bytes + k->n, p, n);
	k->n += n;
}

static void add_address(struct sd_limit_key *k, const struct sd_limits_request *a)
{
	struct sd_client_key client = {0};
	sd_client_key_of(a->who, &client); /* those without an address are one */
	add(k, SD_LIMIT_BY_ADDRESS, client.bytes, sizeof(client.bytes));
}

/* A field's value; who does not send it is counted by address, since all who leave it away would else share one limit. */
static void add_field(struct sd_limit_key *k, enum sd_limit_part_kind kind, const struct sd_limits_request *a, const char *name, const char *or_name)
{
	const struct sd_http_field *f = sd_http_find_name(a->head, name);
	if (!f && or_name)
		f = sd_http_find_name(a->head, or_name);
	if (f && f->value.n)
		add(k, (char)kind, f->value.p, f->value.n);
	else
		add_address(k, a);
}

static void add_part(struct sd_limit_key *k, const struct sd_limit_part *part, const struct sd_limits_request *a)
{
	switch (part->kind) {
	case SD_LIMIT_BY_ADDRESS: add_address(k, a); break;
	case SD_LIMIT_BY_API_KEY: add_field(k, SD_LIMIT_BY_API_KEY, a, "x-api-key", "authorization"); break;
	case SD_LIMIT_BY_HEADER: add_field(k, SD_LIMIT_BY_HEADER, a, part->name, NULL); break;
	case SD_LIMIT_BY_PATH: add(k, SD_LIMIT_BY_PATH, a->path.p, a->path.n); break;
	case SD_LIMIT_BY_METHOD: add(k, SD_LIMIT_BY_METHOD, a->head->method_text.p, a->head->method_text.n); break;
	case SD_LIMIT_BY_HOST: add(k, SD_LIMIT_BY_HOST, a->head->host.p, a->head->host.n); break;
	case SD_LIMIT_BY_ALL: break;
	}
}

/* ---- rules ---- */

/* Whole segments: /a is not the beginning of /ab. */
static bool path_begins(struct sd_slice path, const char *with)
{
	size_t n = strlen(with);
	if (!sd_slice_starts(path, with))
		return false;
	return with[n - 1] == '/' || path.n == n || path.p[n] == '/';
}

static bool applies(const struct sd_limit *rule, const struct sd_limits_request *a)
{
	if (rule->nentries || (rule->place && rule->place != a->place))
		return false;
	if (!a->head)
		return !rule->path && !rule->host && !rule->method;
	return (!rule->path || path_begins(a->path, rule->path)) && (!rule->host || sd_slice_ieq(a->head->host, rule->host)) &&
	       (!rule->method || sd_slice_eq(a->head->method_text, rule->method));
}

static void add_key(const struct sd_limit *rule, const struct sd_limits_request *r, struct sd_limit_key *k)
{
	k->n = 0;
	for (size_t i = 0; i < rule->nparts; i++)
		add_part(k, &rule->parts[i], r);
}

/* Those in shadow are asked for themselves, from the other end: they must not keep others from counting. */
void sd_limits_gather(const struct sd_limits *l, const struct sd_limits_request *r, struct sd_limits_asks *out)
{
	out->n = out->nshadow = 0;
	for (size_t i = 0; i < l->n && out->n + out->nshadow < SD_RATELIMIT_TOGETHER; i++) {
		const struct sd_limit *rule = &l->rules[i];
		if (!applies(rule, r))
			continue;
		size_t at = rule->shadow ? SD_RATELIMIT_TOGETHER - ++out->nshadow : out->n++;
		add_key(rule, r, &out->keys[at]);
		out->rules[at] = rule;
		out->asks[at] = (struct sd_ratelimit_ask){
		    &rule->limit, rule->scope, {out->keys[at].bytes, out->keys[at].n}, rule->cost};
	}
}

void sd_limit_counted(struct sd_limits_counts *c, const struct sd_limit *rule, bool allowed)
{
	enum sd_limit_count what = allowed ? SD_LIMIT_ALLOWED : rule->shadow ? SD_LIMIT_SHADOWED : SD_LIMIT_REFUSED;
	if (c)
		sd_count(&c->n[rule->tally][what], 1);
}

void sd_limits_judge(struct sd_limits_verdict *v, struct sd_limits_counts *counts)
{
	for (size_t i = 0; i < v->n; i++) {
		/* a rule that would have let it through has not refused it, and nothing was taken of it */
		if (v->allowed || !v->answers[i].allowed)
			sd_limit_counted(counts, v->rules[i], v->answers[i].allowed);
		if (v->allowed && v->answers[i].delay_ns > v->delay_ns)
			v->delay_ns = v->answers[i].delay_ns;
	}
}

void sd_limits_decide(const struct sd_limits *l, struct sd_ratelimit *table, const struct sd_limits_request *r, int64_t now_ns,
		      struct sd_limits_counts *counts, struct sd_limits_verdict *v)
{
	struct sd_limits_asks a;
	sd_limits_gather(l, r, &a);
	for (size_t i = SD_RATELIMIT_TOGETHER - a.nshadow; i < SD_RATELIMIT_TOGETHER; i++) {
		struct sd_ratelimit_answer shadow;
		sd_limit_counted(counts, a.rules[i], sd_ratelimit_take(table, &a.asks[i], 1, now_ns, &shadow) == SD_OK);
	}
	v->n = a.n;
	v->unknown = false;
	v->delay_ns = 0;
	v->allowed = a.n == 0 || sd_ratelimit_take(table, a.asks, a.n, now_ns, v->answers) == SD_OK;
	for (size_t i = 0; i < a.n; i++)
		v->rules[i] = a.rules[i];
	sd_limits_judge(v, counts);
}
