#include "timers.h"

#include <stdlib.h>

#define ARITY 4u

static void place(struct sd_timers *ts, uint32_t i, struct sd_timer *t)
{
	ts->heap[i] = t;
	t->slot = i + 1;
}

static void sift_up(struct sd_timers *ts, uint32_t i, struct sd_timer *t)
{
	while (i > 0) {
		uint32_t parent = (i - 1) / ARITY;
		if (ts->heap[parent]->due_ns <= t->due_ns)
			break;
		place(ts, i, ts->heap[parent]);
		i = parent;
	}
	place(ts, i, t);
}

static uint32_t earliest_child(const struct sd_timers *ts, uint32_t i)
{
	uint32_t first = i * ARITY + 1, best = first;
	for (uint32_t c = first + 1; c < first + ARITY && c < ts->n; c++)
		if (ts->heap[c]->due_ns < ts->heap[best]->due_ns)
			best = c;
	return best;
}

static void sift_down(struct sd_timers *ts, uint32_t i, struct sd_timer *t)
{
	while (i * ARITY + 1 < ts->n) {
		uint32_t c = earliest_child(ts, i);
		if (ts->heap[c]->due_ns >= t->due_ns)
			break;
		place(ts, i, ts->heap[c]);
		i = c;
	}
	place(ts, i, t);
}

static bool grow(struct sd_timers *ts)
{
	uint32_t cap = ts->cap ? ts->cap * 2 : 64;
	struct sd_timer **heap = realloc(ts->heap, cap * sizeof(*heap));
	if (!heap)
		return false;
	ts->heap = heap;
	ts->cap = cap;
	return true;
}

bool sd_timers_set(struct sd_timers *ts, struct sd_timer *t, int64_t due_ns)
{
	if (t->slot) {
		bool later = due_ns > t->due_ns;
		t->due_ns = due_ns;
		if (later)
			sift_down(ts, t->slot - 1, t);
		else
			sift_up(ts, t->slot - 1, t);
		return true;
	}
	if (ts->n == ts->cap && !grow(ts))
		return false;
	t->due_ns = due_ns;
	sift_up(ts, ts->n++, t);
	return true;
}

void sd_timers_cancel(struct sd_timers *ts, struct sd_timer *t)
{
	if (!t->slot)
		return;
	uint32_t i = t->slot - 1;
	struct sd_timer *last = ts->heap[--ts->n];
	t->slot = 0;
	if (last == t)
		return;
	if (i > 0 && ts->heap[(i - 1) / ARITY]->due_ns > last->due_ns)
		sift_up(ts, i, last);
	else
		sift_down(ts, i, last);
}

int64_t sd_timers_next(const struct sd_timers *ts)
{
	return ts->n ? ts->heap[0]->due_ns : SD_NEVER;
}

struct sd_timer *sd_timers_pop(struct sd_timers *ts, int64_t now_ns)
{
	if (!ts->n || ts->heap[0]->due_ns > now_ns)
		return NULL;
	struct sd_timer *t = ts->heap[0];
	sd_timers_cancel(ts, t);
	return t;
}

void sd_timers_free(struct sd_timers *ts)
{
	free(ts->heap);
	*ts = (struct sd_timers){0};
}
