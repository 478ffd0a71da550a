/* The sliding log: when something was let through, and how much. Only what was let through is in it, so it has never more
 * moments than the limit has units. The first moment needs no memory but the cell; where memory for another is missing, two
 * are joined at the later one, which can only make the log stricter.
 */
#include <stdlib.h>

#include "ratelimit_int.h"

#define FIRST_ROOM 4

struct moment {
	int64_t at;
	uint32_t units;
};

/* A ring: the oldest at `head`. */
struct rate_log {
	int64_t period;
	uint32_t room, n, head;
	struct moment moments[];
};

/* A cell's moments, wherever they are. */
struct moments {
	struct moment own;
	const struct rate_log *log;
	uint32_t n;
};

static struct moments moments_of(const struct rate_cell *c)
{
	if (c->count)
		return (struct moments){.log = c->log, .n = c->log->n};
	return (struct moments){.own = {c->at, c->part}, .n = c->part > 0};
}

static const struct moment *nth(const struct moments *m, uint32_t i)
{
	if (!m->log)
		return &m->own;
	uint64_t at = (uint64_t)m->log->head + i;
	return &m->log->moments[at < m->log->room ? at : at - m->log->room];
}

/* What counts at a moment: from the i-th on. */
struct window {
	int64_t now;
	uint32_t first;
	uint64_t used;
};

static struct window window_of(const struct rate_cell *c, const struct moments *m, const struct rate_call *call)
{
	struct window w = {.now = m->n ? rate_later(call->now, c->at) : call->now, .used = c->part};
	for (; w.first < m->n && w.now - nth(m, w.first)->at >= call->limit->period_ns; w.first++)
		w.used -= nth(m, w.first)->units;
	return w;
}

/* How long until so many units have left. */
static int64_t until_gone(const struct moments *m, const struct window *w, int64_t period, uint64_t units)
{
	uint64_t gone = 0;
	for (uint32_t i = w->first; i < m->n; i++) {
		gone += nth(m, i)->units;
		if (gone >= units)
			return nth(m, i)->at + period - w->now;
	}
	return 0;
}

/* ---- writing ---- */

static size_t log_size(uint32_t room)
{
	return sizeof(struct rate_log) + room * sizeof(struct moment);
}

static bool spend(struct rate_budget *b, size_t bytes)
{
	if (__atomic_add_fetch(&b->used, bytes, __ATOMIC_RELAXED) <= b->most)
		return true;
	__atomic_sub_fetch(&b->used, bytes, __ATOMIC_RELAXED);
	return false;
}

static void log_drop(struct rate_cell *c, struct rate_budget *budget)
{
	if (!c->count)
		return;
	int64_t period = c->log->period;
	__atomic_sub_fetch(&budget->used, log_size(c->log->room), __ATOMIC_RELAXED);
	free(c->log);
	c->period = period;
	c->count = 0;
}

/* The same moments with room for more; false: there is no memory, and nothing changed. */
static bool grow(struct rate_cell *c, uint32_t room, struct rate_budget *budget)
{
	struct moments m = moments_of(c);
	struct rate_log *next = NULL;
	if (!spend(budget, log_size(room)))
		return false;
	next = malloc(log_size(room));
	if (!next) {
		__atomic_sub_fetch(&budget->used, log_size(room), __ATOMIC_RELAXED);
		return false;
	}
	*next = (struct rate_log){.period = c->count ? c->log->period : c->period, .room = room, .n = m.n};
	for (uint32_t i = 0; i < m.n; i++)
		next->moments[i] = *nth(&m, i);
	log_drop(c, budget);
	c->log = next;
	c->count = 1;
	return true;
}

/* Of the ring; the cell has one. */
static struct moment *place(struct rate_log *log, uint32_t i)
{
	uint64_t at = (uint64_t)log->head + i;
	return &log->moments[at < log->room ? at : at - log->room];
}

static void forget_oldest(struct rate_cell *c, uint32_t n)
{
	for (; c->count && n > 0 && c->log->n > 0; n--) {
		c->part -= place(c->log, 0)->units;
		c->log->head = c->log->head + 1 < c->log->room ? c->log->head + 1 : 0;
		c->log->n--;
	}
	if (!c->count && n > 0)
		c->part = 0;
}

/* Most moments worth remembering. */
static uint32_t most_moments(const struct sd_ratelimit_limit *l)
{
	return l->buckets && l->buckets < l->count ? l->buckets + 1 : l->count;
}

/* Room for one more; false: there is none to be had, and two are to be joined. */
static bool has_room(struct rate_cell *c, const struct rate_call *call)
{
	uint32_t most = most_moments(call->limit), n = c->count ? c->log->n : c->part > 0;
	if (!c->count && n == 0)
		return true;
	if (c->count && n < c->log->room)
		return n < most;
	uint64_t room = n < FIRST_ROOM ? FIRST_ROOM : 2 * (uint64_t)n;
	bool grown = n < most && grow(c, room < most ? (uint32_t)room : most, call->budget);
	if (n < most && !grown)
		__atomic_add_fetch(&call->budget->coarser, 1, __ATOMIC_RELAXED);
	return grown;
}

