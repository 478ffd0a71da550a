/* Windows that are counted: one alone, and two of which the first counts less and less. */
#include "ratelimit_int.h"

/* A cell as it stands at a moment under a limit. */
struct window {
	int64_t now, start;
	uint32_t used, before; /* in it, and in the one before */
};

static uint32_t at_most(uint64_t a, uint32_t b)
{
	return a < b ? (uint32_t)a : b;
}

/* ---- fixed ---- */

static struct window fixed_at(const struct rate_cell *c, const struct rate_call *call)
{
	const struct sd_ratelimit_limit *l = call->limit;
	struct window w = {.now = rate_later(call->now, c->period ? c->at : 0)};
	int64_t age = w.now - c->at, border = l->aligned ? w.now - w.now % l->period_ns : 0;
	bool over = age >= c->period || (!l->aligned && age >= l->period_ns);
	w.start = l->aligned ? border : over ? w.now : c->at;
	if (over)
		return w;
	if (c->at >= w.start)
		w.used = at_most(c->part, l->count);
	else /* its period was another: so much of what was used falls into this window */
		w.used = at_most(rate_div((rate_wide)c->part * (rate_wide)(w.now - w.start), (uint64_t)age), l->count);
	return w;
}

static void fixed_set(struct rate_cell *c, const struct rate_call *call, const struct window *w)
{
	c->at = w->start;
	c->period = call->limit->period_ns;
	c->part = w->used;
}

static void fixed_adopt(struct rate_cell *c, const struct rate_call *call)
{
	if (c->period == call->limit->period_ns)
		return;
	struct window w = fixed_at(c, call);
	fixed_set(c, call, &w);
}

static void fixed_ask(struct rate_cell *c, const struct rate_call *call, bool take, struct sd_ratelimit_answer *a)
{
	const struct sd_ratelimit_limit *l = call->limit;
	struct window w = fixed_at(c, call);
	int64_t end = w.start + l->period_ns - w.now;
	a->most = l->count;
	a->allowed = w.used + call->cost <= l->count;
	if (a->allowed)
		w.used += (uint32_t)call->cost;
	else
		a->retry_ns = call->cost > l->count ? -1 : end;
	a->remaining = l->count - w.used;
	a->next_ns = a->reset_ns = w.used ? end : 0;
	if (take && a->allowed)
		fixed_set(c, call, &w);
}

static void fixed_charge(struct rate_cell *c, const struct rate_call *call)
{
	struct window w = fixed_at(c, call);
	w.used = at_most(w.used + call->cost, call->limit->count);
	fixed_set(c, call, &w);
}

static void fixed_give(struct rate_cell *c, const struct rate_call *call, int64_t taken)
{
	struct window w = fixed_at(c, call);
	if (taken < w.start || w.used == 0)
		return;
	w.used -= at_most(call->cost, w.used);
	fixed_set(c, call, &w);
}

static int64_t fixed_ends(const struct rate_cell *c)
{
	return c->at + c->period;
}

const struct rate_class rate_fixed = {fixed_adopt, fixed_ask, fixed_charge, fixed_give, fixed_ends, NULL};

/* ---- sliding counter ---- */

/* With windows of this period, which is the cell's. */
static struct window counter_in(const struct rate_cell *c, int64_t now, int64_t period)
{
	struct window w = {.now = now, .start = now - now % period};
	int64_t behind = w.start - c->at;
	if (behind <= 0)
		w.used = c->part, w.before = c->count;
	else if (behind <= period)
		w.before = c->part;
	return w;
}

/* What counts now, times the period. */
static rate_wide counted(const struct window *w, int64_t period)
{
	return (rate_wide)w->before * (rate_wide)(period - (w->now - w->start)) + (rate_wide)w->used * (rate_wide)period;
}

static struct window counter_at(const struct rate_cell *c, const struct rate_call *call)
{
	const struct sd_ratelimit_limit *l = call->limit;
	int64_t now = rate_later(call->now, c->period ? c->at : 0), p = l->period_ns;
	struct window w = {.now = now, .start = now - now % p};
	if (c->period == p) {
		w = counter_in(c, now, p);
	} else if (c->period) {
		struct window was = counter_in(c, now, c->period);
		uint64_t units = rate_div(counted(&was, c->period), (uint64_t)c->period);
		w.used = at_most(p < c->period ? rate_div((rate_wide)units * (rate_wide)p, (uint64_t)c->period) : units, l->count);
	}
	w.used = at_most(w.used, l->count);
	w.before = at_most(w.before, l->count);
	return w;
}

/* How long until so many units fit, if nobody takes any: when enough of the window before has slid out, or, when this one
 * has too many by itself, of this one in the next. */
static int64_t counter_wait(const struct window *w, const struct sd_ratelimit_limit *l, uint64_t units)
{
	int64_t p = l->period_ns, passed = w->now - w->start;
	bool next = w->used + units > l->count;
	uint64_t sliding = next ? w->used : w->before, room = l->count - units - (next ? 0 : w->used);
	int64_t may_stay = sliding > room ? (int64_t)rate_div((rate_wide)room * (rate_wide)p, sliding) : p;
	return rate_later((next ? p : 0) + p - may_stay - passed, 0);
}

static void counter_set(struct rate_cell *c, const struct rate_call *call, const struct window *w)
{
	c->at = w->start;
	c->period = call->limit->period_ns;
	c->part = w->used;
	c->count = w->before;
}

static void counter_adopt(struct rate_cell *c, const struct rate_call *call)
{
	if (c->period == call->limit->period_ns)
		return;
	struct window w = counter_at(c, call);
	counter_set(c, call, &w);
}

static uint32_t counter_left(const struct window *w, const struct sd_ratelimit_limit *l)
{
	rate_wide all = (rate_wide)l->count * (rate_wide)l->period_ns, now = counted(w, l->period_ns);
	return now < all ? (uint32_t)rate_div(all - now, (uint64_t)l->period_ns) : 0;
}

static void counter_ask(struct rate_cell *c, const struct rate_call *call, bool take, struct sd_ratelimit_answer *a)
{
	const struct sd_ratelimit_limit *l = call->limit;
	struct window w = counter_at(c, call);
	a->most = l->count;
	a->allowed = call->cost <= counter_left(&w, l);
	if (a->allowed)
		w.used += (uint32_t)call->cost;
	else
		a->retry_ns = call->cost > l->count ? -1 : counter_wait(&w, l, call->cost);
	a->remaining = counter_left(&w, l);
	a->next_ns = a->remaining < l->count ? counter_wait(&w, l, (uint64_t)a->remaining + 1) : 0;
	int64_t end = w.start + l->period_ns - w.now;
	a->reset_ns = w.used ? end + l->period_ns : w.before ? end : 0;
	if (take && a->allowed)
		counter_set(c, call, &w);
}

static void counter_charge(struct rate_cell *c, const struct rate_call *call)
{
	struct window w = counter_at(c, call);
	w.used += at_most(call->cost, counter_left(&w, call->limit));
	counter_set(c, call, &w);
}

static void counter_give(struct rate_cell *c, const struct rate_call *call, int64_t taken)
{
	struct window w = counter_at(c, call);
	if (taken >= w.start)
		w.used -= at_most(call->cost, w.used);
	else if (w.start - taken <= call->limit->period_ns)
		w.before -= at_most(call->cost, w.before);
	counter_set(c, call, &w);
}

static int64_t counter_ends(const struct rate_cell *c)
{
	return c->at + c->period + (c->part ? c->period : 0);
}

const struct rate_class rate_counter = {counter_adopt, counter_ask, counter_charge, counter_give, counter_ends, NULL};
