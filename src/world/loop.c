/* loop.c - the real loop: libevent waits, everything else is ours.
 *
 * libevent is used for one persistent read event a socket. Timers live in a heap (core/timers), because moving a
 * libevent timer costs more than the lazy deadline of a stream needs; the earliest is set on a timerfd, since epoll's own
 * timeout counts in milliseconds, and a load generator that leaves a millisecond late measures itself.
 */
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "real.h"

static void on_timer(evutil_socket_t fd, short what, void *arg);
static void on_wake(evutil_socket_t fd, short what, void *arg);

static struct event_base *new_base(void)
{
	struct event_config *cfg = event_config_new();
	if (!cfg)
		return NULL;
	event_config_set_flag(cfg, EVENT_BASE_FLAG_NOLOCK);
	struct event_base *base = event_base_new_with_config(cfg);
	event_config_free(cfg);
	return base;
}

struct sd_loop *sd_loop_new(struct sd_world *w, struct sd_error *e)
{
	struct sd_loop *l = calloc(1, sizeof(*l));
	if (!l) {
		sd_fail(e, SD_ENOMEM, "cannot make a loop: out of memory");
		return NULL;
	}
	l->world = w;
	l->thread = pthread_self();
	l->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	l->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	l->base = new_base();
	l->scratch = malloc(SD_LOOP_SCRATCH);
	l->deferred_tail = &l->deferred;
	l->posted_tail = &l->posted;
	l->timer_armed_ns = SD_NEVER;
	l->round_ns = INT64_MIN;
	sd_list_init(&l->starved);
	pthread_mutex_init(&l->post_lock, NULL);
	if (l->base && l->wake_fd >= 0 && l->timer_fd >= 0) {
		l->timer_event = event_new(l->base, l->timer_fd, EV_READ | EV_PERSIST, on_timer, l);
		l->wake_event = event_new(l->base, l->wake_fd, EV_READ | EV_PERSIST, on_wake, l);
	}
	if (!l->scratch || !l->timer_event || !l->wake_event || event_add(l->wake_event, NULL) < 0 ||
	    event_add(l->timer_event, NULL) < 0) {
		sd_loop_free(l);
		sd_fail(e, SD_ENOFILES, "cannot make a loop: out of descriptors or memory");
		return NULL;
	}
	return l;
}

void sd_loop_free(struct sd_loop *l)
{
	if (!l)
		return;
	pthread_mutex_lock(&l->world->lock);
	if (l->world->resolver)
		real_helpers_forget(l->world->resolver, l); /* a look-up that takes long must not come back to it */
	pthread_mutex_unlock(&l->world->lock);
	loop_leave(l);
	if (l->timer_event)
		event_free(l->timer_event);
	if (l->wake_event)
		event_free(l->wake_event);
	if (l->base)
		event_base_free(l->base);
	if (l->wake_fd >= 0)
		close(l->wake_fd);
	if (l->timer_fd >= 0)
		close(l->timer_fd);
	while (l->free_blocks) {
		char *b = l->free_blocks;
		memcpy(&l->free_blocks, b, sizeof(char *));
		free(b);
	}
	sd_timers_free(&l->timers);
	pthread_mutex_destroy(&l->post_lock);
	free(l->scratch);
	free(l);
}

void sd_loop_run(struct sd_loop *l)
{
	__atomic_store_n(&l->thread, pthread_self(), __ATOMIC_RELAXED);
	loop_enter(l);
	loop_leave(l);
	if (!__atomic_load_n(&l->stopping, __ATOMIC_ACQUIRE))
		event_base_loop(l->base, EVLOOP_NO_EXIT_ON_EMPTY);
}

/* Before the wake-up, so that a loop which another thread stops sees it when it wakes. */
void sd_loop_stop(struct sd_loop *l)
{
	uint64_t one = 1;
	__atomic_store_n(&l->stopping, true, __ATOMIC_RELEASE);
	if (write(l->wake_fd, &one, sizeof(one)) < 0)
		return; /* the counter is full: it will wake all the same */
}