static bool same_bucket(const struct sd_ratelimit_limit *l, int64_t a, int64_t b)
{
	int64_t width = l->buckets ? l->period_ns / l->buckets : 1;
	return a == b || (width > 1 && a / width == b / width);
}

static struct moment *newest(const struct rate_cell *c)
{
	return place(c->log, c->log->n - 1);
}

/* One moment fewer: the two oldest become one, at the later time. Of a log of one, it becomes the newest. */
static void join(struct rate_cell *c, int64_t now)
{
	if (!c->count) {
		c->at = now;
	} else if (c->log->n < 2) {
		newest(c)->at = now;
	} else {
		uint32_t units = place(c->log, 0)->units;
		c->part += units; /* forget_oldest takes them off */
		place(c->log, 1)->units += units;
		forget_oldest(c, 1);
	}
}

static void push(struct rate_cell *c, const struct rate_call *call, int64_t now)
{
	uint32_t units = (uint32_t)call->cost, n = c->count ? c->log->n : c->part > 0;
	bool together = n > 0 && same_bucket(call->limit, c->at, now);
	if (!together && !has_room(c, call)) {
		join(c, now);
		together = c->count == 0 || (c->log->n == 1 && newest(c)->at == now);
	}
	if (c->count)
		c->log->period = call->limit->period_ns;
	else
		c->period = call->limit->period_ns;
	if (c->count && together) {
		newest(c)->at = now;
		newest(c)->units += units;
	} else if (c->count) {
		c->log->n++;
		*newest(c) = (struct moment){now, units};
	}
	c->at = now;
	c->part += units;
}

/* ---- the class ---- */

static void log_take(struct rate_cell *c, const struct rate_call *call, const struct window *w)
{
	forget_oldest(c, w->first);
	push(c, call, w->now);
}

/* Moments say nothing about limits. */
static void log_adopt(struct rate_cell *c, const struct rate_call *call)
{
	(void)c;
	(void)call;
}

static void tell(const struct rate_cell *c, const struct rate_call *call, struct sd_ratelimit_answer *a)
{
	const struct sd_ratelimit_limit *l = call->limit;
	struct moments m = moments_of(c);
	struct window w = window_of(c, &m, call);
	a->most = l->count;
	a->remaining = w.used < l->count ? (uint32_t)(l->count - w.used) : 0;
	if (!a->allowed && call->cost <= l->count)
		a->retry_ns = until_gone(&m, &w, l->period_ns, w.used + call->cost - l->count);
	if (w.used) {
		a->next_ns = until_gone(&m, &w, l->period_ns, w.used + a->remaining + 1 - l->count);
		a->reset_ns = c->at + l->period_ns - w.now;
	}
}

/* What is told of a log is told after it was taken: moments may have been joined. */
static void log_ask(struct rate_cell *c, const struct rate_call *call, bool take, struct sd_ratelimit_answer *a)
{
	struct moments m = moments_of(c);
	struct window w = window_of(c, &m, call);
	a->allowed = w.used + call->cost <= call->limit->count;
	a->retry_ns = call->cost > call->limit->count ? -1 : 0;
	if (take && a->allowed)
		log_take(c, call, &w);
	tell(c, call, a);
}

static void log_charge(struct rate_cell *c, const struct rate_call *call)
{
	struct moments m = moments_of(c);
	struct window w = window_of(c, &m, call);
	struct rate_call part = *call;
	uint64_t left = w.used < call->limit->count ? call->limit->count - w.used : 0;
	part.cost = call->cost < left ? call->cost : left;
	if (part.cost)
		log_take(c, &part, &w);
}

/* Of the moment that has what was taken then: itself, or the later one that it was joined with. */
static void log_give(struct rate_cell *c, const struct rate_call *call, int64_t taken)
{
	struct moments m = moments_of(c);
	struct window w = window_of(c, &m, call);
	uint32_t i = m.n;
	while (i > w.first && nth(&m, i - 1)->at >= taken)
		i--;
	if (i == m.n || w.now - taken >= call->limit->period_ns)
		return;
	uint32_t units = nth(&m, i)->units, back = call->cost < units ? (uint32_t)call->cost : units;
	if (c->count)
		place(c->log, i)->units -= back;
	c->part -= back;
}

static int64_t log_ends(const struct rate_cell *c)
{
	return c->part ? c->at + (c->count ? c->log->period : c->period) : 0;
}

const struct rate_class rate_log = {log_adopt, log_ask, log_charge, log_give, log_ends, log_drop};
