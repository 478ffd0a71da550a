/* limits_fields.c - what is told of a decision in the fields of an answer.
 *
 *	x        X-RateLimit-Limit: the rate's count; -Remaining; -Reset: when all is there again, in seconds since 1970
 *	draft6   RateLimit-Limit, -Remaining, -Reset in seconds from now, and -Policy (draft-ietf-httpapi-ratelimit-headers-06)
 *	draft7   RateLimit: limit=, remaining=, reset=, and RateLimit-Policy (-07)
 *	draft8   RateLimit and RateLimit-Policy as lists with the names of rules (-08 to -10)
 *
 * The first three know one limit: that of the rule that refuses longest, or has the smallest part left.
 */
#include <stdarg.h>
#include <stdio.h>

#include "limits.h"

struct lines {
	char *p;
	size_t n;
};

__attribute__((format(printf, 2, 3))) static void put(struct lines *l, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	int n = vsnprintf(l->p + l->n, SD_LIMITS_LINES - l->n, format, args);
	va_end(args);
	if (n > 0 && (size_t)n < SD_LIMITS_LINES - l->n)
		l->n += (size_t)n;
	l->p[l->n] = '\0';
}

/* Does `a` leave less than `b`? */
static bool is_tighter(const struct sd_ratelimit_answer *a, const struct sd_ratelimit_answer *b)
{
	if (a->allowed != b->allowed)
		return !a->allowed;
	if (!a->allowed)
		return a->retry_ns < 0 || (b->retry_ns >= 0 && a->retry_ns > b->retry_ns);
	return (uint64_t)a->remaining * b->most < (uint64_t)b->remaining * a->most;
}

size_t sd_limits_tightest(const struct sd_limits_verdict *v)
{
	size_t best = 0;
	for (size_t i = 1; i < v->n; i++)
		if (is_tighter(&v->answers[i], &v->answers[best]))
			best = i;
	return best;
}

/* How long a limit takes to give all it can: of a bucket the time to fill it. */
static int64_t window_s(const struct sd_ratelimit_limit *l)
{
	double ns = (double)l->period_ns * sd_ratelimit_most(l) / l->count;
	int64_t s = sd_limits_seconds((int64_t)ns);
	return s > 0 ? s : 1;
}

static void put_draft8(struct lines *l, const struct sd_limits_verdict *v)
{
	put(l, "RateLimit-Policy: ");
	for (size_t i = 0; i < v->n; i++)
		put(l, "%s\"%s\";q=%u;w=%lld", i ? ", " : "", v->rules[i]->name, v->answers[i].most,
		    (long long)window_s(&v->rules[i]->limit));
	put(l, "\r\nRateLimit: ");
	for (size_t i = 0; i < v->n; i++) {
		put(l, "%s\"%s\";r=%u", i ? ", " : "", v->rules[i]->name, v->answers[i].remaining);
		if (v->answers[i].next_ns > 0)
			put(l, ";t=%lld", (long long)sd_limits_seconds(v->answers[i].next_ns));
	}
	put(l, "\r\n");
}

size_t sd_limits_fields(const struct sd_limits *p, const struct sd_limits_verdict *v, int64_t now_ns, char out[SD_LIMITS_LINES])
{
	struct lines l = {out, 0};
	out[0] = '\0';
	if (v->n == 0)
		return 0;
	size_t i = sd_limits_tightest(v);
	const struct sd_ratelimit_answer *a = &v->answers[i];
	const struct sd_ratelimit_limit *limit = &v->rules[i]->limit;
	long long window = window_s(limit), reset = sd_limits_seconds(a->reset_ns);
	if (!v->allowed && a->retry_ns >= 0)
		put(&l, "Retry-After: %lld\r\n", (long long)sd_limits_seconds(a->retry_ns));
	if (p->headers & SD_LIMITS_X)
		put(&l, "X-RateLimit-Limit: %u\r\nX-RateLimit-Remaining: %u\r\nX-RateLimit-Reset: %lld\r\n", limit->count, a->remaining,
		    (long long)sd_limits_seconds(now_ns + a->reset_ns));
	if (p->headers & SD_LIMITS_DRAFT6)
		put(&l, "RateLimit-Policy: %u;w=%lld\r\nRateLimit-Limit: %u\r\nRateLimit-Remaining: %u\r\nRateLimit-Reset: %lld\r\n",
		    a->most, window, a->most, a->remaining, reset);
	if (p->headers & SD_LIMITS_DRAFT7)
		put(&l, "RateLimit-Policy: %u;w=%lld\r\nRateLimit: limit=%u, remaining=%u, reset=%lld\r\n", a->most, window, a->most,
		    a->remaining, reset);
	if (p->headers & SD_LIMITS_DRAFT8)
		put_draft8(&l, v);
	return l.n;
}
