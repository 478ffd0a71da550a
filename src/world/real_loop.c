/* real_loop.c - the kernel's loop: libevent waits, everything else is ours.
 *
 * libevent is used for one persistent read event a socket. Timers live in a heap (loop.c), because moving a
 * libevent timer costs more than the lazy deadline of a stream needs; the earliest is set on a timerfd, since epoll's own
 * timeout counts in milliseconds, and a load generator that leaves a millisecond late measures itself.
 */
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "real.h"

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

/* ---- messages from other threads ---- */

static struct sd_task *take_posted(struct real_loop *r)
{
	pthread_mutex_lock(&r->post_lock);
	struct sd_task *t = r->posted;
	r->posted = NULL;
	r->posted_tail = &r->posted;
	pthread_mutex_unlock(&r->post_lock);
	return t;
}

static void run_posted(struct sd_loop *l)
{
	loop_run_list(take_posted(real_loop(l)));
}

static void wake(struct real_loop *r)
{
	uint64_t one = 1;
	if (write(r->wake_fd, &one, sizeof(one)) < 0)
		return; /* the counter is full: it will wake all the same */
}

static void post(struct sd_loop *l, struct sd_task *t)
{
	struct real_loop *r = real_loop(l);
	t->next = NULL;
	pthread_mutex_lock(&r->post_lock);
	bool first = r->posted == NULL;
	*r->posted_tail = t;
	r->posted_tail = &t->next;
	pthread_mutex_unlock(&r->post_lock);
	if (first)
		wake(r);
}

static void on_wake(evutil_socket_t fd, short what, void *arg)
{
	(void)what;
	struct real_loop *r = arg;
	uint64_t count;
	loop_enter(&r->loop);
	if (read(fd, &count, sizeof(count)) < 0)
		count = 0; /* somebody's wake-up was taken with an earlier one */
	run_posted(&r->loop);
	loop_leave(&r->loop);
	if (__atomic_load_n(&r->stopping, __ATOMIC_ACQUIRE))
		event_base_loopbreak(r->base);
}

/* ---- timers ---- */

static void arm(struct sd_loop *l)
{
	struct real_loop *r = real_loop(l);
	int64_t next = sd_timers_next(&l->timers);
	if (next >= r->timer_armed_ns || next == SD_NEVER)
		return; /* an early firing finds nothing due and arms again */
	int64_t at = next > 0 ? next : 1; /* 0 would disarm */
	struct itimerspec when = {.it_value = {at / 1000000000, at % 1000000000}};
	r->timer_armed_ns = next;
	timerfd_settime(r->timer_fd, TFD_TIMER_ABSTIME, &when, NULL);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	(void)what;
	struct real_loop *r = arg;
	uint64_t times;
	loop_enter(&r->loop);
	if (read(fd, &times, sizeof(times)) < 0)
		times = 0; /* set anew since it fired */
	r->timer_armed_ns = SD_NEVER;
	loop_run_timers(&r->loop);
	arm(&r->loop);
	loop_leave(&r->loop);
}

/* ---- the end of a turn ---- */

/* libevent takes events that are made active meanwhile last. */
static void arm_late(struct sd_loop *l)
{
	event_active(real_loop(l)->late_event, EV_TIMEOUT, 1);
}

static void on_late(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	struct real_loop *r = arg;
	loop_enter(&r->loop);
	loop_run_late(&r->loop);
	loop_leave(&r->loop);
}

/* ---- running ---- */

static void run(struct sd_loop *l)
{
	struct real_loop *r = real_loop(l);
	__atomic_store_n(&r->thread, pthread_self(), __ATOMIC_RELAXED);
	loop_enter(l);
	loop_leave(l);
	if (!__atomic_load_n(&r->stopping, __ATOMIC_ACQUIRE))
		event_base_loop(r->base, EVLOOP_NO_EXIT_ON_EMPTY);
	__atomic_store_n(&r->stopping, false, __ATOMIC_RELEASE); /* it may be run again */
}

