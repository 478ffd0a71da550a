/* An order of the values of a queue in which they may have gone through it: one that was in before another
 * one began to be put in, or out before the other began to be taken out, is first. Where the order of two
 * enqueues is a guess, a wrong one shows only when everything before them has been dequeued; so the search
 * tries this order first. */
#include <stdlib.h>
#include <string.h>

#include "core/lin_int.h"

/* A value on its way: in, and out. */
struct item {
	int64_t value;
	size_t op;                /* of the enqueue, or dequeue */
	int64_t begin[2], end[2]; /* of enqueue and dequeue; SD_NEVER: none */
	uint8_t ready;            /* of the two: nothing that is left was done before */
	bool gone;
};

enum { IN, OUT };

struct sweep {
	struct item *items;
	size_t n;
	struct item **begin[2], **end[2]; /* in the order of these times */
	size_t began[2], ended[2];
	struct item **ready;
	size_t nready;
};

static int by_value(const void *a, const void *b)
{
	const struct item *x = a, *y = b;
	if (x->value != y->value)
		return x->value < y->value ? -1 : 1;
	return x->op < y->op ? -1 : x->op > y->op;
}

static int compare(int64_t x, int64_t y)
{
	return x < y ? -1 : x > y;
}

static int by_begin_in(const void *a, const void *b)
{
	return compare((*(struct item *const *)a)->begin[IN], (*(struct item *const *)b)->begin[IN]);
}

static int by_begin_out(const void *a, const void *b)
{
	return compare((*(struct item *const *)a)->begin[OUT], (*(struct item *const *)b)->begin[OUT]);
}

static int by_end_in(const void *a, const void *b)
{
	return compare((*(struct item *const *)a)->end[IN], (*(struct item *const *)b)->end[IN]);
}

static int by_end_out(const void *a, const void *b)
{
	return compare((*(struct item *const *)a)->end[OUT], (*(struct item *const *)b)->end[OUT]);
}

/* Enqueues and dequeues that were told the same value, in the order in which they were recorded. */
static size_t collect(const struct sd_operation *ops, size_t n, int kind, struct item *items)
{
	size_t found = 0;
	for (size_t i = 0; i < n; i++) {
		bool told = kind == IN || (ops[i].outcome == SD_OUTCOME_OK && ops[i].result != SD_NIL);
		if (ops[i].kind != kind || !told)
			continue;
		items[found++] = (struct item){.value = kind == IN ? ops[i].arg[0] : ops[i].result,
					       .op = i,
					       .begin = {ops[i].invoked, SD_NEVER},
					       .end = {ops[i].answered, SD_NEVER}};
	}
	if (found > 0)
		qsort(items, found, sizeof(*items), by_value);
	return found;
}

/* The k-th of those with one value in goes with the k-th out. */
static void match(struct item *in, size_t nin, const struct item *out, size_t nout)
{
	for (size_t i = 0, k = 0; i < nin; i++) {
		while (k < nout && out[k].value < in[i].value)
			k++;
		if (k == nout || out[k].value != in[i].value)
			continue;
		in[i].begin[OUT] = out[k].begin[IN];
		in[i].end[OUT] = out[k].end[IN];
		k++;
	}
}

static void sort_all(struct sweep *s)
{
	static int (*const orders[4])(const void *, const void *) = {by_begin_in, by_begin_out, by_end_in,
								     by_end_out};
	struct item **lists[4] = {s->begin[IN], s->begin[OUT], s->end[IN], s->end[OUT]};
	for (int i = 0; i < 4; i++) {
		for (size_t k = 0; k < s->n; k++)
			lists[i][k] = &s->items[k];
		qsort(lists[i], s->n, sizeof(*lists[i]), orders[i]);
	}
}

/* What began before the first end of those that are left has none of these before it. */
static void make_ready(struct sweep *s, int way)
{
	while (s->ended[way] < s->n && s->end[way][s->ended[way]]->gone)
		s->ended[way]++;
	if (s->ended[way] == s->n)
		return;
	int64_t first_end = s->end[way][s->ended[way]]->end[way];
	while (s->began[way] < s->n && s->begin[way][s->began[way]]->begin[way] <= first_end) {
		struct item *item = s->begin[way][s->began[way]++];
		if (++item->ready == 2 && !item->gone)
			s->ready[s->nready++] = item;
	}
}

/* Of those that are ready, the one that was out first. None: no queue can have done this; any will do. */
static struct item *take_next(struct sweep *s)
{
	size_t best = 0;
	if (s->nready == 0)
		return s->end[IN][s->ended[IN]];
	for (size_t i = 1; i < s->nready; i++)
		if (s->ready[i]->end[OUT] < s->ready[best]->end[OUT])
			best = i;
	struct item *item = s->ready[best];
	s->ready[best] = s->ready[--s->nready];
	return item;
}

static void run(struct sweep *s, int64_t *rank)
{
	sort_all(s);
	for (size_t i = 0; i < s->n; i++) {
		make_ready(s, IN);
		make_ready(s, OUT);
		struct item *item = take_next(s);
		item->gone = true;
		rank[item->op] = (int64_t)i;
	}
}

void sd_lin_queue_rank(const struct sd_operation *ops, size_t n, int64_t *rank)
{
	struct item *in = malloc((n + 1) * sizeof(*in)), *out = malloc((n + 1) * sizeof(*out));
	struct item **lists = malloc((5 * n + 1) * sizeof(struct item *));
	if (in && out && lists) {
		struct sweep s = {.items = in, .n = collect(ops, n, IN, in)};
		match(in, s.n, out, collect(ops, n, OUT, out));
		for (int i = 0; i < 2; i++) {
			s.begin[i] = lists + (size_t)i * n;
			s.end[i] = lists + (size_t)(2 + i) * n;
		}
		s.ready = lists + 4 * n;
		run(&s, rank);
	}
	free(in);
	free(out);
	free(lists);
}
