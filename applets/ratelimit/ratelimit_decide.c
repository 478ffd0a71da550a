/* ratelimit_decide.c - a request put to the rules: those kept here, or shared with others. */
#include "core/http_path.h"
#include "core/proxy_head.h"
#include "ratelimit.h"

void rl_counted(struct rl_worker *w, const struct sd_limit *rule, bool allowed)
{
	sd_limit_counted(&w->counts, rule, allowed);
}

void rl_judge(struct rl_worker *w, struct sd_limits_verdict *v)
{
	sd_limits_judge(v, &w->counts);
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

bool rl_decide(struct rl_worker *w, const struct sd_http_head *head, const struct sd_peer *peer, struct sd_limits_verdict *v,
	       const char **why)
{
	const struct sd_limits *p = w->policy;
	struct sd_peer who = sd_proxy_client(head, peer, p->trusted, p->ntrusted);
	struct sd_limits_request r = {.head = head, .who = &who};
	if (!normal_path(w, head, &r.path, why))
		return false;
	sd_limits_decide(p, w->rl->table, &r, rl_now(w), &w->counts, v);
	return true;
}

bool rl_decide_later(struct rl_worker *w, const struct sd_http_head *head, const struct sd_peer *peer, rl_decided *fn, void *arg,
		     struct rl_rules_asked **asked, const char **why)
{
	const struct sd_limits *p = w->policy;
	struct sd_peer who = sd_proxy_client(head, peer, p->trusted, p->ntrusted);
	struct sd_limits_request r = {.head = head, .who = &who};
	struct sd_limits_asks a;
	if (!normal_path(w, head, &r.path, why))
		return false;
	sd_limits_gather(p, &r, &a);
	for (size_t i = SD_RATELIMIT_TOGETHER - a.nshadow; i < SD_RATELIMIT_TOGETHER; i++)
		rl_rules_ask(w, &a.rules[i], &a.asks[i], 1, NULL, NULL, NULL);
	rl_rules_ask(w, a.rules, a.asks, a.n, fn, arg, asked);
	return true;
}
