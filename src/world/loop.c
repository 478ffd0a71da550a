/* loop.c - what the loops of both worlds share: timers in a heap, deferred tasks, buffers. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/list.h"
#include "world_int.h"

struct sd_loop *sd_loop_new(struct sd_world *w, struct sd_error *e)
{
	return w->ops->loop_new(w, e);
}

bool loop_init(struct sd_loop *l, struct sd_world *w, const struct sd_loop_ops *ops)
{
	l->ops = ops;
	l->world = w;
	l->deferred_tail = &l->deferred;
	l->late_tail = &l->late;
	l->round_ns = INT64_MIN;
	l->scratch = malloc(SD_LOOP_SCRATCH);
	return l->scratch != NULL;
}

void loop_end(struct sd_loop *l)
{
	while (l->free_blocks) {
		char *b = l->free_blocks;
		memcpy(&l->free_blocks, b, sizeof(char *));
		free(b);
	}
	sd_timers_free(&l->timers);
	free(l->scratch);
}

void sd_loop_free(struct sd_loop *l)
{
	if (l)
		l->ops->free(l);
}

void sd_loop_run(struct sd_loop *l)
{
	l->ops->run(l);
}

void sd_loop_stop(struct sd_loop *l)
{
	l->ops->stop(l);
}

enum sd_err sd_loop_start(struct sd_loop *l, const char *name, struct sd_error *e)
{
	return l->ops->start(l, name, e);
}

void sd_loop_join(struct sd_loop *l)
{
	l->ops->join(l);
}

bool sd_loop_is_mine(struct sd_loop *l)
{
	return l->ops->is_mine(l);
}

struct sd_world *sd_loop_world(struct sd_loop *l)
{
	return l->world;
}

int64_t sd_loop_now_ns(struct sd_loop *l)
{
	if (!l->now_valid) {
		l->now_ns = sd_world_mono_ns(l->world);
		l->now_valid = true;
	}
	return l->now_ns;
}

char *sd_loop_scratch(struct sd_loop *l)
{
	return l->scratch;
}

char *sd_loop_block(struct sd_loop *l)
{
	char *b = l->free_blocks;
	if (!b)
		return malloc(SD_LOOP_BLOCK);
	memcpy(&l->free_blocks, b, sizeof(char *));
	l->nfree_blocks--;
	return b;
}

void sd_loop_block_free(struct sd_loop *l, char *block)
{
	if (l->nfree_blocks >= 256) {
		free(block);
		return;
	}
	memcpy(block, &l->free_blocks, sizeof(char *));
	l->free_blocks = block;
	l->nfree_blocks++;
}

/* ---- timers ---- */

void loop_run_timers(struct sd_loop *l)
{
	struct sd_timer *t;
	l->round_ns = sd_loop_now_ns(l);
	while ((t = sd_timers_pop(&l->timers, l->round_ns)))
		t->fn(t);
	l->round_ns = INT64_MIN;
}

void sd_loop_timer_set(struct sd_loop *l, struct sd_timer *t, int64_t due_ns)
{
	if (due_ns == SD_NEVER) {
		sd_loop_timer_cancel(l, t);
		return;
	}
	if (!sd_timers_set(&l->timers, t, due_ns > l->round_ns ? due_ns : l->round_ns + 1))
		abort(); /* a deadline that is lost would be a hang; the heap is eight bytes a connection */
	l->ops->arm(l);
}

void sd_loop_timer_cancel(struct sd_loop *l, struct sd_timer *t)
{
	sd_timers_cancel(&l->timers, t);
}

/* ---- tasks ---- */

static void enqueue(struct sd_task ***tail, struct sd_task *t)
{
	t->queued = true;
	t->next = NULL;
	**tail = t;
	*tail = &t->next;
}

static void run_first(struct sd_task **first, struct sd_task ***tail)
{
	struct sd_task *t = *first;
	*first = t->next;
	if (!*first)
		*tail = first;
	t->queued = false;
	t->fn(t);
}

void sd_loop_defer(struct sd_loop *l, struct sd_task *t)
{
	if (!t->queued)
		enqueue(&l->deferred_tail, t);
}

void sd_loop_defer_late(struct sd_loop *l, struct sd_task *t)
{
	if (t->queued)
		return;
	if (!l->late && l->ops->arm_late)
		l->ops->arm_late(l);
	enqueue(&l->late_tail, t);
}

void loop_run_late(struct sd_loop *l)
{
	while (l->late)
		run_first(&l->late, &l->late_tail);
}

