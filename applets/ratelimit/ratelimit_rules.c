/* ratelimit_rules.c - the rules of a request, asked where limits are shared. */
#include <stdio.h>
#include <stdlib.h>

#include "ratelimit_ask.h"

struct rl_rules_asked {
	struct rl_worker *w;
	struct sd_limits *policy; /* whose rules these are: a reload may come meanwhile */
	rl_decided *fn;
	void *arg;
	size_t n;
	const struct sd_limit *rules[RL_RULES];
};

/* Of what passed unasked nothing is told, and nothing counts. */
static void on_answered(void *arg, const struct rl_outcome *o)
{
	struct rl_rules_asked *a = arg;
	struct sd_limits_verdict v = {.allowed = o->allowed, .unknown = o->how != RL_DECIDED};
	for (size_t i = 0; i < o->n && !v.unknown; i++) {
		if (o->open >> i & 1)
			continue;
		v.rules[v.n] = a->rules[i];
		v.answers[v.n++] = o->answers[i];
	}
	rl_judge(a->w, &v);
	if (a->fn)
		a->fn(a->arg, a->policy, &v);
	sd_limits_release(a->policy);
	free(a);
}

void rl_rules_ask(struct rl_worker *w, const struct sd_limit *const *rules, const struct sd_ratelimit_ask *asks, size_t n,
		  rl_decided *fn, void *arg, struct rl_rules_asked **handle)
{
	struct rl_rules_asked *a = malloc(sizeof(*a));
	struct sd_limits_verdict unknown = {.unknown = true};
	struct rl_question q = {.op = SD_LIMIT_TAKE, .n = n};
	if (handle)
		*handle = a;
	if (!a) {
		if (fn)
			fn(arg, w->policy, &unknown);
		return;
	}
	*a = (struct rl_rules_asked){w, sd_limits_hold(w->policy), fn, arg, n, {0}};
	for (size_t i = 0; i < n; i++) {
		a->rules[i] = rules[i];
		q.items[i] = (struct sd_limit_item){.limit = *asks[i].limit, .scope = asks[i].scope, .key = asks[i].key, .cost = asks[i].cost};
		snprintf(q.items[i].name, sizeof(q.items[i].name), "%s", rules[i]->name);
	}
	rl_ask(w, &q, on_answered, a, NULL);
}

void rl_rules_forget(struct rl_rules_asked *a)
{
	if (a)
		a->fn = NULL;
}
