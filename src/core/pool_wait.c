/* pool_wait.c - those who wait: a queue, and those that were answered and are to be told.
 *
 * Mostly all wait equally long; then deadlines rise along the queue and only its head can be late. As soon as one comes that
 * will be late before who came before it, the whole queue is looked through, until it is empty again. */
#include "pool_int.h"

static void add(struct waiters *q, struct sd_pool_waiter *w)
{
	w->pool.next = NULL;
	w->pool.prev = q->last;
	if (q->last)
		q->last->pool.next = w;
	else
		q->first = w;
	q->last = w;
}

static void del(struct waiters *q, struct sd_pool_waiter *w)
{
	if (w->pool.prev)
		w->pool.prev->pool.next = w->pool.next;
	else
		q->first = w->pool.next;
	if (w->pool.next)
		w->pool.next->pool.prev = w->pool.prev;
	else
		q->last = w->pool.prev;
	w->pool.next = w->pool.prev = NULL;
	w->pool.place = WAITER_OUT;
}

void pool_enqueue(struct sd_pool *p, struct sd_pool_waiter *w, int64_t now_ns)
{
	struct waiters *q = &p->queue;
	if (!q->last) {
		p->ordered = true;
		p->waiters_due_ns = SD_POOL_NEVER;
	} else if (w->deadline_ns < q->last->deadline_ns) {
		p->ordered = false;
	}
	if (w->deadline_ns < p->waiters_due_ns)
		p->waiters_due_ns = w->deadline_ns;
	w->since_ns = now_ns;
	add(q, w);
	w->pool.place = WAITER_QUEUED;
	p->nwaiting++;
}

void pool_dequeue(struct sd_pool *p, struct sd_pool_waiter *w)
{
	w->ahead = 0;
	for (const struct sd_pool_waiter *o = p->queue.first; o && o != w; o = o->pool.next)
		w->ahead++;
	del(&p->queue, w);
	p->nwaiting--;
}

void pool_answer(struct sd_pool *p, struct sd_pool_waiter *w, enum sd_err err)
{
	pool_dequeue(p, w);
	w->err = err;
	add(&p->done, w);
	w->pool.place = WAITER_DONE;
}

struct sd_pool_waiter *pool_pop_done(struct sd_pool *p)
{
	struct sd_pool_waiter *w = p->done.first;
	if (w)
		del(&p->done, w);
	return w;
}

void pool_forget_done(struct sd_pool *p, struct sd_pool_waiter *w)
{
	del(&p->done, w);
}

int64_t pool_waiters_due(const struct sd_pool *p)
{
	const struct sd_pool_waiter *first = p->queue.first;
	if (!first)
		return SD_POOL_NEVER;
	return p->ordered ? first->deadline_ns : p->waiters_due_ns;
}

void pool_expire_waiters(struct sd_pool *p, int64_t now_ns)
{
	int64_t due = SD_POOL_NEVER;
	struct sd_pool_waiter *next;
	for (struct sd_pool_waiter *w = p->queue.first; w; w = next) {
		next = w->pool.next;
		if (w->deadline_ns <= now_ns) {
			p->count.timeouts++;
			pool_answer(p, w, SD_ETIMEOUT);
			continue;
		}
		if (p->ordered)
			return;
		if (w->deadline_ns < due)
			due = w->deadline_ns;
	}
	p->waiters_due_ns = due;
}