void loop_leave(struct sd_loop *l)
{
	do {
		while (l->deferred)
			run_first(&l->deferred, &l->deferred_tail);
		if (!l->ops->arm_late)
			loop_run_late(l);
	} while (l->deferred);
}

void sd_loop_post(struct sd_loop *l, struct sd_task *t)
{
	if (!__atomic_exchange_n(&t->posted, true, __ATOMIC_ACQ_REL))
		l->ops->post(l, t);
}

void loop_run_list(struct sd_task *t)
{
	while (t) {
		struct sd_task *next = t->next;
		__atomic_store_n(&t->posted, false, __ATOMIC_RELEASE); /* from here on it may be posted again */
		t->fn(t);
		t = next;
	}
}

void sd_loop_flush(struct sd_loop *l)
{
	loop_enter(l);
	l->ops->run_posted(l);
	loop_leave(l);
	loop_run_late(l);
	loop_leave(l);
}

/* ---- sockets ---- */

enum sd_err sd_loop_connect(struct sd_loop *l, const struct sd_addr *addr, struct sd_io **out, struct sd_error *e)
{
	return l->ops->connect(l, addr, out, e);
}

enum sd_err sd_loop_listen(struct sd_loop *l, struct sd_addr *addr, bool shared,
			   const struct sd_listener_events *events, struct sd_listener **out, struct sd_error *e)
{
	return l->ops->listen(l, addr, shared, events, out, e);
}

void sd_listener_pause(struct sd_listener *s, bool paused)
{
	s->ops->pause(s, paused);
}

void sd_listener_close(struct sd_listener *s)
{
	if (s)
		s->ops->close(s);
}

enum sd_err sd_loop_datagrams(struct sd_loop *l, struct sd_addr *addr, const struct sd_datagrams_events *events,
			      struct sd_datagrams **out, struct sd_error *e)
{
	return l->ops->datagrams(l, addr, events, out, e);
}

void sd_datagrams_send(struct sd_datagrams *d, const struct sd_addr *to, const void *p, size_t n)
{
	d->ops->send(d, to, p, n);
}

void sd_datagrams_close(struct sd_datagrams *d)
{
	if (d)
		d->ops->close(d);
}

enum sd_err sd_loop_watch(struct sd_loop *l, int fd, void (*ready)(void *arg, unsigned what), void *arg, struct sd_watch **out,
			  struct sd_error *e)
{
	if (!l->ops->watch)
		return sd_fail(e, SD_EUNSUPPORTED, "descriptors of libraries are not known in the simulated world");
	return l->ops->watch(l, fd, ready, arg, out, e);
}

void sd_watch_want(struct sd_watch *w, unsigned what)
{
	real_watch_want(w, what);
}

void sd_watch_free(struct sd_watch *w)
{
	if (w)
		real_watch_free(w);
}

/* ---- what blocks ---- */

struct sd_helpers *sd_helpers_new(struct sd_world *w, unsigned max_threads)
{
	return w->ops->helpers_new(w, max_threads);
}

void sd_helpers_free(struct sd_helpers *h)
{
	if (h)
		h->world->ops->helpers_free(h);
}

bool sd_helpers_submit(struct sd_helpers *h, struct sd_loop *l, struct sd_work *work)
{
	return h->world->ops->submit(h, l, work);
}

bool sd_resolve_start(struct sd_loop *l, struct sd_resolve *r)
{
	return l->world->ops->resolve(l, r);
}

struct lookup {
	struct sd_resolve r;
	struct sd_loop *loop;
};

static void on_resolved(struct sd_resolve *r)
{
	sd_loop_stop(sd_container(r, struct lookup, r)->loop);
}

enum sd_err sd_resolve_wait(struct sd_world *w, struct sd_addr *addr, struct sd_error *e)
{
	struct lookup l = {.loop = sd_loop_new(w, e)};
	if (!l.loop)
		return e ? e->code : SD_ENOMEM;
	l.r.done = on_resolved;
	l.r.port = addr->port;
	snprintf(l.r.host, sizeof(l.r.host), "%s", addr->name);
	bool started = sd_resolve_start(l.loop, &l.r);
	if (started)
		sd_loop_run(l.loop);
	sd_loop_free(l.loop);
	if (!started || l.r.nfound == 0)
		return sd_fail(e, SD_ENOTFOUND, "%s", started ? l.r.err : "cannot start a thread");
	*addr = l.r.found[0];
	return SD_OK;
}
