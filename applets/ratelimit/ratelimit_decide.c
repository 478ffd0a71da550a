/* ratelimit_decide.c - which rules a request comes under, whose it is, and what they say. */
#include <string.h>

#include "core/client_key.h"
#include "core/http_path.h"
#include "core/proxy_head.h"
#include "ratelimit.h"

#define KEY_ROOM 1024 /* of one rule; a value that does not fit is hashed */

/* A request as rules see it. */
struct asking {
	const struct sd_http_head *head;
	struct sd_slice path; /* in normal form */
	struct sd_peer who;
};

struct key {
	char bytes[KEY_ROOM];
	size_t n;
};

/* ---- keys ---- */

/* Each part with its kind and length, so that no two lists of parts look alike. */
static void add(struct key *k, char kind, const void *p, size_t n)
{
	static const struct sd_siphash_key fixed = {0x726c, 0x6b6579};
	uint64_t hash;
	if (n > KEY_ROOM / RL_PARTS - 4) {
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

static void add_address(struct key *k, const struct asking *a)
{
	struct sd_client_key client = {0};
	sd_client_key_of(&a->who, &client); /* those without an address are one */
	add(k, RL_ADDRESS, client.bytes, sizeof(client.bytes));
}

/* A field's value; who does not send it is counted by address, since all who leave it away would else share one limit. */
static void add_field(struct key *k, enum rl_part_kind kind, const struct asking *a, const char *name, const char *or_name)
{
	const struct sd_http_field *f = sd_http_find_name(a->head, name);
	if (!f && or_name)
		f = sd_http_find_name(a->head, or_name);
	if (f && f->value.n)
		add(k, (char)kind, f->value.p, f->value.n);
	else
		add_address(k, a);
}

static void add_part(struct key *k, const struct rl_part *part, const struct asking *a)
{
	switch (part->kind) {
	case RL_ADDRESS: add_address(k, a); break;
	case RL_API_KEY: add_field(k, RL_API_KEY, a, "x-api-key", "authorization"); break;
	case RL_HEADER: add_field(k, RL_HEADER, a, part->name, NULL); break;
	case RL_PATH: add(k, RL_PATH, a->path.p, a->path.n); break;
	case RL_METHOD: add(k, RL_METHOD, a->head->method_text.p, a->head->method_text.n); break;
	case RL_HOST: add(k, RL_HOST, a->head->host.p, a->head->host.n); break;
	case RL_ALL: break;
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

static bool applies(const struct rl_rule *rule, const struct asking *a)
{
	return rule->nentries == 0 && (!rule->path || path_begins(a->path, rule->path)) &&
	       (!rule->host || sd_slice_ieq(a->head->host, rule->host)) &&
	       (!rule->method || sd_slice_eq(a->head->method_text, rule->method));
}

void rl_counted(struct rl_worker *w, const struct rl_rule *rule, bool allowed)
{
	enum rl_count what = allowed ? RL_ALLOWED : rule->shadow ? RL_SHADOWED : RL_REFUSED;
	sd_count(&w->counts[rule->tally][what], 1);
}

/* Those in shadow are asked for themselves: they must not keep others from counting. */
static void ask_shadow(struct rl_worker *w, const struct rl_rule *rule, const struct sd_ratelimit_ask *ask)
{
	struct sd_ratelimit_answer a;
	if (w->store)
		rl_store_ask(w, &rule, ask, 1, NULL, NULL, NULL);
	else
		rl_counted(w, rule, sd_ratelimit_take(w->rl->table, ask, 1, rl_now(w), &a) == SD_OK);
}

void rl_judge(struct rl_worker *w, struct rl_verdict *v)
{
	for (size_t i = 0; i < v->n; i++) {
		/* a rule that would have let it through has not refused it, and nothing was taken of it */
		if (v->allowed || !v->answers[i].allowed)
			rl_counted(w, v->rules[i], v->answers[i].allowed);
		if (v->allowed && v->answers[i].delay_ns > v->delay_ns)
			v->delay_ns = v->answers[i].delay_ns;
	}
}

static bool normal_path(struct rl_worker *w, const struct sd_http_head *head, struct sd_slice *out, const char **why)
{
	*out = head->path;
	if (head->path.n == 0 || head->path.p[0] != '/')
		return true; /* of OPTIONS and CONNECT */
	ssize_t n = sd_http_path_normalise(head->path, w->path, sizeof(w->path), why);
	*out = (struct sd_slice){w->path, n < 0 ? 0 : (size_t)n};
	return n >= 0;
}

/* What is asked, of the rules that count, into v->rules and asks. */
static bool gather(struct rl_worker *w, const struct sd_http_head *head, const struct sd_peer *peer, struct rl_verdict *v,
		   struct sd_ratelimit_ask asks[RL_RULES], struct key keys[RL_RULES], const char **why)
{
	const struct rl_policy *p = w->policy;
	struct asking a = {.head = head, .who = sd_proxy_client(head, peer, p->trusted, p->ntrusted)};
	v->allowed = true;
	v->unknown = false;
	v->delay_ns = 0;
	v->n = 0;
	if (!normal_path(w, head, &a.path, why))
		return false;
	for (size_t i = 0; i < p->n; i++) {
		const struct rl_rule *rule = &p->rules[i];
		struct key *k = &keys[v->n];
		if (!applies(rule, &a))
			continue;
		k->n = 0;
		for (size_t j = 0; j < rule->nparts; j++)
			add_part(k, &rule->parts[j], &a);
		asks[v->n] = (struct sd_ratelimit_ask){&rule->limit, rule->scope, {k->bytes, k->n}, rule->cost};
		if (rule->shadow)
			ask_shadow(w, rule, &asks[v->n]);
		else
			v->rules[v->n++] = rule;
	}
	return true;
}

bool rl_decide(struct rl_worker *w, const struct sd_http_head *head, const struct sd_peer *peer, struct rl_verdict *v,
	       const char **why)
{
	struct sd_ratelimit_ask asks[RL_RULES];
	struct key keys[RL_RULES];
	if (!gather(w, head, peer, v, asks, keys, why))
		return false;
	if (v->n) {
		v->allowed = sd_ratelimit_take(w->rl->table, asks, v->n, rl_now(w), v->answers) == SD_OK;
		rl_judge(w, v);
	}
	return true;
}

bool rl_decide_later(struct rl_worker *w, const struct sd_http_head *head, const struct sd_peer *peer, rl_decided *fn, void *arg,
		     struct rl_asked **asked, const char **why)
{
	struct sd_ratelimit_ask asks[RL_RULES];
	struct key keys[RL_RULES];
	struct rl_verdict v;
	if (!gather(w, head, peer, &v, asks, keys, why))
		return false;
	rl_store_ask(w, v.rules, asks, v.n, fn, arg, asked);
	return true;
}