/* Before the wake-up, so that a loop which another thread stops sees it when it wakes. */
static void stop(struct sd_loop *l)
{
	struct real_loop *r = real_loop(l);
	__atomic_store_n(&r->stopping, true, __ATOMIC_RELEASE);
	wake(r);
}

static void thread_main(void *arg)
{
	run(arg);
}

static enum sd_err start(struct sd_loop *l, const char *name, struct sd_error *e)
{
	return real_thread_start(name, thread_main, l, &real_loop(l)->started, e);
}

static void join(struct sd_loop *l)
{
	struct real_loop *r = real_loop(l);
	if (r->started)
		real_thread_join(r->started);
	r->started = NULL;
}

static bool is_mine(struct sd_loop *l)
{
	return pthread_equal(__atomic_load_n(&real_loop(l)->thread, __ATOMIC_RELAXED), pthread_self());
}

/* ---- life ---- */

static void real_loop_free(struct sd_loop *l)
{
	struct real_loop *r = real_loop(l);
	struct real_world *w = real_world(l->world);
	pthread_mutex_lock(&w->lock);
	if (w->resolver)
		real_helpers_forget(w->resolver, l); /* a look-up that takes long must not come back to it */
	pthread_mutex_unlock(&w->lock);
	loop_leave(l);
	loop_run_late(l);
	loop_leave(l);
	if (r->spare_pipe[0]) {
		close(r->spare_pipe[0]);
		close(r->spare_pipe[1]);
	}
	if (r->late_event)
		event_free(r->late_event);
	if (r->timer_event)
		event_free(r->timer_event);
	if (r->wake_event)
		event_free(r->wake_event);
	if (r->base)
		event_base_free(r->base);
	if (r->wake_fd >= 0)
		close(r->wake_fd);
	if (r->timer_fd >= 0)
		close(r->timer_fd);
	loop_end(l);
	pthread_mutex_destroy(&r->post_lock);
	free(r);
}

static const struct sd_loop_ops loop_ops = {
    .free = real_loop_free,
    .run = run,
    .stop = stop,
    .start = start,
    .join = join,
    .is_mine = is_mine,
    .run_posted = run_posted,
    .post = post,
    .arm = arm,
    .arm_late = arm_late,
    .connect = real_connect,
    .listen = real_listen,
    .datagrams = real_datagrams,
    .watch = real_watch,
};

static bool add_events(struct real_loop *r)
{
	if (!r->base || r->wake_fd < 0 || r->timer_fd < 0)
		return false;
	r->timer_event = event_new(r->base, r->timer_fd, EV_READ | EV_PERSIST, on_timer, r);
	r->wake_event = event_new(r->base, r->wake_fd, EV_READ | EV_PERSIST, on_wake, r);
	r->late_event = event_new(r->base, -1, 0, on_late, r);
	return r->timer_event && r->wake_event && r->late_event && event_add(r->wake_event, NULL) == 0 &&
	       event_add(r->timer_event, NULL) == 0;
}

struct sd_loop *real_loop_new(struct sd_world *w, struct sd_error *e)
{
	struct real_loop *r = calloc(1, sizeof(*r));
	if (!r) {
		sd_fail(e, SD_ENOMEM, "cannot make a loop: out of memory");
		return NULL;
	}
	bool ok = loop_init(&r->loop, w, &loop_ops);
	r->thread = pthread_self();
	r->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	r->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	r->base = new_base();
	r->posted_tail = &r->posted;
	r->timer_armed_ns = SD_NEVER;
	sd_list_init(&r->starved);
	pthread_mutex_init(&r->post_lock, NULL);
	if (!ok || !add_events(r)) {
		real_loop_free(&r->loop);
		sd_fail(e, SD_ENOFILES, "cannot make a loop: out of descriptors or memory");
		return NULL;
	}
	return &r->loop;
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
	struct sd_signal *s = l->world->real ? calloc(1, sizeof(*s)) : NULL;
	if (!s)
		return NULL;
	s->loop = l;
	s->fn = fn;
	s->arg = arg;
	s->ev = evsignal_new(real_loop(l)->base, signo, on_signal, s);
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
