/* mq_ready.c - the order of what is ready in a queue.
 *
 * What was never out stands in one list for each priority, in the order in which it came: adding and taking cost nothing. What came
 * back has its old place, which is before most of what is in the lists; a pairing heap (Fredman, Sedgewick, Sleator and Tarjan,
 * 1986) keeps those in order, whatever the order in which they come back, with links that the entries have anyway: to come
 * back needs no memory. The head of the queue is the better one of both. */
#include "mq_int.h"

static unsigned priority_of(const struct mq_entry *e)
{
	unsigned last = e->queue->npriorities - 1;
	return e->message->priority < last ? e->message->priority : last;
}

static bool before(const struct mq_entry *a, const struct mq_entry *b)
{
	unsigned pa = priority_of(a), pb = priority_of(b);
	return pa != pb ? pa > pb : a->order < b->order;
}

/* ---- the heap: child is the first of the children, next their siblings; prev the sibling before, or the parent ---- */

static struct mq_entry *merge(struct mq_entry *a, struct mq_entry *b)
{
	if (!a || !b)
		return a ? a : b;
	if (before(b, a)) {
		struct mq_entry *t = a;
		a = b;
		b = t;
	}
	b->prev = a;
	b->next = a->child;
	if (b->next)
		b->next->prev = b;
	a->child = b;
	a->next = a->prev = NULL;
	return a;
}

/* Siblings become one heap: by pairs from the first to the last, then those from the last to the first. */
static struct mq_entry *merge_all(struct mq_entry *first)
{
	struct mq_entry *pairs = NULL, *all = NULL;
	while (first) {
		struct mq_entry *a = first, *b = a->next;
		first = b ? b->next : NULL;
		a->next = a->prev = NULL;
		if (b)
			b->next = b->prev = NULL;
		a = merge(a, b);
		a->next = pairs;
		pairs = a;
	}
	while (pairs) {
		struct mq_entry *a = pairs;
		pairs = a->next;
		a->next = NULL;
		all = merge(all, a);
	}
	return all;
}

static void heap_remove(struct mq_queue *q, struct mq_entry *e)
{
	struct mq_entry *below = merge_all(e->child);
	if (e == q->back) {
		q->back = below;
		return;
	}
	if (e->prev->child == e)
		e->prev->child = e->next;
	else
		e->prev->next = e->next;
	if (e->next)
		e->next->prev = e->prev;
	q->back = merge(q->back, below);
}

/* ---- both ---- */

static void entered(struct mq_entry *e)
{
	e->where = MQ_READY;
	e->queue->nready++;
	e->queue->ready_bytes += e->message->body_n;
}

void mq_ready_add(struct mq_entry *e)
{
	struct mq_queue *q = e->queue;
	unsigned p = priority_of(e);
	e->order = ++q->next_order;
	e->came_back = false;
	sd_list_add(&q->ready[p], &e->link);
	q->filled[p / 64] |= 1ull << p % 64;
	entered(e);
}

void mq_ready_back(struct mq_entry *e)
{
	e->came_back = true;
	e->child = e->next = e->prev = NULL;
	e->queue->back = merge(e->queue->back, e);
	entered(e);
}

void mq_ready_remove(struct mq_entry *e)
{
	struct mq_queue *q = e->queue;
	unsigned p = priority_of(e);
	if (e->came_back) {
		heap_remove(q, e);
	} else {
		sd_list_del(&e->link);
		if (sd_list_empty(&q->ready[p]))
			q->filled[p / 64] &= ~(1ull << p % 64);
	}
	e->child = NULL;
	e->where = MQ_LEAVING;
	q->nready--;
	q->ready_bytes -= e->message->body_n;
}

static struct mq_entry *first_fresh(const struct mq_queue *q)
{
	for (int i = (int)(q->npriorities - 1) / 64; i >= 0; i--)
		if (q->filled[i]) {
			unsigned p = (unsigned)(i * 64 + 63 - __builtin_clzll(q->filled[i]));
			return sd_container(q->ready[p].next, struct mq_entry, link);
		}
	return NULL;
}

struct mq_entry *mq_ready_head(const struct mq_queue *q)
{
	struct mq_entry *fresh = first_fresh(q);
	if (!q->back || !fresh)
		return fresh ? fresh : q->back;
	return before(q->back, fresh) ? q->back : fresh;
}