bool sd_loop_is_mine(struct sd_loop *l)
{
	return pthread_equal(__atomic_load_n(&l->thread, __ATOMIC_RELAXED), pthread_self());
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

static void arm(struct sd_loop *l)
{
	int64_t next = sd_timers_next(&l->timers);
	if (next >= l->timer_armed_ns || next == SD_NEVER)
		return; /* an early firing finds nothing due and arms again */
	int64_t at = next > 0 ? next : 1; /* 0 would disarm */
	struct itimerspec when = {.it_value = {at / 1000000000, at % 1000000000}};
	l->timer_armed_ns = next;
	timerfd_settime(l->timer_fd, TFD_TIMER_ABSTIME, &when, NULL);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	(void)what;
	struct sd_loop *l = arg;
	struct sd_timer *t;
	uint64_t times;
	loop_enter(l);
	if (read(fd, &times, sizeof(times)) < 0)
		times = 0; /* set anew since it fired */
	l->timer_armed_ns = SD_NEVER;
	/* A timer set by one of these for now runs in the next round, so sockets get their turn. */
	l->round_ns = sd_loop_now_ns(l);
	while ((t = sd_timers_pop(&l->timers, l->round_ns)))
		t->fn(t);
	l->round_ns = INT64_MIN;
	arm(l);
	loop_leave(l);
}

void sd_loop_timer_set(struct sd_loop *l, struct sd_timer *t, int64_t due_ns)
{
	if (due_ns == SD_NEVER) {
		sd_loop_timer_cancel(l, t);
		return;
	}
	if (!sd_timers_set(&l->timers, t, due_ns > l->round_ns ? due_ns : l->round_ns + 1))
		abort(); /* a deadline that is lost would be a hang; the heap is eight bytes a connection */
	arm(l);
}

void sd_loop_timer_cancel(struct sd_loop *l, struct sd_timer *t)
{
	sd_timers_cancel(&l->timers, t);
}

/* ---- tasks ---- */

void sd_loop_defer(struct sd_loop *l, struct sd_task *t)
{
	if (t->queued)
		return;
	t->queued = true;
	t->next = NULL;
	*l->deferred_tail = t;
	l->deferred_tail = &t->next;
}

void loop_leave(struct sd_loop *l)
{
	while (l->deferred) {
		struct sd_task *t = l->deferred;
		l->deferred = t->next;
		if (!l->deferred)
			l->deferred_tail = &l->deferred;
		t->queued = false;
		t->fn(t);
	}
}

void sd_loop_post(struct sd_loop *l, struct sd_task *t)
{
	uint64_t one = 1;
	t->next = NULL;
	pthread_mutex_lock(&l->post_lock);
	bool first = l->posted == NULL;
	*l->posted_tail = t;
	l->posted_tail = &t->next;
	pthread_mutex_unlock(&l->post_lock);
	if (first && write(l->wake_fd, &one, sizeof(one)) < 0)
		return; /* full: it wakes all the same */
}

static void run_posted(struct sd_loop *l)
{
	pthread_mutex_lock(&l->post_lock);
	struct sd_task *t = l->posted;
	l->posted = NULL;
	l->posted_tail = &l->posted;
	pthread_mutex_unlock(&l->post_lock);
	while (t) {
		struct sd_task *next = t->next;
		t->fn(t);
		t = next;
	}
}

void sd_loop_flush(struct sd_loop *l)
{
	loop_enter(l);
	run_posted(l);
	loop_leave(l);
}

static void on_wake(evutil_socket_t fd, short what, void *arg)
{
	(void)what;
	struct sd_loop *l = arg;
	uint64_t count;
	loop_enter(l);
	if (read(fd, &count, sizeof(count)) < 0)
		count = 0; /* somebody's wake-up was taken with an earlier one */
	run_posted(l);
	loop_leave(l);
	if (__atomic_load_n(&l->stopping, __ATOMIC_ACQUIRE))
		event_base_loopbreak(l->base);
}

/* ---- signals ---- */

struct sd_signal {
	struct event *ev;
	struct sd_loop *loop;
	void (*fn)(void *arg, int signo);
	void *arg;
};

static void on_signal(evutil_socket_t signo, short what, void *arg)
{
	(void)what;
	struct sd_signal *s = arg;
	struct sd_loop *l = s->loop;
	loop_enter(l);
	s->fn(s->arg, signo);
	loop_leave(l);
}

struct sd_signal *sd_loop_signal(struct sd_loop *l, int signo, void (*fn)(void *arg, int signo), void *arg)
{
	struct sd_signal *s = calloc(1, sizeof(*s));
	if (!s)
		return NULL;
	s->loop = l;
	s->fn = fn;
	s->arg = arg;
	s->ev = evsignal_new(l->base, signo, on_signal, s);
	if (!s->ev || event_add(s->ev, NULL) < 0) {
		sd_signal_free(s);
		return NULL;
	}
	return s;
}

void sd_signal_free(struct sd_signal *s)
{
	if (!s)
		return;
	if (s->ev)
		event_free(s->ev);
	free(s);
}
